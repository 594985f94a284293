#!/usr/bin/env bash
# Fetches the rivals that Debian 12 does not have: coturn of Debian unstable, in a folder of its own
# with every library it needs, libc included. Nothing is installed; `rm -r` of the folder undoes it.
#
#   scripts/rivals.sh            fetch what is missing, or say why it cannot be had
#   scripts/rivals.sh --refresh  look for a newer one although there is one
#
# The host is the one this machine's own apt sources name for Debian. apt checks the index by the keys
# of debian-archive-keyring, and every package by its sum in the index. A rival that cannot be had
# is not an error: the reason is kept beside its place, and the bench prints it.
set -euo pipefail

CACHE=${TURNPIKE_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/turnpike}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
RIVAL=coturn-unstable
FETCH_SECONDS_MAX=300

main() {
    mkdir -p "$CACHE"
    # What one that was killed has left.
    find "$CACHE" -maxdepth 1 -name 'fetching.*' -mmin +60 -exec rm -rf {} +
    if [ -e "$CACHE/$RIVAL/complete" ] && [ "${1:-}" != --refresh ]; then
        return
    fi
    work=$(mktemp -d "$CACHE/fetching.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    local why
    if why=$(fetch 2>&1 >"$work/log"); then
        rm -f "$CACHE/$RIVAL.missing"
        say "$(readlink "$CACHE/$RIVAL") is in $CACHE"
    elif [ -e "$CACHE/$RIVAL/complete" ]; then
        say "no newer coturn could be had, the one there stays: $(tail -n 1 <<<"$why")"
    else
        tail -n 1 <<<"$why" >"$CACHE/$RIVAL.missing"
        say "coturn of Debian unstable will be left out: $(cat "$CACHE/$RIVAL.missing")"
    fi
}

# Everything to standard output is a log; the last line of standard error is the reason of a failure.
fetch() {
    local uri version
    command -v apt-get >/dev/null || fail "there is no apt-get"
    [ -e "$KEYRING" ] || fail "$KEYRING is missing (package debian-archive-keyring)"
    uri=$(debian_uri) && [ -n "$uri" ] || fail "apt has no source for Debian on this machine"
    configure_apt "$uri"
    timeout "$FETCH_SECONDS_MAX" apt-get update -q || fail "the index of $uri cannot be read or trusted"
    version=$(apt-cache policy coturn | awk '$1 == "Candidate:" { print $2 }')
    [ -n "$version" ] && [ "$version" != "(none)" ] || fail "Debian unstable has no coturn now"
    download || fail "the packages of coturn $version cannot be fetched"
    unpack || fail "the packages of coturn $version cannot be unpacked"
    runs || fail "coturn $version does not start from $CACHE: $(head -n 1 "$work/complaint")"
    keep "coturn-${version//[^0-9A-Za-z.+~-]/_}"
}

# The first Debian archive among apt's sources, in either of their two formats.
debian_uri() {
    { cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } \
        | awk '$1 == "URIs:" || $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) { print $i; exit } }'
}

# An apt of our own: no word of what is installed here, and nothing of it is touched.
configure_apt() {
    mkdir -p "$work"/{state/lists/partial,cache/archives/partial,packages}
    : >"$work/status"
    printf '%s\n' "Types: deb" "URIs: $1" "Suites: sid" "Components: main" "Signed-By: $KEYRING" \
        >"$work/rival.sources"
    cat >"$work/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/rival.sources";
Dir::Etc::sourceparts "-";
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
CONF
    export APT_CONFIG=$work/apt.conf
}

# coturn and the libraries it needs, and those that they need; not what serves to install it.
download() {
    local direct all
    direct=$(apt-cache show coturn | sed -n 's/^Depends: //p' | tr ',' '\n' | awk '$1 ~ /^lib/ { print $1 }')
    all=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances $direct | grep -E '^(lib|zlib)' | sort -u)
    (cd "$work/packages" && timeout "$FETCH_SECONDS_MAX" apt-get download -q coturn $all)
}

unpack() {
    local package
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$work/tree" || return 1
    done
}

# Its own loader and its own libraries. The loader names a library that it does not find.
runs() {
    local libraries
    libraries=$(echo "$work"/tree/usr/lib/*-linux-gnu*)
    "$libraries"/ld-linux-*.so.* --library-path "$libraries" "$work/tree/usr/bin/turnserver" --version \
        2>"$work/complaint"
}

keep() {
    touch "$work/tree/complete" \
        && rm -rf "${CACHE:?}/$1" \
        && mv "$work/tree" "$CACHE/$1" \
        && ln -sfn "$1" "$CACHE/$RIVAL"
}

say() {
    echo "rivals: $*"
}

fail() {
    echo "$*" >&2
    exit 1
}

main "$@"
