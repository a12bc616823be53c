# Every target installs what it needs: `make demo` and `make test` work on a new Debian or Ubuntu machine.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
SERIES ?= 7.0
SECONDS ?= 600
PYTHONS ?= ends
PYTHON := .venv/bin/python
TEST_PYTHON := build/test-venv/bin/python

.PHONY: help venv engine images simulator wheel zipapp generate lint lock test-unit test-all-unit test-pythons test-integration test-loaded test soak demo demo-down bench pictures clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv wheel engine ## start a real Zabbix with simulated GPUs on this machine (SERIES=6.0 or 7.0)
	@scripts/images.sh $(SERIES)
	@$(PYTHON) scripts/demo.py $(SERIES)

demo-down: ## remove the demo
	@scripts/demo-down.sh

UNIT_PROGRAMS = scripts/system-packages.sh systemd valgrind fish mandoc zsh && scripts/nvidia-smi.sh

test: lint wheel simulator ## run all checks and tests
	@$(UNIT_PROGRAMS)
	@scripts/both-parts.sh $(PYTHONS) $(MAKE) test-integration

test-unit: lint wheel simulator ## run the checks and the quick tests without Docker, for everyday work
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh own "not gpu and not slow"

test-all-unit: lint wheel simulator ## run the part of `make test` without Docker, on the oldest and newest Python (PYTHONS=ends, all or own)
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh $(PYTHONS)

test-pythons: lint wheel simulator ## run the same on every supported Python of this machine
	@$(UNIT_PROGRAMS)
	@scripts/unit-tests.sh all

# Both series in parallel, unless SERIES is given.
TEST_SERIES := $(if $(filter file,$(origin SERIES)),6.0 7.0,$(SERIES))

test-integration: venv wheel ## run the tests against real Zabbix 6.0 and 7.0 in Docker (SERIES=7.0: only that)
	@scripts/docker-engine.sh || { echo "skipped: all tests against a real Zabbix: start Docker, then run" \
	    "make test-integration" >&2; exit 1; }
	@scripts/system-packages.sh chromium
	@scripts/images.sh $(TEST_SERIES)
	@scripts/test-venv.sh
	@ZBX_NVIDIA_TEST_SERIES="$(TEST_SERIES)" $(TEST_PYTHON) -m pytest -m integration --numprocesses 4 \
	    --durations 20 tests/integration

test-loaded: ## run `make test` together with four busy loops, as on a busy machine
	@scripts/loaded.sh 4 $(MAKE) test

soak: venv wheel simulator ## run the resident collector for 10 minutes, about 40,000 rounds (SECONDS=600)
	@scripts/test-venv.sh
	@ZBX_NVIDIA_SOAK=$(SECONDS) $(TEST_PYTHON) -m pytest -s tests/unit/collector/resident/test_soak.py

lint: venv ## run ruff, mypy and shellcheck, and check that the lock files match pyproject.toml
	@echo "> Checking style and types"
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet || { echo "error: run .venv/bin/ruff format" >&2; exit 1; }
	@.venv/bin/mypy --no-error-summary
	@$(PYTHON) scripts/lock.py --check
	@.venv/bin/shellcheck --external-sources --source-path=SCRIPTDIR \
	    scripts/*.sh .ci/run docker/apt-install docker/*/start docker/*/healthy docker/*/create-database

generate: venv ## rewrite the generated templates, UserParameters, documents and docs
	@$(PYTHON) -m scripts.generate

bench: venv wheel engine ## measure what a check costs the GPU host, as ratios to reference commands, and the server
	@scripts/images.sh 7.0
	@$(PYTHON) scripts/bench.py
	@$(PYTHON) -m scripts.bench_server

pictures: venv wheel engine ## take the pictures of docs/pictures, in ten minutes
	@scripts/system-packages.sh chromium pngquant
	@scripts/images.sh 6.0 7.0
	@$(PYTHON) -m scripts.pictures

wheel: ## build dist/*.whl, without the development tools
	@scripts/system-packages.sh python
	@scripts/wheel.sh

zipapp: wheel ## build dist/zbx-nvidia.pyz, one file that needs only Python, without the development tools
	@build/wheel-venv/bin/python scripts/zipapp.py

simulator: ## build build/simulator/libnvidia-ml.so.1, a simulated driver
	@scripts/system-packages.sh compiler
	@$(MAKE) -C simulator

venv: ## create .venv with the package and the development tools
	@scripts/system-packages.sh python
	@scripts/venv.sh

lock: venv ## write requirements/*.txt: the newest versions that fit pyproject.toml, with hashes
	@$(PYTHON) scripts/lock.py

engine: ## start a Docker engine, and install one if there is none
	@scripts/docker-engine.sh

images: venv wheel engine ## build the container images of one series (SERIES=6.0 or 7.0)
	@scripts/images.sh $(SERIES)

clean: ## remove everything that was built, except .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
