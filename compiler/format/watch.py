"""How somebody looks on while a program is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Called after each pass, with its name and what it made; what it made is not to be changed.
Watch = Callable[[str, Any], None]


def ignore(name: str, value: Any) -> None:
    """Nobody looks on."""
