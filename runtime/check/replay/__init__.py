"""Replay: whether the model's matrices choose every token of a finished trace, with hard attention or with real softmax."""

from ...errors import ReplayError
from .mismatch import Mismatch
from .replay import ATTENTION, Reading, replay

__all__ = ["ATTENTION", "Mismatch", "Reading", "ReplayError", "replay"]
