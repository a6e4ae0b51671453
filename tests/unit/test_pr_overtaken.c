// SPDX-License-Identifier: GPL-2.0-only
/*
 * An owner with commands that are late, and another host that takes the LUN between any two
 * commands, has it, and goes: whatever the owner finds afterwards, it never goes on (rules
 * 5.3, 5.8, 5.11). Where nobody comes, what stays owner has all its paths in the end (5.2).
 * OVERTAKEN_SEED=<n> repeats one run, OVERTAKEN_RUNS=<n> makes more of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pr_map_test.h"

#define RUNS		12000
#define MOST_STEPS	400	/* of one operation, with events between its commands */

static u64 rng, seed;
static unsigned int other, paths;
static bool overtaken;		/* another host could write, and the owner had no key */
static bool alone;		/* in this run nobody comes */
static bool told;		/* command by command */

static unsigned int roll(unsigned int n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned int)((rng >> 11) % n);
}

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		printf("# OVERTAKEN_SEED=%llu: %s\n", (unsigned long long)seed, #cond); \
		fail();							\
	}								\
} while (0)

static void look(void)
{
	if (target->type && sim_registered(target, other, NULL) &&
	    sim_allows(target, other, SIM_WRITE) && !sim_registrations(target, KA))
		overtaken = true;
}

static void register_other(void)
{
	raw_out(other, PR_ACT_REGISTER, 0, 0, KC);
}

static void preempt(void)
{
	raw_out(other, roll(2) ? PR_ACT_PREEMPT_ABORT : PR_ACT_PREEMPT, a->lun.cfg.type, KC, KA);
}

static void reserve(void)
{
	raw_out(other, PR_ACT_RESERVE, a->lun.cfg.type, KC, 0);
}

static void release(void)
{
	raw_out(other, PR_ACT_RELEASE, a->lun.cfg.type, KC, 0);
}

static void go(void)
{
	raw_out(other, PR_ACT_REGISTER, 0, KC, 0);
}

static bool busy(unsigned int path)
{
	return a->busy >> path & 1;
}

/* A command that was late ends; mostly it is done, and I/O has met the unit attention. */
static void deliver(unsigned int path, bool drop)
{
	if (!busy(path))
		return;
	if (roll(8))
		target->nexus[a->nexus[path]].attentions = 0;
	sim_path_state(target, a->nexus[path], SIM_PATH_UP);
	if (drop)
		sim_drop(target, a->tag[path]);
	pw_deliver(a, (int)path);
}

static void take(void)
{
	unsigned int path;

	register_other();
	preempt();
	if (!target->type)
		reserve();
	look();
	if (!roll(2))
		return;
	if (roll(2))
		release();
	for (path = 0; path < paths; path++)
		if (roll(2))
			deliver(path, false);
	if (roll(3))
		go();
}

static void other_host(void)
{
	static void (*const acts[])(void) = {
		register_other, preempt, reserve, release, go, take, take,
	};

	acts[roll(sizeof(acts) / sizeof(acts[0]))]();
}

/* A REGISTER of @path ends without a status that tells. */
static void lose_next(unsigned int path)
{
	sim_script(target, a->nexus[path], (struct sim_answer){
		.cmd = SIM_REGISTER, .execute = roll(2), .status = 0x40,
		.host_failed = roll(2) });
}

static void event(void)
{
	unsigned int path = roll(paths), nexus = a->nexus[path];

	switch (roll(alone ? 6 : 9)) {
	case 0:
		pw_path_fail(a, (int)path);
		break;
	case 1:
		if (!busy(path))
			pw_path_back(a, (int)path);
		break;
	case 2:
		if (!busy(path))
			sim_path_state(target, nexus, SIM_PATH_IN_FLIGHT);
		break;
	case 3:
		deliver(path, !roll(5));
		if (roll(2))
			pw_path_back(a, (int)path);
		break;
	case 4:
		if (!busy(path))
			sim_path_state(target, nexus, SIM_PATH_UP);
		break;
	case 5:
		if (!roll(3) && target->nexus[nexus].answers < SIM_MAX_SCRIPT)
			lose_next(path);
		break;
	case 6:
		if (!roll(3) && sim_registrations(target, KA) > 1)
			sim_forget_nexus(target, nexus);
		break;
	default:
		other_host();
	}
	look();
}

static void in_the_midst(void)
{
	unsigned int n, steps = 0;

	while (a->running && ++steps < MOST_STEPS) {
		for (n = roll(3) ? 0 : 1 + roll(2); n; n--)
			event();
		pw_step(a);
	}
	CHECK(!a->running);
}

/* REGISTERs of paths that have come back stay out. */
static void some_are_late(void)
{
	unsigned int path, count = 1 + roll(paths - 1);

	for (path = 1; path <= count; path++) {
		if (roll(4))
			sim_forget_nexus(target, a->nexus[path]);
		pw_path_fail(a, (int)path);
		pw_path_back(a, (int)path);
	}
	if (!roll(3)) {
		pw_path_fail(a, 0);
		if (roll(2))
			pw_path_back(a, 0);
	}
	a->want_watch = false;
	if (!pw_background_start(a))
		return;
	while (a->running && a->req.action != PR_ACT_REGISTER)
		pw_step(a);
	for (path = 1; path <= count; path++)
		sim_path_state(target, a->nexus[path], SIM_PATH_IN_FLIGHT);
	while (a->running)
		pw_step(a);
	for (path = 1; path <= count; path++)
		sim_path_state(target, a->nexus[path], SIM_PATH_UP);
	if (roll(2))
		a->want_admit = 0;
}

static void come_to_rest(void)
{
	unsigned int path, round;

	for (path = 0; path < paths; path++) {
		deliver(path, false);
		sim_path_state(target, a->nexus[path], SIM_PATH_UP);
		target->nexus[a->nexus[path]].answers = 0;
	}
	look();
	go();
	for (round = 0; round < 3; round++) {
		for (path = 0; path < paths; path++)
			pw_path_back(a, (int)path);
		a->want_watch = true;
		pw_settle(a);
	}
}

static void run(void)
{
	static const u8 types[] = {
		PR_TYPE_WRITE_EXCLUSIVE_AR, PR_TYPE_EXCLUSIVE_ACCESS_AR,
		PR_TYPE_WRITE_EXCLUSIVE_RO, PR_TYPE_EXCLUSIVE_ACCESS_RO,
	};
	static const u32 quirks[] = { 0, 0, 0, SIM_LIO, SIM_LIO, SIM_SHARED };
	unsigned int i, events;

	rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (i = 0; i < 5; i++)
		roll(2);
	overtaken = false;
	alone = !roll(4);
	paths = 2 + roll(2);
	two_hosts_with(paths);
	world.trace = told;
	a->lun.cfg.type = types[roll(4)];
	a->lun.type = a->lun.cfg.type;
	target->quirks |= quirks[roll(6)];
	other = third_host(KC);
	pw_settle(a);
	assert_int_equal(pw_open(a, 0), 0);
	pw_settle(a);
	if (roll(8))
		some_are_late();
	for (events = 2 + roll(10); events && a->lun.state == PR_STATE_OWNER; events--) {
		event();
		if (roll(2))
			continue;
		if (!roll(4))
			pw_conflict(a, (int)roll(paths));
		else if (!roll(3))
			a->want_watch = true;
		if (pw_background_start(a))
			in_the_midst();
	}
	come_to_rest();
	CHECK(!overtaken || a->lun.state != PR_STATE_OWNER);
	CHECK(!overtaken || !writes(a));
	if (a->lun.state == PR_STATE_OWNER && alone) {
		CHECK(a->lun.baseline);
		CHECK(pr_admitted(&a->lun) == (1u << paths) - 1);
	}
}

static void owners(void **state)
{
	const char *only = getenv("OVERTAKEN_SEED"), *more = getenv("OVERTAKEN_RUNS");
	unsigned long runs = more ? strtoul(more, NULL, 0) : RUNS;
	unsigned long both = 0;

	(void)state;
	if (only) {
		seed = strtoull(only, NULL, 0);
		told = true;
		run();
		return;
	}
	for (seed = 1; seed <= runs; seed++) {
		run();
		both += overtaken;
	}
	/* Else it shows nothing. */
	assert_true(both > runs / 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners),
	};

	return cmocka_run_group_tests_name("an owner that was overtaken", tests, NULL, NULL);
}
