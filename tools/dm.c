// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices come, change and go: device-mapper's steps, each undone when the
 * next one fails, and udev's part waited for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libdevmapper.h>

#include "command.h"

#define TARGET_NAME	"prmpath"
#define UDEV_DEADLINE_S	60

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

void dm_be_quiet(void)
{
	dm_log_with_errno_init(no_dm_log);
}

static struct dm_task *new_task(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);

	if (task && dm_task_set_name(task, name))
		return task;
	if (task)
		dm_task_destroy(task);
	return NULL;
}

/* The exit status of a task that failed, after a complaint; destroys it. */
static int task_failed(struct dm_task *task, const char *name, const char *what)
{
	int err = task ? dm_task_get_errno(task) : 0;
	struct prm_error error = { 0 };

	if (task)
		dm_task_destroy(task);
	if (!err || err == EPERM || err == EACCES) {
		/* The library finds out what is wrong with device-mapper itself. */
		prm_names_free(prm_names(&error));
		if (error.code) {
			complain("%s: %s", name, error.text);
			return exit_of_errno(error.code);
		}
	}
	complain("%s: %s: %s", name, what,
		 err ? strerrordesc_np(err) : "device-mapper cannot be used");
	klog_tell();
	return err ? exit_of_errno(err) : EXIT_FAILURE;
}

/* Between two steps: 0, or 128 + a signal that came during the first one. */
static int taken_signal(const sigset_t *ends)
{
	const struct timespec now = { 0 };
	int sig = sigtimedwait(ends, NULL, &now);

	return sig > 0 ? EXIT_SIGNAL + sig : 0;
}

/* 0 when udev is done, or the signal that ended the wait. */
static int wait_udev(uint32_t cookie, const sigset_t *ends)
{
	const struct timespec step = { .tv_nsec = 20 * 1000 * 1000 };
	int steps = UDEV_DEADLINE_S * 50;
	int ready = 0;
	int sig;

	if (!cookie)
		return 0;
	while (steps--) {
		if (!dm_udev_wait_immediate(cookie, &ready) || ready)
			return 0;
		sig = sigtimedwait(ends, NULL, &step);
		if (sig > 0) {
			dm_udev_complete(cookie);
			return sig;
		}
	}
	complain("udev did not finish within %d s: going on; see the journal of udevd",
		 UDEV_DEADLINE_S);
	dm_udev_complete(cookie);
	return 0;
}

/* A step that udev follows. Return: 0, 128 + a signal, or an exit status. */
static int run_followed(struct dm_task *task, const char *name, const char *what,
			const sigset_t *ends)
{
	uint32_t cookie = 0;
	int sig;

	if (!dm_task_set_cookie(task, &cookie, 0) || !dm_task_run(task)) {
		if (cookie)
			dm_udev_complete(cookie);
		return task_failed(task, name, what);
	}
	dm_task_destroy(task);
	sig = wait_udev(cookie, ends);
	return sig ? EXIT_SIGNAL + sig : taken_signal(ends);
}

static int create_empty(const char *name, const char *uuid)
{
	struct dm_task *task = new_task(DM_DEVICE_CREATE, name);

	if (!task || !dm_task_set_uuid(task, uuid))
		return task_failed(task, name, "cannot be created");
	if (!dm_task_run(task)) {
		if (dm_task_get_errno(task) != EBUSY)
			return task_failed(task, name, "cannot be created");
		dm_task_destroy(task);
		complain("%s: the name or the LUN (%s) has a device already: "
			 "see 'prmpath list -o NAME,UUID' and 'dmsetup ls'", name, uuid);
		return EXIT_BUSY;
	}
	dm_task_destroy(task);
	return 0;
}

static int load(const char *name, uint64_t sectors, const char *params)
{
	struct dm_task *task = new_task(DM_DEVICE_RELOAD, name);

	if (task && dm_task_add_target(task, 0, sectors, TARGET_NAME, params) &&
	    dm_task_run(task)) {
		dm_task_destroy(task);
		return 0;
	}
	if (task && dm_task_get_errno(task) == EINVAL)
		complain("is the module loaded? 'modprobe dm-prmpath'");
	return task_failed(task, name, "the table was refused");
}

/* Neither may wait for I/O that no path can carry. */
static int resume(const char *name, const sigset_t *ends)
{
	struct dm_task *task = new_task(DM_DEVICE_RESUME, name);

	if (!task || !dm_task_no_flush(task) || !dm_task_skip_lockfs(task))
		return task_failed(task, name, "cannot be resumed");
	return run_followed(task, name, "cannot be resumed", ends);
}

static void undo(int type, const char *name)
{
	struct dm_task *task = new_task(type, name);

	if (!task)
		return;
	if (type == DM_DEVICE_REMOVE)
		dm_task_retry_remove(task);
	if (!dm_task_run(task))
		complain("%s: cannot be undone: %s; try 'dmsetup %s %s'", name,
			 strerrordesc_np(dm_task_get_errno(task)),
			 type == DM_DEVICE_REMOVE ? "remove" : "clear", name);
	dm_task_destroy(task);
}

/* A signal that waited is taken now; if it does not end us, @code does. */
static int unblock_signals(const sigset_t *old, int code)
{
	sigprocmask(SIG_SETMASK, old, NULL);
	return code;
}

int dm_create_table(const char *name, const char *uuid, uint64_t sectors,
		    const char *params)
{
	sigset_t ends;
	sigset_t old;
	int r;

	block_ends(&ends, &old);
	klog_begin();
	r = create_empty(name, uuid);
	if (r)
		return unblock_signals(&old, r);
	r = load(name, sectors, params);
	if (!r)
		r = taken_signal(&ends);
	if (!r)
		r = resume(name, &ends);
	if (r > EXIT_SIGNAL)
		complain("%s: interrupted; the device is removed again", name);
	if (r)
		undo(DM_DEVICE_REMOVE, name);
	return unblock_signals(&old, r);
}

int dm_swap_table(const char *name, uint64_t sectors, const char *params)
{
	sigset_t ends;
	sigset_t old;
	int r;

	block_ends(&ends, &old);
	klog_begin();
	r = load(name, sectors, params);
	if (r)
		return unblock_signals(&old, r);
	r = taken_signal(&ends);
	if (r) {
		complain("%s: interrupted; nothing was changed", name);
		undo(DM_DEVICE_CLEAR, name);
		return unblock_signals(&old, r);
	}
	r = resume(name, &ends);
	if (r > EXIT_SIGNAL)
		complain("%s: interrupted while udev was at work; the change is made", name);
	else if (r)
		undo(DM_DEVICE_CLEAR, name);
	return unblock_signals(&old, r);
}

char *dm_read_table(const char *name, uint64_t *sectors, int *code)
{
	struct dm_task *task = new_task(DM_DEVICE_TABLE, name);
	uint64_t start = 0;
	char *copy = NULL;
	char *params = NULL;
	char *type = NULL;

	if (!task || !dm_task_run(task)) {
		*code = task_failed(task, name, "the table cannot be read");
		return NULL;
	}
	dm_get_next_target(task, NULL, &start, sectors, &type, &params);
	if (type && params)
		copy = strdup(params);
	dm_task_destroy(task);
	if (!copy)
		*code = fail_no_memory();
	return copy;
}

int dm_remove(const char *name, bool deferred)
{
	struct dm_task *task = new_task(DM_DEVICE_REMOVE, name);
	sigset_t ends;
	sigset_t old;
	int r;

	/* What udev has open is closed in a moment. */
	if (!task || !dm_task_retry_remove(task) ||
	    (deferred && !dm_task_deferred_remove(task)))
		return task_failed(task, name, "cannot be removed");
	block_ends(&ends, &old);
	klog_begin();
	r = run_followed(task, name, "cannot be removed", &ends);
	if (r > EXIT_SIGNAL)
		complain("%s: interrupted while udev was at work; it is removed", name);
	if (r == EXIT_BUSY)
		complain("%s: still open: find by whom with 'fuser -v /dev/mapper/%s', 'lsblk' and "
			 "'dmsetup ls --tree'; or 'prmpath remove --deferred %s'",
			 name, name, name);
	return unblock_signals(&old, r);
}
