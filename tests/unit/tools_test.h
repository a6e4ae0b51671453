/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The library and the prmpath command with the kernel replaced: open(2) and
 * ioctl(2) by functions here, libdevmapper by the few calls that are used,
 * sysfs by a folder. What is asked of device-mapper is printed, so that it
 * shows in the output of a command that ran in a child.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <sys/ioctl.h>

static int fake_open(const char *path, int flags);
static int fake_ioctl(int fd, unsigned long request, void *arg);
static int fake_rename(const char *from, const char *to);

#define open(path, flags)		fake_open(path, flags)
#define ioctl(fd, request, arg)		fake_ioctl(fd, request, arg)
#define rename(from, to)		fake_rename(from, to)
#define main				prmpath_main

#include "libprmpath.c"
#include "prmpath.c"
#include "klog.c"
#include "output.c"
#include "scsi.c"
#include "dm.c"
#include "key.c"
#include "open.c"
#include "show.c"
#include "query.c"
#include "create.c"
#include "doctor.c"
#include "metrics.c"

#undef open
#undef ioctl
#undef rename
#undef main

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/*
 * The kernel
 */

static struct {
	int control_errno;
	int ioctl_errno;
	bool control_opened;
	bool device_opened;
	int device_flags;
	struct prm_ioc_open request;
	const char *busy_disk;		/* O_EXCL finds it in use */
	const char *log;		/* what /dev/kmsg has to say */
	bool open_hangs;
	bool sg_hangs;
	bool signal_at_rename;		/* Ctrl-C comes just before it */
	int events[2];			/* a byte in it is an event */
	int sg_errno;
	uint8_t sg_status;
	uint8_t sg_sense;		/* sense key */
	int sg_attentions;		/* that come first */
	uint8_t answer[4][256];		/* of PERSISTENT RESERVE IN, by service action */
} kernel;

/* What stands for the dm device; a plain file is enough here. */
static char device_path[] = "/tmp/prmpath-test-XXXXXX";

/* A wait that only a signal ends; whoever started us sees that it has begun. */
static void hang(void)
{
	puts("[waits]");
	fflush(stdout);
	for (;;)
		pause();
}

static int fake_rename(const char *from, const char *to)
{
	if (kernel.signal_at_rename)
		raise(SIGINT);
	return rename(from, to);
}

static int open_log(void)
{
	int ends[2];

	if (!kernel.log || pipe2(ends, O_NONBLOCK)) {
		errno = EPERM;
		return -1;
	}
	assert_int_equal(write(ends[1], kernel.log, strlen(kernel.log)), strlen(kernel.log));
	close(ends[1]);
	return ends[0];
}

static int fake_open(const char *path, int flags)
{
	if (!strcmp(path, "/dev/prmpath-control")) {
		kernel.control_opened = true;
		if (kernel.control_errno) {
			errno = kernel.control_errno;
			return -1;
		}
		assert_true(flags & O_CLOEXEC);
		return open("/dev/null", flags);
	}
	if (!strcmp(path, "/dev/mapper/control")) {
		if (kernel.events[0])
			return dup(kernel.events[0]);
		errno = EACCES;
		return -1;
	}
	if (!strcmp(path, "/dev/kmsg"))
		return open_log();
	if (!strncmp(path, "/dev/sd", 7)) {
		if (kernel.busy_disk && (flags & O_EXCL) && !strcmp(path, kernel.busy_disk)) {
			errno = EBUSY;
			return -1;
		}
		return open("/dev/null", flags & ~O_EXCL);
	}
	if (!strcmp(path, device_path)) {
		kernel.device_opened = true;
		kernel.device_flags = flags;
	}
	return open(path, flags);
}

static int fake_sg(struct sg_io_hdr *io)
{
	assert_int_equal(io->cmdp[0], 0x5e);
	assert_in_range(io->cmdp[1], 0, 3);
	if (kernel.sg_hangs)
		hang();
	if (kernel.sg_errno) {
		errno = kernel.sg_errno;
		return -1;
	}
	if (kernel.sg_attentions || kernel.sg_sense) {
		io->status = 2;
		io->sbp[0] = 0x70;
		io->sbp[2] = kernel.sg_attentions ? 6 : kernel.sg_sense;
		io->sb_len_wr = 18;
		kernel.sg_attentions -= !!kernel.sg_attentions;
		return 0;
	}
	io->status = kernel.sg_status;
	memcpy(io->dxferp, kernel.answer[io->cmdp[1]],
	       io->dxfer_len < 256 ? io->dxfer_len : 256);
	io->resid = io->dxfer_len < 256 ? 0 : io->dxfer_len - 256;
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	char byte;

	assert_true(fd >= 0);
	if (request == SG_IO)
		return fake_sg(arg);
	if (request == DM_DEV_ARM_POLL) {
		while (read(fd, &byte, 1) == 1)
			;
		return 0;
	}
	if (kernel.ioctl_errno) {
		errno = kernel.ioctl_errno;
		return -1;
	}
	if (request == PRM_IOC_VERSION) {
		struct prm_ioc_version *version = arg;

		version->abi = PRM_ABI_VERSION;
		memset(version->release, 'x', sizeof(version->release));
		return 0;
	}
	assert_int_equal(request, PRM_IOC_OPEN);
	kernel.request = *(struct prm_ioc_open *)arg;
	if (kernel.open_hangs)
		hang();
	return 0;
}

/*
 * libdevmapper
 */

struct fake_device {
	const char *name;
	const char *type;
	const char *params;
	int err;
	const char *table;
};

static const struct fake_device *fake_devices;
static bool fake_no_dm;
static int fake_list_errno;

/* By task: the error of each step that changes something. */
static int fake_step_errno[32];
static int fake_step_signal[32];
static bool fake_udev_hangs;
static bool fake_message_hangs;
static const char *fake_answer = "";

struct dm_task {
	int type;
	const struct fake_device *device;
	int err;
	int major;
	char *text;
	bool deferred;
	union {
		struct dm_names names;
		char bytes[1024];
	};
};

struct dm_task *dm_task_create(int type)
{
	struct dm_task *task = fake_no_dm ? NULL : calloc(1, sizeof(*task));

	if (task)
		task->type = type;
	return task;
}

void dm_task_destroy(struct dm_task *task)
{
	free(task->text);
	free(task);
}

int dm_task_set_name(struct dm_task *task, const char *name)
{
	const struct fake_device *d;

	for (d = fake_devices; d->name; d++)
		if (!strcmp(d->name, name))
			task->device = d;
	if (!task->text)
		task->text = strdup(name);
	return 1;
}

static int add_text(struct dm_task *task, char *text)
{
	free(task->text);
	task->text = text;
	return !!text;
}

int dm_task_set_uuid(struct dm_task *task, const char *uuid)
{
	return add_text(task, text_of("%s uuid %s", task->text, uuid));
}

int dm_task_add_target(struct dm_task *task, uint64_t start, uint64_t size,
		       const char *type, const char *params)
{
	return add_text(task, text_of("%s: %d %d %s %s", task->text, (int)start, (int)size,
				      type, params));
}

int dm_task_set_message(struct dm_task *task, const char *message)
{
	return add_text(task, text_of("%s: %s", task->text, message));
}

int dm_task_set_sector(struct dm_task *task, uint64_t sector)
{
	(void)task;
	return !sector;
}

const char *dm_task_get_message_response(struct dm_task *task)
{
	(void)task;
	return fake_answer;
}

int dm_task_skip_lockfs(struct dm_task *task)
{
	(void)task;
	return 1;
}

int dm_task_retry_remove(struct dm_task *task)
{
	(void)task;
	return 1;
}

int dm_task_deferred_remove(struct dm_task *task)
{
	task->deferred = true;
	return 1;
}

int dm_task_set_cookie(struct dm_task *task, uint32_t *cookie, uint16_t flags)
{
	(void)task;
	*cookie = 0xd4d0001;
	return !flags;
}

int dm_udev_wait_immediate(uint32_t cookie, int *ready)
{
	assert_int_equal(cookie, 0xd4d0001);
	*ready = !fake_udev_hangs;
	if (fake_udev_hangs) {
		/* Whoever started us sees that the wait has begun. */
		puts("[waits]");
		fflush(stdout);
	}
	return 1;
}

int dm_udev_complete(uint32_t cookie)
{
	assert_int_equal(cookie, 0xd4d0001);
	return 1;
}

int dm_task_set_major(struct dm_task *task, int major)
{
	task->major = major;
	return 1;
}

int dm_task_set_minor(struct dm_task *task, int minor)
{
	(void)task;
	(void)minor;
	return 1;
}

int dm_task_no_flush(struct dm_task *task)
{
	(void)task;
	return 1;
}

int dm_task_no_open_count(struct dm_task *task)
{
	(void)task;
	return 1;
}

static void fill_names(struct dm_task *task)
{
	const struct fake_device *d;
	struct dm_names *entry = &task->names;
	size_t size;

	for (d = fake_devices; d->name; d++) {
		entry->dev = 0xfd00 + (d - fake_devices);
		size = (sizeof(*entry) + strlen(d->name) + 8) & ~7ul;
		memcpy((char *)entry + offsetof(struct dm_names, name), d->name,
		       strlen(d->name) + 1);
		if (!d[1].name)
			break;
		entry->next = size;
		entry = (void *)((char *)entry + size);
	}
}

static const char * const step_names[] = {
	[DM_DEVICE_CREATE] = "create", [DM_DEVICE_RELOAD] = "reload",
	[DM_DEVICE_REMOVE] = "remove", [DM_DEVICE_RESUME] = "resume",
	[DM_DEVICE_CLEAR] = "clear", [DM_DEVICE_TARGET_MSG] = "message",
};

/* A task that changes something. */
static int run_step(struct dm_task *task, const char *name)
{
	printf("[%s%s %s]\n", name, task->deferred ? " deferred" : "", task->text);
	fflush(stdout);
	if (fake_message_hangs && task->type == DM_DEVICE_TARGET_MSG)
		hang();
	if (fake_step_signal[task->type])
		raise(fake_step_signal[task->type]);
	task->err = fake_step_errno[task->type];
	return !task->err;
}

int dm_task_run(struct dm_task *task)
{
	if (task->type < (int)ARRAY_SIZE(step_names) && step_names[task->type])
		return run_step(task, step_names[task->type]);
	if (task->type == DM_DEVICE_LIST) {
		task->err = fake_list_errno;
		fill_names(task);
	} else {
		/* A name that does not exist is no error of a status, says libdevmapper. */
		task->err = task->device ? task->device->err :
			    task->type == DM_DEVICE_STATUS ? 0 : ENXIO;
	}
	return !task->err;
}

int dm_task_get_errno(struct dm_task *task)
{
	return task->err;
}

struct dm_names *dm_task_get_names(struct dm_task *task)
{
	return &task->names;
}

const char *dm_task_get_name(const struct dm_task *task)
{
	return task->device->name;
}

const char *dm_task_get_uuid(const struct dm_task *task)
{
	return strcmp(task->device->name, "mpa") ? "" : "prm-\"1\"";
}

int dm_task_get_info_with_deferred_remove(struct dm_task *task,
					  struct dm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->exists = !!task->device;
	info->major = 253;
	info->minor = 7;
	return 1;
}

/* The header renames dm_task_get_info() with some versions only. */
#undef dm_task_get_info
int dm_task_get_info(struct dm_task *task, struct dm_info *info)
{
	return dm_task_get_info_with_deferred_remove(task, info);
}

void *dm_get_next_target(struct dm_task *task, void *next, uint64_t *start,
			 uint64_t *length, char **type, char **params)
{
	(void)next;
	*start = 0;
	*length = 8;
	if (!task->device) {
		*type = NULL;
		*params = NULL;
		return NULL;
	}
	*type = (char *)task->device->type;
	*params = (char *)(task->type == DM_DEVICE_TABLE ? task->device->table :
			   task->device->params);
	return NULL;
}

void dm_log_with_errno_init(dm_log_with_errno_fn fn)
{
	(void)fn;
}

/*
 * Status lines
 */

#define PR_WORDS							\
	"pr=1 state=owner key=0x00000000000abc01 type=5 holder=own:8:16 "	\
	"gen=7 opens=2 options=forced,retain gate=open open=default "		\
	"open_ro=bypass keys_own=2 keys_foreign=0 stale_cache=0"
#define PATHS								\
	"1 alua 2 1 A 0 2 1 8:16 A 0 registered 8:32 F 3 pending "		\
	"E 0 1 1 65:48 A 1 refused"
#define LINE		"16 4 1 " PR_WORDS " " PATHS

/*
 * The command
 */

static char output[65536];
static char complaint[8192];

#define MAX_ARGS	24
#define ARGS(...)	((char *[MAX_ARGS]) { "prmpath", ##__VA_ARGS__ })

static FILE *scratch(void)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	return f;
}

static void slurp(FILE *f, char *text, size_t size)
{
	rewind(f);
	text[fread(text, 1, size - 1, f)] = '\0';
	fclose(f);
}

/* Our end of a pipe, of which a command must not have a copy. */
static int our_end = -1;

static pid_t start_command(char **args, int out, int complaints)
{
	pid_t pid;
	int argc;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	close(our_end);
	if (out < 0)
		close(STDOUT_FILENO);
	else
		dup2(out, STDOUT_FILENO);
	dup2(complaints, STDERR_FILENO);
	for (argc = 0; args[argc]; argc++)
		;
	/* What hangs is killed, and fails. */
	alarm(60);
	exit(prmpath_main(argc, args));
}

/* The exit status; -signal if one killed it. */
static int reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run(char **args)
{
	FILE *complaints = scratch();
	FILE *out = scratch();
	int code = reap(start_command(args, fileno(out), fileno(complaints)));

	slurp(out, output, sizeof(output));
	slurp(complaints, complaint, sizeof(complaint));
	return code;
}

static void check_run(char **args, int code, const char *out, const char *text)
{
	int got = run(args);

	if (got != code || !strstr(output, out) || !strstr(complaint, text) ||
	    (!*text && *complaint))
		fail_msg("status %d, not %d; output: %s\ncomplaint: %s", got,
			 code, output, complaint);
}

/* Python judges whether the output is JSON, and evaluates @what on it. */
static void check_json(char **args, int code, const char *what)
{
	char *start;
	char *line;
	FILE *py;

	assert_int_equal(run(args), code);
	/* Notes of the fakes come first. */
	start = strstr(output, "{\n");
	assert_non_null(start);
	line = text_of("python3 -c 'import json, sys; j = json.load(sys.stdin.buffer); "
		       "d = j.get(\"devices\", j.get(\"findings\")); "
		       "assert j[\"output_version\"][\"major\"] == 1; assert %s, j'", what);
	py = popen(line, "w");
	assert_non_null(py);
	fputs(start, py);
	if (pclose(py))
		fail_msg("not so: %s\n%s", what, output);
	free(line);
}

static int make_device(void **state)
{
	int fd = mkstemp(device_path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_device(void **state)
{
	(void)state;
	return unlink(device_path);
}
