"""What the oracle records, from the module alone: every instruction that does anything, wherever it can be reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ....compiler.format.isa import HIGH_RECORDS, Site
from ....compiler.wasm.heap_types import CAST_BRANCHES, HEAP_WRITES, gives_vector, holds_vectors
from ....compiler.wasm.module import BLOCKS, Function, Instr, Module
from ....compiler.wasm.opcodes import ATOMICS, STORES
from ....compiler.wasm.simd import SIMD_SIGNATURES, SIMD_STORES, V128, high_first
from ....compiler.wasm.stack_types import stack_tops

# What only names a value that is there: recorded at -O0, at -O1 counted with an instruction beside it.
QUIET = frozenset({
    "i32.const", "i64.const", "f32.const", "f64.const", "v128.const", "ref.null", "ref.func", "local.get",
    "global.get", "table.size",
    "i64.extend_i32_u", "i32.reinterpret_f32", "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64",
})  # fmt: skip
_NO_VECTOR: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
_NOTHING = frozenset({"block", "loop", "try_table", "end", "nop", "atomic.fence", "drop"})
_RECORDS = {
    "br_if": "branch", "if": "branch", "br_on_null": "branch", "br_on_non_null": "branch", "call_ref": "control",
    **dict.fromkeys(CAST_BRANCHES, "branch"),
    "return_call_ref": "control", "br_table": "br_table", "br": "control", "return": "control", "else": "control",
    "unreachable": "control", "call_indirect": "control",
    "return_call_indirect": "control", "throw": "throw", "throw_ref": "throw", "table.set": "store", "memory.fill": "bulk",
    "memory.copy": "bulk", "memory.init": "bulk", "table.fill": "bulk", "table.copy": "bulk", "table.init": "bulk",
    "data.drop": "bulk", "elem.drop": "bulk", **dict.fromkeys(STORES | SIMD_STORES, "store"),
    **{name: "bulk" for name in ATOMICS if ".store" in name}, **dict.fromkeys(HEAP_WRITES, "bulk"),
}  # fmt: skip
# Behind these the next instruction in order does not run, or only sometimes.
_LEAVES = frozenset({
    "br", "br_if", "br_on_null", "br_on_non_null", *CAST_BRANCHES, "br_table", "return", "return_call",
    "return_call_indirect", "return_call_ref",
    "unreachable", "if", "else", "throw", "throw_ref",
})  # fmt: skip


def records_of(module: Module, instr: Instr, vector: bool = False) -> tuple[str, ...]:
    """The kinds of record that the instruction leaves, in their order, as in `isa.Site`. vector: its value is a v128."""
    name = instr.name
    if name == "v128.store" or (vector and not name.startswith("call")):
        low = _RECORDS.get(name, "value")
        return (HIGH_RECORDS[low], low) if high_first(instr) else (low, HIGH_RECORDS[low])
    if name in _NOTHING:
        return ()
    if name == "return_call":
        return ("control",) if module.functions[instr.args[0]].imported is None else ("host",)
    if name == "call":
        callee = module.functions[instr.args[0]]
        if callee.imported is None:
            return ("control",)
        return ("host", "value") if callee.type.results else ("host",)
    return (_RECORDS.get(name, "value"),)


def vector_values(module: Module, function: Function) -> set[int]:
    """The instructions of a function that give or set a v128."""
    types = function.type.params + function.locals
    globals_ = {i for i, g in enumerate(module.globals) if g.type.type == V128}
    if (
        not globals_
        and V128 not in types
        and not any(map(holds_vectors, module.types))
        and all(SIMD_SIGNATURES.get(i.name, _NO_VECTOR)[1] != (V128,) for i in function.body)
    ):
        return set()  # others have none, or only take one from a call and leave it
    found = set()
    for at, (instr, top) in enumerate(zip(function.body, stack_tops(module, function), strict=True)):
        name = instr.name
        if name.startswith("local."):
            vector = types[instr.args[0]] == V128
        elif name.startswith("global."):
            vector = instr.args[0] in globals_
        elif name == "select":
            vector = V128 in (top.top, *instr.args)
        else:
            vector = SIMD_SIGNATURES.get(name, _NO_VECTOR)[1] == (V128,) or gives_vector(module, instr)
        if vector:
            found.add(at)
    return found


def reachable(module: Module, exports: Iterable[str] | None = None) -> set[int]:
    """Functions that these exports (None: all), the start function and whoever holds a reference may call."""
    roots = [e.index for e in module.exports if e.kind == "func" and (exports is None or e.name in exports)]
    roots += [] if module.start is None else [module.start]
    code = [item for e in module.elements for item in e.items] + [g.init for g in module.globals]
    code += [f.body for f in module.functions]
    roots += [i.args[0] for instrs in code for i in instrs if i.name == "ref.func"]
    reached: set[int] = set()
    while roots:
        index = roots.pop()
        if index not in reached:
            reached.add(index)
            roots += [i.args[0] for i in module.functions[index].body if i.name in ("call", "return_call")]
    return reached


class Recorded:
    """sites: what is recorded of these functions. beside: number of a site -> the quiet instructions that run as often.

    quiet: whether constants and copies have records of their own, as at -O0. throws: whether libraries may throw; a module that
    has tags may itself.
    """

    def __init__(self, module: Module, functions: Iterable[int], quiet: bool, throws: bool = False):
        self.sites: list[Site] = []
        self.beside: dict[int, list[tuple[int, int]]] = {}
        self._module, self._quiet, self._throws = module, quiet, throws or bool(module.tags)
        for index in sorted(functions):
            if module.functions[index].imported is None:
                self._add(index, module.functions[index])

    def _add(self, index: int, function: Function) -> None:
        body = function.body
        hosts: dict[int, int] = {}  # quiet instruction -> the instruction that it is counted with
        if not self._quiet:
            hosts = _hosts(body, throws=self._throws)
        numbers: dict[int, int] = {}
        vectors = vector_values(self._module, function)
        for at, instr in enumerate(body):
            if at in hosts:
                continue
            for record in records_of(self._module, instr, at in vectors):
                numbers[at] = len(self.sites)
                self.sites.append(Site(index, at, record))
        for at, host in hosts.items():
            self.beside.setdefault(numbers[host], []).append((index, at))


def _hosts(body: Sequence[Instr], throws: bool) -> dict[int, int]:
    """For each quiet instruction one that is recorded and runs exactly as often: the next one in a straight line, or
    the last one. throws: what follows a call need not run. Those that have neither are recorded themselves."""
    joins = _joins(body)
    hosts: dict[int, int] = {}
    waiting: list[int] = []
    last: int | None = None  # the latest recorded instruction in this straight line, if what follows it always runs
    for at, instr in enumerate(body):
        if at in joins:
            hosts |= dict.fromkeys(waiting, last) if last is not None else {}  # type: ignore[arg-type]
            waiting, last = [], None
        if instr.name in QUIET:
            waiting.append(at)
        elif instr.name not in _NOTHING:
            hosts |= dict.fromkeys(waiting, at)
            leaves = instr.name in _LEAVES or (throws and instr.name.startswith("call"))
            waiting, last = [], None if leaves else at
        if instr.name == "else":
            waiting, last = [], None
    return hosts | (dict.fromkeys(waiting, last) if last is not None else {})  # type: ignore[arg-type]


def _joins(body: Sequence[Instr]) -> set[int]:
    """Instructions that paths from elsewhere may reach: behind a `loop`, and behind the `end` of what is branched out of."""
    joins: set[int] = set()
    opened: list[list] = [["", False]]  # of each open block: what it is, whether a branch leaves it
    for at, instr in enumerate(body):
        name = instr.name
        if name in BLOCKS:
            for handler in instr.args[1] if name == "try_table" else ():
                opened[-1 - handler[-1]][1] = True
            opened.append([name, name == "if"])
            if name == "loop":
                joins.add(at + 1)
        elif name == "end":
            kind, left = opened.pop()
            if left and kind != "loop":
                joins.add(at + 1)
        elif name in ("br", "br_if", "br_on_null", "br_on_non_null", "br_table", *CAST_BRANCHES):
            depths = [instr.args[0]] if name != "br_table" else [*instr.args[0], instr.args[1]]
            for depth in depths:
                opened[-1 - depth][1] = True
    return joins


class FoldedCounts:
    """Which rules the records of a site tell of, worked out when the site is first seen. rules: (function, instruction) -> rule;
    there may be more of them the next time."""

    def __init__(self, recorded: Recorded, rules: Mapping[tuple[int, int], str]):
        self._recorded, self._rules = recorded, rules
        self._known: dict[int, list[str]] = {}
        self._size = len(rules)

    def of(self, counts: np.ndarray) -> Counter[str]:
        """By rule, how often instructions ran that no step answers for. counts: records by site, int64."""
        if len(self._rules) != self._size:
            self._known, self._size = {}, len(self._rules)
        found: Counter[str] = Counter()
        seen = np.flatnonzero(counts)  # a call runs few of a large program's instructions
        for number, count in zip(seen.tolist(), counts[seen].tolist(), strict=True):
            if number not in self._known:
                self._known[number] = self._look(number)
            for rule in self._known[number]:
                found[rule] += count
        return found

    def _look(self, number: int) -> list[str]:
        site = self._recorded.sites[number]
        own = () if site.record in HIGH_RECORDS.values() else ((site.function, site.instruction),)  # once, not twice
        places = (*own, *self._recorded.beside.get(number, ()))
        return [self._rules[place] for place in places if place in self._rules]
