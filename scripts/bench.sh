#!/usr/bin/env bash
# Measures Turnpike beside other relays: builds relay and rig in release, fetches the rivals that
# Debian 12 does not have, and runs turnpike-bench as root. Options go to turnpike-bench.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
rivals=${TURNPIKE_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/turnpike}

cargo build --release -p turnpike --bin turnpike -p turnpike-bench-rig --bin turnpike-bench
scripts/rivals.sh

root=()
[ "$(id -u)" = 0 ] || root=(sudo)
exec "${root[@]}" env TURNPIKE_RIVALS="$rivals" "$target/release/turnpike-bench" \
    --turnpike "$target/release/turnpike" --json "$target/bench/report.json" "$@"
