"""Which kind of lookup a head is, seen from the linear forms of its queries and keys.

With score = q0 k0 + q1 k1, n the position and K large:

    q = 0 or k constant                      uniform: a running mean
    q constant, q.k = eps n - penalty        register: the latest position with the least penalty
    q = K (b, 1), k = (2a, -a^2 + eps n - penalty)    score / K = b^2 - (a - b)^2 + eps n - penalty: the position whose key
                                             a is nearest to b among those with penalty 0, the latest of equals.
                                             a = n, b = n - j: the position j back
    everything else                          softmax over all positions

"K large" means that whatever loses, loses by more than a double can hold (`HARD`).

Some conditions may escape the analysis: that keys stay in range, that penalties are never negative, that without a
preference for the latest no key repeats and no two are equally near, that a key is not negative where only relu(a) a
stands for its square. Generated code checks them, and when one fails the sequence is read again by code that does not
trust such lookups (`Symbols.trusting`).
"""

from __future__ import annotations

import numpy as np

from .atoms import Average, Key, Read, Relu, Stamp
from .bounds import Bounds, total
from .interface import KEY_LIMIT, MAX_DELAY
from .linear import ZERO, Form, linear
from .symbols import HeadLookup, Store, Symbols

# exp(-HARD) is lost in a float64 sum next to 1 (2^-53 = exp(-36.7)); a little less is still far below any decision margin.
HARD = 30.0
# A penalty counts as "never" when it is at least this many times the preference for one position later ...
NEVER_LATER = 2.0**8
# ... and the squared distance between any two keys, or this where the keys have no known bound.
NEVER_NEARER = 2.0**20


def uniform(graph: Symbols, q: tuple[Form, Form], k: tuple[Form, Form]) -> bool:
    return all(x.is_zero() for x in q) or all(x.is_constant() for x in k)


def classify(graph: Symbols, q: tuple[Form, Form], k: tuple[Form, Form], layer: int) -> HeadLookup:
    """The lookup that a non-uniform head performs. A `delay` lookup by 0 returns the position itself."""
    q = (graph.expanded(q[0]), graph.expanded(q[1]))
    k = (graph.expanded(k[0]), graph.expanded(k[1]))
    found = None
    for i in (1, 0):
        if found is None and q[i].is_constant() and q[i].constant > 0:
            found = _parabola(graph, q[1 - i], q[i].constant, k[1 - i], k[i])
    if found is None and q[0].is_constant() and q[1].is_constant():
        found = _register(graph, linear([(q[0].constant, k[0]), (q[1].constant, k[1])]))
    if found is None:
        total(
            0.0, [(graph.bounds(a).magnitude, graph.bounds(b)) for a, b in zip(q, k)]
        )  # refuses scores beyond all doubles
        found = HeadLookup(graph.store(Store("soft", keys=k, layer=layer)), q)
    return found


def delay(graph: Symbols, distance: int) -> HeadLookup:
    return HeadLookup(graph.store(Store("delay")), distance)


def _register(graph: Symbols, score: Form) -> HeadLookup | None:
    later, penalty = _split(graph, score)
    if later < HARD:
        return None
    if penalty.is_zero():
        return delay(graph, 0)
    if not _never(graph.bounds(penalty), later * NEVER_LATER):
        return None
    return HeadLookup(graph.store(Store("register", penalty=penalty)), None)


def _parabola(graph: Symbols, q0: Form, temperature: float, k0: Form, k1: Form) -> HeadLookup | None:
    key, query = k0.scaled(0.5), q0.scaled(1 / temperature)
    if key.is_constant() or temperature < HARD:
        return None
    squared = _without_square(graph, k1, key)
    if squared is None:
        return None
    rest, nonnegative = squared
    later, penalty = _split(graph, rest)
    if len(penalty.terms) == 1:
        penalty = penalty.shifted(-graph.bounds(penalty).low)
    if later < 0 or 0 < later * temperature < HARD:
        return None
    if key == Form({graph.n: 1.0}) and penalty.is_zero():
        distance = -query.constant
        if query.without_constant() == key and 0 <= distance <= MAX_DELAY and distance == int(distance):
            return delay(graph, int(distance))
    if not graph.bounds(key).integer:
        return None
    keys = graph.bounds(key)
    spread = keys.high - keys.low  # its square may be beyond all doubles
    never = max(min(spread * spread, NEVER_NEARER), later * NEVER_LATER)
    if not penalty.is_zero() and (graph.bounds(penalty).low > 0 or not _never(graph.bounds(penalty), never)):
        return None
    latest, nonnegative = later > 0, nonnegative and keys.low < 0
    proven = latest and not nonnegative and graph.bounds(penalty).low >= 0
    if not graph.trusting and not (proven and keys.low >= -KEY_LIMIT and keys.high < KEY_LIMIT):
        return None
    store = Store("keyed", graph.merged(key), graph.merged(penalty), latest, nonnegative)
    return HeadLookup(graph.store(store), graph.merged(query))


def _split(graph: Symbols, score: Form) -> tuple[float, Form]:
    """score = later * n - penalty + constant; a constant that all positions share decides nothing."""
    later = score.terms.get(graph.n, 0.0)
    rest = linear([(-1.0, score), (later, Form({graph.n: 1.0}))])
    rest = graph.merged(graph.expanded(rest))
    return later, (ZERO if rest.is_constant() else rest)


def _never(penalty: Bounds, least: float) -> bool:
    """Whether two different values of a penalty are at least that far apart."""
    return penalty.exponent is not None and 2.0**penalty.exponent >= least


def _without_square(graph: Symbols, form: Form, key: Form) -> tuple[Form, bool] | None:
    """form + key^2 as a form, and whether that holds for key >= 0 only; None if the square is not found in the form."""
    n, nn = graph.n, graph.nn
    if set(key.terms) == {n}:
        c, d = key.terms[n], key.constant
        square = Form({nn: c * c, **({n: 2 * c * d} if d else {})}, d * d)
        rest = linear([(1.0, form), (1.0, square)])
        return None if nn in rest.terms else (rest, False)
    source = graph.single_source(key)
    if source is not None:
        values = graph.evaluate(key, source)
        square = graph.table(source, values * values)
        return graph.merged(linear([(1.0, form), (1.0, square)])), False
    terms, positive, negative = dict(form.terms), 0.0, 0.0
    for atom, c in form.terms.items():
        what = graph.atoms[atom]
        if not isinstance(what, Relu):
            continue
        gate, up = graph.expanded(what.gate), graph.expanded(what.up)
        g, u = _ratio(gate, key), _ratio(up, key)
        if g is None or u is None:
            continue
        del terms[atom]
        if g > 0:
            positive += c * g * u
        else:
            negative += c * g * u
    bounds = graph.bounds(key)
    if (positive != -1.0 and bounds.high > 0) or negative not in ((-1.0, 0.0) if bounds.high > 0 else (-1.0,)):
        return None
    return Form(terms, form.constant), negative == 0.0


def _ratio(form: Form, base: Form) -> float | None:
    """r with form = r * base."""
    if set(form.terms) != set(base.terms) or not base.terms:
        return None
    atom = next(iter(base.terms))
    r = form.terms[atom] / base.terms[atom]
    return r if base.scaled(r) == form else None


def read(graph: Symbols, lookup: HeadLookup, value: Form) -> Form:
    """The head's output for a value form: copied from the position that the lookup finds."""
    store, number = graph.stores[lookup.store], graph.lookup(lookup)
    if store.kind == "delay" and lookup.query == 0:
        return value
    if value.is_constant():
        return value
    if store.kind == "soft":
        column = store.column(value.without_constant())
        return graph.of(Average(number, column), constant=value.constant)
    if store.kind == "keyed":
        ratio = _ratio(graph.expanded(value).without_constant(), store.key.without_constant())
        if ratio is not None:
            return graph.of(Key(number), ratio, value.constant - ratio * store.key.constant)
    parts, rest = [(1.0, Form({}, value.constant))], dict(value.terms)
    by_source: dict[int, dict[int, float]] = {}
    for atom in value.terms:
        origin = graph.parts(atom).source
        if origin is not None:
            by_source.setdefault(origin, {})[atom] = rest.pop(atom)
        elif atom == graph.n and store.kind != "delay":
            parts.append((rest.pop(atom), graph.of(Stamp(number))))
    for source, terms in by_source.items():
        values = graph.evaluate(Form(terms), source)
        stored = graph.stored_source(number, store.column(source), graph.sources[source].size + 1)
        parts.append((1.0, graph.table(stored, np.insert(values, 0, 0.0))))
    if rest:
        form = Form(rest)
        scale = max(abs(c) for c in rest.values()) if len(rest) == 1 else 1.0
        column = store.column(form.scaled(1 / scale) if len(rest) == 1 else form)
        parts.append((scale, graph.of(Read(number, column))))
    return linear(parts)
