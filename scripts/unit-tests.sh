#!/usr/bin/env bash
# unit-tests.sh all|ends|own [MARKS]: runs the unit tests on this machine's Pythons (see scripts/pythons.sh).
# The run on the newest measures the coverage of lines and branches of src/, unless MARKS deselect tests.
source "$(dirname "$0")/lib.sh"
cd "$repo"

which=$1
marks=${2:-not gpu}
measured=$([[ $# -ge 2 ]] || echo yes)
# More than processors, since many tests wait. Those that are not slow wait little, and each worker costs two seconds.
workers=${WORKERS:-$([[ -n $measured ]] && echo 6 || echo 4)}

pythons=$(scripts/pythons.sh "$which")
mapfile -t pythons <<<"$pythons"
oldest=${pythons[0]} newest=${pythons[-1]}
# pytest keeps the rewritten test files as bytecode: else each worker rewrites all of them, four seconds of a processor.
unset PYTHONDONTWRITEBYTECODE
export COVERAGE_FILE=$repo/build/coverage/data # absolute, for processes in other folders

for python in "${pythons[@]}"; do
    scripts/test-venv.sh "$python"
    minor=$("$python" -c 'import sys; print("3.%d" % sys.version_info[1])')
    run=("build/test-venv-$minor/bin/python" -m)
    # What costs much and is the same under each Python runs on the oldest: to measure coverage doubles its cost.
    chosen=$([[ $python == "$oldest" ]] && echo "$marks" || echo "$marks and not once")
    tests=(pytest --numprocesses "$workers" --dist worksteal --durations 20 -m "$chosen" tests/unit tests/golden tests/contracts)
    if [[ -z $measured || $python != "$newest" ]]; then
        # The simulator is C, so its tests run on one Python only.
        [[ $python == "$newest" ]] || tests+=(--ignore tests/unit/simulator)
        "${run[@]}" "${tests[@]}"
        continue
    fi
    rm -rf build/coverage
    mkdir -p build/coverage
    "${run[@]}" coverage run -m "${tests[@]}"
    quietly coverage-combine "${run[@]}" coverage combine
    "${run[@]}" coverage report --sort=cover >"$logs/coverage.log" && enough=1 || enough=0
    say "Coverage of lines and branches: the ten lowest modules, and the total (all: build/log/coverage.log)"
    sed -n '1p;3,12p' "$logs/coverage.log"
    grep ^TOTAL "$logs/coverage.log"
    # The report lacks modules that no measured process loads, and the total does not count them.
    unseen=$(comm -23 <(find src/zbx_nvidia -name '*.py' | sort) <(awk '/^src/ { print $1 }' "$logs/coverage.log" | sort))
    [[ -z $unseen ]] || say "Not in the total, because no measured process loads them: ${unseen//$'\n'/ }"
    [[ $enough -eq 1 ]] || fail "the coverage is below fail_under in pyproject.toml: add tests"
done
