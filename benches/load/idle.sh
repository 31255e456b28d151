#!/usr/bin/env bash
# What idle connections cost: memory for each, and what others feel of them.
#
#   benches/load/idle.sh [CONNECTIONS]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

connections=${1:-10000}
need awk curl taskset wrk
ulimit -n $((connections + 1000)) 2>/dev/null ||
  fail "$connections connections need more open files than are allowed: raise ulimit -n"
build
start_edge

memory() { awk '/^RssAnon:/ { print $2 * 1024 }' "/proc/$edge_pid/status"; }

# The 50th and 99th percentile of others' requests.
others() {
  taskset -c "$client_core" wrk -t1 -c16 -d3s --latency -H "Authorization: Bearer $key" \
    "http://$edge_address$target" | awk '/^ +(50|99)%/ { printf "%s %s  ", $1, $2 }'
}

others >/dev/null
alone=$(others)
before=$(memory)
host=${edge_address%:*} port=${edge_address#*:}
request="GET $target HTTP/1.1"$'\r\n'"host: $edge_address"$'\r\n'
request+="authorization: Bearer $key"$'\r\n\r\n'
for ((n = 0; n < connections; n++)); do
  exec {socket}<>"/dev/tcp/$host/$port"
  # Each has been answered once, as one in use would have.
  printf '%s' "$request" >&"$socket"
  IFS= read -r line <&"$socket"
  [[ $line == 'HTTP/1.1 200'* ]] || fail "connection $n: $line"
done
# A connection that asks nothing for two seconds gives its buffers back.
sleep 5
after=$(memory)
beside=$(others)

printf '%d idle connections: %d bytes each\n' "$connections" $(((after - before) / connections))
printf 'others alone:       %s\nothers beside them: %s\n' "$alone" "$beside"
