# Everything a reader runs: `make report`, `make test`, `make bench`, `make lint`.
# Set-up happens by itself, once for each change of the lock.

# Plain recipes, one command a line: macOS comes with make 3.81.
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV ?= uv
PYTEST_WORKERS ?= 2

# Optional packages, pinned here and not in the lock: they are large, and only CI and
# `make bench` look at them.
TORCH := torch==2.13.0
JAX := jax==0.10.2
DASK := distributed==2026.8.0
SMALL_PEERS := autograd==1.9.1 casadi==3.8.2 numdifftools==0.11.2 symengine==0.15.0
# They drive a Chromium that is there already, and download none.
BROWSER := playwright==1.65.2 axe-playwright-python==0.1.8

.PHONY: help setup report report-full test bench lint lock peers browser clean

help:
	@echo "make report       run the quick experiments, write reports/ (about 5 minutes)"
	@echo "make report-full  the same with the full cases"
	@echo "make test         lint, types, architecture, tests (about 6 minutes)"
	@echo "make bench        benchmarks ('make peers' first adds JAX, PyTorch ...)"
	@echo "make browser      what drives Chromium; then: pytest -m browser"
	@echo "make lint         ruff and pyright alone"
	@echo "make lock         resolve requirements.lock again (needs uv)"
	@echo "make clean        remove $(VENV), caches and unfinished sweeps"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup $(VENV)
	@touch $@

report: $(STAMP)
	@$(BIN)/diffkit run all --quick --workers 2
	@$(BIN)/diffkit lesson build
	@echo "read reports/README.md, open reports/lesson/index.html"

report-full: $(STAMP)
	@$(BIN)/diffkit run all --full --workers 2
	@$(BIN)/diffkit lesson build
	@echo "read reports/README.md, open reports/lesson/index.html"

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python

test: lint
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) \
	    -m "not slow and not peers and not browser"

bench: $(STAMP)
	@$(BIN)/python -m pytest tests/benchmarks --benchmark-enable -q -s \
	    --benchmark-columns=median,iqr,rounds --benchmark-sort=name

peers: $(VENV)/.peers

# What is installed stays as it is: the lock decides, the peers adapt.
$(VENV)/.peers: $(STAMP) Makefile
	@$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint $(VENV)/constraints.txt $(TORCH) $(JAX) $(DASK) $(SMALL_PEERS)
	@touch $@

browser: $(VENV)/.browser

$(VENV)/.browser: $(STAMP) Makefile
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint $(VENV)/constraints.txt $(BROWSER)
	@touch $@

# --no-config keeps local indexes out of the lock; `--python-version` is the oldest
# Python served, `--universal` adds markers for macOS, and `fewest` takes one version
# of each package for all Pythons, so that types and results are checked once.
lock:
	@$(UV) pip compile --no-config --universal --generate-hashes \
	    --python-version 3.11 --fork-strategy fewest --extra dev --no-annotate --quiet \
	    --custom-compile-command "make lock   (after a change of pyproject.toml)" \
	    pyproject.toml --output-file requirements.lock $(LOCK_FLAGS)

clean:
	@rm -rf $(VENV) .diffkit .pytest_cache .ruff_cache .hypothesis .benchmarks build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf *.egg-info
