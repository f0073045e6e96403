/* explain: each image that a name may mean, each place where it can be had, what is
 * configured for both, and with --reach what a place answers. One question at a time, in
 * the order of the rows. */
#include "frontend/clients.h"

#include "common/base/platform.h"
#include "frontend/pulls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct explaining {
	struct ask *ask;
	struct registries *registries; /* as they were when it was asked for */
	char os[65], architecture[65], variant[65];
	unsigned verify;
	bool reach;
	struct candidates all;
	unsigned image; /* the next one, from 0; the rows count from 1 */
	struct endpoint places[LIMIT_ENDPOINTS];
	unsigned n_places, place;
};

static void explain_next(struct explaining *x);

static void
row(const struct explaining *x, unsigned image, unsigned place, const char *key,
    const char *value)
{
	struct ipc_msg m = IPC_MSG(cli_explain_row, .req = x->ask->req, .image = image,
	    .place = place, .key = span_str(key), .value = span_str(value));

	port_send(&x->ask->client->port, &m);
}

static void
explain_end(struct explaining *x, enum err_class code, struct span text)
{
	struct ask *a = x->ask;

	client_done(a->client, a->req, code, text);
	ask_free(a);
}

static void
explaining_free(void *arg)
{
	struct explaining *x = arg;

	registries_unref(x->registries);
	free(x);
}

/* ---- what the supervisor knows ---- */

static void
looked_up_row(struct query *q, struct ipc_msg *m)
{
	const struct explaining *x = q->arg;
	char key[65], value[2049];

	if (m->type == MSG_status_row &&
	    span_to_str(m->status_row.key, key, sizeof(key)) &&
	    span_to_str(m->status_row.value, value, sizeof(value)))
		row(x, x->image + 1, x->place, key, value);
}

static void reach(struct explaining *x);

static void
looked_up(struct query *q, enum err_class code, struct span text)
{
	struct explaining *x = q->arg;

	x->ask->query = NULL;
	if (code != ERR_OK)
		explain_end(x, code, text);
	else if (x->place && x->reach)
		reach(x);
	else
		explain_next(x);
}

/* Of the image, or of the place that x is at. */
static void
look_up(struct explaining *x)
{
	const struct ref *image = &x->all.ref[x->image];
	const struct ref *at = x->place ? &x->places[x->place - 1].ref : NULL;
	struct frontend *f = x->ask->client->f;
	struct query *q = query_new(f);
	char name[REF_TEXT];

	if (!q) {
		explain_end(x, ERR_INTERNAL, span_str("out of memory"));
		return;
	}
	q->row = looked_up_row;
	q->done = looked_up;
	q->arg = x;
	q->of_supervisor = true;
	x->ask->query = q;
	struct ipc_msg m = IPC_MSG(look_up, .req = q->id);
	if (at) {
		m.look_up.auth_host = span_str(at->domain);
		m.look_up.repository = span_str(at->path);
	} else {
		m.look_up.name = span_str(ref_print_record(image, name));
	}
	port_send(&f->control, &m);
}

/* ---- what the place answers ---- */

static void
reached(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
	struct explaining *x = w->arg;
	char said[2049], value[2049];

	if (!span_to_str(text, said, sizeof(said)))
		*said = 0;
	if (code == ERR_DEADLINE) { /* who asked has had enough */
		explain_end(x, code, text);
		return;
	}
	if (code == ERR_OK || code == ERR_POLICY)
		snprintf(value, sizeof(value), "yes: it has the manifest");
	else
		snprintf(value, sizeof(value), "no: %.2000s", said);
	row(x, x->image + 1, x->place, "reach", value);
	explain_next(x);
}

static const struct waiter_ops reach_ops = {.done = reached};

/* As can-pull asks, of this place alone. */
static void
reach(struct explaining *x)
{
	char name[REF_TEXT];
	struct err e = {0};
	struct pull_options o = {.name = span_str(ref_print(&x->all.ref[x->image], name)),
	    .os = span_str(x->os),
	    .architecture = span_str(x->architecture),
	    .variant = span_str(x->variant),
	    .verify = x->verify,
	    .mode = PULL_VERDICT_ONLY,
	    .auth = AUTH_FILES,
	    .place = x->place};

	x->ask->waiter.ops = &reach_ops;
	x->ask->waiter.arg = x;
	if (pull_join(x->ask->client->f, &x->ask->waiter, &o, &e) >= 0)
		return;
	row(x, x->image + 1, x->place, "reach", e.text);
	explain_next(x);
}

/* ---- what the frontend knows ---- */

static void
tell_tls(const struct explaining *x, const struct endpoint *at, unsigned insecure)
{
	char why[LIMIT_NAME + 1200], text[2048];
	static const char *const how[] = {[0] = "the certificate is checked",
	    [INSECURE_HTTP] = "none: plain HTTP",
	    [INSECURE_TLS] = "the certificate is not checked",
	    [INSECURE_HTTP | INSECURE_TLS] =
		"the certificate is not checked, and plain HTTP will do"};

	endpoint_insecure_print(at, why, sizeof(why));
	snprintf(text, sizeof(text), "%s%s%s%s", how[insecure], insecure ? " (" : "",
	    !insecure	     ? ""
	    : x->verify == 2 ? "--tls-verify"
			     : why,
	    insecure ? ")" : "");
	row(x, x->image + 1, x->place, "tls", text);
}

static void
tell_place(struct explaining *x)
{
	const struct endpoint *at = &x->places[x->place - 1];
	struct registry registry;
	unsigned insecure = 0;
	struct err e = {0};
	char origin[URL_TEXT_MAX], text[URL_TEXT_MAX + LIMIT_REPOSITORY + 8],
	    name[REF_TEXT];

	if (endpoint_registry(at, x->verify, &registry, &insecure, &e) < 0) {
		row(x, x->image + 1, x->place, "url", e.text);
		explain_next(x);
		return;
	}
	snprintf(text, sizeof(text), "%s/v2/%s",
	    url_origin(&registry.url, origin, sizeof(origin)), registry.repository);
	row(x, x->image + 1, x->place, "url", text);
	row(x, x->image + 1, x->place, "kind", at->mirror ? "mirror" : "location");
	row(x, x->image + 1, x->place, "asked for", ref_print_record(&at->ref, name));
	tell_tls(x, at, insecure);
	look_up(x);
}

static void
tell_image(struct explaining *x)
{
	const struct ref *image = &x->all.ref[x->image];
	struct err e = {0};
	char name[REF_TEXT], text[LIMIT_PATH + LIMIT_NAME + 64];

	row(x, x->image + 1, 0, "image", ref_print_record(image, name));
	int n = registries_endpoints(x->registries, image, x->places, &e);
	x->n_places = n < 0 ? 0 : (unsigned)n;
	if (n < 0)
		row(x, x->image + 1, 0, "refused", e.text);
	else if (x->places[0].file)
		snprintf(text, sizeof(text), "%.1200s: [[registry]] \"%s\"",
		    x->places[0].file, x->places[0].prefix);
	if (n >= 0)
		row(x, x->image + 1, 0, "registry table",
		    x->places[0].file ? text : "none: it is where its name says");
	look_up(x);
}

static void
explain_next(struct explaining *x)
{
	if (x->place < x->n_places) {
		x->place++;
		tell_place(x);
		return;
	}
	/* The first image is told of by explain_name. */
	x->image++;
	x->place = x->n_places = 0;
	if (x->image < x->all.n)
		tell_image(x);
	else
		explain_end(x, ERR_OK, span_str(""));
}

static void
explain_name(struct explaining *x, struct span name)
{
	static const char *const modes[] = {"permissive", "enforcing", "disabled"};
	const struct registries *r = x->registries;
	const struct candidates *c = &x->all;
	char text[2048], shown[LIMIT_NAME + 1];
	struct err e = {0};

	int rc = registries_candidates(r, name, &x->all, &e);
	if (!span_to_str(name, shown, sizeof(shown)))
		*shown = 0;
	row(x, 0, 0, "name", shown);
	if (c->alias_file)
		snprintf(text, sizeof(text), "an alias of %.1500s", c->alias_file);
	else if (c->search_file)
		snprintf(text, sizeof(text),
		    "%u by unqualified-search-registries of %.1500s", c->n,
		    c->search_file);
	row(x, 0, 0, "meaning",
	    c->alias_file || c->search_file ? text
	    : rc < 0			    ? "none"
					    : "itself: it names its registry");
	if (r && (c->search_file || rc < 0)) {
		snprintf(text, sizeof(text), "%s (%.1500s)", modes[r->mode],
		    r->mode_file ? r->mode_file : "by default");
		row(x, 0, 0, "short-name-mode", text);
	}
	snprintf(text, sizeof(text), "%s/%s%s%s", *x->os ? x->os : PLATFORM_OS,
	    *x->architecture ? x->architecture : PLATFORM_ARCHITECTURE,
	    *x->variant ? "/" : "", x->variant);
	row(x, 0, 0, "platform", text);
	if (rc < 0)
		row(x, 0, 0, "refused", e.text);
	/* What may be meant is told all the same. */
	if (c->n)
		tell_image(x);
	else
		explain_end(x, e.code, span_str(e.text));
}

int
client_explain(struct client *c, struct ipc_msg *m)
{
	const struct msg_cli_explain *in = &m->cli_explain;
	struct ask *a = ask_new(c, in->req);
	struct explaining *x = a ? calloc(1, sizeof(*x)) : NULL;

	if (!x)
		return a ? -ENOMEM : 0;
	a->own = x;
	a->own_free = explaining_free;
	x->ask = a;
	x->verify = (unsigned)in->verify;
	x->reach = in->reach;
	if (c->f->registries)
		x->registries = registries_ref(c->f->registries);
	if (!span_to_str(in->os, x->os, sizeof(x->os)) ||
	    !span_to_str(in->architecture, x->architecture, sizeof(x->architecture)) ||
	    !span_to_str(in->variant, x->variant, sizeof(x->variant)))
		return -EPROTO;
	explain_name(x, in->name);
	return 0;
}
