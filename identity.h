/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is who: the SCSI device behind a path, its LUN's name, our own ports. */
#ifndef PRM_IDENTITY_H
#define PRM_IDENTITY_H

#include <linux/blkdev.h>
#include <scsi/scsi_device.h>

#include "pr_wire.h"

#define LUN_ID_LEN	256

struct scsi_device *identity_sdev(struct block_device *bdev, const char **error);
int identity_lun(struct scsi_device *sdev, char id[LUN_ID_LEN]);
bool identity_port(struct scsi_device *sdev, struct pr_port_id *port);

#endif
