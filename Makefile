# Every target installs what it needs: `make demo` and `make test` are enough on a bare Debian or Ubuntu machine.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
SERIES ?= 7.0
SECONDS ?= 600
PYTHONS ?= ends
PYTHON := .venv/bin/python
TEST_PYTHON := build/test-venv/bin/python

.PHONY: help venv engine images simulator wheel zipapp generate lint lock test-unit test-all-unit test-pythons test-integration test-loaded test soak demo demo-down bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv wheel engine ## a real Zabbix with simulated GPUs on this machine (SERIES=6.0 or 7.0)
	@scripts/images.sh $(SERIES)
	@$(PYTHON) scripts/demo.py $(SERIES)

demo-down: ## remove the demo
	@scripts/demo-down.sh

UNIT_PROGRAMS = scripts/system-packages.sh systemd valgrind fish mandoc zsh

test: test-all-unit test-integration ## every check and every test

test-unit: lint wheel simulator ## for everyday work: what needs neither Docker nor more than a minute
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh own "not gpu and not slow"

test-all-unit: lint wheel simulator ## the part of `make test` that needs no Docker, on the oldest and the newest Python (PYTHONS=ends, all or own)
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh $(PYTHONS)

test-pythons: lint wheel simulator ## the same on every supported Python here
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh all

# Both series side by side, unless SERIES is given.
TEST_SERIES := $(if $(filter file,$(origin SERIES)),6.0 7.0,$(SERIES))

test-integration: venv wheel ## the tests against real Zabbix 6.0 and 7.0 in Docker (SERIES=7.0: against that alone)
	@scripts/docker-engine.sh || { echo "left out: all tests against a real Zabbix; when Docker runs here:" \
	    "make test-integration" >&2; exit 1; }
	@scripts/images.sh $(TEST_SERIES)
	@scripts/test-venv.sh
	@ZBX_NVIDIA_TEST_SERIES="$(TEST_SERIES)" $(TEST_PYTHON) -m pytest -m integration --numprocesses 3 \
	    --durations 20 tests/integration

test-loaded: ## `make test` on a machine that has other work: four busy loops beside it
	@scripts/loaded.sh 4 $(MAKE) test

soak: wheel simulator ## the resident collector for 10 minutes, 40,000 rounds of it (SECONDS=600)
	@scripts/test-venv.sh
	@ZBX_NVIDIA_SOAK=$(SECONDS) $(TEST_PYTHON) -m pytest -s tests/unit/collector/resident/test_soak.py

lint: venv ## ruff, mypy, shellcheck, and whether the lock files are those of pyproject.toml
	@echo "> Checking style and types"
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet || { echo "error: run .venv/bin/ruff format" >&2; exit 1; }
	@.venv/bin/mypy --no-error-summary
	@$(PYTHON) scripts/lock.py --check
	@.venv/bin/shellcheck --external-sources --source-path=SCRIPTDIR \
	    scripts/*.sh .ci/run docker/apt-install docker/*/start docker/*/healthy docker/*/create-database

generate: venv ## rewrite the generated templates, UserParameters, documents and docs
	@$(PYTHON) -m scripts.generate

bench: venv wheel engine ## what a check costs, beside its yardsticks
	@scripts/images.sh 7.0
	@$(PYTHON) scripts/bench.py

wheel: venv ## dist/*.whl
	@scripts/wheel.sh

zipapp: wheel ## dist/zbx-nvidia.pyz, all of it in one file that needs Python alone
	@$(PYTHON) scripts/zipapp.py

simulator: ## build/simulator/libnvidia-ml.so.1, a driver for machines without one
	@scripts/system-packages.sh compiler
	@$(MAKE) -C simulator

venv: ## .venv with the package and the development tools
	@scripts/system-packages.sh python
	@scripts/venv.sh

lock: venv ## requirements/*.txt: the newest versions that fit pyproject.toml, with hashes
	@$(PYTHON) scripts/lock.py

engine: ## a running Docker engine, installed if there is none
	@scripts/docker-engine.sh

images: venv wheel engine ## the container images of one series (SERIES=6.0 or 7.0)
	@scripts/images.sh $(SERIES)

clean: ## remove everything built, but for .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
