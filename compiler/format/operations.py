"""The operations of the step program, one declaration each: what a step with it has, does and may do.

A, B, C, D are the values of the operands `a`, `b`, `c`, `d`; T is the type in front of the name, i32 or i64.

  a value is produced; `dest` is the slot written
    mov                                   A                                   (any type)
    select                                A if C != 0 else B                  (C is an i32)
    T.add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr           A op B
    T.add.add add.sub sub.add sub.sub; T.mul.add mul.sub mul.rsub                    (A op B) op D; rsub: D - (A op B)  (-O1)
    T.eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u                           A op B, 0 or 1  (eqz: eq with 0)
    T.clz ctz popcnt extend8_s extend16_s ; i64.extend32_s                    of A
    i32.wrap_i64, i64.extend_i32_s                                            of A  (extend_i32_u: mov)
    T.load, T.load8_s ... T.load16_u, i64.load32_s, i64.load32_u              memory[A + imm]; C is the memory's size slot
    T.load.indexed, T.load8_s.indexed ...                   memory[(A + B modulo 2^32) + imm]  (-O1)
    hidden.load8_u, hidden.load32         hidden memory at A + imm, no bounds check (tables, segments, stdin, ...)
    table.get, table.ref                  element A of the table at hidden offset imm; C is the table's size slot
    param                                 a placeholder whose digits the prompt supplies
    f32.add sub mul div min max, f64. ...    A op B of floating-point numbers, bit patterns in i32 and i64
    f32.eq ne lt gt le ge, f64. ...       A op B, 0 or 1
    f32.convert_i32_s ... f64.convert_i64_u, f32.demote_f64, f64.promote_f32             of A
    f32.sqrt floor ceil trunc nearest, f64. ...                                          of A
    T.trunc_f32_s ... T.trunc_f64_u, T.trunc_sat_f32_s ... T.trunc_sat_f64_u             of A
  bytes are stored
    T.store, T.store8, T.store16, i64.store32     memory[A + imm] = B; C is the size slot
    T.store.indexed, T.store8.indexed ...                   memory[(A + D modulo 2^32) + imm] = B  (-O1)
    hidden.store8, hidden.store32         hidden memory at A + imm = B
    table.set                             element A of the table at hidden offset imm = B; C is the size slot
  something leaves the program
    result                                emits A: a result of the invocation
    stdout, stderr                        one output token, the low byte of A
  control
    jump                                  to `target`
    br.T.eq ... br.T.ge_u                 to `target` when A op B, else to the next step
    br_table                              to targets[min(A, len(targets) - 1)]
    call                                  to function `callee`, frame += imm
    call_indirect                         to the function whose reference is A; type = `type`; frame += imm
                                          (traps: A == 0 "uninitialized element", another type
                                          "indirect call type mismatch")
    call_ref                              as call_indirect; A == 0 traps "null reference"
    return_call, return_call_indirect, return_call_ref
                                          as a call, in this frame: the arguments stand in its first slots, and the callee
                                          returns to where this function would
    return                                to the step behind the call that made this frame, frame restored
    trap                                  stops with the kind in `trap`
    halt                                  ends the invocation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

# How control goes on behind a step.
NEXT, JUMP, BRANCH, TABLE, CALL, TAIL, RETURN, END = "next", "jump", "branch", "table", "call", "tail", "return", "end"

# What the name of an access ends with whose address is a sum.
INDEXED = ".indexed"


@dataclass(frozen=True)
class Operation:
    """name: as in `Step.op`. does: what it computes, without type and width, e.g. "add", "lt", "load", "call".

    effect: "value" (digits that are committed to dest), "store", "result" (digits of a result), "output" (a byte on
        stdout or stderr), "" (only control).
    operands: which fields of a step it has, of a, b, c, d, dest, imm, target, targets, callee, type, trap.
    type: "i32" or "i64" where the name has one, else ""; of operations on floats "i64" where any has 64 bits.
    width: bytes of the value that a value or a result has; 0: none, or that `Step.wide` says (`by_step`).
    operand_width: bytes of A and B as numbers; 0: any.
    access: bytes read or written in memory. space: which memory: "linear", "hidden", "table"; "" none.
    signed: whether the comparison, division, shift, load or extension is the signed one.
    comparison: whether A and B are compared (the value is 0 or 1, or the branch is taken).
    index: of an access whose address is A plus another operand, modulo 2^32: which one; else "".
    plain: of an access the name without that, of others their own.
    control: NEXT, ... END. may_trap: whether there are operands with which it traps.
    """

    name: str
    does: str
    effect: str
    operands: frozenset[str]
    type: str = ""
    width: int = 0
    by_step: bool = False
    operand_width: int = 0
    access: int = 0
    space: str = ""
    signed: bool = False
    comparison: bool = False
    control: str = NEXT
    may_trap: bool = False
    index: str = ""

    @cached_property
    def falls_through(self) -> bool:
        """Whether the next step in order can run after it (a call comes back to it)."""
        return self.control in (NEXT, BRANCH, CALL)

    @cached_property
    def plain(self) -> str:
        return self.name.removesuffix(INDEXED)

    @cached_property
    def calls(self) -> bool:
        return self.control == CALL

    @cached_property
    def indirect(self) -> bool:
        """Whether what is called is a reference's function."""
        return "type" in self.operands

    @cached_property
    def tail(self) -> bool:
        """Whether another function takes the place of this one."""
        return self.control == TAIL

    @cached_property
    def joins(self) -> bool:
        """Whether a step with it may share the row of the branch before it."""
        return self.effect in ("value", "store") and (not self.may_trap or self.space == "linear") and self.does != "param"

    @cached_property
    def branches(self) -> bool:
        """Whether it compares and goes to its target or to the next step."""
        return self.control == BRANCH


_INVERSE = {"eq": "ne", "lt": "ge", "gt": "le"}
_INVERSE |= {inverse: name for name, inverse in _INVERSE.items()}
_RELATIONS = [("eq", ""), ("ne", "")] + [(r, s) for r in ("lt", "gt", "le", "ge") for s in ("_s", "_u")]
_BYTES = {"i32": 4, "i64": 8}
# Two operations in one step: the first one's value is an operand of the second one. "rsub": it is what is subtracted.
SUMS = (("add", "add"), ("add", "sub"), ("sub", "add"), ("sub", "sub"), ("mul", "add"), ("mul", "sub"), ("mul", "rsub"))
# Of floating-point numbers: their opposites are none of them, so branches do not compare.
FLOAT_RELATIONS = ("eq", "ne", "lt", "gt", "le", "ge")


def _of(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _integer(type_: str) -> Iterator[Operation]:
    width = _BYTES[type_]
    same: dict[str, Any] = {"type": type_, "width": width, "operand_width": width}
    for does in ("add", "sub", "mul", "and", "or", "xor", "shl", "rotl", "rotr"):
        yield Operation(f"{type_}.{does}", does, "value", _of("a b dest"), **same)
    for suffix in ("_s", "_u"):
        signed = suffix == "_s"
        yield Operation(f"{type_}.shr{suffix}", "shr", "value", _of("a b dest"), signed=signed, **same)
        for does in ("div", "rem"):
            name = f"{type_}.{does}{suffix}"
            yield Operation(name, does, "value", _of("a b dest"), signed=signed, may_trap=True, **same)
    for does, then in SUMS:
        yield Operation(f"{type_}.{does}.{then}", f"{does}_{then}", "value", _of("a b d dest"), **same)
    for does in ("clz", "ctz", "popcnt"):
        yield Operation(f"{type_}.{does}", does, "value", _of("a dest"), **same)
    for access in (1, 2, 4):
        if access < width:
            name = f"{type_}.extend{8 * access}_s"
            yield Operation(name, "extend", "value", _of("a dest"), access=access, signed=True, **same)
    for does, suffix in _RELATIONS:
        relation: dict[str, Any] = {"type": type_, "operand_width": width, "signed": suffix == "_s", "comparison": True}
        name = f"{type_}.{does}{suffix}"
        yield Operation(name, does, "value", _of("a b dest"), width=4, **relation)
        yield Operation(f"br.{name}", does, "", _of("a b target"), control=BRANCH, **relation)


def _memory(type_: str) -> Iterator[Operation]:
    for plain in _plain_accesses(type_):
        yield plain
        index = "b" if plain.does == "load" else "d"
        yield replace(plain, name=plain.name + INDEXED, operands=plain.operands | {index}, index=index)


def _plain_accesses(type_: str) -> Iterator[Operation]:
    width = _BYTES[type_]
    linear: dict[str, Any] = {"type": type_, "space": "linear", "may_trap": True}
    yield Operation(f"{type_}.load", "load", "value", _of("a c dest imm"), access=width, width=width, **linear)
    yield Operation(f"{type_}.store", "store", "store", _of("a b c imm"), access=width, **linear)
    for access in (1, 2, 4):
        if access < width:
            for suffix in ("_s", "_u"):
                partial: dict[str, Any] = {"access": access, "width": width, "signed": suffix == "_s"}
                name = f"{type_}.load{8 * access}{suffix}"
                yield Operation(name, "load", "value", _of("a c dest imm"), **partial, **linear)
            yield Operation(f"{type_}.store{8 * access}", "store", "store", _of("a b c imm"), access=access, **linear)


def _floats() -> Iterator[Operation]:
    """Those that are steps; everything else of floats is linked routines."""
    for type_, width in _BYTES.items():
        name = f"f{type_[1:]}"
        for does in ("add", "sub", "mul", "div", "min", "max", *FLOAT_RELATIONS):
            same: dict[str, Any] = {"type": type_, "width": 4 if does in FLOAT_RELATIONS else width, "operand_width": width}
            yield Operation(f"{name}.{does}", f"float_{does}", "value", _of("a b dest"), **same)
        for does in ("sqrt", "floor", "ceil", "trunc", "nearest"):
            same = {"type": type_, "width": width, "operand_width": width}
            yield Operation(f"{name}.{does}", f"float_{does}", "value", _of("a dest"), **same)
        for integer, operand_width in _BYTES.items():
            conversion: dict[str, Any] = {"type": max(type_, integer), "width": width, "operand_width": operand_width}
            for suffix, signed in (("_s", True), ("_u", False)):
                of = f"{name}.convert_{integer}{suffix}"
                yield Operation(of, "float_integer", "value", _of("a dest"), signed=signed, **conversion)
                back = conversion | {"width": operand_width, "operand_width": width, "signed": signed}
                yield Operation(f"{integer}.trunc_{name}{suffix}", "float_to", "value", _of("a dest"), may_trap=True, **back)
                yield Operation(f"{integer}.trunc_sat_{name}{suffix}", "float_saturate", "value", _of("a dest"), **back)
    for name, width in (("f32.demote_f64", 4), ("f64.promote_f32", 8)):
        yield Operation(name, "float_other", "value", _of("a dest"), type="i64", width=width, operand_width=12 - width)


def _all() -> Iterator[Operation]:
    yield Operation("mov", "mov", "value", _of("a dest"), by_step=True)
    yield Operation("select", "select", "value", _of("a b c dest"), by_step=True)
    yield Operation("param", "param", "value", _of("dest"), by_step=True)
    for type_ in _BYTES:
        yield from _integer(type_)
        yield from _memory(type_)
    yield Operation("i32.wrap_i64", "wrap", "value", _of("a dest"), type="i32", width=4, operand_width=8)
    yield Operation(
        "i64.extend_i32_s", "extend", "value", _of("a dest"), type="i64", width=8, operand_width=4, access=4, signed=True
    )
    yield from _floats()
    for access, suffix in ((1, "8"), (4, "32")):
        load, store = f"hidden.load{suffix}{'_u' if access == 1 else ''}", f"hidden.store{suffix}"
        yield Operation(load, "load", "value", _of("a dest imm"), width=4, access=access, space="hidden")
        yield Operation(store, "store", "store", _of("a b imm"), access=access, space="hidden")
    table: dict[str, Any] = {"access": 4, "space": "table", "may_trap": True}
    yield Operation("table.get", "load", "value", _of("a c dest imm"), width=4, **table)
    yield Operation("table.ref", "load", "value", _of("a c dest imm"), width=4, **table)
    yield Operation("table.set", "store", "store", _of("a b c imm"), **table)
    yield Operation("result", "result", "result", _of("a"), by_step=True)
    yield Operation("stdout", "stdout", "output", _of("a"))
    yield Operation("stderr", "stderr", "output", _of("a"))
    yield Operation("jump", "jump", "", _of("target"), control=JUMP)
    yield Operation("br_table", "br_table", "", _of("a targets"), control=TABLE)
    yield Operation("call", "call", "", _of("callee imm"), control=CALL, may_trap=True)
    yield Operation("call_indirect", "call_indirect", "", _of("a type imm"), control=CALL, may_trap=True)
    yield Operation("call_ref", "call_ref", "", _of("a type imm"), control=CALL, may_trap=True)
    yield Operation("return_call_ref", "return_call_ref", "", _of("a type"), control=TAIL, may_trap=True)
    yield Operation("return_call", "return_call", "", _of("callee"), control=TAIL)
    yield Operation("return_call_indirect", "return_call_indirect", "", _of("a type"), control=TAIL, may_trap=True)
    yield Operation("return", "return", "", _of(""), control=RETURN)
    yield Operation("trap", "trap", "", _of("trap"), control=END, may_trap=True)
    yield Operation("halt", "halt", "", _of(""), control=END)


OPERATIONS = {operation.name: operation for operation in _all()}

# Instructions on floats that a step can do, and divisions; a linked routine can, too.
FLOAT_STEPS = frozenset(name for name, o in OPERATIONS.items() if o.does.startswith("float_"))
DIVISION_STEPS = frozenset(name for name, o in OPERATIONS.items() if o.type == "i64" and o.does in ("div", "rem"))

_OPPOSITE = {
    (o.type, o.control, _INVERSE[o.does], o.signed or o.does in ("eq", "ne")): o.name
    for o in OPERATIONS.values()
    if o.comparison
}


def inverse(name: str) -> str:
    """The comparison or branch whose condition holds exactly when that of the given one does not."""
    o = OPERATIONS[name]
    return _OPPOSITE[o.type, o.control, o.does, o.signed or o.does in ("eq", "ne")]


_BRANCHES = {(o.type, o.does, o.signed): o.name for o in OPERATIONS.values() if o.branches}


def branch_on(name: str) -> str:
    """The branch that is taken when this comparison holds."""
    o = OPERATIONS[name]
    return _BRANCHES[o.type, o.does, o.signed]


_COMPARISONS = {(o.type, o.does, o.signed): o.name for o in OPERATIONS.values() if o.comparison and not o.branches}


def comparison_of(name: str) -> str:
    """The comparison that holds when this branch is taken: the inverse of `branch_on`."""
    o = OPERATIONS[name]
    return _COMPARISONS[o.type, o.does, o.signed]
