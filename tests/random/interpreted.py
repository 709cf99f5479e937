"""Random modules without weights: their steps, interpreted, against wasmtime; what has to hold between the passes; and the walk
of `verify` over steps and instructions, of which every fault that it tells here is a false alarm, or one of the compiler's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import wasmtime

from tests.step_interpreter import Exhausted, StepInterpreter, StepTrap
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import TRAPS, Program
from wasm2xformer.compiler.format.limits import PAGE
from wasm2xformer.compiler.optimise.invariants import check
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.module import Export
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.oracle.added_functions import bits_entry
from wasm2xformer.runtime.check.translation import TranslationCheck

from .case import Case

BITS = "bits of "


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
    ours = StepInterpreter(program, steps)
    store, exports = _instance(case)
    traps = 0
    for number, call in enumerate(case.calls):
        wanted = _call(exports[BITS + call.export], store, call.args)
        bits = [value % _modulus(t) for value, t in zip(call.args, program.entries[call.export].params, strict=True)]
        try:
            actual: Any = ours.invoke(call.export, *bits)
        except StepTrap as trap:
            actual = TRAPS[trap.kind]
            traps += 1
        except Exhausted:
            return number, traps
        if isinstance(wanted, str):
            assert isinstance(actual, str) and actual in wanted, (call, wanted, actual)
        else:
            results = [v % _modulus(t) for v, t in zip(wanted, program.entries[call.export].results, strict=True)]
            assert actual == results, (call, results, actual)
        _compare_state(store, exports, ours)
    return len(case.calls), traps


def _instance(case: Case) -> tuple[wasmtime.Store, Any]:
    """Of wasmtime, and its exports; those that are functions also as BITS + name, with floats as the integers of their bits."""
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    engine = wasmtime.Engine(config)
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    for name, library in case.libraries.items():
        linker.define_instance(
            store, name, linker.instantiate(store, wasmtime.Module(engine, wasmtime.wat2wasm(library)))
        )
    module = load(case.source).module
    functions = [e for e in module.exports if e.kind == "func"]
    entries = [bits_entry(module.functions[e.index], e.index, objects=0) for e in functions]
    added = [Export(BITS + e.name, "func", len(module.functions) + k) for k, e in enumerate(functions)]
    module = replace(module, functions=(*module.functions, *entries), exports=(*module.exports, *added))
    return store, linker.instantiate(store, wasmtime.Module(engine, encode(module))).exports(store)


def _modulus(type_: str) -> int:
    return 2**64 if type_ in ("i64", "f64") else 2**32


def _call(function: Any, store: wasmtime.Store, args: tuple[int, ...]) -> str | list[int]:
    """Results as wasmtime has them, or what it says of a trap. args: bit patterns, signed or not."""
    types = [str(t) for t in function.type(store).params]
    wrapped = [(a + _modulus(t) // 2) % _modulus(t) - _modulus(t) // 2 for a, t in zip(args, types, strict=True)]
    try:
        result = function(store, *wrapped)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        return str(error)
    return [] if result is None else result if isinstance(result, list) else [result]


def _memories(program: Program) -> list[tuple[int, int, int]]:
    """Beginning, end and index of each memory in use, which is exported."""
    if program.memories:
        return [(m.base, m.base + m.maximum * PAGE, m.source) for m in program.memories]
    return [(0, program.memory_maximum * PAGE, 0)] if program.host else []


def _compare_state(store: wasmtime.Store, exports: Any, ours: StepInterpreter) -> None:
    for base, end, index in _memories(ours.program):
        name = ("memory", "second")[index]
        if name in exports:
            memory = bytes(exports[name].read(store))
            assert memory.rstrip(b"\0") == bytes(ours.memory[base:end]).rstrip(b"\0"), name
    for name, (slot, type_) in ours.program.exported_globals.items():
        if type_ in ("i32", "i64"):
            wanted = exports[name].value(store) % _modulus(type_)
            assert ours.slots.get(slot, 0) == wanted, (name, wanted, ours.slots.get(slot))
