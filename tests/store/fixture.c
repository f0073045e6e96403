#include "tests/store/fixture.h"

#include "tests/scratch.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char *
sh(struct fixture *f, int want, const char *fmt, ...)
{
	static char out[1 << 16];
	char cmd[4096] = "", text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const char *p = text; *p; p++) {
		size_t n = strlen(cmd);
		if (p[0] == '@' && p[1] == 'D' && ++p)
			snprintf(cmd + n, sizeof(cmd) - n, "%s", f->dir);
		else if (p[0] == '@' && p[1] == 'P' && ++p)
			snprintf(cmd + n, sizeof(cmd) - n,
			    "podman --root %s/G --runroot %s/R --tmpdir %s/T "
			    "--storage-driver overlay --events-backend file",
			    f->dir, f->dir, f->dir);
		else if (p[0] == '@' && p[1] == 'S' && ++p)
			snprintf(cmd + n, sizeof(cmd) - n,
			    "containers-storage:[overlay@%s/G+%s/R]", f->dir, f->dir);
		else
			snprintf(cmd + n, sizeof(cmd) - n, "%c", *p);
	}
	FILE *p = popen(cmd, "r");
	assert_non_null(p);
	size_t n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = 0;
	int status = pclose(p);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fail_msg("%s: status %x, output %s", cmd, status, out);
	return out;
}

/* A clone of the mount, as the supervisor makes it: skopeo and podman bind overlay/ on
 * itself, and nothing could be renamed into it otherwise. */
int
graph_clone(const char *path)
{
	return open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static void
open_store(struct fixture *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/G", f->dir);
	f->graph = graph_clone(path);
	snprintf(path, sizeof(path), "%s/R", f->dir);
	f->run = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->graph >= 0 && f->run >= 0);
	f->h = HOLD_NONE;
	if (store_prepare(f->graph, &f->e) < 0 ||
	    store_open(&f->s, f->graph, f->run, -1, &f->e) < 0)
		fail_msg("%s", f->e.text);
}

/* In memory it is a file system of its own: how full that is no other program changes. */
static int
own_file_system(const char *dir)
{
	if (strncmp(dir, "/dev/shm/", 9) != 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return mount("tmpfs", dir, "tmpfs", 0, "mode=700");
}

int
fixture_new(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!scratch_make(f->dir, sizeof(f->dir), "bulkhead-store") ||
	    own_file_system(f->dir) < 0)
		return -1;
	sh(f, 0, "mkdir -m 700 @D/G @D/R");
	put_file(
	    f, "policy.json", "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}");
	open_store(f);
	*state = f;
	return 0;
}

int
fixture_free(void **state)
{
	struct fixture *f = *state;

	hold_release(&f->h);
	store_close(&f->s);
	close(f->graph);
	close(f->run);
	sh(f, 0, "umount @D/G/overlay 2>/dev/null; umount -l @D 2>/dev/null; rm -rf @D");
	free(f);
	return 0;
}

void
fixture_reopen(struct fixture *f)
{
	hold_release(&f->h);
	store_close(&f->s);
	close(f->graph);
	close(f->run);
	open_store(f);
}

static uint8_t *
read_blob(struct image *im, const uint8_t digest[32], struct span *out)
{
	char path[256], hex[65];
	uint8_t *p = NULL;

	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", im->dir,
	    hex_encode(digest, 32, hex));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fd_read_whole(fd, 1 << 20, &p, &out->n) == 0);
	close(fd);
	out->p = p;
	return p;
}

static void
hex32(const char *hex, uint8_t out[32])
{
	assert_true(hex_decode(span_of(hex, 64), out, 32));
}

static void
read_facts(struct image *im, bool list)
{
	char path[256], kind[16], a[65], b[65];
	unsigned long long blob, diff;
	unsigned compression, uid, gid;

	snprintf(path, sizeof(path), "%s/facts", im->dir);
	FILE *fp = fopen(path, "r");
	assert_non_null(fp);
	while (fscanf(fp, "%15s %64s", kind, a) == 2) {
		struct commit_request *rq = &im->rq;
		if (!strcmp(kind, "config"))
			hex32(a, rq->config_digest);
		else if (!strcmp(kind, "manifest"))
			hex32(a, rq->manifest_digest);
		else if (!strcmp(kind, "list"))
			hex32(a, rq->list_digest);
		else if (fscanf(fp, "%64s %llu %llu %u %u %u", b, &blob, &diff,
			     &compression, &uid, &gid) == 6) {
			size_t i = rq->n_layers++;
			struct commit_layer *l = &im->layers[i];
			hex32(a, l->diff_id);
			hex32(b, l->blob_digest);
			l->blob_size = blob;
			l->diff_size = diff;
			l->compression = compression;
			im->uids[i][1] = uid;
			im->gids[i][1] = gid;
			l->uids = im->uids[i];
			l->gids = im->gids[i];
			l->n_uids = uid ? 2 : 1;
			l->n_gids = gid ? 2 : 1;
		}
	}
	fclose(fp);
	im->docs[0] = read_blob(im, im->rq.config_digest, &im->rq.config);
	im->docs[1] = read_blob(im, im->rq.manifest_digest, &im->rq.manifest);
	if (list)
		im->docs[2] = read_blob(im, im->rq.list_digest, &im->rq.list);
}

void
image_make(struct fixture *f, struct image *im, const char *tag, int layers, bool list)
{
	*im = (struct image){.rq.layers = im->layers};
	snprintf(im->dir, sizeof(im->dir), "%s/%s", f->dir, tag);
	sh(f, 0, "python3 tests/store/mkimage.py %s %d %s", im->dir, layers, tag);
	read_facts(im, list);
	im->rq.access.public = true;
	im->rq.created = (struct stamp){1704164645, 123456789};
	im->rq.name = "docker.io/library/foo:a";
	for (size_t i = 0; i < FIXTURE_LAYERS; i++)
		im->staged[i] = STAGED_NONE;
}

/* What the applier and its checker do, with other programs. */
void
image_stage(struct fixture *f, struct image *im)
{
	for (size_t i = 0; i < im->rq.n_layers; i++) {
		struct staged *l = &im->staged[i];
		if (store_layer_staging_new(&f->s, l, &f->e) < 0)
			fail_msg("%s", f->e.text);
		sh(f, 0,
		    "cd @D/G/bulkhead/%s && tar -C %s/diff -xpf %s/layer%zu.tar && "
		    "tar-split disasm "
		    "--no-stdout --output %s.split %s/layer%zu.tar 2>&1 && chmod 600 "
		    "%s.split",
		    f->s.name, l->name, im->dir, i, l->name, im->dir, i, l->name);
		im->layers[i].staged = l;
	}
}

void
image_free(struct fixture *f, struct image *im)
{
	for (size_t i = 0; i < im->rq.n_layers; i++)
		store_layer_staging_drop(&f->s, &im->staged[i]);
	for (size_t i = 0; i < ARRAY_LEN(im->docs); i++)
		free(im->docs[i]);
}

void
take(struct fixture *f, unsigned want)
{
	struct lock_at files[LOCK_N];

	store_locks(&f->s, files);
	if (hold_wait(&f->h, want, files, monotonic_ns() + UINT64_C(10000000000), &f->e) <
	    0)
		fail_msg("%s", f->e.text);
}

int
image_commit(struct fixture *f, struct image *im, struct commit_result *res)
{
	struct commit_staged docs;

	f->e = (struct err){0};
	int r = store_commit_stage(&f->s, &im->rq, &docs, &f->e);
	if (r < 0)
		return r;
	take(f, HOLD_COMMIT);
	r = store_commit(&f->s, &f->h, &im->rq, &docs, res, &f->e);
	hold_release(&f->h);
	store_commit_drop(&f->s, &docs);
	return r;
}

char *
slurp(struct fixture *f, const char *path)
{
	static char text[1 << 16];
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", f->dir, path);
	FILE *fp = fopen(full, "r");
	assert_non_null(fp);
	text[fread(text, 1, sizeof(text) - 1, fp)] = 0;
	fclose(fp);
	return text;
}

void
put_file(struct fixture *f, const char *path, const char *text)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", f->dir, path);
	FILE *fp = fopen(full, "w");
	assert_non_null(fp);
	fputs(text, fp);
	fclose(fp);
}
