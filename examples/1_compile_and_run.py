"""Compile a WebAssembly program into a transformer, save it, load it, run it. State persists between the calls."""

import tempfile
from pathlib import Path

import wasm2xformer as w2x

PROGRAM = """
(module
  (global $total (mut i32) (i32.const 0))
  (func (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add (call 0 (i32.sub (local.get $n) (i32.const 1)))
                     (call 0 (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "add_to_total") (param i32) (result i32)
    (global.set $total (i32.add (global.get $total) (local.get 0)))
    (global.get $total))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_s (local.get 0) (local.get 1))))
"""

model = w2x.compile(PROGRAM)
path = Path(tempfile.mkdtemp()) / "model.safetensors"
model.save(path)

model = w2x.load(path)
transformer = model.transformer
heads = sum(len(layer.head_names) for layer in transformer.layers)
print(
    f"{len(transformer.layers)} layers, {heads} heads, width {transformer.width}, {len(transformer.vocabulary)} tokens"
)

vm = w2x.Instance(model)
run = vm.invoke("fib", 10)
print(f"fib(10) = {run.values[0]}: {run.steps} steps, {len(run.tokens)} tokens")
print("the last tokens:", " ".join(transformer.vocabulary[token] for token in run.tokens[-6:]))

# The calls of an instance continue one growing sequence: the model finds the global's last value by attention.
for amount in (5, 7, -2):
    print(f"add_to_total({amount}) = {vm.invoke('add_to_total', amount).values[0]}")

try:
    vm.invoke("divide", 1, 0)
except w2x.Trap as trap:
    print("divide(1, 0) traps:", trap)
