#include "supervisor/settings_table.h"

#include <getopt.h>

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
	AUTH_AT,
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
    {"auth-search", required_argument, NULL, AUTH_AT},
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
	case AUTH_AT:
		if (s->n_auth_search == AUTH_SEARCH)
			return err_set(
			    e, ERR_USAGE, "--auth-search: at most %d times", AUTH_SEARCH);
		return parse_path(
		    &s->auth_search[s->n_auth_search++], optarg, LIMIT_PATH - 1, e);
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
