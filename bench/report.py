#!/usr/bin/env python3
"""Puts what the benchmarks wrote into one file, and says which goals were met.

    bench/report.py [BUILD=build/bench]

Reads every BUILD/*.json that has the form explained in bench/report.h (a program in any language
may hand in such a file: {"program": ..., "rows": [...], "targets": [{"id", "ours", "theirs",
"ratio", "unit", "note"}], "missing": {"first part of an id": "reason"}}), and writes

  BUILD/results.json  {machine, commands: {file: arguments}, programs: {name: rows}}; several files
                      of one program, of other sizes for instance, are put together
  BUILD/targets.json  for every goal of bench/targets.json {name, against, ours, theirs, ratio, goal,
                      met}, with sense, unit, note, where docs/performance.md explains a miss
                      (why) and, where met is null, the reason

`ratio` is theirs / ours where the goal is a speedup, ours / theirs where it is a share of theirs.
Exit status: 0, whatever was met or missed.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return None


def field_of(path, name):
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None


def machine():
    """What the figures depend on, and nothing that says whose machine it is."""
    pages = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    system = platform.freedesktop_os_release() if hasattr(platform, "freedesktop_os_release") else {}
    return {
        "processor": field_of("/proc/cpuinfo", "model name"),
        "cache": field_of("/proc/cpuinfo", "cache size"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": field_of("/proc/meminfo", "MemTotal"),
        "system": system.get("PRETTY_NAME"),
        "kernel": platform.release(),
        "compiler": first_line(["c++", "--version"]),
        "rustc": first_line(["rustc", "--version"]),
        "transparent_huge_pages": pages.read_text().strip() if pages.exists() else None,
    }


def read_programs(build):
    programs = []
    for path in sorted(build.glob("*.json")):
        if path.name in ("results.json", "targets.json", "compile_commands.json"):
            continue
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            print(f"report.py: {path.name} is not JSON: {error}", file=sys.stderr)
            continue
        if isinstance(content, dict) and "program" in content:
            programs.append((path.stem, content))
    return programs


def judge(goal, figure, missing):
    result = {"name": goal["name"], "against": goal["against"], "ours": None, "theirs": None,
              "ratio": None, "goal": goal["goal"], "met": None, "sense": goal["sense"],
              "id": goal["id"], "why": goal["why"]}
    if figure is None:
        part = goal["id"].split(".")[0]
        result["reason"] = missing.get(goal["id"]) or missing.get(part) or "no program measured it"
        return result
    result["ours"] = figure.get("ours")
    result["theirs"] = figure.get("theirs")
    result["unit"] = figure.get("unit", goal.get("unit"))
    if figure.get("note"):
        result["note"] = figure["note"]
    if goal.get("unit") and figure.get("unit") and goal["unit"] != figure["unit"]:
        result["reason"] = f"measured in {figure['unit']}, and the goal is in {goal['unit']}"
        return result
    ratio = figure.get("ratio")
    if goal["sense"] == "at most":
        result["ratio"] = ratio
        result["met"] = result["ours"] <= goal["goal"]
    elif ratio is None:
        result["reason"] = missing.get(goal["id"].split(".")[0], "nothing to compare with")
    elif goal["sense"] == "speedup":
        result["ratio"] = ratio
        result["met"] = ratio >= goal["goal"]
    else:
        result["ratio"] = 1 / ratio
        result["met"] = result["ratio"] <= goal["goal"]
    return result


def show(results):
    def number(value):
        return "-" if value is None else f"{value:.4g}"

    for result in results:
        sense = {"speedup": ">=", "at most": "<=", "at most times theirs": "<="}[result["sense"]]
        word = {True: "met", False: "MISSED", None: "not measured"}[result["met"]]
        print(f"{result['against'][:28]:28} {result['name'][:58]:58} ours {number(result['ours']):>9}"
              f" theirs {number(result['theirs']):>9} ratio {number(result['ratio']):>7}"
              f" goal {sense} {result['goal']:<5} {word}"
              + (f" ({result['reason']})" if "reason" in result else ""))
    met = [result["met"] for result in results]
    print(f"{met.count(True)} met, {met.count(False)} missed, {met.count(None)} not measured")


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench")
    programs = read_programs(build)
    figures, missing = {}, {}
    rows = {}
    for _, program in programs:
        rows.setdefault(program["program"], []).extend(program.get("rows", []))
        figures.update({target["id"]: target for target in program.get("targets", [])})
        missing.update(program.get("missing", {}))
    goals = json.loads((HERE / "targets.json").read_text())
    unknown = set(figures) - {goal["id"] for goal in goals}
    results = [judge(goal, figures.get(goal["id"]), missing) for goal in goals]
    (build / "targets.json").write_text(json.dumps(results, indent=1) + "\n")
    (build / "results.json").write_text(json.dumps({
        "machine": machine(),
        "commands": {stem: program.get("arguments") for stem, program in programs},
        "programs": rows,
        "other_figures": {name: figures[name] for name in sorted(unknown)},
        "missing": missing,
    }, indent=1) + "\n")
    show(results)


if __name__ == "__main__":
    main()
