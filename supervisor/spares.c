/* Rooms that wait for work in their sandboxes. */
#include "supervisor/supervisor.h"

#include "policy/sandbox/status.h"

#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

/* A spare is made when no room was wanted for so long: a start next to a pull would slow
 * it down. */
#define QUIET_MS 60
/* One that ended by itself is not made again at once. */
#define BROKEN_MS 1000

/* What a small pull takes one after the other. apply's rooms are no spares: their root is
 * the layer's tree. */
static const struct {
	enum room room;
	unsigned n;
} stock[] = {
    {ROOM_FETCH, 2}, /* the registry, and its token server or the next scheme */
    {ROOM_DIAL, 2},
    {ROOM_DOCUMENT, 2},
    {ROOM_VERDICT, 1},
    {ROOM_HASH, 1},
    {ROOM_INFLATE, 1},
};

/* What these rooms read of the host before they give it up: one made before a change is
 * of no use after it. */
static const char *const host_files[SPARES_FILES] = {
    "/etc/hosts", "/etc/resolv.conf", "/etc/localtime", "/usr/lib/ssl/openssl.cnf"};

static void
files_stamp(struct file_stamp stamp[SPARES_FILES])
{
	for (size_t i = 0; i < SPARES_FILES; i++) {
		struct stat st;
		stamp[i] = (struct file_stamp){0};
		if (stat(host_files[i], &st) == 0)
			stamp[i] = (struct file_stamp){
			    st.st_dev, st.st_ino, st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
	}
}

static bool
host_is_same(const struct supervisor *s)
{
	struct file_stamp now[SPARES_FILES];

	files_stamp(now);
	return memcmp(now, s->spares.stamp, sizeof(now)) == 0;
}

void
spares_kill(struct supervisor *s)
{
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->spare)
			room_kill(r);
	}
}

static unsigned
spares_count(const struct supervisor *s, enum room room)
{
	unsigned n = 0;

	for (const struct room_entry *r = s->rooms; r; r = r->next)
		n += r->spare && !r->killed && r->profile->room == room;
	return n;
}

static void
spares_fill(struct loop_timer *t)
{
	struct supervisor *s = t->arg;
	struct err e = {0};
	unsigned alive = 0;

	if (s->stopping || s->sweeping || s->daemon.ending)
		return;
	for (const struct room_entry *r = s->rooms; r; r = r->next)
		alive++;
	if (alive > LIMIT_ROOMS / 2) {
		loop_timer_set(&s->loop, t, BROKEN_MS);
		return;
	}
	if (!host_is_same(s))
		spares_kill(s);
	files_stamp(s->spares.stamp);
	for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
		unsigned n = spares_count(s, stock[i].room);
		for (; n < stock[i].n; n++) {
			struct room_entry *r = room_start(
			    s, stock[i].room, SANDBOX_MODE_PLAIN, 0, 0, -1, &e);
			if (!r) { /* whoever wants one hears why */
				loop_timer_set(&s->loop, t, BROKEN_MS);
				return;
			}
			r->spare = true;
		}
	}
}

void
spares_begin(struct supervisor *s)
{
	s->spares.fill = (struct loop_timer){.fired = spares_fill, .arg = s};
	loop_timer_set(&s->loop, &s->spares.fill, QUIET_MS);
}

void
spare_gone(struct room_entry *r, int status)
{
	struct supervisor *s = r->s;

	if (!r->killed)
		supervisor_log(s, 4, "%s ended while it waited for work (%s %d)",
		    r->profile->name, status >= 256 ? "signal" : "status", status & 255);
	loop_timer_set(&s->loop, &s->spares.fill, r->killed ? QUIET_MS : BROKEN_MS);
}

/* Its end may not have been heard of yet. */
static bool
is_dead(const struct room_entry *r)
{
	struct pollfd p = {.fd = r->sandbox.pidfd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

/* One that has said HELLO, or else one that is about to. */
static struct room_entry *
spare_find(struct supervisor *s, enum room room)
{
	struct room_entry *found = NULL;

	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->spare && !r->killed && r->profile->room == room &&
		    (!found || r->confined) && !is_dead(r))
			found = r;
	}
	return found;
}

struct room_entry *
room_get(struct supervisor *s, enum room room, enum sandbox_mode mode, uint64_t pull,
    uint64_t token, int dir, struct err *e)
{
	struct room_entry *r = NULL;

	if (s->spares.fill.fired)
		loop_timer_set(&s->loop, &s->spares.fill, QUIET_MS);
	if (mode == SANDBOX_MODE_PLAIN && (r = spare_find(s, room)) && !host_is_same(s)) {
		spares_kill(s);
		r = NULL;
	}
	if (!r)
		return room_start(s, room, mode, pull, token, dir, e);
	r->spare = false;
	r->pull = pull;
	r->token = token;
	return r;
}

void
spares_settle(struct supervisor *s)
{
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->confined && !r->ready && !r->spare && !r->idle && !r->killed &&
		    room_begin(r) < 0)
			room_kill(r);
	}
}

char *
spares_text(const struct supervisor *s, char *dst, size_t cap)
{
	size_t n = 0;

	*dst = 0;
	for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
		int w = snprintf(dst + n, cap - n, "%s%u %s", n ? ", " : "",
		    spares_count(s, stock[i].room), room_name(stock[i].room));
		n += w > 0 && (size_t)w < cap - n ? (size_t)w : 0;
	}
	return dst;
}
