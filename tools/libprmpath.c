// SPDX-License-Identifier: GPL-2.0-only
/*
 * libprmpath: extended opens by the module's control node (rule 2.2), the
 * status line of a prmpath target, its messages and events.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <libdevmapper.h>
#include <linux/dm-ioctl.h>

#include "libprmpath.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define CONTROL_PATH	"/dev/" PRM_CONTROL_NAME
#define DM_CONTROL_PATH	"/dev/mapper/control"

/* Set errno and, if somebody wants to know, the text. Always -1. */
__attribute__((format(printf, 3, 4)))
static int fail(struct prm_error *err, int code, const char *format, ...)
{
	va_list args;

	if (err) {
		err->code = code;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	errno = code;
	return -1;
}

static int fail_memory(struct prm_error *err)
{
	return fail(err, ENOMEM, "out of memory");
}

static const char *errno_text(int code)
{
	const char *text = strerrordesc_np(code);

	return text ? text : "unknown error";
}

/*
 * Extended opens
 */

static int open_control(void)
{
	int fd = open(CONTROL_PATH, O_RDONLY | O_CLOEXEC);

	/* Not to be taken for a device path that does not exist. */
	if (fd < 0 && (errno == ENOENT || errno == ENXIO))
		errno = ENODEV;
	return fd;
}

static void close_keep_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

int prm_open(const char *path, int flags, uint32_t ext)
{
	struct prm_ioc_open request = { .options = ext };
	int control;

	if ((flags & (O_CREAT | O_PATH)) || (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EINVAL;
		return -1;
	}
	/*
	 * The control node first: closing a device that was open for writing
	 * makes udev probe it again, so do not open it in vain.
	 */
	control = open_control();
	if (control < 0)
		return -1;
	request.fd = open(path, flags | O_NONBLOCK);
	if (request.fd < 0)
		goto close_control;
	if (ioctl(control, PRM_IOC_OPEN, &request) < 0)
		goto close_device;
	/* O_NONBLOCK has done its work; the caller gets the flags it named. */
	if (!(flags & O_NONBLOCK) &&
	    fcntl(request.fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		goto close_device;
	close(control);
	return request.fd;

close_device:
	close_keep_errno(request.fd);
close_control:
	close_keep_errno(control);
	return -1;
}

int prm_module_version(struct prm_ioc_version *version)
{
	int control = open_control();
	int r;

	if (control < 0)
		return -1;
	memset(version, 0, sizeof(*version));
	r = ioctl(control, PRM_IOC_VERSION, version);
	close_keep_errno(control);
	if (r < 0)
		return -1;
	version->release[sizeof(version->release) - 1] = '\0';
	return 0;
}

#define SEE_LIST	"'prmpath list' shows those that there are"

static const struct {
	int err;
	const char *text;
} advice[] = {
	{ EBUSY,
	  "held by another host, fenced, or opened with 'single'; see 'prmpath status'" },
	{ EIO,
	  "no path could answer or be registered, or the storage has no PREEMPT AND ABORT; "
	  "see the kernel log and 'prmpath status'" },
	{ EOPNOTSUPP,
	  "no SCSI-3 persistent reservations (then 'no_reserve' works), or not of this pr_type, "
	  "or no pr_key in the table; the kernel log says which" },
	{ ETIMEDOUT,
	  "the paths did not answer within the device's pr_timeout; check them, then try again" },
	{ EINVAL,
	  "options that exclude each other, or that the loaded module does not know" },
	{ EPERM,
	  "this needs CAP_SYS_ADMIN or a device opened for writing; run it as root" },
	{ EACCES,
	  "no permission for the device or for " CONTROL_PATH "; run it as root" },
	{ ENOTTY,
	  "not a prmpath device; " SEE_LIST },
	{ ENOTBLK,
	  "not a block device: expected a prmpath device; " SEE_LIST },
	{ ENODEV,
	  "no such device, or the module dm-prmpath is not loaded: try 'modprobe dm-prmpath'" },
	{ ENOENT,
	  "no such device; " SEE_LIST },
	{ ENXIO,
	  "no such device-mapper device; " SEE_LIST },
};

const char *prm_strerror(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advice); i++)
		if (advice[i].err == err)
			return advice[i].text;
	return errno_text(err);
}

/*
 * Open options
 */

static const struct {
	uint32_t bit;
	const char *name;
} option_names[] = {
	{ PRM_OPEN_FORCED, "forced" },
	{ PRM_OPEN_RETAIN, "retain" },
	{ PRM_OPEN_NO_RESERVE, "no_reserve" },
	{ PRM_OPEN_SINGLE, "single" },
	{ PRM_OPEN_BYPASS, "bypass" },
};

#define OPTION_WORDS	"forced, retain, no_reserve, single, bypass or default"

static uint32_t option_bit(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(option_names); i++)
		if (strlen(option_names[i].name) == len &&
		    !memcmp(option_names[i].name, word, len))
			return option_names[i].bit;
	return 0;
}

int prm_options_scan(const char *text, uint32_t *options,
		     struct prm_error *err)
{
	const char *word = text;
	uint32_t bits = 0;

	if (!strcmp(text, "default")) {
		*options = 0;
		return 0;
	}
	for (;;) {
		size_t len = strcspn(word, ",");
		uint32_t bit = option_bit(word, len);

		if (!len)
			return fail(err, EINVAL, "empty open option in '%.60s': expected %s",
				    text, OPTION_WORDS);
		if (!bit && len == strlen("default") &&
		    !memcmp(word, "default", len))
			return fail(err, EINVAL, "open options '%.60s': default stands alone",
				    text);
		if (!bit)
			return fail(err, EINVAL, "unknown open option '%.*s': expected %s",
				    (int)(len > 60 ? 60 : len), word,
				    OPTION_WORDS);
		if (bits & bit)
			return fail(err, EINVAL, "open option '%.*s' given twice",
				    (int)len, word);
		bits |= bit;
		if (!word[len])
			break;
		word += len + 1;
	}
	if ((bits & PRM_OPEN_BYPASS) && bits != PRM_OPEN_BYPASS)
		return fail(err, EINVAL, "open options '%.60s': bypass stands alone",
			    text);
	*options = bits;
	return 0;
}

char *prm_options_format(uint32_t options, char *buf, size_t size)
{
	const char *comma = "";
	size_t used = 0;
	size_t i;

	if (!size)
		return buf;
	snprintf(buf, size, "%s", options ? "" : "default");
	for (i = 0; i < ARRAY_SIZE(option_names) && used < size; i++) {
		if (!(options & option_names[i].bit))
			continue;
		used += snprintf(buf + used, size - used, "%s%s", comma,
				 option_names[i].name);
		comma = ",";
	}
	options &= ~PRM_OPEN_ALL;
	if (options && used < size)
		snprintf(buf + used, size - used, "%s0x%x", comma, options);
	return buf;
}

/*
 * The status line
 */

struct scan {
	char *next;
	struct prm_error *err;
};

static char *scan_word(struct scan *s, const char *what)
{
	char *word;

	s->next += strspn(s->next, " \t\n");
	if (!*s->next) {
		fail(s->err, EBADMSG, "the status line ends where %s was expected",
		     what);
		return NULL;
	}
	word = s->next;
	s->next += strcspn(s->next, " \t\n");
	if (*s->next)
		*s->next++ = '\0';
	return word;
}

/* Digits only: no sign, no blank, and for base 10 no leading zero. */
static bool to_number(const char *word, int base, uint64_t max, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)word[0]))
		return false;
	if (base == 10 && word[0] == '0' && word[1])
		return false;
	errno = 0;
	*value = strtoull(word, &end, base);
	return !errno && !*end && *value <= max;
}

static int scan_number(struct scan *s, const char *what, uint32_t *value)
{
	const char *word = scan_word(s, what);
	uint64_t wide;

	if (!word)
		return -1;
	if (!to_number(word, 10, UINT32_MAX, &wide))
		return fail(s->err, EBADMSG, "status: '%.60s' where %s was expected",
			    word, what);
	*value = wide;
	return 0;
}

/*
 * A number of things that follow, each of at least @least words. What cannot
 * fit in the rest of the line is refused before anything is allocated for it.
 */
static int scan_count(struct scan *s, const char *what, unsigned int least,
		      uint32_t *count)
{
	if (scan_number(s, what, count))
		return -1;
	if (*count > (strlen(s->next) + 1) / (2 * least))
		return fail(s->err, EBADMSG, "status: %s is %u, the line is too short for that",
			    what, *count);
	return 0;
}

static bool decode_u32(const char *value, void *field)
{
	uint64_t wide;

	if (!to_number(value, 10, UINT32_MAX, &wide))
		return false;
	*(uint32_t *)field = wide;
	return true;
}

static bool decode_u64(const char *value, void *field)
{
	return to_number(value, 0, UINT64_MAX, field);
}

static bool decode_bool(const char *value, void *field)
{
	*(bool *)field = value[0] == '1';
	return (value[0] == '0' || value[0] == '1') && !value[1];
}

static bool decode_gate(const char *value, void *field)
{
	*(bool *)field = !strcmp(value, "open");
	return *(bool *)field || !strcmp(value, "closed");
}

/* A newer module may know more options: what is unknown here is left out. */
static bool decode_options(const char *value, void *field)
{
	uint32_t *bits = field;
	size_t len;

	for (;;) {
		len = strcspn(value, ",");
		if (!len)
			return false;
		*bits |= option_bit(value, len);
		if (!value[len])
			return true;
		value += len + 1;
	}
}

static const char * const state_names[] = {
	[PRM_STATE_OFF]		= "off",
	[PRM_STATE_FREE]	= "free",
	[PRM_STATE_FOREIGN]	= "foreign",
	[PRM_STATE_OWNER]	= "owner",
	[PRM_STATE_NO_RESERVE]	= "no_reserve",
	[PRM_STATE_RETAINED]	= "retained",
	[PRM_STATE_RELEASING]	= "releasing",
	[PRM_STATE_FENCED]	= "fenced",
	[PRM_STATE_UNKNOWN]	= "unknown",
};

static bool decode_state(const char *value, void *field)
{
	enum prm_state *state = field;
	size_t i;

	*state = PRM_STATE_OTHER;
	for (i = PRM_STATE_OFF; i < ARRAY_SIZE(state_names); i++)
		if (!strcmp(value, state_names[i]))
			*state = i;
	return *value;
}

/* The holder takes three members: they are filled in from the words later. */
static bool decode_holder(const char *value, void *field)
{
	enum prm_holder *holder = field;
	uint64_t key;

	if (!strcmp(value, "none")) {
		*holder = PRM_HOLDER_NONE;
		return true;
	}
	if (!strcmp(value, "own") || !strncmp(value, "own:", 4)) {
		*holder = PRM_HOLDER_OWN;
		return value[3] == '\0' || value[4];
	}
	*holder = PRM_HOLDER_FOREIGN;
	return !strcmp(value, "foreign") ||
	       (!strncmp(value, "foreign:", 8) && decode_u64(value + 8, &key));
}

static const struct known_word {
	const char *name;
	bool (*decode)(const char *value, void *field);
	size_t offset;
	const char *expected;
} known_words[] = {
#define WORD(name, how, member, expected)				\
	{ name, decode_##how, offsetof(struct prm_status, member), expected }
	WORD("pr", u32, pr, "a number"),
	WORD("state", state, state, "a state"),
	WORD("key", u64, key, "a key"),
	WORD("type", u32, type, "a number"),
	WORD("holder", holder, holder, "none, own[:PATH] or foreign[:KEY]"),
	WORD("gen", u32, generation, "a number"),
	WORD("opens", u32, opens, "a number"),
	WORD("options", options, options, "open options"),
	WORD("gate", gate, gate_open, "open or closed"),
	WORD("open", options, open, "open options"),
	WORD("open_ro", options, open_ro, "open options"),
	WORD("keys_own", u32, keys_own, "a number"),
	WORD("keys_foreign", u32, keys_foreign, "a number"),
	WORD("stale_cache", bool, stale_cache, "0 or 1"),
#undef WORD
};

static int decode_word(struct prm_status *st, const struct prm_word *w,
		       struct prm_error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known_words); i++) {
		const struct known_word *k = &known_words[i];

		if (strcmp(k->name, w->name))
			continue;
		if (!k->decode(w->value, (char *)st + k->offset))
			return fail(err, EBADMSG, "status: '%s=%.60s' where %s was expected",
				    w->name, w->value, k->expected);
	}
	return 0;
}

static int scan_pr_word(struct scan *s, struct prm_status *st)
{
	struct prm_word *w = &st->word[st->words];
	char *text = scan_word(s, "name=value");
	char *value;

	if (!text)
		return -1;
	value = strchr(text, '=');
	if (value)
		*value++ = '\0';
	if (!*text)
		return fail(s->err, EBADMSG, "status: '=%.60s' where name=value was expected",
			    value);
	if (prm_status_word(st, text))
		return fail(s->err, EBADMSG, "status: '%.60s' twice", text);
	w->name = strdup(text);
	w->value = strdup(value ? value : "");
	st->words++;
	if (!w->name || !w->value)
		return fail_memory(s->err);
	return decode_word(st, w, s->err);
}

static int finish_holder(struct prm_status *st, struct prm_error *err)
{
	const char *value = prm_status_word(st, "holder");

	if (!value)
		return 0;
	if (!strncmp(value, "own:", 4)) {
		st->holder_path = strdup(value + 4);
		return st->holder_path ? 0 : fail_memory(err);
	}
	if (!strncmp(value, "foreign:", 8))
		decode_u64(value + 8, &st->holder_key);
	return 0;
}

static int scan_pr_words(struct scan *s, struct prm_status *st)
{
	uint32_t count;

	if (scan_count(s, "the number of status words", 1, &count))
		return -1;
	if (count < 2)
		return fail(s->err, EBADMSG, "status: %u words, at least 2 were expected",
			    count);
	if (scan_number(s, "the number of queued bios", &st->queued) ||
	    scan_number(s, "the number of group inits", &st->group_inits))
		return -1;
	count -= 2;
	st->word = calloc(count + 1, sizeof(*st->word));
	if (!st->word)
		return fail_memory(s->err);
	while (count--)
		if (scan_pr_word(s, st))
			return -1;
	if (!prm_status_word(st, "state")) {
		if (st->pr)
			return fail(s->err, EBADMSG, "status: pr=%u without a state",
				    st->pr);
		st->state = PRM_STATE_OFF;
	}
	return finish_holder(st, s->err);
}

static int scan_hw_words(struct scan *s, struct prm_status *st)
{
	uint32_t count;
	char *word;

	if (scan_count(s, "the number of hardware handler words", 1, &count))
		return -1;
	st->hw = calloc(count + 1, sizeof(*st->hw));
	if (!st->hw)
		return fail_memory(s->err);
	while (count--) {
		word = scan_word(s, "a hardware handler word");
		if (!word)
			return -1;
		st->hw[st->hws] = strdup(word);
		if (!st->hw[st->hws++])
			return fail_memory(s->err);
	}
	return 0;
}

static int skip_words(struct scan *s, uint32_t count, const char *what)
{
	while (count--)
		if (!scan_word(s, what))
			return -1;
	return 0;
}

/* One of the letters in @letters. */
static int scan_letter(struct scan *s, const char *letters, char *letter)
{
	const char *word = scan_word(s, letters);

	if (!word)
		return -1;
	if (word[1] || !isupper((unsigned char)word[0]) ||
	    !strchr(letters, word[0]))
		return fail(s->err, EBADMSG, "status: '%.60s' where %s was expected",
			    word, letters);
	*letter = word[0];
	return 0;
}

static int scan_path(struct scan *s, struct prm_path *p, uint32_t words)
{
	const char *word = scan_word(s, "a path");
	unsigned int major;
	unsigned int minor;
	char letter;
	int end = 0;

	if (!word)
		return -1;
	if (!isdigit((unsigned char)word[0]) ||
	    sscanf(word, "%9u:%9u%n", &major, &minor, &end) != 2 || word[end])
		return fail(s->err, EBADMSG, "status: '%.60s' where major:minor was expected",
			    word);
	p->dev = strdup(word);
	if (!p->dev)
		return fail_memory(s->err);
	if (scan_letter(s, "A or F", &letter) ||
	    scan_number(s, "a path's failures", &p->fails))
		return -1;
	p->active = letter == 'A';
	word = "";
	/* The selector's words come first, as dm-multipath has them. */
	if (words) {
		if (skip_words(s, words - 1, "a path's word"))
			return -1;
		word = scan_word(s, "a path's registration");
		if (!word)
			return -1;
	}
	p->registration = strdup(word);
	return p->registration ? 0 : fail_memory(s->err);
}

static int scan_group(struct scan *s, struct prm_status *st, uint32_t group)
{
	struct prm_path *more;
	uint32_t selector_words;
	uint32_t path_words;
	uint32_t paths;
	char state;

	if (scan_letter(s, "A, E or D", &state) ||
	    scan_count(s, "the number of selector words", 1, &selector_words) ||
	    skip_words(s, selector_words, "a selector word") ||
	    scan_count(s, "the number of paths", 3, &paths) ||
	    scan_number(s, "the number of words per path", &path_words))
		return -1;
	more = reallocarray(st->path, st->paths + paths + 1, sizeof(*more));
	if (!more)
		return fail_memory(s->err);
	st->path = more;
	memset(more + st->paths, 0, (paths + 1) * sizeof(*more));
	while (paths--) {
		struct prm_path *p = &st->path[st->paths++];

		p->group = group;
		p->group_state = state;
		if (scan_path(s, p, path_words))
			return -1;
	}
	return 0;
}

static int scan_groups(struct scan *s, struct prm_status *st)
{
	uint32_t group;

	if (scan_count(s, "the number of groups", 4, &st->groups) ||
	    scan_number(s, "the current group", &st->current_group))
		return -1;
	if (st->current_group > st->groups)
		return fail(s->err, EBADMSG, "status: current group %u of %u",
			    st->current_group, st->groups);
	for (group = 1; group <= st->groups; group++)
		if (scan_group(s, st, group))
			return -1;
	s->next += strspn(s->next, " \t\n");
	if (*s->next)
		return fail(s->err, EBADMSG, "status: '%.60s' after the last path",
			    s->next);
	return 0;
}

struct prm_status *prm_status_parse(const char *line, struct prm_error *err)
{
	struct prm_status *st = calloc(1, sizeof(*st));
	char *copy = strdup(line);
	struct scan s = { .next = copy, .err = err };

	if (!st || !copy) {
		fail_memory(err);
		goto bad;
	}
	if (scan_pr_words(&s, st) || scan_hw_words(&s, st) ||
	    scan_groups(&s, st))
		goto bad;
	free(copy);
	return st;

bad:
	free(copy);
	prm_status_free(st);
	return NULL;
}

const char *prm_status_word(const struct prm_status *st, const char *name)
{
	size_t i;

	for (i = 0; i < st->words; i++)
		if (!strcmp(st->word[i].name, name))
			return st->word[i].value;
	return NULL;
}

void prm_status_free(struct prm_status *st)
{
	int saved = errno;
	size_t i;

	if (!st)
		return;
	for (i = 0; i < st->words; i++) {
		free(st->word[i].name);
		free(st->word[i].value);
	}
	for (i = 0; i < st->hws; i++)
		free(st->hw[i]);
	for (i = 0; i < st->paths; i++) {
		free(st->path[i].dev);
		free(st->path[i].registration);
		free(st->path[i].answer);
		free(st->path[i].sense);
	}
	free(st->word);
	free(st->hw);
	free(st->path);
	free(st->holder_path);
	free(st->name);
	free(st->uuid);
	free(st);
	errno = saved;
}

/*
 * device-mapper
 */

/*
 * libdevmapper does not say why it did not get as far as the ioctl. Always
 * -1, like fail().
 */
static int fail_no_ioctl(struct prm_error *err)
{
	int fd = open(DM_CONTROL_PATH, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return fail(err, EIO, "device-mapper cannot be used");
	}
	if (errno == EACCES || errno == EPERM)
		return fail(err, errno, "no permission to ask device-mapper; run it as root");
	return fail(err, ENODEV, "no device-mapper: " DM_CONTROL_PATH ": %s; try 'modprobe dm-mod'",
		    errno_text(errno));
}

static int fail_ioctl(struct prm_error *err, int code, const char *what)
{
	switch (code) {
	case 0:
		return fail_no_ioctl(err);
	case ENXIO:
		return fail(err, code, "%s", prm_strerror(code));
	case EACCES:
	case EPERM:
		return fail(err, code, "no permission to ask device-mapper; run it as root");
	}
	return fail(err, code, "device-mapper cannot read %s: %s", what,
		    errno_text(code));
}

static struct dm_task *create_task(int type, struct prm_error *err)
{
	struct dm_task *task = dm_task_create(type);

	if (!task)
		fail_no_ioctl(err);
	return task;
}

static int run_task(struct dm_task *task, const char *what,
		    struct prm_error *err)
{
	if (dm_task_run(task))
		return 0;
	return fail_ioctl(err, dm_task_get_errno(task), what);
}

/* A word with a slash is a device node, any other a device-mapper name. */
static int name_task(struct dm_task *task, const char *dev,
		     struct prm_error *err)
{
	struct stat sb;

	if (!*dev)
		return fail(err, ENXIO, "empty device name: expected a device; " SEE_LIST);
	if (!strchr(dev, '/')) {
		if (dm_task_set_name(task, dev))
			return 0;
		return fail(err, ENXIO, "not a device-mapper name: expected a device; " SEE_LIST);
	}
	if (stat(dev, &sb))
		return fail(err, errno, "%s", prm_strerror(errno));
	if (!S_ISBLK(sb.st_mode))
		return fail(err, ENOTBLK, "%s", prm_strerror(ENOTBLK));
	if (dm_task_set_major(task, major(sb.st_rdev)) &&
	    dm_task_set_minor(task, minor(sb.st_rdev)))
		return 0;
	return fail_memory(err);
}

/* Both names of the module's target; dm-multipath's own has no PR words. */
static bool is_ours(const char *type, const char *status)
{
	if (!strcmp(type, "prmpath"))
		return true;
	return !strcmp(type, "multipath") && strstr(status, " pr=");
}

/* The status line of the prmpath target in @task's answer. */
static const char *target_line(struct dm_task *task, bool *multipath,
			       struct prm_error *err)
{
	const char *other = NULL;
	void *next = NULL;
	uint64_t start;
	uint64_t length;
	char *params;
	char *type;

	do {
		next = dm_get_next_target(task, next, &start, &length, &type,
					  &params);
		if (type && params && is_ours(type, params)) {
			if (multipath)
				*multipath = !strcmp(type, "multipath");
			return params;
		}
		if (type && !other)
			other = type;
	} while (next);
	if (other)
		fail(err, ENOTTY, "not a prmpath device: its target is '%s'; " SEE_LIST,
		     other);
	else
		fail(err, ENOTTY, "not a prmpath device: it has no table; " SEE_LIST);
	return NULL;
}

static int describe(struct prm_status *st, struct dm_task *task,
		    struct prm_error *err)
{
	const char *uuid = dm_task_get_uuid(task);
	const char *name = dm_task_get_name(task);
	struct dm_info info;

	if (!dm_task_get_info(task, &info))
		return fail(err, EIO, "device-mapper gave no information");
	st->major = info.major;
	st->minor = info.minor;
	st->suspended = info.suspended;
	st->event_nr = info.event_nr;
	st->name = strdup(name ? name : "");
	st->uuid = strdup(uuid ? uuid : "");
	return st->name && st->uuid ? 0 : fail_memory(err);
}

/* To libdevmapper the status of a name that does not exist is no error. */
static int check_exists(struct dm_task *task, struct prm_error *err)
{
	struct dm_info info;

	if (dm_task_get_info(task, &info) && info.exists)
		return 0;
	return fail(err, ENXIO, "%s", prm_strerror(ENXIO));
}

static struct dm_task *status_task(const char *dev, struct prm_error *err)
{
	struct dm_task *task = create_task(DM_DEVICE_STATUS, err);

	if (!task)
		return NULL;
	/* Neither may wait for the device: it may have no path. */
	if (!dm_task_no_flush(task) || !dm_task_no_open_count(task)) {
		fail_memory(err);
		goto destroy;
	}
	if (!name_task(task, dev, err) && !run_task(task, dev, err) &&
	    !check_exists(task, err))
		return task;
destroy:
	dm_task_destroy(task);
	return NULL;
}

struct prm_status *prm_status_get(const char *dev, struct prm_error *err)
{
	struct dm_task *task = status_task(dev, err);
	struct prm_status *st = NULL;
	bool multipath = false;
	const char *line;
	int saved;

	if (!task)
		return NULL;
	line = target_line(task, &multipath, err);
	if (line)
		st = prm_status_parse(line, err);
	if (st)
		st->multipath = multipath;
	if (st && describe(st, task, err)) {
		prm_status_free(st);
		st = NULL;
	}
	saved = errno;
	dm_task_destroy(task);
	errno = saved;
	return st;
}

static bool is_prmpath(const char *name)
{
	struct dm_task *task = status_task(name, NULL);
	bool yes;

	/* It went away since it was listed. */
	if (!task)
		return false;
	yes = target_line(task, NULL, NULL);
	dm_task_destroy(task);
	return yes;
}

static int add_name(char ***names, size_t *count, const char *name)
{
	char **more = reallocarray(*names, *count + 2, sizeof(*more));

	if (!more)
		return -1;
	*names = more;
	more[*count] = strdup(name);
	more[*count + 1] = NULL;
	return more[(*count)++] ? 0 : -1;
}

/* device-mapper's list: each entry says how far off the next one is. */
static int collect(const struct dm_names *entry, char ***names)
{
	size_t count = 0;

	/* An empty list is one entry of device 0. */
	while (entry && entry->dev) {
		if (is_prmpath(entry->name) &&
		    add_name(names, &count, entry->name))
			return -1;
		if (!entry->next)
			break;
		entry = (const void *)((const char *)entry + entry->next);
	}
	return 0;
}

char **prm_names(struct prm_error *err)
{
	struct dm_task *task = create_task(DM_DEVICE_LIST, err);
	char **names;
	int saved;

	if (!task)
		return NULL;
	names = calloc(1, sizeof(*names));
	if (!names) {
		fail_memory(err);
		goto bad;
	}
	if (run_task(task, "the list of devices", err))
		goto bad;
	if (collect(dm_task_get_names(task), &names)) {
		fail_memory(err);
		goto bad;
	}
	dm_task_destroy(task);
	return names;

bad:
	saved = errno;
	dm_task_destroy(task);
	prm_names_free(names);
	errno = saved;
	return NULL;
}

void prm_names_free(char **names)
{
	char **name;

	for (name = names; name && *name; name++)
		free(*name);
	free(names);
}

/*
 * Messages
 */

static int fail_message(struct prm_error *err, int code, const char *message)
{
	int len = strcspn(message, " ");

	switch (code) {
	case 0:
	case EACCES:
	case EPERM:
		return fail_ioctl(err, code, message);
	case ENXIO:
		return fail(err, code, "%s", prm_strerror(code));
	case EINVAL:
		return fail(err, code, "the module refuses '%s'; the kernel log says why",
			    message);
	}
	return fail(err, code, "%.*s: %s", len, message, prm_strerror(code));
}

static int run_message(struct dm_task *task, const char *dev,
		       const char *message, char **answer,
		       struct prm_error *err)
{
	const char *text;

	if (name_task(task, dev, err))
		return -1;
	if (!dm_task_set_sector(task, 0) || !dm_task_set_message(task, message))
		return fail_memory(err);
	if (!dm_task_run(task))
		return fail_message(err, dm_task_get_errno(task), message);
	if (!answer)
		return 0;
	text = dm_task_get_message_response(task);
	*answer = strdup(text ? text : "");
	return *answer ? 0 : fail_memory(err);
}

int prm_message(const char *dev, const char *message, char **answer,
		struct prm_error *err)
{
	struct prm_status *st = prm_status_get(dev, err);
	struct dm_task *task;
	int saved;
	int r;

	if (!st)
		return -1;
	prm_status_free(st);
	task = create_task(DM_DEVICE_TARGET_MSG, err);
	if (!task)
		return -1;
	r = run_message(task, dev, message, answer, err);
	saved = errno;
	dm_task_destroy(task);
	errno = saved;
	return r;
}

/*
 * How the last command on each path ended
 */

/* A copy of the value of name=value, or NULL if @words has none. */
static char *copy_word(const char *words, const char *name)
{
	const char *value = strstr(words, name);

	return value ? strndup(value + strlen(name),
			       strcspn(value + strlen(name), " ")) : NULL;
}

/* Lines of "path=8:16 answer=lost sense=00/00/00"; others are left out. */
static void take_answers(struct prm_status *st, char *text)
{
	char *next = NULL;
	char *line;
	char *dev;
	size_t i;

	for (line = strtok_r(text, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next)) {
		dev = copy_word(line, "path=");
		for (i = 0; dev && i < st->paths; i++) {
			if (strcmp(dev, st->path[i].dev) || st->path[i].answer)
				continue;
			st->path[i].answer = copy_word(line, " answer=");
			st->path[i].sense = copy_word(line, " sense=");
		}
		free(dev);
	}
}

int prm_answers_get(struct prm_status *st, struct prm_error *err)
{
	char *answer;

	if (prm_message(st->name, "path_answers", &answer, err))
		return -1;
	take_answers(st, answer);
	free(answer);
	return 0;
}

/*
 * The reservation
 */

static const struct {
	uint32_t type;
	const char *name;
} type_names[] = {
	{ 1, "write-exclusive" },
	{ 3, "exclusive-access" },
	{ 5, "write-exclusive-registrants-only" },
	{ 6, "exclusive-access-registrants-only" },
	{ 7, "write-exclusive-all-registrants" },
	{ 8, "exclusive-access-all-registrants" },
};

static int take_generation(struct prm_reservation *r, const char *value)
{
	return decode_u32(value, &r->generation) ? 0 : -EBADMSG;
}

static int take_type(struct prm_reservation *r, const char *value)
{
	size_t i;

	r->held = strcmp(value, "none");
	if (!r->held)
		return 0;
	for (i = 0; i < ARRAY_SIZE(type_names); i++)
		if (!strcmp(value, type_names[i].name))
			r->type = type_names[i].type;
	free(r->type_name);
	r->type_name = strdup(value);
	return r->type_name ? 0 : -ENOMEM;
}

static int take_holder(struct prm_reservation *r, const char *value)
{
	return decode_u64(value, &r->holder) ? 0 : -EBADMSG;
}

static int take_own(struct prm_reservation *r, const char *value)
{
	return decode_u32(value, &r->own) ? 0 : -EBADMSG;
}

static int take_foreign(struct prm_reservation *r, const char *value)
{
	return decode_u32(value, &r->foreign) ? 0 : -EBADMSG;
}

static int take_key(struct prm_reservation *r, const char *value)
{
	uint64_t *more = reallocarray(r->key, r->keys + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	r->key = more;
	return decode_u64(value, &more[r->keys++]) ? 0 : -EBADMSG;
}

static const struct {
	const char *name;
	int (*take)(struct prm_reservation *r, const char *value);
	bool needed;
} answer_lines[] = {
	{ "generation", take_generation, true },
	{ "reservation", take_type, true },
	{ "reservation_key", take_holder, true },
	{ "keys_own", take_own, true },
	{ "keys_foreign", take_foreign, true },
	{ "key", take_key, false },
};

/* A newer module may say more: lines that are unknown here are left out. */
static int take_answer_line(struct prm_reservation *r, char *line,
			    unsigned int *seen, struct prm_error *err)
{
	char *value = strchr(line, '=');
	size_t i;
	int code;

	if (!value)
		return fail(err, EBADMSG, "pr_status: '%.60s' where name=value was expected",
			    line);
	*value++ = '\0';
	for (i = 0; i < ARRAY_SIZE(answer_lines); i++) {
		if (strcmp(line, answer_lines[i].name))
			continue;
		*seen |= 1u << i;
		code = answer_lines[i].take(r, value);
		if (code == -ENOMEM)
			return fail_memory(err);
		if (code)
			return fail(err, -code, "pr_status: '%s=%.60s' where a number was expected",
				    line, value);
	}
	return 0;
}

static int take_answer(struct prm_reservation *r, char *text,
		       struct prm_error *err)
{
	unsigned int seen = 0;
	char *next = NULL;
	char *line;
	size_t i;

	for (line = strtok_r(text, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next))
		if (take_answer_line(r, line, &seen, err))
			return -1;
	for (i = 0; i < ARRAY_SIZE(answer_lines); i++)
		if (answer_lines[i].needed && !(seen & (1u << i)))
			return fail(err, EBADMSG, "pr_status: no '%s=' in the answer",
				    answer_lines[i].name);
	return 0;
}

struct prm_reservation *prm_reservation_parse(const char *text,
					      struct prm_error *err)
{
	struct prm_reservation *r = calloc(1, sizeof(*r));
	char *copy = strdup(text);
	int saved;

	if (!r || !copy) {
		fail_memory(err);
		goto bad;
	}
	if (!take_answer(r, copy, err)) {
		free(copy);
		return r;
	}
bad:
	saved = errno;
	free(copy);
	prm_reservation_free(r);
	errno = saved;
	return NULL;
}

void prm_reservation_free(struct prm_reservation *r)
{
	if (!r)
		return;
	free(r->type_name);
	free(r->key);
	free(r);
}

/*
 * With the types of all registrants the holder's key reads 0: whoever is
 * registered has the LUN. A twin is another host with our key: only the
 * module's state tells.
 */
static enum prm_owner owner_of(const struct prm_reservation *r,
			       const struct prm_status *st)
{
	if (!r->held)
		return PRM_OWNER_NOBODY;
	if (st->state == PRM_STATE_FOREIGN || st->state == PRM_STATE_FENCED)
		return PRM_OWNER_OTHER;
	if (r->holder ? r->holder == st->key : r->own)
		return PRM_OWNER_US;
	return PRM_OWNER_OTHER;
}

static struct prm_reservation *look(const char *dev, struct prm_error *err)
{
	struct prm_reservation *r = NULL;
	char *answer;

	if (prm_message(dev, "pr_status", &answer, err))
		return NULL;
	if (*answer)
		r = prm_reservation_parse(answer, err);
	else
		fail(err, EIO, "no answer of the storage; check the paths with 'prmpath status'");
	free(answer);
	return r;
}

struct prm_reservation *prm_reservation_get(const char *dev,
					    struct prm_error *err)
{
	struct prm_reservation *r;
	struct prm_status *st = prm_status_get(dev, err);

	if (!st)
		return NULL;
	if (!st->pr) {
		prm_status_free(st);
		fail(err, EOPNOTSUPP, "the table has no pr_key, so there is no reservation");
		return NULL;
	}
	prm_status_free(st);
	r = look(dev, err);
	if (!r)
		return NULL;
	/* Its state is that after the look. */
	st = prm_status_get(dev, err);
	if (!st) {
		prm_reservation_free(r);
		return NULL;
	}
	r->owner = owner_of(r, st);
	prm_status_free(st);
	return r;
}

/*
 * Events
 */

int prm_events_open(void)
{
	return open(DM_CONTROL_PATH, O_RDWR | O_CLOEXEC);
}

/* libdevmapper has this too, for a descriptor that it does not hand out. */
int prm_events_arm(int fd)
{
	struct dm_ioctl dmi = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(dmi),
		.data_start = sizeof(dmi),
	};

	return ioctl(fd, DM_DEV_ARM_POLL, &dmi) < 0 ? -1 : 0;
}
