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
lint cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" lint cargo doc --workspace --no-deps --document-private-items
echo "lint: clean"
