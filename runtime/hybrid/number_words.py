"""Numbers spelled in English words, as digits."""

from __future__ import annotations

import re

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SMALL = {word: k for k, word in enumerate(_UNITS)} | {word: 20 + 10 * k for k, word in enumerate(_TENS)}
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "twentieth": 20, "thirtieth": 30, "fiftieth": 50,
    "hundredth": 100,
}  # fmt: skip

_WORD = "|".join([*SMALL, *SCALES])
_SPELLED = re.compile(rf"\b(?:{_WORD})(?:(?:\s+|-|\s+and\s+)(?:{_WORD}))*\b")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
_SCALED = re.compile(r"(?<![\d.])(\d+) (hundred|thousand|million|billion|trillion)\b(?! and)")
_DOZEN = re.compile(r"\b(?:a dozen|(\d+) dozens?)\b")


def digits(text: str) -> str:
    """Lower-case text with every spelled number in digits: "twenty-five" is 25, "2 thousand" 2000, "12,500" 12500, "third"
    after "the" 3rd. Two numbers beside each other stay two."""
    text = _GROUPED.sub(lambda m: m[0].replace(",", ""), text)
    text = _SCALED.sub(lambda m: str(int(m[1]) * SCALES[m[2]]), text)
    text = _SPELLED.sub(lambda m: _spelled(m[0]), text)
    text = _DOZEN.sub(lambda m: str(12 * int(m[1] or 1)), text)
    return re.sub(r"\bthe (\w+)(?= (?:fibonacci|power))", _ordinal, text)


def _ordinal(match: re.Match[str]) -> str:
    return f"the {_ORDINALS[match[1]]}th" if match[1] in _ORDINALS else match[0]


def _spelled(phrase: str) -> str:
    """One or several numbers: a word that cannot go on with the number before it begins another."""
    numbers: list[str] = []
    total = part = 0
    least = 10**15  # what is added next has to be below this
    begun = False
    for word in re.split(r"[\s-]+", phrase):
        if word == "and":
            if not (begun and least in (100, 1000, 10**6)):  # "one and two" are two numbers
                numbers, begun = _closed(numbers, total + part, begun), False
                total, part, least = 0, 0, 10**15
                numbers.append("and")
            continue
        if word in SCALES and begun and part and SCALES[word] > part:
            scale = SCALES[word]
            if scale == 100:
                part, least = part * 100, 100
            else:
                total, part, least = total + part * scale, 0, scale
            continue
        value = SCALES.get(word, SMALL.get(word, 0))
        if begun and not (0 < value < least):
            numbers = _closed(numbers, total + part, True)
            total, part = 0, 0
        part += value
        least = 10 if value in range(20, 100, 10) else 0 if value < 100 else 100
        begun = True
    return " ".join(_closed(numbers, total + part, begun))


def _closed(numbers: list[str], value: int, begun: bool) -> list[str]:
    return [*numbers, str(value)] if begun else numbers
