#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

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
	    "HTTP/1.1 206 x\r\nContent-Range: bytes 3-8/10\r\n",
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
retries(void **state)
{
	response_init(&head);
	assert_int_equal(response_retry_ms(&head, 1, 100), 100);
	assert_int_equal(response_retry_ms(&head, 2, 100), 400);
	assert_int_equal(response_retry_ms(&head, RETRY_TIMES, 100), 1600);
	assert_int_equal(response_retry_ms(&head, RETRY_TIMES + 1, 100), -1);
	static const int never[] = {200, 400, 401, 403, 404, 416, 500, 502, 504};
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		head.status = never[i];
		assert_int_equal(response_retry_ms(&head, 1, 100), -1);
	}
	head.status = 429;
	assert_int_equal(response_retry_ms(&head, 1, 100), 500);
	head.status = 503;
	assert_int_equal(response_retry_ms(&head, 2, 100), 2000);
	head.retry_after = 0;
	assert_int_equal(response_retry_ms(&head, 1, 100), 0);
	head.retry_after = RETRY_AFTER_MAX;
	assert_int_equal(response_retry_ms(&head, 1, 100), RETRY_AFTER_MAX * 1000);
	head.retry_after = RETRY_AFTER_MAX + 1;
	assert_int_equal(response_retry_ms(&head, 1, 100), -1);
	head.retry_after = 1000000000;
	assert_int_equal(response_retry_ms(&head, 1, 100), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepted),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(retries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
