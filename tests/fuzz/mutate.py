"""Changes to bytes, text and JSON, all from one random generator, so that a seed gives the same input again."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Sequence
from typing import Any

INTEGERS = (0, 1, -1, 2, 127, 128, 255, 256, 65535, 65536, 2**26, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64 - 1,
            2**64, -(2**31), -(2**63), 10**30)  # fmt: skip
WORDS = ("", "H", "D0.1", "J.0", "I.0", "i32", "i64", "externref", "frame", "const", "hidden", "memory_bytes", "add", "f", "a\nb",
         "\x1b[31m", "\u202e", "\x9b2J", "\u2028", "x" * 5000, "0", "-1", "1e999", "\\", '"', "日本")  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 2.0**60, 2.0**53 + 2)


def mutate_bytes(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A few changes: bits, bytes, numbers, cuts, repetitions, parts of other inputs."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        _change(rng, out, others)
    return bytes(out)


def _change(rng: random.Random, out: bytearray, others: Sequence[bytes]) -> None:
    at = rng.randrange(len(out) + 1) if rng.random() < 0.7 else min(len(out), int(rng.expovariate(1 / 40)))
    length = min(rng.choice((1, 1, 2, 4, 8, 16, 200)), len(out) - at)
    match rng.randrange(8):
        case 0 if length:
            out[at] ^= 1 << rng.randrange(8)
        case 1 if length:
            out[at] = rng.choice((0, 1, 0x0B, 0x40, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        case 2:
            del out[at : at + length]
        case 3:
            out[at:at] = out[at : at + length] * rng.choice((1, 2, 50))
        case 4:
            out[at : at + length] = rng.randbytes(length)
        case 5:
            width = rng.choice((1, 2, 4, 8))
            out[at : at + width] = (rng.choice(INTEGERS) % 256**width).to_bytes(width, "little")
        case 6 if others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            out[at : at + length] = other[start : start + rng.choice((4, 20, 100))]
        case _:
            del out[rng.randrange(len(out) + 1) :]


SPARE = ("(", ")", "block", "loop", "end", "br 0", "unreachable", '"\\ff\\00"', "v128", "\0", "é", "(start 0)")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|;;[^\n]*|[^\s()"]+|\s+')


def mutate_text(rng: random.Random, text: str, others: Sequence[str] = ()) -> str:
    """The same on tokens of WAT: removed, repeated, exchanged, numbers replaced, parts of other programs."""
    tokens = _TOKEN.findall(text)
    spare = _TOKEN.findall(rng.choice(others)) if others else tokens
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if not tokens:
            break
        at = rng.randrange(len(tokens))
        match rng.randrange(8):
            case 0:
                del tokens[at]
            case 1:
                tokens[at:at] = tokens[at : at + rng.choice((1, 3, 10))] * rng.choice((1, 1, 30))
            case 2:
                other = rng.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3 | 4:
                numbers = [i for i, t in enumerate(tokens) if re.fullmatch(r"-?(0x)?[0-9a-f_.]+", t)]
                if numbers:
                    tokens[rng.choice(numbers)] = rng.choice((str(rng.choice(INTEGERS)), "nan", "-inf", "0x1p-149", "1e400"))
            case 5:
                names = [i for i, t in enumerate(tokens) if t in spare and t[0].isalpha()]
                if names:
                    tokens[rng.choice(names)] = rng.choice([t for t in spare if t[0].isalpha()] or ["nop"])
            case 6:
                start = rng.randrange(len(spare)) if spare else 0
                tokens[at:at] = spare[start : start + rng.choice((1, 4, 12))]
            case _:
                tokens[at] = rng.choice(SPARE)
    return "".join(tokens)


def mutate_json(rng: random.Random, value: Any) -> Any:
    """A few parts of a JSON value replaced, removed, repeated, exchanged, or moved to where others are."""
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holder, key = _place(rng, root)
        match rng.randrange(7):
            case 0:
                holder[key] = rng.choice((rng.choice(INTEGERS), rng.choice(WORDS), rng.choice(FLOATS), None, True, [], {}))
            case 1 | 2:
                holder[key] = _like(rng, holder[key])
            case 3:
                del holder[key]
                if not root:
                    root.append(None)
            case 4 if isinstance(holder, list):
                holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 2, 20))
            case 5:
                other, there = _place(rng, root)
                part = copy.deepcopy(other[there])
                if len(str(part)) < 10_000:
                    holder[key] = part
            case _ if isinstance(holder, dict):
                holder[rng.choice(WORDS)] = copy.deepcopy(holder[key])
    return root[0]


def _place(rng: random.Random, root: list[Any]) -> tuple[Any, Any]:
    """A container and a key in it, at any depth."""
    holder: Any = root
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = rng.choice(keys)
        inner = holder[key]
        if not (isinstance(inner, (list, dict)) and inner) or rng.random() < 0.12:
            return holder, key
        holder = inner


def _like(rng: random.Random, value: Any) -> Any:
    """Another value of the same type: what types alone do not refuse."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, 2 * value, rng.choice(INTEGERS)))
    if isinstance(value, str):
        return rng.choice((value + "\x1b", value[1:], value * 2, rng.choice(WORDS)))
    if isinstance(value, list):
        shuffled = list(value)
        rng.shuffle(shuffled)
        return rng.choice((shuffled, value[1:], value[:-1], value * 2))
    if isinstance(value, dict):
        keys = list(value)
        return dict(zip(keys, [value[k] for k in keys[1:] + keys[:1]], strict=True))
    return rng.choice(INTEGERS)
