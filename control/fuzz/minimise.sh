#!/usr/bin/env bash
# Takes what run.sh has grown over into the committed corpora, as few files as cover every edge.
#
#   control/fuzz/minimise.sh [target|all]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

wanted="${1:-all}"
files_max=300
bytes_max=300000
build=(--fuzz-dir libfuzzer --sanitizer none --release --debug-assertions --no-trace-compares)

for file in libfuzzer/fuzz_targets/*.rs; do
    target="$(basename "$file" .rs)"
    if [[ "$wanted" != all && "$wanted" != "$target" ]]; then
        continue
    fi
    grown="libfuzzer/target/grown/$target"
    chosen="libfuzzer/target/chosen/$target"
    rm -rf "$chosen"
    mkdir -p "$grown" "$chosen" "corpus/$target"
    # Edges alone: how often an edge is taken would keep thousands of files.
    cargo +nightly fuzz run "${build[@]}" "$target" "$chosen" "corpus/$target" "$grown" -- \
        -set_cover_merge=1 -use_counters=0 >/dev/null 2>&1
    files="$(find "$chosen" -type f | wc -l)"
    bytes="$(find "$chosen" -type f -print0 | xargs -0 cat | wc -c)"
    echo "$target: $files files, $bytes bytes"
    if ((files > files_max || bytes > bytes_max)); then
        echo "error: more than $files_max files or $bytes_max bytes; the corpus stays as it was" >&2
        exit 1
    fi
    rm -rf "corpus/$target"
    cp -R "$chosen" "corpus/$target"
done
