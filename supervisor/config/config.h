/* What one configuration file says, checked, as rows of text. Pure: bytes in, calls out.
 *
 * CONFIG_BULKHEAD, bulkhead.toml. Rows by the keys of keys.def; every other key is an
 * error that names the line. An integer is given as its decimal text, a span of time in
 * seconds, a socket as its path; a list gives one row with the value "", then one an
 * item.
 *
 * CONFIG_STORAGE, containers-storage.conf(5). Rows: graphroot, runroot (when set).
 * Settings under which images would have to be stored in another way than they are here
 * are errors; what concerns containers only, and what is unknown, is ignored.
 *
 * CONFIG_AUTH, containers-auth.json(5). A secret per entry of auths that has one; a row
 *   cred_helper  "registry TAB helper", for each of credHelpers
 *   creds_store  the helper for everything else
 *   ignored      an entry nobody can use, and why
 * Helpers are named here and run by the supervisor.
 *
 * CONFIG_DOCKERCFG: what stands in auths, alone.
 *
 * CONFIG_HELPER: what a credential helper answered. At most one secret, of scope
 * "helper".
 *
 * CONFIG_HELPER_ERROR: what one wrote that failed. Nothing if it only knows nobody there,
 * else a refusal with its first line.
 *
 * CONFIG_REGISTRIES, containers-registries.conf(5), in both of its versions; _DROPIN, a
 * file of registries.conf.d, in version 2 alone; CONFIG_ALIASES, the table [aliases] of
 * short-name-aliases.conf. Checked as the other programs check them, and brought into one
 * form: prefixes and locations without slashes at the end, aliases as whole repositories,
 * mirror-by-digest-only on each mirror, what version 1 says as tables. A row
 *   credential-helpers  a list, as above
 *   ignored             what has no effect here, and why
 * and everything else through registry. */
#ifndef BULKHEAD_CONFIG_H
#define BULKHEAD_CONFIG_H

#include "common/base/err.h"
#include "common/base/span.h"
#include "common/ipc/values.h"

/* Both return 0, or a negative value that ends the reading and is returned. Spans live
 * only during the call. */
struct config_sink {
	int (*row)(void *arg, const char *key, struct span value);
	/* scope: host[:port][/path] as in the file, perhaps with a scheme before it
	 * (docker login wrote such); secret: "user:password", or an identity token. */
	int (*secret)(
	    void *arg, struct span scope, enum secret_kind kind, struct span secret);
	int (*registry)(void *arg, enum registry_row kind, unsigned flags,
	    struct span name, struct span value);
	void *arg;
};

#define CONFIG_SCOPE 600 /* bytes of a scope */

/* name is the file's, for refusals. 0; -EINVAL with *e filled (ERR_USAGE: file, line or
 * key, what to do); -ENOMEM; or what the sink returned. Rows may have been given before a
 * refusal. */
int config_read(enum config_kind kind, struct span bytes, const char *name,
    const struct config_sink *sink, struct err *e) MUST_CHECK;

#endif
