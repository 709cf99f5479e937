"""How WASM instructions and intrinsics correspond to step operations, where that is a matter of names."""

from __future__ import annotations

from ..format.operations import FLOAT_STEPS
from ..format.types import HIGH_HALF, LOW_HALF
from .conditions import COMPARISONS

# WASM instructions that are a step operation of the same name, if they are not calls of linked routines by now.
SAME = COMPARISONS | {
    f"{type_}.{name}"
    for type_, names in (
        ("i32", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr clz ctz popcnt "
                "extend8_s extend16_s wrap_i64"),
        ("i64", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr clz ctz popcnt "
                "extend8_s extend16_s extend32_s extend_i32_s"),
    )
    for name in names.split()
} | FLOAT_STEPS  # fmt: skip
# Instructions that leave the bits of the slot as they are.
COPIES = frozenset({
    "i64.extend_i32_u", "i32.reinterpret_f32", "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64",
})  # fmt: skip
# A float lives in its slot as its bit pattern, so these are operations on the sign bit: name -> (operation, constant).
SIGN = {"f32": 2**31, "f64": 2**63}
SIGN_OPERATIONS = {
    f"{type_}.{name}": (f"i{type_[1:]}.{op}", constant)
    for type_, sign in SIGN.items()
    for name, op, constant in (("neg", "xor", sign), ("abs", "and", sign - 1))
} | {"ref.i31": ("i32.or", 2**31)}  # so are i31 references told from others
CONSTANTS = frozenset({"i32.const", "i64.const", "f32.const", "f64.const"})
WIDE = frozenset({"i64", "f64", LOW_HALF, HIGH_HALF})
# Intrinsics of linked.py -> (step operation, number of parameters, number of results).
INTRINSICS = {
    "stdout": ("stdout", 1, 0),
    "stderr": ("stderr", 1, 0),
    "hidden_load8": ("hidden.load8_u", 1, 1),
    "hidden_load32": ("hidden.load32", 1, 1),
    "hidden_store8": ("hidden.store8", 2, 0),
    "hidden_store32": ("hidden.store32", 2, 0),
}


def bits_op(name: str) -> str:
    """The integer instruction that moves the same bits: "f32.load" -> "i32.load"."""
    return "i" + name[1:] if name.startswith("f") else name
