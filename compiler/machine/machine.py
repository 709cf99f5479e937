"""The machine as a graph: the circuits in the order in which the residual stream passes through them."""

from __future__ import annotations

from ..graph.graph import Graph
from .architecture import Architecture
from .bytewise import bytewise, significance
from .floating_point import floating_point
from .memory import memory
from .output import Place, output
from .state import Features, state
from .wide_division import wide_division
from .words import comparison, division, guard, product, signs, words


def machine(architecture: Architecture, form: type[Graph] = Graph) -> tuple[Graph, Features]:
    """The circuits of a machine, and the embedding features that they read: `tokens.fill` gives each token its values.

    form: of which primitives they are made, `Graph` for the one-file form, `StockGraph` for the stock form.
    """
    graph = form()
    features = Features(graph)
    number, squared, off = (features[f"table.{name}"] for name in ("index", "index^2", "off"))
    graph.use_byte_table(number, squared, off, features["floor"], [features[f"table.mod8={i}"] for i in range(8)])
    s = state(graph, architecture, features)
    graph.fields = s.fetched
    sign = signs(s)
    sig = significance(s, sign)
    place = Place(s, sig.top)
    taken = guard(s)
    mem = memory(s, place.one_hot, place.number, taken)
    byte = bytewise(s, sig, place.number)
    condition = comparison(s, sign)
    prod = product(s)
    div = division(s, sign)
    wide = wide_division(s)
    quotient_terms = wide.result if wide else None
    floats = floating_point(s, sign)
    word = words(s, mem.loaded, condition, prod, div, quotient_terms, byte.clz, byte.ctz, floats.words)
    output(s, place, mem, prod, div, wide, byte, word, condition, taken, floats)
    return graph, features
