"""Classes of tokens by what stands before them, told from text alone: the patterns of experts."""

from __future__ import annotations

import re
from collections.abc import Sequence

START, PUNCTUATION, MIXED, UNUSED = "SEQUENCE_START", "PUNCTUATION", "MIXED", "UNUSED"
PATTERNS = (START, "AFTER_NUMBER", "AFTER_WORD", "AFTER_OPERATOR", "AFTER_CODE_KEYWORD", "AFTER_PUNCTUATION", PUNCTUATION)
KEYWORDS = frozenset(
    "def return if else elif for while in import from class function let const var print lambda try except True False None true "
    "false null and or not pass break continue".split()
)
_OPERATORS = frozenset("+-*/=<>%^&|~")
_LAST = re.compile(r"(\w+|[^\w\s])\s*$")
_TAIL = 80  # characters before a token that are looked at


def patterns(tokens: Sequence[str]) -> list[str]:
    """Of each token of a text, one of `PATTERNS`. tokens: their texts, which make up the whole; "" for a control token.

    SEQUENCE_START: nothing but control tokens before it. PUNCTUATION: the token itself is nothing else. Otherwise by the last
    word or sign before the token; the beginning of a word, within it, counts as a word.
    """
    found, before = [], ""
    for token in tokens:
        found.append(_pattern(before, token.strip()))
        before = (before + token)[-_TAIL:]
    return found


def _pattern(before: str, token: str) -> str:
    last = _LAST.search(before)
    if last is None:
        return START
    if token and all(_class(c) == PUNCTUATION for c in token):
        return PUNCTUATION
    return f"AFTER_{_class(last[1])}"


def _class(word: str) -> str:
    if word.isdigit():
        return "NUMBER"
    if word in KEYWORDS:
        return "CODE_KEYWORD"
    if word in _OPERATORS:
        return "OPERATOR"
    return "WORD" if re.fullmatch(r"\w+", word) else PUNCTUATION
