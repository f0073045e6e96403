/* Where a reference's registry is, and whom a registry may send us to. Pure. */
#ifndef BULKHEAD_FRONTEND_ORIGIN_H
#define BULKHEAD_FRONTEND_ORIGIN_H

#include "common/ref/ref.h"
#include "common/ref/url.h"

/* The registry of a reference. */
struct registry {
	struct url url;			       /* https origin */
	char repository[LIMIT_REPOSITORY + 1]; /* as in /v2/<repository>/ */
	char auth_host[LIMIT_REPOSITORY +
		       1]; /* the domain under which files keep its secret */
};

/* docker.io is registry-1.docker.io, as for every other program. 0, or negative with the
 * reason. */
int registry_of(const struct ref *r, struct registry *out, struct err *e) MUST_CHECK;

#endif
