#include "supervisor/config/read.h"

#include "common/base/limits.h"
#include "common/ref/ref.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum form { PATH, NUMBER, HOSTS, NAMES };

struct setting {
	const char *key;
	enum form form;
	int64_t min, max; /* NUMBER */
};

#define UID_BLOCKS 4096 /* the ids from uid_base on must exist */

static const struct setting settings[] = {
    {"root", PATH, 0, 0},
    {"runroot", PATH, 0, 0},
    {"storage_conf", PATH, 0, 0},
    {"policy", PATH, 0, 0},
    {"authfile", PATH, 0, 0},
    {"cert_dir", PATH, 0, 0},
    {"uid_base", NUMBER, 65536, INT64_C(4294967295) - UID_BLOCKS},
    {"max_layer_bytes", NUMBER, 1, LIMIT_LAYER_HARD},
    {"max_image_bytes", NUMBER, 1, LIMIT_IMAGE_HARD},
    {"insecure_registries", HOSTS, 0, 0},
    {"allow_degraded", NAMES, 0, 0},
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
	strcat(buf, "/x");
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

static int
give_number(struct state *s, const struct setting *set, const struct toml_row *row)
{
	char text[32];

	if (row->kind != TOML_INT)
		return reading_refuse(s->r, row->line, "%s is not an integer", set->key);
	if (row->number < set->min || row->number > set->max)
		return reading_refuse(s->r, row->line,
		    "%s = %" PRId64 " is not within %" PRId64 " .. %" PRId64, set->key,
		    row->number, set->min, set->max);
	snprintf(text, sizeof(text), "%" PRId64, row->number);
	return s->r->sink->row(s->r->sink->arg, set->key, span_str(text));
}

static int
give_text(struct state *s, const struct setting *set, const struct toml_row *row)
{
	struct span text = span_of(row->text, row->n);
	char shown[200];

	if (row->kind != TOML_TEXT)
		return reading_refuse(s->r, row->line, "%s is not a string", set->key);
	span_escape(text, shown, sizeof(shown));
	if (set->form == PATH && !path_ok(text))
		return reading_refuse(s->r, row->line,
		    "%s = \"%s\" is not an absolute path", set->key, shown);
	if (set->form == HOSTS && !host_ok(text))
		return reading_refuse(s->r, row->line,
		    "%s: \"%s\" is neither host[:port] nor an address range such as "
		    "10.0.0.0/8",
		    set->key, shown);
	if (set->form == NAMES && !name_ok(text))
		return reading_refuse(s->r, row->line,
		    "%s: \"%s\" is not the name of a feature", set->key, shown);
	return s->r->sink->row(s->r->sink->arg, set->key, text);
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
	bool list = set->form == HOSTS || set->form == NAMES;
	if (list != (row->kind == TOML_LIST || row->item))
		return reading_refuse(
		    s->r, row->line, "%s is %s list", set->key, list ? "not a" : "a");
	if (list && !row->item)
		return 0; /* the items follow */
	if (row->item && ++s->items > LIMIT_CONFIG_LIST)
		return reading_refuse(
		    s->r, row->line, "more than %d items in lists", LIMIT_CONFIG_LIST);
	return set->form == NUMBER ? give_number(s, set, row) : give_text(s, set, row);
}

int
settings_read(struct reading *r, struct span bytes)
{
	struct state s = {.r = r};

	return reading_toml(r, bytes, on_row, &s);
}
