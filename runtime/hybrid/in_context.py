"""A rewriter for any causal language model: examples of texts with their canonical forms before the text. Needs torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .canonical import Call, parse
from .errors import NotUnderstood
from .forcing import text_of
from .number_words import digits

EXPRESSIONS = (
    ("add(5, 3)", "5 + 3 ="), ("SUB(10, 4)", "10 - 4 ="), ("mul( 6 , 7 )", "6 * 7 ="), ("Div(20, 5)", "20 / 5 ="),
    ("12 plus 30", "12 + 30 ="), ("45 minus 16", "45 - 16 ="), ("9 times 8", "9 * 8 ="), ("63 divided by 7", "63 / 7 ="),
    ("four plus nine", "4 + 9 ="), ("thirty minus twelve", "30 - 12 ="), ("seven times six", "7 * 6 ="),
    ("What is 17 plus 25?", "17 + 25 ="), ("What is the difference between 80 and 35?", "80 - 35 ="),
    ("How much is 14 times 3?", "14 * 3 ="), ("What is 96 divided by 8?", "96 / 8 ="), ("Compute add(45, 55)", "45 + 55 ="),
    ("Calculate the product of 11 and 12", "11 * 12 ="), ("Subtract 6 from 40", "40 - 6 ="), ("Divide 81 by 9", "81 / 9 ="),
    ("Sam has 8 apples and buys 5 more.", "8 + 5 ="), ("A bus has 30 people. 12 get off.", "30 - 12 ="),
    ("There are 6 boxes with 4 pens in each.", "6 * 4 ="), ("24 sweets are shared among 8 children.", "24 / 8 ="),
    ("Mia had 50 dollars and spent 18.", "50 - 18 ="), ("Is 7 greater than 5?", "7 > 5 ="),
)  # fmt: skip
LOOPS = (
    ("the sum of the numbers from 1 to 100", "sum(1, 100) ="), ("add up all integers from 5 to 50", "sum(5, 50) ="),
    ("the product of the numbers from 2 to 6", "product(2, 6) ="), ("What is the factorial of 9?", "factorial(9) ="),
    ("12!", "factorial(12) ="), ("the 20th Fibonacci number", "fib(20) ="), ("Compute fibonacci of 33", "fib(33) ="),
    ("2 to the power of 10", "power(2, 10) ="), ("7 cubed", "power(7, 3) ="),
    ("Sum all whole numbers between 10 and 20, both included", "sum(10, 20) ="),
)  # fmt: skip


class InContextRewriter:
    """examples: (text, canonical form), which the model is shown before a text. Greedy, up to the end of the line."""

    def __init__(self, model: Any, tokenizer: Any, examples: Sequence[tuple[str, str]] = EXPRESSIONS, max_new_tokens: int = 64):
        self._model, self._tokenizer, self._limit = model, tokenizer, max_new_tokens
        self._shown = "".join(f"Text: {text}\nForm: {form}\n\n" for text, form in examples)

    def rewrite(self, text: str) -> Call:
        """The call that the model writes down. Raises NotUnderstood where that is no canonical form, or has numbers in it
        that the text does not have."""
        asked = f"{self._shown}Text: {' '.join(text.split())}\nForm:"
        inputs = self._tokenizer(asked, return_tensors="pt").to(self._model.device)
        inputs.pop("token_type_ids", None)
        pad = self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else self._tokenizer.eos_token_id
        made = self._model.generate(
            **inputs, max_new_tokens=self._limit, do_sample=False, stop_strings=["\n"], tokenizer=self._tokenizer,
            pad_token_id=pad,
        )  # fmt: skip
        form = text_of(self._tokenizer, made[0, inputs["input_ids"].shape[1] :].tolist()).strip().partition("\n")[0]
        call = parse(form)
        given = digits(text.lower())
        for value in call.arguments:
            if isinstance(value, (int, float)) and not _stands_in(value, given):
                raise NotUnderstood(f"{form}: the model wrote {value}, which is not in the text")
        return call


def _stands_in(value: int | float, text: str) -> bool:
    written = {float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)}
    # "twice", "half", "squared", "cubed", "sum of the first": what words stand for.
    return abs(float(value)) in written | {1.0, 2.0, 3.0}
