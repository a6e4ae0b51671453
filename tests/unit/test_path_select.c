// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path selection: words of the table and status lines, exact distributions of
 * each selector over simulated paths, sets that change under their cursor, and
 * every small case of group choice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "path_select.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_SLOTS	64
#define MAX_CPUS	4
#define LONGEST		4294967295U	/* the average ends there */
#define STALE		64		/* folds without an I/O, on CPU 0 */

/* Not the slot's number, and all different. */
static u32 path_of(u32 slot)
{
	return (slot * 7 + 3) % MAX_SLOTS;
}

/* Exactly as large as its paths, so that ASan sees an index beyond them. */
static struct path_set *make_set(u32 count, const u32 *repeat)
{
	struct path_set *set;
	u32 i;

	set = calloc(1, sizeof(*set) + count * sizeof(set->slot[0]));
	assert_non_null(set);
	set->count = count;
	for (i = 0; i < count; i++) {
		set->slot[i].path = path_of(i);
		set->slot[i].repeat = repeat ? repeat[i] : 1;
		set->slot[i].throughput = 1;
	}
	return set;
}

static struct path_cursor *make_cursor(u32 cpu)
{
	struct path_cursor *cursor;

	cursor = calloc(1, sizeof(*cursor) + MAX_SLOTS * sizeof(cursor->past[0]));
	assert_non_null(cursor);
	cursor->cpu = cpu;
	return cursor;
}

static struct path_load *make_row(void)
{
	struct path_load *row = calloc(MAX_SLOTS, sizeof(*row));

	assert_non_null(row);
	return row;
}

static const struct path_selector *selector(const char *name)
{
	const struct path_selector *s = path_selector_find(name);

	if (!s)
		fail_msg("there is no %s", name);
	return s;
}

/* Without any load: this selector may not look for it. */
static u32 rr_next(const struct path_set *set, struct path_cursor *cursor)
{
	return selector("round-robin")->select(set, cursor, NULL, 512);
}

static u32 random_next(u64 *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* What multipathd and tables of dm-multipath expect. */
static void test_find(void **state)
{
	static const struct {
		const char *name;
		u32 needs, group_words, path_words, info_words;
	} all[] = {
		{ "round-robin", 0, 0, 1, 0 },
		{ "queue-length", PATH_NEEDS_LOAD, 0, 1, 1 },
		{ "service-time", PATH_NEEDS_LOAD, 0, 2, 2 },
		{ "historical-service-time", PATH_NEEDS_LOAD | PATH_NEEDS_TIME, 2, 1, 3 },
		{ "io-affinity", PATH_NEEDS_HOME, 0, 1, 1 },
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		const struct path_selector *s = path_selector_at(i);

		assert_non_null(s);
		assert_string_equal(s->name, all[i].name);
		assert_ptr_equal(path_selector_find(all[i].name), s);
		assert_int_equal(s->needs, all[i].needs);
		assert_int_equal(s->group_words, all[i].group_words);
		assert_int_equal(s->path_words, all[i].path_words);
		assert_int_equal(s->info_words, all[i].info_words);
		assert_int_equal(!!s->group_args, !!s->group_words);
		assert_int_equal(!!s->print_group, !!s->group_words);
		assert_non_null(s->path_args);
		assert_non_null(s->print_path);
		assert_int_equal(!!s->print_info, !!s->info_words);
		assert_non_null(s->select);
	}
	assert_null(path_selector_at(i));
	assert_null(path_selector_at(~0U));
	assert_null(path_selector_find(""));
	assert_null(path_selector_find("round"));
	assert_null(path_selector_find("round-robin2"));
	assert_null(path_selector_find("io affinity"));
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

/* --- words of the table line ------------------------------------------------------ */

#define WORDS(...)	((char *[]){ __VA_ARGS__, NULL })
#define NO_WORDS	((char *[]){ NULL })

static u32 count_words(char **words)
{
	u32 n = 0;

	while (words[n])
		n++;
	return n;
}

static void test_path_words(void **state)
{
	static const char rr[] = "a repeat count of 1 to 4294967295";
	static const char load[] = "a repeat count of 0 to 4294967295";
	static const char throughput[] = "a relative throughput of 0 to 100";
	static const char mask[] =
		"a hexadecimal CPU mask other than 0, such as ff or 1,00000000";
	const struct {
		const char *name;
		char **words;
		const char *error;	/* or what follows */
		u32 repeat, throughput;
		const char *cpus;
	} cases[] = {
		{ "round-robin", NO_WORDS, NULL, 1, 1, NULL },
		{ "round-robin", WORDS("1"), NULL, 1, 1, NULL },
		{ "round-robin", WORDS("0x10"), NULL, 16, 1, NULL },
		{ "round-robin", WORDS("4294967295"), NULL, UINT32_MAX, 1, NULL },
		{ "round-robin", WORDS("0"), rr, 0, 0, NULL },
		{ "round-robin", WORDS(""), rr, 0, 0, NULL },
		{ "round-robin", WORDS("x"), rr, 0, 0, NULL },
		{ "round-robin", WORDS("-1"), rr, 0, 0, NULL },
		{ "round-robin", WORDS("4294967296"), rr, 0, 0, NULL },
		{ "round-robin", WORDS("18446744073709551616"), rr, 0, 0, NULL },
		{ "queue-length", NO_WORDS, NULL, 1, 1, NULL },
		{ "queue-length", WORDS("1000"), NULL, 1000, 1, NULL },
		{ "queue-length", WORDS("0"), NULL, 0, 1, NULL },
		{ "queue-length", WORDS("4294967295"), NULL, UINT32_MAX, 1, NULL },
		{ "queue-length", WORDS("4294967296"), load, 0, 0, NULL },
		{ "queue-length", WORDS("1x"), load, 0, 0, NULL },
		{ "service-time", NO_WORDS, NULL, 1, 1, NULL },
		{ "service-time", WORDS("7"), NULL, 7, 1, NULL },
		{ "service-time", WORDS("1", "0"), NULL, 1, 0, NULL },
		{ "service-time", WORDS("2", "100"), NULL, 2, 100, NULL },
		{ "service-time", WORDS("1", "101"), throughput, 0, 0, NULL },
		{ "service-time", WORDS("1", "-1"), throughput, 0, 0, NULL },
		{ "service-time", WORDS("1", "4294967297"), throughput, 0, 0, NULL },
		{ "service-time", WORDS("1", ""), throughput, 0, 0, NULL },
		{ "service-time", WORDS("", "1"), load, 0, 0, NULL },
		{ "service-time", WORDS("x", "101"), load, 0, 0, NULL },
		{ "historical-service-time", NO_WORDS, NULL, 1, 1, NULL },
		{ "historical-service-time", WORDS("0"), NULL, 0, 1, NULL },
		{ "historical-service-time", WORDS("3"), NULL, 3, 1, NULL },
		{ "historical-service-time", WORDS("z"), load, 0, 0, NULL },
		{ "io-affinity", WORDS("1"), NULL, 1, 1, "1" },
		{ "io-affinity", WORDS("Ff"), NULL, 1, 1, "Ff" },
		{ "io-affinity", WORDS("1,00000000"), NULL, 1, 1, "1,00000000" },
		{ "io-affinity", WORDS("00000001,0,0"), NULL, 1, 1, "00000001,0,0" },
		{ "io-affinity", WORDS("ffffffff,ffffffff"), NULL, 1, 1,
		  "ffffffff,ffffffff" },
		{ "io-affinity", NO_WORDS, mask, 0, 0, NULL },
		{ "io-affinity", WORDS(""), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("0"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("0,00000000"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("0x1"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("g"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("1 "), mask, 0, 0, NULL },
		{ "io-affinity", WORDS(","), mask, 0, 0, NULL },
		{ "io-affinity", WORDS(",1"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("1,"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("1,,1"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("123456789"), mask, 0, 0, NULL },
		{ "io-affinity", WORDS("1,000000000"), mask, 0, 0, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path_slot slot = {
			.path = 77, .repeat = 99, .throughput = 99, .cpus = "poison",
		};
		u32 argc = count_words(cases[i].words);
		const char *error = "none";
		int r;

		r = selector(cases[i].name)->path_args(&slot, argc, cases[i].words,
						       &error);
		print_message("%s '%s'\n", cases[i].name, argc ? cases[i].words[0] : "-");
		assert_int_equal(slot.path, 77);
		if (cases[i].error) {
			assert_true(r < 0);
			assert_string_equal(error, cases[i].error);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(error, "none");
		assert_int_equal(slot.repeat, cases[i].repeat);
		assert_int_equal(slot.throughput, cases[i].throughput);
		if (cases[i].cpus)
			assert_string_equal(slot.cpus, cases[i].cpus);
		else
			assert_null(slot.cpus);
	}
}

static void test_group_words(void **state)
{
	static const char weight[] = "a base weight of 0 to 1023";
	static const char threshold[] = "a threshold multiplier of 0 to 4294967295";
	const struct {
		char **words;
		const char *error;
		u32 weight, threshold;
	} cases[] = {
		{ NO_WORDS, NULL, 972, 0 },
		{ WORDS("0"), NULL, 0, 0 },
		{ WORDS("1023"), NULL, 1023, 0 },
		{ WORDS("512", "2"), NULL, 512, 2 },
		{ WORDS("0x200", "4294967295"), NULL, 512, UINT32_MAX },
		{ WORDS("1024"), weight, 0, 0 },
		{ WORDS("x", "2"), weight, 0, 0 },
		{ WORDS(""), weight, 0, 0 },
		{ WORDS("512", "4294967296"), threshold, 0, 0 },
		{ WORDS("512", "-1"), threshold, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path_group_args args = { 99, 99 };
		const char *error = "none";
		int r;

		r = selector("historical-service-time")
			->group_args(&args, count_words(cases[i].words),
				     cases[i].words, &error);
		print_message("'%s'\n", cases[i].words[0] ? cases[i].words[0] : "-");
		if (cases[i].error) {
			assert_true(r < 0);
			assert_string_equal(error, cases[i].error);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(args.weight, cases[i].weight);
		assert_int_equal(args.threshold, cases[i].threshold);
	}
}

/* As many words come out as went in, the same ones, and snprintf's length. */
static void check_print(const char *expected, const char *name, u32 words, bool group,
			char **argv)
{
	const struct path_selector *s = selector(name);
	struct path_slot slot = { 0 };
	struct path_group_args args;
	const char *error;
	char text[64];
	int i, length;

	for (i = 0; i < (int)sizeof(text); i++) {
		memset(text, '#', sizeof(text));
		if (group) {
			assert_int_equal(s->group_args(&args, words, argv, &error), 0);
			length = s->print_group(&args, words, text, i);
		} else {
			assert_int_equal(s->path_args(&slot, words, argv, &error), 0);
			length = s->print_path(&slot, words, text, i);
		}
		assert_int_equal(length, strlen(expected));
		if (i > length)
			assert_string_equal(text, expected);
		assert_int_equal(text[i], '#');
	}
}

static void test_print(void **state)
{
	static const char * const numbers[] = {
		"round-robin", "queue-length", "service-time", "historical-service-time",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		check_print("", numbers[i], 0, false, NO_WORDS);
		check_print("4294967295", numbers[i], 1, false, WORDS("4294967295"));
	}
	check_print("0", "historical-service-time", 1, false, WORDS("0"));
	check_print("3 0", "service-time", 2, false, WORDS("3", "0"));
	check_print("4294967295 100", "service-time", 2, false,
		    WORDS("0xffffffff", "100"));
	check_print("1,0000000A", "io-affinity", 1, false, WORDS("1,0000000A"));
	check_print("", "historical-service-time", 0, true, NO_WORDS);
	check_print("512", "historical-service-time", 1, true, WORDS("512"));
	check_print("0 4294967295", "historical-service-time", 2, true,
		    WORDS("0", "4294967295"));
}

static void test_info(void **state)
{
	static const struct {
		const char *name;
		struct path_load load;
		const char *info;
	} cases[] = {
		{ "queue-length", { .ios = 0 }, "0" },
		{ "queue-length", { .ios = 7, .bytes = 4096 }, "7" },
		{ "queue-length", { .ios = -1ULL }, "0" },
		{ "queue-length", { .ios = INT64_MAX }, "9223372036854775807" },
		{ "service-time", { .ios = 7, .bytes = 4096 }, "4096 42" },
		{ "service-time", { .ios = 7, .bytes = -512ULL }, "0 42" },
		{ "historical-service-time", { .ios = 0 }, "0 0 0" },
		{ "historical-service-time",
		  { .ios = 3, .done = 4, .time = 1000, .last = 99 }, "256000 3 99" },
		{ "historical-service-time",
		  { .ios = -1ULL, .done = 1, .time = -1ULL, .last = -1ULL },
		  "4398046510080 0 18446744073709551615" },
	};
	const struct path_slot slot = { .path = 5, .throughput = 42 };
	char text[80];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int length = selector(cases[i].name)->print_info(&slot, &cases[i].load,
								 text, sizeof(text));

		assert_string_equal(text, cases[i].info);
		assert_int_equal(length, strlen(text));
	}
	/* It counts nothing. */
	assert_int_equal(selector("io-affinity")->print_info(&slot, NULL, text,
							     sizeof(text)), 1);
	assert_string_equal(text, "0");
}

/* --- round-robin ------------------------------------------------------------------ */

/* The order of slots that a fresh cursor gives, as digits. */
static void check_order(u32 count, const u32 *repeat, const char *order)
{
	struct path_set *set = make_set(count, repeat);
	struct path_cursor cursor = { 0 };
	size_t i;

	for (i = 0; order[i]; i++) {
		u32 got = rr_next(set, &cursor);

		if (got != (u32)(order[i] - '0'))
			fail_msg("I/O %zu of %s went to %u", i, order, got);
	}
	free(set);
}

static void test_rr_order(void **state)
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
static void test_rr_distribution(void **state)
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
			hits[rr_next(set, &cursor)]++;
		for (i = 0; i < count; i++)
			assert_int_equal(hits[i], rounds * repeat[i]);
		free(set);
	}
}

/* CPUs that start with their number as cursor spread over the paths. */
static void test_rr_cursor_spread(void **state)
{
	struct path_set *set = make_set(3, NULL);
	u32 cpu;

	(void)state;
	for (cpu = 0; cpu < 32; cpu++) {
		struct path_cursor cursor = { .index = cpu };

		assert_int_equal(rr_next(set, &cursor), cpu % 3);
		assert_int_equal(rr_next(set, &cursor), (cpu + 1) % 3);
	}
	free(set);
}

/* Cursors do not know of each other. */
static void test_rr_cursor_independent(void **state)
{
	struct path_set *set = make_set(2, (u32[]){ 2, 1 });
	struct path_cursor a = { 0 }, b = { 0 };
	static const u32 round[] = { 0, 0, 1 };
	u32 i;

	(void)state;
	for (i = 0; i < 9; i++) {
		assert_int_equal(rr_next(set, &a), round[i % 3]);
		if (i % 2)
			assert_int_equal(rr_next(set, &b), round[i / 2 % 3]);
	}
	free(set);
}

static void test_rr_shrink(void **state)
{
	struct path_set *large = make_set(8, NULL);
	struct path_set *small = make_set(3, NULL);
	struct path_cursor cursor = { 0 };
	u32 i, hits[3] = { 0 };

	(void)state;
	for (i = 0; i < 7; i++)
		assert_int_equal(rr_next(large, &cursor), i);
	for (i = 0; i < 300; i++)
		hits[rr_next(small, &cursor)]++;
	for (i = 0; i < 3; i++)
		assert_int_equal(hits[i], 100);
	free(large);
	free(small);
}

/* A rest of a long repeat count does not outlive the path it belonged to. */
static void test_rr_shrink_repeat(void **state)
{
	struct path_set *heavy = make_set(2, (u32[]){ 1000, 1000 });
	struct path_set *light = make_set(2, (u32[]){ 2, 1 });
	struct path_cursor cursor = { 0 };
	static const u32 expected[] = { 0, 0, 1, 0, 0, 1 };
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(rr_next(heavy, &cursor), 0);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(rr_next(light, &cursor), expected[i]);

	/* Nor does it when the cursor's path is gone. */
	cursor.index = 3;
	cursor.left = 1;
	assert_int_equal(rr_next(heavy, &cursor), 1);
	assert_int_equal(cursor.left, 999);
	free(heavy);
	free(light);
}

/* Any cursor at all gives a valid slot, and is in step one I/O later. */
static void test_rr_any_cursor(void **state)
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

				assert_true(rr_next(set, &cursor) < count);
				assert_true(cursor.index < count);
				assert_true(cursor.left <
					    set->slot[cursor.index].repeat);
			}
		}
		free(set);
	}
}

/* --- selectors by load, from given loads ------------------------------------------ */

/* One CPU and a set, with everything that a selector looks at. */
struct bench {
	const struct path_selector *selector;
	struct path_set *set;
	struct path_cursor *cursor;
	struct path_load *own;
};

static struct bench make_bench(const char *name, u32 count)
{
	struct bench b = {
		.selector = selector(name),
		.set = make_set(count, NULL),
		.cursor = make_cursor(0),
		.own = make_row(),
	};

	return b;
}

static void free_bench(struct bench *b)
{
	free(b->set);
	free(b->cursor);
	free(b->own);
}

static struct path_past *past_of(struct bench *b, u32 slot)
{
	return &b->cursor->past[b->set->slot[slot].path];
}

static struct path_load *own_of(struct bench *b, u32 slot)
{
	return &b->own[b->set->slot[slot].path];
}

static u32 choose(struct bench *b, u32 bytes)
{
	u32 slot = b->selector->select(b->set, b->cursor, b->own, bytes);

	assert_true(slot < b->set->count);
	return slot;
}

/* An I/O that does not end. */
static u32 start(struct bench *b, u32 bytes)
{
	u32 slot = choose(b, bytes);

	own_of(b, slot)->ios++;
	own_of(b, slot)->bytes += bytes;
	return slot;
}

/* Where the next I/Os go, as digits, when each ends at once. */
static void check_idle(struct bench *b, u32 bytes, const char *order)
{
	size_t i;

	for (i = 0; order[i]; i++) {
		u32 slot = choose(b, bytes);

		if (slot != (u32)(order[i] - '0'))
			fail_msg("I/O %zu of %s went to %u", i, order, slot);
	}
}

/* The same, when none ends. */
static void check_fill(struct bench *b, u32 bytes, const char *order)
{
	size_t i;

	for (i = 0; order[i]; i++) {
		u32 slot = start(b, bytes);

		if (slot != (u32)(order[i] - '0'))
			fail_msg("I/O %zu of %s went to %u", i, order, slot);
	}
}

static void test_ql(void **state)
{
	struct bench b = make_bench("queue-length", 3);

	(void)state;
	check_idle(&b, 512, "012012");
	check_fill(&b, 512, "012012");

	/* 2 each; others have 5 on the first, 1 on the last */
	past_of(&b, 0)->ios = 5;
	past_of(&b, 2)->ios = 1;
	check_fill(&b, 512, "1");	/* 7 3 3: next is the last */
	check_fill(&b, 512, "21212121");/* 7 7 7 */
	check_fill(&b, 512, "201201");

	/* Bytes, averages and words do not matter. */
	own_of(&b, 0)->bytes = 1ULL << 60;
	past_of(&b, 1)->average = 1ULL << 31;
	b.set->slot[2].throughput = 0;
	b.set->slot[2].repeat = 100;
	check_fill(&b, UINT32_MAX, "201201");
	free_bench(&b);
}

/* Of paths that are equal, each gets the same; a fuller one between them none. */
static void test_ties(void **state)
{
	static const char * const names[] = {
		"queue-length", "service-time", "historical-service-time",
	};
	u32 mask, n, i, k;

	(void)state;
	for (k = 0; k < ARRAY_SIZE(names); k++) {
		for (mask = 1; mask < 64; mask++) {
			struct bench b = make_bench(names[k], 6);
			u32 hits[6] = { 0 };
			u32 equal = __builtin_popcount(mask);

			for (i = 0; i < 6; i++) {
				u64 more = mask >> i & 1 ? 0 : 1;

				past_of(&b, i)->ios = -40ULL;
				past_of(&b, i)->bytes = -40ULL;
				own_of(&b, i)->ios = 45 + more;
				own_of(&b, i)->bytes = 45 + more;
				past_of(&b, i)->average = 1000;
			}
			b.cursor->index = mask * 1000000007U;
			for (n = 0; n < 10 * equal; n++)
				hits[choose(&b, 512)]++;
			for (i = 0; i < 6; i++)
				assert_int_equal(hits[i], mask >> i & 1 ? 10 : 0);
			free_bench(&b);
		}
	}
}

/* I/Os that end elsewhere: only the sum is a number; below 0 it counts as 0. */
static void test_negative(void **state)
{
	static const char * const names[] = {
		"queue-length", "service-time", "historical-service-time",
	};
	u32 k, i;

	(void)state;
	for (k = 0; k < ARRAY_SIZE(names); k++) {
		struct bench b = make_bench(names[k], 3);

		for (i = 0; i < 3; i++)
			past_of(&b, i)->average = 1000;
		/* 3, 2 and 1 */
		past_of(&b, 0)->ios = past_of(&b, 0)->bytes = 10;
		own_of(&b, 0)->ios = own_of(&b, 0)->bytes = -7ULL;
		past_of(&b, 1)->ios = past_of(&b, 1)->bytes = -7ULL;
		own_of(&b, 1)->ios = own_of(&b, 1)->bytes = 9;
		own_of(&b, 2)->ios = own_of(&b, 2)->bytes = 1;
		check_fill(&b, 1, "2120");	/* 4 3 3 */

		/* -1, -100 and the smallest number: none of them is less than 0. */
		for (i = 0; i < 3; i++)
			own_of(&b, i)->ios = own_of(&b, i)->bytes = 0;
		past_of(&b, 0)->ios = past_of(&b, 0)->bytes = -1ULL;
		past_of(&b, 1)->ios = past_of(&b, 1)->bytes = -100ULL;
		past_of(&b, 2)->ios = past_of(&b, 2)->bytes = 1ULL << 63;
		b.cursor->index = 0;
		check_idle(&b, 1, "012012");
		free_bench(&b);
	}
}

static void test_st(void **state)
{
	struct bench b = make_bench("service-time", 3);
	u32 hits[3] = { 0 };
	u32 i;

	(void)state;
	/* Equal throughput: bytes, however many I/Os. */
	own_of(&b, 0)->bytes = 4096;
	own_of(&b, 2)->bytes = 2048;
	own_of(&b, 1)->ios = 1000;
	check_fill(&b, 1024, "112121201");	/* 5120 each */
	free_bench(&b);

	/* In proportion to the throughput. */
	b = make_bench("service-time", 3);
	b.set->slot[0].throughput = 20;
	b.set->slot[1].throughput = 100;
	b.set->slot[2].throughput = 40;
	for (i = 0; i < 16000; i++) {
		hits[start(&b, 512)]++;
		if (i % 8 == 7) {
			assert_int_equal(hits[0], (i + 1) / 8);
			assert_int_equal(hits[1], (i + 1) / 8 * 5);
			assert_int_equal(hits[2], (i + 1) / 8 * 2);
		}
	}
	free_bench(&b);

	/* Nothing in flight, and nothing to write: the fastest path. */
	b = make_bench("service-time", 3);
	b.set->slot[1].throughput = 3;
	b.set->slot[2].throughput = 2;
	check_idle(&b, 512, "1111");
	check_idle(&b, 0, "1111");
	check_fill(&b, 0, "1111");
	own_of(&b, 1)->bytes = 1;
	check_fill(&b, 0, "2222");
	own_of(&b, 2)->bytes = 1;
	check_fill(&b, 0, "0000");
	free_bench(&b);
}

static void test_st_zero(void **state)
{
	struct bench b = make_bench("service-time", 3);

	(void)state;
	b.set->slot[0].throughput = 0;
	b.set->slot[2].throughput = 0;
	own_of(&b, 1)->bytes = 1ULL << 62;
	check_fill(&b, 1, "1111");
	own_of(&b, 1)->bytes = INT64_MAX;
	check_idle(&b, UINT32_MAX, "1111");
	check_idle(&b, 0, "1111");
	own_of(&b, 1)->bytes = 0;
	check_idle(&b, 0, "1111");

	/* All of them: as if all had the same. */
	b.set->slot[1].throughput = 0;
	own_of(&b, 0)->bytes = 20;
	own_of(&b, 1)->bytes = 10;
	b.cursor->index = 0;
	check_fill(&b, 10, "212012");
	free_bench(&b);
}

/* Against exact fractions, below 2^64: no choice is worse than another path. */
static void test_st_exact(void **state)
{
	u64 seed = 1;
	u32 round, i;

	(void)state;
	for (round = 0; round < 20000; round++) {
		u32 count = 1 + random_next(&seed) % 8;
		u32 shift = random_next(&seed) % 57;
		struct bench b = make_bench("service-time", count);
		u32 bytes = random_next(&seed) >> random_next(&seed) % 32;
		u64 mine, other;
		u32 slot;

		for (i = 0; i < count; i++) {
			u64 all = ((u64)random_next(&seed) << 32 |
				   random_next(&seed)) & ((1ULL << 56) - 1);

			past_of(&b, i)->bytes = random_next(&seed) - (1ULL << 30);
			own_of(&b, i)->bytes = (all >> shift) - past_of(&b, i)->bytes;
			b.set->slot[i].throughput = 1 + random_next(&seed) % 100;
		}
		b.cursor->index = random_next(&seed);
		slot = choose(&b, bytes);
		mine = past_of(&b, slot)->bytes + own_of(&b, slot)->bytes + bytes;
		for (i = 0; i < count; i++) {
			other = past_of(&b, i)->bytes + own_of(&b, i)->bytes + bytes;
			assert_true(mine * b.set->slot[i].throughput <=
				    other * b.set->slot[slot].throughput);
		}
		free_bench(&b);
	}
}

/* More bytes than any machine has: still in order, though not to the byte. */
static void test_st_huge(void **state)
{
	static const u64 sizes[] = {
		1ULL << 56, (1ULL << 57) - 512, 1ULL << 57, 1ULL << 58, 1ULL << 62,
		INT64_MAX - 1000, INT64_MAX,
	};
	u32 i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			struct bench b = make_bench("service-time", 2);
			u32 bytes;

			for (bytes = 0; bytes < 2; bytes++) {
				/* 100 times the throughput wins, both ways round */
				own_of(&b, 0)->bytes = sizes[i];
				own_of(&b, 1)->bytes = sizes[j];
				b.set->slot[0].throughput = 1;
				b.set->slot[1].throughput = 100;
				check_idle(&b, bytes * UINT32_MAX,
					   sizes[j] / 100 <= sizes[i] ? "11" : "00");

				b.set->slot[0].throughput = 100;
				if (sizes[i] / 4096 < sizes[j] / 4096)
					check_idle(&b, bytes * UINT32_MAX, "00");
				if (sizes[i] / 4096 > sizes[j] / 4096)
					check_idle(&b, bytes * UINT32_MAX, "11");
			}
			free_bench(&b);
		}
	}
}

static struct bench make_hst(u32 count, const u32 *average, u32 threshold)
{
	struct bench b = make_bench("historical-service-time", count);
	u32 i;

	b.set->args.weight = 512;
	b.set->args.threshold = threshold;
	for (i = 0; i < count; i++)
		past_of(&b, i)->average = average[i];
	return b;
}

static void test_hst(void **state)
{
	static const struct {
		u32 average[3];
		u32 threshold;
		u32 hits[3];
	} cases[] = {
		/* the load that a path gets times its average is the same for all */
		{ { 100, 200, 400 }, 0, { 400, 200, 100 } },
		{ { 100, 200, 400 }, 1, { 400, 200, 100 } },
		{ { 300, 300, 150 }, 1, { 175, 175, 350 } },
		{ { 1, 1, 1 }, 0, { 234, 233, 233 } },
		/* at most twice, four times as slow: the same */
		{ { 100, 150, 200 }, 2, { 234, 233, 233 } },
		{ { 100, 200, 400 }, 4, { 234, 233, 233 } },
		{ { 100, 200, 400 }, UINT32_MAX, { 234, 233, 233 } },
		/* one path beyond the threshold */
		{ { 100, 100, 201 }, 2, { 281, 280, 139 } },
		{ { LONGEST, 1, LONGEST }, 1, { 0, 700, 0 } },
		{ { 1 << 20, 1 << 24, 1 << 20 }, 1 << 13, { 234, 233, 233 } },
		{ { LONGEST, LONGEST, LONGEST }, UINT32_MAX, { 234, 233, 233 } },
	};
	size_t i;
	u32 n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b = make_hst(3, cases[i].average, cases[i].threshold);
		u32 hits[3] = { 0 };

		for (n = 0; n < 700; n++)
			hits[start(&b, 4096)]++;
		print_message("case %zu: %u %u %u\n", i, hits[0], hits[1], hits[2]);
		for (n = 0; n < 3; n++)
			assert_int_equal(hits[n], cases[i].hits[n]);
		free_bench(&b);
	}
}

/* Loads of 2^32 and more are all the same, but never become small. */
static void test_hst_huge(void **state)
{
	static const u64 loads[] = {
		1, UINT32_MAX - 2ULL, UINT32_MAX, UINT32_MAX + 1ULL, 1ULL << 40,
		1ULL << 62, INT64_MAX,
	};
	u32 i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		for (j = 0; j < ARRAY_SIZE(loads); j++) {
			struct bench b = make_hst(2, (u32[]){ LONGEST, LONGEST - 1 }, 1);

			own_of(&b, 0)->ios = loads[i];
			own_of(&b, 1)->ios = loads[j];
			/* the second is faster by little */
			if (j < 3)
				check_idle(&b, 0, i < j ? "00" : "11");
			else
				check_idle(&b, 0, i < 2 ? "00" : "11");
			free_bench(&b);
		}
	}
}

/* A path that nobody knows, or that nobody used for long, gets its chance. */
static void test_hst_stale(void **state)
{
	struct bench b = make_hst(3, (u32[]){ 100, 0, 100000 }, 0);

	(void)state;
	/* Not known: at once, then an equal share, until it is known. */
	own_of(&b, 2)->ios = 50;
	check_fill(&b, 512, "1");
	check_fill(&b, 512, "0101");
	own_of(&b, 1)->ios = 0;
	check_idle(&b, 512, "111");
	past_of(&b, 1)->average = 200;
	own_of(&b, 0)->ios = 0;
	own_of(&b, 2)->ios = 0;
	check_idle(&b, 512, "000");

	/* Too slow to be used: once in a number of folds. */
	past_of(&b, 0)->since = 1;
	past_of(&b, 2)->since = STALE - 1;
	check_idle(&b, 512, "000");
	assert_int_equal(past_of(&b, 0)->since, 1);
	past_of(&b, 2)->since = STALE;
	check_idle(&b, 512, "20000");
	assert_int_equal(past_of(&b, 2)->since, 0);
	past_of(&b, 2)->since = UINT32_MAX;
	past_of(&b, 1)->since = STALE;
	check_idle(&b, 512, "12000");

	/* Other CPUs wait a little longer: one attempt tells all of them. */
	b.cursor->cpu = 3;
	past_of(&b, 2)->since = STALE + 2;
	check_idle(&b, 512, "000");
	past_of(&b, 2)->since = STALE + 3;
	check_idle(&b, 512, "20000");
	b.cursor->cpu = STALE + 3;	/* but not for ever */
	past_of(&b, 2)->since = STALE + 3;
	check_idle(&b, 512, "20000");
	b.cursor->cpu = 0;

	/* Not while an I/O is on its way. */
	past_of(&b, 2)->since = STALE;
	past_of(&b, 2)->ios = 1;
	check_idle(&b, 512, "000");
	assert_int_equal(past_of(&b, 2)->since, STALE);

	/* The best one ends nothing any more: an equal share, not more. */
	past_of(&b, 0)->since = STALE;
	own_of(&b, 0)->ios = 3;
	own_of(&b, 1)->ios = 3;
	own_of(&b, 2)->ios = 50;
	b.cursor->index = 0;
	check_fill(&b, 512, "0101");
	/* A slow one ends nothing either: no more than it would get anyhow. */
	past_of(&b, 0)->since = 0;
	past_of(&b, 0)->ios = 100;
	past_of(&b, 1)->ios = 100;
	past_of(&b, 2)->since = STALE;
	check_fill(&b, 512, "00000");
	free_bench(&b);
}

/* Known averages against exact products. */
static void test_hst_exact(void **state)
{
	u64 seed = 2;
	u32 round, i;

	(void)state;
	for (round = 0; round < 20000; round++) {
		u32 count = 1 + random_next(&seed) % 8;
		struct bench b = make_bench("historical-service-time", count);
		u32 slot;

		for (i = 0; i < count; i++) {
			own_of(&b, i)->ios = random_next(&seed) >>
					     random_next(&seed) % 31;
			past_of(&b, i)->ios = random_next(&seed) % 100;
			past_of(&b, i)->average =
				1 + (random_next(&seed) >> random_next(&seed) % 31);
			past_of(&b, i)->since = random_next(&seed) % STALE;
		}
		b.cursor->index = random_next(&seed);
		slot = choose(&b, 512);
		for (i = 0; i < count; i++)
			assert_true((own_of(&b, slot)->ios + past_of(&b, slot)->ios + 1) *
				    past_of(&b, slot)->average <=
				    (own_of(&b, i)->ios + past_of(&b, i)->ios + 1) *
				    past_of(&b, i)->average);
		free_bench(&b);
	}
}

/* Sets and cursors at random, of all selectors: every index stays inside. */
static void test_churn(void **state)
{
	u64 seed = 12345;
	u32 round, i, k;

	(void)state;
	for (k = 0; path_selector_at(k); k++) {
		struct path_cursor *cursor = make_cursor(0);
		struct path_load *own = make_row();

		cursor->index = ~0U;
		for (round = 0; round < 2000; round++) {
			u32 count = 1 + random_next(&seed) % MAX_SLOTS;
			struct path_set *set = make_set(count, NULL);
			u8 home[MAX_CPUS];

			set->args.weight = random_next(&seed) % 1024;
			set->args.threshold = random_next(&seed) % 3;
			for (i = 0; i < count; i++) {
				set->slot[i].repeat = 1 + random_next(&seed) % (i + 2);
				set->slot[i].throughput = random_next(&seed) % 3;
				set->slot[i].cpus = i % 2 ? "2" : "ff";
				cursor->past[path_of(i)].average =
					random_next(&seed) % 100;
			}
			path_set_home(set, home, MAX_CPUS);
			set->home = home;
			cursor->cpu = random_next(&seed) % MAX_CPUS;
			for (i = 0; i < 20; i++) {
				u32 slot = path_selector_at(k)->select(set, cursor, own,
								       512);

				assert_true(slot < count);
				own[set->slot[slot].path].ios++;
				own[set->slot[slot].path].bytes += 512;
			}
			free(set);
		}
		free(cursor);
		free(own);
	}
}

/* A path that leaves takes its load along, and finds it when it comes back. */
static void test_set_changes(void **state)
{
	struct bench b = make_bench("queue-length", 3);
	struct path_slot gone = b.set->slot[1];

	(void)state;
	check_fill(&b, 512, "012012");
	b.set->count = 2;
	b.set->slot[1] = b.set->slot[2];
	b.cursor->index = 2;
	check_fill(&b, 512, "0101");
	b.set->count = 3;
	b.set->slot[2] = gone;
	check_fill(&b, 512, "220120");
	free_bench(&b);
}

/* --- what a cursor learns from other CPUs ----------------------------------------- */

struct rows {
	struct path_load *row[MAX_CPUS];
	u32 calls[MAX_CPUS];
};

static const struct path_load *row_of(void *context, u32 cpu)
{
	struct rows *rows = context;

	assert_true(cpu < MAX_CPUS);
	rows->calls[cpu]++;
	return rows->row[cpu];
}

static void make_rows(struct rows *rows)
{
	u32 i;

	memset(rows, 0, sizeof(*rows));
	for (i = 0; i < MAX_CPUS; i++)
		rows->row[i] = make_row();
}

static void free_rows(struct rows *rows)
{
	u32 i;

	for (i = 0; i < MAX_CPUS; i++)
		free(rows->row[i]);
}

static void fold(struct path_cursor *cursor, const struct path_set *set,
		 struct rows *rows)
{
	path_fold(cursor, set, row_of, rows, MAX_CPUS, cursor->folded + 1);
}

static void test_fold_sums(void **state)
{
	static const u32 counts[] = { 1, 7, 8, 9, 16, 33, MAX_SLOTS };
	u32 i, k, cpu, me;

	(void)state;
	for (k = 0; k < ARRAY_SIZE(counts); k++) {
		struct path_set *set = make_set(counts[k], NULL);
		struct rows rows;

		make_rows(&rows);
		for (cpu = 0; cpu < MAX_CPUS; cpu++) {
			for (i = 0; i < MAX_SLOTS; i++) {
				struct path_load *load = &rows.row[cpu][path_of(i)];

				/* the last two CPUs end what the first ones start */
				load->ios = cpu < 2 ? 10 * i + 5 : -5ULL * i;
				load->bytes = load->ios * 512;
				load->done = cpu + i;
				load->time = load->done * (i + 1) * 1000;
			}
		}
		for (me = 0; me < MAX_CPUS; me++) {
			struct path_cursor *cursor = make_cursor(me);

			path_fold(cursor, set, row_of, &rows, MAX_CPUS, 77);
			assert_int_equal(cursor->folded, 77);
			for (i = 0; i < MAX_SLOTS; i++) {
				struct path_past *past = &cursor->past[path_of(i)];
				u64 own = rows.row[me][path_of(i)].ios;
				u64 all = i < counts[k] ? ~0ULL : 0;

				assert_int_equal(past->ios, (10 * i + 10 - own) & all);
				assert_int_equal(past->bytes,
						 (10 * i + 10 - own) * 512 & all);
				assert_int_equal(past->done, (4 * i + 6) & all);
				assert_int_equal(past->time,
						 (4ULL * i + 6) * (i + 1) * 1000 & all);
				assert_int_equal(past->average, (i + 1) * 1000 & all);
			}
			free(cursor);
		}
		/* every CPU is looked at once for eight paths */
		for (cpu = 0; cpu < MAX_CPUS; cpu++)
			assert_int_equal(rows.calls[cpu],
					 MAX_CPUS * ((counts[k] + 7) / 8));
		free_rows(&rows);
		free(set);
	}
}

/* CPUs without a row, and those above the number given, do not count. */
static void test_fold_missing(void **state)
{
	struct path_set *set = make_set(1, NULL);
	struct path_cursor *cursor = make_cursor(0);
	struct path_past *past = &cursor->past[path_of(0)];
	struct path_load *second;
	struct rows rows;
	u32 cpu;

	(void)state;
	make_rows(&rows);
	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		rows.row[cpu][path_of(0)].ios = 1 << cpu;
	second = rows.row[1];
	rows.row[1] = NULL;
	fold(cursor, set, &rows);
	assert_int_equal(past->ios, 4 + 8);
	path_fold(cursor, set, row_of, &rows, 3, 1);
	assert_int_equal(past->ios, 4);
	rows.row[1] = second;
	path_fold(cursor, set, row_of, &rows, 1, 1);
	assert_int_equal(past->ios, 0);
	free_rows(&rows);
	free(cursor);
	free(set);
}

/* One sample after the other, in floating point. */
static double reference(double average, double mean, u64 samples, u32 weight)
{
	double past = weight / 1024.0;

	/* each 2^24 ns of a sample count as one more */
	samples *= 1 + ((u64)mean >> 24);
	while (samples--)
		average = average * past + mean * (1 - past);
	return average;
}

static void test_average(void **state)
{
	static const struct {
		u32 weight;
		u64 before, samples, mean;
		u64 after;	/* 0: as the reference says */
	} cases[] = {
		{ 512, 0, 1, 1000, 1000 },	/* the first sample is all there is */
		{ 1023, 0, 5, 1000, 1000 },
		{ 512, 1000, 1, 2000, 1500 },
		{ 512, 1000, 2, 2000, 1750 },
		{ 512, 2000, 3, 1000, 1125 },
		{ 0, 1000, 1, 2000, 2000 },
		{ 768, 1000, 1, 2000, 1250 },
		{ 972, 1000, 1, 2000, 1051 },
		{ 972, 100000, 17, 200000, 0 },
		{ 1023, 100000, 1000, 200000, 0 },
		{ 1023, 1000000, 1, 1, 0 },
		{ 1, 1000000, 1, 1, 0 },
		{ 1023, 1000, 1ULL << 40, 2000, 2000 },
		{ 512, 1000, 1ULL << 24, 2000, 2000 },
		{ 512, 1000, 100, 0, 1 },	/* 0 would be not known */
		{ 512, 0, 1, 0, 1 },
		{ 512, 1, 1, 1, 1 },
		/* long ones weigh more */
		{ 512, 1000, 1, (1 << 24) - 1, 0 },
		{ 512, 1000, 1, 1 << 24, 0 },
		{ 972, 1000000, 1, 100000000, 0 },
		/* the longest that counts */
		{ 512, 0, 1, LONGEST + 1ULL, LONGEST },
		{ 512, LONGEST, 3, LONGEST, LONGEST },
		{ 1023, LONGEST, 1, 1ULL << 62, LONGEST },
		{ 1023, LONGEST, 1, 1, 0 },
		{ 1023, 1, 1, 1ULL << 50, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path_set *set = make_set(1, NULL);
		struct path_cursor *cursor = make_cursor(2);
		struct path_past *past = &cursor->past[path_of(0)];
		struct path_load *load;
		struct rows rows;
		double expected;

		make_rows(&rows);
		set->args.weight = cases[i].weight;
		past->average = cases[i].before;
		past->since = 3;
		past->done = 1000;
		past->time = 5000000;
		/* over two CPUs, one of them this one */
		load = &rows.row[2][path_of(0)];
		load->done = 400;
		load->time = 2000000;
		load = &rows.row[3][path_of(0)];
		load->done = 600 + cases[i].samples;
		load->time = 3000000 + cases[i].samples * cases[i].mean;

		fold(cursor, set, &rows);
		print_message("case %zu: %llu\n", i, (unsigned long long)past->average);
		expected = cases[i].after;
		if (!cases[i].after)
			expected = reference(cases[i].before, cases[i].mean > LONGEST ?
					     LONGEST : cases[i].mean,
					     cases[i].samples, cases[i].weight);
		/* but for roundings: of 2^-32 in up to 256 samples, of 1 ns */
		if (past->average < expected * 0.9999999 - 1 ||
		    past->average > expected * 1.0000001 + 1)
			fail_msg("expected %f", expected);
		if (cases[i].after)
			assert_int_equal(past->average, cases[i].after);
		assert_int_equal(past->since, 0);
		assert_int_equal(past->done, 1000 + cases[i].samples);

		/* Nothing new: nothing changes, but it ages. */
		expected = past->average;
		fold(cursor, set, &rows);
		fold(cursor, set, &rows);
		assert_int_equal(past->average, expected);
		assert_int_equal(past->since, 2);
		free_rows(&rows);
		free(cursor);
		free(set);
	}
}

/* A row that goes away takes its past along: no sample, and no division by it. */
static void test_average_backwards(void **state)
{
	struct path_set *set = make_set(1, NULL);
	struct path_cursor *cursor = make_cursor(0);
	struct path_past *past = &cursor->past[path_of(0)];
	struct rows rows;

	(void)state;
	make_rows(&rows);
	past->average = 1234;
	past->done = 100;
	past->time = 100000;
	past->since = UINT32_MAX - 1;
	rows.row[1][path_of(0)].done = 90;
	rows.row[1][path_of(0)].time = 90000;
	fold(cursor, set, &rows);
	assert_int_equal(past->average, 1234);
	assert_int_equal(past->since, UINT32_MAX);
	fold(cursor, set, &rows);
	assert_int_equal(past->since, UINT32_MAX);

	/* From there on as always; and a time torn below 0 is 0. */
	rows.row[1][path_of(0)].done++;
	rows.row[1][path_of(0)].time += 2000;
	fold(cursor, set, &rows);
	assert_int_equal(past->average, 2000);
	assert_int_equal(past->since, 0);
	set->args.weight = 512;
	rows.row[1][path_of(0)].done++;
	rows.row[1][path_of(0)].time -= 5;
	fold(cursor, set, &rows);
	assert_int_equal(past->average, 1000);
	free_rows(&rows);
	free(cursor);
	free(set);
}

static void test_service_time(void **state)
{
	static const struct {
		u64 start, now, last, time;
	} cases[] = {
		{ 100, 150, 0, 50 },
		{ 100, 150, 100, 50 },
		{ 100, 150, 99, 50 },
		{ 100, 150, 101, 49 },	/* the path was busy until then */
		{ 100, 150, 150, 0 },
		{ 100, 150, 160, 0 },	/* another CPU's clock is ahead */
		{ 100, 90, 0, 0 },
		{ 0, UINT64_MAX, 0, UINT64_MAX },
		{ 1ULL << 40, (1ULL << 40) + 7, 5, 7 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(path_service_time(cases[i].start, cases[i].now,
						   cases[i].last), cases[i].time);
}

static void test_stay(void **state)
{
	struct path_cursor cursor = { .run = 0 };

	(void)state;
	path_went(&cursor, 2, 1000, 8);
	assert_int_equal(cursor.slot, 2);
	assert_true(path_stay(&cursor, 1008, 8, 1024));
	assert_false(path_stay(&cursor, 1007, 8, 1024));
	assert_false(path_stay(&cursor, 1009, 8, 1024));
	assert_false(path_stay(&cursor, 1000, 8, 1024));
	path_went(&cursor, 2, 1000, 8);

	/* up to the limit, not beyond */
	assert_true(path_stay(&cursor, 1008, 1016, 1024));
	path_went(&cursor, 2, 1008, 1016);
	assert_false(path_stay(&cursor, 2024, 1, 1024));
	path_went(&cursor, 2, 1000, 8);
	assert_false(path_stay(&cursor, 1008, 1017, 1024));

	/* the next path starts a run of its own, also where the last one ended */
	path_went(&cursor, 1, 1008, 1016);
	assert_false(path_stay(&cursor, 2024, 9, 1024));
	path_went(&cursor, 1, 2024, 8);
	assert_true(path_stay(&cursor, 2032, 1016, 1024));
	assert_false(path_stay(&cursor, 2032, 1017, 1024));
	path_went(&cursor, 1, 4096, 8);
	assert_int_equal(cursor.slot, 1);
	assert_true(path_stay(&cursor, 4104, 1016, 1024));
	assert_false(path_stay(&cursor, 2024, 8, 1024));
	path_went(&cursor, 1, 4096, 8);
	cursor.ended = 2032;
	assert_true(path_stay(&cursor, 4104, 8, 16));
	/* nothing merges with what has ended */
	cursor.ended = 4104;
	assert_false(path_stay(&cursor, 4104, 8, 16));
	path_went(&cursor, 1, 4096, 8);
	cursor.ended = 0;
	assert_true(path_stay(&cursor, 4104, 8, 16));
	assert_false(path_stay(&cursor, 4104, 8, 15));
	assert_false(path_stay(&cursor, 4104, 8, 0));

	/* the same for who does not ask */
	path_went(&cursor, 1, 0, 1000);
	path_went(&cursor, 1, 5000, 8);
	assert_true(path_stay(&cursor, 5008, 1016, 1024));

	/* a stream that did not ask before is over the limit once */
	path_went(&cursor, 1, 0, 1000);
	path_went(&cursor, 1, 1000, 1000);
	assert_false(path_stay(&cursor, 2000, 24, 1024));
	path_went(&cursor, 0, 2000, 24);
	assert_true(path_stay(&cursor, 2024, 1000, 1024));
}

/* As the caller uses it: a stream changes its path each time a request is full. */
static void test_stay_stream(void **state)
{
	struct path_set *set = make_set(2, NULL);
	struct path_cursor *cursor = make_cursor(0);
	u32 i;

	(void)state;
	for (i = 0; i < 64; i++) {
		u64 sector = (1ULL << 33) + i * 8;
		u32 slot = path_stay(cursor, sector, 8, 64) ? cursor->slot :
							      rr_next(set, cursor);

		assert_int_equal(slot, i / 8 % 2);
		path_went(cursor, slot, sector, 8);
	}
	free(cursor);
	free(set);
}

/* --- io-affinity ------------------------------------------------------------------ */

static void test_home(void **state)
{
	static const struct {
		const char *masks[4];
		u32 cpus;
		const char *home;	/* slots as digits */
	} cases[] = {
		{ { "1" }, 1, "0" },
		{ { "1", "2", "4", "8" }, 4, "0123" },
		{ { "8", "4", "2", "1" }, 4, "3210" },
		{ { "f", "f0" }, 8, "00001111" },
		{ { "55", "aa" }, 8, "01010101" },
		{ { "C", "3" }, 4, "1100" },
		{ { "c", "3" }, 4, "1100" },
		/* two paths, one CPU: the first one's */
		{ { "3", "6" }, 3, "001" },
		{ { "ff", "2" }, 3, "000" },
		/* CPUs that nobody names: in turn */
		{ { "1", "2" }, 8, "01010101" },
		{ { "20", "10", "1" }, 8, "20121001" },
		{ { "80", "80", "80" }, 4, "0120" },
		/* more CPUs in the mask than there are */
		{ { "ffffffff,ffffffff", "1" }, 3, "000" },
		{ { "e", "1" }, 2, "10" },
		/* groups of 32, and short ones */
		{ { "1,00000000", "ffffffff" }, 34,
		  "1111111111111111111111111111111100" },
		{ { "1,0", "ffffffff" }, 34,
		  "1111111111111111111111111111111100" },
		{ { "2,1", "ffffffff,fffffffe" }, 34,
		  "0111111111111111111111111111111110" },
		{ { "80000000", "7fffffff", "3,0" }, 34,
		  "1111111111111111111111111111111022" },
		{ { "1,0,0", "ffffffff,ffffffff" }, 66,
		  "111111111111111111111111111111111111111111111111111111111111111100" },
	};
	size_t i, cpu;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path_set *set;
		u8 *home = malloc(cases[i].cpus);	/* ASan sees one too many */
		u32 count = 0;

		assert_non_null(home);
		while (count < 4 && cases[i].masks[count])
			count++;
		set = make_set(count, NULL);
		for (cpu = 0; cpu < count; cpu++)
			set->slot[cpu].cpus = cases[i].masks[cpu];
		path_set_home(set, home, cases[i].cpus);
		set->home = home;
		assert_int_equal(strlen(cases[i].home), cases[i].cpus);
		for (cpu = 0; cpu < cases[i].cpus; cpu++) {
			struct path_cursor cursor = { .cpu = cpu, .index = 5 };
			u32 slot = selector("io-affinity")->select(set, &cursor, NULL,
								   512);

			if (slot != (u32)(cases[i].home[cpu] - '0'))
				fail_msg("case %zu: CPU %zu is at %u", i, cpu, slot);
		}
		free(set);
		free(home);
	}
}

/* The path of a CPU fails, and comes back. */
static void test_home_failover(void **state)
{
	struct path_set *set = make_set(3, NULL);
	struct path_slot second;
	u8 home[6];

	(void)state;
	set->slot[0].cpus = "3";
	set->slot[1].cpus = "c";
	set->slot[2].cpus = "30";
	path_set_home(set, home, 6);
	assert_memory_equal(home, ((u8[]){ 0, 0, 1, 1, 2, 2 }), 6);
	second = set->slot[1];
	set->slot[1] = set->slot[2];
	set->count = 2;
	path_set_home(set, home, 6);
	assert_memory_equal(home, ((u8[]){ 0, 0, 0, 1, 1, 1 }), 6);
	set->slot[2] = set->slot[1];
	set->slot[1] = second;
	set->count = 3;
	path_set_home(set, home, 6);
	assert_memory_equal(home, ((u8[]){ 0, 0, 1, 1, 2, 2 }), 6);
	free(set);
}

/* --- simulated paths -------------------------------------------------------------- */

#define MAX_DEPTH	64
#define TICK		4000000		/* ns: 250 Hz */

/*
 * Paths that serve one I/O after the other, and CPUs that keep a number of I/Os
 * in flight each. Each folds when its own tick has passed.
 */
struct plan {
	const char *name;
	char **group_words;
	u32 paths, cpus, depth;
	u32 away;		/* an I/O ends that many CPUs further on */
	u32 service[4];		/* ns per I/O */
	u32 throughput[4];
	const char *mask[4];
	u32 ios;		/* in all */
	u32 change;		/* after so many, the path below is that fast */
	u32 changed_path, changed_service;
	u32 hits[4];
};

struct sim_io {
	u64 start, end;
	u32 cpu, path, bytes;
};

struct sim {
	const struct plan *plan;
	struct path_set *set;
	struct rows rows;
	struct path_cursor *cursor[MAX_CPUS];
	u64 now;
	u64 busy[4];
	struct sim_io io[MAX_DEPTH];
	u32 flying;
};

static void sim_start(struct sim *s, u32 cpu, u32 n, u32 *hits)
{
	const struct plan *plan = s->plan;
	struct path_cursor *cursor = s->cursor[cpu];
	u32 tick = (s->now + cpu * TICK / plan->cpus) / TICK;
	u32 bytes = 4096, slot, service;
	struct sim_io *io = &s->io[s->flying++];
	struct path_load *load;

	assert_true(s->flying <= MAX_DEPTH);
	if (cursor->folded != tick)
		path_fold(cursor, s->set, row_of, &s->rows, plan->cpus, tick);
	slot = selector(plan->name)->select(s->set, cursor, s->rows.row[cpu], bytes);
	assert_true(slot < plan->paths);
	hits[slot]++;

	service = plan->service[slot];
	if (plan->change && n >= plan->change && slot == plan->changed_path)
		service = plan->changed_service;
	if (s->busy[slot] < s->now)
		s->busy[slot] = s->now;
	s->busy[slot] += service;
	*io = (struct sim_io){
		.start = s->now, .end = s->busy[slot], .cpu = cpu,
		.path = s->set->slot[slot].path, .bytes = bytes,
	};
	load = &s->rows.row[cpu][io->path];
	load->ios++;
	load->bytes += bytes;
}

/* End the first I/O that ends; return the CPU that sent it. */
static u32 sim_end(struct sim *s)
{
	struct path_load *load;
	struct sim_io io;
	u32 i, first = 0;

	for (i = 1; i < s->flying; i++)
		if (s->io[i].end < s->io[first].end)
			first = i;
	io = s->io[first];
	/* in the order of their start, for I/Os that end together */
	memmove(&s->io[first], &s->io[first + 1],
		(--s->flying - first) * sizeof(io));
	s->now = io.end;

	load = &s->rows.row[(io.cpu + s->plan->away) % s->plan->cpus][io.path];
	load->ios--;
	load->bytes -= io.bytes;
	load->done++;
	load->time += path_service_time(io.start, s->now, load->last);
	load->last = s->now;
	return io.cpu;
}

static void simulate(const struct plan *plan, u32 *hits)
{
	const struct path_selector *selected = selector(plan->name);
	struct sim s = { .plan = plan };
	u8 home[MAX_CPUS];
	const char *error;
	u32 cpu, i, n = 0;
	u64 ios, bytes;

	s.set = make_set(plan->paths, NULL);
	if (plan->group_words)
		assert_int_equal(selected->group_args(&s.set->args,
						      count_words(plan->group_words),
						      plan->group_words, &error), 0);
	for (i = 0; i < plan->paths; i++) {
		s.set->slot[i].throughput = plan->throughput[i];
		s.set->slot[i].cpus = plan->mask[i];
	}
	if (selected->needs & PATH_NEEDS_HOME) {
		path_set_home(s.set, home, plan->cpus);
		s.set->home = home;
	}
	make_rows(&s.rows);
	for (cpu = 0; cpu < plan->cpus; cpu++) {
		s.cursor[cpu] = make_cursor(cpu);
		s.cursor[cpu]->index = cpu;
	}

	for (i = 0; i < plan->depth; i++)
		for (cpu = 0; cpu < plan->cpus; cpu++)
			sim_start(&s, cpu, n++, hits);
	while (n < plan->ios)
		sim_start(&s, sim_end(&s), n++, hits);
	while (s.flying)
		sim_end(&s);

	/* What every CPU started has ended somewhere. */
	for (i = 0; i < plan->paths; i++) {
		for (cpu = 0, ios = 0, bytes = 0; cpu < plan->cpus; cpu++) {
			ios += s.rows.row[cpu][path_of(i)].ios;
			bytes += s.rows.row[cpu][path_of(i)].bytes;
		}
		assert_int_equal(ios, 0);
		assert_int_equal(bytes, 0);
	}
	for (cpu = 0; cpu < plan->cpus; cpu++)
		free(s.cursor[cpu]);
	free_rows(&s.rows);
	free(s.set);
}

static void test_simulation(void **state)
{
	const struct plan plans[] = {
		/* idle whenever the next one comes: in turn, however slow */
		{ "queue-length", NULL, 3, 1, 1, 0,
		  { 100000, 300000, 500000 }, { 1, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 6667, 6667, 6666 } },
		/* both busy all the time: what they can do */
		{ "queue-length", NULL, 2, 1, 8, 0,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 14998, 5002 } },
		/* the same from four CPUs */
		{ "queue-length", NULL, 2, 4, 4, 0,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 14996, 5004 } },
		/* which end each other's I/Os */
		{ "queue-length", NULL, 2, 4, 4, 1,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 14996, 5004 } },
		/* equal paths, four CPUs */
		{ "queue-length", NULL, 4, 4, 4, 3,
		  { 100000, 100000, 100000, 100000 }, { 1, 1, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 5000, 5000, 5000, 5000 } },
		/* a path that becomes slow */
		{ "queue-length", NULL, 2, 2, 8, 1,
		  { 100000, 100000 }, { 1, 1 }, { NULL },
		  20000, 10000, 1, 1000000, { 14082, 5918 } },
		/* as told, not as measured: three on the one */
		{ "service-time", NULL, 2, 1, 3, 0,
		  { 100000, 100000 }, { 1, 3 }, { NULL },
		  20000, 0, 0, 0, { 0, 20000 } },
		/* one more: both */
		{ "service-time", NULL, 2, 1, 4, 0,
		  { 100000, 100000 }, { 1, 3 }, { NULL },
		  20000, 0, 0, 0, { 9999, 10001 } },
		/* as told, and so it is */
		{ "service-time", NULL, 3, 4, 8, 0,
		  { 600000, 300000, 200000 }, { 10, 20, 30 }, { NULL },
		  20000, 0, 0, 0, { 3333, 6667, 10000 } },
		/* as told, ended elsewhere */
		{ "service-time", NULL, 3, 4, 8, 2,
		  { 600000, 300000, 200000 }, { 10, 20, 30 }, { NULL },
		  20000, 0, 0, 0, { 3333, 6667, 10000 } },
		/* never without need */
		{ "service-time", NULL, 3, 2, 8, 1,
		  { 100000, 100000, 100000 }, { 0, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 0, 10000, 10000 } },
		/* one I/O at a time: the fast path, the slow ones are tried */
		{ "historical-service-time", NO_WORDS, 3, 1, 1, 0,
		  { 100000, 500000, 1000000 }, { 1, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 19980, 10, 10 } },
		/* deep: what they can do */
		{ "historical-service-time", NO_WORDS, 2, 1, 16, 0,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 15000, 5000 } },
		/* four CPUs */
		{ "historical-service-time", NO_WORDS, 2, 4, 8, 0,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 15000, 5000 } },
		/* ended elsewhere */
		{ "historical-service-time", NO_WORDS, 2, 4, 8, 1,
		  { 100000, 300000 }, { 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 15000, 5000 } },
		/* up to five times as slow is the same */
		{ "historical-service-time", WORDS("512", "5"), 3, 1, 1, 0,
		  { 100000, 500000, 1000000 }, { 1, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 9987, 9987, 26 } },
		/* the fast path becomes slow */
		{ "historical-service-time", NO_WORDS, 2, 1, 1, 0,
		  { 100000, 500000 }, { 1, 1 }, { NULL },
		  20000, 10000, 0, 5000000, { 10011, 9989 } },
		/* the slow path becomes fast */
		{ "historical-service-time", WORDS("512", "1"), 2, 1, 1, 0,
		  { 500000, 5000000 }, { 1, 1 }, { NULL },
		  20000, 10000, 1, 100000, { 11771, 8229 } },
		/* each CPU its path */
		{ "io-affinity", NULL, 4, 4, 2, 1,
		  { 100000, 200000, 300000, 600000 }, { 1, 1, 1, 1 }, { "1", "2", "4", "8" },
		  24000, 0, 0, 0, { 11998, 6000, 4001, 2001 } },
		/* two paths for four CPUs */
		{ "io-affinity", NULL, 2, 4, 2, 0,
		  { 100000, 100000 }, { 1, 1 }, { "9", "6" },
		  20000, 0, 0, 0, { 10000, 10000 } },
		/* in turn from four CPUs */
		{ "round-robin", NULL, 3, 4, 2, 1,
		  { 100000, 200000, 400000 }, { 1, 1, 1 }, { NULL },
		  20000, 0, 0, 0, { 6666, 6667, 6667 } },
	};
	u32 i, path;
	bool wrong = false;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(plans); i++) {
		u32 hits[4] = { 0 };

		simulate(&plans[i], hits);
		print_message("plan %u: %u %u %u %u\n", i, hits[0], hits[1], hits[2],
			      hits[3]);
		for (path = 0; path < 4; path++)
			wrong |= hits[path] != plans[i].hits[path];
	}
	assert_false(wrong);
}

/* --- groups ----------------------------------------------------------------------- */

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
		cmocka_unit_test(test_path_words),
		cmocka_unit_test(test_group_words),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_rr_order),
		cmocka_unit_test(test_rr_distribution),
		cmocka_unit_test(test_rr_cursor_spread),
		cmocka_unit_test(test_rr_cursor_independent),
		cmocka_unit_test(test_rr_shrink),
		cmocka_unit_test(test_rr_shrink_repeat),
		cmocka_unit_test(test_rr_any_cursor),
		cmocka_unit_test(test_ql),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_negative),
		cmocka_unit_test(test_st),
		cmocka_unit_test(test_st_zero),
		cmocka_unit_test(test_st_exact),
		cmocka_unit_test(test_st_huge),
		cmocka_unit_test(test_hst),
		cmocka_unit_test(test_hst_huge),
		cmocka_unit_test(test_hst_stale),
		cmocka_unit_test(test_hst_exact),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_set_changes),
		cmocka_unit_test(test_fold_sums),
		cmocka_unit_test(test_fold_missing),
		cmocka_unit_test(test_average),
		cmocka_unit_test(test_average_backwards),
		cmocka_unit_test(test_service_time),
		cmocka_unit_test(test_stay),
		cmocka_unit_test(test_stay_stream),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_home_failover),
		cmocka_unit_test(test_simulation),
		cmocka_unit_test(test_group_table),
		cmocka_unit_test(test_group_exhaustive),
	};

	return cmocka_run_group_tests_name("path_select", tests, NULL, NULL);
}
