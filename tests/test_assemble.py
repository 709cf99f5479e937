"""Programs that do not fit the ranges of the machine are refused before anything is built."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.isa import Program, Step
from wasm2xformer.compiler.machine.assemble import assemble


def test_hidden_memory_beyond_exact_keys() -> None:
    program = Program((Step("halt"),), {}, {}, hidden_bytes=2**26)
    with pytest.raises(w2x.CompileError, match="exact keys"):
        assemble(program)
    assert assemble(Program((Step("halt"),), {}, {}, hidden_bytes=2**26 - 512)).lowest_address == 256 - 2**26
