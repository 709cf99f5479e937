"""One step as one row of numbers: the fields that the program fetch brings into the residual stream.

A field is 0 unless it is set here, and a field that no row of a program sets does not exist in its transformer: the
circuits that it gates vanish. Flags are 0 or 1 and gate exactly one circuit each.
"""

from __future__ import annotations

from ..format.isa import Step
from ..format.operations import Operation

Row = dict[str, float]

# By what the operation does: the flags that need nothing but the name.
_WORD: dict[str, Row] = {
    "add": {"add": 1},
    "sub": {"sub": 1},
    "mul": {"mul": 1},
    "clz": {"clz": 1, "count_bytes": 4},
    "ctz": {"ctz": 1},
    "popcnt": {"popcnt": 1},
    "wrap": {"move": 1},
}
# What is added to these for 64 bits.
_WIDE: dict[str, Row] = {
    "add": {"add_high": 1, "carry": 1},
    "sub": {"sub_high": 1, "carry": 1},
    "mul": {"mul_high": 1, "carry": 1},
    "clz": {"count_bytes": 8, "wide_bytes": 1},
    "ctz": {"wide_bytes": 1},
}
# Two operations at once: "plus" and "minus" are for D, "negate" for the value of the first one.
_SUMS: dict[str, Row] = {
    "add_add": {"add": 1, "plus": 1},
    "add_sub": {"add": 1, "minus": 1},
    "sub_add": {"sub": 1, "plus": 1},
    "sub_sub": {"sub": 1, "minus": 1},
    "mul_add": {"mul": 1, "plus": 1},
    "mul_sub": {"mul": 1, "minus": 1},
    "mul_rsub": {"mul": 1, "plus": 1, "negate": 1},
}
_WIDE_SUMS: dict[str, Row] = {
    name: {f"{flag}_high": 1.0 for flag in row} | {"carry": 1.0} for name, row in _SUMS.items()
}
_CONTROL: dict[str, Row] = {
    "return": {"return": 1},
    "stdout": {"output": 1},
    "stderr": {"output": 1},
    "jump": {},
    "halt": {},
    "trap": {},
    "call": {"call": 1},
    "call_indirect": {"call": 1, "call_indirect": 1},
    "return_call": {},
    "return_call_indirect": {"call_indirect": 1},
    "call_ref": {"call": 1, "call_indirect": 1},
    "return_call_ref": {"call_indirect": 1},
    "br_table": {"br_table": 1},
}
# Which of less, equal, greater make a comparison true.
_CONDITIONS = {
    "eq": ("equal",),
    "ne": ("less", "greater"),
    "lt": ("less",),
    "gt": ("greater",),
    "le": ("less", "equal"),
    "ge": ("greater", "equal"),
}
# By what an operation on floating-point numbers does: behind "f32_" or "f64_", the format of the result; of these the operands'.
_FLOAT_ORDER = {f"float_{name}": conditions for name, conditions in _CONDITIONS.items()} | {
    "float_ne": ("less", "greater", "unordered"),
    "float_min": ("least",),
    "float_max": ("greatest",),
}
_FLOAT = {
    "float_add": ("sum",),
    "float_sub": ("sum", "negate"),
    "float_mul": ("product",),
    "float_integer": ("integer",),
    "float_other": ("other",),
    "float_div": ("divide",),
    "float_sqrt": ("root",),
    "float_trunc": ("round",),
    **{f"float_{name}": ("round", name) for name in ("floor", "ceil", "nearest")},
}
# Integers of floating-point numbers: behind the name of the operand's format.
_FLOAT_TO = {"float_to": ("to",), "float_saturate": ("to", "saturate")}
_BITWISE = {"and": "bit_and", "or": "bit_or", "xor": "bit_xor"}
_SHIFTS: dict[str, Row] = {
    "shl": {"shift_left": 1, "shl": 1},
    "shr": {"shift_right": 1, "shr": 1},
    "rotl": {"shift_left": 1, "rotate": 1},
    "rotr": {"shift_right": 1, "rotate": 1},
}


def fields(step: Step) -> Row:
    """The fields that follow from the operation alone; the assembler adds slots, jumps and trap tokens.

    Raises KeyError for an operation that the machine does not have.
    """
    o = step.operation
    if o.does in _CONTROL:
        return dict(_CONTROL[o.does])
    if o.branches:
        return {"branch": 1, **_comparison(o)}
    if o.comparison:
        return {"word": 1, "set": 1, **_comparison(o)}
    if o.does in ("mov", "result", "param"):
        row: Row = {"word": 1, "move": 1, "move_high": float(step.wide)}
        return row | {"spelled": 1} if o.does == "result" else row
    if o.does == "select":
        return {"word": 1, "select": 1, "select_high": float(step.wide)}
    if o.does in _BITWISE:
        return {"bytewise": 1, "bitwise": 1, _BITWISE[o.does]: 1}
    if o.space:
        return _memory(o, step.imm)
    if o.does in _SUMS:
        return {"word": 1, **_SUMS[o.does], **(_WIDE_SUMS[o.does] if o.width == 8 else {})}
    if o.does in _SHIFTS:
        return _shift(o)
    if o.does in _FLOAT or o.does in _FLOAT_ORDER or o.does in _FLOAT_TO:
        return {"word": 1, **_float(o)}
    if o.does == "extend":
        return {"word": 1, **_extension(o)}
    if o.does in ("div", "rem"):
        return {"word": 1, **_division(o)}
    row = {"word": 1, **_WORD[o.does]}
    if o.width == 8:
        row |= _WIDE.get(o.does, {})
    return row


def guard_fields(branch: Step) -> Row:
    """Of a branch that has its row together with the step behind it: what is added to that step's fields."""
    wide = float(branch.operation.operand_width == 8)
    return {"guard": 1, "guard.wide": wide, **{f"guard.{name}": value for name, value in _comparison(branch.operation).items()}}


def _division(o: Operation) -> Row:
    """Two circuits have flags of their own: the one for 32 bits, and `wide_division`, whose result may borrow."""
    kind = "divide64" if o.width == 8 else "divide"
    row: Row = {kind: 1}
    if o.signed:
        row[f"{kind}_signed"] = 1
    if o.does == "rem":
        row["remainder64" if o.width == 8 else "remainder"] = 1
    elif o.signed:
        row[f"{kind}_overflow"] = 1
    return row | {"carry": 1} if o.width == 8 else row


def _comparison(o: Operation) -> Row:
    row: Row = {f"if_{c}": 1 for c in _CONDITIONS[o.does]}
    if o.signed:
        row["signed_low" if o.operand_width == 4 else "signed_high"] = 1
    return row


def _shift(o: Operation) -> Row:
    row: Row = {"bytewise": 1, "shift": 1, "count_bytes": o.width, **_SHIFTS[o.does]}
    row["wide_bytes" if o.width == 8 else "shift_32"] = 1
    if o.signed:
        row["shift_signed"] = 1
    if "rotate" in row:
        row["full"] = o.width - 1
    return row


def _float(o: Operation) -> Row:
    form = "f32" if o.operand_width == 4 else "f64"
    if o.does in _FLOAT_TO:
        row: Row = {f"{form}_{what}": 1 for what in _FLOAT_TO[o.does]}
        if o.signed:
            row[f"{form}_to_signed{8 * o.width}"] = 1
        return row | {f"{form}_to_wide": 1, "carry": 1} if o.width == 8 else row
    if o.does in _FLOAT_ORDER:
        return {f"{form}_order": 1, **{f"{form}_{what}": 1 for what in _FLOAT_ORDER[o.does]}}
    form = "f32" if o.width == 4 else "f64"
    row = {f"{form}_{what}": 1 for what in _FLOAT[o.does]}
    if "round" not in _FLOAT[o.does]:
        row[form] = 1  # the result is rounded to the format
    if o.signed:
        row[f"{form}_signed{8 * o.operand_width}"] = 1
    return row | {"carry": 1} if o.width == 8 else row


def _fill(o: Operation) -> Row:
    """What the bits above those accessed are when the sign is set."""
    row: Row = {"fill_low": 2**32 - 2 ** (8 * o.access)} if o.access < 4 else {}
    return row | {"fill_high": 2**32 - 1} if o.width == 8 else row


def _extension(o: Operation) -> Row:
    which: Row = {1: {"low8": 1}, 2: {"low8": 1, "low16": 1}, 4: {"move": 1}}[o.access]  # type: ignore[assignment]
    return {**which, f"sign_a{o.access - 1}": 1, **_fill(o)}


def _memory(o: Operation, offset: int) -> Row:
    row: Row = {"word": 1, "offset": offset}
    if o.space == "table":
        row |= {"address_4": 1, "check_index": 1}
    else:
        row["address_1"] = 1
        if o.index:
            row[f"index_{o.index}"] = 1
        if o.space == "linear":
            row |= {"check_memory": 1, "access": o.access}
    row |= {f"{o.does}{8 * b}": 1 for b in (1, 2, 4, 8) if b <= o.access}
    if o.effect == "store":
        return row | {"store": 1, "full": o.access - 1}
    if o.signed:
        row |= {f"sign_m{o.access - 1}": 1, **_fill(o)}
    return row
