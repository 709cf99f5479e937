"""The folders of the package as rooms: imports between them go one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# From the bottom up: a room imports from rooms before it only.
ROOMS = (
    "compiler/format", "compiler/huggingface", "compiler/wasm", "compiler/link", "compiler/lower", "compiler/optimise",
    "compiler/graph", "compiler/machine", "compiler", "runtime/fast", "runtime", "runtime/check/translation",
    "runtime/check/oracle", "runtime/check/diff", "runtime/check/replay", "runtime/check", "runtime/bench", "runtime/explain",
    "runtime/circuits", "runtime/hybrid/programs", "runtime/hybrid", "runtime/moe", "runtime/cli",
)  # fmt: skip


def imports(file: Path) -> Iterator[Path]:
    """The modules of this package that a file imports, also inside functions and for types only."""
    folder = file.parent
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder.parents[node.level - 2] if node.level > 1 else folder
            target = base.joinpath(*(node.module or "").split(".")) if node.module else base
            for name in node.names:
                yield target / name.name if (target / f"{name.name}.py").exists() else target


def room(module: Path) -> str:
    return str((module if module.is_dir() else module.parent).relative_to(ROOT))


def arrows() -> set[tuple[str, str, str]]:
    """(room, room that it imports from, the file that does)."""
    found = set()
    for top in ("compiler", "runtime"):
        for file in (ROOT / top).rglob("*.py"):
            for module in imports(file):
                pair = (room(file), room(module))
                if pair[0] != pair[1]:
                    found.add((*pair, str(file.relative_to(ROOT))))
    return found


def test_imports_go_one_way():
    order = {name: k for k, name in enumerate(ROOMS)}
    upwards = sorted(a for a in arrows() if order[a[0]] < order[a[1]])
    assert not upwards


# Class names that still stand for two things. Nothing is to be added.
SHARED: set[str] = set()


def test_no_two_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for top in ("compiler", "runtime", "wasm2xformer"):
        for file in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert set(shared) <= SHARED, shared


def test_every_folder_is_a_room_with_a_sentence():
    folders = {str(f.parent.relative_to(ROOT)) for top in ("compiler", "runtime") for f in (ROOT / top).rglob("*.py")}
    assert folders == set(ROOMS)
    for name in ROOMS:
        assert ast.get_docstring(ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))), name


def test_the_reference_is_short():
    """The forward pass that every engine must equal is meant to be read."""
    lines = (ROOT / "runtime" / "torch_engine.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) < 100
