"""Which heads and neurons each operation of the step program needs."""

from __future__ import annotations

from ...compiler.format.checkpoint import Model
from ...compiler.format.errors import CompileError
from ...compiler.graph.mixture_build import supports_of
from ...compiler.graph.stock_build import placed_stock
from ...compiler.mixture_form import step_operations
from ...compiler.stock_form import stock_graph


def operation_units(model: Model) -> dict[str, frozenset[str]]:
    """Operation -> the heads and neurons ("a5.h1", "m9.n0") that have to run while it is executed. `model` is in the stock form.

    Worked out from the graph that the matrices were made of, by `compiler.graph.supports`: what is left out is 0 there, or nobody
    reads it; what other positions read (keys, values) every operation needs. Neurons that clear slots are in no circuit.
    Raises CompileError where the matrices are not those of the program.
    """
    graph, assembly = stock_graph(model)
    operations = step_operations(assembly, model)
    weights = placed_stock(graph)
    supports = supports_of(graph, weights.circuit, operations)
    needed: dict[str, int] = {}
    for index, layer in enumerate(model.transformer.layers):
        heads, neurons = weights.placed(index)
        named = [f"{head.name} -> {', '.join(v.name for _, v in head.outputs)}" for head in heads]
        if layer.head_names[: len(named)] != named or layer.neuron_names[: len(neurons)] != [n.name for n in neurons]:
            raise CompileError(
                f"layer {index} holds other circuits than those of its program; compile the program again"
            )
        needed |= {f"a{index}.h{i}": supports.asked(head) for i, head in enumerate(heads)}
        needed |= {f"m{index}.n{i}": supports.needed(neuron) for i, neuron in enumerate(neurons)}
    bits: dict[str, int] = {}
    for k, names in enumerate(operations.names):
        for name in names:
            bits[name] = bits.get(name, 0) | 1 << k
    return {name: frozenset(u for u, where in needed.items() if where & mask) for name, mask in sorted(bits.items())}


__all__ = ["operation_units"]
