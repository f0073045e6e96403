/* Who decides on a pull, and on what. */
#include "tests/store/world.h"

static void
test_silent_verdict_room(void **state)
{
	struct world *w = *state;
	struct chan c = {.fd = -1};
	struct ipc_msg m;
	char text[2048];

	w->k.answer_ms = 1000; /* the document rooms of this test are faster */
	documents(w);
	wanted(w, ROOM_VERDICT, &m);
	give(w, &c, CH_store_verdict, ROOM_VERDICT, PULL, m.want.token);
	expect(w, &c, MSG_judge, &m);
	assert_int_equal(pull_ended(w, text), ERR_INTERNAL);
	assert_non_null(strstr(text, "verdict room had not done its work"));
	chan_release(&c);
}

static void
verdict_case(struct world *w, bool accept, const char *name, const uint8_t *policy,
    enum err_class code)
{

	documents(w);
	judge_with(w, accept, name, policy);
	assert_ended(w, code);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
}

static void
test_verdict_refuses(void **state)
{
	struct world *w = *state;

	verdict_case(w, false, NAME, w->policy, ERR_POLICY);
}

/* A reload came between question and answer: the question is asked again, some times. */
static void
test_verdict_of_old_policy(void **state)
{
	static const uint8_t old[32] = {1};
	struct world *w = *state;

	documents(w);
	judge_with(w, true, NAME, old);
	judge_with(w, false, NAME, old);
	judge_with(w, true, NAME, old);
	assert_ended(w, ERR_POLICY);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
}

/* The policy becomes another one while the layers come in: nothing is committed by what
 * the old one said. */
static void
policy_changes(struct world *w, bool accept, enum err_class code)
{
	struct chan check = {.fd = -1};
	uint64_t token;

	documents(w);
	layer_rooms(w);
	w->policy[0] ^= 1;
	memcpy(w->k.policy, w->policy, sizeof(w->policy));
	fill_stage(w);
	applied(w);
	check_room(w, &check, &token);
	checked(w, &check, token);
	judge_with(w, accept, NAME, w->policy);
	assert_ended(w, code);
	sh(w->f, accept ? 0 : 1, "test -e @D/G/overlay-images/images.json");
}

static void
test_policy_changes_and_accepts(void **state)
{
	policy_changes(*state, true, ERR_OK);
}

static void
test_policy_changes_and_refuses(void **state)
{
	policy_changes(*state, false, ERR_POLICY);
}

/* Numbers of a new frontend's pulls are its own. */
static void
test_another_frontend(void **state)
{
	struct world *w = *state;

	documents(w);
	chan_release(&w->frontend);
	port_release(&w->k.frontend);
	pulls_end(&w->k, "the frontend is gone");
	pulls_forget(&w->k);
	peer_open(&w->k, &w->k.frontend, &w->frontend, CH_frontend_store, ROOM_FRONTEND,
	    frontend_message);
	chan_release(&w->fetch);
	ask(w, PULL_NEVER, NAME, NULL);
	assert_ended(w, ERR_NOT_FOUND);
}

static void
test_verdict_on_another_name(void **state)
{
	struct world *w = *state;

	verdict_case(w, true, "docker.io/library/foo:b", w->policy, ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_silent_verdict_room),
	    WORLD_TEST(test_verdict_refuses),
	    WORLD_TEST(test_verdict_of_old_policy),
	    WORLD_TEST(test_policy_changes_and_accepts),
	    WORLD_TEST(test_policy_changes_and_refuses),
	    WORLD_TEST(test_another_frontend),
	    WORLD_TEST(test_verdict_on_another_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
