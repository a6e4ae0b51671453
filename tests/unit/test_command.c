// SPDX-License-Identifier: GPL-2.0-only
/*
 * The subcommands that make, change, query, hold and diagnose devices: what
 * they ask of device-mapper, what they say, and what is left when a step
 * fails (rule 3.7).
 */
#include "tools_test.h"

#include <sys/time.h>

/* Devices: an owner, one that is fenced, one of multipathd, one of somebody else. */
#define TABLE	"4 path_check 5 pr_key 0x1 1 alua 2 1 round-robin 0 2 1 8:16 1 8:32 1 "	\
		"service-time 0 1 2 65:48 1 7"
#define FENCED_WORDS								\
	"pr=1 state=fenced key=0x0000000000000001 type=5 holder=foreign:0x2 gen=7 opens=1 "	\
	"options=default gate=closed open=default open_ro=bypass keys_own=0 "	\
	"keys_foreign=1 stale_cache=1"
#define OUT_OF_LUCK	"16 0 0 " FENCED_WORDS " 0 1 1 A 0 1 1 8:16 F 3 refused"

static const struct fake_device devices[] = {
	{ "mpa", "prmpath", LINE, 0, TABLE },
	{ "lost", "prmpath", OUT_OF_LUCK, 0, "0 0 1 1 round-robin 0 1 1 8:16 1" },
	{ "off", "prmpath", "3 0 0 pr=0 0 1 1 A 0 1 1 8:16 A 0 off", 0, "0 0 0 0" },
	{ "odd", "prmpath", LINE, 0, "0 0 1 1 round-robin" },
	{ "groups", "prmpath", LINE, 0,
	  "0 0 3 3 a 0 1 0 8:16 b 0 1 0 8:32 c 1 x 1 0 65:48" },
	{ "theirs", "multipath", LINE, 0, TABLE },
	{ "root", "linear", "", 0, "" },
	{ 0 },
};

/* A device that is not open, with room for one more path. */
#define PATHS_7	" 9:9 1 9:9 1 9:9 1 9:9 1 9:9 1 9:9 1 9:9 1"

#define CLOSED									\
	"16 0 0 pr=1 state=free key=0x0000000000000001 type=5 holder=none gen=7 "	\
	"opens=0 options=default gate=closed open=default open_ro=bypass keys_own=1 "	\
	"keys_foreign=0 stale_cache=0 0 1 1 A 0 1 1 8:16 A 0 registered"

static const struct fake_device all_closed[] = {
	{ "mpa", "prmpath", CLOSED, 0, TABLE },
	{ 0 },
};

static const struct fake_device crowd[] = {
	{ "crowd", "prmpath", CLOSED, 0,
	  "0 0 1 1 round-robin 0 63 1" PATHS_7 PATHS_7 PATHS_7 PATHS_7 PATHS_7 PATHS_7 PATHS_7
	  PATHS_7 PATHS_7 },
	{ 0 },
};

/*
 * A sysfs with these disks
 */

#define WWID_A	"naa.60014050000000000000000000000001"
#define WWID_B	"t10.Maker   Disk B"

static char sysfs[] = "/tmp/prmpath-sysfs-XXXXXX";

__attribute__((format(printf, 2, 3)))
static void sysfs_write(const char *text, const char *format, ...)
{
	char name[512];
	va_list args;
	char *slash;
	FILE *f;
	int n = snprintf(name, sizeof(name), "%s/", sysfs);

	va_start(args, format);
	vsnprintf(name + n, sizeof(name) - n, format, args);
	va_end(args);
	for (slash = name + n; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(name, 0755);
		*slash = '/';
	}
	f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void remove_below(const char *name)
{
	char *line = text_of("rm -rf %s/%s", sysfs, name);

	assert_non_null(line);
	assert_int_equal(system(line), 0);
	free(line);
}

/* Those in a folder of sysfs whose names begin so. */
static unsigned int count_files(const char *folder, const char *begin)
{
	char *name = text_of("%s/%s", sysfs, folder);
	DIR *dir = opendir(name);
	struct dirent *entry;
	unsigned int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += !strncmp(entry->d_name, begin, strlen(begin));
	closedir(dir);
	free(name);
	return n;
}

static void add_disk(const char *name, const char *dev, const char *wwid,
		     const char *access)
{
	char target[64];
	char link[300];

	sysfs_write(dev, "block/%s/dev", name);
	sysfs_write("4096\n", "block/%s/size", name);
	sysfs_write("0\n", "block/%s/device/type", name);
	sysfs_write("running\n", "block/%s/device/state", name);
	sysfs_write("0x1f\n", "block/%s/device/iorequest_cnt", name);
	sysfs_write("0x2\n", "block/%s/device/ioerr_cnt", name);
	sysfs_write("", "dev/block/.keep");
	sysfs_write("", "class/block/.keep");
	if (wwid)
		sysfs_write(wwid, "block/%s/device/wwid", name);
	if (access)
		sysfs_write(access, "block/%s/device/access_state", name);
	snprintf(target, sizeof(target), "../../block/%s", name);
	snprintf(link, sizeof(link), "%s/dev/block/%s", sysfs, dev);
	assert_int_equal(symlink(target, link), 0);
	snprintf(link, sizeof(link), "%s/class/block/%s", sysfs, name);
	assert_int_equal(symlink(target, link), 0);
}

static int make_world(void **state)
{
	static char key_file[300];

	if (make_device(state) || !mkdtemp(sysfs))
		return -1;
	add_disk("sdb", "8:16", WWID_A "\n", NULL);
	add_disk("sdc", "8:32", WWID_A "\n", NULL);
	add_disk("sdd", "8:48", WWID_B "   ", "active/non-optimized");
	add_disk("sde", "8:64", WWID_B, "active/optimized");
	add_disk("sdf", "8:80", WWID_B, "active/optimized");
	add_disk("sdg", "8:96", NULL, NULL);
	add_disk("sdt", "65:48", WWID_A, NULL);
	add_disk("sdx", "65:112", WWID_A "2\n", NULL);
	sysfs_write("offline\n", "block/sdf/device/state");
	sysfs_write("1\n", "block/sdg/partition");
	sysfs_write("5\n", "block/sr0/device/type");
	sysfs_write("11:0\n", "block/sr0/dev");
	prm_sysfs = sysfs;
	prm_run = sysfs;
	snprintf(key_file, sizeof(key_file), "%s/etc/key", sysfs);
	prm_key_file = key_file;
	prm_key_program = "scripts/prmpath-key";
	fake_devices = devices;
	return 0;
}

static int remove_world(void **state)
{
	remove_below("");
	return remove_device(state);
}

static int reset(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	memset(fake_step_errno, 0, sizeof(fake_step_errno));
	fake_udev_hangs = false;
	fake_message_hangs = false;
	fake_no_dm = false;
	fake_answer = "";
	return 0;
}

static void expect_output(const char *text)
{
	if (strcmp(output, text))
		fail_msg("output is: %s\nexpected: %s", output, text);
}

/*
 * create
 */

static void test_create(void **state)
{
	(void)state;
	/* One path names the LUN: the others are found. */
	check_run(ARGS("create", "--key", "0xa1", "data", "sdc"), 0, "", "");
	expect_output("[create data uuid prmpath-" WWID_A "]\n"
		      "[reload data: 0 4096 prmpath 4 path_check 5 pr_key 0x00000000000000a1 0 "
		      "1 1 round-robin 0 3 1 8:16 1 8:32 1 65:48 1]\n[resume data]\n");
	check_run(ARGS("create", "--only", "--key", "none", "--check", "0", "data", "8:32"), 0,
		  "prmpath 2 path_check 0 0 1 1 round-robin 0 1 1 8:32 1]", "");
	/* By multipath's name for it, in any case; with all options. */
	check_run(ARGS("create", "--wwid", "360014050000000000000000000000001", "--key", "10",
		       "--type", "6", "--open", "retain", "--open-ro=default", "data",
		       "--selector", "queue-length", "--feature", " pr_poll  7 "), 0,
		  "prmpath 12 path_check 5 pr_key 0x000000000000000a pr_type 6 pr_open retain "
		  "pr_open_ro default  pr_poll  7  0 1 1 queue-length 0 3 1 8:16 1 ", "");
	/* ALUA makes groups, the best one first; blanks of a designator do not matter. */
	check_run(ARGS("create", "--wwid", "t10.Maker Disk B", "--key", "1", "data"), 0,
		  "[create data uuid prmpath-t10.Maker___Disk_B]\n[reload data: 0 4096 prmpath "
		  "4 path_check 5 pr_key 0x0000000000000001 1 alua 2 1 round-robin 0 1 1 8:64 1 "
		  "round-robin 0 1 1 8:48 1]", "sdf is offline: left out");
	check_run(ARGS("create", "--dry-run", "--key", "1", "--only", "data", "sdb", "sdc"), 0,
		  "0 4096 prmpath 4 path_check 5 pr_key 0x0000000000000001 0 1 1 round-robin 0 2 "
		  "1 8:16 1 8:32 1\n", "");
	assert_null(strstr(output, "["));
}

static void test_designators(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		bool same;
	} pairs[] = {
		{ "naa.6001405", "naa.6001405", true },
		{ "naa.600140ab", "3600140AB", true },
		{ "eui.0011", "20011", true },
		{ "t10.A B", "1A_B", true },
		{ "t10.A  B  ", "t10.A B", true },
		{ "t10.AB", "t10.A B", false },
		{ "naa.6001405", "naa.60014051", false },
		{ "naa.60014051", "naa.6001405", false },
		{ "naa.0011", "eui.0011", false },
		{ "6001405", "naa.6001405", false },
		{ "", "naa.6", false },
		{ "", "", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(pairs); i++)
		if (scsi_wwid_same(pairs[i].a, pairs[i].b) != pairs[i].same)
			fail_msg("'%s' and '%s'", pairs[i].a, pairs[i].b);
}

static void test_create_refused(void **state)
{
	static const struct {
		char *args[8];
		int code;
		const char *text;
	} bad[] = {
		{ { "create" }, 2, "no name" },
		{ { "create", "data" }, 2, "either paths behind the name, or --wwid" },
		{ { "create", "--wwid", "x", "data", "sdb" }, 2, "either paths" },
		{ { "create", "a/b", "sdb" }, 2, "'a/b' is no name" },
		{ { "create", "..", "sdb" }, 2, "is no name" },
		{ { "create", "", "sdb" }, 2, "is no name" },
		{ { "create", "a b", "sdb" }, 2, "is no name: expected letters" },
		{ { "create", "--key", "0", "data", "sdb" }, 2, "'0' is no key" },
		{ { "create", "--key", "-1", "data", "sdb" }, 2, "is no key" },
		{ { "create", "--key", "0x", "data", "sdb" }, 2, "is no key" },
		{ { "create", "--key", "0x10000000000000000", "data", "sdb" }, 2, "is no key" },
		{ { "create", "--key", "12z", "data", "sdb" }, 2, "is no key" },
		{ { "create", "--type", "4", "data", "sdb" }, 2, "expected 5, 6, 7 or 8" },
		{ { "create", "--selector", "best", "data", "sdb" }, 2, "expected round-robin" },
		{ { "create", "--open", "bypass,single", "data", "sdb" }, 2, "bypass stands" },
		{ { "create", "--open-ro", "", "data", "sdb" }, 2, "--open-ro: empty" },
		{ { "create", "--check", "soon", "data", "sdb" }, 2, "expected seconds" },
		{ { "create", "--check", "3601", "data", "sdb" }, 2, "expected seconds" },
		{ { "create", "data", "sdb", "sdd" }, 2, "two LUNs: sdb leads to " WWID_A },
		{ { "create", "data", "sdb", "sdx" }, 2, "two LUNs" },
		{ { "create", "data", "sdb", "8:16" }, 2, "given twice" },
		{ { "create", "data", "sdz" }, 8, "sdz: no such disk" },
		{ { "create", "data", "8:999" }, 8, "8:999: no such disk" },
		{ { "create", "data", "../sdb" }, 8, "No such file" },
		{ { "create", "data", "/dev/null" }, 8, "not a block device" },
		{ { "create", "data", "sdg" }, 8, "a partition" },
		{ { "create", "--wwid", WWID_A "1", "data" }, 8, "no path to " WWID_A "1" },
		{ { "create", "--only", "data", "sdf" }, 4, "sdf is offline: expected running" },
	};
	char *args[MAX_ARGS] = { "prmpath" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(args + 1, bad[i].args, sizeof(bad[i].args));
		check_run(args, bad[i].code, "", bad[i].text);
		expect_output("");
	}
	/* Neither the whole disk's user nor a holder gets its path taken away. */
	kernel.busy_disk = "/dev/sdc";
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 3, "",
		  "sdc: in use by a file system");
	sysfs_write("", "block/sdb/holders/dm-7");
	sysfs_write("vg-lv\n", "block/dm-7/dm/name");
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 3, "", "sdb: in use by vg-lv");
	expect_output("");
	sysfs_write("8192\n", "block/sdc/size");
	remove_below("block/sdb/holders");
	kernel.busy_disk = NULL;
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 1, "",
		  "sdc has 8192 sectors, sdb 4096");
	sysfs_write("4096\n", "block/sdc/size");
}

/* Whatever step fails: what was made is unmade, and the module's reason comes through. */
static void test_create_fails(void **state)
{
	static const struct {
		int step;
		int err;
		int code;
		const char *text;
		const char *last;
	} steps[] = {
		{ DM_DEVICE_CREATE, EBUSY, 3, "has a device already", "[create " },
		{ DM_DEVICE_CREATE, ENOMEM, 1, "cannot be created", "[create " },
		{ DM_DEVICE_RELOAD, EINVAL, 2, "the table was refused", "[remove data]" },
		{ DM_DEVICE_RELOAD, EBUSY, 3, "the table was refused", "[remove data]" },
		{ DM_DEVICE_RESUME, EIO, 4, "cannot be resumed", "[remove data]" },
	};
	size_t i;

	(void)state;
	kernel.log = "6,1,2,-;device-mapper: prmpath: data: pr_timeout: because\n";
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		reset(NULL);
		kernel.log = "3,1,2,-;device-mapper: prmpath: data: because\n";
		fake_step_errno[steps[i].step] = steps[i].err;
		check_run(ARGS("create", "--key", "1", "data", "sdb"), steps[i].code,
			  steps[i].last, steps[i].text);
		if (steps[i].err != EBUSY || steps[i].step != DM_DEVICE_CREATE)
			assert_non_null(strstr(complaint, "the kernel says: device-mapper: "
					       "prmpath: data: because\n"));
		if (steps[i].step == DM_DEVICE_CREATE)
			assert_null(strstr(output, "[remove"));
	}
	/* Not what others log. */
	kernel.log = "3,1,2,-;sd 0:0:0:0: something\n";
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 4, "", "cannot be resumed");
	assert_null(strstr(complaint, "the kernel says"));
}

static pid_t start_and_wait(char **args, FILE *complaints, int *out, const char *text)
{
	char seen[8192] = "";
	size_t len = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	our_end = ends[0];
	pid = start_command(args, ends[1], fileno(complaints));
	our_end = -1;
	close(ends[1]);
	while (!strstr(seen, text)) {
		got = read(ends[0], seen + len, sizeof(seen) - len - 1);
		if (got <= 0)
			fail_msg("it ended before '%s': %s", text, seen);
		len += got;
		seen[len] = '\0';
	}
	*out = ends[0];
	return pid;
}

static void drain(int fd)
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, output + len, sizeof(output) - len - 1)) > 0)
		len += got;
	output[len] = '\0';
	close(fd);
}

/* Ctrl-C while udev takes its time: the device goes again, or stays gone. */
static void test_create_interrupted(void **state)
{
	FILE *complaints = scratch();
	pid_t pid;
	int out;

	(void)state;
	/* During a step of the kernel: it ends, and no further one follows. */
	fake_step_signal[DM_DEVICE_RELOAD] = SIGINT;
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 128 + SIGINT, "",
		  "interrupted; the device is removed again");
	assert_null(strstr(output, "[resume"));
	assert_non_null(strstr(output, "[remove data]"));
	check_run(ARGS("drop-path", "mpa", "sdb"), 128 + SIGINT, "",
		  "interrupted; nothing was changed");
	assert_null(strstr(output, "[resume"));
	assert_non_null(strstr(output, "[clear mpa]"));
	fake_step_signal[DM_DEVICE_RELOAD] = 0;
	fake_step_signal[DM_DEVICE_RESUME] = SIGTERM;
	check_run(ARGS("create", "--key", "1", "data", "sdb"), 128 + SIGTERM, "",
		  "interrupted; the device is removed again");
	assert_non_null(strstr(output, "[remove data]"));
	check_run(ARGS("drop-path", "mpa", "sdb"), 128 + SIGTERM, "", "the change is made");
	assert_null(strstr(output, "[clear"));
	fake_step_signal[DM_DEVICE_RESUME] = 0;

	fake_udev_hangs = true;
	pid = start_and_wait(ARGS("create", "--key", "1", "data", "sdb"), complaints, &out,
			     "[waits]");
	kill(pid, SIGINT);
	drain(out);
	assert_int_equal(reap(pid), 128 + SIGINT);
	assert_non_null(strstr(output, "[remove data]"));
	slurp(complaints, complaint, sizeof(complaint));
	assert_non_null(strstr(complaint, "interrupted; the device is removed again"));

	complaints = scratch();
	pid = start_and_wait(ARGS("remove", "mpa"), complaints, &out, "[waits]");
	kill(pid, SIGTERM);
	drain(out);
	assert_int_equal(reap(pid), 128 + SIGTERM);
	slurp(complaints, complaint, sizeof(complaint));
	assert_non_null(strstr(complaint, "it is removed"));

	complaints = scratch();
	pid = start_and_wait(ARGS("drop-path", "mpa", "sdb"), complaints, &out, "[waits]");
	kill(pid, SIGHUP);
	drain(out);
	assert_int_equal(reap(pid), 128 + SIGHUP);
	assert_null(strstr(output, "[clear"));
	slurp(complaints, complaint, sizeof(complaint));
	assert_non_null(strstr(complaint, "the change is made"));
}

/*
 * add-path, drop-path, remove
 */

static void test_change(void **state)
{
	(void)state;
	check_run(ARGS("add-path", "mpa", "sdx"), 2, "", "two LUNs: sdx leads to");
	check_run(ARGS("add-path", "mpa", "sdb"), 3, "", "mpa: sdb has this path already");
	check_run(ARGS("add-path", "mpa", "sdc"), 3, "", "has this path already");
	check_run(ARGS("drop-path", "mpa", "sdb", "8:32"), 0, "", "");
	/* The group without a path is left out, and the first one is another. */
	expect_output("[reload mpa: 0 8 prmpath 4 path_check 5 pr_key 0x1 1 alua 1 1 "
		      "service-time 0 1 2 65:48 1 7]\n[resume mpa]\n");
	check_run(ARGS("drop-path", "--dry-run", "mpa", "sdc"), 0, "", "");
	expect_output("0 8 prmpath 4 path_check 5 pr_key 0x1 1 alua 2 1 round-robin 0 1 1 8:16 1 "
		      "service-time 0 1 2 65:48 1 7\n");
	/* The initial group stays the initial group. */
	check_run(ARGS("drop-path", "--dry-run", "groups", "sdb"), 0, "", "");
	expect_output("0 8 prmpath 0 0 2 2 b 0 1 0 8:32 c 1 x 1 0 65:48\n");
	check_run(ARGS("drop-path", "mpa", "sdd"), 2, "", "sdd is no path of it");
	check_run(ARGS("drop-path", "lost", "sdb"), 2, "",
		  "the last path: expected 'prmpath remove'");
	check_run(ARGS("add-path", "lost", "sdc", "sdt"), 0,
		  "[reload lost: 0 8 prmpath 0 0 1 1 round-robin 0 3 1 8:16 1 8:32 1 65:48 1]\n",
		  "");
	/* One that does not fit keeps the others out too. */
	check_run(ARGS("add-path", "lost", "sdc", "sdx"), 2, "", "two LUNs");
	expect_output("");
	kernel.busy_disk = "/dev/sdt";
	check_run(ARGS("add-path", "lost", "sdc", "sdt"), 3, "", "sdt: in use by a file system");
	expect_output("");
	kernel.busy_disk = NULL;
	sysfs_write("", "block/sdc/holders/dm-7");
	sysfs_write("vg-lv\n", "block/dm-7/dm/name");
	check_run(ARGS("add-path", "lost", "sdc"), 3, "", "sdc: in use by vg-lv");
	expect_output("");
	remove_below("block/sdc/holders");
	fake_devices = crowd;
	check_run(ARGS("add-path", "crowd", "sdc", "sdt"), 1, "",
		  "no room for sdt beside 64 paths in 1 groups: expected a group, and at most 64");
	expect_output("");
	fake_devices = devices;
	check_run(ARGS("add-path", "odd", "sdb"), 1, "", "cannot be understood");
	check_run(ARGS("add-path", "off", "sdb"), 1, "", "in 0 groups");
	check_run(ARGS("add-path", "mpa"), 2, "", "at least one path");
	check_run(ARGS("add-path", "root", "sdb"), 8, "", "its target is 'linear'");
	check_run(ARGS("add-path", "none", "sdb"), 8, "", "no such");
	check_run(ARGS("drop-path", "theirs", "sdb"), 2, "", "multipathd drives this device");
	check_run(ARGS("remove", "theirs"), 2, "", "multipath -f theirs");
	check_run(ARGS("remove", "mpa"), 0, "[remove mpa]\n", "");
	check_run(ARGS("remove", "--deferred", "mpa"), 0, "[remove deferred mpa]\n", "");
	check_run(ARGS("remove", "mpa", "lost"), 2, "", "'lost' after the device");
	fake_step_errno[DM_DEVICE_REMOVE] = EBUSY;
	check_run(ARGS("remove", "mpa"), 3, "", "still open: find by whom");
	fake_step_errno[DM_DEVICE_RELOAD] = EBUSY;
	check_run(ARGS("drop-path", "mpa", "sdb"), 3, "[reload", "the table was refused");
	assert_null(strstr(output, "[clear"));
	fake_step_errno[DM_DEVICE_RELOAD] = 0;
	fake_step_errno[DM_DEVICE_RESUME] = EINVAL;
	check_run(ARGS("drop-path", "mpa", "sdb"), 2, "[clear mpa]", "cannot be resumed");
}

/* Tables that are no tables: a text, and no stray access. */
static void test_table_parse(void **state)
{
	const char *good = TABLE;
	size_t len;

	(void)state;
	for (len = 0; len <= strlen(good); len++) {
		/* On the heap, so that ASan sees a read beyond the end. */
		char *line = strndup(good, len);
		struct table *t = table_parse(line);

		/* A number or the last word may end early. */
		if (len == strlen(good)) {
			char *text = table_print(t);

			assert_string_equal(text, good);
			free(text);
		}
		if (t)
			table_free(t);
		free(line);
	}
	assert_null(table_parse("4294967296 0 0 0"));
	assert_null(table_parse("0 0 65 1"));
	assert_null(table_parse("0 0 1 1 round-robin 0 65 0"));
	assert_null(table_parse(TABLE " more"));
}

/*
 * query, release, clear, take
 */

#define ANSWER(type, key, own, foreign)						\
	"generation=5\nreservation=" type "\nreservation_key=0x" key "\nkeys_own=" own	\
	"\nkeys_foreign=" foreign "\nkey=0x0000000000000002\nkey=0x000000000000abc1\n"
#define WERO	"write-exclusive-registrants-only"

static void test_query(void **state)
{
	(void)state;
	fake_answer = ANSWER("none", "0000000000000000", "1", "1");
	check_run(ARGS("query", "mpa"), 0, "[message mpa: pr_status]\nfree\n", "");
	fake_answer = ANSWER(WERO, "00000000000abc01", "1", "1");
	check_run(ARGS("query", "mpa"), 0, "ours\n", "");
	/* Our key, and it is not ours: a twin, or we were fenced. */
	fake_answer = ANSWER(WERO, "0000000000000001", "0", "2");
	check_run(ARGS("query", "lost"), 1, "other 0x0000000000000001\n", "");
	fake_answer = ANSWER(WERO, "0000000000000002", "1", "1");
	check_run(ARGS("query", "mpa"), 1, "other 0x0000000000000002\n", "");
	check_run(ARGS("query", "-q", "mpa"), 1, "", "");
	expect_output("[message mpa: pr_status]\n");
	check_run(ARGS("query", "-n", "-o", "owner,holder,keys", "mpa"), 1,
		  "other 0x0000000000000002 0x0000000000000002 0x000000000000abc1\n", "");
	/* The types of all registrants have no holder's key. */
	fake_answer = ANSWER("write-exclusive-all-registrants", "0000000000000000", "1", "1");
	check_run(ARGS("query", "mpa"), 0, "ours\n", "");
	fake_answer = ANSWER("write-exclusive-all-registrants", "0000000000000000", "0", "2");
	check_run(ARGS("query", "mpa"), 1, "other ", "");

	/* Whatever goes wrong, it could not tell. */
	fake_answer = "";
	check_run(ARGS("query", "mpa"), 2, "", "no answer of the storage");
	fake_answer = "generation=5\n";
	check_run(ARGS("query", "mpa"), 2, "", "no 'reservation='");
	fake_answer = "generation=x\n";
	check_run(ARGS("query", "mpa"), 2, "", "'generation=x'");
	fake_answer = "nonsense\n";
	check_run(ARGS("query", "mpa"), 2, "", "'nonsense'");
	check_run(ARGS("query", "off"), 2, "", "no pr_key");
	check_run(ARGS("query", "root"), 2, "", "its target is 'linear'");
	check_run(ARGS("query", "none"), 2, "", "no such");
	check_run(ARGS("query"), 2, "", "no device");
	check_run(ARGS("query", "mpa", "lost"), 2, "", "one device");
	check_run(ARGS("query", "-o", "HEIGHT", "mpa"), 2, "", "unknown column");
	kernel.log = "4,1,2,-;device-mapper: prmpath: mpa: look: no path answered\n";
	fake_step_errno[DM_DEVICE_TARGET_MSG] = EIO;
	check_run(ARGS("query", "mpa"), 2, "", "pr_status: no path could answer");
	assert_non_null(strstr(complaint, "the kernel says: device-mapper: prmpath: mpa: look"));
}

static void test_json(void **state)
{
	(void)state;
	fake_answer = ANSWER(WERO, "0000000000000002", "1", "1");
	check_json(ARGS("query", "-J", "mpa"), 1,
		   "d[0][\"owner\"] == \"other\" and d[0][\"generation\"] == 5 and "
		   "j[\"output_version\"][\"command\"] == \"prmpath query\"");
	fake_step_errno[DM_DEVICE_TARGET_MSG] = EIO;
	check_json(ARGS("query", "-J", "mpa"), 2, "d == []");
	check_json(ARGS("query", "-J", "none"), 2, "d == []");
	check_json(ARGS("list", "-J", "mpa"), 0,
		   "d[0][\"paths\"] == 3 and d[0][\"usable_paths\"] == 1 and "
		   "\"children\" not in d[0]");
	/* The first failure decides, and what can be shown is shown. */
	check_json(ARGS("list", "-J", "none", "mpa"), 8, "len(d) == 1");
	check_json(ARGS("status", "-J", "mpa"), 0,
		   "[p[\"usable\"] for p in d[0][\"children\"]] == [True, False, False] and "
		   "d[0][\"children\"][0][\"commands\"] == 31 and "
		   "d[0][\"children\"][0][\"errors\"] == 2 and "
		   "d[0][\"children\"][0][\"timeouts\"] is None");
	/* All columns are those of JSON, and the later of two options wins. */
	check_run(ARGS("list", "-O", "mpa"), 0, " GENERATION ", "");
	assert_non_null(strstr(output, " SENSE "));
	check_run(ARGS("list", "-O", "-n", "-o", "PR_TYPE,KEYS_OWN", "mpa"), 0, "5 ", "");
	assert_null(strstr(output, "prm-"));
	check_json(ARGS("query", "-O", "-J", "none"), 2, "d == []");
	check_json(ARGS("doctor", "-J", "lost"), 1,
		   "all(f[\"cure\"] for f in d if f[\"level\"] != \"ok\")");
}

/* Answers go to their paths; what is no answer, and other lines, to none. */
static void test_answers(void **state)
{
	(void)state;
	fake_answer = "path=8:160 answer=wrong\nother=1\n"
		      "path=8:32 answer=path-state sense=02/04/0a\n"
		      "path=8:16 answer=none\npath=8:16 answer=twice\npath=1:1\n";
	check_run(ARGS("status", "-n", "-o", "MAJ_MIN,ANSWER,SENSE", "mpa"), 0,
		  "8:32  path-state 02/04/0a\n", "");
	assert_non_null(strstr(output, "[message mpa: path_answers]\n"));
	assert_non_null(strstr(output, "8:16  none"));
	assert_null(strstr(output, "wrong"));
	assert_null(strstr(output, "twice"));
	/* Not asked for, not sent. */
	check_run(ARGS("status", "mpa"), 0, "NAME", "");
	assert_null(strstr(output, "[message"));
	fake_step_errno[DM_DEVICE_TARGET_MSG] = EINVAL;
	check_json(ARGS("status", "-J", "mpa"), 0,
		   "[p[\"sense\"] for p in d[0][\"children\"]] == [None] * 3");
}

/*
 * Every subcommand and what may be wrong around it: a device that is not
 * there, one of another target, no privilege, output that is lost.
 */

#define NO	-1	/* this cannot happen to it */

static const struct {
	char *args[8];	/* DEV stands for the device; NODE where prm_open() opens it */
	int missing;
	int other;
	int no_right;
	int lost;	/* what prints nothing loses nothing */
} matrix[] = {
	{ { "list", "DEV" }, 8, 8, 7, 1 },
	{ { "list", "-J", "DEV" }, 8, 8, 7, 1 },
	{ { "list", "-n", "-O", "DEV" }, 8, 8, 7, 1 },
	{ { "list", "-J" }, NO, NO, 7, 1 },
	{ { "status", "DEV" }, 8, 8, 7, 1 },
	{ { "status", "-d", "-J", "DEV" }, 8, 8, 7, 1 },
	{ { "status", "-o", "NAME,SENSE", "DEV" }, 8, 8, 7, 1 },
	{ { "status", "-w", "DEV" }, 8, 8, 7, 1 },
	{ { "status", "-w", "-J", "DEV" }, 8, 8, 7, 1 },
	{ { "open", "NODE", "--", "true" }, 8, 8, 7, NO },
	{ { "open", "--forced", "NODE", "--", "true" }, 8, 8, 7, NO },
	{ { "hold", "NODE" }, 8, 8, 7, NO },
	{ { "take", "NODE" }, 8, 8, 7, NO },
	{ { "query", "DEV" }, 2, 2, 2, 2 },
	{ { "query", "-J", "DEV" }, 2, 2, 2, 2 },
	{ { "query", "-o", "OWNER", "DEV" }, 2, 2, 2, 2 },
	{ { "release", "DEV" }, 8, 8, 7, NO },
	{ { "release", "--unregister", "DEV" }, 8, 8, 7, NO },
	{ { "clear", "DEV" }, 8, 8, 7, NO },
	{ { "clear", "--yes-destroy", "DEV" }, 8, 8, 7, NO },
	{ { "create", "--key=1", "data", "sdb" }, NO, NO, 7, NO },
	{ { "create", "--key=1", "--dry-run", "data", "sdb" }, NO, NO, NO, 1 },
	{ { "add-path", "DEV", "sdt" }, 8, 8, 7, NO },
	{ { "add-path", "--dry-run", "lost", "sdc" }, NO, NO, 7, 1 },
	{ { "drop-path", "DEV", "sdb" }, 8, 8, 7, NO },
	{ { "drop-path", "--dry-run", "DEV", "sdb" }, 8, 8, 7, 1 },
	{ { "remove", "DEV" }, 8, 8, 7, NO },
	{ { "remove", "--deferred", "DEV" }, 8, 8, 7, NO },
	{ { "key" }, NO, NO, NO, 1 },
	{ { "key", "generate" }, NO, NO, NO, 1 },
	{ { "doctor", "DEV" }, 8, 8, 7, 1 },
	{ { "doctor", "-J", "DEV" }, 8, 8, 7, 1 },
	{ { "metrics" }, NO, NO, 7, 1 },
};

static bool opens(size_t i)
{
	size_t k;

	for (k = 0; matrix[i].args[k]; k++)
		if (!strcmp(matrix[i].args[k], "NODE"))
			return true;
	return false;
}

static char **cell_args(size_t i, char *dev)
{
	static char *args[MAX_ARGS];
	size_t k;

	memset(args, 0, sizeof(args));
	args[0] = "prmpath";
	for (k = 0; matrix[i].args[k]; k++)
		args[k + 1] = !strcmp(matrix[i].args[k], "DEV") ||
			      !strcmp(matrix[i].args[k], "NODE") ? dev : matrix[i].args[k];
	return args;
}

/* Whether the fakes have noted a step that changes something, or a message. */
static bool stepped(void)
{
	char note[20];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(step_names); i++) {
		snprintf(note, sizeof(note), "[%s ", step_names[i] ? step_names[i] : "-");
		if (strstr(output, note))
			return true;
	}
	return false;
}

static bool has_word(char **args, const char *word)
{
	while (*args && strcmp(*args, word))
		args++;
	return *args;
}

/* A complaint of ours which says what to do, and no step of device-mapper. */
static void check_cell(char **args, int code)
{
	static const char * const advice[] = {
		"'prmpath list' shows", "run it as root", "expected ",
	};
	int got = run(args);
	bool told = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advice); i++)
		told |= !!strstr(complaint, advice[i]);
	if (got != code || strncmp(complaint, "prmpath: ", 9) || !told || stepped())
		fail_msg("%s %s: status %d, not %d; output: %s\ncomplaint: %s", args[1],
			 args[2] ? args[2] : "", got, code, output, complaint);
	if (has_word(args, "-J"))
		check_json(args, code, "d == [] or all(f[\"level\"] for f in d)");
	else if (!has_word(args, "doctor") && !has_word(args, "metrics"))
		expect_output("");
}

static void test_matrix_device(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(pipe2(kernel.events, O_NONBLOCK), 0);
	for (i = 0; i < ARRAY_SIZE(matrix); i++) {
		if (matrix[i].missing == NO)
			continue;
		check_cell(cell_args(i, "none"), matrix[i].missing);
		check_cell(cell_args(i, "/dev/none"), matrix[i].missing);
		if (!opens(i)) {
			check_cell(cell_args(i, "root"), matrix[i].other);
			continue;
		}
		kernel.ioctl_errno = ENOTTY;
		check_cell(cell_args(i, device_path), matrix[i].other);
		kernel.ioctl_errno = 0;
	}
	close(kernel.events[0]);
	close(kernel.events[1]);
}

static void test_matrix_privilege(void **state)
{
	size_t i;

	(void)state;
	fake_no_dm = true;
	kernel.control_errno = EACCES;
	for (i = 0; i < ARRAY_SIZE(matrix); i++)
		if (matrix[i].no_right != NO)
			check_cell(cell_args(i, opens(i) ? device_path : "mpa"),
				   matrix[i].no_right);
	/* A control node that anybody may open asks the kernel all the same. */
	kernel.control_errno = 0;
	kernel.ioctl_errno = EPERM;
	for (i = 0; i < ARRAY_SIZE(matrix); i++)
		if (opens(i))
			check_cell(cell_args(i, device_path), matrix[i].no_right);
}

static void check_lost(char **args, int code)
{
	int outs[] = { open("/dev/full", O_WRONLY | O_CLOEXEC), -1 /* closed */ };
	FILE *complaints;
	size_t j;
	int got;

	for (j = 0; j < ARRAY_SIZE(outs); j++) {
		complaints = scratch();
		got = reap(start_command(args, outs[j], fileno(complaints)));
		slurp(complaints, complaint, sizeof(complaint));
		if (got != code || !strstr(complaint, "cannot write the output"))
			fail_msg("%s %s to %s: status %d, not %d; complaint: %s", args[1],
				 args[2] ? args[2] : "", j ? "nowhere" : "/dev/full", got, code,
				 complaint);
	}
	close(outs[0]);
}

/* Output that is lost is a failure, and for query no answer. */
static void test_lost_output(void **state)
{
	size_t i;

	(void)state;
	fake_answer = ANSWER("none", "0000000000000000", "1", "1");
	assert_int_equal(pipe2(kernel.events, O_NONBLOCK), 0);
	for (i = 0; i < ARRAY_SIZE(matrix); i++)
		if (matrix[i].lost > 0)
			check_lost(cell_args(i, "mpa"), matrix[i].lost);
	close(kernel.events[0]);
	close(kernel.events[1]);
	for (i = 0; i < command_count; i++)
		check_lost(ARGS((char *)commands[i].name, "--help"),
			   strcmp(commands[i].name, "query") ? 1 : 2);
	check_lost(ARGS("--help"), 1);
	check_lost(ARGS("--version"), 1);
}

/* Each wait ends at once by Ctrl-C, and nothing follows it. */
static void test_interrupted(void **state)
{
	static const struct {
		char *args[6];
		char *wait;		/* the output when it waits */
		bool *hangs;
	} waits[] = {
		{ { "prmpath", "open", device_path, "--", "true" }, "[waits]", &kernel.open_hangs },
		{ { "prmpath", "hold", device_path }, "[waits]", &kernel.open_hangs },
		{ { "prmpath", "take", device_path }, "[waits]", &kernel.open_hangs },
		{ { "prmpath", "query", "mpa" }, "pr_status]\n[waits]", &fake_message_hangs },
		{ { "prmpath", "query", "-J", "mpa" }, "[waits]", &fake_message_hangs },
		{ { "prmpath", "release", "--unregister", "mpa" }, "pr_release]\n[waits]",
		  &fake_message_hangs },
		{ { "prmpath", "clear", "mpa" }, "[waits]", &fake_message_hangs },
		{ { "prmpath", "clear", "--yes-destroy", "mpa" }, "registrations]\n[waits]",
		  &fake_message_hangs },
		{ { "prmpath", "status", "-O", "mpa" }, "path_answers]\n[waits]",
		  &fake_message_hangs },
		{ { "prmpath", "doctor", "mpa" }, "[waits]", &kernel.sg_hangs },
	};
	char *args[MAX_ARGS] = { NULL };
	FILE *complaints;
	pid_t pid;
	size_t i;
	int out;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(waits); i++) {
		memcpy(args, waits[i].args, sizeof(waits[i].args));
		*waits[i].hangs = true;
		complaints = scratch();
		pid = start_and_wait(args, complaints, &out, waits[i].wait);
		kill(pid, SIGINT);
		drain(out);
		assert_int_equal(reap(pid), -SIGINT);
		assert_string_equal(output, "");
		slurp(complaints, complaint, sizeof(complaint));
		assert_string_equal(complaint, "");
		*waits[i].hangs = false;
	}
}

/* At the question of clear: nothing was sent but what reads. */
static void test_interrupted_question(void **state)
{
	FILE *complaints = scratch();
	int saved = dup(STDIN_FILENO);
	int ends[2];
	pid_t pid;
	int out;

	(void)state;
	fake_answer = ANSWER(WERO, "0000000000000002", "1", "1");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[0], STDIN_FILENO);
	pid = start_and_wait(ARGS("clear", "mpa"), complaints, &out, "pr_status]\n");
	for (complaint[0] = '\0'; !strstr(complaint, "type the name"); )
		complaint[pread(fileno(complaints), complaint, sizeof(complaint) - 1, 0)] = '\0';
	kill(pid, SIGINT);
	drain(out);
	assert_int_equal(reap(pid), -SIGINT);
	expect_output("");
	fclose(complaints);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

/* Nobody waits; after so many naps the device is closed. */
static unsigned int close_after;

int nanosleep(const struct timespec *request, struct timespec *left)
{
	static unsigned int naps;

	(void)left;
	assert_true(request->tv_nsec > 0);
	printf("[nap]");
	if (++naps == close_after)
		fake_devices = all_closed;
	return 0;
}

static void test_release(void **state)
{
	(void)state;
	fake_devices = all_closed;
	check_run(ARGS("release", "mpa"), 0, "", "");
	expect_output("[message mpa: pr_release]\n");
	check_run(ARGS("release", "--unregister", "mpa"), 0, "", "");
	expect_output("[message mpa: pr_release]\n[message mpa: pr_unregister]\n");
	fake_devices = devices;
	check_run(ARGS("release", "root"), 8, "", "'linear'");
	expect_output("");
	fake_step_errno[DM_DEVICE_TARGET_MSG] = EBUSY;
	/* No session (any more): one more try. */
	fake_devices = crowd;
	check_run(ARGS("release", "--unregister", "crowd"), 3, "", "pr_release: held by another");
	expect_output("[message crowd: pr_release]\n[message crowd: pr_release]\n");
	fake_step_errno[DM_DEVICE_TARGET_MSG] = 0;
	fake_devices = devices;
	close_after = 3;
	check_run(ARGS("release", "mpa"), 0, "", "");
	expect_output("[nap][nap][nap][message mpa: pr_release]\n");
	close_after = 0;
	check_run(ARGS("release", "mpa"), 0, "", "");
	assert_int_equal(strlen(output),
			 25 * strlen("[nap]") + strlen("[message mpa: pr_release]\n"));
}

static int run_with_input(char **args, const char *text)
{
	FILE *in = scratch();
	int saved = dup(STDIN_FILENO);
	int code;

	fputs(text, in);
	rewind(in);
	dup2(fileno(in), STDIN_FILENO);
	code = run(args);
	dup2(saved, STDIN_FILENO);
	close(saved);
	fclose(in);
	return code;
}

static void test_clear(void **state)
{
	static const char * const wrong[] = { "", "\n", "yes\n", "mp\n", "mpa x\n", "MPA\n" };
	size_t i;

	(void)state;
	fake_answer = ANSWER(WERO, "0000000000000002", "1", "1");
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(run_with_input(ARGS("clear", "mpa"), wrong[i]), 1);
		expect_output("[message mpa: pr_status]\n");
		assert_non_null(strstr(complaint, "nothing was done"));
		assert_non_null(strstr(complaint, "2 registrations: 0x0000000000000002"));
	}
	assert_int_equal(run_with_input(ARGS("clear", "mpa"), "mpa\n"), 0);
	assert_non_null(strstr(output, "[message mpa: pr_clear destroy-all-registrations]\n"));
	check_run(ARGS("clear", "--yes-destroy", "mpa"), 0, "", "");
	expect_output("[message mpa: pr_clear destroy-all-registrations]\n");
	fake_answer = "";
	assert_int_equal(run_with_input(ARGS("clear", "mpa"), "mpa\n"), 4);
	expect_output("[message mpa: pr_status]\n");
}

static void test_take(void **state)
{
	(void)state;
	check_run(ARGS("take", device_path), 8, "", "not a block device");
	kernel.ioctl_errno = EBUSY;
	kernel.log = "4,1,2,-;device-mapper: prmpath: mpa: open (forced) refused\n";
	check_run(ARGS("take", device_path), 3, "", "with options forced,retain");
	assert_non_null(strstr(complaint, "the kernel says"));
	check_run(ARGS("take"), 2, "", "no device");
	check_run(ARGS("take", "nothing"), 8, "", "/dev/mapper/nothing: ");
}

/*
 * hold and --watch
 */

static int listen_at(char *name, size_t size)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 60 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(name, size, "@prmpath-test-%d", getpid());
	memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
			      offsetof(struct sockaddr_un, sun_path) + strlen(name)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect_notice(int fd, const char *text)
{
	char got[200];
	ssize_t len = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(len > 0);
	got[len] = '\0';
	assert_string_equal(got, text);
}

static void test_hold(void **state)
{
	FILE *complaints = scratch();
	char name[64];
	pid_t pid;
	int fd;

	(void)state;
	fd = listen_at(name, sizeof(name));
	pid = start_command(ARGS("hold", "--retain", device_path), fileno(complaints),
			    fileno(complaints));
	expect_notice(fd, "READY=1\n");
	kill(pid, SIGTERM);
	expect_notice(fd, "STOPPING=1\n");
	assert_int_equal(reap(pid), 0);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
	slurp(complaints, complaint, sizeof(complaint));
	assert_string_equal(complaint, "");
	check_run(ARGS("hold", "--bypass", "--single", "x"), 2, "", "--bypass stands alone");
	check_run(ARGS("hold"), 2, "", "no device");
	kernel.ioctl_errno = EBUSY;
	check_run(ARGS("hold", device_path), 3, "", "cannot open");
}

/* The state decides, whoever the descriptor belongs to. */
static void test_hold_follows(void **state)
{
	enum prm_state last = PRM_STATE_OTHER;
	char name[64];
	int fd;

	(void)state;
	fd = listen_at(name, sizeof(name));
	assert_int_equal(follow_state("mpa", &last), 0);
	expect_notice(fd, "STATUS=owner\n");
	assert_int_equal(last, PRM_STATE_OWNER);
	assert_int_equal(follow_state("none", &last), 0);
	assert_int_equal(follow_state("lost", &last), EXIT_BUSY);
	expect_notice(fd, "STATUS=fenced\n");
	close(fd);
	setenv("NOTIFY_SOCKET", "nowhere", 1);
	notify("READY=1\n");
	unsetenv("NOTIFY_SOCKET");
	notify("READY=1\n");
}

static void test_watch(void **state)
{
	FILE *complaints = scratch();
	char *args[MAX_ARGS] = { "prmpath", "list", "-w", "-n", "-o", "NAME,STATE", "mpa" };
	char seen[256] = "";
	size_t len = 0;
	pid_t pid;
	int out;

	(void)state;
	assert_int_equal(pipe2(kernel.events, O_NONBLOCK), 0);
	pid = start_and_wait(args, complaints, &out, "mpa  owner\n");
	/* Nothing until something happens; then the same again. */
	assert_int_equal(write(kernel.events[1], "x", 1), 1);
	while (!strstr(seen, "mpa  owner\n")) {
		ssize_t got = read(out, seen + len, sizeof(seen) - len - 1);

		assert_true(got > 0);
		len += got;
	}
	assert_string_equal(seen, "\nmpa  owner\n");
	kill(pid, SIGINT);
	assert_int_equal(reap(pid), 0);
	close(out);
	fclose(complaints);
	/* Who read it is gone: no need to go on. */
	complaints = scratch();
	pid = start_and_wait(args, complaints, &out, "mpa  owner\n");
	close(out);
	assert_int_equal(reap(pid), 0);
	fclose(complaints);
	check_run(ARGS("status", "-w", "none"), 8, "", "none: no such");
	close(kernel.events[0]);
	close(kernel.events[1]);
	kernel.events[0] = 0;
	check_run(ARGS("status", "--watch"), 7, "", "cannot wait for events");
}

/*
 * key
 */

static void test_key(void **state)
{
	const char *key_file = prm_key_file;

	(void)state;
	check_run(ARGS("key", "set", "0xABC1"), 0, "", "");
	check_run(ARGS("key"), 0, "0x000000000000abc1\n", "");
	check_run(ARGS("key", "set", "18446744073709551615"), 0, "", "");
	check_run(ARGS("key", "show"), 0, "0xffffffffffffffff\n", "");
	check_run(ARGS("key", "set", "0"), 2, "", "is no key");
	check_run(ARGS("key", "set", "0xg"), 2, "", "is no key");
	check_run(ARGS("key", "set"), 2, "", "expected one key");
	check_run(ARGS("key", "show", "1"), 2, "", "expected nothing more");
	check_run(ARGS("key", "make"), 2, "", "unknown word 'make'");
	check_run(ARGS("key"), 0, "0xffffffffffffffff\n", "");
	/* A key that cannot be read must not become another one. */
	sysfs_write("0x12\n", "etc/key");
	check_run(ARGS("key"), 1, "", "is no key: expected 0x and 16 digits");
	check_run(ARGS("create", "data", "sdb"), 1, "", "is no key");
	expect_output("");
	check_run(ARGS("key", "unset"), 0, "", "");
	check_run(ARGS("key", "unset"), 0, "", "");
	prm_key_program = "/nonexistent";
	check_run(ARGS("key"), 126, "", "cannot run /nonexistent");
	prm_key_program = "scripts/prmpath-key";
	prm_key_file = "/proc/none/key";
	check_run(ARGS("key", "set", "1"), 8, "", "key: ");
	prm_key_file = key_file;
	/* Ctrl-C waits until the new key is there, and leaves nothing beside it. */
	kernel.signal_at_rename = true;
	assert_int_equal(run(ARGS("key", "set", "0x77")), -SIGINT);
	check_run(ARGS("key"), 0, "0x0000000000000077\n", "");
	assert_int_equal(count_files("etc", "key"), 1);
	check_run(ARGS("key", "unset"), 0, "", "");
}

/*
 * doctor
 */

static void full_status(const char *name, uint8_t protocol)
{
	uint8_t *data = kernel.answer[PR_READ_FULL_STATUS];

	data[7] = 24 + 60;
	data[8 + 5] = 0x0a;		/* key 0xabc01, behind five zeros */
	data[8 + 6] = 0xbc;
	data[8 + 7] = 0x01;
	data[8 + 23] = 60;
	data[8 + 24] = protocol;
	snprintf((char *)data + 8 + 28, 56, "%s", name);
}

static void test_doctor(void **state)
{
	uint8_t *can = kernel.answer[PR_READ_CAPABILITIES];

	(void)state;
	check_run(ARGS("key", "set", "0xabc01"), 0, "", "");
	can[2] = 0x01;
	can[3] = 0x80;
	can[4] = 0x20;
	sysfs_write("iqn.a\n", "class/iscsi_session/session1/initiatorname");
	full_status("iqn.a,i,0x1", 0x45);
	kernel.sg_attentions = 2;
	check_run(ARGS("doctor", "mpa"), 1, "target has persistent reservations of our type", "");
	assert_non_null(strstr(output, "path 8:32 failed 3 times"));
	assert_non_null(strstr(output, "this host's key is 0x00000000000abc01"));
	assert_null(strstr(output, "another host"));

	full_status("iqn.b,i,0x1", 0x45);
	check_run(ARGS("doctor", "mpa"), 1,
		  "another host (iqn.b) is registered with our key 0x00000000000abc01", "");
	/* Lengths that lie. */
	kernel.answer[PR_READ_FULL_STATUS][8 + 20] = 0xff;
	check_run(ARGS("doctor", "mpa"), 1, "ok       mpa: the target", "");
	assert_null(strstr(output, "another host"));
	kernel.answer[PR_READ_FULL_STATUS][8 + 20] = 0;
	memset(kernel.answer[PR_READ_FULL_STATUS] + 4, 0xff, 4);
	check_run(ARGS("doctor", "mpa"), 1, "another host (iqn.b)", "");
	full_status("iqn.a,i,0x1", 0x45);
	memset(kernel.answer[PR_READ_FULL_STATUS] + 4, 0xff, 4);
	check_run(ARGS("doctor", "mpa"), 1, "ok       mpa: the target", "");
	assert_null(strstr(output, "another host"));

	can[2] = 0;
	can[4] = 0x02;
	check_run(ARGS("doctor", "mpa"), 1, "the target does not have reservation type 5", "");
	assert_non_null(strstr(output, "forgets registrations"));
	kernel.sg_sense = 5;
	check_run(ARGS("doctor", "mpa"), 1, "no persistent reservations, or cannot tell", "");
	kernel.sg_sense = 0;
	kernel.sg_status = 0x18;
	check_run(ARGS("doctor", "mpa"), 1, "a SCSI-2 reservation", "");
	kernel.sg_status = 0;
	kernel.sg_errno = EPERM;
	check_run(ARGS("doctor", "mpa"), 1, "could not be asked", "");
	check_run(ARGS("doctor", "lost"), 1, "close every open of the device", "");
	assert_non_null(strstr(output, "pages from before"));
	check_run(ARGS("doctor", "none"), 8, "key: this host's key", "none: no such");
	check_run(ARGS("doctor", "-n", "-o", "level,subject", "mpa"), 1, "problem mpa\n", "");
	check_run(ARGS("doctor", "-o", "x"), 2, "", "unknown column");

	sysfs_write("E:DM_MULTIPATH_DEVICE_PATH=1\n", "udev/data/b8:16");
	check_run(ARGS("doctor", "mpa"), 1, "multipathd claims path 8:16 as well", "");
	sysfs_write("OE\n", "module/dm_prmpath/taint");
	check_run(ARGS("doctor", "mpa"), 1, "the module is not signed", "");
	kernel.control_errno = ENOENT;
	check_run(ARGS("doctor", "mpa"), 1, "dm-prmpath is not loaded\n", "");
	/* Four bytes of attributes, then the value. */
	sysfs_write("attr\1", "firmware/efi/efivars/SecureBoot-"
		    "8be4df61-93ca-11d2-aa0d-00e098032b8c");
	check_run(ARGS("doctor", "mpa"), 1, "dm-prmpath is not loaded; Secure Boot is on\n", "");
	assert_non_null(strstr(output, "mokutil --import"));
	check_run(ARGS("key", "unset"), 0, "", "");
}

/*
 * metrics
 */

static void test_metrics(void **state)
{
	static const struct fake_device some[] = {
		{ "q\"\\\n\xff", "prmpath", LINE, 0, NULL },
		{ 0 },
	};
	char *file = text_of("%s/out.prom", sysfs);
	struct stat sb;

	(void)state;
	check_run(ARGS("metrics"), 0, "prmpath_state{device=\"mpa\",state=\"owner\"} 1\n", "");
	assert_non_null(strstr(output, "prmpath_state{device=\"lost\",state=\"fenced\"} 1\n"));
	assert_non_null(strstr(output, "# TYPE prmpath_path_failures_total counter\n"
			       "prmpath_path_failures_total{device=\"mpa\",path=\"8:16\"} 0\n"));
	assert_non_null(strstr(output, "prmpath_path_commands_total{device=\"mpa\","
			       "path=\"8:16\"} 31\n"));
	assert_null(strstr(output, "prmpath_path_timeouts_total{"));
	assert_null(strstr(output, "device=\"root\""));
	check_run(ARGS("metrics", "--output", file), 0, "", "");
	expect_output("");
	assert_int_equal(stat(file, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0644);
	check_run(ARGS("metrics", "--output", "/nonexistent/x"), 1, "", "/nonexistent/x");
	check_run(ARGS("metrics", "mpa"), 2, "", "expected options only");
	fake_devices = some;
	check_run(ARGS("metrics"), 0, "prmpath_gate_open{device=\"q\\\"\\\\\\n?\"} 1\n", "");
	fake_devices = devices;
	/* The old file stays when the new one cannot be whole. */
	fake_list_errno = EACCES;
	check_run(ARGS("metrics", "--output", file), 7, "", "run it as root");
	fake_list_errno = 0;
	assert_int_equal(stat(file, &sb), 0);
	assert_true(sb.st_size > 100);
	/* Nor by Ctrl-C: it waits, and the file is whole. */
	assert_int_equal(truncate(file, 0), 0);
	kernel.signal_at_rename = true;
	assert_int_equal(run(ARGS("metrics", "--output", file)), -SIGINT);
	assert_int_equal(stat(file, &sb), 0);
	assert_true(sb.st_size > 100);
	assert_int_equal(count_files("", "out.prom"), 1);
	free(file);
}

/*
 * Every option has a help text that fits, and every column of a table.
 */
static void test_help(void **state)
{
	size_t i;
	size_t j;
	size_t k;

	(void)state;
	check_run(ARGS("--help"), 0, "Usage:", "");
	for (i = 0; i < command_count; i++) {
		assert_non_null(strstr(output, commands[i].name));
		for (j = 0, k = 0; j < MAX_TABLES && commands[i].option[j]; j++) {
			const struct option_row *row = commands[i].option[j];

			for (; row->name; row++, k++)
				assert_in_range(strlen(row->help), 10, 60);
		}
		assert_in_range(k, 0, MAX_OPTIONS - 2);
	}
	for (i = 0; i < command_count; i++)
		check_run(ARGS((char *)commands[i].name, "--help"), 0, commands[i].summary, "");
	assert_true(ARRAY_SIZE(columns) <= OUT_COLUMNS);
}

int main(void)
{
#define TEST(name)	cmocka_unit_test_setup(name, reset)
	static const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_designators),
		TEST(test_create_refused),
		TEST(test_create_fails),
		TEST(test_create_interrupted),
		TEST(test_change),
		TEST(test_table_parse),
		TEST(test_query),
		TEST(test_json),
		TEST(test_answers),
		TEST(test_matrix_device),
		TEST(test_matrix_privilege),
		TEST(test_lost_output),
		TEST(test_interrupted),
		TEST(test_interrupted_question),
		TEST(test_release),
		TEST(test_clear),
		TEST(test_take),
		TEST(test_hold),
		TEST(test_hold_follows),
		TEST(test_watch),
		TEST(test_key),
		TEST(test_doctor),
		TEST(test_metrics),
		TEST(test_help),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
