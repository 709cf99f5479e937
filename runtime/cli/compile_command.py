"""compile: a program becomes a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...compiler.format.files import words
from ...compiler.format.output_file import check_output
from ...compiler.format.output_folder import check_output_folder
from .errors import refusals, refuse
from .limits import limited
from .numbers import Size
from .options import compiling_options, exports_option
from .output import say
from .programs import compile_model, compile_options, load_source
from .progress import working
from .streams import decoded

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model

_SLASHES = tuple(filter(None, (os.sep, os.altsep)))
SOURCES = (".wat", ".wasm", ".c")


@click.command("compile")
@click.argument("prog")
@click.option(
    "-o",
    "output",
    metavar="MODEL",
    help="The checkpoint to write: a .safetensors file; or a folder that "
    "Hugging Face classes load, when it ends in a slash or is there.",
)
@click.option("--max-size-gib", type=Size(), metavar="GIB", help="How large a folder may be.  [default: 2]")
@click.option(
    "--moe", is_flag=True, help="The folder as a mixture of experts (Qwen2Moe): the circuits of each operation are an expert."
)
@click.option(
    "--show",
    "wanted",
    metavar="PASS",
    help="Prints what a pass makes instead; the passes, in order: linked, "
    "lowered, then at -O0 zeroing, jumps; at -O1 jumps, dead-copies, fuse, coalesce, redundant-copies, "
    "dead-copies-2, jumps-2, tails, jumps-3, compact, inline, repeat, join; then program, assembly, graph, transformer.",
)
@compiling_options
@exports_option
@limited
@click.pass_obj
def compile_command(
    program_arguments: list[str] | None, prog: str, output: str | None, max_size_gib: float | None, moe: bool,
    wanted: str | None, exports: tuple[str, ...], **compiling: Any,
) -> int:  # fmt: skip
    """Compiles PROG (.wat, .wasm or .c) into a checkpoint. `wasm2xformer PROG -o MODEL` is short for it."""
    if program_arguments:
        raise click.UsageError("arguments behind -- are for a program that runs")
    if wanted is not None:
        return _show(prog, wanted, output, exports, **compiling)
    if output is None:
        raise click.UsageError("Missing option '-o': the checkpoint to write (or --show PASS).")
    folder = output.endswith(_SLASHES) or os.path.isdir(output)
    if max_size_gib is not None and not folder:
        raise click.UsageError("--max-size-gib is for a folder (-o FOLDER/)")
    if moe and not folder:
        raise click.UsageError("--moe is for a folder (-o FOLDER/)")
    if problem := _no_output(output, [prog, *(pair.partition("=")[2] for pair in compiling["libraries"])], folder):
        return refuse(problem)
    experts = ""
    with refusals():
        with working(f"compiling {prog}") as doing:
            model = compile_model(load_source(prog), [*map(decoded, exports)], folder and not moe, **compiling)
            doing(f"writing {output}")
            if moe:
                model, size, experts = _write_mixture(model, output, max_size_gib)
            elif folder:
                size = _write_folder(model, output, max_size_gib)
            else:
                model.save(output)
                size = Path(output).stat().st_size / 2**20
        say(f"{output}: {_described(model)}{experts}; {size:,.1f} MiB")
    return 0


def _write_folder(model: Model, output: str, max_size_gib: float | None) -> float:
    """The size of its tensors in MiB, which is known before there are any."""
    from ...compiler.huggingface.folder import MAX_GIB, folder_gib, write_folder

    write_folder(model, output, MAX_GIB if max_size_gib is None else max_size_gib)
    return 1024.0 * folder_gib(model)


def _write_mixture(model: Model, output: str, max_size_gib: float | None) -> tuple[Model, float, str]:
    """The model without its experts, the size of the tensors in MiB, and what to say of the experts."""
    from ...compiler.huggingface.folder import MAX_GIB
    from ...compiler.huggingface.mixture_folder import mixture_gib, write_mixture
    from ...compiler.mixture_form import mixture_form

    m = mixture_form(model)
    write_mixture(model, m, output, MAX_GIB if max_size_gib is None else max_size_gib)
    layers = sum(layer is not None for layer in m.layers)
    said = f", {len(m.experts)} experts of {m.own} neurons in {_counted(layers, 'layer')}"
    return replace(model, transformer=m.shared), 1024.0 * mixture_gib(m), said


def _described(model: Model) -> str:
    t = model.transformer
    heads, neurons = sum(len(y.head_names) for y in t.layers), sum(len(y.neuron_names) for y in t.layers)
    return (
        f"{_counted(len(model.program.functions), 'function')}, {len(model.program.steps):,} steps; "
        f"{len(t.layers)} layers, {heads} heads, {neurons} neurons, width {t.width}, vocabulary {len(t.vocabulary):,}"
    )


def _show(prog: str, wanted: str, output: str | None, exports: tuple[str, ...], **compiling: Any) -> int:
    """Prints what a pass makes."""
    from ...compiler.show_pass import pass_names, show_pass

    if output is not None:
        raise click.UsageError("--show prints what a pass makes; it goes without -o")
    names = pass_names(int(compiling["opt_level"]))
    if wanted not in names:
        raise click.UsageError(
            f"--show {wanted}: no such pass at -O{compiling['opt_level']}; there are: {', '.join(names)}"
        )
    with refusals():
        with working(f"compiling {prog}"):
            source = load_source(prog)
            text = show_pass(source, wanted, compile_options(source, exports, **compiling))
        say(text.rstrip("\n"))
    return 0


def _no_output(output: str, inputs: Sequence[str], folder: bool) -> str:
    """Why a checkpoint cannot be written there, as far as that can be told before there is one; "" if it can."""
    from ...compiler.huggingface.folder import FILES

    try:
        if folder:
            check_output_folder(output, FILES, inputs)
        else:
            check_output(output, inputs)
    except OSError as error:
        return f"-o {output}: {words(error)}"
    if output.lower().endswith(SOURCES):
        return f"-o {output}: the name of a source file; end it in .safetensors"
    return ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
