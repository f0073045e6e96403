#include "worker-fetch/hash/digest.h"

#include <errno.h>
#include <openssl/evp.h>

int
digest_init(struct digest *d)
{
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx)
		return -ENOMEM;
	if (EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		digest_release(d);
		return -ENOMEM;
	}
	return 0;
}

void
digest_release(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

int
digest_add(struct digest *d, struct span bytes)
{
	return EVP_DigestUpdate(d->ctx, bytes.p, bytes.n) == 1 ? 0 : -EIO;
}

int
digest_end(struct digest *d, uint8_t out[DIGEST_LEN])
{
	return EVP_DigestFinal_ex(d->ctx, out, NULL) == 1 ? 0 : -EIO;
}

int
digest_warm_up(void)
{
	uint8_t out[DIGEST_LEN];
	struct digest d;
	int e = digest_init(&d);

	if (e < 0)
		return e;
	e = digest_add(&d, span_str("warm"));
	if (e == 0)
		e = digest_end(&d, out);
	digest_release(&d);
	return e;
}
