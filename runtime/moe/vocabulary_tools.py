"""What a token by itself says of its expert: in other contexts, over the vocabulary, for control tokens. Needs torch."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from ...compiler.format.tokens import Kind
from ..errors import ArgumentError
from ..trace import table_of
from .prompts import Prompt, of_ids
from .result_table import Cell, ResultTable
from .routed_model import RoutedModel, number_of_tokens
from .study import Study

WORDS = "river house garden letter window market forest bridge stone winter".split()
CONTEXTS: dict[str, Callable[[random.Random], str]] = {
    "a number": lambda c: f"{c.randrange(1000)} ",
    "letters": lambda c: f"{c.choice('abcxyz')} {c.choice('ijkmnp')} ",
    "words": lambda c: f"{c.choice(WORDS)} {c.choice(WORDS)} ",
    "an operator": lambda c: f"{c.randrange(100)} {c.choice('+-*')} ",
}
ALONE = "nothing"
MOST_CONTROL = 8  # control tokens that are looked at


def context_test(
    study: Study, token: str | None = None, layers: Sequence[int] | None = None, count: int = 30, seed: int = 0
) -> ResultTable:  # fmt: skip
    """The first choice for one token in other contexts. Of a language model for "127" (or `token`; the last one where it is
    several) behind a number, letters, words, an operator, `count` times each: how often that is the expert of the token
    behind nothing. Of a compiled program for its most frequent token (or `token`) in the prompts: while which operation is
    under way."""
    if study.model.compiled:
        return _contexts_of_program(study, token, layers)
    made, same = _in_contexts(study.model, token or "127", count, seed)
    routing, at = made.routing, study.model.at(layers)
    last = np.flatnonzero(np.append(made.prompt[1:] != made.prompt[:-1], True))
    rows: list[tuple[Cell, ...]] = []
    context = np.array([p.category for p in made.prompts], dtype=object)
    for layer in at:
        first = np.full(len(made), -1)
        first[last] = routing.chosen[layer][last, 0]
        alone = int(first[last[context == ALONE][0]])
        for kind in dict.fromkeys(context):
            mine = np.zeros(len(made), bool)
            mine[last[context == kind]] = True
            best = int(np.bincount(first[mine]).argmax())
            rows.append((
                made.model.layers[layer], kind, int(mine.sum()), made.model.expert_names[best], made.share(first == best, mine),
                "-" if kind == ALONE else made.share(first == alone, mine),
            ))  # fmt: skip
    columns = ("layer", "behind", "#prompts", "expert", "#of them", "#as behind nothing")
    return ResultTable(f"the token {study.model.shown(same)} in other contexts", columns, rows)


def _in_contexts(model: RoutedModel, token: str, count: int, seed: int) -> tuple[Study, int]:
    """Prompts that end with the same token, and that token."""
    chosen = random.Random(seed)
    texts = [(kind, make(chosen) + token) for kind, make in CONTEXTS.items() for _ in range(count)]
    found = [(kind, text, np.array(model.tokenizer(text).input_ids, dtype=np.int64)) for kind, text in texts]
    ends = [int(ids[-1]) for _, _, ids in found]
    same = max(set(ends), key=ends.count)
    if ends.count(same) < len(ends) / 2:
        raise ArgumentError(f"{token!r} is not the same token in other contexts")
    prompts = [of_ids(model, token, ALONE, _behind_nothing(model, same))]
    prompts += [of_ids(model, text, kind, ids) for kind, text, ids in found if ids[-1] == same]
    return Study(model, prompts), same


def _behind_nothing(model: RoutedModel, token: int) -> np.ndarray:
    """With what the tokenizer puts in front of every text, and nothing else."""
    return np.array([*model.tokenizer("").input_ids, token], dtype=np.int64)


def _contexts_of_program(study: Study, token: str | None, layers: Sequence[int] | None) -> ResultTable:
    study.require()
    names = np.array([study.model.shown(t) for t in study.token.tolist()], dtype=object)
    kinds, counts = np.unique(names.astype(str), return_counts=True)
    chosen = token or str(kinds[counts.argmax()])
    here = names == chosen
    if not here.any():
        raise ArgumentError(f"the token {chosen!r} is not read in these calls; {', '.join(kinds[:12])} and others are")
    rows: list[tuple[Cell, ...]] = []
    for layer in study.model.at(layers)[-1:] if layers is None else study.model.at(layers):
        first = study.routing.chosen[layer][:, 0]
        for operation in sorted(set(study.category[here])):
            mine = here & (study.category == operation)
            best = int(np.bincount(first[mine]).argmax())
            rows.append((
                study.model.layers[layer], operation, int(mine.sum()), study.model.expert_names[best],
                study.share(first == best, mine), study.model.expert_names[int(study.truth[mine][0])],
            ))  # fmt: skip
    columns = ("layer", "operation under way", "#tokens", "expert", "#of them", "right")
    return ResultTable(f"the token {chosen} while other operations are under way", columns, rows)


def vocab_map(study: Study, layers: Sequence[int] | None = None, vocabulary: int = 2000) -> ResultTable:
    """Whether the token decides on the expert (the first choice), by layer.

    Of up to `vocabulary` tokens, each behind nothing: how many experts they go to, and how many of them to the most used
    one. Then in the prompts: how often the choice is that of the token behind nothing; how often it is the one that the
    token has most often in the other prompts ("foreseen by token"); and how often it is the most frequent of all there ("by
    none").
    """
    study.require()
    at = study.model.at(layers)
    alone = None if study.model.compiled else _map(study, vocabulary)
    rows: list[tuple[Cell, ...]] = []
    for layer in at:
        first = study.routing.chosen[layer][:, 0]
        row: tuple[Cell, ...] = (study.model.layers[layer],)
        if alone is not None:
            tokens, chosen = alone
            counts = np.bincount(chosen[layer], minlength=study.model.experts)
            of = dict(zip(tokens.tolist(), chosen[layer].tolist()))
            there = np.array([of.get(t, -1) for t in study.token.tolist()])
            most = study.model.expert_names[int(counts.argmax())]
            row = (*row, int((counts > 0).sum()), most, float(counts.max() / counts.sum()))
            row = (*row, study.share(there == first, there >= 0))
        by_token, by_none = (study.share(x == first) for x in _foreseen(study, first))
        rows.append((*row, by_token, by_none))
    columns: tuple[str, ...] = ("#foreseen by token", "#by none")
    notes = []
    if alone is not None:
        columns = ("#experts", "most used", "#by of tokens", "#in the prompts", *columns)
        notes = [f"{len(alone[0]):,} tokens of {number_of_tokens(study.model):,}, those of the prompts first"]
    return ResultTable("tokens and experts", ("layer", *columns), rows, notes)


def _map(study: Study, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and of each behind nothing the first choice of each layer: int [n], [L, n]."""
    special = set(study.model.tokenizer.all_special_ids)
    every = dict.fromkeys([*np.unique(study.token).tolist(), *range(number_of_tokens(study.model))])
    tokens = [t for t in every if t not in special][:vocabulary]
    made = Study(study.model, [of_ids(study.model, "", "", _behind_nothing(study.model, t), special) for t in tokens])
    last = np.flatnonzero(np.append(made.prompt[1:] != made.prompt[:-1], True))
    return np.array(tokens), made.routing.chosen[:, last, 0]


def _foreseen(study: Study, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each token the most frequent choice of the same token in all other prompts, and of any token there: int [T] each.
    What no other prompt has is foreseen as any token is."""
    experts = study.model.experts
    _, token = np.unique(study.token, return_inverse=True)
    hits = np.eye(experts)[first]
    by_token, by_prompt = np.zeros((token.max() + 1, experts)), np.zeros((len(study.prompts), experts))
    np.add.at(by_token, token, hits)
    np.add.at(by_prompt, study.prompt, hits)
    _, pair = np.unique(token * len(study.prompts) + study.prompt, return_inverse=True)
    own = np.zeros((pair.max() + 1, experts))
    np.add.at(own, pair, hits)
    others = by_token[token] - own[pair]
    anyone = (hits.sum(0) - by_prompt[study.prompt]).argmax(1)
    return np.where(others.any(1), others.argmax(1), anyone), anyone


def control_tokens(study: Study, layers: Sequence[int] | None = None) -> ResultTable:
    """Whether control tokens have an expert of their own: of each, put into the middle of every prompt, and of all of them,
    the most frequent first choice, beside how often all other tokens choose it. Of a compiled program: tokens by kind, as
    they are read."""
    made, control = _kinds_of_program(study) if study.model.compiled else _with_control(study)
    rows: list[tuple[Cell, ...]] = []
    others = control == ""
    for layer in made.model.at(layers):
        first = made.routing.chosen[layer][:, 0]
        for kind in [*sorted(set(control) - {""}), "all"]:
            mine = control == kind if kind != "all" else ~others
            if not mine.any():
                continue
            best = int(np.bincount(first[mine]).argmax())
            a, b = made.share(first == best, mine), made.share(first == best, others)
            own = "yes" if a.low > b.high else "no" if a.low <= b.value else "open"
            rows.append((made.model.layers[layer], kind, int(mine.sum()), made.model.expert_names[best], a, b, own))
    columns = ("layer", "control token", "#tokens", "expert", "#of them", "#of other tokens", "more often")
    return ResultTable("experts of control tokens", columns, rows)


def _with_control(study: Study) -> tuple[Study, np.ndarray]:
    """The prompts with each control token in their middle, and of every token which one it is, or ""."""
    study.require()
    tokenizer = study.model.tokenizer
    names = dict(zip(tokenizer.all_special_ids[:MOST_CONTROL], tokenizer.all_special_tokens[:MOST_CONTROL]))
    if not names:
        raise ArgumentError("the tokenizer has no control tokens")
    prompts: list[Prompt] = []
    for token in names:
        for p in study.prompts:
            half = len(p.ids) // 2
            ids = np.concatenate([p.ids[:half], [token], p.ids[half:]])
            prompts.append(of_ids(study.model, p.text, p.category, ids))
    made = Study(study.model, prompts)
    # The same prompt with another control token is no other prompt.
    made.prompt %= len(study.prompts)
    return made, np.array([names.get(t, "") for t in made.token.tolist()], dtype=object)


def _kinds_of_program(study: Study) -> tuple[Study, np.ndarray]:
    assert study.model.program is not None
    kinds = table_of(study.model.program).kind[study.token]
    return study, np.array(["" if k == Kind.DIGIT else Kind(int(k)).name.lower() for k in kinds], dtype=object)
