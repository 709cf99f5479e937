"""Which import trapped, when nobody provides it: what the tokens say of the last step and the one before it."""

from __future__ import annotations

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import MISSING_IMPORT
from ..compiler.format.tokens import TokenTable

TAIL = 64  # tokens, more than two steps have


def missing_import(model: Model, table: TokenTable, at: int, tokens: np.ndarray) -> str:
    """"" for any other trap. at: the trapping step's row. tokens: the last TAIL or more of them."""
    step = model.program.step_at[at]
    function = next((f for f in model.program.functions.values() if f.entry <= step < f.end), None)
    if function is None or not function.internal or not function.name.startswith(MISSING_IMPORT):
        return ""
    starts, _ = table.steps(tokens)
    text = f"the import {function.name.removeprefix(MISSING_IMPORT)} is not provided"
    if len(starts) < 2:
        return text
    caller = model.program.step_at[at - int(table.ip_delta[tokens[starts[-2] :]].sum())]
    name, _, site = model.texts.get(caller, "").rpartition(" 0x")
    return f"{text} (called in {name}+0x{site.split()[0]})" if name else text
