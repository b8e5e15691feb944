#!/usr/bin/env bash
# Headless Chromium through the example proxy and through HAProxy, with the same configuration:
# does it keep its server, lose it with its cookie, and is it moved when the server stops?
#
#     tests/browser/sticky.sh [ours|haproxy]    default: both, and where they differ
#
# Installs what it needs if it may. Exit status 77: it cannot run here, and has said why.
set -euo pipefail
cd "$(dirname "$0")/../.."

need() {
    command -v "$1" > /dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        { apt-get update -q && apt-get install -qy "$2"; } >&2 || true
    fi
    command -v "$1" > /dev/null && return
    echo "!!! $1 is not here and cannot be installed: Chromium was NOT sent through the proxy" >&2
    exit 77
}

need python3 python3
need chromium chromium
need chromedriver chromium-driver

add_ours() {
    cargo build --quiet --example proxy
    programs+=("${CARGO_TARGET_DIR:-target}/debug/examples/proxy")
}
add_haproxy() {
    need haproxy haproxy
    programs+=("$(command -v haproxy)")
}

programs=()
case ${1:-both} in
    ours | haproxy) "add_$1" ;;
    both) add_haproxy; add_ours ;;
    *) sed -n '2,7s/^# \?//p' "$0" >&2; exit 2 ;;
esac
exec python3 -u tests/browser/sticky "${programs[@]}"
