"""`python -m tests.simd`: every instruction of SIMD and relaxed SIMD on edge cases and random operands, step by step against
wasmtime; and what each costs in tokens."""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator

from wasm2xformer.compiler.wasm.halves import has_expansion
from wasm2xformer.compiler.wasm.simd import SIMD_ACCESS_WIDTH, SIMD_SIGNATURES
from wasm2xformer.runtime.check.verify import Verifier

_LANES = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "i64x2": 2, "f32x4": 4, "f64x2": 2}
# Bits of floats at which something changes: zeros, the least and greatest numbers, ties, limits of integers, infinities, NaNs.
_F32 = (0, 1, 0x007FFFFF, 0x00800000, 0x3F000000, 0x3F800000, 0x3FC00000, 0x40200000, 0x4B000001, 0x4EFFFFFF, 0x4F000000,
        0x4F7FFFFF, 0x4F800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x7FA00001)  # fmt: skip
_F64 = (0, 1, 0x000FFFFFFFFFFFFF, 0x3FE0000000000000, 0x3FF0000000000000, 0x3FF8000000000000, 0x4004000000000000,
        0x41DFFFFFFFC00000, 0x41E0000000000000, 0x41EFFFFFFFE00000, 0x41F0000000000000, 0x47EFFFFFE0000000,
        0x3690000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000, 0x7FF4000000000001)  # fmt: skip


# Instructions that cost about the same, and the pattern of their exports.
FAMILIES = {
    "and, or, xor, not, andnot, bitselect": r"v128\.(and|or|xor|not|andnot|bitselect)",
    "any_true, all_true, bitmask": r".*\.(any_true|all_true|bitmask)",
    "splat, extract_lane, replace_lane": r".*\.(splat|extract_lane.*|replace_lane.*)",
    "loads": r"v128\.load.*",
    "stores": r"v128\.store.*",
    "integers: add, sub, neg": r"i(8x16|16x8|32x4|64x2)\.(add|sub|neg)",
    "shl, shr": r".*\.sh[lr](_[su])?",
    "mul": r"i(16x8|32x4|64x2)\.mul",
    "eq, ne": r"i(8x16|16x8|32x4|64x2)\.(eq|ne)",
    "lt, gt, le, ge": r"i.*\.(lt|gt|le|ge)_[su]",
    "min, max, abs": r"i.*\.(min_[su]|max_[su]|abs)",
    "add_sat, sub_sat": r".*\.(add|sub)_sat_[su]",
    "extend, extadd": r".*\.(extend|extadd)_.*",
    "narrow": r".*\.narrow_.*",
    "extmul, dot, q15mulr_sat": r".*\.(extmul_.*|dot_i16x8_s|q15mulr_sat_s)",
    "shuffle": r"i8x16\.shuffle.*",
    "swizzle": r"i8x16\.swizzle",
    "f32x4: add, sub, mul": r"f32x4\.(add|sub|mul)",
    "f32x4: div, sqrt": r"f32x4\.(div|sqrt)",
    "f32x4: comparisons, min, max": r"f32x4\.(eq|ne|lt|gt|le|ge|p?min|p?max)",
    "f32x4: relaxed_madd, relaxed_nmadd": r"f32x4\.relaxed_n?madd",
    "f64x2: add, sub, mul": r"f64x2\.(add|sub|mul)",
    "f64x2: relaxed_madd, relaxed_nmadd": r"f64x2\.relaxed_n?madd",
    "f64x2: div, sqrt": r"f64x2\.(div|sqrt)",
    "f64x2: comparisons, min, max": r"f64x2\.(eq|ne|lt|gt|le|ge|p?min|p?max)",
    "conversions, rounding": r".*\.(trunc_sat.*|convert.*|demote.*|promote.*|ceil|floor|trunc|nearest)",
}


def immediates(name: str) -> list[str]:
    """The immediates with which an instruction is tried."""
    if name == "i8x16.shuffle":
        mixed = (list(range(16)), list(range(8, 24)), [31, 0, 30, 1] * 4, [3, 2, 1, 0, 7, 6, 5, 4] * 2, [16] * 16)
        return [" ".join(map(str, lanes)) for lanes in mixed]
    if name == "v128.const":
        return ["i64x2 0x8000000000000000 -1", "i32x4 0 1 2 3"]
    if name.endswith("_lane"):  # of an access
        count = 16 // SIMD_ACCESS_WIDTH[name] if name in SIMD_ACCESS_WIDTH else _LANES[name.partition(".")[0]]
        return [str(lane) for lane in (range(count) if count < 8 else (0, 1, count // 2 - 1, count // 2, count - 1))]
    if "_lane_" in name or name.endswith("extract_lane"):
        count = _LANES[name.partition(".")[0]]
        return [str(lane) for lane in (range(count) if count < 8 else (0, 1, count // 2 - 1, count // 2, count - 1))]
    return [""]


def module(names: list[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """WAT with an exported function for each instruction and its immediates; and their parameters' types."""
    functions, types = [], {}
    for name in names:
        operands, results = SIMD_SIGNATURES[name]
        access = name in SIMD_ACCESS_WIDTH
        for number, immediate in enumerate(immediates(name)):
            export = f"{name} {immediate}".strip()
            types[export] = operands
            arguments = " ".join(f"(local.get {i})" for i in range(len(operands)))
            code = f"({name} {'offset=3 ' if access and number % 2 == 0 else ''}{immediate} {arguments})"
            parameters = f"(param {' '.join(operands)})" if operands else ""
            result = f"(result {results[0]})" if results else ""
            functions.append(f'(func (export "{export}") {parameters} {result} {code})')
    data = '(data (i32.const 8) "\\80\\7f\\ff\\01\\fe\\00\\11\\99\\aa\\55\\81\\7e\\c3\\3c\\10\\ef\\01\\02")'
    return f'(module (memory (export "memory") 1) {data} {" ".join(functions)})', types


def vectors(shape: str, random_: random.Random) -> Iterator[int]:
    """Operands: edge cases of the lanes in all positions, then random ones."""
    bits = {"i8x16": 8, "i16x8": 16, "i32x4": 32, "i64x2": 64, "f32x4": 32, "f64x2": 64}.get(shape, 32)
    top = 1 << (bits - 1)
    edges = [0, 1, top - 1, top, top + 1, 2 * top - 1, 2 * top - 2, top // 2]
    if shape.startswith("f") or "f" in shape:
        edges = [v | s for v in (_F32 if bits == 32 else _F64) for s in (0, top)]
    while True:
        mode = random_.random()
        lanes = [random_.choice(edges) if mode < 0.7 else random_.getrandbits(bits) for _ in range(128 // bits)]
        yield sum(lane << bits * i for i, lane in enumerate(lanes))


def shape_of_operands(name: str) -> str:
    """The lanes that matter: of a conversion those that it reads."""
    shape, _, operation = name.partition(".")
    found = next((s for s in _LANES if s in operation), shape)
    return {"i8x16_s": "i8x16"}.get(found, found)


def argument(type_: str, name: str, source: Iterator[int], random_: random.Random) -> int:
    if type_ == "v128":
        return next(source)
    bits = 32 if type_ in ("i32", "f32") else 64
    if name in SIMD_ACCESS_WIDTH:
        width = SIMD_ACCESS_WIDTH[name]
        last = 65536 - width
        return random_.choice([0, 5, 8, last - 3, last, last + 1, 65535, 2**32 - 1, random_.randrange(65536)])
    if type_ in ("f32", "f64"):
        return random_.choice(_F32 if type_ == "f32" else _F64)
    return random_.choice([0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 127, 255, 0x8000, 2**32 - 1, random_.getrandbits(bits)])


def check(names: list[str], opt_level: int, rounds: int, seed: int) -> tuple[dict[str, list[int]], list[str]]:
    """Tokens of each call, by export; and what differs."""
    text, types = module(names)
    verifier = Verifier(text, opt_level=opt_level)
    random_ = random.Random(seed)
    tokens: dict[str, list[int]] = {}
    wrong = []
    for export, operands in types.items():
        name = export.split()[0]
        source = vectors(shape_of_operands(name), random_)
        for _ in range(rounds):
            arguments = [argument(type_, name, source, random_) for type_ in operands]
            report = verifier.invoke(export, arguments)
            tokens.setdefault(export, []).append(report.tokens)
            if not report.ok:
                wrong.append(f"{export} {[hex(a) for a in arguments]}: {report.divergence}")
                break
    return tokens, wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simd", description=__doc__.split("`: ")[1])
    parser.add_argument("--opt-level", type=int, choices=(0, 1), default=1)
    parser.add_argument("--only", default="", help="instructions with this in their name")
    parser.add_argument("--rounds", type=int, default=20, help="calls of each (%(default)s)")
    parser.add_argument("--families", action="store_true", help="tokens of each family, not of each instruction")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    names = [name for name in SIMD_SIGNATURES if options.only in name and has_expansion(name)]
    tokens, wrong = check(names, options.opt_level, options.rounds, options.seed)
    means = {export: sum(counts) / len(counts) for export, counts in tokens.items()}
    if options.families:
        for family, pattern in FAMILIES.items():
            found = [mean for export, mean in means.items() if re.fullmatch(pattern, export)]
            print(f"| {family} | {sum(found) / len(found):,.0f} |" if found else f"| {family} | none |")
    else:
        for export, mean in means.items():
            print(f"{export:50} {mean:8.1f} tokens")
    print(f"{len(names)} instructions, {sum(map(len, tokens.values()))} calls, {len(wrong)} wrong", file=sys.stderr)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
