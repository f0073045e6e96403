/* What the store knows of an image, as lines "key TAB value LF" that it wrote itself: id,
 * digest, size, driver; each any number of times name, repo-digest, history; and
 * graph.KEY for the data of the storage driver. Values hold no control characters. */
#ifndef BULKHEAD_DOCUMENT_FACTS_H
#define BULKHEAD_DOCUMENT_FACTS_H

#include "common/base/err.h"
#include "common/base/span.h"

/* Whether every line has that form and a known key. 0 or -EBADMSG. */
int facts_check(struct span facts, struct err *e) MUST_CHECK;

/* The next line of checked facts; *rest starts as the facts and moves on. */
bool facts_next(struct span *rest, struct span *key, struct span *value);

/* The first value of the key; an empty span when there is none. */
struct span facts_get(struct span facts, const char *key);

#endif
