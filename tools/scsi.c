// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCSI disks as sysfs shows them, and PERSISTENT RESERVE IN on one of them.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <scsi/sg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "command.h"

const char *prm_sysfs = "/sys";

/* The first line of a file below sysfs, without blanks at its ends. */
bool sys_read(char *text, size_t size, const char *format, ...)
{
	char name[512];
	va_list args;
	size_t len;
	FILE *f;
	int n;

	text[0] = '\0';
	n = snprintf(name, sizeof(name), "%s/", prm_sysfs);
	va_start(args, format);
	vsnprintf(name + n, sizeof(name) - n, format, args);
	va_end(args);
	f = fopen(name, "re");
	if (!f)
		return false;
	if (!fgets(text, size, f))
		text[0] = '\0';
	fclose(f);
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	memmove(text, text + strspn(text, " "), len - strspn(text, " ") + 1);
	return true;
}

bool scsi_counter(const char *dev, const char *name, uint64_t *value)
{
	char text[32];
	char *end;

	if (!sys_read(text, sizeof(text), "dev/block/%s/device/%s", dev, name) || !*text)
		return false;
	/* In hexadecimal, with 0x. */
	*value = strtoull(text, &end, 0);
	return !*end;
}

/*
 * sysfs calls a designator naa.6001405..., multipath calls it 36001405... and
 * device-mapper gets it with '_' for what it does not take.
 */
static const char *wwid_digits(const char *wwid, char *kind)
{
	static const struct {
		const char *prefix;
		char kind;
	} kinds[] = {
		{ "naa.", '3' }, { "eui.", '2' }, { "t10.", '1' },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strncasecmp(wwid, kinds[i].prefix, 4))
			continue;
		*kind = kinds[i].kind;
		return wwid + 4;
	}
	*kind = wwid[0];
	return wwid[0] ? wwid + 1 : wwid;
}

/* However many blanks: a t10 designator is padded with them. */
#define WWID_BLANKS	" _"

bool scsi_wwid_same(const char *a, const char *b)
{
	size_t blanks_a;
	size_t blanks_b;
	char kind_a;
	char kind_b;

	a = wwid_digits(a, &kind_a);
	b = wwid_digits(b, &kind_b);
	if (kind_a != kind_b)
		return false;
	for (;; a++, b++) {
		blanks_a = strspn(a, WWID_BLANKS);
		blanks_b = strspn(b, WWID_BLANKS);
		a += blanks_a;
		b += blanks_b;
		if (!*a || !*b)
			return !*a && !*b;
		if (!blanks_a != !blanks_b ||
		    tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
	}
}

/* major:minor of @word, or an exit status after a complaint. */
static int find_number(const char *word, char *dev, size_t size)
{
	unsigned int major;
	unsigned int minor;
	struct stat sb;
	int end = 0;

	if (sscanf(word, "%9u:%9u%n", &major, &minor, &end) == 2 && !word[end]) {
		snprintf(dev, size, "%u:%u", major, minor);
		return 0;
	}
	if (!strchr(word, '/')) {
		if (*word && strcmp(word, ".") && strcmp(word, "..") &&
		    sys_read(dev, size, "class/block/%s/dev", word))
			return 0;
		complain("%s: no such disk: expected a name such as sdb, 8:16, or a device node",
			 word);
		return EXIT_NOT_PRMPATH;
	}
	if (stat(word, &sb)) {
		complain("%s: %s: expected a SCSI disk", word, strerrordesc_np(errno));
		return exit_of_errno(errno);
	}
	if (!S_ISBLK(sb.st_mode)) {
		complain("%s: not a block device: expected a SCSI disk", word);
		return EXIT_NOT_PRMPATH;
	}
	snprintf(dev, size, "%u:%u", major(sb.st_rdev), minor(sb.st_rdev));
	return 0;
}

static bool find_name(struct scsi_path *path)
{
	char link[300];
	char target[512];
	ssize_t len;
	char *name;

	snprintf(link, sizeof(link), "%s/dev/block/%s", prm_sysfs, path->dev);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	name = strrchr(target, '/');
	snprintf(path->name, sizeof(path->name), "%.31s", name ? name + 1 : target);
	return true;
}

/* What sysfs knows of path->dev. Complains unless @quiet. */
static int read_path(struct scsi_path *path, bool quiet)
{
	const char *why = NULL;
	char text[32];

	if (!find_name(path))
		why = "no such disk";
	else if (sys_read(text, sizeof(text), "dev/block/%s/partition", path->dev))
		why = "a partition: expected the whole disk";
	else if (!sys_read(text, sizeof(text), "dev/block/%s/device/type", path->dev) ||
		 strcmp(text, "0"))
		why = "not a SCSI disk";
	else if (!sys_read(path->wwid, sizeof(path->wwid), "dev/block/%s/device/wwid",
			   path->dev) || !*path->wwid)
		why = "the disk names no LUN (VPD page 83h), so its paths cannot be told";
	if (why) {
		if (!quiet)
			complain("%s: %s", *path->name ? path->name : path->dev, why);
		return EXIT_NOT_PRMPATH;
	}
	sys_read(path->state, sizeof(path->state), "dev/block/%s/device/state", path->dev);
	sys_read(path->access, sizeof(path->access), "dev/block/%s/device/access_state",
		 path->dev);
	sys_read(text, sizeof(text), "dev/block/%s/size", path->dev);
	path->sectors = strtoull(text, NULL, 10);
	return 0;
}

int scsi_path_find(const char *word, struct scsi_path *path)
{
	int r;

	memset(path, 0, sizeof(*path));
	r = find_number(word, path->dev, sizeof(path->dev));
	return r ? r : read_path(path, false);
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct scsi_path *)a)->name,
			  ((const struct scsi_path *)b)->name);
}

int scsi_paths_of(const char *wwid, struct scsi_path **paths, size_t *count)
{
	struct scsi_path *more;
	struct scsi_path path;
	struct dirent *entry;
	char name[300];
	DIR *dir;

	*paths = NULL;
	*count = 0;
	snprintf(name, sizeof(name), "%s/block", prm_sysfs);
	dir = opendir(name);
	while (dir && (entry = readdir(dir))) {
		memset(&path, 0, sizeof(path));
		if (entry->d_name[0] == '.' ||
		    !sys_read(path.dev, sizeof(path.dev), "block/%s/dev", entry->d_name) ||
		    read_path(&path, true) || !scsi_wwid_same(path.wwid, wwid))
			continue;
		more = reallocarray(*paths, *count + 1, sizeof(*more));
		if (!more) {
			closedir(dir);
			free(*paths);
			return fail_no_memory();
		}
		*paths = more;
		more[(*count)++] = path;
	}
	if (dir)
		closedir(dir);
	if (*count)
		qsort(*paths, *count, sizeof(path), by_name);
	return 0;
}

void scsi_path_user(const struct scsi_path *path, char *user, size_t size)
{
	struct dirent *entry;
	char name[300];
	char dm[160];
	DIR *dir;
	int fd;

	user[0] = '\0';
	snprintf(name, sizeof(name), "%s/dev/block/%s/holders", prm_sysfs, path->dev);
	dir = opendir(name);
	while (dir && !*user && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		sys_read(dm, sizeof(dm), "block/%s/dm/name", entry->d_name);
		snprintf(user, size, "%s", *dm ? dm : entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (*user)
		return;
	snprintf(name, sizeof(name), "/dev/%s", path->name);
	fd = open(name, O_RDONLY | O_NONBLOCK | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	else if (errno == EBUSY)
		snprintf(user, size, "a file system, swap or another user of the whole disk");
}

/*
 * PERSISTENT RESERVE IN
 */

#define PR_IN_OPCODE		0x5e
#define SENSE_ILLEGAL		0x5
#define SENSE_ATTENTION		0x6
#define STATUS_CHECK		0x02
#define STATUS_CONFLICT		0x18
#define PR_IN_TIMEOUT_MS	10000

/* Fixed and descriptor format. */
static unsigned int sense_key(const uint8_t *sense, size_t len)
{
	if (len < 3)
		return 0;
	return (sense[0] & 0x7f) >= 0x72 ? sense[1] & 0xf : sense[2] & 0xf;
}

/* 0, -EAGAIN after a unit attention, or why not. */
static int pr_in_once(int fd, unsigned int action, uint8_t *data, size_t size,
		      size_t *got)
{
	uint8_t cdb[10] = {
		PR_IN_OPCODE, action, [7] = size >> 8, [8] = size,
	};
	uint8_t sense[64] = { 0 };
	struct sg_io_hdr io = {
		.interface_id = 'S',
		.dxfer_direction = SG_DXFER_FROM_DEV,
		.cmd_len = sizeof(cdb),
		.mx_sb_len = sizeof(sense),
		.dxfer_len = size,
		.dxferp = data,
		.cmdp = cdb,
		.sbp = sense,
		.timeout = PR_IN_TIMEOUT_MS,
	};

	memset(data, 0, size);
	if (ioctl(fd, SG_IO, &io) < 0)
		return -errno;
	if (io.status == STATUS_CONFLICT)
		return -EBUSY;
	if (io.status == STATUS_CHECK) {
		switch (sense_key(sense, io.sb_len_wr)) {
		case SENSE_ATTENTION:
			return -EAGAIN;
		case SENSE_ILLEGAL:
			return -EOPNOTSUPP;
		}
		return -EIO;
	}
	if (io.status || io.host_status || io.resid < 0 || (size_t)io.resid > size)
		return -EIO;
	*got = size - io.resid;
	return 0;
}

int scsi_pr_in(const char *node, unsigned int action, uint8_t *data, size_t size,
	       size_t *got)
{
	int fd = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int attentions = 8;
	int r;

	if (fd < 0)
		return -1;
	do {
		r = pr_in_once(fd, action, data, size, got);
	} while (r == -EAGAIN && attentions--);
	close(fd);
	errno = r == -EAGAIN ? EIO : -r;
	return r ? -1 : 0;
}
