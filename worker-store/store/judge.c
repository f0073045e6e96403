#include "worker-store/store/judge.h"

#define TRIES 3

static void judge_gone(struct helper *h);
static void judge_failed(struct helper *h, const char *text);

static void
judge_ask(struct helper *h)
{
	struct judge *j = h->arg;
	struct ipc_msg m = IPC_MSG(judge, .name = span_str(j->name));

	memcpy(m.judge.digest, j->digest, sizeof(j->digest));
	port_send(&h->port, &m);
}

/* Only a verdict on exactly this name and digest, by the policy in force, counts. */
static int
judge_message(struct helper *h, struct ipc_msg *m)
{
	struct judge *j = h->arg;
	const struct msg_verdict *v = &m->verdict;
	char why[1024];

	if (m->type != MSG_verdict || j->have || !span_is(v->name, j->name) ||
	    memcmp(v->digest, j->digest, sizeof(j->digest)) != 0)
		return -1;
	j->have = true;
	memcpy(j->policy, v->policy, sizeof(j->policy));
	j->stale = !judge_is_current(h->room, j);
	if (j->stale)
		err_set(&j->e, ERR_POLICY,
		    "the policy has changed since the verdict was given: try again");
	else if (!v->accept)
		err_set(&j->e, ERR_POLICY, "%s",
		    v->text.n ? span_escape(v->text, why, sizeof(why))
			      : "the policy refuses it");
	return 0;
}

static void
judge_ask_again(struct keeper *room, struct judge *j)
{
	static const struct helper_ops ops = {
	    judge_ask, judge_message, judge_gone, judge_failed};

	j->have = j->stale = false;
	j->e = (struct err){0};
	j->helper.arg = j;
	j->tries++;
	helper_want(
	    room, &j->helper, ROOM_VERDICT, j->helper.pull, room_token(room), 0, &ops);
}

static void
judge_end(struct judge *j)
{
	struct keeper *room = j->helper.room;

	helper_drop(&j->helper);
	if (j->stale && j->tries < TRIES) {
		judge_ask_again(room, j);
		return;
	}
	j->decided(j, j->e.code ? &j->e : NULL);
}

static void
judge_gone(struct helper *h)
{
	struct judge *j = h->arg;

	if (!j->have)
		err_set(&j->e, ERR_INTERNAL, "the verdict room ended without a verdict");
	judge_end(j);
}

static void
judge_failed(struct helper *h, const char *text)
{
	struct judge *j = h->arg;

	if (!j->have || !j->e.code) {
		j->e = (struct err){0};
		err_set(&j->e, ERR_INTERNAL, "%s", text);
	}
	judge_end(j);
}

void
judge_start(struct keeper *room, struct judge *j, uint64_t pull)
{
	j->tries = 0;
	j->helper.pull = pull;
	judge_ask_again(room, j);
}

bool
judge_is_current(const struct keeper *room, const struct judge *j)
{
	return memcmp(j->policy, room->policy, sizeof(j->policy)) == 0;
}
