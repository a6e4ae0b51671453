// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LUN behind one mapped device. One work item runs its PR operations, one
 * at a time and to their end; pr_map.c decides, this file sends what it asks
 * for and waits, never past the operation's deadline. What is still out then
 * stays with its path (an orphan) and is settled when it ends (rule 6.3).
 */
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/dm-ioctl.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stringhash.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_proto.h>

#include "compat.h"
#include "identity.h"
#include "lun.h"
#include "scsi_cmd.h"
#include "uapi/prmpath.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#define DM_MSG_PREFIX "prmpath"

#define OPEN_BUDGET_S		30	/* rule 6.3 */
#define PREEMPT_BUDGET_S	90
#define BACKGROUND_BUDGET_S	24	/* two commands' time-outs */
#define COMMAND_TIMEOUT_S	10	/* E34 */
#define ABORT_TIMEOUT_S		60
#define QUIET_MS		200	/* for a path's writes to end before it is registered */
#define QUIET_OTHERS_MS		2000	/* likewise for an open, if others are ready */
#define QUIET_CHECK_MS		10
#define HEDGE_MS		1500	/* a read goes to the next path as well */
#define ONCE_S			60	/* rule 2.4 */
#define RETRY_MS		1000	/* background work that did not settle */
#define CONFIGURE_RETRY_MS	15000

#define ALL_PATHS		(~(u64)0)
#define LUN_WORDS		(PR_MAX_PATHS + 16)
#define ASCQ_STANDBY		0x0b	/* of 02/04: the port is in standby */

/**
 * struct lun_path_private - what only this file needs of a path
 * @lun: the LUN that it leads to, without a reference; see lun_path_free()
 * @ref: tables, the leaving list and the command in flight
 * @index: its bit in the masks of struct pr_lun
 * @sdev: with a reference
 * @cmd: its one command
 * @no_room: no memory for all that the target has to say
 * @proves: @cmd is a REGISTER(K to K): it registers nothing
 * @waiting: the worker counts on the command's end; under lun->lock
 * @fails: fail_count of the path when the command was sent; the worker's
 * @port: our initiator port on it
 * @has_port: @port is known
 */
struct lun_path_private {
	struct lun *lun;
	struct kref ref;
	int index;
	struct scsi_device *sdev;
	struct scsi_cmd cmd;
	bool no_room;
	bool proves;
	bool waiting;
	int fails;
	struct pr_port_id port;
	bool has_port;
};

/**
 * struct lun_op - an operation in the queue
 * @pr: what pr_map makes of it
 * @list: entry in lun->queue
 * @ref: the queue's and the waiter's
 * @done: it is over
 * @finished: likewise, under lun->lock
 * @begin: in jiffies
 * @deadline: no new command after it
 * @grace: and this is for undoing
 * @commands: sent
 * @rounds: in sequence
 * @error: the outcome for the waiter
 * @suspends: of a message: lun->suspends before its sender saw that none is under way
 * @leaving: paths that are no members and that it uses all the same
 * @held: paths to which it holds references
 * @session_before: lun->pr.session when it began
 * @opened_before: likewise
 * @text: where a look prints what it saw, or NULL
 * @text_size: bytes in @text
 */
struct lun_op {
	struct pr_op pr;
	struct list_head list;
	struct kref ref;
	struct completion done;
	bool finished;
	unsigned long begin;
	unsigned long deadline;
	unsigned long grace;
	unsigned int commands;
	unsigned int rounds;
	int error;
	unsigned int suspends;
	u64 leaving;
	u64 held;
	u32 session_before;
	bool opened_before;
	char *text;
	size_t text_size;
};

/**
 * struct lun_word - an event to tell of
 * @event: its name
 * @path: the path that it is about, or an empty string
 */
struct lun_word {
	const char *event;
	char path[LUN_NAME_LEN];
};

/* What the client was told last: it is called when any of this changes. */
struct lun_told {
	struct lun_client *client;
	u64 admitted;
	u64 live;
	u64 conflicts;
	u64 failed;
	bool gate;
};

/**
 * struct lun - see the head of this file
 * @ref: references
 * @disk: the mapped device's disk; the hook outlives every use
 * @name: for log lines
 * @all: entry in lun_table; under lun_table_lock
 * @id: the LUN's designator; set under lun_table_lock, then constant
 * @claim_key: key of the live table, or of the first; under lun_table_lock
 * @work: the worker
 * @tell: tells the world of @word
 * @timer: starts the worker again
 * @check: tries failed paths
 * @wait: the worker waits here for commands, woken under @lock
 * @keys: the worker's copy of a list that a target sent
 * @keys_size: bytes in @keys
 * @background: the worker's own operation
 * @client_lock: no client goes away during its ->event
 * @open_lock: one open at a time, from its first look to the end of rule 4.7,
 *	and so also while it waits for commands: extended opens come without
 *	the disk's open_mutex, which does the same for plain ones
 * @lock: guards all fields below; taken from end_io, so interrupts are off;
 *	nothing sleeps under it
 * @pr: written by pr_map.c, and here for masks and settings
 * @queue: operations that somebody asked for
 * @path: by index; a slot is freed with its path's last reference
 * @client: the live table
 * @members: its paths; each with a reference
 * @leaving: paths of an earlier table that PR_OP_LEAVE has yet to see
 * @conflicts: paths whose conflict waits for its verdict
 * @want_configure: paths to register without a session
 * @want_admit: paths to join the owner's
 * @admit_later: those that could not when others did; again at @admit_at, so that
 *	what is less urgent gets its turn between
 * @want_leave: paths of @leaving that could not leave yet; with references
 * @want_watch: look at the reservation now
 * @want_look: look at it from @look_at on: it is not certain who is registered
 * @leave_next: an admission had its turn since the last attempt at @want_leave
 * @want_release: a RELEASE is due
 * @taken_late: while the worker was at an operation, a RESERVE or PREEMPT that outlived
 *	its own has ended
 * @want_rekey: the table's key is not the one in use yet
 * @closing: no open from here on
 * @closed: and no background work, no uevent
 * @abandoned: opens whose opener was killed and that are not settled yet
 * @in_background: the worker is at @background
 * @watch_at: jiffies of the watcher's next look
 * @look_at: see @want_look
 * @retry_at: no background work that failed before this
 * @configure_at: likewise for registration
 * @admit_at: see @admit_later
 * @refused_at: when the owner's refused paths are tried again
 * @gate: pr_gate_open() and not @gate_held; each write reads it without @lock
 * @gate_held: a session has begun, but its opener still drops stale pages
 * @registering: as in @pr, for I/O, which reads it without @lock
 * @stale_cache: it could not drop them all
 * @noisy: paths that wait for their own writes, and were logged; the worker's
 * @unused: RCU's state when paths lost their admission last: I/O that had chosen one
 *	is counted at its end
 * @suspends: how often a suspend began
 * @active: a table was live at least once
 * @announced: registered paths that were reported
 * @announced_refused: likewise, refused ones
 * @word: events that were not told yet
 * @words: entries in @word
 * @told: what the client knows
 * @features: of the live table
 * @open: options of plain writable opens
 * @open_ro: options of plain read-only opens
 * @once: the next open has @once_options, until @once_until
 * @once_options: PRM_OPEN_* bits
 * @once_until: jiffies
 */
struct lun {
	struct kref ref;
	struct gendisk *disk;
	char name[DM_NAME_LEN + 16];
	struct hlist_node all;
	char id[LUN_ID_LEN];
	u64 claim_key;
	struct work_struct work;
	struct work_struct tell;
	struct delayed_work timer;
	struct delayed_work check;
	wait_queue_head_t wait;
	u8 *keys;
	u32 keys_size;
	struct lun_op background;
	struct mutex client_lock;	/* see above */
	struct mutex open_lock;		/* see above */

	spinlock_t lock;		/* see above */
	struct pr_lun pr;
	struct list_head queue;
	struct lun_path *path[PR_MAX_PATHS];
	struct lun_client *client;
	u64 members;
	u64 leaving;
	u64 conflicts;
	u64 want_configure;
	u64 want_admit;
	u64 admit_later;
	u64 want_leave;
	bool want_watch;
	bool want_look;
	bool leave_next;
	bool want_release;
	bool taken_late;
	bool want_rekey;
	bool closing;
	bool closed;
	unsigned int abandoned;
	bool in_background;
	unsigned long watch_at;
	unsigned long look_at;
	unsigned long retry_at;
	unsigned long configure_at;
	unsigned long admit_at;
	unsigned long refused_at;
	bool gate;
	bool gate_held;
	bool registering;
	bool stale_cache;
	u64 noisy;
	unsigned long unused;
	unsigned int suspends;
	bool active;
	u64 announced;
	u64 announced_refused;
	struct lun_word word[LUN_WORDS];
	unsigned int words;
	struct lun_told told;
	struct prm_features features;
	u32 open;
	u32 open_ro;
	bool once;
	u32 once_options;
	unsigned long once_until;
};

static struct workqueue_struct *lun_wq;
static struct workqueue_struct *lun_tell_wq;
static DEFINE_MUTEX(lun_table_lock);	/* lun_table and the id of its members */
static DEFINE_HASHTABLE(lun_table, 8);	/* by designator */

#define lun_warn(lun, fmt, ...) \
	DMWARN_LIMIT("%s: " fmt, lun_name(lun), ##__VA_ARGS__)
#define lun_info(lun, fmt, ...) \
	DMINFO("%s: " fmt, lun_name(lun), ##__VA_ARGS__)

/**
 * lun_name - for log lines
 * @lun: the LUN
 *
 * Return: the mapped device's name and its disk's.
 */
const char *lun_name(const struct lun *lun)
{
	return lun->name;
}

static u64 path_bit(int index)
{
	return (u64)1 << index;
}

/*
 * Life time
 */

static void lun_free(struct kref *ref)
{
	struct lun *lun = container_of(ref, struct lun, ref);

	kfree(lun->keys);
	kfree(lun);
}

/**
 * lun_get - one more reference
 * @lun: the LUN
 */
void lun_get(struct lun *lun)
{
	kref_get(&lun->ref);
}

/**
 * lun_put - one reference less
 * @lun: the LUN
 *
 * Context: any.
 */
void lun_put(struct lun *lun)
{
	kref_put(&lun->ref, lun_free);
}

/* The slot's next path must not inherit anything. */
static void forget_bits(struct lun *lun, int index)
{
	u64 bit = path_bit(index);

	lockdep_assert_held(&lun->lock);
	pr_path_left(&lun->pr, index);
	lun->announced &= ~bit;
	lun->announced_refused &= ~bit;
	lun->conflicts &= ~bit;
	lun->want_admit &= ~bit;
	lun->admit_later &= ~bit;
	lun->want_configure &= ~bit;
	lun->leaving &= ~bit;
}

static void lun_path_free(struct kref *ref)
{
	struct lun_path_private *p = container_of(ref, struct lun_path_private, ref);
	struct lun *lun = p->lun;
	struct lun_path *path = lun->path[p->index];
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	lun->path[p->index] = NULL;
	forget_bits(lun, p->index);
	spin_unlock_irqrestore(&lun->lock, flags);
	scsi_cmd_free(&p->cmd);
	scsi_device_put(p->sdev);
	free_percpu(path->writes);
	kfree(p);
	kfree(path);
	lun_put(lun);
}

static void drop_path(struct lun_path *path)
{
	kref_put(&path->p->ref, lun_path_free);
}

static void lun_op_free(struct kref *ref)
{
	struct lun_op *op = container_of(ref, struct lun_op, ref);

	kvfree(op->text);
	kfree(op);
}

static void lun_op_put(struct lun_op *op)
{
	kref_put(&op->ref, lun_op_free);
}

/*
 * Masks, gate, admission
 */

static bool path_flag(const struct lun_path *path, enum lun_path_flag flag)
{
	return test_bit(flag, &path->flags);
}

static void refresh_masks(struct lun *lun)
{
	u64 live = 0;
	int i;

	lockdep_assert_held(&lun->lock);
	lun->pr.present = lun->members | lun->leaving;
	for (i = 0; i < PR_MAX_PATHS; i++) {
		struct lun_path *path = lun->path[i];

		if (path && !path_flag(path, LUN_PATH_FAILED) &&
		    !path_flag(path, LUN_PATH_BUSY))
			live |= path_bit(i);
	}
	lun->pr.live = live & lun->pr.present;
}

/* The owner's paths that need no ADMIT: registered, and seen to be by rule 5.3. */
static u64 proven_paths(const struct lun *lun)
{
	return lun->pr.registered & ~lun->pr.unverified;
}

static void set_path_flag(struct lun_path *path, enum lun_path_flag flag, bool on)
{
	if (on)
		set_bit(flag, &path->flags);
	else
		clear_bit(flag, &path->flags);
}

/* Publish what the I/O side reads without the lock. */
static void publish(struct lun *lun)
{
	u64 admitted = pr_admitted(&lun->pr);
	bool gate = pr_gate_open(&lun->pr) && !lun->gate_held;
	u64 failed = 0, unused = 0;
	int i;

	lockdep_assert_held(&lun->lock);
	/*
	 * Who is no owner has every path admitted. So the gate closes before paths come,
	 * and opens after they went: see lun_gate().
	 */
	if (!gate) {
		WRITE_ONCE(lun->gate, false);
		/* Pairs with lun_gate_still(). */
		smp_wmb();
	}
	if (lun->pr.registering) {
		WRITE_ONCE(lun->registering, true);
		/* Before paths go; pairs with path_coming() in route.c. */
		smp_wmb();
	}
	for (i = 0; i < PR_MAX_PATHS; i++) {
		if (!lun->path[i])
			continue;
		if (path_flag(lun->path[i], LUN_PATH_ADMITTED))
			unused |= path_bit(i) & ~admitted;
		set_path_flag(lun->path[i], LUN_PATH_ADMITTED, admitted & path_bit(i));
		if (path_flag(lun->path[i], LUN_PATH_FAILED))
			failed |= path_bit(i);
	}
	if (unused)
		WRITE_ONCE(lun->unused, get_state_synchronize_rcu());
	if (!lun->pr.registering) {
		/* After they are back; pairs with lun_registering(). */
		smp_store_release(&lun->registering, false);
	}
	if (gate) {
		/* Pairs with lun_gate(). */
		smp_store_release(&lun->gate, true);
	}
	if (lun->client && (admitted != lun->told.admitted || gate != lun->told.gate ||
			    failed != lun->told.failed ||
			    lun->pr.live != lun->told.live ||
			    lun->conflicts != lun->told.conflicts ||
			    lun->client != lun->told.client)) {
		lun->told = (struct lun_told){ lun->client, admitted, lun->pr.live,
					       lun->conflicts, failed, gate };
		lun->client->changed(lun->client);
	}
}

static void kick(struct lun *lun)
{
	/* The last work of a LUN may outlive its table and pins the module too. */
	lun_get(lun);
	__module_get(THIS_MODULE);
	if (!queue_work(lun_wq, &lun->work)) {
		module_put(THIS_MODULE);
		lun_put(lun);
	}
}

/*
 * Words for the world
 */

/*
 * By a work item of its own: who is told may wait for memory, that for dirty
 * pages, and those for what the worker decides next.
 */
static void uevent(struct lun *lun, const struct lun_word *word)
{
	char event_env[48], path_env[32];
	/* The map is what it was: without this word udev's rules add its partitions again. */
	char *env[4] = { event_env, "MPATH_UNCHANGED=1" };

	/* The disk may be gone by the time a last straggler is settled. */
	if (READ_ONCE(lun->closed))
		return;
	snprintf(event_env, sizeof(event_env), "PRM_EVENT=%s", word->event);
	if (word->path[0]) {
		snprintf(path_env, sizeof(path_env), "PRM_PATH=%s", word->path);
		env[2] = path_env;
	}
	kobject_uevent_env(&disk_to_dev(lun->disk)->kobj, KOBJ_CHANGE, env);
}

static void dm_event(struct lun *lun)
{
	struct lun_client *client;

	mutex_lock(&lun->client_lock);
	client = READ_ONCE(lun->client);
	if (client)
		client->event(client);
	mutex_unlock(&lun->client_lock);
}

static bool next_word(struct lun *lun, struct lun_word *word)
{
	unsigned long flags;
	bool found;

	spin_lock_irqsave(&lun->lock, flags);
	found = lun->words;
	if (found) {
		*word = lun->word[0];
		lun->words--;
		memmove(lun->word, lun->word + 1, lun->words * sizeof(*word));
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return found;
}

static void lun_tell(struct work_struct *work)
{
	struct lun *lun = container_of(work, struct lun, tell);
	struct lun_word word;

	while (next_word(lun, &word))
		uevent(lun, &word);
	dm_event(lun);
	lun_put(lun);
	module_put(THIS_MODULE);
}

/* Paths leave room for what is told of the LUN. */
static void say(struct lun *lun, const char *event, const struct lun_path *path)
{
	struct lun_word *word = &lun->word[lun->words];

	lockdep_assert_held(&lun->lock);
	if (lun->words >= (path ? PR_MAX_PATHS : LUN_WORDS))
		return;
	word->event = event;
	strscpy(word->path, path ? path->name : "", sizeof(word->path));
	lun->words++;
}

static const struct {
	u32 bit;
	const char *name;
	const char *text;
	bool routine;
} events[] = {
	{ PR_EVENT_OWNER, "owner", "reserved", true },
	{ PR_EVENT_RELEASED, "released", "reservation released", true },
	{ PR_EVENT_RETAINED, "retained", "reservation retained", true },
	{ PR_EVENT_FENCED, "fenced",
	  "FENCED: another host took the LUN; writes are refused until every open is closed"
	},
	{ PR_EVENT_LOST, "lost", "the reservation has vanished at the target" },
	{ PR_EVENT_RETAKEN, "retaken", "reservation taken again" },
	{ PR_EVENT_TWIN, "twin", "another host uses our reservation key" },
	{ PR_EVENT_EVICTED, "evicted", "foreign registrations removed" },
	{ PR_EVENT_MOVED, "moved", "reservation moved to another path" },
};

static void announce(struct lun *lun, struct lun_op *op)
{
	u64 registered, refused, before;
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (!(op->pr.events & events[i].bit))
			continue;
		if (events[i].routine)
			DMINFO_LIMIT("%s: %s", lun_name(lun), events[i].text);
		else
			lun_warn(lun, "%s", events[i].text);
	}
	spin_lock_irqsave(&lun->lock, flags);
	before = lun->announced;
	registered = lun->pr.registered & lun->members;
	refused = lun->pr.refused & op->pr.paths & lun->members;
	lun->announced = registered;
	lun->announced_refused &= lun->pr.refused;
	refused &= ~lun->announced_refused;
	lun->announced_refused |= refused;
	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (op->pr.events & events[i].bit)
			say(lun, events[i].name, NULL);
	for (i = 0; i < PR_MAX_PATHS; i++) {
		if (registered & ~before & path_bit(i))
			say(lun, "path_registered", lun->path[i]);
		if (refused & path_bit(i))
			say(lun, "path_refused", lun->path[i]);
	}
	if (op->pr.events || registered != before || refused) {
		lun_get(lun);
		__module_get(THIS_MODULE);
		if (!queue_work(lun_tell_wq, &lun->tell)) {
			module_put(THIS_MODULE);
			lun_put(lun);
		}
	}
	spin_unlock_irqrestore(&lun->lock, flags);

	for (i = 0; i < PR_MAX_PATHS; i++)
		if (refused & path_bit(i))
			lun_warn(lun, "path %s could not be registered: %s", lun->path[i]->name,
				 pr_class_name(lun->path[i]->p->cmd.class));
}

/*
 * Commands
 */

static unsigned int command_timeout(enum pr_action action)
{
	return action == PR_ACT_PREEMPT_ABORT ? ABORT_TIMEOUT_S : COMMAND_TIMEOUT_S;
}

/* The fields of a command's CDB that a trace line shows. */
static void trace_end(struct lun *lun, struct lun_path *path,
		      const struct pr_request *req)
{
	struct scsi_cmd *cmd = &path->p->cmd;

	trace_prmpath_command(lun_name(lun), path->name, pr_action_name(req->action),
			      req->key, req->sa_key, req->type,
			      pr_class_name(cmd->class),
			      cmd->result.key << 16 | cmd->result.asc << 8 |
			      cmd->result.ascq, cmd->tries, cmd->usecs);
}

/* Its one command is the caller's from here to scsi_cmd_start(). */
static bool claim_path(struct lun *lun, struct lun_path *path, bool check)
{
	unsigned long flags;
	bool claimed;

	spin_lock_irqsave(&lun->lock, flags);
	claimed = !test_and_set_bit(LUN_PATH_BUSY, &path->flags);
	if (claimed) {
		set_path_flag(path, LUN_PATH_CHECK, check);
		path->p->waiting = !check;
		WRITE_ONCE(path->p->cmd.stop, false);
		kref_get(&path->p->ref);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return claimed;
}

/* False: the path is busy with a command that outlived its operation. */
static bool start_command(struct lun *lun, struct lun_path *path,
			  const struct pr_request *req, struct lun_op *op, u32 in_len)
{
	struct scsi_cmd *cmd = &path->p->cmd;

	if (!claim_path(lun, path, false))
		return false;
	path->p->no_room = in_len > cmd->size && scsi_cmd_grow(cmd, in_len);
	path->p->proves = pr_request_proves(req);
	if (path->p->no_room)
		in_len = cmd->size;
	memset(cmd->cdb, 0, sizeof(cmd->cdb));
	cmd->action = req->action;
	cmd->out = pr_action_is_out(req->action);
	cmd->len = cmd->out ? PR_OUT_LEN : in_len;
	if (cmd->out)
		pr_encode_out(cmd->data, req->key, req->sa_key, req->aptpl);
	else
		memset(cmd->data, 0, cmd->len);
	pr_encode_cdb(cmd->cdb, req->action, req->type, cmd->len);
	cmd->timeout_s = command_timeout(req->action);
	cmd->deadline = req->cleanup ? op->grace : op->deadline;
	path->p->fails = atomic_read(&path->fail_count);
	op->commands++;
	scsi_cmd_start(cmd);
	return true;
}

static bool registers(enum pr_action action)
{
	return action == PR_ACT_REGISTER || action == PR_ACT_REGISTER_IGNORE;
}

/* A RESERVE or PREEMPT that no session wants: what it took is to be released. */
static void release_taken(struct lun *lun)
{
	lockdep_assert_held(&lun->lock);
	if (lun->pr.state == PR_STATE_OWNER || lun->pr.state == PR_STATE_RETAINED)
		return;
	lun->pr.leftover = true;
	if (lun->pr.state == PR_STATE_FREE) {
		lun->pr.state = PR_STATE_RELEASING;
		lun->want_release = true;
	}
}

/*
 * What an orphan left behind is looked into (rule 6.3). Returns true if its
 * path is no longer a member: then it is to leave once more.
 */
static bool settle_orphan(struct lun *lun, struct lun_path *path)
{
	enum pr_action action = path->p->cmd.action;
	enum pr_class class = path->p->cmd.class;
	u64 bit = path_bit(path->p->index);
	bool left = lun->closed || !(lun->members & bit);

	lockdep_assert_held(&lun->lock);
	if (!pr_action_is_out(action) || !path->p->cmd.tries) {
		/* It was busy when it was to leave, and so passed over. */
		if (left)
			lun->pr.doubt |= bit;
		return left;
	}
	/* A RELEASE moves no generation: what it ended may be taken again (rule 5.11). */
	if (action != PR_ACT_RELEASE)
		lun->pr.baseline = false;
	if (!path->p->proves)
		lun->pr.doubt |= bit;
	if (!registers(action) && action != PR_ACT_RELEASE &&
	    (class == PR_GOOD || class == PR_LOST)) {
		release_taken(lun);
		lun->taken_late = true;
	}
	if (left)
		return true;
	if (lun->pr.state == PR_STATE_OWNER) {
		lun->want_watch = true;
		lun->want_admit |= bit & ~proven_paths(lun);
	} else {
		lun->want_configure |= bit;
	}
	kick(lun);
	return false;
}

static void leave_late(struct lun *lun, struct lun_path *path, bool out);

/* A path is free again that nobody could register meanwhile. */
static void ask_registration(struct lun *lun, u64 path)
{
	lockdep_assert_held(&lun->lock);
	path &= lun->members & ~(proven_paths(lun) | lun->pr.refused);
	if (!path || !lun->pr.cfg.key)
		return;
	if (lun->pr.state == PR_STATE_OWNER) {
		lun->want_admit |= path;
	} else {
		/* It is slow, and may be busy with a read the next time, too. */
		if (!lun->want_configure)
			lun->configure_at = jiffies + msecs_to_jiffies(CONFIGURE_RETRY_MS);
		lun->want_configure |= path;
	}
	kick(lun);
}

static void command_done(struct scsi_cmd *cmd)
{
	struct lun_path_private *p = container_of(cmd, struct lun_path_private, cmd);
	struct lun *lun = p->lun;
	struct lun_path *path = lun->path[p->index];
	bool silent = cmd->class == PR_LOST && cmd->result.host_failed;
	enum pr_class class = cmd->class;
	bool check, orphan, works, out, late = false;
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	/* A conflict: it works (E43). In standby: activation makes it work (E39). */
	works = class == PR_GOOD || class == PR_CONFLICT ||
		(class == PR_PATH_STATE && cmd->result.ascq == ASCQ_STANDBY &&
		 lun->client && lun->client->activates);
	check = test_and_clear_bit(LUN_PATH_CHECK, &path->flags);
	orphan = test_and_clear_bit(LUN_PATH_ORPHAN, &path->flags);
	out = pr_action_is_out(cmd->action);
	if (orphan)
		late = settle_orphan(lun, path);
	/* Where the worker waits, the path is busy until it has the outcome. */
	if (!p->waiting) {
		clear_bit(LUN_PATH_BUSY, &path->flags);
		if (!path_flag(path, LUN_PATH_FAILED))
			ask_registration(lun, path_bit(p->index));
	}
	refresh_masks(lun);
	/* Orders the outcome before the worker's look at it. */
	smp_store_release(&p->waiting, false);
	wake_up_all(&lun->wait);
	spin_unlock_irqrestore(&lun->lock, flags);
	if (orphan && silent)
		lun_path_fail(lun, path, "no answer to a command");
	if ((orphan || check) && works)
		lun_path_reinstate(lun, path);
	if (late)
		leave_late(lun, path, out);
	drop_path(path);
}

static bool command_running(const struct lun_path *path)
{
	/* Pairs with the release in command_done(). */
	return smp_load_acquire(&path->p->waiting);
}

/* Nobody waits for it any more; false if it has just ended. */
static bool abandon(struct lun *lun, struct lun_path *path)
{
	unsigned long flags;
	bool running;

	spin_lock_irqsave(&lun->lock, flags);
	running = path->p->waiting;
	if (running) {
		path->p->waiting = false;
		set_bit(LUN_PATH_ORPHAN, &path->flags);
		WRITE_ONCE(path->p->cmd.stop, true);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return running;
}

/* The worker has what it wanted of the command. */
static void release_path(struct lun *lun, struct lun_path *path)
{
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	clear_bit(LUN_PATH_BUSY, &path->flags);
	refresh_masks(lun);
	spin_unlock_irqrestore(&lun->lock, flags);
}

static u64 each_path(u64 mask, int *index)
{
	*index = __ffs64(mask);
	return mask & (mask - 1);
}

static bool any_running(struct lun *lun, u64 mask)
{
	int i;

	while (mask) {
		mask = each_path(mask, &i);
		if (command_running(lun->path[i]))
			return true;
	}
	return false;
}

static bool cancelled(struct lun_op *op)
{
	return READ_ONCE(op->pr.cancelled);
}

static unsigned long time_left(unsigned long until)
{
	return time_before(jiffies, until) ? until - jiffies : 0;
}

/* Wait until fewer than @most of @mask run, or the time is up. */
static bool wait_commands(struct lun *lun, struct lun_op *op, u64 mask,
			  unsigned long until, bool cleanup)
{
	wait_event_timeout(lun->wait,
			   !any_running(lun, mask) || (!cleanup && cancelled(op)),
			   time_left(until));
	return !any_running(lun, mask);
}

/*
 * Sort the outcome into @reply. True: the path is the caller's until
 * release_path(). False: the command runs on, and the path with it.
 */
static bool collect(struct lun *lun, struct lun_path *path, struct pr_reply *reply,
		    const struct pr_request *req)
{
	struct scsi_cmd *cmd = &path->p->cmd;
	u64 bit = path_bit(path->p->index);

	if (command_running(path) && abandon(lun, path)) {
		reply->ended[PR_LOST] |= bit;
		reply->silent |= bit;
		return false;
	}
	trace_end(lun, path, req);
	reply->ended[cmd->class] |= bit;
	if (cmd->class == PR_LOST && cmd->result.host_failed) {
		reply->silent |= bit;
		lun_path_fail(lun, path, "no answer to a command");
	}
	if (cmd->attention)
		reply->attention |= bit;
	return true;
}

/* The end of a round: a command's own time, or the operation's. */
static unsigned long round_end(const struct pr_request *req, unsigned long until)
{
	unsigned long limit = jiffies + (command_timeout(req->action) + 1) * HZ;

	return time_before(limit, until) ? limit : until;
}

static bool may_send(struct lun_op *op, const struct pr_request *req,
		     unsigned long until)
{
	return time_left(until) && (req->cleanup || !cancelled(op));
}

/* A path whose command had its full time, and did not answer. */
static void give_up(struct lun *lun, struct lun_op *op, struct lun_path *path,
		    const struct pr_request *req, unsigned long since)
{
	/* No worker was free for it: that says nothing of the path. */
	if (!READ_ONCE(path->p->cmd.tries))
		return;
	if (command_running(path) && !cancelled(op) &&
	    time_after_eq(jiffies, since + command_timeout(req->action) * HZ) &&
	    lun_path_fail(lun, path, "no answer to a command"))
		path->p->fails++;	/* its answer, if it comes yet, is the newer word */
}

/* Commands that go to several paths at once, @width of them at a time. */
static void run_on_all(struct lun *lun, struct lun_op *op,
		       const struct pr_request *req, struct pr_reply *reply,
		       unsigned long until)
{
	unsigned int width = lun->features.width ? lun->features.width : PR_MAX_PATHS;
	u64 todo = req->paths;
	int i;

	while (todo && may_send(op, req, until)) {
		unsigned long since = jiffies;
		u64 batch = 0, rest;
		unsigned int n;

		for (n = 0; todo && n < width; n++) {
			todo = each_path(todo, &i);
			if (start_command(lun, lun->path[i], req, op, 0))
				batch |= path_bit(i);
			else
				reply->unsent |= path_bit(i);
		}
		op->rounds++;
		wait_commands(lun, op, batch, round_end(req, until), req->cleanup);
		for (rest = batch; rest;) {
			rest = each_path(rest, &i);
			give_up(lun, op, lun->path[i], req, since);
			if (collect(lun, lun->path[i], reply, req))
				release_path(lun, lun->path[i]);
		}
	}
	reply->unsent |= todo;
	reply->silent |= reply->unsent;
	reply->ended[PR_LOST] |= reply->silent;
}

static bool definitive(enum pr_class class)
{
	return class == PR_GOOD || class == PR_CONFLICT || class == PR_UNSUPPORTED ||
	       class == PR_BAD_FIELD;
}

/* Decode what a read brought; false if it is not to be trusted (rule 5.7). */
static bool decode(struct lun *lun, struct lun_path *path,
		   const struct pr_request *req, struct pr_reply *reply, u32 *needed)
{
	struct scsi_cmd *cmd = &path->p->cmd;
	u32 len = cmd->transferred;
	struct pr_key_list keys;

	*needed = 0;
	switch (req->action) {
	case PR_ACT_READ_RESERVATION:
		return !pr_decode_reservation(&reply->resv, cmd->data, len);
	case PR_ACT_READ_KEYS:
		if (pr_decode_keys(&keys, cmd->data, len))
			return false;
		*needed = keys.needed;
		break;
	default:
		/* LIO states only what fitted (L7): a full buffer may be short. */
		*needed = len == cmd->len && len < PR_IN_LEN_MAX ? PR_IN_LEN_MAX : 0;
		break;
	}
	/* Without memory the short list has to do: it proves no absence. */
	if (!path->p->no_room && *needed > cmd->len && cmd->len < PR_IN_LEN_MAX)
		return true;
	*needed = 0;
	if (lun->keys_size < len) {
		u8 *copy = kmalloc(len, GFP_NOIO | __GFP_NOWARN);

		if (!copy)
			return false;
		kfree(lun->keys);
		lun->keys = copy;
		lun->keys_size = len;
	}
	memcpy(lun->keys, cmd->data, len);
	reply->full = lun->keys;
	reply->full_len = len;
	if (req->action == PR_ACT_READ_KEYS)
		return !pr_decode_keys(&reply->keys, lun->keys, len);
	return true;
}

/* What one path's end means for a read that any path may answer. */
enum read_end { READ_NEXT, READ_AGAIN, READ_ANSWERED };

static enum read_end sort_read(struct lun *lun, struct lun_path *path,
			       const struct pr_request *req, struct pr_reply *reply,
			       u32 *in_len)
{
	u64 bit = path_bit(path->p->index);
	u32 needed;

	if (!definitive(path->p->cmd.class))
		return READ_NEXT;
	if (path->p->cmd.class != PR_GOOD)
		return READ_ANSWERED;
	if (!decode(lun, path, req, reply, &needed)) {
		lun_warn(lun, "path %s: malformed %s data (%u bytes)", path->name,
			 pr_action_name(req->action), path->p->cmd.transferred);
		reply->ended[PR_GOOD] &= ~bit;
		reply->ended[PR_LOST] |= bit;
		return READ_NEXT;
	}
	if (!needed)
		return READ_ANSWERED;
	/* Again, with room for all of it (E42). */
	*in_len = min_t(u32, needed, PR_IN_LEN_MAX);
	reply->ended[PR_GOOD] &= ~bit;
	return READ_AGAIN;
}

static enum read_end read_ended(struct lun *lun, struct lun_path *path,
				const struct pr_request *req, struct pr_reply *reply,
				u32 *in_len)
{
	enum read_end end;

	if (!collect(lun, path, reply, req))
		return READ_NEXT;
	end = sort_read(lun, path, req, reply, in_len);
	release_path(lun, path);
	return end;
}

static bool some_ended(struct lun *lun, u64 mask)
{
	int i;

	while (mask) {
		mask = each_path(mask, &i);
		if (!command_running(lun->path[i]))
			return true;
	}
	return false;
}

/*
 * A read goes to one path; when that does not answer soon, to the next one as
 * well, so that a dead path does not hold up what a live one can tell.
 */
static void run_on_any(struct lun *lun, struct lun_op *op,
		       const struct pr_request *req, struct pr_reply *reply,
		       unsigned long until)
{
	u32 in_len = req->action == PR_ACT_READ_FULL_STATUS ? PR_IN_LEN_MAX :
							      PR_IN_LEN_MIN;
	unsigned long since[PR_MAX_PATHS];
	u64 fresh = req->paths, out = 0, rest;
	int i;

	op->rounds++;
	while ((fresh || out) && reply->path == PR_NO_PATH && may_send(op, req, until)) {
		unsigned long end = round_end(req, until);

		if (fresh) {
			u64 live = fresh & READ_ONCE(lun->pr.live);

			each_path(live ? live : fresh, &i);
			fresh &= ~path_bit(i);
			since[i] = jiffies;
			if (start_command(lun, lun->path[i], req, op, in_len))
				out |= path_bit(i);
			else
				reply->unsent |= path_bit(i);
		}
		if (fresh && time_before(jiffies + msecs_to_jiffies(HEDGE_MS), end))
			end = jiffies + msecs_to_jiffies(HEDGE_MS);
		wait_event_timeout(lun->wait, !out || some_ended(lun, out) ||
				   (!req->cleanup && cancelled(op)), time_left(end));
		for (rest = out; rest && reply->path == PR_NO_PATH;) {
			rest = each_path(rest, &i);
			if (command_running(lun->path[i])) {
				give_up(lun, op, lun->path[i], req, since[i]);
				if (path_flag(lun->path[i], LUN_PATH_FAILED) && !fresh &&
				    time_after_eq(jiffies, end)) {
					if (collect(lun, lun->path[i], reply, req))
						release_path(lun, lun->path[i]);
					out &= ~path_bit(i);
				}
				continue;
			}
			out &= ~path_bit(i);
			switch (read_ended(lun, lun->path[i], req, reply, &in_len)) {
			case READ_ANSWERED:
				reply->path = i;
				break;
			case READ_AGAIN:
				fresh |= path_bit(i);
				break;
			case READ_NEXT:
				break;
			}
		}
	}
	for (rest = out; rest;) {
		rest = each_path(rest, &i);
		if (collect(lun, lun->path[i], reply, req))
			release_path(lun, lun->path[i]);
	}
	reply->silent |= reply->unsent;
	reply->ended[PR_LOST] |= reply->silent;
}

/*
 * Of those paths, the ones that could take a command now. True if none of these
 * is alive, but one that is will be free soon.
 */
static bool must_wait(struct lun *lun, u64 paths, u64 *ready)
{
	bool alive = false, busy = false;
	unsigned long flags;
	int i;

	*ready = 0;
	spin_lock_irqsave(&lun->lock, flags);
	for (i = 0; i < PR_MAX_PATHS; i++) {
		const struct lun_path *path = lun->path[i];

		if (!(paths & path_bit(i)) || !path)
			continue;
		if (path_flag(path, LUN_PATH_BUSY)) {
			busy |= !path_flag(path, LUN_PATH_FAILED);
			continue;
		}
		alive |= !path_flag(path, LUN_PATH_FAILED);
		*ready |= path_bit(i);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return busy && !alive;
}

static unsigned int writes_under_way(const struct lun_path *path)
{
	unsigned int sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(path->writes, cpu));
	return sum;
}

/* Those of the paths, which carry no new I/O, whose old writes have ended. */
static u64 quiet_paths(struct lun *lun, u64 paths)
{
	u64 quiet = 0;
	int i;

	while (paths) {
		paths = each_path(paths, &i);
		if (!writes_under_way(lun->path[i]))
			quiet |= path_bit(i);
	}
	return quiet;
}

static bool all_failed(const struct lun *lun, u64 paths)
{
	int i;

	while (paths) {
		paths = each_path(paths, &i);
		if (!path_flag(lun->path[i], LUN_PATH_FAILED))
			return false;
	}
	return true;
}

/*
 * Writes of before the paths lost their admission end soon, or these are left out for
 * now: others shall not wait for them for long, nor does the worker (rule 3.2).
 */
static u64 wait_quiet(struct lun *lun, struct lun_op *op, const struct pr_request *req,
		      u64 paths, unsigned long limit)
{
	/* An open is not tried again: it waits for one of them as long as for a command. */
	unsigned long most = lun->pr.registering ? COMMAND_TIMEOUT_S * HZ :
						   msecs_to_jiffies(QUIET_MS);
	unsigned long until = jiffies + min(most, time_left(limit) / 2);
	unsigned long others = jiffies + msecs_to_jiffies(QUIET_OTHERS_MS);
	u64 quiet, noisy;
	int i;

	if (!may_send(op, req, until))
		return 0;
	cond_synchronize_rcu(READ_ONCE(lun->unused));
	for (;;) {
		quiet = quiet_paths(lun, paths);
		if (quiet == paths || !may_send(op, req, until))
			break;
		if (quiet && (time_after(jiffies, others) || all_failed(lun, paths & ~quiet)))
			break;
		wait_event_timeout(lun->wait, !req->cleanup && cancelled(op),
				   msecs_to_jiffies(QUIET_CHECK_MS));
	}
	lun->noisy &= ~quiet;
	noisy = cancelled(op) ? 0 : paths & ~quiet & ~lun->noisy;
	lun->noisy |= noisy;
	while (noisy) {
		noisy = each_path(noisy, &i);
		DMINFO_LIMIT("%s: path %s is registered once its earlier writes have ended",
			     lun_name(lun), lun->path[i]->name);
	}
	return quiet;
}

static void execute(struct lun *lun, struct lun_op *op, struct pr_request *req,
		    struct pr_reply *reply)
{
	unsigned long until = req->cleanup ? op->grace : op->deadline;
	unsigned long soon;
	u64 ready;

	memset(reply, 0, sizeof(*reply));
	reply->path = PR_NO_PATH;
	if (req->action == PR_ACT_PREEMPT || req->action == PR_ACT_PREEMPT_ABORT) {
		unsigned int budget = lun->features.timeout_s ?: PREEMPT_BUDGET_S;

		if (op->pr.kind == PR_OP_OPEN) {
			op->grace = op->begin + budget * HZ;
			op->deadline = op->grace - budget * HZ / 6;
			until = req->cleanup ? op->grace : op->deadline;
		}
	}
	/* A read of an operation that was cancelled may still occupy the last path alive. */
	soon = jiffies + COMMAND_TIMEOUT_S * HZ;
	if (time_before(until, soon))
		soon = until;
	wait_event_timeout(lun->wait, !must_wait(lun, req->paths, &ready) ||
			   (!req->cleanup && cancelled(op)), time_left(soon));
	if (req->quiet) {
		reply->noisy = ready;
		ready = wait_quiet(lun, op, req, ready, until);
		reply->noisy &= ~ready;
	}
	reply->unsent = req->paths & ~ready;
	reply->silent = reply->unsent;
	reply->ended[PR_LOST] = reply->unsent;
	req->paths = ready;
	if (req->any)
		run_on_any(lun, op, req, reply, until);
	else
		run_on_all(lun, op, req, reply, until);
	reply->timed_out = !time_left(op->deadline);
}

/* Has it failed since the command that it answers was sent? */
static bool failed_since(const struct lun_path *path)
{
	return atomic_read(&path->fail_count) != path->p->fails;
}

/* A path that was taken for dead answered an operation. */
static void revive(struct lun *lun, const struct pr_reply *reply)
{
	u64 mask = (reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]) & lun->members;
	int i;

	while (mask) {
		mask = each_path(mask, &i);
		if (!failed_since(lun->path[i]))
			lun_path_reinstate(lun, lun->path[i]);
	}
}

/*
 * While others of a round were waited for, a path may have failed whose answer is
 * older: that proves nothing any more (rule 5.3). What a read has brought is still so.
 */
static void drop_old_answers(struct lun *lun, const struct pr_request *req,
			     struct pr_reply *reply)
{
	u64 mask = reply->ended[PR_GOOD];
	int i;

	lockdep_assert_held(&lun->lock);
	/* What CLEAR did, it did to all; and a lost race stays lost (rule 3.4). */
	if (req->any || req->action == PR_ACT_CLEAR)
		return;
	if (registers(req->action))
		mask |= reply->ended[PR_CONFLICT];
	while (mask) {
		mask = each_path(mask, &i);
		if (!failed_since(lun->path[i]))
			continue;
		reply->ended[PR_GOOD] &= ~path_bit(i);
		reply->ended[PR_CONFLICT] &= ~path_bit(i);
		reply->ended[PR_LOST] |= path_bit(i);
		reply->silent |= path_bit(i);
	}
}

/*
 * Operations
 */

static void op_begin(struct lun_op *op, unsigned int budget_s)
{
	op->begin = jiffies;
	op->grace = op->begin + budget_s * HZ;
	op->deadline = op->grace - budget_s * HZ / 6;
	op->commands = 0;
	op->rounds = 0;
}

static unsigned int op_budget(const struct lun *lun, const struct pr_op *pr)
{
	if (lun->features.timeout_s)
		return lun->features.timeout_s;
	return pr_op_may_preempt(pr) ? PREEMPT_BUDGET_S : OPEN_BUDGET_S;
}

/*
 * Paths that have left: the operation's references go. Where the reservation
 * could not move off them yet, because no other path is admitted, they stay
 * until one is (rule 4.8).
 */
static void paths_left(struct lun *lun, struct lun_op *op)
{
	u64 held = op->held, kept;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&lun->lock, flags);
	op->held = 0;
	if (op->error == -EAGAIN && lun->pr.state == PR_STATE_OWNER && !lun->closing) {
		/* One reference each: a path may have left, come back and left again. */
		kept = held & ~lun->want_leave;
		lun->want_leave |= kept;
		held &= ~kept;
	}
	lun->leaving &= ~(held & ~lun->want_leave);
	refresh_masks(lun);
	spin_unlock_irqrestore(&lun->lock, flags);
	while (held) {
		held = each_path(held, &i);
		drop_path(lun->path[i]);
	}
}

static void print_look(struct lun *lun, const struct pr_op *op, char *text,
		       size_t size)
{
	size_t n;
	u32 i;

	text[0] = 0;
	if (pr_why_errno(op->why))
		return;
	n = scnprintf(text, size,
		      "generation=%u\nreservation=%s\nreservation_key=0x%016llx\nkeys_own=%u\nkeys_foreign=%u\n",
		      op->keys.generation,
		      op->resv.held ? pr_type_name(op->resv.type) : "none",
		      op->resv.key, lun->pr.keys_own, lun->pr.keys_foreign);
	for (i = 0; i < op->keys.count; i++)
		n += scnprintf(text + n, size - n, "key=0x%016llx\n",
			       pr_keys_at(&op->keys, i));
}

static bool superseded(struct lun *lun, const struct scsi_device *sdev);

/* What is left of a device that is gone gives way to another one on its LUN (rule 6.3). */
static bool overtaken(struct lun *lun, u64 paths)
{
	bool found = false;
	int i;

	if (!READ_ONCE(lun->closed))
		return false;
	while (paths && !found) {
		paths = each_path(paths, &i);
		found = superseded(lun, lun->path[i]->p->sdev);
	}
	return found;
}

static void run_op(struct lun *lun, struct lun_op *op)
{
	struct pr_request req;
	struct pr_reply reply;
	const struct pr_reply *answer = NULL;
	ktime_t begin = ktime_get();
	unsigned long flags;
	bool more, was_open;

	op->session_before = lun->pr.session;
	op->opened_before = lun->pr.opened;
	do {
		spin_lock_irqsave(&lun->lock, flags);
		if (!answer) {
			op->leaving &= ~lun->members;	/* some are back */
			lun->leaving |= op->leaving;
			if (op->pr.kind == PR_OP_LEAVE)
				op->pr.paths = op->leaving;
			/* Likewise while it was in the queue; see open_locked(). */
			if (op->pr.kind == PR_OP_OPEN)
				lun->pr.suspect |= !!lun->conflicts;
			lun->taken_late = false;
		}
		refresh_masks(lun);
		if (answer)
			drop_old_answers(lun, &req, &reply);
		was_open = pr_gate_open(&lun->pr);
		more = pr_next(&lun->pr, &op->pr, answer, &req);
		if (!more && op->pr.kind == PR_OP_OPEN && op->pr.started &&
		    !pr_why_errno(op->pr.why) && !was_open)
			lun->gate_held = true;
		publish(lun);
		spin_unlock_irqrestore(&lun->lock, flags);
		if (!more)
			break;
		if (overtaken(lun, req.paths)) {
			op->pr.why = PR_WHY_CANCELLED;
			break;
		}
		execute(lun, op, &req, &reply);
		revive(lun, &reply);
		answer = &reply;
	} while (true);

	op->error = pr_why_errno(op->pr.why);
	trace_prmpath_verdict(lun_name(lun), pr_op_name(op->pr.kind), op->pr.options,
			      pr_why_text(op->pr.why), pr_state_name(lun->pr.state),
			      op->pr.foreign, op->commands, op->rounds,
			      ktime_us_delta(ktime_get(), begin));
	announce(lun, op);
	if (op->text)
		print_look(lun, &op->pr, op->text, op->text_size);
	paths_left(lun, op);
}

static void plan(struct lun *lun, unsigned long at)
{
	lockdep_assert_held(&lun->lock);
	if (lun->closed)
		return;
	lun_get(lun);
	if (mod_delayed_work(lun_wq, &lun->timer, time_left(at)))
		lun_put(lun);	/* it was planned already */
}

static u64 failed_paths(const struct lun *lun)
{
	u64 failed = 0;
	int i;

	lockdep_assert_held(&lun->lock);
	for (i = 0; i < PR_MAX_PATHS; i++)
		if (lun->path[i] && path_flag(lun->path[i], LUN_PATH_FAILED))
			failed |= path_bit(i);
	return failed;
}

/*
 * Not certain who is registered: an admission met keys that it cannot account for,
 * paths have left, foreign ones were evicted. A look makes it so (rule 5.11); one that
 * had no answer is repeated, but is no poll.
 */
static void look_again(struct lun *lun, const struct pr_op *op)
{
	unsigned int delay = RETRY_MS;

	lockdep_assert_held(&lun->lock);
	if (lun->pr.state != PR_STATE_OWNER || lun->want_look)
		return;
	if (lun->pr.baseline && !lun->pr.unseen &&
	    (lun->pr.cfg.shared || !lun->pr.keys_foreign))
		return;
	if (op->kind == PR_OP_WATCH && !(op->events & PR_EVENT_EVICTED))
		delay = CONFIGURE_RETRY_MS;
	lun->want_look = true;
	lun->look_at = jiffies + msecs_to_jiffies(delay);
}

/* But not what has come meanwhile: I/O waits for that. */
static void retry_later(struct lun *lun, const struct lun_op *op)
{
	lockdep_assert_held(&lun->lock);
	if (!(lun->conflicts & ~op->pr.paths))
		lun->retry_at = jiffies + msecs_to_jiffies(RETRY_MS);
}

/* What an operation leaves for the background. */
static void follow_up(struct lun *lun, struct lun_op *op)
{
	bool unsettled = op->error == -EAGAIN || op->error == -EIO ||
			 op->error == -ETIMEDOUT || op->error == -EINTR;
	unsigned long flags;
	u64 left;

	spin_lock_irqsave(&lun->lock, flags);
	if (op->pr.configure) {
		if (lun->pr.state == PR_STATE_OWNER)
			lun->want_admit |= op->pr.configure & lun->members;
		else
			lun->want_configure |= op->pr.configure & lun->members &
					       ~failed_paths(lun);
	}
	/* What it has read may be older, and say that nothing is reserved. */
	if (lun->taken_late)
		release_taken(lun);
	lun->taken_late = false;
	look_again(lun, &op->pr);
	/* A look has its own times, and shall not hold up what waits for retry_at. */
	if (op == &lun->background && op->error && lun->pr.state == PR_STATE_OWNER &&
	    op->pr.kind != PR_OP_WATCH)
		retry_later(lun, op);
	switch (op->pr.kind) {
	case PR_OP_OPEN:
		if (!op->error && lun->pr.state == PR_STATE_OWNER) {
			lun->want_watch = true;
			lun->want_admit |= lun->members & ~lun->pr.registered &
					   ~lun->pr.refused;
			lun->refused_at = jiffies + msecs_to_jiffies(CONFIGURE_RETRY_MS);
		}
		break;
	case PR_OP_CONFLICT:
		/* A path that cannot be registered carries no I/O: others may. */
		lun->conflicts &= ~(op->pr.settled | lun->pr.refused);
		if (unsettled)
			retry_later(lun, op);
		else
			lun->conflicts &= ~op->pr.paths;
		break;
	case PR_OP_ADMIT:
		/* A dead one comes back by its reinstatement. */
		left = (op->pr.paths | op->pr.configure) & lun->members &
		       ~(proven_paths(lun) | failed_paths(lun) | lun->pr.refused);
		lun->leave_next = true;
		if (unsettled && left) {
			lun->want_admit |= left;
			retry_later(lun, op);
		} else if (left) {
			/* Others were admitted, or refused: what is left waits on. */
			lun->want_admit &= ~left;
			lun->admit_later |= left;
			lun->admit_at = jiffies + msecs_to_jiffies(RETRY_MS);
		}
		lun->conflicts &= ~op->pr.settled;
		break;
	case PR_OP_CONFIGURE:
		/* Proven ones too: what was to be read after that was not. */
		left = unsettled ? op->pr.paths : op->pr.paths & lun->pr.doubt;
		left = (left | op->pr.configure) & ~failed_paths(lun) & lun->members;
		if (left) {
			lun->want_configure |= left;
			lun->configure_at = jiffies + msecs_to_jiffies(CONFIGURE_RETRY_MS);
		}
		break;
	case PR_OP_WATCH:
		lun->conflicts &= ~op->pr.settled;
		break;
	case PR_OP_LEAVE:
		if (lun->want_leave)
			retry_later(lun, op);
		break;
	case PR_OP_REKEY:
		/* Opened between load and resume: the old key serves that session. */
		lun->want_rekey = lun->features.key != lun->pr.cfg.key;
		break;
	default:
		break;
	}
	if (lun->pr.state == PR_STATE_RELEASING) {
		lun->want_release = true;
		/* Who only looks, and often, does not put it off. */
		if (op->pr.kind != PR_OP_LOOK)
			lun->retry_at = jiffies + msecs_to_jiffies(RETRY_MS);
	}
	if (lun->pr.state == PR_STATE_FENCED)
		lun->conflicts = 0;
	lun->want_admit &= ~lun->leaving;
	lun->in_background = false;
	publish(lun);
	spin_unlock_irqrestore(&lun->lock, flags);
	if (op->pr.kind == PR_OP_REKEY && op->error)
		lun_warn(lun, "pr_key stays as it was until the device is closed: %s",
			 pr_why_text(op->pr.why));
}

static bool look_due(const struct lun *lun)
{
	lockdep_assert_held(&lun->lock);
	if (lun->pr.state != PR_STATE_OWNER)
		return false;
	return lun->want_watch ||
	       (lun->want_look && !time_before(jiffies, lun->look_at)) ||
	       (lun->features.poll_s && !time_before(jiffies, lun->watch_at));
}

/* The next thing to do in the background, most urgent first. */
static bool next_background(struct lun *lun, struct lun_op *op)
{
	bool may_retry = !time_before(jiffies, lun->retry_at);
	bool owner = lun->pr.state == PR_STATE_OWNER;
	enum pr_op_kind kind;
	u64 paths = 0;

	lockdep_assert_held(&lun->lock);
	if (!owner) {
		lun->conflicts = 0;
		publish(lun);
		lun->want_configure |= lun->want_admit | lun->admit_later;
		lun->want_admit = 0;
		lun->admit_later = 0;
		lun->want_watch = false;
		lun->want_look = false;
		/* Rule 5.9: only what an earlier command may have left, or a session. */
		if (lun->features.flags & PRM_F_REGISTER_AT_OPEN &&
		    !(lun->pr.unseen && lun->pr.state == PR_STATE_RETAINED))
			lun->want_configure &= lun->pr.doubt;
	} else {
		lun->want_admit |= lun->want_configure;
		lun->want_configure = 0;
		if (!time_before(jiffies, lun->admit_at)) {
			lun->want_admit |= lun->admit_later;
			lun->admit_later = 0;
		}
		/* The target may have found room meanwhile (E5). */
		if (!time_before(jiffies, lun->refused_at)) {
			lun->want_admit |= lun->pr.refused;
			lun->refused_at = jiffies + msecs_to_jiffies(CONFIGURE_RETRY_MS);
		}
		lun->want_admit &= ~failed_paths(lun);
	}
	lun->want_admit &= lun->members & ~proven_paths(lun);
	lun->want_configure &= lun->members;

	if (lun->conflicts && may_retry) {
		kind = PR_OP_CONFLICT;
		paths = lun->conflicts;
	} else if (look_due(lun)) {
		kind = PR_OP_WATCH;
		lun->want_watch = false;
		lun->want_look = false;
		lun->watch_at = jiffies + max(lun->features.poll_s, 1U) * HZ;
	} else if (lun->want_admit && may_retry && !(lun->want_leave && lun->leave_next)) {
		kind = PR_OP_ADMIT;
		paths = lun->want_admit;
		lun->want_admit = 0;
	} else if (lun->want_leave && may_retry) {
		kind = PR_OP_LEAVE;
		paths = lun->want_leave;
		lun->want_leave = 0;
		lun->leave_next = false;
	} else if (lun->want_release && may_retry) {
		lun->want_release = false;
		if (lun->pr.state != PR_STATE_RELEASING)
			return next_background(lun, op);
		kind = PR_OP_CLOSE;
	} else if (lun->want_rekey && lun->pr.state == PR_STATE_FREE) {
		kind = PR_OP_REKEY;
		lun->want_rekey = false;
	} else if (lun->want_configure && !time_before(jiffies, lun->configure_at)) {
		kind = PR_OP_CONFIGURE;
		paths = lun->want_configure;
		lun->want_configure = 0;
	} else {
		return false;
	}
	pr_op_init(&op->pr, kind);
	op->pr.new_key = lun->features.key;
	op->pr.paths = paths;
	op->leaving = kind == PR_OP_LEAVE ? paths : 0;
	op->held = op->leaving;
	return true;
}

/* When the timer should look again. */
static void plan_next(struct lun *lun)
{
	unsigned long at = jiffies + 3600 * HZ;
	bool wanted = false;

	lockdep_assert_held(&lun->lock);
	if (lun->conflicts || lun->want_admit || lun->want_leave || lun->want_release) {
		at = lun->retry_at;
		wanted = true;
	}
	if (lun->admit_later && time_before(lun->admit_at, at)) {
		at = lun->admit_at;
		wanted = true;
	}
	if (lun->want_look && time_before(lun->look_at, at)) {
		at = lun->look_at;
		wanted = true;
	}
	if (lun->want_configure && time_before(lun->configure_at, at)) {
		at = lun->configure_at;
		wanted = true;
	}
	if (lun->pr.state == PR_STATE_OWNER && lun->features.poll_s &&
	    time_before(lun->watch_at, at)) {
		at = lun->watch_at;
		wanted = true;
	}
	if (lun->pr.state == PR_STATE_OWNER && (lun->pr.refused & lun->members) &&
	    time_before(lun->refused_at, at)) {
		at = lun->refused_at;
		wanted = true;
	}
	if (wanted)
		plan(lun, at);
}

/* The session's opener has done its part (rule 4.7). */
static void release_gate(struct lun *lun)
{
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	lun->gate_held = false;
	publish(lun);
	spin_unlock_irqrestore(&lun->lock, flags);
}

/*
 * Let the waiter see the end; or, if it has gone and the open stands, take
 * that back first.
 */
static void finish_op(struct lun *lun, struct lun_op *op)
{
	unsigned long flags;
	bool abandoned, revoke;

	spin_lock_irqsave(&lun->lock, flags);
	abandoned = op->pr.kind == PR_OP_OPEN && op->pr.cancelled;
	revoke = abandoned && !op->error;
	op->finished = !revoke;
	if (revoke && !op->pr.started) {
		lun->pr.session = op->session_before;
		lun->pr.opened = op->opened_before;
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (revoke && op->pr.started) {
		pr_op_revoke(&op->pr);
		op_begin(op, BACKGROUND_BUDGET_S);
		run_op(lun, op);
		release_gate(lun);
		follow_up(lun, op);
	}
	if (abandoned) {
		spin_lock_irqsave(&lun->lock, flags);
		lun->abandoned--;
		spin_unlock_irqrestore(&lun->lock, flags);
	}
	complete_all(&op->done);
	wake_up_all(&lun->wait);
	lun_op_put(op);
}

static struct lun_op *next_op(struct lun *lun)
{
	struct lun_op *op;
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	op = list_first_entry_or_null(&lun->queue, struct lun_op, list);
	if (op) {
		list_del_init(&op->list);
	} else if (lun->active && !lun->closed) {
		if (next_background(lun, &lun->background)) {
			op = &lun->background;
			op_begin(op, BACKGROUND_BUDGET_S);
			lun->in_background = true;
		} else {
			plan_next(lun);
		}
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return op;
}

static void lun_work(struct work_struct *work)
{
	struct lun *lun = container_of(work, struct lun, work);
	/* Dirty pages may wait for what is decided here. */
	unsigned int noio = memalloc_noio_save();
	struct lun_op *op;

	while ((op = next_op(lun))) {
		if (op->pr.kind == PR_OP_OPEN && !time_left(op->deadline)) {
			op->pr.why = PR_WHY_TIMEOUT;	/* spent in the queue */
			op->error = pr_why_errno(PR_WHY_TIMEOUT);
			finish_op(lun, op);
			continue;
		}
		/* Others have their time from here: they must not be cut short. */
		if (op != &lun->background && op->pr.kind != PR_OP_OPEN)
			op_begin(op, op_budget(lun, &op->pr));
		run_op(lun, op);
		follow_up(lun, op);
		if (op != &lun->background)
			finish_op(lun, op);
	}
	memalloc_noio_restore(noio);
	lun_put(lun);
	module_put(THIS_MODULE);
}

static void lun_timer(struct work_struct *work)
{
	struct lun *lun = container_of(to_delayed_work(work), struct lun, timer);

	kick(lun);
	lun_put(lun);
}

static struct lun_op *new_op(enum pr_op_kind kind, gfp_t gfp)
{
	struct lun_op *op = kzalloc(sizeof(*op), gfp);

	if (!op)
		return NULL;
	pr_op_init(&op->pr, kind);
	INIT_LIST_HEAD(&op->list);
	init_completion(&op->done);
	kref_init(&op->ref);
	return op;
}

static void submit(struct lun *lun, struct lun_op *op)
{
	unsigned long flags;

	kref_get(&op->ref);
	/* An open has begun when it asked for its turn. */
	if (op->pr.kind != PR_OP_OPEN)
		op_begin(op, op_budget(lun, &op->pr));
	spin_lock_irqsave(&lun->lock, flags);
	list_add_tail(&op->list, &lun->queue);
	/*
	 * What the background was at can wait, unless it holds on to the LUN; but
	 * not for who only looks, which may be often.
	 */
	if (lun->in_background && op->pr.kind != PR_OP_LOOK &&
	    (lun->background.pr.kind == PR_OP_CONFIGURE ||
	     lun->background.pr.kind == PR_OP_CLOSE)) {
		WRITE_ONCE(lun->background.pr.cancelled, true);
		wake_up_all(&lun->wait);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	kick(lun);
}

/* Run an operation and wait for it; it ends by its own deadline. */
static int run_and_wait(struct lun *lun, struct lun_op *op)
{
	submit(lun, op);
	wait_for_completion(&op->done);
	return op->error;
}

/*
 * Opens and closes
 */

static void copy_path_name(struct lun *lun, int index, char name[LUN_NAME_LEN])
{
	lockdep_assert_held(&lun->lock);
	if (index != PR_NO_PATH && lun->path[index])
		strscpy(name, lun->path[index]->name, LUN_NAME_LEN);
	else
		strscpy(name, "none", LUN_NAME_LEN);
}

/* The sense of the first path that could not be registered, for the log. */
static void describe_failure(struct lun *lun, char *text, size_t size)
{
	u64 mask = lun->members & ~lun->pr.registered;
	const struct scsi_cmd *cmd;

	lockdep_assert_held(&lun->lock);
	text[0] = 0;
	if (!mask || !lun->path[__ffs64(mask)])
		return;
	cmd = &lun->path[__ffs64(mask)]->p->cmd;
	scnprintf(text, size, "; path %s answered %s, sense %02x/%02x/%02x",
		  lun->path[__ffs64(mask)]->name, pr_class_name(cmd->class),
		  cmd->result.key, cmd->result.asc, cmd->result.ascq);
}

static void log_refusal(struct lun *lun, const struct lun_op *op)
{
	char options[64], name[LUN_NAME_LEN], failure[80] = "";
	unsigned long flags;

	prm_options_print(op->pr.options, options, sizeof(options));
	spin_lock_irqsave(&lun->lock, flags);
	copy_path_name(lun, op->pr.path, name);
	if (op->pr.why == PR_WHY_NOT_REGISTERED)
		describe_failure(lun, failure, sizeof(failure));
	spin_unlock_irqrestore(&lun->lock, flags);
	lun_warn(lun, "open (%s) refused: %s (foreign key 0x%llx, path %s%s)", options,
		 pr_why_text(op->pr.why), op->pr.foreign, name, failure);
}

/* Nothing was sent for it, so there is no key and no path to tell of. */
static void log_no_turn(struct lun *lun, u32 options)
{
	char text[64];

	prm_options_print(options, text, sizeof(text));
	lun_warn(lun, "open (%s) refused: the time is up, it was spent by other operations",
		 text);
}

/*
 * Other opens may have pages from before the LUN changed hands. The gate is
 * closed, so dirty ones fail instead of landing.
 */
static int drop_stale_pages(struct lun *lun)
{
	struct block_device *bdev = lun->disk->part0;

	sync_blockdev(bdev);
	invalidate_bdev(bdev);
	return invalidate_inode_pages2(prm_bdev_mapping(bdev)) ? -EBUSY : 0;
}

static int begin_session(struct lun *lun, struct lun_op *op, bool others)
{
	int r = others ? drop_stale_pages(lun) : 0;

	if (r && (op->pr.options & PRM_OPEN_FORCED)) {
		struct lun_op *revoke = new_op(PR_OP_REVOKE, GFP_NOIO | __GFP_NOFAIL);

		op->pr.why = PR_WHY_STALE_CACHE;
		log_refusal(lun, op);
		revoke->pr = op->pr;
		pr_op_revoke(&revoke->pr);
		run_and_wait(lun, revoke);
		lun_op_put(revoke);
		release_gate(lun);
		return pr_why_errno(PR_WHY_STALE_CACHE);
	}
	lun->stale_cache = r;
	if (r)
		lun_warn(lun, "pages from before this session could not be dropped: other opens may show old data");
	release_gate(lun);
	return 0;
}

static bool gives_way(struct lun *lun, const struct lun_op *op)
{
	return op->pr.kind != PR_OP_OPEN && op->suspends != READ_ONCE(lun->suspends);
}

/*
 * 0: it has ended. Else who waited was killed first, the time of an open was up
 * while it was still in the queue, or a message gave way to a suspend; and
 * nothing of it stands.
 */
static int wait_for_end(struct lun *lun, struct lun_op *op)
{
	unsigned long flags;
	bool finished;
	long left;

	do {
		left = MAX_SCHEDULE_TIMEOUT;
		if (op->pr.kind == PR_OP_OPEN)
			left = time_left(READ_ONCE(op->grace)) + HZ;
		left = wait_event_killable_timeout(lun->wait, completion_done(&op->done) ||
						   gives_way(lun, op), left);
		/* execute() may have given it more. */
	} while (!left && time_left(READ_ONCE(op->grace)));
	if (completion_done(&op->done))
		return 0;
	spin_lock_irqsave(&lun->lock, flags);
	finished = op->finished;
	if (!finished) {
		WRITE_ONCE(op->pr.cancelled, true);
		/* A message leaves nothing to take back. */
		lun->abandoned += op->pr.kind == PR_OP_OPEN;
	}
	wake_up_all(&lun->wait);
	spin_unlock_irqrestore(&lun->lock, flags);
	if (finished)
		return 0;
	if (left > 0)
		return -EAGAIN;
	return left ? -EINTR : -ETIMEDOUT;
}

static int open_locked(struct lun *lun, struct lun_op *op, bool others)
{
	unsigned long flags;
	bool decided;
	int r;

	spin_lock_irqsave(&lun->lock, flags);
	if (lun->closing) {
		spin_unlock_irqrestore(&lun->lock, flags);
		return -ENXIO;
	}
	/* An older answer may have ended the suspicion that came with them. */
	lun->pr.suspect |= !!lun->conflicts;
	/* What a killed opener began may yet be taken back: wait for that. */
	decided = !lun->active ||
		  ((!lun->abandoned || op->pr.options == PRM_OPEN_BYPASS) &&
		   pr_open_local(&lun->pr, &op->pr));
	spin_unlock_irqrestore(&lun->lock, flags);
	if (decided) {
		r = pr_why_errno(op->pr.why);
	} else {
		submit(lun, op);
		r = wait_for_end(lun, op);
		if (r == -ETIMEDOUT)
			log_no_turn(lun, op->pr.options);
		if (r)
			return r;
		r = op->error == -EAGAIN ? -EIO : op->error;
	}
	if (r)
		log_refusal(lun, op);
	else if (op->pr.started)
		r = begin_session(lun, op, others);
	return r;
}

/* Sections 3 and 4.1 for one open; @others: the device was open already. */
static int open_lun(struct lun *lun, u32 options, bool others)
{
	struct lun_op *op = new_op(PR_OP_OPEN, GFP_KERNEL);
	long turn;
	int r;

	if (!op)
		return -ENOMEM;
	op->pr.options = options;
	op_begin(op, op_budget(lun, &op->pr));
	turn = wait_event_killable_timeout(lun->wait, mutex_trylock(&lun->open_lock),
					   time_left(op->deadline) + 1);
	if (turn > 0) {
		r = open_locked(lun, op, others);
		mutex_unlock(&lun->open_lock);
		wake_up_all(&lun->wait);
	} else if (turn) {
		r = -EINTR;
	} else {
		log_no_turn(lun, options);
		r = -ETIMEDOUT;
	}
	lun_op_put(op);
	return r;
}

/* Rules 2.1, 2.3 and 2.4: which options a plain open has. */
static u32 plain_options(struct lun *lun, bool writable, bool nonblock)
{
	unsigned long flags;
	u32 options;

	if (nonblock)
		return PRM_OPEN_BYPASS;
	spin_lock_irqsave(&lun->lock, flags);
	options = writable ? lun->open : lun->open_ro;
	if (lun->once && time_after(jiffies, lun->once_until))
		lun->once = false;
	if (lun->once && (writable || options != PRM_OPEN_BYPASS)) {
		options = lun->once_options;
		lun->once = false;
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	return options;
}

static int hook_open(void *owner, bool writable, bool nonblock, bool others)
{
	struct lun *lun = owner;
	u32 options = plain_options(lun, writable, nonblock);

	return options == PRM_OPEN_BYPASS ? 0 : open_lun(lun, options, others);
}

static void hook_release(void *owner, bool last)
{
	struct lun *lun = owner;
	struct lun_op *op;
	unsigned long flags;
	bool idle;

	if (!last)
		return;
	spin_lock_irqsave(&lun->lock, flags);
	lun->stale_cache = false;
	/* The background goes on with a release (rule 4.2): no closer waits. */
	idle = !lun->active || !lun->pr.cfg.key ||
	       (!lun->pr.opened && !lun->pr.session &&
		(lun->pr.state == PR_STATE_FREE || lun->pr.state == PR_STATE_RETAINED ||
		 lun->pr.state == PR_STATE_RELEASING));
	spin_unlock_irqrestore(&lun->lock, flags);
	if (idle)
		return;
	op = new_op(PR_OP_CLOSE, GFP_NOIO | __GFP_NOFAIL);
	run_and_wait(lun, op);
	if (op->error)
		lun_warn(lun, "release at the last close: %s; it goes on in the background",
			 pr_why_text(op->pr.why));
	lun_op_put(op);
}

static void hook_get(void *owner)
{
	lun_get(owner);
}

static void hook_put(void *owner)
{
	lun_put(owner);
}

const struct bdev_hook_ops lun_hook_ops = {
	.open = hook_open,
	.release = hook_release,
	.get = hook_get,
	.put = hook_put,
};

/**
 * lun_open_extended - an open with options of its own (rule 2.2)
 * @lun: the LUN
 * @options: PRM_OPEN_* bits
 *
 * Context: sleeps up to the time limit of rule 6.3; killable. The caller keeps
 * the device open meanwhile.
 * Return: 0, or what rule 3.7 says.
 */
int lun_open_extended(struct lun *lun, u32 options)
{
	if (options == PRM_OPEN_BYPASS)
		return 0;
	if (!lun_guards(lun)) {
		lun_warn(lun, "extended open refused: %s",
			 READ_ONCE(lun->active) ? "the table has no pr_key" :
						  "no table is live, expected a resume first");
		return -EOPNOTSUPP;
	}
	/*
	 * Others come and go without the disk's open_mutex meanwhile, and the
	 * descriptor itself may have read before the LUN changed hands.
	 */
	return open_lun(lun, options, true);
}

/*
 * Tables
 */

static void lun_check_work(struct work_struct *work);

/**
 * lun_create - the LUN object of a mapped device
 * @md: the mapped device
 *
 * Return: a reference, or NULL without memory.
 */
struct lun *lun_create(struct mapped_device *md)
{
	struct lun *lun = kzalloc(sizeof(*lun), GFP_KERNEL);
	char dm_name[DM_NAME_LEN];

	if (!lun)
		return NULL;
	kref_init(&lun->ref);
	lun->disk = dm_disk(md);
	INIT_HLIST_NODE(&lun->all);
	INIT_WORK(&lun->work, lun_work);
	INIT_WORK(&lun->tell, lun_tell);
	INIT_DELAYED_WORK(&lun->timer, lun_timer);
	INIT_DELAYED_WORK(&lun->check, lun_check_work);
	if (dm_copy_name_and_uuid(md, dm_name, NULL))
		strscpy(dm_name, "?", sizeof(dm_name));
	snprintf(lun->name, sizeof(lun->name), "%s (%s)", dm_name,
		 lun->disk->disk_name);
	init_waitqueue_head(&lun->wait);
	mutex_init(&lun->client_lock);
	mutex_init(&lun->open_lock);
	spin_lock_init(&lun->lock);
	INIT_LIST_HEAD(&lun->queue);
	pr_lun_init(&lun->pr, &(struct pr_config){ .type = PR_TYPE_WRITE_EXCLUSIVE_RO });
	lun->retry_at = jiffies;
	lun->configure_at = jiffies;
	lun->admit_at = jiffies;
	lun->refused_at = jiffies;
	lun->watch_at = jiffies;
	return lun;
}

static bool has_sdev(struct lun *lun, const struct scsi_device *sdev)
{
	unsigned long flags;
	bool found = false;
	int i;

	spin_lock_irqsave(&lun->lock, flags);
	for (i = 0; i < PR_MAX_PATHS; i++)
		found |= lun->path[i] && lun->path[i]->p->sdev == sdev;
	spin_unlock_irqrestore(&lun->lock, flags);
	return found;
}

/*
 * Two devices of one host on one LUN know nothing of each other, unless they
 * are two hosts to the target as well: other keys, other I_T nexuses.
 */
static bool rivals(struct lun *lun, struct lun *other, u64 key,
		   const struct scsi_device *sdev)
{
	return !key || !other->claim_key || key == other->claim_key ||
	       has_sdev(other, sdev);
}

static u32 id_hash(const char *id)
{
	return full_name_hash(NULL, id, strlen(id));
}

/* One LUN per mapped device, and, but for rivals(), the other way round. */
static int claim_id(struct lun *lun, const char *id, u64 key,
		    const struct scsi_device *sdev, const char *name,
		    char error[PRM_ERROR_LEN])
{
	struct lun *other;
	int r = 0;

	mutex_lock(&lun_table_lock);
	if (lun->id[0] && strcmp(lun->id, id)) {
		scnprintf(error, PRM_ERROR_LEN,
			  "path %s leads to LUN %.80s, expected %.80s", name, id, lun->id);
		r = -EINVAL;
		goto out;
	}
	hash_for_each_possible(lun_table, other, all, id_hash(id)) {
		if (other == lun || strcmp(other->id, id) ||
		    !rivals(lun, other, key, sdev))
			continue;
		scnprintf(error, PRM_ERROR_LEN, "path %s: LUN %.80s is in use by %s",
			  name, id, lun_name(other));
		r = -EBUSY;
		goto out;
	}
	if (!lun->id[0]) {
		lun->claim_key = key;
		strscpy(lun->id, id, sizeof(lun->id));
		hash_add(lun_table, &lun->all, id_hash(id));
	}
out:
	mutex_unlock(&lun_table_lock);
	return r;
}

static void note_port(struct lun *lun, const struct pr_port_id *port)
{
	u32 i;

	lockdep_assert_held(&lun->lock);
	for (i = 0; i < lun->pr.ports; i++)
		if (pr_port_id_equal(&lun->pr.port[i], port))
			return;
	if (lun->pr.ports < PR_MAX_PORTS)
		lun->pr.port[lun->pr.ports++] = *port;
}

static struct lun_path *find_path(struct lun *lun, struct scsi_device *sdev)
{
	int i;

	lockdep_assert_held(&lun->lock);
	for (i = 0; i < PR_MAX_PATHS; i++)
		if (lun->path[i] && lun->path[i]->p->sdev == sdev &&
		    kref_get_unless_zero(&lun->path[i]->p->ref))
			return lun->path[i];
	return NULL;
}

static struct lun_path *new_path(struct lun *lun, struct scsi_device *sdev,
				 struct block_device *bdev)
{
	struct lun_path *path = kzalloc(sizeof(*path), GFP_KERNEL);
	struct lun_path_private *p = kzalloc(sizeof(*p), GFP_KERNEL);
	unsigned int __percpu *writes = alloc_percpu(unsigned int);

	if (!path || !p || !writes || scsi_cmd_alloc(&p->cmd, sdev, command_done)) {
		free_percpu(writes);
		kfree(p);
		kfree(path);
		return NULL;
	}
	path->writes = writes;
	path->p = p;
	snprintf(path->name, sizeof(path->name), "%u:%u", MAJOR(bdev->bd_dev),
		 MINOR(bdev->bd_dev));
	kref_init(&p->ref);
	p->sdev = sdev;
	p->lun = lun;
	p->has_port = identity_port(sdev, &p->port);
	return path;
}

/**
 * lun_path_get - a path for a table that is being built
 * @lun: the LUN
 * @bdev: the path, opened by the caller
 * @key: pr_key of the table
 * @error: on failure: what was wrong with it
 *
 * Context: may sleep.
 * Return: a reference for lun_path_put(), or an ERR_PTR().
 */
struct lun_path *lun_path_get(struct lun *lun, struct block_device *bdev, u64 key,
			      char error[PRM_ERROR_LEN])
{
	char name[16];
	struct lun_path *path = NULL, *found;
	struct scsi_device *sdev;
	const char *problem = NULL;
	unsigned long flags;
	char *id;
	int i, r;

	snprintf(name, sizeof(name), "%u:%u", MAJOR(bdev->bd_dev), MINOR(bdev->bd_dev));
	sdev = identity_sdev(bdev, &problem);
	if (!sdev) {
		scnprintf(error, PRM_ERROR_LEN, "path %s %s", name, problem);
		return ERR_PTR(-EINVAL);
	}
	id = kzalloc(LUN_ID_LEN, GFP_KERNEL);
	if (!id) {
		r = -ENOMEM;
		goto fail;
	}
	/* Without a designator only a single path can be told from others. */
	if (identity_lun(sdev, id) <= 0)
		scnprintf(id, LUN_ID_LEN, "(none, %s)", dev_name(&sdev->sdev_gendev));
	r = claim_id(lun, id, key, sdev, name, error);
	kfree(id);
	if (r)
		goto fail;

	path = new_path(lun, sdev, bdev);
	if (!path) {
		r = -ENOMEM;
		goto fail;
	}
	spin_lock_irqsave(&lun->lock, flags);
	found = find_path(lun, sdev);
	for (i = 0; !found && i < PR_MAX_PATHS && lun->path[i]; i++)
		;
	if (!found && i < PR_MAX_PATHS) {
		path->p->index = i;
		lun->path[i] = path;
		lun_get(lun);
		if (path->p->has_port)
			note_port(lun, &path->p->port);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (!found && i < PR_MAX_PATHS)
		return path;
	scsi_cmd_free(&path->p->cmd);
	free_percpu(path->writes);
	kfree(path->p);
	kfree(path);
	if (found) {
		scsi_device_put(sdev);
		return found;
	}
	scnprintf(error, PRM_ERROR_LEN, "path %s: the LUN has %d paths already", name,
		  PR_MAX_PATHS);
	r = -ENOSPC;
fail:
	if (r == -ENOMEM)
		scnprintf(error, PRM_ERROR_LEN, "path %s: out of memory", name);
	scsi_device_put(sdev);
	return ERR_PTR(r);
}

/**
 * lun_path_put - a table gives a path back
 * @lun: the LUN
 * @path: the path
 *
 * Context: may sleep.
 */
void lun_path_put(struct lun *lun, struct lun_path *path)
{
	(void)lun;
	drop_path(path);
}

/**
 * lun_check - may a table with these features take over? (rule 4.8)
 * @lun: the LUN
 * @features: of the new table
 * @error: on failure: why not
 *
 * Return: 0 or -EBUSY.
 */
int lun_check(struct lun *lun, const struct prm_features *features,
	      char error[PRM_ERROR_LEN])
{
	unsigned int openers = atomic_read(&lun->disk->part0->bd_openers);
	unsigned long flags;
	const char *problem = NULL;
	u64 key;

	spin_lock_irqsave(&lun->lock, flags);
	key = lun->active ? lun->features.key : 0;
	if (openers || lun->pr.state != PR_STATE_FREE) {
		if (key && features->key != key)
			problem = "pr_key cannot change";
		else if (key && features->type != lun->features.type)
			problem = "pr_type cannot change";
		else if (!key && features->key && openers)
			problem = "pr_key cannot be added";
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (!problem)
		return 0;
	scnprintf(error, PRM_ERROR_LEN, "%s while the device is open or reserved (%u opens)",
		  problem, openers);
	return -EBUSY;
}

static struct pr_config config_of(const struct prm_features *f)
{
	return (struct pr_config){
		.key = f->key,
		.type = f->type,
		.aptpl = f->aptpl,
		.shared = f->flags & PRM_F_SHARED,
		.twin_trust = f->flags & PRM_F_TWIN_TRUST,
		.abort_optional = f->flags & PRM_F_ABORT_OPTIONAL,
	};
}

/*
 * @paths have moved from members to leaving; the reference that each member
 * has becomes the operation's.
 */
static struct lun_op *leave_op(u64 paths)
{
	struct lun_op *op = new_op(PR_OP_LEAVE, GFP_NOIO | __GFP_NOFAIL);

	op->pr.paths = paths;
	op->leaving = paths;
	op->held = paths;
	return op;
}

/*
 * Releases what a command has taken that outlived its operation, also by these paths,
 * which are no members: what left before does not take them away, and they leave next.
 */
static struct lun_op *late_close(u64 paths)
{
	struct lun_op *op = new_op(PR_OP_CLOSE, GFP_NOIO | __GFP_NOFAIL);

	op->pr.late = true;
	op->leaving = paths;
	return op;
}

static void queue_rekey(struct lun *lun, u64 key)
{
	struct lun_op *op = new_op(PR_OP_REKEY, GFP_NOIO | __GFP_NOFAIL);

	op->pr.new_key = key;
	submit(lun, op);
	lun_op_put(op);
}

/**
 * lun_activate - a table goes live
 * @lun: the LUN
 * @client: the table
 * @features: its features
 * @paths: its paths
 * @count: entries in @paths
 *
 * Context: may sleep; from ->resume: takes no lock of dm or the block layer.
 * Return: 0.
 */
int lun_activate(struct lun *lun, struct lun_client *client,
		 const struct prm_features *features,
		 struct lun_path **paths, unsigned int count)
{
	struct pr_config cfg = config_of(features);
	u64 members = 0, gone, new, old_key;
	unsigned long flags;
	struct lun_op *op;
	unsigned int i;

	for (i = 0; i < count; i++)
		members |= path_bit(paths[i]->p->index);

	spin_lock_irqsave(&lun->lock, flags);
	gone = lun->members & ~members;
	new = members & ~lun->members;
	old_key = lun->pr.cfg.key;
	/* Options set by message stay, unless the table's own text changed. */
	if (!lun->active || lun->features.open != features->open)
		lun->open = features->open;
	if (!lun->active || lun->features.open_ro != features->open_ro)
		lun->open_ro = features->open_ro;
	if (old_key)
		cfg.key = old_key;	/* PR_OP_REKEY changes it */
	lun->pr.cfg = cfg;
	lun->features = *features;
	for (i = 0; i < count; i++) {
		u64 bit = path_bit(paths[i]->p->index);

		if (new & bit)
			kref_get(&paths[i]->p->ref);
		/* As with dm-multipath, a new table starts with working paths. */
		if (lun->client != client &&
		    test_and_clear_bit(LUN_PATH_FAILED, &paths[i]->flags))
			new |= bit;
	}
	lun->members = members;
	lun->leaving = (lun->leaving & ~members) | gone;
	lun->client = client;
	lun->active = true;
	if (lun->pr.state == PR_STATE_OWNER)
		lun->want_admit |= new;
	else if (!(features->flags & PRM_F_REGISTER_AT_OPEN))
		lun->want_configure |= (members & ~lun->pr.registered) | new;
	lun->configure_at = jiffies;
	refresh_masks(lun);
	publish(lun);
	wake_up_all(&lun->wait);
	spin_unlock_irqrestore(&lun->lock, flags);
	mutex_lock(&lun_table_lock);
	lun->claim_key = features->key;
	mutex_unlock(&lun_table_lock);

	if (old_key && old_key != features->key)
		queue_rekey(lun, features->key);
	if (gone) {
		op = leave_op(gone);
		submit(lun, op);
		lun_op_put(op);
	}
	if (features->path_check_s) {
		lun_get(lun);
		if (mod_delayed_work(lun_wq, &lun->check, features->path_check_s * HZ))
			lun_put(lun);
	}
	kick(lun);
	return 0;
}

/**
 * lun_suspend - a suspend begins
 * @lun: the LUN
 *
 * Its next step waits for messages with all I/O held back: they give way.
 *
 * Context: any.
 */
void lun_suspend(struct lun *lun)
{
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	WRITE_ONCE(lun->suspends, lun->suspends + 1);
	wake_up_all(&lun->wait);
	spin_unlock_irqrestore(&lun->lock, flags);
}

/**
 * lun_deactivate - a table goes away
 * @lun: the LUN
 * @client: the table; not used after return
 *
 * Context: may sleep.
 */
void lun_deactivate(struct lun *lun, struct lun_client *client)
{
	unsigned long flags;

	mutex_lock(&lun->client_lock);
	spin_lock_irqsave(&lun->lock, flags);
	if (lun->client == client)
		lun->client = NULL;
	spin_unlock_irqrestore(&lun->lock, flags);
	mutex_unlock(&lun->client_lock);
}

/**
 * lun_shutdown - no table of ours is left on the mapped device (rule 4.8)
 * @lun: the LUN
 * @openers: how many have the device open
 *
 * Context: sleeps; bounded by the time limits of the operations.
 */
void lun_shutdown(struct lun *lun, unsigned int openers)
{
	unsigned long flags;
	struct lun_op *op;
	bool unseen, stays = false;
	u64 members, twice;
	int i;

	mutex_lock(&lun->open_lock);
	spin_lock_irqsave(&lun->lock, flags);
	lun->closing = true;
	spin_unlock_irqrestore(&lun->lock, flags);
	mutex_unlock(&lun->open_lock);
	wake_up_all(&lun->wait);

	if (lun->active && lun->pr.cfg.key && openers &&
	    lun->pr.state == PR_STATE_OWNER) {
		lun_warn(lun, "table gone while open: the reservation stays until a prmpath table finds it");
	} else if (lun->pr.state == PR_STATE_OWNER ||
		   lun->pr.state == PR_STATE_RELEASING) {
		op = new_op(PR_OP_CLOSE, GFP_NOIO | __GFP_NOFAIL);
		stays = run_and_wait(lun, op);
		if (stays)
			lun_warn(lun, "table gone, and the reservation could not be released: %s",
				 pr_why_text(op->pr.why));
		lun_op_put(op);
	}
	spin_lock_irqsave(&lun->lock, flags);
	unseen = lun->pr.unseen && lun->pr.state == PR_STATE_RETAINED;
	members = lun->members;
	spin_unlock_irqrestore(&lun->lock, flags);
	if (unseen) {
		/* Nobody will look afterwards at who came with the reservation (rule 3.2). */
		op = new_op(PR_OP_CONFIGURE, GFP_NOIO | __GFP_NOFAIL);
		op->pr.paths = members;
		if (run_and_wait(lun, op) && lun->pr.unseen)
			lun_warn(lun, "device gone, and it is not known who is registered beside its reservation: %s",
				 pr_why_text(op->pr.why));
		lun_op_put(op);
	}
	spin_lock_irqsave(&lun->lock, flags);
	members = lun->members | lun->want_leave;
	/* Back before it could leave: the operation has one reference for both. */
	twice = lun->members & lun->want_leave;
	lun->leaving |= members;
	lun->members = 0;
	lun->want_leave = 0;
	spin_unlock_irqrestore(&lun->lock, flags);
	if (!stays) {
		/* What has been before it may leave something to release. */
		op = late_close(members);
		if (run_and_wait(lun, op))
			lun_warn(lun, "device gone, and a reservation could not be released: %s",
				 pr_why_text(op->pr.why));
		lun_op_put(op);
	}
	while (twice) {
		twice = each_path(twice, &i);
		drop_path(lun->path[i]);
	}
	op = leave_op(members);
	run_and_wait(lun, op);
	lun_op_put(op);
	flush_work(&lun->tell);

	spin_lock_irqsave(&lun->lock, flags);
	lun->closed = true;
	spin_unlock_irqrestore(&lun->lock, flags);
	if (cancel_delayed_work_sync(&lun->timer))
		lun_put(lun);
	if (cancel_delayed_work_sync(&lun->check))
		lun_put(lun);
	flush_work(&lun->work);
	flush_work(&lun->tell);
	mutex_lock(&lun_table_lock);
	hash_del(&lun->all);
	mutex_unlock(&lun_table_lock);
}

/* Another device of this host has the LUN now: its state is not ours to touch. */
static bool superseded(struct lun *lun, const struct scsi_device *sdev)
{
	struct lun *other;
	bool found = false;

	mutex_lock(&lun_table_lock);
	hash_for_each_possible(lun_table, other, all, id_hash(lun->id))
		found |= other != lun && !strcmp(other->id, lun->id) &&
			 rivals(lun, other, lun->claim_key, sdev);
	mutex_unlock(&lun_table_lock);
	return found;
}

/*
 * A command that outlived the path's place in the table has ended (rule 6.3):
 * what it may have registered or reserved goes.
 */
static void leave_late(struct lun *lun, struct lun_path *path, bool out)
{
	u64 bit = path_bit(path->p->index);
	struct lun_op *op;
	unsigned long flags;
	bool release, stays;

	if (superseded(lun, path->p->sdev))
		return;
	spin_lock_irqsave(&lun->lock, flags);
	/* The reservation stays, and what it stands on. */
	stays = lun->closed && (lun->pr.state == PR_STATE_OWNER ||
				lun->pr.state == PR_STATE_RETAINED);
	if (!stays) {
		lun->leaving |= bit;
		kref_get(&path->p->ref);
	}
	/* A read that ends late has left nothing, and another one may end later still. */
	release = out && (lun->pr.state == PR_STATE_RELEASING || lun->taken_late);
	spin_unlock_irqrestore(&lun->lock, flags);
	if (stays)
		return;
	/* Before the path leaves: it may be the one that can release. */
	if (release) {
		op = late_close(bit);
		submit(lun, op);
		lun_op_put(op);
	}
	op = leave_op(bit);
	submit(lun, op);
	lun_op_put(op);
}

/*
 * The checker of failed paths
 */

static void check_path(struct lun_path *path)
{
	struct scsi_cmd *cmd = &path->p->cmd;

	memset(cmd->cdb, 0, sizeof(cmd->cdb));
	cmd->cdb[0] = TEST_UNIT_READY;
	cmd->action = PR_ACT_COUNT;
	cmd->out = false;
	cmd->len = 0;
	cmd->timeout_s = COMMAND_TIMEOUT_S;
	cmd->deadline = jiffies + HZ;
	scsi_cmd_start(cmd);
}

static void lun_check_work(struct work_struct *work)
{
	struct lun *lun = container_of(to_delayed_work(work), struct lun, check);
	struct lun_path *path;
	unsigned long flags;
	u64 todo = 0;
	int i;

	spin_lock_irqsave(&lun->lock, flags);
	for (i = 0; i < PR_MAX_PATHS; i++) {
		path = lun->path[i];
		if (!path || !(lun->members & path_bit(i)) ||
		    !path_flag(path, LUN_PATH_FAILED))
			continue;
		kref_get(&path->p->ref);
		todo |= path_bit(i);
	}
	if (!lun->closed && lun->features.path_check_s) {
		lun_get(lun);
		if (!queue_delayed_work(lun_wq, &lun->check,
					lun->features.path_check_s * HZ))
			lun_put(lun);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	while (todo) {
		todo = each_path(todo, &i);
		path = lun->path[i];
		if (claim_path(lun, path, true))
			check_path(path);
		drop_path(path);
	}
	lun_put(lun);
}

/*
 * The I/O side
 */

/**
 * lun_gate - may a write go out? (rule 5.1)
 * @lun: the LUN
 *
 * Context: any; one load, before a path is chosen: no path that the owner may not use
 * is taken for one.
 * Return: true if it may.
 */
bool lun_gate(const struct lun *lun)
{
	/* Pairs with publish(). */
	return smp_load_acquire(&lun->gate);
}

/**
 * lun_gate_still - may it, by the path that was chosen? (rules 5.1 and 5.3)
 * @lun: the LUN
 *
 * Context: any; one load, after a path was chosen: when a fenced host's paths are all
 * admitted again, for reads, the gate is closed.
 * Return: true if it may.
 */
bool lun_gate_still(const struct lun *lun)
{
	/* Pairs with publish(). */
	smp_rmb();
	return READ_ONCE(lun->gate);
}

/**
 * lun_guards - is PR mapping on?
 * @lun: the LUN
 *
 * Return: true if the table has a key.
 */
bool lun_guards(const struct lun *lun)
{
	return READ_ONCE(lun->pr.cfg.key);
}

/**
 * lun_conflict - I/O on a path met RESERVATION CONFLICT (rule 5.4)
 * @lun: the LUN
 * @path: the path
 *
 * Context: any.
 * Return: true if a verdict will come: keep the I/O until lun_undecided() is
 * false; false: the conflict goes up.
 */
bool lun_conflict(struct lun *lun, struct lun_path *path)
{
	unsigned long flags;
	bool owner;

	spin_lock_irqsave(&lun->lock, flags);
	owner = lun->pr.state == PR_STATE_OWNER && lun->pr.cfg.key;
	if (owner && !(lun->conflicts & path_bit(path->p->index))) {
		lun->conflicts |= path_bit(path->p->index);
		lun->told.conflicts = lun->conflicts;
		lun->pr.suspect = true;
		lun->retry_at = jiffies;
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (owner)
		kick(lun);
	return owner;
}

/**
 * lun_undecided - is a verdict on a conflict still to come?
 * @lun: the LUN
 *
 * Context: any.
 * Return: true while it is.
 */
bool lun_undecided(const struct lun *lun)
{
	return READ_ONCE(lun->conflicts);
}

/**
 * lun_path_fail - no I/O through this path from now on
 * @lun: the LUN
 * @path: the path
 * @reason: for the log
 *
 * Context: any.
 * Return: true if it had not failed before.
 */
bool lun_path_fail(struct lun *lun, struct lun_path *path, const char *reason)
{
	unsigned long flags;
	bool failed;

	spin_lock_irqsave(&lun->lock, flags);
	failed = !test_and_set_bit(LUN_PATH_FAILED, &path->flags);
	if (failed) {
		atomic_inc(&path->fail_count);
		/* Who waits for it to be free should turn to others. */
		wake_up_all(&lun->wait);
		/* It comes back by rule 5.3 only. */
		pr_path_gone(&lun->pr, path->p->index);
		lun->announced &= ~path_bit(path->p->index);
		/* Its conflict is settled by that; others may carry its I/O. */
		if (lun->conflicts & path_bit(path->p->index)) {
			lun->conflicts &= ~path_bit(path->p->index);
			lun->want_watch = true;
			kick(lun);
		}
		refresh_masks(lun);
		publish(lun);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (failed)
		lun_warn(lun, "path %s failed: %s", path->name, reason);
	return failed;
}

/**
 * lun_path_reinstate - a failed path works again
 * @lun: the LUN
 * @path: the path
 *
 * As owner it waits for its registration (rule 5.3).
 *
 * Context: any.
 */
void lun_path_reinstate(struct lun *lun, struct lun_path *path)
{
	u64 bit = path_bit(path->p->index);
	unsigned long flags;
	bool back;

	spin_lock_irqsave(&lun->lock, flags);
	back = test_and_clear_bit(LUN_PATH_FAILED, &path->flags);
	if (back && (lun->members & bit)) {
		if (lun->pr.state == PR_STATE_OWNER)
			lun->want_admit |= bit;
		else
			lun->want_configure |= bit;
		lun->configure_at = jiffies;
		lun->retry_at = jiffies;
		refresh_masks(lun);
		publish(lun);
		/* Who waits for a busy path may have this one. */
		wake_up_all(&lun->wait);
	}
	spin_unlock_irqrestore(&lun->lock, flags);
	if (!back)
		return;
	lun_info(lun, "path %s works again", path->name);
	kick(lun);
}

/**
 * lun_registering - does all I/O wait for an open that registers?
 * @lun: the LUN
 *
 * That ends by itself.
 *
 * Context: any. What is read after it of the paths is no older.
 * Return: true until they have their paths back.
 */
bool lun_registering(const struct lun *lun)
{
	/* Pairs with publish(). */
	return smp_load_acquire(&lun->registering);
}

/**
 * lun_path_pending - does this path only wait for its registration, or for an open's?
 * @lun: the LUN
 * @path: the path
 *
 * Context: any. Of a path that is admitted meanwhile it may say no, and then the path's
 * flags say that it is.
 * Return: true if I/O should wait for it (rule 5.2).
 */
bool lun_path_pending(const struct lun *lun, const struct lun_path *path)
{
	u64 bit = path_bit(path->p->index);
	bool registering = lun_registering(lun);

	return !path_flag(path, LUN_PATH_FAILED) &&
	       !path_flag(path, LUN_PATH_ADMITTED) &&
	       (registering || (READ_ONCE(lun->pr.state) == PR_STATE_OWNER &&
				!(READ_ONCE(lun->pr.refused) & bit)));
}

/**
 * lun_timeout - how long I/O waits for a path or a verdict
 * @lun: the LUN
 *
 * Return: jiffies.
 */
unsigned int lun_timeout(const struct lun *lun)
{
	return (lun->features.timeout_s ?: OPEN_BUDGET_S) * HZ;
}

/*
 * Messages and status
 */

/**
 * lun_set_options - the options of plain writable opens (rule 2.4)
 * @lun: the LUN
 * @options: PRM_OPEN_* bits
 * @once: for the next open only
 */
void lun_set_options(struct lun *lun, u32 options, bool once)
{
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	if (once) {
		lun->once = true;
		lun->once_options = options;
		lun->once_until = jiffies + ONCE_S * HZ;
	} else {
		lun->open = options;
	}
	spin_unlock_irqrestore(&lun->lock, flags);
}

/**
 * lun_suspends - how often a suspend has begun
 * @lun: the LUN
 *
 * Return: the count, for lun_command().
 */
unsigned int lun_suspends(const struct lun *lun)
{
	return READ_ONCE(lun->suspends);
}

/**
 * lun_command - run an operation that an administrator asked for
 * @lun: the LUN
 * @kind: PR_OP_LOOK, _RELEASE, _UNREGISTER or _CLEAR
 * @suspends: lun_suspends() from before the caller saw that none is under way; it
 *	gives way to one that begins after that
 * @result: filled with text lines, or NULL
 * @size: of @result
 *
 * Context: sleeps up to the time limit of an open.
 * Return: 0 or a negative errno; the log says why.
 */
int lun_command(struct lun *lun, enum pr_op_kind kind, unsigned int suspends,
		char *result, size_t size)
{
	struct lun_op *op = new_op(kind, GFP_KERNEL);
	int r = -ENXIO;

	if (!op)
		return -ENOMEM;
	op->suspends = suspends;
	if (result) {
		op->text_size = size;
		op->text = kvzalloc(size, GFP_KERNEL);
		if (!op->text) {
			r = -ENOMEM;
			goto out;
		}
	}
	if (!READ_ONCE(lun->active) || READ_ONCE(lun->closing))
		goto out;
	submit(lun, op);
	/* The table cannot change meanwhile, so a signal must get us out. */
	r = wait_for_end(lun, op);
	if (r)
		goto out;
	r = op->error;
	if (r)
		lun_warn(lun, "%s: %s", pr_op_name(kind), pr_why_text(op->pr.why));
	else if (result)
		strscpy(result, op->text, size);
out:
	lun_op_put(op);
	return r;
}

/**
 * lun_view - a snapshot for status
 * @lun: the LUN
 * @view: filled in
 */
void lun_view(struct lun *lun, struct lun_view *view)
{
	unsigned long flags;

	spin_lock_irqsave(&lun->lock, flags);
	view->pr = lun->pr;
	view->open = lun->open;
	view->open_ro = lun->open_ro;
	/* pr.live leaves out who has a command under way, too. */
	view->answers = lun->members & ~failed_paths(lun);
	view->gate = lun->gate;
	view->stale_cache = lun->stale_cache;
	copy_path_name(lun, lun->pr.holder, view->holder);
	spin_unlock_irqrestore(&lun->lock, flags);
	view->openers = atomic_read(&lun->disk->part0->bd_openers);
}

/**
 * lun_path_word - a path's PR state in one word
 * @lun: the LUN
 * @path: the path
 *
 * Return: a constant string.
 */
const char *lun_path_word(const struct lun *lun, const struct lun_path *path)
{
	u64 bit = path_bit(path->p->index);

	if (!lun_guards(lun))
		return "off";
	if (READ_ONCE(lun->pr.state) == PR_STATE_OWNER ? proven_paths(lun) & bit :
							 lun->pr.registered & bit)
		return "registered";
	if (lun->pr.refused & bit)
		return "refused";
	return lun_path_pending(lun, path) ? "pending" : "unregistered";
}

/**
 * lun_path_answer - how the last command of our own on a path ended
 * @lun: the LUN
 * @path: the path
 * @text: for a line about it; I/O is not among these commands
 * @size: of @text
 *
 * Context: takes the LUN's lock; sends nothing.
 * Return: the length of the line.
 */
int lun_path_answer(struct lun *lun, const struct lun_path *path, char *text, size_t size)
{
	const struct scsi_cmd *cmd = &path->p->cmd;
	unsigned long flags;
	int n;

	spin_lock_irqsave(&lun->lock, flags);
	if (test_bit(LUN_PATH_BUSY, &path->flags))
		n = scnprintf(text, size, "path=%s answer=awaited\n", path->name);
	else if (!cmd->tries)
		n = scnprintf(text, size, "path=%s answer=none\n", path->name);
	else
		n = scnprintf(text, size, "path=%s answer=%s sense=%02x/%02x/%02x\n",
			      path->name, pr_class_name(cmd->class), cmd->result.key,
			      cmd->result.asc, cmd->result.ascq);
	spin_unlock_irqrestore(&lun->lock, flags);
	return n;
}

/**
 * lun_init - module start
 *
 * Return: 0 or -ENOMEM.
 */
int lun_init(void)
{
	/* A LUN whose paths do not answer must not hold up another one's verdict. */
	lun_wq = alloc_workqueue("prmpath_lun", WQ_UNBOUND | WQ_MEM_RECLAIM, WQ_MAX_ACTIVE);
	if (!lun_wq)
		return -ENOMEM;
	lun_tell_wq = alloc_workqueue("prmpath_tell", WQ_UNBOUND, 0);
	if (!lun_tell_wq) {
		destroy_workqueue(lun_wq);
		return -ENOMEM;
	}
	return 0;
}

/**
 * lun_exit - module end
 */
void lun_exit(void)
{
	destroy_workqueue(lun_wq);
	destroy_workqueue(lun_tell_wq);		/* which that one fills */
}
