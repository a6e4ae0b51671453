// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulated SPC-4 logical unit; see spc_sim.h.
 *
 * Commands are atomic: a window inside one command (as between the removal of
 * keys and the new generation, L6) does not exist here.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "spc_sim.h"

#define GOOD			0x00
#define CHECK_CONDITION		0x02
#define CONFLICT		0x18
#define TASK_ABORTED		0x40

#define NO_STATUS		0xff	/* what sim_write() returns then */

#define ALL_TYPES		0x1ea	/* 1, 3, 5, 6, 7, 8 */

#define COUNT_OF(array)		(sizeof(array) / sizeof((array)[0]))

static const struct sim_sense invalid_opcode = { 0x05, 0x20, 0x00 };
static const struct sim_sense invalid_cdb = { 0x05, 0x24, 0x00 };
static const struct sim_sense invalid_list = { 0x05, 0x26, 0x00 };
static const struct sim_sense invalid_release = { 0x05, 0x26, 0x04 };
static const struct sim_sense list_length = { 0x05, 0x1a, 0x00 };
static const struct sim_sense no_resources = { 0x05, 0x55, 0x04 };
static const struct sim_sense comm_failure = { 0x02, 0x08, 0x00 };

/* What a command needs of a reservation. */
enum need {
	NEED_NOTHING,
	NEED_READ,
	NEED_WRITE,
	NEED_SYNC,
	NEED_TUR,
	NEED_PR,
};

struct opcode_row {
	u8 opcode;
	u8 cmd;
	u8 need;
	bool hides_attention;	/* answers even while a unit attention waits */
};

static const struct opcode_row opcodes[] = {
	{ 0x00, SIM_TUR,   NEED_TUR,	 false },
	{ 0x03, SIM_OTHER, NEED_NOTHING, true },	/* REQUEST SENSE */
	{ 0x12, SIM_OTHER, NEED_NOTHING, true },	/* INQUIRY */
	{ 0xa0, SIM_OTHER, NEED_NOTHING, true },	/* REPORT LUNS */
	{ 0x25, SIM_OTHER, NEED_NOTHING, false },	/* READ CAPACITY(10) */
	{ 0x16, SIM_SCSI2, NEED_NOTHING, false },	/* RESERVE(6) */
	{ 0x17, SIM_SCSI2, NEED_NOTHING, false },	/* RELEASE(6) */
	{ 0x56, SIM_SCSI2, NEED_NOTHING, false },	/* RESERVE(10) */
	{ 0x57, SIM_SCSI2, NEED_NOTHING, false },	/* RELEASE(10) */
	{ 0x08, SIM_READ,  NEED_READ,	 false },
	{ 0x28, SIM_READ,  NEED_READ,	 false },
	{ 0x88, SIM_READ,  NEED_READ,	 false },
	{ 0x0a, SIM_WRITE, NEED_WRITE,	 false },
	{ 0x2a, SIM_WRITE, NEED_WRITE,	 false },
	{ 0x8a, SIM_WRITE, NEED_WRITE,	 false },
	{ 0x41, SIM_WRITE, NEED_WRITE,	 false },	/* WRITE SAME(10) */
	{ 0x93, SIM_WRITE, NEED_WRITE,	 false },	/* WRITE SAME(16) */
	{ 0x42, SIM_WRITE, NEED_WRITE,	 false },	/* UNMAP */
	{ 0x89, SIM_WRITE, NEED_WRITE,	 false },	/* COMPARE AND WRITE */
	{ 0x35, SIM_SYNC,  NEED_SYNC,	 false },
	{ 0x91, SIM_SYNC,  NEED_SYNC,	 false },
	{ 0x5e, SIM_OTHER, NEED_PR,	 false },
	{ 0x5f, SIM_OTHER, NEED_PR,	 false },
};

static const u8 in_actions[] = {
	SIM_READ_KEYS, SIM_READ_RESERVATION, SIM_REPORT_CAPABILITIES,
	SIM_READ_FULL_STATUS,
};

/* REGISTER AND MOVE (7) and REPLACE LOST RESERVATION (8) are optional. */
static const u8 out_actions[] = {
	SIM_REGISTER, SIM_RESERVE, SIM_RELEASE, SIM_CLEAR, SIM_PREEMPT,
	SIM_PREEMPT_ABORT, SIM_REGISTER_IGNORE,
};

static const char * const cmd_names[SIM_CMD_COUNT] = {
	"read-keys", "read-reservation", "report-capabilities",
	"read-full-status", "register", "reserve", "release", "clear",
	"preempt", "preempt-abort", "register-ignore", "tur", "read", "write",
	"sync", "scsi2", "other",
};

/* What each type lets pass from those whom it does not name. */
struct type_row {
	u8 type;
	bool holder_only;	/* it names the holder; else all registrants */
	bool all_hold;
	bool others_read;
};

static const struct type_row type_rows[] = {
	{ 1, true,  false, true },
	{ 3, true,  false, false },
	{ 5, false, false, true },
	{ 6, false, false, false },
	{ 7, false, true,  true },
	{ 8, false, true,  false },
};

static const struct type_row *type_of(const struct sim_lun *s)
{
	size_t i;

	for (i = 0; i < COUNT_OF(type_rows); i++)
		if (type_rows[i].type == s->type)
			return &type_rows[i];
	return NULL;
}

static const struct opcode_row *opcode_of(u8 opcode)
{
	size_t i;

	for (i = 0; i < COUNT_OF(opcodes); i++)
		if (opcodes[i].opcode == opcode)
			return &opcodes[i];
	return NULL;
}

static enum sim_cmd cmd_of(const u8 *cdb)
{
	const struct opcode_row *row = opcode_of(cdb[0]);
	unsigned int action = cdb[1] & 0x1f;

	if (cdb[0] == 0x5e && action < sizeof(in_actions))
		return in_actions[action];
	if (cdb[0] == 0x5f && action < sizeof(out_actions))
		return out_actions[action];
	return row ? row->cmd : SIM_OTHER;
}

static u64 get_be(const u8 *p, unsigned int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

static void put_be(u8 *p, u64 value, unsigned int bytes)
{
	while (bytes--) {
		p[bytes] = (u8)value;
		value >>= 8;
	}
}

static void answer_status(struct sim_reply *reply, u8 status)
{
	memset(reply, 0, sizeof(*reply));
	reply->status = status;
}

static void answer_check(struct sim_reply *reply, struct sim_sense sense)
{
	answer_status(reply, CHECK_CONDITION);
	reply->sense_valid = true;
	reply->key = sense.key;
	reply->asc = sense.asc;
	reply->ascq = sense.ascq;
	reply->sense[0] = 0x70;
	reply->sense[2] = sense.key;
	reply->sense[7] = 10;
	reply->sense[12] = sense.asc;
	reply->sense[13] = sense.ascq;
}

static void answer_host_failed(struct sim_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	reply->host_failed = true;
}

/* Registrations */

static bool reg_is_of(const struct sim_lun *s, const struct sim_reg *reg,
		      unsigned int nexus)
{
	const struct sim_nexus *n = &s->nexus[nexus];

	if (!reg->used)
		return false;
	if (s->quirks & SIM_SHARED)
		return s->nexus[reg->nexus].host == n->host;
	return reg->nexus == nexus && reg->isid == n->isid;
}

static int find_reg(const struct sim_lun *s, unsigned int nexus)
{
	int i;

	for (i = 0; i < SIM_MAX_REGS; i++)
		if (reg_is_of(s, &s->reg[i], nexus))
			return i;
	return -1;
}

static unsigned int count_regs(const struct sim_lun *s)
{
	return sim_registrations(s, 0);
}

static bool reg_holds(const struct sim_lun *s, int reg)
{
	const struct type_row *row = type_of(s);

	return row && reg >= 0 && (row->all_hold || s->holder == reg);
}

static void drop_reservation(struct sim_lun *s)
{
	s->type = 0;
	s->holder = SIM_NOBODY;
}

/* For types 7 and 8 somebody else becomes the nominal holder. */
static void drop_reg(struct sim_lun *s, int reg)
{
	const struct type_row *row = type_of(s);
	int i;

	memset(&s->reg[reg], 0, sizeof(s->reg[reg]));
	if (!row || s->holder != reg)
		return;
	for (i = 0; row->all_hold && i < SIM_MAX_REGS; i++) {
		if (s->reg[i].used) {
			s->holder = (u8)i;
			return;
		}
	}
	drop_reservation(s);
}

/* Unit attentions */

void sim_attention(struct sim_lun *s, unsigned int nexus, u8 asc, u8 ascq)
{
	struct sim_nexus *n = &s->nexus[nexus];
	unsigned int i;

	for (i = 0; i < n->attentions; i++)
		if (n->attention[i].asc == asc && n->attention[i].ascq == ascq)
			return;
	if (n->attentions == SIM_MAX_UA) {
		/* SAM: too many to remember become one about everything */
		memset(n->attention, 0, sizeof(n->attention));
		n->attentions = 0;
		asc = 0x29;
		ascq = 0x00;
	}
	n->attention[n->attentions++] = (struct sim_sense){ 0x06, asc, ascq };
}

static struct sim_sense take_attention(struct sim_lun *s, struct sim_nexus *n)
{
	struct sim_sense first = n->attention[0];

	n->attentions--;
	if (s->quirks & SIM_LIO_ATTENTION)
		n->attentions = 0;
	memmove(n->attention, n->attention + 1, n->attentions * sizeof(first));
	memset(n->attention + n->attentions, 0,
	       (SIM_MAX_UA - n->attentions) * sizeof(first));
	return first;
}

static void attend_reg(struct sim_lun *s, const struct sim_reg *reg,
		       unsigned int except, u8 asc, u8 ascq)
{
	unsigned int i;

	for (i = 0; i < s->nexuses; i++)
		if (i != except && reg_is_of(s, reg, i))
			sim_attention(s, i, asc, ascq);
}

static void attend_all_regs(struct sim_lun *s, unsigned int except, u8 asc, u8 ascq)
{
	int i;

	for (i = 0; i < SIM_MAX_REGS; i++)
		attend_reg(s, &s->reg[i], except, asc, ascq);
}

static void attend_everybody(struct sim_lun *s, u8 asc, u8 ascq)
{
	unsigned int i;

	for (i = 0; i < s->nexuses; i++)
		sim_attention(s, i, asc, ascq);
}

/* Access */

static bool need_is_met(const struct sim_lun *s, unsigned int nexus, enum need need)
{
	const struct type_row *row = type_of(s);
	int reg = find_reg(s, nexus);

	if (s->scsi2_holder != SIM_NOBODY) {
		if (need == NEED_PR)
			return false;	/* not even for the holder (E32) */
		return need == NEED_NOTHING || s->scsi2_holder == nexus;
	}
	if (!row || need == NEED_NOTHING || need == NEED_PR)
		return true;
	if (row->holder_only ? s->holder == reg : reg >= 0)
		return true;
	if (need == NEED_TUR)
		return row->others_read || !(s->quirks & SIM_TUR_CONFLICTS);
	if (need == NEED_SYNC && s->quirks & SIM_LIO_SYNC)
		return true;
	return need == NEED_READ && row->others_read;
}

static const u8 cmd_needs[SIM_CMD_COUNT] = {
	[SIM_READ_KEYS] = NEED_PR,
	[SIM_READ_RESERVATION] = NEED_PR,
	[SIM_REPORT_CAPABILITIES] = NEED_PR,
	[SIM_READ_FULL_STATUS] = NEED_PR,
	[SIM_REGISTER] = NEED_PR,
	[SIM_RESERVE] = NEED_PR,
	[SIM_RELEASE] = NEED_PR,
	[SIM_CLEAR] = NEED_PR,
	[SIM_PREEMPT] = NEED_PR,
	[SIM_PREEMPT_ABORT] = NEED_PR,
	[SIM_REGISTER_IGNORE] = NEED_PR,
	[SIM_TUR] = NEED_TUR,
	[SIM_READ] = NEED_READ,
	[SIM_WRITE] = NEED_WRITE,
	[SIM_SYNC] = NEED_SYNC,
};

bool sim_allows(const struct sim_lun *s, unsigned int nexus, enum sim_cmd cmd)
{
	return need_is_met(s, nexus, (enum need)cmd_needs[cmd]);
}

/* Tasks in the target */

static void abort_tasks_of(struct sim_lun *s, unsigned int nexus, unsigned int by)
{
	struct sim_queued *q;
	bool any = false;

	for (q = s->queue; q < s->queue + SIM_MAX_QUEUE; q++) {
		if (!q->used || !q->in_target || q->nexus != nexus || q->aborted)
			continue;
		q->aborted = true;
		any = true;
	}
	if (any && nexus != by && s->quirks & SIM_NO_TAS)
		sim_attention(s, nexus, 0x2f, 0x00);
}

static void lose_tasks_of(struct sim_lun *s, unsigned int nexus)
{
	struct sim_queued *q;

	for (q = s->queue; q < s->queue + SIM_MAX_QUEUE; q++)
		if (q->used && q->nexus == nexus)
			memset(q, 0, sizeof(*q));
}

/* PERSISTENT RESERVE OUT */

struct pr_out {
	unsigned int nexus;
	int reg;		/* the sender's, or -1 */
	enum sim_cmd cmd;
	u64 key;
	u64 sa_key;
	u8 scope;
	u8 type;
	bool aptpl;
};

static bool type_is_valid(const struct sim_lun *s, const struct pr_out *o)
{
	return !o->scope && s->types >> o->type & 1;
}

static void unregister(struct sim_lun *s, const struct pr_out *o)
{
	const struct type_row *row = type_of(s);
	bool held = row && !row->all_hold && s->holder == o->reg;
	bool registrants_only = row && !row->all_hold && !row->holder_only;

	if (held) {
		drop_reservation(s);
		if (registrants_only)
			attend_all_regs(s, o->nexus, 0x2a, 0x04);
	}
	drop_reg(s, o->reg);
}

static bool add_reg(struct sim_lun *s, const struct pr_out *o)
{
	const struct sim_nexus *n = &s->nexus[o->nexus];
	int i;

	if (count_regs(s) >= s->max_regs)
		return false;
	for (i = 0; i < SIM_MAX_REGS; i++) {
		if (s->reg[i].used)
			continue;
		s->reg[i] = (struct sim_reg){
			.used = true,
			.nexus = (u8)o->nexus,
			.isid = n->isid,
			.key = o->sa_key,
		};
		return true;
	}
	return false;
}

static void do_register(struct sim_lun *s, const struct pr_out *o,
			struct sim_reply *reply)
{
	bool lio = s->quirks & SIM_LIO_UNREGISTER;
	u64 known = o->reg >= 0 ? s->reg[o->reg].key : 0;
	bool counts = true;

	if (o->aptpl && s->quirks & SIM_NO_APTPL) {
		answer_check(reply, invalid_list);
		return;
	}
	if (o->cmd == SIM_REGISTER && o->key != known) {
		answer_status(reply, CONFLICT);
		return;
	}

	answer_status(reply, GOOD);
	if (!o->sa_key && o->reg < 0)
		return;		/* nothing to do, and nothing done (E4) */

	if (!o->sa_key) {
		counts = !lio;
		unregister(s, o);
	} else if (o->reg >= 0) {
		s->reg[o->reg].key = o->sa_key;
	} else if (!add_reg(s, o)) {
		answer_check(reply, no_resources);
		return;
	}

	s->aptpl = o->aptpl;
	s->generation += counts;
	if (s->quirks & SIM_LIO_NO_PR_DIR)
		answer_check(reply, comm_failure);
}

static void do_reserve(struct sim_lun *s, const struct pr_out *o,
		       struct sim_reply *reply)
{
	if (!type_is_valid(s, o)) {
		answer_check(reply, invalid_cdb);
		return;
	}
	if (!s->type) {
		s->type = o->type;
		s->holder = (u8)o->reg;
	} else if (!reg_holds(s, o->reg) || s->type != o->type) {
		answer_status(reply, CONFLICT);
		return;
	}
	answer_status(reply, GOOD);
}

static void do_release(struct sim_lun *s, const struct pr_out *o,
		       struct sim_reply *reply)
{
	const struct type_row *row = type_of(s);

	answer_status(reply, GOOD);
	if (!reg_holds(s, o->reg))
		return;
	if (o->scope || o->type != s->type) {
		answer_check(reply, invalid_release);
		return;
	}
	if (!row->holder_only)
		attend_all_regs(s, o->nexus, 0x2a, 0x04);
	drop_reservation(s);
}

static void do_clear(struct sim_lun *s, const struct pr_out *o,
		     struct sim_reply *reply)
{
	attend_all_regs(s, o->nexus, 0x2a, 0x03);
	drop_reservation(s);
	memset(s->reg, 0, sizeof(s->reg));
	s->generation++;
	answer_status(reply, GOOD);
}

static void abort_victims(struct sim_lun *s, const struct sim_reg *victim,
			  unsigned int by)
{
	unsigned int i;

	for (i = 0; i < s->nexuses; i++)
		if (reg_is_of(s, victim, i))
			abort_tasks_of(s, i, by);
}

static void do_preempt(struct sim_lun *s, const struct pr_out *o,
		       struct sim_reply *reply)
{
	const struct type_row *row = type_of(s);
	u64 holder_key = row ? s->reg[s->holder].key : 0;
	bool lio = s->quirks & SIM_LIO_PREEMPT;
	bool with_abort = o->cmd == SIM_PREEMPT_ABORT;
	bool everybody = row && row->all_hold && !o->sa_key;
	bool takes_over, keeps_sender;
	u8 old_type = s->type;
	unsigned int n;
	int i;

	if (with_abort && s->quirks & SIM_NO_ABORT) {
		answer_check(reply, invalid_cdb);
		return;
	}
	takes_over = row && o->sa_key == holder_key && (!row->all_hold || lio);
	takes_over |= everybody;
	if ((takes_over || lio) && !type_is_valid(s, o)) {
		answer_check(reply, invalid_cdb);
		return;
	}
	if (!o->sa_key && !everybody) {
		answer_check(reply, invalid_list);
		return;
	}
	if (!everybody && !sim_registrations(s, o->sa_key)) {
		answer_status(reply, CONFLICT);
		return;
	}

	/* L10: commands carry the holder's key, whoever sent them */
	if (with_abort && s->quirks & SIM_LIO_ABORT)
		for (n = 0; row && n < s->nexuses; n++)
			if (everybody || o->sa_key == holder_key)
				abort_tasks_of(s, n, o->nexus);

	keeps_sender = takes_over || s->quirks & SIM_KEEPS_SENDER;
	if (takes_over)
		drop_reservation(s);	/* so that no removal looks for an heir */
	for (i = 0; i < SIM_MAX_REGS; i++) {
		struct sim_reg *reg = &s->reg[i];

		if (!reg->used || (!everybody && reg->key != o->sa_key))
			continue;
		if (i == o->reg && keeps_sender)
			continue;
		attend_reg(s, reg, o->nexus, 0x2a, 0x05);
		if (with_abort && !(s->quirks & SIM_LIO_ABORT))
			abort_victims(s, reg, o->nexus);
		drop_reg(s, i);
	}
	if (takes_over) {
		s->type = o->type;
		s->holder = (u8)o->reg;
		/* of those whose registration is left */
		if (old_type != s->type)
			attend_all_regs(s, o->nexus, 0x2a, 0x04);
	}
	s->generation++;
	answer_status(reply, GOOD);
}

typedef void (*pr_out_fn)(struct sim_lun *s, const struct pr_out *o,
			  struct sim_reply *reply);

static const pr_out_fn pr_out_fns[SIM_CMD_COUNT] = {
	[SIM_REGISTER] = do_register,
	[SIM_REGISTER_IGNORE] = do_register,
	[SIM_RESERVE] = do_reserve,
	[SIM_RELEASE] = do_release,
	[SIM_CLEAR] = do_clear,
	[SIM_PREEMPT] = do_preempt,
	[SIM_PREEMPT_ABORT] = do_preempt,
};

static void pr_out(struct sim_lun *s, unsigned int nexus, const u8 *cdb,
		   const u8 *out, size_t out_len, struct sim_reply *reply)
{
	bool registers;
	struct pr_out o;

	if ((cdb[1] & 0x1f) >= sizeof(out_actions)) {
		answer_check(reply, invalid_cdb);
		return;
	}
	/* a longer list exists with SPEC_I_PT only, which is refused */
	if (get_be(cdb + 5, 4) != 24 || out_len < 24) {
		answer_check(reply, list_length);
		return;
	}

	o = (struct pr_out){
		.nexus = nexus,
		.reg = find_reg(s, nexus),
		.cmd = cmd_of(cdb),
		.key = get_be(out, 8),
		.sa_key = get_be(out + 8, 8),
		.scope = cdb[2] >> 4,
		.type = cdb[2] & 0x0f,
		.aptpl = out[20] & 0x01,
	};
	registers = o.cmd == SIM_REGISTER || o.cmd == SIM_REGISTER_IGNORE;
	if (out[20] & 0x0c) {	/* SPEC_I_PT, ALL_TG_PT: no capability of ours */
		answer_check(reply, invalid_list);
		return;
	}
	if (!registers && o.reg < 0) {
		bool odd = s->quirks & SIM_LIO_STATUS && !s->type &&
			   o.cmd != SIM_PREEMPT && o.cmd != SIM_PREEMPT_ABORT;

		if (odd)
			answer_check(reply, comm_failure);
		else
			answer_status(reply, CONFLICT);
		return;
	}
	if (!registers && s->reg[o.reg].key != o.key) {
		answer_status(reply, CONFLICT);
		return;
	}
	pr_out_fns[o.cmd](s, &o, reply);
}

/* PERSISTENT RESERVE IN */

/* Writes what fits, counts what there is. */
struct sink {
	u8 *buf;
	size_t size;
	size_t len;
};

static void sink_put(struct sink *sink, const u8 *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++, sink->len++)
		if (sink->len < sink->size)
			sink->buf[sink->len] = data[i];
}

static void sink_be(struct sink *sink, u64 value, unsigned int bytes)
{
	u8 raw[8];

	put_be(raw, value, bytes);
	sink_put(sink, raw, bytes);
}

/* Into what was written already, as far as it fits. */
static void sink_patch(struct sink *sink, size_t at, u64 value, unsigned int bytes)
{
	u8 raw[8];
	size_t i;

	put_be(raw, value, bytes);
	for (i = 0; i < bytes && at + i < sink->size; i++)
		sink->buf[at + i] = raw[i];
}

static void read_keys(const struct sim_lun *s, struct sink *sink)
{
	int i;

	sink_be(sink, s->generation, 4);
	sink_be(sink, (u64)count_regs(s) * 8, 4);
	for (i = 0; i < SIM_MAX_REGS; i++)
		if (s->reg[i].used)
			sink_be(sink, s->reg[i].key, 8);
}

static void read_reservation(const struct sim_lun *s, struct sink *sink)
{
	u8 body[16] = { 0 };

	sink_be(sink, s->generation, 4);
	sink_be(sink, s->type ? sizeof(body) : 0, 4);
	if (!s->type)
		return;
	if (!(s->quirks & SIM_LIO_PR_IN) || sink->size >= 22) {
		put_be(body, sim_holder_key(s), 8);
		body[13] = s->type;
	}
	sink_put(sink, body, sizeof(body));
}

static void report_capabilities(const struct sim_lun *s, struct sink *sink)
{
	bool ptpl = !(s->quirks & SIM_NO_APTPL);

	sink_be(sink, 8, 2);
	sink_be(sink, 0x10 | ptpl, 1);		/* CRH, PTPL_C */
	sink_be(sink, 0x80 | s->aptpl, 1);	/* TMV, PTPL_A */
	sink_be(sink, s->types & 0xff, 1);
	sink_be(sink, s->types >> 8, 1);
	sink_be(sink, 0, 2);
}

static size_t transport_id(const struct sim_nexus *n, u64 isid, u8 *id, size_t size)
{
	size_t len;
	int r;

	memset(id, 0, size);
	id[0] = n->protocol;
	switch (n->protocol) {
	case SIM_FC:
		put_be(id + 8, n->wwn, 8);
		return 24;
	case SIM_SAS:
		put_be(id + 4, n->wwn, 8);
		return 24;
	}
	id[0] |= 0x40;
	r = snprintf((char *)id + 4, size - 4, "%s,i,0x%012llx", n->name,
		     (unsigned long long)isid);
	assert(r > 0 && (size_t)r + 5 <= size);
	len = ((size_t)r + 1 + 3) / 4 * 4;
	if (len < 20)
		len = 20;
	put_be(id + 2, len, 2);
	return 4 + len;
}

static void read_full_status(const struct sim_lun *s, struct sink *sink)
{
	bool lio = s->quirks & SIM_LIO_PR_IN;
	int i;

	sink_be(sink, s->generation, 4);
	sink_be(sink, 0, 4);
	for (i = 0; i < SIM_MAX_REGS; i++) {
		const struct sim_reg *reg = &s->reg[i];
		const struct sim_nexus *n = &s->nexus[reg->nexus];
		bool holds = reg->used && reg_holds(s, i);
		u8 raw[24 + 4 + SIM_NAME_MAX + 32] = { 0 };
		size_t id_len;

		if (!reg->used)
			continue;
		put_be(raw, reg->key, 8);
		raw[12] = holds | (s->quirks & SIM_SHARED ? 0x02 : 0);
		raw[13] = holds ? s->type : 0;
		put_be(raw + 18, n->relative_port, 2);
		id_len = transport_id(n, reg->isid, raw + 24, sizeof(raw) - 24);
		put_be(raw + 20, id_len, 4);
		if (lio && sink->len + 24 + id_len > sink->size)
			break;
		sink_put(sink, raw, 24 + id_len);
	}
	sink_patch(sink, 4, sink->len - 8, 4);
}

static void pr_in(struct sim_lun *s, const u8 *cdb, u8 *in, size_t in_size,
		  struct sim_reply *reply)
{
	enum sim_cmd cmd = cmd_of(cdb);
	size_t allocated = get_be(cdb + 7, 2);
	struct sink sink = { in, allocated < in_size ? allocated : in_size, 0 };

	if ((cdb[1] & 0x1f) >= sizeof(in_actions) ||
	    (cmd == SIM_READ_FULL_STATUS && s->quirks & SIM_NO_FULL_STATUS) ||
	    (cmd == SIM_REPORT_CAPABILITIES && s->quirks & SIM_NO_CAPABILITIES) ||
	    (s->quirks & SIM_LIO_PR_IN && allocated < 8)) {
		answer_check(reply, invalid_cdb);
		return;
	}

	answer_status(reply, GOOD);
	switch (cmd) {
	case SIM_READ_KEYS:
		read_keys(s, &sink);
		break;
	case SIM_READ_RESERVATION:
		read_reservation(s, &sink);
		break;
	case SIM_REPORT_CAPABILITIES:
		report_capabilities(s, &sink);
		break;
	default:
		read_full_status(s, &sink);
		break;
	}
	reply->in_len = (u32)(sink.len < sink.size ? sink.len : sink.size);
}

/* The SPC-2 pair; with registrations it has CRH's meaning. */
static void scsi2(struct sim_lun *s, unsigned int nexus, u8 opcode,
		  struct sim_reply *reply)
{
	const struct type_row *row = type_of(s);
	int reg = find_reg(s, nexus);
	bool release = opcode & 1;

	answer_status(reply, GOOD);
	if (count_regs(s)) {
		if (row && row->holder_only ? s->holder != reg : reg < 0)
			answer_status(reply, CONFLICT);
	} else if (release) {
		if (s->scsi2_holder == nexus)
			s->scsi2_holder = SIM_NOBODY;
	} else if (s->scsi2_holder != SIM_NOBODY && s->scsi2_holder != nexus) {
		answer_status(reply, CONFLICT);
	} else {
		s->scsi2_holder = (u8)nexus;
	}
}

/* The way of a command: script, admission, then what it does. */

static const u8 alua_ascq[] = {
	[SIM_ALUA_STANDBY] = 0x0b,
	[SIM_ALUA_UNAVAILABLE] = 0x0c,
	[SIM_ALUA_TRANSITION] = 0x0a,
	[SIM_ALUA_OFFLINE] = 0x12,
};

static bool admit(struct sim_lun *s, unsigned int nexus, const u8 *cdb,
		  struct sim_reply *reply)
{
	const struct opcode_row *row = opcode_of(cdb[0]);
	struct sim_nexus *n = &s->nexus[nexus];
	bool blocked;

	if (!row || (row->need == NEED_PR && s->quirks & SIM_NO_PR)) {
		answer_check(reply, invalid_opcode);
		return false;
	}
	if (n->attentions && !row->hides_attention) {
		answer_check(reply, take_attention(s, n));
		return false;
	}
	blocked = n->alua > SIM_ALUA_STANDBY ||
		  (n->alua == SIM_ALUA_STANDBY &&
		   (row->need != NEED_PR || s->quirks & SIM_STANDBY_REFUSES));
	if (blocked && !row->hides_attention) {
		answer_check(reply, (struct sim_sense){ 0x02, 0x04, alua_ascq[n->alua] });
		return false;
	}
	if (!need_is_met(s, nexus, (enum need)row->need)) {
		answer_status(reply, CONFLICT);
		return false;
	}
	return true;
}

static void perform(struct sim_lun *s, unsigned int nexus, const u8 *cdb,
		    const u8 *out, size_t out_len, u8 *in, size_t in_size,
		    struct sim_reply *reply)
{
	enum sim_cmd cmd = cmd_of(cdb);

	answer_status(reply, GOOD);
	if (cdb[0] == 0x5f)
		pr_out(s, nexus, cdb, out, out_len, reply);
	else if (cdb[0] == 0x5e)
		pr_in(s, cdb, in, in_size, reply);
	else if (cmd == SIM_SCSI2)
		scsi2(s, nexus, cdb[0], reply);
	if (reply->status == GOOD)
		s->good[nexus][cmd]++;
}

static bool take_answer(struct sim_nexus *n, enum sim_cmd cmd, struct sim_answer *answer)
{
	unsigned int i;

	for (i = 0; i < n->answers; i++) {
		if (n->answer[i].cmd != SIM_ANY_CMD && n->answer[i].cmd != cmd)
			continue;
		*answer = n->answer[i];
		n->answers--;
		memmove(n->answer + i, n->answer + i + 1,
			(n->answers - i) * sizeof(*answer));
		memset(n->answer + n->answers, 0, sizeof(*answer));
		return true;
	}
	return false;
}

static void arrive(struct sim_lun *s, unsigned int nexus, bool admitted,
		   const u8 *cdb, const u8 *out, size_t out_len,
		   u8 *in, size_t in_size, struct sim_reply *reply)
{
	struct sim_answer answer;
	bool scripted = take_answer(&s->nexus[nexus], cmd_of(cdb), &answer);

	if ((!scripted || answer.execute) &&
	    (admitted || admit(s, nexus, cdb, reply)))
		perform(s, nexus, cdb, out, out_len, in, in_size, reply);
	if (!scripted)
		return;
	if (answer.host_failed)
		answer_host_failed(reply);
	else if (answer.status == CHECK_CONDITION)
		answer_check(reply, answer.sense);
	else
		answer_status(reply, answer.status);
}

static void enqueue(struct sim_lun *s, unsigned int nexus, const u8 *cdb,
		    const u8 *out, size_t out_len, struct sim_reply *reply)
{
	bool in_target = s->nexus[nexus].path_state == SIM_PATH_QUEUED;
	unsigned int i;

	for (i = 0; i < SIM_MAX_QUEUE; i++) {
		struct sim_queued *q = &s->queue[i];

		if (q->used)
			continue;
		if (in_target && !admit(s, nexus, cdb, reply))
			return;
		q->used = true;
		q->in_target = in_target;
		q->nexus = (u8)nexus;
		memcpy(q->cdb, cdb, SIM_CDB_MAX);
		q->out_len = (u8)(out_len < SIM_OUT_MAX ? out_len : SIM_OUT_MAX);
		if (q->out_len)
			memcpy(q->out, out, q->out_len);
		memset(reply, 0, sizeof(*reply));
		reply->pending = true;
		reply->tag = (u8)i;
		return;
	}
	answer_host_failed(reply);
}

void sim_execute(struct sim_lun *s, unsigned int nexus,
		 const u8 *cdb, size_t cdb_len, const u8 *out, size_t out_len,
		 u8 *in, size_t in_size, struct sim_reply *reply)
{
	u8 full[SIM_CDB_MAX] = { 0 };

	assert(nexus < s->nexuses && cdb_len && cdb_len <= SIM_CDB_MAX);
	memcpy(full, cdb, cdb_len);
	s->sent[nexus][cmd_of(full)]++;

	switch (s->nexus[nexus].path_state) {
	case SIM_PATH_DEAD:
		answer_host_failed(reply);
		break;
	case SIM_PATH_IN_FLIGHT:
	case SIM_PATH_QUEUED:
		enqueue(s, nexus, full, out, out_len, reply);
		break;
	default:
		arrive(s, nexus, false, full, out, out_len, in, in_size, reply);
		if (s->nexus[nexus].path_state == SIM_PATH_NO_STATUS)
			answer_host_failed(reply);
		break;
	}
}

void sim_deliver(struct sim_lun *s, unsigned int tag,
		 u8 *in, size_t in_size, struct sim_reply *reply)
{
	struct sim_queued q;

	answer_host_failed(reply);
	if (tag >= SIM_MAX_QUEUE || !s->queue[tag].used)
		return;		/* lost with its nexus */
	q = s->queue[tag];
	sim_drop(s, tag);
	if (!q.aborted)
		arrive(s, q.nexus, q.in_target, q.cdb, q.out, q.out_len,
		       in, in_size, reply);
	else if (!(s->quirks & SIM_NO_TAS))
		answer_status(reply, TASK_ABORTED);
}

void sim_drop(struct sim_lun *s, unsigned int tag)
{
	assert(tag < SIM_MAX_QUEUE);
	memset(&s->queue[tag], 0, sizeof(s->queue[tag]));
}

unsigned int sim_pending(const struct sim_lun *s, unsigned int nexus)
{
	unsigned int count = 0;
	unsigned int i;

	for (i = 0; i < SIM_MAX_QUEUE; i++)
		count += s->queue[i].used && s->queue[i].nexus == nexus;
	return count;
}

static u8 plain_command(struct sim_lun *s, unsigned int nexus, u8 opcode)
{
	const u8 cdb[16] = { opcode, [13] = 1 };
	struct sim_reply reply;

	sim_execute(s, nexus, cdb, sizeof(cdb), NULL, 0, NULL, 0, &reply);
	return reply.host_failed || reply.pending ? NO_STATUS : reply.status;
}

u8 sim_write(struct sim_lun *s, unsigned int nexus)
{
	return plain_command(s, nexus, 0x8a);
}

u8 sim_read(struct sim_lun *s, unsigned int nexus)
{
	return plain_command(s, nexus, 0x88);
}

void sim_init(struct sim_lun *s)
{
	memset(s, 0, sizeof(*s));
	s->types = ALL_TYPES;
	s->max_regs = SIM_MAX_REGS;
	s->holder = SIM_NOBODY;
	s->scsi2_holder = SIM_NOBODY;
	s->next_isid = 0x00023d000001ULL;
}

unsigned int sim_add_nexus(struct sim_lun *s, enum sim_protocol protocol,
			   u8 host, u8 path)
{
	unsigned int nexus = s->nexuses;
	struct sim_nexus *n = &s->nexus[nexus];

	assert(nexus < SIM_MAX_NEXUS);
	s->nexuses++;
	n->host = host;
	n->path = path;
	n->protocol = protocol;
	n->relative_port = path + 1;
	if (protocol == SIM_ISCSI) {
		n->isid = s->next_isid++;
		snprintf(n->name, sizeof(n->name), "iqn.2003-01.org.example:host%u", host);
	} else {
		n->wwn = 0x5000c50000000000ULL | host << 8 | path;
	}
	return nexus;
}

unsigned int sim_find_nexus(const struct sim_lun *s, u8 host, u8 path)
{
	unsigned int i;

	for (i = 0; i < s->nexuses; i++)
		if (s->nexus[i].host == host && s->nexus[i].path == path)
			return i;
	return SIM_NOBODY;
}

void sim_path_state(struct sim_lun *s, unsigned int nexus, enum sim_path state)
{
	s->nexus[nexus].path_state = state;
}

void sim_alua_state(struct sim_lun *s, unsigned int nexus, enum sim_alua state)
{
	if (s->nexus[nexus].alua != state)
		sim_attention(s, nexus, 0x2a, 0x06);
	s->nexus[nexus].alua = state;
}

void sim_script(struct sim_lun *s, unsigned int nexus, struct sim_answer answer)
{
	struct sim_nexus *n = &s->nexus[nexus];

	assert(n->answers < SIM_MAX_SCRIPT);
	n->answer[n->answers++] = answer;
}

void sim_nexus_loss(struct sim_lun *s, unsigned int nexus)
{
	lose_tasks_of(s, nexus);
	if (s->scsi2_holder == nexus)
		s->scsi2_holder = SIM_NOBODY;
	sim_attention(s, nexus, 0x29, 0x07);
}

void sim_relogin(struct sim_lun *s, unsigned int nexus)
{
	struct sim_nexus *n = &s->nexus[nexus];

	if (n->protocol == SIM_ISCSI) {
		n->isid = s->next_isid++;
		/* what waited for the old nexus is not told to the new one */
		memset(n->attention, 0, sizeof(n->attention));
		n->attentions = 0;
	}
	sim_nexus_loss(s, nexus);
}

static void reset_tasks(struct sim_lun *s, u8 ascq)
{
	unsigned int i;

	s->scsi2_holder = SIM_NOBODY;
	for (i = 0; i < s->nexuses; i++)
		lose_tasks_of(s, i);
	attend_everybody(s, 0x29, ascq);
}

void sim_power_loss(struct sim_lun *s)
{
	unsigned int i;

	if (!s->aptpl) {
		drop_reservation(s);
		memset(s->reg, 0, sizeof(s->reg));
	}
	s->generation = 0;
	for (i = 0; i < s->nexuses; i++) {
		memset(s->nexus[i].attention, 0, sizeof(s->nexus[i].attention));
		s->nexus[i].attentions = 0;
	}
	reset_tasks(s, 0x00);
}

void sim_lun_reset(struct sim_lun *s)
{
	reset_tasks(s, 0x03);
}

void sim_forget_nexus(struct sim_lun *s, unsigned int nexus)
{
	const struct pr_out o = { .nexus = nexus, .reg = find_reg(s, nexus) };

	if (o.reg >= 0)
		unregister(s, &o);
}

bool sim_registered(const struct sim_lun *s, unsigned int nexus, u64 *key)
{
	int reg = find_reg(s, nexus);

	if (key)
		*key = reg >= 0 ? s->reg[reg].key : 0;
	return reg >= 0;
}

bool sim_holds(const struct sim_lun *s, unsigned int nexus)
{
	return reg_holds(s, find_reg(s, nexus));
}

unsigned int sim_registrations(const struct sim_lun *s, u64 key)
{
	unsigned int count = 0;
	int i;

	for (i = 0; i < SIM_MAX_REGS; i++)
		count += s->reg[i].used && (!key || s->reg[i].key == key);
	return count;
}

u64 sim_holder_key(const struct sim_lun *s)
{
	const struct type_row *row = type_of(s);

	return row && !row->all_hold ? s->reg[s->holder].key : 0;
}

u32 sim_sent(const struct sim_lun *s, enum sim_cmd cmd)
{
	u32 count = 0;
	unsigned int i;

	for (i = 0; i < s->nexuses; i++)
		count += s->sent[i][cmd];
	return count;
}

u32 sim_sent_out(const struct sim_lun *s)
{
	u32 count = 0;
	size_t i;

	for (i = 0; i < sizeof(out_actions); i++)
		count += sim_sent(s, out_actions[i]);
	return count;
}

static void mix(u64 *hash, const void *data, size_t len)
{
	const u8 *p = data;

	while (len--) {
		*hash ^= *p++;
		*hash *= 0x100000001b3ULL;	/* FNV-1a */
	}
}

#define MIX(hash, field)	mix(hash, &(field), sizeof(field))

static void mix_sense(u64 *hash, const struct sim_sense *sense)
{
	const u8 raw[] = { sense->key, sense->asc, sense->ascq };

	mix(hash, raw, sizeof(raw));
}

static void mix_nexus(u64 *hash, const struct sim_nexus *n)
{
	const u8 raw[] = { n->host, n->path, n->protocol, n->path_state, n->alua,
			   n->attentions, n->answers };
	unsigned int i;

	mix(hash, raw, sizeof(raw));
	MIX(hash, n->relative_port);
	MIX(hash, n->wwn);
	MIX(hash, n->isid);
	mix(hash, n->name, strlen(n->name) + 1);
	for (i = 0; i < n->attentions; i++)
		mix_sense(hash, &n->attention[i]);
	for (i = 0; i < n->answers; i++) {
		const struct sim_answer *a = &n->answer[i];
		const u8 flags[] = { a->cmd, a->execute, a->host_failed, a->status };

		mix(hash, flags, sizeof(flags));
		mix_sense(hash, &a->sense);
	}
}

/* By field: struct assignment need not copy what lies between fields. */
u64 sim_hash(const struct sim_lun *s)
{
	const u8 raw[] = { s->max_regs, s->nexuses, s->type, s->holder,
			   s->scsi2_holder, s->aptpl };
	u64 hash = 0xcbf29ce484222325ULL;
	unsigned int i;

	mix(&hash, raw, sizeof(raw));
	MIX(&hash, s->quirks);
	MIX(&hash, s->types);
	MIX(&hash, s->generation);
	MIX(&hash, s->next_isid);
	for (i = 0; i < SIM_MAX_REGS; i++) {
		const struct sim_reg *reg = &s->reg[i];
		const u8 head[] = { (u8)i, reg->nexus };

		if (!reg->used)
			continue;
		mix(&hash, head, sizeof(head));
		MIX(&hash, reg->isid);
		MIX(&hash, reg->key);
	}
	for (i = 0; i < s->nexuses; i++)
		mix_nexus(&hash, &s->nexus[i]);
	for (i = 0; i < SIM_MAX_QUEUE; i++) {
		const struct sim_queued *q = &s->queue[i];
		const u8 head[] = { (u8)i, q->in_target, q->aborted, q->nexus, q->out_len };

		if (!q->used)
			continue;
		mix(&hash, head, sizeof(head));
		mix(&hash, q->cdb, sizeof(q->cdb));
		mix(&hash, q->out, q->out_len);
	}
	return hash;
}

const char *sim_cmd_name(enum sim_cmd cmd)
{
	return cmd < SIM_CMD_COUNT ? cmd_names[cmd] : "any";
}
