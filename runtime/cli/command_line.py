"""The command line: compile, run, verify, trace, inspect, prompt, decode, explain, debug, chat, moe, circuits, bench.

One file for each command.

Exit codes: 0 done; 1 a check failed, or a limit was reached; 2 wrong use, or an input that is refused; 3 the program
trapped; 70 a bug of ours; 130 interrupted; 143 terminated. A program that calls proc_exit decides its code itself.
Results and the program's output go to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import click

from .errors import exit_code
from .streams import prepare_streams

# Each command is imported when it is asked for, and the rest of the package inside the commands: that is a good part of the time
# that a short run takes, and `--help` and wrong use answer at once.
COMMANDS = (
    "compile", "run", "verify", "trace", "info", "inspect", "prompt", "decode", "explain", "debug", "chat", "moe", "circuits",
    "bench",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (default: this process's) and returns its exit code. Never raises for what a user does."""
    prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, program = arguments, None
    if "--" in arguments:
        at = arguments.index("--")
        own, program = arguments[:at], arguments[at + 1 :]

    def run() -> int | None:
        _check_text(arguments)
        return cli.main(own, prog_name="wasm2xformer", standalone_mode=False, obj=program)

    return exit_code(run)


def _check_text(arguments: Sequence[str]) -> None:
    """No command line of the system has such arguments, but a caller of `main` may."""
    for argument in arguments:
        try:
            os.fsencode(argument).index(0)
        except UnicodeEncodeError:
            raise click.UsageError(f"the argument {argument!r} is no text") from None
        except ValueError:
            continue
        raise click.UsageError(f"the argument {argument!r} holds a zero byte")


class _Commands(Mapping[str, click.Command]):
    """By name."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        command: click.Command = getattr(import_module(f".{name}_command", __package__), f"{name}_command")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _DefaultCompile(click.Group):
    """`wasm2xformer PROG -o MODEL` is `wasm2xformer compile PROG -o MODEL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in ("--help", "--version") and args[0] not in self.commands:
            if re.fullmatch(r"\w+", args[0]) and not os.path.exists(args[0]):
                names = ", ".join(self.commands)
                raise click.UsageError(f"{args[0]} is neither a file nor a command; the commands are {names}", ctx)
            args = ["compile", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultCompile, commands=_Commands(), context_settings={"help_option_names": ["--help"]})
@click.version_option(package_name="wasm2xformer")
def cli() -> None:
    """Compiles WebAssembly into the weights of a transformer, and runs it by decoding tokens.

    \b
      wasm2xformer PROG -o MODEL                 compile PROG (.wat, .wasm, .c)
      wasm2xformer run MODEL --invoke fib 10     run it
      wasm2xformer verify PROG --invoke fib 10   check every step against wasmtime
    """
