"""debug: steps through a call in the terminal, forwards and backwards."""

from __future__ import annotations

import sys
from typing import Any

import click

from .errors import refusals
from .host_options import Host, hosted
from .limits import limited
from .options import Call, Invoking, compiling_options, max_tokens_option
from .stepping import decoded_calls


@click.command("debug", cls=Invoking)
@click.argument("model")
@hosted
@compiling_options
@max_tokens_option
@limited
@click.pass_obj
def debug_command(
    argv: list[str] | None, model: str, host: Host, max_tokens: int | None, calls: list[Call], **compiling: Any
) -> int:
    """Decodes the calls of MODEL (or of a program), then steps through the last one in the terminal.

    Forwards and backwards, with breakpoints, state, and where the heads looked for the current token. Needs the extra `debug`.
    """
    if not _on_a_terminal():
        raise click.UsageError("debug needs a terminal; `trace` lists the steps, and `explain` writes a page")
    with refusals():
        from ..errors import needing

        with needing("debug", "textual", extra="debug"):
            from .debugger import Debugger

        Debugger(*decoded_calls(model, argv, host, max_tokens, calls, compiling)).run()
    return 0


def _on_a_terminal() -> bool:
    """Whether there are keys to read and a screen to write to: of the process itself, that is where it is drawn."""
    return all(stream is not None and not stream.closed and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__))
