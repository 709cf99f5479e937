"""The linked module's functions to steps."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.errors import CompileError, Reason
from ..format.types import FuncType
from ..link.linked import LinkedModule
from .code import Code
from .function import FunctionLowering


@dataclass
class LoweredFunction:
    """The steps of one function, targets still labels. What the optimiser changes it changes in place.

    index: in the linked module. parameters: their number. zeroed: so many steps at the beginning set a local to zero.
    frame_size: slots used. internal: a linked routine, not the program's own code.
    """

    index: int
    name: str
    type: FuncType
    code: Code
    frame_size: int
    zeroed: int
    internal: bool

    @property
    def parameters(self) -> int:
        return len(self.type.params)


def lower(linked: LinkedModule, opt_level: int) -> list[LoweredFunction]:
    """Every function of a linked module, in the order of their indices; at -O0 one step per instruction.

    Raises CompileError with every instruction that has no step operation.
    """
    lowered: list[LoweredFunction] = []
    reasons: list[Reason] = []
    for index, function in enumerate(linked.module.functions):
        if function.imported is not None:
            continue
        lowering = FunctionLowering(linked, index, opt_level)
        try:
            code = lowering.run()
        except CompileError as error:
            reasons += error.reasons
            continue
        lowered.append(
            LoweredFunction(
                index, function.name, function.type, code, lowering.frame_size, len(function.locals),
                internal=index not in linked.origin,
            )
        )  # fmt: skip
    if reasons:
        raise CompileError(reasons)
    return lowered
