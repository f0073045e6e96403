#include "frontend/insecure.h"

#include <arpa/inet.h>
#include <stdio.h>

/* An address as 16 bytes (IPv4 mapped). false: not an address. */
static bool
address_parse(const char *text, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, out + 12) == 1;
}

static bool
prefix_matches(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	unsigned rest = bits % 8;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

/* Whether host is an address inside "address/bits". */
static bool
cidr_matches(struct span cidr, const char *host)
{
	char text[64];
	uint8_t net[16], addr[16];
	unsigned bits;

	if (!span_to_str(cidr, text, sizeof(text)))
		return false;
	char *slash = strchr(text, '/');
	if (!slash || sscanf(slash + 1, "%u", &bits) != 1)
		return false;
	*slash = 0;
	if (!address_parse(text, net) || !address_parse(host, addr))
		return false;
	/* A range of IPv6 is not about IPv4, whatever it is mapped to. */
	if (strchr(text, ':') ? !strchr(host, ':') : (bits += 96) > 128)
		return false;
	return bits <= 128 && prefix_matches(net, addr, bits);
}

bool
insecure_matches(struct span rule, const char *domain)
{
	struct ref_host host;

	if (span_is(rule, domain))
		return true;
	return ref_host_parse(span_str(domain), &host, NULL) == 0 &&
	       (span_is(rule, host.host) || cidr_matches(rule, host.host));
}

bool
host_is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 ||
	       cidr_matches(span_str("127.0.0.0/8"), host) ||
	       cidr_matches(span_str("::1/128"), host);
}
