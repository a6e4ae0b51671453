/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the prmpath command share.
 */
#ifndef PRMPATH_COMMAND_H
#define PRMPATH_COMMAND_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libsmartcols/libsmartcols.h>

#include "libprmpath.h"

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* Exit statuses; --help and prmpath(8) tell what they mean. */
enum {
	EXIT_USAGE = 2,
	EXIT_BUSY,
	EXIT_IO,
	EXIT_NO_PR,
	EXIT_TIMEOUT,
	EXIT_PERMISSION,
	EXIT_NOT_PRMPATH,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
};

/*
 * Subcommands and their options: one table for parsing and for --help.
 */

struct option_row {
	int value;		/* what the parser reports; a letter is a short option */
	const char *name;
	const char *arg;	/* NULL: takes none */
	const char *help;
};

#define MAX_TABLES	4
#define MAX_OPTIONS	16

struct command {
	const char *name;
	const char *args;
	const char *summary;
	const struct option_row *option[MAX_TABLES];	/* each ends with a NULL name */
	int (*run)(const struct command *cmd, int argc, char **argv);
	void (*more_help)(void);	/* may be NULL */
};

extern const struct command commands[];
extern const size_t command_count;

/* Values of options that several subcommands have, or that have no letter. */
enum {
	/* Open options report 0x100 + the PRM_OPEN_* bit. */
	VALUE_OPEN_BITS = 0x100,
	VALUE_READ_ONLY = 0x200,
	VALUE_WWID,
	VALUE_KEY,
	VALUE_TYPE,
	VALUE_OPEN,
	VALUE_OPEN_RO,
	VALUE_SELECTOR,
	VALUE_FEATURE,
	VALUE_CHECK,
	VALUE_ONLY,
	VALUE_DRY_RUN,
	VALUE_DEFERRED,
	VALUE_UNREGISTER,
	VALUE_YES_DESTROY,
	VALUE_OUTPUT,
};

/* prmpath.c */
__attribute__((format(printf, 1, 2)))
void complain(const char *format, ...);
int try_help(void);
int fail_no_memory(void);
int exit_of_errno(int err);
int exit_of_error(const char *dev, const struct prm_error *err);
/*
 * Hand each option to @take. The words that are no options end up behind
 * optind. Return: 0; -1 after --help; else an exit status.
 */
int parse_options(const struct command *cmd, int argc, char **argv,
		  int (*take)(int value, const char *arg, void *to), void *to);
/* The same; then exactly one device has to be there, whose name is returned. */
int parse_device(const struct command *cmd, int argc, char **argv,
		 int (*take)(int value, const char *arg, void *to), void *to,
		 const char **dev);
/*
 * Hand the status of each of @devs to @each, which frees it; of all prmpath
 * devices if there is none. Goes on after a failure. Return: 0, or the exit
 * status of the first failure, after a complaint.
 */
int each_device(char **devs, int (*each)(struct prm_status *st, void *to), void *to);
/*
 * Block what ends us (Ctrl-C) while something is half done. @old is for
 * sigprocmask(SIG_SETMASK) afterwards; @ends, if not NULL, gets the signals.
 */
void block_ends(sigset_t *ends, sigset_t *old);
/* Whether something that was printed could not be written. */
bool lost_output(void);
__attribute__((format(printf, 1, 2)))
char *text_of(const char *format, ...);
void make_utf8(char *text);

/* klog.c: what the module says in the kernel log meanwhile */
void klog_begin(void);
void klog_tell(void);

/* output.c: tables and JSON */

struct out_column {
	const char *name;
	const char *help;
	int json;		/* SCOLS_JSON_* */
	bool right;
};

#define OUT_COLUMNS	40

struct out {
	const char *command;	/* for JSON's output_version */
	const char *list;	/* the name of JSON's array */
	const struct out_column *(*column)(size_t i);	/* NULL beyond the last */
	bool json;
	bool no_headings;
	bool tree;
	size_t shown[OUT_COLUMNS];
	size_t count;
	struct libscols_table *table;
};

/* Options J, n, o and O; others are not touched. */
int out_take(struct out *out, int value, const char *arg);
/* Choose columns by names; all of them if @list is NULL. */
int out_choose(struct out *out, const char *list);
int out_begin(struct out *out);
/*
 * Add a row; @cell returns an allocated text, or NULL for an empty cell.
 * Return: the row, or NULL without memory.
 */
struct libscols_line *out_row(struct out *out, struct libscols_line *parent,
			      char *(*cell)(size_t column, bool json, const void *row),
			      const void *row);
/* Print and forget. Return: @code, or EXIT_FAILURE if @code is 0 and it fails. */
int out_end(struct out *out, int code);
void out_help(const struct out_column *(*column)(size_t i), const char *defaults);
char *bool_cell(bool value, bool json);

/* scsi.c: SCSI disks in sysfs, and one command */

struct scsi_path {
	char name[32];		/* sdb */
	char dev[24];		/* 8:16 */
	char wwid[260];		/* designator of the LUN, in sysfs' form */
	char state[24];		/* of the SCSI device: running, offline ... */
	char access[32];	/* of its target port group; "" without ALUA */
	uint64_t sectors;
};

extern const char *prm_sysfs;

__attribute__((format(printf, 3, 4)))
bool sys_read(char *text, size_t size, const char *format, ...);
/* @word: sdb, 8:16 or a device node. Complains. Return: 0 or an exit status. */
int scsi_path_find(const char *word, struct scsi_path *path);
/* All paths to a LUN; @paths is to be freed. */
int scsi_paths_of(const char *wwid, struct scsi_path **paths, size_t *count);
/* A counter of the SCSI layer, such as ioerr_cnt, of the path major:minor. */
bool scsi_counter(const char *dev, const char *name, uint64_t *value);
bool scsi_wwid_same(const char *a, const char *b);
/* The dm name of who uses the path, or "" if nobody does. */
void scsi_path_user(const struct scsi_path *path, char *user, size_t size);

#define PR_READ_CAPABILITIES	2
#define PR_READ_FULL_STATUS	3

/* PERSISTENT RESERVE IN; -1 with errno, EOPNOTSUPP if the target has it not. */
int scsi_pr_in(const char *node, unsigned int action, uint8_t *data, size_t size,
	       size_t *got);

/* dm.c: what the command asks of device-mapper beyond the library */

int dm_create_table(const char *name, const char *uuid, uint64_t sectors,
		    const char *params);
int dm_swap_table(const char *name, uint64_t sectors, const char *params);
/* To be freed; NULL after a complaint, with an exit status in @code. */
char *dm_read_table(const char *name, uint64_t *sectors, int *code);
int dm_remove(const char *name, bool deferred);
void dm_be_quiet(void);

/* key.c */
bool parse_key(const char *word, uint64_t *key);
int host_key(uint64_t *key);
int run_key(const struct command *cmd, int argc, char **argv);
extern const char *prm_key_file;
extern const char *prm_key_program;

/* The others */
int run_open(const struct command *cmd, int argc, char **argv);
int run_hold(const struct command *cmd, int argc, char **argv);
int run_take(const struct command *cmd, int argc, char **argv);
int run_list(const struct command *cmd, int argc, char **argv);
int run_status(const struct command *cmd, int argc, char **argv);
int run_query(const struct command *cmd, int argc, char **argv);
int run_release(const struct command *cmd, int argc, char **argv);
int run_clear(const struct command *cmd, int argc, char **argv);
int run_create(const struct command *cmd, int argc, char **argv);
int run_add_path(const struct command *cmd, int argc, char **argv);
int run_drop_path(const struct command *cmd, int argc, char **argv);
int run_remove(const struct command *cmd, int argc, char **argv);
int run_doctor(const struct command *cmd, int argc, char **argv);
int run_metrics(const struct command *cmd, int argc, char **argv);
void help_list(void);
void help_status(void);
void help_query(void);
void help_doctor(void);
const char *state_name(const struct prm_status *st);
bool path_usable(const struct prm_status *st, const struct prm_path *path);

#endif
