"""Lines and branches that the tests have executed, from gcov's own records.

    python3 tests/reliability/coverage.py BUILD [--json FILE] [--uncovered PATTERN]

Reads every .gcda of BUILD and counts src/, capi/ and include/. Left out are the branches that only an
exception takes, those that the compiler writes (see COMPILERS), generated code, and what is marked
GCOVR_EXCL_LINE or stands between GCOVR_EXCL_START and GCOVR_EXCL_STOP, with a reason. A template's
branch counts as taken when it is in any instance of it.

Why not gcovr: it cannot leave out here what only exceptions take. It reads gcov's JSON from gcc 14 on
(gcovr 8.8; 5.2 never does), and of older compilers the text, in which a branch that was not reached
says no more than "never executed". Of a header with

    inline int unused(const std::string& a, std::vector<std::string>& out) {
      out.push_back(a + "x");
      return static_cast<int>(out.size());
    }

that a file includes and does not call, `gcovr --exclude-throw-branches --exclude-unreachable-branches`
says "4 branches, 0 taken", of a function without a choice: two calls, either of which could throw.
In the JSON of gcc 12, which this reads, two of the four say that they are of an exception, and a call
of which one branch is left is no choice.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("src/", "capi/", "include/")

# Lines whose branches the compiler writes: nothing but brackets, where what goes out of scope is
# destroyed; what a failed assertion does, which is to end the program; whether an exception is of the
# type that is caught; that of two threads one makes a static variable; what a defaulted comparison
# compares.
COMPILERS = re.compile(r"""\s*(
    [\s{}();]*(//.*)?$ |
    assert\( |
    \}\ catch\ \(.*\)\ \{$ |
    static\ [^?&|]*;$ |
    .*operator==\(.*\)\ =\ default;$ )""", re.VERBOSE)


def records(build):
    """What gcov says of each object, some at a time."""
    data = sorted(build.rglob("*.gcda"))
    for begin in range(0, len(data), 8):
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities",
                              *data[begin:begin + 8]], cwd=build, check=True, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for line in out.splitlines():
            if line.startswith("{"):
                yield json.loads(line)


def excluded_lines(text):
    """Those marked, and those that hold no code of ours: their branches are not counted."""
    marked, empty, inside = set(), set(), False
    for number, line in enumerate(text.splitlines(), 1):
        inside = inside or "GCOVR_EXCL_START" in line
        if inside or "GCOVR_EXCL_LINE" in line:
            marked.add(number)
        inside = inside and "GCOVR_EXCL_STOP" not in line
        if COMPILERS.match(line):
            empty.add(number)
    return marked, empty


class File:
    def __init__(self, path):
        self.text = (SOURCE / path).read_text()
        self.marked, self.empty = excluded_lines(self.text)
        self.lines = collections.Counter()
        self.branches = collections.Counter()

    def add(self, record):
        starts = {function["name"]: (function["start_line"], function["start_column"])
                  for function in record["functions"]}
        instances = collections.Counter(starts.values())
        groups = sorted(instances)
        for line in record["lines"]:
            number = line["line_number"]
            if number in self.marked:
                continue
            self.lines[number] += line["count"]
            if number in self.empty:
                continue
            # The same place in another instance of a template, or in another object, is the same.
            place = starts.get(line.get("function_name"))
            taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
            if len(taken) < 2:
                continue  # no choice is left
            # Of a lambda in a template gcov lists those of all instances, one instance behind the
            # other.
            period = len(taken)
            if place is None:
                near = [start for start in groups if start[0] <= number]
                count = instances[near[-1]] if near else 1
                if count > 1 and period % (2 * count) == 0:
                    period //= count
            for index, count in enumerate(taken):
                self.branches[(number, place, index % period)] += count


def read(build):
    files = {}
    for record in records(build):
        folder = pathlib.Path(record["current_working_directory"])
        for entry in record["files"]:
            path = pathlib.Path(folder, entry["file"]).resolve()
            if not path.is_relative_to(SOURCE):
                continue
            name = str(path.relative_to(SOURCE))
            if name.startswith(FOLDERS):
                files.setdefault(name, File(name)).add(entry)
    return files


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--uncovered", metavar="PATTERN")
    options = parser.parse_args()
    files = read(options.build.resolve())
    totals = collections.Counter()
    for name, file in sorted(files.items()):
        figures = {}
        for kind, counts in [("line", file.lines), ("branch", file.branches)]:
            figures[kind] = (sum(count > 0 for count in counts.values()), len(counts))
            totals[kind + "_covered"] += figures[kind][0]
            totals[kind + "_total"] += figures[kind][1]
        print("%-44s lines %5d of %5d   branches %5d of %5d" %
              (name, *figures["line"], *figures["branch"]))
        if options.uncovered and re.search(options.uncovered, name):
            missed = collections.Counter(key[0] for key, count in file.branches.items()
                                         if count == 0)
            lines = file.text.splitlines()
            for number in sorted(set(missed) | {n for n, count in file.lines.items() if not count}):
                print("    %5d %s %s" % (number, "-" if not file.lines[number] else
                                         "%d missed" % missed[number], lines[number - 1].strip()))
    for kind in ["line", "branch"]:
        covered, total = totals[kind + "_covered"], totals[kind + "_total"]
        totals[kind + "_percent"] = round(100 * covered / max(total, 1), 1)
        print("%-44s %d of %d, %.1f %%" % (kind, covered, total, totals[kind + "_percent"]))
    if options.json:
        options.json.write_text(json.dumps(totals, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
