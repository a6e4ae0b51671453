// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worlds that are explored. Each asks one question with few moves, so that
 * the answer is complete to a depth that matters.
 */
#include "model.h"

#define FORCED		PRM_OPEN_FORCED
#define RETAIN		PRM_OPEN_RETAIN
#define NO_RESERVE	PRM_OPEN_NO_RESERVE
#define SINGLE		PRM_OPEN_SINGLE

#define PLAIN		(OPT(0) | OPT(FORCED))
#define ALL		(PLAIN | OPT(RETAIN) | OPT(NO_RESERVE) | OPT(SINGLE) | \
			 OPT(FORCED | RETAIN) | OPT(FORCED | NO_RESERVE))

#define BREAK		(OPT(FORCED) | OPT(FORCED | NO_RESERVE))

#define TWO(set, a, b, opens_a, opens_b)				\
	.hosts = 2, .paths = 2, .setup = (set), .options = { (a), (b) },	\
	.opens = { (opens_a), (opens_b) }

const struct config configs[] = {
	/* No fault: every option against every other. */
	{
		.name = "first-boot", TWO(SET_FRESH, ALL, ALL, 1, 1), .watches = { 1, 1 },
		.quick = 13, .depth = 99,
	}, {
		.name = "race", TWO(SET_CONFIGURED, ALL, ALL, 1, 1), .watches = { 1, 1 },
		.quick = 18, .depth = 99,
	}, {
		.name = "takeover", TWO(SET_OWNER, PLAIN, ALL, 1, 1), .watches = { 1, 1 },
		.quick = 18, .depth = 99,
	}, {
		.name = "takeover-cold", TWO(SET_OWNER_ONLY, PLAIN, PLAIN, 1, 1),
		.watches = { 1, 1 }, .quick = 18, .depth = 99,
	}, {
		.name = "retained", TWO(SET_RETAINED, ALL, ALL, 1, 1), .watches = { 1, 0 },
		.quick = 16, .depth = 99,
	}, {
		.name = "no-reserve", TWO(SET_NO_RESERVE, ALL, PLAIN, 1, 1),
		.watches = { 1, 1 }, .quick = 19, .depth = 99,
	}, {
		.name = "force-force", .hosts = 3, .paths = 2, .setup = SET_OWNER,
		.options = { 0, OPT(FORCED), BREAK },
		.opens = { 0, 1, 1 }, .watches = { 1, 0, 0 }, .quick = 11, .depth = 99,
	}, {
		.name = "three-paths", .hosts = 2, .paths = 3, .setup = SET_OWNER,
		.options = { OPT(0), PLAIN }, .opens = { 0, 1 }, .watches = { 1, 0 },
		.fault = { [F_DEAD] = 1, [F_LOSE_DONE] = 1 }, .faults = 1, .quick = 11, .depth = 99,
	},
	/* Paths that die and statuses that are lost. */
	{
		.name = "path-owner", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.watches = { 1, 0 }, .fault = { [F_DEAD] = 2 }, .victims = 1,
		.quick = 12, .depth = 99,
	}, {
		.name = "path-open", TWO(SET_CONFIGURED, PLAIN | OPT(NO_RESERVE), PLAIN, 1, 1),
		.fault = { [F_DEAD] = 1, [F_ATTENTION] = 1 }, .victims = 1,
		.quick = 13, .depth = 99,
	}, {
		.name = "lost-open", TWO(SET_CONFIGURED, PLAIN | OPT(NO_RESERVE), PLAIN, 1, 1),
		.fault = { [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1, [F_ABORTED] = 1 }, .faults = 2,
		.victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "lost-forced", TWO(SET_OWNER, OPT(0), BREAK, 1, 1),
		.fault = { [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1, [F_ABORTED] = 1 }, .faults = 2,
		.victims = 2, .quick = 12, .depth = 99,
	}, {
		.name = "lost-close", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1), .watches = { 1, 0 },
		.fault = { [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1, [F_ABORTED] = 1 }, .faults = 2,
		.victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "lost-retained", TWO(SET_RETAINED, ALL, PLAIN, 1, 1),
		.fault = { [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1 }, .faults = 1,
		.victims = 1, .quick = 12, .depth = 99,
	},
	/* Commands that outlive their operation (rule 6.3). */
	{
		.name = "late-open", TWO(SET_CONFIGURED, PLAIN | OPT(NO_RESERVE), PLAIN, 1, 1),
		.fault = { [F_DELAY] = 1, [F_ABANDON] = 1 }, .faults = 1, .victims = 1,
		.quick = 15, .depth = 99,
	}, {
		.name = "late-forced", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.watches = { 1, 0 }, .fault = { [F_DELAY] = 1, [F_ABANDON] = 1 }, .faults = 1,
		.victims = 2, .quick = 14, .depth = 99,
	}, {
		.name = "late-owner", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.watches = { 1, 0 }, .fault = { [F_DEAD] = 1, [F_DELAY] = 1, [F_ABANDON] = 1 },
		.faults = 2, .victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "late-fresh", TWO(SET_FRESH, OPT(0), OPT(0), 1, 1),
		.fault = { [F_DELAY] = 1, [F_ABANDON] = 1 }, .faults = 1, .victims = 1,
		.quick = 13, .depth = 99,
	},
	/* Time limits and openers that are killed. */
	{
		.name = "cut-open", TWO(SET_CONFIGURED, ALL, PLAIN, 1, 1),
		.fault = { [F_EXPIRE] = 1, [F_CANCEL] = 1 }, .faults = 1, .victims = 1,
		.quick = 17, .depth = 99,
	}, {
		.name = "cut-forced", TWO(SET_OWNER, OPT(0), BREAK, 1, 2),
		.fault = { [F_EXPIRE] = 1, [F_CANCEL] = 1 }, .faults = 1, .victims = 2,
		.quick = 17, .depth = 99,
	}, {
		.name = "cut-retained", TWO(SET_RETAINED, ALL, PLAIN, 2, 1),
		.fault = { [F_EXPIRE] = 1, [F_CANCEL] = 1 }, .faults = 1, .victims = 1,
		.quick = 13, .depth = 99,
	},
	/* Hosts that crash, nexuses that change. */
	{
		.name = "crash", TWO(SET_CONFIGURED, PLAIN | OPT(RETAIN), PLAIN, 2, 1),
		.fault = { [F_CRASH] = 1 }, .victims = 1, .quick = 17, .depth = 99,
	}, {
		.name = "crash-forced", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 2),
		.fault = { [F_CRASH] = 1 }, .victims = 2, .quick = 19, .depth = 99,
	}, {
		.name = "relogin", TWO(SET_OWNER, PLAIN, OPT(FORCED), 1, 1), .iscsi = true,
		.watches = { 1, 0 }, .fault = { [F_RELOGIN] = 2 }, .victims = 1,
		.quick = 11, .depth = 99,
	}, {
		.name = "relogin-retained", TWO(SET_RETAINED, ALL, OPT(FORCED), 1, 1),
		.iscsi = true, .fault = { [F_RELOGIN] = 2 }, .victims = 1,
		.quick = 10, .depth = 99,
	},
	/* Doubt: conflicts that are looked into, and what comes meanwhile. */
	{
		.name = "in-doubt", TWO(SET_OWNER, ALL, OPT(FORCED), 1, 1), .watches = { 1, 0 },
		.fault = { [F_FORGET] = 1 }, .victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "cut-doubt", TWO(SET_OWNER, OPT(0), 0, 1, 0),
		.fault = { [F_FORGET] = 1, [F_OUT_REGISTER] = 1, [F_EXPIRE] = 1, [F_CANCEL] = 1 },
		.faults = 3, .victims = 1, .quick = 18, .depth = 99,
	}, {
		.name = "lost-admit", TWO(SET_OWNER, 0, OPT(FORCED), 0, 1), .watches = { 1, 0 },
		.fault = { [F_DEAD] = 1, [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1, [F_ABORTED] = 1 },
		.faults = 2, .victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "late-no-reserve", TWO(SET_NO_RESERVE, PLAIN, OPT(0), 1, 1),
		.fault = { [F_DELAY] = 1, [F_ABANDON] = 1 }, .faults = 1, .victims = 1,
		.quick = 17, .depth = 99,
	}, {
		.name = "cut-owner", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1), .watches = { 1, 0 },
		.fault = { [F_EXPIRE] = 1, [F_CANCEL] = 1, [F_DEAD] = 1 }, .faults = 2,
		.victims = 1, .quick = 13, .depth = 99,
	}, {
		.name = "messages-race", TWO(SET_CONFIGURED, OPT(0), PLAIN, 1, 1),
		.fault = { [F_MESSAGE_RELEASE] = 1, [F_MESSAGE_UNREGISTER] = 1,
			   [F_MESSAGE_CLEAR] = 1 }, .faults = 1, .victims = 1,
		.quick = 20, .depth = 99,
	}, {
		.name = "messages-lost", TWO(SET_RETAINED, OPT(0), OPT(FORCED), 1, 1),
		.fault = { [F_MESSAGE_RELEASE] = 1, [F_MESSAGE_UNREGISTER] = 1,
			   [F_MESSAGE_CLEAR] = 1, [F_LOSE_DONE] = 1, [F_DELAY] = 1 },
		.faults = 2, .victims = 1, .quick = 12, .depth = 99,
	},
	/* The target forgets, and others do as they like. */
	{
		.name = "power", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1), .no_aptpl = true,
		.watches = { 1, 1 }, .fault = { [F_POWER] = 1 }, .quick = 16, .depth = 99,
	}, {
		.name = "power-path", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1), .no_aptpl = true,
		.watches = { 1, 0 }, .fault = { [F_POWER] = 1, [F_DEAD] = 1 }, .victims = 1,
		.quick = 12, .depth = 99,
	}, {
		.name = "power-lost", TWO(SET_OWNER, 0, OPT(0), 0, 1), .no_aptpl = true,
		.watches = { 1, 0 }, .fault = { [F_POWER] = 1, [F_LOSE_DONE] = 1, [F_DELAY] = 1 },
		.faults = 2, .victims = 1, .quick = 16, .depth = 99,
	}, {
		.name = "power-aptpl", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1),
		.watches = { 1, 1 }, .fault = { [F_POWER] = 1 }, .quick = 16, .depth = 99,
	}, {
		.name = "power-open", TWO(SET_CONFIGURED, PLAIN, OPT(0), 1, 1), .no_aptpl = true,
		.watches = { 1, 0 }, .fault = { [F_POWER] = 1 }, .quick = 17, .depth = 99,
	}, {
		.name = "forget", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1), .watches = { 2, 0 },
		.fault = { [F_FORGET] = 2 }, .victims = 1, .quick = 15, .depth = 99,
	}, {
		.name = "outsider", TWO(SET_OWNER, OPT(0), PLAIN, 1, 1), .watches = { 2, 0 },
		.fault = { [F_OUT_REGISTER] = 1, [F_OUT_PREEMPT] = 1, [F_OUT_CLEAR] = 1 },
		.quick = 12, .depth = 99,
	}, {
		.name = "outsider-path", TWO(SET_OWNER, OPT(0), 0, 1, 0), .watches = { 2, 0 },
		.fault = { [F_OUT_REGISTER] = 1, [F_OUT_PREEMPT] = 1, [F_OUT_CLEAR] = 1,
			   [F_DEAD] = 1 }, .victims = 1, .quick = 28, .depth = 99,
	}, {
		.name = "messages", TWO(SET_RETAINED, OPT(0), PLAIN, 1, 1),
		.fault = { [F_MESSAGE_RELEASE] = 1, [F_MESSAGE_UNREGISTER] = 1,
			   [F_MESSAGE_CLEAR] = 1 }, .faults = 1, .victims = 1,
		.quick = 19, .depth = 99,
	}, {
		.name = "leave", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1), .watches = { 1, 0 },
		.fault = { [F_LEAVE] = 1, [F_DEAD] = 1 }, .victims = 1,
		.quick = 12, .depth = 99,
	},
	/* Writes that were sent before and land later. */
	{
		.name = "writes", TWO(SET_OWNER, OPT(0), ALL, 1, 1), .watches = { 1, 0 },
		.fault = { [F_WRITE_QUEUED] = 1, [F_WRITE_FLIGHT] = 1 }, .victims = 1,
		.quick = 15, .depth = 99,
	}, {
		.name = "writes-path", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.fault = { [F_WRITE_QUEUED] = 1, [F_DEAD] = 1 }, .victims = 1,
		.quick = 16, .depth = 99,
	}, {
		.name = "writes-lost", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.fault = { [F_WRITE_QUEUED] = 1, [F_LOSE_DONE] = 1, [F_LOSE_UNDONE] = 1,
			   [F_ABORTED] = 1 }, .faults = 2, .quick = 12, .depth = 99,
	}, {
		.name = "writes-doubt", TWO(SET_OWNER, 0, OPT(FORCED), 0, 1),
		.fault = { [F_WRITE_FLIGHT] = 1, [F_FORGET] = 1 }, .victims = 1,
		.quick = 30, .depth = 99,
	}, {
		.name = "writes-no-reserve", TWO(SET_FRESH, OPT(NO_RESERVE), OPT(0), 1, 1),
		.fault = { [F_WRITE_FLIGHT] = 1 }, .victims = 1,
		.quick = 20, .depth = 99,
	},
	/* Targets as they are. */
	{
		.name = "lio", TWO(SET_OWNER, PLAIN, PLAIN, 1, 1), .iscsi = true,
		.quirks = SIM_LIO, .watches = { 1, 0 }, .fault = { [F_DEAD] = 1 }, .victims = 1,
		.quick = 13, .depth = 99,
	}, {
		.name = "lio-fresh", TWO(SET_FRESH, ALL, PLAIN, 1, 1), .iscsi = true,
		.quirks = SIM_LIO, .watches = { 1, 0 }, .quick = 15, .depth = 99,
	}, {
		.name = "lio-attention", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.iscsi = true, .quirks = SIM_LIO, .watches = { 1, 0 },
		.fault = { [F_ATTENTION] = 1, [F_DEAD] = 1, [F_FORGET] = 1 }, .faults = 2,
		.victims = 1, .quick = 10, .depth = 99,
	}, {
		.name = "keeps-sender", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.quirks = SIM_KEEPS_SENDER, .fault = { [F_DEAD] = 1 }, .victims = 1,
		.quick = 17, .depth = 99,
	}, {
		.name = "shared-ports", TWO(SET_CONFIGURED, PLAIN, PLAIN, 1, 1),
		.quirks = SIM_SHARED, .watches = { 1, 1 }, .quick = 24, .depth = 99,
	},
	/* Other types. */
	{
		.name = "exclusive-access", TWO(SET_OWNER, PLAIN, PLAIN, 1, 1),
		.type = PR_TYPE_EXCLUSIVE_ACCESS_RO, .watches = { 1, 0 },
		.quick = 20, .depth = 99,
	}, {
		.name = "all-registrants", TWO(SET_OWNER, ALL, ALL, 1, 1),
		.type = PR_TYPE_WRITE_EXCLUSIVE_AR, .watches = { 1, 0 },
		.quick = 17, .depth = 99,
	}, {
		.name = "all-registrants-path", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.type = PR_TYPE_WRITE_EXCLUSIVE_AR, .watches = { 1, 0 },
		.fault = { [F_DEAD] = 1, [F_LOSE_DONE] = 1 }, .faults = 1,
		.quick = 13, .depth = 99,
	}, {
		.name = "all-registrants-late", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.type = PR_TYPE_WRITE_EXCLUSIVE_AR, .fault = { [F_DELAY] = 1, [F_ABANDON] = 1 },
		.faults = 1, .quick = 15, .depth = 99,
	}, {
		.name = "all-registrants-forget", TWO(SET_OWNER, OPT(0), OPT(FORCED), 1, 1),
		.type = PR_TYPE_WRITE_EXCLUSIVE_AR,
		.fault = { [F_FORGET] = 1, [F_DEAD] = 1, [F_DELAY] = 1 }, .faults = 3,
		.quick = 10, .depth = 99,
	}, {
		.name = "all-registrants-shared",
		TWO(SET_CONFIGURED, PLAIN | OPT(NO_RESERVE), OPT(0), 1, 1),
		.type = PR_TYPE_WRITE_EXCLUSIVE_AR, .shared = true, .watches = { 1, 0 },
		.quick = 99, .depth = 99,
	}, {
		.name = "shared", TWO(SET_CONFIGURED, PLAIN | OPT(NO_RESERVE), PLAIN, 1, 1),
		.shared = true, .watches = { 1, 0 }, .quick = 99, .depth = 99,
	},
};

const unsigned int config_count = COUNT_OF(configs);
