"""Bulk instructions: what their routine has stored when it returns, against what the oracle read there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....compiler.format.references import NUMBER
from ....compiler.format.tokens import Kind
from ....compiler.format.types import is_reference
from ....compiler.link.heap import size_of
from ....compiler.wasm.heap_types import HEAP_WRITES, written_field
from ..oracle import NULL, REFERENCE_BITS, UNKNOWN, as_record
from .context import Context
from .divergence import Finding
from .steps import STORE


def check_bulk(c: Context, written: np.ndarray, call: int, back: int, address: int) -> Iterator[Finding]:
    """What one bulk instruction has stored. Needs the trace's addresses.

    call, back: the executed steps that call the instruction's routine and return from it. address: as recorded. written: what
    the oracle read there.
    """
    if c.instr(int(c.trace.step[call])).name in HEAP_WRITES:
        yield from check_stored(c, call, back, written)
    else:
        yield from check_range(c, call, back, address, written)


def check_range(c: Context, call: int, back: int, start: int, expected: np.ndarray) -> Iterator[Finding]:
    """The first byte or element that differs. start, expected: address or index of the range, and what the oracle read there."""
    inside = slice(call, back)
    stores = (c.steps.group[c.trace.step[inside]] == STORE) & (c.trace.kind[inside] == Kind.DIGIT)
    check = _elements if expected.dtype == np.int64 else _bytes
    finding = next(check(c, call, start, expected, _written(c, call + np.flatnonzero(stores))), None)
    if finding is not None:
        yield finding


def check_stored(c: Context, call: int, back: int, expected: np.ndarray) -> Iterator[Finding]:
    """The first field or element that differs from what the instruction has written, of a reference what is recorded of it.

    expected: the bytes that the oracle found there, fields one behind the other.
    """
    site = c.program.steps[c.trace.step[call]].site
    assert site is not None
    instr = c.module.functions[site.function].body[site.instruction]
    field = written_field(c.module, instr)
    inside = slice(call, back)
    stores = (c.steps.group[c.trace.step[inside]] == STORE) & (c.trace.kind[inside] == Kind.DIGIT)
    written = _written(c, call + np.flatnonzero(stores))
    size, what = size_of(field.type), f"value stored by {instr.name}"
    if len(written) != len(expected) or (written and max(written) - min(written) >= len(written)):
        yield c.finding("record", what, f"{len(expected)} bytes", f"{len(written)} bytes, or not adjacent", call)
        return
    theirs = expected.tobytes()
    ours = bytes(written[address] for address in sorted(written))
    for at in range(0, len(ours), size):
        one, other = (int.from_bytes(values[at : at + size], "little") for values in (theirs, ours))
        same = one == other
        if is_reference(field.type):
            same = other != 0 if one == REFERENCE_BITS else int(as_record(np.array(other, np.uint64))) == one
        if not same:
            yield c.finding("record", f"{what}, {at // size} behind the first" if at else what, one, other, call)
            return


def _written(c: Context, stores: np.ndarray) -> dict[int, int]:
    """Address -> byte, after these stores. (An address that is not known, NaN, is one that no range has.)"""
    assert c.trace.address is not None
    out: dict[int, int] = {}
    for i in stores.tolist():
        address = c.trace.address[i]
        start, width = -(2**53) if np.isnan(address) else int(address), int(c.steps.width[c.trace.step[i]])
        for j, byte in enumerate(int(c.trace.value[i]).to_bytes(8, "little")[:width]):
            out[start + j] = byte
    return out


def _stray(c: Context, call: int, wanted: range, written: dict[int, int]) -> Iterator[Finding]:
    """Written outside the range, or not written in it."""
    stray = written.keys() ^ set(wanted)
    if stray:
        address = min(stray)
        words = ("written", "not written")
        expected, actual = words if address in wanted else words[::-1]
        yield c.finding("record", f"byte at address {address}", expected, actual, call)


def _bytes(c: Context, call: int, start: int, expected: np.ndarray, written: dict[int, int]) -> Iterator[Finding]:
    site = c.program.steps[c.trace.step[call]].site
    assert site is not None
    instr = c.module.functions[site.function].body[site.instruction]
    start += c.memory_of(instr).base if not instr.name.endswith(".drop") else 0
    yield from _stray(c, call, range(start, start + len(expected)), written)
    for address, byte in enumerate(expected.tolist(), start):
        if written[address] != byte:
            yield c.finding("record", f"byte at address {address}", byte, written[address], call)


def _elements(c: Context, call: int, start: int, expected: np.ndarray, written: dict[int, int]) -> Iterator[Finding]:
    """Element i of a table is a 4-byte reference in hidden memory."""
    base = _table_address(c, call)
    first = min(written, default=0) if base is None else base + 4 * start
    yield from _stray(c, call, range(first, first + 4 * len(expected)), written)
    for i, function in enumerate(expected.tolist()):
        reference = int.from_bytes(bytes(written[first + 4 * i + j] for j in range(4)), "little")
        actual = _function(c, reference)
        if function >= NUMBER and function != reference:
            yield c.finding("record", f"table element {start + i}", f"i31 {function - NUMBER}", reference, call)
        if (function == NULL) != (actual == NULL) or (NUMBER > function >= 0 and actual >= 0 and function != actual):
            yield c.finding("record", f"table element {start + i}", _name(function), _name(actual), call)


def _table_address(c: Context, call: int) -> int | None:
    """Where element 0 of the table that this instruction writes is, if another step on the same table says so."""
    site = c.program.steps[c.trace.step[call]].site
    assert site is not None
    instr = c.module.functions[site.function].body[site.instruction]
    table = instr.args[1] if instr.name == "table.init" else instr.args[0]
    for step in c.program.steps:
        if step.operation.space == "table" and step.site is not None:
            other = c.module.functions[step.site.function].body[step.site.instruction]
            if other.name == step.op and other.args[0] == table:
                return step.imm - c.program.hidden_bytes
    return None


def _function(c: Context, reference: int) -> int:
    """Index in the original module of the function that a reference refers to, or NULL or UNKNOWN."""
    if reference == 0:
        return NULL
    linked = c.program.functions.get(c.program.references.get(reference, -1))
    known = -1 if linked is None else int(c.steps.function_at[linked.entry])
    return known if known >= 0 else UNKNOWN


def _name(function: int) -> str:
    return {NULL: "null", UNKNOWN: "a reference"}.get(function, f"function {function}")
