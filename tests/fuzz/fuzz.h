/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzz targets share: a program is read out of bytes, a broken property aborts. */
#ifndef PRM_FUZZ_H
#define PRM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_OF(array)	(sizeof(array) / sizeof((array)[0]))

/*
 * The bytes that are not used yet. Behind the end there are zeros, or with @again
 * they come once more: what only ends because the input does would be an endless
 * loop then.
 */
struct input {
	const uint8_t *next;
	size_t left;
	size_t again;	/* the last so many bytes */
	size_t used;	/* of them */
};

static inline uint8_t take_byte(struct input *in)
{
	if (!in->left) {
		if (!in->again)
			return 0;
		return in->next[-(ptrdiff_t)(in->again - in->used++ % in->again)];
	}
	in->left--;
	return *in->next++;
}

static inline uint64_t take_be(struct input *in, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | take_byte(in);
	return value;
}

/* From 0 to @n - 1; @n is 256 at most. */
static inline unsigned int take_below(struct input *in, unsigned int n)
{
	return take_byte(in) % n;
}

/* Once in @n times; not for a zero. */
static inline int take_chance(struct input *in, unsigned int n)
{
	return take_byte(in) % n == n - 1;
}

/* A property; not assert(), which NDEBUG removes. */
#define ALWAYS(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
		abort();						\
	}								\
} while (0)

/* Broken assertions of the unit tests abort too, and no line of a trace is lost. */
static inline __attribute__((constructor)) void fuzz_begin(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
