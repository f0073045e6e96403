#include "tests/store/fixture.h"

#include "common/ref/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
commit_ok(struct fixture *f, struct image *im, struct commit_result *res)
{
	int r = image_commit(f, im, res);
	if (r != 0)
		fail_msg("%d: %s", r, f->e.text);
}

/* podman and skopeo see what the core wrote: listed, inspected, exported bit by bit. */
static void
test_podman_reads_it(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	char hex[65], digest[DIGEST_TEXT + 1];

	image_make(f, &im, "a", 3, true);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	assert_int_equal(res.new_layers, 3);
	assert_true(res.changed);
	char *out = sh(f, 0, "@P images --digests --no-trunc");
	assert_non_null(strstr(out, hex_encode(im.rq.config_digest, 32, hex)));
	assert_non_null(strstr(out, digest_print(im.rq.list_digest, digest)));
	assert_non_null(strstr(out, "docker.io/library/foo"));
	sh(f, 0, "@P image exists docker.io/library/foo@%s", digest);
	digest_print(im.rq.manifest_digest, digest);
	sh(f, 0, "@P image exists docker.io/library/foo@%s", digest);
	out = sh(f, 0, "@P image inspect foo:a");
	assert_non_null(strstr(out, "A=<&>"));
	for (size_t i = 0; i < 3; i++) {
		hex_encode(im.layers[i].diff_id, 32, hex);
		assert_non_null(strstr(out, hex));
	}
	/* Each exported layer hashes to its DiffID, or skopeo fails. */
	sh(f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
	sh(f, 0, "@P save -q --format oci-dir -o @D/saved foo:a 2>&1");
	out = sh(f, 0,
	    "m=$(@P image mount foo:a) && cat $m/etc0/f $m/etc2/f && stat -c %%a:%%u "
	    "$m $m/etc1 && @P image umount foo:a");
	assert_non_null(strstr(out, "layer 0\nlayer 2a\n555:0\n755:1000"));
	image_free(f, &im);
}

/* Byte by byte the records of skopeo for the same image, but for what has to differ. */
static void
test_records_as_skopeo_writes_them(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 3, true);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	sh(f, 0,
	    "skopeo copy --policy @D/policy.json oci:%s:l "
	    "containers-storage:[overlay@@D/G2+@D/R2]docker.io/library/foo:a 2>&1",
	    im.dir);
	char *out =
	    sh(f, 0, "python3 tests/store/compare.py @D/G @D/G2; umount @D/G2/overlay");
	assert_string_equal(out, "same\n");
	image_free(f, &im);
}

static void
test_second_commit_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 2, true);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	char *before = strdup(sh(f, 0,
	    "cd @D/G && find overlay* -printf '%%p %%s %%T@ %%i\\n' | "
	    "grep -v lock | sort"));
	for (size_t i = 0; i < 2; i++) {
		store_layer_staging_drop(&f->s, &im.staged[i]);
		im.layers[i].staged = NULL;
	}
	commit_ok(f, &im, &res);
	assert_false(res.changed);
	assert_int_equal(res.new_layers, 0);
	assert_string_equal(
	    before, sh(f, 0,
			"cd @D/G && find overlay* -printf '%%p %%s %%T@ %%i\\n' | "
			"grep -v lock | sort"));
	free(before);
	image_free(f, &im);
}

/* Layers that others have put there meanwhile are reused, the staged ones thrown away. */
static void
test_upstream_first(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 3, true);
	sh(f, 0,
	    "skopeo copy --policy @D/policy.json oci:%s:l @Sdocker.io/library/other:x "
	    "2>&1",
	    im.dir);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	assert_int_equal(res.new_layers, 0);
	assert_true(res.changed);
	char *out = sh(f, 0, "@P images --format '{{.Names}}'");
	assert_non_null(strstr(out, "docker.io/library/foo:a docker.io/library/other:x"));
	/* What upstream recorded stays: its metadata speaks of its signature item. */
	assert_non_null(
	    strstr(slurp(f, "G/overlay-images/images.json"), "signatures-sizes"));
	image_free(f, &im);
	assert_true(store_trash_full(&f->s));
}

static void
test_upstream_after(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 3, true);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	sh(f, 0, "rm %s/blobs/sha256/$(grep '^layer' %s/facts | head -1 | cut -d' ' -f3)",
	    im.dir, im.dir);
	sh(f, 0,
	    "skopeo copy --policy @D/policy.json oci:%s:l @Sdocker.io/library/other:x "
	    "2>&1",
	    im.dir);
	char *out = sh(f, 0,
	    "@P images --format '{{.Names}}' && @P rmi -f %s && find @D/G/overlay "
	    "@D/G/overlay-layers @D/G/overlay-images -name '[0-9a-f]*' -size -1000 "
	    "-path '*/??????????????????????????????*'",
	    res.id);
	assert_non_null(strstr(out, "docker.io/library/other:x docker.io/library/foo:a"));
	assert_null(strstr(out, "tar-split"));
	image_free(f, &im);
}

/* The second image shares its base layer; the name moves to it in the same save. */
static void
test_name_moves(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result ra, rb;
	CLEANUP(view_free) struct view v = VIEW_NONE;

	image_make(f, &a, "a", 2, false);
	image_stage(f, &a);
	commit_ok(f, &a, &ra);
	image_make(f, &b, "b", 2, false);
	image_stage(f, &b);
	commit_ok(f, &b, &rb);
	assert_int_equal(rb.new_layers, 1);
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	struct record *r = view_find(&v, span_str("docker.io/library/foo:a"), &f->e);
	assert_non_null(r);
	assert_true(span_is(r->id, rb.id));
	struct record *old = table_find(&v.images, span_str(ra.id));
	assert_non_null(old);
	struct name_iter it = image_names(old);
	assert_false(name_next(&it));
	assert_true(names_have(old->history, span_str("docker.io/library/foo:a")));
	assert_non_null(strstr(sh(f, 0, "@P images -a"), "<none>"));
	image_free(f, &a);
	image_free(f, &b);
}

/* Members of a later program's records survive our saves. */
static void
test_unknown_members_stay(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result res;

	image_make(f, &a, "a", 1, false);
	image_stage(f, &a);
	commit_ok(f, &a, &res);
	sh(f, 0,
	    "cd @D/G && sed -i 's/^\\[{/[{\"x-new\":{\"y\":[1, 2.50e3]},/' "
	    "overlay-images/images.json overlay-layers/layers.json");
	image_make(f, &b, "b", 2, false);
	b.rq.name = "docker.io/library/foo:b";
	image_stage(f, &b);
	commit_ok(f, &b, &res);
	assert_non_null(strstr(slurp(f, "G/overlay-images/images.json"),
	    "[{\"x-new\":{\"y\":[1, 2.50e3]},\"id\""));
	assert_non_null(strstr(slurp(f, "G/overlay-layers/layers.json"),
	    "[{\"x-new\":{\"y\":[1, 2.50e3]},\"id\""));
	image_free(f, &a);
	image_free(f, &b);
}

/* Damage: refused with class 7, nothing touched. */
static void
test_damage_is_refused(void **state)
{
	static const char *const bad[] = {"[{\"id\":\"a\"}", "[{\"id\":5}]", "{}",
	    "[{\"id\":\"a\"},{\"id\":\"a\"}]", "[{\"ID\":\"a\"}]",
	    "[{\"id\":\"a\",\"digest\":\"sha256:zz\"}]", "[{}]", "[1]",
	    "[{\"id\":\"a\",\"big-data-digests\":{\"manifest\":\"x\"}}]",
	    "[{\"id\":\"a\",\"names\":\"x\"}]", "[{\"id\":\"a\",\"id\":\"b\"}]"};
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put_file(f, "G/overlay-images/images.json", bad[i]);
		assert_true(image_commit(f, &im, &res) < 0);
		assert_int_equal(f->e.code, ERR_CONTENT);
		assert_string_equal(slurp(f, "G/overlay-images/images.json"), bad[i]);
		assert_int_equal(
		    access(sh(f, 0, "printf %%s @D/G/overlay-layers/layers.json"), F_OK),
		    -1);
	}
	sh(f, 0, "rm @D/G/overlay-images/images.json");
	put_file(f, "G/overlay-layers/layers.json", "[{\"id\":\"x\",\"parent\":[]}]");
	assert_true(image_commit(f, &im, &res) < 0);
	assert_int_equal(f->e.code, ERR_CONTENT);
	sh(f, 0, "rm @D/G/overlay-layers/layers.json");
	commit_ok(f, &im, &res);
	image_free(f, &im);
}

static void
test_other_top_layer_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image a, b;
	struct commit_result res;

	image_make(f, &a, "a", 1, false);
	image_stage(f, &a);
	commit_ok(f, &a, &res);
	image_make(f, &b, "b", 2, false);
	memcpy(b.rq.config_digest, a.rq.config_digest, 32);
	image_stage(f, &b);
	assert_true(image_commit(f, &b, &res) < 0);
	assert_int_equal(f->e.code, ERR_CONTENT);
	image_free(f, &a);
	image_free(f, &b);
}

/* A layer that was to be reused is gone: the answer is "again", not a broken image. */
static void
test_vanished_layer(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 2, false);
	image_stage(f, &im);
	struct staged *keep = im.layers[1].staged;
	im.layers[1].staged = NULL;
	assert_int_equal(image_commit(f, &im, &res), 1);
	assert_string_equal(
	    sh(f, 0,
		"cd @D/G && ls overlay/l overlay-layers overlay-images | "
		"grep -v : | grep . ; ls overlay | grep -x '.\\{64\\}' || true"),
	    "images.lock\nlayers.lock\n");
	im.layers[1].staged = keep;
	/* Layer 0 went back to the trash with the undo: its stage is spent. */
	store_layer_staging_drop(&f->s, &im.staged[0]);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	store_layer_staging_drop(&f->s, keep);
	image_free(f, &im);
}

/* Leftovers under the layer's name give way; their short link goes too. */
static void
test_leftover_gives_way(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	char id[65];

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	hex_encode(im.layers[0].diff_id, 32, id);
	sh(f, 0,
	    "cd @D/G/overlay && mkdir -p %s/diff && printf ABCDEFGHIJKLMNOPQRSTUVWXYZ > "
	    "%s/link "
	    "&& ln -s ../%s/diff l/ABCDEFGHIJKLMNOPQRSTUVWXYZ && touch %s/diff/junk "
	    "../overlay-layers/%s.tar-split.gz",
	    id, id, id, id, id);
	commit_ok(f, &im, &res);
	char *out = sh(f, 0, "ls @D/G/overlay/l @D/G/overlay/%s/diff", id);
	assert_null(strstr(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	assert_null(strstr(out, "junk"));
	sh(f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
	image_free(f, &im);
}

/* What a dead podman left half made. */
static void
test_incomplete_is_cleared(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	const char *id =
	    "00000000000000000000000000000000000000000000000000000000000000aa";

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	sh(f, 0,
	    "mkdir -p @D/G/overlay/%s/diff && printf '[{\"id\":\"%s\",\"created\":"
	    "\"2024-01-01T00:00:00Z\",\"flags\":{\"incomplete\":true}}]' > "
	    "@D/G/overlay-layers/layers.json",
	    id, id);
	commit_ok(f, &im, &res);
	assert_null(strstr(slurp(f, "G/overlay-layers/layers.json"), id));
	assert_null(strstr(sh(f, 0, "ls @D/G/overlay"), id));
	image_free(f, &im);
}

/* diff belongs to an applier until now: what it did to mode, owner and ACL is undone. */
/* Dressed before the locks: nothing of it is written again, unless it no longer fits. */
static void
test_dressed_before(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	const struct staged *above[2];
	char path[200], links[3][LINK_LEN + 1], lower[3 * (LINK_LEN + 3)];

	image_make(f, &im, "a", 3, true);
	image_stage(f, &im);
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < i; k++)
			above[k] = &im.staged[i - 1 - k];
		assert_int_equal(
		    store_layer_dress(&f->s, &im.staged[i], NULL, above, i, &f->e), 0);
		strcpy(links[i], im.staged[i].link);
	}
	/* Somebody takes the second one's link: it gets another, so the third another
	 * `lower`. */
	snprintf(path, sizeof(path), "G/overlay/l/%s", links[1]);
	put_file(f, path, "");
	char *before =
	    strdup(sh(f, 0, "stat -c %%i @D/G/bulkhead/*/%s/link", im.staged[0].name));
	commit_ok(f, &im, &res);
	assert_string_equal(
	    before, sh(f, 0,
			"stat -c %%i @D/G/overlay/$(basename $(dirname $(readlink "
			"@D/G/overlay/l/%s)))/link",
			links[0]));
	free(before);
	assert_string_equal(im.staged[0].link, links[0]);
	assert_string_not_equal(im.staged[1].link, links[1]);
	snprintf(lower, sizeof(lower), "l/%s:l/%s", im.staged[1].link, links[0]);
	assert_string_equal(
	    lower, sh(f, 0, "cat @D/G/overlay/l/%s/../lower", im.staged[2].link));
	sh(f, 0, "rm @D/G/overlay/l/%s", links[1]);
	char *out = sh(f, 0,
	    "m=$(@P image mount foo:a) && cat $m/etc0/f $m/etc2/f && @P image umount "
	    "foo:a");
	assert_non_null(strstr(out, "layer 0\nlayer 2a"));
	image_free(f, &im);
}

static void
test_diff_is_reset(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;

	image_make(f, &im, "a", 2, false);
	image_stage(f, &im);
	for (size_t i = 0; i < 2; i++)
		sh(f, 0,
		    "cd @D/G/bulkhead/%s/%s && chown 5:5 diff && chmod 7777 diff && "
		    "(setfacl -m u:7:rwx -d -m u:7:rwx diff || true) 2>/dev/null",
		    f->s.name, im.staged[i].name);
	commit_ok(f, &im, &res);
	char *out =
	    sh(f, 0, "cd @D/G/overlay && stat -c %%a:%%u:%%g ?????*/diff | sort -u");
	assert_string_equal(out, "555:0:0\n");
	out = sh(f, 0,
	    "cd @D/G/overlay && stat -c '%%a %%n' */ */* | grep -v diff | sed "
	    "'s/[0-9a-f]\\{64\\}//' | sort | uniq -c | tr -s ' '");
	assert_non_null(strstr(out, "1 644 /lower"));
	assert_non_null(strstr(out, "2 644 /link"));
	assert_non_null(strstr(out, "1 700 /empty"));
	assert_non_null(strstr(out, "2 700 /work"));
	assert_non_null(strstr(out, "2 700 /merged"));
	image_free(f, &im);
}

static void
test_caps_of_names_and_manifests(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	CLEANUP(buf_free) struct buf names = {0};

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	commit_ok(f, &im, &res);
	im.layers[0].staged = NULL;
	char *before = strdup(slurp(f, "G/overlay-images/images.json"));
	for (int i = 0; i < LIMIT_IMAGE_NAMES - 2; i++)
		buf_fmt(&names, "\"docker.io/library/n:%d\",", i);
	buf_str(&names, "");
	char *at = strstr(before, "\"names\":[") + 9;
	char *full = NULL;
	assert_true(asprintf(&full, "%.*s%.*s%s", (int)(at - before), before,
			(int)names.n, (char *)names.p, at) > 0);
	put_file(f, "G/overlay-images/images.json", full);
	im.rq.name = "docker.io/library/foo:256";
	commit_ok(f, &im, &res);
	im.rq.name = "docker.io/library/foo:257";
	assert_true(image_commit(f, &im, &res) < 0);
	assert_int_equal(f->e.code, ERR_CONTENT);
	free(full);

	CLEANUP(buf_free) struct buf keys = {0};
	for (int i = 0; i < LIMIT_IMAGE_MANIFESTS - 2; i++)
		buf_fmt(&keys, "\"manifest-sha256:%064d\",", i);
	at = strstr(before, "\"big-data-names\":[") + 18;
	assert_true(asprintf(&full, "%.*s%.*s%s", (int)(at - before), before, (int)keys.n,
			(char *)keys.p, at) > 0);
	put_file(f, "G/overlay-images/images.json", full);
	struct image list;
	image_make(f, &list, "a", 1, true);
	list.rq.name = "docker.io/library/foo:list";
	commit_ok(f, &list, &res); /* the 64th */
	sh(f, 0,
	    "sed -i 's/\"big-data-names\":\\[/&\"manifest-sha256:%064d\",/' "
	    "@D/G/overlay-images/images.json",
	    0xabc);
	list.rq.list_digest[0] ^= 1;
	list.rq.name = "docker.io/library/foo:more";
	assert_true(image_commit(f, &list, &res) < 0);
	assert_int_equal(f->e.code, ERR_CONTENT);
	free(full);
	free(before);
	image_free(f, &im);
	image_free(f, &list);
}

/* Proofs of access: added once, at most 32, public ends it. */
static void
test_access_proofs(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	bool proven;
	CLEANUP(view_free) struct view v = VIEW_NONE;

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	im.rq.access = (struct access){.proof = {1}};
	commit_ok(f, &im, &res);
	im.layers[0].staged = NULL;
	char id[65];
	hex_encode(im.layers[0].diff_id, 32, id);
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	assert_int_equal(view_has_layer(&v, &f->s, id, &im.rq.access, &proven), 1);
	assert_true(proven);
	struct access other = {.proof = {2}}, open_to_all = {.public = true};
	assert_int_equal(view_has_layer(&v, &f->s, id, &other, &proven), 1);
	assert_false(proven);
	assert_int_equal(view_has_layer(&v, &f->s, id, &open_to_all, &proven), 1);
	assert_false(proven);
	im.layers[0].fetched = true;
	for (unsigned i = 2; i <= LIMIT_ACCESS_PROOFS + 1; i++) {
		im.rq.access.proof[0] = (uint8_t)i;
		commit_ok(f, &im, &res);
		assert_true(res.changed);
	}
	commit_ok(f, &im, &res);
	assert_false(res.changed);
	char *text = slurp(f, "G/overlay-layers/layers.json");
	assert_null(strstr(text, "\"0100000000"));
	assert_non_null(strstr(text, "\"0200000000"));
	im.rq.access = open_to_all;
	commit_ok(f, &im, &res);
	assert_non_null(strstr(
	    slurp(f, "G/overlay-layers/layers.json"), "\"bulkhead.access\":\"public\""));
	image_free(f, &im);
}

/* A verified signature comes: manifest, digest, metadata and signatures change once, then
 * stay. */
static void
test_signatures(void **state)
{
	struct fixture *f = *state;
	struct image plain, list;
	struct commit_result res;
	struct span sigs[] = {span_str("one"), span_str("three")};

	image_make(f, &plain, "a", 1, false);
	image_stage(f, &plain);
	commit_ok(f, &plain, &res);
	image_make(f, &list, "a", 1, true);
	commit_ok(f, &list, &res);
	char digest[DIGEST_TEXT + 1], want[128];
	snprintf(want, sizeof(want), "\"digest\":\"%s\"",
	    digest_print(list.rq.manifest_digest, digest));
	assert_non_null(strstr(slurp(f, "G/overlay-images/images.json"), want));
	list.rq.signatures = sigs;
	list.rq.n_signatures = 2;
	commit_ok(f, &list, &res);
	assert_true(res.changed);
	snprintf(want, sizeof(want), "\"digest\":\"%s\"",
	    digest_print(list.rq.list_digest, digest));
	char *text = slurp(f, "G/overlay-images/images.json");
	assert_non_null(strstr(text, want));
	assert_non_null(strstr(text, "\\\"signature-sizes\\\":[3,5]"));
	assert_non_null(strstr(text, "\"signatures\":8"));
	assert_non_null(strstr(
	    sh(f, 0, "cat @D/G/overlay-images/%s/signatures", res.id), "onethree"));
	list.rq.signatures = sigs + 1;
	list.rq.n_signatures = 1;
	commit_ok(f, &list, &res);
	assert_false(res.changed);
	sh(f, 0, "@P image inspect foo:a");
	image_free(f, &plain);
	image_free(f, &list);
}

static void
test_wrong_names(void **state)
{
	struct fixture *f = *state;
	struct image im;
	struct commit_result res;
	static const char *const bad[] = {"", "foo", "docker.io/library/foo", "foo:a",
	    "docker.io/library/foo:a@sha256:"
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "docker.io/library/foo@sha256:"
	    "0000000000000000000000000000000000000000000000000000000000000000"};

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		im.rq.name = bad[i];
		assert_true(image_commit(f, &im, &res) < 0);
	}
	char name[128] = "docker.io/library/foo@";
	digest_print(im.rq.manifest_digest, name + strlen(name));
	im.rq.name = name;
	commit_ok(f, &im, &res);
	sh(f, 0, "@P image exists %s", name);
	image_free(f, &im);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_new, fixture_free)
	const struct CMUnitTest tests[] = {
	    T(test_podman_reads_it),
	    T(test_records_as_skopeo_writes_them),
	    T(test_second_commit_changes_nothing),
	    T(test_upstream_first),
	    T(test_upstream_after),
	    T(test_name_moves),
	    T(test_unknown_members_stay),
	    T(test_damage_is_refused),
	    T(test_other_top_layer_is_refused),
	    T(test_vanished_layer),
	    T(test_leftover_gives_way),
	    T(test_incomplete_is_cleared),
	    T(test_dressed_before),
	    T(test_diff_is_reset),
	    T(test_caps_of_names_and_manifests),
	    T(test_access_proofs),
	    T(test_signatures),
	    T(test_wrong_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
