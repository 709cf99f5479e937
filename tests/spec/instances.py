"""The instances of a script, in a store: what a user of the library has, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wasm2xformer import CompileError, Instance, Run, Store, StoreInstance, VerifiedStore
from wasm2xformer.compiler.compile import realise
from wasm2xformer.compiler.format.types import general, is_reference
from wasm2xformer.compiler.wasm.module import Instr
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.bit_patterns import encode
from wasm2xformer.runtime.store_group import Group, InstanceMachine, Machine

from .dense import DenseCheck, Skipped
from .script import Value
from .values import argument

SPECTEST = (Path(__file__).parent / "spectest.wat").read_bytes()
# Nothing in the suite needs nearly as many: the most is a recursion in f64 at -O0.
MAX_TOKENS = 100_000_000
_WRITES = (
    *("global.set", "table.set", "table.grow", "table.fill", "table.copy", "table.init", "elem.drop"),
    *("memory.grow", "memory.fill", "memory.copy", "memory.init", "data.drop"),
)


class Refused(Exception):
    """There is nothing to run, as a module was refused; the message says why."""


class _DenseMachine(InstanceMachine):
    """Every run of at most so many tokens is checked against the dense engine as well. store: is told what was skipped."""

    def __init__(self, store: _DenseStore, group: Group, instance: Instance):
        super().__init__(instance)
        writes = any(_writes(i) for f in group.source.module.functions for i in f.body)
        self._store, self._dense = store, DenseCheck(instance.model, store.dense_tokens, instance.started, writes)

    def invoke(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Run:
        run = super().invoke(name, args, options)
        try:
            self._dense.follow(run)
        except Skipped as skipped:
            self._store.skipped = str(skipped)
        return run


class _DenseStore(Store):
    def __init__(self, opt_level: int, dense_tokens: int):
        super().__init__(opt_level=opt_level)
        self.dense_tokens, self.skipped = dense_tokens, ""

    def _machine(self, group: Group) -> Machine:
        model = realise(group.program, group.source.module)
        return _DenseMachine(self, group, Instance(model, world=self._world))


class Instances:
    """Instantiates the modules of one script and calls their functions.

    dense_tokens: when not 0, every run of at most that many tokens is checked against the dense engine as well. verified: every
    step is compared with wasmtime's. registered: by name; a text: why it is not there.
    """

    def __init__(self, opt_level: int = 1, dense_tokens: int = 0, verified: bool = False):
        self._dense = _DenseStore(opt_level, dense_tokens) if dense_tokens else None
        self._store = self._dense or (VerifiedStore if verified else Store)(opt_level=opt_level)
        self.registered: dict[str, StoreInstance | str] = {"spectest": self._store.instantiate(SPECTEST)}

    def instantiate(self, wasm: bytes | str) -> StoreInstance:
        """A new instance. Raises CompileError, Trap, Refused, Skipped."""
        imports = {}
        for name in dict.fromkeys(i.module for i in load(wasm).module.imports if i.module in self.registered):
            library = self.registered[name]
            if isinstance(library, str):
                raise Refused(library)
            imports[name] = library
        instance = self._store.instantiate(wasm, imports, max_tokens=MAX_TOKENS)
        self._say_skipped()
        return instance

    def invoke(self, instance: StoreInstance, name: str, args: Sequence[Value]) -> list[Any]:
        """Results as bit patterns, references as they are. Raises Trap, Skipped, AssertionError (the dense engine differs)."""
        types = instance.member.functions[name].results
        run = instance.invoke(name, *(argument(a) for a in args), max_tokens=MAX_TOKENS)
        self._say_skipped()
        return [v if is_reference(t) else bits for v, bits, t in zip(run.values, run.bits, types, strict=True)]

    def read_global(self, instance: StoreInstance, name: str) -> Any:
        """The value of an exported global, likewise."""
        value, type_ = instance.read_global(name), general(instance.member.globals[name])
        return value if is_reference(type_) else encode(name, 0, type_, value)

    def _say_skipped(self) -> None:
        if self._dense is not None and self._dense.skipped:
            reason, self._dense.skipped = self._dense.skipped, ""
            raise Skipped(reason)


def reason_group(error: CompileError) -> str:
    """The first reason's message, without names and numbers, so that what has the same cause is counted together."""
    words = []
    for word in error.reasons[0].message.replace('" "', '"."').split():
        quoted = word[0] in "\"'" or word.rstrip(":,").replace(",", "").isdigit()
        words.append("..." if quoted else word)
    return " ".join(words)


def _writes(instruction: Instr) -> bool:
    return instruction.name in _WRITES or ".store" in instruction.name



