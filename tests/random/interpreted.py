"""Random modules without weights: their steps, interpreted, against wasmtime; what has to hold between the passes; and the walk
of `verify` over steps and instructions, of which every fault that it tells here is a false alarm, or one of the compiler's."""

from __future__ import annotations

from typing import Any

import wasmtime

from tests.step_interpreter import Exhausted, StepInterpreter, StepTrap
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import TRAPS, Program
from wasm2xformer.compiler.format.limits import PAGE
from wasm2xformer.compiler.format.types import is_reference
from wasm2xformer.compiler.optimise.invariants import check
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.module import Module
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.bit_patterns import decode as decode_value
from wasm2xformer.runtime.bit_patterns import encode as encode_value
from wasm2xformer.runtime.bit_patterns import slots_of, values_of
from wasm2xformer.runtime.check.oracle import Oracle
from wasm2xformer.runtime.check.oracle.originals import trap_text
from wasm2xformer.runtime.check.translation import TranslationCheck
from wasm2xformer.runtime.check.verify import bits_of

from .case import Case


def interpreted(case: Case, opt_level: int, steps: int = 400_000) -> tuple[int, int]:
    """(invocations, traps) that were alike on both sides: results, trap, and then memory and exported globals.

    An invocation of more steps ends the case. Raises AssertionError with what differs, InvalidProgram or WrongClaim.
    """
    types: dict[int, Any] = {}
    linked: list[Any] = []

    def watch(name: str, value: Any) -> None:
        if name == "linked":
            linked.append(value)
            types.update({i: f.type for i, f in enumerate(value.module.functions)})
        elif isinstance(value, list):
            check(name, value, types)

    program, module = compile_steps(case.source, CompileOptions(opt_level, case.exports, case.libraries), watch)
    faults = list(TranslationCheck(program, linked[0], module).all())
    assert not faults, faults
    oracle = _oracle(case)
    try:
        ours = StepInterpreter(program, steps)
    except StepTrap as trap:  # of a start function
        assert oracle.start is not None and oracle.start.outcome == TRAPS[trap.kind], (TRAPS[trap.kind], oracle.start)
        return 0, 1
    except Exhausted:
        return 0, 0
    traps = 0
    for number, call in enumerate(case.calls):
        entry = program.entries[call.export]
        bits = [
            encode_value(call.export, k, t, value, program.function_references)
            for k, (t, value) in enumerate(zip(entry.params, call.args, strict=True))
        ]
        try:
            found = values_of(entry.results, ours.invoke(call.export, *slots_of(entry.params, bits)))
            actual: Any = [_value(t, value) for t, value in zip(entry.results, found, strict=True)]
        except StepTrap as trap:
            actual = TRAPS[trap.kind]
            traps += 1
            if trap.kind in _LIMITS:
                return number, traps
        except Exhausted:
            return number, traps
        run = oracle.invoke(call.export, [bits_of(t, value) for t, value in zip(entry.params, call.args, strict=True)])
        wanted = [_comparable(t, value) for t, value in zip(entry.results, run.results)] if run.outcome == "ok" else run.outcome
        assert actual == wanted, (call, wanted, actual)
        _compare_state(module, oracle, ours)
    return len(case.calls), traps


# Limits of the model, which wasmtime does not have.
_LIMITS = ("stack_exhausted", "heap_exhausted", "exceptions_exhausted", "endless_wait")


class _Unrecorded(Oracle):
    """wasmtime's side, of which no step is recorded: where it traps is not known."""

    def _trap(self, trap: wasmtime.Trap) -> tuple[str, None]:
        return trap_text(trap), None


def _oracle(case: Case) -> Oracle:
    libraries = [(name, load(library).wasm) for name, library in case.libraries.items()]
    return _Unrecorded(load(case.source).wasm, (), libraries=libraries)


def _value(type_: str, bits: int) -> Any:
    """As `_comparable`, of the model's results."""
    return _comparable(type_, decode_value(type_, bits) if is_reference(type_) else bits)


def _comparable(type_: str, value: Any) -> Any:
    """Bits; of a reference whether it is null."""
    if not is_reference(type_):
        return value % 2 ** {"i32": 32, "f32": 32, "v128": 128}.get(type_, 64)
    return value is None


def _memories(program: Program) -> list[tuple[int, int, int]]:
    """Beginning, end and index of each memory of the module's that is in use."""
    if program.memories:
        return [(m.base, m.base + m.maximum * PAGE, m.source) for m in program.memories if m.source >= 0]
    return [(0, program.memory_maximum * PAGE, 0)] if program.memory_maximum else []


def _compare_state(module: Module, oracle: Oracle, ours: StepInterpreter) -> None:
    for base, end, index in _memories(ours.program):
        memory = oracle.memory(index).tobytes()
        assert memory.rstrip(b"\0") == bytes(ours.memory[base:end]).rstrip(b"\0"), f"memory {index}"
    for name, (slot, type_) in ours.program.exported_globals.items():
        if type_ in ("i32", "i64"):
            wanted = oracle.value(next(e.index for e in module.exports if e.name == name))
            assert ours.slots.get(slot, 0) == wanted, (name, wanted, ours.slots.get(slot))
