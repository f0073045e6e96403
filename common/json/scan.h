/* Whether bytes are one JSON text (RFC 8259) within the limits of LIMIT_JSON_*: asked
 * before any library sees them, because libraries take what this refuses. */
#ifndef BULKHEAD_JSON_SCAN_H
#define BULKHEAD_JSON_SCAN_H

#include "common/base/err.h"
#include "common/base/span.h"

/* Refuses: a byte order mark, bytes that are not UTF-8, NUL (raw or \u0000), lone
 * surrogates, comments, NaN and the like, `-0`, more depth, keys in one object, bytes in
 * one string (decoded) or values in all than the limits, an empty text, anything but
 * white space after the value. Does not see duplicate keys: the tree does. `what` names
 * the text in *e (class ERR_CONTENT). 0 or -EBADMSG. */
int json_scan(struct span text, const char *what, struct err *e) MUST_CHECK;

#endif
