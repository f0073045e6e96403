/* A TOML text as a flat run of rows. C on this side, the C++ library on the other. */
#ifndef BULKHEAD_CONFIG_TOML_H
#define BULKHEAD_CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum toml_kind {
	TOML_TABLE, /* its members follow */
	TOML_LIST,  /* its items follow */
	TOML_TEXT,
	TOML_INT,
	TOML_BOOL,
	TOML_OTHER, /* fraction, date; within a list also a list, whose items do not
		       follow */
};

struct toml_row {
	const char
	    *key; /* "storage.options.size"; parts that are no bare keys are quoted */
	const char *name; /* its last part, as it is */
	enum toml_kind kind;
	bool item;	  /* an item of the list with this key */
	const char *text; /* TOML_TEXT: n bytes and a NUL; may hold NULs */
	size_t n;
	int64_t number; /* TOML_INT; TOML_BOOL: 0 or 1 */
	unsigned line;
};

/* Ends the reading when not 0. */
typedef int (*toml_row_fn)(void *arg, const struct toml_row *row);

struct toml_refusal {
	char why[200];
	unsigned line;
};

/* Bounds of ours, before the library: UTF-8 without NUL, at most LIMIT_CONFIG_FILE bytes,
 * brackets nested at most LIMIT_JSON_DEPTH deep, keys of at most TOML_KEY_PARTS parts
 * (the library would make a table of each and take them down recursively). 0 or -EINVAL.
 */
#define TOML_KEY_PARTS 16
int toml_scan(const char *text, size_t n, struct toml_refusal *out);

/* 0; -EINVAL: no TOML; -ENOMEM; or what the callback returned. Text must have passed
 * toml_scan. */
int toml_read(
    const char *text, size_t n, toml_row_fn row, void *arg, struct toml_refusal *out);

#ifdef __cplusplus
}
#endif

#endif
