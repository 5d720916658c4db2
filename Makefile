# Everything a developer needs; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
SOURCES := operator tools tests
CLUSTER := PYTHONPATH=tools $(BIN)/python tools/controlplane
ENGINES := PYTHONPATH=tools $(BIN)/python tools/engines

.DEFAULT_GOAL := help
.PHONY: accuracy captures help venv build control-plane engines demo demo-down test soak verification test-quick check format bench bench-page golden crds lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## virtual environment with pinned, hash-checked dependencies
$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

build: control-plane engines ## both of the following (15 minutes the first time)

control-plane: venv ## find or build the control plane's programs (10 minutes the first time)
	@$(CLUSTER) build > /dev/null

engines: venv ## find or build the engines that tests run without a GPU (5 minutes the first time)
	@$(ENGINES) build > /dev/null

demo: control-plane ## apply a LlamaDeployment to a real control plane and watch it; KEEP=1 leaves it running
	@PYTHONPATH=tools $(BIN)/python -m workstation.demo $(if $(KEEP),--keep)

demo-down: venv ## take down what `make demo KEEP=1` left running
	PYTHONPATH=tools $(BIN)/python -m workstation.demo --down

test: build ## every test; ends with the list of skips
	$(BIN)/python tests/run.py

soak: control-plane ## the long tests for their whole duration (about an hour); ONLY=outage for some
	$(BIN)/python tests/run.py --soak $(if $(ONLY),--only "$(ONLY)")

verification: venv ## write docs/verification.md from the newest reports of test, soak and benchmark
	PYTHONPATH=tools $(BIN)/python -m verification

test-quick: venv ## the tests that need no control plane (under a minute)
	$(BIN)/pytest -q -n auto tests/unit tests/golden tests/hub

check: venv ## static checks, as CI runs them
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy -p controlplane -p workstation -p faultproxy -p verification -p benchmark -p accuracy -p captures -p engines
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(BIN)/llama-operator crd --check

format: venv ## format and mend what the linter can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

BENCH_ON_SITE = $(if $(SCENARIOS),$(filter-out sizing,$(SCENARIOS)),all)
bench: $(if $(BENCH_ON_SITE),control-plane,venv) ## the operator against a bare client (30 minutes), and sizing; QUICK=1 for a small run, SCENARIOS="cost memory" for some
	PYTHONPATH=operator:tools $(BIN)/python -m benchmark run $(if $(QUICK),--quick) $(if $(SCENARIOS),--scenarios "$(SCENARIOS)")

accuracy: venv ## write docs/accuracy.md: the memory model against measured rows
	PYTHONPATH=operator:tools $(BIN)/python -m accuracy

bench-page: venv ## write docs/benchmarks.md from the newest results
	PYTHONPATH=operator:tools $(BIN)/python -m benchmark page

golden: venv ## rewrite the golden files; review the diff like code
	$(BIN)/python tests/golden/regenerate.py

captures: venv ## rewrite the tables of engines' options from their wheels; ENGINE=sglang for one, CHECK=1 compares
	PYTHONPATH=tools $(BIN)/python tools/captures $(if $(CHECK),check,write) $(ENGINE)

crds: venv ## rewrite the generated CRD and reference pages
	$(BIN)/llama-operator crd --write

LOCK = $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11
lock: venv ## pin the dependencies anew
	$(BIN)/pip install --quiet uv==0.13.8
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --group dev --output-file requirements/dev.txt
	$(LOCK) --no-deps --group vllm --output-file requirements/vllm.txt
	for group in llama-cpp llama-cpp-build mlx vllm-parser image-transformers image-mlx-lm; do \
	  $(LOCK) --group $$group --output-file requirements/$$group.txt; done

clean: ## remove what was made in this checkout (not the cached programs)
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
