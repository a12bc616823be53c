# shellcheck shell=bash
# Shared by the scripts here: source it, do not run it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # where dockerd and debootstrap are, and an ordinary user does not look

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$repo/build/log
mkdir -p "$logs"

say() { printf '\033[1m>\033[0m %s\n' "$*"; }
[[ -t 1 ]] || say() { printf '> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# quietly NAME COMMAND...: run it with its output in build/log/NAME.log, and show the log's end if it fails.
quietly() {
    local log=$logs/$1.log
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        fail "'$*' failed; the whole log is in $log"
    fi
}

# as_root COMMAND...: run it as root, or name the command that a person has to run.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        printf 'error: root is needed and sudo wants a password; run this yourself, then try again: sudo %s\n' "$*" >&2
        return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null || fail "no apt-get here; install with your own package manager: $*"
    # An unreachable third-party source must not stop what Debian's own can give; the installation tells.
    as_root apt-get -q update >"$logs/apt-update.log" 2>&1 || true
    # A fresh machine may be busy with its own upgrades: wait for the lock.
    quietly apt-install as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends --no-remove install "$@"
}
