/* What each pull does right now, and what it waits for. */
#ifndef BULKHEAD_FRONTEND_PS_H
#define BULKHEAD_FRONTEND_PS_H

#include "frontend/fetchers.h"

struct ps_texts {
	char endpoint[600], waiting[256];
};

/* Fills row but for its number; texts holds what the row points to. */
void ps_row(const struct pull *p, struct ps_texts *texts, struct msg_cli_ps_row *row);

/* One row a pull, the oldest first. */
void ps_send(struct frontend *f, struct port *to, uint64_t req);

#endif
