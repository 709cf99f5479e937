"""Free texts and their canonical forms, from texts.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("texts.txt")


@dataclass(frozen=True)
class FreeText:
    """form: canonical, "" where the text has to be refused."""

    category: str
    text: str
    form: str


def free_texts() -> list[FreeText]:
    found = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            category, text, form = line.split(" | ")
            found.append(FreeText(category.strip(), text, "" if form.strip() == "-" else form.strip()))
    return found
