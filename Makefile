# Every target installs what it needs into .venv; a machine needs make and Python 3.11 or newer.
# Packages are installed again only when pyproject.toml or constraints.txt changes.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

SECONDS ?= 20
PLAYERS ?= 50
WORKERS ?= 2
SEEDS ?= 2000
ROUNDS ?= 3
ARGS ?=
# Three processes suit two cores, because many tests wait. The tests of a file share servers and stay in one process.
PARALLEL ?= -n 3 --dist loadfile --no-loadscope-reorder

# Pins the build requirements too, which pip's option -c does not reach. Newer versions of pip read the second name.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
# Bytecode is kept even where the environment turns it off: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage lint bench bench-quick bench-peers chaos cluster simulate verify web dist clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.game ## Watch simulated players walk mazes by gestures: SECONDS=20 PLAYERS=50 WORKERS=2 REDIS=cluster
	@$(BIN)/maze demo $(if $(REDIS),--redis $(patsubst cluster,embedded-cluster,$(REDIS))) --seconds $(SECONDS) --players $(PLAYERS) --workers $(WORKERS) $(ARGS)

test: $(VENV)/.test ## Run the tests, but for the slow ones: ARGS="-k policy"
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-all: $(VENV)/.test ## Run all tests: with browsers, images, installations and MLflow's server, too
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

coverage: $(VENV)/.test ## Run all tests and report which lines ran, in worker processes too: htmlcov/index.html
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

lint: $(VENV)/.lint ## Check style, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --num-workers auto

bench: $(VENV)/.game ## Measure throughput and latency
	@$(BIN)/python bench/drain.py
	@$(BIN)/python bench/latency.py
	@$(BIN)/python bench/gateway.py

bench-quick: $(VENV)/.game ## Compare ratios with the accepted ones in a minute: ARGS='--accept "a reason"'
	@$(BIN)/python bench/quick.py $(ARGS)

bench-peers: $(VENV)/.peers ## Measure the pool beside Celery, RQ, streaQ, docket, FastStream, FastAPI, mosec and a plain loop
	@$(BIN)/python bench/peers/run.py $(ARGS)

chaos: $(VENV)/.test ## Kill, stop and cut off workers, then restart Redis, and account for every frame: SECONDS=60
	@$(BIN)/python -m tests.chaos.driver --seconds $(SECONDS)
	@$(BIN)/python -m tests.chaos.driver --seconds $(SECONDS) --restarts

cluster: $(VENV)/.test ## Move slots and kill primaries of a cluster under load: ROUNDS=3
	@$(BIN)/python -m tests.chaos.cluster --rounds $(ROUNDS) $(ARGS)

simulate: $(VENV)/.test ## Run whole pools with faults in simulated time, one per seed: SEEDS=2000
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

verify: $(VENV)/.test ## Check the model of leases, epochs and commits exhaustively (needs spin and a C compiler)
	@$(BIN)/python -m tests.model

web: ## Download the hand tracker, so that the page works without a CDN
	@sh gesture_maze/page/fetch_hands.sh

dist: $(VENV)/.dist ## Build the wheel and the source distribution into dist/; COMPILED=1 needs a C compiler
	@rm -rf dist
	@$(if $(COMPILED),HATCH_BUILD_HOOKS_ENABLE=true) $(BIN)/python -m build $(if $(COMPILED),,--no-isolation) --outdir dist .

clean: ## Remove .venv and everything that was built
	rm -rf $(VENV) dist htmlcov .coverage

# Which marker files an installed extra of pyproject.toml satisfies, so that nothing is installed twice.
WITH_dist := dist
WITH_game := game
WITH_test := dist game test
WITH_lint := dist game test lint

$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "installing the packages of the extra '$*' (only when they change)"
	@$(PIP) -e '.[$*]'
	@touch $(foreach extra,$(WITH_$*),$(VENV)/.$(extra))

$(VENV)/.made:
	@for python in $(PYTHON) python3.11 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer was not found: install it, or run make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
	  echo "$$found cannot create a virtual environment: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@$(PIP) --upgrade pip  # Python 3.11's own takes twice as long to find the versions that fit together
	@touch $@
