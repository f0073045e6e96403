/* Every row of the message table: what must pass passes and comes back the same, and
 * every single deviation is refused. msgpack-c's own unpacker is the oracle for the
 * encoding. */
#include "common/base/err.h"
#include "tests/ipc/sample.h"

#include <errno.h>
#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t packet[2 * LIMIT_PACKET];

static bool
oracle_reads(const uint8_t *p, size_t n)
{
	msgpack_unpacked u;
	size_t off = 0;

	msgpack_unpacked_init(&u);
	bool ok =
	    msgpack_unpack_next(&u, (const char *)p, n, &off) == MSGPACK_UNPACK_SUCCESS &&
	    off == n && u.data.type == MSGPACK_OBJECT_ARRAY &&
	    u.data.via.array.size == 2 &&
	    u.data.via.array.ptr[1].type == MSGPACK_OBJECT_MAP;
	msgpack_unpacked_destroy(&u);
	return ok;
}

static bool
decodes(const uint8_t *p, size_t n)
{
	struct ipc_msg m = {0};
	const char *why = NULL;
	/* an exact copy, so that a sanitizer sees a read past the end */
	uint8_t *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	memcpy(exact, p, n);
	int r = ipc_decode(span_of(exact, n), &m, &why);
	free(exact);
	assert_true(r == 0 || (r == -EPROTO && why));
	return r == 0;
}

static ssize_t
encode(const struct ipc_row *row, enum sample how)
{
	struct ipc_msg m;

	sample_fill(row, how, &m);
	return ipc_encode(&m, packet, sizeof(packet));
}

static void
each_row_round_trips(void **state)
{
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t i = 0; i < n; i++) {
		for (int how = SAMPLE_EMPTY; how <= SAMPLE_FULL; how++) {
			struct ipc_msg m = {0};
			const char *why = NULL;
			uint8_t again[LIMIT_PACKET];
			ssize_t len = encode(&rows[i], how);
			if (len <= 0)
				fail_msg("%s: cannot encode (%zd)", rows[i].name, len);
			assert_true(oracle_reads(packet, (size_t)len));
			if (ipc_decode(span_of(packet, (size_t)len), &m, &why) < 0)
				fail_msg("%s: %s", rows[i].name, why);
			assert_int_equal(m.type, rows[i].type);
			assert_int_equal(ipc_encode(&m, again, sizeof(again)), len);
			assert_memory_equal(again, packet, (size_t)len);
		}
	}
}

static void
each_row_refuses_a_cut_or_a_surplus(void **state)
{
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t i = 0; i < n; i++) {
		ssize_t len = encode(&rows[i], SAMPLE_SOME);
		for (ssize_t cut = 0; cut < len; cut++)
			assert_false(decodes(packet, (size_t)cut));
		packet[len] = 0;
		assert_false(decodes(packet, (size_t)len + 1));
	}
}

/* Where field i starts in the encoding of a sample: by encoding a row with fewer fields.
 */
static size_t
field_offset(const struct ipc_row *row, unsigned i, enum sample how)
{
	struct ipc_msg m;
	struct ipc_row cut = *row;
	size_t at = 0;
	msgpack_unpacked u;

	sample_fill(row, how, &m);
	ssize_t len = ipc_encode(&m, packet, sizeof(packet));
	assert_true(len > 0);
	/* header: array(2), id (1 or 2 bytes), map count (1 byte: at most 15 fields) */
	at = 1 + (cut.type < 0x80 ? 1 : 2) + 1;
	msgpack_unpacked_init(&u);
	for (unsigned k = 0; k < 2 * i; k++)
		msgpack_unpack_next(&u, (const char *)packet, (size_t)len, &at);
	msgpack_unpacked_destroy(&u);
	return at;
}

static void
each_field_refuses_missing_twice_unknown_and_wrong_kind(void **state)
{
	static const uint8_t nil = 0xc0, never = 0xc1, flt = 0xca;
	uint8_t bad[2 * LIMIT_PACKET];
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t r = 0; r < n; r++) {
		for (unsigned i = 0; i < rows[r].nfields; i++) {
			size_t head = field_offset(&rows[r], 0, SAMPLE_SOME) - 1;
			size_t at = field_offset(&rows[r], i, SAMPLE_SOME);
			size_t end = field_offset(&rows[r], i + 1, SAMPLE_SOME);
			size_t len = (size_t)encode(&rows[r], SAMPLE_SOME);

			/* missing: left out and counted out */
			memcpy(bad, packet, len);
			memmove(bad + at, bad + end, len - end);
			bad[head]--;
			assert_false(decodes(bad, len - (end - at)));
			/* twice */
			memcpy(bad, packet, end);
			memcpy(bad + end, packet + at, end - at);
			memcpy(bad + end + (end - at), packet + end, len - end);
			bad[head]++;
			assert_false(decodes(bad, len + (end - at)));
			/* another key */
			memcpy(bad, packet, len);
			bad[at] = 0x7f;
			assert_false(decodes(bad, len));
			/* other kinds */
			for (int k = 0; k < 3; k++) {
				memcpy(bad, packet, len);
				bad[at + 1] = k == 0 ? nil : k == 1 ? never : flt;
				assert_false(decodes(bad, len));
			}
		}
	}
}

static void
each_limit_holds_at_n_and_not_at_n_plus_1(void **state)
{
	static uint8_t bytes[LIMIT_PACKET];
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	memset(bytes, 'y', sizeof(bytes));
	for (size_t r = 0; r < n; r++) {
		const struct ipc_field *f = rows[r].fields();
		for (unsigned i = 0; i < rows[r].nfields; i++) {
			struct ipc_msg m;
			sample_fill(&rows[r], SAMPLE_SOME, &m);
			uint8_t *at = (uint8_t *)&m.hello + f[i].offset;
			struct span over = {bytes, f[i].limit + 1};
			uint64_t u = f[i].limit + 1;
			uint32_t count = (uint32_t)u;
			if (f[i].kind == IPC_U && f[i].limit != UINT64_MAX)
				memcpy(at, &u, sizeof(u));
			else if (f[i].kind == IPC_V || f[i].kind == IPC_T)
				memcpy(at, &over, sizeof(over));
			else if (f[i].kind == IPC_L)
				memcpy(at, &count, sizeof(count));
			else
				continue;
			assert_int_equal(ipc_encode(&m, packet, sizeof(packet)), -EINVAL);
		}
	}
}

/* The same over-limit values on the wire, past an encoder that would not have written
 * them. */
static void
the_decoder_checks_limits_itself(void **state)
{
	/* want{room=32,...}: limit 31 */
	uint8_t want[] = {0x92, 0x03, 0x85, 1, 32, 2, 0, 3, 0, 4, 0, 5, 0};
	assert_false(decodes(want, sizeof(want)));
	want[4] = 31;
	assert_true(decodes(want, sizeof(want)));
	/* not the shortest form */
	uint8_t fat[] = {0x92, 0x03, 0x85, 1, 0xcc, 31, 2, 0, 3, 0, 4, 0, 5, 0};
	assert_false(decodes(fat, sizeof(fat)));
	/* a claim of 4 G entries in five bytes costs nothing and is refused */
	uint8_t bomb[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
	assert_false(decodes(bomb, sizeof(bomb)));
	uint8_t deep[] = {0x92, 0x03, 0xdf, 0xff, 0xff, 0xff, 0xff};
	assert_false(decodes(deep, sizeof(deep)));
	/* text: NUL, broken UTF-8, binary instead of text */
	uint8_t log[] = {0x92, 0x02, 0x83, 1, 3, 2, 0, 3, 0xa2, 'o', 'k'};
	assert_true(decodes(log, sizeof(log)));
	log[9] = 0;
	assert_false(decodes(log, sizeof(log)));
	log[9] = 0xc0;
	assert_false(decodes(log, sizeof(log)));
	uint8_t bin[] = {0x92, 0x02, 0x83, 1, 3, 2, 0, 3, 0xc4, 2, 'o', 'k'};
	assert_false(decodes(bin, sizeof(bin)));
	/* ids that are none */
	uint8_t unknown[] = {0x92, 0x7e, 0x80};
	assert_false(decodes(unknown, sizeof(unknown)));
}

static void
flipped_bits_never_decode_to_another_encoding(void **state)
{
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t r = 0; r < n; r++) {
		size_t len = (size_t)encode(&rows[r], SAMPLE_SOME);
		for (size_t bit = 0; bit < len * 8; bit++) {
			struct ipc_msg m = {0};
			const char *why;
			uint8_t again[LIMIT_PACKET];
			packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			if (ipc_decode(span_of(packet, len), &m, &why) == 0) {
				/* accepted: then it is the one encoding of what it says
				 */
				assert_int_equal(
				    ipc_encode(&m, again, sizeof(again)), len);
				assert_memory_equal(again, packet, len);
			}
			packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
	}
}

static void
the_table_is_sound(void **state)
{
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t i = 0; i < n; i++) {
		const struct ipc_field *f = rows[i].fields();
		assert_true(rows[i].type > 0 && rows[i].type < 256);
		assert_true(
		    rows[i].cap <= LIMIT_PACKET && rows[i].fds <= LIMIT_MESSAGE_FDS);
		assert_true(rows[i].nfields <= 15);
		assert_true(rows[i].phases & (IPC_START | IPC_RUN));
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(rows[i].type, rows[k].type);
		for (unsigned k = 0; k < rows[i].nfields; k++)
			assert_int_equal(f[k].key, k + 1);
		/* a message whose fields are all full fits its cap: no field limit is a
		 * lie */
		if (encode(&rows[i], SAMPLE_FULL) < 0)
			fail_msg("%s: full fields exceed the cap", rows[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table_is_sound),
	    cmocka_unit_test(each_row_round_trips),
	    cmocka_unit_test(each_row_refuses_a_cut_or_a_surplus),
	    cmocka_unit_test(each_field_refuses_missing_twice_unknown_and_wrong_kind),
	    cmocka_unit_test(each_limit_holds_at_n_and_not_at_n_plus_1),
	    cmocka_unit_test(the_decoder_checks_limits_itself),
	    cmocka_unit_test(flipped_bits_never_decode_to_another_encoding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
