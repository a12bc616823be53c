#!/usr/bin/env bash
# .venv: this package, editable, with its dependencies and the development tools of pyproject.toml.
source "$(dirname "$0")/lib.sh"
cd "$repo"

stamp=.venv/.pyproject.sha256
sha256sum --check --status "$stamp" 2>/dev/null && exit

say "Preparing .venv (the package, its dependencies, the development tools)"
[[ -x .venv/bin/pip ]] || quietly venv python3 -m venv .venv
quietly venv-pip .venv/bin/python -m pip install --upgrade 'pip>=25.1' # the first that knows --group
quietly venv-install .venv/bin/pip install --editable . --group dev
sha256sum pyproject.toml >"$stamp"
