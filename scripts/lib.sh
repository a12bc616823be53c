# shellcheck shell=bash
# Shared by the scripts here: source it, do not run it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # for dockerd and debootstrap; not in an ordinary user's PATH

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
        fail "'$*' failed: see $log"
    fi
}

# as_root COMMAND...: run it as root, or print the command that a person must run.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        printf 'error: this needs root, and sudo asks for a password: run this, then try again: sudo %s\n' "$*" >&2
        return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null || fail "no apt-get here: install with your own package manager: $*"
    # An unreachable third-party source does not matter if Debian's own has the packages: the installation fails if not.
    as_root apt-get -q update >"$logs/apt-update.log" 2>&1 || true
    # A new machine may be running its own upgrades: wait for the lock.
    quietly apt-install as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends --no-remove install "$@"
}

# The Debian mirror of this machine, which may be a private one.
debian_mirror() {
    local uri
    # shellcheck disable=SC2016  # apt expands $(REPO_URI), not the shell
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" 2>/dev/null | head -n 1)
    echo "${uri:-http://deb.debian.org/debian}"
}
