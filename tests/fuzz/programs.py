"""Structured programs: loops, locals, memory traffic, calls and recursion, tables, globals, bulk memory.

Every function and every turn of a loop burns fuel, of which a call from outside gets a little; when it is used up the
program traps. So every program ends, whatever it calls or branches to.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from .cases import ACCESS_WIDTH, LOADS, OPERATIONS, STORES, TYPES, Case, Choices, constant

FUNCTIONS = 4  # at most, in one module
CALLS = 4
STATEMENTS = 5  # at most, in one block
DEPTH = 3  # of expressions and of blocks
FUEL = 40  # calls and turns of loops in one invocation
TABLE = 8
ADDRESSES = 0xFFF  # most accesses are below
LOCALS = ("i32", "i32", "i64", "i64", "i32")  # behind the parameters; the last one counts turns of loops
SIGNATURES = ((("i32", "i64"), ("i32",)), (("i64",), ("i64",)), (("i32",), ()), (("i64", "i32"), ("i64", "i32")))
GLOBALS = ("i32", "i64")  # mutable; the fuel is behind them

_HEAD = """\
(module
(memory 1 3)
(table $t {table} 12 funcref)
(global $g0 (mut i32) (i32.const {g0}))
(global $g1 (mut i64) (i64.const {g1}))
(global $fuel (mut i32) (i32.const 0))
(data (i32.const {at}) "{data}")
(data $passive "\\01\\02\\03\\80\\ff\\00\\7f\\10")
(elem (i32.const 0) {functions})
(elem $spare funcref {spare})
(func $burn
  (if (i32.eqz (global.get $fuel)) (then unreachable))
  (global.set $fuel (i32.sub (global.get $fuel) (i32.const 1))))
"""


@st.composite
def program_modules(draw: st.DrawFn) -> Case:
    choices = Choices(draw)
    count = 1 + choices.below(FUNCTIONS)
    signatures = [choices.one_of(SIGNATURES) for _ in range(count)]
    functions = [_Function(choices, signatures, i).text() for i in range(count)]
    bodies = [_export(i, signature) for i, signature in enumerate(signatures)]
    head = _HEAD.format(
        table=TABLE,
        g0=choices.value("i32"),
        g1=choices.value("i64"),
        at=choices.below(ADDRESSES),
        data="".join(f"\\{choices.below(256):02x}" for _ in range(choices.below(12))),
        functions=" ".join(f"$f{choices.below(count)}" for _ in range(choices.below(TABLE))),
        spare=" ".join(f"(ref.func $f{i})" for i in range(count)) + " (ref.null func)",
    )
    types = [f"(type $s{i} (func {_params(p)} {_results(r)}))" for i, (p, r) in enumerate(SIGNATURES)]
    calls = []
    for _ in range(1 + choices.below(CALLS)):
        index = choices.below(count)
        calls.append((f"run{index}", tuple(choices.value(t) for t in signatures[index][0])))
    return Case(head + "\n".join([*types, *functions, *bodies]) + ")", tuple(calls))


def _params(types: tuple[str, ...]) -> str:
    return f"(param {' '.join(types)})" if types else ""


def _results(types: tuple[str, ...]) -> str:
    return f"(result {' '.join(types)})" if types else ""


def _export(index: int, signature: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    arguments = " ".join(f"(local.get {i})" for i in range(len(signature[0])))
    return (
        f'(func (export "run{index}") {_params(signature[0])} {_results(signature[1])}\n'
        f"  (global.set $fuel (i32.const {FUEL})) (call $f{index} {arguments}))"
    )


class _Function:
    def __init__(self, choices: Choices, signatures: list, index: int):
        self.choices, self.signatures, self.index = choices, signatures, index
        self.params, self.results = signatures[index]
        self.locals = (*self.params, *LOCALS)
        self.labels: list[str] = []  # those that a branch without a value may name, innermost last
        self.names = 0

    def text(self) -> str:
        body = self.block(DEPTH)
        results = " ".join(self.expression(t, DEPTH) for t in self.results)
        head = f"(func $f{self.index} {_params(self.params)} {_results(self.results)} (local {' '.join(LOCALS)})"
        return f"{head}\n  (call $burn)\n  {body}\n  {results})"

    def label(self) -> str:
        self.names += 1
        return f"$l{self.names}"

    # Statements leave the stack as it was.

    def block(self, depth: int) -> str:
        return "\n  ".join(self.statement(depth) for _ in range(self.choices.below(STATEMENTS)))

    def statement(self, depth: int) -> str:
        simple: list[Callable[[], str]] = [
            self.set_local, self.set_local, self.set_global, self.store, self.store, self.call, self.drop, self.bulk,
            self.table, self.call_indirect, self.branch, self.grow, self.leave,
        ]  # fmt: skip
        nested: list[Callable[[int], str]] = [self.if_, self.loop, self.loop, self.labelled, self.switch]
        pick = self.choices.below(len(simple) + (len(nested) if depth else 0))
        return simple[pick]() if pick < len(simple) else nested[pick - len(simple)](depth - 1)

    def set_local(self) -> str:
        index = self.choices.below(len(self.locals))
        return f"(local.set {index} {self.expression(self.locals[index], DEPTH)})"

    def set_global(self) -> str:
        index = self.choices.below(len(GLOBALS))
        return f"(global.set $g{index} {self.expression(GLOBALS[index], DEPTH)})"

    def store(self) -> str:
        type_ = self.choices.one_of(TYPES)
        return self.access(self.choices.one_of(STORES[type_]), self.expression(type_, DEPTH - 1))

    def access(self, name: str, *operands: str) -> str:
        align = 1 << self.choices.below(ACCESS_WIDTH[name].bit_length())
        return f"({name} offset={self.choices.below(20)} align={align} {self.address()} {' '.join(operands)})"

    def address(self) -> str:
        if self.choices.chance(1, 20):
            return self.expression("i32", 1)
        return f"(i32.and {self.expression('i32', 1)} (i32.const {ADDRESSES}))"

    def few(self) -> str:
        """A small number, now and then a large one."""
        if self.choices.chance(1, 20):
            return constant("i32", self.choices.value("i32"))
        return constant("i32", self.choices.below(TABLE + 1))

    def call(self) -> str:
        index = self.choices.below(len(self.signatures))
        return self.consume(f"call $f{index}", self.signatures[index], "")

    def call_indirect(self) -> str:
        number = self.choices.below(len(SIGNATURES))
        return self.consume(f"call_indirect $t (type $s{number})", SIGNATURES[number], self.few())

    def consume(self, head: str, signature: tuple, last: str) -> str:
        """A call whose results go to locals or are dropped."""
        params, results = signature
        arguments = " ".join(self.expression(t, 1) for t in params)
        taken = "".join(f" {self.take(t)}" for t in reversed(results))
        return f"({head} {arguments} {last}){taken}"

    def take(self, type_: str) -> str:
        if self.choices.chance(1, 3):
            return "drop"
        return f"(local.set {self.choices.one_of([i for i, t in enumerate(self.locals) if t == type_])})"

    def drop(self) -> str:
        return f"(drop {self.expression(self.choices.one_of(TYPES), DEPTH)})"

    def bulk(self) -> str:
        kind = self.choices.below(4)
        if kind == 0:
            return f"(memory.fill {self.address()} {self.expression('i32', 1)} {self.few()})"
        if kind == 1:
            return f"(memory.copy {self.address()} {self.address()} {self.few()})"
        if kind == 2:
            return f"(memory.init $passive {self.address()} {self.few()} {self.few()})"
        return "(data.drop $passive)"

    def table(self) -> str:
        reference = self.choices.one_of(["(ref.null func)", f"(ref.func $f{self.choices.below(len(self.signatures))})"])
        kind = self.choices.below(7)
        return (
            f"(table.set $t {self.few()} {reference})",
            f"(table.set $t {self.few()} (table.get $t {self.few()}))",
            f"(drop (table.grow $t {reference} {self.few()}))",
            f"(table.fill $t {self.few()} {reference} {self.few()})",
            f"(table.copy $t $t {self.few()} {self.few()} {self.few()})",
            f"(table.init $t $spare {self.few()} {self.few()} {self.few()})",
            "(elem.drop $spare)",
        )[kind]

    def branch(self) -> str:
        if not self.labels:
            return "nop"
        target = self.choices.one_of(self.labels)
        if self.choices.chance(1, 4):
            return f"(br {target})"
        return f"(br_if {target} {self.expression('i32', DEPTH - 1)})"

    def grow(self) -> str:
        if self.choices.chance(1, 2):
            return "(drop (memory.size))"
        return f"(drop (memory.grow {self.few()}))"

    def leave(self) -> str:
        if self.choices.chance(1, 8):
            return "unreachable"
        results = " ".join(self.expression(t, 1) for t in self.results)
        return f"(if {self.expression('i32', 1)} (then (return {results})))"

    def if_(self, depth: int) -> str:
        condition = self.expression("i32", DEPTH - 1)
        other = f" (else {self.block(depth)})" if self.choices.chance(1, 2) else ""
        return f"(if {condition} (then {self.block(depth)}){other})"

    def labelled(self, depth: int) -> str:
        self.labels.append(self.label())
        text = f"(block {self.labels[-1]} {self.block(depth)})"
        self.labels.pop()
        return text

    def loop(self, depth: int) -> str:
        counter, label = len(self.locals) - 1, self.label()
        self.labels.append(label)
        body = self.block(depth)
        self.labels.pop()
        return (
            f"(local.set {counter} (i32.const {1 + self.choices.below(5)}))\n"
            f"  (loop {label} (call $burn) {body}\n"
            f"  (br_if {label} (local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1)))))"
        )

    def switch(self, depth: int) -> str:
        labels = [self.label() for _ in range(1 + self.choices.below(4))]
        everywhere = [*self.labels, *labels]
        targets = " ".join(self.choices.one_of(everywhere) for _ in range(1 + self.choices.below(5)))
        text = f"(br_table {targets} {self.expression('i32', 1)})"
        for label in labels:
            text = f"(block {label} {text})\n  {self.block(depth)}"
        return text

    # Expressions leave one value.

    def expression(self, type_: str, depth: int) -> str:
        choices = self.choices
        kind = choices.below(18) if depth else choices.below(4)
        if kind == 0:
            return constant(type_, choices.value(type_))
        if kind in (1, 2):
            return f"(local.get {choices.one_of([i for i, t in enumerate(self.locals) if t == type_])})"
        if kind == 3:
            return f"(global.get $g{GLOBALS.index(type_)})"
        if kind in (4, 5, 6):
            return self.access(choices.one_of(LOADS[type_]))
        if kind == 7:
            index = choices.one_of([i for i, t in enumerate(self.locals) if t == type_])
            return f"(local.tee {index} {self.expression(type_, depth - 1)})"
        if kind == 8:
            return self.value_of_block(type_, depth - 1)
        if kind == 9:
            return self.called(type_, depth - 1)
        if kind == 10 and type_ == "i32":
            return choices.one_of(["(memory.size)", "(table.size $t)", f"(ref.is_null (table.get $t {self.few()}))"])
        if kind == 11:
            arms = f"{self.expression(type_, depth - 1)} {self.expression(type_, depth - 1)}"
            return f"(select {arms} {self.expression('i32', depth - 1)})"
        name, operands = choices.one_of(OPERATIONS[type_])
        return f"({name} {' '.join(self.expression(t, depth - 1) for t in operands)})"

    def value_of_block(self, type_: str, depth: int) -> str:
        """A block or an if that leaves a value, perhaps by a branch with a value."""
        if self.choices.chance(1, 2):
            arms = f"(then {self.expression(type_, depth)}) (else {self.expression(type_, depth)})"
            return f"(if (result {type_}) {self.expression('i32', depth)} {arms})"
        label = self.label()
        early = f"(drop (br_if {label} {self.expression(type_, depth)} {self.expression('i32', depth)}))"
        return f"(block {label} (result {type_}) {early} {self.expression(type_, depth)})"

    def called(self, type_: str, depth: int) -> str:
        fitting = [i for i, (_, results) in enumerate(self.signatures) if results == (type_,)]
        if not fitting:
            return constant(type_, self.choices.value(type_))
        index = self.choices.one_of(fitting)
        return f"(call $f{index} {' '.join(self.expression(t, depth) for t in self.signatures[index][0])})"
