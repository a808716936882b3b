"""Tests the wheel as a user has it: installed into an environment of its own.

    python check_wheel.py WHEEL_FOLDER WORK_FOLDER HEADER pytest|types

Exits with 77 (skipped) where the packages cannot be had, for want of a network say, unless CI is
set.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

import in_venv  # noqa: E402


def install(python, wheel, stamp):
    """Over what is there, unless it is this very wheel."""
    installed = f"{wheel.name} {wheel.stat().st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == installed:
        return
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--force-reinstall", wheel], check=True)
    stamp.write_text(installed)


def main():
    wheels, work, header, what = sys.argv[1:]
    (wheel, *_) = [*pathlib.Path(wheels).glob("rkvs-*.whl"), None]
    if wheel is None:
        print("there is no wheel in", wheels, file=sys.stderr)
        return 1 if os.environ.get("CI") else in_venv.SKIPPED
    venv = pathlib.Path(work)
    try:
        in_venv.prepare(venv, HERE / "requirements-test.txt")
    except (OSError, subprocess.CalledProcessError) as error:
        print("cannot make the virtual environment:", error, file=sys.stderr)
        return 1 if os.environ.get("CI") else in_venv.SKIPPED
    python = str(venv / "bin" / "python")
    install(python, wheel, venv / "wheel")
    environment = dict(os.environ, RKVS_HEADER=str(pathlib.Path(header).resolve()))
    for name in ("PYTHONPATH", "RKVS_LIBRARY", "LD_LIBRARY_PATH"):
        environment.pop(name, None)
    commands = {
        "pytest": [["pytest", "-c", HERE / "pyproject.toml", "--durations=5", HERE / "tests"]],
        "types": [
            ["mypy", "--strict", "-p", "rkvs"],
            ["mypy.stubtest", "rkvs", "--allowlist", HERE / "tests" / "stubtest_allowlist.txt"],
        ],
    }
    # Somewhere else, so that nothing but the installed package can be found.
    with tempfile.TemporaryDirectory() as elsewhere:
        for command in commands[what]:
            done = subprocess.run([python, "-B", "-m", *command], cwd=elsewhere, env=environment)
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
