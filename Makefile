# Everything a person or CI runs. An environment is built once; a stamp in .venv says for which requirements.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP := .venv/bin/python -m pip --disable-pip-version-check install -qq
BIN := .venv/bin

.PHONY: help install serve test check bench starter clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: .venv/images.stamp ## Build the environment that serves.

serve: .venv/images.stamp ## Serve on http://127.0.0.1:8000; ARGS="--port 9000" for `haiga serve --help`'s flags.
	@exec $(BIN)/haiga serve $(ARGS)

test: .venv/dev.stamp ## Run the whole suite; ARGS="tests/unit" for a part.
	@PYTHON="$(PYTHON)" scripts/sdk-env
	@scripts/postgres-env
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/dev.stamp ## Run the linters, the type checker and the documentation's tests.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest tests/docs

bench: .venv/dev.stamp ## Print the benchmarks.
	@$(BIN)/python -m bench $(ARGS)

starter: .venv/dev.stamp ## Train the starter model anew: make starter DATA=DIR.
	@test -n "$(DATA)" || { echo "say where the texts are: make starter DATA=DIR" >&2; exit 2; }
	@$(BIN)/python -m trainers.starter --data "$(DATA)" --out haiga/starter/text $(ARGS)

clean: ## Remove the environments.
	rm -rf .venv .venv-*

.venv/bin/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "haiga needs Python 3.11 or newer" >&2; exit 1; }
	@echo "making .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv

.venv/serve.stamp: requirements/serve.txt pyproject.toml | .venv/bin/python
	@echo "installing what a server needs (a minute or so, once)"
	@$(PIP) -r requirements/serve.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/images.stamp: requirements/images.txt .venv/serve.stamp
	@echo "installing what making pictures needs (some minutes, once)"
	@$(PIP) -r requirements/images.txt
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/images.stamp
	@echo "installing what tests need (some minutes, once)"
	@$(PIP) -r requirements/dev.txt
	@touch $@
