/* Shared by the files that implement pulls. */
#ifndef BULKHEAD_FRONTEND_PULLS_H
#define BULKHEAD_FRONTEND_PULLS_H

#include "frontend/fetchers.h"

/* Requests for layers are numbered apart from the store's own numbers for documents. */
#define LAYER_REQ(index) (UINT64_C(1) << 40 | (index))
#define LAYER_INDEX(req) ((req)&0xffffffffu)

struct pull *pull_find(struct frontend *f, uint64_t id);

/* Tells the store, asks for a fetcher. */
void pull_begin(struct pull *p);

/* What the name means, and where the first of these images can be had. 0, or negative
 * with *e. */
int pull_names_begin(struct pull *p, struct span name, struct err *e) MUST_CHECK;

/* The image cannot be had, with this code and text: begins with the next that the name
 * may mean. false: there is none, or no reason to try it. */
bool pull_next_name(struct pull *p, enum err_class code, struct span text) MUST_CHECK;

/* The text with what went wrong with the names before. */
struct span pull_names_tried(struct pull *p, struct span text);

bool pull_names_same(const struct pull *a, const struct pull *b);

/* As wished, or PULL_NEVER while it is found out which image is there. */
enum pull_mode pull_mode(const struct pull *p);

/* Tells all waiters and forgets the pull; the next in the queue begins. */
void pull_finish(struct frontend *f, struct pull *p, enum err_class code,
    const uint8_t image[32], bool fresh, struct span text);

/* Begins every pull whose turn it is. */
void pulls_begin(struct frontend *f);

#endif
