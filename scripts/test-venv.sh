#!/usr/bin/env bash
# test-venv.sh [PYTHON]: an environment with the built wheel, so that tests use what users install.
#   without PYTHON: build/test-venv, with the machine's own Python and the tools of .venv
#   with PYTHON:    build/test-venv-3.x, with the packages of requirements/test.txt only
source "$(dirname "$0")/lib.sh"
cd "$repo"

wheel=(dist/*.whl)
if [[ $# -eq 0 ]]; then
    venv=build/test-venv
    [[ -x $venv/bin/python ]] || quietly test-venv .venv/bin/python -m venv --without-pip "$venv"
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # A path file only appends a folder: Python ignores the path file in that folder, which names src/.
    .venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/tools.pth"
    pip=(.venv/bin/pip --python "$venv/bin/python")
else
    minor=$("$1" -c 'import sys; print("3.%d" % sys.version_info[1])')
    venv=build/test-venv-$minor
    stamp=$venv/inputs
    pip=("$venv/bin/python" -m pip)
    inputs=$("$1" -c 'import sys; print(sys.base_prefix, sys.version)' && sha256sum requirements/test.txt scripts/test-venv.sh)
    if [[ $inputs != "$(cat "$stamp" 2>/dev/null)" ]]; then
        say "Preparing $venv"
        rm -rf "$venv"
        quietly "test-venv-$minor" "$1" -m venv "$venv"
        quietly "test-venv-$minor-tools" "${pip[@]}" install --require-hashes --requirement requirements/test.txt
        printf '%s\n' "$inputs" >"$stamp"
    fi
fi
quietly "${venv#build/}-install" "${pip[@]}" install --no-deps --force-reinstall "${wheel[@]}"
"$venv/bin/python" -c "import zbx_nvidia; assert zbx_nvidia.__file__.startswith('$repo/$venv/'), zbx_nvidia.__file__" \
    || fail "$venv does not import the wheel: remove $venv, and try again"
say "Testing ${wheel[0]} on $("$venv/bin/python" --version)"
