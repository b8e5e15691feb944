#!/usr/bin/env bash
# Pictures of the page of statistics as Chromium shows it: wide and narrow, light and dark.
# Somebody has to look at them; nothing here says whether they are good.
#
#     tests/browser/screenshots.sh [FOLDER]     default: screenshots, below the target folder
#
# Needs chromium and curl, and three free ports from $PORT on, by default 28401.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
out=$(realpath -m "${1:-$target/screenshots}")
folder=$(mktemp -d)
trap 'kill "$proxy" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir -p "$out"

cat > "$folder/proxy.cfg" <<'END'
global
    maxconn 2000
    stats socket FOLDER/stats.sock level admin
defaults
    mode http
    timeout client 30s
    timeout connect 100ms
    timeout server 5s
frontend web
    bind WEB_ADDRESS
    maxconn 500
    http-request deny if { path /forbidden }
    use_backend api if { path_beg /api/ }
    default_backend app
backend app
    cookie SRV insert indirect nocache
    option redispatch
    server app1 FOLDER/one cookie a1 weight 20 maxconn 100
    server app2 FOLDER/two cookie a2 weight 10
    server app3 FOLDER/one cookie a3 weight 10
    server gone 127.0.0.1:1 cookie g
    server spare FOLDER/two cookie sp backup
backend api
    balance hdr(x-tenant)
    stick-table type string len 64 size 10k expire 30m
    stick on hdr(x-user)
    server api1 FOLDER/one
    server api2 FOLDER/two
listen raw
    mode tcp
    bind RAW_ADDRESS
    balance leastconn
    stick-table type ip size 100k expire 10m
    stick on src
    server t1 FOLDER/one
listen stats
    bind PAGE_ADDRESS
    stats uri /
    stats refresh 10
    stats show-legends
    stats show-node edge-1
    stats show-desc the shop in the market hall
    stats scope web
    stats scope app
    stats scope api
    stats scope raw
    stats admin if { src 127.0.0.0/8 }
# What stands in for servers.
listen one
    bind FOLDER/one
    http-request return status 404 if { path /missing }
    http-request return status 500 if { path /broken }
    http-request return status 200 content-type text/plain string hello
listen two
    bind FOLDER/two
    http-request return status 404 if { path /missing }
    http-request return status 200 content-type text/plain string hello
END
port=${PORT:-28401}
web=127.0.0.1:$port raw=127.0.0.1:$((port + 1)) page=127.0.0.1:$((port + 2))
sed -i "s#FOLDER#$folder#g; s#WEB_ADDRESS#$web#; s#RAW_ADDRESS#$raw#; s#PAGE_ADDRESS#$page#" \
    "$folder/proxy.cfg"

cargo build --quiet --example proxy
"$target/debug/examples/proxy" -f "$folder/proxy.cfg" > "$folder/out" 2> "$folder/log" &
proxy=$!
for _ in $(seq 100); do
    grep -q ready "$folder/out" && break
    sleep 0.1
done
grep -q ready "$folder/out" || { cat "$folder/log" >&2; exit 1; }

ask() { curl -s -o /dev/null "$@"; }
for number in $(seq 40); do
    ask -b "$folder/jar" -c "$folder/jar" "$web/"
    ask "$web/missing"
    ask -H "x-user: user$((number % 7))" -H "x-tenant: t$number" "$web/api/"
    ask -H "x-tenant: t$number" "$web/api/"
done
ask "$web/forbidden"
ask "$web/broken"
ask -b SRV=g "$web/"
ask -H "x-user: <script>alert('no')</script>" "$web/api/"
ask "$raw/"

token=$(curl -s "$page/" | grep -o 'name=token value="[0-9a-f]*"' | head -1)
token=${token#*\"}
press() { ask -d "token=${token%\"}&b=app&s=$1&action=$2" "$page/"; }
press app3 drain
press spare maint

# Chromium's numbers for the colour scheme: 0 is dark, 1 is light.
for scheme in 1:light 0:dark; do
    for size in 1200,1900 380,5600; do
        picture=$out/statistics-${size%,*}-${scheme#*:}.png
        chromium --headless --no-sandbox --disable-gpu --hide-scrollbars \
            "--blink-settings=preferredColorScheme=${scheme%:*}" "--window-size=$size" \
            "--screenshot=$picture" "http://$page/;st=DONE" > /dev/null 2>&1
        echo "$picture"
    done
done
