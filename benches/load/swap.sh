#!/usr/bin/env bash
# Changes the certificate and the configuration of an edge under load, in clear text and over TLS, by
# SIGHUP and without one, and counts the requests that failed.
#
#   benches/load/swap.sh [TIMES]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

times=${1:-6}
need awk curl openssl taskset wrk
build

# A new certificate and its key, whole before they are seen: certify NUMBER.
certify() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj "/CN=edge-$1" -addext 'subjectAltName=DNS:localhost' \
    -keyout "$folder/new.key" -out "$folder/new.pem" 2>/dev/null
  # One file has both, so that they change at once.
  (umask 077 && cat "$folder/new.pem" "$folder/new.key" >"$folder/new.both")
  mv "$folder/new.both" "$folder/edge.pem"
}

certify 0
port=$((20000 + RANDOM % 20000))
start_edge "drain_delay = \"0s\"
[[listeners]]
name = \"clear\"
listen = \"127.0.0.1:$port\"
[[listeners]]
name = \"secured\"
listen = \"127.0.0.1:$((port + 1))\"
certificates = [\"$folder/edge.pem\"]
private_keys = [\"$folder/edge.pem\"]"

# What a counter has counted: counted PATTERN.
counted() {
  curl -fsS "http://$admin_address/metrics" | awk -v pattern="$1" '$0 ~ pattern { sum += $NF } END { print sum + 0 }'
}
changed='^prompt_edge_tls_reloads_total.*"changed"'
applied='^prompt_edge_config_reloads_total.*"applied"'

# Waits until a counter has counted so many: await_count PATTERN COUNT.
await_count() {
  local tries
  for ((tries = 0; tries < 400; tries++)); do
    (($(counted "$1") >= $2)) && return 0
    sleep 0.1
  done
  fail "a change was not noticed: $(cat "$folder/edge.err")"
}

authorization="Authorization: Bearer $key"
loads=()
load() {
  taskset -c "$client_core" wrk -t1 -c"$2" -d600s --timeout 10s -H "$authorization" "${@:4}" "$3$target" \
    >"$folder/wrk.$1.out" &
  loads+=("$!")
  started+=("$!")
}
load clear 32 "http://127.0.0.1:$port"
load secured 32 "https://127.0.0.1:$((port + 1))"
load handshakes 4 "https://127.0.0.1:$((port + 1))" -H 'Connection: close'
sleep 2
for ((turn = 1; turn <= times; turn++)); do
  certify "$turn"
  sed "s/^level = .*/level = \"$([[ $((turn % 2)) == 1 ]] && echo error || echo warn)\"/" \
    "$folder/config.toml" >"$folder/new.toml"
  mv "$folder/new.toml" "$folder/config.toml"
  # Every other change is left for the edge to notice.
  ((turn % 2 == 0)) || kill -HUP "$edge_pid"
  await_count "$changed" "$turn"
  await_count "$applied" "$turn"
  name=$(openssl s_client -connect "127.0.0.1:$((port + 1))" </dev/null 2>/dev/null |
    openssl x509 -noout -subject)
  [[ $name == *edge-$turn ]] || fail "after change $turn the certificate is that of $name"
  sleep 1
done
kill -INT "${loads[@]}"
wait "${loads[@]}" || true
printf '%d changes of the certificate and of the configuration\n' "$times"
for name in clear secured handshakes; do
  awk -v name="$name" '$1 == "Latency" { longest = $4 } /requests in/ { requests = $1 }
    END { print name ":", requests, "requests, the longest", longest }' "$folder/wrk.$name.out"
done
grep -E 'Non-2xx|Socket errors' "$folder"/wrk.*.out && fail 'requests failed'
printf 'no request failed; handshakes: %d\n' "$(counted '^prompt_edge_tls_handshakes_total.*"(full|resumed)"')"
