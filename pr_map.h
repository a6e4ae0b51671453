/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From open options to PERSISTENT RESERVE commands: the decisions.
 *
 * An operation (open, close, a look by the watcher, ...) is a small state
 * machine. pr_next() is fed with what the target answered and names the next
 * command, or says that the operation is decided. Pure C: no allocation, no
 * lock, no clock. Whoever calls it serialises operations on one pr_lun and
 * runs one at a time to its end.
 */
#ifndef PR_MAP_H
#define PR_MAP_H

#include "pr_wire.h"

#define PR_MAX_PATHS	64
#define PR_MAX_PORTS	8
#define PR_NO_PATH	(-1)

/* Where this host stands with the LUN (rule 1). */
enum pr_state {
	PR_STATE_FREE,		/* no session, nothing held on record */
	PR_STATE_RETAINED,	/* no session, our reservation was kept (rule 4.3) */
	PR_STATE_RELEASING,	/* no session, RELEASE still to be done (rule 4.2) */
	PR_STATE_NO_RESERVE,	/* session without reservation */
	PR_STATE_OWNER,		/* session, reservation held with our key */
	PR_STATE_FENCED,	/* another host took the LUN from our session */
	PR_STATE_COUNT
};

/**
 * struct pr_config - what the table says
 * @key: our reservation key K; 0 = no PR mapping
 * @type: reservation type for new reservations
 * @aptpl: ask the target to keep registrations over power loss (E41)
 * @shared: tolerate foreign registrants (pr_shared, rule 3.2)
 * @twin_trust: take K as ours without proof (rule 3.9)
 * @abort_optional: PREEMPT where the target has no PREEMPT AND ABORT (E25)
 */
struct pr_config {
	u64 key;
	u8 type;
	bool aptpl;
	bool shared;
	bool twin_trust;
	bool abort_optional;
};

/**
 * struct pr_lun - the PR state of one mapped device; bit n of a mask = path n
 * @cfg: configuration
 * @state: enum pr_state
 * @session: union of the option bits of the session's opens (rule 3.5)
 * @opened: an open that is not bypass happened since the last full close
 * @suspect: an I/O conflict is being looked into: not a verified owner now
 * @leftover: a reservation with K stands that nobody wants
 * @unseen: ours since rule 6.1's two commands; who registered between them has not
 *	been looked for yet
 * @registering: an open of a session without reservation registers: no I/O till it has ended
 * @present: paths of the table
 * @live: paths that are present, not failed, with no command left over
 * @registered: paths proven to be registered with K
 * @unverified: paths of the owner whose registration is not yet known to stand
 *	under its own reservation: no I/O there (rule 5.2)
 * @refused: the target or a foreign key on the nexus refused registration
 * @doubt: a REGISTER on it ended without a status that can be trusted
 * @late: paths of the owner where such a command turned out to be done, and no admission
 *	has told since under whose reservation
 * @undo: a failed open registered it and could not undo that; dropped at the next
 *	release, unless it is wanted by then (rule 3.6)
 * @holder: holder path, PR_NO_PATH when unknown or none
 * @type: type of the reservation that we hold
 * @generation: PRgeneration after our last own change
 * @intact: PRgeneration up to which nobody can have evicted an owner. Who does moves it, with
 *	LIO some time later, and so does each REGISTER of ours after that: it has then moved
 *	by no less than we have keys
 * @restarted: PRgeneration was seen below @intact since
 * @baseline: @generation and the key counts below were read, not guessed
 * @attention: a unit attention since then told of resets or preemption
 * @keys_own: entries with K in the last READ KEYS
 * @keys_foreign: other entries
 * @one_entry: it seems that one registration is that of all our paths (E7): a proof tells
 *	nothing of which of them has made it
 * @no_abort: the target refused PREEMPT AND ABORT
 * @no_aptpl: the target refused APTPL
 * @twin: another host was seen with our key (rule 5.10)
 * @seen: last READ RESERVATION
 * @seen_valid: there was one
 * @port: initiator ports of this host
 * @ports: entries in @port
 */
struct pr_lun {
	struct pr_config cfg;
	enum pr_state state;
	u32 session;
	bool opened;
	bool suspect;
	bool leftover;
	bool unseen;
	bool registering;
	u64 present;
	u64 live;
	u64 registered;
	u64 unverified;
	u64 refused;
	u64 doubt;
	u64 late;
	u64 undo;
	int holder;
	u8 type;
	u32 generation;
	u32 intact;
	bool restarted;
	bool baseline;
	bool attention;
	u32 keys_own;
	u32 keys_foreign;
	bool one_entry;
	bool no_abort;
	bool no_aptpl;
	bool twin;
	struct pr_resv seen;
	bool seen_valid;
	struct pr_port_id port[PR_MAX_PORTS];
	u32 ports;
};

enum pr_op_kind {
	PR_OP_OPEN,		/* sections 3 and 4.1 */
	PR_OP_CLOSE,		/* last close, rules 4.2 and 4.3; or a late release */
	PR_OP_REVOKE,		/* take a successful open back, rule 4.7 */
	PR_OP_CONFIGURE,	/* register @paths without a session, rule 5.9 */
	PR_OP_ADMIT,		/* a returning or new path of the owner, rule 5.3 */
	PR_OP_CONFLICT,		/* RESERVATION CONFLICT on I/O, rule 5.4 */
	PR_OP_WATCH,		/* the watcher's look, rule 5.11 */
	PR_OP_LEAVE,		/* @paths leave the table, rules 4.5 and 4.8 */
	PR_OP_REKEY,		/* change the idle host's key to @new_key, rule 4.8 */
	PR_OP_LOOK,		/* read and note, for status */
	PR_OP_RELEASE,		/* message: drop our leftover reservation */
	PR_OP_UNREGISTER,	/* message: drop our registrations */
	PR_OP_CLEAR,		/* message: CLEAR */
	PR_OP_COUNT
};

/* Why an operation ended as it did: one name for errno, log and trace. */
enum pr_why {
	PR_WHY_OK,
	PR_WHY_JOINED,
	PR_WHY_FOREIGN,		/* another host holds the reservation */
	PR_WHY_LEGACY,		/* a SCSI-2 reservation (E32) */
	PR_WHY_TWIN,		/* K is in use by another host */
	PR_WHY_LOST_RACE,	/* another forced open won (rule 3.4) */
	PR_WHY_FENCED,
	PR_WHY_SINGLE_HELD,
	PR_WHY_SINGLE_BUSY,
	PR_WHY_SESSION,		/* not while a session is open */
	PR_WHY_RETAINED,	/* not while a retained reservation stands */
	PR_WHY_NO_ANSWER,
	PR_WHY_NOT_REGISTERED,	/* no path could be registered */
	PR_WHY_NO_PR,
	PR_WHY_NO_TYPE,		/* the target refuses the type */
	PR_WHY_NO_ABORT,	/* the target has no PREEMPT AND ABORT */
	PR_WHY_TIMEOUT,
	PR_WHY_CANCELLED,
	PR_WHY_OPTIONS,
	PR_WHY_UNSETTLED,	/* answers did not fit together: try again later */
	PR_WHY_STALE_CACHE,	/* forced, but pages could not be dropped (rule 4.7) */
	PR_WHY_COUNT
};

/* What the world should hear of; a mask in struct pr_op. */
#define PR_EVENT_OWNER		(1u << 0)
#define PR_EVENT_RELEASED	(1u << 1)
#define PR_EVENT_FENCED		(1u << 2)
#define PR_EVENT_LOST		(1u << 3)	/* the reservation had vanished */
#define PR_EVENT_RETAKEN	(1u << 4)	/* ... and was taken again */
#define PR_EVENT_TWIN		(1u << 5)
#define PR_EVENT_EVICTED	(1u << 6)
#define PR_EVENT_MOVED		(1u << 7)	/* the holder path changed */
#define PR_EVENT_RETAINED	(1u << 8)

/**
 * struct pr_op - one operation and where it stands
 * @kind: enum pr_op_kind
 * @options: PRM_OPEN_* bits of an open
 * @paths: the paths that the operation is about
 * @new_key: for PR_OP_REKEY
 * @cancelled: nobody waits any more: end, and undo what was done
 * @late: a PR_OP_CLOSE for what a command left behind that outlived its open:
 *	of a session that began meanwhile it changes nothing (rule 6.3)
 * @why: the verdict, valid when pr_next() returned false
 * @events: PR_EVENT_* mask
 * @started: this open started a session or changed its nature (rule 4.7)
 * @settled: conflicting paths on which I/O may be sent again
 * @configure: paths that a PR_OP_CONFIGURE should register afterwards
 * @prior_state: before @started; a PR_OP_REVOKE is given these back, and @made
 * @prior_session: likewise
 * @prior_opened: likewise
 * @made: paths that this operation registered
 * @foreign: the foreign key met, for the log
 * @path: the path of the last decision, PR_NO_PATH if none
 *
 * The rest is private to pr_map.c.
 */
struct pr_op {
	enum pr_op_kind kind;
	u32 options;
	u64 paths;
	u64 new_key;
	bool cancelled;
	bool late;
	enum pr_why why;
	u32 events;
	bool started;
	u64 settled;
	u64 configure;
	enum pr_state prior_state;
	u32 prior_session;
	bool prior_opened;
	u64 made;
	u64 foreign;
	int path;

	u8 stage;
	u8 then;		/* stage after a shared piece of work */
	u64 subject;		/* paths of the present REGISTER round */
	u64 retry;		/* paths for its next step */
	u64 tried;		/* paths on which RESERVE failed */
	u64 unanswered;		/* paths that gave no answer in this operation */
	u64 noisy;		/* paths whose own writes were in the way of a REGISTER */
	u64 maybe;		/* its REGISTER may have been done there */
	u64 doubted;		/* proven ones that were in doubt before */
	u64 carries;		/* path of @made that an older reservation was moved to */
	bool took;		/* a RESERVE or PREEMPT of ours may stand */
	bool fought;		/* sent a PREEMPT at another holder */
	bool probed;
	bool ignore;		/* REGISTER AND IGNORE EXISTING KEY allowed */
	bool no_abort;
	bool recheck;
	bool retaking;
	bool memory_lost;
	bool proof_lost;	/* a REGISTER(K to K) ended without its status */
	bool proved;		/* all proofs of the idle host are of this operation */
	bool placed;		/* types 1 and 3: the holder is known to be of now */
	bool shortcut;		/* rule 6.1: READ RESERVATION and RESERVE were all */
	u8 rounds;
	u8 force_rounds;
	u8 release_step;
	u64 victim;
	u64 after;		/* cursor over foreign keys */
	u32 made_count;
	u32 proofs;		/* REGISTER(K to K) that were GOOD */
	u32 own_before;
	u32 generation_before;
	u32 evictions;
	struct pr_resv resv;
	struct pr_key_list keys;
};

/**
 * struct pr_request - commands to send
 * @action: which
 * @paths: on each of these at once, or,
 * @any: with @any, on one after the other until a target answers; the
 *	executor may start the next before the first has given up
 * @key: RESERVATION KEY
 * @sa_key: SERVICE ACTION RESERVATION KEY
 * @type: reservation type
 * @aptpl: APTPL bit
 * @quiet: only where the path's own I/O has ended: a write from before would have
 *	the right of the new registration, should the LUN be another host's by now
 *	(rule 3.2); where it has not, nothing is sent
 * @cleanup: part of an undo: goes on although the time is up
 */
struct pr_request {
	enum pr_action action;
	u64 paths;
	bool any;
	u64 key;
	u64 sa_key;
	u8 type;
	bool aptpl;
	bool quiet;
	bool cleanup;
};

/**
 * struct pr_reply - how they ended
 * @ended: paths by class; a path that did not answer in time is in PR_LOST
 * @silent: those of PR_LOST that gave no SCSI answer at all
 * @unsent: those of @silent to which nothing was sent
 * @noisy: those of @unsent whose own I/O was in the way (see quiet)
 * @attention: a unit attention of the resetting kind was met on the way
 * @path: with @any, the path that answered, else PR_NO_PATH
 * @timed_out: the operation's time is up
 * @resv: READ RESERVATION's answer
 * @keys: READ KEYS's answer; its buffer stays until the operation's next
 *	READ KEYS or READ FULL STATUS
 * @full: READ FULL STATUS's answer
 * @full_len: bytes in @full
 */
struct pr_reply {
	u64 ended[PR_CLASS_COUNT];
	u64 silent;
	u64 unsent;
	u64 noisy;
	u64 attention;
	int path;
	bool timed_out;
	struct pr_resv resv;
	struct pr_key_list keys;
	const u8 *full;
	size_t full_len;
};

void pr_lun_init(struct pr_lun *lun, const struct pr_config *cfg);

/* Prepare @op; the caller then calls pr_next() with no reply. */
void pr_op_init(struct pr_op *op, enum pr_op_kind kind);

/* Turn a successful open that must not stand into its PR_OP_REVOKE. */
void pr_op_revoke(struct pr_op *op);

/*
 * The part of an open that needs no command (rules 3.5, 4.1, 5.3, 5.12).
 * True: decided, @op->why says how. False: run the operation.
 */
bool pr_open_local(struct pr_lun *lun, struct pr_op *op);

/*
 * The next step. @reply is NULL the first time. True: send @req and come back
 * with the reply. False: the operation is over, @op->why tells how.
 */
bool pr_next(struct pr_lun *lun, struct pr_op *op, const struct pr_reply *reply,
	     struct pr_request *req);

/* REGISTER(K to K): it registers nothing, however late it comes (PREEMPT(K to K) is none). */
bool pr_request_proves(const struct pr_request *req);

/* The commands of an open may include PREEMPT: it gets the longer budget. */
bool pr_op_may_preempt(const struct pr_op *op);

/* A path failed, or its nexus changed: it is no longer proven. */
void pr_path_gone(struct pr_lun *lun, int path);

/* A path left: whoever gets its number next inherits nothing. */
void pr_path_left(struct pr_lun *lun, int path);

/* Whether the write gate may be open (rule 5.1). */
bool pr_gate_open(const struct pr_lun *lun);
/* Paths that may carry I/O now (rule 5.2), whatever their health. */
u64 pr_admitted(const struct pr_lun *lun);

int pr_why_errno(enum pr_why why);
const char *pr_why_text(enum pr_why why);
const char *pr_state_name(enum pr_state state);
const char *pr_op_name(enum pr_op_kind kind);
/* The stage that @op is in: for traces and tests. */
const char *pr_op_stage(const struct pr_op *op);
bool pr_type_all_registrants(u8 type);

#endif
