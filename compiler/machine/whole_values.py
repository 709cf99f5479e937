"""Values that have a token of their own: `W.{v}` says all of a value v that otherwise takes two digits or more.

There is room for a few thousand of them, so these are blocks of 256 values that a program is likely to compute: small numbers
(sizes, indices, sums), -1 to -256, what stands in its operands as constants, addresses of its data and below the tops of its
stacks (initial values of globals). Which they are is estimated from the program's shape and decides the length of a trace,
nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from ..format.isa import Program, Step
from .call_graph import call_graph
from .frequency import frequencies

BLOCK = 256
# Blocks that a program has at most.
BLOCKS = 16
# What blocks are worth, as the part of all steps that compute a value of them: small ones by their number, the highest one (-1
# is in it), those around the first values of globals by their distance, those of data together.
SMALL, HIGHEST, TOP, DATA = 0.02, 0.05, 0.05, 0.04
MOST_SMALL, BELOW_TOP, BEHIND_DATA = 64, 4, 4
# What is computed of a constant lies in its block, in the one before or in the one behind.
BESIDE = 0.25
_END = 2**32 // BLOCK


def whole_values(program: Program, room: int) -> tuple[range, ...]:
    """The values, in ascending order: at most so many, in ranges that do not touch. None in programs in which nothing repeats."""
    calls = call_graph(program)
    back = any(t is not None and t <= i for i, step in enumerate(program.steps) for t in (step.target, *step.targets))
    if not (back or calls.recursive or calls.indirect):
        return ()
    worth = _worth(program, frequencies(program, calls))
    best = sorted(worth, key=lambda block: (-worth[block], block))
    blocks = sorted(islice(best, max(0, min(BLOCKS, room // BLOCK))))
    made: list[range] = []
    for block in blocks:
        values = range(block * BLOCK, (block + 1) * BLOCK)
        if made and made[-1].stop == values.start:
            values = range(made.pop().start, values.stop)
        made.append(values)
    return tuple(made)


def _worth(program: Program, runs: Sequence[float]) -> dict[int, float]:
    """By block. runs: of each step, how often it may run."""
    worth: dict[int, float] = defaultdict(float)
    for block in range(1, MOST_SMALL):
        worth[block] += SMALL / block
    worth[_END - 1] += HIGHEST
    for block, part in _constants(program, runs):
        worth[block] += part
        worth[block - 1] += BESIDE * part
        worth[block + 1] += BESIDE * part
    for slot, value in program.initial.items():
        if slot.kind == "global" and value < 2**32:
            for below in range(BELOW_TOP + 1):
                worth[value // BLOCK - below] += TOP / max(below, BELOW_TOP if below == 0 else 1)
    data = sorted({block for s in program.segments if not s.hidden for block in _blocks(s.address, len(s.bytes))})
    data += list(range(data[-1] + 1, data[-1] + 1 + BEHIND_DATA)) if data else []
    for block in data:
        worth[block] += DATA / len(data) ** 0.5
    # Those of the first block are one digit.
    return {block: value for block, value in worth.items() if 0 < block < _END}


def _blocks(address: int, length: int) -> range:
    return range(address // BLOCK, -(-(address + length) // BLOCK))


def _constants(program: Program, runs: Sequence[float]) -> Iterator[tuple[int, float]]:
    """(block, part of all steps) of the constants that steps compute values of."""
    total = sum(runs) or 1.0
    for step, times in zip(program.steps, runs, strict=True):
        if says_values_whole(step) and not step.operation.comparison:
            for slot in (step.a, step.b, step.d):
                if slot is not None and slot.kind == "const" and int(slot.index) < 2**32:
                    yield int(slot.index) // BLOCK, times / total


def says_values_whole(step: Step) -> bool:
    """Whether the step's value may be said by one token: one that stands in a slot, and is there as words, not as bytes."""
    o = step.operation
    return o.effect == "value" and o.does not in ("param", "and", "or", "xor", "shl", "shr", "rotl", "rotr")


__all__ = ["BLOCK", "BLOCKS", "says_values_whole", "whole_values"]
