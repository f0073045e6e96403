#include "common/ref/digest.h"
#include "common/ref/grammar.h"

#include <errno.h>

#define OTHER_HEX_MIN 32 /* reference grammar: at least 128 bits */

/* component *( ("+" / "." / "-" / "_") component ), component = ALPHA *ALNUM */
static bool
algorithm_ok(struct span s)
{
	bool start = true;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool sep = c == '+' || c == '.' || c == '-' || c == '_';
		if (start ? !is_alpha(c) : !sep && !is_alnum(c))
			return false;
		start = sep;
	}
	return s.n > 0 && !start;
}

static bool
all_hex(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_hex(s.p[i]))
			return false;
	}
	return true;
}

int
digest_parse(struct span text, uint8_t out[DIGEST_BYTES])
{
	size_t colon = span_find(text, ':');
	if (colon == text.n)
		return -EINVAL;

	struct span algorithm = span_of(text.p, colon), hex = span_from(text, colon + 1);
	if (span_is(algorithm, "sha256"))
		return hex_decode(hex, out, DIGEST_BYTES) ? 0 : -EINVAL;
	if (algorithm_ok(algorithm) && hex.n >= OTHER_HEX_MIN && all_hex(hex))
		return -ENOTSUP;
	return -EINVAL;
}

char *
digest_print(const uint8_t digest[DIGEST_BYTES], char *dst)
{
	memcpy(dst, "sha256:", 7);
	hex_encode(digest, DIGEST_BYTES, dst + 7);
	return dst;
}

bool
id_prefix_parse(struct span text, struct id_prefix *out)
{
	if (span_starts(text, "sha256:"))
		text = span_from(text, 7);
	if (text.n < ID_PREFIX_MIN || text.n > ID_HEX)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (!is_lower_hex(text.p[i]))
			return false;
	}
	memcpy(out->hex, text.p, text.n);
	out->hex[text.n] = 0;
	out->n = text.n;
	return true;
}
