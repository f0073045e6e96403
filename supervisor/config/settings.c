#include "supervisor/config/read.h"

#include "common/base/limits.h"
#include "common/ref/ref.h"
#include "supervisor/config/keys.h"
#include "supervisor/config/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct setting {
	const char *key;
	enum setting_form form;
	int64_t least, most;
};

static const struct setting settings[] = {
#define SETTING(key, form, least, most, fallback, field, when, help) \
	{#key, SETTING_##form, (int64_t)(least), (int64_t)(most)},
#include "supervisor/config/keys.def"
#undef SETTING
};

struct state {
	struct reading *r;
	size_t items;
};

static const struct setting *
find(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (!strcmp(settings[i].key, key))
			return &settings[i];
	}
	return NULL;
}

/* 10.0.0.0/8, 2001:db8::/32 */
static bool
range_ok(const char *text)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	uint8_t bytes[16];
	unsigned bits = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(address) ||
	    strlen(slash + 1) > 3 || !slash[1])
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = 0;
	for (const char *c = slash + 1; *c; c++) {
		if (*c < '0' || *c > '9')
			return false;
		bits = bits * 10 + (unsigned)(*c - '0');
	}
	if (inet_pton(AF_INET, address, bytes) == 1)
		return bits <= 32;
	return inet_pton(AF_INET6, address, bytes) == 1 && bits <= 128;
}

/* What could stand before the first slash of a reference, and reach something. */
static bool
host_ok(struct span text)
{
	char buf[LIMIT_HOST + 32];
	struct ref_host host;
	struct ref ref;

	if (!span_to_str(text, buf, LIMIT_HOST + 16))
		return false;
	if (range_ok(buf))
		return true;
	memcpy(buf + text.n, "/x", sizeof("/x"));
	return ref_parse(span_str(buf), &ref, NULL) == 0 && span_is(text, ref.domain) &&
	       ref_host_parse(text, &host, NULL) == 0;
}

static bool
name_ok(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return text.n >= 1 && text.n <= 32;
}

/* PATH and HOME are set already; LD_* would not be the program's own. */
static bool
variable_ok(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && c != '_' &&
		    !(i && c >= '0' && c <= '9'))
			return false;
	}
	return text.n >= 1 && text.n <= 64 && !span_is(text, "PATH") &&
	       !span_is(text, "HOME") && !span_starts(text, "LD_");
}

/* What an image name could look like, with a star at its end or one at each end. */
static bool
pattern_ok(struct span text)
{
	if (text.n > LIMIT_NAME)
		return false;
	bool keyword = text.n > 2 && text.p[0] == '*' && text.p[text.n - 1] == '*';
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		bool edge = i == text.n - 1 || (keyword && i == 0);
		if (c <= 0x20 || c >= 0x7f || (c == '*' && !edge))
			return false;
	}
	return true;
}

/* "90", "90s", "10m", "1h30m": units fall, each at most once. Seconds, or -1. */
static int64_t
seconds_of(struct span text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'h', 3600}, {'m', 60}, {'s', 1}};
	int64_t all = 0, value = 0;
	size_t digits = 0, unit = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c >= '0' && c <= '9') {
			if (++digits > 9)
				return -1;
			value = value * 10 + (c - '0');
			continue;
		}
		while (unit < ARRAY_LEN(units) && units[unit].unit != c)
			unit++;
		if (unit == ARRAY_LEN(units) || !digits)
			return -1;
		all += value * units[unit++].seconds;
		value = 0;
		digits = 0;
	}
	if (!digits)
		return text.n ? all : -1;
	return all ? -1 : value; /* a last part without its unit: nobody knows which */
}

/* The words of a form, as a list for people; NULL when value is one of them. */
static const char *
word_refused(enum setting_form form, struct span value)
{
	static const char *const levels[] = {SETTING_WORD_LEVELS};
	static const char *const formats[] = {SETTING_WORD_FORMATS};
	static const char *const durabilities[] = {SETTING_WORD_DURABILITIES};
	static const char *const fallbacks[] = {SETTING_WORD_FALLBACKS};
	static const struct {
		enum setting_form form;
		const char *const *words;
		size_t n;
		const char *refusal;
	} lists[] = {
	    {SETTING_LEVEL, levels, ARRAY_LEN(levels),
		"none of error, warning, info, debug"},
	    {SETTING_FORMAT, formats, ARRAY_LEN(formats), "neither text nor json"},
	    {SETTING_DURABILITY, durabilities, ARRAY_LEN(durabilities),
		"neither full nor none"},
	    {SETTING_FALLBACK, fallbacks, ARRAY_LEN(fallbacks),
		"none of always, on-not-found, never"},
	};
	size_t at = 0;

	while (lists[at].form != form)
		at++;
	for (size_t i = 0; i < lists[at].n; i++) {
		if (span_is(value, lists[at].words[i]))
			return NULL;
	}
	return lists[at].refusal;
}

static int
give(struct state *s, const struct setting *set, struct span value)
{
	return s->r->sink->row(s->r->sink->arg, set->key, value);
}

static int
give_number(struct state *s, const struct setting *set, const struct toml_row *row)
{
	int64_t n = row->number;
	char text[32], shown[100];

	if (set->form == SETTING_SECONDS && row->kind == TOML_TEXT) {
		n = seconds_of(span_of(row->text, row->n));
		if (n < 0)
			return reading_refuse(s->r, row->line,
			    "%s = \"%s\" is no span of time such as \"90s\", \"10m\" or "
			    "\"1h30m\"",
			    set->key,
			    span_escape(
				span_of(row->text, row->n), shown, sizeof(shown)));
	} else if (row->kind != TOML_INT) {
		return reading_refuse(s->r, row->line, "%s is not %s", set->key,
		    set->form == SETTING_SECONDS ? "a number of seconds, nor a text"
						 : "an integer");
	}
	if (n < set->least || n > set->most)
		return reading_refuse(s->r, row->line,
		    "%s = %" PRId64 " is not within %" PRId64 " .. %" PRId64, set->key, n,
		    set->least, set->most);
	snprintf(text, sizeof(text), "%" PRId64, n);
	return give(s, set, span_str(text));
}

static int
refuse_text(struct state *s, const struct setting *set, const struct toml_row *row,
    const char *why)
{
	char shown[200];

	return reading_refuse(s->r, row->line, "%s%s\"%s\" is %s", set->key,
	    SETTING_LISTS(set->form) ? ": " : " = ",
	    span_escape(span_of(row->text, row->n), shown, sizeof(shown)), why);
}

static int
give_path(struct state *s, const struct setting *set, const struct toml_row *row)
{
	struct span text = span_of(row->text, row->n);

	if (set->form == SETTING_SOCKET) {
		text = setting_socket_path(text);
		if (text.n && text.n > (size_t)set->most)
			return refuse_text(
			    s, set, row, "longer than a socket's path can be");
	}
	if (text.n ? !path_ok(text) : set->least > 0)
		return refuse_text(s, set, row, "not an absolute path");
	return give(s, set, text);
}

static int
give_text(struct state *s, const struct setting *set, const struct toml_row *row)
{
	struct span text = span_of(row->text, row->n);
	const char *why;
	struct proxy proxy;

	if (row->kind != TOML_TEXT)
		return reading_refuse(s->r, row->line, "%s is not a string", set->key);
	switch (set->form) {
	case SETTING_PATH:
	case SETTING_SOCKET:
		return give_path(s, set, row);
	case SETTING_LEVEL:
	case SETTING_FORMAT:
	case SETTING_DURABILITY:
	case SETTING_FALLBACK:
		why = word_refused(set->form, text);
		return why ? refuse_text(s, set, row, why) : give(s, set, text);
	case SETTING_HOSTS:
		return host_ok(text)
			   ? give(s, set, text)
			   : refuse_text(s, set, row,
				 "neither host[:port] nor an address range such as "
				 "10.0.0.0/8");
	case SETTING_PROXY:
		return !text.n || span_is(text, "environment") ||
			       proxy_parse(text, false, &proxy)
			   ? give(s, set, text)
			   : refuse_text(s, set, row,
				 "neither http://host[:port] nor \"environment\" (the "
				 "proxy's credentials stand in the auth file, under its "
				 "host:port)");
	case SETTING_PROXIES:
		return proxy_rule_ok(text)
			   ? give(s, set, text)
			   : refuse_text(s, set, row,
				 "not host[:port] or *.domain, \"=\", and "
				 "http://host[:port] or direct");
	case SETTING_DIRECT:
		return no_proxy_ok(text)
			   ? give(s, set, text)
			   : refuse_text(s, set, row,
				 "neither a domain, nor an address, nor a range");
	case SETTING_VARIABLES:
		return variable_ok(text)
			   ? give(s, set, text)
			   : refuse_text(s, set, row, "not the name of a variable");
	case SETTING_NAMES:
		return name_ok(text)
			   ? give(s, set, text)
			   : refuse_text(s, set, row, "not the name of a feature");
	default:
		return pattern_ok(text) && (text.n || !row->item)
			   ? give(s, set, text)
			   : refuse_text(s, set, row,
				 "no pattern of image names: a star stands at its end, "
				 "or "
				 "at both ends");
	}
}

static int
on_row(void *arg, const struct toml_row *row)
{
	struct state *s = arg;
	const struct setting *set = find(row->key);
	char shown[200];

	if (!set)
		return reading_refuse(s->r, row->line, "unknown key \"%s\"",
		    span_escape(span_str(row->key), shown, sizeof(shown)));
	bool list = SETTING_LISTS(set->form);
	if (list != (row->kind == TOML_LIST || row->item))
		return reading_refuse(
		    s->r, row->line, "%s is %s list", set->key, list ? "not a" : "a");
	if (list && !row->item) {
		s->items = 0;
		return give(s, set, span_str("")); /* the items follow */
	}
	if (row->item && ++s->items > (size_t)set->most)
		return reading_refuse(s->r, row->line,
		    "%s has more than %" PRId64 " items", set->key, set->most);
	return set->form == SETTING_NUMBER || set->form == SETTING_SECONDS
		   ? give_number(s, set, row)
		   : give_text(s, set, row);
}

int
bulkhead_read(struct reading *r, struct span bytes)
{
	struct state s = {.r = r};

	return reading_toml(r, bytes, on_row, &s);
}
