"""LLVM IR for one position of a chain: tokens before it are read from what has been decoded, keys near a base are at a distance
from a pointer, and what the generic code does for rare cases is left to it."""

from __future__ import annotations

import numpy as np

from .arithmetic import Resolved
from .atoms import Atom, Kept, RunningSum
from .bounds import Bounds
from .chain_memory import ConstantTables, Windows, tag
from .code import IrText, IrValue
from .emit import Emitter
from .index import PAGE_BITS, PAGE_HEADER, PAGE_KEYS
from .interface import EXACT, EXACT_LIMIT
from .joined import FEW, Joined
from .layout import RowTables, StateLayout, numpy_type, type_for
from .linear import Form
from .live import Live
from .pack import Packs
from .situated import Situated
from .symbols import Symbols
from .tokens_alike import Unchained


class ChainEmitter(Emitter):
    """token: i64. restart: the label of what leaves the chain before this position."""

    context: Situated

    def __init__(
        self,
        graph: Symbols,
        layout: StateLayout,
        code: IrText,
        context: Situated,
        packs: Packs,
        reached: Live,
        windows: Windows,
        kinds: dict[str, int],
        constants: ConstantTables,
        restart: str,
    ):
        super().__init__(graph, layout, code, RowTables(), context, packs, reached, first=False)
        self.arguments = graph, layout, code, context, packs, reached, windows, kinds, constants, restart
        self.windows, self.kinds, self.constants, self.restart = windows, kinds, constants, restart
        self.moved: dict[int, str] = {}  # windows that have moved at this position
        # By store and key without constant: a page's first entry, a key's place in it, that key's constant, whether
        # there is no page.
        self._pages: dict[tuple[int, Form], tuple[str, str, int, str]] = {}

    def branch(self) -> ChainEmitter:
        """For code in one branch: knows what has been emitted so far, and keeps what it emits to itself."""
        result = self._another()
        result.known, result.n, result.token = self.known.copy(), self.n, self.token
        result._pages, result.moved = dict(self._pages), self.moved
        return result

    def leaf(self, atom: Atom) -> IrValue:
        return self.form(atom.form) if isinstance(atom, Kept) else super().leaf(atom)

    def _another(self) -> ChainEmitter:
        """For the same position, which knows nothing yet."""
        return ChainEmitter(*self.arguments)

    def matrix(self, values: np.ndarray) -> str:
        """ptr: a constant array of doubles."""
        return self.constants.array(values.astype(np.float64), "double")

    def leave_if(self, test: str) -> None:
        """Leaves the chain before this position."""
        go = self.code.label("go")
        self.code.do(f"br i1 {test}, label %{self.restart}, label %{go}")
        self.code.start(go)

    # -- tables ---------------------------------------------------------------------------------------------------

    def past(self, distance: int) -> str:
        """i64: the token so many positions back."""
        if distance == 0:
            return self.token
        first, end = self.context.recent[distance]
        if end - first == 1:  # or another one that nobody can tell from it
            return str(first)
        key = (-1, -1, distance)
        if key not in self.known.delayed:
            at = self.code.op(f"sub i64 {self.n}, {distance}")
            pointer = self.code.op(f"getelementptr i32, ptr %base, i64 {at}")
            token = self.code.op(f"load i32, ptr {pointer}, align 4{tag('out', self.kinds)}")
            self.known.delayed[key] = self.code.op(f"zext i32 {token} to i64")
        return self.known.delayed[key]

    def _table(self, source: int, vector: int) -> IrValue:
        values = self.graph.vectors[vector]
        type = type_for(self.graph.vector_bounds(vector))
        at, start = self._place(source)
        table = self.constants.table(vector, values, type)
        if table.slope is not None:
            scaled = self.code.op(f"mul i64 {at}, {table.slope}")
            return IrValue("i", self.code.op(f"add i64 {scaled}, {table.first - table.slope * start}"), type.exponent)
        pointer = self.code.op(f"getelementptr {type.llvm}, ptr {table.name}, i64 {self._less(at, start)}")
        return self.load(pointer, type, ", !invariant.load !1")

    def _place(self, source: int) -> tuple[str, int]:
        """i64: where a table by the source is read, and the first place of the table."""
        name = self.graph.sources[source].name
        if name[0] == "token" and len(name) == 3:
            return self.token, name[1]
        if name[0] == "past":
            return self.past(name[1]), name[2]
        return self.source(source), 0

    def _less(self, at: str, start: int) -> str:
        return self.code.op(f"sub i64 {at}, {start}") if start else at

    def source(self, source: int) -> str:
        if source in self.known.sources:
            return self.known.sources[source]
        name = self.graph.sources[source].name
        row = self.context.row_source(source)
        if source in self.context.distances:
            result = self.code.op(f"add i64 {self.past(self.context.distances[source])}, 1")
        elif row is not None:
            table = self.context.inner(self.graph.table(row[0], row[1].astype(np.float64)))
            result = self.as_int(self.form(table), 0)
        elif name[0] == "row" and self.context.split is not None and name[1] == self.context.split[0]:
            raise Unchained("the row itself is looked for")
        else:
            return super().source(source)
        self.known.sources[source] = result
        return result

    # -- sums of what two sources say together -------------------------------------------------------------------

    def _form(self, form: Form) -> IrValue:
        bounds = self.graph.bounds(form)
        e = bounds.exponent
        if len(form.terms) >= FEW and e is not None and bounds.fits:
            found = self.constants.joined(self.graph, form)
            if found is not None and all(c.is_integer() and abs(c) < EXACT for c in _units(found, e)):
                rest = self.form(found.rest)
                if rest.kind != "f":
                    return IrValue("i", self._joined(found, rest, e), e)
        return super()._form(form)

    def _joined(self, found: Joined, rest: IrValue, e: int) -> str:
        """i64: the sum, in units of 2^e. rest: of the form that is left."""
        code, unit = self.code, 2.0**e
        terms = []
        if not found.rest.is_zero():
            terms.append(self.as_int(rest, e))
        for factor, left, right in found.both:
            bits = code.op(f"and i64 {self.as_int(self.form(left), 0)}, {self.as_int(self.form(right), 0)}")
            terms.append(code.op(f"mul i64 {bits}, {int(factor / unit)}"))
        for picked in found.picked:
            row = self.as_int(self.form(picked.row), 0)
            for source, table in picked.tables.items():
                at, start = self._place(source)
                line = code.op(f"mul i64 {row}, {table.shape[1]}")
                place = code.op(f"add i64 {line}, {self._less(at, start)}")
                terms.append(self._picked(table.reshape(-1) / unit, place))
            if picked.constants.any():
                terms.append(self._picked(picked.constants / unit, row))
        total = terms[0]
        for term in terms[1:]:
            total = code.op(f"add i64 {total}, {term}")
        return total

    def _picked(self, values: np.ndarray, place: str) -> str:
        """i64: an entry of a constant array of whole numbers."""
        type = type_for(Bounds(values.min(), values.max(), 0))
        array = self.constants.array(values.astype(numpy_type(type)), type.llvm)
        pointer = self.code.op(f"getelementptr {type.llvm}, ptr {array}, i64 {place}")
        return self.as_int(self.load(pointer, type, ", !invariant.load !1"), 0)

    # -- the past -------------------------------------------------------------------------------------------------

    def sum(self, number: int) -> IrValue:
        """Of those that do not decide the row, this position included."""
        atom = self.graph.atom(RunningSum(number))
        if atom not in self.known.atoms:
            exponent = self.graph.atom_bounds(atom).exponent
            self.known.atoms[atom] = IrValue("i", self.code.op(f"load i64, ptr %sum{number}"), exponent or 0)
        return self.known.atoms[atom]

    def _delayed(self, store: int, column: int, distance: int) -> str:
        if self.graph.stores[store].columns[column] != self.graph.token:
            raise Unchained("more than tokens is read a fixed distance back")
        return self.code.op(f"add i64 {self.past(distance)}, 1")

    def shift(self, column: tuple[int, int]) -> None:
        """The last tokens stand in what has been decoded."""

    def window(self, store: int, key: Form) -> str:
        """ptr: the entry of a key, in a window."""
        number = self.windows.number(store, key)
        pointer = self.moved.get(number) or self.code.op(f"load ptr, ptr %window{number}")
        return self.code.op(
            f"getelementptr i8, ptr {pointer}, i64 {int(key.constant) * self.layout.entries[store].size}"
        )

    def paged(self, store: int, key: Form, wanted: str, writing: bool) -> str:
        """ptr: the entry of a key (i64) in the store's range. writing: leaves the chain where its page does not exist."""
        code, base, missing = self.code, key.without_constant(), ""
        if (store, base) in self._pages and float(key.constant).is_integer():
            first, at, constant, missing = self._pages[store, base]
            there = code.op(f"add i64 {at}, {int(key.constant) - constant}")
            self.leave_if(code.op(f"icmp ugt i64 {there}, {PAGE_KEYS - 1}"))
        else:
            off = code.op(f"add i64 {wanted}, {self.layout.limits[store]}")
            page = code.op(f"lshr i64 {off}, {PAGE_BITS}")
            there = code.op(f"and i64 {off}, {PAGE_KEYS - 1}")
            first, missing = self.page(store, page)
            if float(key.constant).is_integer():
                self._pages[store, base] = first, there, int(key.constant), missing
        if writing:
            self.leave_if(missing)
        offset = code.op(f"mul i64 {there}, {self.layout.entries[store].size}")
        return code.op(f"getelementptr i8, ptr {first}, i64 {offset}")

    def page(self, store: int, page: str) -> tuple[str, str]:
        """The first entry of a page (ptr), and whether there is no such page (i1): it is the page of zeros then."""
        code = self.code
        slot = code.op(f"getelementptr i64, ptr {self.address(self.layout.fields['directory', store])}, i64 {page}")
        distance = code.op(f"load i64, ptr {slot}{tag('directory', self.kinds)}")
        missing = code.op(f"icmp eq i64 {distance}, 0")
        empty = code.op(f"getelementptr i8, ptr %state, i64 {8 * self.layout.fields['empty',] + PAGE_HEADER}")
        return code.op(f"getelementptr i8, ptr {empty}, i64 {distance}"), missing

    def _insert(self, number: int) -> str:
        code, store = self.code, self.graph.stores[number]
        if store.kind == "register":
            if number in self.windows.fixed:
                return ""
            if self.graph.bounds(store.penalty).low < 0:
                raise Unchained("a register's penalty is negative")
            return super()._insert(number)
        key = self.context(store.key)
        valid = self._valid(self.context(store.penalty))
        if valid == "false":
            return ""
        scratch = self.address(self.layout.fields["scratch", number])
        unproved = self.unproved(store.windows)
        if self.windows.has(number, key) and not unproved:
            entry = self.window(number, key)
            return entry if valid == "true" else code.op(f"select i1 {valid}, ptr {entry}, ptr {scratch}")
        limit = self.layout.limits[number]
        keys = self.graph.bounds(store.key)
        low, high = min(max(keys.low, 1.0 - limit), float(limit)), max(min(keys.high, limit - 1.0), -1.0 - limit)
        self.form(key)
        for each in unproved:
            self.form(self.context(each.form))
        inside, after, before = code.label("insert"), code.label("inserted"), code.block
        if valid != "true":
            code.do(f"br i1 {valid}, label %{inside}, label %{after}")
            code.start(inside)
        known = self.known.copy() if valid != "true" else None
        pages = dict(self._pages)
        if unproved:  # a key that nobody can ask for is not kept
            self.leave_if(self.not_digits(unproved))
        entry = self.paged(number, key, self.fitted(key, Bounds(low, high, 0)).ref, writing=True)
        if known is not None:
            self.known, self._pages = known, pages
            last = code.block
            code.do(f"br label %{after}")
            code.start(after)
            entry = code.op(f"phi ptr [ {scratch}, %{before} ], [ {entry}, %{last} ]")
        return entry

    def keep(self, store: int, column: int) -> None:
        if (store, column) in self.known.stored:
            return
        self.known.stored.add((store, column))
        entry = self.insert(store)
        columns = self.layout.entries[store].columns
        if not entry or column not in columns:
            return
        value, _ = self.kept(store, column)
        at, type = columns[column]
        self.store(value, self.code.op(f"getelementptr i8, ptr {entry}, i64 {at}"), type, f"store{store}")

    def mark(self, place: str) -> str:
        return tag(place or "state", self.kinds)

    def _column(self, entry: str, store: int, column: int) -> IrValue:
        columns = self.layout.entries[store].columns
        if column not in columns:
            raise Unchained("a column is read that nobody keeps")
        at, type = columns[column]
        pointer = self.code.op(f"getelementptr i8, ptr {entry}, i64 {at}")
        return self.load(pointer, type, f", align 1{self.mark(f'store{store}')}")

    def _exact(self, store: int, query: Form) -> Resolved:
        code, bounds, limit = self.code, self.graph.bounds(query), self.layout.limits[store]
        if self.windows.has(store, query):
            return Resolved(self.window(store, query), "")
        value = self.form(query)
        if value.kind == "f" or value.exponent < 0 or not bounds.below(0):
            cut = self._cut(value, -2.0 * EXACT_LIMIT, 2.0 * EXACT_LIMIT)
            value = IrValue("i", code.op(f"fptosi double {cut.ref} to i64"))
            bounds = Bounds(-2.0 * EXACT_LIMIT, 2.0 * EXACT_LIMIT, 0)
        wanted = self.as_int(value, 0)
        shared = (store, query.without_constant()) in self._pages and float(query.constant).is_integer()
        if not shared and (bounds.low < -limit or bounds.high >= limit):
            off = code.op(f"add i64 {wanted}, {limit}")
            self.leave_if(code.op(f"icmp uge i64 {off}, {2 * limit}"))
        return Resolved(self.paged(store, query, wanted, writing=False), wanted)

    def _search(self, store: int, query: Form) -> Resolved:
        raise Unchained("a nearest key is looked for")

    def finish_chained(self) -> None:
        """What later positions may ask for."""
        for store, entry in self.layout.entries.items():
            if store in self.live.stores:
                self.insert(store)
                for column in entry.columns:
                    if (store, column) in self.live.columns:
                        self.keep(store, column)


def _units(found: Joined, e: int) -> list[float]:
    """All factors and entries, in units of 2^e."""
    entries = [table for each in found.picked for table in (*each.tables.values(), each.constants)]
    return [each.factor * 2.0**-e for each in found.both] + [float(x) for t in entries for x in np.unique(t) * 2.0**-e]
