#include "worker-store/document/media.h"

#include "common/base/limits.h"

// clang-format off
static const struct media table[] = {
	{MEDIA_OCI_INDEX, MEDIA_INDEX, true, 0},
	{MEDIA_DOCKER_INDEX, MEDIA_INDEX, false, 0},
	{MEDIA_OCI_MANIFEST, MEDIA_MANIFEST, true, 0},
	{MEDIA_DOCKER_MANIFEST, MEDIA_MANIFEST, false, 0},
	{MEDIA_OCI_CONFIG, MEDIA_CONFIG, true, 0},
	{MEDIA_DOCKER_CONFIG, MEDIA_CONFIG, false, 0},

	{"application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER, true, COMPRESSION_NONE},
	{"application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER, true, COMPRESSION_GZIP},
	{"application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER, true, COMPRESSION_ZSTD},
	{"application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER, false, COMPRESSION_NONE},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER, false, COMPRESSION_GZIP},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER, false, COMPRESSION_ZSTD},

	{"application/vnd.docker.distribution.manifest.v1+json", MEDIA_SCHEMA1, false, 0},
	{"application/vnd.docker.distribution.manifest.v1+prettyjws", MEDIA_SCHEMA1, false, 0},

	{"application/vnd.docker.image.rootfs.foreign.diff.tar", MEDIA_FOREIGN, false, 0},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MEDIA_FOREIGN, false, 0},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_FOREIGN, true, 0},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_FOREIGN, true, 0},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_FOREIGN, true, 0},

	{"application/vnd.oci.image.layer.v1.tar+encrypted", MEDIA_ENCRYPTED, true, 0},
	{"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", MEDIA_ENCRYPTED, true, 0},
	{"application/vnd.oci.image.layer.v1.tar+zstd+encrypted", MEDIA_ENCRYPTED, true, 0},
};
// clang-format on

static const struct media unknown = {"", MEDIA_UNKNOWN, false, 0};
static const struct media none = {"", MEDIA_NONE, false, 0};

const struct media *
media_find(struct span text)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (span_is(text, table[i].text))
			return &table[i];
	}
	return &unknown;
}

const struct media *
media_named(const char *text)
{
	return media_find(span_str(text));
}

static struct span
trim(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* What registries and plain file servers send when they do not know. */
static bool
says_nothing(const char *type)
{
	static const char *const general[] = {"", "application/json",
	    "application/octet-stream", "text/plain", "binary/octet-stream"};

	for (size_t i = 0; i < ARRAY_LEN(general); i++) {
		if (!strcmp(type, general[i]))
			return true;
	}
	return false;
}

int
media_from_header(struct span text, const struct media **out, struct err *e)
{
	char type[LIMIT_MEDIA_TYPE + 1], shown[2 * LIMIT_MEDIA_TYPE];
	struct span s = text;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == ',' || (text.p[i] < 0x20 && text.p[i] != '\t') ||
		    text.p[i] >= 0x7f)
			return err_set(e, ERR_CONTENT,
			    "Content-Type \"%s\" is not one media type",
			    span_escape(text, shown, sizeof(shown)));
	}
	const uint8_t *semicolon = text.n ? memchr(text.p, ';', text.n) : NULL;
	if (semicolon)
		s.n = (size_t)(semicolon - text.p);
	if (!span_to_str(trim(s), type, sizeof(type)))
		return err_set(e, ERR_CONTENT, "Content-Type is longer than %d bytes",
		    LIMIT_MEDIA_TYPE);
	for (char *c = type; *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c |= 32;
	}
	*out = says_nothing(type) ? &none : media_named(type);
	return 0;
}
