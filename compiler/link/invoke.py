"""Functions of Emscripten's "env" that are made for the types with which a program imports them.

invoke_SIG(index, arguments ...) calls element `index` of the table. In a program that throws (see env_throwing.wat) it also
catches: it puts the stack back, calls setThrew(1, 0) and returns zeros. In any other there is nothing to catch, and a trap ends
the call as in JavaScript. __cxa_find_matching_catch_N(types ...), of N - 2 types, returns the object in flight; the type for
which there is a handler is what getTempRet0 returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..format.types import FuncType
from ..wasm.module import CATCHES, Function, Instr, ValType

# Imports of "env" that throw.
THROWING = frozenset(
    {"_emscripten_throw_longjmp", "emscripten_longjmp", "__cxa_throw", "__cxa_rethrow", "__resumeException"}
)
# Exports of the program that are called where it throws, under one name or the other, in the order of env_throwing.wat.
NEEDED = (("setThrew",), ("stackSave", "emscripten_stack_get_current"), ("stackRestore", "_emscripten_stack_restore"))
_SET_THREW, _SAVE, _RESTORE = range(len(NEEDED))
_THROWN = 0  # tag of env_throwing.wat
_UPPER = 2  # global of env_common.wat
_INVOKE = re.compile(r"invoke_([vijfd])([ijfd]*)")
_FIND = re.compile(r"__cxa_find_matching_catch_(\d+)")
_LETTERS: dict[str, ValType] = {"i": "i32", "j": "i64", "f": "f32", "d": "f64"}


def needed_exports(exports: Iterable[str]) -> tuple[str, ...] | None:
    """What the program calls each of NEEDED; None where it does not export all of them."""
    there = set(exports)
    found = [next((name for name in names if name in there), "") for names in NEEDED]
    return tuple(found) if all(found) else None


def legalised(type: FuncType) -> FuncType:
    """As JavaScript without 64-bit integers sees it: each i64 parameter is two i32, the lower half first; of an i64 result
    it gets the lower half."""
    params = tuple(t for p in type.params for t in (("i32", "i32") if p == "i64" else (p,)))
    return FuncType(params, tuple("i32" if t == "i64" else t for t in type.results))


def arguments(declared: FuncType, wanted: tuple[ValType, ...], first: int) -> Iterator[Instr]:
    """The parameters from `first` on as `wanted`; a pair of i32 becomes an i64 where they are legalised."""
    apart = len(declared.params) - first > len(wanted)
    at = first
    for type in wanted:
        yield Instr("local.get", (at,))
        if apart and type == "i64":
            yield from (Instr("i64.extend_i32_u"), Instr("local.get", (at + 1,)), Instr("i64.extend_i32_u"))
            yield from (Instr("i64.const", (32,)), Instr("i64.shl"), Instr("i64.or"))
            at += 1
        at += 1


def invoke(name: str, declared: FuncType, types: list[FuncType], throws: bool) -> Function | None:
    """None where the name says nothing of the type, or something else than the import. types: those of the module, to which
    that of the element is added."""
    match = _INVOKE.fullmatch(name)
    if match is None:
        return None
    results = () if match[1] == "v" else (_LETTERS[match[1]],)
    type = FuncType(tuple(_LETTERS[c] for c in match[2]), results)
    plain = FuncType(("i32", *type.params), type.results)
    if declared not in (plain, legalised(plain)):
        return None
    types.append(type)
    called = [*arguments(declared, type.params, 1), Instr("local.get", (0,)), Instr("call_indirect", (len(types) - 1, 0))]
    if not throws:
        code, local = _lowered(called, declared, type, len(declared.params))
        return Function(declared, local, (*code, Instr("end")), name)
    stack = len(declared.params)
    code, local = _lowered(_catching(called, type.results, stack), declared, type, stack + 1)
    return Function(declared, ("i32", *local), (*code, Instr("end")), name)


def find_matching_catch(name: str, declared: FuncType, exports: dict[str, int]) -> Function | None:
    """exports: of env_throwing.wat, indices of functions by name. None for any other name or type."""
    match = _FIND.fullmatch(name)
    if match is None or declared != FuncType(("i32",) * (int(match[1]) - 2), ("i32",)):
        return None
    code = [Instr("block", (FuncType(),)), Instr("call", (exports[".flies"],)), Instr("i32.eqz"), Instr("br_if", (0,))]
    for place in range(len(declared.params)):
        code += [Instr("local.get", (place,)), Instr("call", (exports[".matches"],)), Instr("br_if", (0,))]
    code += [Instr("end"), Instr("call", (exports[".last"],)), Instr("end")]
    return Function(declared, (), tuple(code), name)


def _catching(called: list[Instr], results: tuple[ValType, ...], stack: int) -> list[Instr]:
    """stack: a local for the height of the stack."""
    value = FuncType((), results)
    return [
        Instr("call", (_SAVE,)), Instr("local.set", (stack,)),
        Instr("block", (value,)), Instr("block", (FuncType(),)),
        Instr("try_table", (value, ((CATCHES.index("catch"), _THROWN, 0),))), *called, Instr("end"), Instr("br", (1,)),
        Instr("end"), Instr("local.get", (stack,)), Instr("call", (_RESTORE,)),
        Instr("i32.const", (1,)), Instr("i32.const", (0,)), Instr("call", (_SET_THREW,)),
        *(Instr(f"{t}.const", (0,)) for t in results), Instr("end"),
    ]  # fmt: skip


def _lowered(
    code: list[Instr], declared: FuncType, type: FuncType, local: int
) -> tuple[list[Instr], tuple[ValType, ...]]:
    """With the result as it is declared, and the types of the locals that this takes. local: the index of the first."""
    if declared.results == type.results:
        return code, ()
    code = [*code, Instr("local.tee", (local,)), Instr("i64.const", (32,)), Instr("i64.shr_u"), Instr("i32.wrap_i64")]
    code += [Instr("global.set", (_UPPER,)), Instr("local.get", (local,)), Instr("i32.wrap_i64")]
    return code, ("i64",)
