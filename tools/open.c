// SPDX-License-Identifier: GPL-2.0-only
/*
 * Subcommands that open a device: open, hold and take.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

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
	klog_tell();
	return exit_of_errno(code);
}

/* A name, or the path of a node. Return: a descriptor, or -1 with @code set. */
static int open_device(const char *dev, const struct open_request *request,
		       int *code)
{
	char *path = NULL;
	int fd;

	if (!strchr(dev, '/')) {
		path = text_of("/dev/mapper/%s", dev);
		if (!path) {
			*code = fail_no_memory();
			return -1;
		}
	}
	klog_begin();
	fd = prm_open(path ? path : dev, request->flags | O_CLOEXEC,
		      request->options);
	if (fd < 0)
		*code = open_failed(path ? path : dev, request);
	free(path);
	return fd;
}

static int open_and_run(const char *dev, const struct open_request *request,
			char **argv)
{
	int code;
	int fd;

	code = check_command(argv[0]);
	if (code)
		return code;
	fd = open_device(dev, request, &code);
	if (fd < 0)
		return code;
	code = run_and_wait(argv);
	close(fd);
	return code;
}

static int check_bypass(const struct command *cmd, const struct open_request *request)
{
	if (!(request->options & PRM_OPEN_BYPASS) || request->options == PRM_OPEN_BYPASS)
		return 0;
	complain("%s: --bypass stands alone: it excludes the other open options",
		 cmd->name);
	return try_help();
}

int run_open(const struct command *cmd, int argc, char **argv)
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
	r = check_bypass(cmd, &request);
	if (r)
		return r;
	return open_and_run(argv[optind], &request, argv + words + 1);
}

/*
 * prmpath hold
 */

/* sd_notify(3) in a few lines: one datagram to whoever started us. */
static void notify(const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = name ? strlen(name) : 0;
	int fd;

	if (!len || len >= sizeof(to.sun_path) || !strchr("/@", name[0]))
		return;
	memcpy(to.sun_path, name, len);
	/* An abstract name begins with a zero byte. */
	if (name[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   offsetof(struct sockaddr_un, sun_path) + len) < 0)
		complain("NOTIFY_SOCKET %s: %s", name, strerrordesc_np(errno));
	close(fd);
}

static void notify_state(const char *before, const char *state)
{
	char text[80];

	snprintf(text, sizeof(text), "%sSTATUS=%s\n", before, state);
	notify(text);
}

/*
 * Tell the service manager of a new state. Return: 0, or an exit status if
 * there is nothing left to hold.
 */
static int follow_state(const char *dev, enum prm_state *last)
{
	struct prm_status *st = prm_status_get(dev, NULL);
	int code = 0;

	/* It may be suspended or reloaded just now: the next event tells. */
	if (!st)
		return 0;
	if (st->state == PRM_STATE_FENCED) {
		complain("%s: another host took the LUN: what was held is lost", dev);
		code = EXIT_BUSY;
	}
	if (st->state != *last)
		notify_state("", state_name(st));
	*last = st->state;
	prm_status_free(st);
	return code;
}

/* Until a signal ends it or the LUN is lost. */
static int hold_on(const char *dev, int signals)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		/* Negative without the right to ask: poll() leaves it out then. */
		{ .fd = prm_events_open(), .events = POLLIN },
	};
	enum prm_state last = PRM_STATE_OTHER;
	int code = 0;

	notify("READY=1\n");
	while (!code && !(fds[0].revents & POLLIN)) {
		if (fds[1].fd >= 0 && prm_events_arm(fds[1].fd)) {
			close(fds[1].fd);
			fds[1].fd = -1;
		}
		code = follow_state(dev, &last);
		if (!code && poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			code = EXIT_FAILURE;
	}
	notify("STOPPING=1\n");
	if (fds[1].fd >= 0)
		close(fds[1].fd);
	return code;
}

static int hold_descriptor(const char *dev, int fd)
{
	sigset_t ends;
	sigset_t old;
	int signals;
	size_t i;
	int r;

	sigemptyset(&ends);
	for (i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&ends, forwarded[i]);
	sigprocmask(SIG_BLOCK, &ends, &old);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signals < 0) {
		complain("hold: signalfd: %s", strerrordesc_np(errno));
		r = EXIT_FAILURE;
	} else {
		r = hold_on(dev, signals);
		close(signals);
	}
	close(fd);
	return r;
}

int run_hold(const struct command *cmd, int argc, char **argv)
{
	struct open_request request = { .flags = O_RDWR };
	const char *dev;
	int fd;
	int r;

	r = parse_device(cmd, argc, argv, take_open_option, &request, &dev);
	if (!r)
		r = check_bypass(cmd, &request);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	/* Until it is held, signals do what they always do. */
	fd = open_device(dev, &request, &r);
	return fd < 0 ? r : hold_descriptor(dev, fd);
}

/*
 * prmpath take
 */

static int check_taken(const char *dev)
{
	struct prm_error err = { 0 };
	struct prm_status *st = prm_status_get(dev, &err);
	int code = 0;

	if (!st)
		return exit_of_error(dev, &err);
	if (st->state != PRM_STATE_RETAINED && st->state != PRM_STATE_OWNER) {
		complain("%s: taken, and then not kept: the state is '%s', expected retained",
			 dev, state_name(st));
		code = EXIT_FAILURE;
	}
	prm_status_free(st);
	return code;
}

int run_take(const struct command *cmd, int argc, char **argv)
{
	const struct open_request request = {
		.flags = O_RDWR,
		.options = PRM_OPEN_FORCED | PRM_OPEN_RETAIN,
	};
	const char *dev;
	int fd;
	int r;

	r = parse_device(cmd, argc, argv, NULL, NULL, &dev);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	fd = open_device(dev, &request, &r);
	if (fd < 0)
		return r;
	close(fd);
	return check_taken(dev);
}
