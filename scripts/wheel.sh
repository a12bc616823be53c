#!/usr/bin/env bash
# Builds the wheel into dist/, and removes older ones. Its tools are in build/wheel-venv, in the versions of
# requirements/build.txt, with the dependencies that scripts/zipapp.py packs: without the development tools of .venv.
source "$(dirname "$0")/lib.sh"
cd "$repo"

venv=build/wheel-venv
stamp=$venv/inputs.sha256
if ! sha256sum --check --status "$stamp" 2>/dev/null; then
    say "Preparing $venv (the build tools and the dependencies)"
    [[ -x $venv/bin/pip ]] || quietly wheel-venv python3 -m venv "$venv"
    quietly wheel-venv-install "$venv/bin/pip" install --require-hashes --requirement requirements/build.txt
    sha256sum requirements/build.txt scripts/wheel.sh >"$stamp"
fi
say "Building the wheel"
rm -f dist/*.whl
# Without isolation, build uses the tools in that environment instead of fetching them.
quietly wheel "$venv/bin/python" -m build --wheel --no-isolation
