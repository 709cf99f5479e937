"""The instructions of SIMD and relaxed SIMD as data: encodings, signatures, access widths.

Source: WebAssembly Core Specification 3.0, section 5.4.8 and appendix A.8. All of them stand behind the prefix 0xFD.
"""

from __future__ import annotations

from .module import Instr

V128 = "v128"

# (first opcode, kinds of immediates, shape that the names begin with, names)
ROWS = (
    (0, "memarg", "v128", "load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u load8_splat "
     "load16_splat load32_splat load64_splat store"),
    (12, "v128", "v128", "const"),
    (13, "lanes", "i8x16", "shuffle"),
    (14, "", "i8x16", "swizzle splat"),
    (16, "", "i16x8", "splat"),
    (17, "", "i32x4", "splat"),
    (18, "", "i64x2", "splat"),
    (19, "", "f32x4", "splat"),
    (20, "", "f64x2", "splat"),
    (21, "lane", "i8x16", "extract_lane_s extract_lane_u replace_lane"),
    (24, "lane", "i16x8", "extract_lane_s extract_lane_u replace_lane"),
    (27, "lane", "i32x4", "extract_lane replace_lane"),
    (29, "lane", "i64x2", "extract_lane replace_lane"),
    (31, "lane", "f32x4", "extract_lane replace_lane"),
    (33, "lane", "f64x2", "extract_lane replace_lane"),
    (35, "", "i8x16", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (45, "", "i16x8", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (55, "", "i32x4", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"),
    (65, "", "f32x4", "eq ne lt gt le ge"),
    (71, "", "f64x2", "eq ne lt gt le ge"),
    (77, "", "v128", "not and andnot or xor bitselect any_true"),
    (84, "memarg lane", "v128", "load8_lane load16_lane load32_lane load64_lane "
     "store8_lane store16_lane store32_lane store64_lane"),
    (92, "memarg", "v128", "load32_zero load64_zero"),
    (94, "", "f32x4", "demote_f64x2_zero"),
    (95, "", "f64x2", "promote_low_f32x4"),
    (96, "", "i8x16", "abs neg popcnt all_true bitmask narrow_i16x8_s narrow_i16x8_u"),
    (103, "", "f32x4", "ceil floor trunc nearest"),
    (107, "", "i8x16", "shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u"),
    (116, "", "f64x2", "ceil floor"),
    (118, "", "i8x16", "min_s min_u max_s max_u"),
    (122, "", "f64x2", "trunc"),
    (123, "", "i8x16", "avgr_u"),
    (124, "", "i16x8", "extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u"),
    (126, "", "i32x4", "extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u"),
    (128, "", "i16x8", "abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u extend_low_i8x16_s "
     "extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u shl shr_s shr_u add add_sat_s add_sat_u sub "
     "sub_sat_s sub_sat_u"),
    (148, "", "f64x2", "nearest"),
    (149, "", "i16x8", "mul min_s min_u max_s max_u"),
    (155, "", "i16x8", "avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u"),
    (160, "", "i32x4", "abs neg"),
    (163, "", "i32x4", "all_true bitmask"),
    (167, "", "i32x4", "extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u "
     "shl shr_s shr_u add"),
    (177, "", "i32x4", "sub"),
    (181, "", "i32x4", "mul min_s min_u max_s max_u dot_i16x8_s"),
    (188, "", "i32x4", "extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u"),
    (192, "", "i64x2", "abs neg"),
    (195, "", "i64x2", "all_true bitmask"),
    (199, "", "i64x2", "extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u "
     "shl shr_s shr_u add"),
    (209, "", "i64x2", "sub"),
    (213, "", "i64x2", "mul eq ne lt_s gt_s le_s ge_s "
     "extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u"),
    (224, "", "f32x4", "abs neg"),
    (227, "", "f32x4", "sqrt add sub mul div min max pmin pmax"),
    (236, "", "f64x2", "abs neg"),
    (239, "", "f64x2", "sqrt add sub mul div min max pmin pmax"),
    (248, "", "i32x4", "trunc_sat_f32x4_s trunc_sat_f32x4_u"),
    (250, "", "f32x4", "convert_i32x4_s convert_i32x4_u"),
    (252, "", "i32x4", "trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero"),
    (254, "", "f64x2", "convert_low_i32x4_s convert_low_i32x4_u"),
    # relaxed SIMD
    (0x100, "", "i8x16", "relaxed_swizzle"),
    (0x101, "", "i32x4", "relaxed_trunc_f32x4_s relaxed_trunc_f32x4_u relaxed_trunc_f64x2_s_zero relaxed_trunc_f64x2_u_zero"),
    (0x105, "", "f32x4", "relaxed_madd relaxed_nmadd"),
    (0x107, "", "f64x2", "relaxed_madd relaxed_nmadd"),
    (0x109, "", "i8x16", "relaxed_laneselect"),
    (0x10A, "", "i16x8", "relaxed_laneselect"),
    (0x10B, "", "i32x4", "relaxed_laneselect"),
    (0x10C, "", "i64x2", "relaxed_laneselect"),
    (0x10D, "", "f32x4", "relaxed_min relaxed_max"),
    (0x10F, "", "f64x2", "relaxed_min relaxed_max"),
    (0x111, "", "i16x8", "relaxed_q15mulr_s relaxed_dot_i8x16_i7x16_s"),
    (0x113, "", "i32x4", "relaxed_dot_i8x16_i7x16_add_s"),
)  # fmt: skip

_SCALARS = {"i8x16": "i32", "i16x8": "i32", "i32x4": "i32", "i64x2": "i64", "f32x4": "f32", "f64x2": "f64"}
_UNARY = ("not", "abs", "neg", "popcnt", "ceil", "floor", "trunc", "nearest", "sqrt")
_CONVERSIONS = ("extend_", "extadd_", "demote_", "promote_", "trunc_sat_", "convert_", "relaxed_trunc_")
_TERNARY = ("bitselect", "relaxed_laneselect", "relaxed_madd", "relaxed_nmadd", "relaxed_dot_i8x16_i7x16_add_s")


def _signature(shape: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Operand and result types; an address, which may also be i64, as i32."""
    one = (V128,)
    if name == "const":
        return (), one
    if name == "splat":
        return (_SCALARS[shape],), one
    if name.startswith("load"):
        return ("i32", V128) if name.endswith("_lane") else ("i32",), one
    if name.startswith("store"):
        return ("i32", V128), ()
    if name.startswith("extract_lane"):
        return one, (_SCALARS[shape],)
    if name == "replace_lane":
        return (V128, _SCALARS[shape]), one
    if name in ("any_true", "all_true", "bitmask"):
        return one, ("i32",)
    if name in ("shl", "shr_s", "shr_u"):
        return (V128, "i32"), one
    if name in _UNARY or name.startswith(_CONVERSIONS):
        return one, one
    return (V128,) * (3 if name in _TERNARY else 2), one


def _width(name: str) -> int:
    """Bytes that a load or store accesses."""
    digits = name.removeprefix("load").removeprefix("store").partition("_")[0]
    if "x" in digits:
        return 8
    return int(digits) // 8 if digits else 16


# Text name -> (operand types, result types).
SIMD_SIGNATURES = {f"{shape}.{name}": _signature(shape, name) for _, _, shape, names in ROWS for name in names.split()}
# Loads and stores -> bytes accessed.
SIMD_ACCESS_WIDTH = {
    f"v128.{name}": _width(name) for _, kinds, _, names in ROWS if kinds.startswith("memarg") for name in names.split()
}
SIMD_STORES = frozenset(name for name in SIMD_ACCESS_WIDTH if name.startswith("v128.store"))

# Instructions on one half of a v128, an i64, which no binary has: the linker puts a routine in the place of each. i8x8 is
# eight lanes of one byte in an i64, and so on.
HALF_INTEGERS = tuple(
    f"{shape}.{name}"
    for shapes, names in (
        ("i8x8 i16x4 i32x2", "eq lt_s lt_u"),
        ("i8x8 i16x4", "add_sat_s add_sat_u sub_sat_s sub_sat_u"),
        ("i8x8", "swizzle narrow_i16_s narrow_i16_u"),
        ("i16x4", "mul q15mulr_sat_s dot_i8_s narrow_i32_s narrow_i32_u extend_i8_s extend_i8_u extadd_i8_s extadd_i8_u "
         "extmul_i8_s extmul_i8_u"),
        ("i32x2", "dot_i16_s extend_i16_s extend_i16_u extadd_i16_s extadd_i16_u extmul_i16_s extmul_i16_u"),
    )
    for shape in shapes.split()
    for name in names.split()
)  # fmt: skip
_F32X2 = "ceil floor trunc nearest sqrt add sub mul div min max pmin pmax eq ne lt le convert_i32_s convert_i32_u"
HALF_FLOATS = (*(f"f32x2.{name}" for name in _F32X2.split()), "i32x2.trunc_sat_f32_s", "i32x2.trunc_sat_f32_u")
HALF_FUSED = ("f32x2.fma", "f64x1.fma")
HALF_INSTRUCTIONS = HALF_INTEGERS + HALF_FLOATS + HALF_FUSED


def high_first(instruction: Instr) -> bool:
    """Whether the high half of what an instruction gives or writes comes before the low one: where it is what is loaded or where
    both are accessed, so that nothing has been done before what may be out of bounds, and of what is taken off the stack."""
    name = instruction.name
    if name.startswith("v128.load") and name.endswith("_lane"):
        return instruction.args[-1] * SIMD_ACCESS_WIDTH[name] >= 8
    return name in ("v128.load", "v128.store", "local.set", "local.tee", "global.set")
