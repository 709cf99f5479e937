"""bench: speed and memory."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import FAILED, refusals
from .host_options import Host, hosted
from .limits import limit_options, watching
from .numbers import Integer
from .options import Call, Invoking, json_option, linking_options, max_tokens_option
from .output import complain, say, to_json
from .pictures import check_plot, plot_option, write_picture
from .programs import compile_options, default_calls, load_source
from .progress import working

if TYPE_CHECKING:
    from ..bench import BenchCase


@click.command("bench", cls=Invoking)
@click.argument("prog", required=False)
@click.option("--only", multiple=True, metavar="ID", help="Only this program of the collection. Repeatable.")
@click.option("-O", "levels", type=click.Choice(["0", "1"]), multiple=True, help="Repeatable; both if not given.")
@click.option("--engine", "engines", type=click.Choice(["fast", "torch", "hf"]), multiple=True,
              help="Repeatable; fast and, if it is installed, torch if not given.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="Where torch or hf runs: cpu, cuda, cuda:N.  [default: cpu]")
@click.option("--repeat", type=Integer(1), default=3, show_default=True, help="Medians of so many repetitions.")
@click.option("--longest", type=Integer(0), metavar="N", help="Tokens of the trace for scaling; 0 for none.")
@click.option("--others/--no-others", default=True, help="Measure wasm3, wasmtime and pywasm too.")
@click.option("--checks/--no-checks", default=False, help="Measure verify and its --replay beside the call, too.")
@click.option("--tokens-only", is_flag=True,
              help="Tokens per WASM instruction and nothing else: each program is compiled and run once, by fast.")  # fmt: skip
@hosted
@linking_options
@max_tokens_option
@limit_options
@json_option
@plot_option
@click.pass_obj
def bench_command(
    argv: list[str] | None, prog: str | None, only: tuple[str, ...], levels: tuple[str, ...], engines: tuple[str, ...],
    device: str | None, repeat: int, longest: int | None, others: bool, checks: bool, tokens_only: bool, host: Host,
    max_tokens: int | None, timeout: float | None, max_memory_mib: int | None, as_json: bool, plot: str | None, calls: list[Call],
    **compiling: Any,
) -> int:  # fmt: skip
    """Measures speed and memory, of PROG or of the collection in programs/, each figure in a process of its own.

    Tokens and WASM instructions per second, tokens per instruction, memory, compile time, time to the first token, time
    per token against the length of the trace; beside wasm3, wasmtime and pywasm on the same invocations: of each, one
    after the other and again, the processor time of the call.
    """
    from ..bench import BenchOptions, bench, failures
    from .bench_report import print_tables

    if tokens_only and (device or longest or checks or set(engines) - {"fast"}):
        without = "without --engine, --device, --longest, --checks"
        raise click.UsageError(f"--tokens-only measures no time, and only fast decodes: {without}")
    if plot is not None:
        check_plot(plot, [prog] if prog else [])
        draw = _drawing()
    with refusals(), watching(timeout, None):
        cases = _cases(prog, calls, host, argv, compiling) if prog else _collection(only, calls, host, argv, compiling)
        if longest is None:
            longest = 0 if prog or only else 10_000_000
        chosen = [int(level) for level in levels] or [0, 1]
        options = BenchOptions(
            chosen, engines or default_engines(), repeat, longest, others, max_tokens, device, max_memory_mib, tokens_only,
            checks,
        )
        with working("measuring") as status:
            found = bench(cases, options, status)
        if plot is not None:
            figure = draw(found)
            if figure is None:
                complain("nothing was measured that could be drawn")
                return FAILED
            write_picture(lambda: figure, plot)
        elif as_json:
            say(to_json(found))
        else:
            print_tables(found, tokens_only)
    return FAILED if failures(found) else 0


def _drawing() -> Any:
    from ..errors import needing

    with refusals(), needing("--plot", "matplotlib", extra="plot"):
        from ..bench.pictures import plot_bench

    return plot_bench


def _collection(
    only: tuple[str, ...], calls: list[Call], host: Host, argv: list[str] | None, compiling: dict[str, Any]
) -> list[BenchCase]:  # fmt: skip
    from ..bench import collection

    if calls or argv or host != Host(None, (), None, None, (), ()):
        raise click.UsageError("an invocation and what it finds are of one program: bench PROG --invoke NAME ARG...")
    try:
        cases = collection(only)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if not cases:
        raise click.UsageError("there is no programs/ here; name a program: bench PROG --invoke NAME ARG...")
    sources = [load_source(str(case.program)) for case in cases]
    return [
        replace(case, options=compile_options(source, [], opt_level="1", **compiling))
        for case, source in zip(cases, sources, strict=True)
    ]


def _cases(
    prog: str, calls: list[Call], host: Host, argv: list[str] | None, compiling: dict[str, Any]
) -> list[BenchCase]:  # fmt: skip
    from ..bench import BenchCase
    from .values import parse_arguments

    source = load_source(prog)
    calls = calls or default_calls(source.module)
    types = {e.name: source.module.functions[e.index].type for e in source.module.exports if e.kind == "func"}
    world, writes = host.world(prog, argv).fixed(), tuple(host.data())
    options, cases = compile_options(source, [], opt_level="1", **compiling), []
    for name, texts in calls:
        if name not in types:
            raise click.UsageError(f"no exported function {name!r}; there are: {', '.join(types) or 'none'}")
        values = parse_arguments(name, types[name].params, texts)
        cases.append(BenchCase(Path(prog).stem, Path(prog), name, tuple(values), world, writes, options))
    return cases


def default_engines() -> tuple[str, ...]:
    """All that are installed."""
    return ("fast", "torch") if find_spec("torch") else ("fast",)
