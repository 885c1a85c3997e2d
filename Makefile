# make venv | test | demo | lint | asan | fuzz | abi | nightly | oldest | mutations | clean. Needs
# python3 >= 3.10 and, for the extension, a C++20 compiler; without a compiler everything runs on the
# slower fallback.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
PYTHON_OLDEST ?= python3.10
ITERATIONS ?= 1000
OPTIONS ?=
TESTS ?= tests
WORDS ?=
ABI_TORCH ?= 2.13.0
ABI_TESTS := $(addprefix tests/layers/test_,ops.py nms.py soft_nms.py roi_pool.py)

bin := .venv/bin
stamp := .venv/up-to-date
oldest := .venv-oldest/bin
cpp := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

.PHONY: help venv test demo lint asan fuzz abi nightly oldest mutations clean

help: ## Show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

venv: $(stamp) ## Make .venv with torch, the package and its extension; reused when up to date

$(stamp): pyproject.toml setup.py $(cpp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
	  echo "error: needs Python 3.10 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true);" \
	    "say which to use: make PYTHON=/path/to/python3" >&2
	  exit 1
	}
	if [ ! -x $(bin)/python ]; then $(PYTHON) -m venv .venv; fi
	$(bin)/python -m pip install --quiet --upgrade pip "setuptools>=77" wheel
	echo "Installing PyTorch and the other packages into .venv (minutes on the first time)"
	$(bin)/python -m pip install --quiet "torch>=2.10" "torchvision>=0.25" ninja
	$(bin)/python -m pip install --quiet --no-build-isolation -e ".[dev]"
	$(bin)/python -c 'from maskrcnn_benchmark.layers import has_extension as has; \
	  print("The extension is built." if has() else "WARNING: no extension; is there a C++20 compiler? The slower fallback is used.")'
	touch $@

test: $(stamp) ## Set up, then run the whole test suite but the slow part
	@$(bin)/python -m pytest -n 2 -m "not slow and not browser" $(TESTS)

demo: $(stamp) ## Set up, then train a small model on drawn data and show it (ITERATIONS=1000)
	@$(bin)/python tools/quickstart.py --iterations $(ITERATIONS)

lint: $(stamp) ## Check style, types and layout
	@$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	find csrc \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 \
	  | xargs -0 $(bin)/clang-format --dry-run -Werror

# Python is not built with the sanitizers, so they are loaded before it; what leaks is Python's.
sanitizers = gcc=$${CXX:-c++}; \
  export LD_PRELOAD="$$($$gcc -print-file-name=libasan.so) $$($$gcc -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

asan: $(stamp) ## The tests of the operators, with those built with AddressSanitizer and UBSan
	@$(bin)/python -m tests.helpers.csrc_builds --sanitize extension emulated
	$(sanitizers)
	$(bin)/python -m pytest -n 2 --capture=sys -p tests.helpers.sanitized -k "not fallback and not compiled and not width" \
	  $(OPTIONS) tests/layers

fuzz: ## The same with 5000 examples of every property
	@$(MAKE) asan OPTIONS="-m hypothesis --hypothesis-profile=fuzz"

abi: $(stamp) ## The tests of the operators with the extension of .venv under torch $(ABI_TORCH)
	@env=build/abi-$(ABI_TORCH)
	if [ ! -f $$env/complete ]; then
	  $(PYTHON) -m venv --clear $$env
	  $$env/bin/python -m pip install --quiet "torch==$(ABI_TORCH)" numpy pycocotools pytest hypothesis setuptools
	  touch $$env/complete
	fi
	$$env/bin/python -c 'import torch; print("The extension of .venv under torch", torch.__version__)'
	$$env/bin/python -m pytest -p no:cacheprovider -p tests.helpers.without_torchvision \
	  -k "(extension or opcheck or bits) and not (without or emulated or fallback)" $(ABI_TESTS)

oldest: $(stamp) ## The tests with the oldest Python and the oldest dependencies that are supported
	@$(PYTHON_OLDEST) --version > /dev/null || {
	  echo "error: say where Python 3.10 is: make $@ PYTHON_OLDEST=/path/to/python3.10" >&2
	  exit 1
	}
	if [ ! -x $(oldest)/python ]; then $(PYTHON_OLDEST) -m venv .venv-oldest; fi
	$(oldest)/python -m pip install --quiet --upgrade pip
	$(oldest)/python -m pip install --quiet -r constraints-oldest.txt
	$(oldest)/python -m pip check
	# with the extension of .venv; a library that is built with the headers of another torch cannot be
	# loaded beside it, so nothing is compiled
	CXX=none $(oldest)/python -m pytest -n 2 -m "not slow and not browser" $(TESTS)

nightly: test oldest ## The tests, the slow and the oldest too, and the demo at its full length
	@$(bin)/python -m pytest -m slow tests || [ $$? -eq 5 ]
	$(bin)/python tools/quickstart.py --iterations $(ITERATIONS) --output output/nightly

mutations: $(stamp) ## Put defects into a copy of the code and see whether the tests notice (WORDS=fpn)
	@$(bin)/python tests/mutations.py $(WORDS)

clean: ## Remove what was built and the demo's output, but not .venv
	@rm -rf build output/demo output/nightly *.egg-info
	find maskrcnn_benchmark -name '*.so' -delete
	rm -f $(stamp)
