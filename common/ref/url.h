/* Absolute http and https URLs, as narrow as a registry needs them.
 *
 * Accepted (RFC 3986 and the host rules of the WHATWG URL standard, which refuse what
 * resolvers read as an odd IPv4 address): a scheme, a host name, dotted quad or bracketed
 * IPv6 literal, an optional port, a path and a query of printable ASCII. Refused:
 * userinfo, fragments, backslashes, spaces, control bytes, zone ids, trailing dots, and
 * numeric hosts that are no plain dotted quad (0x7f.1, 2130706433, 127.1). */
#ifndef BULKHEAD_REF_URL_H
#define BULKHEAD_REF_URL_H

#include "common/base/err.h"
#include "common/base/limits.h"

struct url {
	bool tls;     /* https */
	bool literal; /* the host is an address */
	bool ipv6;    /* an IPv6 literal; host then holds it without brackets */
	uint16_t port;
	char host[LIMIT_HOST + 1];  /* lower case; addresses in their canonical form */
	char target[LIMIT_URL + 1]; /* path and query, verbatim; starts with '/' */
};

/* Parses an absolute URL of at most LIMIT_URL bytes. 0, or negative with the reason. */
int url_parse(struct span text, struct url *u, struct err *e) MUST_CHECK;

/* Parses "host", "host:port", "[v6]", "[v6]:port"; no port means that of the scheme. */
int url_parse_authority(
    struct span text, bool tls, struct url *u, struct err *e) MUST_CHECK;

/* Sets path and query of u. The target must begin with '/' and hold printable ASCII only.
 */
int url_set_target(struct url *u, struct span target, struct err *e) MUST_CHECK;

/* Resolves the value of a Location header: absolute, "//host/path", "/path", "?query", or
 * relative to the directory of base. An empty one is refused. 0, or negative with the
 * reason. */
int url_resolve(const struct url *base, struct span location, struct url *u,
    struct err *e) MUST_CHECK;

/* Whether both have the same scheme, host and port. */
bool url_same_origin(const struct url *a, const struct url *b);

/* Whether an answer of `from` may send us to `to`: never from https to http, and to
 * another origin only on port 80, 443, one above 1023, or the port of `from`. 0, or
 * ERR_NETWORK. The class of the address is judged elsewhere, where the name is resolved.
 */
int url_may_lead(const struct url *from, const struct url *to, struct err *e) MUST_CHECK;

/* Whether a token server may be sent the registry's secret: never from https to http; and
 * only to the registry's own host, or one that shares its last two labels, or from a
 * loopback registry to loopback. Without a secret any server that url_may_lead allows may
 * be asked. 0, or ERR_AUTH. */
int url_may_see_secret(
    const struct url *registry, const struct url *realm, struct err *e) MUST_CHECK;

/* Room for "https://" + host + brackets + port + target. */
#define URL_TEXT_MAX (LIMIT_URL + LIMIT_HOST + 32)

/* The whole URL as text (a default port is left out). Returns dst. */
char *url_format(const struct url *u, char *dst, size_t cap);

/* "https://host[:port]" for messages. Returns dst. */
char *url_origin(const struct url *u, char *dst, size_t cap);

/* Appends "name=value" (percent-encoded, with '?' or '&' before it) to the target. */
int url_add_query(
    struct url *u, const char *name, struct span value, struct err *e) MUST_CHECK;

/* Percent-encodes all but unreserved characters. Bytes needed without the NUL; dst is
 * complete when that is below cap. */
size_t url_encode(struct span text, char *dst, size_t cap);

#endif
