// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interposing ->open and ->release of a mapped device.
 *
 * dm tells a target nothing about opens and closes. So while a disk has a
 * table with our target, live or loaded, disk->fops points to a copy of dm's
 * operations in which these two are ours. Everything else in the copy is dm's,
 * ->owner included, because the block layer reads it again to drop the module
 * reference of an opener after the operations may have changed.
 *
 * Locks, outermost first:
 *
 *   disk->open_mutex   disk->fops, and who is the owner of its hook. The block
 *			layer holds it around ->open and ->release, so whoever
 *			holds it knows that no hook function of that disk runs.
 *   hook_lock		the table of hooks, their user counts, the slots. Held
 *			for a few instructions, never while waiting.
 *
 * open_mutex can be held for as long as an opener or the last closer, which
 * writes dirty pages, waits for I/O. Hence only the first user and the last
 * one take it. A reload, which may bring the path they wait for, always finds
 * a user and changes the count under hook_lock alone.
 */
#include <linux/device-mapper.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "bdev_hook.h"
#include "compat.h"

#define DM_MSG_PREFIX "prmpath"

/**
 * struct hook_slot - a copy of somebody's operations with our functions
 * @orig: what it was copied from; NULL in an unused slot
 * @ops: the copy
 *
 * Readers of disk->fops other than ->open and ->release hold no lock, and may
 * look into the copy long after it was replaced: it lives as long as the
 * module. dm has one structure for all bio-based devices, so one slot is what
 * gets used.
 */
struct hook_slot {
	const struct block_device_operations *orig;
	struct block_device_operations ops;
};

/**
 * struct bdev_hook - one hooked disk
 * @node: in hooks, keyed by @disk
 * @disk: the disk; its mapped device outlives the users
 * @slot: the operations it got, and those it had
 * @ops: the owner's functions
 * @owner: for @ops; NULL in an orphan
 * @users: tables, live or not, with our target; 0 in an orphan
 * @pinned: was an orphan once, has references to disk and module for ever
 *
 * An orphan is a hook whose last user found operations in the disk that are
 * not ours. Whoever put them there may have copied our functions, so these
 * keep working as if they were dm's.
 */
struct bdev_hook {
	struct hlist_node node;
	struct gendisk *disk;
	struct hook_slot *slot;
	const struct bdev_hook_ops *ops;
	void *owner;
	unsigned int users;
	bool pinned;
};

static DEFINE_SPINLOCK(hook_lock);
static DEFINE_HASHTABLE(hooks, 8);
static struct hook_slot hook_slots[4];

static struct bdev_hook *hook_lookup(struct gendisk *disk)
{
	struct bdev_hook *hook;

	lockdep_assert_held(&hook_lock);

	hash_for_each_possible(hooks, hook, node, (unsigned long)disk)
		if (hook->disk == disk)
			return hook;
	return NULL;
}

/*
 * The hook of a disk whose open_mutex the caller holds, so that it stays. Our
 * functions are not called without one.
 */
static struct bdev_hook *hook_of(struct gendisk *disk)
{
	struct bdev_hook *hook;

	lockdep_assert_held(&disk->open_mutex);

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	spin_unlock(&hook_lock);

	WARN_ON_ONCE(!hook);
	return hook;
}

static int hook_opened(struct gendisk *disk, blk_mode_t mode)
{
	struct bdev_hook *hook = hook_of(disk);
	const struct block_device_operations *orig;
	int r;

	if (!hook)
		return -ENXIO;

	orig = hook->slot->orig;
	r = prm_fops_open(orig, disk, mode);
	if (r || !hook->owner)
		return r;

	/* The block layer counts this open after we return. */
	r = hook->ops->open(hook->owner, !!(mode & BLK_OPEN_WRITE),
			    !!(mode & BLK_OPEN_NDELAY), !!disk_openers(disk));
	if (r)
		prm_fops_release(orig, disk, mode);
	return r;
}

static void hook_released(struct gendisk *disk, blk_mode_t mode)
{
	struct bdev_hook *hook = hook_of(disk);

	if (!hook)
		return;

	/*
	 * The block layer has uncounted this open. Once dm has seen the
	 * release, a (deferred) removal may begin: do our work before.
	 */
	if (hook->owner)
		hook->ops->release(hook->owner, !disk_openers(disk));
	prm_fops_release(hook->slot->orig, disk, mode);
}

static int hook_fops_open(struct prm_opened *opened, blk_mode_t mode)
{
	return hook_opened(prm_opened_disk(opened), mode);
}

PRM_FOPS_RELEASE(hook_fops_release, hook_released)

/* Is @fops, and what we rely on in it, part of the module that it names? */
static bool hook_fops_genuine(const struct block_device_operations *fops)
{
	const struct module *owner = fops->owner;

	if (!owner)	/* built in: only our own can be told apart */
		return !within_module((unsigned long)fops, THIS_MODULE);

	return within_module((unsigned long)fops, owner) &&
	       within_module((unsigned long)fops->submit_bio, owner) &&
	       within_module((unsigned long)fops->open, owner) &&
	       within_module((unsigned long)fops->release, owner);
}

/*
 * Can these operations be copied? Request-based dm has others, and foreign
 * interposers either put a copy in place or change functions inside.
 */
static int hook_check_fops(struct gendisk *disk)
{
	const struct block_device_operations *fops = disk->fops;

	if (!fops->submit_bio || !fops->open || !fops->release)
		return -EINVAL;
	if (!hook_fops_genuine(fops)) {
		DMERR("%s: operations replaced by another module, cannot interpose",
		      disk->disk_name);
		return -EBUSY;
	}
	return 0;
}

/* The slot for these operations. A slot in use is never changed. */
static struct hook_slot *hook_slot_get(const struct block_device_operations *orig)
{
	struct hook_slot *slot;

	lockdep_assert_held(&hook_lock);

	for (slot = hook_slots; slot < hook_slots + ARRAY_SIZE(hook_slots); slot++) {
		if (slot->orig == orig)
			return slot;
		if (!slot->orig) {
			memcpy(&slot->ops, orig, sizeof(slot->ops));
			slot->ops.open = hook_fops_open;
			slot->ops.release = hook_fops_release;
			slot->orig = orig;
			return slot;
		}
	}
	return NULL;
}

/* One more user of an attached hook, if there is one. */
static bool hook_join(struct gendisk *disk, void **ownerp)
{
	struct bdev_hook *hook;
	bool joined = false;

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	if (hook && hook->users) {
		hook->users++;
		hook->ops->get(hook->owner);
		*ownerp = hook->owner;
		joined = true;
	}
	spin_unlock(&hook_lock);

	return joined;
}

/*
 * A hook for a disk that has none, or NULL if all slots are taken. *@new is
 * used for it and set to NULL.
 */
static struct bdev_hook *hook_create(struct gendisk *disk, struct bdev_hook **new)
{
	struct hook_slot *slot = hook_slot_get(disk->fops);
	struct bdev_hook *hook = *new;

	if (!slot)
		return NULL;

	*new = NULL;
	hook->disk = disk;
	hook->slot = slot;
	hash_add(hooks, &hook->node, (unsigned long)disk);
	return hook;
}

static int hook_install(struct gendisk *disk, const struct bdev_hook_ops *ops,
			void *owner, struct bdev_hook **new)
{
	struct bdev_hook *hook;
	int r;

	lockdep_assert_held(&disk->open_mutex);

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	spin_unlock(&hook_lock);

	if (!hook) {
		r = hook_check_fops(disk);
		if (r)
			return r;
	} else if (disk->fops != &hook->slot->ops && disk->fops != hook->slot->orig) {
		/* An orphan, and the stranger is still there. */
		return -EBUSY;
	}

	spin_lock(&hook_lock);
	if (!hook)
		hook = hook_create(disk, new);
	if (hook) {
		ops->get(owner);
		hook->ops = ops;
		hook->owner = owner;
		hook->users = 1;
	}
	spin_unlock(&hook_lock);
	if (!hook)
		return -EBUSY;

	if (ops->attached)
		ops->attached(owner, disk_openers(disk));
	/* The copy is complete before a reader without lock can see it. */
	smp_store_release(&disk->fops, &hook->slot->ops);
	return 0;
}

/**
 * bdev_hook_attach - one more table with our target
 * @md: the mapped device
 * @ops: the owner's functions
 * @owner: the owner, if the disk has none
 * @ownerp: the owner that the disk has
 *
 * The hook takes a reference to @owner for itself, and one for the caller if
 * *@ownerp is not @owner.
 *
 * Context: a target's constructor; may sleep.
 * Return: 0 or a negative errno, see bdev_hook.h.
 */
int bdev_hook_attach(struct mapped_device *md, const struct bdev_hook_ops *ops,
		     void *owner, void **ownerp)
{
	struct gendisk *disk = dm_disk(md);
	struct bdev_hook *new;
	int r = 0;

	if (hook_join(disk, ownerp))
		return 0;

	/* Not under the mutex: reclaim may have to write to this very disk. */
	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;

	if (mutex_lock_killable(&disk->open_mutex)) {
		kfree(new);
		return -EINTR;
	}
	if (!hook_join(disk, ownerp)) {
		r = hook_install(disk, ops, owner, &new);
		if (!r)
			*ownerp = owner;
	}
	mutex_unlock(&disk->open_mutex);

	kfree(new);
	return r;
}

/* One user less, unless that leaves none. */
static bool hook_leave(struct gendisk *disk)
{
	struct bdev_hook *hook;
	bool left = false;

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	if (hook && hook->users > 1) {
		hook->users--;
		left = true;
	}
	spin_unlock(&hook_lock);

	return left;
}

/* The disk has operations that we did not give it: see struct bdev_hook. */
static void hook_orphan(struct bdev_hook *hook)
{
	if (hook->pinned)
		return;

	/* The address of the disk must not become that of another one. */
	get_device(disk_to_dev(hook->disk));
	__module_get(THIS_MODULE);
	hook->pinned = true;
	DMWARN("%s: operations replaced by another module, cannot restore; now in use for ever",
	       hook->disk->disk_name);
}

/*
 * The last user leaves; false if somebody has come meanwhile. *@was is what
 * the hook was before, *@dead is to be freed.
 */
static bool hook_remove(struct gendisk *disk, struct bdev_hook *was,
			struct bdev_hook **dead)
{
	struct bdev_hook *hook;
	bool last = false;

	lockdep_assert_held(&disk->open_mutex);

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	if (WARN_ON_ONCE(!hook || !hook->users) || --hook->users)
		goto out;

	last = true;
	*was = *hook;
	hook->owner = NULL;
	if (disk->fops == &hook->slot->ops)
		WRITE_ONCE(disk->fops, hook->slot->orig);
	else
		hook_orphan(hook);
	if (!hook->pinned) {
		hash_del(&hook->node);
		*dead = hook;
	}
out:
	spin_unlock(&hook_lock);
	return last;
}

/**
 * bdev_hook_detach - a table with our target goes
 * @md: the mapped device
 * @last: the disk is not hooked any more
 * @openers: how many have it open
 *
 * Context: a target's destructor, or its failed constructor; may sleep. The
 * last user waits for the opens and closes that are under way.
 */
void bdev_hook_detach(struct mapped_device *md, bool *last, unsigned int *openers)
{
	struct gendisk *disk = dm_disk(md);
	struct bdev_hook *dead = NULL;
	struct bdev_hook was;
	bool removed = false;
	unsigned int n;

	if (hook_leave(disk)) {
		n = disk_openers(disk);
	} else {
		mutex_lock(&disk->open_mutex);
		removed = hook_remove(disk, &was, &dead);
		n = disk_openers(disk);
		mutex_unlock(&disk->open_mutex);
	}

	if (last)
		*last = removed;
	if (openers)
		*openers = n;
	if (removed)
		was.ops->put(was.owner);
	kfree(dead);
}

/**
 * bdev_hook_find - the owner of a disk
 * @disk: any disk
 *
 * Return: the owner with a reference that the caller drops, or NULL.
 */
void *bdev_hook_find(struct gendisk *disk)
{
	struct bdev_hook *hook;
	void *owner = NULL;

	spin_lock(&hook_lock);
	hook = hook_lookup(disk);
	if (hook && hook->owner) {
		owner = hook->owner;
		hook->ops->get(owner);
	}
	spin_unlock(&hook_lock);

	return owner;
}

/**
 * bdev_hook_init - at module load
 *
 * Return: 0.
 */
int bdev_hook_init(void)
{
	hash_init(hooks);
	return 0;
}

/**
 * bdev_hook_exit - at module unload, when no target of ours exists any more
 *
 * The operations are restored, but a reader without lock may still have the
 * address of a copy. It does not sleep between loading that address and its
 * last look, though it may be preempted there: RCU-tasks waits for these, RCU
 * for interrupts in the idle task.
 */
void bdev_hook_exit(void)
{
	WARN_ON_ONCE(!hash_empty(hooks));
	synchronize_rcu();
	synchronize_rcu_tasks();
}
