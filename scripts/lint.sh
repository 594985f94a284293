#!/usr/bin/env bash
# Formatting, clippy and rustdoc over the whole workspace; any warning fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

lint() {
    echo "lint: $*"
    "$@"
}

lint cargo fmt --all --check
# Workspaces of their own that `--all` does not see.
for workspace in ebpf/*/Cargo.toml; do
    grep -q '^\[workspace\]' "$workspace" && lint cargo fmt --manifest-path "$workspace" --check
done
lint cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" lint cargo doc --workspace --no-deps --document-private-items
echo "lint: clean"
