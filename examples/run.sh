#!/bin/sh
# run.sh rust|node <folder of librkvs.so> <work folder>
#
# Builds and runs the example in another language. Status 77: what it needs is not there. Writes
# into the work folder alone, and what was fetched or built there once is used again.
set -eu

example=$1
library=$(cd "$2" && pwd)
mkdir -p "$3"
work=$(cd "$3" && pwd)
source=$(cd "$(dirname "$0")/$example" && pwd)

skip() {
  echo "SKIPPED, the example for $example: $*"
  exit 77
}

case $example in
  rust)
    cargo --version >/dev/null 2>&1 || skip 'there is no cargo'
    cp -r "$source/." "$work" # cargo writes a lock file beside Cargo.toml
    cd "$work"
    RKVS_LIB_DIR=$library CARGO_TARGET_DIR=$work/target cargo run --quiet --offline
    ;;
  node)
    node --version >/dev/null 2>&1 || skip 'there is no node'
    node -e 'process.exit(typeof Buffer.copyBytesFrom === "function" ? 0 : 1)' ||
      skip "node $(node --version) is too old"
    cp "$source"/*.js "$source/package.json" "$work"
    cd "$work"
    wanted=$(node -p 'require("./package.json").dependencies.koffi')
    found=$(node -p 'require("./node_modules/koffi/package.json").version' 2>/dev/null || true)
    if [ "$found" != "$wanted" ]; then
      npm --version >/dev/null 2>&1 || skip 'there is no npm'
      npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error \
        >npm.log 2>&1 || { cat npm.log; skip "npm cannot install koffi $wanted"; }
    fi
    RKVS_LIBRARY=$library/librkvs.so.1 node main.js
    ;;
  *)
    echo "run.sh: no example for '$example'" >&2
    exit 2
    ;;
esac
