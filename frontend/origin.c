#include "frontend/origin.h"

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
	if (!strchr(text, ':'))
		bits += 96;
	return bits <= 128 && prefix_matches(net, addr, bits);
}

static bool
insecure_lists(struct span list, struct span domain, const char *host)
{
	while (list.n) {
		const uint8_t *end = memchr(list.p, '\n', list.n);
		struct span line = {list.p, end ? (size_t)(end - list.p) : list.n};
		list = span_from(list, end ? line.n + 1 : line.n);
		if (span_eq(line, domain) || span_is(line, host) ||
		    cidr_matches(line, host))
			return true;
	}
	return false;
}

bool
host_is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 ||
	       cidr_matches(span_str("127.0.0.0/8"), host) ||
	       cidr_matches(span_str("::1/128"), host);
}

int
registry_of(
    const struct ref *r, struct span insecure, struct registry *out, struct err *e)
{
	struct ref_host host;
	const char *domain = r->domain;

	*out = (struct registry){0};
	snprintf(out->repository, sizeof(out->repository), "%s", r->path);
	snprintf(out->auth_host, sizeof(out->auth_host), "%s", domain);
	if (strcmp(domain, "docker.io") == 0)
		domain = "registry-1.docker.io";
	int rc = ref_host_parse(span_str(domain), &host, e);
	if (rc < 0)
		return rc;
	rc = url_parse_authority(span_str(domain), true, &out->url, e);
	if (rc < 0)
		return rc;
	out->insecure = host_is_loopback(out->url.host) ||
			insecure_lists(insecure, span_str(r->domain), out->url.host);
	return 0;
}
