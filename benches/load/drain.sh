#!/usr/bin/env bash
# Stops each of two edges in turn under load behind a balancer, and counts the requests that failed.
#
# HAProxy is the balancer. It asks each edge's /readyz twice a second, and is not to ask again for what
# failed, nor ask the other edge: that would hide what is to be counted.
#
#   benches/load/drain.sh [CONNECTIONS]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

connections=${1:-64}
need awk curl haproxy taskset wrk
build

start_edge 'drain_delay = "5s"'
pids=("$edge_pid") addresses=("$edge_address") admins=("$admin_address")
taskset -c "$server_core" "$PROMPT_EDGE" serve >"$folder/other.out" 2>"$folder/other.err" &
pids+=("$!")
started+=("$!")
addresses+=("$(await "$folder/other.out" '127\.0\.0\.1:[0-9]+ ' "${pids[1]}" | tr -d ' ')")
admins+=("$(grep -Eo '127\.0\.0\.1:[0-9]+$' "$folder/other.out")")

port=$((20000 + RANDOM % 20000))
{
  printf 'global\n  nbthread 1\n  maxconn 4000\n'
  printf 'defaults\n  mode http\n  retries 0\n  no option redispatch\n  http-reuse always\n'
  printf '  timeout connect 2s\n  timeout client 60s\n  timeout server 10s\n'
  printf 'frontend callers\n  bind 127.0.0.1:%d\n  default_backend edges\n' "$port"
  printf 'frontend figures\n  bind 127.0.0.1:%d\n  stats enable\n  stats uri /\n' "$((port + 1))"
  printf 'backend edges\n  option httpchk GET /readyz\n  default-server inter 500ms fall 1 rise 1\n'
  for edge in 0 1; do
    printf '  server edge%d %s check addr 127.0.0.1 port %s\n' \
      "$edge" "${addresses[edge]}" "${admins[edge]##*:}"
  done
} >"$folder/haproxy.cfg"
taskset -c "$client_core" haproxy -db -f "$folder/haproxy.cfg" >"$folder/haproxy.err" 2>&1 &
started+=("$!")
url="http://127.0.0.1:$port$target"
curl -fsS --retry 9 --retry-all-errors --retry-delay 1 -o /dev/null \
  -H "Authorization: Bearer $key" "$url" || fail "port $port: try again: $(cat "$folder/haproxy.err")"

# A column of HAProxy's figures for one of its lines: column PROXY LINE NAME.
column() {
  curl -fsS "http://127.0.0.1:$((port + 1))/;csv" | awk -F, -v proxy="$1" -v line="$2" -v name="$3" '
    NR == 1 { sub(/^# /, ""); for (i = 1; i <= NF; i++) if ($i == name) column = i }
    $1 == proxy && $2 == line { print $column }'
}

# Waits until HAProxy finds an edge to be so: await_status EDGE UP.
await_status() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    [[ $(column edges "edge$1" status) == "$2" ]] && return 0
    sleep 0.1
  done
  fail "edge$1 is not $2"
}

await_status 0 UP
await_status 1 UP
# Longer than it takes: it is ended when both edges were.
taskset -c "$client_core" wrk -t1 -c"$connections" -d600s -H "Authorization: Bearer $key" \
  "$url" >"$folder/wrk.out" &
wrk_pid=$!
started+=("$wrk_pid")
sleep 3
for edge in 0 1; do
  before=$(column edges BACKEND stot)
  kill -TERM "${pids[edge]}"
  told=$SECONDS
  await_status "$edge" DOWN
  wait "${pids[edge]}" && code=0 || code=$?
  printf 'edge%d was told to stop, and ended with %d after %d s and %d requests\n' \
    "$edge" "$code" $((SECONDS - told)) $(($(column edges BACKEND stot) - before))
  ((code == 0)) || fail "$(cat "$folder"/*.err)"
  taskset -c "$server_core" "$PROMPT_EDGE" serve --listen "${addresses[edge]}" \
    --admin-listen "${admins[edge]}" >"$folder/again.out" 2>"$folder/again.err" &
  pids[edge]=$!
  started+=("$!")
  await_status "$edge" UP
  sleep 2
done
kill -INT "$wrk_pid"
wait "$wrk_pid" || true
sleep 1

awk '/requests in|Non-2xx|Socket errors/' "$folder/wrk.out"
failed=$(awk '/Non-2xx/ { sum += $NF } /Socket errors/ { gsub(/[^0-9]+/, " "); split($0, n, " "); for (i in n) sum += n[i] }
  END { print sum + 0 }' "$folder/wrk.out")
printf 'failed: wrk %d' "$failed"
for name in econ eresp wretr wredis hrsp_4xx hrsp_5xx; do
  count=$(column edges BACKEND "$name")
  failed=$((failed + count))
  printf ', %s %d' "$name" "$count"
done
printf '\n'
((failed == 0)) || fail 'requests failed'
