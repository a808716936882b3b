#!/usr/bin/env python3
"""Takes the steps that made the store fast back, one at a time, and measures what each is worth.

    bench/steps.py [BUILD=build/bench]

bench/steps.json says of each step what the store does without it, and the edits that undo it in the
present sources. Copies those to BUILD/steps, builds the shared library there without each of the
steps and with all, and lets BUILD/bench/steps_bench compare the libraries: a table that fits into a
processor's cache, and one that does not, each in several processes, since what one process makes of
addresses and seeds stays as it is. A second copy of the library with all steps takes part: what it
seems to gain or lose is chance. Writes BUILD/steps.json, of which bench/report.py and
bench/tables.py make a table: the medians of the processes, as ratios without a step to with it.

`bench/tables.py --check`, a test, sees that what is to be edited is in the sources exactly once.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent
SIZES = ("1e3", "1e6")
PROCESSES = 5  # for each size
ALL = "all steps"
AGAIN = "all steps again"
NOT_COPIED = shutil.ignore_patterns("build", "dist", ".git", "__pycache__", "target", "corpus")
OPTIONS = ["-DRKVS_BUILD_BENCH=OFF", "-DRKVS_BUILD_TESTS=OFF", "-DRKVS_BUILD_FUZZ=OFF",
           "-DRKVS_BUILD_EXAMPLES=OFF", "-DRKVS_BUILD_PYTHON=OFF", "-DRKVS_WARNINGS_AS_ERRORS=OFF"]


def known_steps():
    """By name."""
    return {step["step"]: step for step in json.loads((HERE / "steps.json").read_text())}


def taken_back(step, tree):
    """What the files of `tree` are without the step, by path. LookupError where it does not fit."""
    files = {}
    for name, old, new in step["edits"]:
        path = tree / name
        text = files.get(path) or path.read_text()
        if text.count(old) != 1:
            raise LookupError(f"{step['step']}: not once in {name}: {old!r}")
        files[path] = text.replace(old, new)
    return files


def check():
    """What is wrong, a line each."""
    wrong = []
    for step in known_steps().values():
        try:
            taken_back(step, SOURCE)
        except LookupError as error:
            wrong.append(str(error))
    return wrong


def build(place, wanted):
    """The libraries by name: with all steps, twice, and without each."""
    tree, objects, libraries = place / "tree", place / "objects", place / "libraries"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(SOURCE, tree, ignore=NOT_COPIED, copy_function=shutil.copy)
    libraries.mkdir(parents=True, exist_ok=True)

    def run(*command):
        with open(place / "log", "ab") as log:
            if subprocess.run(command, stdout=log, stderr=log).returncode != 0:
                sys.exit(f"does not build; see {place / 'log'}")

    run("cmake", "--preset", "bench", "-S", tree, "-B", objects, *OPTIONS)
    result = {}
    for name, step in {ALL: None, **wanted}.items():
        print(f"building {'without ' if step else 'with '}{name}", flush=True)
        changed = taken_back(step, tree) if step else {}
        original = {path: path.read_text() for path in changed}
        for path, text in changed.items():
            path.write_text(text)
        run("cmake", "--build", objects, "--target", "rkvs_capi")
        result[name] = libraries / f"{name.replace(' ', '_')}.so"
        shutil.copy(next(objects.rglob("librkvs.so")), result[name])
        for path, text in original.items():
            path.write_text(text)
        if step and result[name].read_bytes() == result[ALL].read_bytes():
            sys.exit(f"the library is the same without {name}")
    # Under another name, or it would be loaded once.
    result[AGAIN] = shutil.copy(result[ALL], libraries / "again.so")
    return result


def measure(program, libraries, keys, place):
    """What the processes found with so many keys: by operation and library the rows."""
    rows = {}
    names = [name for name in libraries if name != ALL]
    for number in range(PROCESSES):
        print(f"{keys} keys, process {number + 1} of {PROCESSES}", flush=True)
        shift = number * len(names) // PROCESSES
        words = ",".join(f"{name}={libraries[name]}"
                         for name in [ALL] + names[shift:] + names[:shift])
        command = [program, f"--keys={keys}", f"--libraries={words}",
                   f"--json={place / 'one.json'}"]
        with tempfile.TemporaryDirectory(dir=place) as directory:
            for question in [[], [f"--load={directory}"]][:2 if keys == SIZES[-1] else 1]:
                subprocess.run(command + question, check=True)
                for row in json.loads((place / "one.json").read_text())["rows"]:
                    rows.setdefault((row["operation"], row["contender"]), []).append(row)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path, nargs="?", default="build/bench")
    target = parser.parse_args().build.resolve()
    program = target / "bench" / "steps_bench"
    if not program.exists():
        parser.error(f"there is no {program}: cmake --preset bench && cmake --build --preset bench")
    wanted, place = known_steps(), target / "steps"
    libraries = build(place, wanted)
    result = []
    for keys in SIZES:
        for (operation, name), rows in measure(program, libraries, keys, place).items():
            ratios = [row["ratio"] for row in rows]
            result.append({"operation": operation, "contender": name, "keys": rows[0]["keys"],
                           "ns": statistics.median(row["ns"] for row in rows),
                           "ratio": statistics.median(ratios),
                           "ratio_min": min(ratios), "ratio_max": max(ratios)})
            if name in wanted:
                result[-1]["without"] = wanted[name]["without"]
    (target / "steps.json").write_text(json.dumps(
        {"program": "steps", "arguments": {"processes": str(PROCESSES)}, "rows": result,
         "targets": [], "missing": {}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
