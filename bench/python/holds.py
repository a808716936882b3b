"""How long the interpreter lock is held while rkvs does something large.

    python bench/python/holds.py [--json FILE] [--size MIB] [--items N] [--rounds N]

Between two instructions of the interpreter others may have the lock, so what counts is the longest
instruction, calls of C functions included, without the time that calls spend after they let go of the
lock: "held". It is the thread's processor time, so that other programs do not matter, and the least of
the rounds. "waited" is what a second thread sees that wants the lock all the time: the longest that it
did not have it; other programs, which take the processor away from it, are in there. Rows that begin
with "Python:" are for comparison: what the interpreter itself does with as many bytes or items.
Results are freed after the clock has stopped, as that is Python's work and not rkvs's.
"""

import argparse
import asyncio
import json
import pathlib
import statistics
import sys
import threading
import time

import rkvs
from rkvs import _ffi


class Released:
    """The processor time of calls that let go of the interpreter lock."""

    def __init__(self):
        self.total = 0
        for name in _ffi.FUNCTIONS:
            setattr(_ffi.lib, name, self.timed(getattr(_ffi.lib, name)))
        _ffi._copy_released = self.timed(_ffi._copy_released)

    def timed(self, function):
        clock = time.thread_time_ns

        def call(*arguments):
            start = clock()
            result = function(*arguments)
            self.total += clock() - start
            return result

        self.code = call.__code__
        return call


def longest_step(operation, released):
    """The longest instruction of the operation, in nanoseconds of this thread's processor time."""
    clock = time.thread_time_ns
    longest = last = before = 0

    def trace(frame, event, _):
        nonlocal longest, last, before
        took = clock() - last - (released.total - before)
        if took > longest:
            longest = took
        frame.f_trace_opcodes = True
        before = released.total
        last = clock()
        # What measures is not itself measured, or its sum would come too late.
        return None if frame.f_code is released.code else trace

    last, before = clock(), released.total
    sys.settrace(trace)
    try:
        kept = operation()
    finally:
        sys.settrace(None)
    del kept
    return longest


class Watcher:
    """Between ``with`` and its end: the longest time, in seconds, without the interpreter lock."""

    def __enter__(self):
        self.longest, self.stop, self.interval = 0.0, False, sys.getswitchinterval()
        # So that what can be interrupted is.
        sys.setswitchinterval(1e-5)
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        clock = time.perf_counter
        last = clock()
        while not self.stop:
            now = clock()
            if now - last > self.longest:
                self.longest = now - last
            last = now

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        sys.setswitchinterval(self.interval)


def operations(ns, size, count):
    """Name, what is done before the clock starts, and what is watched."""
    value = b"v" * size
    buffer = bytearray(value)
    text = "v" * size
    large = {b"l%d" % i: b"v" * (size // 16) for i in range(16)}
    many = {b"key %d" % i: b"value %d" % i for i in range(count)}
    keys = list(many)

    def nothing():
        pass

    def one():
        ns["a"] = value

    def fill_large():
        ns.clear()
        ns.set_many(large)

    def fill_many():
        ns.clear()
        ns.set_many(many)

    def wait(operation):
        async def wrapped(results):
            results.append(await operation())

        def run():
            results = []  # asyncio.run() makes text of what a coroutine returns
            asyncio.run(wrapped(results))
            return results

        return run

    mib = f"{size >> 20} MiB"
    yield "nothing, for 20 ms", nothing, lambda: time.sleep(0.02)
    yield f"Python: bytes(bytearray) of {mib}", nothing, lambda: bytes(buffer)
    yield f"Python: list(dict) of {count:,}", nothing, lambda: list(many)
    yield f"get, {mib}", one, lambda: ns["a"]
    yield f"get_view, {mib}", one, lambda: ns.get_view("a")
    yield f"put bytes, {mib}", nothing, lambda: ns.put("a", value)
    yield f"put bytearray, {mib}", nothing, lambda: ns.put("a", buffer)
    yield f"put str, {mib}", nothing, lambda: ns.put("a", text)
    yield f"set, {mib} for {mib}", one, lambda: ns.set("a", value)
    yield f"pop, {mib}", one, lambda: ns.pop("a")
    yield f"del, {mib}", one, lambda: ns.delete("a")
    yield f"put of 1 byte over {mib}", one, lambda: ns.put("a", b"v")
    yield f"set_many, 16 of {size >> 24} MiB", nothing, lambda: ns.set_many(large)
    yield f"get_many, 16 of {size >> 24} MiB", fill_large, lambda: ns.get_many(large)
    yield f"scan, 16 of {size >> 24} MiB", fill_large, lambda: list(ns.scan())
    yield f"await get, {mib}", one, wait(lambda: ns.aio.get("a"))
    yield f"set_many, {count:,}", nothing, lambda: ns.set_many(many)
    yield f"get_many, {count:,}", fill_many, lambda: ns.get_many(keys)
    yield f"list_keys, {count:,}", fill_many, lambda: ns.list_keys()
    yield f"scan, {count:,}", fill_many, lambda: sum(1 for _ in ns.scan())
    yield f"delete_many, {count:,}", fill_many, lambda: ns.delete_many(keys)
    yield f"clear, {count:,}", fill_many, lambda: ns.clear()
    yield f"await get_many, {count:,}", fill_many, wait(lambda: ns.aio.get_many(keys))


def measure(arguments):
    rows, released = [], Released()
    with rkvs.open() as store:
        ns = store.create_namespace("holds", lock_timeout=60)
        for name, before, operation in operations(ns, arguments.size << 20, arguments.items):
            held, waited, took = [], [], []
            for _ in range(arguments.rounds):
                before()
                held.append(longest_step(operation, released) / 1e6)
                before()
                with Watcher() as watcher:
                    watcher.longest = 0.0
                    start = time.perf_counter()
                    kept = operation()
                    took.append((time.perf_counter() - start) * 1000)
                    waited.append(watcher.longest * 1000)
                del kept
            ns.clear()
            row = {
                "operation": name,
                "held_ms": min(held),
                "waited_ms": min(waited),
                "took_ms": statistics.median(took),
            }
            rows.append(row)
            print(f"{name:36}" + "".join(f"{row[what]:10.3f}" for what in COLUMNS), flush=True)
    return rows


COLUMNS = ("held_ms", "waited_ms", "took_ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=64, help="MiB of a large value")
    parser.add_argument("--items", type=int, default=200_000, help="of a large batch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'milliseconds':36}" + "".join(f"{what[:-3]:>10}" for what in COLUMNS))
    rows = measure(arguments)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "program": "python_holds",
            "arguments": {"size": arguments.size, "items": arguments.items},
            "python": sys.version.split()[0],
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
