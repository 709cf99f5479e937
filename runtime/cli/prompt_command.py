"""prompt: what the host says to the model, as tokens, for whoever runs it with other software."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .errors import refusals
from .host_options import Host, hosted
from .limits import limited
from .options import Call, Invoking, compiling_options, json_option
from .output import complain, say, to_json
from .programs import model_and_calls, parse_calls

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.format.isa import Entry
    from ..prompts import Prompts

Titled = tuple[str, list[Any], "Entry", list[int]]  # name, arguments, entry, arguments as bit patterns


@click.command("prompt", cls=Invoking)
@click.argument("model")
@json_option
@click.option("--names", "form", flag_value="names", help="Only the tokens' names: what a tokenizer takes.")
@click.option("--ids", "form", flag_value="ids", help="Only the tokens' ids, with commas.")
@click.option("--prefix", "whole", is_flag=True, help="With the prefix that every sequence of the model begins with.")
@hosted
@compiling_options
@limited
@click.pass_obj
def prompt_command(
    argv: list[str] | None, model: str, as_json: bool, form: str | None, whole: bool, host: Host, calls: list[Call],
    **compiling: Any,
) -> int:  # fmt: skip
    """Prints the prompt of each call: the tokens that a person gives to MODEL, and that it continues.

    Of several calls each prompt goes behind what the model decoded for the one before it, up to a halt or trap. A tokenizer of a
    folder puts the prefix in front itself; ids are given to a model with --prefix.
    """
    if as_json and form:
        raise click.UsageError(f"--json has names and ids; it goes without --{form}")
    with refusals():
        from ..prompts import Prompts

        loaded, calls = model_and_calls(model, calls, **compiling)
        prompts = Prompts(loaded, host.world(model, argv))
        parsed = parse_calls(loaded, calls)
        prefix = loaded.transformer.prefix if whole else np.zeros(0, np.int32)
        for name, arguments, entry, values in list(_all_calls(loaded, prompts, host, parsed)):
            ids = np.concatenate([prefix, prompts.tokens(entry, values)])
            say(_shown(loaded, name, arguments, ids, as_json, form))
            prefix = prefix[:0]
        if not (whole or as_json or form):
            complain(f"behind the prefix, {len(loaded.transformer.prefix):,} tokens (--prefix shows them too)")
    return 0


def _all_calls(model: Model, prompts: Prompts, host: Host, calls: list[Any]) -> Iterator[Titled]:
    """Of the start function, of what --write puts into memory, of the calls."""
    from ..errors import ArgumentError
    from ..host import writes

    if model.program.start is not None:
        yield "start function", [], model.program.start, []
    for address, data in host.data():
        if "i32.load" not in model.program.host:
            raise ArgumentError("the program does not export a memory that it uses")
        for op, values in writes(address, data):
            yield op, list(values), model.program.host[op], list(values)
    for name, _, arguments in calls:
        yield name, arguments, *prompts.values(name, arguments)


def _shown(model: Model, name: str, arguments: list[Any], ids: np.ndarray, as_json: bool, form: str | None) -> str:
    names = [model.transformer.vocabulary[token] for token in ids]
    if as_json:
        return to_json({"call": name, "arguments": arguments, "names": names, "ids": ids.tolist()})
    shown = {"names": " ".join(names), "ids": ", ".join(map(str, ids))}
    if form:
        return shown[form]
    return f"{name}({', '.join(map(str, arguments))})\n  names  {shown['names']}\n  ids    {shown['ids']}"
