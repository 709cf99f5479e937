"""The compiled machine inside a language model: experts, their canonical form, rewriters, routers, bypass, native expert.

    from wasm2xformer import hybrid
    experts = hybrid.built_in()
    experts.answer(hybrid.parse("15 + 7 =")).text          # "22", every character decoded by the compiled transformer

Each name is imported when it is first used: `Bypass`, `Probe` and `NativeExpert` need torch, the rest does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .arithmetic import built_in
    from .bypass import Bypass, BypassEvent
    from .canonical import Call, find, parse
    from .chat import Chat, Reply
    from .errors import ExpertError, NotUnderstood
    from .experts import Answer, Expert, Experts, Verification
    from .experts_file import read_experts
    from .in_context import InContextRewriter
    from .native import NativeExpert
    from .probe import Probe, load_probe, train_probe
    from .routers import Decision, GrammarRouter, ProbeRouter
    from .rules import rewrite
    from .saved import answers, generate, save

_MODULES = {
    ".arithmetic": ("built_in",),
    ".bypass": ("Bypass", "BypassEvent"),
    ".canonical": ("Call", "find", "parse"),
    ".chat": ("Chat", "Reply"),
    ".errors": ("ExpertError", "NotUnderstood"),
    ".experts": ("Answer", "Expert", "Experts", "Verification"),
    ".experts_file": ("read_experts",),
    ".in_context": ("InContextRewriter",),
    ".native": ("NativeExpert",),
    ".probe": ("Probe", "load_probe", "train_probe"),
    ".routers": ("Decision", "GrammarRouter", "ProbeRouter"),
    ".rules": ("rewrite",),
    ".saved": ("answers", "generate", "save"),
}
__all__ = [
    "Answer", "Bypass", "BypassEvent", "Call", "Chat", "Decision", "Expert", "ExpertError", "Experts", "GrammarRouter",
    "InContextRewriter", "NativeExpert",
    "NotUnderstood", "Probe", "ProbeRouter", "Reply",
    "Verification", "answers", "built_in", "find", "generate", "load_probe", "parse", "read_experts", "rewrite",
    "save", "train_probe",
]  # fmt: skip

__getattr__ = lazily(globals(), _MODULES)
