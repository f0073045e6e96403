#include "frontend/metrics.h"

#include "frontend/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OPERATIONS 32
#define CLASSES 11

static const uint64_t duration_ms[] = {
    100, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000, 1800000};
static const uint64_t layer_bytes[] = {1000, 1000000, 10000000, 50000000, 100000000,
    200000000, 300000000, 400000000, 500000000, 1000000000, 10000000000};

#define BUCKETS 12
static_assert(ARRAY_LEN(duration_ms) <= BUCKETS && ARRAY_LEN(layer_bytes) <= BUCKETS,
    "room for both");

struct histogram {
	uint64_t buckets[BUCKETS], sum, count;
};

struct operation {
	const char *name;
	uint64_t calls, errors, last_ms, sum_ms;
};

struct metrics {
	uint64_t counts[METRIC_COUNT];
	uint64_t failures[CLASSES];
	struct operation operations[OPERATIONS];
	struct histogram durations, layers;
};

/* As CRI-O labels them where it has such a thing, and our own. */
static const struct {
	enum err_class code;
	const char *error, *class;
} classes[CLASSES] = {
    {ERR_NOT_FOUND, "NOT_FOUND", "not_found"},
    {ERR_IN_USE, "IN_USE", "in_use"},
    {ERR_POLICY, "POLICY", "policy"},
    {ERR_BLOCKED, "BLOCKED", "blocked"},
    {ERR_AUTH, "UNAUTHORIZED", "auth"},
    {ERR_NETWORK, "CONNECTION", "network"},
    {ERR_NO_SPACE, "NO_SPACE", "no_space"},
    {ERR_CONTENT, "CONTENT", "content"},
    {ERR_DEADLINE, "CONNECTION_TIMEOUT", "deadline"},
    {ERR_USAGE, "USAGE", "usage"},
    {ERR_INTERNAL, "UNKNOWN", "internal"},
};

int
metrics_init(struct frontend *f)
{
	f->metrics = calloc(1, sizeof(*f->metrics));
	return f->metrics ? 0 : -ENOMEM;
}

void
metrics_release(struct frontend *f)
{
	free(f->metrics);
	f->metrics = NULL;
}

void
metrics_count(struct frontend *f, enum metric m, uint64_t n)
{
	if (f->metrics)
		f->metrics->counts[m] += n;
}

static void
observe(struct histogram *h, const uint64_t *bounds, size_t n, uint64_t value)
{
	for (size_t i = 0; i < n; i++)
		h->buckets[i] += value <= bounds[i];
	h->sum += value;
	h->count++;
}

void
metrics_call(struct frontend *f, const char *name, unsigned code, uint64_t ms)
{
	struct metrics *m = f->metrics;

	for (size_t i = 0; m && i < OPERATIONS; i++) {
		struct operation *o = &m->operations[i];
		if (o->name && strcmp(o->name, name) != 0)
			continue;
		o->name = name;
		o->calls++;
		o->errors += code != 0;
		o->last_ms = ms;
		o->sum_ms += ms;
		return;
	}
}

void
metrics_pull(struct frontend *f, enum err_class code, uint64_t ms, uint64_t bytes)
{
	struct metrics *m = f->metrics;
	size_t i = 0;

	if (!m)
		return;
	metrics_count(f, METRIC_BYTES_FETCHED, bytes);
	observe(&m->durations, duration_ms, ARRAY_LEN(duration_ms), ms);
	if (code == ERR_OK) {
		metrics_count(f, METRIC_PULLS_SUCCEEDED, 1);
		return;
	}
	while (i < CLASSES - 1 && classes[i].code != code)
		i++;
	m->failures[i]++;
}

void
metrics_layer(struct frontend *f, uint64_t size)
{
	metrics_count(f, METRIC_LAYERS_FETCHED, 1);
	if (f->metrics)
		observe(&f->metrics->layers, layer_bytes, ARRAY_LEN(layer_bytes), size);
}

/* ---- the text ---- */

static void
family(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
single(FILE *to, const char *name, const char *type, const char *help, uint64_t value)
{
	family(to, name, type, help);
	fprintf(to, "%s %" PRIu64 "\n", name, value);
}

static void
seconds(FILE *to, uint64_t ms)
{
	fprintf(to, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));
}

static void
amount(FILE *to, uint64_t value, bool ms)
{
	if (ms)
		seconds(to, value);
	else
		fprintf(to, "%" PRIu64, value);
}

static void
histogram(FILE *to, const char *name, const char *help, const struct histogram *h,
    const uint64_t *bounds, size_t n, bool ms)
{
	family(to, name, "histogram", help);
	for (size_t i = 0; i < n; i++) {
		fprintf(to, "%s_bucket{le=\"", name);
		amount(to, bounds[i], ms);
		fprintf(to, "\"} %" PRIu64 "\n", h->buckets[i]);
	}
	fprintf(to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, h->count, name);
	amount(to, h->sum, ms);
	fprintf(to, "\n%s_count %" PRIu64 "\n", name, h->count);
}

#define CRIO "container_runtime_crio_"

static void
operations(FILE *to, const struct metrics *m)
{
	static const struct {
		const char *name, *type, *help, *suffix;
		size_t offset;
		bool ms;
	} rows[] = {
	    {CRIO "operations_total", "counter", "Calls by operation.", "",
		offsetof(struct operation, calls), false},
	    {CRIO "operations_errors_total", "counter", "Calls that failed.", "",
		offsetof(struct operation, errors), false},
	    {CRIO "operations_latency_seconds", "gauge", "How long the last call took.",
		"", offsetof(struct operation, last_ms), true},
	    {CRIO "operations_latency_seconds_total", "summary", "How long calls took.",
		"_sum", offsetof(struct operation, sum_ms), true},
	    {CRIO "operations_latency_seconds_total", "", "", "_count",
		offsetof(struct operation, calls), false},
	};

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		if (rows[r].type[0])
			family(to, rows[r].name, rows[r].type, rows[r].help);
		for (size_t i = 0; i < OPERATIONS && m->operations[i].name; i++) {
			const struct operation *o = &m->operations[i];
			const uint8_t *at = (const uint8_t *)o + rows[r].offset;
			uint64_t value;
			memcpy(&value, at, sizeof(value));
			fprintf(to, "%s%s{operation=\"%s\"} ", rows[r].name,
			    rows[r].suffix, o->name);
			amount(to, value, rows[r].ms);
			fputc('\n', to);
		}
	}
}

static void
failures(FILE *to, const struct metrics *m)
{
	family(to, CRIO "image_pulls_failure_total", "counter",
	    "Pulls that failed, by error.");
	for (size_t i = 0; i < CLASSES; i++)
		fprintf(to, CRIO "image_pulls_failure_total{error=\"%s\"} %" PRIu64 "\n",
		    classes[i].error, m->failures[i]);
	family(to, "bulkhead_pull_failures_total", "counter",
	    "Pulls that failed, by class of the error.");
	for (size_t i = 0; i < CLASSES; i++)
		fprintf(to, "bulkhead_pull_failures_total{class=\"%s\"} %" PRIu64 "\n",
		    classes[i].class, m->failures[i]);
}

/* What is so at this moment. */
static void
gauges(FILE *to, struct frontend *f)
{
	const struct cache_totals *t = cache_totals(f);

	single(
	    to, "bulkhead_pulls_in_flight", "gauge", "Pulls that run.", f->queue.running);
	single(to, "bulkhead_pulls_queued", "gauge", "Pulls that wait for their turn.",
	    f->queue.waiting);
	single(to, "bulkhead_control_clients", "gauge", "Commands that are connected.",
	    f->n_clients);
	single(to, "bulkhead_frontend_restarts_total", "counter",
	    "Times that the frontend was started again.", f->restarts);
	single(to, "bulkhead_configuration_generation", "gauge",
	    "Which configuration is in force.", f->generation);
	family(to, "bulkhead_build_info", "gauge", "Which bulkhead this is.");
	fputs("bulkhead_build_info{version=\"" BULKHEAD_VERSION "\"} 1\n", to);
	if (!t)
		return;
	single(to, "bulkhead_store_images", "gauge", "Images.", t->images);
	single(to, "bulkhead_store_layers", "gauge", "Layers.", t->layers);
	single(to, "bulkhead_store_broken_images", "gauge",
	    "Image records that cannot be read.", t->broken);
	single(to, "bulkhead_store_bytes", "gauge", "Bytes of all layers.", t->bytes);
	single(to, "bulkhead_store_filesystem_bytes", "gauge",
	    "Size of the file system below the store.", t->total);
	single(to, "bulkhead_store_filesystem_free_bytes", "gauge", "Bytes free in it.",
	    t->free);
	single(to, "bulkhead_store_inodes", "gauge", "Inodes of that file system.",
	    t->inodes);
	single(to, "bulkhead_store_inodes_free", "gauge", "Inodes free in it.",
	    t->inodes_free);
}

char *
metrics_text(struct frontend *f, size_t *n)
{
	static const struct {
		const char *name, *help;
	} rows[METRIC_COUNT] = {
#define X(id, name_, help_) [METRIC_##id] = {name_, help_},
	    METRICS(X)
#undef X
	};
	const struct metrics *m = f->metrics;
	char *text = NULL;
	FILE *to = m ? open_memstream(&text, n) : NULL;

	if (!to)
		return NULL;
	for (size_t i = 0; i < METRIC_COUNT; i++)
		single(to, rows[i].name, "counter", rows[i].help, m->counts[i]);
	operations(to, m);
	failures(to, m);
	histogram(to, "bulkhead_pull_duration_seconds",
	    "How long pulls took, from the request to the end.", &m->durations,
	    duration_ms, ARRAY_LEN(duration_ms), true);
	histogram(to, CRIO "image_pulls_layer_size", "Sizes of the layers fetched.",
	    &m->layers, layer_bytes, ARRAY_LEN(layer_bytes), false);
	gauges(to, f);
	bool bad = ferror(to);
	if (fclose(to) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}
