/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: every PR command, every verdict. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM prmpath

#if !defined(PRM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PRM_TRACE_H

#include <linux/tracepoint.h>

#include "compat.h"

TRACE_EVENT(prmpath_command,
	TP_PROTO(const char *device, const char *path, const char *action,
		 u64 key, u64 sa_key, u8 type, const char *result,
		 u32 sense, unsigned int tries, s64 usecs),
	TP_ARGS(device, path, action, key, sa_key, type, result, sense, tries, usecs),
	TP_STRUCT__entry(
		__string(device, device)
		__string(path, path)
		__string(action, action)
		__string(result, result)
		__field(u64, key)
		__field(u64, sa_key)
		__field(s64, usecs)
		__field(u32, sense)
		__field(unsigned int, tries)
		__field(u8, type)
	),
	TP_fast_assign(
		prm_assign_str(device, device);
		prm_assign_str(path, path);
		prm_assign_str(action, action);
		prm_assign_str(result, result);
		__entry->key = key;
		__entry->sa_key = sa_key;
		__entry->usecs = usecs;
		__entry->sense = sense;
		__entry->tries = tries;
		__entry->type = type;
	),
	TP_printk("%s path %s %s key=0x%llx sa_key=0x%llx type=%u: %s sense=%06x tries=%u usecs=%lld",
		  __get_str(device), __get_str(path), __get_str(action),
		  __entry->key, __entry->sa_key, __entry->type,
		  __get_str(result), __entry->sense, __entry->tries,
		  __entry->usecs)
);

TRACE_EVENT(prmpath_verdict,
	TP_PROTO(const char *device, const char *operation, u32 options,
		 const char *verdict, const char *state, u64 foreign,
		 unsigned int commands, unsigned int rounds, s64 usecs),
	TP_ARGS(device, operation, options, verdict, state, foreign, commands,
		rounds, usecs),
	TP_STRUCT__entry(
		__string(device, device)
		__string(operation, operation)
		__string(verdict, verdict)
		__string(state, state)
		__field(u64, foreign)
		__field(s64, usecs)
		__field(u32, options)
		__field(unsigned int, commands)
		__field(unsigned int, rounds)
	),
	TP_fast_assign(
		prm_assign_str(device, device);
		prm_assign_str(operation, operation);
		prm_assign_str(verdict, verdict);
		prm_assign_str(state, state);
		__entry->foreign = foreign;
		__entry->usecs = usecs;
		__entry->options = options;
		__entry->commands = commands;
		__entry->rounds = rounds;
	),
	TP_printk("%s %s options=0x%x: %s state=%s foreign=0x%llx commands=%u rounds=%u usecs=%lld",
		  __get_str(device), __get_str(operation), __entry->options,
		  __get_str(verdict), __get_str(state), __entry->foreign,
		  __entry->commands, __entry->rounds, __entry->usecs)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
