"""What a tool has found: a table, what to be careful with, and a picture where it says more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .estimates import FEW, Estimate

Cell = str | int | float | Estimate


@dataclass(frozen=True)
class Grid:
    """Numbers to be drawn: values [rows, columns], what they are, and the names of rows and columns."""

    values: np.ndarray
    what: str
    rows: list[str]
    columns: list[str]
    down: str
    across: str


@dataclass
class ResultTable:
    """title: one line. columns: names; numbers begin with #. rows: cells. notes: what to know when reading it."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    notes: list[str] = field(default_factory=list)
    grid: Grid | None = None

    def __post_init__(self) -> None:
        few = sum(any(isinstance(c, Estimate) and 0 < c.prompts < FEW for c in row) for row in self.rows)
        if few:
            rows = "the only row rests" if len(self.rows) == 1 else f"{few} of {len(self.rows)} rows rest"
            self.notes.append(f"{rows} on fewer than {FEW} prompts: read the intervals, not the values")

    def column(self, name: str) -> list[Cell]:
        """The cells below a name, written with or without #. Raises KeyError."""
        names = [c.lstrip("#") for c in self.columns]
        if name.lstrip("#") not in names:
            raise KeyError(f"no column {name!r}; there are: {', '.join(names)}")
        at = names.index(name.lstrip("#"))
        return [row[at] for row in self.rows]

    def texts(self) -> Iterable[tuple[str | int, ...]]:
        """The rows as a person reads them."""
        return (tuple(_text(cell) for cell in row) for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = [c.lstrip("#") for c in self.columns]
        rows = [dict(zip(names, (c.to_json() if isinstance(c, Estimate) else c for c in row))) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def _text(cell: Cell) -> str | int:
    if isinstance(cell, float):
        return "-" if np.isnan(cell) else f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return cell if isinstance(cell, int) else str(cell)
