"""How a command ends: errors as lines on stderr, and the exit codes."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ...compiler.format.files import words
from ...compiler.format.printable import printable
from .output import OutputError, complain
from .signals import Terminated, heard
from .streams import discard

FAILED, REFUSED, TRAPPED, BUG, INTERRUPTED, TERMINATED = 1, 2, 3, 70, 130, 143
DEBUG = "WASM2XFORMER_DEBUG"


def refuse(*errors: object) -> int:
    """A line for each: names that they tell cannot make it two."""
    for error in errors:
        complain(f"error: {printable(str(error))}")
    return REFUSED


def _refuse_program(reasons: Sequence[object]) -> int:
    """A syntax error shows its place in further lines."""
    for reason in reasons:
        complain(f"error: {reason}")
    return REFUSED


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that the library raises for its user's input, as lines on stderr and an exit code."""
    from ...compiler.format.checkpoint import CheckpointError
    from ...compiler.format.errors import CompileError, EnvelopeError
    from ..errors import (
        ArgumentError,
        DecodingError,
        DivergenceError,
        MissingPackage,
        OracleError,
        ReplayError,
        Trap,
        Unfinished,
    )

    try:
        with _warnings():
            yield
    except CompileError as error:
        raise click.exceptions.Exit(_refuse_program(error.reasons)) from None
    except (
        CheckpointError, ArgumentError, MissingPackage, OracleError, ReplayError, EnvelopeError, NotImplementedError
    ) as error:  # fmt: skip
        raise click.exceptions.Exit(refuse(error)) from None
    except (Unfinished, DecodingError, DivergenceError) as error:
        complain(f"error: {error}")
        raise click.exceptions.Exit(FAILED) from None
    except Trap as trap:
        complain(f"trap: {trap}")
        raise click.exceptions.Exit(TRAPPED) from None


@contextmanager
def _warnings() -> Iterator[None]:
    """What the library warns of is a line on stderr, too."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if category.__module__.startswith(__name__.partition(".")[0]):
                complain(f"warning: {message}")
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


def exit_code(command: Callable[[], int | None]) -> int:
    """Runs a command. Whatever it raises becomes a line and a code; nothing ends in a traceback."""
    return _ended(command) or _ended(sys.stdout.flush)


def _ended(command: Callable[[], int | None]) -> int:
    try:
        return command() or 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        complain(error.format_message())
        return REFUSED
    except click.UsageError as error:
        name = error.ctx.command_path if error.ctx else "wasm2xformer"
        return refuse(f"{error.format_message()}{_hint(error)} (see {name} --help)")
    except OutputError as error:
        discard(sys.stdout)
        return refuse(error.format_message())
    except click.ClickException as error:
        return refuse(error.format_message())
    except Terminated:
        heard()
        complain("terminated")
        return TERMINATED
    except (KeyboardInterrupt, click.Abort):
        heard()
        complain("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click makes it a SystemExit
        discard(sys.stdout)  # who reads has gone
        return 0
    except OSError as error:
        if error.filename is None:
            discard(sys.stdout)
        return refuse(f"{error.filename or 'standard output'}: {words(error)}")
    except MemoryError:
        return refuse("out of memory")
    except RecursionError:
        return refuse("nested too deep for this Python's stack")
    except Exception as error:
        return _bug(error)


def _hint(error: click.UsageError) -> str:
    """What was probably meant by an argument too many."""
    if not error.format_message().startswith("Got unexpected extra argument") or error.ctx is None:
        return ""
    compiling = error.ctx.info_name == "compile"
    return "; the checkpoint's name goes behind -o" if compiling else "; a call is --invoke NAME ARG..."


def _bug(error: Exception) -> int:
    """The last resort, for what nobody foresaw."""
    if os.environ.get(DEBUG):
        complain(traceback.format_exc())
    words = " ".join(str(error).split())[:200]
    complain(
        f"error: {type(error).__name__}: {words}: this is a bug of wasm2xformer. Please report it, with the command, its "
        f"input, and what it prints with {DEBUG}=1 in the environment"
    )
    return BUG
