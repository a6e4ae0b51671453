// SPDX-License-Identifier: GPL-2.0-only
/*
 * The execution of CDBs through the SCSI midlayer.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <scsi/scsi.h>
#include <scsi/scsi_common.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_eh.h>

#include "compat.h"
#include "scsi_cmd.h"

/*
 * Unbound: a command may wait long for a blocked session, and must not hold up
 * the items behind it on one CPU. With a rescuer: a verdict on a conflict can
 * stand between dirty pages and the disk.
 */
static struct workqueue_struct *scsi_cmd_wq;
/* Apart: failed paths, of which a host may lose hundreds at once, hold up nobody. */
static struct workqueue_struct *scsi_check_wq;

/**
 * scsi_cmd_init - module start
 *
 * Return: 0 or -ENOMEM.
 */
int scsi_cmd_init(void)
{
	scsi_cmd_wq = alloc_workqueue("prmpath_cmd", WQ_UNBOUND | WQ_MEM_RECLAIM, WQ_MAX_ACTIVE);
	if (!scsi_cmd_wq)
		return -ENOMEM;
	scsi_check_wq = alloc_workqueue("prmpath_check", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!scsi_check_wq) {
		destroy_workqueue(scsi_cmd_wq);
		return -ENOMEM;
	}
	return 0;
}

/**
 * scsi_cmd_exit - module end
 *
 * Waits for the last function of a work item to return; no command is out any
 * more, since each holds a reference to the module.
 */
void scsi_cmd_exit(void)
{
	destroy_workqueue(scsi_check_wq);
	destroy_workqueue(scsi_cmd_wq);
}

static void decode_result(struct scsi_cmd *cmd, int result,
			  const struct scsi_sense_hdr *sshdr)
{
	struct pr_result *r = &cmd->result;

	memset(r, 0, sizeof(*r));
	if (result == -ENOMEM) {
		/* Nothing was sent, and the path is not to blame. */
		r->status = SAM_STAT_BUSY;
		return;
	}
	if (result < 0 || host_byte(result) != DID_OK) {
		r->host_failed = true;
		return;
	}
	/* status_byte() shifts in older kernels and does not in newer ones. */
	r->status = result & 0xff;
	if (scsi_sense_valid(sshdr)) {
		r->sense_valid = true;
		r->deferred = scsi_sense_is_deferred(sshdr);
		r->key = sshdr->sense_key;
		r->asc = sshdr->asc;
		r->ascq = sshdr->ascq;
	}
}

static void scsi_cmd_work(struct work_struct *work)
{
	struct scsi_cmd *cmd = container_of(work, struct scsi_cmd, work);
	unsigned int noio = memalloc_noio_save();
	ktime_t begin = ktime_get();
	struct scsi_sense_hdr sshdr;
	int result, resid = cmd->len, delay;
	bool again;

	cmd->attention = false;
	memset(&cmd->result, 0, sizeof(cmd->result));
	/* Whoever wanted it gave up before there was a worker: it is not sent (rule 6.3). */
	cmd->class = PR_TRANSIENT;
	again = !READ_ONCE(cmd->stop);
	while (again) {
		WRITE_ONCE(cmd->tries, cmd->tries + 1);
		result = prm_scsi_execute(cmd->sdev, cmd->cdb, cmd->out,
					  cmd->len ? cmd->data : NULL, cmd->len,
					  cmd->timeout_s * HZ, &sshdr, &resid);
		decode_result(cmd, result, &sshdr);
		cmd->class = pr_classify(&cmd->result, cmd->action);
		if (pr_attention_resets(&cmd->result))
			cmd->attention = true;
		delay = pr_retry_delay(cmd->class, cmd->tries);
		again = delay >= 0 && time_before(jiffies + msecs_to_jiffies(delay),
						  cmd->deadline);
		if (again && delay)
			msleep(delay);
		again = again && !READ_ONCE(cmd->stop) && time_before(jiffies, cmd->deadline);
	}

	cmd->transferred = cmd->len - min_t(u32, cmd->len, max(resid, 0));
	cmd->usecs = ktime_us_delta(ktime_get(), begin);
	cmd->done(cmd);
	memalloc_noio_restore(noio);
	module_put(THIS_MODULE);
}

/**
 * scsi_cmd_alloc - prepare a command structure
 * @cmd: zeroed by the caller
 * @sdev: path; the caller keeps a reference for as long as @cmd lives
 * @done: see struct scsi_cmd
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int scsi_cmd_alloc(struct scsi_cmd *cmd, struct scsi_device *sdev,
		   void (*done)(struct scsi_cmd *cmd))
{
	INIT_WORK(&cmd->work, scsi_cmd_work);
	cmd->sdev = sdev;
	cmd->done = done;
	cmd->size = PR_IN_LEN_MIN;
	cmd->data = kmalloc(cmd->size, GFP_KERNEL);
	return cmd->data ? 0 : -ENOMEM;
}

/**
 * scsi_cmd_free - the opposite of scsi_cmd_alloc()
 * @cmd: not running
 */
void scsi_cmd_free(struct scsi_cmd *cmd)
{
	kfree(cmd->data);
	cmd->data = NULL;
}

/**
 * scsi_cmd_grow - a larger buffer for a long list
 * @cmd: not running
 * @size: bytes wanted
 *
 * Context: may sleep; does not enter the block layer.
 * Return: 0, or -ENOMEM with the old buffer in place.
 */
int scsi_cmd_grow(struct scsi_cmd *cmd, u32 size)
{
	u8 *data;

	if (size <= cmd->size)
		return 0;
	data = kmalloc(size, GFP_NOIO | __GFP_NOWARN);
	if (!data)
		return -ENOMEM;
	kfree(cmd->data);
	cmd->data = data;
	cmd->size = size;
	return 0;
}

/**
 * scsi_cmd_start - send it; @cmd->done is called once, whatever happens
 * @cmd: filled in and not running
 *
 * Context: any. The command pins the module until it has ended.
 */
void scsi_cmd_start(struct scsi_cmd *cmd)
{
	__module_get(THIS_MODULE);
	WRITE_ONCE(cmd->tries, 0);
	WARN_ON_ONCE(!queue_work(cmd->action == PR_ACT_COUNT ? scsi_check_wq : scsi_cmd_wq,
				 &cmd->work));
}
