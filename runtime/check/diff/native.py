"""Functions on arrays of numbers, written in a few words of Python, as machine code.

What a function may consist of: parameters that are arrays (`U8`, `U16`, `I32`, `I64`, `F64`, `R64`); variables, each either an
integer of 64 bits with a sign or a real number in float64, as what is assigned to it first; assignments, `if`, `while`,
`break`, `continue`, `return` of an integer; `+ - * & | ^ << >>` of integers, `+ - * /` of real numbers, single comparisons,
`and`, `or`, `not`; numbers, also such that its module names; `real(integer)`, and of real numbers `whole` (without what is
behind the point), `rint`, `fabs` and `bits`. Nothing else is translated, and no operation takes one of each kind. An element of
an F64 is read as an integer, as -2^63 where it is none, that of an R64 as the real number that it is; `poke(address, byte)`
writes one byte. No rounding is left out and no sum put in another order. Nothing is checked when it runs: the function itself
has to see to it that it stays inside its arrays.

Why not numba: it takes half a second of every process before such a function runs, more than most calls take to verify.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...fast.jit import CodeMemory, compile_optimised, host
from ...fast.sealed import DIGEST, cache_folder, opened

# Arrays, by the name of the annotation.
U8: TypeAlias = np.ndarray
U16: TypeAlias = np.ndarray
I32: TypeAlias = np.ndarray
I64: TypeAlias = np.ndarray
F64: TypeAlias = np.ndarray
R64: TypeAlias = np.ndarray
_TYPES = {"U8": np.uint8, "U16": np.uint16, "I32": np.int32, "I64": np.int64, "F64": np.float64, "R64": np.float64}


def poke(address: int, byte: int) -> None:
    """For what reads the function as Python."""
    ctypes.c_uint8.from_address(address).value = byte & 255


# Of numbers, for what reads the function as Python.
real, whole, rint, fabs = float, int, np.rint, np.fabs


def bits(x: float) -> int:
    """Of float64, as an integer with a sign."""
    return int(np.float64(x).view(np.int64))


class Placed:
    """A contiguous array that is passed more than once: its type and address are looked at now."""

    __slots__ = "address", "array", "type"

    def __init__(self, array: np.ndarray):
        self.array, self.type, self.address = array, array.dtype.type, array.ctypes.data
        if not (array.flags.c_contiguous and array.dtype.isnative):
            raise TypeError("an array that is not contiguous, or of another machine's numbers")


class NativeFunction:
    """A function of this module's kind, to be called with arrays of its parameters' types, each contiguous or `Placed`."""

    def __init__(self, function: Callable[..., int]):
        self._types = [_TYPES[name] for name in inspect.get_annotations(function).values() if name in _TYPES]
        self._memory, self._call = _loaded(function, len(self._types))

    def __call__(self, *arrays: np.ndarray | Placed) -> int:
        placed = [array if isinstance(array, Placed) else Placed(array) for array in arrays]
        for array, type_ in zip(placed, self._types, strict=True):
            if array.type is not type_:
                raise TypeError(f"an array of {array.type.__name__} in place of {type_.__name__}")
        return int(self._call(*[array.address for array in placed]))


def _loaded(function: Callable[..., int], parameters: int) -> tuple[Any, Callable[..., int]]:
    memory = CodeMemory(_object(function))
    signature = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * parameters)
    return memory, signature(memory.function(function.__name__))


def _object(function: Callable[..., int]) -> bytes:
    """From the cache of the fast engine, if it is there."""
    path = cache_folder()
    name = f"{_digest(function)}.bin"
    if path is not None:
        with suppress(OSError, ValueError), opened(path) as folder:
            return folder.read(name)[0]
    code = compiled(function)
    if path is not None:
        with suppress(OSError), opened(path) as folder:
            folder.write(name, code)
    return code


def _digest(function: Callable[..., int]) -> str:
    """Of all that the code depends on."""
    files = (Path(inspect.getfile(function)), *(Path(__file__).with_name(n) for n in ("native.py", "translate.py")))
    found = hashlib.blake2b(f"{host()} {function.__name__}".encode(), digest_size=DIGEST)
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def compiled(function: Callable[..., int]) -> bytes:
    """Object code. Raises NotImplementedError for what is not translated."""
    from .translate import translated  # not needed, and not loaded, when the cache has the code

    return compile_optimised(translated(function))
