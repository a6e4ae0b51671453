// SPDX-License-Identifier: GPL-2.0-only
/*
 * The status lines of a table, in dm-multipath's grammar.
 */
#include <linux/device-mapper.h>
#include <linux/slab.h>

#include "activation.h"
#include "target.h"

static unsigned int parked_count(struct target *t)
{
	unsigned long flags;
	unsigned int n;

	spin_lock_irqsave(&t->lock, flags);
	n = bio_list_size(&t->parked) + bio_list_size(&t->disputed);
	spin_unlock_irqrestore(&t->lock, flags);
	return n;
}

static const char *state_word(const struct lun_view *view)
{
	const struct pr_lun *pr = &view->pr;

	if (!pr->cfg.key)
		return "off";
	if (pr->state == PR_STATE_FREE && pr->seen_valid && pr->seen.held &&
	    (pr->seen.key != pr->cfg.key || pr->twin))
		return "foreign";
	if (pr->state == PR_STATE_OWNER && !view->answers)
		return "unknown";
	return pr_state_name(pr->state);
}

/* What the status line is put together in; too large for the stack. */
struct status_room {
	struct lun_view view;
	char open[64];
	char open_ro[64];
	char session[64];
	char holder[40];
	char words[512];
};

static void print_holder(struct status_room *room)
{
	const struct pr_lun *pr = &room->view.pr;
	const char *name = pr->holder == PR_NO_PATH ? NULL : room->view.holder;

	if (pr->state == PR_STATE_OWNER || pr->state == PR_STATE_RETAINED ||
	    pr->state == PR_STATE_RELEASING)
		scnprintf(room->holder, sizeof(room->holder), "own%s%s",
			  name ? ":" : "", name ? name : "");
	else if (pr->seen_valid && pr->seen.held)
		scnprintf(room->holder, sizeof(room->holder), "foreign:0x%016llx",
			  pr->seen.key);
	else
		strscpy(room->holder, "none", sizeof(room->holder));
}

/* The words after the first two, which dm-multipath has as well. */
static unsigned int print_pr(struct target *t, struct status_room *room)
{
	struct lun_view *view = &room->view;
	const struct pr_lun *pr = &view->pr;

	lun_view(t->lun, view);
	prm_options_print(view->open, room->open, sizeof(room->open));
	prm_options_print(view->open_ro, room->open_ro, sizeof(room->open_ro));
	prm_options_print(pr->session, room->session, sizeof(room->session));
	print_holder(room);
	scnprintf(room->words, sizeof(room->words),
		  "pr=%d state=%s key=0x%016llx type=%u holder=%s gen=%u opens=%u options=%s gate=%s open=%s open_ro=%s keys_own=%u keys_foreign=%u stale_cache=%d",
		  !!pr->cfg.key, state_word(view), pr->cfg.key,
		  pr->state == PR_STATE_FREE ? pr->cfg.type : pr->type, room->holder,
		  pr->seen_valid ? pr->seen.generation : 0, view->openers,
		  room->session, view->gate ? "open" : "closed", room->open,
		  room->open_ro, pr->keys_own, pr->keys_foreign, view->stale_cache);
	return 14;
}

static char group_letter(const struct target *t, u32 g)
{
	if (READ_ONCE(t->group[g].bypassed))
		return 'D';
	return g == READ_ONCE(t->group_now) ? 'A' : 'E';
}

static char path_letter(const struct lun_path *path)
{
	return test_bit(LUN_PATH_FAILED, &path->flags) ? 'F' : 'A';
}

/* The group asked for, the one in use, or the first one, from 1. */
static int next_group(const struct target *t)
{
	int wanted = READ_ONCE(t->wanted_group), now = READ_ONCE(t->group_now);

	if (!t->groups)
		return 0;
	return (wanted >= 0 ? wanted : max(now, 0)) + 1;
}

/* A line being printed; like DMEMIT, with functions that print as snprintf does. */
struct line {
	char *text;
	unsigned int max;
	unsigned int len;
};

static char *line_end(struct line *line)
{
	return line->text + line->len;
}

static unsigned int line_room(struct line *line)
{
	return line->max - line->len;
}

static void line_add(struct line *line, int printed)
{
	if (printed > 0)
		line->len += min_t(unsigned int, printed, line_room(line) - 1);
}

static void __printf(2, 3) line_print(struct line *line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_add(line, vsnprintf(line_end(line), line_room(line), fmt, args));
	va_end(args);
}

static struct path_load sum_load(struct target *t, u32 path)
{
	struct path_load sum = { };
	int cpu;

	if (!t->load)
		return sum;
	for_each_possible_cpu(cpu) {
		const struct path_load *load = per_cpu_ptr(t->load, cpu) + path;

		sum.ios += READ_ONCE(load->ios);
		sum.bytes += READ_ONCE(load->bytes);
		sum.done += READ_ONCE(load->done);
		sum.time += READ_ONCE(load->time);
		sum.last = max(sum.last, READ_ONCE(load->last));
	}
	return sum;
}

static void info_path(struct target *t, struct target_path *path,
		      const struct path_selector *selector, struct line *line)
{
	struct path_load load = sum_load(t, path->slot.path);

	line_print(line, " %s %c %d ", path->lun_path->name, path_letter(path->lun_path),
		   atomic_read(&path->lun_path->fail_count));
	if (selector->print_info) {
		line_add(line, selector->print_info(&path->slot, &load, line_end(line),
						    line_room(line)));
		line_print(line, " ");
	}
	line_print(line, "%s", lun_path_word(t->lun, path->lun_path));
}

static void print_info(struct target *t, struct line *line)
{
	/* Who asks may be the one to reinstate the path that dirty pages wait for. */
	struct status_room *room = kmalloc(sizeof(*room), GFP_NOIO | __GFP_NOFAIL);
	unsigned int n;
	u32 g, i;

	n = print_pr(t, room);
	line_print(line, "%u %u %u %s 0 %u %d", n + 2, parked_count(t),
		   t->activation ? activation_tries(t->activation) : 0, room->words,
		   t->groups, next_group(t));
	for (g = 0; g < t->groups; g++) {
		const struct target_group *group = &t->group[g];

		line_print(line, " %c 0 %u %u", group_letter(t, g), group->paths,
			   group->selector->info_words + 1);
		for (i = 0; i < group->paths; i++)
			info_path(t, &t->path[group->first + i], group->selector, line);
	}
	kfree(room);
}

static void print_handler(const struct target *t, struct line *line)
{
	const char *p = t->handler_words;
	unsigned int n = 1;

	if (!t->handler) {
		line_print(line, " 0");
		return;
	}
	if (!p || !*p) {
		line_print(line, " 1 %s", t->handler);
		return;
	}
	for (n = 2; *p; p++)
		n += *p == ' ';
	line_print(line, " %u %s %s", n, t->handler, t->handler_words);
}

static void table_group(const struct target *t, const struct target_group *group,
			struct line *line)
{
	const struct path_selector *selector = group->selector;
	u32 i;

	line_print(line, " %s %u", selector->name, group->words);
	if (group->words) {
		line_print(line, " ");
		line_add(line, selector->print_group(&group->args, group->words,
						     line_end(line), line_room(line)));
	}
	line_print(line, " %u %u", group->paths, group->path_words);
	for (i = 0; i < group->paths; i++) {
		const struct target_path *path = &t->path[group->first + i];

		line_print(line, " %s", path->lun_path->name);
		if (!group->path_words)
			continue;
		line_print(line, " ");
		line_add(line, selector->print_path(&path->slot, group->path_words,
						    line_end(line), line_room(line)));
	}
}

static void print_table(struct target *t, struct line *line)
{
	u32 g;

	line_add(line, prm_features_print(t->feature_words, READ_ONCE(t->queue_if_no_path),
					  line_end(line), line_room(line)));
	print_handler(t, line);
	line_print(line, " %u %d", t->groups, next_group(t));
	for (g = 0; g < t->groups; g++)
		table_group(t, &t->group[g], line);
}

static void print_ima(struct target *t, struct line *line)
{
	unsigned int sz = 0;
	u32 g, i;

	{
		char *result = line->text;
		unsigned int maxlen = line->max;

		DMEMIT_TARGET_NAME_VERSION(t->ti->type);
	}
	line->len = sz;
	line_print(line, ",groups=%u", t->groups);
	for (g = 0; g < t->groups; g++) {
		const struct target_group *group = &t->group[g];

		line_print(line, ",group_%u=%c,selector_%u=%s", g, group_letter(t, g), g,
			   group->selector->name);
		for (i = group->first; i < group->first + group->paths; i++)
			line_print(line, ",path_%u=%s,state_%u=%c", i,
				   t->path[i].lun_path->name, i,
				   path_letter(t->path[i].lun_path));
	}
	line_print(line, ";");
}

static void (*const printers[])(struct target *t, struct line *line) = {
	[STATUSTYPE_INFO] = print_info,
	[STATUSTYPE_TABLE] = print_table,
	[STATUSTYPE_IMA] = print_ima,
};

/**
 * report_status - the target's status
 * @ti: target
 * @type: which of the three lines
 * @flags: DM_STATUS_*
 * @result: for the line
 * @maxlen: of @result
 *
 * Context: may sleep.
 */
void report_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		   char *result, unsigned int maxlen)
{
	struct line line = { .text = result, .max = maxlen };

	result[0] = 0;
	if (maxlen && type < ARRAY_SIZE(printers))
		printers[type](ti->private, &line);
}
