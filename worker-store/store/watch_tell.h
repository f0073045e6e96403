/* What watch.c and watch_tell.c share: what the frontend has been told so far. */
#ifndef BULKHEAD_STORE_WATCH_TELL_H
#define BULKHEAD_STORE_WATCH_TELL_H

#include "worker-store/store/look.h"
#include "worker-store/store/summary.h"
#include "worker-store/store/told.h"
#include "worker-store/store/watch.h"

#define BROKEN_MS 3000 /* a record that is being made is no news for the log */

struct watch {
	struct keeper *room;
	struct look look;
	bool on;
	bool filled;   /* the first cache_end is out */
	bool passing;  /* over the records, at number `at` of view number `loads` */
	bool again;    /* one more pass, whether or not a file has changed */
	bool missed;   /* no memory for some record */
	bool differs;  /* something was told since the last cache_end */
	bool unlogged; /* some record is broken that the log does not know yet */
	size_t at;
	uint64_t loads, pass;
	struct told_table told;
	uint64_t broken, generation;
	struct fsinfo fs; /* as told */
	unsigned ticks, retry_ms;
	uint64_t began_ms, rest_until_ms;
	struct loop_timer step, tick, keep;
	struct loop_source source; /* inotify */
	struct summary summary;	   /* of the image that is being told */
	struct timespec summaries; /* when their directory changed last */
	bool describe;		   /* this pass asks for summaries that may be new */
};

/* Tells what is new of one record of the view, if anything. 0 or -ENOMEM. */
int tell_record(struct watch *w, size_t image) MUST_CHECK;

/* Takes an image back that was told; arg: the watch. */
void tell_gone(void *arg, const struct told *e);

#endif
