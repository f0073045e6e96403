#include "worker-store/store/dir.h"
#include "worker-store/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

bool
store_trash_full(const struct store *s)
{
	CLEANUP(dir_list_end) DIR *d = dir_list(s->trash, ".");

	for (struct dirent *de; d && (de = readdir(d));)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return true;
	return false;
}

int
store_trash_take(struct store *s, char name[16], struct err *e)
{
	if (!name[0]) {
		char to[16];
		snprintf(to, sizeof(to), "gone%u", s->serial++);
		if (renameat(s->staging, "trash", s->staging, to) < 0)
			return err_errno(e, errno, "cannot empty the trash");
		FAILPOINT(TRASH_RENAMED);
		int fresh = dir_make(s->staging, "trash", 0700);
		if (fresh < 0) { /* a full disk, perhaps: as it was, to be tried again */
			if (renameat(s->staging, to, s->staging, "trash") < 0)
				return err_errno(e, errno, "cannot keep the trash");
			return err_errno(e, -fresh, "cannot make a new trash");
		}
		close(s->trash);
		s->trash = fresh;
		memcpy(name, to, sizeof(to));
		FAILPOINT(TRASH_TAKEN);
	}
	int fd = dir_open(s->staging, name);
	return fd < 0 ? err_errno(e, -fd, "cannot open the old trash") : fd;
}

/* What cannot be removed goes with the trash; what cannot be moved there either is found
 * by the sweep after this process's end. */
static void
staging_remove(struct store *s, const char *name, int flags)
{
	if (unlinkat(s->staging, name, flags) < 0 && errno != ENOENT &&
	    trash_put(s, s->staging, name) < 0)
		return;
}

void
store_trash_gone(struct store *s, const char *name)
{
	FAILPOINT(TRASH_ERASED);
	if (name[0])
		staging_remove(s, name, AT_REMOVEDIR);
}

/* ---- sweeping what dead processes left ---- */

struct sweep {
	struct store *s;
	struct hold *hold;
	struct view view;
	bool have_view;
	struct swept *out;
	struct err *e;
};

static int
sweep_view(struct sweep *w)
{
	struct lock_at files[LOCK_N];

	if (w->have_view)
		return 0;
	store_locks(w->s, files);
	int r = hold_try(w->hold, HOLD_COMMIT, files, NULL, w->e);
	if (r == 0)
		r = view_load(&w->view, w->s, w->e);
	w->have_view = r == 0;
	return r;
}

static int
sweep_journal(struct sweep *w, int dir)
{
	CLEANUP(free_ptr) uint8_t *text = NULL;
	size_t n = 0;
	FD_AUTO fd =
	    openat(dir, "journal", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0
				       : err_errno(w->e, errno, "cannot read a journal");
	int r = fd_read_whole(fd, JOURNAL_MAX, &text, &n);
	if (r < 0)
		return err_errno(w->e, -r, "cannot read a journal");
	if (n == 0)
		return 0;
	r = sweep_view(w);
	if (r < 0)
		return r;
	bool stale = false;
	r = journal_settle(
	    w->s, w->hold, &w->view, span_of(text, n), &stale, w->out, w->e);
	if (stale) {
		view_free(&w->view);
		w->view = VIEW_NONE;
		w->have_view = false;
	}
	return r;
}

static int
sweep_dir(struct sweep *w, const char *name)
{
	FD_AUTO dir = dir_open(w->s->own, name);

	if (dir == -ENOENT)
		return 0;
	int r = dir < 0 ? err_errno(w->e, -dir, "cannot open a dead staging directory")
			: sweep_journal(w, dir);
	if (r < 0)
		return r;
	FAILPOINT(SWEEP_READ);
	r = trash_put(w->s, w->s->own, name);
	w->out->stores += r == 0;
	FAILPOINT(SWEEP_MOVED);
	return r < 0 ? err_errno(w->e, -r, "cannot move a dead staging directory") : 0;
}

static int
sweep_lock(struct sweep *w, const char *name)
{
	char dir[STAGING_NAME + 1];
	struct stat st;
	FD_AUTO fd =
	    openat(w->s->own, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT
			   ? 0
			   : err_errno(w->e, errno, "cannot open a staging lock");
	int r = lock_try(fd);
	if (r == -EAGAIN)
		return 0; /* its process lives */
	if (r < 0 || fstat(fd, &st) < 0)
		return err_errno(w->e, r < 0 ? -r : errno, "cannot lock a staging lock");
	if (st.st_nlink == 0)
		return 0; /* another sweeper was faster */
	FAILPOINT(SWEEP_FOUND);
	memcpy(dir, name, STAGING_NAME);
	dir[STAGING_NAME] = 0;
	r = sweep_dir(w, dir);
	if (r == 0 && unlinkat(w->s->own, name, 0) < 0)
		r = err_errno(w->e, errno, "cannot remove a staging lock");
	return r;
}

static bool
is_staging_name(struct span name)
{
	uint8_t bytes[STAGING_NAME / 2];
	return name.n == STAGING_NAME && hex_decode(name, bytes, sizeof(bytes));
}

static int
sweep_entry(struct sweep *w, const char *name)
{
	struct span n = span_str(name);
	char lock[STAGING_NAME + 6];

	if (span_starts(n, w->s->name))
		return 0;
	if (span_starts(n, "new-")) { /* who sweeps has all first files */
		if (unlinkat(w->s->own, name, 0) < 0 && errno != ENOENT)
			return err_errno(w->e, errno, "cannot remove a dead file");
		return 0;
	}
	if (n.n == STAGING_NAME + 5 && is_staging_name(span_of(n.p, STAGING_NAME)) &&
	    span_is(span_from(n, STAGING_NAME), ".lock"))
		return sweep_lock(w, name);
	if (!is_staging_name(n))
		return 0;
	snprintf(lock, sizeof(lock), "%s.lock", name);
	int r = dir_has(w->s->own, lock);
	if (r)
		return r < 0 ? err_errno(w->e, -r, "cannot look at a staging lock") : 0;
	return sweep_dir(w, name);
}

static void
sweep_end(struct sweep *w)
{
	view_free(&w->view);
}

int
store_sweep(struct store *s, struct hold *h, struct swept *out, struct err *e)
{
	CLEANUP(sweep_end)
	struct sweep w = {.s = s, .hold = h, .out = out, .e = e, .view = VIEW_NONE};
	CLEANUP(dir_list_end) DIR *d = dir_list(s->own, ".");
	int r = 0;

	if (!d)
		return err_errno(e, errno, "cannot list the staging directories");
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		r = sweep_entry(&w, de->d_name);
	if (r != -EAGAIN)
		hold_release(h);
	return r;
}

/* ---- one layer ---- */

/* Outside the layer's own directory, because that one is renamed into overlay/ as it is.
 */
static int
side_file(struct store *s, const char *name, const char *what)
{
	char path[32];

	snprintf(path, sizeof(path), "%s.%s", name, what);
	int fd = openat(
	    s->staging, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int
store_layer_staging_new(struct store *s, struct staged *l, struct err *e)
{
	*l = STAGED_NONE;
	int r = link_id_new(l->link);
	if (r < 0)
		return err_errno(e, -r, "no random bytes");
	snprintf(l->name, sizeof(l->name), "%u", s->serial++);
	l->dir = dir_make(s->staging, l->name, 0700);
	l->diff = l->dir < 0 ? l->dir : dir_make(l->dir, "diff", 0555);
	FD_AUTO side = l->diff < 0 ? l->diff : side_file(s, l->name, "side");
	l->split = side < 0 ? side : side_file(s, l->name, "split");
	r = l->split;
	FAILPOINT(LAYER_STAGED);
	if (r >= 0)
		return 0;
	store_layer_staging_drop(s, l);
	return err_errno(e, -r, "cannot make a layer's staging");
}

int
store_layer_side(const struct store *s, const struct staged *l, bool write, struct err *e)
{
	char path[32];

	snprintf(path, sizeof(path), "%s.side", l->name);
	int fd = openat(
	    s->staging, path, (write ? O_WRONLY : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "cannot open a layer's side file") : fd;
}

void
store_layer_staging_drop(struct store *s, struct staged *l)
{
	char path[32];

	if (l->name[0]) {
		snprintf(path, sizeof(path), "%s.side", l->name);
		staging_remove(s, path, 0);
		snprintf(path, sizeof(path), "%s.split", l->name);
		staging_remove(s, path, 0);
		/* What cannot be moved now is found by the sweep after this process's
		 * end. */
		if (trash_put(s, s->staging, l->name) < 0)
			l->name[0] = 0;
	}
	int *fds[] = {&l->dir, &l->diff, &l->split};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			fd_close(fds[i]);
	*l = STAGED_NONE;
}

int
store_mark_opaque(const struct store *s, int dir, struct err *e)
{
	struct stat st, root;

	if (fstat(dir, &st) < 0 || fstat(s->staging, &root) < 0)
		return err_errno(e, errno, "cannot look at an opaque directory");
	bool usable = S_ISDIR(st.st_mode) && st.st_dev == root.st_dev;
	int r = usable ? fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) : 0;
	if (!usable || (r < 0 && errno == EBADF)) /* O_PATH */
		return err_set(e, ERR_CONTENT,
		    "an applier sent something else than a directory of the store");
	return r < 0 ? err_errno(e, errno, "cannot mark an opaque directory") : 0;
}
