# Sourced by the scripts that run tests: one way to call cargo-nextest, or cargo test without it.

export PATH="$PATH:$HOME/.cargo/bin"

if [ -z "${TURNPIKE_NO_NEXTEST:-}" ] && cargo nextest --version >/dev/null 2>&1; then
    HAVE_NEXTEST=yes
else
    HAVE_NEXTEST=
fi

# Runs the tests that these cargo options select; all of them, also after a failure.
run_tests() {
    if [ -n "$HAVE_NEXTEST" ]; then
        cargo nextest run --no-fail-fast "$@"
    else
        cargo test --no-fail-fast "$@"
    fi
}
