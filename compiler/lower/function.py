"""One function body to steps: WebAssembly's operand stack becomes frame slots.

At -O0 every entry of the operand stack lives in its canonical slot, and every instruction that does anything is a step.
At -O1 entries are lazy copies where possible (see `stack.OperandStack`), and this is what has to hold:

- before a local or a global is overwritten, entries that read it are spilled into their canonical slots;
- entries below a block are spilled before it is entered if anything in the block may overwrite what they read, so
  inside a block, on every path, the stack below it stays as it is;
- where paths join, values are in the places that the frame of the block names (`context.Frame.places`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..format.isa import Slot, Step
from ..wasm.module import Instr
from .calls import CallLowering
from .code import Code
from .context import ZERO
from .control import ControlLowering
from .operations import SIGN, WIDE
from .values import ValueLowering


class FunctionLowering(ControlLowering, CallLowering, ValueLowering):
    """Lowers function `index` of the linked module; use it once: `FunctionLowering(linked, index, opt_level).run()`.

    Afterwards `frame_size` is the number of slots used.
    """

    def run(self) -> Code:
        """The function's steps. Raises CompileError for what cannot be lowered."""
        for local, type_ in enumerate(self.local_types):
            parameter = local < len(self.function.type.params)
            source = Slot("frame", local) if parameter else ZERO
            if source != self.slots[local]:
                self.code.emit(Step("mov", a=source, dest=self.slots[local], wide=type_ in WIDE))
        for at, instr in enumerate(self.body):
            self.at = at
            if self.reachable:
                handler = _HANDLERS.get(instr.name)
                if handler:
                    handler(self, instr)
                else:
                    self._numeric(instr)
            else:
                self._dead(instr)
        return self.code

    @property
    def frame_size(self) -> int:
        return self.stack.high_water


_HANDLERS: dict[str, Callable[[FunctionLowering, Instr], Any]] = {
    "unreachable": FunctionLowering._unreachable,
    "nop": FunctionLowering._nop,
    "atomic.fence": FunctionLowering._nop,
    "block": FunctionLowering._block,
    "loop": FunctionLowering._loop,
    "if": FunctionLowering._if,
    "try_table": FunctionLowering._try_table,
    "throw": FunctionLowering._throw,
    "throw_ref": FunctionLowering._throw_ref,
    "else": FunctionLowering._else,
    "end": FunctionLowering._end,
    "br": FunctionLowering._br,
    "br_if": FunctionLowering._br_if,
    "br_table": FunctionLowering._br_table,
    "return": FunctionLowering._return,
    "call": FunctionLowering._call,
    "call_indirect": FunctionLowering._call_indirect,
    "return_call": FunctionLowering._return_call,
    "return_call_indirect": FunctionLowering._return_call_indirect,
    "call_ref": FunctionLowering._call_ref,
    "return_call_ref": FunctionLowering._return_call_ref,
    "br_on_null": FunctionLowering._br_on_null,
    "br_on_non_null": FunctionLowering._br_on_non_null,
    "br_on_cast": FunctionLowering._br_on_cast,
    "br_on_cast_fail": FunctionLowering._br_on_cast,
    "drop": FunctionLowering._drop,
    "select": FunctionLowering._select,
    "local.get": FunctionLowering._local_get,
    "local.set": FunctionLowering._local_set,
    "local.tee": FunctionLowering._local_tee,
    "global.get": FunctionLowering._global_get,
    "global.set": FunctionLowering._global_set,
    "memory.size": FunctionLowering._memory_size,
    "table.size": FunctionLowering._table_size,
    "table.get": FunctionLowering._table_get,
    "table.set": FunctionLowering._table_set,
    "ref.null": FunctionLowering._ref_null,
    "ref.func": FunctionLowering._ref_func,
    "ref.is_null": FunctionLowering._ref_is_null,
    "ref.eq": FunctionLowering._ref_eq,
    "i32.eqz": FunctionLowering._eqz,
    "i64.eqz": FunctionLowering._eqz,
    **{f"{type_}.copysign": FunctionLowering._copysign for type_ in SIGN},
}
