"""Runs a Python program in a virtual environment that has the packages it needs.

    python in_venv.py VENV REQUIREMENTS PROGRAM ARGUMENT...

Makes the environment when it is not there yet, or is of other requirements or another Python. Exits
with 77 (skipped) where that cannot be done, for want of a network say, unless CI is set: there
nothing may be skipped.
"""

import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77


def prepare(venv, requirements):
    stamp = venv / "installed"
    wanted = sys.version + "\n" + requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "install", "--quiet", "-r", str(requirements)], check=True)
    stamp.write_text(wanted)


def main():
    venv, requirements = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    try:
        prepare(venv, requirements)
    except (OSError, subprocess.CalledProcessError) as error:
        print("cannot make the virtual environment:", error, file=sys.stderr)
        return 1 if os.environ.get("CI") else SKIPPED
    return subprocess.run([str(venv / "bin/python"), "-B", *sys.argv[3:]]).returncode


if __name__ == "__main__":
    sys.exit(main())
