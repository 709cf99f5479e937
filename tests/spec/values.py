"""Values between scripts and instances: arguments, and whether results are what a script expects."""

from __future__ import annotations

from typing import Any

from wasm2xformer.runtime.bit_patterns import Reference

from .script import Value

WIDTH = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
# Exponent and quiet bit of a NaN; a canonical one has nothing else set but the sign.
QUIET_NAN = {"f32": 0x7FC0_0000, "f64": 0x7FF8_0000_0000_0000}


def argument(value: Value) -> int | Reference | None:
    """As `Instance.invoke` takes it: floats as bit patterns, too."""
    return Reference("host", value.bits) if value.type == "hostref" and value.bits is not None else value.bits


def matches(expected: Value, actual: Any) -> bool:
    """Whether a result (a bit pattern, a reference's number, or None for null) is one of those expected."""
    if expected.choices:
        return any(matches(choice, actual) for choice in expected.choices)
    if expected.lanes:
        width = 128 // len(expected.lanes)
        parts = ((actual or 0) >> width * i & (1 << width) - 1 for i in range(len(expected.lanes)))
        return all(map(matches, expected.lanes, parts))
    if expected.type in _KINDS and not (actual is None and not expected.pattern):
        return _is_kind(expected.type, actual)
    match expected.pattern:
        case "nan:canonical":
            return actual is not None and actual & ~_sign(expected.type) == QUIET_NAN[expected.type]
        case "nan:arithmetic":
            quiet = QUIET_NAN[expected.type]
            return actual is not None and actual & quiet == quiet
        case "any":
            return actual is not None
    return actual == argument(expected)


# Of a reference that is any of its kind: what it has to be.
_KINDS = {"i31ref": "i31", "structref": "object", "arrayref": "object", "eqref": "", "anyref": ""}


def _is_kind(type_: str, actual: Any) -> bool:
    kind = actual.kind if isinstance(actual, Reference) else "i31"
    return actual is not None and _KINDS[type_] in ("", kind)


def show(type_: str, value: Any) -> str:
    """For messages."""
    return "null" if value is None else str(value) if isinstance(value, Reference) else f"{type_} 0x{value:x}"


def _sign(type_: str) -> int:
    return 1 << (WIDTH[type_] - 1)
