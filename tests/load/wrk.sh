#!/usr/bin/env bash
# The example proxy and HAProxy under load, one after the other in one run, with the same
# configuration: proxy.cfg. What is found, and what it means, is in README.md beside this.
#
#     tests/load/wrk.sh [SECONDS [SLICES]]
#
# SECONDS (default 60) is how long servers are killed and restarted under each load of each
# proxy, one every $PERIOD seconds (default 5). SLICES (default 6) is how often the two take
# turns of 3 s where nobody is killed, and where CPU time is compared. 0 leaves either out.
#
# Fails if this proxy loses a request that HAProxy saves, moves a session whose server lived,
# mixes up answers, or keeps memory or descriptors. CPU time is printed and nothing more.
#
# Needs wrk, haproxy, and ten free ports from $PORT on (default 28600).
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60} slices=${2:-6}
port=${PORT:-28600} period=${PERIOD:-5} connections=256 servers=8
target=${CARGO_TARGET_DIR:-target}
folder=$(mktemp -d)
proxies=() # process ids, in the order of $names
names=(haproxy stickroute)
keeper=

end() {
    kill $keeper "${proxies[@]}" 2>/dev/null || true
    rm -rf "$folder"
}

fail() {
    printf '!!! %s\n' "$*"
    tail -n 20 "$folder"/*.log
    failed=1
}
failed=0

need() {
    command -v "$1" >/dev/null && return
    { apt-get update -q && apt-get install -qy "$1"; } >&2 ||
        { echo "!!! $1 cannot be installed here: NOTHING was measured"; exit 77; }
}

prepare() {
    need wrk
    need haproxy
    cargo build --release --example proxy
    cargo build --release --manifest-path tests/load/Cargo.toml --target-dir "$target/load"
    cp tests/load/proxy.cfg tests/load/session.lua "$folder"
    for number in $(seq "$servers"); do export "PORT$number=$((port + 1 + number))"; done
}

# keep PERIOD_MS STATS: starts the servers.
keep() {
    "$target/load/release/keeper" "$servers" "$PORT1" "$folder/events" "$2" "$1" >"$folder/keeper" &
    keeper=$!
    await 30 grep -q ready "$folder/keeper"
}

# Its servers end with it.
dismiss() {
    kill "$keeper"
    wait "$keeper" 2>/dev/null || true
    keeper=
}

# await SECONDS COMMAND...: until it succeeds.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || { echo "!!! in vain: $*"; return 1; }
        sleep 0.1
    done
}

# serve NUMBER: starts a proxy, which listens on the port of that number.
serve() {
    local program=(haproxy -db)
    if (($1 == 1)); then program=("$target/release/examples/proxy" -db); fi
    STATS=$folder/${names[$1]}.sock WEB_PORT=$((port + $1)) \
        "${program[@]}" -q -f "$folder/proxy.cfg" >"$folder/${names[$1]}.log" 2>&1 &
    proxies[$1]=$!
    await 30 test -S "$folder/${names[$1]}.sock"
}

cpu_ms() { # of a process, user and system, in milliseconds
    awk -v tick="$(getconf CLK_TCK)" \
        '{ sub(/.*\) /, ""); print ($12 + $13) * 1000 / tick }' "/proc/$1/stat"
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; } # in kB
descriptors() { find "/proc/$1/fd" -type l | wc -l; }
counted() { awk -v name="$1:" '$1 == name { print $2 }' "$2"; }

# Samples the memory of a process until it is killed.
watch_memory() {
    while resident "$1" >>"$2" 2>/dev/null; do sleep 0.5; done
}

# Whether a process has given back what it had opened, within a margin for its checks.
is_back() { (($(descriptors "$1") <= $2 + servers)); }

wrk_load() {
    wrk -t1 -c"$connections" -d"${seconds}s" --timeout 15s -s "$folder/session.lua" \
        "http://127.0.0.1:$1/" -- "$folder/events"
}

checked_load() {
    "$target/load/release/sessions" "127.0.0.1:$1" "$connections" "$seconds" "$folder/events"
}

# under NUMBER LOAD: one load on one proxy while servers are killed.
under() {
    local name=${names[$1]} out=$folder/${names[$1]}.$2 process watcher opened before
    keep $((period * 1000)) "$folder/$name.sock"
    serve "$1"
    process=${proxies[$1]}
    await 30 grep -q up "$folder/keeper"
    opened=$(descriptors "$process") before=$(cpu_ms "$process")
    watch_memory "$process" "$out.memory" &
    watcher=$!
    "$2" $((port + $1)) >"$out" || fail "$name: the load of $2 failed"
    echo "cpu_ms: $(awk -v a="$before" -v b="$(cpu_ms "$process")" 'BEGIN { print b - a }')" >>"$out"
    kill "$watcher"
    sed "s/^/$name: /" "$folder/events" >>"$folder/all_events"
    echo "kills: $(grep -c down "$folder/events" || true)" >>"$out"
    dismiss
    await 30 is_back "$process" "$opened" || fail "$name keeps descriptors open"
    echo "descriptors: $opened $(descriptors "$process")" >>"$out"
    kill "$process"
    wait "$process" 2>/dev/null || true
    unset "proxies[$1]"
}

# What both have done under a load, side by side.
compare() {
    local one=$folder/haproxy.$1 other=$folder/stickroute.$1 what
    printf '\n%-34s %12s %12s\n' "$1, servers killed" haproxy stickroute
    awk -F': ' '/^[a-z]+(_[a-z]+)*(: [^:]+)?: [0-9. ]+$/ || /^[a-z_]+:_/ {
        value = $NF; name = $0; sub(/: [^:]*$/, "", name)
        if (!(name in seen)) { order[++count] = name; seen[name] = 1 }
        found[name, FILENAME] = value
    } END { for (i = 1; i <= count; i++) { name = order[i]
        printf "%-34s %12s %12s\n", name, found[name, ARGV[1]], found[name, ARGV[2]] } }' \
        "$one" "$other"
    for what in "$one" "$other"; do
        awk -v name="$(basename "$what")" 'NR > 2 { kb[++n] = $1 } END {
            for (i = 1; i <= n; i++) if (i <= n / 2) { if (kb[i] > a) a = kb[i] } else if (kb[i] > b) b = kb[i]
            printf "memory of %-24s %9d kB, then %d kB at most\n", name, a, b }' "$what.memory"
    done
}

# judge LOAD: what must hold of this proxy.
judge() {
    local ours=$folder/stickroute.$1 theirs=$folder/haproxy.$1 what
    for what in moved_wrongly mixed_up exhausted; do
        (($(counted "$what" "$ours") + 0 == 0)) || fail "$1: $what is not 0"
    done
    (($(counted requests "$ours") > 0 && $(counted moved "$ours") > 0)) ||
        fail "$1: nothing has happened"
    for what in lost lost_status lost_connect lost_read lost_write lost_timeout; do
        (($(counted "$what" "$ours") + 0 <= $(counted "$what" "$theirs") + 0)) ||
            fail "$1: $what is more than HAProxy's"
    done
    # After the first half nothing grows any more, but by a tenth and 2 MB.
    awk 'NR > 2 { kb[++n] = $1 } END {
        for (i = 1; i <= n; i++) if (i <= n / 2) { if (kb[i] > a) a = kb[i] } else if (kb[i] > b) b = kb[i]
        exit !(n > 4 && b <= a * 1.1 + 2048) }' "$ours.memory" || fail "$1: memory grows"
}

# quiet PATH: the proxies take turns, and nobody is killed.
quiet() {
    local slice number before out
    : >"$folder/slices"
    for slice in $(seq "$slices"); do
        for number in 0 1; do
            before=$(cpu_ms "${proxies[number]}")
            out=$(wrk -t1 -c"$connections" -d3s "http://127.0.0.1:$((port + number))$1")
            awk -v name="${names[number]}" -v a="$before" -v b="$(cpu_ms "${proxies[number]}")" \
                '/requests in/ { print name, $1, b - a }' <<<"$out" >>"$folder/slices"
            ! grep -E 'Non-2xx|Socket errors' <<<"$out" || fail "quiet: ${names[number]} fails"
        done
    done
    awk -v path="$1" '{ requests[$1] += $2; ms[$1] += $3 }
        END { for (name in ms) each[name] = ms[name] * 1000 / requests[name]
            printf "%-8s %10d %10d %14.2f %14.2f %8.2f\n", path, requests["haproxy"],
                requests["stickroute"], each["haproxy"], each["stickroute"],
                each["stickroute"] / each["haproxy"] }' "$folder/slices"
}

trap end EXIT
prepare
for load in $( ((seconds == 0)) || echo wrk_load checked_load); do
    under 0 "$load"
    under 1 "$load"
    compare "$load"
    judge "$load"
done
if ((slices > 0)); then
    keep 0 "$folder/haproxy.sock"
    serve 0
    serve 1
    await 30 grep -q up "$folder/keeper"
    printf '\n%-8s %10s %10s %14s %14s %8s\n' 'quiet' haproxy stickroute 'haproxy us' 'stickroute us' ratio
    quiet /
    quiet /10k
    dismiss
fi
((failed == 0)) || exit 1
echo 'Nothing lost that HAProxy saves, nobody moved without need, nothing kept.'
