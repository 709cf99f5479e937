"""The fast engine: a just-in-time compiler from a checkpoint to machine code."""

from .engine import FastEngine

__all__ = ["FastEngine"]
