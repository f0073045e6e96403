#include "frontend/grpc_frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

void
grpc_prefix(uint8_t out[GRPC_PREFIX], size_t n)
{
	out[0] = 0;
	for (int i = 1; i < GRPC_PREFIX; i++)
		out[i] = (uint8_t)(n >> (8 * (4 - i)));
}

void
grpc_refuse(struct grpc_refusal *r, enum grpc_code code, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

/* ---- the request's message ---- */

static size_t
body_length(const struct grpc_body *b)
{
	return (size_t)b->prefix[1] << 24 | (size_t)b->prefix[2] << 16 |
	       (size_t)b->prefix[3] << 8 | b->prefix[4];
}

static void
body_prefix_check(const struct grpc_body *b, size_t max, struct grpc_refusal *r)
{
	size_t n = body_length(b);

	if (b->prefix[0] > 1)
		grpc_refuse(r, GRPC_INTERNAL,
		    "the first byte of a message is its compressed flag, 0 or 1, not %u",
		    b->prefix[0]);
	else if (b->prefix[0] == 1 && b->encoded)
		grpc_refuse(r, GRPC_UNIMPLEMENTED,
		    "compressed messages are not supported: use identity");
	else if (b->prefix[0] == 1)
		grpc_refuse(r, GRPC_INTERNAL,
		    "the compressed flag is set, but grpc-encoding names no encoding");
	else if (n > max)
		grpc_refuse(r, GRPC_RESOURCE_EXHAUSTED,
		    "the request has %zu bytes, the limit is %zu (max_message)", n, max);
}

/* Room for n bytes, taken by doubling from the memory of all. */
static bool
body_grow(struct grpc_body *b, size_t n)
{
	size_t length = body_length(b), room = b->room ? b->room : 1024;

	while (room < n)
		room *= 2;
	if (room > length)
		room = length;
	if (room <= b->room)
		return true;
	if (room - b->room > b->memory->max - b->memory->used)
		return false;
	uint8_t *p = malloc(room); /* realloc would leave a copy behind */
	if (!p)
		return false;
	if (b->p) {
		memcpy(p, b->p, b->have - GRPC_PREFIX);
		explicit_bzero(b->p, b->room);
		free(b->p);
	}
	b->memory->used += room - b->room;
	b->p = p;
	b->room = room;
	return true;
}

void
grpc_body_add(struct grpc_body *b, struct span bytes, size_t max, struct grpc_refusal *r)
{
	while (bytes.n > 0 && b->have < GRPC_PREFIX) {
		b->prefix[b->have++] = bytes.p[0];
		bytes = span_from(bytes, 1);
		if (b->have == GRPC_PREFIX)
			body_prefix_check(b, max, r);
	}
	if (bytes.n == 0 || r->code != GRPC_OK)
		return;
	size_t at = b->have - GRPC_PREFIX;
	if (bytes.n > body_length(b) - at) {
		grpc_refuse(r, GRPC_UNIMPLEMENTED,
		    "bytes follow the one message that this method takes");
		return;
	}
	if (!body_grow(b, at + bytes.n)) {
		grpc_refuse(r, GRPC_RESOURCE_EXHAUSTED,
		    "too many large requests at once: try again later");
		return;
	}
	memcpy(b->p + at, bytes.p, bytes.n);
	b->have += bytes.n;
}

struct span
grpc_body_end(const struct grpc_body *b, struct grpc_refusal *r)
{
	size_t n = body_length(b);

	if (b->have == 0)
		grpc_refuse(r, GRPC_UNIMPLEMENTED,
		    "this method takes one message, none was sent");
	else if (b->have < GRPC_PREFIX || b->have - GRPC_PREFIX < n)
		grpc_refuse(r, GRPC_INTERNAL, "the request ends inside its message");
	return r->code == GRPC_OK ? span_of(b->p, n) : span_of(NULL, 0);
}

void
grpc_body_free(struct grpc_body *b)
{
	if (b->p) {
		b->memory->used -= b->room;
		explicit_bzero(b->p, b->room); /* passwords of registries */
	}
	free(ptr_steal(&b->p));
	b->room = 0;
}

/* ---- fields ---- */

bool
grpc_timeout_parse(struct span text, uint64_t *ms)
{
	static const struct {
		char unit;
		uint64_t times, over;
	} units[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1}, {'m', 1, 1},
	    {'u', 1, 1000}, {'n', 1, 1000000}};
	uint64_t value = 0;

	if (text.n < 2 || text.n > 9) /* at most eight digits, and the unit */
		return false;
	for (size_t i = 0; i + 1 < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		value = value * 10 + (text.p[i] - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (text.p[text.n - 1] != units[i].unit)
			continue;
		*ms = (value * units[i].times + units[i].over - 1) / units[i].over;
		return true;
	}
	return false;
}

bool
grpc_content_type(struct span text)
{
	static const char *const known[] = {"application/grpc+proto", "application/grpc"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t n = strlen(known[i]);
		if (text.n >= n && strncasecmp((const char *)text.p, known[i], n) == 0)
			return text.n == n || text.p[n] == ';' || text.p[n] == ' ';
	}
	return false;
}

char *
grpc_percent_encode(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = strlen(text), at = 0;

	if (n > LIMIT_GRPC_STATUS) {
		n = LIMIT_GRPC_STATUS;
		while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
			n--;
	}
	char *out = malloc(3 * n + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)text[i];
		if (c >= 0x20 && c <= 0x7e && c != '%') {
			out[at++] = (char)c;
			continue;
		}
		out[at++] = '%';
		out[at++] = digits[c >> 4];
		out[at++] = digits[c & 15];
	}
	out[at] = '\0';
	return out;
}

const char *
grpc_code_name(enum grpc_code code)
{
	static const char *const names[] = {
	    [GRPC_OK] = "OK",
	    [GRPC_CANCELLED] = "CANCELLED",
	    [GRPC_UNKNOWN] = "UNKNOWN",
	    [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	    [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	    [GRPC_NOT_FOUND] = "NOT_FOUND",
	    [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
	    [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	    [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	    [GRPC_ABORTED] = "ABORTED",
	    [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
	    [GRPC_INTERNAL] = "INTERNAL",
	    [GRPC_UNAVAILABLE] = "UNAVAILABLE",
	    [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
	};

	if ((size_t)code >= ARRAY_LEN(names) || !names[code])
		return "UNKNOWN";
	return names[code];
}
