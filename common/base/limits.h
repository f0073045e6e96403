/* Every limit of the project, in one block: hard maxima, in bytes unless the comment
 * names another unit. Configuration may lower some of them, never pass them. Tests try
 * each at N and at N + 1. */
#ifndef BULKHEAD_BASE_LIMITS_H
#define BULKHEAD_BASE_LIMITS_H

#define KiB(n) ((uint64_t)(n) << 10)
#define MiB(n) ((uint64_t)(n) << 20)
#define GiB(n) ((uint64_t)(n) << 30)

/* Documents: index, manifest, config. */
#define LIMIT_DOCUMENT MiB(4)
#define LIMIT_JSON_DEPTH 32
#define LIMIT_JSON_KEYS 4096 /* keys of one object */
#define LIMIT_JSON_STRING KiB(64)
#define LIMIT_JSON_VALUES 200000 /* of one text: a tree takes up to 300 bytes a value */
#define LIMIT_INDEX_ENTRIES 1024
#define LIMIT_RENDERED MiB(32) /* JSON text made for inspect: escapes can lengthen it */
#define LIMIT_LAYERS                                                      \
	127 /* layers of an image: storage 1.43 mounts at most 128 lowers \
	     */
#define LIMIT_MEDIA_TYPE 128
#define LIMIT_CONFIG_TEXT \
	4096 /* one typed text field of a config (user, os, architecture) */

/* Layers. */
#define LIMIT_LAYER_HARD GiB(256) /* compressed, and uncompressed */
#define LIMIT_LAYER_DEFAULT GiB(16)
#define LIMIT_IMAGE_HARD GiB(256)
#define LIMIT_IMAGE_DEFAULT GiB(64)
#define LIMIT_RATIO 1000	  /* uncompressed : compressed ... */
#define LIMIT_RATIO_FREE MiB(256) /* ... counted only beyond this much output */
#define LIMIT_ZSTD_WINDOW_LOG 27
#define LIMIT_LAYER_ENTRIES 4000000 /* entries of one tar */
#define LIMIT_PATH_DEPTH 128	    /* components */
#define LIMIT_PATH 4095
#define LIMIT_COMPONENT 255
#define LIMIT_PAX_HEADER MiB(1)
#define LIMIT_PAX_VALUE KiB(64)
#define LIMIT_XATTRS 64 /* of one entry */
#define LIMIT_XATTR_BYTES KiB(64)
#define LIMIT_SPARSE_REGIONS 65536
#define LIMIT_OWNERS 4096	       /* distinct owner ids of each kind a layer */
#define LIMIT_DIRECTORY_NAMES MiB(64)  /* of one layer, remembered for their times */
#define LIMIT_MTIME (INT64_C(1) << 33) /* seconds */

/* The registry's side. */
#define LIMIT_TOKEN_BODY MiB(1)
#define LIMIT_ERROR_BODY KiB(8)
#define LIMIT_HEADER_BYTES KiB(300)
#define LIMIT_HEADERS 1000 /* header lines of one response */
#define LIMIT_URL 8192
#define LIMIT_HOST 253
#define LIMIT_SECRET KiB(16)
#define LIMIT_REDIRECTS 5   /* of one request */
#define LIMIT_ADDRESSES 16  /* of one host */
#define LIMIT_ORIGINS 64    /* whose troubles are remembered */
#define LIMIT_RETRIES 10    /* of one request at one endpoint, without progress */
#define LIMIT_CONNECTIONS 4 /* of one fetcher to its origin */
#define LIMIT_CAS MiB(4)    /* CA certificates for one origin, the system's included */
#define LIMIT_CLIENT_CERTS KiB(256) /* pairs of certificate and key for one origin */
#define LIMIT_FEEDS 64	 /* fetchers that one layer's hash room may have, one by one */
#define LIMIT_RESUMES 50 /* of one transfer, each after new bytes */
#define LIMIT_SKIPS 4	 /* times a body's size that may be read only to be skipped */
#define LIMIT_ETAG 128

/* References. */
#define LIMIT_NAME 512 /* a normalised reference with tag and digest */
#define LIMIT_REPOSITORY 255
#define LIMIT_TAG 128

/* Store. */
#define LIMIT_STORE_JSON MiB(64) /* layers.json, images.json */
#define LIMIT_STORE_RECORDS 100000
#define LIMIT_IMAGE_NAMES 256
#define LIMIT_IMAGE_MANIFESTS 64
#define LIMIT_ACCESS_PROOFS 32
#define LIMIT_TAR_SPLIT_SEGMENT MiB(1)
#define LIMIT_TAR_SPLIT_LINE                                       \
	MiB(8) /* of a tar-split file that others may have written \
		*/

/* Policy and configuration files. */
#define LIMIT_POLICY MiB(1)
#define LIMIT_POLICY_SCOPES 1024
#define LIMIT_CONFIG_FILE MiB(1)
#define LIMIT_CONFIG_LIST                                                               \
	1024			/* entries of one list or table of a configuration file \
				 */
#define LIMIT_CONFIG_DROPINS 32 /* files beside the main one */
#define LIMIT_REGISTRIES 1024	/* [[registry]] tables of registries.conf and drop-ins */
#define LIMIT_MIRRORS 16	/* of one of them */
#define LIMIT_ENDPOINTS (LIMIT_MIRRORS + 1) /* where one name can be had */
#define LIMIT_ALIASES 4096 /* short names with a repository of their own */
#define LIMIT_SEARCH 16	   /* unqualified-search-registries */
/* What a short name may stand for in the store, and as lines. */
#define LIMIT_MEANINGS (LIMIT_SEARCH + 3)
#define LIMIT_MEANINGS_TEXT (LIMIT_MEANINGS * (LIMIT_NAME + 1))
/* Of all these files together. */
#define LIMIT_REGISTRY_ROWS 65536
#define LIMIT_REGISTRY_BYTES MiB(8)
/* What one reader may say of its file: rows, secrets and log lines, and their bytes. */
#define LIMIT_CONFIG_ROWS 32768
#define LIMIT_CONFIG_BYTES MiB(4)

#define LIMIT_HELPER_NAME 64 /* of a credential helper, behind docker-credential- */
#define LIMIT_HELPER_ANSWER KiB(64)	 /* bytes of its answer */
#define LIMIT_HELPER_ENVIRONMENT KiB(32) /* what it is given of ours */

/* Messages. */
#define LIMIT_PACKET KiB(64)
#define LIMIT_MESSAGE_FDS 4
#define LIMIT_MESSAGE_FIELDS 24
#define LIMIT_LOG_TEXT 4096
#define LIMIT_LOG_LINES 64u /* of one room in one second */

/* Clients. */
#define LIMIT_GRPC_MESSAGE_HARD MiB(64)	   /* one request, one answer */
#define LIMIT_GRPC_MESSAGE_DEFAULT MiB(16) /* what kubelet's own client takes */
#define LIMIT_GRPC_MEMORY MiB(96)	   /* of all requests being received */
#define LIMIT_GRPC_ANSWERS MiB(256) /* of all answers not yet taken, and the lists */
#define LIMIT_GRPC_CONNECTIONS 512
#define LIMIT_GRPC_STREAMS 128	   /* calls of one connection at once */
#define LIMIT_GRPC_CALLS 4096	   /* of all connections at once */
#define LIMIT_GRPC_HEADERS KiB(64) /* of one request, names and values */
#define LIMIT_GRPC_FIELDS 256	   /* of one request */
#define LIMIT_GRPC_STATUS \
	2048 /* text of an error: thrice that, encoded; clients take 8 KiB */
#define LIMIT_GRPC_CONTROL \
	1000 /* frames of a connection that ask for work and bring none */
#define LIMIT_GRPC_CONTROL_RATE 200 /* how many of them come back in a second */
#define LIMIT_PROTOBUF_FACTOR 4 /* a decoded request takes this much of its size ... */
#define LIMIT_PROTOBUF_BASE KiB(16) /* ... and this */
#define LIMIT_CONTROL_CLIENTS 64
#define LIMIT_CONTROL_REQUESTS 64 /* of one client at once */
#define LIMIT_METRICS_CLIENTS 16
#define LIMIT_METRICS_REQUEST KiB(8)
#define LIMIT_NAMESPACE 253
#define LIMIT_PINS 256	      /* patterns */
#define LIMIT_SOCKET_PATH 107 /* what a sockaddr_un takes, without its NUL */

/* The cache. */
#define LIMIT_ANNOTATIONS 16384 /* of one manifest, packed */
#define LIMIT_CACHE_NAMES 32768 /* names of an image in one message */

/* Time, in seconds. */
#define LIMIT_DIAL_SECONDS 12	    /* name resolution and connect together */
#define LIMIT_FIRST_BYTE_SECONDS 60 /* from request to the first byte of its answer */
#define LIMIT_SLOW_SECONDS \
	300 /* a transfer must move LIMIT_SLOW_BYTES in any such span */
#define LIMIT_SLOW_BYTES KiB(64)
#define LIMIT_STALL_SECONDS 60	     /* without a byte of a body */
#define LIMIT_RETRY_SECONDS 600	     /* of waiting, of one request */
#define LIMIT_RETRY_AFTER_SAID 86400 /* what is said of a longer one */
#define LIMIT_RING_STALL_SECONDS                                                         \
	1500			       /* no slot filled: beyond what LIMIT_SLOW_* allow \
					*/
#define LIMIT_GRPC_HELLO_SECONDS 10    /* from connect to the first frames */
#define LIMIT_GRPC_REQUEST_SECONDS 60  /* from a call's headers to its last byte */
#define LIMIT_GRPC_SILENCE_SECONDS 180 /* nothing heard, calls in flight: we ask */
#define LIMIT_GRPC_ANSWER_SECONDS 60   /* a client takes no byte of what it is given */
#define LIMIT_CACHE_SECONDS 60	       /* a call waits for the store's first word */
#define LIMIT_METRICS_SECONDS 10       /* for a request, and for taking its answer */
#define LIMIT_HELPER_SECONDS 10	       /* from a helper's start to its end */
#define LIMIT_DOCUMENT_SECONDS 10      /* CPU seconds of a document room */
/* From asking for a document or verdict room until it has answered and gone. */
#define LIMIT_ANSWER_SECONDS 60
/* A layer that is verified must move LIMIT_VERIFY_BYTES in any such span, or an eighth of
 * what its rate allows: its rooms run when nobody else does. */
#define LIMIT_VERIFY_SECONDS 300
#define LIMIT_VERIFY_BYTES MiB(8)
/* From asking for a document until it is in the store. */
#define LIMIT_ARRIVAL_SECONDS \
	(LIMIT_RETRY_SECONDS + LIMIT_SLOW_SECONDS + 2 * LIMIT_FIRST_BYTE_SECONDS)

/* Concurrency. */
#define LIMIT_LAYERS_IN_FLIGHT 12 /* of all pulls: three rooms each */
#define LIMIT_PULLS 1024	  /* that the supervisor remembers at once */
#define LIMIT_PULLS_AT_ONCE 12	  /* of the rooms of a supervisor: two fetchers each */
#define LIMIT_ROOMS 64		  /* alive at once, the size of a uid block */

#endif
