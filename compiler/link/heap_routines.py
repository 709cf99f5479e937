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
from .heap import HEAP_TOP, HeapTypes, size_of
from .units import Layout

# Of a cast to a type of functions, the names under which its routine finds the first number of such a function and how many
# there are; behind the second word stands the type.
FUNCTIONS_FIRST, FUNCTIONS_COUNT = "functions_first ", "functions_count "
_TRAPS = {
    "null": "null_access", "failed": "cast_failure", "beyond": "array_out_of_bounds", "full": "heap_exhausted",
    "data_beyond": "memory_out_of_bounds", "elem_beyond": "table_out_of_bounds",
}  # fmt: skip
_ACCESS = re.compile(r"\$((load|store)(8|32)\+(\d+))")
_R, _AT = "(local.get $r)", "(local.get $at)"
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
        inner = f"(i32.lt_s {_R} (i32.const 0))"
    elif kind == "func":
        inner = f"(i32.lt_u (i32.sub {_R} (global.get $first)) (global.get $count))"
    else:
        first, last = types.range_of(to)  # type: ignore[arg-type]
        inside = f"(i32.lt_u (i32.sub {_header(types)} (i32.const {first})) (i32.const {last - first + 1}))"
        number = f"(i32.lt_s {_R} (i32.const 0))" if to == "eq" else "(i32.const 0)"
        inner = f"(if (result i32) (i32.ge_u {_R} (i32.const {OUTSIDE})) (then {number}) (else {inside}))"
    return f"(if (result i32) (i32.eqz {_R}) (then (i32.const {int(nullable)})) (else {inner}))"


def _header(types: HeapTypes, of: str = _R) -> str:
    return f"(call $load{8 * types.header}+0 {of})"


def _parameters(name: str, type_: str) -> str:
    """Of a field's value: of a vector its two halves."""
    if type_ == "v128":
        return f"(param ${name}l i64) (param ${name}h i64)"
    return f"(param ${name} {_word(type_)})"


def _word(type_: str) -> str:
    """The type of a field's values in routines."""
    return "i64" if type_ in ("i64", "f64") else "i32"


def _load(type_: str, at: str, offset: int, signed: bool = False) -> str:
    size = size_of(type_)
    if size == 1:
        code = f"(call $load8+{offset} {at})"
        return f"(i32.extend8_s {code})" if signed else code
    if size == 2:
        high = f"(i32.shl (call $load8+{offset + 1} {at}) (i32.const 8))"
        code = f"(i32.or (call $load8+{offset} {at}) {high})"
        return f"(i32.extend16_s {code})" if signed else code
    low = f"(call $load32+{offset} {at})"
    if size == 4:
        return low
    high = f"(i64.shl (i64.extend_i32_u (call $load32+{offset + 4} {at})) (i64.const 32))"
    return f"(i64.or (i64.extend_i32_u {low}) {high})"


def _store(type_: str, at: str, offset: int, name: str) -> str:
    """Of the value with this name."""
    if type_ == "v128":
        return _store("i64", at, offset, f"{name}l") + _store("i64", at, offset + 8, f"{name}h")
    size, value = size_of(type_), f"(local.get ${name})"
    if size == 1:
        return f"(call $store8+{offset} {at} {value})"
    if size == 2:
        high = f"(i32.shr_u {value} (i32.const 8))"
        return f"(call $store8+{offset} {at} {value}) (call $store8+{offset + 1} {at} {high})"
    if size == 4:
        return f"(call $store32+{offset} {at} {value})"
    low, high = f"(i32.wrap_i64 {value})", f"(i32.wrap_i64 (i64.shr_u {value} (i64.const 32)))"
    return f"(call $store32+{offset} {at} {low}) (call $store32+{offset + 4} {at} {high})"


def _move(size: int, at: str, offset: int, source: str, further: int) -> str:
    """Copies so many bytes, from `further` behind the source."""
    width = min(size, 4) if size != 2 else 1
    places = range(0, size, width)
    return " ".join(
        f"(call $store{8 * width}+{offset + k} {at} (call $load{8 * width}+{further + k} {source}))" for k in places
    )


def _not_null(name: str = "$r") -> str:
    return f"(if (i32.eqz (local.get {name})) (then (call $null)))"


class _Code:
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
        yield f"(param $r i32) (result i32) (if (i32.eqz {test(self.types, self.instr.args[0])}) (then (call $failed))) {_R}"

    def _i31_get_u(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) {_not_null()} (i32.and {_R} (i32.const {NUMBER - 1}))"

    def _i31_get_s(self) -> Iterator[str]:
        number = f"(i32.shr_s (i32.shl {_R} (i32.const 1)) (i32.const 1))"
        yield f"(param $r i32) (result i32) {_not_null()} {number}"

    def _any_convert_extern(self) -> Iterator[str]:
        other = f"(i32.xor {_R} (i32.const {OUTSIDE}))"
        yield f"(param $r i32) (result i32) (if (result i32) (i32.gt_s {_R} (i32.const 0)) (then {other}) (else {_R}))"

    _extern_convert_any = _any_convert_extern

    # Room

    def _place(self, size: int) -> str:
        """Sets $at to where a new object of this size begins."""
        return f"""(local.set $at (global.get $top))
          (if (i32.gt_u {_AT} (i32.const {HEAP_BYTES - size})) (then (call $full)))
          (global.set $top (i32.add {_AT} (i32.const {size})))"""

    def _head(self, number: int) -> str:
        return f"(call $store{8 * self.types.header}+0 {_AT} (i32.const {number}))"

    # Structs

    def _struct_new(self) -> Iterator[str]:
        assert self.struct is not None
        fields = self.struct.fields
        yield " ".join(_parameters(f"v{k}_", f.type) for k, f in enumerate(fields))
        yield "(result i32) (local $at i32)"
        yield from self._new_struct()
        for k, (f, offset) in enumerate(zip(fields, self.types.offsets(self.struct), strict=False)):
            yield _store(f.type, _AT, offset, f"v{k}_")
        yield _AT

    def _struct_new_default(self) -> Iterator[str]:
        yield "(result i32) (local $at i32)"
        yield from self._new_struct()
        yield _AT

    def _new_struct(self) -> Iterator[str]:
        assert self.struct is not None
        yield self._place(self.types.offsets(self.struct)[-1])
        yield self._head(self.types.numbers[self.struct.name])

    def _struct_get(self, signed: bool = False) -> Iterator[str]:
        type_, offset = self._field()
        yield from self._read_field(type_, offset, signed)

    @staticmethod
    def _read_field(type_: str, offset: int, signed: bool = False) -> Iterator[str]:
        yield f"(param $r i32) (result {_word(type_)}) {_not_null()} {_load(type_, _R, offset, signed)}"

    def _struct_get_low(self) -> Iterator[str]:
        return self._read_field("i64", self._field()[1])

    def _struct_get_high(self) -> Iterator[str]:
        return self._read_field("i64", self._field()[1] + 8)

    _struct_get_u = _struct_get

    def _struct_get_s(self) -> Iterator[str]:
        return self._struct_get(signed=True)

    def _struct_set(self) -> Iterator[str]:
        type_, offset = self._field()
        yield f"(param $r i32) {_parameters('v', type_)} {_not_null()} {_store(type_, _R, offset, 'v')}"

    def _field(self) -> tuple[str, int]:
        assert self.struct is not None
        index = self.instr.args[1]
        return self.struct.fields[index].type, self.types.offsets(self.struct)[index]

    # Arrays

    @property
    def _type(self) -> str:
        assert self.array is not None
        return self.array.element.type

    @property
    def _shift(self) -> int:
        return size_of(self._type).bit_length() - 1

    def _scaled(self, count: str) -> str:
        """How many bytes so many elements take."""
        return f"(i32.shl {count} (i32.const {self._shift}))" if self._shift else count

    def _new_array(self, count: str) -> Iterator[str]:
        """Makes an array of $n elements, all 0, at $at. $end: where it ends."""
        assert self.array is not None
        elements = self.types.elements
        yield f"(if (i32.gt_u {count} (i32.const {HEAP_BYTES >> self._shift})) (then (call $full)))"
        yield "(local.set $at (global.get $top))"
        yield f"(local.set $end (i32.add (i32.add {_AT} (i32.const {elements})) {self._scaled(count)}))"
        yield f"(if (i32.gt_u (local.get $end) (i32.const {HEAP_BYTES})) (then (call $full)))"
        yield "(global.set $top (local.get $end))"
        yield self._head(self.types.numbers[self.array.name])
        yield f"(call $store32+{self.types.header} {_AT} {count})"

    def _array_new(self) -> Iterator[str]:
        yield f"{_parameters('v', self._type)} (param $n i32) (result i32) (local $at i32) (local $end i32) (local $r i32)"
        yield from self._new_array("(local.get $n)")
        yield f"(local.set $r {_AT})"
        word, value = _word(self._type), "(local.get $v)"
        if self._type == "v128":
            word, value = "i64", "(i64.or (local.get $vl) (local.get $vh))"
        yield f"(if (i32.eqz ({word}.eqz {value})) (then"
        yield from self._loop(f"(i32.sub (local.get $end) (i32.const {self.types.elements}))")
        yield f")) {_R}"

    def _loop(self, end: str) -> Iterator[str]:
        """Stores $v in all elements from $at on, up to `end`."""
        elements = self.types.elements
        yield f"(local.set $end {end})"
        yield f"(block $done (loop $next (br_if $done (i32.ge_u {_AT} (local.get $end)))"
        yield _store(self._type, _AT, elements, "v")
        yield f"(local.set $at (i32.add {_AT} (i32.const {size_of(self._type)}))) (br $next)))"

    def _array_new_default(self) -> Iterator[str]:
        yield "(param $n i32) (result i32) (local $at i32) (local $end i32)"
        yield from self._new_array("(local.get $n)")
        yield _AT

    def _array_new_fixed(self) -> Iterator[str]:
        count, size = self.instr.args[1], size_of(self._type)
        yield " ".join(_parameters(f"v{k}_", self._type) for k in range(count))
        yield "(result i32) (local $at i32) (local $end i32)"
        yield from self._new_array(f"(i32.const {count})")
        for k in range(count):
            yield _store(self._type, _AT, self.types.elements + k * size, f"v{k}_")
        yield _AT

    def _element(self) -> Iterator[str]:
        """Sets $at to where element $i of the array $r is, less where elements begin."""
        yield _not_null()
        yield f"(if (i32.ge_u (local.get $i) (call $load32+{self.types.header} {_R})) (then (call $beyond)))"
        yield f"(local.set $at (i32.add {_R} {self._scaled('(local.get $i)')}))"

    def _array_get(self, signed: bool = False) -> Iterator[str]:
        return self._read_element(self._type, 0, signed)

    def _read_element(self, type_: str, further: int, signed: bool = False) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) (result {_word(type_)}) (local $at i32)"
        yield from self._element()
        yield _load(type_, _AT, self.types.elements + further, signed)

    _array_get_u = _array_get

    def _array_get_s(self) -> Iterator[str]:
        return self._array_get(signed=True)

    def _array_get_low(self) -> Iterator[str]:
        return self._read_element("i64", 0)

    def _array_get_high(self) -> Iterator[str]:
        return self._read_element("i64", 8)

    def _array_set(self) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) {_parameters('v', self._type)} (local $at i32)"
        yield from self._element()
        yield _store(self._type, _AT, self.types.elements, "v")

    def _array_len(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) {_not_null()} (call $load32+{self.types.header} {_R})"

    def _within(self, array: str, first: str) -> Iterator[str]:
        """Traps unless $n elements from `first` on are in the array."""
        length = f"(call $load32+{self.types.header} (local.get {array}))"
        yield f"(local.set $length {length})"
        yield f"(if (i32.gt_u (local.get {first}) (local.get $length)) (then (call $beyond)))"
        yield f"(if (i32.gt_u (local.get $n) (i32.sub (local.get $length) (local.get {first}))) (then (call $beyond)))"

    def _array_fill(self) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) {_parameters('v', self._type)} (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {_not_null()}"
        yield from self._within("$r", "$i")
        yield f"(local.set $at (i32.add {_R} {self._scaled('(local.get $i)')}))"
        yield from self._loop(f"(i32.add {_AT} {self._scaled('(local.get $n)')})")

    def _array_copy(self) -> Iterator[str]:
        """Backwards where the elements lie behind those they are copied from: they may be the same array's."""
        size, elements = size_of(self._type), self.types.elements
        yield "(param $r i32) (param $i i32) (param $s i32) (param $j i32) (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {_not_null()} {_not_null('$s')}"
        yield from self._within("$r", "$i")
        yield from self._within("$s", "$j")
        yield f"(local.set $at (i32.add {_R} {self._scaled('(local.get $i)')}))"
        yield f"(local.set $s (i32.add (local.get $s) {self._scaled('(local.get $j)')}))"
        yield f"(local.set $end (i32.add {_AT} {self._scaled('(local.get $n)')}))"
        copied = _move(size, _AT, elements, "(local.get $s)", elements)
        step = f"(i32.const {size})"
        yield f"(if (i32.le_u {_AT} (local.get $s)) (then"
        yield f"(block $done (loop $next (br_if $done (i32.eq {_AT} (local.get $end))) {copied}"
        yield f"(local.set $at (i32.add {_AT} {step})) (local.set $s (i32.add (local.get $s) {step})) (br $next)))"
        yield ") (else (local.set $length (local.get $at)) (local.set $at (local.get $end))"
        yield f"(local.set $s (i32.add (local.get $s) {self._scaled('(local.get $n)')}))"
        yield f"(block $done (loop $next (br_if $done (i32.eq {_AT} (local.get $length)))"
        yield f"(local.set $at (i32.sub {_AT} {step})) (local.set $s (i32.sub (local.get $s) {step})) {copied} (br $next)))))"

    # Segments

    def _segment_within(self, first: str, data: bool) -> str:
        """Traps unless a segment has $n elements from `first` on."""
        count = "(i64.extend_i32_u (local.get $n))"
        if data and self._shift:
            count = f"(i64.shl {count} (i64.const {self._shift}))"
        end = f"(i64.add (i64.extend_i32_u (local.get {first})) {count})"
        trap = "$data_beyond" if data else "$elem_beyond"
        return f"(if (i64.gt_u {end} (i64.extend_i32_u (global.get $segment_size))) (then (call {trap})))"

    def _copied(self, first: str, data: bool) -> Iterator[str]:
        """Copies $n elements of a segment to $at, less where elements begin."""
        elements = self.types.elements
        start = f"(local.get {first})" if data else f"(i32.shl (local.get {first}) (i32.const 2))"
        yield f"(local.set $s (i32.add (global.get $segment) {start}))"
        yield f"(local.set $end (i32.add {_AT} {self._scaled('(local.get $n)')}))"
        yield f"(block $done (loop $next (br_if $done (i32.eq {_AT} (local.get $end)))"
        yield _move(size_of(self._type), _AT, elements, "(local.get $s)", 0)
        step = f"(i32.const {size_of(self._type)})"
        yield f"(local.set $at (i32.add {_AT} {step})) (local.set $s (i32.add (local.get $s) {step})) (br $next)))"

    def _array_new_data(self, data: bool = True) -> Iterator[str]:
        yield "(param $s i32) (param $n i32) (result i32) (local $at i32) (local $end i32) (local $r i32)"
        yield self._segment_within("$s", data)
        yield from self._new_array("(local.get $n)")
        yield f"(local.set $r {_AT})"
        yield from self._copied("$s", data)
        yield _R

    def _array_new_elem(self) -> Iterator[str]:
        return self._array_new_data(data=False)

    def _array_init_data(self, data: bool = True) -> Iterator[str]:
        yield "(param $r i32) (param $i i32) (param $s i32) (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {_not_null()}"
        yield from self._within("$r", "$i")
        yield self._segment_within("$s", data)
        yield f"(local.set $at (i32.add {_R} {self._scaled('(local.get $i)')}))"
        yield from self._copied("$s", data)

    def _array_init_elem(self) -> Iterator[str]:
        return self._array_init_data(data=False)
