"""The argmax of logits without computing all of them. `diff.native` makes machine code of it, `choices` fills its arrays.

Rows w of the unembedding are in blocks that have their entries in the same columns. A bound of a block's logits, as in `tree.py`
that of a node's scores: where some column h has x_h > 0, with another column s, a = w_s / 2, b = x_s / x_h and t = w_h + a^2,

    x.w = x_h (b^2 - (a - b)^2 + t) + sum over the other columns of x_c w_c

so that no logit is above x_h (b^2 - dist(b, [low_a, high_a])^2 + high_t) + sum of max(x_c low_c, x_c high_c). It is near where
logits are a parabola of the id, as those of compiled models are. Otherwise h and s are columns like the others. A block whose
bound, rounding included, is below a logit that was seen is left out, and nothing changes.

Rounding: logits and bounds of k columns are sums of few products, whose sizes add up to no more than
M = x_h (4 b^2 + max(4 a^2 + |t| + |w_h|)) + sum of |x_c| max|w_c|, so all errors together are below (20 + 5 k) M 2^-53;
(128 + 8 k) M 2^-53 is added to the bound. A bound that is not a number leaves nothing out.
"""

from __future__ import annotations

from ..diff.native import I64, R64, fabs, real

ROWS = 128  # of a block, at most
# Of a block. COLUMNS, COLUMNS_END: in `columns`; h and s come first where it is LIFTED. WEIGHTS: of its first column in
# `weights`, which has WIDTH of them for each, a multiple of 8; FIRST, COUNT: of its rows, in `ids`.
COLUMNS, COLUMNS_END, LIFTED, WEIGHTS, WIDTH, FIRST, COUNT = range(7)
BLOCK_WIDTH = 8
# Of its `boxes`: a, t, and the largest 4 a^2 + |t| + |w_h|.
LOW_A, HIGH_A, HIGH_T, SIZE_A = range(4)
BOX_WIDTH = 4
UNIT = 2.0**-53


def choose(
    sizes: I64, blocks: I64, boxes: R64, columns: I64, low: R64, high: R64, weights: R64, ids: I64, x: R64, bounds: R64,
    logits: R64, chosen: I64,
) -> int:  # fmt: skip
    """sizes: of x [n, read], and how many blocks. For each row of x the id with the largest logit, of equal ones the lowest."""
    n = 0
    while n < sizes[0]:
        o = n * sizes[1]
        top = 0
        g = 0
        while g < sizes[2]:
            d = g * BLOCK_WIDTH
            bound = 0.0
            size = 0.0
            c = blocks[d + COLUMNS]
            if blocks[d + LIFTED]:
                a = x[o + columns[c]]
                if a > 0.0:
                    e = g * BOX_WIDTH
                    b = x[o + columns[c + 1]] / a
                    beside = boxes[e + LOW_A] - b
                    if b - boxes[e + HIGH_A] > beside:
                        beside = b - boxes[e + HIGH_A]
                    if beside < 0.0:
                        beside = 0.0
                    bound = a * (b * b - beside * beside + boxes[e + HIGH_T])
                    size = a * (4.0 * b * b + boxes[e + SIZE_A])
                    c = c + 2
            while c < blocks[d + COLUMNS_END]:
                a = x[o + columns[c]]
                least = a * low[c]
                most = a * high[c]
                if least > most:
                    most = least
                extent = fabs(low[c])
                if fabs(high[c]) > extent:
                    extent = fabs(high[c])
                bound = bound + most
                size = size + fabs(a) * extent
                c = c + 1
            bound = bound + real(8 * (blocks[d + COLUMNS_END] - blocks[d + COLUMNS]) + 128) * UNIT * size
            bounds[g] = bound
            if bound > bounds[top]:
                top = g
            g = g + 1
        # The block of the largest bound first, then those that may have a larger logit.
        found = -1
        best = 0.0
        visited = -1
        while visited < sizes[2]:
            g = visited
            if visited < 0:
                g = top
            if visited < 0 or (g != top and not (found >= 0 and bounds[g] < best)):
                d = g * BLOCK_WIDTH
                at = blocks[d + WEIGHTS]
                width = blocks[d + WIDTH]
                t = 0
                while t < width:
                    logits[t] = 0.0
                    t = t + 1
                c = blocks[d + COLUMNS]
                while c < blocks[d + COLUMNS_END]:
                    a = x[o + columns[c]]
                    t = 0
                    while t < width:
                        logits[t] = logits[t] + a * weights[at + t]
                        t = t + 1
                    at = at + width
                    c = c + 1
                t = 0
                while t < blocks[d + COUNT]:
                    if found < 0 or logits[t] >= best:
                        k = ids[blocks[d + FIRST] + t]
                        if found < 0 or logits[t] > best or k < found:
                            best = logits[t]
                            found = k
                    t = t + 1
            visited = visited + 1
        chosen[n] = found
        n = n + 1
    return 0
