/* Which configuration files there are, one after another: what a later one says holds.
 * Last comes the policy, which a verdict room tries. A step answers 0 when a reader is at
 * work and 1 when it is over. */
#include "supervisor/conf_steps.h"

#include "common/base/fd.h"
#include "supervisor/rootfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define CONFIG_FILE "/etc/bulkhead/bulkhead.toml"
#define REGISTRIES_FILE "/etc/containers/registries.conf"

/* Where storage.conf is looked for, the first that exists: containers-storage.conf(5). */
static const char *const storage_files[] = {
    "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"};

/* The main file, then its drop-ins. */
static int
step_own(struct conf_reading *rd)
{
	struct settings *s = rd->settings;
	int r = rd->at == 0 ? config_files_find(&s->files,
				  s->config ? s->config : CONFIG_FILE, &rd->err)
			    : 0;

	if (r < 0)
		return r;
	if (rd->at == s->files.n)
		return 1;
	config_files_path(&s->files, rd->at, rd->path, sizeof(rd->path));
	rd->file = config_files_open(&s->files, rd->at, &rd->err);
	if (rd->file >= 0)
		return reader_start(rd, ROOM_CONF, CONFIG_BULKHEAD);
	if (rd->file != -ENOENT || rd->err.code)
		return rd->file;
	if (rd->at > 0 || s->config)
		return err_set(&rd->err, ERR_USAGE, "%s: no such file", rd->path);
	rd->at++;
	return step_own(rd);
}

/* Another program's file, whoever owns it. Also 2: there is none. */
static int
foreign(struct conf_reading *rd, const char *path, enum config_kind kind)
{
	if (path != rd->path)
		snprintf(rd->path, sizeof(rd->path), "%s", path);
	rd->file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct err why = {0};
	rd->trusted = rd->file >= 0 && rootfile_check(rd->file, path, &why) == 0;
	if (rd->file >= 0 && kind >= CONFIG_REGISTRIES && kind <= CONFIG_ALIASES) {
		int r =
		    reading_keep(rd, REGISTRY_FILE, 0, span_str(rd->path), span_str(""));
		if (r < 0)
			return r;
	}
	if (rd->file >= 0)
		return reader_start(rd, ROOM_CONF, kind);
	return errno == ENOENT ? 2 : err_errno(&rd->err, errno, "cannot open %s", path);
}

static int
step_storage(struct conf_reading *rd)
{
	struct settings *s = rd->settings;
	const char *const one[] = {s->storage};
	const char *const *paths = *s->storage ? one : storage_files;
	size_t n = *s->storage ? 1 : ARRAY_LEN(storage_files);

	if (rd->at > 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		int r = foreign(rd, paths[i], CONFIG_STORAGE);
		if (r == 2)
			continue;
		snprintf(s->storage_used, sizeof(s->storage_used), "%s", paths[i]);
		return r;
	}
	if (*s->storage)
		return err_set(&rd->err, ERR_USAGE, "%s: no such file", s->storage);
	return 1;
}

/* registries.conf, then its drop-ins; one that has gone since they were listed is none.
 */
static int
step_registries(struct conf_reading *rd)
{
	const char *named = rd->settings->registries;
	struct config_files *f = &rd->files;
	int r = rd->at == 0 ? config_files_find_foreign(
				  f, *named ? named : REGISTRIES_FILE, &rd->err)
			    : 0;

	if (r < 0)
		return r;
	for (; rd->at < f->n; rd->at++) {
		config_files_path(f, rd->at, rd->path, sizeof(rd->path));
		r = foreign(
		    rd, rd->path, rd->at ? CONFIG_REGISTRIES_DROPIN : CONFIG_REGISTRIES);
		if (r != 2)
			return r;
		if (rd->at == 0 && *named)
			return err_set(&rd->err, ERR_USAGE, "%s: no such file", named);
	}
	return 1;
}

/* Last, because its aliases come before all others. */
static int
step_aliases(struct conf_reading *rd)
{
	const char *path = rd->settings->aliases;

	if (rd->at > 0 || !*path)
		return 1;
	int r = foreign(rd, path, CONFIG_ALIASES);
	return r == 2 ? 1 : r;
}

static int
step_auth_named(struct conf_reading *rd, const char *path)
{
	if (rd->at > 0)
		return 1;
	int r = foreign(rd, path, CONFIG_AUTH);
	return r == 2 ? err_set(&rd->err, ERR_USAGE, "%s: no such file", path) : r;
}

/* One that is named, or all that are there of those that other programs look for. */
static int
step_auth(struct conf_reading *rd)
{
	const char *path;

	if (*rd->settings->auth)
		return step_auth_named(rd, rd->settings->auth);
	rd->optional = true;
	for (; (path = settings_auth_search(rd->settings, rd->at)); rd->at++) {
		size_t n = strlen(path);
		bool old = n > 10 && strcmp(path + n - 10, ".dockercfg") == 0;
		if (rd->at > 0)
			secrets_file(rd->secrets);
		int r = foreign(rd, path, old ? CONFIG_DOCKERCFG : CONFIG_AUTH);
		if (r != 2)
			return r;
	}
	rd->optional = false;
	return 1;
}

/* A command's own daemon tries none: its one verdict comes at once. */
static int
step_policy(struct conf_reading *rd)
{
	if (rd->at > 0)
		return 1;
	files_open_policy(rd->settings->policy, rd->policy);
	snprintf(rd->path, sizeof(rd->path), "%s", rd->policy->path);
	if (rd->policy->fd < 0 || rd->settings->embedded)
		return 1;
	return reader_start(rd, ROOM_VERDICT, 0);
}

/* What is decided once all files of a step are read. */
static int
step_over(struct conf_reading *rd)
{
	if (rd->step == STEP_OWN)
		settings_override(rd->settings);
	if (rd->step == STEP_STORAGE) {
		settings_finish(rd->settings);
		int r = settings_check(rd->settings, &rd->err);
		if (r < 0)
			return r;
	}
	rd->step++;
	rd->at = 0;
	return 0;
}

int
reading_step(struct conf_reading *rd)
{
	static int (*const steps[])(struct conf_reading * rd) = {[STEP_OWN] = step_own,
	    [STEP_STORAGE] = step_storage,
	    [STEP_REGISTRIES] = step_registries,
	    [STEP_ALIASES] = step_aliases,
	    [STEP_AUTH] = step_auth,
	    [STEP_POLICY] = step_policy};
	int r = 1;

	while (r == 1 && rd->step != STEP_END) {
		r = steps[rd->step](rd);
		if (r == 1) {
			int over = step_over(rd);
			r = over < 0 ? over : 1;
		}
	}
	return r;
}
