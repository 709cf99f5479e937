"""One call of an expert as invocations: arguments placed, the function called, the result read. On an instance, or verified."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..check.verify import Report, Verifier
from ..errors import Trap
from ..instance import Instance
from ..results import Run
from .canonical import Value, decimal
from .errors import ExpertError
from .signature import ARRAYS, Argument, Result

if TYPE_CHECKING:
    from .experts import Expert


@dataclass(frozen=True)
class Outcome:
    """text: the result. run: of the function itself. tokens, steps: of all invocations together, memory's too."""

    text: str
    run: Run
    tokens: int
    steps: int


class _Side:
    """An instance or a verifier, with what was decoded on it counted."""

    def __init__(self, side: Instance | Verifier, reports: list[Report] | None, limits: dict[str, Any]):
        self._side, self._reports, self._limits = side, reports, limits
        self.tokens = self.steps = 0

    def invoke(self, name: str, *values: Any) -> Run:
        if isinstance(self._side, Instance):
            run = self._side.invoke(name, *values, **self._limits)
        else:
            report = self._side.invoke(name, values, **self._limits)
            assert self._reports is not None
            self._reports.append(report)
            run = report.run
            if run.trap is not None:
                raise Trap(run.trap, run)
        self.tokens += len(run.tokens)
        self.steps += run.steps
        return run

    def write(self, address: int, data: bytes) -> None:
        self._side.write_memory(address, data)

    def read(self, address: int, length: int) -> bytes:
        if isinstance(self._side, Instance):
            return self._side.read_memory(address, length)
        ours, theirs = self._side.read_memory(address, length)
        if ours != theirs:
            raise ExpertError(f"memory at {address:#x} differs from wasmtime's")
        return ours


def perform(
    side: Instance | Verifier, expert: Expert, values: Sequence[Value], *, reports: list[Report] | None = None, **limits: Any
) -> Outcome:
    """Calls the expert's export with these values, which fit its signature. reports: is given a verifier's. limits: max_tokens,
    timeout. Raises ExpertError, Trap, Unfinished."""
    on = _Side(side, reports, limits)
    passed: list[Any] = []
    placed: dict[str, tuple[int, int]] = {}  # address and number of the arguments in memory
    for argument, value in zip(expert.arguments, values):
        if argument.in_memory:
            placed[argument.name] = _place(on, argument, argument.data(value))
            address, count = placed[argument.name]
            passed += [{"pointer": address, "length": count}[what] for what in argument.passed]
        else:
            passed.append(float(value) if argument.type[0] == "f" and isinstance(value, int) else value)
    run = on.invoke(expert.export, *passed)
    if run.exit_code not in (None, 0):
        raise ExpertError(f"{expert.name}: the program ended with exit code {run.exit_code}")
    returned = run.values[0] if run.values else 0
    if expert.result.type not in ("i64", "f32", "f64") and returned in expert.failures:
        raise ExpertError(f"{expert.name}: {expert.failures[returned]}")
    text = _result(on, expert.result, run, returned, placed)
    return Outcome(text, run, on.tokens, on.steps)


def _place(on: _Side, argument: Argument, data: bytes) -> tuple[int, int]:
    address = argument.at
    if isinstance(address, str):
        address = on.invoke(address, len(data)).values[0] % 2**32
        if address == 0:
            raise ExpertError(f"{argument.name}: {len(data):,} bytes; the program has no room for them")
    on.write(address, data)
    return address, argument.count(data)


def _result(on: _Side, result: Result, run: Run, returned: Any, placed: dict[str, tuple[int, int]]) -> str:
    if result.type == "text":
        return _utf8(run.stdout)
    if not result.in_memory:
        return number_text(result.type, returned)
    at = returned % 2**32 if result.at == "returned" else result.at
    address = placed[at][0] if isinstance(at, str) else at
    length = returned if result.length == "returned" else result.length
    count = placed[length][1] if isinstance(length, str) else length
    if count < 0:
        raise ExpertError(f"the function returned {count}, which is no length")
    size = struct.calcsize(f"<{ARRAYS[result.type]}") if result.type in ARRAYS else 1
    data = on.read(address, count * size)
    if result.type in ARRAYS:
        numbers = struct.unpack(f"<{count}{ARRAYS[result.type]}", data)
        return f"[{', '.join(number_text(result.type[:-2], n) for n in numbers)}]"
    return data.hex() if result.type == "hex" else _utf8(data)


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ExpertError("the result is no UTF-8 text; its type may be hex") from None


def number_text(type_: str, value: Any) -> str:
    """A decoded value in digits: f32 with the fewest that give it back."""
    if type_ == "f32":
        import numpy as np

        return str(np.float32(value))
    return repr(float(value)) if type_ == "f64" else decimal(int(value))
