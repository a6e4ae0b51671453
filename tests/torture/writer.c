// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that writes to (or reads from) the device under torture and tells
 * each step before and after it, through a virtio-serial port: what it has told
 * outlives the guest.
 *
 * usage: writer write PORT DEVICE OPEN HOW OPTIONS SLOT THREADS PACE
 *        writer read  PORT DEVICE OPEN HOW OPTIONS PACE
 *        writer dump FILE
 *
 * PORT: name of the port, or "-" for standard output. OPEN: the number of this
 * open, unique in a run. HOW: plain (open(2)) or extended, with OPTIONS as bits.
 * A thread has blocks of its own, so that no two writes of a host to one block
 * are under way at once. PACE: milliseconds between I/Os of a thread.
 *
 * Lines, each after the number of the open: "call", "open ERRNO", "s SEQ BLOCK"
 * before a write, "a SEQ" acknowledged, "e SEQ ERRNO" failed, "R BLOCK" before a
 * read, "r BLOCK OPEN SEQ" what it found, "x BLOCK ERRNO", "closing", "closed".
 * SIGTERM closes. A writer goes on after errors.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "prmpath.h"

#define SIZE		4096
#define BLOCKS		512
#define SLOTS		4
#define THREADS_MAX	4
#define LANES		(SLOTS * THREADS_MAX)
#define MAGIC		0x6572757472746d70ULL
#define PAUSE_ON_ERROR	100

/* What a block holds: the head, and words that follow from it. */
struct head {
	uint64_t magic, open, seq, block;
};

static int port = 1, fd;
static unsigned long number;
static unsigned int slot, pace;
static atomic_ulong sequence;
static atomic_bool stop;

static uint64_t next_word(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

static void fill(uint64_t *data, uint64_t open, uint64_t seq, uint64_t block)
{
	struct head *head = (struct head *)data;
	size_t i;

	*head = (struct head){ MAGIC, open, seq, block };
	data[4] = next_word(MAGIC ^ open << 40 ^ seq << 10 ^ block);
	for (i = 5; i < SIZE / sizeof(*data); i++)
		data[i] = next_word(data[i - 1]);
}

/* "OPEN SEQ" of a block, "0 0" of one never written, "bad" of any other. */
static void describe(const uint64_t *data, uint64_t block, char *text, size_t size)
{
	const struct head *head = (const struct head *)data;
	static const uint64_t none[SIZE / sizeof(uint64_t)];
	uint64_t wanted[SIZE / sizeof(uint64_t)];

	if (!memcmp(data, none, SIZE)) {
		snprintf(text, size, "0 0");
		return;
	}
	fill(wanted, head->open, head->seq, block);
	if (memcmp(data, wanted, SIZE))
		snprintf(text, size, "bad magic=%llx open=%llu seq=%llu block=%llu",
			 (unsigned long long)head->magic, (unsigned long long)head->open,
			 (unsigned long long)head->seq, (unsigned long long)head->block);
	else
		snprintf(text, size, "%llu %llu", (unsigned long long)head->open,
			 (unsigned long long)head->seq);
}

/* One write(2), so that lines of threads do not mix; it returns when the host has them. */
__attribute__((format(printf, 1, 2)))
static void tell(const char *format, ...)
{
	char text[160];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (write(port, text, n) != n)
		err(1, "port");
}

static int open_port(const char *name)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	char path[320], found[80];
	struct dirent *entry;
	FILE *file;

	if (!dir)
		err(1, "virtio-ports");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		found[0] = 0;
		if (fgets(found, sizeof(found), file))
			found[strcspn(found, "\n")] = 0;
		fclose(file);
		if (!strcmp(found, name)) {
			int result;

			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			result = open(path, O_WRONLY);
			if (result < 0)
				err(1, "%s", path);
			return result;
		}
	}
	errx(1, "no port %s", name);
}

/* 0, or the errno of the open that was asked for. */
static int open_device(const char *device, const char *how, unsigned int options, int flags)
{
	struct prm_ioc_open request = { .options = options };
	int control;

	if (!strcmp(how, "plain")) {
		fd = open(device, flags | O_DIRECT);
		return fd < 0 ? errno : 0;
	}
	control = open("/dev/" PRM_CONTROL_NAME, O_RDONLY);
	fd = open(device, flags | O_DIRECT | O_NONBLOCK);
	if (control < 0 || fd < 0)
		return errno;
	request.fd = fd;
	return ioctl(control, PRM_IOC_OPEN, &request) ? errno : 0;
}

static void *write_lane(void *argument)
{
	unsigned int lane = slot * THREADS_MAX + (unsigned int)(uintptr_t)argument;
	uint64_t *data = aligned_alloc(SIZE, SIZE), random = number << 8 | (lane + 1);
	unsigned long seq = 0, block = 0;
	char before[64] = "";

	while (!stop) {
		random = next_word(random);
		block = random % (BLOCKS / LANES) * LANES + lane;
		seq = atomic_fetch_add(&sequence, 1) + 1;
		tell("%s%lu s %lu %lu\n", before, number, seq, block);
		if (before[0])
			usleep(pace * 1000);
		fill(data, number, seq, block);
		errno = EIO;
		if (pwrite(fd, data, SIZE, block * SIZE) == SIZE) {
			snprintf(before, sizeof(before), "%lu a %lu\n", number, seq);
		} else {
			tell("%lu e %lu %d\n", number, seq, errno);
			usleep(PAUSE_ON_ERROR * 1000);
			before[0] = 0;
		}
	}
	if (before[0])
		tell("%s", before);
	free(data);
	return NULL;
}

static void read_all(void)
{
	uint64_t *data = aligned_alloc(SIZE, SIZE), random = number << 8 | 1;
	char text[120];

	while (!stop) {
		unsigned long block;

		random = next_word(random);
		block = random % BLOCKS;
		tell("%lu R %lu\n", number, block);
		errno = EIO;
		if (pread(fd, data, SIZE, block * SIZE) == SIZE) {
			describe(data, block, text, sizeof(text));
			tell("%lu r %lu %s\n", number, block, text);
		} else {
			tell("%lu x %lu %d\n", number, block, errno);
			usleep(PAUSE_ON_ERROR * 1000);
		}
		usleep(pace * 1000);
	}
	free(data);
}

static void dump(const char *name)
{
	uint64_t *data = aligned_alloc(SIZE, SIZE);
	unsigned long block;
	char text[120];
	int tries;

	fd = open(name, O_RDONLY);
	if (fd < 0)
		err(1, "%s", name);
	for (block = 0; block < BLOCKS; block++) {
		/* A block may be read while it is written: then it is whole the next time. */
		for (tries = 0; tries < 20; tries++) {
			if (pread(fd, data, SIZE, block * SIZE) != SIZE)
				err(1, "%s: block %lu", name, block);
			describe(data, block, text, sizeof(text));
			if (text[0] != 'b')
				break;
			usleep(10000);
		}
		puts(text);
	}
	free(data);
}

static void end(int sig)
{
	(void)sig;
	stop = true;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	unsigned int count, i;
	int error, writes;

	if (argc == 3 && !strcmp(argv[1], "dump")) {
		dump(argv[2]);
		return 0;
	}
	writes = argc == 10 && !strcmp(argv[1], "write");
	if (!writes && !(argc == 8 && !strcmp(argv[1], "read")))
		errx(2, "expected: write PORT DEVICE OPEN HOW OPTIONS SLOT THREADS PACE, "
			"read PORT DEVICE OPEN HOW OPTIONS PACE, or dump FILE");
	number = strtoul(argv[4], NULL, 0);
	pace = strtoul(argv[argc - 1], NULL, 0);
	signal(SIGTERM, end);
	if (strcmp(argv[2], "-"))
		port = open_port(argv[2]);

	tell("%lu call\n", number);
	error = open_device(argv[3], argv[5], strtoul(argv[6], NULL, 0),
			    writes ? O_RDWR : O_RDONLY);
	tell("%lu open %d\n", number, error);
	if (!error && writes) {
		slot = strtoul(argv[7], NULL, 0);
		count = strtoul(argv[8], NULL, 0);
		if (slot >= SLOTS || !count || count > THREADS_MAX)
			errx(2, "slot %u of %d, %u threads of %d", slot, SLOTS, count, THREADS_MAX);
		for (i = 0; i < count; i++)
			if (pthread_create(&threads[i], NULL, write_lane, (void *)(uintptr_t)i))
				errx(1, "thread");
		for (i = 0; i < count; i++)
			pthread_join(threads[i], NULL);
	} else if (!error) {
		read_all();
	}
	tell("%lu closing\n", number);
	if (fd >= 0)
		close(fd);
	tell("%lu closed\n", number);
	return 0;
}
