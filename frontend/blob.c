#include "frontend/call.h"

#include <string.h>

/* Clients that ask and never read would otherwise keep an answer each in memory. */
static size_t blobs_in_memory;

struct blob *
blob_new(size_t n)
{
	if (n > LIMIT_GRPC_ANSWERS - blobs_in_memory)
		return NULL;
	struct blob *b = malloc(sizeof(*b) + n);
	if (!b)
		return NULL;
	b->refs = 1;
	b->n = n;
	blobs_in_memory += n;
	return b;
}

struct blob *
blob_ref(struct blob *b)
{
	b->refs++;
	return b;
}

void
blob_unref(struct blob *b)
{
	if (!b || --b->refs > 0)
		return;
	blobs_in_memory -= b->n;
	free(b);
}
