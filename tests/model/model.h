/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model checker for pr_map.c; see README.md in this folder.
 */
#ifndef MODEL_H
#define MODEL_H

#include "sim/pr_world.h"

#define COUNT_OF(array)	(sizeof(array) / sizeof((array)[0]))
#define MAX_HOSTS	PW_MAX_HOSTS
#define MAX_PATHS	PW_MAX_PATHS
#define NOBODY		(-1)
#define EVERYBODY	(-2)	/* types 7 and 8 */
#define PACKED_MAX	768
#define OUTSIDER	MAX_HOSTS	/* its key and its nexus's host number */

/* Faults and disturbances: each has a budget of its own. */
enum fault {
	F_DEAD,			/* a path dies; it may come back at any time */
	F_LOSE_DONE,		/* command executed, no status */
	F_LOSE_UNDONE,		/* not executed, no status */
	F_ABORTED,		/* executed, status TASK ABORTED */
	F_DELAY,		/* stays out, its path is given up */
	F_ABANDON,		/* stays out, the operation's time is up */
	F_EXPIRE,		/* the operation's time is up */
	F_CANCEL,		/* nobody waits for the operation any more */
	F_ATTENTION,		/* 29/07 on a nexus */
	F_RESET,		/* logical unit reset */
	F_POWER,		/* power loss at the target */
	F_RELOGIN,		/* the nexus comes back as another one */
	F_FORGET,		/* the target forgets a registration */
	F_CRASH,		/* the host starts anew */
	F_OUT_REGISTER,		/* an outsider's commands */
	F_OUT_PREEMPT,
	F_OUT_CLEAR,
	F_WRITE_QUEUED,		/* a write waits in the target */
	F_WRITE_FLIGHT,		/* a write is on its way to the target */
	F_MESSAGE_RELEASE,	/* the administrator's messages */
	F_MESSAGE_UNREGISTER,
	F_MESSAGE_CLEAR,
	F_LEAVE,		/* a path leaves the table */
	F_COUNT
};

enum move_kind {
	M_STEP,			/* the next command of the running operation */
	M_OPEN,
	M_CLOSE,
	M_BACKGROUND,
	M_WATCH,		/* the watcher's timer */
	M_CONFLICT,		/* I/O met RESERVATION CONFLICT */
	M_NOTICE,		/* I/O found the path dead */
	M_UP,			/* the path works again */
	M_BACK,			/* ... and the host has seen that */
	M_DELIVER,		/* a command that stayed out arrives */
	M_LAND,			/* a write that stayed out arrives */
	M_FAULT
};

struct move {
	u8 kind;
	u8 host;
	u8 path;		/* or the tag of a write */
	u8 arg;			/* open options, or enum fault */
};

enum setup {
	SET_FRESH,		/* hosts that know nothing */
	SET_CONFIGURED,		/* every path registered */
	SET_OWNER,		/* ... and host 0 is owner */
	SET_OWNER_ONLY,		/* host 0 is owner, the others know nothing */
	SET_RETAINED,		/* host 0 had it, with retain, and rebooted */
	SET_NO_RESERVE,		/* host 0 has a session without reservation */
};

#define OPT(options)	(1u << (options))

/**
 * struct config - one world to explore
 * @name: for --config
 * @hosts: how many
 * @paths: of each
 * @setup: where it starts
 * @quirks: SIM_*
 * @type: reservation type, 0 = 5
 * @iscsi: nexuses that change at relogin
 * @no_aptpl: hosts do not ask for APTPL
 * @shared: pr_shared
 * @options: per host, the open options that it uses: OPT()
 * @opens: per host, how many opens
 * @watches: per host, how often the watcher's timer fires
 * @fault: budget of each fault
 * @faults: budget of all together, 0 = their sum
 * @victims: hosts that faults may hit, 0 = all
 * @quick: depth of the quick run, 0 = not in it; 99: to the end
 * @depth: depth of the long run, which --states bounds as well
 */
struct config {
	const char *name;
	u8 hosts;
	u8 paths;
	enum setup setup;
	u32 quirks;
	u8 type;
	bool iscsi;
	bool no_aptpl;
	bool shared;
	u32 options[MAX_HOSTS];
	u8 opens[MAX_HOSTS];
	u8 watches[MAX_HOSTS];
	u8 fault[F_COUNT];
	u8 faults;
	u8 victims;
	unsigned int quick;
	unsigned int depth;
};

/* What only the checker knows of a host. */
struct ghost {
	u8 opens;		/* left */
	u8 watches;		/* left */
	bool session;		/* an open that is not bypass succeeded */
	bool single;
	bool retain;
	bool fenced;
	bool overtaken;		/* another owner could write during its session */
	/* of the running operation */
	u8 kind;
	u8 options;
	u8 regs_before;		/* own paths that were registered with K */
	bool held_before;
	bool was_owner;
	bool opened_before;
	bool was_fenced;
	bool fault;		/* something failed meanwhile */
	bool disturbed;		/* another's command changed the target */
	bool blind;		/* the reservation went by itself since it was read */
	bool keys_read;		/* its last command was READ KEYS */
	bool earlier;		/* its reservation is of before it rebooted */
};

struct world {
	struct pr_world pw;
	const struct config *cfg;
	struct ghost ghost[MAX_HOSTS];
	u8 fault[F_COUNT];
	u8 faults;
	u8 dead_writes;		/* tags of writes that must not land any more */
	u8 moved_writes;	/* tags of those that their own host's PREEMPT left behind */
	bool unprotected;	/* the target lost the reservation by itself */
};

/* What the target's PR state is, seen from outside. */
struct view {
	u8 type;
	int holder;		/* host, NOBODY or EVERYBODY */
	int nexus;		/* of the holder */
	u64 key[SIM_MAX_NEXUS];	/* of live nexuses */
	u8 own[MAX_HOSTS + 1];	/* paths registered */
	u8 regs[MAX_HOSTS + 1];	/* registrations, stale ones too */
	u32 generation;
};

u64 key_of(unsigned int host);
void look(const struct world *w, struct view *v);

/* state.c */
unsigned int pack(struct world *w, u8 *out);
void unpack(struct world *w, const u8 *in);

/* moves.c */
void build(struct world *w, const struct config *cfg);
unsigned int moves(const struct world *w, struct move *list);
void apply(struct world *w, struct move m);
void print_move(const struct world *w, struct move m);

/* rules.c */
extern const char *violation;	/* what the last move broke, or NULL */
struct sent {			/* a command as the target saw it */
	int host;		/* MAX_HOSTS: outsider */
	bool late;
	enum pr_action action;
	enum pr_op_kind kind;
	u32 options;
	bool cleanup;
	bool first;
	bool foreign_read;	/* the operation has read a foreign reservation */
	bool fenced;
};

void check_command(struct world *w, const struct view *before,
		   const struct sent *sent);
void op_began(struct world *w, unsigned int host);
void op_ended(struct world *w, unsigned int host);
void check_state(struct world *w);
void check_landing(struct world *w, unsigned int host, bool dead);
/* Faults cease: everything must come to rest, and fit together. */
void check_rest(struct world *w);

extern const struct config configs[];
extern const unsigned int config_count;

#define MOST_MOVES	128

#endif
