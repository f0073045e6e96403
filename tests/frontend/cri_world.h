/* The image service between a test in the place of the transport, of the store (at a real
 * channel) and of the pulls: each call's answer and status, each question to the store,
 * each wish for a pull is recorded. */
#ifndef BULKHEAD_TESTS_FRONTEND_CRI_WORLD_H
#define BULKHEAD_TESTS_FRONTEND_CRI_WORLD_H

#include "frontend/cache.h"
#include "frontend/pull.h"
#include "frontend/query.h"
#include "tests/frontend/wire.h"

#define ANSWERS 8

/* A call, and what became of it. */
struct asked {
	struct call call;
	struct blob *parts[ANSWERS];
	size_t at[ANSWERS], n[ANSWERS];
	unsigned sent;
	bool finished;
	enum grpc_code code;
	char text[2400];
};

/* The one wish for a pull that a test looks at. */
struct wish {
	struct waiter *waiter; /* NULL: nobody waits */
	struct pull_options options;
	char name[600], namespace[300];
	uint8_t secret[LIMIT_SECRET];
	unsigned joined, left;
	enum err_class refuse; /* pull_join fails with this class */
};

struct world {
	struct frontend f;
	struct chan store;
	struct ipc_msg last;
	struct wish wish;
	unsigned logged;
};

/* One at a time: the doubles have nowhere else to look. */
extern struct world *world;

void world_open(void);
void world_close(void);

/* Starts a method by its name; the request is freed. */
struct asked *ask(const char *method, struct wire *request);
/* The i-th message of the answer. */
struct span answer(const struct asked *a, unsigned i);
/* Fails the test unless the call ended so, with a text that holds `part`. */
void expect_end(const struct asked *a, enum grpc_code code, const char *part);
/* The client went. */
void ask_cancel(struct asked *a);
void asked_free(struct asked *a);

/* ImageSpec as field 1, and verbose. */
struct wire image_request(const char *image, bool verbose);

/* What the store says; names: lines. id: its first byte, the others are 0x11. */
void tell_image(uint8_t id, const char *names, const char *user, bool described);
void tell_gone(uint8_t id);
void tell_end(void);
/* Hands any message to the cache; its answer. */
int tell(struct ipc_msg *m);

/* The next message that the store was sent, of that type; fails when there is none. */
struct ipc_msg *store_expect(enum ipc_type type);
void store_expect_nothing(void);
/* The store's last word on a query. */
void store_done(uint64_t req, enum err_class code, const char *text);
void store_text(uint64_t req, int fd);

/* Lets timers and channels come to their turn. */
void settle(void);

#endif
