// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decisions against a target that answers anything: every class on every
 * path, any reservation, list of keys and full status, cut off where it likes
 * (rules 5.5 to 5.7). What must hold though nothing that the target says fits
 * together: operations end, commands go where they may go, and this host never
 * takes itself for an owner without having been told so.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "pr_map.h"
#include "uapi/prmpath.h"

#define KEY		0xaaaa000000000001ULL
#define NEW_KEY		0xaaaa000000000011ULL
#define PATHS		5
#define OPERATIONS	24
#define MOST_ROUNDS	600	/* of one operation, with the longest list below */
#define MOST_KEYS	6

static struct {
	struct input in;
	struct pr_lun lun;
	struct pr_op op;
	u8 *data;		/* the last list, kept as the driver keeps it */
	size_t len;
	bool late;		/* the time is up or nobody waits */
	bool read;		/* a READ RESERVATION of the operation was answered */
	bool refusable;		/* its first one named another host's key */
	bool proof;		/* the target said that the LUN is ours */
	bool fenced;
	u64 key;
	unsigned int sent;
} f;

static u64 bit(int path)
{
	return (u64)1 << path;
}

static u64 take_paths(void)
{
	return take_byte(&f.in) & (bit(PATHS) - 1);
}

static u64 take_key(void)
{
	static const u64 keys[] = {
		KEY, KEY, 0xbbbb000000000002ULL, 0xcccc000000000003ULL, NEW_KEY, 0, 1, ~0ULL,
	};

	return keys[take_below(&f.in, COUNT_OF(keys))];
}

static void put_be(u8 *p, u64 value, unsigned int bytes)
{
	while (bytes--) {
		p[bytes] = (u8)value;
		value >>= 8;
	}
}

/* Data-in: as a target would build it, then perhaps spoilt and cut. */
static void make_data(u8 *raw, size_t used)
{
	size_t i;

	if (take_chance(&f.in, 8))
		put_be(raw + 4, take_byte(&f.in), 4);
	if (take_chance(&f.in, 8))
		used = take_below(&f.in, 64) % (used + 1);
	for (i = take_chance(&f.in, 8) ? take_below(&f.in, 4) : 0; i; i--)
		raw[take_byte(&f.in)] = take_byte(&f.in);
	/* The old buffer is gone, as in the driver. */
	free(f.data);
	f.data = malloc(used);
	ALWAYS(f.data || !used);
	if (used)
		memcpy(f.data, raw, used);
	f.len = used;
}

static void make_reservation(void)
{
	u8 raw[256] = { 0 };
	bool held = take_chance(&f.in, 2);

	put_be(raw, take_below(&f.in, 4), 4);
	if (held) {
		put_be(raw + 4, 16, 4);
		put_be(raw + 8, take_key(), 8);
		raw[21] = take_chance(&f.in, 4) ? take_byte(&f.in) : f.lun.cfg.type;
	}
	make_data(raw, held ? 24 : 8);
}

static void make_keys(void)
{
	u8 raw[256] = { 0 };
	unsigned int count = take_below(&f.in, MOST_KEYS + 1), i;

	put_be(raw, take_below(&f.in, 4), 4);
	put_be(raw + 4, count * 8, 4);
	for (i = 0; i < count; i++)
		put_be(raw + 8 + 8 * i, take_key(), 8);
	make_data(raw, 8 + 8 * count);
}

static void make_full(void)
{
	u8 raw[256] = { 0 };
	unsigned int count = take_below(&f.in, 5), i;

	put_be(raw, take_below(&f.in, 4), 4);
	put_be(raw + 4, count * 48, 4);
	for (i = 0; i < count; i++) {
		u8 *d = raw + 8 + 48 * i;

		put_be(d, take_key(), 8);
		d[12] = take_byte(&f.in) & 3;
		d[13] = f.lun.cfg.type;
		put_be(d + 20, 24, 4);
		/* FC; port names of ours are 0 to PR_MAX_PORTS - 1 */
		d[24 + 15] = take_below(&f.in, PR_MAX_PORTS + 1);
	}
	make_data(raw, 8 + 48 * count);
}

/* False: what arrived makes no sense, so that nothing was answered. */
static bool make_answer(const struct pr_request *req, struct pr_reply *reply)
{
	switch (req->action) {
	case PR_ACT_READ_RESERVATION: {
		u8 *keys = f.data;
		size_t len = f.len;
		bool good;

		/* A list stays through this command. */
		f.data = NULL;
		make_reservation();
		good = !pr_decode_reservation(&reply->resv, f.data, f.len);
		free(f.data);
		f.data = keys;
		f.len = len;
		return good;
	}
	case PR_ACT_READ_KEYS:
		make_keys();
		return !pr_decode_keys(&reply->keys, f.data, f.len);
	default:
		make_full();
		reply->full = f.data;
		reply->full_len = f.len;
		return true;
	}
}

static enum pr_class take_class(void)
{
	/* Half of all are GOOD, or the end is never reached. */
	u8 byte = take_byte(&f.in);
	enum pr_class class = byte < 128 ? PR_GOOD : (enum pr_class)(byte % PR_CLASS_COUNT);

	return class;
}

/* On all paths at once, or with @any on one after the other until one answers. */
static void make_reply(const struct pr_request *req, struct pr_reply *reply)
{
	int path;

	for (path = 0; path < PATHS; path++) {
		enum pr_class class;

		if (!(req->paths & bit(path)))
			continue;
		class = take_class();
		if (req->any && class == PR_GOOD && !make_answer(req, reply))
			class = PR_LOST;
		reply->ended[class] |= bit(path);
		if (class == PR_LOST && take_chance(&f.in, 2))
			reply->silent |= bit(path);
		if (req->any && (class == PR_GOOD || class == PR_CONFLICT ||
				 class == PR_UNSUPPORTED || class == PR_BAD_FIELD)) {
			reply->path = path;
			return;
		}
	}
}

static bool all_registrants(u8 type)
{
	return type == 7 || type == 8;
}

/* What the operation may believe after this answer. */
static void note_answer(const struct pr_request *req, const struct pr_reply *reply)
{
	bool good = reply->ended[PR_GOOD];
	const struct pr_resv *r = &reply->resv;

	switch (req->action) {
	case PR_ACT_READ_RESERVATION:
		if (!good)
			break;
		if (!f.read)
			f.refusable = r->held && r->key != f.key && !all_registrants(r->type);
		f.read = true;
		if (r->held && (r->key == f.key || all_registrants(r->type)))
			f.proof = true;
		break;
	case PR_ACT_RESERVE:
	case PR_ACT_PREEMPT:
	case PR_ACT_PREEMPT_ABORT:
		if (good)
			f.proof = true;
		break;
	default:
		break;
	}
}

static void check_out(const struct pr_request *req)
{
	const struct pr_op *op = &f.op;
	bool forced = op->kind == PR_OP_OPEN && (op->options & PRM_OPEN_FORCED);

	/* Rule 3: read always comes before; REVOKE, LEAVE and REKEY follow an earlier one. */
	if (op->kind == PR_OP_OPEN || op->kind == PR_OP_CONFIGURE || op->kind == PR_OP_CLEAR ||
	    op->kind == PR_OP_ADMIT || op->kind == PR_OP_WATCH || op->kind == PR_OP_CONFLICT)
		ALWAYS(f.read || req->cleanup);
	/* A refused open sends nothing that changes the target. */
	if (op->kind == PR_OP_OPEN && !forced)
		ALWAYS(!f.refusable);
	/* Nobody takes the LUN in the background; an owner may take it again. */
	if (req->action == PR_ACT_RESERVE)
		ALWAYS(op->kind == PR_OP_OPEN || f.lun.state == PR_STATE_OWNER);
	switch (req->action) {
	case PR_ACT_REGISTER:
		ALWAYS(!req->key || req->key == f.key);
		ALWAYS(req->key || req->sa_key == f.key);
		ALWAYS(!req->sa_key || req->sa_key == f.key ||
		       (op->kind == PR_OP_REKEY && req->sa_key == op->new_key));
		break;
	case PR_ACT_REGISTER_IGNORE:
		/* Only inside an open, and to clear (rule 3); never as an owner's doing. */
		ALWAYS(op->kind == PR_OP_OPEN || op->kind == PR_OP_CLEAR);
		ALWAYS(!f.fenced && req->sa_key == f.key);
		break;
	case PR_ACT_PREEMPT:
	case PR_ACT_PREEMPT_ABORT:
		ALWAYS(req->key == f.key);
		/* Key 0 means everybody: only where there is no other way. */
		ALWAYS(req->sa_key || (forced && all_registrants(f.lun.seen.type)));
		ALWAYS(!f.fenced);
		break;
	case PR_ACT_CLEAR:
		ALWAYS(op->kind == PR_OP_CLEAR && req->key == f.key);
		break;
	default:
		ALWAYS(req->key == f.key && !req->sa_key);
		break;
	}
	if (req->action >= PR_ACT_CLEAR)
		ALWAYS(!(req->paths & (req->paths - 1)));
}

static void check_request(const struct pr_request *req)
{
	/* Without a key there is nothing to say to a target (rule 5.12). */
	ALWAYS(f.key);
	ALWAYS(req->paths);
	ALWAYS(!(req->paths & ~f.lun.present));
	ALWAYS(req->any == !pr_action_is_out(req->action));
	ALWAYS(!f.late || req->cleanup);
	ALWAYS(*pr_op_stage(&f.op));
	if (!req->any)
		check_out(req);
}

static void check_lun(void)
{
	const struct pr_lun *lun = &f.lun;

	ALWAYS((unsigned int)lun->state < PR_STATE_COUNT && *pr_state_name(lun->state));
	ALWAYS(!((lun->registered | lun->refused | lun->doubt) & ~lun->present));
	ALWAYS(!(pr_admitted(lun) & ~lun->present));
	ALWAYS(lun->holder == PR_NO_PATH || (lun->holder >= 0 && lun->holder < PATHS));
	ALWAYS(lun->ports <= PR_MAX_PORTS);
	if (lun->state == PR_STATE_FENCED || lun->state == PR_STATE_FREE)
		ALWAYS(!pr_gate_open(lun) || !lun->cfg.key);
	/* Rule 5.3: only the last close ends it. */
	if (f.fenced && f.op.kind != PR_OP_CLOSE)
		ALWAYS(lun->state == PR_STATE_FENCED);
}

static void check_end(enum pr_state before)
{
	const struct pr_op *op = &f.op;
	int error = pr_why_errno(op->why);

	ALWAYS((unsigned int)op->why < PR_WHY_COUNT && *pr_why_text(op->why));
	ALWAYS(*pr_op_name(op->kind));
	/* The budget must be the long one before the first PREEMPT (rule 6.3). */
	if (op->fought)
		ALWAYS(pr_op_may_preempt(op));
	ALWAYS(error <= 0);
	if (op->why == PR_WHY_OK || op->why == PR_WHY_JOINED)
		ALWAYS(!error);
	check_lun();
	/* Nothing makes an owner but an open, and that with the target's word. */
	if (f.lun.state == PR_STATE_OWNER && before != PR_STATE_OWNER)
		ALWAYS(op->kind == PR_OP_OPEN && f.proof && !error);
	if (op->kind == PR_OP_OPEN && !error && !(op->options & PRM_OPEN_BYPASS))
		ALWAYS(pr_gate_open(&f.lun));
	/* Rule 3.6: an open that failed gives nobody the right to write. */
	if (op->kind == PR_OP_OPEN && error)
		ALWAYS(!f.key || !pr_gate_open(&f.lun) || f.lun.opened);
	if (op->kind == PR_OP_CLOSE)
		ALWAYS(!f.lun.opened && !f.lun.session && f.lun.state != PR_STATE_OWNER &&
		       f.lun.state != PR_STATE_FENCED && f.lun.state != PR_STATE_NO_RESERVE);
	ALWAYS(!(op->settled & ~f.lun.present) && !(op->configure & ~f.lun.present));
}

/* Between two commands a path may die, come back, or be taken out. */
static void disturb(void)
{
	int path = (int)take_below(&f.in, PATHS);

	switch (take_below(&f.in, 16)) {
	case 0:
		f.lun.live &= ~bit(path);
		pr_path_gone(&f.lun, path);
		break;
	case 1:
		f.lun.live |= bit(path) & f.lun.present;
		break;
	case 2:
		f.op.cancelled = true;
		f.late = true;
		break;
	default:
		break;
	}
}

/* With PRM_TRACE in the environment, as the simulator's hosts do it. */
static void trace(const struct pr_request *req, const struct pr_reply *reply)
{
	unsigned int class;

	fprintf(stderr, "# %-9s %-18s %s paths %llx key %llx sa %llx type %u:",
		pr_op_name(f.op.kind), pr_op_stage(&f.op), pr_action_name(req->action),
		(unsigned long long)req->paths, (unsigned long long)req->key,
		(unsigned long long)req->sa_key, req->type);
	for (class = 0; class < PR_CLASS_COUNT; class++)
		if (reply->ended[class])
			fprintf(stderr, " %s %llx", pr_class_name((enum pr_class)class),
				(unsigned long long)reply->ended[class]);
	if (req->action == PR_ACT_READ_RESERVATION && reply->ended[PR_GOOD])
		fprintf(stderr, " held %d key %llx type %u gen %u", reply->resv.held,
			(unsigned long long)reply->resv.key, reply->resv.type,
			reply->resv.generation);
	fprintf(stderr, "%s; %s\n", f.late ? ", late" : "", pr_state_name(f.lun.state));
}

static void run(void)
{
	enum pr_state before = f.lun.state;
	struct pr_request req;
	struct pr_reply reply;
	unsigned int rounds;
	bool more;

	more = pr_next(&f.lun, &f.op, NULL, &req);
	for (rounds = 0; more; rounds++) {
		ALWAYS(rounds < MOST_ROUNDS);
		check_request(&req);
		check_lun();
		f.fenced = f.lun.state == PR_STATE_FENCED;
		memset(&reply, 0, sizeof(reply));
		reply.path = PR_NO_PATH;
		make_reply(&req, &reply);
		if (take_chance(&f.in, 16))
			reply.attention = req.paths;
		if (take_chance(&f.in, 32))
			f.late = true;
		reply.timed_out = f.late;
		note_answer(&req, &reply);
		if (f.in.left)
			disturb();
		if (getenv("PRM_TRACE"))
			trace(&req, &reply);
		more = pr_next(&f.lun, &f.op, &reply, &req);
	}
	check_end(before);
	if (f.op.kind == PR_OP_REKEY && f.lun.cfg.key != f.key)
		f.key = f.lun.cfg.key;
	f.fenced = f.lun.state == PR_STATE_FENCED;
}

static void begin(enum pr_op_kind kind)
{
	pr_op_init(&f.op, kind);
	f.late = false;
	f.read = false;
	f.refusable = false;
	f.proof = false;
}

/* A path leaves the table for good, or another one comes. */
static void change_paths(u64 paths)
{
	int path;

	for (path = 0; path < PATHS; path++) {
		if (!(paths & bit(path)))
			continue;
		if (!(f.lun.present & bit(path))) {
			f.lun.present |= bit(path);
			f.lun.live |= bit(path);
			continue;
		}
		pr_path_gone(&f.lun, path);
		f.lun.present &= ~bit(path);
		f.lun.live &= ~bit(path);
		f.lun.doubt &= ~bit(path);
		if (f.lun.holder == path)
			f.lun.holder = PR_NO_PATH;
	}
}

static void operation(void)
{
	enum pr_op_kind kind = (enum pr_op_kind)take_below(&f.in, PR_OP_COUNT + 2);
	bool made;

	if ((unsigned int)kind >= PR_OP_COUNT) {
		if (kind == PR_OP_COUNT)
			change_paths(take_paths());
		f.op.started = false;
		return;
	}
	if (kind == PR_OP_REVOKE) {
		/* Of an open that has just succeeded, and of nothing else. */
		made = f.op.kind == PR_OP_OPEN && f.op.started && !pr_why_errno(f.op.why);
		if (!made)
			return;
		pr_op_revoke(&f.op);
		f.late = false;
		f.op.cancelled = false;
		run();
		return;
	}
	begin(kind);
	f.op.options = kind == PR_OP_OPEN ? take_byte(&f.in) & 0x3f : 0;
	f.op.paths = take_paths() & f.lun.present;
	f.op.new_key = kind != PR_OP_REKEY || take_chance(&f.in, 4) ? 0 : NEW_KEY;
	ALWAYS(!strcmp(pr_op_stage(&f.op), "BEGIN"));
	/* What was not decided then may be decided when its turn comes. */
	if (kind == PR_OP_OPEN && !take_chance(&f.in, 4) && pr_open_local(&f.lun, &f.op)) {
		check_lun();
		return;
	}
	run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const u8 types[] = { 5, 5, 5, 6, 7, 8, 1, 3 };
	struct pr_config cfg;
	unsigned int i, flags;

	memset(&f, 0, sizeof(f));
	f.in = (struct input){ .next = data, .left = size, .again = size };
	flags = take_byte(&f.in);
	f.key = flags == 0xff ? 0 : KEY;
	cfg = (struct pr_config){
		.key = f.key,
		.type = types[take_below(&f.in, sizeof(types))],
		.aptpl = flags & 1,
		.shared = flags & 2,
		.twin_trust = flags & 4,
		.abort_optional = flags & 8,
	};
	pr_lun_init(&f.lun, &cfg);
	f.lun.present = cfg.type < 5 ? 1 : bit(PATHS) - 1;
	f.lun.live = f.lun.present;
	f.lun.ports = flags / 16 % (PR_MAX_PORTS + 1);
	for (i = 0; i < f.lun.ports; i++) {
		f.lun.port[i].len = 8;
		f.lun.port[i].id[7] = (u8)i;
	}
	begin(PR_OP_LOOK);
	for (i = 0; f.in.left && i < OPERATIONS; i++)
		operation();
	free(f.data);
	return 0;
}
