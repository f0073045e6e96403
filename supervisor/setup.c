/* The first messages of a room that has said HELLO. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/files.h"

#include <errno.h>
#include <stdio.h>

static int
setup_store(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct ipc_msg m = IPC_MSG(setup_store,
	    .graph_root = span_str(s->settings.graph_root),
	    .run_root = span_str(s->settings.run_root),
	    .max_layer = s->settings.max_layer, .max_image = s->settings.max_image,
	    .policy_file = span_str(s->policy.path), .sweep_only = s->sweeping,
	    .pins = span_str(s->settings.pins), .max_layers = s->settings.max_layers,
	    .max_layers_pull = s->settings.max_layers_pull,
	    .durability = s->settings.durability, .check_rate = s->settings.check_rate);

	memcpy(m.setup_store.policy, s->policy.sha256, sizeof(m.setup_store.policy));
	int rc = port_send(&r->control, &m);
	if (rc == 0 && !s->settings.embedded) {
		daemon_serves(s, r);
		daemon_check_ask(s, r);
	}
	return rc;
}

static int
setup_rules(struct room_entry *r, const char *list, enum setting_id key, unsigned flags)
{
	int rc = 0;

	for (const char *at = list; *at && rc == 0;) {
		size_t n = strcspn(at, "\n");
		struct ipc_msg m = IPC_MSG(registry, .kind = REGISTRY_RULE,
		    .flags = flags, .name = span_of(at, n),
		    .value = span_str(setting_info(key)->key));
		rc = port_send(&r->control, &m);
		at += n + (at[n] != 0);
	}
	return rc;
}

/* They hold from the setup_frontend that follows them. */
static int
setup_registries(struct room_entry *r)
{
	const struct registry_rows *all = &r->s->registries;
	const struct settings *set = &r->s->settings;

	int rc = setup_rules(
	    r, set->insecure, KEY_insecure_registries, INSECURE_HTTP | INSECURE_TLS);
	if (rc == 0)
		rc = setup_rules(
		    r, set->plain_http, KEY_plain_http_registries, INSECURE_HTTP);
	if (rc == 0)
		rc = setup_rules(
		    r, set->unverified_tls, KEY_unverified_tls_registries, INSECURE_TLS);

	for (unsigned i = 0; i < all->n && rc == 0; i++) {
		const struct registry_text *row = &all->rows[i];
		struct ipc_msg m =
		    IPC_MSG(registry, .kind = row->kind, .flags = row->flags,
			.name = span_str(row->name), .value = span_str(row->value));
		rc = port_send(&r->control, &m);
	}
	return rc;
}

/* Where credentials may come from, for people. */
static const char *
auth_files(const struct settings *s, char *dst, size_t cap)
{
	const char *path;
	size_t n = 0;

	if (*s->auth)
		return s->auth;
	*dst = 0;
	for (unsigned i = 0; n < cap && (path = settings_auth_search(s, i)); i++)
		n += (size_t)snprintf(dst + n, cap - n, "%s%s", i ? ", " : "", path);
	return dst;
}

int
setup_frontend(struct room_entry *r)
{
	struct supervisor *s = r->s;
	char files[LIMIT_PATH + 1];
	struct ipc_msg m = IPC_MSG(setup_frontend, .embedded = s->settings.embedded,
	    /* Bytes that cannot be used are for the verdict rooms to refuse with. */
	    .policy_problem = span_str(s->policy.fd < 0 ? s->policy.problem.text : ""),
	    .auth_file = span_str(auth_files(&s->settings, files, sizeof(files))),
	    .log_level = s->settings.log_level, .pins = span_str(s->settings.pins),
	    .max_message = s->settings.max_message, .max_pulls = s->settings.max_pulls,
	    .max_pulls_namespace = s->settings.max_pulls_namespace,
	    .progress_seconds = s->settings.progress_seconds,
	    .retries = s->settings.retries, .retry_after = s->settings.retry_after,
	    .fallback = s->settings.fallback, .generation = s->daemon.generation,
	    .restarts = s->daemon.frontend.count);

	int rc = setup_registries(r);
	return rc < 0 ? rc : port_send(&r->control, &m);
}

static int
setup_fetch(struct room_entry *r)
{
	struct fetch_info *f = r->fetch;
	struct ipc_msg m = IPC_MSG(setup_fetch, .pull = r->pull, .fetch = r->token,
	    .scheme = f->scheme, .host = span_str(f->host), .port = f->port,
	    .repository = span_str(f->repository), .verify = f->verify,
	    /* A registry token is not waited for: it counts as the first token there. */
	    .secret = f->secret && f->secret_kind != SECRET_BEARER,
	    .ranges = r->s->settings.ranges, .proxy = f->proxied,
	    .proxy_secret = span_of(f->proxy_secret, f->proxy_secret_size));

	m.fds[0] = f->certs.cas;
	m.fds[1] = f->certs.clients;
	m.nfds = 2;
	int rc = port_send(&r->control, &m);
	if (rc == 0 && f->secret) {
		struct ipc_msg secret = IPC_MSG(secret, .kind = f->secret_kind,
		    .secret = span_of(f->secret, f->secret_size));
		rc = port_send(&r->control, &secret);
	}
	certs_close(&f->certs);
	return rc;
}

/* Whoever another's answer has led to may be no less public than where that answer came
 * from; what a name leads to by itself may be anywhere. */
static enum address_floor
floor_of(struct room_entry *dial)
{
	uint64_t via = dial->fetch->via;
	struct room_entry *from =
	    via ? room_find(dial->s, ROOM_FETCH, dial->pull, via) : NULL;

	if (!via)
		return FLOOR_LOOPBACK;
	return from && from->fetch && from->fetch->class_known ? from->fetch->class
							       : FLOOR_PUBLIC;
}

/* A proxy is root's choice: the rules for addresses are for where it leads. */
static int
setup_dial(struct room_entry *r)
{
	const struct fetch_info *f = r->fetch;
	struct ipc_msg m = IPC_MSG(setup_dial,
	    .host = span_str(f->proxied ? f->proxy.host : f->host),
	    .port = f->proxied ? f->proxy.port : f->port, .address_floor = floor_of(r),
	    .origin = span_str(f->proxied ? f->host : ""));

	return port_send(&r->control, &m);
}

static int
setup_verdict(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct ipc_msg m = IPC_MSG(setup_verdict, .policy_file = span_str(s->policy.path),
	    .explain = span_str(r->explain ? r->explain : ""));

	if (s->policy.fd < 0)
		return -EIO;
	memcpy(m.setup_verdict.policy, s->policy.sha256, sizeof(m.setup_verdict.policy));
	m.fds[0] = s->policy.fd;
	m.nfds = 1;
	return port_send(&r->control, &m);
}

/* Clients come after the channel to the store: the first of them is not to be told that
 * there is none. */
void
room_begun(struct room_entry *r)
{
	if (r != r->s->frontend || r->s->settings.embedded)
		return;
	daemon_serve(r->s);
	daemon_check_ask(r->s, r);
}

int
room_setup(struct room_entry *r)
{
	switch (r->profile->room) {
	case ROOM_STORE:
		return setup_store(r);
	case ROOM_FRONTEND:
		return setup_frontend(r);
	case ROOM_FETCH:
		return setup_fetch(r);
	case ROOM_DIAL:
		return setup_dial(r);
	case ROOM_VERDICT:
		return setup_verdict(r);
	case ROOM_HELPER:
	case ROOM_CONF:
		return search_setup(r);
	default:
		return 0;
	}
}
