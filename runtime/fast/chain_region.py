"""LLVM IR of one function for many situations, in which each goes on to those that follow it by a jump.

    i64 chain(state, out, i, count, flags, probe, special)

goes on from `out[i - 1]`, the last token read, as long as what comes is one of the situations, up to `count`; returns how many
tokens of `out` have been read. The state is then as `special` leaves it. Between, the number of the position, running sums and
windows are in registers, and the sum that decides the row follows from the situation.

    i64 drive(state, out, count, flags, probe, special, decoded)

decodes as `special` does, with that function for what the chain does not know (see chain_ends.py), and adds to `decoded` the
number of tokens that chains have decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from .again import Aside, KeptNumber, Settled
from .atoms import RunningSum
from .cases import NextToken, cases
from .chain_again import ChainAgain, register
from .chain_emit import ChainEmitter
from .chain_ends import begin, drive, entry, flush, hand_over
from .chain_memory import tag, tags
from .chain_plan import ChainPlan
from .chain_writer import ChainWriter
from .code import IrValue
from .interface import Refused, Room
from .linear import Form
from .situations import registers_read
from .tokens_alike import Unchained
from .unembed import Unembeddings

# The row is not known: the state's field after leaving before a position.
UNKNOWN_ROW = 2**62
# Instructions for a position of which much has been kept, at most, and atoms of which its logits are made: where there are more,
# what is left is a circuit.
MOST_AGAIN, MOST_WITHIN = 300, 100


class Region(ChainWriter):
    """The whole module. plan: what code is made for. lines: from so many on, situations have no code of their own, and the chain
    is left before them."""

    def __init__(self, plan: ChainPlan, lines: int):
        super().__init__(plan)
        self._lines = lines
        self._unembeddings = Unembeddings(self.found.lifted.weights)
        self._added = ""
        self._there: set[int] = set()  # situations that have code with others of their row
        self._numbers: dict[int, dict[tuple, KeptNumber]] = {}  # by row, what is kept in registers
        self._registers: dict[str, str] = {}  # of numbers that are kept, with their types
        self._too_long: set[tuple] = set()  # circuits, and situations, see `ChainPlan.alike`
        outer = plan.contexts[0].group.outer
        # What holds in every row has been checked where the position before was read.
        self._everywhere = outer.assumptions if outer is not None else []

    def text(self) -> str:
        """The module."""
        plan = self.plan
        if not registers_read(self.graph, plan.contexts[0].known[self.situations.row_sum]) <= plan.windows.fixed:
            raise Unchained("the register on which the row rests changes")
        self.code.lines = []
        entry(self)
        handed: list[int] = []
        for k in range(len(plan.chosen)):  # those that come most first
            if len(self.code.lines) >= self._lines and k not in self._there:
                self.code.start(f"s{k}")
                self.code.do(f"br label %b{k}")
            elif plan.long[k]:
                if not (plan.again[k] and self._again(k, handed)):
                    self._begin(k)
                    self._hand(k, handed)
            elif plan.chosen[k].row in plan.rows:
                if k not in self._there:
                    self._with_constants(plan.rows[plan.chosen[k].row], self._row)
            else:
                self._with_constants([k], self._alone)
            self._behind(k, k in plan.entries or k in handed[-1:])
            self._before(k)
        self.code.lines[1:1] = [f"  {name} = alloca {type}" for name, type in self._registers.items()]
        begin(self)
        flush(self)
        if handed:
            hand_over(self, handed)
        head = (
            "define i64 @chain(ptr %state, ptr %out, i64 %i, i64 %count, ptr %flags, ptr %probe, ptr %special) nounwind {"
        )
        constants = [f"{name} = private constant {value}" for value, name in self.code.globals.items()]
        ends = [drive(self.situations.tokens.depth + 1), *self.code.declarations, tags(self.kinds)]
        return "\n".join([*constants, *self.constants.lines, head, *self.code.lines, "}", *ends, ""])

    def _with_constants(self, members: list[int], write: Callable[[list[int]], None]) -> None:
        """Writes situations, without the constants where these ask for columns one by one that are kept together only."""
        lines, before = self.code.lines, len(self.code.lines)
        try:
            write(members)
        except Unchained:
            if not any(self.plan.contexts[k].entries for k in members):
                raise
            self.code.lines = lines
            del lines[before:]
            for k in members:
                self.plan.forget_constants(k)
            write(members)

    def _alone(self, members: list[int]) -> None:
        """The one situation in a list."""
        (k,) = members
        self._situation(k, self.emitter(k, f"b{k}"))

    def _again(self, k: int, handed: list[int]) -> bool:
        """Code for a situation in which numbers have been kept; False where these are not what it takes."""
        settled = self.plan.settled(k)
        if self._fits(k, None):
            return True
        if settled is None or not self._fits(k, settled):
            return False
        self.code.start(f"h{k}")  # where it is not settled
        self._hand(k, handed)
        return True

    def _fits(self, k: int, settled: Settled | None) -> bool:
        """The same with or without what is only kept where it is settled."""
        code, before, room = self.code, len(self.code.lines), self.code.room
        group, recent = self.plan.alike(k)
        circuit, alike = (group, settled is None), (group, settled is None, recent)
        if self._too_long & {circuit, alike}:
            return False
        emitter = self.again(k, f"b{k}", settled)
        if sum(len(self.graph.atoms_within(emitter.column(f))) for f in self.found.lifted.columns) > MOST_WITHIN:
            self._too_long.add(circuit)
            return False
        code.room = Room("instructions", (MOST_AGAIN, 0), 0)
        try:
            self._situation(k, emitter)
        except Refused:
            del code.lines[before:]
            self._too_long.add(alike)
            return False
        finally:
            code.room = room
        return True

    def _begin(self, k: int) -> str:
        """i64: the position's number, if there is room for another token."""
        code = self.code
        code.start(f"s{k}")
        old = code.op("load i64, ptr %n.v")
        n = code.op(f"add i64 {old}, 1")
        if self.plan.looking[k]:
            full, go = code.op(f"icmp ugt i64 {n}, %last"), code.label("go")
            code.do(f"br i1 {full}, label %b{k}, label %{go}")
            code.start(go)
        return n

    def _hand(self, k: int, handed: list[int]) -> None:
        """Hands a position over to `special`."""
        self.code.do(f"store i32 {len(handed)}, ptr %handed.v")
        handed.append(k)
        self._not_begun(k, "hand")

    def _row(self, members: list[int]) -> None:
        """Situations of one row, in which those that follow others take what these have kept."""
        code, lines = self.code, self.code.lines
        self._there |= set(members)
        first, *others = [k for k in members if not self.plan.inside[k]]
        code.lines = []
        whole = self.emitter(first, f"b{first}")
        moved = self._position(first, whole)
        aside, numbers = Aside(code.lines, code.block), dict[tuple, KeptNumber]()
        code.lines = []
        for k in members:
            if self.plan.inside[k]:
                self._situation(k, self.within(k, f"b{k}", whole, aside, numbers))
        behind = code.lines
        self._numbers[self.plan.chosen[first].row] = numbers
        code.lines, code.block = aside.lines, aside.block
        self._keep([(number, number.value) for number in numbers.values()])
        self._choose(first, whole, moved)
        lines += [*code.lines, *behind]
        for k in others:
            code.lines = []
            emitter = self.emitter(k, f"b{k}")
            moved = self._position(k, emitter)
            if self._keep([(number, number.compute(emitter)) for number in numbers.values()]):
                self._choose(k, emitter, moved)
            else:
                code.lines = [f"s{k}:", f"  br label %b{k}"]
            lines += code.lines
        code.lines = lines

    def _kept_by(self, k: int) -> bool:
        """Where a chain begins behind a position: what this one would have kept; False where that is not known."""
        code, before = self.code, len(self.code.lines)
        emitter = self.emitter(k, f"a{k}")
        emitter.n = code.op("load i64, ptr %n.v")
        at = code.op(f"getelementptr i32, ptr %base, i64 {emitter.n}")
        token = code.op(f"load i32, ptr {at}, align 4{tag('out', self.kinds)}")
        emitter.token = code.op(f"zext i32 {token} to i64")
        numbers = self._numbers.get(self.plan.chosen[k].row)
        if numbers is None or not self._keep([(number, number.compute(emitter)) for number in numbers.values()]):
            del code.lines[before:]
            return False
        return True

    def _keep(self, numbers: list[tuple[KeptNumber, IrValue]]) -> bool:
        """Puts numbers into their registers; False where one is of another type."""
        for number, value in numbers:
            if (value.kind, value.exponent) != (number.value.kind, number.value.exponent):
                return False
            self._registers[register(number)] = value.type
            self.code.do(f"store {value.type} {value.ref}, ptr {register(number)}")
        return True

    def _situation(self, k: int, emitter: ChainEmitter) -> None:
        self._choose(k, emitter, self._position(k, emitter))

    def _position(self, k: int, emitter: ChainEmitter) -> dict[str, tuple[str, str]]:
        """All of a position but the next token; what is to be stored when it is complete, see `_move`."""
        code, context = self.code, self.plan.contexts[k]
        n = emitter.n = self._begin(k)
        if isinstance(emitter, ChainAgain) and emitter.settled is not None:
            go = code.label("go")
            code.do(f"br i1 {emitter.unsettled()}, label %h{k}, label %{go}")
            code.start(go)
        token = code.op("load i32, ptr %token.v")
        emitter.token = code.op(f"zext i32 {token} to i64")
        at = code.op(f"getelementptr i32, ptr %base, i64 {n}")
        code.do(f"store i32 {token}, ptr {at}, align 4{tag('out', self.kinds)}")
        moved = self._move(emitter)
        emitter.check_assumptions(None)
        if self.found.lifted.probe is not None:
            value = emitter.as_double(emitter.form(context(self.found.lifted.probe)))
            place = code.op(f"getelementptr double, ptr %probe.base, i64 {n}")
            code.do(f"store double {value}, ptr {place}, align 8{tag('probe', self.kinds)}")
        emitter.finish_chained()
        return moved

    def _choose(self, k: int, emitter: ChainEmitter, moved: dict[str, tuple[str, str]]) -> None:
        """The next token, and on."""
        code, n = self.code, emitter.n
        columns = [emitter.column(f) for f in self.found.lifted.columns]
        for following in cases(emitter, columns, self._unembeddings):
            # Only now: what a case reads may leave the chain before this position.
            code.do(f"store i64 {n}, ptr %n.v")
            for place, (type, value) in moved.items():
                code.do(f"store {type} {value}, ptr {place}")
            self.go_on(k, following)

    def _move(self, emitter: ChainEmitter) -> dict[str, tuple[str, str]]:
        """Adds to the running sums what the token adds; where they change, windows move with them. What is to be stored when the
        position is complete: by place, type and value."""
        graph, code, context = self.graph, self.code, emitter.context
        changed: dict[int, str] = {}
        for number in self.plan.sums:
            atom = graph.atom(RunningSum(number))
            added, bounds = context(graph.sums[number]), graph.atom_bounds(atom)
            if added.is_zero():
                continue
            if bounds.exponent is None:
                raise Unchained("a running sum is no integer")
            value = emitter.as_int(emitter.fitted(added, graph.bounds(graph.sums[number])), bounds.exponent)
            old = code.op(f"load i64, ptr %sum{number}")
            changed[number] = code.op(f"add i64 {old}, {value}")
            emitter.known.atoms[atom] = IrValue("i", changed[number], bounds.exponent)
        for form, _, _ in self._everywhere:
            if not self._moves(form, changed):
                emitter.known.checked.add(form)
        if not changed:
            return {}
        moved = {f"%sum{number}": ("i64", value) for number, value in changed.items()}
        for (store, base), number in self.plan.windows.bases.items():
            if {self.graph.parts(a).sum for a in self.graph.atoms_within(base)} & set(changed):
                pointer = emitter.moved[number] = self.window(emitter, store, base, number)
                moved[f"%window{number}"] = "ptr", pointer
        return moved

    def _moves(self, form: Form, changed: Collection[int]) -> bool:
        """Whether a form that held at the position before may be another number here."""
        try:
            registers = registers_read(self.graph, form)
        except Unchained:
            return True
        sums = {self.graph.parts(a).sum for a in self.graph.atoms_within(form)} - {None}
        return not registers <= self.plan.windows.fixed or bool(sums & set(changed)) or self.situations.row_sum in sums

    def go_on(self, k: int, following: NextToken) -> None:
        """On to the next position, or out of the chain behind this one."""
        code = self.code
        for successor in self.plan.successors[k]:
            first, last = successor.ids[0], successor.ids[1] - 1
            if last < following.first or first > following.last:
                continue
            if first <= following.first and following.last <= last:
                code.do(f"store i32 {following.ref}, ptr %token.v")
                code.do(f"br label %s{successor.to}")
                return
            if first == last:
                test = code.op(f"icmp eq i32 {following.ref}, {first}")
            else:
                test = code.op(f"icmp ule i32 {code.op(f'sub i32 {following.ref}, {first}')}, {last - first}")
            yes, no = code.label("yes"), code.label("no")
            code.do(f"br i1 {test}, label %{yes}, label %{no}")
            code.start(yes)
            code.do(f"store i32 {following.ref}, ptr %token.v")
            code.do(f"br label %s{successor.to}")
            code.start(no)
        code.do(f"store i32 {following.ref}, ptr %next.v")
        code.do(f"br label %a{k}")

    def _behind(self, k: int, entered: bool) -> None:
        """Leaves the chain behind a position; and where a chain begins there, goes on."""
        self.code.start(f"a{k}")
        self._leave(self.emitter(k, "bail"), self.plan.chosen[k].row, "", "flush")
        if entered:
            self.code.start(f"t{k}")
            if self.plan.leads_inside(k) and not self._kept_by(k):
                self.code.do(f"br label %a{k}")
                return
            self.go_on(k, NextToken(self.code.op("load i32, ptr %next.v"), 0, self.situations.tokens.count - 1))

    def _before(self, k: int) -> None:
        """Leaves the chain before a position."""
        self.code.start(f"b{k}")
        self._not_begun(k, "flush")

    def _not_begun(self, k: int, then: str) -> None:
        """Before a position: the token is known, and nothing has been done with it. then: what puts everything into the state."""
        code = self.code
        token = code.op("load i32, ptr %token.v")
        code.do(f"store i32 {token}, ptr %next.v")
        wide = code.op(f"zext i32 {token} to i64")
        if not self._added:
            self._added = self.constants.array(self.situations.added.astype(np.int64), "i64")
        raw = code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {self._added}, i64 {wide}')}")
        emitter = self.emitter(k, "bail")
        old = code.op("load i64, ptr %n.v")
        emitter.n = code.op(f"add i64 {old}, 1")
        emitter.token = wide
        self._leave(emitter, UNKNOWN_ROW, raw, then)

    def _leave(self, emitter: ChainEmitter, row: int, less: str, then: str) -> None:
        """Puts the row and the sum that decides it where `then` takes them from. less: what is not yet added to the sum."""
        code, number = self.code, self.situations.row_sum
        exponent = self.graph.atom_bounds(self.graph.atom(RunningSum(number))).exponent
        if exponent != 0:
            raise Unchained("the sum that decides the row is no integer")
        value = emitter.as_int(emitter.form(emitter.context.known[number]), 0)
        if less:
            value = code.op(f"sub i64 {value}, {less}")
        code.do(f"store i64 {value}, ptr %sum{number}")
        code.do(f"store i64 {row}, ptr %row.v")
        code.do(f"br label %{then}")
