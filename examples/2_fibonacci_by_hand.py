"""A transformer built by hand: Fibonacci numbers modulo 10, one digit a token. No WebAssembly, no training.

next = (digit + digit before it) mod 10: one head that looks one position back, and a step that takes 10 off.
"""

import tempfile
from pathlib import Path

import wasm2xformer as w2x
from wasm2xformer.compiler.graph import Graph, build

graph = Graph()
digit = graph.feature("digit")
for d in range(10):
    graph.token(str(d), {digit: d})

(before,) = graph.relative(1, {"digit before": digit})
carry = graph.step(digit + before - 10, "sum >= 10")
graph.unembed(digit + before - 10 * carry)  # the id of a token is its digit

transformer = build(graph)
for index, layer in enumerate(transformer.layers):
    print(f"layer {index}: heads {layer.head_names}, neurons {layer.neuron_names}")

# A hand-built transformer is saved and loaded like a compiled program.
path = Path(tempfile.mkdtemp()) / "fibonacci.safetensors"
w2x.Model(transformer).save(path)
transformer = w2x.load(path).transformer

fast = w2x.generate(transformer, ["0", "1"], 118)
dense = w2x.generate(transformer, ["0", "1"], 118, engine="torch")
assert fast == dense, "hard attention and real softmax must agree"

a, b, expected = 0, 1, []
for _ in range(118):
    a, b = b, (a + b) % 10
    expected.append(str(b))
assert fast == expected
print("0 1 then", " ".join(fast[:58]))
print("and again after 60 digits:", fast[60:118] == fast[:58])
