# The verbs of the project. They need Python 3.11 or newer with pip, and make; everything else they bring along.
#   make PYTHON=/usr/bin/python3.12 test    another interpreter
#   make test ARGS="-k tariff"              more arguments for the tool behind a verb

PYTHON ?= python3
JOBS ?= 2
ARGS ?=
BIN := .venv/bin
ENVIRONMENT := PYTHON="$(PYTHON)" requirements/environment.sh

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo serve test torture lint bench docs lock clean FORCE

help: ## show the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.run ## the whole story on real data; leaves its results in demo/
	$(BIN)/apportion demo $(ARGS)

serve: .venv/.run ## a node: API and console on one port
	$(BIN)/apportion serve $(ARGS)

test: .venv/.dev ## every test but the long hostile ones
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

torture: .venv/.dev ## the long hostile tests: kills, power cuts, races
	$(BIN)/python -m pytest -q -m torture $(ARGS)

lint: .venv/.dev ## format, style, types, floors, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry src

bench: .venv/.dev ## measure; results as JSON
	$(BIN)/python -m benchmarks $(ARGS)

docs: .venv/.dev ## build the documentation; fails on a dead link or a stale generated page
	$(if $(wildcard docs/generate.py),$(BIN)/python docs/generate.py --check)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: ## resolve the dependencies anew (UPGRADE=1 takes newer versions)
	$(ENVIRONMENT) lock

clean: ## remove everything that the other verbs made
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	rm -rf build demo dist site
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

# An interpreter that is named is looked at every time, the default one when something has changed.
ifneq ($(origin PYTHON),file)
.venv/.run .venv/.dev: FORCE
endif
FORCE:

.venv/.run: requirements/run.lock pyproject.toml
	@$(ENVIRONMENT) run

.venv/.dev: requirements/dev.lock pyproject.toml
	@$(ENVIRONMENT) dev
