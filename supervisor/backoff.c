#include "supervisor/backoff.h"

uint64_t
backoff_next(struct backoff *b, uint64_t lived)
{
	if (b->last == 0 || lived >= BACKOFF_RESET_MS)
		b->last = BACKOFF_FIRST_MS;
	else
		b->last = b->last * 2 < BACKOFF_MOST_MS ? b->last * 2 : BACKOFF_MOST_MS;
	return b->last;
}
