"""What a pass of the compiler made, as text: `wasm2xformer compile PROG --show PASS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .compile import DEFAULTS, compile_steps, realise, texts_of
from .format.show import show, show_steps
from .format.transformer import Transformer
from .format.types import FuncType
from .graph.graph import Graph
from .link.linked import LinkedModule
from .lower.lower import LoweredFunction
from .machine.assemble import Assembly
from .optimise.invariants import check
from .optimise.optimise import LAST, PASSES
from .options import CompileOptions
from .wasm.module import BLOCKS, Instr
from .wasm.source import Source


def pass_names(opt_level: int) -> tuple[str, ...]:
    """The passes in order, by the names under which `show_pass` shows what they made."""
    return (
        "linked",
        "lowered",
        *(name for name, _ in PASSES[opt_level]),
        *(name for name, _ in LAST[opt_level]),
        "program",
        "assembly",
        "graph",
        "transformer",
    )


class _Reached(Exception):
    """The pass that was asked for is done; the others need not run."""


def show_pass(source: str | bytes | Path | Source, wanted: str, options: CompileOptions = DEFAULTS) -> str:
    """Compiles as far as the pass, checks on the way what has to hold between passes, and gives its result as text.

    Raises ValueError for a pass that there is not at this level, CompileError, and format.validate.InvalidProgram.
    """
    names = pass_names(options.opt_level)
    if wanted not in names:
        raise ValueError(f"no pass of -O{options.opt_level} is called {wanted!r}; there are: {', '.join(names)}")
    made: list[Any] = []
    linked: list[LinkedModule] = []

    def watch(name: str, value: Any) -> None:
        if isinstance(value, LinkedModule):
            linked.append(value)
        elif isinstance(value, list):
            check(name, value, {i: f.type for i, f in enumerate(linked[0].module.functions)})
        if name == wanted:
            made.append(value)
            if wanted != "program":
                raise _Reached

    try:
        program, module = compile_steps(source, options, watch)
        if wanted == "program":
            return show(program, texts_of(program, module))
        realise(program, module, watch=watch)
    except _Reached:
        pass
    return "\n".join(_lines(made[0], linked[0])) + "\n"


def _lines(value: Any, linked: LinkedModule) -> Iterator[str]:
    if isinstance(value, list):
        names = {i: f.name or str(i) for i, f in enumerate(linked.module.functions)}
        for function in value:
            yield from _lowered(function, names)
    else:
        show_: Callable[[Any], Iterator[str]] = _OTHERS[type(value)]
        yield from show_(value)


def _instruction(instr: Instr) -> str:
    return " ".join([instr.name, *(_signature(a) if isinstance(a, FuncType) else str(a) for a in instr.args)])


def _linked(linked: LinkedModule) -> Iterator[str]:
    yield f"memory {linked.memory_pages} to {linked.memory_maximum} pages, hidden memory {linked.hidden_bytes} bytes"
    for name, value in linked.registers.items():
        yield f"register {name} = {value}"
    for index, table in enumerate(linked.tables):
        yield f"table {index}: {table.capacity} elements at hidden {table.offset}, size in {table.size_register}"
    for reference, target in linked.references.items():
        yield f"reference {reference} = function {target}"
    for index, function in enumerate(linked.module.functions):
        kind = "function" if index in linked.origin else "routine"
        origin = f", function {linked.origin[index]} of the module" if index in linked.origin else ""
        yield f"\n{kind} {index} {function.name} {_signature(function.type)}{origin}"
        depth = 1
        for instr in function.body:
            depth -= instr.name in ("end", "else")
            yield f"{'  ' * min(depth, 20)}{_instruction(instr)}"
            depth += instr.name in (*BLOCKS, "else")


def _signature(type_: FuncType) -> str:
    return f"({' '.join(type_.params)}) -> ({' '.join(type_.results)})"


def _lowered(function: LoweredFunction, names: dict[int, str]) -> Iterator[str]:
    kind = "routine" if function.internal else "function"
    yield f"{kind} {function.name} {_signature(function.type)}, {function.frame_size} slots"
    yield from show_steps(function.code.steps, function.code.labels, names)
    yield ""


def _assembly(assembly: Assembly) -> Iterator[str]:
    machine, image = assembly.architecture, assembly.image
    yield f"{machine.places} digits a value, {machine.rows} rows, {machine.slots} slots, frames up to {machine.frame_limit}"
    yield f"memory addresses from {machine.lowest_address} on, segments of up to {machine.longest_segment} bytes"
    yield "tokens of each class: " + ", ".join(f"{name} {count}" for name, count in machine.tokens.items() if count)
    for name, entry in image.entries:
        yield f"entry {name or 'start'} at row {entry}"
    for address, value in image.constants:
        yield f"slot address {address} = {value}"
    for at, row in enumerate(image.rows):
        yield f"{at:6}  " + " ".join(f"{name}={value:g}" for name, value in row.items() if value)


def _graph(graph: Graph) -> Iterator[str]:
    yield f"{len(graph.lookups)} lookups, {len(graph.neurons)} neurons"
    for lookup in graph.lookups:
        outputs = ", ".join(variable.name for _, variable in lookup.outputs)
        yield f"lookup {lookup.name} ({lookup.kind}) -> {outputs}"
    for neuron in graph.neurons:
        yield f"neuron {neuron.name} -> " + ", ".join(f"{weight:g} {v.name}" for weight, v in neuron.outputs)


def _transformer(transformer: Transformer) -> Iterator[str]:
    yield f"width {transformer.width}, vocabulary {len(transformer.vocabulary)}, prefix {len(transformer.prefix)} tokens"
    for number, layer in enumerate(transformer.layers):
        yield f"layer {number}: {len(layer.head_names)} heads, {len(layer.neuron_names)} neurons"
        yield from (f"  head {name}" for name in layer.head_names)
        yield from (f"  neuron {name}" for name in layer.neuron_names)


_OTHERS: dict[type, Callable[[Any], Iterator[str]]] = {
    LinkedModule: _linked, Assembly: _assembly, Graph: _graph, Transformer: _transformer,
}  # fmt: skip
