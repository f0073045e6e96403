/* Who gets the next layer slot: the namespace that has the fewest layers in flight, of
 * several the one that began none for the longest time; in it the pull that came first.
 * So no namespace is kept waiting by another's long queue. Pure. */
#ifndef BULKHEAD_STORE_SLOTS_H
#define BULKHEAD_STORE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One pull that is at its layers. */
struct slot_claim {
	const char *namespace;
	uint64_t id;	 /* the lower came first */
	uint64_t turn;	 /* grows: when a layer of it began last, 0 = none has */
	unsigned flying; /* its layers in flight */
	bool waits;	 /* it has one that could begin */
	void *arg;
};

/* Its place in v, or -1: nobody waits, or there is no slot. each, all: most layers in
 * flight of one pull, and of all together. */
int slots_next(const struct slot_claim *v, size_t n, unsigned each, unsigned all);

#endif
