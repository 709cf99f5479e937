"""The graph of circuits: edges say all that is read, and what an operation or a run needs is what they say."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from tests.hf import run_of
from tests.mixtures import operations_of
from tests.programs import FOLDER, load_programs
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.runtime.circuits.edges import EdgeKind, node_edges, pairs
from wasm2xformer.runtime.circuits.forward import read, run_layers
from wasm2xformer.runtime.circuits.graph import CircuitGraph
from wasm2xformer.runtime.circuits.live import live_in_calls
from wasm2xformer.runtime.circuits.units import INPUT, StreamUnits, StreamWriter, units
from wasm2xformer.runtime.cli import main

GCD = str(FOLDER / "i32" / "gcd.wat")
ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
PROGRAMS = {program.id: program for program in load_programs()}


@pytest.fixture(scope="module")
def gcd() -> tuple[w2x.Model, CircuitGraph]:
    model = w2x.compile(Path(GCD).read_text())
    return model, w2x.circuits(model)


def sequence(graph: CircuitGraph, run: w2x.Run) -> np.ndarray:
    return np.concatenate([graph.transformer.prefix, run.prompt, run.tokens])[:-1]


def added(t: Transformer, ids: np.ndarray, layers: list, writer: StreamWriter, slot: int) -> np.ndarray:
    if writer.time < 0:
        return t.embed.rows(ids)[:, slot]
    layer, run = t.layers[writer.time // 2], layers[writer.time // 2]
    if writer.time % 2:
        i = int(writer.unit.partition(".n")[2])
        return run.neurons[:, i] * layer.down[slot, i]
    h = int(writer.unit.partition(".h")[2])
    return run.heads[h].moved @ layer.o[slot, 16 * h : 16 * (h + 1)]


def differences(t: Transformer, ids: np.ndarray, found: StreamUnits) -> list[str]:
    """Where the sum of what edges bring (of the kinds that bring anything) is not what is read."""
    final, layers = run_layers(t, ids)
    sums: dict = defaultdict(lambda: np.zeros(len(ids)))
    for writer, reader, slot, kind in pairs(found):
        if kind is not EdgeKind.RESIDUE:
            sums[reader, slot] += added(t, ids, layers, writer, slot)
    wrong = []
    for (reader, slot), brought in sums.items():
        run = layers[reader.time // 2] if reader.time < 2 * len(layers) else None
        stream = final if run is None else run.middle if reader.time % 2 else run.before
        seen = read(t, stream)[:, slot]
        if not np.allclose(brought.astype(np.float32), seen, rtol=1e-6, atol=1e-9):
            wrong.append(f"{reader.port} {slot}")
    return wrong


def test_edges_bring_all_that_is_read():
    """And edges that are called residue bring nothing: without them the sums are what is read."""
    program = PROGRAMS["string_reverse"]
    model = w2x.compile(program.module())
    graph = w2x.circuits(model)
    run = run_of(program, model, 0)
    assert not differences(graph.transformer, sequence(graph, run)[:600], graph.units)


def test_a_slot_that_is_not_cleared_is_seen(gcd: tuple[w2x.Model, CircuitGraph]):
    """Without a clearing neuron its edges carry what stood in the slot before; the others do not bring what is read."""
    model, graph = gcd
    t = graph.transformer
    ids = sequence(graph, w2x.Instance(model).invoke("gcd", 48, 18))
    layer = t.layers[8]
    i = next(i for i, name in enumerate(layer.neuron_names) if name.startswith("erase "))
    down = layer.down.copy()
    down[:, i] = 0.0
    without = replace(t, layers=[*t.layers[:8], replace(layer, down=down), *t.layers[9:]])
    edges = node_edges(without, units(without))
    residue = {e.name for e in graph.edges.values() if e.kind is EdgeKind.RESIDUE}
    assert any(edges[name].kind is EdgeKind.CARRIES for name in residue & set(edges))
    assert differences(without, ids, units(t))


def test_known_edges(gcd: tuple[w2x.Model, CircuitGraph]):
    _, graph = gcd
    names = graph.units.names
    found = {
        (names[e.source].partition(" ->")[0], names.get(e.target[:-3], e.target).partition(" ->")[0], e.target[-3:])
        for e in graph.edges.values()
        if e.kind is EdgeKind.CARRIES and e.source[0] == "a" and e.target[0] == "a" and "a" in e.variables
    }
    assert found == {("fetch", "operand a", "<q>")}  # the slot number of the first operand, and where it is looked up
    entry = next(unit for unit, name in names.items() if name.startswith("entry ->"))
    assert graph.edges[f"input->{entry}<k>"].kind is EdgeKind.CARRIES
    assert set(graph.edges) <= set(graph.candidates())
    assert graph.circuit < set(graph.edges)


def test_an_operation_needs_no_more_than_its_circuit(gcd: tuple[w2x.Model, CircuitGraph]):
    """At each decoded position only the units of the operation under way are left on; the tokens stay. Without the units that
    arithmetic alone needs they do not, where there is any."""
    model, graph = gcd
    run = w2x.Instance(model).invoke("lcm", 4, 6)
    steps = operations_of(model, run)[1:]
    before = len(graph.transformer.prefix)
    names = [model.program.steps[step].op if step >= 0 else "" for step in steps]
    keep = {name: set(graph.operations[name]) for name in set(names) - {""}}
    wanted = np.concatenate([run.prompt, run.tokens])[1:][len(run.prompt) - 1 :]
    assert np.array_equal(decoded(graph, run, before, names, keep), wanted)
    arithmetic = ("i32.mul", "i32.rem_u", "i32.div_u")
    others = set().union(*(units for name, units in keep.items() if name not in arithmetic))
    for name in arithmetic:
        found = decoded(graph, run, before, names, {**keep, name: keep[name] & others})
        wrong = np.flatnonzero(found != wanted)
        assert len(wrong) and {names[len(run.prompt) - 1 + k] for k in wrong} == {name}


def decoded(graph: CircuitGraph, run: w2x.Run, before: int, names: list[str], keep: dict[str, set[str]]) -> np.ndarray:
    """The argmax at each decoded position when only some units run there: heads elsewhere read what is written as always."""
    t = graph.transformer
    ids = sequence(graph, run)
    x = t.embed.rows(ids)
    on = {
        u.unit: np.array([True] * before + [not n or u.clears is not None or u.unit in keep[n] for n in names])
        for u in graph.units.writers
        if u.unit != INPUT
    }
    for index, layer in enumerate(t.layers):
        seen = read(t, x)
        moved = [np.zeros((len(ids), 16)) for _ in range(len(layer.q) // 16)]
        causal = np.tril(np.ones((len(ids), len(ids)), dtype=bool))
        for h in range(len(moved)):
            part, unit = slice(16 * h, 16 * (h + 1)), f"a{index}.h{h}"
            if unit in on:
                scores = np.where(causal, (seen @ layer.q[part].T) @ (seen @ layer.k[part].T).T, -np.inf)
                weights = np.exp(scores - scores.max(1, keepdims=True))
                moved[h] = (weights / weights.sum(1, keepdims=True)) @ (seen @ layer.v[part].T) * on[unit][:, None]
        x = x + np.concatenate(moved, 1) @ layer.o.T
        seen = read(t, x)
        neurons = np.maximum(seen @ layer.gate.T, 0.0) * (seen @ layer.up.T)
        for i in range(neurons.shape[1]):
            neurons[:, i] *= on.get(f"m{index}.n{i}", True)
        x = x + neurons @ layer.down.T
    return (read(t, x[before + len(run.prompt) - 1 :]) @ t.unembed.dense().T).argmax(1)


def test_a_run_uses_the_circuits_of_its_operations(gcd: tuple[w2x.Model, CircuitGraph]):
    model, graph = gcd
    without = live_in_calls(graph, [w2x.Instance(model).invoke("gcd", 48, 18)])
    multiplies = live_in_calls(graph, [w2x.Instance(model).invoke("lcm", 4, 6)])
    assert set(without) < graph.circuit and set(multiplies) <= graph.circuit
    used = [op for op in graph.operations if op not in ("i32.mul", "i32.div_u")]
    only = graph.operation_edges("i32.mul") - set().union(*(graph.operation_edges(op) for op in used))
    assert only and not only & set(without) and only & set(multiplies)


def test_json_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    program, file = tmp_path / "add.wat", tmp_path / "circuits.json"
    program.write_text(ADD)
    assert main(["circuits", str(program), "-o", str(file), "--neurons", "--invoke", "add", "3", "5"]) == 0
    assert " carry something, " in capsys.readouterr().out
    found = json.loads(file.read_text())
    graph = w2x.circuits(w2x.compile(ADD))
    assert {name for name, edge in found["edges"].items() if edge["in_graph"]} == graph.circuit
    assert {e["in_graph"] for e in found["edges"].values() if e.get("live")} == {True}
    assert list(found["nodes"]) == graph.nodes and found["cfg"]["n_heads"] == 2
    assert found["circuits"]["i32.add"]["edges"] and set(found["neuron_edges"]) == set(graph.unit_edges)
    masks = np.zeros_like(graph.neuron_masks("i32.add"))
    for node, neurons in found["circuits"]["i32.add"]["neurons"].items():
        masks[int(node[1:]), neurons] = True
    assert np.array_equal(masks, graph.neuron_masks("i32.add"))
    assert {pair for pair in graph.interpbench_edges() if "None" in str(pair)} == set()
    other = tmp_path / "other.wat"
    other.write_text(ADD)
    for output in (program, other):  # a source, be it another's, is not a place for JSON
        assert main(["circuits", str(program), "-o", str(output)]) == 2
        assert output.read_text() == ADD
    assert main(["circuits", str(program), "-o", str(file), "--invoke", "sub"]) == 2
