// SPDX-License-Identifier: GPL-2.0-only
/*
 * Subcommands that make and change devices: create, add-path, drop-path and
 * remove.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

/*
 * A table in words
 */

#define MAX_PATHS	64

/* A priority group of a table line. */
struct group {
	char *selector;		/* with its words and their number: "round-robin 0" */
	char *words;		/* of each path; those of the first one are for new paths */
	unsigned int path_words;
	char *path[MAX_PATHS];	/* with its words: "8:16 1" */
	unsigned int paths;
};

struct table {
	char *head;		/* features and hardware handler, with their numbers */
	unsigned int first;	/* the initial group, from 1 */
	struct group group[MAX_PATHS];
	unsigned int groups;
};

static void table_free(struct table *t)
{
	unsigned int g;
	unsigned int p;

	for (g = 0; g < t->groups; g++) {
		for (p = 0; p < t->group[g].paths; p++)
			free(t->group[g].path[p]);
		free(t->group[g].selector);
		free(t->group[g].words);
	}
	free(t->head);
	free(t);
}

/* Take @count words; NULL if there are fewer, or without memory. */
static char *take_text(char **next, unsigned long count)
{
	char *start = *next + strspn(*next, " ");
	char *end = start;
	char *text;

	while (count--) {
		end += strspn(end, " ");
		if (!*end)
			return NULL;
		end += strcspn(end, " ");
	}
	text = strndup(start, end - start);
	*next = end;
	return text;
}

static bool take_number(char **next, unsigned long *number)
{
	char *end;

	*number = strtoul(*next, &end, 10);
	if (end == *next || (*end && *end != ' ') || *number > 4096)
		return false;
	*next = end;
	return true;
}

/* A number and as many words, as one text. */
static char *take_counted(char **next)
{
	char *start = *next;
	unsigned long count;

	if (!take_number(next, &count))
		return NULL;
	*next = start;
	return take_text(next, count + 1);
}

static bool take_group(char **next, struct group *group)
{
	char *name = take_text(next, 1);
	char *words = take_counted(next);
	unsigned long path_words;
	unsigned long paths;
	char *path;

	group->selector = name && words ? text_of("%s %s", name, words) : NULL;
	free(name);
	free(words);
	if (!group->selector || !take_number(next, &paths) ||
	    !take_number(next, &path_words) || !paths || paths > MAX_PATHS)
		return false;
	group->path_words = path_words;
	while (paths--) {
		path = take_text(next, path_words + 1);
		if (!path)
			return false;
		if (!group->paths)
			group->words = strdup(path + strcspn(path, " "));
		group->path[group->paths++] = path;
	}
	return group->words;
}

static struct table *table_parse(const char *line)
{
	struct table *t = calloc(1, sizeof(*t));
	char *copy = strdup(line);
	char *next = copy;
	char *features = NULL;
	char *handler = NULL;
	unsigned long groups = 0;
	unsigned long first = 0;
	bool good = false;

	if (!t || !copy)
		goto out;
	features = take_counted(&next);
	handler = features ? take_counted(&next) : NULL;
	if (!handler || !take_number(&next, &groups) || !take_number(&next, &first) ||
	    groups > MAX_PATHS)
		goto out;
	t->head = text_of("%s %s", features, handler);
	t->first = first;
	good = t->head;
	while (good && t->groups < groups)
		good = take_group(&next, &t->group[t->groups++]);
	good = good && !next[strspn(next, " ")];
out:
	free(features);
	free(handler);
	free(copy);
	if (good)
		return t;
	if (t)
		table_free(t);
	return NULL;
}

/* To be freed. Groups without a path are left out. */
static char *table_print(const struct table *t)
{
	unsigned int groups = 0;
	unsigned int first = 0;
	char *text = NULL;
	unsigned int g;
	unsigned int p;
	size_t size;
	FILE *f;

	for (g = 0; g < t->groups; g++) {
		if (!t->group[g].paths)
			continue;
		groups++;
		if (!first || g + 1 == t->first)
			first = groups;
	}
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	fprintf(f, "%s %u %u", t->head, groups, first);
	for (g = 0; g < t->groups; g++) {
		const struct group *group = &t->group[g];

		if (!group->paths)
			continue;
		fprintf(f, " %s %u %u", group->selector, group->paths, group->path_words);
		for (p = 0; p < group->paths; p++)
			fprintf(f, " %s", group->path[p]);
	}
	fclose(f);
	return text;
}

static bool path_is(const char *path, const char *dev)
{
	size_t len = strcspn(path, " ");

	return strlen(dev) == len && !memcmp(path, dev, len);
}

static int group_add(struct group *group, const char *dev)
{
	char *text = text_of("%s%s", dev, group->words);

	if (!text)
		return fail_no_memory();
	group->path[group->paths++] = text;
	return 0;
}

static bool table_has(const struct table *t, const char *dev)
{
	unsigned int g;
	unsigned int p;

	for (g = 0; g < t->groups; g++)
		for (p = 0; p < t->group[g].paths; p++)
			if (path_is(t->group[g].path[p], dev))
				return true;
	return false;
}

static unsigned int table_paths(const struct table *t)
{
	unsigned int paths = 0;
	unsigned int g;

	for (g = 0; g < t->groups; g++)
		paths += t->group[g].paths;
	return paths;
}

static int table_drop(struct table *t, const char *dev)
{
	unsigned int g;
	unsigned int p;

	for (g = 0; g < t->groups; g++) {
		struct group *group = &t->group[g];

		for (p = 0; p < group->paths; p++) {
			if (!path_is(group->path[p], dev))
				continue;
			free(group->path[p]);
			group->paths--;
			memmove(&group->path[p], &group->path[p + 1],
				(group->paths - p) * sizeof(group->path[0]));
			return 0;
		}
	}
	return -1;
}

/*
 * prmpath create
 */

struct create_request {
	const char *wwid;
	const char *key;
	const char *type;
	const char *open;
	const char *open_ro;
	const char *selector;
	const char *check;
	const char *feature;
	bool only;
	bool dry_run;
};

static int take_create_option(int value, const char *arg, void *to)
{
	struct create_request *request = to;
	const struct {
		int value;
		const char **field;
	} fields[] = {
		{ VALUE_WWID, &request->wwid },
		{ VALUE_KEY, &request->key },
		{ VALUE_TYPE, &request->type },
		{ VALUE_OPEN, &request->open },
		{ VALUE_OPEN_RO, &request->open_ro },
		{ VALUE_SELECTOR, &request->selector },
		{ VALUE_CHECK, &request->check },
		{ VALUE_FEATURE, &request->feature },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].value == value)
			*fields[i].field = arg;
	request->only |= value == VALUE_ONLY;
	request->dry_run |= value == VALUE_DRY_RUN;
	return 0;
}

static int check_word(const char *option, const char *word, const char *const *words,
		      size_t count, const char *expected)
{
	size_t i;

	for (i = 0; !word || i < count; i++)
		if (!word || !strcmp(word, words[i]))
			return 0;
	complain("create: --%s '%s': expected %s", option, word, expected);
	return EXIT_USAGE;
}

static int check_options(const char *option, const char *words)
{
	struct prm_error err;
	uint32_t bits;

	if (!words || !prm_options_scan(words, &bits, &err))
		return 0;
	complain("create: --%s: %s", option, err.text);
	return EXIT_USAGE;
}

static int check_seconds(const char *word)
{
	char *end;
	unsigned long seconds;

	if (!word)
		return 0;
	seconds = strtoul(word, &end, 10);
	if (isdigit((unsigned char)word[0]) && !*end && seconds <= 3600)
		return 0;
	complain("create: --check '%s': expected seconds, 0 to 3600", word);
	return EXIT_USAGE;
}

/* What device-mapper and udev take as it is: /dev/mapper/NAME is the node. */
#define DM_CHARS	"#+-.:=@_"
#define NAME_CHARS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"	\
			"0123456789" DM_CHARS

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len && len < 128 && strspn(name, NAME_CHARS) == len && strcmp(name, ".") &&
	    strcmp(name, ".."))
		return 0;
	complain("create: '%s' is no name: expected letters, digits and any of " DM_CHARS, name);
	return EXIT_USAGE;
}

/* Words in any order: nothing is looked at before all of them are right. */
static int check_request(const struct create_request *request)
{
	static const char * const types[] = { "1", "3", "5", "6", "7", "8" };
	static const char * const selectors[] = {
		"round-robin", "queue-length", "service-time", "historical-service-time",
	};
	uint64_t key;
	int r;

	if (request->key && strcmp(request->key, "none") && !parse_key(request->key, &key)) {
		complain("create: --key '%s' is no key: expected a number of 64 bits other "
			 "than 0, such as 0xabc1, or none", request->key);
		return EXIT_USAGE;
	}
	r = check_word("type", request->type, types, ARRAY_SIZE(types),
		       "5, 6, 7 or 8 (1 and 3 with one path)");
	if (!r)
		r = check_word("selector", request->selector, selectors,
			       ARRAY_SIZE(selectors),
			       "round-robin, queue-length, service-time or historical-service-time");
	if (!r)
		r = check_options("open", request->open);
	if (!r)
		r = check_options("open-ro", request->open_ro);
	return r ? r : check_seconds(request->check);
}

static unsigned int count_words(const char *text)
{
	unsigned int n = 0;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		text += strcspn(text, " ");
		n++;
	}
	return n;
}

static char *make_features(const struct create_request *request, uint64_t key)
{
	const struct {
		const char *name;
		const char *value;
	} mapping[] = {
		{ "pr_type", request->type },
		{ "pr_open", request->open },
		{ "pr_open_ro", request->open_ro },
	};
	char *words = NULL;
	char *text;
	size_t size;
	FILE *f = open_memstream(&words, &size);
	size_t i;

	if (!f)
		return NULL;
	fprintf(f, "path_check %s", request->check ? request->check : "5");
	if (key)
		fprintf(f, " pr_key 0x%016" PRIx64, key);
	for (i = 0; i < ARRAY_SIZE(mapping); i++)
		if (mapping[i].value)
			fprintf(f, " %s %s", mapping[i].name, mapping[i].value);
	if (request->feature)
		fprintf(f, " %s", request->feature);
	fclose(f);
	text = words ? text_of("%u %s", count_words(words), words) : NULL;
	free(words);
	return text;
}

/* The order in which groups of ALUA states are used. */
static const char * const access_order[] = {
	"active/optimized", "active/non-optimized", "lba-dependent", "standby",
	"transitioning", "unavailable", "offline", "",
};

static unsigned int access_rank(const char *access)
{
	unsigned int i;

	for (i = 0; i + 1 < ARRAY_SIZE(access_order); i++)
		if (!strcmp(access, access_order[i]))
			break;
	return i;
}

/* One group of each ALUA state; one of all paths if any path has none. */
static bool has_alua(const struct scsi_path *paths, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!*paths[i].access)
			return false;
	return true;
}

static int add_rank(struct table *t, const struct create_request *request,
		    const struct scsi_path *paths, size_t count, int rank)
{
	struct group *group = &t->group[t->groups];
	size_t i;

	for (i = 0; i < count; i++) {
		if (rank >= 0 && access_rank(paths[i].access) != (unsigned int)rank)
			continue;
		if (!group->paths) {
			group->selector = text_of("%s 0", request->selector ?
						  request->selector : "round-robin");
			group->words = strdup(" 1");
			group->path_words = 1;
			t->groups++;
		}
		if (!group->selector || !group->words || group_add(group, paths[i].dev))
			return EXIT_FAILURE;
	}
	return 0;
}

static char *make_table(const struct create_request *request, uint64_t key,
			const struct scsi_path *paths, size_t count)
{
	bool alua = has_alua(paths, count);
	struct table *t = calloc(1, sizeof(*t));
	char *features = make_features(request, key);
	char *line = NULL;
	int rank = 0;
	int r;

	if (t && features)
		t->head = text_of("%s %s", features, alua ? "1 alua" : "0");
	free(features);
	if (!t || !t->head)
		goto out;
	t->first = 1;
	do {
		r = add_rank(t, request, paths, count, alua ? rank : -1);
	} while (!r && alua && ++rank < (int)ARRAY_SIZE(access_order));
	if (!r)
		line = table_print(t);
out:
	if (t)
		table_free(t);
	return line;
}

/* The paths that the words name, which all have to lead to one LUN. */
static int find_given(char **words, struct scsi_path **paths, size_t *count)
{
	struct scsi_path *p;
	size_t n = 0;
	size_t i;
	int r;

	while (words[n])
		n++;
	p = calloc(n + 1, sizeof(*p));
	if (!p)
		return fail_no_memory();
	*paths = p;
	for (*count = 0; *count < n; (*count)++) {
		r = scsi_path_find(words[*count], &p[*count]);
		if (r)
			return r;
		for (i = 0; i < *count; i++)
			if (!strcmp(p[i].dev, p[*count].dev)) {
				complain("%s: given twice: expected every path once",
					 p[i].name);
				return EXIT_USAGE;
			}
		if (scsi_wwid_same(p[0].wwid, p[*count].wwid))
			continue;
		complain("two LUNs: %s leads to %s, %s to %s: expected paths to one LUN",
			 p[0].name, p[0].wwid, p[*count].name, p[*count].wwid);
		return EXIT_USAGE;
	}
	return 0;
}

/* All paths of the LUN that --wwid or the given paths name. */
static int find_paths(const struct create_request *request, char **words,
		      struct scsi_path **paths, size_t *count)
{
	struct scsi_path *given = NULL;
	size_t n = 0;
	int r;

	if (request->wwid) {
		r = scsi_paths_of(request->wwid, paths, count);
		if (!r && !*count) {
			complain("create: no path to %s: see 'grep . /sys/block/*/device/wwid', "
				 "and rescan the bus if the LUN is new", request->wwid);
			r = EXIT_NOT_PRMPATH;
		}
		return r;
	}
	r = find_given(words, &given, &n);
	if (r || request->only) {
		*paths = given;
		*count = n;
		return r;
	}
	r = scsi_paths_of(given->wwid, paths, count);
	free(given);
	return r;
}

static void complain_of_user(const char *path, const char *user)
{
	complain("%s: in use by %s: end that first (dmsetup remove, umount, multipath -f)",
		 path, user);
}

/* A path that cannot be used now is left out, if nobody asked for it. */
static int check_paths(const struct create_request *request, struct scsi_path *paths,
		       size_t *count)
{
	char user[160];
	size_t kept = 0;
	size_t i;

	for (i = 0; i < *count; i++) {
		const struct scsi_path *path = &paths[i];

		scsi_path_user(path, user, sizeof(user));
		if (*user) {
			complain_of_user(path->name, user);
			return EXIT_BUSY;
		}
		if (path->sectors != paths[0].sectors) {
			complain("%s has %" PRIu64 " sectors, %s %" PRIu64
				 ": expected one size; rescan them",
				 path->name, path->sectors, paths[0].name, paths[0].sectors);
			return EXIT_FAILURE;
		}
		if (strcmp(path->state, "running")) {
			complain("%s is %s: %s", path->name, path->state, request->only ?
				 "expected running" :
				 "left out; 'prmpath add-path' when it is back");
			if (request->only)
				return EXIT_IO;
			continue;
		}
		paths[kept++] = *path;
	}
	*count = kept;
	if (kept && kept <= MAX_PATHS)
		return 0;
	complain("create: %zu usable paths: expected 1 to %u", kept, MAX_PATHS);
	return EXIT_IO;
}

/* device-mapper takes few characters, and 128 of them. */
static void make_uuid(const char *wwid, char uuid[129])
{
	size_t n = snprintf(uuid, 129, "prmpath-%.120s", wwid);

	while (n--)
		if (!isalnum((unsigned char)uuid[n]) && !strchr(DM_CHARS, uuid[n]))
			uuid[n] = '_';
}

static int create_device(const struct create_request *request, const char *name,
			 const struct scsi_path *paths, size_t count)
{
	char uuid[129];
	uint64_t key = 0;
	char *line;
	int r = 0;

	if (!request->key)
		r = host_key(&key);
	else if (strcmp(request->key, "none"))
		parse_key(request->key, &key);
	if (r)
		return r;
	line = make_table(request, key, paths, count);
	if (!line)
		return fail_no_memory();
	make_uuid(paths->wwid, uuid);
	if (request->dry_run)
		printf("0 %" PRIu64 " prmpath %s\n", paths->sectors, line);
	else
		r = dm_create_table(name, uuid, paths->sectors, line);
	free(line);
	return r;
}

static int create(const struct create_request *request, const char *name, char **words)
{
	struct scsi_path *paths = NULL;
	size_t count = 0;
	int r;

	r = find_paths(request, words, &paths, &count);
	if (!r)
		r = check_paths(request, paths, &count);
	if (!r)
		r = create_device(request, name, paths, count);
	free(paths);
	return r;
}

int run_create(const struct command *cmd, int argc, char **argv)
{
	struct create_request request = { 0 };
	int words;
	int r;

	r = parse_options(cmd, argc, argv, take_create_option, &request);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	words = argc - optind;
	if (!words) {
		complain("create: no name: expected NAME");
		return try_help();
	}
	if (request.wwid ? words > 1 || request.only : words == 1) {
		complain("create: expected either paths behind the name, or --wwid ID alone");
		return try_help();
	}
	r = check_name(argv[optind]);
	if (!r)
		r = check_request(&request);
	if (r)
		return r;
	dm_be_quiet();
	return create(&request, argv[optind], argv + optind + 1);
}

/*
 * prmpath add-path, drop-path
 */

/* One step of a change. Return: 0 or an exit status, after a complaint. */
typedef int change_fn(struct table *t, const struct prm_status *st, const char *word);

/* The LUN of the device's paths, as any of them that sysfs knows has it. */
static bool device_wwid(const struct prm_status *st, struct scsi_path *path)
{
	size_t i;

	for (i = 0; i < st->paths; i++)
		if (sys_read(path->wwid, sizeof(path->wwid), "dev/block/%s/device/wwid",
			     st->path[i].dev) && *path->wwid)
			return !scsi_path_find(st->path[i].dev, path);
	return false;
}

/* The group whose first path has this ALUA state, else the first one. */
static struct group *group_for(struct table *t, const char *access)
{
	char dev[24];
	char text[32];
	unsigned int g;

	for (g = 0; g < t->groups && *access; g++) {
		const char *first = t->group[g].path[0];

		snprintf(dev, sizeof(dev), "%.*s", (int)strcspn(first, " "), first);
		sys_read(text, sizeof(text), "dev/block/%s/device/access_state", dev);
		if (!strcmp(text, access))
			return &t->group[g];
	}
	return &t->group[0];
}

static int add_path(struct table *t, const struct prm_status *st, const char *word)
{
	struct scsi_path path;
	struct scsi_path sibling;
	char user[160];
	int r;

	r = scsi_path_find(word, &path);
	if (r)
		return r;
	if (table_has(t, path.dev)) {
		complain("%s: %s has this path already", st->name, path.name);
		return EXIT_BUSY;
	}
	if (device_wwid(st, &sibling) && !scsi_wwid_same(sibling.wwid, path.wwid)) {
		complain("two LUNs: %s leads to %s, %s of %s to %s: expected a path to that one",
			 path.name, path.wwid, sibling.name, st->name, sibling.wwid);
		return EXIT_USAGE;
	}
	scsi_path_user(&path, user, sizeof(user));
	if (*user) {
		complain_of_user(path.name, user);
		return EXIT_BUSY;
	}
	/* Of the new table: words before this one have added paths. */
	if (table_paths(t) >= MAX_PATHS || !t->groups) {
		complain("%s: no room for %s beside %u paths in %u groups: expected a group, and "
			 "at most %u paths", st->name, path.name, table_paths(t), t->groups,
			 MAX_PATHS);
		return EXIT_FAILURE;
	}
	return group_add(group_for(t, path.access), path.dev);
}

static int drop_path(struct table *t, const struct prm_status *st, const char *word)
{
	struct scsi_path path;
	int r;

	/* It may be gone from sysfs: its number is all that is needed then. */
	if (!table_drop(t, word))
		goto count;
	r = scsi_path_find(word, &path);
	if (r)
		return r;
	if (table_drop(t, path.dev)) {
		complain("%s: %s is no path of it: see 'prmpath status %s'", st->name,
			 path.name, st->name);
		return EXIT_USAGE;
	}
count:
	if (table_paths(t))
		return 0;
	complain("%s: %s is the last path: expected 'prmpath remove' for that", st->name, word);
	return EXIT_USAGE;
}

static int change_table(const struct prm_status *st, change_fn *change, char **words,
			bool dry_run)
{
	struct table *t = NULL;
	uint64_t sectors = 0;
	char *line;
	int r = 0;

	line = dm_read_table(st->name, &sectors, &r);
	if (!line)
		return r;
	t = table_parse(line);
	free(line);
	if (!t) {
		complain("%s: its table cannot be understood: see 'dmsetup table %s'",
			 st->name, st->name);
		return EXIT_FAILURE;
	}
	for (; !r && *words; words++)
		r = change(t, st, *words);
	line = r ? NULL : table_print(t);
	table_free(t);
	if (!line)
		return r ? r : fail_no_memory();
	if (dry_run)
		printf("0 %" PRIu64 " prmpath %s\n", sectors, line);
	else
		r = dm_swap_table(st->name, sectors, line);
	free(line);
	return r;
}

/* Ours, and not multipathd's to change. */
static struct prm_status *changeable(const char *dev, int *code)
{
	struct prm_error err = { 0 };
	struct prm_status *st = prm_status_get(dev, &err);

	if (!st) {
		*code = exit_of_error(dev, &err);
		return NULL;
	}
	if (!st->multipath)
		return st;
	complain("%s: multipathd drives this device: tell multipathd, as in "
		 "'multipathd add path sdX', 'multipath -f %s'", dev, st->name);
	prm_status_free(st);
	*code = EXIT_USAGE;
	return NULL;
}

static int take_dry_run(int value, const char *arg, void *to)
{
	(void)value;
	(void)arg;
	*(bool *)to = true;
	return 0;
}

static int run_change(const struct command *cmd, change_fn *change, int argc, char **argv)
{
	struct prm_status *st;
	bool dry_run = false;
	int r;

	r = parse_options(cmd, argc, argv, take_dry_run, &dry_run);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	if (argc - optind < 2) {
		complain("%s: expected a device and at least one path", cmd->name);
		return try_help();
	}
	dm_be_quiet();
	st = changeable(argv[optind], &r);
	if (!st)
		return r;
	r = change_table(st, change, argv + optind + 1, dry_run);
	prm_status_free(st);
	return r;
}

int run_add_path(const struct command *cmd, int argc, char **argv)
{
	return run_change(cmd, add_path, argc, argv);
}

int run_drop_path(const struct command *cmd, int argc, char **argv)
{
	return run_change(cmd, drop_path, argc, argv);
}

/*
 * prmpath remove
 */

int run_remove(const struct command *cmd, int argc, char **argv)
{
	bool deferred = false;
	struct prm_status *st;
	const char *dev;
	int r;

	r = parse_device(cmd, argc, argv, take_dry_run, &deferred, &dev);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	st = changeable(dev, &r);
	if (!st)
		return r;
	r = dm_remove(st->name, deferred);
	prm_status_free(st);
	return r;
}
