#!/usr/bin/env python3
"""Counts what an operation costs in instructions and cache misses: figures without noise.

    bench/instructions.py [BUILD=build/bench]
    bench/instructions.py BUILD STORE OPERATION

Runs BUILD/bench/operations under callgrind, for each store and operation by itself, and counts
within what the benchmark times: 20,000 operations on 200,000 keys of 14 bytes with values of 100;
batches of 100 by BUILD/bench/batch_operations, an item, and the C API's by c_async_bench.
Misses are of a simulated cache of 32 KiB (first level) and of 1 MiB (last level). Writes
BUILD/instructions.json, of which bench/report.py and bench/tables.py make a table. Needs valgrind,
when the benchmarks are built as well.

With a store and an operation, named as in the table: prints which functions have the instructions of
that one, by callgrind_annotate, and writes nothing. A function has a line for each file of which code
was inlined into it: they add up.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

CALLS = 20_000
KEYS = 200_000
STORES = ("rkvs", "absl", "boost")
OPERATIONS = ("get", "copy", "miss", "put", "set", "insert", "delete", "consume")


# Of a batch an item counts, the making of its list included; the C API has one store.
BATCHES = {"batch get of 100": "get", "batch set of 100": "set"}
C_CALLS = {"C get": "sync", "C async get, inline": "async"}


def commands():
    """(store, operation, program, its arguments), each so that it counts CALLS operations."""
    for store in STORES:
        for operation in OPERATIONS:
            yield store, operation, "operations", [
                f"--stores={store}", f"--operations={operation}", "--samples=1"]
        for name, operation in BATCHES.items():
            yield store, name, "batch_operations", [
                f"--stores={store}", f"--operations={operation}", "--ways=all", "--sizes=100"]
    for name, side in C_CALLS.items():
        yield "rkvs", name, "c_async_bench", [f"--count={side}"]


def run(program, arguments, out):
    # c_async_bench makes two segments a round, and has no grid.
    is_c = program.name == "c_async_bench"
    subprocess.run(
        ["valgrind", "--tool=callgrind", "--quiet", "--collect-atstart=no", "--cache-sim=yes",
         "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64",
         f"--callgrind-out-file={out}", str(program), *arguments, f"--keys={KEYS}",
         f"--calls={CALLS // 2 if is_c else CALLS}", "--rounds=1", "--json=",
         *([] if is_c else ["--grid_keys="])],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count(program, arguments):
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "out"
        run(program, arguments, out)
        text = out.read_text()
    events = re.search(r"^events: (.*)$", text, re.M).group(1).split()
    totals = re.search(r"^(?:totals|summary): (.*)$", text, re.M).group(1).split()
    figures = dict(zip(events, (int(total) / CALLS for total in totals)))
    if not figures.get("Ir"):
        raise SystemExit("nothing was counted: was valgrind there when the benchmarks were built?")
    return {"instructions": round(figures["Ir"], 1),
            "first_level_misses": round(figures["D1mr"] + figures["D1mw"], 2),
            "last_level_misses": round(figures["DLmr"] + figures["DLmw"], 2)}


def print_functions(build, wanted_store, wanted_operation):
    for store, operation, program, arguments in commands():
        if (store, operation) != (wanted_store, wanted_operation):
            continue
        with tempfile.TemporaryDirectory() as directory:
            out = pathlib.Path(directory) / "out"
            run(build / "bench" / program, arguments, out)
            subprocess.run(["callgrind_annotate", "--show=Ir", "--auto=no", str(out)], check=True)
        return
    raise SystemExit("known are: " + "; ".join(f"{store} '{operation}'"
                                               for store, operation, _, _ in commands()))


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench").resolve()
    if len(sys.argv) > 2:
        if len(sys.argv) != 4:
            raise SystemExit(__doc__)
        print_functions(build, *sys.argv[2:])
        return
    rows = []
    for store, operation, program, arguments in commands():
        row = {"contender": store, "operation": operation,
               **count(build / "bench" / program, arguments)}
        print(row, flush=True)
        rows.append(row)
    (build / "instructions.json").write_text(json.dumps(
        {"program": "instructions", "arguments": {"keys": str(KEYS), "calls": str(CALLS)},
         "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
