"""What two sources say together, in few instructions: a sum over bits that both have, and a sum of which a source picks a part.

    sum of c 2^k relu(t_k(a) + s_k(b) - 1), t_k and s_k 0 or 1       c (T(a) & S(b)), T = sum of 2^k t_k, S = sum of 2^k s_k
    sum of relu(f_j(z)) u_j(a), f_j 0 or 1 and at most one of them 1    table [j, a], with j a function of z
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .atoms import Relu, Table
from .linear import ONE, Form
from .symbols import Symbols

# Of so few terms, other code is as fast. Entries of one table that is picked from, at most.
FEW, MOST_PICKED = 3, 1 << 13


class Both(NamedTuple):
    """factor * (left & right): forms of one source each, whole numbers from 0 on."""

    factor: float
    left: Form
    right: Form


class Picked(NamedTuple):
    """The sum of tables[source][row, value of the source], and constants[row]; row: a form of one source."""

    row: Form
    tables: dict[int, np.ndarray]
    constants: np.ndarray


@dataclass
class Joined:
    """A form: the sum of these."""

    both: list[Both]
    picked: list[Picked]
    rest: Form


def joined(graph: Symbols, form: Form) -> Joined | None:
    """None where there is nothing of the kind in it."""
    ands: dict[tuple[int, int, bool], list[tuple[int, float, np.ndarray, np.ndarray]]] = {}
    picks: dict[int, list[tuple[int, float, np.ndarray, Form]]] = {}
    for atom, c in form.terms.items():
        what = graph.atoms[atom]
        if not isinstance(what, Relu):
            continue
        if what.up == ONE:
            bit = _bit(graph, what.gate)
            if bit is not None:
                (a, t), (b, s) = bit
                ands.setdefault((a, b, c > 0), []).append((atom, c, t, s))
        else:
            flag = _flag(graph, what.gate)
            if flag is not None and _of_tables(graph, what.up):
                picks.setdefault(flag[0], []).append((atom, c, flag[1], what.up))
    found, taken = Joined([], [], form), set()
    for (a, b, _), bits in ands.items():
        least = min(bits, key=lambda each: abs(each[1]))[1]
        if len(bits) >= FEW and _powers([c / least for _, c, _, _ in bits]):
            left, right = (np.sum([c / least * (t, s)[k] for _, c, t, s in bits], axis=0) for k in range(2))
            found.both.append(Both(least, graph.table(a, left), graph.table(b, right)))
            taken |= {atom for atom, *_ in bits}
    for z, parts in picks.items():
        picked = _picked(graph, z, parts) if len(parts) >= FEW else None
        if picked is not None:
            found.picked.append(picked)
            taken |= {atom for atom, *_ in parts}
    found.rest = Form({a: c for a, c in form.terms.items() if a not in taken}, form.constant)
    return found if taken else None


def _zero_or_one(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _bit(graph: Symbols, gate: Form) -> tuple[tuple[int, np.ndarray], tuple[int, np.ndarray]] | None:
    """Of a gate t(a) + s(b) - 1: the sources a < b, and what each of their values gives."""
    constant, found = gate.constant, []
    for atom, c in gate.terms.items():
        what = graph.atoms[atom]
        if not isinstance(what, Table) or c not in (1.0, -1.0):
            return None
        values = graph.vectors[what.vector]
        if not _zero_or_one(values):
            return None
        found.append((what.source, values if c > 0 else 1.0 - values))
        constant += min(c, 0.0)  # -t is (1 - t) - 1
    if len(found) != 2 or constant != -1.0:
        return None
    first, second = sorted(found, key=lambda each: each[0])
    return (first, second) if first[0] != second[0] else None


def _flag(graph: Symbols, gate: Form) -> tuple[int, np.ndarray] | None:
    """The source and its values of a gate that is 0 or 1, by one source."""
    if len(gate.terms) != 1 or gate.constant:
        return None
    ((atom, c),) = gate.terms.items()
    what = graph.atoms[atom]
    if c != 1.0 or not isinstance(what, Table) or not _zero_or_one(graph.vectors[what.vector]):
        return None
    return what.source, graph.vectors[what.vector]


def _of_tables(graph: Symbols, form: Form) -> bool:
    return all(isinstance(graph.atoms[atom], Table) for atom in form.terms)


def _powers(ratios: list[float]) -> bool:
    """Whether they are different powers of two, from 1 on, that have room in an integer."""
    bits = [math.frexp(ratio) for ratio in ratios]
    return len(set(ratios)) == len(ratios) and all(m == 0.5 and 1 <= e <= 32 for m, e in bits)


def _picked(graph: Symbols, z: int, parts: list[tuple[int, float, np.ndarray, Form]]) -> Picked | None:
    flags = np.stack([flag for _, _, flag, _ in parts])
    if (flags.sum(axis=0) > 1).any():
        return None
    rows = 1 + len(parts)
    tables: dict[int, np.ndarray] = {}
    constants = np.zeros(rows)
    for row, (_, c, _, up) in enumerate(parts, 1):
        constants[row] = c * up.constant
        for atom, factor in up.terms.items():
            what = graph.atoms[atom]
            assert isinstance(what, Table)
            values = graph.vectors[what.vector]
            if what.source == z or rows * len(values) > MOST_PICKED:
                return None
            tables.setdefault(what.source, np.zeros((rows, len(values))))[row] += c * factor * values
    row_of = np.arange(1, rows) @ flags
    return Picked(graph.table(z, row_of), tables, constants)
