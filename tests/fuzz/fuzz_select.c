// SPDX-License-Identifier: GPL-2.0-only
/*
 * Path selection as the module uses it: a program of I/Os that start and end on
 * any CPU, of folds, and of sets that change under the cursors. The counts are
 * kept a second time, per path; each choice must be the one that these numbers
 * ask for.
 */
#define main path_select_tests
#include "unit/test_path_select.c"
#undef main

#include "fuzz.h"

#define PATHS		6
#define MOST_IOS	64
#define MOST_STEPS	600
#define WIDE		70	/* CPUs of a large machine */

struct io {
	u32 path;
	u32 bytes;
	u64 start;
};

static struct {
	struct input in;
	const struct path_selector *selector;
	struct path_slot slot[PATHS];
	struct path_group_args args;
	char word[PATHS][24];
	struct path_set *set;
	u8 home[MAX_CPUS];
	struct path_cursor *cursor[MAX_CPUS];
	struct rows rows;
	u32 cpus;
	u64 now;
	struct io io[MOST_IOS];
	u32 flying;
	u32 ios[PATHS];		/* what is on its way, counted here */
	u64 bytes[PATHS];
	u64 longest[PATHS];	/* ns that an I/O took, at most */
	u32 same;		/* round-robin: I/Os in a row on slot @last */
	u32 last;		/* PATHS: nothing known */
} f;

/* A word of the table line: mostly a number, small or at a limit. */
static void make_word(char *word, size_t size)
{
	static const char * const odd[] = {
		"0", "1", "100", "101", "1023", "1024", "4294967295", "4294967296",
		"ff", "1,00000000", "2,0,1", "0,0", "f,", "x", "",
	};
	u8 byte = take_byte(&f.in);

	if (byte < 128)
		snprintf(word, size, byte < 64 ? "%u" : "%x", byte % 64 + 1);
	else
		snprintf(word, size, "%s", odd[byte % ARRAY_SIZE(odd)]);
}

/* Parse, print, parse again: the same slot. */
static void make_slot(u32 path)
{
	struct path_slot *slot = &f.slot[path], again;
	char second[24], printed[64], *words[2] = { f.word[path], second };
	u32 argc = take_below(&f.in, f.selector->path_words + 1);
	const char *error = NULL;
	int len;

	make_word(f.word[path], sizeof(f.word[path]));
	make_word(second, sizeof(second));
	slot->path = path;
	if (f.selector->path_args(slot, argc, words, &error)) {
		ALWAYS(error && *error);
		memcpy(f.word[path], "1", 2);
		ALWAYS(!f.selector->path_args(slot, 1, words, &error));
		argc = 1;
	}
	ALWAYS(slot->path == path && slot->throughput <= 100);
	len = f.selector->print_path(slot, argc, printed, sizeof(printed));
	ALWAYS(len == (int)strlen(printed) && len < (int)sizeof(printed));
	words[0] = strtok(printed, " ");
	words[1] = strtok(NULL, " ");
	again = *slot;
	ALWAYS(!f.selector->path_args(&again, argc, words, &error));
	ALWAYS(again.repeat == slot->repeat && again.throughput == slot->throughput);
	ALWAYS(!again.cpus == !slot->cpus);
	ALWAYS(!slot->cpus || !strcmp(again.cpus, slot->cpus));
}

static void make_args(void)
{
	char first[24], second[24], *words[] = { first, second };
	const char *error = NULL;

	memset(&f.args, 0, sizeof(f.args));
	if (!f.selector->group_args)
		return;
	make_word(first, sizeof(first));
	make_word(second, sizeof(second));
	if (f.selector->group_args(&f.args, take_below(&f.in, 3), words, &error)) {
		ALWAYS(error && *error);
		ALWAYS(!f.selector->group_args(&f.args, 0, words, &error));
	}
	ALWAYS(f.args.weight < 1024);
}

/* Does the mask name the CPU? By a look at it from its end. */
static bool mask_has(const char *mask, u32 cpu)
{
	size_t at = strlen(mask);
	u32 first = 0, digit;
	char one[2] = { 0 };

	for (; at--; first += 4) {
		if (mask[at] == ',') {
			first = (first + 31) / 32 * 32 - 4;
			continue;
		}
		one[0] = mask[at];
		digit = strtoul(one, NULL, 16);
		if (cpu >= first && cpu < first + 4)
			return digit >> (cpu - first) & 1;
	}
	return false;
}

/* Each CPU's home: the first path that names it, or anyone. */
static void check_homes(const u8 *home, u32 cpus)
{
	u32 cpu, i;

	for (cpu = 0; cpu < cpus; cpu++) {
		ALWAYS(home[cpu] < f.set->count);
		for (i = 0; i < f.set->count; i++)
			if (mask_has(f.set->slot[i].cpus, cpu))
				break;
		ALWAYS(i == f.set->count || home[cpu] == i);
	}
}

/* The usable paths change; never to none, since nothing is chosen then. */
static void make_usable(u32 mask)
{
	u32 i;

	f.set->count = 0;
	f.set->args = f.args;
	for (i = 0; i < PATHS; i++)
		if (mask >> i & 1)
			f.set->slot[f.set->count++] = f.slot[i];
	if (!f.set->count)
		f.set->slot[f.set->count++] = f.slot[0];
	if (f.selector->needs & PATH_NEEDS_HOME) {
		u8 wide[WIDE];

		path_set_home(f.set, wide, WIDE);
		check_homes(wide, WIDE);
		path_set_home(f.set, f.home, f.cpus);
		check_homes(f.home, f.cpus);
		f.set->home = f.home;
	}
	f.last = PATHS;
}

static void refold(u32 cpu)
{
	u32 i;

	fold(f.cursor[cpu], f.set, &f.rows);
	for (i = 0; i < f.set->count; i++) {
		const struct path_past *past = &f.cursor[cpu]->past[f.set->slot[i].path];

		ALWAYS(past->average <= LONGEST);
		/* No mean is longer than the longest one. */
		ALWAYS(past->average <= f.longest[f.set->slot[i].path] + 1);
	}
}

static void check_rr(u32 slot)
{
	u32 count = f.set->count;

	if (f.last == slot && count > 1) {
		f.same++;
		ALWAYS(f.same <= f.set->slot[slot].repeat);
	} else {
		if (f.last < PATHS) {
			ALWAYS(slot == (f.last + 1) % count);
			ALWAYS(count == 1 || f.same == f.set->slot[f.last].repeat);
		}
		/* Of its first run in a new set nobody knows how long it is yet. */
		f.same = f.last < PATHS ? 1 : f.set->slot[slot].repeat - f.cursor[0]->left;
		f.last = slot;
	}
}

/* With all CPUs' counts known, no other path was strictly better. */
static void check_least(u32 slot, u32 bytes)
{
	const struct path_slot *mine = &f.set->slot[slot];
	bool service = f.selector == path_selector_find("service-time");
	u32 i;

	for (i = 0; i < f.set->count; i++) {
		const struct path_slot *other = &f.set->slot[i];

		if (!service)
			ALWAYS(f.ios[mine->path] <= f.ios[other->path]);
		else if (mine->throughput && other->throughput)
			ALWAYS((f.bytes[mine->path] + bytes) * other->throughput <=
			       (f.bytes[other->path] + bytes) * mine->throughput);
		else if (!mine->throughput)
			ALWAYS(!other->throughput &&
			       f.bytes[mine->path] <= f.bytes[other->path]);
	}
}

static void start_io(u32 cpu)
{
	u32 bytes = take_below(&f.in, 8) * 4096;
	bool fresh = take_chance(&f.in, 2);
	struct path_load *own = f.rows.row[cpu];
	struct io *io = &f.io[f.flying];
	u32 slot;

	if (f.flying == MOST_IOS)
		return;
	if (fresh)
		refold(cpu);
	slot = f.selector->select(f.set, f.cursor[cpu], own, bytes);
	ALWAYS(slot < f.set->count);
	if (f.selector->needs & PATH_NEEDS_HOME)
		ALWAYS(slot == f.home[cpu]);
	else if (!f.selector->needs && f.cpus == 1)
		check_rr(slot);
	else if (f.selector->needs == PATH_NEEDS_LOAD && fresh)
		check_least(slot, bytes);

	io->path = f.set->slot[slot].path;
	io->bytes = bytes;
	io->start = f.now;
	f.flying++;
	f.ios[io->path]++;
	f.bytes[io->path] += bytes;
	own[io->path].ios++;
	own[io->path].bytes += bytes;
}

static void end_io(u32 cpu, u32 which)
{
	struct path_load *load;
	struct io io;
	u64 service;

	if (!f.flying)
		return;
	which %= f.flying;
	io = f.io[which];
	f.flying--;
	f.io[which] = f.io[f.flying];
	load = &f.rows.row[cpu][io.path];
	service = path_service_time(io.start, f.now, load->last);
	ALWAYS(service <= f.now - io.start);
	if (load->last <= io.start)
		ALWAYS(service == f.now - io.start);
	else
		ALWAYS(service == f.now - load->last);
	load->ios--;
	load->bytes -= io.bytes;
	load->done++;
	load->time += service;
	load->last = f.now;
	f.ios[io.path]--;
	f.bytes[io.path] -= io.bytes;
	if (service > f.longest[io.path])
		f.longest[io.path] = service;
}

/* The sums over all CPUs are what is on its way, and the status line says so. */
static void check_sums(void)
{
	char printed[80];
	u32 path, cpu;

	for (path = 0; path < PATHS; path++) {
		struct path_load sum = { 0 };
		int len;

		for (cpu = 0; cpu < f.cpus; cpu++) {
			const struct path_load *load = &f.rows.row[cpu][path];

			sum.ios += load->ios;
			sum.bytes += load->bytes;
			sum.done += load->done;
			sum.time += load->time;
			if (load->last > sum.last)
				sum.last = load->last;
		}
		ALWAYS(sum.ios == f.ios[path] && sum.bytes == f.bytes[path]);
		if (!f.selector->print_info)
			continue;
		len = f.selector->print_info(&f.slot[path], &sum, printed, sizeof(printed));
		ALWAYS(len == (int)strlen(printed) && len < (int)sizeof(printed));
		if (f.selector == path_selector_find("queue-length"))
			ALWAYS(strtoul(printed, NULL, 10) == f.ios[path]);
		if (f.selector == path_selector_find("service-time"))
			ALWAYS(strtoull(printed, NULL, 10) == f.bytes[path]);
	}
}

/* Two numbers on the cursor tell whether an I/O goes on behind the last one. */
static void go_on(u32 cpu)
{
	struct path_cursor *cursor = f.cursor[cpu];
	u32 sectors = take_below(&f.in, 8) + 1, limit = take_below(&f.in, 64);
	u64 sector = take_chance(&f.in, 2) ? cursor->next : take_byte(&f.in);
	u32 run = cursor->run;
	bool stay;

	if (take_chance(&f.in, 4))
		cursor->ended = cursor->next;
	stay = path_stay(cursor, sector, sectors, limit);
	ALWAYS(!stay || (sector == cursor->next && sector != cursor->ended));
	ALWAYS(!stay || run + sectors <= limit);
	ALWAYS(cursor->run == (stay ? run : 0));
	path_went(cursor, take_byte(&f.in), sector, sectors);
	ALWAYS(cursor->next == sector + sectors && cursor->run >= sectors);
	ALWAYS(!stay || cursor->run <= limit);
}

/* The best group by the rules, each in one line. */
static void choose_group(void)
{
	struct path_group_view view[4];
	u32 count = take_below(&f.in, 5), i;
	int current = (int)take_below(&f.in, 7) - 1, wanted = (int)take_below(&f.in, 7) - 1;
	int group, enabled = -1, any = -1;

	for (i = 0; i < count; i++) {
		view[i].usable = take_below(&f.in, 3);
		view[i].bypassed = take_chance(&f.in, 2);
	}
	for (i = count; i--;) {
		if (!view[i].usable)
			continue;
		any = i;
		if (!view[i].bypassed)
			enabled = i;
	}
	group = path_group_choose(view, count, current, wanted);
	ALWAYS(group >= -1 && group < (int)count);
	ALWAYS(group < 0 ? any < 0 : view[group].usable > 0);
	if (wanted >= 0 && wanted < (int)count && view[wanted].usable)
		ALWAYS(group == wanted);
	else if (current >= 0 && current < (int)count && view[current].usable)
		ALWAYS(group == current);
	else
		ALWAYS(group == (enabled < 0 ? any : enabled));
}

static void step(void)
{
	u8 op = take_byte(&f.in);
	u32 cpu = op / 16 % f.cpus;

	switch (op % 16) {
	case 0 ... 5:
		start_io(cpu);
		break;
	case 6 ... 9:
		end_io(cpu, take_byte(&f.in));
		break;
	case 10:
		f.now += 1ULL << take_below(&f.in, 36);
		break;
	case 11:
		refold(cpu);
		break;
	case 12:
		make_usable(take_byte(&f.in));
		break;
	case 13:
		go_on(cpu);
		break;
	case 14:
		choose_group();
		break;
	default:
		/* Another life of the cursor: any number is valid. */
		f.cursor[cpu]->index = (u32)take_be(&f.in, 4);
		f.cursor[cpu]->left = (u32)take_be(&f.in, 4);
		f.last = PATHS;
		break;
	}
	check_sums();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u32 i, steps;

	memset(&f, 0, sizeof(f));
	f.in = (struct input){ .next = data, .left = size };
	f.selector = path_selector_at(take_below(&f.in, 5));
	f.cpus = 1 + take_below(&f.in, MAX_CPUS);
	f.now = 1;
	make_args();
	for (i = 0; i < PATHS; i++)
		make_slot(i);
	f.set = make_set(PATHS, NULL);
	make_usable(take_byte(&f.in));
	make_rows(&f.rows);
	for (i = 0; i < f.cpus; i++) {
		f.cursor[i] = make_cursor(i);
		f.cursor[i]->index = i;
	}

	for (steps = 0; f.in.left && steps < MOST_STEPS; steps++)
		step();
	while (f.flying)
		end_io(f.flying % f.cpus, 0);
	check_sums();
	for (i = 0; i < f.cpus; i++)
		refold(i);

	for (i = 0; i < f.cpus; i++)
		free(f.cursor[i]);
	free_rows(&f.rows);
	free(f.set);
	return 0;
}
