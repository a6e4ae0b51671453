// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path selection: the selectors, and the choice of a priority group.
 */
#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdio.h>
#include <string.h>
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x)	(x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define likely(x)	(x)
#define unlikely(x)	(x)
#define div64_u64(n, d)	((n) / (d))
#ifndef __always_inline
#define __always_inline	inline
#endif
/* Callbacks of a common type do not need everything; Kbuild says the same. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

#include "path_select.h"

/* Relative throughput fits into so many bits, and is a percentage at most. */
#define MAX_THROUGHPUT		100
#define THROUGHPUT_BITS		7

/* The past's weight against one sample: fixed point, and in-tree's default, 0.95. */
#define WEIGHT_BITS		10
#define DEFAULT_WEIGHT		972

/* A sample counts once more for each 2^24 ns (17 ms) that it took, as in-tree. */
#define SAMPLE_BITS		24

/*
 * Averages end at 4.3 s, longer is all the same, so that their products with a
 * load, a threshold or a weight of 32 bits fit into 64.
 */
#define MAX_AVERAGE		((u64)~0U)

/*
 * Folds without an I/O that ended until the average of a path is out of date,
 * and the spread of this over CPUs: the first CPU's attempt spares the others one.
 */
#define STALE_FOLDS		64
#define STALE_SPREAD		64

/* Slots that path_fold() sums in one walk over the CPUs: it uses the stack. */
#define FOLD_SLOTS		8

/* path_set.home while it is filled */
#define NO_HOME			0xff

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/**
 * path_number - turn a word of the table line into a number
 * @word: decimal digits, or 0x and hex digits, and nothing else
 * @value: the number; untouched when there is none
 *
 * Return: false when @word is no number or needs more than 64 bits.
 */
bool path_number(const char *word, u64 *value)
{
	/* constants only: a 64-bit division needs a helper on 32-bit kernels */
	u64 limit = ~0ULL / 10;
	u32 base = 10;
	u64 n = 0;

	if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X')) {
		limit = ~0ULL / 16;
		base = 16;
		word += 2;
	}
	if (!*word)
		return false;

	for (; *word; word++) {
		int digit = hex_digit(*word);

		if (digit < 0 || (u32)digit >= base)
			return false;
		if (n > limit || (u32)digit > ~(n * base))
			return false;
		n = n * base + digit;
	}
	*value = n;
	return true;
}

/* Parse @word into @value if it is a number from @least to @most. */
static bool number_within(const char *word, u32 least, u32 most, u32 *value)
{
	u64 n;

	if (!path_number(word, &n) || n < least || n > most)
		return false;
	*value = n;
	return true;
}

static int print_numbers(u32 words, u32 first, u32 second, char *buf, size_t size)
{
	switch (words) {
	case 0:
		return snprintf(buf, size, "%s", "");
	case 1:
		return snprintf(buf, size, "%u", first);
	default:
		return snprintf(buf, size, "%u %u", first, second);
	}
}

/* A sum of counters that were not read at one moment may be below 0. */
static u64 whole(u64 sum)
{
	return (s64)sum < 0 ? 0 : sum;
}

/* --- words per path ------------------------------------------------------------- */

static void slot_defaults(struct path_slot *slot)
{
	slot->repeat = 1;
	slot->throughput = 1;
	slot->cpus = NULL;
}

static int rr_path_args(struct path_slot *slot, unsigned int argc, char **argv,
			const char **error)
{
	slot_defaults(slot);
	if (argc && !number_within(argv[0], 1, ~0U, &slot->repeat)) {
		*error = "a repeat count of 1 to 4294967295";
		return -EINVAL;
	}
	return 0;
}

/*
 * Selectors that look at the load choose anew for each I/O: the repeat count is
 * kept for the table line only. 0 is what in-tree's historical-service-time
 * prints there.
 */
static int load_path_args(struct path_slot *slot, unsigned int argc, char **argv,
			  const char **error)
{
	slot_defaults(slot);
	if (argc && !number_within(argv[0], 0, ~0U, &slot->repeat)) {
		*error = "a repeat count of 0 to 4294967295";
		return -EINVAL;
	}
	return 0;
}

static int st_path_args(struct path_slot *slot, unsigned int argc, char **argv,
			const char **error)
{
	if (load_path_args(slot, argc, argv, error))
		return -EINVAL;
	if (argc > 1 && !number_within(argv[1], 0, MAX_THROUGHPUT, &slot->throughput)) {
		*error = "a relative throughput of 0 to 100";
		return -EINVAL;
	}
	return 0;
}

/* Groups of one to eight hex digits between commas, and not all zero. */
static bool mask_valid(const char *mask)
{
	bool any = false;
	u32 digits = 0;

	for (; *mask; mask++) {
		if (*mask == ',' && digits) {
			digits = 0;
			continue;
		}
		if (hex_digit(*mask) < 0 || ++digits > 8)
			return false;
		any |= *mask != '0';
	}
	return digits && any;
}

static int ioa_path_args(struct path_slot *slot, unsigned int argc, char **argv,
			 const char **error)
{
	slot_defaults(slot);
	if (!argc || !mask_valid(argv[0])) {
		*error = "a hexadecimal CPU mask other than 0, such as ff or 1,00000000";
		return -EINVAL;
	}
	slot->cpus = argv[0];
	return 0;
}

static int repeat_print_path(const struct path_slot *slot, u32 words, char *buf,
			     size_t size)
{
	return print_numbers(words, slot->repeat, 0, buf, size);
}

static int st_print_path(const struct path_slot *slot, u32 words, char *buf,
			 size_t size)
{
	return print_numbers(words, slot->repeat, slot->throughput, buf, size);
}

static int ioa_print_path(const struct path_slot *slot, u32 words, char *buf,
			  size_t size)
{
	return snprintf(buf, size, "%s", words ? slot->cpus : "");
}

/* --- words of the status line --------------------------------------------------- */

static int ql_print_info(const struct path_slot *slot, const struct path_load *load,
			 char *buf, size_t size)
{
	return snprintf(buf, size, "%llu", (unsigned long long)whole(load->ios));
}

static int st_print_info(const struct path_slot *slot, const struct path_load *load,
			 char *buf, size_t size)
{
	return snprintf(buf, size, "%llu %u", (unsigned long long)whole(load->bytes),
			slot->throughput);
}

/* The mean has in-tree's unit, nanoseconds with ten bits of fraction. */
static int hst_print_info(const struct path_slot *slot, const struct path_load *load,
			  char *buf, size_t size)
{
	u64 mean = load->done ? div64_u64(load->time, load->done) : 0;

	if (mean > MAX_AVERAGE)
		mean = MAX_AVERAGE;
	return snprintf(buf, size, "%llu %llu %llu",
			(unsigned long long)mean << WEIGHT_BITS,
			(unsigned long long)whole(load->ios),
			(unsigned long long)load->last);
}

/* In-tree counts here how often a CPU had no path; each has one in path_set.home. */
static int ioa_print_info(const struct path_slot *slot, const struct path_load *load,
			  char *buf, size_t size)
{
	return snprintf(buf, size, "0");
}

/* --- words of the selector ------------------------------------------------------ */

static int hst_group_args(struct path_group_args *args, unsigned int argc,
			  char **argv, const char **error)
{
	args->weight = DEFAULT_WEIGHT;
	args->threshold = 0;
	if (argc && !number_within(argv[0], 0, (1 << WEIGHT_BITS) - 1, &args->weight)) {
		*error = "a base weight of 0 to 1023";
		return -EINVAL;
	}
	if (argc > 1 && !number_within(argv[1], 0, ~0U, &args->threshold)) {
		*error = "a threshold multiplier of 0 to 4294967295";
		return -EINVAL;
	}
	return 0;
}

static int hst_print_group(const struct path_group_args *args, u32 words, char *buf,
			   size_t size)
{
	return print_numbers(words, args->weight, args->threshold, buf, size);
}

/* --- choice --------------------------------------------------------------------- */

static u32 rr_select(const struct path_set *set, struct path_cursor *cursor,
		     const struct path_load *own, u32 bytes)
{
	/*
	 * An interrupt may come in between and select through the same cursor:
	 * that costs the round a beat, but the index checked here must be the
	 * one that is returned.
	 */
	u32 index = READ_ONCE(cursor->index);
	u32 left = READ_ONCE(cursor->left);
	u32 next, repeat;

	/* The set has shrunk below the cursor, or this is its first use. */
	if (index >= set->count) {
		index %= set->count;
		left = 0;
	}

	/* More left than the path has: the set changed and this is another path. */
	repeat = set->slot[index].repeat;
	if (!left || left > repeat)
		left = repeat;

	next = index;
	if (left > 1) {
		left--;
	} else {
		left = 0;
		if (++next == set->count)
			next = 0;
	}
	WRITE_ONCE(cursor->index, next);
	WRITE_ONCE(cursor->left, left);
	return index;
}

/**
 * struct candidate - a path in the comparison of loads
 * @load: I/Os or bytes
 * @rate: service-time: relative throughput; historical-service-time: average
 * @stale: the average is not known, or old
 */
struct candidate {
	u64 load;
	u32 rate;
	bool stale;
};

typedef void measure_fn(struct candidate *c, const struct path_slot *slot,
			const struct path_cursor *cursor,
			const struct path_load *own, u32 bytes);
typedef bool better_fn(const struct candidate *a, const struct candidate *b,
		       const struct path_set *set);

/*
 * The best slot from the cursor on. Only a better one takes the lead, and the
 * next walk starts behind the winner: equal ones come in turn. @idle_wins: no
 * path is better than one without load. Always inlined, so that no call is
 * indirect.
 */
static __always_inline u32 walk(const struct path_set *set, struct path_cursor *cursor,
				const struct path_load *own, u32 bytes,
				measure_fn *measure, better_fn *better,
				bool idle_wins, struct candidate *best)
{
	u32 count = set->count;
	u32 index = READ_ONCE(cursor->index);
	u32 winner, left;

	if (index >= count)
		index %= count;
	winner = index;
	measure(best, &set->slot[index], cursor, own, bytes);

	for (left = count - 1; left; left--) {
		struct candidate next;

		if (idle_wins && !best->load)
			break;
		if (++index == count)
			index = 0;
		measure(&next, &set->slot[index], cursor, own, bytes);
		if (better(&next, best, set)) {
			*best = next;
			winner = index;
		}
	}
	WRITE_ONCE(cursor->index, winner + 1 == count ? 0 : winner + 1);
	return winner;
}

static __always_inline u64 ios_now(const struct path_slot *slot,
				   const struct path_cursor *cursor,
				   const struct path_load *own)
{
	return whole(READ_ONCE(cursor->past[slot->path].ios) +
		     READ_ONCE(own[slot->path].ios));
}

static __always_inline void ql_measure(struct candidate *c, const struct path_slot *slot,
				       const struct path_cursor *cursor,
				       const struct path_load *own, u32 bytes)
{
	c->load = ios_now(slot, cursor, own);
}

static __always_inline bool ql_better(const struct candidate *a,
				      const struct candidate *b,
				      const struct path_set *set)
{
	return a->load < b->load;
}

static u32 ql_select(const struct path_set *set, struct path_cursor *cursor,
		     const struct path_load *own, u32 bytes)
{
	struct candidate best;

	return walk(set, cursor, own, bytes, ql_measure, ql_better, true, &best);
}

static __always_inline void st_measure(struct candidate *c, const struct path_slot *slot,
				       const struct path_cursor *cursor,
				       const struct path_load *own, u32 bytes)
{
	c->load = whole(READ_ONCE(cursor->past[slot->path].bytes) +
			READ_ONCE(own[slot->path].bytes)) + bytes;
	c->rate = slot->throughput;
}

/*
 * load / rate, multiplied by both rates. A rate of 0 then loses but against
 * another 0, where bytes decide, and against a load of 0, where the rate does.
 */
static __always_inline bool st_better(const struct candidate *a,
				      const struct candidate *b,
				      const struct path_set *set)
{
	u64 left = a->load, right = b->load;

	/* The common case needs no multiplication. */
	if (likely(a->rate == b->rate))
		return left < right;
	if (unlikely((left | right) >> (64 - THROUGHPUT_BITS))) {
		left >>= THROUGHPUT_BITS;
		right >>= THROUGHPUT_BITS;
	}
	left *= b->rate;
	right *= a->rate;
	return left != right ? left < right : a->rate > b->rate;
}

static u32 st_select(const struct path_set *set, struct path_cursor *cursor,
		     const struct path_load *own, u32 bytes)
{
	struct candidate best;

	return walk(set, cursor, own, bytes, st_measure, st_better, false, &best);
}

static __always_inline void hst_measure(struct candidate *c,
					const struct path_slot *slot,
					const struct path_cursor *cursor,
					const struct path_load *own, u32 bytes)
{
	const struct path_past *past = &cursor->past[slot->path];

	c->load = ios_now(slot, cursor, own);
	if (unlikely(c->load > ~0U))
		c->load = ~0U;
	c->rate = READ_ONCE(past->average);
	c->stale = !c->rate || READ_ONCE(past->since) >=
			       STALE_FOLDS + cursor->cpu % STALE_SPREAD;
}

static __always_inline bool hst_better(const struct candidate *a,
				       const struct candidate *b,
				       const struct path_set *set)
{
	bool try_a = a->stale && !a->load, try_b = b->stale && !b->load;
	u64 slow, fast;
	bool a_wins;

	/* An I/O tells what an idle path is worth now. */
	if (try_a != try_b)
		return try_a;

	slow = a->rate > b->rate ? a->rate : b->rate;
	fast = a->rate > b->rate ? b->rate : a->rate;
	if (slow <= fast * set->args.threshold)
		return a->load < b->load;

	/* An old average promises too much: it wins no more than an equal share. */
	a_wins = a->rate * (a->load + 1) < b->rate * (b->load + 1);
	if (a_wins ? a->stale : b->stale)
		return a->load < b->load;
	return a_wins;
}

static u32 hst_select(const struct path_set *set, struct path_cursor *cursor,
		      const struct path_load *own, u32 bytes)
{
	struct candidate best;
	u32 winner = walk(set, cursor, own, bytes, hst_measure, hst_better, false, &best);

	/* One attempt at a time: the next fold tells more. */
	if (unlikely(best.stale && !best.load))
		WRITE_ONCE(cursor->past[set->slot[winner].path].since, 0);
	return winner;
}

static u32 ioa_select(const struct path_set *set, struct path_cursor *cursor,
		      const struct path_load *own, u32 bytes)
{
	return set->home[cursor->cpu];
}

static const struct path_selector selectors[] = {
	{
		.name = "round-robin",
		.path_words = 1,
		.path_args = rr_path_args,
		.print_path = repeat_print_path,
		.select = rr_select,
	},
	{
		.name = "queue-length",
		.needs = PATH_NEEDS_LOAD,
		.path_words = 1,
		.info_words = 1,
		.path_args = load_path_args,
		.print_path = repeat_print_path,
		.print_info = ql_print_info,
		.select = ql_select,
	},
	{
		.name = "service-time",
		.needs = PATH_NEEDS_LOAD,
		.path_words = 2,
		.info_words = 2,
		.path_args = st_path_args,
		.print_path = st_print_path,
		.print_info = st_print_info,
		.select = st_select,
	},
	{
		.name = "historical-service-time",
		.needs = PATH_NEEDS_LOAD | PATH_NEEDS_TIME,
		.group_words = 2,
		.path_words = 1,
		.info_words = 3,
		.group_args = hst_group_args,
		.path_args = load_path_args,
		.print_group = hst_print_group,
		.print_path = repeat_print_path,
		.print_info = hst_print_info,
		.select = hst_select,
	},
	{
		.name = "io-affinity",
		.needs = PATH_NEEDS_HOME,
		.path_words = 1,
		.info_words = 1,
		.path_args = ioa_path_args,
		.print_path = ioa_print_path,
		.print_info = ioa_print_info,
		.select = ioa_select,
	},
};

/**
 * path_selector_at - walk the selectors
 * @index: from 0
 *
 * Return: the selector, or NULL after the last one.
 */
const struct path_selector *path_selector_at(u32 index)
{
	return index < ARRAY_SIZE(selectors) ? &selectors[index] : NULL;
}

/**
 * path_selector_find - look a selector up
 * @name: its name in the table line
 *
 * Return: the selector, or NULL when there is none of that name.
 */
const struct path_selector *path_selector_find(const char *name)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!strcmp(selectors[i].name, name))
			return &selectors[i];
	return NULL;
}

/*
 * Move an average as if @samples I/Os of @mean nanoseconds each had ended one by
 * one: the past keeps the weight to the power of their number.
 */
static u64 average_over(u64 average, u64 mean, u64 samples, u32 weight)
{
	u64 left = 1ULL << 32;
	u64 factor = (u64)weight << (32 - WEIGHT_BITS);

	/* Repeated squaring; ends at the latest when all bits of the number are seen. */
	for (; samples && left; samples >>= 1) {
		if (samples & 1)
			left = left * factor >> 32;
		factor = factor * factor >> 32;
	}
	return (average * left + mean * ((1ULL << 32) - left) + (1U << 31)) >> 32;
}

static void fold_average(struct path_past *past, u64 done, u64 time, u32 weight)
{
	u64 samples = done - past->done;
	u64 spent = time - past->time;
	u64 mean;

	past->done = done;
	past->time = time;
	if (!whole(samples)) {
		if (past->since < ~0U)
			WRITE_ONCE(past->since, past->since + 1);
		return;
	}

	mean = div64_u64(whole(spent), samples);
	if (mean > MAX_AVERAGE)
		mean = MAX_AVERAGE;
	if (past->average)
		mean = average_over(past->average, mean,
				    samples * (1 + (mean >> SAMPLE_BITS)), weight);
	/* 0 is for a path that nobody knows. */
	WRITE_ONCE(past->average, mean ? mean : 1);
	WRITE_ONCE(past->since, 0);
}

/**
 * path_fold - bring a cursor up to date with the other CPUs
 * @cursor: of the running CPU
 * @set: the paths in use; others keep what was known of them
 * @row: returns a CPU's row of path_load by its number, or NULL
 * @context: for @row
 * @cpus: CPU numbers to ask for are below
 * @tick: goes to @cursor->folded
 *
 * An interrupt may select through the cursor at any moment: every value is
 * stored once, when it is complete.
 */
void path_fold(struct path_cursor *cursor, const struct path_set *set,
	       const struct path_load *(*row)(void *context, u32 cpu),
	       void *context, u32 cpus, u32 tick)
{
	u32 first, cpu, i;

	WRITE_ONCE(cursor->folded, tick);

	for (first = 0; first < set->count; first += FOLD_SLOTS) {
		const struct path_slot *slot = &set->slot[first];
		struct path_load sum[FOLD_SLOTS] = { };
		u32 slots = set->count - first;

		if (slots > FOLD_SLOTS)
			slots = FOLD_SLOTS;

		for (cpu = 0; cpu < cpus; cpu++) {
			const struct path_load *load = row(context, cpu);

			if (!load)
				continue;
			for (i = 0; i < slots; i++) {
				const struct path_load *l = &load[slot[i].path];

				sum[i].done += READ_ONCE(l->done);
				sum[i].time += READ_ONCE(l->time);
				if (cpu == cursor->cpu)
					continue;
				sum[i].ios += READ_ONCE(l->ios);
				sum[i].bytes += READ_ONCE(l->bytes);
			}
		}

		for (i = 0; i < slots; i++) {
			struct path_past *past = &cursor->past[slot[i].path];

			WRITE_ONCE(past->ios, sum[i].ios);
			WRITE_ONCE(past->bytes, sum[i].bytes);
			fold_average(past, sum[i].done, sum[i].time,
				     set->args.weight);
		}
	}
}

/**
 * path_service_time - how long an I/O kept its path busy
 * @start: when it was sent
 * @now: when it ended
 * @last: when the I/O before it ended on the path
 *
 * A path is taken to serve one I/O after the other: while it was busy with the
 * previous one, this one only waited.
 *
 * Return: nanoseconds, 0 when the clocks of two CPUs disagree.
 */
u64 path_service_time(u64 start, u64 now, u64 last)
{
	if (last > start)
		start = last;
	return now > start ? now - start : 0;
}

/* Give @slot the CPUs of its mask that have no home yet. */
static void mask_home(const char *mask, u8 slot, u8 *home, u32 cpus)
{
	size_t at = strlen(mask);
	u32 cpu = 0;

	/* From the last digit on; after a comma the next 32 CPUs begin. */
	while (at-- && cpu < cpus) {
		u32 i, digit;

		if (mask[at] == ',') {
			cpu = (cpu + 31) & ~31U;
			continue;
		}
		digit = hex_digit(mask[at]);
		for (i = 0; i < 4; i++, cpu++)
			if (digit >> i & 1 && cpu < cpus && home[cpu] == NO_HOME)
				home[cpu] = slot;
	}
}

/**
 * path_set_home - assign the CPUs to the paths of a set
 * @set: with masks in its slots
 * @home: becomes each CPU's slot
 * @cpus: entries in @home
 *
 * Of paths that name the same CPU, the first one gets it, as in-tree.
 */
void path_set_home(const struct path_set *set, u8 *home, u32 cpus)
{
	u32 next = 0;
	u32 i;

	memset(home, NO_HOME, cpus);
	for (i = 0; i < set->count; i++)
		mask_home(set->slot[i].cpus, i, home, cpus);

	for (i = 0; i < cpus; i++) {
		if (home[i] != NO_HOME)
			continue;
		home[i] = next;
		if (++next == set->count)
			next = 0;
	}
}

static bool group_usable(const struct path_group_view *groups, u32 count,
			 int group)
{
	return group >= 0 && (u32)group < count && groups[group].usable;
}

/**
 * path_group_choose - decide which priority group gets the I/O
 * @groups: all groups, in the order of the table line
 * @count: entries in @groups
 * @current_group: the group in use, or -1
 * @wanted: the group asked for by table line or message, or -1
 *
 * Staying with the current group comes before a better one that came back:
 * switching is the administrator's decision.
 *
 * Return: index into @groups, or -1 when no group has a usable path.
 */
int path_group_choose(const struct path_group_view *groups, u32 count,
		      int current_group, int wanted)
{
	int bypassed = -1;
	u32 i;

	if (group_usable(groups, count, wanted))
		return wanted;
	if (group_usable(groups, count, current_group))
		return current_group;

	for (i = 0; i < count; i++) {
		if (!groups[i].usable)
			continue;
		if (!groups[i].bypassed)
			return i;
		if (bypassed < 0)
			bypassed = i;
	}
	return bypassed;
}
