#include "supervisor/crypto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

int
crypto_sha256(struct span bytes, uint8_t out[32])
{
	return EVP_Digest(bytes.p, bytes.n, out, NULL, EVP_sha256(), NULL) == 1 ? 0
										: -EIO;
}

int
crypto_hmac_sha256(const uint8_t key[32], struct span bytes, uint8_t out[32])
{
	unsigned n = 32;

	return HMAC(EVP_sha256(), key, 32, bytes.p, bytes.n, out, &n) ? 0 : -EIO;
}
