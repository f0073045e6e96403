/* Which HTTP proxy stands before an origin. Pure. */
#ifndef BULKHEAD_CONFIG_PROXY_H
#define BULKHEAD_CONFIG_PROXY_H

#include "common/base/limits.h"
#include "common/base/span.h"

struct proxy {
	char host[LIMIT_HOST + 1];
	uint16_t port;
	struct span
	    userinfo; /* inside the text it was parsed from, still percent-encoded */
};

/* "http://host[:port][/]", the scheme may be missing. userinfo: whether "user:password@"
 * may stand before the host. false: it is no such proxy (https, SOCKS). */
bool proxy_parse(struct span text, bool userinfo, struct proxy *out) MUST_CHECK;

/* "user:password" without its percent-encoding: bytes in dst, 0 for what is none or too
 * long. */
size_t proxy_userinfo(struct span userinfo, char *dst, size_t cap);

/* "PATTERN=PROXY" or "PATTERN=direct"; PATTERN is host[:port] or *.domain. */
bool proxy_rule_ok(struct span rule) MUST_CHECK;

/* A domain, .domain, *.domain or address, each with [:port], a range of addresses, or
 * "*". */
bool no_proxy_ok(struct span entry) MUST_CHECK;

/* What the configuration says; lists as lines. */
struct proxy_rules {
	const char
	    *registry; /* rules: the longest pattern that fits comes first of all */
	const char *http, *https; /* for all others; "" = none */
	const char *none; /* entries that are reached without, lines or with commas */
	bool userinfo;	  /* http and https may have it */
};

/* What decided: a rule of its own, an entry of `none`, that it is a loopback address, or
 * http and https. entry: of the first two. */
struct proxy_choice {
	enum { PROXY_OF_ALL, PROXY_RULE, PROXY_EXEMPT, PROXY_LOOPBACK } by;
	struct span entry;
};

/* The proxy for an origin; false: it is reached without. Loopback addresses and localhost
 * are, unless a rule of their own names a proxy. A domain stands for itself and all names
 * below it, with a dot or "*." before it for those alone; ranges fit only hosts that are
 * addresses. */
bool proxy_for(const struct proxy_rules *r, const char *host, uint16_t port, bool tls,
    struct proxy *out) MUST_CHECK;

/* The same, and why. */
bool proxy_choose(const struct proxy_rules *r, const char *host, uint16_t port, bool tls,
    struct proxy *out, struct proxy_choice *why) MUST_CHECK;

#endif
