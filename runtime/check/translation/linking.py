"""That the linker kept a function's instructions: the same ones, with other indices, or calls of routines."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ....compiler.link.linked import LinkedModule
from ....compiler.link.routines import ROUTINES
from ....compiler.wasm.module import Instr
from ....compiler.wasm.opcodes import BY_NAME
from ....compiler.wasm.split import SplitModule

# Immediates that are indices, and so may differ: kind -> one index space.
_SPACES = frozenset({"func", "global", "table", "data", "elem", "memory", "tag"})


class LinkCheck:
    """Compares functions of the linked module with the source's own. One index always becomes the same other one."""

    def __init__(self, linked: LinkedModule, source: SplitModule):
        self.linked, self.source, self.module = linked, source, source.module
        self._maps: dict[Hashable, Hashable] = {("func", o): ("func", i) for i, o in linked.origin.items()}

    def difference(self, index: int) -> str:
        """What differs in this function of the linked module, "" for nothing or a routine."""
        origin = self.linked.origin.get(index)
        if origin is None:
            return ""
        mine, source = self.linked.module.functions[index], self.module.functions[origin]
        if mine.type == source.type and [i.name for i in mine.body] == ["unreachable", "end"]:
            return ""  # nothing calls it; should something, then the trap is a difference
        if (mine.type, mine.locals, len(mine.body)) != (source.type, source.locals, len(source.body)):
            return f"the linked function {mine.name} has another type, other locals or another length"
        if self.linked.places.get(index, ()) != self.source.places.get(origin, ()):
            return f"the linked function {mine.name} answers for other instructions"
        for at, (a, b) in enumerate(zip(mine.body, source.body, strict=True)):
            if not self._same(a, b):
                return f"the linked function {mine.name} has {a.name} {a.args} for {b.name} {b.args} ({at})"
        return ""

    def _same(self, mine: Instr, source: Instr) -> bool:
        if mine.name == "call" and source.name in ROUTINES:
            callee = self.linked.module.functions[mine.args[0]]
            key, value = (source.name, source.args), ("func", mine.args[0])
            return callee.name.startswith(ROUTINES[source.name].function) and self._mapped(key, value)
        if mine.name != source.name:
            return False
        kinds = BY_NAME[mine.name].immediates
        if kinds in (("memarg",), ("memory",)):  # of the others, which are calls of routines, see above
            first = 2 if kinds == ("memarg",) else 0
            memories = [i.args[first] if len(i.args) > first else 0 for i in (source, mine)]
            return mine.args[:first] == source.args[:first] and self._mapped(("memory", memories[0]), ("memory", memories[1]))
        if mine.name == "select" or not kinds:
            return True
        return all(map(self._argument, kinds, mine.args, source.args))

    def _argument(self, kind: str, mine: Any, source: Any) -> bool:
        if kind == "type":
            return self.linked.module.types[mine] == self.module.types[source]
        if kind == "catches":
            return len(mine) == len(source) and all(map(self._handler, mine, source))
        if kind in _SPACES:
            return self._mapped((kind, source), (kind, mine))
        return mine == source

    def _handler(self, mine: tuple[int, ...], source: tuple[int, ...]) -> bool:
        """Kind and depth are the same, and the tag, if there is one, is what the source's has become."""
        kind, *tags, depth = mine
        if (kind, depth, len(mine)) != (source[0], source[-1], len(source)):
            return False
        return all(self._mapped(("tag", theirs), ("tag", own)) for own, theirs in zip(tags, source[1:-1], strict=True))

    def _mapped(self, key: Hashable, value: Hashable) -> bool:
        """Whether this index always becomes that one, and nothing else does. (Two imports may be one function.)"""
        return self._maps.setdefault(key, value) == value

    def used(self, kind: str) -> dict[int, int]:
        """Of the functions looked at: index in the source -> index in the linked module ("global", "table")."""
        return {k[1]: v[1] for k, v in self._maps.items() if k[0] == kind and v[0] == kind}  # type: ignore[index]
