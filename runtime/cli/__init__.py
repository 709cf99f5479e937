"""The command line: `commands.main`."""

from .commands import main

__all__ = ["main"]
