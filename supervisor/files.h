/* What the supervisor opens for others at start, unread: the graph root, the policy file.
 * Paths come from root's own command line and configuration. */
#ifndef BULKHEAD_SUPERVISOR_FILES_H
#define BULKHEAD_SUPERVISOR_FILES_H

#include "common/base/err.h"
#include "common/base/limits.h"

/* Refuses a graph root on an overlay file system: overlay cannot lie on overlay. 0, or
 * negative with the reason. */
int files_check_graph(int fd, const char *path, struct err *e) MUST_CHECK;

/* Whether <graph root>/overlay is what the graph root's own file system has there, before
 * the clone is attached: the rooms work through a clone of that mount alone. 0 or
 * negative. */
int files_check_overlay(const char *path, struct err *e) MUST_CHECK;

/* The policy file: bytes for the verdict rooms, which alone look into them. */
struct policy_file {
	int fd; /* sealed memfd; -1 = none */
	char path[LIMIT_PATH + 1];
	uint8_t sha256[32]; /* of the bytes; zero = none */
	struct err problem; /* why no image is accepted by it; code 0 = none known */
};

/* Opens the policy file; configured empty: /etc/containers/policy.json. What goes wrong
 * is out->problem (which files were looked for); out->fd is the caller's to close. */
void files_open_policy(const char *configured, struct policy_file *out);

#endif
