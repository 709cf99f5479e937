"""Where the blocks of a function body end, and what they write."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wasm.module import BLOCKS, Instr


@dataclass
class Construct:
    """A block, loop, if or try_table of a body. end, otherwise: indices of its `end` and `else`.

    locals, globals: indices written anywhere inside. calls: whether anything inside calls.
    """

    end: int = -1
    otherwise: int | None = None
    locals: set[int] = field(default_factory=set)
    globals: set[int] = field(default_factory=set)
    calls: bool = False


def blocks_of(body: tuple[Instr, ...]) -> dict[int, Construct]:
    """Index of each block, loop, if and try_table of a valid body -> its extent and effects, those of inner blocks included."""
    blocks: dict[int, Construct] = {}
    open_blocks = [Construct()]  # the first one stands for the function itself
    for at, instr in enumerate(body):
        block = open_blocks[-1]
        if instr.name in BLOCKS:
            blocks[at] = Construct()
            open_blocks.append(blocks[at])
        elif instr.name == "else":
            block.otherwise = at
        elif instr.name == "end":
            block.end = at
            open_blocks.pop()
            if open_blocks:
                outer = open_blocks[-1]
                outer.locals |= block.locals
                outer.globals |= block.globals
                outer.calls |= block.calls
        elif instr.name in ("local.set", "local.tee"):
            block.locals.add(instr.args[0])
        elif instr.name == "global.set":
            block.globals.add(instr.args[0])
        elif instr.name in ("call", "call_indirect", "call_ref"):
            block.calls = True
    return blocks
