"""circuits: the graph of a model's circuits as JSON, for tools that look for circuits and for scoring them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ...compiler.format.files import words
from ...compiler.format.output_file import check_output, replace_file
from .errors import refusals, refuse
from .host_options import Host, hosted
from .limits import limited
from .options import Call, EngineChoice, Invoking, compiling_options, max_tokens_option
from .output import say
from .programs import compile_model, is_checkpoint, load_model, load_source, parse_calls
from .progress import working

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ..circuits.graph import CircuitGraph


@click.command("circuits", cls=Invoking)
@click.argument("model")
@click.option("-o", "output", metavar="FILE", required=True, help="The file to write (.json).")
@click.option("--neurons", is_flag=True, help="With the edges between single neurons.")
@hosted
@compiling_options
@max_tokens_option
@limited
@click.pass_obj
def circuits_command(
    argv: list[str] | None, model: str, output: str, neurons: bool, host: Host, max_tokens: int | None,
    calls: list[Call], **compiling: Any,
) -> int:  # fmt: skip
    """Writes the graph of circuits of MODEL (or of a program), in the stock form that a folder has.

    Heads and MLPs are nodes; edges with the slots of the residual stream that they go through are read from the matrices. With
    --invoke each edge also says at how many tokens of the calls it was live.
    """
    if not output.lower().endswith(".json"):
        return refuse(f"-o {output}: the name of a graph of circuits ends in .json")
    try:
        check_output(output, [model, *(pair.partition("=")[2] for pair in compiling["libraries"])])
    except OSError as error:
        return refuse(f"-o {output}: {words(error)}")
    with refusals():
        from ..circuits.graph import circuits

        loaded = _loaded(model, calls, **compiling)
        parsed = parse_calls(loaded, calls)
        with working("reading the matrices"):
            graph = circuits(loaded)
        if parsed:
            graph.live = _live(graph, loaded, parsed, host, model, argv, max_tokens)
        text = (json.dumps(graph.to_json(neurons)) + "\n").encode()
        replace_file(output, lambda name: _write(name, text), lambda: text)
        say(f"{output}: {_summary(graph)}; {len(text) / 2**20:.2f} MiB")
    return 0


def _loaded(path: str, calls: list[Call], **compiling: Any) -> Model:
    if is_checkpoint(path):
        return load_model(path)
    source = load_source(path)
    with working(f"compiling {path}"):
        return compile_model(source, [name for name, _ in calls], **compiling)


def _live(
    graph: CircuitGraph, model: Model, parsed: list[Any], host: Host, name: str, argv: list[str] | None,
    max_tokens: int | None,
) -> dict[str, int]:  # fmt: skip
    """Over all calls of one instance, as one sequence; a trap or an exit ends it."""
    from ..circuits.live import live_in_calls
    from ..explain.recording import record
    from ..instance import Instance

    world = host.world(name, argv).fixed()
    with working("decoding"):
        engine = EngineChoice(None, None).for_form(model.transformer.float32_reads)
        vm = Instance(model, engine, world=world, max_tokens=max_tokens)
        calls = [(function, (), values) for function, _, values in parsed]
        shown = record(vm, calls, lambda name, run: "", max_tokens, host.data())
    with working("reading the run"):
        return live_in_calls(graph, [one.run for one in shown])


def _summary(graph: CircuitGraph) -> str:
    t, circuit = graph.transformer, graph.circuit
    heads = sum(name != "no head" for y in t.layers for name in y.head_names)
    neurons = sum(name != "no neuron" for y in t.layers for name in y.neuron_names)
    live = f", {len(graph.live):,} of them live" if graph.live is not None else ""
    return (
        f"{len(t.layers)} layers, {heads} heads, {neurons} neurons; of {len(graph.candidates()):,} edges {len(circuit):,} carry "
        f"something{live}; {len(graph.unit_edges):,} between single neurons; {len(graph.operations)} operations"
    )


def _write(name: str, text: bytes) -> None:
    with open(name, "wb") as file:
        file.write(text)
