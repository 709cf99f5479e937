"""Values of which compiling makes millions, and the garbage collector meanwhile."""

import gc
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import Site, Slot, Step
from wasm2xformer.compiler.format.operations import OPERATIONS
from wasm2xformer.compiler.format.records import collecting_later
from wasm2xformer.compiler.format.types import FuncType
from wasm2xformer.compiler.format.validate import _check_address, _is_usual, check_operands

ROOT = Path(__file__).resolve().parent.parent
VALUES: dict[str, Any] = {name: Slot("frame", 7) for name in ("a", "b", "c", "d", "dest")}
VALUES |= {"imm": 9, "target": 3, "targets": (3,), "callee": 1, "type": FuncType(("i32",)), "trap": "unreachable"}


def test_a_record_is_its_fields():
    step = Step("i32.add", Slot("frame", 1), Slot("const", 2), dest=Slot("frame", 3), site=Site(0, 4, "value"))
    same = step.but(imm=5).but(imm=0)
    assert (step, hash(step)) == (same, hash(same)) and step is not same
    assert step != step.but(dest=Slot("frame", 4)) and Slot("frame", 1) != ("frame", 1)
    assert pickle.loads(pickle.dumps(step)) == step and not gc.is_tracked(step)
    with pytest.raises(AttributeError):
        step.imm = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        step.but(nothing=5)


ODD: tuple[Any, ...] = (
    None, "", (), 0, 1, -1, 2**32 - 1, 2**32, 2**53, True, "x", (3,), 1.0, FuncType(("i32",)), Slot("frame", 0),
    Slot("frame", 99), Slot("frame", "r"), Slot("frame", True), Slot("const", 2**32), Slot("const", -1), Slot("hidden", ""),
    Slot("hidden", "r"),
    Slot("hidden", 3), Slot("global", 2), Slot("nowhere", 1),  # type: ignore[arg-type]
)  # fmt: skip


def test_what_is_not_looked_at_closely_is_as_it_has_to_be():
    """Steps of all operations, each with something odd in one field."""
    program, _ = compile_steps(ROOT / "programs/float/nbody.wasm")
    usual = {False: 0, True: 0}
    for step in [Step(op, **{name: VALUES[name] for name in o.operands}) for op, o in OPERATIONS.items()]:
        assert _is_usual(step, 50), step
        for changed in (step.but(**{field: odd}) for field in Step.__struct_fields__ for odd in ODD if field != "site"):
            quickly = _is_usual(changed, 50)
            usual[quickly] += 1
            if quickly:
                check_operands(changed, 50)
                _check_address(program, changed)
    assert min(usual.values()) > 1000


def test_steps_of_a_program_say_no_limits():
    """They are for passes before it; two programs that differ in nothing else are the same."""
    program, _ = compile_steps('(module (memory 1) (func (export "f") (param i32) (result i32) '
                               "(i32.load offset=8 (i32.and (local.get 0) (i32.const 255)))))")  # fmt: skip
    assert any(step.operation.access for step in program.steps)
    assert not any(step.limits for step in program.steps)


def test_collecting_is_put_off_and_taken_up_again():
    """Whoever leaves last, in whatever order threads do."""
    assert gc.isenabled()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collecting_later():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with pytest.raises(KeyError), collecting_later(), collecting_later():
        thread.start()
        inside.wait()
        assert not gc.isenabled()
        raise KeyError
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_who_has_no_collector_gets_none():
    gc.disable()
    try:
        with collecting_later():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
