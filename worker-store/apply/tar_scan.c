#include "worker-store/apply/tar_pax.h"

/* struct posix_header, POSIX.1-1988 ustar and GNU tar's tar.h: offset and length of a
 * field. */
#define F_NAME 0, 100
#define F_MODE 100, 8
#define F_UID 108, 8
#define F_GID 116, 8
#define F_SIZE 124, 12
#define F_MTIME 136, 12
#define F_SUM 148, 8
#define F_LINK 157, 100
#define F_MAJOR 329, 8
#define F_MINOR 337, 8
#define F_PREFIX 345, 155
#define F_GNU_ATIME 345, 12
#define F_GNU_CTIME 357, 12
#define AT_GNU_SPARSE 386
#define GNU_SPARSE_BYTES 109 /* map, whether it goes on, real size */
#define AT_TYPE 156
#define AT_MAGIC 257
#define AT_STAR 508

#define SPARSE_BITS (PAX_BIT(PAX_XATTR) - PAX_BIT(PAX_SPARSE_MAJOR))

enum tar_format { FORMAT_V7, FORMAT_USTAR, FORMAT_GNU };

/* Base-256, a GNU extension: 0x80 or 0xff, then a big-endian two's complement number. */
static bool
field_binary(const uint8_t *p, size_t n, int64_t *out)
{
	uint8_t fill = p[0] == 0xff ? 0xff : 0;
	uint64_t v = fill ? UINT64_MAX : 0;

	if (p[0] != 0xff && p[0] != 0x80)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (i + 8 < n && p[i] != fill)
			return false;
		v = v << 8 | p[i];
	}
	*out = (int64_t)v;
	return (*out < 0) == (fill != 0);
}

/* Octal digits, spaces before, spaces and NULs after; an empty field is 0. */
static bool
field_number(const uint8_t *block, size_t at, size_t n, int64_t *out)
{
	const uint8_t *p = block + at;
	size_t i = 0;

	if (p[0] & 0x80)
		return field_binary(p, n, out);
	for (*out = 0; i < n && p[i] == ' ';)
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		*out = *out << 3 | (p[i] - '0');
	for (; i < n; i++) {
		if (p[i] != ' ' && p[i] != 0)
			return false;
	}
	return true;
}

static struct span
field_text(const uint8_t *block, size_t at, size_t n)
{
	return span_of(block + at, strnlen((const char *)block + at, n));
}

/* Old writers summed signed bytes; both sums are accepted, as all readers do. */
static bool
sum_matches(const uint8_t *block)
{
	int64_t want;
	int plain = 8 * ' ', high = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		plain += block[i];
		high += block[i] >> 7;
	}
	for (size_t i = 148; i < 156; i++) { /* its own field counts as spaces */
		plain -= block[i];
		high -= block[i] >> 7;
	}
	return field_number(block, F_SUM, &want) &&
	       (want == plain || want == plain - 256 * high);
}

static int
format_of(const uint8_t *block, struct err *err)
{
	const uint8_t *magic = block + AT_MAGIC;

	if (memcmp(magic, "ustar  ", 8) == 0)
		return FORMAT_GNU;
	if (memcmp(magic, "ustar", 6) == 0) {
		if (memcmp(block + AT_STAR, "tar", 4) == 0)
			return bad(err, "a header of the old star format");
		return FORMAT_USTAR;
	}
	if (memcmp(magic, "ustar", 5) == 0)
		return bad(err, "a header with an unknown magic");
	return FORMAT_V7;
}

static int
ext_begin(struct tar_scan *t, uint8_t type, int64_t size, struct err *err)
{
	bool pending = t->pax || t->long_name || t->long_link;
	bool text = type == 'L' || type == 'K';

	if (type != 'g' && !pending)
		memset(&t->entry, 0, sizeof(t->entry));
	if ((type == 'g' || type == 'x') && pending)
		return bad(err, "two extended headers in a row");
	if (text && (t->pax || (type == 'L' ? t->long_name : t->long_link)))
		return bad(err, "two extended headers that name one entry");
	if (size <= 0 || size > (int64_t)(text ? LIMIT_PATH + 1 : LIMIT_PAX_HEADER))
		return bad(err, "an extended header that is empty or too large");
	t->ext = (char)type;
	t->body = (uint64_t)size;
	return TAR_BODY;
}

int
tar_scan_body(struct tar_scan *t, uint8_t *body, struct err *err)
{
	struct span text = span_of(body, t->body - 1);
	int r;

	switch (t->ext) {
	case 'g':
		r = tar_pax_parse(t, body, true, err);
		return r < 0 ? r : TAR_GLOBAL;
	case 'x':
		t->pax = true;
		t->seen = t->xattr_n = 0;
		t->xattr_bytes = 0;
		t->sparse_pairs[0] = t->sparse_pairs[1] = 0;
		t->sparse_major = t->sparse_minor = 0;
		r = tar_pax_parse(t, body, false, err);
		return r < 0 ? r : TAR_MORE;
	case 'L':
		t->long_name = true;
		if (body[t->body - 1] || !put_text(text, t->entry.name, &t->entry.name_n))
			return bad(err, "a GNU long name without its one NUL at the end");
		return TAR_MORE;
	default:
		t->long_link = true;
		if (body[t->body - 1] || !put_text(text, t->entry.link, &t->entry.link_n))
			return bad(err, "a GNU long link without its one NUL at the end");
		return TAR_MORE;
	}
}

/* A number that both headers give: pax decides, but may only differ where ustar's field
 * is too small for it. Readers that disagree here see other entries (tar
 * desynchronisation). */
static bool
merge_number(
    const struct tar_scan *t, enum pax_key k, int64_t pax, int64_t fits, int64_t *field)
{
	if (!t->pax || !(t->seen & PAX_BIT(k)))
		return true;
	if (pax != *field && pax < fits)
		return false;
	*field = pax;
	return true;
}

struct numbers {
	int64_t mode, uid, gid, size, mtime, major, minor;
};

static bool
numbers_read(const uint8_t *b, int format, struct numbers *n)
{
	int64_t ignored;

	*n = (struct numbers){0};
	if (!field_number(b, F_MODE, &n->mode) || !field_number(b, F_UID, &n->uid) ||
	    !field_number(b, F_GID, &n->gid) || !field_number(b, F_SIZE, &n->size) ||
	    !field_number(b, F_MTIME, &n->mtime))
		return false;
	/* V7 has no such fields; what looks like neither is no tar to some readers. */
	if (!field_number(b, F_MAJOR, format == FORMAT_V7 ? &ignored : &n->major) ||
	    !field_number(b, F_MINOR, format == FORMAT_V7 ? &ignored : &n->minor))
		return false;
	if (format == FORMAT_GNU && (!field_number(b, F_GNU_ATIME, &ignored) ||
					!field_number(b, F_GNU_CTIME, &ignored)))
		return false;
	return n->mode >= 0 && n->uid >= 0 && n->gid >= 0 && n->size >= 0 &&
	       n->major >= 0 && n->minor >= 0;
}

static int
entry_names(struct tar_scan *t, const uint8_t *b, int format, struct err *err)
{
	struct tar_entry *e = &t->entry;
	struct span prefix = field_text(b, F_PREFIX), name = field_text(b, F_NAME);
	struct span link = field_text(b, F_LINK);
	bool named =
	    t->long_name ||
	    (t->pax && (t->seen & (PAX_BIT(PAX_PATH) | PAX_BIT(PAX_SPARSE_NAME))));
	bool linked = t->long_link || (t->pax && (t->seen & PAX_BIT(PAX_LINKPATH)));
	bool is_link = e->kind == TAR_SYMLINK || e->kind == TAR_HARDLINK;

	if (!named) {
		size_t at = 0;
		if (format == FORMAT_USTAR && prefix.n) {
			if (prefix.p[prefix.n - 1] == '/')
				return bad(
				    err, "a name's first half with a slash at its end");
			memcpy(e->name, prefix.p, prefix.n);
			e->name[prefix.n] = '/';
			at = prefix.n + 1;
		}
		memcpy(e->name + at, name.p, name.n);
		e->name_n = at + name.n;
		e->name[e->name_n] = 0;
	}
	if (e->name_n == 0)
		return bad(err, "an entry without a name");
	if (linked && !is_link)
		return bad(err, "a link target on something that is no link");
	if (is_link && !linked && !put_text(link, e->link, &e->link_n))
		return bad(err, "a link without a target");
	return 0;
}

static int
old_sparse(struct err *err)
{
	return bad(err, "an old GNU sparse file; write it as pax (--format=posix)");
}

static int
entry_kind(struct tar_scan *t, uint8_t type, struct err *err)
{
	static const char types[] = "05213467";
	static const enum tar_kind kinds[] = {TAR_FILE, TAR_DIRECTORY, TAR_SYMLINK,
	    TAR_HARDLINK, TAR_CHAR, TAR_BLOCKDEV, TAR_FIFO};
	const char *at = type ? strchr(types, type) : types;

	if (type == 'S')
		return old_sparse(err);
	if (!at || type == '7')
		return bad(err, "an entry of a type that image layers do not have");
	t->entry.kind = kinds[at - types];
	return 0;
}

/* Three pax forms of GNU sparse files: 1.0 has its map in the payload, 0.1 in one record,
 * 0.0 in pairs of records. Anything in between is read differently by different readers.
 */
static int
entry_sparse(struct tar_scan *t, struct err *err)
{
	uint32_t have = t->pax ? t->seen & SPARSE_BITS : 0;
	uint32_t one = PAX_BIT(PAX_SPARSE_MAJOR) | PAX_BIT(PAX_SPARSE_MINOR) |
		       PAX_BIT(PAX_SPARSE_NAME) | PAX_BIT(PAX_SPARSE_REALSIZE);
	uint32_t zero = PAX_BIT(PAX_SPARSE_SIZE) | PAX_BIT(PAX_SPARSE_NUMBLOCKS);
	uint32_t pairs = PAX_BIT(PAX_SPARSE_OFFSET) | PAX_BIT(PAX_SPARSE_NUMBYTES);
	uint32_t zero_one = zero | PAX_BIT(PAX_SPARSE_MAP) | PAX_BIT(PAX_SPARSE_NAME);

	if (!have)
		return 0;
	t->entry.sparse = true;
	bool ok = (have == one && t->sparse_major == 1 && t->sparse_minor == 0) ||
		  have == zero_one ||
		  (have == (zero | pairs) && t->sparse_pairs[0] == t->sparse_pairs[1]);
	if (!ok || t->entry.kind != TAR_FILE)
		return bad(err, "a sparse file of an unknown form");
	return 0;
}

static int
entry_numbers(struct tar_scan *t, struct numbers *n, struct err *err)
{
	struct tar_entry *e = &t->entry;

	if (!merge_number(t, PAX_SIZE, t->size, INT64_C(1) << 33, &n->size) ||
	    !merge_number(t, PAX_UID, t->uid, 1 << 21, &n->uid) ||
	    !merge_number(t, PAX_GID, t->gid, 1 << 21, &n->gid))
		return bad(err, "a size or owner that differs between its two headers");
	if (t->pax && (t->seen & PAX_BIT(PAX_MTIME)))
		n->mtime = t->mtime;
	if (n->uid >= UINT32_MAX || n->gid >= UINT32_MAX)
		return bad(err, "an owner over 4294967294");
	if (n->mtime > LIMIT_MTIME)
		return bad(err, "an mtime after the year 2242");
	e->mode = (uint32_t)n->mode & 07777;
	e->uid = (uint32_t)n->uid;
	e->gid = (uint32_t)n->gid;
	e->size = (uint64_t)n->size;
	e->mtime = n->mtime < 0 ? 0 : n->mtime;
	e->major = (uint64_t)n->major;
	e->minor = (uint64_t)n->minor;
	return 0;
}

static int
entry_finish(
    struct tar_scan *t, const uint8_t *b, int format, struct numbers *n, struct err *err)
{
	struct tar_entry *e = &t->entry;
	uint8_t type = b[AT_TYPE];

	if (!t->pax && !t->long_name && !t->long_link)
		memset(e, 0, offsetof(struct tar_entry, name));
	if (!e->link_n)
		e->link[0] = 0;
	int r = entry_kind(t, type, err);
	r = r < 0 ? r : entry_names(t, b, format, err);
	r = r < 0 ? r : entry_numbers(t, n, err);
	r = r < 0 ? r : entry_sparse(t, err);
	if (r < 0)
		return r;
	/* Before ustar had a type for them, directories were files with a slash at the
	 * end. */
	if (e->name[e->name_n - 1] == '/' && type == 0)
		e->kind = TAR_DIRECTORY;
	if (e->name[e->name_n - 1] == '/' && e->kind != TAR_DIRECTORY)
		return bad(err,
		    "a name with a slash at its end on something that is no directory");
	if (e->size && e->kind != TAR_FILE)
		return bad(err, "a link, directory or device with a size");
	t->pax = t->long_name = t->long_link = false;
	return TAR_ENTRY;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int
tar_scan_block(struct tar_scan *t, const uint8_t *block, struct err *err)
{
	struct numbers n;

	if (all_zero(block, TAR_BLOCK)) {
		int r = tar_scan_eof(t, err);
		if (r < 0)
			return r;
		t->zero = !t->zero;
		return t->zero ? TAR_ZERO : TAR_END;
	}
	if (t->zero)
		return bad(err, "data after a single block of zeros");
	if (!sum_matches(block))
		return bad(err, "a tar header with a wrong checksum");
	int format = format_of(block, err);
	if (format < 0)
		return format;
	if (!numbers_read(block, format, &n))
		return bad(err, "a tar header with an invalid number");
	/* Some readers take them from an entry of any type. */
	if (format == FORMAT_GNU && !all_zero(block + AT_GNU_SPARSE, GNU_SPARSE_BYTES))
		return old_sparse(err);

	uint8_t type = block[AT_TYPE];
	if (type == 'x' || type == 'g' || type == 'L' || type == 'K')
		return ext_begin(t, type, n.size, err);
	return entry_finish(t, block, format, &n, err);
}

int
tar_scan_eof(const struct tar_scan *t, struct err *err)
{
	if (t->pax || t->long_name || t->long_link)
		return bad(err, "an extended header without its entry");
	return 0;
}
