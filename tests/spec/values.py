"""Values between scripts and instances: arguments, and whether results are what a script expects."""

from __future__ import annotations

from .script import Value

WIDTH = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
# Exponent and quiet bit of a NaN; a canonical one has nothing else set but the sign.
QUIET_NAN = {"f32": 0x7FC0_0000, "f64": 0x7FF8_0000_0000_0000}


def argument(value: Value) -> int | None:
    """As `Instance.invoke` takes it: floats as bit patterns, too."""
    return value.bits


def matches(expected: Value, actual: int | None) -> bool:
    """Whether a result (a bit pattern, a reference's number, or None for null) is one of those expected."""
    if expected.choices:
        return any(matches(choice, actual) for choice in expected.choices)
    if expected.lanes:
        width = 128 // len(expected.lanes)
        parts = ((actual or 0) >> width * i & (1 << width) - 1 for i in range(len(expected.lanes)))
        return all(map(matches, expected.lanes, parts))
    match expected.pattern:
        case "nan:canonical":
            return actual is not None and actual & ~_sign(expected.type) == QUIET_NAN[expected.type]
        case "nan:arithmetic":
            quiet = QUIET_NAN[expected.type]
            return actual is not None and actual & quiet == quiet
        case "any":
            return actual is not None
    return actual == expected.bits


def show(type_: str, value: int | None) -> str:
    """For messages."""
    return "null" if value is None else f"{type_} 0x{value:x}"


def _sign(type_: str) -> int:
    return 1 << (WIDTH[type_] - 1)
