// SPDX-License-Identifier: GPL-2.0-only
/*
 * prmpath doctor: what is wrong around the module and its devices, and what
 * to do about it. It changes nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

/* Where udev and multipathd leave their notes. */
const char *prm_run = "/run";

enum level {
	LEVEL_OK,
	LEVEL_NOTE,
	LEVEL_PROBLEM,
};

static const char * const level_names[] = {
	[LEVEL_OK] = "ok",
	[LEVEL_NOTE] = "note",
	[LEVEL_PROBLEM] = "problem",
};

struct finding {
	enum level level;
	char *subject;
	char *text;
	char *cure;
};

struct findings {
	struct finding *item;
	size_t count;
	bool no_memory;
};

__attribute__((format(printf, 5, 6)))
static void found(struct findings *f, enum level how, const char *subject,
		  const char *cure, const char *format, ...)
{
	struct finding *more = reallocarray(f->item, f->count + 1, sizeof(*more));
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (more)
		f->item = more;
	if (!more || !text) {
		free(text);
		f->no_memory = true;
		return;
	}
	more[f->count++] = (struct finding){
		.level = how, .subject = strdup(subject), .text = text,
		.cure = cure ? strdup(cure) : NULL,
	};
}

/*
 * The module
 */

#define SECURE_BOOT	"firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define SIGN_CURE	"sign dm-prmpath.ko with a key that 'mokutil --import' has enrolled: " \
			"prmpath-boot(7)"

/* Four bytes of attributes, then the value. */
static bool secure_boot(void)
{
	char name[300];
	uint8_t data[5] = { 0 };
	FILE *f;

	snprintf(name, sizeof(name), "%s/" SECURE_BOOT, prm_sysfs);
	f = fopen(name, "re");
	if (!f)
		return false;
	if (fread(data, 1, sizeof(data), f) != sizeof(data))
		data[4] = 0;
	fclose(f);
	return data[4] == 1;
}

static void check_module(struct findings *f)
{
	struct prm_ioc_version version;
	bool secure = secure_boot();

	if (!prm_module_version(&version)) {
		if (version.abi == PRM_ABI_VERSION)
			found(f, LEVEL_OK, "module", NULL, "dm-prmpath %s is loaded, interface %u",
			      version.release, version.abi);
		else
			found(f, LEVEL_PROBLEM, "module",
			      "install module and command of one release, then load the module again",
			      "dm-prmpath %s speaks interface %u, this command %d",
			      version.release, version.abi, PRM_ABI_VERSION);
		return;
	}
	if (errno == ENODEV)
		found(f, LEVEL_PROBLEM, "module", secure ?
		      "'modprobe dm-prmpath'; if the key is rejected, " SIGN_CURE :
		      "'modprobe dm-prmpath'; if it is not found, 'make install' for this kernel",
		      "dm-prmpath is not loaded%s", secure ? "; Secure Boot is on" : "");
	else
		found(f, LEVEL_PROBLEM, "module", "run it as root",
		      "dm-prmpath cannot be asked: %s", strerrordesc_np(errno));
}

static void check_signature(struct findings *f)
{
	char taint[16];
	bool secure = secure_boot();

	if (!sys_read(taint, sizeof(taint), "module/dm_prmpath/taint"))
		return;
	if (!strchr(taint, 'E'))
		found(f, LEVEL_OK, "module", NULL, "the module is signed; Secure Boot is %s",
		      secure ? "on" : "off");
	else
		found(f, LEVEL_NOTE, "module", SIGN_CURE,
		      "the module is not signed: a kernel under Secure Boot refuses it (now %s)",
		      secure ? "on" : "off");
}

static void check_key(struct findings *f)
{
	uint64_t key;

	if (host_key(&key))
		found(f, LEVEL_PROBLEM, "key",
		      "'systemd-machine-id-setup', or choose one with 'prmpath key set'",
		      "this host has no key");
	else
		found(f, LEVEL_OK, "key", NULL, "this host's key is 0x%016" PRIx64, key);
}

/*
 * A device
 */

static const struct {
	enum prm_state state;
	enum level level;
	const char *text;
	const char *cure;
} state_findings[] = {
	{ PRM_STATE_OFF, LEVEL_NOTE, "there is no reservation: the table has no pr_key",
	  "create it with a key: 'prmpath create'" },
	{ PRM_STATE_FOREIGN, LEVEL_NOTE, "another host has the LUN",
	  "leave it, or 'prmpath take' if that host is gone" },
	{ PRM_STATE_FENCED, LEVEL_PROBLEM, "another host took the LUN from this one",
	  "close every open of the device: umount, 'fuser -vm'; then open it again" },
	{ PRM_STATE_RELEASING, LEVEL_PROBLEM, "a reservation of ours could not be released yet",
	  "bring a path back; it is tried again by itself" },
	{ PRM_STATE_UNKNOWN, LEVEL_PROBLEM, "no path answers: whether the LUN is ours is not known",
	  "bring a path back: cable, target, 'iscsiadm -m session'" },
	{ PRM_STATE_RETAINED, LEVEL_NOTE, "our reservation stands although nobody has it open",
	  "'prmpath release' if it is not wanted" },
};

static void check_state(struct findings *f, const struct prm_status *st)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(state_findings); i++)
		if (state_findings[i].state == st->state)
			found(f, state_findings[i].level, st->name, state_findings[i].cure,
			      "%s", state_findings[i].text);
	if (st->suspended)
		found(f, LEVEL_PROBLEM, st->name, "'dmsetup resume', if nobody else will",
		      "the device is suspended: all I/O waits");
	if (st->stale_cache)
		found(f, LEVEL_PROBLEM, st->name,
		      "close the opens from before (blkid, monitors, read-only mounts), then this one",
		      "pages from before the session may be left in the cache");
	if (st->keys_foreign && st->state == PRM_STATE_OWNER)
		found(f, LEVEL_NOTE, st->name,
		      "wanted with pr_shared only; else end the other registrant there",
		      "%u registrations of other hosts, which may write with types 5 to 8",
		      st->keys_foreign);
}

static void check_device_paths(struct findings *f, const struct prm_status *st)
{
	char cure[300];
	size_t usable = 0;
	size_t i;

	for (i = 0; i < st->paths; i++) {
		const struct prm_path *path = &st->path[i];

		usable += path_usable(st, path);
		snprintf(cure, sizeof(cure),
			 "look at cable, port and session; it comes back by path_check, or by "
			 "'dmsetup message %s 0 reinstate_path %s'", st->name, path->dev);
		if (!path->active)
			found(f, LEVEL_PROBLEM, st->name,
			      cure, "path %s failed %u times and is out of use", path->dev,
			      path->fails);
		else if (!strcmp(path->registration, "refused"))
			found(f, LEVEL_PROBLEM, st->name,
			      "the kernel log has the sense; LIO needs the folder 'pr' below its dbroot",
			      "path %s refuses our registration", path->dev);
	}
	if (usable > 1)
		found(f, LEVEL_OK, st->name, NULL, "%zu of %zu paths are usable, state %s",
		      usable, st->paths, state_name(st));
	else
		found(f, LEVEL_PROBLEM, st->name, "'prmpath status'; 'prmpath add-path' adds one",
		      "%zu of %zu paths are usable: the next failure stops it", usable,
		      st->paths);
}

/* multipathd claims a path: udev tells all others that it is a member. */
static void check_multipathd(struct findings *f, const struct prm_status *st)
{
	char line[300];
	char name[300];
	size_t i;
	FILE *file;

	/* By that name multipathd is meant to drive it. */
	for (i = 0; i < st->paths && !st->multipath; i++) {
		snprintf(name, sizeof(name), "%s/udev/data/b%s", prm_run, st->path[i].dev);
		file = fopen(name, "re");
		while (file && fgets(line, sizeof(line), file)) {
			if (strncmp(line, "E:DM_MULTIPATH_DEVICE_PATH=1", 28))
				continue;
			found(f, LEVEL_PROBLEM, st->name,
			      "blacklist its WWID in /etc/multipath.conf, 'multipathd reconfigure'",
			      "multipathd claims path %s as well", st->path[i].dev);
		}
		if (file)
			fclose(file);
	}
}

/*
 * The target of a device, asked on one path
 */

#define CAPABILITIES_LEN	8
#define FULL_STATUS_LEN		8192

/* Bits of the type mask, by type. */
static bool type_allowed(const uint8_t *data, uint32_t type)
{
	static const struct {
		uint32_t type;
		unsigned int byte;
		uint8_t bit;
	} bits[] = {
		{ 1, 4, 0x02 }, { 3, 4, 0x08 }, { 5, 4, 0x20 }, { 6, 4, 0x40 },
		{ 7, 4, 0x80 }, { 8, 5, 0x01 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		if (bits[i].type == type)
			return data[bits[i].byte] & bits[i].bit;
	return false;
}

static void judge_capabilities(struct findings *f, const struct prm_status *st,
			       const uint8_t *data)
{
	bool types_known = data[3] & 0x80;

	if (types_known && st->pr && !type_allowed(data, st->type))
		found(f, LEVEL_PROBLEM, st->name,
		      "choose another 'pr_type', or configure the target",
		      "the target does not have reservation type %u", st->type);
	else
		found(f, LEVEL_OK, st->name, NULL, "the target has persistent reservations%s",
		      types_known ? " of our type" : "; it does not say of which types");
	if (!(data[2] & 0x01))
		found(f, LEVEL_NOTE, st->name, "add the feature 'pr_aptpl 0' if registering fails",
		      "the target forgets registrations when it loses power");
}

static void pr_in_failed(struct findings *f, const struct prm_status *st, const char *node)
{
	switch (errno) {
	case EOPNOTSUPP:
		found(f, LEVEL_PROBLEM, st->name,
		      "enable them there; until then only 'no_reserve' and 'bypass' opens work",
		      "the target has no persistent reservations, or cannot tell");
		return;
	case EBUSY:
		found(f, LEVEL_PROBLEM, st->name, "'sg_reset -d' on a path, if its owner is gone",
		      "a SCSI-2 reservation stands in the way");
		return;
	}
	found(f, LEVEL_NOTE, st->name, errno == EACCES || errno == EPERM ?
	      "run it as root" : "look at this path",
	      "%s could not be asked for the target's abilities: %s", node,
	      strerrordesc_np(errno));
}

static bool node_of_path(const struct prm_path *path, char *node, size_t size)
{
	struct scsi_path disk;

	if (!path->active || scsi_path_find(path->dev, &disk))
		return false;
	snprintf(node, size, "/dev/%s", disk.name);
	return true;
}

/* Whether a name below a class of sysfs has this value in a file. */
static int class_has(const char *class, const char *file, const char *value)
{
	char name[300];
	char text[300];
	struct dirent *entry;
	int known = -1;
	DIR *dir;

	snprintf(name, sizeof(name), "%s/class/%s", prm_sysfs, class);
	dir = opendir(name);
	while (dir && known != 1 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    !sys_read(text, sizeof(text), "class/%s/%s/%s", class, entry->d_name, file))
			continue;
		known = !strcasecmp(text, value);
	}
	if (dir)
		closedir(dir);
	return known;
}

/* Whether a TransportID is a port of this host: 1, 0, or -1 for not known. */
static int is_own_port(const uint8_t *id, size_t len, char *name, size_t size)
{
	uint64_t wwn;

	switch (len >= 24 ? id[0] & 0xf : -1) {
	case 0:		/* Fibre Channel */
		memcpy(&wwn, id + 8, sizeof(wwn));
		snprintf(name, size, "0x%016" PRIx64, be64toh(wwn));
		return class_has("fc_host", "port_name", name);
	case 5:		/* iSCSI: the name, and with format 1 the session behind a comma */
		snprintf(name, size, "%.*s", (int)strnlen((const char *)id + 4, len - 4),
			 (const char *)id + 4);
		name[strcspn(name, ",")] = '\0';
		return class_has("iscsi_session", "initiatorname", name);
	}
	return -1;
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Another host with our key shows as a foreign port under it. */
static void judge_full_status(struct findings *f, const struct prm_status *st,
			      const uint8_t *data, size_t got)
{
	size_t end = got >= 8 ? 8 + (size_t)get_be32(data + 4) : 0;
	char name[256];
	uint64_t key;
	size_t at;
	size_t len;

	if (end > got)
		end = got;
	for (at = 8; at + 24 <= end; at += 24 + len) {
		len = get_be32(data + at + 20);
		if (len > end - at - 24)
			break;
		memcpy(&key, data + at, sizeof(key));
		if (be64toh(key) != st->key ||
		    is_own_port(data + at + 24, len, name, sizeof(name)))
			continue;
		found(f, LEVEL_PROBLEM, st->name,
		      "give each host a key of its own: 'prmpath key set', then create the device anew",
		      "another host (%s) is registered with our key 0x%016" PRIx64, name,
		      st->key);
		return;
	}
}

static void check_target(struct findings *f, const struct prm_status *st)
{
	uint8_t data[FULL_STATUS_LEN];
	char node[64];
	size_t got;
	size_t i;

	for (i = 0; i < st->paths; i++)
		if (node_of_path(&st->path[i], node, sizeof(node)))
			break;
	if (i == st->paths)
		return;
	if (scsi_pr_in(node, PR_READ_CAPABILITIES, data, CAPABILITIES_LEN, &got)) {
		pr_in_failed(f, st, node);
		return;
	}
	if (got == CAPABILITIES_LEN)
		judge_capabilities(f, st, data);
	/* Not every target has it; then twins are seen by the module alone. */
	if (st->pr && !scsi_pr_in(node, PR_READ_FULL_STATUS, data, sizeof(data), &got))
		judge_full_status(f, st, data, got);
}

static int check_device(struct prm_status *st, void *to)
{
	struct findings *f = to;

	check_state(f, st);
	check_device_paths(f, st);
	check_multipathd(f, st);
	check_target(f, st);
	prm_status_free(st);
	return 0;
}

/*
 * The report
 */

static char *finding_level(const struct finding *finding)
{
	return text_of("%s", level_names[finding->level]);
}

static char *finding_subject(const struct finding *finding)
{
	return text_of("%s", finding->subject);
}

static char *finding_text(const struct finding *finding)
{
	return text_of("%s", finding->text);
}

static char *finding_cure(const struct finding *finding)
{
	return finding->cure ? text_of("%s", finding->cure) : NULL;
}

static const struct {
	struct out_column out;
	char *(*cell)(const struct finding *finding);
} doctor_columns[] = {
	{ { "LEVEL", "ok, note or problem", SCOLS_JSON_STRING, false }, finding_level },
	{ { "SUBJECT", "module, key or a device", SCOLS_JSON_STRING, false },
	  finding_subject },
	{ { "FINDING", "what was found", SCOLS_JSON_STRING, false }, finding_text },
	{ { "CURE", "what to do about it", SCOLS_JSON_STRING, false }, finding_cure },
};

static const struct out_column *doctor_column(size_t i)
{
	return i < ARRAY_SIZE(doctor_columns) ? &doctor_columns[i].out : NULL;
}

static char *doctor_cell(size_t column, bool json, const void *row)
{
	(void)json;
	return doctor_columns[column].cell(row);
}

void help_doctor(void)
{
	out_help(doctor_column, "text with the cure below each finding");
}

static void print_findings(const struct findings *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		const struct finding *finding = &f->item[i];

		printf("%-8s %s: %s\n", level_names[finding->level], finding->subject,
		       finding->text);
		if (finding->cure)
			printf("         cure: %s\n", finding->cure);
	}
}

static int report(struct out *out, const struct findings *f)
{
	size_t i;
	int r;

	if (!out->count && !out->json) {
		print_findings(f);
		return 0;
	}
	if (!out->count)
		out_choose(out, NULL);
	r = out_begin(out);
	if (r)
		return r;
	for (i = 0; i < f->count && !r; i++)
		if (!out_row(out, NULL, doctor_cell, &f->item[i]))
			r = fail_no_memory();
	return out_end(out, r);
}

static void free_findings(struct findings *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		free(f->item[i].subject);
		free(f->item[i].text);
		free(f->item[i].cure);
	}
	free(f->item);
}

static bool any_problem(const struct findings *f)
{
	size_t i;

	for (i = 0; i < f->count; i++)
		if (f->item[i].level == LEVEL_PROBLEM)
			return true;
	return false;
}

static int take_doctor_option(int value, const char *arg, void *to)
{
	return out_take(to, value, arg);
}

int run_doctor(const struct command *cmd, int argc, char **argv)
{
	struct out out = {
		.command = cmd->name, .list = "findings", .column = doctor_column,
	};
	struct findings f = { 0 };
	int code;
	int r;

	r = parse_options(cmd, argc, argv, take_doctor_option, &out);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	dm_be_quiet();
	check_module(&f);
	check_signature(&f);
	check_key(&f);
	code = each_device(argv + optind, check_device, &f);
	r = f.no_memory ? fail_no_memory() : report(&out, &f);
	if (!code)
		code = r ? r : any_problem(&f) ? EXIT_FAILURE : 0;
	free_findings(&f);
	return code;
}
