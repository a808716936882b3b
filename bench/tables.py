#!/usr/bin/env python3
"""Writes the tables of the documentation again, from what a run of the benchmarks measured.

    bench/tables.py [BUILD=build/bench] [DOCUMENT...]
    bench/tables.py --check

DOCUMENT: those below, if none is named. Replaces what stands between `<!-- table: NAME -->` and
`<!-- end -->`. So every figure there comes from BUILD/results.json and BUILD/targets.json, which
bench/report.py wrote. A table about which nothing was measured stays as it is, and is named.

--check measures and writes nothing: every marker must name a table that there is, every table must
have its place in a document, and a row of bench/README.md that names the document, every goal of bench/targets.json an explanation, the heading `why` of
docs/performance.md, for the case that it is missed, and the edits of steps.py must fit.
"""

import inspect
import json
import pathlib
import re
import sys

import steps

DOCUMENTS = ("docs/performance.md", "docs/design.md", "docs/snapshot_format.md",
             "bindings/python/README.md")
EXPLANATIONS = "docs/performance.md"

HERE = pathlib.Path(__file__).resolve().parent
ORIGIN = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| ([\w/]+(?:, [\w/]+)*) \| .* \| .* \|$", re.M)
BLOCK = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.S)


def short(value):
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(header, rows):
    """None without rows."""
    if not rows:
        return None
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def by_contender(rows, column, key, format_cell):
    """One line for each contender, one column for each scenario, in the order they came."""
    columns, names, cells = [], {}, {}
    for row in rows:
        if row[column] not in columns:
            columns.append(row[column])
        names.setdefault(row["contender"], row.get("title", row["contender"]))
        cells[row["contender"], row[column]] = format_cell(row[key])
    return table([""] + [str(name) for name in columns],
                 [[names[name]] + [cells.get((name, at), "-") for at in columns] for name in names])


def link(heading):
    """To a heading of the same document."""
    return f"[{heading}](#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')})"


class Tables:
    """Each public method is a table of that name, or None where nothing was measured."""

    def __init__(self, results, targets):
        self.results = results
        self.all_targets = targets
        self.programs = results["programs"]

    def _rows(self, program, **wanted):
        return [row for row in self.programs.get(program, [])
                if all(row.get(key) == value for key, value in wanted.items())]

    def machine(self):
        machine = self.results["machine"]
        return table(["what", "value"], [[key.replace("_", " "), str(value)]
                                         for key, value in machine.items() if value])

    def targets(self):
        words = {True: "met", False: "**missed**", None: "not measured"}
        signs = {"speedup": ">= {}x", "at most": "<= {}", "at most times theirs": "<= {}x"}
        lines = []
        for target in self.all_targets:
            unit = target.get("unit", "")
            goal = signs[target["sense"]].format(target["goal"])
            if target["sense"] == "at most":
                goal += " " + unit
            lines.append([target["name"], target["against"],
                          short(target["ours"]) + (f" {unit}" if target["ours"] is not None else ""),
                          short(target["theirs"]), short(target["ratio"]), goal,
                          words[target["met"]] +
                          (f": {target['reason']}" if "reason" in target else "")])
        return table(["target", "against", "ours", "theirs", "ratio", "goal", ""], lines)

    def missed(self):
        """Those alone, each with what was reached and where the explanation is."""
        lines = []
        for target in self.all_targets:
            if target["met"] is not False:
                continue
            if target["sense"] == "at most":
                unit = " " + target["unit"]
                reached, goal = short(target["ours"]) + unit, f"<= {target['goal']}{unit}"
            else:
                sign = ">=" if target["sense"] == "speedup" else "<="
                reached, goal = short(target["ratio"]) + "x", f"{sign} {target['goal']}x"
            lines.append([target["name"], target["against"], reached, goal, link(target["why"]),
                          target.get("note", "")])
        met = [target["met"] for target in self.all_targets]
        counts = f"{met.count(True)} goals are met, {met.count(False)} missed"
        if None in met:
            counts += f", and about {met.count(None)} nothing was measured"
        counts += "."
        rows = table(["missed", "against", "reached", "goal", "why", ""], lines)
        return counts if rows is None else counts + "\n\n" + rows

    def against_unlocked(self):
        """Quotients of the medians of operations()."""
        rows = self._rows("operations", part="compare")
        operations = list(dict.fromkeys(row["operation"] for row in rows))
        ns = {(row["contender"], row["operation"]): row["ns"] for row in rows}

        def times(stores, operation):
            theirs = [ns[store, operation] for store in stores if (store, operation) in ns]
            base = ns.get(("absl", operation))
            return f"{min(theirs) / base:.2f}" if theirs and base else "-"

        sides = {"rkvs": ["rkvs"], "boost::concurrent_flat_map": ["boost"],
                 "rkvs-rs, its better side": ["rkvs_rs_4", "rkvs_rs_16"]}
        lines = [[name] + [times(stores, operation) for operation in operations]
                 for name, stores in sides.items()]
        return table([""] + operations, lines if rows else [])

    def operations(self):
        return by_contender(self._rows("operations", part="compare"), "operation", "ns", short)

    def concurrent(self):
        rows = self._rows("concurrent", part="compare")
        for row in rows:
            row["column"] = f"{row['keys_drawn']} {row['reads']} %"
        return by_contender(rows, "column", "per_second", lambda v: f"{v / 1e6:.2f}")

    def apart(self):
        rows = [dict(row, column=f"{row['reads']} % reads")
                for row in self._rows("concurrent", part="apart")]
        return by_contender(rows, "column", "ns", short)

    def batch(self):
        rows = self._rows("batch_operations", part="compare", mode="all or nothing")
        rows = [row for row in rows if row["size"] in (100, 1000)]
        for row in rows:
            row["column"] = f"{row['operation']} of {row['size']:,}"
        return by_contender(rows, "column", "ns", short)

    def memory(self):
        rows = [dict(row, column=f"{row['value']} B") for row in self._rows("memory")
                if "contender" in row]
        return by_contender(rows, "column", "bytes", lambda v: f"{v:.0f}")

    def memory_parts(self):
        rows = [row for row in self._rows("memory") if "part" in row]
        values = list(dict.fromkeys(row["value"] for row in rows))
        cells = {(row["part"], row["value"]): row for row in rows}
        header = [""]
        for value in values:
            header += [f"{value} B", "at rest"]
        lines = []
        for part in dict.fromkeys(row["part"] for row in rows):
            line = [part]
            for value in values:
                row = cells[part, value]
                line += [f"{row['bytes']:.1f}", f"{row['bytes_at_rest']:.1f}"]
            lines.append(line)
        return table(header, lines)

    def pages(self):
        return self._settings(self._rows("choices_pages"))

    def allocators(self):
        return self._settings(self._rows("choices_allocators"))

    def arena(self):
        # The figure of these is that of one of their counters.
        rows = [dict(row) for row in self._rows("arena_bench")
                if row["operation"] not in ("growth", "growth p50_us", "growth max_us", "resident")]
        for row in rows:
            name = row["operation"].replace("_", " ")
            if name.endswith(" us"):
                name = f"{name.removesuffix(' us')}, us"
            elif not name.startswith("resident"):
                name += ", ns"
            row["operation"] = name
        return self._settings(rows, ("malloc", "arena", "packed"))

    def lock_pairs(self):
        return table(["lock and unlock", "ns", "std::shared_mutex, ns", "ratio"],
                     [[row["operation"], short(row["ns"]), short(row["std_ns"]),
                       f"{row['ratio']:.2f}"] for row in self._rows("lock_bench", part="pairs")])

    def lock_guest(self):
        rows = self._rows("lock_bench", part="guest")
        cells = {(row["scenario"], row["contender"]): row for row in rows}
        sides = ("SharedMutex", "std::shared_mutex")
        header = [""] + [f"{side}, {what}" for side in sides
                         for what in ("turns a second", "p99.9 us")]
        return table(header, [[scenario] + [short(cells[scenario, side][key]) for side in sides
                                            for key in ("turns_per_second", "p999_us")]
                              for scenario in dict.fromkeys(row["scenario"] for row in rows)])

    def capi(self):
        return table(["10,000 keys", "ns", "more than", "by ns"],
                     [[row["operation"], short(row["ns"]),
                       *(["-", "-"] if row["against"] == row["operation"] else
                         [row["against"], short(row["beyond_ns"])])]
                      for row in self._rows("capi_bench")])

    def asynchronous(self):
        names = {"sync_ns": "C++ get", "co_await_ns": "co_await, inline",
                 "worker_ns": "co_await, through a worker thread"}
        lines = [[names[key], short(row[key])] for row in self._rows("async_bench", case="get")
                 for key in names]
        lines += [[row["contender"], short(row["ns"])] for row in self._rows("c_async_bench")]
        return table(["a million keys", "ns"], lines)

    def stalls(self):
        return table(["while", "took, ms", "the loop's timer late, at worst, us",
                      "a sleeping thread's, us"],
                     [[row["while"], short(row["ms"]), short(row["worst_us"]),
                       short(row["control_us"])] for row in self._rows("async_bench", case="stall")])

    def chunks(self):
        return table(["chunk", "save", "load"],
                     [[f"{row['chunk'] >> 10:,} KiB", f"{row['save_ratio']:.2f}",
                       f"{row['load_ratio']:.2f}"] for row in self._rows("snapshot_bench")])

    def _settings(self, rows, names=()):
        """A line for each operation, a figure for each setting, and its ratio to the first one."""
        names = list(names or dict.fromkeys(row["contender"] for row in rows))
        cells = {(row["operation"], row["contender"]): row for row in rows}
        lines = []
        for operation in dict.fromkeys(row["operation"] for row in rows):
            line = [operation]
            for i, name in enumerate(names):
                cell = cells[operation, name]
                line.append(short(cell["figure"]) + (f" ({cell['ratio']:.2f})" if i else ""))
            lines.append(line)
        return table([""] + names, lines)

    def choices_shards(self):
        return self._ratios("choices_shards")

    def choices_header(self):
        return self._ratios("choices_header")

    def _ratios(self, program):
        return by_contender(self._rows(program), "operation", "ratio", lambda v: f"{v:.2f}")

    def choices_mover(self):
        return table(["", "M inserts/s", "p99.9 us", "p99.99 us", "worst ms"],
                     [[row["contender"], f"{row['per_second'] / 1e6:.2f}", short(row["p999_us"]),
                       short(row["p9999_us"]), short(row["max_us"] / 1e3)]
                      for row in self._rows("choices_mover")])

    def steps(self):
        rows = [row for row in self._rows("steps") if "without" in row]
        return table(["step", "without it, the store"],
                     [list(line) for line in
                      {row["contender"]: row["without"] for row in rows}.items()])

    def steps_in_cache(self):
        return self._steps(1_000)

    def steps_in_memory(self):
        return self._steps(1_000_000)

    def _steps(self, keys):
        """A column for each step: the ratios without it; and nanoseconds with all."""
        rows = self._rows("steps", keys=keys)
        cells = {(row["operation"], row["contender"]): row for row in rows}
        names = [steps.ALL, steps.AGAIN] + list(dict.fromkeys(
            row["contender"] for row in rows if "without" in row))
        lines = [[operation, short(cells[operation, steps.ALL]["ns"])] +
                 [f"{cells[operation, name]['ratio']:.2f}" for name in names[1:]]
                 for operation in dict.fromkeys(row["operation"] for row in rows)]
        return table(["", steps.ALL, "again"] + names[2:], lines)

    def large(self):
        return table(["keys", "bytes of a value", "bytes a key", "insert, ns", "get, ns"],
                     [[f"{row['keys']:,}", str(row["value"]), short(row["bytes"]),
                       short(row["insert_ns"]), short(row["get_ns"])]
                      for row in self._rows("scale", part="large")])

    def instructions(self):
        rows = self._rows("instructions")
        operations = list(dict.fromkeys(row["operation"] for row in rows))
        figures = {(row["contender"], row["operation"]): row for row in rows}
        lines = []
        for what, name in (("instructions", "instructions"),
                           ("first_level_misses", "misses of 32 KiB"),
                           ("last_level_misses", "misses of 1 MiB")):
            for store in dict.fromkeys(row["contender"] for row in rows):
                cells = [figures.get((store, operation)) for operation in operations]
                lines.append([f"{store}, {name}"] +
                             ["-" if cell is None else
                              f"{cell[what]:.0f}" if what == "instructions" else f"{cell[what]:.1f}"
                              for cell in cells])
        return table([""] + operations, lines)

    def sharding(self):
        return table(["shards", "store", "deviation", "of a fair die", "fullest"],
                     [[str(row["shards_there"]) + ("" if row["shards"] else " (default)"),
                       row["contender"],
                       f"{row['deviation_percent']:.2f} %", f"{row['fair_percent']:.2f} %",
                       f"+{row['fullest_percent']:.2f} %"]
                      for row in self._rows("sharding_overhead", part="spread")])

    def latency(self):
        return table(["scenario", "store", "p50 us", "p99", "p99.9", "p99.99", "max"],
                     [[row["scenario"], row["contender"]] +
                      [short(row[key]) for key in ("p50_us", "p99_us", "p999_us", "p9999_us", "max_us")]
                      for row in self.programs.get("latency", []) if "p50_us" in row])

    def save(self):
        return table(["part", "figure", "median", "min", "max", "unit"],
                     [[row["part"], row["name"], short(row["median"]), short(row["min"]),
                       short(row["max"]), row["unit"]] for row in self.programs.get("save_bench", [])])

    def slow_writes(self):
        rows = self._rows("slow_writes")
        if not rows:
            return None
        runs = [row["run"] for row in rows if "traced" in row]
        causes = list(dict.fromkeys((row["cause"], row["thread"])
                                    for row in rows if "cause" in row))
        cells = {(row["cause"], row["thread"], row["run"]):
                 f"{row['writes']}, {short(row['worst_us'] / 1e3)} ms"
                 for row in rows if "cause" in row}
        return table(["waited for", "thread"] + runs,
                     [["all", ""] + [str(row["traced"]) for row in rows if "traced" in row]] +
                     [[*cause] + [cells.get((*cause, run), "-") for run in runs]
                      for cause in causes])

    def sizes(self):
        rows = [dict(row) for row in self._rows("scale", part="sizes")]
        columns, names, cells = [], [], {}
        for row in rows:
            name = f"{row['contender']}, {row['operation']}" + (
                " (bytes a key)" if row["operation"] == "memory" else " (ns)")
            if row["keys"] not in columns:
                columns.append(row["keys"])
            if name not in names:
                names.append(name)
            cells[name, row["keys"]] = short(row.get("ns", row.get("bytes")))
        return table([""] + [f"{keys:,}" for keys in columns],
                     [[name] + [cells.get((name, keys), "-") for keys in columns] for name in names])

    def threads(self):
        return table(["threads", "store", "M/s", "worst read us", "worst write us",
                      "slowest thread's share"],
                     [[str(row["threads"]), row["contender"], f"{row['per_second'] / 1e6:.2f}",
                       short(row["reads"]["max"] / 1e3), short(row["writes"]["max"] / 1e3),
                       f"{row['slowest_share']:.2f}"]
                      for row in self._rows("scale", part="threads")])

    def python(self):
        return by_contender(self._rows("python"), "operation", "ns", short)

    def queued_await(self):
        return table(["a queued await from Python, traced", "us"],
                     [[row["part"], short(row["us"])] for row in self._rows("queued_await")])

    def python_holds(self):
        return table(["operation", "lock held, ms", "took, ms"],
                     [[row["operation"], short(row["held_ms"]), short(row["took_ms"])]
                      for row in self._rows("python_holds")])

    def ycsb(self):
        return by_contender(self._rows("ycsb"), "letter", "per_second", lambda v: f"{v / 1e6:.2f}")


def check():
    """What is wrong, a line each."""
    known = {name for name, _ in inspect.getmembers(Tables, inspect.isfunction)
             if not name.startswith("_")}
    used, wrong = set(), []
    origins = {}
    for tables, documents in ORIGIN.findall((HERE / "README.md").read_text()):
        origins.update({name: documents.split(", ") for name in re.findall(r"\w+", tables)})
    for document in DOCUMENTS:
        text = (HERE.parent / document).read_text()
        names = BLOCK.findall(text)
        short_name = document.removeprefix("docs/").removesuffix(".md")
        wrong += [f"{document}: bench/README.md does not say where {name} comes from"
                  for name in names if short_name not in origins.get(name, [])]
        used |= set(names)
        wrong += [f"{document}: there is no table {name}" for name in names if name not in known]
        if not text.count("<!-- table:") == text.count("<!-- end -->") == len(names):
            wrong.append(f"{document}: a table does not begin or end as it should")
    wrong += [f"{name} stands in no document" for name in sorted(known - used)]
    headings = set(re.findall(r"^#+ (.*)$", (HERE.parent / EXPLANATIONS).read_text(), re.M))
    for goal in json.loads((HERE / "targets.json").read_text()):
        if goal.get("why") not in headings:
            wrong.append(f"{goal['id']}: {EXPLANATIONS} does not explain it ({goal.get('why')})")
    return wrong + steps.check()


def main():
    if sys.argv[1:] == ["--check"]:
        wrong = check()
        print("\n".join(wrong))
        sys.exit(1 if wrong else 0)
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench")
    documents = sys.argv[2:] or [HERE.parent / name for name in DOCUMENTS]
    tables = Tables(json.loads((build / "results.json").read_text()),
                    json.loads((build / "targets.json").read_text()))

    def replace(match):
        name = match.group(1)
        text = getattr(tables, name)()
        if text is None:
            print(f"tables.py: nothing was measured for {name}: left as it is", file=sys.stderr)
            return match.group(0)
        return f"<!-- table: {name} -->\n{text}\n<!-- end -->"

    for document in map(pathlib.Path, documents):
        document.write_text(BLOCK.sub(replace, document.read_text()))


if __name__ == "__main__":
    main()
