# `make setup` prepares everything; the other targets do so by themselves when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
PYTEST_FLAGS ?=

.PHONY: help setup demo image test test-everest check bench docs screenshots lock demo-data demo-data-aarch64 clean
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST)

# Pinned packages first, with their hashes; then evdiag itself, which needs no network any more.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed tests/requirements.lock
	$(PIP) --require-hashes -r tests/requirements.lock
	@touch $@

setup: $(VENV)/installed ## create .venv with evdiag and the packages it needs

demo: $(VENV)/installed ## analyse a real crash that ships with evdiag: no Docker, no gdb
	$(BIN)/evdiag demo

# Unit tests alone have to cover the layers that decide; measuring the others costs minutes and says
# nothing. Containers come first (tests/conftest.py), all in one worker's first share.
XDIST := -n 3
# Tests of real processes, containers and signals depend on time: what failed beside two others is
# tried once more, alone. What fails twice fails, and what needed it is to be mended.
REAL := $(BIN)/python -m pytest tests --ignore=tests/unit
AGAIN := --last-failed --last-failed-no-failures none --maxfail 1
test: $(VENV)/installed-dev ## run all tests; installs compilers and gdb if it may
	tests/install-tools.sh
	tests/install-docker.sh
	$(BIN)/coverage erase
	COVERAGE_CORE=ctrace $(BIN)/coverage run -m pytest tests/unit $(XDIST) $(PYTEST_FLAGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='evdiag/model/*,evdiag/parse/*,evdiag/analyze/*,evdiag/report/*' --fail-under=100
	$(REAL) $(XDIST) $(PYTEST_FLAGS) || \
	  { echo 'make test: what failed is tried once more, alone'; $(REAL) $(AGAIN) $(PYTEST_FLAGS); }

# SOURCES=DIR: source trees of EVerest and its dependencies to build in place of clones; see
# container/sources/README.md. IMAGE_FLAGS: more of what `evdiag build --help` lists.
IMAGE ?= evdiag/everest:latest
image: $(VENV)/installed ## build the charger's image (the first time about an hour); SOURCES=DIR for own sources
	$(BIN)/evdiag build --tag $(IMAGE) $(if $(SOURCES),--sources $(SOURCES)) $(IMAGE_FLAGS)

# The image is $EVDIAG_TEST_EVEREST_IMAGE, else evdiag/everest:latest.
test-everest: $(VENV)/installed-dev ## test the built image: real EVerest, CSMS, cars, crashes (minutes)
	$(BIN)/python -m pytest tests/everest tests/browser -m everest --require-everest $(PYTEST_FLAGS)

check: $(VENV)/installed-dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

docs: $(VENV)/installed-dev ## write the generated pages of docs/reference
	$(BIN)/python -m docs.generate

screenshots: $(VENV)/installed-dev ## take the pictures of the docs (minutes; needs Docker and Chromium)
	$(BIN)/python -m tests.browser.screenshot docs/images

bench: $(VENV)/installed-dev ## measure against eu-stack and gdb (minutes, builds 100 MB of debug information)
	$(BIN)/python -m benchmarks.run --evdiag $(BIN)/evdiag
	$(BIN)/python -m benchmarks.values --evdiag $(BIN)/evdiag

lock: ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	  --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	  --group dev -c requirements.lock -o tests/requirements.lock

demo-data: $(VENV)/installed-dev ## make the core of `evdiag demo` anew (needs g++)
	$(BIN)/python -m tests.crashers.make_demo

# On Debian 12 with qemu-system-arm, cpio and g++-aarch64-linux-gnu; the rest is fetched with apt.
demo-data-aarch64: $(VENV)/installed-dev ## the same for `--machine aarch64`, in an emulated machine
	$(BIN)/python -m tests.crashers.make_demo --machine aarch64

clean: ## remove everything that the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* evdiag-demo
