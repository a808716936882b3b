"""Breaks the library in one way after the other, and demands that a test notices each.

    python3 tests/mutants/run.py SCRATCH [--only PATTERN] [--results FILE] [--minutes N]

Copies the sources to SCRATCH, builds them there, and for each entry of mutants.json (those whose
name PATTERN is found in) makes its edits, builds the named test, runs it (the cases that `case` names,
where it is there) and takes the edits back. An edit whose text is not in the source exactly once, or
that does not compile, is a mistake in the list and fails the run as a mutant that survives does.
Takes some ten seconds a mutant: for changes to what it mutates, not for every change.

FILE keeps what became of each mutant, as JSON, after each of them. What it has is not done again
while the mutant, the library and all that its test is made of are the same: a run that was ended goes
on. With N no new mutant is begun after so many minutes; then the run ends with code 2.
"""

import argparse
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
NOT_MADE_OF = {"corpus", "mutants", "reliability", "docs", "python", "__pycache__",
               "install-deps.sh"}
NOT_COPIED = ["build", "dist", ".git", "__pycache__", "corpus"]
# Tests under a mutant may hang, and what hangs has been noticed as well: after so many times what the
# test takes without one, and no sooner than after so many seconds.
HANGS = 10
HANGS_SECONDS = 20
# Optimised enough for the races, and quick to build; warnings are the mutant's good right.
OPTIONS = ["-DRKVS_BUILD_FUZZ=OFF", "-DRKVS_BUILD_EXAMPLES=OFF", "-DRKVS_INSTALL=OFF",
           "-DRKVS_WARNINGS_AS_ERRORS=OFF",
           "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -D_GLIBCXX_ASSERTIONS"]


def run(command, log, **options):
    with open(log, "ab") as out:
        return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, **options).returncode


class Scratch:
    def __init__(self, folder):
        self.tree = folder / "tree"
        self.build = folder / "build"
        self.log = folder / "log"
        shutil.rmtree(self.tree, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        # As new files: what an earlier run has built of broken ones must not pass for up to date.
        shutil.copytree(SOURCE, self.tree, copy_function=shutil.copy,
                        ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.log.write_bytes(b"")
        configured = run(
            ["cmake", "--preset", "test", "-S", ".", "-B", self.build] + OPTIONS,
            self.log, cwd=self.tree)
        if configured != 0:
            sys.exit("cannot configure; see %s" % self.log)

    def builds(self, test):
        command = ["cmake", "--build", self.build, "--target", test, "-j", str(os.cpu_count())]
        return run(command, self.log) == 0

    def failure_of(self, test, case="*", seconds=None):
        """What the test fails by: a case, and a signal or that it hangs; nothing where it passes."""
        before = self.log.stat().st_size
        try:
            code = run([self.build / "tests" / test, "--gtest_filter=" + case], self.log,
                       timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code == 0:
            return None
        with open(self.log, "rb") as log:
            log.seek(before)
            output = log.read().decode("utf-8", "replace")
        # The case that ran when the first thing went wrong.
        cases = re.findall(r"\[ RUN      \] (\S+)", output.partition(": Failure\n")[0])
        case = cases[-1] if cases else "?"
        if code is None:
            return case + ", which hangs"
        return case if code > 0 else "%s, signal %d" % (case, -code)


def try_mutant(scratch, mutant, seconds):
    """What became of it: "killed by" something, or what is wrong."""
    path = scratch.tree / mutant["file"]
    original = path.read_text()
    text = original
    for old, new in mutant["edits"]:
        if text.count(old) != 1:
            return "NOT FOUND: %r" % old
        text = text.replace(old, new)
    path.write_text(text)
    try:
        if not scratch.builds(mutant["test"]):
            return "DOES NOT COMPILE"
        failure = scratch.failure_of(mutant["test"], mutant.get("case", "*"), seconds)
        return "SURVIVED" if failure is None else "killed by " + failure
    finally:
        path.write_text(original)


def sources_of(test):
    """Of a test program, by their paths in tests; None where its CMakeLists.txt is another."""
    text = (SOURCE / "tests/CMakeLists.txt").read_text()
    found = re.search(r"rkvs_test\(%s\s([^)]*)\)" % re.escape(test), text)
    return found and {word for word in found.group(1).split() if word.endswith(".cc")}


@functools.lru_cache(maxsize=None)
def state_of_sources(test):
    """Changes whenever anything does that the fate of the test's mutants depends on: anything but
    other programs' tests, and what is not compiled."""
    own = sources_of(test)
    digest = hashlib.sha256(repr((own and sorted(own), OPTIONS)).encode())
    for name in ["include", "src", "capi", "cmake", "CMakeLists.txt", "CMakePresets.json", "tests"]:
        for path in sorted((SOURCE / name).rglob("*")) or [SOURCE / name]:
            within = path.relative_to(SOURCE / name)
            if not path.is_file() or NOT_MADE_OF & set(within.parts):
                continue
            if own and path.name.endswith("_test.cc") and str(within) not in own:
                continue
            digest.update(str(path.relative_to(SOURCE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """What became of each mutant, kept in a file where one is named."""

    def __init__(self, path, mutants):
        self.path = pathlib.Path(path) if path else None
        # Of the beginning: what is tried is a copy of that.
        self.states = {mutant["name"]: self.state(mutant) for mutant in mutants}
        self.mutants = {}
        if self.path and self.path.exists():
            kept = json.loads(self.path.read_text())["mutants"]
            self.mutants = {name: kept[name] for name, state in self.states.items()
                            if kept.get(name, {}).get("sources") == state}
        self.write()

    @staticmethod
    def state(mutant):
        return state_of_sources(mutant["test"]) + hashlib.sha256(
            json.dumps(mutant).encode()).hexdigest()[:16]

    def add(self, mutant, outcome, seconds):
        self.mutants[mutant["name"]] = {"file": mutant["file"], "test": mutant["test"],
                                        "outcome": outcome, "seconds": round(seconds, 1),
                                        "sources": self.states[mutant["name"]]}
        self.write()

    def write(self):
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"mutants": self.mutants}, indent=1))

    def killed(self, mutants):
        return sum(self.mutants.get(mutant["name"], {}).get("outcome", "").startswith("killed")
                   for mutant in mutants)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--results", metavar="FILE")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes

    known = json.loads(pathlib.Path(__file__).with_name("mutants.json").read_text())
    mutants = [mutant for mutant in known if re.search(options.only, mutant["name"])]
    results = Results(options.results, known)
    left = [mutant for mutant in mutants if mutant["name"] not in results.mutants]
    if left:
        scratch = Scratch(options.scratch)
    passing = {}  # and the seconds that it takes
    for mutant in left:
        start = time.monotonic()
        if start > until:
            break
        test = (mutant["test"], mutant.get("case", "*"))
        if test not in passing:
            built = scratch.builds(test[0])
            begun = time.monotonic()
            if not built or scratch.failure_of(*test):
                sys.exit("%s %s fails without any mutant; see %s" % (*test, scratch.log))
            passing[test] = time.monotonic() - begun
            start = time.monotonic()
        outcome = try_mutant(scratch, mutant, max(HANGS_SECONDS, HANGS * passing[test]))
        seconds = time.monotonic() - start
        results.add(mutant, outcome, seconds)
        print("%s: %s (%s, %.0f s)" % (mutant["name"], outcome, mutant["test"], seconds),
              flush=True)
    tried = [mutant for mutant in mutants if mutant["name"] in results.mutants]
    killed = results.killed(mutants)
    print("%d of %d mutants killed, %d not tried" % (killed, len(mutants),
                                                     len(mutants) - len(tried)))
    if killed < len(tried) or not mutants:
        return 1
    return 0 if len(tried) == len(mutants) else 2


if __name__ == "__main__":
    sys.exit(main())
