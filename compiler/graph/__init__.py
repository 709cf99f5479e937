"""The machine library: transformers built by hand, from heads and neurons with names.

graph = Graph()                        circuits: heads, products, steps, tables, unembedding
transformer = build(graph)             layers, slots and weights are assigned
generate(transformer, ["BOS"], 10)     decode (wasm2xformer.generate)
Model(transformer).save(path)          a checkpoint like any other
"""

from ..format.transformer import Layer, Transformer
from .build import build
from .expr import Expr, Variable, total
from .graph import Graph

__all__ = ["Expr", "Graph", "Layer", "Transformer", "Variable", "build", "total"]
