"""Values that come to one place over several paths, and addresses made of them: what folding operands may get wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

BELOW = 16  # values of `small` are at least -BELOW: an address that adds as much is in bounds again


class Labelled(Protocol):
    name: str


class Emitter(Protocol):
    """What the generator of functions has (see `structured`)."""

    rng: random.Random

    def emit(self, *lines: str) -> None: ...
    def open(self, kind: str, params: tuple[str, ...], results: tuple[str, ...], target: bool = True) -> Labelled: ...
    def close(self) -> None: ...
    def statements(self, least: int, most: int) -> None: ...
    def value(self, type_: str, depth: int) -> None: ...
    def values(self, types: Sequence[str], depth: int) -> None: ...
    def take(self, types: Sequence[str]) -> None: ...
    def local(self, type_: str) -> int: ...


def small(f: Emitter, depth: int, negative: bool) -> None:
    """Pushes an i32 whose bound can be known, 0 to 255; or one from -BELOW on, near 2^32."""
    match f.rng.randrange(6):
        case 0:
            f.emit(f"i32.const {f.rng.randrange(64)}")
        case 1:
            f.emit(f"i32.const {f.rng.randrange(60)}", "i32.load8_u")
        case 2:
            f.value("i32", depth)
            f.emit(f"i32.const {f.rng.randint(24, 31)}", "i32.shr_u")
        case 3:
            f.emit(f"local.get {f.local('i32')}", f"i32.const {f.rng.choice((1, 7, 63))}", "i32.and")
        case _:
            f.value("i32", depth)
            f.emit(f"i32.const {f.rng.choice((1, 7, 15, 255))}", "i32.and")
    if negative:
        f.emit(f"i32.const {f.rng.randint(-BELOW, -1)}", f.rng.choice(("i32.add", "i32.add", "i32.or")))


def joined(f: Emitter, depth: int) -> None:
    """Pushes an i32 of the kind of `small`, another one on each path."""
    match f.rng.randrange(5):
        case 0:
            _block(f, depth)
        case 1:
            _if(f, depth)
        case 2:
            _if_without_else(f, depth)
        case 3:
            _loop(f, depth)
        case _:
            small(f, depth, negative=f.rng.random() < 0.5)


def _block(f: Emitter, depth: int) -> None:
    """A block with a parameter and one result or two, left early with another value."""
    results = ("i32",) * f.rng.randint(1, 2)
    small(f, depth, negative=False)
    label = f.open("block", ("i32",), results)
    if f.rng.random() < 0.5:
        f.statements(0, 1)
    if len(results) == 2:
        small(f, depth, negative=f.rng.random() < 0.5)
    _branch(f, label, depth)
    f.take(results)
    for _ in results:
        small(f, depth, negative=f.rng.random() < 0.5)
    f.close()
    if len(results) == 2:
        f.emit(f.rng.choice(("drop", f"local.set {f.local('i32')}")))


def _branch(f: Emitter, label: Labelled, depth: int) -> None:
    """To the label, under a condition, with what its type says; behind it the same values are on the stack."""
    if f.rng.random() < 0.7:
        f.value("i32", depth)
    else:
        f.emit(f"local.get {f.local('i32')}", f"local.get {f.local('i32')}", "i32.lt_s")
    f.emit(f"br_if {label.name}")


def _if(f: Emitter, depth: int) -> None:
    small(f, depth, negative=False)
    f.value("i32", depth)
    f.open("if", ("i32",), ("i32",))
    f.emit(f"i32.const {f.rng.randint(-BELOW, 40)}", "i32.add" if f.rng.random() < 0.5 else "i32.and")
    if f.rng.random() < 0.3:
        f.statements(0, 1)
    f.emit("else")
    if f.rng.random() < 0.5:
        f.take(("i32",))
        small(f, depth, negative=f.rng.random() < 0.5)
    f.close()


def _if_without_else(f: Emitter, depth: int) -> None:
    small(f, depth, negative=False)
    f.value("i32", depth)
    f.open("if", ("i32",), ("i32",))
    f.take(("i32",))
    small(f, depth, negative=f.rng.random() < 0.7)
    f.close()


def _loop(f: Emitter, depth: int) -> None:
    """A loop that begins with a small value and goes on with others; its parameter is part of an address."""
    extra = ("i64",) * (f.rng.random() < 0.3)
    f.values(extra, depth)
    small(f, depth, negative=False)
    label = f.open("loop", (*extra, "i32"), ("i32",), target=False)
    f.emit(f"i32.const {BELOW + f.rng.randrange(9)}", "i32.add")
    f.emit(f"i32.load8_u offset={f.rng.choice((0, 0, 1, 40))}")
    result = f.local("i32")
    f.emit(f"local.set {result}")
    f.take(extra)
    # The branch costs fuel, and there is none without.
    f.emit("global.get $g0", "global.get $g0", "i32.const 0", "i32.ne", "i32.sub", "global.set $g0")
    f.statements(0, 1)
    f.values(extra, depth)
    small(f, depth, negative=f.rng.random() < 0.7)
    f.value("i32", depth)
    f.emit("global.get $g0", "i32.const 0", "i32.ne", "i32.and")
    match f.rng.randrange(3):
        case 0:
            f.emit(f"br_if {label.name}")
        case 1:
            # Out of a block with the loop's parameters as results: the table has the loop and the block.
            f.emit(f"local.set {result}")
            inner = f.open("block", (*extra, "i32"), (*extra, "i32"))
            f.emit(f"local.get {result}", f"br_table {inner.name} {label.name} {inner.name}")
            f.close()
        case _:
            f.open("if", (*extra, "i32"), (*extra, "i32"))
            f.emit(f"br {label.name}")
            f.close()
    f.take((*extra, "i32"))
    f.emit(f"local.get {result}")
    f.emit(f"i32.const {f.rng.choice((7, 63))}", "i32.and")
    f.close()


def near_address(f: Emitter, depth: int) -> None:
    """Pushes an address in the first bytes of memory: a small value plus a constant, which may wrap around."""
    if f.rng.random() < 0.6:
        joined(f, depth)
    else:
        small(f, depth, negative=f.rng.random() < 0.5)
    if f.rng.random() < 0.3:  # so that the value is kept, also where it is a constant
        f.emit(f"local.tee {f.local('i32')}")
    f.emit(f"i32.const {BELOW + f.rng.choice((0, 1, 5, 100))}", "i32.add")


def lazy_operands(f: Emitter, type_: str, depth: int) -> None:
    """Pushes a local and a global, overwrites what may be them in a block, and uses both values."""
    local = f.local(type_)
    f.emit(f"local.get {local}")
    if f.rng.random() < 0.5:
        f.emit(f"local.get {local}")
    else:
        f.value(type_, depth)
    kind = f.rng.choice(("block", "loop", "if"))
    if kind == "if":
        f.value("i32", depth)
    label = f.open(kind, (), (), target=kind != "loop")
    if kind == "block" and f.rng.random() < 0.5:
        f.value("i32", depth)
        f.emit(f"br_if {label.name}")
    f.value(type_, depth)
    f.emit(f"local.set {local}")
    f.statements(0, 1)
    f.close()
    f.emit(f"{type_}.{f.rng.choice(('sub', 'add', 'mul'))}")
