// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hosts in front of the simulated target; see pr_world.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/pr_world.h"

#define MAX_STEPS	2000
#define IN_SIZE		65536

static u64 bit(int path)
{
	return (u64)1 << path;
}

static int lowest(u64 mask)
{
	int path = 0;

	while (!(mask & bit(path)))
		path++;
	return path;
}

void pw_init(struct pr_world *w)
{
	memset(w, 0, sizeof(*w));
	sim_init(&w->target);
	w->trace = getenv("PRM_TRACE");
}

static void note_port(struct pw_host *h, const struct sim_nexus *n)
{
	struct pr_port_id id = { .protocol = n->protocol, .len = 8 };
	u32 i;

	if (n->protocol == SIM_ISCSI) {
		id.len = (u8)strlen(n->name);
		memcpy(id.id, n->name, id.len);
	} else {
		for (i = 0; i < 8; i++)
			id.id[i] = (u8)(n->wwn >> (56 - 8 * i));
	}
	for (i = 0; i < h->lun.ports; i++)
		if (pr_port_id_equal(&h->lun.port[i], &id))
			return;
	if (h->lun.ports < PR_MAX_PORTS)
		h->lun.port[h->lun.ports++] = id;
}

/* The owner's paths that need no ADMIT. */
static u64 proven_paths(const struct pw_host *h)
{
	return h->lun.registered & ~h->lun.unverified;
}

static void refresh_masks(struct pw_host *h)
{
	h->lun.present = h->members | h->leaving;
	h->lun.live = h->lun.present & ~h->failed & ~h->busy;
}

void pw_members(struct pw_host *h, u64 members)
{
	u64 gone = h->members & ~members, new = members & ~h->members;

	h->members = members;
	h->leaving = (h->leaving & ~members) | gone;
	h->failed &= ~new;
	if (h->lun.state == PR_STATE_OWNER)
		h->want_admit |= new;
	else
		h->want_configure |= new;
	refresh_masks(h);
}

struct pw_host *pw_add_host(struct pr_world *w, enum sim_protocol protocol,
			    unsigned int paths, u64 key)
{
	const struct pr_config cfg = {
		.key = key,
		.type = PR_TYPE_WRITE_EXCLUSIVE_RO,
		.aptpl = true,
	};
	struct pw_host *h = &w->host[w->hosts];
	unsigned int i;

	assert(w->hosts < PW_MAX_HOSTS && paths <= PW_MAX_PATHS);
	h->world = w;
	pr_lun_init(&h->lun, &cfg);
	for (i = 0; i < paths; i++) {
		h->nexus[i] = (u8)sim_add_nexus(&w->target, protocol, (u8)w->hosts, (u8)i);
		note_port(h, &w->target.nexus[h->nexus[i]]);
	}
	pw_members(h, bit((int)paths) - 1);
	w->hosts++;
	return h;
}

void pw_reboot(struct pw_host *h)
{
	struct pr_config cfg = h->lun.cfg;
	u64 members = h->members;
	int i;

	pr_lun_init(&h->lun, &cfg);
	h->running = false;
	h->members = 0;
	h->leaving = 0;
	h->failed = 0;
	h->busy = 0;
	h->want_admit = 0;
	h->want_configure = 0;
	h->conflicts = 0;
	h->want_watch = false;
	h->want_release = false;
	for (i = 0; members >> i; i++)
		note_port(h, &h->world->target.nexus[h->nexus[i]]);
	pw_members(h, members);
}

/*
 * One command
 */

static void answer(struct pw_host *h, const struct sim_reply *r, struct pr_result *result)
{
	(void)h;
	*result = (struct pr_result){
		.host_failed = r->host_failed,
		.status = r->status,
		.sense_valid = r->sense_valid,
		.key = r->key,
		.asc = r->asc,
		.ascq = r->ascq,
	};
}

/* False: nothing ended; the command stays out. */
static bool send_one(struct pw_host *h, int path, u32 in_len, enum pr_class *class,
		     struct pr_result *result, bool *attention, u32 *len, u8 *in)
{
	const struct pr_request *req = &h->req;
	unsigned int attempt = 0;
	struct sim_reply r;
	u8 list[PR_OUT_LEN];
	u8 cdb[PR_CDB_LEN];
	bool out = pr_action_is_out(req->action);

	*attention = false;
	pr_encode_cdb(cdb, req->action, req->type, out ? PR_OUT_LEN : in_len);
	pr_encode_out(list, req->key, req->sa_key, req->aptpl);
	do {
		sim_execute(&h->world->target, h->nexus[path], cdb, sizeof(cdb),
			    out ? list : NULL, out ? sizeof(list) : 0,
			    out ? NULL : in, out ? 0 : in_len, &r);
		if (r.pending) {
			h->tag[path] = r.tag;
			h->orphan[path] = req->action;
			h->orphan_proofs &= ~bit(path);
			if (pr_request_proves(req))
				h->orphan_proofs |= bit(path);
			return false;
		}
		answer(h, &r, result);
		if (pr_attention_resets(result))
			*attention = true;
		*class = pr_classify(result, req->action);
	} while (pr_retry_delay(*class, ++attempt) >= 0);
	*len = r.in_len;
	return true;
}

static void trace_command(const struct pw_host *h, int path, const char *end)
{
	if (h->world->trace)
		printf("# host %d %-9s %-20s path %d %s key %llx sa %llx type %u: %s\n",
		       (int)(h - h->world->host), pr_op_name(h->op.kind),
		       pr_op_stage(&h->op), path, pr_action_name(h->req.action),
		       (unsigned long long)h->req.key, (unsigned long long)h->req.sa_key,
		       h->req.type, end);
}

/* No I/O through it from now on; its conflict is settled by that. */
static void fail_path(struct pw_host *h, int path)
{
	if (h->failed & bit(path))
		return;
	h->failed |= bit(path);
	pr_path_gone(&h->lun, path);
	if (h->conflicts & bit(path)) {
		h->conflicts &= ~bit(path);
		h->want_watch = true;
	}
}

static void lost(struct pw_host *h, int path, bool silent)
{
	h->reply.ended[PR_LOST] |= bit(path);
	if (silent) {
		h->reply.silent |= bit(path);
		fail_path(h, path);
	}
}

static bool decode(struct pw_host *h, const u8 *in, u32 len, u32 room, u32 *needed)
{
	struct pr_key_list keys;

	*needed = 0;
	if (h->req.action == PR_ACT_READ_RESERVATION)
		return !pr_decode_reservation(&h->reply.resv, in, len);
	if (h->req.action == PR_ACT_READ_KEYS) {
		if (pr_decode_keys(&keys, in, len))
			return false;
		if (keys.needed > room && room < PR_IN_LEN_MAX && !h->keys_room) {
			*needed = keys.needed;
			return true;
		}
	}
	assert(len <= sizeof(h->keys));
	memcpy(h->keys, in, len);
	h->reply.full = h->keys;
	h->reply.full_len = len;
	return h->req.action != PR_ACT_READ_KEYS ||
	       !pr_decode_keys(&h->reply.keys, h->keys, len);
}

static void one_command(struct pw_host *h, int path)
{
	static u8 in[IN_SIZE];
	enum pr_class class;
	struct pr_result result;
	bool attention;
	u32 room = PR_IN_LEN_MIN, needed, len;

	h->commands++;
	if (h->hook)
		h->hook(h, h->commands, &h->req, path);
	if (h->req.action == PR_ACT_READ_FULL_STATUS)
		room = PR_IN_LEN_MAX;
	else if (h->req.action == PR_ACT_READ_KEYS && h->keys_room)
		room = h->keys_room;
	h->todo &= ~bit(path);
	h->conflict = false;
again:
	if (!send_one(h, path, room, &class, &result, &attention, &len, in)) {
		trace_command(h, path, "out");
		h->busy |= bit(path);
		h->reply.ended[PR_LOST] |= bit(path);
		h->reply.silent |= bit(path);
		/* Without its full time, it says nothing about the path. */
		if (!h->impatient)
			fail_path(h, path);
		return;
	}
	trace_command(h, path, pr_class_name(class));
	if (attention)
		h->reply.attention |= bit(path);
	if (class == PR_LOST) {
		lost(h, path, result.host_failed);
		return;
	}
	if (h->req.any && class == PR_GOOD) {
		if (!decode(h, in, len, room, &needed)) {
			lost(h, path, false);
			return;
		}
		if (needed) {
			room = needed < PR_IN_LEN_MAX ? needed : PR_IN_LEN_MAX;
			goto again;
		}
	}
	h->reply.ended[class] |= bit(path);
	h->conflict = class == PR_CONFLICT;
	if ((class == PR_GOOD || class == PR_CONFLICT) && (h->failed & bit(path)))
		pw_path_back(h, path);
	if (!h->req.any)
		return;
	if (class == PR_GOOD || class == PR_CONFLICT || class == PR_UNSUPPORTED ||
	    class == PR_BAD_FIELD) {
		h->reply.path = path;
		h->todo = 0;
	}
}

/*
 * Operations
 */

static void follow_up(struct pw_host *h)
{
	int error = pr_why_errno(h->op.why);
	bool unsettled = error == -EAGAIN || error == -EIO || error == -ETIMEDOUT ||
			 error == -EINTR;
	bool owner = h->lun.state == PR_STATE_OWNER;
	u64 unproven = h->members & ~h->lun.registered;
	int path;

	/* A look that is not content has its own time. */
	if (owner && (!h->lun.baseline || h->lun.unseen ||
		      (!h->lun.cfg.shared && h->lun.keys_foreign)) &&
	    (h->op.kind != PR_OP_WATCH || h->op.events & PR_EVENT_EVICTED))
		h->want_watch = true;
	if (owner)
		h->want_admit |= h->op.configure & h->members;
	else
		h->want_configure |= h->op.configure & h->members;
	switch (h->op.kind) {
	case PR_OP_OPEN:
		if (!error && owner) {
			h->want_watch = true;
			h->want_admit |= unproven & ~h->lun.refused;
		}
		break;
	case PR_OP_CONFLICT:
		h->conflicts &= ~(h->op.settled | h->lun.refused);
		if (!unsettled)
			h->conflicts &= ~h->op.paths;
		break;
	case PR_OP_ADMIT:
		h->want_admit |= h->op.paths & h->members & ~proven_paths(h) &
				 (unsettled ? ~(u64)0 : ~(h->failed | h->lun.refused));
		h->conflicts &= ~h->op.settled;
		break;
	case PR_OP_CONFIGURE:
		h->want_configure |= h->op.paths & h->members &
				     (unsettled ? ~(u64)0 : h->lun.doubt);
		break;
	case PR_OP_WATCH:
		h->conflicts &= ~h->op.settled;
		/* Admissions come before the next attempt. */
		h->want_watch |= owner && error && h->lun.unseen && !h->want_admit;
		break;
	case PR_OP_LEAVE:
		for (path = 0; path < PW_MAX_PATHS; path++)
			/* A command that is out keeps the slot. */
			if (h->op.paths & h->leaving & ~h->busy & bit(path))
				pr_path_left(&h->lun, path);
		h->leaving &= ~h->op.paths;
		h->conflicts &= ~h->op.paths;
		break;
	default:
		break;
	}
	h->want_release = h->lun.state == PR_STATE_RELEASING;
	if (h->lun.state == PR_STATE_FENCED)
		h->conflicts = 0;
	refresh_masks(h);
}

/* An open that nobody waits for any more must not stand. */
static bool take_back(struct pw_host *h)
{
	if (h->op.kind != PR_OP_OPEN || !h->op.cancelled || pr_why_errno(h->op.why))
		return false;
	if (!h->op.started) {
		h->lun.session = h->session_before;
		h->lun.opened = h->opened_before;
		return false;
	}
	pr_op_revoke(&h->op);
	return true;
}

static void not_sent(struct pw_host *h, u64 paths)
{
	h->reply.ended[PR_LOST] |= paths;
	h->reply.silent |= paths;
	h->reply.unsent |= paths;
}

static void next_request(struct pw_host *h, const struct pr_reply *reply)
{
	u64 ready;

	for (;;) {
		refresh_masks(h);
		h->running = pr_next(&h->lun, &h->op, reply, &h->req);
		if (!h->running && take_back(h)) {
			reply = NULL;
			continue;
		}
		if (!h->running) {
			if (h->world->trace)
				printf("# host %d %s: %s, %s\n",
				       (int)(h - h->world->host), pr_op_name(h->op.kind),
				       pr_why_text(h->op.why), pr_state_name(h->lun.state));
			follow_up(h);
			return;
		}
		ready = h->req.paths & ~h->busy;
		memset(&h->reply, 0, sizeof(h->reply));
		h->reply.path = PR_NO_PATH;
		not_sent(h, h->req.paths & ~ready);
		h->todo = ready;
		h->rounds++;
		if (ready)
			return;
		reply = &h->reply;
	}
}

void pw_prepare(struct pw_host *h, enum pr_op_kind kind)
{
	assert(!h->running);
	pr_op_init(&h->op, kind);
}

void pw_start(struct pw_host *h)
{
	h->commands = 0;
	h->rounds = 0;
	h->session_before = h->lun.session;
	h->opened_before = h->lun.opened;
	next_request(h, NULL);
}

u64 pw_choices(const struct pw_host *h)
{
	u64 live = h->todo & h->lun.live;

	if (!h->running)
		return 0;
	if (!h->req.any)
		return h->todo;
	return bit(lowest(live ? live : h->todo));
}

bool pw_step(struct pw_host *h)
{
	return h->running && pw_step_on(h, lowest(pw_choices(h)));
}

bool pw_step_on(struct pw_host *h, int path)
{
	assert(pw_choices(h) & bit(path));
	if (h->req.quiet && ((h->noisy & bit(path)) ||
			     sim_pending(&h->world->target, h->nexus[path]))) {
		trace_command(h, path, "not sent");
		not_sent(h, bit(path));
		h->reply.noisy |= bit(path);
		h->todo &= ~bit(path);
	} else {
		one_command(h, path);
	}
	if (h->cancel && h->commands >= h->cancel)
		h->op.cancelled = true;
	if (h->todo)
		return true;
	h->reply.timed_out = h->expires && h->commands >= h->expires;
	next_request(h, &h->reply);
	return h->running;
}

static int finish(struct pw_host *h)
{
	unsigned int steps = 0;

	while (pw_step(h))
		assert(++steps < MAX_STEPS);
	return pr_why_errno(h->op.why);
}

int pw_run(struct pw_host *h)
{
	pw_start(h);
	return finish(h);
}

bool pw_open_start(struct pw_host *h, u32 options)
{
	pw_prepare(h, PR_OP_OPEN);
	h->op.options = options;
	h->commands = 0;
	h->rounds = 0;
	if (pr_open_local(&h->lun, &h->op))
		return false;
	pw_start(h);
	return h->running;
}

int pw_open(struct pw_host *h, u32 options)
{
	pw_open_start(h, options);
	return finish(h);
}

bool pw_close_start(struct pw_host *h)
{
	const struct pr_lun *lun = &h->lun;

	pw_prepare(h, PR_OP_CLOSE);
	h->commands = 0;
	h->rounds = 0;
	if (!lun->opened && !lun->session && !lun->leftover &&
	    (lun->state == PR_STATE_FREE || lun->state == PR_STATE_RETAINED))
		return false;
	pw_start(h);
	return h->running;
}

int pw_close(struct pw_host *h)
{
	pw_close_start(h);
	return finish(h);
}

int pw_do(struct pw_host *h, enum pr_op_kind kind, u64 paths)
{
	pw_prepare(h, kind);
	h->op.paths = paths;
	return pw_run(h);
}

bool pw_background_start(struct pw_host *h)
{
	bool owner = h->lun.state == PR_STATE_OWNER;
	enum pr_op_kind kind;
	u64 paths = 0;

	if (h->running)
		return false;
	if (!owner) {
		h->conflicts = 0;
		h->want_configure |= h->want_admit;
		h->want_admit = 0;
		h->want_watch = false;
	} else {
		h->want_admit |= h->want_configure;
		h->want_configure = 0;
	}
	h->want_admit &= h->members & ~proven_paths(h);
	h->want_configure &= h->members;

	if (h->conflicts) {
		kind = PR_OP_CONFLICT;
		paths = h->conflicts;
	} else if (h->want_watch) {
		kind = PR_OP_WATCH;
		h->want_watch = false;
	} else if (h->want_admit) {
		kind = PR_OP_ADMIT;
		paths = h->want_admit;
		h->want_admit = 0;
	} else if (h->want_release) {
		kind = PR_OP_CLOSE;
		h->want_release = false;
	} else if (h->want_configure) {
		kind = PR_OP_CONFIGURE;
		paths = h->want_configure;
		h->want_configure = 0;
	} else {
		return false;
	}
	pw_prepare(h, kind);
	h->op.paths = paths;
	pw_start(h);
	return true;
}

void pw_settle(struct pw_host *h)
{
	unsigned int i;

	for (i = 0; i < 8 && pw_background_start(h); i++)
		finish(h);
}

void pw_path_fail(struct pw_host *h, int path)
{
	fail_path(h, path);
	refresh_masks(h);
}

void pw_path_back(struct pw_host *h, int path)
{
	h->failed &= ~bit(path);
	if (h->lun.state == PR_STATE_OWNER)
		h->want_admit |= bit(path) & h->members;
	else
		h->want_configure |= bit(path) & h->members;
	refresh_masks(h);
}

void pw_deliver(struct pw_host *h, int path)
{
	static u8 in[IN_SIZE];
	enum pr_action action = h->orphan[path];
	struct sim_reply reply;

	if (!(h->busy & bit(path)))
		return;
	sim_deliver(&h->world->target, h->tag[path], in, sizeof(in), &reply);
	h->busy &= ~bit(path);
	refresh_masks(h);
	if (!pr_action_is_out(action))
		return;
	h->lun.baseline = false;
	h->lun.doubt |= bit(path) & ~h->orphan_proofs;
	if (h->lun.state == PR_STATE_OWNER) {
		h->want_watch = true;
		h->want_admit |= bit(path) & ~proven_paths(h);
		return;
	}
	if (action != PR_ACT_REGISTER && action != PR_ACT_REGISTER_IGNORE &&
	    action != PR_ACT_RELEASE && h->lun.state != PR_STATE_RETAINED) {
		h->lun.leftover = true;
		if (h->lun.state == PR_STATE_FREE) {
			h->lun.state = PR_STATE_RELEASING;
			h->want_release = true;
		}
	}
	h->want_configure |= bit(path);
}

bool pw_may_write(const struct pw_host *h, int path)
{
	return pr_gate_open(&h->lun) && (pr_admitted(&h->lun) & h->members & bit(path)) &&
	       sim_allows(&h->world->target, h->nexus[path], SIM_WRITE);
}

bool pw_conflict(struct pw_host *h, int path)
{
	if (h->lun.state != PR_STATE_OWNER)
		return false;
	h->conflicts |= bit(path);
	h->lun.suspect = true;
	return true;
}
