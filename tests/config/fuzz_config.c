#include "common/base/limits.h"
#include "supervisor/config/config.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
on_row(void *arg, const char *key, struct span value)
{
	if (!key[0] || strlen(key) > 128 || value.n > LIMIT_PATH)
		abort(); /* would not fit in its message */
	return 0;
}

static int
on_secret(void *arg, struct span scope, enum secret_kind kind, struct span secret)
{
	if (!scope.n || scope.n > CONFIG_SCOPE || secret.n > LIMIT_SECRET || !secret.n)
		abort();
	return 0;
}

static int
on_registry(void *arg, enum registry_row kind, unsigned flags, struct span name,
    struct span value)
{
	if (kind == REGISTRY_FILE || kind > REGISTRY_MODE || flags > 15 ||
	    name.n > LIMIT_NAME || value.n > LIMIT_NAME)
		abort();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_sink sink = {on_row, on_secret, on_registry, NULL};
	struct err e = {0};

	int r = config_read(KIND, span_of(data, size), "fuzz", &sink, &e);
	if (r == -EINVAL && e.code != ERR_USAGE)
		abort();
	return 0;
}
