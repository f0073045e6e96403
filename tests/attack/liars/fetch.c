/* A fetcher that its origin has taken over. It gains what that origin has and the
 * connections that dial allows: no other pull, no other layer's bytes, nothing that is
 * not hashed elsewhere. */
#include "tests/attack/liars/liar.h"

#include "common/base/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLOOD 3000

static unsigned documents;

/* The document's bytes with the last one changed; seals < 0: sealed as it should be. */
static int
other_memory(int fd, bool change, int seals)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	if (fd_read_whole(fd, LIMIT_DOCUMENT, &bytes, &n) < 0 || !n)
		abort();
	bytes[n - 1] ^= change;
	if (seals < 0)
		return fd_sealed_memfd("document", bytes, n);
	int out = memfd_create("document", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out < 0 || fd_write_all(out, bytes, n) < 0 ||
	    (seals && fcntl(out, F_ADD_SEALS, seals) < 0))
		abort();
	return out;
}

static bool
other_bytes(struct chan *c, struct ipc_msg *m)
{
	m->fds[0] = other_memory(m->fds[0], true, -1);
	return true;
}

static bool
other_config(struct chan *c, struct ipc_msg *m)
{
	return ++documents == 2 ? other_bytes(c, m) : true;
}

static bool
unsealed(struct chan *c, struct ipc_msg *m)
{
	m->fds[0] = other_memory(m->fds[0], false, 0);
	return true;
}

static bool
half_sealed(struct chan *c, struct ipc_msg *m)
{
	m->fds[0] = other_memory(m->fds[0], false, F_SEAL_SHRINK | F_SEAL_GROW);
	return true;
}

static bool
not_memory(struct chan *c, struct ipc_msg *m)
{
	m->fds[0] = c->fd;
	return true;
}

static bool
two_fds(struct chan *c, struct ipc_msg *m)
{
	int fds[] = {m->fds[0], m->fds[0]};

	liar_say_fds(c, m, fds, 2);
	return false;
}

/* The true one first: what comes after it is not looked at. */
static bool
second_document(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	return other_bytes(c, m);
}

static bool
first_document(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = *m;

	other_bytes(c, &lie);
	liar_say(c, &lie);
	return true;
}

/* Answers to questions that nobody has asked, before the true one. */
static bool
flood(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = *m;

	for (unsigned i = 1; i <= FLOOD; i++) {
		lie.document.req = m->document.req + i;
		liar_say(c, &lie);
	}
	return true;
}

static bool
other_type(struct chan *c, struct ipc_msg *m)
{
	m->document.media_type = span_str("application/vnd.oci.image.index.v1+json");
	return true;
}

static bool
wrong_channel(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(fetched, .req = m->document.req);

	liar_say(c, &lie);
	return true;
}

static bool
plays_store(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(pull_end, .pull = 1, .code = 0);

	liar_say(liar_chan(CH_frontend_fetch), &lie);
	return true;
}

static bool
plays_frontend(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(get, .req = 1, .kind = FETCH_MANIFEST);

	liar_say(liar_chan(CH_frontend_fetch), &lie);
	return true;
}

static bool
claim_other_pull(struct chan *c, struct ipc_msg *m)
{
	m->claim.pull++;
	return true;
}

/* The ring of the next layer, which another's bytes belong into. */
static bool
claim_other_layer(struct chan *c, struct ipc_msg *m)
{
	static bool done;

	m->claim.token += !done;
	done = true;
	return true;
}

static bool
claim_no_layer(struct chan *c, struct ipc_msg *m)
{
	m->claim.token += 1000;
	return true;
}

static bool
sends_token(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(token, .secret = span_str("a token for somebody"));

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
wants_rooms(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(want_fetch, .pull = 1, .fetch = 99,
	    .host = span_str("127.0.0.1"), .port = 1, .repository = span_str("a"),
	    .auth = AUTH_FILES, .auth_host = span_str("127.0.0.1"));

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
ends_all(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(end, .pull = 1);

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

/* To the metadata service of a cloud. */
static bool
redirects_home(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(redirect, .req = m->fetched.req,
	    .url = span_str("http://169.254.169.254/latest/meta-data/"));

	*m = lie;
	return true;
}

static bool
redirects_oddly(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    redirect, .req = m->fetched.req, .url = span_str("file:///etc/shadow"));

	*m = lie;
	return true;
}

static bool
redirects_for_ever(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie =
	    IPC_MSG(redirect, .req = m->fetched.req, .url = span_str(liar_text()));

	for (unsigned i = 0; i < 100; i++)
		liar_say(c, &lie);
	*m = lie;
	return true;
}

static bool
challenges(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(challenge, .req = m->fetched.req,
	    .scheme = CHALLENGE_BEARER, .realm = span_str("http://169.254.169.254/token"),
	    .service = span_str("x"), .scope = span_str("repository:other:push"));

	*m = lie;
	return true;
}

static bool
fails_without_class(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(fetch_failed, .req = m->fetched.req, .code = 0,
	    .text = span_str("\x1b]0;all is well\x07\nbulkhead: pulled"));

	*m = lie;
	return true;
}

static bool
log_flood(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    log, .level = 3, .text = span_str("\x1b[2J\nbulkhead: your disk is full"));

	for (unsigned i = 0; i < FLOOD; i++)
		liar_say(liar_chan(CH_control), &lie);
	return true;
}

static bool
garbage(struct chan *c, struct ipc_msg *m)
{
	liar_say_raw(c, "\x92\x63\x82\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02\xdb",
	    15, NULL, 0);
	return true;
}

const struct lie liar_lies[] = {
    {"other-bytes", MSG_document, other_bytes},
    {"other-config", MSG_document, other_config},
    {"unsealed", MSG_document, unsealed},
    {"half-sealed", MSG_document, half_sealed},
    {"not-memory", MSG_document, not_memory},
    {"two-fds", MSG_document, two_fds},
    {"second-document", MSG_document, second_document},
    {"first-document", MSG_document, first_document},
    {"flood", MSG_document, flood},
    {"other-type", MSG_document, other_type},
    {"wrong-channel", MSG_document, wrong_channel},
    {"plays-store", MSG_document, plays_store},
    {"plays-frontend", MSG_document, plays_frontend},
    {"claim-other-pull", MSG_claim, claim_other_pull},
    {"claim-other-layer", MSG_claim, claim_other_layer},
    {"claim-no-layer", MSG_claim, claim_no_layer},
    {"claim-twice", MSG_claim, liar_twice},
    {"sends-token", MSG_document, sends_token},
    {"wants-rooms", MSG_document, wants_rooms},
    {"ends-all", MSG_document, ends_all},
    {"redirects-home", MSG_fetched, redirects_home},
    {"redirects-oddly", MSG_fetched, redirects_oddly},
    {"redirects-for-ever", MSG_fetched, redirects_for_ever},
    {"challenges", MSG_fetched, challenges},
    {"fails-without-class", MSG_fetched, fails_without_class},
    {"log-flood", MSG_document, log_flood},
    {"garbage", MSG_document, garbage},
    {"blob-bytes", 0, NULL},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

/* Other bytes of a layer than the registry has sent. */
void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
	if (liar_is("blob-bytes") && n)
		slot[n / 2] ^= 1;
}
