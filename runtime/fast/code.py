"""LLVM IR as text: instructions, blocks, constants, and values with their types."""

from __future__ import annotations

import struct
from typing import NamedTuple

from .bounds import Bounds
from .interface import Room
from .layout import Type, type_for


class IrValue(NamedTuple):
    """kind "i": ref (an i64) * 2^exponent; "w": ref (an i128) * 2^exponent; "b": ref (an i1); "f": ref (a double)."""

    kind: str
    ref: str
    exponent: int = 0

    @property
    def type(self) -> str:
        return {"i": "i64", "w": "i128", "b": "i1", "f": "double"}[self.kind]


def double(value: float) -> str:
    return "0x" + struct.pack(">d", value).hex().upper()


def _result_type(text: str) -> str:
    """The LLVM type of an instruction's result."""
    words = text.split()
    if words[0] in ("icmp", "fcmp"):
        return "i1"
    if words[0] == "getelementptr":
        return "ptr"
    if " to " in text:
        return words[-1]
    return words[3 if words[0] == "select" else 1].rstrip(",")


class IrText:
    """The module under construction: `lines` is the body of the function at hand. Names are unique in the whole module.

    large: integers of which code has to look whether they are doubles, where they become some (see conversions.py)."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.lines: list[str] = []
        self.count = 0
        self.block = ""
        self.declarations: dict[str, None] = {}
        self.globals: dict[str, str] = {}
        self.types: dict[str, str] = {}
        self.large: set[str] = set()

    def op(self, text: str) -> str:
        self.count += 1
        self.room.take(1)
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        self.types[name] = _result_type(text)
        return name

    def open_phi(self, type: str, initial: str, before: str) -> tuple[str, int]:
        """A loop's variable, of which only the value on entry is known yet: its name, and a handle for `close_phi`."""
        self.count += 1
        name = f"%v{self.count}"
        self.types[name] = type
        self.lines.append(f"  {name} = phi {type} [ {initial}, %{before} ]")
        return name, len(self.lines) - 1

    def close_phi(self, handle: int, value: str, block: str) -> None:
        """Adds the value that comes round from a block."""
        self.lines[handle] += f", [ {value}, %{block} ]"

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def intrinsic(self, signature: str) -> None:
        self.declarations[f"declare {signature}"] = None

    def array(self, values: list[int]) -> tuple[str, Type]:
        """A constant integer array; returns its name and element type."""
        type = type_for(Bounds(min(values), max(values), 0))
        text = f"[{len(values)} x {type.llvm}] [" + ", ".join(f"{type.llvm} {v}" for v in values) + "]"
        if text not in self.globals:
            self.globals[text] = f"@k{len(self.globals)}"
        return self.globals[text], type
