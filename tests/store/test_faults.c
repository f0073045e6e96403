/* Killed at every step of a commit, a tag and a removal: podman loads the store each
 * time, the next process sweeps, and the same request then goes through. */
#include "tests/store/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int kill_at, count;

static void
step(enum failpoint p)
{
	if (++count == kill_at)
		kill(getpid(), SIGKILL);
}

static void
nothing(void *arg, bool deleted, const char *text)
{
}

static int
remove_it(struct fixture *f, const char *id)
{
	take(f, HOLD_COMMIT);
	int r = store_remove_image(&f->s, &f->h, id, nothing, NULL, &f->e);
	hold_release(&f->h);
	return r;
}

/* Runs one request in a child that dies at its k-th step. true: it got through. */
static bool
killed(struct fixture *f, struct image *im, const char *id, int k)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct commit_result res;
		kill_at = k;
		failpoint_hook = step;
		/* A process of its own: the parent's staging must not look dead. */
		struct fixture mine = *f;
		mine.h = HOLD_NONE;
		if (store_open(&mine.s, f->graph, f->run, -1, &mine.e) < 0)
			_exit(2);
		if (im)
			image_stage(&mine, im);
		_exit((im ? image_commit(&mine, im, &res) : remove_it(&mine, id)) == 0
			  ? 0
			  : 3);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("step %d: status %x", k, status);
	return false;
}

static void
sweep(struct fixture *f)
{
	struct swept swept = {0};

	if (store_sweep(&f->s, &f->h, &swept, &f->e) < 0)
		fail_msg("%s", f->e.text);
}

/* No layer directory without a record, no link without a layer, no image half there. */
static void
consistent(struct fixture *f)
{
	char *out = sh(f, 0, "python3 tests/store/consistent.py @D/G");
	assert_string_equal(out, "ok\n");
}

static void
test_kill_commit(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	int k = 1;

	image_make(f, &im, "a", 2, true);
	for (bool through = false; !through; k++) {
		through = killed(f, &im, NULL, k);
		sh(f, 0, "@P images -q 2>&1");
		sweep(f);
		consistent(f);
		for (size_t i = 0; i < 2; i++)
			im.staged[i] = STAGED_NONE;
		image_stage(f, &im);
		if (image_commit(f, &im, &res) != 0)
			fail_msg("after step %d: %s", k, f->e.text);
		sh(f, 0,
		    "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out%d:a 2>&1", k);
		assert_int_equal(remove_it(f, res.id), 0);
		for (size_t i = 0; i < 2; i++)
			store_layer_staging_drop(&f->s, &im.staged[i]);
		consistent(f);
	}
	assert_true(k > 15); /* the steps were there */
	image_free(f, &im);
}

static void
kill_remove(struct fixture *f, bool podman_first)
{
	struct image im;
	struct commit_result res;
	int k = 1;

	image_make(f, &im, "a", 2, true);
	for (bool through = false; !through; k++) {
		image_stage(f, &im);
		if (image_commit(f, &im, &res) != 0)
			fail_msg("%s", f->e.text);
		through = killed(f, NULL, res.id, k);
		if (podman_first)
			sh(f, 0, "@P images -q 2>&1");
		for (size_t i = 0; i < 2; i++)
			store_layer_staging_drop(&f->s, &im.staged[i]);
		sweep(f);
	}
	assert_true(k > 5);
	image_free(f, &im);
}

/* A record marked incomplete is cleared by whoever loads the store next. */
static void
test_kill_remove(void **state)
{
	kill_remove(*state, false);
}

static void
test_kill_remove_then_podman(void **state)
{
	kill_remove(*state, true);
}

static struct fixture *breaking;

/* Just before images.json is written: its lock is lost, so its token cannot be. */
static void
break_images(enum failpoint p)
{
	int null = p == FAILPOINT_LAYERS_PUBLISHED
		       ? open("/dev/null", O_RDONLY | O_CLOEXEC)
		       : -1;

	if (null >= 0) {
		dup2(null, breaking->h.fd[LOCK_IMAGES]);
		close(null);
	}
}

/* The layers' records are there already when the image's cannot be written: all of it
 * goes again, and the next try goes through. */
static void
test_failed_image_record(void **state)
{
	struct fixture *f = breaking = *state;
	struct commit_result res;
	struct image im;

	image_make(f, &im, "a", 2, true);
	image_stage(f, &im);
	failpoint_hook = break_images;
	assert_true(image_commit(f, &im, &res) < 0);
	failpoint_hook = NULL;
	assert_string_equal(sh(f, 0, "cat @D/G/overlay-layers/layers.json"), "[]");
	consistent(f);
	image_free(f, &im);
	image_make(f, &im, "a", 2, true);
	image_stage(f, &im);
	assert_int_equal(image_commit(f, &im, &res), 0);
	consistent(f);
	image_free(f, &im);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_kill_commit, fixture_new, fixture_free),
	    cmocka_unit_test_setup_teardown(test_kill_remove, fixture_new, fixture_free),
	    cmocka_unit_test_setup_teardown(
		test_failed_image_record, fixture_new, fixture_free),
	    cmocka_unit_test_setup_teardown(
		test_kill_remove_then_podman, fixture_new, fixture_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
