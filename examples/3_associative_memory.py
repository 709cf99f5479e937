"""A key-value store in one attention head: keys are points on a parabola, the nearest and latest wins.

Sequences such as  k3 v7 k5 v1 k3 v9 ?3  : the model answers v9, the latest value stored under 3, or `none`.
"""

import wasm2xformer as w2x
from wasm2xformer.compiler.graph import Graph, build

KEYS, VALUES = 100, 50

graph = Graph()
key, value, stores, query = (graph.feature(name) for name in ("key", "value", "stores", "query"))
for v in range(VALUES):
    graph.token(f"v{v}", {value: v, stores: 1})
none = graph.token("none")
for k in range(KEYS):
    graph.token(f"k{k}", {key: k})
    graph.token(f"?{k}", {query: k})

# A v token stores its value under the key one position before it.
(stored_key,) = graph.relative(1, {"stored key": key})
found_key, found = graph.lookup("memory", query, stored_key, {"found key": stored_key, "found": value}, off=1 - stores)

# The head always finds the *nearest* key. Whether it is the one that was asked for is a matter of two steps.
hit = graph.step(found_key - query, "not below") + graph.step(query - found_key, "not above") - 1
graph.unembed(graph.select(hit, found, none), emittable=none + 1)

transformer = build(graph)
story = "k3 v7 k50 v1 k3 v9 k99 v0".split()
for question in ("?3", "?50", "?99", "?4"):
    answers = {w2x.generate(transformer, [*story, question], 1, engine=e)[0] for e in ("fast", "torch")}
    print(" ".join([*story, question]), "->", *answers)
