// SPDX-License-Identifier: GPL-2.0-only
/*
 * Breadth first over all interleavings, so that the first violation found has
 * a shortest trace.
 *
 * usage: model [--long] [--config NAME[,NAME...]] [--depth N] [--hosts N] [--paths N]
 *		[--faults N] [--states N] [--first] [--verbose] [--list]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

#define NO_NODE		0xffffffffu
/*
 * Of so many states one is brought to rest; more of the first ones, and where one
 * violation is all that is wanted.
 */
#define SAMPLE		(found.states < 20000 || option.first ? 7 : 63)

struct hash {
	u64 a;
	u64 b;
};

/* How a state was reached. */
struct node {
	u32 parent;
	struct move move;
};

struct arena {
	u8 *at;
	size_t len;
	size_t size;
	size_t count;
};

static struct {
	struct hash *slot;
	size_t slots;
	size_t states;
	struct node *node;
	size_t nodes;
	size_t most_nodes;
	struct arena layer[2];
	u64 transitions;
	u64 rests;
} found;

static struct {
	bool deep;
	bool first;
	bool verbose;
	const char *config;
	unsigned int depth;
	unsigned int hosts;
	unsigned int paths;
	unsigned int faults;
	size_t states;
} option = { .states = 12000000 };

static struct world world;

static void no_memory(void)
{
	fprintf(stderr, "model: no memory\n");
	exit(2);
}

static void *grow(void *old, size_t size)
{
	void *new = realloc(old, size);

	if (!new)
		no_memory();
	return new;
}

static u64 mul(u64 x, u64 y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (u64)product ^ (u64)(product >> 64);
}

static struct hash hash_of(const u8 *p, unsigned int len)
{
	struct hash h = { 0x9e3779b97f4a7c15ULL ^ len, 0xc2b2ae3d27d4eb4fULL + len };
	u64 word;

	for (; len; len -= len < 8 ? len : 8, p += 8) {
		word = 0;
		memcpy(&word, p, len < 8 ? len : 8);
		h.a = mul(h.a ^ word, 0xa0761d6478bd642fULL);
		h.b = mul(h.b + word, 0xe7037ed1a0b428dbULL) + h.a;
	}
	h.a = mul(h.a ^ (h.b >> 29), 0x8ebc6af09c88c6e3ULL);
	h.b = mul(h.b, 0x589965cc75374cc3ULL);
	if (!h.a && !h.b)
		h.b = 1;		/* an empty slot */
	return h;
}

static void put(struct hash *slot, size_t slots, struct hash h)
{
	size_t i = h.a & (slots - 1);

	while (slot[i].a || slot[i].b)
		i = (i + 1) & (slots - 1);
	slot[i] = h;
}

/* True if it was not known. */
static bool remember(struct hash h)
{
	size_t i, n;

	if (2 * found.states >= found.slots) {
		size_t slots = found.slots ? 2 * found.slots : 1 << 16;
		struct hash *slot = calloc(slots, sizeof(*slot));

		if (!slot)
			no_memory();
		for (n = 0; n < found.slots; n++)
			if (found.slot[n].a || found.slot[n].b)
				put(slot, slots, found.slot[n]);
		free(found.slot);
		found.slot = slot;
		found.slots = slots;
	}
	for (i = h.a & (found.slots - 1); found.slot[i].a || found.slot[i].b;
	     i = (i + 1) & (found.slots - 1))
		if (found.slot[i].a == h.a && found.slot[i].b == h.b)
			return false;
	found.slot[i] = h;
	found.states++;
	return true;
}

static u32 add_node(u32 parent, struct move move)
{
	if (found.nodes == found.most_nodes) {
		found.most_nodes = found.most_nodes ? 2 * found.most_nodes : 1 << 16;
		found.node = grow(found.node, found.most_nodes * sizeof(*found.node));
	}
	found.node[found.nodes] = (struct node){ parent, move };
	return (u32)found.nodes++;
}

static void keep(struct arena *a, u32 node, const u8 *state, unsigned int len)
{
	u16 length = (u16)len;

	if (a->len + len + 6 > a->size) {
		a->size = 2 * a->size + 65536;
		a->at = grow(a->at, a->size);
	}
	memcpy(a->at + a->len, &node, 4);
	memcpy(a->at + a->len + 4, &length, 2);
	memcpy(a->at + a->len + 6, state, len);
	a->len += len + 6;
	a->count++;
}

static void forget(void)
{
	free(found.slot);
	free(found.node);
	free(found.layer[0].at);
	free(found.layer[1].at);
	memset(&found, 0, sizeof(found));
}

static void step(struct world *w, struct move m, bool aloud)
{
	u8 state[PACKED_MAX];

	if (aloud)
		print_move(w, m);
	w->pw.trace = aloud;
	apply(w, m);
	w->pw.trace = false;
	/* As while exploring: what the state does not hold is lost. */
	if (!violation) {
		pack(w, state);
		unpack(w, state);
	}
}

/* Tell the way to @node, then @last, or how the rest went wrong. */
static void tell(const struct config *cfg, u32 node, const struct move *last)
{
	static struct move way[1024];
	const char *why = violation;
	unsigned int n = 0;
	u8 state[PACKED_MAX];

	for (; node != NO_NODE && found.node[node].parent != NO_NODE;
	     node = found.node[node].parent)
		way[n++] = found.node[node].move;
	build(&world, cfg);
	pack(&world, state);
	unpack(&world, state);
	printf("# %s: rule %s, after %u moves:\n", cfg->name, why, n + !!last);
	while (n--)
		step(&world, way[n], true);
	if (last) {
		step(&world, *last, true);
	} else {
		printf("# from here all faults cease:\n");
		world.pw.trace = true;
		check_rest(&world);
		world.pw.trace = false;
	}
	if (!violation || strcmp(violation, why))
		printf("# (the trace does not repeat it: %s)\n", violation ? violation : "nothing");
}

static bool expand(const struct config *cfg, const u8 *state, u32 node, bool last_layer,
		   struct arena *next)
{
	struct move list[MOST_MOVES];
	u8 packed[PACKED_MAX];
	unsigned int count, i, len;
	struct hash h;
	u32 child;

	unpack(&world, state);
	count = moves(&world, list);
	for (i = 0; i < count; i++) {
		if (i)
			unpack(&world, state);
		apply(&world, list[i]);
		found.transitions++;
		if (violation) {
			tell(cfg, node, &list[i]);
			return false;
		}
		len = pack(&world, packed);
		h = hash_of(packed, len);
		if (!remember(h))
			continue;
		child = NO_NODE;
		if (!last_layer || !(h.b & SAMPLE)) {
			child = add_node(node, list[i]);
			if (!last_layer)
				keep(next, child, packed, len);
		}
		if (h.b & SAMPLE)
			continue;
		found.rests++;
		check_rest(&world);
		if (violation) {
			tell(cfg, child, NULL);
			return false;
		}
	}
	return true;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* True if no rule was broken. */
static bool explore(const struct config *cfg, unsigned int most, const char **end,
		    unsigned int *depth)
{
	u8 state[PACKED_MAX];
	unsigned int len;

	build(&world, cfg);
	len = pack(&world, state);
	remember(hash_of(state, len));
	keep(&found.layer[0], add_node(NO_NODE, (struct move){ 0 }), state, len);

	*end = "bounded";
	for (*depth = 0; *depth < most; ++*depth) {
		struct arena *this = &found.layer[*depth & 1];
		struct arena *next = &found.layer[~*depth & 1];
		size_t at = 0;

		if (!this->count) {
			*end = "exhausted";
			return true;
		}
		next->len = 0;
		next->count = 0;
		if (option.verbose)
			printf("# %s: depth %u, %zu states, %zu to expand\n", cfg->name,
			       *depth, found.states, this->count);
		while (at < this->len) {
			u32 node;
			u16 length;

			memcpy(&node, this->at + at, 4);
			memcpy(&length, this->at + at + 4, 2);
			memcpy(state, this->at + at + 6, length);
			at += length + 6u;
			if (!expand(cfg, state, node, *depth + 1 == most, next))
				return false;
			if (found.states >= option.states) {
				*end = "full";
				return true;
			}
		}
		if (*depth + 1 < most && !next->count) {
			++*depth;
			*end = "exhausted";
			return true;
		}
	}
	return true;
}

static bool wanted(const struct config *cfg)
{
	const char *at = option.config;
	size_t len = strlen(cfg->name);

	if (!at)
		return option.deep ? cfg->depth : cfg->quick;
	for (; (at = strstr(at, cfg->name)); at += len)
		if ((at == option.config || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static bool run(const struct config *given, unsigned int number)
{
	struct config cfg = *given;
	unsigned int most = option.deep ? cfg.depth : cfg.quick, depth;
	double start = now();
	const char *end;
	bool ok;

	if (option.depth)
		most = option.depth;
	if (!most)
		most = cfg.depth;
	if (option.hosts)
		cfg.hosts = (u8)option.hosts;
	if (option.paths)
		cfg.paths = (u8)option.paths;
	if (option.faults)
		cfg.faults = (u8)option.faults;
	ok = explore(&cfg, most, &end, &depth);
	printf("%s %u - model: %s, %u hosts, %u paths: %zu states, %llu transitions, "
	       "depth %u, %s, %llu brought to rest, %.1f s\n",
	       ok ? "ok" : "not ok", number, cfg.name, cfg.hosts, cfg.paths, found.states,
	       (unsigned long long)found.transitions, depth, ok ? end : violation,
	       (unsigned long long)found.rests, now() - start);
	fflush(stdout);
	forget();
	return ok;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "long", no_argument, NULL, 'l' },
		{ "first", no_argument, NULL, '1' },
		{ "list", no_argument, NULL, 'L' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "config", required_argument, NULL, 'c' },
		{ "depth", required_argument, NULL, 'd' },
		{ "hosts", required_argument, NULL, 'h' },
		{ "paths", required_argument, NULL, 'p' },
		{ "faults", required_argument, NULL, 'f' },
		{ "states", required_argument, NULL, 's' },
		{ 0 }
	};
	unsigned int i, number = 0, broken = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			option.deep = true;
			break;
		case '1':
			option.first = true;
			break;
		case 'v':
			option.verbose = true;
			break;
		case 'L':
			for (i = 0; i < config_count; i++)
				printf("%-20s quick %u, long %u\n", configs[i].name,
				       configs[i].quick, configs[i].depth);
			return 0;
		case 'c':
			option.config = optarg;
			break;
		case 'd':
			option.depth = (unsigned int)atoi(optarg);
			break;
		case 'h':
			option.hosts = (unsigned int)atoi(optarg);
			break;
		case 'p':
			option.paths = (unsigned int)atoi(optarg);
			break;
		case 'f':
			option.faults = (unsigned int)atoi(optarg);
			break;
		case 's':
			option.states = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	for (i = 0; i < config_count; i++) {
		if (!wanted(&configs[i]))
			continue;
		if (!run(&configs[i], ++number))
			broken++;
		if (broken && option.first)
			break;
	}
	if (!number) {
		fprintf(stderr, "model: no such configuration\n");
		return 2;
	}
	printf("1..%u\n", number);
	return broken != 0;
}
