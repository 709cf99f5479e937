"""tokenizer.json and tokenizer_config.json: text is the names of tokens with white space between, nothing else.

A word that is no token's name is an error, not a token of its own. The prefix that every sequence begins with is put in front by
the tokenizer: as a template around what is tokenized, and in a chat, where templates are not used, in the place of `PREFIX`.
"""

from __future__ import annotations

from typing import Any

from ..format.checkpoint import Model
from .chat import PREFIX, chat_template
from .config import longest, special_ids


def tokenizer(model: Model) -> dict[str, Any]:
    """tokenizer.json, of the `tokenizers` library."""
    t = model.transformer
    names = [t.vocabulary[token] for token in t.prefix]
    special = {"id": PREFIX, "ids": t.prefix.tolist(), "tokens": names}
    before: list[dict[str, Any]] = [{"SpecialToken": {"id": PREFIX, "type_id": 0}}] if names else []
    texts = [{"Sequence": {"id": part, "type_id": 0}} for part in "AB"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(t.vocabulary[token], token) for token in _special_tokens(model)],
        "normalizer": {"type": "Replace", "pattern": {"String": PREFIX}, "content": " ".join(names)},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*before, texts[0]],
            "pair": [*before, *texts],
            "special_tokens": {PREFIX: special} if names else {},
        },
        "decoder": None,
        # There is no token of that name, so that an unknown word is an error.
        "model": {"type": "WordLevel", "vocab": {n: k for k, n in enumerate(t.vocabulary)}, "unk_token": "<unknown>"},
    }


def tokenizer_config(model: Model) -> dict[str, Any]:
    """tokenizer_config.json. Shorter rows of a batch are filled up on the left, as `generate` needs them."""
    t = model.transformer
    ids = special_ids(t)
    names = {"bos_token": ids["bos_token_id"], "eos_token": ids["pad_token_id"], "pad_token": ids["pad_token_id"]}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{key: None if token is None else t.vocabulary[token] for key, token in names.items()},
        "padding_side": "left",
        "model_max_length": longest(t),
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "chat_template": chat_template(model),
    }


def _special_tokens(model: Model) -> list[int]:
    """Those that are left out of the text of an answer."""
    ids = special_ids(model.transformer)
    return sorted({ids[key] for key in ("bos_token_id", "pad_token_id")} - {None})


def _added(name: str, token: int) -> dict[str, Any]:
    flags = {"single_word": True, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token, "content": name, **flags}
