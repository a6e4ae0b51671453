/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * dm-prmpath: the interface between the kernel module and user space.
 *
 * An extended open (rule 2.2) is two steps: open the dm device with
 * O_NONBLOCK, which sends nothing to the LUN, then hand that descriptor to
 * the control node together with the open options.
 */
#ifndef PRMPATH_UAPI_H
#define PRMPATH_UAPI_H

#include <linux/types.h>
#include <linux/ioctl.h>

/* The module's control node: /dev/prmpath-control. */
#define PRM_CONTROL_NAME	"prmpath-control"

/* Raised when a structure changes. A bit never gets another meaning. */
#define PRM_ABI_VERSION		1

/* Open options; they combine freely, except bypass, which stands alone. */
#define PRM_OPEN_FORCED		(1u << 0)	/* take the LUN from another host */
#define PRM_OPEN_RETAIN		(1u << 1)	/* keep the reservation at last close */
#define PRM_OPEN_NO_RESERVE	(1u << 2)	/* do not reserve */
#define PRM_OPEN_SINGLE		(1u << 3)	/* nobody else may open */
#define PRM_OPEN_BYPASS		(1u << 4)	/* no SCSI command at open or close */
#define PRM_OPEN_ALL		0x1fu

/**
 * struct prm_ioc_version - what the loaded module speaks
 * @abi: PRM_ABI_VERSION of the module
 * @options: the option bits that it knows
 * @release: the module's release, NUL-terminated
 */
struct prm_ioc_version {
	__u32 abi;
	__u32 options;
	char release[56];
};

/**
 * struct prm_ioc_open - an extended open
 * @fd: descriptor of the dm device, opened with O_NONBLOCK
 * @options: PRM_OPEN_* bits; none of them means the default open
 * @reserved: must be zero
 */
struct prm_ioc_open {
	__s32 fd;
	__u32 options;
	__u64 reserved;
};

#define PRM_IOC_MAGIC		0xdb
#define PRM_IOC_VERSION		_IOR(PRM_IOC_MAGIC, 0, struct prm_ioc_version)
#define PRM_IOC_OPEN		_IOW(PRM_IOC_MAGIC, 1, struct prm_ioc_open)

#endif
