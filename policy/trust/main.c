/* bulkhead-verdict: one (name, manifest digest), one verdict by the policy it was given,
 * the end. */
#include "common/base/fd.h"
#include "common/base/limits.h"
#include "common/ipc/control.h"
#include "common/json/tree.h"
#include "policy/sandbox/sandbox.h"
#include "policy/trust/trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };

enum { EXPLAINED = 1 };

#define SEND_MS 10000

struct room_state {
	struct chan control, store;
	uint8_t hash[32]; /* of the policy's bytes, as the supervisor computed it */
	struct policy *policy;
	struct err why;		      /* when there is no policy */
	char explain[LIMIT_NAME + 1]; /* "" = to judge */
};

static int
warm_up(void *arg, struct err *e)
{
	jv_warm_up();
	return 0;
}

/* A file that cannot be used does not end the room: every name is refused, and the reason
 * told. */
static int
take_policy(struct room_state *s, struct ipc_msg *m)
{
	CLEANUP(free_ptr) uint8_t *mem = NULL;
	FD_AUTO fd = ipc_msg_take_fd(m, 0);
	char file[LIMIT_PATH + 1];
	size_t n = 0, sealed;

	if (!span_to_str(m->setup_verdict.policy_file, file, sizeof(file)) ||
	    !span_to_str(m->setup_verdict.explain, s->explain, sizeof(s->explain)))
		return -EPROTO;
	memcpy(s->hash, m->setup_verdict.policy, sizeof(s->hash));
	int r = fd_check_sealed(fd, LIMIT_POLICY, &sealed);
	if (!r)
		r = fd_read_whole(fd, LIMIT_POLICY, &mem, &n);
	if (r < 0) {
		err_errno(&s->why, r, "signature policy %.200s", file);
		return 0;
	}
	if (policy_parse(span_of(mem, n), file, &s->policy, &s->why) < 0 && !s->why.code)
		err_set(&s->why, ERR_INTERNAL, "signature policy: not readable");
	return 0;
}

/* Nothing else is done with the policy of a reload before it is adopted. */
static int
say_read(struct room_state *s)
{
	struct ipc_msg m =
	    IPC_MSG(policy_read, .code = s->why.code, .text = span_str(s->why.text));
	char text[1024];

	if (*s->explain && s->policy)
		m.policy_read.text = span_str(
		    policy_explain(s->policy, span_str(s->explain), text, sizeof(text)));
	return chan_send_wait(&s->control, &m, SEND_MS);
}

static int
set_up(struct room_state *s)
{
	static struct ipc_msg m;

	if (control_wait(&s->control, &m, -1) != 0 || m.type != MSG_setup_verdict)
		return -1;
	if (take_policy(s, &m) < 0 || say_read(s) < 0)
		return -1;
	if (*s->explain)
		return EXPLAINED;
	if (control_wait(&s->control, &m, -1) != 0 || m.type != MSG_peer ||
	    m.peer.channel != CH_store_verdict)
		return -1;
	return chan_init(&s->store, ipc_msg_take_fd(&m, 0), CH_store_verdict,
	    ROOM_VERDICT, ROOM_STORE);
}

static int
answer(struct room_state *s, const struct msg_judge *q)
{
	struct policy_verdict v = {.accept = false};

	if (s->policy)
		policy_evaluate(s->policy, q->name, q->digest, &v);
	else
		snprintf(v.text, sizeof(v.text), "%s", s->why.text);
	struct ipc_msg m = IPC_MSG(
	    verdict, .accept = v.accept, .name = q->name, .text = span_str(v.text));
	memcpy(m.verdict.digest, q->digest, sizeof(m.verdict.digest));
	memcpy(m.verdict.policy, s->hash, sizeof(m.verdict.policy));
	return chan_send_wait(&s->store, &m, SEND_MS);
}

int
main(void)
{
	static struct room_state s;
	static struct ipc_msg m;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.warm_up = warm_up, .report = &report};
	const char *why = NULL;

	if (sandbox_enter(ROOM_VERDICT, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(&s.control, ROOM_VERDICT, (unsigned)report.landlock_abi,
		report.landlock) < 0)
		return EXIT_FAILED;
	int r = set_up(&s);
	if (r == EXPLAINED)
		return EXIT_SUCCESS;
	if (r < 0 || chan_recv_wait(&s.store, &m, -1, &why) != 0 || m.type != MSG_judge)
		return EXIT_PROTOCOL;
	return answer(&s, &m.judge) < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
