/* The oracle of both fuzz targets: how a stream is cut into pieces must not matter. */
#ifndef BULKHEAD_TESTS_INFLATE_COMPARE_H
#define BULKHEAD_TESTS_INFLATE_COMPARE_H

#include "worker-fetch/inflate/inflate.h"

/* The first byte chooses the sizes of the pieces, the rest is the stream. Aborts when
 * whole and in pieces differ in verdict or output. */
void compare_pieces(enum inflate_format format, const uint8_t *data, size_t size);

#endif
