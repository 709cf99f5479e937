"""One item, in the process that works on it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import sources


@dataclass(frozen=True)
class Failed:
    """An item that has no result. why: a traceback, or a line. died: that it takes its process with it."""

    why: str
    died: bool = False


@dataclass(frozen=True)
class OtherSources:
    """The worker is not of this version of the project, and has not touched the item."""


def perform(task: str, item: Any, wanted: str) -> Any:
    """task: "module:function" of one argument. wanted: `sources.digest()` of who asks, "" where that is this machine."""
    if wanted and not sources.same_as(wanted):
        return OtherSources()
    module, _, name = task.partition(":")
    try:
        return getattr(import_module(module), name)(item)
    except Exception:
        return Failed(traceback.format_exc())
