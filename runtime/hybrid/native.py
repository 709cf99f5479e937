"""The native expert: one expert slot of a mixture-of-experts layer is the compiled transformer. Needs torch.

The model stays of its stock class (OLMoE, Mixtral, Qwen2-MoE, Qwen3-MoE, GPT-OSS). Its router's row for the slot is set by
`router_row`; the slot's own weights are 0; what the slot puts out, for the tokens that the router gives it, is

    u_t = alpha pinv(W_U diag(gamma)) e_t        t: the token of the result that comes next

so that the unembedding behind the final norm picks t. Where the slot is not chosen, or has nothing to say (no call before that
token, or its result is written out), the stock router's choice among the other experts stands. Operands come from the
tokens, as for the bypass: hidden states do not hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .errors import ExpertError
from .experts import Answer, Experts
from .forcing import Closing, text_of, tokens_for
from .layers import decoder_layers
from .router_row import closed_form_row, trained_row
from .routers import GrammarRouter
from .slot import ExpertSlot, block_of, make_slot

LONGEST_RESULT = 20_000  # tokens


@dataclass(frozen=True)
class NativeResult:
    """One call: tokens before its result, the answer, the result's tokens."""

    before: tuple[int, ...]
    answer: Answer | None
    forced: tuple[int, ...]


class NativeExpert:
    """Put into `model` by `install`, taken out again by `remove`. layer: of a mixture of experts, the last by default: what
    the slot puts out is then read by the head alone. slot: which expert is replaced; None adds one, and all others stay.
    alpha: length of the output against that of the residual stream. row, bias: of the router, once it is installed.
    results: the calls whose result was begun. chosen, declined: tokens the router gave the slot, and those of them that it
    had nothing to say for. finished: tokens of a result that had begun, which the router had not given it."""

    def __init__(
        self, model: Any, tokenizer: Any, experts: Experts, *, layer: int | None = None, slot: int | None = None,
        alpha: float = 1e3,
    ):  # fmt: skip
        self._model, self._tokenizer, self._experts = model, tokenizer, experts
        layers = decoder_layers(model)
        self.layer = len(layers) - 1 if layer is None else layer
        self._block = block_of(layers[self.layer])
        self.alpha, self._grammar, self.replaced = alpha, GrammarRouter(), slot
        self.row, self.bias = torch.empty(0), 0.0
        self._hooks: list[Any] = []
        self._slot: ExpertSlot | None = None
        self._ids = torch.empty(0, 0, dtype=torch.long)
        self._new = 0
        self._by_prefix: dict[tuple[int, ...], NativeResult] = {}
        self._closing = Closing(tokenizer)
        self._begun: dict[tuple[int, ...], None] = {}
        self._pieces: dict[int, str] = {}
        self._due: torch.Tensor | None = None
        self._share = torch.empty(0)
        self.chosen = self.declined = self.finished = 0

    @property
    def results(self) -> list[NativeResult]:
        return [self._by_prefix[before] for before in self._begun]

    def install(self, texts: Sequence[str], *, trained: bool = False) -> None:
        """Sets the router's row from texts in which calls are written out with their results ("15 + 7 = 22. ..."): the slot is
        wanted at "=" of every call and at every token of its result, or where no row tells these apart, at "=" alone.

        trained: by gradient descent on that row, with everything else frozen, instead of in closed form (`router_row`).
        Raises ExpertError where no row does that."""
        states, wanted, signs = self._examples(texts)
        others = self._block.logits(states)
        if self.replaced is not None:
            others = torch.cat([others[:, : self.replaced], others[:, self.replaced + 1 :]], 1)
        find = trained_row if trained else closed_form_row
        with_bias, top_k = self._block.bias is not None, int(self._block.router.top_k)
        row = None
        for kept, chosen in ((torch.ones_like(wanted), wanted), (~wanted | signs, signs)):
            row = row or find(states[kept], chosen[kept], others[kept], top_k, with_bias)
        if row is None:
            raise ExpertError("no row of the router tells the tokens of calls from others")
        self.install_row(*row)

    def install_row(self, row: torch.Tensor, bias: float) -> None:
        """The same with a row of the router that is known: float32 [width], and its bias where the router has one."""
        if len(row) != self._block.router.weight.shape[1]:
            raise ExpertError(f"the row has {len(row)} entries, the router reads {self._block.router.weight.shape[1]}")
        self._directions = self._unembedding()
        self.row, self.bias = row, bias
        self._slot = make_slot(self._block, self.replaced, row, bias)
        self._hooks = [
            self._model.register_forward_pre_hook(self._before, with_kwargs=True),
            self._block.router.register_forward_hook(self._routed),
            self._block.experts.register_forward_hook(self._computed),
        ]

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        if self._slot is not None:
            self._slot.undo()
        self._hooks, self._slot = [], None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As one of `generate`'s logits processors, which it need not be: then no digit of the model's own follows a result."""
        closed = [row for row, ids in enumerate(input_ids.tolist()) if self._is_complete(ids)]
        return self._closing.close(scores, closed) if closed else scores

    def _is_complete(self, ids: list[int]) -> bool:
        for behind in (0, 1):
            forced, done = self._place(ids[: len(ids) - behind])
            if forced and done == len(forced):
                return self._closing.due(text_of(self._tokenizer, forced), ids[len(ids) - behind :])
        return False

    # --- what comes next in a text

    def due(self, ids: Sequence[int]) -> int | None:
        """The token that the compiled transformer has to say behind these, None where it has nothing to say."""
        forced, done = self._place(ids)
        return forced[done] if done < len(forced) else None

    def _place(self, ids: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The result that is being written behind these tokens, and how many of its tokens are written; () where there is
        none."""
        at = self._sign(ids)
        forced = self._result(tuple(ids[:at])).forced if at else ()
        done = len(ids) - at
        return (forced, done) if done <= len(forced) and tuple(ids[at:]) == forced[:done] else ((), 0)

    def _sign(self, ids: Sequence[int]) -> int:
        """The number of tokens up to the last "=" of the line, 0 where it has none."""
        at = len(ids)
        while at and "=" not in (piece := self._piece(ids[at - 1])):
            if "\n" in piece or len(ids) - at > LONGEST_RESULT:
                return 0
            at -= 1
        return at

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            self._pieces[token] = text_of(self._tokenizer, [token])
        return self._pieces[token]

    def _result(self, before: tuple[int, ...]) -> NativeResult:
        if before not in self._by_prefix:
            answer, forced = None, list[int]()
            try:
                call = self._grammar.decide(text_of(self._tokenizer, before)).call
                if call is not None:
                    answer = self._experts.answer(call)
                    forced = tokens_for(self._tokenizer, before, f" {answer.text}")
            except ExpertError:
                answer = None
            self._by_prefix[before] = NativeResult(before, answer, tuple(forced))
        return self._by_prefix[before]

    # --- hooks, in the order in which they run

    def _before(self, module: Any, inputs: Any, kwargs: Any) -> None:
        """Keeps the tokens of every row: with a cache the model is given the new ones only."""
        ids = kwargs.get("input_ids", inputs[0] if inputs else None)
        if ids is None:
            raise ExpertError("the native expert reads tokens: the model was given none (inputs_embeds?)")
        cache = next((kwargs[k] for k in ("cache", "past_key_values") if kwargs.get(k) is not None), None)
        past = int(cache.get_seq_length()) if cache is not None else 0
        kept = self._ids[:, :past] if past and self._ids.shape[0] == ids.shape[0] else ids[:, :0]
        if kept.shape[1] != past:
            raise ExpertError(f"the native expert has not seen the {past} tokens in the cache: begin with the whole text")
        self._ids, self._new, self._due = torch.cat([kept.to(ids.device), ids], 1), ids.shape[1], None

    def _routed(self, module: Any, inputs: Any, output: Any) -> Any:
        """The router's choice; tokens for which the slot is not chosen, or has nothing to say, are routed as if it were not
        there."""
        assert self._slot is not None
        logits, weights, indices = output
        given = (indices == self._slot.number).any(-1)
        due = self._due_tokens(given.tolist()).to(logits.device)
        self._due, silent = due, due < 0
        self.chosen += int(given.sum())
        self.declined += int((given & silent).sum())
        self.finished += int((~given & ~silent).sum())
        weights, indices = weights.clone(), indices.clone()
        weights[~given & ~silent], indices[~given & ~silent, 0] = 0, self._slot.number
        weights[~given & ~silent, 0] = 1
        if silent.any():
            other_weights, other_indices = self._slot.route_without(inputs[0].reshape(len(indices), -1))
            weights = torch.where(silent[:, None], other_weights, weights)
            indices = torch.where(silent[:, None], other_indices, indices)
        self._share = (weights * (indices == self._slot.number)).sum(-1)
        return logits, weights, indices

    def _due_tokens(self, given: Sequence[bool]) -> torch.Tensor:
        """For each token of this forward pass what the slot says there, -1 for nothing. The router decides where a result
        begins; one that has begun is written to its end."""
        due = torch.full((len(given),), -1, dtype=torch.long)
        rows, past = self._ids.tolist(), self._ids.shape[1] - self._new
        for k, chosen in enumerate(given):
            row, column = divmod(k, self._new)
            ids = rows[row][: past + column + 1]
            before = tuple(ids[: self._sign(ids)]) if chosen or self._begun else ()
            if not before or not (chosen or before in self._begun):
                continue
            forced, done = self._place(ids)
            if done < len(forced):
                due[k] = forced[done]
                self._begun[before] = None
        return due

    def _computed(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        """What the experts put out, with the slot's share of it: its own weights are 0."""
        due = self._due
        if due is None or not bool((due >= 0).any()):
            return output
        output = output.clone()
        at = (due >= 0).nonzero().flatten()
        share = self.alpha * self._share[at, None] * self._directions.to(due.device)[due[at]]
        output.view(-1, output.shape[-1])[at] += share.to(output)
        return output

    # --- closed forms

    def _unembedding(self) -> torch.Tensor:
        """[vocabulary, width]: for each token the direction that makes the head pick it, of length 1. Raises ExpertError for
        a digit that the head cannot be made to pick."""
        head = self._model.get_output_embeddings().weight.detach().double()
        norm = final_norm(self._model)
        scaled = head * norm.double()
        directions = torch.linalg.pinv(scaled).T
        directions = directions / directions.norm(dim=1, keepdim=True)
        picked = (directions * norm.double() @ head.T).argmax(1)
        for character in "0123456789":
            for token in self._tokenizer(character, add_special_tokens=False).input_ids[-1:]:
                if int(picked[token]) != token:
                    raise ExpertError(f"the head cannot be made to pick {character!r}: no direction of the residual stream does")
        return directions.float()

    @torch.no_grad()
    def _examples(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the router reads at the tokens of the texts, whether the slot is wanted there, and whether a result begins.
        The last token of a result is left out: whether a number is complete is not in the hidden state; the slot may be
        chosen there, and has nothing to say."""
        states: list[torch.Tensor] = []
        kept: list[torch.Tensor] = []
        wanted: list[bool] = []
        signs: list[bool] = []
        hook = self._block.router.register_forward_pre_hook(
            lambda _, inputs: states.append(inputs[0].reshape(-1, inputs[0].shape[-1]))
        )
        try:
            for text in texts:
                ids = self._tokenizer(text, return_tensors="pt").input_ids.to(self._model.device)
                self._model(input_ids=ids)
                row = ids[0].tolist()
                places = [self._place(row[: k + 1]) for k in range(len(row))]
                kept.append(torch.tensor([not forced or done < len(forced) for forced, done in places]))
                used = [place for place in places if not place[0] or place[1] < len(place[0])]
                wanted += [bool(forced) for forced, _ in used]
                signs += [bool(forced) and done == 0 for forced, done in used]
        finally:
            hook.remove()
        return torch.cat([s[k] for s, k in zip(states, kept)]).float(), torch.tensor(wanted), torch.tensor(signs)


def final_norm(model: Any) -> torch.Tensor:
    """The weight of the norm before the unembedding. Raises ExpertError."""
    base = model.get_decoder() if hasattr(model, "get_decoder") else model.model
    norm = getattr(base, "norm", None)
    if norm is None or not hasattr(norm, "weight"):
        raise ExpertError(f"{type(model).__name__}: no final norm is found in it")
    return norm.weight.detach()
