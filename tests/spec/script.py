"""A .wast script as a list of commands. Only the script's own syntax is read here; the text of modules goes to the compiler
as it stands, whose assembler (wasmtime's) knows the current syntax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import wasmtime

from wasm2xformer.compiler.wasm.decode import decode

from .sexpr import Lines, Node, SyntaxFault, parse
from .unfold import unfolded


class ScriptError(Exception):
    """The script cannot be read."""


@dataclass(frozen=True)
class Value:
    """An argument or an expected result.

    bits: the bit pattern (unsigned), the number of an externref, None for a null reference. pattern: "nan:canonical" or
    "nan:arithmetic" for a set of float results, "any" for a reference that must not be null; otherwise "". choices: the
    values of which an expected one may be any. lanes: of a v128 of which some lanes are such sets, all lanes.
    """

    type: str
    bits: int | None = None
    pattern: str = ""
    choices: tuple[Value, ...] = ()
    lanes: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Action:
    """kind: "invoke" or "get" (the value of an exported global). module: name in the script, "" for the latest."""

    kind: str
    module: str
    field: str
    args: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Command:
    """kind: the command's keyword; of modules "module", "module_definition" or "module_instance" (of the definition
    `target`), and "assert_uninstantiable" for an assert_trap of a module. name: of a module, or under which `register` makes it
    known.

    target: the name of the module to register, "" for the latest. module: bytes of a binary, or text. text: what an assertion
    expects to be told.
    """

    kind: str
    line: int
    name: str = ""
    target: str = ""
    module: bytes | str | None = None
    action: Action | None = None
    expected: tuple[Value, ...] = ()
    text: str = ""


_ACTIONS = ("invoke", "get")
_SETS = ("nan:canonical", "nan:arithmetic")


def read_script(path: Path) -> list[Command]:
    """The commands of a script; a text that is only the fields of a module is one command. Raises ScriptError."""
    try:
        source = path.read_text(encoding="utf-8")
        nodes = parse(source)
        lines = Lines(source)
        if nodes and all(_is_field(node) for node in nodes):
            return [Command("module", lines.of(nodes[0]), module=f"(module {source}\n)")]
        return [_command(node, lines.of(node)) for node in nodes]
    except (OSError, UnicodeDecodeError, SyntaxFault, wasmtime.WasmtimeError) as error:
        raise ScriptError(f"{path.name}: {error}") from None


def _is_field(node: Node) -> bool:
    return node.head in ("func", "memory", "table", "global", "type", "import", "export", "data", "elem", "start", "tag", "rec")


def _command(node: Node, line: int) -> Command:
    kind, rest = node.head, list((node.items or ())[1:])
    if kind == "module":
        return _module_command(node, rest, line)
    if kind == "register":
        return Command(kind, line, _text(rest[0]), _name(rest[1:])[0])
    if kind in _ACTIONS:
        return Command("action", line, action=_action(node))
    if not rest or kind.partition("_")[0] != "assert":
        return Command(kind, line)  # of an unknown kind
    text = _text(rest[-1]) if rest[-1].is_string else ""
    if rest[0].head == "module":
        name, module = _module(rest[0], list((rest[0].items or ())[1:]))
        return Command("assert_uninstantiable" if kind == "assert_trap" else kind, line, name, module=module, text=text)
    if rest[0].head not in _ACTIONS:
        return Command(f"{kind} of {rest[0].head}", line)
    expected = tuple(map(_value, rest[1:])) if kind == "assert_return" else ()
    return Command(kind, line, action=_action(rest[0]), expected=expected, text=text)


# Modules


def _module_command(node: Node, rest: list[Node], line: int) -> Command:
    keyword = rest[0].text if rest else ""
    if keyword == "instance":
        name, others = _name(rest[1:])
        return Command("module_instance", line, name, others[0].text if others else "")
    name, module = _module(node, rest)
    return Command("module_definition" if keyword == "definition" else "module", line, name, module=module)


def _module(node: Node, rest: Sequence[Node]) -> tuple[str, bytes | str]:
    """Its name, and its bytes or its text. rest: what stands behind the keyword `module`."""
    defined = bool(rest) and rest[0].text == "definition"
    name, rest = _name(rest[1:] if defined else rest)
    form = rest[0].text if rest else ""
    if form in ("binary", "quote") and all(part.is_string for part in rest[1:]):
        parts = [part.bytes for part in rest[1:]]
        return name, b"".join(parts) if form == "binary" else b" ".join(parts).decode(errors="surrogateescape") or "(module)"
    return name, f"(module {name} {node.source[rest[0].start : node.end]}" if rest and defined else unfolded(node)


def _name(nodes: Sequence[Node]) -> tuple[str, list[Node]]:
    """The name that a list may begin with, and what follows."""
    if nodes and nodes[0].text.startswith("$"):
        return nodes[0].text, list(nodes[1:])
    return "", list(nodes)


def _text(node: Node) -> str:
    return node.bytes.decode()


# Actions and values


def _action(node: Node) -> Action:
    name, rest = _name((node.items or ())[1:])
    return Action(node.head, name, _text(rest[0]), tuple(map(_value, rest[1:])))


def _value(node: Node) -> Value:
    name, _, what = node.head.partition(".")
    given = [item.text for item in (node.items or ())[1:]]
    if name == "either":
        return Value("either", choices=tuple(map(_value, (node.items or ())[1:])))
    if name == "v128":
        return _vector(given)
    if name == "ref":
        if what == "null":
            return Value(f"{given[0] if given else 'any'}ref")
        number = int(given[0], 0) if given and what in ("extern", "host") else None
        return Value(f"{what}ref", number, "any" if number is None else "")
    if given[0] in _SETS:
        return Value(name, pattern=given[0])
    return Value(name, _bits(name, given[0]))


def _vector(given: Sequence[str]) -> Value:
    """given: the shape, then a literal for each lane."""
    shape, *literals = given
    if not any(text in _SETS for text in literals):
        return Value("v128", _bits("v128", " ".join(given)))
    type = shape[:3]
    return Value("v128", lanes=tuple(Value(type, pattern=t) if t in _SETS else Value(type, _bits(type, t)) for t in literals))


@cache
def _bits(type: str, literal: str) -> int:
    """The bit pattern of a constant, as the assembler reads it."""
    wasm = wasmtime.wat2wasm(f"(module (global {type} ({type}.const {literal})))")
    (constant,) = decode(bytes(wasm)).globals[0].init
    return int(constant.args[0]) % (1 << int(type[1:]))
