"""What the page knows: the weights with their names, the step program, the source, and what was recorded of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ...compiler.format.checkpoint import Model
from ...compiler.format.isa import Slot, Step
from ...compiler.format.printable import printable
from ...compiler.format.transformer import Transformer
from ...compiler.format.types import halved
from ...compiler.wasm.source import Source
from ..results import Run
from ..trace import table_of
from .listing import listing
from .matrices import packed, sparse

VERSION = 1


@dataclass(frozen=True)
class ShownRun:
    """A run of the fast engine. kind: "call", "start" or "host". arguments, results: as people read them."""

    kind: str
    name: str
    arguments: Sequence[str]
    run: Run
    results: str


def page_data(
    model: Model,
    recorded: Sequence[ShownRun],
    *,
    title: str,
    command: str,
    source: Source | None = None,
    texts: Mapping[str, str] = MappingProxyType({}),
    world: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """All of it as plain values for JSON.

    source: what was compiled, where it is there. texts: files of source text by name, for its debug information.
    world: standard input and so on of a WASI program, see `world_data`.
    limit: tokens of the recorded runs that the page is given; it says what it leaves out.
    """  # fmt: skip
    kept, left_out = _within(recorded, limit)
    return {
        "version": VERSION,
        "title": printable(title),
        "command": printable(command),
        "weights": weights_data(model.transformer),
        "names": _names(model.transformer),
        "tokens": _tokens(model),
        "program": _program(model),
        "source": listing(model, source, texts),
        "runs": kept,
        "left_out": left_out,
        "world": world or {"areas": {}, "registers": {}},
    }


def weights_data(t: Transformer) -> dict[str, Any]:
    """The matrices, exact, see `matrices`; all that the decoder in the page needs."""
    layers = [{name: sparse(getattr(y, name)) for name in ("q", "k", "v", "o", "gate", "up", "down")} for y in t.layers]
    return {
        "width": t.width,
        "head_dim": t.head_dim,
        "embed": sparse(t.embed),
        "positions": sparse(t.positions),
        "layers": layers,
        "unembed": sparse(t.unembed),
        "prefix": packed(t.prefix),
        "float32_reads": bool(getattr(t, "float32_reads", False)),
        "probes": {name: list(at) for name, at in t.probes.items()},
        "envelope": t.envelope,
    }


def _names(t: Transformer) -> dict[str, Any]:
    return {
        "slots": [printable(s) for s in t.slot_names],
        "layers": [
            {
                "heads": [printable(s) for s in y.head_names],
                "neurons": [printable(s) for s in y.neuron_names],
                "slots": [printable(s) for s in y.slot_names],
            }
            for y in t.layers
        ],
    }


def _tokens(model: Model) -> dict[str, Any]:
    """What each token is, column by column (see `TokenTable`)."""
    table = table_of(model)
    columns = ("kind", "place", "value", "ip_delta", "frame_delta", "ends", "stops")
    return {
        "names": [printable(name) for name in model.transformer.vocabulary],
        **{c: packed(getattr(table, c).astype(np.int64)) for c in columns},
        "traps": list(table.traps),
    }


def _slot(slot: Slot | None) -> list[Any] | None:
    """Constants as text: JavaScript's numbers have 53 bits."""
    return None if slot is None else [slot.kind, str(slot.index) if slot.kind == "const" else slot.index]


def _step(step: Step) -> dict[str, Any]:
    o = step.operation
    full = {
        "op": step.op, "a": _slot(step.a), "b": _slot(step.b), "c": _slot(step.c), "d": _slot(step.d),
        "dest": _slot(step.dest), "imm": step.imm, "target": step.target,
        "targets": list(step.targets), "callee": step.callee, "trap": step.trap,
        "wide": step.value_is_wide, "effect": o.effect, "control": o.control, "access": o.access, "space": o.space,
        "joined": step.joined,
        "site": None if step.site is None else [step.site.function, step.site.instruction],
    }  # fmt: skip
    return {name: value for name, value in full.items() if value not in (None, [], "", 0, False)}


def _program(model: Model) -> dict[str, Any]:
    program = model.program
    row = program.row_of
    kinds = {row[e.entry]: ("call", e) for e in program.entries.values()} | {
        row[e.entry]: ("host", e) for e in program.host.values()
    }
    if program.start is not None:
        kinds[row[program.start.entry]] = ("start", program.start)
    entries = []
    for number, (name, first) in enumerate(model.entries):
        kind, entry = kinds[first]
        entries.append(
            {
                "number": number, "kind": kind, "name": printable(name), "first": entry.entry,
                "params": list(halved(entry.params)), "results": list(halved(entry.results)), "registers": list(entry.registers),
                "inputs": list(entry.inputs),
            }
        )  # fmt: skip
    return {
        "steps": [_step(step) for step in program.steps],
        "step_at": program.step_at,
        "functions": [
            {
                "index": f.index, "name": printable(f.name), "entry": f.entry, "end": f.end, "slots": f.frame_size,
                "params": list(f.type.params), "routine": f.internal,
            }
            for f in program.functions.values()
        ],
        "entries": entries,
        "inputs": dict(model.inputs),
        "function_references": {str(k): v for k, v in program.function_references.items()},
        "initial": [[*(_slot(slot) or []), str(value)] for slot, value in program.initial.items()],
        "opt_level": program.opt_level,
        "rows": packed(prefix_rows(model)),
    }  # fmt: skip


def prefix_rows(model: Model) -> np.ndarray:
    """int [n]: for each token of the prefix the step whose row, or a part of it, it says, where two share it the first one (a
    branch, see `Step.joined`); -1: of the row that belongs to no step;
    -2: it says no row. Rows stand in the order of the steps, in one or more sections."""
    t = model.transformer
    said = np.array([t.vocabulary[token].startswith("P") for token in t.prefix.tolist()], dtype=bool)
    rows = np.full(len(said), -2)
    steps = np.array([-1, *model.program.step_at])
    rows[said] = steps[np.arange(np.count_nonzero(said)) % len(steps)]
    return rows


def _within(recorded: Sequence[ShownRun], limit: int | None) -> tuple[list[dict[str, Any]], int]:
    """The runs, cut where they have more tokens than the page takes; and how many tokens are left out."""
    kept: list[dict[str, Any]] = []
    room = limit if limit is not None else sum(len(r.run.prompt) + len(r.run.tokens) for r in recorded)
    left_out = 0
    for r in recorded:
        prompt, tokens = r.run.prompt, r.run.tokens
        if len(prompt) >= room:
            left_out += len(prompt) + len(tokens)
            room = 0
            continue
        shown = tokens[: room - len(prompt)]
        left_out += len(tokens) - len(shown)
        room -= len(prompt) + len(shown)
        kept.append(
            {
                "kind": r.kind, "name": printable(r.name), "arguments": [printable(a) for a in r.arguments],
                "prompt": packed(prompt), "tokens": packed(shown), "results": printable(r.results),
                "steps": r.run.steps, "whole": len(shown) == len(tokens),
            }
        )  # fmt: skip
    return kept, left_out


__all__ = ["ShownRun", "page_data", "weights_data"]
