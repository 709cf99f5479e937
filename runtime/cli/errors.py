"""What the library raises for its user's input, as lines on stderr and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

FAILED, REFUSED, TRAPPED, INTERRUPTED = 1, 2, 3, 130


def refuse(*lines: object) -> int:
    for line in lines:
        click.echo(f"error: {line}", err=True)
    return REFUSED


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that the library raises for its user's input, as lines on stderr and an exit code."""
    from ...compiler.format.checkpoint import CheckpointError
    from ...compiler.format.errors import CompileError, EnvelopeError
    from ..errors import ArgumentError, DecodingError, MissingPackage, OracleError, Trap, Unfinished

    try:
        yield
    except CompileError as error:
        raise click.exceptions.Exit(refuse(*error.reasons)) from None
    except (CheckpointError, ArgumentError, MissingPackage, OracleError, EnvelopeError, NotImplementedError) as error:
        raise click.exceptions.Exit(refuse(error)) from None
    except (Unfinished, DecodingError) as error:
        click.echo(f"error: {error}", err=True)
        raise click.exceptions.Exit(FAILED) from None
    except Trap as trap:
        click.echo(f"trap: {trap}", err=True)
        raise click.exceptions.Exit(TRAPPED) from None
