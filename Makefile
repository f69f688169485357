# Each target makes its own .venv and installs what it needs; Python >= 3.11 and make are enough.
PYTHON ?= python3
BIN = .venv/bin
# torch comes first and pinned: a loose range may pull a CUDA build of several gigabytes.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint clean help

help:
	@echo "make demo   simulate, train, evaluate and report; then open runs/demo/report.html (6 to 20 minutes on two cores)"
	@echo "make test   run the tests"
	@echo "make lint   style, types and the import contract"

demo: .venv/.installed
	$(BIN)/taskct run --preset demo --out runs/demo

test: .venv/.installed-dev
	$(BIN)/python -m pytest

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taskct needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: .venv/.created pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
