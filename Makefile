# make demo    a virtual rack restores a machine from Git, end to end (KEEP=1 leaves it running)
# make test    everything: set up, check, protocols, lab; as root on Debian 12
# make check   what to run before a commit: no root; the first run needs the network
# make setup   set up only: Debian packages, .venv with rackwright
# make bench   one benchmark, NAME=... (ARGUMENTS=... for it); without a name it lists them
# make nightly the long tests and random crashes, as root: half an hour and more (ARGUMENTS="--moments 30")
# make lock    requirements.lock from pyproject.toml (UPGRADE=1 takes the newest versions)
# make agent-lock  the lock of the agent's package, from what Debian has now
# make clean   remove what was built

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables --no-print-directory
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
KEEP ?=
NAME ?=
UPGRADE ?=
ARGUMENTS ?=
export NAME

bin := .venv/bin
ready := .venv/.project-installed
editor := tests/editor/node_modules/.package-lock.json

# $(call timed,name,command): run the command and say how long it took.
timed = @TIMEFORMAT='== $(1): %0R s'; echo '== $(1)'; time { $(2); }

.PHONY: help setup demo test check lint types imports unit bench nightly lock agent-lock clean packages
help:
	@sed -n 's/^# make /make /p' Makefile

setup: packages $(ready)

demo: packages $(ready)
	$(bin)/rackwright lab demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

test: packages lint types imports $(editor)
	$(call timed,unit tests,$(bin)/pytest tests/unit --numprocesses=auto --durations=10)
	$(call timed,protocol tests,$(bin)/pytest tests/protocol -m "not nightly" --numprocesses=3 --dist=loadfile --no-loadscope-reorder --durations=25)
	$(call timed,lab tests,$(bin)/pytest tests/lab -m "not nightly" --durations=10)

check: lint types imports unit

lint: $(ready)
	$(call timed,ruff,$(bin)/ruff check . && $(bin)/ruff format --check .)

types: $(ready)
	$(call timed,mypy,$(bin)/mypy)

imports: $(ready)
	$(call timed,import-linter,$(bin)/lint-imports)

unit: $(ready)
	$(call timed,unit tests,$(bin)/pytest tests/unit --numprocesses=auto --durations=5)

bench: $(ready)
	@if [[ ! "$$NAME" =~ ^[a-z0-9_]+$$ || ! -f "benchmarks/$$NAME.py" ]]; then \
	    echo "There is no benchmark '$$NAME'. Use make bench NAME=... with one of:" >&2; \
	    find benchmarks -maxdepth 1 -name '[a-z]*.py' -printf '    %f\n' 2>/dev/null \
	        | sed 's/\.py$$//' | sort | grep . >&2 || echo '    (none yet)' >&2; \
	    exit 2; \
	fi
	$(bin)/python "benchmarks/$$NAME.py" $(ARGUMENTS)

nightly: $(ready)
	$(call timed,random crashes,PYTHONPATH=.:tests $(bin)/python tests/nightly/random_crashes.py $(ARGUMENTS))
	$(call timed,long tests,$(bin)/pytest tests/protocol tests/lab -m nightly)
	$(call timed,state machine,ANY_ORDER_EXAMPLES=1000 $(bin)/pytest tests/unit/test_loop_any_order.py)
	$(call timed,mutations,$(bin)/python tests/nightly/mutations.py)

# It may not depend on the environment, which depends on the lock.
lock:
	@[[ -x $(bin)/uv ]] || $(MAKE) $(ready)
	$(bin)/uv pip compile pyproject.toml --extra dev --quiet $(if $(UPGRADE),--upgrade) \
	    --generate-hashes --no-emit-index-url --no-header -p 3.11 -o requirements.lock

agent-lock: $(ready)
	$(bin)/python -m providers.agent_package.debian_lock

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

packages:
	@.ci/install-packages

$(ready): pyproject.toml .venv/.requirements-installed
	$(call timed,project,$(bin)/pip install --quiet --no-deps --no-build-isolation --editable .)
	@touch $@

.venv/.requirements-installed: requirements.lock | $(bin)/pip
	$(call timed,requirements,$(bin)/pip install --quiet --require-hashes -r requirements.lock)
	@touch $@

# Its scripts are not run; the lock has the digest of each package.
$(editor): tests/editor/package-lock.json
	$(call timed,editor,npm ci --prefix tests/editor --ignore-scripts --no-audit --no-fund --silent)
	@touch $@

# A half-made environment is removed, else the next run would take it for a whole one.
$(bin)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.11' >&2; exit 1; }
	$(call timed,virtual environment,$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; })
