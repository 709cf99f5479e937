"""trace: decodes, and lists the executed steps."""

from __future__ import annotations

from typing import Any

import click

from .errors import refusals
from .host_options import Host, hosted
from .instances import new_instance
from .limits import limited
from .numbers import Integer
from .options import Call, EngineChoice, Invoking, compiling_options, engine_options, json_option, max_tokens_option
from .output import say
from .pictures import check_plot, pictures, plot_option, write_picture
from .programs import model_and_calls, parse_calls
from .progress import progress_of
from .stepping import decoded_calls


@click.command("trace", cls=Invoking)
@click.argument("model")
@json_option
@click.option("--limit", type=Integer(0), metavar="N", help="Show only the first N steps of each call.")
@plot_option
@engine_options
@hosted
@compiling_options
@max_tokens_option
@limited
@click.pass_obj
def trace_command(
    argv: list[str] | None, model: str, as_json: bool, limit: int | None, plot: str | None, engine: EngineChoice,
    host: Host, max_tokens: int | None, calls: list[Call], **compiling: Any,
) -> int:  # fmt: skip
    """Runs MODEL (or a program) and shows the decoded trace, step by step, with the tokens of each.

    With --json one object a line: a line for each step, and one for the end of each call. With --plot a picture of the last call:
    the step of the program, the bytes written, and where the heads looked, over the tokens.
    """
    if plot is not None:
        check_plot(plot, [model])
        with refusals():
            draw = pictures()
            shown = decoded_calls(model, argv, host, max_tokens, calls, compiling)
            write_picture(lambda: draw.plot_trace(shown.moments, shown.tokens, shown.first, shown.title), plot)
        return 0
    with refusals():
        from ..calls import call_of
        from ..errors import Trap
        from .listing import json_lines, text_lines

        loaded, calls = model_and_calls(model, calls, engine.wants_stock, **compiling)
        vm = new_instance(loaded, engine, host, model, argv, max_tokens)
        for name, _, values in parse_calls(loaded, calls):
            trap = None
            try:
                with progress_of(name) as progress:
                    run = vm.invoke(name, *values, max_tokens=max_tokens, progress=progress.tokens)
            except Trap as trapped:
                trap, run = trapped, trapped.run
            lines = json_lines if as_json else text_lines
            for line in lines(loaded, call_of(loaded, name, values, run), limit):
                say(line)
            if trap:
                raise trap
            if run.exit_code is not None:
                return run.exit_code
    return 0
