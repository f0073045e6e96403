#include "frontend/fetchers.h"

#include "common/ipc/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Credentials that came with the request are those of the registry in the name: a mirror
 * elsewhere gets what the files have for it. */
static enum fetch_auth
site_auth(const struct pull *p, const char *domain)
{
	size_t n = strlen(domain);
	bool own = *p->wish.secret_for
		       ? strcmp(p->wish.secret_for, domain) == 0
		       : strncmp(p->name, domain, n) == 0 && p->name[n] == '/';

	return p->wish.auth == AUTH_GIVEN && !own ? AUTH_FILES : p->wish.auth;
}

void
url_to_http(struct url *u, const char *domain)
{
	struct ref_host host;

	u->tls = false;
	if (ref_host_parse(span_str(domain), &host, NULL) == 0 && host.port == 0)
		u->port = 80;
}

void
site_log_insecure(const struct site *s)
{
	const struct pull *p = s->pull;
	const struct endpoint *at = &s->place;
	bool asked = p->wish.verify == 2 || (at->rule && !strcmp(at->rule_key, "always"));
	char origin[URL_TEXT_MAX], why[LIMIT_PATH + LIMIT_NAME + 32];
	const struct url *url = &s->home->origin;
	enum log_level level = asked ? LOG_INFO : LOG_WARNING;

	if ((s->verify && url->tls) ||
	    level > (p->f->log_level ? p->f->log_level : LOG_INFO))
		return;
	control_log_for(&p->f->control.chan, level, p->id, "%s is asked for %s %s (%s)",
	    url_origin(url, origin, sizeof(origin)), p->name,
	    url->tls ? "without a look at its certificate" : "by plain HTTP",
	    p->wish.verify == 2 ? "the request says so"
				: endpoint_insecure_print(at, why, sizeof(why)));
}

int
endpoint_registry(const struct endpoint *at, unsigned verify, struct registry *out,
    unsigned *insecure, struct err *e)
{
	int r = registry_of(&at->ref, out, e);

	*insecure = verify == 0	  ? at->insecure
		    : verify == 1 ? 0
				  : INSECURE_HTTP | INSECURE_TLS;
	if (r == 0 && *insecure == INSECURE_HTTP)
		url_to_http(&out->url, at->ref.domain);
	return r;
}

static int
site_make(struct pull *p, struct site *s, const struct endpoint *at, struct err *e)
{
	unsigned insecure;
	int r = endpoint_registry(at, p->wish.verify, &s->at, &insecure, e);

	s->pull = p;
	s->place = *at;
	s->mirror = at->mirror;
	s->auth = site_auth(p, at->ref.domain);
	s->verify = !(insecure & INSECURE_TLS);
	s->fallback = insecure & INSECURE_HTTP;
	return r;
}

void
sites_drop(struct pull *p)
{
	loop_timer_clear(&p->f->loop, &p->again);
	loop_timer_clear(&p->f->loop, &p->lost);
	while (p->fetchers)
		fetcher_end(p->fetchers);
	while (p->requests)
		request_free(p, p->requests);
	free(ptr_steal(&p->sites));
	p->n_sites = p->at = 0;
	p->settled = p->unsure = false;
}

int
sites_make(struct pull *p, const struct ref *ref, struct err *e)
{
	struct endpoint list[LIMIT_ENDPOINTS];
	int n = registries_endpoints(p->registries, ref, list, e);

	sites_drop(p);
	if (n < 0)
		return n;
	if (p->wish.place > (unsigned)n)
		return err_set(e, ERR_INTERNAL, "there is no such place any more");
	p->sites = calloc((size_t)n, sizeof(*p->sites));
	if (!p->sites)
		return err_errno(e, ENOMEM, "pull");
	for (int i = 0; i < n; i++) {
		int r = site_make(p, &p->sites[p->n_sites++], &list[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

const char *
site_source(const struct site *s)
{
	const char *file = s->pull->f->auth_file;

	if (s->auth == AUTH_NONE)
		return "none were given";
	if (s->auth == AUTH_GIVEN)
		return s->pull->given;
	return file && *file ? file : "no auth file is configured";
}

void
site_failed(struct site *s, enum err_class code, const char *text)
{
	s->code = code;
	span_escape(span_str(text), s->cause, sizeof(s->cause));
}

/* Whether the registry itself may be asked though there are mirrors. lacking: each mirror
 * that was asked says that it does not have it. */
static bool
may_fall(const struct pull *p, const struct site *to, bool lacking)
{
	if (to->mirror || !p->sites[0].mirror)
		return true;
	switch (p->f->fallback) {
	case FALLBACK_NEVER:
		return false;
	case FALLBACK_ON_NOT_FOUND:
		return lacking;
	default:
		return true;
	}
}

/* The same whether plain HTTP was tried or not. */
void
site_origin(const struct site *s, struct url *origin)
{
	struct registry r;

	if (registry_of(&s->place.ref, &r, NULL) < 0)
		r.url = s->at.url;
	*origin = r.url;
}

static bool
is_bad(const struct pull *p, const struct site *s)
{
	struct url origin;

	site_origin(s, &origin);
	return health_is_bad(&p->f->health, &origin, loop_now());
}

/* The next one from `from` on that may be asked: of those, the first that has not failed
 * lately. With fallback = "on-not-found" no mirror is passed over, or its word would be
 * missing. */
static struct site *
sites_pick(struct pull *p, unsigned from, bool lacking)
{
	struct site *any = NULL;

	if (p->wish.place)
		return from < p->wish.place ? &p->sites[p->wish.place - 1] : NULL;
	for (unsigned i = from; i < p->n_sites; i++) {
		struct site *s = &p->sites[i];
		if (!may_fall(p, s, lacking))
			continue;
		if (!is_bad(p, s) || p->f->fallback == FALLBACK_ON_NOT_FOUND)
			return s;
		any = any ? any : s;
	}
	return any;
}

struct site *
sites_first(struct pull *p)
{
	return sites_pick(p, p->at, p->at > 0);
}

struct site *
sites_next(const struct site *s, enum err_class code)
{
	struct pull *p = s->pull;
	unsigned next = (unsigned)(s - p->sites) + 1;

	if (s->mirror && code != ERR_NOT_FOUND)
		p->unsure = true;
	struct site *to = sites_pick(p, next, !p->unsure);
	/* What fails once for reasons of its own fails for the rest of the pull, too. */
	if (to && code != ERR_NOT_FOUND && p->at < next)
		p->at = (unsigned)(to - p->sites);
	return to;
}

void
sites_explain(const struct pull *p, char *text, size_t cap)
{
	size_t n = 0, failed = 0;

	for (unsigned i = 0; i < p->n_sites; i++)
		failed += p->sites[i].code != ERR_OK;
	for (unsigned i = 0; i < p->n_sites && n + 1 < cap; i++) {
		const struct site *s = &p->sites[i];
		if (s->code == ERR_OK)
			continue;
		int room = (int)(cap / failed) - 4;
		int wrote = snprintf(text + n, cap - n, "%s%.*s", n ? "; " : "",
		    room > 0 ? room : 0, s->cause);
		n += wrote > 0 ? (size_t)wrote : 0;
	}
}
