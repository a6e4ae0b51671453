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

# The model checker, where there is one, is built with limits of its own.
COVERAGE_MODEL := $(if $(wildcard tests/model/*.c),$(COVERAGE)/model_checker)

$(COVERAGE)/model/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -O%,$(MODEL_FLAGS)) $(MODEL_SIZES) -O1 --coverage -c -o $@ $<

$(COVERAGE)/model_checker: $(patsubst %.c,$(COVERAGE)/model/%.o,pr_map.c pr_wire.c \
		$(wildcard tests/sim/*.c) $(filter-out %/walk.c,$(wildcard tests/model/*.c)))
	$(CC) --coverage -o $@ $^

-include $(wildcard $(COVERAGE)/*.d $(COVERAGE)/*/*/*.d)

coverage: coverage-pure

coverage-pure: tools $(COVERAGE_TESTS) $(COVERAGE_FUZZ) $(COVERAGE_MODEL)
	tests/coverage/run $(filter-out tests/%,$(PURE))

.PHONY: coverage coverage-pure
