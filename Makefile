# Everything a contributor runs. `make help` lists it.

PYTHON ?= python3
ARGS ?=
MINUTES ?= 10
SEED ?=
BIN := .venv/bin
READY := .venv/ready
BENCHMARKS := bench-parse bench-watch bench-fit bench-stream bench-sources

.PHONY: help setup demo up down test lint bench-train bench-start docs constraints servers clean bench-quality $(BENCHMARKS)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make bench-NAME DATA=FOLDER   measure: quality $(BENCHMARKS:bench-%=%)"

setup: $(READY) ## install the project and its tools into .venv

# pip takes its index and its options from its own environment and configuration:
# PIP_EXTRA_INDEX_URL with a CPU build of torch works here unchanged.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Tailrace needs Python 3.11 or newer and '$(PYTHON)' is older or missing:" \
	         "install one and run 'make PYTHON=/path/to/python3.12 $(or $(MAKECMDGOALS),setup)'" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,dev]'
	@touch $@

demo: $(READY) ## fit a small model on recorded logs and watch it find a fault
	bash scripts/demo.sh

up: servers demo-out/bundle ## start Kafka, Redis and a worker on loopback, and send sample logs through them
	$(BIN)/python -m scripts.stack up

down: ## stop what `make up` started
	$(BIN)/python -m scripts.stack down

demo-out/bundle: $(READY)
	bash scripts/demo.sh

# Half of the time tests wait for servers and time-outs: three processes use two cores. Each takes whole files.
test: servers ## run the tests (ARGS='-k pattern' for pytest; KAFKA=3.9.1, REDIS_SERVER=valkey-server for other servers)
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(READY) ## random faults under load (MINUTES=10, SEED=n to repeat a choice of faults)
	bash scripts/prepare-tests
	$(BIN)/python -m tests.faults.chaos $(MINUTES) $(SEED)

lint: $(READY) ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BENCHMARKS): bench-%: $(READY)
	@test -n "$(DATA)" || { echo "say where the data lies: make $@ DATA=FOLDER" >&2; exit 2; }
	$(BIN)/python -m benchmarks.$* --data '$(DATA)' $(ARGS)

# Goes on where it was interrupted; ARGS='--only hdfs --seeds 1 --detectors tailrace simple' runs a part.
bench-quality: $(READY)
	@test -n "$(DATA)" || { echo "say where the data lies: make $@ DATA=FOLDER" >&2; exit 2; }
	$(BIN)/python -m training.cli.__main__ benchmark --data '$(DATA)' --out bench-out/quality $(ARGS)

bench-train: $(READY) ## measure training: events a second and memory, for each cell
	$(BIN)/python -m benchmarks.train $(ARGS)

bench-start: $(READY) ## measure how long a worker takes from its start until it is ready
	$(BIN)/python -m benchmarks.start $(ARGS)

bench-stream bench-sources bench-start: servers

servers: $(READY)
	bash scripts/prepare-tests

docs: $(READY) ## write docs/configuration.md from the options
	@mkdir -p docs
	$(BIN)/python -c 'import sys; from detector.config.reference import page; sys.stdout.write(page())' \
	    > docs/configuration.md

constraints: $(READY) ## pin what .venv holds in constraints.txt
	bash scripts/freeze

clean: ## remove .venv and every cache
	rm -rf .venv build ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
