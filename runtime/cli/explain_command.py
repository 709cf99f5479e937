"""explain: the page in which the transformer runs, as one HTML file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...compiler.format.files import read_file, words
from ...compiler.format.output_file import check_output, replace_file
from .errors import refusals, refuse
from .host_options import Host, hosted
from .limits import limited
from .numbers import Integer
from .options import Call, EngineChoice, Invoking, compiling_options, max_tokens_option
from .output import complain, say
from .programs import compile_model, default_calls, is_checkpoint, load_source, model_and_calls, parse_calls
from .progress import working

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.wasm.source import Source
    from ..results import Run

# Recorded tokens that a page is given, when nothing else is said.
RECORDED = 200_000
PRINTED = 40  # characters of a program's output that are told in the line about the page


@click.command("explain", cls=Invoking)
@click.argument("model")
@click.option("-o", "output", metavar="PAGE", required=True, help="The page to write (.html).")
@click.option("--recorded", type=Integer(0), default=RECORDED, metavar="N", show_default=True,
              help="Tokens of the runs that the page is given to compare with.")  # fmt: skip
@hosted
@compiling_options
@max_tokens_option
@limited
@click.pass_obj
def explain_command(
    argv: list[str] | None, model: str, output: str, recorded: int, host: Host, max_tokens: int | None,
    calls: list[Call], **compiling: Any,
) -> int:  # fmt: skip
    """Writes a page in which MODEL (or a program) runs: one HTML file with the weights, which decodes by itself.

    It shows every step with its state, and for every token where the heads looked and what the neurons computed.
    """
    if not output.lower().endswith((".html", ".htm")):
        return refuse(f"-o {output}: the name of a page ends in .html")
    try:
        check_output(output, [model, *(pair.partition("=")[2] for pair in compiling["libraries"])])
    except OSError as error:
        return refuse(f"-o {output}: {words(error)}")
    with refusals():
        from ..explain.bundle import page
        from ..explain.data import page_data
        from ..explain.recording import record, world_data
        from ..instance import Instance
        from .values import format_outcome

        data = host.data()
        loaded, source, texts, calls = _loaded(model, calls, **compiling)
        parsed = parse_calls(loaded, calls)
        world = host.world(model, argv).fixed()
        with working("decoding"):
            engine = EngineChoice(None, None).for_form(loaded.transformer.float32_reads)
            vm = Instance(loaded, engine, world=world, max_tokens=max_tokens)
            runs = record(
                vm,
                [(name, texts, values) for (name, texts), (_, _, values) in zip(calls, parsed, strict=True)],
                lambda name, run: format_outcome(loaded.program.entries[name].results, run),
                max_tokens,
                data,
            )
        title = ", ".join(f"{name}({', '.join(texts)})" for name, texts in calls)
        invoked = [word for pair in host.writes for word in ("--write", pair)]
        invoked += [word for name, texts in calls for word in ("--invoke", name, *texts)]
        shown = page_data(
            loaded, runs, title=title, command=shlex.join(["wasm2xformer", "explain", model, *invoked]),
            source=source, world=world_data(loaded, world), limit=recorded, texts=texts,
        )  # fmt: skip
        text = page(shown).encode()
        replace_file(output, lambda name: _write(name, text), lambda: text)
        left = f"; {shown['left_out']:,} recorded tokens left out (--recorded)" if shown["left_out"] else ""
        tokens = sum(len(r.run.prompt) + len(r.run.tokens) for r in runs)
        ended = ", ".join([runs[-1].results, *_printed(runs[-1].run)])
        say(f"{output}: {title} = {ended}, {tokens:,} tokens; {len(text) / 2**20:.2f} MiB{left}")
    return 0


def _printed(run: Run) -> list[str]:
    """What a program wrote to its output, in quotes and cut where it is long."""
    text = run.stdout.decode(errors="backslashreplace")
    shown = text if len(text) <= PRINTED else f"{text[:PRINTED]} …"
    return [f"printed {shown!r}"] if text else []


def _loaded(path: str, calls: list[Call], **compiling: Any) -> tuple[Model, Source | None, dict[str, str], list[Call]]:
    """The model, what it was compiled from where that is there, the C that the user gave (by file name), and the calls."""
    if is_checkpoint(path):
        loaded, calls = model_and_calls(path, calls, **compiling)
        return loaded, None, {}, calls
    from ...compiler.wasm.c import compile_c
    from ...compiler.wasm.source import load

    if path.endswith(".c") and os.path.isfile(path):
        source = load(compile_c(Path(path), complain, debug=True))
        texts = {Path(path).name: read_file(path).decode(errors="replace")}
    else:
        source, texts = load_source(path), {}
    calls = calls or default_calls(source.module)
    with working(f"compiling {path}"):
        return compile_model(source, [name for name, _ in calls], **compiling), source, texts, calls


def _write(name: str, text: bytes) -> None:
    with open(name, "wb") as file:
        file.write(text)
