// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line: wrong lines with their exact errors, right lines with what
 * they mean, and generated lines that must survive printing and parsing
 * (rules 2.3, 2.4 and 5.8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "table.h"
#include "uapi/prmpath.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define LINE_LEN	8192
#define MAX_WORDS	1024

/* A line split into words; every allocation ends where its data ends (ASan). */
struct split {
	unsigned int argc;
	char **argv;
	char *copy;
};

static void split_line(struct split *s, const char *line)
{
	char *word, *rest;
	char **all;

	s->copy = strdup(line);
	all = calloc(MAX_WORDS, sizeof(*all));
	assert_non_null(s->copy);
	assert_non_null(all);
	s->argc = 0;
	for (word = strtok_r(s->copy, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		assert_true(s->argc < MAX_WORDS);
		all[s->argc++] = strdup(word);
	}
	s->argv = malloc(s->argc * sizeof(*all));
	assert_true(s->argv || !s->argc);
	if (s->argc)
		memcpy(s->argv, all, s->argc * sizeof(*all));
	free(all);
}

static void split_free(struct split *s)
{
	while (s->argc)
		free(s->argv[--s->argc]);
	free(s->argv);
	free(s->copy);
}

/* What the target prints for dmsetup table, here from what was parsed. */
static void print_line(const struct prm_table *t, char *line)
{
	char *end = line + LINE_LEN;
	u32 i, j;

	line += prm_features_print(&t->features, t->features.flags &
				   PRM_F_QUEUE_IF_NO_PATH, line, end - line);
	if (t->hw_handler) {
		line += snprintf(line, end - line, " %u %s", 1 + t->hw_argc,
				 t->hw_handler);
		for (i = 0; i < t->hw_argc; i++)
			line += snprintf(line, end - line, " %s", t->hw_argv[i]);
	} else {
		line += snprintf(line, end - line, " 0");
	}
	line += snprintf(line, end - line, " %u %u", t->groups, t->initial_group);
	for (i = 0; i < t->groups; i++) {
		const struct prm_group_line *group = &t->group[i];
		const struct prm_path_line *path = &t->path[group->first_path];

		line += snprintf(line, end - line, " %s 0 %u %u",
				 group->selector->name, group->paths,
				 path->has_repeat);
		for (j = 0; j < group->paths; j++, path++) {
			line += snprintf(line, end - line, " %s", path->name);
			if (path->has_repeat)
				line += snprintf(line, end - line, " %u",
						 path->slot.repeat);
		}
	}
	assert_true(line < end);
}

static void assert_same_table(const struct prm_table *a,
			      const struct prm_table *b)
{
	const struct prm_features *f = &a->features, *g = &b->features;
	u32 i;

	assert_int_equal(f->key, g->key);
	assert_int_equal(f->type, g->type);
	assert_int_equal(f->aptpl, g->aptpl);
	assert_int_equal(f->open, g->open);
	assert_int_equal(f->open_ro, g->open_ro);
	assert_int_equal(f->timeout_s, g->timeout_s);
	assert_int_equal(f->poll_s, g->poll_s);
	assert_int_equal(f->width, g->width);
	assert_int_equal(f->path_check_s, g->path_check_s);
	assert_int_equal(f->flags, g->flags);
	assert_int_equal(f->given, g->given);

	assert_int_equal(!a->hw_handler, !b->hw_handler);
	if (a->hw_handler)
		assert_string_equal(a->hw_handler, b->hw_handler);
	assert_int_equal(a->hw_argc, b->hw_argc);
	for (i = 0; i < a->hw_argc; i++)
		assert_string_equal(a->hw_argv[i], b->hw_argv[i]);

	assert_int_equal(a->initial_group, b->initial_group);
	assert_int_equal(a->groups, b->groups);
	assert_int_equal(a->paths, b->paths);
	for (i = 0; i < a->groups; i++) {
		assert_ptr_equal(a->group[i].selector, b->group[i].selector);
		assert_int_equal(a->group[i].first_path, b->group[i].first_path);
		assert_int_equal(a->group[i].paths, b->group[i].paths);
	}
	for (i = 0; i < a->paths; i++) {
		assert_string_equal(a->path[i].name, b->path[i].name);
		assert_int_equal(a->path[i].group, b->path[i].group);
		assert_int_equal(a->path[i].slot.path, b->path[i].slot.path);
		assert_int_equal(a->path[i].slot.repeat, b->path[i].slot.repeat);
		assert_int_equal(a->path[i].has_repeat, b->path[i].has_repeat);
	}
}

/* What must hold of any table that was accepted, whatever the line. */
static void assert_sound(const struct prm_table *t)
{
	const struct prm_features *f = &t->features;
	u32 i, j, paths = 0;

	assert_int_equal(prm_options_check(f->open), 0);
	assert_int_equal(prm_options_check(f->open_ro), 0);
	assert_true(f->timeout_s <= 110);
	assert_true(f->poll_s <= 3600);
	assert_true(f->path_check_s <= 3600);
	assert_true(f->width <= 64);
	assert_true(f->type <= 8 && 0x1ea >> f->type & 1);
	if (f->type < 5)
		assert_true(t->paths <= 1);

	assert_true(t->groups <= PRM_MAX_GROUPS);
	assert_true(t->paths <= PRM_MAX_PATHS);
	assert_true(t->initial_group <= t->groups);
	assert_int_equal(!t->initial_group, !t->groups);
	for (i = 0; i < t->groups; i++) {
		assert_non_null(t->group[i].selector);
		assert_int_equal(t->group[i].first_path, paths);
		assert_true(t->group[i].paths > 0);
		for (j = 0; j < t->group[i].paths; j++)
			assert_int_equal(t->path[paths + j].group, i);
		paths += t->group[i].paths;
	}
	assert_int_equal(paths, t->paths);
	for (i = 0; i < t->paths; i++) {
		assert_int_equal(t->path[i].slot.path, i);
		assert_true(t->path[i].slot.repeat > 0);
		for (j = 0; j < i; j++)
			assert_string_not_equal(t->path[i].name, t->path[j].name);
	}
}

static int parse_line(const char *line, struct prm_table *t, struct split *s,
		      char error[PRM_ERROR_LEN])
{
	int r;

	split_line(s, line);
	memset(error, '#', PRM_ERROR_LEN);
	r = prm_table_parse(t, s->argc, s->argv, error);
	assert_non_null(memchr(error, '\0', PRM_ERROR_LEN));
	return r;
}

/* Parse, print, parse again: the same table and the same print. */
static void check_round_trip(const char *line, struct prm_table *t,
			     struct split *s)
{
	char printed[LINE_LEN], again[LINE_LEN], error[PRM_ERROR_LEN];
	struct prm_table *u = malloc(sizeof(*u));
	struct split v;

	assert_non_null(u);
	if (parse_line(line, t, s, error))
		fail_msg("'%s': %s", line, error);
	assert_string_equal(error, "");
	assert_sound(t);

	print_line(t, printed);
	if (parse_line(printed, u, &v, error))
		fail_msg("'%s' printed as '%s': %s", line, printed, error);
	assert_sound(u);
	assert_same_table(t, u);
	print_line(u, again);
	assert_string_equal(printed, again);
	split_free(&v);
	free(u);
}

/* A good rest of the line, for what is wrong before it. */
#define PATHS	" 0 1 1 round-robin 0 2 1 8:16 1 8:32 1"
#define ONE	" 0 1 1 round-robin 0 1 1 8:16 1"

/* Ends of errors. */
#define NO_FEATURE	" is no feature, expected queue_if_no_path retain_attached_hw_handler path_check pr_key pr_type pr_open pr_open_ro pr_timeout pr_poll pr_shared pr_register pr_width pr_twin pr_aptpl pr_abort"
#define COUNT_ALL	", expected a count of all their words"
#define NO_KEY		"' is no key, expected a number of 64 bits other than 0, such as 0xabc1"
#define NO_TYPE		"' is no reservation type, expected 5, 6, 7, 8 (1 and 3 with one path)"
#define NO_OPTION	"' is no open option, expected default, bypass, or some of forced,retain,no_reserve,single"

static const struct {
	const char *line;
	const char *error;
} wrong_lines[] = {
	/* the features as a whole */
	{ "", "number of features: the line ends here, expected a number" },
	{ "x" PATHS, "number of features: 'x' is no number, expected one" },
	{ "-1" PATHS, "number of features: '-1' is no number, expected one" },
	{ "12" PATHS, "number of features: '12' is more than the line has, expected at most 11" },
	{ "4294967296" PATHS,
	  "number of features: '4294967296' is more than the line has, expected at most 11" },
	{ "18446744073709551617" PATHS,
	  "number of features: '18446744073709551617' is no number, expected one" },
	{ "1 pr_key 0xabc1" PATHS,
	  "pr_key: the features end here, expected its value" },
	{ "2 pr_key 0xabc1 pr_poll 5" PATHS,
	  "number of features: '2' leaves out 'pr_poll'" COUNT_ALL },
	{ "0 queue_if_no_path" PATHS,
	  "number of features: '0' leaves out 'queue_if_no_path'" COUNT_ALL },
	{ "3 pr_key 0xabc1" PATHS,
	  "features: '0'" NO_FEATURE },
	{ "1 pr_keys" PATHS,
	  "features: 'pr_keys'" NO_FEATURE },
	{ "1 a_word_of_which_only_the_start_matters_in_the_error" PATHS,
	  "features: 'a_word_of_which_only_the_start_m'" NO_FEATURE },
	{ "2 queue_if_no_path queue_if_no_path" PATHS,
	  "queue_if_no_path: given twice, expected it once" },
	{ "2 retain_attached_hw_handler Retain_Attached_HW_Handler" PATHS,
	  "retain_attached_hw_handler: given twice, expected it once" },
	{ "4 pr_key 0xabc1 pr_key 0xabc1" PATHS,
	  "pr_key: given twice, expected it once" },
	{ "6 pr_key 1 pr_poll 5 pr_poll 6" PATHS,
	  "pr_poll: given twice, expected it once" },

	/* pr_key, and words that need it */
	{ "2 pr_key 0" PATHS,
	  "pr_key: '0" NO_KEY },
	{ "2 pr_key 0x0" PATHS,
	  "pr_key: '0x0" NO_KEY },
	{ "2 pr_key abc1" PATHS,
	  "pr_key: 'abc1" NO_KEY },
	{ "2 pr_key 0x10000000000000000" PATHS,
	  "pr_key: '0x10000000000000000" NO_KEY },
	{ "2 pr_key 0xabc1:aptpl" PATHS,
	  "pr_key: '0xabc1:aptpl" NO_KEY },
	{ "2 pr_type 5" PATHS, "pr_type without pr_key, expected pr_key and a key" },
	{ "2 pr_open forced" PATHS, "pr_open without pr_key, expected pr_key and a key" },
	{ "2 pr_open_ro default" PATHS,
	  "pr_open_ro without pr_key, expected pr_key and a key" },
	{ "2 pr_timeout 30" PATHS, "pr_timeout without pr_key, expected pr_key and a key" },
	{ "2 pr_poll 0" PATHS, "pr_poll without pr_key, expected pr_key and a key" },
	{ "1 pr_shared" PATHS, "pr_shared without pr_key, expected pr_key and a key" },
	{ "2 pr_register configure" PATHS,
	  "pr_register without pr_key, expected pr_key and a key" },
	{ "2 pr_width 0" PATHS, "pr_width without pr_key, expected pr_key and a key" },
	{ "2 pr_twin fail" PATHS, "pr_twin without pr_key, expected pr_key and a key" },
	{ "2 pr_aptpl 1" PATHS, "pr_aptpl without pr_key, expected pr_key and a key" },
	{ "2 pr_abort required" PATHS, "pr_abort without pr_key, expected pr_key and a key" },

	/* pr_type */
	{ "4 pr_key 1 pr_type 4" PATHS,
	  "pr_type: '4" NO_TYPE },
	{ "4 pr_key 1 pr_type 0" PATHS,
	  "pr_type: '0" NO_TYPE },
	{ "4 pr_key 1 pr_type 9" PATHS,
	  "pr_type: '9" NO_TYPE },
	{ "4 pr_key 1 pr_type 261" PATHS,
	  "pr_type: '261" NO_TYPE },
	{ "4 pr_key 1 pr_type write-exclusive-registrants" PATHS,
	  "pr_type: 'write-exclusive-registrants" NO_TYPE },
	{ "4 pr_key 1 pr_type unknown" PATHS,
	  "pr_type: 'unknown" NO_TYPE },
	{ "4 pr_key 1 pr_type 1" PATHS,
	  "pr_type: '1' is for one path and the line has 2, expected 5, 6, 7 or 8" },
	{ "4 pr_key 1 pr_type exclusive-access" PATHS,
	  "pr_type: '3' is for one path and the line has 2, expected 5, 6, 7 or 8" },
	{ "4 pr_key 1 pr_type 3 0 2 1 round-robin 0 1 0 8:16 round-robin 0 1 0 8:32",
	  "pr_type: '3' is for one path and the line has 2, expected 5, 6, 7 or 8" },

	/* options */
	{ "4 pr_key 1 pr_open force" PATHS,
	  "pr_open: 'force" NO_OPTION },
	{ "4 pr_key 1 pr_open forced,,retain" PATHS,
	  "pr_open: '" NO_OPTION },
	{ "4 pr_key 1 pr_open_ro single," PATHS,
	  "pr_open_ro: '" NO_OPTION },
	{ "4 pr_key 1 pr_open default,retain" PATHS,
	  "pr_open: 'default" NO_OPTION },
	{ "4 pr_key 1 pr_open retain,single,retain" PATHS,
	  "pr_open: 'retain' is given twice, expected it once" },
	{ "4 pr_key 1 pr_open bypass,retain" PATHS,
	  "pr_open: 'bypass,retain' is contradictory, expected bypass alone" },

	/* numbers */
	{ "4 pr_key 1 pr_timeout 0" PATHS,
	  "pr_timeout: '0' is out of range, expected 1 to 110" },
	{ "4 pr_key 1 pr_timeout 111" PATHS,
	  "pr_timeout: '111' is out of range, expected 1 to 110" },
	{ "4 pr_key 1 pr_timeout 30s" PATHS,
	  "pr_timeout: '30s' is no number, expected 1 to 110" },
	{ "4 pr_key 1 pr_poll 3601" PATHS,
	  "pr_poll: '3601' is out of range, expected 0 to 3600" },
	{ "4 pr_key 1 pr_poll 4294967297" PATHS,
	  "pr_poll: '4294967297' is out of range, expected 0 to 3600" },
	{ "4 pr_key 1 pr_width 65" PATHS,
	  "pr_width: '65' is out of range, expected 0 to 64" },
	{ "4 pr_key 1 pr_aptpl 2" PATHS,
	  "pr_aptpl: '2' is out of range, expected 0 to 1" },
	{ "4 pr_key 1 pr_aptpl yes" PATHS,
	  "pr_aptpl: 'yes' is no number, expected 0 to 1" },
	{ "2 path_check -1" PATHS,
	  "path_check: '-1' is no number, expected 0 to 3600" },
	{ "2 path_check 3601" PATHS,
	  "path_check: '3601' is out of range, expected 0 to 3600" },

	/* choices */
	{ "4 pr_key 1 pr_register close" PATHS,
	  "pr_register: 'close' is no choice, expected configure or open" },
	{ "4 pr_key 1 pr_twin maybe" PATHS,
	  "pr_twin: 'maybe' is no choice, expected fail or trust" },
	{ "4 pr_key 1 pr_abort no" PATHS,
	  "pr_abort: 'no' is no choice, expected required or optional" },

	/* hardware handler */
	{ "0", "number of hardware handler words: the line ends here, expected a number" },
	{ "0 alua 1 1 round-robin 0 1 0 8:16",
	  "number of hardware handler words: 'alua' is no number, expected one" },
	{ "0 3 alua 1",
	  "number of hardware handler words: '3' is more than the line has, expected at most 2" },

	/* groups */
	{ "0 0", "number of groups: the line ends here, expected 0 to 64" },
	{ "0 0 one", "number of groups: 'one' is no number, expected 0 to 64" },
	{ "0 0 65 1 round-robin 0 1 0 8:16",
	  "number of groups: '65' is out of range, expected 0 to 64" },
	{ "0 1 1 1 round-robin 0 1 0 8:16",
	  "initial group: 'round-robin' is no number, expected 1 to 1" },
	{ "0 0 1", "initial group: the line ends here, expected 1 to 1" },
	{ "0 0 0", "initial group: the line ends here, expected 0 to 1" },
	{ "0 0 0 2", "initial group: '2' is out of range, expected 0 to 1" },
	{ "0 0 1 0 round-robin 0 1 0 8:16",
	  "initial group: '0' is out of range, expected 1 to 1" },
	{ "0 0 2 3 round-robin 0 1 0 8:16 round-robin 0 1 0 8:32",
	  "initial group: '3' is out of range, expected 1 to 2" },
	{ "0 0 1 1", "group 1: the line ends here, expected a path selector" },
	{ "0 0 1 1 service-time 0 1 1 8:16 1",
	  "group 1: 'service-time' is no path selector, expected round-robin" },
	{ "0 0 1 1 round-robin",
	  "group 1: number of selector words: the line ends here, expected a number" },
	{ "0 0 1 1 round-robin 8:16",
	  "group 1: number of selector words: '8:16' is no number, expected one" },
	{ "0 0 1 1 round-robin 9 1 0 8:16",
	  "group 1: number of selector words: '9' is more than the line has, expected at most 3" },
	{ "0 0 1 1 round-robin 1 1 1 0 8:16",
	  "group 1: number of selector words: '1' is too many, expected 0" },
	{ "0 0 1 1 round-robin 0",
	  "group 1: number of paths: the line ends here, expected 1 to 64" },
	{ "0 0 1 1 round-robin 0 0 0",
	  "group 1: number of paths: '0' is out of range, expected 1 to 64" },
	{ "0 0 1 1 round-robin 0 65 0 8:16",
	  "group 1: number of paths: '65' is out of range, expected 1 to 64" },
	{ "0 0 1 1 round-robin 0 1",
	  "group 1: number of path words: the line ends here, expected 0 to 1" },
	{ "0 0 1 1 round-robin 0 1 2 8:16 1 1",
	  "group 1: number of path words: '2' is out of range, expected 0 to 1" },
	{ "0 0 1 1 round-robin 0 1 0",
	  "group 1: paths: the line has 0 more words, expected 1" },
	{ "0 0 1 1 round-robin 0 2 1 8:16 1 8:32",
	  "group 1: paths: the line has 3 more words, expected 4" },
	{ "0 0 2 1 round-robin 0 1 1 8:16 1",
	  "group 2: the line ends here, expected a path selector" },
	{ "0 0 2 1 round-robin 0 1 1 8:16 1 1 round-robin",
	  "group 2: '1' is no path selector, expected round-robin" },

	/* paths */
	{ "0 0 1 1 round-robin 0 2 0 8:16 8:16",
	  "group 1: path '8:16': already in group 1, expected every path once" },
	{ "0 0 2 1 round-robin 0 1 0 8:16 round-robin 0 2 0 8:32 8:16",
	  "group 2: path '8:16': already in group 1, expected every path once" },
	{ "0 0 1 1 round-robin 0 1 1 8:16 0",
	  "group 1: path '8:16': '0' is wrong, expected a repeat count of 1 to 4294967295" },
	{ "0 0 1 1 round-robin 0 2 1 8:16 1 8:32 many",
	  "group 1: path '8:32': 'many' is wrong, expected a repeat count of 1 to 4294967295" },

	/* the end */
	{ "0" ONE " 1",
	  "end of the line: '1' is left over, expected nothing (number of groups: 1)" },
	{ "0 0 0 0 round-robin 0 1 0 8:16",
	  "end of the line: 'round-robin' is left over, expected nothing (number of groups: 0)" },
	{ "0 0 1 1 round-robin 0 1 0 8:16 round-robin 0 1 0 8:32",
	  "end of the line: 'round-robin' is left over, expected nothing (number of groups: 1)" },
};

static void test_wrong_lines(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char error[PRM_ERROR_LEN];
	unsigned int bad = 0;
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(wrong_lines); i++) {
		int r = parse_line(wrong_lines[i].line, t, &s, error);

		if (r != -EINVAL || strcmp(error, wrong_lines[i].error)) {
			print_error("line:     %s\nreturned: %d %s\nexpected: %s\n",
				    wrong_lines[i].line, r, error,
				    wrong_lines[i].error);
			bad++;
		}
		split_free(&s);
	}
	free(t);
	assert_int_equal(bad, 0);
}

/* Words as long as a page do not push what was expected out of the error. */
static void test_long_words(void **state)
{
	static const char * const formats[] = {
		"%s 0 0 0",
		"1 %s 0 0 0",
		"2 pr_key %s 0 0 0",
		"4 pr_key 1 pr_type %s 0 0 0",
		"4 pr_key 1 pr_open %s 0 0 0",
		"4 pr_key 1 pr_open forced,%s 0 0 0",
		"4 pr_key 1 pr_twin %s 0 0 0",
		"4 pr_key 1 pr_poll %s 0 0 0",
		"0 %s",
		"0 0 %s",
		"0 0 0 %s",
		"0 0 0 0 %s",
		"0 0 1 1 %s",
		"0 0 1 1 round-robin %s",
		"0 0 1 1 round-robin 0 1 1 8:16 %s",
		"0 0 1 1 round-robin 0 1 1 %s 0",
	};
	struct prm_table *t = malloc(sizeof(*t));
	char word[4096], line[LINE_LEN], error[PRM_ERROR_LEN];
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		/* put the word in by hand: the format is data here */
		const char *at = strstr(formats[i], "%s");

		snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - formats[i]),
			 formats[i], word, at + 2);
		assert_int_equal(parse_line(line, t, &s, error), -EINVAL);
		assert_non_null(strstr(error, "'xxxxxxxx"));
		assert_non_null(strstr(error, "expected "));
		assert_true(strlen(error) < PRM_ERROR_LEN - 1);
		split_free(&s);
	}
	free(t);
}

static void test_defaults(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	struct split s;

	(void)state;
	assert_non_null(t);
	check_round_trip("0" PATHS, t, &s);
	assert_int_equal(t->features.key, 0);
	assert_int_equal(t->features.type, PR_TYPE_WRITE_EXCLUSIVE_RO);
	assert_true(t->features.aptpl);
	assert_int_equal(t->features.open, 0);
	assert_int_equal(t->features.open_ro, PRM_OPEN_BYPASS);
	assert_int_equal(t->features.timeout_s, 0);
	assert_int_equal(t->features.poll_s, 5);
	assert_int_equal(t->features.width, 0);
	assert_int_equal(t->features.path_check_s, 0);
	assert_int_equal(t->features.flags, 0);
	assert_int_equal(t->features.given, 0);
	assert_null(t->hw_handler);
	assert_int_equal(t->groups, 1);
	assert_int_equal(t->initial_group, 1);
	assert_int_equal(t->paths, 2);
	assert_string_equal(t->path[0].name, "8:16");
	assert_string_equal(t->path[1].name, "8:32");
	assert_true(t->path[0].has_repeat);
	split_free(&s);
	free(t);
}

static void join(char *line, const char * const *part, size_t count)
{
	*line = '\0';
	while (count--) {
		strcat(line, *part++);
		if (count)
			strcat(line, " ");
	}
}

/* Every word at once, with none at its default. */
static void test_every_word(void **state)
{
	static const char * const words[] = {
		"27 pr_abort optional pr_aptpl 0 pr_twin trust pr_width 4",
		"pr_register open pr_shared pr_poll 0 pr_timeout 110",
		"pr_open_ro default pr_open single,forced,retain",
		"pr_type exclusive-access-all-registrants",
		"pr_key 0xFFFFFFFFFFFFFFFF path_check 3600",
		"retain_attached_hw_handler QUEUE_IF_NO_PATH",
		"3 alua --opt 7 2 2",
		"round-robin 0 1 0 /dev/sdb round-robin 0 2 1 8:32 7 8:48 0x10",
	};
	static const char * const printed_words[] = {
		"27 queue_if_no_path retain_attached_hw_handler path_check 3600",
		"pr_key 0xffffffffffffffff pr_type 8",
		"pr_open forced,retain,single pr_open_ro default",
		"pr_timeout 110 pr_poll 0 pr_shared pr_register open pr_width 4",
		"pr_twin trust pr_aptpl 0 pr_abort optional",
		"3 alua --opt 7 2 2",
		"round-robin 0 1 0 /dev/sdb round-robin 0 2 1 8:32 7 8:48 16",
	};
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], printed[LINE_LEN], buf[LINE_LEN];
	struct split s;

	(void)state;
	assert_non_null(t);
	join(line, words, ARRAY_SIZE(words));
	join(printed, printed_words, ARRAY_SIZE(printed_words));
	check_round_trip(line, t, &s);
	assert_int_equal(t->features.key, UINT64_MAX);
	assert_int_equal(t->features.type, PR_TYPE_EXCLUSIVE_ACCESS_AR);
	assert_false(t->features.aptpl);
	assert_int_equal(t->features.open, PRM_OPEN_FORCED | PRM_OPEN_RETAIN |
			 PRM_OPEN_SINGLE);
	assert_int_equal(t->features.open_ro, 0);
	assert_int_equal(t->features.timeout_s, 110);
	assert_int_equal(t->features.poll_s, 0);
	assert_int_equal(t->features.width, 4);
	assert_int_equal(t->features.path_check_s, 3600);
	assert_int_equal(t->features.flags, PRM_F_QUEUE_IF_NO_PATH |
			 PRM_F_SHARED | PRM_F_REGISTER_AT_OPEN |
			 PRM_F_TWIN_TRUST | PRM_F_ABORT_OPTIONAL);
	assert_string_equal(t->hw_handler, "alua");
	assert_int_equal(t->hw_argc, 2);
	assert_string_equal(t->hw_argv[0], "--opt");
	assert_string_equal(t->hw_argv[1], "7");
	assert_int_equal(t->initial_group, 2);
	assert_int_equal(t->group[1].first_path, 1);
	assert_int_equal(t->path[0].slot.repeat, 1);
	assert_false(t->path[0].has_repeat);
	assert_int_equal(t->path[1].slot.repeat, 7);
	assert_int_equal(t->path[2].slot.repeat, 16);
	print_line(t, buf);
	assert_string_equal(buf, printed);
	split_free(&s);
	free(t);
}

/* Lines that stand at an edge, all of them right. */
static void test_right_lines(void **state)
{
	static const char * const lines[] = {
		"0 0 0 0",
		"0 0 0 1",
		"1 queue_if_no_path 0 0 0",
		"4 pr_key 1 pr_type 1 0 0 0",
		"4 pr_key 1 pr_type 1" ONE,
		"4 pr_type write-exclusive pr_key 1" ONE,
		"4 pr_key 1 pr_type exclusive-access" ONE,
		"4 pr_key 1 pr_type 7" PATHS,
		"4 pr_key 1 pr_register configure" PATHS,
		"4 pr_key 1 pr_twin fail" PATHS,
		"4 pr_key 1 pr_abort required" PATHS,
		"4 pr_key 1 pr_aptpl 1" PATHS,
		"4 pr_key 1 pr_timeout 1" PATHS,
		"4 pr_key 1 pr_poll 3600" PATHS,
		"4 pr_key 1 pr_width 64" PATHS,
		"4 pr_key 1 pr_open bypass" PATHS,
		"4 pr_key 1 pr_open_ro bypass" PATHS,
		"4 pr_key 1 pr_open forced,retain,no_reserve,single" PATHS,
		"2 path_check 0" PATHS,
		"0 1 alua 1 1 round-robin 0 1 0 8:16",
		/* the printed and the real name of one path are two words */
		"0 0 1 1 round-robin 0 2 0 8:16 /dev/sdb",
	};
	struct prm_table *t = malloc(sizeof(*t));
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		check_round_trip(lines[i], t, &s);
		split_free(&s);
	}
	free(t);
}

static void test_type_names(void **state)
{
	static const u8 types[] = { 1, 3, 5, 6, 7, 8 };
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN];
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(line, sizeof(line), "4 pr_key 1 pr_type %s" ONE,
			 pr_type_name(types[i]));
		check_round_trip(line, t, &s);
		assert_int_equal(t->features.type, types[i]);
		split_free(&s);
	}
	free(t);
}

/* sprintf at the end of a text; returns the new end. */
static char *append(char *end, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = vsprintf(end, fmt, args);
	va_end(args);
	assert_true(r >= 0);
	return end + r;
}

/* @groups groups of @each paths, with a repeat count each or without. */
static void make_groups(char *line, u32 groups, u32 each, bool repeat)
{
	u32 i, j;

	line = append(line, "0 0 %u %u", groups, groups);
	for (i = 0; i < groups; i++) {
		line = append(line, " round-robin 0 %u %u", each, repeat);
		for (j = 0; j < each; j++)
			line = append(line, repeat ? " 65:%u 3" : " 65:%u",
				      i * each + j);
	}
}

static void test_limits(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], error[PRM_ERROR_LEN];
	struct split s;

	(void)state;
	assert_non_null(t);
	make_groups(line, 1, PRM_MAX_PATHS, true);
	check_round_trip(line, t, &s);
	assert_int_equal(t->paths, PRM_MAX_PATHS);
	split_free(&s);

	make_groups(line, PRM_MAX_GROUPS, 1, false);
	check_round_trip(line, t, &s);
	assert_int_equal(t->groups, PRM_MAX_GROUPS);
	assert_int_equal(t->initial_group, PRM_MAX_GROUPS);
	split_free(&s);

	make_groups(line, 5, 13, true);
	assert_int_equal(parse_line(line, t, &s, error), -EINVAL);
	assert_string_equal(error,
			    "group 5: number of paths: '13' makes 65 in all, expected at most 64");
	split_free(&s);
	free(t);
}

/* No argv at all is an empty line. */
static void test_no_words(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char error[PRM_ERROR_LEN];

	(void)state;
	assert_non_null(t);
	assert_int_equal(prm_table_parse(t, 0, NULL, error), -EINVAL);
	free(t);
}

static void test_options(void **state)
{
	char words[64], error[PRM_ERROR_LEN];
	u32 bits, back;
	int len;

	(void)state;
	for (bits = 0; bits < 128; bits++) {
		bool valid = bits <= PRM_OPEN_ALL &&
			     (!(bits & PRM_OPEN_BYPASS) || bits == PRM_OPEN_BYPASS);

		assert_int_equal(prm_options_check(bits), valid ? 0 : -EINVAL);
		if (bits > PRM_OPEN_ALL)
			continue;
		len = prm_options_print(bits, words, sizeof(words));
		assert_int_equal(len, strlen(words));
		back = 0xdead;
		assert_int_equal(prm_options_parse(words, &back, error),
				 valid ? 0 : -EINVAL);
		assert_int_equal(back, valid ? bits : 0xdead);
		if (valid)
			assert_string_equal(error, "");
	}
	assert_int_equal(prm_options_check(1U << 31), -EINVAL);

	prm_options_print(0, words, sizeof(words));
	assert_string_equal(words, "default");
	prm_options_print(PRM_OPEN_ALL & ~PRM_OPEN_BYPASS, words, sizeof(words));
	assert_string_equal(words, "forced,retain,no_reserve,single");
	assert_int_equal(prm_options_parse("single,retain", &bits, error), 0);
	assert_int_equal(bits, PRM_OPEN_RETAIN | PRM_OPEN_SINGLE);

	assert_int_equal(prm_options_parse("", &bits, error), -EINVAL);
	assert_string_equal(error, "'" NO_OPTION);
	assert_int_equal(prm_options_parse("Forced", &bits, error), -EINVAL);
	assert_int_equal(prm_options_parse("forced retain", &bits, error), -EINVAL);
	assert_int_equal(prm_options_parse(",", &bits, error), -EINVAL);
	assert_int_equal(prm_options_parse("bypass,bypass", &bits, error), -EINVAL);
	assert_string_equal(error, "'bypass' is given twice, expected it once");
}

/* queue_if_no_path follows the argument, whatever the line had. */
static void test_print_queue(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char error[PRM_ERROR_LEN], buf[256];
	struct split s;

	(void)state;
	assert_non_null(t);
	assert_int_equal(parse_line("3 pr_key 16 queue_if_no_path" PATHS, t, &s,
				    error), 0);
	prm_features_print(&t->features, false, buf, sizeof(buf));
	assert_string_equal(buf, "2 pr_key 0x10");
	prm_features_print(&t->features, true, buf, sizeof(buf));
	assert_string_equal(buf, "3 queue_if_no_path pr_key 0x10");
	split_free(&s);

	assert_int_equal(parse_line("0" PATHS, t, &s, error), 0);
	prm_features_print(&t->features, false, buf, sizeof(buf));
	assert_string_equal(buf, "0");
	prm_features_print(&t->features, true, buf, sizeof(buf));
	assert_string_equal(buf, "1 queue_if_no_path");
	split_free(&s);
	free(t);
}

/* A short buffer: nothing beyond it, an end mark, and the full length back. */
static void test_print_short(void **state)
{
	static const char full[] = "7 queue_if_no_path pr_key 0x10 pr_open forced,retain pr_poll 7";
	struct prm_table *t = malloc(sizeof(*t));
	char error[PRM_ERROR_LEN];
	struct split s;
	size_t size;

	(void)state;
	assert_non_null(t);
	assert_int_equal(parse_line("6 pr_key 16 pr_poll 7 pr_open retain,forced" PATHS,
				    t, &s, error), 0);
	for (size = 0; size <= sizeof(full); size++) {
		char *buf = malloc(size);

		assert_true(buf || !size);
		assert_int_equal(prm_features_print(&t->features, true, buf, size),
				 strlen(full));
		if (size) {
			assert_int_equal(strlen(buf), size < sizeof(full) ?
					 size - 1 : strlen(full));
			assert_memory_equal(buf, full, strlen(buf));
		}
		free(buf);

		buf = malloc(size);
		assert_true(buf || !size);
		assert_int_equal(prm_options_print(PRM_OPEN_FORCED | PRM_OPEN_SINGLE,
						   buf, size),
				 strlen("forced,single"));
		if (size)
			assert_memory_equal(buf, "forced,single", strlen(buf));
		free(buf);
	}
	assert_int_equal(prm_features_print(&t->features, true, NULL, 0),
			 strlen(full));
	split_free(&s);
	free(t);
}

/* Generated lines */

static u32 seed;

static u32 pick(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (u32)((u64)seed * below >> 32);
}

struct generated {
	char feature[16][64];
	u32 features;
	u32 feature_words;
	struct prm_features want;
};

static void add_feature(struct generated *g, u32 words, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = vsnprintf(g->feature[g->features], sizeof(g->feature[0]), fmt, args);
	va_end(args);
	assert_true(r > 0 && (size_t)r < sizeof(g->feature[0]));
	g->features++;
	g->feature_words += words;
}

/* A number now decimal, now hex. */
static void add_number(struct generated *g, const char *name, u32 low,
		       u32 high, u32 *field)
{
	if (!pick(2))
		return;
	*field = low + pick(high - low + 1);
	add_feature(g, 2, pick(2) ? "%s %u" : "%s 0x%x", name, *field);
}

static void add_choice(struct generated *g, const char *name, const char *clear,
		       const char *set, u32 flag)
{
	u32 value = pick(2);

	if (!pick(2))
		return;
	if (value)
		g->want.flags |= flag;
	add_feature(g, 2, "%s %s", name, value ? set : clear);
}

static void add_options(struct generated *g, const char *name, u32 *field)
{
	static const char * const names[] = {
		"single", "no_reserve", "forced", "retain",
	};
	static const u32 bits[] = {
		PRM_OPEN_SINGLE, PRM_OPEN_NO_RESERVE, PRM_OPEN_FORCED,
		PRM_OPEN_RETAIN,
	};
	char words[64] = "";
	u32 i;

	if (!pick(2))
		return;
	*field = 0;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!pick(2))
			continue;
		*field |= bits[i];
		if (*words)
			strcat(words, ",");
		strcat(words, names[i]);
	}
	if (!*words && pick(2)) {
		*field = PRM_OPEN_BYPASS;
		strcat(words, "bypass");
	}
	add_feature(g, 2, "%s %s", name, *words ? words : "default");
}

static void generate_features(struct generated *g, bool one_path)
{
	static const u8 types[] = { 5, 6, 7, 8, 1, 3 };
	struct prm_features *f = &g->want;
	u32 i, j;

	memset(g, 0, sizeof(*g));
	f->type = 5;
	f->aptpl = true;
	f->open_ro = PRM_OPEN_BYPASS;
	f->poll_s = 5;

	if (pick(2)) {
		f->flags |= PRM_F_QUEUE_IF_NO_PATH;
		add_feature(g, 1, "queue_if_no_path");
	}
	if (pick(2))
		add_feature(g, 1, "retain_attached_hw_handler");
	add_number(g, "path_check", 0, 3600, &f->path_check_s);
	if (pick(4)) {
		f->key = 1 + ((u64)pick(UINT32_MAX) << pick(33));
		add_feature(g, 2, pick(2) ? "pr_key 0x%llx" : "pr_key %llu",
			    (unsigned long long)f->key);
		if (pick(2)) {
			f->type = types[pick(one_path ? 6 : 4)];
			if (pick(2))
				add_feature(g, 2, "pr_type %u", f->type);
			else
				add_feature(g, 2, "pr_type %s",
					    pr_type_name(f->type));
		}
		add_options(g, "pr_open", &f->open);
		add_options(g, "pr_open_ro", &f->open_ro);
		add_number(g, "pr_timeout", 1, 110, &f->timeout_s);
		add_number(g, "pr_poll", 0, 3600, &f->poll_s);
		add_number(g, "pr_width", 0, 64, &f->width);
		if (pick(2)) {
			f->flags |= PRM_F_SHARED;
			add_feature(g, 1, "pr_shared");
		}
		add_choice(g, "pr_register", "configure", "open",
			   PRM_F_REGISTER_AT_OPEN);
		add_choice(g, "pr_twin", "fail", "trust", PRM_F_TWIN_TRUST);
		add_choice(g, "pr_abort", "required", "optional",
			   PRM_F_ABORT_OPTIONAL);
		if (pick(2)) {
			f->aptpl = pick(2);
			add_feature(g, 2, "pr_aptpl %u", f->aptpl);
		}
	}

	/* the order is free */
	for (i = g->features; i > 1; i--) {
		char swap[sizeof(g->feature[0])];

		j = pick(i);
		memcpy(swap, g->feature[j], sizeof(swap));
		memcpy(g->feature[j], g->feature[i - 1], sizeof(swap));
		memcpy(g->feature[i - 1], swap, sizeof(swap));
	}
}

/* A right line, and the features that it should come out as. */
static void generate_line(char *line, struct prm_features *want, u32 *paths)
{
	static const char * const handlers[] = { "0", "1 alua", "3 rdac a 1" };
	u32 groups = pick(5), total = 0, i, j;
	char tail[LINE_LEN], *end = tail;
	struct generated g;

	*end = '\0';
	for (i = 0; i < groups; i++) {
		u32 count = 1 + pick(pick(3) ? 3 : PRM_MAX_PATHS / 4);
		u32 repeat = pick(2);

		end = append(end, " round-robin 0 %u %u", count, repeat);
		for (j = 0; j < count; j++) {
			end = append(end, pick(2) ? " 8:%u" : " /dev/sd%u",
				     total++);
			if (repeat)
				end = append(end, " %u", 1 + pick(1000));
		}
	}
	generate_features(&g, total <= 1);

	line = append(line, "%u", g.feature_words);
	for (i = 0; i < g.features; i++)
		line = append(line, " %s", g.feature[i]);
	append(line, " %s %u %u%s", handlers[pick(3)], groups,
	       groups ? 1 + pick(groups) : pick(2), tail);
	*want = g.want;
	*paths = total;
}

#define GENERATED	20000

static void test_generated(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	struct prm_features want;
	char line[LINE_LEN];
	struct split s;
	u32 i, paths;

	(void)state;
	assert_non_null(t);
	seed = 1;
	for (i = 0; i < GENERATED; i++) {
		generate_line(line, &want, &paths);
		check_round_trip(line, t, &s);
		assert_int_equal(t->paths, paths);
		want.given = t->features.given;
		assert_int_equal(t->features.key, want.key);
		assert_int_equal(t->features.type, want.type);
		assert_int_equal(t->features.aptpl, want.aptpl);
		assert_int_equal(t->features.open, want.open);
		assert_int_equal(t->features.open_ro, want.open_ro);
		assert_int_equal(t->features.timeout_s, want.timeout_s);
		assert_int_equal(t->features.poll_s, want.poll_s);
		assert_int_equal(t->features.width, want.width);
		assert_int_equal(t->features.path_check_s, want.path_check_s);
		assert_int_equal(t->features.flags, want.flags);
		split_free(&s);
	}
	free(t);
}

/*
 * Every right line cut short at any word is refused, and so is one with a
 * word more: each count pins down the rest.
 */
static void test_cut_lines(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], error[PRM_ERROR_LEN];
	struct prm_features want;
	u32 i, paths;

	(void)state;
	assert_non_null(t);
	seed = 2;
	for (i = 0; i < 500; i++) {
		unsigned int n;
		struct split s;

		generate_line(line, &want, &paths);
		split_line(&s, line);
		for (n = 0; n < s.argc; n++) {
			char **cut = malloc(n * sizeof(*cut));

			assert_true(cut || !n);
			if (n)
				memcpy(cut, s.argv, n * sizeof(*cut));
			if (!prm_table_parse(t, n, cut, error))
				fail_msg("'%s' accepted with %u words", line, n);
			assert_non_null(strstr(error, "expected "));
			free(cut);
		}
		split_free(&s);

		strcat(line, " 8:4096");
		assert_int_equal(parse_line(line, t, &s, error), -EINVAL);
		assert_non_null(strstr(error, "'8:4096' is left over"));
		split_free(&s);
	}
	free(t);
}

/*
 * Lines with words changed, moved and lost at random: either a table that is
 * sound and round-trips, or an error that says what was expected.
 */
static void test_mutated(void **state)
{
	static const char * const words[] = {
		"0", "1", "2", "64", "65", "4294967295", "4294967296",
		"18446744073709551615", "0x", "-1", "round-robin", "8:16",
		"pr_key", "pr_open", "forced", "bypass", "queue_if_no_path",
		"pr_shared", "pr_type", "%s%n", "\xff",
	};
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], joined[LINE_LEN], error[PRM_ERROR_LEN];
	u32 i, k, paths, accepted = 0;
	struct prm_features want;

	(void)state;
	assert_non_null(t);
	seed = 3;
	for (i = 0; i < GENERATED; i++) {
		struct split s;
		char *end = joined;

		generate_line(line, &want, &paths);
		split_line(&s, line);
		for (k = 1 + pick(3); k; k--) {
			const char *new = words[pick(ARRAY_SIZE(words))];
			u32 at = pick(s.argc);

			free(s.argv[at]);
			s.argv[at] = strdup(new);
		}
		*end = '\0';
		for (k = 0; k < s.argc; k++)
			if (pick(s.argc))
				end = append(end, " %s", s.argv[k]);
		split_free(&s);

		if (parse_line(joined, t, &s, error)) {
			assert_non_null(strstr(error, "expected "));
			split_free(&s);
			continue;
		}
		split_free(&s);
		accepted++;
		check_round_trip(joined, t, &s);
		split_free(&s);
	}
	/* neither all nor none: the mutations reach both sides */
	assert_true(accepted > GENERATED / 100 && accepted < GENERATED / 2);
	free(t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_word),
		cmocka_unit_test(test_right_lines),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_print_queue),
		cmocka_unit_test(test_print_short),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_cut_lines),
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
