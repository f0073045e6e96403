#include "common/base/limits.h"
#include "worker-fetch/inflate/inflate.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zstd.h>

#include <cmocka.h>

struct buf {
	uint8_t *p;
	size_t n, cap;
};

static void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}
#define BUF CLEANUP(buf_free) struct buf

static void
add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (b->n + n > b->cap) {
		b->cap = 2 * b->cap + n;
		b->p = realloc(b->p, b->cap);
		assert_non_null(b->p);
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}
#define ADD(b, text) add(b, text, sizeof(text) - 1)

/* Compressible, but not trivially. */
static void
add_sample(struct buf *b, size_t n)
{
	unsigned seed = 7;
	uint8_t c = 0;

	for (size_t i = 0; i < n; i++) {
		if (rand_r(&seed) % 5 == 0)
			c = (uint8_t)(rand_r(&seed) % 90);
		add(b, &c, 1);
	}
}

static void
add_gzip(struct buf *to, struct buf from, int wrapper)
{
	struct isal_zstream z;
	uint8_t level[ISAL_DEF_LVL1_DEFAULT];
	size_t cap = from.n + from.n / 8 + 1024;
	CLEANUP(free_ptr) uint8_t *out = malloc(cap);

	assert_non_null(out);
	isal_deflate_init(&z);
	z.level = 1;
	z.level_buf = level;
	z.level_buf_size = sizeof(level);
	z.end_of_stream = 1;
	z.flush = NO_FLUSH;
	z.gzip_flag = (uint16_t)wrapper;
	z.next_in = from.p;
	z.avail_in = (uint32_t)from.n;
	z.next_out = out;
	z.avail_out = (uint32_t)cap;
	assert_int_equal(isal_deflate(&z), COMP_OK);
	assert_int_equal(z.internal_state.state, ZSTATE_END);
	add(to, out, cap - z.avail_out);
}

static void
add_zstd(struct buf *to, struct buf from, bool checksum)
{
	size_t cap = ZSTD_compressBound(from.n);
	CLEANUP(free_ptr) uint8_t *out = malloc(cap);
	ZSTD_CCtx *c = ZSTD_createCCtx();

	assert_true(out && c);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
	size_t n = ZSTD_compress2(c, out, cap, from.p, from.n);
	assert_false(ZSTD_isError(n));
	ZSTD_freeCCtx(c);
	add(to, out, n);
}

static int
feed(struct inflate *s, struct span in, size_t in_piece, uint8_t *room, size_t out_piece,
    struct buf *out, struct err *e)
{
	for (;;) {
		size_t take = in.n < in_piece ? in.n : in_piece;
		struct span piece = span_of(in.p, take);
		ssize_t n = inflate_step(s, &piece, room, out_piece, e);
		if (n < 0)
			return (int)n;
		assert_true((size_t)n <= out_piece);
		add(out, room, (size_t)n);
		if (n == 0 && piece.n == take && in.n == 0)
			return inflate_end(s, e);
		assert_true(n > 0 || piece.n < take);
		in = span_from(in, take - piece.n);
	}
}

/* The whole stream in pieces of these sizes; output goes through a block of exact size.
 */
static int
run(enum inflate_format f, struct span in, size_t in_piece, size_t out_piece,
    struct buf *out, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *room = malloc(out_piece);
	struct inflate *s;

	assert_non_null(room);
	assert_int_equal(inflate_new(&s, f), 0);
	int r = feed(s, in, in_piece, room, out_piece, out, e);
	inflate_free(s);
	assert_true(r == 0 || (r < 0 && e->code != ERR_OK && e->text[0]));
	return r;
}

static int
verdict(enum inflate_format f, const void *p, size_t n)
{
	BUF out = {0};
	struct err e = {0};

	return run(f, span_of(p, n), 4096, 4096, &out, &e);
}

static void
expect(enum inflate_format f, struct buf in, struct buf want)
{
	BUF out = {0};
	struct err e = {0};
	int r = run(f, span_of(in.p, in.n), 1000, 3000, &out, &e);

	if (r < 0)
		print_error("%s\n", e.text);
	assert_int_equal(r, 0);
	assert_int_equal(out.n, want.n);
	assert_true(out.n == 0 || memcmp(out.p, want.p, out.n) == 0);
}

static void
expect_refused(enum inflate_format f, struct buf in, const char *why)
{
	BUF out = {0};
	struct err e = {0};

	assert_true(run(f, span_of(in.p, in.n), SIZE_MAX, 65536, &out, &e) < 0);
	assert_int_equal(e.code, ERR_CONTENT);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" lacks \"%s\"", e.text, why);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 100, 65535, 65536, 65537, 1000000};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		BUF plain = {0}, gz = {0}, zs = {0};
		add_sample(&plain, sizes[i]);
		add_gzip(&gz, plain, IGZIP_GZIP);
		add_zstd(&zs, plain, i % 2);
		expect(INFLATE_GZIP, gz, plain);
		expect(INFLATE_ZSTD, zs, plain);
	}
}

/* Three members or frames, one of them empty, cut into pieces of 199 sizes. */
static void
test_pieces(void **state)
{
	BUF plain = {0}, none = {0}, all = {0}, gz = {0}, zs = {0};

	add_sample(&plain, 9000);
	for (int i = 0; i < 2; i++) {
		add(&all, plain.p, plain.n);
		add_gzip(&gz, plain, IGZIP_GZIP);
		add_zstd(&zs, plain, true);
		if (i == 0) {
			add_gzip(&gz, none, IGZIP_GZIP);
			add_zstd(&zs, none, true);
		}
	}
	for (size_t piece = 1; piece < 200; piece++) {
		for (int f = 0; f < 2; f++) {
			struct buf in = f ? zs : gz;
			BUF out = {0};
			struct err e = {0};
			size_t room = piece % 3 == 0   ? 1
				      : piece % 3 == 1 ? 4096
						       : 200 - piece;
			int r = run(f ? INFLATE_ZSTD : INFLATE_GZIP, span_of(in.p, in.n),
			    piece, room, &out, &e);
			assert_int_equal(r, 0);
			assert_int_equal(out.n, all.n);
			assert_memory_equal(out.p, all.p, all.n);
		}
	}
}

static void
test_truncated_anywhere(void **state)
{
	BUF plain = {0}, gz = {0}, zs = {0};

	add_sample(&plain, 700);
	add_gzip(&gz, plain, IGZIP_GZIP);
	add_zstd(&zs, plain, true);
	for (size_t n = 0; n < gz.n; n++)
		assert_true(verdict(INFLATE_GZIP, gz.p, n) < 0);
	for (size_t n = 0; n < zs.n; n++)
		assert_true(verdict(INFLATE_ZSTD, zs.p, n) < 0);
	assert_int_equal(verdict(INFLATE_GZIP, gz.p, gz.n), 0);
	assert_int_equal(verdict(INFLATE_ZSTD, zs.p, zs.n), 0);
	/* in the second member: the first one does not save it */
	size_t one = gz.n, frame = zs.n;
	add_gzip(&gz, plain, IGZIP_GZIP);
	add_zstd(&zs, plain, true);
	for (size_t n = one + 1; n < gz.n; n++)
		assert_true(verdict(INFLATE_GZIP, gz.p, n) < 0);
	for (size_t n = frame + 1; n < zs.n; n++)
		assert_true(verdict(INFLATE_ZSTD, zs.p, n) < 0);
}

static void
test_after_the_end(void **state)
{
	static const char *const tails[] = {"\0", "\0\0\0\0\0\0\0\0", "x", "\x1f",
	    "\x1f\x8c", "\x1f\x8b\x07\0\0\0\0\0\0\3", "\x28\xb5\x2f"};
	static const size_t lengths[] = {1, 8, 1, 1, 2, 10, 3};

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		BUF plain = {0}, gz = {0}, zs = {0};
		add_sample(&plain, 300);
		add_gzip(&gz, plain, IGZIP_GZIP);
		add_zstd(&zs, plain, true);
		add(&gz, tails[i], lengths[i]);
		add(&zs, tails[i], lengths[i]);
		expect_refused(INFLATE_GZIP, gz, "gzip stream");
		expect_refused(INFLATE_ZSTD, zs, "zstd stream");
		for (size_t piece = 1; piece < 5; piece++) {
			BUF out = {0};
			struct err e = {0};
			assert_true(run(INFLATE_GZIP, span_of(gz.p, gz.n), piece, 100,
					&out, &e) < 0);
		}
	}
}

static void
test_gzip_damage(void **state)
{
	BUF plain = {0}, gz = {0};

	add_sample(&plain, 300);
	add_gzip(&gz, plain, IGZIP_GZIP);
	for (size_t i = 1; i <= 8; i++) { /* CRC and length */
		gz.p[gz.n - i] ^= 0x40;
		expect_refused(INFLATE_GZIP, gz, "checksum");
		gz.p[gz.n - i] ^= 0x40;
	}
	gz.p[2] = 7;
	expect_refused(INFLATE_GZIP, gz, "not deflate");
	gz.p[2] = 8;
	for (int bit = 5; bit < 8; bit++) {
		gz.p[3] = (uint8_t)(1 << bit);
		expect_refused(INFLATE_GZIP, gz, "reserved");
	}
	gz.p[3] = 0;
	gz.p[10] |= 6; /* block type 3 */
	expect_refused(INFLATE_GZIP, gz, "deflate");
}

/* Every optional part of a member's header, each string of 64 KiB. */
static void
test_gzip_header_fields(void **state)
{
	static const uint8_t flags[] = {0, 1, 4, 8, 16, 4 | 8, 8 | 16, 1 | 4 | 8 | 16};
	BUF plain = {0};

	add_sample(&plain, 300);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		BUF gz = {0}, tail = {0};
		uint8_t head[] = {0x1f, 0x8b, 8, flags[i], 0, 0, 0, 0, 0, 3};
		add(&gz, head, sizeof(head));
		if (flags[i] & 4) {
			ADD(&gz, "\xff\xff");
			for (int k = 0; k < 65535; k++)
				ADD(&gz, "e");
		}
		for (int field = 8; field <= 16; field *= 2) {
			for (int k = 0; (flags[i] & field) && k < 65535; k++)
				ADD(&gz, "n");
			if (flags[i] & field)
				ADD(&gz, "\0");
		}
		add_gzip(&tail, plain, IGZIP_GZIP);
		add(&gz, tail.p + 10, tail.n - 10);
		expect(INFLATE_GZIP, gz, plain);
	}
}

/* The header's own checksum (FHCRC), right and wrong. */
static void
test_gzip_header_checksum(void **state)
{
	BUF plain = {0}, gz = {0}, tail = {0};
	const uint8_t head[] = {0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 3};
	uint32_t crc = crc32_gzip_refl(0, head, sizeof(head));

	add_sample(&plain, 300);
	add_gzip(&tail, plain, IGZIP_GZIP);
	add(&gz, head, sizeof(head));
	add(&gz, (uint8_t[]){(uint8_t)crc, (uint8_t)(crc >> 8)}, 2);
	add(&gz, tail.p + 10, tail.n - 10);
	expect(INFLATE_GZIP, gz, plain);
	gz.p[10] ^= 1;
	expect_refused(INFLATE_GZIP, gz, "checksum");
}

static void
test_media_type_must_agree(void **state)
{
	static const struct {
		enum inflate_format format;
		const char *bytes;
		size_t n;
		const char *why;
	} rows[] = {
	    {INFLATE_GZIP, "BZh91AY&SY", 10,
		"its bytes are bzip2, which is not supported"},
	    {INFLATE_ZSTD, "BZh91AY&SY", 10,
		"its bytes are bzip2, which is not supported"},
	    {INFLATE_GZIP, "\xfd\x37zXZ\0\0\4", 8,
		"its bytes are xz, which is not supported"},
	    {INFLATE_GZIP, "\x5d\0\0\x80\0\xff\xff", 7, "its bytes are lzma"},
	    {INFLATE_GZIP, "\x04\x22\x4d\x18\x64\x40", 6, "its bytes are lz4"},
	    {INFLATE_GZIP, "\x1f\x9d\x90\x42\x42\x42", 6, "its bytes are compress"},
	    {INFLATE_GZIP, "\x28\xb5\x2f\xfd\x20\0\1\0\0", 9,
		"says gzip, its bytes are zstd"},
	    {INFLATE_ZSTD, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10,
		"says zstd, its bytes are gzip"},
	    {INFLATE_GZIP, "etc/passwd\0\0\0", 13, "not gzip (they begin with 6574632f)"},
	    {INFLATE_ZSTD, "\x51\x2a\x4d\x19\0\0\0\0", 8, "not zstd"},
	    {INFLATE_GZIP, "", 0, "only 0 bytes"},
	    {INFLATE_ZSTD, "", 0, "only 0 bytes"},
	    {INFLATE_GZIP, "\x1f\x8b\x08", 3, "only 3 bytes"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		BUF in = {0};
		add(&in, rows[i].bytes, rows[i].n);
		expect_refused(rows[i].format, in, rows[i].why);
	}
	struct inflate *s;
	assert_int_equal(inflate_new(&s, (enum inflate_format)2), -22);
}

static void
test_zstd_skippable(void **state)
{
	BUF plain = {0}, both = {0}, zs = {0}, alone = {0};

	add_sample(&plain, 5000);
	ADD(&zs, "\x50\x2a\x4d\x18\3\0\0\0abc");
	add_zstd(&zs, plain, true);
	ADD(&zs, "\x5f\x2a\x4d\x18\0\0\0\0");
	add_zstd(&zs, plain, false);
	ADD(&zs, "\x5a\x2a\x4d\x18\2\0\0\0zz");
	add(&both, plain.p, plain.n);
	add(&both, plain.p, plain.n);
	expect(INFLATE_ZSTD, zs, both);
	for (size_t n = zs.n - 9; n < zs.n; n++)
		assert_true(verdict(INFLATE_ZSTD, zs.p, n) < 0);
	ADD(&alone, "\x50\x2a\x4d\x18\3\0\0\0abc");
	expect(INFLATE_ZSTD, alone, (struct buf){0});
	/* promises 4 GiB of nothing */
	BUF huge = {0};
	ADD(&huge, "\x50\x2a\x4d\x18\xff\xff\xff\xff"
		   "abc");
	expect_refused(INFLATE_ZSTD, huge, "middle of a frame");
}

/* A frame with the given header and one last raw block of one byte. */
static void
zstd_frame(struct buf *b, const void *header, size_t n)
{
	ADD(b, "\x28\xb5\x2f\xfd");
	add(b, header, n);
	ADD(b, "\x09\0\0x");
}

static void
test_zstd_window(void **state)
{
	struct buf x = {.p = (uint8_t *)"x", .n = 1};
	BUF at = {0}, above = {0}, double_ = {0}, most = {0}, single = {0};

	zstd_frame(&at, "\x00\x88", 2); /* 2^27 */
	expect(INFLATE_ZSTD, at, x);
	zstd_frame(&above, "\x00\x89", 2); /* 2^27 + 2^24 */
	expect_refused(INFLATE_ZSTD, above, "window larger than 2^27");
	zstd_frame(&double_, "\x00\x90", 2); /* 2^28 */
	expect_refused(INFLATE_ZSTD, double_, "window larger than 2^27");
	zstd_frame(&most, "\x00\xff", 2);
	expect_refused(INFLATE_ZSTD, most, "window larger than 2^27");
	/* a single segment: the content size, 2^27 and one more, is the window */
	zstd_frame(&single, "\xa0\x01\0\0\x08", 5);
	expect_refused(INFLATE_ZSTD, single, "window larger than 2^27");
	single.p[5] = 0;
	expect_refused(
	    INFLATE_ZSTD, single, "damaged"); /* promised 2^27 bytes, brought one */
}

static void
test_zstd_refusals(void **state)
{
	BUF dict = {0}, huge = {0}, reserved = {0}, sum = {0}, plain = {0};

	zstd_frame(&dict, "\x01\x00\x05", 3);
	expect_refused(INFLATE_ZSTD, dict, "dictionary");
	/* a content size of 2^60 with a small window allocates nothing for it */
	zstd_frame(&huge, "\xc0\x00\0\0\0\0\0\0\0\x10", 10);
	expect_refused(INFLATE_ZSTD, huge, "damaged");
	zstd_frame(&reserved, "\x08\x00", 2);
	expect_refused(INFLATE_ZSTD, reserved, "zstd stream");
	add_sample(&plain, 1000);
	add_zstd(&sum, plain, true);
	sum.p[sum.n - 1] ^= 1;
	expect_refused(INFLATE_ZSTD, sum, "checksum");
}

/* A bomb runs through a small buffer; who asked counts the bytes and stops. */
static void
test_bombs_stay_bounded(void **state)
{
	BUF zeros = {0}, gz = {0}, zs = {0};
	static uint8_t room[1 << 16];
	struct err e = {0};

	zeros.p = calloc(1, 64 << 20);
	zeros.n = 64 << 20;
	assert_non_null(zeros.p);
	add_gzip(&gz, zeros, IGZIP_GZIP);
	add_zstd(&zs, zeros, true);
	for (int f = 0; f < 2; f++) {
		struct span in = f ? span_of(zs.p, zs.n) : span_of(gz.p, gz.n);
		struct inflate *s;
		uint64_t total = 0;
		ssize_t n;
		assert_int_equal(inflate_new(&s, f ? INFLATE_ZSTD : INFLATE_GZIP), 0);
		while ((n = inflate_step(s, &in, room, sizeof(room), &e)) > 0) {
			assert_true((size_t)n <= sizeof(room));
			total += (uint64_t)n;
		}
		assert_int_equal(n, 0);
		assert_int_equal(inflate_end(s, &e), 0);
		assert_int_equal(total, 64 << 20);
		inflate_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_truncated_anywhere),
	    cmocka_unit_test(test_after_the_end),
	    cmocka_unit_test(test_gzip_damage),
	    cmocka_unit_test(test_gzip_header_fields),
	    cmocka_unit_test(test_gzip_header_checksum),
	    cmocka_unit_test(test_media_type_must_agree),
	    cmocka_unit_test(test_zstd_skippable),
	    cmocka_unit_test(test_zstd_window),
	    cmocka_unit_test(test_zstd_refusals),
	    cmocka_unit_test(test_bombs_stay_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
