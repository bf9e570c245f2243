# Setting up, starting, testing. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# Superset's own environment (dashboards/README.md); Vigie looks for it beside its own.
SUPERSET := $(dir $(abspath $(VENV))).venv-superset
THOROUGH ?= 0
# Each worker of the suite runs whole instances: 0.5 GB and a core. By file: what a file's tests share (an instance, a build)
# is made once, not once per worker.
# Files with few tests are the long ones: in the order of folders, they come before the thousands of short ones.
PYTEST_ARGS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=5

.PHONY: help up down test lint format bench lock base dev superset

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 10

# A new home gets the simulated territory; one that exists goes on with what it holds.
up: base superset ## set up if needed, start an instance (a new one with a simulated territory) in the background, print its addresses
	@$(BIN)/vigie up --detach $$([ -e "$${VIGIE_HOME:-.vigie}/instance.toml" ] || echo --simulate chalons)

down: ## stop the instance
	@if [ -x $(BIN)/vigie ]; then $(BIN)/vigie down; else echo "nothing is set up here"; fi

test: dev superset ## run every test (THOROUGH=1: those of chance as often as at an acceptance)
	THOROUGH=$(THOROUGH) $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: dev ## check style, types, the boundaries between the rooms, the models' SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_project/models

format: dev ## format Python
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: dev superset ## measure, and write bench/RESULTS.md
	$(BIN)/python -m bench.run

# Versions and hashes, no registry address: pip uses the one this machine is configured for.
UV_COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11

lock: dev ## resolve the dependencies anew into requirements/*.lock
	$(BIN)/$(UV_COMPILE) pyproject.toml --output-file requirements/base.lock
	$(BIN)/$(UV_COMPILE) pyproject.toml --group dev --constraints requirements/base.lock --output-file requirements/dev.lock
	$(BIN)/$(UV_COMPILE) dashboards/requirements.in --output-file dashboards/requirements.lock

# What is installed is remembered by the lock's hash: a checkout that changes a lock installs again, a touched file does not.
# The development environment holds the base one.
define install
	@wanted=$$(cat requirements/$(1).lock pyproject.toml | sha256sum | cut -c1-64); \
	for done in $(2); do \
	  if [ "$$(cat $(VENV)/.installed-$$done 2>/dev/null)" = "$$(cat requirements/$$done.lock pyproject.toml | sha256sum | cut -c1-64)" ]; then exit 0; fi; \
	done; \
	echo "installing the locked dependencies ($(1)); a minute or two the first time" >&2; \
	rm -f $(VENV)/.installed-*; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/$(1).lock; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	echo "$$wanted" > $(VENV)/.installed-$(1)
endef

base: $(BIN)/python
	$(call install,base,base dev)

dev: $(BIN)/python
	$(call install,dev,dev)

superset: $(SUPERSET)/bin/python
	@wanted=$$(sha256sum < dashboards/requirements.lock | cut -c1-64); \
	if [ "$$(cat $(SUPERSET)/.installed 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
	echo "installing Superset's own environment; a minute or two the first time" >&2; \
	rm -f $(SUPERSET)/.installed; \
	$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement dashboards/requirements.lock; \
	echo "$$wanted" > $(SUPERSET)/.installed

$(SUPERSET)/bin/python:
	@$(PYTHON) -m venv $(SUPERSET)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Vigie needs Python 3.11; $(PYTHON) is $$($(PYTHON) --version 2>&1). Install it, or: make PYTHON=/path/to/python3.11 up" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
