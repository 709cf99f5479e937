"""What a run can end with, other than its results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .results import Run


class Trap(Exception):
    """The program trapped. The message is wasmtime's; `run` holds the tokens and the output so far."""

    def __init__(self, message: str, run: Run):
        super().__init__(message)
        self.run = run

    def __reduce__(self) -> tuple[Any, ...]:
        """With both of its arguments: worker processes send their exceptions as pickles."""
        return type(self), (str(self), self.run)


class Unfinished(RuntimeError):
    """A call was given up: it reached its number of tokens, its time or its memory. `tokens` are blocks of int32 [n]: those of
    the call up to there, with its prompt; none where it was not decoding."""

    tokens: tuple[np.ndarray, ...] = ()


class InstanceError(RuntimeError):
    """An instance cannot take this call: it is in the middle of another one, or stopped in the middle of one."""


class DecodingError(RuntimeError):
    """What the model decoded is no run of its program: the checkpoint's weights and its program do not belong together."""


class ArgumentError(ValueError):
    """An invocation that the program does not have, arguments that do not fit it, or a world that it cannot be told."""


class DivergenceError(RuntimeError):
    """Something that the model did is not what wasmtime does. report: of the call, where there is a `Report` that says so."""

    def __init__(self, message: str, report: Any = None):
        super().__init__(message)
        self.report = report


class OracleError(RuntimeError):
    """wasmtime could not be made to run the original program, or not to its end; nothing was compared."""


class ReplayError(ValueError):
    """A checkpoint, or a device, with which a trace cannot be replayed; the message names the head."""


class MissingPackage(ImportError):
    """Something was asked for that needs a package which an extra of this one installs; the message says how."""


@contextmanager
def needing(what: str, *packages: str, extra: str = "") -> Iterator[None]:
    """Around the import of a module that needs packages: raises MissingPackage where one of them is not installed.

    extra: what installs them, by default the name of the only one."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in packages:
            raise
        install = f"pip install 'wasm2xformer[{extra or error.name}]'"
        text = f"{what} needs the package {error.name}, which is not installed: {install}"
        raise MissingPackage(text) from None
