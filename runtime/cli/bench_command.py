"""bench: speed and memory."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from .errors import FAILED, refusals
from .host_options import read_stdin, stdin_option
from .numbers import Integer
from .options import Call, Invoking, json_option
from .output import say, to_json
from .programs import default_calls, load_source
from .progress import working


@click.command("bench", cls=Invoking)
@click.argument("prog", required=False)
@click.option("--only", multiple=True, metavar="ID", help="Only this program of the collection. Repeatable.")
@click.option("-O", "levels", type=click.Choice(["0", "1"]), multiple=True, help="Repeatable; both if not given.")
@click.option("--engine", "engines", type=click.Choice(["fast", "torch"]), multiple=True,
              help="Repeatable; all that are installed if not given.")  # fmt: skip
@click.option("--repeat", type=Integer(1), default=3, show_default=True, help="Medians of so many repetitions.")
@click.option("--longest", type=Integer(0), metavar="N", help="Tokens of the trace for scaling; 0 for none.")
@click.option("--native/--no-native", default=True, help="Measure wasmtime and pywasm too.")
@stdin_option
@json_option
@click.pass_obj
def bench_command(
    argv: list[str] | None, prog: str | None, only: tuple[str, ...], levels: tuple[str, ...], engines: tuple[str, ...],
    repeat: int, longest: int | None, native: bool, stdin: str | None, as_json: bool,
    calls: list[Call],
) -> int:  # fmt: skip
    """Measures speed and memory, of PROG or of the collection in programs/, each figure in a process of its own.

    Tokens and WASM instructions per second, tokens per instruction, memory, compile time, time to the first token, time
    per token against the length of the trace; beside wasmtime and pywasm on the same invocations.
    """
    from ..bench import BenchCase, BenchOptions, bench, collection, failures
    from .bench_report import print_tables
    from .values import parse_arguments

    with refusals():
        if prog:
            source = load_source(prog)
            calls = calls or default_calls(source.module)
            types = {e.name: source.module.functions[e.index].type for e in source.module.exports if e.kind == "func"}
            data, cases = read_stdin(stdin), []
            for name, texts in calls:
                if name not in types:
                    raise click.UsageError(f"no exported function {name!r}; there are: {', '.join(types) or 'none'}")
                values = parse_arguments(name, types[name].params, texts)
                cases.append(BenchCase(Path(prog).stem, Path(prog), name, tuple(values), data, tuple(argv or ())))
        else:
            try:
                cases = collection(only)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            if not cases:
                raise click.UsageError("there is no programs/ here; name a program: bench PROG --invoke NAME ARG...")
        if longest is None:
            longest = 0 if prog or only else 10_000_000
        chosen = [int(level) for level in levels] or [0, 1]
        options = BenchOptions(chosen, engines or default_engines(), repeat, longest, native)
        with working("measuring") as status:
            found = bench(cases, options, status)
        if as_json:
            say(to_json(found))
        else:
            print_tables(found)
    return FAILED if failures(found) else 0


def default_engines() -> tuple[str, ...]:
    """All that are installed."""
    return ("fast", "torch") if find_spec("torch") else ("fast",)
