"""The older form of exceptions: translated, a module does what V8 does with the original, and is checked like any other."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.verify import Verifier

NODE = shutil.which("node")
FUNCTIONS, ARGUMENTS = 40, 16
LEGACY = {"try", "catch", "catch_all", "rethrow", "delegate"}
HEADER = """(module (tag $a (param i32)) (tag $b) (global $h (export "h") (mut i32) (i32.const 0))
  (func $mix (param i32) (global.set $h (i32.add (i32.mul (global.get $h) (i32.const 31)) (local.get 0))))
  (func $may (param i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $a (i32.const 1001))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $b))))"""


class Body:
    """One random function. labels: of each open block whether it is a handler of a try, innermost last."""

    def __init__(self, seed: int):
        self.rng = random.Random(f"legacy exceptions {seed}")
        self.labels: list[bool] = []
        self.marks = 0

    def statements(self, depth: int) -> Iterator[str]:
        for _ in range(self.rng.randint(1, 3)):
            yield from self.statement(depth)

    def statement(self, depth: int) -> Iterator[str]:
        rng = self.rng
        self.marks += 1
        yield f"i32.const {self.marks} call $mix"
        kinds = ["throw", "call", "br"] + (["try"] * 4 + ["block"] if depth else []) + ["rethrow"] * any(self.labels)
        match rng.choice(kinds):
            case "throw":
                yield from self.when(rng.choice((f"i32.const {rng.randint(1, 99)} throw $a", "throw $b")))
            case "call":
                yield f"local.get 0 i32.const {rng.randint(0, 2)} i32.shr_u i32.const 3 i32.and call $may"
            case "br":
                yield from self.when(f"br {rng.randint(0, len(self.labels) + 1)}")
            case "rethrow":
                places = [k for k, handler in enumerate(reversed(self.labels)) if handler]
                yield from self.when(f"rethrow {rng.choice(places) + 1}")
            case "block":
                yield "block"
                yield from self.within(depth, False)
                yield "end"
            case "try":
                yield from self.attempt(depth)

    def when(self, statement: str) -> Iterator[str]:
        """In an `if`, which is one more label."""
        yield f"local.get 0 i32.const {1 << self.rng.randint(0, 3)} i32.and if {statement} end"

    def within(self, depth: int, handler: bool) -> Iterator[str]:
        self.labels.append(handler)
        yield from self.statements(depth - 1)
        self.labels.pop()

    def attempt(self, depth: int) -> Iterator[str]:
        yield "try"
        yield from self.within(depth, False)
        if self.rng.random() < 0.35:
            yield f"delegate {self.rng.randint(0, len(self.labels))}"
            return
        for catch in self.rng.choice((["$a"], ["$b"], ["$b", "$a"], ["all"], ["$a", "all"], [])):
            yield "catch_all" if catch == "all" else f"catch {catch}"
            if catch == "$a":
                yield "call $mix"
            yield from self.within(depth, True)
        yield "end"


def module(seed: int) -> str:
    functions = []
    for k in range(FUNCTIONS):
        body = " ".join(Body(seed * FUNCTIONS + k).statements(4))
        start = "i32.const 17 global.set $h"
        functions.append(f'(func (export "f{k}") (param i32) (result i32) {start} block {body} end global.get $h)')
    return "\n".join((HEADER, *functions)) + ")"


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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("rethrow 0", "function f, offset 0x1e, rethrow: invalid module: invalid rethrow label"),
        ("try rethrow 0 catch_all end", "invalid rethrow label"),
        ("try delegate 1", "unknown label"),
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
