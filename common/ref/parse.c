#include "common/ref/ref.h"
#include "common/ref/grammar.h"

#include <arpa/inet.h>
#include <errno.h>

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN "index.docker.io"
#define OFFICIAL "library/"

#define SHOWN 160 /* of a refused reference, in the error */

static int
refuse(struct err *e, struct span text, const char *why)
{
	char shown[SHOWN];

	return err_set(e, ERR_USAGE, "\"%s\" is no image name: %s",
	    span_escape(text, shown, SHOWN), why);
}

static bool
has_upper(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_upper(s.p[i]))
			return true;
	}
	return false;
}

/* run *( separator run ): a state machine over the length and kind of the current
 * separator. */
static bool
component_ok(struct span s)
{
	size_t sep = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (is_lower(c) || is_digit(c)) {
			sep = 0;
			continue;
		}
		if (i == 0 || (c != '.' && c != '_' && c != '-'))
			return false;
		if (sep && (s.p[i - 1] != c || c == '.' || (c == '_' && sep == 2)))
			return false;
		sep++;
	}
	return s.n > 0 && sep == 0;
}

static bool
path_ok(struct span s)
{
	for (;;) {
		size_t slash = span_find(s, '/');
		if (!component_ok(span_of(s.p, slash)))
			return false;
		if (slash == s.n)
			return true;
		s = span_from(s, slash + 1);
	}
}

static bool
host_name_ok(struct span s)
{
	for (;;) {
		size_t dot = span_find(s, '.');
		if (dot == 0 || s.p[0] == '-' || s.p[dot - 1] == '-')
			return false;
		for (size_t i = 0; i < dot; i++) {
			if (!is_alnum(s.p[i]) && s.p[i] != '-')
				return false;
		}
		if (dot == s.n)
			return true;
		s = span_from(s, dot + 1);
	}
}

/* Cuts a domain into host (with its brackets) and port digits; false without such a form.
 */
static bool
domain_split(struct span s, struct span *host, struct span *port)
{
	bool bracket = s.n > 0 && s.p[0] == '[';
	size_t end = span_find(s, bracket ? ']' : ':') + bracket;
	if (end > s.n)
		return false;

	*host = span_of(s.p, end);
	*port = span_from(s, end);
	if (port->n == 0)
		return true;
	if (port->p[0] != ':' || port->n == 1)
		return false;
	*port = span_from(*port, 1);
	for (size_t i = 0; i < port->n; i++) {
		if (!is_digit(port->p[i]))
			return false;
	}
	return true;
}

static bool
domain_ok(struct span s)
{
	struct span host, port;

	if (!domain_split(s, &host, &port))
		return false;
	if (s.n == 0 || s.p[0] != '[')
		return host_name_ok(host);
	for (size_t i = 1; i + 1 < host.n; i++) {
		if (!is_hex(host.p[i]) && host.p[i] != ':')
			return false;
	}
	return host.n > 2;
}

bool
ref_tag_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool word = is_alnum(c) || c == '_';
		if (!word && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return s.n > 0 && s.n <= LIMIT_TAG;
}

/* Whether the part before the first slash names a registry. */
static bool
is_domain(struct span first)
{
	return span_is(first, "localhost") || span_find(first, '.') < first.n ||
	       span_find(first, ':') < first.n || has_upper(first);
}

bool
ref_names_domain(struct span text)
{
	size_t slash = span_find(text, '/');

	return slash < text.n && is_domain(span_of(text.p, slash));
}

/* "domain/path" or a familiar name, without tag and digest, into out. */
static int
parse_name(struct span text, struct span name, struct ref *out, struct err *e)
{
	struct span domain = span_str(DEFAULT_DOMAIN), path = name;
	size_t slash = span_find(name, '/');

	if (ref_names_domain(name)) {
		domain = span_of(name.p, slash);
		path = span_from(name, slash + 1);
	}
	if (span_is(domain, LEGACY_DOMAIN))
		domain = span_str(DEFAULT_DOMAIN);
	if (has_upper(path))
		return refuse(e, text, "the repository must be lower-case");
	if (!domain_ok(domain))
		return refuse(
		    e, text, "the part before the first slash is no host[:port]");
	if (path.n == 0)
		return refuse(e, text, "it names no repository");
	if (!path_ok(path))
		return refuse(e, text,
		    "a repository has letters, digits and single separators "
		    "(\".\", \"_\", \"__\", \"-\") between slashes");

	bool official = span_is(domain, DEFAULT_DOMAIN) && span_find(path, '/') == path.n;
	size_t prefix = official ? strlen(OFFICIAL) : 0;
	if (domain.n + 1 + prefix + path.n > LIMIT_REPOSITORY)
		return refuse(
		    e, text, "host and repository have more than 255 characters");
	memcpy(out->domain, domain.p, domain.n);
	memcpy(out->path, OFFICIAL, prefix);
	memcpy(out->path + prefix, path.p, path.n);
	return 0;
}

static int
parse_digest(struct span text, struct span digest, struct ref *out, struct err *e)
{
	int r = digest_parse(digest, out->digest);

	if (r == -ENOTSUP)
		return refuse(e, text,
		    "only sha256 digests are supported; name the image by its sha256 "
		    "digest or by a tag");
	if (r < 0)
		return refuse(
		    e, text, "the digest is not sha256: and 64 lower-case hex digits");
	out->has_digest = true;
	return 0;
}

/* Where the tag's colon is: the first one after the domain, if the name has a domain. */
static size_t
find_tag(struct span name)
{
	size_t slash = span_find(name, '/');

	if (!ref_names_domain(name))
		return span_find(name, ':');
	return slash + span_find(span_from(name, slash), ':');
}

int
ref_parse(struct span text, struct ref *out, struct err *e)
{
	struct ref r = {0};
	struct id_prefix id;

	if (text.n == 0)
		return refuse(e, text, "it is empty");
	/* Upstream reads "sha256:<64 hex>" as a tag of a repository "sha256" where it
	 * does not expect an ID. Nobody means that. */
	if (id_prefix_parse(text, &id) && id.n == ID_HEX)
		return refuse(e, text, "64 hex digits are an image ID");

	size_t at = span_find(text, '@');
	struct span name = span_of(text.p, at);
	size_t colon = find_tag(name);
	int rc = parse_name(text, span_of(name.p, colon), &r, e);
	if (rc < 0)
		return rc;
	if (colon < name.n) {
		struct span tag = span_from(name, colon + 1);
		if (!ref_tag_ok(tag))
			return refuse(e, text,
			    "a tag has 1 to 128 of letters, digits, \"_\", \".\" and "
			    "\"-\", and starts with none of the last two");
		memcpy(r.tag, tag.p, tag.n);
	}
	if (at < text.n)
		rc = parse_digest(text, span_from(text, at + 1), &r, e);
	if (rc == 0)
		*out = r;
	return rc;
}

static int
parse_port(struct span digits, uint16_t *port)
{
	uint32_t v = 0;

	for (size_t i = 0; i < digits.n; i++) {
		v = v * 10 + (uint32_t)(digits.p[i] - '0');
		if (v > UINT16_MAX)
			return -EINVAL;
	}
	*port = (uint16_t)v;
	return digits.n && v == 0 ? -EINVAL : 0;
}

int
ref_host_parse(struct span domain, struct ref_host *out, struct err *e)
{
	struct ref_host h = {0};
	struct span host, port;
	struct in6_addr ignored;
	char shown[SHOWN];

	span_escape(domain, shown, sizeof(shown));
	if (!domain_ok(domain) || !domain_split(domain, &host, &port))
		return err_set(e, ERR_USAGE, "\"%s\" is no host[:port]", shown);
	if (parse_port(port, &h.port) < 0)
		return err_set(e, ERR_USAGE, "\"%s\": a port is 1 to 65535", shown);
	h.ipv6 = host.p[0] == '[';
	if (h.ipv6)
		host = span_of(host.p + 1, host.n - 2);
	if (!span_to_str(host, h.host, sizeof(h.host)))
		return err_set(e, ERR_USAGE, "\"%s\": the host is too long", shown);
	if (h.ipv6 && inet_pton(AF_INET6, h.host, &ignored) != 1)
		return err_set(
		    e, ERR_USAGE, "\"%s\": no IPv6 address between the brackets", shown);
	*out = h;
	return 0;
}
