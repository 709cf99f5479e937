"""What positions leave behind for later ones, and how later ones find it: sums, delays, registers, keyed stores.

A position inserts before it queries, and stores a column before it reads that column: with causal attention a position
attends to itself too.
"""

from __future__ import annotations

from abc import abstractmethod

from .arithmetic import Resolved
from .atoms import RunningSum
from .bounds import Bounds
from .checked import Checked
from .code import IrText, IrValue, double
from .context import Rewriter
from .counting import ALL
from .index import FOUND, PAGE_BITS, PAGE_HEADER, PAGE_KEYS
from .interface import EXACT_LIMIT, KEY_LIMIT
from .layout import StateLayout, Type, type_for
from .linear import Form
from .pack import Packs
from .symbols import Symbols


class Past(Checked):
    """context: rewrites every form that comes out of stores, lookups and sums; forms passed in are rewritten already.
    first: whether the position may be one of the first ones, where a delay reaches before the start, and registers may
    not yet hold a position without a penalty.
    """

    def __init__(self, graph: Symbols, layout: StateLayout, code: IrText, context: Rewriter, packs: Packs, first: bool):
        super().__init__(graph, code, packs, context)
        self.layout, self.first = layout, first

    def counter(self) -> str:
        if not (self.first and self.graph.counted):
            return self.n
        code = self.code
        code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
        less = code.op(f"sub i64 {self.n}, {2}")
        less = code.op(f"call i64 @llvm.smax.i64(i64 {less}, i64 0)")
        return code.op(f"select i1 {code.op(f'icmp slt i64 {self.n}, {ALL}')}, i64 {less}, i64 {self.n}")

    @abstractmethod
    def source(self, source: int) -> str:
        """The source's value at this position, an i64."""

    def sum(self, number: int) -> IrValue:
        """The running sum with this position included; the state's field is updated at once."""
        atom = self.graph.atom(RunningSum(number))
        if atom in self.known.atoms:
            return self.known.atoms[atom]
        bounds = self.graph.atom_bounds(atom)
        pointer = self.address(self.layout.fields["sum", number])
        form = self.context(self.graph.sums[number])
        if type_for(bounds).floating:
            old = self.code.op(f"load double, ptr {pointer}")
            result = IrValue("f", self.code.op(f"fadd double {old}, {self.as_double(self.form(form))}"))
        else:
            value = self.fitted(form, self.graph.bounds(self.graph.sums[number]))
            assert bounds.exponent is not None
            old = self.code.op(f"load i64, ptr {pointer}")
            new = self.code.op(f"add i64 {old}, {self.as_int(value, bounds.exponent)}")
            result = IrValue("i", new, bounds.exponent)
        self.code.do(f"store {'double' if result.kind == 'f' else 'i64'} {result.ref}, ptr {pointer}")
        self.known.atoms[atom] = result
        return result

    def kept(self, store: int, column: int) -> tuple[IrValue, Type]:
        """What this position puts into a column: within the bounds by which its type has been chosen."""
        what = self.graph.stores[store].columns[column]
        type = self.layout.column_type(store, column)
        if isinstance(what, Form):
            form = self.context(what)
            if type.floating or self.graph.stores[store].kind == "soft":
                return self.form(form), type
            return self.fitted(form, self.graph.bounds(what)), type
        return IrValue("i", self.code.op(f"add i64 {self.source(what)}, 1")), type

    # -- delays ---------------------------------------------------------------------------------------------------

    def _delay(self, store: int, column: int, distance: int) -> IrValue:
        type = self.layout.column_type(store, column)
        ref = self._delayed(store, column, distance)
        return IrValue("f", ref) if type.floating else IrValue("i", ref, type.exponent)

    def _delayed(self, store: int, column: int, distance: int) -> str:
        """The column's value `distance` positions back; distance 0 is this position's own."""
        key = (store, column, distance)
        if key in self.known.delayed:
            return self.known.delayed[key]
        type = self.layout.column_type(store, column)
        llvm = "double" if type.floating else "i64"
        if distance == 0:
            value, _ = self.kept(store, column)
            result = self.as_double(value) if type.floating else self.as_int(value, type.exponent)
        else:
            moved = (store, column) in self.known.shifted
            pointer = self.address(self.layout.fields["delay", store, column] + distance - (not moved))
            result = self.code.op(f"load {llvm}, ptr {pointer}")
            if self.first:
                own = self._delayed(store, column, 0)
                start = self.code.op(f"icmp eq i64 {self.n}, 1")
                result = self.code.op(f"select i1 {start}, {llvm} {own}, {llvm} {result}")
        self.known.delayed[key] = result
        return result

    def shift(self, column: tuple[int, int]) -> None:
        """Moves a delayed column by one position, once it has been read at every distance."""
        if column in self.known.shifted:
            return
        type = self.layout.column_type(*column)
        depth = self.layout.live.delays[column]
        values = [self._delayed(*column, distance) for distance in range(depth + 1)]
        for distance, value in enumerate(values):
            pointer = self.address(self.layout.fields[("delay", *column)] + distance)
            llvm = "double" if type.floating else "i64"
            self.code.do(f"store {llvm} {value}, ptr {pointer}")
        self.known.shifted.add(column)

    # -- writing to stores ----------------------------------------------------------------------------------------

    def insert(self, store: int) -> str:
        """Where this position's columns go: the entry of its key; a scratch entry when its penalty turns out not to be 0;
        "" when that is known beforehand."""
        if store not in self.known.inserted:
            self.known.inserted[store] = self._insert(store)
        return self.known.inserted[store]

    def _insert(self, number: int) -> str:
        code, store = self.code, self.graph.stores[number]
        compared = store.kind == "register" and (self.first or self.graph.bounds(store.penalty).low < 0)
        valid = self._not_more(number) if compared else self._valid(self.context(store.penalty))
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
        self.form(key_form)  # before the branch: others use it too
        keys, limit = self.graph.bounds(store.key), self.layout.limits[number]
        # The first key of an exact store's range is where queries outside of it go.
        first = 0.0 if store.nonnegative else 1.0 - limit if store.exact else -float(limit)
        low = min(max(keys.low, first), float(limit))
        high = max(min(keys.high, limit - 1.0), -1.0 - limit)
        # Digits of queries are inside of the windows, proved or checked: a key with others is never found.
        unlike = self.not_digits(store.windows)
        if unlike != "false":
            valid = self._also(valid, code.op(f"xor i1 {unlike}, true"))
        inside, after = code.label("insert"), code.label("inserted")
        before = code.block
        if valid != "true":
            code.do(f"br i1 {valid}, label %{inside}, label %{after}")
            code.start(inside)
        key = self.fitted(key_form, Bounds(low, high, 0)).ref
        found, stamp = self._probe(number, key)
        missing = code.op(f"icmp eq i32 {stamp}, 0")
        new, ready = code.label("new"), code.label("ready")
        if not store.latest and set(store.key.terms) != {self.graph.n}:
            self.bail_if(code.op(f"xor i1 {missing}, true"))
        known = code.block
        code.do(f"br i1 {missing}, label %{new}, label %{ready}")
        code.start(new)
        fields = self.address(self.layout.fields["keyed", number])
        wide = limit > KEY_LIMIT
        create = "@create.wide" if wide else "@create"
        at = code.op(f"add i64 {key}, {limit}") if wide else key
        created = code.op(f"call ptr {create}(ptr {fields}, i64 {at}, ptr {scratch}, ptr %state)")
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

    def _not_more(self, number: int) -> str:
        """i1: a register's penalty is not above the least one so far; if so, it is the least one now."""
        code, penalty = self.code, self.graph.stores[number].penalty
        bounds = self.graph.bounds(penalty)
        value, type = self.fitted(self.context(penalty), bounds), type_for(bounds)
        least = self.address(self.layout.fields["least", number])
        stamp = code.op(f"load i64, ptr {self.address(self.layout.fields['register', number])}")
        empty = code.op(f"icmp eq i64 {stamp}, 0")
        llvm, compare = ("double", "fcmp ole") if type.floating else ("i64", "icmp sle")
        own = self.as_double(value) if type.floating else self.as_int(value, type.exponent)
        old = code.op(f"load {llvm}, ptr {least}")
        result = code.op(f"or i1 {empty}, {code.op(f'{compare} {llvm} {own}, {old}')}")
        code.do(f"store {llvm} {code.op(f'select i1 {result}, {llvm} {own}, {llvm} {old}')}, ptr {least}")
        return result

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

    def _also(self, valid: str, test: str) -> str:
        """i1: both."""
        return test if valid == "true" else self.code.op(f"and i1 {valid}, {test}")

    def keep(self, store: int, column: int) -> None:
        """Stores one column of this position."""
        if (store, column) in self.known.stored:
            return
        self.known.stored.add((store, column))
        entry = self.insert(store)
        if not entry:
            return
        value, _ = self.kept(store, column)
        type = self.layout.entries[store].columns[column][1]
        place = self.layout.column(store, column)
        self.store(value, self.code.op(f"getelementptr i8, ptr {entry}, i64 {place}"), type, place)

    # -- reading --------------------------------------------------------------------------------------------------

    def read(self, number: int, column: int) -> IrValue:
        lookup = self.graph.lookups[number]
        store = self.graph.stores[lookup.store]
        if store.kind == "delay":
            return self._delay(lookup.store, column, lookup.query)
        entry = self.entry(number)
        self.keep(lookup.store, column)
        return self._column(entry, lookup.store, column)

    def _column(self, entry: str, store: int, column: int) -> IrValue:
        """What an entry has in a column."""
        self.layout.read.add((store, column))
        place = self.layout.column(store, column)
        type = self.layout.entries[store].columns[column][1]
        return self.load(self.code.op(f"getelementptr i8, ptr {entry}, i64 {place}"), type)

    def stamp(self, number: int) -> IrValue:
        """The position that a lookup finds, 0 for none."""
        entry = self.entry(number)
        if self.graph.stores[self.graph.lookups[number].store].kind == "register":
            return IrValue("i", self.code.op(f"load i64, ptr {entry}"))
        stamp = self.code.op(f"load i32, ptr {entry}, align 4")
        return IrValue("i", self.code.op(f"zext i32 {stamp} to i64"))

    def entry(self, number: int) -> str:
        lookup = self.graph.lookups[number]
        if self.graph.stores[lookup.store].kind == "register":
            self.insert(lookup.store)
            return self.address(self.layout.fields["register", lookup.store])
        return self.resolve(number).entry

    def _probe(self, store: int, key: str) -> tuple[str, str]:
        """Entry pointer and stamp for a key in range (stamp 0: never written; the pointer may be into the page of zeros)."""
        code = self.code
        off = code.op(f"add i64 {key}, {self.layout.limits[store]}")
        page = code.op(f"lshr i64 {off}, {PAGE_BITS}")
        at = code.op(f"and i64 {off}, {PAGE_KEYS - 1}")
        directory = self.address(self.layout.fields["directory", store])
        distance = code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {directory}, i64 {page}')}")
        offset = code.op(f"mul i64 {at}, {self.layout.stride(store)}")
        first = code.op(f"getelementptr i8, ptr %state, i64 {8 * self.layout.fields['empty',] + PAGE_HEADER}")
        entry = code.op(f"getelementptr i8, ptr {first}, i64 {code.op(f'add i64 {distance}, {offset}')}")
        return entry, code.op(f"load i32, ptr {entry}, align 4")

    def resolve(self, number: int) -> Resolved:
        lookup = self.graph.lookups[number]
        query = self.context(lookup.query)
        key = (lookup.store, query)
        if key not in self.known.resolved:
            self.check(lookup.windows)
            self.insert(lookup.store)
            exact = self.graph.stores[lookup.store].exact
            self.known.resolved[key] = (self._exact if exact else self._search)(lookup.store, query)
        return self.known.resolved[key]

    def _exact(self, store: int, query: Form) -> Resolved:
        """The key's entry; one full of zeros where it is not present, also outside of the range of keys."""
        code, bounds, limit = self.code, self.graph.bounds(query), self.layout.limits[store]
        value = self.form(query)
        if value.kind == "f" or value.exponent < 0 or not bounds.below(0):
            cut = self._cut(value, -2.0 * EXACT_LIMIT, 2.0 * EXACT_LIMIT)
            value = IrValue("i", code.op(f"fptosi double {cut.ref} to i64"))
            bounds = Bounds(-2.0 * EXACT_LIMIT, 2.0 * EXACT_LIMIT, 0)
        wanted = self.as_int(value, 0)
        if bounds.low < -limit or bounds.high >= limit:
            off = code.op(f"add i64 {wanted}, {limit}")
            inside = code.op(f"icmp ult i64 {off}, {2 * limit}")
            wanted = code.op(f"select i1 {inside}, i64 {wanted}, i64 {-limit}")
        return Resolved(self._probe(store, wanted)[0], wanted)

    def _search(self, store: int, query: Form) -> Resolved:
        """A key that is present is found inline; otherwise the nearest one is searched."""
        code, bounds = self.code, self.graph.bounds(query)
        value = self.form(query)
        near, found, tests = code.label("near"), code.label("found"), []
        if value.kind != "f" and value.exponent >= 0 and bounds.below(0):
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
