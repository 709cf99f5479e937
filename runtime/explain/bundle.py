"""One HTML file out of the sources in web/: modules in the order of their imports, style, and the data."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

_IMPORT = re.compile(r'^import (?:\{[^}]*\} from )?"\./([\w./-]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_TOP = re.compile(r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)
ENTRY = "main.mjs"


def page(data: Mapping[str, Any]) -> str:
    """The page as text. It loads nothing: no file, no font, no library from elsewhere."""
    folder = web()
    template = folder.joinpath("page.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(str(data["title"])),
        "STYLE": folder.joinpath("style.css").read_text(encoding="utf-8"),
        # Nothing in the data can look like markup: in JSON, "<" stands in strings only.
        "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "CODE": script(folder),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template)


def web() -> Traversable:
    """The folder of the page's sources, in a checkout or in an installed package."""
    return files(__package__).joinpath("web")


def script(folder: Traversable, entry: str = ENTRY) -> str:
    """All modules as one: names are unique across them, so that imports and exports can go.

    Raises ValueError when a module is missing, imports go in a circle, or two modules have one name at their top.
    """
    order: list[str] = []
    _visit(folder, entry, order, ())
    owners: dict[str, str] = {}
    parts = []
    for name in order:
        text = folder.joinpath(name).read_text(encoding="utf-8")
        for top in _TOP.findall(text):
            if owners.setdefault(top, name) != name:
                raise ValueError(f"{name}: {top} is a name of {owners[top]} too")
        if "</script" in text or "<!--" in text:
            raise ValueError(f"{name}: what ends a script element")
        text = _EXPORT.sub("", _IMPORT.sub("", text))
        if re.search(r"^(?:import|export)\b", text, re.MULTILINE):
            raise ValueError(f"{name}: an import or export in a form that the bundle does not take")
        parts.append(f"// {name}\n{text}")
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _visit(folder: Traversable, name: str, order: list[str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"imports in a circle: {' -> '.join((*above, name))}")
    if name in order:
        return
    file = folder.joinpath(name)
    if not file.is_file():
        raise ValueError(f"{above[-1] if above else 'the page'} imports {name}, which is not there")
    for needed in _IMPORT.findall(file.read_text(encoding="utf-8")):
        _visit(folder, needed, order, (*above, name))
    order.append(name)


__all__ = ["page", "script", "web"]
