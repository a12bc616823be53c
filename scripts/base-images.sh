#!/usr/bin/env bash
# base-images.sh SUITE...: debian:SUITE-slim for each, pulled from a registry or built here with debootstrap.
source "$(dirname "$0")/lib.sh"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

for suite; do
    image=debian:$suite-slim
    if docker image inspect "$image" >/dev/null 2>&1; then
        continue
    fi
    say "Pulling $image"
    if timeout 60 docker pull -q "$image" >"$logs/pull-$suite.log" 2>&1; then
        continue
    fi
    say "No registry answers: building $image with debootstrap (20 s)"
    if ! command -v debootstrap >/dev/null || [[ ! -f $keyring ]]; then
        apt_install debootstrap debian-archive-keyring
    fi
    # The mirror of this machine, if it runs Debian.
    # shellcheck disable=SC2016  # apt expands $(REPO_URI), not the shell
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1 || true)
    # Not below /tmp, which may be mounted noexec or nodev.
    root=$(as_root mktemp -d /var/tmp/zbx-nvidia-base.XXXXXX)
    trap 'as_root rm -rf "$root"' EXIT
    quietly "debootstrap-$suite" as_root debootstrap --variant=minbase --keyring="$keyring" \
        "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
    as_root rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    as_root tar -C "$root" -c . | docker import - "$image" >/dev/null
    as_root rm -rf "$root"
done
