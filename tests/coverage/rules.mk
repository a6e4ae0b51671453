# SPDX-License-Identifier: GPL-2.0-only
#
# make coverage-pure	what unit tests, fuzz corpora and the model checker reach of the pure sources;
#			part of make coverage

COVERAGE := build/coverage
COVERAGE_CFLAGS := -g -O0 $(WARN) $(INCLUDES) -MMD -MP --coverage
COVERAGE_TESTS := $(patsubst tests/unit/%.c,$(COVERAGE)/%,$(wildcard tests/unit/test_*.c))
COVERAGE_FUZZ := $(patsubst tests/fuzz/%.c,$(COVERAGE)/%,$(wildcard tests/fuzz/fuzz_*.c))

$(COVERAGE)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COVERAGE_CFLAGS) -c -o $@ $<

$(COVERAGE)/pure.a: $(PURE:%.c=$(COVERAGE)/%.o)
	@rm -f $@
	$(AR) rcs $@ $^

$(COVERAGE_TESTS): $(COVERAGE)/%: $(COVERAGE)/tests/unit/%.o $(COVERAGE)/pure.a
	$(CC) --coverage -o $@ $^ $(shell pkg-config --libs cmocka devmapper smartcols)

$(COVERAGE_FUZZ): $(COVERAGE)/%: $(COVERAGE)/tests/fuzz/%.o $(COVERAGE)/tests/fuzz/replay.o \
		$(COVERAGE)/pure.a
	$(CC) --coverage -o $@ $^ $(shell pkg-config --libs cmocka)

# The model checker and the walks are built with limits of their own.
COVERAGE_MODEL := $(COVERAGE)/model_checker $(COVERAGE)/walks
COVERAGE_MODEL_SRC := pr_map.c pr_wire.c $(wildcard tests/sim/*.c tests/model/*.c)
COVERAGE_MODEL_FLAGS = $(filter-out -O%,$(MODEL_FLAGS)) -O1 --coverage

$(COVERAGE)/model/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COVERAGE_MODEL_FLAGS) $(MODEL_SIZES) -c -o $@ $<

$(COVERAGE)/walk/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COVERAGE_MODEL_FLAGS) $(WALK_SIZES) -c -o $@ $<

$(COVERAGE)/model_checker: $(patsubst %.c,$(COVERAGE)/model/%.o, \
	$(filter-out %/walk.c,$(COVERAGE_MODEL_SRC)))
$(COVERAGE)/walks: $(patsubst %.c,$(COVERAGE)/walk/%.o,$(filter-out %/explore.c,$(COVERAGE_MODEL_SRC)))
$(COVERAGE_MODEL):
	$(CC) --coverage -o $@ $^

-include $(wildcard $(COVERAGE)/*.d $(COVERAGE)/*/*/*.d)

coverage: coverage-pure

coverage-pure: tools $(COVERAGE_TESTS) $(COVERAGE_FUZZ) $(COVERAGE_MODEL)
	tests/coverage/run $(filter-out tests/%,$(PURE))

.PHONY: coverage coverage-pure
