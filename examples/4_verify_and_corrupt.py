"""Every step is compared with wasmtime. To see that this means something, one weight is spoiled."""

import wasm2xformer as w2x

PROGRAM = """
(module
  (func (export "sum_of_squares") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.mul (local.get $n) (local.get $n))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
"""

report = w2x.verify(PROGRAM, "sum_of_squares", [100])
print(f"sum_of_squares(100) = {report.run.values[0]}: {report.steps} steps, {report.tokens} tokens")
print(f"{report.compared} records of wasmtime compared, difference: {report.divergence}")

model = w2x.compile(PROGRAM)
layer, neuron = next(
    (index, weights.neuron_names.index("product.low"))
    for index, weights in enumerate(model.transformer.layers)
    if "product.low" in weights.neuron_names
)
model.transformer.layers[layer].up[neuron] *= 1 + 2**-8
print(f"\nlayer {layer}, neuron {neuron}: one product of two bytes comes out 1/256 too large")

report = w2x.Verifier(PROGRAM, model=model).invoke("sum_of_squares", [100], max_tokens=100_000)
print(report.divergence)
