/* Text for people: outside bytes made safe, columns, sizes, ages. */
#ifndef BULKHEAD_CLI_TEXT_H
#define BULKHEAD_CLI_TEXT_H

#include "common/base/span.h"

#include <stdio.h>

/* Writes bytes from outside: what is not printable ASCII becomes \xNN. The backslash
 * stays, because most such texts have been escaped once already. */
void text_safe(FILE *to, struct span s);

/* The same as fresh memory; NULL without memory. */
char *text_safe_dup(struct span s);

/* Passes JSON on. Control bytes, which no JSON text holds raw but white space, come out
 * as \u00NN, so that a terminal obeys none of them. */
void text_json(FILE *to, struct span s);

/* "7.66 MB": powers of 1000, three digits, as podman shows sizes. */
#define TEXT_SIZE 24
char *text_size(uint64_t bytes, char dst[TEXT_SIZE]);

/* "2 weeks ago"; both in seconds since 1970. */
#define TEXT_AGE 48
char *text_age(int64_t then, int64_t now, char dst[TEXT_AGE]);

/* "2026-01-02T03:04:05Z". "" for a time without four-digit year. */
#define TEXT_TIME 32
char *text_time(int64_t seconds, char dst[TEXT_TIME]);

/* Rows of cells, aligned when printed. Cells are copied and made safe. */
struct table {
	char **cells;
	size_t n, cap, columns;
	int error; /* sticks; table_print returns it */
};

void table_init(struct table *t, size_t columns);
void table_release(struct table *t);
void table_cell(struct table *t, const char *text);

/* Columns two blanks apart. 0 or -ENOMEM. */
int table_print(const struct table *t, FILE *to) MUST_CHECK;

#endif
