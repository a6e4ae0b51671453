// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is who: the SCSI device behind a path, its LUN's name, our own ports.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_proto.h>
#include <scsi/scsi_transport_iscsi.h>

#include "identity.h"

/**
 * identity_sdev - the SCSI disk that a path is
 * @bdev: opened by the caller
 * @error: set on failure: what it is instead
 *
 * Context: may sleep.
 * Return: the device with a reference for scsi_device_put(), or NULL.
 */
struct scsi_device *identity_sdev(struct block_device *bdev, const char **error)
{
	struct device *parent = disk_to_dev(bdev->bd_disk)->parent;
	struct scsi_device *sdev;

	if (bdev_is_partition(bdev)) {
		*error = "is a partition, expected a whole SCSI disk";
		return NULL;
	}
	if (!parent || !scsi_is_sdev_device(parent)) {
		*error = "is no SCSI disk";
		return NULL;
	}
	sdev = to_scsi_device(parent);
	if (sdev->type != TYPE_DISK) {
		*error = "is a SCSI device, but no disk";
		return NULL;
	}
	if (scsi_device_get(sdev)) {
		*error = "is going away";
		return NULL;
	}
	return sdev;
}

/**
 * identity_lun - the logical unit's designator (VPD page 83h)
 * @sdev: path
 * @id: filled with text
 *
 * Return: its length, or a negative errno if the device has none.
 */
int identity_lun(struct scsi_device *sdev, char id[LUN_ID_LEN])
{
	return scsi_vpd_lun_id(sdev, id, LUN_ID_LEN);
}

static bool session_port(struct scsi_device *sdev, struct iscsi_cls_session *session,
			 struct pr_port_id *port)
{
	char *name = kzalloc(PAGE_SIZE, GFP_KERNEL);
	int len = 0;

	if (!name)
		return false;
	/* A logout frees the name after this device's removal, which begins with its state. */
	mutex_lock(&sdev->state_mutex);
	if (sdev->sdev_state != SDEV_CANCEL && sdev->sdev_state != SDEV_DEL)
		len = session->transport->get_session_param(session,
							    ISCSI_PARAM_INITIATOR_NAME, name);
	mutex_unlock(&sdev->state_mutex);
	/* A session that was never given a name prints as "(null)". */
	if (len > 0 && name[0] != '(') {
		strim(name);
		port->protocol = SCSI_PROTOCOL_ISCSI;
		port->len = min_t(size_t, strlen(name), PR_PORT_ID_LEN);
		memcpy(port->id, name, port->len);
	}
	kfree(name);
	return port->len > 0;
}

/**
 * identity_port - the initiator port that a path uses
 * @sdev: path
 * @port: filled in
 *
 * Known for iSCSI, whose sessions change their names at every login; other
 * transports keep a nexus for life, so that REGISTER(K to K) tells (E27, E28).
 *
 * Context: may sleep.
 * Return: true if it could be found out.
 */
bool identity_port(struct scsi_device *sdev, struct pr_port_id *port)
{
	/* The transport class need not be loaded, so it is not linked against. */
	int (*is_session)(const struct device *dev) = symbol_get(iscsi_is_session_dev);
	struct device *parent = scsi_target(sdev)->dev.parent;
	bool known = false;

	memset(port, 0, sizeof(*port));
	if (!is_session)
		return false;
	if (is_session(parent))
		known = session_port(sdev, iscsi_dev_to_session(parent), port);
	symbol_put(iscsi_is_session_dev);
	return known;
}
