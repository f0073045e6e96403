#include "worker-store/apply/tar_meta.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>

/* Lines of a GNU 1.0 sparse map: a count, then two numbers a region; the rest of the last
 * block may hold data that looks like lines. */
#define MAP_LINES (2 * LIMIT_SPARSE_REGIONS + 1 + TAR_BLOCK)

struct tar_meta {
	struct archive *a;
	struct archive_entry *e;
	tar_payload_fn payload;
	void *arg;
	struct span headers; /* not read yet */
	uint64_t left;	     /* of the padded payload, not read and not skipped */
	uint64_t given;	     /* bytes read or skipped in all */
	uint64_t real_size, region_end;
	uint64_t payload_end; /* position in what was given */
	size_t map_lines;
	bool sparse;
	bool live;    /* the payload has not been passed by the caller: it may be read */
	bool mapping; /* inside tar_meta_next */
	int failed;   /* why payload() failed */
};

static int
disagree(struct err *err, const char *what)
{
	return err_set(err, ERR_CONTENT,
	    "layer refused: two tar readers disagree about an entry's %s", what);
}

static int
archive_failed(struct tar_meta *m, struct err *err)
{
	char text[256];

	if (m->failed)
		return m->failed;
	const char *why = archive_error_string(m->a);
	span_escape(span_str(why ? why : "no reason given"), text, sizeof(text));
	return err_set(err, ERR_CONTENT, "layer refused: libarchive: %s", text);
}

static ssize_t
read_map(struct tar_meta *m, const uint8_t *p, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++)
		m->map_lines += p[i] == '\n';
	if (m->map_lines <= MAP_LINES)
		return n;
	archive_set_error(
	    m->a, EFBIG, "more than %d sparse regions", LIMIT_SPARSE_REGIONS);
	return -1;
}

static la_ssize_t
on_read(struct archive *a, void *arg, const void **out)
{
	struct tar_meta *m = arg;
	const uint8_t *p = m->headers.p;
	ssize_t n = (ssize_t)m->headers.n;

	m->headers = span_of(NULL, 0);
	if (n == 0 && m->left == 0)
		return 0;
	if (n == 0) {
		if (!m->live) {
			archive_set_error(a, EINVAL, "it read a payload");
			return -1;
		}
		size_t max = m->mapping ? TAR_BLOCK : KiB(64);
		n = m->payload(m->arg, max < m->left ? max : (size_t)m->left, &p);
		if (n < 0)
			m->failed = (int)n;
		if (n <= 0)
			return -1;
		m->left -= (uint64_t)n;
		if (m->mapping && read_map(m, p, n) < 0)
			return -1;
	}
	m->given += (uint64_t)n;
	*out = p;
	return n;
}

/* A payload that the caller wrote to disk, or drained, is skipped without being brought
 * here; what libarchive skips inside a live one it has to read. */
static la_int64_t
on_skip(struct archive *a, void *arg, la_int64_t want)
{
	struct tar_meta *m = arg;
	uint64_t n = want < 0 ? 0 : (uint64_t)want;

	if (m->headers.n || m->live)
		return 0;
	if (n > m->left)
		n = m->left;
	m->left -= n;
	m->given += n;
	return (la_int64_t)n;
}

struct tar_meta *
tar_meta_new(tar_payload_fn payload, void *arg)
{
	struct tar_meta *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->payload = payload;
	m->arg = arg;
	m->a = archive_read_new();
	if (!m->a || archive_read_support_format_tar(m->a) != ARCHIVE_OK ||
	    archive_read_set_callback_data(m->a, m) != ARCHIVE_OK ||
	    archive_read_set_read_callback(m->a, on_read) != ARCHIVE_OK ||
	    archive_read_set_skip_callback(m->a, on_skip) != ARCHIVE_OK) {
		tar_meta_free(m);
		return NULL;
	}
	return m;
}

void
tar_meta_free(struct tar_meta *m)
{
	if (!m)
		return;
	if (m->a)
		archive_read_free(m->a);
	free(m);
}

/* Bytes over 0x7f were masked in pax records and left alone in ustar fields. */
static bool
same_text(const char *theirs, const char *ours)
{
	if (!theirs)
		return ours[0] == 0;
	for (; *theirs && *ours; theirs++, ours++) {
		if (*theirs != *ours && !(*theirs == '_' && (uint8_t)*ours >= 0x80))
			return false;
	}
	return *theirs == *ours;
}

static int
compare_type(struct archive_entry *a, const struct tar_entry *e, struct err *err)
{
	static const __LA_MODE_T types[] = {
	    [TAR_FILE] = AE_IFREG,
	    [TAR_DIRECTORY] = AE_IFDIR,
	    [TAR_SYMLINK] = AE_IFLNK,
	    [TAR_CHAR] = AE_IFCHR,
	    [TAR_BLOCKDEV] = AE_IFBLK,
	    [TAR_FIFO] = AE_IFIFO,
	};
	const char *hard = archive_entry_hardlink(a);
	const char *soft = archive_entry_symlink(a);

	if ((hard != NULL) != (e->kind == TAR_HARDLINK) ||
	    (soft != NULL) != (e->kind == TAR_SYMLINK))
		return disagree(err, "kind of link");
	if (!hard && archive_entry_filetype(a) != types[e->kind])
		return disagree(err, "type");
	if (!same_text(hard ? hard : soft, e->link))
		return disagree(err, "link target");
	return 0;
}

static int
compare(struct tar_meta *m, const struct tar_entry *e, struct err *err)
{
	struct archive_entry *a = m->e;
	int64_t size = archive_entry_size(a);
	int64_t mtime = archive_entry_mtime(a);

	int r = compare_type(a, e, err);
	if (r < 0)
		return r;
	if (!same_text(archive_entry_pathname(a), e->name))
		return disagree(err, "name");
	if (archive_entry_uid(a) != (int64_t)e->uid ||
	    archive_entry_gid(a) != (int64_t)e->gid)
		return disagree(err, "owner");
	if ((archive_entry_perm(a) & 07777) != e->mode)
		return disagree(err, "mode");
	if (size < 0 || (!m->sparse && (uint64_t)size != e->size))
		return disagree(err, "size");
	if ((mtime < 0 ? 0 : mtime) != e->mtime)
		return disagree(err, "mtime");
	if ((uint32_t)archive_entry_xattr_reset(a) != e->xattrs)
		return disagree(err, "extended attributes");
	return 0;
}

/* The regions' lengths must add up to the payload behind the map: libarchive would cut a
 * region short, or leave bytes behind the last one, without a word. No region listed:
 * there is none, or just one that is the whole file. */
static bool
regions_fit(struct tar_meta *m, uint64_t stored)
{
	uint64_t sum = 0;
	la_int64_t at, n;
	int regions = archive_entry_sparse_reset(m->e);

	if (regions > LIMIT_SPARSE_REGIONS)
		return false;
	if (regions == 0)
		return stored == 0 || (int64_t)stored == archive_entry_size(m->e);
	while (archive_entry_sparse_next(m->e, &at, &n) == ARCHIVE_OK)
		sum += (uint64_t)n;
	return sum == stored;
}

static struct timespec
clamp_time(int64_t sec, long nsec)
{
	if (sec < 0)
		return (struct timespec){0};
	return (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
}

static void
fill_attrs(struct tar_meta *m, struct tar_attrs *out)
{
	struct archive_entry *a = m->e;

	out->mtime = clamp_time(archive_entry_mtime(a), archive_entry_mtime_nsec(a));
	out->atime = clamp_time(archive_entry_atime(a), archive_entry_atime_nsec(a));
	if (out->atime.tv_sec < out->mtime.tv_sec || out->atime.tv_sec > LIMIT_MTIME)
		out->atime = out->mtime;
	out->real_size = m->real_size = (uint64_t)archive_entry_size(a);
}

int
tar_meta_next(struct tar_meta *m, struct span headers, const struct tar_entry *e,
    struct tar_attrs *out, struct err *err)
{
	/* libarchive skips what is left of the entry before as it goes on to this one:
	 * what our side has passed by itself is offered to that skip, and must be taken
	 * whole. */
	uint64_t at = m->given + m->left + headers.n;
	bool first = at == headers.n;

	m->live = false;
	if (!first && m->left) {
		int r = archive_read_data_skip(m->a);
		if (r != ARCHIVE_OK)
			return archive_failed(m, err);
	}
	if (m->left)
		return disagree(err, "length");
	m->headers = headers;
	m->left = e->size + tar_padding(e->size);
	m->payload_end = at + m->left;
	m->sparse = m->live = e->sparse;
	m->region_end = m->map_lines = 0;
	m->mapping = true;
	if (first && archive_read_open1(m->a) != ARCHIVE_OK)
		return archive_failed(m, err);
	int r = archive_read_next_header(m->a, &m->e);
	m->mapping = false;
	if (r != ARCHIVE_OK)
		return r == ARCHIVE_EOF ? disagree(err, "existence")
					: archive_failed(m, err);
	/* Of a sparse payload, the map has been read: whole blocks. */
	uint64_t here = (uint64_t)archive_filter_bytes(m->a, 0);
	if (m->headers.n || here < at ||
	    (m->sparse ? (here - at) % TAR_BLOCK : here - at))
		return disagree(err, "position");
	if (m->sparse && (here - at > e->size || !regions_fit(m, e->size - (here - at))))
		return disagree(err, "sparse map");
	r = compare(m, e, err);
	if (r < 0)
		return r;
	fill_attrs(m, out);
	return 0;
}

int
tar_meta_xattr(struct tar_meta *m, const char **name, struct span *value)
{
	const void *p;
	size_t n;

	if (archive_entry_xattr_next(m->e, name, &p, &n) != ARCHIVE_OK)
		return 0;
	*value = span_of(p, n);
	return 1;
}

int
tar_meta_region(struct tar_meta *m, struct span *p, uint64_t *at, struct err *err)
{
	const void *buf;
	size_t n;
	la_int64_t off;

	int r = archive_read_data_block(m->a, &buf, &n, &off);
	if (r == ARCHIVE_EOF)
		return (uint64_t)archive_filter_bytes(m->a, 0) == m->payload_end
			   ? 0
			   : disagree(err, "sparse map");
	if (r != ARCHIVE_OK)
		return archive_failed(m, err);
	*p = span_of(buf, n);
	*at = (uint64_t)off;
	if (off < 0 || *at < m->region_end || n > m->real_size || *at > m->real_size - n)
		return err_set(err, ERR_CONTENT,
		    "layer refused: a sparse file with regions out of order or beyond "
		    "its size");
	m->region_end = *at + n;
	return 1;
}

int
tar_meta_end(struct tar_meta *m, struct err *err)
{
	struct archive_entry *e;

	if (m->given == 0 && m->left == 0)
		return 0;
	m->live = false;
	if (m->left && archive_read_data_skip(m->a) != ARCHIVE_OK)
		return archive_failed(m, err);
	if (m->left)
		return disagree(err, "length");
	if (archive_read_next_header(m->a, &e) != ARCHIVE_EOF)
		return disagree(err, "existence");
	return 0;
}
