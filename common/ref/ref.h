// clang-format off
/* Image references: parse, normalise, print. The grammar and the defaults are those of Docker's
 * reference package, so that a name means here what it means to podman and CRI-O:
 *
 *	reference = name [ ":" tag ] [ "@" digest ]
 *	name      = [ domain "/" ] component *( "/" component )
 *	domain    = host [ ":" 1*DIGIT ]
 *	host      = label *( "." label ) / "[" 1*( HEXDIG / ":" ) "]"
 *	label     = ALNUM [ *( ALNUM / "-" ) ALNUM ]
 *	component = run *( ( "." / "_" / "__" / 1*"-" ) run ), run = 1*( lower-case / DIGIT )
 *	tag       = ( ALNUM / "_" ) 0*127( ALNUM / "_" / "." / "-" )
 *	digest    = "sha256:" 64( lower-case HEXDIG )
 *
 * The part before the first slash is a domain if it is "localhost", holds "." or ":", or an upper
 * case letter; else the domain is docker.io. index.docker.io is docker.io. On docker.io a name of
 * one component lies in library/. A domain keeps its case, as in the other programs: it is
 * compared as bytes everywhere.
 *
 * Narrower than upstream in three points: digests of other algorithms are refused; so is "sha256:"
 * with 64 digits (an image ID, never a tag of a repository "sha256"); domain and path together
 * have at most 255 characters (readers as old as podman 4 refuse longer ones, and CRI-O then
 * fails its whole image list). */
// clang-format on
#ifndef BULKHEAD_REF_REF_H
#define BULKHEAD_REF_REF_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/ref/digest.h"

/* Always normalised; tag "" = no tag; domain and path are never empty. */
struct ref {
	char domain[LIMIT_REPOSITORY + 1];
	char path[LIMIT_REPOSITORY + 1];
	char tag[LIMIT_TAG + 1];
	bool has_digest;
	uint8_t digest[DIGEST_BYTES];
};

/* Room for every printed form with its NUL. */
#define REF_TEXT (LIMIT_REPOSITORY + 1 + LIMIT_TAG + 1 + DIGEST_TEXT + 1)
_Static_assert(REF_TEXT <= LIMIT_NAME + 1, "a reference fits in a message");

/* Parses what a person or a client wrote. No tag is added. 0, or -EINVAL with a reason of
 * class ERR_USAGE in *e (may be NULL); *out is written on 0 only. */
int ref_parse(struct span text, struct ref *out, struct err *e) MUST_CHECK;

/* Whether the text itself says which registry it means; else the domain is a default, and
 * an image that was built here ("localhost/...") may be meant as well. */
bool ref_names_domain(struct span text);

/* Adds the tag "latest" if there is neither tag nor digest. */
void ref_default_tag(struct ref *r);

/* Whether s is a tag by itself. */
bool ref_tag_ok(struct span s);

bool ref_eq(const struct ref *a, const struct ref *b);

/* "domain/path[:tag][@digest]" into dst[REF_TEXT]. Returns dst; so do the next three. */
char *ref_print(const struct ref *r, char *dst);

/* "domain/path". */
char *ref_print_repository(const struct ref *r, char *dst);

/* As people write it, without docker.io/ and library/ where ref_parse puts them back. */
char *ref_print_familiar(const struct ref *r, char *dst);

/* The name that a store records: "domain/path@digest", the tag left out, or
 * "domain/path:tag". NULL if r has neither. */
char *ref_print_record(const struct ref *r, char *dst) MUST_CHECK;

/* Whether name may stand in images.json: normalised, and with either a tag or a digest.
 */
bool ref_is_canonical(struct span name) MUST_CHECK;

/* Where a domain leads: the host without brackets, whether it is an IPv6 address, the
 * port (0 = none named). -EINVAL with a reason of class ERR_USAGE for what the grammar
 * lets through and no network could: a port beyond 1..65535, brackets around something
 * else than an address, a host over LIMIT_HOST. */
struct ref_host {
	char host[LIMIT_HOST + 1];
	bool ipv6;
	uint16_t port;
};
int ref_host_parse(struct span domain, struct ref_host *out, struct err *e) MUST_CHECK;

#endif
