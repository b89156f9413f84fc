# What CI runs is what a person runs. Every target does its own set-up; nothing outside .venv and .labelstream is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
UV := $(shell command -v uv)

.PHONY: setup demo test check bench bench-quality chaos mutate up compose-test k8s-check

setup: $(STAMP)

# Pinned with hashes; the project itself is linked, built with the pinned setuptools. Redone when the lock changes.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
ifneq ($(UV),)
	uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

demo: setup
	$(BIN)/labelstream demo

up: setup
	$(BIN)/labelstream up

# Apache Kafka comes as a container where a Docker engine answers, else from Maven onto the local JVM (Java 17, mvn).
test: check
	$(BIN)/pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

bench: setup
	$(BIN)/pytest tests/bench -s

# The quality engine beside crowd-kit, cleanlab and peerannot, which live in an environment of their own.
bench-quality: setup build/peers/installed
	@test -n "$(DATASETS)" || { echo "give the folder of recorded crowds: make bench-quality DATASETS=..." >&2; exit 1; }
	$(BIN)/python -m tests.bench.quality $(DATASETS) $(BENCH)

build/peers/installed: tests/bench/quality/peers.txt
ifneq ($(UV),)
	uv venv --quiet --allow-existing --python $(PYTHON) build/peers
	uv pip install --quiet --python build/peers/bin/python --no-deps -r tests/bench/quality/peers.txt
else
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/bench/quality/peers.txt
endif
	@touch $@

# The images and compose.yaml, built and run for real, wherever podman or Docker is; it says what is missing otherwise.
compose-test: setup
	$(BIN)/python -m tests.compose

# The manifests, rendered by kustomize (built with Go) and held against the published schemas of every version.
k8s-check: setup
	$(BIN)/python -m tests.kubernetes

# Seeds 1 to SEEDS under faults, then the proof of every invariant; one seed again: make chaos FROM=7 SEEDS=1.
chaos: setup
	$(BIN)/python -m tests.e2e.chaos --from $(or $(FROM),1) --count $(or $(SEEDS),2) --seconds $(or $(SECONDS),45)

mutate: setup
	$(BIN)/python -m tests.e2e.mutate

# The same load on 1, 2 and 4 replicas; and a rolling upgrade from another commit and back: make upgrade OLD=v0.1.0
.PHONY: scale upgrade
scale: setup
	$(BIN)/python -m tests.e2e.scale
upgrade: setup
	$(BIN)/python -m tests.e2e.upgrade $(OLD)
