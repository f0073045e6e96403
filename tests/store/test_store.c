/* Opening, locks, staging and sweeping, finding, tags and removal. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void
commit(struct fixture *f, struct image *im, const char *tag, int layers, const char *name,
    struct commit_result *res)
{
	image_make(f, im, tag, layers, true);
	im->rq.name = name;
	image_stage(f, im);
	if (image_commit(f, im, res) != 0)
		fail_msg("%s", f->e.text);
}

static void
test_layout(void **state)
{
	struct fixture *f = *state;
	char *out = sh(f, 0,
	    "cd @D/G && stat -c '%%a %%n' . overlay overlay/l overlay/.has* "
	    "overlay-layers overlay-images overlay-containers bulkhead "
	    "bulkhead/key && cat overlay/.has*");

	assert_string_equal(out,
	    "700 .\n700 overlay\n755 overlay/l\n600 overlay/.has-mount-program\n"
	    "700 overlay-layers\n700 overlay-images\n700 overlay-containers\n700 "
	    "bulkhead\n"
	    "600 bulkhead/key\nfalse");
}

static void
test_refused_roots(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct store s;

	put_file(f, "G/overlay/.has-mount-program", "true");
	assert_true(store_prepare(f->graph, &e) < 0);
	assert_int_equal(e.code, ERR_CONTENT);
	put_file(f, "G/overlay/.has-mount-program", "");
	e = (struct err){0};
	assert_true(store_prepare(f->graph, &e) < 0);
	assert_non_null(strstr(e.text, "is empty"));
	put_file(f, "G/overlay/.has-mount-program", "false");
	sh(f, 0, "chmod 770 @D/G");
	assert_true(store_prepare(f->graph, NULL) < 0);
	sh(f, 0, "chmod 700 @D/G && chown 5 @D/G/overlay");
	assert_true(store_prepare(f->graph, NULL) < 0);
	sh(f, 0, "chown 0 @D/G/overlay");
	assert_int_equal(store_prepare(f->graph, NULL), 0);
	/* A mount of its own on overlay/. */
	FD_AUTO other = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e = (struct err){0};
	assert_true(store_open(&s, f->graph, f->run, other, &e) < 0);
	assert_int_equal(e.code, ERR_CONTENT);
	FD_AUTO same = openat(f->graph, "overlay", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(store_open(&s, f->graph, f->run, same, &e), 0);
	store_close(&s);
	sh(f, 0, "mv @D/G/overlay-images @D/else && ln -s @D/else @D/G/overlay-images");
	assert_true(store_prepare(f->graph, NULL) < 0);
}

/* Podman makes the file empty and fills it afterwards. */
static void
test_mount_program_being_written(void **state)
{
	struct fixture *f = *state;

	put_file(f, "G/overlay/.has-mount-program", "");
	sh(f, 0,
	    "(sleep 0.1; printf false >@D/G/overlay/.has-mount-program) "
	    ">/dev/null 2>&1 &");
	assert_int_equal(store_prepare(f->graph, &f->e), 0);
	assert_string_equal(
	    sh(f, 1, "cat @D/G/overlay/.has*; ls @D/G/bulkhead | grep new-"), "false");
}

/* A child that holds a lock as podman does. Write end of its stdin in *in. */
static pid_t
hold_lock(struct fixture *f, const char *path, bool shared, int *in)
{
	char full[256], word[8];
	int to[2], from[2];

	snprintf(full, sizeof(full), "%s/%s", f->dir, path);
	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execlp("python3", "python3", "tests/store/holder.py", full,
		    shared ? "sh" : NULL, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	assert_true(read(from[0], word, 5) > 0);
	close(from[0]);
	*in = to[1];
	return pid;
}

static void
let_go(pid_t pid, int in)
{
	close(in);
	waitpid(pid, NULL, 0);
}

static void
test_lock_conflict(void **state)
{
	struct fixture *f = *state;
	struct lock_at files[LOCK_N];
	char holder[200] = "", want[32];
	int in;

	store_locks(&f->s, files);
	pid_t pid = hold_lock(f, "G/overlay-images/images.lock", false, &in);
	uint64_t start = monotonic_ns();
	int r = hold_wait(&f->h, HOLD_COMMIT, files, start + 300000000, &f->e);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(f->e.code, ERR_DEADLINE);
	assert_true(monotonic_ns() - start >= 300000000);
	assert_int_equal(f->h.want, 1u << LOCK_LAYERS); /* what came first stays */
	assert_int_equal(f->h.delay_ms, 50);
	f->h.since_ns -= UINT64_C(2000000000);
	assert_int_equal(hold_try(&f->h, HOLD_COMMIT, files, holder, &f->e), -EAGAIN);
	snprintf(want, sizeof(want), "process %d holds it", pid);
	assert_non_null(strstr(holder, "images.lock"));
	assert_non_null(strstr(holder, want));
	let_go(pid, in);
	assert_int_equal(hold_try(&f->h, HOLD_COMMIT, files, NULL, &f->e), 0);
	/* Now the other one waits for us. */
	sh(f, 124,
	    "timeout 0.3 python3 tests/store/holder.py @D/G/overlay-layers/layers.lock < "
	    "/dev/null");
	hold_release(&f->h);
	sh(f, 0,
	    "timeout 60 python3 tests/store/holder.py @D/G/overlay-layers/layers.lock < "
	    "/dev/null");
	/* A reader of the containers is no obstacle: this room only reads them too. */
	pid = hold_lock(f, "G/overlay-containers/containers.lock", true, &in);
	assert_int_equal(hold_try(&f->h, HOLD_COMMIT, files, NULL, &f->e), 0);
	hold_release(&f->h);
	let_go(pid, in);
}

/* Two saves, two tokens of exactly 64 bytes. */
static void
test_tokens(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result res;

	commit(f, &a, "a", 1, "docker.io/library/foo:a", &res);
	char *one = strdup(sh(f, 0,
	    "cd @D/G && sha256sum overlay-*/*.lock; stat -c %%s "
	    "overlay-layers/layers.lock overlay-images/images.lock"));
	assert_non_null(strstr(one, "\n64\n64\n"));
	commit(f, &b, "b", 2, "docker.io/library/foo:b", &res);
	char *two = sh(f, 0,
	    "cd @D/G && sha256sum overlay-*/*.lock; stat -c %%s "
	    "overlay-layers/layers.lock overlay-images/images.lock");
	assert_string_not_equal(one, two);
	assert_non_null(strstr(two, "\n64\n64\n"));
	free(one);
	image_free(f, &a);
	image_free(f, &b);
}

static void
note(void *arg, bool deleted, const char *text)
{
	if (arg)
		buf_fmt(arg, "%d %.80s\n", deleted, text);
}

static struct record *
find(struct fixture *f, struct view *v, const char *ref)
{
	f->e = (struct err){0};
	return view_find(v, span_str(ref), &f->e);
}

static void
test_find(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result ra, rb;
	CLEANUP(view_free) struct view v = VIEW_NONE;
	char text[200], digest[DIGEST_TEXT + 1];

	commit(f, &a, "a", 1, "docker.io/library/foo:a", &ra);
	commit(f, &b, "b", 2, "docker.io/library/foo:b", &rb);
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	assert_true(span_is(find(f, &v, ra.id)->id, ra.id));
	snprintf(text, sizeof(text), "sha256:%s", rb.id);
	assert_true(span_is(find(f, &v, text)->id, rb.id));
	snprintf(text, sizeof(text), "%.12s", rb.id);
	assert_true(span_is(find(f, &v, text)->id, rb.id));
	snprintf(text, sizeof(text), "%.2s", rb.id);
	assert_null(find(f, &v, text));
	assert_int_equal(f->e.code, ERR_NOT_FOUND);
	assert_true(span_is(find(f, &v, "docker.io/library/foo:b")->id, rb.id));
	snprintf(text, sizeof(text), "docker.io/library/foo@%s",
	    digest_print(b.rq.list_digest, digest));
	assert_true(span_is(find(f, &v, text)->id, rb.id));
	snprintf(text, sizeof(text), "docker.io/library/foo@%s",
	    digest_print(a.rq.manifest_digest, digest));
	assert_true(span_is(find(f, &v, text)->id, ra.id));
	snprintf(text, sizeof(text), "docker.io/library/other@%s",
	    digest_print(a.rq.manifest_digest, digest));
	assert_null(find(f, &v, text)); /* no name of that repository */
	assert_null(find(f, &v, "docker.io/library/foo:c"));
	unsigned layers;
	uint64_t size =
	    view_image_size(&v, table_find(&v.images, span_str(rb.id)), &layers);
	assert_int_equal(layers, 2);
	char *out = sh(f, 0, "@P image inspect --format {{.Size}} foo:b");
	assert_int_equal(size, strtoull(out, NULL, 10));
	struct fsinfo fi;
	assert_int_equal(store_fsinfo(&v, &f->s, &fi, &f->e), 0);
	assert_int_equal(fi.images, 2);
	assert_int_equal(fi.layers, 2);
	assert_true(fi.total > fi.free && fi.free > 0);
	image_free(f, &a);
	image_free(f, &b);
}

static void
test_ambiguous(void **state)
{
	struct fixture *f = *state;
	CLEANUP(view_free) struct view v = VIEW_NONE;

	put_file(f, "G/overlay-images/images.json",
	    "[{\"id\":"
	    "\"abc0000000000000000000000000000000000000000000000000000000000001\"},"
	    "{\"id\":"
	    "\"abc0000000000000000000000000000000000000000000000000000000000002\"}]");
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	assert_null(find(f, &v, "abc"));
	assert_int_equal(f->e.code, ERR_USAGE);
}

static void
test_tag_and_untag(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result ra, rb;
	CLEANUP(buf_free) struct buf log = {0};

	commit(f, &a, "a", 1, "docker.io/library/foo:a", &ra);
	commit(f, &b, "b", 2, "docker.io/library/foo:b", &rb);
	take(f, HOLD_NAMES);
	assert_int_equal(
	    store_tag(&f->s, &f->h, ra.id, "docker.io/library/foo:b", &f->e), 0);
	assert_true(store_tag(&f->s, &f->h, ra.id, "foo", &f->e) < 0);
	assert_true(
	    store_tag(&f->s, &f->h, ra.id,
		"docker.io/library/foo@sha256:"
		"0000000000000000000000000000000000000000000000000000000000000000",
		&f->e) < 0);
	assert_true(store_untag(&f->s, &f->h, rb.id, "docker.io/library/foo:b", note,
			&log, &f->e) < 0);
	hold_release(&f->h);
	char *out = sh(f, 0, "@P images --no-trunc --format '{{.ID}} {{.Names}}' | sort");
	char want[400];
	snprintf(want, sizeof(want),
	    "sha256:%s [docker.io/library/foo:b docker.io/library/foo:a]", ra.id);
	assert_non_null(strstr(out, want));
	snprintf(want, sizeof(want), "sha256:%s []", rb.id);
	assert_non_null(strstr(out, want));
	take(f, HOLD_NAMES);
	assert_int_equal(store_untag(&f->s, &f->h, ra.id, "docker.io/library/foo:a", note,
			     &log, &f->e),
	    0);
	assert_int_equal(store_untag(&f->s, &f->h, ra.id, "", note, &log, &f->e), 0);
	hold_release(&f->h);
	buf_add(&log, span_of("", 1));
	assert_string_equal(
	    (char *)log.p, "0 docker.io/library/foo:a\n0 docker.io/library/foo:b\n");
	image_free(f, &a);
	image_free(f, &b);
}

static int
rm(struct fixture *f, const char *id, struct buf *log)
{
	f->e = (struct err){0};
	take(f, HOLD_COMMIT);
	int r = store_remove_image(&f->s, &f->h, id, note, log, &f->e);
	hold_release(&f->h);
	return r;
}

static void
test_remove(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result ra, rb;
	CLEANUP(buf_free) struct buf log = {0};

	commit(f, &a, "a", 2, "docker.io/library/foo:a", &ra);
	commit(f, &b, "b", 2, "docker.io/library/foo:b", &rb);
	assert_int_equal(rm(f, ra.id, &log), 0);
	/* The base layer is the other image's too. */
	sh(f, 0, "skopeo copy --policy @D/policy.json @Sfoo:b oci:@D/out:b 2>&1");
	sh(f, 125, "@P image inspect foo:a 2>&1");
	assert_true(rm(f, ra.id, &log) < 0);
	assert_int_equal(f->e.code, ERR_NOT_FOUND);
	assert_int_equal(rm(f, rb.id, &log), 0);
	char *out = sh(f, 0,
	    "cd @D/G && find overlay overlay-layers overlay-images -mindepth 1 "
	    "-printf '%%P\\n' | sort");
	assert_string_equal(out,
	    ".has-mount-program\nimages.json\nimages.lock\nl\nlayers.json\n"
	    "layers.lock\n");
	assert_string_equal(slurp(f, "G/overlay-layers/layers.json"), "[]");
	assert_string_equal(slurp(f, "G/overlay-images/images.json"), "[]");
	assert_true(store_trash_full(&f->s));
	image_free(f, &a);
	image_free(f, &b);
}

/* A container's image, its layers under any of the four files, a mount: all refuse. */
static void
test_remove_refused(void **state)
{
	static const char *const files[] = {"G/overlay-containers/containers.json",
	    "G/overlay-containers/volatile-containers.json",
	    "R/overlay-containers/containers.json",
	    "R/overlay-containers/volatile-containers.json"};
	struct fixture *f = *state;
	struct image a;
	struct commit_result res;
	char text[400], top[ID_HEX + 1], base[ID_HEX + 1];

	commit(f, &a, "a", 2, "docker.io/library/foo:a", &res);
	assert_int_equal(layer_id(NULL, a.layers[0].diff_id, base), 0);
	assert_int_equal(layer_id(base, a.layers[1].diff_id, top), 0);
	sh(f, 0, "mkdir -p @D/R/overlay-containers @D/R/overlay-layers");
	char *before = strdup(slurp(f, "G/overlay-images/images.json"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(text, sizeof(text),
		    "[{\"id\":\"c1\",\"image\":\"%s\",\"layer\":\"x\"}]", res.id);
		put_file(f, files[i], text);
		assert_true(rm(f, res.id, NULL) < 0);
		assert_int_equal(f->e.code, ERR_IN_USE);
		put_file(f, files[i], "[{\"id\":1}]");
		assert_true(rm(f, res.id, NULL) < 0);
		assert_int_equal(f->e.code, ERR_CONTENT);
		put_file(f, files[i], "");
	}
	snprintf(
	    text, sizeof(text), "[{\"id\":\"%s\",\"path\":\"/x\",\"count\":1}]", base);
	put_file(f, "R/overlay-layers/mountpoints.json", text);
	assert_true(rm(f, res.id, NULL) < 0);
	assert_int_equal(f->e.code, ERR_IN_USE);
	sh(f, 0, "rm @D/R/overlay-layers/mountpoints.json");
	assert_string_equal(slurp(f, "G/overlay-images/images.json"), before);
	sh(f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
	free(before);
	image_free(f, &a);
}

/* A container made by podman keeps the image; a child layer keeps the chain below it. */
static void
test_children_keep_layers(void **state)
{
	struct fixture *f = *state;
	struct image a;
	struct commit_result res;
	CLEANUP(buf_free) struct buf log = {0};
	char text[400], top[ID_HEX + 1], base[ID_HEX + 1];

	commit(f, &a, "a", 2, "docker.io/library/foo:a", &res);
	assert_int_equal(layer_id(NULL, a.layers[0].diff_id, base), 0);
	assert_int_equal(layer_id(base, a.layers[1].diff_id, top), 0);
	sh(f, 0, "@P create --name c1 --network none foo:a /x 2>&1");
	assert_true(rm(f, res.id, &log) < 0);
	assert_int_equal(f->e.code, ERR_IN_USE);
	sh(f, 0, "@P rm c1 2>&1");
	snprintf(text, sizeof(text), "[{\"id\":\"v\",\"parent\":\"%s\"}]", base);
	put_file(f, "G/overlay-layers/volatile-layers.json", text);
	assert_int_equal(rm(f, res.id, &log), 0);
	char *out = sh(f, 0, "ls @D/G/overlay");
	assert_non_null(strstr(out, base));
	assert_null(strstr(out, top));
	image_free(f, &a);
}

/* Exactly the commands of others see the difference at once: no reload problem. */
static void
test_upstream_between(void **state)
{
	struct fixture *f = *state;
	struct image a;
	struct commit_result res;
	CLEANUP(buf_free) struct buf log = {0};

	commit(f, &a, "a", 2, "docker.io/library/foo:a", &res);
	sh(f, 0,
	    "@P tag foo:a localhost/other:x && @P untag foo:a docker.io/library/foo:a");
	CLEANUP(view_free) struct view v = VIEW_NONE;
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	assert_non_null(find(f, &v, "localhost/other:x"));
	assert_null(find(f, &v, "docker.io/library/foo:a"));
	sh(f, 0, "@P rmi other:x 2>&1");
	assert_true(rm(f, res.id, &log) < 0);
	assert_int_equal(f->e.code, ERR_NOT_FOUND);
	image_free(f, &a);
}

/* A staging directory whose process is gone is swept, one that lives is not, and what its
 * journal names without a record goes too. */
static void
test_sweep(void **state)
{
	struct fixture *f = *state;
	struct store other;
	struct staged l;
	const char *id =
	    "00000000000000000000000000000000000000000000000000000000000000aa";
	char name[STAGING_NAME + 1];
	struct swept swept = {0};

	assert_int_equal(store_open(&other, f->graph, f->run, -1, &f->e), 0);
	assert_int_equal(store_layer_staging_new(&other, &l, &f->e), 0);
	memcpy(name, other.name, sizeof(name));
	assert_int_equal(store_sweep(&f->s, &f->h, &swept, &f->e), 0);
	assert_false(store_trash_full(&f->s));
	sh(f, 0,
	    "mkdir -p @D/G/overlay/%s/diff @D/G/overlay-images/%s && printf "
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ > @D/G/overlay/%s/link && ln -s ../%s/diff "
	    "@D/G/overlay/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ && printf 'L %s\\nI %s\\nL 12' >> "
	    "@D/G/bulkhead/%s/journal",
	    id, id, id, id, id, id, name);
	close(other.lock); /* dies */
	other.lock = -1;
	assert_int_equal(store_sweep(&f->s, &f->h, &swept, &f->e), 0);
	assert_int_equal(f->h.want, 0); /* nothing stays locked */
	assert_int_equal(swept.stores, 1);
	assert_int_equal(swept.layers, 1);
	assert_int_equal(swept.images, 1);
	assert_int_equal(swept.n_published, 0);
	assert_true(store_trash_full(&f->s));
	char *out =
	    sh(f, 0, "ls @D/G/bulkhead @D/G/overlay @D/G/overlay/l @D/G/overlay-images");
	assert_null(strstr(out, name));
	assert_null(strstr(out, id));
	assert_null(strstr(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	store_close(&other);
	store_layer_staging_drop(&f->s, &l);
}

/* The store's records protect what a journal names. */
static void
test_sweep_spares_records(void **state)
{
	struct fixture *f = *state;
	struct image a;
	struct commit_result res;
	char base[ID_HEX + 1];
	struct swept swept = {0};

	commit(f, &a, "a", 1, "docker.io/library/foo:a", &res);
	assert_int_equal(layer_id(NULL, a.layers[0].diff_id, base), 0);
	image_free(f, &a);
	sh(f, 0,
	    "d=@D/G/bulkhead/00000000000000000000000000000000; mkdir $d && touch $d.lock "
	    "&& "
	    "printf 'L %s\\nI %s\\n' > $d/journal",
	    base, res.id);
	assert_int_equal(store_sweep(&f->s, &f->h, &swept, &f->e), 0);
	assert_int_equal(swept.layers + swept.images, 0);
	assert_int_equal(swept.n_published, 2);
	assert_string_equal(swept.published[0], base);
	assert_string_equal(swept.published[1], res.id);
	assert_null(
	    strstr(sh(f, 0, "ls @D/G/bulkhead"), "00000000000000000000000000000000"));
	sh(f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
}

static void
test_close_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	fixture_reopen(f);
	char *out = sh(f, 0, "ls @D/G/bulkhead | wc -l");
	assert_int_equal(atoi(out), 3); /* key, and the new one's two */
}

/* The trash is taken out of use while it is emptied. */
static void
test_trash(void **state)
{
	struct fixture *f = *state;
	struct staged l;
	char name[16] = "";

	assert_int_equal(store_layer_staging_new(&f->s, &l, &f->e), 0);
	store_layer_staging_drop(&f->s, &l);
	assert_true(store_trash_full(&f->s));
	FD_AUTO fd = store_trash_take(&f->s, name, &f->e);
	assert_true(fd >= 0);
	assert_false(store_trash_full(&f->s));
	FD_AUTO again = store_trash_take(&f->s, name, &f->e);
	assert_true(again >= 0);
	sh(f, 0, "rm -r @D/G/bulkhead/%s/%s/*", f->s.name, name);
	store_trash_gone(&f->s, name);
	assert_null(strstr(sh(f, 0, "ls @D/G/bulkhead/%s", f->s.name), name));
}

static void
test_opaque(void **state)
{
	struct fixture *f = *state;
	struct staged l;
	char value[4];

	assert_int_equal(store_layer_staging_new(&f->s, &l, &f->e), 0);
	assert_int_equal(store_mark_opaque(&f->s, l.diff, &f->e), 0);
	assert_int_equal(fgetxattr(l.diff, "trusted.overlay.opaque", value, 4), 1);
	assert_int_equal(value[0], 'y');
	FD_AUTO proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(store_mark_opaque(&f->s, proc, &f->e) < 0);	  /* another device */
	assert_true(store_mark_opaque(&f->s, l.split, NULL) < 0); /* no directory */
	store_layer_staging_drop(&f->s, &l);
}

static void
test_space(void **state)
{
	struct fixture *f = *state;
	struct space_free a, b;

	assert_int_equal(store_space(&f->s, &a, &f->e), 0);
	assert_true(a.bytes > 0 && a.inodes > 0 && a.block >= 512);
	sh(f, 0, "dd if=/dev/zero of=@D/G/fill bs=1M count=64 2>/dev/null");
	assert_int_equal(store_space(&f->s, &b, &f->e), 0);
	assert_true(b.bytes < a.bytes - MiB(32));
	sh(f, 0, "rm @D/G/fill");
}

/* A full disk: refused with class 6, the store as before; with room again it goes
 * through. */
static void
test_no_space(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	hold_release(&f->h);
	store_close(&f->s);
	close(f->graph);
	sh(f, 0, "mount -t tmpfs -o size=600k,mode=700 tmpfs @D/G");
	char path[128];
	snprintf(path, sizeof(path), "%s/G", f->dir);
	f->graph = graph_clone(path);
	assert_int_equal(store_prepare(f->graph, &f->e), 0);
	assert_int_equal(store_open(&f->s, f->graph, f->run, -1, &f->e), 0);
	image_make(f, &im, "a", 3, true);
	image_stage(f, &im);
	sh(f, 0, "dd if=/dev/zero of=@D/G/fill bs=4k 2>/dev/null || true");
	struct space_free space;
	assert_int_equal(store_space(&f->s, &space, &f->e), 0);
	assert_int_equal(space.bytes, 0);
	assert_true(image_commit(f, &im, &res) < 0);
	assert_int_equal(f->e.code, ERR_NO_SPACE);
	assert_string_equal(
	    sh(f, 0,
		"cd @D/G && ls overlay/l overlay-images | grep -v : | grep . ; ls "
		"overlay-layers | grep -v lock; true"),
	    "");
	sh(f, 0, "rm @D/G/fill");
	if (image_commit(f, &im, &res) != 0)
		fail_msg("%s", f->e.text);
	image_free(f, &im);
	hold_release(&f->h);
	store_close(&f->s);
	close(f->graph);
	f->graph = -1;
	sh(f, 0, "umount @D/G");
	fixture_reopen(f);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_new, fixture_free)
	const struct CMUnitTest tests[] = {
	    T(test_layout),
	    T(test_refused_roots),
	    T(test_mount_program_being_written),
	    T(test_lock_conflict),
	    T(test_tokens),
	    T(test_find),
	    T(test_ambiguous),
	    T(test_tag_and_untag),
	    T(test_remove),
	    T(test_remove_refused),
	    T(test_children_keep_layers),
	    T(test_upstream_between),
	    T(test_sweep),
	    T(test_sweep_spares_records),
	    T(test_close_leaves_nothing),
	    T(test_trash),
	    T(test_opaque),
	    T(test_space),
	    T(test_no_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
