"""The command line: `main` runs one."""

from .command_line import main

__all__ = ["main"]
