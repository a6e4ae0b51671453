# SPDX-License-Identifier: GPL-2.0-only
#
# make fuzz TARGET=wire SECONDS=600	open-ended; what it finds: build/fuzz/found/TARGET
# make fuzz-corpus TARGET=wire		what it found that is new goes into the corpus
# make check-fuzz			each corpus, and a short run with a fixed seed

FUZZ := build/fuzz
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(FUZZ)/%)
FUZZ_CFLAGS := -g -O1 $(WARN) $(INCLUDES) -MMD -MP -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

$(FUZZ)/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -c -o $@ $<

$(FUZZ)/pure.a: $(PURE:%.c=$(FUZZ)/%.o)
	@rm -f $@
	$(AR) rcs $@ $^

$(FUZZ_PROGRAMS): $(FUZZ)/%: $(FUZZ)/tests/fuzz/fuzz_%.o $(FUZZ)/pure.a
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(shell pkg-config --libs cmocka)

-include $(wildcard $(FUZZ)/*.d $(FUZZ)/*/*/*.d)

fuzz-programs: $(FUZZ_PROGRAMS)

check-fuzz: fuzz-programs
	tests/fuzz/run check

fuzz: fuzz-programs
	tests/fuzz/run fuzz $(TARGET) $(SECONDS)

fuzz-corpus: fuzz-programs
	tests/fuzz/run merge $(TARGET)

.PHONY: fuzz fuzz-programs fuzz-corpus check-fuzz
