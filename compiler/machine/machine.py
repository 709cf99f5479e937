"""The machine as a graph: the circuits in the order in which the residual stream passes through them."""

from __future__ import annotations

from ..graph.graph import Graph
from .assemble import Assembly
from .bytewise import bytewise, significance
from .memory import memory
from .output import Place, output
from .state import Features, state
from .tokens import fill
from .words import comparison, division, product, signs, words


def machine(assembly: Assembly) -> Graph:
    """The transformer that executes the program of the assembly, with its vocabulary and the prefix of its prompt."""
    graph = Graph()
    features = Features(graph)
    s = state(graph, assembly, features)
    sign = signs(s)
    sig = significance(s, sign)
    place = Place(s, sig.top)
    mem = memory(s, place.one_hot, place.number)
    byte = bytewise(s, sig, place.number)
    condition = comparison(s, sign)
    prod = product(s)
    div = division(s, sign)
    word = words(s, mem.loaded, condition, prod, div, byte.clz, byte.ctz)
    output(s, place, mem, prod, div, byte, word, condition)
    fill(graph, assembly, features)
    return graph
