/* The least that a pull can cost: one process that trusts everything reads layer blobs
 * from files, hashes them, inflates them, hashes again and writes the trees, as root. No
 * network, no other process, no check of anything, nothing synced, no tar-split, no
 * records. bench/pull shows it beside the tools that do all of that.
 *
 *     floor DIR BLOB...    makes DIR/0, DIR/1, ...; prints "blob digest, DiffID" a line
 * each
 */
#include "common/base/compiler.h"
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK 512
#define IN (256 << 10)
#define OUT (1 << 20)

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the tree ---- */

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type,
	    link[100], magic[8], uname[32], gname[32], major[8], minor[8], prefix[155],
	    pad[12];
};

/* One archive, fed in pieces. text: of the extended or long-name header that is being
 * read. */
struct untar {
	int root, dir, file;
	char dir_name[4096];
	union {
		struct header h;
		char raw[BLOCK];
	};
	size_t have;	  /* of the header */
	uint64_t left;	  /* of the entry's data */
	size_t skip;	  /* of its padding */
	char kind, *text; /* kind: of the header whose data is kept; 0 = none */
	size_t n;	  /* of text */
	struct timespec times[2];
	char name[4096], link[4096];
	bool named, linked, timed;
};

static uint64_t
number(const char *p, size_t n)
{
	uint64_t v = 0;

	if ((unsigned char)*p & 0x80) {
		for (size_t i = 1; i < n; i++)
			v = v << 8 | (unsigned char)p[i];
		return v;
	}
	for (size_t i = 0; i < n && p[i]; i++)
		if (p[i] >= '0' && p[i] <= '7')
			v = v * 8 + (unsigned)(p[i] - '0');
	return v;
}

static void
pax_take(struct untar *u)
{
	char *at = u->text, *end = u->text + u->n;

	while (at < end) {
		char *key = strchr(at, ' ') + 1, *value = strchr(key, '=') + 1;
		size_t n = strtoul(at, NULL, 10) - 1;
		at[n] = 0;
		if (strncmp(key, "path=", 5) == 0)
			u->named = snprintf(u->name, sizeof(u->name), "%s", value) > 0;
		else if (strncmp(key, "linkpath=", 9) == 0)
			u->linked = snprintf(u->link, sizeof(u->link), "%s", value) > 0;
		else if (strncmp(key, "mtime=", 6) == 0) {
			char *dot = strchr(value, '.');
			u->times[1].tv_sec = atoll(value);
			u->times[1].tv_nsec = dot ? (long)(atof(dot) * 1e9) : 0;
			u->timed = true;
		}
		at += n + 1;
	}
}

static void
text_end(struct untar *u)
{
	if (u->kind == 'x')
		pax_take(u);
	else if (u->kind == 'L')
		u->named = snprintf(u->name, sizeof(u->name), "%s", u->text) > 0;
	else if (u->kind == 'K')
		u->linked = snprintf(u->link, sizeof(u->link), "%s", u->text) > 0;
	u->kind = 0;
}

static void
make_dirs(int root, char *name)
{
	for (char *at = name; (at = strchr(at + 1, '/'));) {
		*at = 0;
		(void)!mkdirat(root, name, 0755);
		*at = '/';
	}
	(void)!mkdirat(root, name, 0755);
}

/* The directory of an entry stays open for the next one; what is missing of it is made.
 */
static const char *
enter(struct untar *u, char *name)
{
	size_t n = strlen(name);

	while (n && name[n - 1] == '/')
		name[--n] = 0;
	char *slash = strrchr(name, '/');
	if (!slash) {
		*u->dir_name = 0;
		u->dir = u->root;
		return name;
	}
	*slash = 0;
	if (strcmp(name, u->dir_name) == 0)
		return slash + 1;
	if (strlen(name) >= sizeof(u->dir_name))
		die(name);
	if (u->dir != u->root)
		close(u->dir);
	u->dir = openat(u->root, name, O_PATH | O_DIRECTORY);
	if (u->dir < 0) {
		make_dirs(u->root, name);
		u->dir = openat(u->root, name, O_PATH | O_DIRECTORY);
	}
	if (u->dir < 0)
		die(name);
	memcpy(u->dir_name, name, strlen(name) + 1);
	return slash + 1;
}

static void
finish_file(struct untar *u)
{
	if (futimens(u->file, u->times) < 0)
		die("times");
	fd_close(&u->file);
}

static void
make_node(struct untar *u, const char *base, mode_t mode)
{
	const struct header *h = &u->h;
	dev_t dev = makedev((unsigned)number(h->major, 8), (unsigned)number(h->minor, 8));
	int r = 0;

	if (h->type == '5')
		r = mkdirat(u->dir, base, mode) < 0 && errno == EEXIST
			? fchmodat(u->dir, base, mode, 0)
			: 0;
	else if (h->type == '2')
		r = symlinkat(u->link, u->dir, base);
	else if (h->type == '1')
		r = linkat(u->root, u->link, u->dir, base, 0);
	else
		r = mknodat(u->dir, base,
		    mode | (h->type == '3'	? S_IFCHR
			       : h->type == '4' ? S_IFBLK
						: S_IFIFO),
		    dev);
	if (r < 0)
		die(base);
	uid_t uid = (uid_t)number(h->uid, 8);
	gid_t gid = (gid_t)number(h->gid, 8);
	if (h->type == '1')
		return;
	if ((uid || gid) && fchownat(u->dir, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		die(base);
	if (utimensat(u->dir, base, u->times, AT_SYMLINK_NOFOLLOW) < 0)
		die(base);
}

static void
begin_file(struct untar *u, const char *base, mode_t mode)
{
	uid_t uid = (uid_t)number(u->h.uid, 8);
	gid_t gid = (gid_t)number(u->h.gid, 8);

	u->file = openat(u->dir, base, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (u->file < 0)
		die(base);
	if ((uid || gid) && fchown(u->file, uid, gid) < 0)
		die(base);
	if ((mode & 06000) && fchmod(u->file, mode) < 0)
		die(base);
	if (!u->left)
		finish_file(u);
}

static void
entry_begin(struct untar *u)
{
	const struct header *h = &u->h;
	mode_t mode = (mode_t)number(h->mode, 8) & 07777;

	if (!*h->name && !u->named)
		return; /* the end */
	u->left = number(h->size, 12);
	u->skip = (size_t)(-u->left & (BLOCK - 1));
	if (h->type == 'x' || h->type == 'L' || h->type == 'K' || h->type == 'g') {
		u->kind = h->type;
		u->n = 0;
		u->text = realloc(u->text, u->left + 1);
		if (!u->text)
			die("memory");
		return;
	}
	if (!u->named && *h->prefix && memcmp(h->magic, "ustar", 6) == 0)
		snprintf(u->name, sizeof(u->name), "%.155s/%.100s", h->prefix, h->name);
	else if (!u->named)
		snprintf(u->name, sizeof(u->name), "%.100s", h->name);
	if (!u->linked)
		snprintf(u->link, sizeof(u->link), "%.100s", h->link);
	if (!u->timed)
		u->times[1] = (struct timespec){.tv_sec = (time_t)number(h->mtime, 12)};
	u->times[0] = u->times[1];
	const char *base = enter(u, u->name);
	if (h->type == '0' || h->type == 0 || h->type == '7')
		begin_file(u, base, mode);
	else if (*base && strcmp(base, ".") != 0)
		make_node(u, base, mode);
	u->named = u->linked = u->timed = false;
}

static size_t
entry_data(struct untar *u, const char *p, size_t n)
{
	size_t take = n < u->left ? n : (size_t)u->left;

	if (u->kind) {
		memcpy(u->text + u->n, p, take);
		u->n += take;
		u->text[u->n] = 0;
	} else if (u->file >= 0 && fd_write_all(u->file, p, take) < 0) {
		die("write");
	}
	u->left -= take;
	if (!u->left && u->kind)
		text_end(u);
	else if (!u->left && u->file >= 0)
		finish_file(u);
	return take;
}

static void
untar_feed(struct untar *u, const char *p, size_t n)
{
	while (n) {
		size_t take;
		if (u->left) {
			take = entry_data(u, p, n);
		} else if (u->skip) {
			take = n < u->skip ? n : u->skip;
			u->skip -= take;
		} else {
			take = n < BLOCK - u->have ? n : BLOCK - u->have;
			memcpy(u->raw + u->have, p, take);
			u->have += take;
			if (u->have == BLOCK) {
				u->have = 0;
				entry_begin(u);
			}
		}
		p += take;
		n -= take;
	}
}

/* ---- the bytes ---- */

struct pass {
	EVP_MD_CTX *blob, *diff;
	struct untar u;
	char *in, *out;
	enum { UNKNOWN, PLAIN, GZIP, ZSTD } form;
	struct inflate_state gzip;
	ZSTD_DCtx *zstd;
};

static void
give(struct pass *s, const void *p, size_t n)
{
	EVP_DigestUpdate(s->diff, p, n);
	untar_feed(&s->u, p, n);
}

static void
gunzip(struct pass *s, size_t n)
{
	s->gzip.next_in = (uint8_t *)s->in;
	s->gzip.avail_in = (uint32_t)n;
	do {
		if (s->gzip.block_state == ISAL_BLOCK_FINISH && s->gzip.avail_in) {
			isal_inflate_reset(&s->gzip);
			s->gzip.crc_flag = ISAL_GZIP;
		}
		s->gzip.next_out = (uint8_t *)s->out;
		s->gzip.avail_out = OUT;
		if (isal_inflate(&s->gzip) != ISAL_DECOMP_OK)
			die("inflate");
		give(s, s->out, OUT - s->gzip.avail_out);
	} while (!s->gzip.avail_out || s->gzip.avail_in);
}

static void
unzstd(struct pass *s, size_t n)
{
	ZSTD_inBuffer in = {s->in, n, 0};
	ZSTD_outBuffer out;

	do {
		out = (ZSTD_outBuffer){s->out, OUT, 0};
		if (ZSTD_isError(ZSTD_decompressStream(s->zstd, &out, &in)))
			die("zstd");
		give(s, s->out, out.pos);
	} while (in.pos < in.size || out.pos == out.size);
}

static void
begin_form(struct pass *s, const char *p)
{
	s->form = memcmp(p, "\x1f\x8b", 2) == 0		  ? GZIP
		  : memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 ? ZSTD
							  : PLAIN;
	isal_inflate_init(&s->gzip);
	s->gzip.crc_flag = ISAL_GZIP;
	if (!s->zstd)
		s->zstd = ZSTD_createDCtx();
	ZSTD_DCtx_reset(s->zstd, ZSTD_reset_session_only);
}

static void
print_digest(EVP_MD_CTX *ctx, const char *end)
{
	uint8_t hash[32];

	EVP_DigestFinal_ex(ctx, hash, NULL);
	for (size_t i = 0; i < sizeof(hash); i++)
		printf("%02x", hash[i]);
	fputs(end, stdout);
}

static void
layer(struct pass *s, int at, int number, const char *path)
{
	char name[16];
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);

	snprintf(name, sizeof(name), "%d", number);
	if (fd < 0 || mkdirat(at, name, 0755) < 0)
		die(path);
	FD_AUTO root = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->u = (struct untar){.root = root, .dir = root, .file = -1};
	EVP_DigestInit_ex(s->blob, EVP_sha256(), NULL);
	EVP_DigestInit_ex(s->diff, EVP_sha256(), NULL);
	s->form = UNKNOWN;
	for (ssize_t n; (n = read(fd, s->in, IN)) > 0;) {
		EVP_DigestUpdate(s->blob, s->in, (size_t)n);
		if (s->form == UNKNOWN)
			begin_form(s, s->in);
		if (s->form == GZIP)
			gunzip(s, (size_t)n);
		else if (s->form == ZSTD)
			unzstd(s, (size_t)n);
		else
			give(s, s->in, (size_t)n);
	}
	if (s->u.dir != root)
		close(s->u.dir);
	free(s->u.text);
	print_digest(s->blob, " ");
	print_digest(s->diff, "\n");
}

int
main(int argc, char **argv)
{
	static struct pass s;

	if (argc < 3) {
		fputs("usage: floor DIR BLOB...\n", stderr);
		return 64;
	}
	umask(0);
	FD_AUTO at = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s.blob = EVP_MD_CTX_new();
	s.diff = EVP_MD_CTX_new();
	s.in = malloc(IN);
	s.out = malloc(OUT);
	if (at < 0 || !s.blob || !s.diff || !s.in || !s.out)
		die(argv[1]);
	for (int i = 2; i < argc; i++)
		layer(&s, at, i - 2, argv[i]);
	return fflush(stdout) ? 1 : 0;
}
