"""Upper bounds of values known at compile time, so that an address offset is folded only when nothing can wrap."""

from __future__ import annotations

from ..format.operations import FLOAT_RELATIONS, OPERATIONS

_FLOAT_RELATIONS = frozenset(f"float_{name}" for name in FLOAT_RELATIONS)


def bound(op: str, limits: list[int], constant: int | None) -> int:
    """The greatest value that `op` can give, as unsigned, when operand i is at most limits[i].

    constant: the value of the second operand when it is a constant. The answer is a bound, not always the least one.
    """
    o = OPERATIONS[op]
    top = 2 ** (8 * o.width) - 1
    if o.operand_width:
        limits = [min(limit, 2 ** (8 * o.operand_width) - 1) for limit in limits]
    name, result = o.does, top
    if o.comparison or name in _FLOAT_RELATIONS:
        result = 1
    elif name == "load" and not o.signed:
        result = 2 ** (8 * o.access) - 1
    elif name in ("clz", "ctz", "popcnt"):
        result = 8 * o.width
    elif name == "and":
        result = min(limits)
    elif name in ("or", "xor"):
        result = (1 << max(limits).bit_length()) - 1
    elif name == "add":
        result = limits[0] + limits[1]
    elif name == "mul":
        result = limits[0] * limits[1]
    elif name == "add_add":
        result = sum(limits)
    elif name == "mul_add":
        result = limits[0] * limits[1] + limits[2]
    elif name == "wrap":
        result = limits[0]
    elif constant is not None and not o.signed:
        count = constant % (8 * o.width)
        if name == "shl":
            result = limits[0] << count
        elif name == "shr":
            result = limits[0] >> count
        elif name == "div" and constant:
            result = limits[0] // constant
        elif name == "rem" and constant:
            result = min(limits[0], constant - 1)
    # Where the operation could wrap around, nothing is known.
    return min(result, top)
