"""What an instruction has written into a struct or an array, copied to where the host reads it: behind the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....compiler.format.types import PACKED, FuncType, ValType, is_reference
from ....compiler.link.heap import size_of
from ....compiler.wasm.heap_types import written_field
from ....compiler.wasm.module import Instr
from ....compiler.wasm.type_names import reference_to
from .observed import nullable, reference_bits
from .record import LOG_BYTES

if TYPE_CHECKING:
    from .instrumented_body import InstrumentedBody


def operands_of(body: InstrumentedBody, instr: Instr) -> list[int]:
    """Locals for the operands of what writes into objects; they are read again behind it."""
    to = reference_to(body.module.types[instr.args[0]], True)
    if instr.name == "struct.set":
        types: list[ValType] = [to, written_field(body.module, instr).value]
    elif instr.name == "array.copy":
        types = [to, "i32", reference_to(body.module.types[instr.args[1]], True), "i32", "i32"]
    elif instr.name in ("array.set", "array.fill"):
        types = [to, "i32", written_field(body.module, instr).value, *["i32"] * (instr.name == "array.fill")]
    else:
        types = [to, "i32", "i32", "i32"]
    return [body.scratch(type_, 20 + k) for k, type_ in enumerate(types)]


def keep_written(body: InstrumentedBody, instr: Instr, operands: list[int]) -> int:
    """Copies what these operands have written; the local with how many bytes it is."""
    at, type_ = body.scratch("i32", 10), instr.args[0]
    field = written_field(body.module, instr)
    packed = "_u" if field.type in PACKED else ""
    if instr.name == "struct.set":
        body.emit(("i32.const", LOG_BYTES), ("local.get", operands[0]), (f"struct.get{packed}", *instr.args))
        _keep(body, field.type)
        body.emit(("i32.const", size_of(field.type)), ("local.set", at))
        return at
    count = [("i32.const", 1)] if instr.name == "array.set" else [("local.get", operands[-1])]
    size, end = ("i32.const", size_of(field.type)), body.scratch("i32", 11)
    body.emit(*count, size, ("i32.mul",), ("local.tee", end), ("call", body.added.room), ("i32.const", 0), ("local.set", at))
    body.emit(("block", FuncType()), ("loop", FuncType()), ("local.get", at), ("local.get", end), ("i32.ge_u",), ("br_if", 1))
    body.emit(("local.get", at), ("i32.const", LOG_BYTES), ("i32.add",))
    body.emit(*(("local.get", local) for local in operands[:2]))
    body.emit(("local.get", at), size, ("i32.div_u",), ("i32.add",), (f"array.get{packed}", type_))
    _keep(body, field.type)
    body.emit(("local.get", at), size, ("i32.add",), ("local.set", at), ("br", 0), ("end",), ("end",))
    return end


def _keep(body: InstrumentedBody, type_: str) -> None:
    """Stores what stands on the stack at the address below it, in the log's memory."""
    memory = (body.added.memory,) if body.added.memory else ()
    if is_reference(type_):
        body.emit(*reference_bits(type_, body.scratch(nullable(type_), 8)))
        type_ = "i32"
    name = {"i8": "i32.store8", "i16": "i32.store16"}.get(type_, f"{type_}.store")
    body.emit((name, 0, 0, *memory))
