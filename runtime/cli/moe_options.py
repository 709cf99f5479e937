"""Options of the tools for mixtures of experts, by the name of the argument that each becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .numbers import Integer

model_option_names = ("prompts", "categories", "count", "seed", "max_tokens")


def _several(name: str, flag: str, **more: Any) -> Callable[[Any], Any]:
    """Repeatable; the tool's own default where it is not given."""
    return click.option(flag, name, multiple=True, callback=lambda _c, _p, value: list(value) or None, **more)


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "prompts": click.option("--prompts", metavar="FILE", help="A prompt on each line; what stands before a tab is its category."),
    "categories": click.option("--category", "categories", multiple=True, metavar="NAME",
                               help="Built-in prompts of this category only. Repeatable."),
    "count": click.option("--count", type=Integer(1), default=30, show_default=True, help="Built-in prompts of each category."),
    "seed": click.option("--seed", type=Integer(0), default=0, show_default=True, help="Of the built-in prompts."),
    "max_tokens": click.option("--max-tokens", type=Integer(1), default=300, show_default=True, metavar="N",
                               help="Of a call no more than N are looked at."),
    "device": click.option("--device", metavar="DEVICE", help="Where the model runs: cpu, cuda.  [default: cpu]"),
    "layers": _several("layers", "--layer", type=Integer(0), metavar="N", help="This layer only. Repeatable."),
    "layer": click.option("--layer", type=Integer(0), metavar="N", help="[default: the last one with experts]"),
    "experts": _several("experts", "--expert", metavar="EXPERT",
                        help="This expert: its number, or an operation. Repeatable; all if not given."),
    "expert": click.option("--expert", required=True, metavar="EXPERT", help="Its number, or an operation of the program."),
    "first_only": click.option("--first-only", is_flag=True, help="Count first choices only."),
    "token": click.option("--token", metavar="TEXT",
                          help="A token's text, or its name.  [default: 127; of calls the most frequent]"),
    "vocabulary": click.option("--vocabulary", type=Integer(1), default=2000, show_default=True, metavar="N",
                               help="So many tokens are read by themselves."),
    "pattern": click.option("--pattern", metavar="NAME", help="This one only: SEQUENCE_START, AFTER_NUMBER, AFTER_WORD, ..."),
    "ks": _several("ks", "--k", type=Integer(1), metavar="K", help="Repeatable.  [default: 1, 2, 4, 8]"),
    "benchmark": click.option("--benchmark", type=Integer(0), default=40, show_default=True, metavar="N",
                              help="Let a language model do N products and sums."),
    "reroute": click.option("--reroute", is_flag=True, help="Choose among the other experts, instead of adding nothing."),
    "together": click.option("--together", is_flag=True, help="These experts at once, instead of each in turn."),
}  # fmt: skip
