#!/usr/bin/env bash
# .venv: this package, editable, with its dependencies and the development tools in the versions of requirements/dev.txt.
source "$(dirname "$0")/lib.sh"
cd "$repo"

stamp=.venv/.inputs.sha256
sha256sum --check --status "$stamp" 2>/dev/null && exit

say "Preparing .venv (the package, its dependencies, the development tools)"
[[ -x .venv/bin/pip ]] || quietly venv python3 -m venv .venv
quietly venv-install .venv/bin/pip install --require-hashes --requirement requirements/dev.txt
# Without isolation, pip uses the build tools in .venv instead of fetching them.
quietly venv-package .venv/bin/pip install --no-deps --no-build-isolation --editable .
sha256sum pyproject.toml requirements/dev.txt scripts/venv.sh >"$stamp"
