// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library, and the subcommands open and status (rules 2.2 and 3.7).
 */
#include "tools_test.h"

/*
 * The status line
 */

static void check_bad(const char *line, const char *text)
{
	struct prm_error err = { 0 };
	struct prm_status *st;

	errno = 0;
	st = prm_status_parse(line, &err);
	if (st)
		fail_msg("accepted: %s", line);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(err.code, EBADMSG);
	if (!strstr(err.text, text))
		fail_msg("'%s' lacks '%s'", err.text, text);
	assert_null(prm_status_parse(line, NULL));
}

static void test_status_full(void **state)
{
	struct prm_status *st = prm_status_parse(LINE, NULL);

	(void)state;
	assert_non_null(st);
	assert_int_equal(st->queued, 4);
	assert_int_equal(st->group_inits, 1);
	assert_int_equal(st->words, 14);
	assert_int_equal(st->pr, 1);
	assert_int_equal(st->state, PRM_STATE_OWNER);
	assert_int_equal(st->key, 0xabc01);
	assert_int_equal(st->type, 5);
	assert_int_equal(st->holder, PRM_HOLDER_OWN);
	assert_string_equal(st->holder_path, "8:16");
	assert_int_equal(st->generation, 7);
	assert_int_equal(st->opens, 2);
	assert_int_equal(st->options, PRM_OPEN_FORCED | PRM_OPEN_RETAIN);
	assert_true(st->gate_open);
	assert_int_equal(st->open, 0);
	assert_int_equal(st->open_ro, PRM_OPEN_BYPASS);
	assert_int_equal(st->keys_own, 2);
	assert_int_equal(st->keys_foreign, 0);
	assert_false(st->stale_cache);
	assert_int_equal(st->hws, 1);
	assert_string_equal(st->hw[0], "alua");
	assert_int_equal(st->groups, 2);
	assert_int_equal(st->current_group, 1);
	assert_int_equal(st->paths, 3);
	assert_string_equal(st->path[0].dev, "8:16");
	assert_true(st->path[0].active);
	assert_string_equal(st->path[0].registration, "registered");
	assert_false(st->path[1].active);
	assert_int_equal(st->path[1].fails, 3);
	assert_int_equal(st->path[1].group, 1);
	assert_int_equal(st->path[1].group_state, 'A');
	assert_string_equal(st->path[2].dev, "65:48");
	assert_int_equal(st->path[2].group, 2);
	assert_int_equal(st->path[2].group_state, 'E');
	assert_string_equal(st->path[2].registration, "refused");
	assert_string_equal(prm_status_word(st, "options"), "forced,retain");
	assert_null(prm_status_word(st, "option"));
	prm_status_free(st);
	prm_status_free(NULL);
}

/* Lines that are shorter, or longer, than what this library was built for. */
static void test_status_other_versions(void **state)
{
	struct prm_status *st;

	(void)state;
	st = prm_status_parse("2 0 0 0 0 0", NULL);
	assert_non_null(st);
	assert_int_equal(st->state, PRM_STATE_OFF);
	assert_int_equal(st->paths, 0);
	prm_status_free(st);

	st = prm_status_parse("3 0 0 pr=0 0 1 0 D 1 x 1 0 8:0 A 0\n", NULL);
	assert_non_null(st);
	assert_string_equal(st->path[0].registration, "");
	assert_int_equal(st->path[0].group_state, 'D');
	prm_status_free(st);

	st = prm_status_parse("7 0 0 pr=1 state=new options=forced,other "
			      "twin=a=b flag 0 1 1 A 0 1 3 8:0 A 0 x y pending",
			      NULL);
	assert_non_null(st);
	assert_int_equal(st->state, PRM_STATE_OTHER);
	assert_int_equal(st->options, PRM_OPEN_FORCED);
	assert_string_equal(prm_status_word(st, "twin"), "a=b");
	assert_string_equal(prm_status_word(st, "flag"), "");
	assert_string_equal(st->path[0].registration, "pending");
	prm_status_free(st);
}

static void check_holder(const char *word, enum prm_holder holder,
			 const char *path, uint64_t key)
{
	struct prm_status *st;
	char *line;

	assert_true(asprintf(&line, "3 0 0 holder=%s 0 0 0", word) > 0);
	st = prm_status_parse(line, NULL);
	assert_non_null(st);
	assert_int_equal(st->holder, holder);
	assert_int_equal(st->holder_key, key);
	if (path)
		assert_string_equal(st->holder_path, path);
	else
		assert_null(st->holder_path);
	prm_status_free(st);
	free(line);
}

static void test_status_holder(void **state)
{
	(void)state;
	check_holder("none", PRM_HOLDER_NONE, NULL, 0);
	check_holder("own", PRM_HOLDER_OWN, NULL, 0);
	check_holder("own:8:32", PRM_HOLDER_OWN, "8:32", 0);
	check_holder("foreign", PRM_HOLDER_FOREIGN, NULL, 0);
	check_holder("foreign:0xffffffffffffffff", PRM_HOLDER_FOREIGN, NULL,
		     UINT64_MAX);
}

static void test_status_malformed(void **state)
{
	static const struct {
		const char *line;
		const char *text;
	} bad[] = {
		{ "", "ends where the number of status words" },
		{ "x 0 0", "'x' where the number of status words" },
		{ "-2 0 0 0 0 0", "'-2' where" },
		{ "02 0 0 0 0 0", "'02' where" },
		{ "4294967296 0 0 0 0 0", "where the number of status words" },
		{ "4294967295 0 0 0 0 0", "too short" },
		{ "1 0 0 0 0", "at least 2" },
		{ "2 q 0 0 0 0", "'q' where the number of queued bios" },
		{ "4 0 0 pr=1 0 0 0 0", "pr=1 without a state" },
		{ "3 0 0 =1 0 0 0", "'=1' where name=value" },
		{ "4 0 0 pr=1 pr=1 0 0 0", "'pr' twice" },
		{ "3 0 0 state= 0 0 0", "'state=' where a state" },
		{ "3 0 0 key=12z 0 0 0", "'key=12z' where a key" },
		{ "3 0 0 key=0x10000000000000000 0 0 0", "where a key" },
		{ "3 0 0 key=-1 0 0 0", "where a key" },
		{ "3 0 0 gate=ajar 0 0 0", "where open or closed" },
		{ "3 0 0 stale_cache=2 0 0 0", "where 0 or 1" },
		{ "3 0 0 holder=me 0 0 0", "where none, own" },
		{ "3 0 0 holder=foreign:x 0 0 0", "where none, own" },
		{ "3 0 0 holder=own: 0 0 0", "where none, own" },
		{ "3 0 0 options=a,,b 0 0 0", "where open options" },
		{ "2 0 0 1", "too short" },
		{ "2 0 0 0", "ends where the number of groups" },
		{ "2 0 0 0 1 1", "too short" },
		{ "2 0 0 0 1 2 A 0 0 0", "current group 2 of 1" },
		{ "2 0 0 0 1 1 X 0 0 0", "'X' where A, E or D" },
		{ "2 0 0 0 1 1 , 0 0 0", "',' where A, E or D" },
		{ "2 0 0 0 1 1 A 0 1 1 sdb A 0 off", "'sdb' where major:minor" },
		{ "2 0 0 0 1 1 A 0 1 1 8:1x A 0 off", "'8:1x' where" },
		{ "2 0 0 0 1 1 A 0 1 1 8:16 B 0 off", "'B' where A or F" },
		{ "2 0 0 0 1 1 A 0 1 1 8:16 A z off", "'z' where a path's" },
		{ "2 0 0 0 1 1 A 0 1 1 8:16 A 0", "ends where a path's reg" },
		{ "2 0 0 0 1 1 A 0 0 0 8:16", "'8:16' after the last path" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		check_bad(bad[i].line, bad[i].text);
}

/* No beginning of a line is a line, except for the end of its last word. */
static void test_status_truncated(void **state)
{
	size_t len = strlen(LINE) - strlen("refused");
	char *line;

	(void)state;
	for (; len; len--) {
		/* On the heap, so that ASan sees a read beyond the end. */
		line = strndup(LINE, len);
		check_bad(line, "");
		free(line);
	}
}

/* Whatever one byte becomes: a status or a text, and no stray access. */
static void test_status_mutated(void **state)
{
	static const char bytes[] = " 0199=:,aAEx\n\t\x01\xff-";
	struct prm_error err;
	struct prm_status *st;
	char *line = strdup(LINE);
	size_t i;
	size_t j;

	(void)state;
	for (i = 0; i < strlen(LINE); i++) {
		for (j = 0; bytes[j]; j++) {
			line[i] = bytes[j];
			err.text[0] = '\0';
			st = prm_status_parse(line, &err);
			assert_true(st || err.text[0]);
			prm_status_free(st);
		}
		line[i] = LINE[i];
	}
	free(line);
}

/*
 * Open options
 */

static void test_options_round_trip(void **state)
{
	char text[PRM_OPTIONS_LEN];
	uint32_t bits;
	uint32_t back;

	(void)state;
	for (bits = 0; bits <= PRM_OPEN_BYPASS; bits++) {
		prm_options_format(bits, text, sizeof(text));
		back = ~bits;
		assert_int_equal(prm_options_scan(text, &back, NULL), 0);
		assert_int_equal(back, bits);
	}
	assert_string_equal(prm_options_format(0, text, sizeof(text)),
			    "default");
	assert_string_equal(prm_options_format(~0u, text, sizeof(text)),
			    "forced,retain,no_reserve,single,bypass,0xffffffe0");
	assert_string_equal(prm_options_format(0x20, text, sizeof(text)),
			    "0x20");
	assert_string_equal(prm_options_format(~0u, text, 8), "forced,");
	assert_string_equal(prm_options_format(~0u, text, 1), "");
}

static void test_options_malformed(void **state)
{
	static const struct {
		const char *words;
		const char *text;
	} bad[] = {
		{ "", "empty open option" },
		{ "forced,", "empty open option" },
		{ ",forced", "empty open option" },
		{ "force", "unknown open option 'force'" },
		{ "forcedx", "unknown open option 'forcedx'" },
		{ "forced retain", "unknown open option 'forced retain'" },
		{ "no-reserve", "unknown" },
		{ "FORCED", "unknown" },
		{ "default,forced", "default stands alone" },
		{ "forced,default", "default stands alone" },
		{ "bypass,forced", "bypass stands alone" },
		{ "single,single", "'single' given twice" },
	};
	struct prm_error err;
	uint32_t bits = 0x1234;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		assert_int_equal(prm_options_scan(bad[i].words, &bits, &err),
				 -1);
		assert_int_equal(errno, EINVAL);
		if (!strstr(err.text, bad[i].text))
			fail_msg("'%s' lacks '%s'", err.text, bad[i].text);
		assert_int_equal(bits, 0x1234);
	}
}

/*
 * prm_open()
 */

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void test_open_success(void **state)
{
	unsigned int before = count_descriptors();
	int fd;

	(void)state;
	fd = prm_open(device_path, O_RDWR | O_CLOEXEC, PRM_OPEN_FORCED);
	assert_true(fd >= 0);
	assert_int_equal(kernel.request.fd, fd);
	assert_int_equal(kernel.request.options, PRM_OPEN_FORCED);
	assert_int_equal(kernel.request.reserved, 0);
	assert_true(kernel.device_flags & O_NONBLOCK);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(count_descriptors(), before + 1);
	close(fd);

	fd = prm_open(device_path, O_RDONLY | O_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void check_open_fails(const char *path, int flags, int code)
{
	unsigned int before = count_descriptors();

	errno = 0;
	assert_int_equal(prm_open(path, flags, 0), -1);
	assert_int_equal(errno, code);
	assert_int_equal(count_descriptors(), before);
}

static void test_open_failure(void **state)
{
	static const int codes[] = {
		EBUSY, EIO, EOPNOTSUPP, ETIMEDOUT, EINVAL, EPERM, ENOTTY,
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		kernel.ioctl_errno = codes[i];
		check_open_fails(device_path, O_RDWR, codes[i]);
	}
	kernel.ioctl_errno = 0;
	check_open_fails("/nonexistent", O_RDWR, ENOENT);
	check_open_fails(device_path, O_RDWR | O_CREAT, EINVAL);
	check_open_fails(device_path, O_PATH, EINVAL);
	check_open_fails("/tmp", O_RDWR | O_TMPFILE, EINVAL);

	/* A device that was opened in vain would be probed by udev. */
	kernel.device_opened = false;
	kernel.control_errno = ENOENT;
	check_open_fails(device_path, O_RDWR, ENODEV);
	kernel.control_errno = EACCES;
	check_open_fails(device_path, O_RDWR, EACCES);
	assert_false(kernel.device_opened);
	kernel.control_errno = 0;
}

static void test_module_version(void **state)
{
	struct prm_ioc_version version;

	(void)state;
	assert_int_equal(prm_module_version(&version), 0);
	assert_int_equal(version.abi, PRM_ABI_VERSION);
	assert_int_equal(strlen(version.release), sizeof(version.release) - 1);
	kernel.control_errno = ENOENT;
	assert_int_equal(prm_module_version(&version), -1);
	assert_int_equal(errno, ENODEV);
	kernel.control_errno = 0;
}

static void test_strerror(void **state)
{
	(void)state;
	assert_non_null(strstr(prm_strerror(EBUSY), "another host"));
	assert_non_null(strstr(prm_strerror(ENODEV), "modprobe"));
	assert_string_equal(prm_strerror(ENOSPC), "No space left on device");
	assert_string_equal(prm_strerror(99999), "unknown error");
}

/*
 * Reading devices
 */

static const struct fake_device some_devices[] = {
	{ "mpa", "prmpath", LINE, 0, NULL },
	{ "root", "linear", "", 0, NULL },
	{ "mp b", "prmpath", "2 0 0 0 1 1 A 0 1 1 8:48 A 0 off", 0, NULL },
	{ "gone", "prmpath", "", ENXIO, NULL },
	{ "empty", NULL, NULL, 0, NULL },
	{ "bad", "prmpath", "2 0", 0, NULL },
	{ 0 },
};

/* Under the name that multipathd knows: ours has PR words, dm-multipath has not. */
static const struct fake_device multipath_devices[] = {
	{ "theirs", "multipath", "2 0 0 0 1 1 A 0 1 0 8:16 A 0", 0, NULL },
	{ "ours", "multipath", "3 0 0 pr=0 0 1 1 A 0 1 2 8:48 A 0 7 off", 0, NULL },
	{ 0 },
};

static const struct fake_device odd_devices[] = {
	{ "q\"\\\n\x01\xff\xc3", "prmpath", LINE, 0, NULL },
	{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "prmpath",
	  "2 0 0 0 0 0", 0, NULL },
	/* Overlong, a surrogate, beyond the last character, a bare tail. */
	{ "\xc0\xaf \xe0\x80\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \x80",
	  "prmpath", "2 0 0 0 0 0", 0, NULL },
	{ 0 },
};

static const struct fake_device no_devices[] = { { 0 } };

static void check_status_fails(const char *dev, int code, const char *text)
{
	struct prm_error err = { 0 };

	errno = 0;
	assert_null(prm_status_get(dev, &err));
	assert_int_equal(errno, code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("'%s' lacks '%s'", err.text, text);
}

static void test_status_get(void **state)
{
	struct prm_status *st;

	(void)state;
	fake_devices = some_devices;
	st = prm_status_get("mpa", NULL);
	assert_non_null(st);
	assert_string_equal(st->name, "mpa");
	assert_string_equal(st->uuid, "prm-\"1\"");
	assert_int_equal(st->major, 253);
	assert_int_equal(st->minor, 7);
	assert_int_equal(st->paths, 3);
	prm_status_free(st);

	check_status_fails("none", ENXIO, "no such");
	fake_devices = multipath_devices;
	st = prm_status_get("ours", NULL);
	assert_non_null(st);
	assert_string_equal(st->path[0].registration, "off");
	prm_status_free(st);
	check_status_fails("theirs", ENOTTY, "'multipath'");

	fake_devices = some_devices;
	check_status_fails("", ENXIO, "empty");
	check_status_fails("root", ENOTTY, "'linear'");
	check_status_fails("empty", ENOTTY, "no table");
	check_status_fails("bad", EBADMSG, "too short");
	check_status_fails("/dev/null", ENOTBLK, "not a block device");
	check_status_fails("/nonexistent", ENOENT, "no such device");
}

static void test_names(void **state)
{
	struct prm_error err;
	char **names;

	(void)state;
	fake_devices = some_devices;
	names = prm_names(NULL);
	assert_non_null(names);
	assert_string_equal(names[0], "mpa");
	assert_string_equal(names[1], "mp b");
	assert_string_equal(names[2], "bad");
	assert_null(names[3]);
	prm_names_free(names);

	fake_devices = no_devices;
	names = prm_names(NULL);
	assert_non_null(names);
	assert_null(names[0]);
	prm_names_free(names);

	fake_list_errno = EACCES;
	assert_null(prm_names(&err));
	assert_int_equal(err.code, EACCES);
	assert_int_equal(errno, EACCES);
	fake_list_errno = 0;
	fake_no_dm = true;
	assert_null(prm_names(&err));
	assert_true(err.text[0]);
	fake_no_dm = false;
	prm_names_free(NULL);
}

/*
 * The command
 */

static void test_usage(void **state)
{
	static const char hint[] = "Try 'prmpath --help'";

	(void)state;
	check_run(ARGS("--help"), 0, "prmpath open [OPTION]... DEV -- COMMAND", "");
	check_run(ARGS("status", "--help"), 0, "prmpath status", "");
	check_run(ARGS("open", "-h"), 0, "  127  COMMAND not found", "");
	check_run(ARGS("--version"), 0, "interface 1", "");
	check_run(ARGS(), 2, "", "no subcommand");
	check_run(ARGS("opne"), 2, "", "unknown subcommand 'opne'");
	check_run(ARGS("--opne"), 2, "", "unknown option '--opne'");
	check_run(ARGS("opne"), 2, "", hint);
	check_run(ARGS("open"), 2, "", "no device");
	check_run(ARGS("open", "--", "true"), 2, "", "no device");
	check_run(ARGS("open", "a", "true"), 2, "", "'true' after the device");
	check_run(ARGS("open", "a", "b", "--", "true"), 2, "", "'b' after");
	check_run(ARGS("open", "a"), 2, "", "no command");
	check_run(ARGS("open", "a", "--"), 2, "", "no command");
	check_run(ARGS("open", "--force-it", "a", "--", "true"), 2, "",
		  "unrecognized option '--force-it'");
	check_run(ARGS("open", "--bypass", "--forced", "a", "--", "true"), 2,
		  "", "--bypass stands alone");
	check_run(ARGS("status", "-x"), 2, "", "invalid option");
	check_run(ARGS("status", "-o"), 2, "", "requires an argument");
	check_run(ARGS("status", "-o", "NAME,COLOUR"), 2, "",
		  "unknown column 'COLOUR'");
	check_run(ARGS("status", "-o", ""), 2, "", "unknown column ''");
	check_run(ARGS("status", "-o", "name,NAME"), 2, "", "NAME twice");
}

static void test_command_runs(void **state)
{
	(void)state;
	check_run(ARGS("open", device_path, "--", "echo", "--forced"), 0,
		  "--forced\n", "");
	check_run(ARGS("open", device_path, "--forced", "--", "sh", "-c",
		       "exit 42"), 42, "", "");
	check_run(ARGS("open", device_path, "--", "sh", "-c", "kill -9 $$"),
		  128 + 9, "", "");
	/* Held here, and not by the command. */
	check_run(ARGS("open", device_path, "--", "sh", "-c",
		       "readlink /proc/$PPID/fd/*"), 0, device_path, "");
	run(ARGS("open", device_path, "--", "sh", "-c",
		 "readlink /proc/$$/fd/*"));
	assert_null(strstr(output, device_path));
	assert_non_null(strstr(output, "/"));
}

/* Or the next message would be written to the LUN. */
static void test_command_closed_stdout(void **state)
{
	FILE *complaints = scratch();
	int code;

	(void)state;
	code = reap(start_command(ARGS("open", device_path, "--", "sh", "-c",
				       "test ! -e /proc/$$/fd/1 && "
				       "readlink /proc/$PPID/fd/1 >&2"),
				  -1, fileno(complaints)));
	slurp(complaints, complaint, sizeof(complaint));
	assert_int_equal(code, 0);
	assert_string_equal(complaint, "/dev/null\n");
}

static void test_command_missing(void **state)
{
	(void)state;
	/* Looked for before the open: a device that fails is not reached. */
	kernel.ioctl_errno = EBUSY;
	check_run(ARGS("open", device_path, "--", "no-such-command"), 127, "",
		  "no-such-command: command not found; nothing was opened");
	check_run(ARGS("open", device_path, "--", "/no/such"), 127, "",
		  "not found");
	check_run(ARGS("open", device_path, "--", "/etc/passwd"), 126, "",
		  "cannot be run");
	check_run(ARGS("open", device_path, "--", "/tmp"), 126, "",
		  "cannot be run");
	check_run(ARGS("open", device_path, "--", ""), 127, "", "not found");
	kernel.ioctl_errno = 0;
}

static void test_command_errors(void **state)
{
	static const struct {
		int err;
		int code;
	} errors[] = {
		{ EBUSY, 3 }, { EIO, 4 }, { EOPNOTSUPP, 5 }, { ETIMEDOUT, 6 },
		{ EPERM, 7 }, { ENOTTY, 8 }, { EINVAL, 2 }, { ENOMEM, 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		kernel.ioctl_errno = errors[i].err;
		check_run(ARGS("open", "--retain", "--single", device_path,
			       "--", "true"), errors[i].code, "",
			  "with options retain,single: ");
		assert_non_null(strstr(complaint,
				       prm_strerror(errors[i].err)));
	}
	kernel.ioctl_errno = 0;
	kernel.control_errno = ENOENT;
	check_run(ARGS("open", device_path, "--", "true"), 8, "", "modprobe");
	kernel.control_errno = 0;
	check_run(ARGS("open", "nameless", "--", "true"), 8, "",
		  "/dev/mapper/nameless: ");
}

static void check_forwarding(int sig, char *script)
{
	FILE *complaints = scratch();
	char ready[6] = "";
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = start_command(ARGS("open", device_path, "--", "sh", "-c", script),
			    ends[1], fileno(complaints));
	close(ends[1]);
	assert_int_equal(read(ends[0], ready, sizeof(ready)), sizeof(ready));
	kill(pid, sig);
	assert_int_equal(reap(pid), 7);
	close(ends[0]);
	fclose(complaints);
}

static void test_command_signals(void **state)
{
	(void)state;
	check_forwarding(SIGTERM,
			 "trap 'kill $!; exit 7' TERM; sleep 50 & echo ready; wait");
	check_forwarding(SIGINT,
			 "trap 'kill $!; exit 7' INT; sleep 50 & echo ready; wait");
}

/* A parent that ignores SIGCHLD must not cost us the exit status. */
static void test_command_ignored_sigchld(void **state)
{
	void (*old)(int) = signal(SIGCHLD, SIG_IGN);
	FILE *complaints = scratch();
	siginfo_t info;
	pid_t pid;

	(void)state;
	pid = start_command(ARGS("open", device_path, "--", "sh", "-c",
				 "exit 9"), STDOUT_FILENO, fileno(complaints));
	signal(SIGCHLD, old);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED), 0);
	assert_int_equal(info.si_status, 9);
	fclose(complaints);
}

static void test_command_status(void **state)
{
	(void)state;
	fake_devices = some_devices;
	check_run(ARGS("status", "mpa"), 0, "NAME", "");
	assert_non_null(strstr(output, "forced,retain"));
	assert_non_null(strstr(output, "pending"));
	check_run(ARGS("status", "-n", "-d", "-o", "state", "mpa"), 0, "", "");
	assert_string_equal(output, "owner\n");
	check_run(ARGS("status", "mpa", "root", "nope"), 8, "owner",
		  "root: not a prmpath device");
	assert_non_null(strstr(complaint, "nope: no such"));
	check_run(ARGS("status"), 1, "mp b", "bad: status: ");
	fake_devices = no_devices;
	check_run(ARGS("status"), 0, "", "");
	assert_string_equal(output, "");
	fake_list_errno = EACCES;
	check_run(ARGS("status"), 7, "", "run it as root");
	fake_list_errno = 0;
}

static void test_command_json(void **state)
{
	(void)state;
	fake_devices = some_devices;
	check_json(ARGS("status", "--json", "mpa"), 0,
		   "d[0][\"name\"] == \"mpa\" and d[0][\"opens\"] == 2 and "
		   "d[0][\"stale_cache\"] is False and "
		   "d[0][\"uuid\"] == \"prm-\\\"1\\\"\" and "
		   "[p[\"state\"] for p in d[0][\"children\"]] == "
		   "[\"registered\", \"pending\", \"refused\"] and "
		   "d[0][\"children\"][1][\"fails\"] == 3 and "
		   "d[0][\"children\"][1][\"opens\"] is None");
	/* The shape does not depend on the columns. */
	check_json(ARGS("status", "--json", "-o", "OPENS", "mpa"), 0,
		   "d[0][\"opens\"] == 2 and len(d[0][\"children\"]) == 3");
	check_json(ARGS("status", "-J", "-d", "-n", "mpa", "mp b"), 0,
		   "len(d) == 2 and \"children\" not in d[0] and "
		   "d[1][\"opens\"] is None and d[1][\"state\"] == \"off\"");
	check_json(ARGS("status", "--json", "mpa", "nope"), 8, "len(d) == 1");
	check_json(ARGS("status", "--json", "nope"), 8, "d == []");
	fake_devices = odd_devices;
	check_json(ARGS("status", "--json"), 0,
		   "d[0][\"name\"] == \"q\\\"\\\\\\n\\x01??\" and "
		   "d[1][\"name\"] == \"\\xe4 \\u20ac \\U0001f600\" and "
		   "d[2][\"name\"] == \"?? ??? ??? ???? ?\"");
	fake_devices = no_devices;
	check_json(ARGS("status", "--json"), 0, "d == []");
	fake_list_errno = EACCES;
	check_json(ARGS("status", "--json"), 7, "d == []");
	fake_list_errno = 0;
	fake_no_dm = true;
	check_json(ARGS("status", "--json", "mpa"), EXIT_PERMISSION, "d == []");
	fake_no_dm = false;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_full),
		cmocka_unit_test(test_status_other_versions),
		cmocka_unit_test(test_status_holder),
		cmocka_unit_test(test_status_malformed),
		cmocka_unit_test(test_status_truncated),
		cmocka_unit_test(test_status_mutated),
		cmocka_unit_test(test_options_round_trip),
		cmocka_unit_test(test_options_malformed),
		cmocka_unit_test(test_open_success),
		cmocka_unit_test(test_open_failure),
		cmocka_unit_test(test_module_version),
		cmocka_unit_test(test_strerror),
		cmocka_unit_test(test_status_get),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_command_runs),
		cmocka_unit_test(test_command_closed_stdout),
		cmocka_unit_test(test_command_missing),
		cmocka_unit_test(test_command_errors),
		cmocka_unit_test(test_command_signals),
		cmocka_unit_test(test_command_ignored_sigchld),
		cmocka_unit_test(test_command_status),
		cmocka_unit_test(test_command_json),
	};

	return cmocka_run_group_tests(tests, make_device, remove_device);
}
