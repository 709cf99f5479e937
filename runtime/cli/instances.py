"""A running program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .host_options import Host
from .options import EngineChoice
from .output import write_output
from .progress import working

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ..instance import Instance


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
