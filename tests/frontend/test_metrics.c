/* The metrics' text, and who may ask for it how. */
#include "tests/frontend/core_world.h"

#include "frontend/metrics.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool
has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++) {
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
	}
	return false;
}

static void
the_text_counts(void **state)
{
	struct world *w = world_new("");
	size_t n = 0;

	w->f.restarts = 3;
	metrics_count(&w->f, METRIC_CACHE_HITS, 2);
	metrics_count(&w->f, METRIC_CACHE_HITS, 5);
	metrics_call(&w->f, "ListImages", 0, 1500);
	metrics_call(&w->f, "ListImages", 14, 20);
	metrics_call(&w->f, "PullImage", 0, 1);
	metrics_pull(&w->f, ERR_OK, 400, 1000);
	metrics_pull(&w->f, ERR_AUTH, 700000, 0);
	metrics_layer(&w->f, 1000);
	metrics_layer(&w->f, 1001);
	char *t = metrics_text(&w->f, &n);
	assert_non_null(t);
	assert_int_equal(strlen(t), n);
	static const char *const lines[] = {
	    "bulkhead_cache_hits_total 7",
	    "# TYPE bulkhead_cache_hits_total counter",
	    "container_runtime_crio_operations_total{operation=\"ListImages\"} 2",
	    "container_runtime_crio_operations_errors_total{operation=\"ListImages\"} 1",
	    "container_runtime_crio_operations_latency_seconds{operation=\"ListImages\"} "
	    "0.020",
	    "container_runtime_crio_operations_latency_seconds_total_sum{operation="
	    "\"ListImages\"} 1.520",
	    "container_runtime_crio_operations_latency_seconds_total_count{operation="
	    "\"PullImage\"} 1",
	    "container_runtime_crio_image_pulls_success_total 1",
	    "container_runtime_crio_image_pulls_failure_total{error=\"UNAUTHORIZED\"} 1",
	    "bulkhead_pull_failures_total{class=\"auth\"} 1",
	    "bulkhead_pull_failures_total{class=\"policy\"} 0",
	    "container_runtime_crio_image_pulls_bytes_total 1000",
	    "bulkhead_pull_duration_seconds_bucket{le=\"0.100\"} 0",
	    "bulkhead_pull_duration_seconds_bucket{le=\"0.500\"} 1",
	    "bulkhead_pull_duration_seconds_bucket{le=\"600.000\"} 1",
	    "bulkhead_pull_duration_seconds_bucket{le=\"1800.000\"} 2",
	    "bulkhead_pull_duration_seconds_bucket{le=\"+Inf\"} 2",
	    "bulkhead_pull_duration_seconds_sum 700.400",
	    "bulkhead_pull_duration_seconds_count 2",
	    "container_runtime_crio_image_pulls_layer_size_bucket{le=\"1000\"} 1",
	    "container_runtime_crio_image_pulls_layer_size_bucket{le=\"1000000\"} 2",
	    "bulkhead_frontend_restarts_total 3",
	    "bulkhead_pulls_in_flight 0",
	};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (!has_line(t, lines[i]))
			fail_msg("not there: %s", lines[i]);
	}
	free(t);
	world_free(w);
}

/* More operations than there are names for: nothing is written past the end. */
static void
names_run_out(void **state)
{
	static char names[64][8];
	struct world *w = world_new("");
	size_t n;

	for (unsigned i = 0; i < 64; i++) {
		snprintf(names[i], sizeof(names[i]), "op%u", i);
		metrics_call(&w->f, names[i], 0, 1);
	}
	char *t = metrics_text(&w->f, &n);
	assert_true(
	    has_line(t, "container_runtime_crio_operations_total{operation=\"op31\"} 1"));
	assert_null(strstr(t, "op32"));
	free(t);
	world_free(w);
}

static void
every_line_is_well_formed(void **state)
{
	struct world *w = world_new("");
	size_t n = 0;

	metrics_call(&w->f, "X", 0, 1);
	char *t = metrics_text(&w->f, &n), *save = NULL;
	for (char *l = strtok_r(t, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char name[100];
		if (sscanf(l, "# TYPE %99s", name) == 1 ||
		    sscanf(l, "# HELP %99s", name) == 1) {
			assert_null(strchr(name, '{'));
			continue;
		}
		const char *value = strrchr(l, ' ');
		assert_non_null(value);
		assert_int_equal(strspn(value + 1, "0123456789."), strlen(value + 1));
		assert_true(value[1] != 0);
	}
	free(t);
	world_free(w);
}

/* ---- over HTTP ---- */

struct http {
	struct world *w;
	struct sockaddr_un at;
	socklen_t n;
	char answer[65536];
};

static void
http_open(struct http *h)
{
	*h = (struct http){
	    .w = world_new(""), .at = {.sun_family = AF_UNIX}, .n = sizeof(h->at)};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(
	    bind(fd, (struct sockaddr *)&h->at, sizeof(h->at.sun_family)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&h->at, &h->n), 0);
	assert_int_equal(metrics_listen(&h->w->f, fd), 0);
}

static int
http_connect(const struct http *h)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&h->at, h->n), 0);
	return fd;
}

/* What there is to read; -1: the connection is still open and silent. */
static ssize_t
http_read(struct http *h, int fd)
{
	size_t n = 0;

	for (;;) {
		ssize_t r = read(fd, h->answer + n, sizeof(h->answer) - 1 - n);
		if (r < 0 && errno == EAGAIN && n == 0)
			return -1;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	h->answer[n] = 0;
	return (ssize_t)n;
}

static const char *
http_ask(struct http *h, const char *request, size_t n)
{
	int fd = http_connect(h);

	settle(h->w, 2);
	assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), (ssize_t)n);
	settle(h->w, 5);
	ssize_t r = http_read(h, fd);
	close(fd);
	settle(h->w, 2);
	return r < 0 ? "" : h->answer;
}

static void
only_get_metrics(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
	    {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	    {"GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	    {"GET /metrics?a=b HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	    {"HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	    {"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "},
	    {"get /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "},
	    {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
	    {"GET /metrics/ HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
	    {"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
	    {"GET http://x/metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
	    {"GET  /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	    {"GET /metrics HTTP/2.0\r\n\r\n", "HTTP/1.1 400 "},
	    {"GET /metrics\r\n\r\n", "HTTP/1.1 400 "},
	    {"\r\n\r\n", "HTTP/1.1 400 "},
	    {" \r\n\r\n", "HTTP/1.1 400 "},
	    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
	};
	struct http h;

	http_open(&h);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *a = http_ask(&h, cases[i].request, strlen(cases[i].request));
		if (strncmp(a, cases[i].status, strlen(cases[i].status)) != 0)
			fail_msg("%s: %.40s", cases[i].request, a);
		const char *body = strstr(a, "\r\n\r\n");
		bool is_head = cases[i].request[0] == 'H';
		size_t promised = 0;
		assert_non_null(body);
		assert_int_equal(sscanf(strstr(a, "Content-Length: "),
				     "Content-Length: %zu", &promised),
		    1);
		assert_int_equal(strlen(body + 4), is_head ? 0 : promised);
	}
	world_free(h.w);
}

static void
a_request_has_an_end(void **state)
{
	static char big[LIMIT_METRICS_REQUEST + 1];
	struct http h;

	http_open(&h);
	/* exactly as long as may be */
	memset(big, 'x', sizeof(big));
	memcpy(big, "GET /metrics HTTP/1.1\r\nA: ", 26);
	memcpy(big + LIMIT_METRICS_REQUEST - 4, "\r\n\r\n", 4);
	assert_int_equal(
	    strncmp(http_ask(&h, big, LIMIT_METRICS_REQUEST), "HTTP/1.1 200", 12), 0);
	/* one more */
	memset(big + 26, 'x', sizeof(big) - 26);
	const char *a = http_ask(&h, big, LIMIT_METRICS_REQUEST);
	assert_int_equal(strncmp(a, "HTTP/1.1 431", 12), 0);
	/* byte by byte, with NULs and what is no ASCII */
	int fd = http_connect(&h);
	static const char slow[] = "GET /metrics HTTP/1.1\r\n\0\xff: \x80\r\n\r\n";
	for (size_t i = 0; i < sizeof(slow) - 1; i++) {
		assert_int_equal(send(fd, slow + i, 1, MSG_NOSIGNAL), 1);
		settle(h.w, 1);
	}
	settle(h.w, 5);
	assert_true(http_read(&h, fd) > 0);
	assert_int_equal(strncmp(h.answer, "HTTP/1.1 200", 12), 0);
	close(fd);
	/* goes away in the middle */
	fd = http_connect(&h);
	assert_int_equal(send(fd, "GET /me", 7, MSG_NOSIGNAL), 7);
	settle(h.w, 2);
	close(fd);
	settle(h.w, 5);
	world_free(h.w);
}

static void
so_many_at_once(void **state)
{
	int fds[LIMIT_METRICS_CLIENTS + 1];
	struct http h;

	http_open(&h);
	for (unsigned i = 0; i <= LIMIT_METRICS_CLIENTS; i++) {
		fds[i] = http_connect(&h);
		settle(h.w, 2);
	}
	for (unsigned i = 0; i < LIMIT_METRICS_CLIENTS; i++)
		assert_int_equal(http_read(&h, fds[i]), -1);
	assert_int_equal(http_read(&h, fds[LIMIT_METRICS_CLIENTS]), 0); /* closed */
	close(fds[LIMIT_METRICS_CLIENTS]);
	close(fds[0]);
	settle(h.w, 5);
	const char *a = http_ask(&h, "GET /metrics HTTP/1.1\r\n\r\n", 25);
	assert_int_equal(strncmp(a, "HTTP/1.1 200", 12), 0);
	/* the service stops with connections open */
	metrics_stop(&h.w->f);
	for (unsigned i = 1; i < LIMIT_METRICS_CLIENTS; i++) {
		assert_int_equal(http_read(&h, fds[i]), 0);
		close(fds[i]);
	}
	world_free(h.w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_counts),
	    cmocka_unit_test(names_run_out),
	    cmocka_unit_test(every_line_is_well_formed),
	    cmocka_unit_test(only_get_metrics),
	    cmocka_unit_test(a_request_has_an_end),
	    cmocka_unit_test(so_many_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
