/* SPDX-License-Identifier: GPL-2.0-only */
/* The control node: extended opens by descriptor (rule 2.2). */
#ifndef PRM_CONTROL_H
#define PRM_CONTROL_H

int prm_control_init(void);
void prm_control_exit(void);

#endif
