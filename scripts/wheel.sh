#!/usr/bin/env bash
# Builds the wheel into dist/, and removes older ones.
source "$(dirname "$0")/lib.sh"
cd "$repo"

say "Building the wheel"
rm -f dist/*.whl
# Without isolation, build uses the tools in .venv instead of fetching them.
quietly wheel .venv/bin/python -m build --wheel --no-isolation
