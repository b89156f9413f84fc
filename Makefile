# What CI runs is what a person runs. Every target does its own set-up; nothing outside .venv and .labelstream is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
ifneq ($(shell command -v uv),)
VENV = uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(1)
PIP = uv pip install --quiet --python $(1)/bin/python
else
VENV = $(PYTHON) -m venv $(1)
PIP = $(1)/bin/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: setup demo test check bench bench-peers bench-quality bench-drift chaos mutate scale upgrade dashboards up compose-test k8s-check

setup: $(STAMP)

# Pinned with hashes; the project itself is linked, built with the pinned setuptools. Redone when the lock changes.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(call VENV,.venv)
	$(call PIP,.venv) --require-hashes -r requirements.lock
	$(call PIP,.venv) --no-deps --no-build-isolation -e .
	@touch $@

demo up: setup
	$(BIN)/labelstream $@

# Apache Kafka comes as a container where a Docker engine answers, else from Maven onto the local JVM (Java 17, mvn).
test: check
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

bench bench-peers: setup
	$(BIN)/python -m tests.bench $(if $(filter bench-peers,$@),annotators studio,$(PARTS))
bench-peers: build/studio/installed

# Quality beside crowd-kit, cleanlab, peerannot; drift beside River, Evidently, NannyML (PEERS=river: that alone). Own environments.
bench-quality: setup build/peers/installed
	@test -n "$(DATASETS)" || { echo "give the folder of recorded crowds: make bench-quality DATASETS=..." >&2; exit 1; }
	$(BIN)/python -m tests.bench.quality $(DATASETS) $(BENCH)
bench-drift: setup $(patsubst %,build/%/installed,$(or $(PEERS),river evidently nannyml))
	$(BIN)/python -m tests.bench.drift $(BENCH)
build/%/installed: tests/bench/environments/%.txt
	$(call VENV,build/$*)
	$(call PIP,build/$*) --no-deps -r $<
	@touch $@
# The images and compose.yaml run for real (podman or Docker); the manifests rendered and validated (Go).
compose-test k8s-check: setup
	$(BIN)/python -m tests.$(subst k8s-check,kubernetes,$(subst compose-test,compose,$@))

# Seeds 1 to SEEDS under faults, then the proof of every invariant; one seed again: make chaos FROM=7 SEEDS=1.
chaos: setup
	$(BIN)/python -m tests.e2e.chaos --from $(or $(FROM),1) --count $(or $(SEEDS),2) --seconds $(or $(SECONDS),45)
# A rolling upgrade from another commit and back: make upgrade OLD=v0.1.0; dashboards: each expression, under load.
mutate scale upgrade dashboards: setup
	$(BIN)/python -m tests.e2e.$@ $(OLD)
