"""Source text or bytes -> a validated Module. Parsing of WAT and validation are wasmtime's."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from ..format.errors import CompileError, Reason
from ..format.files import read_file, words
from ..format.limits import MEMORY_LIMIT, MEMORY_PAGES, PAGE
from ..format.printable import printable
from ..format.waiting import interruptible
from .c import compile_c
from .component import core_module, is_component
from .decode import decode
from .encode import encode
from .legacy_exceptions import modern
from .module import Module
from .opcodes import MAGIC, VERSION
from .unicode import REFUSED, escaped, located
from .unsupported import PROPOSALS, function_at, invalid, proposal

# Validation accepts what `decode` can read, so that `check` names what is not supported with its function; what
# would need other data types ends here.
FEATURES = {
    "bulk_memory": True, "reference_types": True, "multi_value": True,
    "simd": True, "threads": True, "tail_call": True, "multi_memory": True, "exceptions": True,
    "memory64": True, "function_references": True, "relaxed_simd": True, "gc": True, "stack_switching": False,
    "custom_page_sizes": False, "wide_arithmetic": False,
}  # fmt: skip
EVERYTHING = {**FEATURES, **{feature: True for needed in PROPOSALS for feature in needed}}


@dataclass(frozen=True)
class Source:
    """A valid module, and the bytes it was decoded from (what the oracle runs): those that were given, unless they have
    the older form of exceptions (see `legacy_exceptions`)."""

    module: Module
    wasm: bytes


def load(source: str | bytes | bytearray | memoryview | Path) -> Source:
    """WAT text, or WASM bytes, or the path of a file with either or with C. Of a component its core module, see `component`.

    Raises CompileError: a syntax error (with the line), an invalid module, or too much memory.
    """
    if isinstance(source, Path):
        return load_file(source)
    if not isinstance(source, str):
        source = _bytes(source)
    wasm = source if isinstance(source, bytes) and source[:4] == MAGIC else _assemble(source)
    wasm = _validated(core_module(wasm) if is_component(wasm) else wasm)
    module = decode(wasm)
    for memory in module.memories:
        if memory.minimum > MEMORY_PAGES:
            size = f"memory of {memory.minimum} pages ({memory.minimum * PAGE / 2**20:.6g} MiB)"
            raise CompileError(f"{size}: at most {MEMORY_PAGES} pages ({MEMORY_LIMIT >> 20} MiB)")
    return Source(module, wasm)


def load_file(path: str | Path) -> Source:
    """Loads a file: C by its suffix, WASM by its first bytes, else WAT. Raises CompileError."""
    path = Path(path)
    try:
        content = read_file(path)
    except OSError as error:
        raise CompileError(f"{printable(str(path))}: {words(error)}") from None
    try:
        return load(compile_c(path) if path.suffix == ".c" else content)
    except CompileError as error:
        first, *others = error.reasons
        if first.function or path.suffix == ".c":
            raise
        # The error says where in the text or the bytes it is; in which file is said here.
        raise CompileError([Reason(f"{printable(str(path))}: {first}"), *others]) from None


_NEITHER = "neither WAT (text that begins with a parenthesis) nor WASM (bytes that begin with 00 61 73 6d)"


def _bytes(source: bytes | bytearray | memoryview) -> bytes:
    try:
        return memoryview(source).tobytes()
    except TypeError:
        raise CompileError(f"a value of type {type(source).__name__}: {_NEITHER}") from None


def _assemble(source: str | bytes) -> bytes:
    neither = _NEITHER
    try:
        text = source.decode() if isinstance(source, bytes) else source
    except UnicodeDecodeError as error:
        if not error.object.lstrip().startswith(b"("):
            raise CompileError(neither) from None
        byte = error.object[error.start]
        raise CompileError(f"WAT is UTF-8, which the byte 0x{byte:02x} at offset {error.start} is not") from None
    if not text.lstrip().startswith(("(", ";")):
        if re.fullmatch(r"\S+\.(wat|wasm|c)", text):
            neither += "; the name of a file has to be a pathlib.Path"
        raise CompileError(neither)
    try:
        valid = escaped(text) if REFUSED.search(text) else text
        return bytes(interruptible(lambda: wasmtime.wat2wasm(valid)))
    except UnicodeEncodeError as error:
        raise CompileError(f"WAT is UTF-8, which {error.object[error.start]!r} cannot be") from None
    except wasmtime.WasmtimeError as error:
        message = located(str(error), text) if valid != text else str(error)
        raise CompileError(f"WAT syntax error: {message}") from None


# What wasmtime says of a module with the older form of exceptions.
_LEGACY = ("legacy_exceptions feature required", "legacy exceptions support is not enabled")


def _validated(wasm: bytes) -> bytes:
    """The module; one with the older form of exceptions with the new form instead. Raises CompileError."""
    if wasm[4:8] != VERSION:
        raise CompileError("not a core WASM module of version 1 (a truncated file, or a later version)")
    message = invalid(wasm, FEATURES)
    if message.startswith(_LEGACY) and (translated := _with_new_exceptions(wasm)) != wasm:
        return _validated(translated)
    if message:
        unsupported = proposal(wasm, FEATURES)
        # Of a module that is invalid whatever is allowed, what is wrong with it, not what is not allowed.
        raise CompileError([_located(wasm, message if unsupported else invalid(wasm, EVERYTHING), unsupported)])
    return wasm


def _with_new_exceptions(wasm: bytes) -> bytes:
    """What it translates need not be valid: then the translation is not valid either, if it is one at all."""
    try:
        return encode(modern(decode(wasm)))
    except (LookupError, AssertionError, TypeError, ValueError) as error:
        if isinstance(error, CompileError):
            raise
        raise CompileError("invalid module: try, catch, delegate or rethrow where it cannot stand") from None


def _located(wasm: bytes, message: str, unsupported: str) -> Reason:
    """wasmtime's message with its byte offset, and with the function and instruction at it if the bytes decode.

    unsupported: what to say instead, of a module that is valid.
    """
    match = re.fullmatch(r"(.*) \(at offset 0x([0-9a-f]+)\)", message.strip(), re.DOTALL)
    if not match:
        return Reason(unsupported or f"invalid module: {message.strip()}")
    text, offset = unsupported or f"invalid module: {match[1]}", int(match[2], 16)
    try:
        functions = [f for f in decode(wasm).functions if f.body]
    except CompileError:
        return Reason(text, function_at(wasm, offset), offset)
    for function in functions:
        offsets = [instruction.offset for instruction in function.body]
        if offsets[0] <= offset <= offsets[-1]:
            instruction = function.body[bisect_right(offsets, offset) - 1]
            return Reason(text, function.name, offset, instruction.name)
    return Reason(text, offset=offset)
