"""Where a campaign's items are worked on, as options of a command."""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser, processes: int) -> None:
    """`distributed` and `jobs` of `campaign`. processes: how many unless it is said."""
    parser.add_argument("--distributed", default="", metavar="WHERE",
                        help="a Dask scheduler, tcp://host:8786, or local:N for N workers here")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=processes, help="processes here, where it is not distributed (%(default)s)")
