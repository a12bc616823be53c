#!/usr/bin/env bash
# pythons.sh all|ends|own: prints the paths of this machine's supported Pythons, oldest first: all, the oldest and the
# newest, or that of .venv. It searches PATH and the folders of pyenv and uv, and reports versions that are not tested.
# pythons.sh minors: prints all supported versions.
source "$(dirname "$0")/lib.sh"
cd "$repo"

# Modules that the tests need, and that a build of Python may lack. A shim of pyenv may exist for a disabled Python.
answer='import ctypes, ensurepip, sqlite3, ssl, venv
import sys
assert sys.implementation.name == "cpython"
print("3.%d" % sys.version_info[1], sys.executable)'

# of MINOR: the path of the first that runs, without pyenv's links.
of() {
    local candidate candidates answered
    mapfile -t candidates < <(
        [[ ! -x .venv/bin/python ]] || .venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.executable))'
        type -aP python3 "python$1" || true
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1.*/bin/python$1" || true
        compgen -G "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}/cpython-$1.*/bin/python$1" || true
    )
    for candidate in "${candidates[@]}"; do
        if answered=$("$candidate" -c "$answer" 2>/dev/null </dev/null) && [[ ${answered%% *} == "$1" ]]; then
            echo "${answered#* }"
            return
        fi
    done
    return 1
}

mapfile -t minors < <(sed -n 's/^ *"Programming Language :: Python :: \(3\.[0-9]\+\)",$/\1/p' pyproject.toml | sort -V)
case ${1:-} in
    minors)
        printf '%s\n' "${minors[@]}"
        exit
        ;;
    own)
        .venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.executable))'
        exit
        ;;
    all | ends) ;;
    *) fail "usage: pythons.sh all|ends|own|minors" ;;
esac

found=()
paths=()
missing=()
for minor in "${minors[@]}"; do
    if path=$(of "$minor"); then
        found+=("$minor")
        paths+=("$path")
    else
        missing+=("$minor")
    fi
done
[[ ${#found[@]} -gt 0 ]] || fail "no Python ${minors[*]} with ensurepip and venv here: install one of them"

last=$((${#found[@]} - 1))
chosen=("${!found[@]}")
[[ $1 == all || $last -lt 2 ]] || chosen=(0 "$last")
used=()
for number in "${chosen[@]}"; do
    used+=("${found[number]}")
    echo "${paths[number]}"
done
{
    printf '> Unit tests on Python %s' "${used[*]}"
    [[ ${#used[@]} -eq ${#found[@]} ]] || printf '; also here: %s (make test-pythons uses all)' "${found[*]:1:last-1}"
    # shellcheck disable=SC2016  # the backquotes are part of the message
    [[ ${#missing[@]} -eq 0 ]] \
        || printf '; not tested, because not here: %s (`uv python install %s`, or pyenv)' "${missing[*]}" "${missing[*]}"
    echo
} >&2
