/* The signature policy: containers-policy.json(5), read strictly, and what it says about
 * one image.
 *
 * This version verifies no signatures. Requirements that ask for one (signedBy,
 * sigstoreSigned) are read and checked as the page has them, and refuse: never an
 * acceptance that nobody has earned. */
#ifndef BULKHEAD_TRUST_H
#define BULKHEAD_TRUST_H

#include "common/base/err.h"
#include "common/base/span.h"
#include "common/ref/digest.h"

struct policy;

/* Parses the bytes of a policy file; `file` names it in refusals and is copied. Refused:
 * unknown and duplicate keys, also such as differ only in case from a known one, unknown
 * requirement types, empty arrays of requirements, no "default", more than LIMIT_POLICY
 * bytes or LIMIT_POLICY_SCOPES scopes, a `*` in a docker scope that is not the leading
 * label. *out is for policy_free. 0; -EACCES with *e filled (ERR_POLICY); -ENOMEM. */
int policy_parse(
    struct span bytes, const char *file, struct policy **out, struct err *e) MUST_CHECK;

/* For CLEANUP. */
void policy_free(struct policy **p);

struct policy_verdict {
	bool accept;
	char text[1024]; /* which file, scope and requirement decided, and what to do */
};

/* What the policy says about an image of the docker transport. name: canonical, with a
 * tag or a digest (ref_print_record); digest: of the manifest; the requirements that are
 * built do not look at it. Only the most specific scope counts: the name; its repository;
 * each parent namespace; the host[:port]; `*.` and the host's parent domains, without the
 * port; the transport's default ""; "default". All of its requirements must accept.
 * Anything else, a name that is not canonical included, is a refusal. */
void policy_evaluate(const struct policy *p, struct span name,
    const uint8_t digest[DIGEST_BYTES], struct policy_verdict *out);

/* Which scope is about a name, and what it requires: "FILE: SCOPE: requirement, ...".
 * Returns dst. */
char *policy_explain(const struct policy *p, struct span name, char *dst, size_t cap);

/* For tests and listings: how many scopes there are in all transports. */
size_t policy_scopes(const struct policy *p);

#endif
