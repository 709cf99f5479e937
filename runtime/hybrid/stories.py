"""Word problems of one step: two numbers, and verbs that say what becomes of the second. What is not certain is refused."""

from __future__ import annotations

import re

from .canonical import Call, number
from .errors import NotUnderstood

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)")

_GAIN = (
    r"(?:gets?|got)(?! off)|receives?|received|buys?|bought|finds?|found|picks?|picked|earns?|earned|wins?|won|"
    r"collects?|collected|joins?|joined|arrives?|arrived|adds?|added|saves?|saved|more come|come in|came in|plants?|planted|"
    r"gains?|gained|"
    r"borrows?|borrowed|is given|are given|was given|were given|gives? (?:him|her|them|me|us|it)|gave (?:him|her|them|me|us|it)|"
    r"rises?|rose|grows?|grew|bakes? \d+ more|baked \d+ more|another|extra"
)
_LOSS = (
    r"gives? away|gave away|gives? \d+|gave \d+|loses?|lost|eats?|ate|sells?|sold|spends?|spent|uses?|used|breaks?|broke|"
    r"donates?|donated|drops?|dropped|drinks?|drank|leaves?|left early|flies? away|flew away|fly away|runs? away|ran away|"
    r"throws? away|threw away|throws? out|get off|gets off|got off|go home|goes home|went home|removes?|removed|takes? away|"
    r"took away|falls?|fell|burns?|burned|are stolen|were stolen|is stolen|pays?|paid|lends?|lent|melts?|melted|dies?|died|"
    r"cuts? off|returns?|returned"
)
_EACH = r"each|per|every|apiece|rows? of|boxes of|bags of|packs? of|times as many|times as much"
_SHARE = (
    r"(?:shares?|shared|splits?|split|divides?|divided|distributes?|distributed|handed out|deals?|dealt|packs?|packed|puts?|"
    r"put|cuts?|cut|arranges?|arranged)\b[^.?!]*\b(?:equally|evenly|among|between|into \d+ equal|in \d+ equal)"
)
_MORE_THAN = r"how (?:many|much) (?:more|fewer|less|older|younger|taller|heavier)\b.*\bthan|what is the difference"
_TOGETHER = r"altogether|in all|in total|total|together|combined"
_ASKED = re.compile(r"how (?:many|much|old|far|long|tall|heavy)|what|\?|total|altogether|find|calculate|now (?:has|have)|more$")


def story(text: str) -> Call:
    """The call of a short story, in lower case, with digits. Raises NotUnderstood."""
    numbers = _NUMBER.findall(text)
    if len(numbers) != 2:
        raise NotUnderstood(f"{_short(text)}: {_count(len(numbers))}; two, and what to do with them, are needed")
    # "The other day" in a date or a name: a digit that is part of something else makes the whole uncertain.
    if re.search(r"\d\w|\w\d|\d[%:/]\d|\d\s*%", re.sub(_NUMBER, "", text)) or "%" in text:
        raise NotUnderstood(f"{_short(text)}: a number in it is not a plain one")
    first, second = numbers
    if re.search(rf"\b(?:{_MORE_THAN})", text):
        high, low = (first, second) if float(first) >= float(second) else (second, first)
        return _made("sub", high, low)
    if re.search(rf"\b(?:{_SHARE})", text):
        if re.search(r"\bbetween \d+ and\b", text):
            raise NotUnderstood(f"{_short(text)}: who gets how much is not said")
        return _made("div", first, second) if float(first) >= float(second) else _made("div", second, first)
    behind = text[text.index(first) + len(first) :]  # what comes after the first number decides
    gain, loss = (bool(re.search(rf"\b(?:{verbs})\b", behind)) for verbs in (_GAIN, _LOSS))
    more = bool(re.search(rf"\b{re.escape(second)} more\b(?! than)", text))
    if re.search(rf"\b(?:{_EACH})\b", text) and not more and not loss:
        if re.search(r"how many (?:\w+ ){0,3}(?:are needed|do (?:they|we|you) need|can)", text):
            raise NotUnderstood(f"{_short(text)}: whether to multiply or to divide is not certain")
        return _made("mul", first, second)
    if (gain or more) and not loss:
        return _made("add", first, second)
    if loss and not gain and not more:
        return _made("sub", first, second)
    if gain and loss:
        raise NotUnderstood(f"{_short(text)}: something is gained and something is lost")
    if re.search(rf"\b(?:{_TOGETHER})\b", text) and _ASKED.search(text):
        return _made("add", first, second)
    raise NotUnderstood(f"{_short(text)}: what to do with {first} and {second} is not said")


def _made(name: str, first: str, second: str) -> Call:
    return Call(name, (number(first), number(second)))


def _count(count: int) -> str:
    return "no number" if not count else "one number" if count == 1 else f"{count} numbers"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
