"""The chat template: `gcd 3528 3780` as a message becomes the prompt of that call. Jinja, which transformers evaluates.

What it does not do, and says so: floats and references (their bit patterns are not what people type), programs that are told
input, arguments or the time (WASI), and programs with a start function, whose tokens would have to stand before the first
call. The command `prompt` writes the tokens of those.
"""

from __future__ import annotations

import re
from importlib.resources import files

from ..format.checkpoint import Model
from ..format.isa import Entry

PREFIX = "<prefix>"  # in the text of a chat; the tokenizer puts the prefix's names in its place
INTEGERS = ("i32", "i64")
_ELSEWHERE = "`wasm2xformer prompt` writes the tokens of its call"


def chat_template(model: Model) -> str:
    """The text of the template for this model's exported functions."""
    numbers = {model.program.step_at[row]: k for k, (_, row) in enumerate(model.entries)}
    entries = model.program.entries
    functions = ", ".join(_function(name, e, numbers[e.entry]) for name, e in sorted(entries.items()))
    refused = ""
    if model.program.start is not None:
        refused = "the program has a start function, whose tokens come first: `wasm2xformer prompt` writes them"
    elif not entries:
        refused = "this model has no exported functions"
    text = (files(__package__) / "chat_template.jinja").read_text(encoding="utf-8")
    parts = {"@FUNCTIONS@": f"{{{functions}}}", "@REFUSED@": _literal(refused), "@PREFIX@": PREFIX}
    return re.sub("@[A-Z]+@", lambda found: parts[found[0]], text).rstrip("\n")


def _function(name: str, entry: Entry, number: int) -> str:
    problem = ""
    if entry.registers:
        problem = f"it is told what there is to read; {_ELSEWHERE}"
    elif any(type_ not in INTEGERS for type_ in entry.params):
        problem = f"its arguments are not all integers; {_ELSEWHERE}"
    types = ", ".join(_literal(type_) for type_ in entry.params)
    return f"{_literal(name)}: [{number}, [{types}], {_literal(problem)}]"


def _literal(text: str) -> str:
    """A string of Jinja. Whatever is not plain stands as an escape, so that no name ends the string or the template."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:;`"
    return '"' + "".join(c if c in plain else f"\\U{ord(c):08x}" for c in text) + '"'
