#include "common/base/pairs.h"

static bool
take(struct span *rest, struct span *out)
{
	if (rest->n < 4)
		return false;
	const uint8_t *p = rest->p;
	size_t n =
	    (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (n > rest->n - 4)
		return false;
	*out = span_of(p + 4, n);
	*rest = span_from(*rest, 4 + n);
	return true;
}

bool
pairs_next(struct span *rest, struct span *key, struct span *value)
{
	struct span at = *rest;

	if (!take(&at, key) || !take(&at, value))
		return false;
	*rest = at;
	return true;
}

bool
pairs_check(struct span pairs)
{
	struct span key, value;

	while (pairs_next(&pairs, &key, &value))
		if (!key.n || !span_is_text(key) || !span_is_text(value))
			return false;
	return pairs.n == 0;
}

static void
put(uint8_t *dst, struct span text)
{
	for (unsigned i = 0; i < 4; i++)
		dst[i] = (uint8_t)(text.n >> 8 * i);
	if (text.n)
		memcpy(dst + 4, text.p, text.n);
}

bool
pairs_add(uint8_t *dst, size_t cap, size_t *n, struct span key, struct span value)
{
	size_t room = cap - *n;

	if (room < 8 || key.n > room - 8 || value.n > room - 8 - key.n)
		return false;
	put(dst + *n, key);
	put(dst + *n + 4 + key.n, value);
	*n += 8 + key.n + value.n;
	return true;
}
