#!/usr/bin/env bash
# unit-tests.sh all|ends|own [MARKS]: the unit tests on Pythons of this machine (scripts/pythons.sh says which).
# The run on the newest measures which lines and branches of src/ they reach, unless MARKS leave some tests out.
source "$(dirname "$0")/lib.sh"
cd "$repo"

which=$1
marks=${2:-not gpu}
measured=$([[ $# -ge 2 ]] || echo yes)
workers=${WORKERS:-6} # most tests wait for something: more of them than processors

pythons=$(scripts/pythons.sh "$which")
mapfile -t pythons <<<"$pythons"
newest=${pythons[-1]}
export COVERAGE_FILE=$repo/build/coverage/data # also of processes that run elsewhere

for python in "${pythons[@]}"; do
    scripts/test-venv.sh "$python"
    minor=$("$python" -c 'import sys; print("3.%d" % sys.version_info[1])')
    run=("build/test-venv-$minor/bin/python" -m)
    tests=(pytest --numprocesses "$workers" --dist worksteal --durations 20 -m "$marks" tests/unit tests/golden tests/contracts)
    if [[ -z $measured || $python != "$newest" ]]; then
        # The simulator is C, whatever Python asks it: its tests run once.
        [[ $python == "$newest" ]] || tests+=(--ignore tests/unit/simulator)
        "${run[@]}" "${tests[@]}"
        continue
    fi
    rm -rf build/coverage
    mkdir -p build/coverage
    "${run[@]}" coverage run -m "${tests[@]}"
    quietly coverage-combine "${run[@]}" coverage combine
    "${run[@]}" coverage report --sort=cover >"$logs/coverage.log" && enough=1 || enough=0
    say "Coverage of lines and branches, and the ten modules with the least (all: build/log/coverage.log)"
    sed -n '1p;3,12p' "$logs/coverage.log"
    grep ^TOTAL "$logs/coverage.log"
    # A module that no measured process loads is not in the report, and does not lower the total.
    unseen=$(comm -23 <(find src/zbx_nvidia -name '*.py' | sort) <(awk '/^src/ { print $1 }' "$logs/coverage.log" | sort))
    [[ -z $unseen ]] || say "Not in the total, for only processes that are not measured load them: ${unseen//$'\n'/ }"
    [[ $enough -eq 1 ]] || fail "the unit tests cover less than the floor, fail_under in pyproject.toml"
done
