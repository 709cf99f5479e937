"""Whether a call agrees with wasmtime, found out while wasmtime runs: records are compared as they come, and need not be kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from ....compiler.format.isa import Program, Slot
from ....compiler.format.limits import FRAME_LIMIT, FRAME_SIZE_LIMIT, MEMORY_LIMIT
from ....compiler.format.tokens import Kind, TokenTable
from ....compiler.wasm.module import Module
from ...results import Run
from ...trace import Trace
from ..oracle import RECORD, OracleRun
from . import one_pass as p
from .context import Context
from .ending import check_outcome, check_results
from .memory import SparseMemory
from .native import NativeFunction, Placed
from .ranges import check_bulk
from .steps import StepTable
from .tables import PassTables

# Values that a call's `result` steps give, at most; with more of them the slower checks look.
_RESULTS = 4096
_NEAR = 1 << 16  # keys that are laid out in a row at a time
_SLOTS = FRAME_LIMIT + 2 * FRAME_SIZE_LIMIT


@cache
def _follow() -> NativeFunction:
    return NativeFunction(p.follow)


class PassRoom:
    """Arrays that all calls of a program use, one after the other. slots, known: what each slot has, and the number of the call
    that has written it, from 1 to 255. tables: of the program, in the order in which `follow` takes them."""

    def __init__(self, tables: PassTables):
        size = len(tables.fixed) + _SLOTS
        self.slots, self.known = Placed(np.empty(size, np.int64)), Placed(np.zeros(size, np.uint8))
        self.stack = Placed(np.empty(p.STACK_WIDTH * FRAME_LIMIT, np.int64))
        self.results = Placed(np.empty(p.RESULT_WIDTH * _RESULTS, np.int64))
        t = tables
        self.tables = [Placed(each) for each in (t.tokens, t.steps, t.firsts, t.constants, t.bases, t.cases, t.answered)]
        self.call = 0

    def next_call(self) -> int:
        """The number of the next one. What those before it have written is not known to it."""
        if self.call == 255:
            self.known.array[:] = self.call = 0
        self.call += 1
        return self.call


class Agreement:
    """Of one call; there is no other on the same room as long as it is asked for something. tables: of the program. run: what the
    model did, with the keys (see `trace.decode`) as `probed`, None for a program without memory. table: of its tokens. memory:
    has what the prompt puts there, and gets what the call stores. hidden: bytes of hidden memory. keep: records are kept in any
    case; where there are bulk instructions they always are.

    tokens: [n], the prompt's and the model's; uint16 where all of them are ids of the table below 2^16, and int32 where the other
    checks have to look at them. agrees: nothing has been seen so far that is not as it should be. When something has, memory has
    the stores of some of the steps. counts: of the records that were not kept, by site. dropped: how many of them steps answer
    for.
    """

    def __init__(
        self, tables: PassTables, run: Run, table: TokenTable, memory: SparseMemory, hidden: int, keep: bool = False,
        room: PassRoom | None = None,
    ):  # fmt: skip
        self._tables, self._run, self._table, self._memory = tables, run, table, memory
        self._room = room = room or PassRoom(tables)
        fixed, steps = len(tables.fixed), len(tables.constants)
        self.entry = int(np.argmax(table.kind[run.prompt] == Kind.ENTRY))
        # Nothing is read outside of an array, whatever an engine gives.
        pieces = [run.prompt, *run.pieces]
        known = all(map(partial(_within, min(len(table.kind), 2**16)), pieces))
        self.tokens = np.empty(sum(map(len, pieces)), np.uint16 if known else np.int32)
        self.tokens[: len(run.prompt)] = run.prompt
        del pieces
        run.move(self.tokens[len(run.prompt) :])
        self._has_keys = run.probed is not None
        self._keys, self._near = run.probed, np.empty(0)  # all of them, and some in a row
        pages, first_page = memory.pointers(-hidden, MEMORY_LIMIT - 1)
        self._bulks, self._ended = list[np.ndarray](), False
        self._keep = keep or tables.has_bulk
        self.counts, self.dropped = np.zeros(len(tables.answered) - 1, np.int64), 0
        self._visited = np.zeros(steps, np.uint8)
        self._state = state = np.zeros(p.STATE_WIDTH, np.int64)
        state[p.AT], state[p.IP] = self.entry + 1, table.ip_delta[run.prompt[self.entry]]
        state[p.TOKENS], state[p.PROGRAM] = len(self.tokens), len(tables.firsts) - 1
        state[p.FIXED], state[p.SLOTS] = fixed, fixed + _SLOTS
        state[p.STACK], state[p.MOST_RESULTS], state[p.PATIENCE] = FRAME_LIMIT, _RESULTS, len(self.counts)
        state[p.HIDDEN_BYTES], state[p.FIRST_PAGE], state[p.HAS_KEYS], state[p.USER] = hidden, first_page, self._has_keys, -1
        state[p.CALL] = room.next_call()
        self._placed = [Placed(each) for each in (state, self.tokens, self.counts, self._visited, pages)]
        self.agrees = known and (self._keys is None or len(self._keys) == len(self.tokens))

    @property
    def compared(self) -> int:
        """Records that were compared."""
        return int(self._state[p.COMPARED])

    @property
    def steps(self) -> int:
        """Steps that were executed."""
        return int(self._state[p.STEPS])

    @property
    def visited(self) -> np.ndarray:
        """Which steps of the program were."""
        return np.flatnonzero(self._visited)

    def values(self) -> dict[Slot, int]:
        """What the call has left in the slots that are in no frame and that it has written."""
        fixed, call = self._tables.fixed, self._state[p.CALL]
        found = self._room.slots.array[: len(fixed)].view(np.uint64).tolist()
        known = (self._room.known.array[: len(fixed)] == call).tolist()
        return {slot: value for slot, value, written in zip(fixed, found, known, strict=True) if written}

    def take(self, records: np.ndarray) -> bool:
        """The next records of wasmtime's run (`oracle.RECORD`). Returns whether they agree and need not be kept."""
        counts = self.counts.copy()
        self.agrees = self.agrees and self._take(records)
        if self._keep or not self.agrees:
            self.counts[:] = counts
            return False
        self.dropped = self.compared
        return True

    def _take(self, records: np.ndarray) -> bool:
        words, state, room = np.ascontiguousarray(records).view(np.int64), self._state, self._room
        state[p.RECORD], state[p.RECORDS], state[p.BULKS] = 0, len(records), 0
        bulks = np.empty(p.BULK_WIDTH * (len(records) if self._tables.has_bulk else 0), np.int64)
        while not self._ended:
            placed_state, tokens, counts, visited, pages = self._placed
            status = _follow()(
                placed_state, tokens, self._near, words, *room.tables, counts, visited, room.slots, room.known, room.stack,
                pages, room.results, bulks,
            )  # fmt: skip
            if status == p.DIFFERS:
                return False
            if status == p.PAGES:
                self._memory.make_room(int(state[p.NEEDED_FIRST]), int(state[p.NEEDED_LAST]))
                continue
            if status == p.KEYS:
                self._come_near(int(state[p.NEEDED_FIRST]))
                continue
            self._ended = status == p.ENDED
            break
        if state[p.BULKS]:
            self._bulks.append(bulks[: p.BULK_WIDTH * int(state[p.BULKS])].reshape(-1, p.BULK_WIDTH).copy())
        if not self._ended:
            return True
        # What is left may only be records that nobody answers for.
        left = records["site"][int(state[p.RECORD]) :]
        state[p.RECORD] = len(records)
        self.counts += np.bincount(left, minlength=len(self.counts))
        state[p.SINCE] += len(left)
        return not self._tables.answered[left].any() and bool(state[p.SINCE] <= state[p.PATIENCE])

    def _come_near(self, first: int) -> None:
        """Has the keys at the positions from this one on at hand."""
        assert self._keys is not None
        self._near = np.ascontiguousarray(self._keys[first : first + _NEAR])
        self._state[p.FIRST_KEY], self._state[p.KEYS_END] = first, first + len(self._near)

    def ends_with(
        self, program: Program, module: Module, steps: StepTable, oracle: OracleRun, trace: Callable[[], Trace]
    ) -> bool:  # fmt: skip
        """Whether nothing differs, now that wasmtime has ended, but for the state that is left behind. oracle: what it did.
        trace: the call's, which is asked for only where bulk instructions have to be looked at."""
        self.take(np.empty(0, RECORD))
        if not (self.agrees and self._ended):
            return False
        if (self._run.stdout, self._run.stderr) != (oracle.stdout, oracle.stderr):
            return False
        c = Context(program, module, steps, self._last_steps(), oracle)
        checks = [check_results(c), check_outcome(c)]
        if self._bulks and self._has_keys:
            whole = Context(program, module, steps, trace(), oracle)
            ranges = zip(np.concatenate(self._bulks).tolist(), oracle.bulk, strict=True)
            checks += [check_bulk(whole, written, *row) for row, written in ranges]
        return not any(True for check in checks for _ in check)

    def _last_steps(self) -> Trace:
        """Of the call's steps those that say how it ended: what gave results, the last one outside of routines, the last one."""
        rows = self._room.results.array[: p.RESULT_WIDTH * int(self._state[p.RESULTS])].reshape(-1, p.RESULT_WIDTH)
        steps = {step: (index, at, value, Kind.DIGIT) for step, index, at, value in rows.tolist()}
        last, value = int(self._state[p.STEPS]) - 1, int(self._state[p.OUTPUT])
        if self._state[p.USER] >= 0:
            steps.setdefault(int(self._state[p.USER_STEP]), (int(self._state[p.USER]), 0, 0, Kind.NEXT))
        kind = Kind(int(self._table.kind[self.tokens[-1]]))
        steps[last] = (int(self._state[p.LAST]), len(self.tokens) - 1, value, kind)
        step, end, values, kinds = (np.array(column) for column in zip(*(steps[k] for k in sorted(steps)), strict=True))
        outcome = self._table.traps[value] if kind == Kind.TRAP else "halt"
        return Trace(
            self._table, self.tokens, self.entry, step.astype(np.int32), end, np.ones(len(step), np.int32),
            kinds.astype(np.uint8), values.astype(np.int64).view(np.uint64), np.zeros(len(step), np.int32), None, outcome, None,
        )  # fmt: skip


def _within(count: int, tokens: np.ndarray) -> bool:
    """Whether all of them are ids from 0 to below `count`."""
    return not len(tokens) or (int(tokens.max()) < count and (tokens.dtype.kind == "u" or int(tokens.min()) >= 0))
