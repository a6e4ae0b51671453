# SPDX-License-Identifier: GPL-2.0-only
#
# make torture		two hosts, one LUN, everything that can happen to them: SECONDS= (120),
#			SEED= (random), KERNELS= (6.12); see tests/torture/README.md

# SECONDS is a variable of some shells: only make's own command line counts.
torture: guests
	tests/torture/run $(if $(filter command%,$(origin SECONDS)),$(SECONDS),120) \
		$(or $(SEED),$(shell od -An -N3 -tu4 /dev/urandom)) $(or $(KERNELS),6.12)

.PHONY: torture
