// SPDX-License-Identifier: GPL-2.0-only
/*
 * A state as a string of bytes: every field that can make a difference later,
 * and nothing else. What is left out keeps any value.
 */
#include <assert.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define FIRST_ISID	0x00023d000000ULL
#define MOST_KEYS	12	/* of one host at the target */
#define KEY_BASE	0x70ac000000000000ULL

/* One list of fields for both directions. */
struct buf {
	u8 *p;
	bool write;
	u32 shift;		/* of generations */
};

u64 key_of(unsigned int host)
{
	return KEY_BASE + 0x10 + host;
}

static void broken(const char *what, u64 value)
{
	fprintf(stderr, "model: %s does not fit: %llu\n", what, (unsigned long long)value);
	abort();
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest byte comes first");

/* A number or mask that fits one byte. */
static inline void byte(struct buf *b, void *field, size_t size, const char *name)
{
	u64 value = 0;

	if (b->write) {
		memcpy(&value, field, size);
		if (value > 0xff)
			broken(name, value);
		*b->p++ = (u8)value;
	} else {
		value = *b->p++;
		memcpy(field, &value, size);
	}
}

/* A path, or PR_NO_PATH. */
static void path(struct buf *b, int *field)
{
	if (b->write)
		*b->p++ = (u8)(*field + 1);
	else
		*field = *b->p++ - 1;
}

/* A key of key_of(), or 0. */
static void key(struct buf *b, u64 *field)
{
	u8 low = (u8)*field;

	if (b->write) {
		if (*field && (*field ^ KEY_BASE) > 0xff)
			broken("key", *field);
		*b->p++ = low;
	} else {
		low = *b->p++;
		*field = low ? KEY_BASE + low : 0;
	}
}

/* Up to eight flags. */
static inline void flags(struct buf *b, bool *const field[], unsigned int count)
{
	unsigned int i;
	u8 mask = 0;

	if (!b->write)
		mask = *b->p;
	for (i = 0; i < count; i++) {
		if (b->write)
			mask |= (u8)(*field[i] << i);
		else
			*field[i] = mask >> i & 1;
	}
	*b->p++ = mask;
}

#define U8(field)	byte(b, &(field), sizeof(field), #field)
#define BITS(...) do {							\
	bool *const _bits[] = { __VA_ARGS__ };				\
									\
	_Static_assert(COUNT_OF(_bits) <= 8, "one byte");		\
	flags(b, _bits, COUNT_OF(_bits));				\
} while (0)

/* 0 stays 0: "not read yet", or the target really lost its memory. */
static void generation(struct buf *b, u32 *value)
{
	u32 g = *value;

	if (b->write) {
		g = g > b->shift ? g - b->shift : 0;
		if (g > 0xff)
			broken("generation", g);
		*b->p++ = (u8)g;
	} else {
		*value = *b->p++;
	}
}

static void keys(struct buf *b, struct pw_host *h)
{
	struct pr_key_list *k = &h->op.keys;
	unsigned int i;
	bool any = k->list;

	BITS(&k->complete, &any);
	generation(b, &k->generation);
	U8(k->count);
	if (!b->write) {
		k->list = any ? h->keys + 8 : NULL;
		k->needed = 8 + 8 * k->count;
	}
	/* Big endian, and all of one base: the lowest byte tells. */
	for (i = 0; i < k->count; i++) {
		if (b->write) {
			*b->p++ = k->list[8 * i + 7];
		} else {
			u64 value = KEY_BASE + *b->p++;
			unsigned int n;

			for (n = 0; n < 8; n++)
				h->keys[8 + 8 * i + n] = (u8)(value >> (56 - 8 * n));
		}
	}
}

static void operation(struct buf *b, struct pw_host *h)
{
	struct pr_op *op = &h->op;
	unsigned int i;
	u8 events;
	bool first = h->commands == 0, expires = h->expires;

	if (!b->write) {
		pr_op_init(op, PR_OP_OPEN);
		memset(&h->req, 0, sizeof(h->req));
		memset(&h->reply, 0, sizeof(h->reply));
		h->reply.path = PR_NO_PATH;
	}
	U8(op->kind);
	U8(op->options);
	U8(op->paths);
	U8(op->why);
	/* The others only inform. */
	events = op->events & (PR_EVENT_RETAKEN | PR_EVENT_EVICTED);
	U8(events);
	if (!b->write)
		op->events = events;
	U8(op->settled);
	U8(op->configure);
	U8(op->prior_state);
	U8(op->prior_session);
	U8(op->made);
	path(b, &op->path);
	U8(op->stage);
	U8(op->then);
	U8(op->subject);
	U8(op->retry);
	U8(op->tried);
	U8(op->unanswered);
	U8(op->noisy);
	U8(op->maybe);
	U8(op->doubted);
	U8(op->carries);
	BITS(&op->cancelled, &op->started, &op->prior_opened, &op->took, &op->fought,
	     &op->probed, &op->ignore, &op->no_abort);
	BITS(&op->recheck, &op->retaking, &op->memory_lost, &op->resv.held, &first,
	     &expires, &h->impatient, &h->opened_before);
	BITS(&op->shortcut, &op->proof_lost, &op->proved);
	U8(op->rounds);
	U8(op->force_rounds);
	U8(op->release_step);
	key(b, &op->victim);
	key(b, &op->after);
	U8(op->made_count);
	U8(op->proofs);
	U8(op->own_before);
	U8(op->evictions);
	generation(b, &op->generation_before);
	generation(b, &op->resv.generation);
	key(b, &op->resv.key);
	U8(op->resv.type);
	keys(b, h);
	U8(h->session_before);
	U8(h->todo);
	U8(h->req.action);
	U8(h->req.paths);
	key(b, &h->req.key);
	key(b, &h->req.sa_key);
	U8(h->req.type);
	BITS(&h->req.any, &h->req.aptpl, &h->req.quiet, &h->req.cleanup);
	for (i = 0; i < PR_CLASS_COUNT; i++)
		U8(h->reply.ended[i]);
	U8(h->reply.silent);
	U8(h->reply.unsent);
	U8(h->reply.noisy);
	U8(h->reply.attention);
	if (!b->write) {
		h->commands = first ? 0 : 1;
		h->expires = expires;
	}
}

static void host(struct buf *b, struct world *w, struct pw_host *h, struct ghost *g)
{
	struct pr_lun *lun = &h->lun;
	u64 unverified;
	unsigned int i;

	U8(lun->state);
	U8(lun->session);
	BITS(&lun->opened, &lun->suspect, &lun->leftover, &lun->baseline, &lun->attention,
	     &lun->no_abort, &lun->no_aptpl, &lun->twin);
	BITS(&lun->unseen, &lun->one_entry, &lun->restarted, &lun->registering);
	U8(lun->present);
	U8(lun->live);
	U8(lun->registered);
	/* A session begins with its own. */
	unverified = lun->state == PR_STATE_OWNER ? lun->unverified : 0;
	U8(unverified);
	if (!b->write)
		lun->unverified = unverified;
	U8(lun->refused);
	U8(lun->doubt);
	U8(lun->late);
	U8(lun->undo);
	path(b, &lun->holder);
	U8(lun->type);
	generation(b, &lun->generation);
	generation(b, &lun->intact);
	U8(lun->keys_own);
	U8(lun->keys_foreign);

	U8(h->members);
	U8(h->leaving);
	U8(h->failed);
	U8(h->busy);
	U8(h->orphan_proofs);
	U8(h->want_configure);
	U8(h->want_admit);
	U8(h->conflicts);
	BITS(&h->running, &h->want_watch, &h->want_release, &g->session, &g->single,
	     &g->retain, &g->fenced, &g->overtaken);
	for (i = 0; i < w->cfg->paths; i++) {
		if (!(h->busy >> i & 1))
			continue;
		U8(h->tag[i]);
		U8(h->orphan[i]);
	}
	U8(g->opens);
	U8(g->watches);
	BITS(&g->earlier);
	if (!h->running) {
		if (!b->write) {
			h->todo = 0;
			h->expires = 0;
			h->impatient = false;
		}
		return;
	}
	operation(b, h);
	U8(g->kind);
	U8(g->options);
	U8(g->regs_before);
	BITS(&g->held_before, &g->was_owner, &g->opened_before, &g->fault, &g->disturbed,
	     &g->blind, &g->keys_read, &g->was_fenced);
}

static void command(struct buf *b, struct sim_queued *q)
{
	u64 reservation = 0, action = 0;
	unsigned int i;

	for (i = 0; b->write && i < 8 && q->out_len; i++) {
		reservation = reservation << 8 | q->out[i];
		action = action << 8 | q->out[8 + i];
	}
	BITS(&q->used, &q->in_target, &q->aborted);
	U8(q->nexus);
	U8(q->out_len);
	U8(q->cdb[0]);
	U8(q->cdb[1]);
	U8(q->cdb[2]);
	U8(q->cdb[7]);
	U8(q->cdb[8]);
	U8(q->cdb[13]);
	key(b, &reservation);
	key(b, &action);
	U8(q->out[20]);
	for (i = 0; !b->write && i < 8; i++) {
		q->out[i] = (u8)(reservation >> (56 - 8 * i));
		q->out[8 + i] = (u8)(action >> (56 - 8 * i));
	}
}

static void isid(struct buf *b, u64 *value)
{
	u8 low = b->write ? (u8)(*value - FIRST_ISID) : *b->p;

	*b->p++ = low;
	*value = FIRST_ISID + low;
}

static void target(struct buf *b, const struct world *w, struct sim_lun *s)
{
	unsigned int i, n;
	u8 count = 0;

	U8(s->type);
	U8(s->holder);
	BITS(&s->aptpl);
	generation(b, &s->generation);
	if (w->cfg->iscsi)
		isid(b, &s->next_isid);
	for (i = 0; b->write && i < SIM_MAX_REGS; i++)
		count |= (u8)(s->reg[i].used << i);
	U8(count);
	for (i = 0; i < SIM_MAX_REGS; i++) {
		struct sim_reg *reg = &s->reg[i];

		if (!(count >> i & 1)) {
			if (!b->write)
				memset(reg, 0, sizeof(*reg));
			continue;
		}
		reg->used = true;
		U8(reg->nexus);
		key(b, &reg->key);
		if (w->cfg->iscsi)
			isid(b, &reg->isid);
	}
	for (i = 0; i < s->nexuses; i++) {
		struct sim_nexus *x = &s->nexus[i];
		u8 both = (u8)(x->path_state | x->attentions << 4);

		U8(both);
		x->path_state = both & 0x0f;
		x->attentions = both >> 4;
		for (n = 0; n < x->attentions; n++) {
			if (!b->write)
				x->attention[n].key = 0x06;
			U8(x->attention[n].asc);
			U8(x->attention[n].ascq);
		}
		x->answers = 0;
		if (w->cfg->iscsi)
			isid(b, &x->isid);
	}
	count = 0;
	for (i = 0; b->write && i < SIM_MAX_QUEUE; i++)
		count |= (u8)(s->queue[i].used << i);
	U8(count);
	for (i = 0; i < SIM_MAX_QUEUE; i++) {
		if (!b->write)
			memset(&s->queue[i], 0, sizeof(s->queue[i]));
		if (count >> i & 1)
			command(b, &s->queue[i]);
	}
}

static void fields(struct buf *b, struct world *w)
{
	unsigned int i;

	target(b, w, &w->pw.target);
	for (i = 0; i < w->pw.hosts; i++)
		host(b, w, &w->pw.host[i], &w->ghost[i]);
	for (i = 0; i < F_COUNT; i++)
		if (w->cfg->fault[i])
			U8(w->fault[i]);
	U8(w->faults);
	U8(w->dead_writes);
	U8(w->moved_writes);
	BITS(&w->unprotected);
}

static void lowest(u32 *low, u32 value)
{
	if (value && value < *low)
		*low = value;
}

/* What has moved by more than a host has keys will have, however many come. */
static void normalise_intact(struct world *w, struct pr_lun *lun)
{
	u32 now = w->pw.target.generation;

	if (lun->state != PR_STATE_OWNER || !pr_type_all_registrants(lun->type)) {
		lun->intact = 0;
		lun->restarted = false;
	} else if (lun->intact < now && now - lun->intact > MOST_KEYS) {
		lun->intact = now - MOST_KEYS - 1;
	}
}

/*
 * PRgeneration is only compared with itself, by difference, and with 0, which
 * only a power loss brings: without one left, all values may be moved down
 * together. A baseline that is out of date stays so, whatever its value.
 */
static u32 normalise(struct world *w)
{
	u32 low = w->pw.target.generation;
	unsigned int i;

	for (i = 0; i < w->pw.hosts; i++)
		normalise_intact(w, &w->pw.host[i].lun);
	if (w->cfg->fault[F_POWER] || w->cfg->setup == SET_FRESH)
		return 0;
	for (i = 0; i < w->pw.hosts; i++) {
		struct pw_host *h = &w->pw.host[i];

		if (!h->lun.baseline)
			h->lun.generation = 0;
		else if (!h->running && h->lun.generation != w->pw.target.generation)
			h->lun.generation = w->pw.target.generation - 1;
		lowest(&low, h->lun.generation);
		lowest(&low, h->lun.intact);
		if (!h->running)
			continue;
		lowest(&low, h->op.generation_before);
		lowest(&low, h->op.resv.generation);
		lowest(&low, h->op.keys.generation);
	}
	return low > 1 ? low - 1 : 0;
}

unsigned int pack(struct world *w, u8 *out)
{
	struct buf b = { .p = out, .write = true, .shift = normalise(w) };

	fields(&b, w);
	assert(b.p - out <= PACKED_MAX);
	return (unsigned int)(b.p - out);
}

void unpack(struct world *w, const u8 *in)
{
	struct buf b = { .p = (u8 *)in };

	fields(&b, w);
}
