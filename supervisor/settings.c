#include "supervisor/settings.h"

#include "policy/sandbox/features.h"
#include "supervisor/config/keys.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum when { NOW, RESTART };

/* One row of the table with its place in struct settings. */
struct setting {
	const char *key;
	enum setting_form form;
	uint64_t least, most;
	const char *fallback;
	size_t at, size;
	struct setting_info info;
};

static const struct setting settings[KEY_COUNT] = {
#define SETTING(key, form, least, most, fallback, field, when, help)              \
	[KEY_##key] = {#key, SETTING_##form, (uint64_t)(least), (uint64_t)(most), \
	    fallback, offsetof(struct settings, field),                           \
	    sizeof(((struct settings *)NULL)->field),                             \
	    {#key, help, SETTING_LISTS(SETTING_##form), (when) == RESTART}},
#include "supervisor/config/keys.def"
#undef SETTING
};

static const char *const level_words[] = {SETTING_WORD_LEVELS};
static const unsigned levels[] = {3, 4, 6, 7};
static const char *const format_words[] = {SETTING_WORD_FORMATS};

static void *
place(struct settings *s, const struct setting *set)
{
	return (char *)s + set->at;
}

static const void *
place_of(const struct settings *s, const struct setting *set)
{
	return (const char *)s + set->at;
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
	bool path = set->form != SETTING_PATTERN;

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

static int
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
	case SETTING_NAMES:
		return keep_degraded(dst, value);
	case SETTING_HOSTS:
	case SETTING_PATTERNS:
		return keep_line(dst, set->size, value);
	case SETTING_PATH:
	case SETTING_SOCKET:
	case SETTING_PATTERN:
		return keep_text(dst, set, value);
	}
	return -EINVAL;
}

/* ---- rows ---- */

static const struct setting *
find(struct span key)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (span_is(key, settings[i].key))
			return &settings[i];
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
	s->from[set - settings] = (uint8_t)(SOURCE_FILE + file);
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
	if (keep(s, &settings[id], value) < 0)
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
		const struct setting *set = &settings[i];
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
		if (keep(s, &settings[given[i].key], span_str(given[i].text)) < 0)
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
			if (strcmp(place_of(s, &settings[keys[i]]),
				place_of(s, &settings[keys[j]])) == 0)
				return err_set(e, ERR_USAGE,
				    "%s: %s is the same socket as %s",
				    settings_source(s, keys[i], source, sizeof(source)),
				    settings[keys[i]].key, settings[keys[j]].key);
		}
	}
	return 0;
}

void
settings_keep_running(struct settings *s, const struct settings *running)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (settings[i].info.restart)
			memcpy(place(s, &settings[i]), place_of(running, &settings[i]),
			    settings[i].size);
	}
}

/* ---- the command line ---- */

static int
parse_level(unsigned *out, const char *text, struct err *e)
{
	int i = word_index(level_words, ARRAY_LEN(level_words), span_str(text));

	if (i < 0)
		return err_set(
		    e, ERR_USAGE, "--log-level %s: error, warning, info or debug", text);
	*out = levels[i];
	return 0;
}

static int
parse_path(const char **out, const char *text, size_t most, struct err *e)
{
	if (*text != '/')
		return err_set(e, ERR_USAGE, "%s: not an absolute path", text);
	if (strlen(text) > most)
		return err_set(e, ERR_USAGE, "%s: longer than %zu bytes", text, most);
	*out = text;
	return 0;
}

static int
parse_socket(const char **out, const char *text, struct err *e)
{
	return parse_path(out, (const char *)setting_socket_path(span_str(text)).p,
	    LIMIT_SOCKET_PATH, e);
}

enum option_id {
	CONFIG = 256,
	ROOT,
	RUNROOT,
	AUTHFILE,
	CERT_DIR,
	STORAGE_CONF,
	LISTEN,
	CONTROL,
	METRICS,
	LEVEL,
	EMBEDDED
};

static const struct option options[] = {
    {"config", required_argument, NULL, CONFIG},
    {"root", required_argument, NULL, ROOT},
    {"runroot", required_argument, NULL, RUNROOT},
    {"authfile", required_argument, NULL, AUTHFILE},
    {"cert-dir", required_argument, NULL, CERT_DIR},
    {"storage-conf", required_argument, NULL, STORAGE_CONF},
    {"listen", required_argument, NULL, LISTEN},
    {"control", required_argument, NULL, CONTROL},
    {"metrics", required_argument, NULL, METRICS},
    {"log-level", required_argument, NULL, LEVEL},
    {"embedded", no_argument, NULL, EMBEDDED},
    {0},
};

static int
parse_option(struct settings *s, int c, const char *word, struct err *e)
{
	switch (c) {
	case CONFIG:
		return parse_path(&s->config, optarg, LIMIT_PATH - 64, e);
	case ROOT:
		return parse_path(&s->root, optarg, LIMIT_PATH - 1, e);
	case RUNROOT:
		return parse_path(&s->runroot, optarg, LIMIT_PATH - 1, e);
	case AUTHFILE:
		return parse_path(&s->authfile, optarg, LIMIT_PATH - 1, e);
	case CERT_DIR:
		return parse_path(&s->cert_dir, optarg, LIMIT_PATH - 1, e);
	case STORAGE_CONF:
		return parse_path(&s->storage_conf, optarg, LIMIT_PATH - 1, e);
	case LISTEN:
		return parse_socket(&s->listen_given, optarg, e);
	case CONTROL:
		return parse_socket(&s->control_given, optarg, e);
	case METRICS:
		return parse_socket(&s->metrics_given, optarg, e);
	case LEVEL:
		return parse_level(&s->level_given, optarg, e);
	case EMBEDDED:
		s->embedded = true;
		return 0;
	default:
		return err_set(e, ERR_USAGE, "unknown option %s", word);
	}
}

int
settings_parse(struct settings *s, int argc, char **argv, struct err *e)
{
	*s = (struct settings){0};
	opterr = 0;
	optind = 0; /* glibc: from the beginning, also the second time */
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int r = parse_option(s, c, argv[optind - 1], e);
		if (r < 0)
			return r;
	}
	if (optind != argc)
		return err_set(e, ERR_USAGE, "unexpected argument %s", argv[optind]);
	settings_begin(s);
	return 0;
}

/* ---- telling ---- */

const struct setting_info *
setting_info(enum setting_id key)
{
	return &settings[key].info;
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
	const struct setting *set = &settings[key];
	const void *value = place_of(s, set);
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
	case SETTING_NAMES:
		features_degraded_text(*(const unsigned *)value, buf, sizeof(buf));
		put_list(&t, buf, ',');
		break;
	case SETTING_HOSTS:
	case SETTING_PATTERNS:
		put_list(&t, value, '\n');
		break;
	case SETTING_PATH:
	case SETTING_SOCKET:
	case SETTING_PATTERN:
		put_quoted(&t, span_str(value));
		break;
	}
	return dst;
}

char *
settings_fallback(enum setting_id key, char *dst, size_t cap)
{
	const struct setting *set = &settings[key];
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
	const void *x = place_of(a, set), *y = place_of(b, set);

	switch (set->form) {
	case SETTING_NUMBER:
	case SETTING_SECONDS:
	case SETTING_LEVEL:
	case SETTING_FORMAT:
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
		const struct setting *set = &settings[i];
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
