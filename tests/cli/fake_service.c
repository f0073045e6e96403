/* bulkheadd for the command's test: the repository's last word in a pull says what
 * happens. The arguments it got, its environment and its descriptors go to stderr as one
 * line. */
#include "common/base/err.h"
#include "common/ipc/chan.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static struct chan chan;

static void
answer(struct ipc_msg m)
{
	(void)!chan_send_wait(&chan, &m, 1000);
}

static void
done(uint64_t req, unsigned code, const char *text)
{
	answer((struct ipc_msg)IPC_MSG(
	    cli_done, .req = req, .code = code, .text = span_str(text)));
}

static void
pull(const struct msg_cli_pull *m, char *word)
{
	uint64_t req = m->req;

	if (strcmp(word, "die") == 0)
		raise(SIGKILL);
	if (strcmp(word, "refuse") == 0) {
		fprintf(stderr, "bulkheadd: no policy\n");
		exit(3);
	}
	if (strcmp(word, "leave") == 0)
		exit(0);
	if (strcmp(word, "room") == 0)
		exit(1);
	if (strcmp(word, "missing") == 0) {
		done(req, ERR_NOT_FOUND, "there is no such image");
		return;
	}
	if (strcmp(word, "hang") == 0) {
		answer((struct ipc_msg)IPC_MSG(cli_layer, .req = req, .index = 0,
		    .count = 1, .size = 1000, .state = 1));
		fprintf(stderr, "hanging\n");
		return;
	}
	answer((struct ipc_msg)IPC_MSG(cli_pulled, .req = req, .fresh = 1));
	done(req, 0, "");
}

static void
resolve(const struct msg_cli_resolve *m)
{
	static const char *const places[] = {"one", "two"};
	char name[LIMIT_NAME + 8];

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%.*s", places[i], (int)m->name.n,
		    (const char *)m->name.p);
		answer((struct ipc_msg)IPC_MSG(
		    cli_image_name, .req = m->req, .name = span_str(name)));
	}
	done(m->req, 0, "");
}

static void
tell_surroundings(int argc, char **argv)
{
	fprintf(stderr, "args");
	for (int i = 1; i < argc; i++)
		fprintf(stderr, " %s", argv[i]);
	fprintf(stderr, "\nenv %d fds", environ && environ[0] ? 1 : 0);
	for (int fd = 0; fd < 64; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			fprintf(stderr, " %d", fd);
	}
	char cwd[64];
	sigset_t set;
	sigprocmask(SIG_SETMASK, NULL, &set);
	fprintf(stderr, " cwd %s leader %d blocked %d\n", getcwd(cwd, sizeof(cwd)),
	    getsid(0) == getpid(), sigismember(&set, SIGINT));
}

int
main(int argc, char **argv)
{
	tell_surroundings(argc, argv);
	if (chan_init(&chan, 3, CH_cli, ROOM_FRONTEND, ROOM_CLI) < 0)
		return 125;
	for (;;) {
		struct ipc_msg m;
		const char *why = NULL;
		int r = chan_recv_wait(&chan, &m, 30000, &why);
		if (r != 0)
			break;
		if (m.type == MSG_cli_hello) {
			chan.phase = IPC_RUN;
		} else if (m.type == MSG_cli_pull) {
			char word[LIMIT_NAME + 1];
			if (span_to_str(m.cli_pull.name, word, sizeof(word)))
				pull(&m.cli_pull, word);
		} else if (m.type == MSG_cli_resolve) {
			resolve(&m.cli_resolve);
		} else if (m.type == MSG_cli_cancel) {
			fprintf(stderr, "cancelled\n");
			done(m.cli_cancel.req, ERR_DEADLINE, "cancelled");
		}
		ipc_msg_release(&m);
	}
	fprintf(stderr, "swept\n");
	chan_release(&chan);
	return 0;
}
