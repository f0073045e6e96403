#include "supervisor/certs.h"

#include "common/base/fd.h"
#include "common/base/limits.h"
#include "common/base/pairs.h"
#include "supervisor/rootfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CA_BUNDLE "ssl/certs/ca-certificates.crt"
#define PATH_CAP (LIMIT_PATH + LIMIT_COMPONENT + 2)

static const char *const places[] = {"containers/certs.d", "docker/certs.d"};

struct gather {
	int cas; /* the memfd that is being written */
	size_t n_cas;
	uint8_t *clients; /* LIMIT_CLIENT_CERTS bytes, wiped at the end */
	size_t n_clients;
};

static void
gather_release(struct gather *g)
{
	fd_close(&g->cas);
	if (g->clients)
		explicit_bzero(g->clients, LIMIT_CLIENT_CERTS);
	free(g->clients);
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

/* ---- CA certificates ---- */

/* Appends a certificate file and a line end. */
static int
append_ca(struct gather *g, int fd, const char *path, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	size_t n;

	/* One byte less than fits: the line end counts, too. */
	int r = g->n_cas >= LIMIT_CAS
		    ? -EFBIG
		    : fd_read_whole(fd, LIMIT_CAS - g->n_cas - 1, &bytes, &n);
	if (r == 0)
		r = fd_write_all(g->cas, bytes, n);
	if (r == 0)
		r = fd_write_all(g->cas, "\n", 1);
	if (r < 0)
		return err_errno(e, -r, "the CA certificates of %s", path);
	g->n_cas += n + 1;
	return 0;
}

/* A missing system bundle is no error: TLS then trusts nothing, and says so when it meets
 * a certificate. */
static int
append_bundle(struct gather *g, const char *etc, struct err *e)
{
	char path[PATH_CAP];

	snprintf(path, sizeof(path), "%s/" CA_BUNDLE, etc);
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot open %s", path);
	return append_ca(g, fd, path, e);
}

/* ---- client certificates ---- */

static int
append_client(struct gather *g, int fd, const char *path, struct err *e)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	int r = fd_read_whole(fd, LIMIT_CLIENT_CERTS, &bytes, &n);
	if (r == 0 && !pairs_add(g->clients, LIMIT_CLIENT_CERTS, &g->n_clients,
			  span_str(path), span_of(bytes, n)))
		r = -EFBIG;
	if (bytes)
		explicit_bzero(bytes, n);
	free(bytes);
	return r < 0 ? err_errno(e, -r, "the client certificate %s", path) : 0;
}

/* The file that goes with path: the same name, another ending. */
static int
open_half(int dir, const char *name, const char *path, const char *ending,
    char half[PATH_CAP], struct err *e)
{
	int stem = (int)(strrchr(path, '.') - path);
	size_t folder = strlen(path) - strlen(name);

	snprintf(half, PATH_CAP, "%.*s%s", stem, path, ending);
	return rootfile_open(dir, half + folder, 0, half, e);
}

static int
add_pair(struct gather *g, int dir, const char *name, const char *path, int cert,
    struct err *e)
{
	char half[PATH_CAP];

	FD_AUTO key = open_half(dir, name, path, ".key", half, e);
	if (key == -ENOENT)
		return err_set(e, ERR_USAGE,
		    "%s lacks its key: %s is missing (CA certificates end in .crt)", path,
		    half);
	if (key < 0)
		return key;
	int r = append_client(g, cert, path, e);
	return r < 0 ? r : append_client(g, key, half, e);
}

static int
check_key(int dir, const char *name, const char *path, struct err *e)
{
	char half[PATH_CAP];

	FD_AUTO cert = open_half(dir, name, path, ".cert", half, e);
	if (cert == -ENOENT)
		return err_set(
		    e, ERR_USAGE, "%s lacks its certificate: %s is missing", path, half);
	return cert < 0 ? cert : 0;
}

/* ---- directories ---- */

enum directory {
	OF_HOST,     /* of certs.d: *.crt, pairs */
	OF_ALL,	     /* cert_dir itself: *.crt, *.pem */
	OF_HOST_OWN, /* below cert_dir: *.crt, *.pem, pairs */
};

static int
take_file(struct gather *g, enum directory kind, int dir, const char *name,
    const char *path, struct err *e)
{
	bool ca = ends_in(name, ".crt") || (kind != OF_HOST && ends_in(name, ".pem"));
	bool cert = kind != OF_ALL && ends_in(name, ".cert");

	if (kind != OF_ALL && ends_in(name, ".key"))
		return check_key(dir, name, path, e);
	if (!ca && !cert)
		return 0;
	FD_AUTO fd = rootfile_open(dir, name, 0, path, e);
	/* Subscription managers leave links here whose files come and go. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	return ca ? append_ca(g, fd, path, e) : add_pair(g, dir, name, path, fd, e);
}

static void
names_free(struct dirent **names, int n)
{
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* -ENOENT without *e: there is no such directory. */
static int
take_directory(struct gather *g, enum directory kind, const char *path, struct err *e)
{
	struct dirent **names = NULL;
	char file[PATH_CAP];
	FD_AUTO dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? -ENOENT
				       : err_errno(e, errno, "cannot open %s", path);
	int r = rootfile_check(dir, path, e);
	if (r < 0)
		return r;
	int n = scandirat(dir, ".", &names, NULL, alphasort);
	if (n < 0)
		return err_errno(e, errno, "cannot read %s", path);
	for (int i = 0; i < n && r == 0; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		r = take_file(g, kind, dir, names[i]->d_name, file, e);
	}
	names_free(names, n);
	return r;
}

static int
take_host(struct gather *g, const char *parent, enum directory kind, const char *host,
    struct err *e)
{
	char path[LIMIT_PATH + 1];
	int n = snprintf(path, sizeof(path), "%s/%s", parent, host);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ERR_USAGE, "the path is too long: %s/%s", parent, host);
	return take_directory(g, kind, path, e);
}

static int
take_all(struct gather *g, const char *etc, const char *cert_dir, const char *host,
    struct err *e)
{
	char parent[LIMIT_PATH + 1];

	int r = append_bundle(g, etc, e);
	if (r < 0)
		return r;
	if (*cert_dir) {
		r = take_directory(g, OF_ALL, cert_dir, e);
		if (r < 0)
			return r;
		return take_host(g, cert_dir, OF_HOST_OWN, host, e);
	}
	r = -ENOENT;
	for (size_t i = 0; i < ARRAY_LEN(places) && r == -ENOENT && !e->code; i++) {
		snprintf(parent, sizeof(parent), "%s/%s", etc, places[i]);
		r = take_host(g, parent, OF_HOST, host, e);
	}
	return r;
}

static int
certs_gather(struct gather *g, const char *etc, const char *cert_dir, const char *host,
    struct certs *out, struct err *e)
{
	if (g->cas < 0 || !g->clients)
		return err_errno(e, errno, "memory for certificates");
	int r = take_all(g, etc, cert_dir, host, e);
	if (r < 0 && (r != -ENOENT || e->code))
		return r;
	if (fcntl(g->cas, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_errno(e, errno, "sealing the CA certificates");
	out->clients = fd_sealed_memfd("clients", g->clients, g->n_clients);
	if (out->clients < 0)
		return err_errno(e, -out->clients, "memory for client certificates");
	out->cas = fd_steal(&g->cas);
	return 0;
}

int
certs_open(const char *etc, const char *cert_dir, const char *host, struct certs *out,
    struct err *e)
{
	*out = (struct certs){-1, -1};
	/* host is another room's word: one name, never a path. */
	if (!*host || *host == '.' || strchr(host, '/'))
		return err_set(e, ERR_USAGE, "no such host name");
	struct gather g = {.cas = memfd_create("ca", MFD_CLOEXEC | MFD_ALLOW_SEALING),
	    .clients = malloc(LIMIT_CLIENT_CERTS)};
	int r = certs_gather(&g, etc, cert_dir, host, out, e);
	gather_release(&g);
	return r;
}

char *
certs_place(
    const char *etc, const char *cert_dir, const char *host, char *dst, size_t cap)
{
	bool own = *cert_dir;

	for (size_t i = 0; i < (own ? 1 : ARRAY_LEN(places)); i++) {
		snprintf(dst, cap, "%s%s%s/%s", own ? cert_dir : etc, own ? "" : "/",
		    own ? "" : places[i], host);
		if (!strchr(host, '/') && *host != '.' && access(dst, F_OK) == 0)
			return dst;
	}
	*dst = 0;
	return dst;
}

void
certs_close(struct certs *c)
{
	fd_close(&c->cas);
	fd_close(&c->clients);
}
