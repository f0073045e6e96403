#include "supervisor/config/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- pieces of text ---- */

static struct span
cut(struct span *rest, const char *ends)
{
	size_t n = 0;

	while (n < rest->n && !strchr(ends, rest->p[n]))
		n++;
	struct span part = span_of(rest->p, n);
	*rest = span_from(*rest, n < rest->n ? n + 1 : n);
	return part;
}

static bool
same(struct span a, const char *b)
{
	return a.n == strlen(b) && strncasecmp((const char *)a.p, b, a.n) == 0;
}

static bool
port_parse(struct span text, uint16_t *out)
{
	unsigned v = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || i == 5)
			return false;
		v = v * 10 + (unsigned)(text.p[i] - '0');
	}
	*out = (uint16_t)v;
	return text.n && v >= 1 && v <= 65535;
}

/* "host", "host:port", "[v6]:port", also "v6" alone. *port 0: it has none. */
static bool
host_split(struct span text, struct span *host, uint16_t *port)
{
	const uint8_t *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	bool six = text.n && text.p[0] == '[';
	const uint8_t *close = six ? memchr(text.p, ']', text.n) : NULL;

	*port = 0;
	*host = text;
	if (six && !close)
		return false;
	if (colon && (six ? colon > close : memchr(text.p, ':', text.n) == colon)) {
		host->n = (size_t)(colon - text.p);
		if (!port_parse(span_from(text, host->n + 1), port))
			return false;
	}
	if (six) {
		if (host->p + host->n - 1 != close)
			return false;
		*host = span_of(host->p + 1, host->n - 2);
	}
	return host->n >= 1 && host->n <= LIMIT_HOST;
}

static bool
host_ok(struct span host)
{
	for (size_t i = 0; i < host.n; i++) {
		uint8_t c = host.p[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && !(c && strchr("-._:", c)))
			return false;
	}
	return host.n > 0;
}

/* ---- addresses ---- */

static bool
address_parse(struct span text, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char buf[INET6_ADDRSTRLEN];

	if (!span_to_str(text, buf, sizeof(buf)))
		return false;
	if (inet_pton(AF_INET6, buf, out) == 1)
		return true;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, buf, out + 12) == 1;
}

static bool
range_parse(struct span text, uint8_t net[16], unsigned *bits)
{
	struct span rest = text, address = cut(&rest, "/");
	bool four = !memchr(text.p, ':', text.n);
	unsigned v = 0;

	if (address.n == text.n || !rest.n || rest.n > 3 || !address_parse(address, net))
		return false;
	for (size_t i = 0; i < rest.n; i++) {
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(rest.p[i] - '0');
	}
	*bits = v + (four ? 96 : 0);
	return *bits <= 128;
}

static bool
range_holds(struct span range, const uint8_t a[16])
{
	uint8_t net[16];
	unsigned bits = 0;

	if (!range_parse(range, net, &bits) || memcmp(a, net, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((a[bits / 8] ^ net[bits / 8]) >> (8 - bits % 8)) == 0;
}

static bool
is_loopback(const char *host)
{
	uint8_t a[16];

	return strcasecmp(host, "localhost") == 0 ||
	       (address_parse(span_str(host), a) &&
		   (range_holds(span_str("127.0.0.0/8"), a) ||
		       range_holds(span_str("::1/128"), a)));
}

/* ---- one entry ---- */

/* Whether the origin is the pattern's: "*.domain" stands for names below it; a plain
 * name, with below, for those as well. */
static bool
fits(struct span pattern, const char *host, uint16_t port, bool below)
{
	struct span name;
	uint16_t only;
	size_t n = strlen(host);

	if (!host_split(pattern, &name, &only) || (only && only != port))
		return false;
	if (name.p[0] == '*')
		name = span_from(name, 1);
	bool dot = name.n && name.p[0] == '.';
	if (!dot && same(name, host))
		return true;
	if (!(dot || below) || n <= name.n || !name.n)
		return false;
	const char *tail = host + n - name.n;
	return same(name, tail) && (dot || tail[-1] == '.');
}

bool
no_proxy_ok(struct span entry)
{
	uint8_t net[16];
	unsigned bits;
	uint16_t port;
	struct span host;

	if (span_is(entry, "*") || range_parse(entry, net, &bits))
		return true;
	if (!host_split(entry, &host, &port))
		return false;
	if (span_starts(host, "*."))
		host = span_from(host, 1);
	return host_ok(host);
}

bool
proxy_parse(struct span text, bool userinfo, struct proxy *out)
{
	struct span host;

	*out = (struct proxy){.port = 80};
	if (span_starts(text, "http://"))
		text = span_from(text, 7);
	if (text.n && text.p[text.n - 1] == '/')
		text.n--;
	const uint8_t *at = text.n ? memrchr(text.p, '@', text.n) : NULL;
	if (at && !userinfo)
		return false;
	if (at) {
		out->userinfo = span_of(text.p, (size_t)(at - text.p));
		text = span_from(text, out->userinfo.n + 1);
	}
	uint16_t port;
	if (!host_split(text, &host, &port) || !host_ok(host) ||
	    !span_to_str(host, out->host, sizeof(out->host)))
		return false;
	if (port)
		out->port = port;
	return true;
}

static int
hex(uint8_t c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

size_t
proxy_userinfo(struct span userinfo, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < userinfo.n; i++) {
		uint8_t c = userinfo.p[i];
		if (c == '%') {
			if (userinfo.n - i < 3)
				return 0;
			int high = hex(userinfo.p[i + 1]), low = hex(userinfo.p[i + 2]);
			if (high < 0 || low < 0)
				return 0;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (n == cap || c < 0x20 || c == 0x7f)
			return 0;
		dst[n++] = (char)c;
	}
	return memchr(dst, ':', n) ? n : 0;
}

bool
proxy_rule_ok(struct span rule)
{
	struct span rest = rule, pattern = cut(&rest, "="), host;
	struct proxy p;
	uint16_t port;

	if (pattern.n == rule.n || !host_split(pattern, &host, &port))
		return false;
	if (span_starts(host, "*."))
		host = span_from(host, 1);
	return host_ok(host) && (span_is(rest, "direct") || proxy_parse(rest, false, &p));
}

/* ---- the choice ---- */

/* The first entry that the origin is; empty: none. */
static struct span
exempted(const char *list, const char *host, uint16_t port)
{
	struct span rest = span_str(list);
	uint8_t a[16];
	bool address = address_parse(span_str(host), a);

	while (rest.n) {
		struct span entry = cut(&rest, ", \t\n");
		if (!entry.n)
			continue;
		if (span_is(entry, "*") || (address && range_holds(entry, a)) ||
		    fits(entry, host, port, !address))
			return entry;
	}
	return rest;
}

/* The rule with the longest pattern that fits; empty: none. */
static struct span
own_rule(const char *list, const char *host, uint16_t port)
{
	struct span rest = span_str(list), best = {0};
	size_t longest = 0;

	while (rest.n) {
		struct span rule = cut(&rest, "\n"), value = rule;
		struct span pattern = cut(&value, "=");
		if (pattern.n <= longest || !fits(pattern, host, port, false))
			continue;
		longest = pattern.n;
		best = rule;
	}
	return best;
}

bool
proxy_choose(const struct proxy_rules *r, const char *host, uint16_t port, bool tls,
    struct proxy *out, struct proxy_choice *why)
{
	const char *all = tls ? r->https : r->http;

	*why = (struct proxy_choice){PROXY_RULE, own_rule(r->registry, host, port)};
	if (why->entry.n) {
		struct span value = why->entry;
		(void)cut(&value, "=");
		return !span_is(value, "direct") && proxy_parse(value, false, out);
	}
	why->by = PROXY_OF_ALL;
	if (!*all)
		return false;
	if (is_loopback(host)) {
		why->by = PROXY_LOOPBACK;
		return false;
	}
	why->entry = exempted(r->none, host, port);
	if (why->entry.n) {
		why->by = PROXY_EXEMPT;
		return false;
	}
	return proxy_parse(span_str(all), r->userinfo, out);
}

bool
proxy_for(const struct proxy_rules *r, const char *host, uint16_t port, bool tls,
    struct proxy *out)
{
	struct proxy_choice why;

	return proxy_choose(r, host, port, tls, out, &why);
}
