#!/usr/bin/env bash
# What idle connections cost: memory for each, and what others feel of them.
#
#   benches/load/idle.sh [CONNECTIONS [http1|http2]]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

connections=${1:-10000} protocol=${2:-http1}
[[ $protocol == http[12] ]] || fail "a protocol is http1 or http2"
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
if [[ $protocol == http1 ]]; then
  request="GET $target HTTP/1.1\r\nhost: $edge_address\r\nauthorization: Bearer $key\r\n\r\n"
else
  # The preface, no settings, and one block of fields (RFC 9113 §3.4 and §6.2; RFC 7541 §6.2.2). All
  # strings in it are shorter than 127 bytes, and it is shorter than 256.
  byte() { printf '\\x%02x' "$1"; }
  field() { printf '%s%s%s' "$1" "$(byte ${#2})" "$2"; }
  block="\x82\x86$(field '\x01' "$edge_address")$(field '\x04' "$target")"
  block+=$(field '\x0f\x08' "Bearer $key")
  request='PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00'
  request+="\x00\x00$(byte "$(printf '%b' "$block" | wc -c)")\x01\x05\x00\x00\x00\x01$block"
fi
# Each is answered once, as one in use would have been; they ask together, as after an outage.
sockets=()
for ((n = 0; n < connections; n++)); do
  exec {socket}<>"/dev/tcp/$host/$port"
  sockets+=("$socket")
done
for socket in "${sockets[@]}"; do printf '%b' "$request" >&"$socket"; done
for socket in "${sockets[@]}"; do
  # The first brace ends within the body of an answer.
  IFS= read -r -t 5 -d '}' answer <&"$socket" || fail "no answer: ${answer:-}"
done
# Buffers are given back within a second, and their pages within the next few.
sleep 6
after=$(memory)
beside=$(others)

printf '%d idle connections of %s: %d bytes each\n' \
  "$connections" "$protocol" $(((after - before) / connections))
printf 'others alone:       %s\nothers beside them: %s\n' "$alone" "$beside"
