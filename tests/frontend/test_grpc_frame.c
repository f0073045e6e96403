/* Message framing, timeouts, content types, percent-encoding: without a connection. */
#include "frontend/grpc_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
test_prefix(void **state)
{
	uint8_t out[GRPC_PREFIX];

	grpc_prefix(out, 0x01020304);
	assert_memory_equal(out, "\0\1\2\3\4", GRPC_PREFIX);
}

/* The message in pieces of every size, memory counted and given back. */
static void
test_body_pieces(void **state)
{
	static uint8_t bytes[GRPC_PREFIX + 5000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 13);
	grpc_prefix(bytes, 5000);
	for (size_t step = 1; step <= sizeof(bytes); step = step * 3 + 1) {
		struct grpc_memory memory = {.max = 5000};
		struct grpc_body b = {.memory = &memory};
		struct grpc_refusal no = {0};
		for (size_t at = 0; at < sizeof(bytes); at += step) {
			size_t n = sizeof(bytes) - at < step ? sizeof(bytes) - at : step;
			grpc_body_add(&b, span_of(bytes + at, n), 5000, &no);
			assert_int_equal(no.code, GRPC_OK);
			assert_true(memory.used <= 2 * (at + n) + 1024);
		}
		struct span message = grpc_body_end(&b, &no);
		assert_int_equal(no.code, GRPC_OK);
		assert_int_equal(message.n, 5000);
		assert_memory_equal(message.p, bytes + GRPC_PREFIX, 5000);
		assert_int_equal(memory.used, 5000);
		grpc_body_free(&b);
		assert_int_equal(memory.used, 0);
	}
}

/* One byte of memory short; the length promised takes none. */
static void
test_body_memory(void **state)
{
	struct grpc_memory memory = {.max = 4999};
	struct grpc_body b = {.memory = &memory};
	struct grpc_refusal no = {0};
	static const uint8_t bytes[4096];
	uint8_t prefix[GRPC_PREFIX];

	grpc_prefix(prefix, 5000);
	grpc_body_add(&b, span_of(prefix, sizeof(prefix)), 5000, &no);
	assert_int_equal(no.code, GRPC_OK);
	assert_int_equal(memory.used, 0);
	grpc_body_add(&b, span_of(bytes, 4096), 5000, &no);
	assert_int_equal(no.code, GRPC_OK);
	assert_int_equal(memory.used, 4096);
	grpc_body_add(&b, span_of(bytes, 1), 5000, &no);
	assert_int_equal(no.code, GRPC_RESOURCE_EXHAUSTED);
	grpc_body_free(&b);
	assert_int_equal(memory.used, 0);
}

static void
test_timeout(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000}, {"4m", 4}, {"5u", 1},
	    {"1000u", 1}, {"1001u", 2}, {"1n", 1}, {"1000001n", 2}, {"0n", 0},
	    {"99999999H", UINT64_C(359999996400000)}, {"00000001m", 1}};
	static const char *const bad[] = {"", "1", "m", "123456789m", "1s", "1h", "-1m",
	    "+1m", "1 m", " 1m", "1mm", "1.5S", "1m ", "\xd9\xa1m"};
	uint64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(grpc_timeout_parse(span_str(good[i].text), &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(grpc_timeout_parse(span_str(bad[i]), &ms));
}

static void
test_content_type(void **state)
{
	static const char *const good[] = {"application/grpc", "application/grpc+proto",
	    "Application/gRPC", "application/grpc;charset=utf-8",
	    "application/grpc+proto ;x"};
	static const char *const bad[] = {"", "application/grp", "application/grpcx",
	    "application/grpc+json", "application/grpc-web", "application/grpc+protox",
	    "application/json", "text/plain; application/grpc"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(grpc_content_type(span_str(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(grpc_content_type(span_str(bad[i])));
}

static void
test_percent(void **state)
{
	char text[LIMIT_GRPC_STATUS + 8];
	char *out = grpc_percent_encode("plain ~ text, 50%\t\x7f\xff");

	assert_string_equal(out, "plain ~ text, 50%25%09%7F%FF");
	free(out);
	for (size_t n = LIMIT_GRPC_STATUS - 1; n <= LIMIT_GRPC_STATUS + 1; n++) {
		memset(text, 'a', n);
		text[n] = '\0';
		out = grpc_percent_encode(text);
		assert_int_equal(
		    strlen(out), n < LIMIT_GRPC_STATUS ? n : LIMIT_GRPC_STATUS);
		free(out);
	}
	/* The euro sign's three bytes over the edge. */
	memset(text, 'a', LIMIT_GRPC_STATUS - 2);
	memcpy(text + LIMIT_GRPC_STATUS - 2, "\xe2\x82\xac", 4);
	out = grpc_percent_encode(text);
	assert_int_equal(strlen(out), LIMIT_GRPC_STATUS - 2);
	free(out);
}

static void
test_blob_limit(void **state)
{
	struct blob *most = blob_new(LIMIT_GRPC_ANSWERS - 10), *rest = blob_new(10);

	assert_non_null(most);
	assert_non_null(rest);
	assert_null(blob_new(1));
	assert_null(blob_new(SIZE_MAX));
	blob_unref(blob_ref(rest));
	assert_null(blob_new(1));
	blob_unref(rest);
	rest = blob_new(10);
	assert_non_null(rest);
	blob_unref(rest);
	blob_unref(most);
	blob_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_body_pieces),
	    cmocka_unit_test(test_body_memory),
	    cmocka_unit_test(test_timeout),
	    cmocka_unit_test(test_content_type),
	    cmocka_unit_test(test_percent),
	    cmocka_unit_test(test_blob_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
