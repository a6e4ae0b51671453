// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control node: extended opens by descriptor (rule 2.2).
 *
 * The node gives no right by itself, so anybody may open it: what counts is
 * the descriptor that the caller passes, or CAP_SYS_ADMIN.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/device-mapper.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "bdev_hook.h"
#include "control.h"
#include "lun.h"
#include "table.h"
#include "uapi/prmpath.h"

#define DM_MSG_PREFIX "prmpath"

static long control_version(void __user *arg)
{
	struct prm_ioc_version version = {
		.abi = PRM_ABI_VERSION,
		.options = PRM_OPEN_ALL,
	};

	if (THIS_MODULE->version)
		strscpy(version.release, THIS_MODULE->version,
			sizeof(version.release));

	return copy_to_user(arg, &version, sizeof(version)) ? -EFAULT : 0;
}

/* The block device behind an open file, or NULL. */
static struct block_device *control_bdev(struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	return sb_is_blkdev_sb(inode->i_sb) ? I_BDEV(inode) : NULL;
}

static long control_open_file(struct file *file, const struct prm_ioc_open *args)
{
	struct block_device *bdev = control_bdev(file);
	struct lun *lun;
	long r;

	lun = bdev ? bdev_hook_find(bdev->bd_disk) : NULL;
	if (!lun)
		return -ENOTTY;

	if (args->reserved) {
		DMERR_LIMIT("%s: extended open: reserved field 0x%llx, expected 0",
			    lun_name(lun), args->reserved);
		r = -EINVAL;
	} else if (prm_options_check(args->options)) {
		DMERR_LIMIT("%s: extended open: options 0x%x, expected bits of 0x%x, bypass alone",
			    lun_name(lun), args->options, PRM_OPEN_ALL);
		r = -EINVAL;
	} else if ((file->f_mode & FMODE_WRITE) || capable(CAP_SYS_ADMIN)) {
		r = lun_open_extended(lun, args->options);
	} else {
		DMERR_LIMIT("%s: extended open needs CAP_SYS_ADMIN or a writable descriptor",
			    lun_name(lun));
		r = -EPERM;
	}
	lun_put(lun);
	return r;
}

static long control_open(void __user *arg)
{
	struct prm_ioc_open args;
	struct file *file;
	long r;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	/*
	 * A reference of our own: another thread may close the descriptor, and
	 * the device must not see its last close while the open is under way.
	 */
	file = fget(args.fd);
	if (!file)
		return -EBADF;
	r = control_open_file(file, &args);
	fput(file);
	return r;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case PRM_IOC_VERSION:
		return control_version(argp);
	case PRM_IOC_OPEN:
		return control_open(argp);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.llseek = noop_llseek,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = PRM_CONTROL_NAME,
	.fops = &control_fops,
	.mode = 0666,
};

/**
 * prm_control_init - create the control node
 *
 * Return: 0 or a negative errno.
 */
int prm_control_init(void)
{
	return misc_register(&control_misc);
}

/**
 * prm_control_exit - remove the control node
 */
void prm_control_exit(void)
{
	misc_deregister(&control_misc);
}
