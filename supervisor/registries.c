#include "supervisor/registries.h"

#include <errno.h>
#include <stdlib.h>

/* What one file may hold its reader has counted; but a reader that was taken over has
 * not, and the frontend would end with what it cannot keep. */
static bool
row_fits(struct registry_rows *r, enum registry_row kind, bool begins)
{
	enum registry_row last = r->n ? r->rows[r->n - 1].kind : REGISTRY_FILE;

	switch (kind) {
	case REGISTRY_MIRROR:
		return (last == REGISTRY_TABLE || last == REGISTRY_MIRROR) &&
		       ++r->mirrors <= LIMIT_MIRRORS;
	case REGISTRY_SEARCH:
		r->search = begins ? 0 : r->search + 1;
		return r->search <= LIMIT_SEARCH;
	case REGISTRY_TABLE:
		r->mirrors = 0;
		return true;
	default:
		return true;
	}
}

static int
check_limits(const struct registry_rows *r, size_t bytes, struct err *e)
{
	static const char all[] = "registries.conf and its drop-ins together have";

	if (r->tables > LIMIT_REGISTRIES)
		return err_set(e, ERR_USAGE, "%s more than %u [[registry]] tables", all,
		    LIMIT_REGISTRIES);
	if (r->aliases > LIMIT_ALIASES)
		return err_set(
		    e, ERR_USAGE, "%s more than %u aliases", all, LIMIT_ALIASES);
	if (r->n == LIMIT_REGISTRY_ROWS || r->bytes + bytes > LIMIT_REGISTRY_BYTES)
		return err_set(e, ERR_USAGE, "%s more than %u entries or %u MiB", all,
		    LIMIT_REGISTRY_ROWS, (unsigned)(LIMIT_REGISTRY_BYTES >> 20));
	return 0;
}

static int
grow(struct registry_rows *r)
{
	unsigned room = r->room ? 2 * r->room : 64;
	struct registry_text *rows = realloc(r->rows, room * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	r->rows = rows;
	r->room = room;
	return 0;
}

int
registry_rows_add(struct registry_rows *r, enum registry_row kind, unsigned flags,
    struct span name, struct span value, struct err *e)
{
	size_t bytes = name.n + value.n + 2;

	if (!row_fits(r, kind, value.n == 0))
		return -EPROTO;
	r->tables += kind == REGISTRY_TABLE;
	r->aliases += kind == REGISTRY_ALIAS;
	int rc = check_limits(r, bytes, e);
	if (rc < 0)
		return rc;
	char *text = r->n < r->room || grow(r) == 0 ? malloc(bytes) : NULL;
	if (!text)
		return err_errno(e, ENOMEM, "registries.conf");
	/* Neither holds a NUL: they came as texts. */
	if (name.n)
		memcpy(text, name.p, name.n);
	text[name.n] = 0;
	if (value.n)
		memcpy(text + name.n + 1, value.p, value.n);
	text[bytes - 1] = 0;
	r->rows[r->n++] = (struct registry_text){kind, flags, text, text + name.n + 1};
	r->bytes += bytes;
	return 0;
}

bool
registry_rows_equal(const struct registry_rows *a, const struct registry_rows *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		const struct registry_text *x = &a->rows[i], *y = &b->rows[i];
		if (x->kind != y->kind || x->flags != y->flags ||
		    strcmp(x->name, y->name) != 0 || strcmp(x->value, y->value) != 0)
			return false;
	}
	return true;
}

void
registry_rows_release(struct registry_rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		free(r->rows[i].name);
	free(r->rows);
	*r = (struct registry_rows){0};
}
