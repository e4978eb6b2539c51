# `make` lists what there is. Everything runs in a virtual environment of its own, made when first needed.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
BROWSER := $(VENV)/.browser
INSTALLED := $(VENV)/.installed
ORACLE := $(VENV)/.oracle
DOCS := $(VENV)/.docs

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-all mutants oracle docs lint format bench gpu bench-others package release clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## make the environment with the tested versions and fetch the font
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pixel-m4 fonts
	@touch $@

quickstart: setup ## teach pixel-m4-ud languages that it has never seen, and show it at work
	$(BIN)/pixel-m4 quickstart

# One thread a worker: two workers with two threads each on two cores would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

test: setup $(BROWSER) ## the quick tests
	$(PYTEST)

test-all: setup oracle $(BROWSER) ## all tests, the slow ones and those against PangoCairo too
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,export,ray,maps]'
	$(PYTEST) -m ''

# For the tests of the demo's page, which skip without it. Only root can install it, and only where apt has it.
$(BROWSER): | $(INSTALLED)
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium; } \
	  || echo "no browser, and none can be installed here: tests of the demo's page will skip"
	@touch $@

mutants: setup ## break the code on purpose, and show which test notices
	$(BIN)/python tests/mutants.py

# The fonts are for comparing more than the default one.
oracle: $(ORACLE) ## install PangoCairo, which tests and benchmarks compare with (needs root and Debian or Ubuntu)
$(ORACLE): $(INSTALLED)
	apt-get update -qq
	apt-get install -y -qq gir1.2-pango-1.0 libcairo2-dev libgirepository1.0-dev pkg-config gcc python3-dev fontconfig \
	  fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji fonts-inter fonts-dejavu-core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pycairo 'PyGObject<3.51' \
	  fontpkg-noto-sans fontpkg-noto-sans-devanagari fontpkg-noto-sans-khmer fontpkg-noto-kufi-arabic
	@touch $@

docs: $(DOCS) ## build the documentation site in build/docs; a warning is an error
	$(BIN)/python -m sphinx -q -E -a -W --keep-going -n -b html docs build/docs
$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

lint: setup ## style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## exactness, speed and memory, as tables; speeds are ratios of one run (PangoCairo's rows need `make oracle`)
	$(BIN)/python benchmarks/bench_exactness.py
	$(BIN)/python benchmarks/bench_rendering.py
	$(BIN)/python benchmarks/bench_model.py --sentences 128
	$(BIN)/python benchmarks/bench_pretraining_data.py
	$(BIN)/python benchmarks/bench_predict.py

# An environment that has torch and this package is taken as it is: `make gpu VENV=/path` installs nothing then.
gpu: ## check and measure a CUDA device, in build/gpu.json; without one it says what is missing
	@$(BIN)/python -c 'import torch, pixel_m4' 2>/dev/null || $(MAKE) setup
	$(BIN)/python benchmarks/gpu.py

bench-others: setup ## rendering against other packages, each in an environment of its own (several GB of downloads)
	$(BIN)/python benchmarks/bench_other_renderers.py

package: setup ## build wheel and sdist in dist/, and check what is in them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,release]'
	$(BIN)/python scripts/release.py package

release: setup ## check, test, set the version, build and tag: `make release VERSION=0.2.0`; uploads nothing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,release]'
	$(BIN)/python scripts/release.py release $(VERSION)

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) quickstart runs build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
