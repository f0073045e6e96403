/* The rooms: one process kind each. A room's program is bulkhead-NAME; the supervisor's
 * is bulkheadd and the command's bulkhead. */
#ifndef BULKHEAD_IPC_ROOMS_H
#define BULKHEAD_IPC_ROOMS_H

/* id, name */
#define ROOMS(R)                         \
	R(ROOM_SUPERVISOR, "supervisor") \
	R(ROOM_CONF, "conf")             \
	R(ROOM_FRONTEND, "frontend")     \
	R(ROOM_DIAL, "dial")             \
	R(ROOM_FETCH, "fetch")           \
	R(ROOM_HASH, "hash")             \
	R(ROOM_INFLATE, "inflate")       \
	R(ROOM_DOCUMENT, "document")     \
	R(ROOM_VERDICT, "verdict")       \
	R(ROOM_APPLY, "apply")           \
	R(ROOM_STORE, "store")           \
	R(ROOM_HELPER, "helper")         \
	R(ROOM_CLI, "cli")

enum room {
#define R(id, name) id,
	ROOMS(R)
#undef R
	    ROOM_COUNT,
};

/* "fetch" and so on; "unknown" for a value that is none. Never NULL. */
static inline const char *
room_name(enum room room)
{
	static const char *const names[] = {
#define R(id, name) name,
	    ROOMS(R)
#undef R
	};
	return (unsigned)room < ROOM_COUNT ? names[room] : "unknown";
}

#endif
