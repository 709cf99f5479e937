"""`verify --model` compares a checkpoint with its source part by part: whatever is changed is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import DEFAULTS
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.same import difference_from_source
from wasm2xformer.runtime.check.verify import options_of

PROGRAM = """(module (memory (export "m") 1) (global $g (export "g") (mut i32) (i32.const 7)) (data (i32.const 3) "abc")
  (func (export "f") (param i32) (result i32)
    (global.set $g (local.get 0)) (i32.load8_u (i32.add (local.get 0) (i32.const 1)))))"""
SOURCE = load(PROGRAM)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> w2x.Model:
    path: Path = tmp_path_factory.mktemp("model") / "m.safetensors"
    w2x.compile(PROGRAM).save(path)
    return w2x.load(path)


def difference(model: w2x.Model) -> str:
    return difference_from_source(model, SOURCE, options_of(model.program, DEFAULTS))


def changed_program(change: Callable) -> Callable[[w2x.Model], str]:
    def apply(model: w2x.Model) -> str:
        other = copy.copy(model)
        other.program = change(model.program)
        return difference(other)

    return apply


def changed_tensor(name: str) -> Callable[[w2x.Model], str]:
    def apply(model: w2x.Model) -> str:
        other = copy.copy(model)
        other.transformer = copy.copy(model.transformer)
        owner, attribute = other.transformer, name
        if "." in name:
            owner = copy.copy(model.transformer.layers[2])
            other.transformer.layers = [owner if i == 2 else y for i, y in enumerate(model.transformer.layers)]
            attribute = name.partition(".")[2]
        tensor = getattr(owner, attribute)
        if isinstance(tensor, SparseRows):
            setattr(owner, attribute, tensor.changed(len(tensor) // 2, 1, 77.0))
            return difference(other)
        tensor = tensor.copy()
        at = np.unravel_index(tensor.size // 2, tensor.shape)
        tensor[at] = tensor[at] + 1
        setattr(owner, attribute, tensor)
        return difference(other)

    return apply


def entry(program, **changes):
    return replace(program, entries={"f": replace(program.entries["f"], **changes)})


CHANGES = {
    "program.entries['f'].results[0]": changed_program(lambda p: entry(p, results=("f32",))),
    "program.entries['f'].entry": changed_program(lambda p: entry(p, entry=0)),
    "program.functions": changed_program(lambda p: replace(p, functions={})),
    "program.exported_globals['g']": changed_program(lambda p: replace(p, exported_globals={})),
    "program.host": changed_program(lambda p: replace(p, host={})),
    "program.memory_pages": changed_program(lambda p: replace(p, memory_pages=2)),
    "program.steps[1]": changed_program(lambda p: replace(p, steps=(p.steps[0], p.steps[1].but(imm=5), *p.steps[2:]))),
    "transformer.embed": changed_tensor("embed"),
    "transformer.unembed": changed_tensor("unembed"),
    "transformer.prefix": changed_tensor("prefix"),
    "transformer.layers[2].k": changed_tensor("layer.k"),
    "transformer.layers[2].down": changed_tensor("layer.down"),
}


def test_nothing_changed_is_no_difference(model: w2x.Model):
    assert difference(model) == ""


@pytest.mark.parametrize("part", CHANGES)
def test_what_is_changed_is_named(model: w2x.Model, part: str):
    assert CHANGES[part](model).startswith(part)


def test_every_field_of_a_model_is_compared(model: w2x.Model):
    for name, value in vars(model).items():
        if name in ("transformer", "program", "mixture"):
            continue
        other = copy.copy(model)
        setattr(other, name, value[1:] if isinstance(value, list) else {**value, 10**6: 1})
        assert difference(other).startswith(name), name
    transformer = model.transformer
    for name, value in vars(transformer).items():
        if isinstance(value, np.ndarray | SparseRows) or name == "layers":
            continue
        other = copy.copy(model)
        other.transformer = copy.copy(transformer)
        changed = {list: lambda v: v[1:], tuple: lambda v: v[1:], dict: lambda v: {**v, "x": (0, 0)}, int: lambda v: v + 1,
                       bool: lambda v: not v}  # fmt: skip
        setattr(other.transformer, name, changed[type(value)](value))
        # A transformer of the other form differs in its matrices before all.
        assert difference(other).startswith("transformer." + name * (name != "float32_reads")), name


DEAD = [
    "(return (i32.const 1)) (drop {})", "(block (br 0) (drop {})) (i32.const 1)",
    "(if (i32.const 0) (then (drop {}))) (i32.const 1)", "(unreachable) (drop {})",
]  # fmt: skip


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("never", ["(f64.convert_i32_s (i32.const 1))", "(i64.div_s (i64.const 1) (i64.const 2))"])
@pytest.mark.parametrize("routines", [None, True, False])
def test_what_is_reached_and_never_runs_is_no_difference(dead: str, never: str, routines: bool | None) -> None:
    """Nothing in the program says any more how its floats and divisions were compiled."""
    text = f'(module (func (export "f") (result i32) {dead.format(never)}))'
    for level in (0, 1):
        verifier = w2x.Verifier(text, opt_level=level, float_routines=routines, division_routines=routines)
        report = verifier.invoke("f")
        assert report.ok, report.divergence
