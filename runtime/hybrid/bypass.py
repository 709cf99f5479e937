"""The bypass: inside stock `generate()`, at "=", the compiled transformer runs and its result's tokens are forced.

    with Bypass(model, tokenizer, experts) as bypass:
        model.generate(**inputs, logits_processor=[bypass])
    bypass.events[0].answer.verify().ok

A LogitsProcessor, and a forward hook where the router reads the hidden state; no subclass of the model. What is forced at a
place depends on the tokens before it alone, so batches, beams, sampling, streamers and stop strings are as without it. Needs
torch. """

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .errors import ExpertError
from .experts import Answer, Experts
from .forcing import Closing, text_of, tokens_for
from .layers import decoder_layers, layer_output
from .routers import Decision, GrammarRouter, Router


@dataclass(frozen=True)
class BypassEvent:
    """One "=" that the router looked at. before: the tokens up to there. forced: those of the result, none where nothing was
    called; `reason` says why."""

    row: int
    before: tuple[int, ...]
    decision: Decision
    answer: Answer | None
    forced: tuple[int, ...]
    reason: str = ""


class Bypass:
    """Usable as one of `generate`'s logits processors while it is entered. router: by default the grammar. max_tokens,
    timeout: of a call of the compiled transformer. events: one for each "=" looked at, in order."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        experts: Experts,
        router: Router | None = None,
        *,
        max_tokens: int | None = None,
        timeout: float | None = None,
    ):
        self._model, self._tokenizer, self._experts = model, tokenizer, experts
        self._router: Router = router or GrammarRouter()
        self._limits: dict[str, Any] = {"max_tokens": max_tokens, "timeout": timeout}
        self.events: list[BypassEvent] = []
        self._by_prefix: dict[tuple[int, ...], BypassEvent] = {}
        self._state: torch.Tensor | None = None
        self._hook: Any = None
        self._seen: set[tuple[int, ...]] = set()  # the rows of the step before this one
        self._signs: dict[int, bool] = {}
        self._closing = Closing(tokenizer)

    @property
    def answers(self) -> list[Answer]:
        return [event.answer for event in self.events if event.answer is not None]

    def __enter__(self) -> Bypass:
        if self._router.layer is not None:
            layers = decoder_layers(self._model)
            if not 0 <= self._router.layer < len(layers):
                raise ExpertError(f"the router reads layer {self._router.layer}; the model has {len(layers)}")
            self._hook = layers[self._router.layer].register_forward_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _keep(self, module: Any, inputs: Any, output: Any) -> None:
        self._state = layer_output(output)[:, -1]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """[rows, n], [rows, vocabulary] -> scores with one finite entry in the rows where a result is being written."""
        rows = input_ids.tolist()
        start = tuple(rows[0][:-1]) not in self._seen  # what there is now is a prompt
        self._seen = {tuple(ids) for ids in rows}
        forced: dict[int, int] = {}
        for row, ids in enumerate(rows):
            token = self._next(ids)
            if token is None and (start or self._is_sign(ids[-1])):
                event = self._look(row, ids)
                token = event.forced[0] if event and event.forced else None
            if token is not None:
                forced[row] = token
        closed = [row for row, ids in enumerate(rows) if row not in forced and self._behind_a_number(ids)]
        if not forced and not closed:
            return scores
        scores = self._closing.close(scores, closed) if closed else scores.clone()
        for row, token in forced.items():
            scores[row] = float("-inf")
            scores[row, token] = 0.0
        return scores

    def _next(self, ids: list[int]) -> int | None:
        """The token that is due in a row, None where no result is being written in it."""
        for before, event in self._by_prefix.items():
            done = len(ids) - len(before)
            begun = 0 <= done < len(event.forced) and tuple(ids[len(before) :]) == event.forced[:done]
            if begun and tuple(ids[: len(before)]) == before:
                return event.forced[done]
        return None

    def _behind_a_number(self, ids: list[int]) -> bool:
        """Whether a digit here would make another number of a result: right behind it, or behind its point."""
        for before, event in self._by_prefix.items():
            end = len(before) + len(event.forced)
            if event.forced and 0 <= len(ids) - end <= 1 and tuple(ids[:end]) == (*before, *event.forced):
                return event.answer is not None and self._closing.due(event.answer.text, ids[end:])
        return False

    def _is_sign(self, token: int) -> bool:
        if token not in self._signs:
            self._signs[token] = text_of(self._tokenizer, [token]).rstrip().endswith("=")
        return self._signs[token]

    def _look(self, row: int, ids: list[int]) -> BypassEvent | None:
        text = text_of(self._tokenizer, ids)
        before = tuple(ids)
        if not text.rstrip(" ").endswith("=") or before in self._by_prefix:
            return None
        state = self._state[row] if self._state is not None and row < len(self._state) else None
        decision = self._router.decide(text, state)
        event = self._event(row, before, text, decision)
        self.events.append(event)
        self._by_prefix[before] = event
        return event

    def _event(self, row: int, before: tuple[int, ...], text: str, decision: Decision) -> BypassEvent:
        if decision.call is None:
            return BypassEvent(row, before, decision, None, (), decision.reason)
        try:
            answer = self._experts.answer(decision.call, **self._limits)
            space = "" if text.endswith(" ") else " "
            forced = tokens_for(self._tokenizer, before, space + answer.text)
        except ExpertError as error:
            return BypassEvent(row, before, decision, None, (), str(error))
        return BypassEvent(row, before, decision, answer, tuple(forced))


