"""How often a sequence of tokens was in each situation, and how often one led to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .situations import Situation, Situations
from .tokens_alike import Ids


class Traffic(NamedTuple):
    """How often positions were in a situation, and how often one led to another by a run of tokens."""

    visits: Counter[Situation]
    steps: Counter[tuple[Situation, Ids, Situation]]


class Walk:
    """Counts situations along sequences of tokens."""

    def __init__(self, situations: Situations):
        self._situations = situations
        self._starts = situations.tokens.runs[:, 0]
        self._known: list[Situation] = []
        self._numbers: dict[Situation, int] = {}
        self._next: list[
            dict[int, int]
        ] = []  # by situation and the first id of a run: the next one's number, -1 for none
        self._steps: Counter[tuple[int, int]] = Counter()

    def add(self, row: int, before: Sequence[int], tokens: np.ndarray) -> None:
        """before: the last tokens before these, the last of which was read at that row."""
        ids = self._situations.tokens
        last = list(before)[::-1][: ids.depth + 1]
        if len(last) <= ids.depth or max(last) >= ids.count:
            return
        recent = tuple(ids.usual(distance, ids.run(token)) for distance, token in enumerate(last))
        here = self._number(Situation(row, recent))
        taken: list[tuple[int, int]] = []
        for start in self._starts[tokens[tokens < ids.count]].tolist():
            there = self._next[here].get(start)
            if there is None:
                there = self._next[here][start] = self._following(here, start)
            if there < 0:
                break
            taken.append((here, start))
            here = there
        self._steps.update(taken)

    def _number(self, situation: Situation) -> int:
        found = self._numbers.setdefault(situation, len(self._known))
        if found == len(self._known):
            self._known.append(situation)
            self._next.append({})
        return found

    def _following(self, here: int, start: int) -> int:
        found = self._situations.follow(self._known[here], self._situations.tokens.run(start))
        return -1 if found is None else self._number(found)

    def traffic(self) -> Traffic:
        found = Traffic(Counter(), Counter())
        for (here, start), count in self._steps.items():
            there = self._known[self._next[here][start]]
            found.visits[there] += count
            found.steps[self._known[here], self._situations.tokens.run(start), there] += count
        return found
