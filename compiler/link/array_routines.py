"""The code of routines for arrays."""

from __future__ import annotations

from collections.abc import Iterator

from ..format.limits import HEAP_BYTES
from ..format.types import ArrayType
from ..wasm.module import Instr
from .heap import HeapTypes, size_of
from .heap_text import AT, R, load, move, not_null, parameters, store, word


class ArrayRoutines:
    """Of one instruction: a method for each, named after it, that gives parameters, results and locals, then instructions.
    array: the type that it names, if it names one of an array."""

    types: HeapTypes
    instr: Instr
    array: ArrayType | None

    def _head(self, number: int) -> str:
        """Says of what type the object at $at is."""
        return f"(call $store{8 * self.types.header}+0 {AT} (i32.const {number}))"

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
        yield f"(local.set $end (i32.add (i32.add {AT} (i32.const {elements})) {self._scaled(count)}))"
        yield f"(if (i32.gt_u (local.get $end) (i32.const {HEAP_BYTES})) (then (call $full)))"
        yield "(global.set $top (local.get $end))"
        yield self._head(self.types.numbers[self.array.name])
        yield f"(call $store32+{self.types.header} {AT} {count})"

    def _array_new(self) -> Iterator[str]:
        yield f"{parameters('v', self._type)} (param $n i32) (result i32) (local $at i32) (local $end i32) (local $r i32)"
        yield from self._new_array("(local.get $n)")
        yield f"(local.set $r {AT})"
        zero = f"({word(self._type)}.eqz (local.get $v))"
        if self._type == "v128":
            zero = "(i64.eqz (i64.or (local.get $vl) (local.get $vh)))"
        yield f"(if (i32.eqz {zero}) (then"
        yield from self._loop(f"(i32.sub (local.get $end) (i32.const {self.types.elements}))")
        yield f")) {R}"

    def _loop(self, end: str) -> Iterator[str]:
        """Stores $v in all elements from $at on, up to `end`."""
        elements = self.types.elements
        yield f"(local.set $end {end})"
        yield f"(block $done (loop $next (br_if $done (i32.ge_u {AT} (local.get $end)))"
        yield store(self._type, AT, elements, "v")
        yield f"(local.set $at (i32.add {AT} (i32.const {size_of(self._type)}))) (br $next)))"

    def _array_new_default(self) -> Iterator[str]:
        yield "(param $n i32) (result i32) (local $at i32) (local $end i32)"
        yield from self._new_array("(local.get $n)")
        yield AT

    def _array_new_fixed(self) -> Iterator[str]:
        count, size = self.instr.args[1], size_of(self._type)
        yield " ".join(parameters(f"v{k}_", self._type) for k in range(count))
        yield "(result i32) (local $at i32) (local $end i32)"
        yield from self._new_array(f"(i32.const {count})")
        for k in range(count):
            yield store(self._type, AT, self.types.elements + k * size, f"v{k}_")
        yield AT

    def _element(self) -> Iterator[str]:
        """Sets $at to where element $i of the array $r is, less where elements begin."""
        yield not_null()
        yield f"(if (i32.ge_u (local.get $i) (call $load32+{self.types.header} {R})) (then (call $beyond)))"
        yield f"(local.set $at (i32.add {R} {self._scaled('(local.get $i)')}))"

    def _array_get(self, signed: bool = False) -> Iterator[str]:
        return self._read_element(self._type, 0, signed)

    def _read_element(self, type_: str, further: int, signed: bool = False) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) (result {word(type_)}) (local $at i32)"
        yield from self._element()
        yield load(type_, AT, self.types.elements + further, signed)

    _array_get_u = _array_get

    def _array_get_s(self) -> Iterator[str]:
        return self._array_get(signed=True)

    def _array_get_low(self) -> Iterator[str]:
        return self._read_element("i64", 0)

    def _array_get_high(self) -> Iterator[str]:
        return self._read_element("i64", 8)

    def _array_set(self) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) {parameters('v', self._type)} (local $at i32)"
        yield from self._element()
        yield store(self._type, AT, self.types.elements, "v")

    def _array_len(self) -> Iterator[str]:
        yield f"(param $r i32) (result i32) {not_null()} (call $load32+{self.types.header} {R})"

    def _within(self, array: str, first: str) -> Iterator[str]:
        """Traps unless $n elements from `first` on are in the array."""
        length = f"(call $load32+{self.types.header} (local.get {array}))"
        yield f"(local.set $length {length})"
        yield f"(if (i32.gt_u (local.get {first}) (local.get $length)) (then (call $beyond)))"
        yield f"(if (i32.gt_u (local.get $n) (i32.sub (local.get $length) (local.get {first}))) (then (call $beyond)))"

    def _array_fill(self) -> Iterator[str]:
        yield f"(param $r i32) (param $i i32) {parameters('v', self._type)} (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {not_null()}"
        yield from self._within("$r", "$i")
        yield f"(local.set $at (i32.add {R} {self._scaled('(local.get $i)')}))"
        yield from self._loop(f"(i32.add {AT} {self._scaled('(local.get $n)')})")

    def _array_copy(self) -> Iterator[str]:
        """Backwards where the elements lie behind those they are copied from: they may be the same array's."""
        size, elements = size_of(self._type), self.types.elements
        yield "(param $r i32) (param $i i32) (param $s i32) (param $j i32) (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {not_null()} {not_null('$s')}"
        yield from self._within("$r", "$i")
        yield from self._within("$s", "$j")
        yield f"(local.set $at (i32.add {R} {self._scaled('(local.get $i)')}))"
        yield f"(local.set $s (i32.add (local.get $s) {self._scaled('(local.get $j)')}))"
        yield f"(local.set $end (i32.add {AT} {self._scaled('(local.get $n)')}))"
        copied = move(size, AT, elements, "(local.get $s)", elements)
        step = f"(i32.const {size})"
        yield f"(if (i32.le_u {AT} (local.get $s)) (then"
        yield f"(block $done (loop $next (br_if $done (i32.eq {AT} (local.get $end))) {copied}"
        yield f"(local.set $at (i32.add {AT} {step})) (local.set $s (i32.add (local.get $s) {step})) (br $next)))"
        yield ") (else (local.set $length (local.get $at)) (local.set $at (local.get $end))"
        yield f"(local.set $s (i32.add (local.get $s) {self._scaled('(local.get $n)')}))"
        yield f"(block $done (loop $next (br_if $done (i32.eq {AT} (local.get $length)))"
        yield f"(local.set $at (i32.sub {AT} {step})) (local.set $s (i32.sub (local.get $s) {step})) {copied} (br $next)))))"

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
        yield f"(local.set $end (i32.add {AT} {self._scaled('(local.get $n)')}))"
        yield f"(block $done (loop $next (br_if $done (i32.eq {AT} (local.get $end)))"
        yield move(size_of(self._type), AT, elements, "(local.get $s)", 0)
        step = f"(i32.const {size_of(self._type)})"
        yield f"(local.set $at (i32.add {AT} {step})) (local.set $s (i32.add (local.get $s) {step})) (br $next)))"

    def _array_new_data(self, data: bool = True) -> Iterator[str]:
        yield "(param $s i32) (param $n i32) (result i32) (local $at i32) (local $end i32) (local $r i32)"
        yield self._segment_within("$s", data)
        yield from self._new_array("(local.get $n)")
        yield f"(local.set $r {AT})"
        yield from self._copied("$s", data)
        yield R

    def _array_new_elem(self) -> Iterator[str]:
        return self._array_new_data(data=False)

    def _array_init_data(self, data: bool = True) -> Iterator[str]:
        yield "(param $r i32) (param $i i32) (param $s i32) (param $n i32)"
        yield f"(local $at i32) (local $end i32) (local $length i32) {not_null()}"
        yield from self._within("$r", "$i")
        yield self._segment_within("$s", data)
        yield f"(local.set $at (i32.add {R} {self._scaled('(local.get $i)')}))"
        yield from self._copied("$s", data)

    def _array_init_elem(self) -> Iterator[str]:
        return self._array_init_data(data=False)
