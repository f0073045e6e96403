#include "common/ref/url.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static int
refuse(struct err *e, struct span text, const char *why)
{
	char shown[160];

	return err_set(e, ERR_NETWORK, "URL \"%s\" refused: %s",
	    span_escape(text, shown, sizeof(shown)), why);
}

/* Every byte that may stand anywhere in a URL. '#' would be a fragment, '\\' is a path
 * separator to some parsers only, the rest may end a header line or hide in a log. */
static bool
url_bytes_ok(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#' || c == '"' ||
		    c == '<' || c == '>')
			return false;
	}
	return true;
}

/* Whether the last label reads as a number to inet_aton: then the host must be a dotted
 * quad. */
static bool
ends_in_number(struct span host)
{
	size_t at = host.n;

	while (at > 0 && host.p[at - 1] != '.')
		at--;
	struct span last = span_from(host, at);
	bool digits = true;
	for (size_t i = 0; i < last.n; i++)
		digits &= is_digit(last.p[i]);
	return digits || (last.n >= 2 && last.p[0] == '0' && lower(last.p[1]) == 'x');
}

/* A host name: labels of letters, digits, '-' and '_' (which registries do use), each 1
 * to 63 bytes, none with a hyphen at an end, no trailing dot. */
static bool
host_name_ok(struct span host)
{
	size_t label = 0;

	for (size_t i = 0; i < host.n; i++) {
		uint8_t c = host.p[i];
		if (c == '.') {
			if (!label || host.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_alnum(c) && c != '-' && c != '_')
			return false;
		if ((c == '-' && !label) || ++label > 63)
			return false;
	}
	return label && host.p[host.n - 1] != '-';
}

static bool
host_set_name(struct url *u, struct span host)
{
	struct in_addr v4;

	if (host.n > LIMIT_HOST || !host_name_ok(host))
		return false;
	for (size_t i = 0; i < host.n; i++)
		u->host[i] = (char)lower(host.p[i]);
	u->host[host.n] = 0;
	if (!ends_in_number(host))
		return true;
	u->literal = inet_pton(AF_INET, u->host, &v4) == 1;
	return u->literal;
}

static bool
host_set_ipv6(struct url *u, struct span literal)
{
	struct in6_addr v6;
	char text[INET6_ADDRSTRLEN];

	/* inet_pton takes no zone id: fe80::1%eth0 ends here. */
	if (!span_to_str(literal, text, sizeof(text)) ||
	    inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	u->literal = true;
	u->ipv6 = true;
	return inet_ntop(AF_INET6, &v6, u->host, sizeof(u->host));
}

static bool
port_set(struct url *u, struct span digits)
{
	unsigned port = 0;

	if (digits.n < 1 || digits.n > 5 || digits.p[0] == '0')
		return false;
	for (size_t i = 0; i < digits.n; i++) {
		if (!is_digit(digits.p[i]))
			return false;
		port = port * 10 + (digits.p[i] - '0');
	}
	u->port = (uint16_t)port;
	return port <= UINT16_MAX;
}

static int
authority_set(struct url *u, struct span authority, struct span whole, struct err *e)
{
	struct span host = authority;
	struct span port = {NULL, 0};

	if (memchr(authority.p, '@', authority.n))
		return refuse(e, whole, "it holds a user name");
	if (authority.n && authority.p[0] == '[') {
		const uint8_t *end = memchr(authority.p, ']', authority.n);
		if (!end)
			return refuse(e, whole, "a bracket is not closed");
		host = span_of(authority.p + 1, (size_t)(end - authority.p) - 1);
		port = span_from(authority, host.n + 2);
		if (!host_set_ipv6(u, host))
			return refuse(e, whole, "no IPv6 address between the brackets");
	} else {
		const uint8_t *colon = memchr(authority.p, ':', authority.n);
		if (colon)
			host.n = (size_t)(colon - authority.p);
		port = span_from(authority, host.n);
		if (!host_set_name(u, host))
			return refuse(e, whole,
			    "the host is neither a plain name nor a plain address");
	}
	u->port = u->tls ? 443 : 80;
	if (port.n && (port.p[0] != ':' || !port_set(u, span_from(port, 1))))
		return refuse(e, whole, "the port is not a number from 1 to 65535");
	return 0;
}

/* Length of "scheme:" (RFC 3986 3.1) at the start, 0 when there is none. */
static size_t
scheme_len(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == ':')
			return i ? i + 1 : 0;
		if (!is_alnum(c) && (i == 0 || (c != '+' && c != '-' && c != '.')))
			return 0;
	}
	return 0;
}

static bool
scheme_is(struct span text, const char *scheme)
{
	for (size_t i = 0; scheme[i]; i++) {
		if (i >= text.n || lower(text.p[i]) != (uint8_t)scheme[i])
			return false;
	}
	return true;
}

/* "//authority/path?query" with the scheme already in u. */
static int
hierarchy_parse(struct span rest, struct span whole, struct url *u, struct err *e)
{
	if (rest.n < 2 || rest.p[0] != '/' || rest.p[1] != '/')
		return refuse(e, whole, "no // after the scheme");
	rest = span_from(rest, 2);
	size_t end = 0;
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	int r = authority_set(u, span_of(rest.p, end), whole, e);
	if (r < 0)
		return r;
	return url_set_target(u, span_from(rest, end), e);
}

int
url_parse(struct span text, struct url *u, struct err *e)
{
	memset(u, 0, sizeof(*u));
	if (text.n > LIMIT_URL)
		return refuse(e, text, "it is too long");
	if (!url_bytes_ok(text))
		return refuse(
		    e, text, "it holds a byte or a fragment that has no place there");
	u->tls = scheme_is(text, "https:");
	if (!u->tls && !scheme_is(text, "http:"))
		return refuse(e, text, "neither http nor https");
	return hierarchy_parse(span_from(text, scheme_len(text)), text, u, e);
}

int
url_parse_authority(struct span text, bool tls, struct url *u, struct err *e)
{
	memset(u, 0, sizeof(*u));
	u->tls = tls;
	memcpy(u->target, "/", 2);
	if (text.n > LIMIT_HOST + 8 || !url_bytes_ok(text))
		return refuse(e, text, "not a host name or address");
	return authority_set(u, text, text, e);
}

int
url_set_target(struct url *u, struct span target, struct err *e)
{
	size_t slash = target.n == 0 || target.p[0] == '?';

	if (target.n + slash > LIMIT_URL)
		return refuse(e, target, "it is too long");
	if (!url_bytes_ok(target) || (!slash && target.p[0] != '/'))
		return refuse(e, target, "not a path");
	u->target[0] = '/';
	if (target.n)
		memcpy(u->target + slash, target.p, target.n);
	u->target[target.n + slash] = 0;
	return 0;
}

/* RFC 3986 5.2.4 on the path in buf (which starts with '/'), in place; the query stays.
 */
static void
remove_dot_segments(char *buf)
{
	size_t path = strcspn(buf, "?");
	size_t in = 0, out = 0;

	while (in < path) {
		size_t len = 1; /* the slash and the segment after it */
		while (in + len < path && buf[in + len] != '/')
			len++;
		bool dot = len == 2 && buf[in + 1] == '.';
		bool dots = len == 3 && buf[in + 1] == '.' && buf[in + 2] == '.';
		if (dots) {
			while (out > 0 && buf[--out] != '/')
				;
		} else if (!dot) {
			memmove(buf + out, buf + in, len);
			out += len;
		}
		in += len;
		if ((dot || dots) && in == path)
			buf[out++] = '/'; /* "/a/.." names the directory "/" */
	}
	if (!out)
		buf[out++] = '/';
	memmove(buf + out, buf + path, strlen(buf + path) + 1);
}

/* A reference without scheme and authority: "/path", "?query" or "name". */
static int
resolve_path(const struct url *base, struct span ref, struct url *u, struct err *e)
{
	size_t keep = 0;
	char merged[LIMIT_URL + 1];

	if (ref.p[0] == '?') {
		keep = strcspn(base->target, "?");
	} else if (ref.p[0] != '/') {
		for (size_t i = 0; base->target[i] && base->target[i] != '?'; i++) {
			if (base->target[i] == '/')
				keep = i + 1;
		}
	}
	if (keep + ref.n > LIMIT_URL)
		return refuse(e, ref, "it is too long");
	*u = *base;
	memcpy(merged, base->target, keep);
	memcpy(merged + keep, ref.p, ref.n);
	merged[keep + ref.n] = 0;
	if (ref.p[0] != '?' && ref.p[0] != '/')
		remove_dot_segments(merged);
	return url_set_target(u, span_str(merged), e);
}

int
url_resolve(const struct url *base, struct span location, struct url *u, struct err *e)
{
	if (!location.n)
		return err_set(e, ERR_NETWORK, "the redirect has an empty Location");
	if (location.n > LIMIT_URL)
		return refuse(e, location, "it is too long");
	if (!url_bytes_ok(location))
		return refuse(
		    e, location, "it holds a byte or a fragment that has no place there");
	if (scheme_len(location))
		return url_parse(location, u, e);
	if (!span_starts(location, "//"))
		return resolve_path(base, location, u, e);
	memset(u, 0, sizeof(*u));
	u->tls = base->tls;
	return hierarchy_parse(location, location, u, e);
}

bool
url_same_origin(const struct url *a, const struct url *b)
{
	return a->tls == b->tls && a->port == b->port && a->ipv6 == b->ipv6 &&
	       strcmp(a->host, b->host) == 0;
}

int
url_may_lead(const struct url *from, const struct url *to, struct err *e)
{
	char a[LIMIT_HOST + 32], b[LIMIT_HOST + 32];

	if (url_same_origin(from, to))
		return 0;
	url_origin(from, a, sizeof(a));
	url_origin(to, b, sizeof(b));
	if (from->tls && !to->tls)
		return err_set(e, ERR_NETWORK,
		    "%s leads to %s: from https to http is never followed", a, b);
	/* Mail, shell and other old services would read our request as theirs. */
	if (to->port < 1024 && to->port != 80 && to->port != 443 &&
	    to->port != from->port)
		return err_set(e, ERR_NETWORK,
		    "%s leads to %s: port %u is not one of the web's", a, b, to->port);
	return 0;
}

char *
url_origin(const struct url *u, char *dst, size_t cap)
{
	const char *open = u->ipv6 ? "[" : "", *close = u->ipv6 ? "]" : "";
	char port[8] = "";

	if (u->port != (u->tls ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", u->port);
	snprintf(dst, cap, "%s://%s%s%s%s", u->tls ? "https" : "http", open, u->host,
	    close, port);
	return dst;
}

char *
url_format(const struct url *u, char *dst, size_t cap)
{
	size_t n;

	url_origin(u, dst, cap);
	n = strlen(dst);
	snprintf(dst + n, cap - n, "%s", u->target);
	return dst;
}

size_t
url_encode(struct span text, char *dst, size_t cap)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		bool plain = is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
		char out[3] = {plain ? (char)c : '%', hex[c >> 4], hex[c & 15]};
		for (size_t k = 0; k < (plain ? 1u : 3u); k++, n++) {
			if (n < cap)
				dst[n] = out[k];
		}
	}
	if (n < cap)
		dst[n] = 0;
	else if (cap)
		dst[cap - 1] = 0;
	return n;
}

int
url_add_query(struct url *u, const char *name, struct span value, struct err *e)
{
	size_t at = strlen(u->target);
	size_t room = sizeof(u->target) - at;
	char mark = strchr(u->target, '?') ? '&' : '?';
	int n = snprintf(u->target + at, room, "%c%s=", mark, name);

	if (n > 0 && (size_t)n < room &&
	    url_encode(value, u->target + at + n, room - (size_t)n) < room - (size_t)n)
		return 0;
	u->target[at] = 0;
	return err_set(
	    e, ERR_NETWORK, "the URL grows too long with its parameter %s", name);
}

/* Addresses are kept in their canonical form. */
static bool
is_loopback(const struct url *u)
{
	if (!u->literal)
		return strcmp(u->host, "localhost") == 0;
	return strncmp(u->host, "127.", 4) == 0 || strcmp(u->host, "::1") == 0;
}

/* The last two labels of a host name ("gcr.io" of "eu.gcr.io"); the whole of a shorter
 * one. */
static const char *
last_two_labels(const char *host)
{
	const char *at = host + strlen(host);

	for (int dots = 0; at > host; at--) {
		if (at[-1] == '.' && ++dots == 2)
			break;
	}
	return at;
}

int
url_may_see_secret(const struct url *registry, const struct url *realm, struct err *e)
{
	char from[URL_TEXT_MAX], to[URL_TEXT_MAX];

	int r = url_may_lead(registry, realm, e);
	if (r < 0)
		return r;
	if (strcmp(registry->host, realm->host) == 0)
		return 0;
	if (is_loopback(registry) && is_loopback(realm))
		return 0;
	if (!registry->literal && !realm->literal &&
	    strcmp(last_two_labels(registry->host), last_two_labels(realm->host)) == 0)
		return 0;
	return err_set(e, ERR_AUTH,
	    "%s wants the credentials sent to %s, another site: refused; log in to that "
	    "server's own registry, or pull without credentials",
	    url_origin(registry, from, sizeof(from)), url_origin(realm, to, sizeof(to)));
}
