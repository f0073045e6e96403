#include "supervisor/config/toml.h"

#include "common/base/limits.h"
#include "common/base/span.h"

#include <errno.h>
#include <stdio.h>

struct scan {
	const char *p;
	size_t n, at;
	unsigned line, depth, parts;
	struct toml_refusal *out;
};

static int
refuse(struct scan *s, const char *why)
{
	snprintf(s->out->why, sizeof(s->out->why), "%s", why);
	s->out->line = s->line;
	return -EINVAL;
}

static bool
three(const struct scan *s, char quote)
{
	return s->n - s->at >= 3 && s->p[s->at] == quote && s->p[s->at + 1] == quote &&
	       s->p[s->at + 2] == quote;
}

/* Over a string, s->at being at its first quote. An end that is missing is the parser's
 * affair. */
static void
skip_string(struct scan *s)
{
	char quote = s->p[s->at];
	bool long_one = three(s, quote);

	s->at += long_one ? 3 : 1;
	while (s->at < s->n) {
		char c = s->p[s->at];
		if (c == '\n' && !long_one)
			return;
		if (c == '\\' && quote == '"') {
			s->at += 2;
			continue;
		}
		if (c == quote && (!long_one || three(s, quote))) {
			s->at += long_one ? 3 : 1;
			/* Two more quotes may belong to a long string's content. */
			for (int i = 0;
			     long_one && i < 2 && s->at < s->n && s->p[s->at] == quote;
			     i++)
				s->at++;
			return;
		}
		s->line += c == '\n';
		s->at++;
	}
	s->at = s->n;
}

static int
scan_byte(struct scan *s)
{
	char c = s->p[s->at++];

	switch (c) {
	case '#':
		while (s->at < s->n && s->p[s->at] != '\n')
			s->at++;
		return 0;
	case '\n':
		s->line++;
		s->parts = 0;
		return 0;
	case '.':
		return ++s->parts >= TOML_KEY_PARTS
			   ? refuse(s, "a key has too many parts")
			   : 0;
	case '[':
	case '{':
		s->parts = 0;
		return ++s->depth > LIMIT_JSON_DEPTH ? refuse(s, "nested too deep") : 0;
	case ']':
	case '}':
		s->parts = 0;
		s->depth -= s->depth > 0;
		return 0;
	case '=':
	case ',':
		s->parts = 0;
		return 0;
	default:
		return 0;
	}
}

int
toml_scan(const char *text, size_t n, struct toml_refusal *out)
{
	struct scan s = {.p = text, .n = n, .line = 1, .out = out};

	*out = (struct toml_refusal){.line = 1};
	if (n > LIMIT_CONFIG_FILE)
		return refuse(&s, "the file is too long");
	if (!span_is_text(span_of(text, n)))
		return refuse(&s, "not UTF-8, or a NUL byte");
	while (s.at < s.n) {
		if (s.p[s.at] == '"' || s.p[s.at] == '\'') {
			skip_string(&s);
			continue;
		}
		int r = scan_byte(&s);
		if (r)
			return r;
	}
	return 0;
}
