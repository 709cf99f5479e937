"""Runs for the page: what the fast engine decodes of each call, and what the program was told of its host."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...compiler.format.checkpoint import Model
from ...compiler.format.isa import INPUTS
from .. import host
from ..errors import Trap
from ..instance import Instance
from ..prompts import Prompts
from ..results import Run
from ..world import World
from .data import ShownRun


def record(
    vm: Instance,
    calls: Iterable[tuple[str, Sequence[str], Sequence[Any]]],
    describe: Any,
    max_tokens: int | None = None,
    data: Iterable[tuple[int, bytes]] = (),
) -> list[ShownRun]:
    """Runs the calls (name, arguments as text, as values) on an instance; a trap or an exit is the last one.

    describe(name, run): how a call ended, as text. data: (address, bytes) that the host writes to memory before the calls.
    Raises ArgumentError, Unfinished, and Trap where such a write leaves the memory.
    """
    recorded = [] if vm.started is None else [ShownRun("start", "", [], vm.started, "")]
    recorded += [ShownRun("host", name, values, run, "") for name, values, run in written(vm, data)]
    for name, texts, values in calls:
        run = _ended(vm, name, values, max_tokens)
        recorded.append(ShownRun("call", name, texts, run, describe(name, run)))
        if not run.returned:
            break
    return recorded


def written(vm: Instance, data: Iterable[tuple[int, bytes]]) -> Iterator[tuple[str, list[str], Run]]:
    """Has the host write (address, bytes) to memory: name, arguments as text and run of each store.

    Raises Trap outside of the memory, ArgumentError where none is exported.
    """
    for address, part in data:
        for operation, values in host.writes(address, part):
            yield operation, [str(value) for value in values], vm.access(operation, *values)


def _ended(vm: Instance, name: str, values: Sequence[Any], max_tokens: int | None) -> Run:
    try:
        return vm.invoke(name, *values, max_tokens=max_tokens)
    except Trap as trap:
        return trap.run


def world_data(model: Model, world: World) -> dict[str, Any]:
    """Input areas and hidden registers, so that the page can write the prompt of another call itself."""
    areas, registers = Prompts(model, world).told(INPUTS)
    return {
        "areas": {name: base64.b64encode(data).decode() for name, data in areas.items()},
        "registers": {name: str(value) for name, value in registers.items()},
    }


__all__ = ["record", "world_data", "written"]
