"""Atomic accesses as a single thread sees them: routines, one for each instruction, offset and memory.

With one thread an access is atomic anyway; what is left is that its address has to be aligned. `memory.atomic.notify` wakes
nobody, and `memory.atomic.wait32` and `wait64` do not wait: their time is over at once, and where they would wait for ever the
program traps.
"""

from __future__ import annotations

import re
from functools import cache

import wasmtime

from ..wasm.decode import decode
from ..wasm.module import Module
from ..wasm.opcodes import ATOMICS

_NAME = re.compile(r"(i32|i64)\.atomic\.(load|store|rmw)(8|16|32)?(?:\.(\w+?))?(?:_u)?")
# The traps that one may meet.
_TRAPS = ("unaligned_atomic", "wait_unshared", "endless_wait")


@cache
def atomic_routine(name: str, offset: int, wide: bool, shared: bool) -> Module:
    """A function of this name that does what the instruction does with this offset, on the memory "memory" of "w2x".

    wide: addresses are i64. shared: the memory is.
    """
    address = "i64" if wide else "i32"
    code = _waiting(name, offset, wide, shared) if name.startswith("memory.") else _access(name, offset, wide)
    traps = "".join(f'(import "w2x" "trap_{t}" (func ${t}))' for t in _TRAPS)
    memory = f'(import "w2x" "memory" (memory {"i64 " if wide else ""}0))'
    text = f'(module {traps} {memory} (func (export "{name}") (param $at {address}) {code}))'
    return decode(bytes(wasmtime.wat2wasm(text)))


def _aligned(width: int, offset: int, wide: bool) -> str:
    """Traps unless the address, with the offset, is a multiple of the width."""
    if width == 1:
        return ""
    at = "(i32.wrap_i64 (local.get $at))" if wide else "(local.get $at)"
    rest = f"(i32.and (i32.add {at} (i32.const {offset % 8})) (i32.const {width - 1}))"
    return f"(if {rest} (then (call $unaligned_atomic)))"


def _inside(offset: int, wide: bool) -> str:
    """Traps where the address with the offset is no address at all, aligned or not: wasmtime asks that first, of notify alone."""
    if not offset:
        return ""
    type_, least = ("i64", 2**64 - offset) if wide else ("i32", 2**32 - offset)
    beyond = f"({type_}.ge_u (local.get $at) ({type_}.const {least}))"
    return f"(if {beyond} (then (drop (i32.load8_u offset={offset} (local.get $at)))))"


def _access(name: str, offset: int, wide: bool) -> str:
    match = _NAME.fullmatch(name)
    assert match is not None, name
    type_, kind, bits, operation = match.groups()
    width = int(bits or type_[1:]) // 8
    aligned = _aligned(width, offset, wide)
    load = f"({type_}.load{f'{bits}_u' if bits else ''} offset={offset} (local.get $at))"
    store = f"({type_}.store{bits or ''} offset={offset} (local.get $at) %s)"
    if kind == "load":
        return f"(result {type_}) {aligned} {load}"
    if kind == "store":
        return f"(param $value {type_}) {aligned} {store % '(local.get $value)'}"
    head = f"(param $value {type_}) (result {type_}) (local $old {type_}) {aligned} (local.set $old {load})"
    if operation == "cmpxchg":
        head = f"(param $expected {type_}) {head}"
        same = f"({type_}.eq (local.get $old) (local.get $expected))"
        return f"{head} (if {same} (then {store % '(local.get $value)'})) (local.get $old)"
    new = f"({type_}.{operation} (local.get $old) (local.get $value))" if operation != "xchg" else "(local.get $value)"
    return f"{head} {store % new} (local.get $old)"


def _waiting(name: str, offset: int, wide: bool, shared: bool) -> str:
    if name == "memory.atomic.notify":
        there = f"(drop (i32.load offset={offset} (local.get $at)))"
        return f"(param $count i32) (result i32) {_inside(offset, wide)} {_aligned(4, offset, wide)} {there} (i32.const 0)"
    type_ = f"i{name[-2:]}"
    head = f"(param $expected {type_}) (param $timeout i64) (result i32)"
    if not shared:
        return f"{head} (call $wait_unshared) (i32.const 0)"
    load = f"({type_}.load offset={offset} (local.get $at))"
    return f"""{head} {_aligned(int(type_[1:]) // 8, offset, wide)}
      (if ({type_}.ne {load} (local.get $expected)) (then (return (i32.const 1))))
      (if (i64.lt_s (local.get $timeout) (i64.const 0)) (then (call $endless_wait)))
      (i32.const 2)"""


def record_of(name: str) -> str:
    """How its call is recorded, see `LinkedModule.routines`."""
    return "bulk" if ".store" in name else "value"


__all__ = ["ATOMICS", "atomic_routine", "record_of"]
