// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path selection: the selectors, and the choice of a priority group.
 */
#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x)	(x)
#define WRITE_ONCE(x, v) ((x) = (v))
#endif

#include "path_select.h"

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
		u32 digit;

		if (*word >= '0' && *word <= '9')
			digit = *word - '0';
		else if (base == 16 && *word >= 'a' && *word <= 'f')
			digit = *word - 'a' + 10;
		else if (base == 16 && *word >= 'A' && *word <= 'F')
			digit = *word - 'A' + 10;
		else
			return false;

		if (n > limit || digit > ~(n * base))
			return false;
		n = n * base + digit;
	}
	*value = n;
	return true;
}

static int rr_path_args(struct path_slot *slot, unsigned int argc, char **argv,
			const char **error)
{
	u64 repeat = 1;

	if (argc && (!path_number(argv[0], &repeat) || !repeat ||
		     repeat > (u32)~0U)) {
		*error = "a repeat count of 1 to 4294967295";
		return -EINVAL;
	}
	slot->repeat = repeat;
	return 0;
}

static u32 rr_select(const struct path_set *set, struct path_cursor *cursor)
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

static const struct path_selector selectors[] = {
	{
		.name = "round-robin",
		.table_args = 1,
		.path_args = rr_path_args,
		.select = rr_select,
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
