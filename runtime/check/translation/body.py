"""Where the blocks of a function body lead."""

from __future__ import annotations

from ....compiler.wasm.module import BLOCKS, FuncType, Instr


class Body:
    """outer[i]: index of the block, loop or if around instruction i, -1 for the function itself.

    end, otherwise: of each of these, the index of its `end` and of its `else`.
    """

    def __init__(self, body: tuple[Instr, ...], results: int):
        self.instrs, self.results = body, results
        self.outer: list[int] = []
        self._labels: dict[tuple[int, int], int] = {}
        self.end: dict[int, int] = {}
        self.otherwise: dict[int, int] = {}
        opened = [-1]
        for i, instr in enumerate(body):
            if instr.name == "end":
                self.outer.append(opened[-1])
                self.end[opened.pop()] = i
                continue
            if instr.name == "else":
                self.otherwise[opened[-1]] = i
            self.outer.append(opened[-1])
            if instr.name in BLOCKS:
                opened.append(i)

    def label(self, at: int, depth: int) -> int:
        """The block that a branch from instruction `at` leaves or repeats."""
        found = self._labels.get((at, depth))
        if found is None:
            found = self.outer[at]
            for _ in range(depth):
                found = self.outer[found]
            self._labels[at, depth] = found
        return found

    def arity(self, block: int) -> int:
        """How many values a branch to it carries."""
        if block < 0:
            return self.results
        type_: FuncType = self.instrs[block].args[0]
        return len(type_.params) if self.instrs[block].name == "loop" else len(type_.results)

    def target(self, block: int) -> int:
        """Where a branch to it goes on: the function's last `end` for the function itself."""
        if block < 0:
            return len(self.instrs) - 1
        return block + 1 if self.instrs[block].name == "loop" else self.end[block] + 1
