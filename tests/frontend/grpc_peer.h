/* A server with methods of its own and its clients, in one event loop. A client speaks
 * HTTP/2 through nghttp2's client session, or sends raw bytes. */
#ifndef BULKHEAD_TESTS_GRPC_PEER_H
#define BULKHEAD_TESTS_GRPC_PEER_H

#include "tests/frontend/grpc_methods.h"

#define REPLIES 256

/* What came back on one stream. */
struct reply {
	int32_t id;
	int http, status; /* -1: did not come */
	char type[64], message[8192];
	uint8_t *body;
	size_t n, room;
	bool closed;
	uint32_t reset;
	const uint8_t *request; /* to be sent */
	size_t request_n, request_at;
	bool keep_open; /* no END_STREAM after that */
};

struct peer {
	struct world *w;
	struct loop_source source;
	struct nghttp2_session *session; /* NULL: raw */
	uint8_t *out;
	size_t out_n;
	struct reply replies[REPLIES];
	size_t replies_n;
	size_t got; /* bytes read */
	uint8_t last[64];
	unsigned goaways;
	bool gone;
};

struct world *world_new(void);
void world_free(struct world *w);

/* Runs the loop for about a millisecond. */
void world_step(struct world *w);

/* Runs it until the condition holds; the test fails after ten seconds. */
#define WAIT(w, condition)                                \
	do {                                              \
		uint64_t until_ = loop_now() + 60000;     \
		while (!(condition)) {                    \
			assert_true(loop_now() < until_); \
			world_step(w);                    \
		}                                         \
	} while (0)

/* A client on a socketpair. window: of each stream, 0 = HTTP/2's own. */
struct peer *peer_open(struct world *w, uint32_t window);
struct peer *peer_open_raw(struct world *w);
struct peer *peer_open_fd(struct world *w, int fd, uint32_t window, bool raw);
void peer_close(struct peer *p);

/* Bytes as they are. */
void peer_raw(struct peer *p, const void *bytes, size_t n);
/* One HTTP/2 frame. */
void peer_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t id,
    const void *bytes, size_t n);
/* The client's preface and an empty SETTINGS. */
void peer_hello(struct peer *p);
void peer_reading(struct peer *p, bool reading);
/* Sends what the session has. */
void peer_pump(struct peer *p);

/* A request; NULL and 0 mean what an honest client sends. */
struct ask {
	const char *verb, *path, *type, *authority, *timeout, *encoding;
	const char *name, *value; /* one field more */
	unsigned times;		  /* that field so often */
	const void *body;	  /* raw: prefix and all */
	size_t n;
	bool keep_open, first_extra; /* that field before :method */
};
struct reply *peer_ask(struct peer *p, struct ask a);

/* Prefix and message; valid until the next one. */
struct ask ask_for(const char *path, const void *message, size_t n);

#endif
