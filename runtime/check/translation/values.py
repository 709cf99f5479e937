"""Names of values: equal names are equal values, whatever the program's inputs are."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from ....compiler.format.operations import OPERATIONS, inverse

# What a step or an instruction computes from its operands alone, and never traps; an instruction has the step's name.
PURE = frozenset(
    o.name for o in OPERATIONS.values() if o.effect == "value" and not (o.may_trap or o.space or o.does in ("mov", "param"))
)
# Those that do trap with some operands: divisions, floats as integers.
TRAPPING = frozenset(o.name for o in OPERATIONS.values() if o.effect == "value" and o.may_trap and not o.space)
_RELATIONS = frozenset(o.name for o in OPERATIONS.values() if o.comparison and not o.branches)
# Sums and products of steps that do two operations at once have them in another order than instructions may.
_COMMUTATIVE = frozenset(f"{t}.{does}" for t in ("i32", "i64") for does in ("add", "mul"))

Key = tuple[Hashable, ...]


class Values:
    """Each name is a number. keys[n]: what it stands for:

    ("const", bits), (operation, names...) of PURE and TRAPPING, ("given", origin, place) for what an event, a join of
    paths or the caller made. numbers[n]: the value of a constant, and of a sum of constants (i32). wide[n]: it may have more
    than 32 bits. made_by[n]: origins that it depends on.
    """

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}
        self.keys: list[Key] = []
        self.numbers: list[int | None] = []
        self.wide: list[bool] = []
        self.made_by: list[frozenset[Hashable]] = []

    def _name(self, key: Key, wide: bool, made_by: frozenset[Hashable]) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.keys)
            self.keys.append(key)
            self.numbers.append(self._number(key))
            self.wide.append(wide)
            self.made_by.append(made_by)
        return number

    def _number(self, key: Key) -> int | None:
        if key[0] == "const":
            return key[1]  # type: ignore[return-value]
        if key[0] != "i32.add":
            return None
        a, b = (self.numbers[o] for o in key[1:])  # type: ignore[call-overload]
        return None if a is None or b is None else (a + b) % 2**32

    def const(self, bits: int) -> int:
        return self._name(("const", bits), bits >= 2**32, frozenset())

    def term(self, operation: str, *operands: int) -> int:
        """What the operation gives. Of a comparison asked whether it is 0: the opposite comparison."""
        if operation in ("i32.eq", "i32.ne") and self.is_const(operands[1]) == 0 and self._is_relation(operands[0]):
            return operands[0] if operation == "i32.ne" else self.opposite(operands[0])
        if operation in _COMMUTATIVE:
            operands = tuple(sorted(operands))
        if operation == "select":
            wide = self.wide[operands[0]] or self.wide[operands[1]]
        else:
            wide = OPERATIONS[operation].width > 4
        made_by = frozenset[Hashable]().union(*(self.made_by[o] for o in operands))
        return self._name((operation, *operands), wide, made_by)

    def given(self, origin: Hashable, place: Hashable, wide: bool) -> int:
        return self._name(("given", origin, place), wide, frozenset([origin]))

    def low(self, name: int) -> int:
        """The low 32 bits."""
        return self.term("i32.wrap_i64", name) if self.wide[name] else name

    def is_const(self, name: int) -> int | None:
        key = self.keys[name]
        return key[1] if key[0] == "const" else None  # type: ignore[return-value]

    def sums(self, name: int) -> Iterable[tuple[int, int]]:
        """(base, constant) with base + constant = the value, as far as the sum does not pass 2^32."""
        extra = 0
        while True:
            yield name, extra
            key = self.keys[name]
            if key[0] != "i32.add":
                break
            a, b = (self.numbers[o] for o in key[1:])  # type: ignore[call-overload]
            if (a is None) == (b is None):
                break
            name, extra = (key[2], extra + a) if a is not None else (key[1], extra + b)  # type: ignore
        number = self.numbers[name]
        if number is not None:
            yield self.const(0), extra + number

    def opposite(self, name: int) -> int:
        """Of a comparison: the one that holds exactly when it does not."""
        operation, *operands = self.keys[name]
        return self.term(inverse(str(operation)), *operands)  # type: ignore[arg-type]

    def condition(self, name: int) -> tuple[Key, bool]:
        """What has to hold for the value not to be 0: a relation in its one form, and whether it or its opposite."""
        key = self.keys[name]
        if not self._is_relation(name):
            return self.relation("i32.ne", name, self.const(0))
        return self.relation(key[0], key[1], key[2])  # type: ignore[arg-type]

    def within(self, name: int) -> Iterable[int]:
        """The comparisons that a condition or its value is made of: itself, or its opposite asked whether it is 0."""
        yield name
        if self._is_relation(name):
            yield self.opposite(name)

    def relation(self, operation: str, a: int, b: int) -> tuple[Key, bool]:
        """eq and lt are what the others are made of: a > b is b < a, a <= b is not b < a."""
        o = OPERATIONS[operation]
        if o.does in ("eq", "ne"):
            if self.is_const(b) == 0 and self._is_relation(a):
                inner, positive = self.condition(a)
                return inner, positive == (o.does == "ne")
            return (o.type, "eq", *sorted((a, b))), o.does == "eq"
        if o.does in ("gt", "le"):
            a, b = b, a
        return (o.type, "lt", o.signed, a, b), o.does in ("lt", "gt")

    def _is_relation(self, name: int) -> bool:
        return self.keys[name][0] in _RELATIONS
