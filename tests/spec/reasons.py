"""Whether what is said of a rejected module is what a script expects to be told of it."""

from __future__ import annotations

import re

# What the scripts call it, up to the first character in which they differ, and other words for it: of the assembler, of
# wasmtime's validation, of the compiler. What contains the script's own words is the same anyway.
_SAME = {
    "END opcode expected": "control frames remain at end",
    "alignment": "malformed memop",
    "constant expression required": "type mismatch: expected funcref",  # what is not constant has another type, too
    "data count and data section": "data count is non-zero but data section is absent",
    "empty annotation id": "invalid character in string",
    "empty identifier": "invalid character in string",
    "function and code section": "section is absent but code section has|but code section is absent",
    "i32 constant": "offset out of range|memory size must be at most",
    "illegal character": "unexpected character",
    "illegal opcode ff": "illegal opcode",
    "immutable array": "array is immutable",
    "immutable field": "struct field is immutable",
    "immutable global": "global is immutable",
    # a number that is too long is cut off, and what follows is misread
    "integer representation too long": "unexpected end-of-file|malformed section id|invalid leading byte",
    "integer too large": "unexpected end-of-file|malformed section id",
    "invalid lane index": "SIMD index out of bounds",
    "length out of bounds": "unexpected end-of-file|expected section, got wasm magic number",
    "magic header not detected": "neither WAT .* nor WASM",
    "malformed UTF-8 encoding": "WAT is UTF-8, which .* cannot be",
    "malformed import kind": "for external kind",
    "malformed limits flags": "resizable limits flags|memory limits flags|unexpected end-of-file",
    "malformed mutability": "malformed global flags|shared globals require",
    "memory size must be": "memory size must be at most",
    "multiple start sections": "section out of order",
    "non-empty tag result type": "stack switching is not supported",
    "section size mismatch": "control frames remain at end",
    "type mismatch: instruction requires": "type mismatch: expected",
    "unclosed string": "unexpected end-of-file",
    "unexpected content after last section": "section out of order|inconsistent lengths",
    "unexpected end of section or function": "unexpected end-of-file|control frames remain at end",
    "unexpected end": "neither WAT .* nor WASM|not a core WASM module",
    "unexpected token": r"expected an? \S+$|extra tokens remaining|expected `|found outside `|feature required for",
    "unknown binary version": "not a core WASM module of version 1",
    # a global that is defined in the module itself is not known to constant expressions before version 3.0
    "unknown global": "global.get of locally defined global",
    # a word at a place where only a number or an operator may be
    "unknown operator": "expected a (float|[iu](8|16|32|64))|expected valid module field|constant out of range"
    "|unexpected token|unknown operator",
    "wrong number of lane literals": "expected a (float|i(8|16|32|64))|constant out of range|expected an instruction",
}
_NAMED = {re.compile(re.escape(text)): re.compile(words, re.MULTILINE) for text, words in _SAME.items()}


def same_reason(expected: str, actual: str) -> bool:
    """Whether they name one fault. An index that is named may be left out: "unknown function 7"."""
    if expected in actual or re.sub(r" \d+$", "", expected) in actual:
        return True
    return any(text.match(expected) and words.search(actual) for text, words in _NAMED.items())
