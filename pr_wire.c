// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes of PERSISTENT RESERVE IN and OUT; see pr_wire.h.
 *
 * Everything that a target sent is untrusted: each decoder bounds itself by
 * the smaller of what arrived and what the data claims, and refuses data that
 * contradicts itself (rule 5.7).
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <string.h>
#endif

#include "pr_wire.h"

#define OPCODE_PR_IN		0x5e
#define OPCODE_PR_OUT		0x5f

#define LIST_HEADER_LEN		8	/* PRGENERATION, ADDITIONAL LENGTH */
#define KEY_LEN			8
#define RESERVATION_LEN		16	/* the one descriptor there can be */
#define FULL_STATUS_LEN		24	/* a descriptor without its TransportID */
#define CAPABILITIES_LEN	8

#define OUT_APTPL		0x01	/* byte 20 of the parameter list */

#define STATUS_CHECK_CONDITION	0x02
#define KEY_UNIT_ATTENTION	0x06

#define COUNT_OF(array)		(sizeof(array) / sizeof((array)[0]))

/* By hand: the header of the unaligned helpers moved between kernels. */
static u16 get_be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32 get_be32(const u8 *p)
{
	return (u32)get_be16(p) << 16 | get_be16(p + 2);
}

static u64 get_be64(const u8 *p)
{
	return (u64)get_be32(p) << 32 | get_be32(p + 4);
}

static void put_be16(u8 *p, u16 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

static void put_be32(u8 *p, u32 value)
{
	put_be16(p, (u16)(value >> 16));
	put_be16(p + 2, (u16)value);
}

static void put_be64(u8 *p, u64 value)
{
	put_be32(p, (u32)(value >> 32));
	put_be32(p + 4, (u32)value);
}

struct action_row {
	const char *name;
	bool out;
	u8 service_action;
	bool has_type;		/* the CDB carries scope and type */
};

static const struct action_row actions[PR_ACT_COUNT] = {
	[PR_ACT_READ_KEYS]	     = { "READ KEYS", false, 0x00, false },
	[PR_ACT_READ_RESERVATION]    = { "READ RESERVATION", false, 0x01, false },
	[PR_ACT_REPORT_CAPABILITIES] = { "REPORT CAPABILITIES", false, 0x02, false },
	[PR_ACT_READ_FULL_STATUS]    = { "READ FULL STATUS", false, 0x03, false },
	[PR_ACT_REGISTER]	     = { "REGISTER", true, 0x00, false },
	[PR_ACT_REGISTER_IGNORE]     = { "REGISTER AND IGNORE EXISTING KEY", true, 0x06, false },
	[PR_ACT_RESERVE]	     = { "RESERVE", true, 0x01, true },
	[PR_ACT_RELEASE]	     = { "RELEASE", true, 0x02, true },
	[PR_ACT_CLEAR]		     = { "CLEAR", true, 0x03, false },
	[PR_ACT_PREEMPT]	     = { "PREEMPT", true, 0x04, true },
	[PR_ACT_PREEMPT_ABORT]	     = { "PREEMPT AND ABORT", true, 0x05, true },
};

static const char * const class_names[PR_CLASS_COUNT] = {
	[PR_GOOD]	  = "good",
	[PR_CONFLICT]	  = "conflict",
	[PR_ATTENTION]	  = "attention",
	[PR_TRANSIENT]	  = "transient",
	[PR_NO_RESOURCES] = "no-resources",
	[PR_UNSUPPORTED]  = "unsupported",
	[PR_BAD_FIELD]	  = "bad-field",
	[PR_PATH_STATE]	  = "path-state",
	[PR_LOST]	  = "lost",
};

static const char * const type_names[] = {
	[PR_TYPE_WRITE_EXCLUSIVE]     = "write-exclusive",
	[PR_TYPE_EXCLUSIVE_ACCESS]    = "exclusive-access",
	[PR_TYPE_WRITE_EXCLUSIVE_RO]  = "write-exclusive-registrants-only",
	[PR_TYPE_EXCLUSIVE_ACCESS_RO] = "exclusive-access-registrants-only",
	[PR_TYPE_WRITE_EXCLUSIVE_AR]  = "write-exclusive-all-registrants",
	[PR_TYPE_EXCLUSIVE_ACCESS_AR] = "exclusive-access-all-registrants",
};

static bool action_known(enum pr_action action)
{
	return (unsigned int)action < PR_ACT_COUNT;
}

static bool all_registrants(u8 type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE_AR || type == PR_TYPE_EXCLUSIVE_ACCESS_AR;
}

/**
 * pr_action_name() - the name of a command in logs and traces
 * @action: the command
 *
 * Return: a constant string, never NULL.
 */
const char *pr_action_name(enum pr_action action)
{
	return action_known(action) ? actions[action].name : "UNKNOWN";
}

/**
 * pr_class_name() - the name of a command's outcome
 * @class: the outcome
 *
 * Return: a constant string, never NULL.
 */
const char *pr_class_name(enum pr_class class)
{
	return (unsigned int)class < PR_CLASS_COUNT ? class_names[class] : "unknown";
}

/**
 * pr_type_name() - the name of a reservation type
 * @type: type code as on the wire
 *
 * Return: a constant string, never NULL; "unknown" for an obsolete code.
 */
const char *pr_type_name(u8 type)
{
	const char *name = type < COUNT_OF(type_names) ? type_names[type] : NULL;

	return name ? name : "unknown";
}

/**
 * pr_action_is_out() - does this command change the target?
 * @action: the command
 *
 * Return: true for a service action of PERSISTENT RESERVE OUT.
 */
bool pr_action_is_out(enum pr_action action)
{
	return action_known(action) && actions[action].out;
}

/**
 * pr_encode_cdb() - fill a command descriptor block
 * @cdb: filled
 * @action: the command
 * @type: reservation type, for the commands that have one
 * @len: allocation length, cut to 16 bits, or parameter list length
 */
void pr_encode_cdb(u8 cdb[PR_CDB_LEN], enum pr_action action, u8 type, u32 len)
{
	const struct action_row *row;

	memset(cdb, 0, PR_CDB_LEN);
	if (!action_known(action))
		return;

	row = &actions[action];
	cdb[1] = row->service_action;
	if (!row->out) {
		cdb[0] = OPCODE_PR_IN;
		put_be16(cdb + 7, len > 0xffff ? 0xffff : (u16)len);
		return;
	}
	cdb[0] = OPCODE_PR_OUT;
	if (row->has_type)
		cdb[2] = type & 0x0f;	/* scope 0: the logical unit */
	put_be32(cdb + 5, len);
}

/**
 * pr_encode_out() - fill the basic parameter list
 * @list: filled
 * @key: RESERVATION KEY
 * @sa_key: SERVICE ACTION RESERVATION KEY
 * @aptpl: registrations shall survive a power loss of the target
 */
void pr_encode_out(u8 list[PR_OUT_LEN], u64 key, u64 sa_key, bool aptpl)
{
	memset(list, 0, PR_OUT_LEN);
	put_be64(list, key);
	put_be64(list + 8, sa_key);
	list[20] = aptpl ? OUT_APTPL : 0;
}

/**
 * pr_decode_reservation() - decode READ RESERVATION
 * @r: filled on success
 * @buf: data-in
 * @len: bytes that arrived
 *
 * Return: 0 or -EPROTO.
 */
int pr_decode_reservation(struct pr_resv *r, const u8 *buf, size_t len)
{
	u32 additional;
	u64 key;
	u8 type;

	if (len < LIST_HEADER_LEN)
		return -EPROTO;

	additional = get_be32(buf + 4);
	if (!additional) {
		*r = (struct pr_resv){ .generation = get_be32(buf) };
		return 0;
	}
	if (additional != RESERVATION_LEN || len < LIST_HEADER_LEN + RESERVATION_LEN)
		return -EPROTO;

	key = get_be64(buf + 8);
	type = buf[21] & 0x0f;
	if (buf[21] >> 4)	/* extents and elements left the standard long ago */
		return -EPROTO;
	if (all_registrants(type))
		key = 0;	/* nobody's key, even where a target shows one (E16) */
	else if (!key)
		return -EPROTO;	/* 0 cannot hold anything (E3) */

	*r = (struct pr_resv){
		.generation = get_be32(buf),
		.held = true,
		.key = key,
		.type = type,
	};
	return 0;
}

/**
 * pr_decode_keys() - check READ KEYS and make it countable
 * @k: filled on success; points into @buf
 * @buf: data-in
 * @len: bytes that arrived
 *
 * A list cut by the allocation length is no error: @k->complete is false then,
 * and nothing may be concluded from the absence of a key (E42).
 *
 * Return: 0 or -EPROTO.
 */
int pr_decode_keys(struct pr_key_list *k, const u8 *buf, size_t len)
{
	u32 additional;
	size_t body;

	if (len < LIST_HEADER_LEN)
		return -EPROTO;

	additional = get_be32(buf + 4);
	if (additional % KEY_LEN)
		return -EPROTO;

	body = len - LIST_HEADER_LEN;
	k->complete = additional <= body;
	if (k->complete)
		body = additional;
	k->generation = get_be32(buf);
	k->list = buf + LIST_HEADER_LEN;
	k->count = (u32)(body / KEY_LEN);
	k->needed = additional + LIST_HEADER_LEN;
	if (k->needed < additional)
		k->needed = ~(u32)0;
	return 0;
}

/**
 * pr_keys_at() - one key of a list
 * @k: decoded list
 * @index: from 0
 *
 * Return: the key, or 0 behind the end.
 */
u64 pr_keys_at(const struct pr_key_list *k, u32 index)
{
	return index < k->count ? get_be64(k->list + (size_t)index * KEY_LEN) : 0;
}

/**
 * pr_keys_count_of() - how many nexuses registered this key
 * @k: decoded list
 * @key: the key
 *
 * Return: the count, as far as the buffer tells.
 */
u32 pr_keys_count_of(const struct pr_key_list *k, u64 key)
{
	u32 count = 0;
	u32 i;

	for (i = 0; i < k->count; i++)
		count += pr_keys_at(k, i) == key;
	return count;
}

/**
 * pr_keys_next_foreign() - visit each foreign key once, in ascending order
 * @k: decoded list
 * @own: this host's key
 * @after: 0 at first, then the previous result
 *
 * Return: the next key or 0.
 */
u64 pr_keys_next_foreign(const struct pr_key_list *k, u64 own, u64 after)
{
	u64 best = 0;
	u32 i;

	for (i = 0; i < k->count; i++) {
		u64 key = pr_keys_at(k, i);

		if (key > after && key != own && (!best || key < best))
			best = key;
	}
	return best;
}

#define PROTOCOL_FC	0x0
#define PROTOCOL_ISCSI	0x5
#define PROTOCOL_SAS	0x6

/*
 * Where the name of an initiator port lies in TransportIDs of fixed length.
 * Any other protocol is compared as a whole.
 */
struct transport_row {
	u8 protocol;
	u8 id_len;
	u8 name_at;
	u8 name_len;
};

static const struct transport_row fixed_transports[] = {
	{ PROTOCOL_FC,	24, 8, 8 },
	{ PROTOCOL_SAS, 24, 4, 8 },
};

static void port_id_set(struct pr_port_id *port, const u8 *name, size_t len)
{
	/* A cut identity could equal somebody else's: better none. */
	if (len > PR_PORT_ID_LEN)
		len = 0;
	port->len = (u8)len;
	memcpy(port->id, name, len);
}

/*
 * The ISID changes at each login (E28), so it does not belong to the identity.
 * A comma cannot occur in an iSCSI name.
 */
static int decode_iscsi_port(struct pr_port_id *port, const u8 *id, size_t len)
{
	static const char separator[] = ",i,0x";
	const size_t separator_len = sizeof(separator) - 1;
	bool with_isid = id[0] >> 6 == 1;
	size_t room, used;
	const u8 *name;

	if (len < 4 || get_be16(id + 2) > len - 4 || id[0] >> 6 > 1)
		return -EPROTO;

	name = id + 4;
	room = get_be16(id + 2);
	for (used = 0; used < room && name[used]; used++) {
		if (with_isid && room - used >= separator_len &&
		    !memcmp(name + used, separator, separator_len))
			break;
	}
	if (!used)
		return -EPROTO;
	port_id_set(port, name, used);
	return 0;
}

static int decode_port(struct pr_port_id *port, const u8 *id, size_t len)
{
	size_t i;

	memset(port, 0, sizeof(*port));
	if (!len)
		return 0;

	port->protocol = id[0] & 0x0f;
	if (port->protocol == PROTOCOL_ISCSI)
		return decode_iscsi_port(port, id, len);

	for (i = 0; i < COUNT_OF(fixed_transports); i++) {
		const struct transport_row *row = &fixed_transports[i];

		if (row->protocol != port->protocol)
			continue;
		if (len < row->id_len)
			return -EPROTO;
		port_id_set(port, id + row->name_at, row->name_len);
		return 0;
	}
	port_id_set(port, id, len);
	return 0;
}

/**
 * pr_decode_full_status() - the next descriptor of READ FULL STATUS
 * @d: filled when 1 is returned
 * @buf: data-in
 * @len: bytes that arrived
 * @pos: place in @buf; 0 at first
 * @generation: set to PRgeneration; may be NULL
 * @complete: set to whether the target claims no more than what arrived; may
 *	be NULL. Some targets claim only what fitted (L7), so it takes a
 *	generous allocation length to believe it.
 *
 * Return: 1, 0 at the end (a descriptor cut by the allocation length is the
 * end), or -EPROTO.
 */
int pr_decode_full_status(struct pr_full_status *d, const u8 *buf, size_t len,
			  size_t *pos, u32 *generation, bool *complete)
{
	size_t end = len;
	size_t at, id_len;
	const u8 *raw;
	bool whole;
	int r;

	if (len < LIST_HEADER_LEN)
		return -EPROTO;

	whole = get_be32(buf + 4) <= len - LIST_HEADER_LEN;
	if (whole)
		end = LIST_HEADER_LEN + get_be32(buf + 4);
	if (generation)
		*generation = get_be32(buf);
	if (complete)
		*complete = whole;

	at = *pos < LIST_HEADER_LEN ? LIST_HEADER_LEN : *pos;
	if (at >= end)
		return 0;
	if (end - at < FULL_STATUS_LEN)
		return whole ? -EPROTO : 0;

	raw = buf + at;
	id_len = get_be32(raw + 20);
	if (id_len > end - at - FULL_STATUS_LEN)
		return whole ? -EPROTO : 0;

	r = decode_port(&d->port, raw + FULL_STATUS_LEN, id_len);
	if (r)
		return r;
	d->key = get_be64(raw);
	d->holder = raw[12] & 0x01;
	d->all_target_ports = raw[12] & 0x02;
	d->type = d->holder ? raw[13] & 0x0f : 0;
	d->relative_port = get_be16(raw + 18);
	*pos = at + FULL_STATUS_LEN + id_len;
	return 1;
}

/**
 * pr_decode_capabilities() - decode REPORT CAPABILITIES
 * @c: filled on success
 * @buf: data-in
 * @len: bytes that arrived
 *
 * Return: 0 or -EPROTO.
 */
int pr_decode_capabilities(struct pr_capabilities *c, const u8 *buf, size_t len)
{
	if (len < CAPABILITIES_LEN || get_be16(buf) < CAPABILITIES_LEN)
		return -EPROTO;

	*c = (struct pr_capabilities){
		.persist_capable = buf[2] & 0x01,
		.all_target_ports = buf[2] & 0x04,
		.specify_ports = buf[2] & 0x08,
		.persist_active = buf[3] & 0x01,
		.types_valid = buf[3] & 0x80,
	};
	/* In the mask bit n of byte 4 is type n, and bit 0 of byte 5 type 8. */
	if (c->types_valid)
		c->types = (u16)((buf[4] & 0xea) | (buf[5] & 0x01) << 8);
	return 0;
}

static u8 fold_case(u8 c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/**
 * pr_port_id_equal() - is it the same initiator port?
 * @a: one
 * @b: the other
 *
 * An empty identity equals nothing, not even another empty one.
 *
 * Return: true when both name the same port.
 */
bool pr_port_id_equal(const struct pr_port_id *a, const struct pr_port_id *b)
{
	u8 i;

	if (!a->len || a->len != b->len || a->len > PR_PORT_ID_LEN ||
	    a->protocol != b->protocol)
		return false;
	if (a->protocol != PROTOCOL_ISCSI)
		return !memcmp(a->id, b->id, a->len);

	/* iSCSI names differ in case only where somebody did not normalise. */
	for (i = 0; i < a->len; i++)
		if (fold_case(a->id[i]) != fold_case(b->id[i]))
			return false;
	return true;
}

struct status_row {
	u8 status;
	u8 out;			/* enum pr_class for PERSISTENT RESERVE OUT */
	u8 in;
};

/* What is not listed is PR_LOST; CHECK CONDITION has the table below. */
static const struct status_row status_rows[] = {
	{ 0x00, PR_GOOD,      PR_GOOD },
	{ 0x08, PR_TRANSIENT, PR_TRANSIENT },	/* BUSY */
	{ 0x18, PR_CONFLICT,  PR_CONFLICT },
	{ 0x28, PR_TRANSIENT, PR_TRANSIENT },	/* TASK SET FULL */
	{ 0x40, PR_LOST,      PR_TRANSIENT },	/* TASK ABORTED */
};

#define ANY	-1

struct sense_row {
	u8 key;
	short asc;
	short ascq;
	u8 out;
	u8 in;
};

/* The first match counts; what is not listed is PR_LOST. */
static const struct sense_row sense_rows[] = {
	{ 0x1, ANY,  ANY,  PR_LOST,	    PR_GOOD },	/* recovered: the data is good */
	{ 0x2, 0x04, 0x01, PR_TRANSIENT,    PR_TRANSIENT },	/* becoming ready */
	{ 0x2, 0x04, 0x04, PR_TRANSIENT,    PR_TRANSIENT },	/* format */
	{ 0x2, 0x04, 0x05, PR_TRANSIENT,    PR_TRANSIENT },	/* rebuild */
	{ 0x2, 0x04, 0x06, PR_TRANSIENT,    PR_TRANSIENT },	/* recalculation */
	{ 0x2, 0x04, 0x07, PR_TRANSIENT,    PR_TRANSIENT },	/* operation */
	{ 0x2, 0x04, 0x08, PR_TRANSIENT,    PR_TRANSIENT },	/* long write */
	{ 0x2, 0x04, 0x09, PR_TRANSIENT,    PR_TRANSIENT },	/* self-test */
	{ 0x2, 0x04, 0x0a, PR_TRANSIENT,    PR_TRANSIENT },	/* ALUA transition */
	{ 0x2, 0x04, 0x14, PR_TRANSIENT,    PR_TRANSIENT },	/* space allocation */
	{ 0x2, 0x04, 0x1a, PR_TRANSIENT,    PR_TRANSIENT },	/* start or stop */
	{ 0x2, 0x04, 0x1b, PR_TRANSIENT,    PR_TRANSIENT },	/* sanitize */
	{ 0x2, 0x04, 0x1d, PR_TRANSIENT,    PR_TRANSIENT },	/* configuration */
	{ 0x2, 0x04, 0x0b, PR_PATH_STATE,   PR_PATH_STATE },	/* ALUA standby */
	{ 0x2, 0x04, 0x0c, PR_PATH_STATE,   PR_PATH_STATE },	/* ALUA unavailable */
	{ 0x2, 0x04, 0x12, PR_PATH_STATE,   PR_PATH_STATE },	/* ALUA offline */
	{ 0x5, 0x55, 0x04, PR_NO_RESOURCES, PR_NO_RESOURCES },
	{ 0x5, 0x20, 0x00, PR_UNSUPPORTED,  PR_UNSUPPORTED },
	{ 0x5, ANY,  ANY,  PR_BAD_FIELD,    PR_BAD_FIELD },
	{ 0x6, ANY,  ANY,  PR_ATTENTION,    PR_ATTENTION },
	{ 0xb, ANY,  ANY,  PR_LOST,	    PR_TRANSIENT },	/* aborted command */
};

static bool sense_matches(const struct sense_row *row, const struct pr_result *result)
{
	return row->key == result->key &&
	       (row->asc == ANY || row->asc == result->asc) &&
	       (row->ascq == ANY || row->ascq == result->ascq);
}

/**
 * pr_classify() - what the end of a command means
 * @result: what the transport reports
 * @action: the command
 *
 * Only an outcome that proves "not executed" may be something else than
 * PR_LOST for a command that changes the target; 02/08/00 does not (L8).
 *
 * Return: the class.
 */
enum pr_class pr_classify(const struct pr_result *result, enum pr_action action)
{
	bool out = pr_action_is_out(action);
	size_t i;

	if (result->host_failed)
		return PR_LOST;

	if (result->status != STATUS_CHECK_CONDITION) {
		for (i = 0; i < COUNT_OF(status_rows); i++)
			if (status_rows[i].status == result->status)
				return out ? status_rows[i].out : status_rows[i].in;
		return PR_LOST;
	}

	if (!result->sense_valid)
		return PR_LOST;
	/* Of this command it says nothing. */
	if (result->deferred)
		return out ? PR_LOST : PR_TRANSIENT;
	for (i = 0; i < COUNT_OF(sense_rows); i++)
		if (sense_matches(&sense_rows[i], result))
			return out ? sense_rows[i].out : sense_rows[i].in;
	return PR_LOST;
}

/**
 * pr_attention_resets() - must registrations be proven again?
 * @result: what the transport reports
 *
 * Return: true for a unit attention about a reset or nexus loss (29/xx), about
 * reservations or other parameters (2A/xx), or about commands cleared by
 * another initiator (2F/xx), as PREEMPT AND ABORT does.
 */
bool pr_attention_resets(const struct pr_result *result)
{
	if (result->host_failed || result->status != STATUS_CHECK_CONDITION ||
	    !result->sense_valid || result->deferred || result->key != KEY_UNIT_ATTENTION)
		return false;
	return result->asc == 0x29 || result->asc == 0x2a || result->asc == 0x2f;
}

struct retry_row {
	u8 limit;		/* attempts that may be repeated */
	short first;		/* ms */
	short longest;
};

/* Not listed: never sent again; reading the state back comes instead (E9). */
static const struct retry_row retry_rows[PR_CLASS_COUNT] = {
	[PR_ATTENTION] = { 64, 0, 0 },	/* every initiator's reset leaves one */
	[PR_TRANSIENT] = { 40, 100, 1000 },
};

/**
 * pr_retry_delay() - may this command be sent again?
 * @class: how its last attempt ended
 * @attempt: how many attempts there were, from 1
 *
 * Return: ms to wait before the next attempt, or -1 to give up.
 */
int pr_retry_delay(enum pr_class class, unsigned int attempt)
{
	const struct retry_row *row;
	int delay;

	if ((unsigned int)class >= PR_CLASS_COUNT)
		return -1;
	row = &retry_rows[class];
	if (attempt > row->limit || !row->limit)
		return -1;

	for (delay = row->first; attempt > 1 && delay < row->longest; attempt--)
		delay *= 2;
	return delay < row->longest ? delay : row->longest;
}
