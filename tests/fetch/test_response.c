#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker-fetch/fetch/moment.h"
#include "worker-fetch/fetch/response.h"

static struct response head;

/* Feeds a head; lines end with \n. */
static int
feed(const char *text)
{
	struct err e = {0};

	response_init(&head);
	while (*text) {
		size_t n = strcspn(text, "\n") + 1;
		int r = response_line(&head, span_of(text, n), &e);
		if (r < 0) {
			assert_int_not_equal(e.code, ERR_OK);
			return r;
		}
		text += n;
	}
	return 0;
}

static void
accepted(void **state)
{
	assert_int_equal(
	    feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		 "content-type:  Application/JSON ; charset=utf-8\r\n"
		 "Docker-Content-Digest: sha256:"
		 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n"
		 "Location: /ignored\r\nSet-Cookie: a=b\r\n\r\n"),
	    0);
	assert_true(
	    head.complete && head.has_length && head.length == 5 && head.status == 200);
	assert_string_equal(head.media_type, "application/json");
	assert_int_equal(strlen(head.digest), 71);
	assert_false(head.has_location);

	assert_int_equal(feed("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103\r\n\r\n"
			      "HTTP/1.0 401 No\r\nWWW-Authenticate: Basic\r\n"
			      "www-authenticate: Bearer realm=\"r\"\r\n\r\n"),
	    0);
	assert_true(head.complete && head.status == 401 && head.challenged);
	assert_true(head.challenge.basic && head.challenge.bearer);

	assert_int_equal(feed("HTTP/1.1 307 x\r\nLocation: https://a/\r\n\r\n"), 0);
	assert_true(response_is_redirect(&head) && head.has_location);
	assert_int_equal(feed("HTTP/1.1 304 x\r\nLocation: https://a/\r\n\r\n"), 0);
	assert_false(response_is_redirect(&head));

	assert_int_equal(feed("HTTP/1.1 429 x\r\nRetry-After: 7\r\n\r\n"), 0);
	assert_int_equal(head.retry_after, 7);
	assert_int_equal(feed("HTTP/1.1 429 x\r\nRetry-After: Wed, 21 Oct\r\n\r\n"), 0);
	assert_int_equal(head.retry_after, -1);

	assert_int_equal(
	    feed("HTTP/1.1 206 x\r\nContent-Range: bytes 3-9/10\r\n\r\n"), 0);
	assert_true(head.has_range && head.range_first == 3 && head.range_total == 10);

	assert_int_equal(
	    feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n"
		 "Docker-Content-Digest: sha512:00\r\nContent-Encoding: identity\r\n\r\n"
		 "Content-Length: 7\r\n"), /* a trailer */
	    0);
	assert_true(head.length == 5 && !*head.digest);
	assert_int_equal(feed("HTTP/1.1 200\nTransfer-Encoding: Chunked\n\n"), 0);
	assert_true(head.chunked);
}

static void
refused(void **state)
{
	static const char *const rows[] = {
	    "HTTP/2 200\r\n",
	    "HTTP/0.9 200\r\n",
	    "ICY 200 OK\r\n",
	    "HTTP/1.1 20\r\n",
	    "HTTP/1.1 2000\r\n",
	    "HTTP/1.1 600 x\r\n",
	    "HTTP/1.1 099 x\r\n",
	    "HTTP/1.1 abc\r\n",
	    "\r\n",
	    "HTTP/1.1 101 Switching\r\n",
	    "HTTP/1.1 200 \x01\r\n",
	    "HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\n",
	    "HTTP/1.1 200 x\r\nContent-Encoding: identity, gzip\r\n",
	    "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked\r\n",
	    "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip\r\n",
	    "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
	    "chunked\r\n",
	    "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: -1\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: +1\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: 1, 1\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length:\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: 18446744073709551616\r\n",
	    "HTTP/1.1 200 x\r\nContent-Length: 0x10\r\n",
	    "HTTP/1.1 302 x\r\nLocation: /a\r\nLocation: /a\r\n",
	    "HTTP/1.1 200 x\r\n folded\r\n",
	    "HTTP/1.1 200 x\r\n\tfolded: x\r\n",
	    "HTTP/1.1 200 x\r\nName : x\r\n",
	    "HTTP/1.1 200 x\r\nno colon\r\n",
	    "HTTP/1.1 200 x\r\n: empty\r\n",
	    "HTTP/1.1 200 x\r\nA: b\x01\r\n",
	    "HTTP/1.1 200 x\r\nA: b\rC: d\r\n",
	    "HTTP/1.1 401 x\r\nWWW-Authenticate: \"\r\n",
	    "HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm=a\r\n"
	    "WWW-Authenticate: Bearer realm=b\r\n",
	    "HTTP/1.1 206 x\r\nContent-Range: bytes */10\r\n",
	    "HTTP/1.1 206 x\r\nContent-Range: bytes 9-3/4\r\n",
	    "HTTP/1.1 206 x\r\nContent-Range: bytes 3-9/*\r\n",
	    "HTTP/1.1 206 x\r\nContent-Range: octets 3-9/10\r\n",
	    "HTTP/1.1 206 x\r\nContent-Range: bytes \r\n",
	    "HTTP/1.1 200 x\r\nContent-Type: a b\r\n",
	    "HTTP/1.1 200 x\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (feed(rows[i]) == 0)
			fail_msg("accepted: %s", rows[i]);
	}
	struct err e = {0};
	assert_int_equal(feed("HTTP/1.1 200 OK\r\n"), 0);
	assert_true(response_line(&head, span_of("A: \0\r\n", 6), &e) < 0);
}

static void
bounds(void **state)
{
	struct err e = {0};
	static char line[LIMIT_HEADER_BYTES + 1];

	assert_int_equal(feed("HTTP/1.1 200 OK\r\n"), 0);
	for (unsigned i = 1; i < LIMIT_HEADERS; i++)
		assert_int_equal(response_line(&head, span_str("A: b\r\n"), &e), 0);
	assert_true(response_line(&head, span_str("A: b\r\n"), &e) < 0);

	/* interim responses count too */
	response_init(&head);
	e.code = ERR_OK;
	for (unsigned i = 0; i < LIMIT_HEADERS / 2; i++) {
		assert_int_equal(
		    response_line(&head, span_str("HTTP/1.1 100 x\r\n"), &e), 0);
		assert_int_equal(response_line(&head, span_str("\r\n"), &e), 0);
	}
	assert_true(response_line(&head, span_str("HTTP/1.1 200 x\r\n"), &e) < 0);

	memset(line, 'a', sizeof(line));
	line[1] = ':';
	for (size_t more = 0; more < 2; more++) {
		assert_int_equal(feed("HTTP/1.1 200\r\n"), 0);
		size_t n = LIMIT_HEADER_BYTES - head.bytes + more;
		e.code = ERR_OK;
		assert_int_equal(response_line(&head, span_of(line, n), &e) < 0, more);
	}
	for (size_t more = 0; more < 2; more++) {
		assert_int_equal(feed("HTTP/1.1 200\r\n"), 0);
		memcpy(line, "Content-Type:", 13);
		e.code = ERR_OK;
		assert_int_equal(response_line(&head,
				     span_of(line, 13 + LIMIT_MEDIA_TYPE + more), &e) < 0,
		    more);
	}
	for (size_t more = 0; more < 2; more++) {
		assert_int_equal(feed("HTTP/1.1 302\r\n"), 0);
		memcpy(line, "Location:", 9);
		e.code = ERR_OK;
		assert_int_equal(
		    response_line(&head, span_of(line, 9 + LIMIT_URL + more), &e) < 0,
		    more);
	}
}

static void
sizes(void **state)
{
	struct err e = {0};

	assert_int_equal(feed("HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n"), 0);
	assert_int_equal(response_check_length(&head, 10, 10, &e), 0);
	assert_int_equal(response_check_length(&head, UINT64_MAX, 10, &e), 0);
	assert_true(response_check_length(&head, UINT64_MAX, 9, &e) < 0);
	assert_int_equal(e.code, ERR_CONTENT);
	assert_true(response_check_length(&head, 11, 100, &e) < 0);
	assert_true(response_check_length(&head, 9, 100, &e) < 0);
	assert_int_equal(feed("HTTP/1.1 200 x\r\n\r\n"), 0);
	assert_int_equal(response_check_length(&head, 11, 100, &e), 0);
}

static void
what_may_do_better_later(void **state)
{
	static const int now[] = {0, 200, 206, 301, 400, 401, 403, 404, 416};
	static const int later[] = {408, 429, 500, 502, 503, 504, 599};

	response_init(&head);
	for (size_t i = 0; i < ARRAY_LEN(now); i++) {
		head.status = now[i];
		assert_false(response_is_transient(&head));
	}
	for (size_t i = 0; i < ARRAY_LEN(later); i++) {
		head.status = later[i];
		assert_true(response_is_transient(&head));
	}
}

#define BUSY "HTTP/1.1 429 x\r\n"
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define DATE_SECONDS 784111777

static void
how_long_to_wait(void **state)
{
	static const struct {
		const char *head;
		unsigned wait;
	} rows[] = {
	    {BUSY, 0},
	    {BUSY "Retry-After: 0\r\n", 0},
	    {BUSY "Retry-After: 7\r\n", 7},
	    {BUSY "Retry-After: 86400\r\n", LIMIT_RETRY_AFTER_SAID},
	    {BUSY "Retry-After: 86401\r\n", LIMIT_RETRY_AFTER_SAID},
	    {BUSY "Retry-After: 999999999999999999\r\n", LIMIT_RETRY_AFTER_SAID},
	    {BUSY "Retry-After: 9999999999999999999\r\n", 0},
	    {BUSY "Retry-After: -5\r\n", 0},
	    {BUSY "Retry-After: 5 s\r\n", 0},
	    /* a date counts from the answer's own, whatever our clock says */
	    {BUSY DATE "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n", 30},
	    {BUSY "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n" DATE, 30},
	    {BUSY DATE "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0},
	    {BUSY DATE "Retry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0},
	    {BUSY DATE "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
		LIMIT_RETRY_AFTER_SAID},
	    {BUSY DATE "Retry-After: Sunday, 06-Nov-94 08:50:07 GMT\r\n", 0},
	    /* else from now: ten seconds before that date, in this test */
	    {BUSY "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 10},
	    {BUSY "Date: nonsense\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 10},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(feed(rows[i].head), 0);
		unsigned wait = response_retry_after(&head, DATE_SECONDS - 10);
		if (wait != rows[i].wait)
			fail_msg("%s: %u", rows[i].head, wait);
	}
}

static void
moments(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: refused */
	} rows[] = {
	    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	    {"Sun, 06 Nov 1994 08:49:37 GMT", DATE_SECONDS},
	    {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
	    {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
	    {"Sat, 28 Feb 2026 00:00:01 GMT", 1772236801},
	    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
	    {"Sun, 29 Feb 2026 00:00:00 GMT", -1},
	    {"Sun, 29 Feb 2100 00:00:00 GMT", -1},
	    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
	    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
	    {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
	    {"Sun, 06 nov 1994 08:49:37 GMT", -1},
	    {"sun, 06 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
	    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
	    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
	    {"Sunday, 06-Nov-94 08:49:37 GMT", -1},
	    {"Sun Nov  6 08:49:37 1994", -1},
	    {"Sun, 06 Nov 19 4 08:49:37 GMT", -1},
	    {"", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t seconds = -1;
		bool good = moment_parse(span_str(rows[i].text), &seconds);
		if (good != (rows[i].seconds >= 0) ||
		    (good && seconds != rows[i].seconds))
			fail_msg("%s: %lld", rows[i].text, (long long)seconds);
	}
}

static void
etags(void **state)
{
	static char longest[64 + LIMIT_ETAG + 2];
	static const struct {
		const char *value, *want;
	} rows[] = {
	    {"\"abc\"", "\"abc\""},
	    {"\"\"", "\"\""},
	    {"W/\"abc\"", ""}, /* says nothing of bytes */
	    {"abc", ""},
	    {"\"abc", ""},
	    {"\"", ""},
	    {"\"a\"b\"", ""},
	    {"\"a b\"", ""},
	    {"\"a\xff\"", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(longest, sizeof(longest), "HTTP/1.1 200 x\r\nETag: %s\r\n",
		    rows[i].value);
		assert_int_equal(feed(longest), 0);
		assert_string_equal(head.etag, rows[i].want);
	}
	for (int more = 0; more < 2; more++) {
		int n = snprintf(longest, sizeof(longest), "HTTP/1.1 200 x\r\nETag: \"");
		memset(longest + n, 'a', (size_t)(LIMIT_ETAG - 2 + more));
		strcpy(longest + n + LIMIT_ETAG - 2 + more, "\"\r\n");
		assert_int_equal(feed(longest), 0);
		assert_int_equal(strlen(head.etag), more ? 0 : LIMIT_ETAG);
	}
}

static void
parts(void **state)
{
	assert_int_equal(feed("HTTP/1.1 206 x\r\nContent-Range: bytes 3-5/10\r\n"), 0);
	assert_true(head.has_range);
	assert_int_equal(head.range_first, 3);
	assert_int_equal(head.range_last, 5);
	assert_int_equal(head.range_total, 10);
	assert_true(feed("HTTP/1.1 206 x\r\nContent-Range: bytes 3-10/10\r\n") < 0);
	assert_true(feed("HTTP/1.1 206 x\r\nContent-Range: bytes 3-5/10\r\n"
			 "Content-Range: bytes 3-5/10\r\n") < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepted),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(what_may_do_better_later),
	    cmocka_unit_test(how_long_to_wait),
	    cmocka_unit_test(moments),
	    cmocka_unit_test(etags),
	    cmocka_unit_test(parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
