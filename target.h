/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One table of the target: what its constructor makes (dm-prmpath.c), the way
 * of an I/O uses (route.c) and status prints (report.c).
 */
#ifndef PRM_TARGET_H
#define PRM_TARGET_H

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "lun.h"
#include "path_select.h"
#include "table.h"

struct activation;

/**
 * struct target_path - a path in this table
 * @lun_path: the nexus, shared with other tables of the same device
 * @dev: the block device
 * @slot: its selector's words; a CPU mask in it is owned
 * @group: its priority group
 * @failures_seen: by the work that rebuilds the set
 * @failures: of these path events told
 * @failed_told: the last one of them told a failure
 */
struct target_path {
	struct lun_path *lun_path;
	struct dm_dev *dev;
	struct path_slot slot;
	u32 group;
	int failures_seen;
	int failures;
	bool failed_told;
};

/**
 * struct target_group - a priority group
 * @selector: which of its paths takes an I/O
 * @args: the selector's words
 * @words: how many the table line had
 * @path_words: likewise, per path
 * @first: its first path
 * @paths: how many
 * @bypassed: by message, or because its hardware handler said that it is busy
 */
struct target_group {
	const struct path_selector *selector;
	struct path_group_args args;
	u32 words;
	u32 path_words;
	u32 first;
	u32 paths;
	bool bypassed;
};

/**
 * struct target - one table
 * @ti: device-mapper's side of it
 * @lun: the LUN, with a reference
 * @client: how the LUN calls back
 * @features: as in the table line and the module's default
 * @feature_words: as written, to print them again
 * @handler: hardware handler, NULL if none
 * @handler_words: and its arguments, to print them again; may be NULL
 * @activation: brings groups up through the handler; NULL without one
 * @queue_if_no_path: I/O without a path waits; changed by message
 * @live: it was resumed once
 * @suspending: between presuspend and resume
 * @needs: what the selectors need, together (enum path_need)
 * @set: the usable paths; readers hold RCU, the rebuilding work writes
 * @sets: the two buffers between which @set changes; no allocation is needed
 * @set_unused: grace period after which the other buffer may be written
 * @cursor: where each CPU stands
 * @load: what each CPU counted, by path; NULL unless @needs PATH_NEEDS_LOAD
 * @lock: the two lists, @sending, @wanted_group, @group_now, @anew, who is bypassed, and
 *	queueing with @no_path and @no_path_since; taken from end_io
 * @parked: I/O without a path to go to
 * @disputed: I/O that met a conflict and waits for the verdict (rule 5.4)
 * @sending: what was on them is being sent
 * @wanted_group: index of the initial or requested group until it is used, or -1
 * @group_now: the group of @set, or the last one that was; -1 to choose anew
 * @anew: the group is to be activated anew
 * @wanted: somebody found no path and went away, since @wanted_at, in jiffies
 * @wanted_at: likewise
 * @group_told: the last group that carried I/O, for events; -1 = none yet
 * @refusal_told: a write was refused since the gate closed, and logged
 * @no_path_since: jiffies
 * @no_path: there is no path at all, since @no_path_since
 * @work: rebuilds the set; never waits for I/O
 * @send: then sends what is parked
 * @events: tells the world about paths and groups; may block, I/O never waits for it
 * @groups: entries in @group
 * @paths: entries in @path
 * @group: priority groups
 * @path: paths, group by group
 */
struct target {
	struct dm_target *ti;
	struct lun *lun;
	struct lun_client client;
	struct prm_features features;
	char *feature_words;
	char *handler;
	char *handler_words;
	struct activation *activation;
	bool queue_if_no_path;
	bool live;
	bool suspending;
	u32 needs;
	struct path_set __rcu *set;
	struct path_set *sets[2];
	unsigned long set_unused;
	struct path_cursor __percpu *cursor;
	struct path_load __percpu *load;

	spinlock_t lock;	/* see above */
	struct bio_list parked;
	struct bio_list disputed;
	bool sending;
	int wanted_group;
	int group_now;
	bool anew;
	bool wanted;
	unsigned long wanted_at;
	int group_told;
	bool refusal_told;

	unsigned long no_path_since;
	bool no_path;
	struct delayed_work work;
	struct work_struct send;
	struct work_struct events;
	u32 groups;
	u32 paths;
	struct target_group *group;
	struct target_path *path;
};

/**
 * struct target_io - what a retry needs of a bio
 * @path: where it was sent, NULL while it is here
 * @iter: as it came
 * @integrity: likewise, of its protection information
 * @opf: likewise
 * @flags: likewise
 * @conflicts: verdicts that it went through
 * @parked: it waits since @parked_at
 * @parked_at: jiffies
 * @start: when it was sent, in nanoseconds, with PATH_NEEDS_TIME
 */
struct target_io {
	struct target_path *path;
	struct bvec_iter iter;
	struct bvec_iter integrity;
	blk_opf_t opf;
	unsigned short flags;
	u8 conflicts;
	bool parked;
	unsigned long parked_at;
	u64 start;
};

/* route.c */
int route_init(void);
void route_exit(void);
int route_alloc(struct target *t);
void route_free(struct target *t);
void route_stop(struct target *t);
void route_kick(struct target *t);
int route_map(struct dm_target *ti, struct bio *bio);
int route_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);
struct target_path *route_any(struct target *t);
void route_set_queueing(struct target *t, bool on);
void route_bypass_group(struct target *t, u32 group, bool bypassed);
void route_group_works(struct target *t, u32 group);
bool route_want(struct target *t);
void route_switch_group(struct target *t, u32 group);

/* report.c */
void report_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		   char *result, unsigned int maxlen);

#endif
