"""Call scripts: calls of one instance whose arguments are strings, files, and results of calls before.

    p = alloc "text\\n"          bytes into memory that the module's own allocator gives (also: file PATH, a number of bytes)
    n = call count p p.length   a call; more results go to more names (a, b = call ...); without names they are printed
    read p 16                   bytes as a dump; text p 16 writes them as they are, string p up to the first zero
    write p+4 "abc"             bytes at an address
    g = global counter          an exported global
    print n g                   values
    allocator my_malloc         the function that alloc calls from here on
A # begins a comment. Numbers are as behind --invoke; NAME, NAME+N, NAME-N and NAME.length stand for values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ...compiler.format.files import read_file
from ...compiler.format.types import ValType
from .. import allocators
from ..errors import ArgumentError
from .output import dump, say, write_output
from .streams import decoded
from .values import format_value, parse_arguments

_WORD = re.compile(r'\s*(?:(#.*)|"((?:[^"\\]|\\.)*)"|([^\s"#]+))', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\"}
_NAME = re.compile(r"[A-Za-z_]\w*")
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.length)?)(?:([+-])(\d+|0x[0-9a-fA-F]+))?")
# How many arguments each statement has, at least and at most, and how many names.
_VERBS = {
    "call": (1, None), "alloc": (1, 2), "read": (2, 2), "text": (2, 2), "string": (1, 1), "write": (2, 3), "global": (1, 1),
    "print": (1, None), "allocator": (1, 1),
}  # fmt: skip
_GIVES = {"call": None, "alloc": 1, "global": 1}


class Target(Protocol):
    """What a script runs on: an instance, or both sides of a comparison."""

    exports: allocators.Types

    def invoke(self, name: str, values: Sequence[Any]) -> Any: ...
    def write_memory(self, address: int, data: bytes) -> None: ...
    def read_memory(self, address: int, length: int) -> bytes: ...
    def read_global(self, name: str) -> tuple[ValType, Any]: ...


@dataclass(frozen=True)
class _Statement:
    """words: text, or bytes where they stood in quotes."""

    line: int
    names: tuple[str, ...]
    verb: str
    words: tuple[str | bytes, ...]


@dataclass
class Script:
    """name: of its file, for messages. Raises ArgumentError for what is none, with its line."""

    name: str
    text: str
    statements: list[_Statement] = field(init=False)

    def __post_init__(self) -> None:
        self.statements = [s for k, line in enumerate(self.text.split("\n"), 1) if (s := self._statement(k, line))]

    def needed(self, exports: allocators.Types) -> list[str]:
        """The exported functions that it calls, of a module that exports these. Raises ArgumentError."""
        found, chosen = [], None
        for s in self.statements:
            if s.verb == "allocator":
                chosen = _text(s.words[0])
            elif s.verb == "call":
                found.append(self._told(s, partial(_exported, exports, _text(s.words[0]))))
            elif s.verb == "alloc":
                found.append(self._told(s, partial(allocators.allocator, exports, chosen)))
        return list(dict.fromkeys(found))

    def run(self, target: Target) -> int | None:
        """All of it, or up to a call that ends the program: its exit code. Raises ArgumentError, Trap."""
        running = _Running(target)
        for s in self.statements:
            code = self._told(s, partial(running.do, s))
            if code is not None:
                return int(code)
        return None

    def _told(self, s: _Statement, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except ArgumentError as error:
            raise ArgumentError(f"{self.name}, line {s.line}: {error}") from None

    def _statement(self, number: int, line: str) -> _Statement | None:
        words = list(self._words(number, line))
        if not words:
            return None
        names: tuple[str, ...] = ()
        if "=" in words:
            at = words.index("=")
            names = tuple(str(w).strip(",") for w in words[:at])
            words = words[at + 1 :]
            if not all(_NAME.fullmatch(n) for n in names):
                raise self._wrong(number, "names stand before the =")
        verb = words[0] if words else ""
        if not isinstance(verb, str) or verb not in _VERBS:
            raise self._wrong(number, f"{_text(verb)!r} is no statement; there are: {', '.join(_VERBS)}")
        least, most = _VERBS[verb]
        if len(words) - 1 < least or (most is not None and len(words) - 1 > most):
            raise self._wrong(number, f"{verb} has {least if least == most else f'at least {least}'} arguments")
        gives = _GIVES.get(verb, 0)
        if gives is not None and len(names) > gives:
            raise self._wrong(number, f"{verb} gives {gives or 'no'} value{'s' if gives != 1 else ''}")
        return _Statement(number, names, verb, tuple(words[1:]))

    def _words(self, number: int, line: str) -> Iterator[str | bytes]:
        at = 0
        line = re.sub(r"^(\s*[\w\s,]*?)=", r"\1 = ", line, count=1)
        while line[at:].strip():
            match = _WORD.match(line, at)
            if match is None:
                raise self._wrong(number, "a string does not end")
            at = match.end()
            if match[1]:
                return
            yield match[3] if match[3] is not None else self._string(number, match[2])

    def _string(self, number: int, text: str) -> bytes:
        parts, at = [], 0
        for escape in _ESCAPE.finditer(text):
            parts.append(text[at : escape.start()].encode(errors="surrogateescape"))
            if escape[1][0] == "x" and len(escape[1]) == 3:
                parts.append(bytes([int(escape[1][1:], 16)]))
            elif escape[1] in _ESCAPES:
                parts.append(_ESCAPES[escape[1]].encode())
            else:
                raise self._wrong(number, f"\\{escape[1]} is no escape; there are \\n \\t \\r \\0 \\\" \\\\ \\xNN")
            at = escape.end()
        return b"".join([*parts, text[at:].encode(errors="surrogateescape")])

    def _wrong(self, number: int, what: str) -> ArgumentError:
        return ArgumentError(f"{self.name}, line {number}: {what}")


class _Running:
    """values: (type, value) by name."""

    def __init__(self, target: Target):
        self.target = target
        self.values: dict[str, tuple[ValType, Any]] = {}
        self.allocator: str | None = None

    def do(self, s: _Statement) -> int | None:
        code: int | None = getattr(self, f"_{s.verb}")(s)
        return code

    def _call(self, s: _Statement) -> int | None:
        name = _exported(self.target.exports, _text(s.words[0]))
        params, results = self.target.exports[name]
        values = parse_arguments(name, params, [self._argument(w) for w in s.words[1:]])
        run = self.target.invoke(name, values)
        if run.exit_code is not None:
            return int(run.exit_code)
        if len(s.names) > len(results):
            raise ArgumentError(f"{name} gives {len(results)} values, there are {len(s.names)} names")
        for at, (type_, value) in enumerate(zip(results, run.values, strict=True)):
            if at < len(s.names):
                self.values[s.names[at]] = (type_, value)
            elif not s.names:
                say(format_value(type_, value))
        return None

    def _alloc(self, s: _Statement) -> None:
        data = self._data(s.words, count=True)
        address = allocators.allocate(self.target, data, self.allocator)
        if s.names:
            self.values[s.names[0]] = ("i32", address)
            self.values[f"{s.names[0]}.length"] = ("i32", data if isinstance(data, int) else len(data))

    def _write(self, s: _Statement) -> None:
        data = self._data(s.words[1:])
        assert isinstance(data, bytes)
        self.target.write_memory(self._number(s.words[0]), data)

    def _read(self, s: _Statement) -> None:
        address = self._number(s.words[0])
        say(dump(self.target.read_memory(address, self._number(s.words[1])), address))

    def _text(self, s: _Statement) -> None:
        write_output("stdout", self.target.read_memory(self._number(s.words[0]), self._number(s.words[1])))

    def _string(self, s: _Statement) -> None:
        address, found = self._number(s.words[0]), b""
        while b"\0" not in found:
            found += self.target.read_memory(address + len(found), 16)
        write_output("stdout", found[: found.index(b"\0")] + b"\n")

    def _global(self, s: _Statement) -> None:
        type_, value = self.target.read_global(_text(s.words[0]))
        if s.names:
            self.values[s.names[0]] = (type_, value)
        else:
            say(format_value(type_, value))

    def _print(self, s: _Statement) -> None:
        say(" ".join(self._argument(w) for w in s.words))

    def _allocator(self, s: _Statement) -> None:
        self.allocator = _text(s.words[0])

    # Arguments

    def _data(self, words: Sequence[str | bytes], count: bool = False) -> bytes | int:
        first = words[0]
        if isinstance(first, bytes) and len(words) == 1:
            return first
        if first == "file" and len(words) == 2:
            return read_file(_text(words[1]))
        if count and len(words) == 1:
            return self._number(first)
        raise ArgumentError('"text" or file PATH is expected')

    def _argument(self, word: str | bytes) -> str:
        """As it would stand behind --invoke."""
        if isinstance(word, bytes):
            raise ArgumentError("a string is no argument: put it into memory with alloc first")
        match = _REFERENCE.fullmatch(word)
        if match is None or match[1] not in self.values:
            return word
        type_, value = self.values[match[1]]
        if not match[2]:
            return format_value(type_, value).removeprefix(f"{type_} ")
        return str(int(value) + int(f"{match[2]}{int(match[3], 0)}"))

    def _number(self, word: str | bytes) -> int:
        text = self._argument(word)
        try:
            return int(text, 0) % 2**32
        except ValueError:
            raise ArgumentError(f"{text!r} is neither a number nor the name of one") from None


def _exported(exports: allocators.Types, name: str) -> str:
    if name not in exports:
        raise ArgumentError(f"no exported function {name!r}; there are: {', '.join(sorted(exports)) or 'none'}")
    return name


def _text(word: str | bytes) -> str:
    return decoded(word) if isinstance(word, str) else decoded(word.decode(errors="surrogateescape"))
