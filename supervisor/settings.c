#include "supervisor/settings_table.h"

#include "policy/sandbox/features.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum when { NOW, RESTART };

const struct setting settings_table[KEY_COUNT] = {
#define SETTING(key, form, least, most, fallback, field, when, help)              \
	[KEY_##key] = {#key, SETTING_##form, (uint64_t)(least), (uint64_t)(most), \
	    fallback, offsetof(struct settings, field),                           \
	    sizeof(((struct settings *)NULL)->field),                             \
	    {#key, help, SETTING_LISTS(SETTING_##form), (when) == RESTART}},
#include "supervisor/config/keys.def"
#undef SETTING
};

const char *const level_words[LEVELS] = {SETTING_WORD_LEVELS};
const unsigned levels[LEVELS] = {3, 4, 6, 7};
const char *const format_words[2] = {SETTING_WORD_FORMATS};
const char *const durability_words[2] = {SETTING_WORD_DURABILITIES};
const char *const fallback_words[3] = {SETTING_WORD_FALLBACKS};

static void *
place(struct settings *s, const struct setting *set)
{
	return (char *)s + set->at;
}

/* ---- keeping one value ---- */

/* The reader has checked all of this; but a reader that was taken over has not. */
static int
keep_number(uint64_t *dst, const struct setting *set, struct span value)
{
	char text[24], *end;

	if (!span_to_str(value, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno || *end || v < set->least || v > set->most)
		return -EINVAL;
	*dst = v;
	return 0;
}

static int
keep_text(char *dst, const struct setting *set, struct span value)
{
	bool path = set->form == SETTING_PATH || set->form == SETTING_SOCKET;

	if (value.n ? path && value.p[0] != '/' : set->least > 0)
		return -EINVAL;
	return span_to_str(value, dst, set->size) ? 0 : -EINVAL;
}

/* A line more; the value "" begins the list anew: later files replace, they never add. */
static int
keep_line(char *dst, size_t cap, struct span value)
{
	size_t at = strlen(dst);

	if (!value.n) {
		*dst = 0;
		return 0;
	}
	if (memchr(value.p, '\n', value.n) || memchr(value.p, 0, value.n))
		return -EINVAL;
	if (at + value.n + 2 > cap)
		return -E2BIG;
	memcpy(dst + at, value.p, value.n);
	memcpy(dst + at + value.n, "\n", 2);
	return 0;
}

static int
keep_degraded(unsigned *dst, struct span value)
{
	char name[64];

	if (!value.n) {
		*dst = 0;
		return 0;
	}
	unsigned bit =
	    span_to_str(value, name, sizeof(name)) ? features_degraded_bit(name) : 0;
	*dst |= bit;
	return bit ? 0 : -EINVAL;
}

int
word_index(const char *const *words, size_t n, struct span value)
{
	for (size_t i = 0; i < n; i++) {
		if (span_is(value, words[i]))
			return (int)i;
	}
	return -EINVAL;
}

static int
keep(struct settings *s, const struct setting *set, struct span value)
{
	void *dst = place(s, set);
	int i;

	switch (set->form) {
	case SETTING_NUMBER:
	case SETTING_SECONDS:
		return keep_number(dst, set, value);
	case SETTING_LEVEL:
		i = word_index(level_words, ARRAY_LEN(level_words), value);
		if (i >= 0)
			*(unsigned *)dst = levels[i];
		return i < 0 ? i : 0;
	case SETTING_FORMAT:
		i = word_index(format_words, ARRAY_LEN(format_words), value);
		if (i >= 0)
			*(enum log_format *)dst = (enum log_format)i;
		return i < 0 ? i : 0;
	case SETTING_DURABILITY:
		i = word_index(durability_words, ARRAY_LEN(durability_words), value);
		if (i >= 0)
			*(enum durability *)dst = (enum durability)i;
		return i < 0 ? i : 0;
	case SETTING_FALLBACK:
		i = word_index(fallback_words, ARRAY_LEN(fallback_words), value);
		if (i >= 0)
			*(enum fallback *)dst = (enum fallback)i;
		return i < 0 ? i : 0;
	case SETTING_NAMES:
		return keep_degraded(dst, value);
	case SETTING_HOSTS:
	case SETTING_PATTERNS:
	case SETTING_PROXIES:
	case SETTING_DIRECT:
	case SETTING_VARIABLES:
		return keep_line(dst, set->size, value);
	case SETTING_PATH:
	case SETTING_SOCKET:
	case SETTING_PATTERN:
	case SETTING_PROXY:
		return keep_text(dst, set, value);
	}
	return -EINVAL;
}

/* ---- rows ---- */

static const struct setting *
find(struct span key)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (span_is(key, settings_table[i].key))
			return &settings_table[i];
	}
	return NULL;
}

static const char *
row_problem(const struct setting *set, int r)
{
	if (r == -E2BIG)
		return "takes more bytes than there is room for";
	if (set && set->form == SETTING_NAMES)
		return "names a form of isolation that there is not (kernel, seccomp, "
		       "landlock, apply-userns)";
	return "cannot be used";
}

int
settings_row(
    struct settings *s, unsigned file, struct span key, struct span value, struct err *e)
{
	const struct setting *set = find(key);
	char name[129], shown[100], path[512];

	int r = set ? keep(s, set, value) : -EINVAL;
	if (r < 0)
		return err_set(e, ERR_USAGE, "%s: %s: the value \"%s\" %s",
		    config_files_path(&s->files, file, path, sizeof(path)),
		    span_escape(key, name, sizeof(name)),
		    span_escape(value, shown, sizeof(shown)), row_problem(set, r));
	s->from[set - settings_table] = (uint8_t)(SOURCE_FILE + file);
	return 0;
}

int
settings_row_storage(
    struct settings *s, struct span key, struct span value, struct err *e)
{
	enum setting_id id = span_is(key, "graphroot") ? KEY_root
			     : span_is(key, "runroot") ? KEY_runroot
						       : KEY_COUNT;
	char name[129];

	if (id == KEY_COUNT)
		return 0;
	if (s->from[id] != SOURCE_DEFAULT)
		return 0; /* bulkhead's own word comes first */
	if (keep(s, &settings_table[id], value) < 0)
		return err_set(e, ERR_USAGE, "%s: the value of %s cannot be used",
		    s->storage_used, span_escape(key, name, sizeof(name)));
	s->from[id] = SOURCE_STORAGE;
	return 0;
}

/* ---- the order of things ---- */

static void
pins_join(struct settings *s)
{
	snprintf(s->pins, sizeof(s->pins), "%s%s%s", s->pinned, s->pause,
	    *s->pause ? "\n" : "");
}

static void
fall_back(struct settings *s)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct setting *set = &settings_table[i];
		if (s->from[i] == SOURCE_DEFAULT &&
		    keep(s, set, span_str(set->fallback ? set->fallback : "")) < 0)
			assert(!"a fallback that is no value");
	}
}

void
settings_begin(struct settings *s)
{
	memset(s->from, SOURCE_DEFAULT, sizeof(s->from));
	*s->storage_used = 0;
	s->files.n = 0;
	fall_back(s);
	settings_override(s);
	pins_join(s);
}

void
settings_override(struct settings *s)
{
	const struct {
		enum setting_id key;
		const char *text;
	} given[] = {
	    {KEY_root, s->root},
	    {KEY_runroot, s->runroot},
	    {KEY_authfile, s->authfile},
	    {KEY_cert_dir, s->cert_dir},
	    {KEY_storage_conf, s->storage_conf},
	    {KEY_listen, s->listen_given},
	    {KEY_control_socket, s->control_given},
	    {KEY_metrics_socket, s->metrics_given},
	};

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		if (!given[i].text)
			continue;
		/* Their lengths were checked when they were given. */
		if (keep(s, &settings_table[given[i].key], span_str(given[i].text)) < 0)
			assert(!"a path that does not fit");
		s->from[given[i].key] = SOURCE_COMMAND;
	}
	/* The command that runs rooms for itself speaks of warnings unless asked. */
	if (s->level_given || s->embedded) {
		s->log_level = s->level_given ? s->level_given : 4;
		s->from[KEY_log_level] = SOURCE_COMMAND;
	}
}

void
settings_finish(struct settings *s)
{
	fall_back(s);
	pins_join(s);
}

int
settings_check(const struct settings *s, struct err *e)
{
	static const enum setting_id keys[] = {
	    KEY_listen, KEY_control_socket, KEY_metrics_socket};
	char source[512];

	for (size_t i = 1; i < ARRAY_LEN(keys); i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(setting_place(s, &settings_table[keys[i]]),
				setting_place(s, &settings_table[keys[j]])) == 0)
				return err_set(e, ERR_USAGE,
				    "%s: %s is the same socket as %s",
				    settings_source(s, keys[i], source, sizeof(source)),
				    settings_table[keys[i]].key,
				    settings_table[keys[j]].key);
		}
	}
	return 0;
}

void
settings_keep_running(struct settings *s, const struct settings *running)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (settings_table[i].info.restart)
			memcpy(place(s, &settings_table[i]),
			    setting_place(running, &settings_table[i]),
			    settings_table[i].size);
	}
}

const char *
settings_auth_search(const struct settings *s, unsigned i)
{
	/* A daemon's environment names no home; these are what root's logins write. */
	static const char *const daemons[] = {"/run/containers/0/auth.json",
	    "/root/.config/containers/auth.json", "/root/.docker/config.json",
	    "/root/.dockercfg"};

	if (s->n_auth_search || s->embedded)
		return i < s->n_auth_search ? s->auth_search[i] : NULL;
	return i < ARRAY_LEN(daemons) ? daemons[i] : NULL;
}
