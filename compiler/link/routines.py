"""Which instructions are calls of linked routines, and the WAT files with the routines.

A routine file exports a function under the name of each instruction that it implements. It may import

    "w2x"        intrinsics (see `linked`), hidden registers; "memory", the memory that the instance is made for, and its
                 size, "memory_bytes"; in the file for copies between two memories also "source_memory"
    "w2x.layout" numbers that the linker decides for one instance of the file: where a table or a segment lies in hidden
                 memory ("offset"), its size register ("size"), a bound for growing ("capacity", "maximum")
    "w2x.memory" functions of memory.wat that need no layout

Files are instantiated once for each set of layout values, so a call needs no arguments besides the instruction's own
operands, and the layout values are constants in the steps. Adding an instruction takes a function and a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import wasmtime

from ..wasm.check import FLOAT_ARITHMETIC
from ..wasm.decode import decode
from ..wasm.module import Module
from ..wasm.simd import HALF_FLOATS, HALF_FUSED, HALF_INTEGERS
from .atomics import ATOMICS, record_of
from .heap_routines import RECORDS as HEAP_RECORDS
from .units import Definition, Layout


@dataclass(frozen=True)
class Routine:
    """file: WAT file without suffix. function: its export. record: see `LinkedModule.routines`.

    parameters: the instruction's immediates on which the layout values depend, in order: their kind, and the prefix of
    the names under which the file imports their values.
    """

    file: str
    function: str
    record: str
    parameters: tuple[tuple[str, str], ...] = ()


_DATA = (("data", ""),)
_TABLE = (("table", ""),)
_ELEMENTS = (("elem", ""),)

# Instructions whose routine has their name, by file: floating-point numbers are bit patterns in integer words.
_VALUES = {
    "division": ("i64.div_u", "i64.div_s", "i64.rem_u", "i64.rem_s"),
    "f32": tuple(name for name in FLOAT_ARITHMETIC if name.startswith("f32.")),
    "f64": tuple(name for name in FLOAT_ARITHMETIC if name.startswith("f64.")),
    "simd": HALF_INTEGERS,
    "simd_floats": HALF_FLOATS,
    "fused": HALF_FUSED,
    "conversions": tuple(name for name in FLOAT_ARITHMETIC if name.startswith("i")),
}

ROUTINES: dict[str, Routine] = {
    **{name: Routine(file, name, "value") for file, names in _VALUES.items() for name in names},
    "memory.grow": Routine("memory", "memory.grow", "value"),
    "memory.fill": Routine("memory", "memory.fill", "bulk"),
    "memory.copy": Routine("memory", "memory.copy", "bulk"),
    "memory.init": Routine("memory", "memory.init", "bulk", _DATA),
    "data.drop": Routine("memory", "data.drop", "bulk", _DATA),
    "table.grow": Routine("tables", "table.grow", "value", _TABLE),
    "table.fill": Routine("tables", "table.fill", "bulk", _TABLE),
    "table.copy": Routine("tables", "table.copy", "bulk", (("table", ""), ("table", "source_"))),
    "table.init": Routine("tables", "table.copy", "bulk", (("elem", "source_"), ("table", ""))),
    "ref.as_non_null": Routine("references", "ref.as_non_null", "value"),
    **{name: Routine("atomics", name, record_of(name)) for name in ATOMICS if name != "atomic.fence"},
    **{name: Routine("heap", name, record) for name, record in HEAP_RECORDS.items()},
    "elem.drop": Routine("tables", "elem.drop", "bulk", _ELEMENTS),
}

# The file of memory.copy from one memory to another.
BETWEEN = "between"
# Layout values of each kind of owner, see `units.Layout`.
LAYOUT_NAMES = {"table": ("offset", "size", "capacity"), "data": ("offset", "size"), "elem": ("offset", "size")}

WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")
# Who imports one of these gets the descriptors of files.wat, everybody else the three of wasi.wat.
_OPENING = frozenset({"path_open", "fd_renumber"})
_INCLUDE = re.compile(r"^ *;; include (\w+\.wat)$", re.MULTILINE)


@cache
def load(file: str) -> Module:
    """The decoded routine file `file`.wat of this package. A line `;; include FILE` stands for what is in that one."""
    text = _INCLUDE.sub(lambda line: _text(line[1]), _text(f"{file}.wat"))
    return decode(bytes(wasmtime.wat2wasm(text)))


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def opens_files(modules: Iterable[Module]) -> bool:
    """Whether one of them can have more descriptors of WASI than the standard streams."""
    return any(i.module in WASI_MODULES and i.name in _OPENING for m in modules for i in m.imports)


def standard_libraries(with_files: bool = True) -> dict[str, Module]:
    """What programs and routines can import without anybody's doing. with_files: WASI for who opens files (`opens_files`)."""
    wasi = load("files" if with_files else "wasi")
    return {**dict.fromkeys(WASI_MODULES, wasi), "w2x.memory": load("memory")}


def variant(wide: Sequence[bool]) -> str:
    """What is behind the name of a routine for memories with 64-bit addresses or without: of a copy, where to and where from."""
    return {(True,): "64", (True, True): "64", (True, False): "_to64", (False, True): "_from64"}.get(tuple(wide), "")


def memory_layout(memories: Sequence[Definition]) -> dict[str, Layout]:
    """What a routine for these memories imports of the first one, besides the memory and its size."""
    return {"maximum": Layout(memories[0], "maximum")} if memories else {}


def layout_of(routine: Routine, operands: list[Definition]) -> dict[str, Layout]:
    """What the layout names stand for in the instance of a routine for these immediates."""
    return {
        prefix + name: Layout(owner, name)
        for owner, (kind, prefix) in zip(operands, routine.parameters, strict=True)
        for name in LAYOUT_NAMES[kind]
    }
