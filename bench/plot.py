#!/usr/bin/env python3
"""Draws what docs/performance.md shows, from a run of the benchmarks.

    python3 -m venv build/plot && build/plot/bin/pip install -r bench/plot_requirements.txt
    build/plot/bin/python bench/plot.py [BUILD=build/bench] [DIRECTORY=docs/plots]

Reads BUILD/results.json and BUILD/targets.json; a plot whose program has not run is left out.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams["svg.hashsalt"] = "rkvs"
matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: small files
import matplotlib.pyplot as plt  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OURS = "#c44e52"
THEIRS = ["#4c72b0", "#55a868", "#8172b2", "#937860", "#64b5cd", "#8c8c8c", "#ccb974", "#da8bc3",
          "#2f4b7c", "#555555"]


def colour(name, names):
    return OURS if name == "rkvs" else THEIRS[names.index(name) % len(THEIRS)]


WHERE = ""  # the machine and the command, for the corner of each plot


def save(figure, directory, name):
    figure.tight_layout()
    figure.text(0.005, 0.005, WHERE, ha="left", va="bottom", fontsize=6, color="#555555")
    figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    print(directory / f"{name}.svg")


def bars(rows, column, value, title, unit, directory, name, log=False):
    """Groups of bars: a group for each value of `column`, a bar for each contender."""
    if not rows:
        return
    groups = list(dict.fromkeys(row[column] for row in rows))
    names = list(dict.fromkeys(row["contender"] for row in rows))
    titles = {row["contender"]: row.get("title", row["contender"]) for row in rows}
    cells = {(row["contender"], row[column]): value(row) for row in rows}
    figure, axes = plt.subplots(figsize=(10, 4.5))
    width = 0.8 / len(names)
    for i, contender in enumerate(names):
        places = [g + (i - len(names) / 2 + 0.5) * width for g in range(len(groups))]
        axes.bar(places, [cells.get((contender, group), 0) for group in groups], width,
                 label=titles[contender], color=colour(contender, names))
    axes.set_xticks(range(len(groups)), [str(group) for group in groups])
    axes.set_ylabel(unit)
    axes.set_title(title)
    if log:
        axes.set_yscale("log")
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.07))
    axes.grid(axis="y", alpha=0.3)
    save(figure, directory, name)


def lines(series, title, x_label, y_label, directory, name, log_y=False):
    """`series`: name -> list of (x, y)."""
    if not any(series.values()):
        return
    figure, axes = plt.subplots(figsize=(8, 4.5))
    names = list(series)
    for label, points in series.items():
        contender = label.split(",")[0]
        axes.plot(*zip(*sorted(points)), marker="o", label=label,
                  color=OURS if contender == "rkvs" else THEIRS[names.index(label) % len(THEIRS)])
    axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    save(figure, directory, name)


def series_of(rows, x, y):
    series = {}
    for row in rows:
        series.setdefault(row["contender"], []).append((row[x], y(row)))
    return series


def targets(all_targets, directory):
    """How far from its goal each ratio is: 1 = just met, more is better."""
    shown = []
    for target in all_targets:
        if target["met"] is None or not target["goal"]:
            continue
        if target["sense"] == "speedup":
            shown.append((target, target["ratio"] / target["goal"]))
        else:
            reached = target["ours"] if target["sense"] == "at most" else target["ratio"]
            shown.append((target, target["goal"] / reached if reached > 0 else 10))
    if not shown:
        return
    figure, axes = plt.subplots(figsize=(10, 0.22 * len(shown) + 1))
    shown.reverse()
    axes.barh(range(len(shown)), [min(10, max(0.1, reached)) for _, reached in shown],
              color=["#55a868" if target["met"] else OURS for target, _ in shown])
    axes.set_yticks(range(len(shown)),
                    [target["name"] if target["name"].startswith("Python") else
                     f"{target['against'].split(',')[0]}: {target['name']}" for target, _ in shown],
                    fontsize=6)
    axes.margins(y=0.01)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_title("Targets: reached / goal (right of 1: met)")
    save(figure, directory, "targets")


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench")
    directory = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parent / "docs/plots"
    directory.mkdir(parents=True, exist_ok=True)
    results = json.loads((build / "results.json").read_text())
    programs, machine = results["programs"], results["machine"]
    global WHERE
    WHERE = (f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
             "cmake --workflow --preset bench")

    def rows(program, **wanted):
        return [row for row in programs.get(program, [])
                if all(row.get(key) == value for key, value in wanted.items())]

    bars(rows("operations", part="compare"), "operation", lambda row: row["ns"],
         "One thread, 1M keys", "ns an operation", directory, "operations", log=True)
    for drawn in ("uniform", "zipf"):
        bars(rows("concurrent", part="compare", keys_drawn=drawn), "reads",
             lambda row: row["per_second"] / 1e6, f"Two threads, {drawn} keys, by % of reads",
             "M operations/s", directory, f"concurrent_{drawn}")
    bars(rows("batch_operations", part="compare", mode="all or nothing", operation="get"), "size",
         lambda row: row["ns"], "Batch get, by size", "ns an item", directory, "batch_get", log=True)
    bars([row for row in rows("memory") if "contender" in row], "value", lambda row: row["bytes"],
         "Memory, by bytes of a value", "bytes a key", directory, "memory")
    lines(series_of(rows("scale", part="sizes", operation="get"), "keys", lambda row: row["ns"]),
          "A get, by the number of keys", "keys", "ns", directory, "scale_get")
    threads = rows("scale", part="threads")
    lines(series_of(threads, "threads", lambda row: row["per_second"] / 1e6),
          "Half reads, half overwrites", "threads", "M operations/s", directory, "threads")
    lines(series_of(threads, "threads", lambda row: row["writes"]["max"] / 1e3),
          "The longest that a write waited", "threads", "us", directory, "threads_worst", log_y=True)
    bars(rows("ycsb"), "letter", lambda row: row["per_second"] / 1e6, "YCSB, two threads",
         "M operations/s", directory, "ycsb")
    bars(rows("python"), "operation", lambda row: row["ns"], "Python, 10,000 keys",
         "ns an operation", directory, "python", log=True)
    targets(json.loads((build / "targets.json").read_text()), directory)


if __name__ == "__main__":
    main()
