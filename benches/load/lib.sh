# What the scripts of this folder share: a temporary folder, what runs in it, and its end.
# Sourced, never run. shellcheck shell=bash

set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
server_core=${SERVER_CORE:-0}
client_core=${CLIENT_CORE:-1}

folder=$(mktemp -d)
started=()

# Ends what this run started, by process id, and nothing else.
clean_up() {
  local code=$? pid
  trap - EXIT INT TERM
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf -- "$folder"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "$tool is missing: see benches/load/README.md"
  done
}

# Builds what PROMPT_EDGE and BARE_HYPER do not name.
build() {
  PROMPT_EDGE=${PROMPT_EDGE:-} BARE_HYPER=${BARE_HYPER:-}
  if [[ -z $PROMPT_EDGE || -z $BARE_HYPER ]]; then
    (cd "$root" && cargo build --locked --release --bin prompt-edge --example bare_hyper)
    local target=${CARGO_TARGET_DIR:-$root/target}/release
    PROMPT_EDGE=${PROMPT_EDGE:-$target/prompt-edge}
    BARE_HYPER=${BARE_HYPER:-$target/examples/bare_hyper}
  fi
}

# Waits until a file has a line that matches, and prints what matched: await FILE PATTERN PID.
await() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    grep -Eo -m1 -- "$2" "$1" 2>/dev/null && return 0
    kill -0 "$3" 2>/dev/null || break
    sleep 0.05
  done
  fail "it did not start: $(cat "$1" "$folder"/*.err 2>/dev/null)"
}

# Starts an edge over real prompts in a temporary store, on a plan without limits. What is given ends
# the section of the server. Sets edge_pid, edge_address, admin_address and key.
start_edge() {
  export PROMPT_EDGE__CONFIG="$folder/config.toml"
  {
    printf '[server]\n'
    [[ ${1:-} == *'[[listeners]]'* ]] || printf 'listen = "127.0.0.1:0"\n'
    printf 'workers = 1\n%s\n' "${1:-}"
    printf '[admin]\nlisten = "127.0.0.1:0"\n'
    printf '[store]\nurl = "sqlite:%s"\n' "$folder/store.db"
    printf '[log]\nlevel = "warn"\n'
  } >"$folder/config.toml"
  {
    "$PROMPT_EDGE" projects create load --plan enterprise >/dev/null &&
      "$PROMPT_EDGE" import "$root/examples/prompts" --project load --publish >/dev/null &&
      key=$("$PROMPT_EDGE" keys create --project load --environment live)
  } 2>"$folder/setup.err" || fail "$(cat "$folder/setup.err")"
  taskset -c "$server_core" "$PROMPT_EDGE" serve >"$folder/edge.out" 2>"$folder/edge.err" &
  edge_pid=$!
  started+=("$edge_pid")
  edge_address=$(await "$folder/edge.out" '127\.0\.0\.1:[0-9]+ ' "$edge_pid" | tr -d ' ')
  admin_address=$(grep -Eo -m1 '127\.0\.0\.1:[0-9]+$' "$folder/edge.out")
}

# What a client asks for.
target='/api/v1/prompts/customer-support/compiled?variables=%7B%22user_name%22%3A%22Ada%22%7D'

# Processor time of each thread of a process so far: its id and nanoseconds.
threads_of() {
  awk '{ split(FILENAME, place, "/"); print place[5], $1 }' "/proc/$1"/task/*/schedstat 2>/dev/null || true
}

# Nanoseconds that passed between two such lists: BEFORE AFTER. Threads that have ended are left out:
# they are those that wait for work to do beside the requests.
cpu_between() {
  awk 'NR == FNR { before[$1] = $2; next } { sum += $2 - before[$1] } END { printf "%.0f\n", sum }' \
    "$1" "$2"
}
