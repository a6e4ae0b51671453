// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hosts and a target, and the bytes are what happens: opens, closes, background
 * work, reloads and messages, step by step, with dying paths, lost commands and
 * scripted answers in between. What must never happen, the storm tests know; the
 * rest here holds even where the target lies or an outsider meddles.
 */
#define main storm_tests
#include "unit/test_pr_storm.c"
#undef main

#include "fuzz.h"

#define MOST_STEPS	400
#define RAW_KEY		0xdddd000000000004ULL

static struct input in;

/*
 * What the storm's checks rely on: every host with a key of its own, types that
 * let one host write, nobody beside the hosts, and a target that keeps its word.
 * Most programs are such ones, whatever their bytes ask for.
 */
static bool storm_holds;
static bool meddling;
static bool forgotten;	/* a registration, without a sign that one could read (E14) */

static u64 bit_of(int path)
{
	return (u64)1 << path;
}

static struct pw_host *take_host(void)
{
	return &world.host[take_below(&in, world.hosts)];
}

static int take_path(const struct pw_host *h)
{
	int path, count = 0;

	for (path = 0; path < PW_MAX_PATHS; path++)
		count += h->lun.present >> path & 1;
	return count ? (int)take_below(&in, 4) % count : 0;
}

/* Masks stay inside each other, and commands go where there are paths. */
static void check_host(const struct pw_host *h)
{
	const struct pr_lun *lun = &h->lun;

	ALWAYS((unsigned int)lun->state < PR_STATE_COUNT);
	ALWAYS(lun->present == (h->members | h->leaving));
	ALWAYS(!(lun->live & ~lun->present));
	ALWAYS(!(pr_admitted(lun) & h->members & ~lun->present));
	ALWAYS(lun->holder >= PR_NO_PATH && lun->holder < PW_MAX_PATHS);
	ALWAYS(h->commands < MOST_COMMANDS);
	if (lun->state == PR_STATE_FENCED)
		ALWAYS(!writes(h));
	if (!h->running)
		return;
	ALWAYS(h->req.paths && !(h->req.paths & ~lun->present));
	ALWAYS(h->req.any == !pr_action_is_out(h->req.action));
	if (pr_action_is_out(h->req.action) && h->req.action != PR_ACT_REGISTER &&
	    h->req.action != PR_ACT_REGISTER_IGNORE)
		ALWAYS(h->req.key == lun->cfg.key);
}

static void check_all(void)
{
	unsigned int i;

	for (i = 0; i < world.hosts; i++)
		check_host(&world.host[i]);
	if (storm_holds)
		check_world();
}

static void go(struct pw_host *h)
{
	if (!h->running)
		return;
	if (storm_holds)
		step(h);
	else
		pw_step(h);
	check_all();
}

static void go_to_end(struct pw_host *h)
{
	unsigned int steps;

	for (steps = 0; h->running; steps++) {
		ALWAYS(steps < MOST_COMMANDS);
		go(h);
	}
}

static void open_one(struct pw_host *h)
{
	u32 options = take_byte(&in) & 0x3f;
	unsigned int i = (unsigned int)(h - world.host);

	if (h->running)
		return;
	shadow[i].held = sim_holder_key(target) == h->lun.cfg.key;
	if (!pw_open_start(h, options) && storm_holds && !(options & BYPASS) &&
	    h->op.why != PR_WHY_OPTIONS)
		ended(h);
}

static void close_one(struct pw_host *h)
{
	unsigned int i = (unsigned int)(h - world.host);

	if (h->running)
		return;
	shadow[i] = (struct shadow){ 0 };
	pw_close_start(h);
}

/* What a reload, a message or the end of an open asks for. */
static void other_operation(struct pw_host *h)
{
	static const enum pr_op_kind kinds[] = {
		PR_OP_LOOK, PR_OP_RELEASE, PR_OP_UNREGISTER, PR_OP_CLEAR, PR_OP_LEAVE,
		PR_OP_REKEY, PR_OP_CONFIGURE, PR_OP_ADMIT,
	};
	enum pr_op_kind kind = kinds[take_below(&in, 8)];

	/* CLEAR ends every host's reservation. */
	if (h->running || (kind == PR_OP_CLEAR && !meddling))
		return;
	if (kind == PR_OP_LEAVE && !h->leaving)
		return;
	pw_prepare(h, kind);
	h->op.paths = kind == PR_OP_LEAVE ? h->leaving : h->members;
	h->op.new_key = h->lun.cfg.key ^ 0x10;
	pw_start(h);
}

static void revoke(struct pw_host *h)
{
	unsigned int i = (unsigned int)(h - world.host);

	if (h->running || h->op.kind != PR_OP_OPEN || !h->op.started ||
	    pr_why_errno(h->op.why))
		return;
	pr_op_revoke(&h->op);
	if (shadow[i].opens)
		shadow[i].opens--;
	pw_start(h);
	if (!h->running && storm_holds)
		ended(h);
}

/* The paths that the host has cables for. */
static u64 all_paths(const struct pw_host *h)
{
	u64 paths = 0;
	int path;

	for (path = 0; path < PW_MAX_PATHS; path++)
		if (sim_find_nexus(target, (u8)(h - world.host), (u8)path) != SIM_NOBODY)
			paths |= bit_of(path);
	return paths;
}

/* A reload: the paths of the new table, at least one. */
static void reload(struct pw_host *h)
{
	u64 members = take_byte(&in) & all_paths(h);

	if (!h->running)
		pw_members(h, members ? members : 1);
}

/* Of an idle host; with the paths of its first table, whose ports it knows then. */
static void reboot(struct pw_host *h)
{
	if (h->running || h->lun.state != PR_STATE_FREE || h->busy)
		return;
	pw_members(h, all_paths(h));
	pw_reboot(h);
	shadow[h - world.host] = (struct shadow){ 0 };
}

/* An answer out of the bytes; one that an honest target could give, or meddling. */
static void script(struct pw_host *h, int path)
{
	static const u8 statuses[] = { 0x00, 0x02, 0x02, 0x02, 0x08, 0x18, 0x28, 0x40, 0x30 };
	struct sim_nexus *n = &target->nexus[h->nexus[path]];
	struct sim_answer answer = {
		.cmd = take_below(&in, SIM_ANY_CMD + 1),
		.execute = take_chance(&in, 2),
		.host_failed = take_chance(&in, 3),
		.status = statuses[take_below(&in, sizeof(statuses))],
	};
	enum pr_class class;
	bool done;

	if (answer.status == 0x02)
		answer.sense = (struct sim_sense){ take_below(&in, 16), take_byte(&in),
						   take_byte(&in) };
	if (n->answers == SIM_MAX_SCRIPT)
		return;
	class = pr_classify(&(struct pr_result){
		.host_failed = answer.host_failed, .status = answer.status,
		.sense_valid = answer.status == 0x02, .key = answer.sense.key,
		.asc = answer.sense.asc, .ascq = answer.sense.ascq }, PR_ACT_REGISTER);
	/* Done and said to be, or neither, or nobody knows; no conflict out of nowhere. */
	done = class == PR_GOOD;
	if (!meddling && class != PR_LOST && (class == PR_CONFLICT || answer.execute != done))
		return;
	sim_script(target, h->nexus[path], answer);
}

static void path_event(struct pw_host *h, int path)
{
	switch (take_below(&in, 8)) {
	case 0:
		dead(h, path);
		break;
	case 1:
		alive(h, path);
		break;
	case 2:
		sim_path_state(target, h->nexus[path], SIM_PATH_NO_STATUS);
		break;
	case 3:
		sim_path_state(target, h->nexus[path], SIM_PATH_IN_FLIGHT);
		break;
	case 4:
		sim_path_state(target, h->nexus[path], SIM_PATH_QUEUED);
		break;
	case 5:
		pw_path_fail(h, path);
		break;
	case 6:
		pw_path_back(h, path);
		break;
	default:
		pw_deliver(h, path);
		break;
	}
}

static void target_event(struct pw_host *h, int path)
{
	unsigned int i;

	switch (take_below(&in, 8)) {
	case 0:
		sim_power_loss(target);
		/* No host can tell then who was the last owner (rule 5.11). */
		for (i = 0; i < world.hosts && !target->aptpl; i++)
			shadow[i].overtaken = false;
		break;
	case 1:
		sim_lun_reset(target);
		break;
	case 2:
		sim_nexus_loss(target, h->nexus[path]);
		break;
	case 3:
		sim_relogin(target, h->nexus[path]);
		pw_path_fail(h, path);
		pw_path_back(h, path);
		break;
	case 4:
		sim_forget_nexus(target, h->nexus[path]);
		forgotten = true;
		break;
	case 5:
		sim_alua_state(target, h->nexus[path],
			       (enum sim_alua)take_below(&in, SIM_ALUA_OFFLINE + 1));
		break;
	default:
		sim_attention(target, h->nexus[path], 0x29 + take_below(&in, 7),
			      take_byte(&in));
		break;
	}
}

/* Somebody with a key of his own, who asks nobody. */
static void outsider(void)
{
	static const enum pr_action actions[] = {
		PR_ACT_REGISTER_IGNORE, PR_ACT_RESERVE, PR_ACT_RELEASE, PR_ACT_CLEAR,
		PR_ACT_PREEMPT, PR_ACT_PREEMPT_ABORT,
	};
	static const u8 types[] = { 5, 5, 6, 7, 8, 1, 3 };
	static const u64 keys[] = { KA, KB, KC, RAW_KEY };
	enum pr_action action = actions[take_below(&in, 6)];
	u8 type = types[take_below(&in, 7)];
	u64 sa_key = action == PR_ACT_REGISTER_IGNORE ? RAW_KEY : keys[take_below(&in, 4)];

	if (!meddling)
		return;
	raw_out(third_host(RAW_KEY), action, type, RAW_KEY, sa_key);
}

static void budget(struct pw_host *h)
{
	h->expires = take_below(&in, 9);
	h->cancel = take_below(&in, 3) ? 0 : take_below(&in, 9);
	h->keys_room = take_below(&in, 4) ? 0 : 8 + take_below(&in, 32);
}

static void event(void)
{
	u8 op = take_byte(&in);
	struct pw_host *h = take_host();
	int path = take_path(h);

	switch (op % 32) {
	case 0 ... 6:
		go(h);
		break;
	case 7 ... 10:
		go_to_end(h);
		break;
	case 11 ... 13:
		open_one(h);
		break;
	case 14:
	case 15:
		close_one(h);
		break;
	case 16 ... 18:
		pw_background_start(h);
		break;
	case 19:
		h->want_watch = true;
		break;
	case 20:
		pw_conflict(h, path);
		break;
	case 21:
	case 22:
		path_event(h, path);
		break;
	case 23:
		target_event(h, path);
		break;
	case 24:
	case 25:
		script(h, path);
		break;
	case 26:
		other_operation(h);
		break;
	case 27:
		revoke(h);
		break;
	case 28:
		reload(h);
		break;
	case 29:
		budget(h);
		break;
	case 30:
		reboot(h);
		break;
	default:
		outsider();
		break;
	}
	check_all();
}

static void make_world(void)
{
	static const enum sim_protocol protocols[] = { SIM_FC, SIM_ISCSI, SIM_SAS };
	static const u8 types[] = { 5, 5, 5, 6, 7, 8 };
	static const u64 keys[] = { KA, KB, KC };
	unsigned int hosts, flags, i;
	u32 quirks;

	pw_init(&world);
	memset(shadow, 0, sizeof(shadow));
	flags = take_byte(&in);
	meddling = flags >= 192;
	forgotten = false;
	storm_holds = !meddling;
	quirks = (u32)take_be(&in, 3);
	/* Registrations that a host shares or that outlive PREEMPT are not its own. */
	if (!meddling)
		quirks &= ~(u32)(SIM_SHARED | SIM_KEEPS_SENDER);
	world.target.quirks = (flags & 1 ? SIM_LIO : quirks) & ~(u32)SIM_LIO_NO_PR_DIR;
	hosts = 1 + take_below(&in, PW_MAX_HOSTS);
	for (i = 0; i < hosts; i++) {
		struct pw_host *h = pw_add_host(&world, protocols[take_below(&in, 3)],
						1 + take_below(&in, 4),
						meddling && flags & 2 ? KA : keys[i]);
		u8 config = take_byte(&in);

		h->lun.cfg.type = types[flags / 4 % (meddling ? 6 : 4)];
		h->lun.cfg.shared = meddling && config & 1;
		h->lun.cfg.twin_trust = meddling && config & 2;
		h->lun.cfg.abort_optional = config & 4;
		h->lun.cfg.aptpl = !(config & 8);
		h->lun.type = h->lun.cfg.type;
	}
}

static void settle(struct pw_host *h)
{
	unsigned int rounds;

	for (rounds = 0; rounds < 8 && pw_background_start(h); rounds++)
		go_to_end(h);
}

/* An owner that has just looked is one, and so is each path that it uses. */
static void check_owner(const struct pw_host *h)
{
	int path;
	u64 key;

	if (h->lun.state != PR_STATE_OWNER)
		return;
	ALWAYS(sim_holder_key(target) == h->lun.cfg.key);
	for (path = 0; path < PW_MAX_PATHS; path++)
		if (pr_admitted(&h->lun) & h->members & bit_of(path))
			ALWAYS(forgotten || (sim_registered(target, h->nexus[path], &key) &&
					     key == h->lun.cfg.key));
}

/* All paths are well and nobody disturbs: operations and background work end. */
static void calm_down(void)
{
	unsigned int i;
	int path;

	for (i = 0; i < target->nexuses; i++) {
		target->nexus[i].answers = 0;
		target->nexus[i].alua = SIM_ALUA_OPTIMIZED;
		sim_path_state(target, i, SIM_PATH_UP);
	}
	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];

		h->expires = 0;
		h->cancel = 0;
		h->keys_room = 0;
		for (path = 0; path < PW_MAX_PATHS; path++)
			pw_deliver(h, path);
		go_to_end(h);
		for (path = 0; h->members >> path; path++)
			if (h->members >> path & 1)
				pw_path_back(h, path);
	}
}

/* Then owners know what they have, and what is closed is closed. */
static void check_rest(void)
{
	unsigned int i;

	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];

		settle(h);
		h->want_watch = true;
		settle(h);
		if (storm_holds)
			check_owner(h);
	}
	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];

		close_one(h);
		go_to_end(h);
		settle(h);
		check_all();
		ALWAYS(h->lun.state == PR_STATE_FREE || h->lun.state == PR_STATE_RETAINED ||
		       (!storm_holds && h->lun.state == PR_STATE_RELEASING));
		ALWAYS(!pr_gate_open(&h->lun));
		if (storm_holds && h->lun.state == PR_STATE_FREE)
			ALWAYS(sim_holder_key(target) != h->lun.cfg.key);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int steps;

	in = (struct input){ .next = data, .left = size };
	make_world();
	for (steps = 0; in.left && steps < MOST_STEPS; steps++)
		event();
	calm_down();
	check_rest();
	return 0;
}
