#!/usr/bin/env bash
# Shows that the fuzzer finds a panic: plants one in a copy of the sources and fuzzes until it is
# found. The panics, one a target:
#
#   turn_server: an authenticated ChannelBind on a live allocation is asked for its LIFETIME, which
#       it has no use for, and indexes the value without looking at its length.
#   sctp_packet: a RE-CONFIG response's next TSNs are indexed without looking at their length.
#
#   control/fuzz/planted/run.sh [target|all] [seconds]     (300 seconds each at most unless said)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
wanted="${1:-all}"
seconds="${2:-300}"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/control/fuzz/libfuzzer/target}/planted"
build=(--fuzz-dir control/fuzz/libfuzzer --sanitizer none --release --debug-assertions)

find_planted() {
    local target="$1" patch="$here/$1.patch"
    local copy status=0
    copy="$(mktemp -d)"
    # shellcheck disable=SC2064  # the folder of this very target
    trap "rm -rf '$copy'" EXIT
    tar -C "$root" --exclude=target --exclude=artifacts -cf - control Cargo.toml Cargo.lock |
        tar -C "$copy" -xf -
    cd "$copy"
    # Of the workspace only control/ is here.
    sed -i.orig '/^members = \[/,/^\]/ { /^    "control\//!{ /^    "/d } }' Cargo.toml
    git apply "$patch"
    mkdir grown
    cargo +nightly fuzz build "${build[@]}" "$target"
    cargo +nightly fuzz run "${build[@]}" "$target" grown "control/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=256 -print_final_stats=1 >log 2>&1 || status=$?

    local file
    file="$(sed -n 's|^+++ b/.*/||p' "$patch")"
    if [[ $status -eq 0 ]] || ! grep -A 1 "panicked at .*$file" log |
        grep -q 'index out of bounds'; then
        tail -n 30 log >&2
        echo "error: $target did not find the planted panic in $seconds seconds" >&2
        exit 1
    fi
    grep -m 1 -A 1 'panicked at' log
    echo "$target found it after $(sed -n 's/^stat::number_of_executed_units: *//p' log) executions"
    rm -rf "$copy"
}

for patch in "$here"/*.patch; do
    target="$(basename "$patch" .patch)"
    if [[ "$wanted" == all || "$wanted" == "$target" ]]; then
        (find_planted "$target")
    fi
done
