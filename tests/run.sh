#!/usr/bin/env bash
# tests/run.sh quick|slow: build with sanitizers, run every test of the set, and close with one line
# "N passed, N failed" over all runners.  Every runner's own closing line is printed too.
set -uo pipefail
cd "$(dirname "$0")/.."
set_name=${1:-quick}
jobs=$(nproc)
passed=0
failed=0
log=build/test-logs
mkdir -p "$log"

# step NAME COMMAND...: run, count as one check, show the output when it fails.
step() {
    local name=$1 started=$SECONDS
    shift
    if "$@" >"$log/$name.step" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name ($((SECONDS - started)) s)"
    else
        failed=$((failed + 1))
        echo "FAIL  $name ($((SECONDS - started)) s), from $log/$name.step:"
        tail -n 80 "$log/$name.step"
    fi
}

# wait_for PID LOG: the exit status of a step that ran beside others, and what it printed when it failed.
wait_for() {
    local status=0
    wait "$1" || status=$?
    [ "$status" -eq 0 ] || cat "$2"
    return "$status"
}

echo "== build with sanitizers"
cmake --preset dev >"$log/configure.log" 2>&1 || { cat "$log/configure.log"; exit 1; }
cmake --build --preset dev -j "$jobs" >"$log/build.log" 2>&1 || { grep -E "error|warning|FAILED" -A5 "$log/build.log" | head -80; exit 1; }

if [ "$set_name" = quick ]; then
    # Tests of a server mostly wait; what only computes fills the gaps, and gives way.
    nice -n 19 tests/tidy/clang_tidy.sh >"$log/clang-tidy.log" 2>&1 &
    tidying=$!
fi

echo "== tests in C and dialogues with the server (ctest, label $set_name)"
ctest --test-dir build/dev -L "$set_name" -j "$jobs" --output-on-failure --no-tests=error 2>&1 | tee "$log/ctest.log" | grep -vE '^ *Start |Passed'
line=$(grep -E 'tests passed, [0-9]+ tests failed out of' "$log/ctest.log" | tail -1)
total=$(sed -n 's/.*out of \([0-9]*\).*/\1/p' <<<"$line")
bad=$(sed -n 's/.*passed, \([0-9]*\) tests failed.*/\1/p' <<<"$line")
if [ -z "$total" ]; then
    echo "FAIL  ctest did not finish"
    failed=$((failed + 1))
else
    passed=$((passed + total - bad))
    failed=$((failed + bad))
fi

if [ "$set_name" = quick ]; then
    # The browser mostly waits for brews: compilers may work beside it.
    tests/browser/run.sh >"$log/browser.log" 2>&1 &
    browser=$!
    echo "== front end"
    step ui-typecheck npm --prefix ui run typecheck
    step ui-lint npm --prefix ui run lint
    step ui-unit npm --prefix ui test
    grep -E '^ +(Test Files|Tests) ' "$log/ui-unit.step" || true
    step ui-budget bash -c 'cd ui && node scripts/budget.mjs'
    echo "== style"
    step tidy python3 tests/tidy/tidy.py
    step clang-build tests/tidy/clang_build.sh
    step clang-tidy wait_for "$tidying" "$log/clang-tidy.log"
    echo "== browser (Debian's Chromium)"
    step browser wait_for "$browser" "$log/browser.log"
    grep -E '^# (tests|pass|fail)' "$log/browser.log" || true
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
