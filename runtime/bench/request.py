"""What is asked of a process that measures, as one value that goes through a pipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...compiler.options import CompileOptions
from ..world import World


@dataclass(frozen=True)
class Request:
    """program: path of the source. export, args: the invocation. world, writes: what it finds, (address, bytes) of memory.

    options: how it is compiled. model: where the checkpoint goes, or is. engine, device: as `Instance` takes them. limit: tokens
    of the invocation at most, None for all. longest: tokens of the trace for scaling. memory_mib: at which the process gives up.
    """

    program: str = ""
    export: str = ""
    args: tuple[Any, ...] = ()
    world: World = field(default_factory=World)
    writes: tuple[tuple[int, bytes], ...] = ()
    options: CompileOptions = field(default_factory=CompileOptions)
    repeat: int = 1
    model: str = ""
    engine: str = "fast"
    device: str | None = None
    limit: int | None = None
    longest: int = 0
    memory_mib: int | None = None
