// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bringing a priority group up through the hardware handlers of its paths.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <scsi/scsi_dh.h>

#include "activation.h"

/**
 * struct activation_path - one path
 * @work: calls the handler, which may sleep
 * @activation: whose
 * @bdev: its block device
 * @index: among the paths of the table
 * @round: of the table's rounds, the one that it is being activated in
 * @tries: in a row without success
 * @patience: how long, in jiffies, somebody may wait for this try
 */
struct activation_path {
	struct delayed_work work;
	struct activation *activation;
	struct block_device *bdev;
	u32 index;
	u32 round;
	u32 tries;
	unsigned long patience;
};

/**
 * struct activation - the paths of one table
 * @ops: the table's side
 * @owner: first argument of the ops
 * @lock: everything below it; taken from handlers' callbacks, and held over @ops, so
 *	that nobody frees us in between
 * @idle: woken when @busy becomes 0
 * @group: whose paths @ready are
 * @round: counts changes of the group; an answer from an older round is none
 * @ready: paths that are activated
 * @busy: paths that are being activated, in whatever round
 * @queued: those whose handler has not been called yet
 * @old: those of older rounds: the next command must be the last one that the
 *	storage gets, so it waits for them
 * @second: @group is a second choice, and nobody should wait for it long
 * @stopped: nothing new is started
 * @retries: that a path gets
 * @delay_ms: between them, if the handler asks for it
 * @paths: entries in @path
 * @path: by the table's path numbers
 */
struct activation {
	const struct activation_ops *ops;
	void *owner;
	spinlock_t lock;	/* see above */
	wait_queue_head_t idle;
	u32 group;
	u32 round;
	u64 ready;
	u64 busy;
	u64 queued;
	u64 old;
	bool second;
	bool stopped;
	u32 retries;
	u32 delay_ms;
	u32 paths;
	struct activation_path path[];
};

static struct workqueue_struct *activation_wq;

enum outcome {
	OUTCOME_FAILED,		/* also what is not in the table below */
	OUTCOME_READY,
	OUTCOME_BUSY,
	OUTCOME_AGAIN,
	OUTCOME_LATER,
};

static const u8 outcomes[] = {
	[SCSI_DH_OK] = OUTCOME_READY,
	[SCSI_DH_DEV_TEMP_BUSY] = OUTCOME_BUSY,
	[SCSI_DH_RETRY] = OUTCOME_LATER,
	[SCSI_DH_IMM_RETRY] = OUTCOME_AGAIN,
	[SCSI_DH_RES_TEMP_UNAVAIL] = OUTCOME_AGAIN,
};

/*
 * A handler's commands end by themselves, and the longest transition that a target can
 * name is 255 s (SPC, REPORT TARGET PORT GROUPS); this is for one that never calls back.
 */
#define PATIENCE	(300 * HZ)

/* Between tries of a group whose storage says that it is busy, at least. */
#define BUSY_DELAY_MS	1000

static u64 path_bit(u32 index)
{
	return 1ULL << index;
}

static void start(struct activation_path *path, u32 delay_ms)
{
	struct activation *a = path->activation;

	lockdep_assert_held(&a->lock);
	path->tries++;
	path->patience = jiffies + msecs_to_jiffies(delay_ms) + PATIENCE;
	a->queued |= path_bit(path->index);
	queue_delayed_work(activation_wq, &path->work, msecs_to_jiffies(delay_ms));
}

static bool current_round(const struct activation_path *path)
{
	const struct activation *a = path->activation;

	return path->round == a->round && !a->stopped;
}

static void finish(struct activation_path *path)
{
	struct activation *a = path->activation;
	u64 bit = path_bit(path->index);

	lockdep_assert_held(&a->lock);
	path->tries = 0;
	a->busy &= ~bit;
	a->old &= ~bit;
	if (!a->busy)
		wake_up(&a->idle);
}

/* Under another group, or the same one anew, what is going on now comes to nothing. */
static void new_round(struct activation *a, u32 group)
{
	u32 i;

	lockdep_assert_held(&a->lock);
	a->group = group;
	a->round++;
	a->ready = 0;
	a->old = a->busy;
	for (i = 0; i < a->paths; i++)
		if (a->queued & path_bit(i))
			mod_delayed_work(activation_wq, &a->path[i].work, 0);
}

/* The handler's answer, in its worker's context or in ours. */
static void path_done(void *data, int error)
{
	struct activation_path *path = data;
	struct activation *a = path->activation;
	enum outcome outcome = OUTCOME_FAILED;
	unsigned long flags;

	if (error >= 0 && error < ARRAY_SIZE(outcomes))
		outcome = outcomes[error];

	spin_lock_irqsave(&a->lock, flags);
	if (!current_round(path)) {
		a->ops->again(a->owner);
	} else if ((outcome == OUTCOME_AGAIN || outcome == OUTCOME_LATER) &&
		   path->tries <= a->retries) {
		start(path, outcome == OUTCOME_LATER ? a->delay_ms : 0);
		goto out;
	} else if (outcome == OUTCOME_READY) {
		a->ready |= path_bit(path->index);
		a->ops->ready(a->owner, a->group);
	} else if (outcome == OUTCOME_BUSY) {
		a->ops->busy(a->owner, a->group);
	} else {
		a->ops->failed(a->owner, path->index);
	}
	finish(path);
out:
	spin_unlock_irqrestore(&a->lock, flags);
}

static void path_work(struct work_struct *work)
{
	struct activation_path *path = container_of(to_delayed_work(work),
						    struct activation_path, work);
	struct activation *a = path->activation;
	unsigned long flags;
	u64 bit = path_bit(path->index);
	unsigned int noio;
	bool queued, wanted;

	spin_lock_irqsave(&a->lock, flags);
	/* new_round() may have queued a work that was already on its way here. */
	queued = a->queued & bit;
	a->queued &= ~bit;
	wanted = queued && current_round(path);
	if (queued && !wanted) {
		a->ops->again(a->owner);
		finish(path);
	}
	spin_unlock_irqrestore(&a->lock, flags);
	if (!wanted)
		return;
	/* Writeback may be waiting for this path. */
	noio = memalloc_noio_save();
	scsi_dh_activate(bdev_get_queue(path->bdev), path_done, path);
	memalloc_noio_restore(noio);
}

/**
 * activation_create - for the paths of one table
 * @ops: what to tell whom
 * @owner: first argument of the ops
 * @paths: how many
 * @retries: feature pg_init_retries
 * @delay_ms: feature pg_init_delay_msecs
 *
 * Context: may sleep.
 * Return: the object, or NULL without memory.
 */
struct activation *activation_create(const struct activation_ops *ops, void *owner,
				     u32 paths, u32 retries, u32 delay_ms)
{
	struct activation *a = kzalloc(struct_size(a, path, paths), GFP_KERNEL);
	u32 i;

	if (!a)
		return NULL;
	a->ops = ops;
	a->owner = owner;
	spin_lock_init(&a->lock);
	init_waitqueue_head(&a->idle);
	a->group = U32_MAX;
	a->retries = retries;
	a->delay_ms = delay_ms;
	a->paths = paths;
	for (i = 0; i < paths; i++) {
		INIT_DELAYED_WORK(&a->path[i].work, path_work);
		a->path[i].activation = a;
		a->path[i].index = i;
	}
	return a;
}

/**
 * activation_set_path - name a path's block device
 * @a: the object
 * @path: its number
 * @bdev: stays open as long as @a lives
 */
void activation_set_path(struct activation *a, u32 path, struct block_device *bdev)
{
	a->path[path].bdev = bdev;
}

/**
 * activation_stop - start nothing more, and wait for what is going on
 * @a: the object
 *
 * What has been handed to a handler must come back before its memory can go: this
 * takes as long as the handler's own commands, and says so when that is long.
 *
 * Context: may sleep.
 */
void activation_stop(struct activation *a)
{
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&a->lock, flags);
	a->stopped = true;
	spin_unlock_irqrestore(&a->lock, flags);

	for (i = 0; i < a->paths; i++) {
		if (!cancel_delayed_work_sync(&a->path[i].work))
			continue;
		spin_lock_irqsave(&a->lock, flags);
		if (a->queued & path_bit(i)) {
			a->queued &= ~path_bit(i);
			finish(&a->path[i]);
		}
		spin_unlock_irqrestore(&a->lock, flags);
	}
	while (!wait_event_timeout(a->idle, !READ_ONCE(a->busy), PATIENCE))
		pr_warn("device-mapper: prmpath: still waiting for hardware handlers, paths %#llx\n",
			READ_ONCE(a->busy));
	/* The last callback may not have left the lock yet. */
	spin_lock_irqsave(&a->lock, flags);
	spin_unlock_irqrestore(&a->lock, flags);
}

/**
 * activation_go - undo activation_stop()
 * @a: the object
 */
void activation_go(struct activation *a)
{
	unsigned long flags;

	spin_lock_irqsave(&a->lock, flags);
	a->stopped = false;
	spin_unlock_irqrestore(&a->lock, flags);
}

/**
 * activation_destroy - end it
 * @a: the object; may be NULL
 *
 * Context: may sleep, as activation_stop().
 */
void activation_destroy(struct activation *a)
{
	if (!a)
		return;
	activation_stop(a);
	kfree(a);
}

/**
 * activation_ready - which paths of a group may take I/O
 * @a: the object
 * @group: the group in use; another one than before starts anew
 * @paths: its usable paths, bits of path numbers
 * @lost: those that failed since the last time, even if they work again
 * @second: it is a second choice, since the storage said that it is busy: start after
 *	a delay
 * @needed: there is I/O for it; without, only paths of a group that is up already are
 *	brought up, so that a host that only looks on moves nothing on the storage
 *
 * Starts the activation of those that are not ready; the ops tell when to ask again.
 *
 * Context: any.
 * Return: those of @paths that are ready.
 */
u64 activation_ready(struct activation *a, u32 group, u64 paths, u64 lost, bool second,
		     bool needed)
{
	u32 delay_ms = second ? max_t(u32, a->delay_ms, BUSY_DELAY_MS) : 0;
	unsigned long flags;
	u64 todo = 0, ready;
	u32 i;

	spin_lock_irqsave(&a->lock, flags);
	if (a->group != group)
		new_round(a, group);
	/* A handler that never calls back does not keep other groups down for ever. */
	for (i = 0; i < a->paths; i++)
		if ((a->old & ~a->queued & path_bit(i)) &&
		    time_after(jiffies, a->path[i].patience))
			a->old &= ~path_bit(i);
	a->second = second;
	a->ready &= paths & ~lost;
	ready = a->ready;
	if ((needed || ready) && !a->stopped && !a->old)
		todo = paths & ~a->ready & ~a->busy;
	for (i = 0; i < a->paths; i++) {
		if (!(todo & path_bit(i)))
			continue;
		a->busy |= path_bit(i);
		a->path[i].round = a->round;
		start(&a->path[i], delay_ms);
	}
	spin_unlock_irqrestore(&a->lock, flags);
	return ready;
}

/**
 * activation_forget - have the next activation_ready() start anew
 * @a: the object
 */
void activation_forget(struct activation *a)
{
	unsigned long flags;

	spin_lock_irqsave(&a->lock, flags);
	new_round(a, U32_MAX);
	spin_unlock_irqrestore(&a->lock, flags);
}

/**
 * activation_working - is a group on its way up?
 * @a: the object
 *
 * Return: true if I/O should wait for it, however long it has waited. That ends: the
 * tries are counted, and each has its time.
 */
bool activation_working(struct activation *a)
{
	bool working = false;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&a->lock, flags);
	for (i = 0; i < a->paths && !a->second; i++)
		working |= (a->busy & path_bit(i)) &&
			   time_before(jiffies, a->path[i].patience);
	spin_unlock_irqrestore(&a->lock, flags);
	return working;
}

/**
 * activation_tries - how often the paths being activated were tried
 * @a: the object
 *
 * Return: the largest number among them, 0 when none is.
 */
u32 activation_tries(struct activation *a)
{
	unsigned long flags;
	u32 tries = 0, i;

	spin_lock_irqsave(&a->lock, flags);
	for (i = 0; i < a->paths; i++)
		if (a->busy & path_bit(i))
			tries = max(tries, a->path[i].tries);
	spin_unlock_irqrestore(&a->lock, flags);
	return tries;
}

int activation_init(void)
{
	activation_wq = alloc_workqueue("prmpath_activate", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return activation_wq ? 0 : -ENOMEM;
}

void activation_exit(void)
{
	destroy_workqueue(activation_wq);
}
