#!/usr/bin/env bash
# dist/: the wheel of what is in src/, templates/ and userparameters/, and nothing older.
source "$(dirname "$0")/lib.sh"
cd "$repo"

say "Building the wheel"
rm -f dist/*.whl
# The build tools are in .venv already: without isolation nothing is fetched.
quietly wheel .venv/bin/python -m build --wheel --no-isolation
