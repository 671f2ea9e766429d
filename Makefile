# `make serve` and `make test` need Python 3.11 or newer with venv, and make; the rest
# they set up in .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SERVE_STAMP := $(VENV)/.installed-serve
TEST_STAMP := $(VENV)/.installed-test
DEV_STAMP := $(VENV)/.installed-dev
DATA ?= data
HOST ?= 127.0.0.1
PORT ?= 6543
WORKERS ?= auto

.PHONY: help serve test prove sure clean

help:
	@echo "make serve   serve the index on http://$(HOST):$(PORT)/, data in $(DATA)/"
	@echo "make test    run the tests"
	@echo "make sure    format, lint, types, tests"
	@echo "make prove   the long proofs: power cuts, kills, races (some need root)"
	@echo "make clean   remove $(VENV) (the data folder stays)"

serve: $(SERVE_STAMP)
	exec $(BIN)/pyramid-pypi serve --data $(DATA) --host $(HOST) --port $(PORT)

test: $(TEST_STAMP)
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup tests

prove: $(TEST_STAMP)
	PYTHON=$(BIN)/python tests/prove/run.sh

sure: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(BIN)/mypy pyramid_pypi tests benchmarks
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup tests

clean:
	rm -rf $(VENV) build *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks venv: on Debian, apt-get install python3-venv." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(SERVE_STAMP): setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(TEST_STAMP): setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(SERVE_STAMP)

$(DEV_STAMP): setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(TEST_STAMP) $(SERVE_STAMP)
