// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can happen next, and its doing: commands of the hosts' operations one by
 * one, opens and closes, background work as lun.c picks it, and faults.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

static u64 bit(int path)
{
	return (u64)1 << path;
}

static struct sim_nexus *nexus_of(struct world *w, const struct move *m)
{
	return &w->pw.target.nexus[w->pw.host[m->host].nexus[m->path]];
}

void look(const struct world *w, struct view *v)
{
	const struct sim_lun *s = &w->pw.target;
	unsigned int i;

	memset(v, 0, sizeof(*v));
	v->type = s->type;
	v->generation = s->generation;
	v->holder = NOBODY;
	v->nexus = NOBODY;
	for (i = 0; i < SIM_MAX_REGS; i++) {
		const struct sim_reg *reg = &s->reg[i];
		const struct sim_nexus *n = &s->nexus[reg->nexus];

		if (!reg->used)
			continue;
		v->regs[n->host]++;
		if (s->type && s->holder == i) {
			v->holder = n->host;
			v->nexus = reg->nexus;
		}
		if (reg->isid != n->isid)
			continue;
		v->key[reg->nexus] = reg->key;
		if (n->host < w->pw.hosts && reg->key == w->pw.host[n->host].lun.cfg.key)
			v->own[n->host] |= (u8)(1 << n->path);
	}
	/* One registration stands for every nexus of its host (E7). */
	for (i = 0; i < s->nexuses && s->quirks & SIM_SHARED; i++)
		if (sim_registered(s, i, &v->key[i]) && s->nexus[i].host < w->pw.hosts)
			v->own[s->nexus[i].host] |= (u8)(1 << s->nexus[i].path);
	if (s->type && pr_type_all_registrants(s->type))
		v->holder = EVERYBODY;
}

/*
 * Building
 */

void build(struct world *w, const struct config *cfg)
{
	unsigned int i;
	u32 retain = 0;

	memset(w, 0, sizeof(*w));
	w->cfg = cfg;
	pw_init(&w->pw);
	w->pw.trace = false;
	w->pw.target.quirks = cfg->quirks;
	for (i = 0; i < cfg->hosts; i++) {
		struct pw_host *h = pw_add_host(&w->pw, cfg->iscsi ? SIM_ISCSI : SIM_FC,
						cfg->paths, key_of(i));

		h->lun.cfg.aptpl = !cfg->no_aptpl;
		h->lun.cfg.shared = cfg->shared;
		if (cfg->type) {
			h->lun.cfg.type = cfg->type;
			h->lun.type = cfg->type;
		}
		w->ghost[i].opens = cfg->opens[i];
		w->ghost[i].watches = cfg->watches[i];
	}
	sim_add_nexus(&w->pw.target, SIM_FC, OUTSIDER, 0);
	for (i = 0; i < F_COUNT; i++) {
		w->fault[i] = cfg->fault[i];
		w->faults = (u8)(w->faults + cfg->fault[i]);
	}
	if (cfg->faults)
		w->faults = cfg->faults;

	switch (cfg->setup) {
	case SET_FRESH:
		break;
	case SET_RETAINED:
		retain = PRM_OPEN_RETAIN;
		__attribute__((fallthrough));
	case SET_CONFIGURED:
	case SET_OWNER:
	case SET_OWNER_ONLY:
	case SET_NO_RESERVE:
		for (i = 0; i < cfg->hosts; i++)
			if (i == 0 || cfg->setup != SET_OWNER_ONLY)
				pw_settle(&w->pw.host[i]);
		if (cfg->setup == SET_CONFIGURED)
			break;
		pw_open(&w->pw.host[0], cfg->setup == SET_NO_RESERVE ? PRM_OPEN_NO_RESERVE :
						retain);
		pw_settle(&w->pw.host[0]);
		w->ghost[0].session = true;
		if (cfg->setup != SET_RETAINED)
			break;
		pw_close(&w->pw.host[0]);
		pw_reboot(&w->pw.host[0]);
		w->ghost[0].session = false;
		w->ghost[0].earlier = true;
		break;
	}
}

/*
 * What can happen
 */

struct list {
	struct move *at;
	unsigned int count;
};

static void add(struct list *l, enum move_kind kind, unsigned int host, int path,
		unsigned int arg)
{
	assert(l->count < MOST_MOVES);
	l->at[l->count++] = (struct move){ (u8)kind, (u8)host, (u8)path, (u8)arg };
}

static void add_fault(const struct world *w, struct list *l, enum fault fault,
		      unsigned int host, int path)
{
	if (w->faults && w->fault[fault] &&
	    (!w->cfg->victims || w->cfg->victims >> host & 1))
		add(l, M_FAULT, host, path, fault);
}

static void step_moves(const struct world *w, struct list *l, unsigned int host)
{
	static const enum fault ends[] = {
		F_LOSE_DONE, F_LOSE_UNDONE, F_ABORTED, F_DELAY, F_ABANDON,
	};
	const struct pw_host *h = &w->pw.host[host];
	u64 paths = pw_choices(h);
	unsigned int i;
	int path;

	for (path = 0; paths >> path; path++) {
		if (!(paths & bit(path)))
			continue;
		add(l, M_STEP, host, path, 0);
		/* Nothing is sent while the path's own writes are under way. */
		if (h->req.quiet && sim_pending(&w->pw.target, h->nexus[path]))
			continue;
		if (w->pw.target.nexus[h->nexus[path]].path_state != SIM_PATH_UP)
			continue;
		for (i = 0; i < COUNT_OF(ends); i++) {
			/* Reads that were executed or not are all the same. */
			if (h->req.any && (ends[i] == F_LOSE_DONE || ends[i] == F_ABORTED))
				continue;
			add_fault(w, l, ends[i], host, path);
		}
	}
	if (!h->expires)
		add_fault(w, l, F_EXPIRE, host, 0);
	if (!h->op.cancelled &&
	    (h->op.kind == PR_OP_OPEN || h->op.kind == PR_OP_CONFIGURE ||
	     (h->op.kind == PR_OP_CLOSE && w->ghost[host].kind == PR_OP_CLOSE &&
	      !w->ghost[host].was_owner)))
		add_fault(w, l, F_CANCEL, host, 0);
}

/* The last close waits for I/O, but not for what a dead path had taken. */
static bool io_waits(const struct world *w, unsigned int host)
{
	const struct pw_host *h = &w->pw.host[host];
	unsigned int path;

	for (path = 0; path < w->cfg->paths; path++)
		if (!(h->failed >> path & 1) && sim_pending(&w->pw.target, h->nexus[path]))
			return true;
	return false;
}

static bool background_waits(const struct pw_host *h)
{
	return h->conflicts || h->want_watch || h->want_admit || h->want_release ||
	       (h->want_configure & h->members);
}

static void idle_moves(const struct world *w, struct list *l, unsigned int host)
{
	const struct pw_host *h = &w->pw.host[host];
	const struct ghost *g = &w->ghost[host];
	unsigned int i;
	int path;

	if (background_waits(h))
		add(l, M_BACKGROUND, host, 0, 0);
	if (g->opens)
		for (i = 0; i <= PRM_OPEN_ALL; i++)
			if (w->cfg->options[host] >> i & 1)
				add(l, M_OPEN, host, 0, i);
	if ((g->session || h->lun.opened || h->lun.session ||
	     h->lun.state == PR_STATE_FENCED) && !io_waits(w, host))
		add(l, M_CLOSE, host, 0, 0);
	if (g->watches && h->lun.state == PR_STATE_OWNER && !h->want_watch)
		add(l, M_WATCH, host, 0, 0);
	for (path = 0; h->members >> path && h->lun.state == PR_STATE_OWNER; path++)
		if ((pr_admitted(&h->lun) & h->lun.live & bit(path)) &&
		    !(h->conflicts & bit(path)) &&
		    !sim_allows(&w->pw.target, h->nexus[path], SIM_WRITE))
			add(l, M_CONFLICT, host, path, 0);
	add_fault(w, l, F_MESSAGE_RELEASE, host, 0);
	add_fault(w, l, F_MESSAGE_UNREGISTER, host, 0);
	add_fault(w, l, F_MESSAGE_CLEAR, host, 0);
	if (h->members & (h->members - 1))
		for (path = 0; h->members >> path; path++)
			/* Tables are changed when the I/O of the old one has ended. */
			if (h->members & bit(path) &&
			    !sim_pending(&w->pw.target, h->nexus[path]))
				add_fault(w, l, F_LEAVE, host, path);
}

static void path_moves(const struct world *w, struct list *l, unsigned int host)
{
	const struct sim_lun *s = &w->pw.target;
	const struct pw_host *h = &w->pw.host[host];
	unsigned int path;

	for (path = 0; path < w->cfg->paths; path++) {
		bool dead = s->nexus[h->nexus[path]].path_state == SIM_PATH_DEAD;
		bool failed = h->failed & bit((int)path), busy = h->busy & bit((int)path);

		if (busy)
			add(l, M_DELIVER, host, (int)path, 0);
		if (dead) {
			add(l, M_UP, host, (int)path, 0);
			if (!failed)
				add(l, M_NOTICE, host, (int)path, 0);
			continue;
		}
		if (failed && !busy)
			add(l, M_BACK, host, (int)path, 0);
		add_fault(w, l, F_DEAD, host, (int)path);
		add_fault(w, l, F_ATTENTION, host, (int)path);
		/* A new nexus is a new path for lun.c: no answer of the old one counts. */
		if (!busy && !(h->running && (h->reply.ended[PR_GOOD] & bit((int)path))))
			add_fault(w, l, F_RELOGIN, host, (int)path);
		if (sim_registered(s, h->nexus[path], NULL))
			add_fault(w, l, F_FORGET, host, (int)path);
		if (pr_gate_open(&h->lun) && !h->running && !busy &&
		    (pr_admitted(&h->lun) & h->lun.live & bit((int)path)) &&
		    sim_pending(s, h->nexus[path]) == 0) {
			/* What is not registered is not aborted: no promise covers it. */
			if (sim_allows(s, h->nexus[path], SIM_WRITE) &&
			    sim_registered(s, h->nexus[path], NULL))
				add_fault(w, l, F_WRITE_QUEUED, host, (int)path);
			add_fault(w, l, F_WRITE_FLIGHT, host, (int)path);
		}
	}
}

unsigned int moves(const struct world *w, struct move *list)
{
	const struct sim_lun *s = &w->pw.target;
	struct list l = { list, 0 };
	unsigned int i;
	u64 key;

	for (i = 0; i < w->pw.hosts; i++) {
		if (w->pw.host[i].running)
			step_moves(w, &l, i);
		else
			idle_moves(w, &l, i);
		path_moves(w, &l, i);
		add_fault(w, &l, F_CRASH, i, 0);
	}
	for (i = 0; i < SIM_MAX_QUEUE; i++)
		if (s->queue[i].used && s->queue[i].cdb[0] == 0x8a)
			add(&l, M_LAND, 0, (int)i, 0);
	if (w->faults && w->fault[F_POWER])
		add(&l, M_FAULT, 0, 0, F_POWER);
	if (w->faults && w->fault[F_RESET])
		add(&l, M_FAULT, 0, 0, F_RESET);
	if (w->faults && w->fault[F_OUT_REGISTER] &&
	    !sim_registered(s, s->nexuses - 1u, &key))
		add(&l, M_FAULT, 0, 0, F_OUT_REGISTER);
	if (w->faults && sim_registered(s, s->nexuses - 1u, &key)) {
		key = sim_holder_key(s);
		if (w->fault[F_OUT_PREEMPT] && key && key != key_of(OUTSIDER))
			add(&l, M_FAULT, 0, 0, F_OUT_PREEMPT);
		if (w->fault[F_OUT_CLEAR])
			add(&l, M_FAULT, 0, 0, F_OUT_CLEAR);
	}
	return l.count;
}

/*
 * Doing it
 */

static void disturb(struct world *w, unsigned int actor, bool fault)
{
	unsigned int i;

	for (i = 0; i < w->pw.hosts; i++) {
		if (i == actor)
			continue;
		w->ghost[i].disturbed = true;
		w->ghost[i].fault |= fault;
	}
}

static void begin(struct world *w, unsigned int host, enum pr_op_kind kind, u32 options)
{
	w->ghost[host].kind = (u8)kind;
	w->ghost[host].options = (u8)options;
	op_began(w, host);
}

/* After whatever may have ended the operation. */
static void settle(struct world *w, unsigned int host, bool was_running)
{
	if (was_running && !w->pw.host[host].running)
		op_ended(w, host);
}

static void step(struct world *w, const struct move *m)
{
	struct pw_host *h = &w->pw.host[m->host];
	struct pr_resv *resv = &h->op.resv;
	struct sent sent = {
		.host = m->host,
		.action = h->req.action,
		.kind = h->op.kind,
		.options = h->op.options,
		.cleanup = h->req.cleanup,
		.first = h->commands == 0,
		.foreign_read = resv->held && !pr_type_all_registrants(resv->type) &&
				resv->key != h->lun.cfg.key,
		.fenced = h->lun.state == PR_STATE_FENCED,
	};
	u64 registered = h->lun.registered;
	struct view before;

	look(w, &before);
	pw_step_on(h, m->path);
	h->commands = 1;
	check_command(w, &before, &sent);
	if (sent.action == PR_ACT_READ_RESERVATION ||
	    (h->conflict && registered & ~h->lun.registered & ~h->failed))
		w->ghost[m->host].blind = false;
	w->ghost[m->host].keys_read = sent.action == PR_ACT_READ_KEYS;
	if (pr_action_is_out(sent.action))
		disturb(w, m->host, false);
	settle(w, m->host, true);
}

static void step_fault(struct world *w, const struct move *m)
{
	struct pw_host *h = &w->pw.host[m->host];
	struct sim_nexus *n = nexus_of(w, m);
	u8 state = n->path_state;

	w->ghost[m->host].fault = true;
	switch (m->arg) {
	case F_LOSE_DONE:
		n->path_state = SIM_PATH_NO_STATUS;
		break;
	case F_LOSE_UNDONE:
		n->path_state = SIM_PATH_DEAD;
		break;
	case F_ABORTED:
		sim_script(&w->pw.target, h->nexus[m->path], (struct sim_answer){
			.cmd = SIM_ANY_CMD, .execute = true, .status = 0x40 });
		break;
	case F_DELAY:
		n->path_state = SIM_PATH_IN_FLIGHT;
		break;
	default:
		n->path_state = SIM_PATH_IN_FLIGHT;
		h->impatient = true;
		h->expires = 1;
		break;
	}
	step(w, m);
	n->path_state = state;
	n->answers = 0;
	h->impatient = false;
}

static void outsider(struct world *w, enum pr_action action, u64 key, u64 sa_key)
{
	struct sim_lun *s = &w->pw.target;
	u8 cdb[PR_CDB_LEN], list[PR_OUT_LEN];
	struct sim_reply reply;
	struct view before;
	const struct sent sent = { .host = MAX_HOSTS, .action = action };

	look(w, &before);
	pr_encode_cdb(cdb, action, PR_TYPE_WRITE_EXCLUSIVE_RO, PR_OUT_LEN);
	pr_encode_out(list, key, sa_key, true);
	do {
		sim_execute(s, s->nexuses - 1u, cdb, sizeof(cdb), list, sizeof(list),
			    NULL, 0, &reply);
	} while (reply.status == 0x02 && reply.key == 0x06);
	check_command(w, &before, &sent);
	disturb(w, MAX_HOSTS, true);
}

static void write_stays_out(struct world *w, const struct move *m)
{
	struct sim_nexus *n = nexus_of(w, m);
	u8 attentions = n->attentions;

	/* The midlayer sends it again after a unit attention. */
	n->attentions = 0;
	n->path_state = m->arg == F_WRITE_QUEUED ? SIM_PATH_QUEUED : SIM_PATH_IN_FLIGHT;
	sim_write(&w->pw.target, w->pw.host[m->host].nexus[m->path]);
	n->path_state = SIM_PATH_UP;
	if (m->arg == F_WRITE_FLIGHT)
		n->attentions = attentions;
}

static void run_message(struct world *w, const struct move *m, enum pr_op_kind kind)
{
	struct pw_host *h = &w->pw.host[m->host];

	pw_prepare(h, kind);
	begin(w, m->host, kind, 0);
	pw_start(h);
	h->commands = 0;
	settle(w, m->host, true);
}

static void fault(struct world *w, const struct move *m)
{
	struct pw_host *h = &w->pw.host[m->host];
	unsigned int nexus = h->nexus[m->path];
	struct sim_lun *s = &w->pw.target;
	struct ghost *g = &w->ghost[m->host];
	bool held = s->type;
	unsigned int i;

	w->fault[m->arg]--;
	w->faults--;
	g->fault = true;
	switch ((enum fault)m->arg) {
	case F_DEAD:
		sim_path_state(s, nexus, SIM_PATH_DEAD);
		break;
	case F_LOSE_DONE:
	case F_LOSE_UNDONE:
	case F_ABORTED:
	case F_DELAY:
	case F_ABANDON:
		step_fault(w, m);
		break;
	case F_EXPIRE:
		h->expires = 1;
		break;
	case F_CANCEL:
		h->op.cancelled = true;
		break;
	case F_ATTENTION:
		sim_attention(s, nexus, 0x29, 0x07);
		break;
	case F_RESET:
		sim_lun_reset(s);
		disturb(w, MAX_HOSTS, true);
		break;
	case F_POWER:
		sim_power_loss(s);
		disturb(w, MAX_HOSTS, true);
		/* No host can tell then who was the last owner (rule 5.11). */
		for (i = 0; i < w->pw.hosts && !s->aptpl; i++) {
			w->unprotected |= w->ghost[i].overtaken;
			w->ghost[i].overtaken = false;
		}
		break;
	case F_RELOGIN:
		sim_relogin(s, nexus);
		pw_path_fail(h, m->path);
		break;
	case F_FORGET:
		sim_forget_nexus(s, nexus);
		for (i = 0; i < w->pw.hosts && held && !s->type; i++)
			w->ghost[i].blind = w->pw.host[i].running;
		disturb(w, MAX_HOSTS, true);
		break;
	case F_CRASH:
		/* What was out is lost at its login at the latest. */
		for (i = 0; i < w->cfg->paths; i++)
			sim_nexus_loss(s, h->nexus[i]);
		pw_reboot(h);
		h->todo = 0;
		h->expires = 0;
		i = g->opens;
		*g = (struct ghost){ .opens = (u8)i, .watches = g->watches, .earlier = true };
		break;
	case F_OUT_REGISTER:
		outsider(w, PR_ACT_REGISTER, 0, key_of(OUTSIDER));
		break;
	case F_OUT_PREEMPT:
		outsider(w, PR_ACT_PREEMPT_ABORT, key_of(OUTSIDER), sim_holder_key(s));
		break;
	case F_OUT_CLEAR:
		outsider(w, PR_ACT_CLEAR, key_of(OUTSIDER), 0);
		break;
	case F_WRITE_QUEUED:
	case F_WRITE_FLIGHT:
		write_stays_out(w, m);
		break;
	case F_MESSAGE_RELEASE:
		run_message(w, m, PR_OP_RELEASE);
		break;
	case F_MESSAGE_UNREGISTER:
		run_message(w, m, PR_OP_UNREGISTER);
		break;
	case F_MESSAGE_CLEAR:
		run_message(w, m, PR_OP_CLEAR);
		break;
	case F_LEAVE:
		pw_members(h, h->members & ~bit(m->path));
		pw_prepare(h, PR_OP_LEAVE);
		h->op.paths = h->leaving;
		begin(w, m->host, PR_OP_LEAVE, 0);
		pw_start(h);
		settle(w, m->host, true);
		break;
	case F_COUNT:
		break;
	}
	if (held && !s->type && (m->arg == F_POWER || m->arg == F_FORGET ||
				 m->arg == F_OUT_CLEAR))
		w->unprotected = true;
}

static void deliver(struct world *w, const struct move *m)
{
	struct pw_host *h = &w->pw.host[m->host];
	struct view before;
	const struct sent sent = {
		.host = m->host,
		.late = true,
		.action = h->orphan[m->path],
	};

	look(w, &before);
	pw_deliver(h, m->path);
	check_command(w, &before, &sent);
	if (pr_action_is_out(sent.action)) {
		disturb(w, m->host, false);
		w->ghost[m->host].fault = true;
	}
}

static void land(struct world *w, const struct move *m)
{
	struct sim_lun *s = &w->pw.target;
	unsigned int host = s->nexus[s->queue[m->path].nexus].host;
	bool dead = w->dead_writes >> m->path & 1;
	bool moved = w->moved_writes >> m->path & 1;
	struct sim_reply reply;

	sim_deliver(s, m->path, NULL, 0, &reply);
	w->dead_writes &= (u8)~(1 << m->path);
	w->moved_writes &= (u8)~(1 << m->path);
	if (!reply.host_failed && !reply.status && !moved)
		check_landing(w, host, dead);
}

void apply(struct world *w, struct move m)
{
	struct pw_host *h = &w->pw.host[m.host];
	bool wanted;

	violation = NULL;
	switch ((enum move_kind)m.kind) {
	case M_STEP:
		step(w, &m);
		break;
	case M_OPEN:
		w->ghost[m.host].opens--;
		begin(w, m.host, PR_OP_OPEN, m.arg);
		pw_open_start(h, m.arg);
		h->commands = 0;
		settle(w, m.host, true);
		break;
	case M_CLOSE:
		begin(w, m.host, PR_OP_CLOSE, 0);
		pw_close_start(h);
		h->commands = 0;
		settle(w, m.host, true);
		break;
	case M_BACKGROUND:
		begin(w, m.host, PR_OP_LOOK, 0);
		wanted = pw_background_start(h);
		w->ghost[m.host].kind = wanted ? (u8)h->op.kind : PR_OP_LOOK;
		h->commands = 0;
		if (wanted)
			settle(w, m.host, true);
		break;
	case M_WATCH:
		w->ghost[m.host].watches--;
		h->want_watch = true;
		break;
	case M_CONFLICT:
		pw_conflict(h, m.path);
		break;
	case M_NOTICE:
		pw_path_fail(h, m.path);
		break;
	case M_UP:
		sim_path_state(&w->pw.target, h->nexus[m.path], SIM_PATH_UP);
		break;
	case M_BACK:
		pw_path_back(h, m.path);
		break;
	case M_DELIVER:
		deliver(w, &m);
		break;
	case M_LAND:
		land(w, &m);
		break;
	case M_FAULT:
		fault(w, &m);
		break;
	}
	if (w->pw.target.type)
		w->unprotected = false;
	check_state(w);
}

/*
 * Words
 */

static const char *const kind_names[] = {
	[M_STEP] = "", [M_OPEN] = "open", [M_CLOSE] = "last close",
	[M_BACKGROUND] = "background work", [M_WATCH] = "watcher's timer",
	[M_CONFLICT] = "I/O met RESERVATION CONFLICT", [M_NOTICE] = "path found dead",
	[M_UP] = "path works again", [M_BACK] = "path seen to work again",
	[M_DELIVER] = "late command arrives", [M_LAND] = "late write arrives",
};

static const char *const fault_names[F_COUNT] = {
	[F_DEAD] = "path dies", [F_LOSE_DONE] = "executed, status lost:",
	[F_LOSE_UNDONE] = "not executed, status lost:",
	[F_ABORTED] = "executed, TASK ABORTED:", [F_DELAY] = "stays out:",
	[F_ABANDON] = "stays out, time is up:", [F_EXPIRE] = "the time is up",
	[F_CANCEL] = "nobody waits any more", [F_ATTENTION] = "unit attention 29/07",
	[F_RESET] = "logical unit reset", [F_POWER] = "power loss at the target",
	[F_RELOGIN] = "relogin as another nexus",
	[F_FORGET] = "the target forgets the registration", [F_CRASH] = "reboots",
	[F_OUT_REGISTER] = "outsider: REGISTER",
	[F_OUT_PREEMPT] = "outsider: PREEMPT AND ABORT", [F_OUT_CLEAR] = "outsider: CLEAR",
	[F_WRITE_QUEUED] = "a write waits in the target",
	[F_WRITE_FLIGHT] = "a write is on its way",
	[F_MESSAGE_RELEASE] = "message release",
	[F_MESSAGE_UNREGISTER] = "message unregister",
	[F_MESSAGE_CLEAR] = "message clear", [F_LEAVE] = "path leaves the table",
};

void print_move(const struct world *w, struct move m)
{
	static const char *const options[] = {
		"forced", "retain", "no_reserve", "single", "bypass",
	};
	unsigned int i;

	(void)w;
	if (m.kind == M_STEP)
		return;		/* the command is printed as it ends */
	printf("# host %u ", m.host);
	if (m.kind == M_FAULT) {
		printf("path %u: %s\n", m.path, fault_names[m.arg]);
		return;
	}
	printf("%s", kind_names[m.kind]);
	if (m.kind == M_OPEN) {
		printf(m.arg ? "" : " default");
		for (i = 0; i < COUNT_OF(options); i++)
			if (m.arg >> i & 1)
				printf(" %s", options[i]);
	} else if (m.kind >= M_CONFLICT) {
		printf(m.kind == M_LAND ? ", tag %u" : ", path %u", m.path);
	}
	printf("\n");
}
