/* Forms of values in bulkhead.toml. Its keys stand in keys.def. */
#ifndef BULKHEAD_CONFIG_KEYS_H
#define BULKHEAD_CONFIG_KEYS_H

#include "common/base/limits.h"
#include "common/base/span.h"

enum setting_form {
	SETTING_PATH,	    /* absolute */
	SETTING_SOCKET,	    /* the same; in files also unix:///PATH */
	SETTING_NUMBER,	    /* decimal */
	SETTING_SECONDS,    /* decimal; in files also a text such as "1h30m" */
	SETTING_LEVEL,	    /* one of setting_levels */
	SETTING_FORMAT,	    /* one of setting_formats */
	SETTING_DURABILITY, /* one of setting_durabilities */
	SETTING_FALLBACK,   /* one of setting_fallbacks */
	SETTING_PATTERN,    /* of image names */
	SETTING_PROXY,	    /* "http://host[:port]", or "environment" */
	SETTING_PATTERNS,   /* this and the next: lists */
	SETTING_PROXIES,    /* "host[:port]=" or "*.domain=", then a proxy or "direct" */
	SETTING_DIRECT,	    /* who is reached without a proxy */
	SETTING_VARIABLES,  /* names of environment variables */
	SETTING_HOSTS,
	SETTING_NAMES,
};

#define SETTING_LISTS(form) ((form) >= SETTING_PATTERNS)

/* Their order is that of enum log_format, enum durability and enum fallback; levels are
 * syslog's. */
#define SETTING_WORD_LEVELS "error", "warning", "info", "debug"
#define SETTING_WORD_FORMATS "text", "json"
#define SETTING_WORD_DURABILITIES "full", "none"
#define SETTING_WORD_FALLBACKS "always", "on-not-found", "never"

/* "unix:///run/x.sock" and "/run/x.sock" alike: the path. */
static inline struct span
setting_socket_path(struct span text)
{
	return span_starts(text, "unix:///") ? span_from(text, strlen("unix://")) : text;
}

#endif
