# escada. `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
# Extra arguments for pip; for the CPU build of torch on a machine without a GPU, point pip at it here:
#   make demo PIP_ARGS="--extra-index-url <index of CPU builds>"
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) -c constraints.txt

# Tests, and climbs too, start many processes; compiled modules are kept for the next.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install dev demo check quick test test-slow test-faults audit lint format clean wheel bench bench-env docs \
  docs-serve export-env test-export scale-env test-scale tracker-env test-trackers

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "escada needs Python 3.11 or newer: make PYTHON=python3.11 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing escada into $(VENV) (torch is large: this can take some minutes)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## make .venv with escada in it
dev: $(VENV)/.installed-dev  ## the same with the tools of development

demo: install  ## climb the ladder on the default corpus and write a report
	$(BIN)/escada demo

check: dev  ## lint, types and a quick selection of tests, in under a minute
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint quick

quick: dev  ## a few tests of every part, and those of the files that git says changed
	$(BIN)/python -m pytest $$($(BIN)/python tests/quick.py)

test: dev  ## the tests that CI runs, on up to four cores
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: dev  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-faults: dev  ## inject faults (kills, damaged files, full disks) and print what came of them: an hour
	ESCADA_FAULTS=full $(BIN)/python -m pytest -n 0 -q -m "slow or not slow" tests/faults

# Like the site's tools, pip-audit has an environment of its own.
.venv-audit/.installed:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) pip-audit
	@touch $@

audit: .venv-audit/.installed  ## known weaknesses of the locked versions; needs the network
	.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

lint: dev  ## style, types and the order of the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: dev  ## put the code in its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Each peer has its own environment, so that its versions never meet escada's.
.venv-bench-hf/.installed: benchmarks/constraints-hf.txt
	$(PYTHON) -m venv .venv-bench-hf
	.venv-bench-hf/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c $< torch transformers accelerate tokenizers tiktoken rustbpe psutil
	@touch $@

.venv-bench-keras/.installed: benchmarks/constraints-keras.txt
	$(PYTHON) -m venv .venv-bench-keras
	.venv-bench-keras/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c $< keras tensorflow-cpu sentencepiece
	@touch $@

bench-env: .venv-bench-hf/.installed .venv-bench-keras/.installed  ## the peers of `make bench` and quality.py

bench: install  ## every ratio against a peer, on an idle machine: 20 minutes (BENCH_ARGS="--only train")
	@[ -d data/default ] || $(BIN)/escada data prepare --out data/default
	$(BIN)/python benchmarks/bench.py $(BENCH_ARGS)

# The site's tools have an environment of their own: they are not escada's.
.venv-docs/.installed: docs/constraints-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c $< zensical griffelib
	@touch $@

docs: .venv-docs/.installed  ## build the documentation site into site/
	.venv-docs/bin/python docs/tools/build_site.py site
	$(PYTHON) docs/tools/check_site.py site

docs-serve: .venv-docs/.installed  ## show the documentation on this machine while you write it
	.venv-docs/bin/python docs/tools/build_site.py --serve 8000

# The libraries that read exports, in an environment of their own, and TensorFlow in another.
# llama-cpp-python is compiled, which takes some minutes.
.venv-export/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-export
	CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF" \
	  .venv-export/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c constraints.txt -e '.[export]' pytest pytest-timeout hypothesis
	@touch $@

.venv-tf/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-tf
	.venv-tf/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c constraints.txt -e . tensorflow-cpu pytest pytest-timeout hypothesis
	@touch $@

.venv-scale/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-scale
	.venv-scale/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c constraints.txt -e '.[scale]' pytest pytest-timeout hypothesis
	@touch $@

.venv-trackers/.installed: pyproject.toml tests/constraints-trackers.txt
	$(PYTHON) -m venv .venv-trackers
	.venv-trackers/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS) \
	  -c tests/constraints-trackers.txt -e '.[mlflow,trackio,wandb]' pytest pytest-timeout hypothesis
	@touch $@

export-env: .venv-export/.installed .venv-tf/.installed  ## transformers, llama.cpp, ONNX Runtime; TensorFlow

test-export: export-env  ## every export against the library that it is for, and tf.data
	.venv-export/bin/python -m pytest -m "slow or not slow" tests/export
	.venv-tf/bin/python -m pytest -m "slow or not slow" tests/text/test_tf_dataset.py

scale-env: .venv-scale/.installed  ## datatrove and Ray

test-scale: scale-env  ## a preparation on a Ray cluster of two machines on this one, and on a stand-in for Slurm
	.venv-scale/bin/python -m pytest -m "slow or not slow" tests/text/preparation/test_cluster.py

tracker-env: .venv-trackers/.installed  ## Weights & Biases, MLflow and Trackio

test-trackers: tracker-env  ## a training that is stopped and resumed, tracked by each of them offline
	.venv-trackers/bin/python -m pytest -m "slow or not slow" tests/training/test_trackers.py

wheel: dev  ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean:  ## remove the environment and what was built; runs/ and data/ stay
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis
