/* The enumerations that travel in messages (schema.def names them beside the fields). */
#ifndef BULKHEAD_IPC_VALUES_H
#define BULKHEAD_IPC_VALUES_H

/* NONE: nothing is synced; a power loss may damage the store. */
enum durability { DURABILITY_FULL = 0, DURABILITY_NONE = 1 };
/* gone.status of a room that broke the protocol, however it ended then, and of one that
 * says so of another. */
enum { STATUS_PROTOCOL = 2 };
enum apply_mode { APPLY_UNTAR = 0, APPLY_CHECK = 1, APPLY_ERASE = 2, APPLY_VERIFY = 3 };
enum fetch_scheme { SCHEME_HTTP = 0, SCHEME_HTTPS = 1 };
enum fetch_auth { AUTH_NONE = 0, AUTH_FILES = 1, AUTH_GIVEN = 2 };
/* BASIC: "user:password"; IDENTITY: an OAuth2 refresh token; BEARER: a registry token. */
enum secret_kind {
	SECRET_NONE = 0,
	SECRET_BASIC = 1,
	SECRET_IDENTITY = 2,
	SECRET_BEARER = 3
};
enum auth_scheme { CHALLENGE_NONE = 0, CHALLENGE_BEARER = 1, CHALLENGE_BASIC = 2 };
/* An address is refused when its class is below the floor: a redirect from a public
 * registry may lead to public addresses only, one from a loopback registry anywhere. */
enum address_floor { FLOOR_LOOPBACK = 0, FLOOR_PRIVATE = 1, FLOOR_PUBLIC = 2 };
enum fetch_kind { FETCH_MANIFEST = 0, FETCH_CONFIG = 1, FETCH_LAYER = 2 };
/* TOP: whatever the name leads to, index or manifest. */
enum document_kind { DOC_TOP = 0, DOC_MANIFEST = 1, DOC_CONFIG = 2 };
enum compression { COMPRESSION_NONE = 0, COMPRESSION_GZIP = 2, COMPRESSION_ZSTD = 4 };
/* VERDICT_ONLY: resolve and judge, store nothing (can-pull); REMOTE: inspect --remote;
 * MEND: of an image that is there, puts again what a check found damaged, and no more. */
enum pull_mode {
	PULL_ALWAYS = 0,
	PULL_MISSING = 1,
	PULL_NEVER = 2,
	PULL_NEWER = 3,
	PULL_VERDICT_ONLY = 4,
	PULL_REMOTE = 5,
	PULL_MEND = 6,
};
/* What a check does with what it finds: nothing; all it can, removing what cannot be made
 * good; the same, but what a registry has is left for a pull to put again. */
enum check_mend { CHECK_ONLY = 0, CHECK_REPAIR = 1, CHECK_REFETCH = 2 };
/* KEPT: in use, or pinned; WANTED: left for a pull. */
enum check_state {
	CHECK_DAMAGED = 0,
	CHECK_MENDED = 1,
	CHECK_REMOVED = 2,
	CHECK_KEPT = 3,
	CHECK_WANTED = 4,
};
enum layer_state {
	LAYER_PRESENT = 0,
	LAYER_WANTED = 1,
	LAYER_WAITING = 2,
	LAYER_DONE = 3
};
enum pull_stage {
	STAGE_FETCH = 0,
	STAGE_CHECK = 1,
	STAGE_COMMIT = 2,
	STAGE_SPACE = 3, /* stands still until space that is being freed is free */
};
/* When the registry itself is asked though there are mirrors: when all of them fail, only
 * when all of them say that they lack it, never. */
enum fallback { FALLBACK_ALWAYS = 0, FALLBACK_ON_NOT_FOUND = 1, FALLBACK_NEVER = 2 };
enum listen_kind { LISTEN_CRI = 0, LISTEN_CONTROL = 1, LISTEN_METRICS = 2 };
/* What text is made of an image's documents: podman's form of `inspect`, the same for one
 * that is not in the store, the verbose `info` of the CRI. */
enum render_kind { RENDER_LOCAL = 0, RENDER_REMOTE = 1, RENDER_CRI = 2 };
/* DROPIN: a file of registries.conf.d; ALIASES: short-name-aliases.conf.
 * DOCKERCFG: the form before auth.json's; HELPER, HELPER_ERROR: what a credential helper
 * wrote that ended well, or did not. */
enum config_kind {
	CONFIG_BULKHEAD = 0,
	CONFIG_STORAGE = 1,
	CONFIG_AUTH = 2,
	CONFIG_REGISTRIES = 3,
	CONFIG_REGISTRIES_DROPIN = 4,
	CONFIG_ALIASES = 5,
	CONFIG_DOCKERCFG = 6,
	CONFIG_HELPER = 7,
	CONFIG_HELPER_ERROR = 8,
};
/* A row of these files, in their order: what name and value mean. A list begins with a
 * row whose value is "". */
enum registry_row {
	REGISTRY_FILE = 0,   /* the rows that follow are this file's (name: its path) */
	REGISTRY_TABLE = 1,  /* [[registry]]: prefix, location */
	REGISTRY_MIRROR = 2, /* of the table before it: "", location */
	REGISTRY_SEARCH = 3, /* unqualified-search-registries: "", host[:port] */
	REGISTRY_ALIAS = 4,  /* short name, repository ("" takes an alias away) */
	REGISTRY_MODE = 5,   /* flags: enum short_name_mode */
	REGISTRY_RULE =
	    6, /* of bulkhead.toml: a registry or range, the key that lists it */
};
/* Flags of a rule. */
enum insecure_flag {
	INSECURE_HTTP = 1, /* plain HTTP: alone, or where TLS finds no answer */
	INSECURE_TLS = 2,  /* TLS with whatever certificate */
};
/* Flags of a table or a mirror. */
enum registry_flag {
	REGISTRY_INSECURE = 1,	  /* unverified TLS or plain HTTP will do */
	REGISTRY_BLOCKED = 2,	  /* tables */
	REGISTRY_DIGEST_ONLY = 4, /* mirrors: for names with a digest, or ... */
	REGISTRY_TAG_ONLY = 8,	  /* ... without one */
};
enum short_name_mode {
	SHORT_NAMES_PERMISSIVE = 0,
	SHORT_NAMES_ENFORCING = 1,
	SHORT_NAMES_DISABLED = 2,
};

#endif
