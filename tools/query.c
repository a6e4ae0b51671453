// SPDX-License-Identifier: GPL-2.0-only
/*
 * Subcommands about the reservation alone: query, release and clear.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"

/*
 * prmpath query
 */

/* Exit statuses of its own, for scripts. */
enum {
	QUERY_OURS = 0,
	QUERY_OTHER = 1,
	QUERY_UNKNOWN = 2,
};

/* Of 200 ms each: as long as device-mapper tries to remove what is open. */
#define RELEASE_NAPS	25

static const char * const owner_names[] = {
	[PRM_OWNER_NOBODY] = "free",
	[PRM_OWNER_US] = "ours",
	[PRM_OWNER_OTHER] = "other",
};

struct query_row {
	const char *dev;
	const struct prm_reservation *r;
};

static char *query_device(const struct query_row *row)
{
	return text_of("%s", row->dev);
}

static char *query_owner(const struct query_row *row)
{
	return text_of("%s", owner_names[row->r->owner]);
}

static char *query_holder(const struct query_row *row)
{
	return row->r->held ? text_of("0x%016" PRIx64, row->r->holder) : NULL;
}

static char *query_type(const struct query_row *row)
{
	return row->r->held ? text_of("%s", row->r->type_name) : NULL;
}

static char *query_generation(const struct query_row *row)
{
	return text_of("%" PRIu32, row->r->generation);
}

static char *query_own(const struct query_row *row)
{
	return text_of("%" PRIu32, row->r->own);
}

static char *query_foreign(const struct query_row *row)
{
	return text_of("%" PRIu32, row->r->foreign);
}

static char *query_keys(const struct query_row *row)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	size_t i;

	for (i = 0; f && i < row->r->keys; i++)
		fprintf(f, "%s0x%016" PRIx64, i ? " " : "", row->r->key[i]);
	if (f)
		fclose(f);
	return text;
}

static const struct {
	struct out_column out;
	char *(*cell)(const struct query_row *row);
} query_columns[] = {
	{ { "NAME", "the device as given", SCOLS_JSON_STRING, false }, query_device },
	{ { "OWNER", "free, ours or other", SCOLS_JSON_STRING, false }, query_owner },
	{ { "HOLDER", "the holder's key", SCOLS_JSON_STRING, false }, query_holder },
	{ { "TYPE", "of the reservation", SCOLS_JSON_STRING, false }, query_type },
	{ { "GENERATION", "PRgeneration", SCOLS_JSON_NUMBER, true }, query_generation },
	{ { "KEYS_OWN", "registrations with this host's key", SCOLS_JSON_NUMBER, true },
	  query_own },
	{ { "KEYS_FOREIGN", "registrations with other keys", SCOLS_JSON_NUMBER, true },
	  query_foreign },
	{ { "KEYS", "every registration's key", SCOLS_JSON_STRING, false }, query_keys },
};

static const struct out_column *query_column(size_t i)
{
	return i < ARRAY_SIZE(query_columns) ? &query_columns[i].out : NULL;
}

static char *query_cell(size_t column, bool json, const void *row)
{
	(void)json;
	return query_columns[column].cell(row);
}

void help_query(void)
{
	out_help(query_column, "a word (free, ours, other) and the other host's key");
	puts("\nExit status of query: 0 free or ours, 1 another host's, 2 could not tell.");
}

struct query_request {
	struct out out;
	bool quiet;
};

static int take_query_option(int value, const char *arg, void *to)
{
	struct query_request *request = to;

	if (value == 'q')
		request->quiet = true;
	return out_take(&request->out, value, arg);
}

static void print_owner(const struct prm_reservation *r)
{
	if (r->owner == PRM_OWNER_OTHER)
		printf("%s 0x%016" PRIx64 "\n", owner_names[r->owner], r->holder);
	else
		puts(owner_names[r->owner]);
}

static int query_print(struct query_request *request, const char *dev,
		       const struct prm_reservation *r)
{
	const struct query_row row = { dev, r };
	int code = 0;

	if (request->quiet)
		return 0;
	if (!request->out.count && !request->out.json) {
		if (r)
			print_owner(r);
		return 0;
	}
	if (!request->out.count)
		out_choose(&request->out, NULL);
	if (out_begin(&request->out))
		return QUERY_UNKNOWN;
	if (r && !out_row(&request->out, NULL, query_cell, &row))
		code = fail_no_memory();
	return out_end(&request->out, code) ? QUERY_UNKNOWN : 0;
}

int run_query(const struct command *cmd, int argc, char **argv)
{
	struct query_request request = {
		.out = { .command = cmd->name, .list = "devices", .column = query_column },
	};
	struct prm_reservation *r;
	struct prm_error err = { 0 };
	const char *dev;
	int code;

	code = parse_device(cmd, argc, argv, take_query_option, &request, &dev);
	/* Help that is lost is no answer of "another host's" either. */
	if (code)
		return code < 0 && !lost_output() ? EXIT_SUCCESS : QUERY_UNKNOWN;
	dm_be_quiet();
	klog_begin();
	r = prm_reservation_get(dev, &err);
	if (!r) {
		exit_of_error(dev, &err);
		klog_tell();
	}
	code = query_print(&request, dev, r);
	/* Output that is lost tells nobody anything. */
	if (!r || code || lost_output())
		code = QUERY_UNKNOWN;
	else
		code = r->owner == PRM_OWNER_OTHER ? QUERY_OTHER : QUERY_OURS;
	prm_reservation_free(r);
	return code;
}

/*
 * prmpath release
 */

static int take_flag(int value, const char *arg, void *to)
{
	(void)arg;
	*(int *)to = value;
	return 0;
}

/* Somebody has it open in earnest: with a session of opens the module lets nothing go. */
static bool in_session(const char *dev)
{
	struct prm_status *st = prm_status_get(dev, NULL);
	bool in = st && (st->state == PRM_STATE_OWNER || st->state == PRM_STATE_NO_RESERVE ||
			 st->state == PRM_STATE_FENCED);

	prm_status_free(st);
	return in;
}

/* With so many @naps for a session to end: that of udev takes a moment. */
static int send_message(const char *dev, const char *message, int naps)
{
	const struct timespec nap = { .tv_nsec = 200000000 };
	struct prm_error err = { 0 };
	bool again = naps;
	int code;

	for (;;) {
		while (naps && in_session(dev)) {
			nanosleep(&nap, NULL);
			naps--;
		}
		klog_begin();
		if (!prm_message(dev, message, NULL, &err))
			return 0;
		/* It may have been opened since. */
		if (err.code != EBUSY || !again)
			break;
		again = false;
	}
	code = exit_of_error(dev, &err);
	klog_tell();
	return code;
}

int run_release(const struct command *cmd, int argc, char **argv)
{
	const char *dev;
	int unregister = 0;
	int r;

	r = parse_device(cmd, argc, argv, take_flag, &unregister, &dev);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	r = send_message(dev, "pr_release", RELEASE_NAPS);
	if (!r && unregister)
		r = send_message(dev, "pr_unregister", RELEASE_NAPS);
	return r;
}

/*
 * prmpath clear
 */

static void warn_of_clear(const char *dev, const struct prm_reservation *r)
{
	size_t i;

	fprintf(stderr, "CLEAR on %s removes the reservation and %zu registrations%s",
		dev, r->keys, r->keys ? ":" : ".");
	for (i = 0; i < r->keys; i++)
		fprintf(stderr, " 0x%016" PRIx64, r->key[i]);
	fputs("\nEvery host that uses the LUN loses it at once, and its writes fail.\n",
	      stderr);
}

static bool confirmed(const char *name)
{
	char line[160] = "";

	fprintf(stderr, "To go on, type the name of the device (%s): ", name);
	if (!fgets(line, sizeof(line), stdin))
		fputc('\n', stderr);
	line[strcspn(line, "\n")] = '\0';
	return *line && !strcmp(line, name);
}

/* Ask, unless there is no need to. Return: 0 to go on, or an exit status. */
static int confirm_clear(const char *dev)
{
	struct prm_error err = { 0 };
	struct prm_reservation *r;
	struct prm_status *st;
	bool yes;

	r = prm_reservation_get(dev, &err);
	if (!r)
		return exit_of_error(dev, &err);
	warn_of_clear(dev, r);
	prm_reservation_free(r);
	st = prm_status_get(dev, &err);
	if (!st)
		return exit_of_error(dev, &err);
	yes = confirmed(st->name);
	prm_status_free(st);
	if (yes)
		return 0;
	complain("%s: not confirmed; nothing was done", dev);
	return EXIT_FAILURE;
}

int run_clear(const struct command *cmd, int argc, char **argv)
{
	const char *dev;
	int yes = 0;
	int r;

	r = parse_device(cmd, argc, argv, take_flag, &yes, &dev);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	if (!yes)
		r = confirm_clear(dev);
	return r ? r : send_message(dev, "pr_clear destroy-all-registrations", 0);
}
