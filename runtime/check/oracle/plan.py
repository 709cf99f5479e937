"""The oracle for a step program: what it records follows from the module, where the model's stack ends from the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....compiler.format.isa import Program
from ....compiler.wasm.decode import decode
from ....compiler.wasm.encode import encode
from ...world import World
from .changed_parts import unshared
from .linking import Library, called_by, with_memory_export
from .run import Bound, Oracle
from .sites import Recorded, reachable
from .wasi import NOTHING, uses_wasi


def frame_deltas_of(program: Program) -> dict[tuple[int, int], int]:
    """(function, instruction) -> slots by which the call that it is, or that stands for it, moves the frame. One in whose place
    the callee's steps stand has the callee's frame begin there, too; the copies have the calls of the function itself."""
    deltas = {(p.site.function, p.site.instruction): p.imm for p in program.inlined}
    copied = {index for p in program.inlined for index in range(p.start, p.end)}
    for function in program.functions.values():
        if function.internal:
            continue
        own = [program.steps[index] for index in range(function.entry, function.end) if index not in copied]
        for index, step in enumerate(own):
            if step.operation.calls:
                # The call of a routine that computes a value has no site: the next step takes the value. Of several in one
                # instruction the last such step has one.
                following = (s.site for s in own[index:] if s.site is not None)
                site = next(following, None)
                if site is not None:
                    key = site.function, site.instruction
                    deltas[key] = max(step.imm, deltas.get(key, 0))
    return deltas


def oracle_for(
    wasm: bytes,
    program: Program,
    libraries: Sequence[Library] = (),
    world: World = NOTHING,
    start_steps: int = 0,
    max_memory_pages: int | None = None,
) -> tuple[Oracle, Recorded]:
    """An oracle whose runs can be compared with traces of `program`, which was compiled from `wasm`, and what it records.

    max_memory_pages: the limit that somebody chose; others of the model's are its own.
    start_steps: that the model executed of the start function, see `Bound`.
    """
    module = decode(wasm)
    functions = reachable(module, {*program.entries, *called_by(libraries)})
    throws = any(decode(library).tags for _, library in libraries)
    recorded = Recorded(module, functions, quiet=program.opt_level == 0, throws=throws)
    claimed = {step.site for step in program.steps}
    bound = Bound(np.array([site in claimed for site in recorded.sites], np.bool_), start_steps)
    entries = [e for e in (*program.entries.values(), program.start) if e is not None]
    calls = (step for e in entries for step in program.steps[e.entry :] if step.op == "call")
    oracle = Oracle(
        wasm,
        recorded.sites,
        frame_deltas_of(program),
        memory_maximum=max_memory_pages,
        entry_delta=next((call.imm for call in calls), 0),
        libraries=[(name, _limited(library, max_memory_pages)) for name, library in libraries],
        world=world,
        functions=functions,
        bound=bound,
    )
    return oracle, recorded


def _limited(wasm: bytes, pages: int | None) -> bytes:
    """The module, whose memory (the program's, if it is imported) grows to so many pages at most."""
    module = decode(wasm)
    hosted = with_memory_export(module) if uses_wasi(wasm) else module
    memories = tuple(
        replace(m, maximum=pages) if pages is not None and m.minimum <= pages < (m.maximum or 2**32) else m
        for m in module.memories
    )
    changed = unshared(replace(hosted, memories=memories))
    return encode(changed) if changed != module else wasm
