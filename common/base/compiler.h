/* Names for what the compiler offers, so that a move to another standard is one file. */
#ifndef BULKHEAD_BASE_COMPILER_H
#define BULKHEAD_BASE_COMPILER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
/* A local buffer that is written before it is read: the build zeroes all others. */
#define UNINITIALIZED __attribute__((uninitialized))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Hands a pointer on: returns *pp and leaves NULL behind. */
static inline void *
ptr_steal_(void *pp)
{
	void **p = (void **)pp;
	void *v = *p;
	*p = NULL;
	return v;
}
#define ptr_steal(pp) ((__typeof__(*(pp)))ptr_steal_(pp))

/* free() for a local pointer: `CLEANUP(free_ptr) char *p = NULL;` Inline, so that
 * analysers see it. */
static inline void
free_ptr(void *pp)
{
	free(ptr_steal_(pp));
}

#endif
