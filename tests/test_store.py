"""Instances that share state: what one has changed the others see, also those that are made later; and wasmtime says the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

import wasm2xformer as w2x
from tests import stores
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.link import compose
from wasm2xformer.compiler.link.part_imports import can_change, shared_with
from wasm2xformer.compiler.link.parts import Part, owner
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.store_group import InstanceMachine

COUNTER = """(module
  (memory (export "memory") 1) (table (export "table") 4 funcref) (global $n (export "n") (mut i32) (i32.const 5))
  (func (export "next") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store (i32.const 16) (global.get $n)) (global.get $n))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"""
READER = """(module
  (import "counter" "memory" (memory 1)) (import "counter" "n" (global $n (mut i32))) (import "counter" "table" (table 4 funcref))
  (memory (export "memory") 1) (data (memory 1) (i32.const 3) "own")
  (data (i32.const 20) "abcd") (elem (i32.const 2) $get)
  (func $get (result i32) (global.get $n))
  (func (export "see") (result i32) (i32.load (i32.const 16)))
  (func (export "set") (param i32) (global.set $n (local.get 0))))"""


@pytest.fixture(params=[w2x.Store, w2x.VerifiedStore])
def store(request: pytest.FixtureRequest) -> w2x.Store:
    return request.param()


def test_what_one_has_changed_the_later_one_sees(store: w2x.Store):
    counter = store.instantiate(COUNTER)
    assert [counter.invoke("next").values for _ in range(2)] == [[6], [7]]
    counter.write_memory(30, b"before")
    reader = store.instantiate(READER, {"counter": counter})
    assert reader.invoke("see").values == [7]
    assert counter.read_memory(16, 20) == b"\x07\0\0\0abcd" + bytes(6) + b"before"
    assert reader.read_memory(0, 8) == b"\0\0\0own\0\0"
    reader.invoke("set", 100)
    assert counter.invoke("call", 2).values == [100] and counter.read_global("n") == 100
    assert counter.invoke("next").values == reader.invoke("see").values == [101]
    with pytest.raises(w2x.Trap, match="uninitialized element"):
        counter.invoke("call", 1)
    if isinstance(store, w2x.VerifiedStore):
        assert store.reports and all(report.ok for report in store.reports)


def test_what_a_failed_instantiation_has_changed_stays(store: w2x.Store):
    counter = store.instantiate(COUNTER)
    with pytest.raises(w2x.Trap, match="out of bounds memory access"):
        store.instantiate(
            """(module (import "c" "memory" (memory 1)) (data (i32.const 0) "stays")
            (data (i32.const 65530) "does not fit"))""",
            {"c": counter},
        )
    assert counter.read_memory(0, 6) == b"stays\0"
    with pytest.raises(w2x.Trap, match="unreachable"):
        store.instantiate(
            """(module (import "c" "table" (table 4 funcref)) (memory 1) (data (i32.const 0) "\\2a")
            (elem (i32.const 1) $f) (func $f (result i32) (i32.load8_u (i32.const 0)))
            (func $start (i32.store8 (i32.const 0) (i32.const 43)) (unreachable)) (start $start))""",
            {"c": counter},
        )
    assert counter.invoke("call", 1).values == [43]  # of an instance that is not there
    # Where only its own memory is too small, nothing of it is left.
    with pytest.raises(w2x.Trap, match="out of bounds memory access"):
        store.instantiate(
            '(module (import "c" "n" (global (mut i32))) (memory 0) (data (i32.const 0) "x"))', {"c": counter}
        )
    assert counter.invoke("next").values == [6]


def test_a_start_function_runs_when_the_instance_is_made(store: w2x.Store):
    counter = store.instantiate(COUNTER)
    counter.invoke("next")
    user = store.instantiate(
        """(module (import "c" "next" (func $next (result i32))) (import "c" "n" (global $n (mut i32)))
        (func $start (drop (call $next)) (global.set $n (i32.mul (global.get $n) (i32.const 10))))
        (start $start) (export "again" (func $next)))""",
        {"c": counter},
    )
    assert counter.read_global("n") == 70 and user.invoke("again").values == [71]


def test_a_memory_is_imported_as_large_as_it_is(store: w2x.Store):
    grown = store.instantiate(
        """(module (memory (export "m") 1 9) (table (export "t") 1 9 funcref)
        (func (export "grow") (result i32) (drop (table.grow (ref.null func) (i32.const 2))) (memory.grow (i32.const 1))))"""
    )
    wanted = """(module (import "g" "m" (memory 2)) (import "g" "t" (table 3 funcref))
        (func (export "sizes") (result i32 i32) (memory.size) (table.size 0)))"""
    with pytest.raises(w2x.CompileError, match='"g" "m" \\(memory\\): at least 2 pages wanted, g has 1'):
        store.instantiate(wanted, {"g": grown})
    assert grown.invoke("grow").values == [1]
    user = store.instantiate(wanted, {"g": grown})
    assert user.invoke("sizes").values == [2, 3]
    assert grown.invoke("grow").values == [2] and user.invoke("sizes").values == [3, 5]


OBJECTS = """(module (type $box (struct (field (mut i32)))) (global $kept (export "kept") (mut (ref null $box)) (ref.null $box))
  (func (export "box") (param i32) (result anyref) (global.set $kept (struct.new $box (local.get 0))) (global.get $kept))
  (func (export "open") (param anyref) (result i32) (struct.get $box 0 (ref.cast (ref $box) (local.get 0))))
  (func (export "kept_open") (result i32) (struct.get $box 0 (global.get $kept))))"""
MORE_OBJECTS = """(module (type $box (struct (field (mut i32)))) (import "o" "kept" (global $kept (mut (ref null $box))))
  (global $own (ref $box) (struct.new $box (i32.const 77)))
  (func (export "set") (param anyref i32) (struct.set $box 0 (ref.cast (ref $box) (local.get 0)) (local.get 1)))
  (func (export "own") (result anyref) (global.get $own)))"""


def test_objects_keep_their_names_where_the_program_has_others(store: w2x.Store):
    first = store.instantiate(OBJECTS)
    (one,) = first.invoke("box", 1).values
    (two,) = first.invoke("box", 2).values
    assert one != two
    second = store.instantiate(MORE_OBJECTS, {"o": first})
    second.invoke("set", one, 11)
    assert [first.invoke("open", each).values for each in (one, two)] == [[11], [2]]
    assert first.invoke("kept_open").values == [2]
    (own,) = second.invoke("own").values
    assert own not in (one, two) and first.invoke("open", own).values == [77]
    kept = first.read_global("kept")
    assert kept == two
    with pytest.raises(w2x.ArgumentError, match="no call of instances that share state"):
        store.instantiate(OBJECTS).invoke("open", one)


def test_functions_go_by_their_indices_in_the_instances_own_module():
    store = w2x.Store()
    first = store.instantiate(COUNTER)
    second = store.instantiate(
        """(module (import "c" "table" (table $t 4 funcref)) (import "c" "next" (func $next (result i32)))
        (func $three (result i32) (i32.const 3)) (elem declare func $three $next)
        (func (export "all") (drop (ref.func $three)) (drop (ref.func $next)))
        (func (export "set") (param i32 funcref) (table.set $t (local.get 0) (local.get 1)))
        (func (export "get") (param i32) (result funcref) (table.get $t (local.get 0))))""",
        {"c": first},
    )
    second.invoke("set", 0, 1)
    assert first.invoke("call", 0).values == [3] and second.invoke("get", 0).values == [1]
    second.invoke("set", 0, 0)
    assert first.invoke("call", 0).values == [6] and second.invoke("get", 0).values == [0]
    with pytest.raises(w2x.ArgumentError, match=r"argument 2 = 2 is not the index .*; there are: 0, 1"):
        second.invoke("set", 0, 2)
    with pytest.raises(w2x.ArgumentError, match="set takes 2 arguments \\(i32, funcref\\), got 1"):
        second.invoke("set", 0)


def test_who_shares_nothing_has_a_program_of_its_own():
    store = w2x.Store()
    constants = store.instantiate(
        """(module (global $g (export "g") i32 (i32.const 7)) (memory 1) (global $n (mut i32) (i32.const 0))
        (func $twice (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))
        (func (export "f") (param i32) (result i32) (call $twice (i32.add (global.get $g) (local.get 0))))
        (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"""
    )
    users = [
        store.instantiate(f'(module (import "c" "{name}" (func $f {type_})) (export "f" (func $f)))', {"c": constants})
        for name, type_ in (("f", "(param i32) (result i32)"), ("count", "(result i32)"))
    ]
    groups = store._groups
    assert groups[users[0].member] is not groups[constants.member] is groups[users[1].member]
    assert users[0].invoke("f", 1).values == [16]
    assert [constants.invoke("count").values, users[1].invoke("f").values] == [[1], [2]]


@pytest.mark.parametrize(
    "body",
    [
        "(global.get $n)", "(i32.load (i32.const 0))", "(call_indirect (result i32) (i32.const 0))", "(call $host)",
        "(memory.size)", "(table.size 0)", "(call $state)", "(throw $e)", "(ref.is_null (ref.func $state))",
    ],
)  # fmt: skip
def test_what_can_change_is_shared(body: str):
    modules = [
        f"""(module (import "h" "h" (func $host (result i32))) (memory 1) (table 1 funcref) (tag $e)
        (global $n (mut i32) (i32.const 0)) (func $state (result i32) (global.get $n)) (elem declare func $state)
        (func $f (result i32) {body}) (func (export "f") (result i32) (i32.const 1) (drop) (call $f)))""",
        '(module (import "a" "f" (func (result i32))))',
    ]
    parts = [Part(load(modules[0]).module, {}), Part(load(modules[1]).module, {"a": 0})]
    assert shared_with(parts, 1) == {0}


def test_a_call_that_is_given_up_has_not_been_made(store: w2x.Store):
    spinning = store.instantiate(
        """(module (global $n (export "n") (mut i32) (i32.const 0)) (memory (export "m") 1)
        (func (export "count") (param i32) (loop $l
          (global.set $n (i32.add (global.get $n) (i32.const 1))) (br_if $l (i32.ne (global.get $n) (local.get 0))))))"""
    )
    spinning.invoke("count", 3)
    for _ in range(2):
        with pytest.raises(w2x.Unfinished):
            spinning.invoke("count", 0, max_tokens=500)
        assert spinning.read_global("n") == 3
    with pytest.raises(w2x.Unfinished):
        store.instantiate(
            '(module (import "s" "m" (memory 1)) (data (i32.const 0) "x") (func $s (loop (br 0))) (start $s))',
            {"s": spinning}, max_tokens=500,
        )  # fmt: skip
    assert spinning.read_memory(0, 1) == b"\0"
    spinning.invoke("count", 5)
    assert spinning.read_global("n") == 5


GROWING = """(module (import "c" "n" (global (mut i32))) (memory (export "memory") 1)
  (func (export "grow") (param i32) {result} (memory.grow (local.get 0)) {drop}))"""


@pytest.mark.parametrize("kept", [True, False])
def test_room_that_is_shared_by_more_is_refused_where_it_was_used(kept: bool):
    """One memory may have 65,536 pages, and each of two that may grow as far as they like fewer."""
    store = w2x.Store()
    counter = store.instantiate(COUNTER)
    text = GROWING.format(result="(result i32)" if kept else "", drop="" if kept else "(drop)")
    first = store.instantiate(text, {"c": counter})
    first.invoke("grow", 40_000)
    with pytest.raises(w2x.CompileError, match=r"together with|beside the others'"):
        store.instantiate(text, {"c": counter})
    assert first.read_memory(39_000 << 16, 4) == bytes(4)  # nothing has changed
    with pytest.raises(w2x.Trap):
        counter.read_memory(1 << 16, 1)


def test_a_trap_of_the_models_own_has_to_come_as_late_as_before(monkeypatch: pytest.MonkeyPatch):
    store = w2x.Store()
    deep = store.instantiate(
        """(module (global $n (export "n") (mut i32) (i32.const 0))
        (func $f (param i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $f (global.get $n)))
        (func (export "f") (call $f (i32.const 1))))"""
    )
    user = '(module (import "d" "n" (global $n (mut i32))) (func (export "n") (result i32) (global.get $n)))'
    with pytest.raises(w2x.Trap, match="call stack exhausted"):
        deep.invoke("f")
    depth = deep.read_global("n")
    assert depth > 100_000 and store.instantiate(user, {"d": deep}).invoke("n").values == [depth]
    invoke = InstanceMachine.invoke

    def one_less(self: Any, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> w2x.Run:
        run = invoke(self, name, args, options)
        run.steps -= 1
        return run

    monkeypatch.setattr(InstanceMachine, "invoke", one_less)
    with pytest.raises(w2x.CompileError, match="it trapped"):
        store.instantiate(user, {"d": deep})


def test_where_nothing_changes_a_new_sequence_begins_when_one_is_full(monkeypatch: pytest.MonkeyPatch):
    invoke, calls = InstanceMachine.invoke, []

    def full(self: Any, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> w2x.Run:
        calls.append(self)
        if calls.count(self) > 1:
            raise EnvelopeError("full")
        return invoke(self, name, args, options)

    monkeypatch.setattr(InstanceMachine, "invoke", full)
    store = w2x.Store()
    square = store.instantiate(
        '(module (func (export "f") (param i32) (result i32) (i32.mul (local.get 0) (local.get 0))))'
    )
    assert [square.invoke("f", n).values for n in range(4)] == [[0], [1], [4], [9]]
    counter = store.instantiate(COUNTER)
    counter.invoke("next")
    with pytest.raises(EnvelopeError):
        counter.invoke("next")


@pytest.mark.parametrize(
    "body",
    [
        "(global.set $n (i32.const 1))", "(i32.store (i32.const 0) (i32.const 1))", "(drop (memory.grow (i32.const 1)))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 1))", "(table.set 0 (i32.const 0) (ref.null func))",
        "(elem.drop 0)", "(data.drop 0)", "(drop (struct.new $s))", "(throw $e)",
        "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))", "(v128.store (i32.const 0) (v128.const i64x2 0 0))",
    ],
)  # fmt: skip
def test_what_leaves_something_behind(body: str):
    text = """(module (type $s (struct)) (memory 1) (table 1 funcref) (global $n (mut i32) (i32.const 0)) (tag $e)
      (elem funcref) (data "x")
      (func (export "f") (result i32) (drop (table.get 0 (i32.const 0))) {} (i32.load (i32.const 0))))"""
    assert can_change(load(text.format(body)).module) and not can_change(load(text.format("")).module)


def test_a_library_allocates_for_another(store: w2x.Store):
    library = store.instantiate(
        """(module (memory (export "memory") 1) (global $top (mut i32) (i32.const 64))
        (func (export "malloc") (param i32) (result i32)
          (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0)))))"""
    )
    first = library.alloc(b"one\0")
    user = store.instantiate(
        """(module (import "l" "memory" (memory 1)) (import "l" "malloc" (func $malloc (param i32) (result i32)))
        (func (export "copy") (param i32) (result i32) (local i32) (local.set 1 (call $malloc (i32.const 4)))
          (memory.copy (local.get 1) (local.get 0) (i32.const 4)) (local.get 1)))""",
        {"l": library},
    )
    (second,) = user.invoke("copy", first).values
    assert (first, second) == (64, 68) and library.read_string(second) == b"one" and library.alloc(8) == 72


def test_random_stores():
    done = stores.run(2, 1, 10)
    assert done["shared"] == 1 and done["traps"] and done["calls"] > 2 and done["steps"] > 100


def test_random_stores_that_forget_a_segment_are_told(monkeypatch: pytest.MonkeyPatch):
    whole = compose._Composer._instantiation

    def forgetting(self: Any, place: int) -> list[compose.Instr]:
        code = [*whole(self, place), compose.Instr("nop")]
        return [compose.Instr("i32.const", (0,)) if b.name == "memory.init" else a for a, b in pairwise(code)]

    monkeypatch.setattr(compose._Composer, "_instantiation", forgetting)
    with pytest.raises(w2x.DivergenceError, match="memory 0 is not what"):
        for seed in range(4):
            stores.run(seed, 1, 10)


def test_wrong_use_is_told():
    store = w2x.Store()
    counter = store.instantiate(COUNTER)
    for wrong in (w2x.Store().instantiate(COUNTER), 7):
        with pytest.raises(w2x.ArgumentError, match="which is no instance of this store"):
            store.instantiate(READER, {"counter": wrong})  # type: ignore[dict-item]
    with pytest.raises(w2x.CompileError, match='the import "counter" "memory" \\(memory\\) is not provided'):
        store.instantiate(READER)
    with pytest.raises(w2x.CompileError, match="imported as mutable i64, c has mutable i32"):
        store.instantiate('(module (import "c" "n" (global (mut i64))))', {"c": counter})
    with pytest.raises(w2x.CompileError, match="imported as a func, c has a global"):
        store.instantiate('(module (import "c" "n" (func)))', {"c": counter})
    with pytest.raises(w2x.ArgumentError, match="no exported function 'nxt'; there are: call, next"):
        counter.invoke("nxt")
    with pytest.raises(w2x.ArgumentError, match="no exported global 'm'; there are: n"):
        counter.read_global("m")
    with pytest.raises(w2x.ArgumentError, match="does not export a memory"):
        store.instantiate('(module (import "c" "n" (global (mut i32))))', {"c": counter}).read_memory(0, 1)
    assert counter.invoke("next").values == [6]


WRITER = """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32))) {memory}
  (data (i32.const 8) "\\10\\00\\00\\00\\02\\00\\00\\00{letter}\\0a")
  (func (export "say") (result i32) (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))"""


def test_the_host_works_on_the_memory_of_who_calls_it():
    store = w2x.Store()
    plain = store.instantiate(COUNTER)
    said = store.instantiate(WRITER.format(memory='(memory (export "memory") 1)', letter="a"))
    user = """(module (import "w" "say" (func $say (result i32))) (import "c" "next" (func (result i32)))
      (memory 1) (export "say" (func $say)))"""
    both = store.instantiate(user, {"w": said, "c": plain})
    assert both.invoke("say").stdout == said.invoke("say").stdout == b"a\n"
    other = WRITER.format(memory='(import "c" "memory" (memory 1))', letter="b")
    with pytest.raises(w2x.CompileError, match="it works on one memory, which has to be theirs"):
        store.instantiate(other, {"c": plain})
    with pytest.raises(w2x.CompileError, match="a host each"):
        one, two = (store.instantiate(WRITER.format(memory='(memory (export "memory") 1)', letter=x)) for x in "xy")
        store.instantiate(user.replace('"c" "next"', '"d" "say"'), {"w": one, "d": two})


BROKEN = {
    "memory": ("_data", lambda self, place, data: compose.replace(data, bytes=data.bytes[::-1])),
    "global": ("_global", lambda self, place, g: compose.replace(g, init=(compose.Instr("i32.const", (9,)),))),
    "table": ("_table", lambda self, place, t: compose.replace(t, limits=compose.replace(t.limits, minimum=5))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_modules_put_together_wrongly_are_told(what: str, monkeypatch: pytest.MonkeyPatch):
    """Which the comparison with the module that they become cannot tell."""
    name, change = BROKEN[what]
    monkeypatch.setattr(compose._Composer, name, change)
    store = w2x.VerifiedStore()
    with pytest.raises(w2x.DivergenceError, match=f"{what} 0 is not what"):
        instance = store.instantiate(
            """(module (memory (export "memory") 1) (table (export "t") 2 funcref) (global (export "g") (mut i32) (i32.const 1))
            (data (i32.const 0) "ab") (func (export "f")))"""
        )
        instance.invoke("f")


def test_a_wrong_weight_is_told(monkeypatch: pytest.MonkeyPatch):
    from wasm2xformer.runtime.check import verified_store

    def spoiled(program: Any, module: Any) -> w2x.Model:
        steps = tuple(s.but(op="i32.sub") if s.op == "i32.add" else s for s in program.steps)
        return real(compose.replace(program, steps=steps), module)

    real = verified_store.realise
    monkeypatch.setattr(verified_store, "realise", spoiled)
    counter = w2x.VerifiedStore().instantiate(COUNTER)
    with pytest.raises(w2x.DivergenceError, match="differs at"):
        counter.invoke("next")


def test_who_has_what_an_index_stands_for():
    """Through two that only hand it on."""
    texts = [
        '(module (memory 1) (memory (export "m") 2))',
        '(module (import "a" "m" (memory 1)) (export "again" (memory 0)))',
        '(module (import "b" "again" (memory 1)) (memory 3))',
    ]
    parts = [Part(load(t).module, {"a": 0} if k == 1 else {"b": 1} if k else {}) for k, t in enumerate(texts)]
    assert owner(parts, 2, "memory", 0) == (0, 1) and owner(parts, 2, "memory", 1) == (2, 1)


def test_an_object_is_passed_to_another_that_wants_its_type(store: w2x.Store):
    first = store.instantiate(OBJECTS)
    (box,) = first.invoke("box", 1).values
    second = store.instantiate(
        """(module (type $box (struct (field (mut i32)))) (import "o" "kept" (global (mut (ref null $box))))
        (func (export "open") (param (ref $box)) (result i32) (struct.get $box 0 (local.get 0)))
        (func (export "other") (result anyref) (struct.new $other (i64.const 1))) (type $other (struct (field i64))))""",
        {"o": first},
    )
    assert second.invoke("open", box).values == [1]
    with pytest.raises(w2x.ArgumentError, match="which is no"):
        second.invoke("open", *second.invoke("other").values)
    assert second.invoke("open", box).values == [1]


def test_the_first_elements_of_a_table_may_be_what_a_global_is(store: w2x.Store):
    first = store.instantiate(
        """(module (rec) (global (export "g") (ref i31) (ref.i31 (i32.const 7))) (func $f (result i32) (i32.const 8))
        (global (export "f") funcref (ref.func $f)) (global $n (export "n") (mut i32) (i32.const 0)))"""
    )
    second = store.instantiate(
        """(module (rec) (import "a" "g" (global $g (ref i31))) (import "a" "f" (global $f funcref))
        (import "a" "n" (global (mut i32)))
        (table $t (export "t") 2 (ref i31) (global.get $g)) (table $u 2 funcref (global.get $f))
        (func (export "get") (result i32) (i31.get_s (table.get $t (i32.const 1))))
        (func (export "call") (result i32) (call_indirect $u (result i32) (i32.const 1))))""",
        {"a": first},
    )
    assert second.invoke("get").values == [7] and second.invoke("call").values == [8]
    object_ = store.instantiate('(module (type $s (struct)) (global (export "g") (ref $s) (struct.new $s)))')
    with pytest.raises(w2x.CompileError, match="cannot begin with an object that a global has"):
        store.instantiate(
            '(module (type $s (struct)) (import "o" "g" (global (ref $s))) (table 1 (ref $s) (global.get 0)))',
            {"o": object_},
        )
    own = store.instantiate("""(module (type $s (struct)) (table $t (export "t") 2 (ref $s) (struct.new $s))
        (func (export "same") (result i32) (ref.eq (table.get $t (i32.const 0)) (table.get $t (i32.const 1)))))""")
    assert own.invoke("same").values == [1]
