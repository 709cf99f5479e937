"""Hosts that are not here: JavaScript (wasm-bindgen, emval), of which only the message at the end is provided, and WASI 0.2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..wasm.module import Export, FuncType, Module
from .routines import load

# Newer versions put a hash behind the name, and name the module after the script.
_THROW = re.compile(r"__wbindgen_throw|__wbg___wbindgen_throw_[0-9a-f]+")
_BINDGEN = ("__wbg_", "__wbindgen_")
_EMVAL = ("_emval_",)


def bindgen_packs(importers: Sequence[Module]) -> Iterator[tuple[str, Module]]:
    """With the names of the modules that are imported from."""
    pack = load("wbg")
    throw = next(e.index for e in pack.exports if e.kind == "func")
    memory = next(e for e in pack.exports if e.kind == "memory")
    wanted: dict[str, dict[str, None]] = {}
    for entry in (e for importer in importers for e in importer.imports):
        if _THROW.fullmatch(entry.name) and entry.desc == FuncType(("i32", "i32")):
            wanted.setdefault(entry.module, {})[entry.name] = None
    for module, names in wanted.items():
        yield module, replace(pack, exports=(memory, *(Export(name, "func", throw) for name in names)))


def advice(module: str, name: str) -> str:
    """What to do about an import of this name that nobody provides; "" for others."""
    if module.startswith("wasi:"):
        return "; of WASI, preview 1 is provided: compile for it (target wasm32-wasip1)"
    if name.startswith(_BINDGEN):
        return "; it works on JavaScript objects: call functions that need none (--unknown-imports-trap)"
    if name.startswith(_EMVAL):
        return "; it works on values of JavaScript: give a library for them, or call what needs none (--unknown-imports-trap)"
    return ""
