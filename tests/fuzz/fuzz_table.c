// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words from an administrator: the table line, the module's feature words, open
 * options and numbers. What is refused is refused with an error that is whole
 * and names what was expected; what is accepted means the same when it is
 * printed and read again. What a good table is, the unit test knows already.
 */
#define main table_tests
#include "unit/test_table.c"
#undef main

#include "fuzz.h"

static void check_error(int r, const char error[PRM_ERROR_LEN])
{
	size_t len = strnlen(error, PRM_ERROR_LEN);

	if (!r) {
		ALWAYS(!len);
		return;
	}
	ALWAYS(r == -EINVAL);
	ALWAYS(len && len < PRM_ERROR_LEN - 1);
	ALWAYS(strstr(error, "expected"));
}

/* The words belong to the caller: a hash of them before and after. */
static u64 words_sum(const struct split *s)
{
	u64 sum = s->argc;
	const char *c;
	u32 i;

	for (i = 0; i < s->argc; i++)
		for (c = s->argv[i]; ; c++) {
			sum = sum * 0x100000001b3ULL + (u8)*c;
			if (!*c)
				break;
		}
	return sum;
}

static void fuzz_line(const char *line, const struct prm_features *base)
{
	struct prm_table *t = malloc(sizeof(*t));
	char error[PRM_ERROR_LEN];
	struct split s;
	u64 before;
	int r;

	ALWAYS(t);
	split_line(&s, line);
	before = words_sum(&s);
	memset(error, '#', sizeof(error));
	memset(t, 0xff, sizeof(*t));
	r = prm_table_parse(t, s.argc, s.argv, base, error);
	check_error(r, error);
	ALWAYS(words_sum(&s) == before);
	if (!r) {
		assert_sound(t);
		check_print(t, base, t->features.flags & PRM_F_QUEUE_IF_NO_PATH);
		check_print(t, base, !(t->features.flags & PRM_F_QUEUE_IF_NO_PATH));
	}
	split_free(&s);
	free(t);
}

static void fuzz_plain(const char *text)
{
	fuzz_line(text, NULL);
}

/* The module's default, a line feed, and a table line. */
static void fuzz_based(const char *text)
{
	char words[LINE_LEN], error[PRM_ERROR_LEN];
	const char *line = strchr(text, '\n');
	struct prm_features base;
	int r;

	snprintf(words, sizeof(words), "%.*s", line ? (int)(line - text) : -1, text);
	r = parse_words(words, &base, error);
	check_error(r, error);
	if (r)
		return;
	ALWAYS(!prm_options_check(base.open) && !prm_options_check(base.open_ro));
	ALWAYS(!base.key || !(base.flags & PRM_F_OFF));
	if (line)
		fuzz_line(line + 1, &base);
}

static u32 times(const char *words, const char *word)
{
	size_t len = strlen(word);
	u32 n = 0;

	for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
		size_t here = strcspn(words, " ");

		n += here == len && !strncasecmp(words, word, len);
		words += here;
	}
	return n;
}

/* What messages make of the feature words (queue_if_no_path comes and goes). */
static void fuzz_features_print(const char *words)
{
	static const char queue[] = "queue_if_no_path";
	char full[LINE_LEN], small[16];
	int on, len;

	for (on = 0; on < 2; on++) {
		u32 want = count_words(words) - times(words, queue);
		u32 queues = times(words, queue);

		/* As many as were there, or one. */
		queues = !on ? 0 : queues ? queues : 1;
		len = prm_features_print(words, on, full, sizeof(full));
		ALWAYS(len == (int)strlen(full) && full[len - 1] != ' ');
		ALWAYS(times(full, queue) == queues);
		ALWAYS(count_words(full) == 1 + want + queues);
		/* A table has the word once at most, and only then the number is it. */
		if (queues <= 1)
			ALWAYS(strtoul(full, NULL, 10) == want + queues);
		ALWAYS(prm_features_print(words, on, small, sizeof(small)) == len);
		ALWAYS(!strncmp(small, full, sizeof(small) - 1));
		ALWAYS(prm_features_print(words, on, NULL, 0) == len);
	}
}

static void fuzz_options(const char *words)
{
	char error[PRM_ERROR_LEN], printed[64], small[4];
	u32 bits = 0xdead0000, again = 0xdead0000;
	int r, len;

	memset(error, '#', sizeof(error));
	r = prm_options_parse(words, &bits, error);
	check_error(r, error);
	if (r) {
		ALWAYS(bits == 0xdead0000);
		return;
	}
	ALWAYS(!prm_options_check(bits));
	len = prm_options_print(bits, printed, sizeof(printed));
	ALWAYS(len == (int)strlen(printed) && len < (int)sizeof(printed));
	ALWAYS(!prm_options_parse(printed, &again, error) && again == bits);
	ALWAYS(prm_options_print(bits, small, sizeof(small)) == len);
	ALWAYS(!strncmp(small, printed, 3));
}

/* Bits from the control node. */
static void fuzz_bits(const char *text)
{
	u32 bits = 0;
	int valid;

	memcpy(&bits, text, strnlen(text, sizeof(bits)));
	valid = bits < 0x20 && (bits < 0x10 || bits == 0x10);
	ALWAYS(prm_options_check(bits) == (valid ? 0 : -EINVAL));
}

static void fuzz_number(const char *word)
{
	u64 value = 42, want = 0;
	const char *c = word;
	bool hex = c[0] == '0' && (c[1] == 'x' || c[1] == 'X');
	bool good;

	c += hex ? 2 : 0;
	good = *c && strspn(c, hex ? "0123456789abcdefABCDEF" : "0123456789") == strlen(c);
	if (good) {
		errno = 0;
		want = strtoull(word, NULL, hex ? 16 : 10);
		good = !errno;
	}
	ALWAYS(path_number(word, &value) == good);
	ALWAYS(value == (good ? want : 42));
}

static void (*const modes[])(const char *text) = {
	fuzz_plain, fuzz_based, fuzz_features_print, fuzz_options, fuzz_bits, fuzz_number,
};

/* A letter for the mode, then text: ends where its allocation ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size || size >= LINE_LEN / 4)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	ALWAYS(text);
	modes[data[0] % ARRAY_SIZE(modes)](text);
	free(text);
	return 0;
}
