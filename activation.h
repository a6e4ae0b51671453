/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hardware handlers: a priority group may have to be brought up on the storage
 * (an ALUA transition, a trespass) before its paths take I/O.
 */
#ifndef PRM_ACTIVATION_H
#define PRM_ACTIVATION_H

#include <linux/types.h>

struct activation;
struct block_device;

/**
 * struct activation_ops - what came of it; any context, must not call back
 * @ready: a path of the group is ready: ask activation_ready() again
 * @again: ask it again, an attempt that nobody wants any more has ended
 * @failed: a path cannot be activated
 * @busy: the storage cannot take I/O for this group now: try another one
 */
struct activation_ops {
	void (*ready)(void *owner, u32 group);
	void (*again)(void *owner);
	void (*failed)(void *owner, u32 path);
	void (*busy)(void *owner, u32 group);
};

int activation_init(void);
void activation_exit(void);

struct activation *activation_create(const struct activation_ops *ops, void *owner,
				     u32 paths, u32 retries, u32 delay_ms);
void activation_set_path(struct activation *a, u32 path, struct block_device *bdev);
void activation_destroy(struct activation *a);
u64 activation_ready(struct activation *a, u32 group, u64 paths, u64 lost, bool second,
		     bool needed);
void activation_forget(struct activation *a);
void activation_stop(struct activation *a);
void activation_go(struct activation *a);
bool activation_working(struct activation *a);
u32 activation_tries(struct activation *a);

#endif
