"""How long other threads have to wait for the interpreter lock while rkvs does something large.

    python bench/python/holds.py [--json FILE] [--size MIB] [--items N] [--rounds N]

A second thread wants the lock all the time and notes the longest time that it did not have it. Other
programs take the processor away from it as well, so what counts is the least of the rounds: of what
was really held none can be shorter. Rows that begin with "Python:" are for comparison: what the
interpreter itself takes to copy or free as many bytes or items. Results are freed after the clock has
stopped, as that is Python's work and not rkvs's.
"""

import argparse
import asyncio
import json
import pathlib
import sys
import threading
import time

import rkvs


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
    rows = []
    with rkvs.open() as store:
        ns = store.create_namespace("holds", lock_timeout=60)
        for name, before, operation in operations(ns, arguments.size << 20, arguments.items):
            longest, took = [], []
            for _ in range(arguments.rounds):
                before()
                with Watcher() as watcher:
                    watcher.longest = 0.0
                    start = time.perf_counter()
                    kept = operation()
                    took.append(time.perf_counter() - start)
                    longest.append(watcher.longest)
                del kept
            ns.clear()
            row = {
                "operation": name,
                "held_ms": min(longest) * 1000,
                "took_ms": sorted(took)[len(took) // 2] * 1000,
                "rounds_ms": [one * 1000 for one in longest],
            }
            rows.append(row)
            print(f"{name:36} {row['held_ms']:9.3f} {row['took_ms']:9.1f}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=64, help="MiB of a large value")
    parser.add_argument("--items", type=int, default=500_000, help="of a large batch")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(f"{'':36} {'held, ms':>9} {'took, ms':>9}")
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
