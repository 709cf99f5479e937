"""Partial evaluation: tables in the prefix become constants, and the code is split by the row found."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fast_models import TOKENS, Features, compare

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.isa import Step
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.runtime.fast import FastEngine, unembed
from wasm2xformer.runtime.fast import compile as fast_compile
from wasm2xformer.runtime.fast.bounds import Bounds
from wasm2xformer.runtime.fast.compile import compile_model
from wasm2xformer.runtime.fast.context import Rewriter
from wasm2xformer.runtime.fast.lift import lift
from wasm2xformer.runtime.fast.linear import Form
from wasm2xformer.runtime.fast.live import live
from wasm2xformer.runtime.fast.specialise import MAX_SIGNATURES, signatures, static_stores
from wasm2xformer.runtime.fast.symbols import Symbols
from wasm2xformer.runtime.fast.unembed import Unembeddings
from wasm2xformer.runtime.torch_engine import TorchEngine


def machine(seed: int, rows: int = 9, gap: int = 1) -> Transformer:
    """A little machine: the row is (sum of small numbers mod-like clipped), its flags gate what is done next.

    Row tokens stand in the prefix, at keys 0, gap, 2 gap, ...; ordinary tokens come in prompts.
    """
    rng = np.random.default_rng(seed)
    f = Features(seed)
    g = f.graph
    index, squared, off = (g.feature(n) for n in ("row.index", "row.index^2", "row.off"))
    add, copy, store, number = (g.feature(f"row.{n}") for n in ("add", "copy", "store", "number"))
    for token in range(TOKENS):
        off.embedding[token] = 1.0
    for k in range(rows):
        flags = {(add, copy, store)[k % 3]: 1, store: rng.integers(0, 2)}
        row = {index: gap * k, squared: (gap * k) ** 2, number: rng.integers(-9, 10)}
        g.token(f"R{k}", row | flags)
    g.prefix = [int(t) for t in rng.permutation(np.arange(TOKENS, TOKENS + rows))] + [3, 1, 2]
    (s,) = g.cumulative_sum({"s": f.small})
    names = {"add": add, "copy": copy, "store": store, "number": number, "index": index}
    is_add, is_copy, is_store, n, at = g.lookup(
        "fetch", s, index, names, off=off, key_squared=squared, key_bits=10, latest=False
    )
    (previous,) = g.relative(1, {"previous": f.label})
    (seen,) = g.lookup("memory", n + f.small, f.small * 2, {"seen": f.label}, off=1 - is_store, key_bits=8)
    total = g.gated(
        "total", (is_add, f.label + n + 9), (is_copy, previous + at), (is_store, seen), (1 - is_store, f.flag)
    )
    return f.finish(total)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gap", [1, 3])
def test_split_machine(seed, gap):
    model = machine(seed, gap=gap)
    compare(model, seed, rounds=5, probe="index", below=TOKENS)


def test_row_tokens_again():
    """Row tokens in a prompt write what is there already."""
    compare(machine(4), 4, rounds=5, probe="index")


def analyse(model: Transformer):
    lifted = lift(model)
    reached = live(lifted.graph, lifted.columns, [Rewriter(lifted.graph, {})])
    return lifted, *static_stores(lifted.graph, reached, model.prefix)


def test_what_is_static():
    model = machine(0)
    lifted, statics, settled = analyse(model)
    assert [len(s.keys) for s in statics.values()] == [9]
    assert settled == 9
    assert not lifted.graph.stores[next(iter(statics))].latest
    assert compile_model(model).image.settled >= 9
    # A row token that is not in the prefix may still come.
    model.prefix = model.prefix[1:]
    assert not analyse(model)[1]
    # A query half-way between two keys depends on which was written later.
    assert not analyse(machine(0, gap=2))[1]


def test_rows_of_static_stores():
    _, statics, _ = analyse(machine(0, rows=4, gap=3))
    (static,) = statics.values()
    np.testing.assert_array_equal(static.keys, [0, 3, 6, 9])
    np.testing.assert_array_equal(static.rows(), [0, 0, 1, 1, 1, 2, 2, 2, 3, 3])


def test_signatures():
    graph = Symbols(10)
    source = graph.source(graph.sources[0].__class__(("row", 0, -1), 600))
    rows = np.arange(600.0)
    forms = [graph.table(source, v) for v in (rows % 2, rows % 3, rows, rows // 300)]
    groups = signatures(graph, 0, 600, forms)
    assert len(groups) == 12 <= MAX_SIGNATURES
    assert sorted(np.concatenate(groups).tolist()) == list(range(600))
    assert all(len(np.unique(np.stack([g % 2, g % 3, g // 300]), axis=1).T) == 1 for g in groups)


@pytest.mark.parametrize("seed", range(5))
def test_families(seed):
    """The argmax over families and rows is the argmax over all tokens; ties go to the lowest id."""
    rng = np.random.default_rng(seed)
    graph = Symbols(4)
    columns = [graph.table(graph.token, rng.integers(-9, 9, 4).astype(float)) for _ in range(3)]
    v = np.arange(40.0)[:, None]
    weights = np.concatenate([2 * v * [1, 0, 0] - v * v * [0, 1, 0], rng.integers(-3, 3, (7, 3)), np.zeros((5, 3))])
    weights[10:20] += 2 * v[:10] * [0, 0, 1] - v[:10] ** 2 * [1, 0, 2] - [0, 3, 0]
    found = Unembeddings(weights).families(columns)
    assert len(found.families) >= 3
    assert len(found.ids) < 10
    for token in range(4):
        values = np.array([graph.evaluate(c, graph.token)[token] for c in columns])
        logits = weights @ values
        best = []
        for family in found.families:
            a, b, c = (graph.evaluate(form, graph.token)[token] for form in (family.a, family.b, family.c))
            ids = np.arange(family.count)
            best += list(zip(c + b * ids - a * ids * ids, -(family.first + ids)))
        rows = found.weights @ [graph.evaluate(c, graph.token)[token] for c in found.columns]
        best += list(zip(rows, -found.ids))
        assert -max(best)[1] == np.argmax(logits)


@pytest.mark.parametrize("constant", [3.0, 1023.7928932190407, -0.1])
def test_a_parabola_stays_one_whatever_is_known_of_its_place(constant: float):
    """logit(v) = 2 v F - v^2 for F = x + constant: with 53 bits of F, 2 v F is rounded, and no longer on a parabola."""
    graph = Symbols(4)
    x = graph.table(graph.token, np.array([0.0, 5.0, 1999.0, 2001.0]))
    v = np.arange(5000.0)[:, None]
    weights = np.concatenate([-v * v, 2 * v], axis=1)
    one = Form({}, 1.0)
    for columns in ([one, x.shifted(constant)], [one, Form({}, constant)]):
        found = Unembeddings(weights).families(columns)
        (family,) = found.families
        assert (family.first, family.count, len(found.ids)) == (0, 5000, 0)
        for token in range(4):
            place = columns[1].constant + (graph.evaluate(x, graph.token)[token] if columns[1].terms else 0.0)
            a, b, c = (graph.evaluate(f, graph.token)[token] if f.terms else f.constant for f in (family.a, family.b, family.c))
            assert (a, b, c) == (1.0, 2.0 * place, 0.0)


def test_a_vector_and_its_negative_share_a_table():
    graph = Symbols(4)
    values = np.array([0.0, -1.0, 2.0, 0.0])
    assert graph.table(graph.token, values) == graph.table(graph.token, -values).scaled(-1.0)
    assert [v.tolist() for v in graph.vectors] == [[0, 1, -2, 0]] and not np.signbit(graph.vectors[0][[0, 3]]).any()


def test_columns_that_no_code_reads_take_no_room(monkeypatch: pytest.MonkeyPatch):
    """Of a value only the word is read in the end, not its bytes: 4 bytes behind the 4 of the position."""
    monkeypatch.setattr("wasm2xformer.compiler.optimise.optimise.join", lambda code: None)  # E and F have a column of their own
    program = (Path(__file__).parent.parent / "programs/i32/fibonacci_recursive.wat").read_text()
    image = compile_model(w2x.compile(program).transformer).image
    assert [store["stride"] for store in image.keyed] == [8, 8, 8]


def test_a_group_of_rows_is_handed_few_values():
    """Sums and delays are made and read again where they are needed: registers would not do for them."""
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_compile, "compile_object", lambda text, quick: texts.append(text) or b"")
        program = Path(__file__).parent.parent / "programs/integer/sha256.wasm"
        compile_model(w2x.compile(program).transformer)
    arguments = re.search(r"@special\.group0\((.*?)\)", texts[0])
    assert arguments is not None and len(arguments[1].split(",")) <= 8


def test_families_that_never_win_are_left_out() -> None:
    """The best of those that stay is the best of all, also where logits are equal."""
    graph = SimpleNamespace(bounds=lambda form: Bounds(*_range(form, values), 0))
    values = {1: (0, 3), 2: (-2, 5)}

    def family(first: int, count: int, a: dict, b: dict, c: dict) -> unembed.Family:
        return unembed.Family(first, count, *(Form(dict(terms), float(constant)) for terms, constant in (a, b, c)))

    none, a, b = ({}, 0.0), ({1: 1.0}, 0.0), ({1: 1.0, 2: 2.0}, 0.0)
    found = [
        family(0, 4, a, b, none),
        family(4, 4, a, b, ({1: -2.0}, 0.0)),  # never more: 0 .. 3 times -2
        family(8, 4, a, b, ({2: -1.0}, 0.0)),  # sometimes more
        family(12, 3, a, b, none),  # other ids: not compared
        family(15, 1, none, none, ({1: -1.0}, 0.0)),  # never more than at v = 0
        family(16, 1, none, none, ({}, 2.0)),
    ]
    kept = unembed.without_beaten(graph, unembed.Unembedding(found, np.zeros(0), np.zeros((0, 0)), [])).families
    assert [family.first for family in kept] == [0, 8, 12, 16]
    for x, y in itertools.product(range(4), range(-2, 6)):
        best = [_best(families, {1: x, 2: y}) for families in (found, kept)]
        assert best[0] == best[1]
    # An id below those of the one that beats it wins where both are equal.
    turned = [family(5, 4, a, b, none), family(0, 1, none, none, none)]
    turned.sort(key=lambda f: -f.first)
    assert (
        len(unembed.without_beaten(graph, unembed.Unembedding(turned, np.zeros(0), np.zeros((0, 0)), [])).families) == 2
    )


def _value(form: Form, atoms: dict[int, int]) -> float:
    return form.constant + sum(c * atoms[a] for a, c in form.terms.items())


def _range(form: Form, values: dict[int, tuple[int, int]]) -> tuple[float, float]:
    ends = [_value(form, dict(zip(values, at))) for at in itertools.product(*values.values())]
    return min(ends), max(ends)


def _best(families: list, atoms: dict[int, int]) -> int:
    logits = {}
    for f in families:
        a, b, c = (_value(form, atoms) for form in (f.a, f.b, f.c))
        logits |= {f.first + v: c + b * v - a * v * v for v in range(f.count)}
    return min(logits, key=lambda token: (-logits[token], token))


WILD = '(module (func (export "f") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 7))))'


def test_a_row_that_there_is_none_of_is_left_to_general_code() -> None:
    """A program whose last step jumps behind its last row: what is fetched there is known to no code that is split by row. A
    sequence that comes to it is not worth less trust in everything else, of which softmax would be the rest."""
    program, module = compile_steps(WILD, CompileOptions(1))
    assert program.steps[-1].op == "halt"
    wild = Step("jump", target=len(program.steps))
    model = realise(replace(program, steps=(*program.steps[:-1], wild)), module).transformer
    prompt = np.array([model.vocabulary.index(name) for name in ("I.0", "D0.9")], dtype=np.int32)
    engines = FastEngine(model), TorchEngine(model)
    stop = np.zeros(len(model.vocabulary), dtype=bool)
    for engine in engines:
        engine.append(prompt)
    assert engines[0].decode(stop, 40).tolist() == engines[1].decode(stop, 40).tolist()
    assert engines[0]._trusting and engines[0]._generally
    for engine in engines:
        engine.append(prompt)
    assert engines[0].decode(stop, 10).tolist() == engines[1].decode(stop, 10).tolist()
