/* Values of WWW-Authenticate, one a line. */
#include "worker-fetch/fetch/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct challenge c = {0};
	struct span rest = span_of(data, size);

	while (rest.n) {
		const uint8_t *nl = memchr(rest.p, '\n', rest.n);
		size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
		if (challenge_add(&c, span_of(rest.p, n), NULL) < 0)
			return 0;
		assert(strlen(c.realm) <= LIMIT_URL && !strpbrk(c.realm, "\r\n"));
		assert(strlen(c.service) <= CHALLENGE_PARAM_MAX);
		rest = span_from(rest, n + (nl ? 1 : 0));
	}
	return 0;
}
