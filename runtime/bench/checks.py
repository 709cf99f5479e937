"""What it takes to check a call, beside the call itself."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .measure import fresh, improved, peak_memory
from .request import Request

if TYPE_CHECKING:
    from ..check.verify import Verifier

# Of a shorter trace most is what any call needs: then nothing is said of bytes a step.
LONG = 1_000_000
# A replay takes some 300 bytes for each token.
REPLAYED = 4_000_000


def prepare(request: Request) -> dict[str, Any]:
    """Verifies once, and has the code made that decodes what is verified. The cache has it then."""
    from ..errors import Unfinished

    verifier = _verifier(request)
    with suppress(Unfinished):
        verifier.invoke(request.export, request.args, max_tokens=request.limit)
    _improve(verifier)
    return {}


def check(request: Request) -> dict[str, Any]:
    """-> {"invoke", "verify": processor seconds of each turn, "program": the same of the check of all functions' steps, which is
    made once, "steps", "tokens", "bytes": of memory that the first verification came to need, None where nobody knows, "replay":
    its thread's seconds for one pass over the decoded tokens, with the prompt read and what that needs made, None for a long
    one}.

    A turn is the call in a fresh instance, alone and then verified. Raises Unfinished.
    """
    from ...compiler.load import load
    from ..errors import Trap

    found: dict[str, Any] = {"invoke": [], "verify": [], "program": [], "bytes": None, "replay": None}
    for turn in range(request.repeat):
        vm = fresh(load(request.model), request)
        improved(vm)
        start = time.process_time()
        with suppress(Trap):
            vm.invoke(request.export, *request.args, max_tokens=request.limit)
        found["invoke"].append(time.process_time() - start)
        del vm
        verifier = _verifier(request)
        start = time.process_time()
        verifier._translation.first(np.arange(len(verifier.program.steps)))
        found["program"].append(time.process_time() - start)
        before = None if turn else _forget_peak()
        start = time.process_time()
        report = verifier.invoke(request.export, request.args, max_tokens=request.limit)
        found["verify"].append(time.process_time() - start)
        if before is not None:
            found["bytes"] = 2**20 * (peak_memory() - before)
        if not report.ok:
            return {"refused": f"failed: {report.divergence or report.limit}"}
        found |= {"steps": report.steps, "tokens": report.tokens}
        if turn == request.repeat - 1 and report.tokens <= REPLAYED:
            found["replay"] = _replayed(verifier, report.tokens)
        del verifier, report
    return found


def _replayed(verifier: Verifier, count: int) -> float:
    """Seconds, for the last `count` tokens. Raises ReplayError where they are not confirmed."""
    from ..check.replay import Reading, replay
    from ..errors import ReplayError

    model, sequence = verifier.model.transformer, np.concatenate(verifier._sequence)
    reading, first = Reading(model), len(sequence) - count - 1
    for _ in reading.choices(sequence[: first + 1], first):
        pass
    start = time.thread_time()  # of the replay alone: code may still be made beside it
    mismatch = replay(model, sequence, first, reading=reading)
    seconds = time.thread_time() - start
    if mismatch is not None:
        raise ReplayError(f"position {mismatch.position} is not confirmed")
    return seconds


def _verifier(request: Request) -> Verifier:
    from ...compiler.load import load
    from ...compiler.wasm.source import load_file
    from ..check.verify import Verifier

    options = request.options
    verifier = Verifier(
        load_file(request.program), model=load(request.model), world=request.world, libraries=options.libraries,
        max_memory_pages=options.max_memory_pages, unknown_imports_trap=options.unknown_imports_trap,
    )  # fmt: skip
    for address, data in request.writes:
        verifier.write_memory(address, data)
    _improve(verifier)
    return verifier


def _improve(verifier: Verifier) -> None:
    improved(verifier._running())


def _forget_peak() -> float | None:
    """MiB that the process has now; what it has had is forgotten. None where the system does not do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return peak_memory()
