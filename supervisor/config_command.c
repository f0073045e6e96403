#include "supervisor/config_command.h"

#include "policy/sandbox/features.h"
#include "policy/sandbox/spawn.h"
#include "supervisor/files.h"
#include "supervisor/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGV_MAX 32
#define UNNOTICED "who answers in place of these registries is not noticed"
#define TEXT_MAX 131072 /* a whole list with all of its bytes escaped */

enum what { NONE, DEFAULT, TABLE, EFFECTIVE, VALIDATE };

struct command {
	enum what what;
	char *argv[ARGV_MAX];
	int argc;
	struct settings settings;
	struct registry_rows registries;
	struct secrets secrets;
	struct policy_file policy;
	struct sandbox_host host;
	char file[LIMIT_PATH + 1];
};

static int
fail(const struct err *e)
{
	char text[sizeof(e->text)];

	fprintf(
	    stderr, "bulkhead: %s\n", span_escape(span_str(e->text), text, sizeof(text)));
	return e->code ? (int)e->code : ERR_INTERNAL;
}

static int
usage(struct err *e)
{
	return err_set(e, ERR_USAGE,
	    "usage: bulkheadd config [OPTION...] --default | --effective | --validate "
	    "[FILE]");
}

/* The file to validate may be named from where one stands. */
static int
take_file(struct command *c, const char *name, struct err *e)
{
	char here[LIMIT_PATH + 1] = "";

	if (*name != '/' && !getcwd(here, sizeof(here)))
		return err_errno(e, errno, "finding the working directory");
	int n =
	    snprintf(c->file, sizeof(c->file), "%s%s%s", here, *here ? "/" : "", name);
	if (n < 0 || (size_t)n > LIMIT_PATH - 64)
		return err_set(e, ERR_USAGE, "the path is too long: %s", name);
	return 0;
}

static enum what
what_of(const char *word)
{
	static const char *const words[] = {[DEFAULT] = "--default",
	    [TABLE] = "--table",
	    [EFFECTIVE] = "--effective",
	    [VALIDATE] = "--validate"};

	for (size_t i = DEFAULT; i < ARRAY_LEN(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return (enum what)i;
	}
	return NONE;
}

/* Our own words are taken out; the rest are bulkheadd's options. */
static int
parse(struct command *c, int argc, char **argv, struct err *e)
{
	if (argc > ARGV_MAX - 1)
		return usage(e);
	c->argv[c->argc++] = argv[0];
	for (int i = 1; i < argc; i++) {
		enum what what = what_of(argv[i]);
		if (what == NONE) {
			c->argv[c->argc++] = argv[i];
			continue;
		}
		if (c->what != NONE)
			return usage(e);
		c->what = what;
		if (what != VALIDATE || i + 1 == argc || argv[i + 1][0] == '-')
			continue;
		int r = take_file(c, argv[++i], e);
		if (r < 0)
			return r;
	}
	if (c->what == NONE)
		return usage(e);
	return settings_parse(&c->settings, c->argc, c->argv, e);
}

static int
read_files(struct command *c, config_host_fn host, struct err *e)
{
	if (geteuid() != 0)
		return err_set(e, ERR_USAGE,
		    "needs root: each configuration file is read by a room of its own, "
		    "with "
		    "a user of its own");
	int r = host(&c->host, e);
	if (r < 0)
		return r;
	struct configured all = {&c->settings, &c->registries, &c->secrets, &c->policy};
	r = settings_read(&all, &c->host, e);
	registry_rows_release(&c->registries);
	secrets_release(&c->secrets);
	sandbox_host_release(&c->host);
	return r;
}

static int
print_effective(const struct settings *s, struct err *e)
{
	char *value = malloc(TEXT_MAX);
	char source[LIMIT_PATH + LIMIT_COMPONENT + 2], shown[4 * LIMIT_PATH];

	if (!value)
		return err_errno(e, ENOMEM, "printing the configuration");
	puts("# What a start of bulkheadd would use now, and where it comes from.");
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		enum setting_id key = (enum setting_id)i;
		settings_source(s, key, source, sizeof(source));
		printf("%s = %s  # %s\n", setting_info(key)->key,
		    settings_text(s, key, value, TEXT_MAX),
		    span_escape(span_str(source), shown, sizeof(shown)));
	}
	free(value);
	if (fflush(stdout) != 0)
		return err_errno(e, errno, "printing the configuration");
	return 0;
}

/* ---- what is valid and still worth a word ---- */

static void
warn(const struct settings *s, enum setting_id key, const char *text)
{
	char source[LIMIT_PATH + LIMIT_COMPONENT + 2], shown[600];

	settings_source(s, key, source, sizeof(source));
	fprintf(stderr, "bulkhead: warning: %s: %s: %s\n",
	    span_escape(span_str(source), shown, sizeof(shown)), setting_info(key)->key,
	    text);
}

static void
warn_files(const struct settings *s)
{
	struct stat st;

	if (stat(s->policy, &st) < 0)
		warn(s, KEY_policy,
		    "the file cannot be found: until there is one, every pull is "
		    "refused");
	if (*s->auth && stat(s->auth, &st) == 0 && (st.st_mode & 077))
		warn(s, KEY_authfile,
		    "the file can be read by others than its owner: chmod 600");
	if (*s->certs && (stat(s->certs, &st) < 0 || !S_ISDIR(st.st_mode)))
		warn(s, KEY_cert_dir, "there is no such directory");
}

static void
warn_all(const struct settings *s)
{
	char names[128], text[256];

	if (s->allow_degraded) {
		snprintf(text, sizeof(text), "isolation may be less than it could be: %s",
		    features_degraded_text(s->allow_degraded, names, sizeof(names)));
		warn(s, KEY_allow_degraded, text);
	}
	if (*s->insecure)
		warn(s, KEY_insecure_registries, UNNOTICED);
	if (*s->plain_http)
		warn(s, KEY_plain_http_registries, UNNOTICED);
	if (*s->unverified_tls)
		warn(s, KEY_unverified_tls_registries, UNNOTICED);
	if (s->max_pulls_namespace > s->max_pulls)
		warn(s, KEY_max_parallel_pulls_per_namespace,
		    "more than max_parallel_pulls: has no effect");
	if (s->max_layers_pull > s->max_layers &&
	    s->from[KEY_max_parallel_layers_per_pull] != SOURCE_DEFAULT)
		warn(s, KEY_max_parallel_layers_per_pull,
		    "more than max_parallel_layers: has no effect");
	if (s->durability == DURABILITY_NONE)
		warn(s, KEY_durability, "a power loss may damage the store");
	if (s->max_layer > s->max_image)
		warn(s, KEY_max_layer_bytes, "more than max_image_bytes: has no effect");
	if (strstr(s->pinned, "*\n") == s->pinned || strstr(s->pinned, "\n*\n"))
		warn(s, KEY_pinned_images,
		    "\"*\" pins every image: kubelet can free no space");
	warn_files(s);
}

/* A policy that is there and cannot be used would refuse a reload. */
static int
validate(const struct settings *s, const struct policy_file *policy, struct err *e)
{
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2], shown[600];

	warn_all(s);
	if (policy->problem.code && access(policy->path, F_OK) == 0)
		return err_set(e, policy->problem.code, "%s", policy->problem.text);
	printf("valid: %s",
	    span_escape(span_str(config_files_path(&s->files, 0, path, sizeof(path))),
		shown, sizeof(shown)));
	if (s->files.n > 1)
		printf(" and %u of %s", s->files.n - 1,
		    span_escape(span_str(s->files.dir), shown, sizeof(shown)));
	putchar('\n');
	return 0;
}

int
config_command(int argc, char **argv, config_host_fn host)
{
	static struct command c;
	struct err e = {0};

	if (parse(&c, argc, argv, &e) < 0)
		return fail(&e);
	if (c.what == DEFAULT || c.what == TABLE) {
		(c.what == DEFAULT ? config_print_default : config_print_table)(stdout);
		return fflush(stdout) == 0 ? ERR_OK : ERR_INTERNAL;
	}
	if (*c.file)
		c.settings.config = c.file;
	if (read_files(&c, host, &e) < 0)
		return fail(&e);
	int r = c.what == EFFECTIVE ? print_effective(&c.settings, &e)
				    : validate(&c.settings, &c.policy, &e);
	return r < 0 ? fail(&e) : ERR_OK;
}
