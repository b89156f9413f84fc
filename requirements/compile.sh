#!/bin/sh
# Pins every dependency by hash: requirements.lock for developers, one file per image. No file names a host.
# Give `--upgrade` to take newer versions; without it the pins that are there stay.
set -eu
cd "$(dirname "$0")/.."

compile() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url "$@" --output-file "$output"
}

compile requirements.lock pyproject.toml --extra all --extra dev ${1:+"$1"}
for service in assignment qc monitor; do
    compile "requirements/$service.lock" pyproject.toml --extra "$service" --constraint requirements.lock
done
compile requirements/prelabel.lock pyproject.toml --extra prelabel --extra s3 --constraint requirements.lock
compile requirements/trainer.lock pyproject.toml --extra s3 --extra training --constraint requirements.lock
compile requirements/operator.lock pyproject.toml --extra cli --extra prelabel --extra s3 --constraint requirements.lock
for peer in river evidently nannyml; do
    compile "tests/bench/environments/$peer.txt" "tests/bench/environments/$peer.in"
done
