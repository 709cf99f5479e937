"""What is in a checkpoint, by name: layers, heads, neurons, residual slots, vocabulary, steps."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
from rich.console import Console

from ...compiler.format.certificate import SCORE_BITS
from ...compiler.format.checkpoint import Model
from ...compiler.format.show import show as show_steps
from ...compiler.format.tokens import head_of, meaning, read
from ...compiler.format.transformer import Layer, Transformer
from ..explain.data import prefix_rows
from .tables import make_console, print_line, print_table


def to_json(model: Model) -> str:
    """Everything but the numbers in the matrices, as one JSON object."""
    t = model.transformer
    entries = model.program.entries
    return json.dumps(
        {
            "summary": dict(_summary(model)),
            "exports": [
                {"name": n, "params": entries[n].params, "results": entries[n].results, "step": entries[n].entry}
                for n, _ in model.entries
                if n in entries
            ],
            "functions": [
                {"name": f.name, "entry": f.entry, "end": f.end, "slots": f.frame_size, "routine": f.internal}
                for f in model.program.functions.values()
            ],
            "layers": [
                {
                    "heads": [
                        {"name": name, "kind": kind}
                        for name, kind in zip(y.head_names, _head_kinds(y, t.head_dim), strict=True)
                    ],
                    "neurons": y.neuron_names,
                    "slots": y.slot_names,
                }
                for y in t.layers
            ],
            "vocabulary": t.vocabulary,
            "jumps": [{"token": name, "steps": d, "frame": f} for name, d, f in _jumps(model)],
            "steps": [
                {"op": s.op, "wasm": model.texts.get(i), "record": s.site.record if s.site else None}
                for i, s in enumerate(model.program.steps)
            ],
            "certificate": [asdict(b) for b in t.certificate],
            "probes": t.probes,
        }
    )


def show(model: Model, title: str, parts: Collection[str], layers: Sequence[int], weights: bool = False) -> None:
    """Prints the chosen parts ("heads", "neurons", "slots", "vocabulary", "certificate", "steps"; none: an overview) on stdout.

    layers: those to show. weights: heads and neurons as formulas over the residual slots that they read.
    """
    console = make_console()
    if not parts:
        _overview(console, model, title, layers)
    if "heads" in parts:
        _heads(console, model.transformer, layers, weights)
    if "neurons" in parts:
        _neurons(console, model.transformer, layers, weights)
    if "slots" in parts:
        _slots(console, model.transformer, layers)
    if "vocabulary" in parts:
        _vocabulary(console, model)
    if "certificate" in parts:
        _certificate(console, model.transformer)
    if "steps" in parts:
        sys.stdout.write(show_steps(model.program, texts=model.texts))


def _summary(model: Model) -> Iterator[tuple[str, Any]]:
    t, program = model.transformer, model.program
    yield "optimisation level", program.opt_level
    yield "functions", len(program.functions)
    yield "steps", len(program.steps)
    yield "layers", len(t.layers)
    yield "width of the residual stream", t.width
    yield "heads", sum(len(y.head_names) for y in t.layers)
    yield "heads with queries and keys of their own", sum(_distinct(y, t.head_dim) for y in t.layers)
    yield "neurons", sum(len(y.neuron_names) for y in t.layers)
    if model.mixture is not None:
        yield "experts in the folder, joined in what is shown", len(model.mixture.experts)
        yield "layers with experts", sum(y is not None for y in model.mixture.layers)
        yield "neurons of an expert", model.mixture.own
    yield "non-zero weights in the layers", sum(_nonzero(y) for y in t.layers)
    yield "vocabulary", len(t.vocabulary)
    yield "tokens of the prompt's prefix", len(t.prefix)
    yield "width of a head", t.head_dim
    yield "longest sequence under real softmax", t.envelope


def _matrices(layer: Layer) -> tuple[np.ndarray, ...]:
    return layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down


def _nonzero(layer: Layer) -> int:
    return sum(int(np.count_nonzero(m)) for m in _matrices(layer))


def _by_head(matrix: np.ndarray, head_dim: int) -> np.ndarray:
    return matrix.reshape(-1, head_dim * matrix.shape[1])


def _distinct(layer: Layer, head_dim: int) -> int:
    """Heads that differ in query or key: the others only carry more values."""
    both = np.hstack([_by_head(m, head_dim) for m in (layer.q, layer.k)])
    return len(np.unique(both, axis=0)) if len(layer.q) else 0


def _head_kinds(layer: Layer, head_dim: int) -> list[str]:
    """uniform: attends to all positions equally; lookup: to the positions whose keys fit the query."""
    used = np.logical_and(*((_by_head(m, head_dim) != 0).max(axis=1, initial=False) for m in (layer.q, layer.k)))
    return ["lookup" if both else "uniform" for both in used.tolist()]


def _lookups(layer: Layer) -> list[tuple[str, list[str]]]:
    """(name, values) of each lookup: a head carries two values, several heads may share a lookup."""
    parts = [name.partition(" -> ") for name in layer.head_names]
    return [
        (name, [value for _, _, values in group for value in values.split(", ")])
        for name, group in groupby(parts, key=lambda part: part[0])
    ]


def _overview(console: Console, model: Model, title: str, layers: Sequence[int]) -> None:
    t = model.transformer
    print_table(console, title, ("", "#"), _summary(model))
    rows: list[tuple[Any, ...]] = []
    for name, _ in model.entries:
        entry = model.program.entries.get(name) if name else model.program.start
        if entry is not None:
            rows.append((name or "(start)", ", ".join(entry.params), ", ".join(entry.results), entry.entry))
    print_table(console, "exported functions", ("name", "parameters", "results", "#first step"), rows)
    rows = []
    for index in layers:
        y = t.layers[index]
        computed = [n for n in dict.fromkeys(y.neuron_names) if not n.startswith("erase ")]
        reads = "; ".join(name for name, _ in _lookups(y)) or "-"
        rows.append((index, len(y.head_names), reads, len(y.neuron_names), ", ".join(computed) or "-"))
    print_table(console, "layers", ("#layer", "#heads", "attention looks up", "#neurons", "the MLP computes"), rows)
    print_table(console, "vocabulary", ("tokens", "#count", "#first id", "meaning"), _token_classes(t.vocabulary))
    more = "More by name: --heads, --neurons, --slots, --vocabulary, --certificate, --steps; --weights, --layer N."
    print_line(console, f"\n{more}", "dim")


def _token_classes(vocabulary: Sequence[str]) -> Iterator[tuple[str, int, int, str]]:
    first = 0
    for head, group in groupby(vocabulary, key=head_of):
        names = list(group)
        shown = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"
        yield shown, len(names), first, meaning(head)
        first += len(names)


def _heads(console: Console, t: Transformer, layers: Sequence[int], weights: bool) -> None:
    rows = []
    for index in layers:
        y, before = t.layers[index], _names_before(t, index)
        for h, (name, kind) in enumerate(zip(y.head_names, _head_kinds(y, t.head_dim), strict=True)):
            row: tuple[Any, ...] = (index, h, name, kind)
            if weights:
                own = slice(t.head_dim * h, t.head_dim * (h + 1))
                used = max(1, len(np.trim_zeros((y.q[own].any(1) | y.k[own].any(1)).astype(int), "b")))
                filled = max(1, len(np.trim_zeros(y.v[own].any(1).astype(int), "b")))
                rows_of = ((y.q, used), (y.k, used), (y.v, filled))
                row += tuple("; ".join(_form(r, before) for r in m[own][:count]) for m, count in rows_of)
            rows.append(row)
    columns = ("#layer", "#head", "lookup -> values", "kind", *(("query", "key", "value") if weights else ()))
    print_table(console, "heads", columns, rows)


def _neurons(console: Console, t: Transformer, layers: Sequence[int], weights: bool) -> None:
    rows: list[tuple[Any, ...]] = []
    for index in layers:
        y = t.layers[index]
        if not weights:
            rows += ((index, name, count) for name, count in Counter(y.neuron_names).items())
            continue
        for n, name in enumerate(y.neuron_names):
            gate, up = (_form(m[n], y.slot_names) for m in (y.gate, y.up))
            rows.append((index, n, name, f"relu({gate}) * ({up})", _form(y.down[:, n], y.slot_names)))
    columns = ("#layer", "#neuron", "name", "activation", "added to") if weights else ("#layer", "name", "#neurons")
    print_table(console, "neurons", columns, rows)


def _names_before(t: Transformer, layer: int) -> list[str]:
    """What the slots hold as the attention of a layer reads them."""
    return t.layers[max(layer - 1, 0)].slot_names


def _form(row: np.ndarray, names: Sequence[str]) -> str:
    """A row of weights as a linear form, e.g. 2 * ip + 1.5: slot 0 is the constant 1."""
    terms = []
    for slot in np.flatnonzero(row).tolist():
        weight, name = float(row[slot]), names[slot] or f"slot {slot}"
        sign = "-" if weight < 0 else "+"
        size = _number(abs(weight))
        terms.append(f"{sign} {size}" if slot == 0 else f"{sign} {name}" if size == "1" else f"{sign} {size} * {name}")
    text = " ".join([*terms[1:], *terms[:1]] if row[0] else terms)
    return text[2:] if text.startswith("+ ") else text.replace("- ", "-", 1) if text.startswith("- ") else text or "0"


def _number(weight: float) -> str:
    """Powers of two as such: most large weights are one."""
    mantissa, exponent = np.frexp(weight)
    if mantissa == 0.5 and abs(exponent - 1) > 10:
        return f"2^{exponent - 1}"
    return f"{weight:.17g}"


def _certificate(console: Console, t: Transformer) -> None:
    """For how many tokens each head is exact, and why; the one that sets the bound comes first."""
    if not t.certificate:
        print_line(console, "no certificate: nothing is claimed about real softmax")
        return
    least = min(b.tokens for b in t.certificate)
    rows = []
    for b in sorted(t.certificate, key=lambda b: b.tokens):
        eps = f"2^{b.eps}" if b.eps else "-"
        reason = f"sums below {b.partial:,.0f}" if b.kind == "uniform" else f"{b.bits} of {SCORE_BITS} bits"
        mark = "sets the bound" if b.tokens == least else ""
        rows.append((b.head, b.kind, b.tokens, reason, eps, f"{b.gap:,.0f}" if b.gap else "-", mark))
    columns = ("head", "kind", "#tokens", "scores", "a later one leads by", "#the winner leads by", "")
    print_table(console, f"exact under real softmax in float64 for {least:,} tokens", columns, rows)


def _slots(console: Console, t: Transformer, layers: Sequence[int]) -> None:
    """Per slot the variables it holds, one after the other, with the layers at whose end they stand there."""
    rows = []
    for slot in range(t.width):
        held = [(t.layers[index].slot_names[slot], index) for index in layers]
        runs = [(name, [index for _, index in group]) for name, group in groupby(held, key=lambda h: h[0])]
        shown = [f"{name} ({_span(indices)})" for name, indices in runs if name]
        rows.append((slot, ", ".join(shown) or "-"))
    print_table(console, "residual slots", ("#slot", "holds (at the end of layers)"), rows)


def _span(indices: Sequence[int]) -> str:
    return str(indices[0]) if len(indices) == 1 else f"{indices[0]}-{indices[-1]}"


def _jumps(model: Model) -> list[tuple[str, int, int]]:
    """(name, instruction pointer's delta, frame's delta) of the tokens that jump."""
    tokens = ((name, read(name)) for name in model.transformer.vocabulary)
    names = [name for name, token in tokens if token is not None and token.token_class.moves]
    return [(name, delta, frame) for name, (delta, frame) in zip(names, model.jumps, strict=True)]


def _rows(model: Model) -> dict[str, str]:
    """For each token of the program, the steps that it says, or a part of."""
    steps: dict[str, list[int]] = {}
    rows, prefix = prefix_rows(model), model.transformer.prefix
    for position in np.flatnonzero(rows > -2).tolist():
        steps.setdefault(model.transformer.vocabulary[prefix[position]], []).append(int(rows[position]))
    return {name: _said(model, numbers) for name, numbers in steps.items()}


def _said(model: Model, steps: Sequence[int]) -> str:
    first = next((step for step in steps if step >= 0), None)
    if first is None:
        return "before the first step"
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    ops = model.program.steps[first].op
    if first + 1 < len(model.program.steps) and model.program.steps[first + 1].joined:
        ops += f", else {model.program.steps[first + 1].op}"
    return f"step {first}{more}: {ops}  {model.texts.get(first, '')}".rstrip()


def _vocabulary(console: Console, model: Model) -> None:
    t = model.transformer
    notes = {name: f"instruction pointer {d:+}, frame {f:+}" for name, d, f in _jumps(model)}
    notes |= {f"I.{k}": f"{name or '(start)'}, step {model.program.step_at[row]}" for k, (name, row) in enumerate(model.entries)}
    notes |= _rows(model)
    notes |= {f"G.{s}": name for name, s in model.inputs.items()}
    rows = [(str(i), name, notes.get(name, "")) for i, name in enumerate(t.vocabulary)]
    print_table(console, "vocabulary", ("#id", "token", "meaning"), rows)
