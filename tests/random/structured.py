"""Modules with control flow, calls, memory, globals and tables, in the linear form of WAT.

They end because of fuel: a global that an exported function sets, that every function entry and every loop iteration
takes one from, and without which functions return and loops are left. So branches and calls may go anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wasm2xformer.compiler.wasm.check import SUPPORTED_INSTRUCTIONS
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH, LOADS, SIGNATURES, STORES

from .case import Call, Case, argument, constant, seldom_trapping
from .joins import joined, lazy_operands, near_address

TYPES = ("i32", "i64", "f32", "f64")
FUNCTIONS, EXPORTED, CALLS, FUEL = 5, 2, 4, 30
GLOBALS = ("i32", "i64", "i32", "f32", "f64")  # the first is the fuel
TABLE = 8
PAGE, SEGMENT = 65536, 40
OPERATIONS = {
    type_: [
        name
        for name, (operands, results) in SIGNATURES.items()
        if name in SUPPORTED_INSTRUCTIONS and name not in ACCESS_WIDTH and operands and results == (type_,)
    ]
    for type_ in TYPES
}


@dataclass(frozen=True)
class Signature:
    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"(param {' '.join(self.params)}) (result {' '.join(self.results)})"


@dataclass(frozen=True)
class Label:
    """types: of the values that a branch to it carries. open: whether any statement inside may branch to it."""

    name: str
    types: tuple[str, ...]
    open: bool = True


def structured(seed: int) -> Case:
    rng = random.Random(f"structured {seed}")
    types = lambda least, most: tuple(rng.choice(TYPES) for _ in range(rng.randint(least, most)))  # noqa: E731
    common = types(0, 2)  # results that several have, so that they can take each other's place
    signatures = [Signature(types(0, 3), rng.choice((common, types(0, 2)))) for _ in range(FUNCTIONS)]
    bodies = [_Function(rng, signatures, index).text() for index in range(FUNCTIONS)]
    elements = [
        rng.choice([*(f"(ref.func $f{i})" for i in range(FUNCTIONS)), "(ref.null func)"]) for _ in range(TABLE - 2)
    ]
    data = "".join(f"\\{rng.randrange(256):02x}" for _ in range(SEGMENT))
    module = [
        *(f"(type $t{i} (func {s}))" for i, s in enumerate(signatures)),
        f'(memory (export "memory") 1 {rng.randint(1, 4)})',
        '(memory $second (export "second") 1 2)',
        f"(table $table {TABLE} {TABLE + 4} funcref)",
        *(f'(global $g{i} (export "g{i}") (mut {t}) ({t}.const {constant(rng, t)}))' for i, t in enumerate(GLOBALS)),
        f"(elem (table $table) (i32.const 0) funcref {' '.join(elements)})",
        f"(elem declare func {' '.join(f'$f{i}' for i in range(FUNCTIONS))})",
        f"(elem $passive funcref {' '.join(elements[:4])})",
        f'(data (i32.const {rng.choice((0, 1000, PAGE - SEGMENT))}) "{data}")',
        f'(data $passive "{data[: 3 * 20]}")',
        *bodies,
    ]
    calls = []
    for i in range(EXPORTED):
        params = signatures[i].params
        module.append(_export(i, signatures[i]))
        calls += [Call(f"e{i}", tuple(argument(rng, t) for t in params)) for _ in range(CALLS)]
    rng.shuffle(calls)
    return Case("(module\n" + "\n".join(module) + ")\n", tuple(calls))


def _export(index: int, signature: Signature) -> str:
    """A function that fills the fuel and calls; floats go in and out as their bit patterns."""
    bits = {"f32": "i32", "f64": "i64"}
    own = Signature(*(tuple(bits.get(t, t) for t in types) for types in (signature.params, signature.results)))
    lines = [f'(func (export "e{index}") {own} (local {" ".join(signature.results)})', f"i32.const {FUEL} global.set $g0"]
    for k, type_ in enumerate(signature.params):
        lines.append(f"local.get {k}" + (f" {type_}.reinterpret_{bits[type_]}" if type_ in bits else ""))
    lines.append(f"call $f{index}")
    results = range(len(signature.params), len(signature.params) + len(signature.results))
    lines += [f"local.set {k}" for k in reversed(results)]
    for k, type_ in zip(results, signature.results, strict=True):
        lines.append(f"local.get {k}" + (f" {bits[type_]}.reinterpret_{type_}" if type_ in bits else ""))
    return "\n".join(lines) + ")"


class _Function:
    """Appends instructions to `lines`. Every method that emits leaves the stack as its name says."""

    def __init__(self, rng: random.Random, signatures: Sequence[Signature], index: int):
        self.rng, self.signatures, self.index = rng, signatures, index
        own = signatures[index]
        self.locals = [*own.params, *TYPES, "i32", "i64"]
        self.labels = [Label("", own.results)]  # the function's own, left by `return`
        self.lines: list[str] = []
        self.names = 0
        self.budget = 45  # statements and inner expressions

    def text(self) -> str:
        own = self.signatures[self.index]
        self.emit("global.get $g0", "i32.eqz", "if")
        for type_ in own.results:
            self.emit(f"{type_}.const {self.index}")
        self.emit("return", "end", "global.get $g0", "i32.const 1", "i32.sub", "global.set $g0")
        self.statements(2, 6)
        self.values(own.results, 3)
        body = "\n".join(self.lines)
        extra = " ".join(self.locals[len(own.params) :])
        return f"(func $f{self.index} (type $t{self.index}) (local {extra})\n{body})"

    def emit(self, *lines: str) -> None:
        self.lines += lines

    # Expressions: one value of the type is pushed.

    def values(self, types: Sequence[str], depth: int) -> None:
        for type_ in types:
            self.value(type_, depth)

    def value(self, type_: str, depth: int) -> None:
        self.budget -= 1
        if depth <= 0 or self.budget < 0 or self.rng.random() < 0.2:
            self.leaf(type_)
            return
        kinds: list[tuple[int, Callable[[str, int], None]]] = [
            (50, self.operation), (12, self.load), (6, self.select), (6, self.block_value), (6, self.tee),
            (6, self.if_value), (4, self.sizes), (8, self.lazy),
        ]  # fmt: skip
        if type_ == "i32":
            kinds.append((8, self.joined))
        self.pick(kinds)(type_, depth - 1)

    def pick(self, weighted: Sequence[tuple[int, Callable[..., None]]]) -> Callable[..., None]:
        return self.rng.choices([k for _, k in weighted], [w for w, _ in weighted])[0]

    def leaf(self, type_: str) -> None:
        if self.rng.random() < 0.1:
            self.emit(f"global.get $g{self.rng.choice([i for i, t in enumerate(GLOBALS) if t == type_])}")
        elif self.rng.random() < 0.6:
            self.emit(f"local.get {self.local(type_)}")
        else:
            self.emit(f"{type_}.const {constant(self.rng, type_)}")

    def local(self, type_: str) -> int:
        return self.rng.choice([i for i, t in enumerate(self.locals) if t == type_])

    def operation(self, type_: str, depth: int) -> None:
        name = seldom_trapping(self.rng, self.rng.choice(OPERATIONS[type_]))
        self.values(SIGNATURES[name][0], depth)
        if (".div_" in name or ".rem_" in name) and self.rng.random() < 0.95:
            self.emit(f"{type_}.const {self.rng.choice((1, 3, 256))}", f"{type_}.or")
        self.emit(name)

    def address(self, width: int, depth: int) -> str:
        """Pushes an address; returns the instruction's immediates. Seldom out of bounds, often near them."""
        rng = self.rng
        offset = rng.choice((0, 0, 1, 3, 8, 255, 1000))
        kind = rng.random()
        if kind < 0.03:
            self.value("i32", depth)
            offset = rng.choice((0, 1, PAGE, 2**32 - 1))
        elif kind < 0.2:
            last = PAGE - width - offset
            self.emit(f"i32.const {last + rng.choice((-3, -1, 1)) if kind < 0.06 else last}")
        elif kind < 0.4:
            self.emit(f"i32.const {rng.randrange(64)}")
        elif kind < 0.75:
            near_address(self, min(depth, 1))
        else:
            self.value("i32", depth)
            self.emit(f"i32.const {rng.choice((7, 63, 0xFFF, 0xEFFF))}", "i32.and")
        align = 1 << rng.randint(0, width.bit_length() - 1)
        return f"offset={offset} align={align}"

    def memory(self) -> str:
        """Which memory an instruction means: seldom the second one."""
        return " $second" if self.rng.random() < 0.15 else ""

    def load(self, type_: str, depth: int) -> None:
        name = self.rng.choice(sorted(n for n in LOADS if n.startswith(type_)))
        self.emit(f"{name}{self.memory()} {self.address(ACCESS_WIDTH[name], depth)}")

    def select(self, type_: str, depth: int) -> None:
        self.values((type_, type_, "i32"), depth)
        self.emit(self.rng.choice(("select", f"select (result {type_})")))

    def joined(self, type_: str, depth: int) -> None:
        joined(self, min(depth, 1))

    def lazy(self, type_: str, depth: int) -> None:
        lazy_operands(self, type_, min(depth, 1))

    def tee(self, type_: str, depth: int) -> None:
        self.value(type_, depth)
        self.emit(f"local.tee {self.local(type_)}")

    def sizes(self, type_: str, depth: int) -> None:
        self.emit(self.rng.choice((f"memory.size{self.memory()}", "table.size $table")))
        if type_ != "i32":
            self.emit("i64.extend_i32_u" if type_ == "i64" else f"{type_}.convert_i32_u")

    def block_value(self, type_: str, depth: int) -> None:
        label = self.open("block", (), (type_,))
        self.statements(0, 2)
        self.value(type_, depth)
        if self.rng.random() < 0.5:
            self.value("i32", depth)
            self.emit(f"br_if {label.name}")
        self.close()

    def if_value(self, type_: str, depth: int) -> None:
        self.value("i32", depth)
        self.open("if", (), (type_,))
        self.value(type_, depth)
        self.emit("else")
        self.statements(0, 1)
        self.value(type_, depth)
        self.close()

    # Statements: the stack is left as it was.

    def statements(self, least: int, most: int) -> None:
        for _ in range(self.rng.randint(least, most)):
            if self.budget <= 0:
                return
            self.budget -= 1
            kinds: list[tuple[int, Callable[..., None]]] = [
                (14, self.set_local), (5, self.set_global), (14, self.store), (10, self.if_else), (12, self.loop),
                (8, self.block), (8, self.branch_if), (5, self.branch_table), (12, self.call), (7, self.call_indirect),
                (3, self.grow), (6, self.bulk), (5, self.table), (2, self.leave), (1, self.nothing),
            ]  # fmt: skip
            self.pick(kinds)()

    def take(self, types: Sequence[str]) -> None:
        """Pops values of these types into locals, or away."""
        for type_ in reversed(types):
            self.emit("drop" if self.rng.random() < 0.2 else f"local.set {self.local(type_)}")

    def targets(self) -> list[Label]:
        return [label for label in self.labels if label.open]

    def open(self, kind: str, params: tuple[str, ...], results: tuple[str, ...], target: bool = True) -> Label:
        """target: False for a loop that does not leave when the fuel is gone."""
        self.names += 1
        label = Label(f"$l{self.names}", params if kind == "loop" else results, target)
        self.labels.append(label)
        types = "".join(f" ({word} {' '.join(t)})" for word, t in (("param", params), ("result", results)) if t)
        self.emit(f"{kind} {label.name}{types}")
        return label

    def close(self) -> None:
        self.labels.pop()
        self.emit("end")

    def types(self, most: int) -> tuple[str, ...]:
        return tuple(self.rng.choice(TYPES) for _ in range(self.rng.randint(0, most)))

    def set_local(self) -> None:
        type_ = self.rng.choice(TYPES)
        self.value(type_, 3)
        self.emit(f"local.set {self.local(type_)}")

    def set_global(self) -> None:
        index = self.rng.randrange(1, len(GLOBALS))  # not the fuel
        self.value(GLOBALS[index], 2)
        self.emit(f"global.set $g{index}")

    def store(self) -> None:
        name = self.rng.choice(sorted(n for n in STORES if n.startswith(TYPES)))
        immediates = self.address(ACCESS_WIDTH[name], 2)
        self.value(name[:3], 3)
        self.emit(f"{name}{self.memory()} {immediates}")

    def if_else(self) -> None:
        params, results = self.types(1), self.types(1)
        self.values((*params, "i32"), 2)
        self.open("if", params, results)
        self.take(params)
        self.statements(1, 3)
        self.values(results, 2)
        if self.rng.random() < 0.7 or params != results:
            self.emit("else")
            self.take(params)
            self.statements(0, 3)
            self.values(results, 2)
        self.close()
        self.take(results)

    def block(self) -> None:
        params, results = self.types(2), self.types(3)
        self.values(params, 2)
        self.open("block", params, results)
        self.consume(params)
        self.statements(1, 3)
        self.values(results, 2)
        self.close()
        self.take(results)

    def loop(self) -> None:
        """block $out { loop $again { no fuel: leave; ...; maybe again } }; the loop has parameters and results."""
        params, results = self.types(2), self.types(2)
        out = self.open("block", (), results)
        self.values(params, 2)
        again = self.open("loop", params, results)
        self.emit("global.get $g0", "i32.eqz")
        self.open("if", (), ())
        self.values(results, 1)
        self.emit(f"br {out.name}")
        self.close()
        self.emit("global.get $g0", "i32.const 1", "i32.sub", "global.set $g0")
        self.consume(params)  # not before the fuel is asked for: statements may branch back to here
        self.statements(1, 3)
        self.values((*params, "i32"), 2)
        if self.rng.random() < 0.6:
            self.emit(f"br_if {again.name}")
        else:
            # A block of the same type, so that the table has two labels to choose from.
            index = self.local("i32")
            self.emit(f"local.set {index}")
            behind = self.open("block", params, params)
            self.emit(f"local.get {index}", f"br_table {behind.name} {again.name} {again.name} {behind.name}")
            self.close()
        self.take(params)
        self.values(results, 2)
        self.close()
        self.close()
        self.take(results)

    def consume(self, params: Sequence[str]) -> None:
        """Pops a block's parameters, sometimes behind statements that run above them."""
        if params and self.rng.random() < 0.5:
            self.statements(0, 2)
        self.take(params)

    def target(self, label: Label) -> str:
        return label.name or str(len(self.labels) - 1)

    def branch_if(self) -> None:
        label = self.rng.choice(self.targets())
        self.values((*label.types, "i32"), 2)
        self.emit(f"br_if {self.target(label)}")
        self.take(label.types)

    def branch_table(self) -> None:
        """In a block of its own, so that what follows is reached when it is among the targets."""
        self.open("block", (), ())
        types = self.rng.choice(self.targets()).types
        fitting = [label for label in self.targets() if label.types == types]
        self.values((*types, "i32"), 2)
        if self.rng.random() < 0.7:
            self.emit("i32.const 3", "i32.and")
        targets = [self.target(self.rng.choice(fitting)) for _ in range(self.rng.randint(1, 5))]
        self.emit(f"br_table {' '.join(targets)}")
        self.close()

    def leave(self) -> None:
        """A branch, a return or a trap under a condition."""
        self.value("i32", 2)
        self.emit("i32.eqz")
        self.open("if", (), ())
        label = self.rng.choice(self.targets())
        if self.rng.random() < 0.1:
            self.emit("unreachable")
        elif label.name:
            self.values(label.types, 2)
            self.emit(f"br {label.name}")
        elif self.rng.random() < 0.6:
            self.tail_call(label.types)
        else:
            self.values(label.types, 2)
            self.emit("return")
        self.close()

    def nothing(self) -> None:
        self.emit("nop")

    def call(self) -> None:
        callee = self.rng.randrange(len(self.signatures))
        self.values(self.signatures[callee].params, 2)
        self.emit(f"call $f{callee}")
        self.take(self.signatures[callee].results)

    def call_indirect(self) -> None:
        """Through an element put there just before, or (sometimes) whatever is there."""
        callee = self.rng.randrange(len(self.signatures))
        element = self.rng.randrange(TABLE)
        if self.rng.random() < 0.95:
            self.emit(f"i32.const {element}", f"ref.func $f{callee}", "table.set $table")
        self.values(self.signatures[callee].params, 2)
        if self.rng.random() < 0.3:
            self.reference(callee)
            self.emit(f"call_ref $t{callee}")
        else:
            self.emit(f"i32.const {element}", f"call_indirect $table (type $t{callee})")
        self.take(self.signatures[callee].results)

    def reference(self, callee: int) -> None:
        """Pushes a reference of the function's own type, seldom null, and sometimes asks whether it is."""
        kind = self.rng.random()
        self.emit(f"ref.null $t{callee}" if kind < 0.03 else f"ref.func $f{callee}")
        if kind < 0.25:
            self.value("i32", 1)
            self.emit(f"ref.null $t{callee}", f"ref.func $f{callee}")
            self.value("i32", 1)
            self.emit(f"select (result (ref null $t{callee}))", "drop", "drop")
        if 0.1 < kind < 0.3:
            self.emit("ref.as_non_null")

    def tail_call(self, results: tuple[str, ...]) -> None:
        """Of any function with these results: there is at least the own one."""
        callee = self.rng.choice([k for k, signature in enumerate(self.signatures) if signature.results == results])
        element = self.rng.randrange(TABLE)
        indirect = self.rng.random() < 0.4
        if indirect:
            self.emit(f"i32.const {element}", f"ref.func $f{callee}", "table.set $table")
        self.values(self.signatures[callee].params, 2)
        if indirect and self.rng.random() < 0.3:
            self.reference(callee)
            self.emit(f"return_call_ref $t{callee}")
        elif indirect:
            self.emit(f"i32.const {element}", f"return_call_indirect $table (type $t{callee})")
        else:
            self.emit(f"return_call $f{callee}")

    def grow(self) -> None:
        if self.rng.random() < 0.6:
            self.emit(f"i32.const {self.rng.choice((0, 1, 1, 2, -1))}", f"memory.grow{self.memory()}")
        else:
            self.emit("ref.null func", f"i32.const {self.rng.choice((0, 1, 2, 9))}", "table.grow $table")
        self.take(("i32",))

    def range(self, limit: int) -> int:
        """Pushes start and length of a range below the limit, seldom above it; returns the length."""
        length = self.rng.randrange(12)
        start = self.rng.choice((self.rng.randrange(40), limit - length, limit - length + (self.rng.random() < 0.1)))
        self.emit(f"i32.const {start}")
        return length

    def bulk(self) -> None:
        kind = self.rng.randrange(4)
        length = self.range(PAGE)
        if kind == 0:
            self.value("i32", 2)
            self.emit(f"i32.const {length}", f"memory.fill{self.memory()}")
        elif kind == 1:
            self.emit(f"i32.const {self.rng.randrange(60)}", f"i32.const {length}")
            self.emit(f"memory.copy{self.memory() or ' 0'}{self.memory() or ' 0'}")
        elif kind == 2:
            self.emit(f"i32.const {self.rng.randrange(9)}", f"i32.const {length}", f"memory.init{self.memory()} $passive")
        elif self.rng.random() < 0.1:
            self.emit("drop", "data.drop $passive")
        else:
            self.emit("drop")

    def table(self) -> None:
        element, length = self.rng.randrange(TABLE - 3), self.rng.randrange(4)
        self.emit(f"i32.const {element}")
        match self.rng.randrange(6):
            case 0:
                self.emit(f"ref.func $f{self.rng.randrange(FUNCTIONS)}", "table.set $table")
            case 1:
                self.emit("table.get $table", "ref.is_null", f"local.set {self.local('i32')}")
            case 2:
                self.emit("ref.null func", f"i32.const {length}", "table.fill $table")
            case 3:
                self.emit(
                    f"i32.const {self.rng.randrange(TABLE - 3)}", f"i32.const {length}", "table.copy $table $table"
                )
            case 4:
                self.emit("i32.const 0", f"i32.const {length}", "table.init $table $passive")
            case _:
                self.emit("drop", *(["elem.drop $passive"] if self.rng.random() < 0.1 else []))
