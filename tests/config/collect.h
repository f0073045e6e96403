/* Everything a file said, as one text: "key=value\n" for rows, "scope!kind!secret\n" for
 * secrets. */
#ifndef BULKHEAD_TESTS_CONFIG_COLLECT_H
#define BULKHEAD_TESTS_CONFIG_COLLECT_H

#include "common/base/limits.h"
#include "supervisor/config/config.h"
#include "tests/rows.h"

#include <errno.h>

static inline int
collect_row(void *arg, const char *key, struct span value)
{
	char text[1800];

	build_add(arg, "%s=%s\n", key, span_escape(value, text, sizeof(text)));
	return 0;
}

static inline int
collect_secret(void *arg, struct span scope, enum secret_kind kind, struct span secret)
{
	char where[700], text[1200];

	build_add(arg, "%s!%d!%s\n", span_escape(scope, where, sizeof(where)), kind,
	    span_escape(secret, text, sizeof(text)));
	return 0;
}

static inline int
collect_registry(void *arg, enum registry_row kind, unsigned flags, struct span name,
    struct span value)
{
	static const char *const kinds[] = {
	    "file", "table", "mirror", "search", "alias", "mode"};
	char one[600], two[600];

	build_add(arg, "%s %x %s %s\n", kinds[kind], flags,
	    span_escape(name, one, sizeof(one)), span_escape(value, two, sizeof(two)));
	return 0;
}

static inline int
collect(enum config_kind kind, const void *p, size_t n, struct build *out, struct err *e)
{
	struct config_sink sink = {collect_row, collect_secret, collect_registry, out};
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	build_add(out, "%s", "");
	int r = config_read(kind, span_of(copy, n), "/etc/the.file", &sink, e);
	free(copy);
	return r;
}

/* A file that is taken and what it says, or (refused) a part of the refusal. */
struct said {
	const char *text, *rows;
	bool refused;
};

static inline void
check_said(enum config_kind kind, const struct said *s)
{
	struct build b = {0};
	struct err e = {0};

	int r = collect(kind, s->text, strlen(s->text), &b, &e);
	if (!s->refused && r)
		fail_msg("%s: refused: %s", s->text, e.text);
	if (!s->refused && strcmp(b.p, s->rows) != 0)
		fail_msg("%s: says %s", s->text, b.p);
	if (s->refused && !r)
		fail_msg("%s: taken", s->text);
	if (s->refused &&
	    (!strstr(e.text, s->rows) || strncmp(e.text, "/etc/the.file", 13) != 0))
		fail_msg("%s: refused, but with: %s", s->text, e.text);
	if (s->refused) {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(e.code, ERR_USAGE);
	}
	build_free(&b);
}

#endif
