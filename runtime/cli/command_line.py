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
from collections.abc import Sequence

import click

from .bench_command import bench_command
from .chat_command import chat_command
from .circuits_command import circuits_command
from .compile_command import compile_command
from .debug_command import debug_command
from .decode_command import decode_command
from .errors import exit_code
from .explain_command import explain_command
from .info_command import info_command
from .inspect_command import inspect_command
from .moe_command import moe_command
from .prompt_command import prompt_command
from .run_command import run_command
from .streams import prepare_streams
from .trace_command import trace_command
from .verify_command import verify_command

# Everything else of the package is imported inside the commands: `--help` and wrong use answer at once.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (default: this process's) and returns its exit code. Never raises for what a user does."""
    prepare_streams()
    # Nothing here multiplies large matrices with numpy; starting threads for it is a tenth of the start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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


class _DefaultCompile(click.Group):
    """`wasm2xformer PROG -o MODEL` is `wasm2xformer compile PROG -o MODEL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in ("--help", "--version") and args[0] not in self.commands:
            if re.fullmatch(r"\w+", args[0]) and not os.path.exists(args[0]):
                names = ", ".join(self.commands)
                raise click.UsageError(f"{args[0]} is neither a file nor a command; the commands are {names}", ctx)
            args = ["compile", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultCompile, context_settings={"help_option_names": ["--help"]})
@click.version_option(package_name="wasm2xformer")
def cli() -> None:
    """Compiles WebAssembly into the weights of a transformer, and runs it by decoding tokens.

    \b
      wasm2xformer PROG -o MODEL                 compile PROG (.wat, .wasm, .c)
      wasm2xformer run MODEL --invoke fib 10     run it
      wasm2xformer verify PROG --invoke fib 10   check every step against wasmtime
    """


for command in (
    compile_command, run_command, verify_command, trace_command, info_command, inspect_command, prompt_command, decode_command,
    explain_command, debug_command, chat_command, moe_command, circuits_command, bench_command,
):  # fmt: skip
    cli.add_command(command)
