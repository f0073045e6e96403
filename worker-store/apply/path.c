#include "worker-store/apply/path.h"

#include <errno.h>
#include <stdlib.h>

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static int
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_CONTENT, "layer refused: %s", what);
}

static int
add_component(struct path *out, struct span part, struct err *err)
{
	if (span_is(part, ".."))
		return bad(err, "a name with \"..\" in it");
	if (part.n > LIMIT_COMPONENT)
		return bad(err, "a name with a component over 255 bytes");
	out->parent = out->n;
	if (out->n)
		out->text[out->n++] = '/';
	memcpy(out->text + out->n, part.p, part.n);
	out->n += part.n;
	out->depth++;
	return 0;
}

int
path_clean(struct span raw, uint32_t depth, struct path *out, struct err *err)
{
	out->n = out->parent = out->depth = 0;
	if (raw.n == 0 || raw.n > LIMIT_PATH || memchr(raw.p, 0, raw.n))
		return bad(
		    err, "a name that is empty, holds a NUL or is over 4095 bytes");
	for (size_t at = 0; at < raw.n;) {
		const uint8_t *slash = memchr(raw.p + at, '/', raw.n - at);
		size_t end = slash ? (size_t)(slash - raw.p) : raw.n;
		struct span part = span_of(raw.p + at, end - at);
		at = end + 1;
		if (part.n == 0 || span_is(part, "."))
			continue;
		int r = add_component(out, part, err);
		if (r < 0)
			return r;
	}
	out->text[out->n] = 0;
	if (out->depth > depth)
		return bad(err, "a name with too many components");
	return 0;
}

int
path_classify(const struct path *p, struct err *err)
{
	const char *base = path_base(p);

	for (const char *at = p->text; at < base; at = strchr(at, '/') + 1) {
		if (strncmp(at, WHITEOUT, strlen(WHITEOUT)) == 0)
			return bad(err, "a whiteout used as a directory");
	}
	if (strncmp(base, WHITEOUT, strlen(WHITEOUT)) != 0)
		return PATH_PLAIN;
	if (strcmp(base, OPAQUE) == 0)
		return PATH_OPAQUE;
	base += strlen(WHITEOUT);
	/* .wh..wh.aufs and .wh..wh.plnk are bookkeeping of a file system nobody has any
	 * more; left as whiteouts they would put names into the tree that podman takes
	 * for its own. */
	if (base[0] == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ||
	    strncmp(base, WHITEOUT, strlen(WHITEOUT)) == 0)
		return bad(err, "a whiteout of an invalid name");
	return PATH_WHITEOUT;
}

void
path_unwhite(struct path *p)
{
	size_t base = (size_t)(path_base(p) - p->text);

	p->n -= strlen(WHITEOUT);
	memmove(p->text + base, p->text + base + strlen(WHITEOUT), p->n - base + 1);
}

/* FNV-1a, then a finalizer so that the low bits serve as an index. 0 marks a free slot.
 */
static uint64_t
hash(const char *text, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	h *= UINT64_C(0x9fb21c651e98df25);
	h ^= h >> 32;
	return h ? h : 1;
}

static uint64_t *
find(const struct seen *s, uint64_t h)
{
	size_t i = h & (s->cap - 1);

	while (s->slots[i] && s->slots[i] != h)
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static int
grow(struct seen *s)
{
	struct seen bigger = {.cap = s->cap ? s->cap * 2 : 1024, .n = s->n};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++) {
		if (s->slots[i])
			*find(&bigger, s->slots[i]) = s->slots[i];
	}
	free(s->slots);
	*s = bigger;
	return 0;
}

int
seen_add(struct seen *s, const char *text, size_t n)
{
	uint64_t h = hash(text, n);

	if (s->n >= s->cap / 4 * 3) {
		int r = grow(s);
		if (r < 0)
			return r;
	}
	uint64_t *slot = find(s, h);
	if (*slot)
		return 1;
	*slot = h;
	s->n++;
	return 0;
}

bool
seen_has(const struct seen *s, const char *text, size_t n)
{
	return s->n && *find(s, hash(text, n));
}

void
seen_free(struct seen *s)
{
	free(s->slots);
	*s = (struct seen){0};
}
