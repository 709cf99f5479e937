"""A model's layers over one stripe of positions after the other, with hard attention. `diff.native` makes machine code of it.

A stripe is LANES consecutive positions: its residual stream, [slots, PITCH], and what is computed from it stay in a processor's
cache, and each sum of a matrix is one over all its positions. Lookups go from position to position: each is put into a hash table
under its key, then the query is looked up. `hard` fills the arrays and calls it.
"""

from __future__ import annotations

from ..diff.native import I32, I64, R64, bits, fabs, real, rint, whole

LANES = 64
# From row to row. In one column, no two rows near each other want the same places of a cache.
PITCH = LANES + 8
# How it ends: all is done; a store has no room for another stripe's keys, or is a bad one for them; or what the query FAULT_AT or
# the keys of its store are given is not of their form.
DONE, GROW, MIDDLE, NO_PARABOLA, NO_INTEGER, OUT_OF_RANGE, NO_OWN, NO_FLOOR, BAD_FLOOR, NO_PARABOLOID, BEYOND = range(11)

# Of the state. AT: the next position. FROM: choices are wanted from there on. FIRST: the position of `chosen`'s first element,
# which says where in the memo the final residual stands, as far as logits depend on it; the memo has room for all that may come.
(AT, END, FROM, FIRST, CODE_END, SLOTS, STORES, FAULT_AT, READ, MEMO_COUNT, MEMO_MASK) = range(11)
STATE_WIDTH = 16

# Operations, OP_WIDTH numbers each: the operation, and
#   PRODUCT         rows of the matrices first .. last - 1, each times x, to rows of y, the place of the first
#   PRODUCT_WANTED  the same, only those that are `wanted` in this stripe
#   GATES           neurons first .. last - 1 in `operands`: relu(gate) to rows of h, one behind the other, of those of which it
#                   is not 0 at all positions of the stripe, which are listed in `living`
#   UPS             times what these let through
#   ERASE           `operands` first .. last - 1 names rows of x that become 0
#   DOWN            what these neurons add to rows of x
#   SUM             rows first .. last - 1 times h, each added to the row of x that `targets` names
#   MEAN, PARABOLA, DIGITS    a store's number
PRODUCT, PRODUCT_WANTED, GATES, UPS, ERASE, DOWN, SUM, MEAN, PARABOLA, DIGITS = range(10)
OP_WIDTH = 4
# Of a neuron. GATE_OF, GATE, UP_OF, UP: of what its gate and its up are made, and their places there. UP_ROW: of the matrices.
# FACTORS: where `reals` has w0 .. w3: gate = w0 x + w1, up = w2 x + w3, x a row of x or of y; or up = w3. DOWN_FIRST, DOWN_END:
# of what it adds, in `places` and `weights`.
GATE_OF, GATE, UP_OF, UP, UP_ROW, FACTORS, DOWN_FIRST, DOWN_END = range(8)
NEURON_WIDTH = 8
CONSTANT, OF_X, OF_Y = range(3)
# What a gate of 0 lets through is 0 if its up is finite. It is: weights are below this (`hard_code` looks), and what neurons give
# and heads have been added to is (otherwise BEYOND). So no number of the residual stream is beyond 2^640, and no sum of its
# products with weights beyond 2^960. In a stripe of less than LANES positions no neuron is left out.
FINITE = 2.0**300

# Of a store, what several lookups with the same keys find things in. BASE, MASK: of its buckets. COUNT: of keys in them. LIMIT:
# of that. VALUES: of its first value. SIZE: values of a key. COMPONENTS: of keys. KEY, VALUE: where `operands` has their places
# in y. EPS: in `reals`. UNIT: of a digit. FIRST_QUERY, LAST_QUERY: in `queries`. FACTOR, SHIFT: of its hash. STEPS: from bucket
# to bucket.
(BASE, MASK, COUNT, LIMIT, VALUES, SIZE, COMPONENTS, KEY, VALUE, EPS, UNIT, FIRST_QUERY, LAST_QUERY, FACTOR, SHIFT,
 STEPS) = range(16)  # fmt: skip
STORE_WIDTH = 16
# Of a query. ASKED: where `operands` has the places of its components. TEMPERATURE: in `reals`. WANTED, WANTED_END: in
# `operands`, by three numbers for each run of the store's values that it carries: the first one, where in h it goes, and where
# the last one ends.
ASKED, TEMPERATURE, WANTED, WANTED_END = range(4)
QUERY_WIDTH = 4
EMPTY, HOME = 0, 2**62  # a key stands in its bucket with HOME added, so that none is 0
OFTEN, FEW = 32, 1 << 16  # steps from bucket to bucket at a position, and besides, that neighbours are allowed
FARTHEST, FAR = 536870912.0, 2**62  # 2^29: no key is beyond
# A key within this distance of an integer is that integer (cumulative sums are rounded at about 1e-10).
ROUNDING = 1e-3
# A query that is no integer is rounded when it is at least 2^-26 from the middle between two.
NEAR_MIDDLE = 0.5 - 2.0**-26
HIGHEST_DIGIT = 16384.0
MIX = -7046029254386353131  # 2^64 / golden ratio, odd


def follow(
    state: I64, code: I64, entries: I64, places: I64, weights: R64, targets: I64, operands: I64, reals: R64,
    queries: I64, stores: I64, keys: I64, stamps: I64, values: R64, extremes: R64, tokens: I32, token_entries: I64,
    token_places: I64, token_weights: R64, positions: R64, x: R64, y: R64, h: R64, z: R64, numbers: I64, reading: I64,
    memo: R64, memo_buckets: I64, living: I64, wanted: I64, chosen: I64,
) -> int:  # fmt: skip
    """The positions from state[AT] to state[END] - 1. Returns how it ended; after GROW it can be gone on."""
    slots = state[SLOTS]
    start = state[AT]
    while start < state[END]:
        count = state[END] - start
        if count > LANES:
            count = LANES
        # Room for what a stripe may add, and no long ways to it.
        i = 0
        while i < state[STORES]:
            d = i * STORE_WIDTH
            slow = stores[d + FACTOR] == 1 and stores[d + STEPS] > OFTEN * start + FEW
            if slow or stores[d + COUNT] + LANES > stores[d + LIMIT]:
                state[AT] = start
                return GROW
            i = i + 1
        wide = 0
        known = 0
        # The embedding.
        i = 0
        while i < slots * PITCH:
            x[i] = 0.0
            i = i + 1
        t = 0
        while t < count:
            token = tokens[start + t]
            e = token_entries[token]
            while e < token_entries[token + 1]:
                x[token_places[e] + t] = token_weights[e]
                e = e + 1
            t = t + 1
        i = 0
        while i < slots:
            linear = positions[i]
            square = positions[slots + i]
            if linear != 0.0 or square != 0.0:
                o = i * PITCH
                t = 0
                while t < LANES:
                    n = real(start + t + 1)
                    x[o + t] = x[o + t] + linear * n + square * (n * n)
                    t = t + 1
            i = i + 1
        at = 0
        while at < state[CODE_END]:
            op = code[at]
            if op <= PRODUCT_WANTED:
                row = code[at + 1]
                o = code[at + 3]
                while row < code[at + 2]:
                    e = entries[row]
                    left = entries[row + 1] - e
                    if op == PRODUCT_WANTED and wanted[row] <= start:
                        left = 0
                    if left == 1:
                        p0 = places[e]
                        w0 = weights[e]
                        t = 0
                        while t < LANES:
                            y[o + t] = w0 * x[p0 + t]
                            t = t + 1
                    elif left == 2:
                        p0 = places[e]
                        p1 = places[e + 1]
                        w0 = weights[e]
                        w1 = weights[e + 1]
                        t = 0
                        while t < LANES:
                            y[o + t] = w0 * x[p0 + t] + w1 * x[p1 + t]
                            t = t + 1
                    elif left:
                        p0 = places[e]
                        p1 = places[e + 1]
                        p2 = places[e + 2]
                        p3 = places[e + 3]
                        w0 = weights[e]
                        w1 = weights[e + 1]
                        w2 = weights[e + 2]
                        w3 = weights[e + 3]
                        t = 0
                        while t < LANES:
                            y[o + t] = w0 * x[p0 + t] + w1 * x[p1 + t] + w2 * x[p2 + t] + w3 * x[p3 + t]
                            t = t + 1
                        e = e + 4
                        while e < entries[row + 1]:
                            p0 = places[e]
                            p1 = places[e + 1]
                            p2 = places[e + 2]
                            p3 = places[e + 3]
                            w0 = weights[e]
                            w1 = weights[e + 1]
                            w2 = weights[e + 2]
                            w3 = weights[e + 3]
                            t = 0
                            while t < LANES:
                                y[o + t] = y[o + t] + (w0 * x[p0 + t] + w1 * x[p1 + t] + w2 * x[p2 + t] + w3 * x[p3 + t])
                                t = t + 1
                            e = e + 4
                    o = o + PITCH
                    row = row + 1
            elif op == GATES:
                # Bits are OR-ed: 0 is what all of them are, or one is not.
                known = 0
                i = code[at + 1]
                while i < code[at + 2]:
                    p0 = operands[i + GATE]
                    e = operands[i + FACTORS]
                    w0 = reals[e]
                    w1 = reals[e + 1]
                    o = known * PITCH
                    key = 0
                    t = 0
                    if operands[i + GATE_OF] == OF_X:
                        while t < LANES:
                            gate = w0 * x[p0 + t] + w1
                            if gate < 0.0:
                                gate = 0.0
                            h[o + t] = gate
                            key = key | bits(gate)
                            t = t + 1
                    else:
                        while t < LANES:
                            gate = w0 * y[p0 + t] + w1
                            if gate < 0.0:
                                gate = 0.0
                            h[o + t] = gate
                            key = key | bits(gate)
                            t = t + 1
                    if key or count < LANES:
                        living[known] = i
                        wanted[operands[i + UP_ROW]] = start + 1
                        known = known + 1
                    i = i + NEURON_WIDTH
            elif op == UPS:
                k = 0
                while k < known:
                    i = living[k]
                    p1 = operands[i + UP]
                    e = operands[i + FACTORS]
                    w2 = reals[e + 2]
                    w3 = reals[e + 3]
                    o = k * PITCH
                    t = 0
                    if operands[i + UP_OF] == CONSTANT:
                        while t < LANES:
                            a = h[o + t] * w3
                            h[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    elif operands[i + UP_OF] == OF_X:
                        while t < LANES:
                            a = h[o + t] * (w2 * x[p1 + t] + w3)
                            h[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    else:
                        while t < LANES:
                            a = h[o + t] * (w2 * y[p1 + t] + w3)
                            h[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    k = k + 1
            elif op == ERASE:
                i = code[at + 1]
                while i < code[at + 2]:
                    o = operands[i]
                    t = 0
                    while t < LANES:
                        x[o + t] = 0.0 * x[o + t]
                        t = t + 1
                    i = i + 1
            elif op == DOWN:
                k = 0
                while k < known:
                    i = living[k]
                    p0 = k * PITCH
                    e = operands[i + DOWN_FIRST]
                    while e < operands[i + DOWN_END]:
                        o = places[e]
                        w0 = weights[e]
                        t = 0
                        while t < LANES:
                            x[o + t] = x[o + t] + w0 * h[p0 + t]
                            t = t + 1
                        e = e + 1
                    k = k + 1
            elif op == SUM:
                row = code[at + 1]
                while row < code[at + 2]:
                    o = targets[row]
                    e = entries[row]
                    left = entries[row + 1] - e
                    if left == 1:
                        p0 = places[e]
                        w0 = weights[e]
                        t = 0
                        while t < LANES:
                            a = x[o + t] + w0 * h[p0 + t]
                            x[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    elif left == 2:
                        p0 = places[e]
                        p1 = places[e + 1]
                        w0 = weights[e]
                        w1 = weights[e + 1]
                        t = 0
                        while t < LANES:
                            a = x[o + t] + (w0 * h[p0 + t] + w1 * h[p1 + t])
                            x[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    else:
                        p0 = places[e]
                        p1 = places[e + 1]
                        p2 = places[e + 2]
                        p3 = places[e + 3]
                        w0 = weights[e]
                        w1 = weights[e + 1]
                        w2 = weights[e + 2]
                        w3 = weights[e + 3]
                        t = 0
                        while t < LANES:
                            z[t] = w0 * h[p0 + t] + w1 * h[p1 + t] + w2 * h[p2 + t] + w3 * h[p3 + t]
                            t = t + 1
                        e = e + 4
                        while e < entries[row + 1]:
                            p0 = places[e]
                            p1 = places[e + 1]
                            p2 = places[e + 2]
                            p3 = places[e + 3]
                            w0 = weights[e]
                            w1 = weights[e + 1]
                            w2 = weights[e + 2]
                            w3 = weights[e + 3]
                            t = 0
                            while t < LANES:
                                z[t] = z[t] + (w0 * h[p0 + t] + w1 * h[p1 + t] + w2 * h[p2 + t] + w3 * h[p3 + t])
                                t = t + 1
                            e = e + 4
                        t = 0
                        while t < LANES:
                            a = x[o + t] + z[t]
                            x[o + t] = a
                            wide = wide | (1 - (fabs(a) < FINITE))
                            t = t + 1
                    row = row + 1
            elif op == MEAN:
                d = code[at + 1] * STORE_WIDTH
                q = stores[d + FIRST_QUERY] * QUERY_WIDTH
                i = queries[q + WANTED]
                while i < queries[q + WANTED_END]:
                    k = operands[i]
                    o = operands[i + 1]
                    while o < operands[i + 2]:
                        p0 = operands[stores[d + VALUE] + k]
                        total = values[stores[d + VALUES] + k]
                        t = 0
                        while t < count:
                            total = total + y[p0 + t]
                            if fabs(total) > extremes[0]:
                                extremes[0] = fabs(total)
                            h[o + t] = total / real(start + t + 1)
                            t = t + 1
                        values[stores[d + VALUES] + k] = total
                        k = k + 1
                        o = o + PITCH
                    i = i + 3
            else:
                d = code[at + 1] * STORE_WIDTH
                size = stores[d + SIZE]
                carried = stores[d + VALUE]
                eps = reals[stores[d + EPS]]
                last = stores[d + COMPONENTS] - 1
                half = real(stores[d + UNIT]) * 0.5
                first_query = stores[d + FIRST_QUERY]
                last_query = stores[d + LAST_QUERY]
                state[FAULT_AT] = first_query
                # The keys, EMPTY where they do not count.
                bad = 0
                worse = 0
                p0 = operands[stores[d + KEY]]
                p1 = operands[stores[d + KEY] + 1]
                if op == PARABOLA:
                    t = 0
                    while t < count:
                        a = y[p0 + t] * 0.5
                        penalty = eps * real(start + t + 1) - a * a - y[p1 + t]
                        if a > FARTHEST:
                            a = FARTHEST
                        if a < -FARTHEST:
                            a = -FARTHEST
                        near = rint(a)
                        key = EMPTY
                        if penalty < 0.5:
                            key = HOME + whole(near)
                            bad = bad | (penalty < -0.5)
                            worse = worse | (fabs(near - a) > ROUNDING)
                        numbers[t] = key
                        t = t + 1
                    if bad:
                        return NO_PARABOLA
                    if worse:
                        return NO_INTEGER
                else:
                    t = 0
                    while t < count:
                        z[t] = 0.0
                        numbers[t] = HOME
                        t = t + 1
                    scale = 1
                    i = 0
                    while i < last - 1:
                        limit = half
                        if i == last - 2:
                            limit = HIGHEST_DIGIT
                        p0 = operands[stores[d + KEY] + i]
                        t = 0
                        while t < count:
                            a = y[p0 + t] * 0.5
                            bad = bad | (rint(a) != a)
                            worse = worse | (fabs(a + 0.5) > limit)
                            z[t] = z[t] + a * a
                            numbers[t] = numbers[t] + scale * whole(a)
                            t = t + 1
                        scale = scale * stores[d + UNIT]
                        i = i + 1
                    if bad:
                        return NO_INTEGER
                    if worse:
                        return OUT_OF_RANGE
                    p0 = operands[stores[d + KEY] + last - 1]
                    p1 = operands[stores[d + KEY] + last]
                    t = 0
                    if start == 0:
                        if y[p1] != 0.0:
                            return NO_FLOOR
                        bad = (y[p0] != -0.5) | (z[0] != 0.0)
                        i = 0
                        while i < size:
                            bad = bad | (y[operands[carried + i]] != 0.0)
                            i = i + 1
                        if bad:
                            return BAD_FLOOR
                        numbers[0] = EMPTY
                        t = 1
                    while t < count:
                        penalty = eps * real(start + t + 1) - (y[p0 + t] + z[t])
                        bad = bad | (y[p1 + t] != 1.0)
                        key = EMPTY
                        if penalty < 0.5:
                            key = numbers[t]
                            worse = worse | (fabs(penalty) > eps * 0.25)
                        numbers[t] = key
                        t = t + 1
                    if bad:
                        return NO_FLOOR
                    if worse:
                        return NO_PARABOLOID
                # What is asked for.
                k = first_query
                o = PITCH
                while k < last_query:
                    state[FAULT_AT] = k
                    q = k * QUERY_WIDTH
                    p0 = operands[queries[q + ASKED]]
                    p1 = operands[queries[q + ASKED] + 1]
                    if op == PARABOLA:
                        t = 0
                        while t < count:
                            a = y[p0 + t] / y[p1 + t]
                            if a != a:
                                a = 0.0
                            if a > FARTHEST:
                                a = FARTHEST
                            if a < -FARTHEST:
                                a = -FARTHEST
                            near = rint(a)
                            bad = bad | (fabs(near - a) > NEAR_MIDDLE)
                            numbers[o + t] = HOME + whole(near)
                            t = t + 1
                        if bad:
                            return MIDDLE
                    else:
                        temperature = reals[queries[q + TEMPERATURE]]
                        t = 0
                        while t < count:
                            z[t] = 0.0
                            numbers[o + t] = HOME
                            t = t + 1
                        scale = 1
                        i = 0
                        while i < last - 1:
                            limit = half
                            if i == last - 2:
                                limit = HIGHEST_DIGIT
                            p0 = operands[queries[q + ASKED] + i]
                            t = 0
                            while t < count:
                                a = y[p0 + t] / temperature
                                bad = bad | (rint(a) != a)
                                worse = worse | (fabs(a + 0.5) > limit)
                                z[t] = z[t] + a * a
                                numbers[o + t] = numbers[o + t] + scale * whole(a)
                                t = t + 1
                            scale = scale * stores[d + UNIT]
                            i = i + 1
                        if bad:
                            return NO_INTEGER
                        if worse:
                            return OUT_OF_RANGE
                        p0 = operands[queries[q + ASKED] + last]
                        t = 0
                        while t < count:
                            bad = bad | (y[p0 + t] / temperature != 0.0 - z[t] - eps * real(start + t + 1))
                            t = t + 1
                        if bad:
                            return NO_OWN
                    o = o + PITCH
                    k = k + 1
                # Position for position: first its key, then its queries.
                base = stores[d + BASE]
                mask = stores[d + MASK]
                known = stores[d + COUNT]
                first_value = stores[d + VALUES]
                factor = stores[d + FACTOR]
                shift = stores[d + SHIFT]
                steps = 0
                t = 0
                while t < count:
                    key = numbers[t]
                    if key != EMPTY:
                        b = base + (((key * factor) >> shift) & mask)
                        while keys[b] != key and keys[b] != EMPTY:
                            b = base + ((b - base + 1) & mask)
                            steps = steps + 1
                        if keys[b] == EMPTY:
                            keys[b] = key
                            known = known + 1
                        stamps[b] = start + t
                        o = first_value + (b - base) * size
                        i = 0
                        while i < size:
                            values[o + i] = y[operands[carried + i] + t]
                            i = i + 1
                    k = first_query
                    o = PITCH + t
                    while k < last_query:
                        q = k * QUERY_WIDTH
                        key = numbers[o]
                        b = base + (((key * factor) >> shift) & mask)
                        while keys[b] != key and keys[b] != EMPTY:
                            b = base + ((b - base + 1) & mask)
                            steps = steps + 1
                        there = keys[b] != EMPTY
                        if there == 0 and op == PARABOLA:
                            # The nearest key; of two equally near ones the later.
                            distance = FAR
                            i = base
                            while i <= base + mask:
                                if keys[i] != EMPTY:
                                    far = keys[i] - key
                                    if far < 0:
                                        far = -far
                                    if far < distance or (far == distance and stamps[i] > stamps[b]):
                                        distance = far
                                        b = i
                                        there = 1
                                i = i + 1
                        i = queries[q + WANTED]
                        e = queries[q + WANTED_END]
                        p0 = first_value + (b - base) * size
                        while i < e:
                            p1 = p0 + operands[i]
                            p2 = operands[i + 1] + t
                            p3 = operands[i + 2] + t
                            if there:
                                while p2 < p3:
                                    h[p2] = values[p1]
                                    p1 = p1 + 1
                                    p2 = p2 + PITCH
                            else:
                                while p2 < p3:
                                    h[p2] = 0.0
                                    p2 = p2 + PITCH
                            i = i + 3
                        o = o + PITCH
                        k = k + 1
                    t = t + 1
                stores[d + COUNT] = known
                stores[d + STEPS] = stores[d + STEPS] + steps
            at = at + OP_WIDTH
        if wide and count == LANES:
            return BEYOND
        # What the logits depend on: equal ones are chosen from once.
        read = state[READ]
        t = 0
        if start < state[FROM]:
            t = state[FROM] - start
        while t < count:
            b = 0
            o = state[MEMO_COUNT] * read
            i = 0
            while i < read:
                a = x[reading[i] + t]
                memo[o + i] = a
                b = (b ^ bits(a)) * MIX
                b = b ^ ((b >> 29) & (2**35 - 1))
                i = i + 1
            b = b & state[MEMO_MASK]
            found = -1
            while memo_buckets[b] >= 0 and found < 0:
                p0 = memo_buckets[b] * read
                i = 0
                while i < read and bits(memo[p0 + i]) == bits(memo[o + i]):
                    i = i + 1
                if i == read:
                    found = memo_buckets[b]
                else:
                    b = (b + 1) & state[MEMO_MASK]
            if found < 0:
                found = state[MEMO_COUNT]
                memo_buckets[b] = found
                state[MEMO_COUNT] = found + 1
            chosen[start + t - state[FIRST]] = found
            t = t + 1
        start = start + count
    state[AT] = start
    return DONE
