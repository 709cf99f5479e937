"""A table's grid as a picture. Needs matplotlib."""

from __future__ import annotations

from matplotlib.figure import Figure

from .result_table import Grid, ResultTable

NAME = 24  # characters of a name that are shown


def plot_table(table: ResultTable, grid: Grid) -> Figure:
    """A cell for each number, dark where it is small."""
    rows, columns = grid.values.shape
    figure = Figure(figsize=(3 + 0.3 * max(columns, 6), 1.5 + 0.22 * max(rows, 6)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid.values, aspect="auto", cmap="viridis")
    axes.set(title=table.title, ylabel=grid.down, xlabel=grid.across)
    axes.set_yticks(range(rows), [name[:NAME] for name in grid.rows], fontsize=7)
    axes.set_xticks(range(columns), [name[:NAME] for name in grid.columns], fontsize=7, rotation=60, ha="right")
    figure.colorbar(image, ax=axes, label=grid.what)
    return figure
