"""verify's replay: its options, and the margins that it shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ...compiler.format.transformer import Transformer
    from ..check.replay.margins import HeadMargin, Margins

_Command = TypeVar("_Command", bound=Callable[..., Any])


def replay_options(command: _Command) -> Callable[..., Any]:
    """--replay and how it goes, as `replay`: ReplayOptions or None. Stands around `engine_options`, with which it shares
    --device."""

    @click.option("--replay", is_flag=True, help="Also check every token against the dense matrices, in blocks.")
    @click.option("--attention", type=click.Choice(["hard", "softmax"]),
                  help="How --replay attends: as the limit of ever harder softmax, or as it is.  [default: hard]")  # fmt: skip
    @click.option("--margins", is_flag=True, help="Show how far decisions were from a tie (--replay --attention softmax).")
    @wraps(command)
    def with_replay(*args: Any, replay: bool, attention: str | None, margins: bool, **options: Any) -> Any:
        from ..check.verify import ReplayOptions

        chosen, of_engine = options["device"], options["engine"] in ("torch", "hf")
        device = None if of_engine else chosen
        options["device"] = chosen if of_engine else None
        if not replay and (attention or margins or device):
            raise click.UsageError("--attention, --margins and --device say how to replay: add --replay")
        attention = attention or ("softmax" if margins or device else "hard")
        if attention == "hard" and (margins or device):
            raise click.UsageError("--margins and --device need --attention softmax")
        how = ReplayOptions(attention, chosen or "cpu", margins) if replay else None
        return command(*args, replay=how, **options)

    return with_replay


def margins_text(margins: Margins, model: Transformer) -> str:
    """A line for each head, and one for the logits."""
    titles = ("layer", "head", "least margin", "at position", "certificate", "")
    rows = [_row(head) for head in margins.heads]
    if margins.logits is not None:
        best, second = (model.vocabulary[i] for i in (margins.logits.best, margins.logits.second))
        title, least, rounding = f"logits: {best} before {second}", margins.logits.least, margins.logits.rounding
        told = f"rounding moves it by less than {rounding:.1e}" if least else "BROKEN: a tie"
        rows.append(("", title, _number(least), f"{margins.logits.position:,}", "", told))
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    aligned = (str.rjust, str.ljust, str.rjust, str.rjust, str.rjust, str.ljust)
    lines = [[align(cell, w) for align, cell, w in zip(aligned, row, widths)] for row in (titles, *rows)]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def margins_json(margins: Margins, model: Transformer) -> dict[str, Any]:
    """The same as plain values; null where there never was another value, or where the certificate says nothing."""
    heads = [
        asdict(head) | {"kept": head.kept} | ({"least": None, "position": None} if math.isinf(head.least) else {})
        for head in margins.heads
    ]
    logits = None
    if margins.logits is not None:
        names = {key: model.vocabulary[getattr(margins.logits, key)] for key in ("best", "second")}
        logits = asdict(margins.logits) | names
    return {"kept": margins.kept, "heads": heads, "logits": logits}


def _row(head: HeadMargin) -> tuple[str, ...]:
    name = head.head if len(head.head) <= 40 else f"{head.head[:37]}..."
    promised = "" if head.promised is None else _number(head.promised)
    if math.isinf(head.least):  # all that it could find had one value
        return str(head.layer), name, "none", "", promised, ""
    return str(head.layer), name, _number(head.least), f"{head.position:,}", promised, "" if head.kept else "BROKEN"


def _number(x: float) -> str:
    return f"{x:,.0f}" if x >= 1000 else f"{x:.6g}"
