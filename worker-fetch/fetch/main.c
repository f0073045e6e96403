/* bulkhead-fetch: TLS and HTTP with one origin of one pull. */
#include "policy/sandbox/sandbox.h"
#include "worker-fetch/fetch/room.h"

#include <time.h>

static int
warm_up(void *arg, struct err *e)
{
	struct transfer_engine **engine = arg;

	tzset(); /* certificate checks would open /etc/localtime later */
	*engine = transfer_engine_new(e);
	return *engine ? 0 : -1;
}

int
main(void)
{
	struct transfer_engine *engine = NULL;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {
	    .warm_up = warm_up, .arg = &engine, .report = &report};
	struct chan control;

	if (sandbox_enter(ROOM_FETCH, &setup) < 0)
		return FETCH_EXIT_FAILED;
	if (control_open(&control, ROOM_FETCH, (unsigned)report.landlock_abi, "") < 0)
		return FETCH_EXIT_FAILED;
	return fetch_room(&control, engine);
}
