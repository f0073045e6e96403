/* Prints the README's tables of channels and messages from channels.def and schema.def.
 */
#include "common/ipc/msg.h"

#include <stdio.h>

static const char *
side_name(unsigned room)
{
	return room == ROOM_ANY ? "each room" : room_name((enum room)room);
}

static void
print_channels(void)
{
	static const struct {
		const char *name, *what;
		unsigned a, b;
	} list[] = {
#define CHANNEL(name, a, b, what) {#name, what, ROOM_##a, ROOM_##b},
	    IPC_CHANNELS(CHANNEL)
#undef CHANNEL
	};

	printf("| channel | between | carries |\n|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		printf("| `%s` | %s – %s | %s |\n", list[i].name, side_name(list[i].a),
		    side_name(list[i].b), list[i].what);
}

static void
print_field(const struct ipc_field *f)
{
	static const char *const kinds[] = {[IPC_U] = "number",
	    [IPC_I] = "signed number",
	    [IPC_B] = "bytes",
	    [IPC_V] = "bytes",
	    [IPC_T] = "text",
	    [IPC_L] = "numbers"};

	printf("%s: %s", f->name, kinds[f->kind]);
	if (f->kind == IPC_B)
		printf(" = %llu", (unsigned long long)f->limit);
	else if (f->limit && f->limit != UINT64_MAX)
		printf(" ≤ %llu", (unsigned long long)f->limit);
}

static void
print_messages(void)
{
	static const char *const channels[] = {
#define CHANNEL(name, a, b, what) #name,
	    IPC_CHANNELS(CHANNEL)
#undef CHANNEL
	};
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	printf("| id | message | channel | sender | fds | bytes ≤ | fields |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < n; i++) {
		const struct ipc_field *f = rows[i].fields();
		printf("| 0x%02x | `%s` | %s | %s | %u | %u | ", rows[i].type,
		    rows[i].name, channels[rows[i].channel], side_name(rows[i].sender),
		    rows[i].fds, rows[i].cap);
		for (unsigned k = 0; k < rows[i].nfields; k++) {
			printf("%s", k ? "; " : "");
			print_field(&f[k]);
		}
		printf("|\n");
	}
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "channels") == 0)
		print_channels();
	else if (argc == 2 && strcmp(argv[1], "messages") == 0)
		print_messages();
	else
		return 64;
	return fflush(stdout) != 0;
}
