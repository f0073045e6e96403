#include "worker-fetch/dial/address.h"

#include <arpa/inet.h>
#include <stdio.h>

struct net {
	uint8_t at[16];
	unsigned bits;
	enum address_class class;
};

/* IANA's special-purpose registries (RFC 6890 and updates), and the addresses at which
 * clouds hand credentials to whoever can open a connection. First match wins. */
static const struct net nets_v4[] = {
    {{0}, 8, ADDRESS_NEVER}, /* "this network": Linux connects 0.0.0.0 to itself */
    {{127}, 8, ADDRESS_LOOPBACK},
    {{169, 254}, 16, ADDRESS_LINK},
    {{100, 100, 100, 200}, 32, ADDRESS_LINK}, /* Alibaba's metadata service */
    {{168, 63, 129, 16}, 32, ADDRESS_LINK},   /* Azure's host agent */
    {{192, 0, 0, 192}, 32, ADDRESS_LINK},     /* Oracle's metadata service */
    {{10}, 8, ADDRESS_PRIVATE},
    {{172, 16}, 12, ADDRESS_PRIVATE},
    {{192, 168}, 16, ADDRESS_PRIVATE},
    {{100, 64}, 10, ADDRESS_PRIVATE}, /* carrier-grade NAT */
    {{192, 0, 0}, 24, ADDRESS_PRIVATE},
    {{192, 0, 2}, 24, ADDRESS_PRIVATE}, /* documentation, here and below */
    {{198, 51, 100}, 24, ADDRESS_PRIVATE},
    {{203, 0, 113}, 24, ADDRESS_PRIVATE},
    {{198, 18}, 15, ADDRESS_PRIVATE}, /* benchmarks */
    {{224}, 4, ADDRESS_NEVER},
    {{240}, 4, ADDRESS_NEVER},
};

static const struct net nets_v6[] = {
    {{[15] = 1}, 128, ADDRESS_LOOPBACK}, {{0}, 128, ADDRESS_NEVER},
    {{0xfe, 0x80}, 10, ADDRESS_LINK},
    {{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, ADDRESS_LINK}, /* AWS */
    {{0xfd, 0x20, 0, 0xce, [14] = 0x02, [15] = 0x54}, 128, ADDRESS_LINK}, /* Google */
    {{0xfc}, 7, ADDRESS_PRIVATE},
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},     /* the old site-local */
    {{0x20, 0x01, 0, 0}, 32, ADDRESS_NEVER}, /* Teredo: an IPv4 address in disguise */
    {{0x20, 0x01, 0}, 23, ADDRESS_PRIVATE},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_PRIVATE},	/* documentation */
    {{0x3f, 0xff}, 20, ADDRESS_PRIVATE},		/* documentation */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, ADDRESS_PRIVATE}, /* local NAT64 */
    {{0x01, 0}, 64, ADDRESS_NEVER},			/* discard only */
    {{0xff}, 8, ADDRESS_NEVER},
    {{0x20}, 3, ADDRESS_PUBLIC}, /* 2000::/3, the only global unicast there is */
};

/* Prefixes whose next 32 bits are an IPv4 address. */
static const struct net embedded[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 0}, /* mapped, RFC 4291 2.5.5.2 */
    {{[8] = 0xff, [9] = 0xff}, 96, 0},	 /* translated, RFC 2765 */
    {{0, 0x64, 0xff, 0x9b}, 96, 0},	 /* NAT64, RFC 6052 */
    {{0x20, 0x02}, 16, 0},		 /* 6to4, RFC 3056 */
    {{0}, 96, 0},			 /* compatible, RFC 4291 2.5.5.1 */
};

static bool
within(const uint8_t *a, const struct net *net)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(a, net->at, whole) != 0)
		return false;
	return !rest || ((a[whole] ^ net->at[whole]) >> (8 - rest)) == 0;
}

enum address_class
address_class_v4(const uint8_t a[4])
{
	for (size_t i = 0; i < ARRAY_LEN(nets_v4); i++) {
		if (within(a, &nets_v4[i]))
			return nets_v4[i].class;
	}
	return ADDRESS_PUBLIC;
}

enum address_class
address_class_v6(const uint8_t a[16])
{
	/* ::1 and :: before the compatible form that would swallow them. */
	for (size_t i = 0; i < 2; i++) {
		if (within(a, &nets_v6[i]))
			return nets_v6[i].class;
	}
	for (size_t i = 0; i < ARRAY_LEN(embedded); i++) {
		if (within(a, &embedded[i]))
			return address_class_v4(a + embedded[i].bits / 8);
	}
	for (size_t i = 2; i < ARRAY_LEN(nets_v6); i++) {
		if (within(a, &nets_v6[i]))
			return nets_v6[i].class;
	}
	return ADDRESS_NEVER;
}

enum address_class
address_class_of(const struct sockaddr *sa)
{
	uint8_t a[16];

	if (sa->sa_family == AF_INET) {
		memcpy(a, &((const struct sockaddr_in *)sa)->sin_addr, 4);
		return address_class_v4(a);
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(a, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		return address_class_v6(a);
	}
	return ADDRESS_NEVER;
}

const char *address_class_name(enum address_class class)
{
	switch (class) {
	case ADDRESS_LOOPBACK:
		return "a loopback address";
	case ADDRESS_PRIVATE:
		return "a private address";
	case ADDRESS_PUBLIC:
		return "a public address";
	case ADDRESS_LINK:
		return "a link-local or cloud metadata address";
	case ADDRESS_NEVER:
		break;
	}
	return "no address of a host";
}

bool
address_allowed(enum address_class class, enum address_class floor, bool allow_link)
{
	if (class == ADDRESS_LINK)
		return allow_link;
	return class <= ADDRESS_PUBLIC && class >= floor;
}

char *
address_format(const struct sockaddr *sa, char dst[ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(dst, ADDRESS_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
		return dst;
	}
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
	snprintf(dst, ADDRESS_TEXT, "%s:%u", host, ntohs(in->sin_port));
	return dst;
}
