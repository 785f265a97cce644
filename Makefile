# Two commands matter: `make run` and `make test`. Both work on a fresh clone with Python 3.11+, Node 20+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: run test lint format bench docs build clean

run: $(INSTALLED) ## Install into .venv and start the server on port 4318
	$(BIN)/raingauge serve

test: $(INSTALLED_DEV) ## Every test, against real servers and files
	$(BIN)/pytest

lint: $(INSTALLED_DEV) ## Style, types, and docs that are generated from code
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/python -m tests.docs.generate --check

format: $(INSTALLED_DEV) ## Let the formatter decide
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

bench: $(INSTALLED_DEV) ## Figures of this machine, as ratios within one run
	$(BIN)/python -m tests.bench

docs: $(INSTALLED_DEV) ## Write the generated parts of the docs
	$(BIN)/python -m tests.docs.generate

build: $(INSTALLED_DEV) ## Wheel and sdist in dist/
	$(BIN)/python -m build

clean: ## Remove everything that can be made again; data directories stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -U pip

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) install -c constraints.txt -e '.[grpc,postgres]' --group dev
	touch $@
