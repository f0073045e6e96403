/* What the end of a room means, and the orderly end of all. */
#include "supervisor/supervisor.h"

static void
gone_tell(struct room_entry *to, const struct room_entry *r, int status)
{
	struct ipc_msg m = IPC_MSG(gone, .room = r->profile->room, .pull = r->pull,
	    .token = r->token, .status = (uint64_t)status & 511);

	if (to && to->ready)
		port_send(&to->control, &m);
}

/* One that failed before it was ready has read nothing: nobody's bytes are to blame. */
static void
end_tell(struct room_entry *store, const struct room_entry *r, int status)
{
	if (r->ready || !r->unready.code)
		gone_tell(store, r, status);
	else if (store && store->ready)
		room_refuse(store, r->profile->room, r->pull, r->token, &r->unready);
}

void
store_sweep_start(struct supervisor *s)
{
	struct err e = {0};

	s->sweeping = true;
	s->stopping = false;
	s->store = room_start(s, ROOM_STORE, SANDBOX_MODE_PLAIN, 0, 0, -1, &e);
	if (!s->store) {
		supervisor_log(s, 3, "%s", e.text);
		loop_quit(&s->loop);
	}
}

/* Without a store nothing can be done; a fresh one removes what the dead one left, and
 * ends. */
static void
store_gone(struct supervisor *s, int status)
{
	s->store = NULL;
	if (s->sweeping || (s->stopping && status == 0)) {
		loop_quit(&s->loop);
		return;
	}
	supervisor_log(s, 3, "the store worker ended (%s %d); cleaning up after it",
	    status >= 256 ? "signal" : "status", status & 255);
	s->exit_code = ERR_INTERNAL;
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r != s->frontend)
			room_kill(r);
	}
	store_sweep_start(s);
}

void
rooms_orphan(struct supervisor *s, unsigned askers)
{
	if (askers & 1u << ROOM_FRONTEND)
		searches_drop(s, 0, true);
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r == s->store || r == s->frontend || r->spare ||
		    !(r->idle || r->profile->asked_by & askers))
			continue;
		r->orphan = !r->idle;
		room_kill(r);
	}
}

/* It has done nothing yet that would have to be cleared away; but a daemon's may follow
 * one that was killed: then it is told at its HELLO to clear away what that one left. */
static void
stop_young_store(struct supervisor *s)
{
	s->sweeping = true;
	if (s->settings.embedded)
		room_kill(s->store);
	else
		s->stopping = false; /* as store_sweep_start has it */
}

void
supervisor_stop(struct supervisor *s, int exit_code)
{
	struct ipc_msg m = IPC_MSG(stop);

	if (s->stopping)
		return;
	s->stopping = true;
	searches_drop(s, 0, true);
	if (!s->exit_code)
		s->exit_code = exit_code;
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r != s->store && r->profile->mode != SANDBOX_MODE_REMOVE)
			room_kill(r);
	}
	if (!s->store)
		loop_quit(&s->loop);
	else if (s->store->ready)
		port_send(&s->store->control, &m);
	else
		stop_young_store(s);
}

void
room_gone(struct room_entry *r, int status)
{
	struct supervisor *s = r->s;

	if (r->explain) {
		explain_gone(r);
	} else if (r->idle) {
		status_room(r, "ended early");
	} else if (r->spare) {
		spare_gone(r, status);
	} else if (r->search) {
		search_room_gone(r, status);
	} else if (r->orphan) {
		return;
	} else if (r == s->store) {
		if (s->settings.embedded || s->stopping || s->sweeping)
			store_gone(s, status);
		else
			daemon_store_gone(s, status);
	} else if (r == s->frontend && !s->settings.embedded) {
		daemon_frontend_gone(s, status);
	} else if (r == s->frontend) {
		s->frontend = NULL;
		if (status != 0 && !s->stopping)
			supervisor_log(s, 3, "the frontend ended (%s %d)",
			    status >= 256 ? "signal" : "status", status & 255);
		if (!s->sweeping)
			supervisor_stop(s, status == 0 ? 0 : ERR_INTERNAL);
	} else if (r->profile->asked_by & 1u << ROOM_STORE) {
		end_tell(s->store, r, status);
	} else if (r->profile->room == ROOM_FETCH) {
		gone_tell(s->frontend, r, status);
	}
}
