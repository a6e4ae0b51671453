// SPDX-License-Identifier: GPL-2.0-only
/*
 * A load that costs next to nothing itself: 4 KiB I/O through the kernel's own
 * aio calls, or buffered writes.
 *
 * usage: load rand|seq|buffered read|write DEPTH COUNT DEVICE
 *
 * rand: COUNT I/Os at random places, DEPTH under way; after a warm-up of half a
 * slice, five slices, and the median nanoseconds per I/O are printed. seq: DEPTH
 * at a time submitted at once. buffered: through the page cache, and fsync.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SIZE		4096
#define DEPTH_MAX	256
#define SLICES		5

static aio_context_t context;
static struct iocb block[DEPTH_MAX];
static struct iocb *ready[DEPTH_MAX];
static struct io_event ended[DEPTH_MAX];
static unsigned long blocks, next;
static uint64_t seed = 88172645463325252ULL;
static bool sequential;

static void place(struct iocb *io)
{
	unsigned long at = next++;

	if (!sequential) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		at = seed;
	}
	io->aio_offset = at % blocks * SIZE;
}

static void submit(long n)
{
	long done = 0, r;

	for (; done < n; done += r) {
		r = syscall(SYS_io_submit, context, n - done, ready + done);
		if (r <= 0)
			err(1, "io_submit");
	}
}

/* At least that many have ended; they are placed anew in ready[]. */
static long collect(long least)
{
	long n = syscall(SYS_io_getevents, context, least, DEPTH_MAX, ended, NULL);
	long i;

	if (n < least)
		err(1, "io_getevents");
	for (i = 0; i < n; i++) {
		if (ended[i].res != SIZE)
			errx(1, "I/O ended with %lld, expected %d", (long long)ended[i].res, SIZE);
		ready[i] = (struct iocb *)(uintptr_t)ended[i].obj;
		place(ready[i]);
	}
	return n;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* The whole depth stays under way; returns I/Os that ended. */
static unsigned long work(unsigned long count, long depth)
{
	unsigned long done = 0;

	while (done < count) {
		long n = collect(sequential ? depth : 1);

		done += n;
		submit(n);
	}
	return done;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void aio(int fd, bool writes, long depth, unsigned long count)
{
	unsigned long slice = count / SLICES;
	double per_io[SLICES];
	long i;

	if (syscall(SYS_io_setup, DEPTH_MAX, &context))
		err(1, "io_setup");
	for (i = 0; i < depth; i++) {
		block[i].aio_fildes = fd;
		block[i].aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		block[i].aio_buf = (uintptr_t)aligned_alloc(SIZE, SIZE);
		memset((void *)(uintptr_t)block[i].aio_buf, 0, SIZE);
		block[i].aio_nbytes = SIZE;
		block[i].aio_data = (uintptr_t)&block[i];
		ready[i] = &block[i];
		place(&block[i]);
	}
	submit(depth);
	if (sequential) {
		if (count > (unsigned long)depth)
			work(count - depth, depth);
		collect(depth);
		return;
	}
	work(slice / 2, depth);
	for (i = 0; i < SLICES; i++) {
		uint64_t begin = now();
		unsigned long done = work(slice, depth);

		per_io[i] = (double)(now() - begin) / done;
	}
	collect(depth);
	qsort(per_io, SLICES, sizeof(per_io[0]), compare);
	printf("%.0f\n", per_io[SLICES / 2]);
}

static void buffered(int fd, unsigned long count)
{
	static char page[SIZE];

	while (count--)
		if (write(fd, page, SIZE) != SIZE)
			err(1, "write");
	if (fsync(fd))
		err(1, "fsync");
}

int main(int argc, char **argv)
{
	bool cached = argc == 6 && !strcmp(argv[1], "buffered");
	unsigned long depth, count;
	uint64_t bytes;
	bool writes;
	int fd;

	if (argc != 6)
		errx(2, "expected: rand|seq|buffered read|write DEPTH COUNT DEVICE");
	sequential = !strcmp(argv[1], "seq");
	writes = !strcmp(argv[2], "write");
	depth = strtoul(argv[3], NULL, 0);
	count = strtoul(argv[4], NULL, 0);
	if (!depth || depth > DEPTH_MAX)
		errx(2, "depth %lu, expected 1 to %d", depth, DEPTH_MAX);
	fd = open(argv[5], O_RDWR | (cached ? 0 : O_DIRECT));
	if (fd < 0)
		err(1, "%s", argv[5]);
	if (ioctl(fd, BLKGETSIZE64, &bytes))
		err(1, "%s: BLKGETSIZE64", argv[5]);
	blocks = bytes / SIZE;
	if (cached)
		buffered(fd, count);
	else
		aio(fd, writes, depth, count);
	return 0;
}
