"""rkvs from Python beside dict, py-lmdb, diskcache, and redis-py with a Redis server on loopback.

    python bench/python/bench.py [--json FILE] [--plot FILE] [--keys N] [--rounds N]

All contenders take turns in one process, round by round, on the same keys (14 bytes) and values
(100 bytes) in an order that is shuffled once. A round's figure is the median of many short pieces, so
that what else the machine does meanwhile falls out; shown are medians of the rounds. Each is used as its
documentation recommends for speed: LMDB without syncing to disk, one transaction for each single
operation and one for each batch; Redis without persistence, batches as MGET and MSET; diskcache in
a temporary folder, batches in one transaction; rkvs as it is installed.

The file has the form that bench/report.py reads. Needs the packages of requirements.txt, the rkvs
package and redis-server; a contender that is not there is left out, and named under "missing".
"""

import argparse
import asyncio
import gc
import json
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import rkvs
from rkvs.aio import AsyncNamespace

BATCH = 1000
PIECE = 250
VALUE = 100


class Contender:
    """What is measured of every store. `share` of the keys is enough for a slow one."""

    share = 1.0

    def get(self, keys):
        """Gets each of these keys by itself."""
        raise NotImplementedError

    def set(self, keys, value):
        raise NotImplementedError

    def batch_get(self, keys):
        """Gets all of these keys in one call; returns the values."""
        raise NotImplementedError

    def batch_set(self, items):
        raise NotImplementedError

    def close(self):
        pass


class Dict(Contender):
    name = "dict"

    def __init__(self):
        self.data = {}

    def get(self, keys):
        get = self.data.get
        for key in keys:
            get(key)

    def set(self, keys, value):
        data = self.data
        for key in keys:
            data[key] = value

    def batch_get(self, keys):
        get = self.data.get
        return [get(key) for key in keys]

    def batch_set(self, items):
        self.data.update(items)


class Rkvs(Contender):
    name = "rkvs"

    def __init__(self):
        self.store = rkvs.open()
        self.ns = self.store.create_namespace("bench")

    def get(self, keys):
        get = self.ns.get
        for key in keys:
            get(key)

    def set(self, keys, value):
        ns = self.ns
        for key in keys:
            ns[key] = value

    def batch_get(self, keys):
        return self.ns.get_many(keys)

    def batch_set(self, items):
        self.ns.set_many(items)

    def close(self):
        self.store.close()


class Lmdb(Contender):
    name = "py-lmdb"

    def __init__(self):
        import lmdb

        self.folder = tempfile.mkdtemp()
        self.env = lmdb.open(
            self.folder, map_size=1 << 30, sync=False, metasync=False, writemap=True
        )

    def get(self, keys):
        begin = self.env.begin
        for key in keys:
            with begin() as txn:
                txn.get(key)

    def set(self, keys, value):
        begin = self.env.begin
        for key in keys:
            with begin(write=True) as txn:
                txn.put(key, value)

    def batch_get(self, keys):
        with self.env.begin() as txn:
            return [txn.get(key) for key in keys]

    def batch_set(self, items):
        with self.env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(items.items())

    def close(self):
        self.env.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class DiskCache(Contender):
    name = "diskcache"
    share = 0.05

    def __init__(self):
        import diskcache

        self.folder = tempfile.mkdtemp()
        self.cache = diskcache.Cache(self.folder)

    def get(self, keys):
        get = self.cache.get
        for key in keys:
            get(key)

    def set(self, keys, value):
        put = self.cache.set
        for key in keys:
            put(key, value)

    def batch_get(self, keys):
        get = self.cache.get
        with self.cache.transact():
            return [get(key) for key in keys]

    def batch_set(self, items):
        put = self.cache.set
        with self.cache.transact():
            for key, value in items.items():
                put(key, value)

    def close(self):
        self.cache.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Contender):
    name = "redis-py"
    share = 0.1

    def __init__(self):
        import redis

        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("no redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                self.client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)

    def get(self, keys):
        get = self.client.get
        for key in keys:
            get(key)

    def set(self, keys, value):
        put = self.client.set
        for key in keys:
            put(key, value)

    def batch_get(self, keys):
        return self.client.mget(keys)

    def batch_set(self, items):
        self.client.mset(items)

    def close(self):
        self.client.close()
        self.server.terminate()
        self.server.wait()


def pieces(keys):
    return [keys[i : i + PIECE] for i in range(0, len(keys), PIECE)]


def single(function, keys, *arguments):
    """Nanoseconds an operation, of one for each key."""
    took = []
    for piece in pieces(keys):
        start = time.perf_counter_ns()
        function(piece, *arguments)
        took.append((time.perf_counter_ns() - start) / len(piece))
    return statistics.median(took)


def whole(function, argument, repeat):
    """Nanoseconds an item, of calls with all items."""
    took = []
    for _ in range(repeat):
        start = time.perf_counter_ns()
        function(argument)
        took.append((time.perf_counter_ns() - start) / len(argument))
    return statistics.median(took)


async def awaited(get, keys):
    took = []
    for piece in pieces(keys):
        start = time.perf_counter_ns()
        for key in piece:
            await get(key)
        took.append((time.perf_counter_ns() - start) / len(piece))
    return statistics.median(took)


async def awaited_one(operation, count):
    took = []
    for _ in range(count):
        start = time.perf_counter_ns()
        await operation()
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took)


async def awaited_together(operation, count, rounds):
    """An operation, when `count` of them are in flight."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        await asyncio.gather(*(operation() for _ in range(count)))
        took.append((time.perf_counter_ns() - start) / count)
    return statistics.median(took)


async def asynchronous(contenders, keys, rows):
    """Awaits: done inline, through the queue, and redis.asyncio for comparison."""
    ours = AsyncNamespace(contenders["rkvs"].ns)
    empty = AsyncNamespace(contenders["rkvs"].store.namespace("empty", shard_count=4))

    async def queued():
        # Goes to a thread of the library and back, like everything long, and has nothing to do
        # there: so many shards it has already. Of many in flight one may find another at it.
        try:
            await empty.resize_shards(4)
        except rkvs.BusyError:
            pass

    rows["rkvs", "await get"].append(await awaited(ours.get, keys))
    rows["rkvs", "queued await"].append(await awaited_one(queued, 500))
    rows["rkvs", "queued await, 100 in flight"].append(await awaited_together(queued, 100, 10))
    if "redis-py" in contenders:
        import redis.asyncio

        client = redis.asyncio.Redis(port=contenders["redis-py"].port)
        few = keys[: max(1, len(keys) // 20)]
        await client.get(few[0])
        rows["redis-py", "await get"].append(await awaited(client.get, few))
        await client.aclose()


def measure(arguments):
    missing = {}
    contenders = {}
    for kind in (Dict, Rkvs, Lmdb, DiskCache, Redis):
        try:
            contenders[kind.name] = kind()
        except (ImportError, OSError) as error:
            missing[kind.name] = str(error)
    keys = [b"key-%010d" % i for i in range(arguments.keys)]
    random.Random(1).shuffle(keys)
    value = bytes(VALUE)
    operations = ("get", "set", "batch get", "batch set")
    waits = ("await get", "queued await", "queued await, 100 in flight")
    rows = {(name, what): [] for name in contenders for what in operations + waits}
    batch = keys[:BATCH]
    items = {key: value for key in batch}
    for contender in contenders.values():
        contender.batch_set({key: value for key in keys})
        assert list(contender.batch_get(batch)) == [value] * len(batch), contender.name
    for number in range(arguments.rounds):
        gc.collect()
        for name, contender in contenders.items():
            part = keys[: max(1, int(len(keys) * contender.share))]
            repeat = max(3, int(30 * contender.share))
            took = {
                "get": single(contender.get, part),
                "set": single(contender.set, part, value),
                "batch get": whole(contender.batch_get, batch, repeat),
                "batch set": whole(contender.batch_set, items, repeat),
            }
            for what, nanoseconds in took.items():
                rows[name, what].append(nanoseconds)
        asyncio.run(asynchronous(contenders, keys, rows))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    for contender in contenders.values():
        contender.close()
    return {key: figures for key, figures in rows.items() if figures}, missing


# Of bench/targets.json: what is measured, and how many nanoseconds its unit has.
TARGETS = {
    "python.get": ("get", "us", 1000),
    "python.set": ("set", "us", 1000),
    "python.batch_get": ("batch get", "ns", 1),
    "python.batch_set": ("batch set", "ns", 1),
    "python.await_inline": ("await get", "us", 1000),
    "python.await_queued": ("queued await", "us", 1000),
}


def report(arguments, rows, missing):
    targets = []
    for name, (what, unit, scale) in TARGETS.items():
        ours = rows["rkvs", what]
        target = {"id": name, "ours": statistics.median(ours) / scale, "unit": unit}
        theirs = {
            other: statistics.median(figures)
            for (other, operation), figures in rows.items()
            if operation == what and other != "rkvs"
        }
        if theirs:
            target["note"] = ", ".join(
                f"{other} {figure / scale:.3g} {unit}" for other, figure in theirs.items()
            )
        targets.append(target)
    return {
        "program": "python",
        "arguments": {"keys": arguments.keys, "rounds": arguments.rounds, "value": VALUE},
        "python": sys.version.split()[0],
        "rows": [
            {
                "contender": name,
                "operation": what,
                "ns": statistics.median(figures),
                "least_ns": min(figures),
                "rounds": figures,
            }
            for (name, what), figures in rows.items()
        ],
        "targets": targets,
        "missing": {f"python.{name}": reason for name, reason in missing.items()},
    }


def show(rows):
    names = list(dict.fromkeys(name for name, _ in rows))
    operations = list(dict.fromkeys(what for _, what in rows))
    print(f"{'median ns an operation':30}" + "".join(f"{name:>12}" for name in names))
    for what in operations:
        figures = [rows.get((name, what)) for name in names]
        cells = (f"{statistics.median(one):12,.0f}" if one else f"{'':>12}" for one in figures)
        print(f"{what:30}" + "".join(cells))


def plot(rows, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for name, _ in rows))
    operations = list(dict.fromkeys(what for _, what in rows))
    figure, axes = pyplot.subplots(figsize=(11, 5))
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        heights = [
            statistics.median(rows[name, what]) if (name, what) in rows else 0
            for what in operations
        ]
        positions = [index + place * width - 0.4 + width / 2 for index in range(len(operations))]
        bars = axes.bar(positions, heights, width, label=name)
        axes.bar_label(bars, [f"{height:,.0f}" if height else "" for height in heights], fontsize=6)
    axes.set_yscale("log")
    axes.set_xticks(range(len(operations)), [what.replace(", ", ",\n") for what in operations])
    axes.set_ylabel("ns an operation (median, logarithmic)")
    axes.set_title(f"Python {sys.version.split()[0]}: {VALUE}-byte values, batches of {BATCH:,}")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows, missing = measure(arguments)
    show(rows)
    for name, reason in missing.items():
        print(f"without {name}: {reason}", file=sys.stderr)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        content = report(arguments, rows, missing)
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    if arguments.plot:
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
