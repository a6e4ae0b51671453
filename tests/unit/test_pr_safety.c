// SPDX-License-Identifier: GPL-2.0-only
/*
 * Section 5: who may write, and when a host gives up or takes again.
 */
#include "pr_map_test.h"

/* Rules 5.1 and 5.2. */
static void gate(void **state)
{
	(void)state;
	assert_false(pr_gate_open(&a->lun));
	pw_settle(a);
	assert_false(pr_gate_open(&a->lun));
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_true(pr_gate_open(&a->lun));
	assert_int_equal(pw_close(a), 0);
	assert_false(pr_gate_open(&a->lun));
	owner(a, 0);
	pw_path_fail(a, 0);
	assert_int_equal(pr_admitted(&a->lun), 2);
	/* Back: not before it is registered and verified. */
	pw_path_back(a, 0);
	assert_int_equal(pr_admitted(&a->lun), 2);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/*
 * Rules 5.1, 3.6: an open of a session without reservation may register under another
 * host's; nothing is written until it has ended, nor registered beside older writes.
 */
static void registering_without_reservation(void **state)
{
	static const u32 options[] = { 0, FORCED, FORCED | NO_RESERVE };
	unsigned int i, registered;

	(void)state;
	for (i = 0; i < 3; i++) {
		two_hosts_with(2);
		assert_int_equal(pw_open(a, NO_RESERVE), 0);
		pw_settle(b);
		if (options[i] & FORCED) {
			owner(b, 0);
			pw_settle(b);
		}
		/* The last of them fails, and undoes what it has done. */
		target->quirks |= options[i] ? SIM_NO_ABORT : 0;
		assert_true(pw_open_start(a, options[i]));
		for (registered = 0; a->running; pw_step(a)) {
			if (a->req.action == PR_ACT_REGISTER && !a->req.key) {
				assert_true(a->req.quiet);
				registered++;
			}
			assert_int_equal(pr_admitted(&a->lun), registered ? 0 : 3);
		}
		assert_true(registered);
		assert_int_equal(pr_admitted(&a->lun), 3);
		assert_int_equal(writes(a), !options[i]);
		assert_int_equal(sim_registrations(target, KA), options[i] ? 0 : 2);
	}
}

/* Rule 5.2: while an admission runs, its path is not used. */
static void admission_in_steps(void **state)
{
	(void)state;
	owner(a, 0);
	assert_int_equal(a->lun.holder, 0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	assert_true(pw_background_start(a));
	while (a->running) {
		assert_int_equal(pr_admitted(&a->lun), 1);
		pw_step(a);
	}
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(sim_registrations(target, KA), 2);
}

/* Rule 5.3, E23: taken over while a path was away, at any point of the admission. */
static void takeover_during_admission(void **state)
{
	unsigned int n, witness;

	(void)state;
	for (witness = 0; witness < 2; witness++)
		for (n = 0; n < 9; n++) {
			unsigned int i;

			two_hosts_with(2);
			owner(a, 0);
			pw_settle(b);
			if (!witness)
				dead(a, 0);
			if (!witness)
				pw_path_fail(a, 0);
			sim_forget_nexus(target, a->nexus[1]);
			pw_path_fail(a, 1);
			pw_path_back(a, 1);
			pw_background_start(a);
			for (i = 0; i < n && a->running; i++)
				pw_step(a);
			assert_int_equal(pw_open(b, FORCED), 0);
			while (pw_step(a))
				assert_false(writes(a));
			assert_false(writes(a));
			pw_settle(a);
			if (a->lun.state == PR_STATE_OWNER)
				pw_do(a, PR_OP_WATCH, 0);
			assert_state(a, PR_STATE_FENCED);
			pw_settle(b);
			assert_holder(KB);
			assert_int_equal(sim_registrations(target, KA), 0);
			assert_true(writes(b));
		}
}

/* Rule 5.3 with types 7 and 8: K is gone, others hold on. */
static void thrown_out_of_all_registrants(void **state)
{
	(void)state;
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	b->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	a->lun.cfg.shared = true;
	b->lun.cfg.shared = true;
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(pw_open(b, 0), 0);
	pw_settle(a);
	pw_path_fail(a, 1);
	assert_int_equal(raw_out(b->nexus[0], PR_ACT_PREEMPT_ABORT,
				 PR_TYPE_WRITE_EXCLUSIVE_AR, KB, KA), 0);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_true(writes(b));
}

/* Rule 5.3: latched until the last close; no open, message or look helps. */
static void fence_is_latched(void **state)
{
	u32 sent;

	(void)state;
	owner(a, 0);
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_true(a->op.events & PR_EVENT_FENCED);
	assert_int_equal(pw_close(b), 0);	/* free again */
	sent = sim_sent_out(target);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_FENCED);
	assert_int_equal(pw_open(a, FORCED), -EBUSY);
	assert_int_equal(pw_open(a, NO_RESERVE), -EBUSY);
	assert_int_equal(pw_open(a, BYPASS), 0);
	pw_path_back(a, 0);
	pw_settle(a);
	pw_do(a, PR_OP_WATCH, 0);
	pw_do(a, PR_OP_CONFLICT, 3);
	pw_do(a, PR_OP_RELEASE, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_false(pr_gate_open(&a->lun));
	assert_int_equal(sim_sent_out(target), sent);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
}

/* Rules 5.3 and 3.5: an open that meets a session in doubt does not save it. */
static void open_in_doubt(void **state)
{
	static const u32 options[] = { 0, FORCED, NO_RESERVE, FORCED | NO_RESERVE };
	unsigned int i, closed;

	(void)state;
	for (i = 0; i < 4; i++)
		for (closed = 0; closed < 2; closed++) {
			two_hosts_with(2);
			owner(a, 0);
			assert_int_equal(pw_open(b, FORCED), 0);
			if (closed)
				pw_close(b);
			pw_conflict(a, 0);
			assert_int_equal(pw_open(a, options[i]), -EBUSY);
			assert_state(a, PR_STATE_FENCED);
			assert_holder(closed ? 0 : KB);
			assert_int_equal(sim_registrations(target, KA), 0);
		}
	two_hosts_with(2);
	owner(a, 0);
	pw_conflict(a, 0);
	assert_int_equal(pw_open(a, NO_RESERVE | RETAIN), 0);
	assert_true(a->lun.session & RETAIN);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_false(a->lun.suspect);
}

/* Rule 5.4, E22. */
static void conflict_on_io(void **state)
{
	(void)state;
	/* A moment that has passed. */
	owner(a, 0);
	assert_true(pw_conflict(a, 1));
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(a->conflicts, 0);
	assert_int_equal(pr_admitted(&a->lun), 3);
	/* Only this path is unregistered. */
	sim_forget_nexus(target, a->nexus[1]);
	pw_conflict(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_int_equal(sim_sent(target, SIM_REGISTER_IGNORE), 0);
	/* Fenced. */
	assert_int_equal(pw_open(b, FORCED), 0);
	pw_conflict(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(pw_conflict(a, 1));
	assert_int_equal(sim_registrations(target, KA), 0);
}

/* Rule 5.5: no path answers: still the owner, and nothing is forgotten. */
static void unknown_is_not_free(void **state)
{
	(void)state;
	owner(a, 0);
	dead(a, 0);
	dead(a, 1);
	assert_int_equal(pw_do(a, PR_OP_WATCH, 0), -EIO);
	pw_conflict(a, 0);
	assert_int_equal(pw_do(a, PR_OP_CONFLICT, 1), -EIO);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 0);
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
}

/* Rule 5.9: background registration, never under a foreign reservation. */
static void came_meanwhile(struct pw_host *h, unsigned int n,
			   const struct pr_request *req, int path)
{
	(void)req;
	(void)path;
	if (n == h->hook_at)
		assert_int_equal(pw_open(b, 0), 0);
}

static void configure(void **state)
{
	unsigned int n, type;

	(void)state;
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_state(a, PR_STATE_FREE);
	assert_true(a->lun.baseline);
	for (type = 5; type <= 8; type++)
		for (n = 1; n < 8; n++) {
			two_hosts_with(2);
			b->lun.cfg.type = (u8)type;
			a->hook = came_meanwhile;
			a->hook_at = n;
			pw_settle(a);
			a->hook = NULL;
			if (!target->type)
				continue;
			/* It came before the second look, the sixth command. */
			if (n < 6)
				assert_int_equal(sim_registrations(target, KA), 0);
			/* What slipped in behind the eviction was undone. */
			pw_settle(b);
			assert_int_equal(sim_registrations(target, KA), 0);
			if (type < 7)
				assert_holder(KB);
			assert_false(writes(a));
		}
	/* Doubtful registrations go when they must not be (rule 6.3). */
	two_hosts_with(2);
	owner(b, 0);
	raw_take(a->nexus[0], KA, 0);
	a->lun.doubt = 1;
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
}

/* Rule 5.11: quiet while nothing changes; a new foreign key is evicted. */
static void watch(void **state)
{
	(void)state;
	owner(a, 0);
	assert_int_equal(pw_do(a, PR_OP_WATCH, 0), 0);
	assert_int_equal(a->commands, 1);
	raw_take(third_host(KC), KC, 0);
	assert_int_equal(pw_do(a, PR_OP_WATCH, 0), 0);
	assert_int_equal(sim_registrations(target, KC), 0);
	assert_true(a->op.events & PR_EVENT_EVICTED);
	pw_do(a, PR_OP_WATCH, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_int_equal(a->commands, 1);
	/* K, but another type: another manager. */
	target->type = PR_TYPE_EXCLUSIVE_ACCESS_RO;
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
}

/* Rule 5.11: the reservation vanished. */
static void vanished(void **state)
{
	unsigned int n;

	(void)state;
	/* E14: the holder's nexus was deleted; K stands on the other path. */
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[a->lun.holder]);
	assert_int_equal(target->type, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
	assert_true(a->op.events & PR_EVENT_RETAKEN);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);

	/* ... but somebody else was registered meanwhile. */
	two_hosts_with(2);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[a->lun.holder]);
	raw_take(third_host(KC), KC, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(target->type, 0);

	/* ... or shares the LUN: it may have written. */
	two_hosts_with(2);
	a->lun.cfg.shared = true;
	raw_take(third_host(KC), KC, 0);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[a->lun.holder]);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);

	/* E41: power loss without APTPL: nothing is known any more. */
	two_hosts_with(2);
	a->lun.cfg.aptpl = false;
	owner(a, 0);
	sim_power_loss(target);
	assert_int_equal(target->type, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_int_equal(pr_admitted(&a->lun), 3);

	/* ... and at each step of the repair another host comes and goes. */
	for (n = 0; n < 8; n++) {
		bool written;
		unsigned int i;

		two_hosts_with(2);
		a->lun.cfg.aptpl = false;
		b->lun.cfg.aptpl = false;
		owner(a, 0);
		sim_power_loss(target);
		pw_prepare(a, PR_OP_WATCH);
		pw_start(a);
		for (i = 0; i < n && a->running; i++) {
			pw_step(a);
			assert_false(a->lun.suspect && writes(a));
		}
		written = !pw_open(b, 0) && writes(b);
		pw_close(b);
		while (pw_step(a))
			;
		if (!written)
			continue;
		assert_state(a, PR_STATE_FENCED);
		assert_int_equal(target->type, 0);
	}

	/* With APTPL it survives. */
	two_hosts_with(2);
	owner(a, 0);
	sim_power_loss(target);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
}

/* Rule 5.11, E44: CLEAR by anybody registered is a takeover. */
static void cleared(void **state)
{
	(void)state;
	a->lun.cfg.shared = true;
	owner(a, 0);
	raw_take(third_host(KC), KC, 0);
	pw_do(a, PR_OP_WATCH, 0);
	raw_out(third_host(KC), PR_ACT_CLEAR, 0, KC, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, 0), 0);
}

/* Rule 5.2, E28: a path that logs in again is a new nexus. */
static void relogin(void **state)
{
	(void)state;
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	owner(a, 0);
	sim_relogin(target, a->nexus[1]);
	pw_conflict(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(sim_registered(target, a->nexus[1], NULL));
	assert_int_equal(pr_admitted(&a->lun), 3);
	/* The holder's too: the reservation is on a nexus that is no more. */
	sim_relogin(target, a->nexus[0]);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
}

/* Of types 1 and 3 the only path returns as another nexus. */
static void one_path_logs_in_again(u8 type)
{
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 1, KA);
	pw_add_host(&world, SIM_ISCSI, 1, KB);
	a->lun.cfg.type = type;
	a->lun.type = type;
	owner(a, 0);
	assert_true(writes(a));
	sim_relogin(target, a->nexus[0]);
}

static void holder_of_one_path_is_gone(u8 type)
{
	one_path_logs_in_again(type);
	pw_path_fail(a, 0);
	pw_path_back(a, 0);
}

/* Rules 5.3, 5.8, E13, E28: the reservation moves to the nexus that there is now. */
static void moved_to_the_new_nexus(void **state)
{
	static const u8 types[] = { PR_TYPE_WRITE_EXCLUSIVE, PR_TYPE_EXCLUSIVE_ACCESS };
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		holder_of_one_path_is_gone(types[i]);
		pw_settle(a);
		assert_state(a, PR_STATE_OWNER);
		assert_true(sim_holds(target, a->nexus[0]));
		assert_int_equal(target->type, types[i]);
		assert_true(writes(a));
		assert_int_equal(sim_registrations(target, KA), 1);
		assert_int_equal(pw_close(a), 0);
		assert_int_equal(target->type, 0);
	}
}

/* The same, registered anew by a command that ended without saying so. */
static void moved_though_registered(void **state)
{
	(void)state;
	holder_of_one_path_is_gone(PR_TYPE_WRITE_EXCLUSIVE);
	sim_script(target, a->nexus[0], (struct sim_answer){
		.cmd = SIM_REGISTER, .execute = true, .status = 0x40 });
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_true(sim_holds(target, a->nexus[0]));
	assert_true(writes(a));
}

/* The same, noticed by a conflict of its writes only. */
static void moved_after_a_conflict(void **state)
{
	(void)state;
	one_path_logs_in_again(PR_TYPE_WRITE_EXCLUSIVE);
	assert_int_equal(raw_out(a->nexus[0], PR_ACT_REGISTER, 0, 0, KA), 0);
	pw_conflict(a, 0);
	pw_settle(a);
	assert_true(sim_holds(target, a->nexus[0]));
	assert_true(writes(a));
}

static void is_overtaken(void)
{
	assert_int_equal(pw_open(b, FORCED), 0);
}

static void admit_while(void (*event)(void), const char *stage)
{
	when_at(a, stage, event);
	assert_true(pw_background_start(a));
	while (pw_step(a))
		;
	assert_happened(a);
}

/* The same, and another host takes it on the way. */
static void overtaken_while_moving(void **state)
{
	static const char *const stages[] = { "FIND_HOLDER", "MOVE_READ", "MOVE" };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		holder_of_one_path_is_gone(PR_TYPE_WRITE_EXCLUSIVE);
		admit_while(is_overtaken, stages[i]);
		/* Who reads it knows at once. */
		if (i == 1)
			assert_state(a, PR_STATE_FENCED);
		pw_settle(b);
		pw_settle(a);
		assert_state(a, PR_STATE_FENCED);
		assert_false(writes(a));
		assert_state(b, PR_STATE_OWNER);
		assert_true(writes(b));
		assert_holder(KB);
	}
}

static enum sim_cmd taken_by_then;

/* The holder's registration is gone, its command has no status, and KC takes it. */
static void is_taken(void)
{
	lose(a, 0, taken_by_then, false);
	sim_forget_nexus(target, a->nexus[0]);
	assert_int_equal(raw_out(third_host(KC), PR_ACT_RESERVE, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, 0),
			 0);
}

/* An open that joins before the background has admitted the path does it itself (rule 3.5). */
static void moved_by_an_open(void **state)
{
	(void)state;
	holder_of_one_path_is_gone(PR_TYPE_WRITE_EXCLUSIVE);
	a->lun.suspect = true;
	assert_int_equal(pw_open(a, 0), 0);
	assert_true(sim_holds(target, a->nexus[0]));
	assert_true(writes(a));
}

static unsigned int logins;

static void logs_in_again(struct pw_host *h, unsigned int n, const struct pr_request *req, int path)
{
	(void)n;
	(void)req;
	if (strcmp(pr_op_stage(&h->op), "ADMIT_READ"))
		return;
	logins++;
	sim_relogin(target, h->nexus[path]);
}

/* A path that never stays is given up for now, and works when it does (rule 6.3). */
static void moves_again_and_again(void **state)
{
	(void)state;
	holder_of_one_path_is_gone(PR_TYPE_WRITE_EXCLUSIVE);
	logins = 0;
	a->hook = logs_in_again;
	assert_true(pw_background_start(a));
	while (pw_step(a))
		;
	a->hook = NULL;
	assert_int_equal(pr_why_errno(a->op.why), -EAGAIN);
	assert_in_range(logins, 2, 8);
	pw_settle(a);
	assert_true(writes(a));
}

/* Another manager with our key takes it with another type. */
static void is_taken_with_our_key(void)
{
	if (a->lun.type == PR_TYPE_WRITE_EXCLUSIVE) {
		assert_int_equal(raw_out(third_host(KA), PR_ACT_REGISTER, 0, 0, KA), 0);
		assert_int_equal(raw_out(third_host(KA), PR_ACT_PREEMPT,
					 PR_TYPE_EXCLUSIVE_ACCESS, KA, KA), 0);
		return;
	}
	assert_int_equal(raw_out(a->nexus[0], PR_ACT_RELEASE, a->lun.type, KA, 0), 0);
	assert_int_equal(raw_out(a->nexus[0], PR_ACT_RESERVE, PR_TYPE_EXCLUSIVE_ACCESS_RO, KA, 0),
			 0);
}

/* Rules 5.3, 5.10: an admission does not follow it there. */
static void another_type_at(const char *stage)
{
	admit_while(is_taken_with_our_key, stage);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
}

static void another_type_while_moving(void **state)
{
	(void)state;
	holder_of_one_path_is_gone(PR_TYPE_WRITE_EXCLUSIVE);
	another_type_at("MOVE_READ");
}

static void another_type_while_admitting(void **state)
{
	(void)state;
	owner(a, 0);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	another_type_at("ADMIT_VERIFY");
}

/* Rules 3.2, 5.11: who got no answer as the holder looks whether it still is before it evicts. */
static void evicts_no_new_owner(const char *stage, enum sim_cmd cmd)
{
	taken_by_then = cmd;
	owner(a, 0);
	assert_int_equal(a->lun.holder, 0);
	assert_int_equal(raw_out(third_host(KC), PR_ACT_REGISTER, 0, 0, KC), 0);
	when_at(a, stage, is_taken);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	assert_holder(KC);
	assert_int_equal(sim_registrations(target, KC), 1);
	assert_state(a, PR_STATE_FENCED);
}

static void taken_while_probing(void **state)
{
	(void)state;
	evicts_no_new_owner("WATCH_PROBE", SIM_REGISTER);
}

static void taken_while_evicting(void **state)
{
	(void)state;
	evicts_no_new_owner("EVICT", SIM_PREEMPT_ABORT);
}

/* Rule 5.10: a twin took over with our key; nobody of ours is registered. */
static void twin_takes_over(void **state)
{
	(void)state;
	b->lun.cfg.key = KA;
	b->lun.cfg.twin_trust = true;
	owner(a, 0);
	assert_int_equal(pw_open(b, FORCED), 0);
	assert_true(sim_holds(target, b->nexus[b->lun.holder]));
	pw_conflict(a, 0);
	pw_conflict(a, 1);
	pw_settle(a);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(sim_registered(target, a->nexus[0], NULL));
}

/* Rule 6.3: what outlived its open is settled when it ends. */
static void orphans(void **state)
{
	(void)state;
	owner(b, 0);
	sim_path_state(target, a->nexus[0], SIM_PATH_IN_FLIGHT);
	a->hook_at = 0;
	pw_path_fail(a, 1);
	dead(a, 1);
	assert_int_not_equal(pw_open(a, FORCED), 0);
	sim_path_state(target, a->nexus[0], SIM_PATH_UP);
	pw_deliver(a, 0);
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_holder(KB);
}

static void owner_after_amnesia(u8 type)
{
	a->lun.cfg.type = type;
	a->lun.type = type;
	a->lun.cfg.aptpl = false;
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(target->type, type);
	sim_power_loss(target);
}

static void falls_silent(void)
{
	dead(a, 0);
	dead(a, 1);
}

static void comes_and_goes(void)
{
	unsigned int nexus = third_host(KC);

	raw_take(nexus, KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
	assert_int_equal(raw_out(nexus, PR_ACT_RELEASE, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, 0), 0);
	assert_int_equal(raw_out(nexus, PR_ACT_REGISTER, 0, KC, 0), 0);
}

/* Rules 5.3, 5.11: another host had it between the proof and the RESERVE of a retake. */
static void retaken_too_late(void **state)
{
	(void)state;
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[a->lun.holder]);
	assert_int_equal(target->type, 0);
	when_at(a, "RETAKE", comes_and_goes);
	a->want_watch = true;
	assert_true(pw_background_start(a));
	while (pw_step(a))
		;
	assert_happened(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
	assert_int_equal(target->type, 0);
}

/* Rules 5.3, 5.11, E41: it is lost twice, and another host fills the count of what we made. */
static void memory_lost_twice(void **state)
{
	unsigned int nexus;

	(void)state;
	a->lun.cfg.aptpl = false;
	owner(a, 0);
	nexus = third_host(KC);
	sim_power_loss(target);
	a->want_watch = true;
	assert_true(pw_background_start(a));
	while (!sim_registrations(target, KA))
		assert_true(pw_step(a));
	sim_power_loss(target);
	raw_take(nexus, KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
	assert_int_equal(raw_out(nexus, PR_ACT_RELEASE, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, 0), 0);
	/* On the path that is registered no more RESERVE would meet a conflict. */
	lose(a, 0, SIM_RESERVE, false);
	while (pw_step(a))
		;
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
	assert_int_equal(target->type, 0);
}

/* Its reservation was taken anew, and then nobody said whether it stands (rule 5.5). */
static void retaken_and_silent_from(const char *stage)
{
	when_at(a, stage, falls_silent);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	assert_false(pr_gate_open(&a->lun));
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_int_equal(pw_open(b, FORCED), 0);
	assert_int_equal(pw_close(b), 0);
	pw_settle(b);
	assert_false(writes(a));
	assert_state(a, PR_STATE_FENCED);
}

static void retake_unverified(void **state)
{
	(void)state;
	owner_after_amnesia(PR_TYPE_WRITE_EXCLUSIVE_RO);
	retaken_and_silent_from("RETAKE_VERIFY");
}

/* Types 7 and 8: what may stand is stepped out of, and not released for others. */
static void retake_for_all_unverified(void **state)
{
	(void)state;
	owner_after_amnesia(PR_TYPE_WRITE_EXCLUSIVE_AR);
	retaken_and_silent_from("RETAKE_VERIFY");
}

/* The same where a REGISTER without status makes the count of keys decide. */
static void retake_uncounted(void **state)
{
	(void)state;
	owner_after_amnesia(PR_TYPE_WRITE_EXCLUSIVE_RO);
	lose(a, 0, SIM_REGISTER, true);
	retaken_and_silent_from("RETAKE_KEYS");
}

/* Rule 5.8, E9: a RESERVE without status down the only path there is. */
static void retaken_without_status(void **state)
{
	(void)state;
	two_hosts_with(1);
	owner_after_amnesia(PR_TYPE_WRITE_EXCLUSIVE);
	sim_script(target, a->nexus[0], (struct sim_answer){
		.cmd = SIM_RESERVE, .execute = true, .status = 0x40 });
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
	assert_true(writes(a));
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
}

/* Rule 4.8: the holder path is not unregistered, whatever a status says. */
static void holder_returns_in_doubt(void **state)
{
	int path;

	(void)state;
	owner(a, 0);
	path = a->lun.holder;
	pw_path_fail(a, path);
	pw_path_back(a, path);
	sim_script(target, a->nexus[path], (struct sim_answer){
		.cmd = SIM_REGISTER, .status = 0x40 });
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rule 3.5: nobody joins a session that is being taken back. */
static void no_joining_of_a_revoke(void **state)
{
	struct pr_op op;

	(void)state;
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	pr_op_revoke(&a->op);
	pw_start(a);
	assert_true(a->running);
	pr_op_init(&op, PR_OP_OPEN);
	assert_false(pr_open_local(&a->lun, &op));
	while (pw_step(a))
		;
	assert_false(pr_gate_open(&a->lun));
}

/* One operation of what is due. */
static void background_once(struct pw_host *h)
{
	assert_true(pw_background_start(h));
	while (pw_step(h))
		;
}

/* Rule 5.3: paths that could not join when others did are not forgotten. */
static void standby_joins_later(void **state)
{
	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	target->quirks |= SIM_STANDBY_REFUSES;
	pw_path_fail(a, 1);
	pw_path_fail(a, 2);
	sim_alua_state(target, a->nexus[2], SIM_ALUA_STANDBY);
	pw_path_back(a, 1);
	pw_path_back(a, 2);
	background_once(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	sim_alua_state(target, a->nexus[2], SIM_ALUA_OPTIMIZED);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 7);
}

/* Rule 5.4: a path that can no longer be registered keeps nobody waiting. */
static void refused_in_conflict(void **state)
{
	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	target->max_regs = (u8)sim_registrations(target, 0);
	pw_conflict(a, 1);
	pw_path_fail(a, 2);
	pw_path_back(a, 2);
	pw_settle(a);
	assert_int_equal(a->conflicts, 0);
	assert_int_equal(pr_admitted(&a->lun), 5);
}

/* An eviction that the target refuses does not undo an admission (rule 5.3). */
static void admitted_beside_a_foreign_key(void **state)
{
	(void)state;
	owner(a, 0);
	target->quirks |= SIM_NO_ABORT;
	raw_take(third_host(KC), KC, 0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rule 6.3: a release that is due for a command of the past spares a newer session. */
static void late_release(void **state)
{
	u32 sent;

	(void)state;
	owner(a, 0);
	sent = sim_sent_out(target);
	pw_prepare(a, PR_OP_CLOSE);
	a->op.late = true;
	assert_int_equal(pw_run(a), 0);
	assert_state(a, PR_STATE_OWNER);
	assert_true(a->lun.opened);
	assert_holder(KA);
	assert_int_equal(sim_sent_out(target), sent);
}

/* Rule 6.3: what a REGISTER of the past did on a fenced host is undone, sooner or later. */
static void registered_after_the_fence(void **state)
{
	unsigned int round, silent, over;

	(void)state;
	for (round = 0; round < 4; round++) {
		silent = round & 1;
		over = round & 2;
		two_hosts_with(2);
		owner(a, 0);
		assert_int_equal(pw_open(b, FORCED), 0);
		pw_do(a, PR_OP_WATCH, 0);
		assert_state(a, PR_STATE_FENCED);
		if (over)
			assert_int_equal(pw_close(b), 0);
		assert_int_equal(raw_out(a->nexus[1], PR_ACT_REGISTER, 0, 0, KA), 0);
		a->lun.doubt |= 2;
		a->want_configure |= 2;
		if (silent)
			dead(a, 1);
		background_once(a);
		assert_state(a, PR_STATE_FENCED);
		assert_int_equal(sim_registrations(target, KA), silent);
		sim_path_state(target, a->nexus[1], SIM_PATH_UP);
		a->want_configure = 0;
		pw_close(a);
		pw_settle(a);
		if (over)
			continue;
		assert_int_equal(sim_registrations(target, KA), 0);
		assert_holder(KB);
	}
}

/* Rule 5.11: whoever looks after a dead path leaves the generation alone. */
static void dead_path_costs_no_generation(void **state)
{
	u32 generation;

	(void)state;
	owner(a, 0);
	pw_path_fail(a, 1);
	dead(a, 1);
	generation = target->generation;
	assert_int_equal(pw_do(a, PR_OP_ADMIT, 2), -EIO);
	assert_int_equal(target->generation, generation);
	assert_state(a, PR_STATE_OWNER);
}

/* Rule 5.4: a conflict that a path cannot explain any more keeps nobody waiting. */
static void conflict_of_a_dead_path(void **state)
{
	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	pw_path_fail(a, 1);
	dead(a, 1);
	pw_conflict(a, 1);
	pw_path_fail(a, 2);
	pw_path_back(a, 2);
	pw_settle(a);
	assert_int_equal(a->conflicts, 0);
	assert_int_equal(pr_admitted(&a->lun), 5);
	/* One that answers, but proves nothing, carries no I/O either. */
	target->quirks |= SIM_STANDBY_REFUSES;
	sim_alua_state(target, a->nexus[2], SIM_ALUA_STANDBY);
	pw_conflict(a, 2);
	background_once(a);
	assert_int_equal(a->conflicts, 0);
	assert_int_equal(pr_admitted(&a->lun), 1);
	sim_alua_state(target, a->nexus[2], SIM_ALUA_OPTIMIZED);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 5);
}

/* Rule 5.11: a path that cannot say whether it is registered carries no I/O beside one that can. */
static void probe_without_an_answer(void **state)
{
	u32 generation;
	int path;

	(void)state;
	target->quirks |= SIM_STANDBY_REFUSES;
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	sim_alua_state(target, a->nexus[1], SIM_ALUA_STANDBY);
	sim_attention(target, a->nexus[0], 0x2a, 0x03);
	a->want_watch = true;
	background_once(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 1);
	sim_alua_state(target, a->nexus[1], SIM_ALUA_OPTIMIZED);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);

	/* No path can say: I/O goes on, and the next look asks again. */
	for (path = 0; path < 2; path++)
		sim_script(target, a->nexus[path], (struct sim_answer){
			.cmd = SIM_REGISTER, .status = 0x02, .sense = { 0x02, 0x04, 0x0b } });
	sim_attention(target, a->nexus[0], 0x2a, 0x03);
	a->want_watch = true;
	background_once(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 3);
	generation = target->generation;
	a->want_watch = true;
	background_once(a);
	assert_int_not_equal(target->generation, generation);
	generation = target->generation;
	a->want_watch = true;
	background_once(a);
	assert_int_equal(target->generation, generation);
}

/* What a third host does meanwhile. */
static void had_it(void)
{
	raw_take(third_host(KC), KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
	raw_out(third_host(KC), PR_ACT_RELEASE, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, 0);
}

static void had_it_and_left(void)
{
	had_it();
	raw_out(third_host(KC), PR_ACT_REGISTER, 0, KC, 0);
}

static void clears(void)
{
	raw_take(third_host(KC), KC, 0);
	raw_out(third_host(KC), PR_ACT_CLEAR, 0, KC, 0);
}

static void registers(void)
{
	raw_take(third_host(KC), KC, 0);
}

static void registers_and_a_path_dies(void)
{
	registers();
	dead(a, 0);
}

static void path_one_is_forgotten(void)
{
	sim_forget_nexus(target, a->nexus[1]);
}

/*
 * Rule 5.11: a status that is lost while the target's memory is repaired leaves no
 * room for another host that had the LUN meanwhile.
 */
static void lost_status_while_retaking(void **state)
{
	static void (*const others[])(void) = { had_it, had_it_and_left, NULL };
	unsigned int i, done;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (done = 0; done < 3; done++) {
			two_hosts_with(2);
			target->quirks |= SIM_LIO_UNREGISTER;
			a->lun.cfg.aptpl = false;
			owner(a, 0);
			sim_power_loss(target);
			if (done < 2)
				lose(a, 0, SIM_REGISTER, done);
			else
				sim_script(target, a->nexus[0], (struct sim_answer){
					.cmd = SIM_REGISTER, .execute = true, .status = 0x40 });
			if (others[i])
				when_at(a, "RETAKE", others[i]);
			pw_do(a, PR_OP_WATCH, 0);
			assert_happened(a);
			assert_state(a, others[i] ? PR_STATE_FENCED : PR_STATE_OWNER);
			assert_int_equal(!!target->type, !others[i]);
			if (others[i])
				continue;
			alive(a, 0);
			pw_settle(a);
			assert_int_equal(pr_admitted(&a->lun), 3);
		}
	}
}

/* By an owner that has come and gone while path 0 was not registered yet. */
static void path_one_is_evicted(void)
{
	sim_forget_nexus(target, a->nexus[1]);
	sim_path_state(target, a->nexus[0], SIM_PATH_IN_FLIGHT);
}

/* Rule 5.11: a RESERVE of a retake that comes late is no proof of what has been before it. */
static void late_reserve_behind_another_owner(void **state)
{
	(void)state;
	owner_after_amnesia(PR_TYPE_WRITE_EXCLUSIVE_RO);
	when_at(a, "RETAKE", path_one_is_evicted);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	sim_path_state(target, a->nexus[0], SIM_PATH_UP);
	pw_deliver(a, 0);
	assert_holder(KA);
	alive(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_FENCED);
	assert_false(writes(a));
	pw_close(a);
	pw_settle(a);
	assert_int_equal(target->type, 0);
}

/* Another host is the first to see that the LUN is free. */
static void reserve_when_free(struct pw_host *h, unsigned int n,
			      const struct pr_request *req, int path)
{
	(void)n;
	(void)req;
	(void)path;
	if (!target->type && !strcmp(pr_op_stage(&h->op), "RELEASE_READ"))
		raw_take(third_host(KC), KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
}

/*
 * Rules 5.9 and 4.2: a registration made to release a reservation goes when another
 * host has reserved by then, also the one that the reservation was moved to.
 */
static void reserved_behind_a_release(void **state)
{
	(void)state;
	owner(a, 0);
	pw_path_fail(a, 0);
	dead(a, 0);
	lose(a, 1, SIM_PREEMPT, true);
	assert_int_equal(pw_close(a), -EIO);
	assert_state(a, PR_STATE_RELEASING);
	assert_true(sim_holds(target, a->nexus[1]));
	alive(a, 0);
	a->hook = reserve_when_free;
	background_once(a);
	a->hook = NULL;
	assert_state(a, PR_STATE_FREE);
	assert_true(a->op.events & PR_EVENT_MOVED);
	assert_holder(KC);
	assert_int_equal(sim_registrations(target, KA), 0);
}

/*
 * Rules 3.2 and 5.11: who registers between the two commands of a short open is evicted,
 * also if the session has ended, with retain, before its first look.
 */
static void retained_before_the_first_look(void **state)
{
	unsigned int round;

	(void)state;
	for (round = 0; round < 2; round++) {
		two_hosts_with(2);
		pw_settle(a);
		when_at(a, "RESERVE", registers);
		assert_int_equal(pw_open(a, RETAIN), 0);
		assert_happened(a);
		assert_int_equal(a->commands, 2);
		assert_int_equal(sim_registrations(target, KC), 1);
		assert_int_equal(pw_close(a), 0);
		assert_int_equal(a->commands, 0);
		/* Or that host was faster. */
		if (round)
			raw_out(third_host(KC), PR_ACT_PREEMPT_ABORT, PR_TYPE_WRITE_EXCLUSIVE_RO,
				KC, KA);
		pw_settle(a);
		assert_state(a, round ? PR_STATE_FREE : PR_STATE_RETAINED);
		assert_holder(round ? KC : KA);
		assert_int_equal(sim_registrations(target, KC), round);
		assert_int_equal(sim_registrations(target, KA), round ? 0 : 2);
		pw_settle(a);
		assert_int_equal(a->want_configure, 0);
	}
}

/* Rule 5.3: a path that could not take the reservation over is admitted anew. */
static void not_moved_after_all(void **state)
{
	(void)state;
	owner(a, 0);
	pw_members(a, 2);
	when_at(a, "MOVE", path_one_is_forgotten);
	pw_prepare(a, PR_OP_LEAVE);
	a->op.paths = a->leaving;
	assert_int_equal(pw_run(a), -EAGAIN);
	assert_happened(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 0);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 2);
	assert_holder(KA);
}

/* Rules 4.5 and 6.3: what a late command may have registered meanwhile leaves once more. */
static void left_while_a_command_was_late(void **state)
{
	struct pr_reply reply = { .path = PR_NO_PATH };
	struct pr_request req;
	struct pr_op op;

	(void)state;
	pw_settle(a);
	pw_members(a, 0);
	a->lun.live = 2;
	pr_op_init(&op, PR_OP_LEAVE);
	op.paths = 3;
	assert_true(pr_next(&a->lun, &op, NULL, &req));
	assert_int_equal(req.paths, 2);
	a->lun.doubt |= 1;
	reply.ended[PR_GOOD] = 2;
	assert_false(pr_next(&a->lun, &op, &reply, &req));
	assert_int_equal(a->lun.registered, 0);
	assert_int_equal(a->lun.doubt, 1);
}

/* Rule 5.2: an admission that counts too few keys leaves the rest to the watcher. */
static void another_proof_is_out_of_date(void **state)
{
	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	sim_forget_nexus(target, a->nexus[2]);
	pw_conflict(a, 1);
	background_once(a);
	assert_int_equal(a->op.kind, PR_OP_CONFLICT);
	assert_int_equal(sim_registrations(target, KA), 2);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 3);
	assert_int_equal(pr_admitted(&a->lun), 7);
}

/* Rules 5.2 and 6.1: cleared while a path was registered: no shortcut for the next open. */
static void cleared_while_registering(void **state)
{
	(void)state;
	pw_settle(a);
	pw_path_fail(a, 0);
	pw_path_back(a, 0);
	sim_forget_nexus(target, a->nexus[0]);
	when_at(a, "REGISTER", clears);
	background_once(a);
	assert_happened(a);
	assert_int_equal(sim_registrations(target, KA), 1);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rules 4.2 and 5.11: a RESERVE that took effect unseen is released with the session. */
static void lost_reserve_while_retaking(void **state)
{
	(void)state;
	a->lun.cfg.aptpl = false;
	owner(a, 0);
	sim_power_loss(target);
	lose(a, 0, SIM_RESERVE, true);
	when_at(a, "RETAKE_VERIFY", registers_and_a_path_dies);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	assert_state(a, PR_STATE_FENCED);
	assert_holder(KA);
	alive(a, 0);
	pw_close(a);
	pw_settle(a);
	assert_state(a, PR_STATE_FREE);
	assert_int_equal(target->type, 0);
}

/* Rule 5.11: who comes when the LUN is ours again is evicted, and no reason to stop. */
static void registered_after_a_retake(void **state)
{
	(void)state;
	a->lun.cfg.aptpl = false;
	owner(a, 0);
	sim_power_loss(target);
	when_at(a, "EVICT_KEYS", registers);
	pw_do(a, PR_OP_WATCH, 0);
	assert_happened(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(sim_registrations(target, KC), 0);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rule 5.11: a registration of an earlier life of a path is no reason to be fenced. */
static void vanished_after_a_relogin(void **state)
{
	(void)state;
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	owner(a, 0);
	sim_relogin(target, a->nexus[1]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(sim_registrations(target, KA), 3);
	sim_forget_nexus(target, a->nexus[a->lun.holder]);
	assert_int_equal(target->type, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
}

/* Rule 5.11: nor is a path that has left the table. */
static void vanished_after_a_path_left(void **state)
{
	int holder, other;

	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	holder = a->lun.holder;
	other = holder ? 0 : 1;
	pw_members(a, 7 & ~(1u << other));
	pw_do(a, PR_OP_LEAVE, 1u << other);
	pw_settle(a);
	sim_forget_nexus(target, a->nexus[holder]);
	assert_int_equal(target->type, 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
}

/* Rule 6.1, E7: one registration for all paths of the host: the short open stays. */
static void short_open_with_one_registration(void **state)
{
	unsigned int round;

	(void)state;
	two_hosts_with(4);
	target->quirks |= SIM_SHARED;
	for (round = 0; round < 3; round++) {
		pw_settle(a);
		assert_int_equal(pw_open(a, 0), 0);
		assert_int_equal(a->commands, 2);
		pw_settle(a);
		assert_int_equal(pr_admitted(&a->lun), 15);
		assert_int_equal(pw_close(a), 0);
		pw_path_fail(a, 1);
		pw_path_back(a, 1);
	}
}

/* Rules 3.2, 5.3 and 5.4: a path whose writes do not end holds up nothing but itself. */
static void noisy_path(void **state)
{
	int holder;

	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	a->noisy = 2;
	pw_conflict(a, 1);
	background_once(a);
	assert_int_equal(a->conflicts, 0);
	assert_int_equal(a->lun.doubt, 0);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 5);
	assert_int_equal(sim_registrations(target, KA), 2);
	/* Another one returns meanwhile. */
	pw_path_fail(a, 2);
	pw_path_back(a, 2);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 5);
	a->noisy = 0;
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 7);

	/* The reservation moves, and takes the other registrations along (rule 4.8). */
	holder = a->lun.holder;
	a->noisy = 4;
	pw_members(a, 7 & ~(1u << holder));
	pw_do(a, PR_OP_LEAVE, 1u << holder);
	assert_int_not_equal(a->lun.holder, holder);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3 & ~(1u << holder));
	a->noisy = 0;
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 7 & ~(1u << holder));
}

/* Rule 5.2, E13: also the only path of types 1 and 3 has to be registered. */
static void single_path_returns(void **state)
{
	(void)state;
	two_hosts_with(1);
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE;
	owner(a, 0);
	assert_int_equal(pr_admitted(&a->lun), 1);
	pw_path_fail(a, 0);
	pw_path_back(a, 0);
	assert_int_equal(pr_admitted(&a->lun), 0);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 1);
	assert_state(a, PR_STATE_OWNER);
}

/* Rule 3.2: an owner registers a path when its old writes have ended; others have none. */
static void owner_registers_quiet_paths(void **state)
{
	(void)state;
	pw_settle(a);
	pw_open_start(a, 0);
	while (a->running) {
		assert_false(a->req.quiet);
		pw_step(a);
	}
	pw_settle(a);
	sim_forget_nexus(target, a->nexus[1]);
	pw_conflict(a, 1);
	assert_true(pw_background_start(a));
	while (a->running) {
		assert_int_equal(a->req.quiet, a->req.action == PR_ACT_REGISTER && !a->req.key);
		/* No new I/O meanwhile. */
		assert_false(a->req.quiet && (pr_admitted(&a->lun) & a->req.paths));
		pw_step(a);
	}
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rule 5.10: a port of a protocol that we do not know of ourselves is nobody's proof. */
static void ports_of_two_protocols(void **state)
{
	(void)state;
	owner(a, 0);
	a->lun.ports = 1;
	a->lun.port[0].protocol = 5;
	pw_path_fail(a, 0);
	pw_path_fail(a, 1);
	pw_path_back(a, 0);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 1);
}

/* The RESERVE of path 0, whose status is lost, is done when path 1 sends its own. */
static void late_reserve(struct pw_host *h, unsigned int n, const struct pr_request *req,
			 int path)
{
	(void)n;
	(void)req;
	if (path == 1 && !strcmp(pr_op_stage(&h->op), "RETAKE"))
		assert_int_equal(raw_out(h->nexus[0], PR_ACT_RESERVE,
					 PR_TYPE_WRITE_EXCLUSIVE_RO, KA, 0), 0);
}

/* Rules 5.6 and 5.11: the reservation that a RESERVE meets may be our own. */
static void retaken_by_a_late_reserve(void **state)
{
	(void)state;
	a->lun.cfg.aptpl = false;
	owner(a, 0);
	sim_power_loss(target);
	lose(a, 0, SIM_RESERVE, false);
	a->hook = late_reserve;
	pw_do(a, PR_OP_WATCH, 0);
	a->hook = NULL;
	assert_state(a, PR_STATE_OWNER);
	assert_holder(KA);
	alive(a, 0);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
}

/* Rule 5.3: a path that a late command registered is verified, whoever finds it so. */
static void proven_is_not_verified(void **state)
{
	(void)state;
	owner(a, 0);
	a->lun.registered &= ~2ULL;
	a->lun.doubt |= 2;
	a->lun.suspect = true;
	raw_out(third_host(KC), PR_ACT_REGISTER, 0, 0, KC);
	assert_int_equal(pw_open(a, 0), 0);
	assert_state(a, PR_STATE_OWNER);
	assert_int_equal(pr_admitted(&a->lun), 1);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);

	/* Nor is one that could not be registered with the others. */
	two_hosts_with(3);
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	sim_forget_nexus(target, a->nexus[2]);
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	pw_path_fail(a, 2);
	pw_path_back(a, 2);
	sim_script(target, a->nexus[1], (struct sim_answer){
		.cmd = SIM_REGISTER, .status = 0x40 });
	background_once(a);
	assert_int_equal(pr_admitted(&a->lun), 5);
	assert_true(a->lun.unverified & 2);
}

static void takes_over(void)
{
	unsigned int nexus = third_host(KC);

	raw_out(nexus, PR_ACT_REGISTER, 0, 0, KC);
	assert_int_equal(raw_out(nexus, PR_ACT_PREEMPT_ABORT, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, KA),
			 0);
}

static bool overtaken;

/* The host registers its path 1 under the new owner, and cannot undo that at once. */
static void fenced_while_registering(struct pw_host *h, unsigned int n,
				     const struct pr_request *req, int path)
{
	(void)n;
	(void)path;
	if (req->action == PR_ACT_REGISTER && !req->key && !overtaken) {
		overtaken = true;
		takes_over();
	} else if (req->action == PR_ACT_REGISTER && !req->sa_key) {
		sim_script(target, h->nexus[1], (struct sim_answer){
			.cmd = SIM_REGISTER, .status = 0x40 });
	}
}

/* Rules 3.3 and 5.9: a fenced host's registration goes, whatever found it. */
static void fenced_and_still_registered(void **state)
{
	(void)state;
	owner(a, 0);
	pw_path_fail(a, 0);
	dead(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_conflict(a, 1);
	overtaken = false;
	a->hook = fenced_while_registering;
	background_once(a);
	a->hook = NULL;
	assert_int_equal(a->op.kind, PR_OP_CONFLICT);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, KA), 1);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_holder(KC);
}

/* Rules 3.3 and 5.3: what came late on a path that waited for its admission goes, too. */
static void registered_late_under_the_new_owner(void **state)
{
	(void)state;
	owner(a, 0);
	sim_forget_nexus(target, a->nexus[1]);
	pw_path_fail(a, 1);
	dead(a, 1);
	pw_path_back(a, 1);
	background_once(a);
	assert_true(a->lun.unverified & 2);
	a->lun.doubt = 0;
	takes_over();
	alive(a, 1);
	assert_int_equal(raw_out(a->nexus[1], PR_ACT_REGISTER, 0, 0, KA), 0);
	a->want_admit = 0;
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);
}

/* Rule 3.2: a session without reservation registers nothing, it only takes back. */
static void doubt_without_a_reservation(void **state)
{
	int late;

	(void)state;
	for (late = 0; late < 2; late++) {
		two_hosts_with(2);
		pw_settle(a);
		assert_int_equal(pw_open(a, NO_RESERVE), 0);
		if (!late)
			sim_forget_nexus(target, a->nexus[1]);
		a->lun.registered &= ~2ULL;
		a->lun.doubt = 2;
		pw_do(a, PR_OP_CONFIGURE, 2);
		assert_state(a, PR_STATE_NO_RESERVE);
		assert_int_equal(sim_registrations(target, KA), 1);
		assert_int_equal(a->lun.doubt, 0);
	}
}

/* Rule 5.2: a late command that registered nothing costs a verified path nothing. */
static void verified_stays_admitted(void **state)
{
	(void)state;
	owner(a, 0);
	a->lun.doubt = 3;
	raw_out(third_host(KC), PR_ACT_REGISTER, 0, 0, KC);
	pw_do(a, PR_OP_WATCH, 0);
	assert_int_equal(pr_admitted(&a->lun), 3);
}

/* Rules 3.5 and 5.3: nobody joins on a path that is still to be verified. */
static void joins_when_verified(void **state)
{
	(void)state;
	two_hosts_with(1);
	owner(a, 0);
	a->lun.registered = 0;
	a->lun.doubt = 1;
	a->lun.suspect = true;
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(pr_admitted(&a->lun), 1);
}

/* Rule 5.2: writes that do not end are in the way of a registration, not of a proof. */
static void noisy_path_is_registered(void **state)
{
	(void)state;
	owner(a, 0);
	a->noisy = 2;
	pw_path_fail(a, 1);
	pw_path_back(a, 1);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 3);
	sim_forget_nexus(target, a->nexus[1]);
	pw_conflict(a, 1);
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun), 1);
	assert_int_equal(a->lun.refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(gate, two_hosts),
		cmocka_unit_test(registering_without_reservation),
		cmocka_unit_test_setup(admission_in_steps, two_hosts),
		cmocka_unit_test(takeover_during_admission),
		cmocka_unit_test_setup(thrown_out_of_all_registrants, two_hosts),
		cmocka_unit_test_setup(fence_is_latched, two_hosts),
		cmocka_unit_test(open_in_doubt),
		cmocka_unit_test_setup(conflict_on_io, two_hosts),
		cmocka_unit_test_setup(unknown_is_not_free, two_hosts),
		cmocka_unit_test_setup(configure, two_hosts),
		cmocka_unit_test_setup(watch, two_hosts),
		cmocka_unit_test_setup(vanished, two_hosts),
		cmocka_unit_test_setup(cleared, two_hosts),
		cmocka_unit_test(relogin),
		cmocka_unit_test(moved_to_the_new_nexus),
		cmocka_unit_test(moved_though_registered),
		cmocka_unit_test(moved_after_a_conflict),
		cmocka_unit_test(moved_by_an_open),
		cmocka_unit_test(moves_again_and_again),
		cmocka_unit_test(another_type_while_moving),
		cmocka_unit_test_setup(another_type_while_admitting, two_hosts),
		cmocka_unit_test_setup(taken_while_probing, two_hosts),
		cmocka_unit_test_setup(taken_while_evicting, two_hosts),
		cmocka_unit_test(overtaken_while_moving),
		cmocka_unit_test_setup(twin_takes_over, two_hosts),
		cmocka_unit_test_setup(orphans, two_hosts),
		cmocka_unit_test_setup(retaken_too_late, two_hosts),
		cmocka_unit_test_setup(memory_lost_twice, two_hosts),
		cmocka_unit_test_setup(retake_unverified, two_hosts),
		cmocka_unit_test_setup(retake_for_all_unverified, two_hosts),
		cmocka_unit_test_setup(retake_uncounted, two_hosts),
		cmocka_unit_test_setup(retaken_without_status, two_hosts),
		cmocka_unit_test_setup(holder_returns_in_doubt, two_hosts),
		cmocka_unit_test_setup(no_joining_of_a_revoke, two_hosts),
		cmocka_unit_test(standby_joins_later),
		cmocka_unit_test(refused_in_conflict),
		cmocka_unit_test_setup(admitted_beside_a_foreign_key, two_hosts),
		cmocka_unit_test_setup(late_release, two_hosts),
		cmocka_unit_test(registered_after_the_fence),
		cmocka_unit_test_setup(dead_path_costs_no_generation, two_hosts),
		cmocka_unit_test(conflict_of_a_dead_path),
		cmocka_unit_test_setup(probe_without_an_answer, two_hosts),
		cmocka_unit_test_setup(lost_status_while_retaking, two_hosts),
		cmocka_unit_test_setup(late_reserve_behind_another_owner, two_hosts),
		cmocka_unit_test_setup(reserved_behind_a_release, two_hosts),
		cmocka_unit_test_setup(retained_before_the_first_look, two_hosts),
		cmocka_unit_test_setup(not_moved_after_all, two_hosts),
		cmocka_unit_test_setup(left_while_a_command_was_late, two_hosts),
		cmocka_unit_test_setup(another_proof_is_out_of_date, two_hosts),
		cmocka_unit_test_setup(cleared_while_registering, two_hosts),
		cmocka_unit_test_setup(lost_reserve_while_retaking, two_hosts),
		cmocka_unit_test_setup(registered_after_a_retake, two_hosts),
		cmocka_unit_test_setup(vanished_after_a_relogin, two_hosts),
		cmocka_unit_test_setup(vanished_after_a_path_left, two_hosts),
		cmocka_unit_test_setup(short_open_with_one_registration, two_hosts),
		cmocka_unit_test_setup(noisy_path, two_hosts),
		cmocka_unit_test_setup(single_path_returns, two_hosts),
		cmocka_unit_test_setup(owner_registers_quiet_paths, two_hosts),
		cmocka_unit_test_setup(ports_of_two_protocols, two_hosts),
		cmocka_unit_test_setup(retaken_by_a_late_reserve, two_hosts),
		cmocka_unit_test_setup(proven_is_not_verified, two_hosts),
		cmocka_unit_test_setup(fenced_and_still_registered, two_hosts),
		cmocka_unit_test_setup(registered_late_under_the_new_owner, two_hosts),
		cmocka_unit_test(doubt_without_a_reservation),
		cmocka_unit_test_setup(verified_stays_admitted, two_hosts),
		cmocka_unit_test(joins_when_verified),
		cmocka_unit_test_setup(noisy_path_is_registered, two_hosts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
