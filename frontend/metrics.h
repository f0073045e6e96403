/* What is counted, and its text for Prometheus. Names are CRI-O's where it has one, else
 * begin with bulkhead_. */
#ifndef BULKHEAD_FRONTEND_METRICS_H
#define BULKHEAD_FRONTEND_METRICS_H

#include "frontend/frontend.h"

// clang-format off
/* X(id, name, help): counters without labels; what has labels has its own function. */
#define METRICS(X) \
	X(CACHE_HITS, "bulkhead_cache_hits_total", \
		"Questions answered from the memory of the frontend.") \
	X(CACHE_MISSES, "bulkhead_cache_misses_total", \
		"Questions for which the store was asked.") \
	X(PULLS_STARTED, "bulkhead_pulls_started_total", "Pulls begun.") \
	X(PULLS_SHARED, "bulkhead_pulls_shared_total", \
		"Requests for an image that joined a pull under way.") \
	X(PULLS_REFUSED, "bulkhead_pulls_refused_total", \
		"Requests for an image that were refused before a pull began.") \
	X(LAYERS_REUSED, "container_runtime_crio_image_layer_reuse_total", \
		"Layers of pulls that the store had already.") \
	X(LAYERS_FETCHED, "bulkhead_layers_fetched_total", \
		"Layers of pulls that were fetched, checked and unpacked.") \
	X(BYTES_FETCHED, "container_runtime_crio_image_pulls_bytes_total", \
		"Bytes that pulls fetched.") \
	X(BYTES_SKIPPED, "container_runtime_crio_image_pulls_skipped_bytes_total", \
		"Bytes that pulls did not fetch: the store had those layers.") \
	X(PULLS_SUCCEEDED, "container_runtime_crio_image_pulls_success_total", \
		"Pulls that ended with an image.") \
	X(PROGRESS_TIMEOUTS, "bulkhead_pull_progress_timeouts_total", \
		"Pulls that ended because no byte came for too long.") \
	X(RETRIES, "bulkhead_requests_retried_total", \
		"Requests to registries that were tried again later.") \
	X(ENDPOINTS_PASSED, "bulkhead_endpoints_passed_total", \
		"Requests that went on at the next endpoint, mirror or registry.") \
	X(STORE_RESTARTS, "bulkhead_store_restarts_total", \
		"Further store workers that came while this frontend lived.") \
	X(CONTROL_REFUSED, "bulkhead_control_clients_refused_total", \
		"Commands refused because too many were connected.")
// clang-format on

enum metric {
#define X(id, name, help) METRIC_##id,
	METRICS(X)
#undef X
	    METRIC_COUNT
};

/* 0 or -ENOMEM. Everything below is harmless before it. */
int metrics_init(struct frontend *f) MUST_CHECK;
void metrics_release(struct frontend *f);

void metrics_count(struct frontend *f, enum metric m, uint64_t n);

/* A CRI call has ended: its name ("ListImages", kept as a pointer), its gRPC code, how
 * long it took. */
void metrics_call(struct frontend *f, const char *name, unsigned code, uint64_t ms);

/* A pull has ended: its class, how long it took from the request on, bytes fetched. */
void metrics_pull(struct frontend *f, enum err_class code, uint64_t ms, uint64_t bytes);

/* A layer has been fetched: its size, compressed. */
void metrics_layer(struct frontend *f, uint64_t size);

/* The whole text as fresh memory, *n bytes; NULL without memory. */
char *metrics_text(struct frontend *f, size_t *n);

/* What the bytes so far are: not a whole request yet, or how it is answered. Its headers
 * change nothing. Pure. */
enum metrics_request {
	REQUEST_PART,
	REQUEST_GET,
	REQUEST_HEAD,
	REQUEST_BAD,
	REQUEST_ABSENT, /* another path */
	REQUEST_METHOD,
	REQUEST_LONG
};
enum metrics_request metrics_request(struct span bytes);

/* Serves GET /metrics over HTTP/1.1 on a listening socket (taken over, also on failure).
 * A further socket replaces the one before. 0 or -errno. */
int metrics_listen(struct frontend *f, int fd) MUST_CHECK;

/* Closes it and every connection. */
void metrics_stop(struct frontend *f);

#endif
