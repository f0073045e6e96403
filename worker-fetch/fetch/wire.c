#include "worker-fetch/fetch/wire.h"

#include "common/base/fd.h"
#include "worker-fetch/fetch/connect.h"
#include "worker-fetch/fetch/identity.h"
#include "worker-fetch/fetch/trust.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* TEST-NET-1. Told to connect there whatever the URL says, libcurl resolves nothing and
 * asks for one socket; no packet ever goes to it. */
#define DUMMY_ADDRESS "192.0.2.1"

struct wire {
	CURLM *multi;
	struct wire_events events;
	int sockets[LIMIT_CONNECTIONS]; /* connected, not yet libcurl's */
	unsigned n_sockets, in_use /* libcurl's */, calls;
	bool answered;	     /* a header has come, of any call */
	unsigned unanswered; /* calls that ended before, after a client was asked for */
};

struct wire_call {
	struct wire *wire;
	CURL *easy;
	struct curl_slist *headers, *connect_to, *proxy_headers;
	void *arg;
	struct trust *trust;
	struct identity *identity;
	bool starved;
	char error[CURL_ERROR_SIZE];
};

struct wire *
wire_new(const struct wire_events *events, struct err *e)
{
	struct wire *w = calloc(1, sizeof(*w));

	if (!connect_is_ours())
		err_set(e, ERR_INTERNAL, "libcurl would use the C library's connect()");
	else if (w && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		w->multi = curl_multi_init();
	if (!w || !w->multi) {
		err_set(e, ERR_INTERNAL, "libcurl cannot be initialised");
		free(w);
		return NULL;
	}
	w->events = *events;
	curl_multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)LIMIT_CONNECTIONS);
	return w;
}

void
wire_free(struct wire *w)
{
	curl_multi_cleanup(w->multi);
	for (unsigned i = 0; i < w->n_sockets; i++)
		fd_close(&w->sockets[i]);
	free(w);
	curl_global_cleanup();
}

void
wire_add_socket(struct wire *w, int fd)
{
	if (w->n_sockets == LIMIT_CONNECTIONS)
		fd_close(&fd);
	else
		w->sockets[w->n_sockets++] = fd;
}

unsigned
wire_connections(const struct wire *w)
{
	return w->in_use + w->n_sockets;
}

unsigned
wire_calls(const struct wire *w)
{
	return w->calls;
}

/* ---- callbacks ---- */

static curl_socket_t
hand_out_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct wire_call *c = arg;
	struct wire *w = c->wire;

	if (purpose != CURLSOCKTYPE_IPCXN || !w->n_sockets) {
		c->starved = true;
		return CURL_SOCKET_BAD;
	}
	w->in_use++;
	return w->sockets[--w->n_sockets];
}

static int
take_back_socket(void *arg, curl_socket_t fd)
{
	struct wire *w = arg;

	w->in_use--;
	fd_close(&fd);
	return 0;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct wire_call *c = arg;

	c->wire->answered = true;
	return c->wire->events.header(c->arg, span_of(p, size * n)) ? size * n : 0;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct wire_call *c = arg;
	int r = c->wire->events.body(c->arg, span_of(p, size * n));

	if (r > 0)
		return CURL_WRITEFUNC_PAUSE;
	return r == 0 ? size * n : 0;
}

/* ---- one call ---- */

static bool
add_header(struct curl_slist **list, const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 3;
	char *line = malloc(n);

	if (!line)
		return false;
	snprintf(line, n, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(*list, line);
	explicit_bzero(line, n);
	free(line);
	if (longer)
		*list = longer;
	return longer != NULL;
}

#define SET(option, value) (curl_easy_setopt(c->easy, option, value) == CURLE_OK)

static bool
set_headers(struct wire_call *c, const struct wire_spec *spec)
{
	char range[48];

	if (!add_header(&c->headers, "Accept", spec->accept) ||
	    !add_header(&c->headers, "Accept-Encoding", "identity") ||
	    (spec->authorization &&
		!add_header(&c->headers, "Authorization", spec->authorization)))
		return false;
	int n =
	    snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)spec->from);
	if (spec->until)
		snprintf(range + n, sizeof(range) - (size_t)n, "%llu",
		    (unsigned long long)spec->until - 1);
	if ((spec->from || spec->until) &&
	    (!add_header(&c->headers, "Range", range) ||
		(spec->if_range && !add_header(&c->headers, "If-Range", spec->if_range))))
		return false;
	return SET(CURLOPT_HTTPHEADER, c->headers);
}

/* The proxy's own header goes to nobody else. */
static bool
set_proxy(struct wire_call *c, const struct wire_spec *spec)
{
	if (spec->proxy_authorization &&
	    !add_header(
		&c->proxy_headers, "Proxy-Authorization", spec->proxy_authorization))
		return false;
	return SET(CURLOPT_PROXY, "http://" DUMMY_ADDRESS ":80") &&
	       SET(CURLOPT_NOPROXY, "") &&
	       SET(CURLOPT_HTTPPROXYTUNNEL, spec->url->tls ? 1L : 0L) &&
	       SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
	       SET(CURLOPT_PROXYHEADER, c->proxy_headers) &&
	       SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
}

static bool
set_no_proxy(struct wire_call *c)
{
	c->connect_to = curl_slist_append(NULL, "::" DUMMY_ADDRESS ":");
	return c->connect_to && SET(CURLOPT_CONNECT_TO, c->connect_to) &&
	       SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*");
}

static bool
set_connection(struct wire_call *c, const struct wire_spec *spec)
{
	return (spec->proxied ? set_proxy(c, spec) : set_no_proxy(c)) &&
	       SET(CURLOPT_OPENSOCKETFUNCTION, hand_out_socket) &&
	       SET(CURLOPT_OPENSOCKETDATA, c) &&
	       SET(CURLOPT_CLOSESOCKETFUNCTION, take_back_socket) &&
	       SET(CURLOPT_CLOSESOCKETDATA, c->wire) &&
	       SET(CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4) &&
	       SET(CURLOPT_CONNECTTIMEOUT_MS, (long)spec->connect_ms) &&
	       SET(CURLOPT_PROTOCOLS_STR, spec->url->tls ? "https" : "http") &&
	       SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
}

static CURLcode
on_ssl_ctx(CURL *easy, void *ssl_ctx, void *arg)
{
	const struct wire_call *c = arg;

	if (c->trust)
		trust_apply(c->trust, ssl_ctx);
	identity_apply(c->identity, ssl_ctx);
	return CURLE_OK;
}

static bool
set_tls(struct wire_call *c, const struct wire_spec *spec)
{
	return SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       SET(CURLOPT_SSL_VERIFYPEER, spec->trust ? 1L : 0L) &&
	       SET(CURLOPT_SSL_VERIFYHOST, spec->trust ? 2L : 0L) &&
	       SET(CURLOPT_CAINFO, NULL) && SET(CURLOPT_CAPATH, NULL) &&
	       SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx) && SET(CURLOPT_SSL_CTX_DATA, c);
}

static bool
set_request(struct wire_call *c, const struct wire_spec *spec)
{
	char url[URL_TEXT_MAX];

	return SET(CURLOPT_URL, url_format(spec->url, url, sizeof(url))) &&
	       SET(CURLOPT_PATH_AS_IS, 1L) && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       SET(CURLOPT_HTTP09_ALLOWED, 0L) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	       SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       SET(CURLOPT_ACCEPT_ENCODING, NULL) &&
	       SET(CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION) &&
	       SET(CURLOPT_ERRORBUFFER, c->error) && SET(CURLOPT_PRIVATE, c) &&
	       SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, c) &&
	       SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, c) &&
	       SET(CURLOPT_BUFFERSIZE, 256L << 10) &&
	       (!spec->form || SET(CURLOPT_COPYPOSTFIELDS, spec->form));
}

struct wire_call *
wire_call_start(struct wire *w, const struct wire_spec *spec)
{
	struct wire_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->wire = w;
	c->arg = spec->arg;
	c->trust = spec->trust;
	c->identity = spec->identity;
	c->easy = curl_easy_init();
	w->calls++;
	if (!c->easy || !set_request(c, spec) || !set_connection(c, spec) ||
	    (spec->url->tls && !set_tls(c, spec)) || !set_headers(c, spec) ||
	    curl_multi_add_handle(w->multi, c->easy) != CURLM_OK) {
		wire_call_free(c);
		return NULL;
	}
	return c;
}

void
wire_call_resume(struct wire_call *c)
{
	curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

void
wire_call_free(struct wire_call *c)
{
	if (!c)
		return;
	if (c->easy) {
		curl_multi_remove_handle(c->wire->multi, c->easy);
		curl_easy_cleanup(c->easy);
	}
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->connect_to);
	curl_slist_free_all(c->proxy_headers);
	c->wire->calls--;
	free(c);
}

/* ---- the round ---- */

/* A TLS 1.3 server that does not like its client says so after the client's part of the
 * handshake and closes; whether the alert or the reset arrives first is luck, and libcurl
 * may have tried once more by itself. Twice is no accident. */
static bool
client_refused(struct wire_call *c, CURLcode rc)
{
	struct wire *w = c->wire;

	if (rc == CURLE_OK || w->answered || !c->identity || !identity_asked(c->identity))
		return false;
	return ++w->unanswered > 1;
}

/* Whether another connection may do better. A server that speaks no TLS or has a bad
 * certificate stays so. */
static enum wire_end
end_of(const struct wire_call *c, CURLcode rc)
{
	if (c->starved)
		return WIRE_STARVED;
	switch (rc) {
	case CURLE_OK:
		return WIRE_OK;
	case CURLE_RECV_ERROR:
		/* What a proxy refuses it refuses again. */
		if (strstr(c->error, "CONNECT"))
			return WIRE_FAILED;
		return WIRE_BROKEN;
		/* TLS 1.3 tells it after the handshake. */
		return strstr(c->error, "certificate required") ? WIRE_FAILED
								: WIRE_BROKEN;
	case CURLE_COULDNT_CONNECT:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return WIRE_BROKEN;
	case CURLE_SSL_CONNECT_ERROR:
		/* Where nothing is verified the server may speak no TLS at all, and the
		 * caller wants to know that at once. */
		return c->trust &&
			       (strstr(c->error, "SYSCALL") || strstr(c->error, "reset"))
			   ? WIRE_BROKEN
			   : WIRE_FAILED;
	case CURLE_PEER_FAILED_VERIFICATION:
		return WIRE_UNTRUSTED;
	default:
		return WIRE_FAILED;
	}
}

int
wire_perform(struct wire *w)
{
	CURLMsg *m;
	int n;

	if (curl_multi_perform(w->multi, &n) != CURLM_OK)
		return -EIO;
	while ((m = curl_multi_info_read(w->multi, &n))) {
		struct wire_call *c = NULL;
		CURLcode rc = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		if (client_refused(c, rc))
			w->events.ended(c->arg, WIRE_FAILED,
			    "it asked for a client certificate and then closed the "
			    "connection");
		else
			w->events.ended(c->arg, end_of(c, rc),
			    *c->error ? c->error : curl_easy_strerror(rc));
	}
	return 0;
}

int
wire_poll(struct wire *w, struct pollfd *extra, size_t n, int timeout_ms)
{
	struct curl_waitfd fds[WIRE_EXTRA];

	if (n > ARRAY_LEN(fds))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		fds[i] =
		    (struct curl_waitfd){.fd = extra[i].fd, .events = extra[i].events};
	if (curl_multi_poll(w->multi, fds, (unsigned)n, timeout_ms, NULL) != CURLM_OK)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		extra[i].revents = fds[i].revents;
	return 0;
}
