"""The instructions of WebAssembly 2.0 as data: encodings, immediates, signatures, access widths.

Source: WebAssembly Core Specification 2.0, section 5.4 and appendix A.7; the proposals' opcode lists for atomics, tail
calls, exceptions and garbage collection; SIMD is in `simd.py`. What the compiler refuses is listed too: `decode` has to read past
it, and `check` refuses it by its name.

An immediate's kind says what it is and so how it is written:

    block     block type                          func type table local global data elem tag label    an index (u32)
    labels    vector of labels                    memory    memory index; left out of `Instr.args` when 0
    memarg    alignment, offset, memory index     valtypes  vector of value types
    reftype   reference type, nullable            i32 i64   signed LEB128;  f32 f64 v128: bit pattern
    cast      reference type, of which the opcode says whether it is nullable
    field count                                   a number (u32) that is no index
    lane      one byte                            lanes     sixteen bytes
    zero      one reserved byte                   catches   handlers of try_table
"""

from __future__ import annotations

from dataclasses import dataclass

from ..format.types import RefType
from . import simd
from .heap_types import HEAP_HALVES
from .module import ValType


@dataclass(frozen=True)
class Opcode:
    """code: the opcode byte, or the prefix byte followed by the number that is written as LEB128 behind it."""

    name: str
    code: tuple[int, ...]
    immediates: tuple[str, ...] = ()


# (first opcode, kinds of immediates, names of consecutive opcodes)
_CONTROL = (
    (0x00, "", "unreachable nop"),
    (0x02, "block", "block loop if"),
    (0x05, "", "else"),
    (0x0B, "", "end"),
    (0x0C, "label", "br br_if"),
    (0x0E, "labels label", "br_table"),
    (0x0F, "", "return"),
    (0x10, "func", "call"),
    (0x11, "type table", "call_indirect"),
    (0x1A, "", "drop select"),
    (0x1C, "valtypes", "select"),  # the typed form has the same name: Instr("select", (type,))
    (0x20, "local", "local.get local.set local.tee"),
    (0x23, "global", "global.get global.set"),
    (0x25, "table", "table.get table.set"),
    (0x3F, "memory", "memory.size memory.grow"),
    (0x41, "i32", "i32.const"),
    (0x42, "i64", "i64.const"),
    (0x43, "f32", "f32.const"),
    (0x44, "f64", "f64.const"),
    (0xD0, "reftype", "ref.null"),
    (0xD1, "", "ref.is_null"),
    (0xD2, "func", "ref.func"),
    (0x12, "func", "return_call"),
    (0x13, "type table", "return_call_indirect"),
    (0x14, "type", "call_ref return_call_ref"),
    (0xD3, "", "ref.eq"),
    (0xD4, "", "ref.as_non_null"),
    (0xD5, "label", "br_on_null br_on_non_null"),
    (0x08, "tag", "throw"),
    (0x0A, "", "throw_ref"),
    (0x1F, "block catches", "try_table"),
    # The older form of exceptions, see `legacy_exceptions`.
    (0x06, "block", "try"),
    (0x07, "tag", "catch"),
    (0x09, "label", "rethrow"),
    (0x18, "label", "delegate"),
    (0x19, "", "catch_all"),
)

_BULK = (  # behind the prefix 0xFC
    (8, "data memory", "memory.init"),
    (9, "data", "data.drop"),
    (10, "memory memory", "memory.copy"),
    (11, "memory", "memory.fill"),
    (12, "elem table", "table.init"),
    (13, "elem", "elem.drop"),
    (14, "table table", "table.copy"),
    (15, "table", "table.grow table.size table.fill"),
)

_HEAP = (  # behind the prefix 0xFB
    (0, "type", "struct.new struct.new_default"),
    (2, "type field", "struct.get struct.get_s struct.get_u struct.set"),
    (6, "type", "array.new array.new_default"),
    (8, "type count", "array.new_fixed"),
    (9, "type data", "array.new_data"),
    (10, "type elem", "array.new_elem"),
    (11, "type", "array.get array.get_s array.get_u array.set"),
    (15, "", "array.len"),
    (16, "type", "array.fill"),
    (17, "type type", "array.copy"),
    (18, "type data", "array.init_data"),
    (19, "type elem", "array.init_elem"),
    (20, "cast", "ref.test"),  # what casts to a nullable type is the opcode behind it
    (22, "cast", "ref.cast"),
    (24, "label reftype reftype", "br_on_cast br_on_cast_fail"),  # before these a byte: which of the types are nullable
    (26, "", "any.convert_extern extern.convert_any ref.i31 i31.get_s i31.get_u"),
)

# (first opcode, operand and result types, bytes accessed by each, names)
_MEMORY = (
    (0x28, "i32 -> i32", "4", "i32.load"),
    (0x29, "i32 -> i64", "8", "i64.load"),
    (0x2A, "i32 -> f32", "4", "f32.load"),
    (0x2B, "i32 -> f64", "8", "f64.load"),
    (0x2C, "i32 -> i32", "1 1 2 2", "i32.load8_s i32.load8_u i32.load16_s i32.load16_u"),
    (0x30, "i32 -> i64", "1 1 2 2 4 4",
     "i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u"),
    (0x36, "i32 i32 ->", "4", "i32.store"),
    (0x37, "i32 i64 ->", "8", "i64.store"),
    (0x38, "i32 f32 ->", "4", "f32.store"),
    (0x39, "i32 f64 ->", "8", "f64.store"),
    (0x3A, "i32 i32 ->", "1 2", "i32.store8 i32.store16"),
    (0x3C, "i32 i64 ->", "1 2 4", "i64.store8 i64.store16 i64.store32"),
)  # fmt: skip

# (first opcode, operand and result types, type that the names begin with, names)
_NUMERIC = (
    (0x45, "i32 -> i32", "i32", "eqz"),
    (0x46, "i32 i32 -> i32", "i32", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (0x50, "i64 -> i32", "i64", "eqz"),
    (0x51, "i64 i64 -> i32", "i64", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (0x5B, "f32 f32 -> i32", "f32", "eq ne lt gt le ge"),
    (0x61, "f64 f64 -> i32", "f64", "eq ne lt gt le ge"),
    (0x67, "i32 -> i32", "i32", "clz ctz popcnt"),
    (0x6A, "i32 i32 -> i32", "i32", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"),
    (0x79, "i64 -> i64", "i64", "clz ctz popcnt"),
    (0x7C, "i64 i64 -> i64", "i64", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"),
    (0x8B, "f32 -> f32", "f32", "abs neg ceil floor trunc nearest sqrt"),
    (0x92, "f32 f32 -> f32", "f32", "add sub mul div min max copysign"),
    (0x99, "f64 -> f64", "f64", "abs neg ceil floor trunc nearest sqrt"),
    (0xA0, "f64 f64 -> f64", "f64", "add sub mul div min max copysign"),
    (0xA7, "i64 -> i32", "i32", "wrap_i64"),
    (0xA8, "f32 -> i32", "i32", "trunc_f32_s trunc_f32_u"),
    (0xAA, "f64 -> i32", "i32", "trunc_f64_s trunc_f64_u"),
    (0xAC, "i32 -> i64", "i64", "extend_i32_s extend_i32_u"),
    (0xAE, "f32 -> i64", "i64", "trunc_f32_s trunc_f32_u"),
    (0xB0, "f64 -> i64", "i64", "trunc_f64_s trunc_f64_u"),
    (0xB2, "i32 -> f32", "f32", "convert_i32_s convert_i32_u"),
    (0xB4, "i64 -> f32", "f32", "convert_i64_s convert_i64_u"),
    (0xB6, "f64 -> f32", "f32", "demote_f64"),
    (0xB7, "i32 -> f64", "f64", "convert_i32_s convert_i32_u"),
    (0xB9, "i64 -> f64", "f64", "convert_i64_s convert_i64_u"),
    (0xBB, "f32 -> f64", "f64", "promote_f32"),
    (0xBC, "f32 -> i32", "i32", "reinterpret_f32"),
    (0xBD, "f64 -> i64", "i64", "reinterpret_f64"),
    (0xBE, "i32 -> f32", "f32", "reinterpret_i32"),
    (0xBF, "i64 -> f64", "f64", "reinterpret_i64"),
    (0xC0, "i32 -> i32", "i32", "extend8_s extend16_s"),
    (0xC2, "i64 -> i64", "i64", "extend8_s extend16_s extend32_s"),
)

_SATURATING = (  # behind the prefix 0xFC
    (0, "f32 -> i32", "i32", "trunc_sat_f32_s trunc_sat_f32_u"),
    (2, "f64 -> i32", "i32", "trunc_sat_f64_s trunc_sat_f64_u"),
    (4, "f32 -> i64", "i64", "trunc_sat_f32_s trunc_sat_f32_u"),
    (6, "f64 -> i64", "i64", "trunc_sat_f64_s trunc_sat_f64_u"),
)

# Atomic accesses come in this order, seven of each.
_ATOMIC_WIDTHS = (("i32", ""), ("i64", ""), ("i32", "8"), ("i32", "16"), ("i64", "8"), ("i64", "16"), ("i64", "32"))
_ATOMICS = (  # behind the prefix 0xFE
    (0x00, "memarg", "memory.atomic.notify memory.atomic.wait32 memory.atomic.wait64"),
    (0x03, "zero", "atomic.fence"),
    (0x10, "memarg", " ".join(f"{t}.atomic.load{width}{'_u' if width else ''}" for t, width in _ATOMIC_WIDTHS)),
    (0x17, "memarg", " ".join(f"{t}.atomic.store{width}" for t, width in _ATOMIC_WIDTHS)),
    *(
        (first, "memarg", " ".join(
            f"{t}.atomic.rmw{width}.{operation}{'_u' if width else ''}" for t, width in _ATOMIC_WIDTHS
        ))
        for first, operation in (
            (0x1E, "add"), (0x25, "sub"), (0x2C, "and"), (0x33, "or"), (0x3A, "xor"), (0x41, "xchg"), (0x48, "cmpxchg")
        )
    ),
)  # fmt: skip

Signature = tuple[tuple[ValType, ...], tuple[ValType, ...]]


def _signature(text: str) -> Signature:
    operands, results = text.split("->")
    return tuple(operands.split()), tuple(results.split())


def _opcodes() -> list[Opcode]:
    rows: list[tuple[tuple[int, ...], int, str, list[str]]] = []  # prefix, first code, immediates, names
    rows += [((), first, kinds, names.split()) for first, kinds, names in _CONTROL]
    rows += [((0xFC,), first, kinds, names.split()) for first, kinds, names in _BULK]
    rows += [((0xFB,), first, kinds, names.split()) for first, kinds, names in _HEAP]
    rows += [((), first, "memarg", names.split()) for first, _, _, names in _MEMORY]
    rows += [((), first, "", [f"{t}.{n}" for n in names.split()]) for first, _, t, names in _NUMERIC]
    rows += [((0xFC,), first, "", [f"{t}.{n}" for n in names.split()]) for first, _, t, names in _SATURATING]
    rows += [((0xFD,), first, kinds, [f"{t}.{n}" for n in names.split()]) for first, kinds, t, names in simd.ROWS]
    rows += [((0xFE,), first, kinds, names.split()) for first, kinds, names in _ATOMICS]
    return [
        Opcode(name, (*prefix, first + i), tuple(kinds.split()))
        for prefix, first, kinds, names in rows
        for i, name in enumerate(names)
    ]


# Encoding -> opcode, e.g. BY_CODE[(0x6A,)] is i32.add and BY_CODE[(0xFC, 10)] is memory.copy.
BY_CODE: dict[tuple[int, ...], Opcode] = {opcode.code: opcode for opcode in _opcodes()}
# Casts to a nullable type have the same names: the type says it.
BY_CODE |= {(0xFB, code + 1): Opcode(BY_CODE[0xFB, code].name, (0xFB, code + 1), ("cast",)) for code in (20, 22)}
CAST_BRANCHES = ((0xFB, 24), (0xFB, 25))
NULLABLE_CASTS = ((0xFB, 21), (0xFB, 23))
# Text name -> opcode; "select" is the untyped form, TYPED_SELECT the other one.
TYPED_SELECT = BY_CODE[(0x1C,)]
# Instructions on halves of vectors have no encoding.
BY_NAME: dict[str, Opcode] = {
    **{opcode.name: opcode for opcode in BY_CODE.values() if opcode is not TYPED_SELECT and opcode.code not in NULLABLE_CASTS},
    **{name: Opcode(name, ()) for name in simd.HALF_INSTRUCTIONS},
    **{name: Opcode(name, (), kinds) for name, kinds in HEAP_HALVES.items()},
}

# Text name -> (operand types, result types), of every numeric instruction, load and store:
# SIGNATURES["i32.add"] == (("i32", "i32"), ("i32",)).
SIGNATURES: dict[str, Signature] = {
    **{name: _signature(s) for _, s, _, names in _MEMORY for name in names.split()},
    **{f"{t}.{name}": _signature(s) for _, s, t, names in (*_NUMERIC, *_SATURATING) for name in names.split()},
    **{f"{t}.const": ((), (t,)) for t in ("i32", "i64", "f32", "f64")},
}

# Loads and stores of WebAssembly's numeric types -> bytes accessed: ACCESS_WIDTH["i64.load16_s"] == 2.
ACCESS_WIDTH: dict[str, int] = {
    name: int(width)
    for _, _, widths, names in _MEMORY
    for width, name in zip(widths.split(), names.split(), strict=True)
}
# Atomic instructions -> bytes accessed, 0 for the fence.
ATOMICS: dict[str, int] = {
    "atomic.fence": 0, "memory.atomic.notify": 4, "memory.atomic.wait32": 4, "memory.atomic.wait64": 8,
    **{
        name: int(width or type[1:]) // 8
        for _, _, names in _ATOMICS[2:]
        for name, (type, width) in zip(names.split(), _ATOMIC_WIDTHS, strict=True)
    },
}  # fmt: skip
LOADS = frozenset(name for name in ACCESS_WIDTH if ".load" in name)
STORES = frozenset(name for name in ACCESS_WIDTH if ".store" in name)

# Encoding of types; the same numbers stand in block types and, for references, as heap types.
VALTYPES: dict[int, ValType] = {
    0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128",
    0x70: "funcref", 0x6F: "externref", 0x69: "exnref", 0x6E: "anyref",
}  # fmt: skip
# Behind these stands a heap type: (ref null ...), (ref ...).
NULLABLE, NON_NULL = 0x63, 0x64
HEAP_TYPES = {
    0x70: "func", 0x6F: "extern", 0x69: "exn", 0x6E: "any", 0x6D: "eq", 0x6C: "i31", 0x6B: "struct", 0x6A: "array",
    0x71: "none", 0x72: "noextern", 0x73: "nofunc", 0x74: "noexn",
}  # fmt: skip
# The value types of nullable references to these that have no plain name here.
VALTYPES |= {code: RefType(True, heap) for code, heap in HEAP_TYPES.items() if code not in VALTYPES}
# Before the type of a table with an initial value.
TABLE_WITH_VALUE = 0x40
EMPTY_BLOCK = 0x40
# The forms of types: of functions, structs and arrays. Before one may stand that it has a supertype or may have subtypes, before
# several that they are a group.
FUNCTION_TYPE, STRUCT_TYPE, ARRAY_TYPE = 0x60, 0x5F, 0x5E
OPEN_TYPE, FINAL_TYPE, TYPE_GROUP = 0x50, 0x4F, 0x4E
PACKED_TYPES = {0x78: "i8", 0x77: "i16"}
MAGIC = b"\0asm"
VERSION = b"\x01\0\0\0"
# Section ids in the order in which they stand in a module (custom sections, id 0, may stand anywhere).
SECTIONS = {
    "type": 1, "import": 2, "function": 3, "table": 4, "memory": 5, "tag": 13, "global": 6, "export": 7, "start": 8,
    "element": 9, "data count": 12, "code": 10, "data": 11,
}  # fmt: skip
EXTERNAL_KINDS = ("func", "table", "memory", "global", "tag")
