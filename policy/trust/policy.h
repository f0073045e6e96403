/* The checked policy. Internal to trust. */
#ifndef BULKHEAD_TRUST_POLICY_H
#define BULKHEAD_TRUST_POLICY_H

#include "common/json/tree.h"
#include "policy/trust/trust.h"

/* The zero value refuses, so that a requirement nobody filled in does too. */
enum requirement {
	REQUIRE_REJECT,
	REQUIRE_NOTHING, /* insecureAcceptAnything */
	REQUIRE_SIGNED_BY,
	REQUIRE_SIGSTORE,
};

#define REQUIREMENTS 32 /* of one scope */

struct requirements {
	unsigned n;
	enum requirement list[REQUIREMENTS];
};

struct scope {
	struct span transport, name; /* in the tree */
	struct requirements must;
};

struct policy {
	char *file;
	struct jv *root;
	struct requirements fallback; /* "default" */
	struct scope *scopes;
	size_t nscopes;
};

/* One element of an array of requirements. */
int requirement_parse(const struct jv *v, const char *what, enum requirement *out,
    struct err *e) MUST_CHECK;

const char *requirement_name(enum requirement r);

#endif
