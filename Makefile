# Each target sets up what it needs, once: .venv, pinned by constraints.txt. Without make: see README.md.
# make PYTHON=python3.13 test     another Python (3.11 to 3.13)
# make WORKERS=4 test             more processes for the tests

PYTHON ?= python3
WORKERS ?= 2
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
CPU_WHEELS := https://download.pytorch.org/whl/cpu
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
CORE := .venv-core/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RESOLUTION ?= highest
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-core test-versions check docs faults bench storyland notebooks clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20

setup: $(READY) ## create .venv and install everything into it

# On Linux the plain torch wheel brings gigabytes of CUDA. Where pip's own configuration offers no CPU build,
# PyTorch's index of CPU builds is added; where neither has one, the set-up stops instead.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit("minilm needs Python 3.11 to 3.13, got %d.%d; run: make PYTHON=python3.13 $(or $(MAKECMDGOALS),setup)" % v[:2])'
	@echo "Setting up .venv: about 700 MB to download (torch, TensorFlow, transformers, tools), 3 GB on disk;"
	@echo "2 minutes on a fast line, 12 at 10 Mbit/s. Once only."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@index=""; \
	if [ "$$(uname -s)" = Linux ] && ! $(BIN)/pip index versions torch 2>&1 | grep -F '$(TORCH)+cpu' >/dev/null; then \
		index="--extra-index-url $(CPU_WHEELS)"; \
		$(BIN)/pip index versions torch --index-url $(CPU_WHEELS) 2>&1 | grep -F '$(TORCH)+cpu' >/dev/null || \
		{ echo "No CPU build of torch $(TORCH) at $(CPU_WHEELS) nor in pip's configuration; without torch: pip install ." >&2; exit 1; }; \
	fi; \
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $$index -e '.[dev]'
	@touch $@

demo: $(READY) ## the whole product in about a minute, with an HTML report
	$(BIN)/minilm demo

test: check ## check, then every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-core: ## every test that needs no framework, in an environment of its own without them
	@test -x $(CORE)/python || $(PYTHON) -m venv .venv-core
	@$(CORE)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	OMP_NUM_THREADS=1 $(CORE)/python -m pytest -n $(WORKERS) --dist loadfile

test-versions: ## every test with the lowest-direct or highest versions that pyproject.toml allows (uv)
	uv venv --quiet --clear --seed .venv-versions
	uv pip install --quiet --python .venv-versions --resolution $(RESOLUTION) \
		--extra-index-url $(CPU_WHEELS) --index-strategy unsafe-best-match -e '.[dev]'
	OMP_NUM_THREADS=1 .venv-versions/bin/python -m pytest -n $(WORKERS) --dist loadfile

docs: $(READY) ## the documentation as a site: build/site/index.html opens from disk
	$(BIN)/python docs/build.py

check: $(READY) ## lint, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright --warnings

faults: $(READY) ## plant every fault of tests/faults in a copy, and see that a test finds it
	$(BIN)/python tests/faults/run.py

bench: $(READY) ## speed, as ratios to the plain frameworks
	$(BIN)/minilm bench

notebooks: $(READY) ## build notebooks/ from lessons/
	$(BIN)/minilm lesson notebooks --overwrite

storyland: $(READY) ## train the shipped model anew (about 5 minutes)
	rm -rf build/storyland
	OMP_NUM_THREADS=1 $(BIN)/minilm train --out build/storyland --steps 5000 --rate 0.015
	rm -rf minilm/storyland
	cp -r build/storyland/model minilm/storyland

clean: ## remove .venv and everything built
	rm -rf .venv .venv-core .venv-versions build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
