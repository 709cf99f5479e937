"""Why an instruction may have no step of its own, by rule; and what its record would be."""

from __future__ import annotations

from ....compiler.wasm.module import Instr

# Rule -> what may be left out by it. All but the first two are shown by the walk, not believed.
RULES = {
    "constant": "a constant: the operand of who uses it",
    "copy": "local.get, local.set, local.tee, global.get, global.set, and what leaves the bits as they are",
    "comparison": "a comparison of which only branches ask",
    "offset": "an addition that gives an address: the access adds up",
    "sum": "an addition, subtraction or product: the addition or subtraction behind it computes both",
    "inlined": "a call: the steps of the function that is called stand in its place",
    "jump": "br, else, return: the steps before go where they lead",
    "dead": "a value that nobody uses, and whose computation cannot trap",
}
_CONSTANTS = frozenset({"i32.const", "i64.const", "f32.const", "f64.const", "ref.null", "ref.func"})
_COPIES = frozenset({
    "local.get", "local.set", "local.tee", "global.get", "global.set", "table.size", "i64.extend_i32_u", "i32.reinterpret_f32",
    "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64",
})  # fmt: skip
_COMPARISONS = frozenset({"eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"})
JUMPS = frozenset({"br", "else", "return"})
# They are no computation, and have no step at any level.
SILENT = frozenset({"block", "loop", "try_table", "end", "nop", "atomic.fence", "drop"})


def rule_of(instr: Instr) -> str:
    """The rule by which the instruction may be left out at -O1, "" for none."""
    name = instr.name
    if name in _CONSTANTS:
        return "constant"
    if name in _COPIES:
        return "copy"
    if name in JUMPS:
        return "jump"
    if name in ("ref.is_null", "ref.eq") or (name[:4] in ("i32.", "i64.") and name[4:] in _COMPARISONS):
        return "comparison"
    return "offset" if name == "i32.add" else "dead"
