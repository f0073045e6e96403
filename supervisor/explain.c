/* `bulkhead explain`: what only files know that nobody else may see. */
#include "supervisor/supervisor.h"

#include "common/ref/url.h"
#include "supervisor/certs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
row(struct supervisor *s, uint64_t req, const char *key, const char *value)
{
	struct ipc_msg m = IPC_MSG(
	    status_row, .req = req, .key = span_str(key), .value = span_str(value));

	if (s->frontend)
		port_send(&s->frontend->control, &m);
}

static void
end(struct supervisor *s, uint64_t req, enum err_class code, const char *text)
{
	struct ipc_msg m =
	    IPC_MSG(status_end, .req = req, .code = code, .text = span_str(text));

	if (s->frontend)
		port_send(&s->frontend->control, &m);
}

/* A list of places, "first, then second". */
struct places {
	char text[2048];
	size_t n;
};

static void PRINTF(2, 3) place_add(struct places *p, const char *fmt, ...)
{
	va_list ap;

	if (p->n)
		p->n +=
		    (size_t)snprintf(p->text + p->n, sizeof(p->text) - p->n, ", then ");
	va_start(ap, fmt);
	int n = vsnprintf(p->text + p->n, sizeof(p->text) - p->n, fmt, ap);
	va_end(ap);
	p->n += n > 0 ? (size_t)n : 0;
	if (p->n > sizeof(p->text) - 16) /* the rest is not told */
		p->n = sizeof(p->text) - 16;
}

static const char *
auth_file(const struct supervisor *s, unsigned i)
{
	const char *path =
	    *s->settings.auth ? s->settings.auth : settings_auth_search(&s->settings, i);

	return path ? path : "an auth file";
}

static void
place_of(const struct supervisor *s, const struct candidate *at, struct places *p)
{
	static const char *const keys[] = {[HELPER_OF_SERVER] = "credHelpers",
	    [HELPER_OF_ALL] = "credsStore",
	    [HELPER_LISTED] = "credential-helpers"};

	if (at->secret)
		place_add(p, "entry \"%.300s\" of %.500s", at->secret->scope,
		    auth_file(s, at->secret->file));
	else
		place_add(p,
		    "docker-credential-%s, asked for \"%.300s\" (%s of %.500s)%s",
		    at->helper, at->server, keys[at->named],
		    at->named == HELPER_LISTED ? "registries.conf"
					       : auth_file(s, at->file),
		    *s->settings.helper_dir
			? ""
			: ", but none is run: credential_helper_dir is \"\"");
}

/* Where credentials would be looked for, in that order, and nothing of what they are: no
 * helper is asked. */
static void
tell_credentials(
    struct supervisor *s, uint64_t req, const char *host, const char *repository)
{
	struct places p = {.n = 0};
	struct candidate at;
	unsigned cursor = 0;

	while (secrets_next(&s->secrets, host, repository, &cursor, &at))
		place_of(s, &at, &p);
	if (!p.n)
		place_add(&p, "none%s%.1000s", *s->settings.auth ? " in " : "",
		    s->settings.auth);
	row(s, req, "credentials", p.text);
}

/* Which file a pull for a pod's namespace looks into before all others. */
static void
tell_own(struct supervisor *s, uint64_t req, struct span name)
{
	char own[LIMIT_NAME + 16], path[LIMIT_PATH + LIMIT_NAMESPACE + 96];
	const uint8_t *slash = name.n ? memrchr(name.p, '/', name.n) : NULL;
	size_t n = slash ? (size_t)(slash - name.p) : 0;

	while (n < name.n && name.p[n] != ':' && name.p[n] != '@')
		n++;
	snprintf(own, sizeof(own), "namespace/%.*s", (int)n, (const char *)name.p);
	if (own_path(s, span_str(own), path, sizeof(path)))
		row(s, req, "auth file of a namespace", path);
}

/* Who stands between us and the place, and by whose word. A login is masked. */
static char *
proxy_text(
    const struct supervisor *s, const struct url *u, bool tls, char *dst, size_t cap)
{
	bool ours = strcmp(s->settings.proxy, "environment") != 0;
	struct proxy_rules rules = proxy_rules_now(s);
	struct proxy_choice why;
	struct proxy proxy;
	char by[800], place[LIMIT_HOST + 32] = "none";

	if (proxy_choose(&rules, u->host, u->port, tls, &proxy, &why)) {
		bool six = strchr(proxy.host, ':');
		snprintf(place, sizeof(place), "http://%s%s%s%s:%u",
		    proxy.userinfo.n ? "***@" : "", six ? "[" : "", proxy.host,
		    six ? "]" : "", proxy.port);
	} else if (why.by == PROXY_OF_ALL) {
		snprintf(dst, cap, "none");
		return dst;
	}
	int n = (int)(why.entry.n < 700 ? why.entry.n : 700);
	snprintf(by, sizeof(by), "%s%.*s",
	    why.by == PROXY_RULE       ? "registry_proxies: "
	    : why.by == PROXY_LOOPBACK ? "a loopback address"
	    : why.by == PROXY_EXEMPT
		? ours ? "no_proxy: " : "NO_PROXY of the environment: "
	    : ours ? "proxy"
	    : tls  ? "HTTPS_PROXY of the environment"
		   : "HTTP_PROXY of the environment",
	    n, n ? (const char *)why.entry.p : "");
	snprintf(dst, cap, "%s (%s)", place, by);
	return dst;
}

/* Where https is spoken and where plain HTTP, if that makes a difference. */
static void
tell_proxy(struct supervisor *s, uint64_t req, const char *host)
{
	bool hub = strcmp(host, "docker.io") == 0;
	char tls[1000], plain[1000], text[2048];
	struct url u;

	if (url_parse_authority(
		span_str(hub ? "registry-1.docker.io" : host), true, &u, NULL) < 0)
		return;
	proxy_text(s, &u, true, tls, sizeof(tls));
	proxy_text(s, &u, false, plain, sizeof(plain));
	bool same = strcmp(tls, plain) == 0;
	snprintf(text, sizeof(text), "%s%s%s", tls,
	    same ? "" : "; by plain HTTP: ", same ? "" : plain);
	row(s, req, "proxy", text);
}

static void
tell_certificates(struct supervisor *s, uint64_t req, const char *host)
{
	char place[LIMIT_PATH + LIMIT_HOST + 64], text[2048];

	certs_place("/etc", s->settings.certs, host, place, sizeof(place));
	snprintf(text, sizeof(text), "the system's%s%.1000s%s%.900s",
	    *s->settings.certs ? ", " : "", s->settings.certs, *place ? ", " : "", place);
	row(s, req, "certificates", text);
}

/* Only a verdict room looks into a policy. */
static int
explain_policy(struct supervisor *s, uint64_t req, struct span name)
{
	struct err e = {0};

	if (s->policy.fd < 0) {
		row(s, req, "policy", s->policy.problem.text);
		end(s, req, ERR_OK, "");
		return 0;
	}
	struct room_entry *r =
	    room_start(s, ROOM_VERDICT, SANDBOX_MODE_PLAIN, 0, req, -1, &e);
	if (!r) {
		end(s, req, e.code, e.text);
		return 0;
	}
	r->explain = strndup((const char *)name.p, name.n);
	return r->explain ? 0 : -ENOMEM;
}

int
request_look_up(struct room_entry *r, struct ipc_msg *m)
{
	const struct msg_look_up *in = &m->look_up;
	char host[301], repository[LIMIT_REPOSITORY + 1];

	if (in->name.n) {
		tell_own(r->s, in->req, in->name);
		return explain_policy(r->s, in->req, in->name);
	}
	if (!span_to_str(in->auth_host, host, sizeof(host)) ||
	    !span_to_str(in->repository, repository, sizeof(repository)))
		return -EPROTO;
	tell_credentials(r->s, in->req, host, repository);
	tell_certificates(r->s, in->req, host);
	tell_proxy(r->s, in->req, host);
	end(r->s, in->req, ERR_OK, "");
	return 0;
}

void
explained(struct room_entry *r, const struct msg_policy_read *m)
{
	char text[1025];

	if (!r->explain || !span_to_str(m->text, text, sizeof(text)))
		return;
	row(r->s, r->token, "policy", text);
	end(r->s, r->token, ERR_OK, "");
	free(r->explain);
	r->explain = NULL;
	r->idle = r->counted = true; /* its end is nobody's business */
	room_kill(r);
}

void
explain_gone(struct room_entry *r)
{
	if (!r->explain)
		return;
	end(r->s, r->token, ERR_INTERNAL,
	    "the verdict room ended before it could tell what the policy says");
	free(r->explain);
	r->explain = NULL;
}
