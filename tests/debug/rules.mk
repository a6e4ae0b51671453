# SPDX-License-Identifier: GPL-2.0-only
#
# make check-debug	cases on kernels that look for memory errors, locking, leaks and
#			forgotten objects, and that fail allocations on request; some on
#			one that looks for data races; make check runs a short form of it
#	DEBUG_CASES=	as CASES
#	DEBUG_KERNELS=6.12-debug	one kernel
# make coverage-module	which lines of the module have run there; part of make coverage

DEBUG_KERNELS ?= $(DEBUG_LINES)
DEBUG_CASES ?=

build/debug/%: tests/debug/%.c uapi/prmpath.h
	@mkdir -p $(@D)
	$(CC) -O2 -static $(WARN) $(INCLUDES) -o $@ $<

# Targets have Debian's kernel.
debug-guests: guests build/debug/failnth
	scripts/debug-kernels $(DEBUG_KERNELS)
	scripts/guest-image $(DEBUG_KERNELS)
	$(foreach kernel,$(DEBUG_KERNELS),$(MAKE) --no-print-directory modules KVER=$(kernel) &&) true
	$(MAKE) --no-print-directory tools

check-debug: debug-guests
	rm -rf build/logs/gcov
	DEBUG_KERNELS="$(DEBUG_KERNELS)" CASES="$(DEBUG_CASES)" tests/run debug

coverage: coverage-module

coverage-module:
	tests/debug/coverage

.PHONY: debug-guests check-debug coverage coverage-module
