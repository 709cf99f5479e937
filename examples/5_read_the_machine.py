"""Everything in a checkpoint has a name. Here: its heads and neurons, and the instruction pointer as it moves."""

import wasm2xformer as w2x

PROGRAM = """
(module
  (func (export "count") (param $n i32) (result i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $i)))
"""

model = w2x.compile(PROGRAM)
transformer = model.transformer


def written(name: str) -> tuple[int, int]:
    """The layer behind which a variable can be read, and its residual slot."""
    for index, layer in enumerate(transformer.layers):
        if name in layer.slot_names:
            return index + 1, layer.slot_names.index(name)
    raise KeyError(name)


for index, layer in enumerate(transformer.layers[:3]):
    print(f"layer {index}: {len(layer.neuron_names)} neurons, heads:", *layer.head_names, sep="\n  ")

# The instruction pointer is a sum over all tokens since the entry: a mean head times the position, plus a base.
# A probe observes a slot at every position without taking part.
transformer.probes["ip.sum"] = written("ip.sum")
transformer.probes["ip.base"] = written("ip.base")
total = w2x.Instance(model, probe="ip.sum").invoke("count", 2).probed
run = w2x.Instance(model, probe="ip.base").invoke("count", 2)
pointers = total + run.probed

print("token      instruction pointer -> the step it fetches")
for token, pointer in zip([*run.prompt, *run.tokens], pointers, strict=True):
    step = round(pointer)
    stands_for = model.texts.get(step) or model.program.steps[step].op
    print(f"{transformer.vocabulary[token]:<10} {pointer:.12f} -> {step}: {stands_for}")
