# Orbitope. On a fresh machine with Python >= 3.11, venv and make:
#
#   make demo   the main job on real data, from nothing to report.html
#   make test   every check and every test
#   make zoo    the analysis over public architectures; writes docs/coverage.md and docs/coverage.json
#   make web    the explorer's page, which `orbitope explore` shows; needs Node.js >= 20.19 with npm
#
# PYTHON    the interpreter that .venv is made from               make demo PYTHON=python3.12
# PIP_ARGS  handed to every pip install                           make test PIP_ARGS="--find-links wheels"
# ARGS      handed to the command: orbitope demo, or pytest       make demo ARGS="--seed 7"
# JOBS      test processes                                        make test JOBS=8

PYTHON   ?= python3
PIP_ARGS ?=
ARGS     ?=
JOBS     ?= 2

VENV := .venv
BIN  := $(VENV)/bin

# One thread per process: the processes, not the threads inside them, share the cores.
SINGLE_THREADED := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test web web-test web-if-possible docs zoo oracle check lint types layers format clean distclean

help:
	@echo "make demo       install into .venv and run the demonstration; it says where its report is"
	@echo "make test       install into .venv, then run every check and every test"
	@echo "make web        build the page of orbitope explore (needs Node.js 20.19 or newer with npm)"
	@echo "make web-test   check and test the page's own code"
	@echo "make docs       compute every number of docs/why.md again: a minute"
	@echo "make oracle     audit the rule of every operation against the operation and write docs/oracle.md: ten minutes"
	@echo "make zoo        analyse 700 public architectures, write docs/coverage.md: two hours of one idle core, 8 GB"
	@echo "make check      the checks alone: ruff, basedpyright, import-linter"
	@echo "make format     rewrite the sources in the one format"
	@echo "make clean      remove caches and build output"
	@echo "make distclean  remove the environments too"

# --- the two commands ---------------------------------------------------------------------------------------------

demo: $(VENV)/installed-demo
	$(BIN)/orbitope demo $(ARGS)

test: check web-if-possible
	$(SINGLE_THREADED) $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# --- the explorer's page ------------------------------------------------------------------------------------------

NPM := npm --prefix web
PAGE := src/orbitope/explorer/assets/index.html
NPM_PACKAGES := web/node_modules/.package-lock.json

web: $(PAGE)

web-test: $(NPM_PACKAGES)
	$(NPM) run check
	$(NPM) test

$(PAGE): $(NPM_PACKAGES) $(shell find web/index.html web/*.* web/src web/scripts -type f 2>/dev/null)
	$(NPM) run build

$(NPM_PACKAGES): web/package.json web/package-lock.json
	$(NPM) ci
	@touch $@

# What the tests need of it. Where it cannot be had they go on without: those of the page then say that they did not run.
web-if-possible:
	@if ! command -v npm >/dev/null 2>&1 || ! node -e "$(modern)" >/dev/null 2>&1; then \
		echo "Node.js 20.19 or newer with npm was not found: $(without)"; \
	elif ! $(MAKE) --no-print-directory $(NPM_PACKAGES); then \
		echo "npm could not install what web/package-lock.json names: $(without)"; \
	else \
		$(MAKE) --no-print-directory web; \
	fi

modern  := const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)
without := the explorer's page is not built anew, and tests that need it will be skipped

# --- the oracle ---------------------------------------------------------------------------------------------------
# Every call of tests/oracle/calls.txt with many exchanges of positions: ten minutes.

oracle: $(VENV)/installed-dev
	$(SINGLE_THREADED) $(BIN)/python -m tests.oracle.sweep docs/oracle.md

# --- the zoo ------------------------------------------------------------------------------------------------------
# Not part of the tests. Two environments of its own, because torchvision asks for a newer torch than the package pins.
# Both need about 8 GB of disk and a model at most 8 GB of memory. The whole takes about two hours of one idle core, most
# of it torch.export. It goes on where it was stopped; remove zoo.jsonl to begin anew. One model at a time, unless
# ARGS="--jobs 2". What has been measured so far becomes the page at any time with the last of the three commands.

ZOO := benchmarks/zoo

zoo: .venv-zoo-transformers/installed .venv-zoo-vision/installed
	$(SINGLE_THREADED) .venv-zoo-transformers/bin/python $(ZOO)/sweep.py --library nn --library transformers $(ARGS)
	$(SINGLE_THREADED) .venv-zoo-vision/bin/python $(ZOO)/sweep.py --library torchvision --library timm $(ARGS)
	.venv-zoo-transformers/bin/python $(ZOO)/coverage.py zoo.jsonl --into docs

.venv-zoo-%/installed: $(ZOO)/requirements-%.txt pyproject.toml
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check $(PIP_ARGS) --requirement $< --editable .
	@touch $@

# --- checks -------------------------------------------------------------------------------------------------------

check: lint types layers

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/installed-dev
	$(BIN)/basedpyright

layers: $(VENV)/installed-dev
	$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# --- the environment ----------------------------------------------------------------------------------------------
# Empty files say what is installed, so that a second run installs nothing.

$(VENV)/installed-%: pyproject.toml constraints.txt $(VENV)/created
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS) --editable '.[$*]'
	@touch $@

# A .venv that runs is taken as it is, whoever made it; one that does not is made anew.
usable := $(BIN)/python -c "import sys, pip; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1

$(VENV)/created:
	$(if $(obstacle),$(error $(obstacle)))
	@$(usable) || { echo "Making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

# Why no environment can be made, in one sentence; empty where nothing stands in the way. Interpreters of any age answer.
obstacle = $(shell \
	$(usable) && exit; \
	command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "Orbitope needs Python 3.11 or newer, and the command '$(PYTHON)' was not found: name an interpreter, for example make PYTHON=python3.12 $(MAKECMDGOALS)"; exit; }; \
	version=`$(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null`; \
	case "$$version" in \
		(3.1[1-9] | 3.[2-9][0-9] | [4-9].*) ;; \
		(*) echo "Orbitope needs Python 3.11 or newer, and '$(PYTHON)' is $${version:+Python }$${version:-not a working Python}: name another interpreter, for example make PYTHON=python3.12 $(MAKECMDGOALS)"; exit ;; \
	esac; \
	$(PYTHON) -c "import ensurepip, venv" >/dev/null 2>&1 || \
		echo "'$(PYTHON)' (Python $$version) cannot make a virtual environment because its module venv or ensurepip is missing: install it (on Debian and Ubuntu the package python$$version-venv) and repeat the command")

clean:
	rm -rf build dist web/build src/orbitope/explorer/assets .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf web/node_modules $(VENV) .venv-zoo-transformers .venv-zoo-vision
