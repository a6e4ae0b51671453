// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line: wrong lines with their exact errors, right lines with what
 * they mean, what multipathd sends, and generated lines that must survive
 * printing and parsing (rules 2.3, 2.4 and 5.8).
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
#define GIVEN_QUEUE	1U	/* of prm_features.given: the first feature */
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

/* The feature words as the target keeps them. */
static void join_features(const struct prm_table *t, char *words)
{
	u32 i;

	*words = '\0';
	for (i = 0; i < t->feature_argc; i++)
		words = append(words, i ? " %s" : "%s", t->feature_argv[i]);
}

/* What the target prints for dmsetup table, here from what was parsed. */
static void print_line(const struct prm_table *t, bool queue_if_no_path,
		       char *line)
{
	char words[LINE_LEN], *end = line + LINE_LEN;
	u32 i, j;

	join_features(t, words);
	line += prm_features_print(words, queue_if_no_path, line, end - line);
	if (t->hw_handler) {
		line = append(line, " %u %s", 1 + t->hw_argc, t->hw_handler);
		for (i = 0; i < t->hw_argc; i++)
			line = append(line, " %s", t->hw_argv[i]);
	} else {
		line = append(line, " 0");
	}
	line = append(line, " %u %u", t->groups, t->initial_group);
	for (i = 0; i < t->groups; i++) {
		const struct prm_group_line *group = &t->group[i];
		const struct prm_path_line *path = &t->path[group->first_path];

		line = append(line, " %s %u", group->selector->name, group->words);
		if (group->words) {
			line = append(line, " ");
			line += group->selector->print_group(&group->args, group->words,
							     line, end - line);
		}
		line = append(line, " %u %u", group->paths, group->path_words);
		for (j = 0; j < group->paths; j++, path++) {
			line = append(line, " %s", path->name);
			if (!group->path_words)
				continue;
			line = append(line, " ");
			line += group->selector->print_path(&path->slot, group->path_words,
							    line, end - line);
		}
	}
	assert_true(line < end);
}

static void assert_same_features(const struct prm_features *f,
				 const struct prm_features *g)
{
	assert_int_equal(f->key, g->key);
	assert_int_equal(f->type, g->type);
	assert_int_equal(f->aptpl, g->aptpl);
	assert_int_equal(f->open, g->open);
	assert_int_equal(f->open_ro, g->open_ro);
	assert_int_equal(f->timeout_s, g->timeout_s);
	assert_int_equal(f->poll_s, g->poll_s);
	assert_int_equal(f->width, g->width);
	assert_int_equal(f->path_check_s, g->path_check_s);
	assert_int_equal(f->pg_init_retries, g->pg_init_retries);
	assert_int_equal(f->pg_init_delay_ms, g->pg_init_delay_ms);
	assert_int_equal(f->flags, g->flags);
	assert_int_equal(f->given, g->given);
}

/* Everything behind the features. */
static void assert_same_rest(const struct prm_table *a,
			     const struct prm_table *b)
{
	u32 i;

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
		const struct prm_group_line *g = &a->group[i], *h = &b->group[i];

		assert_ptr_equal(g->selector, h->selector);
		assert_int_equal(g->args.weight, h->args.weight);
		assert_int_equal(g->args.threshold, h->args.threshold);
		assert_int_equal(g->words, h->words);
		assert_int_equal(g->path_words, h->path_words);
		assert_int_equal(g->first_path, h->first_path);
		assert_int_equal(g->paths, h->paths);
	}
	for (i = 0; i < a->paths; i++) {
		const struct prm_path_line *p = &a->path[i], *q = &b->path[i];

		assert_string_equal(p->name, q->name);
		assert_int_equal(p->group, q->group);
		assert_int_equal(p->slot.path, q->slot.path);
		assert_int_equal(p->slot.repeat, q->slot.repeat);
		assert_int_equal(p->slot.throughput, q->slot.throughput);
		assert_int_equal(!p->slot.cpus, !q->slot.cpus);
		if (p->slot.cpus)
			assert_string_equal(p->slot.cpus, q->slot.cpus);
	}
}

/* What differs from the defaults, in words: "key=0xabc1 type=7 queue". */
static void describe_features(const struct prm_features *f, char *text)
{
	static const struct {
		const char *name;
		u32 flag;
	} flags[] = {
		{ "queue", PRM_F_QUEUE_IF_NO_PATH },
		{ "shared", PRM_F_SHARED },
		{ "at-open", PRM_F_REGISTER_AT_OPEN },
		{ "trust", PRM_F_TWIN_TRUST },
		{ "optional", PRM_F_ABORT_OPTIONAL },
		{ "retain", PRM_F_RETAIN_HANDLER },
		{ "request", PRM_F_REQUEST_MODE },
		{ "off", PRM_F_OFF },
	};
	char options[64], *end = text;
	u32 left = f->flags;
	size_t i;

	*end = '\0';
	if (f->key)
		end = append(end, " key=0x%llx", (unsigned long long)f->key);
	if (f->type != PR_TYPE_WRITE_EXCLUSIVE_RO)
		end = append(end, " type=%u", f->type);
	if (!f->aptpl)
		end = append(end, " aptpl=0");
	prm_options_print(f->open, options, sizeof(options));
	if (f->open)
		end = append(end, " open=%s", options);
	prm_options_print(f->open_ro, options, sizeof(options));
	if (f->open_ro != PRM_OPEN_BYPASS)
		end = append(end, " open_ro=%s", options);
	if (f->timeout_s)
		end = append(end, " timeout=%u", f->timeout_s);
	if (f->poll_s != 5)
		end = append(end, " poll=%u", f->poll_s);
	if (f->width)
		end = append(end, " width=%u", f->width);
	if (f->path_check_s)
		end = append(end, " check=%u", f->path_check_s);
	if (f->pg_init_retries)
		end = append(end, " retries=%u", f->pg_init_retries);
	if (f->pg_init_delay_ms != 2000)
		end = append(end, " delay=%u", f->pg_init_delay_ms);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (left & flags[i].flag)
			end = append(end, " %s", flags[i].name);
		left &= ~flags[i].flag;
	}
	assert_int_equal(left, 0);
	if (end > text)
		memmove(text, text + 1, end - text);
}

/*
 * All behind the features: "alua --opt; 2 of 2; [service-time 0/2 8:16 *7 @50]"
 * with the numbers of words, repeat counts, throughputs and CPUs (#).
 */
static void describe_rest(const struct prm_table *t, char *text)
{
	u32 i, j;

	if (t->hw_handler) {
		text = append(text, "%s", t->hw_handler);
		for (i = 0; i < t->hw_argc; i++)
			text = append(text, " %s", t->hw_argv[i]);
		text = append(text, "; ");
	}
	text = append(text, "%u of %u", t->initial_group, t->groups);
	for (i = 0; i < t->groups; i++) {
		const struct prm_group_line *group = &t->group[i];

		text = append(text, "; [%s %u/%u", group->selector->name,
			      group->words, group->path_words);
		if (group->selector->group_args)
			text = append(text, " weight=%u threshold=%u",
				      group->args.weight, group->args.threshold);
		for (j = 0; j < group->paths; j++) {
			const struct prm_path_line *path =
				&t->path[group->first_path + j];

			text = append(text, " %s", path->name);
			if (path->slot.repeat != 1)
				text = append(text, " *%u", path->slot.repeat);
			if (path->slot.throughput != 1)
				text = append(text, " @%u", path->slot.throughput);
			if (path->slot.cpus)
				text = append(text, " #%s", path->slot.cpus);
		}
		text = append(text, "]");
	}
}

#define NOT_MAPPING	(PRM_F_QUEUE_IF_NO_PATH | PRM_F_RETAIN_HANDLER |	\
			 PRM_F_REQUEST_MODE | PRM_F_OFF)

static const struct prm_features no_mapping = {
	.type = 5,
	.aptpl = true,
	.open_ro = PRM_OPEN_BYPASS,
	.poll_s = 5,
	.pg_init_delay_ms = 2000,
};

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
	assert_true(f->pg_init_retries <= 50);
	assert_true(f->pg_init_delay_ms <= 60000);
	assert_true(f->type <= 8 && 0x1ea >> f->type & 1);
	if (f->type < 5)
		assert_true(t->paths <= 1);
	if (!f->key) {
		struct prm_features plain = no_mapping;

		plain.path_check_s = f->path_check_s;
		plain.pg_init_retries = f->pg_init_retries;
		plain.pg_init_delay_ms = f->pg_init_delay_ms;
		plain.flags = f->flags & NOT_MAPPING;
		plain.given = f->given;
		assert_same_features(f, &plain);
	}
	assert_false(f->key && f->flags & PRM_F_OFF);

	assert_true(t->groups <= PRM_MAX_GROUPS);
	assert_true(t->paths <= PRM_MAX_PATHS);
	assert_true(t->initial_group <= t->groups);
	assert_int_equal(!t->initial_group, !t->groups);
	for (i = 0; i < t->groups; i++) {
		assert_non_null(t->group[i].selector);
		assert_true(t->group[i].words <= t->group[i].selector->group_words);
		assert_true(t->group[i].path_words <=
			    t->group[i].selector->path_words);
		assert_int_equal(t->group[i].first_path, paths);
		assert_true(t->group[i].paths > 0);
		for (j = 0; j < t->group[i].paths; j++)
			assert_int_equal(t->path[paths + j].group, i);
		paths += t->group[i].paths;
	}
	assert_int_equal(paths, t->paths);
	for (i = 0; i < t->paths; i++) {
		assert_int_equal(t->path[i].slot.path, i);
		for (j = 0; j < i; j++)
			assert_string_not_equal(t->path[i].name, t->path[j].name);
	}
}

static int parse_line(const char *line, const struct prm_features *base,
		      struct prm_table *t, struct split *s,
		      char error[PRM_ERROR_LEN])
{
	int r;

	split_line(s, line);
	memset(t, 0xff, sizeof(*t));
	memset(error, '#', PRM_ERROR_LEN);
	r = prm_table_parse(t, s->argc, s->argv, base, error);
	assert_non_null(memchr(error, '\0', PRM_ERROR_LEN));
	return r;
}

static int parse_words(const char *words, struct prm_features *f,
		       char error[PRM_ERROR_LEN])
{
	struct split s;
	int r;

	split_line(&s, words);
	memset(f, 0xff, sizeof(*f));
	memset(error, '#', PRM_ERROR_LEN);
	r = prm_features_parse(f, s.argc, s.argv, error);
	assert_non_null(memchr(error, '\0', PRM_ERROR_LEN));
	split_free(&s);
	return r;
}

/*
 * Print @t with @queue_if_no_path and parse that again: but for the one word
 * the same table, and the same print.
 */
static void check_print(const struct prm_table *t,
			const struct prm_features *base, bool queue_if_no_path)
{
	char printed[LINE_LEN], again[LINE_LEN], error[PRM_ERROR_LEN];
	struct prm_features want = t->features;
	struct prm_table *u = malloc(sizeof(*u));
	struct split v;

	assert_non_null(u);
	print_line(t, queue_if_no_path, printed);
	if (parse_line(printed, base, u, &v, error))
		fail_msg("printed as '%s': %s", printed, error);
	assert_sound(u);
	want.flags &= ~PRM_F_QUEUE_IF_NO_PATH;
	want.given &= ~GIVEN_QUEUE;
	if (base)
		want.flags |= base->flags & PRM_F_QUEUE_IF_NO_PATH;
	if (queue_if_no_path) {
		want.flags |= PRM_F_QUEUE_IF_NO_PATH;
		want.given |= GIVEN_QUEUE;
	}
	assert_same_features(&u->features, &want);
	assert_same_rest(t, u);
	print_line(u, queue_if_no_path, again);
	assert_string_equal(printed, again);
	split_free(&v);
	free(u);
}

/* Parse, print, parse again: the same table, and the features verbatim. */
static void check_round_trip(const char *line, const struct prm_features *base,
			     struct prm_table *t, struct split *s)
{
	char printed[LINE_LEN], error[PRM_ERROR_LEN];
	u32 i;

	if (parse_line(line, base, t, s, error))
		fail_msg("'%s': %s", line, error);
	assert_string_equal(error, "");
	assert_sound(t);

	/* as many features, and the same, at the start of the line */
	print_line(t, t->features.given & GIVEN_QUEUE, printed);
	assert_int_equal(strtoul(printed, NULL, 10), strtoul(s->argv[0], NULL, 0));
	for (i = 0; i < t->feature_argc; i++) {
		const char *word = strchr(printed, ' ') + 1;

		assert_int_equal(strncmp(word, s->argv[1 + i],
					 strlen(s->argv[1 + i])), 0);
		memmove(printed, word, strlen(word) + 1);
		assert_int_equal(printed[strlen(s->argv[1 + i])], ' ');
	}

	check_print(t, base, t->features.flags & PRM_F_QUEUE_IF_NO_PATH);
	check_print(t, base, !(t->features.flags & PRM_F_QUEUE_IF_NO_PATH));
}

/* A good rest of the line, for what is wrong before it. */
#define PATHS	" 0 1 1 round-robin 0 2 1 8:16 1 8:32 1"
#define ONE	" 0 1 1 round-robin 0 1 1 8:16 1"

/* Ends of errors. */
#define NO_FEATURE	" is no feature, expected queue_if_no_path retain_attached_hw_handler pg_init_retries pg_init_delay_msecs queue_mode path_check pr_off pr_key pr_type pr_open pr_open_ro pr_timeout pr_poll pr_shared pr_register pr_width pr_twin pr_aptpl pr_abort"
#define COUNT_ALL	", expected a count of all their words"
#define NO_KEY		"' is no key, expected a number of 64 bits other than 0, such as 0xabc1"
#define NO_TYPE		"' is no reservation type, expected 5, 6, 7, 8 (1 and 3 with one path)"
/* A default with every word, what it comes to, and what pr_off leaves of it. */
#define EVERYTHING	"pr_key 1 pr_type 7 pr_open forced pr_open_ro single pr_timeout 9 pr_poll 9 pr_shared pr_register open pr_width 9 pr_twin trust pr_aptpl 0 pr_abort optional path_check 9 pg_init_retries 9 pg_init_delay_msecs 9 queue_mode mq queue_if_no_path retain_attached_hw_handler"
#define ALL_OF_IT	"key=0x1 type=7 aptpl=0 open=forced open_ro=single timeout=9 poll=9 width=9 check=9 retries=9 delay=9 queue shared at-open trust optional retain request"
#define NOT_OFF		"check=9 retries=9 delay=9 queue retain request"

#define NO_SELECTOR	"' is no path selector, expected round-robin or queue-length or service-time or historical-service-time or io-affinity"
#define NO_WEIGHT	"' is wrong, expected a base weight of 0 to 1023"
#define NO_THRESHOLD	"' is wrong, expected a threshold multiplier of 0 to 4294967295"
#define NO_MASK		"expected a hexadecimal CPU mask other than 0, such as ff or 1,00000000"
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

	/* pr_off, and words that contradict it */
	{ "3 pr_off pr_key 1" PATHS,
	  "pr_key together with pr_off, expected one of the two" },
	{ "3 pr_key 1 PR_OFF" PATHS,
	  "pr_key together with pr_off, expected one of the two" },
	{ "2 pr_off pr_shared" PATHS,
	  "pr_shared together with pr_off, expected one of the two" },
	{ "3 pr_poll 5 pr_off" PATHS,
	  "pr_poll together with pr_off, expected one of the two" },
	{ "2 pr_off pr_off" PATHS, "pr_off: given twice, expected it once" },

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

	{ "2 pg_init_retries 0" PATHS,
	  "pg_init_retries: '0' is out of range, expected 1 to 50" },
	{ "2 pg_init_retries 51" PATHS,
	  "pg_init_retries: '51' is out of range, expected 1 to 50" },
	{ "2 PG_Init_Retries few" PATHS,
	  "pg_init_retries: 'few' is no number, expected 1 to 50" },
	{ "1 pg_init_retries" PATHS,
	  "pg_init_retries: the features end here, expected its value" },
	{ "2 pg_init_delay_msecs 60001" PATHS,
	  "pg_init_delay_msecs: '60001' is out of range, expected 0 to 60000" },
	{ "2 pg_init_delay_msecs 2s" PATHS,
	  "pg_init_delay_msecs: '2s' is no number, expected 0 to 60000" },

	/* choices */
	{ "2 queue_mode bios" PATHS,
	  "queue_mode: 'bios' is no choice, expected bio or rq or mq" },
	{ "2 queue_mode pg_init_retries" PATHS,
	  "queue_mode: 'pg_init_retries' is no choice, expected bio or rq or mq" },
	{ "1 queue_mode" PATHS,
	  "queue_mode: the features end here, expected its value" },
	{ "4 queue_mode bio queue_mode mq" PATHS,
	  "queue_mode: given twice, expected it once" },
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
	{ "0 0 1 1 least-pending 0 1 1 8:16 1",
	  "group 1: 'least-pending" NO_SELECTOR },
	{ "0 0 1 1 Service-Time 0 1 1 8:16 1",
	  "group 1: 'Service-Time" NO_SELECTOR },
	{ "0 0 1 1 round-robin",
	  "group 1: number of selector words: the line ends here, expected a number" },
	{ "0 0 1 1 round-robin 8:16",
	  "group 1: number of selector words: '8:16' is no number, expected one" },
	{ "0 0 1 1 round-robin 9 1 0 8:16",
	  "group 1: number of selector words: '9' is more than the line has, expected at most 3" },
	{ "0 0 1 1 round-robin 1 1 1 0 8:16",
	  "group 1: number of selector words: '1' is too many, expected at most 0" },
	{ "0 0 2 1 queue-length 0 1 0 8:32 service-time 2 1 1 1 0 8:16",
	  "group 2: number of selector words: '2' is too many, expected at most 0" },
	{ "0 0 1 1 io-affinity 1 1 1 1 8:16 1",
	  "group 1: number of selector words: '1' is too many, expected at most 0" },
	{ "0 0 1 1 historical-service-time 3 1 1 1 1 0 8:16",
	  "group 1: number of selector words: '3' is too many, expected at most 2" },
	{ "0 0 1 1 historical-service-time 1 1024 1 0 8:16",
	  "group 1: historical-service-time: '1024" NO_WEIGHT },
	{ "0 0 1 1 historical-service-time 2 heavy 7 1 0 8:16",
	  "group 1: historical-service-time: 'heavy" NO_WEIGHT },
	{ "0 0 2 1 queue-length 0 1 0 8:32 historical-service-time 2 1000 -1 1 0 8:16",
	  "group 2: historical-service-time: '-1" NO_THRESHOLD },
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
	{ "0 0 1 1 queue-length 0 1 2 8:16 1 1",
	  "group 1: number of path words: '2' is out of range, expected 0 to 1" },
	{ "0 0 1 1 service-time 0 1 3 8:16 1 1 1",
	  "group 1: number of path words: '3' is out of range, expected 0 to 2" },
	{ "0 0 1 1 historical-service-time 0 1 2 8:16 1 1",
	  "group 1: number of path words: '2' is out of range, expected 0 to 1" },
	{ "0 0 1 1 io-affinity 0 1 2 8:16 1 1",
	  "group 1: number of path words: '2' is out of range, expected 0 to 1" },
	{ "0 0 1 1 service-time 0 1 two 8:16 1 1",
	  "group 1: number of path words: 'two' is no number, expected 0 to 2" },
	{ "0 0 1 1 service-time 0 2 2 8:16 1 1 8:32 1",
	  "group 1: paths: the line has 5 more words, expected 6" },
	{ "0 0 1 1 round-robin 0 1 0",
	  "group 1: paths: the line has 0 more words, expected 1" },
	{ "0 0 1 1 round-robin 0 2 1 8:16 1 8:32",
	  "group 1: paths: the line has 3 more words, expected 4" },
	{ "0 0 2 1 round-robin 0 1 1 8:16 1",
	  "group 2: the line ends here, expected a path selector" },
	{ "0 0 2 1 round-robin 0 1 1 8:16 1 1 round-robin",
	  "group 2: '1" NO_SELECTOR },

	/* paths */
	{ "0 0 1 1 round-robin 0 2 0 8:16 8:16",
	  "group 1: path '8:16': already in group 1, expected every path once" },
	{ "0 0 2 1 round-robin 0 1 0 8:16 round-robin 0 2 0 8:32 8:16",
	  "group 2: path '8:16': already in group 1, expected every path once" },
	{ "0 0 1 1 round-robin 0 1 1 8:16 0",
	  "group 1: path '8:16': '0' is wrong, expected a repeat count of 1 to 4294967295" },
	{ "0 0 1 1 round-robin 0 2 1 8:16 1 8:32 many",
	  "group 1: path '8:32': 'many' is wrong, expected a repeat count of 1 to 4294967295" },
	{ "0 0 1 1 queue-length 0 1 1 8:16 -1",
	  "group 1: path '8:16': '-1' is wrong, expected a repeat count of 0 to 4294967295" },
	{ "0 0 2 1 io-affinity 0 1 1 8:16 3 service-time 0 1 2 8:32 many 50",
	  "group 2: path '8:32': 'many' is wrong, expected a repeat count of 0 to 4294967295" },
	{ "0 0 1 1 service-time 0 2 2 8:16 1 100 8:32 1 101",
	  "group 1: path '8:32': '101' is wrong, expected a relative throughput of 0 to 100" },
	{ "0 0 1 1 io-affinity 0 2 0 8:16 8:32",
	  "group 1: path '8:16': no word, " NO_MASK },
	{ "0 0 1 1 io-affinity 0 2 1 8:16 ff 8:32 0x3",
	  "group 1: path '8:32': '0x3' is wrong, " NO_MASK },
	{ "0 0 1 1 io-affinity 0 1 1 8:16 0",
	  "group 1: path '8:16': '0' is wrong, " NO_MASK },

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
		int r = parse_line(wrong_lines[i].line, NULL, t, &s, error);

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
		"2 queue_mode %s 0 0 0",
		"2 pg_init_retries %s 0 0 0",
		"0 %s",
		"0 0 %s",
		"0 0 0 %s",
		"0 0 0 0 %s",
		"0 0 1 1 %s",
		"0 0 1 1 round-robin %s",
		"0 0 1 1 round-robin 0 1 1 8:16 %s",
		"0 0 1 1 round-robin 0 1 1 %s 0",
		"0 0 1 1 service-time 0 1 2 8:16 1 %s",
		"0 0 1 1 io-affinity 0 1 1 8:16 %s",
		"0 0 1 1 historical-service-time 2 1 %s 1 0 8:16",
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
		assert_int_equal(parse_line(line, NULL, t, &s, error), -EINVAL);
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
	struct prm_features f;
	char error[PRM_ERROR_LEN];
	struct split s;

	(void)state;
	assert_non_null(t);
	check_round_trip("0" PATHS, NULL, t, &s);
	assert_same_features(&t->features, &no_mapping);
	assert_int_equal(t->features.given, 0);
	assert_int_equal(t->feature_argc, 0);
	assert_null(t->hw_handler);
	assert_int_equal(t->groups, 1);
	assert_int_equal(t->initial_group, 1);
	assert_int_equal(t->paths, 2);
	assert_string_equal(t->path[0].name, "8:16");
	assert_string_equal(t->path[1].name, "8:32");
	assert_int_equal(t->group[0].path_words, 1);
	split_free(&s);

	/* a module default of no words is no default */
	assert_int_equal(parse_words("", &f, error), 0);
	assert_string_equal(error, "");
	assert_same_features(&f, &no_mapping);
	assert_int_equal(prm_features_parse(&f, 0, NULL, error), 0);
	assert_same_features(&f, &no_mapping);
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
		"33 pr_abort optional pr_aptpl 0 pr_twin trust pr_width 4",
		"pr_register open pr_shared pr_poll 0 pr_timeout 110",
		"pr_open_ro default pr_open single,forced,retain",
		"pr_type exclusive-access-all-registrants Queue_Mode MQ",
		"pr_key 0xFFFFFFFFFFFFFFFF path_check 3600 pg_init_retries 0x32",
		"retain_attached_hw_handler QUEUE_IF_NO_PATH",
		"pg_init_delay_msecs 0",
		"3 alua --opt 7 2 2",
		"round-robin 0 1 0 /dev/sdb round-robin 0 2 1 8:32 7 8:48 0x10",
	};
	static const char * const described[] = {
		"key=0xffffffffffffffff type=8 aptpl=0 open=forced,retain,single",
		"open_ro=default timeout=110 poll=0 width=4 check=3600 retries=50",
		"delay=0 queue shared at-open trust optional retain request",
	};
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], want[LINE_LEN], buf[LINE_LEN];
	struct split s;

	(void)state;
	assert_non_null(t);
	join(line, words, ARRAY_SIZE(words));
	join(want, described, ARRAY_SIZE(described));
	check_round_trip(line, NULL, t, &s);
	describe_features(&t->features, buf);
	assert_string_equal(buf, want);
	/* all but pr_off */
	assert_int_equal(t->features.given, 0x7ffff & ~(1 << 6));
	describe_rest(t, buf);
	assert_string_equal(buf,
			    "alua --opt 7; 2 of 2; [round-robin 0/0 /dev/sdb]; [round-robin 0/1 8:32 *7 8:48 *16]");
	print_line(t, true, buf);
	/* verbatim, but the number of the last path is printed in decimal */
	memcpy(strrchr(line, ' '), " 16", 4);
	assert_string_equal(buf, line);
	split_free(&s);
	free(t);
}

/* A module default, the words of a line over it, and what comes out. */
static const struct {
	const char *base;
	const char *words;
	const char *want;
} right_words[] = {
	{ NULL, "", "" },
	{ NULL, "queue_if_no_path", "queue" },
	{ NULL, "Queue_If_No_Path", "queue" },
	{ NULL, "retain_attached_hw_handler", "retain" },
	{ NULL, "RETAIN_ATTACHED_HW_HANDLER", "retain" },
	{ NULL, "pg_init_retries 1", "retries=1" },
	{ NULL, "pg_init_retries 50", "retries=50" },
	{ NULL, "Pg_Init_Retries 3", "retries=3" },
	{ NULL, "pg_init_delay_msecs 0", "delay=0" },
	{ NULL, "pg_init_delay_msecs 60000", "delay=60000" },
	{ NULL, "PG_INIT_DELAY_MSECS 2000", "" },
	{ NULL, "queue_mode bio", "" },
	{ NULL, "queue_mode rq", "request" },
	{ NULL, "queue_mode mq", "request" },
	{ NULL, "Queue_Mode Bio", "" },
	{ NULL, "QUEUE_MODE RQ", "request" },
	{ NULL, "queue_mode mQ", "request" },
	{ NULL, "path_check 0", "" },
	{ NULL, "Path_Check 3600", "check=3600" },
	{ NULL, "pr_off", "off" },
	{ NULL, "PR_OFF queue_if_no_path path_check 1", "check=1 queue off" },
	{ NULL, "pr_key 1", "key=0x1" },
	{ NULL, "PR_KEY 0xABC1", "key=0xabc1" },
	{ NULL, "pr_key 18446744073709551615", "key=0xffffffffffffffff" },
	{ NULL, "pr_type 1 pr_key 1", "key=0x1 type=1" },
	{ NULL, "pr_type write-exclusive pr_key 1", "key=0x1 type=1" },
	{ NULL, "pr_key 1 pr_type 3", "key=0x1 type=3" },
	{ NULL, "pr_key 1 pr_type 5", "key=0x1" },
	{ NULL, "pr_key 1 pr_type 6", "key=0x1 type=6" },
	{ NULL, "pr_key 1 pr_type 7", "key=0x1 type=7" },
	{ NULL, "pr_key 1 pr_type 8", "key=0x1 type=8" },
	{ NULL, "pr_key 1 pr_open default", "key=0x1" },
	{ NULL, "pr_key 1 pr_open bypass", "key=0x1 open=bypass" },
	{ NULL, "pr_key 1 pr_open single,forced", "key=0x1 open=forced,single" },
	{ NULL, "pr_key 1 pr_open forced,retain,no_reserve,single",
	  "key=0x1 open=forced,retain,no_reserve,single" },
	{ NULL, "pr_key 1 pr_open_ro bypass", "key=0x1" },
	{ NULL, "pr_key 1 pr_open_ro default", "key=0x1 open_ro=default" },
	{ NULL, "pr_key 1 pr_timeout 1", "key=0x1 timeout=1" },
	{ NULL, "pr_key 1 pr_timeout 110", "key=0x1 timeout=110" },
	{ NULL, "pr_key 1 pr_poll 0", "key=0x1 poll=0" },
	{ NULL, "pr_key 1 pr_poll 3600", "key=0x1 poll=3600" },
	{ NULL, "pr_key 1 pr_shared", "key=0x1 shared" },
	{ NULL, "pr_key 1 pr_register configure", "key=0x1" },
	{ NULL, "pr_key 1 pr_register open", "key=0x1 at-open" },
	{ NULL, "pr_key 1 pr_width 0", "key=0x1" },
	{ NULL, "pr_key 1 pr_width 64", "key=0x1 width=64" },
	{ NULL, "pr_key 1 pr_twin fail", "key=0x1" },
	{ NULL, "pr_key 1 pr_twin trust", "key=0x1 trust" },
	{ NULL, "pr_key 1 pr_aptpl 1", "key=0x1" },
	{ NULL, "pr_key 1 pr_aptpl 0", "key=0x1 aptpl=0" },
	{ NULL, "pr_key 1 pr_abort required", "key=0x1" },
	{ NULL, "pr_key 1 pr_abort optional", "key=0x1 optional" },

	/* the default holds where the line says nothing */
	{ "", "pr_key 2 queue_if_no_path", "key=0x2 queue" },
	{ EVERYTHING, "", ALL_OF_IT },
	{ EVERYTHING, "queue_if_no_path pr_shared retain_attached_hw_handler",
	  ALL_OF_IT },
	{ "pr_key 1", "pr_type 7", "key=0x1 type=7" },
	{ "pr_key 1 pr_poll 7 path_check 9", "pr_shared",
	  "key=0x1 poll=7 check=9 shared" },
	/* and the line's words where it speaks */
	{ "pr_key 1 pr_type 7", "pr_key 2", "key=0x2 type=7" },
	{ "pr_key 1 pr_poll 7", "pr_poll 5", "key=0x1" },
	{ "pr_key 1 pr_aptpl 0", "pr_aptpl 1", "key=0x1" },
	{ "pr_key 1 pr_open forced pr_open_ro single",
	  "pr_open default pr_open_ro bypass", "key=0x1" },
	{ "pr_key 1 pr_register open pr_twin trust pr_abort optional queue_mode rq",
	  "pr_register configure pr_twin fail pr_abort required queue_mode bio",
	  "key=0x1" },
	{ "pg_init_retries 9 pg_init_delay_msecs 9 path_check 9",
	  "pg_init_retries 8 pg_init_delay_msecs 7 path_check 6",
	  "check=6 retries=8 delay=7" },
	/* pr_off drops the default's mapping, and no more */
	{ EVERYTHING, "pr_off", NOT_OFF " off" },
	{ "pr_key 1 pr_type 1", "pr_off", "off" },
	/* a default of pr_off has nothing, and the line's key counts */
	{ "pr_off path_check 9", "", "check=9" },
	{ "pr_off", "pr_off", "off" },
	{ "pr_off path_check 9", "pr_key 2 pr_type 7", "key=0x2 type=7 check=9" },
};

/* What the line says is counted, not what the default says. */
static u32 count_given(const struct prm_features *f)
{
	return __builtin_popcount(f->given);
}

static u32 count_words(const char *words)
{
	struct split s;
	u32 count;

	split_line(&s, words);
	count = s.argc;
	split_free(&s);
	return count;
}

static void test_right_words(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], text[LINE_LEN], error[PRM_ERROR_LEN];
	struct prm_features base, alone;
	unsigned int bad = 0;
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(right_words); i++) {
		const char *words = right_words[i].words;
		bool has_base = right_words[i].base;

		if (has_base && parse_words(right_words[i].base, &base, error))
			fail_msg("default '%s': %s", right_words[i].base, error);
		snprintf(line, sizeof(line), "%u %s" ONE, count_words(words), words);
		check_round_trip(line, has_base ? &base : NULL, t, &s);
		describe_features(&t->features, text);
		if (strcmp(text, right_words[i].want)) {
			print_error("words:    %s\ncame out: %s\nexpected: %s\n",
				    words, text, right_words[i].want);
			bad++;
		}
		split_free(&s);

		/* without a default: the same from the words alone */
		if (has_base)
			continue;
		if (parse_words(words, &alone, error))
			fail_msg("'%s' alone: %s", words, error);
		assert_string_equal(error, "");
		assert_same_features(&alone, &t->features);
	}
	free(t);
	assert_int_equal(bad, 0);
}

static void test_given(void **state)
{
	static const struct {
		const char *base;
		const char *line;
		u32 given;
	} cases[] = {
		{ EVERYTHING, "0" ONE, 0 },
		{ EVERYTHING, "2 pr_poll 7" ONE, 1 },
		{ EVERYTHING, "1 pr_off" ONE, 1 },
		{ "pr_key 1", "3 pr_key 2 pr_shared" ONE, 2 },
	};
	struct prm_table *t = malloc(sizeof(*t));
	struct prm_features base;
	char error[PRM_ERROR_LEN];
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse_words(cases[i].base, &base, error), 0);
		assert_true(base.given);
		assert_int_equal(parse_line(cases[i].line, &base, t, &s, error), 0);
		assert_int_equal(count_given(&t->features), cases[i].given);
		split_free(&s);
	}
	/* entry n of the table is bit n */
	assert_int_equal(parse_words("queue_if_no_path", &base, error), 0);
	assert_int_equal(base.given, GIVEN_QUEUE);
	free(t);
}

/* Lines that are wrong over a default. */
static void test_wrong_base(void **state)
{
	static const struct {
		const char *base;
		const char *line;
		const char *error;
	} cases[] = {
		{ "", "2 pr_type 7" PATHS,
		  "pr_type without pr_key, expected pr_key and a key" },
		{ "queue_if_no_path", "1 pr_shared" PATHS,
		  "pr_shared without pr_key, expected pr_key and a key" },
		{ "pr_off", "2 pr_type 7" PATHS,
		  "pr_type without pr_key, expected pr_key and a key" },
		{ "pr_key 1", "3 pr_off pr_type 7" PATHS,
		  "pr_type together with pr_off, expected one of the two" },
		{ "pr_key 1", "3 pr_off pr_key 2" PATHS,
		  "pr_key together with pr_off, expected one of the two" },
		{ "pr_key 1", "2 pr_key 0" PATHS,
		  "pr_key: '0" NO_KEY },
		{ "pr_key 1 pr_type 1", "0" PATHS,
		  "pr_type: '1' is for one path and the line has 2, expected 5, 6, 7 or 8" },
		{ "pr_key 1", "4 pr_poll 1 pr_poll 2" PATHS,
		  "pr_poll: given twice, expected it once" },
		{ "pr_key 1", "0 pr_poll 1" PATHS,
		  "number of features: '0' leaves out 'pr_poll'" COUNT_ALL },
	};
	struct prm_table *t = malloc(sizeof(*t));
	struct prm_features base;
	char error[PRM_ERROR_LEN];
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse_words(cases[i].base, &base, error), 0);
		assert_int_equal(parse_line(cases[i].line, &base, t, &s, error),
				 -EINVAL);
		assert_string_equal(error, cases[i].error);
		split_free(&s);
	}
	free(t);
}

/* Wrong module defaults. */
static void test_wrong_words(void **state)
{
	static const struct {
		const char *words;
		const char *error;
	} cases[] = {
		{ "2 pr_key 1", "features: '2'" NO_FEATURE },
		{ "pr_key", "pr_key: the features end here, expected its value" },
		{ "pr_key 0", "pr_key: '0" NO_KEY },
		{ "pr_poll 5", "pr_poll without pr_key, expected pr_key and a key" },
		{ "pr_off pr_key 1",
		  "pr_key together with pr_off, expected one of the two" },
		{ "pr_key 1 0", "features: '0'" NO_FEATURE },
		{ "queue_if_no_path QUEUE_IF_NO_PATH",
		  "queue_if_no_path: given twice, expected it once" },
	};
	struct prm_features f;
	char error[PRM_ERROR_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse_words(cases[i].words, &f, error), -EINVAL);
		assert_string_equal(error, cases[i].error);
	}
}

#define HST	"historical-service-time"

/* What stands behind the features, all of it right. */
static const struct {
	const char *line;
	const char *want;
} right_lines[] = {
	{ "0 0 0 0", "0 of 0" },
	{ "0 0 0 1", "0 of 0" },
	{ "0 1 alua 1 1 round-robin 0 1 0 8:16",
	  "alua; 1 of 1; [round-robin 0/0 8:16]" },
	{ "0 4 emc 1 a b 0 0", "emc 1 a b; 0 of 0" },
	{ "0 0 3 2 round-robin 0 1 0 8:16 queue-length 0 1 0 8:32 service-time 0 1 0 8:48",
	  "2 of 3; [round-robin 0/0 8:16]; [queue-length 0/0 8:32]; [service-time 0/0 8:48]" },
	/* the printed and the real name of one path are two words */
	{ "0 0 1 1 round-robin 0 2 0 8:16 /dev/sdb",
	  "1 of 1; [round-robin 0/0 8:16 /dev/sdb]" },
	{ "0 0 1 1 round-robin 0 2 1 8:16 4294967295 8:32 1",
	  "1 of 1; [round-robin 0/1 8:16 *4294967295 8:32]" },
	{ "0 0 1 1 queue-length 0 2 1 8:16 0 8:32 1000",
	  "1 of 1; [queue-length 0/1 8:16 *0 8:32 *1000]" },
	{ "0 0 1 1 service-time 0 2 1 8:16 1 8:32 128",
	  "1 of 1; [service-time 0/1 8:16 8:32 *128]" },
	{ "0 0 1 1 service-time 0 2 2 8:16 7 0 8:32 1 100",
	  "1 of 1; [service-time 0/2 8:16 *7 @0 8:32 @100]" },
	{ "0 0 1 1 historical-service-time 0 1 1 8:16 1",
	  "1 of 1; [historical-service-time 0/1 weight=972 threshold=0 8:16]" },
	{ "0 0 1 1 historical-service-time 1 0 2 0 8:16 8:32",
	  "1 of 1; [historical-service-time 1/0 weight=0 threshold=0 8:16 8:32]" },
	{ "0 0 2 1 historical-service-time 2 1023 4294967295 1 1 8:16 2 queue-length 0 1 0 8:32",
	  "1 of 2; [" HST " 2/1 weight=1023 threshold=4294967295 8:16 *2]; "
	  "[queue-length 0/0 8:32]" },
	{ "0 0 2 1 " HST " 2 1 2 1 0 8:16 " HST " 2 3 4 1 0 8:32",
	  "1 of 2; [" HST " 2/0 weight=1 threshold=2 8:16]; "
	  "[" HST " 2/0 weight=3 threshold=4 8:32]" },
	{ "0 0 1 1 io-affinity 0 2 1 8:16 3 8:32 1,fffffffC",
	  "1 of 1; [io-affinity 0/1 8:16 #3 8:32 #1,fffffffC]" },
};

static void test_right_lines(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	char text[LINE_LEN];
	unsigned int bad = 0;
	struct split s;
	size_t i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < ARRAY_SIZE(right_lines); i++) {
		check_round_trip(right_lines[i].line, NULL, t, &s);
		describe_rest(t, text);
		if (strcmp(text, right_lines[i].want)) {
			print_error("line:     %s\ncame out: %s\nexpected: %s\n",
				    right_lines[i].line, text, right_lines[i].want);
			bad++;
		}
		split_free(&s);
	}
	free(t);
	assert_int_equal(bad, 0);
}

/* One word per path, a number, whatever the selector makes of it. */
static void check_assembled(const char *features, const char *handler,
			    const char *selector)
{
	static const u32 repeats[] = { 1, 1000, 50000 };
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], printed[LINE_LEN];
	struct split s;
	u32 groups, r, i;

	assert_non_null(t);
	for (groups = 0; groups < 3; groups++) {
		for (r = 0; r < ARRAY_SIZE(repeats); r++) {
			char *end = append(line, "%s %s %u %u", features, handler,
					   groups, groups);

			for (i = 0; i < groups; i++)
				end = append(end, " %s 2 1 8:%u %u 66:%u %u", selector,
					     i, repeats[r], i, repeats[r]);
			check_round_trip(line, NULL, t, &s);
			print_line(t, t->features.flags & PRM_F_QUEUE_IF_NO_PATH,
				   printed);
			assert_string_equal(printed, line);
			split_free(&s);
		}
	}
	free(t);
}

/*
 * Every form of line that multipathd puts together: each of its features,
 * handlers and selectors with each other.
 */
static void test_multipathd(void **state)
{
	static const char * const sets[] = {
		"0", "1 queue_if_no_path", "2 pg_init_retries 50",
		"3 pg_init_retries 50 queue_if_no_path",
		"1 retain_attached_hw_handler",
		"2 queue_if_no_path retain_attached_hw_handler",
		"2 queue_mode bio", "2 queue_mode mq", "2 queue_mode rq",
		"3 queue_mode mq queue_if_no_path",
		"5 pg_init_delay_msecs 500 queue_if_no_path queue_mode bio",
		"8 queue_if_no_path retain_attached_hw_handler queue_mode mq pg_init_retries 3 pg_init_delay_msecs 100",
	};
	static const char * const handlers[] = {
		"0", "1 alua", "1 rdac", "1 emc", "1 hp_sw", "3 emc 1 0",
	};
	static const char * const choosers[] = {
		"round-robin 0", "queue-length 0", "service-time 0",
		HST " 0", HST " 1 972", HST " 2 972 0", "io-affinity 0",
	};
	u32 f, h, c;

	(void)state;
	for (f = 0; f < ARRAY_SIZE(sets); f++)
		for (h = 0; h < ARRAY_SIZE(handlers); h++)
			for (c = 0; c < ARRAY_SIZE(choosers); c++)
				check_assembled(sets[f], handlers[h], choosers[c]);
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
		check_round_trip(line, NULL, t, &s);
		assert_int_equal(t->features.type, types[i]);
		split_free(&s);
	}
	free(t);
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
	check_round_trip(line, NULL, t, &s);
	assert_int_equal(t->paths, PRM_MAX_PATHS);
	split_free(&s);

	make_groups(line, PRM_MAX_GROUPS, 1, false);
	check_round_trip(line, NULL, t, &s);
	assert_int_equal(t->groups, PRM_MAX_GROUPS);
	assert_int_equal(t->initial_group, PRM_MAX_GROUPS);
	split_free(&s);

	make_groups(line, 5, 13, true);
	assert_int_equal(parse_line(line, NULL, t, &s, error), -EINVAL);
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
	assert_int_equal(prm_table_parse(t, 0, NULL, NULL, error), -EINVAL);
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

/* The words stay as they are; queue_if_no_path alone follows the argument. */
static void test_print(void **state)
{
	static const struct {
		const char *words;
		const char *off;
		const char *on;
	} cases[] = {
		{ "", "0", "1 queue_if_no_path" },
		{ "queue_if_no_path", "0", "1 queue_if_no_path" },
		{ "QUEUE_if_no_path", "0", "1 QUEUE_if_no_path" },
		{ "pr_key 16 queue_if_no_path",
		  "2 pr_key 16", "3 pr_key 16 queue_if_no_path" },
		{ "Queue_If_No_Path PR_Key 0x10",
		  "2 PR_Key 0x10", "3 Queue_If_No_Path PR_Key 0x10" },
		{ "pr_shared queue_if_no_path pr_key 0xABC1",
		  "3 pr_shared pr_key 0xABC1",
		  "4 pr_shared queue_if_no_path pr_key 0xABC1" },
		{ "queue_mode MQ pr_open retain,forced",
		  "4 queue_mode MQ pr_open retain,forced",
		  "5 queue_if_no_path queue_mode MQ pr_open retain,forced" },
		/* words that only begin or end alike are others */
		{ "queue_if_no_pat queue_if_no_paths",
		  "2 queue_if_no_pat queue_if_no_paths",
		  "3 queue_if_no_path queue_if_no_pat queue_if_no_paths" },
		{ " pr_off  path_check   5 ",
		  "3 pr_off path_check 5", "4 queue_if_no_path pr_off path_check 5" },
	};
	char buf[256];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(prm_features_print(cases[i].words, false, buf,
						    sizeof(buf)),
				 strlen(cases[i].off));
		assert_string_equal(buf, cases[i].off);
		assert_int_equal(prm_features_print(cases[i].words, true, buf,
						    sizeof(buf)),
				 strlen(cases[i].on));
		assert_string_equal(buf, cases[i].on);
	}
}

/* A short buffer: nothing beyond it, an end mark, and the full length back. */
static void test_print_short(void **state)
{
	static const char words[] = "pr_key 16 pr_open forced,retain pr_poll 7";
	static const char full[] = "7 queue_if_no_path pr_key 16 pr_open forced,retain pr_poll 7";
	size_t size;

	(void)state;
	for (size = 0; size <= sizeof(full); size++) {
		char *buf = malloc(size);

		assert_true(buf || !size);
		assert_int_equal(prm_features_print(words, true, buf, size),
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
	assert_int_equal(prm_features_print(words, true, NULL, 0), strlen(full));
}

/* Generated lines */

static u32 seed;

static u32 pick(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (u32)((u64)seed * below >> 32);
}

struct generated {
	char feature[20][64];
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
	else
		g->want.flags &= ~flag;
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

static void add_flag(struct generated *g, const char *name, u32 flag)
{
	if (!pick(2))
		return;
	g->want.flags |= flag;
	add_feature(g, 1, "%s", name);
}

static void add_mapping(struct generated *g, bool one_path)
{
	static const u8 types[] = { 5, 6, 7, 8, 1, 3 };
	struct prm_features *f = &g->want;

	if (pick(2)) {
		f->type = types[pick(one_path ? 6 : 4)];
		if (pick(2))
			add_feature(g, 2, "pr_type %u", f->type);
		else
			add_feature(g, 2, "pr_type %s", pr_type_name(f->type));
	}
	add_options(g, "pr_open", &f->open);
	add_options(g, "pr_open_ro", &f->open_ro);
	add_number(g, "pr_timeout", 1, 110, &f->timeout_s);
	add_number(g, "pr_poll", 0, 3600, &f->poll_s);
	add_number(g, "pr_width", 0, 64, &f->width);
	add_flag(g, "pr_shared", PRM_F_SHARED);
	add_choice(g, "pr_register", "configure", "open", PRM_F_REGISTER_AT_OPEN);
	add_choice(g, "pr_twin", "fail", "trust", PRM_F_TWIN_TRUST);
	add_choice(g, "pr_abort", "required", "optional", PRM_F_ABORT_OPTIONAL);
	if (pick(2)) {
		f->aptpl = pick(2);
		add_feature(g, 2, "pr_aptpl %u", f->aptpl);
	}
}

/* No mapping, in the words of this file. */
static void generate_off(struct generated *g)
{
	struct prm_features off = no_mapping;

	off.flags = (g->want.flags & NOT_MAPPING) | PRM_F_OFF;
	off.path_check_s = g->want.path_check_s;
	off.pg_init_retries = g->want.pg_init_retries;
	off.pg_init_delay_ms = g->want.pg_init_delay_ms;
	g->want = off;
	add_feature(g, 1, "pr_off");
}

/* Features over @base; NULL: over the defaults. */
static void generate_features(struct generated *g,
			      const struct prm_features *base, bool one_path)
{
	struct prm_features *f = &g->want;
	u32 i, j;

	memset(g, 0, sizeof(*g));
	*f = base ? *base : no_mapping;
	f->flags &= ~PRM_F_OFF;
	f->given = 0;

	add_flag(g, pick(2) ? "queue_if_no_path" : "Queue_If_No_Path",
		 PRM_F_QUEUE_IF_NO_PATH);
	add_flag(g, "retain_attached_hw_handler", PRM_F_RETAIN_HANDLER);
	add_number(g, "pg_init_retries", 1, 50, &f->pg_init_retries);
	add_number(g, "pg_init_delay_msecs", 0, 60000, &f->pg_init_delay_ms);
	add_choice(g, "queue_mode", "bio", pick(2) ? "rq" : "MQ",
		   PRM_F_REQUEST_MODE);
	add_number(g, "path_check", 0, 3600, &f->path_check_s);
	if (!pick(6)) {
		generate_off(g);
	} else {
		if (pick(4)) {
			f->key = 1 + ((u64)pick(UINT32_MAX) << pick(33));
			add_feature(g, 2, pick(2) ? "pr_key 0x%llx" : "pr_key %llu",
				    (unsigned long long)f->key);
		}
		if (f->key)
			add_mapping(g, one_path);
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

/* A module default, for lines with one path or with any number. */
static void generate_base(struct prm_features *base, bool one_path)
{
	struct generated g;

	generate_features(&g, NULL, one_path);
	*base = g.want;
}

static char *generate_groups(char *end, u32 groups, u32 most, u32 *paths)
{
	static const struct {
		const char *name;
		u32 group_words;
		u32 path_words;
		bool mask;
	} choosers[] = {
		{ .name = "round-robin", .path_words = 1 },
		{ .name = "queue-length", .path_words = 1 },
		{ .name = "service-time", .path_words = 2 },
		{ .name = "historical-service-time", .group_words = 2, .path_words = 1 },
		{ .name = "io-affinity", .path_words = 1, .mask = true },
	};
	u32 total = 0, i, j, k;

	*end = '\0';
	for (i = 0; i < groups; i++) {
		u32 which = pick(ARRAY_SIZE(choosers));
		u32 count = 1 + pick(pick(3) ? (most < 3 ? most : 3) : most);
		u32 words = pick(choosers[which].group_words + 1);
		u32 path_words = pick(choosers[which].path_words + 1);

		if (choosers[which].mask)
			path_words = 1;
		end = append(end, " %s %u", choosers[which].name, words);
		for (j = 0; j < words; j++)
			end = append(end, " %u", pick(1024));
		end = append(end, " %u %u", count, path_words);
		for (j = 0; j < count; j++) {
			end = append(end, pick(2) ? " 8:%u" : " /dev/sd%u",
				     total++);
			for (k = 0; k < path_words; k++)
				end = append(end, " %u", 1 + pick(k ? 100 : 1000));
		}
	}
	*paths = total;
	return end;
}

/* A right line over @base, and the features that it should come out as. */
static void generate_line(char *line, const struct prm_features *base,
			  bool one_path, struct prm_features *want, u32 *paths)
{
	static const char * const handlers[] = { "0", "1 alua", "3 rdac a 1" };
	u32 groups = pick(one_path ? 2 : 5), i;
	char tail[LINE_LEN];
	struct generated g;

	generate_groups(tail, groups, one_path ? 1 : PRM_MAX_PATHS / 4, paths);
	generate_features(&g, base, one_path);

	line = append(line, "%u", g.feature_words);
	for (i = 0; i < g.features; i++)
		line = append(line, " %s", g.feature[i]);
	append(line, " %s %u %u%s", handlers[pick(3)], groups,
	       groups ? 1 + pick(groups) : pick(2), tail);
	*want = g.want;
}

#define GENERATED	20000

static void test_generated(void **state)
{
	struct prm_table *t = malloc(sizeof(*t));
	struct prm_features base, want, alone;
	char line[LINE_LEN], error[PRM_ERROR_LEN];
	struct split s;
	u32 i, paths;

	(void)state;
	assert_non_null(t);
	seed = 1;
	for (i = 0; i < GENERATED; i++) {
		bool has_base = pick(2), one_path = !pick(4);

		if (has_base)
			generate_base(&base, one_path);
		generate_line(line, has_base ? &base : NULL, one_path, &want,
			      &paths);
		check_round_trip(line, has_base ? &base : NULL, t, &s);
		assert_int_equal(t->paths, paths);
		want.given = t->features.given;
		assert_same_features(&t->features, &want);

		/* the words alone are the line without a default */
		if (!has_base) {
			assert_int_equal(prm_features_parse(&alone, t->feature_argc,
							    t->feature_argv, error), 0);
			assert_same_features(&alone, &want);
		}
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

		generate_line(line, NULL, !pick(4), &want, &paths);
		split_line(&s, line);
		for (n = 0; n < s.argc; n++) {
			char **cut = malloc(n * sizeof(*cut));

			assert_true(cut || !n);
			if (n)
				memcpy(cut, s.argv, n * sizeof(*cut));
			if (!prm_table_parse(t, n, cut, NULL, error))
				fail_msg("'%s' accepted with %u words", line, n);
			assert_non_null(strstr(error, "expected "));
			free(cut);
		}
		split_free(&s);

		strcat(line, " 8:4096");
		assert_int_equal(parse_line(line, NULL, t, &s, error), -EINVAL);
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
		"pr_shared", "pr_type", "pr_off", "queue_mode", "io-affinity",
		"service-time", "%s%n", "\xff",
	};
	struct prm_table *t = malloc(sizeof(*t));
	char line[LINE_LEN], joined[LINE_LEN], error[PRM_ERROR_LEN];
	struct prm_features want, default_of_module;
	u32 i, k, paths, accepted = 0;

	(void)state;
	assert_non_null(t);
	seed = 3;
	for (i = 0; i < GENERATED; i++) {
		const struct prm_features *base = NULL;
		struct split s;
		char *end = joined;

		if (pick(2)) {
			generate_base(&default_of_module, false);
			base = &default_of_module;
		}
		generate_line(line, NULL, !pick(4), &want, &paths);
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

		if (parse_line(joined, base, t, &s, error)) {
			assert_non_null(strstr(error, "expected "));
			split_free(&s);
			continue;
		}
		split_free(&s);
		accepted++;
		check_round_trip(joined, base, t, &s);
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
		cmocka_unit_test(test_right_words),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_wrong_base),
		cmocka_unit_test(test_wrong_words),
		cmocka_unit_test(test_right_lines),
		cmocka_unit_test(test_multipathd),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_print_short),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_cut_lines),
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
