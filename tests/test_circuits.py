"""Every operation that computes: one decoded step of the machine gives the value of the step interpreter."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import realise
from wasm2xformer.compiler.format.isa import TRAPS, Entry, Program, Slot, Step, StepFunction
from wasm2xformer.compiler.format.operations import OPERATIONS
from wasm2xformer.compiler.format.types import FuncType
from wasm2xformer.compiler.format.validate import validate
from wasm2xformer.compiler.wasm.module import Module

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.random.case import EDGES
from tests.step_interpreter import StepInterpreter, StepTrap

COMPUTING = [
    o for o in OPERATIONS.values() if (o.effect == "value" and not o.space and o.name != "param") or o.branches
]
NAMES = {4: "i32", 8: "i64", 0: "i64"}


def program() -> Program:
    """A function and an entry for each operation: the operands are its parameters, the value its result."""
    steps, functions, entries = [], {}, {}
    frame = [Slot("frame", i) for i in range(4)]
    for index, o in enumerate(COMPUTING):
        names = [n for n in "abcd" if n in o.operands]
        params = tuple("i32" if n == "c" else NAMES[o.operand_width] for n in names)
        result = "i32" if o.branches else NAMES[o.width]
        operands = dict(zip(names, frame, strict=False))
        start = len(steps)
        if o.branches:
            steps += [Step(o.name, **operands, target=start + 3), Step("mov", a=Slot("const", 0), dest=frame[0])]
            steps += [Step("return"), Step("mov", a=Slot("const", 1), dest=frame[0]), Step("return")]
        else:
            steps += [Step(o.name, **operands, dest=frame[0], wide=o.by_step), Step("return")]
        type_ = FuncType(params, (result,))
        functions[index] = StepFunction(index, o.name, type_, start, len(steps), 4)
    for index, o in enumerate(COMPUTING):
        type_ = functions[index].type
        entries[o.name] = Entry(o.name, len(steps), type_.params, type_.results)
        steps += [Step("param", dest=Slot("frame", 1 + i), wide=t == "i64") for i, t in enumerate(type_.params)]
        steps += [Step("call", callee=index, imm=1)]
        steps += [Step("result", a=Slot("frame", 1), wide=type_.results == ("i64",)), Step("halt")]
    return Program(tuple(steps), functions, entries)


def test_circuits_compute_what_the_steps_say():
    made = program()
    validate(made)
    machine, interpreter = w2x.Instance(realise(made, Module())), StepInterpreter(made)
    rng = random.Random("circuits")
    for name, entry in made.entries.items():
        for _ in range(8):
            bits = [rng.choice((rng.choice(EDGES[n]), rng.getrandbits(n))) for n in (int(t[1:]) for t in entry.params)]
            try:
                wanted = interpreter.invoke(name, *bits)
            except StepTrap as trap:
                wanted = TRAPS[trap.kind]
            try:
                found = machine.invoke(name, *bits).bits
            except w2x.Trap as trap:
                found = trap.run.trap
                machine = w2x.Instance(machine.model)
            assert found == wanted, (name, bits)
