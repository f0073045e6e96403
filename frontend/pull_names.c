/* What a pull asks for, and where: the images that its name may mean, and the places
 * where each can be had. */
#include "common/ipc/control.h"
#include "frontend/pulls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one name ---- */

static int
pull_name(struct pull *p, const struct ref *ref, struct err *e)
{
	char record[REF_TEXT];

	if (!ref_print_record(ref, record))
		return err_set(e, ERR_USAGE, "the reference has neither tag nor digest");
	snprintf(p->name, sizeof(p->name), "%s", record);
	p->pinned = ref->has_digest;
	memcpy(p->digest, ref->digest, sizeof(p->digest));
	if (ref->has_digest)
		digest_print(ref->digest, p->ref);
	else
		snprintf(p->ref, sizeof(p->ref), "%s", ref->tag);
	return sites_make(p, ref, e);
}

/* ---- several ---- */

static void
name_tried(struct pull *p, struct span why)
{
	struct pull_names *n = p->names;
	size_t left = sizeof(n->tried) - n->tried_n;

	int size = snprintf(n->tried + n->tried_n, left, "%s: %.*s; ", p->name,
	    (int)why.n, (const char *)why.p);
	n->tried_n += (size_t)size < left ? (size_t)size : left - 1;
}

/* The first one from here on that may be asked for; false: none. */
static bool
name_from(struct pull *p, unsigned at, enum err_class *code)
{
	struct pull_names *n = p->names;

	for (n->at = at; n->at < n->all.n; n->at++) {
		struct err why = {0};
		if (pull_name(p, &n->all.ref[n->at], &why) == 0)
			return true;
		*code = why.code;
		name_tried(p, span_str(why.text));
	}
	return false;
}

/* Without the last "; ". */
static struct span
names_tried(const struct pull_names *n)
{
	return span_of(n->tried, n->tried_n > 2 ? n->tried_n - 2 : n->tried_n);
}

static int
names_first(struct pull *p, struct err *e)
{
	enum err_class code = ERR_USAGE;

	if (name_from(p, 0, &code))
		return 0;
	struct span tried = names_tried(p->names);
	return err_set(e, code, "%.*s", (int)tried.n, (const char *)tried.p);
}

static int
names_keep(struct pull *p, const struct candidates *c, struct err *e)
{
	if (p->wish.auth == AUTH_GIVEN && !*p->wish.secret_for)
		return err_set(e, ERR_USAGE,
		    "the name may mean images of several registries (%s): write the "
		    "whole "
		    "name, so that the credentials go to its registry only",
		    c->search_file);
	p->names = calloc(1, sizeof(*p->names));
	if (!p->names)
		return err_errno(e, ENOMEM, "pull");
	p->names->all = *c;
	p->names->looking = p->wish.mode == PULL_MISSING;
	return 0;
}

static void
names_log(const struct pull *p, struct span name, const struct candidates *c)
{
	struct frontend *f = p->f;

	if ((!c->alias_file && !c->search_file) || f->embedded ||
	    LOG_INFO > (f->log_level ? f->log_level : LOG_INFO))
		return;
	control_log_for(&f->control.chan, LOG_INFO, p->id,
	    "%.*s means %s%s by the %s of %s", (int)name.n, (const char *)name.p, p->name,
	    c->n > 1 ? ", or what follows it," : "",
	    c->alias_file ? "aliases" : "unqualified-search-registries",
	    c->alias_file ? c->alias_file : c->search_file);
}

int
pull_names_begin(struct pull *p, struct span name, struct err *e)
{
	struct candidates c;

	if (p->f->registries)
		p->registries = registries_ref(p->f->registries);
	int r = registries_candidates(p->registries, name, &c, e);
	if (r == 0 && c.n > 1)
		r = names_keep(p, &c, e);
	if (r == 0)
		r = p->names ? names_first(p, e) : pull_name(p, &c.ref[0], e);
	if (r == 0)
		names_log(p, name, &c);
	return r;
}

enum pull_mode
pull_mode(const struct pull *p)
{
	return p->names && p->names->looking ? PULL_NEVER : p->wish.mode;
}

bool
pull_names_same(const struct pull *a, const struct pull *b)
{
	const struct pull_names *x = a->names, *y = b->names;

	if (!x || !y)
		return x == y;
	if (x->at != y->at || x->looking != y->looking || x->all.n != y->all.n)
		return false;
	for (unsigned i = 0; i < x->all.n; i++) {
		if (!ref_eq(&x->all.ref[i], &y->all.ref[i]))
			return false;
	}
	return true;
}

struct span
pull_names_tried(struct pull *p, struct span text)
{
	struct pull_names *n = p->names;

	if (!n || !n->tried_n)
		return text;
	if (n->at < n->all.n)
		name_tried(p, text);
	return names_tried(n);
}

/* Whether another registry could do better. */
static bool
may_go_on(enum err_class code)
{
	return code == ERR_NOT_FOUND || code == ERR_POLICY || code == ERR_AUTH ||
	       code == ERR_NETWORK || code == ERR_CONTENT;
}

/* As if it had been asked for just now, but for its waiters and its place in the queue.
 */
static void
pull_again(struct pull *p)
{
	pace_stop(p);
	free(p->layers);
	p->layers = NULL;
	p->n_layers = 0;
	p->stage = 0;
	p->ending = false;
	p->id = frontend_next_id(p->f);
	pull_begin(p);
}

bool
pull_next_name(struct pull *p, enum err_class code, struct span text)
{
	struct pull_names *n = p->names;

	if (!n || !may_go_on(code) || !p->waiters)
		return false;
	unsigned next = n->at + 1;
	if (n->looking && next == n->all.n) {
		n->looking = false;
		next = 0;
	} else if (next == n->all.n) {
		return false;
	}
	if (!n->looking && next > 0)
		name_tried(p, text);
	if (!name_from(p, next, &code))
		return false;
	pull_again(p);
	return true;
}
