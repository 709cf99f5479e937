"""The changes of one step that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wasm2xformer.compiler.format.isa import Program, Site, Slot, Step

_SIBLINGS = {
    "add": "sub", "sub": "add", "mul": "add", "and": "or", "or": "xor", "xor": "and", "shl": "shr_u", "shr_u": "shr_s",
    "shr_s": "shr_u", "rotl": "rotr", "rotr": "rotl", "eq": "ne", "ne": "eq", "lt_s": "le_s", "lt_u": "lt_s", "gt_s": "ge_s",
    "gt_u": "gt_s", "le_s": "lt_s", "le_u": "le_s", "ge_s": "gt_s", "ge_u": "ge_s", "clz": "ctz", "ctz": "popcnt",
    "popcnt": "clz", "div_s": "div_u", "div_u": "rem_u", "rem_s": "rem_u", "rem_u": "div_u", "load": "load8_u",
    "load8_u": "load8_s", "load8_s": "load8_u", "load16_u": "load16_s", "load16_s": "load8_s", "load32_u": "load32_s",
    "load32_s": "load32_u", "store": "store8", "store8": "store16", "store16": "store8", "store32": "store16",
    "extend8_s": "extend16_s", "extend16_s": "extend8_s", "lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "min": "max",
    "max": "min", "convert_i32_s": "convert_i32_u", "convert_i32_u": "convert_i32_s", "convert_i64_s": "convert_i64_u",
    "convert_i64_u": "convert_i64_s", "div": "mul", "sqrt": "nearest", "floor": "ceil", "ceil": "trunc", "trunc": "floor",
    "nearest": "trunc", "trunc_f32_s": "trunc_f32_u", "trunc_f32_u": "trunc_sat_f32_u", "trunc_f64_s": "trunc_f64_u",
    "trunc_f64_u": "trunc_sat_f64_u", "trunc_sat_f32_s": "trunc_f32_s", "trunc_sat_f32_u": "trunc_sat_f32_s",
    "trunc_sat_f64_s": "trunc_f64_s", "trunc_sat_f64_u": "trunc_sat_f64_s", "extend32_s": "extend16_s",
}  # fmt: skip
_OTHERS = {
    "mov": "select", "select": "mov", "table.get": "table.ref", "table.ref": "table.get", "stdout": "stderr",
    "stderr": "stdout", "hidden.load8_u": "hidden.load32", "hidden.load32": "hidden.load8_u",
    "hidden.store8": "hidden.store32", "hidden.store32": "hidden.store8", "i32.wrap_i64": "mov",
    "return": "halt", "trap": "halt",
}  # fmt: skip


def mutants(program: Program, index: int) -> Iterator[tuple[str, Program]]:
    """Every change of one step that there is a kind for."""
    step, steps = program.steps[index], program.steps
    for kind, changed in _changed(program, index, step):
        if changed != step:
            yield kind, _with(program, {index: changed})
    if index + 1 < len(steps):
        following = steps[index + 1]
        if following != step:
            yield "swap with the next step", _with(program, {index: following, index + 1: step})


def _with(program: Program, changes: dict[int, Step]) -> Program:
    steps = list(program.steps)
    for index, step in changes.items():
        steps[index] = step
    return replace(program, steps=tuple(steps))


def _changed(program: Program, index: int, step: Step) -> Iterator[tuple[str, Step]]:
    yield "remove", Step("jump", target=index + 1)
    if step.a is not None and step.b is not None:
        yield "swap operands", step.but(a=step.b, b=step.a)
    for name in ("a", "b", "c", "dest"):
        slot = getattr(step, name)
        if slot is None:
            continue
        if slot.kind == "const":
            yield f"constant {name}", step.but(**{name: Slot("const", int(slot.index) ^ 1)})
        elif slot.kind == "frame":
            yield f"slot {name}", step.but(**{name: Slot("frame", int(slot.index) + 1)})
            yield (
                f"slot {name}",
                step.but(**{name: Slot("const", 5)} if name != "dest" else {name: Slot("frame", 0)}),
            )
        else:
            yield f"slot {name}", step.but(**{name: Slot("frame", 0)})
    if step.imm or step.operation.access or step.operation.calls:
        yield "imm", step.but(imm=step.imm + 1)
    if step.target is not None:
        yield "target", step.but(target=step.target + 1)
        yield "target", step.but(target=index + 1)
        if step.op != "jump":
            yield "always", Step("jump", target=step.target)
            yield "taken", step.but(taken=1 - step.taken)
    if len(set(step.targets)) > 1:
        yield "targets", step.but(targets=(*step.targets[1:], step.targets[0]))
    if step.callee is not None:
        type_ = program.functions[step.callee].type
        others = [f.index for f in program.functions.values() if f.type == type_ and f.index != step.callee]
        if others:
            yield "callee", step.but(callee=others[0])
    if step.type is not None:
        types = {f.type for f in program.functions.values()} - {step.type}
        yield from (("type", step.but(type=type_)) for type_ in sorted(types, key=str)[:1])
    prefix, _, name = step.op.rpartition(".")
    if name in _SIBLINGS and prefix:
        yield "operation", step.but(op=f"{prefix}.{_SIBLINGS[name]}")
    if step.op in _OTHERS:
        yield "operation", step.but(op=_OTHERS[step.op])
    if step.operation.by_step:
        yield "width", step.but(wide=not step.wide)
    if step.trap:
        yield "trap", step.but(trap="integer_overflow" if step.trap != "integer_overflow" else "unreachable")
    if step.site is not None:
        yield "no site", step.but(site=None)
        yield "site", step.but(site=step.site.but(instruction=step.site.instruction + 1))
        yield (
            "record",
            step.but(site=step.site.but(record="control" if step.site.record != "control" else "value")),
        )
    else:
        yield "a site more", step.but(site=Site(0, 0, "value"))
