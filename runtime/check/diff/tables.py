"""The tables of `one_pass`: what it has to know of each token and of each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....compiler.format.isa import Program, Slot
from ....compiler.format.references import NUMBER, OUTSIDE
from ....compiler.format.tokens import Kind, TokenTable
from ....compiler.wasm.module import Module
from ..oracle import REFERENCE_BITS
from ..oracle.observed import HOST_BITS, OBJECT_BITS
from . import one_pass as p
from .copies import SlotTable
from .steps import (
    BR_TABLE,
    BRANCH,
    BULK,
    CALL,
    CALL_INDIRECT,
    ENDS_WITH,
    JUMP,
    RETURN,
    STORE,
    STORED,
    TAIL_INDIRECT,
    TRAP,
    VALUE,
    VALUED,
    StepTable,
)

_NOWHERE = 2**31 - 1  # no step
# The pass has numbers of its own, as it is no Python when it runs.
assert (p.K_DIGIT, p.K_NEXT, p.K_JUMP, p.K_TRAP) == (Kind.DIGIT, Kind.NEXT, Kind.JUMP, Kind.TRAP)
assert (p.G_STORE, p.G_BRANCH, p.G_BR_TABLE, p.G_CALL) == (STORE, BRANCH, BR_TABLE, CALL)
assert (p.G_CALL_INDIRECT, p.G_RETURN, p.G_TRAP, p.G_TAIL_INDIRECT) == (CALL_INDIRECT, RETURN, TRAP, TAIL_INDIRECT)
assert (p.R_REFERENCE, p.R_OBJECT, p.R_HOST) == (REFERENCE_BITS, OBJECT_BITS, HOST_BITS)
assert (p.R_OUTSIDE, p.R_NUMBER) == (OUTSIDE, NUMBER)


@dataclass(frozen=True)
class PassTables:
    """tokens: int32 [ids * TOKEN_WIDTH]. steps: int32 [steps * STEP_WIDTH]. firsts: int32 [rows + 1], the first step of each row,
    and how many steps there are. constants: int64 [steps], that a step copies. bases:
    int64 [steps], what the place of a recorded store is added to. cases: int64, see `StepTable`. answered: uint8, by site. fixed:
    the slots that are in no frame, by their number here. has_bulk: steps answer for bulk instructions."""

    tokens: np.ndarray
    steps: np.ndarray
    firsts: np.ndarray
    constants: np.ndarray
    bases: np.ndarray
    cases: np.ndarray
    answered: np.ndarray
    fixed: tuple[Slot, ...]
    has_bulk: bool


def pass_tables(program: Program, module: Module, table: TokenTable, steps: StepTable, slots: SlotTable) -> PassTables:
    """Raises OverflowError for a number that takes more than 32 bits."""
    return PassTables(
        _token_rows(table),
        _step_rows(program, module, table, steps, slots),
        np.array([*program.step_at, len(program.steps)], np.int32),
        slots.const.view(np.int64),
        np.where(steps.hidden, steps.imm - program.hidden_bytes, steps.base).astype(np.int64),
        np.append(_rows(program, steps.cases), 0).astype(np.int64),  # no array is empty
        np.append(steps.answered, False).astype(np.uint8),
        slots.fixed,
        bool((steps.record == BULK).any()),
    )


def _token_rows(table: TokenTable) -> np.ndarray:
    rows = np.zeros((len(table.kind), p.TOKEN_WIDTH), np.int64)
    digit = table.kind == Kind.DIGIT
    place = np.where(digit, np.maximum(table.place, 0), 0).astype(np.int64)
    speaks = np.isin(table.kind, (Kind.DIGIT, Kind.STDOUT, Kind.STDERR, Kind.TRAP))
    foreign = (table.kind == Kind.NONE) | (table.kind == Kind.ENTRY)
    rows[:, p.KIND] = table.kind
    value = np.where(speaks, table.value, 0)
    rows[:, p.VALUE], rows[:, p.WRAPS] = np.where(value < 2**31, value, value - 2**32), value >= 2**31
    rows[:, p.SHIFT] = 8 * place
    rows[:, p.IP_DELTA], rows[:, p.FRAME_DELTA] = table.ip_delta, table.frame_delta
    # Nothing leads to what only a prompt holds. An `int` would be made an int8, as `behind` is.
    rows[:, p.BEHIND] = np.where(foreign, np.int64(_NOWHERE), table.behind)
    rows[:, p.DIGIT_PLACE] = np.where(digit, table.place.astype(np.int64) + 1, 0)  # of a whole value 0, too
    rows[:, p.LEADS] = np.where(place > 0, -place, table.leads)
    rows[:, p.ENDS] = np.where(table.stops, 2, table.ends)
    rows[:, p.ALONE] = digit & (place == 0) & (rows[:, p.BEHIND] == 0) & (rows[:, p.LEADS] == 0) & (rows[:, p.ENDS] == 1)
    return _narrow(rows)


def _step_rows(
    program: Program, module: Module, table: TokenTable, steps: StepTable, slots: SlotTable
) -> np.ndarray:
    rows = np.zeros((len(program.steps), p.STEP_WIDTH), np.int64)
    rows[:, p.GROUP], rows[:, p.SITE], rows[:, p.WANTED] = steps.group, steps.site, ENDS_WITH[steps.group]
    flags = (
        (p.VALUED_FLAG, VALUED[steps.record]), (p.STORED_FLAG, STORED[steps.record]), (p.BULK_FLAG, steps.record == BULK),
        (p.REFERENCE_FLAG, steps.reference), (p.HIDDEN_FLAG, steps.hidden), (p.GROWS_FLAG, _grows(program, module, steps)),
        (p.RESULT_FLAG, steps.result), (p.INTERNAL_FLAG, steps.internal),
    )  # fmt: skip
    rows[:, p.FLAGS] = sum(flag * which.astype(np.int64) for flag, which in flags)
    plain = (steps.group == VALUE) & (steps.site >= 0) & (rows[:, p.FLAGS] == p.VALUED_FLAG)
    plain &= (slots.source[0] == p.NO_SLOT) & (slots.target[0] != p.NO_SLOT)
    rows[:, p.FLAGS] += p.PLAIN_FLAG * plain
    goes = np.isin(steps.group, (JUMP, BRANCH, CALL))
    rows[:, p.TARGET] = np.where(goes, np.where(steps.target < 0, _NOWHERE, _rows(program, steps.target)), -1)
    rows[:, p.MOVES] = np.where(np.isin(steps.group, (CALL, CALL_INDIRECT)), steps.imm, 0)
    rows[:, p.TAKEN], rows[:, p.WIDTH] = steps.taken, steps.width
    kinds = {kind: number for number, kind in enumerate(table.traps)}
    traps = [kinds.get(s.trap, -1) if g == TRAP else 0 for s, g in zip(program.steps, steps.group.tolist(), strict=True)]
    rows[:, p.TRAP_KIND] = traps
    for kind, number, (kinds_, numbers) in (
        (p.SOURCE_KIND, p.SOURCE, slots.source),
        (p.DEST_KIND, p.DEST, slots.target),
    ):
        rows[:, kind], rows[:, number] = kinds_, np.where(kinds_ == p.FIXED_SLOT, -1 - numbers, numbers)
    rows[:, p.FIRST_CASE], rows[:, p.CASE_COUNT] = steps.first_case, steps.case_count
    rows[:, p.FUNCTION_AT] = steps.function_at[:-1]
    return _narrow(rows)


def _rows(program: Program, steps: np.ndarray) -> np.ndarray:
    """The rows of these steps; of -1 any."""
    return np.array(program.row_of, np.int64)[steps]


def _grows(program: Program, module: Module, steps: StepTable) -> np.ndarray:
    """Whether a step answers for a table.grow."""
    names = [
        module.functions[s.site.function].body[s.site.instruction].name if s.site and number >= 0 else ""
        for s, number in zip(program.steps, steps.site.tolist(), strict=True)
    ]
    return np.array([name == "table.grow" for name in names], np.bool_)


def _narrow(rows: np.ndarray) -> np.ndarray:
    if len(rows) and not (rows.min() >= -(2**31) and rows.max() < 2**31):
        raise OverflowError("a number of the program takes more than 32 bits")
    return np.ascontiguousarray(rows, np.int32).reshape(-1)
