/* What a pull does meanwhile, for people or programs. Pure but for the FILE: the clock is
 * an argument, in milliseconds, and only its differences count. */
#ifndef BULKHEAD_CLI_PROGRESS_H
#define BULKHEAD_CLI_PROGRESS_H

#include "common/base/limits.h"
#include "common/ref/digest.h"

#include <stdio.h>

enum progress_mode { PROGRESS_NONE, PROGRESS_BARS, PROGRESS_PLAIN, PROGRESS_JSON };
enum progress_state {
	PROGRESS_UNSEEN,
	PROGRESS_THERE,
	PROGRESS_QUEUED,
	PROGRESS_RUNNING,
	PROGRESS_READY
};
enum progress_stage { PROGRESS_FETCHING, PROGRESS_CHECKING, PROGRESS_COMMITTING };

struct progress_layer {
	enum progress_state state;
	enum progress_stage stage;
	uint8_t digest[DIGEST_BYTES];
	uint64_t size, bytes;	 /* compressed */
	uint64_t started, shown; /* when the first byte came, when JSON last told it */
};

struct progress {
	enum progress_mode mode;
	FILE *to;
	unsigned width, rows; /* of the terminal; the owner changes them at will */
	char name[LIMIT_NAME * 4 + 1]; /* made safe */
	struct progress_layer layers[LIMIT_LAYERS];
	unsigned count;		/* layers of the image, 0 = not known yet */
	unsigned drawn;		/* lines of the block on the terminal */
	uint64_t started, last; /* of the pull; last block, or last line */
	bool committing;
};

/* Begins a pull of `name`. */
void progress_start(struct progress *p, enum progress_mode mode, FILE *to,
    struct span name, uint64_t now);

/* A layer's place, size and state. Places beyond count, and counts beyond LIMIT_LAYERS,
 * are ignored: they come from outside. */
void progress_layer(struct progress *p, uint64_t index, uint64_t count,
    const uint8_t digest[DIGEST_BYTES], uint64_t size, enum progress_state state,
    uint64_t now);

/* Bytes of a layer so far. */
void progress_bytes(struct progress *p, uint64_t index, enum progress_stage stage,
    uint64_t bytes, uint64_t now);

/* Draws what is due (bars ten times a second, a line each 30 s). Milliseconds until it
 * wants to be called again, -1 = never. */
int progress_tick(struct progress *p, uint64_t now);

/* Takes the block off the terminal: before any other line is written there, and at the
 * end. */
void progress_clear(struct progress *p);

#endif
