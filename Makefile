# Everything sets itself up: a machine with make and Python 3.11 (or newer) is enough.
# The second run starts at once; packages are installed again only when pyproject.toml or constraints.txt change.

VENV := .venv
BIN := $(VENV)/bin

SECONDS ?= 20
PLAYERS ?= 50
WORKERS ?= 2
ARGS ?=
# Many tests wait for processes of their own; a file's tests share servers, so they stay together.
PARALLEL ?= -n 3 --dist loadfile --no-loadscope-reorder

# Also for what builds the package, which pip's -c does not reach (the second name is that of newer pips).
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench chaos web clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.game ## Players walk mazes by gestures: SECONDS=20 PLAYERS=50 WORKERS=2
	@$(BIN)/maze demo --seconds $(SECONDS) --players $(PLAYERS) --workers $(WORKERS) $(ARGS)

test: $(VENV)/.test ## Run the tests: ARGS="-k policy"
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.lint ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: $(VENV)/.game ## Measure throughput and latency
	@$(BIN)/python bench/drain.py
	@$(BIN)/python bench/latency.py
	@$(BIN)/python bench/gateway.py

chaos: $(VENV)/.test ## Kill, stop and cut off workers, then Redis too, and add everything up: SECONDS=60
	@$(BIN)/python -m tests.chaos.driver --seconds $(SECONDS)
	@$(BIN)/python -m tests.chaos.driver --seconds $(SECONDS) --restarts

web: ## Fetch the hand tracker of the page, so that it needs no CDN
	@sh gesture_maze/page/fetch_hands.sh

clean: ## Remove what was set up
	rm -rf $(VENV)

# What each extra of pyproject.toml brings along, so that nothing is installed twice.
WITH_game := game
WITH_test := game test
WITH_lint := game test lint

$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "installing what 'make $*' needs, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $(foreach extra,$(WITH_$*),$(VENV)/.$(extra))

$(VENV)/.made:
	@for python in $(PYTHON) python3.11 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "gesture-maze needs Python 3.11 or newer and found none: install it, or say make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
	  echo "$$found cannot make a virtual environment: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@touch $@
