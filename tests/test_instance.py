"""An instance as other code uses it: values of every kind, several threads, callbacks, calls that are given up."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import CheckpointError
from wasm2xformer.compiler.format.errors import EnvelopeError, Reason
from wasm2xformer.runtime import instance as instance_module
from wasm2xformer.runtime.world import World

WAT = """
(module
  (memory (export "memory") 1)
  (func (export "same32") (param i32) (result i32) (local.get 0))
  (func (export "same64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (param i32) (result i32) (local i32)
    (loop $l (br_if $l (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (local.get 0)))) (local.get 1))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "spin") (loop (br 0)))
  (func (export "trap") (unreachable)))
"""


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return w2x.compile(WAT)


@pytest.fixture
def vm(model: w2x.Model) -> w2x.Instance:
    return w2x.Instance(model)


def test_a_module_may_be_any_kind_of_bytes():
    wasm = wasmtime.wat2wasm('(module (func (export "f") (result i32) (i32.const 7)))')
    for data in (bytes(wasm), bytearray(wasm), memoryview(bytes(wasm)), np.frombuffer(wasm, dtype=np.uint8)):
        assert list(w2x.compile(data).program.entries) == ["f"]  # type: ignore[arg-type]
    library = bytearray(wasmtime.wat2wasm('(module (func (export "g") (result i32) (i32.const 9)))'))
    user = '(module (import "m" "g" (func (result i32))) (export "g" (func 0)) (func (export "h") (result i32) (call 0)))'
    assert w2x.Instance(w2x.compile(user, libraries={"m": library})).invoke("h").values == [9]  # type: ignore[dict-item]
    for wrong in (7, None, ["(module)"]):
        with pytest.raises(w2x.CompileError, match="neither WAT"):
            w2x.compile(wrong)  # type: ignore[arg-type]
    for text in ("(module \ud800)", b"(module \xe9)"):
        with pytest.raises(w2x.CompileError, match="WAT is UTF-8"):
            w2x.compile(text)


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("same32", np.int64(-5), -5), ("same32", np.uint8(200), 200), ("same64", np.uint64(2**63), -(2**63)),
        ("same32", 2**32 - 1, -1), ("f64", np.float32(0.5), 0.5), ("f32", np.float64(0.5), 0.5), ("f32", np.float32(0.1),
        float(np.float32(0.1))), ("f64", np.int8(0), 0.0), ("f64", 0x3FF0000000000000, 1.0),
    ],
)  # fmt: skip
def test_numbers_of_numpy_are_numbers(vm: w2x.Instance, name: str, value: Any, result: Any):
    assert vm.invoke(name, value).values == [result]
    report = w2x.verify(WAT, name, [value])
    assert report.ok and report.run.values == [result]


def test_a_path_is_no_model():
    with pytest.raises(w2x.ArgumentError, match=r"the model is 'm.safetensors', not a Model: load\(path\)"):
        w2x.Instance("m.safetensors")  # type: ignore[arg-type]


def test_a_nan_of_numpy_keeps_its_bits(vm: w2x.Instance):
    assert vm.invoke("f32", np.uint32(0x7FA12345).view(np.float32)).bits == [0x7FA12345]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda vm: vm.invoke("same32", 1.5), "argument 1 is 1.5, expected i32"),
        (lambda vm: vm.invoke("same32", True), "argument 1 is True, expected i32"),
        (lambda vm: vm.invoke("same32", np.bool_(True)), "expected i32"),
        (lambda vm: vm.invoke("same32", "5"), "argument 1 is '5', expected i32"),
        (lambda vm: vm.invoke("same32", 10**5000), "argument 1 = an integer of 16,610 bits does not fit into i32"),
        (lambda vm: vm.invoke("same32", "x" * 10**6), "argument 1 is 'xxx"),
        (lambda vm: vm.invoke("f32", 1e300), "argument 1 = 1e[+]300 does not fit into f32"),
        (lambda vm: vm.invoke("f64", None), "argument 1 is None, expected f64"),
        (lambda vm: vm.invoke("nothing"), "no exported function 'nothing'; there are: add, "),
        (lambda vm: vm.invoke(["add"]), "no exported function"),
        (lambda vm: vm.invoke("add", 1, 2, max_tokens=-1), "max_tokens: at least 1, not -1"),
        (lambda vm: vm.invoke("add", 1, 2, max_tokens=0), "max_tokens: at least 1, not 0"),
        (lambda vm: vm.invoke("add", 1, 2, max_tokens=1.5), "max_tokens: 1.5 is no integer"),
        (lambda vm: vm.invoke("add", 1, 2, timeout=0), "timeout: 0 is no number of seconds"),
        (lambda vm: vm.invoke("add", 1, 2, timeout=float("nan")), "timeout: nan is no number of seconds"),
        (lambda vm: vm.read_memory(0, -4), "the length is -4, below 0"),
        (lambda vm: vm.read_memory(-1, 4), "the address is -1, below 0"),
        (lambda vm: vm.read_memory(2**32, 1), "4294967296 is no address"),
        (lambda vm: vm.read_memory(0.5, 1), "the address is 0.5, not an integer"),
        (lambda vm: vm.write_memory(0, "text"), "write_memory: 'text' is no bytes"),
        (lambda vm: vm.write_memory(0, 5), "write_memory: 5 is no bytes"),
        (lambda vm: World(argv=["a\0b"]), "args: 'a.x00b' holds a zero byte"),
        (lambda vm: World(argv=["\ud800"]), "args: '.ud800' is no text"),
        (lambda vm: World(argv=[7]), "args: 7 is no text"),
        (lambda vm: World(env={"A=": "b"}), "env: 'A=' is no name"),
        (lambda vm: World(env={"": "b"}), "env: '' is no name"),
        (lambda vm: World(stdin="text"), "stdin: 'text' is no bytes"),
        (lambda vm: World(clock=float("nan")), "clock: nan is no time"),
        (lambda vm: World(random=b"1"), "random: 1 bytes"),
    ],
)
def test_what_cannot_be_called_or_told_is_said(vm: w2x.Instance, call: Callable[[Any], Any], message: str):
    with pytest.raises(w2x.ArgumentError, match=message):
        call(vm)
    assert vm.invoke("add", 1, 2).values == [3]  # nothing has happened


def test_memory_takes_every_kind_of_bytes(vm: w2x.Instance):
    vm.write_memory(np.int64(8), bytearray(b"abcde"))  # type: ignore[arg-type]
    vm.write_memory(16, np.arange(4, dtype=np.uint16))  # type: ignore[arg-type]
    assert vm.read_memory(8, np.int32(16)) == b"abcde\0\0\0\0\0\1\0\2\0\3\0"  # type: ignore[arg-type]


def test_errors_survive_pickle_and_copy(vm: w2x.Instance):
    """A pool of worker processes sends them so."""
    with pytest.raises(w2x.Trap) as trapped:
        vm.invoke("trap")
    for error in (pickle.loads(pickle.dumps(trapped.value)), copy.copy(trapped.value), copy.deepcopy(trapped.value)):
        assert isinstance(error, w2x.Trap) and str(error) == str(trapped.value)
        assert np.array_equal(error.run.tokens, trapped.value.run.tokens)
    reasons = [Reason("is not supported", "f", 7, "nop"), Reason("neither")]
    again = pickle.loads(pickle.dumps(w2x.CompileError(reasons)))
    assert again.reasons == reasons and str(again) == "function f, offset 0x7, nop: is not supported\nneither"
    for kind in (w2x.ArgumentError, w2x.Unfinished, w2x.InstanceError, CheckpointError, EnvelopeError):
        assert str(copy.copy(pickle.loads(pickle.dumps(kind("why"))))) == "why"


def test_threads_take_turns(vm: w2x.Instance):
    """As many calls as in a session of some minutes, of all kinds; every result is that of its own call."""
    wrong: list[Any] = []

    def work(number: int) -> None:
        try:
            for k in range(15):
                wrong.extend(v for v in vm.invoke("add", number, k, max_tokens=2000).values if v != number + k)
                vm.write_memory(64 * number, bytes([number, k, 3, 4, 5]))
                if vm.read_memory(64 * number, 5) != bytes([number, k, 3, 4, 5]) or vm.position <= 0:
                    wrong.append((number, k))
            if vm.invoke("count", 5000 + number).values != [5000 + number]:
                wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_threads_take_turns_at_a_verifier(model: w2x.Model):
    verifier = w2x.Verifier(WAT, model=model)
    reports: list[Any] = []

    def work(number: int) -> None:
        try:
            reports.extend(verifier.invoke("add", [number, k]) for k in range(8))
        except BaseException as error:
            reports.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.run.values[0] for r in reports if r.ok) == sorted(i + k for i in range(4) for k in range(8))


@pytest.mark.parametrize("calls_back", [lambda v: v.invoke("add", 1, 2), lambda v: v.read_memory(0, 4)])
def test_a_callback_cannot_call_back(model: w2x.Model, calls_back: Callable[[Any], Any]):
    """Neither to the instance nor to the verifier that calls it; what it may do is ask for the position."""
    vm, seen = w2x.Instance(model), []

    def progress(count: int) -> None:
        seen.append(vm.position)
        with pytest.raises(w2x.InstanceError, match="this instance is in the middle of count; a callback cannot call it"):
            calls_back(vm)

    assert vm.invoke("count", 3000, progress=progress).values == [3000]
    assert seen and vm.invoke("add", 1, 2).values == [3]
    verifier = w2x.Verifier(WAT, model=model)

    def refused(count: int) -> None:
        with pytest.raises(w2x.InstanceError, match="this verifier is in the middle of count"):
            verifier.read_memory(0, 4)

    assert verifier.invoke("count", [100], progress=refused).ok


class Stop(Exception):
    pass


def _raise(error: BaseException) -> Callable[[int], None]:
    def callback(count: int) -> None:
        raise error

    return callback


@pytest.mark.parametrize("engine", ["fast", "torch"])
@pytest.mark.parametrize(
    ("options", "raised"),
    [
        ({"max_tokens": 50}, w2x.Unfinished), ({"timeout": 0.2}, w2x.Unfinished),
        ({"progress": _raise(Stop())}, Stop), ({"progress": _raise(KeyboardInterrupt())}, KeyboardInterrupt),
    ],
)  # fmt: skip
def test_after_half_a_call_there_is_no_other(model: w2x.Model, engine: str, options: Any, raised: type[BaseException]):
    vm = w2x.Instance(model, engine)
    with pytest.raises(raised) as error:
        vm.invoke("spin", **options)
    if raised is w2x.Unfinished:
        assert "spin: not finished after " in str(error.value)
    for call in (lambda: vm.invoke("add", 1, 2), lambda: vm.read_memory(0, 4), lambda: vm.write_memory(0, b"x")):
        with pytest.raises(w2x.InstanceError, match="this instance stopped in the middle of spin; make a new one"):
            call()


def test_a_verifier_that_was_given_up_compares_nothing_more(model: w2x.Model):
    verifier = w2x.Verifier(WAT, model=model)
    assert verifier.invoke("trap").ok and verifier.invoke("add", [1, 2]).ok
    with pytest.raises(w2x.Unfinished):
        verifier.invoke("spin", timeout=0.1)
    with pytest.raises(w2x.InstanceError, match="this verifier stopped in the middle of spin"):
        verifier.invoke("add", [1, 2])


def test_a_start_function_has_limits_too():
    model = w2x.compile('(module (func $s (loop (br 0))) (start $s) (func (export "f")))')
    for limit in ({"max_tokens": 100}, {"timeout": 0.1}):
        with pytest.raises(w2x.Unfinished, match="start function: not finished after "):
            w2x.Instance(model, **limit)  # type: ignore[arg-type]


def test_a_timeout_also_ends_the_reading_of_a_long_input():
    model = w2x.compile("""(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "f") (drop (call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))""")
    vm = w2x.Instance(model, stdin=bytes(1 << 20))
    with pytest.raises(w2x.Unfinished, match=r"not finished after 1e-09 seconds \(0 tokens\)"):
        vm.invoke("f", timeout=1e-9)


def test_waiting_for_a_turn_can_be_interrupted(vm: w2x.Instance):
    """A thread that waits holds nothing: the call inside goes on and the instance stays whole."""
    inside, go = threading.Event(), threading.Event()

    def hold(count: int) -> None:
        inside.set()
        go.wait(60)

    first = threading.Thread(target=lambda: vm.invoke("count", 10, progress=hold))
    first.start()
    assert inside.wait(60)
    results: list[Any] = []
    second = threading.Thread(target=lambda: results.append(vm.invoke("add", 1, 2).values))
    second.start()
    time.sleep(0.05)
    assert results == []
    go.set()
    first.join()
    second.join()
    assert results == [[3]]


def test_tokens_and_steps_are_put_together_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, model: w2x.Model
) -> None:
    whole = w2x.Instance(model).invoke("count", 50)
    monkeypatch.setattr(instance_module, "FIRST_CHUNK", 3)
    monkeypatch.setattr(instance_module, "LAST_CHUNK", 5)
    run = w2x.Instance(model).invoke("count", 50)
    assert callable(vars(run)["tokens"]) and callable(vars(run)["steps"])
    for each in (pickle.loads(pickle.dumps(run)), replace(run, stdout=b"changed"), run):
        assert each.values == whole.values == [50] and each.steps == whole.steps > 100
        np.testing.assert_array_equal(each.tokens, whole.tokens)
        assert each.tokens is each.tokens
