#include "frontend/cri_codec.h"

#include "common/base/pairs.h"

#include <cri.pb-c.h>

#include <errno.h>
#include <string.h>

/* ---- memory ---- */

/* Empty submessages of two bytes each would become fifty times their size: what one
 * request may take is counted, and freed memory is wiped, for some of it is passwords. */
struct piece {
	size_t n;
	_Alignas(max_align_t) uint8_t bytes[];
};

static void *
piece_take(void *arg, size_t n)
{
	struct cri_request *r = arg;

	if (n > r->cap - r->used) {
		r->refused = true;
		return NULL;
	}
	struct piece *p = malloc(sizeof(*p) + n);
	if (!p) {
		r->refused = true;
		return NULL;
	}
	p->n = n;
	r->used += n;
	return p->bytes;
}

static void
piece_free(void *arg, void *bytes)
{
	struct cri_request *r = arg;

	if (!bytes)
		return;
	struct piece *p =
	    (struct piece *)((uint8_t *)bytes - offsetof(struct piece, bytes));
	r->used -= p->n;
	explicit_bzero(p->bytes, p->n);
	free(p);
}

/* ---- decoding ---- */

static const ProtobufCMessageDescriptor *
descriptor(enum cri_kind kind)
{
	switch (kind) {
	case CRI_VERSION:
		return &runtime__v1__version_request__descriptor;
	case CRI_LIST_IMAGES:
		return &runtime__v1__list_images_request__descriptor;
	case CRI_STREAM_IMAGES:
		return &runtime__v1__stream_images_request__descriptor;
	case CRI_IMAGE_STATUS:
		return &runtime__v1__image_status_request__descriptor;
	case CRI_PULL_IMAGE:
		return &runtime__v1__pull_image_request__descriptor;
	case CRI_REMOVE_IMAGE:
		return &runtime__v1__remove_image_request__descriptor;
	case CRI_IMAGE_FS_INFO:
		return &runtime__v1__image_fs_info_request__descriptor;
	default:
		abort();
	}
}

static struct span
span_data(ProtobufCBinaryData d)
{
	return span_of(d.data, d.len);
}

static int
check_text(const ProtobufCBinaryData *d, const char **why)
{
	struct span text = span_data(*d);

	if (span_is_text(text))
		return 0;
	if (text.n && memchr(text.p, 0, text.n)) {
		*why = "a string holds a NUL";
		return -EINVAL;
	}
	*why = "a string is not UTF-8";
	return -EPROTO;
}

/* All `bytes` of our .proto are strings. Recursion is as deep as its messages nest: none
 * holds itself. */
static int
check_texts(const ProtobufCMessage *m, const char **why)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &d->fields[i];
		const uint8_t *at = (const uint8_t *)m + field->offset;
		size_t n = 1;
		int r = 0;

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			memcpy(
			    &n, (const uint8_t *)m + field->quantifier_offset, sizeof(n));
			at = *(const uint8_t *const *)at;
		}
		for (size_t k = 0; k < n && r == 0; k++) {
			if (field->type == PROTOBUF_C_TYPE_BYTES) {
				r = check_text((const ProtobufCBinaryData *)at + k, why);
			} else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
				ProtobufCMessage *sub =
				    ((ProtobufCMessage *const *)at)[k];
				r = sub ? check_texts(sub, why) : 0;
			}
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static struct span
spec_image(const Runtime__V1__ImageSpec *spec)
{
	return spec ? span_data(spec->image) : span_of(NULL, 0);
}

static struct span
filter_image(const Runtime__V1__ImageFilter *filter)
{
	return spec_image(filter ? filter->image : NULL);
}

static void
read_pull(struct cri_request *r, const Runtime__V1__PullImageRequest *m)
{
	const Runtime__V1__AuthConfig *a = m->auth;

	r->image = spec_image(m->image);
	if (a)
		r->auth = (struct cri_auth){.given = true,
		    .username = span_data(a->username),
		    .password = span_data(a->password),
		    .auth = span_data(a->auth),
		    .server_address = span_data(a->server_address),
		    .identity_token = span_data(a->identity_token),
		    .registry_token = span_data(a->registry_token)};
	if (m->sandbox_config && m->sandbox_config->metadata) {
		r->namespace = span_data(m->sandbox_config->metadata->namespace_);
		r->pod = span_data(m->sandbox_config->metadata->name);
	}
}

static void
read_request(enum cri_kind kind, struct cri_request *r)
{
	const void *m = r->message;

	if (kind == CRI_LIST_IMAGES) {
		r->image =
		    filter_image(((const Runtime__V1__ListImagesRequest *)m)->filter);
	} else if (kind == CRI_STREAM_IMAGES) {
		r->image =
		    filter_image(((const Runtime__V1__StreamImagesRequest *)m)->filter);
	} else if (kind == CRI_IMAGE_STATUS) {
		const Runtime__V1__ImageStatusRequest *status = m;
		r->image = spec_image(status->image);
		r->verbose = status->verbose;
	} else if (kind == CRI_PULL_IMAGE) {
		read_pull(r, m);
	} else if (kind == CRI_REMOVE_IMAGE) {
		r->image =
		    spec_image(((const Runtime__V1__RemoveImageRequest *)m)->image);
	}
}

int
cri_decode(
    enum cri_kind kind, struct span bytes, struct cri_request *out, const char **why)
{
	ProtobufCAllocator allocator = {piece_take, piece_free, out};
	static const uint8_t nothing;

	*out = (struct cri_request){0};
	out->cap = LIMIT_PROTOBUF_FACTOR * bytes.n + LIMIT_PROTOBUF_BASE;
	out->message = protobuf_c_message_unpack(
	    descriptor(kind), &allocator, bytes.n, bytes.n ? bytes.p : &nothing);
	if (!out->message) {
		*why = out->refused ? "the request takes too much memory when decoded"
				    : "the request is no message of its kind";
		return out->refused ? -ENOMEM : -EPROTO;
	}
	int r = check_texts(out->message, why);
	if (r < 0)
		cri_request_free(out);
	else
		read_request(kind, out);
	return r;
}

void
cri_request_free(struct cri_request *r)
{
	ProtobufCAllocator allocator = {piece_take, piece_free, r};

	if (r->message)
		protobuf_c_message_free_unpacked(r->message, &allocator);
	*r = (struct cri_request){0};
}

/* ---- encoding ---- */

static ProtobufCBinaryData
data(struct span s)
{
	return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static ProtobufCBinaryData
data_str(const char *s)
{
	return data(span_str(s));
}

static struct blob *
pack_blob(const ProtobufCMessage *m)
{
	struct blob *b = blob_new(protobuf_c_message_get_packed_size(m));

	if (b)
		protobuf_c_message_pack(m, b->bytes);
	return b;
}

/* Everything an image's message points to, in one allocation. */
struct image_message {
	Runtime__V1__Image image;
	Runtime__V1__Int64Value uid;
	Runtime__V1__ImageSpec spec;
	Runtime__V1__Entry *entries, **entry_list;
	ProtobufCBinaryData *texts;
};

static void
set_annotations(struct image_message *m, struct span packed)
{
	struct span key, value;
	size_t n = 0;

	while (pairs_next(&packed, &key, &value)) {
		if (!span_is_text(key) || !span_is_text(value))
			continue;
		runtime__v1__entry__init(&m->entries[n]);
		m->entries[n].key = data(key);
		m->entries[n].value = data(value);
		m->entry_list[n] = &m->entries[n];
		n++;
	}
	m->spec.annotations = m->entry_list;
	m->spec.n_annotations = n;
}

static void
set_texts(struct image_message *m, const struct cri_image *from)
{
	for (size_t i = 0; i < from->n_tags; i++)
		m->texts[i] = data(from->tags[i]);
	for (size_t i = 0; i < from->n_digests; i++)
		m->texts[from->n_tags + i] = data(from->digests[i]);
	m->image.n_repo_tags = from->n_tags;
	m->image.repo_tags = m->texts;
	m->image.n_repo_digests = from->n_digests;
	m->image.repo_digests = m->texts + from->n_tags;
}

static struct image_message *
image_message_new(const struct cri_image *from)
{
	size_t texts = from->n_tags + from->n_digests;
	size_t entries = from->with_spec ? from->annotations.n / 8 : 0; /* at most */
	struct image_message *m =
	    calloc(1, sizeof(*m) + texts * sizeof(m->texts[0]) +
			  entries * (sizeof(m->entries[0]) + sizeof(m->entry_list[0])));

	if (!m)
		return NULL;
	m->entries = (Runtime__V1__Entry *)(m + 1);
	m->entry_list = (Runtime__V1__Entry **)(m->entries + entries);
	m->texts = (ProtobufCBinaryData *)(m->entry_list + entries);
	runtime__v1__image__init(&m->image);
	runtime__v1__int64_value__init(&m->uid);
	runtime__v1__image_spec__init(&m->spec);
	m->image.id = data(from->id);
	set_texts(m, from);
	m->image.size = from->size;
	m->image.username = data(from->username);
	m->image.pinned = from->pinned;
	if (from->has_uid) {
		m->uid.value = from->uid;
		m->image.uid = &m->uid;
	}
	if (from->with_spec) {
		set_annotations(m, from->annotations);
		m->image.spec = &m->spec;
	}
	return m;
}

int
cri_pack_image(const struct cri_image *image, uint8_t **bytes, size_t *n)
{
	Runtime__V1__ListImagesResponse list = RUNTIME__V1__LIST_IMAGES_RESPONSE__INIT;
	CLEANUP(free_ptr) struct image_message *m = image_message_new(image);

	if (!m)
		return -ENOMEM;
	Runtime__V1__Image *one = &m->image;
	list.images = &one;
	list.n_images = 1;
	*n = protobuf_c_message_get_packed_size(&list.base);
	*bytes = malloc(*n);
	if (!*bytes)
		return -ENOMEM;
	protobuf_c_message_pack(&list.base, *bytes);
	return 0;
}

struct blob *
cri_pack_status(const struct cri_image *image, struct span info)
{
	Runtime__V1__ImageStatusResponse status =
	    RUNTIME__V1__IMAGE_STATUS_RESPONSE__INIT;
	Runtime__V1__Entry entry = RUNTIME__V1__ENTRY__INIT, *list = &entry;
	CLEANUP(free_ptr) struct image_message *m = NULL;

	if (image) {
		m = image_message_new(image);
		if (!m)
			return NULL;
		status.image = &m->image;
	}
	if (info.n) {
		entry.key = data_str("info");
		entry.value = data(info);
		status.info = &list;
		status.n_info = 1;
	}
	return pack_blob(&status.base);
}

struct blob *
cri_pack_pulled(struct span image_ref)
{
	Runtime__V1__PullImageResponse m = RUNTIME__V1__PULL_IMAGE_RESPONSE__INIT;

	m.image_ref = data(image_ref);
	return pack_blob(&m.base);
}

struct blob *
cri_pack_empty(void)
{
	return blob_new(0);
}

struct blob *
cri_pack_version(void)
{
	Runtime__V1__VersionResponse m = RUNTIME__V1__VERSION_RESPONSE__INIT;

	m.version =
	    data_str("0.1.0"); /* kubelet's own API, whose version nobody counts */
	m.runtime_name = data_str("bulkhead");
	m.runtime_version = data_str(BULKHEAD_VERSION);
	m.runtime_api_version = data_str("v1");
	return pack_blob(&m.base);
}

struct blob *
cri_pack_fs_info(
    int64_t nanoseconds, struct span mountpoint, uint64_t bytes, uint64_t inodes)
{
	Runtime__V1__ImageFsInfoResponse m = RUNTIME__V1__IMAGE_FS_INFO_RESPONSE__INIT;
	Runtime__V1__FilesystemUsage usage = RUNTIME__V1__FILESYSTEM_USAGE__INIT;
	Runtime__V1__FilesystemIdentifier id = RUNTIME__V1__FILESYSTEM_IDENTIFIER__INIT;
	Runtime__V1__UInt64Value used = RUNTIME__V1__UINT64_VALUE__INIT;
	Runtime__V1__UInt64Value inodes_used = RUNTIME__V1__UINT64_VALUE__INIT;
	Runtime__V1__FilesystemUsage *one = &usage;

	id.mountpoint = data(mountpoint);
	used.value = bytes;
	inodes_used.value = inodes;
	usage.timestamp = nanoseconds;
	usage.fs_id = &id;
	usage.used_bytes = &used;
	usage.inodes_used = &inodes_used;
	m.n_image_filesystems = 1;
	m.image_filesystems = &one;
	m.n_container_filesystems = 1; /* the containers lie beside the images */
	m.container_filesystems = &one;
	return pack_blob(&m.base);
}
