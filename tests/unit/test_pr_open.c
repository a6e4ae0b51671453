// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens: section 3, 5.8, 5.12 and 6 of the rules, judged by what the target
 * has afterwards.
 */
#include "pr_map_test.h"

/* Rule 6.1: READ RESERVATION and RESERVE, whatever the number of paths. */
static void default_open_costs_two(void **state)
{
	unsigned int paths;

	(void)state;
	for (paths = 1; paths <= 8; paths *= 2) {
		two_hosts_with(paths);
		pw_settle(a);
		assert_int_equal(sim_registrations(target, KA), paths);
		assert_int_equal(pw_open(a, 0), 0);
		assert_int_equal(a->commands, 2);
		assert_holder(KA);
		assert_true(sim_holds(target, a->nexus[a->lun.holder]));
		assert_true(writes(a));
		assert_int_equal(pr_admitted(&a->lun), a->members);
	}
}

/* Rule 6.1: the shortcut ends with another generation or a unit attention. */
static void shortcut_needs_proof(void **state)
{
	(void)state;
	pw_settle(a);
	raw_take(third_host(KC), KC, 0);
	assert_int_equal(pw_open(a, 0), 0);
	assert_true(a->commands > 2);
	assert_int_equal(sim_registrations(target, KC), 0);	/* rule 3.2 */

	two_hosts_with(2);
	pw_settle(a);
	sim_nexus_loss(target, a->nexus[0]);
	assert_int_equal(pw_open(a, 0), 0);
	assert_true(a->commands > 2);
}

/* Rule 3.2 with a foreign key that was there before the shortcut. */
static void known_foreign_key_is_evicted(void **state)
{
	(void)state;
	raw_take(third_host(KC), KC, 0);
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(sim_registrations(target, KC), 0);
	assert_int_equal(sim_sent(target, SIM_PREEMPT_ABORT), 1);

	two_hosts_with(2);
	a->lun.cfg.shared = true;
	raw_take(third_host(KC), KC, 0);
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(sim_registrations(target, KC), 1);
}

/* Rules 3, 3-default, 3-single, 3-retain and 3-no_reserve: foreign: refused, nothing is sent. */
static void refused_without_a_word(void **state)
{
	static const u32 options[] = { 0, SINGLE, RETAIN, NO_RESERVE, SINGLE | RETAIN };
	struct traces before;
	size_t i;

	(void)state;
	owner(b, 0);
	before = traces_now();
	for (i = 0; i < 5; i++) {
		u32 sent = sim_sent_out(target);

		assert_int_equal(pw_open(a, options[i]), -EBUSY);
		assert_int_equal(a->op.why, PR_WHY_FOREIGN);
		assert_int_equal(a->op.foreign, KB);
		assert_int_equal(sim_sent_out(target), sent);
		assert_no_trace(before);
		assert_false(a->lun.opened);
		assert_int_equal(a->lun.session, 0);
	}
}

/* Rule 3-bypass: sends nothing, starts nothing; EINVAL with other bits. */
static void bypass(void **state)
{
	(void)state;
	assert_int_equal(pw_open(a, BYPASS), 0);
	assert_int_equal(a->commands, 0);
	assert_false(a->lun.opened);
	assert_false(writes(a));
	assert_int_equal(pw_open(a, BYPASS | FORCED), -EINVAL);
	assert_int_equal(pw_open(a, 1u << 9), -EINVAL);
	owner(b, 0);
	assert_int_equal(pw_open(a, BYPASS), 0);
}

/* Rules 3-forced, 3.3 and 6.2: rounds of a takeover do not grow with the paths. */
static void takeover_in_rounds(void **state)
{
	unsigned int paths;

	(void)state;
	for (paths = 1; paths <= 8; paths *= 2) {
		two_hosts_with(paths);
		owner(b, 0);
		assert_int_equal(pw_open(a, FORCED), 0);
		assert_int_equal(a->rounds, 5);
		assert_int_equal(a->commands, 4 + paths);
		assert_holder(KA);
		assert_int_equal(sim_registrations(target, KB), 0);
		assert_int_equal(sim_registrations(target, KA), paths);
		assert_true(writes(a));
		assert_false(writes(b));
	}
	/* A third registrant costs one PREEMPT AND ABORT. */
	two_hosts_with(4);
	b->lun.cfg.shared = true;
	owner(b, 0);
	raw_take(third_host(KC), KC, 0);
	assert_int_equal(pw_open(a, FORCED), 0);
	assert_int_equal(a->rounds, 6);
	assert_int_equal(sim_sent(target, SIM_PREEMPT_ABORT), 2);
	assert_int_equal(sim_registrations(target, 0), 4);
}

/* Rule 3.3 and E25: what the old owner had queued never lands. */
static void forced_aborts_what_was_queued(void **state)
{
	struct sim_reply reply;

	(void)state;
	owner(b, 0);
	sim_path_state(target, b->nexus[0], SIM_PATH_QUEUED);
	sim_write(target, b->nexus[0]);
	assert_int_equal(sim_pending(target, b->nexus[0]), 1);
	assert_int_equal(pw_open(a, FORCED), 0);
	sim_deliver(target, 0, NULL, 0, &reply);
	assert_int_not_equal(reply.status, 0);
}

/* Rule 3-forced, E25: without PREEMPT AND ABORT only by explicit leave. */
static void abort_is_required(void **state)
{
	struct traces before;

	(void)state;
	target->quirks |= SIM_NO_ABORT;
	owner(b, 0);
	before = traces_now();
	assert_int_equal(pw_open(a, FORCED), -EIO);
	assert_int_equal(a->op.why, PR_WHY_NO_ABORT);
	assert_no_trace(before);
	a->lun.cfg.abort_optional = true;
	assert_int_equal(pw_open(a, FORCED), 0);
	assert_holder(KA);
	assert_int_equal(sim_registrations(target, KB), 0);
}

/* Rule 3-forced-no_reserve: breaks the reservation with one path. */
static void forced_no_reserve_breaks(void **state)
{
	(void)state;
	owner(b, 0);
	dead(a, 0);
	assert_int_equal(pw_open(a, FORCED | NO_RESERVE), 0);
	assert_state(a, PR_STATE_NO_RESERVE);
	assert_int_equal(target->type, 0);
	assert_int_equal(sim_registrations(target, KB), 0);
	assert_int_equal(sim_registrations(target, KA), 1);
	assert_true(pr_gate_open(&a->lun));
}

/* Rule 3-no_reserve: on a free LUN sends no PR OUT. */
static void no_reserve_is_quiet(void **state)
{
	(void)state;
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(sim_sent_out(target), 0);
	assert_true(writes(a));
	/* Rule 3.5: a reserving open in it runs the section. */
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
	assert_int_equal(a->lun.session, NO_RESERVE);
	/* E30: beside an owner it touches nothing. */
	assert_int_equal(pw_open(a, NO_RESERVE | RETAIN), 0);
	assert_int_equal(a->commands, 0);
	assert_holder(KA);
	assert_int_equal(a->lun.session, NO_RESERVE | RETAIN);
}

/* Rule 3-no_reserve, claim 17: a leftover with K goes; also one of an earlier login (E27). */
static void no_reserve_releases_leftover(void **state)
{
	(void)state;
	owner(a, RETAIN);
	assert_int_equal(pw_close(a), 0);
	assert_holder(KA);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(target->type, 0);

	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	owner(a, RETAIN);
	assert_int_equal(pw_close(a), 0);
	sim_relogin(target, a->nexus[0]);
	sim_relogin(target, a->nexus[1]);
	pw_reboot(a);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(target->type, 0);
	assert_state(a, PR_STATE_NO_RESERVE);
}

/* Rule 3.1: another host was faster. */
static void faster(struct pw_host *h, unsigned int n, const struct pr_request *req, int path)
{
	(void)n;
	(void)path;
	if (req->action != PR_ACT_RESERVE || h->hook_at)
		return;
	h->hook_at = 1;
	if (h == a)
		assert_int_equal(pw_open(b, 0), 0);
}

static void reserve_race(void **state)
{
	(void)state;
	a->hook = faster;
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_holder(KB);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_false(writes(a));

	two_hosts_with(2);
	a->hook = faster;
	assert_int_equal(pw_open(a, FORCED), 0);
	assert_holder(KA);
	assert_int_equal(sim_registrations(target, KB), 0);
}

/* Rule 3.4 and E19: whatever the order of their commands, one wins. */
static void forced_against_forced(void **state)
{
	unsigned int order;

	(void)state;
	for (order = 0; order < 1u << 12; order++) {
		unsigned int rest = order, won;

		two_hosts_with(1);
		raw_take(third_host(KC), KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
		pw_open_start(a, FORCED);
		pw_open_start(b, FORCED);
		while (a->running || b->running) {
			pw_step(rest & 1 ? a : b);
			if (!(rest & 1 ? a : b)->running)
				pw_step(rest & 1 ? b : a);
			rest >>= 1;
		}
		won = writes(a) + 2 * writes(b);
		assert_true(won == 1 || won == 2);
		assert_holder(won == 1 ? KA : KB);
		assert_int_equal(sim_registrations(target, KC), 0);
		/* Overtaken between verdict and now, or told so. */
		if (won == 1)
			assert_true(b->lun.state == PR_STATE_FREE || pr_gate_open(&b->lun));
		pw_settle(a);
		pw_settle(b);
		assert_int_equal(pr_gate_open(&a->lun) + pr_gate_open(&b->lun), 1);
		assert_int_equal(sim_registrations(target, 0), 1);
	}
}

/* Rule 3.4: no ping-pong: who fought and met a third host has lost. */
static void third_one_wins(struct pw_host *h, unsigned int n,
			   const struct pr_request *req, int path)
{
	unsigned int victim = third_host(KC);

	(void)h;
	(void)n;
	(void)path;
	if (req->action == PR_ACT_PREEMPT_ABORT && !b->lun.opened) {
		raw_out(victim, PR_ACT_RELEASE, PR_TYPE_WRITE_EXCLUSIVE_RO, KC, 0);
		raw_out(victim, PR_ACT_REGISTER, 0, KC, 0);
	} else if (req->action == PR_ACT_RESERVE) {
		pw_open(b, 0);
	}
}

static void no_ping_pong(void **state)
{
	(void)state;
	raw_take(third_host(KC), KC, PR_TYPE_WRITE_EXCLUSIVE_RO);
	a->hook = third_one_wins;
	assert_int_equal(pw_open(a, FORCED), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_LOST_RACE);
	assert_holder(KB);
	assert_true(writes(b));
	assert_int_equal(sim_registrations(target, KA), 0);
}

/* Rule 3.5: joins send nothing; bits add up. */
static void joining(void **state)
{
	(void)state;
	owner(a, 0);
	assert_int_equal(pw_open(a, RETAIN), 0);
	assert_int_equal(a->commands, 0);
	assert_int_equal(a->op.why, PR_WHY_JOINED);
	assert_int_equal(pw_open(a, FORCED), 0);
	assert_int_equal(a->commands, 0);
	assert_int_equal(a->lun.session, RETAIN | FORCED);
}

/* Rule 3.6: cut off after each number of commands, nothing is left. */
static void no_trace(void **state)
{
	static const u32 options[] = { 0, FORCED, FORCED | NO_RESERVE, RETAIN };
	unsigned int i, foreign, n, cut;
	struct traces before;

	(void)state;
	for (i = 0; i < 4; i++)
		for (foreign = 0; foreign < 2; foreign++)
			for (cut = 0; cut < 2; cut++)
				for (n = 1; n < 12; n++) {
					int error;

					two_hosts_with(2);
					if (foreign)
						owner(b, 0);
					before = traces_now();
					if (cut)
						a->cancel = n;
					else
						a->expires = n;
					error = pw_open(a, options[i]);
					if (!error)
						continue;
					assert_int_equal(sim_registrations(target, KA), 0);
					assert_int_not_equal(sim_holder_key(target), KA);
					assert_false(pr_gate_open(&a->lun));
					assert_false(a->lun.opened);
					if (!sim_sent(target, SIM_PREEMPT_ABORT))
						assert_no_trace(before);
				}
}

/* Rule 3.6: a retained reservation survives an open that fails, also after a reboot. */
static void no_trace_on_retained(void **state)
{
	unsigned int n, reboot;

	(void)state;
	for (reboot = 0; reboot < 2; reboot++)
		for (n = 1; n < 12; n++) {
			pw_init(&world);
			pw_add_host(&world, SIM_ISCSI, 2, KA);
			owner(a, RETAIN);
			pw_close(a);
			sim_relogin(target, a->nexus[a->lun.holder]);
			if (reboot)
				pw_reboot(a);
			a->expires = n;
			if (!pw_open(a, 0))
				continue;
			assert_holder(KA);
			assert_false(pr_gate_open(&a->lun));
		}
}

/* Rules 5.12, 3.7 and E6. */
static void target_without_pr(void **state)
{
	(void)state;
	target->quirks |= SIM_NO_PR;
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), -EOPNOTSUPP);
	assert_int_equal(pw_open(a, FORCED), -EOPNOTSUPP);
	assert_int_equal(pw_open(a, NO_RESERVE), 0);
	assert_int_equal(sim_sent_out(target), 0);

	/* E6: no PTPL: once more without APTPL, and never with it again. */
	two_hosts_with(2);
	target->quirks |= SIM_NO_APTPL;
	assert_int_equal(pw_open(a, 0), 0);
	assert_true(a->lun.no_aptpl);
	assert_holder(KA);

	/* Without a key there is no PR at all. */
	two_hosts_with(1);
	a->lun.cfg.key = 0;
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(target->sent[a->nexus[0]][SIM_READ_RESERVATION], 0);
	assert_true(pr_gate_open(&a->lun));
}

/* Rule 3.7: no path answers, or none can be registered. */
static void no_path(void **state)
{
	(void)state;
	dead(a, 0);
	dead(a, 1);
	assert_int_equal(pw_open(a, 0), -EIO);
	assert_int_equal(a->op.why, PR_WHY_NO_ANSWER);
	alive(a, 0);
	alive(a, 1);
	target->max_regs = 0;
	assert_int_equal(pw_open(a, 0), -EIO);
	assert_int_equal(a->op.why, PR_WHY_NOT_REGISTERED);
	assert_int_equal(sim_registrations(target, 0), 0);
	/* E5: one registered path is enough, the other is not used. */
	target->max_regs = 1;
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(pr_admitted(&a->lun), 1);
	assert_int_equal(a->lun.refused, 2);
}

/* Rule 3, E1: an old key on our nexus gives way inside an open only. */
static void old_key_on_nexus(void **state)
{
	(void)state;
	raw_take(a->nexus[0], KC, 0);
	pw_settle(a);
	assert_int_equal(sim_sent(target, SIM_REGISTER_IGNORE), 0);
	assert_int_equal(sim_registrations(target, KC), 1);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(sim_sent(target, SIM_REGISTER_IGNORE), 1);
	assert_int_equal(sim_registrations(target, KC), 0);
	assert_int_equal(sim_registrations(target, KA), 2);
}

/* E7: one registration per host is all there is. */
static void shared_registration(void **state)
{
	(void)state;
	target->quirks |= SIM_SHARED;
	owner(a, 0);
	assert_int_equal(sim_registrations(target, KA), 1);
	assert_int_equal(pr_admitted(&a->lun), 3);
	assert_int_equal(sim_sent(target, SIM_REGISTER_IGNORE), 0);
}

/* Rule 5.6, E9: each PR OUT of an open loses its status, done or not. */
static void lost_status(void **state)
{
	static const enum sim_cmd cmds[] = {
		SIM_REGISTER, SIM_RESERVE, SIM_PREEMPT_ABORT, SIM_READ_RESERVATION,
		SIM_READ_KEYS,
	};
	unsigned int i, done;

	(void)state;
	for (i = 0; i < 5; i++)
		for (done = 0; done < 2; done++) {
			two_hosts_with(2);
			if (cmds[i] == SIM_PREEMPT_ABORT)
				owner(b, 0);
			lose(a, 0, cmds[i], done);
			assert_int_equal(pw_open(a, FORCED), 0);
			assert_holder(KA);
			pw_settle(a);
			assert_int_equal(sim_registrations(target, KA), 2);
			assert_int_equal(pr_admitted(&a->lun), 3);
			assert_int_equal(pw_close(a), 0);
			assert_int_equal(target->type, 0);
		}
}

/* Rules 3.6 and 5.6: a RESERVE that was done though its open failed. */
static void lost_reserve_is_released(void **state)
{
	unsigned int n;

	(void)state;
	for (n = 1; n < 9; n++) {
		two_hosts_with(2);
		pw_settle(a);
		lose(a, 0, SIM_RESERVE, true);
		a->expires = n;
		if (!pw_open(a, 0))
			continue;
		a->expires = 0;
		pw_settle(a);
		assert_int_equal(target->type, 0);
		assert_false(pr_gate_open(&a->lun));
	}
}

/* Rule 5.6, E38: attentions on every path do not disturb. */
static void attentions(void **state)
{
	unsigned int i;

	(void)state;
	pw_settle(a);
	for (i = 0; i < 2; i++) {
		sim_attention(target, a->nexus[i], 0x29, 0x00);
		sim_attention(target, a->nexus[i], 0x2a, 0x05);
		sim_attention(target, a->nexus[i], 0x3f, 0x0e);
	}
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
}

/* Rule 3.9, E27: K stands and is provably ours. */
static void adopt(void **state)
{
	(void)state;
	owner(a, 0);
	pw_reboot(a);
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
	assert_true(sim_holds(target, a->nexus[a->lun.holder]));
	assert_true(writes(a));

	/* Both nexuses are new: full status knows our port; it is moved. */
	pw_init(&world);
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	owner(a, 0);
	sim_relogin(target, a->nexus[0]);
	sim_relogin(target, a->nexus[1]);
	pw_reboot(a);
	assert_int_equal(pw_open(a, 0), 0);
	assert_holder(KA);
	assert_true(sim_holds(target, a->nexus[a->lun.holder]));
	assert_int_equal(sim_registrations(target, KA), 2);	/* the stale ones went */
	assert_int_equal(sim_sent(target, SIM_PREEMPT), 1);

	/* Another type: the move changes it (E26). */
	owner(a, RETAIN);
	pw_close(a);
	pw_reboot(a);
	a->lun.cfg.type = PR_TYPE_EXCLUSIVE_ACCESS_RO;
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(target->type, PR_TYPE_EXCLUSIVE_ACCESS_RO);
}

/* Rules 3.9 and 5.10, E17: a clone with our key. */
static void twin(void **state)
{
	struct traces before;

	(void)state;
	b->lun.cfg.key = KA;
	owner(b, 0);
	before = traces_now();
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_TWIN);
	assert_int_equal(a->op.foreign, KA);
	assert_int_equal(pw_open(a, FORCED), -EBUSY);
	assert_no_trace(before);
	pw_settle(a);
	assert_no_trace(before);

	/* Not without READ FULL STATUS either. */
	target->quirks |= SIM_NO_FULL_STATUS;
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_no_trace(before);
	target->quirks = 0;

	/* A twin that only registered is noticed as well. */
	assert_int_equal(pw_close(b), 0);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_TWIN);
	a->lun.cfg.twin_trust = true;
	assert_int_equal(pw_open(a, 0), 0);
}

/* Rule 3.8, E32: a SCSI-2 reservation answers everything with a conflict. */
static void scsi2(void **state)
{
	(void)state;
	target->scsi2_holder = b->nexus[0];
	assert_int_equal(pw_open(a, FORCED), -EBUSY);
	assert_int_equal(a->op.why, PR_WHY_LEGACY);
	assert_int_equal(sim_sent_out(target), 0);
}

/* Rule 5.8, E13: with a type that names the holder only its path writes. */
static void holder_types(void **state)
{
	(void)state;
	two_hosts_with(1);
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE;
	owner(a, 0);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE);
	assert_int_equal(pr_admitted(&a->lun), 1);
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, 0);

	/* A type that the target does not have. */
	target->types = 1 << 5;
	assert_int_equal(pw_open(a, 0), -EOPNOTSUPP);
	assert_int_equal(a->op.why, PR_WHY_NO_TYPE);
}

/* Rule 5.8 and E16: all registrants hold it. */
static void all_registrants(void **state)
{
	(void)state;
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	b->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	assert_int_equal(pw_open(b, 0), 0);
	assert_int_equal(pw_open(a, 0), -EBUSY);
	assert_int_equal(sim_registrations(target, KA), 0);
	pw_settle(a);
	assert_int_equal(sim_registrations(target, KA), 0);

	/* Sharing is said on both sides. */
	a->lun.cfg.shared = true;
	b->lun.cfg.shared = true;
	assert_int_equal(pw_open(a, 0), 0);
	assert_true(writes(a));
	assert_true(writes(b));
	pw_settle(b);
	assert_state(b, PR_STATE_OWNER);
	/* The first that closes only steps out, the last one ends it. */
	assert_int_equal(pw_close(a), 0);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_true(writes(b));
	assert_int_equal(pw_close(b), 0);
	assert_int_equal(target->type, 0);
}

/* Rule 5.8: an open that fails does not end it for who joined meanwhile. */
static void joins_before_keys(struct pw_host *h, unsigned int n,
			      const struct pr_request *req, int path)
{
	(void)path;
	if (req->action != PR_ACT_READ_KEYS || !sim_holds(target, h->nexus[0]) || h->expires)
		return;
	assert_int_equal(pw_open(b, 0), 0);
	h->expires = n;
}

static void undo_among_all_registrants(void **state)
{
	(void)state;
	a->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	b->lun.cfg.type = PR_TYPE_WRITE_EXCLUSIVE_AR;
	a->lun.cfg.shared = true;
	b->lun.cfg.shared = true;
	a->hook = joins_before_keys;
	assert_int_equal(pw_open(a, 0), -ETIMEDOUT);
	assert_int_equal(target->type, PR_TYPE_WRITE_EXCLUSIVE_AR);
	assert_int_equal(sim_registrations(target, KA), 0);
	assert_true(writes(b));
}

/* Rule 5.8, E16: forced on types 7 and 8 removes everybody else with key 0. */
static void all_registrants_forced(void **state)
{
	unsigned int lost, done;

	(void)state;
	for (lost = 0; lost < 2; lost++)
		for (done = 0; done < 2; done++) {
			two_hosts_with(2);
			b->lun.cfg.type = PR_TYPE_EXCLUSIVE_ACCESS_AR;
			assert_int_equal(pw_open(b, 0), 0);
			if (lost)
				lose(a, 0, SIM_PREEMPT_ABORT, done);
			assert_int_equal(pw_open(a, FORCED), 0);
			pw_settle(a);
			assert_int_equal(sim_registrations(target, KB), 0);
			assert_int_equal(sim_registrations(target, KA), 2);
			assert_int_equal(pr_admitted(&a->lun), 3);
			assert_true(writes(a));
			pw_settle(b);
			if (b->lun.state == PR_STATE_OWNER)
				pw_do(b, PR_OP_WATCH, 0);
			assert_false(pr_gate_open(&b->lun));
		}
}

/* Rule 5.7, E42: a list cut short proves nothing absent. */
static void short_list(void **state)
{
	(void)state;
	raw_take(third_host(KC), KC, 0);
	pw_settle(a);
	a->keys_room = 8;
	assert_int_not_equal(pw_open(a, 0), 0);
	assert_int_not_equal(a->op.why, PR_WHY_LOST_RACE);
	assert_int_equal(target->type, 0);
	a->keys_room = 0;
	assert_int_equal(pw_open(a, 0), 0);
	a->keys_room = 8;
	sim_attention(target, a->nexus[0], 0x29, 0x00);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_OWNER);
}

/* Rule 3-default, E39: RESERVE goes to a path that may do it. */
static void standby(void **state)
{
	(void)state;
	pw_settle(a);
	target->quirks |= SIM_STANDBY_REFUSES;
	sim_alua_state(target, a->nexus[0], SIM_ALUA_STANDBY);
	assert_int_equal(pw_open(a, 0), 0);
	assert_int_equal(a->lun.holder, 1);
	assert_holder(KA);
}

/* The paths of hook_at are in transition for PREEMPT, and for nothing else. */
static void in_transition(struct pw_host *host, unsigned int n, const struct pr_request *req,
			  int path)
{
	bool preempt = req->action == PR_ACT_PREEMPT || req->action == PR_ACT_PREEMPT_ABORT;

	(void)n;
	sim_alua_state(target, host->nexus[path], preempt && host->hook_at >> path & 1 ?
		       SIM_ALUA_TRANSITION : SIM_ALUA_OPTIMIZED);
}

/* Rules 3.3 and 3.7: PREEMPT that is not taken in time goes to the next path, or is late. */
static void preempt_in_transition(void **state)
{
	struct traces before;

	(void)state;
	target->quirks |= SIM_STANDBY_REFUSES;
	owner(b, 0);
	before = traces_now();
	a->hook = in_transition;
	a->hook_at = 3;
	assert_int_equal(pw_open(a, FORCED), -ETIMEDOUT);
	assert_no_trace(before);
	a->hook_at = 1;
	assert_int_equal(pw_open(a, FORCED), 0);
	assert_int_equal(a->lun.holder, 1);
	assert_holder(KA);
}

/* The main flows once more, with LIO's habits. */
static void lio(void **state)
{
	(void)state;
	target->quirks = SIM_LIO;
	owner(a, 0);
	assert_int_equal(pw_open(b, 0), -EBUSY);
	assert_int_equal(pw_open(b, FORCED), 0);
	assert_holder(KB);
	assert_int_equal(sim_registrations(target, KA), 0);
	pw_do(a, PR_OP_WATCH, 0);
	assert_state(a, PR_STATE_FENCED);
	assert_int_equal(pw_close(b), 0);
	assert_int_equal(target->type, 0);
	assert_int_equal(pw_close(a), 0);
	pw_reboot(b);
	owner(b, RETAIN);
	assert_int_equal(pw_close(b), 0);
	assert_holder(KB);
	assert_int_equal(pw_open(a, FORCED | NO_RESERVE), 0);
	assert_int_equal(target->type, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_open_costs_two),
		cmocka_unit_test_setup(shortcut_needs_proof, two_hosts),
		cmocka_unit_test_setup(known_foreign_key_is_evicted, two_hosts),
		cmocka_unit_test_setup(refused_without_a_word, two_hosts),
		cmocka_unit_test_setup(bypass, two_hosts),
		cmocka_unit_test(takeover_in_rounds),
		cmocka_unit_test_setup(forced_aborts_what_was_queued, two_hosts),
		cmocka_unit_test_setup(abort_is_required, two_hosts),
		cmocka_unit_test_setup(forced_no_reserve_breaks, two_hosts),
		cmocka_unit_test_setup(no_reserve_is_quiet, two_hosts),
		cmocka_unit_test_setup(no_reserve_releases_leftover, two_hosts),
		cmocka_unit_test_setup(reserve_race, two_hosts),
		cmocka_unit_test(forced_against_forced),
		cmocka_unit_test_setup(no_ping_pong, two_hosts),
		cmocka_unit_test_setup(joining, two_hosts),
		cmocka_unit_test(no_trace),
		cmocka_unit_test(no_trace_on_retained),
		cmocka_unit_test_setup(target_without_pr, two_hosts),
		cmocka_unit_test_setup(no_path, two_hosts),
		cmocka_unit_test_setup(old_key_on_nexus, two_hosts),
		cmocka_unit_test_setup(shared_registration, two_hosts),
		cmocka_unit_test(lost_status),
		cmocka_unit_test(lost_reserve_is_released),
		cmocka_unit_test_setup(attentions, two_hosts),
		cmocka_unit_test_setup(adopt, two_hosts),
		cmocka_unit_test_setup(twin, two_hosts),
		cmocka_unit_test_setup(scsi2, two_hosts),
		cmocka_unit_test_setup(holder_types, two_hosts),
		cmocka_unit_test_setup(all_registrants, two_hosts),
		cmocka_unit_test_setup(undo_among_all_registrants, two_hosts),
		cmocka_unit_test(all_registrants_forced),
		cmocka_unit_test_setup(short_list, two_hosts),
		cmocka_unit_test_setup(standby, two_hosts),
		cmocka_unit_test_setup(preempt_in_transition, two_hosts),
		cmocka_unit_test_setup(lio, two_hosts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
