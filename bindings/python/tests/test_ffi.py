"""The table of rkvs/_ffi.py against the header and against the library."""

import ctypes
import os
import pathlib
import re
import subprocess

import pytest

from rkvs import _ffi
from rkvs.errors import StatusCode

HEADER = pathlib.Path(
    os.environ.get("RKVS_HEADER")
    or pathlib.Path(__file__).resolve().parents[3] / "capi" / "rkvs.h"
)

NUMBERS = {
    "int32_t": "i",
    "uint32_t": "u",
    "int64_t": "l",
    "uint64_t": "q",
    "size_t": "z",
}
CTYPES = {
    "i": ctypes.c_int32,
    "u": ctypes.c_uint32,
    "l": ctypes.c_int64,
    "q": ctypes.c_uint64,
    "z": ctypes.c_size_t,
}


class Header:
    """What a C header in plain style declares."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        text = re.sub(r"\s+", " ", text)
        self.numbers = dict(NUMBERS)
        self.callbacks = set()
        self.enumerators = {}
        self.structures = {}
        self.functions = {}
        for name, alias in re.findall(r"typedef (\w+) (\w+);", text):
            self.numbers[alias] = self.numbers[name]
        self.callbacks.update(re.findall(r"typedef [\w ]+\**\s*\(\*(\w+)\)\(", text))
        for body in re.findall(r"enum \{(.*?)\}", text):
            for item in body.split(","):
                if item.strip():
                    name, _, value = item.partition("=")
                    self.enumerators[name.strip()] = int(value, 0)
        for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text):
            self.structures[name] = [
                self.field(field.strip()) for field in body.split(";") if field.strip()
            ]
        for result, name, parameters in re.findall(
            r"(?<=[;}{]) ((?:const )?\w+ ?\**) ?(rkvs_\w+)\(([^()]*)\)(?=;)", text
        ):
            kinds = [] if parameters.strip() == "void" else parameters.split(",")
            self.functions[name] = (
                ("v" if result.strip() == "void" else self.kind(result + " result"))
                + ":"
                + "".join(self.kind(parameter.strip()) for parameter in kinds)
            )

    def kind(self, declaration):
        """The letter of _ffi.FUNCTIONS for one parameter."""
        if re.fullmatch(r"const char ?\* ?\w+", declaration):
            return "s"
        if "*" in declaration:
            return "p"
        words = declaration.replace("const ", "").split()
        return "p" if words[0] in self.callbacks else self.numbers[words[0]]

    def field(self, declaration):
        count = re.search(r"\[(\d+)\]$", declaration)
        name = re.search(r"(\w+)(\[\d+\])?$", declaration).group(1)
        return name, self.kind(re.sub(r"\[\d+\]$", "", declaration)), count and int(count.group(1))


@pytest.fixture(scope="module")
def header():
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}; RKVS_HEADER says where it is")
    return Header(HEADER.read_text())


def test_the_parser_sees_the_whole_header(header):
    text = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(), flags=re.S)
    named = set(re.findall(r"\b(rkvs_\w+)\(", text))
    assert named == set(header.functions)
    assert len(header.functions) > 200


def test_every_function_of_the_header_is_in_the_table_as_it_is_declared(header):
    assert {"rkvs_" + name: kinds for name, kinds in _ffi.FUNCTIONS.items()} == header.functions


def test_the_library_exports_the_functions_of_the_table_and_no_others():
    library = ctypes.CDLL(_ffi.library_path)
    for name in _ffi.FUNCTIONS:
        assert library["rkvs_" + name]
    if not os.path.isabs(_ffi.library_path):
        pytest.skip("the library is the system's: no path for nm")
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", "-P", _ffi.library_path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exported = {line.split()[0].split("@")[0] for line in listed.splitlines() if line.strip()}
    ours = {name for name in exported if name.startswith("rkvs_")}
    assert ours == {"rkvs_" + name for name in _ffi.FUNCTIONS}


def structure_name(name):
    words = name[len("rkvs_") :].split("_")
    return "".join(word.capitalize() for word in words) + "Struct"


def test_every_structure_of_the_header_is_laid_out_as_it_is_declared(header):
    for name, fields in header.structures.items():
        structure = getattr(_ffi, structure_name(name))
        assert [field[0] for field in structure._fields_] == [field[0] for field in fields], name
        for (_, kind, count), (field, ctype) in zip(fields, structure._fields_):
            if kind in CTYPES:
                assert ctype is (CTYPES[kind] * count if count else CTYPES[kind]), (name, field)
            else:
                assert ctypes.sizeof(ctype) == ctypes.sizeof(ctypes.c_void_p), (name, field)
            if kind == "s":
                assert ctype is ctypes.c_char_p, (name, field)


def test_structures_have_the_size_that_the_library_gives_them(header):
    numbers = {
        value: name for name, value in header.enumerators.items() if name.startswith("RKVS_TYPE_")
    }
    assert set(numbers) == set(_ffi.STRUCTURES)
    for number, structure in _ffi.STRUCTURES.items():
        expected = structure_name("rkvs_" + numbers[number][len("RKVS_TYPE_") :].lower())
        assert structure.__name__ == expected
        assert _ffi.lib.sizeof(number) == ctypes.sizeof(structure), expected
    assert _ffi.lib.sizeof(10_000) == 0


def test_constants_and_codes_are_those_of_the_header(header):
    codes = {
        re.sub(r"^RKVS_(E_)?", "", name): value
        for name, value in header.enumerators.items()
        if name in ("RKVS_OK", "RKVS_NOT_FOUND", "RKVS_EXISTS", "RKVS_VERSION_MISMATCH")
        or name == "RKVS_NOT_APPLIED"
        or name.startswith("RKVS_E_")
    }
    assert codes == {code.name: code.value for code in StatusCode}
    for ours, theirs in {
        "ALL_OR_NOTHING": "RKVS_ALL_OR_NOTHING",
        "ALLOW_INLINE": "RKVS_ALLOW_INLINE",
        "AUTOSAVE_FINAL_SAVE": "RKVS_AUTOSAVE_FINAL_SAVE",
        "BEST_EFFORT": "RKVS_BEST_EFFORT",
        "DETAILED_METRICS": "RKVS_DETAILED_METRICS",
        "DONE": "RKVS_DONE",
        "KEEP_TTL": "RKVS_KEEP_TTL",
        "PENDING": "RKVS_PENDING",
        "SCAN_KEYS_ONLY": "RKVS_SCAN_KEYS_ONLY",
        "SET_MAX_BYTES": "RKVS_SET_MAX_BYTES",
        "SET_MAX_NAMESPACES": "RKVS_SET_MAX_NAMESPACES",
    }.items():
        assert getattr(_ffi, ours) == header.enumerators[theirs]


def test_the_library_knows_the_names_of_all_codes():
    for code in StatusCode:
        prefix = "RKVS_E_" if code < 0 else "RKVS_"
        assert _ffi.status_name(code) == prefix + code.name


def test_only_one_module_knows_ctypes():
    package = pathlib.Path(_ffi.__file__).parent
    users = {
        path.name for path in package.glob("*.py") if re.search(r"^(import|from) ctypes\b", path.read_text(), re.M)
    }
    assert users == {"_ffi.py"}


def test_quick_calls_pass_sizes_and_handles_of_64_bits_whole(ns):
    # Sizes go in as plain int, on the understanding that libffi widens them.
    for size in (0, 1, 255, 65535):
        key, value = bytes(size % 1000 + 1), bytes(size)
        ns[key] = value
        assert ns[key] == value


def test_a_library_that_cannot_be_loaded_is_an_import_error():
    code = "import rkvs"
    environment = dict(os.environ, RKVS_LIBRARY="/nowhere/librkvs.so.1")
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ImportError" in done.stderr and "RKVS_LIBRARY" in done.stderr


def test_every_public_error_is_exported_by_the_package():
    import rkvs
    from rkvs import errors

    assert set(errors.__all__) <= set(rkvs.__all__)
    assert all(hasattr(rkvs, name) for name in rkvs.__all__)
