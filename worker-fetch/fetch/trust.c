#include "worker-fetch/fetch/trust.h"

#include "common/base/base64.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#define TRUST_MAX 4096 /* certificates of a bundle */

struct anchor {
	uint8_t *der;
	size_t n;
	struct span subject; /* the Name, in der */
	bool parsed;
};

struct trust {
	struct anchor *anchors;
	size_t n, parsed;
	X509_STORE *store;
	X509_LOOKUP_METHOD *method;
};

/* ---- finding the subject ---- */

/* One DER element at the front of *in: its contents, or with whole its header too. */
static bool
element(struct span *in, uint8_t tag, bool whole, struct span *out)
{
	size_t head = 2, n;

	if (in->n < 2 || in->p[0] != tag)
		return false;
	n = in->p[1];
	if (n >= 0x80) {
		size_t bytes = n & 0x7f;
		if (bytes < 1 || bytes > 3 || in->n < 2 + bytes)
			return false;
		n = 0;
		for (size_t i = 0; i < bytes; i++)
			n = n << 8 | in->p[2 + i];
		head += bytes;
	}
	if (in->n - head < n)
		return false;
	*out = whole ? span_of(in->p, head + n) : span_of(in->p + head, n);
	*in = span_from(*in, head + n);
	return true;
}

/* RFC 5280 4.1: Certificate { TBSCertificate { [0] version, serial, algorithm, issuer,
 * validity, subject, ... } ... } */
static bool
find_subject(struct span der, struct span *subject)
{
	enum { INTEGER = 0x02, SEQUENCE = 0x30, VERSION = 0xa0 };
	struct span certificate, tbs, ignored;

	if (!element(&der, SEQUENCE, false, &certificate) ||
	    !element(&certificate, SEQUENCE, false, &tbs))
		return false;
	if (tbs.n && tbs.p[0] == VERSION && !element(&tbs, VERSION, false, &ignored))
		return false;
	return element(&tbs, INTEGER, false, &ignored) &&
	       element(&tbs, SEQUENCE, false, &ignored) &&
	       element(&tbs, SEQUENCE, false, &ignored) &&
	       element(&tbs, SEQUENCE, false, &ignored) &&
	       element(&tbs, SEQUENCE, true, subject);
}

/* ---- PEM ---- */

/* Everything that is no base64 digit is passed over, as line ends and padding are. */
static size_t
pem_decode(struct span text, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		int v = base64_digit(text.p[i]);
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return n;
}

/* The text of the next block, and *pem behind it. */
static bool
next_block(struct span *pem, struct span *body)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char end[] = "-----END CERTIFICATE-----";
	const uint8_t *from =
	    pem->n ? memmem(pem->p, pem->n, begin, sizeof(begin) - 1) : NULL;

	if (!from)
		return false;
	from += sizeof(begin) - 1;
	const uint8_t *to =
	    memmem(from, (size_t)(pem->p + pem->n - from), end, sizeof(end) - 1);
	if (!to)
		return false;
	*body = span_of(from, (size_t)(to - from));
	*pem = span_from(*pem, (size_t)(to - pem->p) + sizeof(end) - 1);
	return true;
}

static bool
add_anchor(struct trust *t, struct span body)
{
	struct anchor a = {.der = malloc(body.n + 1)};

	if (!a.der)
		return false;
	a.n = pem_decode(body, a.der);
	if (!find_subject(span_of(a.der, a.n), &a.subject)) {
		free(a.der);
		return true;
	}
	t->anchors[t->n++] = a;
	return true;
}

/* ---- OpenSSL's side ---- */

static bool
subject_is(const struct anchor *a, const X509_NAME *name, struct span der, bool exact)
{
	const uint8_t *p = a->subject.p;

	if (exact)
		return span_eq(a->subject, der);
	/* RFC 5280 7.1 lets case and spaces differ. */
	X509_NAME *parsed = d2i_X509_NAME(NULL, &p, (long)a->subject.n);
	bool same = parsed && X509_NAME_cmp(parsed, name) == 0;
	X509_NAME_free(parsed);
	return same;
}

/* Parses the certificates of that subject into the store; the first of them in *out. */
static bool
load(struct trust *t, const X509_NAME *name, bool exact, X509_OBJECT *out)
{
	const uint8_t *der = NULL;
	size_t n = 0;
	bool found = false;

	if (!X509_NAME_get0_der(name, &der, &n))
		return false;
	for (size_t i = 0; i < t->n; i++) {
		struct anchor *a = &t->anchors[i];
		const uint8_t *p = a->der;
		if (a->parsed || !subject_is(a, name, span_of(der, n), exact))
			continue;
		a->parsed = true;
		t->parsed++;
		X509 *x = d2i_X509(NULL, &p, (long)a->n);
		if (x && X509_STORE_add_cert(t->store, x) && !found) {
			found = X509_OBJECT_set1_X509(out, x);
			/* The caller borrows what a lookup answers and never frees it:
			 * the store's own reference is the one that counts. */
			if (found)
				X509_free(x);
		}
		X509_free(x);
	}
	return found;
}

static int
by_subject(
    X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name, X509_OBJECT *out)
{
	struct trust *t = X509_LOOKUP_get_method_data(lookup);

	if (type != X509_LU_X509 || !t)
		return 0;
	return load(t, name, true, out) || load(t, name, false, out);
}

static bool
make_store(struct trust *t)
{
	t->store = X509_STORE_new();
	t->method = X509_LOOKUP_meth_new("bundle");
	if (!t->store || !t->method ||
	    !X509_LOOKUP_meth_set_get_by_subject(t->method, by_subject))
		return false;
	X509_LOOKUP *lookup = X509_STORE_add_lookup(t->store, t->method);
	if (!lookup || !X509_LOOKUP_set_method_data(lookup, t))
		return false;
	/* As libcurl does: what is listed is trusted, also when it is no root. */
	return X509_STORE_set_flags(
	    t->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
}

struct trust *
trust_new(struct span pem)
{
	struct trust *t = calloc(1, sizeof(*t));
	struct span body;

	if (!t)
		return NULL;
	t->anchors = calloc(TRUST_MAX, sizeof(*t->anchors));
	bool ok = t->anchors && make_store(t);
	while (ok && t->n < TRUST_MAX && next_block(&pem, &body))
		ok = add_anchor(t, body);
	if (ok)
		return t;
	trust_free(t);
	return NULL;
}

void
trust_free(struct trust *t)
{
	if (!t)
		return;
	X509_STORE_free(t->store);
	X509_LOOKUP_meth_free(t->method);
	for (size_t i = 0; i < t->n; i++)
		free(t->anchors[i].der);
	free(t->anchors);
	free(t);
}

size_t
trust_count(const struct trust *t)
{
	return t->n;
}

size_t
trust_parsed(const struct trust *t)
{
	return t->parsed;
}

void
trust_apply(struct trust *t, void *ssl_ctx)
{
	SSL_CTX_set1_cert_store(ssl_ctx, t->store);
}
