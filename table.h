/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of a table line and of open options: parsing and printing.
 * Pure C over argc/argv, so that it is tested and fuzzed in user space.
 *
 *	<#features> <feature>* <#hwhandler> <word>* <#groups> <initial group>
 *	{ <selector> <#selector words> <word>* <#paths> <#path words>
 *	  { <path> <word>* }* }*
 */
#ifndef PRM_TABLE_H
#define PRM_TABLE_H

#include "pr_wire.h"
#include "path_select.h"

#define PRM_MAX_PATHS		64
#define PRM_MAX_GROUPS		64
#define PRM_ERROR_LEN		320	/* holds the list of all features */

/* Feature bits of struct prm_features. */
enum prm_feature_flag {
	PRM_F_QUEUE_IF_NO_PATH	= 1 << 0,	/* queue_if_no_path */
	PRM_F_SHARED		= 1 << 1,	/* pr_shared */
	PRM_F_REGISTER_AT_OPEN	= 1 << 2,	/* pr_register open */
	PRM_F_TWIN_TRUST	= 1 << 3,	/* pr_twin trust */
	PRM_F_ABORT_OPTIONAL	= 1 << 4,	/* pr_abort optional */
	PRM_F_RETAIN_HANDLER	= 1 << 5,	/* retain_attached_hw_handler */
	PRM_F_REQUEST_MODE	= 1 << 6,	/* queue_mode rq or mq: accepted, bios it is */
	PRM_F_OFF		= 1 << 7,	/* pr_off: no PR mapping, whatever the default */
};

#define PRM_PG_INIT_DELAY_MS	2000	/* unless pg_init_delay_msecs is given */

/**
 * struct prm_features - the feature words of a table line
 * @key: pr_key, 0 = no PR mapping
 * @type: pr_type, default 5
 * @open: pr_open, PRM_OPEN_* bits (0 = default)
 * @open_ro: pr_open_ro, default PRM_OPEN_BYPASS
 * @timeout_s: pr_timeout, default 0 = 30 s and 90 s for opens that preempt
 * @poll_s: pr_poll, default 5, 0 = off
 * @width: pr_width, registrations in flight at once, default 0 = all
 * @path_check_s: path_check, default 0 = off
 * @pg_init_retries: pg_init_retries, 1 to 50; default 0 = none
 * @pg_init_delay_ms: pg_init_delay_msecs, 0 to 60000, default PRM_PG_INIT_DELAY_MS
 * @flags: enum prm_feature_flag
 * @given: bit n set: entry n of the feature table was in the line
 */
struct prm_features {
	u64 key;
	u8 type;
	bool aptpl;		/* pr_aptpl 0|1, default 1 */
	u32 open;
	u32 open_ro;
	u32 timeout_s;
	u32 poll_s;
	u32 width;
	u32 path_check_s;
	u32 pg_init_retries;
	u32 pg_init_delay_ms;
	u32 flags;
	u32 given;
};

/* One parsed group or path; the strings point into the caller's argv. */
struct prm_group_line {
	const struct path_selector *selector;
	struct path_group_args args;	/* the selector's words, parsed */
	u32 words;		/* how many the line had, to print as many again */
	u32 path_words;		/* likewise, per path */
	u32 first_path;		/* index of its first path in prm_table.path */
	u32 paths;
};

struct prm_path_line {
	const char *name;	/* "8:16" or "/dev/sdb" */
	u32 group;
	struct path_slot slot;	/* the selector's words, parsed */
};

struct prm_table {
	struct prm_features features;
	u32 feature_argc;	/* the words as written, to print them again */
	char **feature_argv;
	const char *hw_handler;	/* NULL or "alua" ... */
	u32 hw_argc;		/* its arguments, without its name: kept for printing */
	char **hw_argv;
	u32 initial_group;	/* 1-based; 0 when there is no group */
	u32 groups;
	u32 paths;
	struct prm_group_line group[PRM_MAX_GROUPS];
	struct prm_path_line path[PRM_MAX_PATHS];
};

/*
 * Parse a whole table line. 0, or -EINVAL with a message in @error that names
 * the word, what was wrong with it, and what was expected. @t is large: the
 * caller allocates it. @base: features that hold where the line says nothing
 * (the module's default), NULL for none.
 */
int prm_table_parse(struct prm_table *t, unsigned int argc, char **argv,
		    const struct prm_features *base, char error[PRM_ERROR_LEN]);
/*
 * Feature words alone, without their number: the module's default. No word is
 * fine and gives the defaults.
 */
int prm_features_parse(struct prm_features *f, unsigned int argc, char **argv,
		       char error[PRM_ERROR_LEN]);
/*
 * Print "<#words> <word>..." for the table status: @words (as written, with blanks
 * between them) verbatim and in their order, because multipathd reloads a map
 * whose features come back in another form; but queue_if_no_path stands there
 * only while @queue_if_no_path, at its place or else in front, since messages
 * change it. No blank at the end; returns the length like snprintf.
 */
int prm_features_print(const char *words, bool queue_if_no_path,
		       char *buf, size_t size);
/*
 * "forced,retain" and back. "default" is no bit. -EINVAL with @error set; the
 * error starts with the wrong word, for the caller to put its context before.
 */
int prm_options_parse(const char *words, u32 *options, char error[PRM_ERROR_LEN]);
int prm_options_print(u32 options, char *buf, size_t size);
/* 0, or -EINVAL: unknown bits, or bypass together with another bit. */
int prm_options_check(u32 options);

#endif
