# SPDX-License-Identifier: GPL-2.0-only
#
# make install-system	udev rules, units for systemd, examples (PREFIX, UDEVDIR, UNITDIR, DESTDIR)
# make install-dkms	the module's sources for DKMS, into /usr/src; then: dkms install dm-prmpath/VERSION
# make sign KEY= CERT=	signs the module that "make" has built, for Secure Boot
# make deb		Debian packages, into build/deb

UDEVDIR ?= /usr/lib/udev
UNITDIR ?= /usr/lib/systemd/system
LIBEXECDIR ?= $(PREFIX)/libexec/prmpath
DOCDIR ?= $(PREFIX)/share/doc/prmpath
DKMS_SOURCES = $(shell grep -v '^\#' packaging/dkms-sources)

# Units and rules name programs by their absolute paths.
place = install -d $(DESTDIR)$(2) && sed -e 's|@BINDIR@|$(PREFIX)/bin|g' -e 's|@UDEVDIR@|$(UDEVDIR)|g' \
	-e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' $(1) > $(DESTDIR)$(2)/$(notdir $(1)) && \
	chmod 644 $(DESTDIR)$(2)/$(notdir $(1))

install-system:
	$(foreach file,$(wildcard packaging/udev/*.rules),$(call place,$(file),$(UDEVDIR)/rules.d) &&) true
	$(foreach file,$(wildcard packaging/systemd/*),$(call place,$(file),$(UNITDIR)) &&) true
	install -Dt $(DESTDIR)$(UDEVDIR) scripts/prmpath-udev
	install -Dt $(DESTDIR)$(LIBEXECDIR) scripts/prmpath-device
	install -d $(DESTDIR)/etc/prmpath/devices $(DESTDIR)/etc/prmpath/hold
	install -Dt $(DESTDIR)$(DOCDIR)/examples -m 644 $(wildcard packaging/examples/*)

install-dkms:
	$(foreach file,$(DKMS_SOURCES),install -D -m 644 $(file) $(DESTDIR)/usr/src/dm-prmpath-$(RELEASE)/$(file) &&) true
	sed 's/#MODULE_VERSION#/$(RELEASE)/' packaging/dkms.conf > $(DESTDIR)/usr/src/dm-prmpath-$(RELEASE)/dkms.conf

sign:
	scripts/sign-module --kernel '$(KDIR)' '$(KEY)' '$(CERT)' $(BUILD)/dm-prmpath.ko

# From what is committed, in a folder of its own: nothing of the tree gets in by accident.
deb: deps
	scripts/make-deb $(RELEASE) build/deb

# What the cases in tests/vm/cases/package.py need.
guests-packages: guests deb
	scripts/guest-image --packages $(LINES)

# And in tests/vm/cases/secureboot.py.
guests-secureboot: guests
	scripts/kernels secureboot

.PHONY: install-system install-dkms sign deb guests-packages guests-secureboot
