"""LLVM IR for one position: emits what is asked for, once, with everything that it needs."""

from __future__ import annotations

import math

import numpy as np

from . import soft
from .atoms import Atom, Average, Float32, Key, Read, Round, RunningMean, RunningSum, Share, Stamp, Table
from .bounds import float32_bounds
from .code import IrText, IrValue, double
from .context import Rewriter, Static
from .dependence import Dependence
from .layout import RowTables, StateLayout, type_for
from .linear import Form
from .live import Live, kept_anyway
from .pack import Packs
from .past import Past
from .specialise import TokenClasses
from .symbols import Symbols


class Emitter(Past):
    """tables: collects the tables that the code reads. reached: the state to keep up. The rest: see past.Past."""

    def __init__(
        self,
        graph: Symbols,
        layout: StateLayout,
        code: IrText,
        tables: RowTables,
        context: Rewriter,
        packs: Packs,
        reached: Live,
        first: bool,
    ):
        super().__init__(graph, layout, code, context, packs, first)
        self.tables, self.live = tables, reached
        self.token = "%token"  # i64
        self.record = ""  # ptr: the record of the row found, inside a group of rows

    def inside(self, context: Rewriter, record: str) -> Emitter:
        """An emitter for a branch: knows what has been emitted so far, and keeps what it emits to itself."""
        result = Emitter(self.graph, self.layout, self.code, self.tables, context, self.packs, self.live, self.first)
        result.known, result.record = self.known.copy(), record
        result.known.forget_what_is_cheap()
        return result

    def column(self, form: Form) -> Form:
        """A column of the unembedding, rewritten for the position."""
        return self.context(form)

    def leaf(self, atom: Atom) -> IrValue:
        match atom:
            case Table(source, vector):
                return self._table(source, vector)
            case RunningSum(number):
                return self.sum(number)
            case RunningMean(number):
                total, n = self.as_double(self.sum(number)), self.as_double(IrValue("i", self.n))
                return IrValue("f", self.code.op(f"fdiv double {total}, {n}"))
            case Read(lookup, column):
                return self.read(lookup, column)
            case Average(lookup, column):
                return soft.average(self, lookup, column)
            case Stamp(lookup):
                return self.stamp(lookup)
            case Key(lookup):
                return IrValue("i", self.resolve(lookup).key)
            case Round() as rounded:
                return self.round(rounded)
            case Float32(form):
                return self._float32(form)
            case Share():
                return IrValue("f", self.code.op(f"fdiv double {double(1.0)}, {self.as_double(IrValue('i', self.n))}"))
        raise AssertionError(atom)

    def _float32(self, form: Form) -> IrValue:
        """A form rounded to the nearest float32, ties to even: an integer where the form is one."""
        value, code, bounds = self.form(form), self.code, float32_bounds(self.graph.bounds(form))
        exponent = max(value.exponent, bounds.exponent or 0)  # it may be known to be a multiple of more
        if value.kind in "bi" and bounds.below(value.exponent):
            read = code.op(f"sitofp i64 {self.as_int(value, value.exponent)} to float")
            whole = IrValue("i", code.op(f"fptosi float {read} to i64"), value.exponent)
            return IrValue("i", self.as_int(whole, exponent), exponent)
        # What a slot holds is a double in the matrices, too: they round what has more bits.
        read = code.op(f"fptrunc double {self.rounded_double(value)} to float")
        number = code.op(f"fpext float {read} to double")
        if value.kind == "f":
            return IrValue("f", number)
        number = self._cut(IrValue("f", number), bounds.low, bounds.high).ref
        self._refuse_rounding(not bounds.wide, "a number")
        scaled = code.op(f"fmul double {number}, {double(2.0**-exponent)}")
        if bounds.below(exponent):
            return IrValue("i", code.op(f"fptosi double {scaled} to i64"), exponent)
        # High and low words of a number of 24 bits.
        high = code.op(f"fptosi double {code.op(f'fmul double {scaled}, {double(2.0**-63)}')} to i64")
        rest = code.op(f"fmul double {code.op(f'sitofp i64 {high} to double')}, {double(2.0**63)}")
        low = code.op(f"fptosi double {code.op(f'fsub double {scaled}, {rest}')} to i64")
        upper = code.op(f"shl i128 {code.op(f'sext i64 {high} to i128')}, 63")
        return IrValue("w", code.op(f"add i128 {upper}, {code.op(f'sext i64 {low} to i128')}"), exponent)

    # -- tables and sources ---------------------------------------------------------------------------------------

    def _table(self, source: int, vector: int) -> IrValue:
        name = self.graph.sources[source].name
        type = type_for(self.graph.vector_bounds(vector))
        rows = self.tables.rows(name, self.graph.sources[source].size)
        if name[0] == "row" and name[2] >= 0:
            pointer = self.record
        else:
            number = self.tables.number(name)
            if source not in self.known.rows:
                distance = self.code.op(f"mul i64 {self.source(source)}, STRIDE{number}.")
                table = self.code.op(f"getelementptr i8, ptr %state, i64 TABLE{number}.")
                self.known.rows[source] = self.code.op(f"getelementptr i8, ptr {table}, i64 {distance}")
            pointer = self.known.rows[source]
        offset = rows.column(vector, self.graph.vectors[vector], type)
        return self.load(self.code.op(f"getelementptr i8, ptr {pointer}, i64 {offset}"), type)

    def source(self, source: int) -> str:
        """The source's value at this position, an i64."""
        if source not in self.known.sources:
            name = self.graph.sources[source].name
            row = self.context.row_source(source)
            if name[0] == "token":
                result = self.token
            elif name[0] == "count":
                shifted = self.code.op(f"lshr i64 {self.counter()}, {8 * name[1]}")
                result = self.code.op(f"and i64 {shifted}, 255")
            elif name[0] == "row":
                result = self.row(name[1])
            elif row is not None:
                table = self.graph.table(row[0], row[1].astype(np.float64))
                result = self.as_int(self.form(table), 0)
            else:
                result = self.read(name[1], name[2]).ref
            self.known.sources[source] = result
        return self.known.sources[source]

    def row(self, lookup: int) -> str:
        """i64: the row that a static lookup finds, relative to the key range's array."""
        static = self.context.statics[lookup]
        at = self.key_index(lookup, static)
        rows = static.rows()
        if len(rows) == len(static.keys):
            return at
        array, type = self.code.array(rows.tolist())
        return self.load(self.code.op(f"getelementptr {type.llvm}, ptr {array}, i64 {at}"), type).ref

    def key_index(self, lookup: int, static: Static) -> str:
        """i64: the query, cut off at the first and the last key, counted from the first one. Gives up on a position where cutting
        off would be wrong."""
        code, low, high = self.code, int(static.keys[0]), int(static.keys[-1])
        query = self.context(self.graph.lookups[lookup].query)
        bounds = self.graph.bounds(query)
        if static.fixed and not (bounds.low >= low and bounds.high <= high):
            self.bail_outside(query, low, high + 1)
        value = self.form(query)
        if value.kind == "f" or value.exponent < 0 or not bounds.below(0):
            cut = code.op(f"fptosi double {self._cut(value, low, high).ref} to i64")
            return code.op(f"sub i64 {cut}, {low}")
        at = self.as_int(value, 0)
        if low:
            at = code.op(f"sub i64 {at}, {low}")
        if static.fixed or (bounds.low >= low and bounds.high <= high):
            return at
        # A branch, not a minimum: what is read from the array must not wait for the comparison.
        outside, inside, before = code.label("outside"), code.label("inside"), code.block
        test = code.op(f"icmp ule i64 {at}, {high - low}")
        code.do(f"br i1 {test}, label %{inside}, label %{outside}")
        code.start(outside)
        below = code.op(f"icmp slt i64 {at}, 0")
        end = code.op(f"select i1 {below}, i64 0, i64 {high - low}")
        code.do(f"br label %{inside}")
        code.start(inside)
        return code.op(f"phi i64 [ {at}, %{before} ], [ {end}, %{outside} ]")

    def round(self, atom: Round) -> IrValue:
        """The integer nearest to a form that is never in the middle between two."""
        query = atom.query
        value = self.form(query)
        if value.kind == "w":
            value = IrValue("f", self.as_double(value))
        if value.kind == "f":
            self.code.intrinsic("double @llvm.rint.f64(double)")
            bounds = self.graph.atom_bounds(self.graph.atom(atom))
            cut = self._cut(value, bounds.low, bounds.high).ref
            rounded = self.code.op(f"call double @llvm.rint.f64(double {cut})")
            self._check_halves(query, value, rounded)
            return IrValue("i", self.code.op(f"fptosi double {rounded} to i64"))
        bits = max(0, -value.exponent)
        whole = self.as_int(value, -bits)
        if bits:
            self._check_halves(query, value)
            whole = self.code.op(f"add i64 {whole}, {1 << bits - 1}")
            whole = self.code.op(f"ashr i64 {whole}, {bits}")
        bounds = self.graph.bounds(query)
        for name, end, beyond in (
            ("smax", atom.low, bounds.low < atom.low - 0.5),
            ("smin", atom.high, bounds.high >= atom.high + 0.5),
        ):
            if beyond:
                self.code.intrinsic(f"i64 @llvm.{name}.i64(i64, i64)")
                whole = self.code.op(f"call i64 @llvm.{name}.i64(i64 {whole}, i64 {int(end)})")
        return IrValue("i", whole)

    def _check_halves(self, query: Form, value: IrValue, rounded: str = "") -> None:
        """Gives up on the position if a query is halfway between two integers, of which softmax takes the mean, where nothing
        rules that out."""
        varying = self.graph.bounds(query.without_constant()).exponent
        if not self.graph.counted or (varying is not None and (query.constant / 2.0**varying) % 1.0):
            return
        if value.kind == "f":
            self.code.intrinsic("double @llvm.fabs.f64(double)")
            rest = self.code.op(f"fsub double {value.ref}, {rounded}")
            rest = self.code.op(f"call double @llvm.fabs.f64(double {rest})")
            self.bail_if(self.code.op(f"fcmp oeq double {rest}, {double(0.5)}"))
            return
        bits = -value.exponent
        rest = self.code.op(f"and i64 {self.as_int(value, -bits)}, {(1 << bits) - 1}")
        self.bail_if(self.code.op(f"icmp eq i64 {rest}, {1 << bits - 1}"))

    def check_assumptions(self, early: Dependence | None) -> None:
        """Ranges that the analysis takes for granted (`Assumptions.assume`); as long as there are fewer positions than that, also
        that a rounding gives one of them."""
        # What is assumed of a form matters where the form is computed.
        ranges = list(self.context.assumptions)
        if self.graph.counted:
            ranges = [r for r in ranges if kept_anyway(self.graph, r[0], self.context, self.live)]
        if self.first:
            n = Form({self.graph.n: 1.0})
            ranges += [(query.plus(n, -1.0), -math.inf, 0.5) for query in self.graph.queries]
        for number, (first, last) in self.graph.inside.items():
            if number in self.live.lookups and number not in self.context.statics:
                ranges.append((self.context(self.graph.lookups[number].query), first, last + 1.0))
        for form, low, high in ranges:
            if form.is_constant() or form in self.known.checked or (early is not None and early.form(form)):
                continue
            self.known.checked.add(form)
            bounds = self.graph.bounds(form, assuming=False)
            if bounds.low < low or bounds.high >= high:
                self.bail_outside(form, low, high)
        if self.first:
            self._check_growing()

    def _check_growing(self) -> None:
        """That a rounding gives an entry that is there, while the table is being read."""
        for found, lowest, start in self.graph.growing:
            value, code = self.as_double(self.form(self.context(found))), self.code
            code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
            entry = code.op(f"sub i64 {self.n}, {start}")
            entry = code.op(f"call i64 @llvm.smax.i64(i64 {entry}, i64 0)")
            end = code.op(f"fadd double {self.as_double(IrValue('i', entry))}, {double(lowest + 0.5)}")
            self.bail_if(code.op(f"fcmp oge double {value}, {end}"))

    def predict(self, classes: TokenClasses) -> None:
        """Branches on the token's class and takes its features from there: the processor predicts the branch, and what
        follows need not wait for the token. Tokens in no class load their features."""
        code, graph = self.code, self.graph
        name = code.array(classes.numbers.tolist())
        number = self.load(code.op(f"getelementptr {name[1].llvm}, ptr {name[0]}, i64 {self.token}"), name[1])
        labels = [code.label("class") for _ in classes.values]
        other, after = code.label("other"), code.label("known")
        cases = " ".join(f"i64 {i}, label %{label}" for i, label in enumerate(labels))
        code.do(f"switch i64 {number.ref}, label %{other} [ {cases} ]")
        for label in labels:
            code.start(label)
            code.do(f"br label %{after}")
        code.start(other)
        loaded = [self.atom(atom) for atom in classes.atoms]
        code.do(f"br label %{after}")
        code.start(after)
        self.known.rows.clear()
        for i, (atom, value) in enumerate(zip(classes.atoms, loaded)):
            type = type_for(graph.atom_bounds(atom))
            known = [int(values[i] * 2.0**-type.exponent) for values in classes.values]
            incoming = ", ".join(f"[ {v}, %{label} ]" for v, label in zip(known, labels))
            merged = code.op(f"phi i64 {incoming}, [ {value.ref}, %{other} ]")
            self.known.atoms[atom] = IrValue("i", merged, type.exponent)

    # -- the end of a position ------------------------------------------------------------------------------------

    def finish(self, early: Dependence | None = None) -> None:
        """Everything that later positions may ask for, whether this one did or not.

        early: only what does not depend on it.
        """
        for number in self.live.sums:
            if early is None or not early.kept(self.graph.sums[number]):
                self.sum(number)
        for store, entry in self.layout.entries.items():
            if store not in self.live.stores or (early is not None and early.store(store)):
                continue
            if self.graph.stores[store].kind == "soft":
                if early is None:
                    soft.record(self, store)
                continue
            self.insert(store)
            for column in entry.columns:
                if (store, column) in self.live.columns and (early is None or not early.column(store, column)):
                    self.keep(store, column)
        for delayed in self.live.delays:
            if early is None or not early.column(*delayed):
                self.shift(delayed)
