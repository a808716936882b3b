"""check_abi_check.py <project> <work folder> <C++ compiler>

Would capi/abi/check.py notice? Makes libraries of the public header, with functions that do
nothing, breaks or extends the header in known ways, and demands the right verdict on each.
"""

import pathlib
import re
import shutil
import subprocess
import sys

PASSES, ADDED, BROKEN = "nothing added, nothing broken", "Something was added", "is broken"
END_OF_ASYNC = "  void* progress_user;\n} rkvs_async;"
END_OF_COMPLETION = "  uint64_t reserved[3];     /* 0 */\n"
A_FUNCTION = "size_t rkvs_list_count(const rkvs_list* list);\n"

# What is done to the header: (what, text, its replacement, verdict).
CASES = [
    ("nothing", "", "", PASSES),
    ("a comment", A_FUNCTION, "/* Hm. */\n" + A_FUNCTION, PASSES),
    ("options that grow at their end", END_OF_ASYNC,
     END_OF_ASYNC.replace("}", "  uint64_t added;\n}"), PASSES),
    ("options that grow in the middle", "  uint64_t timeout_ms;",
     "  uint64_t added;\n  uint64_t timeout_ms;", BROKEN),
    ("a field removed at the end", END_OF_ASYNC, "} rkvs_async;", BROKEN),
    ("a field removed in the middle", "  uint64_t max_load_bytes;", "//", BROKEN),
    ("a field of another type", "  int64_t expire_after_ms;   /* from", "  double expire_after_ms; /*",
     BROKEN),
    ("two fields that changed places", "  uint64_t entries_done;\n  uint64_t entries_total;",
     "  uint64_t entries_total;\n  uint64_t entries_done;", BROKEN),
    ("options with a new field in their padding", "  rkvs_status last_error;\n  uint32_t reserved;",
     "  rkvs_status last_error;", BROKEN),
    ("a callback with a parameter of another type", "rkvs_log_level level, const char*",
     "uint64_t level, const char*", BROKEN),
    ("a callback with a parameter more", "const rkvs_completion* completion);\n\n/*",
     "const rkvs_completion* completion, int32_t added);\n\n/*", BROKEN),
    ("a fixed structure that grows", END_OF_COMPLETION, END_OF_COMPLETION + "  uint64_t added;\n",
     BROKEN),
    ("a parameter of another type", "rkvs_status rkvs_namespace_resize_shards(rkvs_namespace* ns, "
     "uint32_t", "rkvs_status rkvs_namespace_resize_shards(rkvs_namespace* ns, uint64_t", BROKEN),
    ("a parameter more", A_FUNCTION, A_FUNCTION.replace(")", ", int32_t added)"), BROKEN),
    ("a result of another type", A_FUNCTION, A_FUNCTION.replace("size_t", "int32_t"), BROKEN),
    ("a function removed", A_FUNCTION, "", BROKEN),
    ("a function added", A_FUNCTION, A_FUNCTION + "int32_t rkvs_added(void);\n", ADDED),
    ("a constant of another value", "RKVS_BEST_EFFORT = 1", "RKVS_BEST_EFFORT = 2", BROKEN),
    ("a constant removed", "  RKVS_E_FORKED = -30,\n", "", BROKEN),
    ("a constant added", "  RKVS_E_FORKED = -30,\n", "  RKVS_E_FORKED = -30,\n  RKVS_E_ADDED = -99,\n",
     ADDED),
]


def stubs(header):
    """C++ that defines every function of the header."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    declarations = re.findall(r"^[a-z][^;{}#]*?\brkvs_[a-z_]+\([^;{}]*\);", code, flags=re.M)
    functions = [d for d in declarations if not d.startswith("typedef")]
    assert len(functions) > 200, len(functions)
    return '#include "rkvs.h"\n' + "\n".join(
        'extern "C" ' + d[:-1] + " { __builtin_trap(); }" for d in functions)


def verdict(project, folder, compiler, header):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project / "capi" / "abi", folder / "abi")
    (folder / "rkvs.h").write_text(header)
    (folder / "stubs.cc").write_text(stubs(header))
    library = folder / "librkvs.so.1"
    subprocess.run(
        [compiler, "-std=c++20", "-g", "-w", "-fPIC", "-shared", "-fvisibility=hidden",
         f"-Wl,-soname,librkvs.so.1,--version-script={project / 'capi' / 'librkvs.map'}",
         "-o", library, folder / "stubs.cc"], check=True)
    check = subprocess.run(
        [sys.executable, "-B", folder / "abi" / "check.py", library, folder / "work"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = " ".join(check.stdout.split())
    found = [v for v in (PASSES, ADDED, BROKEN) if v in output]
    if len(found) != 1 or (check.returncode == 0) != (found[0] == PASSES):
        return f"status {check.returncode}: {output[-400:]}"
    return found[0]


def main():
    project, work, compiler = sys.argv[1:]
    project, work = pathlib.Path(project), pathlib.Path(work)
    header = (project / "capi" / "rkvs.h").read_text()
    wrong = 0
    for what, text, replacement, expected in CASES:
        if text not in header:
            print(f"{what}: the header has no {text!r} any more; adapt this test")
            wrong += 1
            continue
        found = verdict(project, work, compiler, header.replace(text, replacement, 1))
        print(f"{'ok   ' if found == expected else 'WRONG'} {what}: {found}", flush=True)
        wrong += found != expected
    sys.exit(wrong != 0)


main()
