// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random storms over two or three hosts: opens, closes, dying paths, lost
 * statuses, reloads, power loss and foreign commands between any two commands
 * of the hosts' operations. STORM_SEED=<n> repeats one, STORM_RUNS=<n> makes
 * more of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pr_map_test.h"

#define RUNS		6000
#define EVENTS		120
#define MOST_COMMANDS	400	/* of one operation */

static u64 rng;
static u64 seed;

static u32 roll(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 11) % n;
}

/* What only the test knows of a host. */
struct shadow {
	bool fenced;		/* and not closed since */
	bool overtaken;		/* another owner could write during its session */
	unsigned int opens;
	bool held;		/* with its key, as its operation began */
};

static struct shadow shadow[PW_MAX_HOSTS];

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		printf("# STORM_SEED=%llu: %s\n", (unsigned long long)seed, #cond); \
		fail();							\
	}								\
} while (0)

static bool exclusive_writer(const struct pw_host *h)
{
	return h->lun.state == PR_STATE_OWNER && writes(h);
}

static void check_world(void)
{
	unsigned int i, j, writers = 0;

	/* A target that knows nobody, as after a loss of memory: no host can tell (rule 5.11). */
	if (!target->generation && !sim_registrations(target, 0))
		for (i = 0; i < world.hosts; i++)
			shadow[i].overtaken = false;
	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];
		bool writer = exclusive_writer(h);

		writers += writer;
		/* Rules 5.3 and 5.11: never again under a reservation of its own. */
		if (writer && sim_holder_key(target) == h->lun.cfg.key) {
			CHECK(!shadow[i].overtaken);
			for (j = 0; j < world.hosts; j++)
				if (j != i && world.host[j].lun.state == PR_STATE_OWNER)
					shadow[j].overtaken = true;
		}
		CHECK(h->commands < MOST_COMMANDS);
		if (h->lun.state == PR_STATE_FENCED)
			shadow[i].fenced = true;
		if (shadow[i].fenced)
			CHECK(h->lun.state == PR_STATE_FENCED);
	}
	/* A target that forgot the reservation protects nobody till it is seen. */
	CHECK(writers <= 1 || !target->type);
}

/* RELEASE drops a reservation of the sender only. */
static u64 holder_before;

static void before_command(struct pw_host *h, unsigned int n,
			   const struct pr_request *req, int path)
{
	u32 dice = roll(60);

	(void)n;
	if (dice == 0)
		lose(h, path, SIM_ANY_CMD, roll(2));
	else if (dice == 1)
		sim_attention(target, h->nexus[path], 0x29, 0x07);
	(void)req;
}

static void check_release(struct pw_host *h, const struct pr_request *req)
{
	if (req->action == PR_ACT_RELEASE && holder_before &&
	    holder_before != h->lun.cfg.key)
		CHECK(sim_holder_key(target) == holder_before);
}

static void ended(struct pw_host *h)
{
	unsigned int i = (unsigned int)(h - world.host);
	int error = pr_why_errno(h->op.why);

	if (h->op.kind == PR_OP_OPEN && !error)
		shadow[i].opens++;
	if (h->op.kind == PR_OP_OPEN && error && !shadow[i].opens)
		CHECK(!pr_gate_open(&h->lun));
	/* Rule 3.6: a reservation of an open that failed is on record. */
	if (h->op.kind == PR_OP_OPEN && error && h->lun.state == PR_STATE_FREE &&
	    !shadow[i].held && !h->busy)
		CHECK(sim_holder_key(target) != h->lun.cfg.key);
	/* Without its only open the session is over, and so is what was said of it. */
	if (h->op.kind == PR_OP_REVOKE && !shadow[i].opens)
		shadow[i] = (struct shadow){ 0 };
	if (h->op.kind == PR_OP_CLOSE)
		CHECK(h->lun.state != PR_STATE_OWNER && h->lun.state != PR_STATE_FENCED);
}

static void step(struct pw_host *h)
{
	struct pr_request req = h->req;

	holder_before = sim_holder_key(target);
	pw_step(h);
	check_release(h, &req);
	if (!h->running)
		ended(h);
}

static void start(struct pw_host *h)
{
	static const u32 options[] = {
		0, 0, 0, FORCED, FORCED, RETAIN, NO_RESERVE, SINGLE,
		FORCED | NO_RESERVE, FORCED | RETAIN, BYPASS,
	};
	unsigned int i = (unsigned int)(h - world.host);
	u32 dice = roll(10);

	shadow[i].held = sim_holder_key(target) == h->lun.cfg.key;
	h->expires = roll(20) ? 0 : 1 + roll(8);
	h->cancel = roll(30) ? 0 : 1 + roll(8);
	if (dice < 4) {
		u32 option = options[roll(11)];

		if (!pw_open_start(h, option) && option != BYPASS)
			ended(h);
	} else if (dice < 6) {
		shadow[i].opens = 0;
		shadow[i].fenced = false;
		shadow[i].overtaken = false;
		if (!pw_close_start(h) && h->op.stage)
			return;
	} else if (dice == 6 && h->lun.state == PR_STATE_OWNER) {
		int path = (int)roll(2);

		if (pw_conflict(h, path))
			pw_background_start(h);
	} else if (dice == 7) {
		h->want_watch = true;
		pw_background_start(h);
	} else {
		pw_background_start(h);
	}
}

static void disturb(struct pw_host *h)
{
	int path = (int)roll(2);
	unsigned int i;

	switch (roll(9)) {
	case 0:
		dead(h, path);
		break;
	case 1:
		alive(h, path);
		pw_path_back(h, path);
		break;
	case 2:
		pw_path_fail(h, path);
		break;
	case 3:
		pw_path_back(h, path);
		break;
	case 4:
		if (roll(4))
			break;
		sim_power_loss(target);
		/* No host can tell then who was the last owner (rule 5.11). */
		for (i = 0; i < world.hosts && !target->aptpl; i++)
			shadow[i].overtaken = false;
		break;
	case 5:
		if (!roll(3))
			sim_forget_nexus(target, h->nexus[path]);
		break;
	case 6:
		sim_relogin(target, h->nexus[path]);
		pw_path_fail(h, path);
		pw_path_back(h, path);
		break;
	case 7:
		if (roll(2))
			sim_path_state(target, h->nexus[path], SIM_PATH_IN_FLIGHT);
		else
			pw_deliver(h, path);
		break;
	default:
		if (!h->running && h->lun.state == PR_STATE_FREE && !roll(4)) {
			pw_deliver(h, 0);
			pw_deliver(h, 1);
			pw_reboot(h);
			shadow[h - world.host] = (struct shadow){ 0 };
		}
		break;
	}
}

static void one_storm(u32 quirks)
{
	unsigned int events, i;

	pw_init(&world);
	world.target.quirks = quirks;
	memset(shadow, 0, sizeof(shadow));
	pw_add_host(&world, SIM_ISCSI, 2, KA);
	pw_add_host(&world, SIM_ISCSI, 2 + roll(2), KB);
	if (roll(2))
		pw_add_host(&world, SIM_ISCSI, 2, KC);
	for (i = 0; i < world.hosts; i++) {
		world.host[i].hook = before_command;
		if (!roll(4))
			world.host[i].lun.cfg.aptpl = false;
	}
	for (events = 0; events < EVENTS; events++) {
		struct pw_host *h = &world.host[roll(world.hosts)];

		if (h->running)
			step(h);
		else if (!roll(12))
			disturb(h);
		else
			start(h);
		if (!roll(25))
			disturb(h);
		check_world();
	}
	/* Calm: every operation ends, paths are well, nobody is left waiting. */
	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];
		int path;

		h->hook = NULL;
		h->expires = 0;
		h->cancel = 0;
		for (path = 0; path < 3 && h->members >> path & 1; path++) {
			alive(h, path);
			target->nexus[h->nexus[path]].answers = 0;
			pw_deliver(h, path);
		}
		for (events = 0; h->running; events++) {
			step(h);
			CHECK(events < MOST_COMMANDS);
			check_world();
		}
		for (path = 0; path < 3 && h->members >> path & 1; path++)
			pw_path_back(h, path);
	}
	for (i = 0; i < world.hosts; i++) {
		shadow[i].fenced = false;
		shadow[i].overtaken = false;
		pw_close(&world.host[i]);
		check_world();
		pw_settle(&world.host[i]);
		check_world();
	}
	for (i = 0; i < world.hosts; i++) {
		struct pw_host *h = &world.host[i];

		CHECK(h->lun.state == PR_STATE_FREE || h->lun.state == PR_STATE_RETAINED);
		/* A failed open left nothing, a closed session neither. */
		if (sim_holder_key(target) == h->lun.cfg.key)
			CHECK(h->lun.state == PR_STATE_RETAINED);
	}
}

static void storms(u32 quirks)
{
	const char *given = getenv("STORM_SEED"), *more = getenv("STORM_RUNS");
	u64 first = given ? strtoull(given, NULL, 0) : 1;
	u64 runs = given ? 1 : more ? strtoull(more, NULL, 0) : RUNS;

	for (seed = first; seed < first + runs; seed++) {
		rng = seed * 0x9e3779b97f4a7c15ULL;
		one_storm(quirks);
	}
}

static void storm(void **state)
{
	(void)state;
	storms(0);
}

static void storm_lio(void **state)
{
	(void)state;
	storms(SIM_LIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm),
		cmocka_unit_test(storm_lio),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
