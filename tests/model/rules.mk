# SPDX-License-Identifier: GPL-2.0-only
#
# make check-model		every configuration, to a depth of about a minute in all
# make check-model-long		deep: half an hour, 6 GB

MODEL := build/model/model
MODEL_SRC := pr_map.c pr_wire.c $(wildcard tests/sim/*.c tests/model/*.c)
MODEL_FLAGS := -std=gnu11 -O2 -g $(WARN) $(INCLUDES) -Itests/model -DSIM_MAX_NEXUS=7 \
	-DSIM_MAX_REGS=8 -DSIM_MAX_QUEUE=3 -DPW_MAX_PATHS=3 -DPW_KEYS_SIZE=1024

$(MODEL): $(MODEL_SRC) $(wildcard *.h tests/sim/*.h tests/model/*.h uapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(MODEL_FLAGS) -o $@ $(MODEL_SRC)

model: $(MODEL)

check-model: $(MODEL)
	$(MODEL)

check-model-long: $(MODEL)
	$(MODEL) --long

.PHONY: model check-model check-model-long
