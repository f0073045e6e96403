#include "worker-store/document/facts.h"

#include "worker-store/document/fields.h"

static bool
known(struct span key)
{
	static const char *const keys[] = {
	    "id", "digest", "size", "driver", "name", "repo-digest", "history"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (span_is(key, keys[i]))
			return true;
	}
	return span_starts(key, "graph.") && key.n > strlen("graph.");
}

/* Cuts the line; false at the end or when it has no tab or newline. */
bool
facts_next(struct span *rest, struct span *key, struct span *value)
{
	const uint8_t *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!end)
		return false;
	struct span line = span_of(rest->p, (size_t)(end - rest->p));
	const uint8_t *tab = line.n ? memchr(line.p, '\t', line.n) : NULL;
	if (!tab)
		return false;
	*key = span_of(line.p, (size_t)(tab - line.p));
	*value = span_from(line, key->n + 1);
	*rest = span_from(*rest, line.n + 1);
	return true;
}

int
facts_check(struct span facts, struct err *e)
{
	struct span rest = facts, key, value;
	char shown[80];

	while (facts_next(&rest, &key, &value)) {
		if (!known(key))
			return err_set(e, ERR_CONTENT, "facts: unknown key \"%s\"",
			    span_escape(key, shown, sizeof(shown)));
		if (!span_is_text(key) || !span_is_text(value) || text_has_control(key) ||
		    text_has_control(value))
			return err_set(
			    e, ERR_CONTENT, "facts: a value is not plain text");
	}
	if (rest.n)
		return err_set(e, ERR_CONTENT, "facts: a line is not \"key TAB value\"");
	return 0;
}

struct span
facts_get(struct span facts, const char *want)
{
	struct span key, value;

	while (facts_next(&facts, &key, &value)) {
		if (span_is(key, want))
			return value;
	}
	return span_of("", 0);
}
