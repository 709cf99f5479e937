"""Values of which compiling makes millions, and the garbage collector meanwhile."""

import gc
import pickle
import threading

import pytest

from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import Site, Slot, Step
from wasm2xformer.compiler.format.records import collecting_later


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
