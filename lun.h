/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The LUN behind one mapped device: its paths, its PR state, the worker that
 * runs one operation of pr_map at a time, the write gate and the watcher. It
 * belongs to the mapped device and outlives table reloads.
 */
#ifndef PRM_LUN_H
#define PRM_LUN_H

#include <linux/blkdev.h>
#include <linux/types.h>

#include "bdev_hook.h"
#include "pr_map.h"
#include "table.h"

struct lun;
struct mapped_device;
struct scsi_device;

#define LUN_NAME_LEN	16	/* "major:minor" */

/* Bits of struct lun_path.flags. */
enum lun_path_flag {
	LUN_PATH_FAILED,	/* failed by I/O, by a command or by message */
	LUN_PATH_ADMITTED,	/* may carry I/O as far as reservations go (rule 5.2) */
	LUN_PATH_BUSY,		/* its command is out */
	LUN_PATH_ORPHAN,	/* ... and nobody waits for it */
	LUN_PATH_CHECK,		/* ... and is a TEST UNIT READY */
};

/**
 * struct lun_path - one I_T nexus; shared by the tables that name it
 * @flags: enum lun_path_flag, atomic bits
 * @name: "major:minor"
 * @fail_count: how often it failed
 * @writes: under way on it; only the sum over all CPUs means something
 *
 * The rest is private to lun.c.
 */
struct lun_path {
	unsigned long flags;
	char name[LUN_NAME_LEN];
	atomic_t fail_count;
	unsigned int __percpu *writes;
	struct lun_path_private *p;
};

/**
 * struct lun_client - the live table, as the LUN object sees it
 * @changed: paths, gate or state changed: look again. Any context, may be
 *	called with the LUN's lock held; must not call back.
 * @event: something for dm_table_event(). May sleep.
 * @activates: its hardware handler makes paths in standby work
 */
struct lun_client {
	void (*changed)(struct lun_client *client);
	void (*event)(struct lun_client *client);
	bool activates;
};

/**
 * struct lun_view - a snapshot for status
 * @pr: PR state
 * @open: options of plain writable opens
 * @open_ro: and of read-only ones
 * @openers: how many have the device open
 * @answers: a path is in use, that is, has not failed
 * @gate: the write gate is open
 * @stale_cache: pages from before the session may be left (rule 4.7)
 * @holder: the holder path's name, or "none"
 */
struct lun_view {
	struct pr_lun pr;
	u32 open;
	u32 open_ro;
	u32 openers;
	bool answers;
	bool gate;
	bool stale_cache;
	char holder[LUN_NAME_LEN];
};

int lun_init(void);
void lun_exit(void);

extern const struct bdev_hook_ops lun_hook_ops;

struct lun *lun_create(struct mapped_device *md);
void lun_get(struct lun *lun);
void lun_put(struct lun *lun);
const char *lun_name(const struct lun *lun);

/* Constructor side: paths and configuration of a table not yet live. */
struct lun_path *lun_path_get(struct lun *lun, struct block_device *bdev, u64 key,
			      char error[PRM_ERROR_LEN]);
void lun_path_put(struct lun *lun, struct lun_path *path);
int lun_check(struct lun *lun, const struct prm_features *features,
	      char error[PRM_ERROR_LEN]);

/* Live table. */
int lun_activate(struct lun *lun, struct lun_client *client,
		 const struct prm_features *features,
		 struct lun_path **paths, unsigned int count);
void lun_suspend(struct lun *lun);
void lun_deactivate(struct lun *lun, struct lun_client *client);
void lun_shutdown(struct lun *lun, unsigned int openers);

/* Opens that do not come through the hook. */
int lun_open_extended(struct lun *lun, u32 options);

/* I/O side; any context. */
bool lun_gate(const struct lun *lun);
bool lun_gate_still(const struct lun *lun);
bool lun_guards(const struct lun *lun);
bool lun_conflict(struct lun *lun, struct lun_path *path);
bool lun_undecided(const struct lun *lun);
bool lun_path_fail(struct lun *lun, struct lun_path *path, const char *reason);
void lun_path_reinstate(struct lun *lun, struct lun_path *path);
bool lun_registering(const struct lun *lun);
bool lun_path_pending(const struct lun *lun, const struct lun_path *path);
unsigned int lun_timeout(const struct lun *lun);

/* Messages. */
void lun_set_options(struct lun *lun, u32 options, bool once);
unsigned int lun_suspends(const struct lun *lun);
int lun_command(struct lun *lun, enum pr_op_kind kind, unsigned int suspends,
		char *result, size_t size);

void lun_view(struct lun *lun, struct lun_view *view);
const char *lun_path_word(const struct lun *lun, const struct lun_path *path);
int lun_path_answer(struct lun *lun, const struct lun_path *path, char *text, size_t size);

#endif
