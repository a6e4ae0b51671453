// SPDX-License-Identifier: GPL-2.0-only
/*
 * Feeds files to a fuzz target without libFuzzer, for compilers and tools that do
 * not have it: build/coverage/fuzz_TARGET FILE...
 */
#include <string.h>

#include "fuzz.h"

#define MOST_BYTES	65536

static void replay(const char *name)
{
	FILE *file = fopen(name, "rb");
	uint8_t room[MOST_BYTES], *data;
	size_t size;

	if (!file) {
		perror(name);
		exit(1);
	}
	size = fread(room, 1, sizeof(room), file);
	fclose(file);
	/* Ends where its allocation ends, as with libFuzzer. */
	data = malloc(size);
	ALWAYS(data || !size);
	memcpy(data, room, size);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%d inputs\n", argc - 1);
	return argc < 2;
}
