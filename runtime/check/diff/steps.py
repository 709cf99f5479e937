"""The step program as arrays, one element per step, so that a whole trace can be checked at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....compiler.format.isa import Program, Site, Step
from ....compiler.format.tokens import Kind

# How an operation ends: with digits, with a jump, ...
VALUE, STORE, JUMP, BRANCH, BR_TABLE, CALL, CALL_INDIRECT, RETURN, STDOUT, STDERR, HALT, TRAP, TAIL_INDIRECT = range(13)
# The kind of the last token, by group; a branch that is not taken ends with NEXT, and many steps may trap.
ENDS_WITH = np.array(
    [Kind.DIGIT, Kind.DIGIT, Kind.JUMP, Kind.JUMP, Kind.JUMP, Kind.JUMP, Kind.JUMP, Kind.JUMP,
     Kind.STDOUT, Kind.STDERR, Kind.HALT, Kind.TRAP, Kind.JUMP], dtype=np.uint8
)  # fmt: skip
# What is recorded for a step's site, by number; 0: it has none.
RECORDS = ("", "value", "store", "branch", "br_table", "control", "host", "bulk", "throw", "high_value", "high_store")
BULK = RECORDS.index("bulk")
STORED = np.array([r in ("store", "high_store") for r in RECORDS])
VALUED = np.array([r in ("value", "store", "high_value", "high_store") for r in RECORDS])

_BY_OPERATION = {
    "jump": JUMP, "return_call": JUMP, "return_call_indirect": TAIL_INDIRECT,
    "br_table": BR_TABLE, "call": CALL, "call_indirect": CALL_INDIRECT, "call_ref": CALL_INDIRECT,
    "return_call_ref": TAIL_INDIRECT, "return": RETURN,
    "stdout": STDOUT, "stderr": STDERR, "halt": HALT, "trap": TRAP,
}  # fmt: skip
_BY_EFFECT = {"value": VALUE, "result": VALUE, "store": STORE, "": BRANCH}


def group(step: Step) -> int:
    return _BY_OPERATION.get(step.op, _BY_EFFECT.get(step.operation.effect, BRANCH))


class StepTable:
    """group: how it ends. site: number in `sites`, -1 for none. record: number in RECORDS.

    target: of a jump or branch, or the callee's entry. taken: the condition when the branch is taken. imm: the step's.
    base: where the memory of an access begins.
    width: bytes that a store stores. hidden: the store's address is one of hidden memory. result: emits a result.
    reference: its recorded value is only whether it is null. internal: part of a routine.
    Target k of a br_table is cases[first_case + k], k < case_count.
    function_at: the original function that begins at this step, -1 if that is not known; one more element, -1.
    answered: bool, by site: a step has it. A site that is not among `sites` is none here.
    """

    def __init__(self, program: Program, sites: Sequence[Site], references: np.ndarray):
        steps = program.steps
        numbers: dict[Site | None, int] = {site: i for i, site in enumerate(sites)}
        entries = {f.index: f.entry for f in program.functions.values()}
        targets = [entries[s.callee] if s.callee is not None else -1 if s.target is None else s.target for s in steps]
        self.group = np.array([group(s) for s in steps], np.int8)
        self.site = np.array([numbers.get(s.site, -1) for s in steps], np.int32)
        self.answered = np.zeros(len(sites), np.bool_)
        self.answered[self.site[self.site >= 0]] = True
        records = [RECORDS.index(s.site.record) if s.site in numbers else 0 for s in steps]  # type: ignore[union-attr]
        self.record = np.array(records, np.int8)
        self.target = np.array(targets, np.int32)
        self.taken = np.array([s.taken for s in steps], np.int8)
        self.imm = np.array([s.imm for s in steps], np.int64)
        self.base = np.array([program.memory_base(s) if s.operation.space == "linear" else 0 for s in steps], np.int64)
        self.width = np.array([s.operation.access if s.operation.effect == "store" else 0 for s in steps], np.int8)
        self.hidden = np.array([s.operation.space in ("hidden", "table") for s in steps], np.bool_)
        self.result = np.array([s.operation.effect == "result" for s in steps], np.bool_)
        self.reference = (self.site >= 0) & np.append(references, False)[self.site]
        self.cases = np.array([t for s in steps for t in s.targets], np.int64)
        self.case_count = np.array([len(s.targets) for s in steps], np.int64)
        self.first_case = np.cumsum(self.case_count) - self.case_count
        self.internal = np.zeros(len(steps), np.bool_)
        self.function_at = np.full(len(steps) + 1, -1, np.int64)
        others = {at for part in program.inlined for at in range(part.start, part.end)}
        for f in program.functions.values():
            self.internal[f.entry : f.end] = f.internal
            at_home = (i for i in range(f.entry, f.end) if i not in others)
            own = {site.function for i in at_home if (site := steps[i].site) is not None}
            if len(own) == 1:
                self.function_at[f.entry] = own.pop()
