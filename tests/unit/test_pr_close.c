// SPDX-License-Identifier: GPL-2.0-only
/*
 * Closes, single, revoking, reloads and messages: section 4 of the rules.
 */
#include "pr_map_test.h"

/* Rules 3-single and 4.1: single excludes every other open, either way, but not bypass. */
static void single(void **state)
{
	(void)state;
	assert_int_equal(pw_open(a, SINGLE), 0);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_SINGLE_HELD);
	assert_int_equal(pw_open(a, NO_RESERVE), -EBUSY);
	assert_int_equal(pw_open(a, BYPASS), 0);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(pw_open(a, SINGLE), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_SINGLE_BUSY);
	assert_int_equal(a->lun.session, 0);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(pw_open(a, SINGLE), 0);
}

/* Rules 4.2 and 4.5: RELEASE on the holder path, registrations stay. */
static void close_releases(void **state)
{
	(void)state;
	owner(a, 0);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(a->commands, 2);
	assert_int_equal(target->type, 0);
	assert_int_equal(sim_sent(target, SIM_RELEASE), 1);
	assert_int_equal(sim_registrations(target, KA), 2);
	assert_state(a, PR_STATE_FREE);
	assert_false(writes(a));
	assert_true(a->op.events & PR_EVENT_RELEASED);
	/* Nothing to release: nothing sent. */
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(a->commands, 0);
}

/* Rule 4.2, E10: GOOD on a path that is not the holder proves nothing. */
static void release_is_verified(void **state)
{
	(void)state;
	owner(a, 0);
	a->lun.holder = 1;	/* wrong on purpose */
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
	assert_state(a, PR_STATE_FREE);

	/* RELEASE with a lost status. */
	owner(a, 0);
	lose(a, a->lun.holder, SIM_RELEASE, false);
	pw_close(a);
	pw_settle(a);
	assert_int_equal(target->type, 0);
	assert_state(a, PR_STATE_FREE);
}

/* Rule 4.2, E11: the holder path is dead, another one moves it first. */
static void holder_dead_at_close(void **state)
{
	unsigned int known;

	(void)state;
	for (known = 0; known < 2; known++) {
		two_hosts_with(3);
		owner(a, 0);
		dead(a, 0);
		if (known)
			pw_path_fail(a, 0);
		assert_int_equal(pw_close(a), 0);
		assert_int_equal(target->type, 0);
		assert_int_equal(sim_sent(target, SIM_PREEMPT), 1);
		assert_state(a, PR_STATE_FREE);
		pw_settle(a);
		assert_int_equal(sim_registrations(target, KA), 2);
		assert_int_equal(pw_open(b, 0), 0);
	}
}

/* Rule 4.2: no path alive: the background goes on; an open supersedes it. */
static void release_later(void **state)
{
	(void)state;
	owner(a, 0);
	dead(a, 0);
	dead(a, 1);
	assert_int_equal(pw_close(a), -EIO);
	assert_state(a, PR_STATE_RELEASING);
	assert_false(pr_gate_open(&a->lun));
	pw_settle(a);
	assert_state(a, PR_STATE_RELEASING);
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_FREE);
	assert_int_equal(target->type, 0);

	owner(a, 0);
	a->expires = 1;
	pw_close(a);
	a->expires = 0;
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
	pw_settle(a);
	assert_state(a, PR_STATE_OWNER);
}

/* Rule 4.2, E28: also if each nexus is a new one by then. */
static void release_after_relogin(void **state)
{
	(void)state;
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	owner(a, 0);
	dead(a, 0);
	dead(a, 1);
	pw_close(a);
	assert_state(a, PR_STATE_RELEASING);
	sim_relogin(target, a->nexus[0]);
	sim_relogin(target, a->nexus[1]);
	alive(a, 0);
	alive(a, 1);
	pw_settle(a);
	assert_state(a, PR_STATE_FREE);
	assert_int_equal(target->type, 0);
}

/* Rule 4.2, E10: a host that took over meanwhile keeps what it has. */
static void close_after_takeover(void **state)
{
	unsigned int holder_dead;

	(void)state;
	for (holder_dead = 0; holder_dead < 2; holder_dead++) {
		two_hosts_with(2);
		owner(a, 0);
		assert_int_equal(pw_open(b, FORCED), 0);
		if (holder_dead)
			pw_path_fail(a, a->lun.holder);
		assert_int_equal(pw_close(a), 0);
		assert_holder(KB);
		assert_int_equal(sim_sent(target, SIM_PREEMPT), 0);
		assert_state(a, PR_STATE_FREE);
	}
}

/* Rules 3-retain and 4.3: retain sends nothing; the next session finds it. */
static void retain(void **state)
{
	(void)state;
	owner(a, 0);
	assert_int_equal(pw_open(a, RETAIN), 0);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(a->commands, 0);
	assert_state(a, PR_STATE_RETAINED);
	assert_holder(KA);
	assert_false(writes(a));
	assert_int_equal(pw_open(b, 0), -EBUSY);
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);
	/* After a restart configuration finds it as well (rule 5.9). */
	owner(a, RETAIN);
	pw_close(a);
	pw_reboot(a);
	pw_settle(a);
	assert_state(a, PR_STATE_RETAINED);
}

/* Rule 4.7: an open that succeeded is taken back. */
static void revoke(void **state)
{
	unsigned int cut;

	(void)state;
	for (cut = 0; cut < 4; cut++) {
		struct traces before;

		two_hosts_with(2);
		before = traces_now();
		assert_int_equal(pw_open(a, FORCED), 0);
		assert_true(a->op.started);
		pr_op_revoke(&a->op);
		a->expires = cut;
		pw_run(a);
		a->expires = 0;
		assert_false(pr_gate_open(&a->lun));
		assert_false(a->lun.opened);
		assert_int_equal(a->lun.session, 0);
		if (!cut)
			assert_no_trace(before);
		pw_settle(a);
		assert_int_equal(target->type, 0);
		assert_int_not_equal(a->lun.state, PR_STATE_OWNER);
	}
	/* Back to a no_reserve session, and to a retained reservation. */
	two_hosts_with(2);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(pw_open(a, 0), 0);
	pr_op_revoke(&a->op);
	pw_run(a);
	assert_state(a, PR_STATE_NO_RESERVE);
	assert_int_equal(a->lun.session, NO_RESERVE);
	assert_int_equal(target->type, 0);

	two_hosts_with(2);
	owner(a, RETAIN);
	pw_close(a);
	assert_int_equal(pw_open(a, FORCED), 0);
	pr_op_revoke(&a->op);
	pw_run(a);
	assert_state(a, PR_STATE_RETAINED);
	assert_holder(KA);
	assert_int_equal(sim_registrations(target, KA), 2);
}

/* Rule 4.8, E36: the holder path leaves: the reservation moves first. */
static void holder_leaves(void **state)
{
	int holder;

	(void)state;
	two_hosts_with(3);
	owner(a, 0);
	holder = a->lun.holder;
	pw_members(a, 7 & ~(1u << holder));
	pw_do(a, PR_OP_LEAVE, 1u << holder);
	assert_holder(KA);
	assert_false(sim_registered(target, a->nexus[holder], NULL));
	assert_true(sim_holds(target, a->nexus[a->lun.holder]));
	pw_settle(a);
	assert_int_equal(pr_admitted(&a->lun) & a->members, a->members);
	assert_int_equal(sim_registrations(target, KA), 2);
	/* Another one leaves: only its registration goes. */
	holder = a->lun.holder;
	pw_members(a, 1u << holder);
	pw_do(a, PR_OP_LEAVE, 6 & ~(1u << holder));
	assert_holder(KA);
	assert_int_equal(sim_registrations(target, KA), 1);
	/* All of them: not while we hold it. */
	pw_members(a, 0);
	pw_do(a, PR_OP_LEAVE, 1u << holder);
	assert_holder(KA);
}

/* Rules 4.5 and 4.8: an idle device takes its registrations along. */
static void idle_leaves(void **state)
{
	(void)state;
	owner(a, 0);
	pw_close(a);
	pw_members(a, 0);
	pw_do(a, PR_OP_LEAVE, 3);
	assert_int_equal(sim_registrations(target, 0), 0);

	two_hosts_with(2);
	owner(a, RETAIN);
	pw_close(a);
	pw_members(a, 0);
	pw_do(a, PR_OP_LEAVE, 3);
	assert_holder(KA);
}

/* Rule 4.8: another key in the table of an idle device. */
static void rekey(void **state)
{
	(void)state;
	pw_settle(a);
	pw_prepare(a, PR_OP_REKEY);
	a->op.new_key = KC;
	assert_int_equal(pw_run(a), 0);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_int_equal(sim_registrations(target, KC), 2);
	owner(a, RETAIN);
	pw_prepare(a, PR_OP_REKEY);
	a->op.new_key = KA;
	assert_int_equal(pw_run(a), -EBUSY);
	pw_close(a);
	pw_prepare(a, PR_OP_REKEY);
	a->op.new_key = KA;
	assert_int_equal(pw_run(a), -EBUSY);
	assert_holder(KC);
}

/* Messages: only without a session; RELEASE never drops another host's. */
static void messages(void **state)
{
	(void)state;
	owner(a, RETAIN);
	assert_int_equal(pw_do(a, PR_OP_RELEASE, 0), -EBUSY);
	assert_int_equal(pw_do(a, PR_OP_CLEAR, 0), -EBUSY);
	pw_close(a);
	assert_int_equal(pw_do(a, PR_OP_UNREGISTER, 0), -EBUSY);
	assert_holder(KA);
	assert_int_equal(pw_do(a, PR_OP_RELEASE, 0), 0);
	assert_int_equal(target->type, 0);
	assert_int_equal(pw_do(a, PR_OP_UNREGISTER, 0), 0);
	assert_int_equal(sim_registrations(target, 0), 0);
	owner(b, 0);
	assert_int_equal(pw_do(a, PR_OP_RELEASE, 0), -EBUSY);
	assert_holder(KB);
	assert_int_equal(pw_do(a, PR_OP_LOOK, 0), 0);
	assert_int_equal(a->lun.keys_foreign, 2);
	assert_int_equal(pw_do(a, PR_OP_CLEAR, 0), 0);
	assert_int_equal(sim_registrations(target, 0), 0);
	/* E44: a CLEAR by anybody fences. */
	pw_do(b, PR_OP_WATCH, 0);
	assert_state(b, PR_STATE_FENCED);
	assert_int_equal(sim_registrations(target, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(single, two_hosts),
		cmocka_unit_test_setup(close_releases, two_hosts),
		cmocka_unit_test_setup(release_is_verified, two_hosts),
		cmocka_unit_test(holder_dead_at_close),
		cmocka_unit_test_setup(release_later, two_hosts),
		cmocka_unit_test(release_after_relogin),
		cmocka_unit_test(close_after_takeover),
		cmocka_unit_test_setup(retain, two_hosts),
		cmocka_unit_test(revoke),
		cmocka_unit_test(holder_leaves),
		cmocka_unit_test_setup(idle_leaves, two_hosts),
		cmocka_unit_test_setup(rekey, two_hosts),
		cmocka_unit_test_setup(messages, two_hosts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
