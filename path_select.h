/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Path selection over an immutable set of usable paths. Pure C, no lock:
 * the caller keeps the set alive (RCU in the module) and passes its own
 * cursor, so that CPUs do not share a cache line.
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
#endif

/**
 * struct path_set - the usable paths of one priority group
 * @group: index of the group that they belong to
 * @count: entries in @slot
 * @slot: the caller's path numbers; a path with repeat_count n has one entry,
 *	weights are in @repeat
 */
struct path_slot {
	u32 path;	/* index in the caller's path array */
	u32 repeat;	/* I/Os in a row before the next path (round-robin's repeat_count), >= 1 */
};

struct path_set {
	u32 group;
	u32 count;
	struct path_slot slot[];
};

/**
 * struct path_cursor - where one CPU stands in its round
 * @index: the slot to use next; any number is valid, so that it may start as
 *	the CPU's number and may outlive the set that it was made with
 * @left: I/Os left on it, 0 = its whole repeat count
 */
struct path_cursor {
	u32 index;
	u32 left;
};

/**
 * struct path_selector - a selection algorithm by its dm-multipath name
 */
struct path_selector {
	const char *name;
	u32 table_args;		/* words per path in the table line, at most */
	/*
	 * Parse per-path words into @slot, all but its path; 0, or -EINVAL with
	 * *error set to what was expected: the caller names path and words.
	 * @argc is at most @table_args.
	 */
	int (*path_args)(struct path_slot *slot, unsigned int argc, char **argv,
			 const char **error);
	/* index into set->slot[]; the set is not empty */
	u32 (*select)(const struct path_set *set, struct path_cursor *cursor);
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
