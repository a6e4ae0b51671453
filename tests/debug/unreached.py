# SPDX-License-Identifier: GPL-2.0-only
"""Lines of the module that no case is made to reach, and why: source, function, text, reason.

The text is some of the block that has not run; None: any block of the function.
"""
UNREACHED = [
    ('lun.c', 'open_locked', 'return -ENXIO;',
     'the device goes between the check of device-mapper and ours, some instructions later'),
    ('route.c', 'route', 'this_cpu_dec(*path->lun_path->writes)',
     'the gate closes between the choice of a path and the second look, some instructions later'),
]
