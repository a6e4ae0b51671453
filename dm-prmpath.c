// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-prmpath: a multipath target that owns the paths to a LUN and the
 * persistent reservation on it. This file is the device-mapper side: tables,
 * the way of an I/O to a path, messages and status.
 */
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <scsi/scsi_dh.h>

#include "bdev_hook.h"
#include "compat.h"
#include "control.h"
#include "lun.h"
#include "path_select.h"
#include "scsi_cmd.h"
#include "table.h"
#include "uapi/prmpath.h"

#define DM_MSG_PREFIX "prmpath"

#define PRM_RELEASE		"0.1.0"
#define CONFLICTS_MAX		4	/* verdicts on one I/O before it fails */
#define PARKED_CHECK		msecs_to_jiffies(500)
#define CLEAR_WORD		"destroy-all-registrations"

/**
 * struct target_path - a path in this table
 * @lun_path: the nexus, shared with other tables of the same device
 * @dev: the block device
 * @slot: its selector's words
 * @has_repeat: they were in the table line
 * @group: its priority group
 */
struct target_path {
	struct lun_path *lun_path;
	struct dm_dev *dev;
	struct path_slot slot;
	bool has_repeat;
	u32 group;
};

struct target_group {
	const struct path_selector *selector;
	u32 first;
	u32 paths;
	bool bypassed;
};

/**
 * struct target - one table
 * @ti: device-mapper's side of it
 * @lun: the LUN, with a reference
 * @client: how the LUN calls back
 * @features: as in the table line
 * @queue_if_no_path: I/O without a path waits; changed by message
 * @suspending: between presuspend and resume
 * @set: the usable paths; readers hold RCU, the rebuilding work writes
 * @sets: the two buffers between which @set changes; no allocation is needed
 * @set_unused: grace period after which the other buffer may be written
 * @cursor: where each CPU stands in its round
 * @lock: the two lists and @wanted_group; taken from end_io
 * @parked: I/O without a path to go to
 * @disputed: I/O that met a conflict and waits for the verdict (rule 5.4)
 * @wanted_group: index of the initial or requested group
 * @refusal_told: a write was refused since the gate closed, and logged
 * @work: rebuilds the set and sends what is parked
 * @group_now: the group of @set, or the last one that was
 * @initial_group: of the table line, from 1
 * @hw_words: hardware handler and its arguments, to print again
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
	bool queue_if_no_path;
	bool suspending;
	struct path_set __rcu *set;
	struct path_set *sets[2];
	unsigned long set_unused;
	struct path_cursor __percpu *cursor;

	spinlock_t lock;	/* see above */
	struct bio_list parked;
	struct bio_list disputed;
	int wanted_group;
	bool refusal_told;

	struct delayed_work work;
	int group_now;
	u32 initial_group;
	char *hw_words;
	u32 groups;
	u32 paths;
	struct target_group group[PRM_MAX_GROUPS];
	struct target_path path[PRM_MAX_PATHS];
};

/**
 * struct target_io - what a retry needs of a bio
 * @path: where it was sent, NULL while it is here
 * @iter: as it came
 * @opf: likewise
 * @flags: likewise
 * @conflicts: verdicts that it went through
 * @parked: it waits since @parked_at
 * @parked_at: jiffies
 */
struct target_io {
	struct target_path *path;
	struct bvec_iter iter;
	blk_opf_t opf;
	unsigned short flags;
	u8 conflicts;
	bool parked;
	unsigned long parked_at;
};

static struct workqueue_struct *target_wq;

static struct target_io *target_io(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct target_io));
}

/*
 * The way of an I/O
 */

static bool path_usable(const struct target_path *path)
{
	unsigned long flags = READ_ONCE(path->lun_path->flags);

	return (flags & (BIT(LUN_PATH_FAILED) | BIT(LUN_PATH_ADMITTED))) ==
	       BIT(LUN_PATH_ADMITTED);
}

/* Lock-free: a stale set is harmless, since each path's own flags decide. */
static struct target_path *choose_path(struct target *t)
{
	struct target_path *path = NULL;
	struct path_cursor *cursor;
	struct path_set *set;
	u32 i;

	rcu_read_lock();
	set = rcu_dereference(t->set);
	if (!set || !set->count)
		goto out;
	cursor = get_cpu_ptr(t->cursor);
	for (i = 0; i < set->count; i++) {
		const struct path_selector *selector = t->group[set->group].selector;

		path = &t->path[set->slot[selector->select(set, cursor)].path];
		if (likely(path_usable(path)))
			break;
		cursor->left = 0;
		path = NULL;
	}
	put_cpu_ptr(t->cursor);
out:
	rcu_read_unlock();
	return path;
}

/* In the slow path: some path that the set does not know yet? */
static bool path_coming(struct target *t)
{
	u32 i;

	for (i = 0; i < t->paths; i++)
		if (path_usable(&t->path[i]) ||
		    lun_path_pending(t->lun, t->path[i].lun_path))
			return true;
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

static void kick(struct target *t)
{
	mod_delayed_work(target_wq, &t->work, 0);
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
		queue_delayed_work(target_wq, &t->work, delay);
	else
		mod_delayed_work(target_wq, &t->work, 0);
	spin_unlock_irqrestore(&t->lock, flags);
}

/* No path now: wait, hand back, or fail (rules 5.2 and 5.5). */
static int without_path(struct target *t, struct bio *bio)
{
	struct target_io *io = target_io(bio);
	bool late = io->parked && time_after(jiffies, io->parked_at +
						      lun_timeout(t->lun));
	bool suspending = READ_ONCE(t->suspending);

	if (suspending && dm_noflush_suspending(t->ti))
		return end_with(bio, BLK_STS_DM_REQUEUE);
	if ((READ_ONCE(t->queue_if_no_path) && !suspending) ||
	    (!late && path_coming(t))) {
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

static int route(struct target *t, struct bio *bio)
{
	struct target_path *path;

	/* Rule 5.1: one load; a flush writes nothing of its own. */
	if (op_is_write(bio_op(bio)) && unlikely(!lun_gate(t->lun)) && !is_flush(bio))
		return refuse_write(t, bio);
	path = choose_path(t);
	if (unlikely(!path))
		return without_path(t, bio);
	target_io(bio)->path = path;
	target_io(bio)->parked = false;
	bio_set_dev(bio, path->dev->bdev);
	bio->bi_opf |= REQ_FAILFAST_TRANSPORT;
	return DM_MAPIO_REMAPPED;
}

static int target_map(struct dm_target *ti, struct bio *bio)
{
	struct target *t = ti->private;
	struct target_io *io = target_io(bio);

	io->iter = bio->bi_iter;
	io->opf = bio->bi_opf;
	io->flags = bio->bi_flags;
	io->conflicts = 0;
	io->parked = false;
	return route(t, bio);
}

/* As if it had never been sent. */
static void rewind_bio(struct bio *bio)
{
	struct target_io *io = target_io(bio);

	bio->bi_iter = io->iter;
	bio->bi_opf = io->opf;
	bio->bi_flags = io->flags;
	bio->bi_status = BLK_STS_OK;
	/* Splits below chained to it; all of them have ended. */
	atomic_set(&bio->__bi_remaining, 1);
}

static int target_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct target *t = ti->private;
	struct target_io *io = target_io(bio);
	struct target_path *path = io->path;

	if (likely(!*error) || !path)
		return DM_ENDIO_DONE;
	if (*error == BLK_STS_RESV_CONFLICT) {
		if (io->conflicts++ >= CONFLICTS_MAX ||
		    !lun_conflict(t->lun, path->lun_path))
			return DM_ENDIO_DONE;
		rewind_bio(bio);
		park(t, &t->disputed, bio, 0);
		return DM_ENDIO_INCOMPLETE;
	}
	if (!blk_path_error(*error) || *error == BLK_STS_AGAIN)
		return DM_ENDIO_DONE;
	lun_path_fail(t->lun, path->lun_path, "I/O error");
	rewind_bio(bio);
	park(t, &t->parked, bio, 0);
	return DM_ENDIO_INCOMPLETE;
}

/*
 * The set of usable paths
 */

static bool same_set(const struct target *t, const struct path_set *set, int group)
{
	u32 n = 0, i;

	if (group < 0)
		return !set->count;
	for (i = 0; i < t->paths; i++) {
		if (t->path[i].group != group || !path_usable(&t->path[i]))
			continue;
		if (n >= set->count || set->slot[n++].path != i)
			return false;
	}
	return set->group == group && n == set->count;
}

static void rebuild(struct target *t)
{
	struct path_group_view view[PRM_MAX_GROUPS];
	struct path_set *old, *set;
	int group, wanted;
	unsigned long flags;
	u32 g, i;

	for (g = 0; g < t->groups; g++) {
		view[g].usable = 0;
		view[g].bypassed = READ_ONCE(t->group[g].bypassed);
	}
	for (i = 0; i < t->paths; i++)
		if (path_usable(&t->path[i]))
			view[t->path[i].group].usable++;

	spin_lock_irqsave(&t->lock, flags);
	wanted = t->wanted_group;
	spin_unlock_irqrestore(&t->lock, flags);
	group = path_group_choose(view, t->groups, t->group_now, wanted);

	old = rcu_dereference_protected(t->set, true);
	if (old && same_set(t, old, group))
		return;
	set = t->sets[old == t->sets[0]];
	cond_synchronize_rcu(t->set_unused);
	set->count = 0;
	set->group = group < 0 ? 0 : group;
	for (i = 0; group >= 0 && i < t->paths; i++)
		if (t->path[i].group == group && path_usable(&t->path[i])) {
			set->slot[set->count] = t->path[i].slot;
			set->slot[set->count++].path = i;
		}
	rcu_assign_pointer(t->set, set);
	t->set_unused = get_state_synchronize_rcu();
	if (group >= 0)
		t->group_now = group;
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

	if (READ_ONCE(t->suspending) && dm_noflush_suspending(t->ti))
		end_with(bio, BLK_STS_DM_REQUEUE);
	else if (lun_undecided(t->lun) && !late)
		park(t, &t->disputed, bio, PARKED_CHECK);
	else if (late || !lun_gate(t->lun))
		end_with(bio, BLK_STS_RESV_CONFLICT);
	else
		send_again(t, bio);
}

static void target_work(struct work_struct *work)
{
	struct target *t = container_of(to_delayed_work(work), struct target, work);
	struct bio_list parked, disputed;
	struct blk_plug plug;
	unsigned long flags;
	unsigned int noio = memalloc_noio_save();
	struct bio *bio;

	rebuild(t);
	spin_lock_irqsave(&t->lock, flags);
	parked = t->parked;
	bio_list_init(&t->parked);
	disputed = t->disputed;
	bio_list_init(&t->disputed);
	spin_unlock_irqrestore(&t->lock, flags);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&disputed)))
		settle(t, bio);
	while ((bio = bio_list_pop(&parked)))
		send_again(t, bio);
	blk_finish_plug(&plug);
	memalloc_noio_restore(noio);
}

static void client_changed(struct lun_client *client)
{
	struct target *t = container_of(client, struct target, client);

	if (lun_gate(t->lun))
		WRITE_ONCE(t->refusal_told, false);
	kick(t);
}

static void client_event(struct lun_client *client)
{
	dm_table_event(container_of(client, struct target, client)->ti->table);
}

/*
 * Tables
 */

static char *join_words(const char *first, unsigned int argc, char **argv)
{
	size_t len = strlen(first) + 1;
	unsigned int i;
	char *words;

	for (i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	words = kmalloc(len, GFP_KERNEL);
	if (!words)
		return NULL;
	strscpy(words, first, len);
	for (i = 0; i < argc; i++) {
		strlcat(words, " ", len);
		strlcat(words, argv[i], len);
	}
	return words;
}

static void free_target(struct target *t)
{
	u32 i;

	for (i = 0; i < t->paths; i++) {
		if (t->path[i].lun_path)
			lun_path_put(t->lun, t->path[i].lun_path);
		if (t->path[i].dev)
			dm_put_device(t->ti, t->path[i].dev);
	}
	free_percpu(t->cursor);
	kfree(t->sets[0]);
	kfree(t->sets[1]);
	kfree(t->hw_words);
	kfree(t);
}

static struct target *alloc_target(struct dm_target *ti, const struct prm_table *table)
{
	struct target *t = kzalloc(sizeof(*t), GFP_KERNEL);
	u32 i;

	if (!t)
		return NULL;
	t->ti = ti;
	t->features = table->features;
	t->queue_if_no_path = table->features.flags & PRM_F_QUEUE_IF_NO_PATH;
	t->client.changed = client_changed;
	t->client.event = client_event;
	spin_lock_init(&t->lock);
	bio_list_init(&t->parked);
	bio_list_init(&t->disputed);
	INIT_DELAYED_WORK(&t->work, target_work);
	t->set_unused = get_state_synchronize_rcu();
	t->wanted_group = (int)table->initial_group - 1;
	t->group_now = t->wanted_group;
	t->initial_group = table->initial_group;
	t->groups = table->groups;
	for (i = 0; i < t->groups; i++) {
		t->group[i].selector = table->group[i].selector;
		t->group[i].first = table->group[i].first_path;
		t->group[i].paths = table->group[i].paths;
	}
	for (i = 0; i < table->paths; i++) {
		t->path[i].slot = table->path[i].slot;
		t->path[i].has_repeat = table->path[i].has_repeat;
		t->path[i].group = table->path[i].group;
	}
	t->cursor = alloc_percpu(struct path_cursor);
	for (i = 0; i < 2; i++)
		t->sets[i] = kzalloc(struct_size(t->sets[i], slot, PRM_MAX_PATHS),
				     GFP_KERNEL);
	t->hw_words = table->hw_handler ?
		join_words(table->hw_handler, table->hw_argc, table->hw_argv) : NULL;
	if (!t->cursor || !t->sets[0] || !t->sets[1] ||
	    (table->hw_handler && !t->hw_words)) {
		free_target(t);
		return NULL;
	}
	return t;
}

/* The handler sees to retries in ALUA transitions; groups are not activated. */
static int attach_handler(struct target_path *path, const char *handler,
			  char error[PRM_ERROR_LEN])
{
	int r = scsi_dh_attach(bdev_get_queue(path->dev->bdev), handler);

	if (r == -EBUSY) {
		DMINFO("path %s keeps its hardware handler", path->lun_path->name);
		return 0;
	}
	if (r)
		scnprintf(error, PRM_ERROR_LEN,
			  "path %s: hardware handler '%.40s' cannot be attached (%d)",
			  path->lun_path->name, handler, r);
	return r;
}

static int add_paths(struct target *t, const struct prm_table *table,
		     char error[PRM_ERROR_LEN])
{
	u32 i, j;
	int r;

	for (i = 0; i < table->paths; i++) {
		const char *name = table->path[i].name;
		struct target_path *path = &t->path[i];

		t->paths = i + 1;
		r = dm_get_device(t->ti, name, dm_table_get_mode(t->ti->table), &path->dev);
		if (r) {
			scnprintf(error, PRM_ERROR_LEN, "path %s cannot be opened (%d)",
				  name, r);
			return r;
		}
		path->lun_path = lun_path_get(t->lun, path->dev->bdev,
					      t->features.key, error);
		if (IS_ERR(path->lun_path)) {
			r = PTR_ERR(path->lun_path);
			path->lun_path = NULL;
			return r;
		}
		r = table->hw_handler ?
			attach_handler(path, table->hw_handler, error) : 0;
		if (r)
			return r;
		for (j = 0; j < i; j++)
			if (t->path[j].lun_path == path->lun_path) {
				scnprintf(error, PRM_ERROR_LEN,
					  "path %s is in the table twice", name);
				return -EINVAL;
			}
	}
	return 0;
}

/* One user less of the hook; the last one ends the LUN's PR work. */
static void leave_lun(struct target *t)
{
	unsigned int openers = 0;
	bool last = false;

	bdev_hook_detach(dm_table_get_md(t->ti->table), &last, &openers);
	if (last)
		lun_shutdown(t->lun, openers);
}

static int build_target(struct dm_target *ti, const struct prm_table *table,
			char error[PRM_ERROR_LEN])
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	struct target *t;
	struct lun *lun, *created;
	void *owner;
	int r;

	t = alloc_target(ti, table);
	created = lun_create(md);
	if (!t || !created) {
		scnprintf(error, PRM_ERROR_LEN, "out of memory");
		r = -ENOMEM;
		goto free;
	}
	r = bdev_hook_attach(md, &lun_hook_ops, created, &owner);
	if (r) {
		scnprintf(error, PRM_ERROR_LEN,
			  "open and release of the device cannot be hooked (%d)", r);
		goto free;
	}
	lun = owner;
	if (lun != created)
		lun_put(created);
	created = NULL;
	t->lun = lun;
	r = add_paths(t, table, error);
	if (!r)
		r = lun_check(lun, &table->features, error);
	if (r)
		goto leave;
	ti->private = t;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->per_io_data_size = sizeof(struct target_io);
	return 0;

leave:
	leave_lun(t);
	free_target(t);
	lun_put(lun);
	return r;
free:
	if (created)
		lun_put(created);
	if (t)
		free_target(t);
	return r;
}

static int target_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct prm_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	char *error = kzalloc(PRM_ERROR_LEN, GFP_KERNEL);
	int r = -ENOMEM;

	ti->error = "out of memory";
	if (!table || !error)
		goto out;
	ti->error = "table line refused (see the message above)";
	r = prm_table_parse(table, argc, argv, error);
	if (!r)
		r = build_target(ti, table, error);
	if (r)
		DMERR("%s: %s", dm_device_name(dm_table_get_md(ti->table)), error);
out:
	kfree(error);
	kfree(table);
	return r;
}

static void target_dtr(struct dm_target *ti)
{
	struct target *t = ti->private;
	struct lun *lun = t->lun;

	lun_deactivate(lun, &t->client);
	cancel_delayed_work_sync(&t->work);
	leave_lun(t);
	free_target(t);
	lun_put(lun);
}

static void target_presuspend(struct dm_target *ti)
{
	struct target *t = ti->private;

	WRITE_ONCE(t->suspending, true);
	kick(t);
}

static void target_presuspend_undo(struct dm_target *ti)
{
	struct target *t = ti->private;

	WRITE_ONCE(t->suspending, false);
	kick(t);
}

static void target_postsuspend(struct dm_target *ti)
{
	struct target *t = ti->private;

	flush_delayed_work(&t->work);
}

static void target_resume(struct dm_target *ti)
{
	struct target *t = ti->private;
	struct lun_path **paths;
	u32 i;

	WRITE_ONCE(t->suspending, false);
	paths = kmalloc_array(t->paths + 1, sizeof(*paths), GFP_NOIO | __GFP_NOFAIL);
	for (i = 0; i < t->paths; i++)
		paths[i] = t->path[i].lun_path;
	lun_activate(t->lun, &t->client, &t->features, paths, t->paths);
	kfree(paths);
	kick(t);
}

/*
 * Status
 */

static unsigned int parked_count(struct target *t)
{
	unsigned long flags;
	unsigned int n;

	spin_lock_irqsave(&t->lock, flags);
	n = bio_list_size(&t->parked) + bio_list_size(&t->disputed);
	spin_unlock_irqrestore(&t->lock, flags);
	return n;
}

static const char *state_word(const struct lun_view *view)
{
	const struct pr_lun *pr = &view->pr;

	if (!pr->cfg.key)
		return "off";
	if (pr->state == PR_STATE_FREE && pr->seen_valid && pr->seen.held &&
	    (pr->seen.key != pr->cfg.key || pr->twin))
		return "foreign";
	if (pr->state == PR_STATE_OWNER && !pr->live)
		return "unknown";
	return pr_state_name(pr->state);
}

/* What the status line is put together in; too large for the stack. */
struct status_room {
	struct lun_view view;
	char open[64];
	char open_ro[64];
	char session[64];
	char holder[40];
	char words[512];
};

static void print_holder(struct status_room *room)
{
	const struct pr_lun *pr = &room->view.pr;
	const char *name = pr->holder == PR_NO_PATH ? NULL : room->view.holder;

	if (pr->state == PR_STATE_OWNER || pr->state == PR_STATE_RETAINED ||
	    pr->state == PR_STATE_RELEASING)
		scnprintf(room->holder, sizeof(room->holder), "own%s%s",
			  name ? ":" : "", name ? name : "");
	else if (pr->seen_valid && pr->seen.held)
		scnprintf(room->holder, sizeof(room->holder), "foreign:0x%016llx",
			  pr->seen.key);
	else
		strscpy(room->holder, "none", sizeof(room->holder));
}

/* The words after the first two, which dm-multipath has as well. */
static unsigned int print_pr(struct target *t, struct status_room *room)
{
	struct lun_view *view = &room->view;
	const struct pr_lun *pr = &view->pr;

	lun_view(t->lun, view);
	prm_options_print(view->open, room->open, sizeof(room->open));
	prm_options_print(view->open_ro, room->open_ro, sizeof(room->open_ro));
	prm_options_print(pr->session, room->session, sizeof(room->session));
	print_holder(room);
	scnprintf(room->words, sizeof(room->words),
		  "pr=%d state=%s key=0x%016llx type=%u holder=%s gen=%u opens=%u options=%s gate=%s open=%s open_ro=%s keys_own=%u keys_foreign=%u stale_cache=%d",
		  !!pr->cfg.key, state_word(view), pr->cfg.key, pr->type, room->holder,
		  pr->seen_valid ? pr->seen.generation : 0, view->openers,
		  room->session, view->gate ? "open" : "closed", room->open,
		  room->open_ro, pr->keys_own, pr->keys_foreign, view->stale_cache);
	return 14;
}

static char group_letter(const struct target *t, u32 g)
{
	if (READ_ONCE(t->group[g].bypassed))
		return 'D';
	return g == t->group_now ? 'A' : 'E';
}

static void emit_info(struct target *t, char *result, unsigned int maxlen)
{
	struct status_room *room = kmalloc(sizeof(*room), GFP_KERNEL);
	unsigned int sz = 0, n;
	u32 g, i;

	if (!room)
		return;
	n = print_pr(t, room);
	DMEMIT("%u %u 0 %s 0 %u %d", n + 2, parked_count(t), room->words, t->groups,
	       t->groups ? t->group_now + 1 : 0);
	for (g = 0; g < t->groups; g++) {
		DMEMIT(" %c 0 %u 1", group_letter(t, g), t->group[g].paths);
		for (i = 0; i < t->group[g].paths; i++) {
			struct lun_path *path = t->path[t->group[g].first + i].lun_path;

			DMEMIT(" %s %c %d %s", path->name,
			       test_bit(LUN_PATH_FAILED, &path->flags) ? 'F' : 'A',
			       atomic_read(&path->fail_count),
			       lun_path_word(t->lun, path));
		}
	}
	kfree(room);
}

static void emit_table(struct target *t, char *result, unsigned int maxlen)
{
	char *words = kmalloc(512, GFP_KERNEL);
	unsigned int sz = 0;
	u32 g, i;

	if (!words)
		return;
	prm_features_print(&t->features, READ_ONCE(t->queue_if_no_path), words, 512);
	DMEMIT("%s", words);
	if (t->hw_words) {
		unsigned int n = 1;
		const char *p;

		for (p = t->hw_words; *p; p++)
			n += *p == ' ';
		DMEMIT(" %u %s", n, t->hw_words);
	} else {
		DMEMIT(" 0");
	}
	DMEMIT(" %u %u", t->groups, t->initial_group);
	for (g = 0; g < t->groups; g++) {
		bool repeat = false;

		for (i = 0; i < t->group[g].paths; i++)
			repeat |= t->path[t->group[g].first + i].has_repeat;
		DMEMIT(" %s 0 %u %d", t->group[g].selector->name, t->group[g].paths,
		       repeat);
		for (i = 0; i < t->group[g].paths; i++) {
			struct target_path *path = &t->path[t->group[g].first + i];

			DMEMIT(" %s", path->lun_path->name);
			if (repeat)
				DMEMIT(" %u", path->slot.repeat);
		}
	}
	kfree(words);
}

static void emit_ima(struct target *t, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	u32 i;

	DMEMIT_TARGET_NAME_VERSION(t->ti->type);
	for (i = 0; i < t->paths; i++)
		DMEMIT(",path_%u=%s", i, t->path[i].lun_path->name);
	DMEMIT(";");
}

static void target_status(struct dm_target *ti, status_type_t type,
			  unsigned int flags, char *result, unsigned int maxlen)
{
	struct target *t = ti->private;

	result[0] = 0;
	switch (type) {
	case STATUSTYPE_INFO:
		emit_info(t, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		emit_table(t, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		emit_ima(t, result, maxlen);
		break;
	}
}

/*
 * Messages
 */

static struct lun_path *named_path(struct target *t, const char *word)
{
	unsigned int major, minor;
	dev_t devt;
	char end;
	u32 i;

	if (sscanf(word, "%u:%u%c", &major, &minor, &end) == 2)
		devt = MKDEV(major, minor);
	else if (lookup_bdev(word, &devt))
		return NULL;
	for (i = 0; i < t->paths; i++)
		if (t->path[i].dev->bdev->bd_dev == devt)
			return t->path[i].lun_path;
	return NULL;
}

static int message_fail_path(struct target *t, char **argv, char *result, unsigned int max)
{
	struct lun_path *path = named_path(t, argv[1]);

	if (!path) {
		DMERR("%s: fail_path: %s is no path of this table", lun_name(t->lun), argv[1]);
		return -EINVAL;
	}
	lun_path_fail(t->lun, path, "by message");
	return 0;
}

static int message_reinstate_path(struct target *t, char **argv, char *result,
				  unsigned int max)
{
	struct lun_path *path = named_path(t, argv[1]);

	if (!path) {
		DMERR("%s: reinstate_path: %s is no path of this table", lun_name(t->lun),
		      argv[1]);
		return -EINVAL;
	}
	lun_path_reinstate(t->lun, path);
	return 0;
}

static int set_queueing(struct target *t, bool on)
{
	WRITE_ONCE(t->queue_if_no_path, on);
	kick(t);
	return 0;
}

static int message_queue(struct target *t, char **argv, char *result, unsigned int max)
{
	return set_queueing(t, true);
}

static int message_fail(struct target *t, char **argv, char *result, unsigned int max)
{
	return set_queueing(t, false);
}

static int set_options(struct target *t, const char *words, bool once)
{
	char *error;
	u32 options;
	int r;

	if (!lun_guards(t->lun)) {
		DMERR("%s: open_options: the table has no pr_key", lun_name(t->lun));
		return -EINVAL;
	}
	error = kzalloc(PRM_ERROR_LEN, GFP_KERNEL);
	if (!error)
		return -ENOMEM;
	r = prm_options_parse(words, &options, error);
	if (r)
		DMERR("%s: open_options: %s", lun_name(t->lun), error);
	else
		lun_set_options(t->lun, options, once);
	kfree(error);
	return r;
}

static int message_options(struct target *t, char **argv, char *result, unsigned int max)
{
	return set_options(t, argv[1], false);
}

static int message_options_once(struct target *t, char **argv, char *result,
				unsigned int max)
{
	if (strcmp(argv[2], "once")) {
		DMERR("%s: open_options: unknown word '%s', expected 'once'",
		      lun_name(t->lun), argv[2]);
		return -EINVAL;
	}
	return set_options(t, argv[1], true);
}

static int message_look(struct target *t, char **argv, char *result, unsigned int max)
{
	int r = lun_command(t->lun, PR_OP_LOOK, result, max);

	return r ? r : 1;	/* 1: there is text to return */
}

static int message_release(struct target *t, char **argv, char *result, unsigned int max)
{
	return lun_command(t->lun, PR_OP_RELEASE, NULL, 0);
}

static int message_unregister(struct target *t, char **argv, char *result,
			      unsigned int max)
{
	return lun_command(t->lun, PR_OP_UNREGISTER, NULL, 0);
}

static int message_clear(struct target *t, char **argv, char *result, unsigned int max)
{
	if (strcmp(argv[1], CLEAR_WORD)) {
		DMERR("%s: pr_clear removes the keys of every host; to confirm: pr_clear "
		      CLEAR_WORD,
		      lun_name(t->lun));
		return -EINVAL;
	}
	return lun_command(t->lun, PR_OP_CLEAR, NULL, 0);
}

static const struct {
	const char *name;
	unsigned int argc;	/* words, the name included */
	int (*run)(struct target *t, char **argv, char *result, unsigned int max);
} messages[] = {
	{ "fail_path", 2, message_fail_path },
	{ "reinstate_path", 2, message_reinstate_path },
	{ "queue_if_no_path", 1, message_queue },
	{ "fail_if_no_path", 1, message_fail },
	{ "open_options", 2, message_options },
	{ "open_options", 3, message_options_once },
	{ "pr_status", 1, message_look },
	{ "pr_release", 1, message_release },
	{ "pr_unregister", 1, message_unregister },
	{ "pr_clear", 2, message_clear },
};

static int target_message(struct dm_target *ti, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	struct target *t = ti->private;
	bool known = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(messages); i++) {
		if (strcmp(argv[0], messages[i].name))
			continue;
		known = true;
		if (argc == messages[i].argc)
			return messages[i].run(t, argv, result, maxlen);
	}
	if (known)
		DMERR("%s: message %s has the wrong number of words", lun_name(t->lun),
		      argv[0]);
	else
		DMERR("%s: unknown message '%s'", lun_name(t->lun), argv[0]);
	return -EINVAL;
}

/*
 * The rest of the target's interface
 */

static int target_prepare_ioctl(struct dm_target *ti, struct block_device **bdev)
{
	struct target *t = ti->private;
	struct target_path *path = choose_path(t);

	if (!path) {
		kick(t);
		return READ_ONCE(t->queue_if_no_path) || path_coming(t) ? -ENOTCONN : -EIO;
	}
	*bdev = path->dev->bdev;
	/* 1 asks for CAP_SYS_RAWIO: nothing else stops a write by SG_IO. */
	return !lun_gate(t->lun) || ti->len != bdev_nr_sectors(*bdev);
}

static int target_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn,
				  void *data)
{
	struct target *t = ti->private;
	int r = 0;
	u32 i;

	for (i = 0; i < t->paths && !r; i++)
		r = fn(ti, t->path[i].dev, ti->begin, ti->len, data);
	return r;
}

static struct target_type prmpath_target = {
	.name = "prmpath",
	.version = { 0, 1, 0 },
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = target_ctr,
	.dtr = target_dtr,
	.map = target_map,
	.end_io = target_end_io,
	.presuspend = target_presuspend,
	.presuspend_undo = target_presuspend_undo,
	.postsuspend = target_postsuspend,
	.resume = target_resume,
	.status = target_status,
	.message = target_message,
	.prepare_ioctl = target_prepare_ioctl,
	.iterate_devices = target_iterate_devices,
};

static int target_wq_init(void)
{
	target_wq = alloc_workqueue("prmpath", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return target_wq ? 0 : -ENOMEM;
}

static void target_wq_exit(void)
{
	destroy_workqueue(target_wq);
}

static int register_target(void)
{
	return dm_register_target(&prmpath_target);
}

static void unregister_target(void)
{
	dm_unregister_target(&prmpath_target);
}

/* What the module starts, in this order, and ends, in the opposite one. */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} rooms[] = {
	{ target_wq_init, target_wq_exit },
	{ scsi_cmd_init, scsi_cmd_exit },
	{ lun_init, lun_exit },
	{ bdev_hook_init, bdev_hook_exit },
	{ prm_control_init, prm_control_exit },
	{ register_target, unregister_target },
};

static void leave_rooms(unsigned int n)
{
	while (n--)
		rooms[n].exit();
}

static int __init prmpath_init(void)
{
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(rooms); i++) {
		r = rooms[i].init();
		if (r) {
			leave_rooms(i);
			return r;
		}
	}
	return 0;
}

static void __exit prmpath_exit(void)
{
	leave_rooms(ARRAY_SIZE(rooms));
}

module_init(prmpath_init);
module_exit(prmpath_exit);

MODULE_DESCRIPTION("device-mapper multipath target that maps opens to persistent reservations");
MODULE_AUTHOR("dm-prmpath developers");
MODULE_VERSION(PRM_RELEASE);
MODULE_LICENSE("GPL");
