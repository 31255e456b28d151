#!/usr/bin/env bash
# Builds prompt-edge and runs all of its tests. Works from any folder.
#
# Needs: a Rust toolchain of the version in Cargo.toml or later, and a C compiler with the system's
# headers (on Debian: gcc and libc6-dev), because SQLite and AWS-LC are compiled in. Needs no server
# and no network beyond the crates' own download. Uses cargo-nextest where it is installed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --all-features "$@"
else
  cargo test --locked --all-features --lib --bins --tests "$@"
fi
# The library's examples in its documentation; nextest does not run them.
cargo test --locked --all-features --doc --quiet
