// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a target sends: each decoder against a second one that is written to be
 * obvious instead of careful (rules 5.6 and 5.7). The first byte says which
 * decoder, the rest is what arrived, and ends where its allocation ends.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "pr_wire.h"

#define MOST_DESCRIPTORS	512

static u64 be(const u8 *p, unsigned int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value * 256 + *p++;
	return value;
}

/* READ KEYS */

static bool listed(const u8 *keys, size_t count, u64 key)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (be(keys + 8 * i, 8) == key)
			return true;
	return false;
}

static void check_foreign(const struct pr_key_list *k, u64 own)
{
	u64 key = 0, next;
	u32 visited = 0, expected = 0, i;

	while ((next = pr_keys_next_foreign(k, own, key))) {
		ALWAYS(next > key && next != own);
		ALWAYS(listed(k->list, k->count, next));
		key = next;
		visited++;
	}
	/* Each foreign key at its first place in the list. */
	for (i = 0; i < k->count; i++) {
		key = be(k->list + 8 * (size_t)i, 8);
		expected += key && key != own && !listed(k->list, i, key);
	}
	ALWAYS(visited == expected);
}

static void fuzz_keys(const u8 *buf, size_t len)
{
	struct pr_key_list k;
	int r = pr_decode_keys(&k, buf, len);
	u64 claimed, own, times = 0;
	u32 i;

	if (len < 8 || be(buf + 4, 4) % 8) {
		ALWAYS(r == -EPROTO);
		return;
	}
	claimed = be(buf + 4, 4);
	ALWAYS(!r);
	ALWAYS(k.generation == be(buf, 4));
	ALWAYS(k.list == buf + 8);
	ALWAYS(8 + 8 * (u64)k.count <= len);
	ALWAYS(8 * (u64)k.count <= claimed);
	ALWAYS(k.complete == (claimed + 8 <= len));
	ALWAYS(k.count == (k.complete ? claimed : len - 8) / 8);
	ALWAYS(k.needed == (claimed + 8 < UINT32_MAX ? claimed + 8 : UINT32_MAX));

	own = k.count ? be(buf + 8, 8) : 1;
	for (i = 0; i < k.count; i++) {
		ALWAYS(pr_keys_at(&k, i) == be(buf + 8 + 8 * (size_t)i, 8));
		times += pr_keys_at(&k, i) == own;
	}
	ALWAYS(!pr_keys_at(&k, k.count) && !pr_keys_at(&k, UINT32_MAX));
	ALWAYS(pr_keys_count_of(&k, own) == times);
	check_foreign(&k, own);
	check_foreign(&k, 0);
}

/* READ RESERVATION */

static void fuzz_reservation(const u8 *buf, size_t len)
{
	struct pr_resv r = { .type = 0xee };
	bool all, none, good;
	int ret = pr_decode_reservation(&r, buf, len);

	none = len >= 8 && !be(buf + 4, 4);
	all = len >= 24 && (buf[21] == 7 || buf[21] == 8);
	good = len >= 24 && be(buf + 4, 4) == 16 && buf[21] < 16 &&
	       (all || be(buf + 8, 8));
	if (!none && !good) {
		ALWAYS(ret == -EPROTO);
		return;
	}
	ALWAYS(!ret);
	ALWAYS(r.generation == be(buf, 4));
	ALWAYS(r.held == !none);
	ALWAYS(r.key == (none || all ? 0 : be(buf + 8, 8)));
	ALWAYS(r.type == (none ? 0 : buf[21]));
}

/* READ FULL STATUS */

struct full_list {
	struct pr_full_status d[MOST_DESCRIPTORS];
	size_t at[MOST_DESCRIPTORS];	/* where the descriptor ends */
	size_t count;
	bool malformed;
};

static bool naive_iscsi(struct pr_port_id *port, const u8 *id, size_t len)
{
	char *name, *cut;
	size_t used;

	if (len < 4 || id[0] >= 0x80 || be(id + 2, 2) + 4 > len)
		return false;
	name = calloc(1, be(id + 2, 2) + 1);
	ALWAYS(name);
	memcpy(name, id + 4, be(id + 2, 2));
	cut = id[0] >= 0x40 ? strstr(name, ",i,0x") : NULL;
	if (cut)
		*cut = '\0';
	used = strlen(name);
	if (used && used <= PR_PORT_ID_LEN) {
		port->len = (u8)used;
		memcpy(port->id, name, used);
	}
	free(name);
	return used > 0;
}

static bool naive_port(struct pr_port_id *port, const u8 *id, size_t len)
{
	size_t at = 0, used = len;

	memset(port, 0, sizeof(*port));
	if (!len)
		return true;
	port->protocol = id[0] % 16;
	if (port->protocol == 5)
		return naive_iscsi(port, id, len);
	if (port->protocol == 0 || port->protocol == 6) {
		if (len < 24)
			return false;
		at = port->protocol ? 4 : 8;
		used = 8;
	}
	if (used <= PR_PORT_ID_LEN) {
		port->len = (u8)used;
		memcpy(port->id, id + at, used);
	}
	return true;
}

static void naive_full(struct full_list *list, const u8 *buf, size_t len)
{
	size_t pos = 8, end = 8 + be(buf + 4, 4);
	bool cut = end > len;

	if (cut)
		end = len;
	while (pos < end && list->count < MOST_DESCRIPTORS) {
		struct pr_full_status *d = &list->d[list->count];
		const u8 *raw = buf + pos;

		if (pos + 24 > end || pos + 24 + be(raw + 20, 4) > end) {
			list->malformed = !cut;
			return;
		}
		if (!naive_port(&d->port, raw + 24, be(raw + 20, 4))) {
			list->malformed = true;
			return;
		}
		d->key = be(raw, 8);
		d->holder = raw[12] % 2;
		d->all_target_ports = raw[12] / 2 % 2;
		d->type = d->holder ? raw[13] % 16 : 0;
		d->relative_port = (u16)be(raw + 18, 2);
		pos += 24 + be(raw + 20, 4);
		list->at[list->count++] = pos;
	}
}

static bool naive_equal(const struct pr_port_id *a, const struct pr_port_id *b)
{
	u8 i;

	if (a->protocol != b->protocol || a->len != b->len || !a->len)
		return false;
	for (i = 0; i < a->len; i++) {
		u8 x = a->id[i], y = b->id[i];

		if (a->protocol == 5 && x >= 'A' && x <= 'Z')
			x += 'a' - 'A';
		if (a->protocol == 5 && y >= 'A' && y <= 'Z')
			y += 'a' - 'A';
		if (x != y)
			return false;
	}
	return true;
}

static void fuzz_full(const u8 *buf, size_t len)
{
	static struct full_list list;
	struct pr_full_status d, last = { .port.len = 0 };
	bool complete = false;
	u32 generation = 0;
	size_t pos = 0, before, i;
	int r;

	if (len < 8) {
		ALWAYS(pr_decode_full_status(&d, buf, len, &pos, NULL, NULL) == -EPROTO);
		return;
	}
	list.count = 0;
	list.malformed = false;
	naive_full(&list, buf, len);
	for (i = 0; i < list.count; i++) {
		const struct pr_full_status *want = &list.d[i];

		r = pr_decode_full_status(&d, buf, len, &pos, &generation, &complete);
		ALWAYS(r == 1);
		ALWAYS(pos == list.at[i] && pos <= len);
		ALWAYS(d.key == want->key && d.holder == want->holder);
		ALWAYS(d.type == want->type && d.relative_port == want->relative_port);
		ALWAYS(d.all_target_ports == want->all_target_ports);
		ALWAYS(d.port.protocol == want->port.protocol);
		ALWAYS(d.port.len == want->port.len && d.port.len <= PR_PORT_ID_LEN);
		ALWAYS(!memcmp(d.port.id, want->port.id, d.port.len));
		ALWAYS(pr_port_id_equal(&d.port, &d.port) == !!d.port.len);
		ALWAYS(pr_port_id_equal(&d.port, &last.port) == naive_equal(&d.port, &last.port));
		ALWAYS(pr_port_id_equal(&last.port, &d.port) == naive_equal(&d.port, &last.port));
		last = d;
	}
	if (list.count == MOST_DESCRIPTORS)
		return;
	before = pos;
	r = pr_decode_full_status(&d, buf, len, &pos, &generation, &complete);
	ALWAYS(r == (list.malformed ? -EPROTO : 0));
	ALWAYS(pos == before);
	ALWAYS(generation == be(buf, 4));
	ALWAYS(complete == (be(buf + 4, 4) + 8 <= len));
}

/* REPORT CAPABILITIES */

static void fuzz_capabilities(const u8 *buf, size_t len)
{
	static const u8 types[] = { 1, 3, 5, 6, 7, 8 };
	struct pr_capabilities c;
	int r = pr_decode_capabilities(&c, buf, len);
	u16 mask = 0;
	size_t i;

	if (len < 8 || be(buf, 2) < 8) {
		ALWAYS(r == -EPROTO);
		return;
	}
	/* SPC-4: the byte of low types is first, as an exception. */
	for (i = 0; i < sizeof(types); i++)
		if (buf[4 + types[i] / 8] >> types[i] % 8 & 1)
			mask |= 1 << types[i];
	ALWAYS(!r);
	ALWAYS(c.persist_capable == (buf[2] & 1) && c.persist_active == (buf[3] & 1));
	ALWAYS(c.all_target_ports == (buf[2] >> 2 & 1));
	ALWAYS(c.specify_ports == (buf[2] >> 3 & 1));
	ALWAYS(c.types_valid == buf[3] >> 7);
	ALWAYS(c.types == (c.types_valid ? mask : 0));
}

/* Status and sense */

/* Only what proves "not executed" may be sent again as if nothing had been. */
static bool proves_not_executed(const struct pr_result *r)
{
	if (r->host_failed)
		return false;
	if (r->status != 0x02)
		return r->status == 0x08 || r->status == 0x18 || r->status == 0x28;
	if (!r->sense_valid || r->deferred)
		return false;
	return r->key == 0x05 || r->key == 0x06 || (r->key == 0x02 && r->asc == 0x04);
}

static void check_retries(enum pr_class class)
{
	unsigned int attempt;
	int delay, before = 0;
	u32 total = 0;

	for (attempt = 1; (delay = pr_retry_delay(class, attempt)) >= 0; attempt++) {
		ALWAYS(class == PR_ATTENTION || class == PR_TRANSIENT);
		ALWAYS(delay >= before && delay <= 1000);
		before = delay;
		total += delay;
		ALWAYS(attempt <= 64);
	}
	/* Longer than any budget (rule 6.3) is a hung task. */
	ALWAYS(total < 90000);
	ALWAYS(pr_retry_delay(class, ~0U) == -1);
}

static void fuzz_status(const u8 *buf, size_t len)
{
	struct input in = { .next = buf, .left = len };
	struct pr_result r = {
		.host_failed = take_byte(&in) & 1,
		.sense_valid = take_byte(&in) & 1,
		.status = take_byte(&in),
		.key = take_byte(&in),
		.asc = take_byte(&in),
		.ascq = take_byte(&in),
		.deferred = take_byte(&in) & 1,
	};
	enum pr_action action = (enum pr_action)take_byte(&in);
	enum pr_class class = pr_classify(&r, action);

	ALWAYS((unsigned int)class < PR_CLASS_COUNT);
	ALWAYS(*pr_class_name(class) && *pr_action_name(action));
	ALWAYS(*pr_class_name((enum pr_class)take_byte(&in)) && *pr_type_name(r.status));
	if (class == PR_GOOD && (r.host_failed || r.status))
		ALWAYS(!pr_action_is_out(action) && !r.host_failed && r.status == 0x02 &&
		       r.sense_valid && r.key == 0x01);
	if (!r.host_failed && !r.status)
		ALWAYS(class == PR_GOOD);
	if (pr_action_is_out(action) && class != PR_GOOD && class != PR_LOST)
		ALWAYS(proves_not_executed(&r));
	if (pr_attention_resets(&r))
		ALWAYS(class == PR_ATTENTION);
	check_retries(class);
}

static void fuzz_encode(const u8 *buf, size_t len)
{
	struct input in = { .next = buf, .left = len };
	enum pr_action action = (enum pr_action)take_byte(&in);
	u8 type = take_byte(&in), cdb[PR_CDB_LEN], list[PR_OUT_LEN];
	u32 length = (u32)take_be(&in, 4);
	u64 key = take_be(&in, 8), sa_key = take_be(&in, 8);
	bool aptpl = take_byte(&in) & 1;
	bool out = pr_action_is_out(action);

	memset(cdb, 0xff, sizeof(cdb));
	memset(list, 0xff, sizeof(list));
	pr_encode_cdb(cdb, action, type, length);
	pr_encode_out(list, key, sa_key, aptpl);
	ALWAYS(be(list, 8) == key && be(list + 8, 8) == sa_key);
	ALWAYS(!be(list + 16, 4) && list[20] == aptpl && !be(list + 21, 3));
	ALWAYS(!cdb[9]);	/* CONTROL */
	if ((unsigned int)action >= PR_ACT_COUNT) {
		ALWAYS(!cdb[0]);
		return;
	}
	ALWAYS(cdb[0] == (out ? 0x5f : 0x5e) && cdb[1] < 8);
	ALWAYS(cdb[2] == (out && cdb[1] && cdb[1] != 3 && cdb[1] != 6 ? type % 16 : 0));
	ALWAYS(be(cdb + 5, 4) == (out ? length : length < 0xffff ? length : 0xffff));
}

static void (*const kinds[])(const u8 *buf, size_t len) = {
	fuzz_keys, fuzz_reservation, fuzz_full, fuzz_capabilities, fuzz_status, fuzz_encode,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		kinds[data[0] % COUNT_OF(kinds)](data + 1, size - 1);
	return 0;
}
