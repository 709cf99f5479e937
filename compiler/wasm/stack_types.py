"""The type on top of the operand stack behind each instruction of a validated function."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.types import RefType
from .heap_types import popped_and_pushed
from .module import BLOCKS, Function, FuncType, Module, ValType
from .opcodes import ATOMICS, SIGNATURES
from .simd import SIMD_SIGNATURES


def _atomic(name: str) -> tuple[int, tuple[ValType, ...]]:
    if name == "atomic.fence":
        return 0, ()
    popped = 3 if ".wait" in name or "cmpxchg" in name else 1 if ".load" in name else 2
    return popped, () if ".store" in name else ("i32" if name.startswith("memory.") else name[:3],)


# name -> (values popped, types pushed), where neither depends on immediates or on the module.
_FIXED: dict[str, tuple[int, tuple[ValType, ...]]] = {
    **{name: (len(operands), results) for name, (operands, results) in SIGNATURES.items()},
    **{name: (len(operands), results) for name, (operands, results) in SIMD_SIGNATURES.items()},
    **{name: _atomic(name) for name in ATOMICS},
    **dict.fromkeys(("nop", "data.drop", "elem.drop"), (0, ())),
    **{f"memory.{name}": (3, ()) for name in ("init", "copy", "fill")},
    **{f"table.{name}": (3, ()) for name in ("init", "copy", "fill")},
    **dict.fromkeys(("drop", "local.set", "global.set", "br_if"), (1, ())),
    "table.set": (2, ()),
    "ref.is_null": (1, ("i32",)),
    "br_on_non_null": (1, ()),
    "select": (2, ()),  # so is this: the first operand has the result's type
}
_NEVER_RETURNS = frozenset({
    "br", "br_table", "return", "return_call", "return_call_indirect", "return_call_ref", "unreachable", "throw", "throw_ref",
})  # fmt: skip


@dataclass(frozen=True)
class Top:
    """live: whether the instruction can be reached at all. top: the type on top of the stack behind it, if any; before: the
    same of the stack that it finds."""

    live: bool
    top: ValType | None
    before: ValType | None = None


DEAD = Top(False, None)


def non_null(type: ValType) -> ValType:
    """Of references to the same, but null."""
    return RefType(False, type.to if isinstance(type, RefType) else type.removesuffix("ref"))


@dataclass
class _Block:
    """entered: whether the block itself stands in live code. height: the stack's below its parameters."""

    type: FuncType
    height: int
    entered: bool
    live: bool


def stack_tops(module: Module, function: Function) -> list[Top]:
    """One `Top` per instruction of the body. Dead code (behind br, return, unreachable) has live=False, top=None.

    Raises ValueError for an instruction that it does not know (SIMD).
    """
    types = function.type.params + function.locals
    stack: list[ValType] = []
    blocks = [_Block(FuncType((), function.type.results), 0, True, True)]
    tops = []
    for instr in function.body:
        live = blocks[-1].live
        before = stack[-1] if live and stack else None
        name = instr.name
        if name in BLOCKS:
            if live and name == "if":
                stack.pop()
            type_ = instr.args[0]
            blocks.append(_Block(type_, len(stack) - len(type_.params) if live else 0, live, live))
        elif name in ("else", "end"):
            block = blocks[-1] if name == "else" else blocks.pop()
            if block.entered:
                del stack[block.height :]
                stack += block.type.params if name == "else" else block.type.results
                block.live = True
        elif live and name in _NEVER_RETURNS:
            blocks[-1].live = False
        elif live:
            if name in ("call", "call_indirect"):
                callee = module.functions[instr.args[0]].type if name == "call" else module.function_type(instr.args[0])
                popped, pushed = len(callee.params) + (name == "call_indirect"), callee.results
            elif name == "call_ref":
                callee = module.function_type(instr.args[0])
                popped, pushed = len(callee.params) + 1, callee.results
            elif name == "ref.func":
                popped, pushed = 0, (RefType(False, module.functions[instr.args[0]].type),)
            elif name in ("ref.as_non_null", "br_on_null"):
                popped, pushed = 1, (non_null(stack[-1]),)
            elif name == "local.tee":
                popped, pushed = 1, (types[instr.args[0]],)
            elif name == "select" and instr.args:
                popped, pushed = 3, (instr.args[0],)
            elif name == "local.get":
                popped, pushed = 0, (types[instr.args[0]],)
            elif name == "global.get":
                popped, pushed = 0, (module.globals[instr.args[0]].type.type,)
            elif name in ("memory.size", "memory.grow"):
                memory = module.memories[instr.args[0] if instr.args else 0]
                popped, pushed = int(name == "memory.grow"), ("i64" if memory.wide else "i32",)
            elif name in ("table.size", "table.grow"):
                wide = module.tables[instr.args[0]].limits.wide
                popped, pushed = (2 if name == "table.grow" else 0), ("i64" if wide else "i32",)
            elif name == "table.get":
                popped, pushed = 1, (module.tables[instr.args[0]].element,)
            elif name == "ref.null":
                popped, pushed = 0, (instr.args[0],)
            elif name in _FIXED:
                popped, pushed = _FIXED[name]
            else:
                found = popped_and_pushed(module, instr, before)
                if found is None:
                    raise ValueError(f"the oracle does not know the instruction {name}")
                popped, pushed = found
            del stack[len(stack) - popped :]
            stack += pushed
        still_live = live and (not blocks or blocks[-1].live)
        tops.append(Top(live, stack[-1] if still_live and stack else None, before))
    return tops
