/* The frontend itself, in its sandbox, on a listening socket: the test is its supervisor,
 * its store and its clients. */
#include "tests/frontend/grpc_peer.h"
#include "tests/room.h"

#include <sys/socket.h>
#include <sys/un.h>

struct scene {
	struct room_test room;
	struct chan store;
	struct world *w;
	struct sockaddr_un address;
};

static void
expect(struct scene *s, struct chan *c, enum ipc_type type)
{
	struct ipc_msg m;

	do
		room_receive(&s->room, c, &m);
	while (m.type == MSG_log);
	assert_int_equal(m.type, type);
	ipc_msg_release(&m);
}

static void
scene_listen(struct scene *s)
{
	struct ipc_msg m = IPC_MSG(listen, .kind = LISTEN_CRI);

	s->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(s->address.sun_path, sizeof(s->address.sun_path),
	    "/tmp/test_grpc_room.%d", (int)getpid());
	unlink(s->address.sun_path);
	m.fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	m.nfds = 1;
	assert_int_equal(
	    bind(m.fds[0], (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	assert_int_equal(listen(m.fds[0], 4096), 0);
	room_send(&s->room.control, &m);
}

static struct scene *
scene_new(void)
{
	static struct scene s;
	struct ipc_msg setup = IPC_MSG(setup_frontend, .max_message = 1000,
	    .max_pulls = 8, .max_pulls_namespace = 4);
	struct ipc_msg all_told = IPC_MSG(cache_end);

	s = (struct scene){0};
	room_start(&s.room, ROOM_FRONTEND);
	room_send(&s.room.control, &setup);
	room_connect(&s.room, CH_frontend_store, ROOM_STORE, ROOM_FRONTEND, &s.store);
	s.store.phase = IPC_RUN;
	scene_listen(&s);
	expect(&s, &s.store, MSG_watch);
	expect(&s, &s.room.control, MSG_ready);
	room_send(&s.store, &all_told);
	s.w = world_new();
	return &s;
}

static void
scene_end(struct scene *s, int status)
{
	assert_int_equal(room_end(&s->room), status);
	chan_release(&s->store);
	unlink(s->address.sun_path);
	world_free(s->w);
}

static struct peer *
scene_client(struct scene *s, bool raw)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(
	    connect(fd, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	return peer_open_fd(s->w, fd, 0, raw);
}

#define VERSION "/runtime.v1.RuntimeService/Version"
#define LIST "/runtime.v1.ImageService/ListImages"

static void
test_calls(void **state)
{
	struct scene *s = scene_new();
	struct peer *p[100], *bad = scene_client(s, true);
	struct ipc_msg stop = IPC_MSG(stop);
	static uint8_t zeroes[1001];

	peer_raw(bad, "GET / HTTP/1.1\r\n\r\n", 18);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = scene_client(s, false);
		for (int k = 0; k < 10; k++)
			peer_ask(p[i], ask_for(k % 2 ? VERSION : LIST, "", 0));
		peer_ask(p[i], ask_for(LIST, zeroes, sizeof(zeroes)));
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		for (size_t k = 0; k < p[i]->replies_n; k++) {
			struct reply *r = &p[i]->replies[k];
			WAIT(s->w, r->closed);
			assert_int_equal(
			    r->status, k < 10 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED);
		}
		assert_true(p[i]->replies[1].n > 20); /* names and versions */
		assert_int_equal(p[i]->replies[0].n, GRPC_PREFIX); /* no image */
	}
	WAIT(s->w, bad->gone);
	room_send(&s->room.control, &stop);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		WAIT(s->w, p[i]->goaways && p[i]->gone);
		peer_close(p[i]);
	}
	peer_close(bad);
	scene_end(s, 0);
}

/* All the memory that a client may make it use, and one more. */
static void
test_memory(void **state)
{
	struct scene *s = scene_new();
	struct ipc_msg wide = IPC_MSG(setup_frontend, .max_message = MiB(16),
	    .max_pulls = 8, .max_pulls_namespace = 4);
	struct ipc_msg stop = IPC_MSG(stop);
	uint8_t *bytes = calloc(1, MiB(16));
	struct peer *p[8];
	unsigned held = 0, refused = 0;

	assert_non_null(bytes);
	room_send(&s->room.control, &wide);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		struct ask a = ask_for(LIST, bytes, MiB(16));
		a.n--; /* they never end */
		a.keep_open = true;
		p[i] = scene_client(s, false);
		peer_ask(p[i], a);
	}
	uint64_t until = loop_now() + 120000;
	while (loop_now() < until && held + refused < ARRAY_LEN(p)) {
		world_step(s->w);
		held = refused = 0;
		for (size_t i = 0; i < ARRAY_LEN(p); i++) {
			const struct reply *r = &p[i]->replies[0];
			refused += r->closed;
			held += !r->closed && r->request_at == r->request_n;
		}
	}
	assert_true(held > 0 && refused >= 2);
	assert_int_equal(held + refused, ARRAY_LEN(p));
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		if (p[i]->replies[0].closed)
			assert_int_equal(
			    p[i]->replies[0].status, GRPC_RESOURCE_EXHAUSTED);
		peer_close(p[i]);
	}
	struct peer *after = scene_client(s, false);
	struct reply *r = peer_ask(after, ask_for(VERSION, "", 0));
	WAIT(s->w, r->closed);
	assert_int_equal(r->status, GRPC_OK);
	peer_close(after);
	free(bytes);
	room_send(&s->room.control, &stop);
	scene_end(s, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, room_host_setup, room_host_teardown);
}
