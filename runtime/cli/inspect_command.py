"""inspect: what is in a checkpoint."""

from __future__ import annotations

import click

from .errors import refusals
from .numbers import Integer
from .options import json_option
from .output import say
from .programs import load_model


@click.command("inspect")
@click.argument("model")
@json_option
@click.option("--heads", is_flag=True, help="Every head of every layer.")
@click.option("--neurons", is_flag=True, help="Every neuron of every layer.")
@click.option("--slots", is_flag=True, help="What each residual slot holds, layer by layer.")
@click.option("--vocabulary", is_flag=True, help="Every token.")
@click.option("--certificate", is_flag=True, help="For how many tokens each head is exact under real softmax, and why.")
@click.option("--steps", is_flag=True, help="The step program, with the WASM instructions.")
@click.option("--weights", is_flag=True, help="With --heads or --neurons: as formulas over named slots.")
@click.option("--layer", "layers", type=Integer(0), multiple=True, metavar="N", help="Only these. Repeatable.")
def inspect_command(model: str, as_json: bool, layers: tuple[int, ...], weights: bool, **parts: bool) -> int:
    """Shows what is in a checkpoint, all of it by name. Without a choice of parts: an overview."""
    with refusals():
        from .inspect import show, to_json

        loaded = load_model(model)
        count = len(loaded.transformer.layers)
        if any(layer >= count for layer in layers):
            raise click.UsageError(f"{model} has layers 0 to {count - 1}")
        if as_json:
            say(to_json(loaded))
        else:
            show(loaded, model, {name for name, chosen in parts.items() if chosen}, layers or range(count), weights)
    return 0
