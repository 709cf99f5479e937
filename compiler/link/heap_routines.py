"""Routines for structs, arrays and casts, one for each instruction and type (see `heap` for how objects are laid out)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import wasmtime

from ..format.limits import HEAP_BYTES
from ..format.references import NUMBER, OUTSIDE
from ..format.types import ArrayType, FuncType, RefType, StructType, ValType
from ..wasm.decode import decode
from ..wasm.heap_types import HEAP_HALVES, HEAP_INSTRUCTIONS, HEAP_WRITES
from ..wasm.module import Instr, Module
from .array_routines import ArrayRoutines
from .heap import HEAP_TOP, HeapTypes
from .heap_text import AT, R, load, not_null, parameters, store, word
from .units import Layout

# Of a cast to a type of functions, the names under which its routine finds the first number of such a function and how many
# there are; behind the second word stands the type.
FUNCTIONS_FIRST, FUNCTIONS_COUNT = "functions_first ", "functions_count "
_TRAPS = {
    "null": "null_access", "failed": "cast_failure", "beyond": "array_out_of_bounds", "full": "heap_exhausted",
    "data_beyond": "memory_out_of_bounds", "elem_beyond": "table_out_of_bounds",
}  # fmt: skip
_ACCESS = re.compile(r"\$((load|store)(8|32)\+(\d+))")
# What is stored is recorded as a write, what only computes as a value.
RECORDS = {
    name: "bulk" if name in HEAP_WRITES else "value"
    for name in (*HEAP_INSTRUCTIONS, *HEAP_HALVES)
    if name not in ("ref.eq", "ref.i31")
}  # fmt: skip


def routine_key(module: Module, instr: Instr) -> tuple:
    """What its routine depends on: the name, and types by their own names, so that equal types have one."""
    if not instr.name.startswith(("struct.", "array.")) or not instr.args:
        return (instr.name, *instr.args)
    type_ = module.types[instr.args[0]].name
    # The elements of where array.copy copies from take as much room; and a segment is no part of the type.
    return (instr.name, type_) if instr.name in _TYPE_ALONE else (instr.name, type_, *instr.args[1:])


def routine_label(instr: Instr) -> tuple[object, ...]:
    """What tells its routine from others of its name: the type by its index where it was met first."""
    if not instr.name.startswith(("struct.", "array.")) or not instr.args:
        return instr.args
    return (f"type{instr.args[0]}", *(() if instr.name in _TYPE_ALONE else instr.args[1:]))


_TYPE_ALONE = ("array.copy", "array.new_data", "array.new_elem", "array.init_data", "array.init_elem")


def functions_of(instr: Instr) -> dict[str, Layout]:
    """What a cast to a type of functions has to know of the numbers of functions: none of other instructions."""
    type_ = instr.args[0] if instr.name in ("ref.test", "ref.cast") else None
    if not isinstance(type_, RefType) or not (isinstance(type_.to, FuncType) or type_.to.startswith("func.")):
        return {}
    name = str(RefType(False, type_.to))
    return {"first": Layout(None, FUNCTIONS_FIRST + name), "count": Layout(None, FUNCTIONS_COUNT + name)}


def routine_text(name: str, code: str) -> str:
    """A module that exports one function, with the imports that its code uses."""
    imports = [f'(import "w2x" "trap_{trap}" (func ${short}))' for short, trap in _TRAPS.items() if f"(call ${short})" in code]
    for access, kind, bits, offset in sorted(set(_ACCESS.findall(code))):
        type_ = "(param i32) (result i32)" if kind == "load" else "(param i32 i32)"
        imports.append(f'(import "w2x" "hidden_{kind}{bits}+{offset}" (func ${access} {type_}))')
    if "$top" in code:
        imports.append(f'(import "w2x" "{HEAP_TOP}" (global $top (mut i32)))')
    if "$segment" in code:
        imports.append('(import "w2x.layout" "offset" (global $segment i32))')
        imports.append('(import "w2x.layout" "size" (global $segment_size (mut i32)))')
    if "$first" in code:
        imports.append('(import "w2x.layout" "first" (global $first i32))')
        imports.append('(import "w2x.layout" "count" (global $count i32))')
    return f'(module {" ".join(imports)} (func (export "{name}") {code}))'


def heap_routine(types: HeapTypes, module: Module, instr: Instr) -> Module:
    """A function of the instruction's name that does what it does. module: where it stands."""
    return decode(bytes(wasmtime.wat2wasm(routine_text(instr.name, _Code(types, module, instr).code()))))


def cast_routine(types: HeapTypes, type_: ValType) -> Module:
    """A function "ref.test" that says whether a reference is of this type."""
    return decode(bytes(wasmtime.wat2wasm(routine_text("ref.test", f"(param $r i32) (result i32) {test(types, type_)}"))))


def test(types: HeapTypes, type_: ValType) -> str:
    """Code that says whether the reference $r is of this type."""
    nullable = type_.nullable if isinstance(type_, RefType) else True
    to = type_.to if isinstance(type_, RefType) else type_.removesuffix("ref")
    kind = to.partition(".")[0] if isinstance(to, str) else "func"
    if kind in ("none", "nofunc", "noextern", "noexn"):
        inner = "(i32.const 0)"
    elif to in ("any", "func", "extern", "exn"):
        inner = "(i32.const 1)"
    elif to == "i31":
        inner = f"(i32.lt_s {R} (i32.const 0))"
    elif kind == "func":
        inner = f"(i32.lt_u (i32.sub {R} (global.get $first)) (global.get $count))"
    else:
        first, last = types.range_of(to)  # type: ignore[arg-type]
        inside = f"(i32.lt_u (i32.sub {_header(types)} (i32.const {first})) (i32.const {last - first + 1}))"
        number = f"(i32.lt_s {R} (i32.const 0))" if to == "eq" else "(i32.const 0)"
        inner = f"(if (result i32) (i32.ge_u {R} (i32.const {OUTSIDE})) (then {number}) (else {inside}))"
    return f"(if (result i32) (i32.eqz {R}) (then (i32.const {int(nullable)})) (else {inner}))"


def _header(types: HeapTypes, of: str = R) -> str:
    return f"(call $load{8 * types.header}+0 {of})"


class _Code(ArrayRoutines):
    """The code of one routine: its parameters, results and locals, then its instructions."""

    def __init__(self, types: HeapTypes, module: Module, instr: Instr):
        self.types, self.module, self.instr = types, module, instr
        named = module.types[instr.args[0]] if instr.name.startswith(("struct.", "array.")) and instr.args else None
        self.struct = named if isinstance(named, StructType) else None
        self.array = named if isinstance(named, ArrayType) else None

    def code(self) -> str:
        return "\n".join(getattr(self, f"_{self.instr.name.replace('.', '_')}")())

    # References

    def _ref_test(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) {test(self.types, self.instr.args[0])}"

    def _ref_cast(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) (if (i32.eqz {test(self.types, self.instr.args[0])}) (then (call $failed))) {R}"

    def _i31_get_u(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) {not_null()} (i32.and {R} (i32.const {NUMBER - 1}))"

    def _i31_get_s(self) -> Iterator[str]:
        number = f"(i32.shr_s (i32.shl {R} (i32.const 1)) (i32.const 1))"
        yield f"(param $r i32) (result i32) {not_null()} {number}"

    def _any_convert_extern(self) -> Iterator[str]:
        other = f"(i32.xor {R} (i32.const {OUTSIDE}))"
        yield f"(param $r i32) (result i32) (if (result i32) (i32.gt_s {R} (i32.const 0)) (then {other}) (else {R}))"

    _extern_convert_any = _any_convert_extern

    # Room

    def _place(self, size: int) -> str:
        """Sets $at to where a new object of this size begins."""
        return f"""(local.set $at (global.get $top))
          (if (i32.gt_u {AT} (i32.const {HEAP_BYTES - size})) (then (call $full)))
          (global.set $top (i32.add {AT} (i32.const {size})))"""

    # Structs

    def _struct_new(self) -> Iterator[str]:
        assert self.struct is not None
        fields = self.struct.fields
        yield " ".join(parameters(f"v{k}_", f.type) for k, f in enumerate(fields))
        yield "(result i32) (local $at i32)"
        yield from self._new_struct()
        for k, (f, offset) in enumerate(zip(fields, self.types.offsets(self.struct), strict=False)):
            yield store(f.type, AT, offset, f"v{k}_")
        yield AT

    def _struct_new_default(self) -> Iterator[str]:
        yield "(result i32) (local $at i32)"
        yield from self._new_struct()
        yield AT

    def _new_struct(self) -> Iterator[str]:
        assert self.struct is not None
        yield self._place(self.types.offsets(self.struct)[-1])
        yield self._head(self.types.numbers[self.struct.name])

    def _struct_get(self, signed: bool = False) -> Iterator[str]:
        type_, offset = self._field()
        yield from self._read_field(type_, offset, signed)

    @staticmethod
    def _read_field(type_: str, offset: int, signed: bool = False) -> Iterator[str]:
        yield f"(param $r i32) (result {word(type_)}) {not_null()} {load(type_, R, offset, signed)}"

    def _struct_get_low(self) -> Iterator[str]:
        return self._read_field("i64", self._field()[1])

    def _struct_get_high(self) -> Iterator[str]:
        return self._read_field("i64", self._field()[1] + 8)

    _struct_get_u = _struct_get

    def _struct_get_s(self) -> Iterator[str]:
        return self._struct_get(signed=True)

    def _struct_set(self) -> Iterator[str]:
        type_, offset = self._field()
        yield f"(param $r i32) {parameters('v', type_)} {not_null()} {store(type_, R, offset, 'v')}"

    def _field(self) -> tuple[str, int]:
        assert self.struct is not None
        index = self.instr.args[1]
        return self.struct.fields[index].type, self.types.offsets(self.struct)[index]
