"""A running program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..host import global_types
from .host_options import Host
from .options import EngineChoice
from .output import write_output
from .progress import progress_of, working

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.format.types import ValType
    from ..allocators import Types
    from ..instance import Instance
    from ..results import Run


class InstanceTarget:
    """An instance as a script drives it; what the program writes is out at once."""

    def __init__(self, vm: Instance, max_tokens: int | None):
        self._vm, self._max_tokens = vm, max_tokens
        self.exports: Types = {name: (e.params, e.results) for name, e in vm.model.program.entries.items()}
        self.write_memory, self.read_memory = vm.write_memory, vm.read_memory

    def invoke(self, name: str, values: Sequence[Any]) -> Run:
        with progress_of(name) as progress:
            return self._vm.invoke(
                name, *values, max_tokens=self._max_tokens, progress=progress.tokens, output=progress.output
            )

    def read_global(self, name: str) -> tuple[ValType, Any]:
        value = self._vm.read_global(name)
        return global_types(self._vm.model.program)[name], value


def new_instance(
    model: Model, engine: EngineChoice, host: Host, path: str, argv: Sequence[str] | None, max_tokens: int | None = None
) -> Instance:
    """A new instance; its start function has run, its output is out, and what --write says is in its memory."""
    from ..errors import Trap
    from ..instance import Instance

    name = engine.for_form(model.transformer.float32_reads)
    data, world = host.data(), host.world(path, argv)
    with working("reading the checkpoint"):
        try:
            vm = Instance(model, name, world=world, max_tokens=max_tokens, device=engine.device)
        except Trap as trap:
            write_output("stdout", trap.run.stdout)
            write_output("stderr", trap.run.stderr)
            raise
    if vm.started:
        write_output("stdout", vm.started.stdout)
        write_output("stderr", vm.started.stderr)
        if vm.started.exit_code is not None:
            raise click.exceptions.Exit(vm.started.exit_code)
    for address, part in data:
        vm.write_memory(address, part)
    return vm
