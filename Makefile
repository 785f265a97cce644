# Two commands matter: `make run` and `make test`. Both work on a fresh clone with Python 3.11+, Node 20+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
DASHBOARD := src/raingauge/web/static/dashboard/index.html
PACKAGES := dashboard/node_modules/.package-lock.json
EXPORTERS := tests/e2e/javascript/node_modules/.package-lock.json

.PHONY: run test lint format bench docs dashboard build clean

run: $(INSTALLED) $(DASHBOARD) ## Install into .venv, build the dashboard, and start it full of made-up data
	$(BIN)/raingauge demo

test: $(INSTALLED_DEV) $(DASHBOARD) $(EXPORTERS) ## Every test, against real servers, files, browsers and clients
	$(BIN)/pytest -n auto --dist loadfile

dashboard: $(DASHBOARD) ## Build the dashboard into the package

lint: $(INSTALLED_DEV) $(DASHBOARD) ## Style, types, size of the dashboard, and docs that are generated from code
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/python -m tests.docs.generate --check
	cd dashboard && PYTHON=../$(BIN)/python npm run --silent check

format: $(INSTALLED_DEV) ## Let the formatter decide
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

bench: $(INSTALLED_DEV) ## Figures of this machine, as ratios within one run
	$(BIN)/python -m tests.bench

docs: $(INSTALLED_DEV) ## Write the generated parts of the docs
	$(BIN)/python -m tests.docs.generate

build: $(INSTALLED_DEV) $(DASHBOARD) ## Wheel and sdist in dist/, dashboard included
	$(BIN)/python -m build

clean: ## Remove everything that can be made again; data directories stay
	rm -rf $(VENV) dashboard/node_modules tests/e2e/javascript/node_modules $(dir $(DASHBOARD)) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -U pip

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) install -c constraints.txt -e '.[grpc,postgres]' --group dev
	touch $@

$(PACKAGES) $(EXPORTERS): %/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --silent --no-audit --no-fund
	touch $@

$(DASHBOARD): $(PACKAGES) $(shell find dashboard/src dashboard/public dashboard/scripts -type f 2>/dev/null) \
		dashboard/index.html dashboard/vite.config.ts dashboard/tsconfig.json
	cd dashboard && npm run --silent build
	touch $@
