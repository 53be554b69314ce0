# Each target is a command or two that work alone; `make run` and `make test` also install what they need.

PYTHON ?= python3
VENV := .venv
SAMPLE_MODULES := fixtures/samples/node_modules/.package-lock.json
TEST_MODULES := tests/sdk/node/node_modules/.package-lock.json

.PHONY: run test check bench coverage

# Builds everything, starts durastack, runs the samples once, and keeps serving. RUN_ONCE=1 ends after the samples.
run: $(VENV)/.installed $(SAMPLE_MODULES)
	cargo build --release --bin durastack
	$(VENV)/bin/python fixtures/samples/run.py

# Everything that is tested. The SDK tests start the binary that is built here.
test: $(VENV)/.installed $(TEST_MODULES)
	INSTA_UPDATE=no cargo test --workspace
	cargo build --bin durastack
	CI=1 $(VENV)/bin/python -m pytest -q tests/sdk/python
	cd tests/sdk/node && CI=1 npm test

# What a change must pass before it is looked at.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: $(VENV)/.installed
	cargo build --release --bin durastack
	cargo run --release -p durastack-bench

# The table of operations, from the code's own tables.
coverage:
	cargo run -q --bin durastack -- coverage > COVERAGE.md

$(VENV)/.installed: tests/sdk/python/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/sdk/python/requirements.txt
	touch $@

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	touch $@
