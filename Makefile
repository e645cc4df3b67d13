# Every target sets up what it needs by itself: a fresh clone needs Python 3.11 or later, and nothing else.
# The environment lives in .venv; a second run finds it ready, a changed pyproject.toml brings it up to date.

PYTHON ?= python3
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

VENV := .venv
BIN := $(VENV)/bin

# What each target needs of pyproject.toml's extras.
EXTRAS_demo := train,report
EXTRAS_test := test
EXTRAS_check := test,check
EXTRAS_docs := train,report,docs
EXTRAS_setup := test,check,docs

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check bench docs
# One after the other, also under `make -j`: they share one environment.
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(VENV)/.ready-setup ## everything that developing needs, into .venv

demo: $(VENV)/.ready-demo ## the Learning Rate Comparison on handwritten digits; leaves a report in demo/
	@mkdir -p demo
	$(BIN)/pacesetter compare digits-mlp \
	  --optimizer sgd --optimizer "sgd(momentum=0.9)" --optimizer adam --optimizer rmsprop --optimizer adagrad \
	  --strategy "sgd(momentum=0.9) cosine" --strategy "sgd(momentum=0.9) plateau" \
	  --strategy "sgd(momentum=0.9) triangular" \
	  --lr 1e-5:10:2 --seeds 3 --store sqlite:///demo/pacesetter.db --out demo

test: $(VENV)/.ready-test ## all tests, on all cores
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-slow: $(VENV)/.ready-test ## the tests that kill processes again and again, a few minutes
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow

check: $(VENV)/.ready-check ## style, types, layers, exports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_exports.py

bench: $(VENV)/.ready-test ## each benchmark prints its table
	@set -e; for script in benchmarks/[!_]*.py benchmarks/find/run.py; do echo "$$script"; $(BIN)/python "$$script"; done

docs: $(VENV)/.ready-docs ## the documentation as web pages, into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# ----------------------------------------------------------------------------------------------------------- set-up

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found="$$($(PYTHON) --version 2>/dev/null || echo 'not there')"; \
	  echo "Pacesetter needs Python 3.11 or later, but $(PYTHON) is $$found." >&2; \
	  echo "Name one that is newer, such as: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Making $(VENV) failed: does $(PYTHON) have its venv module? (Debian, Ubuntu: package python3-venv)" >&2; exit 1; }
	@touch $@

# uv does in seconds what takes pip a minute. It is told of the folders of wheels that pip knows, if there are any, and
# where it is not to be had or cannot do it, pip does it.
$(VENV)/.ready-%: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing pacesetter[$(EXTRAS_$*)] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@links="$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null)}"; \
	  if [ -n "$$links" ]; then UV_FIND_LINKS="$$links"; export UV_FIND_LINKS; fi; \
	  { [ -x $(BIN)/uv ] && $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS_$*)]'; } \
	  || $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS_$*)]'
	@touch $@
