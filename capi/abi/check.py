"""check.py <librkvs.so> <work folder>                    compares the library with what is promised
check.py <librkvs.so> <work folder> --bless            promises what was added, too
check.py <librkvs.so> <work folder> --bless-anything   ... and breaks promises

What is promised lies beside this file: librkvs.so.1.abi, a dump of functions and types by abidw, and
constants.txt, for the dump knows no constants. (A blessing writes ../exports.txt as well, which has
a test of its own.)

The library needs full debug information of capi/ (-g): without it abidiff sees no types, and no
differences. Structures that may grow at their end are cut to their promised size before they are
compared: abidiff's own way to allow for that, a suppression with has_data_member_inserted_at = end,
hides every other change of the structure too (2.2).
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent / "rkvs.h"
EXPORTS = HERE.parent / "exports.txt"
ABI = HERE / "librkvs.so.1.abi"
CONSTANTS = HERE / "constants.txt"

# Has no struct_size, but the caller says how large it is.
GROWS_AS_WELL = {"rkvs_shard_stats"}


def dump(library, work):
    """What the library has: its functions and the types in the public header, as XML."""
    # Types that are not of the public header are private: a folder with nothing else in it.
    public = work / "public"
    public.mkdir(parents=True)
    shutil.copy(HEADER, public)
    out = work / "librkvs.so.1.abi"
    # No paths, no names of parameters, nothing that depends on where and for what machine it was built.
    subprocess.run(
        ["abidw", "--exported-interfaces-only", "--headers-dir", public, "--drop-private-types",
         "--no-show-locs", "--no-parameter-names", "--no-architecture", "--no-corpus-path",
         "--no-comp-dir-path", "--no-elf-needed", "--type-id-style", "hash",
         "--out-file", out, library], check=True)
    return out


def structures(tree):
    """By name: the nodes of structures that the header defines."""
    found = {}
    for node in tree.iter("class-decl"):
        if node.get("name", "").startswith("rkvs_") and node.get("size-in-bits"):
            found.setdefault(node.get("name"), []).append(node)
    return found


def may_grow(name, node):
    field = node.find("data-member/var-decl")
    return name in GROWS_AS_WELL or (field is not None and field.get("name") == "struct_size")


def cut(tree, promised):
    """Takes away from `tree` what was appended to structures that may grow; says what that is."""
    appended = []
    old = structures(promised)
    for name, nodes in structures(tree).items():
        if name not in old or not may_grow(name, old[name][0]):
            continue
        size = int(old[name][0].get("size-in-bits"))
        for node in nodes:
            for member in node.findall("data-member"):
                # Before the promised end, in padding perhaps, it is no growth: nobody can tell by
                # struct_size whether the field is there.
                if int(member.get("layout-offset-in-bits")) >= size:
                    appended.append(f"{name}.{member.find('var-decl').get('name')}")
                    node.remove(member)
            if int(node.get("size-in-bits")) > size:
                node.set("size-in-bits", str(size))
    return sorted(set(appended))


def constants():
    """Lines "RKVS_NAME value" of all constants in the header."""
    found = re.findall(r"\b(RKVS_[A-Z0-9_]+)(?: =)? (-?\d+)\b", HEADER.read_text())
    return sorted({f"{name} {value}" for name, value in found})


def abidiff(*arguments):
    run = subprocess.run(["abidiff", *arguments], text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    return run.returncode, run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--bless", action="store_true")
    parser.add_argument("--bless-anything", action="store_true")
    options = parser.parse_args()

    shutil.rmtree(options.work, ignore_errors=True)
    found = dump(options.library, options.work)
    tree = xml.parse(found)
    names = sorted({node.get("name") for node in tree.iter("elf-symbol")
                    if node.get("type") == "func-type"})
    described = {node.get("name") for node in tree.iter("function-decl")}
    if not names or not described.issuperset(names) or len(structures(tree)) < 10:
        sys.exit(f"{options.library}: {len(names)} functions, debug information for "
                 f"{len(described)}, and for {len(structures(tree))} structures; was capi/ "
                 "compiled with -g?")

    broken, added = "", ""
    if CONSTANTS.exists():
        before, now = CONSTANTS.read_text().splitlines(), constants()
        broken += "".join(f"gone or changed: {c}\n" for c in before if c not in now)
        added += "".join(f"added: {c}\n" for c in now if c not in before)
    if ABI.exists():
        appended = cut(tree, xml.parse(ABI))
        comparable = options.work / "without_appended_fields.abi"
        tree.write(comparable)
        status, report = abidiff(ABI, comparable)
        if abidiff("--no-added-syms", ABI, comparable)[0] != 0:  # blind to what was added
            broken += report
        elif status != 0:
            added += report
        if appended:
            print("appended, which is allowed:", *appended)

    if options.bless or options.bless_anything:
        if broken and not options.bless_anything:
            sys.exit(f"{broken}\nThis breaks programs that exist, and is not blessed.")
        shutil.copy(found, ABI)
        CONSTANTS.write_text("".join(f"{line}\n" for line in constants()))
        EXPORTS.write_text("".join(f"{name}\n" for name in names))
        print(f"Blessed: {len(names)} functions. Commit capi/exports.txt and capi/abi/.")
    elif broken:
        sys.exit(f"{broken}\nThe ABI of librkvs.so.1 is broken: programs that were compiled against an "
                 "earlier version would not work with this one. See CONTRIBUTING.md, The ABI.")
    elif added:
        sys.exit(f"{added}\nSomething was added to the ABI of librkvs.so.1, which from now on has to "
                 "stay. If that is meant: cmake --build <build> --target bless_abi, and commit. See "
                 "CONTRIBUTING.md, The ABI.")
    elif not ABI.exists():
        sys.exit(f"{ABI} is missing")
    else:
        print(f"{len(names)} functions: nothing added, nothing broken")


main()
