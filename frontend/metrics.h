/* What is counted, and its text for Prometheus. Names are CRI-O's where it has one, else
 * begin with bulkhead_. */
#ifndef BULKHEAD_FRONTEND_METRICS_H
#define BULKHEAD_FRONTEND_METRICS_H

#include "frontend/frontend.h"

// clang-format off
/* X(id, name, type, label, help): one row a family. label "" = a single value; else the
 * values that the label takes are those of metrics_count_label. */
#define METRICS(X) \
	X(CACHE_HITS, "bulkhead_cache_hits_total", "counter", \
		"Questions answered from the frontend's own memory.") \
	X(CACHE_MISSES, "bulkhead_cache_misses_total", "counter", \
		"Questions for which the store was asked.") \
	X(PULLS_STARTED, "bulkhead_pulls_started_total", "counter", "Pulls begun.") \
	X(PULLS_SHARED, "bulkhead_pulls_shared_total", "counter", \
		"Requests for an image that joined a pull under way.") \
	X(PULLS_REFUSED, "bulkhead_pulls_refused_total", "counter", \
		"Requests for an image that were refused before a pull began.") \
	X(LAYERS_REUSED, "bulkhead_layers_reused_total", "counter", \
		"Layers of pulls that the store had already.") \
	X(LAYERS_FETCHED, "bulkhead_layers_fetched_total", "counter", \
		"Layers of pulls that were fetched, checked and applied.") \
	X(PROGRESS_TIMEOUTS, "bulkhead_pull_progress_timeouts_total", "counter", \
		"Pulls that ended because no byte came for too long.") \
	X(STORE_RESTARTS, "bulkhead_store_restarts_total", "counter", \
		"Times that a new store worker came while the frontend lived.") \
	X(CONTROL_CLIENTS_REFUSED, "bulkhead_control_clients_refused_total", "counter", \
		"Control connections refused because there were too many.")
// clang-format on

enum metric {
#define X(id, name, type, help) METRIC_##id,
	METRICS(X)
#undef X
	    METRIC_COUNT
};

/* Adds n. Cheap; harmless before metrics_init. */
void metrics_count(struct frontend *f, enum metric m, uint64_t n);

/* A CRI call has ended: its name ("ListImages"), its gRPC code, how long it took. */
void metrics_call(struct frontend *f, const char *name, unsigned code, uint64_t ms);

/* A pull has ended: its class, how long it took, bytes that were fetched, and
 * those of all its layers, compressed. */
void metrics_pull(
    struct frontend *f, enum err_class code, uint64_t ms, uint64_t bytes, uint64_t size);

/* f->metrics. 0 or -ENOMEM. */
int metrics_init(struct frontend *f) MUST_CHECK;
void metrics_release(struct frontend *f);

/* The whole text as fresh memory, *n bytes; NULL without memory. */
char *metrics_text(struct frontend *f, size_t *n);

/* Serves GET /metrics on a listening socket (taken over, also on failure). 0 or -errno.
 */
int metrics_listen(struct frontend *f, int fd) MUST_CHECK;
void metrics_stop(struct frontend *f);

#endif
