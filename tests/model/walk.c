// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long walks at random through worlds drawn at random: deeper than what can be
 * explored in full, and faults in combinations that no configuration names. A
 * violation is shortened before it is told.
 *
 * usage: walk [--seed N] [--walks N] [--moves N] [--most N] [--known TEXT]...
 * --most N	end after N violations, by default 3
 * --known TEXT	go on past violations of a rule whose text has these words
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

#define MOST_STEPS	512

static struct {
	u64 seed;
	u64 walks;
	unsigned int moves;
	const char *known[16];
	unsigned int knowns;
	u64 most;
} option = { .seed = 1, .walks = 300000, .moves = 100, .most = 3 };

static struct world world;
static struct config config;
static struct move way[MOST_STEPS];
static unsigned int length;
static u64 state, steps;

/* Steele, Lea and Flood's SplitMix: any seed is as good as any other. */
static u64 draw(void)
{
	u64 z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)(draw() % n);
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

static bool has(const struct config *cfg, u32 faults)
{
	unsigned int i;

	for (i = 0; i < F_COUNT; i++)
		if (faults >> i & 1 && cfg->fault[i])
			return true;
	return false;
}

static void without(struct config *cfg, u32 faults)
{
	unsigned int i;

	for (i = 0; i < F_COUNT; i++)
		if (faults >> i & 1)
			cfg->fault[i] = 0;
}

static void draw_world(struct config *cfg)
{
	static const u32 quirks[] = {
		0, 0, 0, 0, SIM_LIO, SIM_LIO_UNREGISTER, SIM_KEEPS_SENDER,
		SIM_NO_FULL_STATUS, SIM_NO_APTPL,
	};
	static const u8 types[] = {
		0, 0, 0, 0, 0, 0, PR_TYPE_WRITE_EXCLUSIVE, PR_TYPE_EXCLUSIVE_ACCESS,
		PR_TYPE_EXCLUSIVE_ACCESS_RO,
		PR_TYPE_WRITE_EXCLUSIVE_AR, PR_TYPE_EXCLUSIVE_ACCESS_AR,
	};
	static const u32 usual = OPT(0) | OPT(PRM_OPEN_FORCED) | OPT(PRM_OPEN_NO_RESERVE);
	static const u32 all = usual | OPT(PRM_OPEN_RETAIN) | OPT(PRM_OPEN_SINGLE) |
			       OPT(PRM_OPEN_FORCED | PRM_OPEN_RETAIN) |
			       OPT(PRM_OPEN_FORCED | PRM_OPEN_NO_RESERVE);
	const u32 late = OPT(F_DELAY) | OPT(F_ABANDON);
	unsigned int i, kinds;

	*cfg = (struct config){
		.name = "walk",
		.hosts = one_in(4) ? 3 : 2,
		.setup = below(SET_NO_RESERVE + 1),
		.quirks = quirks[below(COUNT_OF(quirks))],
		.type = types[below(COUNT_OF(types))],
		.iscsi = one_in(3),
		.no_aptpl = one_in(3),
		.shared = one_in(8),
		.faults = (u8)(1 + below(6)),
	};
	cfg->paths = cfg->hosts == 2 && one_in(4) ? 3 : 2;
	/* Rule 5.8: they are the holder's alone, so a table has one path. */
	if (cfg->type == PR_TYPE_WRITE_EXCLUSIVE || cfg->type == PR_TYPE_EXCLUSIVE_ACCESS)
		cfg->paths = 1;
	for (i = 0; i < cfg->hosts; i++) {
		cfg->options[i] = one_in(2) ? usual : all;
		cfg->opens[i] = (u8)(1 + below(3));
		cfg->watches[i] = (u8)below(3);
	}
	for (kinds = 1 + below(4); kinds; kinds--)
		cfg->fault[below(F_COUNT)] += (u8)(1 + below(3));
	if (!cfg->iscsi)
		cfg->fault[F_RELOGIN] = 0;
	/* What stays out here outlives its nexus, which no target lets it. */
	if (has(cfg, late))
		without(cfg, OPT(F_RESET) | OPT(F_POWER) | OPT(F_RELOGIN) | OPT(F_CRASH) |
			     OPT(F_LEAVE));
	/*
	 * Only what is registered is aborted: no promise covers the writes of a session
	 * without reservation, nor those of a path whose registration is lost.
	 */
	if (cfg->setup == SET_NO_RESERVE || cfg->shared ||
	    has(cfg, OPT(F_FORGET) | OPT(F_POWER) | OPT(F_OUT_CLEAR) | OPT(F_MESSAGE_CLEAR)))
		without(cfg, OPT(F_WRITE_QUEUED) | OPT(F_WRITE_FLIGHT));
	if (has(cfg, OPT(F_WRITE_QUEUED) | OPT(F_WRITE_FLIGHT)))
		for (i = 0; i < cfg->hosts; i++)
			cfg->options[i] &= ~(OPT(PRM_OPEN_NO_RESERVE) |
					     OPT(PRM_OPEN_FORCED | PRM_OPEN_NO_RESERVE));
	/* All who were owners one after another can write until they see that (rule 5.11). */
	if (cfg->type && pr_type_all_registrants(cfg->type))
		without(cfg, OPT(F_OUT_CLEAR) | OPT(F_MESSAGE_CLEAR));
	/* Who was owner last is known to nobody then (rule 5.11). */
	if (cfg->fault[F_POWER])
		cfg->no_aptpl = true;
}

/* Most of what happens is commands, else no operation comes far. */
static struct move draw_move(const struct move *list, unsigned int count)
{
	struct move m = list[below(count)];
	unsigned int n;

	for (n = 0; n < 8; n++, m = list[below(count)])
		if (!(m.kind == M_FAULT && !one_in(6)) && !(m.kind == M_CLOSE && !one_in(4)))
			break;
	return m;
}

static bool possible(const struct move *list, unsigned int count, struct move m)
{
	while (count--)
		if (!memcmp(&list[count], &m, sizeof(m)))
			return true;
	return false;
}

/* What the way breaks, without moves that are not possible there. */
static const char *go(bool aloud)
{
	struct move list[MOST_MOVES];
	unsigned int i;

	build(&world, &config);
	violation = NULL;
	for (i = 0; i < length && !violation; i++) {
		if (!possible(list, moves(&world, list), way[i]))
			continue;
		if (aloud)
			print_move(&world, way[i]);
		world.pw.trace = aloud;
		apply(&world, way[i]);
		world.pw.trace = false;
	}
	if (!violation) {
		if (aloud)
			printf("# from here all faults cease:\n");
		world.pw.trace = aloud;
		check_rest(&world);
		world.pw.trace = false;
	}
	return violation;
}

static bool still(const char *why)
{
	const char *got = go(false);

	return got && !strcmp(got, why);
}

/* Leave out what is not needed to get there: long stretches first. */
static void shorten(const char *why)
{
	static struct move kept[MOST_STEPS];
	unsigned int chunk, at, most;
	bool again = true;

	while (again) {
		again = false;
		for (chunk = length / 2 + 1; chunk; chunk /= 2) {
			for (at = 0; at + chunk <= length;) {
				most = length;
				memcpy(kept, way, sizeof(kept));
				memmove(&way[at], &way[at + chunk],
					(length - at - chunk) * sizeof(*way));
				length -= chunk;
				if (still(why)) {
					again = true;
					continue;
				}
				memcpy(way, kept, sizeof(way));
				length = most;
				at++;
			}
		}
	}
}

static void tell(u64 seed, const char *why)
{
	unsigned int i;

	shorten(why);
	printf("# rule %s: seed %llu, %u hosts, %u paths, setup %d, quirks %x, type %u%s%s%s\n",
	       why, (unsigned long long)seed, config.hosts, config.paths, config.setup,
	       config.quirks, config.type, config.iscsi ? ", iscsi" : "",
	       config.no_aptpl ? ", without APTPL" : "", config.shared ? ", shared" : "");
	printf("# after %u moves:\n", length);
	go(true);
	for (i = 0; i < world.pw.hosts; i++) {
		const struct pr_lun *lun = &world.pw.host[i].lun;

		printf("# host %u: %s, holder %d%s%s\n", i, pr_state_name(lun->state),
		       lun->holder, lun->unseen ? ", unseen" : "",
		       lun->leftover ? ", leftover" : "");
		printf("# registered %llx, unverified %llx, doubt %llx\n",
		       (unsigned long long)lun->registered, (unsigned long long)lun->unverified,
		       (unsigned long long)lun->doubt);
	}
	fflush(stdout);
}

static bool known(const char *why)
{
	unsigned int i;

	for (i = 0; i < option.knowns; i++)
		if (strstr(why, option.known[i]))
			return true;
	return false;
}

/* What it broke, or NULL. */
static const char *walk(u64 seed)
{
	struct move list[MOST_MOVES];
	unsigned int count, most;

	state = seed;
	draw_world(&config);
	build(&world, &config);
	violation = NULL;
	most = 10 + below(option.moves);
	for (length = 0; length < most && !violation; length++) {
		count = moves(&world, list);
		if (!count)
			break;
		way[length] = draw_move(list, count);
		apply(&world, way[length]);
	}
	steps += length;
	if (!violation)
		check_rest(&world);
	return violation;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "walks", required_argument, NULL, 'w' },
		{ "moves", required_argument, NULL, 'm' },
		{ "most", required_argument, NULL, 'n' },
		{ "known", required_argument, NULL, 'k' },
		{ 0 }
	};
	u64 n, broken = 0;
	const char *why;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			option.seed = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			option.walks = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			option.moves = (unsigned int)atoi(optarg);
			break;
		case 'n':
			option.most = strtoull(optarg, NULL, 0);
			break;
		case 'k':
			if (option.knowns == COUNT_OF(option.known))
				return 2;
			option.known[option.knowns++] = optarg;
			break;
		default:
			return 2;
		}
	}
	if (!option.moves || option.moves > MOST_STEPS - 10) {
		fprintf(stderr, "walk: --moves: expected 1 to %d\n", MOST_STEPS - 10);
		return 2;
	}
	for (n = 0; n < option.walks && broken < option.most; n++) {
		why = walk(option.seed + n);
		if (!why || known(why))
			continue;
		broken++;
		tell(option.seed + n, why);
	}
	printf("%s 1 - walk: seeds %llu to %llu, %llu moves, each brought to rest, %.1f s\n1..1\n",
	       broken ? "not ok" : "ok", (unsigned long long)option.seed,
	       (unsigned long long)(option.seed + n - 1), (unsigned long long)steps,
	       (double)clock() / CLOCKS_PER_SEC);
	return broken != 0;
}
