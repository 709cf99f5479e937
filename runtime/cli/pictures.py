"""--plot: pictures as files."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ...compiler.format.files import words
from ...compiler.format.output_file import check_output, replace_file
from .output import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (".png", ".svg", ".pdf")
plot_option = click.option(
    "--plot", metavar="FILE", help="A picture instead (.png, .svg or .pdf). Needs the extra `plot`."
)


def check_plot(path: str, inputs: Sequence[str]) -> None:
    """Raises UsageError for a name that is no picture's, or that cannot be written."""
    if not path.lower().endswith(KINDS):
        raise click.UsageError(f"--plot {path}: the name of a picture ends in {', '.join(KINDS)}")
    try:
        check_output(path, inputs)
    except OSError as error:
        raise click.UsageError(f"--plot {path}: {words(error)}") from None


def pictures() -> Any:
    """The module that draws. Raises MissingPackage."""
    from ..errors import needing

    with needing("--plot", "matplotlib", extra="plot"):
        from ..explain import pictures

    return pictures


def write_picture(draw: Callable[[], Figure], path: str) -> None:
    """Names are shown as they are: none is a formula, whatever it holds."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "wasm2xformer", "text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font does not have, and of names that leave no room
        draw().savefig(buffer, format=os.path.splitext(path)[1][1:].lower(), dpi=150)
    data = buffer.getvalue()

    def write(name: str) -> None:
        with open(name, "wb") as file:
            file.write(data)

    replace_file(path, write, lambda: data)
    say(f"{path}: {len(data) / 2**10:,.0f} KiB")
