// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path selection: exact distributions of round-robin, a set that changes
 * under its cursor, and every small case of group choice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "path_select.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_SLOTS	64

/* Exactly as large as its paths, so that ASan sees an index beyond them. */
static struct path_set *make_set(u32 count, const u32 *repeat)
{
	struct path_set *set;
	u32 i;

	set = malloc(sizeof(*set) + count * sizeof(set->slot[0]));
	assert_non_null(set);
	set->group = 0;
	set->count = count;
	for (i = 0; i < count; i++) {
		set->slot[i].path = 100 + i;
		set->slot[i].repeat = repeat ? repeat[i] : 1;
	}
	return set;
}

static const struct path_selector *round_robin(void)
{
	const struct path_selector *s = path_selector_find("round-robin");

	assert_non_null(s);
	return s;
}

static void test_find(void **state)
{
	u32 i;

	(void)state;
	assert_null(path_selector_find(""));
	assert_null(path_selector_find("round"));
	assert_null(path_selector_find("round-robin2"));
	assert_null(path_selector_find("service-time"));

	for (i = 0; path_selector_at(i); i++)
		assert_ptr_equal(path_selector_find(path_selector_at(i)->name),
				 path_selector_at(i));
	assert_int_equal(i, 1);
	assert_null(path_selector_at(~0U));
	assert_int_equal(round_robin()->table_args, 1);
}

static void test_number(void **state)
{
	static const struct {
		const char *word;
		u64 value;
	} good[] = {
		{ "0", 0 },
		{ "7", 7 },
		{ "010", 10 },
		{ "0x0", 0 },
		{ "0xabc1", 0xabc1 },
		{ "0XaBcDeF", 0xabcdef },
		{ "18446744073709551615", UINT64_MAX },
		{ "0xffffffffffffffff", UINT64_MAX },
		{ "0x00000000000000001", 1 },
		{ "000000000000000000000000000001", 1 },
	};
	static const char * const bad[] = {
		"", " ", "0x", "0X", "x1", "-1", "+1", " 1", "1 ", "1,", "a",
		"0xg", "0x-1", "1x", "0x0x1", "1.0", "\xff", "\n",
		"18446744073709551616",		/* 2^64 */
		"18446744073709551620",		/* last digit fits, the one before not */
		"28446744073709551615",
		"184467440737095516150",
		"0x10000000000000000",
		"0xfffffffffffffffff",
	};
	size_t i;
	u64 value;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		value = 42;
		if (!path_number(good[i].word, &value))
			fail_msg("'%s' refused", good[i].word);
		assert_int_equal(value, good[i].value);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		value = 42;
		if (path_number(bad[i], &value))
			fail_msg("'%s' accepted", bad[i]);
		assert_int_equal(value, 42);
	}
}

static void test_repeat_count(void **state)
{
	static const char * const bad[] = {
		"0", "x", "", "-1", "4294967296", "18446744073709551616",
	};
	static const struct {
		const char *word;
		u32 repeat;
	} good[] = {
		{ NULL, 1 }, { "1", 1 }, { "1000", 1000 }, { "0x10", 16 },
		{ "4294967295", UINT32_MAX },
	};
	const char *error;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct path_slot slot = { .path = 77, .repeat = 99 };
		char *word = (char *)good[i].word;

		assert_int_equal(round_robin()->path_args(&slot, !!word, &word,
							  &error), 0);
		assert_int_equal(slot.repeat, good[i].repeat);
		assert_int_equal(slot.path, 77);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct path_slot slot = { .path = 77, .repeat = 99 };
		char *word = (char *)bad[i];

		error = NULL;
		assert_true(round_robin()->path_args(&slot, 1, &word, &error) < 0);
		assert_string_equal(error, "a repeat count of 1 to 4294967295");
	}
}

/* The order of slots that a fresh cursor gives, as digits. */
static void check_order(u32 count, const u32 *repeat, const char *order)
{
	struct path_set *set = make_set(count, repeat);
	struct path_cursor cursor = { 0 };
	size_t i;

	for (i = 0; order[i]; i++) {
		u32 got = round_robin()->select(set, &cursor);

		if (got != (u32)(order[i] - '0'))
			fail_msg("I/O %zu of %s went to %u", i, order, got);
	}
	free(set);
}

static void test_order(void **state)
{
	(void)state;
	check_order(1, NULL, "00000");
	check_order(2, NULL, "0101010");
	check_order(3, NULL, "01201201");
	check_order(2, (u32[]){ 2, 1 }, "001001001");
	check_order(3, (u32[]){ 3, 1, 2 }, "000122000122");
	check_order(1, (u32[]){ 4 }, "00000000");
	/* path_args makes no 0, but neither may it wrap around. */
	check_order(3, (u32[]){ 0, 1, 0 }, "012012");
}

/* Whole rounds hit each path exactly repeat times, from wherever they start. */
static void test_distribution(void **state)
{
	u32 count, rounds = 5;

	(void)state;
	for (count = 1; count <= MAX_SLOTS; count++) {
		u32 hits[MAX_SLOTS] = { 0 }, repeat[MAX_SLOTS];
		struct path_cursor cursor = { .index = count * 7 };
		struct path_set *set;
		u32 i, sum = 0;

		for (i = 0; i < count; i++) {
			repeat[i] = 1 + (i * 5 + count) % 9;
			sum += repeat[i];
		}
		set = make_set(count, repeat);
		for (i = 0; i < rounds * sum; i++)
			hits[round_robin()->select(set, &cursor)]++;
		for (i = 0; i < count; i++)
			assert_int_equal(hits[i], rounds * repeat[i]);
		free(set);
	}
}

/* CPUs that start with their number as cursor spread over the paths. */
static void test_cursor_spread(void **state)
{
	struct path_set *set = make_set(3, NULL);
	u32 cpu;

	(void)state;
	for (cpu = 0; cpu < 32; cpu++) {
		struct path_cursor cursor = { .index = cpu };

		assert_int_equal(round_robin()->select(set, &cursor), cpu % 3);
		assert_int_equal(round_robin()->select(set, &cursor),
				 (cpu + 1) % 3);
	}
	free(set);
}

/* Cursors do not know of each other. */
static void test_cursor_independent(void **state)
{
	struct path_set *set = make_set(2, (u32[]){ 2, 1 });
	struct path_cursor a = { 0 }, b = { 0 };
	static const u32 round[] = { 0, 0, 1 };
	u32 i;

	(void)state;
	for (i = 0; i < 9; i++) {
		assert_int_equal(round_robin()->select(set, &a), round[i % 3]);
		if (i % 2)
			assert_int_equal(round_robin()->select(set, &b),
					 round[i / 2 % 3]);
	}
	free(set);
}

static void test_shrink(void **state)
{
	struct path_set *large = make_set(8, NULL);
	struct path_set *small = make_set(3, NULL);
	struct path_cursor cursor = { 0 };
	u32 i, hits[3] = { 0 };

	(void)state;
	for (i = 0; i < 7; i++)
		assert_int_equal(round_robin()->select(large, &cursor), i);
	for (i = 0; i < 300; i++)
		hits[round_robin()->select(small, &cursor)]++;
	for (i = 0; i < 3; i++)
		assert_int_equal(hits[i], 100);
	free(large);
	free(small);
}

/* A rest of a long repeat count does not outlive the path it belonged to. */
static void test_shrink_repeat(void **state)
{
	struct path_set *heavy = make_set(2, (u32[]){ 1000, 1000 });
	struct path_set *light = make_set(2, (u32[]){ 2, 1 });
	struct path_cursor cursor = { 0 };
	static const u32 expected[] = { 0, 0, 1, 0, 0, 1 };
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(round_robin()->select(heavy, &cursor), 0);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(round_robin()->select(light, &cursor),
				 expected[i]);
	free(heavy);
	free(light);
}

/* Any cursor at all gives a valid slot, and is in step one I/O later. */
static void test_any_cursor(void **state)
{
	static const u32 wild[] = {
		0, 1, 2, 3, 4, 63, 64, 65, 0x7fffffff, 0x80000000, UINT32_MAX,
	};
	size_t i, j;
	u32 count;

	(void)state;
	for (count = 1; count <= 5; count++) {
		struct path_set *set = make_set(count, (u32[]){ 3, 1, 2, 1, 9 });

		for (i = 0; i < ARRAY_SIZE(wild); i++) {
			for (j = 0; j < ARRAY_SIZE(wild); j++) {
				struct path_cursor cursor = {
					.index = wild[i], .left = wild[j],
				};

				assert_true(round_robin()->select(set, &cursor) <
					    count);
				assert_true(cursor.index < count);
				assert_true(cursor.left <
					    set->slot[cursor.index].repeat);
			}
		}
		free(set);
	}
}

/* The set changes at random: every index stays inside. */
static void test_churn(void **state)
{
	struct path_cursor cursor = { 0 };
	u32 i, j, seed = 12345;

	(void)state;
	for (i = 0; i < 2000; i++) {
		u32 repeat[MAX_SLOTS], count;
		struct path_set *set;

		seed = seed * 1103515245 + 12345;
		count = 1 + (seed >> 16) % MAX_SLOTS;
		for (j = 0; j < count; j++)
			repeat[j] = 1 + (seed >> 8) % (j + 2);
		set = make_set(count, repeat);
		for (j = 0; j < 20; j++)
			assert_true(round_robin()->select(set, &cursor) < count);
		free(set);
	}
}

static void test_group_table(void **state)
{
	static const struct path_group_view groups[] = {
		{ .usable = 0 },
		{ .usable = 2, .bypassed = true },
		{ .usable = 1 },
		{ .usable = 3 },
	};
	static const struct {
		int current_group;
		int wanted;
		int choice;
	} cases[] = {
		{ -1, -1, 2 },		/* the first enabled one, not the bypassed one before */
		{ 3, -1, 3 },		/* no switch without need */
		{ 3, 2, 2 },		/* but on request */
		{ 3, 0, 3 },		/* if that can be had */
		{ 0, -1, 2 },		/* the current one is dead */
		{ 0, 0, 2 },
		{ -1, 1, 1 },		/* asked for although bypassed */
		{ 1, -1, 1 },
		{ 4, 4, 2 },		/* out of range */
		{ -7, 99, 2 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = path_group_choose(groups, ARRAY_SIZE(groups),
					    cases[i].current_group,
					    cases[i].wanted);

		if (got != cases[i].choice)
			fail_msg("current %d wanted %d: chose %d, not %d",
				 cases[i].current_group, cases[i].wanted, got,
				 cases[i].choice);
	}

	assert_int_equal(path_group_choose(groups, 0, 0, 0), -1);
	assert_int_equal(path_group_choose(groups, 1, 0, 0), -1);
	assert_int_equal(path_group_choose(groups, 2, 0, 0), 1);
}

/* Every state of up to four groups, against the rules said another way. */
static void test_group_exhaustive(void **state)
{
	struct path_group_view groups[4];
	u32 count, mask, i;
	int now, wanted;

	(void)state;
	for (count = 0; count <= 4; count++) {
		for (mask = 0; mask < 1U << (2 * count); mask++) {
			u32 usable = 0, enabled = 0;

			for (i = 0; i < count; i++) {
				groups[i].usable = mask >> (2 * i) & 1;
				groups[i].bypassed = mask >> (2 * i + 1) & 1;
				usable |= groups[i].usable << i;
				if (!groups[i].bypassed)
					enabled |= groups[i].usable << i;
			}
			for (now = -1; now <= (int)count; now++) {
				for (wanted = -1; wanted <= (int)count; wanted++) {
					int best = -1;

					if (wanted >= 0 && usable >> wanted & 1)
						best = wanted;
					else if (now >= 0 && usable >> now & 1)
						best = now;
					else if (enabled)
						best = __builtin_ctz(enabled);
					else if (usable)
						best = __builtin_ctz(usable);
					assert_int_equal(path_group_choose(groups,
									   count,
									   now,
									   wanted),
							 best);
				}
			}
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_repeat_count),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_distribution),
		cmocka_unit_test(test_cursor_spread),
		cmocka_unit_test(test_cursor_independent),
		cmocka_unit_test(test_shrink),
		cmocka_unit_test(test_shrink_repeat),
		cmocka_unit_test(test_any_cursor),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_group_table),
		cmocka_unit_test(test_group_exhaustive),
	};

	return cmocka_run_group_tests_name("path_select", tests, NULL, NULL);
}
