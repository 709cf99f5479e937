"""What a chain is made of: situations, how they follow one another, where code looks for room, begins, and keeps pointers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .again import KeptNumber, Settled
from .chain_again import Rest, at_rest
from .chain_constants import Entries, constants
from .chain_memory import Windows
from .compile import Analysis
from .situated import Situated
from .situations import Situation, Situations
from .tokens_alike import Ids
from .traffic import Traffic

# Positions between two looks at whether there is room for more tokens; so many are left at the end for `special`.
SLACK = 64
# A chain may begin at every so many positions of a way without branches.
STRIDE = 8
# Where positions that follow others in the same row and leave as it is what these have kept are so many times more than those,
# they take it.
MANY = 2
# Programs of more rows do without constants in chains: each row is looked at, whether it writes to one.
MOST_ROWS = 10_000
# Lines of a group's code from which on its positions are decoded by `special`, also where a chain comes by.
LONG = 1000


@dataclass
class Successor:
    """A token of ids [first, end) leads to situation number `to`."""

    ids: Ids
    to: int


class ChainPlan:
    """chosen: the situations that code is made for. contexts: their rewriters. successors: of each, the most frequent first.
    looking: those before which code looks whether there is room. entries: those at which a chain may begin, by row. sums: running
    sums that are kept besides the one that decides the row. long: of each, whether its group's code is. again: those that follow
    others in the same row, in which numbers have been kept. inside, rows: the same where registers of the chain keep them; and by
    row all situations of such a row. rests: of all these, what is as it was when the numbers were kept. constants: entries whose
    values are in code, where nothing is kept; entries: see `chain_constants.constants`."""

    def __init__(
        self, found: Analysis, situations: Situations, flow: Traffic, chosen: Sequence[Situation],
        entries: Entries = (),
    ):  # fmt: skip
        self.found, self.situations = found, situations
        self.graph = found.lifted.graph
        assert found.split is not None
        self._lengths, self._kept, self._settled = found.split.lengths, found.split.kept, found.split.settled
        self.sums = [k for k in found.special.sums if k != situations.row_sum]
        # A position that is handed over leaves sums as they are, but for the one that decides the row.
        self.chosen = [s for s in chosen if not self._is_long(s) or not self._moves(situations.forms(s))]
        numbers = {s: k for k, s in enumerate(self.chosen)}
        self.successors: list[list[Successor]] = [[] for _ in self.chosen]
        before = [0] * len(self.chosen)  # how many lead there, and whether one does for which there is no code
        joined: set[int] = set()
        led: set[int] = set()  # from the same row, and from no other one
        entered: set[int] = set()
        for (here, ids, there), _ in flow.steps.most_common():
            if there in numbers and here in numbers:
                self.successors[numbers[here]].append(Successor(ids, numbers[there]))
                before[numbers[there]] += 1
                (led if here.row == there.row else entered).add(numbers[there])
            elif there in numbers:
                joined.add(numbers[there])
        self.long = [self._is_long(s) for s in self.chosen]
        led -= entered
        self.again = [long and k in led and bool(self.kept(k)) for k, long in enumerate(self.long)]
        handed = [long and not again for long, again in zip(self.long, self.again, strict=True)]
        self.contexts = [
            situations.forms(s) if other else situations.context(s) for s, other in zip(self.chosen, handed, strict=True)
        ]
        self._own: dict[int, Rest] = {}
        self.rests = self._since_handed(flow)
        self.again = [k in self.rests for k in range(len(self.chosen))]
        self.rows = self._within_rows(flow, led)
        self.inside = [k in self.rests and not again for k, again in enumerate(self.again)]
        self.windows = self._windows()
        visits = [flow.visits[s] for s in self.chosen]
        self.constants = constants(
            self.graph, found.layout, found.special, self.windows, self.contexts, self._each_row, visits,
            entries if len(situations.static.keys) <= MOST_ROWS else (),
        )  # fmt: skip
        for k, situation in enumerate(self.chosen):
            if self.constants.values and not self.long[k]:
                self.contexts[k] = situations.context(
                    situation, entries=self.constants.values, used=self.constants.used
                )
        self.looking, ahead = self._where_to_look()
        begins = [k for k, n in enumerate(before) if n != 1 or k in joined or ahead[k] % STRIDE == STRIDE - 1]
        self.entries = sorted(begins, key=lambda k: self.chosen[k].row)

    def _rest(self, k: int) -> Rest:
        """What a situation leaves as it is."""
        if k not in self._own:
            special = self.found.special
            self._own[k] = at_rest(self.graph, self.contexts[k], special.sums, special.stores)
        return self._own[k]

    def _since_handed(self, flow: Traffic) -> dict[int, Rest]:
        """Of situations that take what `special` has kept: what is at rest at all of their row. Where one leaves less at rest,
        `special` keeps numbers again."""
        rows: dict[int, dict[Rest, int]] = {}
        candidates = [k for k, again in enumerate(self.again) if again]
        for k in candidates:
            rests = rows.setdefault(self.chosen[k].row, {})
            rests[self._rest(k)] = rests.get(self._rest(k), 0) + flow.visits[self.chosen[k]]
        most = {row: max(rests, key=lambda rest: (rests[rest], len(rest.stores))) for row, rests in rows.items()}
        found = {k: most[self.chosen[k].row] for k in candidates}
        return {k: rest for k, rest in found.items() if self._rest(k).covers(rest)}

    def _within_rows(self, flow: Traffic, led: set[int]) -> dict[int, list[int]]:
        """By row, all situations of those in which many positions take what others of the row have kept. Notes which these are,
        and what is at rest there."""
        rows: dict[int, list[int]] = {}
        for k, situation in enumerate(self.chosen):
            if not self.long[k]:
                rows.setdefault(situation.row, []).append(k)
        visits = [flow.visits[situation] for situation in self.chosen]
        for row, members in list(rows.items()):
            follow = [k for k in members if k in led]
            all_, most = sum(visits[k] for k in members), sum(visits[k] for k in follow)
            fitting = []
            if most < all_ and most >= MANY * (all_ - most):
                for rest in dict.fromkeys(self._rest(k) for k in follow):
                    taking = [k for k in follow if self._rest(k).covers(rest)]
                    count = sum(visits[k] for k in taking)
                    if count >= MANY * (all_ - count):
                        fitting.append((len(rest.sums) + len(rest.stores), count, rest, taking))
            if not fitting:
                del rows[row]
                continue
            _, _, rest, taking = max(fitting, key=lambda each: each[:2])
            self.rests |= dict.fromkeys(taking, rest)
        return rows

    def _each_row(self) -> Iterator[Situated]:
        for row in range(len(self.situations.static.keys)):
            yield self.situations.forms(self.situations.start(row))

    def forget_constants(self, k: int) -> None:
        """A situation's context is one in which nothing is known of entries."""
        self.contexts[k] = self.situations.context(self.chosen[k])

    def leads_inside(self, k: int) -> bool:
        """Whether what follows a situation takes what has been kept in registers."""
        return any(self.inside[successor.to] for successor in self.successors[k])

    def _is_long(self, situation: Situation) -> bool:
        return self._lengths[self.situations.group_of[situation.row]] > LONG

    def _moves(self, context: Situated) -> bool:
        return not all(context(self.graph.sums[k]).is_zero() for k in self.sums)

    def kept(self, k: int) -> dict[tuple, KeptNumber]:
        """Numbers that a position of a situation leaves for those behind it."""
        return self._kept[self.situations.group_of[self.chosen[k].row]]

    def settled(self, k: int) -> Settled | None:
        """More of them, where one of them decides much."""
        return self._settled[self.situations.group_of[self.chosen[k].row]]

    def alike(self, k: int) -> tuple:
        """The same for situations that take much the same code: their rows are in one group, and the same is known of tokens."""
        return int(self.situations.group_of[self.chosen[k].row]), self.chosen[k].recent

    def tokens(self) -> np.ndarray:
        """int32: ids that code goes on with without a look at their flags."""
        runs = {successor.ids for each in self.successors for successor in each}
        ids = [np.arange(first, end) for first, end in runs]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *ids])).astype(np.int32)

    def _windows(self) -> Windows:
        graph, special = self.graph, self.found.special
        registers = [s for s in special.stores if graph.stores[s].kind == "register"]
        fixed = frozenset(s for s in registers if not any(self._may_write(c, s) for c in self.contexts))
        windows = Windows(fixed)
        for context in self.contexts:
            for store in special.stores:
                if graph.stores[store].kind == "keyed" and self._may_write(context, store):
                    windows.add(graph, store, context(graph.stores[store].key), writing=True)
            for number in special.lookups:
                lookup = graph.lookups[number]
                if graph.stores[lookup.store].kind == "keyed" and number not in context.statics:
                    windows.add(graph, lookup.store, context(lookup.query), writing=False)
        return windows

    def _may_write(self, context: Situated, store: int) -> bool:
        penalty = context(self.graph.stores[store].penalty)
        return not penalty.is_constant() or penalty.constant <= 0

    def _where_to_look(self) -> tuple[list[bool], list[int]]:
        """Where code looks for room, so that no way has more than SLACK positions without: one at least in each circle. And how
        many positions may come between the last look and each situation."""
        order = sorted(range(len(self.chosen)), key=lambda k: (self.chosen[k].row, k))
        place = {k: i for i, k in enumerate(order)}
        looking, length = [False] * len(order), [0] * len(order)
        for k in order:
            for successor in self.successors[k]:
                looking[successor.to] |= place[successor.to] <= place[k]
        for k in order:
            looking[k] |= length[k] >= SLACK - 2
            length[k] = 0 if looking[k] else length[k]
            for successor in self.successors[k]:
                if place[successor.to] > place[k]:
                    length[successor.to] = max(length[successor.to], length[k] + 1)
        return looking, length
