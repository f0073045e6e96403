#include "worker-fetch/fetch/response.h"

#include "worker-fetch/fetch/moment.h"

#include <strings.h>

void
response_init(struct response *r)
{
	memset(r, 0, sizeof(*r));
	r->retry_after = r->retry_at = r->date = -1;
}

static int
bad(struct err *e, const char *why)
{
	return err_set(e, ERR_NETWORK, "the registry's answer is refused: %s", why);
}

static bool
name_is(struct span name, const char *text)
{
	return name.n == strlen(text) &&
	       strncasecmp((const char *)name.p, text, name.n) == 0;
}

static struct span
trim(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* At most 18 digits and nothing else, so that no sum can overflow. */
static bool
number(struct span s, uint64_t *v)
{
	*v = 0;
	if (s.n < 1 || s.n > 18)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*v = *v * 10 + (uint64_t)(s.p[i] - '0');
	}
	return true;
}

/* "HTTP/1.1 200 OK". A new status line is only due at the start and after an interim
 * response. */
static int
take_status(struct response *r, struct span line, struct err *e)
{
	bool known = span_starts(line, "HTTP/1.1 ") || span_starts(line, "HTTP/1.0 ");
	uint64_t status;

	if (!known || line.n < 12 || (line.n > 12 && line.p[12] != ' ') ||
	    !number(span_of(line.p + 9, 3), &status) || status < 100 || status > 599)
		return bad(e, "its status line is not one of HTTP/1.1");
	if (status == 101)
		return bad(e, "it switches to a protocol that nobody asked for");
	unsigned lines = r->lines;
	size_t bytes = r->bytes;
	response_init(r);
	r->lines = lines;
	r->bytes = bytes;
	r->status = (int)status;
	return 0;
}

static int
take_length(struct response *r, struct span value, struct err *e)
{
	uint64_t length;

	if (!number(value, &length))
		return bad(e, "Content-Length is not a number");
	if (r->has_length && r->length != length)
		return bad(e, "two values of Content-Length disagree");
	if (r->chunked)
		return bad(e, "both Content-Length and Transfer-Encoding");
	r->has_length = true;
	r->length = length;
	return 0;
}

static int
take_transfer_encoding(struct response *r, struct span value, struct err *e)
{
	if (!name_is(value, "chunked") || r->chunked)
		return bad(e, "a Transfer-Encoding other than one \"chunked\"");
	if (r->has_length)
		return bad(e, "both Content-Length and Transfer-Encoding");
	r->chunked = true;
	return 0;
}

static int
take_location(struct response *r, struct span value, struct err *e)
{
	if (r->has_location)
		return bad(e, "two Location headers");
	r->has_location = true;
	if (!span_to_str(value, r->location, sizeof(r->location)))
		return bad(e, "the Location is longer than 8 KiB");
	return 0;
}

static int
take_media_type(struct response *r, struct span value, struct err *e)
{
	const uint8_t *semicolon = value.n ? memchr(value.p, ';', value.n) : NULL;

	if (semicolon)
		value = trim(span_of(value.p, (size_t)(semicolon - value.p)));
	if (*r->media_type)
		return bad(e, "two Content-Type headers");
	if (!span_to_str(value, r->media_type, sizeof(r->media_type)))
		return bad(e, "the Content-Type is longer than 128 bytes");
	for (char *p = r->media_type; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
		else if (*p < 0x21 || *p > 0x7e)
			return bad(e, "the Content-Type is not a media type");
	}
	return 0;
}

/* "bytes first-last/total" (RFC 9110 14.4) with all three given. */
static int
take_range(struct response *r, struct span value, struct err *e)
{
	uint64_t v[3];
	static const char ends[] = {'-', '/'};

	if (!span_starts(value, "bytes ") || r->has_range)
		return bad(e, "its Content-Range is not one range of bytes");
	value = span_from(value, 6);
	for (size_t i = 0; i < 3; i++) {
		const uint8_t *end = value.p + value.n;
		if (i < 2 && value.n)
			end = memchr(value.p, ends[i], value.n);
		if (!end || !number(span_of(value.p, (size_t)(end - value.p)), &v[i]))
			return bad(e, "its Content-Range is not one range of bytes");
		value = span_from(value, (size_t)(end - value.p) + (i < 2));
	}
	if (v[0] > v[1] || v[1] >= v[2])
		return bad(e, "its Content-Range is none within its own total");
	r->has_range = true;
	r->range_first = v[0];
	r->range_last = v[1];
	r->range_total = v[2];
	return 0;
}

static void
take_digest(struct response *r, struct span value)
{
	uint8_t raw[32];

	if (value.n == 71 && span_starts(value, "sha256:") &&
	    hex_decode(span_from(value, 7), raw, sizeof(raw))) {
		memcpy(r->digest, value.p, value.n);
		r->digest[value.n] = 0;
	}
}

/* A weak one says nothing of bytes (RFC 9110 13.1.5). */
static void
take_etag(struct response *r, struct span value)
{
	*r->etag = 0;
	if (value.n < 2 || value.n > LIMIT_ETAG || value.p[0] != '"' ||
	    value.p[value.n - 1] != '"')
		return;
	for (size_t i = 1; i + 1 < value.n; i++) {
		if (value.p[i] < 0x21 || value.p[i] > 0x7e || value.p[i] == '"')
			return;
	}
	memcpy(r->etag, value.p, value.n);
	r->etag[value.n] = 0;
}

static void
take_retry_after(struct response *r, struct span value)
{
	uint64_t v;

	r->retry_after = r->retry_at = -1;
	if (number(value, &v))
		r->retry_after = (int64_t)v;
	else if (!moment_parse(value, &r->retry_at))
		r->retry_at = -1;
}

static int
take_field(struct response *r, struct span name, struct span value, struct err *e)
{
	if (name_is(name, "content-length"))
		return take_length(r, value, e);
	if (name_is(name, "transfer-encoding"))
		return take_transfer_encoding(r, value, e);
	if (name_is(name, "content-encoding") && value.n && !name_is(value, "identity"))
		return bad(e, "it is compressed in transit (Content-Encoding), unasked");
	if (name_is(name, "content-type"))
		return take_media_type(r, value, e);
	if (name_is(name, "content-range") && r->status == 206)
		return take_range(r, value, e);
	if (name_is(name, "location") && r->status / 100 == 3)
		return take_location(r, value, e);
	if (name_is(name, "docker-content-digest"))
		take_digest(r, value);
	else if (name_is(name, "retry-after"))
		take_retry_after(r, value);
	else if (name_is(name, "etag"))
		take_etag(r, value);
	else if (name_is(name, "date") && !moment_parse(value, &r->date))
		r->date = -1;
	if (name_is(name, "www-authenticate") && r->status == 401) {
		r->challenged = true;
		return challenge_add(&r->challenge, value, e);
	}
	return 0;
}

static int
check_bytes(struct span line, struct err *e)
{
	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = line.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return bad(e, "a header holds a control byte");
	}
	return 0;
}

static struct span
without_line_end(struct span line)
{
	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

int
response_line(struct response *r, struct span line, struct err *e)
{
	r->bytes += line.n;
	if (++r->lines > LIMIT_HEADERS || r->bytes > LIMIT_HEADER_BYTES)
		return bad(e, "too many headers");
	line = without_line_end(line);
	int ret = check_bytes(line, e);
	if (ret < 0 || r->complete)
		return ret; /* what comes now are trailers: counted, not believed */
	bool interim = r->status >= 100 && r->status < 200;
	if (r->status == 0 || (interim && span_starts(line, "HTTP/")))
		return take_status(r, line, e);
	if (!line.n) {
		r->complete = !interim;
		return 0;
	}
	if (interim)
		return 0;
	const uint8_t *colon = memchr(line.p, ':', line.n);
	if (!colon || colon == line.p || colon[-1] == ' ' || colon[-1] == '\t' ||
	    line.p[0] == ' ' || line.p[0] == '\t')
		return bad(e, "a line in its head is no header");
	size_t n = (size_t)(colon - line.p);
	return take_field(r, span_of(line.p, n), trim(span_from(line, n + 1)), e);
}

bool
response_is_redirect(const struct response *r)
{
	int s = r->status;
	return s == 301 || s == 302 || s == 303 || s == 307 || s == 308;
}

int
response_check_length(
    const struct response *r, uint64_t expect, uint64_t cap, struct err *e)
{
	if (!r->has_length)
		return 0;
	if (expect != UINT64_MAX && r->length != expect)
		return err_set(e, ERR_CONTENT,
		    "the registry announces %llu bytes where the manifest says %llu",
		    (unsigned long long)r->length, (unsigned long long)expect);
	if (r->length > cap)
		return err_set(e, ERR_CONTENT,
		    "the registry announces %llu bytes where at most %llu are allowed",
		    (unsigned long long)r->length, (unsigned long long)cap);
	return 0;
}

bool
response_is_transient(const struct response *r)
{
	return r->status == 408 || r->status == 429 || r->status >= 500;
}

unsigned
response_retry_after(const struct response *r, int64_t now)
{
	int64_t wait = r->retry_after;

	if (wait < 0 && r->retry_at >= 0)
		wait = r->retry_at - (r->date >= 0 ? r->date : now);
	if (wait < 0)
		return 0;
	return wait > LIMIT_RETRY_AFTER_SAID ? LIMIT_RETRY_AFTER_SAID : (unsigned)wait;
}
