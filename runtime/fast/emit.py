"""LLVM IR for one position: forms and atoms on demand, as straight-line code.

A value is an i64 that stands for integer * 2^exponent, an i1 (0 or 1), or a double. Integers are used where bounds.py proves
that they fit: exact like the doubles of the dense model below 2^53, and faster.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .forms import ONE, Bounds, Form, Graph, exponent_of, knots_value
from .index import FOUND, PAGE_BITS, PAGE_HEADER, PAGE_KEYS
from .interface import INTEGER_LIMIT, KEY_LIMIT
from .layout import DOUBLE, Layout, Tables, Type, type_for
from .live import Live
from .pack import Packs
from .specialise import Context, Dependence, Static, TokenClasses


class Value(NamedTuple):
    """kind "i": ref (an i64) * 2^exponent; "b": ref (an i1); "f": ref (a double)."""

    kind: str
    ref: str
    exponent: int = 0


class Resolved(NamedTuple):
    """What a query found: entry pointer and key."""

    entry: str
    key: str


def double(value: float) -> str:
    return "0x" + struct.pack(">d", value).hex().upper()


def _result_type(text: str) -> str:
    """The LLVM type of an instruction's result."""
    words = text.split()
    if words[0] in ("icmp", "fcmp"):
        return "i1"
    if words[0] == "getelementptr":
        return "ptr"
    if " to " in text:
        return words[-1]
    return words[3 if words[0] == "select" else 1].rstrip(",")


class Code:
    """The module under construction: `lines` is the body of the function at hand. Names are unique in the whole module."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.block = ""
        self.declarations: dict[str, None] = {}
        self.globals: dict[str, str] = {}
        self.types: dict[str, str] = {}

    def op(self, text: str) -> str:
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        self.types[name] = _result_type(text)
        return name

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def intrinsic(self, signature: str) -> None:
        self.declarations[f"declare {signature}"] = None

    def array(self, values: list[int]) -> tuple[str, Type]:
        """A constant integer array; returns its name and element type."""
        type = type_for(Bounds(min(values), max(values), 0))
        text = f"[{len(values)} x {type.llvm}] [" + ", ".join(f"{type.llvm} {v}" for v in values) + "]"
        if text not in self.globals:
            self.globals[text] = f"@k{len(self.globals)}"
        return self.globals[text], type


class Emitter:
    """Emits what is asked for, once, and in an order that respects what the position leaves behind for itself:
    an insertion comes before the queries of its store.

    context: rewrites every form that comes out of stores, lookups and sums; forms passed in are rewritten already.
    packs: columns to read instead of others. reached: the state to keep up. first: whether the position may be one
    of the first ones, where a delay reaches
    before the start.
    """

    def __init__(
        self,
        graph: Graph,
        layout: Layout,
        code: Code,
        tables: Tables,
        context: Context,
        packs: Packs,
        reached: Live,
        first: bool,
    ):
        self.graph, self.layout, self.code, self.tables = graph, layout, code, tables
        self.context, self.packs, self.live, self.first = context, packs, reached, first
        self.forms: dict[tuple, Value] = {}
        self.atoms: dict[int, Value] = {}
        self.sources: dict[int, str] = {}
        self.rows: dict[int, str] = {}
        self.inserted: dict[int, str] = {}
        self.stored: set[tuple[int, int]] = set()
        self.resolved: dict[tuple, Resolved] = {}
        self.softened: dict[int, dict[int, Value]] = {}
        self.delayed: dict[tuple[int, int, int], str] = {}
        self.shifted: set[tuple[int, int]] = set()
        self.n = "%n"  # i64
        self.token = "%token"  # i64
        self.record = ""  # ptr: the record of the row found, inside a group of rows

    def inside(self, context: Context, record: str) -> Emitter:
        """An emitter for a branch: knows what has been emitted so far, and keeps what it emits to itself."""
        result = Emitter(self.graph, self.layout, self.code, self.tables, context, self.packs, self.live, self.first)
        for name in (
            "forms",
            "atoms",
            "sources",
            "rows",
            "inserted",
            "stored",
            "resolved",
            "softened",
            "delayed",
            "shifted",
        ):
            setattr(result, name, getattr(self, name).copy())
        result.record = record
        return result

    # -- conversions ----------------------------------------------------------------------------------------------

    def as_int(self, value: Value, exponent: int, factor: int = 1) -> str:
        """i64: factor * value * 2^-exponent, for a multiple of 2^exponent that fits."""
        if value.kind == "f":
            scaled = self.code.op(f"fmul double {value.ref}, {double(factor * 2.0**-exponent)}")
            return self.code.op(f"fptosi double {scaled} to i64")
        factor <<= value.exponent - exponent
        if value.kind == "b":
            return self.code.op(f"select i1 {value.ref}, i64 {factor}, i64 0")
        if factor == 1:
            return value.ref
        if value.ref.lstrip("-").isdigit():
            return str(int(value.ref) * factor)
        if factor > 0 and factor & (factor - 1) == 0:
            return self.code.op(f"shl i64 {value.ref}, {factor.bit_length() - 1}")
        return self.code.op(f"mul i64 {value.ref}, {factor}")

    def as_double(self, value: Value) -> str:
        if value.kind == "f":
            return value.ref
        if value.kind == "b":
            return self.code.op(f"uitofp i1 {value.ref} to double")
        if value.ref.lstrip("-").isdigit():
            return double(float(int(value.ref)) * 2.0**value.exponent)
        result = self.code.op(f"sitofp i64 {value.ref} to double")
        if value.exponent:
            result = self.code.op(f"fmul double {result}, {double(2.0**value.exponent)}")
        return result

    def _cut(self, value: Value, low: float, high: float) -> Value:
        """A double, cut off at both ends."""
        code = self.code
        code.intrinsic("double @llvm.maxnum.f64(double, double)")
        code.intrinsic("double @llvm.minnum.f64(double, double)")
        cut = code.op(f"call double @llvm.maxnum.f64(double {self.as_double(value)}, double {double(low)})")
        return Value("f", code.op(f"call double @llvm.minnum.f64(double {cut}, double {double(high)})"))

    def address(self, field: int, pointer: str = "%state") -> str:
        return self.code.op(f"getelementptr i64, ptr {pointer}, i64 {field}")

    # -- forms ----------------------------------------------------------------------------------------------------

    def form(self, form: Form) -> Value:
        found = self.forms.get(form.key)
        if found is None:
            found = self.forms[form.key] = self._form(self.packs(self.graph.merged(form)))
        return found

    def _form(self, form: Form) -> Value:
        if len(form.terms) == 1 and not form.constant:
            ((atom, c),) = form.terms.items()
            if c == 1.0:
                return self.atom(atom)
        bounds = self.graph.bounds(form)
        e = bounds.exponent
        if form.constant and len(form.terms) > 1:
            # Gates often differ in the constant only: share the rest.
            base = form.without_constant()
            whole = self.form(base)
            if whole.kind != "f" and e is not None and bounds.magnitude < INTEGER_LIMIT * 2.0**e:
                sum_ = self.code.op(f"add i64 {self.as_int(whole, e)}, {int(form.constant * 2.0**-e)}")
                return Value("i", sum_, e)
            return Value("f", self.code.op(f"fadd double {self.as_double(whole)}, {double(form.constant)}"))
        terms = [(self.atom(a), c) for a, c in sorted(form.terms.items(), key=lambda t: -t[1])]
        if e is not None and bounds.magnitude < INTEGER_LIMIT * 2.0**e and all(v.kind != "f" for v, _ in terms):
            return self._integer_form(form, terms, e)
        total = ""
        for value, c in terms:
            term = self.as_double(value)
            if total and c in (1.0, -1.0):
                total = self.code.op(f"{'fadd' if c > 0 else 'fsub'} double {total}, {term}")
                continue
            if c != 1.0:
                term = self.code.op(f"fmul double {term}, {double(c)}")
            total = self.code.op(f"fadd double {total}, {term}") if total else term
        if form.constant or not total:
            total = self.code.op(f"fadd double {total or double(0.0)}, {double(form.constant)}")
        return Value("f", total)

    def _integer_form(self, form: Form, terms: list[tuple[Value, float]], e: int) -> Value:
        total, constant = "", int(form.constant * 2.0**-e)
        for value, c in terms:
            factor = int(c * 2.0 ** (value.exponent - e))
            # shift-free difference instead of a multiplication by a negative factor
            negative = factor < 0 and bool(total or constant)
            term = self.as_int(Value(value.kind, value.ref, 0), 0, -factor if negative else factor)
            if not total and negative:
                total, constant = self.code.op(f"sub i64 {constant}, {term}"), 0
            elif negative:
                total = self.code.op(f"sub i64 {total}, {term}")
            else:
                total = self.code.op(f"add i64 {total}, {term}") if total else term
        if constant and total:
            total = self.code.op(f"add i64 {total}, {constant}")
        return Value("i", total or str(constant), e)

    # -- atoms ----------------------------------------------------------------------------------------------------

    def atom(self, atom: int) -> Value:
        found = self.atoms.get(atom)
        if found is None:
            found = self.atoms[atom] = self._atom(atom)
        return found

    def _atom(self, atom: int) -> Value:
        kind, args = self.graph.kinds[atom], self.graph.args[atom]
        if kind == "n":
            return Value("i", self.n)
        if kind == "nn":
            n = self.as_double(Value("i", self.n))
            return Value("f", self.code.op(f"fmul double {n}, {n}"))
        if kind == "table":
            return self._table(*args)
        if kind == "let":
            return self.form(args[0])
        if kind == "relu":
            return self._relu(*args)
        if kind == "knots":
            return self._knots(*args)
        if kind == "sum":
            return self.sum(args[0])
        if kind == "mean":
            total, n = self.as_double(self.sum(args[0])), self.as_double(Value("i", self.n))
            return Value("f", self.code.op(f"fdiv double {total}, {n}"))
        lookup = self.graph.lookups[args[0]]
        if kind == "read":
            return self._read(args[0], args[1])
        if kind == "stamp":
            entry = self._entry(args[0])
            if self.graph.stores[lookup.store].kind == "register":
                return Value("i", self.code.op(f"load i64, ptr {entry}"))
            stamp = self.code.op(f"load i32, ptr {entry}, align 4")
            return Value("i", self.code.op(f"zext i32 {stamp} to i64"))
        if kind == "key":
            return Value("i", self._resolve(args[0]).key)
        if kind == "soft":
            return self._soft(args[0], args[1])
        raise AssertionError(kind)

    def load(self, pointer: str, type: Type) -> Value:
        if type.floating:
            return Value("f", self.code.op(f"load double, ptr {pointer}, align 1"))
        raw = self.code.op(f"load {type.llvm}, ptr {pointer}, align 1")
        if type.size < 8:
            raw = self.code.op(f"{'sext' if type.signed else 'zext'} {type.llvm} {raw} to i64")
        return Value("i", raw, type.exponent)

    def store(self, value: Value, pointer: str, type: Type) -> None:
        if type.floating:
            self.code.do(f"store double {self.as_double(value)}, ptr {pointer}, align 1")
            return
        whole = self.as_int(value, type.exponent)
        if type.size < 8:
            whole = self.code.op(f"trunc i64 {whole} to {type.llvm}")
        self.code.do(f"store {type.llvm} {whole}, ptr {pointer}, align 1")

    def _table(self, source: int, vector: int) -> Value:
        name = self.graph.sources[source].name
        type = type_for(self.graph.vector_bounds(vector))
        rows = self.tables.rows(name, self.graph.sources[source].size)
        if name[0] == "row" and name[2] >= 0:
            pointer: Any = self.record
        else:
            number = self.tables.number(name)
            if source not in self.rows:
                distance = self.code.op(f"mul i64 {self.source(source)}, STRIDE{number}.")
                table = self.code.op(f"getelementptr i8, ptr %state, i64 TABLE{number}.")
                self.rows[source] = self.code.op(f"getelementptr i8, ptr {table}, i64 {distance}")
            pointer = self.rows[source]
        offset = rows.column(vector, self.graph.vectors[vector], type)
        return self.load(self.code.op(f"getelementptr i8, ptr {pointer}, i64 {offset}"), type)

    def source(self, source: int) -> str:
        """The source's value at this position, an i64."""
        if source not in self.sources:
            name = self.graph.sources[source].name
            row = self.context.row_source(source)
            if name[0] == "token":
                result = self.token
            elif name[0] == "row":
                result = self.row(name[1])
            elif row is not None:
                table = self.graph.table(row[0], row[1].astype(np.float64))
                result = self.as_int(self.form(table), 0)
            else:
                result = self._read(name[1], name[2]).ref
            self.sources[source] = result
        return self.sources[source]

    def row(self, lookup: int) -> str:
        """i64: the row that a static lookup finds, relative to the key range's array."""
        static = self.context.statics[self.graph.lookups[lookup].store]
        at = self.key_index(lookup, static)
        rows = static.rows()
        if len(rows) == len(static.keys):
            return at
        array, type = self.code.array(rows.tolist())
        return self.load(self.code.op(f"getelementptr {type.llvm}, ptr {array}, i64 {at}"), type).ref

    def key_index(self, lookup: int, static: Static) -> str:
        """i64: the query, cut off at the first and the last key, counted from the first one."""
        code, low, high = self.code, int(static.keys[0]), int(static.keys[-1])
        query = self.context(self.graph.lookups[lookup].query)
        bounds = self.graph.bounds(query)
        at = self.as_int(self.form(query), 0)
        if low:
            at = code.op(f"sub i64 {at}, {low}")
        if bounds.low >= low and bounds.high <= high:
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
        self.rows.clear()
        for i, (atom, value) in enumerate(zip(classes.atoms, loaded)):
            type = type_for(graph.atom_bounds(atom))
            known = [int(values[i] * 2.0**-type.exponent) for values in classes.values]
            incoming = ", ".join(f"[ {v}, %{label} ]" for v, label in zip(known, labels))
            merged = code.op(f"phi i64 {incoming}, [ {value.ref}, %{other} ]")
            self.atoms[atom] = Value("i", merged, type.exponent)

    def _relu(self, gate: Form, up: Form) -> Value:
        g = self.form(gate)
        bounds = self.graph.bounds(gate)
        code = self.code
        if g.kind == "f":
            positive = g.ref
            if bounds.low < 0:
                test = code.op(f"fcmp ogt double {g.ref}, {double(0.0)}")
                positive = code.op(f"select i1 {test}, double {g.ref}, double {double(0.0)}")
            if up == ONE:
                return Value("f", positive)
            return Value("f", code.op(f"fmul double {positive}, {self.as_double(self.form(up))}"))
        boolean = bounds.high == 1 and (bounds.exponent or 0) >= 0
        if boolean:
            test = g.ref if g.kind == "b" else code.op(f"icmp sgt i64 {g.ref}, 0")
            if up == ONE:
                return Value("b", test)
            u = self.form(up)
            if u.kind == "f":
                return Value("f", code.op(f"select i1 {test}, double {u.ref}, double {double(0.0)}"))
            if u.kind == "b":
                return Value("b", code.op(f"and i1 {test}, {u.ref}"))
            return Value("i", code.op(f"select i1 {test}, i64 {u.ref}, i64 0"), u.exponent)
        positive = g.ref
        if bounds.low < 0:
            code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
            positive = code.op(f"call i64 @llvm.smax.i64(i64 {g.ref}, i64 0)")
        if up == ONE:
            return Value("i", positive, g.exponent)
        u = self.form(up)
        top, other = max(bounds.high, 0.0), self.graph.bounds(up).magnitude
        if u.kind == "f" or top * other >= INTEGER_LIMIT * 2.0 ** (g.exponent + u.exponent):
            product = code.op(f"fmul double {self.as_double(Value('i', positive, g.exponent))}, {self.as_double(u)}")
            return Value("f", product)
        return Value("i", code.op(f"mul i64 {positive}, {self.as_int(u, u.exponent)}"), g.exponent + u.exponent)

    def _knots(self, x: Form, knots: tuple) -> Value:
        """A step is a comparison, a one-hot an equality, everything else on integers a small table."""
        grid, value, code = self.graph.knot_grid(x, knots), self.form(x), self.code
        if grid is None:
            return self._ramps(value, knots)
        values = knots_value(grid, list(knots))
        exponent = self.graph.bounds(Form({self.graph.atom("knots", x, knots): 1.0})).exponent
        assert exponent is not None
        whole = [int(v * 2.0**-exponent) for v in values]
        if value.kind == "f":  # too large for an integer, but not on the grid
            step_exponent = exponent_of(float(grid[-1] - grid[0]) / max(1, len(grid) - 1)) or 0
            value = Value("i", self.as_int(self._cut(value, grid[0], grid[-1]), step_exponent), step_exponent)
        at = [int(g * 2.0**-value.exponent) for g in grid]
        ref = self.as_int(value, value.exponent)
        changes = [i for i in range(1, len(whole)) if whole[i] != whole[i - 1]]
        if not changes:
            return Value("i", str(whole[0]), exponent)
        test = ""
        if len(changes) == 1:
            test = code.op(f"icmp sge i64 {ref}, {at[changes[0]]}")
            outside, inside = whole[0], whole[-1]
        elif len(changes) == 2 and changes[1] == changes[0] + 1 and whole[0] == whole[-1]:
            test = code.op(f"icmp eq i64 {ref}, {at[changes[0]]}")
            outside, inside = whole[0], whole[changes[0]]
        if test:
            if (outside, inside) == (0, 1) and exponent == 0:
                return Value("b", test)
            return Value("i", code.op(f"select i1 {test}, i64 {inside}, i64 {outside}"), exponent)
        code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
        code.intrinsic("i64 @llvm.smin.i64(i64, i64)")
        step = at[1] - at[0]
        index = code.op(f"call i64 @llvm.smax.i64(i64 {ref}, i64 {at[0]})")
        index = code.op(f"call i64 @llvm.smin.i64(i64 {index}, i64 {at[-1]})")
        index = code.op(f"sub i64 {index}, {at[0]}")
        if step > 1:
            index = code.op(f"ashr i64 {index}, {step.bit_length() - 1}")
        array, type = code.array(whole)
        pointer = code.op(f"getelementptr {type.llvm}, ptr {array}, i64 {index}")
        return Value("i", self.load(pointer, type).ref, exponent)

    def _ramps(self, value: Value, knots: tuple) -> Value:
        """Without a grid. A pair of opposite slopes is a clamp: no large numbers are subtracted."""
        code, x, total = self.code, self.as_double(value), double(0.0)
        code.intrinsic("double @llvm.maxnum.f64(double, double)")
        code.intrinsic("double @llvm.minnum.f64(double, double)")
        slope = 0.0
        for (t, c), following in zip(knots, [*knots[1:], None]):
            slope += c
            if following is None or slope == 0:
                continue
            width = t - following[0]
            part = code.op(f"fadd double {x}, {double(t)}")
            part = code.op(f"call double @llvm.maxnum.f64(double {part}, double {double(0.0)})")
            part = code.op(f"call double @llvm.minnum.f64(double {part}, double {double(width)})")
            if slope != 1.0:
                part = code.op(f"fmul double {part}, {double(slope)}")
            total = code.op(f"fadd double {total}, {part}")
        return Value("f", total)

    # -- what positions leave behind ------------------------------------------------------------------------------

    def sum(self, number: int) -> Value:
        """The running sum with this position included; the state's field is updated at once."""
        atom = self.graph.atom("sum", number)
        if atom in self.atoms:
            return self.atoms[atom]
        bounds = self.graph.atom_bounds(atom)
        pointer = self.address(self.layout.fields["sum", number])
        value = self.form(self.context(self.graph.sums[number]))
        if type_for(bounds).floating:
            old = self.code.op(f"load double, ptr {pointer}")
            result = Value("f", self.code.op(f"fadd double {old}, {self.as_double(value)}"))
        else:
            assert bounds.exponent is not None
            old = self.code.op(f"load i64, ptr {pointer}")
            new = self.code.op(f"add i64 {old}, {self.as_int(value, bounds.exponent)}")
            result = Value("i", new, bounds.exponent)
        self.code.do(f"store {'double' if result.kind == 'f' else 'i64'} {result.ref}, ptr {pointer}")
        self.atoms[atom] = result
        return result

    def kept(self, store: int, column: int) -> tuple[Value, Type]:
        """What this position puts into a column."""
        what = self.graph.stores[store].columns[column]
        type = self.layout.column_type(store, column)
        if isinstance(what, Form):
            return self.form(self.context(what)), type
        return Value("i", self.code.op(f"add i64 {self.source(what)}, 1")), type

    def _read(self, number: int, column: int) -> Value:
        lookup = self.graph.lookups[number]
        store = self.graph.stores[lookup.store]
        if store.kind == "delay":
            return self._delay(lookup.store, column, lookup.query)
        entry = self._entry(number)
        self.keep(lookup.store, column)
        offset, type = self.layout.entries[lookup.store].columns[column]
        return self.load(self.code.op(f"getelementptr i8, ptr {entry}, i64 {offset}"), type)

    def _delay(self, store: int, column: int, distance: int) -> Value:
        type = self.layout.column_type(store, column)
        ref = self._delayed(store, column, distance)
        return Value("f", ref) if type.floating else Value("i", ref, type.exponent)

    def _delayed(self, store: int, column: int, distance: int) -> str:
        """The column's value `distance` positions back; distance 0 is this position's own."""
        key = (store, column, distance)
        if key in self.delayed:
            return self.delayed[key]
        type = self.layout.column_type(store, column)
        llvm = "double" if type.floating else "i64"
        if distance == 0:
            value, _ = self.kept(store, column)
            result = self.as_double(value) if type.floating else self.as_int(value, type.exponent)
        else:
            pointer = self.address(self.layout.fields["delay", store, column] + distance - 1)
            result = self.code.op(f"load {llvm}, ptr {pointer}")
            if self.first:
                own = self._delayed(store, column, 0)
                start = self.code.op(f"icmp eq i64 {self.n}, 1")
                result = self.code.op(f"select i1 {start}, {llvm} {own}, {llvm} {result}")
        self.delayed[key] = result
        return result

    def shift(self, column: tuple[int, int]) -> None:
        """Moves a delayed column by one position, once it has been read at every distance."""
        if column in self.shifted:
            return
        self.shifted.add(column)
        type = self.layout.column_type(*column)
        depth = self.layout.live.delays[column]
        values = [self._delayed(*column, distance) for distance in range(depth + 1)]
        for distance in range(1, depth + 1):
            pointer = self.address(self.layout.fields[("delay", *column)] + distance - 1)
            llvm = "double" if type.floating else "i64"
            self.code.do(f"store {llvm} {values[distance - 1]}, ptr {pointer}")

    def bail_if(self, test: str) -> None:
        """Gives up on this position when a condition holds that the analysis did not expect."""
        go = self.code.label("go")
        self.code.do(f"br i1 {test}, label %bail, label %{go}")
        self.code.start(go)

    def insert(self, store: int) -> str:
        """Where this position's columns go: the entry of its key; a scratch entry when its penalty turns out not to be 0;
        "" when that is known beforehand."""
        if store not in self.inserted:
            self.inserted[store] = self._insert(store)
        return self.inserted[store]

    def _insert(self, number: int) -> str:
        code, store = self.code, self.graph.stores[number]
        valid = self._valid(self.context(store.penalty))
        if valid == "false":
            return ""
        scratch = self.address(self.layout.fields["scratch", number])
        if store.kind == "register":
            entry = self.address(self.layout.fields["register", number])
            if valid != "true":
                entry = code.op(f"select i1 {valid}, ptr {entry}, ptr {scratch}")
            code.do(f"store i64 {self.n}, ptr {entry}")
            return entry
        key_form = self.context(store.key)
        key, bounds = self._key(key_form), self.graph.bounds(key_form)
        inside, after = code.label("insert"), code.label("inserted")
        before = code.block
        if valid != "true":
            code.do(f"br i1 {valid}, label %{inside}, label %{after}")
            code.start(inside)
        if bounds.low < -KEY_LIMIT or bounds.high >= KEY_LIMIT:
            off = code.op(f"add i64 {key}, {KEY_LIMIT}")
            self.bail_if(code.op(f"icmp uge i64 {off}, {2 * KEY_LIMIT}"))
        if store.nonnegative and bounds.low < 0:
            self.bail_if(code.op(f"icmp slt i64 {key}, 0"))
        found, stamp = self._probe(number, key)
        missing = code.op(f"icmp eq i32 {stamp}, 0")
        new, ready = code.label("new"), code.label("ready")
        if not store.latest and set(store.key.terms) != {self.graph.n}:
            self.bail_if(code.op(f"xor i1 {missing}, true"))
        known = code.block
        code.do(f"br i1 {missing}, label %{new}, label %{ready}")
        code.start(new)
        fields = self.address(self.layout.fields["keyed", number])
        created = code.op(f"call ptr @create(ptr {fields}, i64 {key}, ptr {scratch}, ptr %state)")
        code.do(f"br label %{ready}")
        code.start(ready)
        entry = code.op(f"phi ptr [ {found}, %{known} ], [ {created}, %{new} ]")
        n32 = code.op(f"trunc i64 {self.n} to i32")
        code.do(f"store i32 {n32}, ptr {entry}, align 4")
        if valid != "true":
            last = code.block
            code.do(f"br label %{after}")
            code.start(after)
            entry = code.op(f"phi ptr [ {scratch}, %{before} ], [ {entry}, %{last} ]")
        return entry

    def _valid(self, penalty: Form) -> str:
        """i1: penalty == 0. Negative penalties are outside the pattern."""
        code = self.code
        if penalty.is_constant():
            return "true" if penalty.constant == 0 else "false"
        value, low = self.form(penalty), self.graph.bounds(penalty).low
        if value.kind == "b":
            return code.op(f"xor i1 {value.ref}, true")
        if value.kind == "f":
            if low < 0:
                self.bail_if(code.op(f"fcmp olt double {value.ref}, {double(0.0)}"))
            return code.op(f"fcmp oeq double {value.ref}, {double(0.0)}")
        if low < 0:
            self.bail_if(code.op(f"icmp slt i64 {value.ref}, 0"))
        return code.op(f"icmp eq i64 {value.ref}, 0")

    def _key(self, form: Form) -> str:
        """An integer-valued form as i64; far-away doubles are cut off outside the key range."""
        value = self.form(form)
        if value.kind != "f":
            return self.as_int(value, 0)
        return self.as_int(self._cut(value, -2.0 * KEY_LIMIT, 2.0 * KEY_LIMIT), 0)

    def keep(self, store: int, column: int) -> None:
        """Stores one column of this position."""
        if (store, column) in self.stored:
            return
        self.stored.add((store, column))
        entry = self.insert(store)
        if not entry:
            return
        value, _ = self.kept(store, column)
        offset, type = self.layout.entries[store].columns[column]
        self.store(value, self.code.op(f"getelementptr i8, ptr {entry}, i64 {offset}"), type)

    def _entry(self, number: int) -> str:
        lookup = self.graph.lookups[number]
        if self.graph.stores[lookup.store].kind == "register":
            self.insert(lookup.store)
            return self.address(self.layout.fields["register", lookup.store])
        return self._resolve(number).entry

    def _probe(self, store: int, key: str) -> tuple[str, str]:
        """Entry pointer and stamp for a key in range (stamp 0: never written; the pointer may be into the page of zeros)."""
        code = self.code
        off = code.op(f"add i64 {key}, {KEY_LIMIT}")
        page = code.op(f"lshr i64 {off}, {PAGE_BITS}")
        at = code.op(f"and i64 {off}, {PAGE_KEYS - 1}")
        directory = self.address(self.layout.fields["directory", store])
        slot = code.op(f"getelementptr ptr, ptr {directory}, i64 {page}")
        base = code.op(f"load ptr, ptr {slot}")
        offset = code.op(f"mul i64 {at}, {self.layout.entries[store].size}")
        entry = code.op(f"getelementptr i8, ptr {base}, i64 {offset}")
        entry = code.op(f"getelementptr i8, ptr {entry}, i64 {PAGE_HEADER}")
        return entry, code.op(f"load i32, ptr {entry}, align 4")

    def _resolve(self, number: int) -> Resolved:
        lookup = self.graph.lookups[number]
        query = self.context(lookup.query)
        key = (lookup.store, query)
        if key not in self.resolved:
            self.insert(lookup.store)
            self.resolved[key] = self._search(lookup.store, query)
        return self.resolved[key]

    def _search(self, store: int, query: Form) -> Resolved:
        """A key that is present is found inline; otherwise the nearest one is searched."""
        code, bounds = self.code, self.graph.bounds(query)
        value = self.form(query)
        near, found, tests = code.label("near"), code.label("found"), []
        if value.kind != "f" and value.exponent >= 0:
            wanted = self.as_int(value, 0)
            number = code.op(f"sitofp i64 {wanted} to double")
            if bounds.low < -KEY_LIMIT or bounds.high >= KEY_LIMIT:
                inside = code.label("inside")
                off = code.op(f"add i64 {wanted}, {KEY_LIMIT}")
                in_range = code.op(f"icmp ult i64 {off}, {2 * KEY_LIMIT}")
                code.do(f"br i1 {in_range}, label %{inside}, label %{near}")
                code.start(inside)
            entry, stamp = self._probe(store, wanted)
        else:
            code.intrinsic("double @llvm.rint.f64(double)")
            code.intrinsic("double @llvm.fabs.f64(double)")
            number = self._cut(value, -KEY_LIMIT, KEY_LIMIT - 1).ref
            rounded = code.op(f"call double @llvm.rint.f64(double {number})")
            wanted = code.op(f"fptosi double {rounded} to i64")
            distance = code.op(f"fsub double {number}, {rounded}")
            distance = code.op(f"call double @llvm.fabs.f64(double {distance})")
            tests = [code.op(f"fcmp olt double {distance}, {double(0.5)}")]
            entry, stamp = self._probe(store, wanted)
        hit = code.op(f"icmp ne i32 {stamp}, 0")
        for test in tests:
            hit = code.op(f"and i1 {hit}, {test}")
        direct = code.block
        code.do(f"br i1 {hit}, label %{found}, label %{near}")
        code.start(near)
        fields, zero = (self.address(self.layout.fields[name, store]) for name in ("keyed", "zero"))
        other = code.op(f"call ptr @search(ptr {fields}, double {number}, ptr {zero}, ptr %state)")
        if not self.graph.stores[store].latest:
            status = code.op("load i64, ptr %state")
            self.bail_if(code.op(f"icmp ne i64 {status}, 0"))
            near = code.block
        other_key = code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {fields}, i64 {FOUND}')}")
        code.do(f"br label %{found}")
        code.start(found)
        entry = code.op(f"phi ptr [ {entry}, %{direct} ], [ {other}, %{near} ]")
        key = code.op(f"phi i64 [ {wanted}, %{direct} ], [ {other_key}, %{near} ]")
        return Resolved(entry, key)

    # -- softmax ----------------------------------------------------------------------------------------------------

    def soft_record(self, number: int) -> str:
        """Writes this position's keys and columns behind those of the earlier positions; returns the first record."""
        code, store = self.code, self.graph.stores[number]
        entry = self.layout.entries[number]
        base = code.op(f"load ptr, ptr {self.address(self.layout.fields['soft', number])}")
        if number not in self.inserted:
            index = code.op(f"sub i64 {self.n}, 1")
            offset = code.op(f"mul i64 {index}, {entry.size}")
            record = code.op(f"getelementptr i8, ptr {base}, i64 {offset}")
            for i, form in enumerate(store.keys):
                pointer = code.op(f"getelementptr i8, ptr {record}, i64 {8 * i}")
                code.do(f"store double {self.as_double(self.form(self.context(form)))}, ptr {pointer}")
            for column, (at, _) in entry.columns.items():
                value, _ = self.kept(number, column)
                self.store(value, code.op(f"getelementptr i8, ptr {record}, i64 {at}"), DOUBLE)
            self.inserted[number] = record
        return base

    def _soft(self, number: int, column: int) -> Value:
        """Softmax over all positions, two passes: the largest score, then the weighted sums of all columns."""
        if number in self.softened:
            return self.softened[number][column]
        code, lookup = self.code, self.graph.lookups[number]
        q = [self.as_double(self.form(self.context(f))) for f in lookup.query]
        base = self.soft_record(lookup.store)
        entry = self.layout.entries[lookup.store]
        code.intrinsic("double @llvm.exp.f64(double)")

        def loop(name: str, initial: list[str], body: Callable[[str, str, list[str]], list[str]]) -> list[str]:
            head, done, before = code.label(name), code.label("done"), code.block
            code.do(f"br label %{head}")
            code.start(head)
            i, following = f"%{head}.i", f"%{head}.next"
            code.do(f"{i} = phi i64 [ 0, %{before} ], [ {following}, %{head} ]")
            carried = [f"%{head}.c{j}" for j in range(len(initial))]
            for j, c in enumerate(carried):
                code.do(f"{c} = phi double [ {initial[j]}, %{before} ], [ {c}.next, %{head} ]")
            offset = code.op(f"mul i64 {i}, {entry.size}")
            record = code.op(f"getelementptr i8, ptr {base}, i64 {offset}")
            key = [code.op(f"load double, ptr {record}")]
            key.append(code.op(f"load double, ptr {code.op(f'getelementptr i8, ptr {record}, i64 8')}"))
            parts = [code.op(f"fmul double {a}, {b}") for a, b in zip(q, key)]
            score = code.op(f"fadd double {parts[0]}, {parts[1]}")
            for c, value in zip(carried, body(score, record, carried)):
                # a copy under the name that the phi uses
                code.do(f"{c}.next = select i1 true, double {value}, double {value}")
            code.do(f"{following} = add i64 {i}, 1")
            test = code.op(f"icmp slt i64 {following}, {self.n}")
            code.do(f"br i1 {test}, label %{head}, label %{done}")
            code.start(done)
            return [f"{c}.next" for c in carried]

        def larger(score: str, record: str, carried: list[str]) -> list[str]:
            test = code.op(f"fcmp ogt double {score}, {carried[0]}")
            return [code.op(f"select i1 {test}, double {score}, double {carried[0]}")]

        (top,) = loop("scores", [double(-np.inf)], larger)
        columns = list(entry.columns.items())

        def weigh(score: str, record: str, carried: list[str]) -> list[str]:
            weight = code.op(f"fsub double {score}, {top}")
            weight = code.op(f"call double @llvm.exp.f64(double {weight})")
            result = [code.op(f"fadd double {carried[0]}, {weight}")]
            for (_, (at, _)), old in zip(columns, carried[1:]):
                value = code.op(f"load double, ptr {code.op(f'getelementptr i8, ptr {record}, i64 {at}')}")
                result.append(code.op(f"fadd double {old}, {code.op(f'fmul double {weight}, {value}')}"))
            return result

        total, *sums = loop("weights", [double(0.0)] * (1 + len(columns)), weigh)
        self.softened[number] = {
            c: Value("f", code.op(f"fdiv double {s}, {total}")) for (c, _), s in zip(columns, sums)
        }
        return self.softened[number][column]

    # -- the end of a position --------------------------------------------------------------------------------------

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
                    self.soft_record(store)
                continue
            self.insert(store)
            for column in entry.columns:
                if (store, column) in self.live.columns and (early is None or not early.column(store, column)):
                    self.keep(store, column)
        for delayed in self.live.delays:
            if early is None or not early.column(*delayed):
                self.shift(delayed)
