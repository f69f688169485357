# Each target makes its own .venv and installs what it needs; Python >= 3.11 and make are enough.
PYTHON ?= python3
# On Linux, PyPI's torch brings CUDA (5 GB). The CPU build (0.8 GB), where its index can be reached:
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu demo
TORCH_INDEX ?=
BIN = .venv/bin
# Two processes on two cores, each with one thread: about half the time of one process.
PYTEST = $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all lint docs pythons clean help

help:
	@echo "make demo     simulate, train, evaluate and report; then open runs/demo/report.html (4 to 12 minutes on two cores)"
	@echo "make test     run the tests (6 minutes on two cores); make test-all also runs the slow ones, as CI does"
	@echo "make lint     style, types and the import contract"
	@echo "make docs     build the documentation's site; then open site/index.html (python -m http.server -d site: with search)"
	@echo "make pythons  the smoke study and the quick tests on every Python >= 3.11 found, with the newest and the lowest dependencies"

demo: .venv/.installed
	$(BIN)/taskct run --preset demo --out runs/demo

test: .venv/.installed-dev
	$(PYTEST) -m "not slow"

test-all: .venv/.installed-dev
	$(PYTEST)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A broken link or a name of the API that is not there fails the build.
docs: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Before every release, not in CI: torch comes anew for each Python. Writes docs/pythons.md.
pythons: .venv/.created
	$(INSTALL) uv
	$(BIN)/python tests/pythons.py $(ARGS)

.venv/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taskct needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	touch $@

# torch comes first, alone: its CPU builds have an index of their own, which holds nothing else that is wanted.
.venv/.installed: .venv/.created pyproject.toml constraints.txt
	$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(INSTALL) -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) -e '.[dev]'
	touch $@

.venv/.installed-docs: .venv/.installed
	$(INSTALL) -e '.[docs]'
	touch $@

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache
