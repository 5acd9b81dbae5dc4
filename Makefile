.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-11s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST) | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi

setup: $(STAMP) ## Make the virtual environment, with exactly the locked versions

$(STAMP): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (about half a minute, once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup ## Rehearse an alert storm against a local page (KEEP=1: stay up afterwards)
	@$(BIN)/statusbridge demo $(if $(KEEP),--keep)

run: setup ## Run the worker on rules/ for real (needs the secrets that rules/ names)
	@$(BIN)/statusbridge run --rules rules

test: setup ## Run the tests (under 3 minutes on 2 cores)
	@$(BIN)/python -m pytest -m "not slow" -n 3 --dist worksteal

acceptance: setup ## Run the tests with real processes: workers, Alertmanager, Zabbix' script engine
	@$(BIN)/python -m pytest -m slow tests/acceptance -n 3 --dist worksteal

lint: setup ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: setup ## Format the code
	@$(BIN)/ruff check --fix --quiet .; $(BIN)/ruff format --quiet .

bench: setup ## Measure intake, delivery, matching and memory as ratios in one run
	@$(BIN)/python -m tests.bench

sim: setup ## Run SEEDS=2000 simulations in virtual time, with faults (FIRST=7: from 7 on, SEED=7: tell one)
	@$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED),--first $(or $(FIRST),0) --seeds $(or $(SEEDS),2000)) $(if $(BEYOND),--beyond)

crash: setup ## Kill the worker over and over, at named points and at random (SEED=7: other lives)
	@$(BIN)/python -m tests.crash $(if $(SEED),--seed $(SEED))

browser: setup ## Use the dashboard in Chromium (needs Debian's chromium), and try what its API says to hostile requests
	@$(BIN)/python -m pytest -m slow tests/browser

screenshots: setup ## Take pictures of every view at the width of a phone and of a desk (FOLDER=var/screenshots)
	@$(BIN)/python -m tests.browser.screenshots $(FOLDER)

misbehave: setup ## Let a page break in 3,240 ways while it answers, and look that nothing is sent twice
	@$(BIN)/python -m pytest -m slow tests/unit/steps/test_misbehaving_page.py -n 2

mutants: setup ## Make faults on purpose, and look that a test catches each
	@$(BIN)/python -m tests.mutants

powercut: setup ## Fail the power 2,000 times and look what is left (needs strace)
	@$(BIN)/python -m tests.powercut

lock: ## Renew requirements.lock (needs uv)
	@uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --upgrade -o requirements.lock

check: lint test ## All that CI runs, in its order
	@$(BIN)/statusbridge check rules

clean: ## Remove what can be made again
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build var

.PHONY: help setup demo run test acceptance lint fmt bench sim crash browser screenshots mutants powercut misbehave lock check clean
