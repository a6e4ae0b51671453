// SPDX-License-Identifier: GPL-2.0-only
/*
 * From open options to PERSISTENT RESERVE commands: the decisions. See
 * pr_map.h for the contract. Stages are rows of a table: each one asks for a
 * command (or for none) and turns the answer into the next stage.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

#include "pr_map.h"
#include "uapi/prmpath.h"

/* How often an operation starts over when the target changes under it. */
#define OPEN_ROUNDS	4
#define ADMIT_ROUNDS	3
#define FORCE_ROUNDS	2	/* PREEMPT again at the same victim (rule 3.4) */
#define EVICT_ROUNDS	4

enum stage {
	ST_DECIDED,
	ST_OPEN_READ,
	ST_OPEN_KEYS,
	ST_OPEN_KEYS_ALL,
	ST_OWNER_PROVEN,
	ST_PROVE,
	ST_TWIN,
	ST_REGISTER,
	ST_REGISTER_PROBE,
	ST_REGISTER_IGNORE,
	ST_RESERVE_LOOK,
	ST_RESERVE,
	ST_TAKE,
	ST_TAKE_VERIFY,
	ST_FIND_HOLDER,
	ST_MOVE_READ,
	ST_MOVE,
	ST_EVICT_KEYS,
	ST_EVICT,
	ST_EVICT_READ,
	ST_OWNED,
	ST_RELEASE_START,
	ST_RELEASE_KEYS,
	ST_RELEASE,
	ST_RELEASE_READ,
	ST_RELEASE_READ_AGAIN,
	ST_RELEASE_AGAIN,
	ST_DROP,
	ST_CONFIGURE_READ,
	ST_CONFIGURE_KEYS,
	ST_CONFIGURE_VERIFY,
	ST_CONFIGURE_COUNT,
	ST_ADMIT_READ,
	ST_ADMIT_KEYS,
	ST_ADMIT_TWIN,
	ST_ADMIT_WITNESS,
	ST_ADMIT_VERIFY,
	ST_ADMIT_COUNT,
	ST_CONFLICT_READ,
	ST_CONFLICT_PROBE,
	ST_WATCH_READ,
	ST_WATCH_KEYS,
	ST_WATCH_PROBE,
	ST_VANISHED_KEYS,
	ST_VANISHED_PROVE,
	ST_RETAKE,
	ST_RETAKE_VERIFY,
	ST_RETAKE_KEYS,
	ST_LEAVE_PROVE,
	ST_LEAVE_DROP,
	ST_REKEY,
	ST_LOOK_READ,
	ST_LOOK_KEYS,
	ST_MESSAGE_READ,
	ST_CLEAR,
	ST_UNDO_RELEASE,
	ST_UNDO_VERIFY,
	ST_UNDO_UNREGISTER,
	ST_COUNT
};

struct stage_row {
	const char *name;
	bool cleanup;	/* goes on although the time is up */
	/* false: nothing to send, @answer gets an empty reply */
	bool (*ask)(struct pr_lun *lun, struct pr_op *op, struct pr_request *req);
	enum stage (*answer)(struct pr_lun *lun, struct pr_op *op,
			     const struct pr_reply *reply);
};

struct op_row {
	const char *name;
	enum stage (*start)(struct pr_lun *lun, struct pr_op *op);
};

/* Whose reservation it is, going by READ RESERVATION alone. */
enum owner { OWNER_NONE, OWNER_KEY, OWNER_ALL, OWNER_FOREIGN };

static u64 bit(int path)
{
	return (u64)1 << path;
}

static u32 count_bits(u64 mask)
{
	u32 n = 0;

	for (; mask; mask &= mask - 1)
		n++;
	return n;
}

static int first_path(u64 mask)
{
	int path = 0;

	if (!mask)
		return PR_NO_PATH;
	while (!(mask & bit(path)))
		path++;
	return path;
}

/* The lowest path alone. */
static u64 one(u64 mask)
{
	return mask & -mask;
}

static bool has_path(u64 mask, int path)
{
	return path != PR_NO_PATH && (mask & bit(path));
}

bool pr_type_all_registrants(u8 type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE_AR ||
	       type == PR_TYPE_EXCLUSIVE_ACCESS_AR;
}

/* Only the holder's nexus may write (E13). */
static bool single_path_type(u8 type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE || type == PR_TYPE_EXCLUSIVE_ACCESS;
}

static enum owner owner_of(const struct pr_lun *lun, const struct pr_resv *r)
{
	if (!r->held)
		return OWNER_NONE;
	if (pr_type_all_registrants(r->type))
		return OWNER_ALL;
	return r->key == lun->cfg.key ? OWNER_KEY : OWNER_FOREIGN;
}

/* Live paths; where none is left, each present one may have come back. */
static u64 usable(const struct pr_lun *lun)
{
	return lun->live ? lun->live : lun->present;
}

static u64 proven(const struct pr_lun *lun)
{
	return lun->registered & usable(lun);
}

static bool aptpl(const struct pr_lun *lun)
{
	return lun->cfg.aptpl && !lun->no_aptpl;
}

static bool session_open(const struct pr_lun *lun)
{
	return lun->state == PR_STATE_OWNER || lun->state == PR_STATE_NO_RESERVE ||
	       lun->state == PR_STATE_FENCED;
}

/* Our own notes say that a reservation with K is this host's (rule 3.9). */
static bool on_record(const struct pr_lun *lun)
{
	return lun->state == PR_STATE_OWNER || lun->state == PR_STATE_RETAINED ||
	       lun->state == PR_STATE_RELEASING;
}

/* Proofs hold as long as nothing was registered or preempted since (rule 6.1). */
static bool proofs_fresh(const struct pr_lun *lun, u32 generation)
{
	return lun->baseline && !lun->attention && lun->generation == generation;
}

/*
 * Endings
 */

static enum stage decided(struct pr_op *op, enum pr_why why)
{
	op->why = why;
	return ST_DECIDED;
}

/* End without success: what this operation did is undone first (rule 3.6). */
static enum stage failed(struct pr_op *op, enum pr_why why)
{
	op->why = why;
	return ST_UNDO_RELEASE;
}

static enum stage fenced(struct pr_lun *lun, struct pr_op *op)
{
	lun->state = PR_STATE_FENCED;
	lun->suspect = false;
	lun->holder = PR_NO_PATH;
	lun->baseline = false;
	/*
	 * A path that waited for its admission may be registered, under the new owner. In
	 * a retake all of them wait, and what stands may be our own.
	 */
	if (!(op->events & PR_EVENT_LOST))
		lun->doubt |= lun->unverified & lun->present;
	op->events |= PR_EVENT_FENCED;
	/* No release: whatever stands there now is not this session's. */
	op->took = false;
	return failed(op, PR_WHY_FENCED);
}

/* Nobody gave a usable answer to a read. */
static enum stage unanswered(struct pr_op *op, const struct pr_reply *reply)
{
	if (reply->ended[PR_CONFLICT])
		return failed(op, PR_WHY_LEGACY);
	if (reply->ended[PR_UNSUPPORTED] | reply->ended[PR_BAD_FIELD])
		return failed(op, PR_WHY_NO_PR);
	return failed(op, reply->timed_out || reply->ended[PR_TRANSIENT] ?
			  PR_WHY_TIMEOUT : PR_WHY_NO_ANSWER);
}

static bool answered(struct pr_op *op, const struct pr_reply *reply)
{
	if (!has_path(reply->ended[PR_GOOD], reply->path))
		return false;
	op->path = reply->path;
	return true;
}

/* A target that starts anew counts from 0, and may reach any number again. */
static void note_generation(struct pr_lun *lun, u32 generation)
{
	lun->restarted |= generation < lun->intact;
}

static void set_intact(struct pr_lun *lun, u32 generation)
{
	lun->intact = generation;
	lun->restarted = false;
}

static bool note_reservation(struct pr_lun *lun, struct pr_op *op,
			     const struct pr_reply *reply)
{
	enum owner owner;

	if (!answered(op, reply))
		return false;
	op->resv = reply->resv;
	lun->seen = reply->resv;
	lun->seen_valid = true;
	note_generation(lun, op->resv.generation);
	owner = owner_of(lun, &op->resv);
	if (owner == OWNER_FOREIGN)
		op->foreign = op->resv.key;
	/* What we had on record is not there any more. */
	if ((owner == OWNER_NONE || owner == OWNER_FOREIGN) && !session_open(lun)) {
		lun->state = PR_STATE_FREE;
		lun->unseen = false;
	}
	return true;
}

static bool note_keys(struct pr_lun *lun, struct pr_op *op,
		      const struct pr_reply *reply)
{
	if (!answered(op, reply))
		return false;
	op->keys = reply->keys;
	lun->keys_own = pr_keys_count_of(&op->keys, lun->cfg.key);
	lun->keys_foreign = op->keys.count - lun->keys_own;
	/* Counts of a short list say nothing about the rest (rule 5.7). */
	if (!op->keys.complete)
		lun->baseline = false;
	else if (!lun->keys_own)
		lun->registered = 0;
	else if (lun->keys_own > 1)
		lun->one_entry = false;
	note_generation(lun, op->keys.generation);
	if (!lun->restarted && op->keys.generation - lun->intact < lun->keys_own)
		lun->intact = op->keys.generation;
	return true;
}

static u64 asked_of(const struct pr_reply *reply)
{
	u64 asked = 0;
	int class;

	for (class = 0; class < PR_CLASS_COUNT; class++)
		asked |= reply->ended[class];
	return asked;
}

/* From here on @generation and the counts describe what we know to be there. */
static void set_baseline(struct pr_lun *lun, const struct pr_op *op)
{
	lun->generation = op->keys.generation;
	lun->baseline = op->keys.complete;
	lun->attention = false;
	if (lun->keys_own == 1 && count_bits(lun->registered & lun->present) > 1)
		lun->one_entry = true;
}

/* The generation counts @made commands of ours, and of our proofs all or none. */
static bool only_ours(const struct pr_op *op, u32 generation, u32 made)
{
	u32 moved_by = generation - op->generation_before;

	return moved_by == made || moved_by == made + op->proofs;
}

/* Else some of ours may have gone meanwhile: the watcher's next look finds which. */
static bool counts_fit(const struct pr_lun *lun)
{
	return lun->keys_own == count_bits(lun->registered & lun->present);
}

/* A short list never proves absence (rule 5.7). */
static bool key_absent(const struct pr_lun *lun, const struct pr_op *op)
{
	return !lun->keys_own && op->keys.complete;
}

/*
 * Requests
 */

static bool read_on(struct pr_request *req, enum pr_action action, u64 paths)
{
	req->action = action;
	req->paths = paths;
	req->any = true;
	return paths != 0;
}

static bool ask_reservation(struct pr_lun *lun, struct pr_op *op,
			    struct pr_request *req)
{
	(void)op;
	return read_on(req, PR_ACT_READ_RESERVATION, usable(lun));
}

static bool ask_keys(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	(void)op;
	return read_on(req, PR_ACT_READ_KEYS, usable(lun));
}

static bool ask_full_status(struct pr_lun *lun, struct pr_op *op,
			    struct pr_request *req)
{
	(void)op;
	return read_on(req, PR_ACT_READ_FULL_STATUS, usable(lun));
}

static bool send_out(const struct pr_lun *lun, struct pr_request *req,
		     enum pr_action action, u64 paths, u64 sa_key)
{
	req->action = action;
	req->paths = paths;
	req->any = false;
	req->key = lun->cfg.key;
	req->sa_key = sa_key;
	req->type = lun->type;
	req->aptpl = false;
	return paths != 0;
}

static bool send_register(const struct pr_lun *lun, struct pr_request *req,
			  u64 paths, u64 from, u64 to)
{
	send_out(lun, req, PR_ACT_REGISTER, paths, to);
	req->key = from;
	req->type = 0;
	req->aptpl = aptpl(lun);
	return paths != 0;
}

static bool ask_prove_paths(const struct pr_lun *lun, struct pr_request *req, u64 paths)
{
	return send_register(lun, req, paths, lun->cfg.key, lun->cfg.key);
}

/* What a round of REGISTER(K to K) proved; the target may count it. */
static void note_proof(struct pr_lun *lun, struct pr_op *op, const struct pr_reply *reply)
{
	u64 late;

	op->proofs += count_bits(reply->ended[PR_GOOD]);
	op->proof_lost |= reply->ended[PR_LOST] & ~reply->unsent;
	/* A command that came late did it, whoever had the LUN then. */
	if (lun->state == PR_STATE_OWNER) {
		late = reply->ended[PR_GOOD] & lun->doubt & ~lun->registered;
		lun->unverified |= late;
		lun->late |= late;
	} else {
		op->doubted |= reply->ended[PR_GOOD] & lun->doubt;
	}
	lun->registered |= reply->ended[PR_GOOD];
	lun->registered &= ~reply->ended[PR_CONFLICT];
	lun->doubt &= ~(reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]);
	lun->late &= ~reply->ended[PR_CONFLICT];
	lun->refused &= ~reply->ended[PR_GOOD];
}

/*
 * PROVE: REGISTER(K to K) where we have no proof. Changes nothing at the
 * target; GOOD says that the nexus is registered with K.
 */
static bool ask_prove(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return ask_prove_paths(lun, req,
			       usable(lun) & ~lun->registered & ~op->unanswered);
}

static enum stage answer_prove(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply)
{
	op->unanswered |= reply->silent;
	note_proof(lun, op, reply);
	return op->then;
}

/*
 * REGISTER round over op->subject (rule 3, "register all"): from key 0, then
 * the proof where that met a conflict or its status is in doubt, then REGISTER
 * AND IGNORE EXISTING KEY where an open may do that.
 */
static enum stage register_paths(struct pr_op *op, u64 paths, enum stage then)
{
	op->subject = paths;
	op->retry = 0;
	op->then = then;
	return ST_REGISTER;
}

/*
 * Another host may hold what an open of a session without reservation registers for,
 * and the session's writes would have the right to land there.
 */
static bool send_new(struct pr_lun *lun, const struct pr_op *op, struct pr_request *req,
		     u64 paths)
{
	lun->registering |= paths && lun->state == PR_STATE_NO_RESERVE &&
			    op->kind == PR_OP_OPEN;
	send_register(lun, req, paths, 0, lun->cfg.key);
	req->quiet = lun->registering || lun->state == PR_STATE_OWNER;
	return paths != 0;
}

static bool ask_register(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return send_new(lun, op, req, op->subject & ~lun->registered & ~op->unanswered);
}

static void note_registered(struct pr_lun *lun, struct pr_op *op, u64 paths)
{
	op->made |= paths;
	op->maybe &= ~paths;
	op->made_count += count_bits(paths);
	lun->registered |= paths;
	lun->refused &= ~paths;
	lun->doubt &= ~paths;
	lun->undo &= ~paths;
	if (lun->state == PR_STATE_OWNER)
		lun->unverified |= paths;
}

static enum stage answer_register(struct pr_lun *lun, struct pr_op *op,
				  const struct pr_reply *reply)
{
	u64 lost = reply->ended[PR_LOST] & ~reply->unsent;
	/* A path's own writes are in the way of a new registration, not of a proof. */
	u64 retry = reply->ended[PR_CONFLICT] | (lost & ~reply->silent) | reply->noisy;

	note_registered(lun, op, reply->ended[PR_GOOD]);
	/* It had no registration, so no reservation stands there. */
	if (has_path(reply->ended[PR_GOOD], lun->holder))
		lun->holder = PR_NO_PATH;
	lun->refused |= reply->ended[PR_NO_RESOURCES];
	lun->doubt |= lost;
	op->maybe |= lost;
	op->unanswered |= reply->silent & ~reply->noisy;
	op->noisy |= reply->noisy;
	if (reply->ended[PR_UNSUPPORTED])
		return failed(op, PR_WHY_NO_PR);
	if (reply->ended[PR_BAD_FIELD]) {
		if (!aptpl(lun)) {
			lun->refused |= reply->ended[PR_BAD_FIELD];
		} else {
			/* E6: a target without PTPL refuses the bit. */
			lun->no_aptpl = true;
			op->subject = reply->ended[PR_BAD_FIELD];
			op->retry |= retry;
			return ST_REGISTER;
		}
	}
	op->retry |= retry;
	return ST_REGISTER_PROBE;
}

static bool ask_register_probe(struct pr_lun *lun, struct pr_op *op,
			       struct pr_request *req)
{
	return ask_prove_paths(lun, req, op->retry);
}

static enum stage answer_register_probe(struct pr_lun *lun, struct pr_op *op,
					const struct pr_reply *reply)
{
	/* A lost status that proves registered was this operation's doing. */
	u64 ours = reply->ended[PR_GOOD] & op->maybe;

	note_proof(lun, op, reply);
	note_registered(lun, op, ours);
	op->unanswered |= reply->silent;
	op->retry = reply->ended[PR_CONFLICT];
	op->unanswered |= op->retry & op->noisy;
	op->retry &= ~op->noisy;
	if (!op->ignore) {
		lun->refused |= op->retry;
		return op->then;
	}
	return ST_REGISTER_IGNORE;
}

static bool ask_register_ignore(struct pr_lun *lun, struct pr_op *op,
				struct pr_request *req)
{
	send_new(lun, op, req, op->retry);
	req->action = PR_ACT_REGISTER_IGNORE;
	return op->retry != 0;
}

static enum stage answer_register_ignore(struct pr_lun *lun, struct pr_op *op,
					 const struct pr_reply *reply)
{
	u64 lost = reply->ended[PR_LOST] & ~reply->unsent;

	note_registered(lun, op, reply->ended[PR_GOOD]);
	lun->doubt |= lost;
	op->maybe |= lost;
	op->unanswered |= reply->silent;
	lun->refused |= op->retry & ~(reply->ended[PR_GOOD] | reply->ended[PR_LOST]);
	return op->then;
}

/*
 * TWIN: is an entry with K another host's? (rules 3.9 and 5.10, E17)
 */
enum twin_verdict { TWIN_OURS, TWIN_OTHER, TWIN_UNKNOWN };

/* Of one protocol this host's ports may be known, and of another one not. */
static enum twin_verdict whose_port(const struct pr_lun *lun,
				    const struct pr_port_id *port)
{
	bool comparable = false;
	u32 i;

	for (i = 0; i < lun->ports; i++) {
		if (pr_port_id_equal(&lun->port[i], port))
			return TWIN_OURS;
		comparable |= lun->port[i].protocol == port->protocol;
	}
	return comparable && lun->ports < PR_MAX_PORTS ? TWIN_OTHER : TWIN_UNKNOWN;
}

static enum twin_verdict twin_verdict(const struct pr_lun *lun,
				      const struct pr_op *op,
				      const struct pr_reply *reply)
{
	bool need_holder = op->resv.held &&
			   !pr_type_all_registrants(op->resv.type);
	enum twin_verdict verdict = TWIN_UNKNOWN;
	bool doubtful = false;
	struct pr_full_status d;
	u32 generation;
	size_t pos = 0;
	int r;

	if (!lun->ports || !has_path(reply->ended[PR_GOOD], reply->path))
		return TWIN_UNKNOWN;
	while ((r = pr_decode_full_status(&d, reply->full, reply->full_len,
					  &pos, &generation, NULL)) > 0) {
		if (d.key != lun->cfg.key)
			continue;
		switch (whose_port(lun, &d.port)) {
		case TWIN_OTHER:
			return TWIN_OTHER;
		case TWIN_UNKNOWN:
			doubtful = true;
			break;
		case TWIN_OURS:
			if (!need_holder || d.holder)
				verdict = TWIN_OURS;
			break;
		}
	}
	/* The holder is told from others by being the holder. */
	return r < 0 || (doubtful && !need_holder) ? TWIN_UNKNOWN : verdict;
}

static enum stage answer_twin(struct pr_lun *lun, struct pr_op *op,
			      const struct pr_reply *reply)
{
	enum twin_verdict verdict = twin_verdict(lun, op, reply);

	if (reply->timed_out)
		return failed(op, PR_WHY_TIMEOUT);
	lun->twin = verdict == TWIN_OTHER;
	if (lun->cfg.twin_trust || verdict == TWIN_OURS)
		return op->then;
	if (verdict == TWIN_OTHER) {
		op->events |= PR_EVENT_TWIN;
		op->foreign = lun->cfg.key;
		return failed(op, PR_WHY_TWIN);
	}
	/* Undecided: only a reservation needs a proof before it is adopted. */
	if (op->resv.held && !on_record(lun) && !proven(lun)) {
		op->foreign = lun->cfg.key;
		return failed(op, PR_WHY_TWIN);
	}
	return op->then;
}

/*
 * OPEN
 */

bool pr_open_local(struct pr_lun *lun, struct pr_op *op)
{
	bool bypass = op->options & PRM_OPEN_BYPASS;

	op->why = PR_WHY_OK;
	if (op->options & ~PRM_OPEN_ALL ||
	    (bypass && op->options != PRM_OPEN_BYPASS)) {
		op->why = PR_WHY_OPTIONS;
		return true;
	}
	if (bypass || !lun->cfg.key)
		return true;
	if (lun->state == PR_STATE_FENCED)
		op->why = PR_WHY_FENCED;
	else if (lun->session & PRM_OPEN_SINGLE)
		op->why = PR_WHY_SINGLE_HELD;
	else if ((op->options & PRM_OPEN_SINGLE) && lun->opened)
		op->why = PR_WHY_SINGLE_BUSY;
	else if (lun->state == PR_STATE_OWNER && !lun->suspect)
		op->why = PR_WHY_JOINED;
	else
		return false;

	if (op->why == PR_WHY_JOINED) {
		lun->session |= op->options;
		lun->opened = true;
	}
	return true;
}

static enum stage session_begins(struct pr_lun *lun, struct pr_op *op,
				 enum pr_state state)
{
	op->started = lun->state != state;
	op->prior_state = lun->state;
	op->prior_session = lun->session;
	op->prior_opened = lun->opened;
	lun->state = state;
	lun->suspect = false;
	/* Not if an owner only took back what had vanished. */
	if (op->started) {
		lun->late = 0;
		set_intact(lun, lun->baseline ? lun->generation : op->resv.generation);
	}
	lun->unverified = lun->present & ~lun->registered;
	lun->undo = 0;
	lun->session |= op->options;
	lun->opened = true;
	if (state == PR_STATE_OWNER)
		op->events |= PR_EVENT_OWNER;
	lun->leftover = false;
	return decided(op, PR_WHY_OK);
}

static enum stage start_open(struct pr_lun *lun, struct pr_op *op)
{
	if (pr_open_local(lun, op))
		return ST_DECIDED;
	op->ignore = true;
	if (!on_record(lun))
		lun->holder = PR_NO_PATH;
	return ST_OPEN_READ;
}

/* Start over with what the target says now. */
static enum stage open_again(struct pr_op *op)
{
	if (++op->rounds > OPEN_ROUNDS)
		return failed(op, PR_WHY_UNSETTLED);
	return ST_OPEN_READ;
}

static enum stage release_chain(struct pr_lun *lun, struct pr_op *op);
static enum stage release_from_any(struct pr_lun *lun, struct pr_op *op);
static enum stage give_up_release(struct pr_lun *lun, struct pr_op *op);

static bool ask_nothing(struct pr_lun *lun, struct pr_op *op, struct pr_request *req);

static bool opening(const struct pr_op *op, u32 option)
{
	return op->kind == PR_OP_OPEN && (op->options & option);
}

static enum stage joined(struct pr_lun *lun, struct pr_op *op)
{
	lun->session |= op->options;
	lun->opened = true;
	return decided(op, PR_WHY_JOINED);
}

/* The reservation found is ours by key: adopt it, or drop a leftover. */
static enum stage adopt(struct pr_lun *lun, struct pr_op *op)
{
	if (opening(op, PRM_OPEN_NO_RESERVE) || op->kind == PR_OP_RELEASE)
		return release_from_any(lun, op);
	return register_paths(op, usable(lun) & ~lun->refused, ST_FIND_HOLDER);
}

static enum stage open_found_own(struct pr_lun *lun, struct pr_op *op)
{
	if (opening(op, PRM_OPEN_NO_RESERVE) && lun->state == PR_STATE_OWNER)
		return joined(lun, op);
	op->then = lun->state == PR_STATE_OWNER ? ST_OWNER_PROVEN : ST_TWIN;
	return ST_PROVE;
}

/*
 * An owner in doubt only joins what it still has. Where no path answers for it,
 * an admission decides: to register or reserve as a new open does would let a
 * session write on that another host has overtaken (rule 5.3).
 */
static enum stage answer_owner_proven(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	(void)reply;
	if (proven(lun) & ~lun->unverified) {
		op->configure |= lun->present & ~lun->registered;
		return joined(lun, op);
	}
	if (op->unanswered)
		return failed(op, PR_WHY_NO_ANSWER);
	op->ignore = false;
	op->paths = usable(lun);
	lun->unverified |= op->paths;
	return ST_ADMIT_READ;
}

/* To break a foreign reservation one path is enough (rule 3). */
static enum stage register_for_take(struct pr_lun *lun, struct pr_op *op)
{
	u64 paths = usable(lun) & ~op->unanswered;

	if (op->options & PRM_OPEN_NO_RESERVE)
		paths = one(paths & ~lun->refused & ~op->tried);
	return register_paths(op, paths, ST_TAKE);
}

static enum stage vanished(struct pr_lun *lun, struct pr_op *op);

static enum stage answer_open_read(struct pr_lun *lun, struct pr_op *op,
				   const struct pr_reply *reply)
{
	bool forced = op->options & PRM_OPEN_FORCED;
	bool no_reserve = op->options & PRM_OPEN_NO_RESERVE;

	if (!note_reservation(lun, op, reply)) {
		if (no_reserve && reply->ended[PR_UNSUPPORTED])
			return session_begins(lun, op, PR_STATE_NO_RESERVE);
		return unanswered(op, reply);
	}
	if (!proofs_fresh(lun, op->resv.generation)) {
		/* An owner's paths are proven again even if this open is cut short. */
		if (lun->state == PR_STATE_OWNER)
			op->configure |= lun->registered;
		lun->registered = 0;
		lun->refused = 0;
	}

	switch (owner_of(lun, &op->resv)) {
	case OWNER_NONE:
		if (lun->state == PR_STATE_OWNER)
			return vanished(lun, op);
		if (no_reserve)
			return session_begins(lun, op, PR_STATE_NO_RESERVE);
		/* Rule 6.1: nothing changed since we read it all. */
		if (proven(lun) && !lun->twin &&
		    proofs_fresh(lun, op->resv.generation) &&
		    !(usable(lun) & ~lun->registered & ~lun->refused) &&
		    (lun->cfg.shared || !lun->keys_foreign))
			return ST_RESERVE;
		return ST_OPEN_KEYS;
	case OWNER_KEY:
		return open_found_own(lun, op);
	case OWNER_ALL:
		return ST_OPEN_KEYS_ALL;
	case OWNER_FOREIGN:
		break;
	}
	/* Not even a forced open re-arms a session that lost the LUN (rule 5.3). */
	if (lun->state == PR_STATE_OWNER)
		return fenced(lun, op);
	if (op->fought)
		return failed(op, PR_WHY_LOST_RACE);
	if (!forced)
		return failed(op, PR_WHY_FOREIGN);
	op->victim = op->resv.key;
	return register_for_take(lun, op);
}

/* No reservation: who else is registered, and perhaps with our key? */
static enum stage answer_open_keys(struct pr_lun *lun, struct pr_op *op,
				   const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (lun->keys_own > count_bits(lun->registered & lun->present)) {
		op->then = ST_TWIN;
		return ST_PROVE;
	}
	lun->twin = false;
	return register_paths(op, usable(lun), ST_RESERVE_LOOK);
}

/* Types 7 and 8 read back key 0: ours if K is among the keys (rule 5.8). */
static enum stage answer_open_keys_all(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	u64 under = op->made;

	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (lun->keys_foreign && lun->state != PR_STATE_OWNER)
		under |= lun->doubt;
	/*
	 * But for what this operation registered under it, unless it reserved as well, or
	 * what a command of before may have registered under others.
	 */
	if (lun->keys_own > count_bits(under & lun->present) ||
	    (op->took && lun->keys_own && op->keys.complete && !lun->keys_foreign))
		return open_found_own(lun, op);
	if (key_absent(lun, op)) {
		if (lun->state == PR_STATE_OWNER)
			return fenced(lun, op);
		if (!session_open(lun))
			lun->state = PR_STATE_FREE;
	}
	op->foreign = pr_keys_next_foreign(&op->keys, lun->cfg.key, 0);
	if (op->kind == PR_OP_RELEASE || !op->keys.complete)
		return failed(op, PR_WHY_FOREIGN);
	if (op->options & PRM_OPEN_FORCED) {
		op->victim = 0;
		return register_paths(op, usable(lun), ST_TAKE);
	}
	if (lun->cfg.shared && !(op->options & PRM_OPEN_NO_RESERVE))
		return register_paths(op, usable(lun), ST_TAKE_VERIFY);
	return failed(op, PR_WHY_FOREIGN);
}

/* After PROVE and REGISTER, where a reservation or stray entries need it. */
static bool ask_twin(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	/* Every entry with K is accounted for by our own paths. */
	if (!op->resv.held && lun->keys_own <= count_bits(proven(lun)))
		return false;
	if (op->resv.held && (on_record(lun) || proven(lun)))
		return false;
	return ask_full_status(lun, op, req);
}

static enum stage after_twin(struct pr_lun *lun, struct pr_op *op)
{
	if (op->kind == PR_OP_CONFIGURE)
		return register_paths(op, op->paths, ST_CONFIGURE_VERIFY);
	if (op->resv.held)
		return adopt(lun, op);
	return register_paths(op, usable(lun), ST_RESERVE_LOOK);
}

static enum stage answer_twin_stage(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	enum stage next;

	op->then = ST_COUNT;
	/* An empty reply here means that no question was open. */
	if (reply->path == PR_NO_PATH && !reply->timed_out && op->probed) {
		lun->twin = false;
		return after_twin(lun, op);
	}
	next = answer_twin(lun, op, reply);
	return next == ST_COUNT ? after_twin(lun, op) : next;
}

static bool ask_twin_stage(struct pr_lun *lun, struct pr_op *op,
			   struct pr_request *req)
{
	bool asked = ask_twin(lun, op, req);

	op->probed = !asked;
	return asked;
}

/*
 * With types 7 and 8 RESERVE succeeds for whoever is registered: what another host
 * holds by now must be seen before that, by who registered in between (rule 3.1).
 */
static bool reserves_for_all(const struct pr_lun *lun, const struct pr_op *op)
{
	return pr_type_all_registrants(lun->cfg.type) && op->made;
}

static bool ask_reserve_look(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return reserves_for_all(lun, op) && ask_reservation(lun, op, req);
}

static enum stage answer_reserve_look(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	if (!reserves_for_all(lun, op))
		return ST_RESERVE;
	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	return owner_of(lun, &op->resv) == OWNER_ALL ? open_again(op) : ST_RESERVE;
}

static bool ask_reserve(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 paths = proven(lun) & ~op->tried & ~op->unanswered;

	op->path = first_path(paths);
	lun->type = lun->cfg.type;
	return send_out(lun, req, PR_ACT_RESERVE, one(paths), 0);
}

static enum stage answer_reserve(struct pr_lun *lun, struct pr_op *op,
				 const struct pr_reply *reply)
{
	int path = op->path;

	if (path == PR_NO_PATH)
		return failed(op, op->tried ? PR_WHY_NO_ANSWER : PR_WHY_NOT_REGISTERED);
	if (reply->ended[PR_GOOD]) {
		op->took = true;
		lun->holder = path;
		op->shortcut = proofs_fresh(lun, op->resv.generation) && !op->made &&
			       (lun->cfg.shared || !lun->keys_foreign);
		return op->shortcut ? ST_OWNED : ST_EVICT_KEYS;
	}
	if (reply->ended[PR_UNSUPPORTED] | reply->ended[PR_BAD_FIELD])
		return failed(op, PR_WHY_NO_TYPE);
	op->tried |= bit(path);
	op->unanswered |= reply->silent;
	if (reply->ended[PR_PATH_STATE])
		return ST_RESERVE;
	/*
	 * A conflict: another host was faster, or this nexus is not registered
	 * after all. No status: read back what it did (E9).
	 */
	if (reply->ended[PR_LOST] & ~reply->unsent)
		op->took = true;
	lun->registered &= ~bit(path);
	lun->baseline = false;
	if (reply->ended[PR_CONFLICT] && !reply->silent)
		op->tried &= ~bit(path);
	return open_again(op);
}

/* PREEMPT AND ABORT: the forced open takes the LUN (rules 3.3 and 3.4). */
static bool ask_take(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 paths = proven(lun) & ~op->tried & ~op->unanswered;

	op->path = first_path(paths);
	lun->type = lun->cfg.type;
	return send_out(lun, req, op->no_abort ? PR_ACT_PREEMPT : PR_ACT_PREEMPT_ABORT,
			one(paths), op->victim);
}

static bool fall_back_to_preempt(struct pr_lun *lun, struct pr_op *op,
				 const struct pr_reply *reply)
{
	if (!(reply->ended[PR_BAD_FIELD] | reply->ended[PR_UNSUPPORTED]))
		return false;
	lun->no_abort = true;
	if (op->no_abort || !lun->cfg.abort_optional)
		return false;
	op->no_abort = true;
	return true;
}

static enum stage answer_take(struct pr_lun *lun, struct pr_op *op,
			      const struct pr_reply *reply)
{
	u64 done = reply->ended[PR_GOOD] | (reply->ended[PR_LOST] & ~reply->unsent);

	if (op->path == PR_NO_PATH) {
		u64 left = usable(lun) & ~op->unanswered & ~lun->refused & ~op->tried &
			   ~op->subject;

		/* The one path that was asked could not be registered: the next one. */
		if ((op->options & PRM_OPEN_NO_RESERVE) && left) {
			op->tried |= op->subject;
			return register_for_take(lun, op);
		}
		return failed(op, op->tried ? PR_WHY_NO_ANSWER : PR_WHY_NOT_REGISTERED);
	}
	if (fall_back_to_preempt(lun, op, reply))
		return ST_TAKE;
	if (reply->ended[PR_BAD_FIELD] | reply->ended[PR_UNSUPPORTED])
		return failed(op, PR_WHY_NO_ABORT);
	op->fought = true;
	lun->baseline = false;
	op->unanswered |= reply->silent;
	if (reply->ended[PR_PATH_STATE] | reply->ended[PR_TRANSIENT]) {
		op->tried |= bit(op->path);
		/* Not executed: nobody was faster, the target was too slow. */
		if (reply->ended[PR_TRANSIENT] && !(proven(lun) & ~op->tried & ~op->unanswered))
			return failed(op, PR_WHY_TIMEOUT);
		return ST_TAKE;
	}
	if (done) {
		op->took = true;
		lun->holder = reply->ended[PR_GOOD] ? op->path : PR_NO_PATH;
	}
	/* SARK 0 removed every other registration, our own paths' too (E16). */
	if (done && !op->victim) {
		lun->registered &= reply->ended[PR_GOOD];
		return register_paths(op, usable(lun), ST_TAKE_VERIFY);
	}
	return ST_TAKE_VERIFY;
}

static enum stage answer_take_verify(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	enum owner owner;

	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	owner = owner_of(lun, &op->resv);
	if (owner == OWNER_KEY ||
	    (owner == OWNER_ALL && (op->took || lun->cfg.shared))) {
		lun->type = op->resv.type;
		if (op->options & PRM_OPEN_NO_RESERVE)
			return release_chain(lun, op);
		if (lun->holder == PR_NO_PATH)
			return ST_FIND_HOLDER;
		return ST_EVICT_KEYS;
	}
	lun->holder = PR_NO_PATH;
	op->took = false;
	if (owner == OWNER_NONE && !op->retaking) {
		if (op->options & PRM_OPEN_NO_RESERVE)
			return session_begins(lun, op, PR_STATE_NO_RESERVE);
		op->retaking = true;
		return ST_RESERVE;
	}
	/*
	 * The same victim holds it still: our registrations may be gone, so
	 * prove them again; bounded, or two hosts play ping-pong.
	 */
	if (owner == OWNER_FOREIGN && op->resv.key == op->victim &&
	    ++op->force_rounds <= FORCE_ROUNDS) {
		lun->registered = 0;
		return register_for_take(lun, op);
	}
	return failed(op, PR_WHY_LOST_RACE);
}

/*
 * Which path holds it? RESERVE of the same type is GOOD on the holder and a
 * conflict elsewhere (E15), so all are asked at once.
 */
static bool ask_find_holder(struct pr_lun *lun, struct pr_op *op,
			    struct pr_request *req)
{
	if (!proven(lun))
		return false;
	lun->type = op->resv.type;
	if (pr_type_all_registrants(lun->type)) {
		lun->holder = first_path(proven(lun));
		return false;
	}
	if (lun->type != lun->cfg.type)
		return false;	/* moving it changes the type as well */
	return send_out(lun, req, PR_ACT_RESERVE, proven(lun) & ~op->unanswered, 0);
}

static enum stage start_admit(struct pr_lun *lun, struct pr_op *op);
static enum stage owner_stands(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply, enum stage next);

/* A session's new nexus: the reservation is to be there. */
static bool admitting(const struct pr_lun *lun, const struct pr_op *op)
{
	return lun->state == PR_STATE_OWNER &&
	       (op->kind == PR_OP_ADMIT || op->kind == PR_OP_CONFLICT || op->kind == PR_OP_OPEN);
}

/* Somebody may have taken it since it was found ours: an owner's proof begins anew. */
static enum stage holder_known(struct pr_lun *lun, struct pr_op *op)
{
	if (++op->rounds >= ADMIT_ROUNDS)
		return failed(op, PR_WHY_UNSETTLED);
	op->placed = true;
	return start_admit(lun, op);
}

static enum stage answer_find_holder(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	op->unanswered |= reply->silent;
	if (!proven(lun))
		return failed(op, PR_WHY_NOT_REGISTERED);
	if (pr_type_all_registrants(lun->type))
		return ST_EVICT_KEYS;
	if (reply->ended[PR_GOOD]) {
		lun->holder = first_path(reply->ended[PR_GOOD]);
		if (admitting(lun, op))
			return holder_known(lun, op);
		/* It stood, or was released just now and stands again: known (rule 3.6). */
		if (lun->state == PR_STATE_FREE)
			lun->state = PR_STATE_RETAINED;
		return ST_EVICT_KEYS;
	}
	return ST_MOVE_READ;
}

/*
 * MOVE: the holder nexus is dead or of an earlier life: PREEMPT(K, K) on
 * another own path moves the reservation there and removes every other
 * registration with K (E11, E27). Only after the same path has just shown
 * that K holds it (E12).
 */
static u64 move_target(const struct pr_lun *lun, const struct pr_op *op)
{
	u64 paths = proven(lun) & ~op->tried & ~op->unanswered;

	if (op->kind == PR_OP_LEAVE)
		paths &= ~op->paths;
	return one(paths);
}

static bool ask_move_read(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return read_on(req, PR_ACT_READ_RESERVATION, move_target(lun, op));
}

static enum stage moved(struct pr_lun *lun, struct pr_op *op);
static enum stage released(struct pr_lun *lun, struct pr_op *op);
static enum stage release_overtaken(struct pr_lun *lun, struct pr_op *op);
static enum stage move_failed(struct pr_lun *lun, struct pr_op *op);

/* Of the operations that move it: the others keep it. */
static bool releasing(const struct pr_op *op)
{
	switch (op->kind) {
	case PR_OP_OPEN:
	case PR_OP_LEAVE:
	case PR_OP_ADMIT:
	case PR_OP_CONFLICT:
		return false;
	default:
		return true;
	}
}

static enum stage answer_move_read(struct pr_lun *lun, struct pr_op *op,
				   const struct pr_reply *reply)
{
	u64 target = move_target(lun, op);

	if (!target)
		return move_failed(lun, op);
	if (!note_reservation(lun, op, reply)) {
		op->tried |= target;
		return ST_MOVE_READ;
	}
	switch (owner_of(lun, &op->resv)) {
	case OWNER_KEY:
		if (admitting(lun, op) && op->resv.type != lun->type)
			return fenced(lun, op);
		return ST_MOVE;
	case OWNER_NONE:
		if (releasing(op))
			return released(lun, op);
		break;
	case OWNER_FOREIGN:
		if (releasing(op))
			return release_overtaken(lun, op);
		if (admitting(lun, op))
			return fenced(lun, op);
		break;
	case OWNER_ALL:
		break;
	}
	return move_failed(lun, op);
}

static bool ask_move(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	lun->type = op->kind == PR_OP_OPEN ? lun->cfg.type : op->resv.type;
	return send_out(lun, req, PR_ACT_PREEMPT, bit(op->path), lun->cfg.key);
}

static enum stage answer_move(struct pr_lun *lun, struct pr_op *op,
			      const struct pr_reply *reply)
{
	lun->baseline = false;
	if (reply->ended[PR_GOOD]) {
		lun->holder = op->path;
		lun->registered = bit(op->path);
		/* What stood before us stands on this registration now. */
		if (!op->took) {
			op->carries = (op->made | op->carries) & bit(op->path);
			op->made &= ~op->carries;
		}
		op->events |= PR_EVENT_MOVED;
		return moved(lun, op);
	}
	op->tried |= bit(op->path);
	op->unanswered |= reply->silent;
	if (reply->ended[PR_PATH_STATE])
		return ST_MOVE_READ;
	lun->registered &= ~bit(op->path);
	/* Lost: it may have removed the others' registrations. */
	if (reply->ended[PR_LOST] & ~reply->unsent)
		lun->registered = 0;
	return move_failed(lun, op);
}

static enum stage moved(struct pr_lun *lun, struct pr_op *op)
{
	switch (op->kind) {
	case PR_OP_OPEN:
		if (op->options & PRM_OPEN_NO_RESERVE)
			return ST_RELEASE;
		if (admitting(lun, op))
			return holder_known(lun, op);
		/* Somebody may have taken it before they were registered. */
		return register_paths(op, usable(lun), ST_TAKE_VERIFY);
	case PR_OP_LEAVE:
		return register_paths(op, usable(lun) & ~op->paths, ST_LEAVE_DROP);
	case PR_OP_ADMIT:
	case PR_OP_CONFLICT:
		return holder_known(lun, op);
	default:
		op->configure = lun->present & ~lun->registered;
		return ST_RELEASE;
	}
}

static enum stage move_failed(struct pr_lun *lun, struct pr_op *op)
{
	switch (op->kind) {
	case PR_OP_OPEN:
		lun->registered = 0;
		return open_again(op);
	case PR_OP_LEAVE:
	case PR_OP_ADMIT:
	case PR_OP_CONFLICT:
		return failed(op, PR_WHY_UNSETTLED);
	default:
		return give_up_release(lun, op);
	}
}

/*
 * EVICT: with registrants-only types every registrant may write, so foreign
 * keys go, with their commands (rule 3.2).
 */
static enum stage owner_verdict(struct pr_lun *lun, struct pr_op *op)
{
	op->after = 0;
	return lun->cfg.shared ? ST_OWNED : ST_EVICT;
}

/*
 * With types 7 and 8 a key of ours says that we hold it too. Not if this operation
 * made each of them after it found others: those have evicted us (rule 5.8).
 */
static bool only_just_joined(const struct pr_lun *lun, const struct pr_op *op)
{
	return pr_type_all_registrants(lun->type) && !op->took && !lun->cfg.shared &&
	       !(op->events & PR_EVENT_RETAKEN) && op->keys.complete &&
	       lun->keys_own <= count_bits(op->made & lun->present);
}

static enum stage answer_evict_keys(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (key_absent(lun, op) || only_just_joined(lun, op)) {
		/* Somebody preempted us between our commands. */
		op->took = false;
		lun->registered = 0;
		if (lun->state == PR_STATE_OWNER)
			return fenced(lun, op);
		lun->holder = PR_NO_PATH;
		if (!session_open(lun))
			lun->state = PR_STATE_FREE;
		return failed(op, PR_WHY_LOST_RACE);
	}
	/* Who could not evict may be registered no more on that path. */
	if (!op->recheck)
		set_baseline(lun, op);
	if (op->recheck || op->made_count || op->maybe || !counts_fit(lun) ||
	    ((op->events & PR_EVENT_RETAKEN) && op->keys.generation != op->resv.generation))
		lun->baseline = false;
	op->recheck = false;
	return owner_verdict(lun, op);
}

static bool ask_evict(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 paths = proven(lun) & ~op->unanswered;
	int path = has_path(paths, lun->holder) ? lun->holder : first_path(paths);

	op->victim = pr_keys_next_foreign(&op->keys, lun->cfg.key, op->after);
	if (!op->victim || path == PR_NO_PATH)
		return false;
	op->path = path;
	op->foreign = op->victim;
	return send_out(lun, req, op->no_abort ? PR_ACT_PREEMPT : PR_ACT_PREEMPT_ABORT,
			bit(path), op->victim);
}

static enum stage answer_evict(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply)
{
	if (!op->victim) {
		/* A list that did not fit, or a victim that did not go. */
		if ((op->recheck || !op->keys.complete) && ++op->evictions <= EVICT_ROUNDS)
			return ST_EVICT_READ;
		if (op->recheck || !op->keys.complete)
			return failed(op, PR_WHY_UNSETTLED);
		return ST_OWNED;
	}
	if (!(proven(lun) & ~op->unanswered))
		return failed(op, PR_WHY_NO_ANSWER);
	if (fall_back_to_preempt(lun, op, reply))
		return ST_EVICT;
	if (reply->ended[PR_BAD_FIELD] | reply->ended[PR_UNSUPPORTED])
		return failed(op, PR_WHY_NO_ABORT);
	op->unanswered |= reply->silent | reply->ended[PR_PATH_STATE];
	/* The watcher's first look reads the new generation (rule 5.11). */
	lun->baseline = false;
	if (reply->ended[PR_GOOD]) {
		op->events |= PR_EVENT_EVICTED;
		if (lun->keys_foreign)
			lun->keys_foreign -= pr_keys_count_of(&op->keys, op->victim);
	} else {
		/* Gone already, or we are: only the list can tell. */
		op->recheck = true;
	}
	op->after = op->victim;
	return ST_EVICT;
}

/* Who could not evict may hold it no longer, and must not preempt who does (rule 3.2). */
static enum stage answer_evict_read(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	if (lun->state == PR_STATE_OWNER)
		return owner_stands(lun, op, reply, ST_EVICT_KEYS);
	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_KEY:
	case OWNER_ALL:
		return ST_EVICT_KEYS;
	case OWNER_FOREIGN:
	case OWNER_NONE:
		break;
	}
	op->took = false;
	lun->holder = PR_NO_PATH;
	return failed(op, PR_WHY_LOST_RACE);
}

static bool ask_nothing(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	(void)lun;
	(void)op;
	(void)req;
	return false;
}

/* Types 7 and 8: what an open found may have ended by a late RELEASE of ours (rule 5.6). */
static bool found_for_all(const struct pr_lun *lun, const struct pr_op *op)
{
	return op->kind == PR_OP_OPEN && lun->state != PR_STATE_OWNER && !op->took &&
	       pr_type_all_registrants(lun->type);
}

static bool ask_owned(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return found_for_all(lun, op) && ask_reservation(lun, op, req);
}

static enum stage answer_owned(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply)
{
	if (found_for_all(lun, op)) {
		if (!note_reservation(lun, op, reply))
			return unanswered(op, reply);
		if (owner_of(lun, &op->resv) == OWNER_NONE)
			return ST_RESERVE_LOOK;
		if (owner_of(lun, &op->resv) == OWNER_FOREIGN)
			return failed(op, PR_WHY_LOST_RACE);
		/* And of another moment than the list that has our key. */
		if (op->resv.generation != op->keys.generation && !lun->cfg.shared)
			return ++op->evictions <= EVICT_ROUNDS ?
				       ST_EVICT_KEYS : failed(op, PR_WHY_UNSETTLED);
	}
	lun->unseen = op->shortcut;
	if (op->kind == PR_OP_OPEN)
		return session_begins(lun, op, PR_STATE_OWNER);
	if (op->events & PR_EVENT_RETAKEN)
		lun->unverified = lun->present & ~lun->registered;
	return decided(op, PR_WHY_OK);
}

/*
 * RELEASE: on the holder path; then on every registered one; then by moving
 * the reservation here. Each time the target is asked whether it is gone.
 */
static enum stage release_chain(struct pr_lun *lun, struct pr_op *op)
{
	op->release_step = 0;
	lun->type = op->resv.held ? op->resv.type : lun->type;
	if (pr_type_all_registrants(lun->type))
		return ST_RELEASE_KEYS;
	return ST_RELEASE;
}

/* A holder nexus of an earlier life leaves no path registered (E27). */
static enum stage release_from_any(struct pr_lun *lun, struct pr_op *op)
{
	if (proven(lun))
		return release_chain(lun, op);
	return register_paths(op, usable(lun) & ~op->unanswered, ST_RELEASE_START);
}

static enum stage answer_release_start(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	(void)reply;
	if (!proven(lun))
		return give_up_release(lun, op);
	/* What is made here is to be of use to the session as well. */
	return release_chain(lun, op);
}

/* The registration that the reservation was moved to is one like others again. */
static void nothing_stands(struct pr_op *op)
{
	op->made |= op->carries;
	op->carries = 0;
}

static enum stage released(struct pr_lun *lun, struct pr_op *op)
{
	u64 undo = lun->undo & proven(lun);

	lun->holder = PR_NO_PATH;
	lun->leftover = false;
	op->took = false;
	nothing_stands(op);
	if (op->kind == PR_OP_OPEN)
		return session_begins(lun, op, PR_STATE_NO_RESERVE);
	op->events |= PR_EVENT_RELEASED;
	if (op->kind == PR_OP_REVOKE) {
		lun->state = lun->session || lun->opened ? PR_STATE_NO_RESERVE :
							   PR_STATE_FREE;
		return failed(op, PR_WHY_OK);
	}
	lun->state = PR_STATE_FREE;
	/* Registrations stay (rule 4.5), but not those that a failed open left. */
	op->made = undo;
	return undo ? failed(op, PR_WHY_OK) : decided(op, PR_WHY_OK);
}

/*
 * Another host took what was to be released. Registrations made for that would
 * be write access under its reservation.
 */
static enum stage release_overtaken(struct pr_lun *lun, struct pr_op *op)
{
	u64 made;

	nothing_stands(op);
	made = op->made;
	if (op->kind != PR_OP_OPEN) {
		released(lun, op);
		op->made |= made;
		return failed(op, PR_WHY_OK);
	}
	lun->holder = PR_NO_PATH;
	lun->leftover = false;
	op->took = false;
	return failed(op, PR_WHY_LOST_RACE);
}

/*
 * Ours, unwanted, and still there: at the next chance, or the last close. By then
 * it may be another host's, and what was registered for it has to go.
 */
static void release_later(struct pr_lun *lun, struct pr_op *op, bool session)
{
	lun->leftover = true;
	lun->doubt |= op->made & lun->present;
	op->configure |= op->made & lun->present;
	if (lun->state != PR_STATE_FENCED)
		lun->state = session ? PR_STATE_NO_RESERVE : PR_STATE_RELEASING;
}

static enum stage give_up_release(struct pr_lun *lun, struct pr_op *op)
{
	if (op->kind == PR_OP_OPEN)
		return failed(op, PR_WHY_NO_ANSWER);
	release_later(lun, op, lun->opened);
	return decided(op, PR_WHY_NO_ANSWER);
}

/* Types 7 and 8: while others hold it too, only step out (rule 5.8). */
static enum stage answer_release_keys(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return give_up_release(lun, op);
	if (key_absent(lun, op))
		return released(lun, op);
	/* The others that a PREEMPT without status was to remove are still there. */
	if (lun->keys_foreign && op->kind == PR_OP_OPEN && op->fought) {
		if (++op->force_rounds > FORCE_ROUNDS)
			return failed(op, PR_WHY_UNSETTLED);
		op->victim = 0;
		return register_for_take(lun, op);
	}
	return lun->keys_foreign || !op->keys.complete ? ST_DROP : ST_RELEASE;
}

static bool ask_release(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 paths = proven(lun) & ~op->unanswered;

	if (pr_type_all_registrants(lun->type))
		paths = one(paths);
	else if (op->release_step == 0)
		paths = has_path(paths, lun->holder) ? bit(lun->holder) : 0;
	else if (has_path(paths, lun->holder))
		paths &= op->release_step == 1 ? ~bit(lun->holder) : bit(lun->holder);
	return send_out(lun, req, PR_ACT_RELEASE, paths, 0);
}

static enum stage answer_release(struct pr_lun *lun, struct pr_op *op,
				 const struct pr_reply *reply)
{
	op->unanswered |= reply->silent;
	/* Not registered there, whatever was known. */
	if (reply->ended[PR_CONFLICT]) {
		lun->registered &= ~reply->ended[PR_CONFLICT];
		lun->baseline = false;
	}
	/* GOOD proves nothing (E10). */
	return ST_RELEASE_READ;
}

static enum stage answer_release_read(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	u8 type = lun->type;

	if (!note_reservation(lun, op, reply))
		return give_up_release(lun, op);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_NONE:
		return released(lun, op);
	case OWNER_FOREIGN:
		return release_overtaken(lun, op);
	case OWNER_ALL:
	case OWNER_KEY:
		break;
	}
	if (op->resv.type != type && op->rounds++ < OPEN_ROUNDS) {
		lun->type = op->resv.type;
		return release_chain(lun, op);
	}
	/* Ours still. A dead holder path leaves only the move (E11). */
	op->release_step++;
	/* Of types 7 and 8 it may be another host's by now. */
	if (op->release_step == 1)
		return pr_type_all_registrants(lun->type) ? ST_RELEASE_KEYS : ST_RELEASE;
	if (op->release_step == 2 && !pr_type_all_registrants(lun->type)) {
		op->tried = 0;
		return ST_MOVE_READ;
	}
	return give_up_release(lun, op);
}

/* Unregister all paths: with types 7 and 8 that ends our share. */
static bool ask_drop(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return send_register(lun, req, proven(lun) & ~op->unanswered, lun->cfg.key, 0);
}

static enum stage answer_drop(struct pr_lun *lun, struct pr_op *op,
			      const struct pr_reply *reply)
{
	u64 kept;

	lun->registered &= ~(reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]);
	lun->doubt |= reply->ended[PR_LOST];
	lun->baseline = false;
	if (op->kind == PR_OP_UNREGISTER)
		return decided(op, reply->ended[PR_LOST] ? PR_WHY_NO_ANSWER : PR_WHY_OK);
	/* Nobody can step out on a path that gives no answer, and it may be registered. */
	lun->doubt |= lun->present & ~(reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]);
	op->configure |= lun->doubt & lun->present;
	/* What has come back since an open asked is asked by the look that follows. */
	kept = proven(lun);
	if (op->kind == PR_OP_OPEN)
		kept &= asked_of(reply) | op->unanswered;
	return kept ? give_up_release(lun, op) : released(lun, op);
}

static enum stage release_own(struct pr_lun *lun, struct pr_op *op)
{
	op->resv.held = false;
	/* A holder path that is known dead is not worth a time-out. */
	if (!pr_type_all_registrants(lun->type) && !has_path(proven(lun), lun->holder)) {
		op->release_step = 2;
		return ST_MOVE_READ;
	}
	return release_chain(lun, op);
}

static enum stage start_close(struct pr_lun *lun, struct pr_op *op)
{
	enum pr_state state = lun->state;
	bool retain = lun->session & PRM_OPEN_RETAIN;

	if (op->late && state != PR_STATE_RELEASING)
		return decided(op, PR_WHY_OK);
	lun->session = 0;
	lun->opened = false;
	lun->suspect = false;
	lun->unseen &= retain;
	if (state == PR_STATE_RELEASING)
		return ST_RELEASE_READ_AGAIN;
	if (state == PR_STATE_RETAINED)
		return decided(op, PR_WHY_OK);
	if ((state == PR_STATE_NO_RESERVE || state == PR_STATE_FENCED) && lun->leftover) {
		lun->state = PR_STATE_RELEASING;
		return ST_RELEASE_READ_AGAIN;
	}
	if (state != PR_STATE_OWNER) {
		/* What came late while fenced or unreserved is looked into now. */
		op->configure = lun->doubt & lun->present;
		if (state == PR_STATE_NO_RESERVE)
			op->configure |= lun->live & ~lun->registered;
		lun->state = PR_STATE_FREE;
		return decided(op, PR_WHY_OK);
	}
	if (retain) {
		lun->state = PR_STATE_RETAINED;
		op->events |= PR_EVENT_RETAINED;
		/* The session was over before its first look (rule 5.11). */
		if (lun->unseen)
			op->configure = lun->present;
		return decided(op, PR_WHY_OK);
	}
	lun->state = PR_STATE_RELEASING;
	return release_own(lun, op);
}

/* An open that succeeded must not stand after all (rule 4.7): take it back. */
static enum stage start_revoke(struct pr_lun *lun, struct pr_op *op)
{
	lun->session = op->prior_session;
	lun->opened = op->prior_opened;
	if (lun->state != PR_STATE_OWNER) {
		if (lun->state == PR_STATE_NO_RESERVE && !lun->opened)
			lun->state = PR_STATE_FREE;
		return failed(op, PR_WHY_OK);
	}
	if (op->prior_state == PR_STATE_RETAINED) {
		lun->state = PR_STATE_RETAINED;
		return decided(op, PR_WHY_OK);
	}
	/* Nobody joins what is being taken back. */
	lun->suspect = true;
	return release_own(lun, op);
}

/* A release that could not be done at the close is tried again. */
static enum stage answer_release_again(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	if (!note_reservation(lun, op, reply))
		return give_up_release(lun, op);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_NONE:
	case OWNER_FOREIGN:
		return released(lun, op);
	case OWNER_KEY:
	case OWNER_ALL:
		break;
	}
	op->then = ST_RELEASE_AGAIN;
	if (!proofs_fresh(lun, op->resv.generation))
		lun->registered = 0;
	return ST_PROVE;
}

static enum stage answer_release_proven(struct pr_lun *lun, struct pr_op *op,
					const struct pr_reply *reply)
{
	(void)reply;
	return release_from_any(lun, op);
}

/*
 * CONFIGURE: register paths in the background, unless a foreign reservation
 * stands; look again afterwards and undo it if one has come (rule 5.9).
 */
static enum stage start_admit(struct pr_lun *lun, struct pr_op *op);

/* Not allowed to be registered: what an earlier command may have left goes. */
static enum stage unregister_doubtful(struct pr_lun *lun, struct pr_op *op,
				      enum pr_why why)
{
	op->made |= lun->doubt & op->paths;
	return failed(op, why);
}

static enum stage start_configure(struct pr_lun *lun, struct pr_op *op)
{
	if (!lun->cfg.key || !op->paths)
		return decided(op, PR_WHY_OK);
	if (lun->state == PR_STATE_OWNER) {
		op->kind = PR_OP_ADMIT;
		return start_admit(lun, op);
	}
	/*
	 * Fenced: only what came late is looked into. Without a reservation I/O goes on,
	 * and a registration could give it the right to land under another host's.
	 */
	if (lun->state == PR_STATE_FENCED || lun->state == PR_STATE_NO_RESERVE) {
		op->paths &= lun->doubt;
		if (!op->paths)
			return decided(op, lun->state == PR_STATE_FENCED ? PR_WHY_FENCED :
									   PR_WHY_OK);
	}
	return ST_CONFIGURE_READ;
}

static enum stage answer_configure_read(struct pr_lun *lun, struct pr_op *op,
					const struct pr_reply *reply)
{
	enum owner owner;

	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	owner = owner_of(lun, &op->resv);
	/* What stands on our key is looked into at the last close. */
	if (lun->state == PR_STATE_FENCED)
		return owner == OWNER_KEY ? decided(op, PR_WHY_FENCED) :
					    unregister_doubtful(lun, op, PR_WHY_FENCED);
	if (owner == OWNER_FOREIGN)
		return unregister_doubtful(lun, op, PR_WHY_FOREIGN);
	if (lun->state == PR_STATE_NO_RESERVE)
		return owner == OWNER_KEY ? decided(op, PR_WHY_OK) :
					    unregister_doubtful(lun, op, PR_WHY_OK);
	if (!proofs_fresh(lun, op->resv.generation))
		lun->registered = 0;
	/* What is in doubt is asked, whatever was known. */
	lun->registered &= ~lun->doubt;
	return ST_CONFIGURE_KEYS;
}

static enum stage answer_configure_keys(struct pr_lun *lun, struct pr_op *op,
					const struct pr_reply *reply)
{
	enum owner owner = owner_of(lun, &op->resv);

	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	/* What is in doubt is of a session that has stepped out, if it is all (rule 5.8). */
	if (owner == OWNER_ALL &&
	    (!lun->keys_own || (lun->state == PR_STATE_FREE && lun->keys_foreign &&
				lun->keys_own <= count_bits(lun->doubt & lun->present)))) {
		op->foreign = pr_keys_next_foreign(&op->keys, lun->cfg.key, 0);
		return unregister_doubtful(lun, op, PR_WHY_FOREIGN);
	}
	if (lun->keys_own > count_bits(lun->registered & lun->present) ||
	    owner != OWNER_NONE) {
		op->then = ST_TWIN;
		return ST_PROVE;
	}
	return register_paths(op, op->paths, ST_CONFIGURE_VERIFY);
}

static enum stage answer_configure_verify(struct pr_lun *lun, struct pr_op *op,
					  const struct pr_reply *reply)
{
	bool was_held = op->resv.held;
	enum owner owner;

	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	/* Types 7 and 8 that came meanwhile made us a holder: step out. */
	owner = owner_of(lun, &op->resv);
	if (owner == OWNER_FOREIGN || (owner == OWNER_ALL && !was_held))
		return failed(op, PR_WHY_FOREIGN);
	return ST_CONFIGURE_COUNT;
}

static enum stage answer_configure_count(struct pr_lun *lun, struct pr_op *op,
					 const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (key_absent(lun, op))
		lun->registered = 0;
	set_baseline(lun, op);
	/* One registration for all paths (E7), or a proof that is out of date. */
	if (lun->keys_own < count_bits(lun->registered & lun->present) && !op->proved) {
		op->proved = true;
		lun->registered &= ~usable(lun) | op->unanswered;
		op->then = ST_CONFIGURE_VERIFY;
		return ST_PROVE;
	}
	if (op->proved)
		op->configure |= lun->present & lun->live & ~lun->registered & ~lun->refused;
	/* A reservation that an earlier life of this host retained. */
	if (op->resv.held && lun->registered && lun->state == PR_STATE_FREE) {
		lun->state = PR_STATE_RETAINED;
		lun->type = op->resv.type;
	}
	if (lun->state == PR_STATE_RETAINED && lun->unseen) {
		/* What it registered is to stay, even if an eviction fails. */
		op->made = 0;
		return owner_verdict(lun, op);
	}
	return decided(op, lun->registered & op->paths ? PR_WHY_OK : PR_WHY_NOT_REGISTERED);
}

/*
 * ADMIT: a path joins the owner's (rule 5.3, E23). Another own path is the
 * witness wherever there is one: before and after, the key count and the
 * generation must fit, K must hold, and the witness must still be registered.
 */
static u64 witness(const struct pr_lun *lun, const struct pr_op *op)
{
	return lun->registered & lun->live & ~op->paths;
}

static u64 witness_or_subject(const struct pr_lun *lun, const struct pr_op *op)
{
	u64 others = witness(lun, op);

	return others ? others : op->paths & lun->present;
}

static enum stage start_admit(struct pr_lun *lun, struct pr_op *op)
{
	if (!lun->cfg.key || !op->paths)
		return decided(op, PR_WHY_OK);
	if (lun->state == PR_STATE_FENCED)
		return decided(op, PR_WHY_FENCED);
	if (lun->state != PR_STATE_OWNER) {
		op->kind = PR_OP_CONFIGURE;
		return start_configure(lun, op);
	}
	lun->registered &= ~op->paths;
	lun->unverified |= op->paths;
	return ST_ADMIT_READ;
}

static bool ask_admit_read(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return read_on(req, PR_ACT_READ_RESERVATION, witness_or_subject(lun, op));
}

/* An owner looks at its reservation: @next if it stands as it should. */
static enum stage owner_stands(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply, enum stage next)
{
	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_FOREIGN:
		return fenced(lun, op);
	case OWNER_NONE:
		return vanished(lun, op);
	case OWNER_KEY:
	case OWNER_ALL:
		break;
	}
	/* Another manager took it with our key and another type. */
	if (op->resv.type != lun->type)
		return fenced(lun, op);
	return next;
}

static enum stage answer_admit_read(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	return owner_stands(lun, op, reply, ST_ADMIT_KEYS);
}

static bool ask_admit_keys(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return read_on(req, PR_ACT_READ_KEYS, witness_or_subject(lun, op));
}

static enum stage admit_subjects(const struct pr_lun *lun, struct pr_op *op)
{
	return register_paths(op, op->paths & lun->present, ST_ADMIT_WITNESS);
}

/*
 * With types 7 and 8 a key of ours says that we hold it too. Not if late commands may have
 * made all that there is, no other path in @proven has it, and others are there or may have
 * been: then another host may have had the LUN before (rule 5.8).
 */
static bool only_late(const struct pr_lun *lun, const struct pr_op *op, u64 proven)
{
	u32 late = count_bits(lun->doubt | lun->late);

	return pr_type_all_registrants(lun->type) &&
	       (!(proven & ~lun->late) || lun->one_entry) &&
	       lun->keys_own <= late &&
	       ((lun->keys_foreign && !lun->cfg.shared) || lun->restarted ||
		lun->intact != op->keys.generation);
}

static enum stage answer_admit_keys(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (key_absent(lun, op)) {
		lun->registered = 0;
		return fenced(lun, op);
	}
	if (!op->keys.complete)
		return failed(op, PR_WHY_UNSETTLED);
	if (only_late(lun, op, witness(lun, op)))
		return fenced(lun, op);
	op->own_before = lun->keys_own;
	op->generation_before = op->keys.generation;
	op->made_count = 0;
	op->proofs = 0;
	return witness(lun, op) || lun->cfg.twin_trust ? admit_subjects(lun, op) :
							 ST_ADMIT_TWIN;
}

/* No own path speaks for K: it may be another host's (rule 5.10). */
static bool ask_admit_twin(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return read_on(req, PR_ACT_READ_FULL_STATUS, witness_or_subject(lun, op));
}

static enum stage answer_admit_twin(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	if (twin_verdict(lun, op, reply) != TWIN_OTHER)
		return admit_subjects(lun, op);
	lun->twin = true;
	op->events |= PR_EVENT_TWIN;
	op->foreign = lun->cfg.key;
	return fenced(lun, op);
}

static bool ask_admit_witness(struct pr_lun *lun, struct pr_op *op,
			      struct pr_request *req)
{
	u64 others = witness(lun, op);

	/* A proof that nobody needs would only raise the generation. */
	if (!others || !(op->paths & lun->registered))
		return false;
	op->path = has_path(others, lun->holder) ? lun->holder : first_path(others);
	return ask_prove_paths(lun, req, bit(op->path));
}

static enum stage admit_again(struct pr_lun *lun, struct pr_op *op);

static enum stage answer_admit_witness(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	if (!(op->paths & lun->registered)) {
		/* K holds: what is not registered carries no I/O, and others may. */
		op->settled |= op->paths;
		return failed(op, PR_WHY_NOT_REGISTERED);
	}
	/* No other own path is alive (E23). */
	if (!asked_of(reply))
		return only_late(lun, op, 0) ? fenced(lun, op) : ST_ADMIT_VERIFY;
	/* The witness itself is no longer registered. */
	lun->registered &= ~reply->ended[PR_CONFLICT];
	if (!reply->ended[PR_GOOD])
		return admit_again(lun, op);
	op->proofs++;
	return ST_ADMIT_VERIFY;
}

static enum stage answer_admit_verify(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	if (!note_reservation(lun, op, reply))
		return failed(op, PR_WHY_UNSETTLED);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_FOREIGN:
		return fenced(lun, op);
	case OWNER_NONE:
		return admit_again(lun, op);
	case OWNER_KEY:
	case OWNER_ALL:
		break;
	}
	/* Another manager took it with our key and another type. */
	if (op->resv.type != lun->type)
		return fenced(lun, op);
	return ST_ADMIT_COUNT;
}

static enum stage answer_admit_count(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return failed(op, PR_WHY_UNSETTLED);
	if (lun->keys_own != op->own_before + op->made_count ||
	    !only_ours(op, op->keys.generation, op->made_count))
		return admit_again(lun, op);
	set_baseline(lun, op);
	set_intact(lun, op->keys.generation);
	lun->baseline &= counts_fit(lun);
	/* The session's from here on, even if an eviction fails. */
	op->made = 0;
	/* Types 1 and 3: a nexus of before may hold it, and nobody else can write (E13, E28). */
	if (single_path_type(lun->type) && (!op->placed || lun->holder == PR_NO_PATH))
		return ST_FIND_HOLDER;
	lun->unverified &= ~(op->paths & lun->registered);
	lun->late &= ~(op->paths & lun->registered);
	op->settled |= op->paths & lun->registered;
	if (!lun->cfg.shared && lun->keys_foreign)
		return owner_verdict(lun, op);
	return op->kind == PR_OP_OPEN ? joined(lun, op) : decided(op, PR_WHY_OK);
}

/* Undo, and look again: a foreign holder ends in fenced there. */
static bool ask_undo_unregister(struct pr_lun *lun, struct pr_op *op,
				struct pr_request *req);

static enum stage admit_again(struct pr_lun *lun, struct pr_op *op)
{
	lun->baseline = false;
	if (++op->rounds >= ADMIT_ROUNDS)
		return failed(op, PR_WHY_UNSETTLED);
	op->recheck = true;	/* tells the undo to come back here */
	return ST_UNDO_UNREGISTER;
}

/*
 * CONFLICT: RESERVATION CONFLICT on I/O of op->paths (rule 5.4, E22).
 */
static enum stage start_conflict(struct pr_lun *lun, struct pr_op *op)
{
	if (lun->state != PR_STATE_OWNER)
		return decided(op, lun->state == PR_STATE_FENCED ? PR_WHY_FENCED :
								   PR_WHY_FOREIGN);
	lun->suspect = true;
	return ST_CONFLICT_READ;
}

static enum stage answer_conflict_read(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	return owner_stands(lun, op, reply, ST_CONFLICT_PROBE);
}

static bool ask_conflict_probe(struct pr_lun *lun, struct pr_op *op,
			       struct pr_request *req)
{
	return ask_prove_paths(lun, req, op->paths & lun->present);
}

static enum stage answer_conflict_probe(struct pr_lun *lun, struct pr_op *op,
					const struct pr_reply *reply)
{
	u64 mute = op->paths & ~(reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]);

	note_proof(lun, op, reply);
	lun->baseline = false;
	lun->suspect = false;
	/* K holds: what gives no proof carries no I/O until it does, and others may. */
	lun->registered &= ~mute;
	/* Registered: the conflict was of a moment that has passed, if any registrant writes. */
	op->paths = reply->ended[PR_CONFLICT];
	if (single_path_type(lun->type))
		op->paths |= reply->ended[PR_GOOD];
	op->settled = (reply->ended[PR_GOOD] | mute) & ~op->paths;
	if (!op->paths)
		return decided(op, reply->ended[PR_GOOD] ? PR_WHY_OK : PR_WHY_NO_ANSWER);
	return start_admit(lun, op);
}

/*
 * WATCH (rule 5.11)
 */
static enum stage start_watch(struct pr_lun *lun, struct pr_op *op)
{
	if (lun->state != PR_STATE_OWNER)
		return decided(op, PR_WHY_OK);
	return ST_WATCH_READ;
}

static enum stage answer_watch_read(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	enum stage next = owner_stands(lun, op, reply, ST_WATCH_KEYS);

	if (next != ST_WATCH_KEYS)
		return next;
	if (proofs_fresh(lun, op->resv.generation) && !op->recheck &&
	    (lun->cfg.shared || !lun->keys_foreign)) {
		lun->suspect = false;
		lun->unseen = false;
		return decided(op, PR_WHY_OK);
	}
	return ST_WATCH_KEYS;
}

static enum stage answer_watch_keys(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	bool checked = proofs_fresh(lun, op->resv.generation);
	bool alone;

	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (key_absent(lun, op)) {
		lun->registered = 0;
		return fenced(lun, op);
	}
	lun->suspect = false;
	/*
	 * Something was registered or removed: are all our paths still
	 * registered? The probe may count, so the baseline is read after it.
	 */
	if (!checked && !op->probed) {
		op->generation_before = op->keys.generation;
		return ST_WATCH_PROBE;
	}
	/* What moves it between two answers may be another host that has gone since. */
	alone = op->probed ? op->generation_before == op->resv.generation &&
			     only_ours(op, op->keys.generation, 0) :
			     op->keys.generation == op->resv.generation;
	if (op->probed && alone && lun->intact == op->generation_before)
		lun->intact = op->keys.generation;
	if (only_late(lun, op, lun->registered & lun->present))
		return fenced(lun, op);
	/* Nobody is evicted before the reservation is seen to be ours beside these keys. */
	if (!alone) {
		lun->baseline = false;
		op->probed = false;
		op->proofs = 0;
		return ++op->rounds < ADMIT_ROUNDS ? ST_WATCH_READ : decided(op, PR_WHY_OK);
	}
	/* What the probe could not ask, the next look asks. */
	if (!op->unanswered)
		set_baseline(lun, op);
	return owner_verdict(lun, op);
}

static bool ask_watch_probe(struct pr_lun *lun, struct pr_op *op,
			    struct pr_request *req)
{
	op->probed = true;
	return ask_prove_paths(lun, req, lun->registered & lun->live);
}

static enum stage answer_watch_probe(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	u64 asked = asked_of(reply), kept = reply->ended[PR_GOOD];

	note_proof(lun, op, reply);
	/* What was registered all the time says nothing of what comes after it. */
	if ((reply->ended[PR_GOOD] & ~lun->late) &&
	    !(lun->one_entry && (lun->doubt | lun->late)))
		set_intact(lun, op->generation_before);
	/*
	 * A path that was away just now, or could not say, has an older proof only.
	 * While no path can say, K holds, and those that were asked go on.
	 */
	if (!kept) {
		op->unanswered = asked & ~reply->ended[PR_CONFLICT];
		kept = asked;
	}
	lun->registered &= kept;
	/* It may have been the holder: nobody is evicted before that is known. */
	return reply->ended[PR_CONFLICT] || has_path(asked & ~reply->ended[PR_GOOD], lun->holder) ?
		       ST_WATCH_READ : ST_WATCH_KEYS;
}

/*
 * The reservation is gone though nobody holds it. Taking it again without a
 * new open needs proof that nobody else had the LUN in between: nothing was
 * registered or preempted since, or the target lost its memory altogether.
 */
static enum stage vanished(struct pr_lun *lun, struct pr_op *op)
{
	op->events |= PR_EVENT_LOST;
	lun->unverified = lun->present;
	lun->holder = PR_NO_PATH;
	lun->suspect = true;
	op->ignore = false;
	op->generation_before = op->resv.generation;
	op->made_count = 0;
	op->proofs = 0;
	op->proof_lost = false;
	if ((lun->baseline && op->resv.generation == lun->generation) ||
	    !op->resv.generation)
		return ST_VANISHED_KEYS;
	return fenced(lun, op);
}

static enum stage answer_vanished_keys(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	if (!op->keys.complete || op->keys.generation != op->generation_before)
		return fenced(lun, op);
	if (!op->keys.count && !op->keys.generation) {
		op->memory_lost = true;
		lun->registered = 0;
		return register_paths(op, usable(lun), ST_RETAKE);
	}
	if (!lun->keys_own || lun->keys_foreign ||
	    op->keys.generation != lun->generation)
		return fenced(lun, op);
	lun->registered = 0;
	op->then = ST_RETAKE;
	return ST_VANISHED_PROVE;
}

static bool ask_retake(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 paths = proven(lun) & ~op->tried & ~op->unanswered;

	op->path = first_path(paths);
	return send_out(lun, req, PR_ACT_RESERVE, one(paths), 0);
}

static enum stage fenced_and_undone(struct pr_lun *lun, struct pr_op *op)
{
	bool took = op->took;
	int holder = lun->holder;

	fenced(lun, op);
	op->took = took;
	lun->holder = holder;
	return failed(op, PR_WHY_FENCED);
}

static enum stage answer_retake(struct pr_lun *lun, struct pr_op *op,
				const struct pr_reply *reply)
{
	if (op->path == PR_NO_PATH)
		return op->unanswered ? failed(op, PR_WHY_NO_ANSWER) :
					fenced_and_undone(lun, op);
	/* What is in the way may be one of ours whose status was lost. */
	if (reply->ended[PR_CONFLICT] && !op->took)
		return fenced(lun, op);
	lun->baseline = false;
	op->took |= reply->ended[PR_GOOD] || reply->ended[PR_LOST] & ~reply->unsent;
	if (!reply->ended[PR_GOOD]) {
		op->tried |= bit(op->path);
		op->unanswered |= reply->silent;
		if (reply->ended[PR_PATH_STATE])
			return ST_RETAKE;
	} else {
		lun->holder = op->path;
	}
	return ST_RETAKE_VERIFY;
}

static void retaken(struct pr_lun *lun, struct pr_op *op)
{
	set_intact(lun, op->resv.generation);
	op->took = false;
	/* Of a lost status; types 1 and 3 have one path. */
	if (lun->holder == PR_NO_PATH && single_path_type(lun->type))
		lun->holder = first_path(lun->present);
	lun->suspect = false;
	op->events |= PR_EVENT_RETAKEN;
	op->settled |= op->paths & lun->registered;
}

static enum stage answer_retake_verify(struct pr_lun *lun, struct pr_op *op,
				       const struct pr_reply *reply)
{
	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	switch (owner_of(lun, &op->resv)) {
	case OWNER_FOREIGN:
		return fenced(lun, op);
	case OWNER_NONE:
		return lun->holder == PR_NO_PATH ? ST_RETAKE : fenced(lun, op);
	case OWNER_KEY:
	case OWNER_ALL:
		break;
	}
	if (op->maybe || op->proof_lost || op->memory_lost)
		return ST_RETAKE_KEYS;
	/* Registered or preempted in between: it was not ours all the time. */
	if (!only_ours(op, op->resv.generation, op->made_count))
		return fenced_and_undone(lun, op);
	retaken(lun, op);
	return ST_EVICT_KEYS;
}

/*
 * A status was lost, and with it how often the generation should have moved. Since
 * the target lost its memory the entries with K tell how many REGISTERs were done; a
 * foreign one may hide a command that was not. And it may have lost its memory once
 * more: then not all are there that were made, while others' fill the count. (Where
 * a host has one registration, one is all; E7.)
 */
static enum stage answer_retake_keys(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	u32 made = op->made_count;

	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	/* Of two moments: a command of ours may have been late. */
	if (op->keys.generation != op->resv.generation &&
	    ++op->rounds <= ADMIT_ROUNDS)
		return ST_RETAKE_VERIFY;
	if (op->maybe || op->proof_lost)
		made = op->memory_lost ? lun->keys_own : 0;
	else if (lun->keys_own != made && lun->keys_own != 1)
		return fenced_and_undone(lun, op);
	if (!op->keys.complete || !lun->keys_own || lun->keys_foreign ||
	    op->keys.generation != op->resv.generation ||
	    !only_ours(op, op->keys.generation, made))
		return fenced_and_undone(lun, op);
	retaken(lun, op);
	return ST_EVICT_KEYS;
}

/*
 * LEAVE: paths leave the table. The reservation moves away from them first;
 * a retained or still held one keeps its registrations (rules 4.5 and 4.8).
 */
static enum stage start_leave(struct pr_lun *lun, struct pr_op *op)
{
	bool all = !(lun->present & ~op->paths);

	if (!lun->cfg.key || !op->paths)
		return decided(op, PR_WHY_OK);
	if (!on_record(lun))
		return ST_LEAVE_DROP;
	if (all)
		return decided(op, PR_WHY_RETAINED);
	if (pr_type_all_registrants(lun->type))
		return ST_LEAVE_PROVE;
	if (lun->holder == PR_NO_PATH || has_path(op->paths, lun->holder))
		return ST_MOVE_READ;
	return ST_LEAVE_DROP;
}

/* The reservation ends with the last registration: another one must be there. */
static bool ask_leave_prove(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return ask_prove_paths(lun, req, proven(lun) & ~op->paths);
}

static enum stage answer_leave_prove(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	note_proof(lun, op, reply);
	/* The target may count a proof. */
	lun->baseline = false;
	return reply->ended[PR_GOOD] ? ST_LEAVE_DROP : failed(op, PR_WHY_UNSETTLED);
}

static bool ask_leave_drop(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	u64 known = lun->registered | lun->doubt;

	if (on_record(lun)) {
		/* That of all paths stays, for the others. */
		if (lun->one_entry)
			return false;
		/* A proof may have been lost. */
		known = lun->live;
	}
	return send_register(lun, req, op->paths & known & lun->live, lun->cfg.key, 0);
}

static enum stage answer_leave_drop(struct pr_lun *lun, struct pr_op *op,
				    const struct pr_reply *reply)
{
	if (lun->registered & op->paths)
		lun->baseline = false;
	lun->registered &= ~op->paths;
	/* An earlier command of one that was not asked may end meanwhile: it leaves once more. */
	lun->doubt &= ~(reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT]);
	return decided(op, PR_WHY_OK);
}

/*
 * REKEY: an idle device's table names another key (rule 4.8).
 */
static enum stage start_rekey(struct pr_lun *lun, struct pr_op *op)
{
	if (session_open(lun))
		return decided(op, PR_WHY_SESSION);
	if (on_record(lun))
		return decided(op, PR_WHY_RETAINED);
	return ST_REKEY;
}

static bool ask_rekey(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	return send_register(lun, req, proven(lun), lun->cfg.key, op->new_key);
}

static enum stage answer_rekey(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply)
{
	lun->registered &= reply->ended[PR_GOOD];
	lun->refused = 0;
	lun->baseline = false;
	lun->cfg.key = op->new_key;
	if (!op->new_key)
		lun->registered = 0;
	op->configure = lun->present & ~lun->registered;
	return decided(op, PR_WHY_OK);
}

/*
 * LOOK, and the messages that repair
 */
static enum stage start_look(struct pr_lun *lun, struct pr_op *op)
{
	return lun->cfg.key ? ST_LOOK_READ : decided(op, PR_WHY_OK);
}

static enum stage answer_look_read(struct pr_lun *lun, struct pr_op *op,
				   const struct pr_reply *reply)
{
	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	return ST_LOOK_KEYS;
}

static enum stage answer_look_keys(struct pr_lun *lun, struct pr_op *op,
				   const struct pr_reply *reply)
{
	if (!note_keys(lun, op, reply))
		return unanswered(op, reply);
	op->foreign = pr_keys_next_foreign(&op->keys, lun->cfg.key, 0);
	return decided(op, PR_WHY_OK);
}

static enum stage start_message(struct pr_lun *lun, struct pr_op *op)
{
	if (!lun->cfg.key)
		return decided(op, PR_WHY_NO_PR);
	if (session_open(lun))
		return decided(op, PR_WHY_SESSION);
	op->ignore = op->kind == PR_OP_CLEAR;
	return ST_MESSAGE_READ;
}

static enum stage answer_message_read(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	enum owner owner;

	if (!note_reservation(lun, op, reply))
		return unanswered(op, reply);
	owner = owner_of(lun, &op->resv);
	if (!proofs_fresh(lun, op->resv.generation))
		lun->registered = 0;
	switch (op->kind) {
	case PR_OP_CLEAR:
		return register_paths(op, one(usable(lun)), ST_CLEAR);
	case PR_OP_UNREGISTER:
		if (owner == OWNER_KEY || (owner == OWNER_ALL && on_record(lun)))
			return failed(op, PR_WHY_RETAINED);
		op->then = ST_DROP;
		return ST_PROVE;
	default:
		break;
	}
	switch (owner) {
	case OWNER_NONE:
		return released(lun, op);
	case OWNER_FOREIGN:
		return failed(op, PR_WHY_FOREIGN);
	case OWNER_ALL:
		return ST_OPEN_KEYS_ALL;
	case OWNER_KEY:
		break;
	}
	op->then = ST_TWIN;
	return ST_PROVE;
}

static bool ask_clear(struct pr_lun *lun, struct pr_op *op, struct pr_request *req)
{
	op->path = first_path(proven(lun));
	return op->path != PR_NO_PATH &&
	       send_out(lun, req, PR_ACT_CLEAR, bit(op->path), 0);
}

static enum stage answer_clear(struct pr_lun *lun, struct pr_op *op,
			       const struct pr_reply *reply)
{
	if (op->path == PR_NO_PATH)
		return failed(op, PR_WHY_NOT_REGISTERED);
	lun->baseline = false;
	if (!reply->ended[PR_GOOD])
		return failed(op, PR_WHY_NO_ANSWER);
	lun->registered = 0;
	lun->refused = 0;
	lun->doubt = 0;
	lun->holder = PR_NO_PATH;
	lun->state = PR_STATE_FREE;
	return decided(op, PR_WHY_OK);
}

/*
 * UNDO (rule 3.6)
 */
static bool ask_undo_release(struct pr_lun *lun, struct pr_op *op,
			     struct pr_request *req)
{
	int path = lun->holder;

	if (!op->took || path == PR_NO_PATH || pr_type_all_registrants(lun->type))
		return false;
	return send_out(lun, req, PR_ACT_RELEASE, bit(path), 0);
}

static enum stage answer_undo_release(struct pr_lun *lun, struct pr_op *op,
				      const struct pr_reply *reply)
{
	(void)reply;
	if (!op->took)
		return ST_UNDO_UNREGISTER;
	if (!pr_type_all_registrants(lun->type))
		return ST_UNDO_VERIFY;
	/* RELEASE would end it for others who hold it too: only step out. */
	if (lun->state == PR_STATE_OWNER)
		fenced(lun, op);
	op->took = false;
	op->made |= lun->registered;
	return ST_UNDO_UNREGISTER;
}

static enum stage answer_undo_verify(struct pr_lun *lun, struct pr_op *op,
				     const struct pr_reply *reply)
{
	enum owner owner = OWNER_KEY;

	if (answered(op, reply)) {
		lun->seen = reply->resv;
		lun->seen_valid = true;
		owner = owner_of(lun, &reply->resv);
	}
	op->took = false;
	lun->holder = PR_NO_PATH;
	if (owner == OWNER_NONE || owner == OWNER_FOREIGN) {
		if (lun->state == PR_STATE_OWNER) {
			/* A RESERVE without status may come yet: it proves nothing (rule 5.11). */
			fenced(lun, op);
			lun->leftover = true;
		} else if (!session_open(lun)) {
			lun->state = PR_STATE_FREE;
		}
		return ST_UNDO_UNREGISTER;
	}
	/* A session whose reservation was in doubt goes on only as its owner (rule 5.5). */
	if (lun->state == PR_STATE_OWNER)
		fenced(lun, op);
	/* It stands, or may: the background goes on until it is gone. */
	release_later(lun, op, lun->opened);
	return ST_DECIDED;
}

/* Our reservation ends with the registration that it stands on (rule 4.8). */
static u64 stands_on(const struct pr_lun *lun)
{
	return on_record(lun) && lun->holder != PR_NO_PATH ? bit(lun->holder) : 0;
}

static bool ask_undo_unregister(struct pr_lun *lun, struct pr_op *op,
				struct pr_request *req)
{
	op->made |= op->maybe & lun->doubt & ~op->unanswered;
	return send_register(lun, req, op->made & lun->present & ~stands_on(lun),
			     lun->cfg.key, 0);
}

static enum stage answer_undo_unregister(struct pr_lun *lun, struct pr_op *op,
					 const struct pr_reply *reply)
{
	u64 done = reply->ended[PR_GOOD] | reply->ended[PR_CONFLICT];
	u64 kept = op->made & stands_on(lun);

	if (op->made)
		lun->baseline = false;
	op->made &= ~kept;
	lun->registered &= ~op->made;
	op->maybe &= ~op->made;
	lun->doubt &= ~done;
	lun->doubt |= op->made & ~done;
	lun->undo &= ~done;
	if (op->kind == PR_OP_OPEN)
		lun->undo |= op->made & ~done;
	if (lun->state == PR_STATE_OWNER) {
		op->settled &= ~op->made;
		op->configure |= op->made & lun->present;
	} else {
		op->configure |= lun->doubt & lun->present;
	}
	op->made = kept;
	if (op->recheck && op->why == PR_WHY_OK && lun->state == PR_STATE_OWNER) {
		op->recheck = false;
		return ST_ADMIT_READ;
	}
	return ST_DECIDED;
}

static const struct stage_row stages[ST_COUNT] = {
#define ROW(id, ask_fn, answer_fn) \
	[id] = { .name = #id, .ask = (ask_fn), .answer = (answer_fn) }
#define UNDO_ROW(id, ask_fn, answer_fn) \
	[id] = { .name = #id, .cleanup = true, .ask = (ask_fn), .answer = (answer_fn) }
	[ST_DECIDED] = { .name = "ST_DECIDED" },
	ROW(ST_OPEN_READ, ask_reservation, answer_open_read),
	ROW(ST_OPEN_KEYS, ask_keys, answer_open_keys),
	ROW(ST_OPEN_KEYS_ALL, ask_keys, answer_open_keys_all),
	ROW(ST_OWNER_PROVEN, ask_nothing, answer_owner_proven),
	ROW(ST_PROVE, ask_prove, answer_prove),
	ROW(ST_TWIN, ask_twin_stage, answer_twin_stage),
	ROW(ST_REGISTER, ask_register, answer_register),
	ROW(ST_REGISTER_PROBE, ask_register_probe, answer_register_probe),
	ROW(ST_REGISTER_IGNORE, ask_register_ignore, answer_register_ignore),
	ROW(ST_RESERVE_LOOK, ask_reserve_look, answer_reserve_look),
	ROW(ST_RESERVE, ask_reserve, answer_reserve),
	ROW(ST_TAKE, ask_take, answer_take),
	ROW(ST_TAKE_VERIFY, ask_reservation, answer_take_verify),
	ROW(ST_FIND_HOLDER, ask_find_holder, answer_find_holder),
	ROW(ST_MOVE_READ, ask_move_read, answer_move_read),
	ROW(ST_MOVE, ask_move, answer_move),
	ROW(ST_EVICT_KEYS, ask_keys, answer_evict_keys),
	ROW(ST_EVICT, ask_evict, answer_evict),
	ROW(ST_EVICT_READ, ask_reservation, answer_evict_read),
	ROW(ST_OWNED, ask_owned, answer_owned),
	ROW(ST_RELEASE_START, ask_nothing, answer_release_start),
	ROW(ST_RELEASE_KEYS, ask_keys, answer_release_keys),
	ROW(ST_RELEASE, ask_release, answer_release),
	ROW(ST_RELEASE_READ, ask_reservation, answer_release_read),
	ROW(ST_RELEASE_READ_AGAIN, ask_reservation, answer_release_again),
	ROW(ST_RELEASE_AGAIN, ask_nothing, answer_release_proven),
	ROW(ST_DROP, ask_drop, answer_drop),
	ROW(ST_CONFIGURE_READ, ask_reservation, answer_configure_read),
	ROW(ST_CONFIGURE_KEYS, ask_keys, answer_configure_keys),
	ROW(ST_CONFIGURE_VERIFY, ask_reservation, answer_configure_verify),
	ROW(ST_CONFIGURE_COUNT, ask_keys, answer_configure_count),
	ROW(ST_ADMIT_READ, ask_admit_read, answer_admit_read),
	ROW(ST_ADMIT_KEYS, ask_admit_keys, answer_admit_keys),
	ROW(ST_ADMIT_TWIN, ask_admit_twin, answer_admit_twin),
	ROW(ST_ADMIT_WITNESS, ask_admit_witness, answer_admit_witness),
	ROW(ST_ADMIT_VERIFY, ask_admit_read, answer_admit_verify),
	ROW(ST_ADMIT_COUNT, ask_admit_keys, answer_admit_count),
	ROW(ST_CONFLICT_READ, ask_reservation, answer_conflict_read),
	ROW(ST_CONFLICT_PROBE, ask_conflict_probe, answer_conflict_probe),
	ROW(ST_WATCH_READ, ask_reservation, answer_watch_read),
	ROW(ST_WATCH_KEYS, ask_keys, answer_watch_keys),
	ROW(ST_WATCH_PROBE, ask_watch_probe, answer_watch_probe),
	ROW(ST_VANISHED_KEYS, ask_keys, answer_vanished_keys),
	ROW(ST_VANISHED_PROVE, ask_prove, answer_prove),
	ROW(ST_RETAKE, ask_retake, answer_retake),
	ROW(ST_RETAKE_VERIFY, ask_reservation, answer_retake_verify),
	ROW(ST_RETAKE_KEYS, ask_keys, answer_retake_keys),
	ROW(ST_LEAVE_PROVE, ask_leave_prove, answer_leave_prove),
	ROW(ST_LEAVE_DROP, ask_leave_drop, answer_leave_drop),
	ROW(ST_REKEY, ask_rekey, answer_rekey),
	ROW(ST_LOOK_READ, ask_reservation, answer_look_read),
	ROW(ST_LOOK_KEYS, ask_keys, answer_look_keys),
	ROW(ST_MESSAGE_READ, ask_reservation, answer_message_read),
	ROW(ST_CLEAR, ask_clear, answer_clear),
	UNDO_ROW(ST_UNDO_RELEASE, ask_undo_release, answer_undo_release),
	UNDO_ROW(ST_UNDO_VERIFY, ask_reservation, answer_undo_verify),
	UNDO_ROW(ST_UNDO_UNREGISTER, ask_undo_unregister, answer_undo_unregister),
#undef ROW
#undef UNDO_ROW
};

static const struct op_row ops[PR_OP_COUNT] = {
	[PR_OP_OPEN] = { "open", start_open },
	[PR_OP_CLOSE] = { "close", start_close },
	[PR_OP_REVOKE] = { "revoke", start_revoke },
	[PR_OP_CONFIGURE] = { "configure", start_configure },
	[PR_OP_ADMIT] = { "admit", start_admit },
	[PR_OP_CONFLICT] = { "conflict", start_conflict },
	[PR_OP_WATCH] = { "watch", start_watch },
	[PR_OP_LEAVE] = { "leave", start_leave },
	[PR_OP_REKEY] = { "rekey", start_rekey },
	[PR_OP_LOOK] = { "look", start_look },
	[PR_OP_RELEASE] = { "release", start_message },
	[PR_OP_UNREGISTER] = { "unregister", start_message },
	[PR_OP_CLEAR] = { "clear", start_message },
};

void pr_lun_init(struct pr_lun *lun, const struct pr_config *cfg)
{
	memset(lun, 0, sizeof(*lun));
	lun->cfg = *cfg;
	lun->holder = PR_NO_PATH;
	lun->type = cfg->type;
}

void pr_op_init(struct pr_op *op, enum pr_op_kind kind)
{
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->path = PR_NO_PATH;
	op->stage = ST_COUNT;	/* not begun */
}

void pr_op_revoke(struct pr_op *op)
{
	struct pr_op open = *op;

	pr_op_init(op, PR_OP_REVOKE);
	op->options = open.options;
	op->prior_state = open.prior_state;
	op->prior_session = open.prior_session;
	op->prior_opened = open.prior_opened;
	op->made = open.made;
	op->carries = open.carries;
}

/* The time is up, or nobody waits: only undoing goes on. */
static enum stage cut_short(struct pr_lun *lun, struct pr_op *op,
			    const struct pr_reply *reply, enum stage next)
{
	if (!reply || next == ST_DECIDED || stages[next].cleanup ||
	    !(reply->timed_out || op->cancelled))
		return next;
	if (op->kind == PR_OP_CLOSE || op->kind == PR_OP_REVOKE)
		return give_up_release(lun, op);
	return failed(op, op->cancelled ? PR_WHY_CANCELLED : PR_WHY_TIMEOUT);
}

/* What this operation could not verify, or found unregistered, waits for its admission. */
static void admit_later(struct pr_lun *lun, struct pr_op *op)
{
	if (lun->state != PR_STATE_OWNER)
		return;
	lun->registered &= ~lun->unverified;
	op->configure |= lun->present & lun->live & ~lun->registered & ~lun->refused;
	if (op->kind == PR_OP_LEAVE)
		op->configure &= ~op->paths;
}

/* That a late registration is there gives no right to it: the operation did not succeed. */
static void doubt_again(struct pr_lun *lun, struct pr_op *op)
{
	u64 paths = op->doubted & lun->registered & lun->present;

	if (lun->state == PR_STATE_OWNER || !pr_why_errno(op->why))
		return;
	lun->doubt |= paths;
	op->configure |= paths;
}

bool pr_next(struct pr_lun *lun, struct pr_op *op, const struct pr_reply *reply,
	     struct pr_request *req)
{
	static const struct pr_reply nothing = { .path = PR_NO_PATH };
	enum stage next;

	if (op->stage == ST_COUNT) {
		next = ops[op->kind].start(lun, op);
	} else {
		if (reply->attention)
			lun->attention = true;
		next = stages[op->stage].answer(lun, op, reply);
	}

	while ((next = cut_short(lun, op, reply, next)) != ST_DECIDED) {
		op->stage = next;
		memset(req, 0, sizeof(*req));
		if (stages[next].ask(lun, op, req)) {
			req->cleanup = stages[next].cleanup;
			return true;
		}
		next = stages[next].answer(lun, op, &nothing);
	}
	op->stage = ST_DECIDED;
	lun->registering = false;
	admit_later(lun, op);
	doubt_again(lun, op);
	return false;
}

bool pr_request_proves(const struct pr_request *req)
{
	return req->action == PR_ACT_REGISTER && req->key && req->key == req->sa_key;
}

bool pr_op_may_preempt(const struct pr_op *op)
{
	return op->kind == PR_OP_OPEN && (op->options & PRM_OPEN_FORCED);
}

void pr_path_gone(struct pr_lun *lun, int path)
{
	lun->registered &= ~bit(path);
	lun->refused &= ~bit(path);
	lun->undo &= ~bit(path);
}

void pr_path_left(struct pr_lun *lun, int path)
{
	pr_path_gone(lun, path);
	lun->doubt &= ~bit(path);
	lun->late &= ~bit(path);
	if (lun->holder == path)
		lun->holder = PR_NO_PATH;
}

bool pr_gate_open(const struct pr_lun *lun)
{
	return !lun->cfg.key || lun->state == PR_STATE_OWNER ||
	       lun->state == PR_STATE_NO_RESERVE;
}

u64 pr_admitted(const struct pr_lun *lun)
{
	if (lun->registering)
		return 0;
	if (!lun->cfg.key || lun->state != PR_STATE_OWNER)
		return lun->present;
	if (single_path_type(lun->type))
		return lun->holder == PR_NO_PATH ? 0 :
		       bit(lun->holder) & lun->registered & ~lun->unverified;
	return lun->registered & ~lun->unverified;
}

static const struct {
	int error;
	const char *text;
} whys[PR_WHY_COUNT] = {
	[PR_WHY_OK] = { 0, "ok" },
	[PR_WHY_JOINED] = { 0, "joined the session" },
	[PR_WHY_FOREIGN] = { -EBUSY, "another host holds the reservation" },
	[PR_WHY_LEGACY] = { -EBUSY,
		"a SCSI-2 reservation of another initiator is in the way (sg_reset -d breaks it)"
	},
	[PR_WHY_TWIN] = { -EBUSY, "another host uses our key" },
	[PR_WHY_LOST_RACE] = { -EBUSY, "another host was faster" },
	[PR_WHY_FENCED] = { -EBUSY,
		"fenced: another host took the LUN; close every open of the device first"
	},
	[PR_WHY_SINGLE_HELD] = { -EBUSY, "a single open has the device" },
	[PR_WHY_SINGLE_BUSY] = { -EBUSY, "single asked for, but the device is open" },
	[PR_WHY_SESSION] = { -EBUSY, "the device is open" },
	[PR_WHY_RETAINED] = { -EBUSY, "our reservation still stands" },
	[PR_WHY_NO_ANSWER] = { -EIO, "no path answered" },
	[PR_WHY_NOT_REGISTERED] = { -EIO, "no path could be registered" },
	[PR_WHY_NO_PR] = { -EOPNOTSUPP, "the target has no persistent reservations" },
	[PR_WHY_NO_TYPE] = { -EOPNOTSUPP, "the target refuses the reservation type" },
	[PR_WHY_NO_ABORT] = { -EIO, "the target has no PREEMPT AND ABORT" },
	[PR_WHY_TIMEOUT] = { -ETIMEDOUT, "the time is up" },
	[PR_WHY_CANCELLED] = { -EINTR, "interrupted" },
	[PR_WHY_OPTIONS] = { -EINVAL, "unknown open options, or bypass with another" },
	[PR_WHY_UNSETTLED] = { -EAGAIN, "the target's answers do not fit together" },
	[PR_WHY_STALE_CACHE] = { -EBUSY,
		"pages from before the takeover are in use by another open"
	},
};

int pr_why_errno(enum pr_why why)
{
	return whys[why].error;
}

const char *pr_why_text(enum pr_why why)
{
	return whys[why].text;
}

static const char *const states[PR_STATE_COUNT] = {
	[PR_STATE_FREE] = "free",
	[PR_STATE_RETAINED] = "retained",
	[PR_STATE_RELEASING] = "releasing",
	[PR_STATE_NO_RESERVE] = "no_reserve",
	[PR_STATE_OWNER] = "owner",
	[PR_STATE_FENCED] = "fenced",
};

const char *pr_state_name(enum pr_state state)
{
	return states[state];
}

const char *pr_op_name(enum pr_op_kind kind)
{
	return ops[kind].name;
}

const char *pr_op_stage(const struct pr_op *op)
{
	return op->stage < ST_COUNT ? stages[op->stage].name + 3 : "BEGIN";
}
