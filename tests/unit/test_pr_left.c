// SPDX-License-Identifier: GPL-2.0-only
/*
 * What operations leave behind that did not succeed (rules 3.6, 4.2, 5.9, 6.3), and
 * types 7 and 8, where a key of ours is all that says who holds it (rule 5.8).
 */
#include "pr_map_test.h"

static void step_to(struct pw_host *h, enum pr_action action)
{
	while (h->running && h->req.action != action)
		pw_step(h);
	assert_true(h->running);
}

static void to_its_end(struct pw_host *h)
{
	while (pw_step(h))
		;
}

static void all_registrants(void)
{
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	b->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	a->lun.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	b->lun.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
}

static void owner_of_type_7(u32 options)
{
	all_registrants();
	pw_settle(a);
	assert_int_equal(pw_open(a, options), 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
}

/* The next command on @path stays out, and so long that its operation's time is up. */
static void stays_out(struct pw_host *h, int path, unsigned int more)
{
	sim_path_state(target, h->nexus[path], SIM_PATH_IN_FLIGHT);
	h->impatient = true;
	h->expires = h->commands + more;
	to_its_end(h);
	h->expires = 0;
	h->impatient = false;
	sim_path_state(target, h->nexus[path], SIM_PATH_UP);
}

/* A session without reservation, and another host that is owner. */
static void beside_an_owner(void)
{
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	assert_false(writes(a));
}

/* Rules 3.6, 5.1: a forced open whose PREEMPT and undo meet dead paths only. */
static void leftover_keeps_its_paths(void **state)
{
	(void)state;
	beside_an_owner();
	assert_true(pw_open_start(a, FORCED));
	step_to(a, PR_ACT_PREEMPT_ABORT);
	dead(a, 0);
	dead(a, 1);
	to_its_end(a);
	assert_true(pr_why_errno(a->op.why));
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_false(writes(a));
}

/* Rules 3.6, 5.1: a path that is busy when the open takes its registrations back. */
static void unreached_by_the_undo(void **state)
{
	(void)state;
	pw_settle(a);
	owner(b, 0);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_REGISTER);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	step_to(a, PR_ACT_RESERVE);
	step_to(a, PR_ACT_READ_RESERVATION);
	sim_path_state(target, a->nexus[0], SIM_PATH_IN_FLIGHT);
	a->impatient = true;
	pw_step(a);
	a->impatient = false;
	sim_path_state(target, a->nexus[0], SIM_PATH_UP);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), -EBUSY);
	pw_deliver(a, 0);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_false(writes(a));
}

/* Rules 3.6, 6.3: that a late registration is there gives a failed open no right to it. */
static void proof_of_a_failed_open(void **state)
{
	(void)state;
	beside_an_owner();
	assert_true(pw_open_start(a, FORCED));
	step_to(a, PR_ACT_REGISTER);
	stays_out(a, 0, 1);
	pw_settle(b);
	pw_deliver(a, 0);
	a->cancel = 4;
	pw_open_start(a, FORCED);
	to_its_end(a);
	a->cancel = 0;
	assert_true(pr_why_errno(a->op.why));
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_false(writes(a));
}

/* Rules 3.2, 5.9: a session without reservation does not register beside its leftover. */
static void beside_a_leftover(void **state)
{
	(void)state;
	pw_settle(a);
	pw_settle(b);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_RESERVE);
	stays_out(a, 0, 1);
	pw_deliver(a, 0);
	assert_holder(KA);
	pw_background_start(a);
	while (a->running && a->req.action != PR_ACT_REGISTER)
		pw_step(a);
	if (a->running)
		pw_step_on(a, 1);
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	do
		assert_false(writes(a));
	while (pw_step(a));
	pw_settle(a);
	assert_false(writes(a));
}

/* Rules 4.2, 6.3: RELEASE moves on from a path whose registration is gone. */
static void release_where_not_registered(void **state)
{
	unsigned int n;

	(void)state;
	owner_of_type_7(0);
	sim_forget_nexus(target, a->nexus[0]);
	pw_close(a);
	for (n = 0; n < 3 && pw_background_start(a); n++)
		to_its_end(a);
	assert_state(a, PR_STATE_FREE);
	assert_int_equal(target->type, 0);
}

/* Rules 5.3, 5.8: the holder path's own new registration is no sign of life. */
static void registered_anew_and_fenced(void **state)
{
	(void)state;
	owner_of_type_7(0);
	pw_path_fail(a, 0);
	pw_path_fail(a, 1);
	pw_path_back(a, 0);
	a->want_watch = false;
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	assert_int_equal(pw_open(b, FORCED), 0);
	to_its_end(a);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_true(writes(b));
}

/* Rules 5.3, 5.8: with no key of ours there nothing is registered. */
static void fenced_without_registering(void **state)
{
	u32 generation;

	(void)state;
	owner_of_type_7(0);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	generation = target->generation;
	a->want_watch = false;
	assert_true(pw_background_start(a));
	to_its_end(a);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(target->generation, generation);
}

/* The REGISTER of an admission stays out on @path. */
static void one_stays_out(int path)
{
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	sim_path_state(target, a->nexus[path], SIM_PATH_IN_FLIGHT);
	to_its_end(a);
	assert_int_equal(a->busy, 1 << path);
	sim_path_state(target, a->nexus[path], SIM_PATH_UP);
}

/* A REGISTER of host a, owner, on path 1 is still on its way. */
static void with_late_register(u8 type)
{
	all_registrants();
	a->lun.cfg.type = type;
	a->lun.type = type;
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	one_stays_out(1);
}

static void sent_late(void)
{
	with_late_register(PR_TYPE_WRITE_EXCLUSIVE_AR);
}

/* It is done when host b has taken the LUN. */
static void registered_late(void)
{
	sent_late();
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	pw_deliver(a, 1);
	a->want_watch = false;
	a->want_admit = 0;
	assert_int_equal(sim_registrations(target, KA), 1);
}

/* Rules 5.3, 5.8: what a command of before the takeover registers is none either. */
static void registered_late_and_fenced(void **state)
{
	(void)state;
	registered_late();
	pw_conflict(a, 0);
	pw_background_start(a);
	to_its_end(a);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, KB), 2);
}

static void looks(void)
{
	pw_do(a, PR_OP_WATCH, 0);
}

static void meets_a_conflict(void)
{
	pw_do(a, PR_OP_CONFLICT, 1);
}

static void meets_a_conflict_there(void)
{
	pw_do(a, PR_OP_CONFLICT, 2);
	pw_do(a, PR_OP_WATCH, 0);
}

static void admits(void)
{
	pw_do(a, PR_OP_ADMIT, 2);
}

static void opens(void)
{
	a->lun.suspect = true;
	assert_int_equal(pw_open(a, 0), -EBUSY);
}

static void flaps(void)
{
	pw_path_fail(a, 0);
	pw_path_back(a, 0);
	pw_settle(a);
}

/* The proof of path 0 ends without an answer. */
static void conflict_without_a_proof(void)
{
	sim_script(target, a->nexus[0], (struct sim_answer){ .cmd = SIM_REGISTER, .status = 0x40 });
	pw_do(a, PR_OP_CONFLICT, 1);
	pw_settle(a);
	pw_do(a, PR_OP_WATCH, 0);
}

static void open_is_killed(void)
{
	a->lun.suspect = true;
	a->cancel = 1;
	assert_int_not_equal(pw_open(a, 0), 0);
	a->cancel = 0;
	pw_do(a, PR_OP_WATCH, 0);
	pw_settle(a);
}

/* Rules 5.3, 5.8, 5.11: nor is it one when the other host has gone, whoever finds it so. */
static void registered_late_and_alone(void **state)
{
	static void (*const finds[])(void) = {
		looks, meets_a_conflict, meets_a_conflict_there, admits, opens, flaps,
		conflict_without_a_proof,
		open_is_killed,
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
		two_hosts_with(2);
		registered_late();
		assert_int_equal(pw_close(b), 0);
		pw_settle(b);
		assert_int_equal(sim_registrations(target, KB), 0);
		assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
		finds[i]();
		assert_state(a, PR_STATE_FENCED);
		assert_false(writes(a));
		assert_int_equal(pw_close(a), 0);
		pw_settle(a);
		assert_int_equal(pw_open(a, 0), 0);
	}
}

/*
 * Rules 5.3, 5.8: nor when more commands have no known end than were done: what another
 * host sent to take the LUN and to go is not taken for the rest of them.
 */
static void doubts_that_were_not_done(void **state)
{
	unsigned int other, tries;
	int path;

	(void)state;
	two_hosts_with(5);
	owner_of_type_7(0);
	for (path = 1; path < 5; path++) {
		sim_forget_nexus(target, a->nexus[path]);
		pw_path_fail(a, path);
		pw_path_back(a, path);
		for (tries = 0; path > 1 && tries < SIM_MAX_SCRIPT; tries++)
			lose(a, path, SIM_REGISTER, false);
	}
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	sim_path_state(target, a->nexus[1], SIM_PATH_IN_FLIGHT);
	to_its_end(a);
	sim_path_state(target, a->nexus[1], SIM_PATH_UP);
	assert_int_equal(a->lun.doubt, 0x1e);
	other = third_host(KC);
	raw_take(other, KC, 0);
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, target->type, KC, KA), 0);
	pw_deliver(a, 1);
	assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
	assert_int_equal(sim_registrations(target, 0), 1);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	pw_path_fail(a, 0);
	a->want_admit = 0;
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 3.3, 5.3, 5.8: nor when it is another host's that shared the LUN, and took it. */
static void taken_by_one_that_shared(void **state)
{
	unsigned int other = third_host(KC);

	(void)state;
	a->lun.cfg.shared = true;
	raw_take(other, KC, 0);
	sent_late();
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, target->type, KC, KA), 0);
	/* Not every target tells of that. */
	target->nexus[a->nexus[0]].attentions = 0;
	target->nexus[a->nexus[1]].attentions = 0;
	pw_deliver(a, 1);
	a->want_admit = 0;
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
}

/*
 * Rules 5.3, 5.8: LIO counts PREEMPT AND ABORT when what it aborts has ended, and an
 * unregistration never: looks in between take nothing for granted.
 */
static void looked_while_it_is_evicted(void **state)
{
	unsigned int other = third_host(KC);

	(void)state;
	target->quirks |= SIM_LIO;
	sent_late();
	a->want_admit = 0;
	raw_take(other, KC, 0);
	pw_do(a, PR_OP_LOOK, 0);
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, target->type, KC, 0), 0);
	target->generation--;
	target->nexus[a->nexus[0]].attentions = 0;
	pw_deliver(a, 1);
	pw_do(a, PR_OP_LOOK, 0);
	target->generation++;
	assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
	a->want_admit = 0;
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
}

/* All that moves PRgeneration and has an end: another host comes and goes. */
static void comes_and_goes(void)
{
	unsigned int other = third_host(KC), times;

	for (times = 0; times < 3; times++) {
		raw_take(other, KC, 0);
		assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
	}
}

/* A REGISTER on @path, of a nexus that has none, ends without a status. */
static void lost_register(int path, bool done)
{
	unsigned int tries;

	sim_forget_nexus(target, a->nexus[path]);
	pw_path_fail(a, path);
	pw_path_back(a, path);
	lose(a, path, SIM_REGISTER, done);
	for (tries = 1; tries < SIM_MAX_SCRIPT; tries++)
		lose(a, path, SIM_REGISTER, false);
	assert_true(pw_background_start(a));
	to_its_end(a);
	assert_true(a->lun.doubt >> path & 1);
	a->want_admit = 0;
}

/* No path of the owner answers for it: one is dead, the other is in doubt. */
static void left_with_a_doubt(void)
{
	lost_register(1, false);
	pw_path_fail(a, 0);
	a->want_admit = 0;
	/* It asks for the keys. */
	a->lun.baseline = false;
	pw_do(a, PR_OP_WATCH, 0);
}

/* Rules 5.3, 5.8: commands of our own that were done fence nobody. */
static void registered_late_and_intact(void **state)
{
	(void)state;
	two_hosts_with(3);
	owner_of_type_7(0);
	lost_register(1, true);
	lost_register(2, false);
	pw_path_fail(a, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);

	/* Nor an admission. */
	two_hosts_with(2);
	owner_of_type_7(0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	left_with_a_doubt();
	assert_state(a, PR_STATE_OWNER);

	/* Nor proofs without a status, of a path that comes and goes. */
	two_hosts_with(1);
	owner_of_type_7(0);
	sim_lun_reset(target);
	pw_path_fail(a, 0);
	pw_path_back(a, 0);
	a->want_watch = false;
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	pw_step(a);
	lose(a, 0, SIM_REGISTER, true);
	to_its_end(a);
	pw_path_back(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(writes(a));
}

/* Rules 5.3, 5.8: what has been before a session began, or was looked into, fences nobody. */
static void others_of_before(void **state)
{
	(void)state;
	two_hosts_with(2);
	pw_settle(a);
	comes_and_goes();
	owner_of_type_7(0);
	left_with_a_doubt();
	assert_state(a, PR_STATE_OWNER);

	two_hosts_with(2);
	owner_of_type_7(0);
	comes_and_goes();
	pw_do(a, PR_OP_WATCH, 0);
	left_with_a_doubt();
	assert_state(a, PR_STATE_OWNER);

	/* Before the target lost its memory, too. */
	two_hosts_with(2);
	a->lun.cfg.aptpl = false;
	owner_of_type_7(0);
	comes_and_goes();
	pw_do(a, PR_OP_WATCH, 0);
	sim_power_loss(target);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	left_with_a_doubt();
	assert_state(a, PR_STATE_OWNER);

	/* But since then? */
	two_hosts_with(2);
	owner_of_type_7(0);
	comes_and_goes();
	left_with_a_doubt();
	assert_state(a, PR_STATE_FENCED);
}

/* Rules 5.3, 5.8: nor after a look that saw no key of ours, before that command was done. */
static void looked_before_it_is_done(void **state)
{
	(void)state;
	sent_late();
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	pw_do(a, PR_OP_LOOK, 0);
	pw_deliver(a, 1);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
	pw_settle(a);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
}

static void owns_and_goes(void)
{
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	pw_deliver(a, 1);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
}

/* Rules 5.3, 5.8: one of two such keys is no proof for the other. */
static void two_registered_late(void **state)
{
	int path;

	(void)state;
	two_hosts_with(3);
	owner_of_type_7(0);
	for (path = 1; path < 3; path++) {
		sim_forget_nexus(target, a->nexus[path]);
		pw_path_fail(a, path);
		pw_path_back(a, path);
	}
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	for (path = 1; path < 3; path++)
		sim_path_state(target, a->nexus[path], SIM_PATH_IN_FLIGHT);
	while (a->running && a->busy != 6)
		pw_step(a);
	to_its_end(a);
	for (path = 1; path < 3; path++)
		sim_path_state(target, a->nexus[path], SIM_PATH_UP);
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	/* I/O has met the unit attentions. */
	for (path = 0; path < 3; path++)
		target->nexus[a->nexus[path]].attentions = 0;
	pw_deliver(a, 1);
	pw_deliver(a, 2);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
	assert_int_equal(sim_registrations(target, KA), 2);
	pw_do(a, PR_OP_CONFLICT, 2);
	assert_int_equal(a->lun.late, 2);
	assert_state(a, PR_STATE_OWNER);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
}

/* Rules 5.3, 5.8, 5.11: nor when it happens in the midst of a look. */
static void overtaken_after_the_probe(void **state)
{
	(void)state;
	sent_late();
	a->want_admit = 0;
	comes_and_goes();
	when_again_at(a, "WATCH_KEYS", owns_and_goes);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

static u8 type_tried;

/* Another host takes the LUN, has it, and releases it; then host a's command is done. */
static void takes_and_releases(void)
{
	unsigned int other = third_host(KC);

	raw_take(other, KC, 0);
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, type_tried, KC, KA), 0);
	assert_int_equal(raw_out(other, PR_ACT_RELEASE, type_tried, KC, 0), 0);
	assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
	pw_deliver(a, 1);
	pw_path_back(a, 1);
}

/* Rule 5.11: what was overtaken in the midst of a look, or of a retake, is not taken again. */
static void overtaken_and_vanished(void **state)
{
	static const u8 types[] = { PR_TYPE_WRITE_EXCLUSIVE_RO, PR_TYPE_WRITE_EXCLUSIVE_AR };
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		type_tried = types[i & 1];
		two_hosts_with(2);
		with_late_register(type_tried);
		a->want_admit = 0;
		if (i < 2) {
			comes_and_goes();
			when_again_at(a, "WATCH_KEYS", takes_and_releases);
		} else {
			assert_int_equal(raw_out(a->nexus[0], PR_ACT_RELEASE, type_tried, KA, 0),
					 0);
			when_at(a, "EVICT_KEYS", takes_and_releases);
		}
		pw_do(a, PR_OP_WATCH, 0);
		assert_happened(a);
		pw_settle(a);
		pw_do(a, PR_OP_WATCH, 0);
		assert_state(a, PR_STATE_FENCED);
		assert_false(writes(a));
	}
}

static void takes_while_one_dies(struct pw_host *h, unsigned int n, const struct pr_request *req,
				 int path)
{
	unsigned int other = third_host(KC);

	(void)n;
	(void)req;
	if (strcmp(pr_op_stage(&h->op), "REGISTER_PROBE") || path != 5)
		return;
	h->hook = NULL;
	raw_take(other, KC, 0);
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, target->type, KC, KA), 0);
	pw_deliver(a, 1);
	assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
}

/* Rules 5.3, 5.8: proofs that failed, or were never sent, hide no other host's commands. */
static void overtaken_while_it_admits(void **state)
{
	int path;

	(void)state;
	two_hosts_with(6);
	owner_of_type_7(0);
	for (path = 1; path < 6; path++) {
		sim_forget_nexus(target, a->nexus[path]);
		pw_path_fail(a, path);
	}
	pw_path_back(a, 1);
	one_stays_out(1);
	a->want_admit = 0;
	a->want_watch = false;
	pw_path_fail(a, 0);
	/* Writes are under way on paths that are not registered. */
	a->noisy = 0x3c;
	pw_path_back(a, 0);
	for (path = 2; path < 6; path++)
		pw_path_back(a, path);
	dead(a, 5);
	a->hook = takes_while_one_dies;
	assert_true(pw_background_start(a));
	to_its_end(a);
	assert_happened(a);
	pw_conflict(a, 0);
	a->noisy = 0;
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 5.3, 5.8: one registration per host (E7): a late command makes that of all paths. */
static void registered_late_for_all(void **state)
{
	(void)state;
	two_hosts_with(2);
	target->quirks |= SIM_SHARED;
	owner_of_type_7(0);
	assert_true(a->lun.one_entry);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	one_stays_out(1);
	a->want_admit = 0;
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_settle(b);
	target->nexus[a->nexus[0]].attentions = 0;
	target->nexus[a->nexus[1]].attentions = 0;
	pw_deliver(a, 1);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 5.3, 5.8: a target that counts from 0 again may reach any number again. */
static void counts_anew(void **state)
{
	unsigned int other;

	(void)state;
	two_hosts_with(3);
	target->quirks |= SIM_LIO;
	owner_of_type_7(0);
	sim_power_loss(target);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	one_stays_out(1);
	a->want_admit = 0;
	other = third_host(KC);
	raw_take(other, KC, 0);
	assert_int_equal(raw_out(other, PR_ACT_PREEMPT_ABORT, target->type, KC, KA), 0);
	target->nexus[a->nexus[1]].attentions = 0;
	pw_deliver(a, 1);
	assert_int_equal(raw_out(other, PR_ACT_REGISTER, 0, KC, 0), 0);
	assert_int_equal(target->generation, a->lun.intact);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

static void witness_dies(void)
{
	dead(a, 0);
}

static void path_fails(void)
{
	pw_path_fail(a, 0);
}

/* Rules 5.3, 5.8: a witness that dies as it is asked is another thing than none. */
static void witness_without_an_answer(void **state)
{
	(void)state;
	sent_late();
	owns_and_goes();
	target->nexus[a->nexus[0]].attentions = 0;
	target->nexus[a->nexus[1]].attentions = 0;
	a->want_watch = false;
	when_at(a, "ADMIT_WITNESS", witness_dies);
	pw_do(a, PR_OP_ADMIT, 2);
	assert_happened(a);
	pw_settle(a);
	assert_false(writes(a));
	alive(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
}

/* Rules 5.3, 5.8: nor is a late key admitted where no other path is alive at all. */
static void admitted_without_a_witness(void **state)
{
	(void)state;
	sent_late();
	owns_and_goes();
	target->nexus[a->nexus[0]].attentions = 0;
	target->nexus[a->nexus[1]].attentions = 0;
	a->want_watch = false;
	when_at(a, "REGISTER", path_fails);
	pw_do(a, PR_OP_ADMIT, 2);
	assert_happened(a);
	assert_state(a, PR_STATE_FENCED);
}

/* Rule 5.11: between a look's two reads another host has the LUN, and releases it. */
static void overtaken_between_two_reads(void **state)
{
	int path;

	(void)state;
	type_tried = PR_TYPE_WRITE_EXCLUSIVE_RO;
	two_hosts_with(2);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	for (path = 0; path < 2; path++) {
		pw_path_fail(a, path);
		pw_path_back(a, path);
	}
	a->want_watch = false;
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	sim_path_state(target, a->nexus[1], SIM_PATH_IN_FLIGHT);
	sim_path_state(target, a->nexus[0], SIM_PATH_DEAD);
	to_its_end(a);
	for (path = 0; path < 2; path++) {
		sim_path_state(target, a->nexus[path], SIM_PATH_UP);
		target->nexus[a->nexus[path]].attentions = 0;
	}
	a->want_admit = 0;
	pw_path_back(a, 0);
	a->lun.baseline = false;
	when_at(a, "WATCH_KEYS", takes_and_releases);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	a->want_watch = true;
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 4.5, 5.3: a path that leaves takes not the registration of all paths (E7) with it. */
static void leaves_the_others_theirs(void **state)
{
	(void)state;
	two_hosts_with(2);
	target->quirks |= SIM_SHARED;
	owner(a, 0);
	pw_members(a, 1);
	pw_do(a, PR_OP_LEAVE, 2);
	assert_int_equal(sim_registrations(target, KA), 1);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_true(writes(a));
	assert_int_equal(pw_close(a), 0);
	pw_settle(a);
	assert_int_equal(target->type, 0);
}

/* Rule 4.5: a path whose proof was lost leaves the table: its registration goes, too. */
static void leaves_unproven(void **state)
{
	(void)state;
	two_hosts_with(2);
	owner(a, 0);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	assert_true(pw_background_start(a));
	step_to(a, PR_ACT_REGISTER);
	pw_step(a);
	sim_script(target, a->nexus[1], (struct sim_answer){
		.cmd = SIM_REGISTER, .execute = true, .status = 0x40 });
	to_its_end(a);
	assert_int_equal(a->lun.registered, 1);
	pw_members(a, 1);
	pw_do(a, PR_OP_LEAVE, 2);
	assert_int_equal(sim_registrations(target, KA), 1);
}

/* Rule 6.3: of what comes late, only REGISTER(K to K) can have changed nothing. */
static void late_and_harmless(void **state)
{
	struct pr_request req = { .action = PR_ACT_REGISTER, .key = KA, .sa_key = KA };

	(void)state;
	assert_true(pr_request_proves(&req));
	req.action = PR_ACT_PREEMPT;
	assert_false(pr_request_proves(&req));
	req.action = PR_ACT_REGISTER;
	req.key = 0;
	assert_false(pr_request_proves(&req));
	req.key = KA;
	req.sa_key = 0;
	assert_false(pr_request_proves(&req));
	req.key = 0;
	assert_false(pr_request_proves(&req));
}

/* Rules 5.2, 5.6: a REGISTER AND IGNORE without a status refuses nothing. */
static void ignored_without_a_status(void **state)
{
	(void)state;
	two_hosts_with(2);
	assert_int_equal(raw_out(a->nexus[1], PR_ACT_REGISTER, 0, 0, KC), 0);
	lose(a, 1, SIM_REGISTER_IGNORE, false);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(a->lun.registered, 1);
	assert_int_equal(a->lun.refused, 0);
}

/* Rules 5.3, 5.8: two outages in a row, and nobody else: nobody is fenced. */
static void comes_back_twice(void **state)
{
	static const char *const stages[] = { "REGISTER", "REGISTER_PROBE" };
	unsigned int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		unsigned int paths = 1 + (i >> 2);
		int path;

		two_hosts_with(paths);
		owner_of_type_7(0);
		for (path = 0; path < (int)paths; path++)
			pw_path_fail(a, path);
		for (path = 0; path < (int)paths; path++)
			pw_path_back(a, path);
		a->want_watch = false;
		assert_true(pw_background_start(a));
		while (a->running && strcmp(pr_op_stage(&a->op), stages[i & 1]))
			pw_step(a);
		assert_true(a->running);
		for (path = 0; path < (int)paths; path++)
			sim_path_state(target, a->nexus[path], SIM_PATH_IN_FLIGHT);
		to_its_end(a);
		for (path = 0; path < (int)paths; path++) {
			sim_path_state(target, a->nexus[path], SIM_PATH_UP);
			if (i & 2)
				sim_drop(target, a->tag[path]);
			pw_deliver(a, path);
			sim_attention(target, a->nexus[path], 0x29, 0x07);
			pw_path_back(a, path);
		}
		pw_settle(a);
		assert_state(a, PR_STATE_OWNER);
		assert_int_equal(pr_admitted(&a->lun), (1 << paths) - 1);
	}
}

/* Rules 5.3, 5.8, 5.11: nor in the midst of an open that takes what had vanished. */
static void overtaken_while_it_opens_again(void **state)
{
	(void)state;
	sent_late();
	a->want_admit = 0;
	assert_int_equal(raw_out(a->nexus[0], PR_ACT_RELEASE, target->type, KA, 0), 0);
	pw_conflict(a, 0);
	a->conflicts = 0;
	when_at(a, "EVICT_KEYS", owns_and_goes);
	assert_int_equal(pw_open(a, 0), 0);
	assert_happened(a);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 4.5, 5.8, 6.3: nor when the path of that command has left the table. */
static void registered_late_where_it_left(void **state)
{
	(void)state;
	sent_late();
	pw_members(a, 1);
	pw_do(a, PR_OP_LEAVE, 2);
	owns_and_goes();
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 5.3, 5.8, 5.11: nor when all that happens while this owner evicts somebody. */
static void overtaken_while_it_evicts(void **state)
{
	(void)state;
	sent_late();
	pw_settle(b);
	assert_int_equal(raw_out(b->nexus[0], PR_ACT_REGISTER, 0, 0, KB), 0);
	b->lun.registered = 0;
	b->lun.baseline = false;
	a->want_admit = 0;
	a->want_watch = true;
	when_at(a, "EVICT", owns_and_goes);
	assert_true(pw_background_start(a));
	to_its_end(a);
	assert_happened(a);
	/* Its unit attention is not forgotten over a list of keys that proves nothing. */
	assert_true(a->lun.attention);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

/* Rules 3-default, 5.8: nor does it let a default open take the LUN from its owner. */
static void opens_after_a_late_key(void **state)
{
	(void)state;
	all_registrants();
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_REGISTER);
	sim_path_state(target, a->nexus[1], SIM_PATH_IN_FLIGHT);
	a->cancel = 4;
	to_its_end(a);
	a->cancel = 0;
	sim_path_state(target, a->nexus[1], SIM_PATH_UP);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	pw_deliver(a, 1);
	assert_int_equal(sim_registrations(target, KA), 1);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(sim_registrations(target, KB), 2);
	pw_settle(b);
	assert_true(writes(b));
}

/* Rules 5.5, 5.8: nobody overtook: registrations of before count, whatever paths do. */
static void lapsed_and_not_overtaken(void **state)
{
	int path;

	(void)state;
	owner_of_type_7(0);
	for (path = 0; path < 2; path++) {
		pw_path_fail(a, path);
		a->lun.doubt |= 1 << path;
	}
	for (path = 0; path < 2; path++)
		pw_path_back(a, path);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(writes(a));

	/* The target forgets one path while the other is away. */
	pw_path_fail(a, 1);
	sim_forget_nexus(target, a->nexus[0]);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	pw_path_fail(a, 1);
	sim_forget_nexus(target, a->nexus[0]);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(writes(a));

	/* E28: the only path is another nexus now. */
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 1, KA);
	pw_add_host(&world, SIM_ISCSI, 1, KB);
	owner_of_type_7(0);
	sim_relogin(target, a->nexus[0]);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(writes(a));
}

/* Rule 3.1: an owner since the first read is seen, although RESERVE would succeed. */
static void reserved_by_both(void **state)
{
	(void)state;
	all_registrants();
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_REGISTER);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), -EBUSY);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_int_equal(sim_registrations(target, KB), 2);
	assert_true(writes(b));
}

/* Rules 3-default, 3.1: a proof of before is none that the other host has not taken it since. */
static void proven_before_the_other(void **state)
{
	(void)state;
	all_registrants();
	pw_settle(a);
	pw_reboot(a);
	assert_true(pw_open_start(a, 0));
	while (strcmp(pr_op_stage(&a->op), "PROVE"))
		assert_true(pw_step(a));
	assert_true(pw_step_on(a, 1));
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), -EBUSY);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_int_equal(sim_registrations(target, KB), 2);
	assert_true(writes(b));
	assert_false(writes(a));
}

/* Rule 4.8, E36: the path that leaves has the last registration. */
static void last_registration(void **state)
{
	(void)state;
	owner_of_type_7(0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_members(a, 2);
	pw_do(a, PR_OP_LEAVE, 1);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	assert_int_equal(sim_registrations(target, KA), 1);
}

/* Rules 5.8, 5.9: who steps out does so on a path, too, that gave no answer then. */
static void stepped_out_on_all_paths(void **state)
{
	(void)state;
	owner_of_type_7(RETAIN);
	assert_int_equal(pw_close(a), 0);
	assert_state(a, PR_STATE_RETAINED);
	b->lun.cfg.shared = true;
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	dead(a, 1);
	pw_path_fail(a, 1);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	alive(a, 1);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_false(writes(a));
}

/* Rule 3: a PREEMPT without status is not taken for one that broke the reservation. */
static void broken_after_all(void **state)
{
	(void)state;
	all_registrants();
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	lose(a, 0, SIM_PREEMPT_ABORT, false);
	assert_int_equal(pw_open(a, FORCED | NO_RESERVE), 0);
	assert_int_equal(target->type, 0);
	assert_int_equal(sim_registrations(target, KB), 0);
}

/* Rules 5.8, 5.11: with no other host there all keys may be of this operation. */
static void retaken_after_amnesia(void **state)
{
	(void)state;
	a->lun.cfg.aptpl = false;
	owner_of_type_7(0);
	sim_power_loss(target);
	assert_int_equal(sim_registrations(target, 0), 0);
	pw_do(a, PR_OP_WATCH, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	assert_true(writes(a));
}

/* Rules 5.8, E9: a RESERVE without status, by an open that registered all paths itself. */
static void reserved_without_status(void **state)
{
	(void)state;
	all_registrants();
	lose(a, 0, SIM_RESERVE, true);
	assert_int_equal(pw_open(a, 0), 0);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(sim_registrations(target, KA), 2);
}

static void is_taken_for_one(void)
{
	b->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_RO;
	assert_int_equal(pw_open(b, FORCED), 0);
}

/* Rules 3.1, 5.8: what an open found for all registrants may be another host's alone by now. */
static void found_and_taken(void **state)
{
	(void)state;
	owner_of_type_7(RETAIN);
	assert_int_equal(pw_close(a), 0);
	pw_reboot(a);
	a->lun.cfg.shared = true;
	when_at(a, "OWNED", is_taken_for_one);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_happened(a);
	assert_false(writes(a));
	assert_holder(KB);
}

/* Rules 4.2, 5.8: a path that was away when its session stepped out steps out later. */
static void steps_out_later(void **state)
{
	(void)state;
	owner_of_type_7(0);
	assert_int_equal(raw_out(third_host(KC), PR_ACT_REGISTER, 0, 0, KC), 0);
	dead(a, 1);
	pw_path_fail(a, 1);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(sim_registrations(target, KA), 1);
	alive(a, 1);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	assert_state(a, PR_STATE_FREE);
}

/* Rule 3.6: RESERVE that asks for the holder may find nobody, and reserve: that is no secret. */
static void reserved_by_asking(void **state)
{
	(void)state;
	owner(a, RETAIN);
	assert_int_equal(pw_close(a), 0);
	pw_reboot(a);
	assert_state(a, PR_STATE_FREE);
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_RESERVE);
	/* Another host takes it and lets it go, but for one registration of ours. */
	assert_int_equal(raw_out(third_host(KC), PR_ACT_REGISTER, 0, 0, KC), 0);
	sim_forget_nexus(target, a->nexus[0]);
	assert_int_equal(target->type, 0);
	while (a->running && a->req.action == PR_ACT_RESERVE)
		pw_step(a);
	assert_holder(KA);
	a->expires = a->commands + 1;
	to_its_end(a);
	assert_int_not_equal(pr_why_errno(a->op.why), 0);
	assert_holder(KA);
	assert_state(a, PR_STATE_RETAINED);
}

/* Rules 3.1, 5.8: a key that is younger than an eviction does not make its host an owner. */
static void registered_after_an_eviction(void **state)
{
	(void)state;
	all_registrants();
	pw_settle(a);
	pw_settle(b);
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_PREEMPT_ABORT);
	assert_true(pw_open_start(b, 0));
	step_to(b, PR_ACT_REGISTER);
	pw_step(b);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), 0);
	to_its_end(b);
	assert_int_equal(pr_why_errno(b->op.why), -EBUSY);
	assert_false(writes(b));
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_int_equal(sim_registrations(target, KB), 0);
}

/* Rules 3.1, 5.8: who is met in between is taken over, or joined. */
static void met_in_between(void **state)
{
	(void)state;
	all_registrants();
	assert_true(pw_open_start(a, FORCED));
	step_to(a, PR_ACT_REGISTER);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), 0);
	assert_int_equal(sim_registrations(target, KB), 0);

	two_hosts_with(2);
	all_registrants();
	a->lun.cfg.shared = true;
	b->lun.cfg.shared = true;
	assert_true(pw_open_start(a, 0));
	step_to(a, PR_ACT_REGISTER);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(b);
	to_its_end(a);
	assert_int_equal(pr_why_errno(a->op.why), 0);
	assert_true(writes(a));
	assert_true(writes(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(leftover_keeps_its_paths, two_hosts),
		cmocka_unit_test_setup(unreached_by_the_undo, two_hosts),
		cmocka_unit_test_setup(proof_of_a_failed_open, two_hosts),
		cmocka_unit_test_setup(beside_a_leftover, two_hosts),
		cmocka_unit_test_setup(release_where_not_registered, two_hosts),
		cmocka_unit_test_setup(registered_anew_and_fenced, two_hosts),
		cmocka_unit_test_setup(fenced_without_registering, two_hosts),
		cmocka_unit_test_setup(registered_late_and_fenced, two_hosts),
		cmocka_unit_test(registered_late_and_alone),
		cmocka_unit_test(doubts_that_were_not_done),
		cmocka_unit_test_setup(taken_by_one_that_shared, two_hosts),
		cmocka_unit_test_setup(looked_while_it_is_evicted, two_hosts),
		cmocka_unit_test(registered_late_and_intact),
		cmocka_unit_test(others_of_before),
		cmocka_unit_test(two_registered_late),
		cmocka_unit_test_setup(overtaken_after_the_probe, two_hosts),
		cmocka_unit_test(overtaken_and_vanished),
		cmocka_unit_test(overtaken_while_it_admits),
		cmocka_unit_test(registered_late_for_all),
		cmocka_unit_test(counts_anew),
		cmocka_unit_test_setup(witness_without_an_answer, two_hosts),
		cmocka_unit_test_setup(admitted_without_a_witness, two_hosts),
		cmocka_unit_test(overtaken_between_two_reads),
		cmocka_unit_test(leaves_the_others_theirs),
		cmocka_unit_test(leaves_unproven),
		cmocka_unit_test(late_and_harmless),
		cmocka_unit_test(ignored_without_a_status),
		cmocka_unit_test(comes_back_twice),
		cmocka_unit_test_setup(overtaken_while_it_opens_again, two_hosts),
		cmocka_unit_test_setup(registered_late_where_it_left, two_hosts),
		cmocka_unit_test_setup(looked_before_it_is_done, two_hosts),
		cmocka_unit_test_setup(overtaken_while_it_evicts, two_hosts),
		cmocka_unit_test_setup(opens_after_a_late_key, two_hosts),
		cmocka_unit_test_setup(lapsed_and_not_overtaken, two_hosts),
		cmocka_unit_test_setup(reserved_by_both, two_hosts),
		cmocka_unit_test_setup(proven_before_the_other, two_hosts),
		cmocka_unit_test_setup(last_registration, two_hosts),
		cmocka_unit_test_setup(stepped_out_on_all_paths, two_hosts),
		cmocka_unit_test_setup(broken_after_all, two_hosts),
		cmocka_unit_test_setup(retaken_after_amnesia, two_hosts),
		cmocka_unit_test_setup(reserved_without_status, two_hosts),
		cmocka_unit_test_setup(found_and_taken, two_hosts),
		cmocka_unit_test_setup(steps_out_later, two_hosts),
		cmocka_unit_test_setup(reserved_by_asking, two_hosts),
		cmocka_unit_test_setup(registered_after_an_eviction, two_hosts),
		cmocka_unit_test_setup(met_in_between, two_hosts),
	};

	return cmocka_run_group_tests_name("what is left behind", tests, NULL, NULL);
}
