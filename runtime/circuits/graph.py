"""The graph of circuits of a compiled model, as a value and as JSON that tools for circuit discovery read.

    {"format": "wasm2xformer circuits 1",
     "cfg":      {what TransformerLens calls the sizes of the model},
     "nodes":    {"a4.h0": {"in_graph": true, "name": "entry -> ip.base, frame.base"},
                  "m8": {"in_graph": true, "neurons_named": {"3": "raw.low"}}, ...},
     "edges":    {"a5.h1->a8.h0<q>": {"in_graph": true, "score": 1.0, "kind": "carries", "slots": [62], "variables": ["a"]}, ...},
     "circuits": {"i32.add": {"nodes": [...], "neurons": {"m8": [0, 1]}, "edges": [...]}, ...},
     "neuron_edges": {"a5.h1->m8.n0<gate>": [slots], ...}}

`Graph.from_json` of EAP-IG takes the file as it is: in_graph says what carries something.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...compiler.format.checkpoint import Model
from ...compiler.format.transformer import Transformer
from ...compiler.huggingface.config import longest
from ...compiler.stock import in_stock_form
from ...compiler.stock_form import stock_form
from .edges import CircuitEdge, EdgeKind, node_edges, unit_edges
from .operations import operation_units
from .units import INPUT, LOGITS, StreamUnits, units

FORMAT = "wasm2xformer circuits 1"


@dataclass
class CircuitGraph:
    """transformer: in the stock form. edges: between heads, MLPs, input and logits, of every kind, by name; those that carry
    something are the circuit. unit_edges: between heads and single neurons, all of which carry something. operations: of each
    operation of the step program the heads and neurons that it needs; empty for a transformer that was built by hand.
    live: of edges, at how many decoded positions a run used them (`live_edges`); None: of no run."""

    transformer: Transformer
    units: StreamUnits
    edges: dict[str, CircuitEdge]
    unit_edges: dict[str, CircuitEdge]
    operations: dict[str, frozenset[str]] = field(default_factory=dict)
    live: dict[str, int] | None = None

    @property
    def nodes(self) -> list[str]:
        """All heads and MLPs that the class has, input and logits, in the order of time."""
        t = self.transformer
        heads = len(t.layers[0].q) // t.head_dim if t.layers else 0
        layers = [[*(f"a{k}.h{h}" for h in range(heads)), f"m{k}"] for k in range(len(t.layers))]
        return [INPUT, *(name for layer in layers for name in layer), LOGITS]

    @property
    def circuit(self) -> frozenset[str]:
        """The names of the edges that carry something."""
        return frozenset(name for name, edge in self.edges.items() if edge.kind is EdgeKind.CARRIES)

    def candidates(self) -> list[str]:
        """Every edge that the class could have, by name: what a method of discovery chooses from."""
        found, before = [], [INPUT]
        for node in self.nodes[1:]:
            ports = [f"{node}<{c}>" for c in "qkv"] if node[0] == "a" else [node]
            own = re.match(r"a(\d+)", node)
            sources = [s for s in before if not (own and s.startswith(f"a{own[1]}.h"))]
            found += [f"{source}->{port}" for port in ports for source in sources]
            before.append(node)
        return found

    def operation_edges(self, operation: str) -> frozenset[str]:
        """The edges of the circuit of one operation: those with a pair of units that it needs. Raises KeyError."""
        mine = {*self.operations[operation], INPUT, LOGITS}
        edges = (e for e in self.unit_edges.values() if e.source in mine and unit_of(e.target) in mine)
        return frozenset(f"{node_of(e.source)}->{_node_port(e.target)}" for e in edges)

    def neuron_masks(self, operation: str) -> np.ndarray:
        """bool [layers, neurons]: those that the operation needs. Raises KeyError."""
        mask = np.zeros((len(self.transformer.layers), max(len(y.gate) for y in self.transformer.layers)), dtype=bool)
        for unit in self.operations[operation]:
            if found := re.fullmatch(r"m(\d+)\.n(\d+)", unit):
                mask[int(found[1]), int(found[2])] = True
        return mask

    def interpbench_edges(self) -> list[tuple[str, str]]:
        """The circuit as InterpBench's cases have it: hook names of heads and MLPs, without input, logits, and q, k, v."""
        found: dict[tuple[str, str], None] = {}
        for edge in (self.edges[name] for name in self.edges if name in self.circuit):
            if edge.source != INPUT and edge.target != LOGITS:
                found[_hook(edge.source), _hook(node_of(edge.target))] = None
        return list(found)

    def to_json(self, neurons: bool = False) -> dict[str, Any]:
        """What the module says, for `json.dumps`. neurons: with the edges between single neurons, which are many."""
        circuit = self.circuit
        made: dict[str, Any] = {"format": FORMAT, "cfg": lens_config(self.transformer), "nodes": self._nodes()}
        made["edges"] = {name: self._edge(edge, name in circuit) for name, edge in self.edges.items()}
        made["circuits"] = {name: self._circuit(name) for name in self.operations}
        if neurons:
            made["neuron_edges"] = {name: list(edge.slots) for name, edge in self.unit_edges.items()}
        return made

    def _edge(self, edge: CircuitEdge, carries: bool) -> dict[str, Any]:
        shown = {"in_graph": carries, "score": float(carries), "kind": str(edge.kind), "slots": list(edge.slots)}
        live = {} if self.live is None else {"live": self.live.get(edge.name, 0)}
        return {**shown, "variables": list(edge.variables), **live}

    def _nodes(self) -> dict[str, Any]:
        circuit = [self.edges[name] for name in self.circuit]
        used = {e.source for e in circuit} | {node_of(e.target) for e in circuit}
        made: dict[str, Any] = {name: {"in_graph": name in used} for name in self.nodes}
        for unit, name in self.units.names.items():
            node, _, neuron = unit.partition(".n")
            if neuron:
                made[node].setdefault("neurons_named", {})[neuron] = name
            else:
                made[node]["name"] = name
        return made

    def _circuit(self, operation: str) -> dict[str, Any]:
        neurons: dict[str, list[int]] = defaultdict(list)
        for layer, index in zip(*np.nonzero(self.neuron_masks(operation)), strict=True):
            neurons[f"m{layer}"].append(int(index))
        nodes = {node_of(unit) for unit in self.operations[operation]}
        edges = self.operation_edges(operation)
        return {
            "nodes": [name for name in self.nodes if name in nodes],
            "neurons": dict(neurons),
            "edges": [name for name in self.edges if name in edges],
        }


def circuits(model: Model) -> CircuitGraph:
    """The graph of circuits of `model` in the stock form, which unmodified classes of transformers compute.

    Edges are read from the matrices (`units`), what an operation needs from the circuits that they were made of (`operations`).
    Raises CompileError for a model that has no such form. Of a folder with experts it is the graph of the dense stock form.
    """
    if model.mixture is not None:
        model = replace(model, transformer=stock_form(model), mixture=None)
    stock = in_stock_form(model)
    found = units(stock.transformer)
    edges = node_edges(stock.transformer, found)
    return CircuitGraph(stock.transformer, found, edges, unit_edges(stock.transformer, found), operation_units(stock))


def node_of(unit: str) -> str:
    """The node of a unit or of what it reads: "m3.n5<gate>" -> "m3", "a1.h0<q>" -> "a1.h0"."""
    unit = unit_of(unit)
    return unit.partition(".n")[0] if unit[0] == "m" else unit


def unit_of(port: str) -> str:
    return port.partition("<")[0]


def _node_port(port: str) -> str:
    return node_of(port) if port[0] == "m" else port


def _hook(node: str) -> str:
    layer, _, head = node[1:].partition(".h")
    return f"blocks.{layer}.attn.hook_result[{head}]" if head else f"blocks.{layer}.mlp.hook_post"


def lens_config(t: Transformer) -> dict[str, Any]:
    """The sizes under the names that TransformerLens and EAP-IG give them. Norms and rotation do nothing."""
    return {
        "model_name": "wasm2xformer",
        "n_layers": len(t.layers),
        "n_heads": len(t.layers[0].q) // t.head_dim,
        "d_model": t.width,
        "d_head": t.head_dim,
        "d_mlp": len(t.layers[0].gate),
        "d_vocab": len(t.vocabulary),
        "n_ctx": longest(t),
        "act_fn": "relu",
        "gated_mlp": True,
        "attn_only": False,
        "parallel_attn_mlp": False,
        "normalization_type": None,
        "use_attn_result": True,
        "use_split_qkv_input": True,
        "use_hook_mlp_in": True,
    }


__all__ = ["CircuitGraph", "circuits", "lens_config", "node_of", "unit_of"]
