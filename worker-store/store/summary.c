#include "worker-store/store/summary.h"

#include "common/base/pairs.h"
#include "worker-store/store/dir.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DIR_NAME "summaries"
#define VERSION 1
#define HEAD (8 + 2 * DIGEST_BYTES + 8)
#define CROWD 1024 /* files that may lie there without anybody asking whose they are */

static const uint8_t magic[8] = {'B', 'H', 'S', 'U', 'M', 'M', VERSION, 0};

/* ---- bytes ---- */

static uint32_t
get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void
put_u32(uint8_t *p, size_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

bool
summary_user(struct summary *x, struct span user)
{
	for (size_t i = 0; i < user.n; i++)
		if (user.p[i] < 0x20 || user.p[i] == 0x7f)
			return false;
	return span_is_text(user) && span_to_str(user, x->user, sizeof(x->user));
}

bool
summary_annotations(struct summary *x, struct span pairs)
{
	if (pairs.n > sizeof(x->annotations) || !pairs_check(pairs))
		return false;
	if (pairs.n)
		memcpy(x->annotations, pairs.p, pairs.n);
	x->n_annotations = pairs.n;
	return true;
}

bool
summary_parse(struct span bytes, struct summary *out)
{
	uint8_t hash[DIGEST_BYTES];

	if (bytes.n < HEAD + sizeof(hash) || bytes.n > SUMMARY_MAX ||
	    memcmp(bytes.p, magic, sizeof(magic)) != 0)
		return false;
	size_t body = bytes.n - sizeof(hash);
	size_t user = get_u32(bytes.p + HEAD - 8), notes = get_u32(bytes.p + HEAD - 4);
	if (user > LIMIT_CONFIG_TEXT || notes > LIMIT_ANNOTATIONS ||
	    HEAD + user + notes != body)
		return false;
	if (sha256(span_of(bytes.p, body), hash) < 0 ||
	    memcmp(hash, bytes.p + body, sizeof(hash)) != 0)
		return false;
	memcpy(out->config, bytes.p + 8, DIGEST_BYTES);
	memcpy(out->manifest, bytes.p + 8 + DIGEST_BYTES, DIGEST_BYTES);
	return summary_user(out, span_of(bytes.p + HEAD, user)) &&
	       summary_annotations(out, span_of(bytes.p + HEAD + user, notes));
}

size_t
summary_print(const struct summary *x, uint8_t out[SUMMARY_MAX])
{
	size_t user = strlen(x->user), n = HEAD + user + x->n_annotations;

	memcpy(out, magic, sizeof(magic));
	memcpy(out + 8, x->config, DIGEST_BYTES);
	memcpy(out + 8 + DIGEST_BYTES, x->manifest, DIGEST_BYTES);
	put_u32(out + HEAD - 8, user);
	put_u32(out + HEAD - 4, x->n_annotations);
	memcpy(out + HEAD, x->user, user);
	memcpy(out + HEAD + user, x->annotations, x->n_annotations);
	if (sha256(span_of(out, n), out + n) < 0)
		memset(out + n, 0, DIGEST_BYTES); /* reads as none */
	return n + DIGEST_BYTES;
}

/* ---- files ---- */

static bool
summary_path(struct span id, char path[sizeof(DIR_NAME) + ID_HEX + 1])
{
	memcpy(path, DIR_NAME "/", sizeof(DIR_NAME));
	return id_is(id) && span_to_str(id, path + sizeof(DIR_NAME), ID_HEX + 1);
}

/* Whether the record still is of that config and that manifest. */
static bool
summary_fits(const struct summary *x, const struct record *image)
{
	uint8_t manifest[DIGEST_BYTES];
	char config[DIGEST_TEXT + 1];

	digest_print(x->config, config);
	return image_manifest_digest(image, manifest) &&
	       memcmp(manifest, x->manifest, sizeof(manifest)) == 0 &&
	       names_have(image->keys, span_str(config));
}

int
summary_load(const struct store *s, const struct record *image, struct summary *out)
{
	char path[sizeof(DIR_NAME) + ID_HEX + 1];
	uint8_t bytes[SUMMARY_MAX + 1];

	if (!summary_path(image->id, path))
		return 1;
	FD_AUTO fd = openat(s->own, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 1;
	ssize_t n = fd_read_full(fd, bytes, sizeof(bytes));
	if (n < 0)
		return 1;
	return summary_parse(span_of(bytes, (size_t)n), out) && summary_fits(out, image)
		   ? 0
		   : 1;
}

static bool
summary_is(const struct store *s, const char *path, struct span bytes)
{
	uint8_t there[SUMMARY_MAX + 1];
	FD_AUTO fd = openat(s->own, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, there, sizeof(there));

	return n >= 0 && span_eq(span_of(there, (size_t)n), bytes);
}

/* Whole under its name, or not there: written in the staging of this process. */
int
summary_write(struct store *s, const char *id, const struct summary *x, struct err *e)
{
	uint8_t bytes[SUMMARY_MAX];
	char path[sizeof(DIR_NAME) + ID_HEX + 1], tmp[24];
	size_t n = summary_print(x, bytes);

	if (!summary_path(span_str(id), path))
		return err_set(e, ERR_INTERNAL, "an image's ID is odd");
	if (summary_is(s, path, span_of(bytes, n)))
		return 0;
	snprintf(tmp, sizeof(tmp), "summary%u", s->serial++);
	FD_AUTO dir = dir_make(s->own, DIR_NAME, 0700);
	if (dir < 0)
		return err_errno(e, -dir, "cannot make bulkhead/" DIR_NAME);
	FD_AUTO fd = openat(
	    s->staging, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, errno, "cannot write an image's summary");
	int r = fd_write_all(fd, bytes, n);
	FAILPOINT(SUMMARY_WRITTEN);
	if (r == 0 && renameat(s->staging, tmp, s->own, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(s->staging, tmp, 0);
		return err_errno(e, -r, "cannot write an image's summary");
	}
	FAILPOINT(SUMMARY_MOVED);
	return 0;
}

int
summary_remove(const struct store *s, const char *id)
{
	char path[sizeof(DIR_NAME) + ID_HEX + 1];

	if (!summary_path(span_str(id), path) || unlinkat(s->own, path, 0) == 0 ||
	    errno == ENOENT)
		return 0;
	return -errno;
}

void
summary_sweep(const struct store *s, struct view *v)
{
	CLEANUP(dir_list_end) DIR *d = dir_list(s->own, DIR_NAME);

	for (struct dirent *de; d && (de = readdir(d));) {
		struct span name = span_str(de->d_name);
		if (span_is(name, ".") || span_is(name, "..") ||
		    (id_is(name) && table_find(&v->images, name)))
			continue;
		if (unlinkat(dirfd(d), de->d_name, 0) < 0)
			continue; /* a directory: nobody's, and nobody's concern */
	}
}

bool
summary_crowded(const struct store *s)
{
	CLEANUP(dir_list_end) DIR *d = dir_list(s->own, DIR_NAME);
	unsigned n = 0;

	while (d && n <= CROWD + 2 && readdir(d))
		n++;
	return n > CROWD + 2;
}
