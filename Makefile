# make demo   the whole product once, on the sample photos
# make test   all tests
# make bundles  every model that ships, in three formats, with scores
# make web    the page that corrects photos in a browser, into the package
# make lint   ruff and mypy, as CI runs them
# make fuzz   10,000 broken photos, at most 20 minutes; make test has a sample
# make test-beam  the tests of curation on Apache Beam
# make natural    trains the blind model from nothing; SHARED names the photos
#
# Each sets up what it needs in .venv; running it again is quick and safe.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BUNDLES ?= bundles
MODELS := natural paper paper_random tau_half
# Those that reach their floor of quality (docs/exports.md).
PRECISIONS_natural := float32,float16,dynamic_int8
PRECISIONS_paper := float32,float16
PRECISIONS_paper_random := float32,float16
PRECISIONS_tau_half := float32,dynamic_int8
BIN := $(VENV)/bin
# tensorflow-cpu: the same TensorFlow without a gigabyte of GPU kernels.
# `make EXTRAS=gpu,lite,dev` on a machine with NVIDIA GPUs.
EXTRAS ?= cpu,lite,jax,dev,data
# These ask for the package `tensorflow`, over whose files tensorflow-cpu lies;
# what else they need is here already.
NO_DEPS := tensorflow-hub tf-keras tensorflow-serving-api

# What is written in keras.ops and runs on either backend. Compiling takes most
# of their time on JAX, so XLA optimises little.
JAX_TESTS := baselines camera classifiers curve_distribution discriminator \
  exposure generator imaging layer_configs layers losses metrics blind \
  blind_camera_statistics perceptual weights

# The photos of docs/model_card.md.
SHARED ?= ../shared/photos
RUNS ?= runs

.PHONY: demo bundles web test fuzz test-beam natural lint format install clean

demo: $(VENV)/.installed
	@TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python examples/demo.py --output=$(DEMO)

bundles: $(MODELS:%=$(BUNDLES)/%/scores.md)
	@cd $(BUNDLES) && find . -type f ! -name SHA256SUMS | sort \
	  | xargs sha256sum > SHA256SUMS
	@echo "SHA-256 sums: $(BUNDLES)/SHA256SUMS"

$(BUNDLES)/%/scores.md: $(VENV)/.installed
	@$(BIN)/python export/export_saved_model.py --model=$* \
	  --output=$(@D)/saved_model
	@$(BIN)/python export/export_tflite.py --model=$* --photos=samples \
	  --precision=$(PRECISIONS_$*) --output=$(@D) > $@.part
	@echo >> $@.part
	@$(BIN)/python export/export_onnx.py --model=$* --photos=samples \
	  --output=$(@D)/onnx >> $@.part
	@mv $@.part $@ && cat $@

web:
	@command -v npm > /dev/null || \
	  { echo "The page is built by npm: apt install npm"; exit 1; }
	@cd web && npm ci --silent && npm run --silent build

# A file's tests stay in one process: many share what is slow to set up.
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile
	KERAS_BACKEND=jax JAX_ENABLE_X64=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
	  $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile \
	  $(JAX_TESTS:%=tests/test_%.py)
	@echo "All tests passed."

fuzz: $(VENV)/.installed
	@$(BIN)/python tests/photo_fuzz.py --count=$(or $(COUNT),10000) 2>/dev/null

# Apache Beam's pins clash with ours, so it has an environment of its own.
test-beam:
	@test -e $(VENV)-beam/.installed || { $(PYTHON) -m venv $(VENV)-beam && \
	  $(VENV)-beam/bin/python -m pip install --quiet --editable ".[beam]" \
	    pytest pytest-timeout && touch $(VENV)-beam/.installed; }
	$(VENV)-beam/bin/python -m pytest tests/test_data_beam.py

# Each stage resumes where it was stopped.
natural: $(RUNS)/photos.npz
	$(STAGE)=configs/natural_curves.flags --run_dir=$(RUNS)/curves
	$(STAGE)=configs/natural_local.flags --run_dir=$(RUNS)/local \
	  --train.init=$(RUNS)/curves/best/restorer.weights.h5

STAGE = KERAS_BACKEND=jax $(BIN)/python trainers/train_gan.py \
  --data.source=$(RUNS)/photos.npz --data.pairs=$(RUNS)/photos.npz \
  --data.validation_source=$(RUNS)/photos.npz --flagfile

# Another environment makes the same photos.
$(RUNS)/photos.npz: | $(VENV)/.installed
	@mkdir -p $(RUNS)
	$(BIN)/python trainers/pack_photos.py --train=$(SHARED)/scenes/train \
	  --train=$(SHARED)/ccby --valid=$(SHARED)/scenes/valid \
	  --valid=$(SHARED)/kodak --pairs=$(SHARED)/brackets \
	  --train_pairs=$(SHARED)/brackets2 --flagfile=configs/scenes.flags \
	  --kept=$(SHARED)/cid22 --light=$(SHARED)/hdr --documents=60 --output=$@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.installed

$(VENV)/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tfexposure needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV); this takes a minute or two ..."
	@{ $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --upgrade pip && \
	  $(BIN)/python -m pip install --editable ".[$(EXTRAS)]" "setuptools<82" && \
	  $(BIN)/python -m pip install --no-deps $(NO_DEPS); \
	} > install.log 2>&1 || { tail -30 install.log; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-beam $(DEMO) build dist *.egg-info install.log
