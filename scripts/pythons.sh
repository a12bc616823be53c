#!/usr/bin/env bash
# pythons.sh all|ends|own: the Pythons of this machine that the package supports, by path, oldest first: all, the oldest
# and the newest, or that of .venv. It looks on PATH and where pyenv and uv put theirs, and says what it leaves untested.
# pythons.sh minors: what is supported, by number, here or not.
source "$(dirname "$0")/lib.sh"
cd "$repo"

# What the tests need of a Python, and a build of it may lack. A shim of pyenv may answer for a Python that is not enabled.
answer='import ctypes, ensurepip, sqlite3, ssl, venv
import sys
assert sys.implementation.name == "cpython"
print("3.%d" % sys.version_info[1], sys.executable)'

# of MINOR: the first that runs, as a path; a link of pyenv's as what it leads to.
of() {
    local candidate candidates found
    mapfile -t candidates < <(
        [[ ! -x .venv/bin/python ]] || .venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.executable))'
        type -aP python3 "python$1" || true
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1.*/bin/python$1" || true
        compgen -G "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}/cpython-$1.*/bin/python$1" || true
    )
    for candidate in "${candidates[@]}"; do
        if found=$("$candidate" -c "$answer" 2>/dev/null </dev/null) && [[ ${found%% *} == "$1" ]]; then
            echo "${found#* }"
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
[[ ${#found[@]} -gt 0 ]] || fail "none of Python ${minors[*]} is here with ensurepip and venv"

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
    [[ ${#used[@]} -eq ${#found[@]} ]] || printf '; also here: %s (make test-pythons takes all)' "${found[*]:1:last-1}"
    # shellcheck disable=SC2016  # the backquotes are for a person
    [[ ${#missing[@]} -eq 0 ]] \
        || printf '; not here, so not tested: %s (`uv python install %s`, or pyenv)' "${missing[*]}" "${missing[*]}"
    echo
} >&2
