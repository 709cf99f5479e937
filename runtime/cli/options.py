"""Options that several commands have, and `--invoke`, which takes any number of arguments."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from ...compiler.format.limits import MEMORY_PAGES
from .numbers import Integer
from .streams import decoded

Call = tuple[str, list[str]]  # what to call, and its arguments as they were typed


class Invoking(click.Command):
    """Takes `--invoke NAME ARG...` out of the arguments, any number of times, before click sees them.

    An ARG ends at the next option; a minus sign before a number is none.
    """

    invoke_help = "Call this exported function. Repeatable: one instance, one call after the other."
    argv_help = "What follows are the program's own arguments (argv)."

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest, calls = [], []
        args = [part for a in args for part in (a.split("=", 1) if a.startswith("--invoke=") else (a,))]
        while args:
            argument = args.pop(0)
            if argument != "--invoke":
                rest.append(argument)
                continue
            if not args or args[0].startswith("--"):
                raise click.UsageError("--invoke needs the name of an exported function", ctx)
            call = [args.pop(0)]
            while args and not re.match(r"--|-O|-o$", args[0]):
                call.append(args.pop(0))
            calls.append((decoded(call[0]), call[1:]))
        left = super().parse_args(ctx, rest)
        ctx.params["calls"] = calls
        return left

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [("--invoke NAME ARG...", self.invoke_help)]
        options = (p for p in self.get_params(ctx) if isinstance(p, click.Option))
        rows += [record for p in options if (record := p.get_help_record(ctx))]
        if self.argv_help:
            rows.append(("-- ARG...", self.argv_help))
        with formatter.section("Options"):
            formatter.write_dl(rows)


_Command = TypeVar("_Command", bound=Callable[..., Any])


def compiling_options(command: _Command) -> _Command:
    """The options of `programs.compile_model`."""
    level = click.option(
        "-O", "opt_level", type=click.Choice(["0", "1"]), default="1", help="Optimisation level.", show_default=True
    )
    return level(linking_options(command))


def linking_options(command: _Command) -> _Command:
    """The same without the level."""
    library = click.option("--library", "libraries", multiple=True, metavar="NAME=FILE",
                           help="A module (.wat, .wasm, .c) that provides the imports from NAME. Repeatable.")  # fmt: skip
    memory = click.option("--max-memory", type=Integer(1, MEMORY_PAGES), metavar="PAGES",
                          help="How far memory may grow, in pages of 64 KiB.  [default: 65536]")  # fmt: skip
    unknown = click.option("--unknown-imports-trap", is_flag=True,
                           help="Compile although nobody provides an imported function; calling it traps.")  # fmt: skip
    alias = click.option("--import", "aliases", multiple=True, metavar="M.N=MODULE.NAME|SCRIPT",
                         help="The program's import N from M is what MODULE calls NAME; or as Emscripten's script "
                         "(.js) beside the program says. Repeatable.")  # fmt: skip
    floats = click.option("--float-routines/--float-steps", default=None,
                          help="Floats by routines (a smaller model) or by single steps (fewer tokens).  "
                          "[default: steps, where floats are not rare]")  # fmt: skip
    division = click.option("--division-routines/--division-steps", default=None,
                            help="The same for 64-bit divisions.")  # fmt: skip
    return library(alias(memory(unknown(floats(division(command))))))


exports_option = click.option(
    "--export", "exports", multiple=True, metavar="NAME", help="Compile only what this reaches. Repeatable."
)
_engine = click.option("--engine", type=click.Choice(["fast", "torch", "hf"]),
                       help="fast: compiled from the weights; torch: dense matrices, real softmax; "
                       "hf: the class of transformers.  [default: fast; torch for folders that fast refuses]")  # fmt: skip
_device = click.option("--device", metavar="DEVICE",
                       help="Where torch or hf runs, or real softmax (verify): cpu, cuda, cuda:N.  [default: cpu]")  # fmt: skip


_stock = click.option("--stock", is_flag=True,
                      help="Take the program in the form in which it stands in a folder (hf always does).")  # fmt: skip


@dataclass(frozen=True)
class EngineChoice:
    """The values of --engine and --device, None: not said; and of --stock."""

    name: str | None
    device: str | None
    stock: bool = False

    @property
    def wants_stock(self) -> bool:
        """What it reads is put into the stock form for it."""
        return self.stock or self.name == "hf"

    def for_form(self, stock: bool) -> str:
        """The engine that reads a checkpoint, in the stock form (a folder) or not, as `Instance` takes it. Raises UsageError."""
        stock_engine = "torch" if self.device is not None else "auto"
        name = self.name or (stock_engine if stock else "fast")
        if self.device is not None and name == "fast":
            raise click.UsageError("--device is for --engine torch or hf, not fast")
        return name


def engine_options(command: _Command) -> _Command:
    """Gives a command these options, as one argument `engine`."""

    @functools.wraps(command)
    def wrapped(*args: Any, engine: str | None, device: str | None, stock: bool, **options: Any) -> Any:
        return command(*args, engine=EngineChoice(engine, device, stock), **options)

    return _engine(_device(_stock(wrapped)))  # type: ignore[return-value]


json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
max_tokens_option = click.option("--max-tokens", type=Integer(1), metavar="N", help="Give up after N tokens.")
