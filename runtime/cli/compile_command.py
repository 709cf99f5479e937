"""compile: a program becomes a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ...compiler.format.files import words
from ...compiler.format.output_file import check_output
from .errors import refusals, refuse
from .limits import limited
from .options import compiling_options, exports_option
from .output import say
from .programs import compile_model, load_source
from .progress import working
from .streams import decoded


@click.command("compile")
@click.argument("prog")
@click.option("-o", "output", required=True, metavar="MODEL", help="The checkpoint to write (.safetensors).")
@compiling_options
@exports_option
@limited
@click.pass_obj
def compile_command(
    program_arguments: list[str] | None, prog: str, output: str, exports: tuple[str, ...], **compiling: Any
) -> int:
    """Compiles PROG (.wat, .wasm or .c) into a checkpoint. `wasm2xformer PROG -o MODEL` is short for it."""
    if program_arguments:
        raise click.UsageError("arguments behind -- are for a program that runs")
    if problem := _no_output(output, [prog, *(pair.partition("=")[2] for pair in compiling["libraries"])]):
        return refuse(problem)
    with refusals():
        with working(f"compiling {prog}"):
            model = compile_model(load_source(prog), [*map(decoded, exports)], **compiling)
            model.save(output)
        t = model.transformer
        heads, neurons = sum(len(y.head_names) for y in t.layers), sum(len(y.neuron_names) for y in t.layers)
        size = Path(output).stat().st_size / 2**20
        say(
            f"{output}: {_counted(len(model.program.functions), 'function')}, {len(model.program.steps):,} steps; "
            f"{len(t.layers)} layers, {heads} heads, {neurons} neurons, width {t.width}, "
            f"vocabulary {len(t.vocabulary):,}; {size:.1f} MiB"
        )
    return 0


def _no_output(output: str, inputs: Sequence[str]) -> str:
    """Why a checkpoint cannot be written there, as far as that can be told before there is one; "" if it can."""
    try:
        check_output(output, inputs)
    except OSError as error:
        return f"-o {output}: {words(error)}"
    return ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
