# SPDX-License-Identifier: GPL-2.0-only
#
# make				module and tools, into build/
# make modules KVER=6.1		for a kernel of this machine, or 6.1 or 6.12: Debian's
#				newest, unpacked in the cache; or KDIR=<headers>
# make install			module, command, library, manuals (PREFIX, DESTDIR)
# make install-cluster		agents for Pacemaker (DESTDIR)
# make demo			three VMs tell what this is for
# make check			all tests but the longest; check-unit: those that need no VM;
#				check-proof: model checker, fuzzing, mutants;
#				check-long: all
# make install-system		udev rules and units for systemd; install-dkms: sources for DKMS
# make deb			Debian packages, into build/deb; guests-packages: what their tests need
# make sign KEY= CERT=		signs the module for Secure Boot; guests-secureboot: what its tests need
# make torture			two hosts, one LUN, all that can happen to them (SECONDS= SEED=)
# make check-debug		cases and storms on kernels that check everything
# make coverage			lines and branches that the tests reach
# make bench, make lint, make deps, make clean, make clean-cache

RELEASE := $(shell sed -n 's/.*PRM_RELEASE[[:space:]]*"\(.*\)"/\1/p' dm-prmpath.c)
VERSION = $(RELEASE)$(addprefix +,$(shell git describe --always --dirty --exclude='*' 2>/dev/null))
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CACHE := $(or $(PRMPATH_CACHE),$(HOME)/.cache/dm-prmpath)
LINES := 6.1 6.12
DEBUG_LINES := 6.1-debug 6.12-debug 6.12-kcsan
.DEFAULT_GOAL := all

all: modules tools

# --- which kernel -----------------------------------------------------------------

newest = $(shell ls -d $(1) 2>/dev/null | sort -V | tail -n 1)
headers_of = $(wildcard /lib/modules/$(1)/build)
# As uname -r has it; in Debian's headers for 6.1, kernel.release is another one.
release_of = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(1)/include/generated/utsrelease.h)

ifdef KDIR
KVER ?= $(call release_of,$(KDIR))
else ifdef KVER
KDIR := $(if $(filter $(KVER),$(LINES) $(DEBUG_LINES)),$(CACHE)/kernels/$(KVER)/build,$(or \
	$(call headers_of,$(KVER)),/usr/src/linux-headers-$(KVER)))
else
KDIR := $(or $(call headers_of,$(shell uname -r)),$(call newest,/lib/modules/*/build),$(call \
	newest,/usr/src/linux-headers-*-$(shell dpkg --print-architecture 2>/dev/null)))
KVER := $(if $(KDIR),$(call release_of,$(KDIR)),$(lastword $(LINES)))
KDIR := $(or $(KDIR),$(CACHE)/kernels/$(KVER)/build)
endif

# --- the module: each kernel builds from links in a folder of its own -------------

BUILD := build/$(KVER)
KBUILD = $(MAKE) --no-print-directory -C $(KDIR) M=$(CURDIR)/$(BUILD) CONFIG_DEBUG_INFO_BTF_MODULES= $(if $(filter %-debug,$(KVER)),GCOV_PROFILE=y)

modules: $(if $(filter $(KVER),$(LINES) $(DEBUG_LINES)),kernel-$(KVER))
	@mkdir -p $(BUILD)
	@ln -sfn $(addprefix ../../,Kbuild uapi $(wildcard *.c *.h)) $(BUILD)
	+$(KBUILD) modules

kernel-%:
	@scripts/$(if $(filter $*,$(LINES)),kernels,debug-kernels) $*

# --- the command and the library --------------------------------------------------

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra
INCLUDES := -I. -Iuapi -Itools -Itests
TOOLS := build/tools
SONAME := libprmpath.so.1
tool_cflags = $(WARN) $(INCLUDES) -fPIC -DPRMPATH_VERSION='"$(VERSION)"' \
	$(shell pkg-config --cflags devmapper smartcols)

COMMAND := $(patsubst tools/%.c,$(TOOLS)/%.o,$(wildcard tools/*.c))

tools: $(TOOLS)/prmpath $(TOOLS)/prmpath-key $(TOOLS)/$(SONAME) $(TOOLS)/libprmpath.pc

$(TOOLS)/%.o: tools/%.c tools/libprmpath.h tools/command.h uapi/prmpath.h
	@mkdir -p $(@D)
	$(CC) $(tool_cflags) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(TOOLS)/prmpath.o: $(TOOLS)/version

$(TOOLS)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@

# The command runs it from where it is itself.
$(TOOLS)/prmpath-key: scripts/prmpath-key
	@mkdir -p $(@D)
	ln -sfn ../../$< $@

# The command carries the library inside: it also runs uninstalled.
$(TOOLS)/prmpath: $(COMMAND)
	$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs devmapper smartcols)

$(TOOLS)/$(SONAME): $(TOOLS)/libprmpath.o tools/libprmpath.map
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=tools/libprmpath.map \
		-o $@ $< $(shell pkg-config --libs devmapper)

# Each time: PREFIX may be another one.
$(TOOLS)/libprmpath.pc: tools/libprmpath.pc.in FORCE
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
		-e 's|@INCLUDEDIR@|$${prefix}/include|' -e 's|@VERSION@|$(RELEASE)|' $< > $@

install: modules install-tools
	$(KBUILD) CONFIG_MODULE_SIG_ALL= INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(if $(DESTDIR),,depmod -a $(call release_of,$(KDIR)))

# The module needs a kernel's headers; everything else does not.
install-tools: tools
	install -Dt $(DESTDIR)$(PREFIX)/bin $(TOOLS)/prmpath scripts/prmpath-key
	install -Dt $(DESTDIR)$(LIBDIR) -m 644 $(TOOLS)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libprmpath.so
	install -Dt $(DESTDIR)$(PREFIX)/include -m 644 tools/libprmpath.h uapi/prmpath.h
	install -Dt $(DESTDIR)$(LIBDIR)/pkgconfig -m 644 $(TOOLS)/libprmpath.pc
	install -Dt $(DESTDIR)$(PREFIX)/share/dm-prmpath -m 644 scripts/modprobe-multipath.conf
	install -D -m 644 tools/prmpath.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/prmpath
	$(foreach n,3 7 8,install -Dt $(DESTDIR)$(PREFIX)/share/man/man$(n) -m 644 man/*.$(n) &&) true
	ln -sf libprmpath.3 $(DESTDIR)$(PREFIX)/share/man/man3/prm_open.3
	ln -sf ../man7/prmpath-cluster.7 $(DESTDIR)$(PREFIX)/share/man/man8/fence_prmpath.8
	$(if $(DESTDIR),,ldconfig || true)

# Where Pacemaker looks for agents, whatever PREFIX is.
install-cluster:
	install -Dt $(DESTDIR)/usr/lib/ocf/resource.d/prmpath cluster/prmpath
	install -Dt $(DESTDIR)/usr/sbin cluster/fence_prmpath

# --- unit tests: the pure sources, unchanged, under sanitizers --------------------

UNIT := build/unit
PURE := $(wildcard pr_wire.c pr_map.c table.c path_select.c tests/sim/*.c)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(UNIT)/%,$(wildcard tests/unit/test_*.c))
UNIT_CFLAGS := -g -O1 $(WARN) $(INCLUDES) -MMD -MP -fsanitize=address,undefined -fno-sanitize-recover

$(UNIT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

# An archive: a test that includes a source to reach its statics does not get it twice.
$(UNIT)/pure.a: $(PURE:%.c=$(UNIT)/%.o)
	@rm -f $@
	$(AR) rcs $@ $^

$(UNIT)/%: tests/unit/%.c $(UNIT)/pure.a
	$(CC) $(UNIT_CFLAGS) -o $@ $< $(UNIT)/pure.a \
		$(shell pkg-config --libs cmocka devmapper smartcols)

-include $(wildcard $(UNIT)/*.d $(UNIT)/*/*.d $(UNIT)/*/*/*.d)

check-unit: tools $(UNIT_TESTS)
	tests/run unit

# The model checker and the fuzz targets come from the rules of their folders.
check-proof: model fuzz-programs
	tests/run proof

# --- everything that needs guests -------------------------------------------------

# Prerequisites in steps, because the first installs what the next ones use.
guests: deps
	scripts/kernels $(LINES)
	scripts/guest-image $(LINES)
	$(foreach line,$(LINES),$(MAKE) --no-print-directory modules KVER=$(line) &&) true
	$(MAKE) --no-print-directory tools

# Of the debug kernels one and shorter storms, for the sake of time: make check-debug has all.
check: DEBUG_KERNELS = 6.12-debug
check: export STORM_ROUNDS ?= 60
check: guests-packages guests-secureboot debug-guests
	+$(MAKE) --no-print-directory -j$(shell nproc) $(UNIT_TESTS) model fuzz-programs
	DEBUG_KERNELS="$(DEBUG_KERNELS)" tests/run unit proof vm debug

# The cluster's cases boot an image of their own.
guests-cluster: guests
	scripts/guest-image --cluster $(LINES)

check-long: guests-packages guests-cluster guests-secureboot debug-guests
	+$(MAKE) --no-print-directory -j$(shell nproc) $(UNIT_TESTS) model fuzz-programs
	DEBUG_KERNELS="$(DEBUG_KERNELS)" tests/run unit proof vm long debug

demo: guests
	tests/demo/run

bench: guests
	tests/bench/run

# --- style ------------------------------------------------------------------------

# What does not fit: version checks in code out of the tree; BIT() and u32 where user
# space compiles it too; layout rules in the tables of TRACE_EVENT.
CHECKPATCH = $(CACHE)/checkpatch/checkpatch.pl --no-tree --strict --terse --quiet --no-summary \
	--show-types --ignore
KERNEL_C = $(filter-out trace.h,$(wildcard *.c *.h uapi/*.h))
USER_C = $(wildcard tools/*.[ch] tests/unit/*.[ch] tests/sim/*.[ch] tests/bench/*.c \
	tests/model/*.[ch] tests/fuzz/*.[ch] tests/torture/*.c tests/debug/*.c)

lint: deps $(addprefix lint-,$(LINES))
	@scripts/kernels checkpatch
	$(CHECKPATCH) LINUX_VERSION_CODE,CONSTANT_COMPARISON,MACRO_ARG_UNUSED,CONST_STRUCT,BIT_MACRO,PREFER_KERNEL_TYPES -f $(KERNEL_C)
	$(CHECKPATCH) LINUX_VERSION_CODE,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT -f $(wildcard trace.h)
	$(CHECKPATCH) PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,CAMELCASE,ARRAY_SIZE,SPLIT_STRING,STATIC_CONST_CHAR_ARRAY,FUNCTION_ARGUMENTS,SPACING -f $(USER_C)
	for f in $(sort $(filter %.c,$(PURE) $(USER_C))); do \
		clang -Werror $(tool_cflags) -c -o /dev/null $$f || exit; done

# Sparse does not fail the build when it warns.
lint-%: kernel-%
	@mkdir -p build
	$(MAKE) --no-print-directory modules KVER=lint-$* KDIR=$(CACHE)/kernels/$*/build \
		W=1 C=2 KCFLAGS=-Werror > build/lint-$*.log 2>&1 || { cat build/lint-$*.log; false; }
	! grep -E 'warning:|error:' build/lint-$*.log

# --- tests that bring their own rules ---------------------------------------------

-include $(wildcard tests/*/rules.mk)

# --- udev, systemd, DKMS, Debian packages, signatures -----------------------------

include packaging/rules.mk

# --- the rest ---------------------------------------------------------------------

deps:
	@scripts/deps

clean:
	rm -rf build

clean-cache:
	rm -rf $(CACHE)

.PHONY: all modules tools install install-tools install-cluster guests-cluster check-unit check-proof check check-long guests demo bench lint deps clean \
	clean-cache FORCE
.SECONDARY:
.DELETE_ON_ERROR:
