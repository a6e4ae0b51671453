# SPDX-License-Identifier: GPL-2.0-only
#
# make check-model		every configuration, to a depth of about a minute in all
# make check-model-long		deep: half an hour, 6 GB
# build/model/walk		long walks at random; part of both

MODEL := build/model/model
WALK := build/model/walk
MODEL_SRC := pr_map.c pr_wire.c $(wildcard tests/sim/*.c) \
	$(addprefix tests/model/,configs.c moves.c rules.c state.c)
MODEL_FLAGS := -std=gnu11 -O2 -g $(WARN) $(INCLUDES) -Itests/model
# A state that is kept by the million is small; on a walk there is one.
MODEL_SIZES := -DPW_MAX_PATHS=3 -DPW_KEYS_SIZE=1024 -DSIM_MAX_NEXUS=7 -DSIM_MAX_REGS=8 -DSIM_MAX_QUEUE=3
WALK_SIZES := -DPW_MAX_PATHS=3 -DPW_KEYS_SIZE=1024 -DSIM_MAX_NEXUS=8 -DSIM_MAX_REGS=24 -DSIM_MAX_QUEUE=8
$(MODEL): MODEL_FLAGS += $(MODEL_SIZES)
$(WALK): MODEL_FLAGS += $(WALK_SIZES)

$(MODEL): tests/model/explore.c
$(WALK): tests/model/walk.c
$(MODEL) $(WALK): $(MODEL_SRC) $(wildcard *.h tests/sim/*.h tests/model/*.h uapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(MODEL_FLAGS) -o $@ $(filter %.c,$^)

model: $(MODEL) $(WALK)

check-model: $(MODEL) $(WALK)
	$(MODEL)
	$(WALK)

check-model-long: $(MODEL) $(WALK)
	$(MODEL) --long
	$(WALK) --walks 20000000

.PHONY: model check-model check-model-long
