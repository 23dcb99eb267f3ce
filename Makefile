# The two commands to know: `make demo` and `make test`. Both set up all they need.
.DEFAULT_GOAL := help
.PHONY: help demo compare clusters test test-long compile-some compile-others check format lint types contracts docs pictures bench up clean
BIN := .venv/bin
WORKERS ?= 4
COLLECT := $(BIN)/python -m pytest --collect-only -q
# Compiled modules are kept, whatever the machine says: tests start hundreds of processes, each would compile all it imports.
export PYTHONDONTWRITEBYTECODE :=

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo:  ## run the physics mini-chain through a whole Nunatak, with its checks and plot
	@tools/setup.sh run
	@$(BIN)/python examples/muons/demo.py

compare:  ## after `make demo`: run the chain without any workflow system and compare the content of all outputs
	@python=$$(ls $(CURDIR)/demo-out/nunatak/cache/venv/*/bin/python) && cd examples/muons && rm -rf ../../demo-out/plain && \
	$$python run_chain.py ../../demo-out/plain --jobs 4 >../../demo-out/plain.log && \
	$$python compare_hashes.py ../../demo-out/plain ../../demo-out/results

clusters:  ## run the whole chain on a real HTCondor pool and a real Slurm, with evictions, and compare its content (root on Debian 12)
	@tools/setup.sh dev
	@NUNATAK_CHAIN=whole $(BIN)/python -m pytest -q -s tests/story/test_physics_on_clusters.py

test:  ## run every test, with a real PostgreSQL, HTCondor pool and Slurm (root on Debian 12)
	@tools/setup.sh dev
	@$(BIN)/python -m tests.services.install
	@$(MAKE) --no-print-directory -j 2 compile-some compile-others
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long"

test-long:  ## the stories of real clusters that take minutes each: half an hour
	@tools/setup.sh dev
	@$(BIN)/python -m tests.services.install
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m long

compile-some:  # else each worker of `make test` would compile every test for itself, all at the same time
	@$(COLLECT) tests/contract tests/story >/dev/null 2>&1 || true
compile-others:
	@$(COLLECT) tests/edge tests/pages tests/pure >/dev/null 2>&1 || true

check: lint types contracts  ## format, lint, types, import contracts, generated docs (the tests: make test)
	@$(BIN)/python tools/docs.py --check

format:  ## put the code into the one format
	@tools/setup.sh dev
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

lint:
	@tools/setup.sh dev
	@$(BIN)/ruff format -q --check . && $(BIN)/ruff check -q . && $(BIN)/codespell src docs README.md CONTRIBUTING.md CHANGELOG.md examples

types:
	@tools/setup.sh dev
	@$(BIN)/mypy --no-error-summary

contracts:
	@tools/setup.sh dev
	@$(BIN)/lint-imports --no-cache >/tmp/nunatak-imports.$$$$ 2>&1 || { cat /tmp/nunatak-imports.$$$$; rm -f /tmp/nunatak-imports.$$$$; exit 1; }; rm -f /tmp/nunatak-imports.$$$$

docs:  ## write the generated pages of docs/reference anew
	@tools/setup.sh dev
	@$(BIN)/python tools/docs.py

pictures:  ## write the pictures of the pages in docs/pictures anew (root on Debian 12, for a browser)
	@tools/setup.sh dev
	@PYTHONPATH=. $(BIN)/python tools/pictures.py

bench:  ## measure the budgets, one JSON line each
	@tools/setup.sh dev
	@$(BIN)/python -m bench

up:  ## start Nunatak here
	@tools/setup.sh run
	@$(BIN)/nunatak up

clean:
	rm -rf .venv demo-out bench/out .mypy_cache .ruff_cache .hypothesis
