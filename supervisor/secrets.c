#include "supervisor/secrets.h"

#include "supervisor/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void
scope_strip(struct span *scope)
{
	static const char *const before[] = {"https://", "http://"};
	static const char *const after[] = {"/v1/", "/v2/", "/v1", "/v2", "/"};

	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		if (span_starts(*scope, before[i]))
			*scope = span_from(*scope, strlen(before[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		size_t n = strlen(after[i]);
		if (scope->n > n && memcmp(scope->p + scope->n - n, after[i], n) == 0) {
			scope->n -= n;
			break;
		}
	}
}

static void
secret_free(struct secret *s)
{
	if (s->bytes)
		explicit_bzero(s->bytes, s->n);
	free(s->bytes);
	free(s);
}

int
secrets_add(
    struct secrets *s, struct span scope, enum secret_kind kind, struct span bytes)
{
	struct secret *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	scope_strip(&scope);
	if (!scope.n || bytes.n > LIMIT_SECRET ||
	    !span_to_str(scope, new->scope, sizeof(new->scope))) {
		secret_free(new);
		return -EINVAL;
	}
	new->bytes = malloc(bytes.n ? bytes.n : 1);
	if (!new->bytes) {
		secret_free(new);
		return -ENOMEM;
	}
	if (bytes.n)
		memcpy(new->bytes, bytes.p, bytes.n);
	new->n = bytes.n;
	new->kind = kind;
	new->next = s->first;
	s->first = new;
	return 0;
}

/* Whether scope is name itself or ends at one of name's slashes. */
static bool
scope_covers(const char *scope, const char *name)
{
	size_t n = strlen(scope);

	return strncmp(scope, name, n) == 0 && (name[n] == 0 || name[n] == '/');
}

const struct secret *
secrets_find(const struct secrets *s, const char *host, const char *repository)
{
	char name[LIMIT_HOST + LIMIT_REPOSITORY + 64];
	const struct secret *best = NULL;

	snprintf(name, sizeof(name), "%s/%s", host, repository);
	for (const struct secret *at = s->first; at; at = at->next) {
		bool hub = strcmp(host, "docker.io") == 0 &&
			   strcmp(at->scope, "index.docker.io") == 0;
		if (!hub && !scope_covers(at->scope, name))
			continue;
		if (!best || strlen(at->scope) > strlen(best->scope))
			best = at;
	}
	return best;
}

void
secrets_release(struct secrets *s)
{
	for (struct secret *at = s->first, *next; at; at = next) {
		next = at->next;
		secret_free(at);
	}
	s->first = NULL;
}

int
secret_proof(
    const uint8_t key[32], const char *origin, struct span secret, uint8_t out[16])
{
	size_t host = strlen(origin) + 1;
	uint8_t mac[32];
	uint8_t *text = malloc(host + secret.n + 1);

	if (!text)
		return -ENOMEM;
	memcpy(text, origin, host);
	if (secret.n)
		memcpy(text + host, secret.p, secret.n);
	/* "user:password": the first colon is where the user ends. */
	uint8_t *colon = memchr(text + host, ':', secret.n);
	if (colon)
		*colon = 0;
	int r = crypto_hmac_sha256(key, span_of(text, host + secret.n), mac);
	explicit_bzero(text, host + secret.n);
	free(text);
	memcpy(out, mac, 16);
	return r;
}
