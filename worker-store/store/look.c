#include "worker-store/store/look.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TRIES 3

int
look_open(struct look *l, const struct store *s)
{
	*l = (struct look){.store = s, .view = VIEW_NONE, .locks = {-1, -1}};
	return getrandom(&l->seed, sizeof(l->seed), 0) == sizeof(l->seed) ? 0 : -EIO;
}

void
look_close(struct look *l)
{
	look_drop(l);
	fd_close(&l->locks[0]);
	fd_close(&l->locks[1]);
}

void
look_drop(struct look *l)
{
	if (l->have) {
		rows_free(&l->rows);
		view_free(&l->view);
	}
	l->have = false;
}

void
look_forgive(struct look *l)
{
	l->why = (struct err){0};
}

/* A lock file is never replaced, so one descriptor serves for ever. Reading it is no
 * locking. A token that is not there yet counts as zeros. */
static void
read_token(int *fd, int dir, const char *name, uint8_t token[64])
{
	if (*fd < 0)
		*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0 || fd_pread_exact(*fd, token, 64, 0) < 0)
		memset(token, 0, 64);
}

static uint64_t
nanoseconds(struct timespec t)
{
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void
identify(struct look *l, struct look_id *id)
{
	const struct store *s = l->store;
	const struct lock_at files[3] = {{s->images, FILE_IMAGES},
	    {s->layers, FILE_LAYERS}, {s->layers, FILE_VOLATILE_LAYERS}};
	struct stat st;

	memset(id, 0, sizeof(*id));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (fstatat(files[i].dir, files[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		id->file[i].dev = st.st_dev;
		id->file[i].ino = st.st_ino;
		id->file[i].size = (uint64_t)st.st_size;
		id->file[i].mtime = nanoseconds(st.st_mtim);
		id->file[i].ctime = nanoseconds(st.st_ctim);
	}
	read_token(&l->locks[0], s->layers, "layers.lock", id->token[0]);
	read_token(&l->locks[1], s->images, "images.lock", id->token[1]);
}

static bool
same(const struct look_id *a, const struct look_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int
read_all(struct look *l, struct err *e)
{
	int r = view_load(&l->view, l->store, e);

	l->loads++;
	if (r < 0)
		return r;
	r = rows_init(&l->rows, &l->view, l->seed);
	if (r < 0) {
		view_free(&l->view);
		return err_errno(e, -r, "the store's records");
	}
	l->have = true;
	return 0;
}

/* An image may lose its layers between the reading of one file and of the next, or a file
 * may have been caught half written: whoever did that has changed it again since. */
int
look_now(struct look *l, struct err *e)
{
	struct look_id id, after;
	int r = 0;

	identify(l, &id);
	if (l->have && same(&id, &l->at))
		return 0;
	for (int i = 0; i < TRIES; i++, id = after) {
		struct err why = {0};
		if (l->why.code && same(&id, &l->bad))
			return err_set(e, l->why.code, "%s", l->why.text);
		look_drop(l);
		r = read_all(l, &why);
		if (r == 0)
			l->at = id;
		else if (why.code == ERR_CONTENT)
			l->bad = id;
		l->why = why;
		identify(l, &after);
		if (same(&id, &after))
			break;
	}
	if (r < 0) {
		err_set(e, l->why.code, "%s", l->why.text);
		if (l->why.code != ERR_CONTENT)
			look_forgive(l);
	}
	return r;
}

bool
look_changed(struct look *l)
{
	struct look_id id;

	identify(l, &id);
	return l->why.code ? !same(&id, &l->bad) : !same(&id, &l->at);
}
