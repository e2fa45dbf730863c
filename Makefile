# `make help` lists the targets. Everything is written to git-ignored folders, except by `evidence`,
# `bench`, `lock` and `format`, which update tracked files.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# Two at a time, which is for `test`. After `clean`, in the same call, one thing at a time.
ifeq ($(filter clean,$(MAKECMDGOALS)),)
MAKEFLAGS += --jobs=2
endif

# Without PROFILE, `figures` tries everything (smoke), `replay` shows each notebook as it is stored,
# and `evidence` is that of the CPU.
REPLAYED := $(or $(PROFILE),stored)
COMMITTED := $(or $(PROFILE),cpu)
PROFILE ?= smoke# smoke: does it run? minutes | cpu: evidence, hours | gpu: one GPU | paper: the real thing
PYTHON ?= python3# what .venv is made from; 3.11 or newer
UV_VERSION := 0.13.9

# An environment of your own, such as conda's: make figures BIN="$CONDA_PREFIX/bin"
BIN ?= .venv/bin
MCMI ?= $(BIN)/mcmi
ENVIRONMENT := $(if $(filter .venv/bin,$(BIN)),.venv/.installed)

NOTEBOOKS := $(sort $(wildcard notebooks/[0-9]*.ipynb))
NAMES := $(NOTEBOOKS:notebooks/%.ipynb=%)
NAMES := $(filter 14_%,$(NAMES)) $(filter-out 14_%,$(NAMES))# the one that trains starts first
CORE := $(wildcard mcmi_core/*.py mcmi_core/*/*.py mcmi_core/*/*/*.py)

.PHONY: help env figures replay site test test-faults test-browser lint format lock evidence bench bench-torchdistill clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

# What was written, with sizes; a single notebook may have drawn nothing.
list = du -ah $(1)/*.ipynb $(1)/figures/* 2>/dev/null || true

# --- results ---------------------------------------------------------------------------------

figures: build/$(PROFILE)/.made  ## train and execute every notebook into build/PROFILE [PROFILE=smoke|cpu|gpu|paper]
	@$(call list,build/$(PROFILE))

build/$(PROFILE)/.made: $(NOTEBOOKS) $(CORE) $(ENVIRONMENT)
	$(MCMI) notebook run $(NAMES) --profile $(PROFILE) --train --output build/$(PROFILE)
	@touch $@

replay: $(ENVIRONMENT)  ## execute every notebook from the committed records, without training
	rm -rf build/replay
	$(MCMI) notebook run $(NAMES) --profile $(REPLAYED) --output build/replay
	@$(call list,build/replay)

evidence: $(ENVIRONMENT)  ## update outputs, figures/ and records/ [PROFILE=cpu|gpu|paper ONLY=04_zero_shot MINUTES=9]
	$(MCMI) evidence --profile $(COMMITTED) $(ONLY:%=--only %) $(MINUTES:%=--minutes %)

site: build/site/index.html  ## a static site of documents, notebooks, scoreboard, records and API, into build/site

PAGES := README.md CONTRIBUTING.md SECURITY.md $(wildcard docs/* docs/static/* figures/* records/*)

build/site/index.html: $(PAGES) $(NOTEBOOKS) $(CORE) $(ENVIRONMENT)
	$(BIN)/python -m mcmi_core.report.site build/site

# --- checks ----------------------------------------------------------------------------------

test: test-units test-notebooks test-commands  ## unit tests, stored outputs of the notebooks, a short training

.PHONY: test-units test-notebooks test-commands
test-units: $(ENVIRONMENT)
	$(BIN)/pytest tests

test-notebooks: $(ENVIRONMENT)
	$(BIN)/pytest --nbval --nbval-current-env notebooks

test-commands: $(ENVIRONMENT)
	PATH="$$(cd "$(BIN)" && pwd):$$PATH" bash tests/end_to_end.sh

test-faults: $(ENVIRONMENT)  ## kill a sweep at 50 random moments, and 40 workers of a cluster; it ends as if left in peace
	$(BIN)/python tests/faults/kill_harness.py --kills 50
	$(BIN)/python tests/faults/cluster_harness.py --rounds 20

test-browser: $(ENVIRONMENT)  ## notebooks in JupyterLab, in a browser; needs Chromium: apt-get install chromium
	$(BIN)/pytest tests/browser --screenshot only-on-failure --output build/browser

lint: $(ENVIRONMENT)  ## ruff: rules and format, notebooks included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(ENVIRONMENT)  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- cost ------------------------------------------------------------------------------------

bench: $(ENVIRONMENT)  ## measure speed and memory on this machine's CPU, into benchmarks/results
	@mkdir -p benchmarks/results
	$(BIN)/python benchmarks/floor.py > benchmarks/results/floor.md
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/cmi_streaming.py
	$(BIN)/python benchmarks/evaluation_cost.py
	$(BIN)/python benchmarks/teacher_cache.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/packing.py --model resnet20 --steps 3

bench-torchdistill: $(ENVIRONMENT)  ## measure torchdistill beside; installs it under build/ (network, GB)
	$(BIN)/python benchmarks/beside_torchdistill.py

# --- environment -----------------------------------------------------------------------------

env: $(ENVIRONMENT)  ## make .venv from the lock [TORCH_BACKEND=lock|cpu|auto|cu128|...]

# Which torch: `lock` is the CUDA build of the lock, the others are uv's torch backends (`auto`
# looks at the machine). The stamp remembers the choice, so it is given once.
# Bytecode is compiled once, here: without it, kernels that start together all compile the same files.
UV := UV_COMPILE_BYTECODE=1 UV_PYTHON=.venv .venv/bin/uv
INSTALLED_BACKEND := $(shell cat .venv/.installed 2>/dev/null)
TORCH_BACKEND ?= $(or $(INSTALLED_BACKEND),lock)

ifneq ($(TORCH_BACKEND),$(INSTALLED_BACKEND))
.PHONY: .venv/.installed
endif

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/uv
	$(INSTALL)
	$(UV) pip install --no-deps --no-build-isolation --editable .
	@echo $(TORCH_BACKEND) > $@

ifneq ($(shell uname -sm),Linux x86_64)
define INSTALL
@echo "WARNING: the lock is for Linux x86_64. This is $$(uname -sm): installing the newest"
@echo "WARNING: releases that pyproject.toml admits instead. Numbers may differ from the records."
$(UV) pip install $(if $(filter-out lock,$(TORCH_BACKEND)),--torch-backend $(TORCH_BACKEND)) \
	"setuptools>=77" --requirements pyproject.toml --extra dev
endef
else ifeq ($(TORCH_BACKEND),lock)
define INSTALL
$(UV) pip sync --require-hashes requirements.lock
endef
else
# The lock without torch and the CUDA libraries; then both torch packages, at the lock's versions.
define INSTALL
awk '/^[a-z]/ { keep = !/^(torch|torchvision|triton|nvidia-[^=]*|cuda-[^=]*)==/ } keep' \
	requirements.lock > .venv/without-torch.lock
$(UV) pip sync --require-hashes .venv/without-torch.lock
$(UV) pip install --torch-backend $(TORCH_BACKEND) \
	$$(grep -oE '^(torch|torchvision)==[^ ]+' requirements.lock)
endef
endif

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: .venv \
	needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: \
	make env PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

lock: | .venv/bin/uv  ## pin pyproject.toml with hashes in requirements.lock; keeps the pins that still fit
	$(UV) pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
		--python-version 3.11 --python-platform x86_64-unknown-linux-gnu --quiet \
		--custom-compile-command "make lock" --output-file requirements.lock

clean:  ## remove what was built; keeps .venv and the trained runs in store/
	rm -rf build .pytest_cache .ruff_cache
