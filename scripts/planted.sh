#!/usr/bin/env bash
# Plants each bug of a room in a copy of the engines and sees that the room's simulation finds it.
#
# Usage: planted.sh ROOM [NN...]   ROOM is turn or sctp; runs all its bugs, or those whose numbers
#                                  are given.
# TURNPIKE_PLANTED_SEEDS  how many seeds each may take (100).
# TURNPIKE_PLANTED_TARGET a target directory to keep; without it one is made and thrown away.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
seeds="${TURNPIKE_PLANTED_SEEDS:-100}"
room="${1:-}"
case "$room" in
    turn) crates=(types stun turn sim) ;;
    sctp) crates=(types sctp sim) ;;
    *) echo "planted: the room is turn or sctp, not '$room'" >&2 && exit 2 ;;
esac
shift
here="$root/control/$room/tests/planted"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

export CARGO_TARGET_DIR="${TURNPIKE_PLANTED_TARGET:-$work/target}"
export CARGO_PROFILE_TEST_DEBUG=0
export RUST_BACKTRACE=0
unset TURNPIKE_SIM_SEED TURNPIKE_SIM_SEEDS

copy_engines() {
    mkdir "$work/control"
    for crate in "${crates[@]}"; do
        cp -R "$root/control/$crate" "$work/control/$crate"
    done
    cp "$root/Cargo.lock" "$work/Cargo.lock"
    # The other members stay behind.
    members="$(printf '"control/%s", ' "${crates[@]}")"
    awk -v members="$members" '
        /^members = \[/ { print "members = [" members "]"; skip = 1 }
        !skip
        /^\]/ { skip = 0 }
    ' "$root/Cargo.toml" >"$work/Cargo.toml"
}

build() {
    if ! (cd "$work" && cargo test --quiet -p "turnpike-$room" --test simulation --no-run) \
        >"$work/build.log" 2>&1; then
        cat "$work/build.log" >&2
        echo "$1: does not build" >&2
        exit 1
    fi
}

simulate() {
    (cd "$work" && TURNPIKE_SIM_SEEDS="$seeds" \
        cargo test --quiet -p "turnpike-$room" --test simulation) >"$work/run.log" 2>&1
}

patched() {
    if ! (cd "$work" && patch -p1 --silent --no-backup-if-mismatch "$@") >&2; then
        echo "${!#}: does not apply" >&2
        exit 1
    fi
}

# Prints "seed | invariant" of the failure, or nothing.
found() {
    sed -nE 's/^seed ([0-9]+): ([A-Za-z]+): .*/\1 | \2/p' "$work/run.log" | head -n 1
}

chosen() {
    local number="$1" wanted
    shift
    [ "$#" -eq 0 ] && return 0
    for wanted in "$@"; do
        [ "$wanted" = "$number" ] && return 0
    done
    return 1
}

copy_engines
build "the engines as they are"
if ! simulate; then
    cat "$work/run.log" >&2
    echo "the simulation fails before any bug is planted" >&2
    exit 1
fi

missed=0
echo "bug | found at seed | invariant"
echo "--- | --- | ---"
for bug in "$here"/*.patch; do
    name="$(basename "$bug" .patch)"
    chosen "${name%%-*}" "$@" || continue
    patched --input="$bug"
    build "$name"
    if simulate; then
        result="NOT FOUND in $seeds seeds |"
    else
        result="$(found)"
    fi
    if [ -z "$result" ]; then
        cat "$work/run.log" >&2
        result="failed without a seed |"
    fi
    case "$result" in
        *"|") missed=$((missed + 1)) ;;
    esac
    echo "$name | $result"
    patched --reverse --input="$bug"
done

if [ "$missed" -gt 0 ]; then
    echo "$missed planted bugs were not found" >&2
    exit 1
fi
