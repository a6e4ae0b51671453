// SPDX-License-Identifier: GPL-2.0-only
/*
 * prmpath: opens, shows and manages dm-prmpath devices. This file has the
 * table of subcommands, their options and the exit statuses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#ifndef PRMPATH_VERSION
#define PRMPATH_VERSION	"unknown"
#endif

static const struct {
	int code;
	const char *text;
} exit_help[] = {
	{ EXIT_SUCCESS, "success" },
	{ EXIT_FAILURE, "any other failure, such as output that cannot be written;\n"
	  "       doctor: a problem" },
	{ EXIT_USAGE, "wrong usage, or options that the module does not accept;\n"
	  "       query: could not tell" },
	{ EXIT_BUSY, "another host holds the LUN, the session rules refuse, or\n"
	  "       something is in use" },
	{ EXIT_IO, "no path could answer or be registered, or the storage has no\n"
	  "       PREEMPT AND ABORT" },
	{ EXIT_NO_PR, "the storage has no persistent reservations, or not of this\n"
	  "       type, or the table no key" },
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
	{ EEXIST, EXIT_BUSY },
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

int exit_of_errno(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errno_exits); i++)
		if (errno_exits[i].err == err)
			return errno_exits[i].code;
	return EXIT_FAILURE;
}

void complain(const char *format, ...)
{
	va_list args;

	fputs("prmpath: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int try_help(void)
{
	fputs("Try 'prmpath --help' for more information.\n", stderr);
	return EXIT_USAGE;
}

int fail_no_memory(void)
{
	complain("out of memory");
	return EXIT_FAILURE;
}

int exit_of_error(const char *dev, const struct prm_error *err)
{
	complain("%s: %s", dev, err->text);
	return exit_of_errno(err->code);
}

void block_ends(sigset_t *ends, sigset_t *old)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	if (ends)
		*ends = set;
}

char *text_of(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return len < 0 ? NULL : text;
}

/* @given: the user named the device, so its absence is worth a word. */
static int one_device(const char *dev, bool given,
		      int (*each)(struct prm_status *st, void *to), void *to)
{
	struct prm_error err = { 0 };
	struct prm_status *st = prm_status_get(dev, &err);

	if (st)
		return each(st, to);
	if (!given && (err.code == ENXIO || err.code == ENOTTY))
		return 0;
	return exit_of_error(dev, &err);
}

int each_device(char **devs, int (*each)(struct prm_status *st, void *to), void *to)
{
	struct prm_error err = { 0 };
	char **names = *devs ? NULL : prm_names(&err);
	bool given = *devs;
	int code = 0;
	int r;

	if (!given && !names) {
		complain("%s", err.text);
		return exit_of_errno(err.code);
	}
	for (devs = given ? devs : names; *devs; devs++) {
		r = one_device(*devs, given, each, to);
		if (!code)
			code = r;
	}
	prm_names_free(names);
	return code;
}

/*
 * Subcommands and their options: one table for parsing and for --help.
 */

static const struct option_row open_options[] = {
	{ VALUE_OPEN_BITS | PRM_OPEN_FORCED, "forced", NULL,
	  "take the LUN from another host" },
	{ VALUE_OPEN_BITS | PRM_OPEN_RETAIN, "retain", NULL,
	  "keep the reservation after the last close" },
	{ VALUE_OPEN_BITS | PRM_OPEN_NO_RESERVE, "no-reserve", NULL,
	  "do not reserve" },
	{ VALUE_OPEN_BITS | PRM_OPEN_SINGLE, "single", NULL,
	  "let nobody else open DEV meanwhile" },
	{ VALUE_OPEN_BITS | PRM_OPEN_BYPASS, "bypass", NULL,
	  "send no reservation command; stands alone" },
	{ VALUE_READ_ONLY, "read-only", NULL, "open DEV for reading only" },
	{ 0 }
};

static const struct option_row output_options[] = {
	{ 'J', "json", NULL, "print JSON" },
	{ 'n', "noheadings", NULL, "leave out the headings" },
	{ 'o', "output", "COL,...", "columns to print" },
	{ 'O', "output-all", NULL, "print all columns" },
	{ 0 }
};

static const struct option_row watch_options[] = {
	{ 'w', "watch", NULL, "print again at every change, until Ctrl-C" },
	{ 0 }
};

static const struct option_row status_options[] = {
	{ 'd', "no-paths", NULL, "leave out the paths" },
	{ 0 }
};

static const struct option_row query_options[] = {
	{ 'q', "quiet", NULL, "print nothing: the exit status tells" },
	{ 0 }
};

static const struct option_row release_options[] = {
	{ VALUE_UNREGISTER, "unregister", NULL, "drop this host's registrations too" },
	{ 0 }
};

static const struct option_row clear_options[] = {
	{ VALUE_YES_DESTROY, "yes-destroy", NULL, "do not ask for the device's name" },
	{ 0 }
};

static const struct option_row create_options[] = {
	{ VALUE_WWID, "wwid", "ID", "the LUN, as /sys/block/sdX/device/wwid says" },
	{ VALUE_ONLY, "only", NULL, "of the given paths, and no others" },
	{ VALUE_KEY, "key", "KEY", "this host's key; none: no reservations" },
	{ VALUE_TYPE, "type", "TYPE", "of the reservation: 5, 6, 7, 8; 1, 3 [5]" },
	{ VALUE_OPEN, "open", "OPTIONS", "what plain writable opens do [default]" },
	{ VALUE_OPEN_RO, "open-ro", "OPTIONS", "what plain read-only opens do [bypass]" },
	{ VALUE_SELECTOR, "selector", "NAME", "path selector [round-robin]" },
	{ VALUE_CHECK, "check", "SECONDS", "try failed paths that often [5]" },
	{ VALUE_FEATURE, "feature", "WORDS", "more features of the table" },
	{ VALUE_DRY_RUN, "dry-run", NULL, "print the table and do nothing" },
	{ 0 }
};

static const struct option_row change_options[] = {
	{ VALUE_DRY_RUN, "dry-run", NULL, "print the table and do nothing" },
	{ 0 }
};

static const struct option_row remove_options[] = {
	{ VALUE_DEFERRED, "deferred", NULL, "as soon as nobody has it open" },
	{ 0 }
};

static const struct option_row metrics_options[] = {
	{ VALUE_OUTPUT, "output", "FILE", "replace FILE by it, at once" },
	{ 0 }
};

/* What every subcommand understands. */
static const struct option_row common_options[] = {
	{ 'h', "help", NULL, "print this text and exit" },
	{ 0 }
};

const struct command commands[] = {
	{
		.name = "list",
		.args = "[OPTION]... [DEV]...",
		.summary = "Show the given devices, or all prmpath devices, one line each.",
		.option = { output_options, watch_options },
		.run = run_list,
		.more_help = help_list,
	},
	{
		.name = "status",
		.args = "[OPTION]... [DEV]...",
		.summary = "Show the given devices, or all prmpath devices, with their paths.",
		.option = { output_options, watch_options, status_options },
		.run = run_status,
		.more_help = help_status,
	},
	{
		.name = "open",
		.args = "[OPTION]... DEV -- COMMAND [ARG]...",
		.summary = "Run COMMAND while DEV is held open; exit as COMMAND does.",
		.option = { open_options },
		.run = run_open,
	},
	{
		.name = "hold",
		.args = "[OPTION]... DEV",
		.summary = "Hold DEV open until a signal comes (0) or the LUN is lost (3).",
		.option = { open_options },
		.run = run_hold,
	},
	{
		.name = "take",
		.args = "DEV",
		.summary = "Take the LUN from whoever has it, and keep the reservation.",
		.run = run_take,
	},
	{
		.name = "query",
		.args = "[OPTION]... DEV",
		.summary = "Ask the storage who has the LUN: nobody or we (0), another host (1).",
		.option = { output_options, query_options },
		.run = run_query,
		.more_help = help_query,
	},
	{
		.name = "release",
		.args = "[OPTION]... DEV",
		.summary = "Drop a reservation of ours that no open needs.",
		.option = { release_options },
		.run = run_release,
	},
	{
		.name = "clear",
		.args = "[OPTION]... DEV",
		.summary = "Remove the reservation and every host's registrations.",
		.option = { clear_options },
		.run = run_clear,
	},
	{
		.name = "create",
		.args = "[OPTION]... NAME PATH... | [OPTION]... --wwid ID NAME",
		.summary = "Make a device of all paths to a LUN.",
		.option = { create_options },
		.run = run_create,
	},
	{
		.name = "add-path",
		.args = "[OPTION]... DEV PATH...",
		.summary = "Add paths to a device in use.",
		.option = { change_options },
		.run = run_add_path,
	},
	{
		.name = "drop-path",
		.args = "[OPTION]... DEV PATH...",
		.summary = "Take paths out of a device in use.",
		.option = { change_options },
		.run = run_drop_path,
	},
	{
		.name = "remove",
		.args = "[OPTION]... DEV",
		.summary = "Remove a device.",
		.option = { remove_options },
		.run = run_remove,
	},
	{
		.name = "key",
		.args = "[show | generate | set KEY | unset]",
		.summary = "Show or choose this host's reservation key.",
		.run = run_key,
	},
	{
		.name = "doctor",
		.args = "[OPTION]... [DEV]...",
		.summary = "Look for what is wrong, and say what to do about it.",
		.option = { output_options },
		.run = run_doctor,
		.more_help = help_doctor,
	},
	{
		.name = "metrics",
		.args = "[OPTION]...",
		.summary = "Print the state of all devices for Prometheus.",
		.option = { metrics_options },
		.run = run_metrics,
	},
};

const size_t command_count = ARRAY_SIZE(commands);

static void print_table(const struct option_row *row)
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

static void print_options(const struct command *cmd)
{
	size_t i;

	for (i = 0; i < MAX_TABLES && cmd->option[i]; i++)
		print_table(cmd->option[i]);
}

static void print_exits(void)
{
	size_t i;

	puts("\nExit status, unless COMMAND ran:");
	for (i = 0; i < ARRAY_SIZE(exit_help); i++)
		printf("  %3d  %s\n", exit_help[i].code, exit_help[i].text);
	puts("If COMMAND ran: its own status, or 128+N if signal N killed it.");
}

static int print_help(void)
{
	size_t i;

	puts("Usage:");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  prmpath %s %s\n", commands[i].name, commands[i].args);
	puts("  prmpath SUBCOMMAND --help\n"
	     "  prmpath --help | --version\n\n"
	     "DEV is a device-mapper name or the path of a device node; PATH is a SCSI\n"
	     "disk: sdb, 8:16 or a device node.");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		printf("\nprmpath %s: %s\n", commands[i].name,
		       commands[i].summary);
		print_options(&commands[i]);
	}
	print_exits();
	return EXIT_SUCCESS;
}

static void print_command_help(const struct command *cmd)
{
	printf("Usage:\n  prmpath %s %s\n\n%s\n\nOptions:\n", cmd->name, cmd->args,
	       cmd->summary);
	print_options(cmd);
	print_table(common_options);
	if (cmd->more_help)
		cmd->more_help();
	print_exits();
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
	char letters[2 * MAX_OPTIONS + 1];
	struct option option[MAX_OPTIONS + 1];	/* ends with zeros */
};

/* Room for --help and the end is left by MAX_OPTIONS. */
static size_t add_table(struct parser *p, size_t n, const struct option_row *row)
{
	char *letters = p->letters + strlen(p->letters);

	for (; row->name && n < MAX_OPTIONS; row++) {
		p->option[n++] = (struct option){
			.name = row->name,
			.has_arg = row->arg ? required_argument : no_argument,
			.val = row->value,
		};
		if (row->value >= 128)
			continue;
		*letters++ = row->value;
		if (row->arg)
			*letters++ = ':';
	}
	*letters = '\0';
	return n;
}

static void build_parser(const struct command *cmd, struct parser *p)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < MAX_TABLES && cmd->option[i]; i++)
		n = add_table(p, n, cmd->option[i]);
	add_table(p, n, common_options);
}

int parse_options(const struct command *cmd, int argc, char **argv,
		  int (*take)(int value, const char *arg, void *to), void *to)
{
	struct parser p = { 0 };
	char title[24];
	int value;
	int r;

	build_parser(cmd, &p);
	/* getopt's own messages begin with argv[0]. */
	snprintf(title, sizeof(title), "prmpath %s", cmd->name);
	argv[0] = title;
	optind = 0;
	while ((value = getopt_long(argc, argv, p.letters, p.option, NULL)) != -1) {
		if (value == '?')
			return try_help();
		if (value == common_options[0].value) {
			print_command_help(cmd);
			return -1;
		}
		r = take(value, optarg, to);
		if (r)
			return r;
	}
	return 0;
}

int parse_device(const struct command *cmd, int argc, char **argv,
		 int (*take)(int value, const char *arg, void *to), void *to,
		 const char **dev)
{
	int r = parse_options(cmd, argc, argv, take, to);

	if (r)
		return r;
	if (optind == argc) {
		complain("%s: no device: expected DEV", cmd->name);
		return try_help();
	}
	if (optind + 1 < argc) {
		complain("%s: '%s' after the device: expected one device", cmd->name,
			 argv[optind + 1]);
		return try_help();
	}
	*dev = argv[optind];
	return 0;
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

bool lost_output(void)
{
	/* Who flushed before us, as libsmartcols does, has left nothing but the mark. */
	return fflush(stdout) || ferror(stdout);
}

static int close_stdout(int code)
{
	bool bad = ferror(stdout);

	if (fflush(stdout))
		complain("cannot write the output: %s", strerrordesc_np(errno));
	else if (bad)
		/* Some of it, a while ago: errno is another one by now. */
		complain("cannot write the output: is the disk full?");
	else
		return code;
	return code ? code : EXIT_FAILURE;
}

static int run_command(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		complain("no subcommand: expected one of those that --help lists");
		return try_help();
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_help();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return print_version();
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	complain("unknown %s '%s': expected one of those that --help lists",
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
