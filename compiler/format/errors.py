"""What the compiler says when it refuses an input, and an engine when it would not be exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .certificate import Certificate, tightest, tokens_of
from .printable import printable


@dataclass(frozen=True)
class Reason:
    """One thing that cannot be compiled, and where it stands.

    function: the function's name or index as text, "" when the reason is not inside a function.
    offset: byte offset in the WASM module, or None.
    instruction: the instruction's text name, "" when there is none.
    message: what is wrong and, where there is one, what to do instead.
    """

    message: str
    function: str = ""
    offset: int | None = None
    instruction: str = ""

    def __str__(self) -> str:
        where = f"function {printable(self.function)}" if self.function else ""
        if self.offset is not None:
            where += f"{', ' if where else ''}offset 0x{self.offset:x}"
        if self.instruction:
            where += f"{', ' if where else ''}{self.instruction}"
        return f"{where}: {self.message}" if where else self.message


class CompileError(Exception):
    """The input is refused. `reasons` holds every reason found, in the module's order."""

    def __init__(self, reasons: list[Reason] | str):
        self.reasons = [Reason(reasons)] if isinstance(reasons, str) else list(reasons)
        super().__init__("\n".join(str(r) for r in self.reasons))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reasons,)  # a pickle keeps them


class EnvelopeError(RuntimeError):
    """The sequence would grow past the length for which the checkpoint's weights, or an engine, are exact."""


def past_certificate(tokens: int, certificate: Certificate, allowed: int = 0) -> EnvelopeError:
    """The sequence would reach `tokens`; the message names the head that sets the bound. allowed: where the tensors say less."""
    least = tightest(certificate)
    claimed = tokens_of(certificate)
    head = f" (head {least.head})" if least and allowed in (0, claimed) else ""
    return EnvelopeError(
        f"the sequence would reach {tokens:,} tokens, but this checkpoint is exact only up to "
        f"{allowed or claimed:,}{head}: see `inspect --certificate`"
    )
