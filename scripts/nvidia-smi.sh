#!/usr/bin/env bash
# Unpacks Debian's nvidia-smi in build/nvidia-smi, for the tests that compare the simulator with it. It is not free
# software, so it is neither installed nor shipped. Without it those tests are left out, and say so.
source "$(dirname "$0")/lib.sh"

folder=$repo/build/nvidia-smi
[[ ! -x $folder/nvidia-smi ]] || exit 0

# An apt of its own, so that the machine's does not learn of packages that are not free.
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$folder"/apt/{lists/partial,archives/partial}
echo "deb [signed-by=$keys] $(debian_mirror bookworm) bookworm non-free" >"$folder/apt/sources.list"
own_apt() {
    apt-get -q -o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt" -o APT::Sandbox::User=root "$@"
}
fetch() {
    [[ $(dpkg --print-architecture) == amd64 ]] || { echo "it is for amd64 only" && return 1; }
    own_apt update && cd "$folder/apt" && own_apt download nvidia-smi && dpkg-deb -x nvidia-smi_*.deb unpacked
}
if (fetch) >"$logs/nvidia-smi.log" 2>&1; then
    mv "$folder/apt/unpacked/usr/lib/nvidia/current/nvidia-smi" "$folder/nvidia-smi"
else
    say "Without Debian's nvidia-smi ($(tail -n 1 "$logs/nvidia-smi.log")): the tests that compare with it are left out"
fi
rm -rf "$folder/apt"
