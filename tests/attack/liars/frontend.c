/* A frontend that a client has taken over. It gains false answers, removal of what nobody
 * uses, and any bytes under a name that policy lets pass unsigned: no name that policy
 * refuses, no image in use, no secret from files, no other room. */
#include "tests/attack/liars/liar.h"

#include <stdlib.h>
#include <unistd.h>

#define FLOOD 3000
#define REJECTED "rejected.example/name:latest"

/* ---- to the store, instead of or beside the pull that the command wants ---- */

static bool
other_name(struct chan *c, struct ipc_msg *m)
{
	m->pull.name = span_str(REJECTED);
	return true;
}

static bool
path_name(struct chan *c, struct ipc_msg *m)
{
	m->pull.name = span_str("127.0.0.1/../../etc/shadow:latest");
	return true;
}

static bool
short_name(struct chan *c, struct ipc_msg *m)
{
	m->pull.name = span_str("busybox");
	return true;
}

static bool
unpinned(struct chan *c, struct ipc_msg *m)
{
	m->pull.pinned = 0;
	return true;
}

static bool
other_pin(struct chan *c, struct ipc_msg *m)
{
	m->pull.digest[0] ^= 1;
	return true;
}

static bool
other_cancels(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(cancel, .pull = 0, .text = span_str("no"));

	liar_say(c, m);
	for (lie.cancel.pull = 1000; lie.cancel.pull < 1000 + FLOOD; lie.cancel.pull++)
		liar_say(c, &lie);
	return false;
}

static bool
many_pulls(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = *m;

	for (lie.pull.pull = 1000; lie.pull.pull < 1000 + FLOOD; lie.pull.pull++)
		liar_say(c, &lie);
	return true;
}

static bool
many_questions(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg list = IPC_MSG(images, .req = 7),
		       tag = IPC_MSG(tag, .req = 8, .ref = span_str(liar_text()),
			   .name = span_str(REJECTED));

	for (unsigned i = 0; i < FLOOD / 2; i++) {
		liar_say(c, &list);
		liar_say(c, &tag);
	}
	return true;
}

/* Layers begin anew that nothing is wrong with: of its pull, and of pulls that are none.
 */
static bool
agains(struct chan *c, struct ipc_msg *m)
{
	for (uint64_t pull = 0; pull < 4; pull++)
		for (uint64_t index = 0; index < LIMIT_LAYERS; index++) {
			struct ipc_msg lie = IPC_MSG(again, .pull = pull, .index = index);
			liar_say(liar_chan(CH_frontend_store), &lie);
		}
	return true;
}

static bool
tags(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    tag, .req = 7, .ref = span_str(liar_text()), .name = span_str(REJECTED));

	liar_say(c, &lie);
	lie.tag.name = span_str("127.0.0.1/../../../etc/passwd:latest");
	liar_say(c, &lie);
	lie.tag.name = span_str("Rejected.Example/x\n\x1b[2J");
	liar_say(c, &lie);
	return true;
}

static bool
removes(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie =
	    IPC_MSG(remove, .req = 7, .ref = span_str(liar_text()), .force = 1);

	liar_say(c, &lie);
	lie.remove.ref = span_str("../../../../etc");
	liar_say(c, &lie);
	return true;
}

/* ---- the words of others ---- */

static bool
plays_store(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(pull_end, .pull = m->pull.pull, .code = 0);

	liar_say(c, m);
	liar_say(c, &lie);
	return false;
}

static bool
garbage(struct chan *c, struct ipc_msg *m)
{
	liar_say_raw(c, "\x92\x30\x88\x01\x01\x02\xdb\xff\xff\xff\xff", 11, NULL, 0);
	return true;
}

static bool
wants_document(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(want, .room = ROOM_DOCUMENT, .pull = m->pull.pull);

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
wants_apply(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(want_apply, .mode = APPLY_ERASE);

	lie.fds[0] = c->fd;
	lie.nfds = 1;
	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
claims(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(claim, .pull = m->pull.pull, .token = 1);

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
gives_key(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(access_key);

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
many_status(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(status, .req = 9);

	for (unsigned i = 0; i < 300; i++)
		liar_say(liar_chan(CH_control), &lie);
	return true;
}

/* ---- rooms ---- */

static bool
metadata(struct chan *c, struct ipc_msg *m)
{
	m->want_fetch.scheme = SCHEME_HTTP;
	m->want_fetch.auth = AUTH_NONE;
	m->want_fetch.host = span_str("169.254.169.254");
	m->want_fetch.port = 80;
	m->want_fetch.address_floor = FLOOR_LOOPBACK;
	return true;
}

static bool
many_fetchers(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = *m;

	for (unsigned i = 0; i < 300; i++) {
		lie.want_fetch.fetch = 1000 + i;
		lie.want_fetch.pull = 1000 + i;
		liar_say(c, &lie);
	}
	return true;
}

/* The secret that a file holds for the host in liar_text(), to the registry of the pull.
 */
static bool
steals(struct chan *c, struct ipc_msg *m)
{
	if (m->type == MSG_want_fetch) {
		m->want_fetch.auth = AUTH_FILES;
		m->want_fetch.auth_host = span_str(liar_text());
	} else if (m->type == MSG_get) {
		m->get.auth = 1;
	}
	return true;
}

/* The same by way of a fetcher that says it is a token server's. */
static bool
steals_token(struct chan *c, struct ipc_msg *m)
{
	static struct ipc_msg first;

	if (m->type == MSG_want_fetch && !first.type) {
		liar_say(c, m);
		first = *m;
		m->want_fetch.parent = first.want_fetch.fetch;
		m->want_fetch.fetch += 500;
		m->want_fetch.auth = AUTH_FILES;
		m->want_fetch.auth_host = span_str(liar_text());
	}
	return true;
}

/* Everything ends, again and again, when the layers begin (liar_heard). */
static void
end_all(const struct msg_layer *l)
{
	struct ipc_msg lie = IPC_MSG(end, .pull = l->pull);

	for (unsigned i = 0; i < 200; i++)
		liar_say(liar_chan(CH_control), &lie);
	lie.end.pull = 0;
	liar_say(liar_chan(CH_control), &lie);
	for (lie.end.room = 1; lie.end.room < 31; lie.end.room++)
		for (lie.end.token = 0; lie.end.token < 10; lie.end.token++)
			liar_say(liar_chan(CH_control), &lie);
}

/* ---- to the command ---- */

static bool
says_done(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(cli_pulled, .req = m->cli_done.req, .fresh = 1);

	liar_digest(lie.cli_pulled.image);
	liar_say(c, &lie);
	m->cli_done.code = 0;
	return true;
}

/* A text that cannot be read: its own socket. */
static bool
odd_text(struct chan *c, struct ipc_msg *m)
{
	m->fds[0] = c->fd;
	return true;
}

static bool
terminal(struct chan *c, struct ipc_msg *m)
{
	m->cli_done.text = span_str("\x1b]0;owned\x07\x1b[2J\nroot@host:~# ");
	m->cli_done.code = 255;
	return true;
}

const struct lie liar_lies[] = {
    {"other-name", MSG_pull, other_name},
    {"path-name", MSG_pull, path_name},
    {"short-name", MSG_pull, short_name},
    {"unpinned", MSG_pull, unpinned},
    {"other-pin", MSG_pull, other_pin},
    {"twice", MSG_pull, liar_twice},
    {"other-cancels", MSG_pull, other_cancels},
    {"many-pulls", MSG_pull, many_pulls},
    {"many-questions", MSG_pull, many_questions},
    {"tags", MSG_pull, tags},
    {"removes", MSG_pull, removes},
    {"plays-store", MSG_pull, plays_store},
    {"garbage", MSG_pull, garbage},
    {"wants-document", MSG_pull, wants_document},
    {"wants-apply", MSG_pull, wants_apply},
    {"claims", MSG_pull, claims},
    {"gives-key", MSG_pull, gives_key},
    {"many-status", MSG_pull, many_status},
    {"metadata", MSG_want_fetch, metadata},
    {"many-fetchers", MSG_want_fetch, many_fetchers},
    {"agains", MSG_want_fetch, agains},
    {"same-fetcher", MSG_want_fetch, liar_twice},
    {"steals", 0, steals},
    {"steals-token", 0, steals_token},
    {"ends-all", 0, NULL},
    {"says-done", MSG_cli_done, says_done},
    {"odd-text", MSG_cli_text, odd_text},
    {"terminal", MSG_cli_done, terminal},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
	if (m->type == MSG_layer && liar_is("ends-all"))
		end_all(&m->layer);
}

void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
}
