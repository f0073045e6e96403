#include "frontend/origin.h"

#include <stdio.h>

int
registry_of(const struct ref *r, struct registry *out, struct err *e)
{
	struct ref_host host;
	const char *domain = r->domain;

	*out = (struct registry){0};
	snprintf(out->repository, sizeof(out->repository), "%s", r->path);
	snprintf(out->auth_host, sizeof(out->auth_host), "%s", domain);
	if (strcmp(domain, "docker.io") == 0)
		domain = "registry-1.docker.io";
	int rc = ref_host_parse(span_str(domain), &host, e);
	if (rc < 0)
		return rc;
	rc = url_parse_authority(span_str(domain), true, &out->url, e);
	return rc;
}
