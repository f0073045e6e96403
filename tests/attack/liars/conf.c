/* A reader of configuration that its file has taken over: it may say what that file could
 * have said, within the limits of each key, and nothing else. */
#include "supervisor/config/config.h"
#include "tests/attack/liars/liar.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WITHOUT_END 10000000

int __real_config_read(enum config_kind, struct span, const char *,
    const struct config_sink *, struct err *);
int __wrap_config_read(enum config_kind, struct span, const char *,
    const struct config_sink *, struct err *);

static enum config_kind kind_read;

int
__wrap_config_read(enum config_kind kind, struct span bytes, const char *name,
    const struct config_sink *sink, struct err *e)
{
	kind_read = kind;
	return __real_config_read(kind, bytes, name, sink, e);
}

static bool
row(struct chan *c, const char *key, const char *value)
{
	struct ipc_msg m =
	    IPC_MSG(config_row, .key = span_str(key), .value = span_str(value));

	liar_say(c, &m);
	return true;
}

static bool
unknown_key(struct chan *c, struct ipc_msg *m)
{
	return row(c, "rot", "/x");
}

static bool
relative_root(struct chan *c, struct ipc_msg *m)
{
	return row(c, "root", "x");
}

static bool
no_uid(struct chan *c, struct ipc_msg *m)
{
	return row(c, "uid_base", "0");
}

static bool
huge_layer(struct chan *c, struct ipc_msg *m)
{
	return row(c, "max_layer_bytes", "18446744073709551615");
}

static bool
long_socket(struct chan *c, struct ipc_msg *m)
{
	char path[300];

	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	return row(c, "listen", path);
}

static bool
lines(struct chan *c, struct ipc_msg *m)
{
	return row(c, "insecure_registries", "a.b\n0.0.0.0/0");
}

static bool
rows(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; i < WITHOUT_END; i++)
		row(c, "log_level", "info");
	return true;
}

static bool
items(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; i < WITHOUT_END; i++)
		row(c, "insecure_registries", "registry.example");
	return true;
}

static bool
secret(struct chan *c, const char *scope, size_t n)
{
	static uint8_t bytes[LIMIT_SECRET];
	struct ipc_msg m = IPC_MSG(config_secret, .scope = span_str(scope),
	    .kind = SECRET_BASIC, .secret = span_of(bytes, n));

	memset(bytes, 's', sizeof(bytes));
	liar_say(c, &m);
	return true;
}

static bool
secrets(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; i < WITHOUT_END; i++)
		secret(c, "registry.example", LIMIT_SECRET);
	return true;
}

/* The reader of the auth file alone, whose word secrets are. */
static bool
auth_secrets(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_AUTH ? secrets(c, m) : true;
}

static bool
auth_small_secrets(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; kind_read == CONFIG_AUTH && i < WITHOUT_END; i++)
		secret(c, "registry.example", 1);
	return true;
}

static bool
auth_rows(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_AUTH ? row(c, "root", "/elsewhere") : true;
}

static bool
storage_rows(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_STORAGE ? row(c, "policy", "/elsewhere") : true;
}

static bool
one_secret(struct chan *c, struct ipc_msg *m)
{
	return secret(c, "registry.example", 8);
}

static bool
logs(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg line = IPC_MSG(log, .level = 3, .text = span_str("still reading"));

	for (int i = 0; i < WITHOUT_END; i++)
		liar_say(c, &line);
	return true;
}

static bool
another_room(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg want = IPC_MSG(want, .room = ROOM_APPLY, .pull = 1, .token = 1);

	liar_say(c, &want);
	return true;
}

static bool
half(struct chan *c, struct ipc_msg *m)
{
	liar_say_raw(c, "\x92\x21", 2, NULL, 0);
	return true;
}

static bool
crash(struct chan *c, struct ipc_msg *m)
{
	abort();
}

static bool
silence(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; i < WITHOUT_END; i++)
		poll(NULL, 0, -1);
	return true;
}

static bool
drip(struct chan *c, struct ipc_msg *m)
{
	for (int i = 0; i < WITHOUT_END; i++) {
		row(c, "log_level", "info");
		poll(NULL, 0, 2000);
	}
	return true;
}

/* ---- the reader of what a credential helper answered ---- */

static bool
answer_secrets(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg more = IPC_MSG(config_secret, .scope = span_str("helper"),
	    .kind = SECRET_BASIC, .secret = span_str("u:of the liar"));

	if (kind_read == CONFIG_HELPER)
		liar_say(c, &more);
	return true;
}

static bool
answer_none(struct chan *c, struct ipc_msg *m)
{
	if (kind_read == CONFIG_HELPER)
		m->config_secret.kind = SECRET_NONE;
	return true;
}

static bool
answer_row(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_HELPER ? row(c, "cred_helper", "r\tother") : true;
}

static bool
answer_room(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_HELPER ? another_room(c, m) : true;
}

static bool
answer_crash(struct chan *c, struct ipc_msg *m)
{
	return kind_read == CONFIG_HELPER ? crash(c, m) : true;
}

const struct lie liar_lies[] = {
    {"answer-secrets", MSG_config_end, answer_secrets},
    {"answer-none", MSG_config_secret, answer_none},
    {"answer-row", MSG_config_end, answer_row},
    {"answer-room", MSG_config_end, answer_room},
    {"answer-crash", MSG_config_end, answer_crash},
    {"unknown-key", MSG_config_end, unknown_key},
    {"relative-root", MSG_config_end, relative_root},
    {"no-uid", MSG_config_end, no_uid},
    {"huge-layer", MSG_config_end, huge_layer},
    {"long-socket", MSG_config_end, long_socket},
    {"lines", MSG_config_end, lines},
    {"rows", MSG_config_end, rows},
    {"items", MSG_config_end, items},
    {"secrets", MSG_config_end, secrets},
    {"auth-secrets", MSG_config_end, auth_secrets},
    {"auth-small-secrets", MSG_config_end, auth_small_secrets},
    {"auth-rows", MSG_config_end, auth_rows},
    {"storage-rows", MSG_config_end, storage_rows},
    {"one-secret", MSG_config_end, one_secret},
    {"logs", MSG_config_end, logs},
    {"another-room", MSG_config_end, another_room},
    {"half", MSG_config_end, half},
    {"crash", MSG_config_end, crash},
    {"silence", MSG_config_end, silence},
    {"drip", MSG_config_end, drip},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
}
