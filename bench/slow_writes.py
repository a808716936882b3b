#!/usr/bin/env python3
"""Says what single slow writes wait for: a trace of the scheduler beside the benchmark of saves.

    bench/slow_writes.py [BUILD=build/bench] [ROUNDS=20]

Runs BUILD/bench/save_bench, whose latency part notes when each write over 250 us began that was not
preempted, under `perf record`, with every switch and waking of threads, every call to the system
and every page fault, and tells for each what its thread did meanwhile. Writes
BUILD/slow_writes.json, of which bench/report.py and bench/tables.py make a table. Needs perf
(Debian: linux-perf), the right to trace, which root has, and an x86-64. Tracing slows everything
down: the table says of what kind slow writes are, not how many there are without it.
"""

import bisect
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

EVENTS = ["-e", "sched:sched_switch,sched:sched_waking", "-e", "raw_syscalls:sys_enter", "-e",
          "exceptions:page_fault_user"]
LINE = re.compile(r"\s*(?P<thread>.+?)\s+\d+ \[\d+\]\s+(?P<at>\d+\.\d+):\s+\w+:(?P<event>\w+): ?"
                  r"(?P<what>.*)")
WRITER = "writer"  # as bench/write_watch.h names its thread
ARENA = "rkvs-arena"
FUTEX = "NR 202 "  # on x86-64
WOKEN_SOON = 100e-6  # seconds: a lock that was free so soon is not what a slow write waited for

PAGE = "a page of a region that becomes a huge page"
PROCESSOR = "woken within 0.1 ms, then waited for a processor"
LOCK = "a lock"
SYSTEM = "a call to the system or a page fault of its own"
NOTHING = "nothing: it ran, or the host did something else"


def trace(program, rounds, directory):
    """What save_bench attached, and the events in order of time."""
    data, report = directory / "perf.data", directory / "save_bench.json"
    subprocess.run(["perf", "record", "--quiet", "-k", "CLOCK_MONOTONIC", "-m", "8192", "-o", data,
                    *EVENTS, program, "--parts=latency", f"--rounds={rounds}",
                    f"--directory={directory}", f"--json={report}"],
                   check=True, stdout=subprocess.DEVNULL)
    script = subprocess.run(["perf", "script", "-i", data, "-G", "-F",
                             "comm,tid,cpu,time,event,trace"],
                            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    events = [found.groupdict() for found in map(LINE.match, script.stdout.splitlines()) if found]
    for event in events:
        event["at"] = float(event["at"])
    events.sort(key=lambda event: event["at"])
    return json.loads(report.read_text())["slow_writes"], events


def cause(events, begin):
    """Why the writer took so long, and which thread held it up or had its processor."""
    called, taker, woken_by, woken = None, None, None, 0.0
    for event in events:
        at, own = event["at"], event["thread"] == WRITER
        if own and event["event"] == "sys_enter" and taker is None:
            called = LOCK if event["what"].startswith(FUTEX) else SYSTEM
        elif own and event["event"] == "page_fault_user" and taker is None:
            called = PAGE
        elif event["event"] == "sched_waking" and f"comm={WRITER} " in event["what"]:
            # A lock may be free before the writer is quite asleep.
            if woken_by is None:
                woken_by, woken = event["thread"], at
        elif event["event"] == "sched_switch" and f"prev_comm={WRITER} " in event["what"]:
            if taker is None:
                taker = re.search(r"next_comm=(.+?) next_pid", event["what"]).group(1)
    if taker is None:
        return NOTHING, "-"
    if woken_by is not None and woken - begin < WOKEN_SOON:
        return PROCESSOR, taker
    if called == PAGE and woken_by != ARENA:
        called = SYSTEM
    return called or NOTHING, woken_by or "-"


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench").resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory(dir=build) as directory:
        slow, events = trace(build / "bench" / "save_bench", rounds, pathlib.Path(directory))
    times = [event["at"] for event in events]
    rows = []
    for run, writes in slow.items():
        rows.append({"run": run, "traced": len(writes)})
        of = collections.defaultdict(list)
        for begin, us in writes:
            part = events[bisect.bisect(times, begin - 1e-6):bisect.bisect(times, begin + us / 1e6)]
            of[cause(part, begin)].append(us)
        for (why, thread), all_us in sorted(of.items()):
            rows.append({"run": run, "cause": why, "thread": thread, "writes": len(all_us),
                         "worst_us": max(all_us)})
            print(rows[-1], flush=True)
    (build / "slow_writes.json").write_text(json.dumps(
        {"program": "slow_writes", "arguments": {"rounds": str(rounds)}, "rows": rows},
        indent=1) + "\n")


if __name__ == "__main__":
    main()
