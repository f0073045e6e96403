#include "worker-store/apply/untar.h"

#include "common/base/failpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Headers of one entry: a pax header or two GNU ones, then the entry's own. */
#define HEAD_MAX \
	(LIMIT_PAX_HEADER + 2 * (TAR_BLOCK + LIMIT_PATH + 1 + TAR_BLOCK) + 2 * TAR_BLOCK)

/* Makes chunk non-empty. 1, 0 at the end of the stream, negative with *err. */
static int
more(struct untar *u)
{
	if (u->chunk.n)
		return 1;
	ssize_t n = u->source->next(u->source->arg, &u->chunk.p);
	if (n < 0)
		return err_errno(u->err, (int)n, "the layer's stream broke off");
	if ((uint64_t)n > u->limits->bytes - u->res->bytes)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: larger than %llu bytes (max_layer_size)",
		    (unsigned long long)u->limits->bytes);
	u->res->bytes += (uint64_t)n;
	u->chunk.n = (size_t)n;
	return n > 0;
}

int
untar_take(struct untar *u, size_t max, struct span *out)
{
	int r = more(u);
	if (r < 0)
		return r;
	size_t n = u->chunk.n < max ? u->chunk.n : max;
	*out = span_of(u->chunk.p, n);
	u->chunk = span_from(u->chunk, n);
	return 0;
}

int
untar_truncated(struct untar *u)
{
	return err_set(u->err, ERR_CONTENT, "layer refused: the archive is cut off");
}

int
untar_side(struct untar *u, int r)
{
	return r < 0 ? err_errno(u->err, r, "cannot write the layer's side file") : 0;
}

int
untar_raw(struct untar *u, uint64_t n)
{
	while (n > 0) {
		struct span s;
		int r = untar_take(u, n < SIZE_MAX ? (size_t)n : SIZE_MAX, &s);
		if (r < 0)
			return r;
		if (s.n == 0)
			return untar_truncated(u);
		r = untar_side(u, side_raw(&u->side, s.p, s.n));
		if (r < 0)
			return r;
		n -= s.n;
	}
	return 0;
}

/* n bytes to the end of head. 1, 0 when the stream ends before the first, negative with
 * *err. */
static int
read_head(struct untar *u, size_t n)
{
	if (n > HEAD_MAX - u->head_n)
		return err_set(
		    u->err, ERR_CONTENT, "layer refused: headers of one entry too long");
	for (size_t have = 0; have < n;) {
		struct span s;
		int r = untar_take(u, n - have, &s);
		if (r < 0)
			return r;
		if (s.n == 0)
			return have ? untar_truncated(u) : 0;
		memcpy(u->head + u->head_n, s.p, s.n);
		u->head_n += s.n;
		have += s.n;
	}
	return 1;
}

static int
more_entries(struct untar *u)
{
	int64_t n = u->limits->more(u->res->entries);

	if (n < 0)
		return err_errno(u->err, (int)-n, "no leave to make more files");
	u->granted = (uint64_t)n;
	return 0;
}

static int
count_entry(struct untar *u)
{
	if (u->res->entries == u->limits->entries)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: more than %llu entries",
		    (unsigned long long)u->limits->entries);
	if (u->limits->more && u->res->entries == u->granted) {
		int r = more_entries(u);
		if (r < 0)
			return r;
	}
	u->res->entries++;
	return 0;
}

static int
add_owner(struct untar *u, struct apply_owners *o, uint32_t id)
{
	uint32_t lo = 0, hi = o->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (o->ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < o->n && o->ids[lo] == id)
		return 0;
	if (o->n == LIMIT_OWNERS)
		return err_set(u->err, ERR_CONTENT, "layer refused: more than %d owners",
		    LIMIT_OWNERS);
	memmove(o->ids + lo + 1, o->ids + lo, (o->n - lo) * sizeof(o->ids[0]));
	o->ids[lo] = id;
	o->n++;
	return 0;
}

int
untar_owner(struct untar *u, uint32_t uid, uint32_t gid)
{
	int r = add_owner(u, &u->res->uids, uid);

	return r < 0 ? r : add_owner(u, &u->res->gids, gid);
}

/* A global header is an entry of its own for tar-split and for upstream's uidset (owner
 * 0:0), and nothing for anybody else: libarchive never sees it. */
static int
global_header(struct untar *u)
{
	static const char name[] = "pax_global_header";
	struct span raw = span_of(u->head, strnlen((const char *)u->head, 100));

	int r = count_entry(u);
	if (r < 0)
		return r;
	if (raw.n == 0)
		raw = span_str(name);
	r = untar_side(u, side_name(&u->side, SIDE_NODE, raw));
	u->head_n = 0;
	return r < 0 ? r : untar_owner(u, 0, 0);
}

static int
read_body(struct untar *u)
{
	uint8_t *body = u->head + u->head_n;
	size_t n = (size_t)u->scan.body + tar_padding(u->scan.body);

	int r = read_head(u, n);
	if (r <= 0)
		return r < 0 ? r : untar_truncated(u);
	/* tar-split gets the bytes as they came, before the scanner masks them. */
	r = untar_side(u, side_raw(&u->side, body, n));
	return r < 0 ? r : tar_scan_body(&u->scan, body, u->err);
}

/* All headers of the next entry into head and scan. TAR_ENTRY, TAR_END, or negative with
 * *err. */
static int
next_entry(struct untar *u)
{
	int step = TAR_MORE;

	u->head_n = 0;
	while (step != TAR_ENTRY && step != TAR_END) {
		size_t at = u->head_n;
		int r = read_head(u, TAR_BLOCK);
		if (r == 0)
			r = tar_scan_eof(&u->scan, u->err);
		if (r <= 0)
			return r < 0 ? r : TAR_END;
		r = untar_side(u, side_raw(&u->side, u->head + at, TAR_BLOCK));
		if (r < 0)
			return r;
		step = tar_scan_block(&u->scan, u->head + at, u->err);
		if (step == TAR_BODY)
			step = read_body(u);
		if (step == TAR_GLOBAL)
			step = global_header(u);
		if (step < 0)
			return step;
	}
	return step;
}

/* Says where in the archive a refusal happened. Its headers being bad, an entry has no
 * name yet. */
static int
blame(struct untar *u, int r, bool named)
{
	char name[256];
	char *text = u->err->text;
	size_t n = strlen(text), room = sizeof(u->err->text) - n;
	const struct tar_entry *e = &u->scan.entry;
	unsigned long long nth = u->res->entries;

	if (u->err->code != ERR_CONTENT)
		return r;
	if (named)
		snprintf(text + n, room, " (entry %llu, \"%s\")", nth,
		    span_escape(span_of(e->name, e->name_n), name, sizeof(name)));
	else
		snprintf(text + n, room, " (after entry %llu)", nth);
	return r;
}

static int
entries(struct untar *u)
{
	for (;;) {
		int r = next_entry(u);
		if (r < 0)
			return blame(u, r, false);
		if (r == TAR_END)
			return 0;
		r = count_entry(u);
		r = r < 0 ? r : untar_entry(u);
		if (r < 0)
			return blame(u, r, true);
		FAILPOINT(UNTAR_ENTRY);
	}
}

/* Whatever follows the end of the archive is kept for tar-split, and parsed by nobody. */
static int
tail(struct untar *u)
{
	int r = tar_meta_end(u->meta, u->err);
	r = r < 0 ? r : untar_side(u, side_cut(&u->side));
	while (r == 0) {
		struct span s;
		r = untar_take(u, SIZE_MAX, &s);
		if (r < 0 || s.n == 0)
			break;
		r = untar_side(u, side_raw(&u->side, s.p, s.n));
	}
	r = r < 0 ? r : tree_finish(&u->tree, u->err);
	return r < 0 ? r : untar_side(u, side_end(&u->side, u->res));
}

static void
untar_free(struct untar *u)
{
	tar_meta_free(u->meta);
	tree_free(&u->tree);
	side_free(&u->side);
	seen_free(&u->names);
	seen_free(&u->devices);
	free(u->head);
}

static int
untar_open(struct untar *u, int root, int side)
{
	u->tree.parent = -1;
	u->side.fd = -1;
	u->head = malloc(HEAD_MAX);
	u->meta = tar_meta_new(untar_sparse_payload, u);
	if (!u->head || !u->meta || side_open(&u->side, side) < 0)
		return err_errno(u->err, ENOMEM, "cannot start to untar");
	return tree_open(&u->tree, root, u->err);
}

int
apply_untar(int root, int side, const struct apply_source *source,
    const struct apply_limits *limits, struct apply_result *result, struct err *err)
{
	struct err own = {0};
	CLEANUP(free_ptr) struct untar *u = calloc(1, sizeof(*u));

	*result = (struct apply_result){0};
	if (!u)
		return err_errno(err, ENOMEM, "cannot start to untar");
	u->source = source;
	u->limits = limits;
	u->granted = limits->granted;
	u->res = result;
	u->err = err ? err : &own;
	mode_t mask = umask(0);
	int r = untar_open(u, root, side);
	r = r < 0 ? r : entries(u);
	r = r < 0 ? r : tail(u);
	FAILPOINT(UNTAR_DONE);
	untar_free(u);
	umask(mask);
	return r;
}
