"""decode: tokens back into results, output and a trace. Nothing is run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from .errors import refusals
from .numbers import Integer
from .options import json_option
from .output import say, write_output
from .programs import load_model
from .streams import standard_input

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ..calls import ReadCall

# What stands between tokens when a list of Python, JSON or a shell is pasted.
_BETWEEN = re.compile(r"[\s,;()\[\]{}'\"]+")


@click.command("decode")
@click.argument("model")
@click.argument("tokens", nargs=-1)
@click.option("--trace", is_flag=True, help="With the executed steps.")
@click.option("--limit", type=Integer(0), metavar="N", help="With --trace: only the first N steps of each call.")
@json_option
def decode_command(
    model: str, tokens: tuple[str, ...], trace: bool, limit: int | None, as_json: bool
) -> int:  # fmt: skip
    """Says what TOKENS are: names or ids, prompts and what MODEL decoded behind them; or a file with them; - for stdin.

    The prefix may stand in front. What is wrong as a run of the program is told, but nothing is computed: `verify` does that.
    """
    if limit is not None and not trace:
        raise click.UsageError("--limit is for --trace")
    with refusals():
        from ..calls import fault_of, read_calls, token_ids

        loaded = load_model(model)
        for call in read_calls(loaded, token_ids(loaded, list(_words(loaded, tokens)))):
            _show(loaded, call, trace, limit, as_json)
            if fault := fault_of(call):
                raise fault
    return 0


def _show(model: Model, call: ReadCall, trace: bool, limit: int | None, as_json: bool) -> None:
    from .listing import ending, json_ending, json_lines, text_lines, title

    if trace:
        for line in (json_lines if as_json else text_lines)(model, call, limit):
            say(line)
    elif as_json:
        say(json_ending(call))
    else:
        write_output("stdout", call.trace.stdout)
        write_output("stderr", call.trace.stderr)
        say(f"{title(call)} {ending(call)}")


def _words(model: Model, arguments: Sequence[str]) -> Iterator[str]:
    """The tokens, whether they stand in arguments, files or on standard input."""
    known = set(model.transformer.vocabulary)
    for argument in arguments or ("-",):
        words = [word for word in _BETWEEN.split(argument) if word]
        is_file = argument == "-" or (not all(w in known or w.isdigit() for w in words) and os.path.isfile(argument))
        yield from (word for word in _BETWEEN.split(_content(argument)) if word) if is_file else words


def _content(name: str) -> str:
    from ...compiler.format.files import read_file, read_stream

    if name != "-":
        return read_file(name).decode(errors="replace")
    stream = standard_input()
    if stream is None:
        raise click.UsageError("standard input is closed; TOKENS can be arguments or a file")
    return read_stream(getattr(stream, "read1", stream.read), "standard input").decode(errors="replace")
