#!/usr/bin/env bash
# Shows that the fuzzer finds a panic: plants one in a copy of the sources and fuzzes until it is
# found. The panic: an authenticated ChannelBind on a live allocation is asked for its LIFETIME,
# which it has no use for, and indexes the value without looking at its length.
#
#   control/fuzz/planted/run.sh [seconds]     (300 seconds at most unless said)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
seconds="${1:-300}"
target=turn_server

copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude=target --exclude=artifacts -cf - control Cargo.toml Cargo.lock |
    tar -C "$copy" -xf -
cd "$copy"
# Of the workspace only control/ is here.
sed -i.orig -e '/^    "userspace",$/d' -e '/^    "bench-rig",$/d' Cargo.toml
git apply "$here/panic.patch"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/control/fuzz/libfuzzer/target}/planted"
build=(--fuzz-dir control/fuzz/libfuzzer --sanitizer none --release --debug-assertions)
cargo +nightly fuzz build "${build[@]}" "$target"
mkdir grown
status=0
cargo +nightly fuzz run "${build[@]}" "$target" grown "control/fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=256 -print_final_stats=1 >log 2>&1 || status=$?

if [[ $status -eq 0 ]] || ! grep -A 1 'panicked at .*channel_bind\.rs' log |
    grep -q 'index out of bounds'; then
    tail -n 30 log >&2
    echo "error: the planted panic was not found in $seconds seconds" >&2
    exit 1
fi
grep -m 1 -A 1 'panicked at' log
echo "found after $(sed -n 's/^stat::number_of_executed_units: *//p' log) executions"
