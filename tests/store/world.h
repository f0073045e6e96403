/* The storing side of a pull, with the test as supervisor, frontend and every other room.
 */
#ifndef BULKHEAD_TESTS_STORE_WORLD_H
#define BULKHEAD_TESTS_STORE_WORLD_H

#include "tests/store/peers.h"

#include "worker-store/store/watch.h"

#define PULL 7
#define NAME "docker.io/library/foo:a"

struct world {
	struct fixture *f;
	struct keeper k;
	struct chan control, frontend;
	struct image im;
	struct chan janitor;
	struct chan fetch; /* the pull's */
	struct {	   /* the layer's */
		struct chan hash, apply;
		uint64_t token;
	} rooms;
	uint8_t *manifest; /* made by the test */
	uint8_t policy[32];
};

int world_setup(void **state);
int world_teardown(void **state);
/* What the room does with a message of the frontend. */
int frontend_message(struct port *p, struct ipc_msg *m);

void tell(struct chan *c, const struct ipc_msg *m);
/* The next message, whatever it is; its fds are the caller's. */
bool next_message(struct world *w, struct chan *c, struct ipc_msg *m, unsigned ms);
void expect(struct world *w, struct chan *c, enum ipc_type type, struct ipc_msg *m);
void give(struct world *w, struct chan *c, enum ipc_channel channel, enum room room,
    uint64_t pull, uint64_t token);
void gone(struct world *w, enum room room, uint64_t token, unsigned status);
/* The next room that is wanted for the pull. The room that would clean up after a dead
 * supervisor is given at once. */
void wanted(struct world *w, enum room room, struct ipc_msg *m);
enum err_class pull_ended(struct world *w, char text[2048]);
void assert_ended(struct world *w, enum err_class code);
void ask(struct world *w, enum pull_mode mode, const char *name, const uint8_t *pin);
void send_document(struct world *w, uint64_t req, int fd);
/* A document arrives; its reader room is given and has its question. token: the room's.
 */
void read_by(struct world *w, struct span bytes, struct chan *doc, uint64_t *token);
void answer(struct world *w, struct chan *doc, uint64_t token, const struct ipc_msg *m);
void index_answer(struct world *w, struct ipc_msg *m);
void manifest_answer(struct world *w, struct ipc_msg *m);
void config_answer(struct world *w, struct ipc_msg *m);
void access_public(struct world *w);
/* Up to the question for a verdict. */
void documents(struct world *w);
void judge_with(struct world *w, bool accept, const char *name, const uint8_t *policy);
/* Up to the blob being wanted. */
void layer_rooms_next(struct world *w);
void layer_rooms(struct world *w);
void rooms_free(struct world *w);
/* A pull at its layer, whose rooms may ask for more. */
void at_layer(struct world *w);
void hashed(struct world *w, struct ipc_msg *m);
void all_gone(struct world *w, uint64_t token);
/* The tree, as the applier and its checker leave it. */
void fill_stage(struct world *w);
void applied(struct world *w);
/* The checker's room, with its question. */
void check_room(struct world *w, struct chan *c, uint64_t *token);
/* A pull at its checker's question. */
void at_check(struct world *w, struct chan *c, uint64_t *token);
void checked(struct world *w, struct chan *c, uint64_t token);
void whole_pull(struct world *w);
void wait_wrong(struct world *w, bool proven);

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
