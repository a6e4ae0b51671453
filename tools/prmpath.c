// SPDX-License-Identifier: GPL-2.0-only
/*
 * prmpath: hold a dm-prmpath device open while a command runs, and show the
 * status of such devices.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libdevmapper.h>
#include <libsmartcols/libsmartcols.h>

#include "libprmpath.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#ifndef PRMPATH_VERSION
#define PRMPATH_VERSION	"unknown"
#endif

/* Raised when a JSON member goes away or changes its meaning ... */
#define JSON_MAJOR	1
/* ... and when one is added. */
#define JSON_MINOR	0

enum {
	EXIT_USAGE = 2,
	EXIT_BUSY,
	EXIT_IO,
	EXIT_NO_PR,
	EXIT_TIMEOUT,
	EXIT_PERMISSION,
	EXIT_NOT_PRMPATH,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
};

static const struct {
	int code;
	const char *text;
} exit_help[] = {
	{ EXIT_SUCCESS, "success" },
	{ EXIT_FAILURE, "any other failure, such as output that cannot be written" },
	{ EXIT_USAGE, "wrong usage, or options that the module does not accept" },
	{ EXIT_BUSY, "another host holds the reservation, or the session rules refuse" },
	{ EXIT_IO, "no path could answer or be registered" },
	{ EXIT_NO_PR, "the storage has no persistent reservations" },
	{ EXIT_TIMEOUT, "the paths did not answer in time" },
	{ EXIT_PERMISSION, "no permission" },
	{ EXIT_NOT_PRMPATH, "no such device, not a prmpath device, or no module" },
	{ EXIT_CANNOT_RUN, "COMMAND cannot be run" },
	{ EXIT_NOT_FOUND, "COMMAND not found" },
};

static const struct {
	int err;
	int code;
} errno_exits[] = {
	{ EBUSY, EXIT_BUSY },
	{ EIO, EXIT_IO },
	{ EOPNOTSUPP, EXIT_NO_PR },
	{ ETIMEDOUT, EXIT_TIMEOUT },
	{ EPERM, EXIT_PERMISSION },
	{ EACCES, EXIT_PERMISSION },
	{ EINVAL, EXIT_USAGE },
	{ ENOTTY, EXIT_NOT_PRMPATH },
	{ ENOTBLK, EXIT_NOT_PRMPATH },
	{ ENODEV, EXIT_NOT_PRMPATH },
	{ ENXIO, EXIT_NOT_PRMPATH },
	{ ENOENT, EXIT_NOT_PRMPATH },
	{ ENOTDIR, EXIT_NOT_PRMPATH },
};

static int exit_of_errno(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errno_exits); i++)
		if (errno_exits[i].err == err)
			return errno_exits[i].code;
	return EXIT_FAILURE;
}

__attribute__((format(printf, 1, 2)))
static void complain(const char *format, ...)
{
	va_list args;

	fputs("prmpath: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int try_help(void)
{
	fputs("Try 'prmpath --help' for more information.\n", stderr);
	return EXIT_USAGE;
}

/*
 * Subcommands and their options: one table for parsing and for --help.
 */

struct option_row {
	int value;		/* what the parser reports; a letter is a short option */
	const char *name;
	const char *arg;	/* NULL: takes none */
	const char *help;
};

#define MAX_OPTIONS	8

struct command {
	const char *name;
	const char *args;
	const char *summary;
	struct option_row option[MAX_OPTIONS];	/* ends with a NULL name */
	int (*run)(const struct command *cmd, int argc, char **argv);
};

static int run_open(const struct command *cmd, int argc, char **argv);
static int run_status(const struct command *cmd, int argc, char **argv);

enum {
	/* Open options report 0x100 + the PRM_OPEN_* bit. */
	VALUE_OPEN_BITS = 0x100,
	VALUE_READ_ONLY = 0x200,
};

static const struct command commands[] = {
	{
		.name = "open",
		.args = "[OPTION]... DEV -- COMMAND [ARG]...",
		.summary = "Run COMMAND while DEV is held open; exit as COMMAND does.",
		.option = {
			{ VALUE_OPEN_BITS | PRM_OPEN_FORCED, "forced", NULL,
			  "take the LUN from another host" },
			{ VALUE_OPEN_BITS | PRM_OPEN_RETAIN, "retain", NULL,
			  "keep the reservation after the last close" },
			{ VALUE_OPEN_BITS | PRM_OPEN_NO_RESERVE, "no-reserve",
			  NULL, "do not reserve" },
			{ VALUE_OPEN_BITS | PRM_OPEN_SINGLE, "single", NULL,
			  "let nobody else open DEV meanwhile" },
			{ VALUE_OPEN_BITS | PRM_OPEN_BYPASS, "bypass", NULL,
			  "send no reservation command; stands alone" },
			{ VALUE_READ_ONLY, "read-only", NULL,
			  "open DEV for reading only" },
		},
		.run = run_open,
	},
	{
		.name = "status",
		.args = "[OPTION]... [DEV]...",
		.summary = "Show the given devices, or all prmpath devices, with their paths.",
		.option = {
			{ 'J', "json", NULL, "print JSON" },
			{ 'd', "no-paths", NULL, "leave out the paths" },
			{ 'n', "noheadings", NULL, "leave out the headings" },
			{ 'o', "output", "COL,...", "columns to print" },
		},
		.run = run_status,
	},
};

/* What every subcommand understands. */
static const struct option_row common_option = {
	'h', "help", NULL, "print this text and exit",
};

static void print_options(const struct option_row *row)
{
	char text[40];

	for (; row->name; row++) {
		snprintf(text, sizeof(text), "%c%c%c --%s%s%s",
			 row->value < 128 ? '-' : ' ',
			 row->value < 128 ? row->value : ' ',
			 row->value < 128 ? ',' : ' ', row->name,
			 row->arg ? " " : "", row->arg ? row->arg : "");
		printf("  %-24s %s\n", text, row->help);
	}
}

static void print_columns(void);

static int print_help(void)
{
	size_t i;

	puts("Usage:");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  prmpath %s %s\n", commands[i].name, commands[i].args);
	puts("  prmpath --help | --version\n\n"
	     "DEV is a device-mapper name or the path of a device node.");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		printf("\nprmpath %s: %s\n", commands[i].name,
		       commands[i].summary);
		print_options(commands[i].option);
	}
	puts("\nColumns of prmpath status:");
	print_columns();
	puts("\nExit status, unless COMMAND ran:");
	for (i = 0; i < ARRAY_SIZE(exit_help); i++)
		printf("  %3d  %s\n", exit_help[i].code, exit_help[i].text);
	puts("If COMMAND ran: its own status, or 128+N if signal N killed it.");
	return EXIT_SUCCESS;
}

static int print_version(void)
{
	struct prm_ioc_version module;

	printf("prmpath %s, interface %d\n", PRMPATH_VERSION, PRM_ABI_VERSION);
	if (!prm_module_version(&module))
		printf("module  %s, interface %u\n", module.release,
		       module.abi);
	else if (errno == ENODEV)
		puts("module  not loaded");
	else
		printf("module  cannot be asked: %s\n", strerrordesc_np(errno));
	return EXIT_SUCCESS;
}

struct parser {
	char *letters;
	struct option option[MAX_OPTIONS + 1];
};

static void build_parser(const struct command *cmd, struct parser *p,
			 char letters[2 * MAX_OPTIONS + 3])
{
	const struct option_row *row = cmd->option;
	size_t i;

	p->letters = letters;
	for (i = 0; i < MAX_OPTIONS; i++, row++) {
		if (!row->name)
			row = &common_option;
		p->option[i] = (struct option){
			.name = row->name,
			.has_arg = row->arg ? required_argument : no_argument,
			.val = row->value,
		};
		if (row->value < 128) {
			*letters++ = row->value;
			if (row->arg)
				*letters++ = ':';
		}
		if (row == &common_option)
			break;
	}
	*letters = '\0';
}

/*
 * Hand each option to @take. The words that are no options end up behind
 * optind. Return: 0; -1 after --help; else an exit status.
 */
static int parse_options(const struct command *cmd, int argc, char **argv,
			 int (*take)(int value, const char *arg, void *to),
			 void *to)
{
	char letters[2 * MAX_OPTIONS + 3];
	struct parser p = { 0 };
	char title[24];
	int value;
	int r;

	build_parser(cmd, &p, letters);
	/* getopt's own messages begin with argv[0]. */
	snprintf(title, sizeof(title), "prmpath %s", cmd->name);
	argv[0] = title;
	optind = 0;
	while ((value = getopt_long(argc, argv, p.letters, p.option, NULL)) != -1) {
		if (value == '?')
			return try_help();
		if (value == common_option.value) {
			print_help();
			return -1;
		}
		r = take(value, optarg, to);
		if (r)
			return r;
	}
	return 0;
}

/*
 * prmpath open
 */

struct open_request {
	int flags;
	uint32_t options;
};

static int take_open_option(int value, const char *arg, void *to)
{
	struct open_request *request = to;

	(void)arg;
	if (value & VALUE_OPEN_BITS)
		request->options |= value & ~VALUE_OPEN_BITS;
	else
		request->flags = O_RDONLY;
	return 0;
}

static bool is_program(const char *path)
{
	struct stat sb;

	return !access(path, X_OK) && !stat(path, &sb) && S_ISREG(sb.st_mode);
}

/*
 * A misspelt command must not cost another host its LUN: look before the
 * open. execvp() decides in the end.
 */
static int check_command(const char *command)
{
	const char *dirs = getenv("PATH");
	bool there = false;
	char *path;
	size_t len;

	if (strchr(command, '/')) {
		if (is_program(command))
			return 0;
		there = !access(command, F_OK);
		dirs = NULL;
	} else if (!*command) {
		dirs = NULL;
	} else if (!dirs) {
		return 0;
	}
	for (; dirs; dirs = dirs[len] ? dirs + len + 1 : NULL) {
		len = strcspn(dirs, ":");
		if (asprintf(&path, "%.*s/%s", len ? (int)len : 1,
			     len ? dirs : ".", command) < 0)
			return 0;
		if (is_program(path)) {
			free(path);
			return 0;
		}
		there |= !access(path, F_OK);
		free(path);
	}
	complain("%s: %s; nothing was opened", command,
		 there ? "cannot be run" : "command not found");
	return there ? EXIT_CANNOT_RUN : EXIT_NOT_FOUND;
}

/* What is worth passing on to the command, so that it can end in order. */
static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static void run_child(char **argv, const sigset_t *mask,
		      const struct sigaction *on_child)
{
	int code;

	sigaction(SIGCHLD, on_child, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	complain("%s: %s", argv[0], strerrordesc_np(errno));
	_exit(code);
}

/* Pass signals on until the command is gone; its status as a shell's $?. */
static int wait_for(pid_t child, const sigset_t *awaited)
{
	siginfo_t info;
	int status;
	int sig;

	for (;;) {
		sig = sigwaitinfo(awaited, &info);
		if (sig < 0)
			continue;
		/*
		 * What the kernel sends (a key of the terminal) goes to the
		 * whole process group: the command has it already.
		 */
		if (sig != SIGCHLD) {
			if (info.si_code <= 0)
				kill(child, sig);
			continue;
		}
		if (waitpid(child, &status, WNOHANG) == child)
			break;
	}
	if (WIFSIGNALED(status))
		return EXIT_SIGNAL + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static int run_and_wait(char **argv)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	struct sigaction on_child;
	sigset_t awaited;
	sigset_t mask;
	pid_t child;
	size_t i;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&awaited, forwarded[i]);
	sigprocmask(SIG_BLOCK, &awaited, &mask);
	/* A parent that ignores SIGCHLD hands that down. */
	sigaction(SIGCHLD, &standard, &on_child);
	fflush(NULL);
	child = fork();
	if (child < 0) {
		complain("cannot start %s: %s", argv[0],
			 strerrordesc_np(errno));
		return EXIT_CANNOT_RUN;
	}
	if (!child)
		run_child(argv, &mask, &on_child);
	return wait_for(child, &awaited);
}

static int open_failed(const char *dev, const struct open_request *request)
{
	char text[PRM_OPTIONS_LEN];
	int code = errno;

	complain("%s: cannot open with options %s: %s\nprmpath: %s", dev,
		 prm_options_format(request->options, text, sizeof(text)),
		 strerrordesc_np(code), prm_strerror(code));
	return exit_of_errno(code);
}

static int open_and_run(const char *dev, const struct open_request *request,
			char **argv)
{
	char *path = NULL;
	int code;
	int fd;

	code = check_command(argv[0]);
	if (code)
		return code;
	if (!strchr(dev, '/') && asprintf(&path, "/dev/mapper/%s", dev) < 0) {
		complain("out of memory");
		return EXIT_FAILURE;
	}
	fd = prm_open(path ? path : dev, request->flags | O_CLOEXEC,
		      request->options);
	if (fd < 0)
		code = open_failed(path ? path : dev, request);
	free(path);
	if (fd < 0)
		return code;
	code = run_and_wait(argv);
	close(fd);
	return code;
}

static int run_open(const struct command *cmd, int argc, char **argv)
{
	struct open_request request = { .flags = O_RDWR };
	int words;
	int r;

	/* Only what stands before "--" is ours. */
	for (words = 1; words < argc && strcmp(argv[words], "--"); words++)
		;
	r = parse_options(cmd, words, argv, take_open_option, &request);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	if (optind == words) {
		complain("open: no device: expected DEV -- COMMAND");
		return try_help();
	}
	if (optind + 1 != words) {
		complain("open: '%s' after the device: expected %s",
			 argv[optind + 1],
			 words == argc ? "'-- COMMAND'" : "'--'");
		return try_help();
	}
	if (words + 1 >= argc) {
		complain("open: no command: expected '-- COMMAND' after %s",
			 argv[optind]);
		return try_help();
	}
	if ((request.options & PRM_OPEN_BYPASS) &&
	    request.options != PRM_OPEN_BYPASS) {
		complain("open: --bypass stands alone: it excludes the other open options");
		return try_help();
	}
	return open_and_run(argv[optind], &request, argv + words + 1);
}

/*
 * prmpath status
 */

enum column_kind {
	COLUMN_TEXT,		/* a word of the status line as it is */
	COLUMN_NUMBER,		/* a uint32_t member of struct prm_status */
	COLUMN_BOOL,		/* a bool member of struct prm_status */
	COLUMN_CALL,
};

struct column {
	const char *name;
	const char *help;
	enum column_kind kind;
	int json;
	const char *word;	/* the cell is empty without it; NULL: always there */
	size_t offset;
	char *(*device)(const struct prm_status *st);
	char *(*path)(const struct prm_path *p);
};

__attribute__((format(printf, 1, 2)))
static char *text_of(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return len < 0 ? NULL : text;
}

static char *device_name(const struct prm_status *st)
{
	return text_of("%s", st->name);
}

static char *device_number(const struct prm_status *st)
{
	return text_of("%u:%u", st->major, st->minor);
}

static char *device_kind(const struct prm_status *st)
{
	(void)st;
	return text_of("device");
}

static char *device_state(const struct prm_status *st)
{
	const char *state = prm_status_word(st, "state");

	return text_of("%s", state ? state : "off");
}

static char *device_uuid(const struct prm_status *st)
{
	return *st->uuid ? text_of("%s", st->uuid) : NULL;
}

/* All of them: a newer module may say what no column here is for. */
static char *device_words(const struct prm_status *st)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	size_t i;

	if (!f)
		return NULL;
	for (i = 0; i < st->words; i++)
		fprintf(f, "%s%s=%s", i ? " " : "", st->word[i].name,
			st->word[i].value);
	fclose(f);
	return text;
}

/* The kernel's name of a path; its number when sysfs does not know it. */
static char *path_name(const struct prm_path *p)
{
	char link[64];
	char target[512];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/dev/block/%s", p->dev);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return text_of("%s", p->dev);
	target[len] = '\0';
	return text_of("%s", basename(target));
}

static char *path_number(const struct prm_path *p)
{
	return text_of("%s", p->dev);
}

static char *path_kind(const struct prm_path *p)
{
	(void)p;
	return text_of("path");
}

static char *path_state(const struct prm_path *p)
{
	return *p->registration ? text_of("%s", p->registration) : NULL;
}

static char *path_link(const struct prm_path *p)
{
	return text_of("%s", p->active ? "active" : "failed");
}

static char *path_fails(const struct prm_path *p)
{
	return text_of("%u", p->fails);
}

static char *path_group(const struct prm_path *p)
{
	return text_of("%u", p->group);
}

static char *path_group_state(const struct prm_path *p)
{
	return text_of("%s", p->group_state == 'A' ? "active" :
		       p->group_state == 'E' ? "enabled" : "disabled");
}

static const struct column columns[] = {
#define CALL(name, json, help, word, device, path)			\
	{ name, help, COLUMN_CALL, SCOLS_JSON_##json, word, 0, device, path }
#define TEXT(name, word, help)						\
	{ name, help, COLUMN_TEXT, SCOLS_JSON_STRING, word, 0, NULL, NULL }
#define NUMBER(name, word, member, help)				\
	{ name, help, COLUMN_NUMBER, SCOLS_JSON_NUMBER, word,		\
	  offsetof(struct prm_status, member), NULL, NULL }
#define BOOL(name, word, member, help)					\
	{ name, help, COLUMN_BOOL, SCOLS_JSON_NUMBER, word,		\
	  offsetof(struct prm_status, member), NULL, NULL }
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
	NUMBER("OPENS", "opens", opens, "opens of this session"),
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
	CALL("LINK", STRING, "active or failed", NULL, NULL, path_link),
	CALL("FAILS", NUMBER, "a path's failures", NULL, NULL, path_fails),
	CALL("GROUP", NUMBER, "a path's group", NULL, NULL, path_group),
	CALL("GROUP_STATE", STRING, "active, enabled or disabled", NULL, NULL,
	     path_group_state),
	CALL("UUID", STRING, "device-mapper UUID", NULL, device_uuid, NULL),
	CALL("WORDS", STRING, "the module's name=value words as they are",
	     NULL, device_words, NULL),
#undef CALL
#undef TEXT
#undef NUMBER
#undef BOOL
};

#define DEFAULT_COLUMNS	"NAME,STATE,GATE,HOLDER,OPTIONS,OPENS,LINK,KEY"

static void print_columns(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		printf("  %-14s %s\n", columns[i].name, columns[i].help);
	puts("  By default: " DEFAULT_COLUMNS "; with --json: all.");
}

struct status_request {
	bool json;
	bool no_paths;
	bool no_headings;
	size_t shown[ARRAY_SIZE(columns)];	/* indices into columns[] */
	size_t count;
};

static int add_column(struct status_request *request, const char *name,
		      size_t len)
{
	size_t i;
	size_t j;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].name) == len &&
		    !strncasecmp(columns[i].name, name, len))
			break;
	if (i == ARRAY_SIZE(columns)) {
		complain("status: unknown column '%.*s': expected some of those that --help lists",
			 (int)len, name);
		return try_help();
	}
	/* Twice the same member would not be JSON. */
	for (j = 0; j < request->count; j++) {
		if (request->shown[j] != i)
			continue;
		complain("status: column %s twice", columns[i].name);
		return try_help();
	}
	request->shown[request->count++] = i;
	return 0;
}

static int choose_columns(struct status_request *request, const char *list)
{
	size_t len;
	int r;

	request->count = 0;
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		r = add_column(request, list, len);
		if (r || !list[len])
			return r;
	}
}

static int take_status_option(int value, const char *arg, void *to)
{
	struct status_request *request = to;

	switch (value) {
	case 'J':
		request->json = true;
		break;
	case 'd':
		request->no_paths = true;
		break;
	case 'n':
		request->no_headings = true;
		break;
	case 'o':
		return choose_columns(request, arg);
	}
	return 0;
}

/* For JSON a bool is a number column's bare word: that leaves null possible. */
static char *bool_cell(bool value, bool json)
{
	if (json)
		return text_of("%s", value ? "true" : "false");
	return text_of("%s", value ? "yes" : "no");
}

static char *device_cell(const struct column *col, const struct prm_status *st,
			 bool json)
{
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
		return col->device ? col->device(st) : NULL;
	}
	return NULL;
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
	if (i == ARRAY_SIZE(forms) || s[1] < forms[i].low ||
	    s[1] > forms[i].high)
		return 0;
	for (j = 2; j < forms[i].len; j++)
		if ((s[j] & 0xc0) != 0x80)
			return 0;
	return forms[i].len;
}

/* JSON is UTF-8; device-mapper takes any byte for a name. */
static void make_utf8(char *text)
{
	size_t len;

	for (; *text; text += len ? len : 1) {
		len = utf8_len((unsigned char *)text);
		if (!len)
			*text = '?';
	}
}

static int fill_line(const struct status_request *request,
		     struct libscols_line *line, const struct prm_status *st,
		     const struct prm_path *p)
{
	size_t i;

	for (i = 0; i < request->count; i++) {
		const struct column *col = &columns[request->shown[i]];
		char *text = NULL;

		if (!p)
			text = device_cell(col, st, request->json);
		else if (col->path)
			text = col->path(p);
		if (text && request->json)
			make_utf8(text);
		if (text && scols_line_refer_data(line, i, text)) {
			free(text);
			return -1;
		}
	}
	return 0;
}

static int add_device(const struct status_request *request,
		      struct libscols_table *table, const struct prm_status *st)
{
	struct libscols_line *parent = scols_table_new_line(table, NULL);
	struct libscols_line *line;
	size_t i;

	if (!parent || fill_line(request, parent, st, NULL))
		return -1;
	for (i = 0; i < st->paths && !request->no_paths; i++) {
		line = scols_table_new_line(table, parent);
		if (!line || fill_line(request, line, st, &st->path[i]))
			return -1;
	}
	return 0;
}

static struct libscols_table *new_table(const struct status_request *request)
{
	struct libscols_table *table = scols_new_table();
	size_t i;

	if (!table)
		return NULL;
	scols_table_enable_json(table, request->json);
	scols_table_enable_noheadings(table, request->no_headings);
	if (scols_table_set_name(table, "devices"))
		goto bad;
	for (i = 0; i < request->count; i++) {
		const struct column *col = &columns[request->shown[i]];
		struct libscols_column *cl;
		int flags = 0;

		if (col->kind == COLUMN_NUMBER)
			flags = SCOLS_FL_RIGHT;
		/* One tree column whatever is chosen: it gives JSON its shape. */
		if (!i && !request->no_paths)
			flags = SCOLS_FL_TREE;
		cl = scols_table_new_column(table, col->name, 0, flags);
		if (!cl || scols_column_set_json_type(cl, col->json))
			goto bad;
	}
	return table;

bad:
	scols_unref_table(table);
	return NULL;
}

/* libsmartcols prints {"devices": [...]}: our version goes in front. */
static int print_json(struct libscols_table *table)
{
	const char *rest = "\"devices\": []\n}";
	char *text = NULL;

	if (!scols_table_is_empty(table)) {
		if (scols_print_table_to_string(table, &text))
			return -1;
		rest = strchr(text, '{');
		if (!rest) {
			free(text);
			return -1;
		}
		rest++;
	}
	rest += strspn(rest, "\n ");
	printf("{\n   \"output_version\": {\n      \"command\": \"prmpath status\",\n"
	       "      \"major\": %d,\n      \"minor\": %d\n   },\n   %s\n",
	       JSON_MAJOR, JSON_MINOR, rest);
	free(text);
	return 0;
}

static int print_table(const struct status_request *request,
		       struct libscols_table *table)
{
	if (request->json)
		return print_json(table);
	return scols_table_is_empty(table) ? 0 : scols_print_table(table);
}

/* @given: the user named the device, so its absence is worth a word. */
static int show_device(const struct status_request *request,
		       struct libscols_table *table, const char *dev,
		       bool given)
{
	struct prm_error err = { 0 };
	struct prm_status *st = prm_status_get(dev, &err);
	int r;

	if (!st) {
		if (!given && (err.code == ENXIO || err.code == ENOTTY))
			return 0;
		complain("%s: %s", dev, err.text);
		return exit_of_errno(err.code);
	}
	r = add_device(request, table, st);
	prm_status_free(st);
	if (r)
		complain("out of memory");
	return r ? EXIT_FAILURE : 0;
}

/* Show what can be shown; the first failure decides the exit status. */
static int show_devices(const struct status_request *request,
			struct libscols_table *table, char **devs, bool given)
{
	int code = 0;
	int r;

	for (; *devs; devs++) {
		r = show_device(request, table, *devs, given);
		if (!code)
			code = r;
	}
	return code;
}

static int show_all(const struct status_request *request,
		    struct libscols_table *table)
{
	struct prm_error err = { 0 };
	char **names = prm_names(&err);
	int code;

	if (!names) {
		complain("%s", err.text);
		return exit_of_errno(err.code);
	}
	code = show_devices(request, table, names, false);
	prm_names_free(names);
	return code;
}

/* libdevmapper would print in its own words what we say in ours. */
static void no_dm_log(int level, const char *file, int line, int err,
		      const char *format, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)err;
	(void)format;
}

static int run_status(const struct command *cmd, int argc, char **argv)
{
	struct status_request request = { 0 };
	struct libscols_table *table;
	size_t i;
	int code;
	int r;

	r = parse_options(cmd, argc, argv, take_status_option, &request);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	if (!request.count && !request.json)
		choose_columns(&request, DEFAULT_COLUMNS);
	for (i = 0; !request.count && i < ARRAY_SIZE(columns); i++)
		request.shown[i] = i;
	if (!request.count)
		request.count = ARRAY_SIZE(columns);
	dm_log_with_errno_init(no_dm_log);
	table = new_table(&request);
	if (!table) {
		complain("out of memory");
		return EXIT_FAILURE;
	}
	code = optind < argc ?
		show_devices(&request, table, argv + optind, true) :
		show_all(&request, table);
	if (print_table(&request, table)) {
		complain("cannot print the table");
		code = EXIT_FAILURE;
	}
	scols_unref_table(table);
	return code;
}

/*
 * A closed standard descriptor would be reused for the device, and messages
 * would be written to the LUN. Opened the wrong way round, it still fails for
 * who uses it; the command gets it closed, as we did.
 */
static int fill_standard_descriptors(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC) != fd)
			return -1;
	}
	return 0;
}

static int close_stdout(int code)
{
	bool bad = ferror(stdout);

	if (!fflush(stdout) && !bad)
		return code;
	complain("cannot write the output: %s", strerrordesc_np(errno));
	return code ? code : EXIT_FAILURE;
}

static int run_command(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		complain("no subcommand: expected open or status");
		return try_help();
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_help();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return print_version();
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	complain("unknown %s '%s': expected open or status",
		 argv[1][0] == '-' ? "option" : "subcommand", argv[1]);
	return try_help();
}

int main(int argc, char **argv)
{
	if (fill_standard_descriptors())
		return EXIT_FAILURE;
	setlocale(LC_ALL, "");
	return close_stdout(run_command(argc, argv));
}
