#include "supervisor/config/config.h"

#include "common/base/limits.h"
#include "supervisor/config/read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int
reading_refuse(struct reading *r, unsigned line, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line)
		return err_set(r->e, ERR_USAGE, "%s:%u: %s", r->name, line, text);
	return err_set(r->e, ERR_USAGE, "%s: %s", r->name, text);
}

/* The parser's words may hold a piece of the file, cut anywhere. Its backslashes are its
 * own. */
static char *
printable(char *text)
{
	for (char *c = text; *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
	return text;
}

int
reading_toml(struct reading *r, struct span bytes, toml_row_fn row, void *arg)
{
	struct toml_refusal why;

	int ret = toml_scan((const char *)bytes.p, bytes.n, &why);
	if (!ret)
		ret = toml_read((const char *)bytes.p, bytes.n, row, arg, &why);
	if (ret == -EINVAL && why.why[0])
		return reading_refuse(
		    r, why.line, "no TOML as it should be: %s", printable(why.why));
	return ret;
}

bool
path_ok(struct span path)
{
	if (!path.n || path.p[0] != '/' || path.n >= LIMIT_PATH || !span_is_text(path))
		return false;
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] < 0x20 || path.p[i] == 0x7f)
			return false;
	}
	return true;
}

int
config_read(enum config_kind kind, struct span bytes, const char *name,
    const struct config_sink *sink, struct err *e)
{
	char shown[200];
	struct reading r = {.name = span_escape(span_str(name), shown, sizeof(shown)),
	    .sink = sink,
	    .e = e};

	if (bytes.n > LIMIT_CONFIG_FILE)
		return reading_refuse(&r, 0, "%zu bytes, over the limit of %llu", bytes.n,
		    (unsigned long long)LIMIT_CONFIG_FILE);
	switch (kind) {
	case CONFIG_BULKHEAD:
		return bulkhead_read(&r, bytes);
	case CONFIG_STORAGE:
		return storage_read(&r, bytes);
	case CONFIG_AUTH:
		return auth_read(&r, bytes);
	case CONFIG_REGISTRIES:
	case CONFIG_REGISTRIES_DROPIN:
	case CONFIG_ALIASES:
		return registries_read(&r, kind, bytes);
	case CONFIG_DOCKERCFG:
		return dockercfg_read(&r, bytes);
	case CONFIG_HELPER:
		return helper_read(&r, bytes);
	case CONFIG_HELPER_ERROR:
		return helper_error_read(&r, bytes);
	}
	return reading_refuse(&r, 0, "a file of no known kind");
}
