#!/usr/bin/env bash
# Runs every test of Turnpike, step by step, and ends with the sum. A step that fails does not keep
# the later ones from running, unless nothing can be built.
#
# Needs what scripts/setup.sh installs, and root or sudo for the network namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/runner.sh

RIG=turnpike-bench-rig
PLANE=turnpike-dataplane
NEED_ROOT="((package($RIG) and binary(/^(netns|e2e|rig)$/)) or package($PLANE))"
STEPS=7
step=0
began=$SECONDS
failed_steps=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

main() {
    must "build the tests" build_tests
    must "build the relay in release" cargo build --release -p turnpike --bin turnpike
    run "unit, integration and house tests" units
    run "simulation, 100 seeds (make sim runs 10,000)" simulation
    run "documentation tests" cargo test --workspace --doc
    run "each engine bench, once (make bench-engines measures)" benches
    run "end to end: real TURN clients on hosts in network namespaces" end_to_end
    finish
}

# Every step asks for the whole workspace and picks its tests with a filter: asking for one package
# would build the dependencies again, with that package's features alone.
build_tests() {
    if [ -n "$HAVE_NEXTEST" ]; then
        cargo nextest run --no-run --workspace
    else
        cargo test --no-run --workspace
    fi
}

# All but the simulation and the tests that need root, which have steps of their own.
units() {
    if [ -n "$HAVE_NEXTEST" ]; then
        run_tests --workspace -E "not binary(simulation) and not $NEED_ROOT"
    else
        local status=0 room tests
        run_tests --workspace --exclude turnpike-turn --exclude turnpike-sctp --exclude "$RIG" \
            --exclude "$PLANE" --lib --bins --tests || status=1
        for room in turn sctp; do
            mapfile -t tests < <(test_files "control/$room" simulation)
            run_tests -p "turnpike-$room" --lib "${tests[@]}" || status=1
        done
        run_tests -p "$RIG" --lib --bins --test house || status=1
        return $status
    fi
}

simulation() {
    export TURNPIKE_SIM_SEEDS=100
    if [ -n "$HAVE_NEXTEST" ]; then
        run_tests --workspace -E "binary(simulation)"
    else
        run_tests -p turnpike-turn -p turnpike-sctp --test simulation
    fi
}

# A bench is compiled by the lints but run by nobody: without this it rots unseen.
benches() {
    cargo test --workspace --bench stun --bench server --bench forward --bench timer_wheel
}

end_to_end() {
    local binary chromium python=$PWD/.venv/bin/python
    local tests="$NEED_ROOT" left_out=()
    binary=$(realpath "${CARGO_TARGET_DIR:-target}/release/turnpike")
    chromium=${TURNPIKE_CHROMIUM:-$(command -v chromium || command -v google-chrome || true)}
    if [ -z "$chromium" ]; then
        echo "LEFT OUT: the browser tests; there is no chromium and no google-chrome"
        tests="$NEED_ROOT and not test(/^browser::/)"
        left_out=(--skip browser::)
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "network namespaces need root: running these tests through sudo"
        local triple
        triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${triple}_RUNNER=sudo env TURNPIKE_BIN=$binary TURNPIKE_PYTHON=$python TURNPIKE_CHROMIUM=$chromium"
    fi
    export TURNPIKE_BIN=$binary TURNPIKE_PYTHON=$python TURNPIKE_CHROMIUM=$chromium
    if [ -n "$HAVE_NEXTEST" ]; then
        run_tests --workspace -E "$tests" --test-threads 2
    else
        # One at a time: only nextest knows which tests may run beside others.
        local status=0
        run_tests -p "$PLANE" --lib --tests -- --test-threads 1 || status=1
        run_tests -p "$RIG" --test netns --test e2e -- --test-threads 1 "${left_out[@]}" || status=1
        return $status
    fi
}

# `--test` and NAME, a line each, for every integration test of a crate but the one named last.
test_files() {
    local path name
    for path in "$1"/tests/*.rs "$1"/tests/*/main.rs; do
        [ -e "$path" ] || continue
        name=$(basename "${path%/main.rs}" .rs)
        [ "$name" = "$2" ] || printf '%s\n' --test "$name"
    done
}

# Runs a step; a failure is remembered.
run() {
    local title=$1 started=$SECONDS outcome=done
    shift
    step=$((step + 1))
    echo
    echo "[$step/$STEPS] $title"
    if ! "$@" 2>&1 | tee -a "$log"; then
        outcome=FAILED
        failed_steps+=("$title")
    fi
    echo "[$step/$STEPS] $outcome in $((SECONDS - started)) s"
}

# Runs a step without which the others are pointless.
must() {
    run "$@"
    [ ${#failed_steps[@]} = 0 ] || finish
}

# Adds up what the test runners said and ends.
finish() {
    local passed failed
    read -r passed failed < <(awk '
        { gsub(/\033\[[0-9;]*m/, "") }
        /^ *Summary \[.*tests? run:/ {
            match($0, /[0-9]+(\/[0-9]+)? tests? run/); split(substr($0, RSTART, RLENGTH), ran, /[\/ ]/)
            ok = 0
            if (match($0, /[0-9]+ passed/)) ok = substr($0, RSTART, RLENGTH) + 0
            passed += ok; failed += ran[1] - ok
        }
        /^test result: / {
            match($0, /[0-9]+ passed/); passed += substr($0, RSTART, RLENGTH)
            match($0, /[0-9]+ failed/); failed += substr($0, RSTART, RLENGTH)
        }
        END { print passed + 0, failed + 0 }' "$log")
    echo
    echo "all steps took $((SECONDS - began)) s"
    local title
    for title in "${failed_steps[@]}"; do
        echo "FAILED: $title"
    done
    # A step can fail without a failed test, for example when it does not compile.
    if [ ${#failed_steps[@]} -gt 0 ] && [ "$failed" = 0 ]; then
        failed=${#failed_steps[@]}
    fi
    echo "$passed passed, $failed failed"
    [ ${#failed_steps[@]} = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

main
