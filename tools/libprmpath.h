/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libprmpath: open dm-prmpath devices with open options, read their status
 * and reservation, and wait for changes. Not thread-safe where libdevmapper
 * is not: prm_status_get(), prm_answers_get(), prm_reservation_get(),
 * prm_message() and prm_names(). Everything else may be called from any thread.
 */
#ifndef LIBPRMPATH_H
#define LIBPRMPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <prmpath.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct prm_error - why a call failed
 * @code: an errno value
 * @text: one line without a newline: what was wrong, what was expected
 */
struct prm_error {
	int code;
	char text[240];
};

/* A buffer that holds every text of prm_options_format(). */
#define PRM_OPTIONS_LEN	64

/* What the host knows about the reservation of a LUN. */
enum prm_state {
	PRM_STATE_OTHER,	/* a word this library does not know */
	PRM_STATE_OFF,
	PRM_STATE_FREE,
	PRM_STATE_FOREIGN,
	PRM_STATE_OWNER,
	PRM_STATE_NO_RESERVE,
	PRM_STATE_RETAINED,
	PRM_STATE_RELEASING,
	PRM_STATE_FENCED,
	PRM_STATE_UNKNOWN,
};

enum prm_holder {
	PRM_HOLDER_NONE,
	PRM_HOLDER_OWN,		/* this host; holder_path when known */
	PRM_HOLDER_FOREIGN,	/* another host; holder_key */
};

/* One "name=value" of the status line; value is "" for a word without '='. */
struct prm_word {
	char *name;
	char *value;
};

/**
 * struct prm_path - a path of the status line
 * @dev: "major:minor"
 * @group: its group, counted from 1
 * @group_state: 'A' active, 'E' enabled, 'D' disabled
 * @active: false for a failed path
 * @fails: the path's failures so far
 * @registration: registered, unregistered, pending, refused or off; "" if the
 *	line does not say
 */
struct prm_path {
	char *dev;
	uint32_t group;
	char group_state;
	bool active;
	uint32_t fails;
	char *registration;
	char *answer;		/* these two by prm_answers_get(), else NULL */
	char *sense;		/* key/asc/ascq, hexadecimal */
};

/**
 * struct prm_status - the status line of one device, decoded
 *
 * Allocated by the library only: later versions append members. A member
 * whose word the line lacks is zero; prm_status_word() tells.
 */
struct prm_status {
	char *name;		/* NULL after prm_status_parse() */
	char *uuid;
	uint32_t major;
	uint32_t minor;
	bool suspended;

	uint32_t queued;	/* bios parked in the target */
	uint32_t group_inits;	/* hardware handler activations in flight */
	struct prm_word *word;	/* every name=value, in order */
	size_t words;

	uint32_t pr;		/* 0: a plain multipath target */
	enum prm_state state;
	uint64_t key;
	uint32_t type;
	enum prm_holder holder;
	char *holder_path;	/* NULL unless known */
	uint64_t holder_key;
	uint32_t generation;
	uint32_t opens;
	uint32_t options;	/* of the session; PRM_OPEN_* bits */
	uint32_t open;		/* defaults for writable opens ... */
	uint32_t open_ro;	/* ... and for read-only ones */
	bool gate_open;
	uint32_t keys_own;
	uint32_t keys_foreign;
	bool stale_cache;

	char **hw;		/* hardware handler words */
	size_t hws;
	uint32_t groups;
	uint32_t current_group;	/* counted from 1; 0: none yet */
	struct prm_path *path;
	size_t paths;

	uint32_t event_nr;	/* device-mapper's count of events */
	bool multipath;		/* the target goes by the name multipath */
};

/* Who has a LUN, as seen from this host. */
enum prm_owner {
	PRM_OWNER_NOBODY,
	PRM_OWNER_US,
	PRM_OWNER_OTHER,
};

/**
 * struct prm_reservation - what the storage says, asked just now
 * @generation: PRgeneration
 * @held: there is a reservation
 * @type: SPC's number of its type; 0 if not held or not known here
 * @type_name: as the module calls it; NULL if not held
 * @holder: the holder's key; 0 with the types of all registrants
 * @own: registrations with this host's key
 * @foreign: registrations with other keys
 * @key: every registration's key, a host's as often as it has paths
 * @keys: their number
 * @owner: who has the LUN
 *
 * Allocated by the library only: later versions append members.
 */
struct prm_reservation {
	uint32_t generation;
	bool held;
	uint32_t type;
	char *type_name;
	uint64_t holder;
	uint32_t own;
	uint32_t foreign;
	uint64_t *key;
	size_t keys;
	enum prm_owner owner;
};

/**
 * prm_open() - open a prmpath device with open options
 * @path: the device node
 * @flags: as for open(2); O_CREAT, O_PATH and O_TMPFILE are refused
 * @ext: PRM_OPEN_* bits, 0 for the default open
 *
 * The open ends with close(2) of the returned descriptor and of its copies:
 * pass O_CLOEXEC unless a child is meant to keep it. May block for as long
 * as the device's pr_timeout.
 *
 * Return: a descriptor, or -1 with errno set and nothing left open. errno is
 * the kernel's, with one exception: ENODEV when the module's control node
 * does not exist. prm_strerror() says what each one means here.
 */
int prm_open(const char *path, int flags, uint32_t ext);

/* What an errno of prm_open() or prm_status_get() means, and what to do. */
const char *prm_strerror(int err);

/**
 * prm_module_version() - ask the loaded module what it speaks
 * @version: filled in
 *
 * Return: 0, or -1 with errno set; ENODEV when the module is not loaded.
 */
int prm_module_version(struct prm_ioc_version *version);

/**
 * prm_options_scan() - read open options from text
 * @text: "default", or some of forced, retain, no_reserve, single and bypass,
 *	separated by commas; bypass stands alone
 * @options: PRM_OPEN_* bits
 * @err: filled in on failure; may be NULL
 *
 * Return: 0, or -1 with errno EINVAL.
 */
int prm_options_scan(const char *text, uint32_t *options,
		     struct prm_error *err);

/**
 * prm_options_format() - print open options
 * @options: PRM_OPEN_* bits; unknown ones are printed as one hex number
 * @buf: where to
 * @size: PRM_OPTIONS_LEN suffices
 *
 * Return: @buf.
 */
char *prm_options_format(uint32_t options, char *buf, size_t size);

/**
 * prm_status_parse() - decode the status line of a prmpath target
 * @line: the line after "<start> <length> prmpath "
 * @err: filled in on failure; may be NULL
 *
 * name=value words that the library does not know are kept, not refused.
 *
 * Return: to be freed by prm_status_free(), or NULL with errno EBADMSG (not
 * such a line) or ENOMEM.
 */
struct prm_status *prm_status_parse(const char *line, struct prm_error *err);

/**
 * prm_status_get() - read the status of one device from device-mapper
 * @dev: a device-mapper name, or the path of a device node
 * @err: filled in on failure; may be NULL
 *
 * Sends nothing to the LUN.
 *
 * Return: to be freed by prm_status_free(), or NULL with errno set: ENXIO no
 * such device, ENOTTY not a prmpath device, EBADMSG a line that cannot be
 * understood, or what the kernel said.
 */
struct prm_status *prm_status_get(const char *dev, struct prm_error *err);
void prm_status_free(struct prm_status *st);

/**
 * prm_answers_get() - ask how the module's last command on each path ended
 * @st: from prm_status_get(); its paths' answer and sense are filled in
 * @err: filled in on failure; may be NULL
 *
 * Sends nothing to the LUN. Commands are the module's own: I/O is not among
 * them.
 *
 * Return: 0, or -1 with errno set.
 */
int prm_answers_get(struct prm_status *st, struct prm_error *err);

/* The value of a name=value word of the status line, or NULL. */
const char *prm_status_word(const struct prm_status *st, const char *name);

/**
 * prm_names() - the names of all prmpath devices
 * @err: filled in on failure; may be NULL
 *
 * Return: a list that ends with NULL, to be freed by prm_names_free(), or
 * NULL with errno set.
 */
char **prm_names(struct prm_error *err);
void prm_names_free(char **names);

/**
 * prm_message() - send a message to a prmpath target
 * @dev: a device-mapper name, or the path of a device node
 * @message: its words, with blanks between them
 * @answer: for the text that comes back, to be freed; may be NULL
 * @err: filled in on failure; may be NULL
 *
 * Devices of other targets get nothing. May block for as long as the device's
 * pr_timeout.
 *
 * Return: 0, or -1 with errno set, as prm_status_get(), or what the module said.
 */
int prm_message(const char *dev, const char *message, char **answer,
		struct prm_error *err);

/**
 * prm_reservation_parse() - decode the answer to the message pr_status
 * @text: the answer
 * @err: filled in on failure; may be NULL
 *
 * @owner is left at PRM_OWNER_NOBODY: the text does not say whose key is ours.
 *
 * Return: to be freed by prm_reservation_free(), or NULL with errno EBADMSG or
 * ENOMEM.
 */
struct prm_reservation *prm_reservation_parse(const char *text,
					      struct prm_error *err);

/**
 * prm_reservation_get() - ask the storage who has the LUN
 * @dev: a device-mapper name, or the path of a device node
 * @err: filled in on failure; may be NULL
 *
 * Reads keys and reservation; changes nothing.
 *
 * Return: to be freed by prm_reservation_free(), or NULL with errno set, as
 * prm_message(); EOPNOTSUPP if the table has no pr_key.
 */
struct prm_reservation *prm_reservation_get(const char *dev,
					    struct prm_error *err);
void prm_reservation_free(struct prm_reservation *r);

/**
 * prm_events_open() - a descriptor that tells of changes
 *
 * poll(2) finds it readable once any device-mapper device was created, removed,
 * or had an event since the last prm_events_arm(). So: arm, read what is of
 * interest, poll, and again.
 *
 * Return: a descriptor, to be closed by close(2), or -1 with errno set.
 */
int prm_events_open(void);

/* Count changes from now on. Return: 0, or -1 with errno set. */
int prm_events_arm(int fd);

#ifdef __cplusplus
}
#endif

#endif
