"""A program and its source, function by function, as they are run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ....compiler.format.isa import Program
from ....compiler.link.linked import LinkedModule
from ....compiler.wasm.module import Module
from ....compiler.wasm.split import split
from .function import FunctionCheck, Mistranslation
from .linking import LinkCheck
from .program import check_program


class TranslationCheck:
    """program: the steps in question. linked: what the source is once it is linked. module: the source itself."""

    def __init__(self, program: Program, linked: LinkedModule, module: Module):
        self.program, self.linked = program, linked
        self.links = LinkCheck(linked, split(module))
        self._checked: dict[int, Mistranslation | None] = {}
        self._fine = np.zeros(len(program.steps), dtype=bool)  # steps of functions that have no fault
        self._program: Mistranslation | None = None
        try:
            check_program(program, linked)
        except Mistranslation as error:
            self._program = error
        # (function, instruction) of the source that no step answers for -> by which rule.
        self.rules: dict[tuple[int, int], str] = {}
        functions = sorted(program.functions.values(), key=lambda f: f.entry)
        self._indices = np.array([f.index for f in functions], np.int64)
        self._ends = np.array([f.end for f in functions], np.int64)
        self._entries = np.array([f.entry for f in functions], np.int64)

    def first(self, steps: np.ndarray) -> Mistranslation | None:
        """The first fault in the functions of which these steps are. Every function is looked at once."""
        if self._program is not None:
            return self._program
        if self._fine[steps].all():
            return None
        at = np.searchsorted(self._entries, np.unique(steps), side="right") - 1
        for index in np.unique(self._indices[at[at >= 0]]).tolist():
            if index not in self._checked:
                self._checked[index] = self._check(index)
            if self._checked[index] is not None:
                return self._checked[index]
        self._fine[steps] = True
        return None

    def all(self) -> Iterable[Mistranslation]:
        """One fault of every function that has one, and of the rest."""
        if self._program is not None:
            yield self._program
        for index in self.program.functions:
            fault = self._check(index)
            if fault is not None:
                yield fault

    def _check(self, index: int) -> Mistranslation | None:
        difference = self.links.difference(index)
        if difference:
            return Mistranslation(self.program.functions[index].entry, "the source's instructions", difference)
        try:
            check = FunctionCheck(self.program, self.linked, index)
        except Mistranslation as error:
            return error
        if check.origin is not None:
            for each in (check, *check.inlined):
                assert each.origin is not None  # routines are not inlined
                self.rules |= {(each.origin, at): rule for at, rule in each.rules.items()}
        return None
