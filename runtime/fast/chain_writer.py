"""What all parts of a chain's code are written with: one module's text, constants, and pointers that move with running sums."""

from __future__ import annotations

from .again import Aside, KeptNumber, Settled
from .chain_again import ChainAgain, ChainRepeats, ChainWithin, Cut
from .chain_emit import ChainEmitter
from .chain_memory import ConstantTables
from .chain_plan import ChainPlan
from .code import IrText
from .index import PAGE_BITS, PAGE_KEYS
from .interface import Room
from .linear import Form
from .situated import Situated
from .tokens_alike import Unchained


class ChainWriter:
    """kinds: of memory, see chain_emit.tag."""

    def __init__(self, plan: ChainPlan):
        self.plan, self.situations, self.found = plan, plan.situations, plan.found
        self.graph, self.layout = plan.graph, plan.found.layout
        self.code = IrText(Room("instructions", (2**40, 0), 0))
        self.kinds: dict[str, int] = {}
        self.constants = ConstantTables()
        self._rows: dict[int, Situated] = {}  # contexts of rows, where nothing is known of tokens
        self._cuts: dict[tuple[int, bool], Cut] = {}  # by row, and whether it is settled

    def emitter(self, k: int, restart: str) -> ChainEmitter:
        """For situation number k. restart: the label of what leaves the chain before it."""
        return ChainEmitter(*self._arguments(k, restart))

    def again(self, k: int, restart: str, settled: Settled | None = None) -> ChainAgain:
        """The same for one that follows others in a row of which numbers have been kept. settled: and more of them."""
        alike = self.plan.chosen[k].row, settled is None
        if alike not in self._cuts:
            self._cuts[alike] = Cut(self.graph, self._repeats(k), self.plan.kept(k), settled)
        first = self.layout.fields["kept",]
        return ChainAgain(*self._arguments(k, restart), cut=self._cuts[alike], first_field=first)

    def within(
        self, k: int, restart: str, whole: ChainEmitter, aside: Aside, numbers: dict[tuple, KeptNumber]
    ) -> ChainWithin:
        """The same for one that follows `whole` in this chain."""
        repeats = self._repeats(k)
        return ChainWithin(*self._arguments(k, restart), whole=whole, aside=aside, repeats=repeats, numbers=numbers)

    def _repeats(self, k: int) -> ChainRepeats:
        row = self.plan.chosen[k].row
        if row not in self._rows:
            self._rows[row] = self.situations.forms(self.situations.start(row))
        return ChainRepeats(self.graph, self._rows[row], self.situations.lookup, self.plan.rests[k])

    def _arguments(self, k: int, restart: str) -> tuple:
        return (
            self.graph, self.layout, self.code, self.plan.contexts[k], self.found.packs, self.found.special,
            self.plan.windows, self.kinds, self.constants, restart,
        )  # fmt: skip

    def window(self, emitter: ChainEmitter, store: int, base: Form, number: int) -> str:
        """ptr: where the entry of key `base` is or would be. Leaves the chain where not all keys in reach are on one page that
        exists."""
        code, (low, high) = self.code, self.plan.windows.reach[number]
        limit, size = self.layout.limits[store], self.layout.entries[store].size
        value = emitter.form(base)
        if value.kind not in "bi":
            raise Unchained("a key is no integer of 64 bits")
        off = code.op(f"add i64 {emitter.as_int(value, 0)}, {limit + low}")
        less = code.op(f"sub i64 {off}, 1")  # the first key of a store is nobody's
        outside = code.op(f"icmp uge i64 {less}, {2 * limit - 1 - (high - low)}")
        emitter.leave_if(outside)
        greatest = self.plan.constants.greatest.get(store)
        if greatest is not None and number in self.plan.windows.written and not base.is_constant():
            emitter.leave_if(code.op(f"icmp sle i64 {off}, {greatest + limit}"))
        at = code.op(f"and i64 {off}, {PAGE_KEYS - 1}")
        emitter.leave_if(code.op(f"icmp ugt i64 {at}, {PAGE_KEYS - 1 - (high - low)}"))
        first, missing = emitter.page(store, code.op(f"lshr i64 {off}, {PAGE_BITS}"))
        if number in self.plan.windows.written:
            emitter.leave_if(missing)
        there = code.op(f"sub i64 {at}, {low}")
        return code.op(f"getelementptr i8, ptr {first}, i64 {code.op(f'mul i64 {there}, {size}')}")
