"""run: decodes, and prints the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .errors import refusals
from .host_options import Host, hosted
from .instances import InstanceTarget, new_instance
from .limits import limited
from .numbers import address
from .options import (
    Call,
    EngineChoice,
    Invoking,
    compiling_options,
    engine_options,
    exports_option,
    max_tokens_option,
)
from .output import dump, say
from .programs import model_and_script, parse_calls
from .progress import progress_of

if TYPE_CHECKING:
    from ..results import Run


@click.command("run", cls=Invoking)
@click.argument("model")
@engine_options
@hosted
@compiling_options
@max_tokens_option
@limited
@click.option("--script", metavar="FILE", help="Make the calls that stand in FILE (- for stdin), see docs/scripts.md.")
@exports_option
@click.option("--read", "reads", multiple=True, metavar="ADDRESS:LENGTH",
              help="Show bytes of the program's exported memory after the calls. Repeatable.")  # fmt: skip
@click.pass_obj
def run_command(
    argv: list[str] | None, model: str, engine: EngineChoice, host: Host, max_tokens: int | None, reads: tuple[str, ...],
    script: str | None, exports: tuple[str, ...], calls: list[Call], **compiling: Any,
) -> int:  # fmt: skip
    """Runs MODEL, or compiles and runs a program, by decoding; prints the results, one a line.

    Without --invoke it calls `_start`, the main function of a WASI program.
    """
    with refusals():
        ranges = [_range(text) for text in reads]
        loaded, calls, made = model_and_script(model, calls, script, exports, engine.wants_stock, **compiling)
        if ranges and "i32.load" not in loaded.program.host:
            raise click.UsageError("--read: the program does not export a memory that it uses")
        vm = new_instance(loaded, engine, host, model, argv, max_tokens)
        parsed = parse_calls(loaded, calls)
        try:
            if made is not None:
                code = made.run(InstanceTarget(vm, max_tokens))
                if code is not None:
                    return code
            for name, types, values in parsed:
                with progress_of(name) as progress:
                    run = vm.invoke(name, *values, max_tokens=max_tokens, progress=progress.tokens, output=progress.output)
                if run.exit_code is not None:
                    return run.exit_code
                _print_results(types, run)
        finally:
            if host.folders and not vm.broken:  # also what was written before a trap
                host.store(vm.world.folders, vm.read_folders())
        for start, length in ranges:
            say(dump(vm.read_memory(start, length), start))
    return 0


def _range(text: str) -> tuple[int, int]:
    """ADDRESS:LENGTH"""
    start, separator, length = text.partition(":")
    if not separator:
        raise click.UsageError(f"--read {text}: ADDRESS:LENGTH expected")
    return address(start, f"--read {text}"), address(length, f"--read {text}")


def _print_results(types: Sequence[str], run: Run) -> None:
    from .values import format_value

    for type_, value in zip(types, run.values, strict=True):
        say(format_value(type_, value))
