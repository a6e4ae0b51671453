// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line and open options: one table of features, one of options,
 * and a reader that complains about the first wrong word by name.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/stdarg.h>
#include <linux/stddef.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#ifndef __printf
#define __printf(...)	/* the kernel build checks the formats */
#endif
#endif

#include "table.h"
#include "uapi/prmpath.h"

/* A buffer being printed to; @len grows on beyond @size, like snprintf's. */
struct text {
	char *buf;
	size_t size;
	size_t len;
};

static void __printf(2, 0) vprint(struct text *t, const char *fmt, va_list args)
{
	size_t room = t->len < t->size ? t->size - t->len : 0;

	t->len += vsnprintf(room ? t->buf + t->len : NULL, room, fmt, args);
}

static void __printf(2, 3) print(struct text *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprint(t, fmt, args);
	va_end(args);
}

/* What the next error is about, such as "pr_poll: "; printed in advance. */
static void __printf(2, 3) context(struct text *error, const char *fmt, ...)
{
	va_list args;

	error->len = 0;
	va_start(args, fmt);
	vprint(error, fmt, args);
	va_end(args);
}

/* Words are cut in errors so that what was expected always has room. */
static int __printf(2, 3) fail(struct text *error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprint(error, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Open options */

static const struct {
	const char *name;
	u32 bit;
} options[] = {
	{ "forced",	PRM_OPEN_FORCED },
	{ "retain",	PRM_OPEN_RETAIN },
	{ "no_reserve",	PRM_OPEN_NO_RESERVE },
	{ "single",	PRM_OPEN_SINGLE },
	{ "bypass",	PRM_OPEN_BYPASS },
};

#define OPTION_DEFAULT	"default"

/**
 * prm_options_check - are these option bits a valid set
 * @bits: PRM_OPEN_* bits, from anywhere
 *
 * Return: 0, or -EINVAL for unknown bits and for bypass with company.
 */
int prm_options_check(u32 bits)
{
	if (bits & ~PRM_OPEN_ALL)
		return -EINVAL;
	if ((bits & PRM_OPEN_BYPASS) && bits != PRM_OPEN_BYPASS)
		return -EINVAL;
	return 0;
}

static u32 option_bit(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == len &&
		    !memcmp(options[i].name, word, len))
			return options[i].bit;
	return 0;
}

static int options_parse(const char *words, u32 *bits, struct text *error)
{
	const char *word = words;
	u32 found = 0;

	if (!strcmp(words, OPTION_DEFAULT)) {
		*bits = 0;
		return 0;
	}

	for (;;) {
		size_t len = strcspn(word, ",");
		u32 bit = option_bit(word, len);

		if (!bit)
			return fail(error,
				    "'%.*s' is no open option, expected default, bypass, or some of forced,retain,no_reserve,single",
				    len < 32 ? (int)len : 32, word);
		if (found & bit)
			return fail(error, "'%.*s' is given twice, expected it once",
				    (int)len, word);
		found |= bit;
		if (!word[len])
			break;
		word += len + 1;
	}

	/* Every bit found is a known one: this is about bypass. */
	if (prm_options_check(found))
		return fail(error, "'%.48s' is contradictory, expected bypass alone",
			    words);
	*bits = found;
	return 0;
}

/**
 * prm_options_parse - open options from words to bits
 * @words: "default", or options with commas between them
 * @bits: PRM_OPEN_* bits; untouched on error
 * @error: what is wrong with which word
 *
 * Return: 0 or -EINVAL.
 */
int prm_options_parse(const char *words, u32 *bits, char error[PRM_ERROR_LEN])
{
	struct text text = { .buf = error, .size = PRM_ERROR_LEN };

	error[0] = '\0';
	return options_parse(words, bits, &text);
}

static void options_print(struct text *t, u32 bits)
{
	const char *comma = "";
	size_t i;

	if (!(bits & PRM_OPEN_ALL)) {
		print(t, OPTION_DEFAULT);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (!(bits & options[i].bit))
			continue;
		print(t, "%s%s", comma, options[i].name);
		comma = ",";
	}
}

/**
 * prm_options_print - open options from bits to words
 * @bits: PRM_OPEN_* bits
 * @buf: for the words, in a fixed order
 * @size: of @buf
 *
 * Return: the length of the words, like snprintf.
 */
int prm_options_print(u32 bits, char *buf, size_t size)
{
	struct text text = { .buf = buf, .size = size };

	options_print(&text, bits);
	return text.len;
}

/* Features */

#define QUEUE_IF_NO_PATH	"queue_if_no_path"

/**
 * struct feature - a feature word of the table line
 * @name: the word
 * @values: number of words that follow it
 * @parse: takes the values; NULL: there is none and @flag says it all
 * @mapping: of the PR mapping, makes no sense without a key
 * @flag: PRM_F_* bit of flags and choices
 * @words: of a choice: bit clear, and one or two for bit set
 * @offset: where the value is stored, in struct prm_features
 * @min: smallest number
 * @max: largest number
 */
struct feature {
	const char *name;
	u32 values;
	int (*parse)(const struct feature *feature, struct prm_features *f,
		     char **value, struct text *error);
	bool mapping;
	u32 flag;
	const char *words[3];
	size_t offset;
	u32 min;
	u32 max;
};

static void *field_of(const struct feature *feature, struct prm_features *f)
{
	return (char *)f + feature->offset;
}

static int read_number(const char *word, u32 min, u32 max, u32 *value,
		       struct text *error)
{
	u64 n;

	if (!path_number(word, &n))
		return fail(error, "'%.32s' is no number, expected %u to %u",
			    word, min, max);
	if (n < min || n > max)
		return fail(error, "'%.32s' is out of range, expected %u to %u",
			    word, min, max);
	*value = n;
	return 0;
}

static int parse_number(const struct feature *feature, struct prm_features *f,
			char **value, struct text *error)
{
	return read_number(value[0], feature->min, feature->max,
			   field_of(feature, f), error);
}

static int parse_options(const struct feature *feature, struct prm_features *f,
			 char **value, struct text *error)
{
	return options_parse(value[0], field_of(feature, f), error);
}

static int parse_choice(const struct feature *feature, struct prm_features *f,
			char **value, struct text *error)
{
	u32 *flags = field_of(feature, f);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(feature->words) && feature->words[i]; i++) {
		if (strcasecmp(value[0], feature->words[i]))
			continue;
		/* Both ways: the default may have had the other word. */
		if (i)
			*flags |= feature->flag;
		else
			*flags &= ~feature->flag;
		return 0;
	}

	fail(error, "'%.32s' is no choice, expected", value[0]);
	for (i = 0; i < ARRAY_SIZE(feature->words) && feature->words[i]; i++)
		print(error, "%s %s", i ? " or" : "", feature->words[i]);
	return -EINVAL;
}

static int parse_key(const struct feature *feature, struct prm_features *f,
		     char **value, struct text *error)
{
	u64 *key = field_of(feature, f);

	if (!path_number(value[0], key) || !*key)
		return fail(error,
			    "'%.32s' is no key, expected a number of 64 bits other than 0, such as 0xabc1",
			    value[0]);
	return 0;
}

static const u8 types[] = {
	PR_TYPE_WRITE_EXCLUSIVE_RO,
	PR_TYPE_EXCLUSIVE_ACCESS_RO,
	PR_TYPE_WRITE_EXCLUSIVE_AR,
	PR_TYPE_EXCLUSIVE_ACCESS_AR,
	PR_TYPE_WRITE_EXCLUSIVE,
	PR_TYPE_EXCLUSIVE_ACCESS,
};

/* Whether a type belongs to the one nexus that reserved (rule 5.8, E13). */
static bool type_is_one_path(u8 type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE ||
	       type == PR_TYPE_EXCLUSIVE_ACCESS;
}

static int parse_type(const struct feature *feature, struct prm_features *f,
		      char **value, struct text *error)
{
	u8 *type = field_of(feature, f);
	u64 number = 0;
	size_t i;

	path_number(value[0], &number);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (number != types[i] &&
		    strcmp(value[0], pr_type_name(types[i])))
			continue;
		*type = types[i];
		return 0;
	}
	return fail(error,
		    "'%.32s' is no reservation type, expected 5, 6, 7, 8 (1 and 3 with one path)",
		    value[0]);
}

static int parse_aptpl(const struct feature *feature, struct prm_features *f,
		       char **value, struct text *error)
{
	bool *aptpl = field_of(feature, f);
	u32 number = *aptpl;
	int r;

	r = read_number(value[0], 0, 1, &number, error);
	if (!r)
		*aptpl = number;
	return r;
}

#define VALUE(kind, field)						\
	.values = 1, .parse = parse_##kind,				\
	.offset = offsetof(struct prm_features, field)
#define NUMBER(field, low, high)					\
	VALUE(number, field), .min = low, .max = high
#define CHOICE(bit, ...)						\
	VALUE(choice, flags), .flag = bit, .words = { __VA_ARGS__ }

/*
 * Those of dm-multipath come first. prm_features.given has a bit for each.
 */
static const struct feature features[] = {
	{ QUEUE_IF_NO_PATH, .flag = PRM_F_QUEUE_IF_NO_PATH },
	{ "retain_attached_hw_handler", .flag = PRM_F_RETAIN_HANDLER },
	{ "pg_init_retries", NUMBER(pg_init_retries, 1, 50) },
	{ "pg_init_delay_msecs", NUMBER(pg_init_delay_ms, 0, 60000) },
	{ "queue_mode", CHOICE(PRM_F_REQUEST_MODE, "bio", "rq", "mq") },
	{ "path_check", NUMBER(path_check_s, 0, 3600) },
	{ "pr_off", .flag = PRM_F_OFF },
	{ "pr_key", VALUE(key, key), .mapping = true },
	{ "pr_type", VALUE(type, type), .mapping = true },
	{ "pr_open", VALUE(options, open), .mapping = true },
	{ "pr_open_ro", VALUE(options, open_ro), .mapping = true },
	{ "pr_timeout", NUMBER(timeout_s, 1, 110), .mapping = true },
	{ "pr_poll", NUMBER(poll_s, 0, 3600), .mapping = true },
	{ "pr_shared", .flag = PRM_F_SHARED, .mapping = true },
	{ "pr_register", CHOICE(PRM_F_REGISTER_AT_OPEN, "configure", "open"),
	  .mapping = true },
	{ "pr_width", NUMBER(width, 0, PRM_MAX_PATHS), .mapping = true },
	{ "pr_twin", CHOICE(PRM_F_TWIN_TRUST, "fail", "trust"),
	  .mapping = true },
	{ "pr_aptpl", VALUE(aptpl, aptpl), .mapping = true },
	{ "pr_abort", CHOICE(PRM_F_ABORT_OPTIONAL, "required", "optional"),
	  .mapping = true },
};

static const struct prm_features feature_defaults = {
	.type = PR_TYPE_WRITE_EXCLUSIVE_RO,
	.aptpl = true,
	.open_ro = PRM_OPEN_BYPASS,
	.poll_s = 5,
	.pg_init_delay_ms = PRM_PG_INIT_DELAY_MS,
};

/* Names in any case, as dm-multipath takes them. */
static const struct feature *feature_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (!strcasecmp(features[i].name, name))
			return &features[i];
	return NULL;
}

static int fail_no_feature(const char *word, struct text *error)
{
	size_t i;

	context(error, "features: '%.32s' is no feature, expected", word);
	for (i = 0; i < ARRAY_SIZE(features); i++)
		print(error, " %s", features[i].name);
	return -EINVAL;
}

/* The words of the line that are not read yet. */
struct words {
	unsigned int left;
	char **next;
};

static char *take(struct words *w)
{
	w->left--;
	return *w->next++;
}

/* Read a number; @error has its context already. */
static int take_number(struct words *w, u32 min, u32 max, u32 *value,
		       struct text *error)
{
	if (!w->left)
		return fail(error, "the line ends here, expected %u to %u",
			    min, max);
	return read_number(take(w), min, max, value, error);
}

/* The number of words that follow, and have to be there. */
static int take_count(struct words *w, u32 *value, struct text *error)
{
	u64 n;

	if (!w->left)
		return fail(error, "the line ends here, expected a number");
	if (!path_number(*w->next, &n))
		return fail(error, "'%.32s' is no number, expected one", *w->next);
	if (n > w->left - 1)
		return fail(error, "'%.32s' is more than the line has, expected at most %u",
			    *w->next, w->left - 1);
	*value = n;
	take(w);
	return 0;
}

/* Cut @count words off @w. */
static struct words take_words(struct words *w, u32 count)
{
	struct words cut = { .left = count, .next = w->next };

	w->left -= count;
	w->next += count;
	return cut;
}

static int parse_feature(struct prm_features *f, struct words *w,
			 struct text *error)
{
	const char *name = take(w);
	const struct feature *feature = feature_find(name);
	u32 bit;
	int r;

	if (!feature)
		return fail_no_feature(name, error);

	context(error, "%s: ", feature->name);
	bit = 1U << (feature - features);
	if (f->given & bit)
		return fail(error, "given twice, expected it once");
	if (w->left < feature->values)
		return fail(error, "the features end here, expected its value");

	if (feature->parse) {
		r = feature->parse(feature, f, w->next, error);
		if (r)
			return r;
	} else {
		f->flags |= feature->flag;
	}
	take_words(w, feature->values);
	f->given |= bit;
	return 0;
}

/* Flags that are not about the PR mapping. */
#define PRM_F_PLAIN	(PRM_F_QUEUE_IF_NO_PATH | PRM_F_RETAIN_HANDLER |	\
			 PRM_F_REQUEST_MODE | PRM_F_OFF)

static void drop_mapping(struct prm_features *f)
{
	struct prm_features off = feature_defaults;

	off.path_check_s = f->path_check_s;
	off.pg_init_retries = f->pg_init_retries;
	off.pg_init_delay_ms = f->pg_init_delay_ms;
	off.flags = f->flags & PRM_F_PLAIN;
	off.given = f->given;
	*f = off;
}

/*
 * Without a key, or with pr_off, there is no PR mapping: words about it are
 * an error in the line, and void where the default has them.
 */
static int check_mapping(struct prm_features *f, struct text *error)
{
	bool off = f->flags & PRM_F_OFF;
	size_t i;

	if (f->key && !off)
		return 0;
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (!features[i].mapping || !(f->given & (1U << i)))
			continue;
		context(error, off ?
			"%s together with pr_off, expected one of the two" :
			"%s without pr_key, expected pr_key and a key",
			features[i].name);
		return -EINVAL;
	}
	drop_mapping(f);
	return 0;
}

static int parse_words(struct prm_features *f, struct words w,
		       const struct prm_features *base, struct text *error)
{
	int r;

	*f = base ? *base : feature_defaults;
	f->given = 0;
	/* A default that is off has no key to drop, and leaves the line its own. */
	f->flags &= ~PRM_F_OFF;

	while (w.left) {
		r = parse_feature(f, &w, error);
		if (r)
			return r;
	}
	return check_mapping(f, error);
}

static int parse_features(struct prm_table *t, struct words *w,
			  const struct prm_features *base, struct text *error)
{
	struct words mine;
	int r;

	context(error, "number of features: ");
	r = take_count(w, &t->feature_argc, error);
	if (r)
		return r;

	mine = take_words(w, t->feature_argc);
	t->feature_argv = mine.next;
	r = parse_words(&t->features, mine, base, error);
	if (r)
		return r;

	/* The likeliest slip deserves better than "no number". */
	if (w->left && feature_find(*w->next)) {
		context(error,
			"number of features: '%u' leaves out '%.32s', expected a count of all their words",
			t->feature_argc, *w->next);
		return -EINVAL;
	}
	return 0;
}

static int parse_hw_handler(struct prm_table *t, struct words *w,
			    struct text *error)
{
	struct words mine;
	u32 count;
	int r;

	context(error, "number of hardware handler words: ");
	r = take_count(w, &count, error);
	if (r || !count)
		return r;

	mine = take_words(w, count);
	t->hw_handler = take(&mine);
	t->hw_argc = mine.left;
	t->hw_argv = mine.next;
	return 0;
}

/* What a selector said about the last of @count words. */
static int fail_word(struct text *error, u32 count, char **word,
		     const char *expected)
{
	if (!count)
		return fail(error, "no word, expected %s", expected);
	return fail(error, "'%.32s' is wrong, expected %s", word[count - 1],
		    expected);
}

static int parse_selector(struct prm_group_line *group, u32 number,
			  struct words *w, struct text *error)
{
	const struct path_selector *selector, *s;
	const char *expected = NULL;
	struct words mine;
	const char *name;
	u32 i, most;
	int r;

	context(error, "group %u: ", number);
	if (!w->left)
		return fail(error, "the line ends here, expected a path selector");

	name = take(w);
	selector = path_selector_find(name);
	if (!selector) {
		fail(error, "'%.32s' is no path selector, expected", name);
		for (i = 0; (s = path_selector_at(i)); i++)
			print(error, "%s %s", i ? " or" : "", s->name);
		return -EINVAL;
	}

	group->selector = selector;
	context(error, "group %u: number of selector words: ", number);
	r = take_count(w, &group->words, error);
	if (r)
		return r;
	most = selector->group_args ? selector->group_words : 0;
	if (group->words > most)
		return fail(error, "'%u' is too many, expected at most %u",
			    group->words, most);

	if (!selector->group_args)
		return 0;

	mine = take_words(w, group->words);
	context(error, "group %u: %s: ", number, selector->name);
	/* One word more each time, so that the error names the wrong one. */
	for (i = mine.left ? 1 : 0; i <= mine.left; i++)
		if (selector->group_args(&group->args, i, mine.next, &expected))
			return fail_word(error, i, mine.next, expected);
	return 0;
}

static int parse_path(struct prm_table *t, u32 group, struct words *w,
		      struct text *error)
{
	const struct path_selector *selector = t->group[group].selector;
	struct prm_path_line *path = &t->path[t->paths];
	const char *expected = NULL;
	struct words mine;
	u32 i;

	path->name = take(w);
	path->group = group;
	context(error, "group %u: path '%.32s': ", group + 1, path->name);
	for (i = 0; i < t->paths; i++)
		if (!strcmp(t->path[i].name, path->name))
			return fail(error, "already in group %u, expected every path once",
				    t->path[i].group + 1);

	mine = take_words(w, t->group[group].path_words);
	path->slot.path = t->paths;
	for (i = mine.left ? 1 : 0; i <= mine.left; i++)
		if (selector->path_args(&path->slot, i, mine.next, &expected))
			return fail_word(error, i, mine.next, expected);
	t->paths++;
	return 0;
}

static int parse_group(struct prm_table *t, u32 index, struct words *w,
		       struct text *error)
{
	struct prm_group_line *group = &t->group[index];
	u32 number = index + 1;
	u32 i;
	int r;

	r = parse_selector(group, number, w, error);
	if (r)
		return r;

	context(error, "group %u: number of paths: ", number);
	r = take_number(w, 1, PRM_MAX_PATHS, &group->paths, error);
	if (r)
		return r;
	if (group->paths > PRM_MAX_PATHS - t->paths)
		return fail(error, "'%u' makes %u in all, expected at most %u",
			    group->paths, t->paths + group->paths, PRM_MAX_PATHS);

	context(error, "group %u: number of path words: ", number);
	r = take_number(w, 0, group->selector->path_words, &group->path_words,
			error);
	if (r)
		return r;

	/* Both counts are small by now: no overflow. */
	context(error, "group %u: paths: ", number);
	if (w->left < group->paths * (1 + group->path_words))
		return fail(error, "the line has %u more words, expected %u",
			    w->left, group->paths * (1 + group->path_words));

	group->first_path = t->paths;
	for (i = 0; i < group->paths; i++) {
		r = parse_path(t, index, w, error);
		if (r)
			return r;
	}
	return 0;
}

static int parse_groups(struct prm_table *t, struct words *w,
			struct text *error)
{
	u32 i;
	int r;

	context(error, "number of groups: ");
	r = take_number(w, 0, PRM_MAX_GROUPS, &t->groups, error);
	if (r)
		return r;

	/* Without a group both 0 and 1 are in use by those who write tables. */
	context(error, "initial group: ");
	r = take_number(w, t->groups ? 1 : 0, t->groups ? t->groups : 1,
			&t->initial_group, error);
	if (r)
		return r;
	if (!t->groups)
		t->initial_group = 0;

	for (i = 0; i < t->groups; i++) {
		r = parse_group(t, i, w, error);
		if (r)
			return r;
	}

	context(error, "end of the line: ");
	if (w->left)
		return fail(error, "'%.32s' is left over, expected nothing (number of groups: %u)",
			    *w->next, t->groups);
	return 0;
}

static int check_type(const struct prm_table *t, struct text *error)
{
	if (t->paths <= 1 || !type_is_one_path(t->features.type))
		return 0;
	context(error, "pr_type: '%u' is for one path and the line has %u, expected 5, 6, 7 or 8",
		t->features.type, t->paths);
	return -EINVAL;
}

/**
 * prm_table_parse - read a whole table line
 * @t: the result; its strings point into @argv
 * @argc: number of words
 * @argv: the words after the target's name
 * @base: features that hold where the line says nothing, NULL for none
 * @error: which word is wrong, why, and what was expected; empty on success
 *
 * Return: 0 or -EINVAL.
 */
int prm_table_parse(struct prm_table *t, unsigned int argc, char **argv,
		    const struct prm_features *base, char error[PRM_ERROR_LEN])
{
	struct text text = { .buf = error, .size = PRM_ERROR_LEN };
	struct words words = { .left = argc, .next = argv };
	int r;

	memset(t, 0, sizeof(*t));
	r = parse_features(t, &words, base, &text);
	if (!r)
		r = parse_hw_handler(t, &words, &text);
	if (!r)
		r = parse_groups(t, &words, &text);
	if (!r)
		r = check_type(t, &text);
	/* Contexts are printed in advance. */
	if (!r)
		error[0] = '\0';
	return r;
}

/**
 * prm_features_parse - read feature words that stand alone
 * @f: the result
 * @argc: number of words, 0 for the defaults
 * @argv: the words, without their number in front
 * @error: which word is wrong, why, and what was expected; empty on success
 *
 * Return: 0 or -EINVAL.
 */
int prm_features_parse(struct prm_features *f, unsigned int argc, char **argv,
		       char error[PRM_ERROR_LEN])
{
	struct text text = { .buf = error, .size = PRM_ERROR_LEN };
	struct words words = { .left = argc, .next = argv };
	int r;

	r = parse_words(f, words, NULL, &text);
	if (!r)
		error[0] = '\0';
	return r;
}

/* Step over blanks to a word; its length, 0 at the end. */
static size_t find_word(const char **at)
{
	*at += strspn(*at, " ");
	return strcspn(*at, " ");
}

/* No feature has a value that looks like this name. */
static bool is_queue_word(const char *word, size_t len)
{
	return len == strlen(QUEUE_IF_NO_PATH) &&
	       !strncasecmp(word, QUEUE_IF_NO_PATH, len);
}

/**
 * prm_features_print - the feature part of a table line
 * @words: as written, with blanks between them
 * @queue_if_no_path: its present state, which messages change
 * @buf: for "<#words> <word>..."
 * @size: of @buf
 *
 * Return: the length of the text, like snprintf.
 */
int prm_features_print(const char *words, bool queue_if_no_path,
		       char *buf, size_t size)
{
	struct text text = { .buf = buf, .size = size };
	bool missing = queue_if_no_path;
	const char *at;
	u32 count = 0;
	size_t len;

	for (at = words; (len = find_word(&at)); at += len) {
		if (!is_queue_word(at, len))
			count++;
		else
			missing = false;
	}
	count += queue_if_no_path;

	print(&text, "%u", count);
	if (missing)
		print(&text, " " QUEUE_IF_NO_PATH);
	for (at = words; (len = find_word(&at)); at += len)
		if (queue_if_no_path || !is_queue_word(at, len))
			print(&text, " %.*s", (int)len, at);
	return text.len;
}
