/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated logical unit with a persistent reservation device server after
 * SPC-4, for tests in user space.
 *
 * It decodes real CDBs and parameter lists and builds real parameter data by
 * its own code, so that it checks pr_wire.c instead of repeating its mistakes.
 * No clock and no randomness: the same calls give the same answers. A struct
 * sim_lun holds no pointers, so assignment copies a state; sim_hash() tells
 * whether two states are alike.
 */
#ifndef SPC_SIM_H
#define SPC_SIM_H

#include "pr_wire.h"	/* u8 ... u64, and nothing else */

#ifndef SIM_MAX_NEXUS
#define SIM_MAX_NEXUS	16
#endif
#ifndef SIM_MAX_REGS
#define SIM_MAX_REGS	64
#endif
#ifndef SIM_MAX_QUEUE
#define SIM_MAX_QUEUE	8
#endif
#define SIM_MAX_UA	4
#define SIM_MAX_SCRIPT	4
#define SIM_CDB_MAX	16
#define SIM_OUT_MAX	24
#define SIM_NAME_MAX	64

#define SIM_NOBODY	0xff

/* What a command was; the index of the counters. */
enum sim_cmd {
	SIM_READ_KEYS,
	SIM_READ_RESERVATION,
	SIM_REPORT_CAPABILITIES,
	SIM_READ_FULL_STATUS,
	SIM_REGISTER,
	SIM_RESERVE,
	SIM_RELEASE,
	SIM_CLEAR,
	SIM_PREEMPT,
	SIM_PREEMPT_ABORT,
	SIM_REGISTER_IGNORE,
	SIM_TUR,
	SIM_READ,
	SIM_WRITE,		/* and everything else that changes the medium */
	SIM_SYNC,
	SIM_SCSI2,		/* RESERVE and RELEASE of SPC-2 */
	SIM_OTHER,
	SIM_CMD_COUNT,
	SIM_ANY_CMD = SIM_CMD_COUNT
};

/*
 * Departures from SPC-4, and optional parts that are missing. The L numbers
 * are the kernel target's (LIO); SIM_LIO is all of them.
 */
#define SIM_LIO_UNREGISTER	0x00001	/* L6: unregistering does not count as a generation */
#define SIM_LIO_ATTENTION	0x00002	/* L5: one report drops the whole list */
#define SIM_LIO_PR_IN		0x00004	/* L7: short lists, short allocation lengths */
#define SIM_LIO_STATUS		0x00008	/* L8: 02/08/00 instead of a conflict */
#define SIM_LIO_PREEMPT		0x00010	/* L9: type 0 refused, types 7 and 8 have a holder */
#define SIM_LIO_ABORT		0x00020	/* L10: who is aborted */
#define SIM_LIO_SYNC		0x00040	/* L13: SYNCHRONIZE CACHE always passes */
#define SIM_LIO			0x0007f
#define SIM_LIO_NO_PR_DIR	0x00080	/* L2: registers and answers 02/08/00 */
#define SIM_KEEPS_SENDER	0x00100	/* E12: PREEMPT never removes its sender */
#define SIM_SHARED		0x00200	/* E7: one registration per host */
#define SIM_NO_PR		0x00400	/* 05/20/00 */
#define SIM_NO_FULL_STATUS	0x00800	/* 05/24/00 */
#define SIM_NO_CAPABILITIES	0x01000	/* 05/24/00 */
#define SIM_NO_ABORT		0x02000	/* PREEMPT AND ABORT: 05/24/00 */
#define SIM_NO_APTPL		0x04000	/* APTPL=1: 05/26/00 */
#define SIM_STANDBY_REFUSES	0x08000	/* E39: PR commands too */
#define SIM_TUR_CONFLICTS	0x10000	/* E43: TUR under exclusive access */
#define SIM_NO_TAS		0x20000	/* E25: an aborted command just vanishes */

/* What becomes of commands that are sent on a path. */
enum sim_path {
	SIM_PATH_UP,
	SIM_PATH_DEAD,		/* never executed; the host sees a failure */
	SIM_PATH_NO_STATUS,	/* executed; the host sees a failure */
	SIM_PATH_IN_FLIGHT,	/* kept before the target until sim_deliver() */
	SIM_PATH_QUEUED		/* admitted by the target, executed by sim_deliver() */
};

enum sim_alua {
	SIM_ALUA_OPTIMIZED,
	SIM_ALUA_NON_OPTIMIZED,
	SIM_ALUA_STANDBY,
	SIM_ALUA_UNAVAILABLE,
	SIM_ALUA_TRANSITION,
	SIM_ALUA_OFFLINE
};

enum sim_protocol {
	SIM_FC = 0,
	SIM_ISCSI = 5,
	SIM_SAS = 6
};

struct sim_sense {
	u8 key;
	u8 asc;
	u8 ascq;
};

/* The end of one command. */
struct sim_reply {
	bool pending;		/* nothing yet; sim_deliver(@tag) has the rest */
	bool host_failed;	/* no status */
	u8 status;
	bool sense_valid;
	u8 key;
	u8 asc;
	u8 ascq;
	u8 tag;
	u8 sense[18];		/* fixed format, when @sense_valid */
	u32 in_len;		/* bytes of data-in */
};

/* A scripted answer to the next command on a nexus that fits. */
struct sim_answer {
	u8 cmd;			/* enum sim_cmd, SIM_ANY_CMD for all */
	bool execute;		/* do it nevertheless, then answer */
	bool host_failed;
	u8 status;
	struct sim_sense sense;	/* with status 0x02 */
};

/* An initiator port that reaches a target port. */
struct sim_nexus {
	u8 host;
	u8 path;
	u8 protocol;		/* enum sim_protocol */
	u8 path_state;		/* enum sim_path */
	u8 alua;		/* enum sim_alua */
	u8 attentions;
	u8 answers;
	u16 relative_port;
	u64 wwn;		/* FC, SAS */
	u64 isid;		/* iSCSI; changes at each login */
	char name[SIM_NAME_MAX];	/* iSCSI */
	struct sim_sense attention[SIM_MAX_UA];
	struct sim_answer answer[SIM_MAX_SCRIPT];
};

/* A registration; stale when its nexus has another ISID by now. */
struct sim_reg {
	bool used;
	u8 nexus;
	u64 isid;
	u64 key;
};

/* A command that was sent and has not ended. */
struct sim_queued {
	bool used;
	bool in_target;
	bool aborted;
	u8 nexus;
	u8 cdb_len;
	u8 out_len;
	u8 cdb[SIM_CDB_MAX];
	u8 out[SIM_OUT_MAX];
};

struct sim_lun {
	/* Set these after sim_init(). */
	u32 quirks;
	u16 types;		/* bit n: type n supported */
	u8 max_regs;		/* more: 05/55/04 */

	u8 nexuses;
	u8 type;		/* 0: no reservation */
	u8 holder;		/* index of a registration; nominal for types 7 and 8 */
	u8 scsi2_holder;	/* nexus or SIM_NOBODY */
	bool aptpl;
	u32 generation;
	u64 next_isid;
	struct sim_reg reg[SIM_MAX_REGS];
	struct sim_nexus nexus[SIM_MAX_NEXUS];
	struct sim_queued queue[SIM_MAX_QUEUE];

	/* Not part of the state as sim_hash() sees it. */
	u32 sent[SIM_MAX_NEXUS][SIM_CMD_COUNT];	/* handed to sim_execute() */
	u32 good[SIM_MAX_NEXUS][SIM_CMD_COUNT];	/* done by the target with GOOD */
};

/* Building */
void sim_init(struct sim_lun *s);
/* Returns the nexus; ports and names follow from host and path. */
unsigned int sim_add_nexus(struct sim_lun *s, enum sim_protocol protocol,
			   u8 host, u8 path);
/* The nexus of (host, path), or SIM_NOBODY. */
unsigned int sim_find_nexus(const struct sim_lun *s, u8 host, u8 path);

/* Commands */
void sim_execute(struct sim_lun *s, unsigned int nexus,
		 const u8 *cdb, size_t cdb_len, const u8 *out, size_t out_len,
		 u8 *in, size_t in_size, struct sim_reply *reply);
/* Ends a pending command: the target does it now, unless it was aborted. */
void sim_deliver(struct sim_lun *s, unsigned int tag,
		 u8 *in, size_t in_size, struct sim_reply *reply);
/* It never arrives. */
void sim_drop(struct sim_lun *s, unsigned int tag);
unsigned int sim_pending(const struct sim_lun *s, unsigned int nexus);
u8 sim_write(struct sim_lun *s, unsigned int nexus);	/* status, 0xff host failure */
u8 sim_read(struct sim_lun *s, unsigned int nexus);

/* Events */
void sim_path_state(struct sim_lun *s, unsigned int nexus, enum sim_path state);
void sim_alua_state(struct sim_lun *s, unsigned int nexus, enum sim_alua state);
void sim_script(struct sim_lun *s, unsigned int nexus, struct sim_answer answer);
void sim_attention(struct sim_lun *s, unsigned int nexus, u8 asc, u8 ascq);
void sim_nexus_loss(struct sim_lun *s, unsigned int nexus);	/* comes back as itself */
void sim_relogin(struct sim_lun *s, unsigned int nexus);	/* iSCSI: as another one */
void sim_power_loss(struct sim_lun *s);
void sim_lun_reset(struct sim_lun *s);
/* The target forgets a registration, as when an ACL is deleted (E14). */
void sim_forget_nexus(struct sim_lun *s, unsigned int nexus);

/* Looking inside, without commands and without side effects */
bool sim_allows(const struct sim_lun *s, unsigned int nexus, enum sim_cmd cmd);
bool sim_registered(const struct sim_lun *s, unsigned int nexus, u64 *key);
bool sim_holds(const struct sim_lun *s, unsigned int nexus);
unsigned int sim_registrations(const struct sim_lun *s, u64 key);	/* 0: all */
u64 sim_holder_key(const struct sim_lun *s);	/* 0: none, or types 7 and 8 */
u32 sim_sent(const struct sim_lun *s, enum sim_cmd cmd);	/* over all nexuses */
u32 sim_sent_out(const struct sim_lun *s);	/* PR OUT over all nexuses */
u64 sim_hash(const struct sim_lun *s);
const char *sim_cmd_name(enum sim_cmd cmd);

#endif
