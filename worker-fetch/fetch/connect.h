/* libcurl 7.88 calls connect() on sockets that are connected already and takes EISCONN
 * for a failure (later ones ask first). The program's own `connect` answers for those,
 * and refuses the rest: a fetcher connects nothing. */
#ifndef BULKHEAD_FETCH_CONNECT_H
#define BULKHEAD_FETCH_CONNECT_H

#include "common/base/compiler.h"

/* Whether the symbol that libraries find is ours; false would mean a broken link. */
bool connect_is_ours(void);

#endif
