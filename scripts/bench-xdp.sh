#!/usr/bin/env bash
# Measures the XDP programs: nanoseconds a packet by path and number of sessions, then how fast sessions
# are put into the tables and what they take. Numbers of sessions as arguments, otherwise 1,000 to 1,000,000.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

root=()
[ "$(id -u)" = 0 ] || root=(sudo)

main() {
    local sessions=1000000
    [ $# = 0 ] || sessions=${*: -1}
    "${root[@]}" "$(built packets --features measure)" "$@"
    "${root[@]}" "$(built sessions)" "$sessions"
}

# Builds a bench; its path.
built() {
    cargo bench --no-run -p turnpike-dataplane --bench "$@" --message-format json \
        | sed -n "s/.*\"executable\":\"\([^\"]*\/$1-[^\"]*\)\".*/\1/p" | tail -n 1
}

main "$@"
