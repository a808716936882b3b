"""Builds the wheel: the package with librkvs.so.1 in it.

    python build_wheel.py LIBRARY VERSION OUTPUT_FOLDER

Needs the packages of requirements-build.txt, readelf and strip. The platform in the wheel's name is
the oldest manylinux whose symbols suffice, where the library needs nothing but the C and C++
runtimes; otherwise plain linux, for the machine that it was built on.
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

RUNTIMES = re.compile(r"(libc|libm|libpthread|libdl|librt|libstdc\+\+|libgcc_s|ld-linux[-\w]*)\.so")
# The first manylinux with this version of libstdc++ (PEP 600: its distributions have it).
CXX_RUNTIMES = [((3, 4, 28), 31), ((3, 4, 29), 34), ((3, 4, 30), 35), ((3, 4, 32), 39)]


def readelf(*arguments):
    command = ["readelf", "--wide", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def newest(text, symbol):
    found = re.findall(rf"\b{symbol}_([\d.]+)", text)
    return max((tuple(map(int, version.split("."))) for version in found), default=(0,))


def platform_tag(library):
    machine = platform.machine()
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", library))
    foreign = [name for name in needed if not RUNTIMES.match(name)]
    if foreign:
        print(f"needs {' '.join(foreign)}: a wheel for this machine alone", file=sys.stderr)
        return f"linux_{machine}"
    symbols = readelf("-V", library)
    minor = newest(symbols, "GLIBC")[1]
    runtime = newest(symbols, "GLIBCXX")
    for version, first in CXX_RUNTIMES:
        if runtime >= version:
            minor = max(minor, first)
    return f"manylinux_2_{max(minor, 17)}_{machine}"


def main():
    library, version, output = sys.argv[1:]
    output = pathlib.Path(output)
    with tempfile.TemporaryDirectory() as folder:
        stage = pathlib.Path(folder)
        shutil.copytree(
            HERE / "rkvs", stage / "rkvs", ignore=shutil.ignore_patterns("__pycache__", "*.so*")
        )
        for name in ("pyproject.toml", "setup.py", "README.md"):
            shutil.copy(HERE / name, stage)
        shutil.copy(HERE.parents[1] / "LICENSE", stage)
        carried = stage / "rkvs" / "librkvs.so.1"
        shutil.copy(library, carried)
        subprocess.run(["strip", "--strip-unneeded", carried], check=True)
        environment = dict(
            os.environ, RKVS_WHEEL_PLATFORM=platform_tag(carried), RKVS_WHEEL_VERSION=version
        )
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", stage / "out", "."],
            cwd=stage,
            env=environment,
            check=True,
        )
        output.mkdir(parents=True, exist_ok=True)
        for old in output.glob("rkvs-*.whl"):
            old.unlink()
        (wheel,) = (stage / "out").glob("rkvs-*.whl")
        shutil.copy(wheel, output)
    print(output / wheel.name)


if __name__ == "__main__":
    main()
