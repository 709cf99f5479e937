"""Names from a file are shown on a terminal, and not obeyed by it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import wasm2xformer as w2x
from wasm2xformer.compiler.format.printable import printable

pty = pytest.importorskip("pty", reason="terminals are POSIX's") if os.name == "posix" else None
pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals are POSIX's")
# Sets the title, colours, clears the screen (in one byte too), begins a line again, ends it, turns the direction, and is markup.
EVIL = "\x1b]0;pwned\x07\x1b[35m\x9b2J\r\n\u202e[bold]\u2028"
SOURCE = '(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))'


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Saves a checkpoint whose metadata has been changed."""
    w2x.compile(SOURCE).save(path)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["wasm2xformer"])
    change(metadata)
    save_file(tensors, path, {"wasm2xformer": json.dumps(metadata)})


def named(metadata: dict[str, Any]) -> None:
    """Everything that can have any name has this one."""
    program = metadata["program"]
    entry = program["entries"].pop("f") | {"name": "f" + EVIL}
    program["entries"]["f" + EVIL] = entry
    metadata["entries"] = [["f" + EVIL, entry["entry"]]]
    for function in program["functions"].values():
        function["name"] += EVIL
    metadata["texts"] = {k: text + EVIL for k, text in metadata["texts"].items()}
    names = metadata["names"]
    names["slots"] = [name + EVIL for name in names["slots"]]
    for layer in names["layers"]:
        for kind in layer:
            layer[kind] = [name + EVIL for name in layer[kind]]


def on_terminal(*arguments: str) -> tuple[int, str]:
    """Exit code, and everything that the terminal got."""
    assert pty is not None
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "wasm2xformer", *arguments])
    parts = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError:  # what Linux says at the end
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), b"".join(parts).decode()


# What rich writes itself: colours, the cursor, lines it erases.
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[KA]|\r|\n")


def obeyed(shown: str) -> set[str]:
    return {c for c in OWN.sub("", shown) if not c.isprintable()} | set(re.findall(r"\x1b\[35m", shown))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("inspect MODEL", 0), ("inspect MODEL --heads --neurons --slots --vocabulary --steps --weights --layer 3", 0),
        ("inspect MODEL --json", 0), ("trace MODEL --invoke NAME 3", 0), ("run MODEL --invoke NAME 3", 0),
        ("run MODEL --invoke NAME x", 2), ("run MODEL --invoke g", 2), ("run MODEL", 2), ("run NAME", 2),
    ],
)  # fmt: skip
def test_names(tmp_path: Path, arguments: str, code: int) -> None:
    changed(model := tmp_path / "model.safetensors", named)
    words = arguments.split()
    given = [str(model) if w == "MODEL" else "f" + EVIL if w == "NAME" else w for w in words]
    done, shown = on_terminal(*given)
    assert done == code and not obeyed(shown), shown[-1000:]
    if code == 2:
        assert shown[shown.index("error: ") :].count("\n") == 1
    if "--json" in words:
        slots = json.loads(shown)["layers"][0]["slots"]
        assert slots[0].endswith(EVIL)


def test_refused_checkpoints(tmp_path: Path) -> None:
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda m: m["vocabulary"].__setitem__(0, EVIL),
        lambda m: m.__setitem__(EVIL, 1),
        lambda m: m["program"]["steps"][0].__setitem__("op", EVIL),
        lambda m: m["program"]["entries"]["f"].__setitem__("name", EVIL),
        lambda m: m["program"]["inputs"].__setitem__(EVIL, [0, 0]) if "inputs" in m["program"] else m.clear(),
        lambda m: m["config"]["probes"].__setitem__(EVIL, [10**6, 0]),
    ]
    for change in changes:
        changed(tmp_path / EVIL.replace("/", ""), change)
        with pytest.raises(w2x.CheckpointError) as error:
            w2x.load(tmp_path / EVIL)
        assert str(error.value).isprintable(), error


def test_printable() -> None:
    assert printable("plain, 日本") == "plain, 日本"
    assert printable("\x1b[1m\x9b\u202e\u200b\ud800\U000e0001") == r"\x1b[1m\x9b\u202e\u200b\ud800\U000e0001"
    assert printable("a\n\tb\r", lines=True) == "a\n\tb\\x0d"
