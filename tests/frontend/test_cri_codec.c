/* CRI requests from hostile clients, and answers as a client reads them. */
#include "common/base/pairs.h"
#include "frontend/cri_codec.h"
#include "tests/frontend/wire.h"

#include <errno.h>

static int
decode(enum cri_kind kind, struct wire *w, struct cri_request *r)
{
	const char *why = NULL;
	int rc = cri_decode(kind, wire_span(w), r, &why);

	assert_true(rc == 0 || (why && *why));
	wire_free(w);
	return rc;
}

static struct wire
spec(const char *image)
{
	struct wire w = {0};

	wire_text(&w, 1, image);
	return w;
}

static void
add_entry(struct wire *w, unsigned field, const char *key, const char *value)
{
	struct wire entry = {0};

	wire_text(&entry, 1, key);
	wire_text(&entry, 2, value);
	wire_sub(w, field, &entry);
}

static void
test_requests(void **state)
{
	struct wire w = {0}, sub = spec("registry.test/a:1"), filter = {0};
	struct cri_request r;

	add_entry(&sub, 2, "key", "value");
	wire_text(&sub, 18, "a");
	wire_text(&sub, 19, "runc");
	wire_text(&sub, 20, "sha256:");
	wire_sub(&w, 1, &sub);
	wire_number(&w, 2, 1);
	assert_int_equal(decode(CRI_IMAGE_STATUS, &w, &r), 0);
	assert_span(r.image, "registry.test/a:1");
	assert_true(r.verbose);
	cri_request_free(&r);

	sub = spec("b");
	wire_sub(&filter, 1, &sub);
	wire_sub(&w, 1, &filter);
	assert_int_equal(decode(CRI_LIST_IMAGES, &w, &r), 0);
	assert_span(r.image, "b");
	cri_request_free(&r);

	sub = spec("c");
	wire_sub(&filter, 1, &sub);
	wire_sub(&w, 1, &filter);
	assert_int_equal(decode(CRI_STREAM_IMAGES, &w, &r), 0);
	assert_span(r.image, "c");
	cri_request_free(&r);

	sub = spec("d");
	wire_sub(&w, 1, &sub);
	assert_int_equal(decode(CRI_REMOVE_IMAGE, &w, &r), 0);
	assert_span(r.image, "d");
	cri_request_free(&r);
}

static void
test_empty(void **state)
{
	struct cri_request r;
	struct wire w = {0};

	for (int kind = 0; kind < CRI_KINDS; kind++) {
		assert_int_equal(decode((enum cri_kind)kind, &w, &r), 0);
		assert_int_equal(r.image.n, 0);
		assert_false(r.auth.given);
		cri_request_free(&r);
	}
}

static struct wire
pull_request(void)
{
	struct wire w = {0}, sub = spec("a"), auth = {0}, pod = {0}, meta = {0};

	wire_sub(&w, 1, &sub);
	for (unsigned i = 1; i <= 6; i++) {
		char text[8] = {'s', (char)('0' + i)};
		wire_text(&auth, i, text);
	}
	wire_sub(&w, 2, &auth);
	wire_text(&meta, 1, "pod");
	wire_text(&meta, 2, "uid");
	wire_text(&meta, 3, "tenant");
	wire_number(&meta, 4, 7);
	wire_sub(&pod, 1, &meta);
	/* What we do not declare: a hostname, labels, a nested message. */
	wire_text(&pod, 2, "host");
	add_entry(&pod, 6, "app", "web");
	add_entry(&pod, 8, "cgroup", "x");
	wire_sub(&w, 3, &pod);
	wire_number(&w, 99, 1);
	return w;
}

static void
test_pull(void **state)
{
	struct wire w = pull_request();
	struct cri_request r;

	assert_int_equal(decode(CRI_PULL_IMAGE, &w, &r), 0);
	assert_true(r.auth.given);
	assert_span(r.auth.username, "s1");
	assert_span(r.auth.password, "s2");
	assert_span(r.auth.auth, "s3");
	assert_span(r.auth.server_address, "s4");
	assert_span(r.auth.identity_token, "s5");
	assert_span(r.auth.registry_token, "s6");
	assert_span(r.namespace, "tenant");
	assert_span(r.pod, "pod");
	cri_request_free(&r);
	cri_request_free(&r); /* harmless */
}

/* Every proper beginning is either refused or a message of the fields before it; none is
 * read beyond its end (ASan). */
static void
test_cut(void **state)
{
	struct wire w = pull_request();

	for (size_t n = 0; n < w.n; n++) {
		uint8_t *cut = malloc(n + 1);
		struct cri_request r;
		const char *why;
		assert_non_null(cut);
		memcpy(cut, w.p, n);
		if (cri_decode(CRI_PULL_IMAGE, span_of(cut, n), &r, &why) == 0)
			cri_request_free(&r);
		free(cut);
	}
	wire_free(&w);
}

/* The last of two strings wins, two submessages are one, as protobuf has it. */
static void
test_duplicates(void **state)
{
	struct wire w = {0}, sub = spec("first");
	struct cri_request r;

	wire_text(&sub, 1, "second");
	wire_sub(&w, 1, &sub);
	wire_number(&w, 2, 1);
	sub = spec("third");
	wire_sub(&w, 1, &sub);
	wire_number(&w, 2, 0);
	assert_int_equal(decode(CRI_IMAGE_STATUS, &w, &r), 0);
	assert_span(r.image, "third");
	assert_false(r.verbose);
	cri_request_free(&r);

	struct wire one = {0}, two = {0};
	wire_text(&one, 1, "user");
	wire_text(&two, 2, "password");
	wire_sub(&w, 2, &one);
	wire_sub(&w, 2, &two);
	assert_int_equal(decode(CRI_PULL_IMAGE, &w, &r), 0);
	assert_span(r.auth.username, "user");
	assert_span(r.auth.password, "password");
	cri_request_free(&r);
}

static const struct {
	const char *name;
	const char *bytes;
	size_t n;
	int answer;
} texts[] = {
    {"NUL within", "a\0b", 3, -EINVAL},
    {"NUL at the end", "a\0", 2, -EINVAL},
    {"NUL alone", "\0", 1, -EINVAL},
    {"a lone continuation", "\x80", 1, -EPROTO},
    {"cut short", "a\xc3", 2, -EPROTO},
    {"overlong", "\xc0\xaf", 2, -EPROTO},
    {"a surrogate", "\xed\xa0\x80", 3, -EPROTO},
    {"beyond Unicode", "\xf4\x90\x80\x80", 4, -EPROTO},
    {"well", "\xc3\xa4\xf0\x9f\x9a\xa2", 6, 0},
};

/* One bad string anywhere, read or not. */
static void
test_texts(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (int where = 0; where < 5; where++) {
			struct wire w = {0}, sub = {0}, inner = {0};
			struct cri_request r;
			if (where == 1 || where == 2) {
				wire_bytes(
				    &inner, (unsigned)where, texts[i].bytes, texts[i].n);
				wire_sub(&sub, 2, &inner);
			} else if (where == 3) {
				wire_bytes(&inner, 3, texts[i].bytes, texts[i].n);
				wire_sub(&sub, 1, &inner);
			} else {
				wire_bytes(
				    &sub, where == 0 ? 1 : 6, texts[i].bytes, texts[i].n);
			}
			wire_sub(&w, where == 3 ? 3 : where == 4 ? 2 : 1, &sub);
			int rc = decode(CRI_PULL_IMAGE, &w, &r);
			if (rc != texts[i].answer)
				fail_msg("%s at %d: %d", texts[i].name, where, rc);
			cri_request_free(&r);
		}
	}
}

static const struct {
	const char *name, *bytes;
	size_t n;
} broken[] = {
    {"the spec as a number", "\x08\x01", 2},
    {"the spec as a group", "\x0b\x0c", 2},
    {"field 0", "\x02\x00", 2},
    {"a length beyond the end",
	"\x0a\x05"
	"a",
	3},
    {"a huge length", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
    {"a tag without an end", "\xff\xff\xff\xff\xff\xff", 6},
    {"a varint without an end", "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
};

static void
test_broken(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct cri_request r;
		const char *why;
		int rc = cri_decode(
		    CRI_IMAGE_STATUS, span_of(broken[i].bytes, broken[i].n), &r, &why);
		if (rc != -EPROTO)
			fail_msg("%s: %d", broken[i].name, rc);
	}
}

/* ImageStatus with n annotations of two bytes on the wire. */
static int
bomb(size_t n, size_t *wire_n, size_t *used)
{
	struct wire w = {0}, sub = {0};
	struct cri_request r;
	const char *why;

	for (size_t i = 0; i < n; i++)
		wire_bytes(&sub, 2, "", 0);
	wire_sub(&w, 1, &sub);
	int rc = cri_decode(CRI_IMAGE_STATUS, wire_span(&w), &r, &why);
	*wire_n = w.n;
	*used = r.used;
	assert_true(r.used <= LIMIT_PROTOBUF_FACTOR * w.n + LIMIT_PROTOBUF_BASE);
	cri_request_free(&r);
	wire_free(&w);
	return rc;
}

static void
test_bomb(void **state)
{
	size_t n = 0, wire_n, used;

	while (bomb(n, &wire_n, &used) == 0)
		n++;
	assert_true(n > 100);
	assert_int_equal(bomb(n - 1, &wire_n, &used), 0);
	assert_int_equal(bomb(n, &wire_n, &used), -ENOMEM);
	assert_int_equal(used, 0); /* all of it given back */
	assert_int_equal(bomb(4 << 20, &wire_n, &used), -ENOMEM);
	assert_true(wire_n >= (8 << 20));
}

/* A pod with many annotations of common size is no bomb. */
static void
test_many_annotations(void **state)
{
	struct wire w = {0}, sub = spec("a");
	struct cri_request r;
	char key[64];

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "example.com/annotation-%d", i);
		add_entry(&sub, 2, key, "value of it");
	}
	wire_sub(&w, 1, &sub);
	assert_int_equal(decode(CRI_IMAGE_STATUS, &w, &r), 0);
	assert_span(r.image, "a");
	cri_request_free(&r);
}

/* ---- answers ---- */

static uint8_t pairs[200];

static struct cri_image
some_image(void)
{
	static const struct span tags[] = {{(const uint8_t *)"t:1", 3},
	    {(const uint8_t *)"t:2", 3}},
				 digests[] = {{(const uint8_t *)"t@d", 3}};
	size_t n = 0;

	assert_true(pairs_add(pairs, sizeof(pairs), &n, span_str("k"), span_str("v")));
	assert_true(
	    pairs_add(pairs, sizeof(pairs), &n, span_str("bad\x80"), span_str("")));
	assert_true(pairs_add(pairs, sizeof(pairs), &n, span_str("k2"), span_str("")));
	return (struct cri_image){.id = span_str("id"),
	    .tags = tags,
	    .n_tags = 2,
	    .digests = digests,
	    .n_digests = 1,
	    .size = UINT64_C(1) << 40,
	    .username = span_str("me"),
	    .pinned = true,
	    .annotations = span_of(pairs, n)};
}

static void
check_image(struct span m, bool with_spec)
{
	struct wire_field f;

	assert_span(wire_get(m, 1), "id");
	assert_int_equal(wire_count(m, 2), 2);
	assert_span(wire_get(m, 2), "t:1");
	assert_true(wire_find(m, 2, 1, &f));
	assert_span(f.bytes, "t:2");
	assert_span(wire_get(m, 3), "t@d");
	assert_true(wire_find(m, 4, 0, &f) && f.value == UINT64_C(1) << 40);
	assert_false(wire_find(m, 5, 0, &f));
	assert_span(wire_get(m, 6), "me");
	assert_true(wire_find(m, 8, 0, &f) && f.value == 1);
	assert_int_equal(wire_count(m, 7), with_spec);
	if (!with_spec)
		return;
	struct span spec_ = wire_get(m, 7);
	assert_int_equal(wire_count(spec_, 2), 2);
	assert_span(wire_get(wire_get(spec_, 2), 1), "k");
	assert_span(wire_get(wire_get(spec_, 2), 2), "v");
}

static void
test_pack_image(void **state)
{
	struct cri_image im = some_image();
	struct wire_field f;
	uint8_t *bytes;
	size_t n;

	assert_int_equal(cri_pack_image(&im, &bytes, &n), 0);
	check_image(wire_get(span_of(bytes, n), 1), false);
	free(bytes);

	im.with_spec = true;
	struct blob *b = cri_pack_status(&im, span_str("{\"a\":1}"));
	struct span m = span_of(b->bytes, b->n);
	check_image(wire_get(m, 1), true);
	assert_span(wire_get(wire_get(m, 2), 1), "info");
	assert_span(wire_get(wire_get(m, 2), 2), "{\"a\":1}");
	blob_unref(b);

	/* uid 0 is there, as a message of its own, without its default value. */
	im.has_uid = true;
	im.uid = 0;
	b = cri_pack_status(&im, span_of(NULL, 0));
	m = span_of(b->bytes, b->n);
	assert_int_equal(wire_count(m, 2), 0);
	assert_true(wire_find(wire_get(m, 1), 5, 0, &f));
	blob_unref(b);

	b = cri_pack_status(NULL, span_of(NULL, 0));
	assert_int_equal(b->n, 0);
	blob_unref(b);
}

static void
test_pack_others(void **state)
{
	struct blob *b = cri_pack_pulled(span_str("abc"));
	struct wire_field f;

	assert_span(wire_get(span_of(b->bytes, b->n), 1), "abc");
	blob_unref(b);

	b = cri_pack_version();
	assert_span(wire_get(span_of(b->bytes, b->n), 1), "0.1.0");
	assert_span(wire_get(span_of(b->bytes, b->n), 2), "bulkhead");
	assert_span(wire_get(span_of(b->bytes, b->n), 3), BULKHEAD_VERSION);
	assert_span(wire_get(span_of(b->bytes, b->n), 4), "v1");
	blob_unref(b);

	b = cri_pack_fs_info(5, span_str("/s/overlay-images"), 7, 9);
	for (unsigned field = 1; field <= 2; field++) {
		struct span u = wire_get(span_of(b->bytes, b->n), field);
		assert_true(wire_find(u, 1, 0, &f) && f.value == 5);
		assert_span(wire_get(wire_get(u, 2), 1), "/s/overlay-images");
		assert_true(wire_find(wire_get(u, 3), 1, 0, &f) && f.value == 7);
		assert_true(wire_find(wire_get(u, 4), 1, 0, &f) && f.value == 9);
	}
	blob_unref(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_pull),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_bomb),
	    cmocka_unit_test(test_many_annotations),
	    cmocka_unit_test(test_pack_image),
	    cmocka_unit_test(test_pack_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
