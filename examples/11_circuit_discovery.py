"""Methods of circuit discovery on a model whose circuit is known: what they find of it, and where saturation hides it.

Needs torch and transformers: pip install 'wasm2xformer[hf]'
"""

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.runtime.circuits.contrast import contrast
from wasm2xformer.runtime.circuits.discovery import edge_attribution, edge_patching, node_patching
from wasm2xformer.runtime.circuits.live import differing_edges
from wasm2xformer.runtime.circuits.scores import found, recovery
from wasm2xformer.runtime.circuits.soften import soften_error, soften_for
from wasm2xformer.runtime.circuits.stream import Stream

PROGRAM = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'

model = w2x.compile(PROGRAM)
graph = w2x.circuits(model)
prefix, names = graph.transformer.prefix, graph.transformer.vocabulary
print(f"{len(graph.candidates()):,} edges, of which {len(graph.circuit)} carry something")
adding = graph.operation_edges("i32.add") - graph.operation_edges("call")
print(f"those that i32.add needs and a call does not: {len(adding)}, such as {', '.join(sorted(adding)[:3])}")

# Two runs, of which one has another argument: tokens up to the first one that the model decodes differently.
pair = contrast(model, "add", (3, 5), (9, 5))
for tokens, answer in zip((pair.clean, pair.corrupted), pair.answers, strict=True):
    print("  " + " ".join(names[k] for k in tokens), "->", names[answer])

# The truth for this pair: where another value goes, on the way to the answer.
truth = differing_edges(graph, np.concatenate([prefix, pair.clean]), np.concatenate([prefix, pair.corrupted]))
print(f"{len(truth)} edges differ: {', '.join(edge for edge in graph.edges if edge in truth)}")

# The same weights softened as far as the runs allow, so that gradients are not 0.
runs = [w2x.Instance(model).invoke("add", *arguments) for arguments in ((3, 5), (9, 5))]
soft = soften_for(model, runs, error=1e-9)
cost = soften_error(model, soft, runs)
print(f"softened: {cost.right} of {cost.positions} tokens right, the stream off by {cost.stream:.1e} at most")

edges = graph.candidates()
for name, weights in (("as it is", w2x.to_hf(model)), ("softened", soft)):
    stream = Stream(weights, prefix)
    methods = {
        "patching": edge_patching(stream, pair, edges),
        "EAP": edge_attribution(stream, pair, edges),
        "EAP-IG": edge_attribution(stream, pair, edges, steps=8),
    }
    for method, scores in methods.items():
        # A gradient through a softmax that is one-hot may overflow on the way between two integers.
        scores = {edge: score if np.isfinite(score) else 0.0 for edge, score in scores.items()}
        print(f"{name}, {method:<9} {recovery(scores, truth)}")

# Precision and recall at thresholds, of the last one; and the nodes that matter, by patching whole heads and MLPs.
for level in (1e-12, 1e-6, 1.0, 100.0):
    precision, recall = found(scores, truth, at_least=level)
    print(f"  score >= {level:g}: precision {precision:.2f}, recall {recall:.2f}")
nodes = node_patching(Stream(soft, prefix), pair)
print("nodes by patching:", ", ".join(node for node, score in nodes.items() if score > 1))
