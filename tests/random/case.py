"""What a generator makes: a module and the calls to try on one instance of it."""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..floats import number


@dataclass(frozen=True)
class Call:
    export: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Case:
    """source: WAT text or WASM bytes. exports: what is compiled of it (None: everything).

    refused: exports of the module that the compiler refuses, by reason; they are in none of the calls.
    """

    source: str | bytes
    calls: tuple[Call, ...]
    exports: tuple[str, ...] | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


# Where carries, signs, shift counts and byte boundaries change.
EDGES = {
    bits: sorted(
        {
            (base + delta) % 2**bits
            for base in (0, *(1 << p for p in (5, 6, 7, 8, 15, 16, 24, 31, 32, 33, 48, 53, 62, 63) if p < bits))
            for delta in (-1, 0, 1)
        }
    )
    for bits in (32, 64)
}


def integer(rng: random.Random, type_: str) -> int:
    """A bit pattern, signed: an edge, a small number, a number of any length, or a uniform one."""
    bits = int(type_[1:])
    match rng.randrange(4):
        case 0:
            value = rng.choice(EDGES[bits])
        case 1:
            value = rng.randrange(-20, 70)
        case 2:
            value = rng.getrandbits(rng.randint(1, bits)) * rng.choice((1, -1))
        case _:
            value = rng.getrandbits(bits)
    value %= 2**bits
    return value - 2**bits if value >> (bits - 1) else value


def argument(rng: random.Random, type_: str) -> int:
    """As `invoke` takes it: a float is its bit pattern, and so is a vector."""
    if type_ == "v128":
        return (integer(rng, "i64") & 2**64 - 1) | (integer(rng, "i64") & 2**64 - 1) << 64
    return integer(rng, type_) if type_.startswith("i") else number(rng, type_)


def constant(rng: random.Random, type_: str) -> str:
    """A constant instruction's text behind its name."""
    if type_.startswith("i"):
        return str(integer(rng, type_))
    bits = number(rng, type_)
    pack, unpack, fraction = ("<I", "<f", 23) if type_ == "f32" else ("<Q", "<d", 52)
    value = struct.unpack(unpack, struct.pack(pack, bits))[0]
    if value == value:
        return "inf" if value == math.inf else "-inf" if value == -math.inf else value.hex()
    return f"nan:0x{bits % 2**fraction:x}"


def seldom_trapping(rng: random.Random, name: str) -> str:
    """Mostly the saturating form of a conversion that traps for most floats; any other instruction as it is."""
    return name.replace(".trunc_f", ".trunc_sat_f") if rng.random() < 0.9 else name
