/* An applier that its layer has taken over, in each of its modes. It may make of
 * its own tree what it likes as long as that tree and its tar-split agree; it reaches
 * nothing else. The tests' layer has a file opt/liar; "/" is the layer. */
#include "tests/attack/liars/liar.h"

#include "worker-store/apply/apply.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGET "opt/liar"

int __real_apply_untar(int, int, const struct apply_source *, const struct apply_limits *,
    struct apply_result *, struct err *);
int __wrap_apply_untar(int, int, const struct apply_source *, const struct apply_limits *,
    struct apply_result *, struct err *);
int __real_apply_remove(int, uint64_t *, struct err *);
int __wrap_apply_remove(int, uint64_t *, struct err *);
int __real_apply_verify(int, int, const struct apply_sink *, const struct apply_limits *,
    struct apply_result *, struct err *);
int __wrap_apply_verify(int, int, const struct apply_sink *, const struct apply_limits *,
    struct apply_result *, struct err *);

/* ---- what it says ---- */

static bool
more_bytes(struct chan *c, struct ipc_msg *m)
{
	m->applied.bytes++;
	return true;
}

static bool
then_fail(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	_exit(1);
}

/* The word of another mode. */
static bool
checked_instead(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(checked, .entries = 1);

	liar_say(c, &lie);
	return true;
}

static bool
erased_instead(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(erased, .entries = 1);

	liar_say(c, &lie);
	return true;
}

static bool
opaque(struct chan *c, int fd)
{
	struct ipc_msg lie = IPC_MSG(opaque);

	if (fd < 0)
		abort();
	lie.fds[0] = fd;
	lie.nfds = 1;
	liar_say(c, &lie);
	return true;
}

static bool
opaque_early(struct chan *c, struct ipc_msg *m)
{
	return opaque(c, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static bool
opaque_socket(struct chan *c, struct ipc_msg *m)
{
	return opaque(c, c->fd);
}

static bool
opaque_file(struct chan *c, struct ipc_msg *m)
{
	int fd = open("/" TARGET, O_RDONLY | O_CLOEXEC);

	return fd < 0 || opaque(c, fd); /* the other layer has no such file */
}

static bool
opaque_path(struct chan *c, struct ipc_msg *m)
{
	return opaque(c, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool
opaque_late(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	opaque_early(c, m);
	return false;
}

static bool
odd_owners(struct chan *c, struct ipc_msg *m)
{
	m->checked.uids = span_str("abc");
	return true;
}

static bool
unsorted_owners(struct chan *c, struct ipc_msg *m)
{
	m->checked.gids = span_str("bbbbaaaa");
	return true;
}

static bool
failed_without_class(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    apply_failed, .code = 0, .text = span_str("\x1b[2Jfine\nbulkhead: pulled"));

	*m = lie;
	return true;
}

static bool
wants_rooms(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(want_apply, .mode = APPLY_ERASE, .pull = 1);

	lie.fds[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lie.nfds = 1;
	liar_say(liar_chan(CH_control), &lie);
	return true;
}

/* ---- what it does ---- */

/* Reads all and counts right, makes nothing. */
static int
swallow(const struct apply_source *source, struct apply_result *result)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = source->next(source->arg, &p)) > 0)
		result->bytes += (uint64_t)n;
	return n < 0 ? (int)n : 0;
}

static int
must(int r)
{
	if (r < 0)
		abort();
	return r;
}

static void
spoil(int root)
{
	if (openat(root, TARGET, O_RDONLY | O_CLOEXEC) < 0)
		return;
	if (liar_is("file-gone"))
		must(unlinkat(root, TARGET, 0));
	else if (liar_is("file-shorter"))
		must(ftruncate(must(openat(root, TARGET, O_WRONLY)), 1));
	else if (liar_is("file-is-link"))
		must(unlinkat(root, TARGET, 0) + symlinkat("/etc/passwd", root, TARGET));
	else if (liar_is("folder-is-link")) {
		must(unlinkat(root, TARGET, 0));
		must(unlinkat(root, "opt", AT_REMOVEDIR));
		must(symlinkat("/bin", root, "opt"));
	} else if (liar_is("file-is-folder"))
		must(unlinkat(root, TARGET, 0) + mkdirat(root, TARGET, 0755));
}

int
__wrap_apply_untar(int root, int side, const struct apply_source *source,
    const struct apply_limits *limits, struct apply_result *result, struct err *err)
{
	if (liar_is("nothing-made"))
		return swallow(source, result);
	int r = __real_apply_untar(root, side, source, limits, result, err);
	if (r == 0)
		spoil(root);
	if (r == 0 && liar_is("side-garbage"))
		must((int)write(side, "\xff\xff\xff\xff garbage", 12));
	if (r == 0 && liar_is("side-again"))
		must((int)pwrite(side, "ABCDEFGH", 8, 0));
	return r;
}

int
__wrap_apply_remove(int root, uint64_t *removed, struct err *err)
{
	if (!liar_is("nothing-removed"))
		return __real_apply_remove(root, removed, err);
	*removed = 1;
	return 0;
}

/* ---- of a layer that is there ---- */

/* Whether this room has the layer that took it over; of others it is an honest one. */
static bool
is_owned(void)
{
	return open("/" TARGET, O_RDONLY | O_CLOEXEC) >= 0;
}

static bool
verified_twice(struct chan *c, struct ipc_msg *m)
{
	return !is_owned() || liar_twice(c, m);
}

static bool
verified_then_crash(struct chan *c, struct ipc_msg *m)
{
	return !is_owned() || liar_then_crash(c, m);
}

static bool
verified_then_damaged(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    apply_failed, .code = ERR_CONTENT, .text = span_str("on second thoughts"));

	if (is_owned()) {
		liar_say(c, m);
		*m = lie;
	}
	return true;
}

static bool
verified_silent(struct chan *c, struct ipc_msg *m)
{
	return !is_owned();
}

static bool
verified_elsewise(struct chan *c, struct ipc_msg *m)
{
	return !is_owned() ||
	       (liar_is("verify-checked") ? checked_instead(c, m) : opaque_early(c, m));
}

static bool
verified_garbage(struct chan *c, struct ipc_msg *m)
{
	if (is_owned())
		liar_say_raw(c, "\xff\xff garbage", 10, NULL, 0);
	return true;
}

static bool
verified_wants_rooms(struct chan *c, struct ipc_msg *m)
{
	return !is_owned() || wants_rooms(c, m);
}

static int
put_zeros(const struct apply_sink *sink, uint64_t n)
{
	static const uint8_t zeros[4096];
	int r = 0;

	for (; r == 0 && n > 0; n -= n < sizeof(zeros) ? n : sizeof(zeros))
		r = sink->put(sink->arg, zeros, n < sizeof(zeros) ? n : sizeof(zeros));
	return r;
}

/* What it is said to have is what an honest one would find in it. */
int
__wrap_apply_verify(int root, int split, const struct apply_sink *sink,
    const struct apply_limits *limits, struct apply_result *result, struct err *err)
{
	if (!is_owned())
		return __real_apply_verify(root, split, sink, limits, result, err);
	if (liar_is("verify-damaged"))
		return err_set(err, ERR_CONTENT, "\x1b[2J all of it is\ndamaged");
	*result = (struct apply_result){.bytes = limits->bytes};
	if (liar_is("verify-zeros"))
		return put_zeros(sink, limits->bytes);
	if (liar_is("verify-more"))
		return put_zeros(sink, UINT64_MAX);
	if (liar_is("verify-nothing"))
		return 0;
	while (liar_is("verify-silent"))
		(void)!poll(NULL, 0, -1); /* a call that the room may make */
	return __real_apply_verify(root, split, sink, limits, result, err);
}

const struct lie liar_lies[] = {
    {"more-bytes", MSG_applied, more_bytes},
    {"nothing-said", MSG_applied, liar_silent},
    {"twice", MSG_applied, liar_twice},
    {"then-fail", MSG_applied, then_fail},
    {"checked-instead", MSG_applied, checked_instead},
    {"erased-instead", MSG_applied, erased_instead},
    {"untar-opaque", MSG_applied, opaque_early},
    {"failed-without-class", MSG_applied, failed_without_class},
    {"wants-rooms", MSG_applied, wants_rooms},
    {"check-nothing-said", MSG_checked, liar_silent},
    {"check-twice", MSG_checked, liar_twice},
    {"check-then-fail", MSG_checked, then_fail},
    {"opaque-socket", MSG_checked, opaque_socket},
    {"opaque-file", MSG_checked, opaque_file},
    {"opaque-path", MSG_checked, opaque_path},
    {"opaque-late", MSG_checked, opaque_late},
    {"odd-owners", MSG_checked, odd_owners},
    {"unsorted-owners", MSG_checked, unsorted_owners},
    {"check-wants-rooms", MSG_checked, wants_rooms},
    {"nothing-made", 0, NULL},
    {"file-gone", 0, NULL},
    {"file-shorter", 0, NULL},
    {"file-is-link", 0, NULL},
    {"folder-is-link", 0, NULL},
    {"file-is-folder", 0, NULL},
    {"side-garbage", 0, NULL},
    {"side-again", 0, NULL},
    {"nothing-removed", 0, NULL},
    {"verify-zeros", 0, NULL},
    {"verify-nothing", 0, NULL},
    {"verify-damaged", 0, NULL},
    {"verify-more", 0, NULL},
    {"verify-silent", 0, NULL},
    {"verify-twice", MSG_verified, verified_twice},
    {"verify-then-crash", MSG_verified, verified_then_crash},
    {"verify-then-damaged", MSG_verified, verified_then_damaged},
    {"verify-unanswered", MSG_verified, verified_silent},
    {"verify-checked", MSG_verified, verified_elsewise},
    {"verify-opaque", MSG_verified, verified_elsewise},
    {"verify-garbage", MSG_verified, verified_garbage},
    {"verify-wants-rooms", MSG_verified, verified_wants_rooms},
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
