/* The calls of the image service, between a client that may be hostile and a store that
 * answers late, not at all, or no. */
#include "tests/frontend/cri_world.h"

#include "common/base/fd.h"
#include "common/base/pairs.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define ID(first) first "11111111111111111111111111111111111111111111111111111111111111"

static struct wire
nothing(void)
{
	return (struct wire){0};
}

static struct asked *
ask_image(const char *method, const char *image, bool verbose)
{
	struct wire w = image_request(image, verbose);

	return ask(method, &w);
}

static void
some_images(void)
{
	tell_image(0xa1, "docker.io/library/busybox:latest", "1000:100", true);
	tell_image(
	    0xb2, "registry.test/app:1\nregistry.test/app@sha256:" HEX_A, "web", true);
	tell_image(0xc3, "registry.test/new:1", "", false);
	tell_end();
}

/* ---- lists ---- */

static void
test_list(void **state)
{
	struct wire w = nothing(), filter = {0};
	struct wire_field f;

	world_open();
	some_images();
	struct asked *a = ask("ListImages", &w);
	expect_end(a, GRPC_OK, "");
	assert_int_equal(a->sent, 1);
	assert_int_equal(wire_count(answer(a, 0), 1), 3);
	/* By ID, and what each says. */
	struct span one = wire_get(answer(a, 0), 1);
	assert_span(wire_get(one, 1), ID("a1"));
	assert_span(wire_get(one, 2), "docker.io/library/busybox:latest");
	assert_true(wire_find(one, 4, 0, &f) && f.value == 1000 + 0xa1);
	assert_true(wire_find(wire_get(one, 5), 1, 0, &f) && f.value == 1000);
	assert_int_equal(wire_count(one, 6), 0);
	assert_int_equal(wire_count(one, 7), 0);
	assert_true(wire_find(answer(a, 0), 1, 1, &f));
	assert_span(wire_get(f.bytes, 3), "registry.test/app@sha256:" HEX_A);
	assert_span(wire_get(f.bytes, 6), "web");
	assert_int_equal(wire_count(f.bytes, 5), 0);
	asked_free(a);

	/* A filter is one lookup. */
	struct wire spec = image_request("busybox", false);
	wire_sub(&w, 1, &spec);
	a = ask("ListImages", &w);
	assert_int_equal(wire_count(answer(a, 0), 1), 1);
	asked_free(a);
	spec = image_request("absent", false);
	wire_sub(&w, 1, &spec);
	a = ask("ListImages", &w);
	assert_int_equal(answer(a, 0).n, 0);
	asked_free(a);
	spec = image_request("No Name", false);
	wire_sub(&w, 1, &spec);
	a = ask("ListImages", &w);
	expect_end(a, GRPC_INVALID_ARGUMENT, "");
	asked_free(a);
	wire_sub(&w, 1, &filter); /* an empty filter is none */
	a = ask("ListImages", &w);
	assert_int_equal(wire_count(answer(a, 0), 1), 3);
	asked_free(a);
	world_close();
}

static void
test_stream(void **state)
{
	struct wire w = nothing();

	world_open();
	tell_end();
	struct asked *a = ask("StreamImages", &w);
	expect_end(a, GRPC_OK, "");
	assert_int_equal(a->sent, 0);
	asked_free(a);

	for (unsigned i = 0; i < 6001; i++) {
		struct ipc_msg m = IPC_MSG(cache_image, .size = 1, .described = 1);
		m.cache_image.id[0] = (uint8_t)i;
		m.cache_image.id[1] = (uint8_t)(i >> 8);
		assert_int_equal(tell(&m), 0);
	}
	tell_end();
	a = ask("StreamImages", &w);
	expect_end(a, GRPC_OK, "");
	assert_int_equal(a->sent, 3);
	assert_int_equal(wire_count(answer(a, 0), 1), 3000);
	assert_int_equal(wire_count(answer(a, 1), 1), 3000);
	assert_int_equal(wire_count(answer(a, 2), 1), 1);
	assert_ptr_equal(a->parts[0], a->parts[2]); /* no copies */
	asked_free(a);
	/* Parts stay well within the limit of a message. */
	world->f.max_message = KiB(256);
	a = ask("StreamImages", &w);
	assert_int_equal(a->sent, 4);
	for (unsigned i = 0; i < a->sent; i++)
		assert_true(answer(a, i).n <= KiB(128));
	asked_free(a);
	world_close();
}

/* Nobody is answered before the store has said everything once. */
static void
test_waiting(void **state)
{
	struct wire w = nothing();

	world_open();
	struct asked *list = ask("ListImages", &w), *info = ask("ImageFsInfo", &w);
	struct asked *status = ask_image("ImageStatus", "busybox", false);
	struct asked *gone = ask("ListImages", &w);
	struct asked *version = ask("Version", &w);
	expect_end(version, GRPC_OK, ""); /* needs no store */
	assert_false(list->finished || info->finished || status->finished);
	ask_cancel(gone);
	some_images();
	assert_int_equal(wire_count(answer(list, 0), 1), 3);
	expect_end(info, GRPC_OK, "");
	assert_span(wire_get(wire_get(answer(status, 0), 1), 1), ID("a1"));
	asked_free(list);
	asked_free(info);
	asked_free(status);
	asked_free(gone);
	asked_free(version);
	world_close();
}

static void
test_impatience(void **state)
{
	struct wire w = nothing();

	world_open();
	struct asked *a = ask("ListImages", &w);
	struct loop_timer *t = world->f.loop.timers;
	assert_non_null(t);
	uint64_t in = t->at - loop_now();
	assert_true(
	    in <= LIMIT_CACHE_SECONDS * 1000 && in > LIMIT_CACHE_SECONDS * 1000 - 5000);
	loop_timer_set(&world->f.loop, t, 0);
	settle();
	expect_end(a, GRPC_UNAVAILABLE, "not been read");
	asked_free(a);
	some_images(); /* nobody is woken twice */
	world_close();
}

/* ---- status ---- */

static void
test_status(void **state)
{
	static const char *const same[] = {"busybox", "busybox:latest",
	    "docker.io/library/busybox:latest", ID("a1"), "sha256:" ID("a1"), "a11",
	    "a11111111111"};
	struct wire_field f;

	world_open();
	some_images();
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		struct asked *a = ask_image("ImageStatus", same[i], false);
		struct span im = wire_get(answer(a, 0), 1);
		assert_span(wire_get(im, 1), ID("a1"));
		assert_true(wire_find(im, 7, 0, &f)); /* a spec, be it empty */
		assert_int_equal(wire_count(answer(a, 0), 2), 0);
		asked_free(a);
	}
	struct asked *a = ask_image("ImageStatus", "absent", false);
	assert_int_equal(answer(a, 0).n, 0);
	asked_free(a);
	a = ask_image("ImageStatus", "registry.test/app@sha256:" HEX_B, true);
	assert_int_equal(answer(a, 0).n, 0);
	asked_free(a);
	a = ask_image("ImageStatus", "", false);
	expect_end(a, GRPC_INVALID_ARGUMENT, "no image");
	asked_free(a);
	a = ask_image("ImageStatus", "No Name", false);
	expect_end(a, GRPC_INVALID_ARGUMENT, "");
	asked_free(a);
	store_expect_nothing();
	world_close();
}

static void
test_annotations(void **state)
{
	uint8_t pairs[100];
	size_t n = 0;

	world_open();
	assert_true(
	    pairs_add(pairs, sizeof(pairs), &n, span_str("org.test/k"), span_str("v")));
	struct ipc_msg m = IPC_MSG(
	    cache_image, .described = 1, .annotations = span_of(pairs, n), .size = 5);
	assert_int_equal(tell(&m), 0);
	tell_end();
	struct asked *a = ask_image("ImageStatus", "000", false);
	struct span spec = wire_get(wire_get(answer(a, 0), 1), 7);
	assert_span(wire_get(wire_get(spec, 2), 1), "org.test/k");
	assert_span(wire_get(wire_get(spec, 2), 2), "v");
	asked_free(a);
	world_close();
}

/* Never an answer without the user. */
static void
test_describe(void **state)
{
	world_open();
	some_images();
	struct asked *a = ask_image("ImageStatus", "registry.test/new:1", false);
	assert_false(a->finished);
	struct msg_describe asked = store_expect(MSG_describe)->describe;
	assert_int_equal(asked.id[0], 0xc3);
	tell_image(0xc3, "registry.test/new:1", "77", true);
	assert_false(a->finished);
	tell_end();
	assert_false(a->finished);
	store_done(asked.req, ERR_OK, "");
	struct span im = wire_get(answer(a, 0), 1);
	assert_int_equal(wire_count(im, 5), 1);
	asked_free(a);
	world_close();
}

static void
describe_ends(enum err_class code, const char *text, bool gone, enum grpc_code expected)
{
	world_open();
	some_images();
	struct asked *a = ask_image("ImageStatus", "registry.test/new:1", false);
	uint64_t req = store_expect(MSG_describe)->describe.req;
	if (gone) {
		tell_gone(0xc3);
		tell_end();
	}
	store_done(req, code, text);
	expect_end(a, expected, code ? text : "");
	if (expected == GRPC_OK)
		assert_int_equal(answer(a, 0).n, 0);
	asked_free(a);
	world_close();
}

static void
test_describe_fails(void **state)
{
	describe_ends(
	    ERR_CONTENT, "its config is broken", false, GRPC_FAILED_PRECONDITION);
	describe_ends(ERR_INTERNAL, "no room", false, GRPC_INTERNAL);
	describe_ends(ERR_OK, "", false, GRPC_INTERNAL); /* a store that lies */
	describe_ends(ERR_OK, "", true, GRPC_OK);
	describe_ends(ERR_NOT_FOUND, "", true, GRPC_OK);
	describe_ends(ERR_NOT_FOUND, "", false, GRPC_OK);
}

static void
test_verbose(void **state)
{
	static const char json[] = "{\"labels\":{\"a\":\"\xc3\xa4\"},\"imageSpec\":{}}";

	world_open();
	some_images();
	struct asked *a = ask_image("ImageStatus", "busybox", true);
	struct msg_inspect q = store_expect(MSG_inspect)->inspect;
	assert_int_equal(q.kind, RENDER_CRI);
	assert_span(q.ref, ID("a1"));
	store_text(q.req, fd_sealed_memfd("t", json, sizeof(json) - 1));
	assert_false(a->finished);
	store_done(q.req, ERR_OK, "");
	struct span info = wire_get(answer(a, 0), 2);
	assert_span(wire_get(info, 1), "info");
	assert_span(wire_get(info, 2), json);
	assert_span(wire_get(wire_get(answer(a, 0), 1), 1), ID("a1"));
	asked_free(a);

	/* One not described: first that, then the details. */
	a = ask_image("ImageStatus", "registry.test/new:1", true);
	uint64_t req = store_expect(MSG_describe)->describe.req;
	tell_image(0xc3, "registry.test/new:1", "", true);
	tell_end();
	store_done(req, ERR_OK, "");
	req = store_expect(MSG_inspect)->inspect.req;
	store_text(req, fd_sealed_memfd("t", "{}", 2));
	store_done(req, ERR_OK, "");
	assert_span(wire_get(wire_get(answer(a, 0), 2), 2), "{}");
	asked_free(a);
	world_close();
}

static int
unsealed(void)
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "{}", 2), 2);
	return fd;
}

static void
verbose_ends(int fd, enum err_class code, enum grpc_code expected, bool empty)
{
	world_open();
	some_images();
	struct asked *a = ask_image("ImageStatus", "busybox", true);
	uint64_t req = store_expect(MSG_inspect)->inspect.req;
	if (fd >= 0)
		store_text(req, fd);
	if (empty) {
		tell_gone(0xa1);
		tell_end();
	}
	store_done(req, code, "why");
	expect_end(a, expected, "");
	if (expected == GRPC_OK)
		assert_int_equal(answer(a, 0).n == 0, empty);
	asked_free(a);
	world_close();
}

static void
test_verbose_fails(void **state)
{
	int before = fd_count_open();

	verbose_ends(-1, ERR_OK, GRPC_INTERNAL, false);
	verbose_ends(unsealed(), ERR_OK, GRPC_INTERNAL, false);
	verbose_ends(fd_sealed_memfd("t", "\xff", 1), ERR_OK, GRPC_INTERNAL, false);
	verbose_ends(fd_sealed_memfd("t", "a\0b", 3), ERR_OK, GRPC_INTERNAL, false);
	verbose_ends(fd_sealed_memfd("t", "", 0), ERR_OK, GRPC_INTERNAL, false);
	verbose_ends(-1, ERR_CONTENT, GRPC_FAILED_PRECONDITION, false);
	verbose_ends(-1, ERR_NOT_FOUND, GRPC_OK, true);
	assert_int_equal(fd_count_open(), before);
}

static void
test_verbose_limit(void **state)
{
	for (unsigned over = 0; over <= 1; over++) {
		size_t n = LIMIT_RENDERED + over;
		char *text = malloc(n);
		assert_non_null(text);
		memset(text, ' ', n);
		verbose_ends(fd_sealed_memfd("t", text, n), ERR_OK,
		    over ? GRPC_INTERNAL : GRPC_OK, false);
		free(text);
	}
}

static void
test_cancel(void **state)
{
	world_open();
	some_images();
	struct asked *a = ask_image("ImageStatus", "registry.test/new:1", false);
	struct asked *b = ask_image("ImageStatus", "busybox", true);
	struct asked *c = ask_image("RemoveImage", "busybox", false);
	ask_cancel(a);
	ask_cancel(b);
	ask_cancel(c);
	assert_null(world->f.queries);
	asked_free(a);
	asked_free(b);
	asked_free(c);
	world_close();
}

/* ---- remove ---- */

static void
test_remove(void **state)
{
	static const char *const same[] = {
	    "registry.test/app:1", ID("b2"), "b211", ("registry.test/app@sha256:" HEX_A)};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		world_open();
		some_images();
		struct asked *a = ask_image("RemoveImage", same[i], false);
		struct msg_remove m = store_expect(MSG_remove)->remove;
		assert_span(m.ref, ID("b2"));
		assert_int_equal(m.force, 1);
		assert_false(a->finished);
		tell_gone(0xb2);
		tell_end();
		store_done(m.req, ERR_OK, "");
		assert_int_equal(answer(a, 0).n, 0);
		assert_int_equal(a->sent, 1);
		asked_free(a);
		/* Once more: it is gone already. */
		a = ask_image("RemoveImage", same[i], false);
		expect_end(a, GRPC_OK, "");
		assert_int_equal(a->sent, 1);
		asked_free(a);
		world_close();
	}
}

static void
remove_ends(enum err_class code, const char *text, enum grpc_code expected)
{
	world_open();
	some_images();
	struct asked *a = ask_image("RemoveImage", "busybox", false);
	uint64_t req = store_expect(MSG_remove)->remove.req;
	store_done(req, code, text);
	expect_end(a, expected, expected ? text : "");
	asked_free(a);
	world_close();
}

static void
test_remove_fails(void **state)
{
	remove_ends(
	    ERR_IN_USE, "in use by container 0123456789ab", GRPC_FAILED_PRECONDITION);
	remove_ends(ERR_NOT_FOUND, "no image", GRPC_OK); /* somebody was faster */
	remove_ends(ERR_INTERNAL, "broken", GRPC_INTERNAL);

	world_open();
	some_images();
	struct asked *a = ask_image("RemoveImage", "", false);
	expect_end(a, GRPC_INVALID_ARGUMENT, "no image");
	asked_free(a);
	a = ask_image("RemoveImage", "a//b", false);
	expect_end(a, GRPC_INVALID_ARGUMENT, "");
	asked_free(a);
	world_close();
}

/* The store died over it: not the request's fault. */
static void
test_store_gone(void **state)
{
	world_open();
	some_images();
	struct asked *a = ask_image("RemoveImage", "busybox", false);
	uint64_t req = store_expect(MSG_remove)->remove.req;
	port_release(&world->f.store);
	store_done(req, ERR_INTERNAL, "the store worker ended unexpectedly");
	expect_end(a, GRPC_UNAVAILABLE, "ended unexpectedly");
	asked_free(a);
	world_close();
}

/* ---- ImageFsInfo, Version ---- */

static void
test_fs_info(void **state)
{
	struct wire w = nothing();
	struct wire_field f;

	world_open();
	some_images();
	struct asked *a = ask("ImageFsInfo", &w);
	struct span fs = wire_get(answer(a, 0), 1);
	assert_true(wire_find(fs, 1, 0, &f));
	assert_true(f.value > UINT64_C(1600000000) * 1000000000);
	assert_span(wire_get(wire_get(fs, 2), 1), "/var/lib/store/overlay-images");
	assert_true(wire_find(wire_get(fs, 3), 1, 0, &f) && f.value == 4096);
	assert_true(wire_find(wire_get(fs, 4), 1, 0, &f) && f.value == 40);
	asked_free(a);
	world_close();
}

static void
test_version(void **state)
{
	struct wire w = nothing();

	world_open();
	struct asked *a = ask("Version", &w);
	assert_span(wire_get(answer(a, 0), 2), "bulkhead");
	asked_free(a);
	world_close();
}

/* ---- pull ---- */

static struct wire
pull_request(const char *image, const char *namespace)
{
	struct wire w = image_request(image, false), pod = {0}, meta = {0};

	if (!namespace)
		return w;
	wire_text(&meta, 3, namespace);
	wire_sub(&pod, 1, &meta);
	wire_sub(&w, 3, &pod);
	return w;
}

static void
pull_end(enum err_class code, const char *text)
{
	struct waiter *w = world->wish.waiter;
	uint8_t id[32];

	memset(id, 0xee, sizeof(id));
	assert_non_null(w);
	world->wish.waiter = NULL;
	w->pull = NULL;
	w->ops->done(w, code, id, true, span_str(text));
}

static void
test_pull(void **state)
{
	struct wire w = pull_request("busybox", "tenant");

	world_open(); /* needs no cache */
	struct asked *a = ask("PullImage", &w);
	assert_int_equal(world->wish.joined, 1);
	assert_string_equal(world->wish.name, "busybox");
	assert_string_equal(world->wish.namespace, "tenant");
	assert_int_equal(world->wish.options.mode, PULL_ALWAYS);
	assert_int_equal(world->wish.options.auth, AUTH_FILES);
	assert_int_equal(world->wish.options.verify, 0);
	assert_false(a->finished);
	pull_end(ERR_OK, "");
	assert_span(wire_get(answer(a, 0), 1),
	    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
	asked_free(a);

	w = pull_request("busybox", NULL);
	a = ask("PullImage", &w);
	ask_cancel(a);
	assert_int_equal(world->wish.left, 1);
	asked_free(a);
	world_close();
}

static const struct {
	enum err_class class;
	enum grpc_code code;
	const char *begin;
} ends[] = {
    {ERR_NOT_FOUND, GRPC_NOT_FOUND, "why"},
    {ERR_POLICY, GRPC_UNKNOWN, "SignatureValidationFailed: why"},
    {ERR_BLOCKED, GRPC_UNKNOWN, "why"},
    {ERR_AUTH, GRPC_UNAUTHENTICATED, "why"},
    {ERR_NETWORK, GRPC_UNKNOWN, "RegistryUnavailable: why"},
    {ERR_NO_SPACE, GRPC_RESOURCE_EXHAUSTED, "why"},
    {ERR_CONTENT, GRPC_FAILED_PRECONDITION, "why"},
    {ERR_DEADLINE, GRPC_DEADLINE_EXCEEDED, "why"},
    {ERR_USAGE, GRPC_INVALID_ARGUMENT, "why"},
    {ERR_INTERNAL, GRPC_INTERNAL, "why"},
    {(enum err_class)99, GRPC_UNKNOWN, "why"},
};

static void
test_pull_fails(void **state)
{
	char too_long[LIMIT_NAMESPACE + 2];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct wire w = pull_request("busybox", NULL);
		world_open();
		struct asked *a = ask("PullImage", &w);
		pull_end(ends[i].class, "why");
		expect_end(a, ends[i].code, "");
		assert_string_equal(a->text, ends[i].begin);
		assert_int_equal(a->sent, 0);
		asked_free(a);
		world_close();
	}
	world_open();
	memset(too_long, 'n', sizeof(too_long));
	for (unsigned over = 0; over <= 1; over++) {
		too_long[LIMIT_NAMESPACE + over] = 0;
		struct wire w = pull_request("busybox", too_long);
		struct asked *a = ask("PullImage", &w);
		assert_int_equal(a->finished, over);
		if (over)
			expect_end(a, GRPC_INVALID_ARGUMENT, "namespace");
		else
			pull_end(ERR_OK, "");
		asked_free(a);
		too_long[LIMIT_NAMESPACE] = 'n';
	}
	struct wire w = pull_request("", NULL);
	struct asked *a = ask("PullImage", &w);
	expect_end(a, GRPC_INVALID_ARGUMENT, "no image");
	asked_free(a);
	w = pull_request(HEX_A, NULL);
	a = ask("PullImage", &w);
	expect_end(a, GRPC_INVALID_ARGUMENT, "");
	asked_free(a);
	world->wish.refuse = ERR_POLICY;
	w = pull_request("busybox", NULL);
	a = ask("PullImage", &w);
	expect_end(a, GRPC_UNKNOWN, "SignatureValidationFailed: refused at once");
	asked_free(a);
	world_close();
}

/* user, password, auth, server address, identity token, registry token. */
static const struct {
	const char *image, *field[6];
	enum grpc_code fails;
	enum fetch_auth auth;
	enum secret_kind kind;
	const char *secret;
} auths[] = {
    {"a", {"", "", "", "", "", ""}, 0, AUTH_FILES, 0, ""},
    {"a", {"u", "p", "", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"u", "p:q", "", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p:q"},
    {"a", {"u", "", "", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:"},
    {"a", {"", "p", "", "", "", ""}, 0, AUTH_FILES, 0, ""},
    {"a", {"", "", "dTpw", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"x", "y", "dTpw", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"", "", "dTpwAAA=", "", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"", "", "dXA=", "", "", ""}, 0, AUTH_FILES, 0, ""}, /* no colon */
    {"a", {"", "", "dTpw=", "", "", ""}, 3, 0, 0, NULL},
    {"a", {"", "", "d!pw", "", "", ""}, 3, 0, 0, NULL},
    {"a", {"", "", "dTpwAHA=", "", "", ""}, 3, 0, 0, NULL}, /* a NUL within */
    {"a", {"", "", "", "", "id", ""}, 0, AUTH_GIVEN, SECRET_IDENTITY, "id"},
    {"a", {"", "", "", "", "", "reg"}, 0, AUTH_GIVEN, SECRET_BEARER, "reg"},
    {"a", {"u", "", "", "", "id", "reg"}, 0, AUTH_GIVEN, SECRET_IDENTITY, "id"},
    {"a", {"u", "p", "", "", "id", "reg"}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"u", "p\nq", "", "", "", ""}, 3, 0, 0, NULL},
    {"a", {"u:v", "p", "", "", "", ""}, 3, 0, 0, NULL},
    {"a", {"", "", "", "", "", "re\rg"}, 3, 0, 0, NULL},
    {"a", {"u", "p", "", "https://index.docker.io/v1/", "", ""}, 0, AUTH_GIVEN,
	SECRET_BASIC, "u:p"},
    {"a", {"u", "p", "", "docker.io", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC, "u:p"},
    {"a", {"u", "p", "", "registry-1.docker.io", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC,
	"u:p"},
    {"a", {"u", "p", "", "evil.test", "", ""}, 0, AUTH_FILES, 0, ""},
    {"a", {"u", "p", "", "docker.io.evil.test", "", ""}, 0, AUTH_FILES, 0, ""},
    {"a", {"u", "p", "", "evil.test/docker.io", "", ""}, 0, AUTH_FILES, 0, ""},
    {"a", {"u", "p", "", "https://docker.io@evil.test/", "", ""}, 0, AUTH_FILES, 0, ""},
    {"r.test:5000/a", {"u", "p", "", "r.test:5000", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC,
	"u:p"},
    {"r.test:5000/a", {"u", "p", "", "http://R.test:5000/v2/", "", ""}, 0, AUTH_GIVEN,
	SECRET_BASIC, "u:p"},
    {"r.test:5000/a", {"u", "p", "", "r.test", "", ""}, 0, AUTH_FILES, 0, ""},
    {"r.test/a", {"u", "p", "", "r.test:443", "", ""}, 0, AUTH_GIVEN, SECRET_BASIC,
	"u:p"},
    {"r.test:443/a", {"u", "p", "", "https://r.test", "", ""}, 0, AUTH_GIVEN,
	SECRET_BASIC, "u:p"},
    {"r.test/a", {"", "", "", "other.test", "id", "reg"}, 0, AUTH_FILES, 0, ""},
    {"r.test/a", {"", "", "", "r.test", "", "reg"}, 0, AUTH_GIVEN, SECRET_BEARER, "reg"},
    {"r.test/a", {"u", "p", "", "https://", "", ""}, 0, AUTH_FILES, 0, ""},
};

static void
test_auth(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(auths); i++) {
		struct wire w = image_request(auths[i].image, false), auth = {0};
		world_open();
		for (unsigned k = 0; k < 6; k++)
			if (auths[i].field[k][0])
				wire_text(&auth, k + 1, auths[i].field[k]);
		wire_sub(&w, 2, &auth);
		struct asked *a = ask("PullImage", &w);
		const struct pull_options *o = &world->wish.options;
		if (auths[i].fails) {
			expect_end(a, auths[i].fails, "");
			assert_int_equal(world->wish.joined, 0);
		} else {
			if (o->auth != auths[i].auth || o->secret_kind != auths[i].kind)
				fail_msg(
				    "%zu: auth %d kind %d", i, o->auth, o->secret_kind);
			assert_span(o->secret, auths[i].secret);
			pull_end(ERR_OK, "");
		}
		asked_free(a);
		world_close();
	}
}

static void
test_secret_limit(void **state)
{
	for (size_t n = LIMIT_SECRET - 2; n <= LIMIT_SECRET - 1; n++) {
		struct wire w = image_request("a", false), auth = {0};
		char *password = calloc(1, n + 1);
		assert_non_null(password);
		memset(password, 'p', n);
		world_open();
		wire_text(&auth, 1, "u");
		wire_text(&auth, 2, password);
		wire_sub(&w, 2, &auth);
		struct asked *a = ask("PullImage", &w);
		if (n + 2 <= LIMIT_SECRET) {
			assert_int_equal(world->wish.options.secret.n, LIMIT_SECRET);
			pull_end(ERR_OK, "");
		} else {
			expect_end(a, GRPC_INVALID_ARGUMENT, "longer than");
		}
		asked_free(a);
		free(password);
		world_close();
	}
}

/* ---- requests that are none ---- */

static void
test_broken(void **state)
{
	static const char *const methods[] = {
	    "ListImages", "StreamImages", "ImageStatus", "PullImage", "RemoveImage"};
	char text[LIMIT_NAME + 2];

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct wire w = {0}, spec = {0};
		world_open();
		some_images();
		wire_raw(&w, "\x0a\x7f", 2);
		struct asked *a = ask(methods[i], &w);
		expect_end(a, GRPC_INTERNAL, "no message");
		asked_free(a);

		wire_bytes(&spec, 1, "a\0b", 3);
		wire_sub(&w, 1, &spec);
		if (i < 2) {
			spec = w;
			w = (struct wire){0};
			wire_sub(&w, 1, &spec);
		}
		a = ask(methods[i], &w);
		expect_end(a, GRPC_INVALID_ARGUMENT, "NUL");
		asked_free(a);

		memset(text, 'z', sizeof(text));
		text[sizeof(text) - 1] = 0;
		w = image_request(text, false);
		if (i < 2) {
			spec = w;
			w = (struct wire){0};
			wire_sub(&w, 1, &spec);
		}
		a = ask(methods[i], &w);
		expect_end(a, GRPC_INVALID_ARGUMENT, "longer");
		asked_free(a);

		for (int k = 0; k < 100000; k++)
			wire_raw(&spec, "\x12\x00", 2);
		wire_sub(&w, 1, &spec);
		if (i < 2) {
			spec = w;
			w = (struct wire){0};
			wire_sub(&w, 1, &spec);
		}
		a = ask(methods[i], &w);
		expect_end(a, GRPC_RESOURCE_EXHAUSTED, "memory");
		asked_free(a);
		store_expect_nothing();
		world_close();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_stream),
	    cmocka_unit_test(test_waiting),
	    cmocka_unit_test(test_impatience),
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_annotations),
	    cmocka_unit_test(test_describe),
	    cmocka_unit_test(test_describe_fails),
	    cmocka_unit_test(test_verbose),
	    cmocka_unit_test(test_verbose_fails),
	    cmocka_unit_test(test_verbose_limit),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_remove),
	    cmocka_unit_test(test_remove_fails),
	    cmocka_unit_test(test_store_gone),
	    cmocka_unit_test(test_fs_info),
	    cmocka_unit_test(test_version),
	    cmocka_unit_test(test_pull),
	    cmocka_unit_test(test_pull_fails),
	    cmocka_unit_test(test_auth),
	    cmocka_unit_test(test_secret_limit),
	    cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
