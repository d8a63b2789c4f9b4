# Toneline. `make run` needs Debian 12 (or another Linux) with Python 3.11, git and make, no more.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: setup run test check fuzz bench asterisk lock clean

run: $(READY)  ## runs the line on this machine until Ctrl-C
	@exec $(VENV)/bin/toneline serve

setup: $(READY)  ## installs everything into .venv

test: $(READY)  ## every test, real Asterisk and PostgreSQL included; files side by side
	@$(VENV)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)  ## lint, types, import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

fuzz: $(READY)  ## damages PDUs for an hour (MINUTES=600 for longer)
	@$(VENV)/bin/python -m tests.fuzz --minutes $(or $(MINUTES),60)

bench: $(READY)  ## our own figures beside their peers; writes bench/latest.json
	@$(VENV)/bin/python -m tests.bench

asterisk: $(READY)  ## unpacks the Asterisk that the tests call
	@$(VENV)/bin/python -m tests.system.asterisk_tree

$(READY): requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Toneline needs Python 3.11 or newer")'
	@echo "setting up $(VENV) ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --use-pep517 --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:  ## renews requirements.lock from setup.cfg's ranges
	@$(VENV)/bin/pip-compile --quiet --upgrade --extra dev --generate-hashes --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock setup.cfg

clean:
	rm -rf $(VENV) var
