"""One function without vectors: the instructions of its body on halves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..format.types import FuncType, RefType, ValType, halved
from .expansion import SAME, Expansion, Tree
from .halves import expansion_of
from .heap_types import gives_vector
from .module import Function, Instr, Module
from .opcodes import ACCESS_WIDTH, SIGNATURES
from .simd import SIMD_SIGNATURES, V128, high_first
from .stack_types import Top, stack_tops
from .type_names import reference_to

# Of an instruction: what it gives as it stands in the module (or its low half), the high half, what is only on the way there.
WHOLE, HIGH, INNER = "", "high", "inner"
_BITS_STAY = frozenset({"i64.reinterpret_f64", "f64.reinterpret_i64", "f32.reinterpret_i32"})
_VECTOR_SLOTS = ("a", "b", "c")


@dataclass(frozen=True)
class OriginalInstruction:
    """instruction: index in the function's own body. part: WHOLE, HIGH or INNER."""

    instruction: int
    part: str


def halved_type(type_: FuncType) -> FuncType:
    """A function type with two halves for each v128."""
    params, results = (tuple(map(halved_reference, halved(types))) for types in (type_.params, type_.results))
    return replace(type_, params=params, results=results)


def halved_reference(type_: ValType) -> ValType:
    if isinstance(type_, RefType) and isinstance(type_.to, FuncType):
        return RefType(type_.nullable, halved_type(type_.to))
    return type_


def signed(value: int) -> int:
    """The low 64 bits as an immediate of i64.const."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


class SplitBody:
    """One function's new body. out, places: its instructions, and what each of them is."""

    def __init__(self, module: Module, function: Function, globals_: Sequence[int], high_globals: Mapping[int, int]):
        self.module, self.function, self.globals, self.high_globals = module, function, globals_, high_globals
        self.types = function.type.params + function.locals
        self.first: list[int] = []  # of each local: its index here
        count = 0
        for type_ in self.types:
            self.first.append(count)
            count += 2 if type_ == V128 else 1
        self.count, self.scratch = count, dict[tuple[ValType, int], int]()
        self.out: list[Instr] = []
        self.places: list[OriginalInstruction] = []
        self.at = 0

    @property
    def locals(self) -> tuple[ValType, ...]:
        return (*map(halved_reference, halved(self.function.locals)), *(type_ for type_, _ in self.scratch))

    def run(self) -> None:
        tops = stack_tops(self.module, self.function)
        for at, (instr, top) in enumerate(zip(self.function.body, tops, strict=True)):
            self.at = at
            self._split(instr, top)

    def emit(self, name: str, *args: object, part: str = INNER) -> None:
        self.out.append(Instr(name, args, self.function.body[self.at].offset))
        self.places.append(OriginalInstruction(self.at, part))

    def local(self, type_: ValType, number: int) -> int:
        """A local of this type that holds nothing between instructions."""
        key = (type_, number)
        if key not in self.scratch:
            self.scratch[key] = self.count + len(self.scratch)
        return self.scratch[key]

    def _split(self, instr: Instr, top: Top) -> None:
        name = instr.name
        if name.startswith("local."):
            self._variable(instr, self.types[instr.args[0]], self.first[instr.args[0]], self.first[instr.args[0]] + 1)
        elif name.startswith("global."):
            high = self.high_globals.get(instr.args[0])
            self._variable(instr, V128 if high is not None else "", self.globals[instr.args[0]], high)
        elif name == "drop" and top.before == V128:
            self.emit("drop", part=WHOLE)
            self.emit("drop")
        elif name == "select" and (top.top == V128 or instr.args == (V128,)):
            self._select()
        elif gives_vector(self.module, instr):
            self._read(instr)
        elif (expansion := expansion_of(instr)) is not None:
            _Expander(self, instr, expansion).run()
        else:
            self.emit(name, *map(self._argument, instr.args), part=WHOLE)

    def _argument(self, argument: object) -> object:
        if isinstance(argument, FuncType):
            return halved_type(argument)
        return halved_reference(argument) if isinstance(argument, str) else argument

    def _variable(self, instr: Instr, type_: ValType, low: int, high: int | None) -> None:
        """Reads or writes a local or a global."""
        if type_ != V128:
            self.emit(instr.name, low, part=WHOLE)
        elif instr.name.endswith(".get"):
            self.emit(instr.name, low, part=WHOLE)
            self.emit(instr.name, high, part=HIGH)
        else:
            assert high_first(instr)
            write = instr.name.replace(".tee", ".set")
            self.emit(write, high, part=HIGH)
            self.emit(write, low, part=WHOLE)
            if write != instr.name:
                self.emit("local.get", low)
                self.emit("local.get", high)

    def _read(self, instr: Instr) -> None:
        """A vector in a struct or an array."""
        operands = [self.local(reference_to(self.module.types[instr.args[0]], True), 0)]
        operands += [self.local("i32", 0)] if instr.name == "array.get" else []
        for local in reversed(operands):
            self.emit("local.set", local)
        for half, part in (("low", WHOLE), ("high", HIGH)):
            for local in operands:
                self.emit("local.get", local)
            self.emit(f"{instr.name}_{half}", *instr.args, part=part)

    def _select(self) -> None:
        condition = self.local("i32", 0)
        kept, low, high = (self.local("i64", k) for k in range(3))
        for local in (condition, high, low, kept):
            self.emit("local.set", local)
        self.emit("local.get", low)
        self.emit("local.get", condition)
        self.emit("select", part=WHOLE)
        for local in (kept, high, condition):
            self.emit("local.get", local)
        self.emit("select", part=HIGH)


class _Expander:
    """Emits one expansion: takes the operands off the stack as far as it has to, then computes."""

    def __init__(self, body: SplitBody, instr: Instr, expansion: Expansion):
        self.body, self.instr, self.expansion = body, instr, expansion
        self.operands = self._operands()
        self.locals: dict[str, int] = {}
        self.used: dict[ValType, int] = {}

    def _operands(self) -> list[tuple[str, ValType]]:
        """What stands on the stack, bottom first: the names it has in expressions, and its type."""
        found: list[tuple[str, ValType]] = []
        access = self.instr.name.startswith(("v128.load", "v128.store"))
        vectors = iter(_VECTOR_SLOTS)
        for k, type_ in enumerate(SIMD_SIGNATURES[self.instr.name][0]):
            if type_ == V128:
                letter = next(vectors)
                found += [(f"{letter}l", "i64"), (f"{letter}h", "i64")]
            elif access and k == 0:
                found.append(("p", "i64" if self._memory_is_wide() else "i32"))
            else:
                found.append(("n", type_))
        return found

    def _memarg(self) -> tuple[int, ...]:
        """Alignment, offset and, where it is not 0, the memory."""
        args = self.instr.args
        return args[:-1] if self.instr.name.endswith("_lane") else args

    def _memory_is_wide(self) -> bool:
        memarg = self._memarg()
        return self.body.module.memories[memarg[2] if len(memarg) > 2 else 0].wide

    def run(self) -> None:
        x = self.expansion
        halves = [(x.low_first, x.low, WHOLE), (x.high_first, x.high, HIGH)]
        if x.backwards:
            halves.reverse()
        order = [leaf for _, tree in x.first for leaf in _leaves(tree)]
        for lets, tree, _ in halves:
            order += [leaf for _, value in lets for leaf in _leaves(value)] + list(_leaves(tree))
        self._take(order)
        self._compute(x.first)
        results = len(SIMD_SIGNATURES[self.instr.name][1])
        for k, (lets, tree, part) in enumerate(halves):
            self._compute(lets)
            if tree == SAME:
                value = self._new("i64")
                self.body.emit("local.tee", value)
                self.body.emit("local.get", value, part=HIGH)
            elif tree is not None:
                self._emit(tree, part)
                if x.backwards and results and k == 0:
                    self.locals["high"] = self._new("i64")
                    self.body.emit("local.set", self.locals["high"])
        if x.backwards and results:
            self.body.emit("local.get", self.locals["high"])

    def _new(self, type_: ValType) -> int:
        number = self.used[type_] = self.used.get(type_, -1) + 1
        return self.body.local(type_, number)

    def _take(self, order: list[str]) -> None:
        """Operands into locals; one that is only read at once stays where it is, and one that nobody reads goes."""
        for k, (name, type_) in reversed(list(enumerate(self.operands))):
            if name not in order:
                self.body.emit("drop")
            elif k or order[0] != name or order.count(name) > 1:
                self.locals[name] = self._new(type_)
                self.body.emit("local.set", self.locals[name])

    def _compute(self, lets: Iterable[tuple[str, Tree]]) -> None:
        for name, tree in lets:
            self._emit(tree, INNER)
            self.locals[name] = self._new(_type_of(tree, dict(self.operands)))
            self.body.emit("local.set", self.locals[name])

    def _emit(self, tree: Tree, part: str) -> None:
        if isinstance(tree, str):
            self._leaf(tree, part)
            return
        name, *operands = tree
        moves = name in _BITS_STAY and not isinstance(operands[0], str)
        for operand in operands:
            self._emit(operand, part if moves else INNER)
        own = INNER if moves else part
        name, _, further = name.partition("+")
        args: tuple[int, ...] = ()
        if name in ACCESS_WIDTH:
            align, offset, *memory = self._memarg()
            args = (align, offset + int(further or 0), *memory)
        self.body.emit(name, *args, part=own)

    def _leaf(self, leaf: str, part: str) -> None:
        number, _, type_ = leaf.partition(":")
        if leaf in self.locals:
            self.body.emit("local.get", self.locals[leaf], part=part)
        elif number.lstrip("-").isdigit():
            self.body.emit(f"{type_ or 'i64'}.const", signed(int(number)), part=part)
        elif part != INNER:  # stays where it is, and is a copy of itself
            local = self._new(dict(self.operands)[leaf])
            self.body.emit("local.set", local)
            self.body.emit("local.get", local, part=part)


def _leaves(tree: Tree | None) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif tree is not None:
        for operand in tree[1:]:
            yield from _leaves(operand)


def _type_of(tree: Tree, operands: Mapping[str, ValType]) -> ValType:
    """Of an expression's value."""
    if isinstance(tree, str):
        return operands.get(tree, "i64")
    name = tree[0].partition("+")[0]
    return SIGNATURES[name][1][0] if name in SIGNATURES else "i64"
