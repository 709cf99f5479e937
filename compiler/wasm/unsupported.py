"""Valid modules that use proposals which are not supported: which ones, and in which function."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import wasmtime

from ..format.errors import CompileError
from ..format.waiting import interruptible
from .opcodes import MAGIC, SECTIONS
from .reader import Reader

# Features that are off when a module is loaded (and what they need), and what a module that needs them is told.
PROPOSALS = {
    ("wide_arithmetic",): "wide arithmetic is not supported",
    ("custom_page_sizes",): "custom page sizes are not supported",
    ("exceptions", "stack_switching"): "stack switching is not supported",
}


def invalid(wasm: bytes, features: Mapping[str, bool]) -> str:
    """What wasmtime says of an invalid module, "" of a valid one. Features that its version does not know are off."""
    config = wasmtime.Config()
    for feature, enabled in features.items():
        if hasattr(wasmtime.Config, f"wasm_{feature}"):
            setattr(config, f"wasm_{feature}", enabled)
    try:
        interruptible(lambda: wasmtime.Module.validate(wasmtime.Engine(config), wasm))
    except wasmtime.WasmtimeError as error:
        return str(error)
    return ""


def proposal(wasm: bytes, features: Mapping[str, bool]) -> str:
    """For a module that is not valid with these features: what is not supported, "" if it is not valid with others either."""
    everything = {feature: True for needed in PROPOSALS for feature in needed}
    if invalid(wasm, {**features, **everything}):
        return ""
    for count in range(1, len(PROPOSALS) + 1):
        for chosen in combinations(PROPOSALS, count):
            if not invalid(wasm, {**features, **{f: True for needed in chosen for f in needed}}):
                return "; ".join(PROPOSALS[needed] for needed in chosen)
    return ""


def function_at(wasm: bytes, offset: int) -> str:
    """The function whose code is at this offset, by export or index; "" where there is none. For modules whose types
    cannot be decoded: it reads no more than it has to."""
    try:
        return _function_at(wasm, offset)
    except CompileError:
        return ""


def _function_at(wasm: bytes, offset: int) -> str:
    reader, defined = Reader(wasm, len(MAGIC) + 4), 0
    exported: dict[int, str] = {}
    imported: int | None = 0
    while reader.position < reader.end:
        section = reader.byte()
        part = reader.part()
        if section == SECTIONS["import"]:
            imported = _imported_functions(part)
        elif section == SECTIONS["function"]:
            defined = part.unsigned()
        elif section == SECTIONS["export"]:
            for _ in range(part.unsigned()):
                name, kind, index = part.name(), part.byte(), part.unsigned()
                if kind == 0:
                    exported.setdefault(index, name)
        elif section == SECTIONS["code"] and part.position <= offset < part.end and imported is not None:
            part.unsigned()
            for index in range(imported, imported + defined):
                if offset < part.part().end:
                    return exported.get(index, f"func[{index}]")
    return ""


def _imported_functions(part: Reader) -> int | None:
    """None where something else is imported too: its type may be one that cannot be read."""
    count = part.unsigned()
    for _ in range(count):
        part.name()
        part.name()
        if part.byte() != 0:
            return None
        part.unsigned()
    return count
