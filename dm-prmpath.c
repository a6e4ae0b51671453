// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-prmpath: a multipath target that owns the paths to a LUN and the
 * persistent reservation on it. This file is the device-mapper side: the module,
 * tables and messages.
 */
#include <linux/device-mapper.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <scsi/scsi_dh.h>

#include "activation.h"
#include "bdev_hook.h"
#include "compat.h"
#include "control.h"
#include "lun.h"
#include "path_select.h"
#include "scsi_cmd.h"
#include "table.h"
#include "target.h"
#include "uapi/prmpath.h"

#define DM_MSG_PREFIX "prmpath"

#define PRM_RELEASE		"0.1.0"
#define CLEAR_WORD		"destroy-all-registrations"

static bool multipath;
module_param(multipath, bool, 0444);
MODULE_PARM_DESC(multipath, "also be the target \"multipath\", for multipathd");

static char *features;
module_param(features, charp, 0444);
MODULE_PARM_DESC(features,
		 "features of \"multipath\" tables that say nothing else, for instance \"pr_key 0xabc1\"");

/* What @features says. */
static struct prm_features default_features;

static struct target_type prmpath_target;
static struct target_type multipath_target;

static void client_changed(struct lun_client *client)
{
	struct target *t = container_of(client, struct target, client);

	if (lun_gate(t->lun))
		WRITE_ONCE(t->refusal_told, false);
	route_kick(t);
}

static void client_event(struct lun_client *client)
{
	dm_table_event(container_of(client, struct target, client)->ti->table);
}

/*
 * Tables
 */

static char *join_words(unsigned int argc, char **argv)
{
	size_t len = 1;
	unsigned int i;
	char *words;

	for (i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	words = kzalloc(len, GFP_KERNEL);
	for (i = 0; words && i < argc; i++) {
		if (i)
			strlcat(words, " ", len);
		strlcat(words, argv[i], len);
	}
	return words;
}

static void free_target(struct target *t)
{
	u32 i;

	route_free(t);
	for (i = 0; t->path && i < t->paths; i++) {
		if (t->path[i].lun_path)
			lun_path_put(t->lun, t->path[i].lun_path);
		if (t->path[i].dev)
			dm_put_device(t->ti, t->path[i].dev);
		kfree(t->path[i].slot.cpus);
	}
	activation_destroy(t->activation);
	kfree(t->path);
	kfree(t->group);
	kfree(t->feature_words);
	kfree(t->handler);
	kfree(t->handler_words);
	kfree(t);
}

static int copy_groups(struct target *t, const struct prm_table *table)
{
	u32 i;

	t->group = kcalloc(table->groups, sizeof(*t->group), GFP_KERNEL);
	t->path = kcalloc(table->paths, sizeof(*t->path), GFP_KERNEL);
	if (!t->group || !t->path)
		return -ENOMEM;
	t->groups = table->groups;
	t->paths = table->paths;
	for (i = 0; i < t->groups; i++) {
		t->group[i].selector = table->group[i].selector;
		t->group[i].args = table->group[i].args;
		t->group[i].words = table->group[i].words;
		t->group[i].path_words = table->group[i].path_words;
		t->group[i].first = table->group[i].first_path;
		t->group[i].paths = table->group[i].paths;
	}
	for (i = 0; i < t->paths; i++) {
		struct target_path *path = &t->path[i];

		path->slot = table->path[i].slot;
		path->group = table->path[i].group;
		if (!path->slot.cpus)
			continue;
		path->slot.cpus = kstrdup(path->slot.cpus, GFP_KERNEL);
		if (!path->slot.cpus) {
			/* The other masks are still the table line's. */
			t->paths = i;
			return -ENOMEM;
		}
	}
	return 0;
}

static int copy_words(struct target *t, const struct prm_table *table)
{
	t->feature_words = join_words(table->feature_argc, table->feature_argv);
	if (!t->feature_words)
		return -ENOMEM;
	if (!table->hw_handler)
		return 0;
	t->handler = kstrdup(table->hw_handler, GFP_KERNEL);
	t->handler_words = join_words(table->hw_argc, table->hw_argv);
	return t->handler && t->handler_words ? 0 : -ENOMEM;
}

static struct target *alloc_target(struct dm_target *ti, const struct prm_table *table)
{
	struct target *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return NULL;
	t->ti = ti;
	t->features = table->features;
	t->queue_if_no_path = table->features.flags & PRM_F_QUEUE_IF_NO_PATH;
	t->client.changed = client_changed;
	t->client.event = client_event;
	t->wanted_group = (int)table->initial_group - 1;
	t->group_now = -1;
	t->group_told = -1;
	if (copy_groups(t, table) || copy_words(t, table) || route_alloc(t)) {
		free_target(t);
		return NULL;
	}
	return t;
}

/*
 * The form that scsi_dh_set_params() takes: the number of words, then the words, each
 * with a NUL behind it.
 */
static int set_handler_params(struct request_queue *q, const struct prm_table *table)
{
	char *params, *p;
	unsigned int i;
	size_t len = 12;
	int r;

	for (i = 0; i < table->hw_argc; i++)
		len += strlen(table->hw_argv[i]) + 1;
	params = kzalloc(len, GFP_KERNEL);
	if (!params)
		return -ENOMEM;
	p = params + sprintf(params, "%u", table->hw_argc) + 1;
	for (i = 0; i < table->hw_argc; i++)
		p += sprintf(p, "%s", table->hw_argv[i]) + 1;
	/* A handler that tries them out at once may answer with a SCSI_DH_ number. */
	r = min(scsi_dh_set_params(q, params), 0);
	kfree(params);
	return r;
}

/* The handler that a path has already takes the place of the table's, words and all. */
static int keep_handler(struct target *t, struct target_path *path, const char *attached)
{
	char *handler;

	if (!attached || (t->handler && !strcmp(t->handler, attached)))
		return 0;
	handler = kstrdup(attached, GFP_KERNEL);
	if (!handler)
		return -ENOMEM;
	if (t->handler)
		DMINFO("path %s keeps its hardware handler %s instead of %s",
		       path->lun_path->name, attached, t->handler);
	kfree(t->handler);
	kfree(t->handler_words);
	t->handler = handler;
	t->handler_words = NULL;
	return 0;
}

static int attach_handler(struct target *t, struct target_path *path,
			  const struct prm_table *table, char error[PRM_ERROR_LEN])
{
	struct request_queue *q = bdev_get_queue(path->dev->bdev);
	const char *attached = scsi_dh_attached_handler_name(q, GFP_KERNEL);
	int r = 0;

	if (t->features.flags & PRM_F_RETAIN_HANDLER)
		r = keep_handler(t, path, attached);
	if (!r && t->handler) {
		r = scsi_dh_attach(q, t->handler);
		if (r == -EBUSY)
			r = keep_handler(t, path, attached);
	}
	if (!r && t->handler_words && *t->handler_words)
		r = set_handler_params(q, table);
	if (r)
		scnprintf(error, PRM_ERROR_LEN,
			  "path %s: hardware handler '%.40s' cannot be attached (%d), its words: '%.60s'",
			  path->lun_path->name, t->handler ? t->handler : attached, r,
			  t->handler_words ? t->handler_words : "");
	kfree(attached);
	return r;
}

static int add_path(struct target *t, u32 i, const struct prm_table *table,
		    char error[PRM_ERROR_LEN])
{
	const char *name = table->path[i].name;
	struct target_path *path = &t->path[i];
	struct lun_path *lun_path;
	u32 j;
	int r;

	r = dm_get_device(t->ti, name, dm_table_get_mode(t->ti->table), &path->dev);
	if (r) {
		scnprintf(error, PRM_ERROR_LEN, "path %s cannot be opened (%d)", name, r);
		return r;
	}
	lun_path = lun_path_get(t->lun, path->dev->bdev, t->features.key, error);
	if (IS_ERR(lun_path))
		return PTR_ERR(lun_path);
	path->lun_path = lun_path;
	for (j = 0; j < i; j++)
		if (t->path[j].lun_path == lun_path) {
			scnprintf(error, PRM_ERROR_LEN, "path %s is in the table twice", name);
			return -EINVAL;
		}
	return attach_handler(t, path, table, error);
}

static void handler_ready(void *owner, u32 group)
{
	route_group_works(owner, group);
}

static void handler_again(void *owner)
{
	route_kick(owner);
}

static void handler_failed(void *owner, u32 path)
{
	struct target *t = owner;

	lun_path_fail(t->lun, t->path[path].lun_path, "its hardware handler cannot activate it");
	route_kick(t);
}

static void handler_busy(void *owner, u32 group)
{
	struct target *t = owner;

	/* It goes on saying so as long as no other group can be used. */
	if (READ_ONCE(t->group[group].bypassed)) {
		route_kick(t);
		return;
	}
	DMWARN("%s: group %u is busy, says its hardware handler", lun_name(t->lun), group + 1);
	route_bypass_group(t, group, true);
}

static const struct activation_ops activation_ops = {
	.ready = handler_ready,
	.again = handler_again,
	.failed = handler_failed,
	.busy = handler_busy,
};

static int add_paths(struct target *t, const struct prm_table *table,
		     char error[PRM_ERROR_LEN])
{
	u32 i;
	int r;

	for (i = 0; i < t->paths; i++) {
		r = add_path(t, i, table, error);
		if (r)
			return r;
	}
	if (!t->handler)
		return 0;
	t->activation = activation_create(&activation_ops, t, t->paths,
					  t->features.pg_init_retries,
					  t->features.pg_init_delay_ms);
	if (!t->activation) {
		scnprintf(error, PRM_ERROR_LEN, "out of memory");
		return -ENOMEM;
	}
	for (i = 0; i < t->paths; i++)
		activation_set_path(t->activation, i, t->path[i].dev->bdev);
	return 0;
}

/* One user less of the hook; the last one ends the LUN's PR work. */
static void leave_lun(struct target *t)
{
	unsigned int openers = 0;
	bool last = false;

	bdev_hook_detach(dm_table_get_md(t->ti->table), &last, &openers);
	if (last)
		lun_shutdown(t->lun, openers);
}

static int build_target(struct dm_target *ti, const struct prm_table *table,
			char error[PRM_ERROR_LEN])
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	struct target *t;
	struct lun *lun, *created;
	void *owner;
	int r;

	t = alloc_target(ti, table);
	created = lun_create(md);
	if (!t || !created) {
		scnprintf(error, PRM_ERROR_LEN, "out of memory");
		r = -ENOMEM;
		goto free;
	}
	r = bdev_hook_attach(md, &lun_hook_ops, created, &owner);
	if (r) {
		scnprintf(error, PRM_ERROR_LEN,
			  "open and release of the device cannot be hooked (%d)", r);
		goto free;
	}
	lun = owner;
	if (lun != created)
		lun_put(created);
	created = NULL;
	t->lun = lun;
	r = add_paths(t, table, error);
	if (!r)
		r = lun_check(lun, &table->features, error);
	if (r)
		goto leave;
	ti->private = t;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->per_io_data_size = sizeof(struct target_io);
	if (table->features.flags & PRM_F_REQUEST_MODE)
		DMINFO("%s: queue_mode of requests is accepted, but this target sends bios",
		       lun_name(lun));
	return 0;

leave:
	leave_lun(t);
	free_target(t);
	lun_put(lun);
	return r;
free:
	if (created)
		lun_put(created);
	if (t)
		free_target(t);
	return r;
}

static int target_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct prm_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	char *error = kzalloc(PRM_ERROR_LEN, GFP_KERNEL);
	int r = -ENOMEM;

	ti->error = "out of memory";
	if (!table || !error)
		goto out;
	ti->error = "table line refused (see the message above)";
	r = prm_table_parse(table, argc, argv,
			    ti->type == &multipath_target ? &default_features : NULL, error);
	if (!r)
		r = build_target(ti, table, error);
	if (r)
		DMERR("%s: %s", dm_device_name(dm_table_get_md(ti->table)), error);
out:
	kfree(error);
	kfree(table);
	return r;
}

static void target_dtr(struct dm_target *ti)
{
	struct target *t = ti->private;
	struct lun *lun = t->lun;

	lun_deactivate(lun, &t->client);
	route_stop(t);
	leave_lun(t);
	free_target(t);
	lun_put(lun);
}

static void target_presuspend(struct dm_target *ti)
{
	struct target *t = ti->private;

	WRITE_ONCE(t->suspending, true);
	/* Pairs with command(): whoever sees the new count sees the flag. */
	smp_wmb();
	lun_suspend(t->lun);
	route_kick(t);
}

static void target_presuspend_undo(struct dm_target *ti)
{
	struct target *t = ti->private;

	WRITE_ONCE(t->suspending, false);
	route_kick(t);
}

static void target_postsuspend(struct dm_target *ti)
{
	struct target *t = ti->private;

	flush_delayed_work(&t->work);
	flush_work(&t->send);
	if (t->activation)
		activation_stop(t->activation);
}

static void target_resume(struct dm_target *ti)
{
	struct target *t = ti->private;
	struct lun_path **paths;
	u32 i;

	WRITE_ONCE(t->suspending, false);
	if (t->activation)
		activation_go(t->activation);
	paths = kmalloc_array(t->paths + 1, sizeof(*paths), GFP_NOIO | __GFP_NOFAIL);
	for (i = 0; i < t->paths; i++)
		paths[i] = t->path[i].lun_path;
	/* What a path was under another table is no news under this one, where it works. */
	for (i = 0; !t->live && i < t->paths; i++) {
		WRITE_ONCE(t->path[i].failures, atomic_read(&paths[i]->fail_count));
		WRITE_ONCE(t->path[i].failed_told, false);
	}
	t->client.activates = t->handler;
	lun_activate(t->lun, &t->client, &t->features, paths, t->paths);
	kfree(paths);
	t->live = true;
	route_kick(t);
}

/*
 * Messages
 */

/**
 * struct message - one form of a message
 * @name: its first word
 * @argc: words, the name included
 * @words: what follows the name, each after a blank
 * @run: does it; 1: there is text to return, 0, or -errno
 * @how: which of those that share @run
 */
struct message {
	const char *name;
	unsigned int argc;
	const char *words;
	int (*run)(struct target *t, const struct message *message, char **argv,
		   char *result, unsigned int max);
	int how;
};

enum { PATH_FAIL, PATH_REINSTATE };
enum { NO_PATH_QUEUE, NO_PATH_FAIL };
enum { GROUP_SWITCH, GROUP_ENABLE, GROUP_DISABLE };

static struct lun_path *named_path(struct target *t, const char *word)
{
	unsigned int major, minor;
	dev_t devt;
	char end;
	u32 i;

	if (sscanf(word, "%u:%u%c", &major, &minor, &end) == 2)
		devt = MKDEV(major, minor);
	else if (lookup_bdev(word, &devt))
		return NULL;
	for (i = 0; i < t->paths; i++)
		if (t->path[i].dev->bdev->bd_dev == devt)
			return t->path[i].lun_path;
	return NULL;
}

static int message_path(struct target *t, const struct message *message, char **argv,
			char *result, unsigned int max)
{
	struct lun_path *path = named_path(t, argv[1]);

	if (!path) {
		DMERR("%s: %s: %s is no path of this table", lun_name(t->lun), message->name,
		      argv[1]);
		return -EINVAL;
	}
	if (message->how == PATH_FAIL)
		lun_path_fail(t->lun, path, "by message");
	else
		lun_path_reinstate(t->lun, path);
	return 0;
}

static int message_queueing(struct target *t, const struct message *message, char **argv,
			    char *result, unsigned int max)
{
	route_set_queueing(t, message->how == NO_PATH_QUEUE);
	return 0;
}

static int message_group(struct target *t, const struct message *message, char **argv,
			 char *result, unsigned int max)
{
	u64 number;

	if (!path_number(argv[1], &number) || !number || number > t->groups) {
		DMERR("%s: %s: '%s' is no group, expected 1 to %u", lun_name(t->lun),
		      message->name, argv[1], t->groups);
		return -EINVAL;
	}
	if (message->how == GROUP_SWITCH)
		route_switch_group(t, number - 1);
	else
		route_bypass_group(t, number - 1, message->how == GROUP_DISABLE);
	return 0;
}

static int set_options(struct target *t, const char *words, bool once)
{
	char *error;
	u32 options;
	int r;

	if (!lun_guards(t->lun)) {
		DMERR("%s: open_options: the table has no pr_key", lun_name(t->lun));
		return -EINVAL;
	}
	error = kzalloc(PRM_ERROR_LEN, GFP_KERNEL);
	if (!error)
		return -ENOMEM;
	r = prm_options_parse(words, &options, error);
	if (r)
		DMERR("%s: open_options: %s", lun_name(t->lun), error);
	else
		lun_set_options(t->lun, options, once);
	kfree(error);
	return r;
}

static int message_options(struct target *t, const struct message *message, char **argv,
			   char *result, unsigned int max)
{
	return set_options(t, argv[1], false);
}

static int message_options_once(struct target *t, const struct message *message,
				char **argv, char *result, unsigned int max)
{
	if (strcmp(argv[2], "once")) {
		DMERR("%s: open_options: unknown word '%s', expected 'once'",
		      lun_name(t->lun), argv[2]);
		return -EINVAL;
	}
	return set_options(t, argv[1], true);
}

/* A suspend that has begun, and not ended, would wait for it with I/O held back. */
static int command(struct target *t, const struct message *message, char *result,
		   unsigned int max)
{
	unsigned int suspends = lun_suspends(t->lun);

	/* Pairs with target_presuspend(). */
	smp_rmb();
	if (READ_ONCE(t->suspending) && !dm_suspended(t->ti))
		return -EAGAIN;
	return lun_command(t->lun, message->how, suspends, result, max);
}

static int message_look(struct target *t, const struct message *message, char **argv,
			char *result, unsigned int max)
{
	int r = command(t, message, result, max);

	return r ? r : 1;	/* 1: there is text to return */
}

/* Sends nothing: what the paths said before. */
static int message_answers(struct target *t, const struct message *message, char **argv,
			   char *result, unsigned int max)
{
	unsigned int n = 0;
	u32 i;

	result[0] = 0;
	for (i = 0; i < t->paths && n < max; i++)
		n += lun_path_answer(t->lun, t->path[i].lun_path, result + n, max - n);
	return 1;
}

static int message_command(struct target *t, const struct message *message, char **argv,
			   char *result, unsigned int max)
{
	return command(t, message, NULL, 0);
}

static int message_clear(struct target *t, const struct message *message, char **argv,
			 char *result, unsigned int max)
{
	if (strcmp(argv[1], CLEAR_WORD)) {
		DMERR("%s: pr_clear removes the keys of every host; to confirm: pr_clear "
		      CLEAR_WORD,
		      lun_name(t->lun));
		return -EINVAL;
	}
	return message_command(t, message, argv, result, max);
}

static const struct message messages[] = {
	{ "fail_path", 2, " PATH", message_path, PATH_FAIL },
	{ "reinstate_path", 2, " PATH", message_path, PATH_REINSTATE },
	{ "queue_if_no_path", 1, "", message_queueing, NO_PATH_QUEUE },
	{ "fail_if_no_path", 1, "", message_queueing, NO_PATH_FAIL },
	{ "switch_group", 2, " GROUP", message_group, GROUP_SWITCH },
	{ "enable_group", 2, " GROUP", message_group, GROUP_ENABLE },
	{ "disable_group", 2, " GROUP", message_group, GROUP_DISABLE },
	{ "open_options", 2, " OPTIONS [once]", message_options },
	{ "open_options", 3, " OPTIONS [once]", message_options_once },
	{ "path_answers", 1, "", message_answers },
	{ "pr_status", 1, "", message_look, PR_OP_LOOK },
	{ "pr_release", 1, "", message_command, PR_OP_RELEASE },
	{ "pr_unregister", 1, "", message_command, PR_OP_UNREGISTER },
	{ "pr_clear", 2, " " CLEAR_WORD, message_clear, PR_OP_CLEAR },
};

static void refuse_message(struct target *t, const char *name)
{
	char list[PRM_ERROR_LEN] = "";
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(messages); i++) {
		if (!strcasecmp(name, messages[i].name)) {
			DMERR("%s: message %s has the wrong number of words, expected: %s%s",
			      lun_name(t->lun), name, messages[i].name, messages[i].words);
			return;
		}
		if (!i || strcmp(messages[i].name, messages[i - 1].name))
			n += scnprintf(list + n, sizeof(list) - n, "%s %s", i ? "," : "",
				       messages[i].name);
	}
	DMERR("%s: unknown message '%s', expected one of:%s", lun_name(t->lun), name, list);
}

static int target_message(struct dm_target *ti, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	struct target *t = ti->private;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		if (!strcasecmp(argv[0], messages[i].name) && argc == messages[i].argc)
			return messages[i].run(t, &messages[i], argv, result, maxlen);
	refuse_message(t, argv[0]);
	return -EINVAL;
}

/*
 * The rest of the target's interface
 */

static int target_prepare_ioctl(struct dm_target *ti, struct block_device **bdev)
{
	struct target *t = ti->private;
	struct target_path *path = route_any(t);

	if (!path)
		return route_want(t) ? -ENOTCONN : -EIO;
	*bdev = path->dev->bdev;
	/* 1 asks for CAP_SYS_RAWIO: nothing else stops a write by SG_IO. */
	return !lun_gate_still(t->lun) || ti->len != bdev_nr_sectors(*bdev);
}

static int target_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn,
				  void *data)
{
	struct target *t = ti->private;
	int r = 0;
	u32 i;

	for (i = 0; i < t->paths && !r; i++)
		r = fn(ti, t->path[i].dev, ti->begin, ti->len, data);
	return r;
}

#define TARGET_COMMON							\
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT |		\
		    PRM_PASSES_INTEGRITY,				\
	.module = THIS_MODULE,						\
	.ctr = target_ctr,						\
	.dtr = target_dtr,						\
	.map = route_map,						\
	.end_io = route_end_io,						\
	.presuspend = target_presuspend,				\
	.presuspend_undo = target_presuspend_undo,			\
	.postsuspend = target_postsuspend,				\
	.resume = target_resume,					\
	.status = report_status,					\
	.message = target_message,					\
	.prepare_ioctl = target_prepare_ioctl,				\
	.iterate_devices = target_iterate_devices

static struct target_type prmpath_target = {
	.name = "prmpath",
	.version = { 0, 1, 0 },
	TARGET_COMMON,
};

/* The version is that of dm-multipath's interface: multipath-tools asks for it. */
static struct target_type multipath_target = {
	.name = "multipath",
	.version = { 1, 14, 0 },
	TARGET_COMMON,
};

static int parse_default_features(void)
{
	char *error = NULL, **argv = NULL;
	int argc = 0, r = -ENOMEM;

	error = kzalloc(PRM_ERROR_LEN, GFP_KERNEL);
	argv = argv_split(GFP_KERNEL, features ? features : "", &argc);
	if (!error || !argv)
		goto out;
	r = prm_features_parse(&default_features, argc, argv, error);
	if (r)
		DMERR("module option features: %s", error);
	if (!r && features && !multipath) {
		DMERR("module option features: without multipath=1, expected both or none");
		r = -EINVAL;
	}
out:
	if (argv)
		argv_free(argv);
	kfree(error);
	return r;
}

static int register_target(void)
{
	return dm_register_target(&prmpath_target);
}

static void unregister_target(void)
{
	dm_unregister_target(&prmpath_target);
}

static int register_multipath(void)
{
	int r = multipath ? dm_register_target(&multipath_target) : 0;

	/* A name in use is all that can go wrong. */
	if (r)
		DMERR("multipath=1: dm-multipath is loaded, expected modprobe -r dm-multipath");
	return r;
}

static void unregister_multipath(void)
{
	if (multipath)
		dm_unregister_target(&multipath_target);
}

/* What the module starts, in this order, and ends, in the opposite one. */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} rooms[] = {
	{ parse_default_features, NULL },
	{ route_init, route_exit },
	{ activation_init, activation_exit },
	{ scsi_cmd_init, scsi_cmd_exit },
	{ lun_init, lun_exit },
	{ bdev_hook_init, bdev_hook_exit },
	/* May well fail, and what users can open must not go again. */
	{ register_multipath, unregister_multipath },
	{ prm_control_init, prm_control_exit },
	{ register_target, unregister_target },
};

static void leave_rooms(unsigned int n)
{
	while (n--)
		if (rooms[n].exit)
			rooms[n].exit();
}

static int __init prmpath_init(void)
{
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(rooms); i++) {
		r = rooms[i].init();
		if (r) {
			leave_rooms(i);
			return r;
		}
	}
	return 0;
}

static void __exit prmpath_exit(void)
{
	leave_rooms(ARRAY_SIZE(rooms));
}

module_init(prmpath_init);
module_exit(prmpath_exit);

MODULE_DESCRIPTION("device-mapper multipath target that maps opens to persistent reservations");
MODULE_AUTHOR("dm-prmpath developers");
MODULE_VERSION(PRM_RELEASE);
MODULE_LICENSE("GPL");
