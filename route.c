// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of an I/O: to a path, back from it, and what happens to it while there
 * is none. The set of usable paths is rebuilt by a work and read without a lock.
 */
#include <linux/bio.h>
#include <linux/blk-integrity.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "activation.h"
#include "compat.h"
#include "target.h"

#define DM_MSG_PREFIX "prmpath"

#define CONFLICTS_MAX		4	/* verdicts on one I/O before it fails, and one per path */
#define PARKED_CHECK		msecs_to_jiffies(500)

static unsigned int queue_if_no_path_timeout_secs;
module_param(queue_if_no_path_timeout_secs, uint, 0644);
MODULE_PARM_DESC(queue_if_no_path_timeout_secs,
		 "seconds without a path after which queue_if_no_path is turned off; 0 = never");

/* Deciding, and sending, which may wait for what was decided: with a rescuer each. */
static struct workqueue_struct *route_wq, *send_wq;

static struct target_io *target_io(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct target_io));
}

/*
 * Choosing a path
 */

static bool path_usable(const struct target_path *path)
{
	unsigned long flags = READ_ONCE(path->lun_path->flags);

	return (flags & (BIT(LUN_PATH_FAILED) | BIT(LUN_PATH_ADMITTED))) ==
	       BIT(LUN_PATH_ADMITTED);
}

static const struct path_load *load_row(void *context, u32 cpu)
{
	struct target *t = context;

	return cpu_possible(cpu) ? per_cpu_ptr(t->load, cpu) : NULL;
}

/* How much one request takes, of pages that do not lie side by side. */
static u32 request_sectors(const struct target_path *path)
{
	struct request_queue *q = bdev_get_queue(path->dev->bdev);

	return min_t(u32, queue_max_sectors(q), queue_max_segments(q) << PAGE_SECTORS_SHIFT);
}

/*
 * Sequential I/O that the submitter batches stays on one path, since requests merge
 * below only if they meet there.
 */
static struct target_path *same_path(struct target *t, const struct path_set *set,
				     struct path_cursor *cursor, const struct bio *bio)
{
	struct target_path *path;

	if (cursor->slot >= set->count)
		return NULL;
	path = &t->path[set->slot[cursor->slot].path];
	if (!path_usable(path) ||
	    !path_stay(cursor, bio->bi_iter.bi_sector, bio_sectors(bio),
		       request_sectors(path)))
		return NULL;
	return path;
}

static struct target_path *next_path(struct target *t, const struct path_set *set,
				     struct path_cursor *cursor, const struct bio *bio)
{
	const struct path_selector *selector = t->group[set->group].selector;
	const struct path_load *own = NULL;
	u32 bytes = bio ? bio->bi_iter.bi_size : 0;
	u32 slot, i;

	if (selector->needs & PATH_NEEDS_LOAD) {
		u32 tick = (u32)jiffies;

		own = this_cpu_ptr(t->load);
		if (cursor->folded != tick)
			path_fold(cursor, set, load_row, t, nr_cpu_ids, tick);
	}
	for (i = 0; i < set->count; i++) {
		struct target_path *path;

		slot = selector->select(set, cursor, own, bytes);
		path = &t->path[set->slot[slot].path];
		if (likely(path_usable(path))) {
			cursor->slot = slot;
			return path;
		}
		cursor->left = 0;
	}
	/* The set is about to be rebuilt; until then any path that works will do. */
	for (slot = 0; slot < set->count; slot++) {
		struct target_path *path = &t->path[set->slot[slot].path];

		if (path_usable(path)) {
			cursor->slot = slot;
			return path;
		}
	}
	return NULL;
}

/*
 * Paths may differ in whether the LUN has a write cache: MODE SENSE failed on one, or
 * somebody wrote its cache_type. Where the kernel takes it for write through, a flush
 * ends without a command, and so what the other paths have written may be lost.
 */
static struct target_path *path_that_flushes(struct target *t, const struct path_set *set,
					     struct target_path *path)
{
	u32 i;

	if (likely(bdev_write_cache(path->dev->bdev)))
		return path;
	for (i = 0; i < set->count; i++) {
		struct target_path *other = &t->path[set->slot[i].path];

		if (path_usable(other) && bdev_write_cache(other->dev->bdev))
			return other;
	}
	/* One of a group that a handler would have to activate could not. */
	for (i = 0; i < t->paths && !t->activation; i++) {
		struct target_path *other = &t->path[i];

		if (path_usable(other) && bdev_write_cache(other->dev->bdev))
			return other;
	}
	return path;
}

/* Lock-free: a stale set is harmless, since each path's own flags decide. */
static struct target_path *choose_path(struct target *t, const struct bio *bio)
{
	struct target_path *path = NULL;
	struct path_cursor *cursor;
	const struct path_set *set;

	rcu_read_lock();
	set = rcu_dereference(t->set);
	if (unlikely(!set->count))
		goto out;
	cursor = get_cpu_ptr(t->cursor);
	/* 6.12 has a plug for each bio: one of the submitter holds a request by now. */
	if (bio && current->plug && current->plug->rq_count &&
	    bio->bi_iter.bi_sector == cursor->next)
		path = same_path(t, set, cursor, bio);
	if (!path) {
		cursor->run = 0;
		path = next_path(t, set, cursor, bio);
	}
	if (bio)
		path_went(cursor, cursor->slot, bio->bi_iter.bi_sector, bio_sectors(bio));
	if (bio && path && op_is_flush(bio->bi_opf))
		path = path_that_flushes(t, set, path);
	/* Before RCU ends: whoever takes the path out of use waits for both. */
	if (bio && path && op_is_write(bio_op(bio)))
		this_cpu_inc(*path->lun_path->writes);
	put_cpu_ptr(t->cursor);
out:
	rcu_read_unlock();
	return path;
}

/**
 * route_any - a path for something that is not an I/O
 * @t: table
 *
 * Return: a path of the group in use, or NULL.
 */
struct target_path *route_any(struct target *t)
{
	return choose_path(t, NULL);
}

/*
 * What the selectors want to know. An I/O may end on another CPU than it was
 * started on: only the sums mean something.
 */
static void count_start(struct target *t, struct target_io *io)
{
	u32 i = io->path->slot.path;

	if (t->needs & PATH_NEEDS_TIME)
		io->start = ktime_get_ns();
	this_cpu_inc(t->load[i].ios);
	this_cpu_add(t->load[i].bytes, io->iter.bi_size);
}

static void count_end(struct target *t, struct target_io *io)
{
	u32 i = io->path->slot.path;

	this_cpu_dec(t->load[i].ios);
	this_cpu_sub(t->load[i].bytes, io->iter.bi_size);
	if (t->needs & PATH_NEEDS_TIME) {
		u64 now = ktime_get_ns();

		this_cpu_inc(t->load[i].done);
		this_cpu_add(t->load[i].time,
			     path_service_time(io->start, now,
					       this_cpu_read(t->load[i].last)));
		this_cpu_write(t->load[i].last, now);
	}
}

/*
 * Without a path
 */

/*
 * In the slow path: some path that the set does not know yet, that waits for its
 * registration or that is to be activated?
 */
static bool path_coming(struct target *t)
{
	u32 i;

	for (i = 0; i < t->paths; i++) {
		if (path_usable(&t->path[i]))
			return true;
		/* Pairs with publish() in lun.c; what is no longer pending may be admitted. */
		smp_rmb();
		if (lun_path_pending(t->lun, t->path[i].lun_path) ||
		    path_usable(&t->path[i]))
			return true;
	}
	return false;
}

static bool is_flush(const struct bio *bio)
{
	return (bio->bi_opf & REQ_PREFLUSH) && !bio_sectors(bio);
}

static int end_with(struct bio *bio, blk_status_t status)
{
	target_io(bio)->path = NULL;
	bio->bi_status = status;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/**
 * route_kick - look at paths and waiting I/O again
 * @t: table
 *
 * Context: any.
 */
void route_kick(struct target *t)
{
	mod_delayed_work(route_wq, &t->work, 0);
}

/*
 * Whoever parks kicks, under the lock: once it is dropped the bio may end, and
 * with the last one the table may go.
 */
static void park(struct target *t, struct bio_list *list, struct bio *bio,
		 unsigned int delay)
{
	struct target_io *io = target_io(bio);
	unsigned long flags;

	io->path = NULL;
	if (!io->parked) {
		io->parked = true;
		io->parked_at = jiffies;
	}
	spin_lock_irqsave(&t->lock, flags);
	bio_list_add(list, bio);
	if (delay)
		queue_delayed_work(route_wq, &t->work, delay);
	else
		mod_delayed_work(route_wq, &t->work, 0);
	spin_unlock_irqrestore(&t->lock, flags);
}

/* Nothing but a handler at work, which ends by itself, holds I/O for longer. */
static bool wait_on(struct target *t, bool late)
{
	if (late)
		return t->activation && activation_working(t->activation);
	return path_coming(t);
}

/**
 * route_want - there is no path, but somebody who wants one and cannot be parked
 * @t: table
 *
 * Context: any.
 * Return: true if trying again later makes sense.
 */
bool route_want(struct target *t)
{
	unsigned long flags;
	bool late;

	spin_lock_irqsave(&t->lock, flags);
	if (!t->wanted || lun_registering(t->lun)) {
		t->wanted = true;
		t->wanted_at = jiffies;
	}
	late = time_after(jiffies, t->wanted_at + lun_timeout(t->lun));
	spin_unlock_irqrestore(&t->lock, flags);
	route_kick(t);
	return READ_ONCE(t->queue_if_no_path) || wait_on(t, late);
}

/* No path now: wait, hand back, or fail (rules 5.2 and 5.5). */
static int without_path(struct target *t, struct bio *bio)
{
	struct target_io *io = target_io(bio);
	bool suspending = READ_ONCE(t->suspending);
	bool late;

	/* The time that an open holds it does not count. */
	if (lun_registering(t->lun))
		io->parked_at = jiffies;
	late = io->parked && time_after(jiffies, io->parked_at + lun_timeout(t->lun));

	if (bio->bi_opf & REQ_NOWAIT) {
		/* Nothing is parked, but a group that is down has to come up for it. */
		route_want(t);
		return end_with(bio, BLK_STS_AGAIN);
	}
	if (suspending && dm_noflush_suspending(t->ti))
		return end_with(bio, BLK_STS_DM_REQUEUE);
	if ((READ_ONCE(t->queue_if_no_path) && !suspending) || wait_on(t, late)) {
		park(t, &t->parked, bio, io->parked ? PARKED_CHECK : 0);
		return DM_MAPIO_SUBMITTED;
	}
	return end_with(bio, BLK_STS_IOERR);
}

/* A remount writes without an open: somebody has to say why that fails (rule 2.5). */
static int refuse_write(struct target *t, struct bio *bio)
{
	if (!READ_ONCE(t->refusal_told)) {
		WRITE_ONCE(t->refusal_told, true);
		DMWARN("%s: write refused: no open of this host has the LUN", lun_name(t->lun));
	}
	return end_with(bio, BLK_STS_RESV_CONFLICT);
}

/*
 * There and back
 */

static int route(struct target *t, struct bio *bio)
{
	struct target_io *io = target_io(bio);
	struct target_path *path;
	bool write = op_is_write(bio_op(bio));

	/* Rule 5.1; a flush writes nothing of its own. */
	if (write && unlikely(!lun_gate(t->lun)) && !is_flush(bio))
		return refuse_write(t, bio);
	path = choose_path(t, bio);
	if (unlikely(!path))
		return without_path(t, bio);
	if (write && unlikely(!lun_gate_still(t->lun)) && !is_flush(bio)) {
		this_cpu_dec(*path->lun_path->writes);
		return refuse_write(t, bio);
	}
	io->path = path;
	io->parked = false;
	if (t->needs & PATH_NEEDS_LOAD)
		count_start(t, io);
	bio_set_dev(bio, path->dev->bdev);
	/* A request takes read-ahead for failfast of all kinds, and its bios must say the same. */
	bio->bi_opf |= bio->bi_opf & REQ_RAHEAD ? REQ_FAILFAST_MASK : REQ_FAILFAST_TRANSPORT;
	return DM_MAPIO_REMAPPED;
}

/**
 * route_map - the target's map
 * @ti: target
 * @bio: the I/O
 *
 * Return: DM_MAPIO_*.
 */
int route_map(struct dm_target *ti, struct bio *bio)
{
	struct target *t = ti->private;
	struct target_io *io = target_io(bio);

	io->iter = bio->bi_iter;
	if (bio_integrity(bio))
		io->integrity = bio_integrity(bio)->bip_iter;
	io->opf = bio->bi_opf;
	io->flags = bio->bi_flags;
	io->conflicts = 0;
	io->parked = false;
	return route(t, bio);
}

/* As if it had never been sent; whoever sends it again may wait. */
static void rewind_bio(struct bio *bio)
{
	struct target_io *io = target_io(bio);

	bio->bi_iter = io->iter;
	if (bio_integrity(bio))
		bio_integrity(bio)->bip_iter = io->integrity;
	else
		io->opf &= ~REQ_INTEGRITY;
	bio->bi_opf = io->opf & ~REQ_NOWAIT;
	bio->bi_flags = io->flags;
	bio->bi_status = BLK_STS_OK;
	/* Who polls must not look for it in a queue of the path before. */
	WRITE_ONCE(bio->bi_cookie, BLK_QC_T_NONE);
	/* Splits below chained to it; all of them have ended. */
	atomic_set(&bio->__bi_remaining, 1);
}

/* What another path may do better; the rest is the I/O's own, and its limits' (CDL). */
static bool path_error(blk_status_t error)
{
	return blk_path_error(error) && error != BLK_STS_AGAIN &&
	       error != BLK_STS_DURATION_LIMIT;
}

/**
 * route_end_io - the target's end_io
 * @ti: target
 * @bio: the I/O
 * @error: how it ended
 *
 * Return: DM_ENDIO_*.
 */
int route_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct target *t = ti->private;
	struct target_io *io = target_io(bio);
	struct target_path *path = io->path;

	if (unlikely(!path))
		return DM_ENDIO_DONE;
	if (op_is_write(io->opf))
		this_cpu_dec(*path->lun_path->writes);
	if (t->needs & PATH_NEEDS_LOAD)
		count_end(t, io);
	/* For path_stay(); on another CPU it is missed, and a run lasts longer. */
	this_cpu_write(t->cursor->ended, io->iter.bi_sector + (io->iter.bi_size >> SECTOR_SHIFT));
	if (likely(!*error))
		return DM_ENDIO_DONE;
	if (*error == BLK_STS_RESV_CONFLICT) {
		if (io->conflicts++ >= CONFLICTS_MAX + t->paths ||
		    !lun_conflict(t->lun, path->lun_path))
			return DM_ENDIO_DONE;
		rewind_bio(bio);
		park(t, &t->disputed, bio, 0);
		return DM_ENDIO_INCOMPLETE;
	}
	if (!path_error(*error))
		return DM_ENDIO_DONE;
	lun_path_fail(t->lun, path->lun_path, "I/O error");
	rewind_bio(bio);
	park(t, &t->parked, bio, 0);
	return DM_ENDIO_INCOMPLETE;
}

/*
 * The set of usable paths
 */

static bool same_set(const struct target *t, const struct path_set *set, int group,
		     u64 paths)
{
	u32 n = 0, i;

	for (i = 0; i < t->paths; i++) {
		if (!(paths & BIT_ULL(i)))
			continue;
		if (n >= set->count || set->slot[n++].path != i)
			return false;
	}
	return n == set->count && (!n || set->group == group);
}

static void publish_set(struct target *t, int group, u64 paths)
{
	struct path_set *old = rcu_dereference_protected(t->set, true);
	struct path_set *set = t->sets[old == t->sets[0]];
	u32 i;

	if (same_set(t, old, group, paths))
		return;
	cond_synchronize_rcu(t->set_unused);
	set->count = 0;
	set->group = group < 0 ? 0 : group;
	if (group >= 0)
		set->args = t->group[group].args;
	for (i = 0; i < t->paths; i++)
		if (paths & BIT_ULL(i))
			set->slot[set->count++] = t->path[i].slot;
	if (set->count && t->group[group].selector->needs & PATH_NEEDS_HOME)
		path_set_home(set, set->home, nr_cpu_ids);
	rcu_assign_pointer(t->set, set);
	t->set_unused = get_state_synchronize_rcu();
}

/* Bits of the usable paths of a group, -1 = of all. */
static u64 usable_paths(struct target *t, int group)
{
	u64 paths = 0;
	u32 i;

	for (i = 0; i < t->paths; i++)
		if ((group < 0 || t->path[i].group == group) && path_usable(&t->path[i]))
			paths |= BIT_ULL(i);
	return paths;
}

static bool group_pending(const struct target *t, int group)
{
	u32 i;

	for (i = 0; i < t->paths; i++)
		if (t->path[i].group == group &&
		    lun_path_pending(t->lun, t->path[i].lun_path))
			return true;
	return false;
}

/**
 * struct choice - what to do about groups
 * @group: the one to use, or -1
 * @bypassed: it is a second choice
 * @anew: activate it anew
 * @needed: there is something to send
 * @held: an open that registers holds all I/O for a while
 */
struct choice {
	int group;
	bool bypassed;
	bool anew;
	bool needed;
	bool held;
};

static struct choice choose_group(struct target *t)
{
	struct choice choice = { };
	struct path_group_view view[PRM_MAX_GROUPS];
	unsigned long flags;
	int group = -1, wanted;
	u32 g;

	/* Registering paths waits for RCU: so the open does not begin and end in between. */
	rcu_read_lock();
	choice.held = lun_registering(t->lun);
	for (g = 0; g < t->groups; g++)
		view[g].usable = hweight64(usable_paths(t, g));
	/* Some of them only since they go or come just now; pairs with publish() in lun.c. */
	smp_rmb();
	choice.held |= lun_registering(t->lun);
	rcu_read_unlock();

	spin_lock_irqsave(&t->lock, flags);
	for (g = 0; g < t->groups; g++)
		view[g].bypassed = t->group[g].bypassed;
	wanted = t->wanted_group;
	if (!choice.held)
		group = path_group_choose(view, t->groups, t->group_now, wanted);
	if (group >= 0) {
		t->group_now = group;
		/*
		 * A wish is for once: when that group fails, coming back is a new
		 * decision. Paths that wait for their registration may still fulfil it.
		 */
		if (group == wanted || !group_pending(t, wanted))
			t->wanted_group = -1;
		choice.bypassed = view[group].bypassed;
	}
	/* Whoever still wants one asks again. */
	if (group < 0 && !path_coming(t))
		t->wanted = false;
	choice.group = group;
	choice.anew = t->anew;
	t->anew = false;
	choice.needed = t->wanted || t->sending || !bio_list_empty(&t->parked) ||
			!bio_list_empty(&t->disputed);
	spin_unlock_irqrestore(&t->lock, flags);
	return choice;
}

static bool events_due(const struct target *t)
{
	u32 i;

	for (i = 0; i < t->paths; i++) {
		const struct target_path *path = &t->path[i];

		const struct lun_path *lun_path = path->lun_path;

		if (READ_ONCE(path->failures) != atomic_read(&lun_path->fail_count) ||
		    READ_ONCE(path->failed_told) != test_bit(LUN_PATH_FAILED, &lun_path->flags))
			return true;
	}
	return false;
}

/* Paths that failed since the last look, bits of path numbers. */
static u64 lost_paths(struct target *t)
{
	u64 lost = 0;
	u32 i;

	for (i = 0; i < t->paths; i++) {
		int failures = atomic_read(&t->path[i].lun_path->fail_count);

		if (t->path[i].failures_seen != failures)
			lost |= BIT_ULL(i);
		t->path[i].failures_seen = failures;
	}
	return lost;
}

/* Those of the chosen group that can take I/O now; the others are brought up. */
static u64 active_paths(struct target *t, const struct choice *choice)
{
	u64 lost, paths;

	/* The group is what it was when they are back. */
	if (choice->held && !choice->anew)
		return 0;
	lost = lost_paths(t);
	if (t->activation && (choice->anew || choice->group < 0))
		activation_forget(t->activation);
	if (choice->group < 0)
		return 0;
	paths = usable_paths(t, choice->group);
	return t->activation ? activation_ready(t->activation, choice->group, paths, lost,
						choice->bypassed, choice->needed) : paths;
}

static void rebuild(struct target *t)
{
	struct choice choice = choose_group(t);
	u64 paths = active_paths(t, &choice);

	publish_set(t, choice.group, paths);
	/* That a table begins with some group is no news. */
	if (events_due(t) || (paths && t->group_told >= 0 && choice.group != t->group_told))
		queue_work(system_unbound_wq, &t->events);
	if (paths) {
		unsigned long flags;

		t->group_told = choice.group;
		spin_lock_irqsave(&t->lock, flags);
		t->wanted = false;
		spin_unlock_irqrestore(&t->lock, flags);
	}
}

/*
 * Queueing for ever hides that storage is gone: the administrator may set an end to
 * it. Returns when to look again, in jiffies from now, 0 = never.
 */
static unsigned long limit_queueing(struct target *t)
{
	unsigned long limit = (unsigned long)READ_ONCE(queue_if_no_path_timeout_secs) * HZ;
	bool held = lun_registering(t->lun), usable = usable_paths(t, -1), over = false;
	unsigned long flags, left = 0;

	usable |= held && path_coming(t);
	/* One that waits for its registration has its time (rule 5.2). */
	if (limit && path_coming(t))
		limit += lun_timeout(t->lun);
	spin_lock_irqsave(&t->lock, flags);
	if (!usable && !t->no_path)
		t->no_path_since = jiffies;
	t->no_path = !usable;
	if (limit && t->no_path && t->queue_if_no_path) {
		over = time_after_eq(jiffies, t->no_path_since + limit);
		if (over)
			WRITE_ONCE(t->queue_if_no_path, false);
		else
			left = t->no_path_since + limit - jiffies;
	}
	spin_unlock_irqrestore(&t->lock, flags);
	if (over)
		DMWARN("%s: no path for %lu s: queue_if_no_path is turned off",
		       lun_name(t->lun), limit / HZ);
	return left;
}

static void send_again(struct target *t, struct bio *bio)
{
	if (route(t, bio) == DM_MAPIO_REMAPPED)
		submit_bio_noacct(bio);
}

/* After a verdict: the same I/O again, or the conflict goes up. */
static void settle(struct target *t, struct bio *bio)
{
	struct target_io *io = target_io(bio);
	bool late = time_after(jiffies, io->parked_at + lun_timeout(t->lun));
	bool undecided = lun_undecided(t->lun);

	if (READ_ONCE(t->suspending) && dm_noflush_suspending(t->ti))
		end_with(bio, BLK_STS_DM_REQUEUE);
	else if (undecided && !late)
		park(t, &t->disputed, bio, PARKED_CHECK);
	else if (undecided || (op_is_write(bio_op(bio)) && !lun_gate(t->lun)))
		end_with(bio, BLK_STS_RESV_CONFLICT);
	else
		send_again(t, bio);
}

static void route_work(struct work_struct *work)
{
	struct target *t = container_of(to_delayed_work(work), struct target, work);
	unsigned int noio = memalloc_noio_save();
	unsigned long flags, look;

	rebuild(t);
	look = limit_queueing(t);
	spin_lock_irqsave(&t->lock, flags);
	if (t->sending || !bio_list_empty(&t->parked) || !bio_list_empty(&t->disputed))
		look = look ? min_t(unsigned long, look, PARKED_CHECK) : PARKED_CHECK;
	spin_unlock_irqrestore(&t->lock, flags);
	queue_work(send_wq, &t->send);
	if (look)
		queue_delayed_work(route_wq, &t->work, look);
	memalloc_noio_restore(noio);
}

/*
 * May wait until the paths that it sends to have room, and so for as long as one that
 * has just died keeps what it has; the choice of paths does not wait for that.
 */
static void send_work(struct work_struct *work)
{
	struct target *t = container_of(work, struct target, send);
	unsigned int noio = memalloc_noio_save();
	struct bio_list parked, disputed;
	struct blk_plug plug;
	unsigned long flags;
	struct bio *bio;

	spin_lock_irqsave(&t->lock, flags);
	parked = t->parked;
	bio_list_init(&t->parked);
	disputed = t->disputed;
	bio_list_init(&t->disputed);
	t->sending = !bio_list_empty(&parked) || !bio_list_empty(&disputed);
	spin_unlock_irqrestore(&t->lock, flags);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&disputed)))
		settle(t, bio);
	while ((bio = bio_list_pop(&parked)))
		send_again(t, bio);
	blk_finish_plug(&plug);
	spin_lock_irqsave(&t->lock, flags);
	t->sending = false;
	spin_unlock_irqrestore(&t->lock, flags);
	memalloc_noio_restore(noio);
}

/* dm core's own words for it, which multipathd and others listen to. */
static void tell_path(struct target *t, struct target_path *path)
{
	int failures = atomic_read(&path->lun_path->fail_count);
	bool failed = test_bit(LUN_PATH_FAILED, &path->lun_path->flags);
	u32 valid = 0, i;

	for (i = 0; i < t->paths; i++)
		valid += !test_bit(LUN_PATH_FAILED, &t->path[i].lun_path->flags);
	if (failures != path->failures || (failed && !path->failed_told)) {
		dm_path_uevent(DM_UEVENT_PATH_FAILED, t->ti, path->lun_path->name, valid);
		WRITE_ONCE(path->failed_told, true);
	}
	if (!failed && path->failed_told) {
		dm_path_uevent(DM_UEVENT_PATH_REINSTATED, t->ti, path->lun_path->name, valid);
		WRITE_ONCE(path->failed_told, false);
	}
	WRITE_ONCE(path->failures, failures);
}

static void events_work(struct work_struct *work)
{
	struct target *t = container_of(work, struct target, events);
	u32 i;

	for (i = 0; i < t->paths; i++)
		tell_path(t, &t->path[i]);
	dm_table_event(t->ti->table);
}

/*
 * Messages about groups and queueing
 */

static void group_event(struct target *t)
{
	route_kick(t);
	queue_work(system_unbound_wq, &t->events);
}

/**
 * route_set_queueing - what I/O does without a path
 * @t: table
 * @on: wait; else fail
 *
 * Context: any.
 */
void route_set_queueing(struct target *t, bool on)
{
	unsigned long flags;

	spin_lock_irqsave(&t->lock, flags);
	/* With a limit on queueing, its time starts anew. */
	t->no_path_since = jiffies;
	WRITE_ONCE(t->queue_if_no_path, on);
	spin_unlock_irqrestore(&t->lock, flags);
	route_kick(t);
}

/**
 * route_bypass_group - use a group only if nothing else is left, or as any other
 * @t: table
 * @group: its index
 * @bypassed: which of the two
 *
 * The group is chosen anew in both cases, as dm-multipath does.
 *
 * Context: any.
 */
void route_bypass_group(struct target *t, u32 group, bool bypassed)
{
	unsigned long flags;

	spin_lock_irqsave(&t->lock, flags);
	t->group[group].bypassed = bypassed;
	t->group_now = -1;
	spin_unlock_irqrestore(&t->lock, flags);
	group_event(t);
}

/**
 * route_group_works - a path of a group was activated: it is no second choice any more
 * @t: table
 * @group: its index
 *
 * Context: any.
 */
void route_group_works(struct target *t, u32 group)
{
	unsigned long flags;

	spin_lock_irqsave(&t->lock, flags);
	t->group[group].bypassed = false;
	spin_unlock_irqrestore(&t->lock, flags);
	route_kick(t);
}

/**
 * route_switch_group - use a group from now on, if it has a path
 * @t: table
 * @group: its index
 *
 * Ends every bypass, and activates the group anew.
 *
 * Context: any.
 */
void route_switch_group(struct target *t, u32 group)
{
	unsigned long flags;
	u32 g;

	spin_lock_irqsave(&t->lock, flags);
	for (g = 0; g < t->groups; g++)
		t->group[g].bypassed = false;
	t->group_now = -1;
	t->wanted_group = group;
	t->anew = true;
	spin_unlock_irqrestore(&t->lock, flags);
	group_event(t);
}

/*
 * Tables come and go
 */

static u32 needs_of(const struct target *t)
{
	u32 needs = 0, g;

	for (g = 0; g < t->groups; g++)
		needs |= t->group[g].selector->needs;
	return needs;
}

/**
 * route_alloc - what the I/O of a table needs
 * @t: table; its groups and paths are filled in
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM; route_free() in both cases.
 */
int route_alloc(struct target *t)
{
	struct path_cursor *cursor;
	size_t past;
	int cpu;
	u32 i;

	spin_lock_init(&t->lock);
	bio_list_init(&t->parked);
	bio_list_init(&t->disputed);
	INIT_DELAYED_WORK(&t->work, route_work);
	INIT_WORK(&t->send, send_work);
	INIT_WORK(&t->events, events_work);
	t->set_unused = get_state_synchronize_rcu();
	t->needs = needs_of(t);

	for (i = 0; i < 2; i++) {
		t->sets[i] = kzalloc(struct_size(t->sets[i], slot, t->paths), GFP_KERNEL);
		if (!t->sets[i])
			return -ENOMEM;
		if (!(t->needs & PATH_NEEDS_HOME))
			continue;
		t->sets[i]->home = kzalloc(nr_cpu_ids, GFP_KERNEL);
		if (!t->sets[i]->home)
			return -ENOMEM;
	}
	rcu_assign_pointer(t->set, t->sets[0]);

	past = t->needs & PATH_NEEDS_LOAD ? t->paths : 0;
	t->cursor = __alloc_percpu(struct_size(cursor, past, past), __alignof__(*cursor));
	if (!t->cursor)
		return -ENOMEM;
	/* So that CPUs do not begin on the same path. */
	for_each_possible_cpu(cpu) {
		cursor = per_cpu_ptr(t->cursor, cpu);
		cursor->cpu = cpu;
		cursor->index = cpu;
		cursor->next = U64_MAX;
	}
	if (past) {
		t->load = __alloc_percpu(past * sizeof(struct path_load),
					 __alignof__(struct path_load));
		if (!t->load)
			return -ENOMEM;
	}
	return 0;
}

/**
 * route_free - undo route_alloc()
 * @t: table
 */
void route_free(struct target *t)
{
	u32 i;

	free_percpu(t->load);
	free_percpu(t->cursor);
	for (i = 0; i < 2; i++) {
		if (t->sets[i])
			kfree(t->sets[i]->home);
		kfree(t->sets[i]);
	}
}

/**
 * route_stop - no work on the table from now on
 * @t: table, which nothing can kick any more
 *
 * Context: may sleep.
 */
void route_stop(struct target *t)
{
	/* Its callbacks kick the work, and the work asks it: so in three steps. */
	if (t->activation)
		activation_stop(t->activation);
	cancel_delayed_work_sync(&t->work);
	cancel_work_sync(&t->send);
	cancel_work_sync(&t->events);
	activation_destroy(t->activation);
	t->activation = NULL;
}

int route_init(void)
{
	route_wq = alloc_workqueue("prmpath", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!route_wq)
		return -ENOMEM;
	send_wq = alloc_workqueue("prmpath_send", WQ_UNBOUND | WQ_MEM_RECLAIM, WQ_MAX_ACTIVE);
	if (!send_wq) {
		destroy_workqueue(route_wq);
		return -ENOMEM;
	}
	return 0;
}

void route_exit(void)
{
	destroy_workqueue(route_wq);
	destroy_workqueue(send_wq);
}
