#!/usr/bin/env bash
# Stops one of two edges under load behind a balancer, and counts the requests that failed.
#
# nginx is the balancer. It does not look at /readyz, so this script does so for it, every half
# second, and takes an edge that is not ready out of its list. It never asks a second edge for what
# the first did not answer: that would hide what is to be counted.
#
#   benches/load/drain.sh [SECONDS]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-15}
need awk curl nginx taskset wrk
build

start_edge 'drain_delay = "3s"'
leaving_pid=$edge_pid leaving_address=$edge_address leaving_admin=$admin_address
taskset -c "$server_core" "$PROMPT_EDGE" serve >"$folder/other.out" 2>"$folder/other.err" &
other_pid=$!
started+=("$other_pid")
other_address=$(await "$folder/other.out" '127\.0\.0\.1:[0-9]+ ' "$other_pid" | tr -d ' ')

port=$((20000 + RANDOM % 20000))
balance() {
  local address
  {
    printf 'daemon off; pid %s/nginx.pid; error_log %s/nginx.err;\n' "$folder" "$folder"
    printf 'worker_processes 1; events { worker_connections 4096; }\n'
    printf 'http { access_log off; keepalive_requests 1000000000;\n'
    for place in client_body proxy fastcgi uwsgi scgi; do
      printf '%s_temp_path %s/nginx-%s;\n' "$place" "$folder" "$place"
    done
    printf 'upstream edges { keepalive 64;'
    for address in "$@"; do printf ' server %s max_fails=0;' "$address"; done
    printf ' }\nserver { listen 127.0.0.1:%d; location / { proxy_pass http://edges;\n' "$port"
    printf 'proxy_http_version 1.1; proxy_set_header Connection "";\n'
    printf 'proxy_next_upstream off; } } }\n'
  } >"$folder/nginx.conf"
}
balance "$leaving_address" "$other_address"
taskset -c "$client_core" nginx -p "$folder" -e "$folder/nginx.err" -c "$folder/nginx.conf" &
nginx_pid=$!
started+=("$nginx_pid")
curl -fsS --retry 5 --retry-connrefused --retry-delay 1 -o /dev/null \
  -H "Authorization: Bearer $key" "http://127.0.0.1:$port$target" || fail "port $port: try again"

taskset -c "$client_core" wrk -t1 -c64 -d"${seconds}s" -H "Authorization: Bearer $key" \
  "http://127.0.0.1:$port$target" >"$folder/wrk.out" &
wrk_pid=$!
started+=("$wrk_pid")
sleep $((seconds / 3))
kill -TERM "$leaving_pid"
told=$SECONDS
while kill -0 "$leaving_pid" 2>/dev/null; do
  if ! curl -fsS --max-time 1 -o /dev/null "http://$leaving_admin/readyz" 2>/dev/null; then
    balance "$other_address"
    kill -HUP "$nginx_pid"
    break
  fi
  sleep 0.5
done
wait "$leaving_pid" && code=0 || code=$?
printf 'the edge that was told to stop ended with %d after %d s\n' "$code" $((SECONDS - told))
wait "$wrk_pid"
awk '/requests in|Non-2xx|Socket errors/' "$folder/wrk.out"
# nginx closes connections of wrk when it takes another list, also while both edges stay: those are
# wrk's read errors. What an edge failed at is a 502, and a line of nginx.
if grep -q 'Non-2xx' "$folder/wrk.out" || grep -q 'upstream' "$folder/nginx.err"; then
  fail 'requests failed'
fi
printf 'no request failed\n'
