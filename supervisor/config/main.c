/* bulkhead-conf: the bytes of one configuration file in, typed rows out, the end. */
#include "common/base/fd.h"
#include "common/base/limits.h"
#include "common/ipc/control.h"
#include "common/json/tree.h"
#include "policy/sandbox/sandbox.h"
#include "supervisor/config/config.h"

#include <errno.h>
#include <stdlib.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };

#define SEND_MS 10000

static int
warm_up(void *arg, struct err *e)
{
	jv_warm_up();
	return 0;
}

static int
send_row(void *arg, const char *key, struct span value)
{
	struct ipc_msg m = IPC_MSG(config_row, .key = span_str(key), .value = value);

	return chan_send_wait(arg, &m, SEND_MS);
}

static int
send_secret(void *arg, struct span scope, enum secret_kind kind, struct span secret)
{
	struct ipc_msg m =
	    IPC_MSG(config_secret, .scope = scope, .kind = kind, .secret = secret);

	return chan_send_wait(arg, &m, SEND_MS);
}

static int
send_registry(void *arg, enum registry_row kind, unsigned flags, struct span name,
    struct span value)
{
	struct ipc_msg m = IPC_MSG(
	    config_registry, .kind = kind, .flags = flags, .name = name, .value = value);

	return chan_send_wait(arg, &m, SEND_MS);
}

static int
send_end(struct chan *c, const struct err *e)
{
	struct ipc_msg m =
	    IPC_MSG(config_end, .code = e->code, .text = span_str(e->text));

	return chan_send_wait(c, &m, SEND_MS);
}

static int
read_file(struct chan *control, struct ipc_msg *m, struct err *e)
{
	const struct config_sink sink = {send_row, send_secret, send_registry, control};
	CLEANUP(free_ptr) uint8_t *mem = NULL;
	FD_AUTO fd = ipc_msg_take_fd(m, 0);
	char name[LIMIT_PATH + 1], shown[256];
	size_t n = 0;

	if (!span_to_str(m->read_config.name, name, sizeof(name)))
		return err_set(e, ERR_INTERNAL, "a file with a name too long");
	span_escape(m->read_config.name, shown, sizeof(shown));
	int r = fd_read_whole(fd, LIMIT_CONFIG_FILE, &mem, &n);
	if (r == -EFBIG)
		return err_set(e, ERR_USAGE, "%s: over the limit of %llu bytes", shown,
		    (unsigned long long)LIMIT_CONFIG_FILE);
	if (r < 0)
		return err_errno(e, r, "%s", shown);
	r = config_read(
	    (enum config_kind)m->read_config.kind, span_of(mem, n), name, &sink, e);
	explicit_bzero(mem, n);
	return r < 0 && !e->code ? err_errno(e, r, "%s", shown) : r;
}

int
main(void)
{
	static struct chan control;
	static struct ipc_msg m;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.warm_up = warm_up, .report = &report};
	struct err e = {0};

	if (sandbox_enter(ROOM_CONF, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(
		&control, ROOM_CONF, (unsigned)report.landlock_abi, report.landlock) < 0)
		return EXIT_FAILED;
	if (control_wait(&control, &m, -1) != 0 || m.type != MSG_read_config)
		return EXIT_PROTOCOL;
	int r = read_file(&control, &m, &e);
	if (send_end(&control, &e) < 0)
		return EXIT_FAILED;
	return r < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
