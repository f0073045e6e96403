/* How public an IP address is. The answer decides where a redirect may lead, so every
 * notation that carries an IPv4 address inside IPv6 counts as that address. */
#ifndef BULKHEAD_DIAL_ADDRESS_H
#define BULKHEAD_DIAL_ADDRESS_H

#include "common/base/span.h"

#include <netinet/in.h>

/* The first three rise in publicness and equal enum address_floor. */
enum address_class {
	ADDRESS_LOOPBACK = 0,
	ADDRESS_PRIVATE =
	    1, /* RFC 1918, RFC 4193, RFC 6598 and other space nobody routes */
	ADDRESS_PUBLIC = 2,
	ADDRESS_LINK,  /* link-local, and the metadata services of clouds */
	ADDRESS_NEVER, /* unspecified, multicast, broadcast, reserved, Teredo */
};

enum address_class address_class_v4(const uint8_t a[4]);
enum address_class address_class_v6(const uint8_t a[16]);

/* Of a sockaddr_in or sockaddr_in6; any other family is ADDRESS_NEVER. */
enum address_class address_class_of(const struct sockaddr *sa);

/* "a private address" and so on, for messages. */
const char *address_class_name(enum address_class class);

/* Whether a connection may go there: at least as public as floor, and of the link class
 * only if allow_link. */
bool address_allowed(enum address_class class, enum address_class floor, bool allow_link);

/* "192.0.2.1:443", "[2001:db8::1]:443". dst needs ADDRESS_TEXT bytes. Returns dst. */
#define ADDRESS_TEXT 64
char *address_format(const struct sockaddr *sa, char dst[ADDRESS_TEXT]);

#endif
