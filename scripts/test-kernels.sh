#!/usr/bin/env bash
# Loads the XDP programs on the oldest kernel that is supported, Debian 12's own 6.1, and runs packets
# through them there: qemu boots it with nothing but the test binary. No KVM, no network, no root.
#
#   scripts/test-kernels.sh [TEST...]   another choice of tests than the one below
#
# A machine that is emulated is slow at verifying programs, so these are a bounded choice: every path,
# the headers, limits, Binding requests and the sizes. The rest of the tests runs on the host's kernel.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

TRIPLE=x86_64-unknown-linux-gnu
CACHE=${TURNPIKE_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/turnpike/kernels}
SECONDS_MAX=${SECONDS_MAX:-900}
CHOICE=(
    rows::channel_data_reaches rows::datagrams_of_a_bound rows::datagrams_of_a_permitted
    rows::data_of_send rows::one_allocation_reaches binding::everybody_is_told
    binding::a_damaged headers::marks_of limits::allocations_of_one_user size::
)

main() {
    scripts/setup.sh --kernels
    local binary work kernel failed=0
    binary=$(build)
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    if [ $# -gt 0 ]; then CHOICE=("$@"); fi
    for kernel in "$CACHE"/*/boot/vmlinuz-*; do
        pack "$binary" "$work"
        boot "$kernel" "$work" || failed=1
    done
    return $failed
}

# The path of the tests' binary, which needs no library.
build() {
    RUSTFLAGS="-C target-feature=+crt-static" cargo test --no-run --target "$TRIPLE" \
        -p turnpike-dataplane --test programs --message-format json \
        | sed -n 's/.*"executable":"\([^"]*\/programs-[^"]*\)".*/\1/p' | tail -n 1
}

# An initial file system of the binary, a shell and a script that runs it and switches the machine off.
pack() {
    local binary=$1 root=$2/root
    mkdir -p "$root"/{bin,proc,sys,dev,tmp}
    cp "$binary" "$root/programs"
    strip "$root/programs"
    cp "$(find "$CACHE" -path '*/bin/busybox' | head -n 1)" "$root/bin/busybox"
    cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox ip link set lo up
echo "kernel \$(/bin/busybox uname -r)"
if /programs --nocapture --test-threads 1 ${CHOICE[*]}; then
    echo "ALL IS WELL"
fi
/bin/busybox poweroff -f
END
    chmod +x "$root/init"
    (cd "$root" && find . | bin/busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$2/initrd"
}

# What the machine says is what we say; it is off again at the end of the time at the latest.
boot() {
    local kernel=$1 work=$2
    timeout "$SECONDS_MAX" qemu-system-x86_64 -accel tcg -cpu max -m 1024 -smp 1 -nographic \
        -no-reboot -nodefaults -serial stdio -net none -M q35 -kernel "$kernel" \
        -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 rdinit=/init" \
        </dev/null | tr -d '\r' | tee "$work/said" || true
    if ! grep -q '^ALL IS WELL' "$work/said"; then
        echo "test-kernels: FAILED on $(basename "$kernel")" >&2
        return 1
    fi
}

main "$@"
