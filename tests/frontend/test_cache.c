/* The snapshot of the store: what it is told, and what is found in it. */
#include "tests/frontend/cri_world.h"

#include <errno.h>

#define ID(first) first "11111111111111111111111111111111111111111111111111111111111111"

static void
expect_found(const char *text, uint8_t id)
{
	struct err e = {0};
	const struct image *im = cache_find(&world->f, span_str(text), &e);

	if (!im)
		fail_msg("%s: %s", text, e.text);
	else if (im->id[0] != id)
		fail_msg("%s is %02x instead of %02x", text, im->id[0], id);
}

static void
expect_absent(const char *text, enum err_class code)
{
	struct err e = {0};
	const struct image *im = cache_find(&world->f, span_str(text), &e);

	if (im)
		fail_msg("%s is there", text);
	if (e.code != code || !e.text[0])
		fail_msg("%s: %d %s", text, e.code, e.text);
}

static void
expect_list(unsigned images)
{
	struct blob *list = cache_list(&world->f);

	assert_non_null(list);
	assert_int_equal(wire_count(span_of(list->bytes, list->n), 1), images);
	assert_int_equal(cache_count(&world->f), images);
	blob_unref(list);
}

static void
test_lookups(void **state)
{
	world_open();
	tell_image(0xab,
	    "docker.io/library/busybox:latest\n"
	    "registry.test:5000/team/app:v1\n"
	    "registry.test:5000/team/app@sha256:" HEX_A "\n"
	    "docker.io/library/busybox@sha256:" HEX_A,
	    "", true);
	tell_image(0xcd, "localhost/mine:latest\nquay.io/cafe/cafe:1", "", true);
	tell_image(0xce, "docker.io/library/cafe:latest", "", true);
	tell_image(0xcf,
	    "localhost/registry.test/built:latest\nlocalhost/docker.io/built:latest\n"
	    "localhost/index.docker.io/built:latest\nlocalhost/team/built:latest",
	    "", true);
	assert_false(cache_ready(&world->f));
	expect_absent("busybox", ERR_NOT_FOUND); /* not before the end */
	tell_end();
	assert_true(cache_ready(&world->f));

	expect_found(ID("ab"), 0xab);
	expect_found("sha256:" ID("ab"), 0xab);
	expect_found("ab1", 0xab);
	expect_found("sha256:ab1", 0xab);
	expect_found("ab1111111111", 0xab);
	expect_found("busybox", 0xab);
	expect_found("busybox:latest", 0xab);
	expect_found("docker.io/busybox", 0xab);
	expect_found("docker.io/library/busybox:latest", 0xab);
	expect_found("index.docker.io/library/busybox:latest", 0xab);
	expect_found("registry.test:5000/team/app:v1", 0xab);
	expect_found("busybox@sha256:" HEX_A, 0xab);
	expect_found("registry.test:5000/team/app@sha256:" HEX_A, 0xab);
	/* With both, the digest decides. */
	expect_found("registry.test:5000/team/app:other@sha256:" HEX_A, 0xab);
	expect_found("mine", 0xcd);
	expect_found("localhost/mine", 0xcd);
	/* Who says where it is from means no image that was built here. */
	expect_absent("registry.test/built", ERR_NOT_FOUND);
	expect_absent("docker.io/built", ERR_NOT_FOUND);
	expect_absent("index.docker.io/built", ERR_NOT_FOUND);
	expect_absent("HOST/built", ERR_NOT_FOUND);
	expect_found("localhost/registry.test/built", 0xcf);
	expect_found("team/built", 0xcf);
	/* A name comes before the first digits of an ID. */
	expect_found("cafe", 0xce);

	expect_absent("ab", ERR_NOT_FOUND); /* a name, two digits are no ID */
	expect_absent("abc", ERR_NOT_FOUND);
	expect_absent("busybox:1", ERR_NOT_FOUND);
	expect_absent("busybox@sha256:" HEX_B, ERR_NOT_FOUND);
	expect_absent("other.test/app@sha256:" HEX_A, ERR_NOT_FOUND);
	expect_absent("registry.test:5000/team/app", ERR_NOT_FOUND);
	expect_absent(ID("ff"), ERR_NOT_FOUND);
	expect_absent("sha256:" HEX_A, ERR_NOT_FOUND); /* a manifest is no image ID */
	expect_absent("ABCDEF", ERR_NOT_FOUND);
	expect_absent("Not A Name", ERR_USAGE);
	expect_absent("a//b", ERR_USAGE);
	expect_absent("", ERR_USAGE);
	world_close();
}

static void
test_ambiguous(void **state)
{
	struct ipc_msg a = IPC_MSG(cache_image, .described = 1), b = a;

	world_open();
	memset(a.cache_image.id, 0xaa, 32);
	memset(b.cache_image.id, 0xaa, 32);
	b.cache_image.id[31] = 0xab;
	assert_int_equal(tell(&a), 0);
	assert_int_equal(tell(&b), 0);
	tell_end();
	expect_absent("aaa", ERR_USAGE);
	expect_absent(
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ERR_USAGE);
	expect_found(HEX_A, 0xaa);
	world_close();
}

static void
test_long(void **state)
{
	char text[LIMIT_NAME + 2];

	world_open();
	tell_end();
	memset(text, 'z', sizeof(text));
	text[LIMIT_NAME] = 0;
	expect_absent(text, ERR_USAGE); /* too long for a repository */
	text[LIMIT_NAME] = 'z';
	text[LIMIT_NAME + 1] = 0;
	expect_absent(text, ERR_USAGE);
	world_close();
}

static void
test_changes(void **state)
{
	world_open();
	tell_image(1, "a.test/x:1\na.test/x:2", "", true);
	tell_image(2, "a.test/y:1", "", true);
	tell_image(3, "", "", true);
	tell_end();
	expect_list(3);

	/* A name moves, an image goes, one comes, one is told twice and goes at last. */
	tell_image(1, "a.test/x:1", "", true);
	tell_image(2, "a.test/y:1\na.test/x:2", "", true);
	tell_gone(3);
	tell_image(4, "a.test/z:1", "", true);
	tell_image(5, "a.test/v:1", "", true);
	tell_gone(5);
	expect_found("a.test/x:2", 1); /* nothing of it yet */
	expect_list(3);
	tell_end();
	expect_found("a.test/x:1", 1);
	expect_found("a.test/x:2", 2);
	expect_found("a.test/z:1", 4);
	expect_absent("a.test/v:1", ERR_NOT_FOUND);
	expect_list(3);

	tell_gone(9); /* one that was never there */
	tell_gone(2);
	tell_end();
	expect_absent("a.test/x:2", ERR_NOT_FOUND);
	expect_absent("a.test/y:1", ERR_NOT_FOUND);
	expect_list(2);
	world_close();
}

/* The store tells a name once; should it not, the later image has it and keeps it. */
static void
test_name_twice(void **state)
{
	world_open();
	tell_image(1, "a.test/x:1", "", true);
	tell_end();
	tell_image(2, "a.test/x:1", "", true);
	tell_end();
	expect_found("a.test/x:1", 2);
	tell_image(1, "a.test/y:1", "", true);
	tell_end();
	expect_found("a.test/x:1", 2);
	tell_gone(1);
	tell_end();
	expect_found("a.test/x:1", 2);
	world_close();
}

/* The list is made once a generation, and a holder of the old one keeps it. */
static void
test_list_shared(void **state)
{
	world_open();
	tell_image(1, "a.test/x:1", "", true);
	tell_end();
	struct blob *one = cache_list(&world->f), *two = cache_list(&world->f);
	assert_ptr_equal(one, two);
	tell_end();
	struct blob *three = cache_list(&world->f);
	assert_ptr_equal(one, three);
	tell_image(2, "a.test/y:1", "", true);
	tell_end();
	struct blob *four = cache_list(&world->f);
	assert_ptr_not_equal(one, four);
	assert_int_equal(wire_count(span_of(one->bytes, one->n), 1), 1);
	assert_int_equal(wire_count(span_of(four->bytes, four->n), 1), 2);
	blob_unref(one);
	blob_unref(two);
	blob_unref(three);
	blob_unref(four);
	world_close();
}

/* A new store tells all of it; until then the old answers hold. */
static void
test_store_gone(void **state)
{
	world_open();
	tell_image(1, "a.test/x:1", "", true);
	tell_image(2, "a.test/y:1", "", true);
	tell_end();
	tell_image(3, "a.test/half:1", "", true); /* no end for this one */
	cache_store_gone(&world->f);
	assert_true(cache_ready(&world->f));
	expect_found("a.test/x:1", 1);
	tell_image(2, "a.test/new:1", "", true);
	tell_end();
	expect_absent("a.test/x:1", ERR_NOT_FOUND);
	expect_absent("a.test/y:1", ERR_NOT_FOUND);
	expect_absent("a.test/half:1", ERR_NOT_FOUND);
	expect_found("a.test/new:1", 2);
	expect_list(1);
	cache_store_gone(&world->f);
	tell_end(); /* an empty store */
	expect_list(0);
	world_close();

	world_open();
	tell_image(1, "", "", true);
	cache_store_gone(&world->f);
	assert_false(cache_ready(&world->f));
	tell_end();
	expect_list(0);
	world_close();
}

static void
test_names(void **state)
{
	struct ipc_msg more = IPC_MSG(cache_names,
	    .names = span_str("a.test/x@sha256:" HEX_A "\na.test/b:1\na.test/a:1\n"));
	struct cri_image view;

	world_open();
	tell_image(
	    1, "a.test/x@sha256:" HEX_A "\nbusybox:1\n\na.test/notag\n!\n", "", true);
	memset(more.cache_names.id, 0x11, 32);
	more.cache_names.id[0] = 1;
	assert_int_equal(tell(&more), 0);
	tell_end();
	struct err e = {0};
	const struct image *im = cache_find(&world->f, span_str("011"), &e);
	assert_non_null(im);
	image_describe(im, false, &view);
	assert_int_equal(view.n_tags, 3);
	assert_span(view.tags[0], "a.test/a:1");
	assert_span(view.tags[1], "a.test/b:1");
	assert_span(view.tags[2], "docker.io/library/busybox:1");
	assert_int_equal(view.n_digests, 1);
	assert_span(view.digests[0], "a.test/x@sha256:" HEX_A);
	world_close();
}

static void
test_rules(void **state)
{
	struct ipc_msg names = IPC_MSG(cache_names, .names = span_str("a.test/x:1")),
		       other = IPC_MSG(pull_end);

	world_open();
	assert_int_equal(tell(&names), -EPROTO); /* of no image */
	tell_image(1, "", "", true);
	assert_int_equal(tell(&names), -EPROTO); /* of another */
	tell_gone(0x11);
	memset(names.cache_names.id, 0x11, 32);
	assert_int_equal(tell(&names), -EPROTO); /* of one that is gone */
	assert_int_equal(tell(&other), -EPROTO);
	world_close();
}

static const struct {
	const char *user;
	bool has_uid;
	int64_t uid;
	const char *name;
} users[] = {
    {"", false, 0, ""},
    {"0", true, 0, ""},
    {"1000", true, 1000, ""},
    {"1000:2000", true, 1000, ""},
    {"1000:staff", true, 1000, ""},
    {"me", false, 0, "me"},
    {"me:staff", false, 0, "me"},
    {":5", false, 0, ""},
    {"-1", true, -1, ""},
    {"+7", true, 7, ""},
    {"+", false, 0, "+"},
    {"-", false, 0, "-"},
    {"1_0", false, 0, "1_0"},
    {"0x10", false, 0, "0x10"},
    {" 1", false, 0, " 1"},
    {"9223372036854775807", true, INT64_MAX, ""},
    {"9223372036854775808", false, 0, "9223372036854775808"},
    {"-9223372036854775808", true, INT64_MIN, ""},
    {"-9223372036854775809", false, 0, "-9223372036854775809"},
    {"99999999999999999999999999", false, 0, "99999999999999999999999999"},
};

static void
test_users(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		struct cri_image view;
		struct err e = {0};
		world_open();
		tell_image(0xaa, "", users[i].user, true);
		tell_end();
		const struct image *im = cache_find(&world->f, span_str("aa1"), &e);
		assert_non_null(im);
		image_describe(im, true, &view);
		if (view.has_uid != users[i].has_uid ||
		    (view.has_uid && view.uid != users[i].uid))
			fail_msg("%s: uid %ld", users[i].user, (long)view.uid);
		assert_span(view.username, users[i].name);
		world_close();
	}
}

static void
test_size(void **state)
{
	struct ipc_msg m = IPC_MSG(cache_image, .size = 0);
	struct err e = {0};

	world_open();
	assert_int_equal(tell(&m), 0);
	tell_end();
	assert_int_equal(cache_find(&world->f, span_str("000"), &e)->size, 1);
	world_close();
}

static bool
pinned(const char *text)
{
	struct err e = {0};
	const struct image *im = cache_find(&world->f, span_str(text), &e);
	struct blob *list = cache_list(&world->f);
	struct wire_field f;
	bool told = false;

	assert_non_null(im);
	struct span rest = span_of(list->bytes, list->n);
	while (wire_take(&rest, &f))
		if (span_is(wire_get(f.bytes, 1), im->hex))
			told = wire_count(f.bytes, 8) == 1;
	blob_unref(list);
	assert_int_equal(told, im->pinned);
	return told;
}

static void
test_pins(void **state)
{
	world_open();
	assert_int_equal(cache_set_pins(&world->f, span_str("a.test/x:1\n")), 0);
	tell_image(1, "a.test/x:1", "", true);
	tell_image(2, "a.test/y:1\na.test/y@sha256:" HEX_A, "", true);
	tell_end();
	assert_true(pinned("a.test/x:1"));
	assert_false(pinned("a.test/y:1"));
	/* A reload changes those that are there. */
	assert_int_equal(
	    cache_set_pins(&world->f, span_str("a.test/y@sha256:" HEX_A "\nbad*pattern")),
	    0);
	assert_int_equal(world->logged, 1);
	assert_false(pinned("a.test/x:1"));
	assert_true(pinned("a.test/y:1"));
	assert_int_equal(cache_set_pins(&world->f, span_str("")), 0);
	assert_false(pinned("a.test/y:1"));
	/* And those that are being told. */
	tell_image(3, "a.test/z:1", "", true);
	tell_image(4, "a.test/z:2", "", true);
	assert_int_equal(cache_set_pins(&world->f, span_str("*z:*")), 0);
	tell_end();
	assert_true(pinned("a.test/z:1"));
	assert_true(pinned("a.test/z:2"));
	world_close();
}

static void
test_parts(void **state)
{
	size_t next = 0, at = 0, parts = 0;

	world_open();
	for (int i = 1; i <= 10; i++)
		tell_image((uint8_t)i, "", "", true);
	tell_end();
	struct blob *list = cache_list(&world->f);
	size_t one = list->n / 10;
	while (next < 10) {
		size_t end = cache_list_part(&world->f, &next, at, 4, SIZE_MAX);
		assert_true(end > at);
		at = end;
		parts++;
	}
	assert_int_equal(at, list->n);
	assert_int_equal(parts, 3);
	next = 0;
	assert_int_equal(cache_list_part(&world->f, &next, 0, 4, 2 * one), 2 * one);
	assert_int_equal(next, 2);
	next = 0; /* one that is longer goes alone */
	assert_int_equal(cache_list_part(&world->f, &next, 0, 4, 1), one);
	blob_unref(list);
	world_close();
}

/* As many as a large node has: the first snapshot, one change, and the lists. */
static void
test_many(void **state)
{
	char names[400];

	world_open();
	for (unsigned i = 0; i < 10000; i++) {
		struct ipc_msg m = IPC_MSG(cache_image, .size = i, .described = 1);
		m.cache_image.id[0] = (uint8_t)i;
		m.cache_image.id[1] = (uint8_t)(i >> 8);
		snprintf(names, sizeof(names),
		    "registry.test/team/app-%u:v1\nregistry.test/team/"
		    "app-%u@sha256:" HEX_A,
		    i, i);
		m.cache_image.names = span_str(names);
		assert_int_equal(tell(&m), 0);
	}
	tell_end();
	expect_list(10000);
	expect_found("registry.test/team/app-9999:v1", 9999 & 0xff);
	expect_found("registry.test/team/app-7@sha256:" HEX_A, 7);
	tell_image(0xff, "registry.test/team/app-7:v1", "", true);
	tell_end();
	expect_list(10001);
	expect_found("registry.test/team/app-7:v1", 0xff);
	world_close();
}

/* A model beside it: which image has which of 32 names; random changes, and new stores.
 */
#define IDS 24
#define NAMES 32

struct model {
	bool there[IDS];
	int owner[NAMES]; /* -1: nobody */
};

static void
model_tell(const struct model *m, int id)
{
	char names[NAMES * 16] = "";
	size_t n = 0;

	for (int k = 0; k < NAMES; k++) {
		if (m->owner[k] == id)
			n += (size_t)snprintf(
			    names + n, sizeof(names) - n, "a.test/n%d:1\n", k);
	}
	if (m->there[id])
		tell_image((uint8_t)(id * 7), names, "", true);
	else
		tell_gone((uint8_t)(id * 7));
}

static void
model_change(struct model *m, bool changed[IDS])
{
	int id = rand() % IDS, k = rand() % NAMES;

	changed[id] = true;
	if (rand() % 4 == 0) {
		m->there[id] = false;
		for (int i = 0; i < NAMES; i++)
			m->owner[i] = m->owner[i] == id ? -1 : m->owner[i];
		return;
	}
	m->there[id] = true;
	if (m->owner[k] >= 0)
		changed[m->owner[k]] = true;
	m->owner[k] = id;
}

static void
model_compare(const struct model *m)
{
	char text[80];
	unsigned images = 0;

	for (int id = 0; id < IDS; id++) {
		snprintf(text, sizeof(text), "%02x%s", id * 7, ID(""));
		images += m->there[id];
		if (m->there[id])
			expect_found(text, (uint8_t)(id * 7));
		else
			expect_absent(text, ERR_NOT_FOUND);
	}
	for (int k = 0; k < NAMES; k++) {
		snprintf(text, sizeof(text), "a.test/n%d:1", k);
		if (m->owner[k] >= 0)
			expect_found(text, (uint8_t)(m->owner[k] * 7));
		else
			expect_absent(text, ERR_NOT_FOUND);
	}
	expect_list(images);
}

static void
test_random(void **state)
{
	struct model m = {0};

	srand(7);
	for (int k = 0; k < NAMES; k++)
		m.owner[k] = -1;
	world_open();
	for (int round = 0; round < 600; round++) {
		bool changed[IDS] = {false}, again = round % 50 == 49;
		int changes = rand() % 12;
		if (again)
			cache_store_gone(&world->f);
		while (changes--)
			model_change(&m, changed);
		for (int i = 0; i < IDS; i++) {
			int id = (i * 11 + round) % IDS;
			if (again ? m.there[id] : changed[id])
				model_tell(&m, id);
			if (changed[id] && rand() % 3 == 0)
				model_tell(&m, id);
		}
		tell_end();
		model_compare(&m);
	}
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lookups),
	    cmocka_unit_test(test_ambiguous),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_name_twice),
	    cmocka_unit_test(test_list_shared),
	    cmocka_unit_test(test_store_gone),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_users),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_pins),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
