#!/usr/bin/env bash
# system-packages.sh python|compiler|systemd|PROGRAM...: installs those that are missing, with apt-get.
source "$(dirname "$0")/lib.sh"

missing=()
for need; do
    case $need in
        python)
            # Without the package python3-venv, venv can be imported, but ensurepip cannot.
            python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
            ;;
        compiler)
            command -v gcc >/dev/null || missing+=(gcc)
            [[ -f /usr/include/stdlib.h ]] || missing+=(libc6-dev)
            ;;
        systemd) command -v systemd-analyze >/dev/null || missing+=(systemd) ;;
        # Programs with a package of the same name.
        chromium | fish | make | mandoc | pngquant | valgrind | zsh) command -v "$need" >/dev/null || missing+=("$need") ;;
        *) fail "unknown: $need" ;;
    esac
done

if [[ ${#missing[@]} -gt 0 ]]; then
    say "Installing ${missing[*]}"
    apt_install "${missing[@]}"
fi
if [[ " $* " == *" python "* ]]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
        || fail "$(command -v python3) is $(python3 --version): put Python 3.10 or newer first on PATH"
fi
