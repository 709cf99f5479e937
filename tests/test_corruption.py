"""The diff can fail: single weights and single tokens are changed, and what changes a step must be reported."""

from __future__ import annotations

import copy
import random
from collections import Counter

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.diff import compare
from wasm2xformer.runtime.trace import Trace, decode, table_of

PROGRAM = """
(module
  (memory 1)
  (func $f (export "f") (param $n i32) (result i32)
    (if (result i32) (i32.le_s (local.get $n) (i32.const 1))
      (then (i32.const 7))
      (else
        (i32.store offset=8 (local.get $n) (i32.mul (local.get $n) (call $f (i32.sub (local.get $n) (i32.const 1)))))
        (i32.add (i32.load offset=8 (local.get $n)) (i32.load8_u (i32.const 9)))))))
"""
ARGUMENT = 3
MAX_TOKENS = 150
TENSORS = ("q", "k", "v", "o", "gate", "up", "down", "embed", "unembed")
PER_TENSOR, TOKENS = 4, 300


@pytest.fixture(scope="module")
def model() -> Model:
    return w2x.compile(PROGRAM)


@pytest.fixture(scope="module")
def clean(model: Model) -> w2x.Report:
    report = w2x.Verifier(PROGRAM, model=model, engine="torch", keep_records=True).invoke("f", [ARGUMENT])
    assert report.ok and report.tokens < MAX_TOKENS / 2
    return report


def events(model: Model, trace: Trace) -> list[tuple[float, ...]]:
    """What the trace says was done: per step which one, how it ended, its value, and where it stored (-1: nowhere)."""
    stores = np.array([".store" in step.op for step in model.program.steps])[trace.step]
    address = -1.0 if trace.address is None else np.nan_to_num(trace.address, nan=-2.0)
    columns = (trace.step, trace.kind, trace.value, trace.frame, np.where(stores, address, -1.0))
    return list(zip(*(column.tolist() for column in columns)))


def corrupted(model: Model, tensor: str, rng: random.Random) -> Model:
    """The model with one non-zero weight of one matrix of this name changed; without its certificate, for which some of these
    would not even be run."""
    changed = copy.copy(model)
    changed.transformer = copy.copy(model.transformer)
    changed.transformer.certificate = ()
    if tensor in ("embed", "unembed"):
        owner = changed.transformer
    else:
        layers = [i for i, y in enumerate(model.transformer.layers) if np.any(getattr(y, tensor))]
        index = rng.choice(layers)
        owner = copy.copy(model.transformer.layers[index])
        changed.transformer.layers = [owner if i == index else y for i, y in enumerate(model.transformer.layers)]
    found = getattr(owner, tensor)
    weights = found.dense() if isinstance(found, SparseRows) else found.copy()
    rows, columns = np.nonzero(weights)
    at = rng.randrange(len(rows))
    amount = rng.choice((-2.0, -1.0, 2.0**-8, 0.5, 1.0))  # -1: the weight becomes 0
    old = weights[rows[at], columns[at]]
    weights[rows[at], columns[at]] = old * (1 + amount) if rng.random() < 0.7 else old + amount
    setattr(owner, tensor, SparseRows.of(weights) if isinstance(found, SparseRows) else weights)
    return changed


@pytest.mark.parametrize("tensor", TENSORS)
def test_weights(model: Model, clean: w2x.Report, tensor: str):
    rng = random.Random(f"weights {tensor}")
    seen = Counter[str]()
    for _ in range(PER_TENSOR):
        try:
            verifier = w2x.Verifier(PROGRAM, model=corrupted(model, tensor, rng), engine="torch")
            report = verifier.invoke("f", [ARGUMENT], max_tokens=MAX_TOKENS)
        except (RuntimeError, ValueError, IndexError):  # not finished, or no trace at all: nobody takes it for a result
            seen["failed"] += 1
            continue
        same = events(model, report.trace) == events(model, clean.trace)
        state = "after the call" in str(report.divergence)  # bytes of the prompt that went astray
        assert same == report.ok or (same and state), (
            f"steps {'the same' if same else 'differ'}, but: {report.divergence}"
        )
        seen["same" if same else "reported"] += 1
    assert seen.total() == PER_TENSOR


def test_most_weights_that_the_trace_uses_matter(model: Model, clean: w2x.Report):
    """Rows of the program that the call executes: leaving out what they hold is reported nearly always."""
    program = model.transformer.prefix[258:]  # the row before the first step stands at 257
    rng = random.Random("program")
    reported = 0
    steps = sorted(set(clean.trace.step.tolist()))
    for _ in range(10):
        row = program[rng.choice(steps)]
        changed = copy.copy(model)
        changed.transformer = copy.copy(model.transformer)
        changed.transformer.certificate = ()
        embed = model.transformer.embed
        columns = np.flatnonzero(embed.row(row))
        changed.transformer.embed = embed.changed(row, rng.choice(columns.tolist()), 0.0)
        try:
            report = w2x.Verifier(PROGRAM, model=changed, engine="torch").invoke("f", [ARGUMENT], max_tokens=MAX_TOKENS)
        except (RuntimeError, ValueError, IndexError):
            reported += 1
            continue
        same = events(model, report.trace) == events(model, clean.trace)
        assert same == report.ok
        reported += not same
    assert reported >= 4


def test_tokens(model: Model, clean: w2x.Report):
    rng = random.Random("tokens")
    table, module = table_of(model), load(PROGRAM).module
    tokens = clean.trace.tokens
    first = len(clean.run.prompt)
    untouched = events(model, decode(tokens, table, model.program))
    seen = Counter[str]()
    for _ in range(TOKENS):
        changed = tokens.copy()
        at = rng.randrange(first, len(tokens))
        # Half of them a digit (or jump, ...) of the same class: such a trace is well formed.
        name = table.names[tokens[at]].partition(".")[0]
        fellows = [i for i, n in enumerate(table.names) if n.partition(".")[0] == name]
        changed[at] = rng.choice(fellows) if rng.random() < 0.5 else rng.randrange(len(table.names))
        trace = decode(changed, table, model.program)
        same = trace.fault is None and trace.outcome == "halt" and events(model, trace) == untouched
        divergence = compare(model.program, module, trace, clean.oracle)
        assert same or divergence is not None, f"token {at} is now {changed[at]}, and nothing is reported"
        seen["reported" if divergence else "same"] += 1
    assert seen["reported"] > 0.8 * TOKENS


def test_nothing_changed_is_no_difference(model: Model, clean: w2x.Report):
    trace = decode(clean.trace.tokens, table_of(model), model.program)
    assert compare(model.program, load(PROGRAM).module, trace, clean.oracle) is None
