#include "supervisor/settings_table.h"

#include "policy/sandbox/features.h"

#include <stdio.h>

const struct setting_info *
setting_info(enum setting_id key)
{
	return &settings_table[key].info;
}

struct text {
	char *p;
	size_t n, cap;
};

static void
put(struct text *t, const char *p, size_t n)
{
	if (t->n + n < t->cap) {
		memcpy(t->p + t->n, p, n);
		t->n += n;
	} else if (t->cap >= 4) {
		t->n = t->n < t->cap - 4 ? t->n : t->cap - 4;
		memcpy(t->p + t->n, "...", 3);
		t->n += 3;
		t->cap = t->n; /* no more */
	}
	t->p[t->n] = 0;
}

/* One character beyond ASCII as TOML's \UXXXXXXXX. Bytes taken. */
static size_t
put_wide(struct text *t, const uint8_t *p, size_t n)
{
	size_t more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
	uint32_t c = *p & (0x3fu >> more);
	char escaped[11];

	for (size_t i = 1; i <= more && i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	snprintf(escaped, sizeof(escaped), "\\U%08x", (unsigned)c);
	put(t, escaped, 10);
	return more < n ? more + 1 : n;
}

/* A TOML string, in ASCII. */
static void
put_quoted(struct text *t, struct span value)
{
	put(t, "\"", 1);
	for (size_t i = 0; i < value.n;) {
		uint8_t c = value.p[i];
		if (c >= 0x80) {
			i += put_wide(t, value.p + i, value.n - i);
			continue;
		}
		char escaped[8];
		if (c < 0x20 || c == 0x7f) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			put(t, escaped, 6);
		} else {
			if (c == '"' || c == '\\')
				put(t, "\\", 1);
			put(t, (const char *)value.p + i, 1);
		}
		i++;
	}
	put(t, "\"", 1);
}

/* Items that end in one of two characters. */
static void
put_list(struct text *t, const char *items, char end)
{
	put(t, "[", 1);
	for (const char *at = items; *at;) {
		size_t n = strcspn(at, (char[]){end, 0});
		if (at != items)
			put(t, ", ", 2);
		put_quoted(t, span_of(at, n));
		at += n + (at[n] != 0);
	}
	put(t, "]", 1);
}

static const char *
level_word(unsigned level)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (levels[i] == level)
			return level_words[i];
	}
	return "";
}

char *
settings_text(const struct settings *s, enum setting_id key, char *dst, size_t cap)
{
	const struct setting *set = &settings_table[key];
	const void *value = setting_place(s, set);
	struct text t = {dst, 0, cap};
	char buf[128];

	switch (set->form) {
	case SETTING_NUMBER:
	case SETTING_SECONDS:
		snprintf(buf, sizeof(buf), "%llu",
		    (unsigned long long)*(const uint64_t *)value);
		put(&t, buf, strlen(buf));
		break;
	case SETTING_LEVEL:
		put_quoted(&t, span_str(level_word(*(const unsigned *)value)));
		break;
	case SETTING_FORMAT:
		put_quoted(&t, span_str(format_words[*(const enum log_format *)value]));
		break;
	case SETTING_DURABILITY:
		put_quoted(
		    &t, span_str(durability_words[*(const enum durability *)value]));
		break;
	case SETTING_FALLBACK:
		put_quoted(&t, span_str(fallback_words[*(const enum fallback *)value]));
		break;
	case SETTING_NAMES:
		features_degraded_text(*(const unsigned *)value, buf, sizeof(buf));
		put_list(&t, buf, ',');
		break;
	case SETTING_HOSTS:
	case SETTING_PATTERNS:
	case SETTING_PROXIES:
	case SETTING_DIRECT:
	case SETTING_VARIABLES:
		put_list(&t, value, '\n');
		break;
	case SETTING_PATH:
	case SETTING_SOCKET:
	case SETTING_PATTERN:
	case SETTING_PROXY:
		put_quoted(&t, span_str(value));
		break;
	}
	return dst;
}

char *
settings_fallback(enum setting_id key, char *dst, size_t cap)
{
	const struct setting *set = &settings_table[key];
	struct text t = {dst, 0, cap};

	if (set->info.list)
		put_list(&t, set->fallback ? set->fallback : "", '\n');
	else if (set->form == SETTING_NUMBER || set->form == SETTING_SECONDS)
		put(&t, set->fallback, strlen(set->fallback));
	else
		put_quoted(&t, span_str(set->fallback));
	return dst;
}

char *
settings_source(const struct settings *s, enum setting_id key, char *dst, size_t cap)
{
	switch (s->from[key]) {
	case SOURCE_DEFAULT:
		snprintf(dst, cap, "default");
		return dst;
	case SOURCE_COMMAND:
		snprintf(dst, cap, "command line");
		return dst;
	case SOURCE_STORAGE:
		snprintf(dst, cap, "%s", s->storage_used);
		return dst;
	default:
		return config_files_path(
		    &s->files, (unsigned)(s->from[key] - SOURCE_FILE), dst, cap);
	}
}

/* Numbers and words are compared as they are kept, texts without what lies behind their
 * ends. */
static bool
same(const struct settings *a, const struct settings *b, const struct setting *set)
{
	const void *x = setting_place(a, set), *y = setting_place(b, set);

	switch (set->form) {
	case SETTING_NUMBER:
	case SETTING_SECONDS:
	case SETTING_LEVEL:
	case SETTING_FORMAT:
	case SETTING_DURABILITY:
	case SETTING_FALLBACK:
	case SETTING_NAMES:
		return memcmp(x, y, set->size) == 0;
	default:
		return strcmp(x, y) == 0;
	}
}

unsigned
settings_changes(const struct settings *before, const struct settings *after,
    settings_change_fn fn, void *arg)
{
	char old[1024], new[1024];
	unsigned n = 0;

	for (unsigned i = 0; i < KEY_COUNT; i++) {
		const struct setting *set = &settings_table[i];
		if (same(before, after, set))
			continue;
		n++;
		fn(arg, set->key,
		    settings_text(before, (enum setting_id)i, old, sizeof(old)),
		    settings_text(after, (enum setting_id)i, new, sizeof(new)),
		    set->info.restart);
	}
	return n;
}
