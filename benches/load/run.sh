#!/usr/bin/env bash
# An edge beside bare hyper and nginx: one table of ratios. benches/load/README.md says how to read it.
#
#   benches/load/run.sh [-r ROUNDS] [-s SECONDS] [-c CONNECTIONS]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

rounds=7 seconds=3 connections=64
while getopts 'r:s:c:' option; do
  case $option in
    r) rounds=$OPTARG ;;
    s) seconds=$OPTARG ;;
    c) connections=$OPTARG ;;
    *) fail "usage: $0 [-r ROUNDS] [-s SECONDS] [-c CONNECTIONS]" ;;
  esac
done
need awk curl nginx taskset wrk
build

start_edge
curl -fsS -D "$folder/head" -o "$folder/body" -H "Authorization: Bearer $key" \
  "http://$edge_address$target"
etag=$(awk 'tolower($1) == "etag:" { print $2 }' "$folder/head" | tr -d '\r')
bytes=$(wc -c <"$folder/body")

taskset -c "$server_core" "$BARE_HYPER" 127.0.0.1:0 "$bytes" >"$folder/bare.out" 2>"$folder/bare.err" &
bare_pid=$!
started+=("$bare_pid")
bare_address=$(await "$folder/bare.out" '127\.0\.0\.1:[0-9]+' "$bare_pid")
bare_etag=$(curl -fsS -D - -o /dev/null "http://$bare_address/" |
  awk 'tolower($1) == "etag:" { print $2 }' | tr -d '\r')

# nginx takes no port 0, so ports are tried until one is free.
start_nginx() {
  local port tries
  for ((tries = 0; tries < 20; tries++)); do
    port=$((20000 + RANDOM % 20000))
    sed -e "s|@FOLDER@|$folder|g" -e "s|@PORT@|$port|" -e "s|@ORIGIN@|$edge_address|" \
      "$here/nginx.conf.in" >"$folder/nginx.conf"
    taskset -c "$server_core" nginx -p "$folder" -e "$folder/nginx.err" -c "$folder/nginx.conf" &
    nginx_pid=$!
    nginx_address=127.0.0.1:$port
    if curl -fsS --retry 20 --retry-connrefused --retry-delay 1 --max-time 5 -o /dev/null \
      -H "Authorization: Bearer $key" "http://$nginx_address$target" 2>/dev/null &&
      kill -0 "$nginx_pid" 2>/dev/null; then
      started+=("$nginx_pid")
      return
    fi
    kill "$nginx_pid" 2>/dev/null || true
    wait "$nginx_pid" 2>/dev/null || true
  done
  fail "nginx did not start: $(cat "$folder/nginx.err")"
}
start_nginx

# Loads one server: SERVER STATUS SECONDS. Appends `round status server req/s ns-per-request`.
load() {
  local server=$1 status=$2 for=$3 address pid tag out
  case $server in
    edge) address=$edge_address pid=$edge_pid tag=$etag ;;
    bare) address=$bare_address pid=$bare_pid tag=$bare_etag ;;
    nginx) address=$nginx_address pid=$nginx_pid tag=$etag ;;
  esac
  local headers=(-H "Authorization: Bearer $key")
  if [[ $status == 304 ]]; then headers+=(-H "If-None-Match: $tag"); fi
  local found
  found=$(curl -sS -o /dev/null -w '%{http_code}' "${headers[@]}" "http://$address$target")
  [[ $found == "$status" ]] || fail "$server answers $found and not $status"

  threads_of "$pid" >"$folder/before"
  out=$(taskset -c "$client_core" wrk -t1 -c"$connections" -d"${for}s" "${headers[@]}" \
    "http://$address$target")
  threads_of "$pid" >"$folder/after"
  if grep -Eq 'Non-2xx|Socket errors' <<<"$out"; then fail "$server: $out"; fi
  awk -v round="$round" -v status="$status" -v server="$server" -v cpu="$(cpu_between "$folder/before" "$folder/after")" '
    /requests in/ { requests = $1 }
    /^Requests\/sec:/ { print round, status, server, $2, cpu / requests }
  ' <<<"$out" >>"$folder/rounds"
}

servers=(bare edge nginx)
round=0
for status in 200 304; do
  for server in "${servers[@]}"; do load "$server" "$status" 1; done
done
: >"$folder/rounds"
for ((round = 1; round <= rounds; round++)); do
  for status in 200 304; do
    # Another one goes first in each round.
    for ((turn = 0; turn < 3; turn++)); do
      load "${servers[(round + turn) % 3]}" "$status" "$seconds"
    done
  done
  printf 'round %d of %d\n' "$round" "$rounds" >&2
done

printf '%d rounds of %d s, %d connections, %d bytes, %s\n\n' \
  "$rounds" "$seconds" "$connections" "$bytes" \
  "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)"
awk -f "$here/table.awk" "$folder/rounds"
