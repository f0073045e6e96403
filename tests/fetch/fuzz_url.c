/* A URL, or a base and a Location after a newline. What is accepted must survive a round
 * trip. */
#include "common/ref/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const struct url *u)
{
	static char text[URL_TEXT_MAX];
	struct url again;

	url_format(u, text, sizeof(text));
	if (strlen(text) > LIMIT_URL)
		return;
	assert(url_parse(span_str(text), &again, NULL) == 0);
	assert(url_same_origin(u, &again) && strcmp(u->target, again.target) == 0);
	assert(!strpbrk(text, " \r\n\t\\#@") || strchr(u->target, '@'));
	assert(u->target[0] == '/' && u->port);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *split = size ? memchr(data, '\n', size) : NULL;
	size_t n = split ? (size_t)(split - data) : size;
	struct url base, u;

	if (url_parse(span_of(data, n), &base, NULL) < 0)
		return 0;
	round_trip(&base);
	if (split &&
	    url_resolve(&base, span_of(split + 1, size - n - 1), &u, NULL) == 0) {
		round_trip(&u);
		if (url_may_lead(&base, &u, NULL) == 0)
			assert(u.tls || !base.tls);
	}
	return 0;
}
