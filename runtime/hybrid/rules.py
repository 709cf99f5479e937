"""Free English text to the canonical form, by rules: a reader for what people write most, which refuses everything else.

One operation a text. The order is: calls, expressions with signs or words, phrases ("the sum of"), then short
stories (`stories`). Names are given in any capitals.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import canonical
from .canonical import Call
from .errors import NotUnderstood
from .number_words import digits
from .stories import story

NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"

# Other names of experts, as people write them.
SYNONYMS = {
    "plus": "add", "addition": "add", "minus": "sub", "subtract": "sub", "subtraction": "sub", "times": "mul",
    "multiply": "mul", "multiplication": "mul", "divide": "div", "division": "div", "fibonacci": "fib", "pow": "power",
    "fact": "factorial", "mod": "remainder", "prod": "product",
}  # fmt: skip

# What may stand around a question or a command.
_BEFORE = re.compile(
    r"^(?:(?:hi|hey|hello|ok|okay|so|now|well|q|question|please|kindly|then|and)\b[,:!]?\s*|"
    r"(?:can|could|would|will) you (?:please )?(?=\w)|"
    r"(?:tell me|let me know|show me|give me|find out|find|work out|figure out|compute|calculate|evaluate|determine|solve|"
    r"i need to know|i want to know|i'd like to know|do you know|what(?= -?\d)|do|the answer to)\b:?\s*|"
    r"(?:what's|whats|what is|what does|what do you get (?:if|when) you|how much is|how much are|how many is|what are)\s+|"
    r"(?:the )?(?:value|result|answer) of\s+)"
)
_AFTER = re.compile(
    r"(?:\s*(?:[.?!:=]|,?\s*please|,?\s*thanks|,?\s*thank you|\bequals?(?: what)?|\bis what|\bis how much|\bis|\bmake|"
    r"\bmakes|\bgive|\bgives|\bcome to|\bfor me))+$"
)

_WORDS = {
    "plus": "add", "added to": "add", "and": "", "minus": "sub", "less": "", "take away": "sub", "times": "mul", "x": "mul",
    "×": "mul", "·": "mul", "multiplied by": "mul", "divided by": "div", "over": "div", "÷": "div", ":": "",
    "mod": "remainder", "modulo": "remainder", "to the power of": "power", "to the power": "power", "raised to": "power",
    "raised to the power of": "power", "^": "power", "**": "power", "is greater than": "gt", "is larger than": "gt",
    "is bigger than": "gt", "is more than": "gt", "is less than": "lt", "is smaller than": "lt", "is equal to": "eq",
    "equal to": "eq", "greater than": "gt", "larger than": "gt", "bigger than": "gt", "smaller than": "lt", "more than": "",
    "less than": "", "at least": "ge", "at most": "le",
}  # fmt: skip
_SIGNED = sorted((w for w, name in _WORDS.items() if name), key=len, reverse=True)
_INFIX = re.compile(rf"{NUMBER}\s*({'|'.join(map(re.escape, [*canonical.OPERATORS, *_SIGNED]))})\s*{NUMBER}")
_IS = re.compile(rf"(?:is|whether)\s+{NUMBER}\s+({'|'.join(map(re.escape, [*_SIGNED, 'more than', 'less than']))})\s+{NUMBER}")

_UP_TO = rf"(?:from\s+|between\s+)?{NUMBER}\s*(?:to|through|up to|\.\.\.?|-)\s*{NUMBER}"
_ALL = r"(?:all\s+|every\s+)?(?:of\s+)?(?:the\s+)?(?:whole\s+|natural\s+|consecutive\s+)?(?:numbers?|integers?)\s*"

Pattern = tuple[str, str, Callable[[list[str]], tuple[str, ...]]]


def _as_they_are(numbers: list[str]) -> tuple[str, ...]:
    return tuple(numbers)


def _turned(numbers: list[str]) -> tuple[str, ...]:
    return tuple(reversed(numbers))


def _with(value: str, first: bool = False) -> Callable[[list[str]], tuple[str, ...]]:
    return lambda numbers: (value, *numbers) if first else (*numbers, value)


_PHRASES: tuple[Pattern, ...] = (
    (rf"(?:the )?(?:sum|total) of {_ALL}{_UP_TO}", "sum", _as_they_are),
    (rf"(?:add|sum)(?: up)? {_ALL}{_UP_TO}", "sum", _as_they_are),
    (rf"sum {_UP_TO}", "sum", _as_they_are),
    (rf"(?:the )?sum of the first {NUMBER} (?:positive |natural |whole )?(?:numbers|integers)", "sum", _with("1", True)),
    (rf"(?:add|sum)(?: up)? the first {NUMBER} (?:positive |natural |whole )?(?:numbers|integers)", "sum", _with("1", True)),
    (rf"(?:the )?product of {_ALL}{_UP_TO}", "product", _as_they_are),
    (rf"multiply {_ALL}{_UP_TO}", "product", _as_they_are),
    (rf"product {_UP_TO}", "product", _as_they_are),
    (rf"(?:the )?(?:sum|total) of {NUMBER} (?:and|plus) {NUMBER}", "add", _as_they_are),
    (rf"(?:the )?product of {NUMBER} (?:and|times) {NUMBER}", "mul", _as_they_are),
    (rf"(?:the )?difference (?:between|of) {NUMBER} and {NUMBER}", "sub", _as_they_are),
    (rf"(?:the )?(?:quotient|ratio) of {NUMBER} (?:and|to) {NUMBER}", "div", _as_they_are),
    (rf"(?:the )?remainder (?:of|when) {NUMBER} (?:is )?(?:divided by|by|over) {NUMBER}", "remainder", _as_they_are),
    (rf"(?:add|sum)(?: up)?(?: together)? {NUMBER} (?:and|to|plus|with) {NUMBER}(?: together| up)?", "add", _as_they_are),
    (rf"{NUMBER} and {NUMBER} (?:added|together|added together|summed)", "add", _as_they_are),
    (rf"(?:subtract|take|take away|deduct) {NUMBER} (?:away )?from {NUMBER}", "sub", _turned),
    (rf"{NUMBER} (?:is )?(?:subtracted|taken away|taken) from {NUMBER}", "sub", _turned),
    (rf"{NUMBER} more than {NUMBER}", "add", _turned),
    (rf"{NUMBER} less than {NUMBER}", "sub", _turned),
    (rf"decrease {NUMBER} by {NUMBER}", "sub", _as_they_are),
    (rf"increase {NUMBER} by {NUMBER}", "add", _as_they_are),
    (rf"multiply {NUMBER} (?:by|with|and|times) {NUMBER}", "mul", _as_they_are),
    (rf"divide {NUMBER} by {NUMBER}", "div", _as_they_are),
    (rf"divide {NUMBER} into {NUMBER} equal parts", "div", _as_they_are),
    (rf"(?:twice|double|two times) {NUMBER}", "mul", _with("2", True)),
    (rf"(?:triple|thrice) {NUMBER}", "mul", _with("3", True)),
    (rf"half (?:of )?{NUMBER}", "div", _with("2")),
    (rf"(?:a|one) third of {NUMBER}", "div", _with("3")),
    (rf"(?:a|one) quarter of {NUMBER}", "div", _with("4")),
    (rf"{NUMBER} squared", "power", _with("2")),
    (rf"(?:the )?square of {NUMBER}", "power", _with("2")),
    (rf"{NUMBER} cubed", "power", _with("3")),
    (rf"(?:the )?cube of {NUMBER}", "power", _with("3")),
    (rf"{NUMBER} to the {NUMBER}(?:th|st|nd|rd)?(?: power)?", "power", _as_they_are),
    (rf"raise {NUMBER} to (?:the )?(?:power (?:of )?)?{NUMBER}(?:(?:th|st|nd|rd) power)?", "power", _as_they_are),
    (rf"(?:the )?factorial (?:of )?{NUMBER}", "factorial", _as_they_are),
    (rf"{NUMBER} factorial", "factorial", _as_they_are),
    (rf"(?:the )?{NUMBER}(?:th|st|nd|rd) fibonacci(?: number)?", "fib", _as_they_are),
    (rf"(?:the )?fibonacci(?: number)?(?: of)? (?:number )?{NUMBER}", "fib", _as_they_are),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), name, order) for pattern, name, order in _PHRASES)


def rewrite(text: str) -> Call:
    """The call that a text asks for. Raises NotUnderstood, with the reason, for what is no call or not for certain one."""
    text = " ".join(text.split())
    if not text:
        raise NotUnderstood("the text is empty")
    if call := _functional(text):
        return call
    asked = digits(text.lower().replace("−", "-").replace("’", "'"))
    bare = _bare(asked)
    if call := _functional(bare) or _infix(bare) or _phrase(bare):
        return call
    return story(_lower_story(text))


def _lower_story(text: str) -> str:
    return digits(text.lower().replace("’", "'"))


def _bare(text: str) -> str:
    """Without what surrounds a question or a command. "5!" keeps its sign."""
    text = re.sub(r"(\d)\s?!(?=\s*[?.=]*$)", r"\1 factorial", text)
    text = re.sub(r"\b(?:negative|minus) (?=\d)", lambda m: "-" if _stands_alone(text, m.start()) else m[0], text)
    before = None
    while before != text:
        before = text
        text = _BEFORE.sub("", text).strip()
    return re.sub(r"(?<=\d)\s*(?:and|,)?\s*(?:what is|what's) (?:it|that)$", "", _AFTER.sub("", text)).strip()


def _stands_alone(text: str, at: int) -> bool:
    """Whether "minus" at this place is a sign: there is no number before it."""
    return text.startswith("negative", at) or not re.search(r"\d\s*$", text[:at])


def _functional(text: str) -> Call | None:
    """name(args), in any capitals, with or without = behind it."""
    found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(\(.*\))\s*[=?.]*\s*", text, re.DOTALL)
    if not found or found[1].lower() in ("what", "is", "so"):
        return None
    name = found[1].lower()
    return canonical.parse(f"{SYNONYMS.get(name, name)}{found[2]} =")


def _infix(text: str) -> Call | None:
    """Two numbers with a sign or words between them, or a question whether they compare so."""
    if compared := _IS.fullmatch(text):
        name = _WORDS[compared[2]] or ("gt" if compared[2].startswith("more") else "lt")
        return _call(name, compared[1], compared[3]) if name in ("gt", "lt", "eq", "ge", "le") else None
    found = _INFIX.fullmatch(text)
    if not found:
        return None
    return _call(canonical.OPERATORS.get(found[2]) or _WORDS[found[2]], found[1], found[3])


def _phrase(text: str) -> Call | None:
    found = {
        (name, order(list(match.groups())))
        for pattern, name, order in _COMPILED
        if (match := pattern.fullmatch(text))
    }
    if len(found) > 1:
        raise NotUnderstood(f"{text}: this may mean {' or '.join(sorted(name for name, _ in found))}")
    for name, numbers in found:
        return _call(name, *numbers)
    return None


def _call(name: str, *numbers: str) -> Call:
    return Call(name, tuple(canonical.number(n) for n in numbers))
