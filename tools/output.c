// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables and JSON of the prmpath command, by libsmartcols.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"

/* Raised when a JSON member goes away or changes its meaning ... */
#define JSON_MAJOR	1
/* ... and when one is added. */
#define JSON_MINOR	1

static int out_add(struct out *out, const char *name, size_t len)
{
	const struct out_column *col;
	size_t i;
	size_t j;

	for (i = 0; (col = out->column(i)); i++)
		if (strlen(col->name) == len && !strncasecmp(col->name, name, len))
			break;
	if (!col) {
		complain("%s: unknown column '%.*s': expected some of those that --help lists",
			 out->command, (int)len, name);
		return try_help();
	}
	/* Twice the same member would not be JSON. */
	for (j = 0; j < out->count; j++) {
		if (out->shown[j] != i)
			continue;
		complain("%s: column %s twice", out->command, col->name);
		return try_help();
	}
	out->shown[out->count++] = i;
	return 0;
}

int out_choose(struct out *out, const char *list)
{
	size_t len;
	int r;

	out->count = 0;
	if (!list) {
		while (out->column(out->count)) {
			out->shown[out->count] = out->count;
			out->count++;
		}
		return 0;
	}
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		r = out_add(out, list, len);
		if (r || !list[len])
			return r;
	}
}

int out_take(struct out *out, int value, const char *arg)
{
	switch (value) {
	case 'J':
		out->json = true;
		break;
	case 'n':
		out->no_headings = true;
		break;
	case 'o':
		return out_choose(out, arg);
	case 'O':
		return out_choose(out, NULL);
	}
	return 0;
}

int out_begin(struct out *out)
{
	size_t i;

	out->table = scols_new_table();
	if (!out->table)
		return fail_no_memory();
	scols_table_enable_json(out->table, out->json);
	scols_table_enable_noheadings(out->table, out->no_headings);
	if (scols_table_set_name(out->table, out->list))
		goto bad;
	for (i = 0; i < out->count; i++) {
		const struct out_column *col = out->column(out->shown[i]);
		struct libscols_column *cl;
		int flags = col->right ? SCOLS_FL_RIGHT : 0;

		/* One tree column whatever is chosen: it gives JSON its shape. */
		if (!i && out->tree)
			flags = SCOLS_FL_TREE;
		cl = scols_table_new_column(out->table, col->name, 0, flags);
		if (!cl || scols_column_set_json_type(cl, col->json))
			goto bad;
	}
	return 0;

bad:
	scols_unref_table(out->table);
	out->table = NULL;
	return fail_no_memory();
}

struct libscols_line *out_row(struct out *out, struct libscols_line *parent,
			      char *(*cell)(size_t column, bool json, const void *row),
			      const void *row)
{
	struct libscols_line *line = scols_table_new_line(out->table, parent);
	size_t i;

	for (i = 0; line && i < out->count; i++) {
		char *text = cell(out->shown[i], out->json, row);

		if (text && out->json)
			make_utf8(text);
		if (text && scols_line_refer_data(line, i, text)) {
			free(text);
			return NULL;
		}
	}
	return line;
}

/* libsmartcols prints {"devices": [...]}: our version goes in front. */
static int print_json(const struct out *out)
{
	char *text = NULL;
	const char *rest = NULL;

	if (!scols_table_is_empty(out->table)) {
		if (scols_print_table_to_string(out->table, &text))
			return -1;
		rest = strchr(text, '{');
		if (!rest) {
			free(text);
			return -1;
		}
		rest++;
		rest += strspn(rest, "\n ");
	}
	printf("{\n   \"output_version\": {\n      \"command\": \"prmpath %s\",\n"
	       "      \"major\": %d,\n      \"minor\": %d\n   },\n   ",
	       out->command, JSON_MAJOR, JSON_MINOR);
	if (text)
		printf("%s\n", rest);
	else
		printf("\"%s\": []\n}\n", out->list);
	free(text);
	return 0;
}

static int print_out(const struct out *out)
{
	if (out->json)
		return print_json(out);
	return scols_table_is_empty(out->table) ? 0 : scols_print_table(out->table);
}

int out_end(struct out *out, int code)
{
	if (print_out(out)) {
		complain("cannot print the table");
		code = code ? code : EXIT_FAILURE;
	}
	scols_unref_table(out->table);
	out->table = NULL;
	return code;
}

void out_help(const struct out_column *(*column)(size_t i), const char *defaults)
{
	const struct out_column *col;
	size_t i;

	puts("\nColumns:");
	for (i = 0; (col = column(i)); i++)
		printf("  %-14s %s\n", col->name, col->help);
	printf("  By default: %s; with --json: all.\n", defaults);
}

/* For JSON a bool is a number column's bare word: that leaves null possible. */
char *bool_cell(bool value, bool json)
{
	if (json)
		return text_of("%s", value ? "true" : "false");
	return text_of("%s", value ? "yes" : "no");
}

/* The length of the UTF-8 character at @s; 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first, last;	/* range of the lead byte */
		unsigned char low, high;	/* range of the second byte */
		size_t len;
	} forms[] = {
		{ 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t i;
	size_t j;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		if (s[0] >= forms[i].first && s[0] <= forms[i].last)
			break;
	if (i == ARRAY_SIZE(forms) || s[1] < forms[i].low || s[1] > forms[i].high)
		return 0;
	for (j = 2; j < forms[i].len; j++)
		if ((s[j] & 0xc0) != 0x80)
			return 0;
	return forms[i].len;
}

/* JSON and metrics are UTF-8; device-mapper takes any byte for a name. */
void make_utf8(char *text)
{
	size_t len;

	for (; *text; text += len ? len : 1) {
		len = utf8_len((unsigned char *)text);
		if (!len)
			*text = '?';
	}
}
