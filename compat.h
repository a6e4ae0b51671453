/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module builds for (6.1 and 6.12).
 * The other files are written for the newer one; version tests stand here and
 * nowhere else. Each entry names the upstream change, and asks the headers
 * rather than the version where they can tell, because stable kernels and
 * distributions move such changes back, and sometimes out again.
 */
#ifndef PRM_COMPAT_H
#define PRM_COMPAT_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/string.h>
#include <linux/version.h>
#include <scsi/scsi_device.h>

/* "move asm/unaligned.h to linux/unaligned.h" (6.12) */
#if KERNEL_VERSION(6, 12, 0) <= LINUX_VERSION_CODE
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/*
 * Three changes of one series (6.5):
 * "block: pass a gendisk to ->open"
 * "block: remove the unused mode argument to ->release"
 * "block: replace fmode_t with a block-specific type for block open flags"
 *
 * An ->open gets a struct prm_opened, whose disk is prm_opened_disk(). The macro
 * PRM_FOPS_RELEASE(name, fn) defines a ->release that calls void fn(disk, mode);
 * the mode means nothing in newer kernels. prm_fops_open() and
 * prm_fops_release() call what stands in a struct block_device_operations.
 */
#ifdef BLK_OPEN_READ

#define prm_opened		gendisk

static inline struct gendisk *prm_opened_disk(struct gendisk *disk)
{
	return disk;
}

#define PRM_FOPS_RELEASE(name, fn)					\
static void name(struct gendisk *disk)					\
{									\
	fn(disk, (__force blk_mode_t)0);				\
}

static inline int prm_fops_open(const struct block_device_operations *fops,
				struct gendisk *disk, blk_mode_t mode)
{
	return fops->open(disk, mode);
}

static inline void prm_fops_release(const struct block_device_operations *fops,
				    struct gendisk *disk, blk_mode_t mode)
{
	fops->release(disk);
}

#else

#define blk_mode_t		fmode_t
#define BLK_OPEN_READ		FMODE_READ
#define BLK_OPEN_WRITE		FMODE_WRITE
#define BLK_OPEN_EXCL		FMODE_EXCL
#define BLK_OPEN_NDELAY		FMODE_NDELAY

#define prm_opened		block_device

static inline struct gendisk *prm_opened_disk(struct block_device *bdev)
{
	return bdev->bd_disk;
}

#define PRM_FOPS_RELEASE(name, fn)					\
static void name(struct gendisk *disk, fmode_t mode)			\
{									\
	fn(disk, mode);							\
}

/* The block layer opens nothing but the whole device: part0. */
static inline int prm_fops_open(const struct block_device_operations *fops,
				struct gendisk *disk, fmode_t mode)
{
	return fops->open(disk->part0, mode);
}

static inline void prm_fops_release(const struct block_device_operations *fops,
				    struct gendisk *disk, fmode_t mode)
{
	fops->release(disk, mode);
}

#endif

/* "scsi: block: Introduce BLK_STS_DURATION_LIMIT" (6.5): before, no I/O has such limits. */
#ifndef BLK_STS_DURATION_LIMIT
#define BLK_STS_DURATION_LIMIT	BLK_STS_AGAIN
#endif

/* "block: Rename BLK_STS_NEXUS to BLK_STS_RESV_CONFLICT" (6.4) */
#ifndef BLK_STS_RESV_CONFLICT
#define BLK_STS_RESV_CONFLICT	BLK_STS_NEXUS
#endif

/*
 * "block: don't free submitter owned integrity payload on I/O completion" (6.11):
 * before it, the protection information of an I/O is gone when end_io looks at it,
 * so that it cannot be sent again.
 */
#if KERNEL_VERSION(6, 11, 0) <= LINUX_VERSION_CODE
#define PRM_PASSES_INTEGRITY	DM_TARGET_PASSES_INTEGRITY
#else
#define PRM_PASSES_INTEGRITY	0
#endif

/*
 * "dm uevent: add path functions" (2.6.24): exported to modules ever since, but
 * declared in drivers/md/dm-uevent.h, which is not among the installed headers.
 */
enum dm_uevent_type {
	DM_UEVENT_PATH_FAILED,
	DM_UEVENT_PATH_REINSTATED,
};

#if IS_ENABLED(CONFIG_DM_UEVENT)
void dm_path_uevent(enum dm_uevent_type event_type, struct dm_target *ti,
		    const char *path, unsigned int nr_valid_paths);
#else
static inline void dm_path_uevent(enum dm_uevent_type event_type, struct dm_target *ti,
				  const char *path, unsigned int nr_valid_paths)
{
}
#endif

/**
 * prm_bdev_mapping - the page cache of a block device
 * @bdev: the block device
 *
 * "block_device: add a pointer to struct address_space (page cache of bdev)"
 * (6.10); soon after it ->bd_inode went away.
 *
 * Return: its address space.
 */
static inline struct address_space *prm_bdev_mapping(struct block_device *bdev)
{
#if KERNEL_VERSION(6, 10, 0) <= LINUX_VERSION_CODE
	return bdev->bd_mapping;
#else
	return bdev->bd_inode->i_mapping;
#endif
}

/**
 * prm_scsi_execute - send one CDB and wait for its end
 * @sdev: the path; the caller holds a reference
 * @cdb: the command, of the length that its first byte implies
 * @out: true if @buf goes to the device
 * @buf: data from kmalloc(), never on the stack; may be NULL with @len 0
 * @len: bytes in @buf
 * @timeout: of the command, in jiffies
 * @sshdr: the decoded sense data; all zero if there was none
 * @resid: bytes of @buf that were not transferred
 *
 * The midlayer does not repeat the command after an error: what a lost status
 * means is for the caller to find out (rule 5.6).
 *
 * "scsi: core: Add struct for args to execution functions" and
 * "scsi: core: Remove scsi_execute_req()/scsi_execute() functions" (6.3).
 * A few 6.1 stable releases carried the first one without the second: there
 * the scsi_execute() macro has another function behind it, so use the macro.
 *
 * Context: may sleep; allocates with GFP_NOIO.
 * Return: a negative errno if nothing was sent, else the command's result.
 */
static inline int prm_scsi_execute(struct scsi_device *sdev, const u8 *cdb,
				   bool out, void *buf, unsigned int len,
				   int timeout, struct scsi_sense_hdr *sshdr,
				   int *resid)
{
	const blk_opf_t failfast = REQ_FAILFAST_TRANSPORT | REQ_FAILFAST_DRIVER;

	memset(sshdr, 0, sizeof(*sshdr));
	*resid = len;
#ifdef scsi_execute
	return scsi_execute(sdev, cdb, out ? DMA_TO_DEVICE : DMA_FROM_DEVICE,
			    buf, len, NULL, sshdr, timeout, 0, failfast, 0,
			    resid);
#else
	{
		const struct scsi_exec_args args = {
			.sshdr = sshdr,
			.resid = resid,
		};

		return scsi_execute_cmd(sdev, cdb, failfast |
					(out ? REQ_OP_DRV_OUT : REQ_OP_DRV_IN),
					buf, len, timeout, 0, &args);
	}
#endif
}

/* "tracing/treewide: Remove second parameter of __assign_str()" (6.10) */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define prm_assign_str(dst, src)	__assign_str(dst)
#else
#define prm_assign_str(dst, src)	__assign_str(dst, src)
#endif

#endif
