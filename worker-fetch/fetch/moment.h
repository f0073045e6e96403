/* Dates of HTTP. */
#ifndef BULKHEAD_FETCH_MOMENT_H
#define BULKHEAD_FETCH_MOMENT_H

#include "common/base/span.h"

#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7, IMF-fixdate; the two obsolete forms
 * are not read) as seconds since 1970. The day of the week is not compared. */
bool moment_parse(struct span text, int64_t *seconds);

#endif
