#!/usr/bin/env python3
"""Says what an await takes that goes to a thread of the library and back: a trace of its wakings.

    bench/queued_await.py [BUILD=build/bench] [COUNT=1000]

Runs COUNT such awaits from Python, one after another, under `perf record`, with every waking of a
thread and every return from a call to the system, and tells from when the loop's thread woke the
library's, how long that took to run, how long it then worked until it woke the loop's, and how long
that took to run; the rest is the loop's own: Python, ctypes and asyncio. Medians in microseconds. Writes
BUILD/queued_await.json, of which bench/report.py and bench/tables.py make a table. Needs what
bench/slow_writes.py needs, and a built library of the C API. Tracing slows everything down.
"""

import asyncio
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LINE = re.compile(r"\s*.+?\s+(?P<thread>\d+) \[\d+\]\s+(?P<at>\d+\.\d+):\s+\w+:(?P<event>\w+): ?"
                  r"(?P<what>.*)")


def awaits(count):
    """In a process of its own: the awaits, and when each began and ended by the steady clock."""
    sys.path.insert(0, str(HERE.parent / "bindings" / "python"))
    import rkvs
    from rkvs.aio import AsyncNamespace

    async def run():
        with rkvs.open() as store:
            ns = AsyncNamespace(store.namespace("empty", shard_count=4))
            times = []
            for number in range(count + 100):
                start = time.monotonic()
                await ns.resize_shards(4)  # nothing to do: so many it has already
                if number >= 100:
                    times.append((start, time.monotonic()))
            return times

    print(json.dumps({"thread": os.getpid(), "times": asyncio.run(run())}))


def trace(library, count, directory):
    data = directory / "perf.data"
    run = subprocess.run(["perf", "record", "--quiet", "-k", "CLOCK_MONOTONIC", "-m", "8192", "-o",
                          data, "-e", "sched:sched_waking,raw_syscalls:sys_exit", sys.executable,
                          __file__, "--awaits", str(count)],
                         check=True, stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "RKVS_LIBRARY": str(library)})
    script = subprocess.run(["perf", "script", "-i", data, "-G", "-F",
                             "comm,tid,cpu,time,event,trace"],
                            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    events = [found.groupdict() for found in map(LINE.match, script.stdout.splitlines()) if found]
    return json.loads(run.stdout), sorted(
        (float(event["at"]), int(event["thread"]), event["event"], event["what"])
        for event in events)


def number(what, name):
    return int(re.search(rf"\b{name}=(\d+)", what).group(1))


def parts(events, loop):
    """(worker waits, worker runs, loop waits) of one await, in seconds; None where it was not so."""
    worker = woken = running = back = None
    for at, thread, event, what in events:
        if back is not None:
            if thread == loop and event == "sys_exit":
                return running - woken, back - running, at - back
        elif running is not None:
            if thread == worker and event == "sched_waking" and number(what, "pid") == loop:
                back = at
        elif worker is not None:
            if thread == worker and event == "sys_exit":
                running = at
        elif thread == loop and event == "sched_waking":
            worker, woken = number(what, "pid"), at
    return None


def main():
    if sys.argv[1:2] == ["--awaits"]:
        return awaits(int(sys.argv[2]))
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench").resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    library = next(build.glob("**/librkvs.so.1"))
    with tempfile.TemporaryDirectory(dir=build) as directory:
        run, events = trace(library, count, pathlib.Path(directory))
    found, whole, at = [], [], 0
    for start, end in run["times"]:
        while at < len(events) and events[at][0] < start:
            at += 1
        until = at
        while until < len(events) and events[until][0] <= end:
            until += 1
        of = parts(events[at:until], run["thread"])
        if of is not None:
            found.append(of)
            whole.append(end - start)
    if not found:
        raise SystemExit("no await went as it should: was anything traced?")
    rows = [{"part": part, "us": statistics.median(of[i] for of in found) * 1e6} for i, part in
            enumerate(("the library's thread is woken", "it does its work",
                       "the loop's thread is woken"))]
    rows.append({"part": "the loop's own: Python, ctypes, asyncio", "us": statistics.median(
        all_of - sum(of) for all_of, of in zip(whole, found)) * 1e6})
    rows.append({"part": "all", "us": statistics.median(whole) * 1e6})
    print(f"{len(found)} of {count} awaits")
    for row in rows:
        print(f"{row['us']:8.1f} us  {row['part']}")
    (build / "queued_await.json").write_text(json.dumps(
        {"program": "queued_await", "arguments": {"count": str(count)}, "rows": rows},
        indent=1) + "\n")


if __name__ == "__main__":
    main()
