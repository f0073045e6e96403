/* bulkhead-inflate: one layer's compressed bytes in, its bytes out. */
#include "policy/sandbox/sandbox.h"
#include "worker-fetch/inflate/room.h"

int
main(void)
{
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.report = &report};
	struct chan control;

	if (sandbox_enter(ROOM_INFLATE, &setup) < 0)
		return INFLATE_EXIT_FAILED;
	if (control_open(&control, ROOM_INFLATE, (unsigned)report.landlock_abi, "") < 0)
		return INFLATE_EXIT_FAILED;
	return inflate_room(&control);
}
