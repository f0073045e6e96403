#include "worker-store/apply/tar_pax.h"

static const char *const pax_names[PAX_XATTR] = {
    [PAX_PATH] = "path",
    [PAX_LINKPATH] = "linkpath",
    [PAX_SIZE] = "size",
    [PAX_UID] = "uid",
    [PAX_GID] = "gid",
    [PAX_MTIME] = "mtime",
    [PAX_ATIME] = "atime",
    [PAX_CTIME] = "ctime",
    [PAX_SPARSE_MAJOR] = "GNU.sparse.major",
    [PAX_SPARSE_MINOR] = "GNU.sparse.minor",
    [PAX_SPARSE_NAME] = "GNU.sparse.name",
    [PAX_SPARSE_REALSIZE] = "GNU.sparse.realsize",
    [PAX_SPARSE_SIZE] = "GNU.sparse.size",
    [PAX_SPARSE_NUMBLOCKS] = "GNU.sparse.numblocks",
    [PAX_SPARSE_MAP] = "GNU.sparse.map",
    [PAX_SPARSE_OFFSET] = "GNU.sparse.offset",
    [PAX_SPARSE_NUMBYTES] = "GNU.sparse.numbytes",
};
#define XATTR_PREFIX "SCHILY.xattr."

static bool
decimal(struct span s, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || *out > (INT64_MAX - 9) / 10)
			return false;
		*out = *out * 10 + (s.p[i] - '0');
	}
	return s.n > 0;
}

/* [-]digits[.digits]; *out is the whole seconds, -1 for anything before the epoch. */
static bool
pax_time(struct span s, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	s = span_from(s, minus);
	const uint8_t *dot = s.n ? memchr(s.p, '.', s.n) : NULL;
	size_t whole = dot ? (size_t)(dot - s.p) : s.n;

	if (!decimal(span_of(s.p, whole), out))
		return false;
	for (size_t i = whole + 1; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	if (minus)
		*out = -1;
	return true;
}

static enum pax_key
pax_key_of(struct span key)
{
	for (size_t k = 0; k < PAX_XATTR; k++) {
		if (span_is(key, pax_names[k]))
			return (enum pax_key)k;
	}
	return span_starts(key, XATTR_PREFIX) ? PAX_XATTR : PAX_OTHER;
}

static int
pax_xattr(struct tar_scan *t, struct span key, struct span value, struct err *err)
{
	if (key.n == strlen(XATTR_PREFIX) ||
	    key.n > strlen(XATTR_PREFIX) + LIMIT_COMPONENT)
		return bad(
		    err, "an extended attribute whose name is empty or over 255 bytes");
	if (t->xattr_n == LIMIT_XATTRS)
		return bad(err, "an entry with more than 64 extended attributes");
	for (uint32_t i = 0; i < t->xattr_n; i++) {
		if (span_eq(t->xattr_names[i], key))
			return bad(err, "an extended attribute given twice");
	}
	t->xattr_names[t->xattr_n++] = key;
	t->xattr_bytes += value.n;
	if (t->xattr_bytes > LIMIT_XATTR_BYTES)
		return bad(err, "an entry with more than 64 KiB of extended attributes");
	if (value.n)
		t->entry.xattrs++;
	else
		t->entry.xattrs_empty++;
	return 0;
}

static int
pax_number(struct tar_scan *t, enum pax_key k, struct span value, struct err *err)
{
	int64_t v;

	if (!decimal(value, &v))
		return bad(err, "a pax record whose value is not a number");
	switch (k) {
	case PAX_SIZE:
		t->size = v;
		break;
	case PAX_UID:
		t->uid = v;
		break;
	case PAX_GID:
		t->gid = v;
		break;
	case PAX_SPARSE_MAJOR:
		t->sparse_major = v;
		break;
	case PAX_SPARSE_MINOR:
		t->sparse_minor = v;
		break;
	case PAX_SPARSE_OFFSET:
	case PAX_SPARSE_NUMBYTES:
		t->sparse_pairs[k - PAX_SPARSE_OFFSET]++;
		break;
	case PAX_SPARSE_NUMBLOCKS:
		if (v > LIMIT_SPARSE_REGIONS)
			return bad(err, "a sparse file of too many regions");
		break;
	default:
		break;
	}
	return 0;
}

static int
pax_record(struct tar_scan *t, enum pax_key k, struct span key, struct span value,
    struct err *err)
{
	int64_t ignored;

	if (k == PAX_XATTR)
		return pax_xattr(t, key, value, err);
	if (k == PAX_OTHER)
		return 0;
	if ((t->seen & PAX_BIT(k)) && k != PAX_SPARSE_OFFSET && k != PAX_SPARSE_NUMBYTES)
		return bad(err, "a pax record given twice");
	t->seen |= PAX_BIT(k);
	/* GNU.sparse.name, when there is one, is the name, whichever comes first. */
	if (k == PAX_PATH && (t->seen & PAX_BIT(PAX_SPARSE_NAME)))
		return 0;
	switch (k) {
	case PAX_PATH:
	case PAX_SPARSE_NAME:
		if (!put_text(value, t->entry.name, &t->entry.name_n))
			return bad(
			    err, "a name that is empty, holds a NUL or is too long");
		return 0;
	case PAX_LINKPATH:
		if (!put_text(value, t->entry.link, &t->entry.link_n))
			return bad(err,
			    "a link target that is empty, holds a NUL or is too long");
		return 0;
	case PAX_MTIME:
		return pax_time(value, &t->mtime) ? 0 : bad(err, "an invalid mtime");
	case PAX_ATIME:
	case PAX_CTIME:
		return pax_time(value, &ignored) ? 0
						 : bad(err, "an invalid atime or ctime");
	case PAX_SPARSE_MAP:
		return 0;
	default:
		return pax_number(t, k, value, err);
	}
}

/* What the decoder may see of a record: see tar_scan_body(). */
static void
pax_mask(enum pax_key k, uint8_t *key, uint8_t *value, size_t value_n)
{
	bool name = k == PAX_PATH || k == PAX_LINKPATH || k == PAX_SPARSE_NAME;

	if (k == PAX_OTHER || k == PAX_CTIME || value_n == 0)
		key[0] = '#';
	for (size_t i = 0; name && i < value_n; i++) {
		if (value[i] >= 0x80)
			value[i] = '_';
	}
}

/* "LENGTH KEY=VALUE\n", LENGTH in decimal without leading zeros, of the whole record. */
static int
pax_parse_one(
    struct tar_scan *t, uint8_t *p, size_t n, bool global, size_t *used, struct err *err)
{
	const uint8_t *space = memchr(p, ' ', n < 8 ? n : 8);
	int64_t len;
	if (!space || p[0] == '0' || !decimal(span_of(p, (size_t)(space - p)), &len) ||
	    (uint64_t)len > n || len <= space - p + 1 || p[len - 1] != '\n')
		return bad(err, "a pax record whose length is wrong");

	uint8_t *key = p + (space - p) + 1, *end = p + len - 1;
	uint8_t *eq = memchr(key, '=', (size_t)(end - key));
	if (!eq || eq == key || memchr(key, 0, (size_t)(eq - key)))
		return bad(err, "a pax record without a key");
	struct span k = span_of(key, (size_t)(eq - key));
	struct span v = span_of(eq + 1, (size_t)(end - eq - 1));
	if (v.n > LIMIT_PAX_VALUE)
		return bad(err, "a pax value over 64 KiB");

	*used = (size_t)len;
	enum pax_key id = pax_key_of(k);
	if (global)
		return id == PAX_OTHER ? 0
				       : bad(err, "a global header that changes entries");
	int r = pax_record(t, id, k, v, err);
	pax_mask(id, key, eq + 1, v.n);
	return r;
}

int
tar_pax_parse(struct tar_scan *t, uint8_t *p, bool global, struct err *err)
{
	for (size_t at = 0, used = 0; at < t->body; at += used) {
		int r = pax_parse_one(t, p + at, t->body - at, global, &used, err);
		if (r < 0)
			return r;
	}
	return 0;
}
