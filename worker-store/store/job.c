#include "worker-store/store/journal.h"
#include "worker-store/store/keeper.h"

#include <errno.h>

static void
job_unlist(struct job *j)
{
	for (struct job **at = &j->room->jobs; *at; at = &(*at)->next) {
		if (*at == j) {
			*at = j->next;
			break;
		}
	}
	j->queued = false;
}

/* The head of the queue waits for the locks; those it has got stay held meanwhile, in
 * upstream's order. Everything else of the room goes on. */
static void
jobs_step(struct keeper *room)
{
	while (room->jobs) {
		struct job *j = room->jobs;
		struct lock_at files[LOCK_N];
		struct err e = {0};
		char holder[200] = "";
		store_locks(&room->store, files);
		int r = hold_try(&room->hold, j->want, files, holder, &e);
		if (holder[0])
			room_log(room, LOG_WARNING, "%s", holder);
		if (r == -EAGAIN) {
			loop_timer_set(
			    &room->loop, &room->job_timer, room->hold.delay_ms);
			return;
		}
		job_unlist(j);
		if (r == 0 && (j->want & HOLD_COMMIT) == HOLD_COMMIT)
			journal_redo(&room->store, &room->hold);
		if (r < 0)
			j->failed(j, &e);
		else
			j->run(j);
		hold_release(&room->hold);
	}
	room_stop_check(room);
}

void
job_timer_fired(struct loop_timer *t)
{
	jobs_step(t->arg);
}

/* Never runs before the caller has returned to the loop. */
void
job_add(struct keeper *room, struct job *j)
{
	struct job **at = &room->jobs;

	j->room = room;
	j->next = NULL;
	j->queued = true;
	while (*at)
		at = &(*at)->next;
	*at = j;
	if (room->jobs == j)
		loop_timer_set(&room->loop, &room->job_timer, 1);
}

void
job_cancel(struct job *j)
{
	if (!j->queued)
		return;
	bool head = j->room->jobs == j;
	job_unlist(j);
	if (!head)
		return;
	hold_release(&j->room->hold);
	loop_timer_set(&j->room->loop, &j->room->job_timer, 1);
}
