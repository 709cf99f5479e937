"""Free text and the canonical form: what is a call, what is refused, and why."""

from __future__ import annotations

import random

import pytest

from tests.hybrid.texts import FreeText, free_texts
from wasm2xformer.runtime.hybrid import Call, NotUnderstood, find, parse, rewrite

TEXTS = free_texts()


def test_there_are_as_many_texts_as_the_documentation_says():
    categories = [t.category for t in TEXTS]
    assert sum(c.startswith("report") for c in categories) == 26
    assert sum(bool(t.form) and not t.category.startswith("report") for t in TEXTS) == 200
    assert sum(not t.form for t in TEXTS) == 54


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: f"{t.category}: {t.text}"[:60])
def test_rewriting(text: FreeText):
    if text.form:
        call = rewrite(text.text)
        assert call.text == text.form and parse(call.text) == call
    else:
        with pytest.raises(NotUnderstood):
            rewrite(text.text)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("15 + 7 =", Call("add", (15, 7))),
        ("15+7=", Call("add", (15, 7))),
        ("5 - -3 =", Call("sub", (5, -3))),
        ("-3 <= 4.5 =", Call("le", (-3, 4.5))),
        ("3 == 4 =", Call("eq", (3, 4))),
        ("sum(1, 1000000) =", Call("sum", (1, 1000000))),
        ('f("a, \\"b) =", [], [1, -2.5], -0) =', Call("f", ('a, "b) =', (), (1, -2.5), 0))),
        ("now() =", Call("now", ())),
        (f"{'9' * 9000} + 1 =", Call("add", (10**9000 - 1, 1))),
    ],
)
def test_the_canonical_form_is_read_and_written(text: str, call: Call):
    assert parse(text) == call
    assert parse(call.text) == call and find(f"So then:\nit is {call.text}") == call


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("15 + 7", "ends in ="),
        ("1 + 2 + 3 =", "more than one operator"),
        ("5--3 =", "two signs"),
        ("007 + 1 =", "leading zeros"),
        ("1. + 2 =", "leading zeros"),
        (".5 + 2 =", "leading zeros"),
        ("1e999 + 2 =", "f64"),
        ("0.12345678901234567890 + 2 =", "f64"),
        ("2 ^ 3 =", "an operator expected"),
        ("2x + 3 =", "no number"),
        ("f(1 2) =", ") expected"),
        ("f(1,) =", "a number expected"),
        ('f("a) =', "closing quote"),
        ('f("\\q") =', "no string"),
        ("f([1, [2]]) =", "a number expected"),
        ("f(1)) =", "= expected"),
        ("=", "a number expected"),
        ("a = b =", "( expected"),
    ],
)
def test_what_is_no_canonical_form_is_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(NotUnderstood) as error:
        parse(text)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "five + 3 + 4 =", "1 + 2 + 3 =", "1, 2 + 3 =", "f(2) + 3 =", "twice 3 + 4 =", "minus 3 + 4 =", "x3 + 4 =", "1.3.4 + 4 =",
        "2 * (3 + 4 =", "x = 3 + 4 =", "10 less 3 + 4 =", "1 000 + 4 =", "5! + 3 =",
    ],
)  # fmt: skip
def test_an_expression_that_may_be_the_end_of_a_longer_one_is_refused(text: str):
    with pytest.raises(NotUnderstood):
        find(text)


@pytest.mark.parametrize("before", ["", "Answer: ", "That is 5. ", "so ", "What is ", "1 + 1 = 2\n", "Well, "])
def test_an_expression_is_found_behind_other_text(before: str):
    assert find(f"{before}15 + 7 = ") == Call("add", (15, 7))


def test_any_value_is_read_as_it_was_written():
    chosen = random.Random(5)

    def value(depth: int = 0):
        kind = chosen.randrange(4 if depth == 0 else 2)
        if kind == 0:
            return chosen.randrange(-(10 ** chosen.randrange(1, 40)), 10 ** chosen.randrange(1, 40))
        if kind == 1:
            return chosen.choice([chosen.uniform(-9, 9), 10.0 ** chosen.randrange(-300, 300), float(chosen.randrange(100))])
        if kind == 2:
            return "".join(chr(chosen.choice([34, 92, 10, 61, 41, 228, 0x1F600, *range(32, 127)])) for _ in range(9))
        return tuple(value(1) for _ in range(chosen.randrange(4)))

    for _ in range(300):
        call = Call("f", tuple(value() for _ in range(chosen.randrange(5))))
        assert parse(call.text) == call and find(f"x: {call.text}") == call
