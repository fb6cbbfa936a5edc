# Everything a developer runs. `make` alone lists the targets; Python ≥ 3.11, make and git are enough.
# Another Python:  make gap PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Tests run side by side: one process per core, at most eight. Each has one thread for BLAS and torch,
# or they would take the cores from one another. Bytecode is kept, whatever the environment says: each
# of the many processes would compile the package anew, and pytest every test in each of its workers.
# One after the other: make test TEST_OPTIONS="-n 0"
TEST_OPTIONS ?=
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1} \
  $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help docs models gap certificate test test-all bench instances placement-study reproduction foresight soundness fuzz library schemas notebooks notebooks-open dist hashes licences lint format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

gap: $(VENV)/run.stamp ## proven gaps on the paper's Abilene, from an empty machine
	$(BIN)/torta-opt gap instances/paper/abilene.json.gz --certificate certificates/abilene.json.gz --policies round_robin,skylb,sdib,torta_ot,greedy_forecast,open_loop,torta_plus,clairvoyant --jobs 0 --report report.html
	$(BIN)/torta-opt bound instances/paper/abilene.json.gz --slots 0:48 --method windows --work-limit 1 --threads 2

certificate: $(VENV)/run.stamp ## prove the bundled bound of Abilene anew: minutes
	$(BIN)/torta-opt bound instances/paper/abilene.json.gz --method windows --work-limit 1 --threads 2 -o certificates/abilene.json.gz

test: $(VENV)/test.stamp ## the fast tests: minutes
	$(PYTEST) -m "not slow" $(TEST_OPTIONS)

test-all: $(VENV)/test.stamp ## every test, and three times as many random examples
	$(PYTEST) --hypothesis-profile all $(TEST_OPTIONS)

bench: $(VENV)/test.stamp ## every benchmark, kept in docs/performance.md; each can also be run alone
	$(BIN)/python benchmarks/run_all.py

instances: $(VENV)/run.stamp ## write the generated instances anew (the same bytes every time)
	$(BIN)/torta-opt generate --all -o instances

placement-study: $(VENV)/run.stamp ## write docs/placement.md anew: CG-BPRR and PETALS, as published and here
	$(BIN)/python studies/placement_study.py

reproduction: $(VENV)/run.stamp ## write docs/reproduction.md anew: TORTA's published results and ours (half an hour)
	$(BIN)/python studies/reproduction.py

foresight: $(VENV)/run.stamp ## write docs/foresight.md anew: how much of each gap is foresight (TRACE=file: an imported trace too)
	$(BIN)/python studies/foresight.py --jobs 0 $(if $(TRACE),--trace $(TRACE))

soundness: $(VENV)/test.stamp ## two solvers and brute force on thousands of random instances: half an hour, goes on where it was
	OMP_NUM_THREADS=1 $(BIN)/python studies/soundness.py --jobs 0

fuzz: $(VENV)/test.stamp ## broken files for every reader, found by coverage: a quarter of an hour, goes on where it was
	@$(PIP) install -q -c constraints.txt -e '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py

library: $(VENV)/run.stamp ## fill torta_opt/library/data/library.csv and docs/library.md, in steps that resume (an hour; again after Ctrl-C)
	$(BIN)/python studies/library.py

schemas: $(VENV)/run.stamp ## write docs/schemas/ anew from the code
	$(BIN)/torta-opt schema -o docs/schemas

models: $(VENV)/run.stamp ## train the networks in models/ anew (five to ten minutes a topology)
	@for name in abilene polska gabriel cost2; do $(BIN)/torta-opt train paper/$$name -o models/paper-$$name --reward paper \
	  --seeds 1000:1016 --validation 2000:2003 --held-out 3000:3010 --smoothing 1 --every 20 \
	  --micro reach=able --micro load_weight=0 --set updates=200 --set minibatches=4 --set rate=0.0003 \
	  --set drift_limit=0.2 --set discount=0.9 --set rollout_slots=40 --set concentration=6000 || exit 1; done
	$(BIN)/python studies/train_fleet_value.py --number 500 --steps 2000
	$(BIN)/python studies/train_start_network.py
	$(BIN)/python studies/train_server_scores.py

notebooks: $(VENV)/test.stamp ## run the notebooks anew and keep what they print
	$(BIN)/python notebooks/refresh.py

notebooks-open: $(VENV)/notebooks.stamp ## open the notebooks in a browser
	$(BIN)/python -m jupyterlab notebooks

docs: $(VENV)/docs.stamp ## the documentation site, into build/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

dist: $(VENV)/run.stamp ## wheel and source distribution into dist/, built twice: both must be the same to the byte
	$(BIN)/python tools/dist.py

hashes: $(VENV)/test.stamp ## hashes/ anew from constraints.txt: asks PyPI
	@$(PIP) install -q -c constraints.txt uv
	$(BIN)/python tools/hashes.py

licences: $(VENV)/test.stamp ## docs/licences.md anew from the metadata of the pinned packages
	@grep -v '^#\|^torch=' constraints.txt | xargs $(PIP) install -q --no-deps --upgrade --target build/pinned
	$(BIN)/python tools/licences.py --also build/pinned

lint: $(VENV)/test.stamp ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test.stamp ## style, mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment, caches and build leftovers
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: torch first, because a range would pull a CUDA build of several gigabytes.
$(VENV)/run.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "torta-opt needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=python3.12 (or another one) names it" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once; about 1.5 GB)"
	@$(PIP) install -q -c constraints.txt torch==2.13.0
	@$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@$(PIP) install -q -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/notebooks.stamp: $(VENV)/run.stamp
	@$(PIP) install -q -c constraints.txt -e '.[notebooks]'
	@touch $@

$(VENV)/docs.stamp: $(VENV)/run.stamp
	@$(PIP) install -q -c constraints.txt -e '.[docs]'
	@touch $@
