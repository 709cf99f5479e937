"""What shortened imports are called, as the script says that Emscripten writes beside a module."""

from __future__ import annotations

import re

from ..format.errors import CompileError, Reason
from ..wasm.module import FuncType, Module
from .emscripten import ENV
from .routines import WASI_MODULES, load

_TABLE = re.compile(r"\{([^{}]*)\}")
_ENTRY = re.compile(r"""\s*["']?([\w$]+)["']?\s*:\s*([A-Za-z_$][\w$]*)\s*""")


def imports_in(script: str, module: Module) -> dict[str, str]:
    """For `aliases`: "MODULE.NAME" of each function that the module imports -> what is meant by it.

    The script has a table `{a: _fd_write, b: ___cxa_throw, ...}`, whose keys are the names that the module imports, all from
    one module, and whose values are the script's own functions: an underscore and the name. Raises CompileError where there is
    none.
    """
    wasi = {e.name for e in load("files").exports if e.kind == "func"}
    tables = [_entries(found[1]) for found in _TABLE.finditer(script)]
    meant: dict[str, str] = {}
    for place in dict.fromkeys(i.module for i in module.imports):
        names = {i.name for i in module.imports if i.module == place and isinstance(i.desc, FuncType)}
        table = next((t for t in tables if names and names <= t.keys()), {})
        for name in sorted(names & table.keys()):
            function = table[name].removeprefix("_")
            meant[f"{place}.{name}"] = f"{WASI_MODULES[0] if function in wasi else ENV}.{function}"
    if not meant:
        text = "the script has no table of the names that the program imports; say what each is: --import M.N=MODULE.NAME"
        raise CompileError([Reason(text)])
    return meant


def _entries(text: str) -> dict[str, str]:
    """Key and value of each, {} where something else stands between the braces."""
    found = [_ENTRY.fullmatch(entry) for entry in text.split(",") if entry.strip()]
    return {m[1]: m[2] for m in found if m} if all(found) else {}
