#!/usr/bin/env bash
# Installs what building and testing Turnpike lack on a Debian 12 or Ubuntu machine that has Rust by
# rustup. Says what it does, does nothing twice, and is quick when all is there.
#
#   scripts/setup.sh             everything `make test` needs
#   scripts/setup.sh --run-only  what `make run` needs: cargo and a C compiler
#   scripts/setup.sh --kernels   what `make test-kernels` needs beside that: qemu, and Debian 12's kernel
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

NEXTEST_VERSION=0.9.143
BPF_LINKER_VERSION=0.13.0
# The LLVM that stable Rust carries; a linker built on another one cannot read what rustc writes.
LLVM_VERSION=22
# Debian's packages that are unpacked in a folder of their own, and not installed.
KERNEL_PACKAGES=(linux-image-cloud-amd64 busybox-static)
KERNELS=${TURNPIKE_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/turnpike/kernels}

main() {
    need_cargo
    case "${1:-}" in
        --run-only)
            want cc build-essential
            install_wanted
            ;;
        "")
            want cc build-essential
            want ip iproute2
            want ethtool ethtool
            want setpriv util-linux
            want turnutils_uclient coturn
            want /usr/lib/usrsctp/tsctp libusrsctp-examples
            [ -e /usr/include/usrsctp.h ] || wanted+=(libusrsctp-dev)
            want certutil libnss3-tools
            want_browser
            python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3 python3-venv)
            install_wanted
            rust_parts
            ebpf_parts
            nextest
            python_venv
            say "everything is there"
            ;;
        --kernels)
            want cc build-essential
            want qemu-system-x86_64 qemu-system-x86
            install_wanted
            rust_parts
            ebpf_parts
            kernels
            ;;
        *) die "unknown option $1 (known: --run-only, --kernels)" ;;
    esac
}

need_cargo() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup first"
}

# Notes the Debian package of a program that is missing.
wanted=()
want() {
    have "$1" || wanted+=("$2")
}

# Debian packages Chromium; Ubuntu has it as a snap only, which cannot start on the tests' hosts.
want_browser() {
    if have chromium || have google-chrome || [ -n "${TURNPIKE_CHROMIUM:-}" ]; then
        return
    elif grep -qs '^ID=ubuntu' /etc/os-release; then
        say "the browser tests will be left out: install Google Chrome's package to have them"
    else
        wanted+=(chromium)
    fi
}

install_wanted() {
    [ ${#wanted[@]} -gt 0 ] || return 0
    have apt-get || die "missing: ${wanted[*]} (and no apt-get to install them with)"
    say "installing with apt-get: ${wanted[*]}"
    as_root apt-get update -q
    if [[ " ${wanted[*]} " == *" coturn "* ]]; then
        without_starting_services apt_install "${wanted[@]}"
        # Installed for its test programs only: its server must not come up at the next boot either.
        as_root systemctl disable coturn >/dev/null 2>&1 || true
    else
        apt_install "${wanted[@]}"
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Debian asks /usr/sbin/policy-rc.d whether a package may start its service; 101 means no.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d made= status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=yes
    fi
    "$@" || status=$?
    [ -z "$made" ] || as_root rm -f "$policy"
    return "$status"
}

rust_parts() {
    have rustup || die "rustup is missing: the tests build for a second target, which rustup adds"
    local installed
    installed=$(rustup component list --installed; rustup target list --installed)
    if ! grep -q '^wasm32-unknown-unknown$' <<<"$installed"; then
        say "adding the wasm32-unknown-unknown target with rustup"
        rustup target add wasm32-unknown-unknown
    fi
    local part
    for part in clippy rustfmt; do
        if ! grep -q "^$part" <<<"$installed"; then
            say "adding $part with rustup"
            rustup component add "$part"
        fi
    done
}

# The programs in the kernel: their linker is built here, on Debian's LLVM, because the stable compiler
# for eBPF has none. Without it everything else builds and tests, and what needs the programs says so.
ebpf_parts() {
    if ! rustup component list --installed | grep -q '^rust-src$'; then
        say "adding rust-src with rustup, for the eBPF programs"
        rustup component add rust-src
    fi
    if bpf-linker --version 2>/dev/null | grep -q "$BPF_LINKER_VERSION"; then
        return
    fi
    wanted=()
    local package
    for package in "llvm-$LLVM_VERSION-dev" "libclang-$LLVM_VERSION-dev" \
        "libpolly-$LLVM_VERSION-dev" libzstd-dev zlib1g-dev; do
        dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
    done
    if [ ${#wanted[@]} -gt 0 ] && ! apt_has "${wanted[@]}"; then
        say "no eBPF programs: this system packages no LLVM $LLVM_VERSION (apt.llvm.org has it)"
        return
    fi
    install_wanted
    say "building bpf-linker $BPF_LINKER_VERSION, once (about a minute)"
    local prefix=/usr/lib/llvm-$LLVM_VERSION
    LLVM_PREFIX=$prefix LLVM_SYS_221_PREFIX=$prefix cargo install bpf-linker --locked \
        --version "$BPF_LINKER_VERSION" --no-default-features --features "llvm-$LLVM_VERSION" \
        || say "bpf-linker could not be built: what needs eBPF programs will say so"
}

# The kernel that Debian 12 runs, and a shell for it, unpacked.
kernels() {
    [ ! -e "$KERNELS/complete" ] || return 0
    have apt-get || die "no apt-get to fetch ${KERNEL_PACKAGES[*]} with"
    apt_has "${KERNEL_PACKAGES[@]}" || die "this system's apt has no ${KERNEL_PACKAGES[*]}: Debian's has"
    local image package
    # The package itself is empty: it names the newest image.
    image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: *//p' | head -n 1)
    [ -n "$image" ] || die "apt does not say which image linux-image-cloud-amd64 is: try apt-get update"
    say "fetching $image"
    mkdir -p "$KERNELS"
    # Not local: the trap needs it when all else is over.
    work=$(mktemp -d "$KERNELS/fetching.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get download -q "$image" busybox-static) \
        || die "$image could not be fetched: is the network there? Nothing was kept; run it again"
    for package in "$work"/*.deb; do
        dpkg -x "$package" "$KERNELS/$(basename "${package%%_*}")"
    done
    touch "$KERNELS/complete"
}

# Whether apt knows all of these packages; looks anew if it does not.
apt_has() {
    have apt-get || return 1
    apt-cache show "$@" >/dev/null 2>&1 && return
    as_root apt-get update -q && apt-cache show "$@" >/dev/null 2>&1
}

# cargo-nextest runs each test in a process of its own; without it the tests run under cargo test.
nextest() {
    if cargo nextest --version >/dev/null 2>&1 || [ -n "${TURNPIKE_NO_NEXTEST:-}" ]; then
        return
    fi
    say "building cargo-nextest $NEXTEST_VERSION, once (some minutes; TURNPIKE_NO_NEXTEST=1 goes without)"
    cargo install cargo-nextest --locked --version "$NEXTEST_VERSION" \
        || say "cargo-nextest could not be built: the tests will run under cargo test"
}

python_venv() {
    local stamp=.venv/installed-requirements.txt
    if cmp -s scripts/requirements.txt "$stamp" && .venv/bin/python -c 'import aioice' 2>/dev/null; then
        return
    fi
    say "making .venv with an independent ICE implementation for the end-to-end tests"
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
    cp scripts/requirements.txt "$stamp"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "this needs root: $* (install sudo, or run as root)"
    fi
}

# Debian keeps ip and ethtool in sbin, which is not on every user's path.
have() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null
}

say() {
    echo "setup: $*"
}

die() {
    echo "setup: $*" >&2
    exit 1
}

main "$@"
