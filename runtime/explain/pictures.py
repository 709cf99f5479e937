"""Pictures of traces and checkpoints as PNG, SVG or PDF. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from ...compiler.format.transformer import Layer, Transformer
from .heads import Looks
from .moments import Moments

NAME = 60  # characters of a name that are shown
LONGEST = 4000  # tokens up to which heads are drawn: reading them takes time in proportion to the square
ROLES = {
    "operand": "tab:green", "memory": "tab:orange", "fetch": "tab:blue", "call": "tab:pink", "entry": "tab:pink",
    "table": "tab:purple",
}  # fmt: skip


def plot_trace(moments: Moments, tokens: np.ndarray, first: int, title: str) -> Figure:
    """A call over its tokens: the step of the program, bytes of memory written, and where each head looked.

    tokens: the whole sequence, in which the call begins at position `first`.
    """
    heads, memory = len(tokens) <= LONGEST, bool(moments.written())
    figure = Figure(figsize=(11, 3 + 2.2 * memory + 3.5 * heads), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1 + memory + heads, 1, sharex=True))
    trace = moments.trace
    ends = trace.end + first
    panels[0].step(ends, trace.step, where="post", linewidth=0.9)
    panels[0].set(title=_short(title, 2 * NAME), ylabel="step of the program")
    if memory:
        _memory(panels[1], moments, first)
    if heads:
        _attention(panels[-1], moments.model.transformer, tokens, first)
    panels[-1].set_xlabel("position in the sequence")
    return figure


def _memory(axes: Axes, moments: Moments, first: int) -> None:
    assert moments.keys is not None
    trace, written = moments.trace, set(moments.written())
    positions = [
        p
        for number in np.flatnonzero(np.isin(trace.step, _stores(moments))).tolist()
        for p in range(int(trace.end[number] - trace.length[number]), int(trace.end[number]))
        if moments.keys[p] in written
    ]
    axes.plot(np.array(positions) + first + 1, moments.keys[positions], ".", markersize=2.5, color=ROLES["memory"])
    axes.set_ylabel("address written")


def _stores(moments: Moments) -> list[int]:
    return [i for i, step in enumerate(moments.program.steps) if step.operation.effect == "store"]


def _attention(axes: Axes, t: Transformer, tokens: np.ndarray, first: int) -> None:
    looks = Looks(t, tokens)
    found = [(p, look) for p in range(first, len(tokens)) for look in looks.at(p) if look.winner >= 0]
    for role, colour in {"other": "0.7", **ROLES}.items():
        points = [(p, look.winner) for p, look in found if _role(look.lookup) == role]
        if points:
            axes.plot(*zip(*points), ".", markersize=2, color=colour, label=role)
    axes.set_ylabel("position that weighs most")
    axes.legend(loc="upper left", ncols=4, fontsize="x-small", markerscale=4)


def _short(name: str, most: int = NAME) -> str:
    """A name from a file, cut where it is long: a picture has no room for more, and drawing it would take time and memory."""
    return name if len(name) <= most else f"{name[: most - 2]} …"


def _role(lookup: str) -> str:
    return next((role for role in ROLES if lookup.startswith(role)), "other")


def plot_layer(t: Transformer, index: int) -> Figure:
    """The matrices of a layer with names: rows of q, k and v by head, of gate and up by neuron; columns by residual slot."""
    y = t.layers[index]
    before = t.layers[max(index - 1, 0)].slot_names
    heads = [name.partition(" -> ")[0] for name in y.head_names]
    parts: list[tuple[str, np.ndarray, Sequence[str], Sequence[str]]] = []
    parts += [(name, getattr(y, name), heads, before) for name in ("q", "k", "v")] if heads else []
    parts += [("o, transposed", y.o.T, heads, y.slot_names)] if heads else []
    parts += (
        [(name, getattr(y, name), y.neuron_names, y.slot_names) for name in ("gate", "up")] if y.neuron_names else []
    )
    parts += [("down, transposed", y.down.T, y.neuron_names, y.slot_names)] if y.neuron_names else []
    heights = [max(1.2, 0.14 * np.count_nonzero(m.any(axis=1))) for _, m, _, _ in parts]
    figure = Figure(figsize=(14, 1 + 1.3 * len(parts) + sum(heights)), layout="constrained")
    figure.suptitle(f"layer {index}")
    panels = np.atleast_1d(figure.subplots(len(parts), 1, height_ratios=heights))
    for axes, (title, matrix, owners, slots) in zip(panels, parts, strict=True):
        _matrix(axes, title, matrix, owners, slots)
    return figure


def _matrix(axes: Axes, title: str, matrix: np.ndarray, owners: Sequence[str], slots: Sequence[str]) -> None:
    """Only rows and columns that are not 0. The colour says sign and size, on a logarithmic scale."""
    rows, columns = np.flatnonzero(matrix.any(axis=1)).tolist(), np.flatnonzero(matrix.any(axis=0)).tolist()
    shown = matrix[np.ix_(rows, columns)]
    width = max(1, len(matrix) // max(1, len(owners)))
    top = float(np.abs(shown).max(initial=1.0))
    axes.imshow(
        shown, aspect="auto", cmap="RdBu_r", norm=SymLogNorm(1e-2, vmin=-top, vmax=top), interpolation="nearest"
    )
    axes.set_title(title, loc="left", fontsize="small")
    names = [_short(owners[r // width]) for r in rows]
    axes.set_yticks(
        range(len(rows)), [f"{name} {r % width}" if width > 1 else name for name, r in zip(names, rows, strict=True)]
    )
    axes.set_xticks(range(len(columns)), [_short(slots[c]) or f"slot {c}" for c in columns], rotation=90)
    axes.tick_params(labelsize=5.5, length=1)


def plot_circuits(t: Transformer) -> Figure:
    """Which head or group of neurons reads what another one wrote: a column for each layer, attention above, the MLP below."""
    figure = Figure(figsize=(min(60, 2 + 1.6 * len(t.layers)), 7), layout="constrained")
    axes = figure.subplots()
    writers: dict[int, list[tuple[float, float]]] = {}
    for index, y in enumerate(t.layers):
        heads = [(n.partition(" -> ")[0], *_head_slots(t, y, h)) for h, n in enumerate(y.head_names)]
        _column(axes, writers, index, 1.0, heads)
        names = dict.fromkeys(n for n in y.neuron_names if not n.startswith("erase "))
        _column(axes, writers, index + 0.5, -1.0, [(n, *_neuron_slots(y, n)) for n in names])
        for f in (i for i, n in enumerate(y.neuron_names) if n.startswith("erase ")):
            for slot in np.flatnonzero(y.down[:, f]).tolist():
                writers.pop(slot, None)
    axes.set(xlabel="layer", xticks=range(len(t.layers)), yticks=[1, -1], yticklabels=["heads", "neurons"])
    axes.margins(0.03, 0.08)
    return figure


def _head_slots(t: Transformer, y: Layer, h: int) -> tuple[np.ndarray, np.ndarray]:
    own = slice(t.head_dim * h, t.head_dim * (h + 1))
    reads = y.q[own].any(axis=0) | y.k[own].any(axis=0) | y.v[own].any(axis=0)
    return np.flatnonzero(reads), np.flatnonzero(y.o[:, own].any(axis=1))


def _neuron_slots(y: Layer, name: str) -> tuple[np.ndarray, np.ndarray]:
    own = [f for f, n in enumerate(y.neuron_names) if n == name]
    return np.flatnonzero(y.gate[own].any(axis=0) | y.up[own].any(axis=0)), np.flatnonzero(y.down[:, own].any(axis=1))


def _column(
    axes: Axes, writers: dict[int, list[tuple[float, float]]], x: float, side: float,
    units: Sequence[tuple[str, np.ndarray, np.ndarray]],
) -> None:  # fmt: skip
    """Draws the units of one sublayer with lines from those whose slots they read, and notes what they write."""
    wrote: dict[int, list[tuple[float, float]]] = {}
    for k, (name, reads, writes) in enumerate(units):
        y = side * (1 + k)
        for slot in reads.tolist():
            for from_x, from_y in writers.get(slot, ()):
                axes.plot([from_x, x], [from_y, y], color="0.75", linewidth=0.4, zorder=1)
        colour = "#e8eefc" if side > 0 else "#fdf1e3"
        box = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "0.6", "linewidth": 0.4}
        axes.text(x, y, _short(name), fontsize=7, ha="center", va="center", zorder=2, bbox=box)
        axes.plot([x], [y], alpha=0)
        for slot in writes.tolist():
            wrote.setdefault(slot, []).append((x, y))
    for slot, points in wrote.items():
        writers[slot] = [*writers.get(slot, []), *points]


__all__ = ["plot_circuits", "plot_layer", "plot_trace"]
