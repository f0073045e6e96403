/* A policy that is taken answers every name; with "reject" as the only word in it, never
 * yes. */
#include "policy/trust/trust.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
	    "docker.io/library/busybox:latest", "a.b.c:5000/d/e:1", "a.b/c:1"};
	static const char word[] = "insecureAcceptAnything";
	CLEANUP(policy_free) struct policy *p = NULL;
	uint8_t digest[DIGEST_BYTES] = {0};
	struct policy_verdict v;
	struct err e = {0};

	if (policy_parse(span_of(data, size), "fuzz", &p, &e)) {
		if (e.code == ERR_OK)
			abort();
		return 0;
	}
	bool escapes = memchr(data, '\\', size) != NULL;
	bool says = memmem(data, size, word, strlen(word)) != NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		policy_evaluate(p, span_str(names[i]), digest, &v);
		if (v.accept && !says && !escapes)
			abort();
	}
	return 0;
}
