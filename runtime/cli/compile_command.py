"""compile: a program becomes a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .errors import refusals, refuse
from .options import compiling_options, exports_option
from .programs import compile_model, load_source
from .progress import working


@click.command("compile")
@click.argument("prog")
@click.option("-o", "output", required=True, metavar="MODEL", help="The checkpoint to write (.safetensors).")
@compiling_options
@exports_option
@click.pass_obj
def compile_command(
    program_arguments: list[str] | None, prog: str, output: str, exports: tuple[str, ...], **compiling: Any
) -> int:
    """Compiles PROG (.wat, .wasm or .c) into a checkpoint. `wasm2xformer PROG -o MODEL` is short for it."""
    if program_arguments:
        raise click.UsageError("arguments behind -- are for a program that runs")
    folder = Path(output).absolute().parent
    if not folder.is_dir():
        return refuse(f"{folder}: no such folder")
    if Path(output).is_dir():
        return refuse(f"-o {output}: a folder, not a file")
    with refusals():
        with working(f"compiling {prog}"):
            model = compile_model(load_source(prog), exports, **compiling)
            model.save(output)
        t = model.transformer
        heads, neurons = sum(len(y.head_names) for y in t.layers), sum(len(y.neuron_names) for y in t.layers)
        size = Path(output).stat().st_size / 2**20
        click.echo(
            f"{output}: {_counted(len(model.program.functions), 'function')}, {len(model.program.steps):,} steps; "
            f"{len(t.layers)} layers, {heads} heads, {neurons} neurons, width {t.width}, "
            f"vocabulary {len(t.vocabulary):,}; {size:.1f} MiB"
        )
    return 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
