#!/usr/bin/env bash
# docker-context.sh SERIES...: prepares what docker/Dockerfile copies from build/: the wheel, and its dependencies as
# wheels for the Python of that series. Containers may have no access to a package index.
source "$(dirname "$0")/lib.sh"
cd "$repo"

declare -A python=([6.0]=3.11 [7.0]=3.13)

for series; do
    context=build/docker/$series
    mkdir -p "$context"
    stamp=$context/inputs.sha256
    if ! sha256sum --check --status "$stamp" 2>/dev/null; then
        say "Fetching the dependencies for Python ${python[$series]} of the Zabbix $series images"
        rm -rf "$context/dependencies" "$context/tools"
        download=(.venv/bin/pip download --only-binary=:all: --python-version "${python[$series]}" --implementation cp)
        quietly "dependencies-$series" "${download[@]}" --dest "$context/dependencies" \
            --require-hashes --requirement requirements/install.txt
        # The tools for the installation tests: uv, and what pipx installs into each environment.
        quietly "tools-$series" "${download[@]}" --dest "$context/tools" uv pip setuptools wheel
        sha256sum pyproject.toml requirements/install.txt scripts/docker-context.sh >"$stamp"
    fi
    rm -rf "$context/product"
    mkdir "$context/product"
    cp dist/*.whl requirements/install.txt "$context/product"
done
