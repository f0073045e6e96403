#include "worker-store/store/hash.h"

#include <errno.h>
#include <openssl/evp.h>

int
sha256(struct span data, uint8_t hash[32])
{
	return EVP_Digest(data.p, data.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0
									       : -ENOMEM;
}
