# Every target but `help` sets up first. A bare machine needs Python 3.11 and make.

PYTHON ?= python3
PORT ?= 8000
T ?=
AGAINST ?=
COVER ?=
BIN := .venv/bin
# Covered wholly: what decides, what computes, and every sentence that a person is shown.
WHOLLY := app/relief/*,app/instruments/*,app/statistics/*,app/tracks/explanation*.py,app/trend/words.py,app/pictures/[a-qt-z]*.py,app/pictures/s[ct]*.py,app/outlook/words.py,app/outlook/estimating.py,app/checkins/output.py,app/alerts/mailing.py,app/cohorts/method.py,app/errors.py
# Licences whose terms a clinic that runs the service can keep. Another one is a decision, and stops the check.
LICENCES := Apache;MIT;BSD;ISC;PSF;Python;MPL;LGPL
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo run test cover check contract tools clients parts fix bench soak accuracy docs openapi migration lock

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## Make .venv with `holdfast` in it

$(READY): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; \
		else echo "Python's venv is missing. Run: sudo apt-get install -y python3-venv"; exit 1; fi; }
	@echo "Setting up .venv (once, a minute or two)..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: setup ## Fill a synthetic clinic, serve it, and say what to try
	@$(BIN)/holdfast demo --port $(PORT)

run: setup ## Serve your own data/holdfast.db
	@$(BIN)/holdfast migrate
	@$(BIN)/holdfast serve

test: setup tools ## Run the whole suite, on SQLite and on PostgreSQL; a part of it: make test T=tests/relief
	@$(if $(COVER),rm -f .coverage .coverage.*)
	@$(BIN)/$(if $(COVER),coverage run,python) -m pytest $(or $(T),-n auto --dist loadfile)
	@$(if $(COVER),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)
	@$(if $(COVER),$(BIN)/coverage report --include='$(WHOLLY)' --fail-under=100)

cover: ## Run the whole suite, and see that it runs every line it should: the engine, the statistics, every sentence
	@$(MAKE) --no-print-directory test COVER=1

check: setup parts contract ## Lint, types, import contracts, the OpenAPI document, and what the product is made of
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

TOOLS := clients/tools/.ready
NODE_TOOLS := clients/node_modules/.ready

tools: $(TOOLS) $(NODE_TOOLS) ## Make what makes clients: clients/tools/.venv, with Node in it, and clients/node_modules

$(TOOLS): clients/tools/requirements.txt
	@$(PYTHON) -m venv clients/tools/.venv
	@clients/tools/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r clients/tools/requirements.txt && touch $@ \
		|| echo "SKIPPED: what makes clients could not be fetched; they are neither made nor tested."

$(NODE_TOOLS): $(TOOLS) clients/package-lock.json
	@$(PYTHON) clients/build.py install && touch $@ \
		|| echo "SKIPPED: npm could not fetch its packages; the TypeScript client is neither made nor tested, and the OpenAPI document not linted."

contract: tools ## Lint the OpenAPI document by the strictest rules of Redocly and Spectral
	@if [ -e $(NODE_TOOLS) ]; then $(PYTHON) clients/build.py lint; else echo "SKIPPED: the OpenAPI document was not linted."; fi

clients: tools ## Make the Python and TypeScript clients, into dist/, and Go, Java, Kotlin, Swift and C#, into dist/clients
	@$(PYTHON) clients/build.py python $$(test -e $(NODE_TOOLS) && echo typescript) wheel others

parts: setup ## List what the service runs on (dist/holdfast.cdx.json), its licences, and its known faults
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements locks/run.txt --pyproject pyproject.toml --output-reproducible -o dist/holdfast.cdx.json
	@$(BIN)/pip-licenses --packages $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' locks/run.txt) --allow-only '$(LICENCES)' --partial-match > dist/licences.txt
	@found=$$($(BIN)/pip-audit --format columns --disable-pip --require-hashes -r locks/run.txt 2>dist/audit.txt) || { \
		if [ -n "$$found" ] || ! grep -qiE 'connection|timed? ?out|resolve|unreachable|HTTPError' dist/audit.txt; then echo "$$found"; cat dist/audit.txt; exit 1; fi; \
		echo "SKIPPED: known faults of the parts were not looked up, because their database is not reachable (dist/audit.txt)."; }

fix: setup ## Format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## Measure speed against the bare framework and drivers, or beside an earlier build: make bench AGAINST=0950f12 (half an hour; wants `wrk`)
	@$(BIN)/python -m bench $(if $(AGAINST),--against $(AGAINST))

soak: setup ## Ten minutes of posts at 80% of the limit
	@$(BIN)/python -m bench.soak

accuracy: setup ## Measure the answer's accuracy and try the attack list, and write their pages
	@$(BIN)/python -m bench.accuracy
	@$(BIN)/python -m bench.attacks

docs: openapi

openapi: setup ## Write docs/reference from the code
	@$(BIN)/python -m tests.render

migration: setup ## Draft a migration: make migration NAME="what changes"
	@$(BIN)/alembic revision --autogenerate -m "$(NAME)" --rev-id "$$(date -u +%Y%m%d_%H%M)"

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

lock: setup ## Pin dependencies anew, with hashes and no address
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/$(LOCK) pyproject.toml -o locks/run.txt
	@$(BIN)/$(LOCK) --group build -o locks/build.txt
	@$(BIN)/$(LOCK) pyproject.toml --group build --group dev -o locks/dev.txt
	@$(BIN)/$(LOCK) clients/tools/requirements.in -o clients/tools/requirements.txt
