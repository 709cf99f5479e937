"""The debugger in the terminal: the state before each step, heads, and the keys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.isa import Slot
from wasm2xformer.runtime.explain.heads import Looks
from wasm2xformer.runtime.explain.moments import Moments

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"


def moments_of(program: str | Path, name: str, *values: int) -> tuple[Moments, np.ndarray]:
    model = w2x.compile(program)
    probe = "memory.key" if "memory.key" in model.transformer.probes else None
    run = w2x.Instance(model, probe=probe).invoke(name, *values)
    tokens = np.concatenate([model.transformer.prefix, run.prompt, run.tokens])
    return Moments(model, run, run.probed), tokens


STORES = """(module (memory (export "memory") 1)
  (func $put (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "f") (param i32) (result i32)
    (call $put (i32.const 16) (i32.const 0x01020304)) (call $put (i32.const 17) (local.get 0)) (i32.load (i32.const 16))))"""


def test_the_state_before_each_step():
    moments, _ = moments_of(STORES, "f", 0x0A0B0C0D)
    stores = [n for n in range(len(moments)) if moments.view(n).step.op == "i32.store"]
    assert len(stores) == 2 and moments.written() == [16, 17, 18, 19, 20]
    assert moments.byte(17, stores[0]) is None
    first, second = moments.byte(17, stores[0] + 1), moments.byte(17, stores[1] + 1)
    assert first and second and (first.value, first.step, second.value, second.step) == (3, stores[0], 0x0D, stores[1])
    assert moments.byte(16, len(moments) - 1).value == 4  # type: ignore[union-attr]
    held = moments.slot(Slot("frame", 1), stores[1])
    assert held and held.value == 0x0A0B0C0D
    assert [moments.view(n).step.op for n in moments.calls(stores[1])] == ["call", "call"]
    assert moments.calls(len(moments) - 1) == []


def test_breakpoints_are_found_both_ways():
    moments, _ = moments_of(STORES, "f", 1)
    stores = [n for n in range(len(moments)) if moments.view(n).step.op == "i32.store"]
    index = moments.view(stores[0]).index
    assert moments.find(0, 1, {index}) == stores[0] and moments.find(stores[0], 1, {index}) == stores[1]
    assert moments.find(len(moments) - 1, -1, {index}) == stores[1]
    assert moments.find(0, 1, set(), {20}) == stores[1] and moments.find(stores[0], -1, {index}) == 0
    assert moments.find(0, 1, set()) == len(moments) - 1


def test_heads_find_what_was_written():
    moments, tokens = moments_of(PROGRAMS / "i32/gcd.wat", "gcd", 48, 18)
    t = moments.model.transformer
    looks = Looks(t, tokens)
    number = next(n for n in range(len(moments)) if moments.view(n).step.op == "i32.rem_u")
    position = len(t.prefix) + int(moments.trace.end[number] - moments.trace.length[number])
    by_name = {look.lookup: look for look in looks.at(position)}
    assert by_name["operand a"].handed[0] == 48 and by_name["operand b"].handed[0] == 18
    assert t.vocabulary[tokens[by_name["operand b"].winner]] == "D0.18" and by_name["operand b"].weight == 1
    assert by_name["uniform"].winner == -1


def test_keys_step_through_the_call():
    pytest.importorskip("textual")
    from wasm2xformer.runtime.cli.debugger import Debugger

    moments, tokens = moments_of(STORES, "f", 5)
    app = Debugger(moments, "f(5)", tokens, len(moments.model.transformer.prefix))
    store = next(n for n in range(len(moments)) if moments.view(n).step.op == "i32.store")

    async def keys() -> None:
        async with app.run_test(size=(140, 40)) as pilot:
            await pilot.press("right", "down", "left")
            assert app.number == 1
            await pilot.press("w", "2", "0", "enter", "c")
            assert app.number > store
            await pilot.press("b", "home", "c")
            assert app.number == store
            await pilot.press("g", "3", "enter")
            assert app.number == 3
            await pilot.press("h", "end", "up")
            assert app.number == len(moments) - 2
            assert "fetch" in str(app.query_one("#memory").render())  # type: ignore[attr-defined]
            await pilot.press("g", "0", "escape", "up")
            assert app.number == len(moments) - 3 and not app.query("#ask.open")
            await pilot.press("g", "x", "enter")
            assert app.number == len(moments) - 3 and not app.query("#ask.open") and len(app._notifications) == 1

    asyncio.run(keys())


def test_memory_written_before_the_call_is_known(tmp_path: Path):
    """By --write, and by the calls before."""
    from wasm2xformer.runtime.cli.host_options import Host
    from wasm2xformer.runtime.cli.stepping import decoded_calls

    program, data = tmp_path / "f.wat", tmp_path / "data"
    program.write_text(STORES)
    data.write_bytes(bytes([7, 8, 9, 10, 11, 12]))
    compiling = {"libraries": (), "aliases": (), "max_memory": None, "opt_level": "1", "unknown_imports_trap": False}
    host = Host(None, (), None, None, (f"19={data}",))
    shown = decoded_calls(str(program), [], host, None, [("f", ["1"]), ("f", ["2"])], compiling)
    first = [shown.moments.byte(address, 0) for address in range(16, 25)]
    assert [held.value for held in first if held] == [4, 1, 0, 0, 0, 9, 10, 11, 12]
    assert {held.step for held in first if held} == {-1} and len(shown.moments.written()) == 9
    model = shown.moments.model
    run = w2x.Instance(model)
    run.write_memory(19, data.read_bytes())
    assert [run.invoke("f", 1).values, run.invoke("f", 2).values] == [[0x104], [0x204]]
    assert run.position == len(shown.tokens)
    assert shown.moments.find(0, -1, set(), {24}) == 0


@pytest.mark.parametrize("kind, begin", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures(kind: str, begin: bytes, tmp_path: Path):
    pytest.importorskip("matplotlib")
    from wasm2xformer.runtime.cli.command_line import main

    program, model, picture = tmp_path / "f.wat", tmp_path / "f.safetensors", tmp_path / f"p.{kind}"
    program.write_text(STORES)
    w2x.compile(STORES).save(model)
    for command in (
        ["trace", str(program), "--plot", str(picture), "--invoke", "f", "7"],
        ["inspect", str(model), "--plot", str(picture)],
        ["inspect", str(model), "--plot", str(picture), "--layer", "0"],
    ):
        assert main(command) == 0 and picture.read_bytes().startswith(begin)
        picture.unlink()
    for wrong in (["--plot", str(tmp_path / "p.txt")], ["--plot", str(picture), "--layer", "0", "--layer", "1"]):
        assert main(["inspect", str(model), *wrong]) == 2


def test_long_names_are_cut():
    """Names come from files, and may be as long as one likes."""
    pytest.importorskip("matplotlib")
    from matplotlib.text import Text

    from wasm2xformer.runtime.explain.pictures import plot_circuits, plot_layer, plot_trace

    long = "name " * 100_000
    moments, tokens = moments_of(STORES, "f", 7)
    t = moments.model.transformer
    for layer in t.layers:
        for names in (layer.head_names, layer.neuron_names, layer.slot_names):
            names[:] = [name and long + name for name in names]
    for figure in (plot_layer(t, 0), plot_circuits(t), plot_trace(moments, tokens, len(t.prefix), long)):
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert max(map(len, shown)) <= 120 and any(text.endswith("…") or " …" in text for text in shown)


def test_no_name_is_a_formula(tmp_path: Path):
    """Names come from files, and dollars are ordinary characters in them."""
    pytest.importorskip("matplotlib")
    from wasm2xformer.runtime.cli.command_line import main

    odd = "$\\frac{$"
    model, picture = w2x.compile(STORES.replace('"f"', '"$\\\\frac{$"')), tmp_path / "p.png"
    for layer in model.transformer.layers:
        for names in (layer.head_names, layer.neuron_names, layer.slot_names):
            names[:] = [name and odd + name for name in names]
    model.save(file := tmp_path / "m.safetensors")
    for command in (["inspect"], ["inspect", "--layer", "0"], ["trace", "--invoke", odd, "7"]):
        assert main([command[0], str(file), "--plot", str(picture), *command[1:]]) == 0
