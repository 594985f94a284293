#!/usr/bin/env bash
# Fuzzes one target or all of them, then prints what was done as a table.
#
#   control/fuzz/run.sh [target|all] [executions]     (10,000,000 executions unless said)
#
# New inputs go to libfuzzer/target/grown/, which git does not see; minimise.sh takes the useful
# ones over into corpus/. No sanitizer: the code under test is safe Rust without any unsafe of its
# own, and runs several times faster so. No tracing of compares: scenarios run twice as fast, and
# the parsers have dictionaries. Debug assertions and overflow checks are on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

wanted="${1:-all}"
executions="${2:-10000000}"

need() {
    echo "error: $1 is missing; install it with" >&2
    echo "    $2" >&2
    exit 1
}
cargo +nightly --version >/dev/null 2>&1 ||
    need "a nightly toolchain" "rustup toolchain install nightly --profile minimal"
cargo +nightly fuzz --version >/dev/null 2>&1 ||
    need "cargo-fuzz" "cargo install cargo-fuzz --version 0.13.2 --locked"

targets=()
for file in libfuzzer/fuzz_targets/*.rs; do
    name="$(basename "$file" .rs)"
    if [[ "$wanted" == all || "$wanted" == "$name" ]]; then
        targets+=("$name")
    fi
done
if [[ ${#targets[@]} -eq 0 ]]; then
    echo "error: no target is called '$wanted'; there are:" >&2
    basename -s .rs libfuzzer/fuzz_targets/*.rs >&2
    exit 2
fi

# The longest input worth trying: scenarios of a few dozen steps, or a few datagrams.
max_len() {
    case "$1" in
        turn_server) echo 192 ;;
        sctp_association) echo 256 ;;
        turn_client | forwarder | sctp_packet | data_channel) echo 512 ;;
        *) echo 2048 ;;
    esac
}

fuzz=(cargo +nightly fuzz)
build=(--fuzz-dir libfuzzer --sanitizer none --release --debug-assertions --no-trace-compares)
logs="libfuzzer/target/logs"
mkdir -p "$logs"
"${fuzz[@]}" build "${build[@]}"

failed=()
for target in "${targets[@]}"; do
    grown="libfuzzer/target/grown/$target"
    mkdir -p "$grown" "corpus/$target"
    flags=(-runs="$executions" -max_len="$(max_len "$target")" -print_final_stats=1 -timeout=10)
    if [[ -f "dictionaries/$target.dict" ]]; then
        flags+=(-dict="dictionaries/$target.dict")
    fi
    echo "fuzzing $target: $executions executions"
    if ! "${fuzz[@]}" run "${build[@]}" "$target" "$grown" "corpus/$target" -- \
        "${flags[@]}" >"$logs/$target.log" 2>&1; then
        failed+=("$target")
    fi
done

number() { sed -n "s/^stat::$2: *//p" "$logs/$1.log" | tail -n 1; }
coverage() { sed -n "s/.*$2: \([0-9]*\) .*/\1/p" "$logs/$1.log" | tail -n 1; }
row="| %-16s | %12s | %9s | %7s | %9s | %7s | %7s |\n"
echo
# shellcheck disable=SC2059  # the row is ours
printf "$row" target executions exec/s edges features corpus crashes
# shellcheck disable=SC2059
printf "$row" --- --- --- --- --- --- ---
for target in "${targets[@]}"; do
    crashes=0
    if [[ " ${failed[*]-} " == *" $target "* ]]; then crashes=1; fi
    committed="$(find "corpus/$target" -type f | wc -l)"
    # shellcheck disable=SC2059
    printf "$row" "$target" "$(number "$target" number_of_executed_units)" \
        "$(number "$target" average_exec_per_sec)" "$(coverage "$target" cov)" \
        "$(coverage "$target" ft)" "$((committed))" "$crashes"
done

for target in ${failed[@]+"${failed[@]}"}; do
    input="$(find "libfuzzer/artifacts/$target" -type f -print0 2>/dev/null |
        xargs -0 -r ls -t | head -n 1)"
    echo
    echo "$target failed; see control/fuzz/$logs/$target.log"
    grep -m 3 -A 2 'panicked at\|ERROR: libFuzzer' "$logs/$target.log" || true
    if [[ -n "$input" ]]; then
        echo "reproduce it, keep it for ever, and see it in the tests:"
        echo "    cd control/fuzz && cargo +nightly fuzz run ${build[*]} $target $input"
        echo "    cp control/fuzz/$input control/fuzz/corpus/$target/"
        echo "    cargo test -p turnpike-fuzz --test replay"
    fi
done
[[ ${#failed[@]} -eq 0 ]]
