// SPDX-License-Identifier: GPL-2.0-only
/*
 * Subcommands that show devices: list and status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "command.h"

enum column_kind {
	COLUMN_TEXT,		/* a word of the status line as it is */
	COLUMN_NUMBER,		/* a uint32_t member of struct prm_status */
	COLUMN_BOOL,		/* a bool member of struct prm_status */
	COLUMN_CALL,
	COLUMN_SYSFS,		/* a path's text in sysfs, in the file @word */
	COLUMN_COUNTER,		/* likewise a counter */
};

/* What a path's cells are made of. */
struct path_row {
	const struct prm_status *st;
	const struct prm_path *path;
};

struct column {
	struct out_column out;
	enum column_kind kind;
	const char *word;	/* the cell is empty without it; NULL: always there */
	size_t offset;
	char *(*device)(const struct prm_status *st, bool json);
	char *(*path)(const struct path_row *row, bool json);
};

const char *state_name(const struct prm_status *st)
{
	const char *state = prm_status_word(st, "state");

	return state ? state : "off";
}

/* Whether the target may send I/O there, as far as the reservation goes. */
bool path_usable(const struct prm_status *st, const struct prm_path *path)
{
	return path->active &&
	       (st->state != PRM_STATE_OWNER || !strcmp(path->registration, "registered"));
}

static char *device_name(const struct prm_status *st, bool json)
{
	(void)json;
	return text_of("%s", st->name);
}

static char *device_number(const struct prm_status *st, bool json)
{
	(void)json;
	return text_of("%u:%u", st->major, st->minor);
}

static char *device_kind(const struct prm_status *st, bool json)
{
	(void)st;
	(void)json;
	return text_of("device");
}

static char *device_state(const struct prm_status *st, bool json)
{
	(void)json;
	return text_of("%s", state_name(st));
}

static char *device_uuid(const struct prm_status *st, bool json)
{
	(void)json;
	return *st->uuid ? text_of("%s", st->uuid) : NULL;
}

/* All of them: a newer module may say what no column here is for. */
static char *device_words(const struct prm_status *st, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	size_t i;

	(void)json;
	if (!f)
		return NULL;
	for (i = 0; i < st->words; i++)
		fprintf(f, "%s%s=%s", i ? " " : "", st->word[i].name,
			st->word[i].value);
	fclose(f);
	return text;
}

/* The kernel's name of a path; its number when sysfs does not know it. */
static char *path_name(const struct path_row *row, bool json)
{
	char link[300];
	char target[512];
	ssize_t len;

	(void)json;
	snprintf(link, sizeof(link), "%s/dev/block/%s", prm_sysfs, row->path->dev);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return text_of("%s", row->path->dev);
	target[len] = '\0';
	return text_of("%s", basename(target));
}

static char *path_number(const struct path_row *row, bool json)
{
	(void)json;
	return text_of("%s", row->path->dev);
}

static char *path_kind(const struct path_row *row, bool json)
{
	(void)row;
	(void)json;
	return text_of("path");
}

static char *path_state(const struct path_row *row, bool json)
{
	(void)json;
	return *row->path->registration ? text_of("%s", row->path->registration) : NULL;
}

static char *path_is_usable(const struct path_row *row, bool json)
{
	return bool_cell(path_usable(row->st, row->path), json);
}

static char *path_answer(const struct path_row *row, bool json)
{
	(void)json;
	return row->path->answer ? text_of("%s", row->path->answer) : NULL;
}

static char *path_sense(const struct path_row *row, bool json)
{
	(void)json;
	return row->path->sense ? text_of("%s", row->path->sense) : NULL;
}

static char *path_link(const struct path_row *row, bool json)
{
	(void)json;
	return text_of("%s", row->path->active ? "active" : "failed");
}

static char *path_fails(const struct path_row *row, bool json)
{
	(void)json;
	return text_of("%u", row->path->fails);
}

static char *path_group(const struct path_row *row, bool json)
{
	(void)json;
	return text_of("%u", row->path->group);
}

static char *path_group_state(const struct path_row *row, bool json)
{
	(void)json;
	return text_of("%s", row->path->group_state == 'A' ? "active" :
		       row->path->group_state == 'E' ? "enabled" : "disabled");
}

static char *device_paths(const struct prm_status *st, bool json)
{
	(void)json;
	return text_of("%zu", st->paths);
}

static char *device_usable_paths(const struct prm_status *st, bool json)
{
	size_t usable = 0;
	size_t i;

	(void)json;
	for (i = 0; i < st->paths; i++)
		usable += path_usable(st, &st->path[i]);
	return text_of("%zu", usable);
}

static const struct column columns[] = {
#define CALL(name, json, help, word, device, path)			\
	{ { name, help, SCOLS_JSON_##json, false }, COLUMN_CALL, word, 0,	\
	  device, path }
#define TEXT(name, word, help)						\
	{ { name, help, SCOLS_JSON_STRING, false }, COLUMN_TEXT, word, 0,	\
	  NULL, NULL }
#define NUMBER(name, word, member, help)				\
	{ { name, help, SCOLS_JSON_NUMBER, true }, COLUMN_NUMBER, word,	\
	  offsetof(struct prm_status, member), NULL, NULL }
#define BOOL(name, word, member, help)					\
	{ { name, help, SCOLS_JSON_NUMBER, false }, COLUMN_BOOL, word,	\
	  offsetof(struct prm_status, member), NULL, NULL }
#define SYSFS(name, file, help)							\
	{ { name, help, SCOLS_JSON_STRING, false }, COLUMN_SYSFS, file, 0,	\
	  NULL, NULL }
#define COUNTER(name, file, help)						\
	{ { name, help, SCOLS_JSON_NUMBER, true }, COLUMN_COUNTER, file, 0,	\
	  NULL, NULL }
	CALL("NAME", STRING, "device-mapper name; a path's kernel name", NULL,
	     device_name, path_name),
	CALL("KIND", STRING, "device or path", NULL, device_kind, path_kind),
	CALL("MAJ_MIN", STRING, "major:minor", NULL, device_number,
	     path_number),
	CALL("STATE", STRING, "of the reservation; a path's registration",
	     NULL, device_state, path_state),
	TEXT("GATE", "gate", "whether writes may pass: open or closed"),
	TEXT("HOLDER", "holder", "who holds the reservation"),
	TEXT("OPTIONS", "options", "open options of this session"),
	NUMBER("OPENS", "opens", opens, "opens of the device"),
	TEXT("KEY", "key", "this host's key"),
	NUMBER("PR_TYPE", "type", type, "type of the reservation"),
	NUMBER("GENERATION", "gen", generation, "PRgeneration last seen"),
	NUMBER("KEYS_OWN", "keys_own", keys_own,
	       "registrations with this host's key"),
	NUMBER("KEYS_FOREIGN", "keys_foreign", keys_foreign,
	       "registrations with other keys"),
	TEXT("OPEN", "open", "default options of writable opens"),
	TEXT("OPEN_RO", "open_ro", "default options of read-only opens"),
	BOOL("STALE_CACHE", "stale_cache", stale_cache,
	     "whether pages of before the session may be left"),
	NUMBER("QUEUED", NULL, queued, "requests waiting in the target"),
	BOOL("SUSPENDED", NULL, suspended, "whether the device is suspended"),
	CALL("USABLE", NUMBER, "whether a path may carry I/O now", NULL, NULL,
	     path_is_usable),
	CALL("PATHS", NUMBER, "how many paths the device has", NULL,
	     device_paths, NULL),
	CALL("USABLE_PATHS", NUMBER, "how many of them may carry I/O now", NULL,
	     device_usable_paths, NULL),
	CALL("LINK", STRING, "active or failed", NULL, NULL, path_link),
	CALL("FAILS", NUMBER, "a path's failures", NULL, NULL, path_fails),
	CALL("ANSWER", STRING, "how our last command on a path ended", NULL,
	     NULL, path_answer),
	CALL("SENSE", STRING, "its sense: key/asc/ascq, hexadecimal", NULL,
	     NULL, path_sense),
	CALL("GROUP", NUMBER, "a path's group", NULL, NULL, path_group),
	CALL("GROUP_STATE", STRING, "active, enabled or disabled", NULL, NULL,
	     path_group_state),
	SYSFS("SCSI_STATE", "state", "a path's SCSI device: running, offline ..."),
	SYSFS("ACCESS", "access_state", "a path's ALUA state"),
	COUNTER("COMMANDS", "iorequest_cnt",
		"commands sent to a path's SCSI device"),
	COUNTER("ERRORS", "ioerr_cnt", "those that ended with an error"),
	COUNTER("TIMEOUTS", "iotmo_cnt", "those that ran out of time"),
	NUMBER("EVENTS", NULL, event_nr, "device-mapper events so far"),
	CALL("UUID", STRING, "device-mapper UUID", NULL, device_uuid, NULL),
	CALL("WORDS", STRING, "the module's name=value words as they are",
	     NULL, device_words, NULL),
#undef CALL
#undef TEXT
#undef NUMBER
#undef BOOL
#undef SYSFS
#undef COUNTER
};

#define LIST_COLUMNS	"NAME,MAJ_MIN,STATE,HOLDER,OPENS,PATHS,USABLE_PATHS,KEY"
#define STATUS_COLUMNS	"NAME,STATE,GATE,HOLDER,OPTIONS,OPENS,LINK,USABLE,FAILS,KEY"

static const struct out_column *show_column(size_t i)
{
	return i < ARRAY_SIZE(columns) ? &columns[i].out : NULL;
}

void help_list(void)
{
	out_help(show_column, LIST_COLUMNS);
}

void help_status(void)
{
	out_help(show_column, STATUS_COLUMNS);
}

struct show_request {
	struct out out;
	bool no_paths;
	bool watch;
};

static int take_show_option(int value, const char *arg, void *to)
{
	struct show_request *request = to;

	switch (value) {
	case 'd':
		request->no_paths = true;
		break;
	case 'w':
		request->watch = true;
		break;
	default:
		return out_take(&request->out, value, arg);
	}
	return 0;
}

static char *device_cell(size_t column, bool json, const void *row)
{
	const struct column *col = &columns[column];
	const struct prm_status *st = row;
	const char *member = (const char *)st + col->offset;

	if (col->word && !prm_status_word(st, col->word))
		return NULL;
	switch (col->kind) {
	case COLUMN_TEXT:
		return text_of("%s", prm_status_word(st, col->word));
	case COLUMN_NUMBER:
		return text_of("%" PRIu32, *(const uint32_t *)member);
	case COLUMN_BOOL:
		return bool_cell(*(const bool *)member, json);
	case COLUMN_CALL:
		return col->device ? col->device(st, json) : NULL;
	default:
		return NULL;
	}
}

static char *path_cell(size_t column, bool json, const void *row)
{
	const struct column *col = &columns[column];
	const char *dev = ((const struct path_row *)row)->path->dev;
	uint64_t value;
	char text[64];

	switch (col->kind) {
	case COLUMN_SYSFS:
		if (!sys_read(text, sizeof(text), "dev/block/%s/device/%s", dev, col->word))
			return NULL;
		return text_of("%s", text);
	case COLUMN_COUNTER:
		return scsi_counter(dev, col->word, &value) ?
		       text_of("%" PRIu64, value) : NULL;
	default:
		return col->path ? col->path(row, json) : NULL;
	}
}

static int add_rows(struct show_request *request, const struct prm_status *st)
{
	struct libscols_line *parent = out_row(&request->out, NULL, device_cell, st);
	size_t i;

	if (!parent)
		return fail_no_memory();
	for (i = 0; i < st->paths && !request->no_paths; i++) {
		const struct path_row row = { st, &st->path[i] };

		if (!out_row(&request->out, parent, path_cell, &row))
			return fail_no_memory();
	}
	return 0;
}

static bool wants_answers(const struct show_request *request)
{
	size_t i;

	for (i = 0; i < request->out.count && !request->no_paths; i++)
		if (columns[request->out.shown[i]].path == path_answer ||
		    columns[request->out.shown[i]].path == path_sense)
			return true;
	return false;
}

static int show_device(struct prm_status *st, void *to)
{
	int r;

	/* An older module knows no answers: their cells stay empty. */
	if (wants_answers(to))
		prm_answers_get(st, NULL);
	r = add_rows(to, st);

	prm_status_free(st);
	return r;
}

static int show_once(struct show_request *request, char **devs)
{
	int code = out_begin(&request->out);

	if (code)
		return code;
	code = each_device(devs, show_device, request);
	return out_end(&request->out, code);
}

/* A new table at each event: on a terminal in the place of the last one. */
static int show_again(struct show_request *request, char **devs, bool first)
{
	int code;

	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	else if (!first && !request->out.json)
		putchar('\n');
	code = show_once(request, devs);
	if (lost_output())
		return code ? code : EXIT_FAILURE;
	return code;
}

/* Until a signal ends it, which is success, or nothing can be shown. */
static int watch(struct show_request *request, char **devs, int signals, int events)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = events, .events = POLLIN },
		/* Who read our output is gone. */
		{ .fd = STDOUT_FILENO, .events = 0 },
	};
	bool first = true;
	int code = 0;

	while (!code) {
		if (prm_events_arm(events)) {
			complain("cannot wait for events: %s", strerrordesc_np(errno));
			return exit_of_errno(errno);
		}
		code = show_again(request, devs, first);
		first = false;
		if (!code && poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			code = EXIT_FAILURE;
		if (fds[0].revents || (fds[2].revents & (POLLERR | POLLHUP)))
			break;
	}
	return code;
}

/* A reader of JSON gets an object whatever happens. */
static int show_nothing(struct show_request *request, int code)
{
	if (!request->out.json || out_begin(&request->out))
		return code;
	return out_end(&request->out, code);
}

static int show_and_watch(struct show_request *request, char **devs)
{
	int signals = -1;
	sigset_t ends;
	sigset_t old;
	int events;
	int code;

	events = prm_events_open();
	if (events < 0) {
		complain("cannot wait for events: /dev/mapper/control: %s; run it as root",
			 strerrordesc_np(errno));
		return show_nothing(request, exit_of_errno(errno));
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &old);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	code = signals < 0 ? EXIT_FAILURE : watch(request, devs, signals, events);
	if (signals >= 0)
		close(signals);
	close(events);
	return code;
}

static int show(struct show_request *request, const struct command *cmd,
		const char *defaults, int argc, char **argv)
{
	int r;

	request->out.command = cmd->name;
	request->out.list = "devices";
	request->out.column = show_column;
	r = parse_options(cmd, argc, argv, take_show_option, request);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	request->out.tree = !request->no_paths;
	if (!request->out.count)
		out_choose(&request->out, request->out.json ? NULL : defaults);
	dm_be_quiet();
	return request->watch ? show_and_watch(request, argv + optind) :
				show_once(request, argv + optind);
}

int run_list(const struct command *cmd, int argc, char **argv)
{
	struct show_request request = { .no_paths = true };

	return show(&request, cmd, LIST_COLUMNS, argc, argv);
}

int run_status(const struct command *cmd, int argc, char **argv)
{
	struct show_request request = { .no_paths = false };

	return show(&request, cmd, STATUS_COLUMNS, argc, argv);
}
