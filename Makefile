# fairq: the extension is built by PGXS, the driver and the C++ tests by CMake (CMakeLists.txt). `make help` lists what
# people type. Another server than the default one: make PG_CONFIG=/path/to/pg_config …

EXTENSION  = extension/fairq
EXTVERSION = 0.1.0
MODULE_big = fairq
OBJS       = $(patsubst %.cpp,%.o,$(sort $(wildcard extension/src/*.cpp extension/src/*/*.cpp extension/src/*/*/*.cpp)))
DATA       = $(sort $(wildcard sql/*--*--*.sql))
DATA_built = sql/fairq--$(EXTVERSION).sql

# make WERROR=-Werror, as .ci/run does, turns every warning into an error.
PG_CPPFLAGS = -Iextension/src -DFAIRQ_VERSION='"$(EXTVERSION)"'
PG_CXXFLAGS = -std=c++17 -MMD -MP -Wall -Wextra -Wshadow -Wno-register -Wno-unused-parameter \
              -fvisibility=hidden -fvisibility-inlines-hidden $(WERROR)
SHLIB_LINK  = -lstdc++ -Wl,--version-script=build/exports.map
EXTRA_CLEAN = build $(wildcard extension/src/*.[od] extension/src/*/*.[od] extension/src/*/*/*.[od])

# PGXS's own installcheck cannot start a server as root, and writes into the source tree: ours is run-regress.
NO_INSTALLCHECK = 1

PG_CONFIG ?= pg_config
export PG_CONFIG
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
.DEFAULT_GOAL := all

ifneq ($(wildcard $(PGXS)),)

override with_llvm := no   # PGXS compiles bitcode without PG_CXXFLAGS, that is with clang's default C++14
override autodepend :=     # its dependency files collide for equal names in two folders; ours are the -MMD above
include $(PGXS)
-include $(OBJS:.o=.d)

$(OBJS): Makefile | supported

supported:
	$(if $(filter 14 15 16 17 18,$(MAJORVERSION)),,$(error fairq builds with PostgreSQL 14 to 18, and $(PG_CONFIG) is PostgreSQL $(VERSION)))

sql/fairq--$(EXTVERSION).sql: sql/fairq.sql Makefile
	cp $< $@

# Hidden visibility is not enough: what the standard library's templates become in our objects stays visible.
fairq.so: build/exports.map

# For tests that have to be seen to fail: the library with one of its rules left out.
# $(1): folder, $(2): source, without its ending, $(3): what leaves the rule out
define altered_library
altered: build/$(1)/fairq.so

build/$(1)/fairq.so: build/$(1)/$(notdir $(2)).o $$(filter-out $(2).o,$$(OBJS)) build/exports.map
	$$(LINK.shared) -o $$@ $$(filter %.o,$$^) $$(LDFLAGS) $$(LDFLAGS_SL) $$(SHLIB_LINK)

# After the other object, which knows what else it depends on.
build/$(1)/$(notdir $(2)).o: $(2).cpp $(2).o
	@mkdir -p $$(@D)
	$$(COMPILE.cc) -D$(3) $$< -o $$@

endef

$(eval $(call altered_library,without_tenant_lock,extension/src/tables/tenant_lock,FAIRQ_TEST_WITHOUT_TENANT_LOCK))
$(eval $(call altered_library,without_invalidation,extension/src/shared/ring/memory,FAIRQ_TEST_WITHOUT_INVALIDATION))
$(eval $(call altered_library,believing_page_hints,extension/src/tables/lane_reader,FAIRQ_TEST_BELIEVING_PAGE_HINTS))
$(eval $(call altered_library,holding_unseen,extension/src/core/holds,FAIRQ_TEST_HOLDING_UNSEEN))
$(eval $(call altered_library,one_job_a_sweep,extension/src/queue/sweep,FAIRQ_TEST_ONE_JOB_A_SWEEP))
$(eval $(call altered_library,believing_clock,extension/src/queue/sweep,FAIRQ_TEST_BELIEVING_CLOCK))
$(eval $(call altered_library,failing_as_a_whole,extension/src/queue/lease,FAIRQ_TEST_FAILING_AS_A_WHOLE))
$(eval $(call altered_library,without_openings,extension/src/shared/ring/memory,FAIRQ_TEST_WITHOUT_OPENINGS))

build/exports.map: Makefile
	@mkdir -p build
	@echo '{ global: fairq_*; pg_finfo_fairq_*; _PG_init; Pg_magic_func; local: *; };' >$@

else

# Nothing to build with yet. help, deps, demo and test work all the same: the latter two install what is missing.
all altered install uninstall installcheck supported:
	@echo 'fairq needs the server headers of PostgreSQL 14 to 18, and $(PG_CONFIG) knows of none: run "make deps" (Debian), or name another pg_config by PG_CONFIG=' >&2; exit 1

clean:
	rm -rf $(EXTRA_CLEAN) $(DATA_built) fairq.so

endif

# As many compilers as processors, unless make was started with a -j of its own.
JOBS   = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
QUIET  = $(MAKE) --silent --no-print-directory
SCRIPT = tests/support

all: ## build the extension (the default)

install: ## install the extension: sudo make install

installcheck: ## regression and isolation tests of the installed extension (REGRESS="name…" for some of them)
ifneq ($(wildcard $(PGXS)),)
	@$(SCRIPT)/run-regress $(REGRESS) $(ISOLATION)
endif

help: ## list these commands
	@awk -F ':[^#]*## ' '/^[a-z-]+:[^#]*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

deps: ## install what is missing (Debian and its kin; quiet when nothing is)
	@$(SCRIPT)/install-deps

build: all altered driver ## build the extension, the driver (build/fairq) and the tests

driver:
	@mkdir -p build
	@cmake -S . -B build -G 'Unix Makefiles' -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	    -DCMAKE_COMPILE_WARNING_AS_ERROR=$(if $(WERROR),ON,OFF) >build/configure.log 2>&1 \
	    || { cat build/configure.log >&2; exit 1; }
	+@cmake --build build -- --silent --no-print-directory >build/build.log

# Each step is a make of its own, because the first may install the pg_config that the second starts by asking.
prepare:
	@$(SCRIPT)/install-deps
	@echo 'building the extension'
	+@$(QUIET) $(JOBS) all
	@echo 'building the driver and the tests'
	+@$(QUIET) $(JOBS) driver
	@$(SCRIPT)/install-extension

# On a server of its own, whatever server the caller's environment names.
demo: prepare ## install what is missing, build, and run the scaling validation on a throw-away server
	@env -u PGHOST -u PGHOSTADDR -u PGPORT -u PGSERVICE -u PGDATABASE build/fairq run scaling --profile smoke

test: ## install what is missing, build, and run every test; the last line is "N passed, N failed"
	+@MAKE="$(MAKE)" $(SCRIPT)/run-tests

model: ## check the rules of leases, caps, lanes and holds in every order of steps, by spin
	@tests/model/run

lint: all ## the walls between the layers, exported symbols, sizes; and that these checks can fail
	@$(SCRIPT)/lint
	@$(SCRIPT)/lint-selftest

SOURCES = $(shell find extension driver tests -name '*.cpp' -o -name '*.hpp')

format-check: ## is everything formatted as .clang-format says?
	@clang-format --dry-run -Werror $(SOURCES)

format: ## format everything
	@clang-format -i $(SOURCES)

bench: prepare ## benchmarks (not a test); BENCH_MINUTES=15, BENCH_ROWS="claims depth" for some of them
	@$(SCRIPT)/install-deps --bench
	@tests/bench/run

dist: ## a source archive of the last commit
	git archive --format=zip --prefix=fairq-$(EXTVERSION)/ -o fairq-$(EXTVERSION).zip HEAD

clean: ## remove what was built

.PHONY: all altered install uninstall installcheck supported help deps build driver prepare demo test model lint \
        format-check format bench dist clean
