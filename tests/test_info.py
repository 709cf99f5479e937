"""info: what a program is and needs."""

from __future__ import annotations

import json

import pytest

from wasm2xformer.compiler.wasm.features import features
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.estimate import estimate

PROGRAM = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "env" "abort" (func $abort)) (import "lib" "f" (func $f)) (import "lib" "g" (func $g (param i32)))
  (memory (export "memory") 1 4) (global (export "g") (mut f32) (f32.const 1))
  (func (export "run") (param f64) (result i64 i32) (call $f) (call $abort)
    (i64.extend8_s (i64.trunc_sat_f64_s (local.get 0))) (i32.const 1)))"""


def test_info_tells_what_a_program_needs(tmp_path, capsys):
    program, library = tmp_path / "p.wat", tmp_path / "lib.wat"
    program.write_text(PROGRAM)
    library.write_text('(module (func (export "f")))')
    arguments = ["info", str(program), "--library", f"lib={library}"]
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [i["provider"] for i in found["imports"]] == ["WASI", "the pack for 'env'", "a library that was given", "nobody"]
    assert found["features"] == ["multi-value", "mutable globals", "saturating conversions", "sign extension"]
    assert found["exports"][-1] == {"name": "run", "kind": "func", "type": "(f64) -> (i64, i32)"}
    assert found["refused"] == ['the import "lib" "g" (func) is not provided'] and "lib" in printed.err
    assert "steps" not in found
    assert main([*arguments, "--unknown-imports-trap"]) == 0
    text = capsys.readouterr().out
    assert "run (f64) -> (i64, i32)" in text and "checkpoint  about" in text and "at most 4" in text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("(func (param v128))", None), ("(func (drop (i32x4.splat (i32.const 1))))", "SIMD"),
        ("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))", "atomic operations"),
        ("(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))", "bulk memory"),
        ("(func $f (return_call $f))", "tail calls"), ("(func (drop (ref.null func)))", "reference types"),
        ("(func $f) (start $f)", "a start function"),
    ],
)  # fmt: skip
def test_features_have_names(text: str, name: str | None):
    assert features(load(f"(module {text})").module) == ([name] if name else [])


def test_a_larger_program_takes_more():
    sizes = [estimate(n) for n in (5, 100, 3000, 9000, 100_000, 800_000)]
    for key in ("checkpoint_mib", "seconds", "memory_mib"):
        values = [s[key] for s in sizes]
        assert values == sorted(values) and values[-1] > values[0]


def test_a_checkpoint_is_for_inspect(tmp_path, capsys):
    (tmp_path / "m.safetensors").write_bytes(b"")
    assert main(["info", str(tmp_path / "m.safetensors")]) == 2
    assert "inspect" in capsys.readouterr().err
