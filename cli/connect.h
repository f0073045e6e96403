/* The control socket of a daemon. */
#ifndef BULKHEAD_CLI_CONNECT_H
#define BULKHEAD_CLI_CONNECT_H

#include "common/base/err.h"

/* Connects to the SEQPACKET socket at path. The fd; -ENOENT with e untouched when nobody
 * listens there and must is false; else negative with *e. */
int control_connect(const char *path, bool must, struct err *e) MUST_CHECK;

#endif
