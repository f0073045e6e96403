#include "worker-fetch/fetch/identity.h"

#include "common/base/pairs.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define IDENTITY_MAX 16	      /* pairs */
#define IDENTITY_CHAIN_MAX 10 /* certificates behind the first */

struct identity {
	struct known {
		X509 *cert;
		STACK_OF(X509) * chain;
		EVP_PKEY *key;
		char path[200]; /* escaped, cut */
	} at[IDENTITY_MAX];
	size_t n;
	bool asked;
	const struct known *shown; /* in the last handshake; NULL: none of them */
};

/* ---- parsing ---- */

/* There is nobody to ask for the password of a key. */
static int
no_password(char *dst, int cap, int writes, void *arg)
{
	*(bool *)arg = true;
	return -1;
}

static int
read_certs(struct known *k, struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	k->chain = sk_X509_new_null();
	k->cert = bio && k->chain ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	for (int i = 0; k->cert && i < IDENTITY_CHAIN_MAX; i++) {
		X509 *more = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		if (!more || !sk_X509_push(k->chain, more)) {
			X509_free(more);
			break;
		}
	}
	BIO_free(bio);
	return k->cert ? 0 : -1;
}

static bool
read_key(struct known *k, struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	bool asked = false;

	k->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked) : NULL;
	BIO_free(bio);
	return asked;
}

static int
refuse(struct err *e, struct span path, const char *why)
{
	char shown[512];

	return err_set(
	    e, ERR_USAGE, "%s: %s", span_escape(path, shown, sizeof(shown)), why);
}

static int
add(struct identity *id, struct span cert, struct span cert_pem, struct span key,
    struct span key_pem, struct err *e)
{
	struct known *k = &id->at[id->n];

	if (id->n == IDENTITY_MAX)
		return refuse(
		    e, cert, "more client certificates than one origin can have");
	id->n++;
	span_escape(cert, k->path, sizeof(k->path));
	if (read_certs(k, cert_pem) < 0)
		return refuse(e, cert, "no certificate in PEM form");
	if (read_key(k, key_pem))
		return refuse(e, key,
		    "the key is encrypted, and there is nobody to ask for its password");
	if (!k->key)
		return refuse(e, key, "no private key in PEM form");
	if (X509_check_private_key(k->cert, k->key) != 1)
		return refuse(e, key, "the key is not that of the certificate beside it");
	return 0;
}

int
identity_new(struct span pairs, struct identity **out, struct err *e)
{
	struct span cert, cert_pem, key, key_pem;
	int r = 0;

	struct identity *id = calloc(1, sizeof(*id));

	*out = NULL;
	if (!id)
		return err_set(e, ERR_INTERNAL, "out of memory");
	while (r == 0 && pairs_next(&pairs, &cert, &cert_pem)) {
		r = pairs_next(&pairs, &key, &key_pem)
			? add(id, cert, cert_pem, key, key_pem, e)
			: refuse(e, cert, "a certificate without a key");
	}
	if (r == 0)
		*out = id;
	else
		identity_free(id);
	return r;
}

void
identity_free(struct identity *id)
{
	if (!id)
		return;
	for (size_t i = 0; i < id->n; i++) {
		X509_free(id->at[i].cert);
		sk_X509_pop_free(id->at[i].chain, X509_free);
		EVP_PKEY_free(id->at[i].key);
	}
	free(id);
}

/* ---- the handshake ---- */

static bool
lists(const STACK_OF(X509_NAME) * names, const X509 *cert)
{
	for (int i = 0; i < sk_X509_NAME_num(names); i++) {
		if (X509_NAME_cmp(
			sk_X509_NAME_value(names, i), X509_get_issuer_name(cert)) == 0)
			return true;
	}
	return false;
}

static bool
suits(const struct known *k, const STACK_OF(X509_NAME) * names)
{
	bool found = sk_X509_NAME_num(names) <= 0 || lists(names, k->cert);

	for (int i = 0; !found && i < sk_X509_num(k->chain); i++)
		found = lists(names, sk_X509_value(k->chain, i));
	return found;
}

/* OpenSSL calls it when the server has asked. */
static int
choose(SSL *ssl, void *arg)
{
	const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);
	struct identity *id = arg;

	id->asked = true;
	id->shown = NULL;
	for (size_t i = 0; i < id->n; i++) {
		struct known *k = &id->at[i];
		if (suits(k, names)) {
			id->shown = k;
			return SSL_use_cert_and_key(ssl, k->cert, k->key, k->chain, 1);
		}
	}
	return 1;
}

void
identity_apply(struct identity *id, void *ssl_ctx)
{
	SSL_CTX_set_cert_cb(ssl_ctx, choose, id);
}

bool
identity_asked(const struct identity *id)
{
	return id->asked;
}

char *
identity_tell(const struct identity *id, const char *host, char *dst, size_t cap)
{
	if (!id || !id->n)
		snprintf(dst, cap,
		    "no client certificate was found for %s: NAME.cert and NAME.key "
		    "belong in its directory below certs.d",
		    host);
	else if (id->shown)
		snprintf(
		    dst, cap, "it was shown the client certificate %s", id->shown->path);
	else
		snprintf(dst, cap,
		    "it was shown no client certificate: none of the authorities that it "
		    "names has signed %s%s",
		    id->at[0].path, id->n > 1 ? " or another one there" : "");
	return dst;
}
