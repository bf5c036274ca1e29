# Two commands do everything: `make ask` answers a question of a document, `make test` runs the tests.
# Both create what they need; running them again is quick.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
FILES  ?= examples/broadcast-invoice.pdf
Q      ?= What is the Billing phone?
NANO   ?= runs/nano

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-warn-script-location -c requirements.lock
LOCK := pyproject.toml requirements.lock

.PHONY: ask test test-all check fix bench nano nano-reader nano-meaning lock clean help
.SILENT:

help: ## Show this list
	grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

ask: $(VENV)/.runtime ## Answer Q about FILES (default: a question of examples/broadcast-invoice.pdf)
	$(BIN)/leopard ask $(FILES) "$(Q)"

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest -m "not slow and not gpu and not network"

test-all: $(VENV)/.dev ## Run the tests, slow ones too
	$(BIN)/python -m pytest -m "not gpu and not network"

check: $(VENV)/.dev ## Format, lint, types, layers
	$(BIN)/ruff format --check -q src tests benchmarks
	$(BIN)/ruff check -q src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

fix: $(VENV)/.dev ## Format and mend what can be mended
	$(BIN)/ruff format -q src tests benchmarks
	$(BIN)/ruff check -q --fix src tests benchmarks

bench: $(VENV)/.dev ## Run the benchmarks (prints ratios; takes minutes; run alone)
	for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

nano: $(VENV)/.dev ## Train the small model from nothing (about 8 hours on two cores), or go on where it stopped
	$(MAKE) -j2 nano-reader nano-meaning
	$(BIN)/leopard nano $(NANO) --stage model

nano-reader nano-meaning: nano-%: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/leopard nano $(NANO) --stage $*

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, then run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python -m venv failed: on Debian run 'apt install python3-venv'." >&2; exit 1; }

$(VENV)/.runtime: $(LOCK) | $(BIN)/python
	echo "Setting up leopard in $(VENV) (once, a few minutes) ..." >&2
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(LOCK) | $(BIN)/python
	echo "Setting up leopard with its test tools in $(VENV) (once, a few minutes) ..." >&2
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.runtime
