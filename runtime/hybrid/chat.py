"""A conversation of single turns: a prompt, rewritten where that is asked for, generation with the bypass, and what was
called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bypass import Bypass, BypassEvent
from .canonical import Call
from .errors import ExpertError, NotUnderstood
from .experts import Experts
from .forcing import text_of
from .routers import Decision, GrammarRouter, ProbeRouter, Router

if TYPE_CHECKING:
    from .native import NativeExpert

Rewriter = Callable[[str], Call]


@dataclass(frozen=True)
class Reply:
    """text: what follows the prompt, with the canonical form in front if there is one. form: that, "" where the prompt was
    left as it is; `reason` then says why. events: see Bypass. tokens: generated, forced ones among them."""

    prompt: str
    form: str
    reason: str
    text: str
    events: tuple[BypassEvent, ...]
    tokens: int


class Chat:
    """model, tokenizer: of transformers. rewrite: makes a prompt the canonical form; None leaves all prompts as they are.
    native: installed in the model; it calls its experts then, and there is no bypass."""

    def __init__(
        self, model: Any, tokenizer: Any, experts: Experts, *, router: Router | None = None, rewrite: Rewriter | None = None,
        native: NativeExpert | None = None, timeout: float | None = None,
    ):  # fmt: skip
        self.tokenizer = self._tokenizer = tokenizer
        self._model, self._rewrite, self._native = model, rewrite, native
        self._bypass = Bypass(model, tokenizer, experts, router or GrammarRouter(), timeout=timeout)

    def reply(self, prompt: str, max_new_tokens: int = 128, streamer: Any = None) -> Reply:
        """Greedy, up to so many tokens. streamer: of transformers."""
        form = reason = ""
        if self._rewrite is not None:
            try:
                form = self._rewrite(prompt).text
            except NotUnderstood as error:
                reason = str(error)
        text = self._asked(prompt) + form
        inputs = self._tokenizer(text, return_tensors="pt", add_special_tokens=not self._template).to(self._model.device)
        inputs.pop("token_type_ids", None)
        pad = self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else self._tokenizer.eos_token_id
        known = len(self._events())
        with nullcontext(self._native) if self._native else self._bypass as processor:
            made = self._model.generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False, logits_processor=[processor], streamer=streamer,
                pad_token_id=pad,
            )  # fmt: skip
        new = made[0, inputs["input_ids"].shape[1] :].tolist()
        return Reply(prompt, form, reason, form + text_of(self._tokenizer, new), tuple(self._events()[known:]), len(new))

    def _events(self) -> list[BypassEvent]:
        if self._native is None:
            return self._bypass.events
        decisions = [(r, Decision(r.answer.call if r.answer else None)) for r in self._native.results]
        return [BypassEvent(0, r.before, decision, r.answer, r.forced) for r, decision in decisions]

    @property
    def _template(self) -> bool:
        return getattr(self._tokenizer, "chat_template", None) is not None

    def _asked(self, prompt: str) -> str:
        if self._template:
            message = [{"role": "user", "content": prompt}]
            return self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        return prompt + ("\n" if self._rewrite is not None and not prompt.endswith("\n") else "")


def open_model(name: str, device: str | None = None) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, by whatever `from_pretrained` takes. Raises ExpertError."""
    import logging

    import transformers

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(name)
        return (model.to(device) if device else model).eval(), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExpertError(f"{name}: no causal language model with its tokenizer: {reason}") from None


def router_of(name: str) -> Router:
    """"grammar", or the file of a probe. Raises ExpertError."""
    if name == "grammar":
        return GrammarRouter()
    from .probe import load_probe

    return ProbeRouter(load_probe(name))
