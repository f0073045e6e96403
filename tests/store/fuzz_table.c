/* The first byte chooses the kind. What parses, prints to text that parses to the same
 * records. */
#include "worker-store/store/image.h"
#include "worker-store/store/layer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
use_image(const struct record *r)
{
	uint8_t digests[4][DIGEST_BYTES];
	struct name_iter it = image_names(r);
	struct buf b = {0};
	int64_t size;

	while (name_next(&it))
		require(it.text[0]);
	(void)image_digests(r, digests, 4);
	(void)image_item_size(r, "manifest", &size);
	(void)image_manifests(r->keys);
	if (image_add_name(&b, r, "docker.io/library/x:y", NULL) == 0) {
		struct span v;
		require(json_check(buf_span(&b), &v) == 0);
	}
	buf_free(&b);
}

static void
use_layer(const struct record *r)
{
	struct access a = {.proof = {1}};
	struct buf b = {0};
	struct span v;

	access_add(&b, r->flags, &a);
	require(json_check(buf_span(&b), &v) == 0 && access_has(v, &a));
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct table t, again;
	struct buf b = {0}, c = {0};

	if (size == 0)
		return 0;
	enum table_kind kind = (enum table_kind)(data[0] & 3);
	if (table_parse(&t, kind, span_of(data + 1, size - 1), "fuzz", NULL) < 0)
		return 0;
	for (size_t i = 0; i < t.n; i++) {
		require(table_find(&t, t.rec[i].id) == &t.rec[i]);
		if (kind == TABLE_IMAGES)
			use_image(&t.rec[i]);
		if (kind == TABLE_LAYERS)
			use_layer(&t.rec[i]);
	}
	table_print(&t, &b);
	require(table_parse(&again, kind, buf_span(&b), "again", NULL) == 0);
	require(again.n == t.n);
	table_print(&again, &c);
	require(span_eq(buf_span(&b), buf_span(&c)));
	table_free(&t);
	table_free(&again);
	buf_free(&b);
	buf_free(&c);
	return 0;
}
