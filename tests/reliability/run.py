"""Runs the release-sized test programme and writes a report.

    python3 tests/reliability/run.py [--hours H] [--only ID[,ID]] [--fresh] [--fuzz-jobs N]
    python3 tests/reliability/run.py --list | --summary | --ratio | --coverage-report | --minimise

The stages are those of docs/reliability.md. Each is a test program at a multiple of its usual size
(RKVS_TEST_SCALE), a fuzz target for a time, or a script; what a stage needs is configured and built
first. Without --hours everything runs at full size, for some six hours on two cores; with it, the
sizes and times of what takes long shrink so that it takes about so long, down to those of every
change, the building not counted. (The environment's RKVS_RELIABILITY_HOURS does the same.)

The run can be ended at any time and goes on with the stage in which it was, fuzzing with the target,
as long as what it is made of is the same; --fresh forgets what the stages have done. A stage that passed at the size that
is asked for, or at a larger one, is not repeated: an hour and a full run share what is the same.
Runs with other stages (--only) may go on beside one another: each writes its own into the report.
build/reliability/report.json is written after each stage: what ran, for how long, with what result
and which figures. The exit status is 0 when every stage passed, 1 when one did not, 130 when the run
was ended.

Needs Python 3.10 and nothing else. For the coverage, gcovr (tests/reliability/requirements.txt) is
installed with pip into build/gcovr; --coverage-report makes the figures and pages of what the tests
have executed so far, and runs none. --minimise makes the corpora anew, after T1.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = SOURCE / "build"
REPORT = BUILD / "reliability" / "report.json"
LOGS = BUILD / "reliability" / "logs"
HEARTBEAT = 60  # seconds between signs of life

# The seconds of one fuzz target at full size.
FUZZ_SECONDS = 1800


class Stage:
    """`work(stage, share)` does it and returns (passed, figures).

    `minutes`: at full size, of which `least` at any size; those that take few are `always_full`.
    `made_of`: the folders and files, beyond those of the library, on which the result depends.
    `at_least`: figures that must be reached at full size.
    What a stage puts into `done` is kept as soon as it calls `keep()`, and is there again when a run
    that was ended goes on.
    """

    def __init__(self, id, title, target, minutes, work, least=0, always_full=False,
                 made_of=("tests",), at_least=None, **more):
        self.id, self.title, self.target, self.work = id, title, target, work
        self.minutes, self.least, self.always_full, self.more = minutes, least, always_full, more
        self.made_of, self.at_least = made_of, at_least or {}
        self.done, self.keep = {}, lambda: None

    def share(self, factor):
        """Of its full size, where the programme runs at so much of its own."""
        return 1.0 if self.always_full else factor

    def minutes_at(self, factor):
        return max(self.least, self.minutes * self.share(factor))


# --- Running things -------------------------------------------------------------------------------

def say(text):
    print("[%s] %s" % (time.strftime("%H:%M:%S"), text), flush=True)


def run(command, log, env=None, seconds=None, what=None):
    """The exit status; None where the time was up. Output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(log, "ab") as out:
        out.write(("\n$ %s\n" % " ".join(map(str, command))).encode())
        out.flush()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, cwd=SOURCE,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        beat = start
        try:
            while True:
                try:
                    return process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                    if seconds and now - start > seconds:
                        return None
                    if now - beat > HEARTBEAT:
                        beat = now
                        say("  %s: %d min so far" % (what or log.stem, (now - start) / 60))
        finally:
            end_group(process)


def end_group(process):
    """Ends what runs still, with all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def alone(name):
    """No other run of this programme is in a block of this name."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / (name.replace(" ", "-") + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  waiting for another run: " + name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(preset, targets, log):
    """Configures the preset and builds the targets (all where there are none)."""
    with alone(preset):
        if run(["cmake", "--preset", preset], log) != 0:
            return False
        command = ["cmake", "--build", "--preset", preset]
        if targets:
            command += ["--target"] + targets
        return run(command, log, what="building " + preset) == 0


def fresh_log(name):
    log = LOGS / (name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.unlink()
    return log


def scale_of(full, factor):
    return max(1, round(full * factor))


# --- Test programs at size ------------------------------------------------------------------------

def properties_of(path):
    """The sums of the numbers that the tests have recorded, and how many tests passed and failed."""
    figures = {}
    if not path.exists():
        return figures
    report = json.loads(path.read_text())
    figures["tests"] = report["tests"]
    figures["failures"] = report["failures"]
    known = {"name", "file", "line", "status", "result", "timestamp", "time", "classname",
             "value_param", "type_param", "failures", "skipped"}
    for suite in report["testsuites"]:
        for test in suite["testsuite"]:
            figures["skipped"] = figures.get("skipped", 0) + (test["result"] == "SKIPPED")
            for name, value in test.items():
                if name not in known and re.fullmatch(r"\d+", str(value)):
                    figures[name] = figures.get(name, 0) + int(value)
    return figures


def printed(text, patterns):
    """For each pattern the sum of what its group matched."""
    return {name: sum(int(found) for found in re.findall(pattern, text))
            for name, pattern in patterns.items()}


def scaled_tests(stage, factor):
    """Programs of a preset at a multiple of their size."""
    log = fresh_log(stage.id)
    preset = stage.more.get("preset", "test")
    programs = stage.more["programs"]
    if not built(preset, programs, log):
        return False, {"error": "does not build; see %s" % log.relative_to(SOURCE)}
    scale = scale_of(stage.more["scale"], factor)
    figures = {"scale": scale}
    passed = True
    for program in programs:
        output = LOGS / (stage.id + "." + program + ".json")
        if output.exists():
            output.unlink()
        env = {"RKVS_TEST_SCALE": str(scale), **stage.more.get("env", {})}
        code = run([BUILD / preset / "tests" / program, "--gtest_output=json:%s" % output], log,
                   env=env, what=stage.title)
        passed = passed and code == 0
        for name, value in properties_of(output).items():
            figures[name] = figures.get(name, 0) + value
    text = log.read_text(errors="replace")
    figures.update(printed(text, stage.more.get("figures", {})))
    enough = factor < 1 or all(figures.get(name, 0) >= least
                               for name, least in stage.at_least.items())
    return passed and enough, figures


def sanitized(stage, factor):
    """The tests labelled concurrent under ThreadSanitizer, again and again for the time."""
    log = fresh_log(stage.id)
    if not built("tsan", [], log):
        return False, {"error": "does not build; see %s" % log.relative_to(SOURCE)}
    done = stage.done
    done.setdefault("rounds", 0)
    done.setdefault("minutes", 0.0)
    while done["rounds"] == 0 or done["minutes"] < stage.minutes_at(factor):
        start = time.monotonic()
        if run(["ctest", "--preset", "tsan"], log, what=stage.title) != 0:
            return False, {**done, "reports": reports_in(log)}
        done["rounds"] += 1
        done["minutes"] = round(done["minutes"] + (time.monotonic() - start) / 60, 1)
        stage.keep()
    return True, {**done, "reports": reports_in(log)}


def reports_in(log):
    return log.read_text(errors="replace").count("WARNING: ThreadSanitizer")


# --- Fuzzing ----------------------------------------------------------------------------------------

def fuzz_targets():
    return sorted(path.stem for path in (SOURCE / "fuzz").glob("*_fuzz.cc"))


def fuzz(stage, factor):
    """Every target for its time, some at a time; new inputs stay in build/reliability/found."""
    log = fresh_log(stage.id)
    if not built("fuzz", [], log):
        return False, {"error": "does not build; see %s" % log.relative_to(SOURCE)}
    seconds = scale_of(FUZZ_SECONDS, factor)
    waiting = [name for name in fuzz_targets() if (BUILD / "fuzz" / "fuzz" / name).exists() and
               name not in stage.done]
    running = {}
    try:
        while waiting or running:
            while waiting and len(running) < stage.more["jobs"]:
                name = waiting.pop(0)
                say("  %s for %d s" % (name, seconds))
                running[name] = start_fuzzing(stage, name, seconds)
            for name, (process, out, own) in list(running.items()):
                if process.poll() is None:
                    continue
                out.close()
                del running[name]
                stage.done[name] = {"jobs": stage.more["jobs"],
                                    **fuzz_figures(own, seconds, process.returncode)}
                stage.keep()
            time.sleep(1)
    finally:
        for process, out, _ in running.values():
            end_group(process)
            out.close()
    return not any(figures["crashed"] for figures in stage.done.values()), dict(stage.done)


def side_by_side(jobs):
    """So many fuzz targets at once, and how long all then take."""
    stage = next(stage for stage in STAGES if stage.work is fuzz)
    stage.more["jobs"] = jobs
    rounds = -(-len(fuzz_targets()) // jobs)
    stage.minutes = 4 + rounds * FUZZ_SECONDS / 60


def start_fuzzing(stage, name, seconds):
    found = BUILD / "reliability" / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    command = [BUILD / "fuzz" / "fuzz" / name, "-max_total_time=%d" % seconds, "-timeout=60",
               "-rss_limit_mb=2048", "-print_final_stats=1", "-artifact_prefix=%s/" % found]
    dictionary = SOURCE / "fuzz" / (name[:-len("_fuzz")] + ".dict")
    if dictionary.exists():
        command.append("-dict=%s" % dictionary)
    own = fresh_log(stage.id + "." + name)
    out = open(own, "wb")
    return subprocess.Popen(command + [found, SOURCE / "fuzz" / "corpus" / name], stdout=out,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                            start_new_session=True), out, own


def fuzz_figures(log, seconds, code):
    text = log.read_text(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", text)
    coverage = re.findall(r"cov: (\d+)", text)
    return {"seconds": seconds, "executions": int(executions.group(1)) if executions else 0,
            "edges": int(coverage[-1]) if coverage else 0, "crashed": code != 0}


def minimise():
    """Makes each corpus anew: the fewest inputs, of those in it and those found, that reach what all
    of them reach together. Those whose names begin with found_ have found a defect, and stay."""
    log = fresh_log("minimise")
    if not built("fuzz", [], log):
        return False
    with alone("stage T1"):
        return all(minimise_one(name, log) for name in fuzz_targets()
                   if (BUILD / "fuzz" / "fuzz" / name).exists())


def minimise_one(name, log):
    corpus = SOURCE / "fuzz" / "corpus" / name
    found = BUILD / "reliability" / "found" / name
    smallest = BUILD / "reliability" / "corpus" / name
    shutil.rmtree(smallest, ignore_errors=True)
    smallest.mkdir(parents=True)
    found.mkdir(parents=True, exist_ok=True)
    for path in corpus.glob("found_*"):
        shutil.copy(path, smallest)
    before = log.stat().st_size
    # Edges alone: how often each was taken would ask for several times as many inputs. What takes
    # too long, or too much, would be left out, and the file of it be left behind.
    code = run([BUILD / "fuzz" / "fuzz" / name, "-set_cover_merge=1", "-use_counters=0",
                "-timeout=1200", "-rss_limit_mb=0", "-artifact_prefix=%s/" % found,
                smallest, corpus, found], log, what=name)
    # It begins again behind an input that crashes: such a corpus would lack it.
    if code != 0 or b"successful in 1 attempt" not in log.read_bytes()[before:]:
        say("%s: an input crashes, or it cannot be merged; see %s" % (
            name, log.relative_to(SOURCE)))
        return False
    inputs = {}
    for path in smallest.iterdir():
        content = path.read_bytes()
        kept = path.name.startswith("found_")
        inputs[path.name if kept else hashlib.sha1(content).hexdigest()[:16]] = content
    old = {path.name for path in corpus.iterdir()}
    for own, content in inputs.items():
        (corpus / own).write_bytes(content)
    for gone in old - inputs.keys():
        (corpus / gone).unlink()
    say("%s: %d inputs, %d before" % (name, len(inputs), len(old)))
    return True


# --- Coverage and mutants ----------------------------------------------------------------------------

def lines_in(folders):
    """Lines that are not blank, of C++, Python and the schema."""
    count = 0
    for folder in folders:
        for path in (SOURCE / folder).rglob("*"):
            if path.suffix in [".h", ".cc", ".c", ".py", ".fbs"] and "build" not in path.parts:
                count += sum(1 for line in path.read_text(errors="replace").splitlines()
                             if line.strip())
    return count


def ratio():
    """Of tests to code, in such lines: of the C++ core, of the Python package, and of both. Told
    beside the coverage, and no condition of its passing."""
    core = {"code": lines_in(["src", "capi", "include"]), "test": lines_in(["tests", "fuzz"])}
    python = {"code": lines_in(["bindings/python/rkvs"]),
              "test": lines_in(["bindings/python/tests"])}
    both = {kind: core[kind] + python[kind] for kind in core}
    figures = {}
    for name, lines in [("", core), ("python_", python), ("all_", both)]:
        figures.update({name + kind + "_lines": count for kind, count in lines.items()})
        figures[name + "tests_to_code"] = round(lines["test"] / lines["code"], 2)
    return figures


def coverage(stage, factor):
    """All tests in the instrumented build, then what they have executed."""
    log = fresh_log(stage.id)
    if not built("reliability", [], log):
        return False, {"error": "does not build; see %s" % log.relative_to(SOURCE)}
    for folder, folders, files in os.walk(BUILD / "reliability"):
        folders[:] = [name for name in folders if name not in ["mutants", "found"]]
        for name in files:
            if name.endswith(".gcda"):
                (pathlib.Path(folder) / name).unlink()
    passed = run(["ctest", "--preset", "reliability", "-LE", "soak"], log, what=stage.title) == 0
    return measure(passed, log)


def installed_gcovr(log):
    """The program, in an environment of its own; None where it cannot be had."""
    requirements = SOURCE / "tests/reliability/requirements.txt"
    place = BUILD / "gcovr"
    done = place / "requirements.txt"
    if not done.exists() or done.read_text() != requirements.read_text():
        if (run([sys.executable, "-m", "venv", "--clear", place], log) != 0 or
                run([place / "bin/pip", "install", "--quiet", "-r", requirements], log) != 0):
            return None
        done.write_text(requirements.read_text())
    return place / "bin/gcovr"


def measure(passed, log):
    """What gcovr.cfg counts, in figures and as pages."""
    gcovr = installed_gcovr(log)
    if gcovr is None:
        return False, {"error": "gcovr cannot be installed; see %s" % log.relative_to(SOURCE)}
    pages = BUILD / "reliability" / "coverage"
    pages.mkdir(parents=True, exist_ok=True)
    summary = BUILD / "reliability" / "coverage.json"
    summary.unlink(missing_ok=True)
    code = run([gcovr, "--config", SOURCE / "gcovr.cfg", "--root", SOURCE,
                "--object-directory", BUILD / "reliability", BUILD / "reliability",
                "--json-summary", summary, "--txt", pages / "branches.txt", "--txt-metric", "branch",
                "--html-details", pages / "index.html"], log, what="gcovr")
    if code != 0 or not summary.exists():
        return False, {"error": "gcovr fails; see %s" % log.relative_to(SOURCE)}
    totals = json.loads(summary.read_text())
    figures = ratio()
    for kind, kinds in [("line", "lines"), ("branch", "branches")]:
        figures[kind + "_percent"] = totals[kind + "_percent"]
        figures[kinds] = "%d of %d" % (totals[kind + "_covered"], totals[kind + "_total"])
    figures["folders"] = folders(totals["files"])
    return passed and figures["line_percent"] >= 95 and figures["branch_percent"] >= 90, figures


def folders(files):
    """Percent of lines and branches of each folder."""
    sums = {}
    for file in files:
        of = sums.setdefault(str(pathlib.PurePath(file["filename"]).parent), [0, 0, 0, 0])
        for place, name in enumerate(["line_covered", "line_total", "branch_covered",
                                      "branch_total"]):
            of[place] += file[name]
    return {name: "%.1f %.1f" % (100 * of[0] / max(of[1], 1), 100 * of[2] / max(of[3], 1))
            for name, of in sorted(sums.items())}


def mutants(stage, factor):
    """All of them at full size, else as many as there is time for."""
    log = fresh_log(stage.id)
    results = BUILD / "reliability" / "mutants.json"
    limit = [] if factor >= 1 else ["--minutes", str(stage.minutes_at(factor))]
    code = run([sys.executable, "-B", SOURCE / "tests/mutants/run.py",
                BUILD / "reliability" / "mutants", "--results", results, *limit], log,
               what=stage.title)
    known = json.loads((SOURCE / "tests/mutants/mutants.json").read_text())
    names = [mutant["name"] for mutant in known]
    tried = json.loads(results.read_text())["mutants"] if results.exists() else {}
    tried = {name: entry for name, entry in tried.items() if name in names}
    killed = sum(entry["outcome"].startswith("killed") for entry in tried.values())
    return code == 0 or (code == 2 and killed == len(tried)), {
        "mutants": len(known), "tried": len(tried), "killed": killed,
        "minutes_of_trying": round(sum(entry["seconds"] for entry in tried.values()) / 60),
        "survivors": [name for name, entry in tried.items()
                      if not entry["outcome"].startswith("killed")]}


# --- The programme ------------------------------------------------------------------------------------

STAGES = [
    Stage("T1", "differential fuzzing", "10,000,000 executions or 30 min a target, no crash",
          None, fuzz,  # the minutes: see side_by_side()
          made_of=("fuzz", "tests/support/failing_files.h", "tests/snapshot/snapshot_model.h")),
    Stage("T2", "linearizability", "10,000,000 histories, no violation", 37, scaled_tests,
          programs=["linearizability_test"], scale=230, at_least={"histories": 10_000_000},
          figures={"histories": r": (\d+) histories with operations at the same time",
                   "made": r"of (\d+) histories of"}),
    Stage("T3", "deterministic schedules", "1,000,000 schedules, each right", 2, scaled_tests,
          always_full=True, programs=["schedules_test"], scale=40,
          at_least={"schedules": 1_000_000},
          figures={"schedules": r"(\d+) schedules,", "different": r"schedules, (\d+) different"}),
    Stage("T4", "ThreadSanitizer soak", "1 h, no report", 60, sanitized, least=5),
    Stage("T5", "kill -9", "10,000 kills, nothing acknowledged lost", 8, scaled_tests,
          always_full=True, programs=["crash_test"], scale=17, at_least={"kills": 10_000},
          figures={"kills": r"(\d+) kills;", "acknowledged": r"(\d+) saves acknowledged"}),
    Stage("T6", "I/O failures and full disks", "every call, once and for good", 1, scaled_tests,
          always_full=True, programs=["io_failure_test", "full_disk_test", "file_test"], scale=4),
    Stage("T7", "power loss", "100,000 states, each loads old or new", 2, scaled_tests,
          always_full=True, programs=["power_loss_test"], scale=48, at_least={"states": 100_000},
          figures={"states": r"(\d+) states,", "loaded": r"(\d+) of them different and loaded"}),
    Stage("T8", "allocation failures", "every allocation of every operation", 1, scaled_tests,
          always_full=True, programs=["allocation_failure_test", "capi_allocation_test"], scale=1),
    Stage("T9", "snapshot invariants", "10,000 snapshots loaded, none broken", 4, scaled_tests,
          always_full=True, programs=["snapshot_invariants_test"], scale=84,
          at_least={"snapshots": 10_000}),
    Stage("models", "models, stress, hostile input", "no difference from the model", 10,
          scaled_tests, made_of=("tests", "fuzz"), scale=30,
          programs=["namespace_oracle_test", "namespace_test", "concurrent_test", "hostile_test"]),
    Stage("T10-coverage", "coverage", "lines 95 %, branches 90 %, tests to code 1.5", 18, coverage,
          always_full=True, made_of=("tests", "fuzz", "bindings/python/tests", "bindings/python/rkvs",
                                      "gcovr.cfg")),
    Stage("T10-mutants", "mutants", "every one killed", 50, mutants, least=5,
          made_of=("tests", "tests/mutants")),
]


def told(name, figures):
    """A stage's figures in a few words; those of fuzzing a target each."""
    if name == "T1" and "error" not in figures:
        return "; ".join("%s %s executions in %d s, %d targets at a time, edges %d%s" % (
            target, format(of["executions"], ","), of["seconds"], of["jobs"], of["edges"],
            ", **crashed**" if of["crashed"] else "") for target, of in sorted(figures.items()))
    return ", ".join("%s %s" % (key.replace("_", " "),
                                format(value, ",") if isinstance(value, int) else value)
                     for key, value in figures.items() if key != "folders" and value != [])


def summary(report):
    """The report as Markdown, for docs/reliability.md: what was done with the present sources."""
    lines = ["%s; %s, %d cores, %s." % (
        report["commit"], report["machine"], report["cores"], report["system"]), "",
        "| | target at full size | size | reached | min | |", "|---|---|--:|---|--:|---|"]
    for stage in STAGES:
        entry = report["stages"].get(stage.id)
        if entry is None or entry.get("sources") != state_of_sources(stage):
            lines.append("| %s | %s | | not run | | |" % (stage.id, stage.target))
            continue
        lines.append("| %s | %s | %.0f %% | %s | %g | %s |" % (
            stage.id, entry["target"], 100 * entry["share"],
            told(stage.id, entry["figures"]), entry["minutes"],
            "passed" if entry["passed"] else "**failed**"))
    return "\n".join(lines)


NOT_MADE_OF = {"corpus", "__pycache__", "reliability", "mutants", "install-deps.sh"}


def state_of_sources(stage):
    """Of all that a stage is made of. What calls and counts it, here, is not part of it, nor are the
    mutants where they are not what it is about."""
    digest = hashlib.sha256(json.dumps(
        {name: value for name, value in stage.more.items() if name != "jobs"}).encode())
    for name in ["include", "src", "capi", "cmake", "CMakeLists.txt", "CMakePresets.json",
                 *stage.made_of]:
        for path in sorted((SOURCE / name).rglob("*")) or [SOURCE / name]:
            parts = set(path.relative_to(SOURCE / name).parts)
            if path.is_file() and not parts & NOT_MADE_OF:
                digest.update(str(path.relative_to(SOURCE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def commit():
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=SOURCE, text=True,
                              capture_output=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("GITHUB_SHA", "unknown")  # a container without git


def processor():
    try:
        names = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        return names[0] if names else platform.machine()
    except OSError:
        return platform.machine()


def factor_for(minutes):
    """The share of full size at which all stages together take so many minutes; 1 at most."""
    low, high = 0.0, 1.0
    for _ in range(30):
        factor = (low + high) / 2
        if sum(stage.minutes_at(factor) for stage in STAGES) < minutes:
            low = factor
        else:
            high = factor
    return high


def kept():
    """The report of the runs so far."""
    return json.loads(REPORT.read_text()) if REPORT.exists() else {}


def entries_of(report, part, wanted):
    """Those whose stage is `wanted`, by the names they have there: T4, or "T4 at 1"."""
    return {name: entry for name, entry in report.get(part, {}).items()
            if wanted(name.partition(" at ")[0])}


def write(report):
    """At once or not at all: what is there must be what a run goes on with."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    new = REPORT.with_suffix(".new")
    new.write_text(json.dumps(report, indent=1) + "\n")
    new.replace(REPORT)


def share_of(stage, factor):
    return round(stage.share(factor), 4)


def has_passed(report, stage, factor):
    """With the present sources, and at no less than this share of its full size."""
    entry = report["stages"].get(stage.id, {})
    return (entry.get("passed", False) and entry.get("share", 0) >= share_of(stage, factor) and
            entry.get("sources") == state_of_sources(stage))


def run_stage(stage, number, report, factor, save):
    """Unless it has passed; goes on where an ended run was. Calls save() when there is something."""
    if has_passed(report, stage, factor):
        say("%s %s: done before: %s" % (number, stage.title,
                                        json.dumps(report["stages"][stage.id]["figures"])))
        return
    say("%s %s, about %d min" % (number, stage.title, stage.minutes_at(factor)))
    made_of = {"sources": state_of_sources(stage), "share": share_of(stage, factor)}
    place = "%s at %g" % (stage.id, made_of["share"])
    partly = report["partly"].get(place, {})
    if partly.get("sources") != made_of["sources"]:
        partly = {**made_of, "minutes": 0, "done": {}}
    start, before, stage.done = time.time(), partly["minutes"], partly["done"]

    def keep():
        partly["minutes"] = before + (time.time() - start) / 60
        report["partly"][place] = partly
        save()

    stage.keep = keep
    passed, figures = stage.work(stage, stage.share(factor))
    report["partly"].pop(place, None)
    report["stages"][stage.id] = {
        "title": stage.title, "target": stage.target, **made_of, "passed": passed,
        "figures": figures, "command": "python3 tests/reliability/run.py --only %s" % stage.id,
        "minutes": round(before + (time.time() - start) / 60, 1),
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    save()
    say("  %s: %s" % ("passed" if passed else "FAILED", json.dumps(figures)))


def at_least_one(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float,
                        default=float(os.environ.get("RKVS_RELIABILITY_HOURS", "0")))
    parser.add_argument("--only", default="")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--fuzz-jobs", type=at_least_one, default=os.cpu_count(),
                        help="fuzz targets side by side")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--ratio", action="store_true", help="print the lines of tests and of code")
    parser.add_argument("--summary", action="store_true", help="print the report as Markdown")
    parser.add_argument("--coverage-report", action="store_true",
                        help="what the instrumented tests have executed so far")
    parser.add_argument("--minimise", action="store_true",
                        help="make the corpora of the fuzz targets anew with what was found")
    options = parser.parse_args()
    side_by_side(options.fuzz_jobs)
    only = set(options.only.split(",")) if options.only else {stage.id for stage in STAGES}
    if unknown := only - {stage.id for stage in STAGES}:
        parser.error("no such stage: " + ", ".join(sorted(unknown)))
    wanted = [stage for stage in STAGES if stage.id in only]
    full = sum(stage.minutes for stage in STAGES) / 60
    factor = factor_for(60 * options.hours) if options.hours else 1.0
    if options.ratio:
        print(json.dumps(ratio()))
        return 0
    if options.summary:
        if not REPORT.exists():
            say("nothing has been run")
            return 1
        print(summary(kept()))
        return 0
    if options.coverage_report:
        log = fresh_log("coverage-report")
        _, figures = measure(True, log)
        print(json.dumps(figures, indent=1))
        return 1 if "error" in figures else 0
    if options.minimise:
        return 0 if minimise() else 1
    if options.list:
        for stage in wanted:
            print("%-14s %4d min  %s: %s" % (stage.id, stage.minutes_at(factor), stage.title,
                                             stage.target))
        print("%.1f h; %.1f h at full size" % (
            sum(stage.minutes_at(factor) for stage in STAGES) / 60, full))
        return 0

    def save(own):
        """What this run knows of the stages `own`; of all others what is there by now."""
        with alone("report"):
            present = kept()
            for part in ("stages", "partly"):
                report[part] = {**entries_of(present, part, lambda id: id not in own),
                                **entries_of(report, part, lambda id: id in own)}
            report["commit"] = commit()
            # Of all stages: `asked_for` at the size of this run, `passed` at full size.
            report["asked_for"] = all(has_passed(report, stage, factor) for stage in STAGES)
            report["passed"] = all(has_passed(report, stage, 1.0) for stage in STAGES)
            write(report)

    report = {"commit": commit(), "machine": processor(), "cores": os.cpu_count(),
              "system": platform.platform(), "stages": {}, "partly": {}}
    # With --fresh nothing is known of them, and so forgotten.
    save({stage.id for stage in wanted} if options.fresh else set())

    say("%d stages, %.0f %% of full size" % (len(wanted), 100 * factor))
    for number, stage in enumerate(wanted, 1):
        with alone("stage " + stage.id):
            save(set())  # a run beside this one may have done it meanwhile
            run_stage(stage, "(%d/%d)" % (number, len(wanted)), report, factor,
                      lambda: save({stage.id}))
    failed = [stage.title for stage in wanted if not report["stages"][stage.id]["passed"]]
    say("report: %s" % REPORT.relative_to(SOURCE))
    if failed:
        say("failed: " + ", ".join(failed))
    return 1 if failed else 0


def end(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("ended; the same command goes on from here")
        sys.exit(130)
