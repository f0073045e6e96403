/* What registries.conf, its drop-ins and short-name-aliases.conf say, as the readers gave
 * it: rows that the frontend gets in their order. Here they are counted and compared,
 * never looked into. */
#ifndef BULKHEAD_SUPERVISOR_REGISTRIES_H
#define BULKHEAD_SUPERVISOR_REGISTRIES_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/ipc/values.h"

struct registry_text {
	enum registry_row kind;
	unsigned flags;
	char *name;	   /* owned */
	const char *value; /* behind name's NUL */
};

struct registry_rows {
	unsigned n, room;
	size_t bytes;
	struct registry_text *rows;
	unsigned tables, aliases; /* of all files */
	unsigned mirrors, search; /* of the last table, of the last list */
};

/* Keeps a copy. 0; -EPROTO: what no honest reader says; or negative with *e: more than
 * all files together may say, or no memory. */
int registry_rows_add(struct registry_rows *r, enum registry_row kind, unsigned flags,
    struct span name, struct span value, struct err *e) MUST_CHECK;

bool registry_rows_equal(const struct registry_rows *a, const struct registry_rows *b);

void registry_rows_release(struct registry_rows *r);

#endif
