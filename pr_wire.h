/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytes of PERSISTENT RESERVE IN and OUT (SPC-4 clauses 6.15 and 6.16):
 * encoding, checked decoding, and what a status and sense mean to us.
 * Pure C: no allocation, no lock, no clock; the same file is compiled into
 * the module and into the user-space tests.
 */
#ifndef PR_WIRE_H
#define PR_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

/* Reservation types (SPC-4 table 223). */
enum pr_resv_type {
	PR_TYPE_WRITE_EXCLUSIVE = 1,
	PR_TYPE_EXCLUSIVE_ACCESS = 3,
	PR_TYPE_WRITE_EXCLUSIVE_RO = 5,	/* registrants only */
	PR_TYPE_EXCLUSIVE_ACCESS_RO = 6,
	PR_TYPE_WRITE_EXCLUSIVE_AR = 7,	/* all registrants */
	PR_TYPE_EXCLUSIVE_ACCESS_AR = 8,
};

/* Every command that we send; one name for decisions, logs and traces. */
enum pr_action {
	PR_ACT_READ_KEYS,
	PR_ACT_READ_RESERVATION,
	PR_ACT_REPORT_CAPABILITIES,
	PR_ACT_READ_FULL_STATUS,
	PR_ACT_REGISTER,
	PR_ACT_REGISTER_IGNORE,
	PR_ACT_RESERVE,
	PR_ACT_RELEASE,
	PR_ACT_CLEAR,
	PR_ACT_PREEMPT,
	PR_ACT_PREEMPT_ABORT,
	PR_ACT_COUNT
};

#define PR_CDB_LEN		10
#define PR_OUT_LEN		24	/* the basic parameter list */
#define PR_IN_LEN_MIN		1024	/* first try for a list (E42) */
#define PR_IN_LEN_MAX		65528	/* 64 KiB - 8 */

/* How a command ended, as far as the decisions care. */
enum pr_class {
	PR_GOOD,
	PR_CONFLICT,		/* RESERVATION CONFLICT status */
	PR_ATTENTION,		/* unit attention: not executed, send it again */
	PR_TRANSIENT,		/* busy, becoming ready, ALUA transition: not executed */
	PR_NO_RESOURCES,	/* 05/55/04 */
	PR_UNSUPPORTED,		/* 05/20/00: the target has no PR */
	PR_BAD_FIELD,		/* other ILLEGAL REQUEST */
	PR_PATH_STATE,		/* ALUA standby/unavailable/offline: not executed on this path */
	PR_LOST,		/* executed or not: nobody knows (E9, L2, L8) */
	PR_CLASS_COUNT
};

/**
 * struct pr_result - what the transport reports of one command
 * @host_failed: the midlayer or transport gave no SCSI status
 * @status: SAM status byte (0x00 GOOD, 0x02 CHECK CONDITION, ...)
 * @sense_valid: @key, @asc and @ascq hold a sense
 * @key: sense key
 * @asc: additional sense code
 * @ascq: additional sense code qualifier
 * @deferred: the sense is about an earlier command (SPC-4 4.5.3)
 */
struct pr_result {
	bool host_failed;
	u8 status;
	bool sense_valid;
	u8 key;
	u8 asc;
	u8 ascq;
	bool deferred;
};

/**
 * struct pr_resv - a decoded READ RESERVATION
 * @generation: PRgeneration
 * @held: there is a reservation
 * @key: its key; 0 with types 7 and 8
 * @type: enum pr_resv_type, raw
 */
struct pr_resv {
	u32 generation;
	bool held;
	u64 key;
	u8 type;
};

/**
 * struct pr_key_list - a checked view of READ KEYS; points into the buffer
 * @generation: PRgeneration
 * @list: first key
 * @count: whole keys in the buffer
 * @complete: the buffer holds every key that the target has (E42)
 * @needed: bytes that the target has in all, header included
 */
struct pr_key_list {
	u32 generation;
	const u8 *list;
	u32 count;
	bool complete;
	u32 needed;
};

#define PR_PORT_ID_LEN	224

/**
 * struct pr_port_id - an initiator port without what changes at relogin
 * @protocol: SPC protocol identifier (0 FC, 5 iSCSI, 6 SAS)
 * @len: bytes used in @id
 * @id: FC N_Port_Name, SAS address, or iSCSI name without ",i,0x<ISID>"
 */
struct pr_port_id {
	u8 protocol;
	u8 len;
	u8 id[PR_PORT_ID_LEN];
};

/**
 * struct pr_full_status - one descriptor of READ FULL STATUS
 * @key: reservation key
 * @holder: R_HOLDER
 * @all_target_ports: ALL_TG_PT
 * @type: type, when @holder
 * @relative_port: relative target port identifier
 * @port: the initiator port
 */
struct pr_full_status {
	u64 key;
	bool holder;
	bool all_target_ports;
	u8 type;
	u16 relative_port;
	struct pr_port_id port;
};

/**
 * struct pr_capabilities - a decoded REPORT CAPABILITIES
 */
struct pr_capabilities {
	bool persist_capable;	/* PTPL_C */
	bool persist_active;	/* PTPL_A */
	bool all_target_ports;	/* ATP_C */
	bool specify_ports;	/* SIP_C */
	bool types_valid;	/* TMV */
	u16 types;		/* bit n set: type n supported (decoded, not the raw mask) */
};

const char *pr_action_name(enum pr_action action);	/* "READ KEYS", "PREEMPT AND ABORT" */
const char *pr_class_name(enum pr_class class);		/* "good", "conflict", ... */
const char *pr_type_name(u8 type);			/* "write-exclusive-registrants-only" */
bool pr_action_is_out(enum pr_action action);

/* Fill @cdb; @len is the allocation or parameter list length. */
void pr_encode_cdb(u8 cdb[PR_CDB_LEN], enum pr_action action, u8 type, u32 len);
/* Fill the parameter list of a PR OUT command. */
void pr_encode_out(u8 list[PR_OUT_LEN], u64 key, u64 sa_key, bool aptpl);

/* Decoders: 0, or -EPROTO when @len cannot hold what it claims to (5.7). */
int pr_decode_reservation(struct pr_resv *r, const u8 *buf, size_t len);
int pr_decode_keys(struct pr_key_list *k, const u8 *buf, size_t len);
u64 pr_keys_at(const struct pr_key_list *k, u32 index);
u32 pr_keys_count_of(const struct pr_key_list *k, u64 key);
/*
 * The smallest key above @after that is neither @own nor 0; 0 when there is
 * none. Starting with 0 and feeding back the result visits each foreign key
 * once, without memory of its own.
 */
u64 pr_keys_next_foreign(const struct pr_key_list *k, u64 own, u64 after);

/*
 * Walk READ FULL STATUS: *pos starts at 0; returns 1 and fills @d, 0 at the
 * end, -EPROTO on a malformed descriptor. @complete (may be NULL) as in
 * struct pr_key_list.
 */
int pr_decode_full_status(struct pr_full_status *d, const u8 *buf, size_t len,
			  size_t *pos, u32 *generation, bool *complete);
int pr_decode_capabilities(struct pr_capabilities *c, const u8 *buf, size_t len);
bool pr_port_id_equal(const struct pr_port_id *a, const struct pr_port_id *b);

/* Sense and status to class; @action decides what a lost status means. */
enum pr_class pr_classify(const struct pr_result *result, enum pr_action action);
/* A unit attention after which registrations must be proven again (E38). */
bool pr_attention_resets(const struct pr_result *result);
/*
 * Whether to send a command again: the delay in ms (0 = at once), or -1 to
 * give up. @attempt counts from 1. Rule 5.6, E38-E40.
 */
int pr_retry_delay(enum pr_class class, unsigned int attempt);

#endif
