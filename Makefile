# The commands for newcomers. Everything runs in .venv, which is made on first use and renewed when the lock changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SCRIPTS := .ci/run $(wildcard scripts/*.sh slurm/*.sh slurm/*.sbatch)
BENCHMARKS = $(notdir $(basename $(shell grep -l __main__ benchmarks/*.py)))
BENCH_FLAGS ?=
# Number of test processes; the tests of one file run in the same one. More than two do not help on two cores.
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## make .venv with the locked packages and this project in it (7 GB, a few minutes)

demo: $(INSTALLED) ## the whole path on phantom radiographs: demo-output/study/report.html (under 8 minutes on 2 cores)
	$(BIN)/python -m examples.demo demo-output

test: $(INSTALLED) ## all tests; those that need a GPU, Slurm or Chromium are skipped with a message where there is none
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)

lint: $(INSTALLED) ## ruff (format and rules), mypy strict, syntax of the shell scripts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@for script in $(SCRIPTS); do bash -n "$$script" || exit 1; done

bench: $(INSTALLED) ## every benchmark, both sides and the ratio (BENCH_FLAGS=--quick for a short look)
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m "benchmarks.$$name" $(BENCH_FLAGS) || exit 1; done

clean: ## remove .venv and what demo, tests and linters leave
	rm -rf .venv demo-output build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that an interrupted install is repeated.
$(INSTALLED): requirements.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install one and name it: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
