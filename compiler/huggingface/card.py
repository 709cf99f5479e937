"""README.md of the folder: the model card, with the lines that run it."""

from __future__ import annotations

from ..format.checkpoint import Model
from ..format.isa import Entry
from ..format.printable import printable
from .chat import INTEGERS
from .config import longest

_EXAMPLES = {"i32": ("3", "D0.3"), "i64": ("5", "D0.5")}


def card(model: Model, name: str) -> str:
    """name: of the folder."""
    t, program = model.transformer, model.program
    functions = [
        f"- `{_code(n)}({', '.join(e.params)}) -> ({', '.join(e.results)})`" for n, e in program.entries.items()
    ]
    said, prompt = _example(model)
    chat = (
        f'\nAs a chat: `pipeline("text-generation", folder)([{{"role": "user", "content": "{said}"}}])`.\n'
        if said
        else ""
    )
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags:
- wasm2xformer
---

# {_code(name)}

A WebAssembly program as the weights of a transformer, compiled by wasm2xformer: nothing here was trained. Greedy decoding in
float64 executes it, one token after the other; other types of numbers give wrong results.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForCausalLM.from_pretrained(".", dtype="float64")
tokens = model.generate(**tokenizer({prompt!r}, return_tensors="pt"))
print(tokenizer.decode(tokens[0][{len(t.prefix)}:]))
```
{chat}
`wasm2xformer prompt` writes the tokens of a call, `wasm2xformer decode` says what tokens mean, `wasm2xformer inspect` names
every head, neuron and residual slot.

Exported functions:

{chr(10).join(functions) or "none"}

{len(t.layers)} layers of {len(t.layers[0].q) // t.head_dim} heads and {len(t.layers[0].gate)} neurons, width {t.width},
vocabulary {len(t.vocabulary):,}, a prefix of {len(t.prefix):,} tokens. Real softmax is exact for sequences of up to
{longest(t):,} tokens.
"""


def _example(model: Model) -> tuple[str, str]:
    """A call as a message and as tokens; without a function that takes only integers, none and the first token."""
    numbers = {model.program.step_at[row]: k for k, (_, row) in enumerate(model.entries)}
    for name, entry in model.program.entries.items():
        if _plain(name, entry) and model.program.start is None:
            values = [_EXAMPLES[type_] for type_ in entry.params]
            said = " ".join([name, *(number for number, _ in values)])
            return said, " ".join([f"I.{numbers[entry.entry]}", *(token for _, token in values)])
    return "", "I.0" if model.entries else model.transformer.vocabulary[0]


def _plain(name: str, entry: Entry) -> bool:
    integers = all(type_ in INTEGERS for type_ in entry.params)
    return integers and not entry.registers and name.isascii() and name.replace("_", "a").isalnum()


def _code(text: str) -> str:
    """A name, on one line and between backquotes or in a heading."""
    return printable(text).replace("`", "'").replace("<", "&lt;")
