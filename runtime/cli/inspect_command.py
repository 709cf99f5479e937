"""inspect: what is in a checkpoint."""

from __future__ import annotations

import click

from .errors import refusals
from .numbers import Integer
from .options import json_option
from .output import say
from .pictures import check_plot, pictures, plot_option, write_picture
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
@plot_option
def inspect_command(
    model: str, as_json: bool, layers: tuple[int, ...], weights: bool, plot: str | None, **parts: bool
) -> int:
    """Shows what is in a checkpoint, all of it by name. Without a choice of parts: an overview.

    With --plot a picture: the graph of circuits, or, with --layer, the matrices of that layer with names.
    """
    if plot is not None:
        check_plot(plot, [model])
    with refusals():
        from .inspect import show, to_json

        loaded = load_model(model)
        count = len(loaded.transformer.layers)
        if any(layer >= count for layer in layers):
            raise click.UsageError(f"{model} has layers 0 to {count - 1}")
        if plot is not None:
            draw = pictures()
            if len(layers) > 1:
                raise click.UsageError("--plot shows the matrices of one layer")
            t = loaded.transformer
            write_picture(lambda: draw.plot_layer(t, layers[0]) if layers else draw.plot_circuits(t), plot)
        elif as_json:
            say(to_json(loaded))
        else:
            show(loaded, model, {name for name, chosen in parts.items() if chosen}, layers or range(count), weights)
    return 0
