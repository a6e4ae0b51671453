// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in a guest with a debug kernel: does one thing again and again, and the
 * kernel fails the first, the second, the third allocation of it, until it ends
 * without having met the failure.
 *
 * usage: failnth WATCHED load NAME SECTORS TARGET WORDS	a table, cleared again
 *	  failnth WATCHED resume NAME SECTORS TARGET WORDS	the same table goes live again
 *	  failnth WATCHED open DEVICE				for writing
 *	  failnth WATCHED extended DEVICE			by the control node
 *	  failnth WATCHED message NAME TEXT
 *	  failnth WATCHED status NAME
 *	  failnth WATCHED insmod FILE				and away again
 *
 * After each failure what was reserved and registered at the target, read through
 * the disk WATCHED ("-": none), must be what it was, and the same thing must succeed
 * when nothing fails. Prints "NUMBER OUTCOME" for each allocation, then "done NUMBER".
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <scsi/sg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uapi/prmpath.h"

#define MOST		2000	/* allocations: a thing that never succeeds must end */
#define ANSWER		256
#define WORDS		4096
#define PATIENCE	300	/* tenths of a second */

static struct dm_ioctl *dm_request(void *buffer, size_t size, const char *name)
{
	struct dm_ioctl *dm = memset(buffer, 0, size);

	dm->version[0] = DM_VERSION_MAJOR;
	dm->data_size = size;
	dm->data_start = sizeof(*dm);
	snprintf(dm->name, sizeof(dm->name), "%s", name);
	return dm;
}

static uint64_t buffer[2048];
static int control = -1, node = -1, extended = -1;

static int load(char **words)
{
	struct dm_ioctl *dm = dm_request(buffer, sizeof(buffer), words[0]);
	struct dm_target_spec *spec = (void *)(dm + 1);

	dm->target_count = 1;
	spec->length = strtoull(words[1], NULL, 0);
	snprintf(spec->target_type, sizeof(spec->target_type), "%s", words[2]);
	snprintf((char *)(spec + 1), WORDS, "%s", words[3]);
	spec->next = (sizeof(*spec) + strlen(words[3]) + 8) & ~7ul;
	return ioctl(control, DM_TABLE_LOAD, dm);
}

static void clear(char **words)
{
	ioctl(control, DM_TABLE_CLEAR, dm_request(buffer, sizeof(buffer), words[0]));
}

static int resume(char **words)
{
	return ioctl(control, DM_DEV_SUSPEND, dm_request(buffer, sizeof(buffer), words[0]));
}

static int open_node(char **words)
{
	node = open(words[0], O_RDWR);
	return node < 0 ? -1 : 0;
}

static void close_node(char **words)
{
	(void)words;
	close(node);
}

static int open_quiet(char **words)
{
	node = open(words[0], O_RDWR | O_NONBLOCK);
	return node < 0 ? -1 : 0;
}

static int open_extended(char **words)
{
	struct prm_ioc_open args = { .fd = node };

	(void)words;
	return ioctl(extended, PRM_IOC_OPEN, &args);
}

static int message(char **words)
{
	struct dm_ioctl *dm = dm_request(buffer, sizeof(buffer), words[0]);
	struct dm_target_msg *text = (void *)(dm + 1);

	snprintf(text->message, WORDS, "%s", words[1]);
	return ioctl(control, DM_TARGET_MSG, dm);
}

static int status(char **words)
{
	return ioctl(control, DM_TABLE_STATUS, dm_request(buffer, sizeof(buffer), words[0]));
}

static int open_module(char **words)
{
	node = open(words[0], O_RDONLY | O_CLOEXEC);
	return node < 0 ? -1 : 0;
}

static int insert(char **words)
{
	(void)words;
	return syscall(SYS_finit_module, node, "", 0);
}

static void take_away(char **words)
{
	(void)words;
	if (syscall(SYS_delete_module, "dm_prmpath", O_NONBLOCK))
		err(1, "delete_module");
}

/*
 * before: what must have been done, without failures; after_success, after_all: undo
 * what it, and what before, have done.
 */
static const struct thing {
	const char *name;
	int words;
	int (*before)(char **words);
	int (*run)(char **words);
	void (*after_success)(char **words);
	void (*after_all)(char **words);
} things[] = {
	{ "load", 4, NULL, load, clear, NULL },
	{ "resume", 4, load, resume, NULL, clear },
	{ "open", 1, NULL, open_node, close_node, NULL },
	{ "extended", 1, open_quiet, open_extended, NULL, close_node },
	{ "message", 2, NULL, message, NULL, NULL },
	{ "status", 1, NULL, status, NULL, NULL },
	{ "insmod", 1, open_module, insert, take_away, close_node },
};

/* Keys and reservation; generation left out, since what was undone counts there. */
static void read_target(int watched, uint8_t answers[2][ANSWER])
{
	for (int action = 0; action < 2; action++) {
		uint8_t cdb[10] = { 0x5e, action, [7] = ANSWER >> 8, [8] = ANSWER & 0xff };
		uint8_t sense[32];
		sg_io_hdr_t io;

		/* A unit attention takes the first answers. */
		for (int try = 0; try < 4; try++) {
			io = (sg_io_hdr_t){
				.interface_id = 'S', .dxfer_direction = SG_DXFER_FROM_DEV,
				.cmd_len = sizeof(cdb), .cmdp = cdb, .mx_sb_len = sizeof(sense),
				.sbp = sense, .dxfer_len = ANSWER, .dxferp = answers[action],
				.timeout = 20000,
			};
			memset(answers[action], 0, ANSWER);
			if (ioctl(watched, SG_IO, &io))
				err(1, "SG_IO");
			if (!io.status && !io.host_status)
				break;
		}
		if (io.status || io.host_status)
			errx(1, "PERSISTENT RESERVE IN: status %#x %#x", io.status, io.host_status);
		memset(answers[action], 0, 4);
	}
}

static int fail_nth = -1;

static void set_fail_nth(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	if (pwrite(fail_nth, text, strlen(text), 0) < 0)
		err(1, "fail-nth");
}

/* Whether the failure is still to come. */
static bool pending(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		err(1, "fail-nth");
	return atoi(text) > 0;
}

static int attempt(const struct thing *thing, char **words, unsigned int n, bool *missed)
{
	int r, error;

	if (thing->before && thing->before(words))
		err(1, "%s %u: before it", thing->name, n);
	if (n)
		set_fail_nth(n);
	r = thing->run(words);
	error = errno;
	*missed = n && pending();
	set_fail_nth(0);
	if (!r && thing->after_success)
		thing->after_success(words);
	if (thing->after_all)
		thing->after_all(words);
	return r ? error : 0;
}

int main(int argc, char **argv)
{
	uint8_t before[2][ANSWER], after[2][ANSWER];
	const struct thing *thing = things;
	const struct thing *end = things + sizeof(things) / sizeof(things[0]);
	int watched = -1, error, again;
	bool missed = false;

	while (argc > 2 && thing < end && strcmp(argv[2], thing->name))
		thing++;
	if (argc < 3 || thing == end || argc != 3 + thing->words)
		errx(2, "wrong words");
	control = open("/dev/mapper/control", O_RDWR);
	extended = open("/dev/prmpath-control", O_RDONLY);
	if (control < 0)
		err(1, "/dev/mapper/control");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fail_nth < 0)
		err(1, "fail-nth");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[1], "-")) {
		watched = open(argv[1], O_RDWR | O_NONBLOCK);
		if (watched < 0)
			err(1, "%s", argv[1]);
		read_target(watched, before);
	}
	for (unsigned int n = 1; n < MOST; n++) {
		error = attempt(thing, argv + 3, n, &missed);
		if (missed) {
			if (error)
				errx(1, "%u: %s without a failure", n, strerrorname_np(error));
			printf("done %u\n", n - 1);
			return 0;
		}
		printf("%u %s\n", n, error ? strerrorname_np(error) : "ok");
		if (watched >= 0) {
			/* udev looks at what was open for writing; the last close is its. */
			for (int i = 0; i < PATIENCE; i++) {
				read_target(watched, after);
				if (!memcmp(before, after, sizeof(before)))
					break;
				usleep(100000);
			}
			if (memcmp(before, after, sizeof(before)))
				errx(1, "%u: %u bytes of keys and %u of reservation, "
				     "expected %u and %u",
				     n, after[0][7], after[1][7], before[0][7], before[1][7]);
		}
		again = attempt(thing, argv + 3, 0, &missed);
		if (again)
			errx(1, "%u: afterwards without a failure: %s", n, strerrorname_np(again));
	}
	errx(1, "still failing after %u allocations", MOST);
}
