"""What positions leave behind for later ones, and how later ones look it up, as the analysis sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .linear import ZERO, Form


@dataclass(frozen=True)
class IndexSource:
    """An integer in range(size) per position. name says where it comes from:

    ("token",)               the token at this position
    ("row", lookup)          the row that a static lookup selects
    ("stored", lookup, k)    column k of what a lookup returns: 1 + another source's value, or 0 for "nothing stored
                             yet" (every table is 0 there)
    """

    name: tuple
    size: int


@dataclass(frozen=True)
class DigitWindow:
    """low <= form < low + size: lower digits of a key or a query, as one number. Where that is not proved it is checked."""

    form: Form
    low: float
    size: float


@dataclass
class PositionStore:
    """What positions leave behind for later ones. Lookups with different queries share a store.

    kind "delay":    the last few positions
         "register": the latest position with the least penalty
         "keyed":    by integer key the latest position whose penalty is 0
         "soft":     all positions, with all components of their keys
    columns: what is kept of a position: a form's value, or a source (its index in Interned.sources).
    latest: the latest of equal keys, and of equally near ones, wins. Without that they must not occur.
    nonnegative: the key's square is only right for keys >= 0.
    exact: a lookup finds its key, or nothing: all columns are 0 then. windows: the key's digits, see heads.py.
    keys, layer: of a soft store.
    """

    kind: str
    key: Form = ZERO
    penalty: Form = ZERO
    latest: bool = True
    nonnegative: bool = False
    exact: bool = False
    windows: tuple[DigitWindow, ...] = ()
    keys: tuple[Form, ...] = ()
    layer: int = 0
    columns: list[Form | int] = field(default_factory=list)
    _numbers: dict[Form | int, int] = field(default_factory=dict)

    def identity(self) -> tuple:
        return (
            self.kind, self.key, self.penalty, self.latest, self.nonnegative, self.exact, self.windows, self.keys, self.layer
        )  # fmt: skip

    def column(self, what: Form | int) -> int:
        number = self._numbers.setdefault(what, len(self.columns))
        if number == len(self.columns):
            self.columns.append(what)
        return number


@dataclass(frozen=True)
class HeadLookup:
    """query: delay: the distance; keyed: the form b; register: None; soft: as many forms as the keys have. windows: the digits
    of a query of an exact store."""

    store: int
    query: Any
    windows: tuple[DigitWindow, ...] = ()
