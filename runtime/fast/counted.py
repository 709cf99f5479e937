"""Which lookup a head is in a checkpoint that counts its positions and reads float32 (heads.py has all others).

    q = 0 or k constant                           uniform: a running mean; 1/n of what only the first position has
    q, k one-hots of n mod P, and eps n           the position `offset` back, offset < P
    q of the position alone, k of bytes           a digit of the position: see counting.py
    q = K (b, 1), k = (2a, -a^2 - penalty)        a depends on the token, and what has a penalty has the same a as an entry
                                                  of the prefix without one: the entry whose a is nearest to b, or
                                                  b rounded, where a (and multiples of it) is what is read
    the same with a = min(n, L)                   an entry of the prefix by its position
    register, paraboloid                          as in heads.py

A component whose key is constant adds the same to all scores of a position, so it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...compiler.format.certificate import GAP
from . import heads
from .atoms import Knots, Share
from .counting import ALL, Counting
from .heads import HARD
from .interface import KEY_LIMIT, Refused
from .linear import Form, linear
from .stores import HeadLookup, PositionStore
from .symbols import Symbols

Reader = Callable[[Form], Form]
Forms = tuple[Form, ...]


def counted_reader(counting: Counting, q: Forms, k: Forms, layer: int, floor: np.ndarray | None) -> Reader:
    """Raises Refused for a head that is none of these."""
    graph = counting.graph
    q, k = tuple(graph.expanded(x) for x in q), tuple(graph.expanded(x) for x in k)
    kept = [i for i in range(len(q)) if not q[i].is_zero() and not k[i].is_constant()]
    if not kept:
        return lambda value: _mean(counting, value)
    if floor is not None:
        lookup = heads.paraboloid(graph, q, k, floor)
        if lookup is not None:
            return _reading(graph, lookup)
    varying = [i for i in range(len(q)) if not k[i].is_constant()]
    whole = tuple(q[i] for i in varying), tuple(k[i] for i in varying)
    q, k = tuple(q[i] for i in kept), tuple(k[i] for i in kept)
    if all(x.is_constant() for x in q):
        lookup = heads.register(graph, linear([(x.constant, y) for x, y in zip(q, k, strict=True)]))
        if lookup is not None:
            return _reading(graph, lookup)
    for recognised in (_relative, _digit, _at_position, _nearest):
        reader = recognised(counting, q, k)
        if reader is not None:
            return reader
    # What is asked for may be 0, at every position: then only the component that it is asked with tells the keys.
    reader = _nearest(counting, *whole) if len(varying) > len(kept) else None
    if reader is not None:
        return reader
    raise Refused(f"a head of layer {layer} is no lookup that it knows")


def _reading(graph: Symbols, lookup: HeadLookup) -> Reader:
    return lambda value: heads.read(graph, lookup, value)


def _mean(counting: Counting, value: Form) -> Form:
    graph = counting.graph
    if graph.single_source(value) == graph.token:
        values = graph.evaluate(value, graph.token)
        first = int(counting.prefix[0])
        others = np.delete(values, first)
        if (others == others[0]).all():
            graph.floors.add(first)
            return graph.of(Share(), float(values[first] - others[0]), float(others[0]))
    return graph.mean(value)


def _relative(counting: Counting, q: Forms, k: Forms) -> Reader | None:
    """score = T [n - offset is m modulo P] + T eps m, at position n for position m."""
    graph = counting.graph
    lowest = counting.source(0)
    later = [i for i in range(len(q)) if q[i].is_constant() and set(k[i].terms) == {graph.n}]
    others = [i for i in range(len(q)) if i not in later]
    if len(later) != 1 or not others or any(graph.single_source(x) != lowest for i in others for x in (q[i], k[i])):
        return None
    eps = q[later[0]].constant * k[later[0]].terms[graph.n]
    asked, keyed = (np.stack([graph.evaluate(x[i], lowest) for i in others]) for x in (q, k))
    scores = asked.T @ keyed  # [256 digits of n, 256 digits of m]
    found = scores == scores.max()
    period = 256 // int(found.sum(axis=1).max())
    if not found[0].any() or period < 2:
        return None
    offset = int(-np.flatnonzero(found[0])[0]) % period
    digits = np.arange(256)
    if not offset or (found != ((digits[:, None] - offset - digits[None, :]) % period == 0)).any():
        return None
    # What has the residue leads over all else, and of that the latest over the ones before.
    lead = float(scores.max() - scores[~found].max())
    least = min(eps * period, lead - eps * graph.last)
    if least < HARD:
        return None
    graph.leads(least)
    return _reading(graph, heads.delay(graph, offset))


@dataclass
class KeyRows:
    """What the key components are at the positions of the prefix, [p, I], and at any token behind it, [tokens, I]."""

    prefix: np.ndarray
    behind: np.ndarray


def _rows(counting: Counting, k: Forms) -> KeyRows | None:
    """If they depend on the token, and besides only on the position, which must not matter behind the byte table."""
    graph, tokens = counting.graph, counting.prefix
    n = np.arange(1, len(tokens) + 1)
    prefix, behind = [], []
    for form in k:
        of_token = {a: c for a, c in form.terms.items() if graph.parts(a).source == graph.token}
        of_position = Form({a: c for a, c in form.terms.items() if a not in of_token})
        if not counting.alone(of_position):
            return None
        last = counting.constant_behind(of_position, ALL + 3)
        if last is None:
            return None
        values = graph.evaluate(Form(of_token, form.constant), graph.token)
        prefix.append(values[tokens] + counting.at(of_position, n))
        behind.append(values + last)
    return KeyRows(np.stack(prefix, axis=1), np.stack(behind, axis=1))


@dataclass
class Entries:
    """Of a table in the prefix. tokens, keys: by entry, the keys ascending; start: position of the first one, all others stand
    behind it one by one (0: they do not). off: the least penalty of whatever else there is."""

    tokens: np.ndarray
    keys: np.ndarray
    start: int
    off: float


def _entries(counting: Counting, key: np.ndarray, penalty: np.ndarray, never: float) -> Entries | None:
    """key, penalty: of the rows, those of the prefix first. never: with so much of a penalty a key loses to the same one
    without."""
    tokens = counting.prefix
    size = len(tokens)
    at = np.flatnonzero(penalty[:size] == 0.0)
    keys, first = np.unique(key[at], return_index=True)
    if not len(at) or len(keys) != len(at) or (keys != np.rint(keys)).any() or (np.abs(keys) >= KEY_LIMIT).any():
        return None
    # Whatever else there is has the key of an entry, and loses to it, or is one of its tokens again.
    again = (penalty[size:] == 0.0) & np.isin(np.arange(len(penalty) - size), tokens[at])
    own = np.concatenate([np.isin(np.arange(size), at), again])
    if not (own | ((penalty >= never) & np.isin(key, keys))).all():
        return None
    at = at[first]
    start = int(at[0]) + 1 if (np.diff(at) == 1).all() else 0
    return Entries(tokens[at], keys, start, float(penalty[~own].min(initial=np.inf)))


def _digit(counting: Counting, q: Forms, k: Forms) -> Reader | None:
    """score = 2 a x(n) - a^2 y(n) - penalty."""
    fixed = [i for i in range(len(q)) if q[i].is_constant()]
    moving = [i for i in range(len(q)) if i not in fixed]
    if len(moving) != 2 or not all(counting.alone(q[i]) for i in moving):
        return None
    rows = _rows(counting, k)
    if rows is None:
        return None
    every = np.concatenate([rows.prefix, rows.behind])
    bias = every[:, fixed] @ np.array([q[i].constant for i in fixed]) if fixed else np.zeros(len(every))
    for i, j in (moving, moving[::-1]):
        key, penalty = every[:, i] / 2.0, bias[: len(rows.prefix)].max() - bias
        if (every[:, j] != -key * key).any():
            continue
        entries = _entries(counting, key, penalty, HARD)
        if entries is None or len(entries.keys) != 256 or not _in_a_row(entries, key):
            continue
        least = GAP
        place = counting.place(q[i], q[j], int(entries.keys[0]), entries.start, least)
        if place is None:
            least = HARD
            place = counting.place(q[i], q[j], int(entries.keys[0]), entries.start, least)
        if place is not None:
            counting.graph.leads(min(least, entries.off))
            return lambda value: _of_entry(counting, value, entries, place)
    return None


def _in_a_row(entries: Entries, key: np.ndarray) -> bool:
    """Whether keys and positions count up together, from position 2 to ALL + 1 at most; what stands before, the first position,
    must have the first one's key."""
    regular = (np.diff(entries.keys) == 1).all() and key[0] == entries.keys[0]
    return bool(regular and entries.start == 2 and len(entries.keys) <= ALL)


def _of_entry(counting: Counting, value: Form, entries: Entries, place: int) -> Form:
    graph = counting.graph
    if value.is_constant():
        return value
    if graph.single_source(value) != graph.token:
        raise Refused("a digit of the position selects what is no table")
    values, alike = _by_entry(counting, value, entries)
    if alike and (values == np.arange(256)).all():
        return counting.digit(place)
    found = graph.table(counting.source(place), values)
    if not alike:
        graph.other_at_first.update(found.terms)
    return found


def _by_entry(counting: Counting, value: Form, entries: Entries) -> tuple[np.ndarray, bool]:
    """A form of the token at each entry, and whether what stands before the first one has the same as that."""
    values = counting.graph.evaluate(value, counting.graph.token)
    before = values[counting.prefix[: entries.start - 1]]
    return values[entries.tokens], bool((before == values[entries.tokens[0]]).all())


def _nearest(counting: Counting, q: Forms, k: Forms) -> Reader | None:
    """score = K (2 a b - a^2 - penalty). Where b is a constant, too, it may be any of the components."""
    moving = [i for i in range(len(q)) if not q[i].is_constant()]
    rows = _rows(counting, k) if len(moving) <= 1 < len(q) else None
    if rows is None:
        return None
    readers = (_nearest_to(counting, q, rows, i) for i in moving or range(len(q)))
    return next((reader for reader in readers if reader is not None), None)


def _nearest_to(counting: Counting, q: Forms, rows: KeyRows, asked: int) -> Reader | None:
    """The same with component `asked` for 2 a b."""
    graph = counting.graph
    fixed = [i for i in range(len(q)) if i != asked]
    temperature = min(q[i].constant for i in fixed)
    if temperature < HARD:
        return None
    every = np.concatenate([rows.prefix, rows.behind])
    key = every[:, asked] / 2.0
    penalty = -(every[:, fixed] @ np.array([q[i].constant for i in fixed])) / temperature - key * key
    entries = _entries(counting, key, penalty, max(0.5, HARD / temperature))
    if entries is None:
        return None
    query = q[asked].scaled(1 / temperature)
    if query.is_constant() and (2.0 * query.constant) % 2.0 == 1.0:  # may be halfway between two
        return None
    graph.leads(min(heads.lead(graph, query, temperature), entries.off * temperature))
    keys = np.zeros(len(rows.behind))
    keys[entries.tokens] = entries.keys
    off = np.ones(len(rows.behind))
    off[entries.tokens] = 0.0
    store = PositionStore("keyed", graph.table(graph.token, keys), graph.table(graph.token, off), True)
    lookup = HeadLookup(graph.store(store), graph.merged(query))
    regular = _in_a_row(entries, key)

    def read(value: Form) -> Form:
        if value.is_constant():
            return value
        if graph.single_source(value) != graph.token:
            raise Refused("a table of tokens returns what is not of the token")
        values, alike = _by_entry(counting, value, entries)
        if regular and alike and len(values) > 1:
            slope = float(values[1] - values[0])
            if slope and (np.diff(values) == slope).all():
                rounded = graph.rounded_entry(query, entries.keys[0], entries.keys[-1], entries.start)
                if rounded is not None:
                    return rounded.shifted(-float(entries.keys[0])).scaled(slope).shifted(float(values[0]))
        return heads.read(graph, lookup, value)

    return read


def _at_position(counting: Counting, q: Forms, k: Forms) -> Reader | None:
    """score = K (2 a b - a^2 - penalty), a = min(n, limit) - c: entries of the prefix by their positions."""
    graph = counting.graph
    if len(q) != 2:
        return None
    i = 0 if q[1].is_constant() else 1
    if not q[1 - i].is_constant() or q[1 - i].constant < HARD:
        return None
    temperature = q[1 - i].constant
    key, query = k[i].scaled(0.5), q[i].scaled(1 / temperature)
    limit = _cut_off(graph, key)
    if limit is None:
        return None
    whole = key.without_constant()
    square = graph.neuron(whole, whole)
    # a^2 = whole^2 + 2 constant whole + constant^2
    parts = [(-1.0, k[1 - i]), (-1.0, square), (-2.0 * key.constant, whole)]
    penalty = graph.merged(graph.expanded(linear(parts).shifted(-key.constant**2)))
    if graph.single_source(penalty) != graph.token:
        return None
    penalties = graph.evaluate(penalty, graph.token)
    at = np.flatnonzero(penalties[counting.prefix] == 0.0) + 1
    if not len(at) or (np.diff(at) != 1).any() or at[0] <= ALL or at[-1] >= limit:
        return None
    if not ((penalties == 0) | (penalties >= 1)).all():
        return None
    keyed = Form({graph.n: 1.0}, key.constant)
    off = np.where(penalties == 0, 0.0, 1.0)
    first, last = at[0] + key.constant, at[-1] + key.constant
    bounds = graph.bounds(query)
    if not bounds.integer:
        return None
    graph.leads(heads.lead(graph, query, temperature))
    store = PositionStore("keyed", keyed, graph.table(graph.token, off), True)
    lookup = HeadLookup(graph.store(store), graph.merged(query))
    if not (bounds.low >= first and bounds.high <= last):
        graph.inside[graph.lookup(lookup)] = first, last
    return _reading(graph, lookup)


def _cut_off(graph: Symbols, key: Form) -> float | None:
    """L, where a form is min(n, L) and a constant."""
    if len(key.terms) != 1:
        return None
    ((atom, c),) = key.terms.items()
    what = graph.atoms[atom]
    if c != 1.0 or not isinstance(what, Knots) or what.x != Form({graph.n: 1.0}) or len(what.knots) != 2:
        return None
    (start, up), (end, down) = what.knots
    return -end if start == 0.0 and up == 1.0 and down == -1.0 else None


__all__ = ["counted_reader"]
