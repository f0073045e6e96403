#include "supervisor/secrets.h"

#include "supervisor/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* In credential-helpers: the auth files. */
#define AUTH_FILES_NAME "containers-auth.json"

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
	new->file = s->files;
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

/* The hub has had several names; files that docker wrote know it by its first. */
static bool
is_host(const char *scope, const char *host)
{
	return strcmp(scope, host) == 0 ||
	       (strcmp(host, "docker.io") == 0 && strcmp(scope, "index.docker.io") == 0);
}

static const struct secret *
find_secret(
    const struct secrets *s, unsigned file, const char *host, const char *repository)
{
	char name[LIMIT_HOST + LIMIT_REPOSITORY + 64];
	const struct secret *best = NULL;

	snprintf(name, sizeof(name), "%s%s%s", host, *repository ? "/" : "", repository);
	for (const struct secret *at = s->first; at; at = at->next) {
		if (at->file != file ||
		    !(is_host(at->scope, host) || scope_covers(at->scope, name)))
			continue;
		if (!best || strlen(at->scope) > strlen(best->scope))
			best = at;
	}
	return best;
}

static const struct secret_helper *
find_helper(const struct secrets *s, unsigned file, const char *host)
{
	for (const struct secret_helper *at = s->helpers; at; at = at->next) {
		if (at->file == file && (*host ? is_host(at->scope, host) : !*at->scope))
			return at;
	}
	return NULL;
}

/* What docker calls the hub when it gives its credentials to a helper. */
#define HUB "https://index.docker.io/v1/"

/* The one place of a file. */
static bool
file_candidate(const struct secrets *s, unsigned file, const char *host,
    const char *repository, struct candidate *out)
{
	const struct secret_helper *h = find_helper(s, file, host);
	const struct secret *found = h ? NULL : find_secret(s, file, host, repository);
	bool all = !h && !found;

	*out = (struct candidate){.secret = found,
	    .named = all ? HELPER_OF_ALL : HELPER_OF_SERVER,
	    .file = file};
	if (all)
		h = find_helper(s, file, "");
	if (h) {
		const char *ask = strcmp(host, "docker.io") == 0 ? HUB : host;
		snprintf(out->helper, sizeof(out->helper), "%s", h->name);
		snprintf(out->server, sizeof(out->server), "%s", all ? ask : h->server);
	}
	return found || h;
}

bool
secrets_next(const struct secrets *s, const char *host, const char *repository,
    unsigned *cursor, struct candidate *out)
{
	struct span order = span_str(*s->order ? s->order : AUTH_FILES_NAME "\n");
	unsigned at = 0;

	while (order.n) {
		const uint8_t *end = memchr(order.p, '\n', order.n);
		struct span name = span_of(order.p, (size_t)(end - order.p));
		bool files = span_is(name, AUTH_FILES_NAME);
		unsigned n = files ? s->files + 1 : 1;

		order = span_from(order, name.n + 1);
		for (; *cursor < at + n; (*cursor)++) {
			if (files &&
			    !file_candidate(s, *cursor - at, host, repository, out))
				continue;
			if (!files) {
				*out = (struct candidate){.named = HELPER_LISTED};
				(void)!span_to_str(
				    name, out->helper, sizeof(out->helper));
				snprintf(out->server, sizeof(out->server), "%s", host);
			}
			(*cursor)++;
			return true;
		}
		at += n;
	}
	return false;
}

/* ---- helpers ---- */

static bool
helper_name_ok(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return name.n >= 1 && name.n <= LIMIT_HELPER_NAME;
}

int
secrets_add_helper(struct secrets *s, struct span scope, struct span name)
{
	if (!helper_name_ok(name))
		return -EINVAL;
	struct secret_helper *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	bool ok = span_to_str(name, new->name, sizeof(new->name)) &&
		  span_to_str(scope, new->server, sizeof(new->server));
	scope_strip(&scope);
	if (!ok || !span_to_str(scope, new->scope, sizeof(new->scope))) {
		free(new);
		return -EINVAL;
	}
	new->file = s->files;
	new->next = s->helpers;
	s->helpers = new;
	return 0;
}

int
secrets_add_order(struct secrets *s, struct span name)
{
	size_t n = strlen(s->order);

	if (!name.n) {
		*s->order = 0;
		return 0;
	}
	if (!span_is(name, AUTH_FILES_NAME) && !helper_name_ok(name))
		return -EINVAL;
	if (n + name.n + 2 > sizeof(s->order))
		return -E2BIG;
	memcpy(s->order + n, name.p, name.n);
	memcpy(s->order + n + name.n, "\n", 2);
	return 0;
}

/* ---- files ---- */

void
secrets_file(struct secrets *s)
{
	s->files++;
}

void
secrets_file_drop(struct secrets *s)
{
	for (struct secret **at = &s->first, *old; (old = *at);) {
		if (old->file != s->files) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		secret_free(old);
	}
	for (struct secret_helper **at = &s->helpers, *old; (old = *at);) {
		if (old->file != s->files) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
	}
}

void
secrets_release(struct secrets *s)
{
	for (struct secret *at = s->first, *next; at; at = next) {
		next = at->next;
		secret_free(at);
	}
	for (struct secret_helper *at = s->helpers, *next; at; at = next) {
		next = at->next;
		free(at);
	}
	*s = (struct secrets){0};
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
