"""The older form of exceptions (try, catch, catch_all, delegate, rethrow), which toolchains still emit, in that of version 3.0.

    try BT body catch $a A catch_all B end   block $done BT
                                               block $all BT.params -> ()
                                                 block $a BT.params -> values of $a
                                                   try_table BT (catch $a $a) (catch_all $all) body end
                                                   br $done
                                                 end A
                                                 br $done
                                               end B
                                             end
    rethrow                                  handlers hand on the exception, which a local keeps: throw_ref
    try BT body delegate l                   try_table BT (catch_all_ref $l) body end, where $l is a block in the body of the try
                                             that l leads to, or of the function, and behind it stands throw_ref

Source: the proposal's explainer (WebAssembly/exception-handling, proposals/exception-handling/legacy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..format.errors import CompileError, Reason
from .module import CATCHES, Function, FuncType, Instr, Module, ValType

_KINDS = {name: number for number, name in enumerate(CATCHES)}
_PLAIN = frozenset({"block", "loop", "if", "try_table"})
_EXCEPTION: ValType = "exnref"
LEGACY = frozenset({"try", "catch", "catch_all", "delegate", "rethrow"})


def modern(module: Module) -> Module:
    """The same module without the older form; its functions keep their indices, not their lengths."""
    return replace(module, functions=tuple(_modern(module, f) if _is_legacy(f) else f for f in module.functions))


def _is_legacy(function: Function) -> bool:
    return any(instr.name in LEGACY for instr in function.body)


def _modern(module: Module, function: Function) -> Function:
    try:
        plan = _TryPlan(function.body)
    except CompileError as error:
        raise CompileError([replace(reason, function=function.name) for reason in error.reasons]) from None
    return _Rewriter(module, function, plan).run()


@dataclass
class _Try:
    """One `try`. catches: its catch and catch_all instructions. delegate: the depth, if it ends with that.

    kept: whether a rethrow needs the exception. entered: whether a delegate leads into its body.
    """

    catches: list[Instr] = field(default_factory=list)
    delegate: int | None = None
    kept: bool = False
    entered: bool = False


class _TryPlan:
    """What is to be known of a body before it is rewritten. tries: by the index of their `try`. entered: whether a delegate leads
    to the function's caller."""

    def __init__(self, body: Sequence[Instr]):
        self.tries: dict[int, _Try] = {}
        self.entered = False
        self._find(body)
        opened: list[tuple[int, bool]] = []  # of each open block: its index, whether this is the body of a try
        for at, instr in enumerate(body):
            name = instr.name
            if name in _PLAIN or name == "try":
                opened.append((at, name == "try"))
            elif name in ("catch", "catch_all"):
                opened[-1] = (opened[-1][0], False)
            elif name == "rethrow":
                self._rethrown(opened, instr).kept = True
            elif name == "delegate":
                opened.pop()
                if instr.args[0] > len(opened):
                    raise _invalid(instr, "unknown label")
                found = self.target(opened, instr.args[0])
                if found is None:
                    self.entered = True
                else:
                    self.tries[found].entered = True
            elif name == "end" and opened:
                opened.pop()

    def _find(self, body: Sequence[Instr]) -> None:
        opened: list[int] = []
        for at, instr in enumerate(body):
            if instr.name in _PLAIN or instr.name == "try":
                opened.append(at)
                if instr.name == "try":
                    self.tries[at] = _Try()
            elif instr.name in ("catch", "catch_all"):
                if not opened or opened[-1] not in self.tries:
                    raise _invalid(instr, f"unexpected token {instr.name}: no try is open")
                catches = self.tries[opened[-1]].catches
                if catches and catches[-1].name == "catch_all":
                    raise _invalid(instr, f"{instr.name} behind catch_all")
                catches.append(instr)
            elif instr.name == "delegate":
                if not opened or opened[-1] not in self.tries:
                    raise _invalid(instr, "unexpected token delegate: no try is open")
                self.tries[opened.pop()].delegate = instr.args[0]
            elif instr.name == "end" and opened:
                opened.pop()

    def _rethrown(self, opened: Sequence[tuple[int, bool]], instr: Instr) -> _Try:
        """The `try` in one of whose handlers this stands. Raises CompileError."""
        place = len(opened) - 1 - instr.args[0]
        at, in_body = opened[place] if place >= 0 else (-1, False)
        if at not in self.tries or in_body:
            raise _invalid(instr, "invalid rethrow label")
        return self.tries[at]

    def target(self, opened: Sequence[tuple[int, bool]], depth: int) -> int | None:
        """The `try` whose handlers an exception meets that is thrown where this label leads; None for the function's caller."""
        place = len(opened) - 1 - depth
        while place >= 0:
            at, in_body = opened[place]
            known = self.tries.get(at)
            if known is not None and in_body and known.catches:
                return at
            outwards = known.delegate if known is not None and in_body and known.delegate is not None else 0
            place -= 1 + outwards
        return None


def _invalid(instr: Instr, what: str) -> CompileError:
    return CompileError([Reason(f"invalid module: {what}", "", instr.offset, instr.name)])


@dataclass
class _Open:
    """An open block of the original. level: of the block that its label is now. handlers: levels of those of its handlers."""

    at: int
    type: FuncType
    level: int
    known: _Try | None = None
    handlers: list[int] = field(default_factory=list)
    in_body: bool = True
    local: int = -1
    entry: int = -1  # level of the block behind which what is delegated here is thrown again


class _Rewriter:
    """Levels count the blocks of the new body from its function (0) inwards."""

    def __init__(self, module: Module, function: Function, plan: _TryPlan):
        self.module, self.function, self.plan = module, function, plan
        self.out: list[Instr] = []
        self.locals = list(function.locals)
        self.level = 0  # of the innermost block
        self.opened: list[_Open] = []

    def run(self) -> Function:
        if self.plan.entered:
            self._block(FuncType((), (_EXCEPTION,)))
        for at, instr in enumerate(self.function.body[:-1]):
            self._instruction(at, instr)
        if self.plan.entered:
            self._emit("return")
            self._end()
            self._emit("throw_ref")
        self._emit("end")
        return replace(self.function, locals=tuple(self.locals), body=tuple(self.out))

    def _emit(self, name: str, *args: object) -> None:
        self.out.append(Instr(name, args))

    def _block(self, type: FuncType) -> int:
        self._emit("block", type)
        self.level += 1
        return self.level

    def _end(self) -> None:
        self._emit("end")
        self.level -= 1

    def _branch(self, level: int) -> None:
        self._emit("br", self.level - level)

    def _depth(self, depth: int) -> int:
        """Of a label of the original."""
        place = len(self.opened) - 1 - depth
        return self.level - (0 if place < 0 else self.opened[place].level)

    def _instruction(self, at: int, instr: Instr) -> None:
        name = instr.name
        if name == "try":
            self._try(at, instr)
        elif name in ("catch", "catch_all"):
            self._next_handler()
        elif name == "delegate":
            self._end()
            self.opened.pop()
        elif name == "rethrow":
            self._emit("local.get", self.opened[-1 - instr.args[0]].local)
            self._emit("throw_ref")
        elif name == "end":
            self._close()
        elif name in _PLAIN:
            args = instr.args
            if name == "try_table":
                args = (args[0], tuple((*handler[:-1], self._depth(handler[-1])) for handler in args[1]))
            self.out.append(instr.but(args=args))
            self.level += 1
            self.opened.append(_Open(at, args[0], self.level))
        else:
            self.out.append(self._relabelled(instr))

    def _relabelled(self, instr: Instr) -> Instr:
        if instr.name in ("br", "br_if", "br_on_null", "br_on_non_null", "br_on_cast", "br_on_cast_fail"):
            return instr.but(args=(self._depth(instr.args[0]), *instr.args[1:]))
        if instr.name == "br_table":
            return instr.but(args=(tuple(map(self._depth, instr.args[0])), self._depth(instr.args[1])))
        return instr

    # Tries

    def _try(self, at: int, instr: Instr) -> None:
        known, (type,) = self.plan.tries[at], instr.args
        if known.delegate is not None:
            self._delegating(at, type, known)
            return
        opened = _Open(at, type, self._block(type), known)
        if known.catches:
            if known.kept:
                opened.local = len(self.function.type.params) + len(self.locals)
                self.locals.append(_EXCEPTION)
            taken = [FuncType(type.params, self._taken(c, known)) for c in known.catches]
            opened.handlers = [self._block(t) for t in reversed(taken)][::-1]
            suffix = "_ref" if known.kept else ""
            handlers = tuple(
                (_KINDS[c.name + suffix], *c.args, self.level - level)
                for c, level in zip(known.catches, opened.handlers, strict=True)
            )
            self._emit("try_table", type, handlers)
            self.level += 1
            if known.entered:
                opened.entry = self._block(FuncType(type.params, (_EXCEPTION,)))
        self.opened.append(opened)

    def _taken(self, catch: Instr, known: _Try) -> tuple[ValType, ...]:
        """What a handler finds on the stack."""
        values = self.module.tags[catch.args[0]].type.params if catch.args else ()
        return (*values, _EXCEPTION) if known.kept else values

    def _delegating(self, at: int, type: FuncType, known: _Try) -> None:
        assert known.delegate is not None
        found = self.plan.target([(o.at, o.in_body and o.known is not None) for o in self.opened], known.delegate)
        entry = 1 if found is None else next(o.entry for o in self.opened if o.at == found)
        self._emit("try_table", type, ((_KINDS["catch_all_ref"], self.level - entry),))
        self.level += 1
        self.opened.append(_Open(at, type, self.level, known))

    def _next_handler(self) -> None:
        opened = self.opened[-1]
        if opened.in_body:
            self._end_of_body(opened)
        self._branch(opened.level)
        self._end()
        opened.handlers.pop(0)
        if opened.local >= 0:
            self._emit("local.set", opened.local)

    def _end_of_body(self, opened: _Open) -> None:
        opened.in_body = False
        if opened.entry >= 0:
            self._branch(opened.level)
            self._end()
            self._emit("throw_ref")
        self._end()

    def _close(self) -> None:
        self._end()
        self.opened.pop()
