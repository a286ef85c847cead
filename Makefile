# make demo   the whole product once, on the sample photos
# make test   all tests
# make lint   ruff, as CI runs it
#
# Each sets up what it needs in .venv; running it again is quick and safe.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin
# tensorflow-cpu: the same TensorFlow without a gigabyte of GPU kernels.
# `make EXTRAS=gpu,lite,dev` on a machine with NVIDIA GPUs.
EXTRAS ?= cpu,lite,jax,dev,data

.PHONY: demo test lint format install clean

demo: $(VENV)/.installed
	@TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python examples/demo.py --output=$(DEMO)

test: $(VENV)/.installed
	$(BIN)/python -m pytest
	KERAS_BACKEND=jax JAX_ENABLE_X64=1 $(BIN)/python -m pytest \
	  tests/test_exposure.py tests/test_layers.py tests/test_losses.py
	@echo "All tests passed."

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.installed

$(VENV)/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tfexposure needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info
