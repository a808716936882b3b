"""rkvs import while calls to the system fail at random, from outside of it.

    python3 fiu_import.py RKVS FIU_RUN

The library's own tests make calls fail through its interface to files (T6 of docs/reliability.md).
Here libfiu fails them behind the library's back, below the C library's functions, as fiu-run (Debian
package fiu-utils) preloads it: open, write, fsync, read and pread, with an error or a short transfer.
What it has no function for are openat and renameat, which the tool makes and renames its files with.

Every import of new lines onto a snapshot that is there ends in one of two ways: exit status 0 and the
new snapshot, or another one, a message, and the old snapshot, byte by byte. After the rename, which is
the last step but two, the new one is in place although the sync of the directory or the summary
failed, as the message then says. Nothing else is left in the directory.

RKVS_TEST_SCALE multiplies the number of imports.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ENTRIES = 3000
ROUNDS = 15  # of each kind

# Failure points of libfiu, with the probability that a call of them fails.
KINDS = {
    "writes and syncs": {"posix/io/rw/write": 0.15, "posix/io/sync/fsync": 0.15},
    "everything": {"posix/io/oc/open": 0.05, "posix/io/rw/*": 0.05, "posix/io/sync/*": 0.1},
    "short transfers": {"posix/io/rw/write/reduce": 0.5, "posix/io/rw/read/reduce": 0.5,
                        "posix/io/rw/pread/reduce": 0.5, "posix/io/rw/write": 0.05},
}


def lines(what):
    """The JSON lines of a snapshot: about 600 KiB, several writes' worth."""
    return "".join('{"key":"key%05d","value":"%s"}\n' % (i, what * 200) for i in range(ENTRIES))


def check(condition, *told):
    if not condition:
        sys.exit("fiu_import: " + " ".join(map(str, told)))


class Imports:
    def __init__(self, tool, fiu_run, directory):
        self.tool, self.fiu_run = tool, fiu_run
        self.directory, self.file = directory / "store", directory / "store" / "f"
        self.directory.mkdir()
        self.new, self.old = directory / "new.jsonl", directory / "old.jsonl"
        self.new.write_text(lines("n"))
        self.old.write_text(lines("o"))
        self.succeeded = self.failed = self.late = 0
        self.messages = set()

    def run(self, *arguments):
        return subprocess.run([*arguments], capture_output=True, text=True, timeout=60)

    def rkvs(self, *arguments):
        done = self.run(self.tool, *arguments)
        check(done.returncode == 0, arguments, "without failures:", done)
        return done.stdout

    def import_onto_old(self, points):
        """Once, and what is there afterwards."""
        self.file.write_bytes(self.old_bytes)
        commands = []
        for name, probability in points.items():
            commands += ["-c", "enable_random name=%s,probability=%g" % (name, probability)]
        # Without -f "" it would make pipes to be controlled by.
        done = self.run(self.fiu_run, "-f", "", "-x", *commands, self.tool, "import", self.new,
                        "-n", "n", "-t", self.file)
        is_old = self.file.read_bytes() == self.old_bytes
        if not is_old:
            self.rkvs("verify", self.file)
            check(self.rkvs("export", self.file, "-n", "n") == self.new_lines,
                  "neither the old snapshot nor the new one:", done)
        if done.returncode == 0:
            self.succeeded += 1
            check(not is_old, "exit status 0, and the old snapshot:", done)
        else:
            self.failed += 1
            # 4 is failed input or output; an open that fails may also say that there is no such file.
            check(done.returncode == (3 if "no file" in done.stderr else 4), "exit status:", done)
            check(done.stderr.startswith("rkvs: "), "no message:", done)
            what = done.stderr.removeprefix("rkvs: ").rpartition(": ")[0]
            self.messages.add(re.sub(r"/\.f\.[0-9.]+tmp", "/TEMPORARY", what).replace(
                str(self.directory.parent), "."))
            if not is_old:
                self.late += 1
                check("sync directory" in done.stderr or "standard output" in done.stderr,
                      "failed before the rename, and the old snapshot is gone:", done)
        left = sorted(path.name for path in self.directory.iterdir())
        check(left == ["f"], "left behind:", left)

    def run_all(self):
        self.rkvs("import", self.new, "-n", "n", "-t", self.file)
        self.new_lines = self.rkvs("export", self.file, "-n", "n")
        check(self.new_lines.count("\n") == ENTRIES, "not what was imported")
        self.rkvs("import", self.old, "-n", "n", "-t", self.file)
        self.old_bytes = self.file.read_bytes()
        rounds = ROUNDS * max(1, int(os.environ.get("RKVS_TEST_SCALE", "1")))
        for kind, points in KINDS.items():
            succeeded, failed = self.succeeded, self.failed
            for _ in range(rounds):
                self.import_onto_old(points)
            print("%s: %d imports succeeded, %d failed" % (
                kind, self.succeeded - succeeded, self.failed - failed))
        print("%d of the failures were after the rename; failed: %s" % (
            self.late, "; ".join(sorted(self.messages))))
        # So that it is known that failures are injected, and not all calls fail.
        check(self.failed > 0, "nothing failed")
        check(self.succeeded > 0, "nothing succeeded")


def main():
    tool, fiu_run = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="rkvs_fiu.") as directory:
        Imports(tool, fiu_run, pathlib.Path(directory)).run_all()


if __name__ == "__main__":
    main()
