// SPDX-License-Identifier: GPL-2.0-only
/*
 * pr_wire.c: the bytes, and what is refused (rules 5.6 and 5.7). Buffers that a decoder gets are
 * heap blocks of exactly their length, so that the address sanitizer sees
 * each byte read too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "pr_wire.h"

#define COUNT_OF(array)		(sizeof(array) / sizeof((array)[0]))

/* A copy that ends where its last byte ends; freed by the next call. */
static const u8 *exact(const void *data, size_t len)
{
	static u8 *copy;

	free(copy);
	copy = NULL;
	if (!data)
		return NULL;
	copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, data, len);
	return copy;
}

static int teardown(void **state)
{
	(void)state;
	exact(NULL, 0);
	return 0;
}

static void be(u8 *p, u64 value, unsigned int bytes)
{
	while (bytes--) {
		p[bytes] = (u8)value;
		value >>= 8;
	}
}

/* Encoding */

static void cdb_bytes(void **state)
{
	static const struct {
		enum pr_action action;
		u8 type;
		u32 len;
		u8 cdb[PR_CDB_LEN];
	} rows[] = {
		{ PR_ACT_READ_KEYS, 5, 1024, { 0x5e, 0, 0, 0, 0, 0, 0, 4, 0, 0 } },
		{ PR_ACT_READ_RESERVATION, 5, 24, { 0x5e, 1, 0, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_REPORT_CAPABILITIES, 0, 8, { 0x5e, 2, 0, 0, 0, 0, 0, 0, 8, 0 } },
		{ PR_ACT_READ_FULL_STATUS, 0, 65528, { 0x5e, 3, 0, 0, 0, 0, 0, 0xff, 0xf8, 0 } },
		{ PR_ACT_READ_KEYS, 0, 65536, { 0x5e, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0 } },
		{ PR_ACT_READ_KEYS, 0, 0xffffffff, { 0x5e, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0 } },
		{ PR_ACT_REGISTER, 5, 24, { 0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_RESERVE, 5, 24, { 0x5f, 1, 5, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_RELEASE, 8, 24, { 0x5f, 2, 8, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_CLEAR, 5, 24, { 0x5f, 3, 0, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_PREEMPT, 7, 24, { 0x5f, 4, 7, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_PREEMPT_ABORT, 6, 24, { 0x5f, 5, 6, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_REGISTER_IGNORE, 5, 24, { 0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0 } },
		/* a raw type keeps out of the scope */
		{ PR_ACT_RELEASE, 0xf1, 24, { 0x5f, 2, 1, 0, 0, 0, 0, 0, 24, 0 } },
		{ PR_ACT_RESERVE, 5, 0x01020304, { 0x5f, 1, 5, 0, 0, 1, 2, 3, 4, 0 } },
		{ PR_ACT_COUNT, 5, 24, { 0 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		u8 cdb[PR_CDB_LEN];

		memset(cdb, 0xee, sizeof(cdb));
		pr_encode_cdb(cdb, rows[i].action, rows[i].type, rows[i].len);
		assert_memory_equal(cdb, rows[i].cdb, sizeof(cdb));
	}
}

static void out_bytes(void **state)
{
	static const u8 want[PR_OUT_LEN] = {
		1, 2, 3, 4, 5, 6, 7, 8, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
	};
	u8 list[PR_OUT_LEN];
	u8 aptpl[PR_OUT_LEN];

	(void)state;
	memset(list, 0xee, sizeof(list));
	pr_encode_out(list, 0x0102030405060708, 0xf1f2f3f4f5f6f7f8, false);
	assert_memory_equal(list, want, sizeof(list));

	memcpy(aptpl, want, sizeof(aptpl));
	aptpl[20] = 1;
	pr_encode_out(list, 0x0102030405060708, 0xf1f2f3f4f5f6f7f8, true);
	assert_memory_equal(list, aptpl, sizeof(list));
}

static void names(void **state)
{
	unsigned int i, j;

	(void)state;
	for (i = 0; i < PR_ACT_COUNT; i++) {
		assert_non_null(pr_action_name(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(pr_action_name(i), pr_action_name(j));
	}
	for (i = 0; i < PR_CLASS_COUNT; i++) {
		assert_non_null(pr_class_name(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(pr_class_name(i), pr_class_name(j));
	}
	assert_string_equal(pr_action_name(PR_ACT_READ_KEYS), "READ KEYS");
	assert_string_equal(pr_action_name(PR_ACT_PREEMPT_ABORT), "PREEMPT AND ABORT");
	assert_string_equal(pr_action_name(PR_ACT_COUNT), "UNKNOWN");
	assert_string_equal(pr_class_name(PR_GOOD), "good");
	assert_string_equal(pr_class_name(PR_CLASS_COUNT), "unknown");
	assert_string_equal(pr_type_name(5), "write-exclusive-registrants-only");
	assert_string_equal(pr_type_name(8), "exclusive-access-all-registrants");
	for (i = 0; i < 256; i++) {
		bool known = i == 1 || i == 3 || (i >= 5 && i <= 8);

		assert_int_equal(!strcmp(pr_type_name((u8)i), "unknown"), !known);
	}
}

static void directions(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < PR_ACT_COUNT; i++)
		assert_int_equal(pr_action_is_out(i), i >= PR_ACT_REGISTER);
	assert_false(pr_action_is_out(PR_ACT_COUNT));
}

/* READ RESERVATION */

static const u8 reserved[24] = {
	0, 0, 1, 2, 0, 0, 0, 16, 0xa, 0xb, 0xc, 0xd, 1, 2, 3, 4, 0, 0, 0, 0, 0, 5,
};

static void reservation_held(void **state)
{
	struct pr_resv r;

	(void)state;
	assert_int_equal(pr_decode_reservation(&r, exact(reserved, 24), 24), 0);
	assert_int_equal(r.generation, 0x102);
	assert_true(r.held);
	assert_true(r.key == 0x0a0b0c0d01020304);
	assert_int_equal(r.type, 5);
}

static void reservation_free(void **state)
{
	u8 buf[32] = { 0xff, 0xff, 0xff, 0xff };
	struct pr_resv r;

	(void)state;
	memset(&r, 0xee, sizeof(r));
	assert_int_equal(pr_decode_reservation(&r, exact(buf, 8), 8), 0);
	assert_int_equal(r.generation, 0xffffffff);
	assert_false(r.held);
	assert_true(r.key == 0);
	assert_int_equal(r.type, 0);

	/* what lies behind the data is not looked at */
	memset(buf + 8, 0xff, sizeof(buf) - 8);
	assert_int_equal(pr_decode_reservation(&r, exact(buf, 32), 32), 0);
	assert_false(r.held);
}

static void reservation_cut(void **state)
{
	struct pr_resv r;
	size_t len;

	(void)state;
	for (len = 0; len < 24; len++)
		assert_int_equal(pr_decode_reservation(&r, exact(reserved, len), len), -EPROTO);
}

static void reservation_hostile_length(void **state)
{
	static const u32 lengths[] = {
		1, 8, 15, 17, 24, 32, 0x10000000, 0x7fffffff, 0xfffffff8, 0xffffffff,
	};
	struct pr_resv r;
	u8 buf[40] = { 0 };
	size_t i;

	(void)state;
	memcpy(buf, reserved, sizeof(reserved));
	for (i = 0; i < COUNT_OF(lengths); i++) {
		be(buf + 4, lengths[i], 4);
		assert_int_equal(pr_decode_reservation(&r, exact(buf, 40), 40), -EPROTO);
	}
}

static void reservation_contents(void **state)
{
	struct pr_resv r;
	unsigned int type;
	u8 buf[24];

	(void)state;
	for (type = 0; type < 256; type++) {
		int want = type > 15 ? -EPROTO : 0;	/* a scope */

		memcpy(buf, reserved, sizeof(buf));
		buf[21] = (u8)type;
		assert_int_equal(pr_decode_reservation(&r, exact(buf, 24), 24), want);
		if (want)
			continue;
		assert_int_equal(r.type, type);
		assert_int_equal(r.key == 0, type == 7 || type == 8);

		memset(buf + 8, 0, 8);
		want = type == 7 || type == 8 ? 0 : -EPROTO;
		assert_int_equal(pr_decode_reservation(&r, exact(buf, 24), 24), want);
	}
}

/* READ KEYS */

static size_t make_keys(u8 *buf, u32 generation, const u64 *keys, u32 count)
{
	u32 i;

	be(buf, generation, 4);
	be(buf + 4, count * 8, 4);
	for (i = 0; i < count; i++)
		be(buf + 8 + 8 * i, keys[i], 8);
	return 8 + 8 * count;
}

static void keys_plain(void **state)
{
	static const u64 keys[] = { 7, 0xffffffffffffffff, 7, 0x8000000000000001, 0, 3 };
	struct pr_key_list k;
	u8 buf[64];
	size_t len = make_keys(buf, 9, keys, COUNT_OF(keys));
	u32 i;

	(void)state;
	assert_int_equal(pr_decode_keys(&k, exact(buf, len), len), 0);
	assert_int_equal(k.generation, 9);
	assert_int_equal(k.count, COUNT_OF(keys));
	assert_int_equal(k.needed, len);
	assert_true(k.complete);
	for (i = 0; i < COUNT_OF(keys); i++)
		assert_true(pr_keys_at(&k, i) == keys[i]);
	assert_true(pr_keys_at(&k, i) == 0);
	assert_true(pr_keys_at(&k, 0xffffffff) == 0);
	assert_int_equal(pr_keys_count_of(&k, 7), 2);
	assert_int_equal(pr_keys_count_of(&k, 8), 0);

	/* ascending, each once, without own and 0 */
	assert_true(pr_keys_next_foreign(&k, 7, 0) == 3);
	assert_true(pr_keys_next_foreign(&k, 7, 3) == 0x8000000000000001);
	assert_true(pr_keys_next_foreign(&k, 7, 0x8000000000000001) == 0xffffffffffffffff);
	assert_true(pr_keys_next_foreign(&k, 7, 0xffffffffffffffff) == 0);
	assert_true(pr_keys_next_foreign(&k, 3, 0) == 7);
	assert_true(pr_keys_next_foreign(&k, 0xffffffffffffffff, 0x8000000000000001) == 0);
}

static void keys_none(void **state)
{
	u8 buf[8] = { 0, 0, 0, 4 };
	struct pr_key_list k;

	(void)state;
	assert_int_equal(pr_decode_keys(&k, exact(buf, 8), 8), 0);
	assert_int_equal(k.generation, 4);
	assert_int_equal(k.count, 0);
	assert_int_equal(k.needed, 8);
	assert_true(k.complete);
	assert_true(pr_keys_next_foreign(&k, 1, 0) == 0);
}

static void keys_cut(void **state)
{
	static const u64 keys[] = { 1, 2, 3, 4, 5 };
	struct pr_key_list k;
	u8 buf[64] = { 0 };
	size_t full = make_keys(buf, 1, keys, COUNT_OF(keys));
	size_t len;

	(void)state;
	for (len = 0; len < 8; len++)
		assert_int_equal(pr_decode_keys(&k, exact(buf, len), len), -EPROTO);
	for (; len <= sizeof(buf); len++) {
		size_t held = len < full ? (len - 8) / 8 : COUNT_OF(keys);

		assert_int_equal(pr_decode_keys(&k, exact(buf, len), len), 0);
		assert_int_equal(k.count, held);
		assert_int_equal(k.complete, len >= full);
		assert_int_equal(k.needed, full);
		assert_int_equal(pr_keys_count_of(&k, 5), held == 5);
	}
}

static void keys_hostile_length(void **state)
{
	static const struct {
		u32 additional;
		int want;
		u32 needed;
	} rows[] = {
		{ 1, -EPROTO, 0 },
		{ 7, -EPROTO, 0 },
		{ 12, -EPROTO, 0 },
		{ 0xffffffff, -EPROTO, 0 },
		{ 0x7fffffff, -EPROTO, 0 },
		{ 0x80000000, 0, 0x80000008 },
		{ 0xfffffff0, 0, 0xfffffff8 },
		{ 0xfffffff8, 0, 0xffffffff },
	};
	u8 buf[24] = { 0 };
	struct pr_key_list k;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		be(buf + 4, rows[i].additional, 4);
		assert_int_equal(pr_decode_keys(&k, exact(buf, 24), 24), rows[i].want);
		if (rows[i].want)
			continue;
		assert_false(k.complete);
		assert_int_equal(k.count, 2);
		assert_true(k.needed == rows[i].needed);
	}
}

static void keys_many(void **state)
{
	enum { COUNT = 5000 };
	u8 *buf = malloc(8 + 8 * COUNT);
	u64 *keys = malloc(sizeof(*keys) * COUNT);
	struct pr_key_list k;
	u64 key = 0;
	u32 seen = 0;
	size_t len;
	u32 i;

	(void)state;
	assert_non_null(buf);
	assert_non_null(keys);
	/* 7919 and 2500 share no factor: each of 1 ... 2500 twice, well mixed */
	for (i = 0; i < COUNT; i++)
		keys[i] = (u64)i * 7919 % 2500 + 1;
	len = make_keys(buf, 1, keys, COUNT);

	assert_int_equal(pr_decode_keys(&k, buf, len), 0);
	assert_int_equal(k.count, COUNT);
	assert_true(k.complete);
	assert_int_equal(k.needed, 8 + 8 * COUNT);
	assert_int_equal(pr_keys_count_of(&k, 2500), 2);
	while ((key = pr_keys_next_foreign(&k, 1000, key))) {
		seen++;
		assert_true(key == (seen < 1000 ? seen : seen + 1));
	}
	assert_int_equal(seen, 2499);

	/* what fits into the largest buffer, from a target with more */
	be(buf + 4, 100000 * 8, 4);
	assert_int_equal(pr_decode_keys(&k, buf, len), 0);
	assert_false(k.complete);
	assert_true(k.needed > PR_IN_LEN_MAX);
	assert_int_equal(k.count, COUNT);
	free(keys);
	free(buf);
}

/* READ FULL STATUS */

static size_t add_descriptor(u8 *p, u64 key, u8 flags, u8 type, u16 port,
			     const void *id, size_t id_len)
{
	memset(p, 0, 24);
	be(p, key, 8);
	p[12] = flags;
	p[13] = type;
	be(p + 18, port, 2);
	be(p + 20, id_len, 4);
	if (id_len)
		memcpy(p + 24, id, id_len);
	return 24 + id_len;
}

static const u8 fc_id[24] = { 0, [8] = 1, 2, 3, 4, 5, 6, 7, 8 };
static const u8 sas_id[24] = { 6, [4] = 0x50, 0, 0xc5, 0, 0, 0, 0, 9 };
static const u8 iscsi_plain[24] = "\x05\0\0\x14iqn.example:a";
static const u8 iscsi_isid[36] = "\x45\0\0\x20iqn.example:a,i,0x00023d000001";
static const u8 iscsi_isid2[36] = "\x45\0\0\x20iqn.EXAMPLE:a,i,0x00023d000002";
static const u8 iscsi_other[24] = "\x05\0\0\x14iqn.example:b";
static const u8 raw_id[24] = { 4, 1, 2, 3 };	/* SRP */

static size_t make_full(u8 *buf)
{
	size_t len = 8;

	len += add_descriptor(buf + len, 0xabc1, 0x01, 0x05, 1, fc_id, 24);
	len += add_descriptor(buf + len, 0xabc1, 0x00, 0x05, 2, sas_id, 24);
	len += add_descriptor(buf + len, 0xabc2, 0x02, 0x00, 0x102, iscsi_plain, 24);
	len += add_descriptor(buf + len, 0xabc3, 0x03, 0x07, 4, iscsi_isid, 36);
	len += add_descriptor(buf + len, 0xabc4, 0x00, 0x00, 5, raw_id, 24);
	be(buf, 77, 4);
	be(buf + 4, len - 8, 4);
	return len;
}

static void full_status_plain(void **state)
{
	struct pr_full_status d;
	bool complete = false;
	u32 generation = 0;
	size_t pos = 0;
	const u8 *p;
	u8 buf[512];
	size_t len = make_full(buf);

	(void)state;
	p = exact(buf, len);
	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, &generation, &complete), 1);
	assert_int_equal(generation, 77);
	assert_true(complete);
	assert_true(d.key == 0xabc1);
	assert_true(d.holder);
	assert_false(d.all_target_ports);
	assert_int_equal(d.type, 5);
	assert_int_equal(d.relative_port, 1);
	assert_int_equal(d.port.protocol, 0);
	assert_int_equal(d.port.len, 8);
	assert_memory_equal(d.port.id, fc_id + 8, 8);

	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 1);
	assert_false(d.holder);
	assert_int_equal(d.type, 0);
	assert_int_equal(d.port.protocol, 6);
	assert_int_equal(d.port.len, 8);
	assert_memory_equal(d.port.id, sas_id + 4, 8);

	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 1);
	assert_true(d.all_target_ports);
	assert_int_equal(d.relative_port, 0x102);
	assert_int_equal(d.port.protocol, 5);
	assert_int_equal(d.port.len, 13);
	assert_memory_equal(d.port.id, "iqn.example:a", 13);

	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 1);
	assert_true(d.holder);
	assert_true(d.all_target_ports);
	assert_int_equal(d.type, 7);
	assert_int_equal(d.port.len, 13);
	assert_memory_equal(d.port.id, "iqn.example:a", 13);

	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 1);
	assert_int_equal(d.port.protocol, 4);
	assert_int_equal(d.port.len, 24);
	assert_memory_equal(d.port.id, raw_id, 24);

	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 0);
	assert_int_equal(pr_decode_full_status(&d, p, len, &pos, NULL, NULL), 0);
}

static int walk_full(const u8 *buf, size_t len, unsigned int *count, bool *complete)
{
	struct pr_full_status d;
	size_t pos = 0;
	int r;

	*count = 0;
	while ((r = pr_decode_full_status(&d, buf, len, &pos, NULL, complete)) == 1)
		++*count;
	return r;
}

static void full_status_cut(void **state)
{
	static const size_t ends[] = { 56, 104, 152, 212, 260 };
	unsigned int count, want;
	bool complete;
	u8 buf[512];
	size_t full = make_full(buf);
	size_t len;

	(void)state;
	assert_int_equal(full, ends[4]);
	for (len = 0; len < 8; len++)
		assert_int_equal(walk_full(exact(buf, len), len, &count, &complete), -EPROTO);
	for (; len <= full; len++) {
		assert_int_equal(walk_full(exact(buf, len), len, &count, &complete), 0);
		for (want = 0; want < COUNT_OF(ends) && ends[want] <= len; want++)
			;
		assert_int_equal(count, want);
		assert_int_equal(complete, len == full);
	}
}

/* The target claims that a cut list is the whole list. */
static void full_status_lies(void **state)
{
	static const size_t ends[] = { 8, 56, 104, 152, 212, 260 };
	unsigned int count;
	bool complete;
	u8 buf[512];
	size_t full = make_full(buf);
	size_t len;
	size_t i;

	(void)state;
	for (len = 8; len <= full; len++) {
		bool whole = false;

		for (i = 0; i < COUNT_OF(ends); i++)
			whole |= len == ends[i];
		be(buf + 4, len - 8, 4);
		assert_int_equal(walk_full(exact(buf, len), len, &count, &complete),
				 whole ? 0 : -EPROTO);
		assert_true(complete);
	}
}

static void full_status_hostile_length(void **state)
{
	static const u32 lengths[] = {
		25, 1000, 0x7fffffff, 0x80000000, 0xffffffe0, 0xffffffe8, 0xffffffff,
	};
	struct pr_full_status d;
	unsigned int count;
	bool complete;
	u8 buf[56];
	size_t pos;
	size_t i;

	(void)state;
	add_descriptor(buf + 8, 1, 0, 0, 1, fc_id, 24);
	for (i = 0; i < COUNT_OF(lengths); i++) {
		/* inside a list that fits */
		be(buf + 4, 48, 4);
		be(buf + 8 + 20, lengths[i], 4);
		assert_int_equal(walk_full(exact(buf, 56), 56, &count, &complete), -EPROTO);
		/* inside one that does not: nothing to see, but not complete */
		be(buf + 4, 0xffffffff, 4);
		assert_int_equal(walk_full(exact(buf, 56), 56, &count, &complete), 0);
		assert_int_equal(count, 0);
		assert_false(complete);
	}

	/* a place from nowhere */
	be(buf + 4, 48, 4);
	be(buf + 8 + 20, 24, 4);
	pos = (size_t)-1;
	assert_int_equal(pr_decode_full_status(&d, exact(buf, 56), 56, &pos, NULL, NULL), 0);
	pos = 3;
	assert_int_equal(pr_decode_full_status(&d, exact(buf, 56), 56, &pos, NULL, NULL), 1);
}

static int decode_id(struct pr_port_id *port, const void *id, size_t id_len)
{
	struct pr_full_status d;
	size_t pos = 0;
	u8 buf[1024];
	size_t len = 8 + add_descriptor(buf + 8, 1, 0, 0, 1, id, id_len);
	int r;

	be(buf, 0, 4);
	be(buf + 4, len - 8, 4);
	r = pr_decode_full_status(&d, exact(buf, len), len, &pos, NULL, NULL);
	*port = d.port;
	return r;
}

static void port_id_cut(void **state)
{
	struct pr_port_id port;
	size_t len;

	(void)state;
	/* no TransportID at all: a registration of somebody unknown */
	assert_int_equal(decode_id(&port, fc_id, 0), 1);
	assert_int_equal(port.len, 0);
	for (len = 1; len < 24; len++) {
		assert_int_equal(decode_id(&port, fc_id, len), -EPROTO);
		assert_int_equal(decode_id(&port, sas_id, len), -EPROTO);
		assert_int_equal(decode_id(&port, iscsi_plain, len), -EPROTO);
		assert_int_equal(decode_id(&port, iscsi_isid, len), -EPROTO);
		assert_int_equal(decode_id(&port, raw_id, len), 1);
		assert_int_equal(port.len, len);
	}
}

static void port_id_iscsi(void **state)
{
	struct pr_port_id port;
	u8 id[4 + 300];

	(void)state;
	/* no NUL at all */
	memset(id, 'x', sizeof(id));
	id[0] = 0x05;
	id[1] = 0;
	be(id + 2, 223, 2);
	assert_int_equal(decode_id(&port, id, 4 + 223), 1);
	assert_int_equal(port.len, 223);
	/* longer than a name can be: an identity that equals nothing */
	be(id + 2, 300, 2);
	assert_int_equal(decode_id(&port, id, 4 + 300), 1);
	assert_int_equal(port.len, 0);
	/* an empty name */
	id[4] = 0;
	assert_int_equal(decode_id(&port, id, 4 + 300), -EPROTO);
	memcpy(id, "\x45\0\0\x10,i,0x00023d0001", 20);
	assert_int_equal(decode_id(&port, id, 20), -EPROTO);
	be(id + 2, 0, 2);
	assert_int_equal(decode_id(&port, id, 4), -EPROTO);
	/* unknown format codes */
	memcpy(id, iscsi_plain, 24);
	id[0] = 0x85;
	assert_int_equal(decode_id(&port, id, 24), -EPROTO);
	id[0] = 0xc5;
	assert_int_equal(decode_id(&port, id, 24), -EPROTO);
	/* the separator cut at the end belongs to the name */
	memcpy(id, "\x45\0\0\x14iqn.example:abcd,i,0", 24);
	assert_int_equal(decode_id(&port, id, 24), 1);
	assert_int_equal(port.len, 20);
	/* any raw identity beyond the field */
	id[0] = 0x04;
	assert_int_equal(decode_id(&port, id, PR_PORT_ID_LEN), 1);
	assert_int_equal(port.len, PR_PORT_ID_LEN);
	assert_int_equal(decode_id(&port, id, PR_PORT_ID_LEN + 1), 1);
	assert_int_equal(port.len, 0);
}

static void port_id_equality(void **state)
{
	struct pr_port_id a, b;

	(void)state;
	decode_id(&a, iscsi_isid, 36);
	decode_id(&b, iscsi_plain, 24);
	assert_true(pr_port_id_equal(&a, &b));
	decode_id(&b, iscsi_isid2, 36);
	assert_true(pr_port_id_equal(&a, &b));
	assert_true(pr_port_id_equal(&b, &a));
	decode_id(&b, iscsi_other, 24);
	assert_false(pr_port_id_equal(&a, &b));
	decode_id(&b, fc_id, 24);
	assert_false(pr_port_id_equal(&a, &b));

	/* same bytes, other protocol */
	decode_id(&a, fc_id, 24);
	assert_true(pr_port_id_equal(&a, &b));
	a.protocol = 6;
	assert_false(pr_port_id_equal(&a, &b));
	/* case matters elsewhere */
	a = b;
	a.id[0] = 'a';
	b.id[0] = 'A';
	assert_false(pr_port_id_equal(&a, &b));
	/* nothing equals nobody */
	memset(&a, 0, sizeof(a));
	b = a;
	assert_false(pr_port_id_equal(&a, &b));
	/* a length from nowhere */
	a.len = 255;
	b.len = 255;
	assert_false(pr_port_id_equal(&a, &b));
}

/* REPORT CAPABILITIES */

static void capabilities_bits(void **state)
{
	static const struct {
		u8 at;
		u8 bit;
		struct pr_capabilities want;
	} rows[] = {
		{ 2, 0x01, { .types_valid = true, .persist_capable = true } },
		{ 2, 0x04, { .types_valid = true, .all_target_ports = true } },
		{ 2, 0x08, { .types_valid = true, .specify_ports = true } },
		{ 2, 0x10, { .types_valid = true } },			/* CRH */
		{ 3, 0x01, { .types_valid = true, .persist_active = true } },
		{ 3, 0x70, { .types_valid = true } },
		{ 4, 0x02, { .types_valid = true, .types = 1 << 1 } },
		{ 4, 0x08, { .types_valid = true, .types = 1 << 3 } },
		{ 4, 0x20, { .types_valid = true, .types = 1 << 5 } },
		{ 4, 0x40, { .types_valid = true, .types = 1 << 6 } },
		{ 4, 0x80, { .types_valid = true, .types = 1 << 7 } },
		{ 5, 0x01, { .types_valid = true, .types = 1 << 8 } },
		{ 4, 0x15, { .types_valid = true } },			/* obsolete types */
		{ 5, 0xfe, { .types_valid = true } },
		{ 6, 0xff, { .types_valid = true } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		u8 buf[8] = { 0, 8, 0, 0x80 };
		struct pr_capabilities c;

		memset(&c, 0, sizeof(c));
		buf[rows[i].at] |= rows[i].bit;
		assert_int_equal(pr_decode_capabilities(&c, exact(buf, 8), 8), 0);
		assert_int_equal(c.persist_capable, rows[i].want.persist_capable);
		assert_int_equal(c.persist_active, rows[i].want.persist_active);
		assert_int_equal(c.all_target_ports, rows[i].want.all_target_ports);
		assert_int_equal(c.specify_ports, rows[i].want.specify_ports);
		assert_int_equal(c.types_valid, rows[i].want.types_valid);
		assert_int_equal(c.types, rows[i].want.types);
	}
}

static void capabilities_refused(void **state)
{
	u8 buf[16] = { 0, 8, 0xff, 0x7f, 0xff, 0xff };
	struct pr_capabilities c;
	size_t len;

	(void)state;
	for (len = 0; len < 8; len++)
		assert_int_equal(pr_decode_capabilities(&c, exact(buf, len), len), -EPROTO);
	/* no mask: no types */
	assert_int_equal(pr_decode_capabilities(&c, exact(buf, 8), 8), 0);
	assert_false(c.types_valid);
	assert_int_equal(c.types, 0);
	for (len = 0; len < 8; len++) {
		buf[1] = (u8)len;
		assert_int_equal(pr_decode_capabilities(&c, exact(buf, 16), 16), -EPROTO);
	}
	/* a later standard may add to it */
	buf[0] = 0xff;
	assert_int_equal(pr_decode_capabilities(&c, exact(buf, 8), 8), 0);
}

/* Results */

static const struct {
	struct pr_result result;
	enum pr_class out;
	enum pr_class in;
} ends[] = {
	{ { .status = 0x00 }, PR_GOOD, PR_GOOD },
	{ { .status = 0x18 }, PR_CONFLICT, PR_CONFLICT },
	{ { .status = 0x08 }, PR_TRANSIENT, PR_TRANSIENT },
	{ { .status = 0x28 }, PR_TRANSIENT, PR_TRANSIENT },
	{ { .status = 0x40 }, PR_LOST, PR_TRANSIENT },
	{ { .status = 0x04 }, PR_LOST, PR_LOST },
	{ { .status = 0x30 }, PR_LOST, PR_LOST },
	{ { .status = 0xff }, PR_LOST, PR_LOST },
	{ { .host_failed = true }, PR_LOST, PR_LOST },
	{ { .host_failed = true, .status = 0x18 }, PR_LOST, PR_LOST },
	{ { .status = 0x02 }, PR_LOST, PR_LOST },
	{ { false, 0x02, false, 6, 0x29, 0, false }, PR_LOST, PR_LOST },
	{ { true, 0x02, true, 6, 0x29, 0, false }, PR_LOST, PR_LOST },
	{ { false, 0x00, true, 6, 0x29, 0, false }, PR_GOOD, PR_GOOD },
	{ { false, 0x02, true, 0, 0x00, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 1, 0x5d, 0x00, false }, PR_LOST, PR_GOOD },
	{ { false, 0x02, true, 2, 0x04, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 2, 0x04, 0x01, false }, PR_TRANSIENT, PR_TRANSIENT },
	{ { false, 0x02, true, 2, 0x04, 0x02, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 2, 0x04, 0x03, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 2, 0x04, 0x07, false }, PR_TRANSIENT, PR_TRANSIENT },
	{ { false, 0x02, true, 2, 0x04, 0x0a, false }, PR_TRANSIENT, PR_TRANSIENT },
	{ { false, 0x02, true, 2, 0x04, 0x0b, false }, PR_PATH_STATE, PR_PATH_STATE },
	{ { false, 0x02, true, 2, 0x04, 0x0c, false }, PR_PATH_STATE, PR_PATH_STATE },
	{ { false, 0x02, true, 2, 0x04, 0x12, false }, PR_PATH_STATE, PR_PATH_STATE },
	{ { false, 0x02, true, 2, 0x08, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 2, 0x3a, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 3, 0x11, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 4, 0x44, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 5, 0x55, 0x04, false }, PR_NO_RESOURCES, PR_NO_RESOURCES },
	{ { false, 0x02, true, 5, 0x55, 0x03, false }, PR_BAD_FIELD, PR_BAD_FIELD },
	{ { false, 0x02, true, 5, 0x20, 0x00, false }, PR_UNSUPPORTED, PR_UNSUPPORTED },
	{ { false, 0x02, true, 5, 0x20, 0x01, false }, PR_BAD_FIELD, PR_BAD_FIELD },
	{ { false, 0x02, true, 5, 0x24, 0x00, false }, PR_BAD_FIELD, PR_BAD_FIELD },
	{ { false, 0x02, true, 5, 0x26, 0x04, false }, PR_BAD_FIELD, PR_BAD_FIELD },
	{ { false, 0x02, true, 6, 0x29, 0x00, false }, PR_ATTENTION, PR_ATTENTION },
	{ { false, 0x02, true, 6, 0x2a, 0x05, false }, PR_ATTENTION, PR_ATTENTION },
	{ { false, 0x02, true, 6, 0xff, 0xff, false }, PR_ATTENTION, PR_ATTENTION },
	{ { false, 0x02, true, 7, 0x27, 0x00, false }, PR_LOST, PR_LOST },
	{ { false, 0x02, true, 0xb, 0x00, 0x00, false }, PR_LOST, PR_TRANSIENT },
	{ { false, 0x02, true, 0xb, 0x4b, 0x04, false }, PR_LOST, PR_TRANSIENT },
	{ { false, 0x02, true, 0xff, 0x04, 0x01, false }, PR_LOST, PR_LOST },
	/* Deferred: about an earlier command. */
	{ { false, 0x02, true, 5, 0x20, 0x00, true }, PR_LOST, PR_TRANSIENT },
	{ { false, 0x02, true, 6, 0x29, 0x00, true }, PR_LOST, PR_TRANSIENT },
};

static void classes(void **state)
{
	unsigned int action;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT_OF(ends); i++)
		for (action = 0; action < PR_ACT_COUNT; action++)
			assert_int_equal(pr_classify(&ends[i].result, action),
					 pr_action_is_out(action) ? ends[i].out : ends[i].in);
}

/* Whatever arrives: a change of the target is good only with GOOD. */
static void classes_everywhere(void **state)
{
	unsigned int status, key, asc;

	(void)state;
	for (status = 0; status < 256; status++) {
		struct pr_result r = { .status = (u8)status };

		assert_int_equal(pr_classify(&r, PR_ACT_RESERVE) == PR_GOOD, status == 0);
	}
	for (key = 0; key < 256; key++) {
		for (asc = 0; asc < 65536; asc++) {
			struct pr_result r = {
				.status = 2, .sense_valid = true, .key = (u8)key,
				.asc = (u8)(asc >> 8), .ascq = (u8)asc,
			};
			enum pr_class class = pr_classify(&r, PR_ACT_RESERVE);

			assert_int_not_equal(class, PR_GOOD);
			assert_int_not_equal(class, PR_CONFLICT);
			assert_int_equal(class == PR_ATTENTION, key == 6);
		}
	}
}

static void attentions(void **state)
{
	struct pr_result r = { .status = 2, .sense_valid = true, .key = 6 };
	unsigned int asc;

	(void)state;
	for (asc = 0; asc < 256; asc++) {
		bool want = asc == 0x29 || asc == 0x2a || asc == 0x2f;

		r.asc = (u8)asc;
		assert_int_equal(pr_attention_resets(&r), want);
	}
	r.asc = 0x29;
	r.key = 5;
	assert_false(pr_attention_resets(&r));
	r.key = 6;
	r.sense_valid = false;
	assert_false(pr_attention_resets(&r));
	r.sense_valid = true;
	r.host_failed = true;
	assert_false(pr_attention_resets(&r));
	r.host_failed = false;
	r.deferred = true;
	assert_false(pr_attention_resets(&r));
	r.deferred = false;
	r.status = 0;
	assert_false(pr_attention_resets(&r));
}

static void retries(void **state)
{
	static const int transient[] = { 100, 200, 400, 800, 1000, 1000 };
	unsigned int class, i;

	(void)state;
	for (i = 1; i <= 64; i++)
		assert_int_equal(pr_retry_delay(PR_ATTENTION, i), 0);
	assert_int_equal(pr_retry_delay(PR_ATTENTION, 65), -1);
	for (i = 1; i <= 40; i++)
		assert_int_equal(pr_retry_delay(PR_TRANSIENT, i),
				 i <= 6 ? transient[i - 1] : 1000);
	assert_int_equal(pr_retry_delay(PR_TRANSIENT, 41), -1);
	assert_int_equal(pr_retry_delay(PR_TRANSIENT, 0xffffffff), -1);
	for (class = 0; class <= PR_CLASS_COUNT; class++)
		for (i = 0; i < 3; i++)
			if (class != PR_ATTENTION && class != PR_TRANSIENT)
				assert_int_equal(pr_retry_delay(class, i), -1);
}

/*
 * Every decoder against noise: the sanitizers are the check. The generator is
 * fixed, so a failure repeats.
 */
static void noise(void **state)
{
	u64 seed = 88172645463325252ULL;
	unsigned int round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		struct pr_capabilities c;
		struct pr_resv r;
		struct pr_full_status d;
		struct pr_key_list k;
		u8 buf[160];
		size_t pos = 0;
		size_t len, i;
		const u8 *p;

		for (i = 0; i < sizeof(buf); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			buf[i] = (u8)(seed >> 32);
		}
		len = seed % (sizeof(buf) + 1);
		if (round & 1)
			be(buf + 4, seed >> 8 & 0xff, 4);
		if (round & 2)
			be(buf + 8 + 20, seed >> 16 & 0x3f, 4);
		if (round & 4)
			buf[8 + 24] = seed >> 24 & 1 ? 0x45 : 0x05;
		if (round & 8)
			be(buf + 8 + 24 + 2, seed >> 40 & 0x1f, 2);
		p = exact(buf, len);
		pr_decode_reservation(&r, p, len);
		pr_decode_capabilities(&c, p, len);
		if (!pr_decode_keys(&k, p, len)) {
			assert_in_range(k.count, 0, len / 8);
			pr_keys_count_of(&k, 1);
			pr_keys_next_foreign(&k, 1, 0);
		}
		while (pr_decode_full_status(&d, p, len, &pos, NULL, NULL) == 1) {
			assert_in_range(pos, 8, len);
			assert_in_range(d.port.len, 0, PR_PORT_ID_LEN);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cdb_bytes),
		cmocka_unit_test(out_bytes),
		cmocka_unit_test(names),
		cmocka_unit_test(directions),
		cmocka_unit_test(reservation_held),
		cmocka_unit_test(reservation_free),
		cmocka_unit_test(reservation_cut),
		cmocka_unit_test(reservation_hostile_length),
		cmocka_unit_test(reservation_contents),
		cmocka_unit_test(keys_plain),
		cmocka_unit_test(keys_none),
		cmocka_unit_test(keys_cut),
		cmocka_unit_test(keys_hostile_length),
		cmocka_unit_test(keys_many),
		cmocka_unit_test(full_status_plain),
		cmocka_unit_test(full_status_cut),
		cmocka_unit_test(full_status_lies),
		cmocka_unit_test(full_status_hostile_length),
		cmocka_unit_test(port_id_cut),
		cmocka_unit_test(port_id_iscsi),
		cmocka_unit_test(port_id_equality),
		cmocka_unit_test(capabilities_bits),
		cmocka_unit_test(capabilities_refused),
		cmocka_unit_test(classes),
		cmocka_unit_test(classes_everywhere),
		cmocka_unit_test(attentions),
		cmocka_unit_test(retries),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests_name("pr_wire", tests, NULL, teardown);
}
