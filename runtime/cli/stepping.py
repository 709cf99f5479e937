"""Calls that are decoded whole and then looked at: for the debugger and for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .host_options import Host
from .numbers import format_call
from .options import Call, EngineChoice
from .programs import model_and_calls, parse_calls
from .progress import progress_of, working

if TYPE_CHECKING:
    import numpy as np

    from ..explain.moments import Moments


class Stepping(NamedTuple):
    """The last call, its title, the tokens of the whole sequence, and the position at which the call begins."""

    moments: Moments
    title: str
    tokens: np.ndarray
    first: int


def decoded_calls(
    model: str, argv: Sequence[str] | None, host: Host, max_tokens: int | None, calls: list[Call],
    compiling: dict[str, Any],
) -> Stepping:  # fmt: skip
    """Decodes the calls of a checkpoint or program, up to the first that does not return."""
    import numpy as np

    from ..errors import Trap
    from ..explain.moments import Moments
    from ..explain.recording import written
    from ..instance import Instance

    data = host.data()
    loaded, calls = model_and_calls(model, calls, **compiling)
    probe = "memory.key" if "memory.key" in loaded.transformer.probes else None
    parsed = parse_calls(loaded, calls)
    with working("reading the checkpoint"):
        engine = EngineChoice(None, None).for_form(loaded.transformer.float32_reads)
        vm = Instance(loaded, engine, world=host.world(model, argv), max_tokens=max_tokens, probe=probe)
    parts = [loaded.transformer.prefix]
    if vm.started:
        parts += [vm.started.prompt, vm.started.tokens]
    before = {} if vm.started is None else Moments(loaded, vm.started, vm.started.probed).memory()
    for _, _, run in written(vm, data):
        parts += [run.prompt, run.tokens]
    before.update((address + i, byte) for address, part in data for i, byte in enumerate(part))
    moments = None
    for name, _, values in parsed:
        if moments is not None:
            before = moments.memory()
        first, title = sum(map(len, parts)), format_call(name, values)
        try:
            with progress_of(name) as progress:
                run = vm.invoke(name, *values, max_tokens=max_tokens, progress=progress.tokens)
        except Trap as trap:
            run = trap.run
        parts += [run.prompt, run.tokens]
        moments = Moments(loaded, run, run.probed, before)
        if not run.returned:
            break
    assert moments is not None
    return Stepping(moments, title, np.concatenate(parts), first)
