"""The canonical form of a call, `15 + 7 =` or `name(args) =`, and its parser, which refuses what is ambiguous.

    form       = (expression | call) "="
    expression = number operator number         operator: + - * / < <= > >= == !=
    call       = name "(" [ value { "," value } ] ")"
    value      = number | string | "[" [ number { "," number } ] "]"
    number     = ["-"] digits, without leading zeros or commas, with a fraction or an exponent: a float
    string     = as in JSON, in double quotes
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .errors import NotUnderstood

Value = int | float | str | tuple[int | float, ...]

OPERATORS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne",
}  # fmt: skip
_SIGNS = {name: sign for sign, name in OPERATORS.items()}
_DIGITS = 17  # more significant ones an f64 does not keep

_NUMBER = re.compile(r"-?\d[\d_,]*(?:\.\d*)?(?:[eE][+-]?\d+)?|-?\.\d+")
_PLAIN = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_OPERATOR = re.compile(r"<=|>=|==|!=|[-+*/<>]")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_NAME = re.compile(r"[A-Za-z_]\w*")
_SPACE = re.compile(r"[ \t]*")

# Words after which an expression begins anew. After any other it may be the end of a longer one ("five + 3 + 4 =").
_CONNECTORS = frozenset(
    "is so then that compute calculate evaluate thus hence gives because since where here now have get know says".split()
)
LONGEST = 20_000  # characters of a line that is searched


@dataclass(frozen=True)
class Call:
    """A call of the expert `name`. arguments: int, float (an f64), str, or a tuple of numbers."""

    name: str
    arguments: tuple[Value, ...]

    @property
    def text(self) -> str:
        """The canonical form."""
        sign = _SIGNS.get(self.name)
        if sign and len(self.arguments) == 2 and all(isinstance(a, (int, float)) for a in self.arguments):
            left, right = map(shown, self.arguments)
            return f"{left} {sign} {right} ="
        return f"{self.name}({', '.join(map(shown, self.arguments))}) ="


def shown(value: Value) -> str:
    """A value as the canonical form has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return decimal(value) if isinstance(value, int) else repr(value)


def decimal(value: int) -> str:
    """An int of any length in decimal digits: Python refuses to write more than 4,300 at once."""
    if abs(value) < 10**4000:
        return str(value)
    parts, rest = [], abs(value)
    while rest >= 10**4000:
        rest, part = divmod(rest, 10**4000)
        parts.append(f"{part:04000d}")
    return ("-" if value < 0 else "") + str(rest) + "".join(reversed(parts))


def parse(text: str) -> Call:
    """The call that the whole text is the canonical form of. Raises NotUnderstood."""
    body = text.strip()
    if not body.endswith("="):
        raise NotUnderstood(f"{_short(text)}: a call ends in =")
    reader = _Reader(body[:-1].rstrip())
    call = reader.call() if _NAME.match(reader.text) else reader.expression()
    reader.end()
    return call


def find(text: str) -> Call:
    """The call whose canonical form ends the text, which ends in "=". Raises NotUnderstood where there is none, or where what
    stands before it could belong to it."""
    line = text.rpartition("\n")[2].rstrip()
    if not line.endswith("="):
        raise NotUnderstood("the text does not end in =")
    if len(line) > LONGEST:
        raise NotUnderstood(f"the line has {len(line):,} characters; up to {LONGEST:,} are searched")
    reason = ""
    for start in re.finditer(r"(?<![\w.])(?=[\w-])", line):
        try:
            call = parse(line[start.start() :])
        except NotUnderstood as error:
            if not reason and re.match(r"-?\d|\w+\(", line[start.start() :]):
                reason = str(error)
            continue
        _check_before(line[: start.start()])
        return call
    raise NotUnderstood(reason or f"{_short(line)}: no call before =")


def _check_before(before: str) -> None:
    """Raises NotUnderstood when the words before an expression may be a part of it."""
    rest = before.rstrip()
    word = re.search(r"[A-Za-z']+$", rest)
    if not rest or ((rest != before and rest[-1] in ":?!;") or rest[-1] in "$|"):
        return
    if rest != before and rest[-1] in ".," and not (rest[-1] == "," and rest[-2:-1].isdigit()):
        return
    if rest != before and word and word[0].lower() in _CONNECTORS:
        return
    raise NotUnderstood(f"{_short(rest)}: what stands before the expression may belong to it; begin a new line")


def number(text: str) -> int | float:
    """A number as the canonical form has it. Raises NotUnderstood."""
    if "," in text or "_" in text:
        raise NotUnderstood(f"{text}: a number has no commas or underscores")
    plain = _PLAIN.fullmatch(text)
    if not plain:
        raise NotUnderstood(f"{text}: a number has no leading zeros, and digits on both sides of its point")
    if plain[1] is None and plain[2] is None:
        return int(text) if len(text) < 4000 else _long(text)
    significant = re.sub(r"[eE].*", "", text).lstrip("-").replace(".", "").strip("0")
    value = float(text)
    if len(significant) > _DIGITS or value in (float("inf"), float("-inf")) or (value == 0 and significant):
        raise NotUnderstood(f"{_short(text)}: not a number that an f64 keeps")
    return value


def _long(text: str) -> int:
    """Python refuses to read more than 4,300 digits at once."""
    digits, value = text.lstrip("-"), 0
    for i in range(0, len(digits), 4000):
        part = digits[i : i + 4000]
        value = value * 10 ** len(part) + int(part)
    return -value if text.startswith("-") else value


class _Reader:
    def __init__(self, text: str):
        self.text, self.at = text, 0

    def expression(self) -> Call:
        left = self._number()
        found = self._take(_OPERATOR)
        if not found:
            raise self._expected("an operator")
        right_at = self.at
        self._skip()
        if self.at == right_at and found in "+-" and self.text[self.at : self.at + 1] == "-":
            raise NotUnderstood(f"{_short(self.text)}: two signs side by side; put a space between them")
        right = self._number()
        if self._peek(_OPERATOR):
            raise NotUnderstood(f"{_short(self.text)}: more than one operator; one operation at a time")
        return Call(OPERATORS[found], (left, right))

    def call(self) -> Call:
        name = self._take(_NAME)
        assert name
        self._token("(")
        values: list[Value] = []
        if not self._peek(re.compile(r"\)")):
            values.append(self._value())
            while self._peek(re.compile(",")):
                self._token(",")
                values.append(self._value())
        self._token(")")
        return Call(name, tuple(values))

    def end(self) -> None:
        self._skip()
        if self.at < len(self.text):
            raise self._expected("=")

    def _value(self) -> Value:
        self._skip()
        next_ = self.text[self.at : self.at + 1]
        if next_ == '"':
            string = self._take(_STRING)
            if string is None:
                raise self._expected("the string's closing quote")
            try:
                return json.loads(string)
            except ValueError:
                raise NotUnderstood(f"{_short(string)}: no string as JSON has them") from None
        if next_ == "[":
            return self._array()
        return self._number()

    def _array(self) -> tuple[int | float, ...]:
        self._token("[")
        values: list[int | float] = []
        while not self._peek(re.compile(r"\]")):
            if values:
                self._token(",")
            values.append(self._number())
        self._token("]")
        return tuple(values)

    def _number(self) -> int | float:
        found = self._take(re.compile(r"-?[\d.][\w.]*(?:(?<=[eE])[+-]\d+)?"))
        if not found or not _NUMBER.fullmatch(found):
            raise self._expected("a number") if not found else NotUnderstood(f"{_short(found)}: no number")
        return number(found)

    def _token(self, sign: str) -> None:
        if self._take(re.compile(re.escape(sign))) is None:
            raise self._expected(sign)

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        self._skip()
        found = pattern.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        return found[0]

    def _peek(self, pattern: re.Pattern[str]) -> bool:
        self._skip()
        return pattern.match(self.text, self.at) is not None

    def _skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _expected(self, what: str) -> NotUnderstood:
        rest = _short(self.text[self.at :]) or "the end"
        return NotUnderstood(f"{_short(self.text)}: {what} expected before {rest}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:40]}...{text[-15:]}"
