#include "frontend/cri_auth.h"

#include "common/base/base64.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- whose secret it is ---- */

static bool
is_docker(const char *host)
{
	return !strcasecmp(host, "docker.io") || !strcasecmp(host, "index.docker.io") ||
	       !strcasecmp(host, "registry-1.docker.io");
}

/* HTTPS's own port says nothing. */
static void
drop_port(char *host)
{
	size_t n = strlen(host);

	if (n > 4 && !strcmp(host + n - 4, ":443"))
		host[n - 4] = 0;
}

bool
cri_auth_is_for(struct span address, const char *domain)
{
	char host[LIMIT_REPOSITORY + 1], own[LIMIT_REPOSITORY + 1];
	size_t n = 0;

	if (address.n >= 8 && !strncasecmp((const char *)address.p, "https://", 8))
		address = span_from(address, 8);
	else if (address.n >= 7 && !strncasecmp((const char *)address.p, "http://", 7))
		address = span_from(address, 7);
	while (n < address.n && !strchr("/?#", address.p[n]))
		n++;
	if (!span_to_str(span_of(address.p, n), host, sizeof(host)) ||
	    !span_to_str(span_str(domain), own, sizeof(own)))
		return false;
	drop_port(host);
	drop_port(own);
	return !strcasecmp(host, own) || (is_docker(host) && is_docker(own));
}

/* ---- what it is ---- */

static int
set_secret(struct cri_secret *out, enum secret_kind kind, struct span s, struct err *e)
{
	if (s.n > sizeof(out->bytes))
		return err_set(e, ERR_USAGE, "the credentials are longer than %d bytes",
		    (int)LIMIT_SECRET);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return err_set(
			    e, ERR_USAGE, "the credentials hold control characters");
	}
	memcpy(out->bytes, s.p, s.n);
	out->n = s.n;
	out->kind = kind;
	out->auth = AUTH_GIVEN;
	return 0;
}

static int
set_basic(struct cri_secret *out, struct span user, struct span password, struct err *e)
{
	uint8_t both[LIMIT_SECRET];

	if (memchr(user.p, ':', user.n))
		return err_set(e, ERR_USAGE, "the username holds a colon");
	if (user.n + 1 + password.n > sizeof(both))
		return err_set(e, ERR_USAGE, "the credentials are longer than %d bytes",
		    (int)LIMIT_SECRET);
	memcpy(both, user.p, user.n);
	both[user.n] = ':';
	if (password.n)
		memcpy(both + user.n + 1, password.p, password.n);
	int r = set_secret(out, SECRET_BASIC, span_of(both, user.n + 1 + password.n), e);
	explicit_bzero(both, sizeof(both));
	return r;
}

/* As CRI-O: without a colon it is no credential, NULs around the password are padding of
 * old programs. */
static int
read_encoded(struct span text, uint8_t *dst, size_t cap, struct span *user,
    struct span *password, struct err *e)
{
	ssize_t n = base64_decode(text, dst, cap);

	if (n < 0)
		return err_set(e, ERR_USAGE,
		    "the credentials' `auth` is not base64 of user:password, or too "
		    "long");
	struct span all = span_of(dst, (size_t)n);
	const uint8_t *colon = all.n ? memchr(all.p, ':', all.n) : NULL;
	*user = *password = span_of(NULL, 0);
	if (!colon)
		return 0;
	*user = span_of(all.p, (size_t)(colon - all.p));
	*password = span_from(all, user->n + 1);
	while (password->n && password->p[0] == 0)
		*password = span_from(*password, 1);
	while (password->n && password->p[password->n - 1] == 0)
		password->n--;
	return 0;
}

static int
choose(const struct cri_auth *a, struct span user, struct span password,
    struct cri_secret *out, struct err *e)
{
	if (user.n && password.n)
		return set_basic(out, user, password, e);
	if (a->identity_token.n)
		return set_secret(out, SECRET_IDENTITY, a->identity_token, e);
	if (a->registry_token.n)
		return set_secret(out, SECRET_BEARER, a->registry_token, e);
	return user.n ? set_basic(out, user, password, e) : 0;
}

int
cri_auth_read(const struct cri_auth *a, const struct ref *ref, struct cri_secret *out,
    struct err *e)
{
	uint8_t decoded[LIMIT_SECRET];
	struct span user = a->username, password = a->password;
	int r = 0;

	out->auth = AUTH_FILES;
	out->kind = SECRET_NONE;
	out->n = 0;
	if (a->server_address.n && !cri_auth_is_for(a->server_address, ref->domain))
		return 0;
	if (a->auth.n)
		r = read_encoded(a->auth, decoded, sizeof(decoded), &user, &password, e);
	if (r == 0)
		r = choose(a, user, password, out, e);
	explicit_bzero(decoded, sizeof(decoded));
	return r;
}
