# Every target sets up what it needs; a second call does no set-up work.
#   make demo    the main job, from nothing to panoptic labels
#   make test    linters, type checker, import layers and all tests
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.10 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
EXTRAS ?= dev,devkit,image

.PHONY: setup demo test test-fast lint clean
setup: $(READY)

$(READY): setup.py constraints.txt tools/setup_environment.sh
	bash tools/setup_environment.sh "$(PYTHON)" "$(VENV)" "$(EXTRAS)"
	touch $@

demo: $(READY)
	$(PY) tools/demo.py

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/basedpyright --level error
	$(VENV)/bin/lint-imports

test: lint
	$(PY) -m pytest

test-fast: lint
	$(PY) -m pytest -m "not slow"

clean:
	rm -rf $(VENV) build dist *.egg-info
