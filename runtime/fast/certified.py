"""Whether a checkpoint's certificate promises more than its tensors keep: worked out anew from them, whatever the file says.

What is worked out, head by head: which lookup it is, for how many positions its scores tell the right one, and by how much that
one leads (`Symbols.limit`, `Symbols.leads`). Of running sums it is seen while they run.
"""

from __future__ import annotations

from ...compiler.format.certificate import uniform_tokens
from ...compiler.format.checkpoint import CheckpointError
from ...compiler.format.errors import past_certificate
from ...compiler.format.transformer import Transformer
from .cache import digest
from .interface import MAX_POSITION, Refused
from .sealed import keep_proof, proved

# By digest: the length for which the lookups of a checkpoint are exact, and the head that sets it.
_KNOWN: dict[str, tuple[int, str]] = {}


def check_certificate(model: Transformer) -> None:
    """For engines that take the tensors as they are. Raises CheckpointError; nothing, where nothing is promised."""
    if not model.certificate:
        return
    name = digest(model)
    if name not in _KNOWN:
        _KNOWN[name] = _kept(model, name) or _worked_out(model)
    require(model, *_KNOWN[name])


def _kept(model: Transformer, name: str) -> tuple[int, str] | None:
    """What is worked out now, or was by another process; None where that was less than is promised, and it is to be said why."""
    what, promised = ("certificate", name), min(model.envelope, MAX_POSITION)
    found = proved(what)
    if found is None:
        exact_for, exact_by = _worked_out(model)
        keep_proof(what, float(exact_for))
        return exact_for, exact_by
    return (int(found), "") if found >= promised else None


def _worked_out(model: Transformer) -> tuple[int, str]:
    from .lift import forms

    try:
        graph = forms(model).graph
    except Refused as refused:
        return 0, refused.why
    return graph.exact_for, graph.exact_by


def require(model: Transformer, exact_for: int, exact_by: str) -> None:
    """Raises CheckpointError where the certificate promises more tokens than `exact_for`, which `exact_by` sets."""
    if min(model.envelope, MAX_POSITION) > exact_for:  # no sequence is longer
        raise CheckpointError(
            f"the certificate promises {model.envelope:,} tokens, the weights are exact for {exact_for:,} ({exact_by}): "
            "compile the program again"
        )


def check_sums(model: Transformer, tokens: int, largest: float) -> None:
    """For engines that take running sums as they come: up to `largest` among so many tokens. Raises EnvelopeError where one may
    be off by 1/4, in a model that promises anything."""
    allowed = uniform_tokens(largest)
    if model.certificate and tokens > allowed:
        raise past_certificate(tokens, model.certificate, allowed)


__all__ = ["check_certificate", "check_sums", "require"]
