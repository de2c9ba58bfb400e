# hsrl_pipeline: every command a user or CI needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
# cpu or cuda: which build of torch is installed. TORCH_INDEX: options for pip that name an index
# holding that build, for example TORCH_INDEX="--index-url <PyTorch's CPU index>".
TORCH ?= cpu
TORCH_INDEX ?=
TORCH_VERSION := 2.13.0
DATASET ?= ml1m
PORT ?= 5000
# environment whose data Kedro-Viz shows; by default that of kedro run
ENV ?=
# model that `make serve` serves; by default the policy of the finished project. SERVE: more options
MODEL ?=
SERVE ?=
SITE := data/08_reporting/viz
# what `make run` shortens, for a first look; 200 updates of sl take about as long as 500 of hsrl
BRIEF := evaluation.n_episodes=2000
HSRL_BRIEF := $(BRIEF),training.n_iterations=500,agents.hsrl.warm_start_iterations=250
SL_BRIEF := $(BRIEF),training.n_iterations=200,agent.name=sl
# and its few policies through three changes of the catalogue
MOVING := catalogue.schedule=moving,catalogue.n_changes=3,catalogue.modes=[serving],catalogue.serving_updates=[0],catalogue.references=few,training.n_iterations=100,training.warmup_transitions=100,evaluation.n_episodes=100,agents.hsrl.warm_start_iterations=70
# what it says while it goes on beside sl; the last table is shown at the end
MOVING_LOG := data/08_reporting/moving_run.log

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install install-dev run run-sl run-moving test lint types contracts pytest bench data report serve ui viz viz-build lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info < (3, 14) else "hsrl_pipeline needs Python 3.10 to 3.13, this is " + sys.version.split()[0] + ". Name another one: make run PYTHON=python3.11")'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.torch-$(TORCH): $(VENV)/bin/python requirements.lock
	@echo "Installing torch $(TORCH_VERSION) ($(TORCH))"
	@rm -f $(VENV)/.torch-*
ifeq ($(TORCH),cuda)
	@$(PIP) install -q -c requirements.lock $(TORCH_INDEX) torch==$(TORCH_VERSION)
else
	@$(PIP) install -q -c requirements.lock $(TORCH_INDEX) torch==$(TORCH_VERSION)+cpu 2>/dev/null \
	  || $(PIP) install -q -c requirements.lock $(TORCH_INDEX) torch==$(TORCH_VERSION)
endif
	@touch $@

$(VENV)/.installed: $(VENV)/.torch-$(TORCH) requirements.lock pyproject.toml
	@echo "Installing what a run needs"
	@$(PIP) install -q -r requirements.lock
	@$(PIP) install -q --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what the tests need"
	@$(PIP) install -q -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## set up .venv for runs
install-dev: $(VENV)/.installed-dev ## set up .venv for tests and benchmarks

run: install ## the whole chain on the synthetic dataset, the supervised baseline beside it, and a moving catalogue
	@echo "A short run: $(HSRL_BRIEF)"
	@$(BIN)/kedro run --params $(HSRL_BRIEF)
	@echo "The supervised baseline, on the same data and simulators. Beside it, out of sight, a catalogue moves:"
	@echo "hsrl and hsrl without semantic IDs (hsrl_items) learn at launch, then three changes come, without updates."
	@$(MAKE) --no-print-directory -j 2 run-sl run-moving
	@awk '/a catalogue that moves \(/ {table = ""} {table = table $$0 "\n"} END {printf "%s", table}' $(MOVING_LOG)

run-sl:
	@OMP_NUM_THREADS=1 $(BIN)/kedro run --pipelines agent_training,offline_eval --params $(SL_BRIEF)

run-moving:
	@export OMP_NUM_THREADS=1; \
	{ $(BIN)/kedro run --pipelines moving_catalogue,moving_training,moving_evaluation --params $(MOVING) && \
	  $(BIN)/kedro run --pipelines moving_training,moving_evaluation --params $(MOVING),agent.label=hsrl_items,agents.hsrl.action_space=items; \
	} > $(MOVING_LOG) 2>&1 || { cat $(MOVING_LOG); exit 1; }

test: install-dev lint contracts types pytest ## lint, import contracts, types and all tests

lint: install-dev ## ruff check and format
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check src tests benchmarks

contracts: install-dev ## the layers, held by import-linter
	@$(BIN)/lint-imports

types: install-dev ## mypy, strict
	@$(BIN)/mypy

pytest: install-dev ## all tests with the coverage floor
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term -q

bench: install-dev ## the benchmarks: one line each, and benchmarks/results.json
	@$(BIN)/python -m benchmarks

data: install ## download raw data: make data DATASET=ml1m
	@$(BIN)/python -m hsrl_pipeline.data.sources.download $(DATASET)

report: install ## one HTML page of what kedro experiment has found
	@$(BIN)/kedro run --pipeline reporting
	@echo "Open data/08_reporting/experiments/report.html"

serve: PORT = 8000
serve: install ## answer requests on 127.0.0.1: make serve [MODEL=models:/NAME@champion] [ENV=ml1m] [PORT=8000]
	@$(BIN)/kedro serve $(if $(MODEL),--model "$(MODEL)") $(if $(ENV),--env $(ENV)) --port $(PORT) $(SERVE)

ui: install ## MLflow on 127.0.0.1
	@$(BIN)/python -m hsrl_pipeline.tracking.serve --port $(PORT)

viz: install ## Kedro-Viz on 127.0.0.1: the chain as boxes that unfold
	@echo "Open http://127.0.0.1:4141/?types=nodes to see one box per pipeline; with the port that Kedro-Viz"
	@echo "names below, if it is another. The arrow beside a name unfolds it; Datasets, under Filters, shows the files."
	@$(BIN)/kedro viz run --host 127.0.0.1 --port 4141 --no-browser $(if $(ENV),--env $(ENV))

# Kedro-Viz names no other folder than build/, where setuptools works too
viz-build: install ## Kedro-Viz with its previews as a static site: make viz-build ENV=ml1m
	@[ ! -e build ] || { echo "Remove the folder build/ first: Kedro-Viz writes the site there before it is moved"; exit 1; }
	@$(if $(ENV),KEDRO_ENV=$(ENV)) $(BIN)/kedro viz build --include-previews
	@rm -rf $(SITE) && mv build $(SITE)
	@echo "The site is $(SITE)/. A browser shows it from a server, not from the file:"
	@echo "  $(BIN)/python -m http.server 4142 --bind 127.0.0.1 --directory $(SITE)"
	@echo "then open http://127.0.0.1:4142"

lock: install-dev ## resolve the two lock files anew (needs uv)
	@uv pip compile -q --universal --python-version 3.10 --override requirements/no-torch.txt \
	  requirements/torch-dependencies.txt pyproject.toml -o requirements.lock
	@uv pip compile -q --universal --python-version 3.10 --override requirements/no-torch.txt \
	  requirements/torch-dependencies.txt pyproject.toml --extra dev -o requirements-dev.lock

clean: ## remove what runs made, keep data/01_raw
	@find data -mindepth 2 -not -path 'data/01_raw/*' -not -name .gitkeep -delete
