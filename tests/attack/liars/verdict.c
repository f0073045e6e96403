/* A verdict room that a hostile signature has taken over: it may turn the verdict on its
 * own name and manifest, and no other. */
#include "tests/attack/liars/liar.h"

#include <stdlib.h>
#include <unistd.h>

static bool
accepts(struct chan *c, struct ipc_msg *m)
{
	m->verdict.accept = 1;
	return true;
}

static bool
other_name(struct chan *c, struct ipc_msg *m)
{
	m->verdict.name = span_str("registry.example/trusted/name:latest");
	return accepts(c, m);
}

static bool
other_digest(struct chan *c, struct ipc_msg *m)
{
	m->verdict.digest[31] ^= 1;
	return accepts(c, m);
}

static bool
other_policy(struct chan *c, struct ipc_msg *m)
{
	m->verdict.policy[0] ^= 1;
	return accepts(c, m);
}

static bool
twice(struct chan *c, struct ipc_msg *m)
{
	accepts(c, m);
	liar_say(c, m);
	return true;
}

static bool
other_name_first(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = *m;

	other_name(c, &lie);
	liar_say(c, &lie);
	return true;
}

static bool
then_crash(struct chan *c, struct ipc_msg *m)
{
	accepts(c, m);
	liar_say(c, m);
	abort();
}

static bool
then_fail(struct chan *c, struct ipc_msg *m)
{
	accepts(c, m);
	liar_say(c, m);
	_exit(1);
}

static bool
plays_document(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(index_answer, .size = 1);

	liar_say(c, &lie);
	return accepts(c, m);
}

static bool
accepts_half(struct chan *c, struct ipc_msg *m)
{
	liar_say_raw(c, "\x92\xcc\x91\x81\x01\x01", 6, NULL, 0);
	return false;
}

/* ---- what it says of the policy, on its control channel ---- */

static bool
reads_crash(struct chan *c, struct ipc_msg *m)
{
	abort();
}

static bool
reads_settings(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg row =
	    IPC_MSG(config_row, .key = span_str("root"), .value = span_str("/elsewhere"));

	liar_say(c, &row);
	return true;
}

static bool
reads_secrets(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg s = IPC_MSG(config_secret, .scope = span_str("registry.example"),
	    .kind = SECRET_BASIC, .secret = span_str("a:b"));

	liar_say(c, &s);
	return true;
}

static bool
reads_logs(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg line = IPC_MSG(log, .level = 3, .text = span_str("still reading"));

	for (int i = 0; i < 1 << 20; i++)
		liar_say(c, &line);
	return true;
}

const struct lie liar_lies[] = {
    {"accepts", MSG_verdict, accepts},
    {"other-name", MSG_verdict, other_name},
    {"other-name-first", MSG_verdict, other_name_first},
    {"other-digest", MSG_verdict, other_digest},
    {"other-policy", MSG_verdict, other_policy},
    {"twice", MSG_verdict, twice},
    {"then-crash", MSG_verdict, then_crash},
    {"then-fail", MSG_verdict, then_fail},
    {"nothing", MSG_verdict, liar_silent},
    {"plays-document", MSG_verdict, plays_document},
    {"accepts-half", MSG_verdict, accepts_half},
    {"reads-crash", MSG_policy_read, reads_crash},
    {"reads-twice", MSG_policy_read, liar_twice},
    {"reads-settings", MSG_policy_read, reads_settings},
    {"reads-secrets", MSG_policy_read, reads_secrets},
    {"reads-logs", MSG_policy_read, reads_logs},
    {"reads-nothing", MSG_policy_read, liar_silent},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
}
