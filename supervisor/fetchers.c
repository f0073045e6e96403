/* Fetchers: each with a dial bound to its origin and at most one secret, chosen here and
 * read nowhere on the way. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "common/ref/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct fetch_info *
fetch_info_alloc(void)
{
	struct fetch_info *f = calloc(1, sizeof(*f));

	if (f)
		f->certs = (struct certs){-1, -1};
	return f;
}

static struct fetch_info *
fetch_info_new(const struct msg_want_fetch *w)
{
	struct fetch_info *f = fetch_info_alloc();

	if (!f || !span_to_str(w->host, f->host, sizeof(f->host)) ||
	    !span_to_str(w->repository, f->repository, sizeof(f->repository))) {
		fetch_info_free(f);
		return NULL;
	}
	f->scheme = (enum fetch_scheme)w->scheme;
	f->port = (uint16_t)w->port;
	f->verify = w->verify;
	f->parent = w->parent;
	f->via = w->parent ? w->parent : w->via;
	return f;
}

static int
fetch_url(const struct fetch_info *f, struct url *u)
{
	char text[LIMIT_HOST + 16];
	bool six = strchr(f->host, ':');

	snprintf(text, sizeof(text), "%s%s%s:%u", six ? "[" : "", f->host, six ? "]" : "",
	    f->port);
	return url_parse_authority(span_str(text), f->scheme == SCHEME_HTTPS, u, NULL);
}

/* Whether the fetcher goes to the very registry that the name in an auth file means. */
static bool
is_registry(const struct fetch_info *f, const char *auth_host)
{
	const char *name =
	    strcmp(auth_host, "docker.io") == 0 ? "registry-1.docker.io" : auth_host;
	struct url u;

	return url_parse_authority(span_str(name), f->scheme == SCHEME_HTTPS, &u, NULL) ==
		   0 &&
	       strcmp(u.host, f->host) == 0 && u.port == f->port;
}

/* A secret from files leaves for its own registry, or for the token server of a fetcher
 * that goes there. The frontend may be owned: its word for the origin is not enough. */
static bool
secret_may_go(
    const struct fetch_info *f, const struct room_entry *parent, const char *auth_host)
{
	struct url registry, realm;

	if (!f->parent)
		return is_registry(f, auth_host);
	return parent && parent->fetch && is_registry(parent->fetch, auth_host) &&
	       fetch_url(parent->fetch, &registry) == 0 && fetch_url(f, &realm) == 0 &&
	       url_may_see_secret(&registry, &realm, NULL) == 0;
}

int
fetch_info_give(struct fetch_info *f, enum secret_kind kind, struct span bytes)
{
	f->secret = malloc(bytes.n ? bytes.n : 1);
	if (!f->secret)
		return -ENOMEM;
	if (bytes.n)
		memcpy(f->secret, bytes.p, bytes.n);
	f->secret_size = bytes.n;
	f->secret_kind = kind;
	return 0;
}

/* The host as references spell it: the registry's as this one does, any other's with the
 * port only where the scheme does not imply it. */
static int
certs_name(struct fetch_info *f, const struct msg_want_fetch *w)
{
	size_t cap = sizeof(f->certs_name);
	bool six = strchr(f->host, ':');

	if (span_to_str(w->auth_host, f->certs_name, cap) &&
	    is_registry(f, f->certs_name))
		return 0;
	int n = snprintf(f->certs_name, cap, f->port == 443 ? "%s%s%s" : "%s%s%s:%u",
	    six ? "[" : "", f->host, six ? "]" : "", f->port);
	return n < 0 || (size_t)n >= cap ? -EPROTO : 0;
}

/* Only TLS has a use for them. */
static int
fetch_info_certs(struct supervisor *s, struct fetch_info *f, struct err *e)
{
	if (f->scheme == SCHEME_HTTPS)
		return certs_open("/etc", s->settings.certs, f->certs_name, &f->certs, e);
	f->certs.cas = fd_sealed_memfd("ca", "", 0);
	f->certs.clients = fd_sealed_memfd("clients", "", 0);
	return f->certs.cas < 0 || f->certs.clients < 0
		   ? err_errno(e, ENFILE, "memory for certificates")
		   : 0;
}

/* What the store may record about who has shown access to this pull's layers. */
static int
access_tell(struct supervisor *s, struct pull_entry *p, const struct fetch_info *f)
{
	struct ipc_msg m = IPC_MSG(access, .pull = p->id, .public = f->secret == NULL);
	char origin[LIMIT_HOST + 16];

	/* Of several endpoints those with a secret count: a later word replaces an
	 * earlier one. Who is led elsewhere by an answer has no say. */
	if (f->via || (p->access_told && !f->secret) || !s->store || !s->store->ready ||
	    !s->have_access_key)
		return 0;
	p->access_told = true;
	snprintf(origin, sizeof(origin), "%s:%u", f->host, f->port);
	if (f->secret && secret_proof(s->access_key, origin,
			     span_of(f->secret, f->secret_size), m.access.proof) < 0)
		return -ENOMEM;
	return port_send(&s->store->control, &m);
}

int
access_tell_waiting(struct supervisor *s)
{
	int rc = 0;

	for (struct room_entry *r = s->rooms; r && rc == 0; r = r->next) {
		if (r->profile->room != ROOM_FETCH || r->orphan || !r->fetch)
			continue;
		struct pull_entry *p = pull_find(s, r->pull);
		if (p)
			rc = access_tell(s, p, r->fetch);
	}
	return rc;
}

/* A variable of our own environment; "" = it is not set. */
static const char *
variable(const struct supervisor *s, const char *name)
{
	size_t n = strlen(name);

	for (const char *const *at = s->environment; *at; at++) {
		if (strncmp(*at, name, n) == 0 && (*at)[n] == '=')
			return *at + n + 1;
	}
	return "";
}

/* Programs write both, the lower case first. */
static const char *
either(const struct supervisor *s, const char *small, const char *large)
{
	const char *value = variable(s, small);

	return *value ? value : variable(s, large);
}

struct proxy_rules
proxy_rules_now(const struct supervisor *s)
{
	const struct settings *set = &s->settings;
	bool ours = strcmp(set->proxy, "environment") != 0;

	return (struct proxy_rules){.registry = set->registry_proxies,
	    .http = ours ? set->proxy : either(s, "http_proxy", "HTTP_PROXY"),
	    .https = ours ? set->proxy : either(s, "https_proxy", "HTTPS_PROXY"),
	    .none = ours ? set->no_proxy : either(s, "no_proxy", "NO_PROXY"),
	    .userinfo = !ours};
}

static int
proxy_give(struct fetch_info *f, struct span secret)
{
	if (secret.n > LIMIT_SECRET)
		return -E2BIG;
	f->proxy_secret = malloc(secret.n + 1);
	if (!f->proxy_secret)
		return -ENOMEM;
	if (secret.n)
		memcpy(f->proxy_secret, secret.p, secret.n);
	f->proxy_secret_size = secret.n;
	return 0;
}

/* The way to the origin, and what the proxy on it wants to see: what the environment says
 * before its name, else what the auth files have under its host:port. */
static int
fetch_info_proxy(struct supervisor *s, struct fetch_info *f, struct err *e)
{
	struct proxy_rules rules = proxy_rules_now(s);
	struct candidate c = {0};
	char name[LIMIT_HOST + 16];
	unsigned cursor = 0;
	int r = 0;

	f->proxied =
	    proxy_for(&rules, f->host, f->port, f->scheme == SCHEME_HTTPS, &f->proxy);
	if (!f->proxied)
		return 0;
	snprintf(name, sizeof(name), "%s:%u", f->proxy.host, f->proxy.port);
	if (f->proxy.userinfo.n) {
		char plain[1024];
		size_t n = proxy_userinfo(f->proxy.userinfo, plain, sizeof(plain));
		r = n ? proxy_give(f, span_of(plain, n)) : -EINVAL;
		explicit_bzero(plain, sizeof(plain));
	} else {
		while (!c.secret && secrets_next(&s->secrets, name, "", &cursor, &c))
			;
		if (c.secret && c.secret->kind == SECRET_BASIC)
			r = proxy_give(f, span_of(c.secret->bytes, c.secret->n));
	}
	f->proxy.userinfo = span_of(NULL, 0);
	return r < 0 ? err_errno(e, -r, "the credentials for the proxy %s", name) : 0;
}

static int
fetch_connect(
    struct room_entry *fe, struct room_entry *frontend, const struct fetch_info *info)
{
	struct supervisor *s = fe->s;
	struct err e = {0};
	struct room_entry *dial =
	    room_get(s, ROOM_DIAL, SANDBOX_MODE_PLAIN, fe->pull, fe->token, -1, &e);

	if (!dial) {
		room_refuse(frontend, ROOM_DIAL, fe->pull, fe->token, &e);
		return -EAGAIN;
	}
	dial->fetch = fetch_info_alloc();
	if (!dial->fetch) {
		room_kill(dial);
		return -ENOMEM;
	}
	snprintf(dial->fetch->host, sizeof(dial->fetch->host), "%s", info->host);
	dial->fetch->port = info->port;
	dial->fetch->via = info->via;
	dial->fetch->proxied = info->proxied;
	dial->fetch->proxy = info->proxy;
	int r = rooms_connect(fe, dial, CH_fetch_dial, fe->pull, fe->token);
	if (r == 0 && s->store && !info->parent)
		r = rooms_connect(s->store, fe, CH_fetch_store, fe->pull, fe->token);
	if (r == 0)
		r = rooms_connect(frontend, fe, CH_frontend_fetch, fe->pull, fe->token);
	return r;
}

/* What a fetcher for this origin may not be without: whose secret the asker has a right
 * to. */
static int
fetch_info_check(
    struct supervisor *s, struct fetch_info *f, const struct msg_want_fetch *w)
{
	struct room_entry *parent =
	    f->parent ? room_find(s, ROOM_FETCH, w->pull, f->parent) : NULL;
	char host[301];

	if (w->auth != AUTH_FILES)
		return 0;
	return span_to_str(w->auth_host, host, sizeof(host)) &&
		       secret_may_go(f, parent, host)
		   ? 0
		   : -EPROTO;
}

void
fetcher_begin(
    struct supervisor *s, uint64_t pull, uint64_t fetch, struct fetch_info *info)
{
	struct room_entry *frontend = s->frontend, *fe = NULL;
	struct pull_entry *p = pull_find(s, pull);
	struct err e = {0};

	if (!frontend || !p || access_tell(s, p, info) < 0)
		err_set(&e, ERR_INTERNAL, "its pull has ended");
	else if (fetch_info_certs(s, info, &e) == 0 && fetch_info_proxy(s, info, &e) == 0)
		fe = start_for(frontend, ROOM_FETCH, SANDBOX_MODE_PLAIN, pull, fetch, -1);
	if (e.code && frontend)
		room_refuse(frontend, ROOM_FETCH, pull, fetch, &e);
	if (!fe) {
		fetch_info_free(info);
		return;
	}
	fe->fetch = info;
	if (fetch_connect(fe, frontend, info) < 0)
		room_kill(fe);
}

int
request_want_fetch(struct room_entry *r, struct ipc_msg *m)
{
	const struct msg_want_fetch *w = &m->want_fetch;
	struct supervisor *s = r->s;
	struct pull_entry *p = pulls_full(s, w->pull) ? NULL : pull_get(s, w->pull);
	struct fetch_info *info = fetch_info_new(w);
	enum secret_kind kind =
	    w->secret_kind ? (enum secret_kind)w->secret_kind : SECRET_BASIC;

	if (!p || !info || room_find(s, ROOM_FETCH, w->pull, w->fetch) ||
	    search_find(s, w->pull, w->fetch) || certs_name(info, w) < 0 ||
	    fetch_info_check(s, info, w) < 0 ||
	    (w->auth == AUTH_GIVEN && fetch_info_give(info, kind, w->secret) < 0)) {
		fetch_info_free(info);
		return -EPROTO;
	}
	if (w->auth == AUTH_FILES)
		return search_begin(s, p, info, w);
	fetcher_begin(s, w->pull, w->fetch, info);
	return 0;
}

/* Another fetcher goes on with a layer. Its hash room turns to it only if the one before
 * is lost, whatever is said here. */
static int
claim_anew(struct room_entry *r, struct layer_ends *l)
{
	struct room_entry *hash = room_find(r->s, ROOM_HASH, r->pull, l->token);
	int fds[2];

	if (!hash)
		return -ENOENT;
	int rc = chan_pair(fds);
	if (rc < 0)
		return rc;
	room_give(hash, CH_hash_fetch, r->pull, l->token, fds[0]);
	l->fetch_end = fds[1];
	return 0;
}

int
request_claim(struct room_entry *r, struct ipc_msg *m)
{
	struct pull_entry *p = pull_find(r->s, m->claim.pull);
	struct layer_ends *l = p ? layer_find(p, m->claim.token) : NULL;

	if (m->claim.pull != r->pull || !l || ++l->claims > LIMIT_FEEDS)
		return -EPROTO;
	if (l->fetch_end < 0 && claim_anew(r, l) < 0)
		return 0;
	room_give(r, CH_hash_fetch, r->pull, m->claim.token, fd_steal(&l->fetch_end));
	return 0;
}

/* A token server's answer becomes the secret of the fetcher that it was asked for,
 * unread. */
int
request_token(struct room_entry *r, struct ipc_msg *m)
{
	if (!r->fetch || !r->fetch->parent)
		return -EPROTO;
	struct room_entry *parent =
	    room_find(r->s, ROOM_FETCH, r->pull, r->fetch->parent);
	struct ipc_msg secret =
	    IPC_MSG(secret, .kind = SECRET_BEARER, .secret = m->token.secret);
	return parent && parent->ready ? port_send(&parent->control, &secret) : 0;
}

int
request_address_class(struct room_entry *r, struct ipc_msg *m)
{
	struct room_entry *fe = room_find(r->s, ROOM_FETCH, r->pull, r->token);

	if (fe && fe->fetch) {
		fe->fetch->class_known = true;
		fe->fetch->class = (enum address_floor)m->address_class.class;
	}
	return 0;
}
