/* Certificates for one origin: opened here, read by its fetcher alone
 * (containers-certs.d(5)). */
#ifndef BULKHEAD_SUPERVISOR_CERTS_H
#define BULKHEAD_SUPERVISOR_CERTS_H

#include "common/base/err.h"

/* Sealed memfds, the caller's to close. */
struct certs {
	int cas;     /* PEM */
	int clients; /* client certificates, a secret; see certs_open */
};

/* The system's CA bundle, followed by what there is for the host:
 *
 * without a cert_dir ("") the *.crt of the first directory DIR/<host>/ that exists, DIR
 * being /etc/containers/certs.d or /etc/docker/certs.d; with one, its own *.crt and
 * *.pem, and those of cert_dir/<host>/. Out of <host>/ also come client certificates,
 * each *.cert with the *.key of its name: a key belongs to one origin, so there is none
 * for all. They are pairs (common/base/pairs.h) of path and PEM text, certificate and key
 * by turns, in the order of their names.
 *
 * host is the registry as references spell it, the port only if they have one. etc takes
 * the place of "/etc" in tests. 0; or negative with *e: a half of a pair is missing, a
 * file is too large, or others than root could write it. A link that leads nowhere counts
 * as no file. */
int certs_open(const char *etc, const char *cert_dir, const char *host, struct certs *out,
    struct err *e) MUST_CHECK;

/* The directory of the host that would be read; "" = there is none. Returns dst. */
char *certs_place(
    const char *etc, const char *cert_dir, const char *host, char *dst, size_t cap);

void certs_close(struct certs *c);

#endif
