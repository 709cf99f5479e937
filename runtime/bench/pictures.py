"""The figures of a benchmark as a picture. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

Row = dict[str, Any]
Panel = Callable[[Axes, list[Row]], None]
NAME = 30  # characters of a name that are shown
OTHERS = {"fast": "tab:blue", "wasm3": "tab:orange", "wasmtime": "tab:green", "pywasm": "tab:gray"}


def plot_bench(found: dict[str, Any]) -> Figure | None:
    """Speed by program beside others, tokens per instruction, time per token by the trace's length: what there is of it."""
    decoded = [r for r in found["decode"] if r.get("tokens_per_instruction")]
    others = [r for r in found["others"] if r["instructions"] and r["fast_seconds"]]
    scaling = [r for r in found["scaling"] if "refused" not in r]
    panels: list[tuple[Panel, list[Row]]] = [(_speed, others), (_tokens, decoded), (_lengths, scaling)]
    panels = [(draw, rows) for draw, rows in panels if rows]
    if not panels:
        return None
    heights = [3.0 if draw is _lengths else 1.4 + 0.3 * len(_names(rows)) for draw, rows in panels]
    figure = Figure(figsize=(10, sum(heights) + 0.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(panels), 1, height_ratios=heights))
    for place, (draw, rows) in zip(axes, panels, strict=True):
        draw(place, rows)
    return figure


def _names(rows: list[Row]) -> list[str]:
    names = (f"{r['program']} {r['invocation']}" if "program" in r else "" for r in rows)
    return [n if len(n) <= NAME else f"{n[: NAME - 1]}…" for n in dict.fromkeys(names)]


def _bars(axes: Axes, rows: list[Row], series: dict[str, tuple[str, list[float | None]]]) -> None:
    """series: label -> colour, and a number for each row or None."""
    height = 0.8 / len(series)
    for number, (label, (colour, values)) in enumerate(series.items()):
        at = [k + (number - (len(series) - 1) / 2) * height for k, v in enumerate(values) if v]
        axes.barh(at, [v for v in values if v], height, label=label, color=colour)
    axes.set_yticks(range(len(rows)), _names(rows), fontsize=7)
    axes.invert_yaxis()
    axes.legend(fontsize=7)


def _speed(axes: Axes, rows: list[Row]) -> None:
    shown = {name: [r[f"{name}_seconds"] for r in rows] for name in OTHERS}
    series: dict[str, tuple[str, list[float | None]]] = {
        name: (OTHERS[name], [r["instructions"] / s if s else None for r, s in zip(rows, seconds, strict=True)])
        for name, seconds in shown.items()
        if any(seconds)
    }
    _bars(axes, rows, series)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set(title="speed of the call", xlabel="WASM instructions per second of processor time")


def _tokens(axes: Axes, rows: list[Row]) -> None:
    by_level: dict[str, dict[tuple[str, str], float]] = {}
    for r in rows:
        by_level.setdefault(f"-O{r['level']}", {})[r["program"], r["invocation"]] = r["tokens_per_instruction"]
    keys = list(dict.fromkeys(key for values in by_level.values() for key in values))
    shown = [{"program": program, "invocation": invocation} for program, invocation in keys]
    colours = ("tab:blue", "tab:cyan", "tab:purple")
    _bars(axes, shown, {
        level: (colour, [values.get(key) for key in keys])
        for colour, (level, values) in zip(colours, sorted(by_level.items(), reverse=True), strict=False)
    })  # fmt: skip
    axes.set(title="tokens per WASM instruction", xlabel="tokens per instruction")


def _lengths(axes: Axes, rows: list[Row]) -> None:
    axes.plot([r["tokens"] for r in rows], [r["nanoseconds_per_token"] for r in rows], "o-", color=OTHERS["fast"])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_ylim(bottom=0)
    axes.set(title="one growing trace", xlabel="tokens", ylabel="ns per token")
