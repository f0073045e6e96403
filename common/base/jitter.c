#include "common/base/jitter.h"

#include <sys/random.h>

uint64_t
jitter_random(void)
{
	uint64_t bits = 0;
	ssize_t n = getrandom(&bits, sizeof(bits), GRND_NONBLOCK);

	return n == (ssize_t)sizeof(bits) ? bits : UINT64_MAX; /* then it is no matter */
}
