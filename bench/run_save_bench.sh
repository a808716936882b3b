#!/bin/sh
# Saves and loads against the Rust crate, in turn within one run; figures go to BUILD/save.json.
#
#   bench/run_save_bench.sh [BUILD=build/bench] [argument of save_bench]...
#
# Without cargo, or the crates, the comparison with the crate is left out and the reason printed.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$source/build/bench}
[ $# -eq 0 ] || shift
build=$(cd "$build" && pwd)
cmake --build "$build" --target save_bench

peer=$build/rkvs_rs/release/rkvs_rs
if ! command -v cargo >/dev/null; then
  echo "without rkvs-rs: there is no cargo"
  peer=
elif ! cargo build --release --quiet --target-dir "$build/rkvs_rs" \
    --manifest-path "$source/bench/peers/rkvs_rs/Cargo.toml"; then
  echo "without rkvs-rs: it cannot be built"
  peer=
fi
exec "$build/bench/save_bench" --directory="$build" --json="$build/save.json" \
  ${peer:+--peer="$peer"} "$@"
