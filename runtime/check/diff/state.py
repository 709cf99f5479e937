"""The state that a call leaves behind: memory, globals and tables, the model's from its tokens, and wasmtime's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ....compiler.format.isa import LinearMemory, Program, Slot
from ....compiler.format.limits import pages_of
from ....compiler.format.references import NUMBER, OUTSIDE
from ....compiler.format.tokens import Kind, TokenTable
from ....compiler.format.types import OBJECTS, general, is_reference
from ....compiler.link.linked import LinkedModule
from ....compiler.wasm.split import SplitModule
from ...sparse_values import SparseValues
from ...trace import Trace, show_value
from ..oracle import NULL, UNKNOWN, Oracle
from .memory import PAGE, SparseMemory
from .steps import STORE, StepTable

# Elements of a table that are looked at one by one; of a larger one those that the call has written.
_ELEMENTS = 1 << 14


def external_bits(theirs: int, mine: int) -> int:
    """What an externref should be in the model: a host's number, an i31ref, or of an object (UNKNOWN), of which wasmtime says
    only that it is one, what it is if it is one, else -1."""
    if theirs < 0:
        return mine if OUTSIDE < mine < NUMBER else -1
    return theirs if theirs >= NUMBER else theirs + 1


@dataclass(frozen=True)
class StateDifference:
    """what: e.g. "byte at address 16 after the call". expected: in wasmtime; actual: in the model."""

    what: str
    expected: str
    actual: str


class ModelState:
    """What the tokens so far say that memory, globals and registers hold.

    keys: float64 [T], the memory keys at the positions of the prefix, see `trace.decode`; None for a model that has no
    memory. Hidden memory stands below address 0.
    """

    def __init__(
        self, program: Program, linked: LinkedModule, table: TokenTable, steps: StepTable, prefix: np.ndarray,
        keys: np.ndarray | None,
    ):  # fmt: skip
        self.program, self.table, self._steps = program, table, steps
        self.hidden = program.hidden_bytes
        self.memory = SparseMemory()
        self.slots = {Slot("global", i): v for i, v in linked.global_values.items()}
        self.slots |= {Slot("hidden", name): value for name, value in linked.registers.items()}
        state = [s.dest if s.dest is not None and s.dest.kind in ("global", "hidden") else None for s in program.steps]
        self._names = list(dict.fromkeys(s for s in state if s is not None))
        numbers = {slot: i for i, slot in enumerate(self._names)}
        self._writes = np.array([-1 if s is None else numbers[s] for s in state], np.int64)
        self._bytes = np.array([name.startswith("B.") for name in table.names])
        self._first_byte = int(np.argmax(self._bytes)) if len(self._bytes) else 0
        self.known = keys is not None  # what memory holds
        self._latest: Callable[[], Trace] | None = None
        if keys is not None:
            self._put_bytes(prefix, keys)

    def begin(self, prompt: np.ndarray, keys: np.ndarray | SparseValues | None) -> None:
        """What the prompt of a call, without its entry token, puts into memory. keys: as for the prefix, at its positions."""
        if keys is not None and len(prompt):
            self._put_bytes(prompt, keys)

    def end(self, values: Mapping[Slot, int], trace: Callable[[], Trace]) -> None:
        """Behind a call whose prompt and stores are in memory. values: of the slots that it has written and that are in no frame.
        trace: the call's, for what is seldom asked for."""
        self._latest = trace
        self.slots |= {slot: value for slot, value in values.items() if slot.kind in ("global", "hidden")}

    def touched(self) -> np.ndarray:
        """Addresses that the latest call has written."""
        trace = self._latest() if self._latest else None
        if trace is None or trace.address is None:
            return np.empty(0, np.int64)
        return self._known_addresses(*self._stores(trace))[0]

    def follow(self, trace: Trace, keys: np.ndarray | SparseValues | None) -> None:
        """What one invocation changes. keys: as for the prefix, at its positions."""
        if keys is not None:
            self._put_bytes(trace.tokens[: trace.entry], keys)
        written = np.flatnonzero((self._writes[trace.step] >= 0) & (trace.kind == Kind.DIGIT))
        numbers, last = np.unique(self._writes[trace.step[written]][::-1], return_index=True)
        values = trace.value[written][::-1][last]
        self.slots |= {self._names[n]: int(v) for n, v in zip(numbers.tolist(), values.tolist(), strict=True)}
        self._latest = lambda: trace
        if trace.address is not None:
            self._put(*self._stores(trace))

    def _put_bytes(self, tokens: np.ndarray, keys: np.ndarray | SparseValues) -> None:
        """Bytes of the prompt. Each is written where the key at its own position says."""
        at = np.flatnonzero(self._bytes[tokens])
        self._put(keys[: len(tokens)][at], (tokens[at] - self._first_byte).astype(np.uint8))

    def _stores(self, trace: Trace) -> tuple[np.ndarray, np.ndarray]:
        """Addresses and bytes, in order."""
        assert trace.address is not None
        at = np.flatnonzero((self._steps.group[trace.step] == STORE) & (trace.kind == Kind.DIGIT))
        width = self._steps.width[trace.step[at]].astype(np.int64)
        which = np.repeat(np.arange(len(at)), width)
        place = np.arange(len(which)) - np.repeat(np.cumsum(width) - width, width)
        value = (trace.value[at][which] >> (place.astype(np.uint64) * np.uint64(8))) & np.uint64(255)
        return trace.address[at][which] + place, value.astype(np.uint8)

    def _known_addresses(self, addresses: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An address that is none is left out."""
        known = np.isfinite(addresses) & (addresses >= -self.hidden) & (addresses < 2**32)
        return addresses[known].astype(np.int64), values[known]

    def _put(self, addresses: np.ndarray, values: np.ndarray) -> None:
        """In order: of two bytes at one address the later one stays."""
        self.memory.write(*self._known_addresses(addresses, values))


class StateComparison:
    """Compares both states. compare_memory: whether what the model's memory holds is known."""

    def __init__(self, program: Program, linked: LinkedModule, oracle: Oracle, compare_memory: bool):
        self.program, self.linked, self.oracle, self.compare_memory = program, linked, oracle, compare_memory

    def first(
        self, model: ModelState, globals_: dict[int, int], tables: dict[int, int], source: SplitModule
    ) -> StateDifference | None:
        """The first difference. globals_, tables: index in the source without vectors -> in the linked module, of those in use.
        source: that module."""
        checks = [self._globals(model, globals_, source), self._tables(model, tables)]
        if self.compare_memory:
            checks += [self._memory(model, memory) for memory in self.linked.memories if memory.source >= 0]
        return next((difference for check in checks for difference in check), None)

    def _memory(self, model: ModelState, memory: LinearMemory) -> Iterator[StateDifference]:
        mine = PAGE * pages_of(model.slots.get(Slot("hidden", memory.register), 0))
        theirs = self.oracle.memory(memory.source)
        of = f" of memory {memory.source}" if memory.source else ""
        if mine != len(theirs):
            pages = [f"{size // PAGE} pages" for size in (len(theirs), mine)]
            yield StateDifference(f"size of memory{f' {memory.source}' if memory.source else ''} after the call", *pages)
        at = model.memory.difference(theirs[:mine], memory.base)
        if at is not None:
            byte = int(model.memory.read(memory.base + at, 1)[0])
            yield StateDifference(f"byte at address {at}{of} after the call", str(theirs[at]), str(byte))

    def _globals(self, model: ModelState, used: dict[int, int], source: SplitModule) -> Iterator[StateDifference]:
        high = source.high_globals
        for place, linked in used.items():
            index = high.get(place, source.globals.get(place, place))
            register = self.linked.register_globals.get(linked)
            slot = Slot("global", linked) if register is None else Slot("hidden", register)
            type_, mine, theirs = (
                self.oracle.module.globals[index].type.type,
                model.slots.get(slot),
                self.oracle.value(index),
            )
            what = f"global {index} after the call"
            if type_ == "v128" and theirs is not None:
                theirs = theirs >> 64 if place in high else theirs % 2**64
            if mine is None:
                continue
            if is_reference(type_):
                yield from self._reference(what, type_, mine, theirs)
            elif mine != theirs:
                wide = type_ in ("i64", "f64", "v128")
                yield StateDifference(what, show_value(theirs or 0, wide), show_value(mine, wide))

    def _reference(self, what: str, type_: str, mine: int, theirs: int | None) -> Iterator[StateDifference]:
        """theirs: None for null, a host's number, or a function's index, UNKNOWN for one of another module."""
        if general(type_) in OBJECTS and theirs is not None:  # of an object wasmtime says only that it is one
            expected: int | None = theirs if theirs >= 0 else mine if 0 < mine < OUTSIDE else None
        elif general(type_) == "externref":
            expected = 0 if theirs is None else external_bits(theirs, mine)
        elif theirs is None or theirs == NULL:
            expected = 0
        else:
            expected = None if theirs == UNKNOWN else self.program.function_references.get(theirs)
        told = expected is not None or mine == 0 or general(type_) in ("externref", *OBJECTS)
        if mine != expected and told:
            yield StateDifference(what, f"reference {'' if expected is None else expected}", f"reference {mine}")

    def _tables(self, model: ModelState, used: dict[int, int]) -> Iterator[StateDifference]:
        for index, linked in used.items():
            layout = self.linked.tables[linked]
            size, theirs = model.slots.get(Slot("hidden", layout.size_register), 0), self.oracle.table_size(index)
            if size != theirs:
                yield StateDifference(f"size of table {index} after the call", str(theirs), str(size))
                continue
            if not model.known:  # no step reads or writes an element
                continue
            elements = model.memory.read(layout.offset - model.hidden, 4 * size).view("<u4")
            at = np.arange(size)
            if size > _ELEMENTS:
                first = layout.offset - model.hidden
                touched = model.touched()
                near = touched[(touched >= first) & (touched < first + 4 * size)]
                at = np.unique((near - first) // 4)[:_ELEMENTS]
            type_ = self.oracle.module.tables[index].element
            for i in at.tolist():
                element = self.oracle.element(index, i)
                yield from self._reference(
                    f"element {i} of table {index} after the call", type_, int(elements[i]), element
                )
