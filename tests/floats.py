"""Floating-point instructions against wasmtime, and what they cost: python -m tests.floats [--count N] [--seed S]

Every instruction runs in the transformer on N operands or pairs of them, edge cases and random ones, at -O0 and -O1; every
value is compared with wasmtime's, bit for bit. Then the tokens of one execution at -O1 are counted: the median over
random numbers of usual size. Exit status: 0 no difference; 1 one was found.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import wasm2xformer as w2x
from wasm2xformer.compiler.wasm.check import FLOAT_ARITHMETIC
from wasm2xformer.compiler.wasm.opcodes import SIGNATURES

BITS = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
FRACTION = {"f32": 23, "f64": 52}
BIAS = {"f32": 127, "f64": 1023}
RECORD = 16  # bytes of one pair of operands
TRAPPING = tuple(n for n in FLOAT_ARITHMETIC if ".trunc_f" in n)


def edges(type_: str) -> list[int]:
    """Bit patterns where rounding, exponents, signs or ranges change."""
    bits = BITS[type_]
    if type_[0] == "i":
        near = {sign * (1 << k) + delta for k in range(bits + 1) for delta in (-1, 0, 1) for sign in (1, -1)}
        # half-way between two floats, and beside
        near |= {(1 << k) + (1 << (k - p)) + d for p in (24, 25, 53, 54) for k in range(p, bits) for d in (-1, 0, 1)}
        return sorted({value % 2**bits for value in near})
    fraction, bias = FRACTION[type_], BIAS[type_]
    top = 2 * bias + 1
    exponents = {0, 1, 2, fraction, bias - 1, bias, bias + 1, bias + fraction, bias + fraction + 1, top - 1, top}
    exponents |= {bias + n for n in (30, 31, 32, 62, 63, 64)}
    if type_ == "f64":
        exponents |= {bias + n for n in (-150, -149, -127, -126, 127, 128)}
    last = (1 << fraction) - 1
    fractions = {0, 1, 2, 3, last, last - 1, last >> 1, (last >> 1) + 1, (last >> 1) + 2}
    if type_ == "f64":
        fractions |= {1 << 28, (1 << 28) - 1, (1 << 28) + 1, 3 << 28, last - (1 << 28), last - (1 << 28) + 1}
    return sorted(s << bits - 1 | e << fraction | f for e in exponents for f in fractions for s in (0, 1))


def number(rng: random.Random, type_: str) -> int:
    """A random bit pattern: an edge case, any, one of usual size, or one with few significant bits."""
    bits = BITS[type_]
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_EDGES[type_])
    if kind == 1:
        return rng.getrandbits(bits)
    if type_[0] == "i":
        return (rng.getrandbits(rng.randint(1, bits)) * rng.choice((1, -1))) % 2**bits
    fraction = FRACTION[type_]
    exponent = BIAS[type_] + rng.randint(-fraction, fraction) // rng.choice((1, 4))
    digits = rng.getrandbits(fraction)
    if kind == 2:
        digits &= -1 << rng.randrange(fraction)
    return rng.getrandbits(1) << bits - 1 | exponent << fraction | digits


_EDGES = {type_: edges(type_) for type_ in BITS}


def rows(rng: random.Random, name: str, count: int) -> list[tuple[int, ...]]:
    """So many operands or pairs of operands; second operands are often close to the first."""
    operands = SIGNATURES[name][0]
    if len(operands) == 1:
        chosen = [*rng.sample(_EDGES[operands[0]], min(count // 2, len(_EDGES[operands[0]])))]
        return [(v,) for v in chosen] + [(number(rng, operands[0]),) for _ in range(count - len(chosen))]
    type_ = operands[0]
    result = []
    for _ in range(count):
        a, b = number(rng, type_), number(rng, type_)
        if rng.random() < 0.3:
            b = a ^ rng.getrandbits(rng.randint(1, FRACTION[type_] + 2)) ^ rng.getrandbits(1) << BITS[type_] - 1
        result.append((a, b))
    return result


def batch(operands: Mapping[str, Sequence[Sequence[int]]]) -> str:
    """A module with two functions for every instruction: "NAME" executes it on all of its rows, "NAME one" on the row at
    this address. The rows of an instruction lie behind those of the one before it."""
    data, functions = b"", []
    for name, rows_ in operands.items():
        types, (result,) = SIGNATURES[name]
        start = len(data)
        data += b"".join(b"".join(v.to_bytes(RECORD // 2, "little") for v in (*row, 0)[:2]) for row in rows_)
        loads = " ".join(f"({t}.load offset={i * RECORD // 2} (local.get 0))" for i, t in enumerate(types))
        functions.append(f"""
  (func (export "{name} one") (param i32) (result {result}) ({name} {loads}))
  (func (export "{name}") (local i32) (local {result})
    (local.set 0 (i32.const {start}))
    (loop
      (local.set 1 ({name} {loads}))
      (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const {RECORD}))) (i32.const {len(data)})))))""")
    text = "".join(f"\\{byte:02x}" for byte in data)
    return f'(module (memory {len(data) // 65536 + 1}) (data (i32.const 0) "{text}"){"".join(functions)})'


def difference(operands: Mapping[str, Sequence[Sequence[int]]], level: int, **options: Any) -> str | None:
    """The first difference from wasmtime, in words. An instruction that may trap is invoked once for each row.

    options: as for `Verifier`.
    """
    verifier = w2x.Verifier(batch(operands), opt_level=level, **options)
    start = 0
    for name, rows_ in operands.items():
        addresses = range(start, start + RECORD * len(rows_), RECORD)
        start = addresses.stop
        for call in [(f"{name} one", (at,)) for at in addresses] if name in TRAPPING else [(name, ())]:
            report = verifier.invoke(*call)
            if not report.ok:
                return f"{name} -O{level}: {report.divergence}"
    return None


def usual(rng: random.Random, name: str) -> list[int]:
    """Operands between 0.001 and 1000 or so; integers of any size; none that make the instruction trap."""
    values = []
    for type_ in SIGNATURES[name][0]:
        if type_[0] == "i":
            values.append(rng.getrandbits(rng.randint(1, BITS[type_] - 1)))
            continue
        value = rng.uniform(1, 10) * 10 ** rng.randint(-3, 2)
        if not (name.endswith("sqrt") or ".trunc_" in name) and rng.random() < 0.5:
            value = -value
        pack, unpack = ("<f", "<I") if type_ == "f32" else ("<d", "<Q")
        values.append(struct.unpack(unpack, struct.pack(pack, value))[0])
    return values


def tokens(name: str, count: int, seed: int) -> tuple[float, int]:
    """Median and maximum of what one execution costs: copying the operands, the routine, and its result."""
    operands, (result,) = SIGNATURES[name]
    loads = " ".join(f"(local.get {i})" for i in range(len(operands)))
    header = f"(param {' '.join(operands)}) (result {result})"
    instance = w2x.Instance(w2x.compile(f'(module (func (export "f") {header} ({name} {loads})))'))
    rng = random.Random(f"{name} {seed}")
    costs = []
    for _ in range(count):
        run = instance.invoke("f", *usual(rng, name))
        # besides: the entry's call and return, the digits of the result, the halt
        costs.append(len(run.tokens) - 3 - max(1, (run.bits[0].bit_length() + 7) // 8))
    return statistics.median(costs), max(costs)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.floats")
    parser.add_argument("--count", type=int, default=2000, help="rows of operands of each instruction (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=FLOAT_ARITHMETIC, metavar="NAME", help="repeatable")
    options = parser.parse_args(arguments)
    differences = 0
    print(f"{'instruction':<22}{'compared':>10}{'tokens':>8}{'most':>7}")
    for name in options.only or FLOAT_ARITHMETIC:
        rng = random.Random(f"{name} {options.seed}")
        count = options.count // 10 if name in TRAPPING else options.count
        for level in (0, 1):
            found = difference({name: rows(rng, name, count)}, level)
            if found:
                differences += 1
                print(found)
        median, most = tokens(name, 200, options.seed)
        print(f"{name:<22}{2 * count:>10,}{median:>8g}{most:>7}", flush=True)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
