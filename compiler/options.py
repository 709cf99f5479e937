"""What a caller can choose about a compilation, as one value that is passed whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .format.limits import MEMORY_PAGES


@dataclass(frozen=True)
class CompileOptions:
    """See `compile.compile` for what each one means. Raises ValueError for values out of range."""

    opt_level: int = 1
    exports: Sequence[str] | None = None
    libraries: Mapping[str, str | bytes] = field(default_factory=dict)
    max_memory_pages: int | None = None
    unknown_imports_trap: bool = False
    float_routines: bool | None = None
    division_routines: bool | None = None

    def __post_init__(self) -> None:
        if self.opt_level not in (0, 1):
            raise ValueError(f"opt_level is 0 or 1, not {self.opt_level}")
        if self.max_memory_pages is not None and not 1 <= self.max_memory_pages <= MEMORY_PAGES:
            raise ValueError(f"max_memory_pages is 1 to {MEMORY_PAGES}, not {self.max_memory_pages}")
