"""Limits of this compiler, not of WebAssembly. README ("Limits") says the same; what meets one is refused, traps, or gives -1.

Addresses of bytes and slots are keys of lookups (docs/machine.md); these are as far as their digits reach.
"""

from __future__ import annotations

PAGE = 2**16  # bytes of a page of linear memory, as WebAssembly has it
# Linear memory has so many bytes, and so many pages, at most: more at the beginning are refused, memory.grow beyond them
# gives -1.
MEMORY_LIMIT = 2**32
MEMORY_PAGES = MEMORY_LIMIT // PAGE
# Several memories have so many pages together: then each one's size in bytes is an i32.
PAGES_TOGETHER = MEMORY_PAGES - 1


def size_register(pages: int) -> int:
    """What the register of a memory's size holds: i32.rotl(pages, 16), its bytes, of 65,536 pages 1."""
    return (pages << 16 | pages >> 16) & 0xFFFFFFFF


def pages_of(register: int) -> int:
    """The inverse, i32.rotr(register, 16)."""
    return register >> 16 | (register & 0xFFFF) << 16


# Hidden memory (tables, passive segments, input) lies at negative addresses, at most so many bytes.
HIDDEN_LIMIT = 2**26 - 512
# So many bytes of a segment or of input may follow one segment token: their distance from it has three digits.
SEGMENT_LIMIT = 2**24
# A table grows to so many elements at most, as in JavaScript engines; tables that can grow share hidden memory, so
# several get less. table.grow beyond that gives -1.
TABLE_ELEMENTS = 10_000_000
# A frame may begin at most this many slots above the first one; one more call traps "call stack exhausted".
FRAME_LIMIT = 2**20
# A single function may use at most this many slots (parameters, locals, operand stack); more are refused.
FRAME_SIZE_LIMIT = 2**12
# A function may declare so many locals, as in other engines; keeps a few malformed bytes from asking for gigabytes.
LOCALS = 50_000
# Standard input, arguments and environment (with a zero behind each) of an invocation: more is refused when it begins.
STDIN_BYTES = 2**20
ARGUMENT_BYTES = 2**16
ENVIRONMENT_BYTES = 2**16
# An invocation's prompt has so many random bytes; random_get makes others from them once they are used up (wasi_common.wat).
RANDOM_BYTES = 256
# What is in the folders of a program that opens files, when it begins and with all that it writes: so many bytes of hidden
# memory, of which the table of descriptors takes the last ones. In the prompt they have to fit behind one segment token.
FILES_BYTES = 24 * 2**20
FILES_GIVEN_BYTES = SEGMENT_LIMIT - 1
DESCRIPTORS_BYTES = 256 * 32
# Exceptions that a program holds on to as values (catch_ref, catch_all_ref) take so many bytes of hidden memory, of which
# none comes back; one more traps "exceptions exhausted".
EXCEPTION_BYTES = 2**22
# Structs and arrays of a program that makes any take so many bytes of hidden memory, of which none comes back; one more traps
# "heap exhausted".
HEAP_BYTES = 2**25
# The host reads hidden memory (what was written into files) so many words of four bytes at a time.
HOST_WORDS = 32
