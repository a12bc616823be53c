#!/usr/bin/env bash
# build/test-venv: the built wheel, with the tools of .venv behind it. Tests that run there test what users install.
source "$(dirname "$0")/lib.sh"
cd "$repo"

venv=build/test-venv
wheel=(dist/*.whl)
[[ -x $venv/bin/python ]] || quietly test-venv .venv/bin/python -m venv --without-pip "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# A path file only appends a folder: the path file in there that leads to src/ is not followed.
.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/tools.pth"
quietly test-venv-install .venv/bin/pip --python "$venv/bin/python" install --no-deps --force-reinstall "${wheel[@]}"
"$venv/bin/python" -c "import zbx_nvidia; assert zbx_nvidia.__file__.startswith('$repo/$venv/'), zbx_nvidia.__file__" \
    || fail "$venv would test something else than the wheel"
say "Testing ${wheel[0]}"
