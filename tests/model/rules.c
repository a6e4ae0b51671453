// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must never be, by the numbers of the specification's rules.
 */
#include <stdio.h>
#include <string.h>

#include "model.h"

const char *violation;

static void broken(const char *what)
{
	if (!violation)
		violation = what;
}

#define NEVER(cond, what) do {						\
	if (cond)							\
		broken(what);						\
} while (0)

static bool foreign_regs(const struct view *v, unsigned int host)
{
	unsigned int i;

	for (i = 0; i <= MAX_HOSTS; i++)
		if (i != host && v->regs[i])
			return true;
	return false;
}

/*
 * A write would reach the medium. A failed path carries none; and what is in
 * doubt without a session's reservation is undone as soon as it answers (rule 6.3).
 */
static bool may_write(const struct world *w, unsigned int host)
{
	const struct pw_host *h = &w->pw.host[host];
	u64 not = h->failed | (h->lun.state == PR_STATE_OWNER ? 0 : h->lun.doubt);
	unsigned int path;

	for (path = 0; path < w->cfg->paths; path++)
		if (!(not >> path & 1) && pw_may_write(h, (int)path))
			return true;
	return false;
}

static bool takes(enum pr_action action)
{
	return action == PR_ACT_PREEMPT || action == PR_ACT_PREEMPT_ABORT;
}

/*
 * Of one command
 */

/* What PREEMPT AND ABORT had to abort, and did not, must not land any more. */
static void mark_survivors(struct world *w, unsigned int me)
{
	const struct sim_lun *s = &w->pw.target;
	unsigned int i;

	for (i = 0; i < SIM_MAX_QUEUE; i++)
		if (s->queue[i].used && s->queue[i].in_target && !s->queue[i].aborted &&
		    s->queue[i].cdb[0] == 0x8a && s->nexus[s->queue[i].nexus].host != me)
			w->dead_writes |= (u8)(1 << i);
	w->dead_writes &= (u8)~w->moved_writes;
}

/*
 * PREEMPT(K to K) moves the reservation off a dead path (E11) and leaves what
 * the target had taken from it: no other host can abort that any more.
 */
static void mark_moved(struct world *w, unsigned int me, const struct view *now)
{
	const struct sim_lun *s = &w->pw.target;
	unsigned int i;

	for (i = 0; i < SIM_MAX_QUEUE; i++)
		if (s->queue[i].used && s->nexus[s->queue[i].nexus].host == me &&
		    !now->key[s->queue[i].nexus])
			w->moved_writes |= (u8)(1 << i);
}

void check_command(struct world *w, const struct view *before,
		   const struct sent *sent)
{
	bool forced = sent->kind == PR_OP_OPEN && (sent->options & PRM_OPEN_FORCED);
	unsigned int me = (unsigned int)sent->host, i;
	const struct ghost *g = &w->ghost[me % MAX_HOSTS];
	bool cleared = sent->action == PR_ACT_CLEAR &&
		       (sent->late || sent->kind == PR_OP_CLEAR);
	bool out = pr_action_is_out(sent->action);
	struct view now;

	if (!out || sent->host == MAX_HOSTS)
		return;
	look(w, &now);

	if (!sent->late) {
		NEVER(sent->first && (sent->kind == PR_OP_OPEN ||
				      sent->kind == PR_OP_CONFIGURE ||
				      sent->kind == PR_OP_ADMIT),
		      "3: read comes before any PR OUT");
		NEVER(sent->foreign_read && sent->kind == PR_OP_OPEN && !forced &&
		      !sent->cleanup && w->cfg->type < PR_TYPE_WRITE_EXCLUSIVE_AR,
		      "3: a foreign reservation: EBUSY, nothing sent");
		NEVER(sent->fenced && (now.own[me] & ~before->own[me]),
		      "5.3: a fenced host registers again");
	}

	if (sent->action == PR_ACT_PREEMPT && now.regs[me] < before->regs[me])
		mark_moved(w, me, &now);
	if (takes(sent->action) && before->holder >= 0 && before->holder != (int)me &&
	    now.holder == (int)me)
		mark_survivors(w, me);

	/*
	 * A late PREEMPT was a forced open's: nothing else may preempt a holder,
	 * but in the moment after the target dropped the reservation by itself.
	 */
	if (before->holder >= 0 && (unsigned int)before->holder != me &&
	    now.holder != before->holder)
		NEVER(!cleared && !(takes(sent->action) &&
				    (sent->late || forced || g->blind)),
		      "3: another host's reservation is dropped or taken without forced");
	/* No command ends it only if nobody has registered since READ KEYS. */
	if (before->holder == EVERYBODY && now.holder != EVERYBODY && !sent->late &&
	    foreign_regs(before, me) && !(w->ghost[me].keys_read &&
					  !w->pw.host[me].lun.keys_foreign))
		NEVER(!cleared && !(takes(sent->action) && forced),
		      "5.8: a reservation of all registrants is ended for others");

	for (i = 0; i <= MAX_HOSTS; i++) {
		if (i == me || now.regs[i] >= before->regs[i])
			continue;
		NEVER(!takes(sent->action) && !cleared,
		      "4.5: another host's registration is removed by something else than PREEMPT");
		/* A RELEASE that was on its way may have ended types 7 and 8. */
		NEVER(takes(sent->action) && !sent->late && !forced && !g->blind &&
		      !pr_type_all_registrants(w->cfg->type) &&
		      now.holder != (int)me && now.holder != EVERYBODY,
		      "3.2: a registration is evicted by a host that does not hold the LUN");
	}
}

/*
 * Of one operation
 */

void op_began(struct world *w, unsigned int host)
{
	struct ghost *g = &w->ghost[host];
	struct pw_host *h = &w->pw.host[host];
	struct view v;

	look(w, &v);
	g->regs_before = v.own[host];
	g->held_before = v.holder == (int)host;
	g->was_owner = h->lun.state == PR_STATE_OWNER;
	g->opened_before = h->lun.opened && g->session;
	g->was_fenced = h->lun.state == PR_STATE_FENCED;
	g->fault = false;
	g->disturbed = false;
	g->blind = false;
	g->keys_read = false;
}

/* Without any fault or other host's doing, only these are reasons to refuse. */
static bool hindered(const struct world *w, unsigned int host, const struct view *v)
{
	const struct ghost *g = &w->ghost[host];
	bool foreign = v->holder != NOBODY && v->holder != (int)host;
	unsigned int i;

	for (i = 0; i < F_COUNT; i++)
		if (w->cfg->fault[i])
			return true;
	return g->disturbed || g->fenced || g->single || g->was_fenced ||
	       ((g->options & PRM_OPEN_SINGLE) && g->session) ||
	       (foreign && !(g->options & PRM_OPEN_FORCED)) || g->was_owner;
}

static void open_failed(struct world *w, unsigned int host, const struct view *v)
{
	struct ghost *g = &w->ghost[host];
	const struct pr_lun *lun = &w->pw.host[host].lun;
	bool holds = v->holder == (int)host && !g->held_before;

	NEVER(holds && lun->state == PR_STATE_FREE && !lun->leftover && !w->pw.host[host].busy,
	      "3.6: a failed open leaves a reservation that nobody knows of");
	NEVER(!g->session && pr_gate_open(lun) && !g->opened_before,
	      "3.6: a failed open leaves the write gate open");
	NEVER(w->pw.host[host].op.why == PR_WHY_SINGLE_HELD && !g->single,
	      "4.1: refused for a single open that is none");
	NEVER(w->pw.host[host].op.why == PR_WHY_SINGLE_BUSY && !g->session && !g->opened_before,
	      "4.1: single refused though nobody has it open");
	NEVER(!hindered(w, host, v), "3: an open fails though nothing is in its way");
	if (!g->session)
		g->overtaken = false;
	if (g->fault)
		return;
	NEVER(holds, "3.6: a failed open leaves a reservation");
	NEVER(v->own[host] & ~g->regs_before, "3.6: a failed open leaves a registration");
	if (g->disturbed)
		return;
	NEVER(v->own[host] != g->regs_before, "3.6: a failed open takes a registration away");
	NEVER(g->held_before && v->holder != (int)host,
	      "3.6: a failed open takes a reservation away");
}

static void open_succeeded(struct world *w, unsigned int host, const struct view *v)
{
	const struct pw_host *h = &w->pw.host[host];
	struct ghost *g = &w->ghost[host];
	bool calm = !g->fault && !g->disturbed;

	NEVER(g->fenced, "5.3: the fence is latched until the last close");
	NEVER(g->single, "4.1: an open beside a single one");
	NEVER((g->options & PRM_OPEN_SINGLE) && g->session, "4.1: single beside another open");
	if (g->options & PRM_OPEN_NO_RESERVE) {
		NEVER(h->lun.state != PR_STATE_NO_RESERVE && h->lun.state != PR_STATE_OWNER,
		      "3: a no_reserve open that is no session");
		NEVER(calm && h->lun.state == PR_STATE_NO_RESERVE && v->holder == (int)host,
		      "3: a no_reserve open keeps a reservation");
		NEVER(calm && h->op.why == PR_WHY_OK && v->holder >= 0 &&
		      v->holder != (int)host,
		      "3: a no_reserve open under a foreign reservation");
	} else {
		NEVER(h->lun.state != PR_STATE_OWNER, "3: a reserving open that is not owner");
		NEVER(calm && h->op.why == PR_WHY_OK && v->holder != (int)host &&
		      v->holder != EVERYBODY, "3: owner without a reservation");
		NEVER(calm && h->op.why == PR_WHY_OK && !w->cfg->shared &&
		      foreign_regs(v, host), "3.2: foreign registrations survive the open");
		/* An owner in doubt may find its holder path gone from the table (rule 4.8). */
		NEVER(calm && h->op.why == PR_WHY_OK && h->op.started &&
		      v->holder == (int)host && !(w->cfg->quirks & SIM_SHARED) &&
		      (h->lun.holder == PR_NO_PATH || h->nexus[h->lun.holder] != v->nexus),
		      "3: the holder path is noted wrongly");
	}
	if ((g->options & PRM_OPEN_FORCED) && h->op.fought && v->holder == (int)host)
		mark_survivors(w, host);
	g->session = true;
	g->single |= (g->options & PRM_OPEN_SINGLE) != 0;
	g->retain |= (g->options & PRM_OPEN_RETAIN) != 0;
}

static void last_close(struct world *w, unsigned int host, const struct view *v)
{
	const struct pr_lun *lun = &w->pw.host[host].lun;
	struct ghost *g = &w->ghost[host];

	NEVER(lun->state == PR_STATE_OWNER || lun->state == PR_STATE_FENCED ||
	      lun->state == PR_STATE_NO_RESERVE, "4.2: a session outlives the last close");
	NEVER(lun->state == PR_STATE_FREE && v->holder == (int)host && !w->pw.host[host].busy &&
	      !g->fault && !g->earlier, "4.2: closed, and the reservation stands");
	NEVER(lun->state == PR_STATE_RETAINED && g->was_owner && !g->retain,
	      "4.3: retained though no open asked for it");
	NEVER(g->retain && g->was_owner && g->held_before && !g->disturbed && !g->fault &&
	      v->holder != (int)host, "4.3: the last close with retain releases");
	g->session = false;
	g->single = false;
	g->retain = false;
	g->fenced = false;
	g->overtaken = false;
}

void op_ended(struct world *w, unsigned int host)
{
	struct pw_host *h = &w->pw.host[host];
	struct ghost *g = &w->ghost[host];
	bool error = pr_why_errno(h->op.why) || h->op.kind == PR_OP_REVOKE;
	struct view v;

	h->expires = 0;
	look(w, &v);
	NEVER(!g->fault && (v.own[host] & ~g->regs_before) && h->lun.state != PR_STATE_OWNER &&
	      h->op.resv.held && v.holder >= 0 && v.holder != (int)host &&
	      key_of((unsigned int)v.holder) == h->op.resv.key,
	      "5.9: it read a foreign reservation, and stays registered");
	switch (g->kind) {
	case PR_OP_OPEN:
		if (g->options & PRM_OPEN_BYPASS)
			break;
		/* A cancelled join is taken back without an operation. */
		if (error || h->op.cancelled)
			open_failed(w, host, &v);
		else
			open_succeeded(w, host, &v);
		break;
	case PR_OP_CLOSE:
		last_close(w, host, &v);
		break;
	default:
		break;
	}
}

/*
 * Of every state
 */

/* With types 7 and 8 whoever is registered holds it. */
static bool holds(const struct view *v, unsigned int host)
{
	return v->holder == (int)host || (v->holder == EVERYBODY && v->own[host]);
}

void check_state(struct world *w)
{
	const struct sim_lun *s = &w->pw.target;
	unsigned int i, j, writers = 0, surprised = 0;
	struct view v;

	look(w, &v);
	for (i = 0; i < w->pw.hosts; i++) {
		struct pw_host *h = &w->pw.host[i];
		struct ghost *g = &w->ghost[i];
		bool closing = h->running && g->kind == PR_OP_CLOSE;

		if (h->lun.state == PR_STATE_FENCED)
			g->fenced = true;
		if (v.holder != (int)i || h->lun.state != PR_STATE_FREE)
			g->earlier = false;
		NEVER(g->fenced && h->lun.state != PR_STATE_FENCED && !closing,
		      "5.3: the fence is latched until the last close");
		if (h->lun.state != PR_STATE_OWNER || !may_write(w, i))
			continue;
		writers++;
		surprised += g->overtaken;
		if (!holds(&v, i) || w->cfg->shared)
			continue;
		NEVER(g->overtaken, "5.3: a host that another overtook owns again without an open");
		for (j = 0; j < w->pw.hosts; j++) {
			struct pw_host *other = &w->pw.host[j];

			if (j == i)
				continue;
			if (other->lun.state == PR_STATE_OWNER && !holds(&v, j))
				w->ghost[j].overtaken = true;
			/*
			 * What registers looks again, and undoes it (rules 3.1, 5.9); an
			 * open that read no keys is followed by a look (rules 6.1, 5.11).
			 */
			NEVER(other->lun.state == PR_STATE_NO_RESERVE && may_write(w, j) &&
			      !h->want_watch && !(h->running && g->kind == PR_OP_WATCH),
			      "3.2: a session without reservation writes beside an owner");
		}
	}
	NEVER(writers > 1 && !w->cfg->shared && s->type, "5.1: two hosts may write");
	/*
	 * Where no reservation stands, nobody is protected till that is seen: the
	 * target lost it, or who overtook the others broke it (rule 5.11).
	 */
	NEVER(writers - surprised > 1 && !w->cfg->shared && !w->unprotected,
	      "5.1: two hosts may write without a reservation");
}

void check_landing(struct world *w, unsigned int host, bool dead)
{
	unsigned int i;
	struct view v;

	NEVER(dead, "3.3: a write of the old owner lands after a forced open");
	look(w, &v);
	/* Before the look that follows an open of two commands others may be registered. */
	for (i = 0; i < w->pw.hosts; i++)
		NEVER(i != host && w->pw.host[i].lun.state == PR_STATE_OWNER &&
		      v.holder == (int)i && !w->cfg->shared && may_write(w, i) &&
		      !w->pw.host[i].lun.unseen,
		      "3.2: another host's old write lands under an owner");
}

/*
 * Of the calm after the storm
 */

#define MOST_COMMANDS	200	/* of one operation */
#define MOST_OPERATIONS	40

static bool run_to_end(struct world *w, unsigned int host)
{
	struct pw_host *h = &w->pw.host[host];
	struct move m = { .kind = M_STEP, .host = (u8)host };
	unsigned int n;

	for (n = 0; h->running; n++) {
		u64 paths = pw_choices(h);

		if (n > MOST_COMMANDS || violation)
			return false;
		for (m.path = 0; !(paths >> m.path & 1); m.path++)
			;
		apply(w, m);
	}
	return true;
}

static bool all_to_end(struct world *w)
{
	unsigned int i, n;
	bool running = true;

	for (n = 0; running; n++) {
		running = false;
		if (n > MOST_COMMANDS)
			return false;
		/* In turns: two that get in each other's way must both end. */
		for (i = 0; i < w->pw.hosts && !violation; i++) {
			struct pw_host *h = &w->pw.host[i];
			u64 paths = pw_choices(h);
			struct move m = { .kind = M_STEP, .host = (u8)i };

			if (!h->running)
				continue;
			running = true;
			for (m.path = 0; !(paths >> m.path & 1); m.path++)
				;
			apply(w, m);
		}
		if (violation)
			return true;
	}
	return true;
}

static void paths_work_again(struct world *w)
{
	struct sim_lun *s = &w->pw.target;
	unsigned int i, path;

	for (i = 0; i < w->pw.hosts; i++) {
		struct pw_host *h = &w->pw.host[i];

		for (path = 0; path < w->cfg->paths; path++) {
			struct move m = { .kind = M_DELIVER, .host = (u8)i, .path = (u8)path };

			sim_path_state(s, h->nexus[path], SIM_PATH_UP);
			if (h->busy >> path & 1)
				apply(w, m);
			w->ghost[i].fault = true;
		}
	}
	for (i = 0; i < SIM_MAX_QUEUE; i++)
		if (s->queue[i].used)
			apply(w, (struct move){ .kind = M_LAND, .path = (u8)i });
}

static bool background_to_end(struct world *w)
{
	unsigned int i, n, path, looks = 0;
	bool more = true;

	for (n = 0; more || looks < 3; n++) {
		if (n > MOST_OPERATIONS)
			return false;
		if (!more)
			looks++;
		for (i = 0; i < w->pw.hosts; i++) {
			struct pw_host *h = &w->pw.host[i];

			for (path = 0; path < w->cfg->paths; path++)
				if (h->failed >> path & 1)
					pw_path_back(h, (int)path);
			if (!more)
				h->want_watch = h->lun.state == PR_STATE_OWNER;
		}
		more = false;
		for (i = 0; i < w->pw.hosts; i++) {
			struct move m = { .kind = M_BACKGROUND, .host = (u8)i };

			apply(w, m);
			if (violation)
				return true;
			/* Retried for ever, and rightly: what cannot be registered. */
			if (w->ghost[i].kind == PR_OP_LOOK)
				continue;
			more = w->ghost[i].kind != PR_OP_CONFIGURE || more || n < 6;
			if (!run_to_end(w, i))
				return !!violation;
		}
	}
	return true;
}

/* A registration that just vanished is seen by I/O only (rule 5.4). */
static void do_io(struct world *w)
{
	unsigned int i, path;

	for (i = 0; i < w->pw.hosts; i++) {
		struct pw_host *h = &w->pw.host[i];

		for (path = 0; path < w->cfg->paths; path++)
			if ((pr_admitted(&h->lun) >> path & 1) &&
			    !sim_allows(&w->pw.target, h->nexus[path], SIM_WRITE))
				pw_conflict(h, (int)path);
	}
}

static void check_truth(struct world *w)
{
	unsigned int i, owners = 0;
	struct view v;

	look(w, &v);
	for (i = 0; i < w->pw.hosts; i++) {
		struct pw_host *h = &w->pw.host[i];
		struct pr_lun *lun = &h->lun;

		NEVER(lun->state == PR_STATE_RELEASING, "4.2: a release that never ends");
		/* What an earlier life held is found by the next open at the latest. */
		NEVER(lun->state == PR_STATE_FREE && v.holder == (int)i && !lun->leftover &&
		      !w->ghost[i].earlier,
		      "3.6: a reservation that nobody knows of");
		/* Who holds it without being owner here evicts nobody. */
		NEVER(lun->state != PR_STATE_OWNER && v.holder >= 0 && v.holder != (int)i &&
		      v.holder < (int)w->pw.hosts &&
		      w->pw.host[v.holder].lun.state == PR_STATE_OWNER &&
		      may_write(w, i) && !w->cfg->shared,
		      "5.1: writes under a foreign reservation");
		if (lun->state != PR_STATE_OWNER)
			continue;
		owners++;
		NEVER(v.holder != (int)i && v.holder != EVERYBODY,
		      "5.11: an owner without reservation is not noticed");
		NEVER(v.type != lun->type, "5.11: status names another type");
		NEVER(v.holder == (int)i && lun->holder != PR_NO_PATH &&
		      v.key[h->nexus[lun->holder]] != lun->cfg.key,
		      "3: the holder path is not registered");
		NEVER((v.type == PR_TYPE_WRITE_EXCLUSIVE || v.type == PR_TYPE_EXCLUSIVE_ACCESS) &&
		      v.holder == (int)i &&
		      (lun->holder == PR_NO_PATH || h->nexus[lun->holder] != v.nexus),
		      "5.8: the only path of types 1 and 3 does not hold it");
		NEVER((lun->registered ^ v.own[i]) & h->members,
		      "5.2: status and target differ about registered paths");
		NEVER(pr_admitted(lun) & h->members & ~v.own[i],
		      "5.2: an unregistered path is admitted");
		NEVER(h->members & ~lun->refused & ~pr_admitted(lun),
		      "5.3: a path of the owner is never admitted");
		NEVER(foreign_regs(&v, i) && !w->cfg->shared,
		      "5.11: a foreign registration is never evicted");
		NEVER(h->conflicts, "5.4: no verdict on a conflict");
	}
	NEVER(owners > 1 && !w->cfg->shared, "5.1: two owners at rest");
}

void check_rest(struct world *w)
{
	unsigned int i;
	struct view v;

	violation = NULL;
	paths_work_again(w);
	if (!violation)
		NEVER(!all_to_end(w), "6.3: an operation does not end");
	if (!violation)
		NEVER(!background_to_end(w), "6.3: background work does not come to rest");
	if (!violation && w->cfg->fault[F_FORGET]) {
		do_io(w);
		NEVER(!background_to_end(w), "6.3: background work does not come to rest");
	}
	if (!violation)
		check_truth(w);
	for (i = 0; i < w->pw.hosts && !violation; i++) {
		struct move m = { .kind = M_CLOSE, .host = (u8)i };

		apply(w, m);
		NEVER(!run_to_end(w, i), "6.3: a last close does not end");
	}
	if (!violation)
		NEVER(!background_to_end(w), "6.3: background work does not come to rest");
	look(w, &v);
	for (i = 0; i < w->pw.hosts && !violation; i++) {
		enum pr_state state = w->pw.host[i].lun.state;

		NEVER(state != PR_STATE_FREE && state != PR_STATE_RETAINED,
		      "4.2: closed and at rest, but neither free nor retained");
		NEVER(v.holder == (int)i && state != PR_STATE_RETAINED && !w->ghost[i].earlier,
		      "4.2: closed and at rest, and the reservation stands");
	}
}
