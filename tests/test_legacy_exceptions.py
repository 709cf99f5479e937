"""The older form of exceptions: translated, a module does what V8 does with the original, and is checked like any other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.verify import Verifier

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.random.exceptions import ARGUMENTS, FUNCTIONS, module

NODE = shutil.which("node")
LEGACY = {"try", "catch", "catch_all", "rethrow", "delegate"}
RUNNER = """const fs = require("fs"), out = [];
const e = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(process.argv[1]))).exports;
for (let k = 0; k < %d; k++) for (let a = 0; a < %d; a++) {
  try { out.push(["ok", e["f" + k](a)]); }
  catch (x) { out.push([x instanceof WebAssembly.Exception ? "exception" : String(x), e.h.value]); }
}
console.log(JSON.stringify(out));"""


def of_node(wasm: bytes, folder: Path) -> list[list]:
    path = folder / "module.wasm"
    path.write_bytes(wasm)
    command = [str(NODE), "-e", RUNNER % (FUNCTIONS, ARGUMENTS), str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def of_wasmtime(wasm: bytes) -> list[list]:
    config = wasmtime.Config()
    config.wasm_exceptions = True
    store = wasmtime.Store(wasmtime.Engine(config))
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, wasm), []).exports(store)
    found: list[list] = []
    for k in range(FUNCTIONS):
        for argument in range(ARGUMENTS):
            try:
                found.append(["ok", exports[f"f{k}"](store, argument)])  # type: ignore[operator]
            except wasmtime.Trap as trap:
                assert "thrown Wasm exception" in trap.message
                found.append(["exception", exports["h"].value(store)])  # type: ignore[union-attr]
    return found


@pytest.mark.skipif(NODE is None, reason="no node")
@pytest.mark.parametrize("seed", range(3))
def test_the_translation_does_what_the_original_does(seed: int, tmp_path: Path):
    original = bytes(wasmtime.wat2wasm(module(seed)))
    translated = load(original).wasm
    before, after = ({i.name for f in decode(wasm).functions for i in f.body} for wasm in (original, translated))
    assert before >= LEGACY and not after & LEGACY
    expected = of_node(original, tmp_path)
    assert of_wasmtime(translated) == expected
    assert len({outcome for outcome, _ in expected}) == 2 and len({h for _, h in expected}) > 100


@pytest.mark.parametrize("level", [0, 1])
def test_every_step_is_wasmtimes(level: int):
    numbers = range(level, FUNCTIONS, 8)
    verifier = Verifier(module(0), opt_level=level, exports=[f"f{k}" for k in numbers])
    for k in numbers:
        for argument in (0, 5, 11):
            report = verifier.invoke(f"f{k}", [argument])
            assert report.ok, f"f{k}({argument}): {report.divergence}"


def test_blocks_with_parameters():
    text = """(module (tag $a (param i32 i64)) (type $two (func (param i32 i32) (result i32 i32)))
      (func (export "f") (param i32) (result i32 i32)
        i32.const 3 local.get 0
        try (type $two)
          i32.add local.get 0 i32.eqz if i32.const 5 i64.const 6 throw $a end i32.const 9
        catch $a i32.wrap_i64
          try (type $two) i32.sub i32.const 1 i64.const 2 throw $a delegate 1
        end))"""
    verifier = Verifier(text)
    assert verifier.invoke("f", [4]).run.values == [7, 9]
    report = verifier.invoke("f", [0])
    assert report.ok and report.run.trap == "thrown Wasm exception"


@pytest.mark.parametrize("level", [0, 1])
def test_casts_that_branch_out_of_a_try(level: int):
    """They have types beside their label."""
    text = """(module (tag $t (param i32))
      (func (export "f") (param i32) (result i32)
        block $no (result anyref)
          try (result i31ref)
            local.get 0 i32.eqz if local.get 0 throw $t end
            local.get 0 ref.i31
            br_on_cast_fail $no anyref i31ref
          catch $t
            drop i32.const 99 ref.i31
          end
          i31.get_s return
        end
        drop i32.const -1))"""
    verifier = Verifier(text, opt_level=level)
    for value, result in ((5, 5), (0, 99), (-3, -3)):
        report = verifier.invoke("f", [value])
        assert report.ok and report.run.values == [result], report.divergence


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("rethrow 0", "function f, offset 0x1e, rethrow: invalid module: invalid rethrow label"),
        ("try rethrow 0 catch_all end", "invalid rethrow label"),
        ("try delegate 1", "unknown label"),
        ("catch_all", "function f, offset 0x1e, catch_all: invalid module: unexpected token catch_all: no try is open"),
        ("block catch 0 end", "unexpected token catch: no try is open"),
        ("block delegate 0", "found outside"),
        ("try catch_all catch_all end", "catch_all behind catch_all"),
        ("try i32.const 1 catch_all end", "type mismatch"),
        ("try catch 5 end", "invalid module"),
    ],
)
def test_what_is_invalid_is_said(body: str, message: str):
    wasm = bytes(wasmtime.wat2wasm(f'(module (func $f (export "f") {body}))'))
    with pytest.raises(w2x.CompileError) as error:
        load(wasm)
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1
