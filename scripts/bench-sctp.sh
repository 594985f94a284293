#!/usr/bin/env bash
# Measures the SCTP engine beside its peers in one run: prints the marks as a table and keeps them as
# JSON in the target folder under bench. About three minutes.
#
#   scripts/bench-sctp.sh [only=engine,messages,memory,udp,world] [rounds=N]
#
# Peers: the crates dcsctp and sctp-proto (cargo), usrsctp's tsctp and pion (Debian packages, installed
# here if they are missing and apt and root are there). One that cannot be had is named in the table
# with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/bench/sctp
rivals=control/sctp/benches/marks/rivals
mkdir -p "$work"
words=(json="$target/bench/sctp.json")

main() {
    cargo build --release -p turnpike-sctp --example udp_encapsulation
    words+=(udp="$target/release/examples/udp_encapsulation")
    tsctp
    pion
    without_log_line
    (cd "$work/workspace" && CARGO_TARGET_DIR=$target cargo bench --quiet -p turnpike-sctp --bench marks \
        --config "patch.crates-io.dcsctp.path='$work/dcsctp'" -- "${words[@]}" "$@")
}

# dcsctp 0.1 formats every packet for a log line, also where nobody logs, which costs 20 times what
# the rest does. It is measured without: a copy of the crate whose log line is not written.
without_log_line() {
    local manifest
    manifest=$(cargo metadata --format-version 1 --locked |
        python3 -c 'import json, sys; print(next(p["manifest_path"]
            for p in json.load(sys.stdin)["packages"] if p["name"] == "dcsctp"))')
    if [ "$(cat "$work/dcsctp/copy-of" 2>/dev/null)" != "$manifest" ]; then
        rm -rf "$work/dcsctp"
        cp -R "$(dirname "$manifest")" "$work/dcsctp"
        chmod -R u+w "$work/dcsctp"
        guard_log_line "$work/dcsctp/src/lib.rs"
        echo "$manifest" >"$work/dcsctp/copy-of"
    fi
    words+=(dcsctp-note="without its log line")
    # A workspace with a lock file of its own, since the patch changes it.
    mkdir -p "$work/workspace"
    ln -sfn "$PWD/control" "$work/workspace/control"
    cp Cargo.lock "$work/workspace/"
    awk '/^members = \[/ { print "members = [\"control/types\", \"control/sctp\", \"control/sim\"]"; skip = 1 }
        !skip
        /^\]/ { skip = 0 }' Cargo.toml >"$work/workspace/Cargo.toml"
}

guard_log_line() {
    grep -q 'pub fn log_packet(.*{$' "$1" || fail "dcsctp has no log_packet any more"
    sed -i 's/pub fn log_packet(.*{$/&\n        if !log::log_enabled!(log::Level::Info) { return; }/' "$1"
}

tsctp() {
    local program=/usr/lib/usrsctp/tsctp
    [ -x "$program" ] || install libusrsctp-examples || true
    if [ ! -x "$program" ]; then
        words+=(tsctp-missing="libusrsctp-examples cannot be installed")
        return
    fi
    cc -shared -fPIC -O1 -o "$work/quiet.so" "$rivals/quiet.c"
    words+=(tsctp="$program" quiet="$work/quiet.so"
        tsctp-version="usrsctp $(version libusrsctp-examples) tsctp")
}

pion() {
    if ! command -v go >/dev/null || ! version golang-github-pion-sctp-dev >/dev/null; then
        install golang-go golang-github-pion-sctp-dev || true
    fi
    if GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$work/go-cache" \
        go build -o "$work/pion" "$rivals/pion.go"; then
        words+=(pion="$work/pion" pion-version="pion sctp $(version golang-github-pion-sctp-dev)")
    else
        words+=(pion-missing="golang-github-pion-sctp-dev cannot be installed or built")
    fi
}

version() {
    dpkg-query -W -f '${Version}' "$1" 2>/dev/null
}

install() {
    command -v apt-get >/dev/null || return 1
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    "${root[@]}" apt-get update -q && "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"
}

fail() {
    echo "bench-sctp: $*" >&2
    exit 1
}

main "$@"
