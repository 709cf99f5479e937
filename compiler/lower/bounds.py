"""Upper bounds of values known at compile time, so that an address offset is folded only when nothing can wrap."""

from __future__ import annotations

_FIXED = {
    "i32.load8_u": 0xFF, "i64.load8_u": 0xFF, "i32.load16_u": 0xFFFF, "i64.load16_u": 0xFFFF,
    "i64.load32_u": 0xFFFFFFFF,
    "i32.clz": 32, "i32.ctz": 32, "i32.popcnt": 32, "i64.clz": 64, "i64.ctz": 64, "i64.popcnt": 64,
}  # fmt: skip


def bound(op: str, limits: list[int], constant: int | None, wide: bool) -> int:
    """The greatest value that `op` can give, as unsigned, when operand i is at most limits[i].

    constant: the value of the second operand when it is a constant. The answer is a bound, not always the least one.
    """
    top = 2**64 - 1 if wide else 2**32 - 1
    limits = [min(limit, top) for limit in limits] if op != "i32.wrap_i64" else limits
    name = op.partition(".")[2]
    result = _FIXED.get(op, top)
    if name == "and":
        result = min(limits)
    elif name in ("or", "xor"):
        result = (1 << max(limits).bit_length()) - 1
    elif name == "add":
        result = limits[0] + limits[1]
    elif name == "mul":
        result = limits[0] * limits[1]
    elif name == "wrap_i64":
        result = limits[0]
    elif constant is not None:
        count = constant % (64 if wide else 32)
        if name == "shl":
            result = limits[0] << count
        elif name == "shr_u":
            result = limits[0] >> count
        elif name == "div_u" and constant:
            result = limits[0] // constant
        elif name == "rem_u" and constant:
            result = min(limits[0], constant - 1)
    # Where the operation could wrap around, nothing is known.
    return min(result, top)
