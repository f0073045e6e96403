#include "worker-fetch/fetch/outcome.h"

#include "worker-fetch/fetch/body.h"

#include <stdio.h>

char *
outcome_place(const struct url *url, char dst[OUTCOME_PLACE])
{
	char origin[LIMIT_HOST + 32];
	size_t n = strcspn(url->target, "?");

	snprintf(dst, OUTCOME_PLACE, "%s%.*s", url_origin(url, origin, sizeof(origin)),
	    (int)n, url->target);
	if (strlen(origin) + n >= OUTCOME_PLACE)
		memcpy(dst + OUTCOME_PLACE - 4, "...", 4);
	return dst;
}

static enum err_class
status_class(const struct response *head, const struct error_answer *a)
{
	if (head->status == 401 || head->status == 403 ||
	    strcmp(a->code, "DENIED") == 0 || strcmp(a->code, "UNAUTHORIZED") == 0)
		return ERR_AUTH;
	return head->status == 404 ? ERR_NOT_FOUND : ERR_NETWORK;
}

static void
advice(const struct response *head, char dst[160])
{
	*dst = 0;
	switch (head->status) {
	case 401:
	case 403:
		snprintf(
		    dst, 160, "; the name may be misspelt, or credentials are needed");
		break;
	case 429:
		snprintf(dst, 160, "; too many requests: wait, or log in");
		break;
	case 404:
		break;
	default:
		if (head->status >= 500)
			snprintf(
			    dst, 160, "; the fault is the registry's: try again later");
	}
}

int
outcome_status(
    const struct url *url, const struct response *head, struct span body, struct err *e)
{
	struct error_answer a;
	char place[OUTCOME_PLACE], hint[160];

	error_scan(body, &a);
	advice(head, hint);
	return err_set(e, status_class(head, &a), "%s answers %d%s%s%s%s%s",
	    outcome_place(url, place), head->status, *a.code ? " " : "", a.code,
	    *a.message ? ": " : "", a.message, hint);
}

#define PROXY_LOGIN \
	"; the proxy demands a login: an entry for its host:port in the auth file"
#define OLD "; less than TLS 1.2 is not spoken"
#define NO_TLS                                                                           \
	"; what answers there speaks no TLS: plain HTTP is spoken only with registries " \
	"that are listed in insecure_registries"

/* What libcurl and OpenSSL say, and what it means. */
static const struct hint {
	const char *detail;
	enum err_class code;
	const char *text; /* NULL: what became of our own certificates */
} hints[] = {
    {"asked for a client certificate", ERR_AUTH, NULL},
    {"alert certificate required", ERR_AUTH, NULL},
    {"alert bad certificate", ERR_AUTH, NULL}, /* this and the next: TLS 1.2 */
    {"alert unknown ca", ERR_AUTH, NULL},
    {"CONNECT tunnel failed, response 407", ERR_AUTH, PROXY_LOGIN},
    {"CONNECT tunnel failed", ERR_NETWORK, "; the proxy refuses to connect to it"},
    {"unsupported protocol", ERR_NETWORK, OLD},
    {"alert protocol version", ERR_NETWORK, OLD},
    {"wrong version number", ERR_NETWORK, NO_TLS},
    {"HTTP/0.9", ERR_NETWORK, "; what answers there speaks no HTTP/1.1"},
    {"Out of memory", ERR_NETWORK,
	"; a header of the answer is longer than 100 KiB, or memory is short"},
};

int
outcome_broken(const struct url *url, const char *detail, bool untrusted,
    const struct identity *id, struct err *e)
{
	char place[OUTCOME_PLACE], safe[300], ours[500] = "", origin[LIMIT_HOST + 32];
	struct hint hint = {"", ERR_NETWORK,
	    untrusted
		? "; the certificate is not trusted: add the registry's CA, or verify "
		  "nothing with --tls-verify=false"
		: ""};

	for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
		if (!*hint.detail && strstr(detail, hints[i].detail))
			hint = hints[i];
	}
	span_escape(span_str(detail), safe, sizeof(safe));
	if (!hint.text)
		identity_tell(id,
		    url_origin(url, origin, sizeof(origin)) + strlen("https://"), ours,
		    sizeof(ours));
	return err_set(e, hint.code, "%s: %s%s%s", outcome_place(url, place), safe,
	    hint.text ? hint.text : "; ", ours);
}
