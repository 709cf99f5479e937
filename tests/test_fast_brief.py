"""Short sequences are decoded with code that is made quickly, longer ones go on with the other: the tokens are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime.fast import engine
from wasm2xformer.runtime.fast.engine import FastEngine
from wasm2xformer.runtime.fast.interface import Refused

ROOT = Path(__file__).resolve().parent.parent
MEMORY = """(module (memory (export "memory") 1) (global $calls (mut i32) (i32.const 0))
  (func (export "add") (param i32) (result i32) (local i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (loop (i32.store (i32.and (local.get 0) (i32.const 1020))
        (i32.add (local.get 1) (i32.load (i32.and (local.get 0) (i32.const 1020)))))
      (local.set 1 (i32.add (local.get 1) (global.get $calls)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (i32.load (i32.const 8))))"""


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WASM2XFORMER_CODE")
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    monkeypatch.setattr(engine, "SOON", 500)


@cache
def program() -> Model:
    return w2x.compile(MEMORY)


def session(vm: w2x.Instance) -> list[list[int]]:
    """Tokens of calls, short and long ones."""
    return [vm.invoke("add", n).tokens.tolist() for n in (1, 3, 2, 7, 40, 3, 25)]


def whole(monkeypatch: pytest.MonkeyPatch) -> w2x.Instance:
    with monkeypatch.context() as patch:
        patch.setenv("WASM2XFORMER_CODE", "whole")
        vm = w2x.Instance(program())
    assert not vm._engine._program.brief
    return vm


@pytest.mark.parametrize("soon", [1, 2, 9, 50, 500, 2**14])
def test_the_same_tokens_wherever_the_code_changes(monkeypatch: pytest.MonkeyPatch, soon: int):
    expected = session(whole(monkeypatch))
    monkeypatch.setattr(engine, "SOON", soon)
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    vm = w2x.Instance(program())
    assert vm._engine._program.brief
    assert session(vm) == expected
    assert vm._engine._program.brief == (vm._engine.behind <= soon)
    if soon == 9:
        assert session(w2x.Instance(program(), engine="torch"))[:3] == expected[:3]


def test_what_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A run that stays short is found again as it is; one that does not leaves what all others begin with."""
    made: list[bool] = []
    compiled = engine.load_or_compile.__globals__["_compile"]
    monkeypatch.setitem(
        engine.load_or_compile.__globals__, "_compile", lambda *a: made.append(a[3]) or compiled(*a)  # type: ignore[func-returns-value]
    )
    first = w2x.Instance(program()).invoke("add", 3).tokens.tolist()
    second = w2x.Instance(program())
    assert second.invoke("add", 3).tokens.tolist() == first and made == [True] and second._engine._program.brief
    session(second)
    assert made == [True, False] and not second._engine._program.brief
    third = w2x.Instance(program())
    assert third.invoke("add", 3).tokens.tolist() == first and made == [True, False] and not third._engine._program.brief
    assert len([*tmp_path.rglob("*.brief.bin")]) == 1


def test_a_long_prompt(monkeypatch: pytest.MonkeyPatch):
    source = ROOT / "programs/c/word_count.wasm"
    text = (source.with_suffix(".in").read_bytes() * 3)[:1500]
    model = w2x.compile(source)
    run = w2x.Instance(model, stdin=text)
    assert run._engine._program.brief
    out = run.invoke("_start").stdout
    assert not run._engine._program.brief
    monkeypatch.setenv("WASM2XFORMER_CODE", "whole")
    assert w2x.Instance(model, stdin=text).invoke("_start").stdout == out != b""


def test_what_is_not_followed_is_read_again(monkeypatch: pytest.MonkeyPatch):
    """A token that may only stand at the first position comes again, before and after the code has changed."""
    stops = whole(monkeypatch)._tokens.stops
    for soon in (500, 20):
        monkeypatch.setattr(engine, "SOON", soon)
        engines = [w2x.Instance(program())._engine, whole(monkeypatch)._engine]
        (floor,) = engines[0]._image.floors
        entry, digit = (program().transformer.vocabulary.index(name) for name in ("I.0", "D0.3"))
        for e in engines:
            for prompt in ([entry, digit], [entry, digit], [floor, entry, digit], [entry, digit]):
                e.append(np.array(prompt))
                e.said = [*getattr(e, "said", []), e.decode(stops, 200).tolist()]
        assert engines[0].said == engines[1].said and len(engines[0].said) == 4
        assert not engines[0]._trusting and not engines[1]._trusting


def test_improve_goes_on_with_the_other_code():
    vm = w2x.Instance(program())
    first = vm.invoke("add", 3).tokens.tolist()
    vm._engine.improve()
    assert not vm._engine._program.brief and not vm._engine._program.text
    again = w2x.Instance(program())
    assert [again.invoke("add", 3).tokens.tolist(), again.invoke("add", 9).tokens.tolist()] == [
        first, vm.invoke("add", 9).tokens.tolist(),
    ]  # fmt: skip


def test_where_the_other_code_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    expected = session(whole(monkeypatch))
    load = engine.load_or_compile

    def refusing(model, probe=None, trusting=True, brief=False):
        if not brief:
            raise Refused("too many instructions")
        return load(model, probe, trusting, brief)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "load_or_compile", refusing)
        vm = w2x.Instance(program())
        assert session(vm) == expected and vm._engine._program.brief and not vm._engine._briefly


def test_a_probe_and_a_switch_want_the_other_code(monkeypatch: pytest.MonkeyPatch):
    model = program().transformer
    assert not FastEngine(model, next(iter(model.probes)))._program.brief
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "always")
    assert not FastEngine(model)._program.brief
