#!/usr/bin/env bash
# loaded.sh COUNT COMMAND...: run a command beside so many busy loops, which end with it; its exit code.
set -euo pipefail

count=$1
shift
loops=()
# shellcheck disable=SC2329  # called by the trap
end() { kill "${loops[@]}"; }
trap end EXIT
for ((number = 0; number < count; number++)); do
    while :; do :; done &
    loops+=($!)
done
"$@"
