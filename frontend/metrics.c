#include "frontend/metrics.h"

#include <errno.h>
#include <stdlib.h>

struct metrics {
	uint64_t counts[METRIC_COUNT];
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

void
metrics_call(struct frontend *f, const char *name, unsigned code, uint64_t ms)
{
}

void
metrics_pull(
    struct frontend *f, enum err_class code, uint64_t ms, uint64_t bytes, uint64_t size)
{
}
