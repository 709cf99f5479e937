"""debug: steps through a call in the terminal, forwards and backwards."""

from __future__ import annotations

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
    with refusals():
        from ..errors import needing

        with needing("debug", "textual", "debug"):
            from .debugger import Debugger

        Debugger(*decoded_calls("debug", model, argv, host, max_tokens, calls, compiling)).run()
    return 0
