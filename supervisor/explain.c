/* `bulkhead explain`: what only files know that nobody else may see. */
#include "supervisor/supervisor.h"

#include "supervisor/certs.h"

#include <errno.h>
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

/* Where credentials would be looked for, in that order, and nothing of what they are: a
 * helper is not asked. */
static void
tell_credentials(
    struct supervisor *s, uint64_t req, const char *host, const char *repository)
{
	const char *file = s->settings.auth;
	struct candidate at;
	unsigned cursor = 0;
	char text[2048];
	size_t n = 0;

	while (n < sizeof(text) &&
	       secrets_next(&s->secrets, host, repository, &cursor, &at)) {
		const char *of = *file || !at.secret ? file
						     : settings_auth_search(
							   &s->settings, at.secret->file);
		int wrote = snprintf(text + n, sizeof(text) - n, "%s%s \"%s\"%s%.1000s",
		    n ? ", then " : "", at.secret ? "entry" : "helper",
		    at.secret ? at.secret->scope : at.helper, at.secret ? " of " : "",
		    at.secret && of ? of : "");
		n += wrote > 0 ? (size_t)wrote : 0;
	}
	if (!n)
		snprintf(text, sizeof(text), "none%s%.1000s", *file ? " in " : "", file);
	row(s, req, "credentials", text);
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

	if (in->name.n)
		return explain_policy(r->s, in->req, in->name);
	if (!span_to_str(in->auth_host, host, sizeof(host)) ||
	    !span_to_str(in->repository, repository, sizeof(repository)))
		return -EPROTO;
	tell_credentials(r->s, in->req, host, repository);
	tell_certificates(r->s, in->req, host);
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
