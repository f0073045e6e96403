#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t digest[DIGEST_BYTES] = {0xab, 0xcd, 0xef};

struct sink {
	FILE *f;
	char *text;
	size_t n;
};

static void
sink_open(struct sink *s)
{
	s->f = open_memstream(&s->text, &s->n);
	assert_non_null(s->f);
}

/* What was written since the last call; valid until the next. */
static const char *
sink_take(struct sink *s)
{
	static char taken[65536];

	fflush(s->f);
	snprintf(taken, sizeof(taken), "%s", s->text);
	rewind(s->f);
	memset(s->text, 0, s->n);
	return taken;
}

static void
sink_close(struct sink *s)
{
	fclose(s->f);
	free(s->text);
}

static void
test_plain(void **state)
{
	static struct progress p;
	struct sink s;

	sink_open(&s);
	progress_start(&p, PROGRESS_PLAIN, s.f, span_str("a\x1b[2J"), 1000);
	assert_string_equal(sink_take(&s), "a\\x1b[2J: asking the registry\n");
	progress_layer(&p, 0, 2, digest, 5000000, PROGRESS_THERE, 1000);
	assert_string_equal(
	    sink_take(&s), "a\\x1b[2J: layer 1/2 abcdef000000 (5 MB): Already exists\n");
	progress_layer(&p, 1, 2, digest, 10000000, PROGRESS_QUEUED, 1000);
	assert_string_equal(sink_take(&s), "");
	progress_layer(&p, 1, 2, digest, 10000000, PROGRESS_RUNNING, 2000);
	assert_non_null(
	    strstr(sink_take(&s), "layer 2/2 abcdef000000 (10 MB): Downloading\n"));
	for (uint64_t t = 2000; t < 31900; t += 100) {
		progress_bytes(&p, 1, PROGRESS_FETCHING, t * 100, t);
		assert_int_equal(progress_tick(&p, t), 32000 - t);
	}
	assert_string_equal(sink_take(&s), "");
	assert_int_equal(progress_tick(&p, 32000), 30000);
	const char *beat = sink_take(&s);
	assert_non_null(strstr(beat, ": 1 of 2 layers, 3.18 MB of 10 MB, "));
	assert_non_null(strstr(beat, "kB/s\n"));
	progress_bytes(&p, 1, PROGRESS_CHECKING, 0, 33000);
	assert_non_null(strstr(sink_take(&s), "Checking"));
	progress_layer(&p, 1, 2, digest, 10000000, PROGRESS_READY, 34000);
	assert_non_null(strstr(sink_take(&s), "Pull complete"));
	/* Said once. */
	progress_layer(&p, 1, 2, digest, 10000000, PROGRESS_READY, 34000);
	progress_clear(&p);
	assert_string_equal(sink_take(&s), "");
	sink_close(&s);
}

static void
test_json(void **state)
{
	static struct progress p;
	struct sink s;

	sink_open(&s);
	progress_start(&p, PROGRESS_JSON, s.f, span_str("a\"b"), 0);
	progress_layer(&p, 0, 1, digest, 100, PROGRESS_RUNNING, 0);
	assert_string_equal(sink_take(&s),
	    "{\"status\":\"Downloading\",\"id\":\"abcdef000000\",\"progressDetail\":"
	    "{\"current\":0,\"total\":100},\"image\":\"a\\\"b\",\"layer\":1,\"layers\":1}"
	    "\n");
	progress_bytes(&p, 0, PROGRESS_FETCHING, 10, 50);
	assert_string_equal(sink_take(&s), "");
	progress_bytes(&p, 0, PROGRESS_FETCHING, 20, 100);
	assert_non_null(strstr(sink_take(&s), "\"current\":20,"));
	progress_layer(&p, 0, 1, digest, 100, PROGRESS_READY, 110);
	assert_non_null(strstr(sink_take(&s), "{\"current\":100,\"total\":100}"));
	assert_int_equal(progress_tick(&p, 1000000), -1);
	sink_close(&s);
}

static size_t
lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void
test_bars(void **state)
{
	static struct progress p;
	struct sink s;
	char back[32];

	sink_open(&s);
	p.width = 60;
	p.rows = 6;
	progress_start(&p, PROGRESS_BARS, s.f, span_str("img"), 0);
	assert_string_equal(sink_take(&s), "img: asking the registry\n");
	for (unsigned i = 0; i < 20; i++)
		progress_layer(&p, i, 20, digest, 1000, PROGRESS_RUNNING, 0);
	assert_string_equal(sink_take(&s), "");
	progress_bytes(&p, 3, PROGRESS_FETCHING, 500, 50);
	progress_tick(&p, 99);
	assert_string_equal(sink_take(&s), "");
	assert_int_equal(progress_tick(&p, 100), 100);
	const char *block = sink_take(&s);
	assert_int_equal(strncmp(block, "\r\033[1A\033[J", 8), 0);
	/* No more than the terminal has rows, and no line wider. */
	assert_int_equal(lines(block), p.rows - 2 + 1);
	for (const char *at = block; at && *at; at = strchr(at, '\n')) {
		at += *at == '\n';
		assert_true(strcspn(at, "\n") <= 60 + 8);
	}
	assert_non_null(
	    strstr(block, "layer 4/20 abcdef000000 [==========>         ] 500 B"));

	/* A finished layer scrolls up above the block. */
	progress_layer(&p, 3, 20, digest, 1000, PROGRESS_READY, 150);
	block = sink_take(&s);
	snprintf(back, sizeof(back), "\r\033[%uA\033[J", 5u);
	assert_int_equal(strncmp(block, back, strlen(back)), 0);
	assert_non_null(
	    strstr(block, "img: layer 4/20 abcdef000000 (1 kB): Pull complete\n"));
	progress_clear(&p);
	assert_string_equal(sink_take(&s), back);
	progress_clear(&p);
	assert_string_equal(sink_take(&s), "");
	sink_close(&s);
}

static void
test_silent(void **state)
{
	static struct progress p;
	struct sink s;

	sink_open(&s);
	progress_start(&p, PROGRESS_NONE, s.f, span_str("img"), 0);
	progress_layer(&p, 0, 1, digest, 1, PROGRESS_RUNNING, 0);
	progress_bytes(&p, 0, PROGRESS_FETCHING, 1, 0);
	assert_int_equal(progress_tick(&p, 100000), -1);
	progress_clear(&p);
	assert_string_equal(sink_take(&s), "");
	sink_close(&s);
}

/* Places and numbers that a service without sense could send. */
static void
test_hostile(void **state)
{
	static struct progress p;
	struct sink s;

	for (unsigned mode = PROGRESS_NONE; mode <= PROGRESS_JSON; mode++) {
		sink_open(&s);
		p.width = mode;
		p.rows = 0;
		progress_start(&p, mode, s.f, span_str(""), UINT64_C(1) << 40);
		progress_bytes(&p, 0, PROGRESS_FETCHING, 1, 0);
		progress_layer(&p, 0, 0, digest, 1, PROGRESS_RUNNING, 0);
		progress_layer(&p, 1, 1, digest, 1, PROGRESS_RUNNING, 0);
		progress_layer(
		    &p, UINT64_MAX, UINT64_MAX, digest, 1, PROGRESS_RUNNING, 0);
		progress_layer(
		    &p, 0, LIMIT_LAYERS + 1, digest, UINT64_MAX, PROGRESS_RUNNING, 0);
		assert_int_equal(p.count, 0);
		progress_layer(&p, LIMIT_LAYERS - 1, LIMIT_LAYERS, digest, UINT64_MAX,
		    PROGRESS_RUNNING, UINT64_C(1) << 40);
		assert_int_equal(p.count, LIMIT_LAYERS);
		progress_layer(&p, 0, 3, digest, 1, PROGRESS_RUNNING, 0);
		assert_int_equal(p.count, LIMIT_LAYERS);
		progress_bytes(&p, LIMIT_LAYERS - 1, PROGRESS_FETCHING, UINT64_MAX,
		    UINT64_C(1) << 40);
		progress_bytes(&p, LIMIT_LAYERS, PROGRESS_FETCHING, 1, 0);
		progress_bytes(&p, UINT64_MAX, PROGRESS_COMMITTING, 1, 0);
		progress_layer(&p, 0, LIMIT_LAYERS, digest, 0, PROGRESS_RUNNING, 0);
		progress_bytes(&p, 0, PROGRESS_FETCHING, 5, 0);
		(void)progress_tick(&p, UINT64_C(1) << 41);
		progress_clear(&p);
		sink_close(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_bars),
	    cmocka_unit_test(test_silent),
	    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
