/* Reading the configuration while the loop goes on: a hostile file may keep its reader
 * busy for as long as a reader is given, and nobody waits for it. */
#ifndef BULKHEAD_SUPERVISOR_CONF_H
#define BULKHEAD_SUPERVISOR_CONF_H

#include "common/base/loop.h"
#include "supervisor/settings.h"

struct conf_reading;

/* Something in a file that is no error and still worth a warning. */
typedef void (*conf_note_fn)(void *arg, const char *text);

/* As settings_read, in a loop: done is called once, from the loop, with what
 * settings_read would have returned; the reading is freed after it. What `c` points to is
 * the caller's and has to stay. NULL when memory is short. */
typedef void (*conf_done_fn)(void *arg, int r, const struct err *e);
struct conf_reading *conf_begin(struct loop *loop, struct sandbox_host *h,
    const struct configured *c, conf_done_fn done, conf_note_fn note, void *arg);

/* Ends a reading whose done has not been called, and calls it no more. */
void conf_cancel(struct conf_reading *rd);

#endif
