/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hosts in front of the simulated target: each one a struct pr_lun with a
 * driver that does what lun.c does with it, command by command, so that the
 * operations of several hosts can be interleaved at will.
 */
#ifndef PR_WORLD_H
#define PR_WORLD_H

#include "pr_map.h"
#include "sim/spc_sim.h"
#include "uapi/prmpath.h"

#ifndef PW_MAX_HOSTS
#define PW_MAX_HOSTS	3
#endif
#ifndef PW_MAX_PATHS
#define PW_MAX_PATHS	8
#endif
#ifndef PW_KEYS_SIZE
#define PW_KEYS_SIZE	65536
#endif

struct pr_world;
struct pw_host;

/* Before command @n (from 1) of the running operation of @host goes to @path. */
typedef void (*pw_hook)(struct pw_host *host, unsigned int n,
			const struct pr_request *req, int path);

/**
 * struct pw_host - one host
 * @world: where it is
 * @lun: its state
 * @op: its operation, the running or the last one
 * @running: the operation waits for its next step
 * @commands: commands of the operation
 * @rounds: of which in sequence
 * @nexus: nexus of each path
 * @members: paths of the table
 * @leaving: paths that have left it and are still registered
 * @failed: paths taken for dead
 * @noisy: paths whose writes do not end, whatever the target has
 * @busy: paths whose command outlived its operation
 * @orphan_proofs: where that was a REGISTER(K to K)
 * @want_configure: background work, as in lun.c
 * @want_admit: likewise
 * @conflicts: likewise
 * @want_watch: likewise
 * @want_release: likewise
 * @hook: called before each command
 * @hook_at: data of @hook
 * @expires: commands after which the time is up, 0 = never
 * @cancel: commands after which nobody waits any more, 0 = never
 * @impatient: a command that stays out had not its full time: the path goes on
 * @session_before: session bits as the operation began
 * @opened_before: likewise, whether it was open
 * @keys_room: allocation length of READ KEYS, 0 = as much as it needs
 */
struct pw_host {
	struct pr_world *world;
	struct pr_lun lun;
	struct pr_op op;
	bool running;
	unsigned int commands;
	unsigned int rounds;
	u8 nexus[PW_MAX_PATHS];
	u64 members;
	u64 leaving;
	u64 failed;
	u64 noisy;
	u64 busy;
	u64 orphan_proofs;
	u64 want_configure;
	u64 want_admit;
	u64 conflicts;
	bool want_watch;
	bool want_release;
	pw_hook hook;
	unsigned int hook_at;
	unsigned int expires;
	unsigned int cancel;
	bool impatient;
	u32 session_before;
	bool opened_before;
	u32 keys_room;

	struct pr_request req;
	struct pr_reply reply;
	u64 todo;
	bool conflict;		/* that is how the last command ended */
	u8 tag[PW_MAX_PATHS];
	enum pr_action orphan[PW_MAX_PATHS];
	u8 keys[PW_KEYS_SIZE];
};

struct pr_world {
	struct sim_lun target;
	struct pw_host host[PW_MAX_HOSTS];
	unsigned int hosts;
	bool trace;
};

void pw_init(struct pr_world *w);
struct pw_host *pw_add_host(struct pr_world *w, enum sim_protocol protocol,
			    unsigned int paths, u64 key);
/* The host starts anew and knows nothing; its nexuses stay. */
void pw_reboot(struct pw_host *h);
/* A table with these paths goes live; nothing is sent yet. */
void pw_members(struct pw_host *h, u64 members);

/* One operation, step by step: pw_start(), then pw_step() while it is true. */
void pw_prepare(struct pw_host *h, enum pr_op_kind kind);
void pw_start(struct pw_host *h);
bool pw_step(struct pw_host *h);
/* Where the next command of the round may go, and that with it going to @path. */
u64 pw_choices(const struct pw_host *h);
bool pw_step_on(struct pw_host *h, int path);
/* The operation that was prepared, to its end; 0 or -errno. */
int pw_run(struct pw_host *h);

int pw_open(struct pw_host *h, u32 options);
int pw_close(struct pw_host *h);
int pw_do(struct pw_host *h, enum pr_op_kind kind, u64 paths);
/* As pw_open(), but up to its first step only; false: decided already. */
bool pw_open_start(struct pw_host *h, u32 options);
bool pw_close_start(struct pw_host *h);

/* The next thing that lun.c would do in the background; false: nothing. */
bool pw_background_start(struct pw_host *h);
/* ... and all of it. */
void pw_settle(struct pw_host *h);

/* Events on paths; the target's side is the caller's. */
void pw_path_fail(struct pw_host *h, int path);
void pw_path_back(struct pw_host *h, int path);
/* The command that outlived its operation ends. */
void pw_deliver(struct pw_host *h, int path);
/* One write as the target sees it, if gate and admission let it pass. */
bool pw_may_write(const struct pw_host *h, int path);
/* An I/O on @path met a conflict; true: a verdict will come. */
bool pw_conflict(struct pw_host *h, int path);

#endif
