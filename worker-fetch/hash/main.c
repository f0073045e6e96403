/* bulkhead-hash: one layer's bytes, copied and hashed. Parses nothing. */
#include "policy/sandbox/sandbox.h"
#include "worker-fetch/hash/digest.h"
#include "worker-fetch/hash/room.h"

static int
warm_up(void *arg, struct err *e)
{
	int r = digest_warm_up();
	return r < 0 ? err_errno(e, -r, "starting libcrypto") : 0;
}

int
main(void)
{
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.warm_up = warm_up, .report = &report};
	struct chan control;

	if (sandbox_enter(ROOM_HASH, &setup) < 0)
		return HASH_EXIT_FAILED;
	if (control_open(&control, ROOM_HASH, (unsigned)report.landlock_abi, "") < 0)
		return HASH_EXIT_FAILED;
	return hash_room(&control, LIMIT_RING_STALL_SECONDS);
}
