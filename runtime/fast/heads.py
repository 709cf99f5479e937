"""Which kind of lookup a head is, seen from the linear forms of its queries and keys.

With score = sum of q_i k_i, n the position and K large:

    q = 0 or k constant                      uniform: a running mean
    q constant, q.k = eps n - penalty        register: the latest position with the least penalty
    q = K (b, 1), k = (2a, -a^2 + eps n - penalty)    score / K = b^2 - (a - b)^2 + eps n - penalty: the position whose key
                                             a is nearest to b among those with penalty 0, the latest of equals.
                                             a = n, b = n - j: the position j back; a = n, and n is read: a rounding
    q = K (b_i, 1, -|b|^2 - eps n), k = (2 a_i, -|a|^2 + eps n - penalty, 1 - floor)
                                             score / K = -|a - b|^2 - eps (later) - penalty, and -1/2 for the first
                                             position, where all values are 0: the latest position with
                                             the same digits, or 0
    everything else                          softmax over all positions

A component whose key is constant adds the same to all scores of a position, so it decides nothing, where no sum is rounded.

"K large" means that whatever loses, loses by more than a double can hold (`HARD`).

Some conditions may escape the analysis: that keys stay in range, that penalties are never negative, that without a
preference for the latest no key repeats and no two are equally near, that a key is not negative where only relu(a) a
stands for its square. Generated code checks them, and when one fails the sequence is read again by code that does not
trust such lookups (`Symbols.trusting`).
"""

from __future__ import annotations

import math

import numpy as np

from .atoms import Average, Key, Read, Relu, Stamp
from .bounds import Bounds, total
from .interface import EXACT, EXACT_LIMIT, KEY_LIMIT, MAX_DELAY
from .linear import ZERO, Form, linear
from .stores import DigitWindow, HeadLookup, PositionStore
from .symbols import Symbols

# exp(-HARD) is lost in a float64 sum next to 1 (2^-53 = exp(-36.7)); a little less is still far below any decision margin.
HARD = 30.0
# Positions whose squares, and products with each other, are exact doubles.
EXACT_SQUARES = 2**26 - 1
# Granularity of numbers that carry what rounding leaves of a sum, or less.
NOISE = -40
# A penalty counts as "never" when it is at least this many times the preference for one position later ...
NEVER_LATER = 2.0**8
# ... and the squared distance between any two keys, or this where the keys have no known bound.
NEVER_NEARER = 2.0**20

# By digit: where the range of it and of those below begins, and its size.
Windows = list[tuple[float, float]]
# Keys and queries as numbers, partial sums included, and these ranges.
Numbers = tuple[list[Form], list[Form], Windows]


def uniform(graph: Symbols, q: tuple[Form, ...], k: tuple[Form, ...]) -> bool:
    return all(x.is_zero() for x in q) or all(x.is_constant() for x in k)


def classify(
    graph: Symbols, q: tuple[Form, ...], k: tuple[Form, ...], layer: int, floor: np.ndarray | None
) -> HeadLookup:
    """The lookup that a non-uniform head performs. A `delay` lookup by 0 returns the position itself.

    floor: the components of the key of the first position, if all that the head reads there is 0.
    """
    used = [i for i in range(len(q)) if not q[i].is_zero() and not k[i].is_zero()]
    q, k = (tuple(graph.expanded(x[i]) for i in used) for x in (q, k))
    found = None
    if floor is not None and len(used) >= 3:
        found = paraboloid(graph, q, k, floor[used])
    if found is None:
        found = _plain(graph, q, k)
    shared = [x.is_constant() for x in k]
    if found is None and any(shared) and _summed_exactly(graph, q, k):
        found = _plain(graph, *(tuple(x for x, same in zip(part, shared, strict=True) if not same) for part in (q, k)))
    if found is None:
        total(
            0.0, [(graph.bounds(a).magnitude, graph.bounds(b)) for a, b in zip(q, k)]
        )  # refuses scores beyond all doubles
        graph.limit(0, " is no lookup that can be told from its weights")
        found = HeadLookup(graph.store(PositionStore("soft", keys=k, layer=layer)), q)
    return found


def _plain(graph: Symbols, q: tuple[Form, ...], k: tuple[Form, ...]) -> HeadLookup | None:
    """Without a floor."""
    if len(q) == 2:
        for i in (1, 0):
            if q[i].is_constant() and q[i].constant > 0:
                found = _parabola(graph, q[1 - i], q[i].constant, k[1 - i], k[i])
                if found is not None:
                    return found
    if all(x.is_constant() for x in q):
        return register(graph, linear([(x.constant, y) for x, y in zip(q, k, strict=True)]))
    return None


def _summed_exactly(graph: Symbols, q: tuple[Form, ...], k: tuple[Form, ...]) -> bool:
    """Whether no score is rounded, in whatever order its products are added."""
    pairs = [(graph.bounds(x), graph.bounds(y)) for x, y in zip(q, k, strict=True)]
    units = [x.exponent + y.exponent for x, y in pairs if x.exponent is not None and y.exponent is not None]
    size = sum(x.magnitude * y.magnitude for x, y in pairs)
    return len(units) == len(pairs) and size < EXACT * 2.0 ** min(units)


def delay(graph: Symbols, distance: int) -> HeadLookup:
    return HeadLookup(graph.store(PositionStore("delay")), distance)


def register(graph: Symbols, score: Form) -> HeadLookup | None:
    later, penalty = _split(graph, score)
    if later < HARD:
        return None
    if penalty.is_zero():
        graph.leads(later)
        return delay(graph, 0)
    if not _never(graph.bounds(penalty), later * NEVER_LATER):
        return None
    graph.leads(later)
    return HeadLookup(graph.store(PositionStore("register", penalty=penalty)), None)


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
            graph.limit(EXACT_SQUARES)
            graph.leads(temperature)
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
    store = PositionStore("keyed", graph.merged(key), graph.merged(penalty), latest, nonnegative)
    if later:  # what a later position leads by stays below half the distance of two keys
        graph.limit(int(0.5 / later))
    graph.leads(later * temperature if later else lead(graph, query, temperature))
    if set(key.terms) == {graph.n}:
        graph.limit(EXACT_SQUARES)
    return HeadLookup(graph.store(store), graph.merged(query))


def paraboloid(graph: Symbols, q: tuple[Form, ...], k: tuple[Form, ...], floor: np.ndarray) -> HeadLookup | None:
    """Digits are integers whose differences count by their squares, so that two keys are equal or at least 1 apart; a penalty
    is 0 or at least 1, the floor 1/2 and the preference for later positions less than that: eps * 2^32 may be more, but the
    certificate ends before."""
    scored = next((i for i, x in enumerate(q) if floor[i] == -0.5 and x.is_constant() and x.constant >= HARD), None)
    known = [i for i, x in enumerate(k) if floor[i] == 0 and _one_but_once(graph, x)]
    if scored is None or len(known) != 1 or known[0] == scored:
        return None
    last, temperature = known[0], q[scored].constant
    digits = [i for i in range(len(q)) if i not in (scored, last)]
    if any(floor[i] for i in digits) or not digits:
        return None
    a, b = [k[i].scaled(0.5) for i in digits], [q[i].scaled(1 / temperature) for i in digits]
    at_floor = k[last].scaled(-1.0).shifted(1.0)  # 1 at the first position, and 0 elsewhere
    score, mine = k[scored], q[last].scaled(1 / temperature)
    for x, y in zip(a, b):
        keyed, asked = (_without_any_square(graph, form, digit) for form, digit in ((score, x), (mine, y)))
        if keyed is None or asked is None or keyed[1] or asked[1]:
            return None
        score, mine = keyed[0], asked[0]
    later, penalty = _split(graph, score, constant=True)
    n = Form({graph.n: 1.0})
    if later * temperature < HARD or later * graph.started >= 0.5 or not mine.plus(n, later).is_zero():
        return None
    # The floor itself is never found; a second one does not occur (the engine sees to it).
    penalty = graph.merged(penalty.plus(at_floor, 1.0 - (0.5 + later * graph.first_position)))
    if not graph.bounds(penalty).integer or not all(graph.bounds(graph.normal(x)).integer for x in (*a, *b)):
        return None
    if graph.trusting and len(a) > 2:
        graph.assume_exclusive({x for y in b for x in graph.atoms_within(y)})
    numbers = _numbers(graph, a, b)
    if numbers is None:
        return None
    keys, queries, sizes = numbers
    windows = [
        tuple(DigitWindow(x, low, size) for x, (low, size) in zip(parts, sizes, strict=True))
        for parts in (keys[:-1], queries[:-1])
    ]
    if not graph.trusting:
        checked = [w for part in windows for w in part if not graph.within(w)]
        if checked or graph.bounds(penalty).low < 0 or graph.bounds(keys[-1]).magnitude >= EXACT_LIMIT:
            return None
    graph.floors.add(int(np.argmax(graph.evaluate(at_floor, graph.token))))
    store = PositionStore("keyed", graph.merged(keys[-1]), penalty, exact=True, windows=windows[0])
    graph.limit(int(0.5 / later))
    graph.leads(later * temperature)
    return HeadLookup(graph.store(store), graph.merged(queries[-1]), windows[1])


def lead(graph: Symbols, query: Form, temperature: float) -> float:
    """By how much the nearest of integer keys leads in the scores, at least, unless a query lies halfway between two: 2 K d, d
    the distance from there. Of queries without granularity, or with that of noise, it is 1/4: they are not quite the numbers that
    they stand for."""
    exponent = graph.bounds(query).exponent
    return 2.0 * temperature * 2.0 ** (-2 if exponent is None or exponent < NOISE else min(exponent, -1))


def _without_any_square(graph: Symbols, form: Form, key: Form) -> tuple[Form, bool] | None:
    """As `_without_square`; a digit may be a constant."""
    return (form.shifted(key.constant * key.constant), False) if key.is_constant() else _without_square(graph, form, key)


def _one_but_once(graph: Symbols, form: Form) -> bool:
    """Whether a form is 1 for all tokens but one, for which it is 0."""
    if graph.single_source(form) != graph.token:
        return False
    values = graph.evaluate(form, graph.token)
    return bool(((values == 0) | (values == 1)).all()) and int((values == 0).sum()) == 1


def _numbers(graph: Symbols, a: list[Form], b: list[Form]) -> Numbers | None:
    """Digits as one number each, low digits first: sum of unit_i * digit_i, partial sums included; and for each but the last
    the range that it must be in, so that equal sums mean equal digits.

    Digit i counts unit_i = the size of the range of the digits below. The size is the power of two for which the sums depend on
    least: sums of addresses cancel their carries there. Among equals the least one that holds all digits of queries and of keys,
    or of queries alone: another lookup may ask for what this one does not. Keys are to stay below EXACT_LIMIT.
    """
    sizes = graph.digit_sizes.get(tuple(a))  # as in the first lookup with these keys
    found = _numbered(graph, a, b, sizes, generous=True)
    if found is not None and sizes is None and graph.bounds(found[0][-1]).magnitude >= EXACT_LIMIT:
        found = _numbered(graph, a, b, None, generous=False)
    if found is not None:
        graph.digit_sizes.setdefault(tuple(a), found[2])
    return found


def _numbered(graph: Symbols, a: list[Form], b: list[Form], known: Windows | None, generous: bool) -> Numbers | None:
    """known: ranges that have been chosen already. generous: whether keys' digits count, too."""
    keys, queries = [graph.gathered(graph.shortest(a[0]))], [graph.gathered(graph.shortest(b[0]))]
    sizes: Windows = []
    for i, (x, y) in enumerate(zip(a[1:], b[1:])):
        asked, kept = graph.bounds(queries[-1]), graph.bounds(keys[-1])
        if known is not None:
            units = [known[i][1]]
        else:
            carried = {*_carried(graph, keys[-1], x), *_carried(graph, queries[-1], y)}
            units = sorted({*_units(asked, kept), *carried})
        candidates = []
        for unit in units:
            sums = [
                graph.gathered(graph.shortest(linear([(1.0, lower), (unit, digit)])))
                for lower, digit in ((queries[-1], y), (keys[-1], x))
            ]
            length = sum(len(graph.expanded(form).terms) + len(graph.atoms_within(form)) for form in sums)
            holds = [_width(asked) < unit, generous and _width(_both(asked, kept)) < unit]
            candidates.append((length, -sum(holds), unit, sums))
        if not candidates:
            return None
        _, _, unit, sums = min(candidates, key=lambda c: c[:3])
        sizes.append(known[i] if known is not None else (_first(sizes, asked, kept, unit), unit))
        queries.append(sums[0])
        keys.append(sums[1])
    return keys, queries, sizes


def _first(sizes: Windows, asked: Bounds, kept: Bounds, unit: float) -> float:
    """Where the range of digits begins: in the middle of the digits, if it holds all then or none would."""
    # What is known of a sum of several columns may reach farther down than its values.
    centred = (sizes[-1][0] if sizes else 0.0) - unit / 2
    for digits in (_both(asked, kept), asked):
        if _width(digits) < unit:
            return centred if centred <= digits.low and digits.high < centred + unit else digits.low
    return max(asked.low, centred)


def _both(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(min(one.low, other.low), max(one.high, other.high), None)


def _width(bounds: Bounds) -> float:
    return bounds.high - bounds.low


def _carried(graph: Symbols, low: Form, digit: Form) -> set[float]:
    """Powers of two by which what a digit has is taken away from the sum below it."""
    mine, other = graph.expanded(low).terms, graph.expanded(digit).terms
    ratios = {-mine[atom] / other[atom] for atom in mine.keys() & other.keys()}
    return {r for r in ratios if 2.0 <= r < 2.0**40 and math.frexp(r)[0] == 0.5}


def _units(*sums: Bounds) -> list[float]:
    """Powers of two near the number of values that a sum of lower digits has."""
    widths = [_width(bounds) + 1 for bounds in (*sums, _both(*sums))]
    exponents = [math.log2(width) for width in widths if 2 <= width < 2.0**40]
    return sorted({2.0 ** choose(e) for e in exponents for choose in (round, math.floor, math.ceil)})


def _split(graph: Symbols, score: Form, constant: bool = False) -> tuple[float, Form]:
    """score = later * n - penalty + constant; a constant that all positions share decides nothing. constant: it does."""
    later = score.terms.get(graph.n, 0.0)
    rest = linear([(-1.0, score), (later, Form({graph.n: 1.0}))])
    rest = graph.merged(graph.expanded(rest))
    return later, (ZERO if rest.is_constant() and not constant else rest)


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
        ratio = None if store.exact else _ratio(graph.expanded(value).without_constant(), store.key.without_constant())
        if ratio is not None and set(store.key.terms) == {graph.n} and store.penalty.is_zero():
            position = graph.rounded(
                linear([(1 / store.key.terms[graph.n], lookup.query.shifted(-store.key.constant))])
            )
            if position is not None:
                value = graph.expanded(value)
                return linear([(value.terms[graph.n], position), (1.0, Form({}, value.constant))])
        if ratio is not None:
            return graph.of(Key(number), ratio, value.constant - ratio * store.key.constant)
    parts, rest = [(1.0, Form({}, value.constant))], dict(value.terms)
    by_source: dict[int, dict[int, float]] = {}
    for atom in value.terms:
        origin = graph.parts(atom).source
        if origin is not None:
            by_source.setdefault(origin, {})[atom] = rest.pop(atom)
        elif atom == graph.n and store.kind == "keyed" and dict(store.key.terms) == {graph.n: 1.0}:
            parts.append((rest.pop(atom), graph.of(Key(number), constant=-store.key.constant)))
        elif atom == graph.n and store.kind != "delay" and not graph.counted:
            parts.append((rest.pop(atom), graph.of(Stamp(number))))
    for source, terms in by_source.items():
        stored = graph.stored_source(number, store.column(source), graph.sources[source].size + 1)
        for part in [terms] if graph.evaluates(Form(terms), source) else [{a: c} for a, c in terms.items()]:
            parts.append((1.0, graph.table(stored, np.insert(graph.evaluate(Form(part), source), 0, 0.0))))
    for atom, c in rest.items():
        parts.append((c, graph.of(Read(number, store.column(Form({atom: 1.0}))))))
    result = linear(parts)
    if store.exact and len(value.terms) == len(result.terms) == 2 and not rest and not value.constant:
        graph.pairs.append((result, value))
    return result
