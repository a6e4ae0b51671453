// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated target against SPC-4, driven by pr_wire.c's encoders and read
 * by its decoders: two implementations that must agree on the bytes (rule 6.4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "pr_wire.h"
#include "sim/spc_sim.h"

#define COUNT_OF(array)		(sizeof(array) / sizeof((array)[0]))

#define GOOD		0x00
#define CONFLICT	0x18
#define ABORTED		0x40
#define NO_STATUS	0xff

#define KA		0xaaaa000000000001ULL
#define KB		0xbbbb000000000002ULL
#define KC		0xcccc000000000003ULL

static struct sim_lun lun;
static struct sim_reply last;
static bool aptpl;
static u8 in[4096];

/* Two hosts with two paths each: nexuses 0, 1 and 2, 3; a third host: 4. */
static int setup(void **state)
{
	(void)state;
	aptpl = false;
	sim_init(&lun);
	sim_add_nexus(&lun, SIM_ISCSI, 0, 0);
	sim_add_nexus(&lun, SIM_ISCSI, 0, 1);
	sim_add_nexus(&lun, SIM_FC, 1, 0);
	sim_add_nexus(&lun, SIM_FC, 1, 1);
	sim_add_nexus(&lun, SIM_SAS, 2, 0);
	return 0;
}

static void send(unsigned int nexus, enum pr_action action, u8 type,
		 u64 key, u64 sa_key, u32 len)
{
	u8 cdb[PR_CDB_LEN];
	u8 list[PR_OUT_LEN];

	memset(in, 0xee, sizeof(in));
	if (pr_action_is_out(action)) {
		pr_encode_cdb(cdb, action, type, PR_OUT_LEN);
		pr_encode_out(list, key, sa_key, aptpl);
		sim_execute(&lun, nexus, cdb, sizeof(cdb), list, sizeof(list),
			    NULL, 0, &last);
	} else {
		pr_encode_cdb(cdb, action, 0, len);
		sim_execute(&lun, nexus, cdb, sizeof(cdb), NULL, 0, in, sizeof(in), &last);
	}
}

static u8 status_of_last(void)
{
	return last.host_failed || last.pending ? NO_STATUS : last.status;
}

static u8 out(unsigned int nexus, enum pr_action action, u8 type, u64 key, u64 sa_key)
{
	send(nexus, action, type, key, sa_key, 0);
	return status_of_last();
}

static u8 reg(unsigned int nexus, u64 key, u64 sa_key)
{
	return out(nexus, PR_ACT_REGISTER, 0, key, sa_key);
}

static u8 reserve(unsigned int nexus, u8 type, u64 key)
{
	return out(nexus, PR_ACT_RESERVE, type, key, 0);
}

/* Sense as one number: 0x62a05 is a unit attention 2A/05. */
static u32 sense(void)
{
	if (last.host_failed || last.status != 0x02 || !last.sense_valid)
		return 0;
	assert_int_equal(last.sense[2], last.key);
	assert_int_equal(last.sense[12], last.asc);
	assert_int_equal(last.sense[13], last.ascq);
	return (u32)last.key << 16 | (u32)last.asc << 8 | last.ascq;
}

static enum pr_class class_of_last(enum pr_action action)
{
	const struct pr_result result = {
		.host_failed = last.host_failed,
		.status = last.status,
		.sense_valid = last.sense_valid,
		.key = last.key,
		.asc = last.asc,
		.ascq = last.ascq,
	};

	return pr_classify(&result, action);
}

/* The next attention of a nexus, 0 for none; and takes it. */
static u32 attention(unsigned int nexus)
{
	static const u8 tur[6];

	sim_execute(&lun, nexus, tur, sizeof(tur), NULL, 0, NULL, 0, &last);
	return sense();
}

static struct pr_resv reservation(unsigned int nexus)
{
	struct pr_resv r;

	send(nexus, PR_ACT_READ_RESERVATION, 0, 0, 0, 24);
	assert_int_equal(status_of_last(), GOOD);
	assert_int_equal(pr_decode_reservation(&r, in, last.in_len), 0);
	return r;
}

static struct pr_key_list keys(unsigned int nexus)
{
	struct pr_key_list k;

	send(nexus, PR_ACT_READ_KEYS, 0, 0, 0, PR_IN_LEN_MIN);
	assert_int_equal(status_of_last(), GOOD);
	assert_int_equal(pr_decode_keys(&k, in, last.in_len), 0);
	assert_true(k.complete);
	return k;
}

static void drain(void)
{
	unsigned int i;

	for (i = 0; i < lun.nexuses; i++)
		while (attention(i))
			;
}

/* A holds with a type, on nexus 0; 1 is registered, too. */
static void a_holds(u8 type)
{
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(1, 0, KA), GOOD);
	assert_int_equal(reserve(0, type, KA), GOOD);
}

static void register_rules(void **state)
{
	struct pr_key_list k;

	(void)state;
	assert_int_equal(reg(0, KA, KA), CONFLICT);	/* not registered yet */
	assert_int_equal(keys(0).generation, 0);
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(0, 0, KA), CONFLICT);
	assert_int_equal(reg(0, KA, KA), GOOD);
	assert_int_equal(reg(1, 0, KA), GOOD);
	k = keys(3);
	assert_int_equal(k.generation, 3);
	assert_int_equal(k.count, 2);
	assert_int_equal(pr_keys_count_of(&k, KA), 2);

	assert_int_equal(reg(1, KA, KC), GOOD);		/* old to new */
	assert_int_equal(pr_keys_next_foreign((k = keys(0), &k), KA, 0) == KC, 1);
	assert_int_equal(reg(1, KB, 0), CONFLICT);
	assert_int_equal(reg(1, KC, 0), GOOD);
	assert_int_equal(keys(0).count, 1);
	assert_int_equal(keys(0).generation, 5);

	/* REGISTER AND IGNORE: never a conflict, idempotent clean-up */
	assert_int_equal(out(1, PR_ACT_REGISTER_IGNORE, 0, 0, KB), GOOD);
	assert_int_equal(out(1, PR_ACT_REGISTER_IGNORE, 0, 0, KA), GOOD);
	assert_int_equal(out(1, PR_ACT_REGISTER_IGNORE, 0, 0, 0), GOOD);
	assert_int_equal(keys(0).generation, 8);
	assert_int_equal(out(1, PR_ACT_REGISTER_IGNORE, 0, 0, 0), GOOD);
	assert_int_equal(reg(1, 0, 0), GOOD);
	assert_int_equal(keys(0).generation, 8);
	assert_int_equal(keys(0).count, 1);
}

static void reserve_rules(void **state)
{
	struct pr_resv r;

	(void)state;
	assert_int_equal(reserve(0, 5, KA), CONFLICT);	/* not registered */
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(1, 0, KA), GOOD);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reserve(0, 5, KB), CONFLICT);	/* wrong key */
	assert_int_equal(reserve(0, 2, KA), 0x02);
	assert_int_equal(sense(), 0x52400);
	assert_int_equal(class_of_last(PR_ACT_RESERVE), PR_BAD_FIELD);
	assert_false(reservation(0).held);

	assert_int_equal(reserve(0, 5, KA), GOOD);
	assert_int_equal(reserve(0, 5, KA), GOOD);	/* E15: the holder probe */
	assert_int_equal(reserve(0, 6, KA), CONFLICT);
	assert_int_equal(reserve(1, 5, KA), CONFLICT);
	assert_int_equal(reserve(2, 5, KB), CONFLICT);
	r = reservation(4);
	assert_true(r.held);
	assert_true(r.key == KA);
	assert_int_equal(r.type, 5);
	assert_int_equal(r.generation, 3);		/* RESERVE does not count (E24) */
	assert_true(sim_holds(&lun, 0));
	assert_false(sim_holds(&lun, 1));

	/* the holder's key is the holder's, whatever it becomes */
	assert_int_equal(reg(0, KA, KC), GOOD);
	assert_true(reservation(4).key == KC);
}

static void release_rules(void **state)
{
	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(4, PR_ACT_RELEASE, 5, 0, 0), CONFLICT);
	assert_int_equal(out(1, PR_ACT_RELEASE, 5, KA, 0), GOOD);	/* E10 */
	assert_int_equal(out(2, PR_ACT_RELEASE, 5, KB, 0), GOOD);
	assert_true(reservation(0).held);
	assert_int_equal(out(0, PR_ACT_RELEASE, 6, KA, 0), 0x02);
	assert_int_equal(sense(), 0x52604);
	assert_int_equal(out(0, PR_ACT_RELEASE, 5, KA, 0), GOOD);
	assert_int_equal(attention(0), 0);
	assert_int_equal(attention(1), 0x62a04);
	assert_int_equal(attention(2), 0x62a04);
	assert_int_equal(attention(3), 0);
	assert_false(reservation(0).held);
	assert_int_equal(reservation(0).generation, 3);
	assert_int_equal(out(0, PR_ACT_RELEASE, 5, KA, 0), GOOD);

	/* types 1 and 3 leave without a word */
	assert_int_equal(reserve(0, 1, KA), GOOD);
	assert_int_equal(out(0, PR_ACT_RELEASE, 1, KA, 0), GOOD);
	assert_int_equal(attention(1), 0);
}

static void access_by_type(void **state)
{
	/* holder (0), its other path (1), other registrant (2), nobody (4) */
	static const struct {
		u8 type;
		const char *write;
		const char *read;
	} rows[] = {
		{ 1, "+---", "++++" },
		{ 3, "+---", "+---" },
		{ 5, "+++-", "++++" },
		{ 6, "+++-", "+++-" },
		{ 7, "+++-", "++++" },
		{ 8, "+++-", "+++-" },
	};
	static const unsigned int who[] = { 0, 1, 2, 4 };
	size_t i, j;

	for (i = 0; i < COUNT_OF(rows); i++) {
		setup(state);
		for (j = 0; j < COUNT_OF(who); j++)
			assert_int_equal(sim_write(&lun, who[j]), GOOD);
		a_holds(rows[i].type);
		assert_int_equal(reg(2, 0, KB), GOOD);
		for (j = 0; j < COUNT_OF(who); j++) {
			bool w = rows[i].write[j] == '+';
			bool r = rows[i].read[j] == '+';

			assert_int_equal(sim_allows(&lun, who[j], SIM_WRITE), w);
			assert_int_equal(sim_allows(&lun, who[j], SIM_READ), r);
			assert_int_equal(sim_write(&lun, who[j]), w ? GOOD : CONFLICT);
			assert_int_equal(sim_read(&lun, who[j]), r ? GOOD : CONFLICT);
			assert_true(sim_allows(&lun, who[j], SIM_TUR));
			assert_int_equal(lun.good[who[j]][SIM_WRITE], 1 + w);
		}
		/* E43 */
		assert_int_equal(sim_allows(&lun, 4, SIM_SYNC), false);
		lun.quirks = SIM_LIO | SIM_TUR_CONFLICTS;
		assert_int_equal(sim_allows(&lun, 4, SIM_SYNC), true);
		assert_int_equal(sim_allows(&lun, 4, SIM_TUR), rows[i].read[3] == '+');
	}
}

static void all_registrants(void **state)
{
	(void)state;
	a_holds(7);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_true(reservation(0).held);
	assert_true(reservation(0).key == 0);		/* E16 */
	assert_true(sim_holds(&lun, 2));
	assert_int_equal(reserve(2, 7, KB), GOOD);
	/* it outlives the one who reserved */
	assert_int_equal(reg(0, KA, 0), GOOD);
	assert_true(reservation(0).held);
	assert_int_equal(reg(1, KA, 0), GOOD);
	assert_true(reservation(0).held);
	assert_int_equal(reg(2, KB, 0), GOOD);
	assert_false(reservation(0).held);

	/* any registrant releases */
	a_holds(8);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_RELEASE, 8, KB, 0), GOOD);
	assert_int_equal(attention(0), 0x62a04);
	assert_false(reservation(2).held);
	drain();

	/* PREEMPT with 0 removes everybody else */
	assert_int_equal(reserve(2, 7, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, 0), GOOD);
	assert_int_equal(keys(2).count, 1);
	assert_true(reservation(2).key == KB);
	assert_int_equal(reservation(2).type, 5);
	assert_int_equal(attention(0), 0x62a05);
	assert_int_equal(attention(1), 0x62a05);

	/* with a key it removes only that key */
	assert_int_equal(out(2, PR_ACT_RELEASE, 5, KB, 0), GOOD);
	a_holds(7);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), GOOD);
	assert_int_equal(reservation(2).type, 7);
	assert_int_equal(sim_registrations(&lun, 0), 1);
	assert_int_equal(sim_registrations(&lun, KB), 1);
}

static void unregister_holder(void **state)
{
	static const struct {
		u8 type;
		u32 attention;
	} rows[] = { { 1, 0 }, { 3, 0 }, { 5, 0x62a04 }, { 6, 0x62a04 } };
	size_t i;

	for (i = 0; i < COUNT_OF(rows); i++) {
		setup(state);
		a_holds(rows[i].type);
		assert_int_equal(reg(0, KA, 0), GOOD);
		assert_int_equal(attention(0), 0);
		assert_int_equal(attention(1), rows[i].attention);
		assert_false(reservation(1).held);

		setup(state);
		a_holds(rows[i].type);
		sim_forget_nexus(&lun, 0);	/* E14 */
		assert_int_equal(attention(1), rows[i].attention);
		assert_false(reservation(1).held);
		assert_int_equal(keys(1).count, 1);
	}
}

static void clear_rules(void **state)
{
	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(4, PR_ACT_CLEAR, 0, 0, 0), CONFLICT);
	assert_int_equal(out(2, PR_ACT_CLEAR, 0, KA, 0), CONFLICT);
	assert_int_equal(out(2, PR_ACT_CLEAR, 0, KB, 0), GOOD);
	assert_int_equal(attention(0), 0x62a03);
	assert_int_equal(attention(1), 0x62a03);
	assert_int_equal(attention(2), 0);
	assert_int_equal(keys(0).count, 0);
	assert_int_equal(keys(0).generation, 4);
	assert_false(reservation(0).held);
}

static void preempt_takes_over(void **state)
{
	(void)state;
	a_holds(5);
	assert_int_equal(reg(4, 0, KC), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), CONFLICT);	/* unregistered */
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KC, KA), CONFLICT);	/* wrong key */
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, 0x99), CONFLICT);	/* nobody's */
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, 0), 0x02);
	assert_int_equal(sense(), 0x52600);
	assert_int_equal(keys(2).generation, 4);

	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), GOOD);
	assert_true(reservation(2).key == KB);
	assert_true(sim_holds(&lun, 2));
	assert_int_equal(keys(2).generation, 5);
	assert_int_equal(keys(2).count, 2);
	assert_int_equal(attention(0), 0x62a05);
	assert_int_equal(attention(1), 0x62a05);
	assert_int_equal(attention(2), 0);
	assert_int_equal(attention(4), 0);		/* same type: nothing changed */
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	assert_int_equal(sim_write(&lun, 4), GOOD);	/* E21 */

	/* with another type the others are told */
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(out(0, PR_ACT_PREEMPT, 6, KA, KB), GOOD);
	assert_int_equal(attention(2), 0x62a05);
	assert_int_equal(attention(4), 0x62a04);
	assert_int_equal(reservation(0).type, 6);
}

static void preempt_removes_registrations(void **state)
{
	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reg(3, 0, KB), GOOD);
	assert_int_equal(out(1, PR_ACT_PREEMPT, 0, KA, KB), GOOD);	/* any type */
	assert_int_equal(attention(2), 0x62a05);
	assert_true(reservation(1).key == KA);
	assert_true(sim_holds(&lun, 0));
	assert_int_equal(keys(0).count, 2);

	/* E11: to another own path; all other own registrations go */
	assert_int_equal(out(1, PR_ACT_PREEMPT, 5, KA, KA), GOOD);
	assert_true(sim_holds(&lun, 1));
	assert_int_equal(keys(1).count, 1);
	assert_int_equal(attention(0), 0x62a05);
	drain();

	/* E12: not the holder's key: the sender goes, too */
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reg(3, 0, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KB), GOOD);
	assert_int_equal(keys(1).count, 1);
	assert_true(reservation(1).key == KA);
	drain();
	lun.quirks = SIM_KEEPS_SENDER;
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reg(3, 0, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KB), GOOD);
	assert_true(sim_registered(&lun, 2, NULL));
	assert_false(sim_registered(&lun, 3, NULL));
}

/* Two force at once: the second one's victim is gone. */
static void preempt_race(void **state)
{
	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reg(4, 0, KC), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT_ABORT, 5, KB, KA), GOOD);
	assert_int_equal(out(4, PR_ACT_PREEMPT_ABORT, 5, KC, KA), CONFLICT);
	assert_true(reservation(4).key == KB);
}

static void full_status(void **state)
{
	struct pr_full_status d, first;
	bool complete;
	u32 generation;
	size_t pos = 0;

	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(reg(4, 0, KC), GOOD);
	send(3, PR_ACT_READ_FULL_STATUS, 0, 0, 0, sizeof(in));
	assert_int_equal(status_of_last(), GOOD);

	assert_int_equal(pr_decode_full_status(&first, in, last.in_len, &pos,
					       &generation, &complete), 1);
	assert_int_equal(generation, 4);
	assert_true(complete);
	assert_true(first.key == KA);
	assert_true(first.holder);
	assert_int_equal(first.type, 5);
	assert_int_equal(first.relative_port, 1);
	assert_int_equal(first.port.len, strlen("iqn.2003-01.org.example:host0"));
	assert_memory_equal(first.port.id, "iqn.2003-01.org.example:host0", first.port.len);

	/* the other path of the same host: the same port but for the ISID */
	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL), 1);
	assert_false(d.holder);
	assert_int_equal(d.relative_port, 2);
	assert_true(pr_port_id_equal(&d.port, &first.port));

	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL), 1);
	assert_true(d.key == KB);
	assert_int_equal(d.port.protocol, 0);
	assert_memory_equal(d.port.id, "\x50\0\xc5\0\0\0\1\0", 8);

	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL), 1);
	assert_int_equal(d.port.protocol, 6);
	assert_memory_equal(d.port.id, "\x50\0\xc5\0\0\0\2\0", 8);
	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL), 0);

	/* all hold */
	assert_int_equal(out(0, PR_ACT_RELEASE, 5, KA, 0), GOOD);
	assert_int_equal(reserve(0, 8, KA), GOOD);
	drain();
	send(3, PR_ACT_READ_FULL_STATUS, 0, 0, 0, sizeof(in));
	pos = 0;
	while (pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL) == 1) {
		assert_true(d.holder);
		assert_int_equal(d.type, 8);
	}

	lun.quirks = SIM_NO_FULL_STATUS;
	send(3, PR_ACT_READ_FULL_STATUS, 0, 0, 0, sizeof(in));
	assert_int_equal(sense(), 0x52400);
}

static void short_allocation(void **state)
{
	struct pr_full_status d;
	struct pr_key_list k;
	bool complete;
	size_t len, pos, full;
	int r;

	(void)state;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	for (len = 0; len <= 40; len++) {
		send(0, PR_ACT_READ_KEYS, 0, 0, 0, (u32)len);
		assert_int_equal(status_of_last(), GOOD);
		assert_int_equal(last.in_len, len < 32 ? len : 32);
		assert_int_equal(in[last.in_len], 0xee);
		r = pr_decode_keys(&k, in, last.in_len);
		assert_int_equal(!r, len >= 8);
		if (r)
			continue;
		assert_int_equal(k.complete, len >= 32);
		assert_int_equal(k.needed, 32);
	}
	send(0, PR_ACT_READ_FULL_STATUS, 0, 0, 0, sizeof(in));
	full = last.in_len;
	for (len = 8; len <= full + 1; len++) {
		send(0, PR_ACT_READ_FULL_STATUS, 0, 0, 0, (u32)len);
		pos = 0;
		while ((r = pr_decode_full_status(&d, in, last.in_len, &pos, NULL, &complete)) == 1)
			;
		assert_int_equal(r, 0);
		assert_int_equal(complete, len >= full);
	}

	/* L7: the list is short and claims that it is not */
	lun.quirks = SIM_LIO;
	send(0, PR_ACT_READ_FULL_STATUS, 0, 0, 0, 150);
	pos = 0;
	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, &complete), 1);
	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, &complete), 0);
	assert_true(complete);
	send(0, PR_ACT_READ_KEYS, 0, 0, 0, 7);
	assert_int_equal(sense(), 0x52400);
	send(0, PR_ACT_READ_RESERVATION, 0, 0, 0, 16);
	assert_int_equal(last.in_len, 16);
}

static void capabilities(void **state)
{
	struct pr_capabilities c;

	(void)state;
	aptpl = true;
	assert_int_equal(reg(0, 0, KA), GOOD);
	send(0, PR_ACT_REPORT_CAPABILITIES, 0, 0, 0, 8);
	assert_int_equal(pr_decode_capabilities(&c, in, last.in_len), 0);
	assert_true(c.persist_capable);
	assert_true(c.persist_active);
	assert_false(c.all_target_ports);
	assert_false(c.specify_ports);
	assert_true(c.types_valid);
	assert_int_equal(c.types, 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8);

	lun.quirks = SIM_NO_APTPL;
	lun.types = 1 << 5;
	assert_int_equal(reg(1, 0, KA), 0x02);
	assert_int_equal(sense(), 0x52600);
	aptpl = false;
	assert_int_equal(reg(1, 0, KA), GOOD);
	send(0, PR_ACT_REPORT_CAPABILITIES, 0, 0, 0, 8);
	assert_int_equal(pr_decode_capabilities(&c, in, last.in_len), 0);
	assert_false(c.persist_capable);
	assert_false(c.persist_active);
	assert_int_equal(c.types, 1 << 5);
	assert_int_equal(reserve(0, 7, KA), 0x02);
	assert_int_equal(sense(), 0x52400);
}

static void power_loss(void **state)
{
	(void)state;
	aptpl = true;
	a_holds(5);
	sim_power_loss(&lun);
	assert_int_equal(sim_write(&lun, 0), 0x02);
	assert_int_equal(attention(0), 0);
	assert_int_equal(attention(1), 0x62900);
	assert_int_equal(attention(2), 0x62900);
	assert_true(reservation(0).key == KA);
	assert_int_equal(keys(0).generation, 0);
	assert_int_equal(keys(0).count, 2);

	/* E41: the last registration decides for all */
	aptpl = false;
	assert_int_equal(reg(2, 0, KB), GOOD);
	sim_power_loss(&lun);
	drain();
	assert_int_equal(keys(0).count, 0);
	assert_int_equal(keys(0).generation, 0);
	assert_false(reservation(0).held);
	assert_int_equal(sim_write(&lun, 4), GOOD);
}

static void nexus_loss(void **state)
{
	u64 key;

	(void)state;
	a_holds(5);
	sim_nexus_loss(&lun, 0);
	assert_int_equal(attention(0), 0x62907);
	assert_int_equal(reg(0, KA, KA), GOOD);

	/* E28: the old registration stays and is nobody's */
	sim_relogin(&lun, 0);
	assert_int_equal(attention(0), 0x62907);
	assert_false(sim_registered(&lun, 0, &key));
	assert_true(key == 0);
	assert_int_equal(reg(0, KA, KA), CONFLICT);
	assert_int_equal(keys(0).count, 2);
	assert_true(reservation(0).key == KA);
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(keys(0).count, 3);
	assert_int_equal(reserve(0, 5, KA), CONFLICT);	/* E27 */
	assert_int_equal(out(0, PR_ACT_PREEMPT, 5, KA, KA), GOOD);
	assert_int_equal(keys(0).count, 1);
	assert_int_equal(reserve(0, 5, KA), GOOD);

	/* FC keeps its identity */
	assert_int_equal(reg(2, 0, KB), GOOD);
	sim_relogin(&lun, 2);
	assert_int_equal(attention(2), 0x62907);
	assert_int_equal(reg(2, KB, KB), GOOD);
}

static void attention_queue(void **state)
{
	static const u8 inquiry[6] = { 0x12 };

	(void)state;
	assert_int_equal(reg(0, 0, KA), GOOD);
	sim_attention(&lun, 0, 0x29, 0x07);
	sim_attention(&lun, 0, 0x2a, 0x05);
	sim_attention(&lun, 0, 0x29, 0x07);	/* known already */
	sim_execute(&lun, 0, inquiry, sizeof(inquiry), NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, GOOD);
	assert_int_equal(reg(0, KA, KC), 0x02);	/* not executed */
	assert_int_equal(class_of_last(PR_ACT_REGISTER), PR_ATTENTION);
	assert_int_equal(sense(), 0x62907);
	assert_int_equal(attention(0), 0x62a05);
	assert_int_equal(attention(0), 0);
	assert_int_equal(sim_registrations(&lun, KA), 1);

	/* L5: the first hides the others */
	lun.quirks = SIM_LIO;
	sim_attention(&lun, 0, 0x29, 0x07);
	sim_attention(&lun, 0, 0x2a, 0x05);
	assert_int_equal(attention(0), 0x62907);
	assert_int_equal(attention(0), 0);

	/* too many become one */
	sim_attention(&lun, 1, 0x2a, 0x01);
	sim_attention(&lun, 1, 0x2a, 0x03);
	sim_attention(&lun, 1, 0x2a, 0x04);
	sim_attention(&lun, 1, 0x2a, 0x05);
	sim_attention(&lun, 1, 0x2a, 0x06);
	assert_int_equal(attention(1), 0x62900);
	assert_int_equal(attention(1), 0);
}

static void paths(void **state)
{
	(void)state;
	sim_path_state(&lun, 0, SIM_PATH_DEAD);
	assert_int_equal(reg(0, 0, KA), NO_STATUS);
	assert_int_equal(class_of_last(PR_ACT_REGISTER), PR_LOST);
	assert_false(sim_registered(&lun, 0, NULL));
	assert_int_equal(lun.sent[0][SIM_REGISTER], 1);
	assert_int_equal(lun.good[0][SIM_REGISTER], 0);

	sim_path_state(&lun, 0, SIM_PATH_NO_STATUS);	/* E9 */
	assert_int_equal(reg(0, 0, KA), NO_STATUS);
	assert_true(sim_registered(&lun, 0, NULL));
	assert_int_equal(lun.good[0][SIM_REGISTER], 1);
	sim_path_state(&lun, 0, SIM_PATH_UP);
	assert_int_equal(reg(0, 0, KA), CONFLICT);	/* why a blind retry misleads */
	assert_int_equal(reg(0, KA, KA), GOOD);

	/* late: after the other host has taken over */
	sim_path_state(&lun, 1, SIM_PATH_IN_FLIGHT);
	assert_int_equal(reg(1, 0, KA), NO_STATUS);
	assert_true(last.pending);
	assert_int_equal(sim_pending(&lun, 1), 1);
	assert_int_equal(sim_registrations(&lun, KA), 1);
	sim_path_state(&lun, 1, SIM_PATH_UP);
	sim_deliver(&lun, last.tag, NULL, 0, &last);
	assert_int_equal(status_of_last(), GOOD);
	assert_int_equal(sim_registrations(&lun, KA), 2);
	assert_int_equal(sim_pending(&lun, 1), 0);
	sim_deliver(&lun, last.tag, NULL, 0, &last);
	assert_int_equal(status_of_last(), NO_STATUS);

	/* never: the session went first */
	sim_path_state(&lun, 1, SIM_PATH_IN_FLIGHT);
	reg(1, KA, 0);
	sim_path_state(&lun, 1, SIM_PATH_UP);
	sim_relogin(&lun, 1);
	assert_int_equal(sim_pending(&lun, 1), 0);
	assert_int_equal(sim_registrations(&lun, KA), 2);

	/* the queue is finite */
	sim_path_state(&lun, 2, SIM_PATH_IN_FLIGHT);
	while (sim_pending(&lun, 2) < SIM_MAX_QUEUE)
		sim_write(&lun, 2);
	sim_write(&lun, 2);
	assert_int_equal(sim_pending(&lun, 2), SIM_MAX_QUEUE);
	assert_int_equal(lun.sent[2][SIM_WRITE], SIM_MAX_QUEUE + 1);
	assert_int_equal(lun.good[2][SIM_WRITE], 0);
}

/* E25: what PREEMPT leaves in the target, PREEMPT AND ABORT does not. */
static void queued_writes(void **state)
{
	static const struct {
		enum pr_action action;
		u32 quirks;
		u8 status;
		u32 attention;
	} rows[] = {
		{ PR_ACT_PREEMPT, 0, GOOD, 0x62a05 },
		{ PR_ACT_PREEMPT_ABORT, 0, ABORTED, 0x62a05 },
		{ PR_ACT_PREEMPT_ABORT, SIM_NO_TAS, NO_STATUS, 0x62a05 },
		{ PR_ACT_PREEMPT_ABORT, SIM_LIO, ABORTED, 0x62a05 },
	};
	size_t i;

	for (i = 0; i < COUNT_OF(rows); i++) {
		unsigned int tag, own;

		setup(state);
		lun.quirks = rows[i].quirks;
		a_holds(5);
		assert_int_equal(reg(2, 0, KB), GOOD);
		sim_path_state(&lun, 0, SIM_PATH_QUEUED);
		sim_path_state(&lun, 2, SIM_PATH_QUEUED);
		assert_int_equal(sim_write(&lun, 0), NO_STATUS);
		assert_int_equal(sim_write(&lun, 2), NO_STATUS);
		tag = lun.queue[0].nexus == 0 ? 0 : 1;
		own = !tag;
		sim_path_state(&lun, 2, SIM_PATH_UP);
		assert_int_equal(out(2, rows[i].action, 5, KB, KA), GOOD);

		sim_deliver(&lun, tag, NULL, 0, &last);
		assert_int_equal(status_of_last(), rows[i].status);
		assert_int_equal(lun.good[0][SIM_WRITE], rows[i].status == GOOD);
		sim_deliver(&lun, own, NULL, 0, &last);
		/* L10: LIO aborts the sender's own, too */
		assert_int_equal(status_of_last(), rows[i].quirks == SIM_LIO ? ABORTED : GOOD);

		sim_path_state(&lun, 0, SIM_PATH_UP);
		assert_int_equal(attention(0), rows[i].attention);
		assert_int_equal(attention(0), rows[i].quirks == SIM_NO_TAS ? 0x62f00 : 0);
		assert_int_equal(sim_write(&lun, 0), CONFLICT);
	}

	/* one that arrives only afterwards is stopped at the door */
	setup(state);
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	sim_path_state(&lun, 0, SIM_PATH_IN_FLIGHT);
	sim_write(&lun, 0);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), GOOD);
	sim_deliver(&lun, 0, NULL, 0, &last);
	assert_int_equal(sense(), 0x62a05);
	assert_int_equal(lun.good[0][SIM_WRITE], 0);
	/* and one that would queue now is refused now */
	sim_path_state(&lun, 0, SIM_PATH_QUEUED);
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	assert_int_equal(sim_pending(&lun, 0), 0);

	/* L10: without being holder a victim's commands go on */
	setup(state);
	lun.quirks = SIM_LIO;
	a_holds(5);
	assert_int_equal(reg(2, 0, KB), GOOD);
	sim_path_state(&lun, 2, SIM_PATH_QUEUED);
	sim_write(&lun, 2);
	assert_int_equal(out(0, PR_ACT_PREEMPT_ABORT, 5, KA, KB), GOOD);
	sim_deliver(&lun, 0, NULL, 0, &last);
	assert_int_equal(status_of_last(), GOOD);

	lun.quirks = SIM_NO_ABORT;
	assert_int_equal(out(0, PR_ACT_PREEMPT_ABORT, 5, KA, KA), 0x02);
	assert_int_equal(sense(), 0x52400);
}

static void scripts(void **state)
{
	(void)state;
	sim_script(&lun, 0, (struct sim_answer){
		.cmd = SIM_RESERVE, .status = 0x02, .sense = { 0x02, 0x04, 0x0a } });
	sim_script(&lun, 0, (struct sim_answer){
		.cmd = SIM_ANY_CMD, .status = 0x08 });
	sim_script(&lun, 0, (struct sim_answer){
		.cmd = SIM_REGISTER, .execute = true, .host_failed = true });
	/* the first that fits, whatever waits before it */
	assert_int_equal(reg(0, 0, KA), 0x08);
	assert_int_equal(class_of_last(PR_ACT_REGISTER), PR_TRANSIENT);
	assert_false(sim_registered(&lun, 0, NULL));
	assert_int_equal(reg(0, 0, KA), NO_STATUS);
	assert_true(sim_registered(&lun, 0, NULL));
	assert_int_equal(reserve(0, 5, KA), 0x02);
	assert_int_equal(class_of_last(PR_ACT_RESERVE), PR_TRANSIENT);
	assert_int_equal(reserve(0, 5, KA), GOOD);
}

static void missing_parts(void **state)
{
	u8 cdb[PR_CDB_LEN];
	u8 list[PR_OUT_LEN];

	(void)state;
	lun.quirks = SIM_NO_PR;
	send(0, PR_ACT_READ_KEYS, 0, 0, 0, 8);
	assert_int_equal(sense(), 0x52000);
	assert_int_equal(class_of_last(PR_ACT_READ_KEYS), PR_UNSUPPORTED);
	reg(0, 0, KA);
	assert_int_equal(sense(), 0x52000);
	lun.quirks = SIM_NO_CAPABILITIES;
	send(0, PR_ACT_REPORT_CAPABILITIES, 0, 0, 0, 8);
	assert_int_equal(sense(), 0x52400);

	/* E5 */
	lun.quirks = 0;
	lun.max_regs = 1;
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(1, 0, KA), 0x02);
	assert_int_equal(sense(), 0x55504);
	assert_int_equal(class_of_last(PR_ACT_REGISTER), PR_NO_RESOURCES);
	assert_int_equal(reg(0, KA, KC), GOOD);
	assert_int_equal(keys(0).count, 1);

	/* lists that are not the basic one */
	pr_encode_cdb(cdb, PR_ACT_REGISTER, 0, 23);
	pr_encode_out(list, KC, KA, false);
	sim_execute(&lun, 0, cdb, sizeof(cdb), list, sizeof(list), NULL, 0, &last);
	assert_int_equal(sense(), 0x51a00);
	pr_encode_cdb(cdb, PR_ACT_REGISTER, 0, 24);
	sim_execute(&lun, 0, cdb, sizeof(cdb), list, 23, NULL, 0, &last);
	assert_int_equal(sense(), 0x51a00);
	list[20] = 0x04;
	sim_execute(&lun, 0, cdb, sizeof(cdb), list, sizeof(list), NULL, 0, &last);
	assert_int_equal(sense(), 0x52600);
	cdb[1] = 0x07;
	sim_execute(&lun, 0, cdb, sizeof(cdb), list, sizeof(list), NULL, 0, &last);
	assert_int_equal(sense(), 0x52400);
	assert_int_equal(sim_registrations(&lun, KC), 1);
}

static void shared_registration(void **state)
{
	struct pr_full_status d;
	size_t pos = 0;

	(void)state;
	lun.quirks = SIM_SHARED;
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(1, 0, KA), CONFLICT);	/* E7 */
	assert_int_equal(reg(1, KA, KA), GOOD);
	assert_int_equal(keys(1).count, 1);
	assert_int_equal(reserve(1, 5, KA), GOOD);
	assert_int_equal(reserve(0, 5, KA), GOOD);
	assert_int_equal(sim_write(&lun, 0), GOOD);
	assert_int_equal(sim_write(&lun, 1), GOOD);
	assert_int_equal(sim_write(&lun, 2), CONFLICT);
	send(0, PR_ACT_READ_FULL_STATUS, 0, 0, 0, sizeof(in));
	assert_int_equal(pr_decode_full_status(&d, in, last.in_len, &pos, NULL, NULL), 1);
	assert_true(d.all_target_ports);

	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), GOOD);
	assert_int_equal(attention(0), 0x62a05);
	assert_int_equal(attention(1), 0x62a05);
	assert_int_equal(sim_write(&lun, 3), GOOD);
}

static void scsi2_reservation(void **state)
{
	static const u8 reserve6[6] = { 0x16 };
	static const u8 release6[6] = { 0x17 };

	(void)state;
	sim_execute(&lun, 4, reserve6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, GOOD);
	sim_execute(&lun, 0, reserve6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, CONFLICT);
	send(0, PR_ACT_READ_KEYS, 0, 0, 0, 8);		/* E32 */
	assert_int_equal(last.status, CONFLICT);
	assert_int_equal(reg(4, 0, KC), CONFLICT);	/* its own, too */
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	assert_int_equal(sim_read(&lun, 0), CONFLICT);
	assert_int_equal(sim_write(&lun, 4), GOOD);
	sim_execute(&lun, 0, release6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, GOOD);
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	sim_lun_reset(&lun);
	assert_int_equal(attention(0), 0x62903);
	assert_int_equal(sim_write(&lun, 0), GOOD);
	drain();
	sim_execute(&lun, 4, reserve6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(sim_write(&lun, 0), CONFLICT);
	sim_nexus_loss(&lun, 4);
	assert_int_equal(sim_write(&lun, 0), GOOD);
	drain();
	sim_execute(&lun, 4, reserve6, 6, NULL, 0, NULL, 0, &last);
	sim_execute(&lun, 4, release6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(sim_write(&lun, 0), GOOD);

	/* CRH: with registrations they do nothing */
	a_holds(5);
	sim_execute(&lun, 1, reserve6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, GOOD);
	assert_int_equal(lun.scsi2_holder, SIM_NOBODY);
	drain();
	sim_execute(&lun, 2, reserve6, 6, NULL, 0, NULL, 0, &last);
	assert_int_equal(last.status, CONFLICT);
}

static void alua(void **state)
{
	static const struct {
		enum sim_alua state;
		u32 pr;
		u32 data;
	} rows[] = {
		{ SIM_ALUA_NON_OPTIMIZED, 0, 0 },
		{ SIM_ALUA_STANDBY, 0, 0x2040b },
		{ SIM_ALUA_UNAVAILABLE, 0x2040c, 0x2040c },
		{ SIM_ALUA_TRANSITION, 0x2040a, 0x2040a },
		{ SIM_ALUA_OFFLINE, 0x20412, 0x20412 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		sim_alua_state(&lun, 0, rows[i].state);
		assert_int_equal(attention(0), 0x62a06);
		send(0, PR_ACT_READ_KEYS, 0, 0, 0, 8);
		assert_int_equal(sense(), rows[i].pr);
		assert_int_equal(attention(0), rows[i].data);
	}
	lun.quirks = SIM_STANDBY_REFUSES;
	sim_alua_state(&lun, 0, SIM_ALUA_STANDBY);
	assert_int_equal(attention(0), 0x62a06);
	reg(0, 0, KA);
	assert_int_equal(sense(), 0x2040b);
	assert_int_equal(class_of_last(PR_ACT_REGISTER), PR_PATH_STATE);
}

static void lio_quirks(void **state)
{
	(void)state;
	lun.quirks = SIM_LIO;
	/* L6 */
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(reg(0, KA, 0), GOOD);
	assert_int_equal(keys(0).generation, 1);
	/* L8 */
	assert_int_equal(reserve(0, 5, KA), 0x02);
	assert_int_equal(sense(), 0x20800);
	assert_int_equal(class_of_last(PR_ACT_RESERVE), PR_LOST);
	assert_int_equal(out(0, PR_ACT_RELEASE, 5, KA, 0), 0x02);
	assert_int_equal(out(0, PR_ACT_CLEAR, 0, KA, 0), 0x02);
	assert_int_equal(out(0, PR_ACT_PREEMPT, 5, KA, KB), CONFLICT);
	a_holds(5);
	assert_int_equal(reserve(2, 5, KB), CONFLICT);
	/* L9 */
	assert_int_equal(reg(2, 0, KB), GOOD);
	assert_int_equal(out(0, PR_ACT_PREEMPT, 0, KA, KB), 0x02);
	assert_int_equal(sense(), 0x52400);
	assert_int_equal(out(0, PR_ACT_RELEASE, 5, KA, 0), GOOD);
	drain();
	assert_int_equal(reserve(0, 7, KA), GOOD);
	assert_int_equal(out(2, PR_ACT_PREEMPT, 5, KB, KA), GOOD);
	assert_int_equal(reservation(2).type, 5);
	assert_true(reservation(2).key == KB);
	/* L2 */
	drain();
	lun.quirks |= SIM_LIO_NO_PR_DIR;
	assert_int_equal(reg(0, 0, KA), 0x02);
	assert_int_equal(sense(), 0x20800);
	assert_true(sim_registered(&lun, 0, NULL));
}

static void copies_and_hashes(void **state)
{
	struct sim_lun before, other;
	u64 hash;

	(void)state;
	memset(&other, 0xee, sizeof(other));
	before = lun;
	hash = sim_hash(&lun);
	assert_true(sim_hash(&before) == hash);

	/* reading changes nothing but the counters */
	keys(0);
	assert_true(sim_hash(&lun) == hash);
	assert_int_equal(sim_sent(&lun, SIM_READ_KEYS), 1);
	assert_int_equal(sim_sent_out(&lun), 0);

	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_int_equal(sim_sent_out(&lun), 1);
	assert_true(sim_hash(&lun) != hash);
	/* the same way leads to the same state */
	other = lun;
	lun = before;
	assert_true(sim_hash(&lun) == hash);
	assert_int_equal(reg(0, 0, KA), GOOD);
	assert_true(sim_hash(&lun) == sim_hash(&other));

	/* each kind of state counts */
	hash = sim_hash(&lun);
	before = lun;
	sim_attention(&lun, 3, 0x29, 0);
	assert_true(sim_hash(&lun) != hash);
	lun = before;
	sim_path_state(&lun, 3, SIM_PATH_IN_FLIGHT);
	assert_true(sim_hash(&lun) != hash);
	hash = sim_hash(&lun);
	sim_write(&lun, 3);
	assert_true(sim_hash(&lun) != hash);
	sim_drop(&lun, 0);
	assert_true(sim_hash(&lun) == hash);
	lun = before;
	hash = sim_hash(&lun);
	sim_script(&lun, 3, (struct sim_answer){ .cmd = SIM_TUR, .status = 0x28 });
	assert_true(sim_hash(&lun) != hash);
	assert_int_equal(attention(3), 0);
	assert_true(sim_hash(&lun) == hash);

	assert_int_equal(sim_find_nexus(&lun, 1, 1), 3);
	assert_int_equal(sim_find_nexus(&lun, 7, 1), SIM_NOBODY);
	assert_string_equal(sim_cmd_name(SIM_OTHER), "other");
	assert_string_equal(sim_cmd_name(SIM_REGISTER_IGNORE), "register-ignore");
}

/*
 * Any sequence of commands keeps the state consistent: the holder is
 * registered, and what the parameter data say is what the state is.
 */
static void invariants(void **state)
{
	static const u64 some_keys[] = { 0, KA, KB, KC };
	static const u8 some_types[] = { 0, 1, 3, 5, 6, 7, 8, 15 };
	u64 seed = 0x2545f4914f6cdd1dULL;
	unsigned int round;

	(void)state;
	for (round = 0; round < 60000; round++) {
		unsigned int nexus, i, holders = 0;
		enum pr_action action;
		struct pr_resv r;
		struct pr_key_list k;
		u32 before = lun.generation;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (!(round % 2000)) {
			setup(state);
			lun.quirks = seed >> 8 & (SIM_LIO | SIM_KEEPS_SENDER | SIM_SHARED);
			before = 0;
		}
		nexus = seed % lun.nexuses;
		action = PR_ACT_REGISTER + (seed >> 12) % (PR_ACT_COUNT - PR_ACT_REGISTER);
		aptpl = seed >> 20 & 1;
		if ((seed >> 24 & 0xff) == 0) {
			sim_relogin(&lun, nexus);
		} else if ((seed >> 24 & 0xff) == 1) {
			sim_power_loss(&lun);
			before = 0;
		} else {
			bool counts = action != PR_ACT_RESERVE && action != PR_ACT_RELEASE;

			out(nexus, action, some_types[seed >> 32 & 7],
			    some_keys[seed >> 36 & 3], some_keys[seed >> 40 & 3]);
			assert_in_range(lun.generation, before,
					before + (counts && last.status == GOOD));
		}
		drain();

		r = reservation(nexus);
		k = keys(nexus);
		assert_int_equal(r.held, lun.type != 0);
		assert_int_equal(k.count, sim_registrations(&lun, 0));
		assert_int_equal(pr_keys_count_of(&k, 0), 0);
		if (r.held) {
			assert_true(lun.reg[lun.holder].used);
			assert_int_equal(r.type, lun.type);
			if (r.key)
				assert_in_range(pr_keys_count_of(&k, r.key), 1, k.count);
			assert_in_range(k.count, 1, SIM_MAX_REGS);
		} else {
			assert_int_equal(lun.holder, SIM_NOBODY);
		}
		for (i = 0; i < lun.nexuses; i++) {
			holders += sim_holds(&lun, i);
			if (sim_holds(&lun, i))
				assert_true(sim_allows(&lun, i, SIM_WRITE));
			if (r.held && !sim_registered(&lun, i, NULL))
				assert_false(sim_allows(&lun, i, SIM_WRITE));
		}
		if (r.held && r.type < 7 && !(lun.quirks & SIM_SHARED))
			assert_in_range(holders, 0, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(register_rules, setup),
		cmocka_unit_test_setup(reserve_rules, setup),
		cmocka_unit_test_setup(release_rules, setup),
		cmocka_unit_test_setup(access_by_type, setup),
		cmocka_unit_test_setup(all_registrants, setup),
		cmocka_unit_test_setup(unregister_holder, setup),
		cmocka_unit_test_setup(clear_rules, setup),
		cmocka_unit_test_setup(preempt_takes_over, setup),
		cmocka_unit_test_setup(preempt_removes_registrations, setup),
		cmocka_unit_test_setup(preempt_race, setup),
		cmocka_unit_test_setup(full_status, setup),
		cmocka_unit_test_setup(short_allocation, setup),
		cmocka_unit_test_setup(capabilities, setup),
		cmocka_unit_test_setup(power_loss, setup),
		cmocka_unit_test_setup(nexus_loss, setup),
		cmocka_unit_test_setup(attention_queue, setup),
		cmocka_unit_test_setup(paths, setup),
		cmocka_unit_test_setup(queued_writes, setup),
		cmocka_unit_test_setup(scripts, setup),
		cmocka_unit_test_setup(missing_parts, setup),
		cmocka_unit_test_setup(shared_registration, setup),
		cmocka_unit_test_setup(scsi2_reservation, setup),
		cmocka_unit_test_setup(alua, setup),
		cmocka_unit_test_setup(lio_quirks, setup),
		cmocka_unit_test_setup(copies_and_hashes, setup),
		cmocka_unit_test_setup(invariants, setup),
	};

	return cmocka_run_group_tests_name("spc_sim", tests, NULL, NULL);
}
