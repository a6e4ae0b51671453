/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One CDB on one path, from a work item that owns everything it touches, so
 * that whoever asked may stop waiting (rule 6.3).
 */
#ifndef PRM_SCSI_CMD_H
#define PRM_SCSI_CMD_H

#include <linux/ktime.h>
#include <linux/workqueue.h>
#include <scsi/scsi_device.h>

#include "pr_wire.h"

#define SCSI_CMD_CDB_LEN	16

/**
 * struct scsi_cmd - a command and its outcome
 * @work: runs it
 * @sdev: path; the owner of the structure holds the reference
 * @cdb: the command
 * @out: @data goes to the device
 * @data: kmalloc()ed buffer
 * @size: allocated bytes in @data
 * @len: bytes of @data to transfer
 * @action: what it is, for classification; PR_ACT_COUNT for TEST UNIT READY
 * @timeout_s: of the command at the device
 * @deadline: in jiffies: no further try starts after it
 * @stop: nobody wants it any more: no further try, nor a first one
 * @done: called from process context when it has ended; it may free @work
 * @class: how it ended; PR_TRANSIENT if it was not sent
 * @result: the last status and sense
 * @attention: a unit attention on the way told of resets or preemption
 * @transferred: bytes of @data that arrived
 * @tries: commands sent
 * @usecs: from first submission to the end
 */
struct scsi_cmd {
	struct work_struct work;
	struct scsi_device *sdev;
	u8 cdb[SCSI_CMD_CDB_LEN];
	bool out;
	u8 *data;
	u32 size;
	u32 len;
	enum pr_action action;
	unsigned int timeout_s;
	unsigned long deadline;
	bool stop;
	void (*done)(struct scsi_cmd *cmd);
	enum pr_class class;
	struct pr_result result;
	bool attention;
	u32 transferred;
	unsigned int tries;
	s64 usecs;
};

int scsi_cmd_init(void);
void scsi_cmd_exit(void);

int scsi_cmd_alloc(struct scsi_cmd *cmd, struct scsi_device *sdev,
		   void (*done)(struct scsi_cmd *cmd));
void scsi_cmd_free(struct scsi_cmd *cmd);
int scsi_cmd_grow(struct scsi_cmd *cmd, u32 size);
void scsi_cmd_start(struct scsi_cmd *cmd);

#endif
