# `make` alone lists the targets. VENV=dir puts the environment elsewhere, PYTHON=… picks the interpreter.
VENV   ?= .venv
PYTHON ?= $(shell command -v python3 || command -v python)

BIN       := $(VENV)/bin
READY     := $(VENV)/.ready-to-test
CHECKABLE := $(VENV)/.ready-to-check
MANIFESTS := $(wildcard hookspecs/pyproject.toml lash_core/pyproject.toml lash_plugins/*/pyproject.toml)
TYPED     := $(wildcard hookspecs lash_core lash_plugins tests benchmarks demo docs/examples/lmdb_store)

# A worker per core and one more, since tests wait for processes and disks.
# PYTEST_FLAGS= runs the tests in one process, PYTEST_FLAGS="-n 0 -k word" picks some.
WORKERS      := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PYTEST_FLAGS ?= -n $(WORKERS)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes: without bytecode each of them would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv checkers demo test apart crash race conformance scaffold soak lint format types imports specs docs changelog check bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1 — /p' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## set up .venv once, then run demo/demo.py
	@$(BIN)/python demo/demo.py

test: $(READY) ## set up .venv once, then run every test but the long matrices
	@$(BIN)/pytest $(PYTEST_FLAGS)

apart: $(READY) ## each plugin's own tests in an environment without lash_core
	@$(BIN)/python tests/apart.py

crash: $(READY) ## the crash and race tests with their long matrices
	@$(BIN)/pytest $(PYTEST_FLAGS) tests/crash -m ""

race: $(READY) ## two writers on one session: 10,000 attempts each, and 1,000 turns each
	@$(BIN)/pytest $(PYTEST_FLAGS) tests/race -m ""

conformance: $(READY) ## the kit against all broken stores, and every store through it, ten times the attempts; writes conformance.json
	@$(BIN)/pytest $(PYTEST_FLAGS) lash_plugins/conformance/tests tests/conformance -m ""
	@$(BIN)/pytest $(PYTEST_FLAGS) tests/stores/test_conformance.py tests/stores/test_lmdb.py -m "" --lash-effort 10 --lash-report conformance.json

scaffold: $(CHECKABLE) ## a new plugin of each kind from the wheels alone: installed, tested, typed, shipped, removed
	@$(BIN)/pytest $(PYTEST_FLAGS) tests/scaffold -m ""

soak: $(READY) ## 3,000 turns in a session; 10,000 openings, 1,000 sessions parked for another process, long lifecycle walks
	@$(BIN)/pytest $(PYTEST_FLAGS) tests/e2e -m full

lint: $(CHECKABLE) ## style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(CHECKABLE) ## mend what can be mended without thought
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(CHECKABLE) ## strict types, in sources and tests
	@$(BIN)/mypy $(TYPED)
	@$(BIN)/python tests/support/check_templates.py

imports: $(CHECKABLE) ## the arrows between packages
	@$(BIN)/lint-imports --no-logo

specs: $(READY) ## write down the hook API (hookspecs/api) and the pages of the hooks, and say what is wrong with them
	@$(BIN)/python -m tests.specs

docs: $(CHECKABLE) ## build the site into site/; a broken link or reference fails
	@$(BIN)/zensical build --clean --strict

changelog: $(CHECKABLE) ## print the release notes that changelog.d/ makes
	@$(BIN)/towncrier build --draft --version next

check: lint types imports docs changelog ## everything but the tests

bench: $(READY) ## figures against raw floors; minutes, and never part of the tests
	@$(BIN)/python benchmarks/run.py

venv: $(READY) ## only set up the environment

checkers: $(CHECKABLE) ## set up the environment with the checking tools

clean: ## remove the environment and everything that was made
	rm -rf $(VENV) site .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Both stamps stand for a finished installation: an interrupted one is begun again, a finished one needs no network.
$(READY): requirements-dev.txt $(MANIFESTS) | $(BIN)/python
	@echo "==> Installing the workspace and its test tools into $(VENV) (once; about half a minute)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip  # uv makes environments without pip
	@$(BIN)/python -m pip install -q "$$(grep '^hatchling' requirements-dev.txt)"
	@$(BIN)/python -m pip install --no-build-isolation -r requirements-dev.txt
	@touch $@

$(CHECKABLE): requirements-ci.txt $(READY)
	@echo "==> Installing the checking tools into $(VENV)"
	@$(BIN)/python -m pip install -r requirements-ci.txt
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Lash needs Python 3.11 or newer; neither python3 nor python was found. Install it, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lash needs Python 3.11 or newer; %s is Python %s. Name another: make PYTHON=/path/to/python" % (sys.executable, sys.version.split()[0]))'
	@echo "==> Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
