/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Path selection over an immutable set of usable paths. Pure C, no lock, no
 * clock: the caller keeps the set alive (RCU in the module) and passes its own
 * cursor and its own row of counters, so that CPUs do not share a cache line.
 */
#ifndef PATH_SELECT_H
#define PATH_SELECT_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
#endif

/**
 * struct path_slot - a usable path, with its words of the table line
 * @path: index in the caller's path array
 * @repeat: round-robin: I/Os in a row before the next path, >= 1; others keep it
 *	for the table line only
 * @throughput: service-time: relative throughput, 0 to 100
 * @cpus: io-affinity: the CPU mask as written in the table line: the word itself,
 *	which the caller keeps
 */
struct path_slot {
	u32 path;
	u32 repeat;
	u32 throughput;
	const char *cpus;
};

/**
 * struct path_group_args - a selector's own words of the table line
 * @weight: historical-service-time: of the past against one new sample, 0 to 1023
 *	of 1024
 * @threshold: historical-service-time: up to how many times slower counts as the
 *	same; 0 and 1 for not at all
 */
struct path_group_args {
	u32 weight;
	u32 threshold;
};

/**
 * struct path_set - the usable paths of one priority group
 * @group: index of the group that they belong to
 * @count: entries in @slot
 * @args: the selector's words
 * @home: by CPU number, that CPU's slot; there only with PATH_NEEDS_HOME
 * @slot: the paths
 */
struct path_set {
	u32 group;
	u32 count;
	struct path_group_args args;
	u8 *home;
	struct path_slot slot[];
};

/**
 * struct path_load - what one CPU counted on one path
 * @ios: I/Os started less I/Os ended on this CPU: an I/O may end on another
 *	one, so that only the sum over the CPUs (modulo 2^64) is a number
 * @bytes: their sizes, likewise
 * @done: I/Os that ended here
 * @time: nanoseconds of service that they took, see path_service_time()
 * @last: when the last one ended, in nanoseconds
 *
 * The last three are kept for selectors with PATH_NEEDS_TIME only.
 */
struct path_load {
	u64 ios;
	u64 bytes;
	u64 done;
	u64 time;
	u64 last;
};

/**
 * struct path_past - what a CPU remembers of a path from its last fold
 * @ios: of all other CPUs together
 * @bytes: likewise
 * @done: of all CPUs together
 * @time: likewise
 * @average: nanoseconds of service per I/O, moving average; 0 = not known
 * @since: folds without an I/O that ended on the path
 */
struct path_past {
	u64 ios;
	u64 bytes;
	u64 done;
	u64 time;
	u64 average;
	u32 since;
};

/**
 * struct path_cursor - what one CPU remembers between two choices
 * @index: the slot to use next; any number is valid, so that it may start as
 *	the CPU's number and may outlive the set that it was made with
 * @left: I/Os left on it, 0 = its whole repeat count
 * @cpu: the CPU's number
 * @folded: tick of the last fold
 * @slot: the last choice, for path_stay()
 * @run: sectors of the run that ends at @next
 * @next: the sector after the last I/O
 * @ended: the sector after the I/O that ended last; the caller writes it
 * @past: by the caller's path numbers; there only if a selector needs the load
 */
struct path_cursor {
	u32 index;
	u32 left;
	u32 cpu;
	u32 folded;
	u32 slot;
	u32 run;
	u64 next;
	u64 ended;
	struct path_past past[];
};

/* What the caller keeps for a selector: bits of path_selector.needs. */
enum path_need {
	PATH_NEEDS_LOAD = 1 << 0,	/* ios and bytes; path_fold() each tick */
	PATH_NEEDS_TIME = 1 << 1,	/* and done, time and last */
	PATH_NEEDS_HOME = 1 << 2,	/* path_set.home, see path_set_home() */
};

/**
 * struct path_selector - a selection algorithm by its dm-multipath name
 * @name: in the table line
 * @needs: enum path_need
 * @group_words: words of its own in the table line, at most
 * @path_words: words per path in the table line, at most
 * @info_words: words per path in the status line, exactly
 * @group_args: parse @argc words (at most @group_words, maybe none) into @args, all
 *	of it; 0, or -EINVAL with *@error set to what was expected. NULL: no words.
 * @path_args: parse @argc words (at most @path_words, maybe none) into @slot, all but
 *	its path; likewise
 * @print_group: print the first @words words; length like snprintf, no blank
 *	at either end. NULL: no words.
 * @print_path: likewise
 * @print_info: the @info_words for the status line; @load is summed over CPUs, its
 *	last the latest, and NULL without PATH_NEEDS_LOAD. NULL: no words.
 * @select: index into @set->slot[]; the set is not empty. @own is this CPU's row,
 *	by the caller's path numbers, NULL without PATH_NEEDS_LOAD; @bytes is the size
 *	of the I/O. An interrupt on the same CPU may select in between.
 */
struct path_selector {
	const char *name;
	u32 needs;
	u32 group_words;
	u32 path_words;
	u32 info_words;
	int (*group_args)(struct path_group_args *args, unsigned int argc,
			  char **argv, const char **error);
	int (*path_args)(struct path_slot *slot, unsigned int argc, char **argv,
			 const char **error);
	int (*print_group)(const struct path_group_args *args, u32 words,
			   char *buf, size_t size);
	int (*print_path)(const struct path_slot *slot, u32 words,
			  char *buf, size_t size);
	int (*print_info)(const struct path_slot *slot,
			  const struct path_load *load, char *buf, size_t size);
	u32 (*select)(const struct path_set *set, struct path_cursor *cursor,
		      const struct path_load *own, u32 bytes);
};

/* NULL when there is no such selector. */
const struct path_selector *path_selector_find(const char *name);
/* All selectors, for lists of their names; NULL after the last one. */
const struct path_selector *path_selector_at(u32 index);

/*
 * A number of the table line: the whole word, decimal or hex with 0x, without
 * sign or blank. False when it is none or does not fit.
 */
bool path_number(const char *word, u64 *value);

/*
 * Renew what @cursor knows of the other CPUs, and the averages. @row returns a
 * CPU's row of path_load by its number, or NULL when there is no such CPU.
 */
void path_fold(struct path_cursor *cursor, const struct path_set *set,
	       const struct path_load *(*row)(void *context, u32 cpu),
	       void *context, u32 cpus, u32 tick);

/* Nanoseconds for which an I/O kept its path busy, given when the previous one ended. */
u64 path_service_time(u64 start, u64 now, u64 last);

/*
 * Note an I/O for path_stay(), after the choice of @slot.
 */
static inline void path_went(struct path_cursor *cursor, u32 slot, u64 sector, u32 sectors)
{
	cursor->run = sector == cursor->next ? cursor->run + sectors : sectors;
	cursor->next = sector + sectors;
	cursor->slot = slot;
}

/*
 * Whether an I/O at @sector goes on behind the last one, which is still on its
 * way, and so should take the same path, where both can be merged: up to @limit
 * sectors, which is the largest request that the path takes. If not, a new run
 * begins with it, also when it goes on there.
 */
static inline bool path_stay(struct path_cursor *cursor, u64 sector, u32 sectors,
			     u32 limit)
{
	if (sector == cursor->next && sector != cursor->ended &&
	    cursor->run + sectors <= limit)
		return true;
	cursor->run = 0;
	return false;
}

/*
 * io-affinity: fill @home[0..cpus) with slot numbers: the CPU's own path if it
 * is in the set, else the set's paths in turn. Sets of at most 255 paths.
 */
void path_set_home(const struct path_set *set, u8 *home, u32 cpus);

/**
 * struct path_group_view - what group choice needs to know of a group
 */
struct path_group_view {
	u32 usable;	/* usable paths now */
	bool bypassed;	/* disabled by message */
};

/*
 * The group to use: @wanted (or -1) if it has a usable path, else @current if
 * it has, else the first enabled one that has, else the first bypassed one;
 * -1 when no group has a usable path.
 */
int path_group_choose(const struct path_group_view *groups, u32 count,
		      int current_group, int wanted);

#endif
