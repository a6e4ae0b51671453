/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of the decisions share: two hosts, and looks at the target. */
#ifndef PR_MAP_TEST_H
#define PR_MAP_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sim/pr_world.h"

#define KA	0xaaaa000000000001ULL
#define KB	0xbbbb000000000002ULL
#define KC	0xcccc000000000003ULL

#define FORCED		PRM_OPEN_FORCED
#define RETAIN		PRM_OPEN_RETAIN
#define NO_RESERVE	PRM_OPEN_NO_RESERVE
#define SINGLE		PRM_OPEN_SINGLE
#define BYPASS		PRM_OPEN_BYPASS

static struct pr_world world;
static struct sim_lun *const target = &world.target;
static struct pw_host *const a = &world.host[0];
static struct pw_host *const b = &world.host[1];

static inline void two_hosts_with(unsigned int paths)
{
	pw_init(&world);
	pw_add_host(&world, SIM_FC, paths, KA);
	pw_add_host(&world, SIM_FC, paths, KB);
}

static inline int two_hosts(void **state)
{
	(void)state;
	two_hosts_with(2);
	return 0;
}

/* A third host that is only commands. */
static inline unsigned int third_host(u64 key)
{
	unsigned int nexus = sim_find_nexus(target, 2, 0);

	if (nexus == SIM_NOBODY)
		nexus = sim_add_nexus(target, SIM_SAS, 2, 0);
	assert_true(key);
	return nexus;
}

static inline u8 raw_out(unsigned int nexus, enum pr_action action, u8 type,
			 u64 key, u64 sa_key)
{
	u8 cdb[PR_CDB_LEN], list[PR_OUT_LEN];
	struct sim_reply reply;

	pr_encode_cdb(cdb, action, type, PR_OUT_LEN);
	pr_encode_out(list, key, sa_key, true);
	do {
		sim_execute(target, nexus, cdb, sizeof(cdb), list, sizeof(list),
			    NULL, 0, &reply);
	} while (reply.status == 0x02 && reply.key == 0x06);
	return reply.status;
}

/* @nexus registers, and reserves unless @type is 0. */
static inline void raw_take(unsigned int nexus, u64 key, u8 type)
{
	assert_int_equal(raw_out(nexus, PR_ACT_REGISTER, 0, 0, key), 0);
	if (type)
		assert_int_equal(raw_out(nexus, PR_ACT_RESERVE, type, key, 0), 0);
}

/* What a host can leave behind: reservation and registrations. */
struct traces {
	u8 type;
	u64 holder;
	u64 key[SIM_MAX_NEXUS];
	unsigned int regs;
};

static inline struct traces traces_now(void)
{
	struct traces t;
	unsigned int i;

	memset(&t, 0, sizeof(t));
	t.type = target->type;
	t.holder = sim_holder_key(target);
	for (i = 0; i < target->nexuses; i++)
		sim_registered(target, i, &t.key[i]);
	t.regs = sim_registrations(target, 0);
	return t;
}

#define assert_no_trace(before) do {					\
	struct traces _now = traces_now(), _then = (before);		\
	assert_memory_equal(&_now, &_then, sizeof(_now));		\
} while (0)

#define assert_holder(k)	assert_int_equal(sim_holder_key(target), k)
#define assert_state(h, s)	assert_int_equal((h)->lun.state, s)

/* No writes of a host but through its own admitted paths (rules 5.1, 5.2). */
static inline bool writes(const struct pw_host *h)
{
	int i;

	for (i = 0; i < PW_MAX_PATHS; i++)
		if (pw_may_write(h, i))
			return true;
	return false;
}

static inline void dead(struct pw_host *h, int path)
{
	sim_path_state(target, h->nexus[path], SIM_PATH_DEAD);
}

static inline void alive(struct pw_host *h, int path)
{
	sim_path_state(target, h->nexus[path], SIM_PATH_UP);
	pw_path_back(h, path);
}

/* The status of the next @cmd on @path is lost, done or not (E9). */
static inline void lose(struct pw_host *h, int path, enum sim_cmd cmd, bool done)
{
	sim_script(target, h->nexus[path], (struct sim_answer){
		.cmd = cmd, .execute = done, .host_failed = true });
}

static inline void refuse(struct pw_host *h, int path, enum sim_cmd cmd,
			  u8 asc, u8 ascq)
{
	sim_script(target, h->nexus[path], (struct sim_answer){
		.cmd = cmd, .status = 0x02, .sense = { 0x05, asc, ascq } });
}

/* What happens before the next command of a stage, or the one after that, once. */
static struct {
	const char *stage;
	unsigned int skip;
	void (*event)(void);
} meanwhile;

static inline void at_stage(struct pw_host *h, unsigned int n, const struct pr_request *req,
			    int path)
{
	(void)n;
	(void)req;
	(void)path;
	if (strcmp(pr_op_stage(&h->op), meanwhile.stage) || meanwhile.skip--)
		return;
	h->hook = NULL;
	meanwhile.event();
}

/* Follow it with assert_happened(): a stage that is never reached proves nothing. */
static inline void when_at(struct pw_host *h, const char *stage, void (*event)(void))
{
	meanwhile.stage = stage;
	meanwhile.skip = 0;
	meanwhile.event = event;
	h->hook = at_stage;
}

static inline void when_again_at(struct pw_host *h, const char *stage, void (*event)(void))
{
	when_at(h, stage, event);
	meanwhile.skip = 1;
}

#define assert_happened(h)	assert_null((h)->hook)

/* Owner with a baseline, all paths registered, watched once. */
static inline void owner(struct pw_host *h, u32 options)
{
	pw_settle(h);
	assert_int_equal(pw_open(h, options), 0);
	pw_settle(h);
	assert_state(h, PR_STATE_OWNER);
	assert_holder(h->lun.cfg.key);
}

#endif
