#!/usr/bin/env bash
# loaded.sh COUNT COMMAND...: run a command together with COUNT busy loops, and exit with its code.
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
