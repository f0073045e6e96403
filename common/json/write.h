/* JSON text into memory, indented by four blanks. Errors stick: check once, at jw_done.
 */
#ifndef BULKHEAD_JSON_WRITE_H
#define BULKHEAD_JSON_WRITE_H

#include "common/base/span.h"

#define JW_DEPTH 40 /* a whole JSON text fits into a member of ours */

struct jw {
	char *p; /* owned, see jw_free */
	size_t n, cap;
	size_t max; /* bytes; 0: LIMIT_RENDERED */
	int error;  /* 0, -ENOMEM, -EFBIG or -EINVAL */
	unsigned depth;
	bool member[JW_DEPTH]; /* whether the open container has one already */
	bool after_key;
	bool compact; /* no white space: set it before the first call */
};

void jw_object(struct jw *w);
void jw_array(struct jw *w);
void jw_end(struct jw *w, char close); /* '}' or ']' */
void jw_key(struct jw *w, const char *key);
void jw_key_span(struct jw *w, struct span key);

/* Text must be UTF-8; what is not is written byte by byte as U+FFFD. Control characters,
 * DEL and the line separators U+2028 and U+2029 are escaped. */
void jw_text(struct jw *w, struct span text);
void jw_str(struct jw *w, const char *text);
void jw_int(struct jw *w, int64_t v);
void jw_uint(struct jw *w, uint64_t v);
void jw_real(struct jw *w, double v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);

/* Ends the text with a newline. 0 or the first error; -EINVAL when containers are still
 * open. */
int jw_done(struct jw *w) MUST_CHECK;

/* For CLEANUP. */
void jw_free(struct jw *w);

#endif
