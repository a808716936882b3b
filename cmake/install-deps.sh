#!/bin/sh
# Installs every system package that building, testing, benchmarking and checking rkvs needs, on
# Debian 12. Run it as root or as a user of sudo. When nothing is missing it touches nothing.
set -eu

# Compilers and tools. libclang-rt-14-dev holds the sanitizer and fuzzer runtimes and is not pulled
# in by clang-14; llvm-14 holds the symbolizer that names functions in their reports.
packages="
  g++ make cmake ninja-build pkg-config
  clang-14 libclang-rt-14-dev llvm-14 clang-format-14 clang-tidy-14
  abigail-tools"

# Libraries. libboost-dev would be Boost 1.74, which is too old.
packages="$packages
  libboost1.81-dev libflatbuffers-dev flatbuffers-compiler libxxhash-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  libcli11-dev nlohmann-json3-dev"

# What the benchmarks compare rkvs with: Abseil's flat_hash_map, oneTBB's concurrent_hash_map, LMDB,
# and Redis with a client that pipelines. The library needs none of them.
packages="$packages libabsl-dev libtbb-dev liblmdb-dev redis-server libhiredis-dev"

# What counts instructions (bench/instructions.py) and traces threads (bench/slow_writes.py).
packages="$packages valgrind linux-perf"

# What makes calls to the system fail from outside of the tool (tests/crash/fiu_import.py).
packages="$packages fiu-utils"

# A word list for tests and benchmarks with natural keys; virtual environments for the bindings.
packages="$packages wamerican python3-venv"

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "install-deps.sh: this is not a Debian system; install by hand:" $packages >&2
  exit 1
fi

is_installed() {
  dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=
for package in $packages; do
  is_installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "install-deps.sh: everything is installed"
  exit 0
fi

# apt would silently replace the one by the other, and break whoever builds with 1.74.
if is_installed libboost1.74-dev && ! is_installed libboost1.81-dev; then
  echo "install-deps.sh: libboost1.74-dev is installed and conflicts with libboost1.81-dev, which" \
    "rkvs needs." >&2
  echo "Remove it first if nothing else needs it: apt-get remove libboost1.74-dev" >&2
  exit 1
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install-deps.sh: neither root nor sudo; as root, install:$missing" >&2
    exit 1
  fi
  as_root=sudo
fi

# --no-remove: whatever else may conflict, this script takes nothing away.
echo "install-deps.sh: installing$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-remove --no-install-recommends $missing </dev/null
