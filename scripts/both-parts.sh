#!/usr/bin/env bash
# both-parts.sh PYTHONS COMMAND...: runs the unit tests on these Pythons (see pythons.sh) beside the command that runs
# the integration tests: those wait for half of their first ten minutes. The unit tests give way where the machine is
# busy, until the integration tests have ended, and their output follows that of the others.
source "$(dirname "$0")/lib.sh"
cd "$repo"

pythons=$1
shift
log=$logs/unit-tests.log
beside=$repo/build/integration-tests-run
: >"$beside"

say "The unit tests run beside the integration tests; what they print comes last, and is now in build/log/unit-tests.log"
set -m # a group of its own, so that all of it ends with this
if WORKERS=3 ZBX_NVIDIA_BESIDE=$beside scripts/unit-tests.sh "$pythons" >"$log" 2>&1 </dev/null; then
    say "The unit tests have passed"
else
    say "The unit tests have failed: see build/log/unit-tests.log"
    exit 1
fi &
units=$!
set +m
trap 'rm -f "$beside"; kill -- "-$units" 2>/dev/null || :' EXIT

code=0
"$@" || code=1
rm -f "$beside"
wait "$units" || code=1
cat "$log"
[[ $code -eq 0 ]] || fail "not all tests have passed"
