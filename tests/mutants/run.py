"""Breaks the library in one way after the other, and demands that a test notices each.

    python3 tests/mutants/run.py SCRATCH [WORD]

Copies the sources to SCRATCH, builds them there, and for each entry of mutants.json (those whose
name has WORD in it) makes its edits, builds the named test, runs it and takes the edits back. An
edit whose text is not in the source exactly once, or that does not compile, is a mistake in the list
and fails the run as a mutant that survives does. Takes some ten seconds a mutant: for changes to what
saves and loads, not for every change.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
NOT_COPIED = ["build", "dist", ".git", "__pycache__", "corpus"]
# Tests under a mutant may hang; what hangs has been noticed as well.
SECONDS = 120


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
            ["cmake", "--preset", "test", "-S", ".", "-B", self.build, "-DRKVS_BUILD_FUZZ=OFF",
             "-DRKVS_BUILD_EXAMPLES=OFF", "-DRKVS_INSTALL=OFF"],
            self.log, cwd=self.tree)
        if configured != 0:
            sys.exit("cannot configure; see %s" % self.log)

    def builds(self, test):
        command = ["cmake", "--build", self.build, "--target", test, "-j", str(os.cpu_count())]
        return run(command, self.log) == 0

    def failure_of(self, test):
        """What the test fails by: a test case, a signal, the time; nothing where it passes."""
        before = self.log.stat().st_size
        try:
            code = run([self.build / "tests" / test], self.log, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "%d s" % SECONDS
        if code == 0:
            return None
        with open(self.log, "rb") as log:
            log.seek(before)
            output = log.read().decode("utf-8", "replace")
        # The case that ran when the first thing went wrong.
        cases = re.findall(r"\[ RUN      \] (\S+)", output.partition(": Failure\n")[0])
        case = cases[-1] if cases else "?"
        return case if code > 0 else "%s, signal %d" % (case, -code)


def try_mutant(scratch, mutant):
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
        failure = scratch.failure_of(mutant["test"])
        return "SURVIVED" if failure is None else "killed by " + failure
    finally:
        path.write_text(original)


def main():
    scratch = Scratch(pathlib.Path(sys.argv[1]))
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    mutants = json.loads(pathlib.Path(__file__).with_name("mutants.json").read_text())
    mutants = [mutant for mutant in mutants if word in mutant["name"]]
    for test in sorted({mutant["test"] for mutant in mutants}):
        if not scratch.builds(test) or scratch.failure_of(test):
            sys.exit("%s fails without any mutant; see %s" % (test, scratch.log))
    killed = 0
    for mutant in mutants:
        start = time.monotonic()
        outcome = try_mutant(scratch, mutant)
        killed += outcome.startswith("killed")
        print("%s: %s (%s, %.0f s)" % (mutant["name"], outcome, mutant["test"],
                                       time.monotonic() - start), flush=True)
    print("%d of %d mutants killed" % (killed, len(mutants)))
    return 0 if mutants and killed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
