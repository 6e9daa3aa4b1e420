# One command per wish, the same by hand and in CI. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PACKAGES  := expertrag kernels/expertrag_kernels retriever/expertrag_retriever index/expertrag_index common/expertrag_common lab/expertrag_lab
CLIENTS := .clients
CLIENTS_STAMP := $(CLIENTS)/.installed
DEPLOY := .deploy
DEPLOY_STAMP := $(DEPLOY)/.installed
DATA   ?= ../shared/data
STORE  ?= .demo/store

.DEFAULT_GOAL := help
.PHONY: help install demo test test-lab test-slow check lint unit docs proto house fix image clean

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(STAMP): pyproject.toml lab/pyproject.toml constraints.txt kernels/CMakeLists.txt $(wildcard kernels/expertrag_kernels/cpu/* index/expertrag_index/postings/cpu/* index/expertrag_index/cosines/cpu/*)
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or newer, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; say make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --progress-bar on --constraint constraints.txt --editable '.[server,http,langchain,dev]' --editable lab
	@touch $(STAMP)

install: $(STAMP) ## environment with everything for development

demo: $(STAMP) ## models, index over real documents, running server, answered questions
	@$(BIN)/python examples/demo.py --store $(STORE)

test: $(STAMP) ## the service: lint, types, layers, protos, docs, unit and end to end
	@$(MAKE) --no-print-directory $(CLIENTS_STAMP) $(DEPLOY_STAMP) & \
	  $(MAKE) --no-print-directory check; checked=$$?; wait $$! && [ $$checked = 0 ]
	@$(MAKE) --no-print-directory unit

# three on two cores: tests also wait for servers, processes and disks; the longest files come first
PYTEST = $(BIN)/python -m pytest -q -n 3 --dist loadfile

test-lab: $(STAMP) ## the lab without its slow tests; CI runs it after make test
	@$(PYTEST) --durations=10 -m "lab and not slow and not ray" lab/tests

test-slow: $(STAMP) ## the lab, and slow tests: trainings, campaigns, builds; before a release
	@$(PYTEST) --durations=10 --no-loadscope-reorder -m "(slow or lab) and not ray" lab/tests/campaigns tests lab/tests

PROTOC = -m grpc_tools.protoc -I protos $(wildcard protos/expertrag/v1/*.proto)

check: lint ## all static checks: lint, types, layers, protos, docs
	@$(BIN)/mypy $(PACKAGES) tests lab/tests lab/benchmarks lab/campaigns examples conftest.py
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/buf lint protos
	@rm -rf build/proto && mkdir -p build/proto
	@$(BIN)/python $(PROTOC) --python_out=build/proto --grpc_python_out=build/proto --pyi_out=build/proto
	@diff -r --exclude=__init__.py --exclude=__pycache__ build/proto/expertrag/v1 expertrag/v1 \
	  || { echo "error: expertrag/v1 is not what protos/ gives; run make proto"; exit 1; }
	@$(BIN)/python -m expertrag.cli.docs --check
	@$(BIN)/python -m expertrag_lab.cli.docs --check
	@$(BIN)/python lab/benchmarks/known_models.py --check
	@$(BIN)/python lab/benchmarks/doc_figures.py --check

lint: $(STAMP) ## ruff, and the words of code and docs
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python lab/benchmarks/words.py

# their packages ask for versions that the project's own do not allow
$(CLIENTS_STAMP): tests/serving/http/clients/requirements.txt
	@echo "installing clients of other projects into $(CLIENTS) (a minute the first time)"
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# linters and engines for deploy/: binaries, which nothing else needs
$(DEPLOY_STAMP): tests/packaging/deploy/requirements.txt
	@echo "installing the tools that check deploy/ into $(DEPLOY) (150 MB)"
	@$(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement $<
	@touch $@

unit: $(STAMP) $(CLIENTS_STAMP) $(DEPLOY_STAMP) ## tests of the service only
	@$(PYTEST) --durations=10 -m "not ray and not slow" tests

docs: $(STAMP) ## regenerate cli.md, config.md, and the figures of docs/, README.md and lab/results
	@$(BIN)/python -m expertrag.cli.docs
	@$(BIN)/python -m expertrag_lab.cli.docs
	@$(BIN)/python lab/benchmarks/known_models.py
	@$(BIN)/python lab/benchmarks/doc_figures.py

proto: $(STAMP) ## regenerate expertrag/v1 from protos/
	@$(BIN)/python $(PROTOC) --python_out=. --grpc_python_out=. --pyi_out=.

house: $(STAMP) ## size and shape of the code against its bars; ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/house.py $(ARGS)

fix: $(STAMP) ## format and fix what can be fixed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

VARIANT ?= cpu

image: ## build the container image expertrag:local with docker or podman; VARIANT=cpu or gpu
	@engine=$$(command -v docker || command -v podman) || { echo "error: neither docker nor podman found; install one"; exit 1; }; \
	  format=$$($$engine --version | grep -q podman && echo --format=docker); \
	  $$engine build $$format --file deploy/docker/Dockerfile --build-arg VARIANT=$(VARIANT) --tag expertrag:local .

lab-%: ## a run of the lab, such as make lab-eval-office; make lab-help lists them
	@$(MAKE) --no-print-directory -f lab/Makefile $*

clean: ## remove the environments, the demo's store and build output
	@rm -rf $(VENV) $(CLIENTS) $(DEPLOY) .demo .eval build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
