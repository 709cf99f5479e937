"""One step as one row of numbers: the fields that the program fetch brings into the residual stream.

A field is 0 unless it is set here, and a field that no row of a program sets does not exist in its transformer: the
circuits that it gates vanish. Flags are 0 or 1 and gate exactly one circuit each.
"""

from __future__ import annotations

from ..format.isa import Step

Row = dict[str, float]

# Flags of the operations that need nothing but flags.
_PLAIN: dict[str, Row] = {
    "i32.add": {"word": 1, "add": 1},
    "i64.add": {"word": 1, "add": 1, "add_high": 1, "carry": 1},
    "i32.sub": {"word": 1, "sub": 1},
    "i64.sub": {"word": 1, "sub": 1, "sub_high": 1, "carry": 1},
    "i32.mul": {"word": 1, "mul": 1},
    "i64.mul": {"word": 1, "mul": 1, "mul_high": 1, "carry": 1},
    "i32.div_u": {"word": 1, "divide": 1},
    "i32.div_s": {"word": 1, "divide": 1, "divide_signed": 1, "divide_overflow": 1},
    "i32.rem_u": {"word": 1, "divide": 1, "remainder": 1},
    "i32.rem_s": {"word": 1, "divide": 1, "divide_signed": 1, "remainder": 1},
    "i32.clz": {"word": 1, "clz": 1, "count_bytes": 4},
    "i64.clz": {"word": 1, "clz": 1, "count_bytes": 8, "wide_bytes": 1},
    "i32.ctz": {"word": 1, "ctz": 1},
    "i64.ctz": {"word": 1, "ctz": 1, "wide_bytes": 1},
    "i32.popcnt": {"word": 1, "popcnt": 1},
    "i64.popcnt": {"word": 1, "popcnt": 1},
    "i32.wrap_i64": {"word": 1, "move": 1},
    "i32.extend8_s": {"word": 1, "low8": 1, "sign_a0": 1, "fill_low": 2**32 - 2**8},
    "i32.extend16_s": {"word": 1, "low8": 1, "low16": 1, "sign_a1": 1, "fill_low": 2**32 - 2**16},
    "i64.extend8_s": {"word": 1, "low8": 1, "sign_a0": 1, "fill_low": 2**32 - 2**8, "fill_high": 2**32 - 1},
    "i64.extend16_s": {
        "word": 1,
        "low8": 1,
        "low16": 1,
        "sign_a1": 1,
        "fill_low": 2**32 - 2**16,
        "fill_high": 2**32 - 1,
    },
    "i64.extend32_s": {"word": 1, "move": 1, "sign_a3": 1, "fill_high": 2**32 - 1},
    "i64.extend_i32_s": {"word": 1, "move": 1, "sign_a3": 1, "fill_high": 2**32 - 1},
    "return": {"return": 1},
    "stdout": {"output": 1},
    "stderr": {"output": 1},
    "jump": {},
    "halt": {},
    "trap": {},
    "call": {"call": 1},
    "call_indirect": {"call": 1, "call_indirect": 1},
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
_BITWISE = {"and": "bit_and", "or": "bit_or", "xor": "bit_xor"}
_SHIFTS: dict[str, Row] = {
    "shl": {"shift_left": 1},
    "shr_u": {"shift_right": 1},
    "shr_s": {"shift_right": 1, "shift_signed": 1},
    "rotl": {"shift_left": 1, "rotate": 1},
    "rotr": {"shift_right": 1, "rotate": 1},
}


def fields(step: Step) -> Row:
    """The fields that follow from the operation alone; the assembler adds slots, jumps and trap tokens.

    Raises KeyError for an operation that the machine does not have.
    """
    op = step.op
    if op in _PLAIN:
        return dict(_PLAIN[op])
    if op in ("mov", "result", "param"):
        return {"word": 1, "move": 1, "move_high": float(step.wide)}
    if op == "select":
        return {"word": 1, "select": 1, "select_high": float(step.wide)}
    if op.startswith("br."):
        return {"branch": 1, **_comparison(op[3:])}
    width, _, name = op.partition(".")
    if width in ("hidden", "table") or "load" in name or "store" in name:
        return _memory(op, step.imm)
    if name in _BITWISE:
        return {"bytewise": 1, "bitwise": 1, _BITWISE[name]: 1}
    if name in _SHIFTS:
        row: Row = {"bytewise": 1, "shift": 1, "count_bytes": 4, **_SHIFTS[name]}
        row["shift_32"] = 1
        if width == "i64":
            row |= {"count_bytes": 8, "wide_bytes": 1}
            del row["shift_32"]
        if "rotate" in row:
            row["full"] = row["count_bytes"] - 1
        elif "shift_left" in row:
            row["shl"] = 1
        else:
            row["shr"] = 1
        return row
    return {"word": 1, "set": 1, **_comparison(op)}


def _comparison(op: str) -> Row:
    width, _, name = op.partition(".")
    relation, _, sign = name.partition("_")
    row: Row = {f"if_{c}": 1 for c in _CONDITIONS[relation]}
    if sign == "s":
        row["signed_low" if width == "i32" else "signed_high"] = 1
    return row


def _memory(op: str, offset: int) -> Row:
    width_name, _, name = op.partition(".")
    store = "store" in name or name == "set"
    bits = _access_bits(width_name, name)
    row: Row = {"word": 1, "offset": offset}
    if width_name == "table":
        row |= {"address_4": 1, "check_index": 1}
    else:
        row["address_1"] = 1
        if width_name != "hidden":
            row |= {"check_memory": 1, "access": bits // 8}
    kind = "store" if store else "load"
    row |= {f"{kind}{b}": 1 for b in (8, 16, 32, 64) if b <= bits}
    if store:
        return row | {"store": 1, "full": bits // 8 - 1}
    if name.endswith("_s"):
        row[f"sign_m{bits // 8 - 1}"] = 1
        row["fill_low"] = 2**32 - 2**bits if bits < 32 else 0
        row["fill_high"] = 2**32 - 1 if width_name == "i64" else 0
    return row


def _access_bits(width: str, name: str) -> int:
    digits = "".join(c for c in name if c.isdigit())
    if width == "table":
        return 32
    return int(digits) if digits else {"i32": 32, "i64": 64, "f32": 32, "f64": 64}[width]
