/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interposing ->open and ->release of a mapped device's gendisk, and nothing
 * else of its operations. This file knows nothing of reservations: it calls
 * the functions in struct bdev_hook_ops.
 */
#ifndef PRM_BDEV_HOOK_H
#define PRM_BDEV_HOOK_H

#include <linux/blkdev.h>
#include <linux/types.h>

struct mapped_device;

/**
 * struct bdev_hook_ops - what the owner of a hook wants to know
 * @attached: optional: the disk is hooked from now on and @openers had it open
 *	before. Called with disk->open_mutex held, once per hooking, before any
 *	@open. Must not wait for I/O.
 * @open: after dm's own open succeeded; may sleep for long and may refuse
 *	(negative errno: dm's release is called, the open fails). Called with
 *	disk->open_mutex held. @others: other opens existed (bd_openers != 0).
 * @release: before dm's own release. @last: no opener remains, and dirty pages
 *	have been written. Called with disk->open_mutex held.
 * @get: one more reference to the owner. Called under a spinlock.
 * @put: one reference less; may sleep. Called with no lock held.
 *
 * What runs under disk->open_mutex must not open a block device, take
 * a suspend lock of dm or wait for anything that does.
 */
struct bdev_hook_ops {
	void (*attached)(void *owner, unsigned int openers);
	int (*open)(void *owner, bool writable, bool nonblock, bool others);
	void (*release)(void *owner, bool last);
	void (*get)(void *owner);
	void (*put)(void *owner);
};

int bdev_hook_init(void);
/* Module exit: after this nobody can be inside our operations any more. */
void bdev_hook_exit(void);

/*
 * Attach @owner to the disk of @md, or count one more user if it is attached
 * already. *@ownerp is the owner to use: @owner the first time, else the one
 * attached before (then with a reference of its own through ops->get; the
 * caller drops @owner). Sleeps; first user takes disk->open_mutex killably.
 * -EINTR, -EINVAL (not a bio-based dm disk), -EBUSY (no slot, or somebody else
 * has replaced the operations), -ENOMEM.
 *
 * Only for a target's constructor, and bdev_hook_detach() for its destructor
 * or the unwinding of its constructor: anywhere else open_mutex may be held by
 * a closer that waits for I/O which the caller is to let through.
 */
int bdev_hook_attach(struct mapped_device *md, const struct bdev_hook_ops *ops,
		     void *owner, void **ownerp);
/*
 * One user less. The last one restores the operations under open_mutex. @last
 * (may be NULL) tells that the disk is unhooked now; @openers (may be NULL)
 * how many had it open at that time. When it was the last, no function of the
 * owner runs or will run, except for references of bdev_hook_find(). The
 * user's reference to the owner remains for the caller to drop.
 */
void bdev_hook_detach(struct mapped_device *md, bool *last, unsigned int *openers);

/* The owner attached to @disk with a reference (ops->get), or NULL. */
void *bdev_hook_find(struct gendisk *disk);

#endif
