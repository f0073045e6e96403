/* WWW-Authenticate (RFC 9110 11.6.1, Bearer as in the distribution token specification):
 * several header lines, several challenges in one line, tokens and quoted strings. */
#ifndef BULKHEAD_FETCH_CHALLENGE_H
#define BULKHEAD_FETCH_CHALLENGE_H

#include "common/base/err.h"
#include "common/base/limits.h"

#define CHALLENGE_PARAM_MAX 1024 /* service, scope */

struct challenge {
	bool basic;
	bool bearer;
	char other[32];		   /* the last scheme that is neither, for messages */
	char realm[LIMIT_URL + 1]; /* of Bearer; unquoted, not yet parsed as a URL */
	char service[CHALLENGE_PARAM_MAX + 1]; /* of Bearer */
	char scope[CHALLENGE_PARAM_MAX + 1];   /* of Bearer; information only */
};

/* Adds the value of one header line. Refused: a second Bearer challenge, a parameter
 * given twice, unbalanced quotes, control bytes, values beyond their room. 0, or
 * ERR_NETWORK with the reason. */
int challenge_add(struct challenge *c, struct span value, struct err *e) MUST_CHECK;

/* What a pull of the repository asks for, whatever the challenge would widen it to:
 * "repository:<path>:pull". false when it does not fit. */
bool challenge_scope(const char *repository, char *dst, size_t cap) MUST_CHECK;

#endif
