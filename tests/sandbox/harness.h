/* A supervisor's host in a scratch directory, with the probe in the place of every room.
 */
#ifndef BULKHEAD_TESTS_SANDBOX_HARNESS_H
#define BULKHEAD_TESTS_SANDBOX_HARNESS_H

#include "policy/sandbox/status.h"
#include "tests/sandbox/attempts.h"

struct harness {
	struct sandbox_host host;
	char dir[64];
	char graph[96], run[96], uids[96], programs[96];
};

/* Needs root; exits the program with 77 (skipped) otherwise. Once a process: it changes
 * the process's namespaces. */
void harness_open(struct harness *h);
void harness_open_with(struct harness *h, unsigned allow_degraded);
void harness_close(struct harness *h);

/* (Re)makes the graph root's content that the attempts know. */
void harness_fill(struct harness *h);

/* A directory of the graph root, opened as the store would. */
int harness_tree(struct harness *h);

/* Starts the probe for a row and waits for its hello. how: '.' as it should be, 'w' its
 * warm-up fails, 'r' it plays the wrong room, 't' it closes its ticket. true with *hello;
 * false when it failed, with the failure's text. */
bool harness_spawn(struct harness *h, const struct profile *p, char how,
    struct sandbox_room *room, struct probe_packet *hello, char *text, size_t cap);

/* One attempt: 0 or its errno; -1: the room was killed by SIGSYS (it is reaped then).
 * Anything else fails the test. */
int harness_try(struct harness *h, struct sandbox_room *room, unsigned attempt);

/* Kills and reaps. */
void harness_end(struct harness *h, struct sandbox_room *room);

#endif
