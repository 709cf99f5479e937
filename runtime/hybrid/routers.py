"""Routers: at "=" they decide whether an expert is called, and with what. From the text alone, or from the hidden state too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .canonical import Call, find
from .errors import NotUnderstood

if TYPE_CHECKING:
    from .probe import Probe


@dataclass(frozen=True)
class Decision:
    """call: None where the text goes on by itself; `reason` says why. confidence: of a router that has one."""

    call: Call | None
    reason: str = ""
    confidence: float | None = None


class Router(Protocol):
    """layer: whose output `decide` is given at the last token, None where it needs none."""

    layer: int | None

    def decide(self, text: str, state: Any) -> Decision: ...


class GrammarRouter:
    """The external one: whatever ends the text in canonical form is called."""

    layer: int | None = None

    def decide(self, text: str, state: Any = None) -> Decision:
        try:
            return Decision(find(text))
        except NotUnderstood as error:
            return Decision(None, str(error))


class ProbeRouter:
    """The internal one: a probe reads the operation from the hidden state; operands, which are not in it, come from the text.
    Where the two do not agree, nothing is called."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self.layer: int | None = probe.layer

    def decide(self, text: str, state: Any) -> Decision:
        label, confidence = self.probe.decide(state)
        if label is None:
            return Decision(None, "the hidden state shows no call", confidence)
        try:
            call = find(text)
        except NotUnderstood as error:
            return Decision(None, f"the hidden state shows {label}; {error}", confidence)
        if call.name != label:
            return Decision(None, f"the hidden state shows {label}, the text {call.name}", confidence)
        return Decision(call, "", confidence)


