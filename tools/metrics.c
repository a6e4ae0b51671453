// SPDX-License-Identifier: GPL-2.0-only
/*
 * prmpath metrics: the text format of Prometheus, version 0.0.4.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

/* What one sample is made of; @path is NULL in those of a device. */
struct sample {
	const struct prm_status *st;
	const struct prm_path *path;
};

static bool sample_number(const struct sample *s, size_t offset, double *value)
{
	*value = *(const uint32_t *)((const char *)s->st + offset);
	return true;
}

static bool sample_bool(const struct sample *s, size_t offset, double *value)
{
	*value = *(const bool *)((const char *)s->st + offset);
	return true;
}

static bool sample_active(const struct sample *s, size_t offset, double *value)
{
	(void)offset;
	*value = s->path->active;
	return true;
}

static bool sample_registered(const struct sample *s, size_t offset, double *value)
{
	(void)offset;
	*value = !strcmp(s->path->registration, "registered");
	return true;
}

static bool sample_usable(const struct sample *s, size_t offset, double *value)
{
	(void)offset;
	*value = path_usable(s->st, s->path);
	return true;
}

static bool sample_fails(const struct sample *s, size_t offset, double *value)
{
	(void)offset;
	*value = s->path->fails;
	return true;
}

/* Counters of the SCSI layer; @offset says which one. */
static const char * const sysfs_counters[] = {
	"iorequest_cnt", "ioerr_cnt", "iotmo_cnt",
};

static bool sample_sysfs(const struct sample *s, size_t offset, double *value)
{
	uint64_t counter;

	if (!scsi_counter(s->path->dev, sysfs_counters[offset], &counter))
		return false;
	*value = counter;
	return true;
}

#define MEMBER(field)	offsetof(struct prm_status, field)

static const struct metric {
	const char *name;
	const char *type;
	const char *help;
	bool per_path;
	bool (*value)(const struct sample *s, size_t offset, double *value);
	size_t offset;
} metrics[] = {
	{ "prmpath_gate_open", "gauge", "Whether writes may pass.", false, sample_bool,
	  MEMBER(gate_open) },
	{ "prmpath_opens", "gauge", "Opens of the device.", false, sample_number,
	  MEMBER(opens) },
	{ "prmpath_generation", "gauge", "PRgeneration last seen.", false, sample_number,
	  MEMBER(generation) },
	{ "prmpath_keys_own", "gauge", "Registrations with this host's key.", false,
	  sample_number, MEMBER(keys_own) },
	{ "prmpath_keys_foreign", "gauge", "Registrations with other keys.", false,
	  sample_number, MEMBER(keys_foreign) },
	{ "prmpath_queued", "gauge", "I/Os that wait in the target.", false, sample_number,
	  MEMBER(queued) },
	{ "prmpath_stale_cache", "gauge", "Whether pages from before the session may be left.",
	  false, sample_bool, MEMBER(stale_cache) },
	{ "prmpath_suspended", "gauge", "Whether the device is suspended.", false, sample_bool,
	  MEMBER(suspended) },
	{ "prmpath_events_total", "counter", "Events of the device.", false, sample_number,
	  MEMBER(event_nr) },
	{ "prmpath_path_active", "gauge", "Whether the path works.", true, sample_active, 0 },
	{ "prmpath_path_registered", "gauge", "Whether the path is registered.", true,
	  sample_registered, 0 },
	{ "prmpath_path_usable", "gauge", "Whether the path may carry I/O now.", true,
	  sample_usable, 0 },
	{ "prmpath_path_failures_total", "counter", "How often the path failed.", true,
	  sample_fails, 0 },
	{ "prmpath_path_commands_total", "counter", "Commands sent to the SCSI device.", true,
	  sample_sysfs, 0 },
	{ "prmpath_path_errors_total", "counter", "Commands that ended with an error.", true,
	  sample_sysfs, 1 },
	{ "prmpath_path_timeouts_total", "counter", "Commands that ran out of time.", true,
	  sample_sysfs, 2 },
};

static const char * const metric_states[] = {
	"off", "free", "foreign", "owner", "no_reserve", "retained", "releasing", "fenced",
	"unknown",
};

static void print_label(FILE *f, const char *name, const char *value)
{
	char *copy = strdup(value);
	const char *p;

	if (copy)
		make_utf8(copy);
	fprintf(f, "%s=\"", name);
	for (p = copy ? copy : "?"; *p; p++) {
		if (*p == '\n')
			fputs("\\n", f);
		else if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
	free(copy);
}

static void print_sample(FILE *f, const struct metric *m, const struct sample *s)
{
	double value;

	if (!m->value(s, m->offset, &value))
		return;
	fprintf(f, "%s{", m->name);
	print_label(f, "device", s->st->name);
	if (s->path) {
		fputc(',', f);
		print_label(f, "path", s->path->dev);
	}
	fprintf(f, "} %.0f\n", value);
}

static void print_metric(FILE *f, const struct metric *m, struct prm_status *const *st)
{
	size_t i;

	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
	for (; *st; st++) {
		if (!m->per_path)
			print_sample(f, m, &(struct sample){ *st, NULL });
		for (i = 0; m->per_path && i < (*st)->paths; i++)
			print_sample(f, m, &(struct sample){ *st, &(*st)->path[i] });
	}
}

/* One sample per state, of which one is 1. */
static void print_states(FILE *f, struct prm_status *const *st)
{
	size_t i;

	fputs("# HELP prmpath_state What the host knows about the reservation.\n"
	      "# TYPE prmpath_state gauge\n", f);
	for (; *st; st++) {
		for (i = 0; i < ARRAY_SIZE(metric_states); i++) {
			fputs("prmpath_state{", f);
			print_label(f, "device", (*st)->name);
			fprintf(f, ",state=\"%s\"} %d\n", metric_states[i],
				!strcmp(metric_states[i], state_name(*st)));
		}
	}
}

static void print_module(FILE *f)
{
	struct prm_ioc_version version;

	fputs("# HELP prmpath_module_info The loaded module.\n"
	      "# TYPE prmpath_module_info gauge\n", f);
	if (prm_module_version(&version))
		return;
	fputs("prmpath_module_info{", f);
	print_label(f, "release", version.release);
	fprintf(f, ",interface=\"%u\"} 1\n", version.abi);
}

/* A list that ends with NULL. */
struct status_list {
	struct prm_status **st;
	size_t count;
};

static int keep_status(struct prm_status *st, void *to)
{
	struct status_list *list = to;
	struct prm_status **more = reallocarray(list->st, list->count + 2, sizeof(*more));

	if (!more) {
		prm_status_free(st);
		return fail_no_memory();
	}
	list->st = more;
	more[list->count++] = st;
	more[list->count] = NULL;
	return 0;
}

static int print_metrics(FILE *f)
{
	struct prm_status *none = NULL;
	struct status_list list = { 0 };
	char *all = NULL;
	int code;
	size_t i;

	code = each_device(&all, keep_status, &list);
	print_module(f);
	print_states(f, list.st ? list.st : &none);
	for (i = 0; i < ARRAY_SIZE(metrics); i++)
		print_metric(f, &metrics[i], list.st ? list.st : &none);
	for (i = 0; i < list.count; i++)
		prm_status_free(list.st[i]);
	free(list.st);
	return code;
}

static int output_failed(const char *file)
{
	int err = errno;

	complain("metrics: %s: %s%s", file, strerrordesc_np(err),
		 exit_of_errno(err) == EXIT_PERMISSION ?
		 "; run it as root, or write to another folder" : "");
	return exit_of_errno(err) == EXIT_PERMISSION ? EXIT_PERMISSION : EXIT_FAILURE;
}

/* A reader sees the old file or the new one, and the old one if that fails. */
static int replace_file(const char *file)
{
	char *temporary = text_of("%s.XXXXXX", file);
	FILE *f = NULL;
	sigset_t old;
	bool bad;
	int fd;
	int r;

	if (!temporary)
		return fail_no_memory();
	/* Ctrl-C must not leave the temporary file. */
	block_ends(NULL, &old);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (!f) {
		r = output_failed(temporary);
		goto out;
	}
	r = print_metrics(f);
	bad = fchmod(fd, 0644) || fflush(f) || ferror(f);
	if (!r && (bad || rename(temporary, file)))
		r = output_failed(file);
	fclose(f);
	if (r)
		unlink(temporary);
out:
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(temporary);
	return r;
}

static int take_output(int value, const char *arg, void *to)
{
	(void)value;
	*(const char **)to = arg;
	return 0;
}

int run_metrics(const struct command *cmd, int argc, char **argv)
{
	const char *file = NULL;
	int r;

	r = parse_options(cmd, argc, argv, take_output, &file);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	if (optind < argc) {
		complain("metrics: '%s': expected options only", argv[optind]);
		return try_help();
	}
	dm_be_quiet();
	return file ? replace_file(file) : print_metrics(stdout);
}
