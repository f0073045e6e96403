#include "supervisor/config/read.h"

#include <errno.h>

/* Settings that change what an image looks like on disk, or where it is. With one of them
 * on, what is written here would not be what the other programs on the node expect. */
struct unable {
	const char *key, *why;
};

static const struct unable unable[] = {
    {"storage.imagestore", "images kept apart from the graph root"},
    {"storage.transient_store", "a transient store"},
    {"storage.options.additionalimagestores", "additional image stores"},
    {"storage.options.additionallayerstores", "additional layer stores"},
    {"storage.options.remap-uids", "remapped ids"},
    {"storage.options.remap-gids", "remapped ids"},
    {"storage.options.remap-user", "remapped ids"},
    {"storage.options.remap-group", "remapped ids"},
    {"storage.options.ignore_chown_errors", "layers without their owners"},
    {"storage.options.overlay.ignore_chown_errors", "layers without their owners"},
    {"storage.options.mount_program",
	"a mount program (fuse-overlayfs writes other whiteouts)"},
    {"storage.options.overlay.mount_program",
	"a mount program (fuse-overlayfs writes other whiteouts)"},
    {"storage.options.force_mask", "forced file modes"},
    {"storage.options.overlay.force_mask", "forced file modes"},
    {"storage.options.use_composefs", "composefs"},
    {"storage.options.overlay.use_composefs", "composefs"},
    {"storage.options.pull_options.convert_images", "conversion of images at pull"},
};

static bool
truthy(struct span text)
{
	static const char *const no[] = {"", "false", "False", "FALSE", "f", "F", "0"};

	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		if (span_is(text, no[i]))
			return false;
	}
	return true;
}

/* Whether the setting is on: a list or table by its items, which follow by themselves. */
static bool
is_on(const struct toml_row *row)
{
	switch (row->kind) {
	case TOML_TEXT:
		return truthy(span_of(row->text, row->n));
	case TOML_INT:
	case TOML_BOOL:
		return row->number != 0;
	case TOML_OTHER:
		return true;
	case TOML_LIST:
	case TOML_TABLE:
		return false;
	}
	return true;
}

static int
check_unable(struct reading *r, const struct toml_row *row)
{
	for (size_t i = 0; i < ARRAY_LEN(unable); i++) {
		if (strcmp(row->key, unable[i].key) || !is_on(row))
			continue;
		return reading_refuse(r, row->line,
		    "%s: this version cannot work with %s; name another file with "
		    "storage_conf in "
		    "bulkhead.toml, or take the setting out",
		    row->key, unable[i].why);
	}
	return 0;
}

static int
on_path(struct reading *r, const struct toml_row *row, const char *key)
{
	struct span path = span_of(row->text, row->n);
	char shown[200];

	if (row->kind != TOML_TEXT)
		return reading_refuse(r, row->line, "%s is not a string", row->key);
	if (!path.n)
		return 0;
	if (!path_ok(path) || memchr(path.p, '$', path.n))
		return reading_refuse(r, row->line,
		    "%s = \"%s\" is not an absolute path (variables are not expanded)",
		    row->key, span_escape(path, shown, sizeof(shown)));
	return r->sink->row(r->sink->arg, key, path);
}

static int
check_driver(struct reading *r, const struct toml_row *row)
{
	struct span name = span_of(row->text, row->n);
	char shown[80];

	if (row->kind != TOML_TEXT)
		return reading_refuse(r, row->line, "%s is not a string", row->key);
	if (!name.n || span_is(name, "overlay") || span_is(name, "overlay2"))
		return 0;
	return reading_refuse(r, row->line,
	    "%s = \"%s\": only the overlay driver is supported", row->key,
	    span_escape(name, shown, sizeof(shown)));
}

struct state {
	struct reading *r;
	bool priority; /* driver_priority has begun */
};

static int
on_row(void *arg, const struct toml_row *row)
{
	struct state *s = arg;

	if (!strcmp(row->key, "storage.driver"))
		return check_driver(s->r, row);
	if (!strcmp(row->key, "storage.driver_priority") && row->item) {
		/* Only the first one matters: it is the one that other programs try
		 * first. */
		bool first = !s->priority;
		s->priority = true;
		return first ? check_driver(s->r, row) : 0;
	}
	if (!strcmp(row->key, "storage.graphroot"))
		return on_path(s->r, row, "graphroot");
	if (!strcmp(row->key, "storage.runroot"))
		return on_path(s->r, row, "runroot");
	return check_unable(s->r, row);
}

int
storage_read(struct reading *r, struct span bytes)
{
	struct state s = {.r = r};

	return reading_toml(r, bytes, on_row, &s);
}
