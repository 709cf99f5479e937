"""The files of the fast engine stand in docs/fast-engine.md, each with its sentence, in the order of their imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAST = ROOT / "runtime" / "fast"
DOCUMENTED = re.findall(
    r"^\| `(\w+)\.py` \| .+ \|$", (ROOT / "docs" / "fast-engine.md").read_text(encoding="utf-8"), re.MULTILINE
)


def imported(name: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((FAST / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_every_file_has_a_sentence():
    assert sorted(DOCUMENTED) == sorted(f.stem for f in FAST.glob("*.py") if f.stem != "__init__")


def test_imports_go_upwards_in_the_table():
    order = {name: k for k, name in enumerate(DOCUMENTED)}
    assert not [(name, other) for name in DOCUMENTED for other in imported(name) if order[other] >= order[name]]


def test_class_names_are_the_engines_own():
    def classes(files: list[Path]) -> list[str]:
        trees = [ast.parse(f.read_text(encoding="utf-8")) for f in files]
        return [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]

    own = sorted(FAST.glob("*.py"))
    others = [f for top in ("compiler", "runtime") for f in (ROOT / top).rglob("*.py") if f.parent != FAST]
    names = classes(own)
    assert len(names) == len(set(names))
    assert not set(names) & set(classes(others))
