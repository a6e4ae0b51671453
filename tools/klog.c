// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module says in the kernel log why it refuses: pass that on, so that
 * nobody has to look for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static int klog_fd = -1;

/* Remember the end of the log; without the right to read it there is no log. */
void klog_begin(void)
{
	if (klog_fd < 0)
		klog_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (klog_fd >= 0)
		lseek(klog_fd, 0, SEEK_END);
}

static bool klog_is_ours(const char *text)
{
	return strstr(text, "prmpath: ") || strstr(text, "device-mapper: table: ") ||
	       strstr(text, "device-mapper: ioctl: ");
}

/* Print what was logged since. */
void klog_tell(void)
{
	char record[2048];
	ssize_t len;
	char *text;

	while (klog_fd >= 0) {
		len = read(klog_fd, record, sizeof(record) - 1);
		/* EPIPE: records were overwritten, and the next ones follow. */
		if (len < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		text = strchr(record, ';');
		if (!text || !klog_is_ours(text))
			continue;
		text[strcspn(text, "\n")] = '\0';
		complain("the kernel says: %s", text + 1);
	}
	if (klog_fd >= 0)
		close(klog_fd);
	klog_fd = -1;
}
