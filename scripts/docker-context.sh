#!/usr/bin/env bash
# docker-context.sh SERIES...: what docker/Dockerfile copies from build/: the wheel, and its dependencies as wheels
# for the Python of that series, for containers need not reach a package index.
source "$(dirname "$0")/lib.sh"
cd "$repo"

declare -A python=([6.0]=3.11 [7.0]=3.13)

for series; do
    context=build/docker/$series
    mkdir -p "$context"
    stamp=$context/pyproject.sha256
    if ! sha256sum --check --status "$stamp" 2>/dev/null; then
        say "Fetching the dependencies for Python ${python[$series]} of the Zabbix $series images"
        rm -rf "$context/dependencies"
        quietly "dependencies-$series" .venv/bin/pip download --dest "$context/dependencies" \
            --only-binary=:all: --python-version "${python[$series]}" --implementation cp dist/*.whl
        rm "$context"/dependencies/zbx_nvidia-*.whl
        sha256sum pyproject.toml >"$stamp"
    fi
    rm -rf "$context/product"
    mkdir "$context/product"
    cp dist/*.whl "$context/product"
done
